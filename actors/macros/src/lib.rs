//! Attributes and derives of Posse; everything they write can be written by hand.
#![forbid(unsafe_code)]

mod entry;
mod message;

use proc_macro::TokenStream;

/// Derives `Message`. `#[message(reply = T)]` names what an ask returns; default `()`.
#[proc_macro_derive(Message, attributes(message))]
pub fn derive_message(input: TokenStream) -> TokenStream {
    message::derive(input.into()).unwrap_or_else(syn::Error::into_compile_error).into()
}

/// Runs an `async fn main` in a runtime. `flavor = "current_thread"` and `workers = N` choose which.
#[proc_macro_attribute]
pub fn main(args: TokenStream, item: TokenStream) -> TokenStream {
    entry::expand(args.into(), item.into(), false).unwrap_or_else(syn::Error::into_compile_error).into()
}

/// Runs an `async fn` as a test in a runtime of its own, by default one on the test's thread.
#[proc_macro_attribute]
pub fn test(args: TokenStream, item: TokenStream) -> TokenStream {
    entry::expand(args.into(), item.into(), true).unwrap_or_else(syn::Error::into_compile_error).into()
}
