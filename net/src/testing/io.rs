//! A stream of bytes that follows a script: what code reads, and what it must write.

use crate::compat::{foreign_read, foreign_write};
use crate::io::{AsyncRead, AsyncWrite};
use bytes::{Buf, BufMut, Bytes};
use posse_core::time::{Sleep, sleep};
use std::collections::VecDeque;
use std::future::Future;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, Waker, ready};
use std::time::Duration;

/// Writes the script of a [`Mock`]. Its steps happen one after the other.
///
/// # Examples
/// ```
/// use posse::io::{AsyncReadExt, AsyncWriteExt};
/// use posse::testing::io::Builder;
///
/// # posse::runtime::Runtime::new().unwrap().block_on(async {
/// let mut stream = Builder::new().read(b"ping").write(b"pong").build();
/// let mut request = [0; 4];
/// stream.read_exact(&mut request).await?;
/// assert_eq!(&request, b"ping");
/// stream.write_all(b"pong").await?;
/// # std::io::Result::Ok(()) }).unwrap();
/// ```
#[derive(Debug, Default)]
pub struct Builder {
    steps: VecDeque<Step>,
    name: String,
}

#[derive(Debug)]
enum Step {
    /// Is read; what is left of it.
    Read(Bytes),
    /// Must be written; what is left of it.
    Write(Bytes),
    ReadError(io::Error),
    WriteError(io::Error),
    Wait(Duration),
}

impl Builder {
    /// An empty script: reading is at its end, and writing is an error.
    pub fn new() -> Self {
        Self::default()
    }

    /// Then these bytes are read, by as many reads as it takes.
    pub fn read(&mut self, bytes: &[u8]) -> &mut Self {
        self.then(Step::Read(Bytes::copy_from_slice(bytes)), bytes.is_empty())
    }

    /// Then these bytes must be written, by as many writes as it takes. Others panic.
    pub fn write(&mut self, bytes: &[u8]) -> &mut Self {
        self.then(Step::Write(Bytes::copy_from_slice(bytes)), bytes.is_empty())
    }

    /// Then a read fails.
    pub fn read_error(&mut self, error: io::Error) -> &mut Self {
        self.then(Step::ReadError(error), false)
    }

    /// Then a write fails.
    pub fn write_error(&mut self, error: io::Error) -> &mut Self {
        self.then(Step::WriteError(error), false)
    }

    /// Then nothing happens for so long, on the clock of the runtime, from the first poll on that comes to it.
    pub fn wait(&mut self, duration: Duration) -> &mut Self {
        self.then(Step::Wait(duration), duration.is_zero())
    }

    /// Names the stream in the texts of its panics. Default: no name.
    pub fn name(&mut self, name: impl Into<String>) -> &mut Self {
        self.name = name.into();
        self
    }

    /// Makes the stream. The script goes with it: the builder is as new.
    pub fn build(&mut self) -> Mock {
        let Self { steps, name } = std::mem::take(self);
        Mock(Script { steps, name, sleep: None, reader: None, writer: None })
    }

    fn then(&mut self, step: Step, is_nothing: bool) -> &mut Self {
        if !is_nothing {
            self.steps.push_back(step);
        }
        self
    }
}

/// A stream that follows the script of its [`Builder`]: futures-io's traits, and Tokio's and hyper's with their features.
///
/// A read whose turn it is not waits for the writes before it, and the reverse. After the script reads are at their end, and writes are
/// [`BrokenPipe`](io::ErrorKind::BrokenPipe).
///
/// # Panics
/// When other bytes are written than the script says; and when it is dropped before all was read and written, unless its thread panics already.
#[derive(Debug)]
pub struct Mock(Script);

#[derive(Debug)]
struct Script {
    steps: VecDeque<Step>,
    name: String,
    /// Of the first step, if that is a wait that has begun.
    sleep: Option<Sleep>,
    /// Waits for its turn to read.
    reader: Option<Waker>,
    /// Waits for its turn to write.
    writer: Option<Waker>,
}

impl Script {
    /// Waits for as long as the script says so.
    fn poll_waits(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        while let Some(Step::Wait(duration)) = self.steps.front() {
            let sleep = self.sleep.get_or_insert_with(|| sleep(*duration));
            ready!(Pin::new(sleep).poll(cx));
            self.sleep = None;
            self.step_done();
        }
        Poll::Ready(())
    }

    /// The first step is over, and a task that waited for it looks again.
    fn step_done(&mut self) {
        self.steps.pop_front();
        self.reader.take().into_iter().chain(self.writer.take()).for_each(Waker::wake);
    }

    fn poll_read_buf<B: BufMut>(&mut self, cx: &mut Context<'_>, buffer: &mut B) -> Poll<io::Result<usize>> {
        if !buffer.has_remaining_mut() {
            return Poll::Ready(Ok(0));
        }
        if self.poll_waits(cx).is_pending() {
            // The other half may take over the wait.
            self.reader = Some(cx.waker().clone());
            return Poll::Pending;
        }
        match self.steps.front_mut() {
            None => Poll::Ready(Ok(0)),
            Some(Step::Read(bytes)) => {
                let count = bytes.len().min(buffer.remaining_mut());
                buffer.put(bytes.split_to(count));
                if bytes.is_empty() {
                    self.step_done();
                }
                Poll::Ready(Ok(count))
            }
            Some(Step::ReadError(error)) => {
                let error = std::mem::replace(error, io::ErrorKind::Other.into());
                self.step_done();
                Poll::Ready(Err(error))
            }
            Some(Step::Write(_) | Step::WriteError(_) | Step::Wait(_)) => {
                self.reader = Some(cx.waker().clone());
                Poll::Pending
            }
        }
    }

    fn poll_write(&mut self, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        if bytes.is_empty() {
            return Poll::Ready(Ok(0));
        }
        if self.poll_waits(cx).is_pending() {
            self.writer = Some(cx.waker().clone());
            return Poll::Pending;
        }
        match self.steps.front_mut() {
            None => Poll::Ready(Err(io::Error::new(io::ErrorKind::BrokenPipe, "the script has ended"))),
            Some(Step::Write(expected)) => {
                let count = expected.len().min(bytes.len());
                let (is, must_be) = (bytes[..count].escape_ascii(), expected[..count].escape_ascii());
                assert!(
                    bytes[..count] == expected[..count],
                    "{}\"{is}\" was written, and \"{must_be}\" must be",
                    prefix(&self.name)
                );
                expected.advance(count);
                if expected.is_empty() {
                    self.step_done();
                }
                Poll::Ready(Ok(count))
            }
            Some(Step::WriteError(error)) => {
                let error = std::mem::replace(error, io::ErrorKind::Other.into());
                self.step_done();
                Poll::Ready(Err(error))
            }
            Some(Step::Read(_) | Step::ReadError(_) | Step::Wait(_)) => {
                self.writer = Some(cx.waker().clone());
                Poll::Pending
            }
        }
    }
}

fn prefix(name: &str) -> String {
    if name.is_empty() { String::new() } else { format!("{name}: ") }
}

impl Drop for Mock {
    fn drop(&mut self) {
        if std::thread::panicking() {
            return;
        }
        let left = self.0.steps.iter().find(|step| !matches!(step, Step::Wait(_)));
        assert!(left.is_none(), "{}dropped before its script has ended: {left:?}", prefix(&self.0.name));
    }
}

impl AsyncRead for Mock {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, mut buffer: &mut [u8]) -> Poll<io::Result<usize>> {
        self.0.poll_read_buf(cx, &mut buffer)
    }
}

impl AsyncWrite for Mock {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.0.poll_write(cx, bytes)
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_close(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

foreign_read!(Mock, 0);
foreign_write!(Mock);
