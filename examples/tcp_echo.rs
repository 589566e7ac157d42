//! A TCP echo server on the runtime alone, without actors.
//!
//! Run: cargo run --example tcp_echo -- 127.0.0.1:7000

use posse::io::{AsyncReadExt, AsyncWriteExt};
use posse::net::{TcpListener, TcpStream};
use posse::sync::CancellationToken;
use posse::time::timeout;
use posse::{signal, task};

#[posse::main]
async fn main() -> posse::Result {
    let address = std::env::args().nth(1).unwrap_or_else(|| "127.0.0.1:7000".to_owned());
    // From here on ctrl-c and SIGTERM end the program in order.
    let signalled = signal::shutdown();
    let listener = TcpListener::bind(address).await?;
    println!("listening on {}", listener.local_addr()?);

    let stop = CancellationToken::new();
    let stopping = stop.clone().drop_guard();
    let waiting = task::spawn(async move {
        let result = signalled.await;
        drop(stopping);
        result
    });
    let mut connections = Vec::new();
    while let Some(accepted) = stop.run_until_cancelled(listener.accept()).await {
        let (socket, _) = accepted?;
        if connections.len() == connections.capacity() {
            connections.retain(|connection: &task::JoinHandle<_>| !connection.is_finished());
        }
        connections.push(task::spawn(echo(socket, stop.clone())));
    }

    // What has arrived is sent back; who does not take it in time does without.
    let drained = async {
        for connection in connections {
            // A connection that broke concerns no other.
            let _ = connection.await;
        }
    };
    let _ = timeout(posse::secs(5), drained).await;
    Ok(waiting.await??)
}

/// Sends back what comes, until the client has finished, or there is nothing to be read when the server is to stop.
async fn echo(mut socket: TcpStream, stop: CancellationToken) -> std::io::Result<()> {
    let mut buffer = vec![0; 16 * 1024];
    while let Some(read) = stop.run_until_cancelled(socket.read(&mut buffer)).await {
        match read? {
            0 => break,
            n => socket.write_all(&buffer[..n]).await?,
        }
    }
    Ok(())
}
