//! The simulated world, seen through the runtime's own sockets and timers.

use super::*;
use crate::io::{TcpListener, TcpStream};
use crate::runtime::Handle;
use crate::task;
use crate::time::{Instant, sleep};
use std::future::poll_fn;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

pub(super) fn world(seed: u64) -> World {
    World::new(Options::new(seed), Box::new(|_, _| Vec::new()))
}

pub(super) fn spec(name: &str, boot: impl Fn(&Handle) + Send + Sync + 'static) -> MachineSpec {
    MachineSpec { name: name.to_owned(), workers: 2, skew: Skew::default(), boot: Arc::new(boot) }
}

pub(super) async fn write_all(stream: &TcpStream, mut bytes: &[u8]) -> std::io::Result<()> {
    while !bytes.is_empty() {
        let n = poll_fn(|cx| stream.poll_write(cx, bytes)).await?;
        bytes = &bytes[n..];
    }
    Ok(())
}

pub(super) async fn read_exact(stream: &TcpStream, bytes: &mut [u8]) -> std::io::Result<()> {
    let mut at = 0;
    while at < bytes.len() {
        match poll_fn(|cx| stream.poll_read(cx, &mut bytes[at..])).await? {
            0 => return Err(std::io::ErrorKind::UnexpectedEof.into()),
            n => at += n,
        }
    }
    Ok(())
}

pub(super) fn echo(handle: &Handle) {
    handle.spawn(async {
        let listener = TcpListener::listen("0.0.0.0:7".parse().unwrap()).unwrap();
        loop {
            let (stream, _) = poll_fn(|cx| listener.poll_accept(cx)).await.unwrap();
            task::spawn(async move {
                let mut bytes = [0; 1000];
                while let Ok(n @ 1..) = poll_fn(|cx| stream.poll_read(cx, &mut bytes)).await {
                    if write_all(&stream, &bytes[..n]).await.is_err() {
                        return;
                    }
                }
            });
        }
    });
}

pub(super) fn address(control: &WorldHandle, machine: MachineId) -> SocketAddr {
    (control.ip(machine), 7).into()
}

#[test]
fn a_test_reads_the_clock_of_the_world_from_its_first_moment_on() {
    let mut world = world(1);
    let passed = world.run(|_| {
        let begun = Instant::now();
        async move {
            sleep(Duration::from_secs(3)).await;
            begun.elapsed()
        }
    });
    assert!((3000..3010).contains(&passed.unwrap().as_millis()));
}

#[test]
fn a_machine_that_was_paused_while_it_had_work_to_do_has_not_starved() {
    let mut world = world(0);
    let run = world.run(|control| async move {
        let busy = |handle: &Handle| {
            for _ in 0..2 {
                handle.spawn(async {
                    loop {
                        task::yield_now().await;
                    }
                });
            }
        };
        let machine = control.add(spec("busy", busy)).await.unwrap();
        for _ in 0..20 {
            control.pause(machine, true);
            sleep(Duration::from_secs(2)).await;
            control.pause(machine, false);
            sleep(Duration::from_micros(50)).await;
        }
    });
    run.unwrap();
}

#[test]
fn bytes_come_back_over_the_simulated_network_whatever_the_seed() {
    for seed in 0..40 {
        let mut world = world(seed);
        let run = world.run(|control| async move {
            let server = control.add(spec("server", echo)).await.unwrap();
            sleep(Duration::from_millis(10)).await;
            let stream = TcpStream::connect(address(&control, server)).await.unwrap();
            let sent: Vec<u8> = (0..200_000u32).map(|n| (n % 251) as u8).collect();
            for part in sent.chunks(30_000) {
                write_all(&stream, part).await.unwrap();
                let mut back = vec![0; part.len()];
                read_exact(&stream, &mut back).await.unwrap();
                assert!(back == part);
            }
        });
        assert!(run.is_ok(), "seed {seed}: {run:?}");
    }
}

#[test]
fn hours_pass_in_no_time_and_the_same_seed_gives_the_same_run() {
    let run = |seed| {
        let mut world = world(seed);
        let run = world.run(|control| async move {
            let server = control.add(spec("server", echo)).await.unwrap();
            let start = Instant::now();
            for hour in 1..=10u32 {
                sleep(Duration::from_secs(3600)).await;
                let stream = TcpStream::connect(address(&control, server)).await.unwrap();
                write_all(&stream, &[hour as u8; 100]).await.unwrap();
                read_exact(&stream, &mut [0; 100]).await.unwrap();
            }
            assert!(start.elapsed() >= Duration::from_secs(36_000));
        });
        assert!(run.is_ok(), "{run:?}");
        (world.record(), world.elapsed())
    };
    let (first, elapsed) = run(1);
    assert_eq!(first.differs_from(&run(1).0), None);
    assert_ne!(first.hash(), run(2).0.hash());
    assert!(elapsed < Duration::from_secs(36_100));
}

#[test]
fn a_killed_machine_breaks_its_connections_and_one_without_power_says_nothing() {
    let mut world = world(5);
    let run = world.run(|control| async move {
        let server = control.add(spec("server", echo)).await.unwrap();
        let mut byte = [0];
        for crash in [Crash::Kill, Crash::PowerOff] {
            sleep(Duration::from_millis(10)).await;
            let stream = TcpStream::connect(address(&control, server)).await.unwrap();
            write_all(&stream, &[1]).await.unwrap();
            read_exact(&stream, &mut byte).await.unwrap();
            control.kill(server, crash).await;
            let read = crate::time::timeout(Duration::from_secs(60), read_exact(&stream, &mut byte)).await;
            assert_eq!(read.is_ok(), crash == Crash::Kill);
            let again = crate::time::timeout(Duration::from_secs(60), TcpStream::connect(address(&control, server)));
            let refused = again.await.map(|result| result.unwrap_err().kind());
            assert_eq!(refused.ok(), (crash == Crash::Kill).then_some(std::io::ErrorKind::ConnectionRefused));
            control.start(server, None).await;
        }
    });
    assert!(run.is_ok(), "{run:?}");
}

#[test]
fn what_is_sent_over_a_cut_way_arrives_after_it_is_healed_and_what_is_held_after_the_release() {
    let mut world = world(6);
    let run = world.run(|control| async move {
        let server = control.add(spec("server", echo)).await.unwrap();
        sleep(Duration::from_millis(10)).await;
        let test = MachineId(0);
        let stream = TcpStream::connect(address(&control, server)).await.unwrap();
        let mut byte = [0];
        for hold in [false, true] {
            if hold {
                control.hold(test, server)
            } else {
                control.partition(test, server)
            }
            write_all(&stream, &[7]).await.unwrap();
            let read = crate::time::timeout(Duration::from_secs(20), read_exact(&stream, &mut byte)).await;
            assert!(read.is_err());
            if hold {
                control.release(test, server)
            } else {
                control.repair(test, server)
            }
            let start = Instant::now();
            read_exact(&stream, &mut byte).await.unwrap();
            // A kernel's pause after 20 s is 13 to 26 s.
            assert!(start.elapsed() < Duration::from_secs(if hold { 1 } else { 30 }));
        }
    });
    assert!(run.is_ok(), "{run:?}");
}

#[test]
fn a_test_that_waits_for_nothing_fails_instead_of_hanging() {
    let mut world = world(1);
    match world.run(|_| std::future::pending::<()>()) {
        Err(Failure::Found(text)) => assert!(text.contains("nothing can happen any more"), "{text}"),
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_leaked_task_is_found() {
    let mut world = world(1);
    let run = world.run(|_| async {
        std::mem::forget(TcpListener::listen("127.0.0.1:1".parse().unwrap()).unwrap());
    });
    assert!(matches!(run, Err(Failure::Found(text)) if text.contains("1 sockets of test were left")));
}

/// Pinned tasks with timers, sockets' wake-ups and yields among others, on machines of two workers, seed after seed.
#[test]
fn a_pinned_task_stays_on_its_logical_worker() {
    for seed in 0..20 {
        let run = world(seed).run(|control| async move {
            let machine = control.add(spec("pinned", |_| {})).await.unwrap();
            let handle = control.handle(machine).unwrap();
            let tasks: Vec<_> = (0..4)
                .map(|n| {
                    let pinned = handle.spawn_pinned(n % 2, async move {
                        for round in 0..10 {
                            match round % 3 {
                                0 => sleep(Duration::from_millis(round)).await,
                                1 => task::yield_now().await,
                                // Woken by whichever worker runs that.
                                _ => task::spawn(sleep(Duration::from_millis(1))).await.unwrap(),
                            }
                            assert_eq!(crate::context::shard(), Some(n % 2));
                        }
                    });
                    pinned.unwrap()
                })
                .collect();
            for task in tasks {
                task.await.unwrap();
            }
            assert!(handle.spawn_pinned(2, async {}).is_err());
        });
        assert!(run.is_ok(), "seed {seed}: {run:?}");
    }
}
