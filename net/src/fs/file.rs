//! An open file. One call at a time is on its way to the pool; what was written is on disk, or at least with the system,
//! once it is flushed.

use super::{Metadata, OpenOptions, Permissions, blocking, start};
use futures_io::{AsyncRead, AsyncSeek, AsyncWrite};
use posse_core::task::JoinHandle;
use posse_core::task::coop::poll_proceed;
use std::future::{Future, poll_fn};
use std::io::{self, ErrorKind, Read, Result, Seek, SeekFrom, Write};
use std::path::Path;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

/// Bytes handed to the pool, or asked from it, at once, unless said otherwise. As Tokio's.
const BUFFER_MAX: usize = 2 * 1024 * 1024;

/// An open file.
///
/// A write returns when its bytes are handed to the blocking pool, and an error shows at the next write or flush:
/// [`flush`](crate::io::AsyncWriteExt::flush) before the file is dropped. Bytes that were read ahead are given back when the
/// file is written or moved.
///
/// # Cancel safety
/// A read or a seek that is dropped goes on; the next call waits for it, and no byte is lost. A seek to the same place that follows a dropped one is
/// that one, also if the place is relative. A write that is dropped has written nothing.
///
/// # Examples
/// ```
/// use posse::fs::File;
/// use posse::io::{AsyncReadExt, AsyncSeekExt, AsyncWriteExt};
///
/// # posse::runtime::Runtime::new().unwrap().block_on(async {
/// let path = std::env::temp_dir().join(format!("posse-file-{}", std::process::id()));
/// let mut file = File::options().read(true).write(true).create(true).truncate(true).open(&path).await?;
/// file.write_all(b"some text").await?;
/// file.rewind().await?;
/// let mut text = String::new();
/// file.read_to_string(&mut text).await?;
/// assert_eq!(text, "some text");
/// posse::fs::remove_file(&path).await?;
/// # std::io::Result::Ok(()) }).unwrap();
/// ```
#[derive(Debug)]
pub struct File {
    std: Arc<std::fs::File>,
    /// The call that is on its way.
    call: Option<JoinHandle<Done>>,
    /// What was read and not given out, from `start` on.
    ahead: Vec<u8>,
    start: usize,
    /// Where the seek goes that is on its way, or has not been told of.
    seeking: Option<SeekFrom>,
    /// The error of a write that was on its way when something else was asked for.
    failed: Option<io::Error>,
    max: usize,
}

/// What a call has come to.
#[derive(Debug)]
enum Done {
    Read(Result<Vec<u8>>),
    Written(Result<()>),
    Sought(Result<u64>),
}

impl File {
    /// Opens a file for reading.
    ///
    /// # Errors
    /// What the system says; an error outside of a runtime.
    ///
    /// # Cancel safety
    /// A call that was begun, by the first poll, goes on if the future is dropped; the file is closed again.
    pub async fn open(path: impl AsRef<Path>) -> Result<Self> {
        Self::options().read(true).open(path).await
    }

    /// Opens a file for writing: makes it, or empties it.
    ///
    /// # Errors
    /// What the system says; an error outside of a runtime.
    ///
    /// # Cancel safety
    /// As [`open`](Self::open).
    pub async fn create(path: impl AsRef<Path>) -> Result<Self> {
        Self::options().write(true).create(true).truncate(true).open(path).await
    }

    /// Makes a file that did not exist, for reading and writing.
    ///
    /// # Errors
    /// `AlreadyExists`, and what the system says; an error outside of a runtime.
    ///
    /// # Cancel safety
    /// As [`open`](Self::open).
    pub async fn create_new(path: impl AsRef<Path>) -> Result<Self> {
        Self::options().read(true).write(true).create_new(true).open(path).await
    }

    /// Says how a file is opened.
    pub fn options() -> OpenOptions {
        OpenOptions::new()
    }

    /// Takes over a file from std.
    pub fn from_std(file: std::fs::File) -> Self {
        let (call, ahead, start, seeking, failed) = (None, Vec::new(), 0, None, None);
        Self { std: Arc::new(file), call, ahead, start, seeking, failed, max: BUFFER_MAX }
    }

    /// Gives the file to std, once the call on its way has ended. What was read ahead is not given back.
    ///
    /// # Errors
    /// That of a write that failed.
    ///
    /// # Cancel safety
    /// The file is closed if the future is dropped, once a write on its way has ended.
    pub async fn into_std(mut self) -> Result<std::fs::File> {
        poll_fn(|cx| self.poll_settled(cx)).await?;
        Arc::try_unwrap(self.std).or_else(|shared| shared.try_clone())
    }

    /// Sets how many bytes are handed to the pool, or asked from it, at once. Default: 2 MiB.
    pub fn set_max_buf_size(&mut self, bytes: usize) {
        self.max = bytes.max(1);
    }

    /// Waits until everything written is on disk, and what the system knows of the file too.
    ///
    /// # Errors
    /// What the system says, also of writes before.
    ///
    /// # Cancel safety
    /// May be repeated. Writes before it go on.
    pub async fn sync_all(&mut self) -> Result<()> {
        self.after_writes(|file| file.sync_all()).await
    }

    /// Waits until everything written is on disk.
    ///
    /// # Errors
    /// What the system says, also of writes before.
    ///
    /// # Cancel safety
    /// May be repeated. Writes before it go on.
    pub async fn sync_data(&mut self) -> Result<()> {
        self.after_writes(|file| file.sync_data()).await
    }

    /// Cuts the file, or fills it up with zeros.
    ///
    /// # Errors
    /// What the system says, also of writes before.
    ///
    /// # Cancel safety
    /// If the future is dropped the file may be cut all the same: it is once the writes before it have ended.
    pub async fn set_len(&mut self, len: u64) -> Result<()> {
        self.after_writes(move |file| file.set_len(len)).await
    }

    /// Returns what the system knows of the file.
    ///
    /// # Errors
    /// What the system says; an error outside of a runtime.
    ///
    /// # Cancel safety
    /// A call that was begun, by the first poll, goes on if the future is dropped.
    pub async fn metadata(&self) -> Result<Metadata> {
        let file = self.std.clone();
        blocking(move || file.metadata()).await
    }

    /// Sets who may do what with the file.
    ///
    /// # Errors
    /// What the system says; an error outside of a runtime.
    ///
    /// # Cancel safety
    /// A call that was begun, by the first poll, goes on if the future is dropped.
    pub async fn set_permissions(&self, permissions: Permissions) -> Result<()> {
        let file = self.std.clone();
        blocking(move || file.set_permissions(permissions)).await
    }

    /// Returns another handle to the file; both stand at the same place.
    ///
    /// # Errors
    /// What the system says; an error outside of a runtime.
    ///
    /// # Cancel safety
    /// A call that was begun, by the first poll, goes on if the future is dropped.
    pub async fn try_clone(&self) -> Result<Self> {
        let file = self.std.clone();
        blocking(move || file.try_clone()).await.map(Self::from_std)
    }

    async fn after_writes<T: Send + 'static>(
        &mut self,
        call: impl FnOnce(&std::fs::File) -> Result<T> + Send + 'static,
    ) -> Result<T> {
        poll_fn(|cx| self.poll_settled(cx)).await?;
        let file = self.std.clone();
        blocking(move || call(&file)).await
    }

    fn start(&mut self, call: impl FnOnce(&std::fs::File) -> Done + Send + 'static) -> Result<()> {
        let file = self.std.clone();
        self.call = Some(start(move || call(&file))?);
        Ok(())
    }

    /// Waits for the call on its way, if there is one, and keeps what it has come to.
    fn poll_call(&mut self, cx: &mut Context<'_>) -> Poll<Result<Option<Done>>> {
        let Some(call) = &mut self.call else { return Poll::Ready(Ok(None)) };
        let done = ready!(Pin::new(call).poll(cx));
        self.call = None;
        let done = done.map_err(io::Error::other)?;
        Poll::Ready(match done {
            Done::Read(Ok(bytes)) => {
                (self.ahead, self.start) = (bytes, 0);
                Ok(Some(Done::Read(Ok(Vec::new()))))
            }
            Done::Written(Err(error)) => {
                self.failed = Some(error);
                Ok(Some(Done::Written(Ok(()))))
            }
            other => Ok(Some(other)),
        })
    }

    /// Waits until no call is on its way and tells of a write that failed.
    fn poll_settled(&mut self, cx: &mut Context<'_>) -> Poll<Result<()>> {
        // Whatever was on its way has ended; only a write has something to tell to who comes next.
        ready!(self.poll_call(cx))?;
        self.seeking = None;
        self.failed.take().map_or(Poll::Ready(Ok(())), |error| Poll::Ready(Err(error)))
    }

    /// How far the system's position is ahead of the reader's; what was read ahead is forgotten.
    fn take_ahead(&mut self) -> i64 {
        let ahead = (self.ahead.len() - self.start) as i64;
        (self.ahead, self.start) = (Vec::new(), 0);
        ahead
    }
}

fn read_some(mut file: &std::fs::File, max: usize) -> Result<Vec<u8>> {
    let mut bytes = vec![0; max];
    loop {
        match file.read(&mut bytes) {
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            read => {
                bytes.truncate(read?);
                return Ok(bytes);
            }
        }
    }
}

impl AsyncRead for File {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut [u8]) -> Poll<Result<usize>> {
        let this = self.get_mut();
        if buffer.is_empty() {
            return Poll::Ready(Ok(0));
        }
        let progress = ready!(poll_proceed(cx));
        loop {
            let done = ready!(this.poll_call(cx))?;
            // What was read ahead, perhaps for a read that was dropped, is given out before anything is asked for. A read that found the end has left
            // nothing, and is told once.
            let available = &this.ahead[this.start..];
            let has_read = matches!(done, Some(Done::Read(Ok(_))));
            if !available.is_empty() || has_read {
                let len = available.len().min(buffer.len());
                buffer[..len].copy_from_slice(&available[..len]);
                this.start += len;
                progress.made_progress();
                return Poll::Ready(Ok(len));
            }
            if let Some(Done::Read(Err(error))) = done {
                return Poll::Ready(Err(error));
            }
            this.seeking = None;
            let max = buffer.len().min(this.max);
            this.start(move |file| Done::Read(read_some(file, max)))?;
        }
    }
}

impl AsyncWrite for File {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<Result<usize>> {
        let this = self.get_mut();
        let progress = ready!(poll_proceed(cx));
        ready!(this.poll_settled(cx))?;
        if bytes.is_empty() {
            return Poll::Ready(Ok(0));
        }

        this.seeking = None;
        // The system stands after what was read ahead; the write begins where the reader does.
        let back = -this.take_ahead();
        let len = bytes.len().min(this.max);
        let bytes = bytes[..len].to_vec();
        this.start(move |mut file| {
            let moved = if back == 0 { Ok(0) } else { file.seek(SeekFrom::Current(back)) };
            Done::Written(moved.and_then(|_| file.write_all(&bytes)))
        })?;
        progress.made_progress();
        Poll::Ready(Ok(len))
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<()>> {
        self.get_mut().poll_settled(cx)
    }

    fn poll_close(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<()>> {
        self.get_mut().poll_settled(cx)
    }
}

impl AsyncSeek for File {
    fn poll_seek(self: Pin<&mut Self>, cx: &mut Context<'_>, position: SeekFrom) -> Poll<Result<u64>> {
        let this = self.get_mut();
        loop {
            let done = ready!(this.poll_call(cx))?;
            if let Some(error) = this.failed.take() {
                return Poll::Ready(Err(error));
            }
            // A seek to elsewhere, whose caller is gone, is none of this caller's.
            let is_ours = this.seeking.take() == Some(position);
            if let (Some(Done::Sought(reached)), true) = (done, is_ours) {
                return Poll::Ready(reached);
            }

            // As seen from the system's position, which what was read ahead has moved.
            let ahead = this.take_ahead();
            let position_now = match position {
                SeekFrom::Current(step) => SeekFrom::Current(step.checked_sub(ahead).ok_or(ErrorKind::InvalidInput)?),
                absolute => absolute,
            };
            this.start(move |mut file| Done::Sought(file.seek(position_now)))?;
            this.seeking = Some(position);
        }
    }
}

impl From<std::fs::File> for File {
    fn from(file: std::fs::File) -> Self {
        Self::from_std(file)
    }
}

#[cfg(unix)]
impl std::os::fd::AsFd for File {
    fn as_fd(&self) -> std::os::fd::BorrowedFd<'_> {
        self.std.as_fd()
    }
}
