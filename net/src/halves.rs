//! The two directions of a socket's connection, apart. They share nothing but a reference.

/// Writes down the halves of a stream type that lies in the module above; `$address` is the type of its addresses.
macro_rules! halves {
    ($stream:ident, $address:ty) => {
        /// The reading half that borrows its stream; see `split` of the stream.
        #[derive(Debug)]
        pub struct ReadHalf<'a>(&'a $stream);

        /// The writing half that borrows its stream; see `split` of the stream.
        #[derive(Debug)]
        pub struct WriteHalf<'a>(&'a $stream);

        /// The reading half that owns its direction; see `into_split` of the stream.
        #[derive(Debug)]
        pub struct OwnedReadHalf(std::sync::Arc<$stream>);

        /// The writing half that owns its direction; dropping it ends that direction. See `into_split` of the stream.
        #[derive(Debug)]
        pub struct OwnedWriteHalf {
            stream: std::sync::Arc<$stream>,
            end_on_drop: bool,
        }

        /// The halves are not of the same stream; they are given back.
        #[derive(Debug)]
        pub struct ReuniteError(pub OwnedReadHalf, pub OwnedWriteHalf);

        impl std::fmt::Display for ReuniteError {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("the halves are not of the same stream")
            }
        }

        impl std::error::Error for ReuniteError {}

        pub(super) fn borrowed(stream: &mut $stream) -> (ReadHalf<'_>, WriteHalf<'_>) {
            (ReadHalf(stream), WriteHalf(stream))
        }

        pub(super) fn owned(stream: $stream) -> (OwnedReadHalf, OwnedWriteHalf) {
            let stream = std::sync::Arc::new(stream);
            (OwnedReadHalf(stream.clone()), OwnedWriteHalf { stream, end_on_drop: true })
        }

        impl ReadHalf<'_> {
            /// Reads into the free part of a buffer; see `read_buf` of the stream.
            ///
            /// # Errors
            /// What the system says.
            ///
            /// # Cancel safety
            /// No byte is lost by dropping the future: what was read is in the buffer.
            pub async fn read_buf<B: bytes::BufMut + ?Sized>(&self, buffer: &mut B) -> std::io::Result<usize> {
                self.0.read_buf(buffer).await
            }
        }

        impl OwnedReadHalf {
            /// Reads into the free part of a buffer; see `read_buf` of the stream.
            ///
            /// # Errors
            /// What the system says.
            ///
            /// # Cancel safety
            /// No byte is lost by dropping the future: what was read is in the buffer.
            pub async fn read_buf<B: bytes::BufMut + ?Sized>(&self, buffer: &mut B) -> std::io::Result<usize> {
                std::future::poll_fn(|cx| self.0.socket.poll_read_buf(cx, buffer)).await
            }

            /// Puts the halves together again.
            ///
            /// # Errors
            /// [`ReuniteError`] with both halves if they are not of the same stream.
            pub fn reunite(self, mut write: OwnedWriteHalf) -> Result<$stream, ReuniteError> {
                if !std::sync::Arc::ptr_eq(&self.0, &write.stream) {
                    return Err(ReuniteError(self, write));
                }

                write.end_on_drop = false;
                drop(write);
                std::sync::Arc::try_unwrap(self.0).map_err(|stream| {
                    // Cannot happen: there are two halves, and one is gone.
                    ReuniteError(Self(stream.clone()), OwnedWriteHalf { stream, end_on_drop: true })
                })
            }
        }

        impl AsRef<$stream> for OwnedReadHalf {
            fn as_ref(&self) -> &$stream {
                &self.0
            }
        }

        impl AsRef<$stream> for OwnedWriteHalf {
            fn as_ref(&self) -> &$stream {
                &self.stream
            }
        }

        impl Drop for OwnedWriteHalf {
            fn drop(&mut self) {
                if self.end_on_drop {
                    // An error means that the connection has ended already.
                    let _ = self.stream.shutdown_sync(std::net::Shutdown::Write);
                }
            }
        }

        crate::tcp::delegate_read!(ReadHalf<'_>, 0.socket);
        crate::tcp::delegate_write!(WriteHalf<'_>, 0.socket);
        crate::tcp::delegate_read!(OwnedReadHalf, 0.socket);
        crate::tcp::delegate_write!(OwnedWriteHalf, stream.socket);

        crate::halves::half_methods!(ReadHalf<'_>, 0: readable try_read(&mut [u8]) local_addr($address) peer_addr);
        crate::halves::half_methods!(OwnedReadHalf, 0: readable try_read(&mut [u8]) local_addr($address) peer_addr);
        crate::halves::half_methods!(WriteHalf<'_>, 0: writable try_write(&[u8]) local_addr($address) peer_addr);
        crate::halves::half_methods!(OwnedWriteHalf, stream: writable try_write(&[u8]) local_addr($address) peer_addr);
    };
}

/// What a half passes on to its stream: waiting for one condition, trying, and the addresses.
macro_rules! half_methods {
    ($ty:ty, $field:tt: $wait:ident $try_it:ident($bytes:ty) local_addr($address:ty) peer_addr) => {
        impl $ty {
            /// Waits until an operation in this direction may do something; see the stream.
            ///
            /// # Errors
            /// If the runtime has shut down.
            ///
            /// # Cancel safety
            /// Dropping the future loses nothing.
            pub async fn $wait(&self) -> std::io::Result<()> {
                self.$field.$wait().await
            }

            /// Does what can be done in this direction without waiting.
            ///
            /// # Errors
            /// `WouldBlock` if that is nothing; what the system says.
            pub fn $try_it(&self, bytes: $bytes) -> std::io::Result<usize> {
                self.$field.$try_it(bytes)
            }

            /// Returns the address of this end.
            ///
            /// # Errors
            /// What the system says.
            pub fn local_addr(&self) -> std::io::Result<$address> {
                self.$field.local_addr()
            }

            /// Returns the address of the other end.
            ///
            /// # Errors
            /// What the system says.
            pub fn peer_addr(&self) -> std::io::Result<$address> {
                self.$field.peer_addr()
            }
        }
    };
}

pub(crate) use {half_methods, halves};
