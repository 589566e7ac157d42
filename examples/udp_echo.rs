//! A UDP echo server on the runtime alone.
//!
//! Run: cargo run --example udp_echo -- 127.0.0.1:7000

use posse::net::UdpSocket;
use posse::signal;
use std::future::{Future, poll_fn};
use std::pin::pin;
use std::task::Poll;

#[posse::main]
async fn main() -> posse::Result {
    let address = std::env::args().nth(1).unwrap_or_else(|| "127.0.0.1:7000".to_owned());
    // From here on ctrl-c and SIGTERM end the program in order.
    let mut shutdown = pin!(signal::shutdown());
    let socket = UdpSocket::bind(address).await?;
    println!("listening on {}", socket.local_addr()?);

    let mut echo = pin!(echo(&socket));
    poll_fn(|cx| match shutdown.as_mut().poll(cx) {
        Poll::Ready(result) => Poll::Ready(result),
        Poll::Pending => echo.as_mut().poll(cx),
    })
    .await?;
    Ok(())
}

async fn echo(socket: &UdpSocket) -> std::io::Result<()> {
    let mut buffer = vec![0; 65_536];
    loop {
        let (len, from) = socket.recv_from(&mut buffer).await?;
        socket.send_to(&buffer[..len], from).await?;
    }
}
