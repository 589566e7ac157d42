//! The entries of a folder, read some at a time.

use super::{FileType, Metadata, blocking, start};
use futures_core::Stream;
use posse_core::task::JoinHandle;
use std::collections::VecDeque;
use std::ffi::OsString;
use std::future::{Future, poll_fn};
use std::io;
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

/// Entries read by one call.
const ENTRIES: usize = 32;

/// Reads what lies in a folder, in the system's order.
///
/// # Errors
/// What the system says; an error outside of a runtime.
///
/// # Cancel safety
/// A call that was begun, by the first poll, goes on if the future is dropped.
///
/// # Examples
/// ```
/// # posse::runtime::Runtime::new().unwrap().block_on(async {
/// let mut entries = posse::fs::read_dir(".").await?;
/// let mut names = Vec::new();
/// while let Some(entry) = entries.next_entry().await? {
///     names.push(entry.file_name());
/// }
/// assert!(names.iter().any(|name| name == "Cargo.toml"));
/// # std::io::Result::Ok(()) }).unwrap();
/// ```
pub async fn read_dir(path: impl AsRef<Path>) -> io::Result<ReadDir> {
    let path = path.as_ref().to_owned();
    let batch = blocking(move || Ok(Batch::read(std::fs::read_dir(path)?))).await?;
    Ok(ReadDir(State::Read(batch)))
}

/// The entries of a folder; see [`read_dir`].
#[derive(Debug)]
pub struct ReadDir(State);

#[derive(Debug)]
enum State {
    Read(Batch),
    Reading(JoinHandle<Batch>),
}

/// Some entries, and where the others come from.
#[derive(Debug, Default)]
struct Batch {
    entries: VecDeque<io::Result<DirEntry>>,
    /// `None` at the end.
    rest: Option<std::fs::ReadDir>,
}

impl Batch {
    fn read(mut rest: std::fs::ReadDir) -> Self {
        let entry = |entry: std::fs::DirEntry| DirEntry(Arc::new(entry));
        let entries: VecDeque<_> = rest.by_ref().take(ENTRIES).map(|next| next.map(entry)).collect();
        let rest = (entries.len() == ENTRIES).then_some(rest);
        Self { entries, rest }
    }
}

impl ReadDir {
    /// Returns the next entry; `None` at the end.
    ///
    /// # Errors
    /// What the system says; an error outside of a runtime.
    ///
    /// # Cancel safety
    /// No entry is lost.
    pub async fn next_entry(&mut self) -> io::Result<Option<DirEntry>> {
        poll_fn(|cx| self.poll_next_entry(cx)).await
    }

    /// Polls for the next entry; see [`next_entry`](Self::next_entry).
    ///
    /// # Errors
    /// As [`next_entry`](Self::next_entry).
    pub fn poll_next_entry(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<Option<DirEntry>>> {
        loop {
            match &mut self.0 {
                State::Read(batch) => {
                    if let Some(entry) = batch.entries.pop_front() {
                        return Poll::Ready(entry.map(Some));
                    }
                    // The state holds the call from here on, so a poll that is the last of its future leaves it to the next one.
                    let Some(rest) = batch.rest.take() else { return Poll::Ready(Ok(None)) };
                    self.0 = State::Reading(start(|| Batch::read(rest))?);
                }
                State::Reading(reading) => {
                    let read = ready!(Pin::new(reading).poll(cx));
                    // A handle is not polled again after its end, also if that is an error.
                    self.0 = State::Read(Batch::default());
                    self.0 = State::Read(read.map_err(io::Error::other)?);
                }
            }
        }
    }
}

impl Stream for ReadDir {
    type Item = io::Result<DirEntry>;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.get_mut().poll_next_entry(cx).map(io::Result::transpose)
    }
}

/// An entry of a folder.
#[derive(Clone, Debug)]
pub struct DirEntry(Arc<std::fs::DirEntry>);

impl DirEntry {
    /// Returns the path, which starts as that of the folder.
    pub fn path(&self) -> PathBuf {
        self.0.path()
    }

    /// Returns the name within the folder.
    pub fn file_name(&self) -> OsString {
        self.0.file_name()
    }

    /// Returns what the system knows of it; of a link, not of where it leads.
    ///
    /// # Errors
    /// What the system says; an error outside of a runtime.
    ///
    /// # Cancel safety
    /// A call that was begun, by the first poll, goes on if the future is dropped.
    pub async fn metadata(&self) -> io::Result<Metadata> {
        let entry = self.0.clone();
        blocking(move || entry.metadata()).await
    }

    /// Returns whether it is a file, a folder or a link.
    ///
    /// # Errors
    /// What the system says; an error outside of a runtime.
    ///
    /// # Cancel safety
    /// A call that was begun, by the first poll, goes on if the future is dropped.
    pub async fn file_type(&self) -> io::Result<FileType> {
        let entry = self.0.clone();
        blocking(move || entry.file_type()).await
    }

    /// Returns the number that the file has in its file system.
    #[cfg(unix)]
    pub fn ino(&self) -> u64 {
        std::os::unix::fs::DirEntryExt::ino(&*self.0)
    }
}
