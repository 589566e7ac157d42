//! The operating system's event queue and sockets: the only room that names mio and socket2.

#[cfg(target_os = "linux")]
mod datagrams;
#[cfg(unix)]
mod fd;
mod tcp_socket;

use mio::{Events, Poll, Token, Waker};
use std::io;
use std::mem::MaybeUninit;
use std::net::{SocketAddr, TcpStream as StdTcpStream};
use std::time::Duration;

#[cfg(target_os = "linux")]
pub(super) use datagrams::{gro, recv_many, send_many, send_segments, set_gro};
#[cfg(target_os = "linux")]
pub(super) use fd::peer_cred;
#[cfg(unix)]
pub(super) use fd::{FdSource, pidfd};
pub(super) use mio::event::Source;
pub(super) use mio::net::{TcpListener, TcpStream, UdpSocket};
#[cfg(unix)]
pub(super) use mio::net::{UnixDatagram, UnixListener, UnixStream};
#[cfg(unix)]
pub(super) use mio::unix::pipe;
pub(super) use socket2::SockRef;
pub(super) use tcp_socket::OsTcpSocket;

/// Events taken from the queue at once, unless a program says otherwise. The field uses 1,024; the figure was not tuned.
pub(crate) const EVENTS_MAX: usize = 1024;

/// The waker's own token; the table never gives it out.
const WAKE_TOKEN: Token = Token(usize::MAX);

/// Asks that opening a file does not wait, such as a FIFO for its other end.
#[cfg(unix)]
pub const O_NONBLOCK: i32 = libc::O_NONBLOCK;

/// Connections the kernel holds for a listener before it refuses more.
const BACKLOG: i32 = 1024;

#[derive(Debug)]
pub(crate) struct EventQueue {
    poll: Poll,
    events: Events,
}

#[derive(Debug)]
pub(super) struct Registry {
    registry: mio::Registry,
    waker: Waker,
}

/// One event, in the words of the reactor.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Event {
    pub(crate) token: usize,
    pub(crate) read: bool,
    pub(crate) read_closed: bool,
    pub(crate) write: bool,
    pub(crate) write_closed: bool,
    pub(crate) priority: bool,
    pub(crate) error: bool,
}

/// A queue that hands out up to this many events at once, at least 1.
pub(super) fn event_queue(events_max: usize) -> io::Result<(EventQueue, Registry)> {
    let poll = Poll::new()?;
    let waker = Waker::new(poll.registry(), WAKE_TOKEN)?;
    let registry = poll.registry().try_clone()?;
    Ok((EventQueue { poll, events: Events::with_capacity(events_max) }, Registry { registry, waker }))
}

impl EventQueue {
    /// Waits. An interrupted system call counts as no events.
    pub(super) fn wait(&mut self, timeout: Option<Duration>) -> io::Result<()> {
        match self.poll.poll(&mut self.events, timeout) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {
                self.events.clear();
                Ok(())
            }
            other => other,
        }
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = Event> + '_ {
        self.events.iter().filter(|event| event.token() != WAKE_TOKEN).map(|event| Event {
            token: event.token().0,
            read: event.is_readable(),
            // An error is found by trying: it ends both directions.
            read_closed: event.is_read_closed() || event.is_error(),
            write: event.is_writable(),
            write_closed: event.is_write_closed() || event.is_error(),
            priority: event.is_priority(),
            error: event.is_error(),
        })
    }
}

impl Registry {
    pub(super) fn register(&self, source: &mut dyn Source, token: usize) -> io::Result<()> {
        self.registry.register(source, Token(token), mio::Interest::READABLE | mio::Interest::WRITABLE)
    }

    pub(super) fn deregister(&self, source: &mut dyn Source) -> io::Result<()> {
        self.registry.deregister(source)
    }

    pub(super) fn wake(&self) -> io::Result<()> {
        self.waker.wake()
    }
}

/// Binds and listens; the address may be used again at once after a restart.
pub(super) fn listen(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = socket2::Socket::new(socket2::Domain::for_address(address), socket2::Type::STREAM, None)?;
    if cfg!(unix) {
        socket.set_reuse_address(true)?;
    }
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    Ok(TcpListener::from_std(socket.into()))
}

/// Receives into memory that need not be initialised.
pub(super) fn recv_uninit<S>(socket: &S, buffer: &mut [MaybeUninit<u8>]) -> io::Result<usize>
where
    for<'a> SockRef<'a>: From<&'a S>,
{
    SockRef::from(socket).recv(buffer)
}

/// As [`receive`], and from whom.
pub(super) fn receive_from(
    socket: &UdpSocket,
    buffer: &mut [MaybeUninit<u8>],
) -> io::Result<(usize, Option<SocketAddr>)> {
    let (len, from) = socket.try_io(|| SockRef::from(socket).recv_from(buffer))?;
    Ok((len, from.as_socket()))
}

/// Gives a listener to std; it stays non-blocking.
pub(super) fn listener_into_std(listener: TcpListener) -> std::net::TcpListener {
    #[cfg(unix)]
    return std::os::fd::OwnedFd::from(listener).into();
    #[cfg(windows)]
    return std::os::windows::io::OwnedSocket::from(listener).into();
}

/// Sets how long closing waits for unsent data; `Some(ZERO)` resets the connection.
pub(super) fn set_linger(stream: &TcpStream, time: Option<Duration>) -> io::Result<()> {
    socket2::SockRef::from(stream).set_linger(time)
}

/// Sets when keep-alive probes are sent, and how many.
#[cfg(unix)]
pub(super) fn set_keepalive_probes(
    socket: &socket2::Socket,
    time: Duration,
    interval: Duration,
    retries: u32,
) -> io::Result<()> {
    let options = socket2::TcpKeepalive::new().with_time(time).with_interval(interval).with_retries(retries);
    socket.set_tcp_keepalive(&options)
}

/// Asks for keep-alive probes after the connection was idle for `time`.
pub(super) fn set_keepalive(stream: &TcpStream, time: Duration) -> io::Result<()> {
    socket2::SockRef::from(stream).set_tcp_keepalive(&socket2::TcpKeepalive::new().with_time(time))
}

/// Makes a std socket ready for the reactor.
pub(super) fn from_std(stream: StdTcpStream) -> io::Result<TcpStream> {
    stream.set_nonblocking(true)?;
    Ok(TcpStream::from_std(stream))
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;

    #[test]
    fn a_look_takes_no_more_events_than_it_may_and_the_next_one_the_rest() {
        for (events_max, expected) in [(1, [1, 1, 0]), (2, [2, 0, 0])] {
            let (mut queue, registry) = event_queue(events_max).unwrap();
            let (mut one, mut other) = UnixStream::pair().unwrap();
            registry.register(&mut one, 0).unwrap();
            registry.register(&mut other, 1).unwrap();

            let mut tokens = Vec::new();
            for count in expected {
                queue.wait(Some(Duration::ZERO)).unwrap();
                assert_eq!(queue.iter().count(), count);
                tokens.extend(queue.iter().map(|event| event.token));
            }
            tokens.sort_unstable();
            assert_eq!(tokens, [0, 1]);
        }
    }
}
