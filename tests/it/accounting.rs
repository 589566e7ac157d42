//! The two laws: offered = returned + accepted, and accepted = handled + dead.

use crate::common::{Add, Break, Hang, Log, Worker, settle};
use posse::prelude::*;
use posse::{DeadReason, System};

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
    assert!(system.dead_letters().count(DeadReason::Crashed) == 5);
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
    assert_eq!((letters.count(DeadReason::Stopped), letters.count(DeadReason::Crashed)), (11, 1));
    let recent = letters.recent();
    assert!(recent.iter().all(|letter| letter.to == worker.id() && letter.message.ends_with("Add")));
}
