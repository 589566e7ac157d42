//! `time_delay_queue` of `tokio_util`.

use crate::support::{Probe, manual, ms};
use posse_core::runtime::Handle;
use posse_core::time::{DelayQueue, Expired, Instant};
use std::future::poll_fn;
use std::task::{Context, Poll};
use std::time::Duration;

/// What one poll of the queue gives, with the waker of the probe.
fn poll<T>(queue: &mut Probe<DelayQueue<T>>) -> Poll<Option<T>> {
    let waker = queue.waker();
    queue.inner.poll_expired(&mut Context::from_waker(&waker)).map(|expired| expired.map(Expired::into_inner))
}

fn advance(time: Duration) {
    Handle::current().advance(time);
}

/// Runs a test in a runtime whose clock shows a day, with a queue.
fn with_queue(test: impl FnOnce(&mut Probe<DelayQueue<&'static str>>, Instant)) {
    manual().block_on(async {
        advance(Duration::from_secs(24 * 3600));
        test(&mut Probe::new(DelayQueue::new()), Instant::now());
    });
}

#[test]
fn what_is_due_comes_at_once_and_then_the_end() {
    with_queue(|queue, now| {
        assert_eq!(poll(queue), Poll::Ready(None));
        for value in ["one", "two", "three"] {
            queue.inner.insert_at(value, now);
        }
        queue.inner.insert("four", Duration::ZERO);
        for value in ["one", "two", "three", "four"] {
            assert_eq!(poll(queue), Poll::Ready(Some(value)));
        }
        assert_eq!(poll(queue), Poll::Ready(None));
    });
}

#[test]
fn who_waits_is_woken_when_a_value_is_due_and_not_before() {
    manual().block_on(async {
        let start = Instant::now();
        let mut queue = Probe::new(DelayQueue::new());
        let delays = [1000, 2, 234, 262_144 + 9 * 4096, 60, 10];
        for delay in delays {
            queue.inner.insert_at(delay, start + ms(delay));
        }
        assert!(poll(&mut queue).is_pending());
        for passed in 1..1200 {
            advance(ms(1));
            if delays.contains(&passed) {
                assert_eq!((queue.woken(), poll(&mut queue)), (1, Poll::Ready(Some(passed))));
                assert!(poll(&mut queue).is_pending());
            } else {
                // One timer for the earliest: no wake in between, where Tokio's wheel turns.
                assert_eq!(queue.woken(), 0);
            }
        }
        assert_eq!(queue.inner.len(), 1);
    });
}

#[test]
fn a_value_is_taken_out_before_its_time_and_after() {
    with_queue(|queue, now| {
        let (early, late) = (queue.inner.insert_at("early", now), queue.inner.insert_at("late", now + ms(5)));
        let same = queue.inner.insert_at("same", now + ms(5));
        advance(ms(10));
        assert_eq!(queue.inner.remove(&early).map(Expired::into_inner), Some("early"));
        assert_eq!(poll(queue), Poll::Ready(Some("late")));
        // Tokio panics for a key that is used up.
        assert_eq!((queue.inner.remove(&late), queue.inner.remove(&early)), (None, None));
        assert_eq!(queue.inner.remove(&same).map(Expired::into_inner), Some("same"));
        assert!(!queue.inner.reset(&late, ms(1)) && !queue.inner.reset_at(&late, now));
        assert_eq!(poll(queue), Poll::Ready(None));
    });
}

#[test]
fn who_waits_hears_that_there_is_nothing_to_wait_for_any_more() {
    with_queue(|queue, _| {
        let (one, other) = (queue.inner.insert("one", ms(1000)), queue.inner.insert("other", ms(2000)));
        assert!(poll(queue).is_pending());
        assert!(queue.inner.remove(&one).is_some());
        assert_eq!(queue.woken(), 0);
        assert!(queue.inner.remove(&other).is_some());
        assert_eq!((queue.woken(), poll(queue)), (1, Poll::Ready(None)));

        queue.inner.insert("three", ms(1000));
        queue.woken();
        assert!(poll(queue).is_pending());
        queue.inner.clear();
        assert_eq!((queue.woken(), poll(queue)), (1, Poll::Ready(None)));
        queue.inner.clear();
        queue.inner.insert("four", ms(1));
        assert_eq!(queue.woken(), 1, "something is there again");
    });
}

/// A move of a value: due, passed, then due anew.
struct Move(u64, u64, u64);

#[test]
fn a_value_that_is_moved_comes_at_its_new_time_alone() {
    for Move(due, passed, anew) in [
        Move(5, 1, 10),
        Move(200, 3, 10),
        Move(100, 80, 120),
        Move(200, 80, 120),
        Move(10_000, 0, 600),
        Move(64, 63, 64),
        Move(60, 50, 262_144),
    ] {
        with_queue(|queue, now| {
            let key = queue.inner.insert_at("moved", now + ms(due));
            assert!(poll(queue).is_pending());
            advance(ms(passed));
            assert!(queue.inner.reset_at(&key, now + ms(anew)));
            assert_eq!((queue.inner.deadline(&key), queue.inner.len()), (Some(now + ms(anew)), 1));
            if passed < anew {
                assert!(poll(queue).is_pending());
                queue.woken();
                advance(ms(anew - passed) - Duration::from_nanos(1));
                assert!(poll(queue).is_pending());
                advance(Duration::from_nanos(1));
            }
            assert_eq!((queue.woken(), poll(queue), poll(queue)), (1, Poll::Ready(Some("moved")), Poll::Ready(None)));
        });
    }
}

#[test]
fn a_value_that_is_moved_into_the_past_wakes_who_waits() {
    with_queue(|queue, now| {
        let key = queue.inner.insert("moved", ms(10_000));
        assert!(poll(queue).is_pending());
        let past = Instant::from_nanos_before(now);
        assert!(queue.inner.reset_at(&key, past));
        assert_eq!((queue.woken(), poll(queue), poll(queue)), (1, Poll::Ready(Some("moved")), Poll::Ready(None)));
        queue.inner.insert("later", ms(100));
        assert!(poll(queue).is_pending());
        queue.inner.insert_at("past", past);
        assert_eq!((queue.woken() > 0, poll(queue)), (true, Poll::Ready(Some("past"))));
    });
}

trait Before {
    fn from_nanos_before(now: Instant) -> Instant;
}

impl Before for Instant {
    /// An instant before `now`: the origin of the clock.
    fn from_nanos_before(now: Instant) -> Instant {
        let past = Self::from_std(Self::now().into_std() - now.since_origin() / 2);
        assert!(past < now);
        past
    }
}

#[test]
fn values_are_moved_past_each_other() {
    with_queue(|queue, now| {
        let (one, two) = (queue.inner.insert_at("one", now + ms(200)), queue.inner.insert_at("two", now + ms(250)));
        assert!(poll(queue).is_pending());
        for (key, at) in [(&one, 300), (&two, 350), (&one, 400)] {
            assert!(queue.inner.reset_at(key, now + ms(at)));
        }
        advance(ms(310));
        assert!(poll(queue).is_pending());
        advance(ms(40));
        assert_eq!(poll(queue), Poll::Ready(Some("two")));
        assert!(poll(queue).is_pending());
        advance(ms(50));
        assert_eq!((poll(queue), poll(queue)), (Poll::Ready(Some("one")), Poll::Ready(None)));
    });
    for earlier in [true, false] {
        with_queue(|queue, now| {
            let (one, two) = (queue.inner.insert_at("one", now + ms(200)), queue.inner.insert_at("two", now + ms(250)));
            assert!(poll(queue).is_pending());
            if earlier {
                assert!(queue.inner.reset_at(&two, now + ms(100)));
                advance(ms(100));
            } else {
                assert!(queue.inner.reset_at(&one, now + ms(300)));
                advance(ms(250));
            }
            assert_eq!((queue.woken() > 0, poll(queue)), (true, Poll::Ready(Some("two"))));
            assert!(poll(queue).is_pending());
        });
    }
}

#[test]
fn a_value_that_is_put_in_before_the_first_is_waited_for() {
    with_queue(|queue, now| {
        queue.inner.insert_at("late", now + ms(10_000));
        assert!(poll(queue).is_pending());
        queue.inner.insert_at("early", now + ms(600));
        assert_eq!((queue.woken(), poll(queue)), (1, Poll::Pending));
        advance(ms(599));
        assert_eq!((queue.woken(), poll(queue)), (0, Poll::Pending));
        advance(ms(1));
        assert_eq!((queue.woken(), poll(queue)), (1, Poll::Ready(Some("early"))));
        // What is put in while others come out changes nothing about those.
        for value in ["1", "2", "3"] {
            queue.inner.insert(value, ms(100));
        }
        advance(ms(100));
        for value in ["1", "2", "3"] {
            assert_eq!(poll(queue), Poll::Ready(Some(value)));
            queue.inner.insert("later", ms(500));
        }
        assert!(poll(queue).is_pending());
    });
}

#[test]
fn the_next_is_shown_without_being_taken() {
    with_queue(|queue, now| {
        assert_eq!(queue.inner.peek(), None);
        let foo = queue.inner.insert_at("foo", now + ms(5));
        let bar = queue.inner.insert_at("bar", now);
        let baz = queue.inner.insert_at("baz", now + ms(10));
        for (key, value) in [(bar, "bar"), (foo, "foo"), (baz, "baz")] {
            assert_eq!((queue.inner.peek(), queue.inner.peek()), (Some(key), Some(key)));
            advance(ms(5));
            assert_eq!(poll(queue), Poll::Ready(Some(value)));
        }
        assert_eq!(queue.inner.peek(), None);
    });
}

#[test]
fn a_queue_may_be_as_old_as_it_likes() {
    manual().block_on(async {
        let mut queue = DelayQueue::new();
        for _ in 0..3 {
            advance(Duration::from_millis(1 << 37));
            queue.insert(0, Duration::ZERO);
            let expired = poll_fn(|cx| queue.poll_expired(cx)).await.unwrap();
            assert_eq!((expired.deadline(), expired.into_inner()), (Instant::now(), 0));
            let far = queue.insert(1, Duration::MAX);
            assert!(queue.remove(&far).is_some());
        }
    });
}
