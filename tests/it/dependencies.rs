//! What a program takes in with `posse` and no feature of it: each package is one more to be built, to be trusted and to be kept.

use std::path::Path;
use std::process::Command;

/// Packages of others on Linux, with those that run while something is built. Why each is there is said in Cargo.toml and in ARCHITECTURE.md.
const OTHERS: [&str; 40] = [
    // The code that macros write: serde's and ours.
    "proc-macro2",
    "quote",
    "serde",
    "serde_core",
    "serde_derive",
    "syn",
    "unicode-ident",
    // Messages as bytes.
    "bincode",
    "bytes",
    "unty",
    // Names.
    "dashmap",
    "hashbrown",
    "lock_api",
    "parking_lot_core",
    "scopeguard",
    "smallvec",
    // Queues of tasks.
    "crossbeam-deque",
    "crossbeam-epoch",
    "crossbeam-utils",
    // Traits.
    "futures-core",
    "futures-io",
    "futures-sink",
    // The system.
    "errno",
    "libc",
    "linux-raw-sys",
    "memoffset",
    "mio",
    "nix",
    "rustix",
    "signal-hook",
    "signal-hook-registry",
    "socket2",
    // Events.
    "once_cell",
    "pin-project-lite",
    "tracing",
    "tracing-core",
    // What those share.
    "autocfg",
    "bitflags",
    "cfg-if",
    "cfg_aliases",
];

/// The packages that a package needs on this machine, with their versions, sorted.
fn packages(package: &str) -> Vec<String> {
    let output = Command::new(env!("CARGO"))
        .args(["tree", "--offline", "--edges", "normal,build", "--prefix", "none", "--no-dedupe", "--format", "{p}"])
        .args(["--package", package])
        .current_dir(Path::new(env!("CARGO_MANIFEST_DIR")))
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let text = String::from_utf8(output.stdout).unwrap();
    let name = |line: &str| line.split(' ').take(2).collect::<Vec<_>>().join(" ");
    let mut packages: Vec<_> = text.lines().filter(|line| !line.is_empty()).map(name).collect();
    packages.sort();
    packages.dedup();
    packages
}

#[cfg(target_os = "linux")]
#[test]
fn a_program_takes_in_these_packages_and_each_in_one_version() {
    let mut expected = OTHERS.to_vec();
    expected.extend(["posse", "posse-core", "posse-macros", "posse-net", "posse-wire"]);
    expected.sort_unstable();
    let packages = packages("posse");
    let names: Vec<_> = packages.iter().map(|package| package.split(' ').next().unwrap()).collect();
    // A package in two versions is there twice: syn, of all, is to be built once.
    assert_eq!(names, expected);
}

#[test]
fn the_runtime_alone_takes_in_nothing_of_nodes_and_messages() {
    let packages = packages("posse-rt");
    for absent in ["bincode", "dashmap", "serde_derive", "posse-wire", "posse"] {
        assert!(packages.iter().all(|package| package.split(' ').next() != Some(absent)), "{absent}");
    }
}
