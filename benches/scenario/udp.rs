//! Datagrams of 1,200 bytes from one socket to another of the same task: a burst is sent, then received, so that none is lost.

use crate::now;
use posse::net::{RecvMeta, UdpSocket};
use std::net::{Ipv4Addr, SocketAddr};

const BURST: usize = 32;
const LEN: usize = 1_200;
const LOCAL: (Ipv4Addr, u16) = (Ipv4Addr::LOCALHOST, 0);

/// Nanoseconds per datagram.
pub(super) fn run(subject: &str, count: u64) -> f64 {
    let bursts = count as usize / BURST;
    match subject {
        "tokio" => {
            let mut runtime = tokio::runtime::Builder::new_current_thread();
            runtime.enable_io().build().expect("a runtime").block_on(by_tokio(bursts))
        }
        _ => posse::runtime::Builder::new_current_thread()
            .build()
            .expect("a runtime")
            .block_on(by_posse(subject, bursts)),
    }
}

async fn by_tokio(bursts: usize) -> f64 {
    use tokio::net::UdpSocket;
    let (a, b) = (UdpSocket::bind(LOCAL).await.expect("a port"), UdpSocket::bind(LOCAL).await.expect("a port"));
    a.connect(b.local_addr().expect("bound")).await.expect("connected");
    let mut buffer = [0; LEN];
    let start = now();
    for _ in 0..bursts {
        for _ in 0..BURST {
            a.send(&[7; LEN]).await.expect("sent");
        }
        for _ in 0..BURST {
            b.recv(&mut buffer).await.expect("received");
        }
    }
    start.elapsed().as_nanos() as f64 / (bursts * BURST) as f64
}

async fn by_posse(subject: &str, bursts: usize) -> f64 {
    let (a, b) = (UdpSocket::bind(LOCAL).await.expect("a port"), UdpSocket::bind(LOCAL).await.expect("a port"));
    let to: SocketAddr = b.local_addr().expect("bound");
    a.connect(to).await.expect("connected");
    let is_cut = subject == "posse, GSO";
    if is_cut {
        b.set_gro(true).expect("a kernel with GRO");
    }
    let (bytes, datagrams) = (vec![7; BURST * LEN], [&[7; LEN][..]; BURST]);
    let mut buffers = vec![vec![0; if is_cut { 65_535 } else { LEN }]; BURST];
    let mut buffers: Vec<_> = buffers.iter_mut().map(|buffer| &mut buffer[..]).collect();
    let mut received = [RecvMeta::default(); BURST];
    let start = now();
    for _ in 0..bursts {
        match subject {
            "posse" => {
                for _ in 0..BURST {
                    a.send(&[7; LEN]).await.expect("sent");
                }
                for _ in 0..BURST {
                    b.recv(buffers[0]).await.expect("received");
                }
                continue;
            }
            "posse, batch" => assert_eq!(a.send_many(&datagrams).await.expect("sent"), BURST),
            _ => assert_eq!(a.send_segments(&bytes, LEN, None).await.expect("sent"), bytes.len()),
        }
        let mut left = bytes.len();
        while left > 0 {
            let filled = b.recv_many(&mut buffers, &mut received).await.expect("received");
            left -= received[..filled].iter().map(|meta| meta.len).sum::<usize>();
        }
    }
    start.elapsed().as_nanos() as f64 / (bursts * BURST) as f64
}
