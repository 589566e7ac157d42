//! Foreign code that panics where a worker or a thread of the pool runs it: each door is tried, and the runtime goes on.

use super::{Builder, Runtime};
use crate::io::UdpSocket;
use crate::task::{self, JoinHandle};
use crate::time::sleep;
use std::fmt::Debug;
use std::future::{Future, pending, poll_fn};
use std::panic::panic_any;
use std::pin::{Pin, pin};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, mpsc};
use std::task::{Context, Poll, Wake, Waker};
use std::time::Duration;

fn runtimes() -> [Runtime; 3] {
    [
        Builder::new_current_thread().build().expect("a runtime"),
        Builder::new_multi_thread().worker_threads(1).build().expect("a runtime"),
        Builder::new_multi_thread().worker_threads(4).build().expect("a runtime"),
    ]
}

/// A waker of another executor, and a bad one.
#[derive(Default)]
struct BadWaker(AtomicUsize);

impl Wake for BadWaker {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::AcqRel);
        panic!("a waker that panics");
    }
}

/// A value, or the payload of a panic, whose drop panics.
#[derive(Debug)]
struct Bomb;

impl Drop for Bomb {
    fn drop(&mut self) {
        panic_any("a bomb");
    }
}

/// Polls once with a waker that panics.
fn poll_badly<F: Future<Output: Debug>>(future: Pin<&mut F>) -> Arc<BadWaker> {
    let bad = Arc::new(BadWaker::default());
    let polled = future.poll(&mut Context::from_waker(&Waker::from(bad.clone())));
    assert!(polled.is_pending(), "{polled:?}");
    bad
}

/// Waits for a bad waker to be woken, which the runtime must survive.
async fn until_woken(bad: &BadWaker) {
    while bad.0.load(Ordering::Acquire) == 0 {
        task::yield_now().await;
    }
}

/// The workers still run what comes from outside, fire timers, and all leave in the end: nothing is left behind.
fn is_sound(runtime: Runtime) {
    for _ in 0..8 {
        let task = runtime.spawn(async {
            sleep(Duration::from_micros(1)).await;
            7
        });
        assert_eq!(runtime.block_on(task).expect("no panic"), 7);
    }
    runtime.spawn(pending::<()>());
    let handle = runtime.handle().clone();
    drop(runtime);
    assert_eq!(handle.alive_tasks(), 0);
}

#[test]
fn a_joiners_waker_that_panics_harms_nobody() {
    for runtime in runtimes() {
        let (open, opened) = crate::sync::oneshot::channel::<()>();
        let mut task: JoinHandle<_> = runtime.spawn(opened);
        let bad = poll_badly(Pin::new(&mut task));
        open.send(()).expect("the task waits");
        runtime.block_on(until_woken(&bad));
        is_sound(runtime);
    }
}

#[test]
fn an_output_whose_drop_panics_harms_nobody() {
    for runtime in runtimes() {
        drop(runtime.spawn(async { Bomb }));
        drop(runtime.spawn(async { panic_any(Bomb) }));
        is_sound(runtime);
    }
}

#[test]
fn a_future_whose_drop_panics_after_it_made_such_an_output_harms_nobody() {
    struct BadFuture(#[expect(dead_code, reason = "dropped")] Option<Bomb>, bool);
    impl Future for BadFuture {
        type Output = Bomb;
        fn poll(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Bomb> {
            if self.1 { panic_any(Bomb) } else { Poll::Ready(Bomb) }
        }
    }
    for runtime in runtimes() {
        for panics in [true, false] {
            let task = runtime.spawn(BadFuture(Some(Bomb), panics));
            assert!(runtime.block_on(task).expect_err("the drop panics").is_panic());
            drop(runtime.spawn(BadFuture(Some(Bomb), panics)));
        }
        is_sound(runtime);
    }
}

#[test]
fn a_sleepers_waker_that_panics_keeps_no_timer_from_firing() {
    let runtime = Builder::new_current_thread().manual_clock().build().expect("a runtime");
    let mut sleeps: Vec<_> = {
        let _guard = runtime.enter();
        (0..10).map(|_| Box::pin(sleep(Duration::from_secs(1)))).collect()
    };
    let bad: Vec<_> = sleeps.iter_mut().map(|sleep| poll_badly(sleep.as_mut())).collect();
    assert!(runtime.handle().advance(Duration::from_secs(1)));
    assert!(bad.iter().all(|waker| waker.0.load(Ordering::Acquire) == 1));
}

#[test]
fn real_a_sleepers_waker_that_panics_harms_no_worker() {
    for runtime in runtimes() {
        runtime.block_on(async {
            let bad = poll_badly(pin!(sleep(Duration::from_secs(60))));
            assert_eq!(bad.0.load(Ordering::Acquire), 0);
            let mut slept = pin!(sleep(Duration::from_millis(1)));
            until_woken(&poll_badly(slept.as_mut())).await;
            slept.await;
        });
        is_sound(runtime);
    }
}

#[test]
fn real_a_readers_waker_that_panics_harms_no_worker() {
    for runtime in runtimes() {
        runtime.block_on(async {
            let local = "127.0.0.1:0".parse().expect("an address");
            let (bad, good) = (UdpSocket::bind(local).expect("a socket"), UdpSocket::bind(local).expect("a socket"));
            let mut read = pin!(poll_fn(|cx| bad.poll_read_io(cx, |socket| socket.recv_from(&mut [0; 8]))));
            let woken = poll_badly(read.as_mut());

            let to = bad.local_addr().expect("an address");
            poll_fn(|cx| good.poll_write_io(cx, |socket| socket.send_to(&[1], to))).await.expect("sent");
            until_woken(&woken).await;

            let to = good.local_addr().expect("an address");
            poll_fn(|cx| good.poll_write_io(cx, |socket| socket.send_to(&[2], to))).await.expect("sent");
            let mut byte = [0];
            poll_fn(|cx| good.poll_read_io(cx, |socket| socket.recv_from(&mut byte))).await.expect("received");
            assert_eq!(byte, [2]);
        });
        is_sound(runtime);
    }
}

#[test]
fn a_closure_that_leaves_bombs_behind_ends_no_thread_of_the_pool() {
    let runtime = Builder::new_multi_thread().worker_threads(1).max_blocking_threads(1).build().expect("a runtime");
    drop(runtime.spawn_blocking(|| Bomb));
    drop(runtime.spawn_blocking(|| panic_any(Bomb)));
    let (open, opened) = mpsc::channel::<()>();
    let mut joined = runtime.spawn_blocking(move || opened.recv());
    let bad = poll_badly(Pin::new(&mut joined));
    open.send(()).expect("the closure waits");
    runtime.block_on(until_woken(&bad));
    assert_eq!(runtime.block_on(runtime.spawn_blocking(|| 7)).expect("no panic"), 7);
    assert_eq!(runtime.shutdown_timeout(Duration::from_secs(60)), 0);
}
