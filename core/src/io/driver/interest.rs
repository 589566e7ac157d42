//! Interest and readiness: sets of conditions of a socket, to wait for and that hold.

use std::fmt;
use std::ops::{BitAnd, BitOr, BitOrAssign, Sub};

/// What to wait for: one or more conditions of a socket or descriptor.
///
/// # Examples
/// ```
/// use posse::io::Interest;
///
/// let both = Interest::READABLE | Interest::WRITABLE;
/// assert!(both.is_readable() && both.is_writable() && !both.is_priority());
/// assert_eq!(both.remove(Interest::READABLE), Some(Interest::WRITABLE));
/// ```
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Interest(u8);

/// What a socket or descriptor was found to be ready for. A hint: an operation may still block.
///
/// # Examples
/// ```
/// use posse::io::{Interest, Ready};
///
/// let ready = Ready::READABLE | Ready::READ_CLOSED;
/// assert!(ready.is_readable() && ready.is_read_closed() && !ready.is_writable());
/// assert!(Ready::ALL.contains(ready) && ready.satisfies(Interest::READABLE));
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Default)]
pub struct Ready(pub(in crate::io) u8);

const READABLE: u8 = 1;
const WRITABLE: u8 = 1 << 1;
const READ_CLOSED: u8 = 1 << 2;
const WRITE_CLOSED: u8 = 1 << 3;
const PRIORITY: u8 = 1 << 4;
const ERROR: u8 = 1 << 5;

impl Interest {
    /// Data, or the end of it, can be read.
    pub const READABLE: Self = Self(READABLE);
    /// There is room to write.
    pub const WRITABLE: Self = Self(WRITABLE);
    /// There is data out of band, or what a driver of the system makes of it.
    pub const PRIORITY: Self = Self(PRIORITY);
    /// There is an error. It comes with other conditions: wait for them as well.
    pub const ERROR: Self = Self(ERROR);

    /// Returns whether it waits for data.
    pub const fn is_readable(self) -> bool {
        self.0 & READABLE != 0
    }

    /// Returns whether it waits for room.
    pub const fn is_writable(self) -> bool {
        self.0 & WRITABLE != 0
    }

    /// Returns whether it waits for data out of band.
    pub const fn is_priority(self) -> bool {
        self.0 & PRIORITY != 0
    }

    /// Returns whether it waits for an error.
    pub const fn is_error(self) -> bool {
        self.0 & ERROR != 0
    }

    /// Returns both.
    pub const fn add(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// Returns what is left without `other`; `None` if that is nothing.
    pub const fn remove(self, other: Self) -> Option<Self> {
        match self.0 & !other.0 {
            0 => None,
            left => Some(Self(left)),
        }
    }

    /// What satisfies it: a closed direction can be read or written too, and says so.
    pub(in crate::io) const fn mask(self) -> Ready {
        let mut mask = self.0;
        if self.is_readable() {
            mask |= READ_CLOSED;
        }
        if self.is_writable() {
            mask |= WRITE_CLOSED;
        }
        if self.is_priority() {
            mask |= READ_CLOSED;
        }
        Ready(mask)
    }

    /// Whether it is woken by what wakes readers.
    pub(in crate::io) const fn waits_as_reader(self) -> bool {
        self.0 & (READABLE | PRIORITY | ERROR) != 0
    }
}

impl Ready {
    /// Ready for nothing.
    pub const EMPTY: Self = Self(0);
    /// Data, or the end of it, can be read.
    pub const READABLE: Self = Self(READABLE);
    /// There is room to write.
    pub const WRITABLE: Self = Self(WRITABLE);
    /// The peer will send no more.
    pub const READ_CLOSED: Self = Self(READ_CLOSED);
    /// The peer will read no more.
    pub const WRITE_CLOSED: Self = Self(WRITE_CLOSED);
    /// There is data out of band.
    pub const PRIORITY: Self = Self(PRIORITY);
    /// There is an error.
    pub const ERROR: Self = Self(ERROR);
    /// Everything.
    pub const ALL: Self = Self(READABLE | WRITABLE | READ_CLOSED | WRITE_CLOSED | PRIORITY | ERROR);

    /// The two that stay until an operation tells otherwise.
    #[cfg(unix)]
    pub(in crate::io) const CLOSED: Self = Self(READ_CLOSED | WRITE_CLOSED);

    /// Returns whether it is ready for nothing.
    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// Returns whether something, or the end, can be read.
    pub const fn is_readable(self) -> bool {
        self.0 & (READABLE | READ_CLOSED) != 0
    }

    /// Returns whether something can be written, or the peer will read no more.
    pub const fn is_writable(self) -> bool {
        self.0 & (WRITABLE | WRITE_CLOSED) != 0
    }

    /// Returns whether the peer will send no more.
    pub const fn is_read_closed(self) -> bool {
        self.0 & READ_CLOSED != 0
    }

    /// Returns whether the peer will read no more.
    pub const fn is_write_closed(self) -> bool {
        self.0 & WRITE_CLOSED != 0
    }

    /// Returns whether there is data out of band.
    pub const fn is_priority(self) -> bool {
        self.0 & PRIORITY != 0
    }

    /// Returns whether there is an error.
    pub const fn is_error(self) -> bool {
        self.0 & ERROR != 0
    }

    /// Returns whether it has all that `other` has.
    pub const fn contains(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }

    /// Returns whether a task that waits for `interest` goes on.
    pub const fn satisfies(self, interest: Interest) -> bool {
        self.0 & interest.mask().0 != 0
    }
}

impl BitOr for Interest {
    type Output = Self;

    fn bitor(self, other: Self) -> Self {
        self.add(other)
    }
}

impl BitOrAssign for Interest {
    fn bitor_assign(&mut self, other: Self) {
        self.0 |= other.0;
    }
}

impl BitOr for Ready {
    type Output = Self;

    fn bitor(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }
}

impl BitAnd for Ready {
    type Output = Self;

    fn bitand(self, other: Self) -> Self {
        Self(self.0 & other.0)
    }
}

impl Sub for Ready {
    type Output = Self;

    fn sub(self, other: Self) -> Self {
        Self(self.0 & !other.0)
    }
}

fn list(f: &mut fmt::Formatter<'_>, bits: u8) -> fmt::Result {
    const NAMES: [&str; 6] = ["READABLE", "WRITABLE", "READ_CLOSED", "WRITE_CLOSED", "PRIORITY", "ERROR"];
    let names: Vec<_> =
        NAMES.iter().enumerate().filter(|(bit, _)| bits & (1 << bit) != 0).map(|(_, name)| *name).collect();
    f.write_str(if names.is_empty() { "EMPTY" } else { "" })?;
    f.write_str(&names.join(" | "))
}

impl fmt::Debug for Interest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        list(f, self.0)
    }
}

impl fmt::Debug for Ready {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        list(f, self.0)
    }
}
