//! The runtime under Posse: a work-stealing executor, a reactor on the operating system's event queue, timers,
//! synchronisation, and the mailbox primitive that actors are built on.
#![allow(dead_code, unused_imports)]

mod shim;
