//! Names of actors within one runtime. No guard of the table ever leaves this file.

use crate::error::RegisterError;
use crate::id::ActorId;
use dashmap::DashMap;
use dashmap::mapref::entry::Entry;
use std::any::Any;
use std::hash::{BuildHasherDefault, DefaultHasher};
use std::sync::Arc;

/// As between nodes.
pub(crate) fn is_valid(name: &str) -> bool {
    (1..=posse_wire::NAME_BYTES_MAX).contains(&name.len())
}

/// Parts of the table with a lock each; fixed, so that nothing depends on the machine.
const SHARDS: usize = 16;

/// Names of the living actors of one runtime. An actor's names end with it.
#[derive(Debug)]
pub(crate) struct Registry {
    names: DashMap<Arc<str>, Named, BuildHasherDefault<DefaultHasher>>,
}

#[derive(Debug)]
struct Named {
    id: ActorId,
    actor: Box<dyn Any + Send + Sync>,
}

impl Default for Registry {
    fn default() -> Self {
        Self { names: DashMap::with_hasher_and_shard_amount(BuildHasherDefault::default(), SHARDS) }
    }
}

impl Registry {
    /// Gives a name to an actor. `note` notes it with the actor, and returns false if that has ended already.
    pub(crate) fn register(
        &self,
        name: Arc<str>,
        id: ActorId,
        actor: Box<dyn Any + Send + Sync>,
        note: impl FnOnce(Arc<str>) -> bool,
    ) -> Result<(), RegisterError> {
        if !is_valid(&name) {
            return Err(RegisterError::InvalidName);
        }
        match self.names.entry(name.clone()) {
            Entry::Occupied(taken) if taken.get().id != id => return Err(RegisterError::Taken(taken.get().id)),
            Entry::Occupied(_) => return Ok(()),
            Entry::Vacant(free) => {
                free.insert(Named { id, actor });
            }
        }

        // The actor removes its names when it ends; if it has ended already, this does.
        if !note(name.clone()) {
            self.remove(&name, id);
            return Err(RegisterError::Stopped);
        }
        Ok(())
    }

    /// Returns the reference under a name, if it is of this type.
    pub(crate) fn get<T: Clone + 'static>(&self, name: &str) -> Option<T> {
        self.names.get(name)?.actor.downcast_ref::<T>().cloned()
    }

    pub(crate) fn is_taken(&self, name: &str) -> bool {
        self.names.contains_key(name)
    }

    pub(crate) fn remove(&self, name: &str, id: ActorId) -> bool {
        let removed = self.names.remove_if(name, |_, named| named.id == id);
        removed.is_some()
    }

    pub(crate) fn len(&self) -> usize {
        self.names.len()
    }
}
