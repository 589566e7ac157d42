//! Every bound of the protocol, by name. The smaller value of the two sides counts where both have a say.

use std::fmt;
use std::time::Duration;

/// The version of the protocol that is written here.
pub(crate) const VERSION: u8 = 1;

/// Bytes of the name of a cluster.
pub const CLUSTER_NAME_BYTES_MAX: usize = 64;
/// Bytes of the name of a node, and of a published name.
pub const NAME_BYTES_MAX: usize = 255;
/// The latest incarnation of a node. A clock in microseconds takes 290,000 years to get there; a node that says more lies.
pub const INCARNATION_MAX: u64 = u64::MAX / 2;
/// Bytes of an advertised address.
pub const ADDRESS_BYTES_MAX: usize = 255;
/// Bytes of the list of fields in a HELLO.
pub const HELLO_BYTES_MAX: usize = 1024;
/// Bytes of the text of an error, a GOAWAY or a reason; longer ones are cut.
pub const TEXT_BYTES_MAX: usize = 1024;
/// Bytes of a frame before the handshake is through.
pub const HANDSHAKE_FRAME_BYTES_MAX: u32 = 64 * 1024;
/// Entries of a TYPES frame: 16 bytes each, so that a frame fits into the handshake's bound.
pub const TYPES_PER_FRAME_MAX: usize = 4000;
/// Entries of a BACKLOG frame: 24 bytes each, so that it fits into the shortest maximum of frames.
pub const BACKLOGS_PER_FRAME_MAX: usize = 2000;
/// Lookups of names at one node without an answer, those included that wait to be sent. Guessed.
pub const RESOLVES_MAX: usize = 65_536;
/// Of these, those that were sent. Their answers take a quarter of the room of a node with the least
/// [`control_bytes_max`](NodeConfig::control_bytes_max).
pub const RESOLVES_IN_FLIGHT_MAX: usize = 32;
/// Entries of the table of types: the index has 16 bits and its last value says "none".
pub const TYPES_MAX: usize = 65_535;

/// Bytes that are reckoned for a DOWN or a REPLY_ERR without a text, of which there may be one for each monitor and each ask.
const DOWN_BYTES: usize = 32;
/// Bytes of a RESOLVED, the longest answer that has no text.
const RESOLVED_BYTES: usize = 64;

/// Third nodes of which it is noted when they were introduced; beyond, they are with every mention. Guessed.
const NODE_INFOS_MAX: usize = 4096;
/// Bytes of the longest NODE_INFO.
const NODE_INFO_BYTES_MAX: usize = 16 + 16 + 2 + NAME_BYTES_MAX + ADDRESS_BYTES_MAX;

/// Bytes of a short frame that is not whole, and of what a read brings beyond it.
const UNPARSED_BYTES_MAX: usize = 192 * 1024;

/// What may be said in a frame besides its body: header and all extensions. Specified.
pub const FRAME_OVERHEAD_BYTES: u32 = 256;

/// The settings of a node: bounds and times, with their defaults.
///
/// # Memory
/// What one other node, however hostile, can make this one hold at most. Each kind has a bound of its own, as each has another remedy: a
/// sender waits, an actor's messages wait, asks are not begun, reading stops, a message is refused. All are counted in bytes of frames,
/// but for the last two.
///
/// | what | bound | default |
/// |---|---|---|
/// | messages to it that it has not settled | [`unsettled_bytes_max`](Self::unsettled_bytes_max) and one message | 24 MiB |
/// | its messages that wait for full mailboxes | [`unsettled_bytes_max`](Self::unsettled_bytes_max) and one message | 24 MiB |
/// | replies that it has not read | [`control_bytes_max`](Self::control_bytes_max) | 128 MiB |
/// | other frames that it has not read | an eighth of [`control_bytes_max`](Self::control_bytes_max) | 16 MiB |
/// | what was read and is no whole frame, up to 128 KiB | 192 KiB | 192 KiB |
/// | the sum: [`peer_bytes_max`](Self::peer_bytes_max) | | 192 MiB |
/// | longer frames that are not whole, of all nodes together | [`receiving_bytes_max`](Self::receiving_bytes_max) | 64 MiB |
/// | the one message that is being decoded | [`decoded_bytes_max`](Self::decoded_bytes_max), by an allocator twice that | 128 MiB |
///
/// Beside the bytes of frames there are entries of tables: at most 200 bytes for each message in the first two rows
/// ([`unsettled_max`](Self::unsettled_max) each), for each monitor ([`monitors_max`](Self::monitors_max)) and for each type
/// (65,535); 600 for each of 4,096 third nodes that it was told of, and for each of the 65,536 that all other nodes together have told this
/// one of. What is in the mailbox of an actor is its own: as many messages as its capacity, from
/// whomever they are.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct NodeConfig {
    /// Bytes of one encoded message. Default 16 MiB, at most 64 MiB.
    pub message_bytes_max: u32,
    /// Bytes of memory that one message may take when it is decoded, as its types have it: lists as long as they claim to be,
    /// texts, maps and sets by the nodes and buckets that they need, what lies behind pointers. What collections and pointers
    /// of derived types ask an allocator for is at no time more than twice that. Not counted are what the allocator itself
    /// adds, and what a `Deserialize` written by hand makes besides the values that it reads; of an `ActorRef` all is counted.
    /// A struct of one field that is as large as a pointer counts as one: 24 bytes or more for each. Less for short messages:
    /// 32 times their bytes and 16 MiB. At least `message_bytes_max`. Default 128 MiB.
    pub decoded_bytes_max: usize,
    /// Bytes of long frames, those beyond 128 KiB, that are being received, from all nodes together. A long frame counts in
    /// full from its beginning to its end; others wait for their turn, and while some wait each has to come with 1 MiB/s and
    /// without a pause of a second; the more wait the quicker, up to 16 times. At least `message_bytes_max`. Default 64 MiB.
    pub receiving_bytes_max: usize,
    /// Bytes of messages accepted for one node that it has neither taken nor refused: waiting here, or on their way. One
    /// actor takes as much of it as stays free for all others, half at most. Default 8 MiB.
    pub unsettled_bytes_max: usize,
    /// As above, messages. Default 65,536.
    pub unsettled_max: usize,
    /// Bytes of replies that wait to be sent to one node. While they take a quarter of it, no more asks of that node are
    /// begun. Should those that were begun before come to more than all of it, because they turn out larger than others of
    /// late, or the node does not read, the last are dropped and their askers told. Other frames have an eighth of it on
    /// top; beyond, the connection is given up. No more than one ask for each 1,024 bytes of it is begun at once, whichever
    /// actors they are for. At least four times `message_bytes_max`. Default 128 MiB.
    pub control_bytes_max: usize,
    /// Requests to one node that wait for their reply. Default 1,048,576.
    pub asks_max: usize,
    /// Monitors that one node holds on another's actors, and that it lets another hold on its own; no more than one for each
    /// 512 bytes of `control_bytes_max`, so that all of them can fire at once. With one more `Down` comes at once, with
    /// `ExitReason::TooManyMonitors`. Default 262,144.
    pub monitors_max: usize,
    /// How long a connection may take to introduce itself, from its first moment on. Default 5 s.
    pub handshake_timeout: Duration,
    /// Connections that have not introduced themselves yet; of more the oldest goes. Without descriptors for others all go that have
    /// not for 250 ms. Default 256.
    pub half_open_max: usize,
    /// Nodes that are remembered. Of more those that are down are forgotten; if none is, others are refused. Default 10,000.
    pub peers_max: usize,
    /// After so much silence the other side is asked whether it is there. Default 1 s.
    pub keep_alive_interval: Duration,
    /// After so much silence the connection is given up. Default 4 s.
    pub max_idle_timeout: Duration,
    /// A node that cannot be reached for so long is down. Default 10 s.
    pub down_after: Duration,
    /// How long a node that cannot be dialled, because it does not listen, may take to connect again after its side ended the
    /// connection without a word, as the kernel does for a process that has died. Then it is down; zero: at once, as in
    /// Erlang. Default 250 ms.
    pub return_timeout: Duration,
    /// How long what was taken may go unacknowledged. Default 5 ms.
    pub ack_delay: Duration,
    /// The shortest pause before a second attempt to connect. Default 4 ms: a process that dies may accept for so long.
    pub reconnect_min: Duration,
    /// The longest pause between attempts to connect. Default 400 ms: with `connect_timeout`, nodes are together again within a
    /// second after the way between them is open.
    pub reconnect_max: Duration,
    /// How long an attempt to reach a node again waits for an answer; must be longer than the round trip. A kernel repeats a
    /// request that got lost after 1, 3, 7 s; asking anew is quicker. Default 500 ms.
    pub connect_timeout: Duration,
}

impl Default for NodeConfig {
    fn default() -> Self {
        Self {
            message_bytes_max: 16 * 1024 * 1024,
            decoded_bytes_max: 128 * 1024 * 1024,
            receiving_bytes_max: 64 * 1024 * 1024,
            unsettled_bytes_max: 8 * 1024 * 1024,
            unsettled_max: 65_536,
            control_bytes_max: 128 * 1024 * 1024,
            asks_max: 1_048_576,
            monitors_max: 262_144,
            handshake_timeout: Duration::from_secs(5),
            half_open_max: 256,
            peers_max: 10_000,
            keep_alive_interval: Duration::from_secs(1),
            max_idle_timeout: Duration::from_secs(4),
            down_after: Duration::from_secs(10),
            return_timeout: Duration::from_millis(250),
            ack_delay: Duration::from_millis(5),
            reconnect_min: Duration::from_millis(4),
            reconnect_max: Duration::from_millis(400),
            connect_timeout: Duration::from_millis(500),
        }
    }
}

/// The codec's own ceiling for one message.
pub const MESSAGE_BYTES_CEILING: u32 = 64 * 1024 * 1024;

impl NodeConfig {
    /// Checks that the bounds make sense together.
    ///
    /// # Errors
    /// [`ConfigError`] names the first one that does not.
    pub fn check(&self) -> Result<(), ConfigError> {
        let rules = [
            ("message_bytes_max must be 1 to 64 MiB", (1..=MESSAGE_BYTES_CEILING).contains(&self.message_bytes_max)),
            ("unsettled_bytes_max must be at least 1,024", self.unsettled_bytes_max >= 1024),
            ("unsettled_max must be at least 1", self.unsettled_max >= 1),
            ("control_bytes_max must be at least 65,536", self.control_bytes_max >= 65_536),
            (
                "control_bytes_max must be at least four times message_bytes_max",
                self.control_bytes_max / 4 >= self.message_bytes_max as usize,
            ),
            (
                "decoded_bytes_max must be at least message_bytes_max",
                self.decoded_bytes_max >= self.message_bytes_max as usize,
            ),
            (
                "receiving_bytes_max must be at least message_bytes_max",
                self.receiving_bytes_max >= self.message_bytes_max as usize,
            ),
            ("asks_max must be at least 1", self.asks_max >= 1),
            ("half_open_max must be at least 1", self.half_open_max >= 1),
            ("peers_max must be at least 1", self.peers_max >= 1),
            ("handshake_timeout must not be zero", !self.handshake_timeout.is_zero()),
            ("keep_alive_interval must not be zero", !self.keep_alive_interval.is_zero()),
            (
                "max_idle_timeout must be longer than keep_alive_interval",
                self.max_idle_timeout > self.keep_alive_interval,
            ),
            ("reconnect_min must not be zero", !self.reconnect_min.is_zero()),
            ("connect_timeout must not be zero", !self.connect_timeout.is_zero()),
            ("reconnect_max must not be shorter than reconnect_min", self.reconnect_max >= self.reconnect_min),
        ];
        rules.iter().find(|(_, holds)| !holds).map_or(Ok(()), |(rule, _)| Err(ConfigError(rule)))
    }

    /// Monitors in one direction between two nodes. What is said of all at once takes no more than half of the room for
    /// frames that are neither messages nor replies.
    pub fn monitors_bound(&self) -> usize {
        self.monitors_max.min(self.control_room() / 2 / DOWN_BYTES)
    }

    /// Asks of another node that may be begun. All of them can fail at once: what is said then takes no more than a quarter of the room
    /// for frames that are neither messages nor replies.
    pub(crate) fn begun_bound(&self) -> usize {
        (self.control_room() / 4 / DOWN_BYTES).max(1)
    }

    /// Frames that may be understood before the answers to them are looked at: a quarter of the room for these is kept free.
    pub fn batch_max(&self) -> usize {
        (self.control_room() / 4 / RESOLVED_BYTES).max(1)
    }

    /// Bytes of frames that may wait and are neither messages nor replies.
    pub(crate) fn control_room(&self) -> usize {
        self.control_bytes_max / 8
    }

    /// Bytes of replies that may wait before no more asks are begun.
    pub(crate) fn reply_budget(&self) -> usize {
        self.control_bytes_max / 4
    }

    /// Bytes of frames that this node holds for one other at most, in both directions: the sum of the bounds in the table above. Not
    /// included is what all nodes share, and what is decoded.
    pub fn peer_bytes_max(&self) -> usize {
        let messages = self.unsettled_bytes_max.saturating_add(self.frame_bytes_max() as usize);
        let answers = self.control_bytes_max.saturating_add(self.control_room() + FRAME_OVERHEAD_BYTES as usize);
        messages.saturating_mul(2).saturating_add(answers).saturating_add(UNPARSED_BYTES_MAX)
    }

    /// Third nodes of which it is noted when they were introduced. All of them are introduced again on the next connection, for
    /// which a quarter of the room for frames that are neither messages nor replies is enough.
    pub(crate) fn node_infos_bound(&self) -> usize {
        NODE_INFOS_MAX.min(self.control_room() / 4 / NODE_INFO_BYTES_MAX)
    }

    /// Bytes of the longest frame this side takes.
    pub(crate) fn frame_bytes_max(&self) -> u32 {
        self.message_bytes_max.saturating_add(FRAME_OVERHEAD_BYTES).max(HANDSHAKE_FRAME_BYTES_MAX)
    }
}

/// A setting that makes no sense: a bound, or a name or address that is too long.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ConfigError(pub(crate) &'static str);

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0)
    }
}

impl std::error::Error for ConfigError {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn defaults_pass_their_own_check() {
        assert_eq!(NodeConfig::default().check(), Ok(()));
    }

    #[test]
    fn monitors_are_as_many_as_can_fire_at_once() {
        let config = NodeConfig::default();
        assert_eq!(config.monitors_bound(), config.monitors_max);
        assert_eq!(NodeConfig { monitors_max: 3, ..config.clone() }.monitors_bound(), 3);
        assert_eq!(NodeConfig { control_bytes_max: 1 << 20, ..config }.monitors_bound(), 2048);
    }

    #[test]
    fn what_is_held_for_one_node_is_the_sum_of_the_table() {
        let mib = |bytes: usize| bytes as f64 / (1024.0 * 1024.0);
        assert!((192.0..192.3).contains(&mib(NodeConfig::default().peer_bytes_max())));
        let endless = NodeConfig { control_bytes_max: usize::MAX, ..NodeConfig::default() };
        assert_eq!(endless.peer_bytes_max(), usize::MAX);
    }

    #[test]
    fn third_nodes_that_are_introduced_again_leave_room_for_answers() {
        let config = NodeConfig::default();
        assert_eq!(config.node_infos_bound(), NODE_INFOS_MAX);
        let least = NodeConfig { control_bytes_max: 65_536, ..config };
        assert!((1..=3).contains(&least.node_infos_bound()));
    }

    #[test]
    fn bounds_that_contradict_each_other_are_named() {
        let config = NodeConfig { max_idle_timeout: Duration::from_millis(1), ..NodeConfig::default() };
        assert_eq!(config.check().unwrap_err().to_string(), "max_idle_timeout must be longer than keep_alive_interval");
        let config = NodeConfig { message_bytes_max: 32 * 1024 * 1024 + 1, ..NodeConfig::default() };
        assert_eq!(
            config.check().unwrap_err().to_string(),
            "control_bytes_max must be at least four times message_bytes_max"
        );
        let config = NodeConfig { message_bytes_max: MESSAGE_BYTES_CEILING + 1, ..NodeConfig::default() };
        assert!(config.check().is_err());
    }
}
