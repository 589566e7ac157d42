//! A meeting point for a number of tasks.

use crate::loom::sync::Mutex;
use crate::raw_task::wait_kind::WaitKind;
use crate::wait_set::WaitSet;

/// Lets tasks wait until a number of them have come, again and again.
///
/// # Examples
/// ```
/// use posse::sync::Barrier;
/// use std::sync::Arc;
///
/// # posse::runtime::Runtime::new().unwrap().block_on(async {
/// let barrier = Arc::new(Barrier::new(3));
/// let tasks: Vec<_> = (0..3)
///     .map(|_| {
///         let barrier = barrier.clone();
///         posse::task::spawn(async move { barrier.wait().await.is_leader() })
///     })
///     .collect();
/// let mut leaders = 0;
/// for task in tasks {
///     leaders += u32::from(task.await.unwrap());
/// }
/// assert_eq!(leaders, 1);
/// # });
/// ```
#[derive(Debug)]
pub struct Barrier {
    tasks: usize,
    state: Mutex<State>,
    met: WaitSet,
}

#[derive(Debug, Default)]
struct State {
    /// Those who wait.
    arrived: usize,
    /// How often the tasks have met.
    meetings: u64,
}

impl Barrier {
    /// A barrier for `tasks` tasks. At one for 0 or 1 no task waits.
    pub fn new(tasks: usize) -> Self {
        Self { tasks: tasks.max(1), state: Mutex::default(), met: WaitSet::new() }
    }

    /// Waits until all have come. The last one to come is the leader.
    ///
    /// # Cancel safety
    /// Dropping the future takes back the arrival: the others wait for another task in its place.
    pub async fn wait(&self) -> BarrierWaitResult {
        crate::raw_task::yielding::consume_budget().await;
        let Some(meeting) = self.arrive() else {
            self.met.wake_all();
            return BarrierWaitResult(true);
        };
        let _arrival = Arrival { barrier: self, meeting };
        self.met.until(WaitKind::Barrier, || (self.state.lock().meetings != meeting).then_some(())).await;
        BarrierWaitResult(false)
    }

    /// Counts one task; `None` if it was the last, else the number of the meeting it waits for.
    fn arrive(&self) -> Option<u64> {
        let mut state = self.state.lock();
        state.arrived += 1;
        if state.arrived < self.tasks {
            return Some(state.meetings);
        }
        state.arrived = 0;
        state.meetings += 1;
        None
    }
}

/// Takes the arrival back, unless its meeting has been.
struct Arrival<'a> {
    barrier: &'a Barrier,
    meeting: u64,
}

impl Drop for Arrival<'_> {
    fn drop(&mut self) {
        let mut state = self.barrier.state.lock();
        if state.meetings == self.meeting {
            state.arrived -= 1;
        }
    }
}

/// What [`Barrier::wait`] returns.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BarrierWaitResult(bool);

impl BarrierWaitResult {
    /// Returns true for one task of each meeting.
    pub fn is_leader(&self) -> bool {
        self.0
    }
}

#[cfg(all(test, posse_loom))]
mod loom_models {
    use super::*;
    use crate::testing::{counting_waker, poll_with};
    use std::future::Future;
    use std::pin::{Pin, pin};
    use std::sync::Arc;
    use std::task::Poll;

    type Waiting = Pin<Box<dyn Future<Output = BarrierWaitResult> + Send>>;

    fn waiting(barrier: &Arc<Barrier>) -> Waiting {
        let barrier = barrier.clone();
        Box::pin(async move { barrier.wait().await })
    }

    /// Two come at the same time: one leads, and the other sees that all have come, or is woken.
    #[test]
    fn loom_who_waits_hears_of_the_last_to_come() {
        loom::model(|| {
            let barrier = Arc::new(Barrier::new(2));
            let mut other = waiting(&barrier);
            let other = loom::thread::spawn(move || {
                let (wakes, waker) = counting_waker();
                let first = poll_with(other.as_mut(), &waker);
                (other, wakes, first)
            });
            let (wakes, waker) = counting_waker();
            let mut this = waiting(&barrier);
            let first = poll_with(this.as_mut(), &waker);
            let mut leaders = 0;
            for (mut waiting, wakes, first) in [(this, wakes, first), other.join().unwrap()] {
                let met = match first {
                    Poll::Ready(met) => met,
                    Poll::Pending => {
                        assert_eq!(wakes.count(), 1);
                        let Poll::Ready(met) = poll_with(waiting.as_mut(), &waker) else { panic!("it waits for ever") };
                        met
                    }
                };
                leaders += usize::from(met.is_leader());
            }
            assert_eq!(leaders, 1);
        });
    }

    /// One comes and leaves while the other comes: they have met, or the one that is left waits for a third.
    #[test]
    fn loom_an_arrival_is_taken_back_or_has_met() {
        loom::model(|| {
            let barrier = Arc::new(Barrier::new(2));
            let mut other = waiting(&barrier);
            let other = loom::thread::spawn(move || {
                let met = poll_with(other.as_mut(), &counting_waker().1);
                drop(other);
                met.is_ready()
            });
            let (wakes, waker) = counting_waker();
            let mut this = waiting(&barrier);
            let first = poll_with(this.as_mut(), &waker);
            let other_met = other.join().unwrap();
            if first.is_pending() && !other_met {
                assert_eq!(wakes.count(), 0);
                assert!(poll_with(pin!(barrier.wait()), &waker).is_ready());
            }
            if first.is_pending() {
                assert_eq!(wakes.count(), 1);
                assert!(poll_with(this.as_mut(), &waker).is_ready());
            }
            // No task is left over from that meeting.
            assert!(poll_with(pin!(barrier.wait()), &waker).is_pending());
        });
    }
}
