//! What a runtime counts of itself, which tasks it has, and how the watchdog finds one that is stuck. `docs/guide/runtime.md` explains it.
//!
//! Run: cargo run --example metrics

use posse::runtime::Handle;
use posse::task;
use std::future::pending;
use std::sync::mpsc::{Receiver, channel};

/// Keeps its worker for as long as `done` says nothing: a task must not do this.
async fn reads_a_file_the_old_way(done: Receiver<()>) {
    let _ = done.recv();
}

#[posse::main(workers = 2)]
async fn main() -> posse::Result {
    let runtime = Handle::current();
    let metrics = runtime.metrics();
    for n in 0..3 {
        task::Builder::new().name(format!("client {n}")).spawn(pending::<()>());
    }

    // The watchdog says which task it is, on standard error, since this program listens to no events. The other worker goes on.
    let (end, done) = channel();
    let stuck = task::Builder::new().name("import").spawn(reads_a_file_the_old_way(done));
    let found = loop {
        let tasks = runtime.tasks();
        if let Some(task) = tasks.into_iter().find(|task| task.is_slow() && task.name() == Some("import")) {
            break task;
        }
        task::yield_now().await;
    };
    println!("stuck: {found}");
    let _ = end.send(());
    let _ = stuck.await;

    println!("{metrics}");
    for task in runtime.tasks() {
        println!("{task}");
    }
    Ok(())
}
