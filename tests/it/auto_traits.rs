//! What may cross threads, be shared by them, and be moved after it was polled. Losing one of these breaks programs, and so does
//! promising too much.

use crate::common::{Add, Log, Worker};
use posse::prelude::*;
use std::cell::Cell;
use std::marker::{PhantomData, PhantomPinned};
use std::rc::Rc;

/// An answer for each type: the constants of `Is` where the bound holds, else those of `IsNot`.
struct Is<T: ?Sized>(PhantomData<T>);

// What an inherent constant hides.
#[allow(dead_code, reason = "hidden whenever every type asked about has the trait")]
trait IsNot {
    const SEND: &'static str = "";
    const SYNC: &'static str = "";
    const UNPIN: &'static str = "";
}

impl<T: ?Sized> IsNot for Is<T> {}

impl<T: ?Sized + Send> Is<T> {
    const SEND: &'static str = "Send ";
}

impl<T: ?Sized + Sync> Is<T> {
    const SYNC: &'static str = "Sync ";
}

impl<T: ?Sized + Unpin> Is<T> {
    const UNPIN: &'static str = "Unpin ";
}

/// Asserts which of the three traits each type has.
macro_rules! auto_traits {
    ($($type:ty: $($trait:ident)*;)+) => {$(
        let found = [Is::<$type>::SEND, Is::<$type>::SYNC, Is::<$type>::UNPIN].concat();
        let expected = [$(concat!(stringify!($trait), " ")),*].concat();
        assert_eq!(found, expected, "{}", stringify!($type));
    )+};
}

/// May be sent and not shared.
type SendOnly = Cell<u8>;

/// May be neither.
type Neither = Rc<u8>;

#[posse::protocol]
pub trait Counting {
    async fn count(n: u64) -> u64;
}

#[test]
fn of_actors_and_references() {
    auto_traits! {
        LocalRef<Worker>: Send Sync Unpin;
        Recipient<Add>: Send Sync Unpin;
        ActorRef<Counting>: Send Sync Unpin;
        Context<Worker>: Send Sync Unpin;
        Supervisor: Send Unpin;
        Spec<Worker>: Send Unpin;
        posse::SupervisorRef: Send Sync Unpin;
        posse::System: Send Sync Unpin;
        posse::Monitor: Send Sync Unpin;
        Node: Send Sync Unpin;
        posse::NodeId: Send Sync Unpin;
        posse::cluster::NodeBuilder: Send Sync Unpin;
        posse::cluster::Counters: Send Sync Unpin;
        Down: Send Sync Unpin;
        ExitReason: Send Sync Unpin;
        posse::DeadLetter: Send Sync Unpin;
        posse::Tell<Add, LocalRef<Worker>>: Send Sync Unpin;
        posse::Error: Send Sync Unpin;
        AskError: Send Sync Unpin;
        TellError<SendOnly>: Send Unpin;
        TellError<Neither>: Unpin;
        posse::cluster::ConfigError: Send Sync Unpin;
        posse::cluster::ConnectError: Send Sync Unpin;
        posse::cluster::ListenError: Send Sync Unpin;
        posse::WhereisError: Send Sync Unpin;
        posse::RegisterError: Send Sync Unpin;
    }
}

#[test]
fn of_the_runtime() {
    use posse::{runtime, task, time};
    auto_traits! {
        runtime::Runtime: Send Sync Unpin;
        runtime::Builder: Send Sync Unpin;
        runtime::Handle: Send Sync Unpin;
        runtime::EnterGuard: Unpin;
        task::JoinHandle<u8>: Send Sync Unpin;
        task::JoinHandle<SendOnly>: Send Sync Unpin;
        task::JoinHandle<PhantomPinned>: Send Sync Unpin;
        task::AbortHandle: Send Sync Unpin;
        task::JoinError: Send Sync Unpin;
        task::Id: Send Sync Unpin;
        time::Instant: Send Sync Unpin;
        time::Sleep: Send Sync Unpin;
        time::Interval: Send Sync Unpin;
        time::Timeout<std::future::Ready<u8>>: Send Sync Unpin;
        time::Timeout<std::future::Ready<SendOnly>>: Send Unpin;
        time::Timeout<std::future::Ready<Neither>>: Unpin;
        posse::stream::Timeout<time::Interval>: Send Sync Unpin;
        posse::stream::Throttle<Neither>: Unpin;
        posse::testing::Spawn<PhantomPinned>: Send Sync Unpin;
        posse::testing::Spawn<Neither>: Unpin;
    }
}

#[test]
fn of_synchronisation() {
    use posse::sync::{Barrier, OnceCell, RwLock, RwLockReadGuard, RwLockWriteGuard, SetOnce, broadcast, watch};
    use posse::sync::{CancellationToken, Mutex, MutexGuard, Notify, OwnedMutexGuard, Semaphore, mpsc, oneshot};
    use posse::sync::{MappedMutexGuard, OwnedRwLockReadGuard, OwnedRwLockWriteGuard};
    auto_traits! {
        watch::Sender<u8>: Send Sync Unpin;
        watch::Receiver<u8>: Send Sync Unpin;
        watch::Receiver<SendOnly>: Unpin;
        watch::Ref<'static, u8>: Sync Unpin;
        broadcast::Sender<u8>: Send Sync Unpin;
        broadcast::Receiver<u8>: Send Sync Unpin;
        broadcast::WeakSender<u8>: Send Sync Unpin;
        broadcast::Receiver<SendOnly>: Unpin;
        Barrier: Send Sync Unpin;
        OnceCell<u8>: Send Sync Unpin;
        OnceCell<SendOnly>: Send Unpin;
        SetOnce<u8>: Send Sync Unpin;
        mpsc::Sender<u8>: Send Sync Unpin;
        mpsc::Sender<SendOnly>: Send Sync Unpin;
        mpsc::Sender<Neither>: Unpin;
        mpsc::UnboundedSender<SendOnly>: Send Sync Unpin;
        mpsc::UnboundedSender<Neither>: Unpin;
        mpsc::Receiver<SendOnly>: Send Sync Unpin;
        mpsc::Receiver<Neither>: Unpin;
        oneshot::Sender<SendOnly>: Send Sync Unpin;
        oneshot::Sender<Neither>: Unpin;
        oneshot::Receiver<SendOnly>: Send Sync Unpin;
        oneshot::Receiver<Neither>: Unpin;
        Mutex<u8>: Send Sync Unpin;
        Mutex<SendOnly>: Send Sync Unpin;
        Mutex<Neither>: Unpin;
        MutexGuard<'static, u8>: Send Sync Unpin;
        MutexGuard<'static, SendOnly>: Send Unpin;
        OwnedMutexGuard<SendOnly>: Send Unpin;
        OwnedMutexGuard<Neither>: Unpin;
        MappedMutexGuard<'static, SendOnly>: Send Unpin;
        RwLock<u8>: Send Sync Unpin;
        RwLock<SendOnly>: Send Unpin;
        RwLockReadGuard<'static, u8>: Send Sync Unpin;
        RwLockReadGuard<'static, SendOnly>: Unpin;
        RwLockWriteGuard<'static, SendOnly>: Send Unpin;
        OwnedRwLockReadGuard<u8>: Send Sync Unpin;
        OwnedRwLockReadGuard<SendOnly>: Unpin;
        OwnedRwLockWriteGuard<SendOnly>: Unpin;
        mpsc::OwnedPermit<u8>: Send Sync Unpin;
        mpsc::WeakSender<SendOnly>: Send Sync Unpin;
        Semaphore: Send Sync Unpin;
        posse::sync::SemaphorePermit<'static>: Send Sync Unpin;
        posse::sync::OwnedSemaphorePermit: Send Sync Unpin;
        Notify: Send Sync Unpin;
        CancellationToken: Send Sync Unpin;
        posse::sync::DropGuard: Send Sync Unpin;
    }
}

#[test]
fn of_sockets_and_streams() {
    use posse::io::{BufReader, BufWriter};
    use posse::net::codec::{CodecError, Framed, LinesCodec};
    use posse::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
    use posse::net::{UnixListener, UnixStream};
    auto_traits! {
        TcpListener: Send Sync Unpin;
        TcpStream: Send Sync Unpin;
        UdpSocket: Send Sync Unpin;
        UnixListener: Send Sync Unpin;
        UnixStream: Send Sync Unpin;
        OwnedReadHalf: Send Sync Unpin;
        OwnedWriteHalf: Send Sync Unpin;
        BufReader<SendOnly>: Send Unpin;
        BufWriter<SendOnly>: Send Unpin;
        Framed<TcpStream, LinesCodec>: Send Sync Unpin;
        Framed<SendOnly, LinesCodec>: Send Unpin;
        Framed<Neither, LinesCodec>: Unpin;
        CodecError: Send Sync Unpin;
        posse::net::TcpSocket: Send Sync Unpin;
        posse::net::UnixDatagram: Send Sync Unpin;
        posse::net::unix::pipe::Sender: Send Sync Unpin;
        posse::net::unix::pipe::Receiver: Send Sync Unpin;
        posse::io::unix::AsyncFd<std::os::fd::OwnedFd>: Send Sync Unpin;
        posse::io::ReadHalf<SendOnly>: Send Sync Unpin;
        posse::io::ReadHalf<Neither>: Unpin;
        posse::io::DuplexStream: Send Sync Unpin;
        posse::testing::io::Mock: Send Sync Unpin;
        posse::io::Stdin: Send Sync Unpin;
        posse::fs::File: Send Sync Unpin;
        posse::process::Child: Send Sync Unpin;
        posse::signal::unix::Signal: Send Sync Unpin;
    }
}

/// A task may hold any of our futures.
#[posse::test]
async fn of_futures() {
    fn is_send<F: Future + Send>(_: &F) {}

    let worker = posse::spawn(|| Worker::new("a", &Log::default()));
    is_send(&worker.tell(Add(1)).into_future());
    is_send(&worker.ask(Add(1)).into_future());
    is_send(&worker.ask(Add(1)).within(ms(1)).into_future());
    is_send(&worker.closed());
    is_send(&worker.recipient().tell(Add(1)).into_future());

    let (send, mut receive) = posse::sync::mpsc::channel::<SendOnly>(1);
    is_send(&send.send(Cell::new(0)));
    is_send(&send.reserve());
    is_send(&receive.recv());
    is_send(&posse::sync::Mutex::new(Cell::new(0_u8)).lock());
    is_send(&posse::sync::Semaphore::new(1).acquire());
    is_send(&posse::sync::Notify::new().notified());
    is_send(&posse::sync::CancellationToken::new().cancelled());
    is_send(&posse::time::interval(ms(1)).tick());
    is_send(&posse::task::yield_now());
    is_send(&posse::task::spawn_blocking(|| ()));

    is_send(&Node::listen("127.0.0.1:0").into_future());
    is_send(&TcpListener::bind("localhost:0"));
    is_send(&TcpStream::connect("localhost:0"));
    let mut socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    is_send(&socket.recv_from(&mut [0; 8]));
    is_send(&async {
        let socket = &mut socket;
        socket.send_to(b"", ("localhost", 0)).await
    });
}
