//! Behaviour of lines of tokens: long ones, wide ones, and those whose handles go.

use super::CancellationToken;
use crate::testing::{counting_waker, poll_with};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::pin::pin;

#[test]
fn cancelling_reaches_a_token_whose_parents_have_no_handle_left() {
    let root = CancellationToken::new();
    let leaf = root.child_token().child_token().child_token();
    let (wakes, waker) = counting_waker();
    let mut cancelled = pin!(leaf.cancelled());
    assert!(poll_with(cancelled.as_mut(), &waker).is_pending());
    root.cancel();
    assert!(leaf.is_cancelled() && leaf.child_token().is_cancelled());
    assert_eq!(wakes.count(), 1);
    assert!(poll_with(cancelled, &waker).is_ready());
}

/// Recursion over a line this long overflows the stack of a thread.
const LONG: usize = 100_000;

#[test]
fn a_line_of_any_length_is_cancelled_and_dropped_in_a_loop() {
    let root = CancellationToken::new();
    let line = || (0..LONG).fold(root.child_token(), |last, _| last.child_token());
    drop(line());
    let (leaf, other) = (line(), line());
    assert!(format!("{leaf:?}").contains("cancelled: false"));
    root.cancel();
    assert!(leaf.is_cancelled() && other.is_cancelled());
    drop((leaf, root));
    assert!(other.child_token().is_cancelled());
}

#[test]
fn children_that_are_dropped_leave_nothing_at_their_parent() {
    let root = CancellationToken::new();
    let mut children: Vec<_> = (0..LONG).map(|_| root.child_token()).collect();
    assert_eq!(root.child_count(), LONG);
    children.retain({
        let mut number = 0;
        move |_| {
            number += 1;
            number % 1000 == 0
        }
    });
    assert_eq!(root.child_count(), LONG / 1000);
    // A grandchild keeps its parent where it is.
    let grandchild = children[0].child_token();
    drop(children);
    assert_eq!(root.child_count(), 1);
    root.cancel();
    assert!(grandchild.is_cancelled());
    assert_eq!(root.child_count(), 0);
}

#[test]
fn clones_are_equal_and_children_are_not() {
    let token = CancellationToken::new();
    let (clone, child) = (token.clone(), token.child_token());
    assert!(token == clone && token != child && token != CancellationToken::new());
    let hash = |token: &CancellationToken| {
        let mut hasher = DefaultHasher::new();
        token.hash(&mut hasher);
        hasher.finish()
    };
    assert!(hash(&token) == hash(&clone) && hash(&token) != hash(&child));
}
