//! The actors of this node that others may reach, and the names they are found by.
//!
//! An arriving message looks its actor up in a table of many locks and waits for the end of none; names are under a lock of
//! their own, and an actor knows its own, so that its end costs the same however many others there are. No guard of a
//! table leaves this file, and none is held while an actor is dropped.

use crate::error::RegisterError;
use crate::protocol::dispatch::Endpoint;
use dashmap::DashMap;
use dashmap::mapref::entry::Entry;
use posse_core::lock::{Mutex, MutexGuard};
use posse_core::runtime::Handle;
use posse_wire::{ActorKey, Resolution};
use std::collections::{BTreeMap, BTreeSet};
use std::hash::{BuildHasher, BuildHasherDefault, DefaultHasher, Hash, Hasher};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// Parts of a table with a lock each; fixed, so that nothing depends on the machine.
const SHARDS: usize = 16;

type Table<K, V, H> = DashMap<K, V, BuildHasherDefault<H>>;

/// An actor that has an address.
struct Exported {
    endpoint: Arc<dyn Endpoint>,
    /// The monitor by which the node hears of its end; `None` for the moment until it is set. It goes with the actor or the
    /// node, whichever ends first.
    monitor: Option<u64>,
}

pub(super) struct Exports {
    /// Filled by `export`, emptied by `unexport` when the actor ends.
    actors: Table<ActorKey, Exported, KeyHasher>,
    /// By the number of the actor and the protocol. Filled and emptied with `actors`.
    keys: Table<(u64, u64), ActorKey, DefaultHasher>,
    /// Filled by `register`, emptied by `unregister` and with the actors.
    names: Mutex<Names>,
    /// What keys follow from. It is never shown.
    secret: [u64; 2],
    /// How many keys were made: each follows from its number and the secret.
    given: AtomicU64,
}

/// Registered names. Invariant: the two maps say the same.
#[derive(Default)]
struct Names {
    keys: BTreeMap<Arc<str>, ActorKey>,
    of: BTreeMap<ActorKey, BTreeSet<Arc<str>>>,
}

impl Names {
    /// Gives a name to an actor, unless another one has it: then it returns that one.
    fn register(&mut self, name: &str, key: ActorKey) -> Result<(), ActorKey> {
        match self.keys.get(name) {
            Some(taken) if *taken != key => return Err(*taken),
            Some(_) => {}
            None => {
                let name: Arc<str> = name.into();
                self.keys.insert(name.clone(), key);
                self.of.entry(key).or_default().insert(name);
            }
        }
        Ok(())
    }

    fn unregister(&mut self, name: &str) -> bool {
        let Some(key) = self.keys.remove(name) else { return false };
        if let Some(names) = self.of.get_mut(&key) {
            names.remove(name);
            if names.is_empty() {
                self.of.remove(&key);
            }
        }
        true
    }

    /// Takes back all names of an actor, and looks at no others. Returns how many there were.
    fn remove(&mut self, key: ActorKey) -> usize {
        let names = self.of.remove(&key).unwrap_or_default();
        names.iter().filter(|name| self.keys.remove(*name).is_some()).count()
    }
}

/// Keys are as good as random already.
#[derive(Default)]
struct KeyHasher(u64);

impl Hasher for KeyHasher {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        bytes.iter().for_each(|byte| self.write_u64(u64::from(*byte)));
    }

    fn write_u32(&mut self, half: u32) {
        self.write_u64(u64::from(half));
    }

    fn write_u64(&mut self, word: u64) {
        self.0 = self.0.rotate_left(32) ^ word;
    }
}

impl Exports {
    pub(super) fn new(handle: &Handle) -> Self {
        Self {
            actors: DashMap::with_hasher_and_shard_amount(BuildHasherDefault::default(), SHARDS),
            keys: DashMap::with_hasher_and_shard_amount(BuildHasherDefault::default(), SHARDS),
            names: Mutex::default(),
            secret: [secret(handle), secret(handle)],
            given: AtomicU64::new(0),
        }
    }

    /// Gives an actor an address, the same one each time. True if it is new.
    pub(super) fn export(&self, endpoint: &Arc<dyn Endpoint>) -> (ActorKey, bool) {
        let by = (endpoint.shared().id().number(), endpoint.protocol());
        match self.keys.entry(by) {
            Entry::Occupied(known) => (*known.get(), false),
            Entry::Vacant(new) => {
                let key = self.new_key();
                self.actors.insert(key, Exported { endpoint: endpoint.clone(), monitor: None });
                new.insert(key);
                (key, true)
            }
        }
    }

    /// A key that no actor has, and that cannot be guessed from others.
    fn new_key(&self) -> ActorKey {
        loop {
            let mut hasher = DefaultHasher::new();
            (self.secret, self.given.fetch_add(1, Ordering::Relaxed)).hash(&mut hasher);
            let bits = hasher.finish();
            let key = ActorKey { slot: bits as u32, generation: (bits >> 32) as u32 };
            if key != ActorKey::NODE && !self.actors.contains_key(&key) {
                return key;
            }
        }
    }

    /// The node monitors the actor of this key, unless it has ended meanwhile.
    pub(super) fn set_monitor(&self, key: ActorKey, monitor: u64) {
        if let Some(mut exported) = self.actors.get_mut(&key) {
            exported.monitor = Some(monitor);
        }
    }

    /// The actor has ended: its address and names lead nowhere.
    pub(super) fn unexport(&self, key: ActorKey, number: u64, protocol: u64) {
        self.keys.remove(&(number, protocol));
        let ended = self.actors.remove(&key);
        // Afterwards: a task that registers a name looks for the actor first, under this lock.
        self.names().remove(key);
        drop(ended);
    }

    pub(super) fn get(&self, key: ActorKey) -> Option<Arc<dyn Endpoint>> {
        self.actors.get(&key).map(|exported| exported.endpoint.clone())
    }

    /// Gives a name to an exported actor, if it lives and no other living one has it.
    pub(super) fn register(&self, name: &str, key: ActorKey) -> Result<(), RegisterError> {
        loop {
            let mut names = self.names();
            if !self.actors.contains_key(&key) {
                return Err(RegisterError::Stopped);
            }
            let Err(taken) = names.register(name, key) else { return Ok(()) };
            drop(names);
            match self.get(taken) {
                Some(endpoint) => return Err(RegisterError::Taken(endpoint.shared().id())),
                // It ended a moment ago, and takes its names with it.
                None => drop(self.names().remove(taken)),
            }
        }
    }

    pub(super) fn unregister(&self, name: &str) -> bool {
        self.names().unregister(name)
    }

    /// Looks for a name.
    pub(super) fn whereis(&self, name: &str, protocol: u64) -> Result<(Arc<dyn Endpoint>, ActorKey), Resolution> {
        let key = self.names().keys.get(name).copied().ok_or(Resolution::NotFound)?;
        match self.get(key) {
            Some(endpoint) if endpoint.protocol() == protocol => Ok((endpoint, key)),
            Some(_) => Err(Resolution::WrongProtocol),
            None => Err(Resolution::NotFound),
        }
    }

    fn names(&self) -> MutexGuard<'_, Names> {
        self.names.lock()
    }
}

/// An actor may outlive many nodes: it keeps no monitor of one that is gone.
impl Drop for Exports {
    fn drop(&mut self) {
        for exported in &self.actors {
            if let Some(monitor) = exported.monitor {
                exported.endpoint.shared().monitors.remove(monitor);
            }
        }
    }
}

/// A number that cannot be known from what a program shows. In a simulation it follows from the seed.
fn secret(handle: &Handle) -> u64 {
    let drawn = handle.random_u64();
    if is_simulated(handle) {
        return drawn;
    }
    #[expect(clippy::disallowed_methods, reason = "one random number that was shown gives all later ones away")]
    let state = std::hash::RandomState::new();
    state.hash_one(drawn)
}

#[cfg(feature = "sim")]
fn is_simulated(handle: &Handle) -> bool {
    handle.simulation().is_some()
}

#[cfg(not(feature = "sim"))]
fn is_simulated(_: &Handle) -> bool {
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(n: u32) -> ActorKey {
        ActorKey { slot: n, generation: 1 }
    }

    #[test]
    fn end_of_an_actor_looks_at_its_own_names_alone() {
        let mut names = Names::default();
        for n in 0..1000 {
            assert_eq!(names.register(&format!("a{n}"), key(n)), Ok(()));
            assert_eq!(names.register(&format!("b{n}"), key(n)), Ok(()));
        }
        for n in (0..1000).step_by(2) {
            assert_eq!(names.remove(key(n)), 2);
            assert_eq!(names.remove(key(n)), 0);
        }
        assert_eq!((names.keys.len(), names.of.len()), (1000, 500));
    }

    #[test]
    fn name_belongs_to_one_actor_until_it_is_taken_back() {
        let mut names = Names::default();
        assert_eq!(names.register("name", key(1)), Ok(()));
        assert_eq!(names.register("name", key(1)), Ok(()));
        assert_eq!(names.register("name", key(2)), Err(key(1)));
        assert!(names.unregister("name"));
        assert!(!names.unregister("name"));
        assert!(names.of.is_empty());
        assert_eq!(names.register("name", key(2)), Ok(()));
        assert_eq!((names.remove(key(1)), names.remove(key(2))), (0, 1));
        assert!(names.keys.is_empty() && names.of.is_empty());
    }

    #[test]
    fn keys_are_spread_and_all_different() {
        let runtime = posse_core::runtime::Builder::new_current_thread().build().unwrap();
        let exports = Exports::new(runtime.handle());
        let keys: BTreeSet<ActorKey> = (0..1000).map(|_| exports.new_key()).collect();
        assert_eq!(keys.len(), 1000);
        assert!(keys.iter().filter(|key| key.generation < 1 << 16).count() < 10);
        let other = Exports::new(runtime.handle());
        assert!(!keys.contains(&other.new_key()));
    }
}
