//! Stand-ins for the simulation without the feature `sim`: the same names, of types that have no value.
//!
//! So the rooms above are written once, with a branch for the simulation that the compiler knows to be dead. It costs nothing: neither a
//! comparison nor a byte.

/// Types without a value, and the methods that the rooms above call on one.
macro_rules! absent {
    ($($name:ident { $(fn $method:ident($($type:ty),*) $(-> $returns:ty)?;)* })*) => {$(
        #[derive(Clone, Debug)]
        pub enum $name {}

        #[allow(clippy::unused_self)]
        impl $name {
            $(pub(crate) fn $method(&self $(, _: $type)*) $(-> $returns)? {
                match *self {}
            })*
        }
    )*};
}

pub(crate) mod env {
    use crate::util::socket_counts::SocketCounts;
    use std::io::{self, IoSlice, IoSliceMut};
    use std::net::{Shutdown, SocketAddr};
    use std::sync::Arc;
    use std::time::Duration;

    absent! {
        SimHandle { fn rng() -> &SimRng; }
        SimEnv {
            fn simulation() -> &SimHandle;
            fn machine() -> Option<(MachineClock, HostNet)>;
        }
        MachineClock {
            fn now() -> u64;
            fn unix() -> Duration;
        }
        SimRng { fn below(ChoiceKind, usize) -> usize; }
        HostNet {
            fn pending() -> usize;
            fn turn() -> usize;
            fn counts() -> &SocketCounts;
            fn close(SocketId);
            fn listen(SocketAddr) -> io::Result<SimListener>;
            fn connect(SocketAddr) -> io::Result<SimStream>;
            fn bind_udp(SocketAddr) -> io::Result<SimUdp>;
            fn tcp_socket() -> SimTcpSocket;
            fn draw_resolution() -> (Duration, bool);
            fn lookup(&str) -> io::Result<Vec<SocketAddr>>;
        }
        SocketId {}
        SimListener {
            fn id() -> SocketId;
            fn accept() -> io::Result<(SimStream, SocketAddr)>;
            fn local_addr() -> io::Result<SocketAddr>;
        }
        SimStream {
            fn id() -> SocketId;
            fn read(&mut [u8]) -> io::Result<usize>;
            fn peek(&mut [u8]) -> io::Result<usize>;
            fn read_vectored(&mut [IoSliceMut<'_>]) -> io::Result<usize>;
            fn write(&[u8]) -> io::Result<usize>;
            fn write_vectored(&[IoSlice<'_>]) -> io::Result<usize>;
            fn shutdown(Shutdown) -> io::Result<()>;
            fn take_error() -> io::Result<Option<io::Error>>;
            fn set_linger(Option<Duration>) -> io::Result<()>;
            fn local_addr() -> io::Result<SocketAddr>;
            fn peer_addr() -> io::Result<SocketAddr>;
        }
        SimTcpSocket {
            fn bind(SocketAddr);
            fn local_addr() -> io::Result<SocketAddr>;
            fn connect(SocketAddr) -> io::Result<SimStream>;
            fn listen() -> io::Result<SimListener>;
        }
        SimUdp {
            fn id() -> SocketId;
            fn connect(SocketAddr) -> io::Result<()>;
            fn send(&[u8]) -> io::Result<usize>;
            fn send_to(&[u8], SocketAddr) -> io::Result<usize>;
            fn recv(&mut [u8]) -> io::Result<usize>;
            fn recv_from(&mut [u8]) -> io::Result<(usize, SocketAddr)>;
            fn peek_from(&mut [u8]) -> io::Result<(usize, SocketAddr)>;
            fn local_addr() -> io::Result<SocketAddr>;
            fn peer_addr() -> io::Result<SocketAddr>;
        }
    }

    /// What the scheduler draws.
    #[derive(Debug)]
    pub(crate) enum ChoiceKind {
        Victim,
        Lifo,
        Injector,
    }

    impl HostNet {
        /// No code runs on a simulated machine.
        #[inline(always)]
        pub(crate) fn current() -> Option<Self> {
            None
        }

        pub(crate) fn attach<R>(&self, _: SocketId, _: Arc<R>) {
            match *self {}
        }
    }
}
