//! QUIC by quinn, over `posse-quinn`.

use crate::counterparts::skip;
use crate::tls::secrets;
use futures_rustls::rustls::ServerConfig as ServerTls;
use quinn::crypto::rustls::{QuicClientConfig, QuicServerConfig};
use quinn::{ClientConfig, Endpoint, ServerConfig};
use std::net::SocketAddr;
use std::sync::Arc;

const STREAMS: usize = 8;
const LEN: usize = 1 << 20;

/// Echoes every stream of the first connection.
async fn echo(endpoint: Endpoint) {
    let connection = endpoint.accept().await.unwrap().await.unwrap();
    while let Ok((mut send, mut receive)) = connection.accept_bi().await {
        posse::task::spawn(async move {
            let bytes = receive.read_to_end(LEN).await.unwrap();
            send.write_all(&bytes).await.unwrap();
            send.finish().unwrap();
        });
    }
}

#[posse::test]
async fn quinn_echoes_many_streams_at_once() {
    let Some(secrets) = secrets("quic").await else { return skip("openssl") };
    let address: SocketAddr = "127.0.0.1:0".parse().unwrap();
    // The protocols that the certificate's other users name are those of HTTP.
    let mut server = ServerTls::clone(&secrets.server);
    server.alpn_protocols.clear();
    let server = QuicServerConfig::try_from(server).unwrap();
    let server = posse_quinn::server(ServerConfig::with_crypto(Arc::new(server)), address).unwrap();
    let address = server.local_addr().unwrap();
    let serving = posse::task::spawn(echo(server));

    let mut client = posse_quinn::client("127.0.0.1:0".parse().unwrap()).unwrap();
    client.set_default_client_config(ClientConfig::new(Arc::new(QuicClientConfig::try_from(secrets.client).unwrap())));
    let connection = client.connect(address, "localhost").unwrap().await.unwrap();
    let streams = (0..STREAMS).map(|n| {
        let connection = connection.clone();
        posse::task::spawn(async move {
            let (mut send, mut receive) = connection.open_bi().await.unwrap();
            let sent = vec![n as u8; LEN];
            send.write_all(&sent).await.unwrap();
            send.finish().unwrap();
            assert!(receive.read_to_end(LEN).await.unwrap() == sent);
        })
    });
    for stream in streams.collect::<Vec<_>>() {
        stream.await.unwrap();
    }
    connection.close(0u32.into(), b"done");
    client.wait_idle().await;
    serving.await.unwrap();
}
