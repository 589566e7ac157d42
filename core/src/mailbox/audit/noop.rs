//! The audit of a program: no size, no work.

#[derive(Clone, Copy, Debug, Default)]
pub(in crate::mailbox) struct SeqNo {}

#[derive(Debug, Default)]
pub(in crate::mailbox) struct Sequencer {}

impl Sequencer {
    #[inline(always)]
    pub(in crate::mailbox) fn stamp(&self, _: &mut SeqNo) {}
}

#[derive(Debug, Default)]
pub(in crate::mailbox) struct OrderChecker {}

impl OrderChecker {
    #[inline(always)]
    pub(in crate::mailbox) fn check(&mut self, _: SeqNo) {}
}

#[derive(Debug, Default)]
pub(in crate::mailbox) struct OverCapacity {}

impl OverCapacity {
    #[inline(always)]
    pub(in crate::mailbox) fn add(&self) {}

    #[inline(always)]
    pub(in crate::mailbox) fn check(&self, _: usize, _: impl FnOnce() -> usize) {}
}
