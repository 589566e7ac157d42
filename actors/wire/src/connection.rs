//! One connection as its session sees it: what was heard, what is to be acknowledged, how it ends. Nothing of it outlives it.

use crate::body::{Ack, GoAwayBody, Heartbeat, write_backlogs};
use crate::code::RejectReason;
use crate::config::{BACKLOGS_PER_FRAME_MAX, NodeConfig};
use crate::flow_control::{Backlogs, Load};
use crate::frame::{FrameKind, Header};
use crate::handshake::write_all_types;
use crate::ids::ActorKey;
use crate::types::TypeInfo;
use bytes::BytesMut;
use std::collections::BTreeSet;
use std::time::Duration;

/// This many more bytes of a frame are a sign of life before it is whole: a large one may take longer than silence may. Who
/// sends less within the time of silence is as good as silent. Guessed.
const PROGRESS_BYTES: usize = 4096;

/// What belongs to one connection, and ends with it. Made by `Session::attach`, written by the session alone: by what arrives
/// (`read_event`), by what the driver reports (`settle`, `add_backlog`, `close`) and by what is written (`poll_transmit`).
#[derive(Debug)]
pub(crate) struct ConnectionState {
    /// Which connection of the session it is. Reports about another one are ignored.
    pub(crate) epoch: u64,
    /// The longest frame that this side takes.
    pub(crate) bytes_max: u32,
    /// When the last whole frame arrived. A keep-alive interval after it a PING is due.
    pub(crate) last_frame_at: Duration,
    /// When the last whole frame, or enough of one, arrived. The idle timeout counts from here.
    pub(crate) last_progress_at: Duration,
    /// Bytes there were of an unfinished frame then.
    pub(crate) partial_bytes: usize,
    /// Number of the last PING.
    pub(crate) pings_sent: u64,
    /// When it was written; the next follows an interval later.
    pub(crate) last_ping_at: Duration,
    /// The last PING that arrived, until its PONG is written.
    pub(crate) pending_pong: Option<Heartbeat>,
    /// The sums of what was settled here, since the connection began. Grows with `settle`.
    pub(crate) ack: Ack,
    /// The sums as the other side knows them: those of the last ACK that was written.
    pub(crate) ack_sent: Ack,
    /// When the first thing happened that the next ACK tells of. Set by `settle` and `add_backlog`, reset with the ACK.
    pub(crate) ack_since: Option<Duration>,
    /// Messages that wait here for their actors, by the bits of the actor's key. No entry is empty.
    pub(crate) backlogs: Backlogs,
    /// Actors whose backlog has changed since it was last told. Emptied with the ACK.
    pub(crate) backlogs_changed: BTreeSet<u64>,
    /// How many of our types the other side was told, in the handshake and in TYPES since.
    pub(crate) types_sent: usize,
    /// Set by `close`, and when GOAWAY is written.
    pub(crate) closing: Closing,
}

impl ConnectionState {
    pub(crate) fn new(epoch: u64, bytes_max: u32, types_sent: usize, now: Duration) -> Self {
        Self {
            epoch,
            bytes_max,
            last_frame_at: now,
            last_progress_at: now,
            partial_bytes: 0,
            pings_sent: 0,
            last_ping_at: now,
            pending_pong: None,
            ack: Ack::default(),
            ack_sent: Ack::default(),
            ack_since: None,
            backlogs: Backlogs::new(),
            backlogs_changed: BTreeSet::new(),
            types_sent,
            closing: Closing::No,
        }
    }

    /// This many bytes of an unfinished frame are there.
    pub(crate) fn on_partial_frame(&mut self, bytes: usize, now: Duration) {
        if bytes >= self.partial_bytes + PROGRESS_BYTES {
            (self.last_progress_at, self.partial_bytes) = (now, bytes);
        }
    }

    /// A message waits until its actor has room.
    pub(crate) fn add_backlog(&mut self, to: ActorKey, frame_bytes: u32, now: Duration) {
        let key = to.to_bits();
        self.backlogs.entry(key).or_default().add(Load::one(u64::from(frame_bytes)));
        self.backlogs_changed.insert(key);
        self.ack_since.get_or_insert(now);
    }

    /// It waits no more.
    pub(crate) fn remove_backlog(&mut self, to: ActorKey, frame_bytes: u32) {
        let key = to.to_bits();
        if let Some(load) = self.backlogs.get_mut(&key) {
            load.sub(Load::one(u64::from(frame_bytes)));
            if load.is_empty() {
                self.backlogs.remove(&key);
            }
            self.backlogs_changed.insert(key);
        }
    }

    /// Bytes of all messages that wait.
    pub(crate) fn backlog_bytes(&self) -> u64 {
        self.backlogs.values().map(|load| load.bytes).sum()
    }

    /// Messages were taken into mailboxes.
    pub(crate) fn settle_taken(&mut self, messages: u64, frame_bytes: u64, now: Duration) {
        self.ack.settled += messages;
        self.ack.bytes += frame_bytes;
        self.ack_since.get_or_insert(now);
    }

    /// A message was taken into a mailbox, or rejected.
    pub(crate) fn settle(&mut self, frame_bytes: u32, rejected: Option<RejectReason>, now: Duration) {
        self.settle_taken(1, u64::from(frame_bytes), now);
        if let Some(rejected) = rejected {
            self.ack.rejected[rejected as usize] += 1;
        }
    }

    /// True if an acknowledgement cannot wait.
    pub(crate) fn ack_is_due(&self, config: &NodeConfig, now: Duration) -> bool {
        self.ack_at(config).is_some_and(|at| now >= at)
            || self.ack.bytes - self.ack_sent.bytes >= config.unsettled_bytes_max as u64 / 8
            || self.ack.settled - self.ack_sent.settled >= (config.unsettled_max as u64).div_ceil(8)
    }

    /// When the other side is to be asked for a sign of life.
    pub(crate) fn ping_at(&self, config: &NodeConfig) -> Duration {
        self.last_frame_at.max(self.last_ping_at).saturating_add(config.keep_alive_interval)
    }

    /// When the other side has been silent for too long.
    pub(crate) fn idle_at(&self, config: &NodeConfig) -> Duration {
        self.last_progress_at.saturating_add(config.max_idle_timeout)
    }

    fn ack_at(&self, config: &NodeConfig) -> Option<Duration> {
        Some(self.ack_since?.saturating_add(config.ack_delay))
    }

    /// When there is something to say though nothing happened, or the connection must end.
    pub(crate) fn deadline(&self, config: &NodeConfig) -> Duration {
        let ack = self.ack_at(config).unwrap_or(Duration::MAX);
        self.ping_at(config).min(ack).min(self.idle_at(config))
    }

    /// Writes what this connection has to say besides what the session sends.
    pub(crate) fn write(&mut self, own_types: &[TypeInfo], ping_is_due: bool, now: Duration, out: &mut BytesMut) {
        let mut body = Vec::new();
        // Types come first: what follows may be answered by their numbers.
        let new_types = own_types.get(self.types_sent..).unwrap_or_default();
        if !new_types.is_empty() {
            write_all_types(self.types_sent, new_types, out);
            self.types_sent = own_types.len();
        }
        if self.ack_since.take().is_some() {
            // The ACK counts the backlogs before it.
            self.write_backlogs(out);
            body.reserve(Ack::BYTES);
            self.ack.write(&mut body);
            Header::new(FrameKind::Ack).write(&body, out);
            self.ack_sent = self.ack;
        }
        if let Some(beat) = self.pending_pong.take() {
            body.clear();
            beat.write(&mut body);
            Header::new(FrameKind::Pong).write(&body, out);
        }
        if ping_is_due {
            self.pings_sent += 1;
            self.last_ping_at = now;
            body.clear();
            Heartbeat { time_ns: now.as_nanos() as u64, number: self.pings_sent }.write(&mut body);
            Header::new(FrameKind::Ping).write(&body, out);
        }
    }

    /// Writes GOAWAY, if this side leaves.
    pub(crate) fn write_go_away(&mut self, out: &mut BytesMut) {
        if let Closing::Pending(_, go_away) = &self.closing {
            let mut body = Vec::new();
            go_away.write(&mut body);
            Header::new(FrameKind::GoAway).write(&body, out);
            self.closing = Closing::Sent;
        }
    }

    /// Writes the backlogs that have changed.
    fn write_backlogs(&mut self, out: &mut BytesMut) {
        let keys = std::mem::take(&mut self.backlogs_changed);
        let changed: Vec<_> = keys
            .into_iter()
            .map(|key| (ActorKey::from_bits(key), self.backlogs.get(&key).copied().unwrap_or_default()))
            .collect();
        for part in changed.chunks(BACKLOGS_PER_FRAME_MAX) {
            let mut body = Vec::new();
            write_backlogs(part, &mut body);
            Header::new(FrameKind::Backlog).write(&body, out);
        }
    }
}

/// How far this side is with its GOAWAY.
#[derive(Debug)]
pub(crate) enum Closing {
    No,
    /// It follows the segments before this number.
    Pending(u64, GoAwayBody),
    Sent,
}

impl Closing {
    /// Segments from this number on wait for another connection.
    pub(crate) fn end(&self) -> u64 {
        match self {
            Self::No => u64::MAX,
            Self::Pending(end, _) => *end,
            Self::Sent => 0,
        }
    }
}
