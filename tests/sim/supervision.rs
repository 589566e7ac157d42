//! Storms: many supervised actors that fail at random under every strategy, while asks and tells flow; a shutdown in the
//! middle, a restart during the shutdown, a supervisor that gives up.

use posse::prelude::*;
use posse::sim::Sim;
use posse::sync::CancellationToken;
use posse::time::{Instant, sleep, timeout};
use posse::{ActorId, ExitReason, SupervisorRef, System};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

/// What is known of one child, over all its incarnations.
#[derive(Default)]
struct Life {
    made: AtomicU64,
    dropped: AtomicU64,
    /// Two incarnations lived at once.
    doubled: AtomicBool,
}

/// What is known of all children.
#[derive(Default)]
struct Book {
    lives: Vec<Life>,
    /// Children by their place, in the order in which they ended last.
    ended: Mutex<Vec<usize>>,
    /// Nobody fails any more.
    calm: AtomicBool,
    /// One of so many messages is a disaster.
    danger: u64,
}

impl Book {
    fn new(children: usize, danger: u64) -> Arc<Self> {
        Arc::new(Self { lives: (0..children).map(|_| Life::default()).collect(), danger, ..Self::default() })
    }

    fn made(&self) -> u64 {
        self.lives.iter().map(|life| life.made.load(Ordering::Relaxed)).sum()
    }

    fn alive(&self) -> u64 {
        self.made() - self.lives.iter().map(|life| life.dropped.load(Ordering::Relaxed)).sum::<u64>()
    }

    fn check(&self) {
        for (index, life) in self.lives.iter().enumerate() {
            assert!(!life.doubled.load(Ordering::Relaxed), "two incarnations of child {index} lived at once");
        }
    }
}

struct Worker {
    index: usize,
    book: Arc<Book>,
    handled: u64,
}

impl Worker {
    fn new(index: usize, book: &Arc<Book>) -> Self {
        let life = &book.lives[index];
        let alive = life.made.fetch_add(1, Ordering::Relaxed) - life.dropped.load(Ordering::Relaxed);
        life.doubled.fetch_or(alive > 0, Ordering::Relaxed);
        Self { index, book: book.clone(), handled: 0 }
    }

    /// Fails in some way, or does not.
    fn meet_danger(&self, ctx: &mut Context<Self>) {
        let random = ctx.runtime().random_u64();
        if self.book.calm.load(Ordering::Relaxed) || random % self.book.danger >= 1 {
            return;
        }
        match (random >> 32) % 4 {
            0 => ctx.fail(posse::Error::msg("it failed on purpose")),
            1 => ctx.stop(),
            2 => ctx.myself().kill(),
            _ => panic!("it panicked on purpose"),
        }
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        self.book.lives[self.index].dropped.fetch_add(1, Ordering::Relaxed);
        self.book.ended.lock().unwrap().push(self.index);
    }
}

impl Actor for Worker {
    async fn started(&mut self, ctx: &mut Context<Self>) -> posse::Result {
        if ctx.runtime().random_u64() % 4 < 1 {
            sleep(ms(1 + ctx.runtime().random_u64() % 5)).await;
        }
        self.meet_danger(ctx);
        Ok(())
    }

    async fn stopped(&mut self, _: &ExitReason, ctx: &mut Context<Self>) {
        if ctx.runtime().random_u64() % 4 < 1 {
            sleep(ms(1 + ctx.runtime().random_u64() % 5)).await;
        }
    }
}

#[derive(Message)]
#[message(reply = (u64, u64))]
struct Work(u64);

impl Handler<Work> for Worker {
    async fn handle(&mut self, Work(n): Work, ctx: &mut Context<Self>) -> (u64, u64) {
        if ctx.runtime().random_u64() % 2 < 1 {
            sleep(ms(ctx.runtime().random_u64() % 3)).await;
        }
        self.meet_danger(ctx);
        self.handled += 1;
        (n, self.handled)
    }
}

#[derive(Message)]
struct Hint;

impl Handler<Hint> for Worker {
    async fn handle(&mut self, _: Hint, ctx: &mut Context<Self>) {
        self.meet_danger(ctx);
    }
}

/// A supervisor whose strategy, limit and backoff follow from the seed.
fn supervisor(sim: &Sim, limit: usize) -> Supervisor {
    let supervisor = match sim.random_below(3) {
        0 => Supervisor::one_for_one(),
        1 => Supervisor::one_for_all(),
        _ => Supervisor::rest_for_one(),
    };
    let backoff = match sim.random_below(3) {
        0 => Backoff::none(),
        1 => Backoff::exponential(ms(1)..ms(20)),
        _ => Backoff::exponential(ms(50)..secs(2)),
    };
    supervisor.restart_limit(limit, secs(1)).backoff(backoff)
}

/// Children with a load on each of them.
struct Storm {
    supervisor: SupervisorRef,
    book: Arc<Book>,
    workers: Vec<LocalRef<Worker>>,
    load: Vec<posse::task::JoinHandle<u64>>,
    over: CancellationToken,
}

impl Storm {
    async fn begin(supervisor: Supervisor, children: usize, danger: u64) -> Self {
        let (supervisor, book) = (supervisor.spawn(), Book::new(children, danger));
        let (mut workers, mut load, over) = (Vec::new(), Vec::new(), CancellationToken::new());
        book.calm.store(true, Ordering::Relaxed);
        for index in 0..children {
            let recipe = book.clone();
            let worker = supervisor
                .start_child(Spec::new(move || Worker::new(index, &recipe)).name(format!("worker {index}")))
                .await
                .unwrap();
            load.push(posse::task::spawn(ask(worker.clone(), over.clone())));
            load.push(posse::task::spawn(tell(worker.clone(), over.clone())));
            workers.push(worker);
        }
        book.calm.store(false, Ordering::Relaxed);
        Self { supervisor, book, workers, load, over }
    }

    /// Everybody is gone: nothing is restarted any more, nobody waits for anything.
    async fn ends(self) {
        let Self { supervisor, book, workers, load, over } = self;
        assert!(!supervisor.is_alive());
        assert!(workers.iter().all(|worker| !worker.is_alive()));
        assert_eq!(book.alive(), 0, "children live on");
        let made = book.made();
        for worker in &workers {
            assert_eq!(worker.ask(Work(1)).await, Err(AskError::Stopped));
            assert_eq!(worker.queued(), 0);
        }
        sleep(secs(5)).await;
        assert_eq!(book.made(), made, "a child was restarted after the end");
        over.cancel();
        for task in load {
            timeout(secs(1), task).await.expect("somebody still waits").unwrap();
        }
        book.check();
    }
}

/// Asks one after the other; the reply must be the one to this very ask. Returns how many were answered.
async fn ask(worker: LocalRef<Worker>, over: CancellationToken) -> u64 {
    let (mut n, mut answered) = (0, 0);
    while !over.is_cancelled() {
        n += 1;
        match worker.ask(Work(n)).within(ms(300)).await {
            Ok((echoed, handled)) => {
                assert_eq!(echoed, n, "the reply to somebody else's ask");
                assert!(handled >= 1);
                answered += 1;
            }
            Err(AskError::Stopped) => break,
            Err(AskError::Failed | AskError::Timeout | AskError::NoReply) => {}
            Err(error) => panic!("{error:?}"),
        }
    }
    answered
}

async fn tell(worker: LocalRef<Worker>, over: CancellationToken) -> u64 {
    let mut told = 0;
    while !over.is_cancelled() && worker.tell(Hint).await.is_ok() {
        told += 1;
        sleep(ms(1)).await;
    }
    told
}

/// A storm that passes: when it is calm everybody is there again, and answers.
#[posse::test(sim, seeds = 20)]
async fn after_the_storm_every_child_is_there_again(sim: Sim) {
    let storm = Storm::begin(supervisor(&sim, 100_000), 2 + sim.random_below(8), 20).await;
    sleep(ms(100 + sim.random_below(400) as u64)).await;
    storm.book.calm.store(true, Ordering::Relaxed);
    for worker in &storm.workers {
        let calm = Instant::now();
        while worker.ask(Work(7)).within(secs(5)).await.is_err() {
            assert!(calm.elapsed() < secs(10), "a child does not come back");
        }
    }
    storm.over.cancel();
    sleep(secs(3)).await;
    assert_eq!(storm.book.alive(), storm.workers.len() as u64);
    assert!(System::current().restarts() > 0);
    storm.supervisor.shutdown().await;
    storm.ends().await;
}

/// A shutdown in the middle of the storm, while children crash, wait for their restart, or start.
#[posse::test(sim, seeds = 30)]
async fn shutdown_in_the_storm_ends_every_child(sim: Sim) {
    let storm = Storm::begin(supervisor(&sim, 100_000), 2 + sim.random_below(8), 8).await;
    sleep(ms(sim.random_below(150) as u64)).await;
    let begun = Instant::now();
    storm.supervisor.shutdown().await;
    assert!(begun.elapsed() < secs(2), "the shutdown took {:?}", begun.elapsed());
    storm.ends().await;
}

/// When nobody fails any more, a shutdown ends the children in reverse order, also those that are just being restarted.
#[posse::test(sim, seeds = 30)]
async fn shutdown_ends_the_children_in_reverse_order(sim: Sim) {
    let storm = Storm::begin(supervisor(&sim, 100_000), 2 + sim.random_below(8), 30).await;
    sleep(ms(sim.random_below(150) as u64)).await;
    storm.book.calm.store(true, Ordering::Relaxed);
    storm.over.cancel();
    sleep(secs(10)).await;
    storm.book.ended.lock().unwrap().clear();
    // All of them start over at once, or one does, while the shutdown comes.
    storm.workers[sim.random_below(storm.workers.len())].kill();
    sleep(ms(sim.random_below(8) as u64)).await;
    storm.supervisor.shutdown().await;
    let ended = storm.book.ended.lock().unwrap().clone();
    let mut last: Vec<usize> = Vec::new();
    for index in ended {
        last.retain(|former| *former != index);
        last.push(index);
    }
    // Who waited for its restart had ended before.
    let in_order = |last: &[usize]| last.is_sorted_by(|a, b| a > b);
    let without_one = (0..last.len()).any(|out| {
        let mut rest = last.clone();
        rest.remove(out);
        in_order(&rest)
    });
    assert!(in_order(&last) || without_one, "{last:?}");
    storm.ends().await;
}

/// Too many restarts: the supervisor fails, and with it end all children, also those that wait for their own restart.
#[posse::test(sim, seeds = 30)]
async fn supervisor_that_gives_up_leaves_nobody_behind(sim: Sim) {
    let storm = {
        // In a period that no backoff outruns.
        let supervisor = supervisor(&sim, 0).restart_limit(sim.random_below(6), secs(600));
        Storm::begin(supervisor, 2 + sim.random_below(8), 5).await
    };
    let reason = timeout(secs(60), storm.supervisor.closed()).await.expect("it does not give up");
    assert!(matches!(&reason, ExitReason::GaveUp(text) if text.contains("restarts within")), "{reason}");
    storm.ends().await;
}

/// Supervisors under a supervisor: inner ones give up and are started anew with all their children.
#[posse::test(sim, seeds = 20)]
async fn inner_supervisors_that_give_up_start_over(sim: Sim) {
    let book = Book::new(6, 3);
    let mut outer = supervisor(&sim, 100_000);
    for inner in 0..2 {
        let book = book.clone();
        let (limit, strategy) = (sim.random_below(3), sim.random_below(3));
        outer = outer.child(
            Spec::new(move || {
                let mut supervisor = match strategy {
                    0 => Supervisor::one_for_one(),
                    1 => Supervisor::one_for_all(),
                    _ => Supervisor::rest_for_one(),
                };
                for index in inner * 3..inner * 3 + 3 {
                    let book = book.clone();
                    supervisor =
                        supervisor.child(Spec::new(move || Worker::new(index, &book)).name(format!("worker {index}")));
                }
                supervisor.restart_limit(limit, secs(1))
            })
            .name(format!("inner {inner}")),
        );
    }
    let outer = outer.spawn();
    sleep(ms(sim.random_below(300) as u64)).await;
    if sim.random_below(2) == 0 {
        book.calm.store(true, Ordering::Relaxed);
        sleep(secs(10)).await;
        assert_eq!(book.alive(), 6, "not everybody is there again");
    }
    outer.shutdown().await;
    assert_eq!(book.alive(), 0);
    let made = book.made();
    sleep(secs(5)).await;
    assert_eq!(book.made(), made, "a child was restarted after the end");
    book.check();
}

/// The machine dies in the middle of a storm, or its runtime ends in order. Every message is accounted for all the same.
#[posse::test(sim, seeds = 20)]
async fn machine_that_ends_in_the_storm_leaves_no_message_behind(sim: Sim) {
    let machine = sim.host("storm", || async { Ok(()) }).await;
    let (supervisor, children) = (supervisor(&sim, 100_000), 2 + sim.random_below(8));
    let storm = machine.run(async move { Storm::begin(supervisor, children, 8).await }).await;
    sleep(ms(sim.random_below(100) as u64)).await;
    match sim.random_below(3) {
        0 => sim.kill(&machine).await,
        1 => sim.stop(&machine).await,
        _ => {
            sim.terminate(&machine);
            sleep(ms(sim.random_below(5) as u64)).await;
            sim.stop(&machine).await;
        }
    }
    assert_eq!(storm.book.alive(), 0);
    assert!(storm.workers.iter().all(|worker| !worker.is_alive()));
    storm.book.check();
}

/// What was said of the end of an actor: whether by its monitor, and the reason.
type Ends = Arc<Mutex<Vec<(ActorId, bool, ExitReason)>>>;

/// Says why it was stopped.
struct Reporter(Ends);
impl Actor for Reporter {
    async fn stopped(&mut self, why: &ExitReason, ctx: &mut Context<Self>) {
        // Whatever comes meanwhile changes nothing.
        sleep(ms(1)).await;
        self.0.lock().unwrap().push((ctx.id(), false, why.clone()));
    }
}

#[derive(Message)]
struct Fail;
impl Handler<Fail> for Reporter {
    async fn handle(&mut self, Fail: Fail, ctx: &mut Context<Self>) {
        ctx.fail(posse::Error::msg("on purpose"));
    }
}

/// Hears of the ends of others.
struct Listening(Ends, Vec<LocalRef<Reporter>>);
impl Actor for Listening {
    async fn started(&mut self, ctx: &mut Context<Self>) -> posse::Result {
        self.1.iter().for_each(|reporter| drop(ctx.monitor(reporter)));
        Ok(())
    }
}
impl Handler<Down> for Listening {
    async fn handle(&mut self, Down { actor, reason, .. }: Down, _: &mut Context<Self>) {
        self.0.lock().unwrap().push((actor, true, reason));
    }
}

/// An actor's `stopped` and its monitors hear the same reason: at SIGTERM, whether it works or has failed and waits for its
/// next start, and when it is stopped by itself.
#[posse::test(sim, seeds = 30)]
async fn stopped_and_monitors_hear_the_same_reason(sim: Sim) {
    let (ends, dice) = (Ends::default(), sim.clone());
    let machine = sim.host("machine", || async { Ok(()) }).await;
    let log = ends.clone();
    let program = machine.spawn(async move {
        let reporter = || {
            let log = log.clone();
            Spec::new(move || Reporter(log.clone()))
        };
        let supervisor = Supervisor::one_for_one().spawn();
        let mut reporters = vec![posse::spawn(reporter())];
        for _ in 0..3 {
            reporters.push(supervisor.start_child(reporter()).await.unwrap());
        }
        let listening = posse::spawn(Spec::once(Listening(log.clone(), reporters.clone())));
        posse::signal::shutdown().await.unwrap();
        // The one that is nobody's child comes to its end, another one fails and is about to start again.
        reporters[0].stop();
        let _ = reporters[1].tell(Fail).await;
        sleep(ms(dice.random_below(8) as u64)).await;
        supervisor.shutdown().await;
        sleep(ms(100)).await;
        drop(listening);
        reporters.iter().map(LocalRef::id).collect::<Vec<_>>()
    });
    sleep(ms(10)).await;
    sim.terminate(&machine);
    let reporters = program.await.unwrap();
    let ends = ends.lock().unwrap();
    let said = |id, by_monitor| ends.iter().rfind(|end| (end.0, end.1) == (id, by_monitor)).map(|end| end.2.clone());
    for (at, id) in reporters.into_iter().enumerate() {
        let (stopped, down) = (said(id, false), said(id, true));
        assert!(down.is_some() && stopped == down, "the {at}th: {stopped:?}, but to its monitor {down:?}");
        match at {
            0 => assert_eq!(down, Some(ExitReason::Normal)),
            1 => assert_ne!(down, Some(ExitReason::Normal)),
            _ => assert_eq!(down, Some(ExitReason::Shutdown)),
        }
    }
}

/// A program in an `async fn main` that is told to end while a child starts, runs, or waits for its restart.
#[posse::test(sim, seeds = 20)]
async fn a_tree_in_an_async_main_ends_in_order_when_it_is_told_to(sim: Sim) {
    let (book, ended) = (Book::new(4, 10), Arc::new(AtomicBool::new(false)));
    let program = {
        let (book, ended) = (book.clone(), ended.clone());
        move || {
            let (book, ended) = (book.clone(), ended.clone());
            async move {
                let wait = Backoff::exponential(ms(100)..secs(1));
                let mut tree = Supervisor::one_for_one().restart_limit(usize::MAX, secs(1)).backoff(wait);
                for index in 0..4 {
                    let book = book.clone();
                    tree = tree.child(Spec::new(move || Worker::new(index, &book)).name(format!("worker/{index}")));
                }
                let storm = posse::task::spawn(async {
                    for n in 0.. {
                        if let Some(worker) = System::current().whereis::<Worker>(&format!("worker/{}", n % 4)) {
                            drop(worker.tell(Hint).await);
                        }
                        sleep(ms(1)).await;
                    }
                });
                let result = tree.run_until_shutdown().await;
                storm.abort();
                ended.store(true, Ordering::Relaxed);
                result
            }
        }
    };
    let machine = sim.host("program", program).await;
    sleep(ms(sim.random_below(2_000) as u64)).await;
    sim.terminate(&machine);
    sim.wait_for(secs(30), "the tree has ended", || ended.load(Ordering::Relaxed)).await;
    assert_eq!(book.alive(), 0);
    book.check();
}
