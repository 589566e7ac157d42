//! Options for opening a file.

use super::{File, blocking};
use std::io;
use std::path::Path;

/// How a file is opened: [`std::fs::OpenOptions`] for async code. Everything is off at first.
///
/// # Examples
/// ```
/// use posse::fs::OpenOptions;
/// use posse::io::AsyncWriteExt;
///
/// # posse::runtime::Runtime::new().unwrap().block_on(async {
/// let path = std::env::temp_dir().join(format!("posse-options-{}", std::process::id()));
/// let mut log = OpenOptions::new().append(true).create(true).open(&path).await?;
/// log.write_all(b"a line\n").await?;
/// log.flush().await?;
/// posse::fs::remove_file(&path).await?;
/// # std::io::Result::Ok(()) }).unwrap();
/// ```
#[derive(Clone, Debug)]
pub struct OpenOptions(std::fs::OpenOptions);

macro_rules! options {
    ($($(#[$doc:meta])* $name:ident;)*) => {$(
        $(#[$doc])*
        pub fn $name(&mut self, on: bool) -> &mut Self {
            self.0.$name(on);
            self
        }
    )*};
}

impl OpenOptions {
    /// Everything is off.
    #[expect(clippy::new_without_default, reason = "as std's")]
    pub fn new() -> Self {
        Self(std::fs::OpenOptions::new())
    }

    options! {
        /// Sets whether the file can be read.
        read;
        /// Sets whether the file can be written.
        write;
        /// Sets whether what is written goes to the end.
        append;
        /// Sets whether the file is emptied first.
        truncate;
        /// Sets whether a file that does not exist is made.
        create;
        /// Sets whether the file is made, and must not exist before.
        create_new;
    }

    /// Sets who may do what with a file that is made, as the bits of Unix. Default: 0o666, less the process' mask.
    #[cfg(unix)]
    pub fn mode(&mut self, mode: u32) -> &mut Self {
        std::os::unix::fs::OpenOptionsExt::mode(&mut self.0, mode);
        self
    }

    /// Sets further flags of the system's `open`.
    #[cfg(unix)]
    pub fn custom_flags(&mut self, flags: i32) -> &mut Self {
        std::os::unix::fs::OpenOptionsExt::custom_flags(&mut self.0, flags);
        self
    }

    /// Opens a file.
    ///
    /// # Errors
    /// What the system says; an error outside of a runtime.
    ///
    /// # Cancel safety
    /// The file may be made if the future is dropped; it is closed again.
    pub async fn open(&self, path: impl AsRef<Path>) -> io::Result<File> {
        let (options, path) = (self.0.clone(), path.as_ref().to_owned());
        blocking(move || options.open(path)).await.map(File::from_std)
    }
}

impl From<std::fs::OpenOptions> for OpenOptions {
    fn from(options: std::fs::OpenOptions) -> Self {
        Self(options)
    }
}
