//! Layers of tower that need no timer of Tokio.

use posse::http::{Request, Response, service_fn};
use posse::sync::Notify;
use std::convert::Infallible;
use std::sync::Arc;
use tower::limit::ConcurrencyLimitLayer;
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
    let mut shedding = ServiceBuilder::new().load_shed().service(limited);
    while !first.is_finished() {
        let refused = shedding.ready().await.unwrap().call(3).await.unwrap_err();
        assert!(refused.is::<Overloaded>());
        opened.notify_one();
        posse::task::yield_now().await;
    }
    opened.notify_one();
    assert_eq!((first.await.unwrap(), second.await.unwrap()), (Ok(1), Ok(2)));
}

/// The server takes a stack of layers as it takes a router.
#[posse::test]
async fn the_server_serves_through_layers() {
    let hello = service_fn(|_: Request<_>| async { Ok::<_, Infallible>(Response::new("hello".to_owned())) });
    let layered = ServiceBuilder::new().load_shed().concurrency_limit(10).service(hello);
    let address = crate::http::serve(layered).await;
    let stream = posse::net::TcpStream::connect(address).await.unwrap();
    let (mut client, connection) = hyper::client::conn::http1::handshake(stream).await.unwrap();
    posse::task::spawn(connection);
    let request = Request::get("/").header("host", "here").body(String::new()).unwrap();
    assert_eq!(client.send_request(request).await.unwrap().status(), 200);
}
