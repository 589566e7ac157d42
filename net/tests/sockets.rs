//! Sockets as a user has them, on a real runtime and the loopback interface.
#![allow(missing_docs, clippy::unwrap_used)]

use posse_core::runtime::{Builder, Runtime};
use posse_core::task;
use posse_net::io::{AsyncReadExt, AsyncWriteExt, BufReader, BufWriter, copy, copy_bidirectional};
use posse_net::{TcpListener, TcpStream, UdpSocket, UnixListener, UnixStream};
use std::io::{ErrorKind, IoSlice, IoSliceMut};

fn runtimes() -> [Runtime; 2] {
    [Builder::new_current_thread().build().unwrap(), Builder::new_multi_thread().worker_threads(2).build().unwrap()]
}

async fn echo_server() -> std::net::SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    task::spawn(async move {
        loop {
            let (mut socket, _) = listener.accept().await.unwrap();
            task::spawn(async move {
                let (mut read, mut write) = socket.split();
                let _ = copy(&mut read, &mut write).await;
            });
        }
    });
    address
}

#[test]
fn bytes_come_back_from_an_echo_server() {
    for runtime in runtimes() {
        runtime.block_on(async {
            let mut stream = TcpStream::connect(echo_server().await).await.unwrap();
            for len in [1usize, 100, 65_536] {
                let sent: Vec<u8> = (0..len).map(|n| n as u8).collect();
                stream.write_all(&sent).await.unwrap();
                let mut received = vec![0; len];
                stream.read_exact(&mut received).await.unwrap();
                assert_eq!(sent, received);
            }
        });
    }
}

#[test]
fn a_megabyte_survives_with_halves_in_two_tasks() {
    for runtime in runtimes() {
        runtime.block_on(async {
            let stream = TcpStream::connect(echo_server().await).await.unwrap();
            let (mut read, mut write) = stream.into_split();
            let sent: Vec<u8> = (0..1 << 20).map(|n: u32| (n * 7) as u8).collect();
            let expected = sent.clone();
            let writer = task::spawn(async move {
                write.write_all(&sent).await.unwrap();
                write.shutdown().await.unwrap();
            });
            let mut received = Vec::new();
            read.read_to_end(&mut received).await.unwrap();
            writer.await.unwrap();
            assert!(received == expected);
        });
    }
}

#[test]
fn a_thousand_connections_are_served_at_once() {
    for runtime in runtimes() {
        runtime.block_on(async {
            let address = echo_server().await;
            let mut streams = Vec::new();
            for _ in 0..450 {
                streams.push(TcpStream::connect(address).await.unwrap());
            }
            let tasks: Vec<_> = streams
                .into_iter()
                .enumerate()
                .map(|(n, mut stream)| {
                    task::spawn(async move {
                        for round in 0..5u64 {
                            let value = n as u64 * 10 + round;
                            stream.write_u64(value).await.unwrap();
                            assert_eq!(stream.read_u64().await.unwrap(), value);
                        }
                    })
                })
                .collect();
            for task in tasks {
                task.await.unwrap();
            }
        });
    }
}

#[test]
fn a_refused_connection_is_an_error_that_names_the_address() {
    for runtime in runtimes() {
        runtime.block_on(async {
            let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
            let address = listener.local_addr().unwrap();
            drop(listener);
            let error = TcpStream::connect(address).await.unwrap_err();
            assert_eq!(error.kind(), ErrorKind::ConnectionRefused);
            assert!(error.to_string().contains(&address.to_string()));
        });
    }
}

#[test]
fn names_are_resolved() {
    for runtime in runtimes() {
        runtime.block_on(async {
            let listener = TcpListener::bind("localhost:0").await.unwrap();
            let port = listener.local_addr().unwrap().port();
            let (client, server) = (TcpStream::connect(("localhost", port)), listener.accept());
            let client = client.await.unwrap();
            let (_, peer) = server.await.unwrap();
            assert_eq!(peer, client.local_addr().unwrap());
        });
    }
}

#[test]
fn the_end_of_a_stream_comes_after_data_that_came_with_it() {
    for runtime in runtimes() {
        runtime.block_on(async {
            let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
            let mut client = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
            let (mut server, _) = listener.accept().await.unwrap();
            client.write_all(b"bye").await.unwrap();
            drop(client);
            let mut buffer = [0; 64];
            server.readable().await.unwrap();
            assert_eq!(server.read(&mut buffer).await.unwrap(), 3);
            assert_eq!(server.read(&mut buffer).await.unwrap(), 0);
        });
    }
}

#[test]
fn vectored_writes_uninitialised_reads_and_peeks() {
    runtimes()[1].block_on(async {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let mut client = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        let (server, _) = listener.accept().await.unwrap();
        client.write_vectored(&[IoSlice::new(b"ab"), IoSlice::new(b"cd")]).await.unwrap();
        let mut peeked = [0; 2];
        assert_eq!(server.peek(&mut peeked).await.unwrap(), 2);
        let mut buffer = bytes::BytesMut::with_capacity(16);
        while buffer.len() < 4 {
            assert!(server.read_buf(&mut buffer).await.unwrap() > 0);
        }
        assert_eq!(&buffer[..], b"abcd");
        assert_eq!(server.try_read(&mut peeked).unwrap_err().kind(), ErrorKind::WouldBlock);
    });
}

#[test]
fn halves_are_reunited_only_with_their_own() {
    runtimes()[0].block_on(async {
        let address = echo_server().await;
        let (read, write) = TcpStream::connect(address).await.unwrap().into_split();
        let (other_read, other_write) = TcpStream::connect(address).await.unwrap().into_split();
        let error = read.reunite(other_write).unwrap_err();
        let mut stream = error.0.reunite(write).unwrap();
        stream.write_u8(7).await.unwrap();
        assert_eq!(stream.read_u8().await.unwrap(), 7);
        drop((other_read, error.1));
    });
}

#[test]
fn streams_go_to_std_and_back() {
    runtimes()[1].block_on(async {
        let stream = TcpStream::connect(echo_server().await).await.unwrap();
        let mut stream = TcpStream::from_std(stream.into_std().unwrap()).unwrap();
        stream.set_nodelay(true).unwrap();
        assert!(stream.nodelay().unwrap());
        stream.write_u32(5).await.unwrap();
        assert_eq!(stream.read_u32().await.unwrap(), 5);
    });
}

#[test]
fn a_proxy_passes_both_directions_and_their_ends() {
    runtimes()[1].block_on(async {
        let upstream = echo_server().await;
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let proxy = task::spawn(async move {
            let (mut client, _) = listener.accept().await.unwrap();
            let mut server = TcpStream::connect(upstream).await.unwrap();
            copy_bidirectional(&mut client, &mut server).await.unwrap()
        });
        let mut client = TcpStream::connect(address).await.unwrap();
        client.write_all(b"through").await.unwrap();
        client.shutdown().await.unwrap();
        let mut text = String::new();
        client.read_to_string(&mut text).await.unwrap();
        assert_eq!(text, "through");
        assert_eq!(proxy.await.unwrap(), (7, 7));
    });
}

#[test]
fn buffers_keep_every_byte() {
    runtimes()[0].block_on(async {
        let (read, write) = TcpStream::connect(echo_server().await).await.unwrap().into_split();
        let (mut read, mut write) = (BufReader::with_capacity(16, read), BufWriter::with_capacity(16, write));
        for n in 0..100u16 {
            write.write_u16(n).await.unwrap();
        }
        write.flush().await.unwrap();
        for n in 0..100u16 {
            assert_eq!(read.read_u16().await.unwrap(), n);
        }
    });
}

#[test]
fn udp_sends_and_receives_connected_and_not() {
    for runtime in runtimes() {
        runtime.block_on(async {
            let a = UdpSocket::bind("127.0.0.1:0").await.unwrap();
            let b = UdpSocket::bind("127.0.0.1:0").await.unwrap();
            a.connect(b.local_addr().unwrap()).await.unwrap();
            b.connect(a.local_addr().unwrap()).await.unwrap();
            let mut buffer = [0; 32];
            for n in 0..100u8 {
                a.send(&[n; 3]).await.unwrap();
                assert_eq!(b.recv(&mut buffer).await.unwrap(), 3);
                assert_eq!(buffer[..3], [n; 3]);
            }
            assert_eq!(b.try_recv_from(&mut buffer).unwrap_err().kind(), ErrorKind::WouldBlock);
        });
    }
}

#[test]
fn unix_sockets_connect() {
    runtimes()[1].block_on(async {
        let path = std::env::temp_dir().join(format!("posse-test-{}", std::process::id()));
        let listener = UnixListener::bind(&path).unwrap();
        let mut client = UnixStream::connect(&path).await.unwrap();
        let (mut server, _) = listener.accept().await.unwrap();
        std::fs::remove_file(&path).unwrap();
        client.write_u64(9).await.unwrap();
        assert_eq!(server.read_u64().await.unwrap(), 9);
    });
}

#[test]
fn a_socket_outside_of_a_runtime_is_an_error() {
    let stream = Runtime::new()
        .unwrap()
        .block_on(async { TcpStream::connect(echo_server().await).await.unwrap().into_std().unwrap() });
    let listener = std::net::TcpListener::from(std::os::fd::OwnedFd::from(stream));
    assert!(TcpListener::from_std(listener).is_err());
}

#[test]
fn vectored_reads_fill_one_buffer_after_the_other() {
    for runtime in runtimes() {
        runtime.block_on(async {
            let mut stream = TcpStream::connect(echo_server().await).await.unwrap();
            stream.write_all(b"abcde").await.unwrap();
            let mut peeked = [0; 5];
            while stream.peek(&mut peeked).await.unwrap() < 5 {}
            let (mut first, mut second) = ([0; 2], [0; 8]);
            let mut buffers = [IoSliceMut::new(&mut first), IoSliceMut::new(&mut second)];
            assert_eq!(stream.read_vectored(&mut buffers).await.unwrap(), 5);
            assert_eq!((&first[..], &second[..3]), (&b"ab"[..], &b"cde"[..]));
        });
    }
}

#[test]
fn udp_sends_to_and_receives_from_anybody() {
    for runtime in runtimes() {
        runtime.block_on(async {
            let [a, b, c] = [(); 3].map(|()| UdpSocket::bind("localhost:0"));
            let (a, b, c) = (a.await.unwrap(), b.await.unwrap(), c.await.unwrap());
            for (n, from) in [&b, &c].into_iter().enumerate() {
                from.send_to(&[n as u8; 3], a.local_addr().unwrap()).await.unwrap();
                let mut buffer = [9; 8];
                let (len, sender) = a.recv_from(&mut buffer).await.unwrap();
                assert_eq!((&buffer[..len], sender), (&[n as u8; 3][..], from.local_addr().unwrap()));
            }
        });
    }
}

#[test]
fn sockets_of_std_are_taken_over() {
    runtimes()[0].block_on(async {
        #[expect(clippy::disallowed_methods, reason = "what is taken over is not ours")]
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let listener = TcpListener::from_std(listener).unwrap();
        #[expect(clippy::disallowed_methods, reason = "what is taken over is not ours")]
        let client = std::net::TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let (mut server, _) = listener.accept().await.unwrap();
        let mut client = TcpStream::from_std(client).unwrap();
        client.write_u16(7).await.unwrap();
        assert_eq!(server.read_u16().await.unwrap(), 7);

        #[expect(clippy::disallowed_methods, reason = "what is taken over is not ours")]
        let [one, other] = [(); 2].map(|()| std::net::UdpSocket::bind("127.0.0.1:0").unwrap());
        let (one, other) = (UdpSocket::from_std(one).unwrap(), UdpSocket::from_std(other).unwrap());
        one.send_to(b"hi", other.local_addr().unwrap()).await.unwrap();
        assert_eq!(other.recv_from(&mut [0; 4]).await.unwrap(), (2, one.local_addr().unwrap()));
    });
}
