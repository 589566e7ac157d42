//! The command that starts a child process.

use super::{Child, ExitStatus, Output, Stdio};
use std::ffi::OsStr;
use std::io;
use std::path::Path;

/// How a child process is started: [`std::process::Command`] for async code.
///
/// # Examples
/// ```
/// use posse::io::{AsyncReadExt, AsyncWriteExt};
/// use posse::process::{Command, Stdio};
///
/// # posse::runtime::Runtime::new().unwrap().block_on(async {
/// let mut child = Command::new("cat").stdin(Stdio::piped()).stdout(Stdio::piped()).kill_on_drop(true).spawn()?;
/// let mut input = child.stdin.take().expect("a piped input");
/// input.write_all(b"through and back").await?;
/// drop(input);
/// let mut text = String::new();
/// child.stdout.take().expect("a piped output").read_to_string(&mut text).await?;
/// assert_eq!(text, "through and back");
/// assert!(child.wait().await?.success());
/// # std::io::Result::Ok(()) }).unwrap();
/// ```
#[derive(Debug)]
pub struct Command {
    std: std::process::Command,
    kill_on_drop: bool,
}

impl Command {
    /// Starts a program by its path, or by its name in the folders of `PATH`.
    pub fn new(program: impl AsRef<OsStr>) -> Self {
        std::process::Command::new(program).into()
    }

    /// Adds an argument.
    pub fn arg(&mut self, argument: impl AsRef<OsStr>) -> &mut Self {
        self.std.arg(argument);
        self
    }

    /// Adds arguments.
    pub fn args<S: AsRef<OsStr>>(&mut self, arguments: impl IntoIterator<Item = S>) -> &mut Self {
        self.std.args(arguments);
        self
    }

    /// Sets a variable of the environment.
    pub fn env(&mut self, key: impl AsRef<OsStr>, value: impl AsRef<OsStr>) -> &mut Self {
        self.std.env(key, value);
        self
    }

    /// Sets variables of the environment.
    pub fn envs<K: AsRef<OsStr>, V: AsRef<OsStr>>(&mut self, variables: impl IntoIterator<Item = (K, V)>) -> &mut Self {
        self.std.envs(variables);
        self
    }

    /// Takes a variable out of the environment.
    pub fn env_remove(&mut self, key: impl AsRef<OsStr>) -> &mut Self {
        self.std.env_remove(key);
        self
    }

    /// Takes all variables out of the environment.
    pub fn env_clear(&mut self) -> &mut Self {
        self.std.env_clear();
        self
    }

    /// Sets the folder that the child starts in. Default: that of this process.
    pub fn current_dir(&mut self, folder: impl AsRef<Path>) -> &mut Self {
        self.std.current_dir(folder);
        self
    }

    /// Sets the standard input. Default: that of this process.
    pub fn stdin(&mut self, stream: impl Into<Stdio>) -> &mut Self {
        self.std.stdin(stream);
        self
    }

    /// Sets the standard output. Default: that of this process; [`output`](Self::output) reads it.
    pub fn stdout(&mut self, stream: impl Into<Stdio>) -> &mut Self {
        self.std.stdout(stream);
        self
    }

    /// Sets the standard error output. Default: that of this process; [`output`](Self::output) reads it.
    pub fn stderr(&mut self, stream: impl Into<Stdio>) -> &mut Self {
        self.std.stderr(stream);
        self
    }

    /// Sets whether a child that is dropped before its end is killed. Default: false, it goes on.
    pub fn kill_on_drop(&mut self, kill: bool) -> &mut Self {
        self.kill_on_drop = kill;
        self
    }

    /// Sets the user that the child runs as.
    pub fn uid(&mut self, id: u32) -> &mut Self {
        std::os::unix::process::CommandExt::uid(&mut self.std, id);
        self
    }

    /// Sets the group that the child runs as.
    pub fn gid(&mut self, id: u32) -> &mut Self {
        std::os::unix::process::CommandExt::gid(&mut self.std, id);
        self
    }

    /// Sets the name that the child sees itself called by.
    pub fn arg0(&mut self, name: impl AsRef<OsStr>) -> &mut Self {
        std::os::unix::process::CommandExt::arg0(&mut self.std, name);
        self
    }

    /// Sets the group of processes that the child belongs to; zero makes a new one.
    pub fn process_group(&mut self, group: i32) -> &mut Self {
        std::os::unix::process::CommandExt::process_group(&mut self.std, group);
        self
    }

    /// Returns what std calls a command.
    pub fn as_std(&self) -> &std::process::Command {
        &self.std
    }

    /// Returns what std calls a command, for settings that are not here.
    pub fn as_std_mut(&mut self) -> &mut std::process::Command {
        &mut self.std
    }

    /// Gives the command to std.
    pub fn into_std(self) -> std::process::Command {
        self.std
    }

    /// Starts the child. To start a process blocks for a moment: some hundred microseconds.
    ///
    /// # Errors
    /// What the system says, such as that there is no such program; an error outside of a runtime, `Unsupported` in a
    /// simulation.
    pub fn spawn(&mut self) -> io::Result<Child> {
        Child::spawn(&mut self.std, self.kill_on_drop)
    }

    /// Starts the child and waits for its end; its streams are those of this process unless said otherwise.
    ///
    /// # Errors
    /// As [`spawn`](Self::spawn).
    ///
    /// # Cancel safety
    /// A child that was started, by the first poll, goes on if the future is dropped, unless it is [killed](Self::kill_on_drop).
    pub async fn status(&mut self) -> io::Result<ExitStatus> {
        let mut child = self.spawn()?;
        child.wait().await
    }

    /// Starts the child, reads what it writes, and waits for its end. Memory is the limit.
    ///
    /// # Errors
    /// As [`spawn`](Self::spawn).
    ///
    /// # Cancel safety
    /// As [`status`](Self::status); what was read is lost.
    pub async fn output(&mut self) -> io::Result<Output> {
        self.stdout(Stdio::piped()).stderr(Stdio::piped());
        self.spawn()?.wait_with_output().await
    }
}

impl From<std::process::Command> for Command {
    fn from(std: std::process::Command) -> Self {
        Self { std, kill_on_drop: false }
    }
}
