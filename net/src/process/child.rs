//! A child process that was started.

use super::exit::{Orphan, Running};
use super::{ChildStderr, ChildStdin, ChildStdout, ExitStatus, Output};
use crate::io::AsyncReadExt;
use posse_core::runtime::Handle;
use std::future::{Future, poll_fn};
use std::io;
use std::pin::pin;
use std::task::Poll;

/// A child process.
///
/// Dropping it does not end it, unless it was started with [`kill_on_drop`](super::Command::kill_on_drop).
#[derive(Debug)]
pub struct Child {
    /// The standard input, if it was piped; dropping it is the end of the child's input.
    pub stdin: Option<ChildStdin>,
    /// The standard output, if it was piped.
    pub stdout: Option<ChildStdout>,
    /// The standard error output, if it was piped.
    pub stderr: Option<ChildStderr>,
    state: State,
    kill_on_drop: bool,
    runtime: Handle,
}

#[derive(Debug)]
enum State {
    Running(Running),
    Ended(ExitStatus),
    /// Given to the task that waits for it in the background.
    Dropped,
}

impl Child {
    pub(super) fn spawn(command: &mut std::process::Command, kill_on_drop: bool) -> io::Result<Self> {
        let runtime = Handle::try_current().map_err(io::Error::other)?;
        Self::of(Running::spawn(command)?, kill_on_drop, runtime)
    }

    /// Takes over the streams of a child. If that fails the program will not hear of the child, so it is ended.
    fn of(mut running: Running, kill_on_drop: bool, runtime: Handle) -> io::Result<Self> {
        match streams(running.std()) {
            Ok((stdin, stdout, stderr)) => {
                Ok(Self { stdin, stdout, stderr, state: State::Running(running), kill_on_drop, runtime })
            }
            Err(error) => {
                running.end();
                Err(error)
            }
        }
    }

    /// Returns the process' number, until it is known to have ended: then the system may give it to another one.
    pub fn id(&self) -> Option<u32> {
        match &self.state {
            State::Running(running) => Some(running.id()),
            _ => None,
        }
    }

    /// Waits for the end. The child's input is closed first, so that it cannot wait for more of it for ever.
    ///
    /// # Errors
    /// What the system says.
    ///
    /// # Cancel safety
    /// May be repeated. The input is closed by the first poll.
    pub async fn wait(&mut self) -> io::Result<ExitStatus> {
        drop(self.stdin.take());
        poll_fn(|cx| match &mut self.state {
            State::Running(running) => {
                let polled = running.poll_exit(cx);
                if let Poll::Ready(Ok(status)) = &polled {
                    self.state = State::Ended(*status);
                }
                polled
            }
            State::Ended(status) => Poll::Ready(Ok(*status)),
            State::Dropped => Poll::Ready(Err(io::ErrorKind::NotFound.into())),
        })
        .await
    }

    /// Returns how it ended; `None` while it runs.
    ///
    /// # Errors
    /// What the system says.
    pub fn try_wait(&mut self) -> io::Result<Option<ExitStatus>> {
        match &mut self.state {
            State::Running(running) => {
                let status = running.std().try_wait()?;
                if let Some(status) = status {
                    self.state = State::Ended(status);
                }
                Ok(status)
            }
            State::Ended(status) => Ok(Some(*status)),
            State::Dropped => Err(io::ErrorKind::NotFound.into()),
        }
    }

    /// Asks the system to end it by force, without waiting for the end. A child that has ended is no error.
    ///
    /// # Errors
    /// What the system says.
    pub fn start_kill(&mut self) -> io::Result<()> {
        match &mut self.state {
            State::Running(running) => running.std().kill(),
            State::Ended(_) | State::Dropped => Ok(()),
        }
    }

    /// Ends it by force and waits for the end.
    ///
    /// # Errors
    /// What the system says.
    ///
    /// # Cancel safety
    /// Once polled it is ended, also if the future is dropped; [`wait`](Self::wait) waits for that.
    pub async fn kill(&mut self) -> io::Result<()> {
        self.start_kill()?;
        self.wait().await.map(drop)
    }

    /// Reads what it writes to the streams that were piped, and waits for its end. Memory is the limit.
    ///
    /// # Errors
    /// What the system says.
    ///
    /// # Cancel safety
    /// Dropping the future drops the child; what was read is lost.
    pub async fn wait_with_output(mut self) -> io::Result<Output> {
        drop(self.stdin.take());
        // Kept until the end: a child that finds a stream closed is ended by its next write.
        let (mut out, mut errors) = (self.stdout.take(), self.stderr.take());
        let (mut stdout, mut stderr) = (Vec::new(), Vec::new());

        // Both at once, or a child that fills one pipe would wait for ever.
        {
            let mut reading_out = pin!(read(out.as_mut(), &mut stdout));
            let mut reading_errors = pin!(read(errors.as_mut(), &mut stderr));
            let (mut out_ended, mut errors_ended) = (false, false);
            poll_fn(|cx| {
                out_ended = out_ended || reading_out.as_mut().poll(cx)?.is_ready();
                errors_ended = errors_ended || reading_errors.as_mut().poll(cx)?.is_ready();
                if out_ended && errors_ended { Poll::Ready(io::Result::Ok(())) } else { Poll::Pending }
            })
            .await?;
        }
        let status = self.wait().await?;
        Ok(Output { status, stdout, stderr })
    }
}

type Streams = (Option<ChildStdin>, Option<ChildStdout>, Option<ChildStderr>);

fn streams(std: &mut std::process::Child) -> io::Result<Streams> {
    let stdin = std.stdin.take().map(ChildStdin::from_std).transpose()?;
    let stdout = std.stdout.take().map(ChildStdout::from_std).transpose()?;
    let stderr = std.stderr.take().map(ChildStderr::from_std).transpose()?;
    Ok((stdin, stdout, stderr))
}

async fn read<R: crate::io::AsyncRead + Unpin>(stream: Option<&mut R>, bytes: &mut Vec<u8>) -> io::Result<()> {
    match stream {
        Some(stream) => stream.read_to_end(bytes).await.map(drop),
        None => Ok(()),
    }
}

/// A child that still runs gets a task that waits for it: else it would stay as a zombie after its end.
impl Drop for Child {
    fn drop(&mut self) {
        let State::Running(mut running) = std::mem::replace(&mut self.state, State::Dropped) else { return };
        if self.kill_on_drop {
            // It has ended already, or this ends it.
            let _ = running.std().kill();
        }
        if !matches!(running.std().try_wait(), Ok(Some(_))) {
            self.runtime.spawn(Orphan::new(running));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use posse_core::runtime::Builder;
    use std::os::fd::OwnedFd;

    #[test]
    fn a_child_whose_streams_cannot_be_watched_is_ended() {
        let runtime = Builder::new_current_thread().build().unwrap();
        runtime.block_on(async {
            let mut command = std::process::Command::new("sleep");
            let mut running = Running::spawn(command.arg("1000").stdin(std::process::Stdio::null())).unwrap();
            // The reactor refuses what is no pipe.
            running.std().stdout = Some(OwnedFd::from(std::fs::File::open("/dev/null").unwrap()).into());
            let process = std::path::PathBuf::from(format!("/proc/{}", running.id()));
            assert!(!cfg!(target_os = "linux") || process.exists());
            assert!(Child::of(running, false, Handle::current()).is_err());
            assert!(!process.exists());
        });
    }
}
