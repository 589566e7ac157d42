//! Room for values that are yet to be sent: given back if it is not used.

use super::error::SendError;
use super::{Sender, Shared};
use std::fmt;

/// Room for one value; given back if it is not used.
pub struct Permit<'a, T> {
    shared: &'a Shared<T>,
    used: bool,
}

impl<'a, T> Permit<'a, T> {
    /// Room was taken.
    pub(super) fn new(shared: &'a Shared<T>) -> Self {
        Self { shared, used: false }
    }

    /// Sends the value.
    ///
    /// # Errors
    /// The value, if the channel was closed meanwhile.
    pub fn send(mut self, value: T) -> Result<(), T> {
        self.used = true;
        self.shared.push(value)
    }
}

impl<T> Drop for Permit<'_, T> {
    fn drop(&mut self) {
        if !self.used {
            self.shared.give_room(1);
        }
    }
}

impl<T> fmt::Debug for Permit<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("mpsc::Permit")
    }
}

/// Room for several values, a [`Permit`] each; what is not used is given back.
pub struct PermitIterator<'a, T> {
    shared: &'a Shared<T>,
    left: usize,
}

impl<'a, T> PermitIterator<'a, T> {
    /// Room for this many was taken.
    pub(super) fn new(shared: &'a Shared<T>, left: usize) -> Self {
        Self { shared, left }
    }
}

impl<'a, T> Iterator for PermitIterator<'a, T> {
    type Item = Permit<'a, T>;

    fn next(&mut self) -> Option<Self::Item> {
        self.left = self.left.checked_sub(1)?;
        Some(Permit::new(self.shared))
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (self.left, Some(self.left))
    }
}

impl<T> ExactSizeIterator for PermitIterator<'_, T> {}

impl<T> Drop for PermitIterator<'_, T> {
    fn drop(&mut self) {
        self.shared.give_room(std::mem::take(&mut self.left));
    }
}

impl<T> fmt::Debug for PermitIterator<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("mpsc::PermitIterator").field("left", &self.left).finish()
    }
}

/// Room for one value that holds on to its sender; given back if it is not used.
pub struct OwnedPermit<T> {
    /// Present until it is used or given back.
    sender: Option<Sender<T>>,
}

impl<T> OwnedPermit<T> {
    /// Room was taken.
    pub(super) fn new(sender: Sender<T>) -> Self {
        Self { sender: Some(sender) }
    }

    fn take(&mut self) -> Sender<T> {
        self.sender.take().expect("invariant: present until it is used")
    }

    /// Sends the value, and returns the sender.
    ///
    /// # Errors
    /// [`SendError`] with the value, if the channel was closed meanwhile.
    pub fn send(mut self, value: T) -> Result<Sender<T>, SendError<T>> {
        let sender = self.take();
        sender.shared.push(value).map_err(SendError)?;
        Ok(sender)
    }

    /// Gives the room back, and returns the sender.
    pub fn release(mut self) -> Sender<T> {
        let sender = self.take();
        sender.shared.give_room(1);
        sender
    }

    /// Returns true if both are room in the same channel.
    pub fn same_channel(&self, other: &Self) -> bool {
        let shared = |permit: &Self| permit.sender.as_ref().map(|sender| std::sync::Arc::as_ptr(&sender.shared));
        shared(self) == shared(other)
    }
}

impl<T> Drop for OwnedPermit<T> {
    fn drop(&mut self) {
        if let Some(sender) = self.sender.take() {
            sender.shared.give_room(1);
        }
    }
}

impl<T> fmt::Debug for OwnedPermit<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("mpsc::OwnedPermit")
    }
}
