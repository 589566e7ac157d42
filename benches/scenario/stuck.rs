//! Timers beside a blocked worker: many tasks that nap for 2 ms again and again while another one blocks its thread; or a single one
//! that naps for 1 ms, beside one of so many workers that is blocked for long.
//!
//! The figure is how late the latest nap ended, in nanoseconds. Late is what comes on top of the nap.

use super::in_runtime;
use crate::now;
use crate::subject::{Posse, Subject, Tokio, all};
use std::future::Future;
use std::time::Duration;

const BEFORE: Duration = Duration::from_millis(50);

/// What naps beside what.
#[derive(Clone, Copy)]
struct Plan {
    tasks: u64,
    nap: Duration,
    blocked: Duration,
}

trait Naps: Subject {
    fn nap(time: Duration) -> impl Future<Output = ()> + Send;
}

impl Naps for Posse {
    async fn nap(time: Duration) {
        posse::time::sleep(time).await;
    }
}

impl Naps for Tokio {
    async fn nap(time: Duration) {
        tokio::time::sleep(time).await;
    }
}

/// Many tasks, two workers.
pub(super) fn latest(subject: &str, tasks: u64) -> f64 {
    let plan = Plan { tasks, nap: Duration::from_millis(2), blocked: Duration::from_millis(500) };
    let late = match subject {
        Tokio::NAME => in_runtime::<Tokio, _>(measure::<Tokio>(plan)),
        _ => in_runtime::<Posse, _>(measure::<Posse>(plan)),
    };
    late.as_nanos() as f64
}

/// One task, so many workers, of which one is blocked for so many milliseconds.
pub(super) fn fleet<const FLEET: usize>(subject: &str, millis: u64) -> f64 {
    let plan = Plan { tasks: 1, nap: Duration::from_millis(1), blocked: Duration::from_millis(millis) };
    let late = if subject == Tokio::NAME {
        let mut builder = tokio::runtime::Builder::new_multi_thread();
        let runtime = builder.worker_threads(FLEET).enable_all().build().expect("a runtime");
        runtime.block_on(runtime.spawn(measure::<Tokio>(plan))).expect("no panic")
    } else {
        let builder = posse::runtime::Builder::new_multi_thread().worker_threads(FLEET);
        let runtime = builder.build().expect("a runtime");
        let task = runtime.spawn(measure::<Posse>(plan));
        runtime.block_on(task).expect("no panic")
    };
    late.as_nanos() as f64
}

async fn measure<S: Naps>(plan: Plan) -> Duration {
    let (report, late) = std::sync::mpsc::channel();
    let end = now() + BEFORE + plan.blocked + BEFORE;
    let naps = (0..plan.tasks).map(|_| {
        let report = report.clone();
        S::task(async move {
            while now() < end {
                let due = now() + plan.nap;
                S::nap(plan.nap).await;
                report.send(now().saturating_duration_since(due)).expect("somebody listens");
            }
        })
    });
    let blocker = S::task(async move {
        S::nap(BEFORE).await;
        #[expect(clippy::disallowed_methods, reason = "a task that blocks its worker is the subject")]
        std::thread::sleep(plan.blocked);
    });
    let all_naps = Box::pin(all(naps));
    all([Box::pin(blocker) as std::pin::Pin<Box<dyn Future<Output = ()> + Send>>, all_naps].into_iter()).await;
    drop(report);
    late.iter().max().unwrap_or_default()
}
