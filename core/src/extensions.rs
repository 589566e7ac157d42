//! Values found by their type: where what would elsewhere be a global hangs on something that owns it.

use crate::lock::Mutex;
use std::any::{Any, TypeId};
use std::sync::Arc;

type Entry = (TypeId, Arc<dyn Any + Send + Sync>);

/// At most one value of each type.
#[derive(Default)]
pub(crate) struct Extensions(Mutex<Vec<Entry>>);

impl Extensions {
    /// The value of type `T`, made by `init` at the first call. `init` runs without the lock; of two racing values one is
    /// kept.
    pub(crate) fn get_or_init<T: Send + Sync + 'static>(&self, init: impl FnOnce() -> T) -> Arc<T> {
        if let Some(found) = self.get::<T>() {
            return found;
        }

        let made: Arc<dyn Any + Send + Sync> = Arc::new(init());
        let id = TypeId::of::<T>();
        let mut entries = self.0.lock();
        let kept = match entries.iter().find(|(other, _)| *other == id) {
            Some((_, winner)) => winner.clone(),
            None => {
                entries.push((id, made.clone()));
                made.clone()
            }
        };
        drop(entries);
        kept.downcast().expect("invariant: stored under its own type id")
    }

    fn get<T: Send + Sync + 'static>(&self) -> Option<Arc<T>> {
        let entries = self.0.lock();
        let found = entries.iter().find(|(id, _)| *id == TypeId::of::<T>()).map(|(_, value)| value.clone());
        drop(entries);
        found?.downcast().ok()
    }
}
