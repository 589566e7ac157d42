//! Time on the runtime's clock: sleeping, deadlines, ticks.
//!
//! Timers never fire early. With a manual clock nothing fires until
//! [`Handle::advance`](crate::runtime::Handle::advance) turns it; on a current-thread runtime time can be stopped and let go on, see [`pause`].

mod delay_queue;
pub(crate) mod driver;
mod interval;
mod now;
mod pause;
#[cfg(all(test, not(posse_loom)))]
mod pause_tests;
mod timeout;

/// Why a wait ended without what it waited for.
pub mod error {
    pub use super::timeout::Elapsed;
}

pub use crate::runtime::sleep::{Sleep, sleep, sleep_until};
pub use crate::util::backoff::Backoff;
pub use delay_queue::{DelayKey, DelayQueue, Expired};
pub use driver::{Clock, Instant};
pub use interval::{Interval, MissedTickBehavior, interval, interval_at};
pub use pause::{advance, pause, resume};
pub use std::time::Duration;
pub use timeout::{Timeout, timeout, timeout_at};

#[cfg(all(test, not(posse_loom)))]
mod tests {
    use super::*;
    use crate::runtime::{Builder, Handle};
    use crate::task;
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};

    const HOUR: Duration = Duration::from_secs(3600);

    #[cfg(feature = "sim")]
    #[test]
    fn sleeps_end_in_order_on_a_manual_clock() {
        let mut stepper = crate::sim::Stepper::new(2, 3).expect("a runtime");
        let log = Arc::new(std::sync::Mutex::new(Vec::new()));
        for hours in [5u32, 1, 3, 2, 4] {
            let log = log.clone();
            stepper.handle().spawn(async move {
                sleep(HOUR * hours).await;
                log.lock().unwrap().push(hours);
            });
        }
        stepper.run_until_stalled();
        assert!(log.lock().unwrap().is_empty());
        for _ in 0..5 {
            stepper.advance(HOUR);
        }
        assert_eq!(*log.lock().unwrap(), [1, 2, 3, 4, 5]);
    }

    #[test]
    fn a_sleep_is_never_early_and_a_dropped_one_leaves_nothing() {
        let runtime = Builder::new_current_thread().manual_clock().build().expect("a runtime");
        let handle = runtime.handle().clone();
        runtime.block_on(async {
            let done = Arc::new(AtomicUsize::new(0));
            let seen = done.clone();
            let task = task::spawn(async move {
                sleep(HOUR).await;
                seen.store(1, Ordering::Release);
            });
            task::yield_now().await;
            assert!(handle.advance(HOUR - Duration::from_nanos(1)));
            task::yield_now().await;
            assert_eq!(done.load(Ordering::Acquire), 0);
            handle.advance(Duration::from_millis(1));
            task.await.unwrap();

            let forgotten = task::spawn(sleep(HOUR));
            task::yield_now().await;
            assert_eq!(handle.timers().len(), 1);
            forgotten.abort();
            assert!(forgotten.await.is_err());
            assert_eq!(handle.timers().len(), 0);
        });
    }

    #[test]
    fn a_timeout_ends_on_a_manual_clock() {
        let runtime = Builder::new_current_thread().manual_clock().build().expect("a runtime");
        runtime.block_on(async {
            let task = task::spawn(timeout(HOUR, std::future::pending::<()>()));
            task::yield_now().await;
            Handle::current().advance(HOUR + Duration::from_millis(1));
            assert_eq!(task.await.unwrap(), Err(error::Elapsed));
        });
    }

    #[test]
    fn an_interval_skips_or_delays_missed_ticks_as_told() {
        let runtime = Builder::new_current_thread().manual_clock().build().expect("a runtime");
        runtime.block_on(async {
            let start = Instant::now();
            for (behavior, expected) in
                [(MissedTickBehavior::Burst, 2), (MissedTickBehavior::Skip, 4), (MissedTickBehavior::Delay, 5)]
            {
                let mut ticks = interval_at(start + HOUR, HOUR);
                ticks.set_missed_tick_behavior(behavior);
                let next = ticks.after(start + HOUR, start + HOUR * 3 + HOUR / 2);
                let hours = if behavior == MissedTickBehavior::Delay { HOUR * 4 + HOUR / 2 } else { HOUR * expected };
                assert_eq!(next - start, hours);
            }
        });
    }

    #[test]
    fn an_interval_starts_over_and_a_timeout_gives_its_future_back() {
        let runtime = Builder::new_current_thread().manual_clock().build().expect("a runtime");
        runtime.block_on(async {
            let start = Instant::now();
            let mut ticks = interval_at(start + HOUR, HOUR);
            assert_eq!(ticks.missed_tick_behavior(), MissedTickBehavior::Burst);
            ticks.reset_immediately();
            assert_eq!(ticks.tick().await, start);
            for due in [start + HOUR * 2, start + HOUR * 5] {
                ticks.reset_at(due);
                Handle::current().advance(due - Instant::now());
                assert_eq!(ticks.tick().await, due);
            }
            ticks.reset_after(HOUR * 3);
            Handle::current().advance(HOUR * 3);
            assert_eq!(ticks.tick().await, start + HOUR * 8);

            let mut limited = timeout(HOUR, std::future::ready(5));
            assert!(format!("{:?}", limited.get_ref()).contains('5'));
            *limited.get_mut() = std::future::ready(6);
            assert_eq!(limited.into_inner().await, 6);
        });
    }

    #[test]
    fn real_time_sleeps_wake_every_flavor() {
        for runtime in [Builder::new_current_thread(), Builder::new_multi_thread().worker_threads(2)] {
            let runtime = runtime.build().expect("a runtime");
            runtime.block_on(async {
                let start = Instant::now();
                let tasks: Vec<_> = (1..20u64).map(|ms| task::spawn(sleep(Duration::from_millis(ms)))).collect();
                sleep(Duration::from_millis(5)).await;
                for task in tasks {
                    task.await.unwrap();
                }
                assert!(start.elapsed() >= Duration::from_millis(19));
            });
        }
    }
}
