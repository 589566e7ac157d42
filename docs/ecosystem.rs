//! The programs of `docs/guide/ecosystem.md`, compiled as tests, in the package that has the libraries they name.

#[cfg(doctest)]
#[doc = include_str!("guide/ecosystem.md")]
struct Ecosystem;
