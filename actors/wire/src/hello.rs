//! The first bytes of a connection: a preamble of 16 bytes, then HELLO, a list of tagged fields.
//!
//! | offset | size | field | limit |
//! |---|---|---|---|
//! | 0 | 4 | `POSS` | |
//! | 4 | 1 | lowest version spoken | 1 |
//! | 5 | 1 | highest version spoken | 1 |
//! | 6 | 1 | lane | 0 |
//! | 7 | 1 | security | 0, none |
//! | 8 | 4 | bytes of HELLO | 1,024 |
//! | 12 | 4 | zero | |
//!
//! A field is a tag of two bytes, its length of two bytes, its value. A tag with the highest bit must be understood.

use crate::config::{
    ADDRESS_BYTES_MAX, CLUSTER_NAME_BYTES_MAX, ConfigError, HELLO_BYTES_MAX, INCARNATION_MAX, NAME_BYTES_MAX,
    NodeConfig, VERSION,
};
use crate::error::HandshakeError;
use crate::ids::NodeId;
use bytes::{Buf, BufMut, BytesMut};

/// The codec of messages: bincode 2 with integers of fixed size.
pub(crate) const CODEC: u8 = 1;

const MAGIC: [u8; 4] = *b"POSS";
const PREAMBLE_BYTES: usize = 16;

/// The first byte of a TLS handshake record.
const TLS_HANDSHAKE: u8 = 0x16;

/// Set in tags that must be understood.
const CRITICAL: u16 = 0x8000;

const CLUSTER: u16 = 0x8001;
const NAME: u16 = 0x8002;
const NODE: u16 = 0x8003;
const OFFERED: u16 = 0x8005;
const REQUIRED: u16 = 0x8006;
const ADDRESS: u16 = 0x0007;
const CODECS: u16 = 0x8008;
const LIMITS: u16 = 0x800a;

/// Who a node is and what it speaks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hello {
    /// Nodes of other clusters are refused. At most 64 bytes.
    pub cluster: String,
    /// The name of the node. 1 to 255 bytes.
    pub name: String,
    /// Tells this start of the node from all others.
    pub incarnation: u64,
    /// Where the node listens; empty if nowhere. At most 255 bytes.
    pub address: String,
    /// Bytes of the longest message it takes.
    pub message_bytes_max: u32,
}

impl Hello {
    /// Introduces a node.
    ///
    /// # Errors
    /// A text that is longer than the protocol allows, or an empty name.
    pub fn new(
        cluster: &str,
        name: &str,
        incarnation: u64,
        address: &str,
        config: &NodeConfig,
    ) -> Result<Self, ConfigError> {
        if cluster.len() > CLUSTER_NAME_BYTES_MAX {
            return Err(ConfigError("the name of a cluster has at most 64 bytes"));
        }
        if name.is_empty() || name.len() > NAME_BYTES_MAX {
            return Err(ConfigError("the name of a node has 1 to 255 bytes"));
        }
        if address.len() > ADDRESS_BYTES_MAX {
            return Err(ConfigError("an address has at most 255 bytes"));
        }
        Ok(Self {
            cluster: cluster.to_owned(),
            name: name.to_owned(),
            incarnation,
            address: address.to_owned(),
            message_bytes_max: config.message_bytes_max,
        })
    }

    /// The id of the node.
    pub fn node(&self) -> NodeId {
        NodeId::new(&self.name, self.incarnation)
    }

    /// Writes the preamble and the fields.
    pub(crate) fn write(&self, out: &mut BytesMut) {
        let mut fields = Vec::with_capacity(HELLO_BYTES_MAX);
        let mut field = |tag: u16, value: &[u8]| {
            fields.put_u16_le(tag);
            fields.put_u16_le(value.len() as u16);
            fields.put_slice(value);
        };
        field(CLUSTER, self.cluster.as_bytes());
        field(NAME, self.name.as_bytes());
        field(NODE, &self.node().to_bytes());
        field(OFFERED, &0_u64.to_le_bytes());
        field(REQUIRED, &0_u64.to_le_bytes());
        field(ADDRESS, self.address.as_bytes());
        field(CODECS, &[CODEC]);
        field(LIMITS, &self.message_bytes_max.to_le_bytes());

        out.put_slice(&MAGIC);
        out.put_slice(&[VERSION, VERSION, 0, 0]);
        out.put_u32_le(fields.len() as u32);
        out.put_u32_le(0);
        out.put_slice(&fields);
    }

    /// Takes the preamble and the fields off the input; `None` if they have not arrived in full.
    ///
    /// What can be refused is refused at its first byte.
    pub(crate) fn read(input: &mut BytesMut) -> Result<Option<Self>, HandshakeError> {
        if input.first() == Some(&TLS_HANDSHAKE) {
            return Err(HandshakeError::Tls);
        }
        let seen = input.len().min(MAGIC.len());
        if input[..seen] != MAGIC[..seen] {
            return Err(HandshakeError::NotPosse);
        }
        let Some(preamble) = input.first_chunk::<PREAMBLE_BYTES>() else { return Ok(None) };

        // The version comes before all that it may have changed.
        let (min, max) = (preamble[4], preamble[5]);
        if min > max || !(min..=max).contains(&VERSION) {
            return Err(HandshakeError::Version { min, max });
        }
        if preamble[6] != 0 || preamble[7] != 0 || preamble[12..] != [0; 4] {
            return Err(HandshakeError::Unsupported("the lane or the security of the connection"));
        }
        let mut len = &preamble[8..12];
        let len = len.get_u32_le() as usize;
        if len > HELLO_BYTES_MAX {
            return Err(HandshakeError::Malformed("HELLO is too long"));
        }
        if input.len() < PREAMBLE_BYTES + len {
            return Ok(None);
        }
        input.advance(PREAMBLE_BYTES);
        let fields = input.split_to(len);
        Fields::read(&fields)?.check().map(Some)
    }
}

#[derive(Default)]
struct Fields<'a> {
    cluster: Option<&'a str>,
    name: Option<&'a str>,
    node: Option<NodeId>,
    address: Option<&'a str>,
    codecs: Option<&'a [u8]>,
    offered: Option<u64>,
    required: Option<u64>,
    message_bytes_max: Option<u32>,
}

impl<'a> Fields<'a> {
    fn read(mut bytes: &'a [u8]) -> Result<Self, HandshakeError> {
        let cut = |_| HandshakeError::Malformed("a field of HELLO is cut");
        let mut fields = Self::default();
        while !bytes.is_empty() {
            let tag = bytes.try_get_u16_le().map_err(cut)?;
            let len = usize::from(bytes.try_get_u16_le().map_err(cut)?);
            let (value, rest) =
                bytes.split_at_checked(len).ok_or(HandshakeError::Malformed("a field of HELLO is cut"))?;
            bytes = rest;
            fields.take(tag, value)?;
        }
        Ok(fields)
    }

    fn take(&mut self, tag: u16, value: &'a [u8]) -> Result<(), HandshakeError> {
        let twice = match tag {
            CLUSTER => self.cluster.replace(text(value, CLUSTER_NAME_BYTES_MAX)?).is_some(),
            NAME => self.name.replace(text(value, NAME_BYTES_MAX)?).is_some(),
            NODE => self.node.replace(NodeId::from_bytes(array(value)?)).is_some(),
            ADDRESS => self.address.replace(text(value, ADDRESS_BYTES_MAX)?).is_some(),
            CODECS => self.codecs.replace(value).is_some(),
            REQUIRED => self.required.replace(u64::from_le_bytes(array(value)?)).is_some(),
            LIMITS => self.message_bytes_max.replace(u32::from_le_bytes(array(value)?)).is_some(),
            OFFERED => self.offered.replace(u64::from_le_bytes(array(value)?)).is_some(),
            unknown if unknown & CRITICAL != 0 => {
                return Err(HandshakeError::Unsupported("a field of HELLO that must be understood"));
            }
            // Nothing is known of it, not even whether it may come twice.
            _ => false,
        };
        if twice { Err(HandshakeError::Malformed("a field of HELLO comes twice")) } else { Ok(()) }
    }

    fn check(self) -> Result<Hello, HandshakeError> {
        let missing = HandshakeError::Malformed("a field of HELLO is missing");
        let (Some(cluster), Some(name), Some(node), Some(codecs), Some(message_bytes_max)) =
            (self.cluster, self.name, self.node, self.codecs, self.message_bytes_max)
        else {
            return Err(missing);
        };
        // The id is the key of all tables: it has to be the name's.
        if name.is_empty() || NodeId::new(name, node.incarnation) != node {
            return Err(HandshakeError::Malformed("the id of a node does not match its name"));
        }
        if node.incarnation > INCARNATION_MAX {
            return Err(HandshakeError::Malformed("an incarnation is beyond 2^63"));
        }
        if !codecs.contains(&CODEC) {
            return Err(HandshakeError::Unsupported("the codecs"));
        }
        if self.required.unwrap_or(0) != 0 {
            return Err(HandshakeError::Unsupported("a required feature"));
        }
        Ok(Hello {
            cluster: cluster.to_owned(),
            name: name.to_owned(),
            incarnation: node.incarnation,
            address: self.address.unwrap_or("").to_owned(),
            message_bytes_max,
        })
    }
}

fn text(value: &[u8], bytes_max: usize) -> Result<&str, HandshakeError> {
    match std::str::from_utf8(value) {
        Ok(text) if text.len() <= bytes_max => Ok(text),
        _ => Err(HandshakeError::Malformed("a text of HELLO is too long or not UTF-8")),
    }
}

fn array<const N: usize>(value: &[u8]) -> Result<[u8; N], HandshakeError> {
    value.try_into().map_err(|_| HandshakeError::Malformed("a field of HELLO has the wrong length"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn hello() -> Hello {
        Hello::new("c", "n", 2, "a:1", &NodeConfig::default()).unwrap()
    }

    fn written(hello: &Hello) -> BytesMut {
        let mut out = BytesMut::new();
        hello.write(&mut out);
        out
    }

    #[test]
    fn hello_has_its_golden_bytes() {
        let name_hash = crate::fnv1a64(b"n").to_le_bytes();
        let golden = [
            &b"POSS"[..],
            &[1, 1, 0, 0, 80, 0, 0, 0, 0, 0, 0, 0],
            &[0x01, 0x80, 1, 0, b'c', 0x02, 0x80, 1, 0, b'n', 0x03, 0x80, 16, 0],
            &name_hash,
            &2_u64.to_le_bytes(),
            &[0x05, 0x80, 8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x06, 0x80, 8, 0, 0, 0, 0, 0, 0, 0, 0, 0],
            &[0x07, 0x00, 3, 0, b'a', b':', b'1', 0x08, 0x80, 1, 0, 1, 0x0a, 0x80, 4, 0, 0, 0, 0, 1],
        ];
        let mut golden = golden.concat();
        golden[8] = (golden.len() - 16) as u8;
        assert_eq!(written(&hello())[..], golden[..]);
    }

    #[test]
    fn every_prefix_waits_for_more() {
        let whole = written(&hello());
        for len in 0..whole.len() {
            assert_eq!(Hello::read(&mut BytesMut::from(&whole[..len])).unwrap(), None);
        }
    }

    #[test]
    fn strangers_are_recognised_by_their_first_bytes() {
        let read = |bytes: &[u8]| Hello::read(&mut BytesMut::from(bytes)).unwrap_err();
        assert!(matches!(read(b"G"), HandshakeError::NotPosse));
        assert!(matches!(read(&[0x16, 3, 1]), HandshakeError::Tls));
        assert!(matches!(read(b"POSS\x02\x03\0\0\0\0\0\0\0\0\0\0"), HandshakeError::Version { min: 2, max: 3 }));
        assert!(matches!(read(b"POSS\x01\x01\0\0\xff\xff\xff\xff\0\0\0\0"), HandshakeError::Malformed(_)));
    }

    #[test]
    fn unknown_field_is_skipped_unless_it_must_be_understood() {
        let with = |tag: u16| {
            let mut bytes = written(&hello());
            bytes.put_u16_le(tag);
            bytes.put_u16_le(0);
            let len = (bytes.len() - PREAMBLE_BYTES) as u32;
            bytes[8..12].copy_from_slice(&len.to_le_bytes());
            Hello::read(&mut bytes)
        };
        assert_eq!(with(0x0099).unwrap(), Some(hello()));
        assert!(matches!(with(0x8099), Err(HandshakeError::Unsupported(_))));
    }

    /// HELLO of these fields.
    fn of_fields(fields: &[(u16, &[u8])]) -> Result<Option<Hello>, HandshakeError> {
        let mut bytes = BytesMut::from(&b"POSS\x01\x01\0\0\0\0\0\0\0\0\0\0"[..]);
        for (tag, value) in fields {
            bytes.put_u16_le(*tag);
            bytes.put_u16_le(value.len() as u16);
            bytes.put_slice(value);
        }
        let len = (bytes.len() - PREAMBLE_BYTES) as u32;
        bytes[8..12].copy_from_slice(&len.to_le_bytes());
        Hello::read(&mut bytes)
    }

    #[test]
    fn each_known_field_comes_once_with_its_length_and_five_must_come() {
        let node = NodeId::new("n", 2).to_bytes();
        let zero = [0; 8];
        let fields: [(u16, &[u8], bool); 8] = [
            (CLUSTER, b"c", true),
            (NAME, b"n", true),
            (NODE, &node, true),
            (OFFERED, &zero, false),
            (REQUIRED, &zero, false),
            (ADDRESS, b"a:1", false),
            (CODECS, &[CODEC], true),
            (LIMITS, &[0, 0, 0, 1], true),
        ];
        let all: Vec<_> = fields.iter().map(|(tag, value, _)| (*tag, *value)).collect();
        assert_eq!(of_fields(&all).unwrap(), Some(hello()));
        for (at, (tag, value, is_mandatory)) in fields.into_iter().enumerate() {
            let mut without = all.clone();
            without.remove(at);
            let read = of_fields(&without);
            assert_eq!(matches!(read, Err(HandshakeError::Malformed(_))), is_mandatory, "without {tag:#06x}: {read:?}");

            let twice = [&all[..], &[(tag, value)]].concat();
            assert!(matches!(of_fields(&twice), Err(HandshakeError::Malformed(_))), "{tag:#06x} twice");
            if !matches!(tag, CLUSTER | NAME | ADDRESS | CODECS) {
                let longer = [value, &[0]].concat();
                let mut wrong = all.clone();
                wrong[at] = (tag, &longer);
                assert!(matches!(of_fields(&wrong), Err(HandshakeError::Malformed(_))), "{tag:#06x}, a byte longer");
            }
        }
        // Of one that is skipped nothing is looked at.
        assert!(of_fields(&[&all[..], &[(0x0099, b"x"), (0x0099, b"y")]].concat()).is_ok());
    }

    #[test]
    fn texts_are_as_long_as_the_protocol_allows_and_no_longer() {
        let new = |cluster: usize, name: usize, address: usize| {
            let [cluster, name, address] = [cluster, name, address].map(|len| "x".repeat(len));
            Hello::new(&cluster, &name, 1, &address, &NodeConfig::default())
        };
        let longest = new(CLUSTER_NAME_BYTES_MAX, NAME_BYTES_MAX, ADDRESS_BYTES_MAX).unwrap();
        assert_eq!(Hello::read(&mut written(&longest)).unwrap(), Some(longest.clone()));
        let shortest = new(0, 1, 0).unwrap();
        assert_eq!(Hello::read(&mut written(&shortest)).unwrap(), Some(shortest));
        for (cluster, name, address) in
            [(0, 0, 0), (0, NAME_BYTES_MAX + 1, 0), (CLUSTER_NAME_BYTES_MAX + 1, 1, 0), (0, 1, ADDRESS_BYTES_MAX + 1)]
        {
            let refused = new(cluster, name, address);
            assert!(refused.is_err(), "{cluster} {name} {address}");
        }

        // The other side may not have asked `Hello::new`.
        let long = [
            Hello { cluster: "x".repeat(CLUSTER_NAME_BYTES_MAX + 1), ..longest.clone() },
            Hello { name: "x".repeat(NAME_BYTES_MAX + 1), ..longest.clone() },
            Hello { name: String::new(), ..longest.clone() },
            Hello { address: "x".repeat(ADDRESS_BYTES_MAX + 1), ..longest },
        ];
        for hello in long {
            assert!(matches!(Hello::read(&mut written(&hello)), Err(HandshakeError::Malformed(_))));
        }
    }

    #[test]
    fn hello_is_as_long_as_the_protocol_allows_and_no_longer() {
        let padded = |len: usize| {
            let mut bytes = written(&hello());
            let value = len - (bytes.len() - PREAMBLE_BYTES) - 4;
            bytes.put_u16_le(0x0099);
            bytes.put_u16_le(value as u16);
            bytes.put_bytes(0, value);
            bytes[8..12].copy_from_slice(&(len as u32).to_le_bytes());
            Hello::read(&mut bytes)
        };
        assert_eq!(padded(HELLO_BYTES_MAX).unwrap(), Some(hello()));
        assert!(matches!(padded(HELLO_BYTES_MAX + 1), Err(HandshakeError::Malformed(_))));
    }

    #[test]
    fn each_byte_of_the_preamble_that_means_nothing_yet_must_be_zero() {
        for at in [6, 7, 12, 13, 14, 15] {
            let mut bytes = written(&hello());
            bytes[at] = 1;
            assert!(matches!(Hello::read(&mut bytes), Err(HandshakeError::Unsupported(_))), "byte {at}");
        }
    }

    #[test]
    fn incarnation_beyond_the_last_is_refused() {
        let last = Hello { incarnation: INCARNATION_MAX, ..hello() };
        assert_eq!(Hello::read(&mut written(&last)).unwrap(), Some(last));
        for incarnation in [INCARNATION_MAX + 1, u64::MAX] {
            let beyond = Hello { incarnation, ..hello() };
            assert!(matches!(Hello::read(&mut written(&beyond)), Err(HandshakeError::Malformed(_))));
        }
    }

    proptest! {
        #[test]
        fn hello_comes_back(cluster in "[a-z]{0,20}", name in "[a-z]{1,40}", incarnation in 0..=INCARNATION_MAX, address in ".{0,20}") {
            let hello = Hello::new(&cluster, &name, incarnation, &address, &NodeConfig::default()).unwrap();
            prop_assert_eq!(Hello::read(&mut written(&hello)).unwrap(), Some(hello));
        }

        #[test]
        fn any_bytes_are_read_or_refused(fields in prop::collection::vec(any::<u8>(), 0..200)) {
            let mut bytes = BytesMut::from(&b"POSS\x01\x01\0\0"[..]);
            bytes.put_u32_le(fields.len() as u32);
            bytes.put_u32_le(0);
            bytes.put_slice(&fields);
            let _ = Hello::read(&mut bytes);
        }
    }
}
