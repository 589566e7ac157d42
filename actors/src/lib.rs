//! Actors with supervision and network-transparent messaging, on their own work-stealing runtime.
#![forbid(unsafe_code)]
