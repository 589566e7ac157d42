//! The simulated network's own behaviour: datagrams, bandwidth, descriptors, pauses, names, windows.

use super::tests::{address, echo, read_exact, spec, world, write_all};
use super::*;
use crate::io::{RecvMeta, TcpListener, TcpStream, UdpSocket, resolve};
use crate::time::{Instant, sleep, timeout};
use std::future::poll_fn;
use std::io::ErrorKind;
use std::time::Duration;

async fn send_to(socket: &UdpSocket, bytes: &[u8], to: std::net::SocketAddr) {
    poll_fn(|cx| socket.poll_write_io(cx, |socket| socket.send_to(bytes, to))).await.unwrap();
}

/// Everything that arrives until nothing comes for a second.
async fn drain(socket: &UdpSocket) -> Vec<Vec<u8>> {
    let mut arrived = Vec::new();
    let mut buffer = [0; 100];
    loop {
        let receive = poll_fn(|cx| socket.poll_read_io(cx, |socket| socket.recv_from(&mut buffer)));
        match timeout(Duration::from_secs(1), receive).await {
            Ok(received) => arrived.push(buffer[..received.unwrap().0].to_vec()),
            Err(_) => return arrived,
        }
    }
}

#[test]
fn datagrams_get_lost_doubled_overtaken_and_damaged_as_told() {
    let run = world(3).run(|control| async move {
        let (a, b) =
            (UdpSocket::bind("0.0.0.0:0".parse().unwrap()), UdpSocket::bind("127.0.0.1:9".parse().unwrap()).unwrap());
        drop(b);
        let (to, listener) = (control.add(spec("b", |_| {})).await.unwrap(), a.unwrap());
        let receiver = control.handle(to).unwrap().spawn(async {
            let socket = UdpSocket::bind("0.0.0.0:9".parse().unwrap()).unwrap();
            let mut all = Vec::new();
            for _ in 0..4 {
                all.push(drain(&socket).await);
            }
            all
        });
        let to: std::net::SocketAddr = (control.ip(to), 9).into();
        sleep(Duration::from_millis(10)).await;
        let mut networks = [Network::default(), Network::default(), Network::default(), Network::default()];
        networks[0].udp_loss = 0.5;
        networks[1].udp_duplicate = 1.0;
        networks[2].udp_reorder = 0.5;
        networks[3].udp_corrupt = 1.0;
        for network in networks {
            control.set_network(network);
            for n in 0..50u8 {
                send_to(&listener, &[n; 8], to).await;
            }
            // The receiver ends its round after a second without anything.
            sleep(Duration::from_millis(1300)).await;
        }
        let all = receiver.await.unwrap();
        assert!((10..40).contains(&all[0].len()), "{} of 50", all[0].len());
        assert_eq!(all[1].len(), 100);
        assert!(all[2].len() == 50 && !all[2].is_sorted());
        assert!(all[3].iter().all(|bytes| bytes.iter().any(|byte| *byte != bytes[0])));
    });
    assert!(run.is_ok(), "{run:?}");
}

#[test]
fn datagrams_of_a_batch_and_segments_go_one_by_one() {
    let run = world(6).run(|control| async move {
        let to = control.add(spec("b", |_| {})).await.unwrap();
        let receiver = control.handle(to).unwrap().spawn(async {
            let socket = UdpSocket::bind("0.0.0.0:9".parse().unwrap()).unwrap();
            assert_eq!(socket.set_gro(true).unwrap_err().kind(), ErrorKind::Unsupported);
            let mut arrived = Vec::new();
            while arrived.len() < 5 {
                let (mut first, mut second, mut received) = ([0; 8], [0; 8], [RecvMeta::default(); 2]);
                let receive = socket.read_io(|raw| raw.recv_many(&mut [&mut first[..], &mut second], &mut received));
                let count = receive.await.unwrap();
                for (buffer, meta) in [first, second].iter().zip(&received[..count]) {
                    assert_eq!(meta.stride, meta.len);
                    arrived.push(buffer[..meta.len].to_vec());
                }
            }
            arrived
        });
        sleep(Duration::from_millis(10)).await;
        control.set_network(Network { udp_loss: 0.0, udp_reorder: 0.0, udp_duplicate: 0.0, ..Network::default() });
        let socket = UdpSocket::bind("0.0.0.0:0".parse().unwrap()).unwrap();
        let to = Some((control.ip(to), 9).into());
        let batch = [&b"one"[..], b"two"];
        let sent = socket.write_io(|raw| raw.send_many(batch.into_iter().map(|bytes| (bytes, to)))).await;
        assert_eq!(sent.unwrap(), 2);
        assert_eq!(socket.write_io(|raw| raw.send_segments(b"abcd5", 2, to)).await.unwrap(), 5);
        let mut arrived = receiver.await.unwrap();
        // How long each is on its way is drawn.
        arrived.sort_unstable();
        assert_eq!(arrived, [&b"5"[..], b"ab", b"cd", b"one", b"two"]);
    });
    assert!(run.is_ok(), "{run:?}");
}

#[test]
fn a_narrow_link_takes_its_time_and_a_reader_that_does_not_read_stops_the_writer() {
    let run = world(4).run(|control| async move {
        let server = control.add(spec("server", echo)).await.unwrap();
        let narrow = Network { bandwidth: Some(100_000), ..Network::default() };
        control.set_link(MachineId(0), server, narrow);
        sleep(Duration::from_millis(10)).await;
        let stream = TcpStream::connect(address(&control, server)).await.unwrap();
        let start = Instant::now();
        let mut back = vec![0; 50_000];
        write_all(&stream, &[1; 50_000]).await.unwrap();
        read_exact(&stream, &mut back).await.unwrap();
        assert!(start.elapsed() >= Duration::from_millis(500), "{:?}", start.elapsed());

        control.pause(server, true);
        let endless = write_all(&stream, &[2; 1_000_000]);
        assert!(timeout(Duration::from_secs(60), endless).await.is_err());
        control.pause(server, false);
    });
    assert!(run.is_ok(), "{run:?}");
}

#[test]
fn a_process_without_descriptors_is_told_so_and_recovers() {
    let run = world(5).run(|control| async move {
        let server = control.add(spec("server", |_| {})).await.unwrap();
        control.set_descriptors_max(server, 2);
        let serving = control.handle(server).unwrap().spawn(async {
            let listener = TcpListener::listen("0.0.0.0:7".parse().unwrap()).unwrap();
            let first = poll_fn(|cx| listener.poll_accept(cx)).await.unwrap();
            let refused = poll_fn(|cx| listener.poll_accept(cx)).await.unwrap_err();
            drop(first);
            let second = poll_fn(|cx| listener.poll_accept(cx)).await;
            (refused.raw_os_error(), second.is_ok())
        });
        sleep(Duration::from_millis(10)).await;
        let _first = TcpStream::connect(address(&control, server)).await.unwrap();
        let _second = TcpStream::connect(address(&control, server)).await.unwrap();
        assert_eq!(serving.await.unwrap(), (Some(24), true));
    });
    assert!(run.is_ok(), "{run:?}");
}

#[test]
fn sockets_with_options_connect_and_listen() {
    let run = world(6).run(|_| async move {
        let socket = crate::io::TcpSocket::new_v4().unwrap();
        socket.set_reuseaddr(true).unwrap();
        socket.bind("127.0.0.1:90".parse().unwrap()).unwrap();
        let listener = socket.listen(16).unwrap();
        let socket = crate::io::TcpSocket::new_v4().unwrap();
        let client = socket.connect(listener.local_addr().unwrap()).await.unwrap();
        let (_, peer) = listener.accept().await.unwrap();
        assert_eq!(client.local_addr().unwrap(), peer);
        assert_eq!(client.options().unwrap_err().kind(), ErrorKind::Unsupported);
    });
    assert!(run.is_ok(), "{run:?}");
}

#[test]
fn names_of_machines_are_found_and_addresses_are_their_own() {
    let run = world(6).run(|control| async move {
        let server = control.add(spec("server", echo)).await.unwrap();
        assert_eq!(resolve("server:7".into()).await.unwrap(), [address(&control, server)]);
        assert_eq!(resolve("unknown:7".into()).await.unwrap_err().kind(), ErrorKind::NotFound);
        let foreign = TcpListener::listen(address(&control, server)).unwrap_err();
        assert_eq!(foreign.kind(), ErrorKind::AddrNotAvailable);
        let taken = TcpListener::listen("127.0.0.1:80".parse().unwrap()).unwrap();
        let again = TcpListener::listen("127.0.0.1:80".parse().unwrap()).unwrap_err();
        assert_eq!(again.kind(), ErrorKind::AddrInUse);
        drop(taken);
        assert!(TcpListener::listen("127.0.0.1:80".parse().unwrap()).is_ok());
        let unix = crate::io::unix_address(std::path::Path::new("/nowhere")).unwrap();
        assert!(crate::io::UnixListener::listen_unix(&unix).is_err());
        let fd = crate::io::AsyncFd::new(std::io::stdin()).unwrap_err();
        assert_eq!(fd.kind(), ErrorKind::Unsupported);
        assert_eq!(crate::io::spawn_detached("a thread", || ()).unwrap_err().kind(), ErrorKind::Unsupported);
    });
    assert!(run.is_ok(), "{run:?}");
}

#[test]
fn blocking_work_runs_after_a_while_and_a_signal_ends_who_waits_for_it() {
    let run = world(7).run(|control| async move {
        let start = Instant::now();
        let sum = crate::task::spawn_blocking(|| (1..=10).sum::<u64>()).await.unwrap();
        assert!(sum == 55 && start.elapsed() > Duration::ZERO);

        let server = control.add(spec("server", |_| {})).await.unwrap();
        let ended = control.handle(server).unwrap().spawn(async {
            crate::signal::terminate().await.unwrap();
            crate::time::Instant::now()
        });
        sleep(Duration::from_secs(5)).await;
        assert!(!ended.is_finished());
        control.terminate(server);
        ended.await.unwrap();
    });
    assert!(run.is_ok(), "{run:?}");
}

#[test]
fn clocks_are_as_wrong_as_they_are_said_to_be() {
    let run = world(8).run(|control| async move {
        let skew = Skew { ahead_ns: -3_600_000_000_000, drift_ppm: 100_000 };
        let late = control.add(MachineSpec { skew, ..spec("late", |_| {}) }).await.unwrap();
        let handle = control.handle(late).unwrap();
        let here = crate::runtime::Handle::current();
        let behind = here.unix_time() - handle.unix_time();
        assert!(behind >= Duration::from_secs(3599) && behind <= Duration::from_secs(3600));
        let before = handle.unix_time();
        sleep(Duration::from_secs(100)).await;
        let passed = handle.unix_time() - before;
        assert!(passed >= Duration::from_secs(110) && passed < Duration::from_secs(111), "{passed:?}");
    });
    assert!(run.is_ok(), "{run:?}");
}
