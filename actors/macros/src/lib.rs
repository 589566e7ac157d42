//! Attributes and derives of Posse; everything they write can be written by hand.
#![forbid(unsafe_code)]

mod entry;
mod layout;
mod message;
mod protocol;

use proc_macro::TokenStream;

/// Derives `Message`. `#[message(reply = T)]` names what an ask returns; default `()`.
///
/// With `name = "area/what"` the message may leave the process: it needs serde's derives, and its name must stay the
/// same for as long as two programs talk. `version = N` tells layouts apart that look the same.
#[proc_macro_derive(Message, attributes(message))]
pub fn derive_message(input: TokenStream) -> TokenStream {
    message::derive(input.into()).unwrap_or_else(syn::Error::into_compile_error).into()
}

/// Runs an `async fn main` in a runtime. `flavor = "current_thread"` or `"multi_thread"`, the default, and `workers = N`, also
/// spelled `worker_threads`, choose which.
#[proc_macro_attribute]
pub fn main(args: TokenStream, item: TokenStream) -> TokenStream {
    entry::expand(args.into(), item.into(), false, "posse").unwrap_or_else(syn::Error::into_compile_error).into()
}

/// Runs an `async fn` as a test in a runtime of its own, by default one on the test's thread. Takes what [`main`] takes, and
/// `start_paused = true`, with which time stands still and jumps.
///
/// With `sim` it runs in a simulated world, which it gets as its argument: `#[posse::test(sim, seeds = 200)]` and
/// `async fn name(sim: Sim)`. It runs with each seed from 0 on, by default 100 of them. Needs the feature `sim`.
#[proc_macro_attribute]
pub fn test(args: TokenStream, item: TokenStream) -> TokenStream {
    entry::expand(args.into(), item.into(), true, "posse").unwrap_or_else(syn::Error::into_compile_error).into()
}

/// `#[posse_rt::main]`: as [`main`], for a program that depends on the runtime alone.
#[proc_macro_attribute]
pub fn rt_main(args: TokenStream, item: TokenStream) -> TokenStream {
    entry::expand(args.into(), item.into(), false, "posse_rt").unwrap_or_else(syn::Error::into_compile_error).into()
}

/// `#[posse_rt::test]`: as [`test`], for a program that depends on the runtime alone, which has no simulation.
#[proc_macro_attribute]
pub fn rt_test(args: TokenStream, item: TokenStream) -> TokenStream {
    entry::expand(args.into(), item.into(), true, "posse_rt").unwrap_or_else(syn::Error::into_compile_error).into()
}

/// Turns a trait of `async fn` into a protocol: a type that lists messages, a struct for each message, a method for each.
///
/// `async fn add(n: u64) -> u64;` becomes `struct Add { pub n: u64 }`, and a method `add` that asks. A function without a
/// return type becomes a method that tells. The struct is a type of the module, so a function must not have the name of another type
/// there: not `status() -> Status` but `get_status() -> Status`, and the compiler says so. `name = ".."` sets the name that other programs know the protocol by; default:
/// the trait's. Attributes on a function, such as `#[derive(Debug)]`, go to its struct.
///
/// A parameter or a reply that is written `Vec<u8>` crosses the network in one go. Inside of other types serde hands it over
/// byte by byte, which costs three times as much: use `posse::bytes::Bytes` there.
#[proc_macro_attribute]
pub fn protocol(args: TokenStream, item: TokenStream) -> TokenStream {
    protocol::expand(args.into(), item.into()).unwrap_or_else(syn::Error::into_compile_error).into()
}
