//! Programs that were written for Tokio and run on Posse: what had to change, and that they do the same.

mod drive;

use crate::counterparts::{self, skip};
use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

const PROGRAMS: [&str; 3] = ["echo", "chat", "service"];

/// The lines that only the first text has, and those that only the second has, by a longest common subsequence.
fn difference<'a>(one: &'a str, other: &'a str) -> [Vec<&'a str>; 2] {
    let (one, other): (Vec<_>, Vec<_>) = (one.lines().collect(), other.lines().collect());
    let mut common = vec![vec![0; other.len() + 1]; one.len() + 1];
    for i in (0..one.len()).rev() {
        for j in (0..other.len()).rev() {
            let longest = common[i + 1][j].max(common[i][j + 1]);
            common[i][j] = if one[i] == other[j] { common[i + 1][j + 1] + 1 } else { longest };
        }
    }
    let (mut i, mut j) = (0, 0);
    let [mut removed, mut added] = [Vec::new(), Vec::new()];
    while i < one.len() || j < other.len() {
        if i < one.len() && j < other.len() && one[i] == other[j] {
            (i, j) = (i + 1, j + 1);
        } else if j == other.len() || i < one.len() && common[i + 1][j] >= common[i][j + 1] {
            removed.push(one[i].trim());
            i += 1;
        } else {
            added.push(other[j].trim());
            j += 1;
        }
    }
    [removed, added]
}

/// What the guide says that changes besides: the code in the first and in the second column of its table.
fn guide(text: &str) -> [BTreeSet<&str>; 2] {
    let section = text.split("## Three programs\n").nth(1).expect("the guide has the section");
    let section = section.split("\n## ").next().unwrap_or_default();
    let rows: Vec<Vec<_>> =
        section.lines().filter(|line| line.starts_with("| `")).map(|row| row.split(" | ").collect()).collect();
    [0, 1].map(|column| rows.iter().flat_map(|row| row[column].split('`').skip(1).step_by(2)).collect())
}

#[test]
fn a_port_changes_use_lines_attributes_and_what_the_guide_lists() {
    let place = Path::new(env!("CARGO_MANIFEST_DIR"));
    let text = |path: String| fs::read_to_string(place.join(path)).unwrap();
    let expected = text("../../docs/guide/from-tokio.md".to_owned());
    let expected = guide(&expected);
    let mut seen = [BTreeSet::new(), BTreeSet::new()];
    for program in PROGRAMS {
        let (tokio, posse) = (text(format!("ports/{program}/tokio.rs")), text(format!("ports/{program}/posse.rs")));
        assert!(!posse.contains("tokio::"), "{program} names Tokio");
        let changed = difference(&tokio, &posse);
        for side in [0, 1] {
            let other = changed[side].iter().filter(|line| !line.starts_with("use ") && !line.starts_with("#["));
            seen[side].extend(other.map(|line| (*line).to_owned()));
        }
    }
    for side in [0, 1] {
        assert!(seen[side].iter().map(String::as_str).eq(expected[side].iter().copied()), "{seen:#?}\n{expected:#?}");
    }
}

fn program(name: &str) -> std::process::Command {
    drive::program("posse-ecosystem", &format!("ported_{name}"))
}

#[test]
fn the_port_of_the_echo_echoes() {
    drive::echo(&mut program("echo"));
}

#[test]
fn the_port_of_the_chat_passes_on_what_is_said() {
    drive::chat(&mut program("chat"));
}

#[test]
fn the_port_of_the_service_keeps_notes() {
    let Some(database) = counterparts::postgres() else { return skip("postgresql") };
    drive::service(&mut program("service"), database.address, "-INT");
    drive::service(&mut program("service"), database.address, "-TERM");
}
