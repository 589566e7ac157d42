//! Sending and receiving datagrams is dropped at every moment: what is dropped has sent or received nothing.

use super::real_sockets::{LOOPBACK, path};
use super::{Moment, at_every_real_moment};
use posse::bytes::BytesMut;
use posse::io::Interest;
use posse::net::codec::{LinesCodec, UdpFramed};
use posse::net::{RecvMeta, UdpSocket, UnixDatagram};
use std::future::Future;
use std::io::Result;

/// Two sockets that are connected to each other.
async fn pair() -> (UdpSocket, UdpSocket) {
    let (a, b) = (UdpSocket::bind(LOOPBACK).await.unwrap(), UdpSocket::bind(LOOPBACK).await.unwrap());
    a.connect(b.local_addr().unwrap()).await.unwrap();
    b.connect(a.local_addr().unwrap()).await.unwrap();
    (a, b)
}

/// Drops a receive; "one" and "two" are received once each, by it or after it, and seen by it if it only looks.
async fn loses_none<T>(
    moment: Moment,
    (a, b): &(UdpSocket, UdpSocket),
    takes: bool,
    receive: impl Future<Output = Result<T>>,
) -> Option<T> {
    let send = || [b"one", b"two"].into_iter().for_each(|text| assert_eq!(a.try_send(text).unwrap(), 3));
    let received = moment.cut(receive, send).await.map(|received| received.unwrap());
    let mut buffer = [0; 8];
    if received.is_none() || !takes {
        assert_eq!((b.recv(&mut buffer).await.unwrap(), &buffer[..3]), (3, &b"one"[..]), "{moment:?}");
    }
    received
}

/// What is left after it: nothing.
async fn takes_the_last(moment: Moment, socket: &UdpSocket) {
    let mut buffer = [0; 8];
    assert_eq!((socket.recv(&mut buffer).await.unwrap(), &buffer[..3]), (3, &b"two"[..]), "{moment:?}");
    assert!(socket.try_recv(&mut buffer).is_err(), "{moment:?}");
}

macro_rules! receives {
    ($($name:ident: $takes:literal, |$socket:ident| $receive:expr;)*) => {$(
        #[test]
        fn $name() {
            at_every_real_moment(async |moment| {
                let pair = pair().await;
                let $socket = &pair.1;
                let received = loses_none(moment, &pair, $takes, $receive).await;
                takes_the_last(moment, $socket).await;
                received.is_some()
            });
        }
    )*};
}

receives! {
    recv: true, |socket| async { socket.recv(&mut [0; 8]).await };
    recv_from: true, |socket| async { socket.recv_from(&mut [0; 8]).await };
    recv_buf: true, |socket| async { socket.recv_buf(&mut BytesMut::with_capacity(8)).await };
    recv_buf_from: true, |socket| async { socket.recv_buf_from(&mut BytesMut::with_capacity(8)).await };
    peek: false, |socket| async { socket.peek(&mut [0; 8]).await };
    peek_from: false, |socket| async { socket.peek_from(&mut [0; 8]).await };
    peek_sender: false, |socket| socket.peek_sender();
    readable: false, |socket| socket.readable();
    ready: false, |socket| socket.ready(Interest::READABLE);
    recv_many: true, |socket| async {
        socket.recv_many(&mut [&mut [0; 8][..]], &mut [RecvMeta::default()]).await
    };
}

#[test]
fn recv_many_into_several_buffers() {
    at_every_real_moment(async |moment| {
        let (a, b) = pair().await;
        let (mut first, mut second, mut received) = ([0; 8], [0; 8], [RecvMeta::default(); 2]);
        let mut buffers = [&mut first[..], &mut second];
        let send = || assert!(a.try_send(b"one").is_ok() && a.try_send(b"two").is_ok());
        let count = moment.cut(b.recv_many(&mut buffers, &mut received), send).await.map(|count| count.unwrap());
        let mut left = 0;
        while left + count.unwrap_or(0) < 2 {
            b.recv(&mut [0; 8]).await.unwrap();
            left += 1;
        }
        assert!(b.try_recv(&mut [0; 8]).is_err(), "{moment:?}");
        count.is_some()
    });
}

/// Sends `count` datagrams at a poll, or none.
async fn sends<T>(
    moment: Moment,
    (_, b): &(UdpSocket, UdpSocket),
    count: usize,
    send: impl Future<Output = Result<T>>,
) -> bool {
    let sent = moment.cut(send, || ()).await.map(|sent| sent.unwrap()).is_some();
    for _ in 0..if sent { count } else { 0 } {
        b.recv(&mut [0; 8]).await.unwrap();
    }
    assert!(b.try_recv(&mut [0; 8]).is_err(), "{moment:?}: a dropped send has sent");
    sent
}

macro_rules! sends {
    ($($name:ident: $count:literal, |$socket:ident, $to:ident| $send:expr;)*) => {$(
        #[test]
        fn $name() {
            at_every_real_moment(async |moment| {
                let pair = pair().await;
                let $socket = &pair.0;
                let $to = pair.1.local_addr().unwrap();
                sends(moment, &pair, $count, $send).await
            });
        }
    )*};
}

sends! {
    send: 1, |socket, _to| socket.send(b"one");
    send_to: 1, |socket, to| socket.send_to(b"one", to);
    send_many: 2, |socket, _to| socket.send_many(&[b"one", b"two"]);
    send_many_to: 2, |socket, to| async { socket.send_many_to(&[(&b"one"[..], to), (b"two", to)]).await };
    send_segments: 2, |socket, _to| socket.send_segments(b"onetwo", 3, None);
    writable: 0, |socket, _to| socket.writable();
    async_io: 0, |socket, _to| socket.async_io(Interest::WRITABLE, || Ok(()));
}

#[test]
fn connecting() {
    at_every_real_moment(async |moment| {
        let (a, b) = (UdpSocket::bind(LOOPBACK).await.unwrap(), UdpSocket::bind(LOOPBACK).await.unwrap());
        let name = format!("localhost:{}", b.local_addr().unwrap().port());
        let connected = moment.cut(a.connect(&[b.local_addr().unwrap()][..]), || ()).await.is_some();
        let looked_up = moment.cut(a.send_to(b"by name", &name), || ()).await.is_some();
        assert_eq!(a.try_send(b"x").is_ok(), moment.begins(), "{moment:?}");
        connected && looked_up
    });
}

#[test]
fn messages_over_datagrams() {
    at_every_real_moment(async |moment| {
        let (a, b) = (UdpSocket::bind(LOOPBACK).await.unwrap(), UdpSocket::bind(LOOPBACK).await.unwrap());
        let to = b.local_addr().unwrap();
        let (mut a, mut b) = (UdpFramed::new(a, LinesCodec::new(80)), UdpFramed::new(b, LinesCodec::new(80)));
        let sent = moment.cut(a.send(("first", to)), || ()).await.is_some();
        a.send(("second", to)).await.unwrap();
        let mut texts = Vec::new();
        let next = moment.cut(b.next(), || ()).await;
        let received = next.is_some();
        texts.extend(next.map(|next| next.unwrap().unwrap().0));
        while texts.last().is_none_or(|last| last != "second") {
            texts.push(b.next().await.unwrap().unwrap().0);
        }
        let all = if sent { vec!["first", "second"] } else { vec!["second"] };
        assert!(texts == all || texts == ["first", "second"], "{moment:?}: {texts:?}");
        sent && received
    });
}

#[test]
fn unix_datagrams() {
    at_every_real_moment(async |moment| {
        let (a, b) = UnixDatagram::pair().unwrap();
        // Full: a send waits.
        let mut queued = 0;
        while a.try_send(b"x").is_ok() {
            queued += 1;
        }
        let mut taken = 0;
        let take = || {
            while b.try_recv(&mut [0; 8]).is_ok() {
                taken += 1;
            }
        };
        let sent = moment.cut(a.send(b"y"), take).await.is_some();
        // Else there is nothing to wait for.
        let received = sent && moment.cut(b.recv(&mut [0; 8]), || ()).await.is_some();
        let mut left = 0;
        while b.try_recv(&mut [0; 8]).is_ok() {
            left += 1;
        }
        let all = queued + usize::from(sent);
        assert_eq!(taken + usize::from(received) + left, all, "{moment:?}");

        let (a, b) = UnixDatagram::pair().unwrap();
        let from = moment.cut(b.recv_from(&mut [0; 8]), || assert_eq!(a.try_send(b"z").unwrap(), 1)).await.is_some();
        if !from {
            b.readable().await.unwrap();
        }
        assert_eq!(b.try_recv(&mut [0; 8]).is_err(), from, "{moment:?}");
        sent && received && from
    });
}

#[test]
fn unix_datagrams_to_a_path() {
    at_every_real_moment(async |moment| {
        let place = path("datagrams");
        let (a, b) = (UnixDatagram::unbound().unwrap(), UnixDatagram::bind(&place).unwrap());
        let sent = moment.cut(a.send_to(b"one", &place), || ()).await.is_some();
        assert_eq!(b.try_recv(&mut [0; 8]).is_ok(), sent, "{moment:?}");
        std::fs::remove_file(&place).unwrap();
        sent
    });
}
