//! Scopes nest, and end with a panic too.

use super::*;
use std::panic::catch_unwind;

thread_local! {
    static VALUE: Cell<u32> = const { Cell::new(0) };
}

#[test]
fn each_scope_restores_what_was_before_it() {
    let _outer = Scoped::set(&VALUE, 1);
    {
        let _inner = Scoped::set(&VALUE, 2);
        assert_eq!(VALUE.get(), 2);
    }
    assert_eq!(VALUE.get(), 1);
}

#[test]
fn a_panic_ends_the_scope() {
    let panicked = catch_unwind(|| {
        let _scope = Scoped::set(&VALUE, 7);
        panic!("on purpose");
    });
    assert!(panicked.is_err());
    assert_eq!(VALUE.get(), 0);
}
