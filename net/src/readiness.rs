//! The methods that every socket has for waiting and trying apart.

/// Writes them down for a type with a field `socket`: `any` for what holds in either direction, `read` and `write`.
macro_rules! readiness {
    ($ty:ty: $($part:ident)*) => {
        $(crate::readiness::readiness!(@$part $ty);)*
    };

    (@any $ty:ty) => {
        impl $ty {
            /// Waits until any of these conditions holds. A following operation may still say `WouldBlock`.
            ///
            /// # Errors
            /// If the runtime has shut down.
            ///
            /// # Cancel safety
            /// Dropping the future loses nothing.
            pub async fn ready(&self, interest: posse_core::io::Interest) -> std::io::Result<posse_core::io::Ready> {
                self.socket.ready(interest).await
            }

            /// Tries an operation on the descriptor, if it is ready, without waiting. If the operation says `WouldBlock`
            /// the socket is not taken to be ready any more.
            ///
            /// # Errors
            /// `WouldBlock` if it is not ready, and what the operation says.
            pub fn try_io<R>(
                &self,
                interest: posse_core::io::Interest,
                operation: impl FnOnce() -> std::io::Result<R>,
            ) -> std::io::Result<R> {
                self.socket.try_io(interest, |_| operation())
            }

            /// Waits until it is ready and tries an operation on the descriptor, until that does not say `WouldBlock`.
            ///
            /// # Errors
            /// What the operation says; an error if the runtime has shut down.
            ///
            /// # Cancel safety
            /// An operation that did not succeed has done nothing.
            pub async fn async_io<R>(
                &self,
                interest: posse_core::io::Interest,
                mut operation: impl FnMut() -> std::io::Result<R>,
            ) -> std::io::Result<R> {
                self.socket.async_io(interest, |_| operation()).await
            }
        }
    };

    (@read $ty:ty) => {
        impl $ty {
            /// Waits until something can be read, or the end. A following try may still say `WouldBlock`.
            ///
            /// # Errors
            /// If the runtime has shut down.
            ///
            /// # Cancel safety
            /// Dropping the future loses nothing.
            pub async fn readable(&self) -> std::io::Result<()> {
                self.socket.ready(posse_core::io::Interest::READABLE).await.map(drop)
            }

            /// Polls until something can be read. Of several tasks that poll, the last one is woken.
            ///
            /// # Errors
            /// If the runtime has shut down.
            pub fn poll_read_ready(&self, cx: &mut std::task::Context<'_>) -> std::task::Poll<std::io::Result<()>> {
                self.socket.poll_ready(cx, posse_core::io::Interest::READABLE).map_ok(drop)
            }
        }
    };

    (@write $ty:ty) => {
        impl $ty {
            /// Waits until something can be written. A following try may still say `WouldBlock`.
            ///
            /// # Errors
            /// If the runtime has shut down.
            ///
            /// # Cancel safety
            /// Dropping the future loses nothing.
            pub async fn writable(&self) -> std::io::Result<()> {
                self.socket.ready(posse_core::io::Interest::WRITABLE).await.map(drop)
            }

            /// Polls until something can be written. Of several tasks that poll, the last one is woken.
            ///
            /// # Errors
            /// If the runtime has shut down.
            pub fn poll_write_ready(&self, cx: &mut std::task::Context<'_>) -> std::task::Poll<std::io::Result<()>> {
                self.socket.poll_ready(cx, posse_core::io::Interest::WRITABLE).map_ok(drop)
            }
        }
    };
}

/// The methods of a stream for reading and writing without waiting.
macro_rules! tries {
    ($ty:ty) => {
        impl $ty {
            /// Reads into the free part of a buffer; zero bytes mean the end (or no room).
            ///
            /// # Errors
            /// What the system says.
            ///
            /// # Cancel safety
            /// Nothing has been read if the future is dropped.
            pub async fn read_buf<B: bytes::BufMut + ?Sized>(&self, buffer: &mut B) -> std::io::Result<usize> {
                std::future::poll_fn(|cx| self.socket.poll_read_buf(cx, buffer)).await
            }

            /// Reads what is there without waiting.
            ///
            /// # Errors
            /// `WouldBlock` if nothing is.
            pub fn try_read(&self, buffer: &mut [u8]) -> std::io::Result<usize> {
                use posse_core::io::{Interest, RawStream};
                self.socket.try_io(Interest::READABLE, |socket| socket.try_read(buffer))
            }

            /// Reads what is there into the free part of a buffer without waiting.
            ///
            /// # Errors
            /// `WouldBlock` if nothing is.
            pub fn try_read_buf<B: bytes::BufMut + ?Sized>(&self, buffer: &mut B) -> std::io::Result<usize> {
                self.socket.try_read_buf(buffer)
            }

            /// Reads what is there into several buffers without waiting.
            ///
            /// # Errors
            /// `WouldBlock` if nothing is.
            pub fn try_read_vectored(&self, buffers: &mut [std::io::IoSliceMut<'_>]) -> std::io::Result<usize> {
                use posse_core::io::{Interest, RawStream};
                self.socket.try_io(Interest::READABLE, |socket| socket.try_read_vectored(buffers))
            }

            /// Writes what fits without waiting.
            ///
            /// # Errors
            /// `WouldBlock` if nothing does.
            pub fn try_write(&self, bytes: &[u8]) -> std::io::Result<usize> {
                use posse_core::io::{Interest, RawStream};
                self.socket.try_io(Interest::WRITABLE, |socket| socket.try_write(bytes))
            }

            /// Writes what fits from several buffers without waiting.
            ///
            /// # Errors
            /// `WouldBlock` if nothing does.
            pub fn try_write_vectored(&self, buffers: &[std::io::IoSlice<'_>]) -> std::io::Result<usize> {
                use posse_core::io::{Interest, RawStream};
                self.socket.try_io(Interest::WRITABLE, |socket| socket.try_write_vectored(buffers))
            }

            /// Splits into halves that borrow the stream.
            pub fn split(&mut self) -> (ReadHalf<'_>, WriteHalf<'_>) {
                split::borrowed(self)
            }

            /// Splits into halves that may go to different tasks. Dropping the write half ends the sending direction.
            pub fn into_split(self) -> (OwnedReadHalf, OwnedWriteHalf) {
                split::owned(self)
            }
        }
    };
}

/// Gives the descriptor of a socket to those who ask for it.
#[cfg(unix)]
macro_rules! descriptors {
    ($($ty:ty),*) => {$(
        #[cfg(unix)]
        impl std::os::fd::AsFd for $ty {
            /// # Panics
            /// In a simulation, which has no descriptors of the system.
            fn as_fd(&self) -> std::os::fd::BorrowedFd<'_> {
                std::os::fd::AsFd::as_fd(&*self.socket)
            }
        }

        #[cfg(unix)]
        impl std::os::fd::AsRawFd for $ty {
            /// # Panics
            /// In a simulation, which has no descriptors of the system.
            fn as_raw_fd(&self) -> std::os::fd::RawFd {
                std::os::fd::AsRawFd::as_raw_fd(&std::os::fd::AsFd::as_fd(&*self.socket))
            }
        }
    )*};
}

#[cfg(unix)]
pub(crate) use descriptors;
pub(crate) use {readiness, tries};
