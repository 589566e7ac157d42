//! A small Redis: an actor for each shard of the keys, one for each connection, one for the topics, under a supervisor.
//!
//! Run: cargo run --example mini_redis -- 127.0.0.1:6379 [FOLDER]
//!
//! It speaks RESP2, so `redis-cli` and `redis-benchmark` talk to it: PING, ECHO, GET, SET (EX, PX, NX, XX), DEL, EXISTS, INCR, DECR, INCRBY, EXPIRE,
//! TTL, MGET, MSET, DBSIZE, FLUSHALL, SAVE, BGSAVE, INFO, SUBSCRIBE, UNSUBSCRIBE, PUBLISH, QUIT. With a folder it reads there at its start what it
//! has written at SAVE and at its end.

mod command;
mod connection;
mod resp;
mod shard;
mod snapshot;
mod topics;

use connection::Connection;
use posse::prelude::*;
use shard::{SHARDS, Shard};
use std::path::PathBuf;
use topics::Topics;

#[posse::main]
async fn main() -> posse::Result {
    let mut arguments = std::env::args().skip(1);
    let address = arguments.next().unwrap_or_else(|| "127.0.0.1:6379".to_owned());
    serve(address, arguments.next().map(PathBuf::from)).await
}

/// Serves until it is told to end.
pub async fn serve(address: String, folder: Option<PathBuf>) -> posse::Result {
    if let Some(folder) = &folder {
        if !posse::fs::metadata(folder).await.is_ok_and(|found| found.is_dir()) {
            return Err(posse::Error::msg(format!("the folder for snapshots does not exist: {}", folder.display())));
        }
    }
    let listener = Listener::tcp(address).on_bound(|address| println!("listening on {address}"));
    let mut supervisor = Supervisor::one_for_one().child(Spec::new(Topics::default).name("topics"));
    for index in 0..SHARDS {
        let folder = folder.clone();
        let shard = Spec::new(move || Shard::new(index, folder.clone()));
        supervisor = supervisor.child(shard.name(Shard::name(index)).stop_within(secs(30)));
    }
    // The last to start is the first to end: no connection is left when the shards write down what they have.
    supervisor.child(listener.serve(Connection::new).name("listener")).run_until_shutdown().await
}
