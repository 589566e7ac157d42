//! Message types by number: each side numbers the types it receives, and the other side sends that number.
//!
//! Invariant: the number of a type never changes while the incarnation lives; tables only grow.

use crate::config::TYPES_MAX;
use std::collections::BTreeMap;

/// A message type as the two sides must agree on it.
///
/// | offset | size | field |
/// |---|---|---|
/// | 0 | 8 | `id` |
/// | 8 | 8 | `schema` |
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct TypeInfo {
    /// [`fnv1a64`](crate::fnv1a64) of the declared name.
    pub id: u64,
    /// Hash of the fields' names and types, those of the reply included.
    pub schema: u64,
}

impl TypeInfo {
    /// Bytes on the wire.
    pub(crate) const BYTES: usize = 16;
}

/// Of the types that a side receives those that the other side is told of.
pub(crate) fn announced(types: &[TypeInfo]) -> &[TypeInfo] {
    &types[..types.len().min(TYPES_MAX)]
}

/// How an arriving message says what it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TypeKey {
    /// [`fnv1a64`](crate::fnv1a64) of the declared name.
    pub id: u64,
    /// The sender's schema, if the sender did not compare it itself.
    pub schema: Option<u64>,
}

/// In which form a type is sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum TypeEncoding {
    /// By the receiver's number.
    Index(u16),
    /// In full: the receiver has not told its number.
    Full,
    /// Not at all: the receiver has another schema.
    Incompatible,
}

/// What the other side has told about its types.
#[derive(Debug, Default)]
pub(crate) struct PeerTypes {
    by_id: BTreeMap<u64, (u16, u64)>,
    count: usize,
}

impl PeerTypes {
    pub(crate) fn add(&mut self, types: &[TypeInfo]) {
        for entry in types {
            // Of an id told twice the first stays; the table is bounded by its index.
            if let Ok(index) = u16::try_from(self.count) {
                self.by_id.entry(entry.id).or_insert((index, entry.schema));
            }
            self.count += 1;
        }
    }

    pub(crate) fn count(&self) -> usize {
        self.count
    }

    pub(crate) fn encoding(&self, id: u64, schema: u64) -> TypeEncoding {
        match self.by_id.get(&id) {
            Some((index, theirs)) if *theirs == schema => TypeEncoding::Index(*index),
            Some(_) => TypeEncoding::Incompatible,
            None => TypeEncoding::Full,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn type_is_sent_by_number_in_full_or_not_at_all() {
        let mut peer = PeerTypes::default();
        peer.add(&[TypeInfo { id: 10, schema: 1 }, TypeInfo { id: 20, schema: 2 }]);
        peer.add(&[TypeInfo { id: 30, schema: 3 }, TypeInfo { id: 10, schema: 9 }]);

        assert_eq!(peer.encoding(10, 1), TypeEncoding::Index(0));
        assert_eq!(peer.encoding(30, 3), TypeEncoding::Index(2));
        assert_eq!(peer.encoding(20, 7), TypeEncoding::Incompatible);
        assert_eq!(peer.encoding(99, 1), TypeEncoding::Full);
        assert_eq!(peer.count(), 4);
    }
}
