//! Options of sockets, waiting and trying apart, UDP without a copy and to groups.
#![allow(missing_docs, clippy::unwrap_used)]

mod common;

use bytes::BytesMut;
use common::{block_on, cut, now};
use posse_core::io::Interest;
use posse_net::io::{AsyncReadExt, AsyncWriteExt};
use posse_net::{TcpListener, TcpSocket, TcpStream, UdpSocket};
use std::future::poll_fn;
use std::io::{ErrorKind, IoSliceMut};
use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

fn loopback() -> SocketAddr {
    (Ipv4Addr::LOCALHOST, 0).into()
}

async fn connected() -> (TcpStream, TcpStream) {
    let listener = TcpListener::bind(loopback()).await.unwrap();
    let client = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
    (client, listener.accept().await.unwrap().0)
}

#[test]
fn a_socket_keeps_what_is_set_before_it_connects_or_listens() {
    block_on(async {
        let socket = TcpSocket::new_v4().unwrap();
        socket.set_reuseaddr(true).unwrap();
        socket.set_nodelay(true).unwrap();
        socket.set_keepalive(true).unwrap();
        socket.set_linger(Some(Duration::from_secs(3))).unwrap();
        socket.set_recv_buffer_size(32 * 1024).unwrap();
        assert!(socket.reuseaddr().unwrap() && socket.nodelay().unwrap() && socket.keepalive().unwrap());
        assert!(socket.recv_buffer_size().unwrap() >= 32 * 1024);
        socket.bind(loopback()).unwrap();
        let bound = socket.local_addr().unwrap();
        let listener = socket.listen(16).unwrap();
        assert_eq!(listener.local_addr().unwrap(), bound);

        let socket = TcpSocket::new_v4().unwrap();
        socket.set_linger(Some(Duration::from_secs(3))).unwrap();
        socket.bind(loopback()).unwrap();
        let from = socket.local_addr().unwrap();
        let client = socket.connect(bound).await.unwrap();
        assert_eq!(client.linger().unwrap(), Some(Duration::from_secs(3)));
        let (server, peer) = listener.accept().await.unwrap();
        assert_eq!((peer, server.nodelay().unwrap()), (from, true), "accepted sockets inherit");

        cut(TcpSocket::new_v4().unwrap().connect(bound)).await;
        cut(TcpStream::connect(&[bound, loopback()][..])).await;
        drop(listener);
        let refused = TcpSocket::new_v4().unwrap().connect(bound).await.unwrap_err();
        assert_eq!(refused.kind(), ErrorKind::ConnectionRefused);
    });
}

#[test]
#[cfg(target_os = "linux")]
fn several_sockets_listen_on_one_address() {
    block_on(async {
        let listen = |address| {
            let socket = TcpSocket::new_v4().unwrap();
            socket.set_reuseport(true).unwrap();
            socket.bind(address).unwrap();
            socket.listen(16).unwrap()
        };
        let first = listen(loopback());
        let second = listen(first.local_addr().unwrap());
        assert_eq!(first.local_addr().unwrap(), second.local_addr().unwrap());
    });
}

#[test]
fn a_stream_tells_and_takes_its_options() {
    block_on(async {
        let (stream, _other) = connected().await;
        stream.set_ttl(9).unwrap();
        stream.set_tos_v4(16).unwrap();
        stream.set_zero_linger().unwrap();
        stream.set_keepalive(Duration::from_secs(60)).unwrap();
        assert_eq!((stream.ttl().unwrap(), stream.tos_v4().unwrap()), (9, 16));
        assert_eq!((stream.linger().unwrap(), stream.keepalive().unwrap()), (Some(Duration::ZERO), true));
        assert!(stream.take_error().unwrap().is_none());
        #[cfg(target_os = "linux")]
        {
            stream.set_quickack(true).unwrap();
            assert!(stream.quickack().unwrap());
        }
        let listener = TcpListener::bind(loopback()).await.unwrap();
        listener.set_ttl(7).unwrap();
        assert_eq!(TcpListener::from_std(listener.into_std().unwrap()).unwrap().ttl().unwrap(), 7);
    });
}

#[test]
fn waiting_and_trying_are_apart() {
    block_on(async {
        let (mut client, server) = connected().await;
        assert_eq!(server.try_read(&mut [0]).unwrap_err().kind(), ErrorKind::WouldBlock);
        cut(server.ready(Interest::READABLE)).await;
        assert!(now(server.readable()).await.is_none());
        assert!(now(poll_fn(|cx| server.poll_read_ready(cx))).await.is_none());
        assert!(server.ready(Interest::READABLE | Interest::WRITABLE).await.unwrap().is_writable());

        client.write_all(b"abc").await.unwrap();
        poll_fn(|cx| server.poll_read_ready(cx)).await.unwrap();
        let (mut first, mut second) = ([0; 1], [0; 8]);
        let mut buffers = [IoSliceMut::new(&mut first), IoSliceMut::new(&mut second)];
        assert_eq!(server.try_read_vectored(&mut buffers).unwrap(), 3);

        // What the operation says clears what was known.
        let blocked = server.try_io(Interest::WRITABLE, || std::io::Result::<()>::Err(ErrorKind::WouldBlock.into()));
        assert_eq!(blocked.unwrap_err().kind(), ErrorKind::WouldBlock);
        assert!(now(server.writable()).await.is_none());
        let mut tries = 0;
        let done = client.async_io(Interest::WRITABLE, || {
            tries += 1;
            Ok(tries)
        });
        assert_eq!(done.await.unwrap(), 1);
        let (read, write) = server.into_split();
        assert_eq!(read.peer_addr().unwrap(), client.local_addr().unwrap());
        drop(write);
        assert_eq!(client.read(&mut [0]).await.unwrap(), 0);
    });
}

#[test]
fn datagrams_go_into_buffers_that_grow_and_are_looked_at_first() {
    block_on(async {
        let (a, b) = (UdpSocket::bind(loopback()).await.unwrap(), UdpSocket::bind(loopback()).await.unwrap());
        let (at_a, at_b) = (a.local_addr().unwrap(), b.local_addr().unwrap());
        let mut buffer = BytesMut::with_capacity(16);
        cut(b.recv_buf(&mut buffer)).await;
        assert_eq!(b.try_recv_buf_from(&mut buffer).unwrap_err().kind(), ErrorKind::WouldBlock);
        a.send_to(b"first", at_b).await.unwrap();
        assert_eq!(b.peek_sender().await.unwrap(), at_a);
        assert_eq!(b.peek(&mut [0; 8]).await.unwrap(), 5);
        assert_eq!(b.recv_buf_from(&mut buffer).await.unwrap(), (5, at_a));
        a.connect(at_b).await.unwrap();
        assert_eq!(a.try_send(b" and").unwrap(), 4);
        b.readable().await.unwrap();
        assert_eq!(b.try_recv_buf(&mut buffer).unwrap(), 4);
        poll_fn(|cx| a.poll_send(cx, b" last")).await.unwrap();
        let mut last = [0; 8];
        assert_eq!(poll_fn(|cx| b.poll_recv(cx, &mut last)).await.unwrap(), 5);
        assert_eq!((&buffer[..], &last[..5]), (&b"first and"[..], &b" last"[..]));
        let again = UdpSocket::from_std(b.into_std().unwrap()).unwrap();
        assert_eq!(again.local_addr().unwrap(), at_b);
    });
}

#[test]
fn a_socket_for_datagrams_tells_and_takes_its_options() {
    block_on(async {
        let socket = UdpSocket::bind(loopback()).await.unwrap();
        socket.set_broadcast(true).unwrap();
        socket.set_ttl(5).unwrap();
        socket.set_multicast_loop_v4(false).unwrap();
        socket.set_multicast_ttl_v4(3).unwrap();
        assert!(socket.broadcast().unwrap() && !socket.multicast_loop_v4().unwrap());
        assert_eq!((socket.ttl().unwrap(), socket.multicast_ttl_v4().unwrap()), (5, 3));
        assert!(socket.take_error().unwrap().is_none());
        #[cfg(unix)]
        assert!(std::os::fd::AsFd::as_fd(&socket).try_clone_to_owned().is_ok());
        let not_a_group = socket.join_multicast_v4(Ipv4Addr::LOCALHOST, Ipv4Addr::UNSPECIFIED);
        assert!(not_a_group.is_err());
    });
}
