//! The lines of senders whose outgoing messages were not accepted yet: each waits here, in a line for each actor of the other
//! node, served in the order of coming. A message that was accepted waits as bytes in the session's `SendQueue`
//! (`actors/wire/src/send_queue.rs`) until it is written.
//!
//! The first of a line looks for room itself when it is woken, and keeps its place until its message was taken. Meanwhile
//! who comes later sends that actor nothing. So none is overtaken, and one that is woken in vain has lost nothing. A sender that
//! leaves a line has the next one look.

use crate::refs::target::RemoteReservation;
use posse_core::lock::Mutex;
use posse_core::sync::wait_list::{PollWaker, WaitKind, WaitList, WakeList};
use posse_wire::ActorKey;
use std::collections::BTreeMap;
use std::ops::Bound;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::Context;

type Lines = BTreeMap<ActorKey, WaitList<()>>;

/// Of one peer. Senders join and leave by themselves; acknowledgements, answers and the end of the node wake them.
#[derive(Default)]
pub(crate) struct SendWaiters {
    /// One for each actor that senders wait for. None of them is empty.
    lines: Mutex<Lines>,
    /// How many there are, for those who need not wait: it is written under the lock. Who joins a line looks for room
    /// afterwards, under the lock of the session; who makes room has held that lock before, so it sees the line.
    count: AtomicUsize,
}

impl SendWaiters {
    /// Returns true if no sender waits.
    pub(crate) fn is_empty(&self) -> bool {
        self.count.load(Ordering::Acquire) == 0
    }

    /// Returns true if no other waits before this sender, whether it waits itself or not.
    pub(crate) fn is_next(&self, place: &RemoteReservation, to: ActorKey) -> bool {
        self.is_empty() || self.lines.lock().get(&to).is_none_or(|line| line.is_front(&place.0))
    }

    /// Joins the line for an actor, or stays in it. Returns true if it is the first.
    pub(crate) fn join(&self, place: &mut RemoteReservation, to: ActorKey, cx: &Context<'_>) -> bool {
        let mut waker = PollWaker::of(cx, WaitKind::Mailbox);
        let mut lines = self.lines.lock();
        let line = lines.entry(to).or_default();
        let previous = line.poll_or_push(&mut place.0, (), &mut waker);
        // Before the caller looks for room, so a task that makes some meanwhile sees that a sender waits.
        let is_first = line.is_front(&place.0);
        self.count.store(lines.len(), Ordering::Release);
        drop(lines);
        drop(previous);
        is_first
    }

    /// Leaves the line. Returns true if it was the first and another one is that now, which is to look for room.
    pub(crate) fn leave(&self, place: &mut RemoteReservation, to: ActorKey) -> bool {
        if place.0.is_idle() {
            return false;
        }
        let mut lines = self.lines.lock();
        let Some(line) = lines.get_mut(&to) else { return false };
        let was_first = line.is_front(&place.0);
        let previous = line.remove(&mut place.0);
        // An empty line is not kept: there may be as many as actors.
        let others_wait = !line.is_empty();
        if !others_wait {
            lines.remove(&to);
            self.count.store(lines.len(), Ordering::Release);
        }
        drop(lines);
        drop(previous);
        was_first && others_wait
    }

    /// Has the first who waits for room for an actor look.
    pub(crate) fn wake_first(&self, to: ActorKey) {
        let mut woken = WakeList::default();
        let first = self.lines.lock().get_mut(&to).and_then(WaitList::take_front_waker);
        first.into_iter().for_each(|waker| woken.push(waker));
    }

    /// Gathers the first of each line whose actor `has_room`, from after one actor on. Returns the last actor it has come to
    /// if there may be more. The caller holds the session's lock, and wakes them after it.
    pub(crate) fn take_ready(
        &self,
        after: Option<ActorKey>,
        woken: &mut WakeList,
        mut has_room: impl FnMut(ActorKey) -> bool,
    ) -> Option<ActorKey> {
        let mut lines = self.lines.lock();
        for (to, line) in lines.range_mut((after.map_or(Bound::Unbounded, Bound::Excluded), Bound::Unbounded)) {
            // One of each line: who follows is woken when this one has sent or left.
            if has_room(*to) {
                line.take_front_waker().into_iter().for_each(|waker| woken.push(waker));
                if woken.is_full() {
                    return Some(*to);
                }
            }
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;
    use std::sync::atomic::AtomicBool;
    use std::task::{Wake, Waker};

    #[derive(Default)]
    struct Flag(AtomicBool);
    impl Wake for Flag {
        fn wake(self: Arc<Self>) {
            self.0.store(true, Ordering::Relaxed);
        }
    }

    struct Sender {
        place: RemoteReservation,
        flag: Arc<Flag>,
    }

    impl Sender {
        fn join(waiters: &SendWaiters, to: ActorKey) -> (Self, bool) {
            let (mut place, flag) = (RemoteReservation::default(), Arc::new(Flag::default()));
            let is_first = waiters.join(&mut place, to, &Context::from_waker(&Waker::from(flag.clone())));
            (Self { place, flag }, is_first)
        }

        fn was_woken(&self) -> bool {
            self.flag.0.swap(false, Ordering::Relaxed)
        }
    }

    fn wake_all(waiters: &SendWaiters, has_room: impl Fn(ActorKey) -> bool) {
        let mut after = None;
        loop {
            after = waiters.take_ready(after, &mut WakeList::default(), &has_room);
            if after.is_none() {
                return;
            }
        }
    }

    fn actor(slot: u32) -> ActorKey {
        ActorKey { slot, generation: 1 }
    }

    #[test]
    fn first_of_a_line_keeps_its_place_however_often_it_is_woken() {
        let waiters = SendWaiters::default();
        assert!(waiters.is_next(&RemoteReservation::default(), actor(1)));
        let ((mut a, a_first), (mut b, b_first)) = (Sender::join(&waiters, actor(1)), Sender::join(&waiters, actor(1)));
        assert_eq!((a_first, b_first), (true, false));
        for _ in 0..3 {
            wake_all(&waiters, |_| true);
            assert_eq!((a.was_woken(), b.was_woken()), (true, false));
            assert!(waiters.is_next(&a.place, actor(1)));
            assert!(!waiters.is_next(&b.place, actor(1)) && !waiters.is_next(&RemoteReservation::default(), actor(1)));
            assert!(waiters.join(&mut a.place, actor(1), &Context::from_waker(&Waker::from(a.flag.clone()))));
        }
        // Others are not held up, and who is not the first leaves without a word.
        assert!(waiters.is_next(&RemoteReservation::default(), actor(2)));
        let (mut c, _) = Sender::join(&waiters, actor(1));
        assert!(!waiters.leave(&mut c.place, actor(1)) && !waiters.leave(&mut c.place, actor(1)));
        assert!(waiters.leave(&mut a.place, actor(1)));
        waiters.wake_first(actor(1));
        assert!(b.was_woken() && waiters.is_next(&b.place, actor(1)));
        assert!(!waiters.leave(&mut b.place, actor(1)));
        assert!(waiters.is_empty() && waiters.is_next(&RemoteReservation::default(), actor(1)));
    }

    #[test]
    fn first_of_each_line_is_woken_for_whose_actor_there_is_room() {
        let waiters = SendWaiters::default();
        let senders: Vec<_> = (0..100).map(|n| Sender::join(&waiters, actor(n)).0).collect();
        let behind: Vec<_> = (0..100).map(|n| Sender::join(&waiters, actor(n)).0).collect();
        wake_all(&waiters, |to| to.slot % 3 == 0);
        assert!(senders.iter().enumerate().all(|(n, sender)| sender.was_woken() == (n % 3 == 0)));
        assert!(!behind.iter().any(Sender::was_woken));
    }
}
