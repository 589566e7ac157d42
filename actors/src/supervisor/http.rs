//! A listener that serves HTTP, as a child of a supervisor.

use super::listener::Listener;
use crate::actor::Actor;
use crate::actor::context::Context;
use crate::actor::spec::Spec;
use crate::error::Result;
use posse_net::TcpListener;
use posse_net::http::{Config, HttpService, serve};
use std::time::Duration;

/// What an actor that serves HTTP has beyond the time for its requests, so that it ends by itself.
const LEEWAY: Duration = Duration::from_secs(1);

impl Listener {
    /// Serves HTTP, version 1 and 2, by any service of tower's kind: an axum router, a tonic service, a
    /// [`service_fn`](crate::http::service_fn). The listener does not start if it cannot listen. When it is to end, it answers the
    /// requests that it has begun with.
    ///
    /// # Examples
    /// ```no_run
    /// use posse::http::{Incoming, Request, Response, service_fn};
    /// use posse::prelude::*;
    ///
    /// // Or an `axum::Router`.
    /// let hello = service_fn(|_: Request<Incoming>| async { std::io::Result::Ok(Response::new("hello".to_owned())) });
    /// Supervisor::one_for_one().child(Listener::tcp("127.0.0.1:8080").http(hello).name("http")).main()?;
    /// # posse::Result::Ok(())
    /// ```
    pub fn http<S: HttpService>(self, service: S) -> Spec<HttpServer<S>> {
        self.http_with(service, Config::default())
    }

    /// As [`http`](Self::http), with settings. The maximum of connections is the listener's, and the child has a second more than
    /// [`Config::grace`] to stop, unless [`Spec::stop_within`] says otherwise afterwards.
    ///
    /// # Examples
    /// ```no_run
    /// use posse::http::{Config, Incoming, Request, Response, service_fn};
    /// use posse::prelude::*;
    ///
    /// let hello = service_fn(|_: Request<Incoming>| async { std::io::Result::Ok(Response::new("hello".to_owned())) });
    /// let listener = Listener::tcp("127.0.0.1:8080").max_connections(500);
    /// let child = listener.http_with(hello, Config::new().header_timeout(secs(5)).grace(secs(20)));
    /// Supervisor::one_for_one().child(child).main()?;
    /// # posse::Result::Ok(())
    /// ```
    pub fn http_with<S: HttpService>(self, service: S, config: Config) -> Spec<HttpServer<S>> {
        let config = config.max_connections(self.max);
        let stop_within = config.get_grace().saturating_add(LEEWAY);
        let make = move || HttpServer {
            listener: self.clone(),
            service: service.clone(),
            config: config.clone(),
            socket: None,
        };
        Spec::new(make).stop_within(stop_within)
    }
}

/// The actor of [`Listener::http`].
#[doc(hidden)]
pub struct HttpServer<S> {
    listener: Listener,
    service: S,
    config: Config,
    /// `None` until it has started.
    socket: Option<TcpListener>,
}

impl<S: HttpService> Actor for HttpServer<S> {
    async fn started(&mut self, _: &mut Context<Self>) -> Result {
        self.socket = Some(self.listener.bind().await?);
        Ok(())
    }

    async fn run(&mut self, ctx: &mut Context<Self>) -> Result {
        let Some(socket) = self.socket.take() else { return Ok(()) };
        let server = serve(socket, self.service.clone()).config(self.config.clone());
        server.with_graceful_shutdown(ctx.stopping()).await?;
        Ok(())
    }
}
