//! Names of actors, by their types. The registry keeps them, whatever they are.

use super::LocalRef;
use crate::actor::Actor;
use crate::error::RegisterError;
use crate::system::System;
use std::sync::Arc;

impl System {
    /// Gives a name to a living actor of this runtime. [`Spec::name`](crate::Spec::name) does so from the start. The names of
    /// an actor end with it.
    ///
    /// # Errors
    /// [`RegisterError`] if another living actor has the name, this one has ended, or the name has not 1 to 255 bytes.
    pub fn register<A: Actor>(&self, name: &str, actor: &LocalRef<A>) -> Result<(), RegisterError> {
        let name: Arc<str> = name.into();
        self.registry.register(name, actor.id(), Box::new(actor.clone()), |name| actor.0.add_name(name))
    }

    /// Returns the actor of a name; `None` if there is none, or it is not of type `A`.
    pub fn whereis<A: Actor>(&self, name: &str) -> Option<LocalRef<A>> {
        self.registry.get(name)
    }

    /// Takes a name from an actor. False if it did not have it.
    pub fn unregister<A: Actor>(&self, name: &str, actor: &LocalRef<A>) -> bool {
        let had = self.registry.remove(name, actor.id());
        if had {
            actor.0.remove_name(name);
        }
        had
    }
}
