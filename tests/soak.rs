//! What ends leaves nothing behind, however much of it there was: of each kind a thousand here, or as many as `POSSE_SOAK` says. From
//! 100,000 on the memory of the process must stay flat as well, within a tenth. `.ci/deep` runs a million.
//!
//! One test, so that nothing else lives in the process whose memory is measured.
#![allow(missing_docs, clippy::unwrap_used)]

use posse::System;
use posse::prelude::*;
use posse::runtime::{Builder, Handle, Runtime};
use posse::sync::mpsc;
use std::fs;
use std::future::{pending, poll_fn};
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::Poll;

/// How many of a kind there are at once.
const BATCH: usize = 500;

/// From how many on memory is looked at: below, it is the allocator's habits that are measured.
const MEASURED: usize = 100_000;

/// What is alive in the runtime: tasks, actors, names.
fn living() -> [usize; 3] {
    let system = System::current();
    [Handle::current().alive_tasks(), system.alive(), system.names()]
}

/// Kibibytes of memory that the process uses. Only where Linux says so.
fn resident() -> Option<usize> {
    let status = fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    line.trim().trim_end_matches(" kB").parse().ok()
}

fn descriptors() -> Option<usize> {
    Some(fs::read_dir("/proc/self/fd").ok()?.count())
}

/// Runs a kind a tenth as often, to warm up, and then `count` times: what it leaves behind shows.
async fn flat<F: Future<Output = ()>>(kind: &str, count: usize, round: impl Fn() -> F) {
    let rounds = count.div_ceil(BATCH);
    for _ in 0..rounds.div_ceil(10) {
        round().await;
    }
    let before = (living(), descriptors(), resident());
    for _ in 0..rounds {
        round().await;
    }
    let after = (living(), descriptors(), resident());

    assert_eq!((before.0, before.1), (after.0, after.1), "{kind}");
    if let (true, Some(before), Some(after)) = (count >= MEASURED, before.2, after.2) {
        println!("{kind}: {before} kB before, {after} kB after {count}");
        assert!(after <= before + before / 10, "{kind}: {before} kB before, {after} kB after {count}");
    }
}

/// Goes on until nothing but what was alive `before` is.
async fn until_only(before: [usize; 3]) {
    while living() != before {
        posse::task::yield_now().await;
    }
}

struct Idle;
impl Actor for Idle {}

impl Handler<Down> for Idle {
    async fn handle(&mut self, _: Down, _: &mut Context<Self>) {}
}

/// Sets a monitor on the actor for each reference.
#[derive(Message)]
struct Watch(Vec<LocalRef<Idle>>);

impl Handler<Watch> for Idle {
    async fn handle(&mut self, Watch(actors): Watch, ctx: &mut Context<Self>) {
        for actor in &actors {
            ctx.monitor(actor);
        }
    }
}

#[derive(Message)]
#[message(reply = Vec<LocalRef<Idle>>)]
struct Start;

impl Handler<Start> for Idle {
    async fn handle(&mut self, _: Start, ctx: &mut Context<Self>) -> Vec<LocalRef<Idle>> {
        (0..BATCH).map(|_| ctx.spawn(|| Idle)).collect()
    }
}

/// Sets timers that fire after a millisecond.
#[derive(Message)]
struct Timers;

#[derive(Message)]
struct Tick;

impl Handler<Timers> for Idle {
    async fn handle(&mut self, _: Timers, ctx: &mut Context<Self>) {
        for _ in 0..BATCH {
            ctx.send_after(ms(1), Tick);
        }
    }
}

impl Handler<Tick> for Idle {
    async fn handle(&mut self, _: Tick, _: &mut Context<Self>) {}
}

/// Takes longer than anybody waits.
#[derive(Message)]
struct Work;

impl Handler<Work> for Idle {
    async fn handle(&mut self, _: Work, _: &mut Context<Self>) {
        posse::time::sleep(ms(10)).await;
    }
}

#[derive(Message)]
struct Hang;

impl Handler<Hang> for Idle {
    async fn handle(&mut self, _: Hang, _: &mut Context<Self>) {
        pending().await
    }
}

fn stop(actors: Vec<LocalRef<Idle>>) {
    actors.iter().for_each(LocalRef::stop);
}

async fn children(parent: &LocalRef<Idle>) {
    let before = living();
    stop(parent.ask(Start).await.unwrap());
    until_only(before).await;
}

/// The watched end first.
async fn watched(watcher: &LocalRef<Idle>) {
    let before = living();
    let watched: Vec<_> = (0..BATCH).map(|_| posse::spawn(|| Idle)).collect();
    watcher.ask(Watch(watched.clone())).await.unwrap();
    stop(watched);
    until_only(before).await;
}

/// The watchers end first.
async fn watchers(watched: &LocalRef<Idle>) {
    let before = living();
    let watchers: Vec<_> = (0..BATCH).map(|_| posse::spawn(|| Idle)).collect();
    for watcher in &watchers {
        watcher.tell(Watch(vec![watched.clone()])).await.unwrap();
    }
    for watcher in &watchers {
        watcher.drain();
    }
    until_only(before).await;
}

async fn names(actor: &LocalRef<Idle>) {
    let system = System::current();
    for n in 0..BATCH {
        system.register(&n.to_string(), actor).unwrap();
        assert!(system.unregister(&n.to_string(), actor));
    }
}

async fn timers(actor: &LocalRef<Idle>) {
    let before = living();
    actor.ask(Timers).await.unwrap();
    Handle::current().advance(ms(1));
    until_only(before).await;
}

/// Asks of which each ends at its deadline: in the mailbox if there is room, else while it waits for some.
async fn asks(busy: &LocalRef<Idle>) {
    let mut asks: Vec<_> = (0..BATCH).map(|_| busy.ask(Work).within(ms(1))).collect();
    poll_fn(|cx| {
        for ask in &mut asks {
            assert!(pin!(ask).poll(cx).is_pending());
        }
        Poll::Ready(())
    })
    .await;
    Handle::current().advance(ms(1));
    for ask in asks {
        assert_eq!(ask.await, Err(AskError::Timeout));
    }
    Handle::current().advance(ms(10));
    posse::task::yield_now().await;
}

/// Serves a connection until the other side closes it. Counts those that have begun.
struct Connection(TcpStream, Arc<AtomicUsize>);

impl Actor for Connection {
    async fn run(&mut self, _: &mut Context<Self>) -> posse::Result {
        self.1.fetch_add(1, Ordering::AcqRel);
        // It is reset, so that no port is kept for a while.
        let _ = self.0.read(&mut [0]).await;
        Ok(())
    }
}

async fn connections(address: SocketAddr, begun: &AtomicUsize) {
    // None is left of the round before, and none waits to be accepted.
    let (before, so_far) = (living(), begun.load(Ordering::Acquire));
    for _ in 0..BATCH {
        let stream = TcpStream::connect(address).await.unwrap();
        stream.set_linger(Some(secs(0))).unwrap();
    }
    while begun.load(Ordering::Acquire) < so_far + BATCH {
        posse::task::yield_now().await;
    }
    until_only(before).await;
}

fn many() -> usize {
    std::env::var("POSSE_SOAK").map_or(1000, |count| count.parse().unwrap())
}

#[test]
fn what_ends_leaves_nothing_behind() {
    let count = many();
    // Time stands still but when it is turned: nothing expires or fires by chance.
    Builder::new_current_thread().manual_clock().build().unwrap().block_on(async {
        let actor = posse::spawn(|| Idle);
        flat("children", count, || children(&actor)).await;
        flat("monitors whose watched actor ends", count, || watched(&actor)).await;
        flat("monitors whose watcher ends", count, || watchers(&actor)).await;
        flat("names", count, || names(&actor)).await;
        flat("timers", count, || timers(&actor)).await;
        for capacity in [8, 2 * BATCH] {
            let busy = posse::spawn(Spec::new(|| Idle).capacity(capacity));
            flat("asks that expire", count, || asks(&busy)).await;
        }
    });

    Runtime::new().unwrap().block_on(async {
        let (bound, mut address) = mpsc::unbounded_channel();
        let on_bound = move |address| assert!(bound.send(address).is_ok());
        let begun = Arc::new(AtomicUsize::new(0));
        let count_them = begun.clone();
        let serve = move |stream| Spec::once(Connection(stream, count_them.clone()));
        let listener = Listener::tcp("127.0.0.1:0").on_bound(on_bound).serve(serve);
        let supervisor = Supervisor::one_for_one().child(listener).spawn();
        let address = address.recv().await.unwrap();
        flat("connections", count, || connections(address, &begun)).await;
        supervisor.shutdown().await;
    });
}
