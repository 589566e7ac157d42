//! axum and hyper, driven by curl, wrk and h2load, and by hyper's own client.

use crate::counterparts::{self, Folder, run, skip};
use axum::body::{Body, Bytes, to_bytes};
use axum::routing::{get, post};
use axum::{Router, http::StatusCode};
use hyper::client::conn::{http1, http2};
use posse::http::{HttpService, Request};
use posse::hyper::{Executor, Timer};
use posse::net::{TcpListener, TcpStream};
use std::net::SocketAddr;

/// Serves in a task of its own until the runtime ends.
pub async fn serve(service: impl HttpService) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    posse::task::spawn(posse::http::serve(listener, service).into_future());
    address
}

fn router() -> Router {
    Router::new().route("/", get(|| async { "hello" })).route("/echo", post(|body: Bytes| async { body }))
}

#[posse::test]
async fn curl_gets_its_bytes_back_in_both_versions() {
    let (url, folder) = (format!("http://{}/echo", serve(router()).await), Folder::new("curl"));
    let (sent, received) = (folder.file("sent"), folder.file("received"));
    let bytes: Vec<u8> = (0..1_500_000u32).map(|n| (n % 251) as u8).collect();
    std::fs::write(&sent, &bytes).unwrap();
    for version in ["--http1.1", "--http2-prior-knowledge"] {
        let data = format!("@{sent}");
        let arguments =
            ["-sS", version, "--data-binary", &data, "-o", &received, "-w", "%{http_code} %{http_version}", &url];
        let Some(said) = run("curl", &arguments).await else { return skip("curl") };
        assert_eq!(said, if version == "--http1.1" { "200 1.1" } else { "200 2" });
        assert!(std::fs::read(&received).unwrap() == bytes, "{version}");
    }
    // More than axum lets through.
    std::fs::write(&sent, vec![0; 3_000_000]).unwrap();
    let data = format!("@{sent}");
    let arguments = ["-sS", "--data-binary", &data, "-o", &received, "-w", "%{http_code}", &url];
    assert_eq!(run("curl", &arguments).await.unwrap(), "413");
}

#[posse::test]
async fn wrk_finds_no_fault() {
    let url = format!("http://{}/", serve(router()).await);
    let Some(said) = run("wrk", &["-t1", "-c32", "-d1s", &url]).await else { return skip("wrk") };
    assert!(said.contains("Requests/sec") && !said.contains("errors") && !said.contains("Non-2xx"), "{said}");
}

#[posse::test]
async fn h2load_has_all_its_requests_answered() {
    let url = format!("http://{}/", serve(router()).await);
    let Some(said) = run("h2load", &["-n", "2000", "-c", "8", "-m", "20", &url]).await else { return skip("h2load") };
    assert!(said.contains("2000 succeeded, 0 failed, 0 errored, 0 timeout"), "{said}");
}

#[posse::test]
async fn clients_of_hyper_talk_to_it_in_both_versions() {
    let address = serve(router()).await;
    let post =
        || Request::post(format!("http://{address}/echo")).header("host", "here").body(Body::from("hello")).unwrap();

    let (mut client, connection) = http1::handshake(TcpStream::connect(address).await.unwrap()).await.unwrap();
    posse::task::spawn(connection);
    let response = client.send_request(post()).await.unwrap();
    assert_eq!(response.status(), StatusCode::OK);
    assert_eq!(to_bytes(Body::new(response.into_body()), 10).await.unwrap(), "hello");

    let mut builder = http2::Builder::new(Executor::new());
    builder.timer(Timer::new()).keep_alive_interval(posse::secs(10));
    let (mut client, connection) = builder.handshake(TcpStream::connect(address).await.unwrap()).await.unwrap();
    posse::task::spawn(connection);
    // All at once, on one connection.
    let responses: Vec<_> = (0..100).map(|_| client.send_request(post())).collect();
    for response in futures_util::future::join_all(responses).await {
        assert_eq!(to_bytes(Body::new(response.unwrap().into_body()), 10).await.unwrap(), "hello");
    }
}

#[posse::test]
async fn a_client_of_hyper_gets_a_file_from_pythons_server() {
    let folder = Folder::new("http-files");
    let expected: Vec<u8> = (0..1_500_000u32).map(|n| (n % 251) as u8).collect();
    std::fs::write(folder.file("file"), &expected).unwrap();
    let Some(server) = counterparts::http(folder.0.to_str().unwrap()) else { return skip("python3") };
    for (path, status) in [("/file", StatusCode::OK), ("/nothing", StatusCode::NOT_FOUND)] {
        let stream = TcpStream::connect(server.address).await.unwrap();
        let (mut client, connection) = http1::handshake(stream).await.unwrap();
        posse::task::spawn(connection);
        let request = Request::get(path).header("host", "here").body(Body::empty()).unwrap();
        let response = client.send_request(request).await.unwrap();
        assert_eq!(response.status(), status);
        let body = to_bytes(Body::new(response.into_body()), 2_000_000).await.unwrap();
        assert!(status != StatusCode::OK || body == expected);
    }
}
