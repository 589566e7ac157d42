//! Mailbox primitive.
