//! Many datagrams at once: batches, and segments that the kernel cuts and joins.
#![allow(missing_docs, clippy::unwrap_used)]

mod common;

use common::{block_on, cut};
use posse_net::{RecvMeta, UdpSocket};
use std::io::ErrorKind;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

/// What one call of the system takes.
const BATCH_MAX: usize = 32;

async fn pair(ip: impl Into<IpAddr>) -> (UdpSocket, UdpSocket) {
    let local = SocketAddr::from((ip.into(), 0));
    let (a, b) = (UdpSocket::bind(local).await.unwrap(), UdpSocket::bind(local).await.unwrap());
    a.connect(b.local_addr().unwrap()).await.unwrap();
    (a, b)
}

/// Receives datagrams in batches, and checks who sent them.
async fn receive(socket: &UdpSocket, from: SocketAddr, count: usize) -> Vec<Vec<u8>> {
    let (mut got, mut received) = (Vec::new(), [RecvMeta::default(); 40]);
    while got.len() < count {
        let mut space = vec![[0; 64]; 40];
        let mut buffers: Vec<_> = space.iter_mut().map(|buffer| &mut buffer[..]).collect();
        let filled = socket.recv_many(&mut buffers, &mut received).await.unwrap();
        for (buffer, meta) in space.iter().zip(&received[..filled]) {
            assert_eq!((meta.addr, meta.stride), (from, meta.len));
            got.push(buffer[..meta.len].to_vec());
        }
    }
    got
}

#[test]
fn a_batch_arrives_whole_in_order_and_says_who_sent_it() {
    block_on(async {
        for ip in [IpAddr::from(Ipv4Addr::LOCALHOST), Ipv6Addr::LOCALHOST.into()] {
            // Not every machine has IPv6.
            let Ok(c) = UdpSocket::bind((ip, 0)).await else { continue };
            let (a, b) = pair(ip).await;
            let from = a.local_addr().unwrap();
            cut(b.recv_many(&mut [&mut [0; 8][..]], &mut [RecvMeta::default()])).await;
            assert_eq!(a.send_many(&[&b"1"[..], b"", b"333"]).await.unwrap(), 3);
            assert_eq!(receive(&b, from, 3).await, [&b"1"[..], b"", b"333"]);
            let (at_b, at_c) = (b.local_addr().unwrap(), c.local_addr().unwrap());
            assert_eq!(b.send_many_to(&[(&b"to a"[..], from), (b"to c", at_c)]).await.unwrap(), 2);
            assert_eq!(receive(&a, at_b, 1).await, [b"to a"]);
            assert_eq!(receive(&c, at_b, 1).await, [b"to c"]);
        }
    });
}

#[test]
fn nothing_to_send_or_no_buffer_is_nothing_done() {
    block_on(async {
        let (a, b) = pair(Ipv4Addr::LOCALHOST).await;
        let mut received = [RecvMeta::default()];
        assert_eq!(a.send_many(&[]).await.unwrap(), 0);
        assert_eq!(a.send_many_to(&[]).await.unwrap(), 0);
        assert_eq!(a.send_segments(&[], 8, None).await.unwrap(), 0);
        assert_eq!(b.recv_many(&mut [], &mut received).await.unwrap(), 0);
        assert_eq!(b.recv_many(&mut [&mut [0; 8][..]], &mut []).await.unwrap(), 0);
        assert_eq!(b.try_recv_many(&mut [&mut [0; 8][..]], &mut received).unwrap_err().kind(), ErrorKind::WouldBlock);
        assert_eq!(a.send_segments(&[1], 0, None).await.unwrap_err().kind(), ErrorKind::InvalidInput);
        let unconnected = b.send_many(&[&b"x"[..]]).await.unwrap_err();
        assert!(unconnected.raw_os_error().is_some(), "{unconnected}");
    });
}

#[test]
#[cfg(target_os = "linux")]
fn one_call_sends_and_one_receives_as_many_as_a_batch_holds() {
    block_on(async {
        let (a, b) = pair(Ipv4Addr::LOCALHOST).await;
        let many: Vec<_> = (0..2 * BATCH_MAX as u8).map(|n| [n]).collect();
        let many: Vec<_> = many.iter().map(|datagram| &datagram[..]).collect();
        assert_eq!(a.try_send_many(&many).unwrap(), BATCH_MAX);
        b.readable().await.unwrap();
        let (mut space, mut received) = (vec![[0; 8]; 40], [RecvMeta::default(); 40]);
        let mut buffers: Vec<_> = space.iter_mut().map(|buffer| &mut buffer[..]).collect();
        assert_eq!(b.try_recv_many(&mut buffers, &mut received).unwrap(), BATCH_MAX);
        assert!(space.iter().zip(0..).take(BATCH_MAX).all(|(buffer, n)| buffer[0] == n));
    });
}

#[test]
fn segments_arrive_as_datagrams_of_their_size() {
    block_on(async {
        let (a, b) = pair(Ipv4Addr::LOCALHOST).await;
        let (from, to) = (a.local_addr().unwrap(), b.local_addr().unwrap());
        for address in [None, Some(to)] {
            assert_eq!(a.send_segments(b"onetwo3", 3, address).await.unwrap(), 7);
            assert_eq!(receive(&b, from, 3).await, [&b"one"[..], b"two", b"3"]);
        }
        // More than a call takes: whole segments, the rest is for another one.
        let sent = a.send_segments(&[7; 1_000], 10, None).await.unwrap();
        assert!(sent < 1_000 && sent % 10 == 0, "{sent}");
        assert_eq!(receive(&b, from, sent / 10).await, vec![[7; 10]; sent / 10]);
        // One segment is a datagram like any other.
        let large = [1; 65_507];
        assert_eq!(a.send_segments(&large, 70_000, None).await.unwrap(), large.len());
    });
}

/// The kernel hands over joined what it was given joined: so one call has sent all of it, and one has received it.
#[test]
#[cfg(target_os = "linux")]
fn the_kernel_cuts_and_joins_segments() {
    block_on(async {
        let (a, b) = pair(Ipv4Addr::LOCALHOST).await;
        if b.set_gro(true).is_err() {
            assert!(!b.gro().unwrap_or(false), "a kernel without GRO");
            return;
        }
        assert!(b.gro().unwrap());
        let bytes: Vec<_> = (0..4_050).map(|n| (n / 100) as u8).collect();
        assert_eq!(a.send_segments(&bytes, 100, None).await.unwrap(), 4_050);
        let (mut first, mut second) = (vec![0; 65_535], vec![0; 65_535]);
        let mut received = [RecvMeta::default(); 2];
        b.readable().await.unwrap();
        let count = b.try_recv_many(&mut [&mut first[..], &mut second], &mut received).unwrap();
        assert_eq!((count, received[0].len, received[0].stride), (1, 4_050, 100));
        assert_eq!(received[0].addr, a.local_addr().unwrap());
        let datagrams: Vec<_> = received[0].datagrams(&first).collect();
        assert_eq!((datagrams.len(), datagrams[40].len()), (41, 50));
        assert!(datagrams.iter().zip(0..).all(|(datagram, n)| datagram.iter().all(|byte| *byte == n)));
        // One that was sent alone comes alone.
        a.send(b"alone").await.unwrap();
        let count = b.recv_many(&mut [&mut first[..]], &mut received).await.unwrap();
        assert_eq!((count, received[0].len, received[0].stride), (1, 5, 5));
    });
}

#[test]
#[cfg(target_os = "linux")]
fn what_did_not_fit_its_buffer_is_said_to_be_cut() {
    block_on(async {
        let (a, b) = pair(Ipv4Addr::LOCALHOST).await;
        let mut received = [RecvMeta::default()];
        let mut small = [0; 4];
        for (sent, is_cut) in [(&b"too long"[..], true), (b"fits", false), (b"", false)] {
            a.send(sent).await.unwrap();
            assert_eq!(b.recv_many(&mut [&mut small[..]], &mut received).await.unwrap(), 1);
            assert_eq!((received[0].len, received[0].is_truncated), (sent.len().min(4), is_cut));
        }

        // Of joined ones the last that is there looks as one that was shorter.
        if b.set_gro(true).is_ok() {
            assert_eq!(a.send_segments(&[7; 300], 100, None).await.unwrap(), 300);
            let mut buffer = [0; 150];
            assert_eq!(b.recv_many(&mut [&mut buffer[..]], &mut received).await.unwrap(), 1);
            assert_eq!((received[0].len, received[0].stride, received[0].is_truncated), (150, 100, true));
        }
    });
}
