//! Tokio's `time_sleep`, `time_timeout`, `time_rt`, `no_rt` and `time_panic`. What is said here of a clock that a hand turns,
//! `time_pause` says of one that is paused.

use crate::support::{Probe, blamed, manual, ms, settle, several, single, waker_that};
use posse_core::runtime::Handle;
use posse_core::sync::oneshot;
use posse_core::task;
use posse_core::time::{Elapsed, Instant, Sleep, interval, sleep, sleep_until, timeout, timeout_at};
use std::future::{Future, pending};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};
use std::time::Duration;

fn advance(time: Duration) {
    assert!(Handle::current().advance(time));
}

/// Asserts that it ends when the clock shows `at` and not a nanosecond before.
fn ends_at(sleep: &mut Probe<Sleep>, at: Instant) {
    let left = at - Instant::now();
    if !left.is_zero() {
        advance(left - Duration::from_nanos(1));
        assert!(sleep.poll().is_pending() && !sleep.inner.is_elapsed());
        sleep.woken();
        advance(Duration::from_nanos(1));
        assert_eq!(sleep.woken(), 1);
    }
    assert!(sleep.inner.is_elapsed() && sleep.poll().is_ready());
}

#[test]
fn a_sleep_ends_in_its_nanosecond_however_long_it_is() {
    const YEAR: Duration = Duration::from_secs(365 * 24 * 3600);
    manual().block_on(async {
        for time in [Duration::from_nanos(1), ms(1), ms(10), ms(60), ms(64), ms(1) + Duration::from_nanos(1), YEAR * 10]
        {
            for _ in 0..3 {
                let mut sleeps = Probe::new(sleep(time));
                assert!(!sleeps.inner.is_elapsed() && sleeps.poll().is_pending());
                let at = Instant::now() + time;
                assert_eq!((sleeps.inner.deadline(), sleeps.inner.remaining()), (at, time));
                ends_at(&mut sleeps, at);
                advance(ms(5));
            }
        }
        for time in [Duration::ZERO, Duration::from_nanos(0)] {
            let mut sleeps = Probe::new(sleep(time));
            assert!(sleeps.inner.is_elapsed() && sleeps.poll().is_ready());
        }
    });
}

#[test]
fn a_sleep_longer_than_time_itself_is_one_and_keeps_nobody_waiting() {
    manual().block_on(async {
        for forever in [Duration::MAX, Duration::MAX - ms(1), Duration::from_secs(u64::MAX / 10)] {
            let mut sleeps = Probe::new(sleep(forever));
            assert!(sleeps.poll().is_pending());
            let mut short = Probe::new(sleep(ms(1)));
            assert!(short.poll().is_pending());
            ends_at(&mut short, Instant::now() + ms(1));
            assert!(sleeps.poll().is_pending());
        }
        let mut limited = Probe::new(timeout(Duration::MAX, pending::<()>()));
        assert!(limited.poll().is_pending());
        advance(Duration::from_secs(10 * 365 * 24 * 3600));
        assert!(limited.poll().is_pending());
    });
}

#[test]
fn a_sleep_may_be_moved_at_any_time() {
    manual().block_on(async {
        // Before it ends, after it ended; later, earlier, into the past.
        let start = Instant::now();
        for (from, passed, to) in
            [(100, 0, 200), (100, 0, 80), (100, 10, 80), (100, 100, 110), (100, 50, 40), (100, 100, 40)]
        {
            let now = Instant::now();
            let mut sleeps = Probe::new(sleep_until(now + ms(from)));
            assert!(sleeps.poll().is_pending());
            advance(ms(passed));
            if passed >= from {
                assert!(sleeps.poll().is_ready());
            }
            sleeps.inner.reset(now + ms(to));
            sleeps.woken();
            if to > passed {
                assert!(sleeps.poll().is_pending() && sleeps.poll().is_pending());
                ends_at(&mut sleeps, now + ms(to));
            } else {
                assert!(sleeps.poll().is_ready());
            }
        }
        assert!(Instant::now() > start);
    });
}

#[test]
fn a_sleep_that_ended_stays_so_until_it_is_moved() {
    manual().block_on(async {
        let mut sleeps = Probe::new(sleep(ms(1)));
        assert!(sleeps.poll().is_pending());
        advance(ms(1));
        assert!((0..3).all(|_| sleeps.poll().is_ready()));
        assert_eq!(Handle::current().metrics().num_timers(), 0);
    });
}

#[test]
fn sleeps_that_are_dropped_by_who_is_woken_are_dropped_well() {
    manual().block_on(async {
        let sleeps = Arc::new(Mutex::new(Vec::new()));
        let all = sleeps.clone();
        let waker = waker_that(move || drop(std::mem::take(&mut *all.lock().unwrap())), || {});
        for n in 0..100 {
            let mut one = Box::pin(sleep(ms(10 + n % 2)));
            assert!(one.as_mut().poll(&mut Context::from_waker(&waker)).is_pending());
            sleeps.lock().unwrap().push(one);
        }
        advance(ms(11));
        assert!(sleeps.lock().unwrap().is_empty());
        assert_eq!(Handle::current().metrics().num_timers(), 0);
    });
}

#[test]
fn a_sleep_that_was_moved_is_dropped_while_another_ends() {
    manual().block_on(async {
        let start = Instant::now();
        let mut sleeps: Vec<_> = [5, 5, 10].into_iter().map(|n| Probe::new(sleep(ms(n)))).collect();
        assert!(sleeps.iter_mut().all(|sleeps| sleeps.poll().is_pending()));
        sleeps[1].inner.reset(start + ms(10));
        advance(ms(5));
        assert_eq!((sleeps[0].woken(), sleeps[1].woken()), (1, 0));
        drop(sleeps.remove(1));
        advance(ms(5));
        assert_eq!(sleeps[1].woken(), 1);
    });
}

#[test]
fn a_sleep_belongs_to_the_runtime_it_was_made_in() {
    let other = manual();
    let entered = other.enter();
    let mut sleeps = Probe::new(sleep(ms(100)));
    drop(entered);
    manual().block_on(async {
        assert!(sleeps.poll().is_pending());
        advance(ms(200));
        assert!(sleeps.poll().is_pending());
        let deadline = sleeps.inner.deadline();
        sleeps.inner.reset(deadline + ms(100));
        assert!(sleeps.poll().is_pending());
        assert!(other.handle().advance(ms(200)));
        assert_eq!((sleeps.woken() > 0, sleeps.poll()), (true, Poll::Ready(())));
    });
}

#[test]
fn what_is_ready_in_time_is_there_and_what_is_not_is_late() {
    manual().block_on(async {
        // Both at once: the future wins, also when its time is over.
        assert_eq!(timeout(Duration::ZERO, async { 1 }).await, Ok(1));
        assert_eq!(timeout_at(Instant::now(), async { 2 }).await, Ok(2));
        let past = Instant::now();
        advance(ms(1000));
        assert_eq!(timeout_at(past, async { 3 }).await, Ok(3));
        assert_eq!(Probe::new(timeout_at(past, pending::<()>())).poll(), Poll::Ready(Err(Elapsed)));

        let (send, receive) = oneshot::channel();
        let mut limited = Probe::new(timeout(ms(100), receive));
        assert!(limited.poll().is_pending());
        advance(ms(90));
        assert!(limited.poll().is_pending());
        assert_eq!(send.send(4), Ok(()));
        assert_eq!((limited.woken(), limited.poll()), (1, Poll::Ready(Ok(Ok(4)))));

        let mut limited = Probe::new(timeout_at(Instant::now() + ms(300), pending::<()>()));
        assert!(limited.poll().is_pending());
        advance(ms(299));
        assert!(limited.poll().is_pending());
        advance(ms(1));
        assert_eq!((limited.woken(), limited.poll()), (1, Poll::Ready(Err(Elapsed))));
        assert_eq!(std::io::Error::from(Elapsed).kind(), std::io::ErrorKind::TimedOut);
    });
}

#[test]
fn time_passes_for_all_who_sleep_in_the_order_of_their_ends() {
    manual().block_on(async {
        let log = Arc::new(Mutex::new(Vec::new()));
        let tasks: Vec<_> = [30, 10, 20, 40]
            .into_iter()
            .enumerate()
            .map(|(who, time)| {
                let log = log.clone();
                task::spawn(async move {
                    let start = Instant::now();
                    sleep(ms(time)).await;
                    log.lock().unwrap().push((time, who));
                    start.elapsed()
                })
            })
            .collect();
        settle().await;
        for _ in 0..4 {
            advance(ms(10));
            settle().await;
        }
        assert_eq!(*log.lock().unwrap(), [(10, 1), (20, 2), (30, 0), (40, 3)]);
        for (task, time) in tasks.into_iter().zip([30, 10, 20, 40]) {
            assert_eq!(task.await.unwrap(), ms(time));
        }
    });
}

#[test]
fn real_time_passes_in_every_flavor_and_for_who_only_entered() {
    for runtime in [single(), several()] {
        let start = Instant::now();
        runtime.block_on(async {
            sleep(ms(2)).await;
            task::spawn(sleep(ms(2))).await.unwrap();
            for _ in 0..1000 {
                sleep(Duration::ZERO).await;
            }
        });
        runtime.handle().block_on(Sleep::on(runtime.handle().clone(), ms(2)));
        assert!(start.elapsed() >= ms(6));
    }
}

/// A task that never waits and one that does: its deadline comes all the same.
#[test]
fn a_task_that_is_always_ready_starves_no_sleep() {
    let runtime = single();
    let greedy = runtime.spawn(async {
        loop {
            task::yield_now().await;
        }
    });
    runtime.block_on(async {
        assert!(timeout(ms(5), pending::<()>()).await.is_err());
        greedy.abort();
        assert!(greedy.await.unwrap_err().is_cancelled());
    });
}

#[test]
fn time_outside_of_a_runtime_is_blamed_on_who_asked() {
    assert_eq!(blamed(|| drop(sleep(ms(1)))), file!());
    assert_eq!(blamed(|| drop(sleep_until(Instant::now()))), file!());
    assert_eq!(blamed(|| drop(timeout(ms(1), pending::<()>()))), file!());
    assert_eq!(blamed(|| drop(timeout_at(Instant::now(), pending::<()>()))), file!());
    assert_eq!(blamed(|| drop(interval(ms(1)))), file!());
}
