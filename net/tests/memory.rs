//! Streams that are always ready, and streams that fail: what sockets are too rarely to be tested with.
#![allow(missing_docs, clippy::unwrap_used)]

use bytes::BytesMut;
use posse_core::runtime::Builder;
use posse_net::codec::{CodecError, Decoder, Framed, LengthDelimitedCodec, LinesCodec};
use posse_net::io::{
    AsyncBufReadExt, AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, BufReader, BufWriter, copy,
    copy_bidirectional, simplex,
};
use std::future::Future;
use std::io::{Error, ErrorKind, Result};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, Wake, Waker};

/// Far more steps than a task may take in one poll.
const STEPS: usize = 100_000;

/// Gives so many empty lines, and takes everything; a byte at a time, and always at once.
struct Ready(usize);

impl AsyncRead for Ready {
    fn poll_read(mut self: Pin<&mut Self>, _: &mut Context<'_>, buffer: &mut [u8]) -> Poll<Result<usize>> {
        let read = self.0.min(buffer.len()).min(1);
        self.0 -= read;
        buffer[..read].fill(b'\n');
        Poll::Ready(Ok(read))
    }
}

impl AsyncWrite for Ready {
    fn poll_write(self: Pin<&mut Self>, _: &mut Context<'_>, bytes: &[u8]) -> Poll<Result<usize>> {
        Poll::Ready(Ok(bytes.len().min(1)))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_close(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Result<()>> {
        Poll::Ready(Ok(()))
    }
}

/// Gives these pieces one after the other, and then the end.
struct Script(Vec<Result<&'static [u8]>>);

impl AsyncRead for Script {
    fn poll_read(mut self: Pin<&mut Self>, _: &mut Context<'_>, buffer: &mut [u8]) -> Poll<Result<usize>> {
        if self.0.is_empty() {
            return Poll::Ready(Ok(0));
        }
        let piece = self.0.remove(0)?;
        buffer[..piece.len()].copy_from_slice(piece);
        Poll::Ready(Ok(piece.len()))
    }
}

fn block_on<F: Future>(future: F) -> F::Output {
    Builder::new_current_thread().build().unwrap().block_on(future)
}

/// Asserts that another task runs while `greedy`, which never has to wait, is at work.
fn lets_others_run(name: &str, greedy: impl Future<Output = ()> + Send + 'static) {
    let runtime = Builder::new_current_thread().build().unwrap();
    let others = Arc::new(AtomicBool::new(false));
    let (seen, neighbour) = (others.clone(), others);
    let greedy = runtime.spawn(async move {
        greedy.await;
        seen.load(Ordering::Relaxed)
    });
    drop(runtime.spawn(async move { neighbour.store(true, Ordering::Relaxed) }));
    assert!(runtime.block_on(greedy).unwrap(), "{name} does not take part in the budget");
}

#[test]
fn every_loop_over_a_stream_that_is_always_ready_yields_in_the_end() {
    lets_others_run("copy", async {
        assert_eq!(copy(&mut Ready(STEPS), &mut Ready(0)).await.unwrap(), STEPS as u64);
    });
    lets_others_run("copy_bidirectional", async {
        let totals = copy_bidirectional(&mut Ready(STEPS), &mut Ready(1)).await.unwrap();
        assert_eq!(totals, (STEPS as u64, 1));
    });
    lets_others_run("read_exact", async {
        assert_eq!(Ready(STEPS).read_exact(&mut vec![0; STEPS]).await.unwrap(), STEPS);
    });
    lets_others_run("read_to_end", async {
        let mut buffer = vec![0];
        assert_eq!(Ready(STEPS).read_to_end(&mut buffer).await.unwrap(), STEPS);
        assert_eq!(buffer.len(), STEPS + 1);
    });
    lets_others_run("read_until", async {
        let mut source = BufReader::with_capacity(1, Ready(STEPS));
        assert_eq!(source.read_until(b'x', STEPS, &mut Vec::new()).await.unwrap(), STEPS);
    });
    lets_others_run("write_all", async { Ready(0).write_all(&[0; STEPS]).await.unwrap() });
    lets_others_run("flush of a BufWriter", async {
        let mut sink = BufWriter::with_capacity(2 * STEPS, Ready(0));
        sink.write_all(&[0; STEPS]).await.unwrap();
        sink.flush().await.unwrap();
        assert!(sink.buffer().is_empty());
    });
    lets_others_run("next of a Framed", async {
        let mut lines = Framed::new(Ready(STEPS), LinesCodec::new(9));
        for _ in 0..STEPS {
            assert_eq!(lines.next().await.unwrap().unwrap(), "");
        }
        assert!(lines.next().await.is_none());
    });
    lets_others_run("send of a Framed", async {
        Framed::new(Ready(0), LengthDelimitedCodec::builder().max_frame_length(STEPS).new_codec())
            .send([0; STEPS])
            .await
            .unwrap();
    });
}

#[test]
fn a_direction_that_never_waits_does_not_keep_the_other_one_from_being_copied() {
    /// Ends once the other direction has been copied.
    struct Until(Arc<AtomicBool>, usize);

    impl AsyncRead for Until {
        fn poll_read(mut self: Pin<&mut Self>, _: &mut Context<'_>, buffer: &mut [u8]) -> Poll<Result<usize>> {
            self.1 += 1;
            assert!(self.1 < STEPS, "the other direction starves");
            buffer[0] = 0;
            Poll::Ready(Ok(usize::from(!self.0.load(Ordering::Relaxed))))
        }
    }

    impl AsyncWrite for Until {
        fn poll_write(self: Pin<&mut Self>, _: &mut Context<'_>, bytes: &[u8]) -> Poll<Result<usize>> {
            Poll::Ready(Ok(bytes.len()))
        }

        fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Result<()>> {
            Poll::Ready(Ok(()))
        }

        fn poll_close(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Result<()>> {
            self.0.store(true, Ordering::Relaxed);
            Poll::Ready(Ok(()))
        }
    }

    block_on(async {
        let mut greedy = Until(Arc::default(), 0);
        assert_eq!(copy_bidirectional(&mut greedy, &mut Ready(7)).await.unwrap().1, 7);
        let mut greedy = Until(Arc::default(), 0);
        assert_eq!(copy_bidirectional(&mut Ready(7), &mut greedy).await.unwrap().0, 7);
    });
}

#[test]
fn waiting_for_many_streams_at_once_costs_no_budget() {
    struct Never;

    impl AsyncRead for Never {
        fn poll_read(self: Pin<&mut Self>, _: &mut Context<'_>, _: &mut [u8]) -> Poll<Result<usize>> {
            Poll::Pending
        }
    }

    block_on(async {
        let mut idle: Vec<_> = (0..1000).map(|_| Framed::new(Never, LinesCodec::new(9))).collect();
        let mut last = Framed::new(Ready(1), LinesCodec::new(9));
        let line = std::future::poll_fn(|cx| {
            for stream in &mut idle {
                assert!(stream.poll_frame(cx).is_pending());
            }
            last.poll_frame(cx)
        });
        assert_eq!(line.await.unwrap().unwrap(), "");
    });
}

#[test]
fn after_an_error_there_are_no_frames_and_the_codec_is_asked_no_more() {
    const LONG: &[u8] = &[b'x'; 100];

    /// Lines whose decoder must not be asked after an error.
    struct Once(LinesCodec, bool);

    impl Decoder for Once {
        type Item = String;
        type Error = CodecError;

        fn decode(&mut self, buffer: &mut BytesMut) -> std::result::Result<Option<String>, CodecError> {
            assert!(!self.1, "asked after an error");
            let decoded = self.0.decode(buffer);
            self.1 = decoded.is_err();
            decoded
        }
    }

    let scripts: [Vec<Result<&'static [u8]>>; 4] = [
        vec![Ok(LONG), Ok(b"a\n")],
        vec![Ok(b"abc"), Err(ErrorKind::ConnectionReset.into()), Ok(b"a\n")],
        vec![Ok(b"\xff\n"), Ok(b"a\n")],
        vec![Ok(b"abc"), Ok(LONG)],
    ];
    for script in scripts {
        block_on(async {
            let mut lines = Framed::new(Script(script), Once(LinesCodec::new(10), false));
            assert!(lines.next().await.unwrap().is_err());
            for _ in 0..3 {
                assert!(lines.next().await.is_none());
            }
        });
    }
}

#[test]
fn the_error_of_the_stream_is_kept_as_the_source() {
    block_on(async {
        let script = vec![Err(Error::new(ErrorKind::ConnectionReset, "gone"))];
        let error = Framed::new(Script(script), LinesCodec::new(10)).next().await.unwrap().unwrap_err();
        assert_eq!(std::error::Error::source(&error).unwrap().to_string(), "gone");
        assert!(std::error::Error::source(&CodecError::Truncated).is_none());
    });
}

#[test]
fn what_came_before_the_end_is_given_out_and_then_nothing() {
    block_on(async {
        let mut lines = Framed::new(Script(vec![Ok(b"a\nb\r\nc")]), LinesCodec::new(10));
        for expected in ["a", "b", "c"] {
            assert_eq!(lines.next().await.unwrap().unwrap(), expected);
        }
        assert!(lines.next().await.is_none());
        assert!(lines.next().await.is_none());
    });
}

/// The waker of an executor that panics over it.
struct Panics;

impl Wake for Panics {
    fn wake(self: Arc<Self>) {
        panic!("a waker that panics");
    }
}

#[test]
fn a_waker_that_panics_does_no_harm_at_the_other_end_of_a_pipe() {
    let (panics, quiet) = (Waker::from(Arc::new(Panics)), Waker::noop());
    let (mut waits, mut acts) = (Context::from_waker(&panics), Context::from_waker(quiet));
    let (mut read, mut write) = simplex(4);
    let mut buffer = [0; 4];
    assert!(Pin::new(&mut read).poll_read(&mut waits, &mut buffer).is_pending());
    assert!(matches!(Pin::new(&mut write).poll_write(&mut acts, b"abcd"), Poll::Ready(Ok(4))));

    assert!(Pin::new(&mut write).poll_write(&mut waits, b"e").is_pending());
    assert!(matches!(Pin::new(&mut read).poll_read(&mut acts, &mut buffer), Poll::Ready(Ok(4))));
    assert_eq!(&buffer, b"abcd");

    assert!(Pin::new(&mut read).poll_read(&mut waits, &mut buffer).is_pending());
    drop(write);
    assert!(matches!(Pin::new(&mut read).poll_read(&mut acts, &mut buffer), Poll::Ready(Ok(0))));
}
