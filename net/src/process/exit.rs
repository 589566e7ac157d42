//! Waiting for the end of a child: each event is a reason to ask the system whether it has ended.

use posse_core::io::{AsyncFd, Interest, pidfd, spawn_detached};
use posse_core::signal::unix::{Signal, SignalKind, signal};
use std::future::Future;
use std::io;
use std::os::fd::OwnedFd;
use std::pin::Pin;
use std::process::{Child, ExitStatus};
use std::task::{Context, Poll, ready};

/// A child that has not been found to have ended.
#[derive(Debug)]
pub(super) struct Running {
    child: Child,
    events: Events,
}

/// What tells that the child may have ended.
#[derive(Debug)]
enum Events {
    /// A descriptor of the process, readable from its end on.
    Descriptor(AsyncFd<OwnedFd>),
    /// SIGCHLD, which comes at the end of any child.
    Signal(Signal),
}

impl Running {
    /// Starts a child. Where the events come from is set up first where it can be, so that no child is left unwatched.
    pub(super) fn spawn(command: &mut std::process::Command) -> io::Result<Self> {
        let child = command.spawn()?;
        match Events::of(child.id()) {
            Ok(events) => Ok(Self { child, events }),
            Err(error) => {
                // The program would not know of its end: it is ended here.
                end(child);
                Err(error)
            }
        }
    }

    /// Ends it by force; returns when it has ended.
    pub(super) fn end(self) {
        end(self.child);
    }

    pub(super) fn id(&self) -> u32 {
        self.child.id()
    }

    pub(super) fn std(&mut self) -> &mut Child {
        &mut self.child
    }

    /// Asks the system whether the child has ended; else waits for the next event.
    pub(super) fn poll_exit(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<ExitStatus>> {
        loop {
            // Registered first: an end between the question and the wait would be missed.
            let guard = match &mut self.events {
                Events::Descriptor(descriptor) => match descriptor.poll_read_ready(cx) {
                    Poll::Ready(guard) => Some(guard?),
                    Poll::Pending => return Poll::Pending,
                },
                Events::Signal(signal) => {
                    let polled = signal.poll_recv(cx);
                    if let Some(status) = self.child.try_wait()? {
                        return Poll::Ready(Ok(status));
                    }
                    ready!(polled).ok_or_else(|| io::Error::other("the runtime has shut down"))?;
                    None
                }
            };
            if let Some(mut guard) = guard {
                if let Some(status) = self.child.try_wait()? {
                    return Poll::Ready(Ok(status));
                }
                guard.clear_ready();
            }
        }
    }
}

/// The wait is short: the system has no choice.
fn end(mut child: Child) {
    let _ = child.kill();
    let _ = child.wait();
}

/// The wait for a child whose handle was dropped: else it would stay as a zombie after its end. If the runtime ends first, a
/// thread waits on.
#[derive(Debug)]
pub(super) struct Orphan(Option<Running>);

impl Orphan {
    pub(super) fn new(running: Running) -> Self {
        Self(Some(running))
    }
}

impl Future for Orphan {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let Some(running) = &mut self.0 else { return Poll::Ready(()) };
        // How it ended is of no interest any more. An error says that the runtime ends.
        if ready!(running.poll_exit(cx)).is_ok() {
            self.0 = None;
        }
        Poll::Ready(())
    }
}

impl Drop for Orphan {
    fn drop(&mut self) {
        let Some(Running { mut child, .. }) = self.0.take() else { return };
        if matches!(child.try_wait(), Ok(Some(_))) {
            return;
        }
        let id = child.id();
        let waiting = spawn_detached("orphan", move || drop(child.wait()));
        if let Err(error) = waiting {
            posse_core::event!(WARN, "posse::net", "the end of a child process is not waited for", reason = %error; pid = id);
        }
    }
}

impl Events {
    fn of(child: u32) -> io::Result<Self> {
        match pidfd(child) {
            Ok(descriptor) => AsyncFd::with_interest(descriptor, Interest::READABLE).map(Self::Descriptor),
            // An older kernel, another system, or a sandbox that does not know the call.
            Err(_) => signal(SignalKind::child()).map(Self::Signal),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use posse_core::runtime::Builder;
    use std::future::poll_fn;

    #[test]
    fn the_signal_tells_of_the_end_where_there_are_no_descriptors_of_processes() {
        Builder::new_current_thread().build().unwrap().block_on(async {
            for (script, code) in [("exit 4", 4), ("read line; exit 5", 5)] {
                let mut command = std::process::Command::new("sh");
                let mut child = command.args(["-c", script]).stdin(std::process::Stdio::piped()).spawn().unwrap();
                let input = child.stdin.take();
                let mut running = Running { child, events: Events::Signal(signal(SignalKind::child()).unwrap()) };
                let mut input = Some(input);
                let status = poll_fn(|cx| {
                    let polled = running.poll_exit(cx);
                    // Its end of input, and so its own, comes after the first look.
                    drop(input.take());
                    polled
                });
                assert_eq!(status.await.unwrap().code(), Some(code));
            }
        });
    }
}
