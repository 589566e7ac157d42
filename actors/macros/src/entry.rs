//! `#[posse::main]` and `#[posse::test]`.

use proc_macro2::TokenStream;
use quote::{format_ident, quote};
use syn::parse::Parser;
use syn::{Error, ItemFn, LitBool, LitInt, LitStr, Path, Result};

struct Args {
    /// Run in a simulation, with this many seeds.
    sim: Option<Option<LitInt>>,
    current_thread: bool,
    workers: Option<LitInt>,
    start_paused: Option<LitBool>,
    krate: Path,
}

pub(crate) fn expand(args: TokenStream, item: TokenStream, test: bool, krate: &str) -> Result<TokenStream> {
    let args = parse(args, test, krate)?;
    let mut function: ItemFn = syn::parse2(item)?;
    if let Some(seeds) = &args.sim {
        return simulated(&args, seeds.as_ref(), &function);
    }
    let signature = &mut function.sig;
    if signature.asyncness.take().is_none() {
        return Err(Error::new_spanned(signature.fn_token, "this must be an `async fn`"));
    }
    if let Some(argument) = signature.inputs.first() {
        return Err(Error::new_spanned(argument, "this function takes no arguments"));
    }

    let is_test =
        |attribute: &&syn::Attribute| attribute.path().segments.last().is_some_and(|last| last.ident == "test");
    if let Some(again) = function.attrs.iter().filter(|_| test).find(is_test) {
        return Err(Error::new_spanned(again, "this function is a test already"));
    }

    let krate = &args.krate;
    let flavor = if args.current_thread { quote!(new_current_thread()) } else { quote!(new_multi_thread()) };
    let workers = args.workers.as_ref().map(|workers| quote!(.worker_threads(#workers)));
    let paused = args.start_paused.as_ref().map(|paused| quote!(.start_paused(#paused)));
    let marker = test.then(|| quote!(#[::core::prelude::v1::test]));
    let (attributes, visibility, signature, body) = (&function.attrs, &function.vis, &function.sig, &function.block);
    Ok(quote! {
        #marker
        #(#attributes)*
        #visibility #signature {
            #krate::runtime::Builder::#flavor
                #workers
                #paused
                .build()
                .expect("the runtime could not be built")
                .block_on(async #body)
        }
    })
}

/// A test in a simulated world, once for each seed.
fn simulated(args: &Args, seeds: Option<&LitInt>, function: &ItemFn) -> Result<TokenStream> {
    let signature = &function.sig;
    if signature.asyncness.is_none() {
        return Err(Error::new_spanned(signature.fn_token, "this must be an `async fn`"));
    }
    if signature.inputs.len() != 1 {
        return Err(Error::new_spanned(&signature.inputs, "a simulated test takes one argument: `sim: Sim`"));
    }

    let krate = &args.krate;
    let seeds = seeds.map_or_else(|| quote!(0), |seeds| quote!(#seeds));
    let (attributes, visibility, name) = (&function.attrs, &function.vis, &signature.ident);
    let (inputs, output, body) = (&signature.inputs, &signature.output, &function.block);
    Ok(quote! {
        #[::core::prelude::v1::test]
        #(#attributes)*
        #visibility fn #name() {
            async fn body(#inputs) #output #body

            let name = concat!(module_path!(), "::", stringify!(#name));
            #krate::sim::run(#krate::sim::Test { name, seeds: #seeds }, body);
        }
    })
}

/// What takes the place of an argument of Tokio's macros that these do not have.
fn instead_of(argument: &str) -> Option<&'static str> {
    Some(match argument {
        "start_paused" => {
            "a program's time does not stand still; that of a test does: `#[posse::test(start_paused = true)]`"
        }
        "unhandled_panic" => "it is `runtime::Builder::unhandled_panic`",
        "core_threads" | "max_threads" => "it is `workers = N`",
        "name" => "it is `runtime::Builder::name`",
        _ => return None,
    })
}

fn parse(args: TokenStream, test: bool, krate: &str) -> Result<Args> {
    let krate = format_ident!("{krate}");
    let mut parsed =
        Args { sim: None, current_thread: test, workers: None, start_paused: None, krate: syn::parse_quote!(::#krate) };
    let (mut seen, mut flavor) = (Vec::new(), None);
    let parser = syn::meta::parser(|meta| {
        if seen.contains(&meta.path.get_ident().cloned()) {
            return Err(meta.error("this is set twice"));
        }
        seen.push(meta.path.get_ident().cloned());
        if meta.path.is_ident("flavor") {
            let name: LitStr = meta.value()?.parse()?;
            flavor = Some(match name.value().as_str() {
                "current_thread" => true,
                "multi_thread" => false,
                "local" => {
                    return Err(Error::new(name.span(), "futures are `Send`: the flavor is `current_thread`"));
                }
                _ => return Err(Error::new(name.span(), "the flavor is `current_thread` or `multi_thread`")),
            });
            Ok(())
        } else if meta.path.is_ident("workers") || meta.path.is_ident("worker_threads") {
            parsed.workers = Some(meta.value()?.parse()?);
            Ok(())
        } else if test && meta.path.is_ident("start_paused") {
            parsed.start_paused = Some(meta.value()?.parse()?);
            Ok(())
        } else if test && meta.path.is_ident("sim") {
            parsed.sim.get_or_insert(None);
            Ok(())
        } else if test && meta.path.is_ident("seeds") {
            parsed.sim = Some(Some(meta.value()?.parse()?));
            Ok(())
        } else if meta.path.is_ident("crate") {
            parsed.krate = meta.value()?.parse()?;
            Ok(())
        } else if let Some(instead) = meta.path.get_ident().and_then(|name| instead_of(&name.to_string())) {
            Err(meta.error(instead))
        } else {
            Err(meta.error(
                "known are `flavor = \"..\"`, `workers = N` and `crate = path`, for tests also `start_paused = true`, `sim` and `seeds = N`",
            ))
        }
    });
    parser.parse2(args)?;
    match (flavor, &parsed.workers) {
        (Some(true), Some(workers)) => {
            return Err(Error::new(workers.span(), "a number of workers needs the flavor `multi_thread`"));
        }
        (Some(current_thread), _) => parsed.current_thread = current_thread,
        (None, Some(_)) => parsed.current_thread = false,
        (None, None) => {}
    }
    Ok(parsed)
}
