//! Tests of what is polled by hand, and of streams with a script.

use super::io::{Builder, Mock};
use super::{assert_pending, assert_ready, assert_ready_eq, assert_ready_err, assert_ready_ok, spawn};
use crate::io::{AsyncReadExt, AsyncWriteExt};
use posse_core::runtime;
use posse_core::sync::{Notify, mpsc};
use posse_core::time::{Duration, Instant};
use std::future::Future;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::task::Poll;

fn paused<F: Future>(test: F) -> F::Output {
    runtime::Builder::new_current_thread().start_paused(true).build().unwrap().block_on(test)
}

/// The text that `f` panics with.
#[track_caller]
fn panic_text(f: impl FnOnce()) -> String {
    let panic = catch_unwind(AssertUnwindSafe(f)).expect_err("it does not panic");
    posse_core::task::panic_message(panic)
}

#[test]
fn a_future_polled_by_hand_says_when_it_was_woken() {
    let notify = Notify::new();
    let mut first = spawn(notify.notified());
    let mut second = spawn(notify.notified());
    assert_pending!(first.poll());
    assert_pending!(second.poll(), "it was not notified");
    assert_eq!((first.is_woken(), first.waker_ref_count()), (false, 1));

    notify.notify_one();
    assert_eq!((first.is_woken(), second.is_woken()), (true, false));
    // It stays so until it is polled.
    assert!(first.is_woken());
    assert_ready!(first.poll(), "it was woken {} time", 1);
    assert_eq!((first.is_woken(), first.waker_ref_count()), (false, 0));
}

#[test]
fn a_stream_and_poll_functions_are_polled_by_hand_too() {
    let (send, receive) = mpsc::channel(1);
    let mut items = spawn(receive);
    assert_pending!(items.poll_next());
    send.try_send(1).unwrap();
    assert!(items.is_woken());
    assert_ready_eq!(items.poll_next(), Some(1));
    assert_pending!(items.enter(|cx, mut receive| receive.poll_recv(cx)));
    assert_eq!(items.get_ref().len(), 0);
    items.get_mut().close();
    drop(send);
    assert_eq!(items.into_inner().try_recv(), Err(mpsc::error::TryRecvError::Disconnected));
}

#[test]
fn a_future_that_was_polled_by_hand_goes_on_in_a_task() {
    paused(async {
        let start = Instant::now();
        let mut sleep = spawn(posse_core::time::sleep(Duration::from_secs(5)));
        assert_pending!(sleep.poll());
        sleep.await;
        assert_eq!(start.elapsed(), Duration::from_secs(5));
    });
}

#[test]
fn what_a_poll_must_have_said_is_returned_or_told() {
    let ok: Poll<Result<u8, &str>> = Poll::Ready(Ok(1));
    let failed: Poll<Result<u8, &str>> = Poll::Ready(Err("no"));
    let pending: Poll<Result<u8, &str>> = Poll::Pending;
    assert_eq!(assert_ready_ok!(ok), 1);
    assert_eq!(assert_ready_err!(failed, "it was to fail"), "no");
    assert_ready_eq!(ok, Ok(1), "as it was");

    assert_eq!(panic_text(|| _ = assert_ready!(pending)), "pending, and must be ready");
    assert_eq!(panic_text(|| _ = assert_ready!(pending, "by {}", "now")), "pending, and must be ready: by now");
    assert_eq!(panic_text(|| assert_pending!(ok)), "ready, and must be pending: Ok(1)");
    assert_eq!(panic_text(|| assert_pending!(failed, "still")), "ready, and must be pending: Err(\"no\"): still");
    assert_eq!(panic_text(|| _ = assert_ready_ok!(failed)), "an error, and must be ok: \"no\"");
    assert_eq!(panic_text(|| _ = assert_ready_err!(ok)), "ok, and must be an error: 1");
    assert!(panic_text(|| assert_ready_eq!(ok, Ok(2))).contains("left == right"));
}

#[test]
fn a_script_is_read_and_written_in_its_order() {
    paused(async {
        let mut stream =
            Builder::new().read(b"hel").read(b"lo").write(b"bye").wait(Duration::from_secs(1)).read(b"!").build();
        let start = Instant::now();
        let mut text = [0; 5];
        // The writer's turn comes when all before it was read, by as many reads as it takes.
        assert_pending!(spawn(stream.write(b"bye")).poll());
        stream.read_exact(&mut text).await.unwrap();
        assert_eq!(&text, b"hello");
        assert_pending!(spawn(stream.read(&mut text)).poll());
        stream.write_all(b"b").await.unwrap();
        stream.write_all(b"ye").await.unwrap();
        assert_eq!(start.elapsed(), Duration::ZERO);

        assert_eq!((stream.read(&mut text).await.unwrap(), text[0]), (1, b'!'));
        assert_eq!(start.elapsed(), Duration::from_secs(1));
        assert_eq!(stream.read(&mut text).await.unwrap(), 0);
        assert_eq!(stream.write(b"more").await.unwrap_err().kind(), io::ErrorKind::BrokenPipe);
    });
}

#[test]
fn who_waits_for_its_turn_is_woken_when_it_comes() {
    let mut stream = Builder::new().write(b"a").read(b"b").write(b"c").build();
    let mut byte = [0];
    let (mut read, mut write) = crate::io::split(&mut stream);
    let mut reading = spawn(read.read(&mut byte));
    assert_pending!(reading.poll());
    assert_ready_ok!(spawn(write.write_all(b"a")).poll());
    assert!(reading.is_woken());

    let mut writing = spawn(write.write_all(b"c"));
    assert_pending!(writing.poll());
    assert_eq!(assert_ready_ok!(reading.poll()), 1);
    assert!(writing.is_woken());
    assert_ready_ok!(writing.poll());
}

#[test]
fn errors_come_where_the_script_has_them() {
    paused(async {
        let refused = || io::Error::from(io::ErrorKind::PermissionDenied);
        let mut stream = Builder::new().read(b"a").read_error(refused()).write_error(refused()).write(b"b").build();
        let mut byte = [0];
        assert_eq!(stream.read(&mut byte).await.unwrap(), 1);
        assert_eq!(stream.read(&mut byte).await.unwrap_err().kind(), io::ErrorKind::PermissionDenied);
        assert_eq!(stream.write(b"b").await.unwrap_err().kind(), io::ErrorKind::PermissionDenied);
        assert_eq!(stream.write(b"b").await.unwrap(), 1);
    });
}

#[test]
fn what_is_not_as_the_script_says_panics() {
    fn write(stream: &mut Mock, bytes: &[u8]) -> String {
        panic_text(|| _ = spawn(stream.write(bytes)).poll())
    }
    let mut stream = Builder::new().name("server").write(b"pong").build();
    assert_eq!(write(&mut stream, b"pang"), "server: \"pang\" was written, and \"pong\" must be");
    // What is there of it is right, and the rest is missing.
    assert_eq!(assert_ready_ok!(spawn(stream.write(b"po")).poll()), 2);
    let text = panic_text(|| drop(stream));
    assert!(text.starts_with("server: dropped before its script has ended") && text.contains("ng"), "{text}");

    let unread = Builder::new().read(b"x").build();
    assert!(panic_text(|| drop(unread)).starts_with("dropped before"));
    // Nothing is left to read or to write.
    drop(Builder::new().read(b"").wait(Duration::from_secs(1)).build());
}
