//! `posse-rt` has the runtime and the sockets under the paths that they have in `posse`: a program changes the one name for the other.

use std::fs;
use std::path::Path;

/// The same text for each package: the paths, and a program of the macros and attributes.
macro_rules! program {
    ($module:ident, $posse:ident) => {
        mod $module {
            #![allow(unused_imports)]
            pub use $posse::{bytes, fs, http, hyper, io, net, runtime, stream, sync, task, testing, time};
            pub use $posse::{join, main, pin, select, task_local, test, try_join};
            #[cfg(unix)]
            pub use $posse::{process, signal};

            $posse::task_local! {
                static USER: &'static str;
            }

            #[$posse::test]
            async fn macros_and_attributes_are_there() {
                let greeting = USER.scope("ada", async { USER.with(|user| user.len()) });
                let (name, number) = $posse::join!(greeting, async { 4 });
                let both = $posse::try_join!(async { Ok::<_, ()>(name) }, async { Ok(number) });
                let (name, number) = both.unwrap();
                let never = std::future::pending::<usize>();
                $posse::pin!(never);
                let sum = $posse::select! {
                    sum = async { name + number } => sum,
                    sum = &mut never => sum,
                };
                assert_eq!(sum, 7);
                assert_eq!(
                    $posse::task::spawn(async { $posse::bytes::Bytes::from_static(b"seven") }).await.unwrap().len(),
                    5
                );
            }
        }
    };
}

program!(with_actors, posse);
program!(runtime_alone, posse_rt);

/// They are not only of the same name but the same: what the one makes the other takes.
#[test]
fn types_of_the_one_are_types_of_the_other() {
    fn socket(socket: with_actors::net::TcpStream) -> runtime_alone::net::TcpStream {
        socket
    }
    fn handle(handle: with_actors::runtime::Handle) -> runtime_alone::runtime::Handle {
        handle
    }
    fn file(file: with_actors::fs::File) -> runtime_alone::fs::File {
        file
    }
    let _ = (socket, handle, file);
    let buffer: with_actors::bytes::Bytes = runtime_alone::bytes::Bytes::from_static(b"the same");
    assert_eq!(buffer.len(), 8);
}

/// The names under which a package shows what it takes from the core, from the sockets' package and from `bytes`, with their conditions.
fn reexports(path: &str) -> Vec<String> {
    let text = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(path)).unwrap();
    let mut condition = "";
    let mut names = Vec::new();
    for line in text.lines() {
        let taken = ["posse_core::", "posse_net::", "posse_net as ", "bytes;"];
        let item = line.strip_prefix("pub use ").filter(|item| taken.iter().any(|start| item.starts_with(start)));
        if let Some(item) = item {
            let list = item
                .rsplit([':', ' '])
                .next()
                .filter(|_| !item.contains('{'))
                .unwrap_or_else(|| item.split(['{', '}']).nth(1).unwrap());
            names.extend(list.trim_end_matches(';').split(", ").map(|name| format!("{condition}{name}")));
        }
        condition = if line.starts_with("#[cfg") { line } else { "" };
    }
    names.sort();
    names
}

#[test]
fn posse_rt_shows_what_posse_shows_of_the_runtime() {
    let names = reexports("net/rt/src/lib.rs");
    assert!(names.len() > 15, "{names:?}");
    assert_eq!(names, reexports("actors/src/lib.rs"));
}

/// A package that is shown whole has its pages here only if it is asked for: the links of its pages would lead out of the documentation.
#[test]
fn packages_that_are_shown_whole_are_documented_where_they_are_shown() {
    for path in ["actors/src/lib.rs", "net/src/lib.rs", "net/rt/src/lib.rs"] {
        let text = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(path)).unwrap();
        let lines: Vec<_> = text.lines().collect();
        let whole = |line: &str| {
            let item = line.strip_prefix("pub use ").and_then(|item| item.strip_suffix(';'));
            item.is_some_and(|item| item == "bytes" || item.ends_with("::bytes") || item.ends_with(" as net"))
        };
        let shown: Vec<_> = (0..lines.len()).filter(|at| whole(lines[*at])).collect();
        assert!(!shown.is_empty(), "{path}");
        for at in shown {
            assert_eq!(lines[at - 1], "#[doc(inline)]", "{path}: {}", lines[at]);
        }
    }
}
