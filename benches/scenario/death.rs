//! A process is killed; how long until a monitor of one of its actors fires, or until a bare connection to it ends.

use super::median_ns;
use super::remote::{connect, runtime};
use crate::now;
use crate::process::Server;
use std::io::Read;
use std::time::Duration;

/// The median time from the kill to the notice, in nanoseconds.
pub(super) fn p50(subject: &str, count: u64) -> f64 {
    let notice = if subject == "raw" { end_of_stream } else { end_of_monitor };
    median_ns((0..count.max(1)).map(|_| notice()).collect())
}

fn end_of_monitor() -> Duration {
    let mut server = Server::start("remote");
    let runtime = runtime();
    let task = runtime.spawn(async move {
        let (_node, parrot) = connect(&server).await;
        let monitored = parrot.clone();
        let watching = posse::task::spawn(async move {
            monitored.closed().await;
            now()
        });
        // An answer that comes after the monitor was set: it has been heard of.
        parrot.noted().await.expect("a reply");
        let killed = now();
        server.kill();
        watching.await.expect("no panic") - killed
    });
    runtime.block_on(task).expect("no panic")
}

fn end_of_stream() -> Duration {
    let mut server = Server::start("raw mio");
    #[expect(clippy::disallowed_methods, reason = "a load that is nobody's runtime")]
    let mut stream = std::net::TcpStream::connect(server.address).expect("connected");
    let killed = now();
    server.kill();
    // Its end, or a reset, which is one as well.
    let _ = stream.read(&mut [0]);
    killed.elapsed()
}
