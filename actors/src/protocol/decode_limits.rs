//! Bounds on what bytes from another node can make a decoder do: how deep it recurses, how many elements it makes, how much
//! memory they take.
//!
//! A recursive type costs stack for a few bytes a level, elements of no size cost time for no bytes at all, and one that is
//! mostly absent takes its whole size for a byte. All three are counted here, around any deserializer.
//!
//! Memory is counted where it is had: the elements of a list or map as they come, each with its size, and a value that is
//! larger than what is left of the place it goes to, which must lie behind a pointer then. What goes into the place of the
//! value around it costs nothing more. Numbers and texts are not looked at: they take no more than some times their bytes.

use serde::de::{DeserializeSeed, Deserializer, EnumAccess, Error, MapAccess, SeqAccess, VariantAccess, Visitor};
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

pub(super) struct Budget {
    depth: Cell<u32>,
    elements: Cell<u64>,
    memory: Cell<usize>,
    /// What was left of it at first.
    memory_max: usize,
    /// What is left of the place that the next value goes to.
    place: Cell<usize>,
}

impl Budget {
    /// For a message of so many bytes, which is decoded into `size` and what lies behind pointers.
    pub(super) fn new(bytes: usize, size: usize, memory_max: usize) -> Self {
        let elements = (bytes as u64).saturating_mul(ELEMENTS_PER_BYTE).saturating_add(ELEMENTS_MIN);
        let memory = bytes.saturating_mul(MEMORY_PER_BYTE).saturating_add(MEMORY_MIN).min(memory_max);
        Self {
            depth: Cell::new(DEPTH_MAX),
            elements: Cell::new(elements),
            memory: Cell::new(memory),
            memory_max: memory,
            place: Cell::new(size),
        }
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

    /// Puts a value of type `V` into its place; what does not fit lies behind a pointer. `make` puts its parts into it.
    #[inline]
    fn put<V, R, E: Error>(&self, make: impl FnOnce() -> Result<R, E>) -> Result<R, E> {
        let (size, place) = (size_of::<V>(), self.place.get());
        if size > place {
            self.charge(size - place)?;
        }
        self.place.set(size);
        let made = make();
        self.place.set(place.saturating_sub(size));
        made
    }

    /// Makes a value in a place of its own.
    #[inline]
    fn put_aside<V, R, E: Error>(&self, make: impl FnOnce() -> Result<R, E>) -> Result<R, E> {
        self.charge(size_of::<V>())?;
        let place = self.place.replace(size_of::<V>());
        let made = make();
        self.place.set(place);
        made
    }

    /// Makes an element, if there is one more. That of something that `grows` has a place of its own.
    #[inline]
    fn next<V, E: Error>(&self, grows: bool, make: impl FnOnce() -> Result<Option<V>, E>) -> Result<Option<V>, E> {
        self.element()?;
        if !grows {
            return make();
        }
        let made = self.put_aside::<V, _, _>(make);
        if matches!(made, Ok(None)) {
            self.memory.set(self.memory.get() + size_of::<V>());
        }
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

/// A deserializer, visitor, access or seed inside of the budget.
pub(super) struct Guarded<'b, T> {
    inner: T,
    budget: &'b Budget,
    /// What it visits, or gives access to, is a list or map: its elements have places of their own.
    grows: bool,
}

impl<'b, T> Guarded<'b, T> {
    pub(super) fn new(inner: T, budget: &'b Budget) -> Self {
        Self { inner, budget, grows: false }
    }

    fn growing(inner: T, budget: &'b Budget) -> Self {
        Self { inner, budget, grows: true }
    }
}

/// What is made of one piece: it takes no more memory than some times its bytes.
macro_rules! forward_deserialize {
    ($($name:ident),*) => {$(
        fn $name<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, D::Error> {
            self.inner.$name(Guarded::new(visitor, self.budget))
        }
    )*};
}

impl<'de, D: Deserializer<'de>> Deserializer<'de> for Guarded<'_, D> {
    type Error = D::Error;

    forward_deserialize!(
        deserialize_any,
        deserialize_bool,
        deserialize_i8,
        deserialize_i16,
        deserialize_i32,
        deserialize_i64,
        deserialize_i128,
        deserialize_u8,
        deserialize_u16,
        deserialize_u32,
        deserialize_u64,
        deserialize_u128,
        deserialize_f32,
        deserialize_f64,
        deserialize_char,
        deserialize_str,
        deserialize_string,
        deserialize_bytes,
        deserialize_byte_buf,
        deserialize_unit,
        deserialize_identifier,
        deserialize_ignored_any
    );

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, D::Error> {
        let Self { inner, budget, .. } = self;
        budget.put::<V::Value, _, _>(|| inner.deserialize_option(Guarded::new(visitor, budget)))
    }

    fn deserialize_seq<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, D::Error> {
        let Self { inner, budget, .. } = self;
        budget.put::<V::Value, _, _>(|| inner.deserialize_seq(Guarded::growing(visitor, budget)))
    }

    fn deserialize_map<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, D::Error> {
        let Self { inner, budget, .. } = self;
        budget.put::<V::Value, _, _>(|| inner.deserialize_map(Guarded::growing(visitor, budget)))
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
        budget.put::<V::Value, _, _>(|| inner.deserialize_tuple_struct(name, len, Guarded::new(visitor, budget)))
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
        visit_char: char,
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
        self.inner.visit_some(Guarded::new(deserializer, self.budget))
    }

    fn visit_newtype_struct<D: Deserializer<'de>>(self, deserializer: D) -> Result<V::Value, D::Error> {
        let _level = self.budget.enter()?;
        self.inner.visit_newtype_struct(Guarded::new(deserializer, self.budget))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, access: A) -> Result<V::Value, A::Error> {
        let _level = self.budget.enter()?;
        self.inner.visit_seq(Guarded { inner: access, budget: self.budget, grows: self.grows })
    }

    fn visit_map<A: MapAccess<'de>>(self, access: A) -> Result<V::Value, A::Error> {
        let _level = self.budget.enter()?;
        self.inner.visit_map(Guarded { inner: access, budget: self.budget, grows: self.grows })
    }

    fn visit_enum<A: EnumAccess<'de>>(self, access: A) -> Result<V::Value, A::Error> {
        let _level = self.budget.enter()?;
        self.inner.visit_enum(Guarded::new(access, self.budget))
    }
}

impl<'de, S: DeserializeSeed<'de>> DeserializeSeed<'de> for Guarded<'_, S> {
    type Value = S::Value;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<S::Value, D::Error> {
        self.inner.deserialize(Guarded::new(deserializer, self.budget))
    }
}

impl<'de, A: SeqAccess<'de>> SeqAccess<'de> for Guarded<'_, A> {
    type Error = A::Error;

    fn next_element_seed<S: DeserializeSeed<'de>>(&mut self, seed: S) -> Result<Option<S::Value>, A::Error> {
        let Self { inner, budget, grows } = self;
        budget.next(*grows, || inner.next_element_seed(Guarded::new(seed, budget)))
    }

    fn size_hint(&self) -> Option<usize> {
        self.inner.size_hint()
    }
}

impl<'de, A: MapAccess<'de>> MapAccess<'de> for Guarded<'_, A> {
    type Error = A::Error;

    fn next_key_seed<S: DeserializeSeed<'de>>(&mut self, seed: S) -> Result<Option<S::Value>, A::Error> {
        let Self { inner, budget, grows } = self;
        budget.next(*grows, || inner.next_key_seed(Guarded::new(seed, budget)))
    }

    fn next_value_seed<S: DeserializeSeed<'de>>(&mut self, seed: S) -> Result<S::Value, A::Error> {
        let Self { inner, budget, grows } = self;
        let make = || inner.next_value_seed(Guarded::new(seed, budget));
        if *grows { budget.put_aside::<S::Value, _, _>(make) } else { make() }
    }

    fn size_hint(&self) -> Option<usize> {
        self.inner.size_hint()
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
