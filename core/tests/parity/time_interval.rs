//! Tokio's `time_interval`.

use crate::support::{Probe, manual, ms};
use futures_core::Stream;
use posse_core::runtime::Handle;
use posse_core::time::{Instant, Interval, MissedTickBehavior, interval, interval_at};
use std::task::{Context, Poll};
use std::time::Duration;

/// An interval of 300 ms, polled by hand; times are milliseconds since its start.
struct Ticks {
    start: Instant,
    interval: Probe<Interval>,
}

impl Ticks {
    fn new(missed: MissedTickBehavior) -> Self {
        let start = Instant::now();
        let mut interval = interval_at(start, ms(300));
        interval.set_missed_tick_behavior(missed);
        assert_eq!((interval.period(), interval.missed_tick_behavior()), (ms(300), missed));
        Self { start, interval: Probe::new(interval) }
    }

    fn poll(&mut self) -> Poll<Duration> {
        let waker = self.interval.waker();
        self.interval.inner.poll_tick(&mut Context::from_waker(&waker)).map(|tick| tick - self.start)
    }

    /// Asserts that these ticks are due after so long, one after the other, and then none.
    #[track_caller]
    fn expect(&mut self, after: u64, ticks: &[u64]) {
        assert!(Handle::current().advance(ms(after)));
        for tick in ticks {
            assert_eq!(self.poll(), Poll::Ready(ms(*tick)));
        }
        assert_eq!(self.poll(), Poll::Pending);
    }
}

/// As `IntervalStream` of `tokio_stream`.
#[test]
fn it_is_a_stream_of_the_instants_that_were_due() {
    manual().block_on(async {
        let start = Instant::now();
        let mut ticks = Probe::new(interval_at(start, ms(300)));
        let waker = ticks.waker();
        let mut cx = Context::from_waker(&waker);
        assert_eq!(ticks.inner.as_mut().poll_next(&mut cx), Poll::Ready(Some(start)));
        assert_eq!(ticks.inner.as_mut().poll_next(&mut cx), Poll::Pending);
        assert!(Handle::current().advance(ms(300)));
        assert_eq!(ticks.woken(), 1);
        assert_eq!(ticks.inner.as_mut().poll_next(&mut cx), Poll::Ready(Some(start + ms(300))));
        assert_eq!(ticks.inner.as_mut().poll_next(&mut cx), Poll::Pending);
    });
}

#[test]
fn what_was_missed_comes_in_a_burst() {
    manual().block_on(async {
        let mut ticks = Ticks::new(MissedTickBehavior::Burst);
        ticks.expect(0, &[0]);
        ticks.expect(100, &[]);
        ticks.expect(200, &[300]);
        ticks.expect(650, &[600, 900]);
        ticks.expect(200, &[]);
        ticks.expect(50, &[1200]);
        ticks.expect(300, &[1500]);
        ticks.expect(1200, &[1800, 2100, 2400, 2700]);
    });
}

#[test]
fn a_late_tick_delays_all_that_follow() {
    manual().block_on(async {
        let mut ticks = Ticks::new(MissedTickBehavior::Delay);
        ticks.expect(0, &[0]);
        ticks.expect(300, &[300]);
        // Seen at 950, so the next is at 1250.
        ticks.expect(650, &[600]);
        ticks.expect(100, &[]);
        ticks.expect(200, &[1250]);
        ticks.expect(300, &[1550]);
        ticks.expect(300, &[1850]);
    });
}

#[test]
fn what_was_missed_is_skipped() {
    manual().block_on(async {
        let mut ticks = Ticks::new(MissedTickBehavior::Skip);
        ticks.expect(0, &[0]);
        ticks.expect(300, &[300]);
        ticks.expect(650, &[600]);
        ticks.expect(249, &[]);
        ticks.expect(1, &[1200]);
        ticks.expect(300, &[1500]);
        // Late by whole periods to the nanosecond: the next is one period on.
        ticks.expect(600, &[1800]);
        ticks.expect(300, &[2400]);
    });
}

#[test]
fn an_interval_starts_over_from_now_at_once_after_a_while_or_at_a_time() {
    manual().block_on(async {
        for how in 0..5 {
            let mut ticks = Ticks::new(MissedTickBehavior::Burst);
            ticks.expect(0, &[0]);
            ticks.expect(300, &[300]);
            ticks.expect(100, &[]);
            let interval = &mut ticks.interval.inner;
            let next = match how {
                0 => {
                    interval.reset();
                    700
                }
                1 => {
                    interval.reset_immediately();
                    400
                }
                2 => {
                    interval.reset_after(ms(20));
                    420
                }
                3 => {
                    interval.reset_at(Instant::now() + ms(40));
                    440
                }
                // Later than the period.
                _ => {
                    interval.reset_at(Instant::now() + ms(1000));
                    1400
                }
            };
            if next > 400 {
                ticks.expect(next - 401, &[]);
                ticks.expect(1, &[next]);
            } else {
                ticks.expect(0, &[next]);
            }
            ticks.expect(300, &[next + 300]);
        }
    });
}

#[test]
fn a_tick_that_is_given_leaves_no_waker() {
    manual().block_on(async {
        let mut ticks = Ticks::new(MissedTickBehavior::Burst);
        assert!(ticks.poll().is_ready());
        assert_eq!(ticks.interval.wakers(), 0);
        assert!(ticks.poll().is_pending());
        assert_eq!(ticks.interval.wakers(), 1);
        Handle::current().advance(ms(300));
        assert_eq!(ticks.interval.woken(), 1);
        assert!(ticks.poll().is_ready());
        assert_eq!(ticks.interval.wakers(), 0);
    });
}

/// Tokio panics for a period of zero.
#[test]
fn any_period_is_one() {
    manual().block_on(async {
        let start = Instant::now();
        let mut ticks = interval(Duration::ZERO);
        assert_eq!((ticks.period(), ticks.tick().await), (Duration::from_nanos(1), start));
        let mut ticks = Probe::new(interval(Duration::MAX));
        let waker = ticks.waker();
        let mut cx = Context::from_waker(&waker);
        assert_eq!(ticks.inner.poll_tick(&mut cx), Poll::Ready(start));
        assert!(ticks.inner.poll_tick(&mut cx).is_pending());
    });
}
