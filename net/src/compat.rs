//! The I/O traits of other families on our sockets, beside those of futures-io.
//!
//! They are implemented here, where the sockets are, because a wrapper around futures-io must fill a buffer with zeros before each
//! read: those traits know no uninitialised memory. Both macros are nothing without their features.

/// Implements `AsyncRead` of Tokio and `Read` of hyper, by the field that reads into the free part of a buffer.
macro_rules! foreign_read {
    ($ty:ty, $($field:tt)+) => {
        #[cfg(feature = "tokio-io")]
        impl tokio::io::AsyncRead for $ty {
            fn poll_read(
                self: std::pin::Pin<&mut Self>,
                cx: &mut std::task::Context<'_>,
                buffer: &mut tokio::io::ReadBuf<'_>,
            ) -> std::task::Poll<std::io::Result<()>> {
                self.get_mut().$($field)+.poll_read_buf(cx, buffer).map_ok(drop)
            }
        }

        #[cfg(feature = "hyper")]
        impl hyper::rt::Read for $ty {
            fn poll_read(
                self: std::pin::Pin<&mut Self>,
                cx: &mut std::task::Context<'_>,
                buffer: hyper::rt::ReadBufCursor<'_>,
            ) -> std::task::Poll<std::io::Result<()>> {
                self.get_mut().$($field)+.poll_read_buf(cx, &mut crate::hyper::Spare::new(buffer)).map_ok(drop)
            }
        }
    };
}

/// Implements `AsyncWrite` of Tokio and `Write` of hyper, by the `AsyncWrite` of futures-io.
macro_rules! foreign_write {
    ($ty:ty) => {
        #[cfg(feature = "tokio-io")]
        crate::compat::foreign_write!(tokio::io::AsyncWrite, $ty);
        #[cfg(feature = "hyper")]
        crate::compat::foreign_write!(hyper::rt::Write, $ty);
    };
    ($name:path, $ty:ty) => {
        impl $name for $ty {
            fn poll_write(
                self: std::pin::Pin<&mut Self>,
                cx: &mut std::task::Context<'_>,
                bytes: &[u8],
            ) -> std::task::Poll<std::io::Result<usize>> {
                crate::io::AsyncWrite::poll_write(self, cx, bytes)
            }

            fn poll_flush(
                self: std::pin::Pin<&mut Self>,
                cx: &mut std::task::Context<'_>,
            ) -> std::task::Poll<std::io::Result<()>> {
                crate::io::AsyncWrite::poll_flush(self, cx)
            }

            fn poll_shutdown(
                self: std::pin::Pin<&mut Self>,
                cx: &mut std::task::Context<'_>,
            ) -> std::task::Poll<std::io::Result<()>> {
                crate::io::AsyncWrite::poll_close(self, cx)
            }

            fn is_write_vectored(&self) -> bool {
                true
            }

            fn poll_write_vectored(
                self: std::pin::Pin<&mut Self>,
                cx: &mut std::task::Context<'_>,
                buffers: &[std::io::IoSlice<'_>],
            ) -> std::task::Poll<std::io::Result<usize>> {
                crate::io::AsyncWrite::poll_write_vectored(self, cx, buffers)
            }
        }
    };
}

pub(crate) use {foreign_read, foreign_write};
