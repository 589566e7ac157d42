//! Reading, writing, copying and framing over streams in memory is dropped at every moment. What a function promises is kept, and where it
//! says that it is not cancel safe no more is lost than it says.

use super::{Moment, at_every_moment, now};
use posse::bytes::{Bytes, BytesMut};
use posse::io::{
    AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader, DuplexStream, copy, copy_bidirectional,
    copy_bidirectional_with_sizes, copy_buf, duplex, simplex,
};
use posse::net::codec::{Framed, FramedRead, FramedWrite, LinesCodec};
use std::io::{IoSlice, IoSliceMut};

/// Writes what there is room for, now.
fn put(stream: &mut DuplexStream, bytes: &[u8]) {
    let written = posse_now(stream.write(bytes));
    assert_eq!(written.unwrap().unwrap(), bytes.len());
}

/// As `now`, outside of a task.
fn posse_now<F: Future>(future: F) -> Option<F::Output> {
    use std::task::{Context, Poll, Waker};
    match std::pin::pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(output) => Some(output),
        Poll::Pending => None,
    }
}

/// Drops a read while "ab" comes first and "cd\n" later. Both are read, in that order, by it or after it.
macro_rules! loses_no_byte {
    ($($name:ident: |$source:ident, $bytes:ident| $read:expr;)*) => {$(
        #[test]
        fn $name() {
            at_every_moment(async |moment| {
                let (mut sink, source) = duplex(64);
                put(&mut sink, b"ab");
                let mut $source = BufReader::new(source);
                let mut $bytes = Vec::new();
                let ended = moment.cut($read, || put(&mut sink, b"cd\n")).await.map(|read| read.unwrap()).is_some();
                drop(sink);
                $source.read_to_end(&mut $bytes).await.unwrap();
                assert_eq!($bytes, b"abcd\n", "{moment:?}");
                ended
            });
        }
    )*};
}

loses_no_byte! {
    read_until: |source, bytes| source.read_until(b'\n', 80, &mut bytes);
    read_to_end_of_what_comes: |source, bytes| async {
        source.read_buf(&mut bytes).await?;
        source.read_buf(&mut bytes).await
    };
    fill_buf: |source, _bytes| async { source.fill_buf().await.map(<[u8]>::len) };
}

#[test]
fn read_to_end() {
    at_every_moment(async |moment| {
        let (mut sink, mut source) = duplex(64);
        put(&mut sink, b"ab");
        let mut bytes = Vec::new();
        let mut sink = Some(sink);
        let end = || {
            put(sink.as_mut().unwrap(), b"cd");
            sink = None;
        };
        let read = moment.cut(source.read_to_end(&mut bytes), end).await;
        let ended = read.map(|read| read.unwrap());
        assert!(ended.is_none_or(|read| read == 4));
        source.read_to_end(&mut bytes).await.unwrap();
        assert_eq!(bytes, b"abcd", "{moment:?}: what was read is in the buffer");
        ended.is_some()
    });
}

#[test]
fn reads_of_some_bytes() {
    at_every_moment(async |moment| {
        let (mut sink, mut source) = duplex(64);
        let mut buffer = [0; 2];
        let read = moment.cut(source.read(&mut buffer), || put(&mut sink, b"ab")).await.is_some();
        let mut parts = [0; 2];
        let (first, second) = parts.split_at_mut(1);
        let mut parts = [IoSliceMut::new(first), IoSliceMut::new(second)];
        let vectored = moment.cut(source.read_vectored(&mut parts), || put(&mut sink, b"cd")).await.is_some();
        let mut free = BytesMut::new();
        let into_free = moment.cut(source.read_buf(&mut free), || put(&mut sink, b"ef")).await.is_some();
        drop(sink);
        let mut rest = Vec::new();
        source.read_to_end(&mut rest).await.unwrap();
        // What was dropped has read nothing.
        let left = 6 - 2 * usize::from(read) - 2 * usize::from(vectored) - free.len();
        assert_eq!(rest.len(), left, "{moment:?}");
        assert_eq!(free.is_empty(), !into_free, "{moment:?}");
        read && vectored && into_free
    });
}

/// These say that they are not: bytes that they have read are lost, and no others.
#[test]
fn reads_that_lose_what_they_have_read() {
    at_every_moment(async |moment| {
        let (mut sink, source) = duplex(64);
        let mut source = BufReader::new(source);
        put(&mut sink, b"ab");
        let mut exact = [0; 4];
        let filled = moment.cut(source.read_exact(&mut exact), || put(&mut sink, b"cd")).await.is_some();
        assert!(!moment.begins() || exact.starts_with(b"ab"), "{moment:?}");
        let left = until_pending(&mut source).await;
        assert!(left == b"" || left == b"cd" || left == b"abcd" && !moment.begins(), "{moment:?}: {left:?}");

        put(&mut sink, b"\0");
        let number = moment.cut(source.read_u16(), || put(&mut sink, b"\x07")).await.map(|number| number.unwrap());
        assert!(number.is_none_or(|number| number == 7), "{moment:?}");
        until_pending(&mut source).await;

        put(&mut sink, b"li");
        let mut line = String::new();
        let read = moment.cut(source.read_line(80, &mut line), || put(&mut sink, b"ne\n")).await;
        assert_eq!(line, if read.is_some() { "line\n" } else { "" }, "{moment:?}: the text is not changed");
        until_pending(&mut source).await;

        put(&mut sink, b"te");
        let mut sink = Some(sink);
        let mut text = String::new();
        let all = moment.cut(source.read_to_string(&mut text), || drop(sink.take()));
        let all = all.await;
        assert_eq!(text, if all.is_some() { "te" } else { "" }, "{moment:?}");
        filled && number.is_some() && read.is_some() && all.is_some()
    });
}

/// What there is to read, now.
async fn until_pending(source: &mut BufReader<DuplexStream>) -> Vec<u8> {
    let mut bytes = Vec::new();
    while let Some(read) = now(source.read_buf(&mut bytes)).await {
        if read.unwrap() == 0 {
            break;
        }
    }
    bytes
}

#[test]
fn lines_and_segments() {
    at_every_moment(async |moment| {
        let (mut sink, source) = duplex(64);
        put(&mut sink, b"ha");
        let mut lines = BufReader::new(source).lines(80);
        let line = moment.cut(lines.next_line(), || put(&mut sink, b"lf\n")).await.map(|line| line.unwrap().unwrap());
        let ended = line.is_some();
        let line = match line {
            Some(line) => line,
            None => lines.next_line().await.unwrap().unwrap(),
        };
        assert_eq!(line, "half", "{moment:?}");

        put(&mut sink, b"o");
        let mut segments = BufReader::new(lines.into_inner()).split(b';', 80);
        let segment = moment.cut(segments.next_segment(), || put(&mut sink, b"ne;")).await;
        let both = ended && segment.is_some();
        let segment = match segment {
            Some(segment) => segment.unwrap().unwrap(),
            None => segments.next_segment().await.unwrap().unwrap(),
        };
        assert_eq!(segment, b"one", "{moment:?}");
        both
    });
}

/// A sink with room for 4 bytes, of which 3 are taken.
fn nearly_full() -> (posse::io::SimplexReader, posse::io::SimplexWriter) {
    let (source, mut sink) = simplex(4);
    assert_eq!(posse_now(sink.write(b"___")).unwrap().unwrap(), 3);
    (source, sink)
}

#[test]
fn writes_of_some_bytes() {
    at_every_moment(async |moment| {
        let (mut source, mut sink) = nearly_full();
        assert_eq!(now(sink.write(b"_")).await.unwrap().unwrap(), 1);
        let mut taken = Vec::new();
        let mut take = |taken: &mut Vec<u8>| while let Some(Ok(1..)) = posse_now(source.read_buf(taken)) {};
        let written = moment.cut(sink.write(b"a"), || take(&mut taken)).await.is_some();
        let vectored = moment.cut(sink.write_vectored(&[IoSlice::new(b"b")]), || ()).await.is_some();
        let mut buffer = Bytes::from_static(b"c");
        let from_buffer = moment.cut(sink.write_buf(&mut buffer), || ()).await.is_some();
        assert_eq!(buffer.is_empty(), from_buffer, "{moment:?}");
        let flushed = moment.cut(sink.flush(), || ()).await.is_some();
        let shut = moment.cut(sink.shutdown(), || ()).await.is_some();
        sink.shutdown().await.unwrap();
        source.read_to_end(&mut taken).await.unwrap();
        let mut expected = b"____".to_vec();
        expected.extend(
            [(written, b'a'), (vectored, b'b'), (from_buffer, b'c')]
                .iter()
                .filter(|(has, _)| *has)
                .map(|(_, byte)| byte),
        );
        assert_eq!(taken, expected, "{moment:?}: what was dropped has written");
        written && vectored && from_buffer && flushed && shut
    });
}

#[test]
fn writes_of_all_of_it() {
    at_every_moment(async |moment| {
        let (mut source, mut sink) = nearly_full();
        let mut taken = Vec::new();
        let mut take = |taken: &mut Vec<u8>| while let Some(Ok(1..)) = posse_now(source.read_buf(taken)) {};
        let mut buffer = Bytes::from_static(b"abc");
        let ended = moment.cut(sink.write_all_buf(&mut buffer), || take(&mut taken)).await.is_some();
        // What was written is not in the buffer any more: it goes on from there.
        take(&mut taken);
        sink.write_all_buf(&mut buffer).await.unwrap();
        take(&mut taken);
        assert_eq!(taken, b"___abc", "{moment:?}");

        // These say that they are not: a part of it may have been written, from the start.
        sink.write_all(b"___").await.unwrap();
        let all = moment.cut(sink.write_all(b"abc"), || ()).await.is_some();
        let number = moment.cut(sink.write_u16(7), || ()).await.is_some();
        assert!(!all && !number, "there is no room");
        taken.clear();
        take(&mut taken);
        assert!(b"___a".starts_with(&taken[..]) && taken.len() >= 3, "{moment:?}: {taken:?}");
        ended
    });
}

#[test]
fn write_all_and_numbers_in_the_end() {
    at_every_moment(async |moment| {
        let (mut source, mut sink) = nearly_full();
        let mut taken = Vec::new();
        let mut take = |taken: &mut Vec<u8>| while let Some(Ok(1..)) = posse_now(source.read_buf(taken)) {};
        let all = moment.cut(sink.write_all(b"abcd"), || take(&mut taken)).await.is_some();
        take(&mut taken);
        let number = moment.cut(sink.write_u16(7), || ()).await.is_some();
        take(&mut taken);
        let tail = if number { &b"\0\x07"[..] } else { b"" };
        assert!(taken.ends_with(tail) && b"___abcd".starts_with(&taken[..taken.len() - tail.len()]), "{moment:?}");
        assert!(!all || taken.len() >= 7, "{moment:?}");
        all && number
    });
}

#[test]
fn copies_from_a_buffer() {
    at_every_moment(async |moment| {
        let (mut from, source) = duplex(64);
        // Room for 4 bytes, and for the rest once these are taken.
        let (mut target, mut to) = duplex(10);
        put(&mut to, b"______");
        put(&mut from, b"0123456789");
        let mut source = BufReader::new(source);
        let mut from = Some(from);
        let mut received = Vec::new();
        let take = |received: &mut Vec<u8>| while let Some(Ok(1..)) = posse_now(target.read_buf(received)) {};
        let mut take = take;
        let copied = moment.cut(copy_buf(&mut source, &mut to), || {
            from = None;
            take(&mut received);
        });
        let ended = copied.await.is_some();
        from = None;
        drop(from);
        // What was not written is still in the reader.
        let reading = posse::task::spawn(async move {
            target.read_to_end(&mut received).await.unwrap();
            received
        });
        copy_buf(&mut source, &mut to).await.unwrap();
        drop(to);
        assert_eq!(reading.await.unwrap(), b"______0123456789", "{moment:?}");
        ended
    });
}

/// Copying without a buffer of one's own: what is lost is at most what it had read, and everything else is in order.
async fn copies<F: AsyncFnOnce(&mut DuplexStream, &mut DuplexStream)>(moment: Moment, max: usize, copy: F) -> bool {
    let (mut from, mut source) = duplex(64);
    let (mut target, mut to) = duplex(64);
    put(&mut from, b"0123456789");
    let mut ends = Some(());
    let copied = moment
        .cut(copy(&mut source, &mut to), || {
            // The end of both directions.
            ends = None;
            drop(posse_now(from.shutdown()));
            drop(posse_now(target.shutdown()));
        })
        .await;
    let _ = posse_now(from.shutdown());
    let mut rest = Vec::new();
    source.read_to_end(&mut rest).await.unwrap();
    drop((source, to));
    let mut received = Vec::new();
    target.read_to_end(&mut received).await.unwrap();
    let lost = 10 - received.len() - rest.len();
    assert!(lost <= max, "{moment:?}: {lost} bytes are lost");
    assert!(b"0123456789".starts_with(&received[..]) && b"0123456789".ends_with(&rest[..]), "{moment:?}");
    assert!(copied.is_none() || received.len() == 10, "{moment:?}");
    copied.is_some()
}

#[test]
fn copies_without_one() {
    at_every_moment(async |moment| copies(moment, 8 * 1024, async |from, to| _ = copy(from, to).await.unwrap()).await);
    at_every_moment(async |moment| {
        copies(moment, 8 * 1024, async |from, to| _ = copy_bidirectional(from, to).await.unwrap()).await
    });
    at_every_moment(async |moment| {
        copies(moment, 2, async |from, to| _ = copy_bidirectional_with_sizes(from, to, 2, 2).await.unwrap()).await
    });
}

#[test]
fn frames_are_read() {
    at_every_moment(async |moment| {
        let (mut sink, source) = duplex(64);
        put(&mut sink, b"fi");
        let mut frames = FramedRead::new(source, LinesCodec::new(80));
        let first = moment.cut(frames.next(), || put(&mut sink, b"rst\nsecond\n")).await;
        let ended = first.is_some();
        let first = match first {
            Some(first) => first,
            None => frames.next().await,
        };
        assert_eq!(first.unwrap().unwrap(), "first", "{moment:?}");
        assert_eq!(frames.next().await.unwrap().unwrap(), "second", "{moment:?}");
        ended
    });
}

#[test]
fn frames_are_written() {
    at_every_moment(async |moment| {
        let (mut source, sink) = simplex(4);
        let mut frames = FramedWrite::new(sink, LinesCodec::new(80));
        frames.set_backpressure_boundary(6);
        let mut taken = Vec::new();
        let mut take = |taken: &mut Vec<u8>| while let Some(Ok(1..)) = posse_now(source.read_buf(taken)) {};
        let sent = moment.cut(frames.send("first"), || take(&mut taken)).await.is_some();
        // The one before may fill the buffer, and there is no room yet.
        let fed = moment.cut(frames.feed("second"), || ()).await.is_some();
        let flushed = moment.cut(frames.flush(), || ()).await.is_some();
        while now(frames.flush()).await.is_none() {
            take(&mut taken);
        }
        let closed = moment.cut(frames.close(), || ()).await.is_some();
        frames.close().await.unwrap();
        take(&mut taken);
        let first = if moment.begins() { "first\n" } else { "" };
        let second = if fed { "second\n" } else { "" };
        assert_eq!(String::from_utf8(taken).unwrap(), format!("{first}{second}"), "{moment:?}");
        sent && closed && (flushed || fed)
    });
}

#[test]
fn frames_of_both_directions() {
    at_every_moment(async |moment| {
        let (ours, theirs) = duplex(64);
        let (mut ours, mut theirs) = (Framed::new(ours, LinesCodec::new(80)), Framed::new(theirs, LinesCodec::new(80)));
        let sent = moment.cut(ours.send("first"), || ()).await.is_some();
        ours.flush().await.unwrap();
        ours.send("second").await.unwrap();
        let next = moment.cut(theirs.next(), || ()).await;
        let mut frames: Vec<_> = next.into_iter().map(|next| next.unwrap().unwrap()).collect();
        let received = !frames.is_empty();
        while frames.last().is_none_or(|last| last != "second") {
            frames.push(theirs.next().await.unwrap().unwrap());
        }
        let all: &[&str] = if moment.begins() { &["first", "second"] } else { &["second"] };
        assert_eq!(frames, all, "{moment:?}");
        sent && received
    });
}
