//! Programs that must not compile, and the words of ours that must be among what the compiler says.
//!
//! Each file in `tests/ui` begins with lines `//~ words`. They are all built by one run of Cargo, as the programs of a
//! package of their own, so that the rest of what the compiler says may change with its version.
#![allow(clippy::unwrap_used)]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// The programs by name, with the words that are expected.
fn programs(root: &Path) -> Vec<(String, Vec<String>)> {
    let files = fs::read_dir(root.join("tests/ui")).unwrap().map(|entry| entry.unwrap().path());
    let mut programs: Vec<_> = files
        .map(|file| {
            let text = fs::read_to_string(&file).unwrap();
            let words = text.lines().filter_map(|line| line.strip_prefix("//~ ")).map(str::to_owned).collect();
            (file.file_stem().unwrap().to_str().unwrap().to_owned(), words)
        })
        .collect();
    programs.sort();
    programs
}

/// Writes a package whose programs are those of `tests/ui`.
fn package(root: &Path, programs: &[(String, Vec<String>)]) -> PathBuf {
    let folder = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("ui");
    fs::create_dir_all(&folder).unwrap();
    let quoted = |path: PathBuf| format!("{:?}", path.to_str().unwrap());
    let mut manifest = format!(
        "[package]\nname = \"ui\"\nversion = \"0.0.0\"\nedition = \"2024\"\nautobins = false\n\n[workspace]\n\n\
         [dependencies]\nposse = {{ path = {} }}\nserde = {{ version = \"1\", features = [\"derive\"] }}\n",
        quoted(root.join("actors"))
    );
    for (name, _) in programs {
        let path = quoted(root.join(format!("tests/ui/{name}.rs")));
        manifest.push_str(&format!("\n[[bin]]\nname = \"{name}\"\npath = {path}\n"));
    }
    fs::write(folder.join("Cargo.toml"), manifest).unwrap();
    fs::copy(root.join("Cargo.lock"), folder.join("Cargo.lock")).unwrap();
    folder
}

fn check(folder: &Path, arguments: &[&str]) -> (bool, String) {
    let output = Command::new(env!("CARGO"))
        .args(["check", "--quiet", "--offline", "--color", "never"])
        .args(arguments)
        .current_dir(folder)
        .env("CARGO_TARGET_DIR", folder.join("target"))
        .env_remove("RUSTFLAGS")
        .output()
        .unwrap();
    (output.status.success(), String::from_utf8_lossy(&output.stderr).into_owned())
}

#[test]
fn misuse_does_not_compile_and_is_told_what_to_do() {
    let root = PathBuf::from(env!("CARGO_MANIFEST_DIR"));
    let programs = programs(&root);
    assert!(programs.len() >= 10, "the programs were not found");
    let folder = package(&root, &programs);

    let mut failures = Vec::new();
    for (name, words) in &programs {
        assert!(!words.is_empty(), "{name} says nothing of what it expects");
        let (compiled, said) = check(&folder, &["--bin", name]);
        let said = said.split_whitespace().collect::<Vec<_>>().join(" ");
        if compiled {
            failures.push(format!("{name} compiles"));
        }
        for words in words.iter().filter(|words| !said.contains(*words)) {
            failures.push(format!("{name}: `{words}` is not among: {said}"));
        }
    }
    assert!(failures.is_empty(), "{}", failures.join("\n\n"));
}
