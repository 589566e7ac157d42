//! stub
#![allow(missing_docs)]
use std::time::Duration;
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Instant(u64);
impl Instant {
    pub fn since_origin(self) -> Duration {
        Duration::from_nanos(self.0)
    }
    pub fn saturating_duration_since(self, o: Instant) -> Duration {
        Duration::from_nanos(self.0.saturating_sub(o.0))
    }
}
#[derive(Clone, Debug)]
pub struct Clock;
impl Clock {
    pub fn real() -> Self {
        Clock
    }
    pub fn manual() -> Self {
        Clock
    }
    pub fn now(&self) -> Instant {
        Instant(0)
    }
    pub fn is_manual(&self) -> bool {
        false
    }
    pub fn advance(&self, _: Duration) {}
}
#[derive(Debug)]
pub(crate) struct Timers;
impl Timers {
    pub fn new(_: usize) -> Self {
        Timers
    }
    pub fn fire(&self, _: usize, _: Instant) -> usize {
        0
    }
    pub fn next_deadline(&self, _: usize) -> Option<Instant> {
        None
    }
}
