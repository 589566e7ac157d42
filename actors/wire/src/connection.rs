//! One connection as its session sees it: what was heard, what is to be acknowledged, how it ends. Nothing of it outlives it.

use crate::body::{Ack, GoAwayBody, Heartbeat, write_held};
use crate::code::RejectReason;
use crate::config::{HELD_PER_FRAME_MAX, NodeConfig};
use crate::frame::{FrameKind, Header};
use crate::handshake::write_all_types;
use crate::ids::ActorKey;
use crate::loads::{Load, Told};
use crate::types::TypeInfo;
use bytes::BytesMut;
use std::collections::BTreeSet;
use std::time::Duration;

/// So many more bytes of a frame are a sign of life before it is whole: a large one may take longer than silence may. Who
/// sends less within the time of silence is as good as silent. Guessed.
const PROGRESS_BYTES: usize = 4096;

/// What belongs to one connection, and ends with it.
#[derive(Debug)]
pub(crate) struct ConnectionState {
    pub(crate) epoch: u64,
    pub(crate) bytes_max: u32,
    /// A whole frame. Until the next one the other side is asked for signs of life, so that it hears ours.
    pub(crate) last_frame_at: Duration,
    /// A whole frame, or a part of one.
    pub(crate) last_progress_at: Duration,
    /// Bytes there were of an unfinished frame then.
    pub(crate) partial_bytes: usize,
    pub(crate) pings_sent: u64,
    pub(crate) last_ping_at: Duration,
    pub(crate) pending_pong: Option<Heartbeat>,
    /// What we have settled.
    pub(crate) ack: Ack,
    pub(crate) ack_told: Ack,
    pub(crate) ack_since: Option<Duration>,
    /// What we hold, by the bits of the actor's key, and of those the ones of which the other side has not been told.
    pub(crate) held: Told,
    pub(crate) held_untold: BTreeSet<u64>,
    /// Of our types, those that the other side was told.
    pub(crate) types_sent: usize,
    pub(crate) closing: Closing,
}

impl ConnectionState {
    pub(crate) fn new(epoch: u64, bytes_max: u32, told: usize, now: Duration) -> Self {
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
            ack_told: Ack::default(),
            ack_since: None,
            held: Told::new(),
            held_untold: BTreeSet::new(),
            types_sent: told,
            closing: Closing::No,
        }
    }

    /// So many bytes of an unfinished frame are there.
    pub(crate) fn hear_part(&mut self, bytes: usize, now: Duration) {
        if bytes >= self.partial_bytes + PROGRESS_BYTES {
            (self.last_progress_at, self.partial_bytes) = (now, bytes);
        }
    }

    /// A message is held until its actor has room.
    pub(crate) fn hold(&mut self, to: ActorKey, frame_bytes: u32, now: Duration) {
        let key = to.to_bits();
        self.held.entry(key).or_default().add(Load::one(u64::from(frame_bytes)));
        self.held_untold.insert(key);
        self.ack_since.get_or_insert(now);
    }

    /// It is held no more.
    pub(crate) fn release(&mut self, to: ActorKey, frame_bytes: u32) {
        let key = to.to_bits();
        if let Some(load) = self.held.get_mut(&key) {
            load.sub(Load::one(u64::from(frame_bytes)));
            if load.is_nothing() {
                self.held.remove(&key);
            }
            self.held_untold.insert(key);
        }
    }

    /// A message was taken into a mailbox, or rejected.
    pub(crate) fn settle(&mut self, frame_bytes: u32, rejected: Option<RejectReason>, now: Duration) {
        self.ack.settled += 1;
        self.ack.bytes += u64::from(frame_bytes);
        if let Some(rejected) = rejected {
            self.ack.rejected[rejected as usize] += 1;
        }
        self.ack_since.get_or_insert(now);
    }

    /// True if an acknowledgement cannot wait.
    pub(crate) fn ack_is_due(&self, config: &NodeConfig, now: Duration) -> bool {
        self.ack_at(config).is_some_and(|at| now >= at)
            || self.ack.bytes - self.ack_told.bytes >= config.unsettled_bytes_max as u64 / 8
            || self.ack.settled - self.ack_told.settled >= (config.unsettled_max as u64).div_ceil(8)
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
        let new_types = own_types.get(self.types_sent..).unwrap_or_default();
        if !new_types.is_empty() {
            write_all_types(self.types_sent, new_types, out);
            self.types_sent = own_types.len();
        }
        if self.ack_since.take().is_some() {
            self.write_held(out);
            body.reserve(Ack::BYTES);
            self.ack.write(&mut body);
            Header::new(FrameKind::Ack).write(&body, out);
            self.ack_told = self.ack;
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

    /// Writes the goodbye, if this side leaves.
    pub(crate) fn write_goodbye(&mut self, out: &mut BytesMut) {
        if let Closing::Behind(_, farewell) = &self.closing {
            let mut body = Vec::new();
            farewell.write(&mut body);
            Header::new(FrameKind::GoAway).write(&body, out);
            self.closing = Closing::Said;
        }
    }

    /// Tells how much is held, of those actors where that has changed.
    fn write_held(&mut self, out: &mut BytesMut) {
        let untold = std::mem::take(&mut self.held_untold);
        let held: Vec<_> = untold
            .into_iter()
            .map(|key| (ActorKey::from_bits(key), self.held.get(&key).copied().unwrap_or_default()))
            .collect();
        for part in held.chunks(HELD_PER_FRAME_MAX) {
            let mut body = Vec::new();
            write_held(part, &mut body);
            Header::new(FrameKind::Held).write(&body, out);
        }
    }
}

/// How far this side is with its goodbye.
#[derive(Debug)]
pub(crate) enum Closing {
    No,
    /// It follows the segments before this number.
    Behind(u64, GoAwayBody),
    Said,
}

impl Closing {
    /// Segments from this number on wait for another connection.
    pub(crate) fn end(&self) -> u64 {
        match self {
            Self::No => u64::MAX,
            Self::Behind(end, _) => *end,
            Self::Said => 0,
        }
    }
}
