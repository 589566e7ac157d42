//! The layout of a message, which both sides of a connection compare: a text that changes when a message's layout does.

use proc_macro2::TokenStream;
use quote::{ToTokens, quote, quote_spanned};
use syn::spanned::Spanned;
use syn::{Ident, Path, Type};

/// Tokens as one text without spaces.
pub(crate) fn squeezed(tokens: &impl ToTokens) -> String {
    tokens.to_token_stream().to_string().split_whitespace().collect()
}

/// Fields as `{name:Type,..}`; those without a name have a `_`.
pub(crate) fn layout<'a>(fields: impl Iterator<Item = (Option<&'a Ident>, &'a Type)>) -> String {
    let fields: Vec<_> = fields
        .map(|(name, ty)| format!("{}:{}", name.map_or("_".to_owned(), Ident::to_string), squeezed(ty)))
        .collect();
    format!("{{{}}}", fields.join(","))
}

/// Refuses, at each type's own place, what cannot leave the process.
pub(crate) fn assert_portable(krate: &Path, types: impl Iterator<Item = Type>) -> TokenStream {
    let checks = types.map(|ty| quote_spanned!(ty.span()=> portable::<#ty>();));
    quote! {
        const _: fn() = || {
            fn portable<T: #krate::protocol::Portable>() {}
            #(#checks)*
        };
    }
}
