//! Time that stands still and jumps.

use super::{Duration, Instant, advance, interval, pause, resume, sleep, sleep_until, timeout};
use crate::io::UdpSocket;
use crate::runtime::{Builder, Handle, Runtime};
use crate::task::{self, yield_now};
use std::io::ErrorKind;
use std::net::Ipv4Addr;
use std::sync::{Arc, Mutex, mpsc};

const HOUR: Duration = Duration::from_secs(3600);

fn paused() -> Runtime {
    Builder::new_current_thread().start_paused(true).build().expect("a runtime")
}

#[test]
fn time_jumps_from_timer_to_timer_and_shows_each_deadline() {
    let log = Arc::new(Mutex::new(Vec::new()));
    paused().block_on(async {
        let start = Instant::now();
        let tasks: Vec<_> = [3, 1, 2]
            .into_iter()
            .map(|hours| {
                let log = log.clone();
                task::spawn(async move {
                    sleep(HOUR * hours).await;
                    log.lock().unwrap().push(start.elapsed());
                })
            })
            .collect();
        assert!(timeout(HOUR / 2, std::future::pending::<()>()).await.is_err());
        assert_eq!(start.elapsed(), HOUR / 2);
        for task in tasks {
            task.await.unwrap();
        }
        let mut ticks = interval(HOUR);
        ticks.tick().await;
        ticks.tick().await;
        assert_eq!(start.elapsed(), HOUR * 4);
    });
    assert_eq!(*log.lock().unwrap(), [HOUR, HOUR * 2, HOUR * 3]);
}

#[test]
fn time_stands_still_while_anything_can_run() {
    paused().block_on(async {
        let start = Instant::now();
        let asleep = task::spawn(sleep(HOUR));
        for _ in 0..1000 {
            yield_now().await;
        }
        assert!(!asleep.is_finished());
        assert_eq!(start.elapsed(), Duration::ZERO);
    });
}

/// Its closure ends in real time, and only the timer waits for it.
#[test]
fn time_does_not_jump_over_a_blocking_closure() {
    paused().block_on(async {
        let start = Instant::now();
        let (release, released) = mpsc::channel::<()>();
        let handle = Handle::current();
        let closure = task::spawn_blocking(move || {
            released.recv().unwrap();
            handle.now()
        });
        let awaited = async {
            yield_now().await;
            release.send(()).unwrap();
            closure.await.unwrap()
        };
        let (ended, ()) = crate::join!(awaited, sleep(HOUR));
        assert_eq!((ended, start.elapsed()), (start, HOUR));
        // One that is detached lets time go on when it has ended.
        drop(task::spawn_blocking(|| ()));
        sleep(HOUR).await;
        assert_eq!(start.elapsed(), HOUR * 2);
    });
}

#[test]
fn advancing_fires_what_is_due_and_no_more() {
    paused().block_on(async {
        let start = Instant::now();
        let (soon, late) = (task::spawn(sleep(HOUR)), task::spawn(sleep(HOUR * 3)));
        yield_now().await;
        advance(HOUR * 2).await;
        yield_now().await;
        assert!(soon.is_finished() && !late.is_finished());
        assert_eq!(start.elapsed(), HOUR * 2);
    });
}

#[test]
fn time_goes_on_from_where_it_stood() {
    let runtime = Builder::new_current_thread().build().expect("a runtime");
    runtime.block_on(async {
        let (unix, start) = (Handle::current().unix_time(), Instant::now());
        pause();
        pause();
        let stopped = Instant::now();
        sleep(HOUR).await;
        assert_eq!(stopped.elapsed(), HOUR);
        resume();
        assert!(start.elapsed() >= HOUR);
        sleep(Duration::from_millis(1)).await;
        let elapsed = stopped.elapsed();
        assert!(elapsed > HOUR);
        assert!(Handle::current().unix_time() >= unix + HOUR);
        assert!(!Handle::current().advance(HOUR), "it goes by itself");
        pause();
        sleep_until(Instant::now() + HOUR).await;
    });
}

#[test]
fn only_a_current_thread_runtime_can_stand_still() {
    let error = Builder::new_multi_thread().start_paused(true).build().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidInput);
    let runtime = Builder::new_multi_thread().worker_threads(1).build().expect("a runtime");
    let error = runtime.block_on(async { task::spawn(async { pause() }).await.unwrap_err() });
    assert!(error.to_string().contains("current-thread"), "{error}");
    let error = runtime.block_on(async { task::spawn(advance(HOUR)).await.unwrap_err() });
    assert!(error.to_string().contains("stands still"), "{error}");
}

#[test]
fn instants_add_and_subtract_to_their_limits() {
    let now = Instant::now();
    let mut later = now + HOUR;
    assert_eq!((later - now, now - later, later - HOUR), (HOUR, Duration::ZERO, now));
    later -= HOUR;
    later += HOUR * 2;
    assert_eq!(later.duration_since(now), HOUR * 2);
    assert_eq!((now.checked_duration_since(later), later.checked_duration_since(now)), (None, Some(HOUR * 2)));
    assert_eq!((now.checked_add(Duration::MAX), now.checked_sub(Duration::MAX)), (None, None));
    let (first, last) = (now - Duration::MAX, now + Duration::MAX);
    assert!(first < now && now < last && first.saturating_sub(HOUR) == first && last.saturating_add(HOUR) == last);
    assert_eq!(Instant::from(std::time::Instant::from(now)), now);
}

/// What has come is looked at before time goes on.
#[test]
fn time_does_not_jump_over_a_task_that_a_socket_has_just_woken() {
    const SHORT: Duration = Duration::from_millis(1);
    paused().block_on(async {
        let start = Instant::now();
        let receiver = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0).into()).unwrap();
        let sender = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0).into()).unwrap();
        let address = receiver.local_addr().unwrap();
        let received = task::spawn(async move {
            receiver.read_io(|socket| socket.recv(&mut [0; 8])).await.unwrap();
            start.elapsed()
        });
        let asleep = task::spawn(sleep(HOUR));
        // A task, which has run when the time is to jump again. The main future would leave word that it was woken.
        task::spawn(async move {
            sleep(SHORT).await;
            sender.write_io(|socket| socket.send_to(b"here", address)).await.unwrap();
        });
        assert_eq!(received.await.unwrap(), SHORT);
        asleep.await.unwrap();
        assert_eq!(start.elapsed(), HOUR);
    });
}

/// The clock can show no later time, so no timer waits any more, and it does not go on from there.
#[test]
fn at_the_end_of_time_every_sleep_is_over() {
    paused().block_on(async {
        let early = task::spawn(sleep(Duration::MAX));
        yield_now().await;
        advance(Duration::MAX).await;
        early.await.unwrap();
        for _ in 0..2 {
            sleep(HOUR).await;
            task::spawn(sleep(HOUR)).await.unwrap();
            assert!(timeout(HOUR, std::future::pending::<()>()).await.is_err());
            assert_eq!(Handle::current().timers().len(), 0);
            resume();
        }
    });
}

#[test]
fn a_timer_that_was_set_before_the_last_century_is_over_when_time_does_not_go_on() {
    paused().block_on(async {
        let century = HOUR * 24 * 365 * 100;
        advance(century * 5).await;
        let late = task::spawn(sleep(HOUR * 24 * 365 * 80));
        yield_now().await;
        resume();
        late.await.unwrap();
    });
}
