//! Permits of a [`Semaphore`] as values: dropping one gives its permits back.

use super::semaphore::Semaphore;
use std::sync::Arc;

/// Permits that are given back when this is dropped.
#[derive(Debug)]
#[must_use = "a permit is given back when it is dropped"]
pub struct SemaphorePermit<'a> {
    semaphore: &'a Semaphore,
    count: usize,
}

/// Permits that hold on to their semaphore, and are given back when this is dropped.
#[derive(Debug)]
#[must_use = "a permit is given back when it is dropped"]
pub struct OwnedSemaphorePermit {
    semaphore: Arc<Semaphore>,
    count: usize,
}

impl<'a> SemaphorePermit<'a> {
    /// The permits were taken.
    pub(super) fn new(semaphore: &'a Semaphore, count: usize) -> Self {
        Self { semaphore, count }
    }

    /// Gives back permits until this number is left.
    pub(super) fn shrink_to(&mut self, count: usize) {
        drop(self.split(self.count.saturating_sub(count)));
    }

    fn same_semaphore(&self, other: &Self) -> bool {
        std::ptr::eq(self.semaphore, other.semaphore)
    }
}

impl OwnedSemaphorePermit {
    /// The permits were taken.
    pub(super) fn new(semaphore: Arc<Semaphore>, count: usize) -> Self {
        Self { semaphore, count }
    }

    /// Returns the semaphore.
    pub fn semaphore(&self) -> &Arc<Semaphore> {
        &self.semaphore
    }

    fn same_semaphore(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.semaphore, &other.semaphore)
    }
}

macro_rules! permit {
    ($permit:ty) => {
        impl $permit {
            /// Keeps the permits from ever being given back.
            pub fn forget(mut self) {
                self.count = 0;
            }

            /// Returns how many permits this holds.
            pub fn num_permits(&self) -> usize {
                self.count
            }

            /// Adds the permits of another one to this.
            ///
            /// # Errors
            /// The other one, if it is of another semaphore.
            pub fn merge(&mut self, mut other: Self) -> Result<(), Self> {
                if !self.same_semaphore(&other) {
                    return Err(other);
                }
                self.count = self.count.saturating_add(std::mem::take(&mut other.count));
                Ok(())
            }

            /// Splits `count` permits off; `None` if this holds fewer.
            pub fn split(&mut self, count: usize) -> Option<Self> {
                self.count = self.count.checked_sub(count)?;
                Some(Self::new(self.semaphore.clone(), count))
            }
        }

        impl Drop for $permit {
            fn drop(&mut self) {
                if self.count > 0 {
                    self.semaphore.add_permits(self.count);
                }
            }
        }
    };
}

permit!(SemaphorePermit<'_>);
permit!(OwnedSemaphorePermit);
