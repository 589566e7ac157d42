//! A room in which everybody reads what everybody says, until ctrl-c.

use posse::net::codec::{Framed, LinesCodec};
use posse::net::{TcpListener, TcpStream};
use posse::sync::CancellationToken;
use posse::sync::broadcast::{self, error::RecvError};
use posse::task::TaskTracker;
use posse::{signal, time};
use std::error::Error;
use std::time::Duration;

/// What was said, and by which connection.
type Said = (u64, String);

#[posse::main(flavor = "multi_thread", worker_threads = 2)]
async fn main() -> Result<(), Box<dyn Error>> {
    let address = std::env::args().nth(1).ok_or("give an address to listen on")?;
    let listener = TcpListener::bind(address).await?;
    println!("listening on {}", listener.local_addr()?);

    let (room, _) = broadcast::channel::<Said>(100);
    let (ending, peers) = (CancellationToken::new(), TaskTracker::new());
    let mut connections = 0;
    loop {
        posse::select! {
            accepted = listener.accept() => {
                let (stream, peer) = accepted?;
                connections += 1;
                let (id, room, ending) = (connections, room.clone(), ending.clone());
                peers.spawn(async move {
                    if let Err(error) = talk(id, stream, room, ending).await {
                        eprintln!("{peer}: {error}");
                    }
                });
            }
            signalled = signal::ctrl_c() => break signalled?,
        }
    }

    ending.cancel();
    peers.close();
    if time::timeout(Duration::from_secs(5), peers.wait()).await.is_err() {
        eprintln!("{} peers have not left in time", peers.len());
    }
    Ok(())
}

async fn talk(
    id: u64,
    stream: TcpStream,
    room: broadcast::Sender<Said>,
    ending: CancellationToken,
) -> Result<(), Box<dyn Error + Send + Sync>> {
    let mut lines = Framed::new(stream, LinesCodec::new_with_max_length(200));
    lines.send("your name?").await?;
    let Some(name) = lines.next().await.transpose()? else { return Ok(()) };
    let mut others = room.subscribe();
    lines.send(format!("welcome, {name}")).await?;
    room.send((id, format!("{name} comes")))?;

    loop {
        posse::select! {
            line = lines.next() => match line {
                Some(Ok(line)) => {
                    room.send((id, format!("{name}: {line}")))?;
                }
                Some(Err(error)) => {
                    lines.send(format!("goodbye: {error}")).await?;
                    break;
                }
                None => break,
            },
            said = others.recv() => match said {
                Ok((from, _)) if from == id => {}
                Ok((_, text)) => lines.send(text).await?,
                Err(RecvError::Lagged(n)) => lines.send(format!("you have missed {n} lines")).await?,
                Err(RecvError::Closed) => break,
            },
            () = ending.cancelled() => {
                lines.send("the room closes").await?;
                break;
            }
        }
    }
    room.send((id, format!("{name} goes")))?;
    Ok(())
}
