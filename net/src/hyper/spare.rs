//! The free part of a buffer of hyper, as a place that a socket can read into.
//!
//! The one file of this package with `unsafe`: hyper's cursor has no safe way to hand out memory that is not initialised, and
//! filling it with zeros first costs a third of the speed of large uploads.
#![allow(unsafe_code)]

use bytes::BufMut;
use bytes::buf::UninitSlice;
use hyper::rt::ReadBufCursor;
use std::io;
use std::task::{Poll, ready};

/// A cursor over the free part of a buffer.
pub(crate) struct Spare<'a>(ReadBufCursor<'a>);

impl<'a> Spare<'a> {
    pub(crate) fn new(cursor: ReadBufCursor<'a>) -> Self {
        Self(cursor)
    }

    /// Reads at most `max` bytes by a function that wants initialised memory.
    pub(super) fn fill(
        &mut self,
        max: usize,
        read: impl FnOnce(&mut [u8]) -> Poll<io::Result<usize>>,
    ) -> Poll<io::Result<()>> {
        let room = self.0.remaining().min(max);
        let count = ready!(read(self.0.initialize_unfilled_to(room)))?;
        // SAFETY: `room` bytes have just been initialised.
        unsafe { self.0.advance(count.min(room)) };
        Poll::Ready(Ok(()))
    }
}

// SAFETY: `remaining_mut` is the length of what `chunk_mut` returns, all of it one piece of memory that the cursor owns; both look
// at the same position, which `advance_mut` alone moves.
unsafe impl BufMut for Spare<'_> {
    fn remaining_mut(&self) -> usize {
        self.0.remaining()
    }

    unsafe fn advance_mut(&mut self, count: usize) {
        assert!(count <= self.0.remaining(), "a buffer was filled beyond its end");
        // SAFETY: the caller has initialised `count` bytes of what `chunk_mut` returned, which are those that follow the position.
        unsafe { self.0.advance(count) }
    }

    fn chunk_mut(&mut self) -> &mut UninitSlice {
        // SAFETY: an `UninitSlice` lets no code make initialised memory uninitialised, which is what the cursor asks for.
        let spare = unsafe { self.0.as_mut() };
        UninitSlice::uninit(spare)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use hyper::rt::ReadBuf;
    use std::mem::MaybeUninit;

    #[test]
    fn what_is_put_in_is_what_is_filled() {
        let mut memory = [MaybeUninit::uninit(); 8];
        let mut buffer = ReadBuf::uninit(&mut memory);
        let mut spare = Spare::new(buffer.unfilled());
        assert_eq!(spare.remaining_mut(), 8);
        spare.put_slice(b"hello");
        assert_eq!((spare.remaining_mut(), spare.chunk_mut().len()), (3, 3));
        spare.put_slice(b"!!!");
        assert!(!spare.has_remaining_mut());
        assert_eq!(buffer.filled(), b"hello!!!");
    }

    #[test]
    fn a_read_into_initialised_memory_is_bounded_by_the_room_and_the_maximum() {
        let mut buffer = [7; 8];
        let mut buffer = ReadBuf::new(&mut buffer);
        let mut lengths = Vec::new();
        for _ in 0..2 {
            let filled = Spare::new(buffer.unfilled()).fill(5, |memory| {
                lengths.push(memory.len());
                memory.fill(1);
                // A reader that lies about how much it has read.
                Poll::Ready(Ok(100))
            });
            assert!(filled.is_ready());
        }
        assert_eq!((lengths, buffer.filled()), (vec![5, 3], &[1; 8][..]));
    }

    #[test]
    #[should_panic(expected = "beyond its end")]
    fn a_buffer_is_not_filled_beyond_its_end() {
        let mut memory = [MaybeUninit::uninit(); 2];
        let mut buffer = ReadBuf::uninit(&mut memory);
        let mut spare = Spare::new(buffer.unfilled());
        // SAFETY: none is claimed; it panics before it touches anything.
        unsafe { spare.advance_mut(3) };
    }
}
