//! The children of an actor, and one of them as its parent sees it.
//!
//! A parent owns its children: they end with it, at the latest when its context is dropped.

use crate::actor::Actor;
use crate::id::ActorId;
use crate::refs::LocalRef;
use crate::watch::shared::{ActorShared, Command};
use posse_core::time::{Instant, timeout};
use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

/// The list of children is looked through for ended ones when it has grown to this length, and to twice what is left then.
const PRUNE_AT: usize = 16;

/// An actor as its parent sees it, whatever its type.
pub(crate) struct ChildRef {
    actor: Box<dyn AnyActor>,
    /// How long it may take to stop before it is killed.
    stop_within: Duration,
}

trait AnyActor: Send + Sync {
    fn id(&self) -> ActorId;
    fn command(&self, command: Command);
    fn shared(&self) -> &ActorShared;
}

impl<A: Actor> AnyActor for LocalRef<A> {
    fn id(&self) -> ActorId {
        self.0.id()
    }

    fn command(&self, command: Command) {
        self.0.command(command);
        self.0.wake();
    }

    fn shared(&self) -> &ActorShared {
        &self.0
    }
}

impl ChildRef {
    pub(crate) fn new<A: Actor>(actor: LocalRef<A>, stop_within: Duration) -> Self {
        Self { actor: Box::new(actor), stop_within }
    }

    pub(crate) fn id(&self) -> ActorId {
        self.actor.id()
    }

    pub(crate) fn command(&self, command: Command) {
        self.actor.command(command);
    }

    pub(crate) fn is_alive(&self) -> bool {
        self.actor.shared().ended().is_none()
    }

    /// Waits for the end of a child that was asked to end at `asked`; past its time it is killed.
    async fn end(&self, asked: Instant) {
        let shared = self.actor.shared();
        let left = self.stop_within.saturating_sub(asked.elapsed());
        if timeout(left, shared.wait_exit()).await.is_err() {
            self.command(Command::Kill);
            shared.wait_exit().await;
        }
    }
}

impl fmt::Debug for ChildRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ChildRef({})", self.id())
    }
}

/// The children of one actor. It is one pointer as long as there is none.
#[derive(Debug, Default)]
pub(crate) struct Children(Option<Box<List>>);

#[derive(Debug)]
struct List {
    /// In the order of start.
    children: BTreeMap<u64, ChildRef>,
    /// No key is used twice, also not by another incarnation of the parent.
    next_key: u64,
    prune_at: usize,
    /// A supervisor's children end one after the other, others all at once.
    ordered: bool,
}

impl Children {
    fn list(&mut self) -> &mut List {
        self.0.get_or_insert_with(|| {
            Box::new(List { children: BTreeMap::new(), next_key: 0, prune_at: PRUNE_AT, ordered: false })
        })
    }

    /// From now on the children end one after the other.
    pub(crate) fn set_ordered(&mut self) {
        self.list().ordered = true;
    }

    /// Returns the key of the next child: larger than all before.
    pub(crate) fn next_key(&mut self) -> u64 {
        let list = self.list();
        list.next_key += 1;
        list.next_key
    }

    /// Takes a child over that its parent forgets by itself.
    pub(crate) fn insert(&mut self, key: u64, child: ChildRef) {
        self.list().children.insert(key, child);
    }

    /// Takes a child over. Those that ended are forgotten now and then, so that the list stays in proportion.
    pub(crate) fn add_child(&mut self, child: ChildRef) {
        let key = self.next_key();
        let list = self.list();
        if list.children.len() >= list.prune_at {
            list.children.retain(|_, child| child.is_alive());
            list.prune_at = (2 * list.children.len()).max(PRUNE_AT);
        }
        list.children.insert(key, child);
    }

    pub(crate) fn get(&self, key: u64) -> Option<&ChildRef> {
        self.0.as_ref()?.children.get(&key)
    }

    pub(crate) fn remove(&mut self, key: u64) {
        if let Some(list) = &mut self.0 {
            list.children.remove(&key);
        }
    }

    /// Returns how many children are alive.
    pub(crate) fn alive(&self) -> usize {
        self.0.iter().flat_map(|list| list.children.values()).filter(|child| child.is_alive()).count()
    }

    /// Ends all children, the youngest first, and waits for them.
    pub(crate) async fn end(&mut self) {
        let Some(list) = &mut self.0 else { return };
        let (children, ordered) = (std::mem::take(&mut list.children), list.ordered);
        // In a box: those without children, most of all actors, would keep the room for it all their life.
        Box::pin(end_all(children, ordered)).await;
    }

    /// Kills all children, for a parent that has no time to wait.
    pub(crate) fn kill(&self) {
        let children = self.0.iter().flat_map(|list| list.children.values());
        children.for_each(|child| child.command(Command::Kill));
    }
}

async fn end_all(children: BTreeMap<u64, ChildRef>, ordered: bool) {
    let mut asked = Instant::now();
    if !ordered {
        children.values().rev().for_each(|child| child.command(Command::Shutdown));
    }
    for child in children.values().rev() {
        if ordered {
            child.command(Command::Shutdown);
            asked = Instant::now();
        }
        child.end(asked).await;
    }
}
