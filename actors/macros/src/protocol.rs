//! `#[posse::protocol]`.

use crate::layout::{assert_portable, layout, squeezed};
use proc_macro2::{TokenStream, TokenTree};
use quote::{ToTokens, format_ident, quote};
use syn::parse::Parser;
use syn::{
    Attribute, Error, FnArg, Ident, ItemTrait, LitStr, Pat, Path, Result, ReturnType, TraitItem, TraitItemFn, Type,
    Visibility,
};

/// Methods that every reference has.
const TAKEN: [&str; 9] = ["tell", "try_tell", "ask", "recipient", "id", "is_local", "closed", "from_raw", "raw"];

struct Args {
    krate: Path,
    name: Option<LitStr>,
}

struct Method {
    docs: Vec<Attribute>,
    attributes: Vec<Attribute>,
    name: Ident,
    message: Ident,
    fields: Vec<(Ident, Type)>,
    reply: Option<Type>,
}

pub(crate) fn expand(args: TokenStream, item: TokenStream) -> Result<TokenStream> {
    let args = parse_args(args)?;
    let item: ItemTrait = syn::parse2(item)?;
    if let Some(parameter) = item.generics.params.first() {
        return Err(Error::new_spanned(parameter, "a protocol has no parameters: its messages have one layout"));
    }
    if let Some(bound) = item.supertraits.first() {
        return Err(Error::new_spanned(bound, "a protocol lists its messages itself: no supertraits"));
    }
    let methods = item.items.iter().map(method).collect::<Result<Vec<_>>>()?;
    if methods.is_empty() {
        return Err(Error::new_spanned(&item.ident, "a protocol has at least one message"));
    }

    for (n, method) in methods.iter().enumerate() {
        if method.message == item.ident || methods[..n].iter().any(|former| former.message == method.message) {
            let text = format!("the message of this function would be a second `{}`", method.message);
            return Err(Error::new_spanned(&method.name, text));
        }
        // Else the compiler complains of everything that either of the two types has.
        let types = method.fields.iter().map(|(_, ty)| ty).chain(&method.reply);
        if let Some(meant) = types.filter_map(|ty| named(&method.message, ty.to_token_stream())).next() {
            let (message, name) = (&method.message, &method.name);
            let text = format!(
                "the message of this function is a type `{message}` of its own: give the function another name, such as `get_{name}`"
            );
            return Err(Error::new(meant.span(), text));
        }
    }

    let name = args.name.as_ref().map_or_else(|| item.ident.to_string(), LitStr::value);
    let messages = methods.iter().map(|method| message(&args.krate, &name, &item.vis, method));
    let view = view(&args.krate, &name, &item, &methods);
    Ok(quote! { #(#messages)* #view })
}

fn parse_args(args: TokenStream) -> Result<Args> {
    let mut parsed = Args { krate: syn::parse_quote!(::posse), name: None };
    let parser = syn::meta::parser(|meta| {
        if meta.path.is_ident("crate") {
            parsed.krate = meta.value()?.parse()?;
        } else if meta.path.is_ident("name") {
            parsed.name = Some(meta.value()?.parse()?);
        } else {
            return Err(meta.error("`protocol` knows `name = \"..\"` and `crate = path`"));
        }
        Ok(())
    });
    parser.parse2(args)?;
    Ok(parsed)
}

fn method(item: &TraitItem) -> Result<Method> {
    let TraitItem::Fn(TraitItemFn { attrs, sig, default, .. }) = item else {
        return Err(Error::new_spanned(item, "a protocol holds nothing but `async fn`: each is a message"));
    };
    if sig.asyncness.is_none() {
        return Err(Error::new_spanned(sig.fn_token, "a message is an `async fn`: its reply takes time"));
    }
    if let Some(block) = default {
        return Err(Error::new_spanned(block, "a protocol says what, not how: write the body in `impl Handler<..>`"));
    }
    if let Some(parameter) = sig.generics.params.first() {
        return Err(Error::new_spanned(parameter, "a message has one layout: no parameters"));
    }
    if TAKEN.contains(&sig.ident.to_string().as_str()) {
        return Err(Error::new_spanned(&sig.ident, "every reference has a method of this name already"));
    }
    let reply = match &sig.output {
        ReturnType::Default => None,
        ReturnType::Type(_, ty) => Some((**ty).clone()),
    };
    let (docs, attributes) = attrs.iter().cloned().partition(|attribute| attribute.path().is_ident("doc"));
    let fields = sig.inputs.iter().map(field).collect::<Result<Vec<_>>>()?;
    Ok(Method { docs, attributes, name: sig.ident.clone(), message: camel(&sig.ident), fields, reply })
}

fn field(argument: &FnArg) -> Result<(Ident, Type)> {
    let FnArg::Typed(argument) = argument else {
        return Err(Error::new_spanned(argument, "a message has no `self`: list its fields alone"));
    };
    match &*argument.pat {
        Pat::Ident(name) if name.by_ref.is_none() && name.mutability.is_none() && name.subpat.is_none() => {
            Ok((name.ident.clone(), (*argument.ty).clone()))
        }
        other => Err(Error::new_spanned(other, "a field of a message is a plain name")),
    }
}

/// `add_two` becomes `AddTwo`.
fn camel(name: &Ident) -> Ident {
    let words = name.to_string();
    let words = words.strip_prefix("r#").unwrap_or(&words).split('_').filter(|word| !word.is_empty());
    let mut camel = String::new();
    for word in words {
        let mut letters = word.chars();
        camel.extend(letters.next().into_iter().flat_map(char::to_uppercase));
        camel.push_str(letters.as_str());
    }
    format_ident!("{camel}", span = name.span())
}

/// Where a type names another one by its bare name.
fn named(name: &Ident, ty: TokenStream) -> Option<Ident> {
    let mut is_in_path = false;
    for token in ty {
        match token {
            TokenTree::Ident(found) if found == *name && !is_in_path => return Some(found),
            TokenTree::Group(group) => {
                if let Some(found) = named(name, group.stream()) {
                    return Some(found);
                }
                is_in_path = false;
            }
            TokenTree::Punct(punct) => is_in_path = punct.as_char() == ':',
            _ => is_in_path = false,
        }
    }
    None
}

/// The struct of one message.
fn message(krate: &Path, protocol: &str, visibility: &Visibility, method: &Method) -> TokenStream {
    let Method { docs, attributes, name, message, fields, reply } = method;
    let serde = squeezed(&quote!(#krate::__private::serde));
    let id = format!("{protocol}/{name}");
    let reply = reply.clone().unwrap_or_else(|| syn::parse_quote!(()));
    let text = layout(fields.iter().map(|(name, ty)| (Some(name), ty))) + "->" + &squeezed(&reply);
    let portable = assert_portable(krate, fields.iter().map(|(_, ty)| ty.clone()).chain([reply.clone()]));
    let summary = if docs.is_empty() {
        let text = format!("The message `{name}` of the protocol `{protocol}`.");
        quote!(#[doc = #text])
    } else {
        quote!(#(#docs)*)
    };
    let (names, types): (Vec<_>, Vec<_>) = fields.iter().map(|(name, ty)| (name, ty)).unzip();
    // Serde hands a list of bytes over one by one unless it is told that they are bytes.
    let byte_list = squeezed(&quote!(#krate::__private::byte_list));
    let hints = types.iter().map(|ty| (squeezed(ty) == "Vec<u8>").then(|| quote!(#[serde(with = #byte_list)])));
    quote! {
        #summary
        #(#attributes)*
        #[derive(#krate::__private::serde::Serialize, #krate::__private::serde::Deserialize)]
        #[serde(crate = #serde)]
        #visibility struct #message {
            #(#hints #[allow(missing_docs)] pub #names: #types,)*
        }
        impl #krate::Message for #message {
            type Reply = #reply;
        }
        impl #krate::protocol::Wire for #message {
            const TYPE: #krate::protocol::MessageType = #krate::protocol::MessageType::new(#id, #text, 1);
        }
        #portable
    }
}

/// The protocol's type, with a method for each message.
fn view(krate: &Path, name: &str, item: &ItemTrait, methods: &[Method]) -> TokenStream {
    let (view, visibility, attributes) = (&item.ident, &item.vis, &item.attrs);
    let messages: Vec<_> = methods.iter().map(|method| &method.message).collect();
    let indexes = 0..methods.len();
    let calls = methods.iter().map(|method| {
        let Method { docs, name, message, fields, reply, .. } = method;
        let (names, types): (Vec<_>, Vec<_>) = fields.iter().map(|(name, ty)| (name, ty)).unzip();
        let verb = if reply.is_some() { quote!(ask) } else { quote!(tell) };
        let future = if reply.is_some() { quote!(Ask) } else { quote!(Tell) };
        quote! {
            #(#docs)*
            #visibility fn #name(&self, #(#names: #types),*) -> #krate::#future<#message, #krate::ActorRef<Self>> {
                #krate::ActorRef::<Self>::from_raw(::core::clone::Clone::clone(&self.0)).#verb(#message { #(#names),* })
            }
        }
    });
    quote! {
        #(#attributes)*
        #[derive(Debug)]
        #visibility struct #view(#krate::protocol::RawRef);
        impl #view {
            #(#calls)*
        }
        impl #krate::protocol::Protocol for #view {
            const NAME: &'static str = #name;
            const MESSAGES: &'static [#krate::protocol::MessageType] = &[#(<#messages as #krate::protocol::Wire>::TYPE),*];
            fn from_raw(raw: #krate::protocol::RawRef) -> Self {
                Self(raw)
            }
            fn raw(&self) -> &#krate::protocol::RawRef {
                &self.0
            }
        }
        #(impl #krate::protocol::Accepts<#messages> for #view {
            const INDEX: usize = #indexes;
        })*
        impl<__A: #krate::Actor> #krate::protocol::ServedBy<__A> for #view
        where
            #(__A: #krate::Handler<#messages>,)*
        {
            const HANDLERS: &'static [#krate::__private::HandlerEntry<__A>] =
                &[#(#krate::__private::HandlerEntry::<__A>::of::<#messages>()),*];
        }
        const _: () = #krate::__private::assert_distinct(<#view as #krate::protocol::Protocol>::MESSAGES);
    }
}
