//! One worker is stuck in a poll: what its other tasks, its timers and the sockets need is done by the others.
//!
//! Each test blocks a worker until something happens that the worker itself would do next. If nobody else did it, the test
//! would hang.

use posse::System;
use posse::net::UdpSocket;
use posse::prelude::*;
use posse::runtime::{Builder, Runtime};
use posse::task;
use posse::time::sleep;
use std::future::Future;
use std::io::Write;
use std::pin::{Pin, pin};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex};
use std::task::{Context as TaskContext, Wake, Waker};
use std::time::Duration;
use tracing::level_filters::LevelFilter;

/// Runs a test on fleets of several sizes, with the other workers asleep and with all of them busy.
fn fleets(test: impl Fn(&Runtime, usize)) {
    for (workers, busy) in [(2, false), (3, false), (8, false), (2, true), (3, true)] {
        let runtime = Builder::new_multi_thread().worker_threads(workers).build().unwrap();
        let stop = Arc::new(AtomicBool::new(false));
        for _ in 0..if busy { workers } else { 0 } {
            let stop = stop.clone();
            runtime.spawn(async move {
                while !stop.load(Ordering::Relaxed) {
                    task::yield_now().await;
                }
            });
        }
        test(&runtime, workers);
        stop.store(true, Ordering::Relaxed);
    }
}

/// A subscriber's writer, which passes on each line.
struct Lines(Sender<String>);

impl Write for Lines {
    fn write(&mut self, line: &[u8]) -> std::io::Result<usize> {
        // Whoever waits for a line stops at the first that it looks for.
        let _ = self.0.send(String::from_utf8_lossy(line).into_owned());
        Ok(line.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

/// An actor whose handler listens to the watchdog until it has told of it.
struct Stuck(Arc<Mutex<Receiver<String>>>, &'static str);

#[derive(Message)]
#[message(reply = String)]
struct ListenForYourself;

impl Actor for Stuck {}

impl Handler<ListenForYourself> for Stuck {
    async fn handle(&mut self, _: ListenForYourself, _: &mut Context<Self>) -> String {
        let heard = self.0.lock().unwrap();
        heard.iter().find(|line| line.contains(&format!("task.name={}", self.1))).unwrap()
    }
}

/// The task stays in its poll until the watchdog has told of it, and then an actor does.
#[test]
fn the_watchdog_names_a_stuck_task_and_where_it_was_spawned() {
    let (lines, heard) = channel();
    let subscriber = tracing_subscriber::fmt()
        .with_max_level(LevelFilter::WARN)
        .with_ansi(false)
        .without_time()
        .with_writer(move || Lines(lines.clone()))
        .finish();
    tracing::subscriber::set_global_default(subscriber).unwrap();

    let runtime = Builder::new_multi_thread().worker_threads(2).build().unwrap();
    let (line, actors_lines) = runtime.block_on(async {
        let stuck = async move {
            let line = heard.iter().find(|line| line.contains("task.name=stuck on purpose")).unwrap();
            (heard, line)
        };
        let (heard, line) = task::Builder::new().name("stuck on purpose").spawn(stuck).await.unwrap();
        // However it is started.
        let heard = Arc::new(Mutex::new(heard));
        let stuck = |name: &'static str| {
            let heard = heard.clone();
            Spec::new(move || Stuck(heard.clone(), name)).name(name)
        };
        let tree = Supervisor::one_for_one().child(stuck("stuck first child")).spawn();
        let later = tree.start_child(stuck("stuck later child")).await.unwrap();
        let first = System::current().whereis("stuck first child").unwrap();
        let mut lines = Vec::new();
        for actor in [posse::spawn(stuck("stuck actor")), first, later] {
            lines.push(actor.ask(ListenForYourself).await.unwrap());
        }
        (line, lines)
    });
    let place = "task.place=tests/it/real_stuck.rs:";
    for line in actors_lines {
        assert!(line.contains(place) && line.contains("Stuck"), "{line}");
    }
    assert!(line.starts_with(" WARN posse::task: a task is in one poll for long task.id="), "{line}");
    assert!(line.contains("task.type=it::real_stuck::") && line.contains(place), "{line}");
    assert!(runtime.handle().metrics().slow_poll_count() >= 1);
}

/// A waker that a blocked thread waits for.
struct Signal(Sender<()>);

fn signal() -> (Waker, Receiver<()>) {
    let (sender, receiver) = channel();
    (Waker::from(Arc::new(Signal(sender))), receiver)
}

impl Wake for Signal {
    fn wake(self: Arc<Self>) {
        // Nobody waits any more after the first.
        let _ = self.0.send(());
    }
}

/// Polls once, then blocks the worker until the future was woken, until it is ready.
fn block<F: Future>(mut future: Pin<&mut F>) -> F::Output {
    let (waker, woken) = signal();
    loop {
        if let std::task::Poll::Ready(output) = future.as_mut().poll(&mut TaskContext::from_waker(&waker)) {
            return output;
        }
        woken.recv().unwrap();
    }
}

#[test]
fn a_timer_of_a_stuck_worker_is_fired_by_another_one() {
    fleets(|runtime, _| {
        let stuck = runtime.spawn(async { block(pin!(sleep(Duration::from_millis(1)))) });
        runtime.block_on(stuck).unwrap();
    });
}

#[test]
fn a_timer_of_a_thread_outside_is_fired_whatever_worker_is_stuck() {
    fleets(|runtime, workers| {
        let (release, released): (Vec<_>, Vec<_>) = (1..workers).map(|_| channel::<()>()).unzip();
        let stuck: Vec<_> =
            released.into_iter().map(|released| runtime.spawn(async move { released.recv() })).collect();
        runtime.block_on(async {
            sleep(Duration::from_millis(1)).await;
            drop(release);
            for task in stuck {
                assert!(task.await.unwrap().is_err());
            }
        });
    });
}

#[test]
fn the_deadline_of_an_ask_passes_while_its_worker_is_stuck() {
    #[derive(Default)]
    struct Mute;
    impl Actor for Mute {}
    #[derive(Message)]
    #[message(reply = ())]
    struct Answer;
    impl Handler<Answer> for Mute {
        async fn handle(&mut self, _: Answer, _: &mut Context<Self>) {
            std::future::pending().await
        }
    }

    fleets(|runtime, _| {
        let stuck = runtime.spawn(async {
            let mute = posse::spawn(Mute::default);
            block(pin!(mute.ask(Answer).within(Duration::from_millis(1))))
        });
        assert!(matches!(runtime.block_on(stuck).unwrap(), Err(posse::AskError::Timeout)));
    });
}

#[test]
fn tasks_that_a_stuck_one_woke_are_run_by_others() {
    fleets(|runtime, _| {
        let stuck = runtime.spawn(async {
            for count in [1, 2, 100] {
                let (ran, all) = channel();
                for _ in 0..count {
                    let ran = ran.clone();
                    task::spawn(async move { ran.send(()).unwrap() });
                }
                (0..count).for_each(|_| all.recv().unwrap());
            }
        });
        runtime.block_on(stuck).unwrap();
    });
}

#[test]
fn a_task_that_yielded_to_a_stuck_one_is_run_by_another_worker() {
    fleets(|runtime, _| {
        let yielding = runtime.spawn(async {
            let (ran, wait) = channel();
            let stuck = task::spawn(async move { wait.recv().unwrap() });
            task::yield_now().await;
            ran.send(()).unwrap();
            stuck.await.unwrap();
        });
        runtime.block_on(yielding).unwrap();
    });
}

#[test]
fn a_socket_is_served_while_the_worker_that_waited_for_it_is_stuck() {
    fleets(|runtime, _| {
        for _ in 0..10 {
            #[expect(clippy::disallowed_methods, reason = "a peer outside of the runtime")]
            let outside = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
            let (bound, addresses) = channel();
            let stuck = runtime.spawn(async move {
                let (first, second) = (socket().await, socket().await);
                let (mine, theirs) = (first.local_addr().unwrap(), second.local_addr().unwrap());
                let (seen, wait) = channel();
                task::spawn(async move {
                    second.recv_from(&mut [0; 1]).await.unwrap();
                    seen.send(()).unwrap();
                });
                task::yield_now().await;
                bound.send((mine, theirs)).unwrap();
                // Who sees this in the driver leaves it to run this task.
                let (_, peer) = first.recv_from(&mut [0; 1]).await.unwrap();
                first.send_to(&[1], peer).await.unwrap();
                wait.recv().unwrap();
            });
            let (mine, theirs) = addresses.recv().unwrap();
            outside.send_to(&[1], mine).unwrap();
            outside.recv(&mut [0; 1]).unwrap();
            outside.send_to(&[1], theirs).unwrap();
            runtime.block_on(stuck).unwrap();
        }
    });
}

async fn socket() -> UdpSocket {
    UdpSocket::bind("127.0.0.1:0").await.unwrap()
}
