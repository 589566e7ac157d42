//! From tower's services to hyper's, with what must not get out of a handler: its panic.

use super::answer::Answer;
use super::traffic::{Open, Traffic};
use super::{BoxError, Incoming, Request, Response, StatusCode};
use hyper::body::{Body, Incoming as Received};
use hyper::service::Service as HyperService;
use pin_project_lite::pin_project;
use posse_core::task::catch;
use std::future::Future;
use std::mem;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;
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
/// use posse::http::{Incoming, Request, Response, service_fn};
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
    pub(super) body_timeout: Duration,
    /// Of a connection of HTTP/2.
    pub(super) traffic: Option<Arc<Traffic>>,
}

impl<S: HttpService> HyperService<Request<Received>> for Handlers<S> {
    type Response = Response<Answer<S::Body>>;
    type Error = BoxError;
    type Future = Handling<S, S::Future>;

    fn call(&self, request: Request<Received>) -> Self::Future {
        let mut request = request.map(|body| Incoming::new(body, self.body_timeout));
        if self.tells_peer {
            request.extensions_mut().insert(PeerAddr(self.peer));
        }
        let state = match catch(|| self.service.clone()) {
            Ok(service) => State::Waiting { service, request: Some(request) },
            Err(panic) => State::Panicked { panic },
        };
        Handling { state, peer: self.peer, open: self.traffic.as_ref().map(Open::new) }
    }
}

pin_project! {
    /// A request that is being answered: by a service that becomes ready first, as tower asks for.
    pub(super) struct Handling<S, F> {
        #[pin]
        state: State<S, F>,
        peer: SocketAddr,
        open: Option<Open>,
    }
}

pin_project! {
    #[project = Projected]
    enum State<S, F> {
        Waiting { service: S, request: Option<Request<Incoming>> },
        Called { #[pin] future: F },
        Panicked { panic: String },
        Done,
    }
}

impl<S: HttpService> Future for Handling<S, S::Future> {
    type Output = Result<Response<Answer<S::Body>>, BoxError>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut this = self.project();
        let polled = match catch(|| this.state.as_mut().poll(cx)) {
            Ok(polled) => ready!(polled),
            Err(panic) => {
                // What is left of it may panic in its drop as well; one of them is enough to tell.
                let _ = catch(|| this.state.set(State::Done));
                Ok(Err(panic))
            }
        };
        Poll::Ready(match polled.map_err(Into::into)? {
            Ok(response) => Ok(response.map(|body| Answer::new(Some(body), *this.peer, this.open.take()))),
            Err(panic) => {
                posse_core::event!(
                    ERROR, "posse::http", "a handler panicked", net.peer = %this.peer, reason = %panic,
                );
                let mut response = Response::new(Answer::new(None, *this.peer, this.open.take()));
                *response.status_mut() = StatusCode::INTERNAL_SERVER_ERROR;
                Ok(response)
            }
        })
    }
}

/// A response, or the text of a panic.
type Outcome<R> = Result<R, String>;

impl<S: HttpService> State<S, S::Future> {
    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<Outcome<S::Response>, S::Error>> {
        loop {
            match self.as_mut().project() {
                Projected::Waiting { service, request } => {
                    ready!(service.poll_ready(cx))?;
                    let request =
                        request.take().expect("invariant: a request is taken once, by what replaces this state");
                    let future = service.call(request);
                    self.set(State::Called { future });
                }
                Projected::Called { future } => {
                    let result = ready!(future.poll(cx));
                    // Here, where the panic of its drop is caught.
                    self.set(State::Done);
                    return Poll::Ready(result.map(Ok));
                }
                Projected::Panicked { panic } => return Poll::Ready(Ok(Err(mem::take(panic)))),
                Projected::Done => return Poll::Pending,
            }
        }
    }
}
