//! The standard streams of a child, as pipes in the reactor.

use crate::unix::pipe::{Receiver, Sender};
use futures_io::{AsyncRead, AsyncWrite};
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::pin::Pin;
use std::process::Stdio;
use std::task::{Context, Poll};

/// The standard input of a child. Dropping it, or shutting it down, is the end of the child's input.
#[derive(Debug)]
pub struct ChildStdin(Option<Sender>);

/// The standard output of a child.
#[derive(Debug)]
pub struct ChildStdout(Receiver);

/// The standard error output of a child.
#[derive(Debug)]
pub struct ChildStderr(Receiver);

impl ChildStdin {
    /// Takes over the input of a child of std.
    ///
    /// # Errors
    /// What the system says; an error outside of a runtime.
    pub fn from_std(stream: std::process::ChildStdin) -> io::Result<Self> {
        Sender::from_owned_fd(stream.into()).map(|pipe| Self(Some(pipe)))
    }
}

impl AsyncWrite for ChildStdin {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        match &mut self.0 {
            Some(pipe) => Pin::new(pipe).poll_write(cx, bytes),
            None => Poll::Ready(Err(io::ErrorKind::BrokenPipe.into())),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_close(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        // A pipe has no half to shut down: closing it is the end.
        self.0 = None;
        Poll::Ready(Ok(()))
    }
}

macro_rules! outputs {
    ($($ty:ident),*) => {$(
        impl $ty {
            /// Takes over the stream of a child of std.
            ///
            /// # Errors
            /// What the system says; an error outside of a runtime.
            pub fn from_std(stream: std::process::$ty) -> io::Result<Self> {
                Receiver::from_owned_fd(stream.into()).map(Self)
            }
        }

        impl AsyncRead for $ty {
            fn poll_read(
                mut self: Pin<&mut Self>,
                cx: &mut Context<'_>,
                buffer: &mut [u8],
            ) -> Poll<io::Result<usize>> {
                Pin::new(&mut self.0).poll_read(cx, buffer)
            }
        }

        impl AsFd for $ty {
            fn as_fd(&self) -> BorrowedFd<'_> {
                self.0.as_fd()
            }
        }

        /// For a child that is to read what this one writes.
        impl TryFrom<$ty> for Stdio {
            type Error = io::Error;

            fn try_from(stream: $ty) -> io::Result<Self> {
                stream.0.into_blocking_fd().map(OwnedFd::into)
            }
        }
    )*};
}

outputs!(ChildStdout, ChildStderr);
