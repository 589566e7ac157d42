//! Accepting connections, and the end of all of them.

use super::connection::Shared;
use super::service::Handlers;
use super::{Config, HttpService};
use crate::{TcpListener, TcpStream};
use hyper::rt::{Read, Write};
use posse_core::OnDrop;
use posse_core::sync::Semaphore;
use posse_core::task::{self, catch};
use posse_core::time::timeout;
use std::fmt;
use std::future::{Future, IntoFuture, Ready, pending, poll_fn, ready};
use std::io;
use std::net::SocketAddr;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::Poll;

/// Serves HTTP on a listener until the future is dropped, or the signal of
/// [`with_graceful_shutdown`](Serve::with_graceful_shutdown) comes. The service is cloned for each connection and each request.
///
/// # Examples
/// ```no_run
/// use posse::http::{self, Incoming, Request, Response};
///
/// # async fn program() -> std::io::Result<()> {
/// let listener = posse::net::TcpListener::bind("127.0.0.1:8080").await?;
/// // Or an `axum::Router`, or whatever else implements `tower::Service`.
/// let service = http::service_fn(|_: Request<Incoming>| async { std::io::Result::Ok(Response::new(String::new())) });
/// http::serve(listener, service).await
/// # }
/// ```
pub fn serve<S>(listener: TcpListener, service: S) -> Serve<S> {
    let signal = Box::pin(pending());
    Serve { listener, service, config: Config::default(), signal, handshake: Plain }
}

/// A server that has not begun; awaiting it serves. See [`serve`].
#[must_use = "a server serves nothing unless it is awaited"]
pub struct Serve<S, H = Plain> {
    listener: TcpListener,
    service: S,
    config: Config,
    signal: Pin<Box<dyn Future<Output = ()> + Send>>,
    handshake: H,
}

impl<S, H> Serve<S, H> {
    /// Sets what is allowed. Default: [`Config::default`].
    pub fn config(mut self, config: Config) -> Self {
        self.config = config;
        self
    }

    /// Ends the server once `signal` is ready: the listener is closed, idle connections are, requests that are being answered are
    /// answered; what is left after [`Config::grace`] is cut off, and said (`WARN`, target `posse::http`). A client that has sent
    /// half a head, or does not answer the GOAWAY of HTTP/2, is left until then too.
    pub fn with_graceful_shutdown(mut self, signal: impl Future<Output = ()> + Send + 'static) -> Self {
        self.signal = Box::pin(signal);
        self
    }

    /// Sets what is done with a connection before HTTP is spoken, in the connection's own task: a TLS handshake. One that fails is
    /// an event at level DEBUG. Default: nothing.
    ///
    /// # Examples
    /// ```no_run
    /// use posse::http;
    /// use posse::hyper::Io;
    /// # use posse::net::TcpStream;
    /// # #[derive(Clone)] struct Acceptor;
    /// # impl Acceptor { async fn accept(&self, stream: TcpStream) -> std::io::Result<TcpStream> { Ok(stream) } }
    /// # async fn program(listener: posse::net::TcpListener, tls: Acceptor) -> std::io::Result<()> {
    /// # let service = http::service_fn(|_| async { std::io::Result::Ok(http::Response::new(String::new())) });
    ///
    /// // `tls` is a `futures_rustls::TlsAcceptor`.
    /// let secured = move |stream| {
    ///     let tls = tls.clone();
    ///     async move { Ok(Io::new(tls.accept(stream).await?)) }
    /// };
    /// http::serve(listener, service).handshake(secured).await
    /// # }
    /// ```
    pub fn handshake<F>(self, handshake: F) -> Serve<S, F> {
        let Self { listener, service, config, signal, .. } = self;
        Serve { listener, service, config, signal, handshake }
    }
}

impl<S: HttpService, H: Handshake> Serve<S, H> {
    async fn run(self) -> io::Result<()> {
        let Self { listener, service, config, mut signal, handshake } = self;
        let (max, grace) = (config.max_connections, config.grace);
        let places = Arc::new(Semaphore::new(max));
        let shared = Arc::new(Shared::new(config));
        // Whatever ends this future, also its being dropped, ends what is left then.
        let _ends = OnDrop::new({
            let shared = shared.clone();
            move || {
                // In this order: who is told to end gracefully looks then whether it may.
                shared.aborting.cancel();
                shared.ending.cancel();
            }
        });

        let accepting = accept(listener, service, handshake, shared.clone(), places.clone());
        until(&mut signal, accepting).await?;

        shared.ending.cancel();
        if timeout(grace, places.acquire_many(max)).await.is_err() {
            let left = max - places.available_permits();
            posse_core::event!(WARN, "posse::http", "connections were cut off at the end"; count = left);
        }
        Ok(())
    }
}

/// Gives each connection a task; ends only with an error of the listener.
async fn accept<S: HttpService, H: Handshake>(
    listener: TcpListener,
    service: S,
    handshake: H,
    shared: Arc<Shared>,
    places: Arc<Semaphore>,
) -> io::Result<()> {
    loop {
        let place = places.clone().acquire_owned().await.map_err(io::Error::other)?;
        let (stream, peer) = listener.accept().await?;
        // A part of an answer must not wait until the client has acknowledged the one before. Without it it is only slower.
        let _ = stream.set_nodelay(true);
        // Code of the program, whose panic must not end the listener.
        let (service, stream) = match catch(|| (service.clone(), handshake.accept(stream))) {
            Ok(begun) => begun,
            Err(panic) => {
                posse_core::event!(
                    ERROR, "posse::http", "a connection could not be begun", net.peer = %peer, reason = %panic,
                );
                continue;
            }
        };
        let Config { tells_peer, body_timeout, .. } = shared.config;
        let handlers = Handlers { service, peer, tells_peer, body_timeout, traffic: None };
        let shared = shared.clone();
        task::spawn(guarded(peer, async move { shared.converse(stream, handlers, place).await }));
    }
}

/// Runs a connection. What panics in it outside of a request is the handshake, or a destructor of what the service made.
async fn guarded(peer: SocketAddr, connection: impl Future<Output = ()>) {
    let mut connection = Box::pin(connection);
    let result = poll_fn(|cx| match catch(|| connection.as_mut().poll(cx)) {
        Ok(polled) => polled.map(Ok),
        Err(panic) => Poll::Ready(Err(panic)),
    });
    let ended = result.await.and_then(|()| catch(|| drop(connection)));
    if let Err(panic) = ended {
        posse_core::event!(ERROR, "posse::http", "a connection panicked", net.peer = %peer, reason = %panic);
    }
}

/// Runs a future until it ends or the signal comes, which is an end without an error.
async fn until(
    signal: &mut Pin<Box<dyn Future<Output = ()> + Send>>,
    future: impl Future<Output = io::Result<()>>,
) -> io::Result<()> {
    let mut future = pin!(future);
    poll_fn(|cx| match signal.as_mut().poll(cx) {
        Poll::Ready(()) => Poll::Ready(Ok(())),
        Poll::Pending => future.as_mut().poll(cx),
    })
    .await
}

impl<S: HttpService, H: Handshake> IntoFuture for Serve<S, H> {
    type Output = io::Result<()>;
    type IntoFuture = Pin<Box<dyn Future<Output = Self::Output> + Send>>;

    /// Serves.
    ///
    /// # Errors
    /// What the system says of the listener, which cuts off all connections; running out of descriptors is waited for.
    ///
    /// # Cancel safety
    /// Dropping the future ends all connections at once, without grace.
    fn into_future(self) -> Self::IntoFuture {
        Box::pin(self.run())
    }
}

impl<S, H> fmt::Debug for Serve<S, H> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Serve").field("listener", &self.listener).field("config", &self.config).finish_non_exhaustive()
    }
}

/// What is done with a connection before HTTP is spoken; see [`Serve::handshake`]. A function from a [`TcpStream`] to a future is one.
pub trait Handshake: Send + 'static {
    /// The stream on which HTTP is spoken.
    type Stream: Read + Write + Send + Unpin + 'static;
    /// The handshake of one connection.
    type Accept: Future<Output = io::Result<Self::Stream>> + Send + 'static;

    /// Starts the handshake of a connection that was accepted.
    fn accept(&self, stream: TcpStream) -> Self::Accept;
}

/// No handshake: HTTP in the clear.
#[derive(Clone, Copy, Debug)]
pub struct Plain;

impl Handshake for Plain {
    type Stream = TcpStream;
    type Accept = Ready<io::Result<TcpStream>>;

    fn accept(&self, stream: TcpStream) -> Self::Accept {
        ready(Ok(stream))
    }
}

impl<F, T, I> Handshake for F
where
    F: Fn(TcpStream) -> T + Send + 'static,
    T: Future<Output = io::Result<I>> + Send + 'static,
    I: Read + Write + Send + Unpin + 'static,
{
    type Stream = I;
    type Accept = T;

    fn accept(&self, stream: TcpStream) -> T {
        self(stream)
    }
}
