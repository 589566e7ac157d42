//! Frames that wait to be written to one node, in one order, and the sum of what became of them.
//!
//! They wait for any connection; what belongs to one connection (its acknowledgements, heartbeats, types and GOAWAY) is
//! kept with the connection and ends with it. Invariant: `accepted = acked + rejected + lost + unsettled`, at any moment.

use crate::body::Ack;
use crate::code::RejectReason;
use crate::flow_control::{Backlogs, Load, Loads};
use crate::frame::{FrameKind, HEADER_BYTES, Header};
use crate::ids::ActorKey;
use bytes::BytesMut;
use std::collections::VecDeque;
use std::time::Duration;

/// A segment that has grown to this many bytes is written before another is begun.
/// One frame per write gives 0.22 M frames a second, 64 KiB 37 M, more hardly anything.
const SEGMENT_BYTES: usize = 64 * 1024;

/// A reply of this many bytes is a segment of its own, so that it can be dropped once its asker has gone. Guessed.
const LARGE_REPLY_BYTES: usize = 16 * 1024;

/// What became of the messages to one node: `offered = returned + accepted`,
/// `accepted = acked + rejected + lost + unsettled`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    /// Given back to the sender: the node is down, the message too large or of another form. Not for want of room: such a
    /// message is offered again, or its sender has it.
    pub returned: u64,
    /// Taken over from the sender.
    pub accepted: u64,
    /// In the mailbox at the other side.
    pub acked: u64,
    /// Rejected by the other side, by [`RejectReason`].
    pub rejected: [u64; RejectReason::COUNT],
    /// On their way when the connection broke, or waiting when the node went down. They may have been handled.
    pub lost: u64,
    /// Waiting here, or on their way.
    pub unsettled: u64,
}

impl Counters {
    /// Messages that were accepted and not delivered, as far as is known.
    pub fn undelivered(&self) -> u64 {
        self.rejected.iter().sum::<u64>() + self.lost
    }
}

/// Frames that are written together. Filled at the end of the queue until it is large enough, taken whole from its front.
#[derive(Debug, Default)]
struct Segment {
    bytes: BytesMut,
    /// How many of the frames are messages, and their bytes.
    messages: u64,
    message_bytes: u64,
    /// Bytes of the frames that are replies; what is neither is control.
    reply_bytes: usize,
    /// Of a large reply, which is alone: when its asker gives it up.
    expires: Option<Duration>,
    /// Counted from 1 in the order of sending; 0 for what stands before all of that.
    number: u64,
    /// Written again for one connection, and of no use to the next.
    is_retransmission: bool,
}

impl Segment {
    fn control_bytes(&self) -> usize {
        self.bytes.len() - self.message_bytes as usize - self.reply_bytes
    }
}

/// The queue of one session. Filled by what the program and the session send, emptied by `take_before` as the driver writes;
/// acknowledgements and broken connections change the sums.
#[derive(Debug)]
pub(crate) struct SendQueue {
    /// In the order of writing.
    segments: VecDeque<Segment>,
    /// The next segment's number.
    next: u64,
    /// Segments before this one take no more frames. Set by `seal`.
    sealed: u64,
    /// An empty buffer for the next segment: the last one that was written.
    spare: BytesMut,
    counters: Counters,
    /// Bytes of the messages that `counters.unsettled` counts.
    unsettled_bytes: u64,
    /// The same by actor.
    loads: Loads,
    /// Bytes that wait of frames that are neither messages nor replies.
    control_bytes: usize,
    /// Bytes that wait of replies.
    reply_bytes: usize,
    /// Bytes of replies in what was taken last, until that is recycled or put back.
    reply_bytes_taken: usize,
    /// Messages and their bytes that were taken since the connection began. The other side can acknowledge no more.
    sent: u64,
    sent_bytes: u64,
    /// The last acknowledgement of this connection.
    acked: Ack,
    /// Taken, rejected or in backlogs of the other side, as of that acknowledgement.
    arrived: Load,
    /// Backlogs the other side has told of since the last acknowledgement: they count with the next one.
    backlogs: Backlogs,
}

impl Default for SendQueue {
    fn default() -> Self {
        Self {
            segments: VecDeque::new(),
            next: 1,
            sealed: 1,
            spare: BytesMut::new(),
            counters: Counters::default(),
            unsettled_bytes: 0,
            loads: Loads::default(),
            control_bytes: 0,
            reply_bytes: 0,
            reply_bytes_taken: 0,
            sent: 0,
            sent_bytes: 0,
            acked: Ack::default(),
            arrived: Load::default(),
            backlogs: Backlogs::new(),
        }
    }
}

impl SendQueue {
    pub(crate) fn counters(&self) -> Counters {
        self.counters
    }

    pub(crate) fn unsettled(&self) -> (u64, u64) {
        (self.counters.unsettled, self.unsettled_bytes)
    }

    /// What one actor at the other side has not settled.
    pub(crate) fn unsettled_by(&self, to: ActorKey) -> Load {
        self.loads.of(to)
    }

    /// Bytes of frames that wait and are neither messages nor replies.
    pub(crate) fn control_bytes(&self) -> usize {
        self.control_bytes
    }

    /// Bytes of replies that wait or are being written.
    pub(crate) fn reply_bytes(&self) -> usize {
        self.reply_bytes + self.reply_bytes_taken
    }

    /// Returns true if frames wait that are in an earlier segment than this one.
    pub(crate) fn has_before(&self, end: u64) -> bool {
        self.segments.front().is_some_and(|segment| segment.number < end)
    }

    /// Returns true if the segment of this number has not been taken. Number 0 never waits.
    pub(crate) fn is_queued(&self, number: u64) -> bool {
        let first = self.segments.iter().find(|segment| segment.number > 0);
        number >= first.map_or(self.next, |segment| segment.number)
    }

    /// Lets what is sent from now on go into later segments, and returns the number of the first of those.
    pub(crate) fn seal(&mut self) -> u64 {
        self.sealed = self.next;
        self.next
    }

    fn last(&mut self) -> &mut Segment {
        let takes_more = |segment: &Segment| {
            segment.bytes.len() < SEGMENT_BYTES && segment.number >= self.sealed && segment.expires.is_none()
        };
        if !self.segments.back().is_some_and(takes_more) {
            let bytes = std::mem::take(&mut self.spare);
            self.segments.push_back(Segment { bytes, number: self.next, ..Segment::default() });
            self.next += 1;
        }
        let last = self.segments.len() - 1;
        &mut self.segments[last]
    }

    /// Counts a message that was given back.
    pub(crate) fn count_returned(&mut self) {
        self.counters.returned += 1;
    }

    /// Appends a message.
    pub(crate) fn push_message(&mut self, header: &Header, body: &[u8]) {
        let bytes = header.frame_bytes(body.len()) as u64;
        self.counters.accepted += 1;
        self.counters.unsettled += 1;
        self.unsettled_bytes += bytes;
        self.loads.push(header.to, bytes);
        let segment = self.last();
        segment.messages += 1;
        segment.message_bytes += bytes;
        header.write(body, &mut segment.bytes);
    }

    /// Appends a reply. It may be dropped once that time has come.
    pub(crate) fn push_reply(&mut self, header: &Header, body: &[u8], expires: Option<Duration>) {
        let bytes = header.frame_bytes(body.len());
        let large = bytes >= LARGE_REPLY_BYTES && expires.is_some();
        if large {
            self.segments.push_back(Segment { number: self.next, ..Segment::default() });
            self.next += 1;
        }
        self.reply_bytes += bytes;
        let segment = self.last();
        segment.reply_bytes += bytes;
        if large {
            segment.expires = expires;
        }
        header.write(body, &mut segment.bytes);
    }

    /// Drops the replies whose askers have gone.
    pub(crate) fn drop_expired(&mut self, now: Duration) {
        self.segments.retain(|segment| {
            let expired = segment.expires.is_some_and(|expires| now >= expires);
            self.reply_bytes -= if expired { segment.reply_bytes } else { 0 };
            !expired
        });
    }

    /// Appends a frame that is neither a message nor a reply, and returns the number of its segment.
    pub(crate) fn push_control(&mut self, header: &Header, body: &[u8]) -> u64 {
        self.control_bytes += header.frame_bytes(body.len());
        let segment = self.last();
        header.write(body, &mut segment.bytes);
        segment.number
    }

    /// Puts frames that are no messages before everything that waits, for this connection alone.
    pub(crate) fn retransmit(&mut self, frames: BytesMut) {
        if !frames.is_empty() {
            self.control_bytes += frames.len();
            self.segments.push_front(Segment { bytes: frames, is_retransmission: true, ..Segment::default() });
        }
    }

    /// Takes back the part of what was taken last that was not written: the frames of which no byte left wait again,
    /// before all others. Of the frame that left in part the other side will never see the rest.
    pub(crate) fn put_back(&mut self, bytes: &[u8], written: usize) {
        self.reply_bytes_taken = 0;
        let mut kept = Segment::default();
        // The bytes are parsed anew, as segments do not know where their frames end.
        let (mut rest, mut start) = (bytes, 0);
        while let Some(header) = rest.first_chunk::<HEADER_BYTES>() {
            let len = u32::from_le_bytes([header[0], header[1], header[2], header[3]]) as usize;
            let (frame, following) = rest.split_at(len.clamp(HEADER_BYTES, rest.len()));
            let kind = FrameKind::from_u8(header[4]).filter(|kind| start >= written && kind.outlives_connection());
            if let Some(kind) = kind {
                kept.messages += u64::from(kind.is_message());
                kept.message_bytes += if kind.is_message() { frame.len() as u64 } else { 0 };
                kept.reply_bytes += if kind == FrameKind::Reply { frame.len() } else { 0 };
                kept.bytes.extend_from_slice(frame);
            }
            (rest, start) = (following, start + frame.len());
        }
        if kept.bytes.is_empty() {
            return;
        }
        // They are not on their way any more.
        self.sent -= kept.messages;
        self.sent_bytes -= kept.message_bytes;
        self.reply_bytes += kept.reply_bytes;
        self.control_bytes += kept.control_bytes();
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
        self.control_bytes -= segment.control_bytes();
        self.reply_bytes -= segment.reply_bytes;
        self.reply_bytes_taken = segment.reply_bytes;
        Some(segment.bytes)
    }

    /// What was taken last is written. Keeps an empty buffer for the next segment.
    pub(crate) fn recycle(&mut self, mut bytes: BytesMut) {
        self.reply_bytes_taken = 0;
        if bytes.capacity() <= 2 * SEGMENT_BYTES {
            bytes.clear();
            self.spare = bytes;
        }
    }

    /// The other side tells of a backlog; it counts with the next acknowledgement. False if it tells of too many.
    pub(crate) fn set_backlog(&mut self, to: ActorKey, load: Load, max: usize) -> bool {
        self.backlogs.insert(to.to_bits(), load);
        self.backlogs.len() <= max
    }

    /// Takes over what the other side has settled since the connection began; false if that cannot be.
    pub(crate) fn settle(&mut self, ack: Ack) -> bool {
        let before = self.acked;
        // Sums only grow, in each part as well.
        let shrinks = ack.settled < before.settled
            || ack.bytes < before.bytes
            || ack.rejected.iter().zip(before.rejected).any(|(now, then)| *now < then);
        let rejected = ack.rejected_total();
        let settled_now = ack.settled.saturating_sub(before.settled);
        let rejected_now = rejected.and_then(|sum| sum.checked_sub(before.rejected_total().unwrap_or(0)));
        // What is settled or in a backlog has arrived: no less than before, and no more than was sent.
        let mut arrived = self.loads.backlog_with(&self.backlogs);
        arrived.add(Load { messages: ack.settled, bytes: ack.bytes });
        let shrinks = shrinks || arrived.messages < self.arrived.messages || arrived.bytes < self.arrived.bytes;
        let too_much = arrived.messages > self.sent || arrived.bytes > self.sent_bytes;
        // Nothing has changed up to here, so a lie leaves no trace.
        let Some(rejected_now) = rejected_now.filter(|now| !shrinks && !too_much && *now <= settled_now) else {
            return false;
        };

        self.counters.unsettled -= settled_now;
        self.counters.acked += settled_now - rejected_now;
        for (count, (now, then)) in self.counters.rejected.iter_mut().zip(ack.rejected.iter().zip(before.rejected)) {
            *count += now - then;
        }
        self.unsettled_bytes -= ack.bytes - before.bytes;
        self.acked = ack;
        // The loads of the actors follow in the order of sending.
        let mut news = arrived;
        news.sub(self.arrived);
        self.arrived = arrived;
        self.loads.arrived(news, &std::mem::take(&mut self.backlogs));
        true
    }

    /// The connection broke: what was on its way is lost, what was not written waits for the next one.
    pub(crate) fn connection_lost(&mut self) {
        self.segments.retain(|segment| {
            self.control_bytes -= if segment.is_retransmission { segment.bytes.len() } else { 0 };
            !segment.is_retransmission
        });
        let lost = self.sent - self.acked.settled;
        self.counters.unsettled -= lost;
        self.counters.lost += lost;
        self.unsettled_bytes -= self.sent_bytes - self.acked.bytes;
        (self.sent, self.sent_bytes, self.acked) = (0, 0, Ack::default());
        (self.arrived, self.reply_bytes_taken) = (Load::default(), 0);
        self.backlogs.clear();
        self.loads.connection_lost(Load { messages: self.counters.unsettled, bytes: self.unsettled_bytes });
    }

    /// The other side is gone for good.
    pub(crate) fn close(&mut self) {
        self.connection_lost();
        self.counters.lost += std::mem::take(&mut self.counters.unsettled);
        self.unsettled_bytes = 0;
        (self.control_bytes, self.reply_bytes) = (0, 0);
        // A node that is down may be remembered for long: of its queue only the counters.
        (self.segments, self.spare) = (VecDeque::new(), BytesMut::new());
        self.loads.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::frame::FrameKind;
    use proptest::prelude::*;

    fn sum(counters: Counters) -> u64 {
        counters.acked + counters.undelivered() + counters.unsettled
    }

    #[test]
    fn ack_of_what_was_not_sent_is_refused() {
        let mut send_queue = SendQueue::default();
        send_queue.push_message(&Header::new(FrameKind::Tell), b"");
        assert!(!send_queue.settle(Ack { settled: 1, bytes: 16, rejected: [0; 4] }));
        send_queue.take_before(u64::MAX);
        assert!(!send_queue.settle(Ack { settled: 1, bytes: 17, rejected: [0; 4] }));
        assert!(!send_queue.settle(Ack { settled: 1, bytes: 16, rejected: [1, 1, 0, 0] }));
        assert!(!send_queue.settle(Ack { settled: 1, bytes: 16, rejected: [u64::MAX, 1, 0, 0] }));
        assert!(send_queue.settle(Ack { settled: 1, bytes: 16, rejected: [0, 1, 0, 0] }));
        assert!(!send_queue.settle(Ack::default()));
        assert_eq!(send_queue.counters().rejected, [0, 1, 0, 0]);
    }

    /// A tell with `bytes` of body.
    fn push(send_queue: &mut SendQueue, bytes: usize) {
        send_queue.push_message(&Header::new(FrameKind::Tell), &vec![0; bytes]);
    }

    #[test]
    fn broken_connection_gives_back_the_room_of_what_was_on_its_way() {
        let mut send_queue = SendQueue::default();
        (0..3).for_each(|_| push(&mut send_queue, 84));
        send_queue.take_before(u64::MAX);
        push(&mut send_queue, 34);
        assert_eq!(send_queue.unsettled(), (4, 350));
        assert!(send_queue.settle(Ack { settled: 1, bytes: 100, rejected: [0; 4] }));
        send_queue.connection_lost();
        assert_eq!((send_queue.unsettled(), send_queue.counters().lost), ((1, 50), 2));
        send_queue.take_before(u64::MAX);
        send_queue.connection_lost();
        assert_eq!((send_queue.unsettled(), send_queue.counters().lost), ((0, 0), 3));
    }

    #[test]
    fn written_control_frames_give_their_bytes_back() {
        let mut send_queue = SendQueue::default();
        for _ in 0..100 {
            send_queue.push_control(&Header::new(FrameKind::Down), &[0; 1000]);
            push(&mut send_queue, 10);
            assert_eq!(send_queue.control_bytes(), 1016);
            send_queue.take_before(u64::MAX);
            assert_eq!(send_queue.control_bytes(), 0);
        }
    }

    #[test]
    fn ack_of_which_one_count_shrinks_is_refused() {
        let mut send_queue = SendQueue::default();
        (0..4).for_each(|_| push(&mut send_queue, 0));
        send_queue.take_before(u64::MAX);
        assert!(send_queue.settle(Ack { settled: 2, bytes: 32, rejected: [1, 0, 0, 0] }));
        let before = send_queue.counters();
        assert!(!send_queue.settle(Ack { settled: 3, bytes: 48, rejected: [0, 2, 0, 0] }));
        assert!(!send_queue.settle(Ack { settled: 3, bytes: 31, rejected: [1, 0, 0, 0] }));
        assert!(!send_queue.settle(Ack { settled: 1, bytes: 48, rejected: [1, 0, 0, 0] }));
        assert_eq!(send_queue.counters(), before);
    }

    #[test]
    fn frames_of_which_no_byte_left_wait_again_in_order() {
        let mut send_queue = SendQueue::default();
        push(&mut send_queue, 1);
        send_queue.push_control(&Header::new(FrameKind::Down), &[1]);
        push(&mut send_queue, 2);
        send_queue.push_control(&Header::new(FrameKind::Watch), &[]);
        send_queue.push_control(&Header::new(FrameKind::Down), &[2]);
        let mut bytes = send_queue.take_before(u64::MAX).unwrap();
        Header::new(FrameKind::Ack).write(&[], &mut bytes);
        push(&mut send_queue, 3);

        // The first tell and a part of the first DOWN were written.
        send_queue.put_back(&bytes, 17 + 16);
        send_queue.connection_lost();
        assert_eq!((send_queue.counters().lost, send_queue.unsettled()), (1, (2, 18 + 19)));
        assert_eq!(send_queue.control_bytes(), 17);
        let mut expected = BytesMut::new();
        Header::new(FrameKind::Tell).write(&[0; 2], &mut expected);
        Header::new(FrameKind::Down).write(&[2], &mut expected);
        assert_eq!(send_queue.take_before(u64::MAX), Some(expected));
        assert_eq!(send_queue.take_before(u64::MAX).map(|bytes| bytes.len()), Some(19));
        assert!(send_queue.settle(Ack { settled: 2, bytes: 37, rejected: [0; 4] }));
        assert_eq!((send_queue.unsettled(), send_queue.control_bytes()), ((0, 0), 0));
    }

    #[test]
    fn large_reply_that_nobody_waits_for_is_dropped() {
        let mut send_queue = SendQueue::default();
        let reply = Header::new(FrameKind::Reply);
        let second = Duration::from_secs(1);
        send_queue.push_reply(&reply, &[0; 20_000], Some(second));
        send_queue.push_reply(&reply, &[0; 20_000], Some(second * 2));
        send_queue.push_reply(&reply, &[0; 20_000], None);
        send_queue.push_reply(&reply, &[0; 20], Some(second));
        push(&mut send_queue, 10);
        assert_eq!(send_queue.reply_bytes(), 3 * 20_016 + 36);
        send_queue.drop_expired(second);
        assert_eq!(send_queue.reply_bytes(), 2 * 20_016 + 36);
        // What is being written counts until it is written.
        let bytes = send_queue.take_before(u64::MAX).unwrap();
        assert_eq!((bytes.len(), send_queue.reply_bytes()), (20_016, 2 * 20_016 + 36));
        send_queue.recycle(bytes);
        assert_eq!(send_queue.reply_bytes(), 20_016 + 36);
        let bytes = send_queue.take_before(u64::MAX).unwrap();
        send_queue.put_back(&bytes, 1);
        assert_eq!((bytes.len(), send_queue.reply_bytes(), send_queue.control_bytes()), (20_016 + 36 + 26, 36, 0));
    }

    #[test]
    fn what_is_in_a_backlog_has_arrived_and_is_not_settled() {
        let mut send_queue = SendQueue::default();
        (0..3).for_each(|_| push(&mut send_queue, 84));
        send_queue.take_before(u64::MAX);
        let load = |messages| Load { messages, bytes: messages * 100 };
        assert!(send_queue.set_backlog(ActorKey::NODE, load(2), 10));
        assert!(!send_queue.settle(Ack { settled: 2, bytes: 200, rejected: [0; 4] }), "more than was sent");
        assert!(send_queue.settle(Ack { settled: 1, bytes: 100, rejected: [0; 4] }));
        assert_eq!((send_queue.unsettled(), send_queue.unsettled_by(ActorKey::NODE)), ((2, 200), load(2)));
        assert!(send_queue.set_backlog(ActorKey::NODE, load(0), 10));
        assert!(!send_queue.settle(Ack { settled: 2, bytes: 200, rejected: [0; 4] }), "one has not arrived any more");
        assert!(send_queue.settle(Ack { settled: 3, bytes: 300, rejected: [0; 4] }));
        assert_eq!(send_queue.unsettled_by(ActorKey::NODE), load(0));
        assert!(!send_queue.set_backlog(ActorKey { slot: 1, generation: 1 }, load(1), 0));
    }

    #[test]
    fn what_was_settled_cannot_be_in_a_backlog_again() {
        let mut send_queue = SendQueue::default();
        (0..3).for_each(|_| push(&mut send_queue, 84));
        send_queue.take_before(u64::MAX);
        assert!(send_queue.settle(Ack { settled: 2, bytes: 200, rejected: [0; 4] }));
        // As much as before has arrived, and less of it is settled.
        for (messages, bytes) in [(1, 0), (0, 100), (1, 100)] {
            assert!(send_queue.set_backlog(ActorKey::NODE, Load { messages, bytes }, 10));
            assert!(!send_queue.settle(Ack { settled: 2 - messages, bytes: 200 - bytes, rejected: [0; 4] }));
        }
        assert_eq!(send_queue.unsettled(), (1, 100));
    }

    #[test]
    fn buffer_is_used_again_unless_it_is_large() {
        let mut send_queue = SendQueue::default();
        send_queue.recycle(BytesMut::with_capacity(2 * SEGMENT_BYTES));
        let kept = send_queue.spare.capacity();
        assert!(kept >= 2 * SEGMENT_BYTES);
        send_queue.recycle(BytesMut::with_capacity(3 * SEGMENT_BYTES));
        assert_eq!(send_queue.spare.capacity(), kept);
        let mut of_a_dead_node = SendQueue::default();
        of_a_dead_node.recycle(BytesMut::with_capacity(SEGMENT_BYTES));
        of_a_dead_node.close();
        assert_eq!(of_a_dead_node.spare.capacity(), 0);
        push(&mut send_queue, 10);
        assert_eq!(
            (send_queue.spare.capacity(), send_queue.take_before(u64::MAX).map(|bytes| bytes.len())),
            (0, Some(26))
        );
    }

    #[test]
    fn segments_are_cut_at_their_size_and_lose_no_frame() {
        let mut send_queue = SendQueue::default();
        let body = [7; 1000];
        for _ in 0..200 {
            send_queue.push_message(&Header::new(FrameKind::Tell), &body);
        }
        let mut bytes = 0;
        let mut segments = 0;
        while let Some(segment) = send_queue.take_before(u64::MAX) {
            assert!(segment.len() < SEGMENT_BYTES + 1016);
            bytes += segment.len();
            segments += 1;
        }
        assert_eq!((bytes, segments), (200 * 1016, 4));
    }

    proptest! {
        #[test]
        fn sum_holds_whatever_happens(steps in prop::collection::vec((0..6_u8, any::<[u8; 3]>()), 0..200)) {
            let mut send_queue = SendQueue::default();
            let mut offered = 0;
            for (step, [a, b, c]) in steps {
                match step {
                    0 | 1 => {
                        send_queue.push_message(&Header::new(FrameKind::Tell), &vec![a; usize::from(b)]);
                        offered += 1;
                    }
                    2 => {
                        send_queue.push_control(&Header::new(FrameKind::Reply), &[a]);
                    }
                    3 => {
                        let taken = send_queue.take_before(u64::MAX);
                        if let Some(bytes) = taken.filter(|_| c % 2 == 0) {
                            send_queue.put_back(&bytes, usize::from(a));
                            send_queue.connection_lost();
                        }
                    }
                    4 => {
                        let mut ack = send_queue.acked;
                        ack.settled += u64::from(a % 4);
                        ack.bytes += u64::from(b) * 4;
                        ack.rejected[usize::from(c % 4)] += u64::from(c % 3);
                        let before = send_queue.counters();
                        if !send_queue.settle(ack) {
                            prop_assert_eq!(send_queue.counters(), before);
                        }
                    }
                    _ => if a < 40 { send_queue.close() } else { send_queue.connection_lost() },
                }
                prop_assert_eq!(send_queue.counters().accepted, offered);
                prop_assert_eq!(sum(send_queue.counters()), offered);
                let load = send_queue.unsettled_by(ActorKey::NODE);
                prop_assert_eq!(load.messages, send_queue.unsettled().0);
            }
        }
    }
}
