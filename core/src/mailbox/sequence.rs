//! In a simulation every message carries who sent it and when, so that its inbox can check the promised order.

use crate::raw_task::Id;
use crate::raw_task::current;
use crate::sim::SimContext;
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};

/// What a message carries.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct SeqNo {
    sender: Option<Id>,
    /// From 1 on; 0 says that it was not stamped.
    number: u64,
}

/// Numbers the messages to a cell.
#[derive(Debug, Default)]
pub(super) struct Sequencer(AtomicU64);

impl Sequencer {
    /// Outside of a simulation no message is numbered: there is no report to write, and what is seen of each sender would never be forgotten.
    pub(super) fn next(&self) -> SeqNo {
        if SimContext::current().is_none() {
            return SeqNo::default();
        }
        let number = self.0.fetch_add(1, Ordering::AcqRel) + 1;
        SeqNo { sender: current::current_task_id(), number }
    }
}

/// What an inbox has seen of each sender.
#[derive(Debug, Default)]
pub(super) struct OrderChecker(BTreeMap<Option<Id>, u64>);

impl OrderChecker {
    /// A message comes out: later than every one of the same sender that came out before, and for the first time.
    pub(super) fn check(&mut self, seq_no: SeqNo) {
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

/// A mailbox took a message: it must not hold more than it may.
pub(super) fn check_bound(is_above: bool) {
    if is_above {
        report(|| "a mailbox holds more messages than it may".to_owned());
    }
}

fn report(text: impl FnOnce() -> String) {
    if let Some(simulation) = SimContext::current() {
        simulation.report(text());
    }
}
