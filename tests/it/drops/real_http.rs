//! A server, and a request with a limit on its time, are dropped at every moment.

use super::{at_every_moment, at_every_real_moment};
use axum::Router;
use axum::body::Body;
use axum::routing::get;
use posse::http::{Request, StatusCode, TimeoutLayer, serve};
use posse::prelude::*;
use posse::runtime::Handle;
use posse::sync::oneshot;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use tower_service::Service;

#[test]
fn a_server_that_is_dropped_ends_all_its_connections() {
    at_every_real_moment(async |moment| {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let mut client = TcpStream::connect(address).await.unwrap();
        client.write_all(b"GET / HTTP/1.1\r\nhost: here\r\n\r\n").await.unwrap();
        let (end, ended) = oneshot::channel::<()>();
        let router = Router::new().route("/", get(async || "hello"));
        let server = serve(listener, router).with_graceful_shutdown(async { ended.await.unwrap_or(()) });
        let served = moment.cut(server.into_future(), || _ = end.send(())).await.map(|served| served.unwrap());

        // It ends, with an answer or without, and the address is free.
        let mut answer = Vec::new();
        let read = client.read_to_end(&mut answer).await;
        assert!(read.is_err() || answer.is_empty() || answer.ends_with(b"hello"), "{moment:?}");
        assert_eq!(Handle::current().alive_tasks(), 0, "{moment:?}: a connection outlives its server");
        TcpListener::bind(address).await.unwrap();
        served.is_some()
    });
}

struct CountDrop(Arc<AtomicUsize>);

impl Drop for CountDrop {
    fn drop(&mut self) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }
}

#[test]
fn a_request_with_a_limit_drops_its_handler() {
    at_every_moment(async |moment| {
        let drops = Arc::new(AtomicUsize::new(0));
        let (go, gone) = oneshot::channel::<()>();
        let guard = Arc::new(std::sync::Mutex::new(Some((CountDrop(drops.clone()), gone))));
        let handler = async move || {
            let (_guard, gone) = guard.lock().unwrap().take().unwrap();
            let _ = gone.await;
            "late"
        };
        let mut router: Router = Router::new().route("/", get(handler)).layer(TimeoutLayer::new(secs(5)));
        let request = Request::get("/").body(Body::empty()).unwrap();
        let answered = moment.cut(Service::call(&mut router, request), || _ = go.send(())).await;
        assert!(answered.as_ref().is_none_or(|answer| answer.as_ref().unwrap().status() == StatusCode::OK));
        assert_eq!(drops.load(Ordering::SeqCst), usize::from(moment.begins()), "{moment:?}");
        assert_eq!(Handle::current().metrics().num_timers(), 0, "{moment:?}");
        answered.is_some()
    });
}
