//! Sources and sinks of all kinds, in memory: what comes out of them, and what stays when a future is dropped.
#![allow(missing_docs, clippy::unwrap_used)]

mod common;

use bytes::{Buf, BufMut, Bytes, BytesMut};
use common::{block_on, cut, now};
use futures_core::Stream;
use posse_core::runtime::Builder;
use posse_core::task;
use posse_net::io::{
    self, AsyncBufReadExt, AsyncRead, AsyncReadExt, AsyncSeek, AsyncSeekExt, AsyncWriteExt, BufReader, BufStream,
    BufWriter, ReaderStream, SeekFrom, StreamReader, SyncIoBridge, copy, copy_bidirectional_with_sizes, copy_buf,
    duplex, simplex,
};
use std::collections::VecDeque;
use std::future::poll_fn;
use std::io::{ErrorKind, IoSlice, IoSliceMut, Read, Write};
use std::pin::Pin;
use std::task::{Context, Poll};

async fn next<S: Stream + Unpin>(stream: &mut S) -> Option<S::Item> {
    poll_fn(|cx| Pin::new(&mut *stream).poll_next(cx)).await
}

async fn text_of(reader: &mut (impl AsyncRead + Unpin)) -> String {
    let mut text = String::new();
    reader.read_to_string(&mut text).await.unwrap();
    text
}

#[test]
fn numbers_of_all_kinds_come_back_in_both_orders() {
    macro_rules! there_and_back {
        ($($write:ident $read:ident $value:expr, $bytes:expr;)*) => {
            block_on(async {$(
                let mut written = Vec::new();
                written.$write($value).await.unwrap();
                assert_eq!(written, $bytes.to_vec(), stringify!($write));
                assert_eq!((&written[..]).$read().await.unwrap(), $value, stringify!($read));
                let short = (&written[1..]).$read().await.unwrap_err();
                assert_eq!(short.kind(), ErrorKind::UnexpectedEof);
            )*})
        };
    }
    there_and_back! {
        write_u8 read_u8 0xFE, [0xFE];
        write_i8 read_i8 -2, [0xFE];
        write_u16 read_u16 0x0102, [1, 2];
        write_u16_le read_u16_le 0x0102, [2, 1];
        write_i16 read_i16 -2, [0xFF, 0xFE];
        write_i16_le read_i16_le -2, [0xFE, 0xFF];
        write_u32 read_u32 0x0102_0304, [1, 2, 3, 4];
        write_u32_le read_u32_le 0x0102_0304, [4, 3, 2, 1];
        write_i32 read_i32 i32::MIN, i32::MIN.to_be_bytes();
        write_i32_le read_i32_le i32::MIN, i32::MIN.to_le_bytes();
        write_u64 read_u64 u64::MAX - 1, (u64::MAX - 1).to_be_bytes();
        write_u64_le read_u64_le u64::MAX - 1, (u64::MAX - 1).to_le_bytes();
        write_i64 read_i64 i64::MIN, i64::MIN.to_be_bytes();
        write_i64_le read_i64_le i64::MIN, i64::MIN.to_le_bytes();
        write_u128 read_u128 u128::MAX - 1, (u128::MAX - 1).to_be_bytes();
        write_u128_le read_u128_le u128::MAX - 1, (u128::MAX - 1).to_le_bytes();
        write_i128 read_i128 i128::MIN, i128::MIN.to_be_bytes();
        write_i128_le read_i128_le i128::MIN, i128::MIN.to_le_bytes();
        write_f32 read_f32 1.5, 1.5f32.to_be_bytes();
        write_f32_le read_f32_le 1.5, 1.5f32.to_le_bytes();
        write_f64 read_f64 -1.5, (-1.5f64).to_be_bytes();
        write_f64_le read_f64_le -1.5, (-1.5f64).to_le_bytes();
    }
}

#[test]
fn a_source_that_is_cut_off_leaves_the_rest() {
    block_on(async {
        let mut source = BufReader::new(&b"0123456789"[..]);
        let mut head = (&mut source).take(4);
        assert_eq!(head.fill_buf().await.unwrap(), b"0123");
        assert_eq!((text_of(&mut head).await, head.limit()), ("0123".to_owned(), 0));
        assert_eq!(head.fill_buf().await.unwrap(), b"");
        head.set_limit(2);
        // What is taken out beyond the limit is not taken out of the source.
        AsyncBufReadExt::consume(&mut head, 9);
        assert_eq!(text_of(&mut source).await, "6789");
    });
}

#[test]
fn one_source_goes_on_with_another() {
    block_on(async {
        let mut chain = AsyncReadExt::chain(&b"ab"[..], &b"cd"[..]);
        assert_eq!(chain.read(&mut []).await.unwrap(), 0);
        assert_eq!(text_of(&mut chain).await, "abcd");

        let mut chain = BufReader::new(&b"one "[..]).chain(BufReader::new(&b"line\nrest"[..]));
        let mut line = String::new();
        chain.read_line(20, &mut line).await.unwrap();
        assert_eq!(line, "one line\n");
        let (mut first, mut second) = ([0; 1], [0; 8]);
        let mut buffers = [IoSliceMut::new(&mut first), IoSliceMut::new(&mut second)];
        let read = chain.read_vectored(&mut buffers).await.unwrap();
        assert!(read > 0 && first == *b"r");
    });
}

#[test]
fn nothing_for_ever_and_a_hole() {
    block_on(async {
        let mut bytes = [1; 5];
        assert_eq!(io::empty().read(&mut bytes).await.unwrap(), 0);
        assert_eq!(io::empty().fill_buf().await.unwrap(), b"");
        io::repeat(9).read_exact(&mut bytes).await.unwrap();
        assert_eq!(bytes, [9; 5]);
        assert_eq!(copy(&mut io::repeat(0).take(100_000), &mut io::sink()).await.unwrap(), 100_000);
        io::empty().write_all(b"gone").await.unwrap();
        assert_eq!(io::sink().write_vectored(&[IoSlice::new(b"ab"), IoSlice::new(b"c")]).await.unwrap(), 3);
    });
}

#[test]
fn loops_over_what_is_always_ready_let_the_neighbours_run() {
    let runtime = Builder::new_current_thread().build().unwrap();
    let other_ran = runtime.block_on(async {
        let other = task::spawn(async {});
        let endless = task::spawn(async {
            let mut lines = BufReader::with_capacity(1, io::repeat(b'\n')).lines(8);
            let mut pieces = ReaderStream::with_capacity(io::repeat(0), 1);
            let _ = copy(&mut io::repeat(0), &mut io::sink()).await;
            while lines.next_line().await.unwrap().is_some() && next(&mut pieces).await.is_some() {}
        });
        other.await.unwrap();
        endless.abort();
        endless.await.is_err()
    });
    assert!(other_ran);
}

#[test]
fn lines_lose_their_ends_and_segments_their_delimiters() {
    block_on(async {
        let source = BufReader::with_capacity(3, &b"one\r\n\ntwo\rthree\nlast"[..]);
        let mut lines = source.lines(9);
        let mut found = Vec::new();
        while let Some(line) = next(&mut lines).await {
            found.push(line.unwrap());
        }
        assert_eq!(found, ["one", "", "two\rthree", "last"]);

        let mut segments = BufReader::with_capacity(2, &b";a;;bc"[..]).split(b';', 2);
        for expected in [&b""[..], b"a", b"", b"bc"] {
            assert_eq!(segments.next_segment().await.unwrap().unwrap(), expected);
        }
        assert!(segments.next_segment().await.unwrap().is_none());
    });
}

#[test]
fn a_line_that_is_too_long_is_an_error_and_the_last() {
    block_on(async {
        // The maximum does not count the end, which may have two bytes.
        let mut lines = BufReader::with_capacity(2, &b"1234\r\n12345\r\n1\n"[..]).lines(4);
        assert_eq!(lines.next_line().await.unwrap().unwrap(), "1234");
        assert_eq!(lines.next_line().await.unwrap_err().kind(), ErrorKind::InvalidData);
        assert!(lines.next_line().await.unwrap().is_none());
        let mut far_longer = (&b"1234567\n"[..]).lines(4);
        let text = far_longer.next_line().await.unwrap_err().to_string();
        assert_eq!(
            text,
            "no delimiter within 4 bytes, the `max` of this call: pass more if such long pieces are meant"
        );

        let mut segments = BufReader::new(&b"123,1234,1"[..]).split(b',', 3);
        assert_eq!(segments.next_segment().await.unwrap().unwrap(), b"123");
        assert_eq!(segments.next_segment().await.unwrap_err().kind(), ErrorKind::InvalidData);
        assert!(segments.next_segment().await.unwrap().is_none());

        let mut lines = BufReader::new(&b"\xFF\ngood\n"[..]).lines(8);
        assert_eq!(lines.next_line().await.unwrap_err().kind(), ErrorKind::InvalidData);
        assert_eq!(lines.next_line().await.unwrap().unwrap(), "good");
    });
}

#[test]
fn a_line_that_was_given_up_half_way_is_read_by_the_next_call() {
    block_on(async {
        let (mut sink, source) = duplex(64);
        let mut lines = BufReader::new(source).lines(64);
        sink.write_all(b"half").await.unwrap();
        cut(lines.next_line()).await;
        sink.write_all(b" and half\n").await.unwrap();
        assert_eq!(lines.next_line().await.unwrap().unwrap(), "half and half");
    });
}

#[test]
fn reads_that_are_given_up_take_nothing() {
    block_on(async {
        let (mut sink, mut source) = duplex(64);
        let mut buffer = BytesMut::new();
        cut(source.read(&mut [0; 8])).await;
        cut(source.read_buf(&mut buffer)).await;
        cut(source.read_vectored(&mut [IoSliceMut::new(&mut [0; 8])])).await;
        let mut source = BufReader::new(source);
        cut(source.fill_buf()).await;
        let mut bytes = Vec::new();
        cut(source.read_until(b'\n', 80, &mut bytes)).await;
        sink.write_all(b"all of it\n").await.unwrap();
        source.read_until(b'\n', 80, &mut bytes).await.unwrap();
        assert_eq!((&bytes[..], buffer.len()), (&b"all of it\n"[..], 0));

        // What was read before the drop is in the buffer.
        sink.write_all(b"be").await.unwrap();
        bytes.clear();
        cut(source.read_until(b'\n', 80, &mut bytes)).await;
        sink.write_all(b"fore\n").await.unwrap();
        source.read_until(b'\n', 80, &mut bytes).await.unwrap();
        assert_eq!(bytes, b"before\n");

        sink.write_all(b"ab").await.unwrap();
        bytes.clear();
        cut(source.read_to_end(&mut bytes)).await;
        sink.write_all(b"c").await.unwrap();
        drop(sink);
        source.read_to_end(&mut bytes).await.unwrap();
        assert_eq!(bytes, b"abc");
    });
}

#[test]
fn writes_that_are_given_up_go_on_where_they_were() {
    block_on(async {
        let (mut source, mut sink) = simplex(4);
        let mut buffer = Bytes::from_static(b"0123456789");
        cut(sink.write_all_buf(&mut buffer)).await;
        assert_eq!(buffer, b"456789"[..]);
        cut(sink.write_buf(&mut buffer)).await;
        cut(sink.write(b"never")).await;
        let mut read = vec![0; 4];
        source.read_exact(&mut read).await.unwrap();
        let rest = task::spawn(async move {
            sink.write_all_buf(&mut buffer).await.unwrap();
        });
        let rest_read = text_of(&mut source).await;
        rest.await.unwrap();
        assert_eq!((&read[..], &rest_read[..]), (&b"0123"[..], "456789"));
    });
}

#[test]
fn buffers_are_written_in_one_go_and_read_into_what_is_free() {
    block_on(async {
        let (mut source, mut sink) = simplex(64);
        let mut parts = Buf::chain(&b"two"[..], &b" parts"[..]);
        assert_eq!(sink.write_buf(&mut parts).await.unwrap(), 9);
        assert!(!parts.has_remaining());
        assert_eq!(sink.write_buf(&mut parts).await.unwrap(), 0);

        let mut few = [0; 4];
        assert_eq!(source.read_buf(&mut &mut few[..]).await.unwrap(), 4);
        assert_eq!(source.read_buf(&mut &mut few[..0]).await.unwrap(), 0);
        let mut rest = Vec::new().limit(100);
        assert_eq!(source.read_buf(&mut rest).await.unwrap(), 5);
        assert_eq!((&few[..], &rest.get_ref()[..]), (&b"two "[..], &b"parts"[..]));
    });
}

#[test]
fn a_duplex_holds_as_much_as_it_may_and_its_ends_are_seen() {
    block_on(async {
        let (mut a, mut b) = duplex(3);
        assert_eq!(a.write(b"12345").await.unwrap(), 3);
        assert!(now(a.write(b"45")).await.is_none());
        assert_eq!(b.read_u8().await.unwrap(), b'1');
        assert_eq!(a.write(b"45").await.unwrap(), 1);
        let (mut first, mut second) = ([0; 2], [0; 4]);
        let mut buffers = [IoSliceMut::new(&mut first), IoSliceMut::new(&mut second)];
        assert_eq!(b.read_vectored(&mut buffers).await.unwrap(), 3);
        assert_eq!((first, second), (*b"23", *b"4\0\0\0"));

        a.shutdown().await.unwrap();
        assert_eq!(b.read(&mut [0; 4]).await.unwrap(), 0);
        assert_eq!(a.write(b"x").await.unwrap_err().kind(), ErrorKind::BrokenPipe);
        b.write_all(b"ok").await.unwrap();
        assert_eq!(a.read_u16().await.unwrap(), u16::from_be_bytes(*b"ok"));
        drop(a);
        assert_eq!(b.write(b"x").await.unwrap_err().kind(), ErrorKind::BrokenPipe);
    });
}

#[test]
fn the_end_of_one_side_wakes_the_other() {
    block_on(async {
        let (a, mut b) = duplex(1);
        let reader = task::spawn(async move { b.read(&mut [0]).await.unwrap() });
        task::yield_now().await;
        drop(a);
        assert_eq!(reader.await.unwrap(), 0);

        let (a, mut b) = duplex(1);
        let writer = task::spawn(async move { b.write_all(b"too much").await.unwrap_err().kind() });
        task::yield_now().await;
        drop(a);
        assert_eq!(writer.await.unwrap(), ErrorKind::BrokenPipe);
    });
}

#[test]
fn halves_of_any_stream_work_in_two_tasks_and_become_one_again() {
    let runtime = Builder::new_multi_thread().worker_threads(2).build().unwrap();
    runtime.block_on(async {
        let (ours, theirs) = duplex(16);
        let echo = task::spawn(async move {
            let (mut read, mut write) = io::split(theirs);
            copy(&mut read, &mut write).await.unwrap();
            write.shutdown().await.unwrap();
            read.unsplit(write).unwrap()
        });
        let (mut read, mut write) = io::split(ours);
        let sent: Vec<u8> = (0..100_000u32).map(|n| n as u8).collect();
        let expected = sent.clone();
        let writer = task::spawn(async move {
            write.write_all(&sent).await.unwrap();
            write.shutdown().await.unwrap();
            write
        });
        let mut received = Vec::new();
        read.read_to_end(&mut received).await.unwrap();
        assert!(received == expected);
        let write = writer.await.unwrap();
        assert!(write.is_pair_of(&read));
        drop((read.unsplit(write).unwrap(), echo.await.unwrap()));
    });
}

#[test]
fn halves_of_different_streams_are_given_back() {
    let ((read, write), (other_read, other_write)) = (io::split(duplex(1).0), io::split(duplex(1).0));
    assert!(!read.is_pair_of(&other_write));
    let error = read.unsplit(other_write).unwrap_err();
    error.0.unsplit(write).unwrap();
    other_read.unsplit(error.1).unwrap();
}

#[test]
fn a_source_and_a_sink_make_one_stream() {
    block_on(async {
        let mut joined = io::join(BufReader::new(&b"in\n"[..]), Vec::new());
        let mut line = String::new();
        joined.read_line(8, &mut line).await.unwrap();
        joined.write_all(b"out").await.unwrap();
        joined.flush().await.unwrap();
        assert_eq!((line.as_str(), &joined.writer()[..]), ("in\n", &b"out"[..]));
        assert_eq!(joined.into_inner().1, b"out");
    });
}

#[test]
fn both_directions_are_buffered() {
    block_on(async {
        let (ours, theirs) = duplex(64);
        let (mut ours, mut theirs) = (BufStream::with_capacity(4, 4, ours), BufStream::new(theirs));
        ours.write_all(b"ab").await.unwrap();
        assert!(now(theirs.read_u8()).await.is_none(), "not flushed");
        ours.write_all(b"cdefg\n").await.unwrap();
        ours.flush().await.unwrap();
        let mut line = String::new();
        theirs.read_line(80, &mut line).await.unwrap();
        assert_eq!(line, "abcdefg\n");
        theirs.write_all(b"back").await.unwrap();
        theirs.shutdown().await.unwrap();
        assert_eq!(text_of(&mut ours).await, "back");
        drop(theirs.into_inner());
    });
}

/// A file in memory.
struct File {
    bytes: Vec<u8>,
    at: usize,
}

impl AsyncRead for File {
    fn poll_read(mut self: Pin<&mut Self>, _: &mut Context<'_>, buffer: &mut [u8]) -> Poll<io::Result<usize>> {
        let at = self.at.min(self.bytes.len());
        let read = Read::read(&mut &self.bytes[at..], buffer)?;
        self.at += read;
        Poll::Ready(Ok(read))
    }
}

impl io::AsyncWrite for File {
    fn poll_write(mut self: Pin<&mut Self>, _: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let at = self.at;
        let written = Write::write(&mut &mut self.bytes[at..], bytes)?;
        self.at += written;
        Poll::Ready(Ok(written))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_close(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

impl AsyncSeek for File {
    fn poll_seek(mut self: Pin<&mut Self>, _: &mut Context<'_>, position: SeekFrom) -> Poll<io::Result<u64>> {
        let to = match position {
            SeekFrom::Start(at) => Some(at as i64),
            SeekFrom::Current(step) => (self.at as i64).checked_add(step),
            SeekFrom::End(step) => (self.bytes.len() as i64).checked_add(step),
        };
        let to = to.filter(|to| *to >= 0).ok_or(ErrorKind::InvalidInput)?;
        self.at = to as usize;
        Poll::Ready(Ok(to as u64))
    }
}

#[test]
fn seeking_counts_what_is_buffered() {
    block_on(async {
        let mut reader = BufReader::with_capacity(4, File { bytes: b"0123456789".to_vec(), at: 0 });
        assert_eq!(reader.read_u8().await.unwrap(), b'0');
        assert_eq!(reader.stream_position().await.unwrap(), 1);
        assert_eq!(reader.seek(SeekFrom::Current(2)).await.unwrap(), 3);
        assert_eq!(reader.read_u8().await.unwrap(), b'3');
        assert_eq!(reader.seek(SeekFrom::End(-1)).await.unwrap(), 9);
        assert_eq!(reader.read_u8().await.unwrap(), b'9');
        reader.rewind().await.unwrap();
        assert_eq!(reader.read_u8().await.unwrap(), b'0');
        assert!(reader.seek(SeekFrom::Current(i64::MIN)).await.is_err());

        let mut writer = BufWriter::new(File { bytes: vec![b'.'; 4], at: 0 });
        writer.write_all(b"a").await.unwrap();
        writer.seek(SeekFrom::Current(1)).await.unwrap();
        writer.write_all(b"b").await.unwrap();
        writer.flush().await.unwrap();
        assert_eq!(writer.get_ref().bytes, b"a.b.");
    });
}

#[test]
fn a_buffered_source_is_copied_without_another_buffer() {
    block_on(async {
        let (mut source, mut sink) = simplex(2);
        let mut reader = BufReader::with_capacity(4, &b"0123456789"[..]);
        cut(copy_buf(&mut reader, &mut sink)).await;
        // Two bytes are on their way, the others are still in the reader.
        let copied = task::spawn(async move { copy_buf(&mut reader, &mut sink).await.unwrap() });
        assert_eq!(text_of(&mut source).await, "0123456789");
        assert_eq!(copied.await.unwrap(), 8);
    });
}

#[test]
fn two_streams_are_copied_into_each_other_with_buffers_of_any_size() {
    block_on(async {
        let ((mut client, mut a), (mut b, mut server)) = (duplex(64), duplex(64));
        let proxy = task::spawn(async move { copy_bidirectional_with_sizes(&mut a, &mut b, 0, 3).await.unwrap() });
        client.write_all(b"question").await.unwrap();
        client.shutdown().await.unwrap();
        assert_eq!(text_of(&mut server).await, "question");
        server.write_all(b"answer").await.unwrap();
        drop(server);
        assert_eq!(text_of(&mut client).await, "answer");
        assert_eq!(proxy.await.unwrap(), (8, 6));
    });
}

/// A stream of what was put into it.
struct Pieces(VecDeque<io::Result<&'static [u8]>>);

impl Stream for Pieces {
    type Item = io::Result<&'static [u8]>;

    fn poll_next(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        Poll::Ready(self.0.pop_front())
    }
}

#[test]
fn streams_of_buffers_are_sources_and_sources_are_streams() {
    block_on(async {
        let pieces = [Ok(&b"ab"[..]), Ok(b""), Ok(b"cd\nrest"), Err(ErrorKind::Other.into())];
        let mut reader = StreamReader::new(Pieces(pieces.into_iter().collect()));
        let mut line = String::new();
        reader.read_line(80, &mut line).await.unwrap();
        assert_eq!(line, "abcd\n");
        let mut rest = Vec::new();
        assert!(reader.read_to_end(&mut rest).await.is_err());
        assert_eq!((&rest[..], reader.read(&mut [0]).await.unwrap()), (&b"rest"[..], 0));

        let (source, mut sink) = simplex(64);
        let mut stream = ReaderStream::new(source);
        cut(next(&mut stream)).await;
        sink.write_all(b"some").await.unwrap();
        assert_eq!(next(&mut stream).await.unwrap().unwrap(), b"some"[..]);
        drop(sink);
        assert!(next(&mut stream).await.is_none());
        assert!(next(&mut stream).await.is_none());
    });
}

#[test]
fn blocking_code_reads_and_writes_a_stream() {
    let runtime = Builder::new_multi_thread().worker_threads(1).build().unwrap();
    runtime.block_on(async {
        let (ours, mut theirs) = duplex(4);
        let mut bridge = SyncIoBridge::new(BufReader::new(ours));
        let blocking = task::spawn_blocking(move || {
            let mut line = String::new();
            std::io::BufRead::read_line(&mut bridge, &mut line).unwrap();
            write!(bridge, "<{line}>").unwrap();
            bridge.shutdown().unwrap();
        });
        theirs.write_all(b"a line\n").await.unwrap();
        assert_eq!(text_of(&mut theirs).await, "<a line\n>");
        blocking.await.unwrap();
        // Where waiting would stall the runtime it is an error.
        let mut bridge = SyncIoBridge::new(theirs);
        assert!(bridge.read(&mut [0]).is_err());
    });
}

#[test]
fn the_outputs_of_the_process_take_bytes() {
    block_on(async {
        let (mut out, mut errors) = (io::stdout(), io::stderr());
        assert_eq!(out.write(b"out\n").await.unwrap(), 4);
        cut(out.flush()).await;
        out.flush().await.unwrap();
        errors.write_all(b"err\n").await.unwrap();
        errors.shutdown().await.unwrap();
        assert!(io::stdin().read(&mut []).await.is_ok());
    });
}

/// A source that has ended is not read again: without budget the end would look like a source that lost its bytes.
#[test]
fn the_end_is_an_end_with_the_last_unit_of_the_budget_too() {
    block_on(async {
        let (source, sink) = simplex(1);
        drop(sink);
        let mut source = BufReader::new(source);
        for spent in [0, 1] {
            task::yield_now().await;
            for _ in 0..spent {
                task::consume_budget().await;
            }
            for _ in 0..200 {
                assert_eq!(source.fill_buf().await.unwrap(), b"");
            }
        }
    });
}
