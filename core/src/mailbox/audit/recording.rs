//! In a simulation every message carries who sent it and when, so that its inbox can check the promised order.

use crate::raw_task::Id;
use crate::raw_task::current;
use crate::sim::env::SimContext;
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

/// What a message carries.
#[derive(Clone, Copy, Debug, Default)]
pub(in crate::mailbox) struct SeqNo {
    sender: Option<Id>,
    /// From 1 on; 0 says that it was not stamped.
    number: u64,
}

/// Numbers the messages to a cell.
#[derive(Debug, Default)]
pub(in crate::mailbox) struct Sequencer(AtomicU64);

impl Sequencer {
    /// Outside of a simulation no message is numbered: there is no report to write, and what is seen of each sender would never be forgotten.
    pub(in crate::mailbox) fn stamp(&self, seq_no: &mut SeqNo) {
        if SimContext::current().is_some() {
            let number = self.0.fetch_add(1, Ordering::AcqRel) + 1;
            *seq_no = SeqNo { sender: current::current_task_id(), number };
        }
    }
}

/// What an inbox has seen of each sender.
#[derive(Debug, Default)]
pub(in crate::mailbox) struct OrderChecker(BTreeMap<Option<Id>, u64>);

impl OrderChecker {
    /// A message comes out: later than every one of the same sender that came out before, and for the first time.
    pub(in crate::mailbox) fn check(&mut self, seq_no: SeqNo) {
        if seq_no.number == 0 {
            return;
        }
        let prev = self.0.insert(seq_no.sender, seq_no.number).unwrap_or(0);
        if prev < seq_no.number {
            return;
        }
        report(|| format!("message {} of a sender came out of a mailbox after its message {prev}", seq_no.number));
    }
}

/// Messages that a mailbox accepted beyond its bound, as may be.
#[derive(Debug, Default)]
pub(in crate::mailbox) struct OverCapacity(AtomicUsize);

impl OverCapacity {
    pub(in crate::mailbox) fn add(&self) {
        self.0.fetch_add(1, Ordering::AcqRel);
    }

    /// A mailbox took a message: it must not hold more than it may.
    pub(in crate::mailbox) fn check(&self, capacity: usize, count: impl FnOnce() -> usize) {
        if count() > capacity.saturating_add(self.0.load(Ordering::Acquire)) {
            report(|| "a mailbox holds more messages than it may".to_owned());
        }
    }
}

fn report(text: impl FnOnce() -> String) {
    if let Some(simulation) = SimContext::current() {
        simulation.report(text());
    }
}
