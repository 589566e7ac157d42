//! Frames over streams and datagrams: errors of one's own, what waits, what is given up half-way.
#![allow(missing_docs, clippy::unwrap_used)]

mod common;

use bytes::{Buf, BytesMut};
use common::{block_on, cut, now};
use futures_sink::Sink;
use posse_core::task;
use posse_net::UdpSocket;
use posse_net::codec::{
    BytesCodec, CodecError, Decoder, Encoder, Framed, FramedParts, FramedRead, FramedWrite, LengthDelimitedCodec,
    LinesCodec, UdpFramed,
};
use posse_net::io::{AsyncReadExt, AsyncWriteExt, duplex, simplex};
use std::future::poll_fn;
use std::io;
use std::pin::Pin;

/// Single digits, with an error of its own.
struct Digits;

#[derive(Debug)]
enum NoDigit {
    Byte(u8),
    Stream(io::Error),
}

impl From<io::Error> for NoDigit {
    fn from(error: io::Error) -> Self {
        Self::Stream(error)
    }
}

impl Decoder for Digits {
    type Item = u8;
    type Error = NoDigit;

    fn decode(&mut self, buffer: &mut BytesMut) -> Result<Option<u8>, NoDigit> {
        if !buffer.has_remaining() {
            return Ok(None);
        }
        match buffer.get_u8() {
            digit @ b'0'..=b'9' => Ok(Some(digit - b'0')),
            other => Err(NoDigit::Byte(other)),
        }
    }
}

impl Encoder<u8> for Digits {
    type Error = NoDigit;

    fn encode(&mut self, digit: u8, buffer: &mut BytesMut) -> Result<(), NoDigit> {
        if digit > 9 {
            return Err(NoDigit::Byte(digit));
        }
        buffer.extend_from_slice(&[digit + b'0']);
        Ok(())
    }
}

#[test]
fn a_codec_has_errors_of_its_own_and_the_streams() {
    block_on(async {
        let (ours, mut theirs) = duplex(64);
        let mut ours = Digits.framed(ours);
        ours.send(7).await.unwrap();
        assert_eq!(theirs.read_u8().await.unwrap(), b'7');
        assert!(matches!(ours.send(10).await, Err(NoDigit::Byte(10))));
        theirs.write_all(b"1x2").await.unwrap();
        assert_eq!(ours.next().await.unwrap().unwrap(), 1);
        assert!(matches!(ours.next().await, Some(Err(NoDigit::Byte(b'x')))));
        assert!(ours.next().await.is_none(), "after an error there is nothing");
        drop(theirs);
        assert!(matches!(ours.send(1).await, Err(NoDigit::Stream(error)) if error.kind() == io::ErrorKind::BrokenPipe));
    });
}

#[test]
fn a_sink_asks_its_caller_to_wait_at_the_boundary() {
    block_on(async {
        let (mut source, sink) = simplex(2);
        let mut frames = FramedWrite::new(sink, LinesCodec::new(80));
        frames.set_backpressure_boundary(5);
        for _ in 0..2 {
            frames.feed("abc").await.unwrap();
        }
        assert!(now(frames.feed("never")).await.is_none());
        assert!(now(poll_fn(|cx| Sink::<&str>::poll_ready(Pin::new(&mut frames), cx))).await.is_none());
        // What was taken goes out whatever became of the other.
        let reader = task::spawn(async move {
            let mut text = String::new();
            source.read_to_string(&mut text).await.unwrap();
            text
        });
        poll_fn(|cx| Sink::<&str>::poll_ready(Pin::new(&mut frames), cx)).await.unwrap();
        Sink::start_send(Pin::new(&mut frames), "d").unwrap();
        poll_fn(|cx| Sink::<&str>::poll_close(Pin::new(&mut frames), cx)).await.unwrap();
        assert_eq!(reader.await.unwrap(), "abc\nabc\nd\n");
    });
}

#[test]
fn what_is_given_up_half_way_goes_on() {
    block_on(async {
        let (source, sink) = simplex(3);
        let (mut read, mut write) =
            (FramedRead::new(source, LinesCodec::new(80)), FramedWrite::new(sink, LinesCodec::new(80)));
        cut(read.next()).await;
        cut(write.send("first")).await;
        cut(read.next()).await;
        cut(write.flush()).await;
        cut(write.feed("second")).await;
        let writer = task::spawn(async move { write.close().await.unwrap() });
        assert_eq!(read.next().await.unwrap().unwrap(), "first");
        assert_eq!(read.next().await.unwrap().unwrap(), "second");
        assert!(read.next().await.is_none());
        writer.await.unwrap();
    });
}

#[test]
fn another_codec_goes_on_with_what_was_received() {
    block_on(async {
        let (ours, mut theirs) = duplex(64);
        theirs.write_all(b"HELLO\n\0\x02ab").await.unwrap();
        let mut lines = Framed::new(ours, LinesCodec::new(80));
        assert_eq!(lines.next().await.unwrap().unwrap(), "HELLO");
        assert_eq!(lines.read_buffer(), &b"\0\x02ab"[..]);
        let codec = LengthDelimitedCodec::builder().max_frame_length(80).length_field_length(2).new_codec();
        let mut frames = lines.map_codec(|_| codec);
        assert_eq!(frames.next().await.unwrap().unwrap(), b"ab"[..]);

        frames.start_send("c").unwrap();
        let parts = frames.into_parts();
        assert_eq!((&parts.read_buf[..], &parts.write_buf[..]), (&b""[..], &b"\0\x01c"[..]));
        let mut again = Framed::from_parts(parts);
        again.flush().await.unwrap();
        assert_eq!(theirs.read_u16().await.unwrap(), 1);
        let parts = FramedParts::new(again.into_inner(), BytesCodec::new());
        drop(Framed::from_parts(parts));
        assert_eq!(theirs.read_u8().await.unwrap(), b'c');
    });
}

#[test]
fn an_end_within_a_frame_is_the_last_word() {
    block_on(async {
        let mut read = LengthDelimitedCodec::builder().max_frame_length(80).new_read(&b"\0\0\0\x02a"[..]);
        assert!(matches!(read.next().await, Some(Err(CodecError::Truncated))));
        assert!(read.next().await.is_none());
        let mut read = BytesCodec::new().framed(&b"some"[..]);
        assert_eq!(read.next().await.unwrap().unwrap(), b"some"[..]);
        assert!(read.next().await.is_none());
    });
}

#[test]
fn datagrams_hold_one_message_or_more() {
    block_on(async {
        let mut frames = UdpFramed::new(UdpSocket::bind("127.0.0.1:0").await.unwrap(), LinesCodec::new(8));
        let to = frames.get_ref().local_addr().unwrap();
        let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        let from = socket.local_addr().unwrap();
        cut(frames.next()).await;
        for datagram in ["one\ntwo", "too long a line", "", "three\n"] {
            socket.send_to(datagram.as_bytes(), to).await.unwrap();
        }
        assert_eq!(frames.next().await.unwrap().unwrap(), ("one".to_owned(), from));
        assert_eq!(frames.next().await.unwrap().unwrap(), ("two".to_owned(), from));
        assert!(matches!(frames.next().await, Some(Err(CodecError::TooLong { max: 8 }))));
        assert_eq!(frames.next().await.unwrap().unwrap(), ("three".to_owned(), from));

        frames.send(("back", from)).await.unwrap();
        let mut buffer = [0; 16];
        assert_eq!(socket.recv_from(&mut buffer).await.unwrap(), (5, to));
        assert_eq!(&buffer[..5], b"back\n");
    });
}

/// Writes half of a frame before it finds out that it cannot write the rest.
struct Halfway;

impl Encoder<&str> for Halfway {
    type Error = io::Error;

    fn encode(&mut self, item: &str, buffer: &mut BytesMut) -> io::Result<()> {
        buffer.extend_from_slice(item.as_bytes());
        if item == "bad" { Err(io::Error::other("on purpose")) } else { Ok(()) }
    }
}

#[test]
fn a_frame_that_cannot_be_encoded_leaves_nothing_behind() {
    block_on(async {
        let mut frames = FramedWrite::new(Vec::new(), Halfway);
        frames.feed("one ").await.unwrap();
        assert!(frames.send("bad").await.is_err());
        frames.send("two").await.unwrap();
        assert_eq!(frames.get_ref(), b"one two");
    });
}
