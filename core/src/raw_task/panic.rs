//! Panics of foreign code: caught where they must go no further, made a text, and dropped.
//!
//! Foreign is what a user gave to the runtime: a waker, a destructor, the payload of a panic. A thread that runs it on
//! behalf of another party (a worker, a thread of the blocking pool) does so through this file, so that it goes on whatever
//! happens. What is caught here has no other way to be seen, so it is reported: `ERROR`, target `posse::task`.

use super::Id;
use super::waker::is_of_a_task;
use std::any::Any;
use std::mem;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::task::Waker;

/// How often the drop of a payload may throw yet another payload before the last one is leaked. Guessed: one that does so
/// even once is a curiosity.
const PAYLOADS_MAX: usize = 4;

/// Returns the text of a panic payload, if it carries one.
pub(crate) fn panic_text(payload: &(dyn Any + Send)) -> &str {
    if let Some(text) = payload.downcast_ref::<&'static str>() {
        return text;
    }
    payload.downcast_ref::<String>().map_or("a panic without a text", String::as_str)
}

/// Turns the payload of a caught panic into its text and drops it. Never panics: a payload whose own drop does is leaked.
///
/// # Examples
/// ```
/// use posse::task::panic_message;
///
/// let payload = std::panic::catch_unwind(|| panic!("boom {}", 7)).unwrap_err();
/// assert_eq!(panic_message(payload), "boom 7");
/// ```
pub fn panic_message(payload: Box<dyn Any + Send>) -> String {
    let text = panic_text(&*payload).to_owned();
    drop_payload(payload);
    text
}

/// Calls a function that may panic. The error is the text of its panic, as [`panic_message`] makes it.
///
/// What the function was changing when it panicked is as it left it.
///
/// # Errors
/// If it panicked.
///
/// # Examples
/// ```
/// use posse::task::catch;
///
/// assert_eq!(catch(|| "7".parse::<u32>().unwrap()), Ok(7));
/// assert_eq!(catch(|| panic!("boom")).unwrap_err(), "boom");
/// ```
#[inline]
pub fn catch<R>(f: impl FnOnce() -> R) -> Result<R, String> {
    catch_unwind(AssertUnwindSafe(f)).map_err(panic_message)
}

fn drop_payload(payload: Box<dyn Any + Send>) {
    let mut payload = Some(payload);
    // The drop of a payload may panic with another one, which is dropped in turn.
    for _ in 0..PAYLOADS_MAX {
        let Some(prev) = payload.take() else { return };
        payload = catch_unwind(AssertUnwindSafe(|| drop(prev))).err();
    }
    mem::forget(payload);
}

/// Runs foreign code. Its panic ends here and is reported as `what` panicked.
pub(crate) fn catch_panic<R>(what: &'static str, f: impl FnOnce() -> R) -> Option<R> {
    catch(f).map_err(|panic| report(what, panic)).ok()
}

/// Drops what a user made.
pub(crate) fn drop_catching<T>(value: T) {
    catch_panic("a destructor panicked", || drop(value));
}

/// Wakes a task, perhaps of another executor. A task of ours is woken without the guard: its waker does not panic.
#[inline]
pub(crate) fn wake_catching(waker: Waker) {
    if is_of_a_task(&waker) {
        return waker.wake();
    }
    catch_panic("a waker panicked", || waker.wake());
}

/// Wakes many, each of them whatever the others do.
pub(crate) fn wake_all(wakers: impl IntoIterator<Item = Waker>) {
    let mut wakers = wakers.into_iter();
    // A panic has used up the waker that it came from.
    while catch_panic("a waker panicked", || wakers.by_ref().for_each(Waker::wake)).is_none() {}
}

#[cold]
fn report(what: &'static str, panic: String) {
    crate::event!(ERROR, "posse::task", "foreign code panicked", what = %what, reason = %panic);
}

/// Reports the panic of a task whose output is not looked at.
#[cold]
pub(super) fn report_unseen(task: Id, panic: &str) {
    crate::event!(ERROR, "posse::task", "a detached task panicked", task.id = %task, reason = %panic);
}
