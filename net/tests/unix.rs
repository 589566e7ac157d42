//! Sockets of Unix, pipes, descriptors of others and signals.
#![cfg(unix)]
#![allow(missing_docs, clippy::unwrap_used)]

mod common;

use common::{block_on, cut, now};
use posse_core::io::{AsyncFd, Interest, Ready};
use posse_core::signal::unix::{SignalKind, signal};
use posse_core::task;
use posse_net::io::{AsyncReadExt, AsyncWriteExt};
use posse_net::process::Command;
use posse_net::unix::pipe;
use posse_net::{UnixDatagram, UnixListener, UnixStream};
use std::io::{ErrorKind, IoSlice, IoSliceMut, Read, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::path::PathBuf;
use std::sync::atomic::{AtomicUsize, Ordering};

/// A path of its own for each caller.
fn path(name: &str) -> PathBuf {
    static NEXT: AtomicUsize = AtomicUsize::new(0);
    let number = NEXT.fetch_add(1, Ordering::Relaxed);
    std::env::temp_dir().join(format!("posse-{}-{number}-{name}", std::process::id()))
}

#[test]
fn unix_streams_split_try_and_tell_who_is_there() {
    block_on(async {
        let (one, other) = UnixStream::pair().unwrap();
        assert_eq!(one.try_read(&mut [0; 4]).unwrap_err().kind(), ErrorKind::WouldBlock);
        assert!(one.ready(Interest::READABLE | Interest::WRITABLE).await.unwrap().is_writable());
        assert_eq!(one.try_write_vectored(&[IoSlice::new(b"ab"), IoSlice::new(b"c")]).unwrap(), 3);
        other.readable().await.unwrap();
        let (mut first, mut second) = ([0; 2], [0; 2]);
        let mut buffers = [IoSliceMut::new(&mut first), IoSliceMut::new(&mut second)];
        assert_eq!(other.try_read_vectored(&mut buffers).unwrap(), 3);
        #[cfg(target_os = "linux")]
        assert_eq!(one.peer_cred().unwrap().pid(), Some(std::process::id() as i32));

        let (mut read, mut write) = one.into_split();
        let (other_read, other_write) = other.into_split();
        write.write_all(b"there").await.unwrap();
        drop(write);
        let mut text = Vec::new();
        while other_read.read_buf(&mut text).await.unwrap() > 0 {}
        assert_eq!(text, b"there");
        let mut other = other_read.reunite(other_write).unwrap();
        other.write_all(b"back").await.unwrap();
        other.shutdown().await.unwrap();
        let mut text = String::new();
        read.read_to_string(&mut text).await.unwrap();
        assert_eq!(text, "back");
        assert!(other.take_error().unwrap().is_none());
    });
}

#[test]
fn unix_listeners_accept_at_paths_and_abstract_names() {
    block_on(async {
        let file = path("listener");
        let mut names = vec![file.clone()];
        #[cfg(target_os = "linux")]
        names.push(format!("\0posse-{}-abstract", std::process::id()).into());
        for name in names {
            let listener = UnixListener::bind(&name).unwrap();
            cut(listener.accept()).await;
            let mut client = UnixStream::connect(&name).await.unwrap();
            let (mut server, peer) = listener.accept().await.unwrap();
            assert!(peer.is_unnamed());
            client.write_u64(9).await.unwrap();
            assert_eq!(server.read_u64().await.unwrap(), 9);
            let again = UnixListener::from_std(listener.into_std().unwrap()).unwrap();
            assert!(again.local_addr().unwrap().as_pathname().is_none_or(|path| path == file));
        }
        std::fs::remove_file(&file).unwrap();
        cut(UnixStream::connect(&file)).await;
        assert_eq!(UnixStream::connect(&file).await.unwrap_err().kind(), ErrorKind::NotFound);
    });
}

#[test]
fn unix_datagrams_keep_their_bounds() {
    block_on(async {
        let (here, there) = (path("here"), path("there"));
        let (one, other) = (UnixDatagram::bind(&here).unwrap(), UnixDatagram::bind(&there).unwrap());
        let mut buffer = [0; 16];
        cut(other.recv_from(&mut buffer)).await;
        one.send_to(b"first", &there).await.unwrap();
        one.try_send_to(b"second", &there).unwrap();
        let (len, from) = other.recv_from(&mut buffer).await.unwrap();
        assert_eq!((&buffer[..len], from.as_pathname()), (&b"first"[..], Some(&*here)));
        assert_eq!(other.recv(&mut buffer).await.unwrap(), 6);
        assert_eq!(other.try_recv(&mut buffer).unwrap_err().kind(), ErrorKind::WouldBlock);
        other.connect(&here).unwrap();
        other.send(b"back").await.unwrap();
        assert_eq!(one.try_recv_from(&mut buffer).unwrap().0, 4);
        [here, there].into_iter().for_each(|path| std::fs::remove_file(path).unwrap());
        let unbound = UnixDatagram::from_std(UnixDatagram::unbound().unwrap().into_std().unwrap()).unwrap();
        assert!(unbound.local_addr().unwrap().is_unnamed());
    });
}

#[test]
fn pipes_end_with_their_writer_and_break_with_their_reader() {
    block_on(async {
        let (mut sender, mut receiver) = pipe::pipe().unwrap();
        assert_eq!(receiver.try_read(&mut [0]).unwrap_err().kind(), ErrorKind::WouldBlock);
        cut(receiver.read(&mut [0])).await;
        let writer = task::spawn(async move { sender.write_all(&[7; 200_000]).await.unwrap() });
        let mut bytes = Vec::new();
        receiver.read_to_end(&mut bytes).await.unwrap();
        writer.await.unwrap();
        assert_eq!(bytes, [7; 200_000]);

        let (sender, receiver) = pipe::pipe().unwrap();
        let receiver = pipe::Receiver::from_owned_fd(receiver.into_blocking_fd().unwrap()).unwrap();
        drop(receiver);
        assert_eq!(sender.try_write(b"x").unwrap_err().kind(), ErrorKind::BrokenPipe);
    });
}

#[test]
fn a_fifo_is_opened_at_both_ends_and_a_file_is_none() {
    block_on(async {
        let fifo = path("fifo");
        assert!(Command::new("mkfifo").arg(&fifo).status().await.unwrap().success());
        assert!(pipe::OpenOptions::new().open_sender(&fifo).is_err(), "nobody reads");
        let mut receiver = pipe::OpenOptions::new().open_receiver(&fifo).unwrap();
        let mut sender = pipe::OpenOptions::new().open_sender(&fifo).unwrap();
        sender.write_all(b"through").await.unwrap();
        drop(sender);
        let mut text = String::new();
        receiver.read_to_string(&mut text).await.unwrap();
        assert_eq!(text, "through");
        std::fs::remove_file(&fifo).unwrap();
        std::fs::write(&fifo, "a file").unwrap();
        assert_eq!(pipe::OpenOptions::new().open_receiver(&fifo).unwrap_err().kind(), ErrorKind::InvalidInput);
        std::fs::remove_file(&fifo).unwrap();
    });
}

/// Two connected sockets of std, the first of which does not block.
#[expect(clippy::disallowed_methods, reason = "descriptors that are not ours")]
fn std_pair() -> (std::os::unix::net::UnixStream, std::os::unix::net::UnixStream) {
    let (ours, theirs) = std::os::unix::net::UnixStream::pair().unwrap();
    ours.set_nonblocking(true).unwrap();
    (ours, theirs)
}

#[test]
fn a_foreign_descriptor_is_ready_until_it_is_said_to_block() {
    block_on(async {
        let (ours, mut theirs) = std_pair();
        let fd = AsyncFd::new(ours).unwrap();
        assert!(now(fd.readable()).await.is_none());
        cut(fd.readable()).await;
        assert!(fd.writable().await.unwrap().ready().is_writable());
        theirs.write_all(b"ab").unwrap();

        let mut guard = fd.readable().await.unwrap();
        assert_eq!(guard.try_io(|fd| fd.get_ref().read(&mut [0])).unwrap().unwrap(), 1);
        guard.retain_ready();
        let mut guard = fd.readable().await.unwrap();
        assert_eq!(guard.try_io(|fd| fd.get_ref().read(&mut [0; 8])).unwrap().unwrap(), 1);
        assert!(guard.try_io(|fd| fd.get_ref().read(&mut [0; 8])).is_err(), "it would block");
        assert!(guard.ready().is_empty());
        assert!(now(fd.readable()).await.is_none());

        drop(theirs);
        let guard = fd.ready(Interest::READABLE | Interest::ERROR).await.unwrap();
        assert!(guard.ready().contains(Ready::READ_CLOSED), "{guard:?}");
        assert_eq!(fd.async_io(Interest::READABLE, |mut fd| fd.read(&mut [0])).await.unwrap(), 0);
    });
}

#[test]
fn a_foreign_descriptor_comes_back_and_waits_for_what_it_was_given_for() {
    block_on(async {
        let (ours, mut theirs) = std_pair();
        let fd = AsyncFd::with_interest(OwnedFd::from(ours), Interest::READABLE).unwrap();
        assert!(now(fd.writable()).await.is_none(), "it does not wait for room");
        let ours = std::os::unix::net::UnixStream::from(fd.into_inner());
        theirs.write_all(b"x").unwrap();
        let fd = AsyncFd::new(ours).unwrap();
        assert_eq!(fd.async_io(Interest::READABLE, |mut fd| fd.read(&mut [0; 4])).await.unwrap(), 1);
        let blocked = fd.try_io(Interest::READABLE, |mut fd| fd.read(&mut [0; 4]));
        assert_eq!(blocked.unwrap_err().kind(), ErrorKind::WouldBlock);
        assert!(AsyncFd::new(std::fs::File::open("/dev/null").unwrap()).is_err(), "a file is refused");
        assert!(fd.as_fd().try_clone_to_owned().is_ok());
    });
}

#[test]
fn signals_come_as_a_stream_and_forbidden_ones_do_not() {
    block_on(async {
        assert_eq!(signal(SignalKind::from_raw(9)).unwrap_err().kind(), ErrorKind::InvalidInput);
        assert!(signal(SignalKind::from_raw(-1)).is_err());
        let mut first = signal(SignalKind::user_defined1()).unwrap();
        let mut second = signal(SignalKind::user_defined1()).unwrap();
        let mut other = signal(SignalKind::user_defined2()).unwrap();
        let send = format!("kill -USR1 {}", std::process::id());
        for _ in 0..2 {
            cut(first.recv()).await;
            assert!(Command::new("sh").args(["-c", &send]).status().await.unwrap().success());
            first.recv().await.unwrap();
            second.recv().await.unwrap();
        }
        assert!(now(other.recv()).await.is_none());
    });
}
