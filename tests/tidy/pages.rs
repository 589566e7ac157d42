//! Pages: what their tables name as shown by a test or an example is there.

use super::{names, root, sources};
use std::fs;

/// The rows of the table after a heading, cell by cell.
fn table<'a>(text: &'a str, heading: &str) -> Vec<Vec<&'a str>> {
    let part = text.split(heading).nth(1).unwrap().split("\n## ").next().unwrap();
    let lines = part.lines().filter(|line| line.starts_with("| "));
    let rows: Vec<_> = lines.map(|line| line.trim_matches('|').split(" | ").map(str::trim).collect()).collect();
    assert!(rows.len() > 2, "no table after {heading}");
    rows[1..].to_vec()
}

fn quoted(text: &str) -> impl Iterator<Item = &str> {
    text.split('`').skip(1).step_by(2)
}

#[test]
fn every_row_of_the_readmes_tables_names_what_shows_it() {
    let readme = fs::read_to_string(root().join("README.md")).unwrap();
    let mut missing = Vec::new();
    for row in table(&readme, "## The runtime beside Tokio") {
        let (posse, shown_by) = (row[2], row.get(3).copied().unwrap_or_default());
        if quoted(shown_by).next().is_none() && posse != "no" && !posse.starts_with("no;") {
            missing.push(format!("what shows: {}", row[0]));
        }
        let mut file = String::new();
        for name in quoted(shown_by) {
            if name.contains('/') {
                file = fs::read_to_string(root().join(name)).unwrap_or_default();
            }
            if file.is_empty() || !(name.contains('/') || names(&file, &format!("fn {name}"))) {
                missing.push(name.to_owned());
            }
        }
    }
    for row in table(&readme, "## What is guaranteed") {
        missing.extend(quoted(row[1]).filter(|name| !root().join(name).exists()).map(str::to_owned));
    }
    assert!(missing.is_empty(), "not there: {missing:#?}");
}

#[test]
fn every_test_that_the_pages_on_tests_name_is_there() {
    let sources = sources();
    let is_there = |name: &str| match name.strip_suffix("..") {
        Some(start) => sources.iter().any(|(_, text)| text.contains(&format!("fn {start}"))),
        None => sources.iter().any(|(_, text)| names(text, &format!("fn {name}"))),
    };
    let is_test = |name: &&str| {
        let is_name = name.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_' || c == '.');
        is_name && (name.ends_with("_..") || name.matches('_').count() > 2)
    };
    let mut count = 0;
    for page in ["tests/README.md", "net/tests/README.md"] {
        let text = fs::read_to_string(root().join(page)).unwrap();
        for cell in text.lines().filter_map(|line| line.strip_suffix(" |")?.rsplit(" | ").next()) {
            for name in quoted(cell).filter_map(|name| name.rsplit("::").next()).filter(is_test) {
                assert!(is_there(name), "{page} names {name}, which is not there");
                count += 1;
            }
        }
    }
    assert!(count > 20, "the tests were not found");
}

#[test]
fn every_path_that_the_scripts_name_is_there() {
    let mut found = 0;
    for script in fs::read_dir(root().join(".ci")).unwrap() {
        let text = fs::read_to_string(script.unwrap().path()).unwrap();
        let words = text.split(|c: char| !(c.is_ascii_alphanumeric() || "_-./".contains(c)));
        let folders = ["core/", "net/", "actors/", "tests/", "examples/", "benches/", ".ci/"];
        for path in
            words.map(|word| word.trim_end_matches('.')).filter(|word| folders.iter().any(|f| word.starts_with(f)))
        {
            assert!(root().join(path).exists(), "{path} is named by a script and not in the tree");
            found += 1;
        }
    }
    assert!(found > 10, "the paths were not found");
}
