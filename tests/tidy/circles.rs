//! Circles of the core's files that lead through several rooms: who names whom, re-exports followed to where a thing is.

use super::{code, sources};
use std::collections::{BTreeMap, BTreeSet};

/// Arrows that lead back, each with the reason why it stays.
const BACK_ARROWS: [(&str, &str); 2] = [
    // In a simulation the closures of the blocking pool are tasks of the simulated world, which stands above the runtime.
    ("runtime/block_on.rs", "sim/world/blocking.rs"),
    ("runtime/handle.rs", "sim/world/blocking.rs"),
];

/// The room of a file. The context is the runtime's; what a simulation has in place of the real world lies below it, the world above.
fn room(file: &str) -> &str {
    match file.split(['/', '.']).next().unwrap() {
        "context" => "runtime",
        "sim" if file.starts_with("sim/env/") => "sim/env",
        room => room,
    }
}

/// A path from the root of the package, without `crate`.
type Path = Vec<String>;

#[derive(Default)]
struct Module {
    file: String,
    /// What it names: after `use`, and in full in its code.
    named: Vec<Path>,
    /// Names that it imports, and those that it shows to others, with where they lead.
    imports: BTreeMap<String, Path>,
    exports: BTreeMap<String, Path>,
}

/// The path of a module by that of its file.
fn module_of(file: &str) -> Path {
    let path = file.trim_end_matches(".rs").trim_end_matches("/mod");
    if path == "lib" { Path::new() } else { path.split('/').map(str::to_owned).collect() }
}

/// The leaves of the tree behind a `use`, each with the name that it gets.
fn leaves(tree: &str, before: &[String], found: &mut Vec<(Path, String)>) {
    let (path, branches) = tree.split_once('{').map_or((tree, None), |(path, rest)| (path, Some(rest)));
    let (path, alias) = path.split_once(" as ").map_or((path, None), |(path, alias)| (path, Some(alias.trim())));
    let mut full = before.to_vec();
    full.extend(path.split("::").map(str::trim).filter(|part| !part.is_empty() && *part != "self").map(str::to_owned));
    let Some(branches) = branches else {
        // `self` at the beginning of a path is the module itself, at its end what is before it.
        let full = if before.is_empty() && path.trim_start().starts_with("self") {
            [vec!["self".into()], full].concat()
        } else {
            full
        };
        let name = alias.map_or_else(|| full.last().cloned().unwrap_or_default(), str::to_owned);
        return found.push((full, name));
    };
    let (mut depth, mut from) = (0, 0);
    for (at, letter) in branches.char_indices() {
        match letter {
            '{' => depth += 1,
            '}' if depth > 0 => depth -= 1,
            ',' | '}' if depth == 0 => {
                if !branches[from..at].trim().is_empty() {
                    leaves(branches[from..at].trim(), &full, found);
                }
                from = at + 1;
            }
            _ => {}
        }
    }
}

/// Names joined by `::` in a line of code.
fn paths(line: &str) -> impl Iterator<Item = Path> {
    let parts = line.split(|letter: char| !letter.is_alphanumeric() && letter != '_' && letter != ':');
    parts.filter(|part| part.contains("::")).map(|part| part.split("::").map(str::to_owned).collect())
}

impl Module {
    fn read(file: &str, text: &str) -> Self {
        let mut module = Self { file: file.to_owned(), ..Self::default() };
        let mut lines = code(text).map(str::trim);
        while let Some(line) = lines.next() {
            let start = ["use ", "pub use ", "pub(crate) use ", "pub(super) use "]
                .iter()
                .find(|start| line.starts_with(**start));
            let Some(start) = start else {
                module.named.extend(paths(line));
                continue;
            };
            let mut tree = line[start.len()..].to_owned();
            while !tree.ends_with(';') {
                tree.push_str(lines.next().unwrap());
            }
            let mut found = Vec::new();
            leaves(tree.trim_end_matches(';'), &[], &mut found);
            let names = if start.starts_with("pub") { &mut module.exports } else { &mut module.imports };
            for (path, name) in found {
                names.insert(name, path.clone());
                // What a module shows to others it need not know itself.
                if !start.starts_with("pub") {
                    module.named.push(path);
                }
            }
        }
        module
    }
}

/// The file that a path of a module leads to, if it is one of ours.
fn resolve<'a>(modules: &'a BTreeMap<Path, Module>, from: &[String], path: &[String], depth: usize) -> Option<&'a str> {
    let parts: Path = match path.first()?.as_str() {
        "crate" => path[1..].to_vec(),
        "self" => [from, &path[1..]].concat(),
        "super" => {
            let ups = path.iter().take_while(|part| *part == "super").count();
            [&from[..from.len().checked_sub(ups)?], &path[ups..]].concat()
        }
        first => match modules[from].imports.get(first).filter(|import| *import != path && depth < 8) {
            Some(import) => return resolve(modules, from, &[import, &path[1..]].concat(), depth + 1),
            None => [from, path].concat(),
        },
    };
    let known = (0..=parts.len()).rev().find(|len| modules.contains_key(&parts[..*len]))?;
    let module = &modules[&parts[..known]];
    let export = parts.get(known).and_then(|name| module.exports.get(name)).filter(|_| depth < 8);
    let shown =
        export.and_then(|export| resolve(modules, &parts[..known], &[export, &parts[known + 1..]].concat(), depth + 1));
    // A name that is no module's and nobody's export is foreign, unless the path says that it is ours.
    let is_ours = known > from.len() || matches!(path[0].as_str(), "crate" | "self" | "super");
    shown.or((is_ours && known > 0).then_some(&module.file))
}

/// Arrows from room to room that are part of a circle.
fn circles(modules: &BTreeMap<Path, Module>) -> BTreeSet<(&str, &str)> {
    let mut arrows: BTreeSet<(&str, &str)> = BTreeSet::new();
    for (path, module) in modules {
        let to = module.named.iter().filter_map(|named| resolve(modules, path, named, 0));
        arrows.extend(
            to.map(|to| (&*module.file, to)).filter(|arrow| arrow.0 != arrow.1 && !BACK_ARROWS.contains(arrow)),
        );
    }
    let reached = |from: &str| {
        let (mut seen, mut left) = (BTreeSet::new(), vec![from]);
        while let Some(file) = left.pop() {
            let next = arrows.iter().filter(|(at, _)| *at == file).map(|(_, to)| *to);
            left.extend(next.filter(|to| seen.insert(*to)).collect::<Vec<_>>());
        }
        seen
    };
    let crossing = arrows.iter().filter(|(from, to)| room(from) != room(to));
    crossing.filter(|(from, to)| reached(to).contains(from)).copied().collect()
}

fn modules(files: &[(String, String)]) -> BTreeMap<Path, Module> {
    let is_code = |file: &str| !file.ends_with("tests.rs") && !file.ends_with("loom_models.rs") && file != "testing.rs";
    let ours = files.iter().filter_map(|(path, text)| Some((path.strip_prefix("core/src/")?, text)));
    // Without the feature `sim` this file stands for the room of that name.
    ours.filter(|(file, _)| is_code(file) && *file != "sim_absent.rs" && *file != "lib.rs")
        .map(|(file, text)| (module_of(file), Module::read(file, text)))
        .collect()
}

#[test]
fn no_circle_of_the_cores_files_leads_through_two_rooms() {
    let modules = modules(&sources());
    assert!(modules.len() > 100, "the core was not found");
    assert_eq!(circles(&modules), BTreeSet::new());
}

#[test]
fn a_circle_is_found_through_a_re_export() {
    let file = |path: &str, text: &str| (format!("core/src/{path}"), text.to_owned());
    let files = [
        file("runtime/mod.rs", "//! x\npub use handle::{Handle, self as other};"),
        file(
            "runtime/handle.rs",
            "//! x\nuse crate::scheduler::{\n    queue::Local,\n    worker,\n};\nfn a() { worker::run() }",
        ),
        file("scheduler/worker.rs", "//! x\nuse super::queue;\nuse crate::runtime::Handle;"),
        file("scheduler/queue.rs", "//! x\nuse std::rc::Rc;"),
    ];
    let modules = modules(&files);
    let found: Vec<_> = circles(&modules).into_iter().collect();
    assert_eq!(found, [("runtime/handle.rs", "scheduler/worker.rs"), ("scheduler/worker.rs", "runtime/handle.rs")]);
}
