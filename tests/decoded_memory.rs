//! What a message takes decoded against what is charged for it, with an allocator that counts: at no moment more than twice
//! as much, whatever the shape.
//!
//! One test, so that nothing else allocates in the process.
#![allow(missing_docs, clippy::unwrap_used)]
#![expect(clippy::disallowed_types, reason = "messages of programs have them")]

#[path = "../actors/src/protocol/decode_limits.rs"]
mod decode_limits;

use decode_limits::{Budget, Guarded, REFERENCE, made_aside};
use serde::de::{DeserializeOwned, DeserializeSeed, Deserializer, SeqAccess, Visitor};
use serde::{Deserialize, Serialize};
use std::alloc::{GlobalAlloc, Layout, System};
use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet, LinkedList, VecDeque};
use std::fmt;
use std::marker::PhantomData;
use std::rc::Rc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// The system's allocator, and what of it is in use.
struct Counting;

static LIVE: AtomicUsize = AtomicUsize::new(0);
static PEAK: AtomicUsize = AtomicUsize::new(0);

fn count(more: usize, less: usize) {
    let live = LIVE.fetch_add(more, Ordering::Relaxed) + more;
    PEAK.fetch_max(live - less, Ordering::Relaxed);
    LIVE.fetch_sub(less, Ordering::Relaxed);
}

// SAFETY: All is left to the system's allocator, which keeps the contract; the counts touch none of the memory.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count(layout.size(), 0);
        // SAFETY: The caller's promise is passed on.
        unsafe { System.alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        count(layout.size(), 0);
        // SAFETY: The caller's promise is passed on.
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn dealloc(&self, at: *mut u8, layout: Layout) {
        count(0, layout.size());
        // SAFETY: The caller's promise is passed on.
        unsafe { System.dealloc(at, layout) }
    }

    unsafe fn realloc(&self, at: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        count(size, layout.size());
        // SAFETY: The caller's promise is passed on.
        unsafe { System.realloc(at, layout, size) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// As messages are decoded: integers of fixed size, little-endian.
const CONFIG: bincode::config::Configuration<bincode::config::LittleEndian, bincode::config::Fixint> =
    bincode::config::legacy();

/// As [`posse::cluster::NodeConfig::decoded_bytes_max`] has it.
const MEMORY_MAX: usize = 128 * 1024 * 1024;

struct Seed<'b, T>(&'b Budget, PhantomData<T>);

impl<'de, T: Deserialize<'de>> DeserializeSeed<'de> for Seed<'_, T> {
    type Value = T;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<T, D::Error> {
        T::deserialize(Guarded::new(deserializer, self.0))
    }
}

struct Outcome<T> {
    decoded: Result<T, String>,
    /// The most that was in use, and what was charged.
    peak: usize,
    charged: usize,
}

fn decode<T: DeserializeOwned>(bytes: &[u8], memory_max: usize) -> Outcome<T> {
    let budget = Budget::new(bytes.len(), size_of::<T>(), memory_max);
    let before = LIVE.load(Ordering::Relaxed);
    PEAK.store(before, Ordering::Relaxed);
    let decoded = bincode::serde::seed_decode_from_slice(Seed(&budget, PhantomData::<T>), bytes, CONFIG);
    let peak = PEAK.load(Ordering::Relaxed) - before;
    let decoded = decoded.map(|(decoded, _)| decoded).map_err(|error| error.to_string());
    Outcome { decoded, peak, charged: budget.charged() }
}

/// A text that says why it was refused.
const SLACK: usize = 1024;

/// Decodes a hostile shape, with much memory and with little. Prints what it took of each byte.
fn hostile<T: DeserializeOwned>(shape: &str, bytes: &[u8]) {
    for memory_max in [MEMORY_MAX, 3 * 1024 * 1024] {
        let Outcome { decoded, peak, charged } = decode::<T>(bytes, memory_max);
        let refused = decoded.as_ref().err();
        println!("{shape}: {} bytes, {peak} in use, {charged} charged, refused: {refused:?}", bytes.len());
        assert!(peak <= 2 * charged + SLACK, "{shape}: {peak} bytes in use, {charged} charged");
        assert!(peak <= 2 * memory_max + SLACK, "{shape}: {peak} bytes in use");
    }
}

/// An honest shape, which must pass, and the same holds for it.
fn honest<T: DeserializeOwned + Serialize + PartialEq>(shape: &str, value: &T) {
    let bytes = encoded(value);
    let Outcome { decoded, peak, charged } = decode::<T>(&bytes, MEMORY_MAX);
    println!("{shape}: {} bytes, {peak} in use, {charged} charged", bytes.len());
    assert!(decoded.as_ref() == Ok(value), "{shape}: {:?}", decoded.err());
    assert!(peak <= 2 * charged + SLACK, "{shape}: {peak} bytes in use, {charged} charged");
}

fn encoded<T: Serialize>(value: &T) -> Vec<u8> {
    bincode::serde::encode_to_vec(value, CONFIG).unwrap()
}

/// A list that repeats one element as often as a message of 2 MiB holds.
fn many(element: &[u8]) -> Vec<u8> {
    let count = 2 * 1024 * 1024 / element.len();
    [&(count as u64).to_le_bytes()[..], &element.repeat(count)].concat()
}

/// A list or map of one element or entry of zeros.
fn one(bytes: usize) -> Vec<u8> {
    [&1_u64.to_le_bytes()[..], &vec![0; bytes]].concat()
}

/// Distinct numbers in a list that a map or set is read from.
fn numbers(count: u64, order: impl Fn(u64) -> u64, value: &[u8]) -> Vec<u8> {
    let entries = (0..count).flat_map(|n| [&order(n).to_le_bytes()[..], value].concat());
    count.to_le_bytes().into_iter().chain(entries).collect()
}

/// `Rc` as serde reads it with its feature `rc`.
struct Shared<T>(#[expect(dead_code, reason = "only its size matters")] Rc<T>);

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Shared<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        T::deserialize(deserializer).map(|value| Self(Rc::new(value)))
    }
}

/// A struct of one field, of which serde does not say what it is.
#[derive(Deserialize)]
struct Wrapped<T>(T);

#[derive(Clone, Serialize, Deserialize, PartialEq)]
struct Id(u64);

#[derive(Clone, Serialize, Deserialize, PartialEq)]
struct MaybeId(Option<u64>);

/// As deep as one likes, a byte a level.
#[derive(Deserialize)]
struct Chain(#[expect(dead_code, reason = "only its size matters")] Option<Box<Chain>>);

#[derive(Deserialize)]
struct Nest(#[expect(dead_code, reason = "only its size matters")] Vec<Nest>);

#[derive(Deserialize)]
struct Boxes {
    #[expect(dead_code, reason = "only its size matters")]
    small: Box<u8>,
    #[expect(dead_code, reason = "only its size matters")]
    shared: Shared<u8>,
    #[expect(dead_code, reason = "only its size matters")]
    absent: Box<Option<[u64; 16]>>,
}

/// As a reference to an actor is read: what its four words lead to is an allocation beside it.
struct Reference(#[expect(dead_code, reason = "only its size matters")] Rc<[u64; 64]>);

impl<'de> Deserialize<'de> for Reference {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_tuple_struct(REFERENCE, 4, Words)
    }
}

struct Words;

impl<'de> Visitor<'de> for Words {
    type Value = Reference;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("four words")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut access: A) -> Result<Reference, A::Error> {
        while access.next_element::<u64>()?.is_some() {}
        made_aside(size_of::<[u64; 64]>() + 2 * size_of::<usize>());
        Ok(Reference(Rc::new([0; 64])))
    }
}

fn hostile_shapes() {
    type Large = Option<[u64; 16]>;
    hostile::<Vec<BTreeMap<u64, Large>>>("maps of one entry", &many(&one(9)));
    hostile::<Vec<BTreeMap<u8, u8>>>("maps of one small entry", &many(&one(2)));
    hostile::<Vec<HashMap<u8, Large>>>("hash maps of one entry", &many(&one(2)));
    hostile::<Vec<HashSet<u8>>>("hash sets of one byte", &many(&one(1)));
    hostile::<Vec<BTreeSet<Large>>>("sets of one absent", &many(&one(1)));
    hostile::<Vec<BTreeSet<u8>>>("sets of one byte", &many(&one(1)));
    hostile::<Vec<VecDeque<Large>>>("deques of one absent", &many(&one(1)));
    hostile::<Vec<LinkedList<u8>>>("linked lists of one byte", &many(&one(1)));
    hostile::<LinkedList<u8>>("a linked list of bytes", &many(&[0]));
    hostile::<Vec<Vec<u8>>>("lists of one byte", &many(&one(1)));
    hostile::<Vec<Vec<Large>>>("lists of one absent", &many(&one(1)));
    hostile::<Vec<String>>("texts of one letter", &many(&one(1)));
    hostile::<Vec<Box<u8>>>("boxes of a byte", &many(&[0]));
    hostile::<Vec<Box<Box<Large>>>>("boxes of boxes", &many(&[0]));
    hostile::<Vec<Option<Box<u64>>>>("boxes that may be absent", &many(&[1, 0, 0, 0, 0, 0, 0, 0, 0]));
    hostile::<Vec<Shared<u8>>>("shared bytes", &many(&[0]));
    hostile::<Vec<Boxes>>("boxes in structs", &many(&[0, 0, 0]));
    hostile::<Vec<Wrapped<Shared<u64>>>>("shared numbers in structs of one field", &many(&[0; 8]));
    hostile::<Vec<Wrapped<Wrapped<Box<Large>>>>>("boxes in structs of one field, twice", &many(&[0]));
    hostile::<Vec<Option<Wrapped<Shared<u8>>>>>("shared bytes in structs that may be absent", &many(&[1, 0]));
    hostile::<Vec<Reference>>("references", &many(&[0; 32]));
    hostile::<Vec<Option<Box<Reference>>>>("boxed references", &many(&[1; 33]));
    hostile::<Vec<Chain>>("chains", &many(&[&[1; 50][..], &[0]].concat()));
    let ascending = numbers(100_000, |n| n, &[0]);
    hostile::<BTreeMap<u64, Large>>("a map that is filled in order", &ascending);
    let spread = numbers(100_000, |n| n.wrapping_mul(0x9e37_79b9_7f4a_7c15), &[]);
    hostile::<BTreeSet<u64>>("a set that is filled at random", &spread);
    hostile::<HashSet<u64>>("a hash set that grows", &spread);
    hostile::<HashMap<u64, u8>>("a hash map that grows", &numbers(150_000, |n| n, &[0]));
    // Claims, with nothing behind them.
    for claim in [u64::MAX, 1 << 40, 40_000] {
        let claim = claim.to_le_bytes();
        hostile::<Nest>("nested claims", &claim.repeat(60));
        hostile::<Nest>("nested claims before much else", &[claim.repeat(60), vec![0; 256 * 1024]].concat());
        hostile::<Vec<Vec<Vec<Vec<BTreeMap<u8, HashMap<u8, String>>>>>>>("lists that claim", &claim.repeat(4));
        hostile::<Vec<HashMap<u64, u64>>>("maps that claim", &claim.repeat(40));
        hostile::<String>("a text that claims", &claim);
        hostile::<Vec<String>>("texts that claim", &claim.repeat(2));
    }
}

fn honest_shapes() {
    honest("100,000 absent", &vec![None::<[u64; 16]>; 100_000]);
    honest("numbers", &(0..1_000_000_u32).collect::<Vec<_>>());
    honest("numbers in structs of one field", &(0..1_000_000).map(Id).collect::<Vec<_>>());
    honest("absent ones in structs of one field", &vec![MaybeId(None); 100_000]);
    honest("bytes", &vec![7_u8; 15 * 1024 * 1024]);
    honest("a hash map of 100,000", &(0..100_000_u64).map(|n| (n, n)).collect::<HashMap<_, _>>());
    honest("a map of 100,000", &(0..100_000_u32).map(|n| (n, n as u8)).collect::<BTreeMap<_, _>>());
    let texts: Vec<String> = (0..100_000).map(|n| n.to_string()).collect();
    honest("texts", &texts);
    let records: Vec<BTreeMap<String, u64>> =
        texts.iter().map(|text| [(text.clone(), 1), ("another key".to_owned(), 2)].into()).collect();
    honest("records", &records);
    honest("lists of a few bytes", &vec![vec![1_u8, 2, 3]; 100_000]);
    honest("a text", &"x".repeat(15 * 1024 * 1024));
}

#[test]
fn no_shape_takes_more_than_twice_what_is_charged_for_it() {
    hostile_shapes();
    honest_shapes();
}
