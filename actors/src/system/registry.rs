//! Names of actors within one runtime. No guard of the table ever leaves this file.

use crate::actor::Actor;
use crate::error::RegisterError;
use crate::id::ActorId;
use crate::refs::LocalRef;
use dashmap::DashMap;
use dashmap::mapref::entry::Entry;
use std::any::Any;
use std::hash::{BuildHasherDefault, DefaultHasher};
use std::sync::Arc;

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
    pub(crate) fn register<A: Actor>(&self, name: &str, actor: &LocalRef<A>) -> Result<(), RegisterError> {
        let name: Arc<str> = name.into();
        match self.names.entry(name.clone()) {
            Entry::Occupied(taken) if taken.get().id != actor.id() => {
                return Err(RegisterError::Taken(taken.get().id));
            }
            Entry::Occupied(_) => return Ok(()),
            Entry::Vacant(free) => {
                free.insert(Named { id: actor.id(), actor: Box::new(actor.clone()) });
            }
        }

        // The actor removes its names when it ends; if it has ended already, this does.
        if !actor.0.remember_name(name.clone()) {
            self.remove(&name, actor.id());
            return Err(RegisterError::Stopped);
        }
        Ok(())
    }

    pub(crate) fn whereis<A: Actor>(&self, name: &str) -> Option<LocalRef<A>> {
        self.names.get(name)?.actor.downcast_ref::<LocalRef<A>>().cloned()
    }

    /// Takes a name from an actor. False if it did not have it.
    pub(crate) fn unregister<A: Actor>(&self, name: &str, actor: &LocalRef<A>) -> bool {
        let had = self.remove(name, actor.id());
        if had {
            actor.0.forget_name(name);
        }
        had
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
