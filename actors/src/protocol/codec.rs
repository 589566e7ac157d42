//! User data as bytes: serde and bincode, integers of fixed size, little-endian. No other file names the codec.
//!
//! Decoding is bounded in bytes, depth, elements and memory, takes the input to its end, and survives a panic of user code.

use super::decode_limits::{Budget, Guarded};
use super::scope;
use posse_core::task::catch;
use posse_wire::MESSAGE_BYTES_CEILING;
use serde::de::{DeserializeOwned, DeserializeSeed, Deserializer};
use serde::{Deserialize, Serialize, Serializer};
use std::any::Any;
use std::fmt;
use std::marker::PhantomData;

type Config = bincode::config::Configuration<
    bincode::config::LittleEndian,
    bincode::config::Fixint,
    bincode::config::Limit<{ MESSAGE_BYTES_CEILING as usize }>,
>;

const CONFIG: Config = bincode::config::legacy().with_limit::<{ MESSAGE_BYTES_CEILING as usize }>();

/// Why a value could not be encoded or decoded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct CodecError(String);

impl fmt::Display for CodecError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Appends the bytes of a value.
#[inline]
pub(crate) fn encode<T: Serialize + 'static>(value: &T, out: &mut Vec<u8>) -> Result<(), CodecError> {
    match (value as &dyn Any).downcast_ref::<Vec<u8>>() {
        Some(list) => encode_any(&Bulk(list), out),
        None => encode_any(value, out),
    }
}

fn encode_any<T: Serialize>(value: &T, out: &mut Vec<u8>) -> Result<(), CodecError> {
    let encoded = catch(|| bincode::serde::encode_into_std_write(value, out, CONFIG));
    match encoded {
        Ok(Ok(_)) => Ok(()),
        Ok(Err(error)) => Err(CodecError(text_of_encode(error))),
        Err(panic) => Err(CodecError(panicked(&panic))),
    }
}

/// Reads a value, which takes all of the bytes.
#[inline]
pub(crate) fn decode<T: DeserializeOwned + 'static>(bytes: &[u8]) -> Result<T, CodecError> {
    let mut list = None::<T>;
    if let Some(list) = (&mut list as &mut dyn Any).downcast_mut::<Option<Vec<u8>>>() {
        *list = Some(decode_any::<Bulk<Vec<u8>>>(bytes)?.0);
    }
    match list {
        Some(list) => Ok(list),
        None => decode_any(bytes),
    }
}

fn decode_any<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, CodecError> {
    let memory_max = scope::decoded_bytes_max();
    let budget = Budget::new(bytes.len(), size_of::<T>(), memory_max.unwrap_or(usize::MAX));
    let seed = Seed::<T> { budget: &budget, value: PhantomData };
    let decoded = catch(|| bincode::serde::seed_decode_from_slice(seed, bytes, CONFIG));
    match decoded {
        Ok(Ok((value, read))) if read == bytes.len() => Ok(value),
        Ok(Ok(_)) => Err(CodecError("bytes are left over".to_owned())),
        Ok(Err(error)) => Err(CodecError(text_of_decode(error))),
        Err(panic) => Err(CodecError(panicked(&panic))),
    }
}

/// A list of bytes that is written and read in one go; serde would hand them over one by one. The bytes are the same.
struct Bulk<T>(T);

impl Serialize for Bulk<&Vec<u8>> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        byte_list::serialize(self.0, serializer)
    }
}

impl<'de> Deserialize<'de> for Bulk<Vec<u8>> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        byte_list::deserialize(deserializer).map(Self)
    }
}

/// For fields of the type `Vec<u8>`; `#[posse::protocol]` writes `#[serde(with = ..)]` for them.
pub mod byte_list {
    use super::{Deserializer, Serializer};
    use serde::de::{SeqAccess, Visitor};
    use std::fmt;

    /// Writes the bytes in one go.
    pub fn serialize<S: Serializer>(list: &[u8], serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_bytes(list)
    }

    /// Reads the bytes in one go, or one by one from a format that has no bytes.
    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<u8>, D::Error> {
        deserializer.deserialize_bytes(ByteList)
    }

    struct ByteList;

    impl<'de> Visitor<'de> for ByteList {
        type Value = Vec<u8>;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("bytes")
        }

        fn visit_bytes<E>(self, bytes: &[u8]) -> Result<Vec<u8>, E> {
            Ok(bytes.to_vec())
        }

        fn visit_byte_buf<E>(self, bytes: Vec<u8>) -> Result<Vec<u8>, E> {
            Ok(bytes)
        }

        fn visit_seq<A: SeqAccess<'de>>(self, mut access: A) -> Result<Vec<u8>, A::Error> {
            let mut bytes = Vec::new();
            while let Some(byte) = access.next_element()? {
                bytes.push(byte);
            }
            Ok(bytes)
        }
    }
}

fn panicked(panic: &str) -> String {
    format!("it panicked: {panic}")
}

fn text_of_encode(error: bincode::error::EncodeError) -> String {
    match error {
        bincode::error::EncodeError::OtherString(text) => text,
        other => other.to_string(),
    }
}

fn text_of_decode(error: bincode::error::DecodeError) -> String {
    match error {
        bincode::error::DecodeError::OtherString(text) => text,
        other => other.to_string(),
    }
}

struct Seed<'b, T> {
    budget: &'b Budget,
    value: PhantomData<T>,
}

impl<'de, T: Deserialize<'de>> DeserializeSeed<'de> for Seed<'_, T> {
    type Value = T;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<T, D::Error> {
        T::deserialize(Guarded::new(deserializer, self.budget))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
    enum Sample {
        Unit,
        Pair(u8, i64),
        Named { text: String, list: Vec<Option<u16>>, map: std::collections::BTreeMap<String, f64> },
        Deep(Box<Sample>),
    }

    fn encoded<T: Serialize + 'static>(value: &T) -> Vec<u8> {
        let mut out = Vec::new();
        encode(value, &mut out).unwrap();
        out
    }

    #[test]
    fn values_have_their_golden_bytes() {
        assert_eq!(encoded(&(1_u8, 2_u16, 3_u32, -1_i64)), [&[1, 2, 0, 3, 0, 0, 0][..], &[0xff; 8]].concat());
        assert_eq!(encoded(&"hi"), [2, 0, 0, 0, 0, 0, 0, 0, b'h', b'i']);
        assert_eq!(encoded(&Some(true)), [1, 1]);
        assert_eq!(encoded(&Sample::Pair(7, 1)), [1, 0, 0, 0, 7, 1, 0, 0, 0, 0, 0, 0, 0]);
        assert_eq!(encoded(&vec![(); 3]), [3, 0, 0, 0, 0, 0, 0, 0]);
        assert_eq!(encoded(&1.5_f32), [0, 0, 0xc0, 0x3f]);
    }

    #[test]
    fn depth_is_bounded() {
        let nested = |levels| (0..levels).fold(Sample::Unit, |inner, _| Sample::Deep(Box::new(inner)));
        assert_eq!(decode::<Sample>(&encoded(&nested(100))).unwrap(), nested(100));
        let bomb: Vec<u8> = [3, 0, 0, 0].repeat(1_000_000);
        assert_eq!(decode::<Sample>(&bomb).unwrap_err().to_string(), "nested deeper than 128 levels");
    }

    #[test]
    fn depth_is_that_of_the_deepest_whatever_is_beside_it() {
        let nested = |levels| (0..levels).fold(Sample::Unit, |inner, _| Sample::Deep(Box::new(inner)));
        let decodes = |beside: &Vec<Sample>, levels| {
            decode::<(Vec<Sample>, Sample)>(&encoded(&(beside.clone(), nested(levels)))).is_ok()
        };
        let (none, many) = (Vec::new(), vec![nested(3); 1000]);
        let deepest = (0..200).take_while(|&levels| decodes(&none, levels)).count() - 1;
        assert!(decodes(&many, deepest), "the depth of what is beside it was not given back");
        assert!(!decodes(&many, deepest + 1), "more depth was given back than taken");
    }

    #[test]
    fn elements_are_bounded_to_the_very_last() {
        // One of them is the look that finds the end.
        let room = 8 * 16 + 4096 - 1_u64;
        assert_eq!(decode::<Vec<()>>(&room.to_le_bytes()).unwrap().len() as u64, room);
        assert!(decode::<Vec<()>>(&(room + 1).to_le_bytes()).is_err());
    }

    #[test]
    fn types_with_a_form_for_people_are_written_in_the_other_one() {
        let address = std::net::Ipv4Addr::LOCALHOST;
        assert_eq!(encoded(&address), [127, 0, 0, 1]);
        assert_eq!(decode::<std::net::Ipv4Addr>(&[127, 0, 0, 1]).unwrap(), address);
    }

    /// A list that takes its size for each byte, whatever is in it; and how much that is.
    #[test]
    fn memory_is_bounded_and_a_sparse_list_is_not_refused() {
        type Sparse<T> = Vec<Option<T>>;
        fn sparse<T: DeserializeOwned + 'static>(len: usize) -> Result<T, CodecError> {
            decode::<T>(&[&(len as u64).to_le_bytes()[..], &vec![0; len]].concat())
        }
        let list = sparse::<Sparse<[u64; 16]>>(100_000).unwrap();
        assert!(list.len() == 100_000 && list.iter().all(Option::is_none));

        let len = 1024 * 1024;
        let bound = format!("it takes more than {} bytes of memory", (len + 8) * 32 + 16 * 1024 * 1024);
        assert_eq!(sparse::<Sparse<[u64; 16]>>(len).unwrap_err().to_string(), bound);
        assert!(sparse::<Sparse<u64>>(len).is_ok());
        // Wherever the size is hidden: in a struct, a pointer, a map, a variant.
        #[derive(Debug, Deserialize)]
        #[expect(dead_code, reason = "only its size matters")]
        struct Fields(u8, Option<[u64; 16]>);
        #[derive(Debug, Deserialize)]
        #[expect(dead_code, clippy::large_enum_variant, reason = "only its size matters")]
        enum Variants {
            Small,
            Large([u64; 32]),
        }
        let refused = |error: CodecError| error.to_string().starts_with("it takes more than");
        let half = ((len / 2) as u64).to_le_bytes();
        let bytes = [&half[..], &vec![0; len]].concat();
        assert!(decode::<Vec<Fields>>(&bytes).is_err_and(refused));
        assert!(sparse::<Vec<Box<Option<[u64; 16]>>>>(len).is_err_and(refused));
        let quarter = ((len / 4) as u64).to_le_bytes();
        let bytes = [&quarter[..], &vec![0; len]].concat();
        assert!(decode::<Vec<Variants>>(&bytes).is_err_and(refused));
        let pairs: Vec<u8> = (0..len as u32 / 5).flat_map(|n| [&n.to_le_bytes()[..], &[0]].concat()).collect();
        let bytes = [&((len / 5) as u64).to_le_bytes()[..], &pairs].concat();
        assert!(decode::<std::collections::BTreeMap<u32, Option<[u64; 32]>>>(&bytes).is_err_and(refused));
    }

    /// What lies in the place of the value around it is counted once, however deep it lies.
    #[test]
    fn memory_is_counted_once() {
        type Deep = (((((u64, u64), u64), u64), Option<(u64, [u8; 8])>), Vec<Option<Box<(u64, u64)>>>);
        let one: Deep = (((((1, 2), 3), 4), Some((5, [6; 8]))), vec![Some(Box::new((7, 8))), None, None, None]);
        let bytes = encoded(&vec![one.clone(); 4]);
        // Lists of four are as long as one that grows from nothing would be.
        let heap = 4 * (size_of::<Deep>() + 4 * 8 + 16);
        let decode = |memory| {
            let budget = Budget::new(bytes.len(), size_of::<Vec<Deep>>(), memory);
            let seed = Seed::<Vec<Deep>> { budget: &budget, value: PhantomData };
            let decoded = bincode::serde::seed_decode_from_slice(seed, &bytes, CONFIG);
            decoded.map(|(decoded, _)| (decoded, budget.charged()))
        };
        assert_eq!(decode(heap).unwrap(), (vec![one; 4], heap));
        assert!(decode(heap - 1).is_err());
    }

    #[test]
    fn elements_without_size_are_bounded() {
        let bomb = u64::MAX.to_le_bytes();
        assert!(decode::<Vec<()>>(&bomb).is_err());
        let bomb = (u64::from(MESSAGE_BYTES_CEILING) - 8).to_le_bytes();
        assert_eq!(decode::<Vec<()>>(&bomb).unwrap_err().to_string(), "more elements than its bytes can hold");
    }

    #[test]
    fn list_of_bytes_is_read_and_written_in_one_go_as_the_same_bytes() {
        #[derive(Serialize, Deserialize)]
        struct Field(#[serde(with = "byte_list")] Vec<u8>);
        let list: Vec<u8> = (0..=255).collect();
        let one_by_one = encoded(&list.iter().map(|byte| (*byte,)).collect::<Vec<_>>());
        assert_eq!(encoded(&list), one_by_one);
        assert_eq!(encoded(&Field(list.clone())), one_by_one);
        assert_eq!(decode::<Vec<u8>>(&one_by_one).unwrap(), list);
        assert_eq!(decode::<Field>(&one_by_one).unwrap().0, list);
        assert!(decode::<Vec<u8>>(&one_by_one[..200]).is_err());
        assert!(decode::<Vec<u8>>(&u64::MAX.to_le_bytes()).is_err());
        assert!(decode::<Field>(&[one_by_one, vec![0]].concat()).is_err());
    }

    #[test]
    fn depth_is_given_back_between_siblings() {
        let siblings = vec![vec![vec![1_u8]]; 1000];
        assert_eq!(decode::<Vec<Vec<Vec<u8>>>>(&encoded(&siblings)).unwrap(), siblings);
        let deep: Vec<Sample> = vec![Sample::Deep(Box::new(Sample::Deep(Box::new(Sample::Unit)))); 200];
        assert_eq!(decode::<Vec<Sample>>(&encoded(&deep)).unwrap(), deep);
    }

    #[test]
    fn announced_lengths_allocate_nothing() {
        for len in [1 << 20, 1 << 40, u64::MAX] {
            assert!(decode::<Vec<u64>>(&len.to_le_bytes()).is_err());
            assert!(decode::<String>(&len.to_le_bytes()).is_err());
        }
    }

    #[test]
    fn bytes_left_over_are_an_error() {
        assert_eq!(decode::<u8>(&[1, 2]).unwrap_err().to_string(), "bytes are left over");
    }

    #[test]
    fn panic_of_user_code_is_an_error() {
        #[derive(Debug)]
        struct Touchy;
        impl<'de> Deserialize<'de> for Touchy {
            fn deserialize<D: Deserializer<'de>>(_: D) -> Result<Self, D::Error> {
                panic!("ouch")
            }
        }
        assert_eq!(decode::<Touchy>(&[]).unwrap_err().to_string(), "it panicked: ouch");
    }

    fn samples() -> impl Strategy<Value = Sample> {
        let list = prop::collection::vec(prop::option::of(any::<u16>()), 0..10);
        let map = prop::collection::btree_map("[a-z]{0,5}", -1e9..1e9, 0..5);
        let leaf = prop_oneof![
            Just(Sample::Unit),
            any::<(u8, i64)>().prop_map(|(a, b)| Sample::Pair(a, b)),
            (".{0,20}", list, map).prop_map(|(text, list, map)| Sample::Named { text, list, map }),
        ];
        leaf.prop_recursive(4, 16, 1, |inner| inner.prop_map(|inner| Sample::Deep(Box::new(inner))))
    }

    proptest! {
        #[test]
        fn values_come_back(sample in samples()) {
            prop_assert_eq!(decode::<Sample>(&encoded(&sample)).unwrap(), sample);
        }

        #[test]
        fn any_bytes_are_decoded_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            let _ = decode::<Sample>(&bytes);
            let _ = decode::<Vec<Sample>>(&bytes);
        }
    }
}
