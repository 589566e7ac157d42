//! The numbers that frames carry for reasons, and their names. An unknown number keeps its value.

use std::fmt;

/// Writes an enum of codes with a last variant for numbers that are not known.
macro_rules! codes {
    ($(#[$doc:meta])* $name:ident { $($(#[$variant_doc:meta])* $variant:ident = $value:literal, $text:literal;)+ }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        #[non_exhaustive]
        pub enum $name {
            $($(#[$variant_doc])* $variant,)+
            /// A number this version does not know.
            Other(u16),
        }

        impl $name {
            /// The number on the wire.
            pub fn to_u16(self) -> u16 {
                match self {
                    $(Self::$variant => $value,)+
                    Self::Other(code) => code,
                }
            }

            /// What a number stands for.
            pub fn from_u16(code: u16) -> Self {
                match code {
                    $($value => Self::$variant,)+
                    other => Self::Other(other),
                }
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                match self {
                    $(Self::$variant => f.write_str($text),)+
                    Self::Other(code) => write!(f, "code {code}"),
                }
            }
        }

        impl std::error::Error for $name {}

        #[cfg(test)]
        impl $name {
            const KNOWN: &'static [Self] = &[$(Self::$variant,)+];
        }
    };
}

codes! {
    /// Why a connection was rejected (REJECT) or ended (GOAWAY).
    CloseReason {
        /// The rules of the protocol were broken.
        Protocol = 1, "the protocol was violated";
        /// No version of the protocol that both sides speak.
        Version = 2, "no common version of the protocol";
        /// The cluster has another name.
        Cluster = 3, "another cluster";
        /// The credentials are not right.
        Auth = 4, "not authenticated";
        /// A later incarnation of the node is known already.
        Stale = 5, "a later incarnation of the node is known, perhaps another process of its name";
        /// The incarnation was declared down.
        Quarantined = 6, "this incarnation was declared down";
        /// Another connection between the two nodes is being made.
        Simultaneous = 7, "another connection is being made";
        /// There is a connection between the two nodes already.
        AlreadyConnected = 8, "already connected";
        /// A bound was reached.
        Overloaded = 9, "overloaded";
        /// The node shuts down.
        Shutdown = 10, "the node shuts down";
        /// Something is required that this side does not know.
        Unsupported = 11, "a required feature is not supported";
        /// The node has connected to itself.
        SelfConnect = 12, "the node has connected to itself";
        /// Nothing was heard for too long.
        IdleTimeout = 13, "silent for too long";
    }
}

codes! {
    /// Why an ask gets no reply (REPLY_ERR).
    ReplyCode {
        /// The mailbox was full.
        Full = 1, "the mailbox is full";
        /// The actor ended before it began with the message.
        Stopped = 2, "the actor has stopped";
        /// There is no such actor, or no longer.
        NoSuchActor = 3, "there is no such actor";
        /// The actor failed while it handled the message.
        Crashed = 4, "the actor crashed while it handled the message";
        /// The deadline had passed before the message was begun.
        Expired = 5, "the deadline had passed";
        /// The other side knows another form of the message, or does not know it.
        Incompatible = 6, "the message has another form there";
        /// The message could not be decoded.
        Decode = 7, "the message could not be decoded";
        /// The reply could not be encoded, or is too large.
        Encode = 8, "the reply could not be encoded";
        /// The actor asked itself.
        Deadlock = 9, "an actor that asks itself waits for itself for ever";
        /// The handler ended without a reply.
        NoReply = 10, "there will be no reply";
    }
}

codes! {
    /// Why a monitored actor ended, or is not monitored (DOWN).
    DownCode {
        /// It came to its end.
        Normal = 1, "it came to its end";
        /// It was shut down.
        Shutdown = 2, "it was shut down";
        /// It was killed.
        Killed = 3, "it was killed";
        /// It failed; the text says how.
        Failed = 4, "it failed";
        /// Its node is gone.
        NodeDown = 5, "its node is down";
        /// There was no such actor when the monitor arrived.
        NoSuchActor = 6, "there was no such actor";
        /// It is not monitored, and may live: its node takes no more monitors of the one that asks.
        TooManyMonitors = 7, "it is not monitored: there are too many monitors between the two nodes";
    }
}

/// Why the receiving side rejected a message: each has a counter of its own in every ACK.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RejectReason {
    /// No such actor, or it has ended.
    Stopped,
    /// The mailbox was full.
    Full,
    /// The bytes were not the message they were said to be, or the actor does not know it.
    Unreadable,
    /// Its deadline had passed.
    Expired,
}

impl RejectReason {
    /// How many there are.
    pub const COUNT: usize = 4;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_number_comes_back_as_itself() {
        for code in 0..=u16::MAX {
            assert_eq!(CloseReason::from_u16(code).to_u16(), code);
            assert_eq!(ReplyCode::from_u16(code).to_u16(), code);
            assert_eq!(DownCode::from_u16(code).to_u16(), code);
        }
    }

    #[test]
    fn numbers_are_those_of_the_specification() {
        let numbers = |codes: &[CloseReason]| codes.iter().map(|code| code.to_u16()).collect::<Vec<_>>();
        assert_eq!(numbers(CloseReason::KNOWN), (1..=13).collect::<Vec<_>>());
        assert_eq!(ReplyCode::KNOWN.iter().map(|code| code.to_u16()).collect::<Vec<_>>(), (1..=10).collect::<Vec<_>>());
        assert_eq!(DownCode::KNOWN.iter().map(|code| code.to_u16()).collect::<Vec<_>>(), (1..=7).collect::<Vec<_>>());
    }
}
