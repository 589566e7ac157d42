//! What waits for sockets is dropped at every moment: no byte, datagram or connection is lost.

use super::{Moment, at_every_real_moment, now, until};
use posse::bytes::BytesMut;
use posse::io::{AsyncReadExt, AsyncWriteExt, Interest};
use posse::net::{TcpListener, TcpSocket, TcpStream, UnixListener, UnixStream};
use std::io::{ErrorKind, IoSliceMut};
use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::sync::atomic::{AtomicUsize, Ordering};

pub(super) const LOOPBACK: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST), 0);

async fn connected() -> (TcpStream, TcpStream) {
    let listener = TcpListener::bind(LOOPBACK).await.unwrap();
    let client = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
    (client, listener.accept().await.unwrap().0)
}

/// A listener at a port that the system gives to none that asks for any: freed, it is not taken by a test beside this one.
pub(super) async fn listener_of_ones_own() -> TcpListener {
    static NEXT: AtomicUsize = AtomicUsize::new(0);
    let first = std::process::id() as usize * 16;
    for _ in 0..1000 {
        let port = 20_000 + (first + NEXT.fetch_add(1, Ordering::Relaxed)) % 10_000;
        if let Ok(listener) = TcpListener::bind((Ipv4Addr::LOCALHOST, port as u16)).await {
            return listener;
        }
    }
    panic!("a thousand ports are in use");
}

/// A path of its own for each caller.
pub(super) fn path(name: &str) -> PathBuf {
    static NEXT: AtomicUsize = AtomicUsize::new(0);
    let number = NEXT.fetch_add(1, Ordering::Relaxed);
    std::env::temp_dir().join(format!("posse-drops-{}-{number}-{name}", std::process::id()))
}

/// Writes until nothing more fits.
fn fill(stream: &TcpStream) -> usize {
    let mut sent = 0;
    while let Ok(written) = stream.try_write(&[7; 64 * 1024]) {
        sent += written;
    }
    sent
}

/// Reads what is there, without waiting.
fn drain(stream: &TcpStream) -> usize {
    let mut received = 0;
    let mut buffer = vec![0; 64 * 1024];
    while let Ok(read @ 1..) = stream.try_read(&mut buffer) {
        received += read;
    }
    received
}

/// Drops a read into a buffer of 3 bytes at some moment; "abcdef" has been read then, by it or after it.
macro_rules! loses_no_byte {
    ($($name:ident: |$stream:ident, $buffer:ident| $read:expr;)*) => {$(
        #[test]
        fn $name() {
            at_every_real_moment(async |moment| {
                let (client, mut $stream) = connected().await;
                let mut $buffer = [0; 3];
                let read = moment.cut($read, || assert_eq!(client.try_write(b"abcdef").unwrap(), 6)).await;
                let read = read.map(|read| read.unwrap());
                drop(client);
                let mut text = String::from_utf8($buffer[..read.unwrap_or(0)].to_vec()).unwrap();
                $stream.read_to_string(&mut text).await.unwrap();
                assert_eq!(text, "abcdef", "{moment:?}");
                read.is_some()
            });
        }
    )*};
}

loses_no_byte! {
    reads: |stream, buffer| stream.read(&mut buffer);
    vectored_reads: |stream, buffer| async {
        let (first, second) = buffer.split_at_mut(1);
        stream.read_vectored(&mut [IoSliceMut::new(first), IoSliceMut::new(second)]).await
    };
    reads_into_what_is_free: |stream, buffer| async { stream.read_buf(&mut &mut buffer[..]).await };
    tries_that_wait: |stream, buffer| stream.async_io(Interest::READABLE, || try_read(&stream, &mut buffer));
    reads_of_borrowed_halves: |stream, buffer| async { stream.split().0.read_buf(&mut &mut buffer[..]).await };
}

/// A read of the system beside the stream's own.
fn try_read(stream: &TcpStream, buffer: &mut [u8]) -> std::io::Result<usize> {
    use std::io::Read;
    let descriptor = std::os::fd::AsFd::as_fd(stream).try_clone_to_owned()?;
    std::fs::File::from(descriptor).read(buffer)
}

#[test]
fn reads_of_owned_halves() {
    at_every_real_moment(async |moment| {
        let (client, server) = connected().await;
        let (read_half, _write) = server.into_split();
        let mut buffer = BytesMut::new();
        let readable = moment.cut(read_half.readable(), || _ = client.try_write(b"ab")).await;
        client.try_write(b"cd").unwrap();
        let read = moment.cut(read_half.read_buf(&mut buffer), || ()).await;
        drop(client);
        while read_half.read_buf(&mut buffer).await.unwrap() > 0 {}
        assert_eq!(&buffer[..], b"abcd", "{moment:?}");
        readable.is_some() && read.is_some()
    });
}

#[test]
fn peeks_take_nothing() {
    at_every_real_moment(async |moment| {
        let (client, mut server) = connected().await;
        let mut peeked = [0; 2];
        let seen = moment.cut(server.peek(&mut peeked), || assert_eq!(client.try_write(b"ab").unwrap(), 2)).await;
        let mut read = [0; 2];
        server.read_exact(&mut read).await.unwrap();
        assert_eq!(&read, b"ab", "{moment:?}");
        seen.is_some()
    });
}

#[test]
fn waiting_for_what_can_be_read() {
    at_every_real_moment(async |moment| {
        let (client, server) = connected().await;
        let ready = moment.cut(server.ready(Interest::READABLE), || _ = client.try_write(b"a")).await;
        let readable = moment.cut(server.readable(), || ()).await;
        server.readable().await.unwrap();
        assert_eq!(server.try_read(&mut [0; 8]).unwrap(), 1, "{moment:?}");
        ready.is_some() && readable.is_some()
    });
}

#[test]
fn waiting_for_room_to_write() {
    at_every_real_moment(async |moment| {
        let (client, server) = connected().await;
        let sent = fill(&client);
        let mut received = 0;
        let writable = moment.cut(client.writable(), || received += drain(&server)).await;
        // There is room sooner or later, and nothing was written meanwhile.
        while received < sent {
            server.readable().await.unwrap();
            received += drain(&server);
        }
        client.writable().await.unwrap();
        assert_eq!(received, sent, "{moment:?}");
        writable.is_some()
    });
}

#[test]
fn writes_that_are_dropped_have_written_nothing() {
    at_every_real_moment(async |moment| {
        let (mut client, mut server) = connected().await;
        let mut sent = fill(&client);
        let mut received = 0;
        let written = moment.cut(client.write(&[8; 100]), || received += drain(&server)).await;
        sent += written.as_ref().map_or(0, |written| *written.as_ref().unwrap());
        client.shutdown().await.unwrap();
        received += server.read_to_end(&mut Vec::new()).await.unwrap();
        assert_eq!(received, sent, "{moment:?}");
        written.is_some()
    });
}

#[test]
fn waiting_by_halves() {
    at_every_real_moment(async |moment| {
        let (client, mut server) = connected().await;
        let (read, write) = server.split();
        let readable = moment.cut(read.readable(), || _ = client.try_write(b"a")).await;
        let writable = moment.cut(write.writable(), || ()).await;
        read.readable().await.unwrap();
        assert_eq!(read.try_read(&mut [0; 8]).unwrap(), 1, "{moment:?}");
        let (_read, write) = client.into_split();
        let owned = moment.cut(write.writable(), || ()).await;
        readable.is_some() && writable.is_some() && owned.is_some()
    });
}

#[test]
fn accepting_loses_no_connection() {
    at_every_real_moment(async |moment| {
        let listener = TcpListener::bind(LOOPBACK).await.unwrap();
        let address = listener.local_addr().unwrap();
        let mut client = None;
        let accepted = moment.cut(listener.accept(), || client = Some(posse::task::spawn(TcpStream::connect(address))));
        let accepted = accepted.await;
        let client = client.unwrap().await.unwrap().unwrap();
        let ended = accepted.is_some();
        let (_, peer) = match accepted {
            Some(accepted) => accepted.unwrap(),
            None => listener.accept().await.unwrap(),
        };
        assert_eq!(peer, client.local_addr().unwrap(), "{moment:?}");
        assert!(now(listener.accept()).await.is_none(), "{moment:?}");
        ended
    });
}

/// Connecting to a listener: what is dropped is a connection that ends, or none.
async fn gives_up(moment: Moment, connect: impl AsyncFnOnce(SocketAddr) -> std::io::Result<TcpStream>) -> bool {
    let listener = TcpListener::bind(LOOPBACK).await.unwrap();
    let stream = moment.cut(connect(listener.local_addr().unwrap()), || ()).await;
    if let Some(stream) = stream {
        let (_, peer) = listener.accept().await.unwrap();
        assert_eq!(peer, stream.unwrap().local_addr().unwrap());
        return true;
    }
    if let Some(accepted) = now(listener.accept()).await {
        let ended = accepted.unwrap().0.read(&mut [0]).await;
        assert!(ended.is_ok_and(|read| read == 0), "{moment:?}");
    }
    false
}

#[test]
fn connecting_gives_the_connection_up() {
    at_every_real_moment(async |moment| gives_up(moment, async |address| TcpStream::connect(address).await).await);
    at_every_real_moment(async |moment| {
        gives_up(moment, async |address| TcpSocket::new_v4()?.connect(address).await).await
    });
    // The first one refuses, so the second one is tried.
    at_every_real_moment(async |moment| {
        let free = listener_of_ones_own().await.local_addr().unwrap();
        gives_up(moment, async |address| TcpStream::connect(&[free, address][..]).await).await
    });
}

#[test]
fn names_are_looked_up_and_bound() {
    at_every_real_moment(async |moment| {
        let found = moment.cut(posse::net::lookup_host("localhost:80"), || ()).await;
        assert!(posse::net::lookup_host("localhost:80").await.is_ok(), "{moment:?}");
        let bound = moment.cut(TcpListener::bind(("localhost", 0)), || ()).await;
        let udp = moment.cut(posse::net::UdpSocket::bind(("localhost", 0)), || ()).await;
        found.is_some() && bound.is_some_and(|bound| bound.is_ok()) && udp.is_some_and(|bound| bound.is_ok())
    });
}

#[test]
fn a_dropped_bind_leaves_its_address_free() {
    at_every_real_moment(async |moment| {
        let address = TcpListener::bind(LOOPBACK).await.unwrap().local_addr().unwrap();
        let name = format!("localhost:{}", address.port());
        let ended = moment.cut(TcpListener::bind(&name), || ()).await.is_some();
        TcpListener::bind(address).await.unwrap();
        ended
    });
}

#[test]
fn unix_streams() {
    at_every_real_moment(async |moment| {
        let path = path("listener");
        let listener = UnixListener::bind(&path).unwrap();
        let mut clients = Vec::new();
        let accepted =
            moment.cut(listener.accept(), || clients.push(posse::task::spawn(UnixStream::connect(path.clone()))));
        let accepted = accepted.await;
        for client in clients {
            client.await.unwrap().unwrap();
        }
        let ended = accepted.is_some();
        // One has come, once.
        let again = now(listener.accept()).await;
        assert_eq!(again.is_none(), ended, "{moment:?}");

        let connected = moment.cut(UnixStream::connect(&path), || ()).await.is_some();
        let by_address = moment.cut(UnixStream::connect_addr(&listener.local_addr().unwrap()), || ()).await.is_some();
        let mut ends = 0;
        while let Some(client) = now(listener.accept()).await {
            assert_eq!(client.unwrap().0.read(&mut [0]).await.unwrap(), 0, "{moment:?}: nobody holds it");
            ends += 1;
        }
        assert!(ends >= usize::from(connected) + usize::from(by_address), "{moment:?}");
        std::fs::remove_file(&path).unwrap();
        ended && connected && by_address
    });
}

#[test]
fn descriptors_of_others() {
    at_every_real_moment(async |moment| {
        use posse::io::unix::AsyncFd;
        use std::io::{Read, Write};
        #[expect(clippy::disallowed_methods, reason = "descriptors that are not ours")]
        let (ours, mut theirs) = std::os::unix::net::UnixStream::pair().unwrap();
        ours.set_nonblocking(true).unwrap();
        let fd = AsyncFd::new(ours).unwrap();
        let readable = moment.cut(fd.readable(), || theirs.write_all(b"ab").unwrap()).await.is_some();
        let ready = moment.cut(fd.ready(Interest::READABLE), || ()).await.is_some();
        let writable = moment.cut(fd.writable(), || ()).await.is_some();

        let mut tries = 0;
        let mut buffer = [0; 8];
        let read = moment.cut(
            fd.async_io(Interest::READABLE, |mut stream| {
                tries += 1;
                stream.read(&mut buffer)
            }),
            || (),
        );
        let read = read.await.map(|read| read.unwrap());
        // What was not read is there.
        let left = fd.try_io(Interest::READABLE, |mut stream| stream.read(&mut [0; 8]));
        match read {
            Some(2) => assert_eq!(left.unwrap_err().kind(), ErrorKind::WouldBlock, "{moment:?}"),
            _ => {
                fd.readable().await.unwrap().retain_ready();
                let left = left.or_else(|_| fd.try_io(Interest::READABLE, |mut stream| stream.read(&mut [0; 8])));
                assert_eq!(left.unwrap(), 2, "{moment:?}");
            }
        }
        readable && ready && writable && read.is_some()
    });
}

/// Sends a signal to this process, in which no other test waits for it.
fn raise(signal: &str) {
    let status = std::process::Command::new("kill").args([signal, &std::process::id().to_string()]).status();
    assert!(status.unwrap().success());
}

#[test]
fn signals() {
    use posse::signal::unix::{SignalKind, signal};
    let raise = || self::raise("-USR2");
    let (raise_interrupt, raise_termination) = (|| self::raise("-INT"), || self::raise("-TERM"));
    at_every_real_moment(async |moment| {
        let mut signals = signal(SignalKind::user_defined2()).unwrap();
        let seen = moment.cut(signals.recv(), raise).await;
        if seen.is_none() {
            signals.recv().await.unwrap();
        }
        assert!(now(signals.recv()).await.is_none(), "{moment:?}: it came twice");
        seen.is_some()
    });
    at_every_real_moment(async |moment| {
        // From here on they end the process no more, whatever is dropped.
        let _kept = posse::signal::shutdown();
        let ctrl_c = moment.cut(posse::signal::ctrl_c(), raise_interrupt).await.is_some();
        let terminated = moment.cut(posse::signal::terminate(), raise_termination).await.is_some();
        let both = moment.cut(posse::signal::shutdown(), raise_interrupt).await.is_some();
        ctrl_c && terminated && both
    });
}

#[test]
fn the_end_of_a_stream_after_a_dropped_shutdown() {
    at_every_real_moment(async |moment| {
        let (mut client, mut server) = connected().await;
        let ended = moment.cut(client.shutdown(), || ()).await.is_some();
        client.shutdown().await.unwrap();
        assert_eq!(server.read(&mut [0]).await.unwrap(), 0, "{moment:?}");
        until("it is seen", || true).await;
        ended
    });
}
