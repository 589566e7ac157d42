//! QUIC by quinn, over `posse-quinn`: against itself, and in both directions against ngtcp2 with GnuTLS, whose programs speak HTTP/3. What is
//! needed of that is written here by hand: requests and answers of one frame with a head, whose fields are those of the static table.

use crate::counterparts::{self, Folder, run, skip};
use crate::tls::secrets;
use futures_rustls::rustls::{ClientConfig as ClientTls, ServerConfig as ServerTls};
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

/// A number of QUIC's and HTTP/3's, in the longest form but one.
fn number(n: usize) -> [u8; 4] {
    (n as u32 | 0x8000_0000).to_be_bytes()
}

fn frame(kind: u8, payload: &[u8]) -> Vec<u8> {
    [&[kind][..], &number(payload.len()), payload].concat()
}

const DATA: u8 = 0;
const HEAD: u8 = 1;
/// The type of the control stream, and a frame of settings without any.
const CONTROL: [u8; 3] = [0, 4, 0];

/// Takes a number from the front of a message.
fn take_number(bytes: &mut &[u8]) -> Option<usize> {
    let len = 1 << (bytes.first()? >> 6);
    let (number, rest) = bytes.split_at_checked(len)?;
    *bytes = rest;
    let first = usize::from(number[0] & 0x3f);
    Some(number[1..].iter().fold(first, |number, byte| number << 8 | usize::from(*byte)))
}

/// The data of a whole message, and nothing of its head.
fn data(mut message: &[u8]) -> Vec<u8> {
    let mut data = Vec::new();
    while let Some(kind) = take_number(&mut message) {
        let len = take_number(&mut message).expect("a frame has a length");
        let (payload, rest) = message.split_at(len);
        message = rest;
        if kind == usize::from(DATA) {
            data.extend_from_slice(payload);
        }
    }
    data
}

/// Answers every request of the first connection with what was sent, until the client goes.
async fn echo_http3(endpoint: Endpoint) -> usize {
    let connection = endpoint.accept().await.unwrap().await.unwrap();
    let mut control = connection.open_uni().await.unwrap();
    control.write_all(&CONTROL).await.unwrap();
    // Those of the client stay open as well, for as long as the connection does.
    let streams = connection.clone();
    let open = posse::task::spawn(async move {
        let mut open = Vec::new();
        while let Ok(stream) = streams.accept_uni().await {
            open.push(stream);
        }
    });
    let mut requests = 0;
    while let Ok((mut send, mut receive)) = connection.accept_bi().await {
        requests += 1;
        posse::task::spawn(async move {
            let sent = data(&receive.read_to_end(2 * LEN).await.unwrap());
            // `:status: 200` is the field 25.
            let answer = [frame(HEAD, &[0, 0, 0xc0 | 25]), frame(DATA, &sent)].concat();
            send.write_all(&answer).await.unwrap();
            send.finish().unwrap();
        });
    }
    open.await.unwrap();
    requests
}

#[posse::test]
async fn ngtcp2_gets_its_bytes_back_from_quinn() {
    let Some(secrets) = secrets("quic-server").await else { return skip("openssl") };
    let mut server = ServerTls::clone(&secrets.server);
    server.alpn_protocols = vec![b"h3".to_vec()];
    let server = ServerConfig::with_crypto(Arc::new(QuicServerConfig::try_from(server).unwrap()));
    let server = posse_quinn::server(server, "127.0.0.1:0".parse().unwrap()).unwrap();
    let port = server.local_addr().unwrap().port().to_string();
    let serving = posse::task::spawn(echo_http3(server));

    let (folder, received) = (Folder::new("quic"), Folder::new("quic-received"));
    let sent: Vec<u8> = (0..LEN).map(|n| (n % 251) as u8).collect();
    std::fs::write(folder.file("sent"), &sent).unwrap();
    let (file, place) = (folder.file("sent"), received.0.to_str().unwrap());
    let mut arguments = vec!["--quiet", "--exit-on-all-streams-close", "--http-method=POST", "--nstreams=4"];
    let urls: Vec<_> = (0..4).map(|n| format!("https://localhost:{port}/{n}")).collect();
    arguments.extend(["--data", &file, "--download", place, "127.0.0.1", &port]);
    arguments.extend(urls.iter().map(String::as_str));
    if run("gtlsclient", &arguments).await.is_none() {
        return skip("gtlsclient");
    }
    for n in 0..4 {
        assert!(std::fs::read(received.file(&n.to_string())).unwrap() == sent, "request {n}");
    }
    assert_eq!(serving.await.unwrap(), 4);
}

#[posse::test]
async fn quinn_gets_a_file_from_ngtcp2() {
    let Some(secrets) = secrets("quic-client").await else { return skip("openssl") };
    let folder = Folder::new("quic-files");
    let expected: Vec<u8> = (0..LEN).map(|n| (n % 241) as u8).collect();
    std::fs::write(folder.file("file"), &expected).unwrap();
    let server = counterparts::http3(&secrets.key, &secrets.file, folder.0.to_str().unwrap());
    let Some(server) = server else { return skip("gtlsserver") };

    let mut tls = ClientTls::clone(&secrets.client);
    tls.alpn_protocols = vec![b"h3".to_vec()];
    let mut client = posse_quinn::client("127.0.0.1:0".parse().unwrap()).unwrap();
    client.set_default_client_config(ClientConfig::new(Arc::new(QuicClientConfig::try_from(tls).unwrap())));
    let connection = client.connect(server.address, "localhost").unwrap().await.unwrap();
    let mut control = connection.open_uni().await.unwrap();
    control.write_all(&CONTROL).await.unwrap();

    let requests = (0..4).map(|_| {
        let connection = connection.clone();
        posse::task::spawn(async move {
            let (mut send, mut receive) = connection.open_bi().await.unwrap();
            // `:method: GET` is the field 17, `:scheme: https` 23; the names `:authority` and `:path` are those of 0 and 1.
            let head = [&[0, 0, 0xc0 | 17, 0xc0 | 23, 0x50, 9][..], b"localhost", &[0x51, 5], b"/file"].concat();
            send.write_all(&frame(HEAD, &head)).await.unwrap();
            send.finish().unwrap();
            data(&receive.read_to_end(2 * LEN).await.unwrap())
        })
    });
    for answer in requests.collect::<Vec<_>>() {
        assert!(answer.await.unwrap() == expected);
    }
    // HTTP/3 calls that no error.
    connection.close(0x100u32.into(), b"");
    client.wait_idle().await;
}
