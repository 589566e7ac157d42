//! `#[derive(Message)]`.

use crate::layout::{assert_portable, layout};
use proc_macro2::TokenStream;
use quote::{ToTokens, quote};
use syn::{Data, DeriveInput, Error, Fields, LitInt, LitStr, Path, Result, Type};

struct Options {
    reply: TokenStream,
    krate: Path,
    name: Option<LitStr>,
    version: Option<LitInt>,
}

pub(crate) fn derive(input: TokenStream) -> Result<TokenStream> {
    let input: DeriveInput = syn::parse2(input)?;
    let options = options(&input)?;
    let (reply, krate, name) = (&options.reply, &options.krate, &input.ident);
    let (parameters, arguments, bounds) = input.generics.split_for_impl();
    let wire = wire(&input, &options)?;
    Ok(quote! {
        impl #parameters #krate::Message for #name #arguments #bounds {
            type Reply = #reply;
        }
        #wire
    })
}

fn options(input: &DeriveInput) -> Result<Options> {
    let mut options = Options { reply: quote!(()), krate: syn::parse_quote!(::posse), name: None, version: None };
    for attribute in input.attrs.iter().filter(|attribute| attribute.path().is_ident("message")) {
        attribute.parse_nested_meta(|meta| {
            if meta.path.is_ident("reply") {
                options.reply = meta.value()?.parse::<Type>()?.into_token_stream();
            } else if meta.path.is_ident("crate") {
                options.krate = meta.value()?.parse()?;
            } else if meta.path.is_ident("name") {
                options.name = Some(meta.value()?.parse()?);
            } else if meta.path.is_ident("version") {
                options.version = Some(meta.value()?.parse()?);
            } else {
                return Err(meta.error(
                    "`message` knows `reply = Type`, `name = \"area/what\"`, `version = 1` and `crate = path`",
                ));
            }
            Ok(())
        })?;
    }
    Ok(options)
}

/// A message with a name may leave the process.
fn wire(input: &DeriveInput, options: &Options) -> Result<TokenStream> {
    let (Some(name), krate) = (&options.name, &options.krate) else {
        return match &options.version {
            Some(version) => Err(Error::new_spanned(version, "a version needs a name: `name = \"area/what\"`")),
            None => Ok(TokenStream::new()),
        };
    };
    if name.value().is_empty() {
        return Err(Error::new_spanned(name, "the name is empty"));
    }
    if !input.generics.params.is_empty() {
        return Err(Error::new_spanned(&input.generics, "a message with a name has one layout, so no parameters"));
    }

    let variants: Vec<(String, &Fields)> = match &input.data {
        Data::Struct(data) => vec![(String::new(), &data.fields)],
        Data::Enum(data) => data.variants.iter().map(|v| (v.ident.to_string(), &v.fields)).collect(),
        Data::Union(data) => return Err(Error::new_spanned(data.union_token, "a message is no union")),
    };
    let mut text = String::new();
    for (variant, fields) in &variants {
        text.push_str(variant);
        text.push_str(&layout(fields.iter().map(|field| (field.ident.as_ref(), &field.ty))));
    }
    let reply = &options.reply;
    text.push_str(&format!("->{}", crate::layout::squeezed(reply)));

    let version: u64 = options.version.as_ref().map_or(Ok(1), LitInt::base10_parse)?;
    let fields = variants.iter().flat_map(|(_, fields)| fields.iter().map(|field| &field.ty));
    let ident = &input.ident;
    let whole = [syn::parse_quote!(#ident), syn::parse2(reply.clone())?];
    let portable = assert_portable(krate, fields.cloned().chain(whole));
    Ok(quote! {
        impl #krate::protocol::Wire for #ident {
            const TYPE: #krate::protocol::MessageType = #krate::protocol::MessageType::new(#name, #text, #version);
        }
        #portable
    })
}
