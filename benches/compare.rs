//! The table of `benches/README.md`: each cell in a fresh process, subjects in turn, medians and spread, ratios.
//!
//! Run: cargo bench -p posse-benches --bench compare             (9 rounds)
//!      cargo bench -p posse-benches --bench compare -- remote   (scenarios whose name has this in it)
//!      cargo bench -p posse-benches --bench compare -- --rounds 3 remote  (so many rounds)
//!      cargo bench -p posse-benches --bench compare -- --smoke  (1 small round)
#![allow(clippy::unwrap_used, clippy::expect_used)]

use posse_benches::process::{SERVER_CPU, this_program};
use posse_benches::scenario::{self, Scenario};

const ROUNDS: usize = 9;

fn main() {
    let args: Vec<String> = std::env::args().skip(1).filter(|arg| arg != "--bench").collect();
    match args.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        ["--cell", subject, name, count] => {
            let scenario = scenario::ALL.iter().find(|scenario| scenario.name == name).expect("a scenario");
            println!("{}", scenario.measure(subject, count.parse().expect("a count")));
        }
        ["--serve", kind] => scenario::serve(kind),
        ["--smoke"] => table(1, 100, ""),
        [] => table(ROUNDS, 1, ""),
        ["--rounds", rounds, part] => table(rounds.parse().expect("a number"), 1, part),
        [part] if !part.starts_with('-') => table(ROUNDS, 1, part),
        ref other => panic!("unknown arguments {other:?}; known are --smoke, --rounds and a part of a scenario's name"),
    }
}

fn table(rounds: usize, divisor: u64, part: &str) {
    println!("ns per operation, 2 workers: median (min..max) of {rounds}, and the ratio to posse's median\n");
    for scenario in scenario::ALL.iter().filter(|scenario| scenario.name.contains(part)) {
        let mut times = vec![Vec::new(); scenario.subjects.len()];
        for _ in 0..rounds {
            for (subject, times) in scenario.subjects.iter().zip(&mut times) {
                times.push(cell(subject, scenario, scenario.count / divisor));
            }
        }
        let medians: Vec<f64> = times.iter_mut().map(|times| median(times)).collect();
        for ((subject, times), median) in scenario.subjects.iter().zip(&times).zip(&medians) {
            let (min, max) = (times[0], times[times.len() - 1]);
            let ratio = median / medians[0];
            println!("{:22} {subject:8} {median:8.0} ({min:.0}..{max:.0})  {ratio:6.2}x", scenario.name);
        }
        println!();
    }
}

/// One measurement in a process of its own.
fn cell(subject: &str, scenario: &Scenario, count: u64) -> f64 {
    let mut program = this_program(scenario.pinned.then_some("0"));
    if scenario.pinned {
        program.env(SERVER_CPU, "1");
    }
    let output =
        program.args(["--cell", subject, scenario.name, &count.to_string()]).output().expect("the program starts");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&output.stdout).trim().parse().expect("a number")
}

fn median(times: &mut [f64]) -> f64 {
    times.sort_by(f64::total_cmp);
    times[times.len() / 2]
}
