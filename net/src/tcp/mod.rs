//! The halves of a TCP stream. Listener, socket and stream themselves are one level up.

mod connect;
pub(crate) mod listener;
pub(crate) mod socket;
mod split;
pub(crate) mod stream;

pub use split::{OwnedReadHalf, OwnedWriteHalf, ReadHalf, ReuniteError, WriteHalf};

/// Implements the futures-io traits for a type, by its field that is a reference to, or holds, a stream.
macro_rules! delegate_read {
    ($ty:ty, $($field:tt)+) => {
        impl crate::io::AsyncRead for $ty {
            fn poll_read(
                self: std::pin::Pin<&mut Self>,
                cx: &mut std::task::Context<'_>,
                buffer: &mut [u8],
            ) -> std::task::Poll<std::io::Result<usize>> {
                self.$($field)+.poll_read(cx, buffer)
            }

            fn poll_read_vectored(
                self: std::pin::Pin<&mut Self>,
                cx: &mut std::task::Context<'_>,
                buffers: &mut [std::io::IoSliceMut<'_>],
            ) -> std::task::Poll<std::io::Result<usize>> {
                self.$($field)+.poll_read_vectored(cx, buffers)
            }
        }

        crate::compat::foreign_read!($ty, $($field)+);
    };
}

macro_rules! delegate_write {
    ($ty:ty, $($field:tt)+) => {
        impl crate::io::AsyncWrite for $ty {
            fn poll_write(
                self: std::pin::Pin<&mut Self>,
                cx: &mut std::task::Context<'_>,
                bytes: &[u8],
            ) -> std::task::Poll<std::io::Result<usize>> {
                self.$($field)+.poll_write(cx, bytes)
            }

            fn poll_write_vectored(
                self: std::pin::Pin<&mut Self>,
                cx: &mut std::task::Context<'_>,
                buffers: &[std::io::IoSlice<'_>],
            ) -> std::task::Poll<std::io::Result<usize>> {
                self.$($field)+.poll_write_vectored(cx, buffers)
            }

            fn poll_flush(
                self: std::pin::Pin<&mut Self>,
                _: &mut std::task::Context<'_>,
            ) -> std::task::Poll<std::io::Result<()>> {
                std::task::Poll::Ready(Ok(()))
            }

            fn poll_close(
                self: std::pin::Pin<&mut Self>,
                _: &mut std::task::Context<'_>,
            ) -> std::task::Poll<std::io::Result<()>> {
                std::task::Poll::Ready(match self.$($field)+.shutdown(std::net::Shutdown::Write) {
                    // The peer has gone already: there is nothing left to close.
                    Err(error) if error.kind() == std::io::ErrorKind::NotConnected => Ok(()),
                    other => other,
                })
            }
        }

        crate::compat::foreign_write!($ty);
    };
}

pub(crate) use {delegate_read, delegate_write};
