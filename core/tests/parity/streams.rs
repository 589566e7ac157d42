//! `stream_timeout` and `time_throttle` of `tokio_stream`, on time that stands still and jumps.

use crate::support::{Probe, ms};
use futures_core::Stream;
use posse_core::runtime::Builder;
use posse_core::stream::StreamExt;
use posse_core::sync::mpsc;
use posse_core::time::error::Elapsed;
use posse_core::time::{Instant, interval, interval_at, sleep};
use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

fn paused<F: Future>(test: F) -> F::Output {
    Builder::new_current_thread().start_paused(true).build().unwrap().block_on(test)
}

async fn next<S: Stream + Unpin>(stream: &mut S) -> Option<S::Item> {
    poll_fn(|cx| Pin::new(&mut *stream).poll_next(cx)).await
}

/// The next items and when they came, in milliseconds after `start`.
async fn timed<S: Stream + Unpin>(stream: &mut S, start: Instant, count: usize) -> Vec<(u128, Option<S::Item>)> {
    let mut items = Vec::new();
    for _ in 0..count {
        let item = next(stream).await;
        items.push((start.elapsed().as_millis(), item));
    }
    items
}

#[test]
fn an_item_that_is_late_is_an_error_once_and_the_stream_goes_on() {
    paused(async {
        let start = Instant::now();
        let (send, receive) = mpsc::channel(4);
        let task = posse_core::task::spawn(async move {
            for pause in [0, 5, 30, 9] {
                sleep(ms(pause)).await;
                send.send(pause).await.unwrap();
            }
        });
        let mut limited = receive.timeout(ms(10));
        let late = Some(Err(Elapsed));
        let expected = [
            (0, Some(Ok(0))),
            (5, Some(Ok(5))),
            (15, late),
            (35, Some(Ok(30))),
            (44, Some(Ok(9))),
            (44, None),
            (44, None),
        ];
        assert_eq!(timed(&mut limited, start, 7).await, expected);
        task.await.unwrap();
    });
}

#[test]
fn the_time_for_the_first_item_begins_with_the_call() {
    paused(async {
        let (_send, receive) = mpsc::channel::<()>(1);
        let start = Instant::now();
        let mut limited = receive.timeout(ms(10));
        sleep(ms(7)).await;
        assert_eq!(timed(&mut limited, start, 1).await, [(10, Some(Err(Elapsed)))]);
    });
}

#[test]
fn a_timeout_that_repeats_tells_with_every_tick() {
    paused(async {
        let start = Instant::now();
        let source = interval(ms(23));
        let mut limited = source.timeout_repeating(interval(ms(9)));
        let items: Vec<_> =
            timed(&mut limited, start, 5).await.into_iter().map(|(at, item)| (at, item.unwrap().is_ok())).collect();
        assert_eq!(items, [(0, true), (9, false), (18, false), (23, true), (32, false)]);

        let (_send, silent) = mpsc::channel::<()>(1);
        let start = Instant::now();
        let mut limited = silent.timeout_repeating(interval_at(start + ms(4), ms(4)));
        let late = Some(Err(Elapsed));
        assert_eq!(timed(&mut limited, start, 3).await, [(4, late), (8, late), (12, late)]);
    });
}

#[test]
fn a_throttled_stream_keeps_its_distance() {
    paused(async {
        let (send, receive) = mpsc::unbounded_channel();
        for n in 0..3 {
            send.send(n).unwrap();
        }
        let start = Instant::now();
        let mut slow = receive.throttle(ms(100));
        assert_eq!(timed(&mut slow, start, 3).await, [(0, Some(0)), (100, Some(1)), (200, Some(2))]);
        // The time runs from the last item, whenever the next one comes.
        sleep(ms(250)).await;
        send.send(3).unwrap();
        send.send(4).unwrap();
        assert_eq!(timed(&mut slow, start, 2).await, [(450, Some(3)), (550, Some(4))]);
        send.send(5).unwrap();
        assert_eq!(slow.get_ref().len(), 1);
        assert_eq!(slow.into_inner().recv().await, Some(5));
        assert_eq!(start.elapsed(), ms(550));
    });
}

#[test]
fn a_throttle_of_no_time_holds_nothing_back() {
    paused(async {
        let (send, receive) = mpsc::unbounded_channel();
        (0..3).for_each(|n| send.send(n).unwrap());
        drop(send);
        let start = Instant::now();
        let mut all = receive.throttle(Duration::ZERO);
        assert_eq!(timed(&mut all, start, 4).await, [(0, Some(0)), (0, Some(1)), (0, Some(2)), (0, None)]);
    });
}

/// Ends, and must not be asked again.
struct EndsOnce(bool);

impl Stream for EndsOnce {
    type Item = u8;

    fn poll_next(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<u8>> {
        assert!(!std::mem::replace(&mut self.0, true), "asked after its end");
        Poll::Ready(None)
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (2, Some(3))
    }
}

#[test]
fn a_stream_that_has_ended_is_not_asked_again() {
    paused(async {
        let mut limited = EndsOnce(false).timeout(ms(1));
        // Two to three items, with an error before each and after the last.
        assert_eq!(limited.size_hint(), (2, Some(7)));
        assert_eq!((next(&mut limited).await, next(&mut limited).await), (None, None));
        assert_eq!(limited.size_hint(), (0, Some(1)));
        let mut repeating = EndsOnce(false).timeout_repeating(interval(ms(1)));
        assert_eq!(repeating.size_hint(), (2, None));
        assert_eq!((next(&mut repeating).await, next(&mut repeating).await), (None, None));
    });
}

#[test]
fn a_wait_that_is_given_up_loses_no_item() {
    paused(async {
        let (send, receive) = mpsc::unbounded_channel();
        (0..2).for_each(|n| send.send(n).unwrap());
        let mut slow = receive.throttle(ms(100));
        assert_eq!(next(&mut slow).await, Some(0));
        {
            let mut given_up = Probe::new(next(&mut slow));
            assert!(given_up.poll().is_pending());
        }
        assert_eq!(next(&mut slow).await, Some(1));
    });
}
