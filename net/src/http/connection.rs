//! One connection: handshake, version, requests, and its end.

use super::prefixed::{Prefixed, Version};
use super::service::Handlers;
use super::{BoxError, Config, HttpService};
use crate::hyper::{Executor, Timer};
use hyper::rt::{Read, Write};
use hyper::server::conn::{http1, http2};
use posse_core::runtime::Handle;
use posse_core::sync::{CancellationToken, OwnedPermit};
use posse_core::time::{Elapsed, timeout};
use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::pin::{Pin, pin};

/// What all connections of a server share.
pub(super) struct Shared {
    http1: http1::Builder,
    http2: http2::Builder<Executor>,
    pub(super) config: Config,
    /// Requests that are being answered are answered, and no more begun.
    pub(super) ending: CancellationToken,
    /// Nothing more is done.
    pub(super) aborting: CancellationToken,
}

impl Shared {
    pub(super) fn new(config: Config) -> Self {
        let handle = Handle::current();
        let time = config.header_timeout;
        let mut http1 = http1::Builder::new();
        http1.timer(Timer::on(handle.clone())).header_read_timeout(time);
        let mut http2 = http2::Builder::new(Executor::on(handle.clone()));
        http2.timer(Timer::on(handle)).keep_alive_interval(time).keep_alive_timeout(time);
        Self { http1, http2, config, ending: CancellationToken::new(), aborting: CancellationToken::new() }
    }

    /// Answers the requests of a connection. `ending` and `aborting` are its own: those of the server are locked by who looks at them.
    pub(super) async fn converse<I, H, S>(&self, stream: H, handlers: Handlers<S>, permit: OwnedPermit)
    where
        H: Future<Output = io::Result<I>>,
        I: Read + Write + Send + Unpin + 'static,
        S: HttpService,
    {
        let peer = handlers.peer;
        let (ending, aborting) = (self.ending.child_token(), self.aborting.child_token());
        let beginning = timeout(self.config.header_timeout, async {
            let mut stream = Prefixed::new(stream.await?, permit);
            let version = stream.version().await?;
            io::Result::Ok((stream, version))
        });
        let result = match ending.run_until_cancelled(beginning).await {
            // No request has been begun.
            None => return,
            Some(Ok(Ok((_, Version::Silent)))) => return,
            Some(Ok(Ok((stream, Version::Http1)))) => {
                let conversation = self.http1.serve_connection(stream, handlers).with_upgrades();
                drive(conversation, &ending, &aborting).await
            }
            Some(Ok(Ok((stream, Version::Http2)))) => {
                drive(self.http2.serve_connection(stream, handlers), &ending, &aborting).await
            }
            Some(Ok(Err(error))) => Err(error.into()),
            Some(Err(Elapsed)) => Err("no request within the time for its head".into()),
        };
        if let Err(error) = result {
            say_failed(peer, &error);
        }
    }
}

/// Drives a connection to its end.
async fn drive<C: Conversation>(
    conversation: C,
    ending: &CancellationToken,
    aborting: &CancellationToken,
) -> Result<(), BoxError> {
    let mut conversation = pin!(conversation);
    if let Some(result) = ending.run_until_cancelled(conversation.as_mut()).await {
        return result.map_err(Into::into);
    }
    conversation.as_mut().end_gracefully();
    aborting.run_until_cancelled(conversation).await.unwrap_or(Ok(())).map_err(Into::into)
}

/// What the connections of both versions have in common.
trait Conversation: Future<Output = hyper::Result<()>> {
    fn end_gracefully(self: Pin<&mut Self>);
}

impl<I, S> Conversation for http1::UpgradeableConnection<I, Handlers<S>>
where
    I: Read + Write + Send + Unpin + 'static,
    S: HttpService,
{
    fn end_gracefully(self: Pin<&mut Self>) {
        self.graceful_shutdown();
    }
}

impl<I, S> Conversation for http2::Connection<I, Handlers<S>, Executor>
where
    I: Read + Write + Unpin + 'static,
    S: HttpService,
{
    fn end_gracefully(self: Pin<&mut Self>) {
        self.graceful_shutdown();
    }
}

/// Clients break connections all the time, so it is nothing to worry about.
fn say_failed(peer: SocketAddr, error: &BoxError) {
    let cause = error.source().map(|cause| format!(": {cause}")).unwrap_or_default();
    posse_core::event!(
        DEBUG, "posse::http", "a connection failed", net.peer = %peer, reason = %format_args!("{error}{cause}"),
    );
}
