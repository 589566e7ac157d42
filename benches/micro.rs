//! The scenarios of one process under criterion, for comparing a change with the run before it.
//!
//! Run: cargo bench -p posse-benches --bench micro
#![allow(missing_docs)]

use criterion::{Criterion, criterion_group, criterion_main};
use posse_benches::scenario;
use std::time::Duration;

/// Scenarios that need no other process.
const LOCAL: usize = 7;

fn micro(criterion: &mut Criterion) {
    for scenario in &scenario::ALL[..LOCAL] {
        let mut group = criterion.benchmark_group(scenario.name);
        for subject in scenario.subjects {
            group.bench_function(*subject, |bencher| {
                bencher.iter_custom(|iterations| {
                    // Fewer would measure the start of the runtime.
                    let count = iterations.max(1000);
                    let each = scenario.measure(subject, count);
                    Duration::from_nanos((each * iterations as f64) as u64)
                });
            });
        }
        group.finish();
    }
}

criterion_group! {
    name = benches;
    config = Criterion::default().sample_size(10).measurement_time(Duration::from_secs(3));
    targets = micro
}
criterion_main!(benches);
