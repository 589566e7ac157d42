//! The body of a request, with a limit on how long its client may be silent.

use super::standstill::Standstill;
use hyper::body::{Body, Bytes, Frame, Incoming as Received, SizeHint};
use std::fmt;
use std::io::{Error, ErrorKind};
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

/// The body of a request as it comes in.
///
/// # Errors
/// `TimedOut` if the client sends nothing for [`Config::body_timeout`](super::Config::body_timeout) while it is read; what hyper says of
/// one that breaks off. Only the time of waiting counts: a handler that does not read keeps no client from sending.
///
/// # Cancel safety
/// A read that is dropped loses nothing.
///
/// # Examples
/// ```
/// use posse::http::{Incoming, Request, Response, service_fn};
/// use hyper::body::Body;
///
/// let service = service_fn(|request: Request<Incoming>| async move {
///     std::io::Result::Ok(Response::new(format!("{:?} bytes", request.body().size_hint().exact())))
/// });
/// ```
pub struct Incoming {
    body: Received,
    silence: Standstill,
}

impl Incoming {
    pub(super) fn new(body: Received, limit: Duration) -> Self {
        Self { body, silence: Standstill::new(limit) }
    }
}

impl Body for Incoming {
    type Data = Bytes;
    type Error = Error;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Error>>> {
        let this = &mut *self;
        if let Poll::Ready(frame) = Pin::new(&mut this.body).poll_frame(cx) {
            this.silence.moved();
            return Poll::Ready(frame.map(|frame| frame.map_err(Error::other)));
        }
        this.silence.poll(cx).map(|()| {
            // Who reads on all the same waits as long again.
            this.silence.moved();
            Some(Err(Error::new(ErrorKind::TimedOut, "the client sends nothing of the body")))
        })
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

impl fmt::Debug for Incoming {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.body.fmt(f)
    }
}
