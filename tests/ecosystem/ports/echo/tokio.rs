//! Sends every client its bytes back.

use std::error::Error;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let address = std::env::args().nth(1).ok_or("give an address to listen on")?;
    let listener = TcpListener::bind(address).await?;
    println!("listening on {}", listener.local_addr()?);

    loop {
        let (mut socket, peer) = listener.accept().await?;

        tokio::spawn(async move {
            let mut buffer = vec![0; 4096];
            loop {
                let n = match socket.read(&mut buffer).await {
                    Ok(0) => return,
                    Ok(n) => n,
                    Err(error) => return eprintln!("cannot read from {peer}: {error}"),
                };
                if let Err(error) = socket.write_all(&buffer[..n]).await {
                    return eprintln!("cannot write to {peer}: {error}");
                }
            }
        });
    }
}
