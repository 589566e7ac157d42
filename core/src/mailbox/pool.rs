//! Memory for envelopes: each thread keeps some of the blocks that it frees, for what it sends next.
//!
//! A message costs an allocation, and that was half of its price: `malloc` keeps seven blocks of a size at hand, a poll of a
//! sender takes 128. What a thread has no room for, or frees while it ends, goes back to the allocator; so what is kept is
//! bounded by [`KEPT_MAX`] blocks of each size, and ends with the thread. Nothing here is shared between threads: a block
//! crosses with its envelope, whose queue orders it.

use std::alloc::{Layout, alloc, dealloc, handle_alloc_error};
use std::cell::Cell;
use std::ptr::{self, NonNull};

/// Blocks of each size that a thread keeps: what one poll of a sender can send.
const KEPT_MAX: usize = 128;

/// Sizes are 8 bytes more than a multiple of this, which is what `malloc` makes of them anyway.
const STEP: usize = 16;
const SMALLEST: usize = 24;
const SIZES: usize = 16;

/// What a block holds while it is not used.
struct Free {
    next: *mut Free,
}

struct List {
    first: Cell<*mut Free>,
    len: Cell<usize>,
}

struct Pool([List; SIZES]);

thread_local! {
    static POOL: Pool = const { Pool([const { List { first: Cell::new(ptr::null_mut()), len: Cell::new(0) } }; SIZES]) };
}

/// Which list a layout belongs to; `None` if blocks of it are not kept.
#[inline]
const fn size_of(layout: Layout) -> Option<usize> {
    let size = if layout.size() < SMALLEST { SMALLEST } else { layout.size() };
    let index = (size - SMALLEST).div_ceil(STEP);
    if index < SIZES && layout.align() <= align_of::<Free>() { Some(index) } else { None }
}

/// What the blocks of a list are allocated with.
const fn layout_of(index: usize) -> Layout {
    match Layout::from_size_align(SMALLEST + index * STEP, align_of::<Free>()) {
        Ok(layout) => layout,
        Err(_) => panic!("invariant: a few hundred bytes fit into memory"),
    }
}

/// Returns a block of this layout, which is not of size zero.
#[inline]
pub(super) fn allocate(layout: Layout) -> NonNull<u8> {
    match size_of(layout) {
        Some(index) => take(index),
        None => fresh(layout),
    }
}

/// Gives a block back.
///
/// # Safety
/// It came from [`allocate`] with this layout, on whatever thread, and is not used any more.
#[inline]
pub(super) unsafe fn free(block: NonNull<u8>, layout: Layout) {
    match size_of(layout) {
        // SAFETY: by contract; the list is the one that `allocate` took for this layout.
        Some(index) => unsafe { keep(block, index) },
        // SAFETY: by contract.
        None => unsafe { dealloc(block.as_ptr(), layout) },
    }
}

/// Not inlined into the code of other crates, where each thread-local costs a call.
#[inline(never)]
fn take(index: usize) -> NonNull<u8> {
    // While the thread ends its list is gone: then the allocator is asked.
    let kept = POOL.try_with(|pool| pool.0[index].pop()).ok().flatten();
    kept.unwrap_or_else(|| fresh(layout_of(index)))
}

/// # Safety
/// As [`free`], for a layout of this list.
#[inline(never)]
unsafe fn keep(block: NonNull<u8>, index: usize) {
    // SAFETY: by contract the block is this call's alone.
    let kept = POOL.try_with(|pool| unsafe { pool.0[index].push(block) }).unwrap_or(false);
    if !kept {
        // SAFETY: `take` has allocated it with this layout.
        unsafe { dealloc(block.as_ptr(), layout_of(index)) };
    }
}

#[cold]
fn fresh(layout: Layout) -> NonNull<u8> {
    // SAFETY: an envelope is never of size zero: it has a head.
    let block = unsafe { alloc(layout) };
    NonNull::new(block).unwrap_or_else(|| handle_alloc_error(layout))
}

impl List {
    #[inline]
    fn pop(&self) -> Option<NonNull<u8>> {
        let block = NonNull::new(self.first.get())?;
        // SAFETY: what is in the list is this thread's alone, and was written by `push`.
        let free = unsafe { block.as_ref() };
        self.first.set(free.next);
        self.len.set(self.len.get() - 1);
        Some(block.cast())
    }

    /// False if there is no room.
    ///
    /// # Safety
    /// The block is large enough and aligned for [`Free`], and is given up unless this returns false.
    #[inline]
    unsafe fn push(&self, block: NonNull<u8>) -> bool {
        if self.len.get() == KEPT_MAX {
            return false;
        }
        let block = block.cast::<Free>();
        // SAFETY: by contract.
        unsafe { block.write(Free { next: self.first.get() }) };
        self.first.set(block.as_ptr());
        self.len.set(self.len.get() + 1);
        true
    }
}

impl Drop for Pool {
    fn drop(&mut self) {
        for (index, list) in self.0.iter().enumerate() {
            while let Some(block) = list.pop() {
                // SAFETY: what is in this list was allocated with its layout.
                unsafe { dealloc(block.as_ptr(), layout_of(index)) };
            }
        }
    }
}

#[cfg(all(test, not(posse_loom)))]
mod tests {
    use super::*;

    fn kept(index: usize) -> usize {
        POOL.with(|pool| pool.0[index].len.get())
    }

    #[test]
    fn a_thread_uses_what_it_freed_last_and_keeps_no_more_than_its_share() {
        let layout = Layout::new::<[u64; 8]>();
        let index = size_of(layout).unwrap();
        let blocks: Vec<_> = (0..KEPT_MAX + 3).map(|_| allocate(layout)).collect();
        let last = blocks[KEPT_MAX - 1];
        for block in blocks {
            // SAFETY: allocated above, and not used any more.
            unsafe { free(block, layout) };
        }
        assert_eq!(kept(index), KEPT_MAX);
        let again = allocate(layout);
        assert_eq!((again, kept(index)), (last, KEPT_MAX - 1));
        // SAFETY: as above.
        unsafe { free(again, layout) };
    }

    #[test]
    fn a_block_is_as_large_as_its_layout_and_may_end_on_another_thread() {
        for size in (1..SMALLEST + (SIZES + 2) * STEP).step_by(7) {
            let layout = Layout::from_size_align(size, 8).unwrap();
            assert!(size_of(layout).is_none_or(|index| layout_of(index).size() >= size));
            let address = allocate(layout).as_ptr().expose_provenance();
            #[expect(clippy::disallowed_methods, reason = "a thread that ends with what it keeps")]
            let freed = std::thread::spawn(move || {
                let block = NonNull::new(ptr::with_exposed_provenance_mut::<u8>(address)).unwrap();
                // SAFETY: in the block just allocated.
                let last = unsafe { block.add(size - 1) };
                // SAFETY: as above.
                unsafe { last.write(7) };
                // SAFETY: this thread alone has it.
                unsafe { free(block, layout) };
            });
            freed.join().unwrap();
        }
        assert_eq!(size_of(Layout::new::<u128>()), None, "of larger alignment");
    }
}
