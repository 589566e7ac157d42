//! `#[posse::main]` and `#[posse::test]`.

use proc_macro2::TokenStream;
use quote::quote;
use syn::parse::Parser;
use syn::{Error, ItemFn, LitInt, LitStr, Path, Result};

struct Args {
    current_thread: bool,
    workers: Option<LitInt>,
    krate: Path,
}

pub(crate) fn expand(args: TokenStream, item: TokenStream, test: bool) -> Result<TokenStream> {
    let args = parse(args, test)?;
    let mut function: ItemFn = syn::parse2(item)?;
    let signature = &mut function.sig;
    if signature.asyncness.take().is_none() {
        return Err(Error::new_spanned(signature.fn_token, "this must be an `async fn`"));
    }
    if let Some(argument) = signature.inputs.first() {
        return Err(Error::new_spanned(argument, "this function takes no arguments"));
    }

    let krate = &args.krate;
    let flavor = if args.current_thread { quote!(new_current_thread()) } else { quote!(new_multi_thread()) };
    let workers = args.workers.as_ref().map(|workers| quote!(.worker_threads(#workers)));
    let marker = test.then(|| quote!(#[::core::prelude::v1::test]));
    let (attributes, visibility, signature, body) = (&function.attrs, &function.vis, &function.sig, &function.block);
    Ok(quote! {
        #marker
        #(#attributes)*
        #visibility #signature {
            #krate::runtime::Builder::#flavor
                #workers
                .build()
                .expect("the runtime could not be built")
                .block_on(async #body)
        }
    })
}

fn parse(args: TokenStream, test: bool) -> Result<Args> {
    let mut parsed = Args { current_thread: test, workers: None, krate: syn::parse_quote!(::posse) };
    let parser = syn::meta::parser(|meta| {
        if meta.path.is_ident("flavor") {
            let flavor: LitStr = meta.value()?.parse()?;
            parsed.current_thread = match flavor.value().as_str() {
                "current_thread" => true,
                "multi_thread" => false,
                _ => return Err(Error::new(flavor.span(), "the flavor is `current_thread` or `multi_thread`")),
            };
            Ok(())
        } else if meta.path.is_ident("workers") || meta.path.is_ident("worker_threads") {
            parsed.workers = Some(meta.value()?.parse()?);
            parsed.current_thread = false;
            Ok(())
        } else if meta.path.is_ident("crate") {
            parsed.krate = meta.value()?.parse()?;
            Ok(())
        } else {
            Err(meta.error("known are `flavor = \"..\"`, `workers = N` and `crate = path`"))
        }
    });
    parser.parse2(args)?;
    Ok(parsed)
}
