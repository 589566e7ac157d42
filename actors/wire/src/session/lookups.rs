//! Lookups of names. Few are on their way at a time, so that any node has room for the answers; the others wait here, in
//! the order of asking.

use super::{PendingRequest, Session, request_header};
use crate::body::write_resolve;
use crate::config::{NAME_BYTES_MAX, RESOLVES_IN_FLIGHT_MAX, RESOLVES_MAX};
use crate::event::SendError;
use crate::frame::FrameKind;
use crate::ids::CorrelationId;
use std::collections::BTreeMap;

/// Where a lookup stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Lookup {
    /// In the line, at this place.
    Waiting(u64),
    /// In the segment of this number, or it has left in it.
    Sent(u64),
}

/// The lookups of a session without an answer. Their names are with its requests.
#[derive(Debug, Default)]
pub(super) struct Lookups {
    /// How many were sent. Grows in `send`, shrinks with the end of each.
    in_flight: usize,
    /// The others, by their place in the line. A lookup that ends leaves it.
    waiting: BTreeMap<u64, CorrelationId>,
    /// The next place.
    next: u64,
}

impl Lookups {
    pub(super) fn len(&self) -> usize {
        self.in_flight + self.waiting.len()
    }

    /// Takes a place at the end of the line.
    fn join(&mut self) -> u64 {
        self.next += 1;
        self.next
    }

    /// One of them has ended, however it did.
    pub(super) fn remove(&mut self, lookup: Lookup) {
        match lookup {
            Lookup::Waiting(place) => drop(self.waiting.remove(&place)),
            Lookup::Sent(_) => self.in_flight -= 1,
        }
    }
}

impl<T> Session<T> {
    /// Asks for a published name: the token comes back with the answer. With more than 32 on their way it waits for the answer
    /// to one of them, and so it does for room while many frames wait that are not messages; [`cancel`](Self::cancel) ends that as well.
    ///
    /// # Errors
    /// [`SendError::TooLarge`] for a name of more than 255 bytes; [`SendError::Full`] beyond 65,536 lookups without an answer;
    /// [`SendError::Closed`].
    pub fn resolve(&mut self, protocol: u64, name: &str, token: T) -> Result<CorrelationId, (SendError, T)> {
        if self.closed {
            return Err((SendError::Closed, token));
        }
        if name.len() > NAME_BYTES_MAX {
            return Err((SendError::TooLarge, token));
        }
        if self.lookups.len() >= RESOLVES_MAX {
            return Err((SendError::Full, token));
        }
        let place = self.lookups.join();
        let request = PendingRequest::Resolve(protocol, name.to_owned(), Lookup::Waiting(place));
        let id = self.insert_request(request, token);
        self.lookups.waiting.insert(place, id);
        self.send_lookups();
        Ok(id)
    }

    /// Sends lookups out of the line, as far as they may be on their way. To be called when one ends, and when there is room.
    pub(super) fn send_lookups(&mut self) {
        while self.lookups.in_flight < RESOLVES_IN_FLIGHT_MAX && self.has_control_room() {
            let Some((_, id)) = self.lookups.waiting.pop_first() else { return };
            let mut body = Vec::new();
            if let Some((PendingRequest::Resolve(protocol, name, _), _)) = self.requests.get(id.slot, id.generation) {
                write_resolve(*protocol, name, &mut body);
            }
            let segment = self.push_control(&request_header(FrameKind::Resolve, id), &body);
            self.lookups.in_flight += 1;
            if let Some((PendingRequest::Resolve(_, _, lookup), _)) = self.requests.get_mut(id.slot, id.generation) {
                *lookup = Lookup::Sent(segment);
            }
        }
    }
}
