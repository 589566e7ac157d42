//! The Posse node protocol as a sans-IO state machine.
#![forbid(unsafe_code)]
