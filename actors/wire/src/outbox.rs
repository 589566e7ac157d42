//! Frames that wait to be written to one node, in one order, and the sum of what became of them.
//!
//! They wait for any connection; what belongs to one connection (its acknowledgements, heartbeats, types and goodbye) is
//! kept with the connection and ends with it. Invariant: `accepted = acked + refused + lost + unsettled`, at any moment.

use crate::body::Ack;
use crate::code::Refused;
use crate::frame::{HEADER_BYTES, Header, Kind};
use bytes::BytesMut;
use std::collections::VecDeque;

/// A segment that has grown to so many bytes is written before another is begun.
/// One frame per write gives 0.22 M frames a second, 64 KiB 37 M, more hardly anything.
const SEGMENT_BYTES: usize = 64 * 1024;

/// What became of the messages to one node: `offered = returned + accepted`,
/// `accepted = acked + refused + lost + unsettled`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    /// Given back to the sender: the node is down, the message too large or of another form. Not for want of room: such a
    /// message is offered again, or its sender has it.
    pub returned: u64,
    /// Taken over from the sender.
    pub accepted: u64,
    /// In the mailbox at the other side.
    pub acked: u64,
    /// Refused by the other side, by [`Refused`].
    pub refused: [u64; Refused::COUNT],
    /// On their way when the connection broke, or waiting when the node went down. They may have been handled.
    pub lost: u64,
    /// Waiting here, or on their way.
    pub unsettled: u64,
}

impl Counters {
    /// Messages that were accepted and not delivered, as far as is known.
    pub fn dead(&self) -> u64 {
        self.refused.iter().sum::<u64>() + self.lost
    }
}

#[derive(Debug, Default)]
struct Segment {
    bytes: BytesMut,
    messages: u64,
    message_bytes: u64,
    /// Counted from 1 in the order of sending; 0 for what stands before all of that.
    number: u64,
    /// Repeated for one connection, and of no use to the next.
    repeats: bool,
}

#[derive(Debug)]
pub(crate) struct Outbox {
    segments: VecDeque<Segment>,
    /// The next segment's number.
    next: u64,
    /// Segments before this one take no more frames.
    sealed: u64,
    spare: BytesMut,
    counters: Counters,
    unsettled_bytes: u64,
    /// Bytes of frames that are no messages.
    exempt_bytes: usize,
    /// Since the connection began.
    sent: u64,
    sent_bytes: u64,
    acked: Ack,
}

impl Default for Outbox {
    fn default() -> Self {
        Self {
            segments: VecDeque::new(),
            next: 1,
            sealed: 1,
            spare: BytesMut::new(),
            counters: Counters::default(),
            unsettled_bytes: 0,
            exempt_bytes: 0,
            sent: 0,
            sent_bytes: 0,
            acked: Ack::default(),
        }
    }
}

impl Outbox {
    pub(crate) fn counters(&self) -> Counters {
        self.counters
    }

    pub(crate) fn unsettled(&self) -> (u64, u64) {
        (self.counters.unsettled, self.unsettled_bytes)
    }

    pub(crate) fn exempt_bytes(&self) -> usize {
        self.exempt_bytes
    }

    /// Returns true if frames wait that are in an earlier segment than this one.
    pub(crate) fn has_before(&self, end: u64) -> bool {
        self.segments.front().is_some_and(|segment| segment.number < end)
    }

    /// Returns true if the segment of this number has not been taken. Number 0 never waits.
    pub(crate) fn waits(&self, number: u64) -> bool {
        let first = self.segments.iter().find(|segment| segment.number > 0);
        number >= first.map_or(self.next, |segment| segment.number)
    }

    /// Lets what is sent from now on go into later segments, and returns the number of the first of those.
    pub(crate) fn seal(&mut self) -> u64 {
        self.sealed = self.next;
        self.next
    }

    fn last(&mut self) -> &mut Segment {
        let takes_more = |segment: &Segment| segment.bytes.len() < SEGMENT_BYTES && segment.number >= self.sealed;
        if !self.segments.back().is_some_and(takes_more) {
            let bytes = std::mem::take(&mut self.spare);
            self.segments.push_back(Segment { bytes, number: self.next, ..Segment::default() });
            self.next += 1;
        }
        let last = self.segments.len() - 1;
        &mut self.segments[last]
    }

    /// Counts a message that was given back.
    pub(crate) fn give_back(&mut self) {
        self.counters.returned += 1;
    }

    /// Appends a message.
    pub(crate) fn push_message(&mut self, header: &Header, body: &[u8]) {
        let bytes = header.frame_bytes(body.len()) as u64;
        self.counters.accepted += 1;
        self.counters.unsettled += 1;
        self.unsettled_bytes += bytes;
        let segment = self.last();
        segment.messages += 1;
        segment.message_bytes += bytes;
        header.write(body, &mut segment.bytes);
    }

    /// Appends a frame that is no message, and returns the number of its segment.
    pub(crate) fn push_exempt(&mut self, header: &Header, body: &[u8]) -> u64 {
        self.exempt_bytes += header.frame_bytes(body.len());
        let segment = self.last();
        header.write(body, &mut segment.bytes);
        segment.number
    }

    /// Puts frames that are no messages before everything that waits, for this connection alone.
    pub(crate) fn repeat(&mut self, frames: BytesMut) {
        if !frames.is_empty() {
            self.exempt_bytes += frames.len();
            self.segments.push_front(Segment { bytes: frames, repeats: true, ..Segment::default() });
        }
    }

    /// Takes back the part of what was taken last that was not written: the frames of which no byte left wait again,
    /// before all others. Of the frame that left in part the other side will never see the rest.
    pub(crate) fn put_back(&mut self, bytes: &[u8], written: usize) {
        let mut kept = Segment::default();
        let (mut rest, mut start) = (bytes, 0);
        while let Some(header) = rest.first_chunk::<HEADER_BYTES>() {
            let len = u32::from_le_bytes([header[0], header[1], header[2], header[3]]) as usize;
            let (frame, following) = rest.split_at(len.clamp(HEADER_BYTES, rest.len()));
            let kind = Kind::from_u8(header[4]).filter(|kind| start >= written && kind.outlives_connection());
            if let Some(kind) = kind {
                kept.messages += u64::from(kind.is_message());
                kept.message_bytes += if kind.is_message() { frame.len() as u64 } else { 0 };
                kept.bytes.extend_from_slice(frame);
            }
            (rest, start) = (following, start + frame.len());
        }
        if kept.bytes.is_empty() {
            return;
        }
        self.sent -= kept.messages;
        self.sent_bytes -= kept.message_bytes;
        self.exempt_bytes += kept.bytes.len() - kept.message_bytes as usize;
        self.segments.push_front(kept);
    }

    /// Takes the next bytes to write, if they are in an earlier segment than this one. From now on their messages are on
    /// their way.
    pub(crate) fn take_before(&mut self, end: u64) -> Option<BytesMut> {
        if !self.has_before(end) {
            return None;
        }
        let segment = self.segments.pop_front()?;
        self.sent += segment.messages;
        self.sent_bytes += segment.message_bytes;
        self.exempt_bytes -= segment.bytes.len() - segment.message_bytes as usize;
        Some(segment.bytes)
    }

    /// Keeps an empty buffer for the next segment.
    pub(crate) fn recycle(&mut self, mut bytes: BytesMut) {
        if bytes.capacity() <= 2 * SEGMENT_BYTES {
            bytes.clear();
            self.spare = bytes;
        }
    }

    /// Takes over what the other side has settled since the connection began; false if that cannot be.
    pub(crate) fn settle(&mut self, ack: Ack) -> bool {
        let before = self.acked;
        let shrinks = ack.settled < before.settled
            || ack.bytes < before.bytes
            || ack.refused.iter().zip(before.refused).any(|(now, then)| *now < then);
        let refused = ack.refused_in_all();
        let settled_now = ack.settled.saturating_sub(before.settled);
        let refused_now = refused.and_then(|sum| sum.checked_sub(before.refused_in_all().unwrap_or(0)));
        let too_much = ack.settled > self.sent || ack.bytes > self.sent_bytes;
        let Some(refused_now) = refused_now.filter(|now| !shrinks && !too_much && *now <= settled_now) else {
            return false;
        };

        self.counters.unsettled -= settled_now;
        self.counters.acked += settled_now - refused_now;
        for (count, (now, then)) in self.counters.refused.iter_mut().zip(ack.refused.iter().zip(before.refused)) {
            *count += now - then;
        }
        self.unsettled_bytes -= ack.bytes - before.bytes;
        self.acked = ack;
        true
    }

    /// The connection broke: what was on its way is lost, what was not written waits for the next one.
    pub(crate) fn cut(&mut self) {
        self.segments.retain(|segment| {
            self.exempt_bytes -= if segment.repeats { segment.bytes.len() } else { 0 };
            !segment.repeats
        });
        let lost = self.sent - self.acked.settled;
        self.counters.unsettled -= lost;
        self.counters.lost += lost;
        self.unsettled_bytes -= self.sent_bytes - self.acked.bytes;
        (self.sent, self.sent_bytes, self.acked) = (0, 0, Ack::default());
    }

    /// The other side is gone for good.
    pub(crate) fn close(&mut self) {
        self.cut();
        self.counters.lost += std::mem::take(&mut self.counters.unsettled);
        self.unsettled_bytes = 0;
        self.exempt_bytes = 0;
        self.segments = VecDeque::new();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::frame::Kind;
    use proptest::prelude::*;

    fn sum(counters: Counters) -> u64 {
        counters.acked + counters.dead() + counters.unsettled
    }

    #[test]
    fn ack_of_what_was_not_sent_is_refused() {
        let mut outbox = Outbox::default();
        outbox.push_message(&Header::new(Kind::Tell), b"");
        assert!(!outbox.settle(Ack { settled: 1, bytes: 16, refused: [0; 4] }));
        outbox.take_before(u64::MAX);
        assert!(!outbox.settle(Ack { settled: 1, bytes: 17, refused: [0; 4] }));
        assert!(!outbox.settle(Ack { settled: 1, bytes: 16, refused: [1, 1, 0, 0] }));
        assert!(!outbox.settle(Ack { settled: 1, bytes: 16, refused: [u64::MAX, 1, 0, 0] }));
        assert!(outbox.settle(Ack { settled: 1, bytes: 16, refused: [0, 1, 0, 0] }));
        assert!(!outbox.settle(Ack::default()));
        assert_eq!(outbox.counters().refused, [0, 1, 0, 0]);
    }

    /// A tell with so many bytes of body.
    fn push(outbox: &mut Outbox, bytes: usize) {
        outbox.push_message(&Header::new(Kind::Tell), &vec![0; bytes]);
    }

    #[test]
    fn broken_connection_gives_back_the_room_of_what_was_on_its_way() {
        let mut outbox = Outbox::default();
        (0..3).for_each(|_| push(&mut outbox, 84));
        outbox.take_before(u64::MAX);
        push(&mut outbox, 34);
        assert_eq!(outbox.unsettled(), (4, 350));
        assert!(outbox.settle(Ack { settled: 1, bytes: 100, refused: [0; 4] }));
        outbox.cut();
        assert_eq!((outbox.unsettled(), outbox.counters().lost), ((1, 50), 2));
        outbox.take_before(u64::MAX);
        outbox.cut();
        assert_eq!((outbox.unsettled(), outbox.counters().lost), ((0, 0), 3));
    }

    #[test]
    fn written_control_frames_give_their_bytes_back() {
        let mut outbox = Outbox::default();
        for _ in 0..100 {
            outbox.push_exempt(&Header::new(Kind::Down), &[0; 1000]);
            push(&mut outbox, 10);
            assert_eq!(outbox.exempt_bytes(), 1016);
            outbox.take_before(u64::MAX);
            assert_eq!(outbox.exempt_bytes(), 0);
        }
    }

    #[test]
    fn ack_of_which_one_count_shrinks_is_refused() {
        let mut outbox = Outbox::default();
        (0..4).for_each(|_| push(&mut outbox, 0));
        outbox.take_before(u64::MAX);
        assert!(outbox.settle(Ack { settled: 2, bytes: 32, refused: [1, 0, 0, 0] }));
        let before = outbox.counters();
        assert!(!outbox.settle(Ack { settled: 3, bytes: 48, refused: [0, 2, 0, 0] }));
        assert!(!outbox.settle(Ack { settled: 3, bytes: 31, refused: [1, 0, 0, 0] }));
        assert!(!outbox.settle(Ack { settled: 1, bytes: 48, refused: [1, 0, 0, 0] }));
        assert_eq!(outbox.counters(), before);
    }

    #[test]
    fn frames_of_which_no_byte_left_wait_again_in_order() {
        let mut outbox = Outbox::default();
        push(&mut outbox, 1);
        outbox.push_exempt(&Header::new(Kind::Down), &[1]);
        push(&mut outbox, 2);
        outbox.push_exempt(&Header::new(Kind::Watch), &[]);
        outbox.push_exempt(&Header::new(Kind::Down), &[2]);
        let mut bytes = outbox.take_before(u64::MAX).unwrap();
        Header::new(Kind::Ack).write(&[], &mut bytes);
        push(&mut outbox, 3);

        // The first tell and a part of the first DOWN were written.
        outbox.put_back(&bytes, 17 + 16);
        outbox.cut();
        assert_eq!((outbox.counters().lost, outbox.unsettled()), (1, (2, 18 + 19)));
        assert_eq!(outbox.exempt_bytes(), 17);
        let mut expected = BytesMut::new();
        Header::new(Kind::Tell).write(&[0; 2], &mut expected);
        Header::new(Kind::Down).write(&[2], &mut expected);
        assert_eq!(outbox.take_before(u64::MAX), Some(expected));
        assert_eq!(outbox.take_before(u64::MAX).map(|bytes| bytes.len()), Some(19));
        assert!(outbox.settle(Ack { settled: 2, bytes: 37, refused: [0; 4] }));
        assert_eq!((outbox.unsettled(), outbox.exempt_bytes()), ((0, 0), 0));
    }

    #[test]
    fn segments_are_cut_at_their_size_and_lose_no_frame() {
        let mut outbox = Outbox::default();
        let body = [7; 1000];
        for _ in 0..200 {
            outbox.push_message(&Header::new(Kind::Tell), &body);
        }
        let mut bytes = 0;
        let mut segments = 0;
        while let Some(segment) = outbox.take_before(u64::MAX) {
            assert!(segment.len() < SEGMENT_BYTES + 1016);
            bytes += segment.len();
            segments += 1;
        }
        assert_eq!((bytes, segments), (200 * 1016, 4));
    }

    proptest! {
        #[test]
        fn sum_holds_whatever_happens(steps in prop::collection::vec((0..6_u8, any::<[u8; 3]>()), 0..200)) {
            let mut outbox = Outbox::default();
            let mut offered = 0;
            for (step, [a, b, c]) in steps {
                match step {
                    0 | 1 => {
                        outbox.push_message(&Header::new(Kind::Tell), &vec![a; usize::from(b)]);
                        offered += 1;
                    }
                    2 => {
                        outbox.push_exempt(&Header::new(Kind::Reply), &[a]);
                    }
                    3 => {
                        let taken = outbox.take_before(u64::MAX);
                        if let Some(bytes) = taken.filter(|_| c % 2 == 0) {
                            outbox.put_back(&bytes, usize::from(a));
                            outbox.cut();
                        }
                    }
                    4 => {
                        let mut ack = outbox.acked;
                        ack.settled += u64::from(a % 4);
                        ack.bytes += u64::from(b) * 4;
                        ack.refused[usize::from(c % 4)] += u64::from(c % 3);
                        let before = outbox.counters();
                        if !outbox.settle(ack) {
                            prop_assert_eq!(outbox.counters(), before);
                        }
                    }
                    _ => if a < 40 { outbox.close() } else { outbox.cut() },
                }
                prop_assert_eq!(outbox.counters().accepted, offered);
                prop_assert_eq!(sum(outbox.counters()), offered);
            }
        }
    }
}
