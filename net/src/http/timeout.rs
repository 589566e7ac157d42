//! A limit on how long a service may take, as a layer of tower's kind on the runtime's clock.

use super::{Request, Response, StatusCode};
use pin_project_lite::pin_project;
use posse_core::time::{Sleep, sleep};
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;
use tower_layer::Layer;
use tower_service::Service;

/// Answers in the place of a service that takes too long: `tower_http::timeout::TimeoutLayer`, whose timer is Tokio's, on the clock of the runtime,
/// so also in a simulation.
///
/// It counts from the call until the response is there; its body is not counted. What the service has begun with is dropped.
///
/// # Panics
/// Its service panics when it is called outside of a runtime.
///
/// # Examples
/// In front of a function; an axum router takes it by `Router::layer`.
/// ```
/// use posse::http::{Incoming, Request, Response, StatusCode, TimeoutLayer, service_fn};
/// use std::time::Duration;
/// use tower_layer::Layer;
///
/// let slow = service_fn(|_: Request<Incoming>| async {
///     posse::time::sleep(Duration::from_secs(60)).await;
///     std::io::Result::Ok(Response::new(String::new()))
/// });
/// let layer = TimeoutLayer::with_status_code(StatusCode::SERVICE_UNAVAILABLE, Duration::from_secs(10));
/// let limited = layer.layer(slow);
/// # fn serves(_: impl posse::http::HttpService) {}
/// # serves(limited);
/// ```
#[derive(Clone, Copy, Debug)]
pub struct TimeoutLayer {
    limit: Duration,
    status: StatusCode,
}

impl TimeoutLayer {
    /// Answers 408 (Request Timeout) after `limit`, as the layer of tower-http does.
    pub const fn new(limit: Duration) -> Self {
        Self::with_status_code(StatusCode::REQUEST_TIMEOUT, limit)
    }

    /// Answers with a status of one's own after `limit`: 503 or 504 say that it was not the client who was slow.
    pub const fn with_status_code(status: StatusCode, limit: Duration) -> Self {
        Self { limit, status }
    }
}

impl<S> Layer<S> for TimeoutLayer {
    type Service = Timeout<S>;

    fn layer(&self, service: S) -> Timeout<S> {
        Timeout { service, layer: *self }
    }
}

/// The service of a [`TimeoutLayer`].
#[derive(Clone, Copy, Debug)]
pub struct Timeout<S> {
    service: S,
    layer: TimeoutLayer,
}

impl<S, B, R: Default> Service<Request<B>> for Timeout<S>
where
    S: Service<Request<B>, Response = Response<R>>,
{
    type Response = Response<R>;
    type Error = S::Error;
    type Future = ResponseFuture<S::Future>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.service.poll_ready(cx)
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        let sleep = sleep(self.layer.limit);
        ResponseFuture { future: self.service.call(request), sleep, status: self.layer.status }
    }
}

pin_project! {
    /// The future of a [`Timeout`].
    #[derive(Debug)]
    pub struct ResponseFuture<F> {
        #[pin]
        future: F,
        sleep: Sleep,
        status: StatusCode,
    }
}

impl<F, R: Default, E> Future for ResponseFuture<F>
where
    F: Future<Output = Result<Response<R>, E>>,
{
    type Output = F::Output;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<F::Output> {
        let this = self.project();
        if let Poll::Ready(response) = this.future.poll(cx) {
            return Poll::Ready(response);
        }
        ready!(Pin::new(this.sleep).poll(cx));
        let mut response = Response::new(R::default());
        *response.status_mut() = *this.status;
        Poll::Ready(Ok(response))
    }
}
