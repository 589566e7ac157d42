//! Ways to the actors of a service at all servers, opened again whenever they break.

use super::cluster::{registered_name, server_name};
use posse::prelude::*;
use posse::protocol::Protocol;
use posse::sim::NODE_PORT;
use posse::time::sleep;
use std::sync::{Arc, Mutex, MutexGuard};

type Slot<P> = Mutex<Option<ActorRef<P>>>;

/// Clones are the same ways.
pub struct Links<P: Protocol>(Arc<[Slot<P>]>);

impl<P: Protocol> Links<P> {
    /// Starts a task for each server that joins it and finds its actor, again and again. `own` is the server this runs on.
    pub fn open(node: &Node, service: &str, size: usize, own: Option<usize>) -> Self {
        let links = Self((0..size).map(|_| Mutex::default()).collect());
        for index in 0..size {
            let (links, node, name) = (links.clone(), node.clone(), registered_name(service, index));
            posse::task::spawn(async move {
                if own != Some(index) {
                    let address = format!("{}:{NODE_PORT}", server_name(index));
                    while node.join(address.as_str()).await.is_err() {
                        sleep(ms(100)).await;
                    }
                }
                links.keep(&node, index, &name).await;
            });
        }
        links
    }

    async fn keep(&self, node: &Node, index: usize, name: &str) {
        loop {
            match node.whereis::<P>(name).await {
                Ok(found) => {
                    *self.lock(index) = Some(found.clone());
                    found.closed().await;
                    *self.lock(index) = None;
                }
                Err(_) => sleep(ms(50)).await,
            }
        }
    }

    fn lock(&self, index: usize) -> MutexGuard<'_, Option<ActorRef<P>>> {
        self.0[index].lock().unwrap_or_else(|e| e.into_inner())
    }

    /// The actor at a server; `None` while none is known there.
    pub fn to(&self, index: usize) -> Option<ActorRef<P>> {
        self.lock(index).clone()
    }

    /// All actors that are known.
    pub fn all(&self) -> impl Iterator<Item = (usize, ActorRef<P>)> {
        (0..self.0.len()).filter_map(|index| Some((index, self.to(index)?)))
    }

    pub fn len(&self) -> usize {
        self.0.len()
    }
}

impl<P: Protocol> Clone for Links<P> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}
