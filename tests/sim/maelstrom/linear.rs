//! Whether a history of one register is linearizable: whether all operations can have happened one after the other, each
//! at a moment between its beginning and its end. Plain data, no simulation.
//!
//! Source: "Testing and Verifying Concurrent Objects" (Wing and Gong, 1993): a search for the order, with what was tried
//! remembered as in "Testing for Linearizability" (Lowe, 2017). Registers allow two short cuts. A read that fits the value
//! now can go first: it changes nothing. A write whose outcome is not known and whose value nobody has read can be left
//! out, if each value is written once.

use std::collections::BTreeSet;

/// Operations on one register. Guessed: more than a test of a minute does.
const OPERATIONS_MAX: usize = 64 * WORDS;

/// Words of a set of operations.
const WORDS: usize = 8;

/// States that are looked at before the search gives up. Guessed: some seconds.
const STATES_MAX: usize = 1_000_000;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    Write(u64),
    /// What was read; `None` from a register that was never written.
    Read(Option<u64>),
}

/// One operation on the register. Moments are numbers, each used once. Reads have ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Operation {
    pub called: u64,
    /// When it ended; `None` if nobody knows whether it has happened or will.
    pub returned: Option<u64>,
    pub action: Action,
}

/// What the search came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    Linearizable,
    /// There is no order. So many operations, of those that have ended, fit at best.
    Not {
        fitting: usize,
    },
    TooLong,
}

/// Looks for an order. Each value must be written once at most.
pub fn check(history: &[Operation]) -> Verdict {
    let was_read = |value| history.iter().any(|operation| operation.action == Action::Read(Some(value)));
    let mut operations: Vec<Operation> = history
        .iter()
        .filter(|operation| match operation.action {
            Action::Write(value) => operation.returned.is_some() || was_read(value),
            Action::Read(_) => true,
        })
        .copied()
        .collect();
    if operations.len() > OPERATIONS_MAX {
        return Verdict::TooLong;
    }

    // Those that ended first are tried first.
    operations.sort_by_key(Operation::end);
    let required = operations.iter().filter(|operation| operation.returned.is_some()).count();
    let mut search = Search { operations, required, tried: BTreeSet::new(), fitting: 0 };
    match search.go(Set::default(), None) {
        true => Verdict::Linearizable,
        false if search.tried.len() >= STATES_MAX => Verdict::TooLong,
        false => Verdict::Not { fitting: search.fitting },
    }
}

impl Operation {
    fn end(&self) -> u64 {
        self.returned.unwrap_or(u64::MAX)
    }
}

/// A set of operations.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
struct Set([u64; WORDS]);

impl Set {
    fn contains(&self, index: usize) -> bool {
        self.0[index / 64] & (1 << (index % 64)) != 0
    }

    fn with(mut self, index: usize) -> Self {
        self.0[index / 64] |= 1 << (index % 64);
        self
    }
}

struct Search {
    operations: Vec<Operation>,
    /// How many have ended, and must have happened. They come first.
    required: usize,
    /// What had happened, and the value then.
    tried: BTreeSet<(Set, Option<u64>)>,
    fitting: usize,
}

impl Search {
    /// Whether the rest can follow when `happened` has, and the register holds `value`.
    fn go(&mut self, mut happened: Set, value: Option<u64>) -> bool {
        while let Some(read) = self.next(happened).find(|&index| self.operations[index].action == Action::Read(value)) {
            happened = happened.with(read);
        }
        let fitting = (0..self.required).filter(|&index| happened.contains(index)).count();
        self.fitting = self.fitting.max(fitting);
        if fitting == self.required {
            return true;
        }
        if self.tried.len() >= STATES_MAX || !self.tried.insert((happened, value)) {
            return false;
        }
        let next: Vec<usize> = self.next(happened).collect();
        next.into_iter().any(|index| match self.operations[index].action {
            Action::Write(value) => self.go(happened.with(index), Some(value)),
            Action::Read(_) => false,
        })
    }

    /// What can happen next: what had begun before anything else of the rest ended.
    fn next(&self, happened: Set) -> impl Iterator<Item = usize> {
        let rest = move |index: &usize| !happened.contains(*index);
        // They are in the order of their ends.
        let first_end = (0..self.operations.len()).find(rest).map_or(0, |index| self.operations[index].end());
        (0..self.operations.len()).filter(rest).filter(move |&index| self.operations[index].called < first_end)
    }
}

#[cfg(test)]
mod tests {
    use super::Action::{Read, Write};
    use super::*;

    /// Operations from (called, returned, action); 0 for not returned.
    fn history(operations: &[(u64, u64, Action)]) -> Vec<Operation> {
        let operation =
            |&(called, returned, action)| Operation { called, returned: (returned > 0).then_some(returned), action };
        operations.iter().map(operation).collect()
    }

    fn is_linearizable(operations: &[(u64, u64, Action)]) -> bool {
        let verdict = check(&history(operations));
        assert_ne!(verdict, Verdict::TooLong);
        verdict == Verdict::Linearizable
    }

    #[test]
    fn nothing_and_one_after_the_other_are_linearizable() {
        assert!(is_linearizable(&[]));
        assert!(is_linearizable(&[(1, 2, Read(None)), (3, 4, Write(1)), (5, 6, Read(Some(1)))]));
    }

    #[test]
    fn a_stale_read_is_not() {
        assert!(!is_linearizable(&[(1, 2, Write(1)), (3, 4, Write(2)), (5, 6, Read(Some(1)))]));
        assert!(!is_linearizable(&[(1, 2, Write(1)), (3, 4, Read(None))]));
    }

    #[test]
    fn a_read_beside_a_write_may_see_it_or_not() {
        for value in [None, Some(1)] {
            assert!(is_linearizable(&[(1, 4, Write(1)), (2, 3, Read(value))]));
        }
        assert!(!is_linearizable(&[(1, 4, Write(1)), (2, 3, Read(Some(9)))]));
    }

    #[test]
    fn a_value_that_was_seen_stays_seen() {
        // New, then old, by two readers one after the other, while the write goes on: the inversion that write-back is for.
        let inversion = [(1, 10, Write(1)), (2, 3, Read(Some(1))), (4, 5, Read(None))];
        assert!(!is_linearizable(&inversion));
        let beside = [(1, 10, Write(1)), (2, 5, Read(Some(1))), (3, 4, Read(None))];
        assert!(is_linearizable(&beside));
    }

    #[test]
    fn a_write_of_unknown_outcome_may_happen_at_any_time_or_never() {
        let unknown = (1, 0, Write(1));
        assert!(is_linearizable(&[unknown, (2, 3, Read(None)), (4, 5, Read(None))]));
        assert!(is_linearizable(&[unknown, (2, 3, Read(None)), (4, 5, Read(Some(1)))]));
        assert!(is_linearizable(&[unknown, (2, 3, Write(2)), (4, 5, Read(Some(2))), (6, 7, Read(Some(1)))]));
        assert!(!is_linearizable(&[unknown, (2, 3, Read(Some(1))), (4, 5, Read(None))]));
        assert!(!is_linearizable(&[unknown, (2, 3, Write(2)), (4, 5, Read(Some(1))), (6, 7, Read(Some(2)))]));
    }

    #[test]
    fn a_value_is_not_read_before_it_is_written() {
        assert!(!is_linearizable(&[(1, 2, Read(Some(1))), (3, 4, Write(1))]));
        assert!(!is_linearizable(&[(1, 2, Read(Some(1))), (3, 0, Write(1))]));
    }

    #[test]
    fn writes_side_by_side_have_one_order_for_all_readers() {
        let writes = [(1, 3, Write(1)), (2, 4, Write(2))];
        let reads = |a, b| [(5, 6, Read(Some(a))), (7, 8, Read(Some(b)))];
        assert!(is_linearizable(&[writes, reads(1, 1)].concat()));
        assert!(is_linearizable(&[writes, reads(2, 2)].concat()));
        assert!(!is_linearizable(&[writes, reads(1, 2)].concat()));
    }

    #[test]
    fn many_writes_side_by_side_are_searched_in_time() {
        let writes = (0..12).map(|n| (1 + n, 100 + n, Write(n)));
        let reads = (0..12).map(|n| (200 + 2 * n, 201 + 2 * n, Read(Some(5))));
        let mut operations: Vec<_> = writes.chain(reads).collect();
        assert!(is_linearizable(&operations));
        operations.push((300, 301, Read(None)));
        assert_eq!(check(&history(&operations)), Verdict::Not { fitting: 24 });
    }
}
