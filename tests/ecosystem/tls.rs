//! TLS by futures-rustls, on the traits of futures-io, and by tokio-rustls, on Tokio's; each against the other and against curl.

use crate::counterparts::{Folder, run, skip};
use axum::{Router, routing::get};
use futures_rustls::rustls::pki_types::pem::PemObject;
use futures_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use futures_rustls::rustls::{ClientConfig, RootCertStore, ServerConfig};
use posse::hyper::Io;
use posse::net::{TcpListener, TcpStream};
use std::net::SocketAddr;
use std::sync::Arc;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

/// A certificate for this test, made by openssl, in files and as configurations of both ends.
pub struct Secrets {
    pub key: String,
    pub file: String,
    pub server: Arc<ServerConfig>,
    pub client: Arc<ClientConfig>,
    _folder: Folder,
}

pub async fn secrets(name: &str) -> Option<Secrets> {
    let folder = Folder::new(name);
    let (key, file) = (folder.file("key"), folder.file("certificate"));
    let kind = ["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2"];
    let whose = ["-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost"];
    let uses = ["-addext", "basicConstraints=critical,CA:FALSE", "-keyout", &key, "-out", &file];
    run("openssl", &[&kind[..], &whose, &uses].concat()).await?;

    let certificate = CertificateDer::from_pem_file(&file).unwrap();
    let mut roots = RootCertStore::empty();
    roots.add(certificate.clone()).unwrap();
    let private = PrivateKeyDer::from_pem_file(&key).unwrap();
    let server = ServerConfig::builder().with_no_client_auth().with_single_cert(vec![certificate], private);
    let mut server = server.unwrap();
    server.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    let client = ClientConfig::builder().with_root_certificates(roots).with_no_client_auth();
    Some(Secrets { key, file, server: Arc::new(server), client: Arc::new(client), _folder: folder })
}

async fn serve_https(server: Arc<ServerConfig>) -> SocketAddr {
    let tls = futures_rustls::TlsAcceptor::from(server);
    let handshake = move |stream| {
        let accepted = tls.accept(stream);
        async move { Ok(Io::new(accepted.await?)) }
    };
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let router = Router::new().route("/", get(|| async { "secret" }));
    posse::task::spawn(posse::http::serve(listener, router).handshake(handshake).into_future());
    address
}

#[posse::test]
async fn https_of_futures_rustls_is_understood_by_curl() {
    let Some(secrets) = secrets("https").await else { return skip("openssl") };
    let address = serve_https(secrets.server).await;
    let (url, resolve) =
        (format!("https://localhost:{}/", address.port()), format!("localhost:{}:127.0.0.1", address.port()));
    for (version, answer) in [("--http1.1", "secret 1.1"), ("--http2", "secret 2")] {
        let arguments =
            ["-sS", version, "--cacert", &secrets.file, "--resolve", &resolve, "-w", " %{http_version}", &url];
        let Some(said) = run("curl", &arguments).await else { return skip("curl") };
        assert_eq!(said, answer);
    }
}

#[posse::test]
async fn a_client_of_tokio_rustls_talks_to_a_server_of_futures_rustls() {
    let Some(secrets) = secrets("client").await else { return skip("openssl") };
    let address = serve_https(secrets.server).await;
    let tls = tokio_rustls::TlsConnector::from(secrets.client);
    let name = ServerName::try_from("localhost").unwrap();
    let mut stream = tls.connect(name, TcpStream::connect(address).await.unwrap()).await.unwrap();
    stream.write_all(b"GET / HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n").await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 200 OK") && answer.ends_with("secret"), "{answer}");
}

#[posse::test]
async fn a_server_of_tokio_rustls_echoes_a_megabyte_to_a_client_of_futures_rustls() {
    let Some(secrets) = secrets("server").await else { return skip("openssl") };
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let tls = tokio_rustls::TlsAcceptor::from(secrets.server);
    posse::task::spawn(async move {
        let stream = tls.accept(listener.accept().await.unwrap().0).await.unwrap();
        let (mut read, mut write) = tokio::io::split(stream);
        tokio::io::copy(&mut read, &mut write).await.unwrap();
        write.shutdown().await.unwrap();
    });

    let connector = futures_rustls::TlsConnector::from(secrets.client);
    let name = ServerName::try_from("localhost").unwrap();
    let stream = connector.connect(name, TcpStream::connect(address).await.unwrap()).await.unwrap();
    let sent: Vec<u8> = (0..1_000_000u32).map(|n| (n % 251) as u8).collect();
    let (mut read, mut write) = posse::io::split(stream);
    let bytes = sent.clone();
    let writing = posse::task::spawn(async move {
        posse::io::AsyncWriteExt::write_all(&mut write, &bytes).await.unwrap();
        posse::io::AsyncWriteExt::shutdown(&mut write).await.unwrap();
    });
    let mut received = Vec::new();
    posse::io::AsyncReadExt::read_to_end(&mut read, &mut received).await.unwrap();
    writing.await.unwrap();
    assert!(received == sent);
}

#[posse::test]
async fn a_server_of_tokio_rustls_answers_openssl() {
    let Some(secrets) = secrets("openssl").await else { return skip("openssl") };
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let tls = tokio_rustls::TlsAcceptor::from(secrets.server);
    let serving = posse::task::spawn(async move {
        let mut stream = tls.accept(listener.accept().await.unwrap().0).await.unwrap();
        let mut word = [0; 6];
        stream.read_exact(&mut word).await.unwrap();
        stream.write_all(&word).await.unwrap();
        stream.shutdown().await.unwrap();
    });
    let client = "openssl s_client -quiet -verify_return_error -verify_hostname localhost";
    let command = format!("echo hello | {client} -CAfile {} -connect {address} 2> /dev/null", secrets.file);
    assert_eq!(run("sh", &["-c", &command]).await.unwrap(), "hello\n");
    serving.await.unwrap();
}
