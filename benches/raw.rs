//! Bare mio: the load for TCP servers, and the ping-pong that a remote ask is held against.

use crate::now;
use mio::net::{TcpListener, TcpStream};
use mio::{Events, Interest, Poll, Token};
use std::io::{ErrorKind, Read, Write};
use std::net::SocketAddr;
use std::time::{Duration, Instant};

/// Bytes of every message.
pub const BYTES: usize = 64;

fn would_block<T>(result: std::io::Result<T>) -> Option<T> {
    match result {
        Ok(value) => Some(value),
        Err(error) if error.kind() == ErrorKind::WouldBlock => None,
        Err(error) => panic!("{error}"),
    }
}

/// An echo server for one connection. Calls `listening`, then runs until the connection ends.
pub fn serve(listening: impl FnOnce(SocketAddr)) {
    let mut poll = Poll::new().expect("a poll");
    let mut events = Events::with_capacity(16);
    let mut listener = TcpListener::bind("127.0.0.1:0".parse().expect("an address")).expect("a port");
    poll.registry().register(&mut listener, Token(0), Interest::READABLE).expect("registered");
    listening(listener.local_addr().expect("an address"));
    let mut stream = None;
    let mut bytes = [0; 4096];
    loop {
        poll.poll(&mut events, None).expect("polled");
        if stream.is_none() {
            let Some((mut accepted, _)) = would_block(listener.accept()) else { continue };
            accepted.set_nodelay(true).expect("set");
            poll.registry().register(&mut accepted, Token(1), Interest::READABLE).expect("registered");
            stream = Some(accepted);
        }
        let Some(stream) = &mut stream else { continue };
        while let Some(n) = would_block(stream.read(&mut bytes)) {
            if n == 0 {
                return;
            }
            stream.write_all(&bytes[..n]).expect("room");
        }
    }
}

/// Connections that each send a message, wait for it to come back, and send the next.
#[derive(Debug)]
pub struct Load {
    poll: Poll,
    streams: Vec<(TcpStream, usize, Instant)>,
}

impl Load {
    /// Connects so many times.
    pub fn connect(address: SocketAddr, connections: usize) -> Self {
        let poll = Poll::new().expect("a poll");
        let streams = (0..connections)
            .map(|n| {
                #[expect(clippy::disallowed_methods, reason = "a load that is nobody's runtime")]
                let stream = std::net::TcpStream::connect(address).expect("connected");
                stream.set_nonblocking(true).expect("set");
                stream.set_nodelay(true).expect("set");
                let mut stream = TcpStream::from_std(stream);
                poll.registry().register(&mut stream, Token(n), Interest::READABLE).expect("registered");
                (stream, 0, now())
            })
            .collect();
        Self { poll, streams }
    }

    /// Makes so many round trips in all. Returns the time of each.
    pub fn run(&mut self, round_trips: usize) -> Vec<Duration> {
        let message = [7; BYTES];
        let mut bytes = [0; BYTES];
        let mut events = Events::with_capacity(1024);
        let mut times = Vec::with_capacity(round_trips);
        let mut sent = 0;
        for (stream, _, start) in &mut self.streams {
            *start = now();
            stream.write_all(&message).expect("room");
            sent += 1;
        }
        while times.len() < round_trips {
            self.poll.poll(&mut events, None).expect("polled");
            for event in &events {
                let (stream, got, start) = &mut self.streams[event.token().0];
                while let Some(n) = would_block(stream.read(&mut bytes)) {
                    assert_ne!(n, 0, "the server closed");
                    *got += n;
                    if *got < BYTES {
                        continue;
                    }
                    *got = 0;
                    times.push(start.elapsed());
                    if sent < round_trips {
                        *start = now();
                        stream.write_all(&message).expect("room");
                        sent += 1;
                    }
                }
            }
        }
        times
    }
}
