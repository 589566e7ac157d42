//! One connection: handshake, version, requests, and its end.

use super::config::MAX_HEADERS;
use super::prefixed::{Prefixed, Version};
use super::service::Handlers;
use super::traffic::{Fault, Traffic, Watch};
use super::{BoxError, Config, HttpService};
use crate::hyper::{Executor, Timer};
use hyper::rt::{Read, Write};
use hyper::server::conn::{http1, http2};
use posse_core::runtime::{Flavor, Handle};
use posse_core::sync::{CancellationToken, OwnedSemaphorePermit};
use posse_core::time::error::Elapsed;
use posse_core::time::timeout;
use std::future::{Future, poll_fn};
use std::io;
use std::net::SocketAddr;
use std::pin::{Pin, pin};
use std::task::{Context, Poll, ready};
use std::time::Duration;

/// Requests of HTTP/2 that a client takes back before they were looked at; one more ends its connection ("rapid reset"). What h2 takes.
const PENDING_RESETS_MAX: usize = 20;

/// Streams of HTTP/2 that the server resets for errors of the client before it ends the connection. What h2 takes.
const ERROR_RESETS_MAX: usize = 1024;

/// What is longer is as long.
const HEADER_TIMEOUT_MAX: Duration = Duration::from_secs(365 * 24 * 3600);

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
        // hyper adds it to the time of day, which must not overflow.
        let time = (config.header_timeout != Duration::MAX).then_some(config.header_timeout.min(HEADER_TIMEOUT_MAX));
        let size = config.max_header_size;
        // hyper's dates are of the system's clock, and a simulated run must depend on nothing but its seed.
        let has_date = handle.flavor() != Flavor::Simulated;
        let mut http1 = http1::Builder::new();
        http1.timer(Timer::on(handle.clone())).header_read_timeout(time).auto_date_header(has_date);
        http1.max_header_size(size);
        if config.max_headers != MAX_HEADERS {
            // hyper allocates for each head then.
            http1.max_headers(config.max_headers);
        }
        let mut http2 = http2::Builder::new(Executor::on(handle.clone()));
        http2.timer(Timer::on(handle)).keep_alive_interval(time).auto_date_header(has_date);
        http2.keep_alive_timeout(time.unwrap_or(HEADER_TIMEOUT_MAX));
        http2.max_header_list_size(u32::try_from(size).unwrap_or(u32::MAX));
        http2.max_concurrent_streams(config.max_concurrent_streams);
        http2.max_pending_accept_reset_streams(PENDING_RESETS_MAX);
        http2.max_local_error_reset_streams(ERROR_RESETS_MAX);
        Self { http1, http2, config, ending: CancellationToken::new(), aborting: CancellationToken::new() }
    }

    /// Answers the requests of a connection. `ending` and `aborting` are its own: those of the server are locked by who looks at them.
    pub(super) async fn converse<I, H, S>(&self, stream: H, mut handlers: Handlers<S>, permit: OwnedSemaphorePermit)
    where
        H: Future<Output = io::Result<I>>,
        I: Read + Write + Send + Unpin + 'static,
        S: HttpService,
    {
        let peer = handlers.peer;
        let (ending, aborting) = (self.ending.child_token(), self.aborting.child_token());
        let beginning = timeout(self.config.header_timeout, async {
            let mut stream = Prefixed::new(stream.await?, permit, self.config.write_timeout);
            let version = stream.version().await?;
            io::Result::Ok((stream, version))
        });
        let result = match ending.run_until_cancelled(beginning).await {
            // No request has been begun.
            None => return,
            Some(Ok(Ok((_, Version::Silent)))) => return,
            Some(Ok(Ok((stream, Version::Http1)))) => {
                let conversation = self.http1.serve_connection(stream, handlers).with_upgrades();
                drive(conversation, None, &ending, &aborting).await
            }
            Some(Ok(Ok((stream, Version::Http2)))) => {
                let traffic = Traffic::new(Handle::current());
                handlers.traffic = Some(traffic.clone());
                let watch = Watch::new(traffic, self.config.idle_timeout, self.config.write_timeout);
                drive(self.http2.serve_connection(stream, handlers), Some(watch), &ending, &aborting).await
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
    mut watch: Option<Watch>,
    ending: &CancellationToken,
    aborting: &CancellationToken,
) -> Result<(), BoxError> {
    let mut conversation = pin!(conversation);
    let watched = poll_fn(|cx| poll_watched(conversation.as_mut(), &mut watch, cx));
    if let Some(result) = ending.run_until_cancelled(watched).await {
        return result;
    }
    conversation.as_mut().end_gracefully();
    if let Some(watch) = &mut watch {
        watch.end();
    }
    let watched = poll_fn(|cx| poll_watched(conversation.as_mut(), &mut watch, cx));
    aborting.run_until_cancelled(watched).await.unwrap_or_else(|| Err("cut off at the end of the server".into()))
}

/// Polls a connection, and ends one that is idle or takes nothing.
fn poll_watched<C: Conversation>(
    mut conversation: Pin<&mut C>,
    watch: &mut Option<Watch>,
    cx: &mut Context<'_>,
) -> Poll<Result<(), BoxError>> {
    loop {
        if let Poll::Ready(result) = conversation.as_mut().poll(cx) {
            return Poll::Ready(result.map_err(Into::into));
        }
        let Some(watch) = watch else { return Poll::Pending };
        match ready!(watch.poll(cx)) {
            Fault::Stalled => return Poll::Ready(Err("the client reads nothing".into())),
            Fault::Idle => {
                watch.end();
                conversation.as_mut().end_gracefully();
            }
        }
    }
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
