//! House rules as ordinary tests: size, shape, and which crate may be named where.
#![allow(clippy::unwrap_used, missing_docs)]

#[path = "it/event_table.rs"]
mod event_table;
#[path = "tidy/pages.rs"]
mod pages;

use event_table::Row;
use std::fs;
use std::path::{Path, PathBuf};

const CODE_LINES_MAX: usize = 500;

/// The files that may hold `unsafe`, by the end of their path.
const UNSAFE_FILES: &[&str] = &[
    "core/src/io/socket.rs",
    "core/src/mailbox/ask.rs",
    "core/src/mailbox/cell.rs",
    "core/src/mailbox/inbox.rs",
    "core/src/mailbox/loom_models.rs",
    "core/src/mailbox/envelope.rs",
    "core/src/mailbox/pool.rs",
    "core/src/mailbox/queue.rs",
    "core/src/scheduler/current.rs",
    "core/src/scheduler/lifo.rs",
    "core/src/scheduler/local.rs",
    "core/src/scheduler/owned.rs",
    "core/src/sync/lock_guard.rs",
    "core/src/sync/mutex.rs",
    "core/src/sync/rwlock.rs",
    "core/src/raw_task/current.rs",
    "core/src/raw_task/join.rs",
    "core/src/raw_task/raw.rs",
    "core/src/raw_task/waker.rs",
    "core/src/task/local_set.rs",
    "core/src/testing.rs",
    "core/src/loom.rs",
    "net/src/hyper/spare.rs",
    "tests/decoded_memory.rs",
];

/// An outside crate, the start of the paths that may name it.
const ROOMS: [(&str, &[&str]); 9] = [
    ("bincode", &["actors/src/protocol/codec.rs", "tests/decoded_memory.rs"]),
    ("crossbeam_deque", &["core/src/scheduler/queue.rs"]),
    ("mio", &["core/src/io/os/"]),
    ("socket2", &["core/src/io/os/"]),
    ("libc", &["core/src/io/os/"]),
    ("nix", &["core/src/io/os/"]),
    ("rustix", &["core/src/io/os/"]),
    ("signal_hook", &["core/src/signal.rs", "core/src/signal/"]),
    ("dashmap", &["actors/src/system/registry.rs", "actors/src/cluster/exports.rs"]),
];

/// A package's folder, and the packages of ours it must not name.
const ARROWS: [(&str, &[&str]); 3] = [
    ("core/src/", &["posse_net", "posse_wire", "posse_macros", "posse::"]),
    ("net/src/", &["posse_wire", "posse_macros", "posse::"]),
    ("actors/wire/src/", &["posse_core", "posse_net", "posse_macros", "posse::"]),
];

/// The rooms of a package, from the ground up: a file names its own and those below. Those in one line may name each other.
const FLOORS: [(&str, &[&str]); 2] = [
    (
        "core/src/",
        &[
            "util lock loom rng extensions",
            "raw_task events",
            "wait_list wait_set",
            "sim/env sim_absent",
            "time/driver",
            "io/driver io/os",
            "scheduler",
            "context runtime",
            "mailbox",
            "time",
            "io",
            "sync",
            "task",
            "macros signal stream",
            "sim",
        ],
    ),
    ("actors/src/", &["id", "error", "system", "watch", "actor", "protocol", "refs", "supervisor", "cluster", "sim"]),
];

/// The files that name a room above their own all the same: an actor's context makes references to it, and what is sent
/// to an actor by its protocol goes through one.
const BACK_ARROWS: [(&str, &str); 6] = [
    ("actors/src/actor/children.rs", "refs"),
    ("actors/src/actor/context.rs", "refs"),
    ("actors/src/actor/lifecycle.rs", "refs"),
    ("actors/src/protocol/dispatch.rs", "refs"),
    ("actors/src/protocol/mod.rs", "refs"),
    ("actors/src/protocol/scope.rs", "refs"),
];

/// A room of the core, by the start of its path, and the rooms below it that it has nothing to do with.
const CORE_ARROWS: [(&str, &[&str]); 5] = [
    ("core/src/mailbox/", &["context", "io", "scheduler", "time"]),
    ("core/src/time/", &["io", "mailbox", "scheduler", "sim"]),
    ("core/src/io/", &["mailbox", "scheduler"]),
    ("core/src/sync/", &["io", "mailbox", "sim"]),
    ("core/src/task/", &["io", "mailbox", "sim"]),
];

/// A room of the cluster, by the start of its path, and the rooms that it must not name: what a node knows and its relations
/// to others stand below what makes connections, and that below what programs use.
const CLUSTER_ARROWS: [(&str, &[&str]); 7] = [
    ("actors/src/cluster/events", &["connect", "node", "remote", "session"]),
    ("actors/src/cluster/exports", &["connect", "events", "node", "nodes", "remote", "session", "state"]),
    ("actors/src/cluster/nodes", &["connect", "events", "node", "remote", "state"]),
    ("actors/src/cluster/state", &["connect", "node", "remote"]),
    ("actors/src/cluster/session/", &["connect", "node"]),
    ("actors/src/cluster/remote", &["connect", "node"]),
    ("actors/src/cluster/connect/", &["node", "remote"]),
];

/// Words of no party and no number, in the packages: a sentence names the task, the node or the caller, and the parameter.
const VAGUE_WORDS: &[&str] =
    &["Everybody", "Nobody", "So many", "Somebody", "Whoever", "everybody", "nobody", "so many", "somebody", "whoever"];

/// Words that a file of a package does not begin with: it begins with a noun.
const NO_NOUNS: &[&str] = &["How", "What", "When", "Where", "Who", "Whose"];

/// The folders whose files are published.
const PACKAGES: [&str; 5] = ["core/src/", "net/src/", "actors/src/", "actors/wire/src/", "actors/macros/src/"];

/// Words that were given up for those of the field, with the folder where they must not come back.
const WORDS: [(&str, &str); 4] = [
    (
        "core/src/",
        "Choice Credit DRIVING Dice JOURNAL_MAX Lane Living Patience Refusal Stamp Unmade drive_nothing \
         former hand-turned is_driving journal journals note_way room_on_its_way shim",
    ),
    ("net/src/", "Beginning CAPACITY CHUNK Patience is_of_one_connection read_now shutdown_now write_now"),
    (
        "actors/wire/src/",
        "Farewell Goodbye HELD Held Limits Link Outbox Pace Question Told Violation farewell former goodbye \
         is_leaving overflown question refused_now",
    ),
    (
        "actors/src/",
        "Apart DeadReason Debt FindError GREETING_BYTES Goodbye Held Intake LastWords Ledger Limits LocalOp \
         NodeError Owed Pace Place RemoteRef RoomWaiter SHUTDOWN_TIME ServedActor Undelivered Watchable \
         former full_text give_up is_together make_place note_refusal redial_backoff say_refused shim \
         until_connected_at watched_by",
    ),
];

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

/// Every Rust file of ours, with its path from the root and its text.
fn sources() -> Vec<(String, String)> {
    let mut files = Vec::new();
    for folder in ["core", "net", "actors", "examples", "tests", "benches"] {
        collect(&root().join(folder), &mut files);
    }
    assert!(files.len() > 50, "the tree was not found");
    files
}

fn collect(folder: &Path, files: &mut Vec<(String, String)>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            collect(&path, files);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            let name = path.strip_prefix(root()).unwrap().to_str().unwrap().to_owned();
            files.push((name, fs::read_to_string(&path).unwrap()));
        }
    }
}

fn is_code(line: &str) -> bool {
    let line = line.trim_start();
    !line.is_empty() && !line.starts_with("//")
}

/// The lines of a file without its tests: without each `mod tests;`, and up to the first `mod tests {`.
fn without_tests(text: &str) -> Vec<&str> {
    let mut kept = Vec::new();
    let mut lines = text.lines();
    while let Some(line) = lines.next() {
        if !line.starts_with("#[cfg(test)]") && !line.starts_with("#[cfg(all(test") {
            kept.push(line);
            continue;
        }
        let Some(item) = lines.find(|line| !line.starts_with("#[")) else { break };
        match (names(item, "mod"), item.ends_with('{')) {
            (true, true) => break,
            (true, false) => {}
            (false, _) => kept.push(item),
        }
    }
    kept
}

/// The code of a file without its comments and without its tests.
fn code(text: &str) -> impl Iterator<Item = &str> {
    without_tests(text).into_iter().filter(|line| is_code(line))
}

fn names(line: &str, word: &str) -> bool {
    let boundary = |c: Option<char>| !c.is_some_and(|c| c.is_alphanumeric() || c == '_');
    line.match_indices(word).any(|(at, _)| {
        let after = line[at + word.len()..].chars().next();
        boundary(line[..at].chars().next_back()) && (word.ends_with(':') || boundary(after))
    })
}

/// True for a file of unit tests or models: they use what they like.
fn is_test(path: &str) -> bool {
    path.ends_with("tests.rs") || path.ends_with("loom_models.rs")
}

/// True if the line names a room of its package, and not only a room inside of it that lies further down.
fn names_room(line: &str, room: &str) -> bool {
    let rooms = FLOORS.iter().flat_map(|(_, floors)| *floors).flat_map(|floor| floor.split(' '));
    let mut line = line.replace("in crate::", "");
    for inner in rooms.filter(|inner| inner.starts_with(&format!("{room}/"))) {
        line = line.replace(&format!("crate::{}", inner.replace('/', "::")), "");
    }
    names(&line, &format!("crate::{}", room.replace('/', "::")))
}

/// Looks at the path and the text of a file and says what is wrong with it, if anything.
type Check = fn(&str, &str) -> Option<String>;

const RULES: [(&str, Check); 17] = [
    ("a file is at most 500 lines of code", |_, text| {
        let lines = text.lines().filter(|line| is_code(line)).count();
        (lines > CODE_LINES_MAX).then(|| format!("{lines} lines"))
    }),
    ("a file says first what it is", |path, text| {
        let start = if path.starts_with("tests/ui/") { "//~" } else { "//!" };
        (!text.starts_with(start)).then(|| format!("no `{start}`"))
    }),
    ("unsafe code lives in a closed list of files", |path, text| {
        let listed = UNSAFE_FILES.contains(&path) || path == "tests/tidy.rs";
        let found = code(text).any(|line| names(line, "unsafe"));
        (found && !listed).then(|| "`unsafe`".to_owned())
    }),
    ("an outside crate is named in its room alone", |path, text| {
        let strayed = ROOMS.iter().find(|(name, rooms)| {
            let word = format!("{name}::");
            !rooms.iter().any(|room| path.starts_with(room)) && code(text).any(|line| names(line, &word))
        });
        strayed
            .filter(|_| !path.starts_with("tests/") && !path.starts_with("benches/"))
            .map(|(name, _)| format!("names {name}"))
    }),
    ("no package names one above it", |path, text| {
        let (_, above) = ARROWS.iter().find(|(folder, _)| path.starts_with(folder))?;
        // The target of an event is a name for who reads the log: `posse::task` for what the core reports.
        let named = |name: &str| code(text).any(|line| names(&line.replace("\"posse::", ""), name));
        above.iter().find(|name| named(name)).map(|name| format!("names {name}"))
    }),
    ("no unfinished or chatty code in the packages", |path, text| {
        let packages = ["core/src/", "net/src/", "actors/src/", "actors/wire/src/", "actors/macros/src/"];
        let banned = ["todo!", "unimplemented!", "dbg!", "println!", "eprintln!"];
        let found = banned.iter().find(|banned| code(text).any(|line| line.contains(*banned)));
        found.filter(|_| packages.iter().any(|package| path.starts_with(package))).map(|banned| (*banned).to_owned())
    }),
    ("what is logged goes through `event!`, with a target that the guide lists", |path, text| {
        let packages = ["core/src/", "net/src/", "actors/src/", "actors/wire/src/"];
        let levels = ["error!", "warn!", "info!", "debug!", "trace!", "event!"];
        let direct = |line: &str| levels.iter().any(|level| line.contains(&format!("tracing::{level}")));
        let listed = path == "core/src/events.rs" || !packages.iter().any(|package| path.starts_with(package));
        let found = code(text).find(|line| direct(line))?;
        (!listed).then(|| format!("`{}`", found.trim()))
    }),
    ("a test that sleeps in real time is named so", |path, text| {
        let tests = ["tests/it/", "net/tests/", "tests/examples.rs"];
        let sleeps = code(text).any(|line| names(line, "sleep"));
        (sleeps && tests.iter().any(|test| path.starts_with(test)) && !path.contains("/real_"))
            .then(|| "`sleep`".to_owned())
    }),
    ("no room of the core names one that it has nothing to do with", |path, text| {
        let (_, others) = CORE_ARROWS.iter().find(|(room, _)| path.starts_with(room))?;
        let named = |room: &str| code(text).any(|line| names_room(line, room));
        let lies_below = path.contains("/driver/") || path.contains("/os/");
        others.iter().find(|room| !is_test(path) && !lies_below && named(room)).map(|room| format!("names {room}"))
    }),
    ("no room of the cluster names one above it", |path, text| {
        let (_, above) = CLUSTER_ARROWS.iter().find(|(room, _)| path.starts_with(room))?;
        let beside = path.strip_prefix("actors/src/cluster/").is_some_and(|rest| !rest.contains('/'));
        let named = |room: &str| {
            let (from_above, from_beside) = (format!("cluster::{room}"), format!("super::{room}"));
            code(text).any(|line| names(line, &from_above) || (beside && names(line, &from_beside)))
        };
        above.iter().find(|room| !is_test(path) && named(room)).map(|room| format!("names {room}"))
    }),
    ("a word that was given up does not come back", |path, text| {
        let (_, words) = WORDS.iter().find(|(folder, _)| path.starts_with(folder))?;
        let found = words.split_whitespace().find(|word| text.lines().any(|line| names(line, word)));
        found.map(|word| format!("`{word}`"))
    }),
    ("a sentence names who or how many", |path, text| {
        PACKAGES.iter().find(|package| path.starts_with(*package))?;
        let found = VAGUE_WORDS.iter().find(|word| text.lines().any(|line| names(line, word)));
        found.map(|word| format!("`{word}`"))
    }),
    ("a file begins with a noun", |path, text| {
        PACKAGES.iter().find(|package| path.starts_with(*package))?;
        let found = NO_NOUNS.iter().find(|word| text.starts_with(&format!("//! {word} ")));
        found.map(|word| format!("`{word}`"))
    }),
    ("what waits says what becomes of it when it is dropped", |path, text| {
        let packages = ["core/src/", "net/src/", "actors/src/"];
        let found = packages.iter().any(|package| path.starts_with(package)).then(|| without_cancel_safety(text))?;
        found.map(|line| format!("no `# Cancel safety`: `{line}`"))
    }),
    ("examples of the documentation name the package that programs depend on", |path, text| {
        // The mailbox is shown by the core alone.
        let packages = ["core/src/", "net/", "actors/src/"];
        let checked = packages.iter().any(|package| path.starts_with(package)) && path != "core/src/mailbox/mod.rs";
        let is_doc = |line: &&str| line.trim_start().starts_with("//!") || line.trim_start().starts_with("///");
        let names_parts = |line: &&str| names(line, "posse_core::") || names(line, "posse_net::");
        let found = text.lines().filter(is_doc).find(names_parts).filter(|_| checked)?;
        Some(format!("`{}`", found.trim()))
    }),
    ("an example says how it is run", |path, text| {
        let example = path.strip_prefix("examples/")?.strip_suffix(".rs")?.trim_end_matches("/main");
        let line = format!("//! Run: cargo run --example {example}");
        (!example.contains('/') && !text.contains(&line)).then(|| format!("no line {line:?}"))
    }),
    ("a waker leaves the lock before it is woken or dropped", |_, text| {
        let code = text.lines().filter(|line| is_code(line)).map(str::trim).collect::<String>();
        // The guard of a lock lives as long as the statement that takes it.
        let ends = |call: &str| call.contains(".take().wake()") || call.contains(".take().forget()");
        let found =
            code.split([';', '{', '}']).find(|part| part.split_once(".lock()").is_some_and(|(_, rest)| ends(rest)))?;
        Some(format!("`{found}`"))
    }),
];

/// A public `async fn` whose documentation has no section on being dropped.
fn without_cancel_safety(text: &str) -> Option<&str> {
    let lines: Vec<_> = without_tests(text).into_iter().map(str::trim).collect();
    let waits = lines.iter().enumerate().filter(|(_, line)| line.starts_with("pub async fn "));
    let mut silent = waits.filter(|(at, _)| {
        // Its documentation and its attributes, up to the item before it.
        let above = lines[..*at].iter().rev().take_while(|line| line.starts_with("///") || line.starts_with("#["));
        !above.into_iter().any(|line| *line == "/// # Cancel safety")
    });
    silent.next().map(|(_, line)| *line)
}

#[test]
fn every_file_keeps_every_rule() {
    let mut wrong = Vec::new();
    for (path, text) in sources() {
        for (rule, check) in RULES {
            wrong.extend(check(&path, &text).map(|what| format!("{path}: {what} ({rule})")));
        }
    }
    assert!(wrong.is_empty(), "\n{}", wrong.join("\n"));
}

#[test]
fn every_rule_refuses_a_bad_sample() {
    let long = format!("//! x\n{}", "let a = 1;\n".repeat(501));
    let samples = [
        ("core/src/a.rs", long.as_str()),
        ("core/src/a.rs", "fn a() {}"),
        ("core/src/a.rs", "//! x\nunsafe { a() }"),
        ("core/src/a.rs", "//! x\nuse mio::Poll;"),
        ("net/src/a.rs", "//! x\nuse posse::Actor;"),
        ("actors/src/a.rs", "//! x\nprintln!();"),
        ("actors/src/a.rs", "//! x\ntracing::warn!(\"no target\");"),
        ("tests/it/a.rs", "//! x\ntime::sleep(ms(1)).await;"),
        ("core/src/mailbox/a.rs", "//! x\nuse crate::time::sleep;"),
        ("actors/src/cluster/state.rs", "//! x\nuse super::connect::dial;"),
        ("core/src/a.rs", "//! x\nstruct Lane;"),
        ("core/src/a.rs", "//! x\n/// Nobody waits."),
        ("core/src/a.rs", "//! What waits."),
        (
            "net/src/a.rs",
            "//! x\n/// # Cancel safety\npub async fn a() {}\n/// Waits.\n#[must_use]\npub async fn b() {}",
        ),
        ("net/src/a.rs", "//! x\n/// ```\n/// use posse_net::TcpStream;\n/// ```"),
        ("examples/a.rs", "//! x"),
        ("core/src/a.rs", "//! x\na.lock()\n    .waiter\n    .take()\n    .wake();"),
    ];
    for ((rule, check), (path, text)) in RULES.iter().zip(samples) {
        assert!(check(path, text).is_some(), "accepted: {rule}");
    }
}

#[test]
fn what_comes_after_the_tests_of_a_file_is_looked_at() {
    let text = |tests: &str| {
        format!("//! x\n#[cfg(all(test, not(posse_loom)))]\n{tests}\nuse mio::Poll;\npub async fn a() {{}}")
    };
    let seen = ["mod tests;", "#[path = \"b.rs\"]\npub(crate) mod tests;", "use crate::b;", "fn b() {}"];
    for tests in seen {
        assert!(code(&text(tests)).any(|line| names(line, "mio::")), "{tests}");
        assert!(without_cancel_safety(&text(tests)).is_some(), "{tests}");
    }
    let text = text("mod tests {\n    fn b() {}\n}");
    assert_eq!((code(&text).count(), without_cancel_safety(&text)), (0, None));
}

/// The rooms above its own that a file names.
fn named_above(path: &str, text: &str) -> Vec<&'static str> {
    let Some((package, floors)) = FLOORS.iter().find(|(package, _)| path.starts_with(package)) else {
        return Vec::new();
    };
    let holds =
        |room: &&str| path[package.len()..].strip_prefix(*room).is_some_and(|rest| rest.starts_with(['/', '.']));
    let rooms = |floor: &&'static str| floor.split(' ').collect::<Vec<_>>();
    // The innermost room that it lies in.
    let own = |floor: &&'static str| rooms(floor).into_iter().filter(holds).map(str::len).max();
    let Some(floor) =
        (0..floors.len()).max_by_key(|floor| own(&floors[*floor])).filter(|floor| own(&floors[*floor]).is_some())
    else {
        return Vec::new();
    };
    let mut above: Vec<_> = floors[floor + 1..].iter().flat_map(rooms).collect();
    above.retain(|above| !is_test(path) && code(text).any(|line| names_room(line, above)));
    above
}

#[test]
fn no_folder_names_one_above_it() {
    let mut back: Vec<_> = sources()
        .iter()
        .flat_map(|(path, text)| named_above(path, text).into_iter().map(|above| (path.clone(), above)))
        .collect();
    back.sort();
    let known: Vec<_> = BACK_ARROWS.iter().map(|(path, above)| ((*path).to_owned(), *above)).collect();
    assert_eq!(back, known);
    assert_eq!(named_above("actors/src/watch/a.rs", "use crate::refs::LocalRef;\nuse crate::id::ActorId;"), ["refs"]);
    assert_eq!(
        named_above("core/src/raw_task/a.rs", "use crate::runtime::Handle;\nuse crate::util::slab;"),
        ["runtime"]
    );
    let driver = "use crate::time::driver::Clock;\nuse crate::sim::env::SimRng;";
    assert_eq!(named_above("core/src/scheduler/a.rs", driver), [] as [&str; 0]);
    assert_eq!(named_above("core/src/sim/env/a.rs", driver), ["time/driver"]);
    assert_eq!(named_above("core/src/time/driver/a.rs", "use crate::time::sleep;"), ["time"]);
}

#[test]
fn every_folder_has_its_floor_and_its_place_on_the_map() {
    let architecture = fs::read_to_string(root().join("ARCHITECTURE.md")).unwrap();
    let map = architecture.split("\n## Code map").nth(1).unwrap().split("\n## ").next().unwrap();
    for (path, _) in sources() {
        for package in ["core/src/", "actors/src/"] {
            let Some((folder, _)) = path.strip_prefix(package).and_then(|path| path.split_once('/')) else { continue };
            assert!(map.contains(&format!("| `{package}{folder}`")), "{package}{folder} is not on the map");
            let floors = FLOORS.iter().find(|(with_floors, _)| *with_floors == package);
            assert!(
                floors.is_none_or(|(_, floors)| floors
                    .iter()
                    .flat_map(|floor| floor.split(' '))
                    .any(|room| room == folder)),
                "{package}{folder} has no floor"
            );
        }
    }
    let places = map.split('`').skip(1).step_by(2).filter(|place| place.contains('/') && !place.contains("::"));
    for place in places {
        let is_there =
            ["", "core/src", "net/src", "actors/src"].iter().any(|from| root().join(from).join(place).exists());
        assert!(is_there, "{place} is on the map and not in the tree");
    }
}

#[test]
fn packages_without_unsafe_code_forbid_it() {
    let text = |package: &str| fs::read_to_string(root().join(package).join("src/lib.rs")).unwrap();
    for package in ["actors", "actors/wire", "actors/macros", "net/quinn", "net/rt"] {
        assert!(text(package).contains("#![forbid(unsafe_code)]"), "{package}");
    }
    // One feature needs it in one file, which is listed above.
    let net = "#![cfg_attr(not(feature = \"hyper\"), forbid(unsafe_code))]\n#![deny(unsafe_code)]";
    assert!(text("net").contains(net), "net");
}

/// What stands between the brackets that this begins after.
fn arguments(code: &str) -> &str {
    let (mut depth, mut in_text) = (1, false);
    for (at, c) in code.char_indices() {
        in_text ^= c == '"';
        depth += if in_text { 0 } else { i32::from("([{".contains(c)) - i32::from(")]}".contains(c)) };
        if depth == 0 {
            return &code[..at];
        }
    }
    code
}

/// The arguments one by one: the numbers follow a semicolon.
fn split_arguments(arguments: &str) -> Vec<&str> {
    let (mut depth, mut in_text, mut start, mut parts) = (0, false, 0, Vec::new());
    for (at, c) in arguments.char_indices() {
        in_text ^= c == '"';
        depth += if in_text { 0 } else { i32::from("([{".contains(c)) - i32::from(")]}".contains(c)) };
        if depth == 0 && !in_text && (c == ',' || c == ';') {
            parts.push(arguments[start..at].trim());
            start = at + 1;
        }
    }
    parts.push(arguments[start..].trim());
    parts.into_iter().filter(|part| !part.is_empty()).collect()
}

/// The events of a file.
fn events(text: &str) -> Vec<Row> {
    let code = text.lines().filter(|line| is_code(line)).collect::<Vec<_>>().join("\n");
    let row = |call: &str| {
        let parts = split_arguments(arguments(call));
        let [level, target, text, fields @ ..] = &parts[..] else { return None };
        let literal = |part: &str| part.strip_prefix('"').and_then(|part| part.strip_suffix('"')).map(str::to_owned);
        let fields = fields.iter().filter_map(|field| field.split_once(" = ")).map(|(name, _)| name.to_owned());
        Some(Row {
            target: literal(target).filter(|target| target.starts_with("posse::"))?,
            level: (*level).to_owned(),
            text: literal(text)?,
            fields: fields.collect(),
        })
    };
    code.split("event!(").skip(1).filter_map(row).collect()
}

#[test]
fn every_event_is_in_the_guide_with_its_level_and_its_fields_and_no_other_is() {
    let guide = event_table::rows();
    let all: Vec<_> =
        sources().iter().filter(|(path, _)| path.contains("src/")).flat_map(|(_, text)| events(text)).collect();
    assert!(all.len() > 10, "the events were not found");
    for row in &all {
        assert!(guide.contains(row), "docs/guide/events.md does not list {row:?}");
    }
    for row in &guide {
        assert!(all.contains(row), "no code says {row:?}");
    }
    let sample = "event!(\n    INFO, \"posse::a\", \"b, c\",\n    d.e = %f(g, h), i = %j; k = 1,\n);";
    let fields = ["d.e", "i", "k"].map(str::to_owned).into();
    let expected = Row { target: "posse::a".into(), level: "INFO".into(), text: "b, c".into(), fields };
    assert_eq!(events(sample), [expected]);
}

#[test]
fn every_package_has_what_a_registry_shows() {
    let licence = fs::read_to_string(root().join("LICENSE")).unwrap();
    for package in ["core", "net", "net/quinn", "net/rt", "actors", "actors/wire", "actors/macros"] {
        let folder = root().join(package);
        assert_eq!(fs::read_to_string(folder.join("LICENSE")).unwrap(), licence, "{package}");
        let manifest = fs::read_to_string(folder.join("Cargo.toml")).unwrap();
        for field in ["description", "keywords", "categories", "license.workspace", "repository.workspace"] {
            assert!(manifest.lines().any(|line| line.starts_with(field)), "{package}: no {field}");
        }
        assert!(manifest.contains("[package.metadata.docs.rs]\nall-features = true\n"), "{package}");
        assert!(manifest.contains("\nreadme = ") || folder.join("README.md").exists(), "{package}");
    }
}
