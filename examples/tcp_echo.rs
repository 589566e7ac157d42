//! A TCP echo server on the runtime alone, without actors.
//!
//! Run: cargo run --example tcp_echo -- 127.0.0.1:7000

use posse::net::TcpListener;
use posse::{io, signal, task};
use std::future::Future;
use std::pin::pin;
use std::task::Poll;

#[posse::main]
async fn main() -> posse::Result {
    let address = std::env::args().nth(1).unwrap_or_else(|| "127.0.0.1:7000".to_owned());
    // From here on ctrl-c and SIGTERM end the program in order; what is connected then ends with the runtime.
    let mut shutdown = pin!(signal::shutdown());
    let listener = TcpListener::bind(address).await?;
    println!("listening on {}", listener.local_addr()?);

    loop {
        let accepted = std::future::poll_fn(|cx| match shutdown.as_mut().poll(cx) {
            Poll::Ready(result) => Poll::Ready(result.map(|()| None)),
            Poll::Pending => listener.poll_accept(cx).map(|accepted| accepted.map(Some)),
        });
        let Some((mut socket, _)) = accepted.await? else { return Ok(()) };

        task::spawn(async move {
            let (mut read, mut write) = socket.split();
            // A connection that breaks concerns nobody else.
            let _ = io::copy(&mut read, &mut write).await;
        });
    }
}
