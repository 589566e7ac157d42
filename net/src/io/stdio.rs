//! The standard streams of the process.
//!
//! Reading from a terminal may never return, so each stream of a runtime has a thread of its own, which the end of the
//! runtime does not wait for. It is started at the first use and serves one request after the other.

use futures_io::{AsyncRead, AsyncWrite};
use posse_core::io::spawn_detached;
use posse_core::lock::Mutex;
use posse_core::runtime::Handle;
use posse_core::sync::futures::OwnedNotified;
use posse_core::sync::{Notify, oneshot};
use posse_core::task::coop::poll_proceed;
use std::collections::BTreeMap;
use std::fmt;
use std::future::Future;
use std::io::{self, BufRead, Error, Result, Write};
use std::pin::Pin;
use std::sync::mpsc;
use std::sync::{Arc, OnceLock};
use std::task::{Context, Poll, ready};

/// Bytes handed to the thread, or asked from it, at once.
const CHUNK_BYTES: usize = 64 * 1024;

/// Returns the standard input of the process.
///
/// Bytes that are not read stay with the process: handles share them, also with [`std::io::stdin`]. A read that is dropped
/// does not take any; the next one goes on with it. What had come for a handle that is dropped goes to the next reader on its
/// runtime. The end of the runtime does not wait for input.
///
/// Reading outside of a runtime, or in a simulation, is an error.
///
/// # Examples
/// ```no_run
/// use posse::io::{AsyncBufReadExt, BufReader, stdin};
///
/// # posse::runtime::Runtime::new().unwrap().block_on(async {
/// let mut lines = BufReader::new(stdin()).lines(1024);
/// while let Some(line) = lines.next_line().await? {
///     println!("{line}");
/// }
/// # std::io::Result::Ok(()) }).unwrap();
/// ```
pub fn stdin() -> Stdin {
    Stdin { asked: None, rest: Vec::new(), start: 0, number: 0, shared: None }
}

/// Returns the standard output of the process.
///
/// What was written appears once [`flush`](super::AsyncWriteExt::flush) has returned. What is not flushed may be lost if the
/// program ends: the end does not wait for who reads the output.
///
/// Writing outside of a runtime, or in a simulation, is an error.
///
/// # Examples
/// ```
/// use posse::io::{AsyncWriteExt, stdout};
///
/// # posse::runtime::Runtime::new().unwrap().block_on(async {
/// let mut out = stdout();
/// out.write_all(b"a line\n").await?;
/// out.flush().await?;
/// # std::io::Result::Ok(()) }).unwrap();
/// ```
pub fn stdout() -> Stdout {
    Stdout(Output::new())
}

/// Returns the standard error output of the process. As [`stdout`] in everything else.
///
/// # Examples
/// ```
/// use posse::io::{AsyncWriteExt, stderr};
///
/// # posse::runtime::Runtime::new().unwrap().block_on(async {
/// let mut errors = stderr();
/// errors.write_all(b"a warning\n").await?;
/// errors.flush().await?;
/// # std::io::Result::Ok(()) }).unwrap();
/// ```
pub fn stderr() -> Stderr {
    Stderr(Output::new())
}

/// The standard input of the process; see [`stdin`].
#[derive(Debug)]
pub struct Stdin {
    /// The read that was begun and not taken, and its number.
    asked: Option<(u64, oneshot::Receiver<Result<Vec<u8>>>)>,
    /// What came for a read that was dropped, and is larger than the next one.
    rest: Vec<u8>,
    start: usize,
    /// The number of the read that it came for.
    number: u64,
    /// Made at the first read.
    shared: Option<Shared>,
}

/// What the handles on one runtime share, and this one's wait for what others give back.
#[derive(Debug)]
struct Shared {
    thread: Arc<InThread>,
    given_back: OwnedNotified,
}

/// The standard output of the process; see [`stdout`].
#[derive(Debug)]
pub struct Stdout(Output<OutThread>);

/// The standard error output of the process; see [`stderr`].
#[derive(Debug)]
pub struct Stderr(Output<ErrThread>);

/// A thread that serves requests, hanging on the runtime. It ends with the runtime, unless it is held up.
struct Served<T>(OnceLock<Mutex<mpsc::Sender<T>>>);

impl<T: Send + 'static> Served<T> {
    /// Sends a request, to a new thread if there is none yet.
    fn send(&self, request: T, name: &str, serve: impl Fn(T) + Send + 'static) -> Result<()> {
        let sender = match self.0.get() {
            Some(sender) => sender,
            None => {
                let (sender, requests) = mpsc::channel();
                spawn_detached(name, move || requests.into_iter().for_each(serve))?;
                self.0.get_or_init(|| Mutex::new(sender))
            }
        };
        let sender = sender.lock();
        sender.send(request).map_err(|_| Error::other("the thread of a standard stream has ended"))
    }
}

impl<T> Default for Served<T> {
    fn default() -> Self {
        Self(OnceLock::new())
    }
}

/// A request for at most a number of bytes, and where they go.
type Ask = (usize, oneshot::Sender<Result<Vec<u8>>>);

/// The thread that reads the input.
#[derive(Default)]
struct InThread {
    served: Served<Ask>,
    line: Mutex<Line>,
    notify: Arc<Notify>,
}

/// The reads in the order in which they were begun, which is that of their bytes in the input.
#[derive(Default)]
struct Line {
    begun: u64,
    /// What came for handles that were dropped: to be read before what comes for later reads. At most one for each such handle.
    given_back: BTreeMap<u64, Vec<u8>>,
}

impl InThread {
    /// Puts back what a handle has not read. Those who wait are told: what they wait for comes after it.
    fn give_back(&self, number: u64, bytes: &[u8]) {
        if !bytes.is_empty() {
            self.line.lock().given_back.insert(number, bytes.to_vec());
            self.notify.notify_waiters();
        }
    }

    /// Takes what was given back first, unless it came after that of another read.
    fn take_given_back(&self, before: Option<u64>) -> Option<(u64, Vec<u8>)> {
        let mut line = self.line.lock();
        let first = line.given_back.first_entry()?;
        before.is_none_or(|number| *first.key() < number).then(|| first.remove_entry())
    }

    /// Begins a read. In one hold of the lock, so that the numbers are in the order of the thread's work.
    fn begin(&self, max: usize) -> Result<(u64, oneshot::Receiver<Result<Vec<u8>>>)> {
        let (answer, asked) = oneshot::channel();
        let mut line = self.line.lock();
        self.served.send((max, answer), "stdin", Self::serve)?;
        line.begun += 1;
        Ok((line.begun, asked))
    }

    fn serve((max, answer): Ask) {
        let mut input = io::stdin().lock();
        let read = loop {
            match input.fill_buf() {
                Ok(available) => break Ok(available[..available.len().min(max)].to_vec()),
                // A signal: no bytes would be the end of the input.
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => break Err(error),
            }
        };
        let len = read.as_ref().map_or(0, Vec::len);
        // What no read waits for any more stays where it is.
        if answer.send(read).is_ok() {
            input.consume(len);
        }
    }
}

impl fmt::Debug for InThread {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("InThread").finish_non_exhaustive()
    }
}

impl Stdin {
    /// Gets the next bytes: those that a handle gave back, or what the thread answers.
    fn poll_next(&mut self, cx: &mut Context<'_>, max: usize) -> Poll<Result<(u64, Vec<u8>)>> {
        let shared = match &mut self.shared {
            Some(shared) => shared,
            None => {
                let thread = Handle::try_current().map_err(Error::other)?.extension(InThread::default);
                let given_back = thread.notify.clone().notified_owned();
                self.shared.insert(Shared { thread, given_back })
            }
        };
        // Registered first: what is given back between the look and the wait would be missed.
        while Pin::new(&mut shared.given_back).poll(cx).is_ready() {
            shared.given_back = shared.thread.notify.clone().notified_owned();
        }
        // What another handle gave back was read before what this one asked for, if its number is smaller, and comes first.
        let own = self.asked.as_ref().map(|(number, _)| *number);
        if let Some(given_back) = shared.thread.take_given_back(own) {
            return Poll::Ready(Ok(given_back));
        }
        // A question of a read that was dropped is still this handle's.
        let (number, asked) = match &mut self.asked {
            Some(asked) => asked,
            None => self.asked.insert(shared.thread.begin(max)?),
        };
        let (number, answer) = (*number, ready!(Pin::new(asked).poll(cx)));
        self.asked = None;
        Poll::Ready(answer.map_err(Error::other)?.map(|bytes| (number, bytes)))
    }
}

/// What has come for it and was not read goes to the next reader.
impl Drop for Stdin {
    fn drop(&mut self) {
        let Some(shared) = &self.shared else { return };
        // In the order of the input: what it has read and not given out, then what has come for its last question.
        shared.thread.give_back(self.number, &self.rest[self.start..]);
        let Some((number, asked)) = &mut self.asked else { return };
        // The thread takes nothing for it from here on.
        asked.close();
        if let Ok(Ok(answer)) = asked.try_recv() {
            shared.thread.give_back(*number, &answer);
        }
    }
}

impl AsyncRead for Stdin {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut [u8]) -> Poll<Result<usize>> {
        let this = self.get_mut();
        if buffer.is_empty() {
            return Poll::Ready(Ok(0));
        }
        let progress = ready!(poll_proceed(cx));
        if this.start == this.rest.len() {
            (this.number, this.rest) = ready!(this.poll_next(cx, buffer.len().min(CHUNK_BYTES)))?;
            this.start = 0;
        }

        let available = &this.rest[this.start..];
        let len = available.len().min(buffer.len());
        buffer[..len].copy_from_slice(&available[..len]);
        this.start += len;
        progress.made_progress();
        Poll::Ready(Ok(len))
    }
}

/// Bytes to write, and who wants to know that they are.
type Order = (Vec<u8>, oneshot::Sender<Result<()>>);

/// The thread of one of the outputs.
trait OutputThread: Default + Send + Sync + 'static {
    const NAME: &str;

    fn served(&self) -> &Served<Order>;
    fn write(bytes: &[u8]) -> Result<()>;
}

#[derive(Default)]
struct OutThread(Served<Order>);

#[derive(Default)]
struct ErrThread(Served<Order>);

impl OutputThread for OutThread {
    const NAME: &str = "stdout";

    fn served(&self) -> &Served<Order> {
        &self.0
    }

    fn write(bytes: &[u8]) -> Result<()> {
        let mut output = io::stdout().lock();
        output.write_all(bytes)?;
        output.flush()
    }
}

impl OutputThread for ErrThread {
    const NAME: &str = "stderr";

    fn served(&self) -> &Served<Order> {
        &self.0
    }

    fn write(bytes: &[u8]) -> Result<()> {
        io::stderr().lock().write_all(bytes)
    }
}

/// What both outputs do: one chunk at a time is on its way to the thread.
struct Output<T> {
    written: Option<oneshot::Receiver<Result<()>>>,
    thread: std::marker::PhantomData<fn() -> T>,
}

impl<T: OutputThread> Output<T> {
    fn new() -> Self {
        Self { written: None, thread: std::marker::PhantomData }
    }

    fn poll_write(&mut self, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<Result<usize>> {
        let progress = ready!(poll_proceed(cx));
        // One order at a time, so that an error is told to the write after the one that it is of.
        ready!(self.poll_flush(cx))?;
        let len = bytes.len().min(CHUNK_BYTES);
        let (answer, written) = oneshot::channel();
        let write = |(bytes, answer): Order| {
            // The writer may be gone; the bytes are out all the same.
            let _ = answer.send(T::write(&bytes));
        };
        let thread = Handle::try_current().map_err(Error::other)?.extension(T::default);
        thread.served().send((bytes[..len].to_vec(), answer), T::NAME, write)?;
        self.written = Some(written);
        progress.made_progress();
        Poll::Ready(Ok(len))
    }

    fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<Result<()>> {
        let Some(written) = &mut self.written else { return Poll::Ready(Ok(())) };
        let result = ready!(Pin::new(written).poll(cx));
        self.written = None;
        Poll::Ready(result.map_err(Error::other)?)
    }
}

impl<T> fmt::Debug for Output<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Output").field("is_flushed", &self.written.is_none()).finish()
    }
}

macro_rules! output {
    ($($ty:ty),*) => {$(
        impl AsyncWrite for $ty {
            fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<Result<usize>> {
                self.0.poll_write(cx, bytes)
            }

            fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<()>> {
                self.0.poll_flush(cx)
            }

            fn poll_close(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<()>> {
                self.0.poll_flush(cx)
            }
        }
    )*};
}

output!(Stdout, Stderr);
