//! A value that is set once and waited for.

use crate::loom::const_unless_loom;
use crate::raw_task::wait_kind::WaitKind;
use crate::wait_set::WaitSet;
use std::fmt;
use std::sync::OnceLock;

/// A place for a value that is set once; tasks wait until it is there. Unlike [`OnceCell`](super::OnceCell) those who wait do
/// not make it.
///
/// # Examples
/// ```
/// use posse::sync::SetOnce;
///
/// static ADDRESS: SetOnce<u16> = SetOnce::new();
///
/// # posse::runtime::Runtime::new().unwrap().block_on(async {
/// let waiting = posse::task::spawn(async { *ADDRESS.wait().await });
/// ADDRESS.set(8080).unwrap();
/// assert_eq!(waiting.await.unwrap(), 8080);
/// assert!(ADDRESS.set(1).is_err());
/// # });
/// ```
pub struct SetOnce<T> {
    value: OnceLock<T>,
    waiters: WaitSet,
}

/// There is a value; the one that was to be set comes back.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct SetOnceError<T>(pub T);

impl<T> fmt::Debug for SetOnceError<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SetOnceError(..)")
    }
}

impl<T> fmt::Display for SetOnceError<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the value was set before")
    }
}

impl<T> std::error::Error for SetOnceError<T> {}

impl<T> SetOnce<T> {
    const_unless_loom! {
        /// A place without a value.
        #[doc(alias = "const_new")]
        pub fn new() -> Self {
            Self { value: OnceLock::new(), waiters: WaitSet::new() }
        }
    }

    /// Sets the value and wakes those who wait.
    ///
    /// # Errors
    /// [`SetOnceError`] with the value, if there is one.
    pub fn set(&self, value: T) -> Result<(), SetOnceError<T>> {
        self.value.set(value).map_err(SetOnceError)?;
        self.waiters.wake_all();
        Ok(())
    }

    /// Returns the value, if there is one.
    pub fn get(&self) -> Option<&T> {
        self.value.get()
    }

    /// Returns true if there is a value.
    pub fn initialized(&self) -> bool {
        self.get().is_some()
    }

    /// Waits for the value.
    ///
    /// # Cancel safety
    /// Dropping the future has no effect.
    pub async fn wait(&self) -> &T {
        self.waiters.until(WaitKind::Value, || self.get()).await
    }

    /// Returns the value, if there is one.
    pub fn into_inner(self) -> Option<T> {
        self.value.into_inner()
    }
}

impl<T> Default for SetOnce<T> {
    fn default() -> Self {
        Self::new()
    }
}

impl<T> From<T> for SetOnce<T> {
    fn from(value: T) -> Self {
        Self { value: value.into(), waiters: WaitSet::new() }
    }
}

impl<T: fmt::Debug> fmt::Debug for SetOnce<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("SetOnce").field(&self.get()).finish()
    }
}

#[cfg(all(test, posse_loom))]
mod loom_models {
    use super::*;
    use crate::testing::{counting_waker, poll_with};
    use std::pin::pin;
    use std::sync::Arc;
    use std::task::Poll;

    #[test]
    fn loom_who_waits_sees_the_value_or_is_woken() {
        loom::model(|| {
            let place = Arc::new(SetOnce::new());
            let setters = [1, 2].map(|value| {
                let place = place.clone();
                loom::thread::spawn(move || place.set(value).is_ok())
            });
            let (wakes, waker) = counting_waker();
            let mut waiting = pin!(place.wait());
            let first = poll_with(waiting.as_mut(), &waker);
            let set = setters.map(|setter| setter.join().unwrap());
            assert_eq!(set.iter().filter(|was_first| **was_first).count(), 1);
            let expected = if set[0] { &1 } else { &2 };
            if first.is_pending() {
                assert_eq!(wakes.count(), 1);
                assert_eq!(poll_with(waiting, &waker), Poll::Ready(expected));
            } else {
                assert_eq!(first, Poll::Ready(expected));
            }
        });
    }
}
