//! The runtime of an openraft: its traits on Posse's types, in a wrapper where a trait is not Posse's to implement, driven by
//! openraft's own suite for runtimes.

use openraft_rt::testing::{DetsimSuite, Suite};
use openraft_rt::{AsyncRuntime, OptionalSend, OptionalSync, mpsc, mutex, oneshot, watch};
use posse::runtime::{Builder, Handle, Runtime};
use posse::sim::Sim;
use posse::{sync, task, time};
use std::convert::Infallible;
use std::future::Future;
use std::io;
use std::ops::{Add, AddAssign, Sub, SubAssign};
use std::time::Duration;

/// What `AsyncRuntime` of the types of a Raft is set to. Its tasks, timers and random numbers are those of the runtime that the
/// caller is in, a simulated one too.
#[derive(Debug)]
pub struct PosseRuntime(Runtime);

impl AsyncRuntime for PosseRuntime {
    type JoinError = task::JoinError;
    type JoinHandle<T: OptionalSend + 'static> = task::JoinHandle<T>;
    type Sleep = time::Sleep;
    type Instant = Instant;
    type TimeoutError = time::error::Elapsed;
    type Timeout<R, T: Future<Output = R> + OptionalSend> = time::Timeout<T>;
    type ThreadLocalRng = Random;
    type Mpsc = Mpsc;
    type Watch = Watch;
    type Oneshot = Oneshot;
    type Mutex<T: OptionalSend + 'static> = Mutex<T>;

    fn spawn<T>(future: T) -> Self::JoinHandle<T::Output>
    where
        T: Future + OptionalSend + 'static,
        T::Output: OptionalSend + 'static,
    {
        task::spawn(future)
    }

    fn sleep(duration: Duration) -> Self::Sleep {
        time::sleep(duration)
    }

    fn sleep_until(deadline: Instant) -> Self::Sleep {
        time::sleep_until(deadline.0)
    }

    fn timeout<R, F: Future<Output = R> + OptionalSend>(duration: Duration, future: F) -> Self::Timeout<R, F> {
        time::timeout(duration, future)
    }

    fn timeout_at<R, F: Future<Output = R> + OptionalSend>(deadline: Instant, future: F) -> Self::Timeout<R, F> {
        time::timeout_at(deadline.0, future)
    }

    fn is_panic(error: &task::JoinError) -> bool {
        error.is_panic()
    }

    fn thread_rng() -> Random {
        Random(Handle::current())
    }

    fn new(threads: usize) -> Self {
        Self(Builder::new_multi_thread().worker_threads(threads).build().expect("the runtime starts"))
    }

    fn block_on<F: Future<Output = T>, T>(&mut self, future: F) -> T {
        self.0.block_on(future)
    }

    fn spawn_blocking<F, T>(f: F) -> impl Future<Output = io::Result<T>> + Send
    where
        F: FnOnce() -> T + Send + 'static,
        T: Send + 'static,
    {
        let task = task::spawn_blocking(f);
        async { Ok(task.await?) }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Instant(time::Instant);

impl openraft_rt::Instant for Instant {
    fn now() -> Self {
        Self(time::Instant::now())
    }
}

impl Add<Duration> for Instant {
    type Output = Self;

    fn add(self, duration: Duration) -> Self {
        Self(self.0 + duration)
    }
}

impl AddAssign<Duration> for Instant {
    fn add_assign(&mut self, duration: Duration) {
        self.0 += duration;
    }
}

impl Sub<Duration> for Instant {
    type Output = Self;

    fn sub(self, duration: Duration) -> Self {
        Self(self.0 - duration)
    }
}

impl SubAssign<Duration> for Instant {
    fn sub_assign(&mut self, duration: Duration) {
        self.0 -= duration;
    }
}

impl Sub for Instant {
    type Output = Duration;

    fn sub(self, earlier: Self) -> Duration {
        self.0 - earlier.0
    }
}

/// The runtime's random numbers, which follow from its seed.
#[derive(Debug)]
pub struct Random(Handle);

impl rand::TryRng for Random {
    type Error = Infallible;

    fn try_next_u32(&mut self) -> Result<u32, Infallible> {
        Ok((self.0.random_u64() >> 32) as u32)
    }

    fn try_next_u64(&mut self) -> Result<u64, Infallible> {
        Ok(self.0.random_u64())
    }

    fn try_fill_bytes(&mut self, bytes: &mut [u8]) -> Result<(), Infallible> {
        for chunk in bytes.chunks_mut(8) {
            chunk.copy_from_slice(&self.0.random_u64().to_le_bytes()[..chunk.len()]);
        }
        Ok(())
    }
}

pub struct Mpsc;

pub struct Sender<T>(sync::mpsc::Sender<T>);
pub struct WeakSender<T>(sync::mpsc::WeakSender<T>);
pub struct Receiver<T>(sync::mpsc::Receiver<T>);

impl mpsc::Mpsc for Mpsc {
    type Sender<T: OptionalSend> = Sender<T>;
    type Receiver<T: OptionalSend> = Receiver<T>;
    type WeakSender<T: OptionalSend> = WeakSender<T>;

    fn channel<T: OptionalSend>(buffer: usize) -> (Sender<T>, Receiver<T>) {
        let (sender, receiver) = sync::mpsc::channel(buffer);
        (Sender(sender), Receiver(receiver))
    }
}

impl<T> Clone for Sender<T> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

impl<T> Clone for WeakSender<T> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

impl<T: OptionalSend> mpsc::MpscSender<Mpsc, T> for Sender<T> {
    async fn send(&self, message: T) -> Result<(), mpsc::SendError<T>> {
        self.0.send(message).await.map_err(|error| mpsc::SendError(error.0))
    }

    fn downgrade(&self) -> WeakSender<T> {
        WeakSender(self.0.downgrade())
    }
}

impl<T: OptionalSend> mpsc::MpscWeakSender<Mpsc, T> for WeakSender<T> {
    fn upgrade(&self) -> Option<Sender<T>> {
        self.0.upgrade().map(Sender)
    }
}

impl<T: OptionalSend> mpsc::MpscReceiver<T> for Receiver<T> {
    async fn recv(&mut self) -> Option<T> {
        self.0.recv().await
    }

    fn try_recv(&mut self) -> Result<T, mpsc::TryRecvError> {
        self.0.try_recv().map_err(|error| match error {
            sync::mpsc::TryRecvError::Empty => mpsc::TryRecvError::Empty,
            sync::mpsc::TryRecvError::Disconnected => mpsc::TryRecvError::Disconnected,
        })
    }
}

pub struct Watch;

pub struct WatchSender<T>(sync::watch::Sender<T>);
pub struct WatchReceiver<T>(sync::watch::Receiver<T>);

impl watch::Watch for Watch {
    type Sender<T: OptionalSend + OptionalSync> = WatchSender<T>;
    type Receiver<T: OptionalSend + OptionalSync> = WatchReceiver<T>;
    type Ref<'a, T: OptionalSend + 'a> = sync::watch::Ref<'a, T>;

    fn channel<T: OptionalSend + OptionalSync>(value: T) -> (WatchSender<T>, WatchReceiver<T>) {
        let (sender, receiver) = sync::watch::channel(value);
        (WatchSender(sender), WatchReceiver(receiver))
    }
}

impl<T> Clone for WatchSender<T> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

impl<T> Clone for WatchReceiver<T> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

impl<T: OptionalSend + OptionalSync> watch::WatchSender<Watch, T> for WatchSender<T> {
    fn send(&self, value: T) -> Result<(), watch::SendError<T>> {
        self.0.send(value).map_err(|error| watch::SendError(error.0))
    }

    fn send_if_modified<F: FnOnce(&mut T) -> bool>(&self, modify: F) -> bool {
        self.0.send_if_modified(modify)
    }

    fn borrow_watched(&self) -> sync::watch::Ref<'_, T> {
        self.0.borrow()
    }

    fn subscribe(&self) -> WatchReceiver<T> {
        WatchReceiver(self.0.subscribe())
    }
}

impl<T: OptionalSend + OptionalSync> watch::WatchReceiver<Watch, T> for WatchReceiver<T> {
    async fn changed(&mut self) -> Result<(), watch::RecvError> {
        self.0.changed().await.map_err(|_| watch::RecvError(()))
    }

    fn borrow_watched(&self) -> sync::watch::Ref<'_, T> {
        self.0.borrow()
    }

    fn borrow_and_update(&mut self) -> sync::watch::Ref<'_, T> {
        self.0.borrow_and_update()
    }
}

pub struct Oneshot;

pub struct OneshotSender<T>(sync::oneshot::Sender<T>);

impl oneshot::Oneshot for Oneshot {
    type Sender<T: OptionalSend> = OneshotSender<T>;
    type Receiver<T: OptionalSend> = sync::oneshot::Receiver<T>;
    type ReceiverError = sync::oneshot::RecvError;

    fn channel<T: OptionalSend>() -> (OneshotSender<T>, sync::oneshot::Receiver<T>) {
        let (sender, receiver) = sync::oneshot::channel();
        (OneshotSender(sender), receiver)
    }
}

impl<T: OptionalSend> oneshot::OneshotSender<T> for OneshotSender<T> {
    fn send(self, value: T) -> Result<(), T> {
        self.0.send(value)
    }
}

pub struct Mutex<T>(sync::Mutex<T>);

impl<T: OptionalSend + 'static> mutex::Mutex<T> for Mutex<T> {
    type Guard<'a> = sync::MutexGuard<'a, T>;

    fn new(value: T) -> Self {
        Self(sync::Mutex::new(value))
    }

    fn lock(&self) -> impl Future<Output = Self::Guard<'_>> + OptionalSend {
        self.0.lock()
    }
}

#[test]
fn the_runtime_passes_openrafts_suite() {
    // One of its tests wants a sleep of 50 ms to take less than 200: time stands still but for who sleeps.
    let runtime = Builder::new_current_thread().start_paused(true).build().unwrap();
    Suite::test_all_on(&mut PosseRuntime(runtime));
    DetsimSuite::<PosseRuntime>::test_all();
}

/// What of the suite has several tasks, time or random numbers, under many schedules; both runs of a seed must decide the same.
#[posse::test(sim, seeds = 50)]
async fn the_runtime_passes_in_the_simulation(_: Sim) {
    type In = Suite<PosseRuntime>;
    In::test_spawn_join_handle().await;
    In::test_thread_rng().await;
    In::test_sleep().await;
    In::test_instant_sub_instant().await;
    In::test_sleep_until().await;
    In::test_timeout().await;
    In::test_timeout_at().await;
    In::test_mpsc_send().await;
    In::test_watch_wait_until_ge().await;
    In::test_watch_wait_until().await;
    In::test_watch_wait_loop_pattern().await;
    In::test_watch_multiple_receivers().await;
    In::test_watch_subscribe().await;
    In::test_oneshot_send_from_another_task().await;
    In::test_mutex_contention().await;
    In::test_task_local().await;
    // These poll by hand and want an answer at once, which a task whose cooperative budget is spent does not get.
    task::unconstrained(async {
        In::test_mpsc_backpressure().await;
        In::test_watch_changed_marks_as_seen().await;
        In::test_mutex_lock_owned().await;
    })
    .await;
}
