//! Timers beside a blocked worker: many tasks that nap for 2 ms again and again while another one blocks its thread.
//!
//! The figure is how late the latest nap ended, in nanoseconds. Late is what comes on top of the 2 ms.

use super::in_runtime;
use crate::now;
use crate::subject::{Posse, Subject, Tokio, all};
use std::future::Future;
use std::time::Duration;

const NAP: Duration = Duration::from_millis(2);
const BEFORE: Duration = Duration::from_millis(50);
const BLOCKED: Duration = Duration::from_millis(500);

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

pub(super) fn latest(subject: &str, tasks: u64) -> f64 {
    let late = match subject {
        Tokio::NAME => in_runtime::<Tokio, _>(measure::<Tokio>(tasks)),
        _ => in_runtime::<Posse, _>(measure::<Posse>(tasks)),
    };
    late.as_nanos() as f64
}

async fn measure<S: Naps>(tasks: u64) -> Duration {
    let (report, late) = std::sync::mpsc::channel();
    let end = now() + BEFORE + BLOCKED + BEFORE;
    let naps = (0..tasks).map(|_| {
        let report = report.clone();
        S::task(async move {
            while now() < end {
                let due = now() + NAP;
                S::nap(NAP).await;
                report.send(now().saturating_duration_since(due)).expect("somebody listens");
            }
        })
    });
    let blocker = S::task(async {
        S::nap(BEFORE).await;
        #[expect(clippy::disallowed_methods, reason = "a task that blocks its worker is the subject")]
        std::thread::sleep(BLOCKED);
    });
    let all_naps = Box::pin(all(naps));
    all([Box::pin(blocker) as std::pin::Pin<Box<dyn Future<Output = ()> + Send>>, all_naps].into_iter()).await;
    drop(report);
    late.iter().max().unwrap_or_default()
}
