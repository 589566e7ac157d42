//! Actors and messages that several areas use.

use posse::prelude::*;
use posse::runtime::Handle;
use std::pin::pin;
use std::sync::{Arc, Mutex};
use std::task::{Context as Cx, Poll, Wake, Waker};
use std::thread::{self, JoinHandle, Thread};

/// What happened, in order.
#[derive(Clone, Default)]
pub struct Log(Arc<Mutex<Vec<String>>>);

impl Log {
    pub fn add(&self, entry: impl Into<String>) {
        self.0.lock().unwrap().push(entry.into());
    }

    pub fn take(&self) -> Vec<String> {
        std::mem::take(&mut self.0.lock().unwrap())
    }
}

/// Counts, logs its life, and breaks on demand.
pub struct Worker {
    pub name: &'static str,
    pub log: Log,
    pub total: u64,
}

impl Worker {
    pub fn new(name: &'static str, log: &Log) -> Self {
        Self { name, log: log.clone(), total: 0 }
    }
}

impl Actor for Worker {
    async fn started(&mut self, _: &mut Context<Self>) -> posse::Result {
        self.log.add(format!("{} started", self.name));
        Ok(())
    }

    async fn stopped(&mut self, why: &ExitReason, _: &mut Context<Self>) {
        self.log.add(format!("{} stopped: {why}", self.name));
    }
}

#[derive(Message)]
#[message(reply = u64)]
pub struct Add(pub u64);

impl Handler<Add> for Worker {
    async fn handle(&mut self, Add(n): Add, _: &mut Context<Self>) -> u64 {
        self.total += n;
        self.total
    }
}

#[derive(Message)]
pub struct Break;

impl Handler<Break> for Worker {
    async fn handle(&mut self, _: Break, _: &mut Context<Self>) {
        panic!("broken on purpose");
    }
}

#[derive(Message)]
pub struct Fail;

impl Handler<Fail> for Worker {
    async fn handle(&mut self, _: Fail, ctx: &mut Context<Self>) {
        ctx.fail(posse::Error::msg("failed on purpose"));
    }
}

/// Never ends; logs when it is dropped.
#[derive(Message)]
pub struct Hang;

struct LogDrop(Log, &'static str);

impl Drop for LogDrop {
    fn drop(&mut self) {
        self.0.add(format!("{} handler dropped", self.1));
    }
}

impl Handler<Hang> for Worker {
    async fn handle(&mut self, _: Hang, _: &mut Context<Self>) {
        let _log = LogDrop(self.log.clone(), self.name);
        std::future::pending::<()>().await;
    }
}

/// Lets everything that is ready run.
pub async fn settle() {
    for _ in 0..50 {
        posse::task::yield_now().await;
    }
}

/// A runtime whose clock only a hand turns.
pub fn manual() -> posse::runtime::Runtime {
    posse::runtime::Builder::new_current_thread().manual_clock().seed(7).build().unwrap()
}

struct Unpark(Thread);

impl Wake for Unpark {
    fn wake(self: Arc<Self>) {
        self.0.unpark();
    }
}

/// Another executor, in a thread of its own.
#[expect(clippy::disallowed_methods, reason = "a thread that no runtime knows")]
pub fn elsewhere<F: Future<Output: Send> + Send + 'static>(future: F) -> JoinHandle<F::Output> {
    thread::spawn(move || {
        assert!(Handle::try_current().is_err());
        let waker = Waker::from(Arc::new(Unpark(thread::current())));
        let mut future = pin!(future);
        loop {
            match future.as_mut().poll(&mut Cx::from_waker(&waker)) {
                Poll::Ready(output) => return output,
                Poll::Pending => thread::park(),
            }
        }
    })
}

/// Drives the runtime until the thread is done. No time passes in it, however long the thread takes.
pub async fn drive<T>(thread: JoinHandle<T>) -> T {
    while !thread.is_finished() {
        posse::task::yield_now().await;
    }
    thread.join().unwrap()
}

/// Drives the runtime and turns its clock until the thread is done.
pub async fn join<T>(thread: JoinHandle<T>) -> T {
    while !thread.is_finished() {
        // In a runtime with a real clock nothing is turned.
        Handle::current().advance(secs(1));
        posse::task::yield_now().await;
    }
    thread.join().unwrap()
}
