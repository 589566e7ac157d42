//! The two laws: offered = returned + accepted, and accepted = handled + dead.

use crate::common::{Add, Break, Hang, Log, Worker, settle};
use posse::prelude::*;
use posse::{DeadLetterReason, System};

#[posse::test]
async fn every_message_is_returned_handled_or_counted_as_dead() {
    let system = System::current();
    let (mut offered, mut returned, mut accepted) = (0u64, 0u64, 0u64);
    for round in 0..20u64 {
        let worker = posse::spawn(|| Worker::new("a", &Log::default()));
        for n in 0..2000 {
            offered += 1;
            match worker.try_tell(Add(n)) {
                Ok(()) => accepted += 1,
                Err(_) => returned += 1,
            }
            if n % (97 + round) == 0 {
                posse::task::yield_now().await;
            }
        }
        match round % 4 {
            0 => worker.stop(),
            1 => worker.drain(),
            2 => worker.kill(),
            _ => {
                worker.tell(Break).await.unwrap();
                (offered, accepted) = (offered + 1, accepted + 1);
            }
        }
        worker.closed().await;
    }
    assert_eq!(offered, returned + accepted);
    assert_eq!(accepted, system.handled() + system.dead_letters().total());
    assert!(system.dead_letters().count(DeadLetterReason::Failed) == 5);
}

#[posse::test]
async fn what_was_queued_when_an_actor_ends_is_dead_with_its_type_and_reason() {
    let system = System::current();
    let worker = posse::spawn(|| Worker::new("a", &Log::default()));
    worker.tell(Hang).await.unwrap();
    settle().await;
    for n in 0..10 {
        worker.try_tell(Add(n)).unwrap();
    }
    let expired = worker.ask(Add(1)).within(std::time::Duration::ZERO).await;
    assert_eq!(expired, Err(AskError::Timeout));
    worker.kill();
    worker.closed().await;
    let letters = system.dead_letters();
    assert_eq!((letters.count(DeadLetterReason::Stopped), letters.count(DeadLetterReason::Failed)), (11, 1));
    let recent = letters.recent();
    assert!(recent.iter().all(|letter| letter.to == worker.id() && letter.message.ends_with("Add")));
}

/// Its drop panics, wherever it is dropped.
struct Fragile(Log);

impl Actor for Fragile {}

impl Handler<Add> for Fragile {
    async fn handle(&mut self, Add(n): Add, _: &mut Context<Self>) -> u64 {
        n
    }
}

impl Handler<Hang> for Fragile {
    async fn handle(&mut self, _: Hang, _: &mut Context<Self>) {
        std::future::pending().await
    }
}

impl Drop for Fragile {
    fn drop(&mut self) {
        self.0.add("dropped");
        panic!("broken while it is dropped");
    }
}

/// Actors in all states, each with messages in its mailbox. Returns how many were accepted.
///
/// With `reports_its_end` a child breaks, which costs two messages: the one that breaks it, and the report of its end. Only on one thread it is certain that the second has been sent at the end of this.
async fn actors_in_all_states(log: &Log, reports_its_end: bool) -> u64 {
    let mut accepted = 0;
    let worker = |name: &'static str| {
        let log = log.clone();
        move || Worker::new(name, &log)
    };

    // One that works on something for ever, with an ask that nobody waits for any more.
    let hanging = posse::spawn(worker("hanging"));
    hanging.try_tell(Hang).unwrap();
    settle().await;
    assert!(hanging.ask(Add(1)).within(std::time::Duration::ZERO).await.is_err());
    // One that waits to be started again. Its supervisor was sent two messages: the child to start, and that it has started.
    let supervisor = Supervisor::one_for_one().backoff(Backoff::exponential(secs(60)..secs(60))).spawn();
    let broken = supervisor.start_child(Spec::new(worker("broken")).name("broken")).await.unwrap();
    if reports_its_end {
        broken.try_tell(Break).unwrap();
        settle().await;
        accepted += 2;
    }
    // One whose drop panics.
    let recipe = log.clone();
    let fragile = posse::spawn(move || Fragile(recipe.clone()));
    assert_eq!(fragile.ask(Add(1)).await, Ok(1));
    fragile.try_tell(Hang).unwrap();
    // One that has done its work, and one that was never run.
    let idle = posse::spawn(worker("idle"));
    assert_eq!(idle.ask(Add(1)).await, Ok(1));
    let fresh = posse::spawn(worker("fresh"));
    accepted += 7;
    for n in 0..10 {
        for worker in [&hanging, &broken, &fresh] {
            worker.try_tell(Add(n)).unwrap();
        }
        fragile.try_tell(Add(n)).unwrap();
        accepted += 4;
    }
    accepted
}

#[test]
fn the_sums_hold_when_a_runtime_is_dropped_half_way() {
    let multi = posse::runtime::Builder::new_multi_thread().worker_threads(2).build().unwrap();
    let current = posse::runtime::Builder::new_current_thread().build().unwrap();
    for (runtime, on_one_thread) in [(current, true), (multi, false)] {
        let log = Log::default();
        let (system, mut accepted, worker) = runtime.block_on(async {
            let accepted = actors_in_all_states(&log, on_one_thread).await;
            (System::current(), accepted, posse::spawn(|| Worker::new("sent to", &Log::default())))
        });
        // Another thread sends until it is refused.
        #[expect(clippy::disallowed_methods, reason = "a sender that no runtime ends")]
        let sending = std::thread::spawn(move || {
            let mut sent = 0;
            loop {
                match worker.try_tell(Add(1)) {
                    Ok(()) => sent += 1,
                    Err(TellError { reason: SendReason::Stopped, .. }) => return sent,
                    Err(_) => std::thread::yield_now(),
                }
            }
        });
        drop(runtime);
        accepted += sending.join().unwrap();
        assert_eq!(system.alive(), 0);
        assert!(log.take().contains(&"dropped".to_owned()));
        let letters = system.dead_letters();
        assert_eq!(accepted, system.handled() + letters.total());
        assert_eq!(letters.count(DeadLetterReason::Expired), 0);
        assert!(letters.recent().iter().all(|letter| letter.reason == DeadLetterReason::Stopped));
    }
}
