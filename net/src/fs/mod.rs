//! Files and folders, over the blocking pool: what [`std::fs`] has, without holding up a worker.
//!
//! Operating systems read files by calls that block, so each call goes to a thread of the pool and back: some
//! microseconds. For many small steps read and write through
//! [`BufReader`](crate::io::BufReader) and [`BufWriter`](crate::io::BufWriter), or do the whole work in one
//! `spawn_blocking`.
//!
//! A future that is dropped does not stop its call, which begins with the first poll: it goes on in its thread, and what it says is lost.
//!
//! # Examples
//! ```
//! use posse::fs;
//!
//! # posse::runtime::Runtime::new().unwrap().block_on(async {
//! let folder = std::env::temp_dir().join(format!("posse-fs-{}", std::process::id()));
//! fs::create_dir_all(&folder).await?;
//! fs::write(folder.join("greeting"), "hello").await?;
//! assert_eq!(fs::read_to_string(folder.join("greeting")).await?, "hello");
//! fs::remove_dir_all(&folder).await?;
//! # std::io::Result::Ok(()) }).unwrap();
//! ```

mod dir;
mod file;
mod options;

pub use dir::{DirEntry, ReadDir, read_dir};
pub use file::File;
pub use options::OpenOptions;
pub use std::fs::{FileType, Metadata, Permissions};

use posse_core::runtime::Handle;
use posse_core::task::JoinHandle;
use std::io;
use std::path::{Path, PathBuf};

/// Starts a call on the blocking pool.
fn start<T, F>(call: F) -> io::Result<JoinHandle<T>>
where
    F: FnOnce() -> T + Send + 'static,
    T: Send + 'static,
{
    Ok(Handle::try_current().map_err(io::Error::other)?.spawn_blocking(call))
}

/// Makes a call on the blocking pool.
async fn blocking<T, F>(call: F) -> io::Result<T>
where
    F: FnOnce() -> io::Result<T> + Send + 'static,
    T: Send + 'static,
{
    start(call)?.await.map_err(io::Error::other)?
}

macro_rules! calls {
    ($($(#[$doc:meta])* $name:ident($($path:ident),+ $(; $value:ident: $value_ty:ty)?) -> $output:ty;)*) => {$(
        $(#[$doc])*
        ///
        /// # Errors
        /// What the system says; an error outside of a runtime.
        ///
        /// # Cancel safety
        /// A call that was begun, by the first poll, goes on if the future is dropped.
        pub async fn $name($($path: impl AsRef<Path>,)+ $($value: $value_ty)?) -> io::Result<$output> {
            $(let $path = $path.as_ref().to_owned();)+
            blocking(move || std::fs::$name($($path,)+ $($value)?)).await
        }
    )*};
}

calls! {
    /// Returns the absolute path without links in it; see [`std::fs::canonicalize`].
    canonicalize(path) -> PathBuf;
    /// Copies a file and its permissions. Returns the number of bytes. See [`std::fs::copy`].
    copy(from, to) -> u64;
    /// Makes a folder; see [`std::fs::create_dir`].
    create_dir(path) -> ();
    /// Makes a folder and those it lies in; see [`std::fs::create_dir_all`].
    create_dir_all(path) -> ();
    /// Gives a file another name beside its own; see [`std::fs::hard_link`].
    hard_link(original, link) -> ();
    /// Returns what the system knows of a file, through links; see [`std::fs::metadata`].
    metadata(path) -> Metadata;
    /// Reads a whole file. Memory is the limit. See [`std::fs::read`].
    read(path) -> Vec<u8>;
    /// Returns where a link leads; see [`std::fs::read_link`].
    read_link(path) -> PathBuf;
    /// Reads a whole file as text. Memory is the limit. See [`std::fs::read_to_string`].
    read_to_string(path) -> String;
    /// Removes an empty folder; see [`std::fs::remove_dir`].
    remove_dir(path) -> ();
    /// Removes a folder and all in it; see [`std::fs::remove_dir_all`].
    remove_dir_all(path) -> ();
    /// Removes a file; see [`std::fs::remove_file`].
    remove_file(path) -> ();
    /// Gives a file another name, and replaces what has it; see [`std::fs::rename`].
    rename(from, to) -> ();
    /// Sets who may do what with a file; see [`std::fs::set_permissions`].
    set_permissions(path; permissions: Permissions) -> ();
    /// Returns what the system knows of a file or a link itself; see [`std::fs::symlink_metadata`].
    symlink_metadata(path) -> Metadata;
}

/// Returns whether there is such a file; see [`std::fs::exists`].
///
/// # Errors
/// What the system says; an error outside of a runtime.
///
/// # Cancel safety
/// A call that was begun, by the first poll, goes on if the future is dropped.
pub async fn try_exists(path: impl AsRef<Path>) -> io::Result<bool> {
    let path = path.as_ref().to_owned();
    blocking(move || std::fs::exists(path)).await
}

/// Writes a whole file, and replaces what was there; see [`std::fs::write`].
///
/// # Errors
/// What the system says; an error outside of a runtime.
///
/// # Cancel safety
/// A call that was begun, by the first poll, goes on if the future is dropped.
pub async fn write(path: impl AsRef<Path>, contents: impl AsRef<[u8]>) -> io::Result<()> {
    let (path, contents) = (path.as_ref().to_owned(), contents.as_ref().to_owned());
    blocking(move || std::fs::write(path, contents)).await
}

/// Makes a link to a path; see [`std::os::unix::fs::symlink`].
///
/// # Errors
/// What the system says; an error outside of a runtime.
///
/// # Cancel safety
/// A call that was begun, by the first poll, goes on if the future is dropped.
#[cfg(unix)]
pub async fn symlink(original: impl AsRef<Path>, link: impl AsRef<Path>) -> io::Result<()> {
    let (original, link) = (original.as_ref().to_owned(), link.as_ref().to_owned());
    blocking(move || std::os::unix::fs::symlink(original, link)).await
}
