//! The body of a response, whose panic ends its response alone.

use super::BoxError;
use super::traffic::{Open, Piece};
use hyper::body::{Body, Frame, SizeHint};
use pin_project_lite::pin_project;
use posse_core::task::catch;
use std::fmt;
use std::net::SocketAddr;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

pin_project! {
    /// The body that the service made; none of a response that the server gives in its place.
    pub(super) struct Answer<B> {
        #[pin]
        body: Option<B>,
        peer: SocketAddr,
        open: Option<Open>,
    }
}

impl<B> Answer<B> {
    pub(super) fn new(body: Option<B>, peer: SocketAddr, open: Option<Open>) -> Self {
        Self { body, peer, open }
    }
}

impl<B: Body<Error: Into<BoxError>>> Body for Answer<B> {
    type Data = Piece<B::Data>;
    type Error = BoxError;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Self::Data>, Self::Error>>> {
        let mut this = self.project();
        let Some(body) = this.body.as_mut().as_pin_mut() else { return Poll::Ready(None) };
        match catch(|| body.poll_frame(cx)) {
            Ok(polled) => {
                let frame = ready!(polled);
                let open = this.open.as_ref();
                let note = |data| Piece::new(data, open.map(Open::unsent));
                Poll::Ready(frame.map(|frame| frame.map(|frame| frame.map_data(note)).map_err(Into::into)))
            }
            Err(panic) => {
                say_panicked(*this.peer, &panic);
                // Its drop may panic as well; what it was is said already.
                let _ = catch(|| this.body.set(None));
                Poll::Ready(Some(Err(Box::new(Panicked))))
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        let Some(body) = &self.body else { return true };
        catch(|| body.is_end_stream()).unwrap_or_else(|panic| {
            say_panicked(self.peer, &panic);
            false
        })
    }

    fn size_hint(&self) -> SizeHint {
        let Some(body) = &self.body else { return SizeHint::with_exact(0) };
        catch(|| body.size_hint()).unwrap_or_else(|panic| {
            say_panicked(self.peer, &panic);
            SizeHint::default()
        })
    }
}

#[cold]
fn say_panicked(peer: SocketAddr, panic: &str) {
    posse_core::event!(ERROR, "posse::http", "the body of a response panicked", net.peer = %peer, reason = %panic);
}

/// Why a response ends whose body panicked.
#[derive(Debug)]
struct Panicked;

impl fmt::Display for Panicked {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the body panicked")
    }
}

impl std::error::Error for Panicked {}
