//! A line of waiters, served in the order they came. Pure data: the owner's lock protects it.

use std::collections::BTreeMap;
use std::task::{Context, Waker};

#[derive(Debug)]
pub(super) struct Line<T> {
    waiting: BTreeMap<u64, (T, Waker)>,
    next: u64,
}

impl<T> Default for Line<T> {
    fn default() -> Self {
        Self { waiting: BTreeMap::new(), next: 0 }
    }
}

impl<T> Line<T> {
    /// Joins the line, or renews the waker of a place that still waits. False if the place was served.
    pub(super) fn wait(&mut self, place: &mut Option<u64>, what: T, cx: &Context<'_>) -> bool {
        match *place {
            Some(key) => match self.waiting.get_mut(&key) {
                Some((_, waker)) => {
                    waker.clone_from(cx.waker());
                    true
                }
                None => false,
            },
            None => {
                self.waiting.insert(self.next, (what, cx.waker().clone()));
                *place = Some(self.next);
                self.next += 1;
                true
            }
        }
    }

    /// What the first in line wants.
    pub(super) fn first(&self) -> Option<&T> {
        self.waiting.first_key_value().map(|(_, (what, _))| what)
    }

    /// Serves the first in line.
    pub(super) fn serve(&mut self) -> Option<Waker> {
        self.waiting.pop_first().map(|(_, (_, waker))| waker)
    }

    /// Serves everybody.
    pub(super) fn serve_all(&mut self) -> Vec<Waker> {
        std::mem::take(&mut self.waiting).into_values().map(|(_, waker)| waker).collect()
    }

    /// Leaves the line. True if the place was not served yet.
    pub(super) fn leave(&mut self, key: u64) -> bool {
        self.waiting.remove(&key).is_some()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }
}
