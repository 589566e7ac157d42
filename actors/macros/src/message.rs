//! `#[derive(Message)]`.

use proc_macro2::TokenStream;
use quote::{ToTokens, quote};
use syn::{DeriveInput, Path, Result, Type};

pub(crate) fn derive(input: TokenStream) -> Result<TokenStream> {
    let input: DeriveInput = syn::parse2(input)?;
    let mut reply = quote!(());
    let mut krate: Path = syn::parse_quote!(::posse);

    for attribute in input.attrs.iter().filter(|attribute| attribute.path().is_ident("message")) {
        attribute.parse_nested_meta(|meta| {
            if meta.path.is_ident("reply") {
                reply = meta.value()?.parse::<Type>()?.into_token_stream();
                Ok(())
            } else if meta.path.is_ident("crate") {
                krate = meta.value()?.parse()?;
                Ok(())
            } else {
                Err(meta.error("`message` knows `reply = Type` and `crate = path`"))
            }
        })?;
    }

    let name = &input.ident;
    let (parameters, arguments, bounds) = input.generics.split_for_impl();
    Ok(quote! {
        impl #parameters #krate::Message for #name #arguments #bounds {
            type Reply = #reply;
        }
    })
}
