//! Async TCP and UDP sockets, I/O traits and framing on the Posse runtime.
#![forbid(unsafe_code)]
