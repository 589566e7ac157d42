//! A listener that starts an actor for each connection.

use crate::actor::Actor;
use crate::actor::context::Context;
use crate::actor::spec::{Serves, Spec};
use crate::error::Result;
use crate::id::ExitReason;
use posse_net::{TcpListener, TcpStream};
use std::fmt;
use std::future::poll_fn;
use std::net::SocketAddr;
use std::panic::Location;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::Poll;

/// Connections at once unless it is said otherwise. Guessed.
const CONNECTIONS_MAX: usize = 10_000;

/// Describes a listener; [`serve`](Self::serve) says what serves a connection.
///
/// # Examples
/// ```no_run
/// use posse::prelude::*;
///
/// struct Echo(TcpStream);
/// impl Actor for Echo {
///     async fn run(&mut self, _: &mut Context<Self>) -> posse::Result {
///         let (mut r, mut w) = self.0.split();
///         io::copy(&mut r, &mut w).await?;
///         Ok(())
///     }
/// }
///
/// Supervisor::one_for_one().child(Listener::tcp("127.0.0.1:7000").serve(Echo)).main()?;
/// # posse::Result::Ok(())
/// ```
#[derive(Clone)]
#[must_use = "a listener does nothing until it is supervised"]
pub struct Listener {
    address: String,
    pub(super) max: usize,
    on_bound: Arc<dyn Fn(SocketAddr) + Send + Sync>,
}

impl Listener {
    /// Listens on a TCP address, or a name with a port. Port 0 lets the system choose.
    pub fn tcp(address: impl Into<String>) -> Self {
        Self { address: address.into(), max: CONNECTIONS_MAX, on_bound: Arc::new(|_| {}) }
    }

    /// Sets how many connections there may be at once; beyond, new ones wait in the system's queue. Default: 10,000.
    pub fn max_connections(mut self, connections: usize) -> Self {
        self.max = connections.max(1);
        self
    }

    /// Sets what is called with the address once the listener is bound.
    pub fn on_bound(mut self, f: impl Fn(SocketAddr) + Send + Sync + 'static) -> Self {
        self.on_bound = Arc::new(f);
        self
    }

    /// Starts an actor for each connection, which the closure makes, or a [`Spec`] with it. It is the listener's child, and is
    /// not restarted. The listener does not start if it cannot listen.
    #[track_caller]
    pub fn serve<S, F>(self, make: F) -> Spec<Acceptor<F>>
    where
        S: Serves,
        F: FnMut(TcpStream) -> S + Clone + Send + 'static,
    {
        let place = Location::caller();
        Spec::new(move || Acceptor { listener: self.clone(), make: make.clone(), place, socket: None })
    }

    pub(super) async fn bind(&self) -> Result<TcpListener> {
        let address = self.address.as_str();
        let bound = TcpListener::bind(address).await;
        let socket = bound.map_err(|error| format!("{address} cannot be listened on: {error}"))?;
        (self.on_bound)(socket.local_addr()?);
        Ok(socket)
    }
}

impl fmt::Debug for Listener {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Listener").field("address", &self.address).field("max", &self.max).finish()
    }
}

/// The accepting actor.
#[doc(hidden)]
pub struct Acceptor<F> {
    listener: Listener,
    make: F,
    /// Where the actors of connections come from.
    place: &'static Location<'static>,
    /// `None` until it has started.
    socket: Option<TcpListener>,
}

impl<S, F> Actor for Acceptor<F>
where
    S: Serves,
    F: FnMut(TcpStream) -> S + Clone + Send + 'static,
{
    async fn started(&mut self, _: &mut Context<Self>) -> Result {
        self.socket = Some(self.listener.bind().await?);
        Ok(())
    }

    async fn run(&mut self, ctx: &mut Context<Self>) -> Result {
        let Some(socket) = &self.socket else { return Ok(()) };
        let connections = Arc::new(AtomicUsize::new(0));
        let max = self.listener.max;
        loop {
            let accepted = poll_fn(|cx| {
                // The end of a connection wakes this actor, which then looks here again.
                if connections.load(Ordering::Acquire) >= max { Poll::Pending } else { socket.poll_accept(cx) }
            });
            let (stream, _) = accepted.await?;
            connections.fetch_add(1, Ordering::AcqRel);
            let child = ctx.spawn_from(self.place, (self.make)(stream).into_spec());
            let (me, connections) = (ctx.myself(), connections.clone());
            child.0.monitors.add(Box::new(move |_: &ExitReason| {
                connections.fetch_sub(1, Ordering::AcqRel);
                me.0.wake();
            }));
        }
    }
}
