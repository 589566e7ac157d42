//! The events that `docs/guide/events.md` lists.

use std::collections::BTreeSet;
use std::path::Path;

/// A line of the table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Row {
    pub target: String,
    pub level: String,
    pub text: String,
    pub fields: BTreeSet<String>,
}

/// A cell without what stands in brackets, which is for people.
fn without_notes(cell: &str) -> String {
    let mut depth = 0;
    let kept = cell.chars().filter(|c| {
        depth += i32::from(*c == '(') - i32::from(*c == ')');
        depth == 0 && *c != ')'
    });
    kept.collect::<String>().trim().to_owned()
}

/// All of them.
pub fn rows() -> Vec<Row> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/guide/events.md");
    let guide = std::fs::read_to_string(path).unwrap();
    let table = guide.split("\n## Events\n").nth(1).unwrap().split("\n## ").next().unwrap();
    let lines = table.lines().filter(|line| line.starts_with("| `posse::"));
    let row = |line: &str| {
        let cells: Vec<_> = line.trim_matches('|').split('|').map(str::trim).collect();
        let [target, level, text, fields] = cells[..] else { panic!("{line}") };
        Row {
            target: target.trim_matches('`').to_owned(),
            level: level.to_owned(),
            text: without_notes(text),
            fields: without_notes(fields).split('`').skip(1).step_by(2).map(str::to_owned).collect(),
        }
    };
    lines.map(row).collect()
}
