//! An adaptive concurrency limit, as services have for requests: how many asks of another node may be worked on at once, so
//! that their replies find room while it reads them.
//!
//! It is unknown how large a reply will be. The next one is expected to be as large as the largest of late, and the first as
//! large as any may be: few asks are begun at first, and twice as many with each millisecond in which asks wait and no
//! reply comes, so asks that take long hold up no other for long. While too much waits to be read none is begun.

use std::time::Duration;

/// Of what is expected, so much is forgotten with each reply. Guessed.
const DECAY: usize = 64;

/// More asks may be begun after this time without a reply. Guessed.
pub(crate) const DOUBLING_INTERVAL: Duration = Duration::from_millis(1);

/// Times that their number is doubled at most. Guessed.
const DOUBLINGS_MAX: u32 = 30;

#[derive(Debug)]
pub(crate) struct ConcurrencyLimit {
    /// Bytes of replies that may wait before no more asks are begun.
    budget: usize,
    /// Bytes that the next reply is expected to have. Raised by a larger reply, lowered by each smaller one.
    expected: usize,
    /// How often the number was doubled because asks waited and no reply came. Each reply takes one back.
    doublings: u32,
    /// Since when asks wait, or since the last doubling; `None` while none waits, and after a reply.
    waiting_since: Option<Duration>,
}

impl ConcurrencyLimit {
    pub(crate) fn new(budget: usize, reply_bytes_max: usize) -> Self {
        Self { budget, expected: reply_bytes_max, doublings: 0, waiting_since: None }
    }

    /// A reply is ready to be sent.
    pub(crate) fn replied(&mut self, bytes: usize) {
        self.expected = bytes.max(self.expected - self.expected.div_ceil(DECAY));
        self.doublings = self.doublings.saturating_sub(1);
        self.waiting_since = None;
    }

    /// How many more asks may be begun, with this many begun and this many bytes of replies waiting. `asks_wait`: some do.
    pub(crate) fn allowance(&mut self, now: Duration, begun: usize, reply_bytes: usize, asks_wait: bool) -> usize {
        if !asks_wait {
            self.waiting_since = None;
        } else if now >= self.waiting_since.get_or_insert(now).saturating_add(DOUBLING_INTERVAL) {
            self.doublings = (self.doublings + 1).min(DOUBLINGS_MAX);
            self.waiting_since = Some(now);
        }
        if reply_bytes >= self.budget {
            self.doublings = 0;
            return 0;
        }
        let fit = ((self.budget - reply_bytes) / self.expected.max(1)).max(1);
        fit.saturating_mul(1 << self.doublings).saturating_sub(begun)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: Duration = Duration::from_millis(1);

    #[test]
    fn first_replies_are_expected_to_be_large_and_small_ones_let_more_begin() {
        let mut limit = ConcurrencyLimit::new(32 << 20, 16 << 20);
        assert_eq!(limit.allowance(MS, 0, 0, false), 2);
        assert_eq!(limit.allowance(MS, 1, 0, false), 1);
        (0..1000).for_each(|_| limit.replied(100));
        assert!(limit.allowance(MS, 0, 0, false) > 300_000);
        limit.replied(8 << 20);
        assert_eq!(limit.allowance(MS, 0, 0, false), 4);
    }

    #[test]
    fn nothing_begins_while_too_much_waits_to_be_read() {
        let mut limit = ConcurrencyLimit::new(32 << 20, 16 << 20);
        (0..1000).for_each(|_| limit.replied(100));
        for ms in 0..1000 {
            assert_eq!(limit.allowance(MS * ms, 0, 32 << 20, true), 0);
        }
        assert!(limit.allowance(MS * 1000, 0, (32 << 20) - 1, true) > 0);
    }

    #[test]
    fn asks_that_take_long_hold_up_the_others_for_milliseconds() {
        let mut limit = ConcurrencyLimit::new(32 << 20, 16 << 20);
        let (mut begun, mut ms) = (0, 0);
        while begun < 1000 {
            begun += limit.allowance(MS * ms, begun, 0, true);
            ms += 1;
        }
        assert!(ms <= 12, "{ms}");
    }
}
