//! `metrics` with the Prometheus exporter, its text served by a router.

use crate::counterparts::{find, run, skip};
use axum::{Router, routing::get};
use metrics_exporter_prometheus::PrometheusBuilder;
use posse::http::Request;
use posse::net::TcpStream;

#[posse::test]
async fn what_is_counted_is_exported() {
    let prometheus = PrometheusBuilder::new().install_recorder().unwrap();
    metrics::describe_counter!("requests_total", "requests that were answered");
    metrics::describe_gauge!("temperature_celsius", "how warm it is");
    metrics::gauge!("temperature_celsius", "room" => "kitchen \"upstairs\"").set(21.5);
    metrics::describe_histogram!("wait_seconds", "how long requests waited");
    metrics::histogram!("wait_seconds").record(0.25);
    let router = Router::new()
        .route("/", get(|| async { metrics::counter!("requests_total").increment(1) }))
        .route("/metrics", get(move || async move { prometheus.render() }));
    let address = crate::http::serve(router).await;

    let (mut client, connection) =
        hyper::client::conn::http1::handshake(TcpStream::connect(address).await.unwrap()).await.unwrap();
    posse::task::spawn(connection);
    let mut text = String::new();
    for path in ["/", "/", "/metrics"] {
        client.ready().await.unwrap();
        let request = Request::get(path).header("host", "here").body(String::new()).unwrap();
        let body = axum::body::Body::new(client.send_request(request).await.unwrap().into_body());
        text = String::from_utf8(axum::body::to_bytes(body, 1 << 20).await.unwrap().to_vec()).unwrap();
    }
    assert!(text.contains("# TYPE requests_total counter\nrequests_total 2\n"), "{text}");

    let Some(promtool) = find("promtool") else { return skip("promtool") };
    let command = format!("curl -sS http://{address}/metrics | {} check metrics", promtool.display());
    assert_eq!(run("sh", &["-c", &command]).await.unwrap(), "");
}
