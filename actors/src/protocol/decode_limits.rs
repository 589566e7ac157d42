//! Bounds on what bytes from another node can make a decoder do: how deep it recurses, how many elements it makes, how much
//! memory they take.
//!
//! A recursive type costs stack for a few bytes a level, elements of no size cost time for no bytes at all, and one that is
//! mostly absent takes its whole size for a byte. All three are counted here, around any deserializer.
//!
//! Memory is counted where it is had, and before it is had: the elements of a list or map as many as it claims to have, a
//! text by its length, and a value that lies behind a pointer. What goes into the place of the value around it costs nothing
//! more. What is counted is never less than half of what collections and pointers ask an allocator for.
//!
//! Which collection or pointer it is serde does not say, so it is told by the name of the type: a `Vec` and a `Box` are
//! counted exactly, whatever else by the worst that the standard library has. A name that is not known costs more, never less:
//! so does that of a struct of one field. What is not seen is what a `Deserialize` written by hand makes besides what it reads:
//! that of a reference to an actor says it itself, see [`REFERENCE`].

use serde::de::{DeserializeSeed, Deserializer, EnumAccess, Error, MapAccess, SeqAccess, VariantAccess, Visitor};
use std::any::type_name;
use std::cell::Cell;
use std::fmt;

/// Levels of a message. Specified; serde_json's bound too.
const DEPTH_MAX: u32 = 128;

/// Elements per byte: a byte gives at most one element of some size, the rest is room for elements of none. Guessed.
const ELEMENTS_PER_BYTE: u64 = 16;

/// Elements that even the shortest message may have. Guessed.
const ELEMENTS_MIN: u64 = 4096;

/// Memory per byte. An honest list of small numbers takes 1 to 3, one of large enums, most of them the smallest, 10 to 20.
const MEMORY_PER_BYTE: usize = 32;

/// Memory that even the shortest message may take: a list in which nearly everything is absent. Guessed.
const MEMORY_MIN: usize = 16 * 1024 * 1024;

/// What a collection may allocate for the length that a list claims, before its first element is seen: serde takes 1 MiB of
/// elements, and a hash map 16 places for 7 of them.
const AHEAD_BYTES: usize = 4 * 1024 * 1024;

/// What a node of a B-tree has places for, and what it holds besides. One entry takes a whole node.
const NODE_PLACES: usize = 11;
const NODE_BYTES: usize = 16;

/// What `Rc` and `Arc` count in.
const COUNTS_BYTES: usize = 16;

/// The name under which a reference to an actor is read. What it is made of besides its words is charged as it is made, by
/// [`made_aside`].
pub(crate) const REFERENCE: &str = "posse::ActorRef";

thread_local! {
    /// Bytes of memory that the reference which is being read has taken besides its place.
    static ASIDE: Cell<usize> = const { Cell::new(0) };
}

/// The reference that is being read has taken an allocation of `bytes` bytes. No effect if none is.
pub(crate) fn made_aside(bytes: usize) {
    ASIDE.set(ASIDE.get().saturating_add(bytes));
}

pub(super) struct Budget {
    depth: Cell<u32>,
    elements: Cell<u64>,
    memory: Cell<usize>,
    /// What was left of it at first.
    memory_max: usize,
    /// What is left of the place that the next value goes to.
    place: Cell<usize>,
    /// The type of the next value as what is around it has it, if that is the size of a pointer.
    pointer: Cell<Option<&'static str>>,
}

impl Budget {
    /// For a message of `bytes` bytes, which is decoded into `size` and what lies behind pointers.
    pub(super) fn new(bytes: usize, size: usize, memory_max: usize) -> Self {
        let elements = (bytes as u64).saturating_mul(ELEMENTS_PER_BYTE).saturating_add(ELEMENTS_MIN);
        let memory = bytes.saturating_mul(MEMORY_PER_BYTE).saturating_add(MEMORY_MIN).min(memory_max);
        Self {
            depth: Cell::new(DEPTH_MAX),
            elements: Cell::new(elements),
            memory: Cell::new(memory),
            memory_max: memory,
            place: Cell::new(size),
            pointer: Cell::new(None),
        }
    }

    /// Bytes of memory that were counted.
    #[cfg(test)]
    pub(super) fn charged(&self) -> usize {
        self.memory_max - self.memory.get()
    }

    fn charge<E: Error>(&self, size: usize) -> Result<(), E> {
        match self.memory.get().checked_sub(size) {
            Some(left) => {
                self.memory.set(left);
                Ok(())
            }
            None => Err(E::custom(format_args!("it takes more than {} bytes of memory", self.memory_max))),
        }
    }

    /// Bytes or a text, in an allocation of its own.
    fn charge_text<E: Error>(&self, len: usize) -> Result<(), E> {
        self.charge(len.next_multiple_of(8))
    }

    /// The next value is a `T` where it is put: a pointer, if that is another type than what is made.
    #[inline]
    fn declare<T>(&self) {
        let is_pointer = size_of::<T>() == size_of::<usize>() || size_of::<T>() == 2 * size_of::<usize>();
        self.pointer.set(is_pointer.then(type_name::<T>));
    }

    /// As [`declare`](Self::declare), of what is in an option `T`.
    #[inline]
    fn declare_some<T>(&self) {
        self.declare::<T>();
        let inner = |name: &'static str| name.strip_prefix("core::option::Option<")?.strip_suffix('>');
        self.pointer.set(self.pointer.get().and_then(inner));
    }

    /// Charges for a value of type `V` if it goes behind a pointer. Returns true if it does.
    #[inline]
    fn point<V, E: Error>(&self) -> Result<bool, E> {
        let Some(pointer) = self.pointer.take() else { return Ok(false) };
        if pointer == type_name::<V>() {
            return Ok(false);
        }
        let counts = if pointer.starts_with("alloc::boxed::Box<") { 0 } else { COUNTS_BYTES };
        self.charge(size_of::<V>() + counts)?;
        Ok(true)
    }

    /// Puts a value of type `V` into its place; what does not fit lies behind a pointer. `make` puts its parts into it.
    #[inline]
    fn put<V, R, E: Error>(&self, make: impl FnOnce() -> Result<R, E>) -> Result<R, E> {
        if self.point::<V, E>()? {
            return self.put_aside::<V, _>(make);
        }
        let (size, place) = (size_of::<V>(), self.place.get());
        if size > place {
            self.charge(size - place)?;
        }
        self.place.set(size);
        let made = make();
        self.place.set(place.saturating_sub(size));
        made
    }

    /// Makes a value in a place of its own, which is paid for.
    #[inline]
    fn put_aside<V, R>(&self, make: impl FnOnce() -> R) -> R {
        let place = self.place.replace(size_of::<V>());
        let made = make();
        self.place.set(place);
        made
    }

    fn enter<E: Error>(&self) -> Result<Level<'_>, E> {
        match self.depth.get().checked_sub(1) {
            Some(left) => {
                self.depth.set(left);
                Ok(Level(self))
            }
            None => Err(E::custom(format_args!("nested deeper than {DEPTH_MAX} levels"))),
        }
    }

    fn element<E: Error>(&self) -> Result<(), E> {
        match self.elements.get().checked_sub(1) {
            Some(left) => {
                self.elements.set(left);
                Ok(())
            }
            None => Err(E::custom("more elements than its bytes can hold")),
        }
    }
}

struct Level<'b>(&'b Budget);

impl Drop for Level<'_> {
    fn drop(&mut self) {
        self.0.depth.set(self.0.depth.get() + 1);
    }
}

/// How a list or map has its elements.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Collection {
    /// It is none: the parts have their places in the whole.
    Fixed,
    /// One beside the other, in an allocation as long as the list claims to be.
    Vec,
    /// In nodes or buckets.
    Other,
}

impl Collection {
    fn of_list<V>() -> Self {
        if type_name::<V>().starts_with("alloc::vec::Vec<") { Self::Vec } else { Self::Other }
    }

    /// What `count` elements of a size take, `besides` what there is of each.
    fn bytes(self, size: usize, besides: usize, count: usize) -> usize {
        match (self, count) {
            (Self::Fixed, _) | (_, 0) => 0,
            (Self::Vec, _) => size.saturating_mul(count),
            // The first takes a node of a tree. Of many a tree leaves half of the places free, and a hash map more while it
            // grows; an element of a linked list has two pointers.
            (Self::Other, _) => {
                let (first, each) = (NODE_PLACES * size + besides, 2 * size + besides);
                each.saturating_mul(count - 1).saturating_add(first)
            }
        }
    }
}

/// A deserializer, visitor or seed inside of the budget.
pub(super) struct Guarded<'b, T> {
    inner: T,
    budget: &'b Budget,
    /// What it visits.
    collection: Collection,
}

impl<'b, T> Guarded<'b, T> {
    pub(super) fn new(inner: T, budget: &'b Budget) -> Self {
        Self { inner, budget, collection: Collection::Fixed }
    }
}

/// What is made of one piece: it takes no more memory than some times its bytes.
macro_rules! forward_deserialize {
    ($($name:ident => $inner:ident),*) => {$(
        fn $name<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, D::Error> {
            self.budget.point::<V::Value, D::Error>()?;
            self.inner.$inner(Guarded::new(visitor, self.budget))
        }
    )*};
}

impl<'de, D: Deserializer<'de>> Deserializer<'de> for Guarded<'_, D> {
    type Error = D::Error;

    // A text that is asked for as one's own would be allocated before it is known to be there.
    forward_deserialize!(
        deserialize_any => deserialize_any,
        deserialize_bool => deserialize_bool,
        deserialize_i8 => deserialize_i8,
        deserialize_i16 => deserialize_i16,
        deserialize_i32 => deserialize_i32,
        deserialize_i64 => deserialize_i64,
        deserialize_i128 => deserialize_i128,
        deserialize_u8 => deserialize_u8,
        deserialize_u16 => deserialize_u16,
        deserialize_u32 => deserialize_u32,
        deserialize_u64 => deserialize_u64,
        deserialize_u128 => deserialize_u128,
        deserialize_f32 => deserialize_f32,
        deserialize_f64 => deserialize_f64,
        deserialize_char => deserialize_char,
        deserialize_str => deserialize_str,
        deserialize_string => deserialize_str,
        deserialize_bytes => deserialize_bytes,
        deserialize_byte_buf => deserialize_bytes,
        deserialize_unit => deserialize_unit,
        deserialize_identifier => deserialize_identifier,
        deserialize_ignored_any => deserialize_ignored_any
    );

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, D::Error> {
        let Self { inner, budget, .. } = self;
        budget.put::<V::Value, _, _>(|| inner.deserialize_option(Guarded::new(visitor, budget)))
    }

    fn deserialize_seq<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, D::Error> {
        let Self { inner, budget, .. } = self;
        let visitor = Guarded { inner: visitor, budget, collection: Collection::of_list::<V::Value>() };
        budget.put::<V::Value, _, _>(|| inner.deserialize_seq(visitor))
    }

    fn deserialize_map<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, D::Error> {
        let Self { inner, budget, .. } = self;
        let visitor = Guarded { inner: visitor, budget, collection: Collection::Other };
        budget.put::<V::Value, _, _>(|| inner.deserialize_map(visitor))
    }

    fn deserialize_unit_struct<V: Visitor<'de>>(self, name: &'static str, visitor: V) -> Result<V::Value, D::Error> {
        let Self { inner, budget, .. } = self;
        budget.put::<V::Value, _, _>(|| inner.deserialize_unit_struct(name, Guarded::new(visitor, budget)))
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(self, name: &'static str, visitor: V) -> Result<V::Value, D::Error> {
        let Self { inner, budget, .. } = self;
        budget.put::<V::Value, _, _>(|| inner.deserialize_newtype_struct(name, Guarded::new(visitor, budget)))
    }

    fn deserialize_tuple<V: Visitor<'de>>(self, len: usize, visitor: V) -> Result<V::Value, D::Error> {
        let Self { inner, budget, .. } = self;
        budget.put::<V::Value, _, _>(|| inner.deserialize_tuple(len, Guarded::new(visitor, budget)))
    }

    fn deserialize_tuple_struct<V: Visitor<'de>>(
        self,
        name: &'static str,
        len: usize,
        visitor: V,
    ) -> Result<V::Value, D::Error> {
        let Self { inner, budget, .. } = self;
        let make = || inner.deserialize_tuple_struct(name, len, Guarded::new(visitor, budget));
        if name != REFERENCE {
            return budget.put::<V::Value, _, _>(make);
        }
        // What a reference leads to is made while it is read, and known only then.
        ASIDE.set(0);
        let reference = budget.put::<V::Value, _, _>(make)?;
        budget.charge(ASIDE.take())?;
        Ok(reference)
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        name: &'static str,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, D::Error> {
        let Self { inner, budget, .. } = self;
        budget.put::<V::Value, _, _>(|| inner.deserialize_struct(name, fields, Guarded::new(visitor, budget)))
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        name: &'static str,
        variants: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, D::Error> {
        let Self { inner, budget, .. } = self;
        budget.put::<V::Value, _, _>(|| inner.deserialize_enum(name, variants, Guarded::new(visitor, budget)))
    }

    fn is_human_readable(&self) -> bool {
        self.inner.is_human_readable()
    }
}

macro_rules! forward_visit {
    ($($name:ident: $ty:ty),*) => {$(
        fn $name<E: Error>(self, value: $ty) -> Result<V::Value, E> {
            self.inner.$name(value)
        }
    )*};
}

macro_rules! visit_texts {
    ($($name:ident: $ty:ty),*) => {$(
        fn $name<E: Error>(self, value: $ty) -> Result<V::Value, E> {
            self.budget.charge_text(value.len())?;
            self.inner.$name(value)
        }
    )*};
}

impl<'de, V: Visitor<'de>> Visitor<'de> for Guarded<'_, V> {
    type Value = V::Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.inner.expecting(f)
    }

    forward_visit!(
        visit_bool: bool,
        visit_i8: i8,
        visit_i16: i16,
        visit_i32: i32,
        visit_i64: i64,
        visit_i128: i128,
        visit_u8: u8,
        visit_u16: u16,
        visit_u32: u32,
        visit_u64: u64,
        visit_u128: u128,
        visit_f32: f32,
        visit_f64: f64,
        visit_char: char
    );
    visit_texts!(
        visit_str: &str,
        visit_borrowed_str: &'de str,
        visit_string: String,
        visit_bytes: &[u8],
        visit_borrowed_bytes: &'de [u8],
        visit_byte_buf: Vec<u8>
    );

    fn visit_none<E: Error>(self) -> Result<V::Value, E> {
        self.inner.visit_none()
    }

    fn visit_unit<E: Error>(self) -> Result<V::Value, E> {
        self.inner.visit_unit()
    }

    fn visit_some<D: Deserializer<'de>>(self, deserializer: D) -> Result<V::Value, D::Error> {
        let _level = self.budget.enter()?;
        self.budget.declare_some::<V::Value>();
        self.inner.visit_some(Guarded::new(deserializer, self.budget))
    }

    fn visit_newtype_struct<D: Deserializer<'de>>(self, deserializer: D) -> Result<V::Value, D::Error> {
        let _level = self.budget.enter()?;
        // What the one field is is not said. It is as large as the whole, so it may be a pointer if the whole may be.
        self.budget.declare::<V::Value>();
        self.inner.visit_newtype_struct(Guarded::new(deserializer, self.budget))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, access: A) -> Result<V::Value, A::Error> {
        let _level = self.budget.enter()?;
        self.inner.visit_seq(Elements::new(access, self.budget, self.collection))
    }

    fn visit_map<A: MapAccess<'de>>(self, access: A) -> Result<V::Value, A::Error> {
        let _level = self.budget.enter()?;
        self.inner.visit_map(Elements::new(access, self.budget, self.collection))
    }

    fn visit_enum<A: EnumAccess<'de>>(self, access: A) -> Result<V::Value, A::Error> {
        let _level = self.budget.enter()?;
        self.inner.visit_enum(Guarded::new(access, self.budget))
    }
}

impl<'de, S: DeserializeSeed<'de>> DeserializeSeed<'de> for Guarded<'_, S> {
    type Value = S::Value;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<S::Value, D::Error> {
        self.budget.declare::<S::Value>();
        self.inner.deserialize(Guarded::new(deserializer, self.budget))
    }
}

/// Access to the parts of a whole, or the elements of a list or map.
struct Elements<'b, A> {
    inner: A,
    budget: &'b Budget,
    collection: Collection,
    /// What it claimed to have at first.
    claimed: usize,
    /// Elements, or keys, that are paid for; `None` before the first.
    keys: Option<usize>,
    values: Option<usize>,
    /// It was not told how many elements there are, so it takes room for some at the first.
    grows: Cell<bool>,
}

impl<'b, A> Elements<'b, A> {
    fn new(inner: A, budget: &'b Budget, collection: Collection) -> Self {
        Self { inner, budget, collection, claimed: 0, keys: None, values: None, grows: Cell::new(false) }
    }

    /// How many elements a collection may take room for. Upon a claim that cannot be true, or that there may not be enough
    /// memory left for, it takes none.
    fn hint(&self, claimed: Option<usize>) -> Option<usize> {
        let is_possible = claimed.is_none_or(|claimed| claimed as u64 <= self.budget.elements.get());
        if self.collection == Collection::Fixed || (is_possible && self.budget.memory.get() >= AHEAD_BYTES) {
            return claimed;
        }
        self.grows.set(true);
        Some(0)
    }

    /// Room for `left` elements that are a `V` each. What is claimed is charged with the first.
    #[inline]
    fn claim<V>(&mut self, left: Option<usize>) {
        if self.keys.is_none() {
            let least = match size_of::<V>() {
                0..=1 => 8,
                2..=1024 => 4,
                _ => 1,
            };
            let claimed = left.unwrap_or(0);
            self.claimed = if self.grows.get() && claimed > 0 { claimed.max(least) } else { claimed };
        }
    }
}

/// Makes an element in a place of its own, which was paid for with the first one unless there are more than were claimed.
#[inline]
fn next<V, R, E: Error>(
    budget: &Budget,
    (collection, besides, claimed): (Collection, usize, usize),
    paid: &mut Option<usize>,
    make: impl FnOnce() -> Result<R, E>,
    is_one: impl FnOnce(&R) -> bool,
) -> Result<R, E> {
    let left = match *paid {
        Some(left) => left,
        None => {
            budget.charge(collection.bytes(size_of::<V>(), besides, claimed))?;
            claimed
        }
    };
    *paid = Some(left.saturating_sub(1));
    let made = budget.put_aside::<V, _>(make)?;
    // More than were claimed: each of those is paid for by itself.
    if left == 0 && is_one(&made) {
        budget.charge(collection.bytes(size_of::<V>(), besides, 1))?;
    }
    Ok(made)
}

impl<'de, A: SeqAccess<'de>> SeqAccess<'de> for Elements<'_, A> {
    type Error = A::Error;

    fn next_element_seed<S: DeserializeSeed<'de>>(&mut self, seed: S) -> Result<Option<S::Value>, A::Error> {
        self.budget.element()?;
        if self.collection == Collection::Fixed {
            return self.inner.next_element_seed(Guarded::new(seed, self.budget));
        }
        self.claim::<S::Value>(self.inner.size_hint());
        let Self { inner, budget, collection, claimed, keys, .. } = self;
        let make = || inner.next_element_seed(Guarded::new(seed, budget));
        next::<S::Value, _, _>(budget, (*collection, NODE_BYTES, *claimed), keys, make, Option::is_some)
    }

    fn size_hint(&self) -> Option<usize> {
        self.hint(self.inner.size_hint())
    }
}

impl<'de, A: MapAccess<'de>> MapAccess<'de> for Elements<'_, A> {
    type Error = A::Error;

    fn next_key_seed<S: DeserializeSeed<'de>>(&mut self, seed: S) -> Result<Option<S::Value>, A::Error> {
        self.budget.element()?;
        if self.collection == Collection::Fixed {
            return self.inner.next_key_seed(Guarded::new(seed, self.budget));
        }
        self.claim::<S::Value>(self.inner.size_hint());
        let Self { inner, budget, collection, claimed, keys, .. } = self;
        let make = || inner.next_key_seed(Guarded::new(seed, budget));
        next::<S::Value, _, _>(budget, (*collection, NODE_BYTES, *claimed), keys, make, Option::is_some)
    }

    fn next_value_seed<S: DeserializeSeed<'de>>(&mut self, seed: S) -> Result<S::Value, A::Error> {
        let Self { inner, budget, collection, claimed, values, .. } = self;
        let make = || inner.next_value_seed(Guarded::new(seed, budget));
        if *collection == Collection::Fixed {
            return make();
        }
        next::<S::Value, _, _>(budget, (*collection, 0, *claimed), values, make, |_| true)
    }

    fn size_hint(&self) -> Option<usize> {
        self.hint(self.inner.size_hint())
    }
}

impl<'de, 'b, A: EnumAccess<'de>> EnumAccess<'de> for Guarded<'b, A> {
    type Error = A::Error;
    type Variant = Guarded<'b, A::Variant>;

    fn variant_seed<S: DeserializeSeed<'de>>(self, seed: S) -> Result<(S::Value, Self::Variant), A::Error> {
        let (value, variant) = self.inner.variant_seed(Guarded::new(seed, self.budget))?;
        Ok((value, Guarded::new(variant, self.budget)))
    }
}

impl<'de, A: VariantAccess<'de>> VariantAccess<'de> for Guarded<'_, A> {
    type Error = A::Error;

    fn unit_variant(self) -> Result<(), A::Error> {
        self.inner.unit_variant()
    }

    fn newtype_variant_seed<S: DeserializeSeed<'de>>(self, seed: S) -> Result<S::Value, A::Error> {
        self.inner.newtype_variant_seed(Guarded::new(seed, self.budget))
    }

    fn tuple_variant<V: Visitor<'de>>(self, len: usize, visitor: V) -> Result<V::Value, A::Error> {
        self.inner.tuple_variant(len, Guarded::new(visitor, self.budget))
    }

    fn struct_variant<V: Visitor<'de>>(
        self,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, A::Error> {
        self.inner.struct_variant(fields, Guarded::new(visitor, self.budget))
    }
}
