//! WebSockets: async-tungstenite on the traits of futures-io, tokio-tungstenite on Tokio's, each against the other and against a client
//! of Python's.

use crate::counterparts::{python, skip};
use futures_util::{SinkExt, StreamExt};
use posse::net::{TcpListener, TcpStream};

const LARGE: usize = 900_000;

#[posse::test]
async fn async_tungstenite_serves_a_client_of_tokio_tungstenite() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("ws://{}/", listener.local_addr().unwrap());
    let stream = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
    let server = posse::task::spawn(async move {
        let stream = listener.accept().await.unwrap().0;
        let mut socket = async_tungstenite::accept_async(stream).await.unwrap();
        while let Some(message) = socket.next().await {
            let message = message.unwrap();
            if message.is_text() || message.is_binary() {
                socket.send(message).await.unwrap();
            }
        }
    });

    let (mut socket, _) = tokio_tungstenite::client_async(url, stream).await.unwrap();
    for n in 0..200 {
        socket.send(n.to_string().into()).await.unwrap();
        assert_eq!(socket.next().await.unwrap().unwrap().into_text().unwrap().as_str(), n.to_string());
    }
    socket.send(vec![7; LARGE].into()).await.unwrap();
    assert_eq!(socket.next().await.unwrap().unwrap().into_data(), vec![7; LARGE]);
    socket.close(None).await.unwrap();
    while socket.next().await.is_some() {}
    server.await.unwrap();
}

#[posse::test]
async fn tokio_tungstenite_serves_a_client_of_async_tungstenite() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("ws://{}/", listener.local_addr().unwrap());
    let stream = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
    let server = posse::task::spawn(async move {
        let stream = listener.accept().await.unwrap().0;
        let mut socket = tokio_tungstenite::accept_async(stream).await.unwrap();
        let message = socket.next().await.unwrap().unwrap();
        socket.send(message).await.unwrap();
        while socket.next().await.is_some() {}
    });

    let (mut socket, _) = async_tungstenite::client_async(url, stream).await.unwrap();
    socket.send(vec![7; LARGE].into()).await.unwrap();
    assert_eq!(socket.next().await.unwrap().unwrap().into_data(), vec![7; LARGE]);
    socket.close(None).await.unwrap();
    while socket.next().await.is_some() {}
    server.await.unwrap();
}

/// Echoes with a server of either kind, until the client of another make closes.
macro_rules! echoes_to_python {
    ($tungstenite:ident) => {{
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("ws://{}/", listener.local_addr().unwrap());
        let server = posse::task::spawn(async move {
            let mut socket = $tungstenite::accept_async(listener.accept().await.unwrap().0).await.unwrap();
            while let Some(message) = socket.next().await {
                let message = message.unwrap();
                if message.is_text() || message.is_binary() {
                    socket.send(message).await.unwrap();
                }
            }
        });
        let said = python("websocket_client.py", "websockets", &url).await;
        let Some(said) = said else { return skip("python3-websockets") };
        assert_eq!(said, "closed 1000\n");
        server.await.unwrap();
    }};
}

#[posse::test]
async fn a_client_of_python_is_echoed_by_both() {
    echoes_to_python!(async_tungstenite);
    echoes_to_python!(tokio_tungstenite);
}
