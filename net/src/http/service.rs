//! From tower's services to hyper's, with what must not get out of a handler: its panic.

use super::{BoxError, Incoming, Request, Response};
use hyper::body::Body;
use hyper::service::Service as HyperService;
use pin_project_lite::pin_project;
use posse_core::task::panic_message;
use std::fmt;
use std::future::Future;
use std::net::SocketAddr;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use tower_service::Service;

/// What serves HTTP: a service of tower's kind that takes a request and answers with a response, an axum router for one. Every such
/// service is one; there is nothing to implement.
#[diagnostic::on_unimplemented(
    message = "`{Self}` does not serve HTTP",
    label = "no `tower::Service` that is `Clone + Send` and takes a `Request<Incoming>`",
    note = "an `axum::Router` is one once its state was given, `Router::with_state`; an async function becomes one by `http::service_fn`"
)]
pub trait HttpService:
    Service<Request<Incoming>, Response = Response<<Self as HttpService>::Body>, Error: Into<BoxError>, Future: Send>
    + Clone
    + Send
    + 'static
{
    /// The body of its responses.
    type Body: Body<Data: Send, Error: Into<BoxError>> + Send + 'static;
}

impl<S, B> HttpService for S
where
    S: Service<Request<Incoming>, Response = Response<B>, Error: Into<BoxError>, Future: Send> + Clone + Send + 'static,
    B: Body<Data: Send, Error: Into<BoxError>> + Send + 'static,
{
    type Body = B;
}

/// The address that a request came from, an extension of requests if [`Config::peer_addr`](super::Config::peer_addr) says so; axum's
/// extractor is `Extension<PeerAddr>`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PeerAddr(pub SocketAddr);

/// Makes a service of an async function from a request to a response.
///
/// # Examples
/// ```
/// use posse_net::http::{Incoming, Request, Response, service_fn};
///
/// let service = service_fn(|_: Request<Incoming>| async { std::io::Result::Ok(Response::new("hello".to_owned())) });
/// ```
pub fn service_fn<F>(function: F) -> ServiceFn<F> {
    ServiceFn(function)
}

/// The service of [`service_fn`].
#[derive(Clone, Copy, Debug)]
pub struct ServiceFn<F>(F);

impl<F, T, R, E> Service<Request<Incoming>> for ServiceFn<F>
where
    F: FnMut(Request<Incoming>) -> T,
    T: Future<Output = Result<Response<R>, E>>,
{
    type Response = Response<R>;
    type Error = E;
    type Future = T;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), E>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Incoming>) -> T {
        (self.0)(request)
    }
}

/// The service of one connection.
pub(super) struct Handlers<S> {
    pub(super) service: S,
    pub(super) peer: SocketAddr,
    pub(super) tells_peer: bool,
}

impl<S> HyperService<Request<Incoming>> for Handlers<S>
where
    S: Service<Request<Incoming>, Error: Into<BoxError>> + Clone,
{
    type Response = S::Response;
    type Error = BoxError;
    type Future = Handling<S, S::Future>;

    fn call(&self, mut request: Request<Incoming>) -> Self::Future {
        if self.tells_peer {
            request.extensions_mut().insert(PeerAddr(self.peer));
        }
        let state = State::Waiting { service: self.service.clone(), request: Some(request) };
        Handling { state, peer: self.peer }
    }
}

pin_project! {
    /// A request that is being answered: by a service that becomes ready first, as tower asks for.
    pub(super) struct Handling<S, F> {
        #[pin]
        state: State<S, F>,
        peer: SocketAddr,
    }
}

pin_project! {
    #[project = Projected]
    enum State<S, F> {
        Waiting { service: S, request: Option<Request<Incoming>> },
        Called { #[pin] future: F },
    }
}

impl<S> Future for Handling<S, S::Future>
where
    S: Service<Request<Incoming>, Error: Into<BoxError>>,
{
    type Output = Result<S::Response, BoxError>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut this = self.project();
        // After a panic the connection drops this without polling it again.
        match catch_unwind(AssertUnwindSafe(|| this.state.as_mut().poll(cx))) {
            Ok(polled) => polled.map_err(Into::into),
            Err(payload) => {
                let panic = panic_message(payload);
                posse_core::event!(
                    ERROR, "posse::http", "a handler panicked", net.peer = %this.peer, reason = %panic,
                );
                Poll::Ready(Err(Box::new(Panicked)))
            }
        }
    }
}

impl<S: Service<Request<Incoming>>> State<S, S::Future> {
    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<S::Response, S::Error>> {
        loop {
            match self.as_mut().project() {
                Projected::Waiting { service, request } => {
                    ready!(service.poll_ready(cx))?;
                    let request =
                        request.take().expect("invariant: a request is taken once, by what replaces this state");
                    let future = service.call(request);
                    self.set(State::Called { future });
                }
                Projected::Called { future } => return future.poll(cx),
            }
        }
    }
}

/// Why a connection ends whose handler panicked.
#[derive(Debug)]
struct Panicked;

impl fmt::Display for Panicked {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the handler panicked")
    }
}

impl std::error::Error for Panicked {}
