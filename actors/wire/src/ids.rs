//! Identities on the wire: nodes, actors, requests. Plain data with a fixed layout, never a pointer or a path.

use std::fmt;

/// One incarnation of a node: a process that starts again under the same name is another node.
///
/// | offset | size | field |
/// |---|---|---|
/// | 0 | 8 | `name_hash` |
/// | 8 | 8 | `incarnation` |
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct NodeId {
    /// [`fnv1a64`] of the node's name.
    pub name_hash: u64,
    /// Grows from each start of the node to the next; microseconds since the Unix epoch unless a clock went back.
    pub incarnation: u64,
}

impl NodeId {
    /// Bytes on the wire.
    pub const BYTES: usize = 16;

    /// The id of the incarnation of a named node.
    pub fn new(name: &str, incarnation: u64) -> Self {
        Self { name_hash: fnv1a64(name.as_bytes()), incarnation }
    }

    /// Returns true if both are incarnations of the same node.
    pub fn same_name(&self, other: &Self) -> bool {
        self.name_hash == other.name_hash
    }

    pub(crate) fn to_bytes(self) -> [u8; Self::BYTES] {
        join(self.name_hash.to_le_bytes(), self.incarnation.to_le_bytes())
    }

    pub(crate) fn from_bytes(bytes: [u8; Self::BYTES]) -> Self {
        let (name_hash, incarnation) = halves(bytes);
        Self { name_hash, incarnation }
    }
}

impl fmt::Display for NodeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}.{:x}", self.name_hash, self.incarnation)
    }
}

/// As it is displayed: events, logs and texts show the same.
impl fmt::Debug for NodeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// Finds an actor in the table of its node: a slot, and a count of how often the slot was used.
///
/// | offset | size | field |
/// |---|---|---|
/// | 0 | 4 | `slot` |
/// | 4 | 4 | `generation`, never 0 for an actor |
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ActorKey {
    /// Index in the table.
    pub slot: u32,
    /// Tells apart the actors that had the slot one after the other.
    pub generation: u32,
}

impl ActorKey {
    /// Stands for the node itself in frames that are for no actor.
    pub const NODE: Self = Self { slot: 0, generation: 0 };

    pub(crate) fn to_bits(self) -> u64 {
        u64::from(self.slot) | (u64::from(self.generation) << 32)
    }

    pub(crate) fn from_bits(bits: u64) -> Self {
        let (slot, generation) = split(bits);
        Self { slot, generation }
    }
}

impl fmt::Display for ActorKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.slot, self.generation)
    }
}

/// Matches an answer to its request, or a `Down` to its monitor. The side that asks chooses it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CorrelationId {
    /// Index in the asker's table.
    pub slot: u32,
    /// Tells apart the requests that had the slot one after the other.
    pub generation: u32,
}

impl CorrelationId {
    pub(crate) fn to_bits(self) -> u64 {
        u64::from(self.slot) | (u64::from(self.generation) << 32)
    }

    pub(crate) fn from_bits(bits: u64) -> Self {
        let (slot, generation) = split(bits);
        Self { slot, generation }
    }
}

/// A reference to an actor as it travels inside of messages.
///
/// | offset | size | field |
/// |---|---|---|
/// | 0 | 16 | `node` |
/// | 16 | 8 | `key` |
/// | 24 | 8 | `protocol` |
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct WireRef {
    /// Where the actor lives.
    pub node: NodeId,
    /// Which actor it is there.
    pub key: ActorKey,
    /// [`fnv1a64`] of the name of the protocol it is spoken to with.
    pub protocol: u64,
}

impl WireRef {
    /// Bytes on the wire.
    pub const BYTES: usize = 32;

    /// The layout of the table above.
    pub fn to_bytes(self) -> [u8; Self::BYTES] {
        join(self.node.to_bytes(), join::<8, 16>(self.key.to_bits().to_le_bytes(), self.protocol.to_le_bytes()))
    }

    /// The same 32 bytes as four little-endian words.
    pub fn to_words(self) -> [u64; 4] {
        [self.node.name_hash, self.node.incarnation, self.key.to_bits(), self.protocol]
    }

    /// The same 32 bytes as four little-endian words.
    pub fn from_words([name_hash, incarnation, key, protocol]: [u64; 4]) -> Self {
        Self { node: NodeId { name_hash, incarnation }, key: ActorKey::from_bits(key), protocol }
    }

    /// The layout of the table above. Any bytes are a reference, perhaps to no actor.
    pub fn from_bytes(bytes: [u8; Self::BYTES]) -> Self {
        let (node, rest): ([u8; 16], [u8; 16]) = cut(bytes);
        let (key, protocol) = halves(rest);
        Self { node: NodeId::from_bytes(node), key: ActorKey::from_bits(key), protocol }
    }
}

/// FNV-1a with 64 bits, which stable ids are made with at compile time.
pub const fn fnv1a64(bytes: &[u8]) -> u64 {
    let mut hash = 0xcbf2_9ce4_8422_2325_u64;
    let mut i = 0;
    while i < bytes.len() {
        hash = (hash ^ bytes[i] as u64).wrapping_mul(0x0000_0100_0000_01b3);
        i += 1;
    }
    hash
}

fn split(bits: u64) -> (u32, u32) {
    ((bits & 0xffff_ffff) as u32, (bits >> 32) as u32)
}

fn halves(bytes: [u8; 16]) -> (u64, u64) {
    let (first, second) = cut(bytes);
    (u64::from_le_bytes(first), u64::from_le_bytes(second))
}

fn cut<const HALF: usize, const WHOLE: usize>(bytes: [u8; WHOLE]) -> ([u8; HALF], [u8; HALF]) {
    (std::array::from_fn(|i| bytes[i]), std::array::from_fn(|i| bytes[HALF + i]))
}

fn join<const HALF: usize, const WHOLE: usize>(first: [u8; HALF], second: [u8; HALF]) -> [u8; WHOLE] {
    std::array::from_fn(|i| if i < HALF { first[i] } else { second[i - HALF] })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn hash_is_fnv1a_with_64_bits() {
        // Values of the reference implementation.
        assert_eq!(fnv1a64(b""), 0xcbf2_9ce4_8422_2325);
        assert_eq!(fnv1a64(b"a"), 0xaf63_dc4c_8601_ec8c);
        assert_eq!(fnv1a64(b"foobar"), 0x8594_4171_f739_67e8);
    }

    #[test]
    fn reference_has_its_golden_bytes() {
        let reference = WireRef {
            node: NodeId { name_hash: 0x0807_0605_0403_0201, incarnation: 0x100f_0e0d_0c0b_0a09 },
            key: ActorKey { slot: 0x1413_1211, generation: 0x1817_1615 },
            protocol: 0x201f_1e1d_1c1b_1a19,
        };
        let golden: [u8; 32] = std::array::from_fn(|i| i as u8 + 1);
        assert_eq!(reference.to_bytes(), golden);
        assert_eq!(WireRef::from_bytes(golden), reference);
    }

    proptest! {
        #[test]
        fn any_bytes_are_a_reference(bytes in any::<[u8; 32]>()) {
            let reference = WireRef::from_bytes(bytes);
            prop_assert_eq!(reference.to_bytes(), bytes);
            prop_assert_eq!(reference.to_words().map(u64::to_le_bytes).concat(), bytes);
            prop_assert_eq!(WireRef::from_words(reference.to_words()), reference);
        }

        #[test]
        fn ids_come_back_from_their_bits(bits in any::<u64>()) {
            prop_assert_eq!(ActorKey::from_bits(bits).to_bits(), bits);
            prop_assert_eq!(CorrelationId::from_bits(bits).to_bits(), bits);
        }
    }
}
