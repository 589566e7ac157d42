//! Scopes in which references are written and read: the code that encodes or decodes for another node sets one, and serde, which
//! knows nothing of nodes, finds it here.

use super::dispatch::Endpoint;
use crate::refs::actor_ref::Repr;
use posse_wire::{NodeInfo, WireRef};
use std::cell::RefCell;
use std::sync::Arc;

/// The node for which references are written and read.
pub(crate) trait RefScope: Send + Sync {
    /// Gives an actor of this process an address, the same one each time.
    fn export(&self, endpoint: &Arc<dyn Endpoint>) -> WireRef;
    /// What an address leads to.
    fn import(&self, wire: WireRef) -> Repr;
    /// Bytes that what is decoded may take.
    fn decoded_bytes_max(&self) -> usize;
}

struct Scope {
    node: Arc<dyn RefScope>,
    /// Third nodes that were mentioned and may have to be introduced.
    referenced_nodes: Vec<NodeInfo>,
}

thread_local! {
    static SCOPE: RefCell<Option<Scope>> = const { RefCell::new(None) };
}

/// Puts the previous scope back, also when user code panics.
pub(crate) struct Entered(Option<Scope>);

impl Drop for Entered {
    fn drop(&mut self) {
        SCOPE.set(self.0.take());
    }
}

/// Until the guard is dropped references can be read.
pub(crate) fn enter(node: Arc<dyn RefScope>) -> Entered {
    Entered(SCOPE.replace(Some(Scope { node, referenced_nodes: Vec::new() })))
}

/// Runs `f` so that references can be written and read. Returns the third nodes that were mentioned.
pub(crate) fn within<R>(node: Arc<dyn RefScope>, f: impl FnOnce() -> R) -> (R, Vec<NodeInfo>) {
    let _entered = enter(node);
    let result = f();
    let referenced_nodes =
        SCOPE.with_borrow_mut(|scope| scope.as_mut().map(|scope| std::mem::take(&mut scope.referenced_nodes)));
    (result, referenced_nodes.unwrap_or_default())
}

/// Bytes that what is decoded may take; `None` outside of any scope.
pub(super) fn decoded_bytes_max() -> Option<usize> {
    SCOPE.with_borrow(|scope| scope.as_ref().map(|scope| scope.node.decoded_bytes_max()))
}

const OUTSIDE: &str = "an `ActorRef` travels only in a message to another node";

/// A reference as it is written.
pub(crate) fn export(repr: &Repr) -> Result<WireRef, &'static str> {
    SCOPE.with_borrow_mut(|scope| {
        let scope = scope.as_mut().ok_or(OUTSIDE)?;
        Ok(match repr {
            Repr::Local(endpoint) => scope.node.export(endpoint),
            Repr::Remote(remote) => {
                let (wire, node) = remote.export();
                scope.referenced_nodes.push(node);
                wire
            }
            Repr::Stale(wire) | Repr::Gone(wire) => *wire,
        })
    })
}

/// A reference as it was read.
pub(crate) fn import(wire: WireRef, protocol: u64) -> Result<Repr, &'static str> {
    SCOPE.with_borrow(|scope| {
        let scope = scope.as_ref().ok_or(OUTSIDE)?;
        if wire.protocol != protocol {
            return Err("a reference of another protocol");
        }
        Ok(scope.node.import(wire))
    })
}
