//! Frames that wait to be written to one node, in one order, and the sum of what became of them.
//!
//! Invariant: `accepted = acked + refused + lost + unsettled`, at any moment.

use crate::body::Ack;
use crate::code::Refused;
use crate::frame::Header;
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
}

#[derive(Debug, Default)]
pub(crate) struct Outbox {
    segments: VecDeque<Segment>,
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

    pub(crate) fn is_empty(&self) -> bool {
        self.segments.is_empty()
    }

    fn last(&mut self) -> &mut Segment {
        if self.segments.back().is_none_or(|segment| segment.bytes.len() >= SEGMENT_BYTES) {
            let bytes = std::mem::take(&mut self.spare);
            self.segments.push_back(Segment { bytes, ..Segment::default() });
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

    /// Appends a frame that is no message.
    pub(crate) fn push_exempt(&mut self, header: &Header, body: &[u8]) {
        self.exempt_bytes += header.frame_bytes(body.len());
        header.write(body, &mut self.last().bytes);
    }

    /// Takes the next bytes to write. From now on their messages are on their way.
    pub(crate) fn take(&mut self) -> Option<BytesMut> {
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
        outbox.take();
        assert!(!outbox.settle(Ack { settled: 1, bytes: 17, refused: [0; 4] }));
        assert!(!outbox.settle(Ack { settled: 1, bytes: 16, refused: [1, 1, 0, 0] }));
        assert!(!outbox.settle(Ack { settled: 1, bytes: 16, refused: [u64::MAX, 1, 0, 0] }));
        assert!(outbox.settle(Ack { settled: 1, bytes: 16, refused: [0, 1, 0, 0] }));
        assert!(!outbox.settle(Ack::default()));
        assert_eq!(outbox.counters().refused, [0, 1, 0, 0]);
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
        while let Some(segment) = outbox.take() {
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
                    2 => outbox.push_exempt(&Header::new(Kind::Reply), &[a]),
                    3 => drop(outbox.take()),
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
