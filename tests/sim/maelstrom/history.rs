//! What clients asked for and what came of it, in the order in which it was seen.

use posse::AskError;
use std::future::Future;
use std::sync::{Arc, Mutex, MutexGuard};

/// One operation. An outcome that is not known stays open for ever.
#[derive(Clone, Debug)]
pub struct Entry<I, O> {
    pub input: I,
    /// When it began: a place in the order of all beginnings and ends.
    pub called: u64,
    /// When it ended, and with what.
    pub done: Option<(u64, O)>,
}

/// Clones are the same history.
pub struct History<I, O>(Arc<Mutex<State<I, O>>>);

struct State<I, O> {
    events: u64,
    entries: Vec<Entry<I, O>>,
}

impl<I: Clone, O: Clone> History<I, O> {
    pub fn new() -> Self {
        Self(Arc::new(Mutex::new(State { events: 0, entries: Vec::new() })))
    }

    /// Does an operation and writes down when it began and ended. An error says nothing about what has happened.
    pub async fn during(&self, input: I, operation: impl Future<Output = Result<O, AskError>>) -> Option<O> {
        let index = {
            let mut state = self.lock();
            let called = state.next();
            state.entries.push(Entry { input, called, done: None });
            state.entries.len() - 1
        };
        let output = operation.await.ok()?;
        let mut state = self.lock();
        let done = state.next();
        state.entries[index].done = Some((done, output.clone()));
        Some(output)
    }

    pub fn entries(&self) -> Vec<Entry<I, O>> {
        self.lock().entries.clone()
    }

    /// What was asked for and acknowledged.
    pub fn acknowledged(&self) -> Vec<I> {
        self.lock().entries.iter().filter(|entry| entry.done.is_some()).map(|entry| entry.input.clone()).collect()
    }

    /// What was asked for, whatever came of it.
    pub fn asked(&self) -> Vec<I> {
        self.lock().entries.iter().map(|entry| entry.input.clone()).collect()
    }

    fn lock(&self) -> MutexGuard<'_, State<I, O>> {
        self.0.lock().unwrap_or_else(|e| e.into_inner())
    }
}

impl<I, O> State<I, O> {
    fn next(&mut self) -> u64 {
        self.events += 1;
        self.events
    }
}

impl<I, O> Clone for History<I, O> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}
