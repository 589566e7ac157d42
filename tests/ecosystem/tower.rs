//! Layers of tower that need no timer of Tokio.

use crate::counterparts::{find, run, skip};
use axum::error_handling::HandleErrorLayer;
use axum::http::StatusCode;
use axum::{BoxError, Router, routing::get};
use posse::http::{Incoming, Request, Response, service_fn};
use posse::sync::Notify;
use std::convert::Infallible;
use std::sync::Arc;
use tower::limit::{ConcurrencyLimitLayer, GlobalConcurrencyLimitLayer};
use tower::load_shed::error::Overloaded;
use tower::{Service, ServiceBuilder, ServiceExt};

#[posse::test]
async fn a_limit_holds_requests_back_and_a_load_shed_refuses_them() {
    let gate = Arc::new(Notify::new());
    let opened = gate.clone();
    let slow = tower::service_fn(move |n: u64| {
        let gate = gate.clone();
        async move {
            gate.notified().await;
            Ok::<_, Infallible>(n)
        }
    });
    let limited = ServiceBuilder::new().layer(ConcurrencyLimitLayer::new(1)).service(slow);

    let first = posse::task::spawn(limited.clone().oneshot(1));
    posse::task::yield_now().await;
    let second = posse::task::spawn(limited.clone().oneshot(2));
    // It is in the line before the one that sheds, whose place is held as long as that one lives.
    posse::task::yield_now().await;
    let mut shedding = ServiceBuilder::new().load_shed().service(limited);
    while !first.is_finished() {
        let refused = shedding.ready().await.unwrap().call(3).await.unwrap_err();
        assert!(refused.is::<Overloaded>());
        opened.notify_one();
        posse::task::yield_now().await;
    }
    drop(shedding);
    opened.notify_one();
    assert_eq!((first.await.unwrap(), second.await.unwrap()), (Ok(1), Ok(2)));
}

/// The server takes a stack of layers as it takes a router.
#[posse::test]
async fn the_server_serves_through_layers() {
    let hello = service_fn(|_: Request<Incoming>| async { Ok::<_, Infallible>(Response::new("hello".to_owned())) });
    let layered = ServiceBuilder::new().load_shed().concurrency_limit(10).service(hello);
    let address = crate::http::serve(layered).await;
    let stream = posse::net::TcpStream::connect(address).await.unwrap();
    let (mut client, connection) = hyper::client::conn::http1::handshake(stream).await.unwrap();
    posse::task::spawn(connection);
    let request = Request::get("/").header("host", "here").body(String::new()).unwrap();
    assert_eq!(client.send_request(request).await.unwrap().status(), 200);
}

/// One request is held by its handler, so the next is refused; when it is let go there is room again.
#[posse::test]
async fn curl_is_refused_by_a_load_shed_while_another_holds_the_place() {
    if find("curl").is_none() {
        return skip("curl");
    }
    let (entered, gate) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
    let (entering, held) = (entered.clone(), gate.clone());
    let handler = move || {
        let (entering, held) = (entering.clone(), held.clone());
        async move {
            entering.notify_one();
            held.notified().await;
            "done"
        }
    };
    let refused = HandleErrorLayer::new(|_: BoxError| async { StatusCode::SERVICE_UNAVAILABLE });
    let layers = ServiceBuilder::new().layer(refused).load_shed().layer(GlobalConcurrencyLimitLayer::new(1));
    let url = format!("http://{}/", crate::http::serve(Router::new().route("/", get(handler)).layer(layers)).await);
    let ask = move || {
        let url = url.clone();
        async move { run("curl", &["-sS", "-w", " %{http_code}", &url]).await }
    };
    let first = posse::task::spawn(ask());
    entered.notified().await;
    assert_eq!(ask().await.unwrap(), " 503");
    gate.notify_one();
    assert_eq!(first.await.unwrap().unwrap(), "done 200");
    gate.notify_one();
    assert_eq!(ask().await.unwrap(), "done 200");
}
