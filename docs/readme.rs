//! The programs of the README and of the guide, compiled as tests. Here and not in the package `posse`, from whose folder they cannot be
//! reached.

#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;

#[cfg(doctest)]
#[doc = include_str!("guide/from-otp.md")]
struct FromOtp;

#[cfg(doctest)]
#[doc = include_str!("guide/from-tokio.md")]
struct FromTokio;

#[cfg(doctest)]
#[doc = include_str!("guide/http-service.md")]
struct HttpService;

#[cfg(doctest)]
#[doc = include_str!("guide/runtime.md")]
struct Runtime;
