//! User data as bytes: serde and bincode, integers of fixed size, little-endian. No other file names the codec.
//!
//! Decoding is bounded in bytes, depth and elements, takes the input to its end, and survives a panic of user code.
//! References to actors are written and read inside of a *scope*, which knows the node and whom it talks to.

use super::core::Core;
use super::depth::{Budget, Guarded};
use super::remote::RemoteRef;
use crate::actor_ref::Repr;
use posse_core::task::panic_message;
use posse_wire::{Introduction, MESSAGE_BYTES_CEILING, WireRef};
use serde::de::{DeserializeOwned, DeserializeSeed, Deserializer};
use serde::{Deserialize, Serialize};
use std::cell::RefCell;
use std::fmt;
use std::marker::PhantomData;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

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
pub(crate) fn encode<T: Serialize>(value: &T, out: &mut Vec<u8>) -> Result<(), CodecError> {
    let encoded = catch_unwind(AssertUnwindSafe(|| bincode::serde::encode_into_std_write(value, out, CONFIG)));
    match encoded {
        Ok(Ok(_)) => Ok(()),
        Ok(Err(error)) => Err(CodecError(text_of_encode(error))),
        Err(panic) => Err(CodecError(panicked(panic))),
    }
}

/// Reads a value, which takes all of the bytes.
pub(crate) fn decode<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, CodecError> {
    let budget = Budget::new(bytes.len());
    let seed = Seed::<T> { budget: &budget, value: PhantomData };
    let decoded = catch_unwind(AssertUnwindSafe(|| bincode::serde::seed_decode_from_slice(seed, bytes, CONFIG)));
    match decoded {
        Ok(Ok((value, read))) if read == bytes.len() => Ok(value),
        Ok(Ok(_)) => Err(CodecError("bytes are left over".to_owned())),
        Ok(Err(error)) => Err(CodecError(text_of_decode(error))),
        Err(panic) => Err(CodecError(panicked(panic))),
    }
}

fn panicked(panic: Box<dyn std::any::Any + Send>) -> String {
    format!("it panicked: {}", panic_message(panic))
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

struct Scope {
    core: Arc<Core>,
    /// Third nodes that were mentioned and may have to be introduced.
    mentioned: Vec<Introduction>,
}

thread_local! {
    static SCOPE: RefCell<Option<Scope>> = const { RefCell::new(None) };
}

/// Puts the former scope back, also when user code panics.
struct Restore(Option<Scope>);

impl Drop for Restore {
    fn drop(&mut self) {
        SCOPE.set(self.0.take());
    }
}

/// Runs `f` so that references can be written and read. Returns the third nodes that were mentioned.
pub(super) fn within<R>(core: &Arc<Core>, f: impl FnOnce() -> R) -> (R, Vec<Introduction>) {
    let _restore = Restore(SCOPE.replace(Some(Scope { core: core.clone(), mentioned: Vec::new() })));
    let result = f();
    let mentioned = SCOPE.with_borrow_mut(|scope| scope.as_mut().map(|scope| std::mem::take(&mut scope.mentioned)));
    (result, mentioned.unwrap_or_default())
}

const OUTSIDE: &str = "an `ActorRef` travels only in a message to another node";

/// A reference as it is written.
pub(crate) fn export(repr: &Repr) -> Result<WireRef, &'static str> {
    SCOPE.with_borrow_mut(|scope| {
        let scope = scope.as_mut().ok_or(OUTSIDE)?;
        match repr {
            Repr::Local(served) => Ok(scope.core.export(served)),
            Repr::Remote(remote) => {
                scope.mentioned.push(remote.peer().introduction());
                Ok(remote.wire())
            }
            Repr::Gone(wire) => Ok(*wire),
        }
    })
}

/// A reference as it was read.
pub(crate) fn import(wire: WireRef, protocol: u64) -> Result<Repr, &'static str> {
    SCOPE.with_borrow(|scope| {
        let scope = scope.as_ref().ok_or(OUTSIDE)?;
        if wire.protocol != protocol {
            return Err("a reference of another protocol");
        }
        if wire.node != scope.core.id() {
            return Ok(Repr::Remote(RemoteRef::new(scope.core.peer(wire.node), wire.key, protocol)));
        }
        Ok(match scope.core.exported(wire.key) {
            Some(served) if served.protocol() == protocol => Repr::Local(served),
            _ => Repr::Gone(wire),
        })
    })
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

    fn encoded<T: Serialize>(value: &T) -> Vec<u8> {
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
        let decodes =
            |beside: &Vec<Sample>, levels| decode::<(Vec<Sample>, Sample)>(&encoded(&(beside, nested(levels)))).is_ok();
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

    #[test]
    fn elements_without_size_are_bounded() {
        let bomb = u64::MAX.to_le_bytes();
        assert!(decode::<Vec<()>>(&bomb).is_err());
        let bomb = (u64::from(MESSAGE_BYTES_CEILING) - 8).to_le_bytes();
        assert_eq!(decode::<Vec<()>>(&bomb).unwrap_err().to_string(), "more elements than its bytes can hold");
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
