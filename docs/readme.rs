//! The programs of the README, compiled as tests. Here and not in the package `posse`, from whose folder the README cannot be reached.

#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
