//! `README.md` says of each public function that waits which test drops it. Here it is compared with the functions there are.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

fn collect(folder: &Path, files: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            collect(&path, files);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            files.push(path);
        }
    }
}

/// The Rust files of some folders, with their paths from the root and their texts.
fn sources(folders: &[&str]) -> Vec<(String, String)> {
    let mut files = Vec::new();
    folders.iter().for_each(|folder| collect(&root().join(folder), &mut files));
    let named = |path: PathBuf| {
        let text = fs::read_to_string(&path).unwrap();
        (path.strip_prefix(root()).unwrap().to_str().unwrap().to_owned(), text)
    };
    files.into_iter().map(named).collect()
}

/// The word that a text begins with; `$` is a part of one.
fn word(text: &str) -> &str {
    let end = text.find(|c: char| !c.is_alphanumeric() && c != '_' && c != '$').unwrap_or(text.len());
    &text[..end]
}

/// The functions of a file that give futures, and its types that are futures. What a macro writes down has the names that the macro is
/// given, or, where they are not told from a line, that of the macro's own variable.
fn waiting(text: &str) -> BTreeSet<String> {
    let is_test = |line: &&str| line.starts_with("#[cfg(test)]") || line.starts_with("#[cfg(all(test");
    let lines: Vec<_> = text.lines().take_while(|line| !is_test(line)).collect();
    let mut found = BTreeSet::new();
    // Methods of a trait, and of one that a macro writes a part of, are public without a word.
    let (mut is_trait, mut mac) = (false, "");
    for (at, line) in lines.iter().enumerate() {
        let code = line.trim_start();
        let begins = ["pub trait ", "macro_rules! "].iter().any(|start| line.starts_with(start));
        is_trait = !line.starts_with('}') && (is_trait || begins);
        mac = line.strip_prefix("macro_rules! ").map_or(mac, word);
        let function = code.strip_prefix("pub async fn ").or_else(|| {
            let function = code.strip_prefix("pub fn ").or_else(|| code.strip_prefix("fn ").filter(|_| is_trait));
            function.filter(|_| returns_a_future(&lines[at..]))
        });
        if let Some(function) = function {
            let name = word(function);
            let given = if name == "$name" { given_to(mac, &lines) } else { Vec::new() };
            let name = if given.is_empty() { vec![name] } else { given };
            found.extend(name.into_iter().map(str::to_owned));
        }
        let of_type = code.starts_with("impl").then(|| code.split("Future for ").nth(1)).flatten().map(word);
        let is_public = |ty: &str| ty.starts_with('$') || text.contains(&format!("pub struct {ty}"));
        found.extend(of_type.filter(|ty| is_public(ty)).map(str::to_owned));
    }
    found
}

/// Looks at the head of a function, up to its body.
fn returns_a_future(lines: &[&str]) -> bool {
    let end = lines.iter().position(|line| line.ends_with('{') || line.ends_with(';') || line.ends_with("where"));
    let head = lines[..=end.unwrap_or(0)].concat();
    head.split(" -> ").nth(1).is_some_and(|output| output.starts_with("impl ") && output.contains("Future"))
}

/// The names at the start of the lines that a macro is given.
fn given_to<'a>(mac: &str, lines: &[&'a str]) -> Vec<&'a str> {
    let call = format!("{mac}! {{");
    let given = lines.iter().skip_while(|line| line.trim() != call).skip(1).take_while(|line| line.trim() != "}");
    given.map(|line| line.trim_start()).filter(|line| line.ends_with(';')).map(word).collect()
}

/// A row of the table: a file, functions of it, and the tests that drop them, or why there is none.
struct Row<'a> {
    file: &'a str,
    functions: Vec<&'a str>,
    tests: Vec<&'a str>,
    reason: &'a str,
}

/// What stands between backquotes.
fn quoted(cell: &str) -> Vec<&str> {
    cell.split('`').skip(1).step_by(2).collect()
}

fn rows(table: &str) -> Vec<Row<'_>> {
    let cells = table.lines().filter(|line| line.starts_with("| `")).map(|line| line.split('|').collect::<Vec<_>>());
    cells
        .map(|cells| Row {
            file: quoted(cells[1])[0],
            functions: quoted(cells[2]),
            tests: quoted(cells[3]),
            reason: cells[3].trim(),
        })
        .collect()
}

#[test]
fn every_public_function_that_waits_is_dropped_by_a_test() {
    let table = fs::read_to_string(root().join("tests/it/drops/README.md")).unwrap();
    let rows = rows(&table);
    let mut listed = BTreeSet::new();
    for row in &rows {
        for function in &row.functions {
            assert!(listed.insert((row.file.to_owned(), (*function).to_owned())), "twice: {} {function}", row.file);
        }
    }
    let mut there = BTreeSet::new();
    for (file, text) in sources(&["core/src", "net/src", "actors/src"]) {
        there.extend(waiting(&text).into_iter().map(|function| (file.clone(), function)));
    }
    let missing: Vec<_> = there.difference(&listed).collect();
    let gone: Vec<_> = listed.difference(&there).collect();
    assert!(missing.is_empty(), "tests/it/drops/README.md does not say what drops {missing:#?}");
    assert!(gone.is_empty(), "tests/it/drops/README.md lists what there is not: {gone:#?}");
}

#[test]
fn every_test_of_the_table_is_there() {
    let table = fs::read_to_string(root().join("tests/it/drops/README.md")).unwrap();
    let tests = sources(&["tests/it/drops"]);
    for row in rows(&table) {
        assert!(!row.reason.is_empty(), "{}: {:?}", row.file, row.functions);
        for test in row.tests {
            let (module, name) = test.split_once("::").expect("a module and a test");
            // By a macro the name stands in front of what it is given.
            let (plain, simulated, by_macro) =
                (format!("fn {name}()"), format!("fn {name}(sim"), format!("    {name}: "));
            let is_there = tests.iter().any(|(path, text)| {
                *path == format!("tests/it/drops/{module}.rs")
                    && [&plain, &simulated, &by_macro].iter().any(|text_of| text.contains(text_of.as_str()))
            });
            assert!(is_there, "{}: there is no {test}", row.file);
        }
    }
}

#[test]
fn functions_that_wait_are_found_in_every_shape() {
    let text = "pub async fn plain() {}\nfn own() -> impl Future {}\npub fn head(\n    a: u8,\n) -> impl Future<Output = ()> {\n}
macro_rules! calls {\n        pub async fn $name() {}\n}\ncalls! {\n    read(path) -> u8;\n    write(path) -> u8;\n}
pub struct Handle;\nimpl Future for Handle {\nimpl Future for Private {
pub trait Ext {\n    fn of_a_trait(&mut self) -> impl Future<Output = ()>\n    where\n}\nimpl Ext for u8 {\n    fn no(&self) -> impl Future;\n}
        pub async fn $wait() {}\n#[cfg(test)]\npub async fn test() {}\n";
    let found = waiting(text);
    let found: Vec<_> = found.iter().map(String::as_str).collect();
    assert_eq!(found, ["$wait", "Handle", "head", "of_a_trait", "plain", "read", "write"]);
}
