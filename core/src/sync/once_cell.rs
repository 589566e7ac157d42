//! A value that is made once, by an async function, when it is first needed.

use super::semaphore::Semaphore;
use crate::loom::const_unless_loom;
use crate::raw_task::wait_kind::WaitKind;
use std::convert::Infallible;
use std::fmt;
use std::future::Future;
use std::sync::OnceLock;

/// A place for a value that is set once. Of the tasks that would make it one at a time tries; the others wait.
///
/// # Examples
/// ```
/// use posse::sync::OnceCell;
///
/// static CONFIG: OnceCell<String> = OnceCell::new();
///
/// # posse::runtime::Runtime::new().unwrap().block_on(async {
/// let config = CONFIG.get_or_init(|| async { "read once".to_owned() }).await;
/// assert_eq!(config, "read once");
/// assert_eq!(CONFIG.get().map(String::as_str), Some("read once"));
/// # });
/// ```
pub struct OnceCell<T> {
    value: OnceLock<T>,
    /// One permit: who has it may make the value.
    semaphore: Semaphore,
}

/// Why [`OnceCell::set`] did not set; the value comes back.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum SetError<T> {
    /// There is a value.
    AlreadyInitializedError(T),
    /// A task is about to make one.
    InitializingError(T),
}

impl<T> fmt::Debug for SetError<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::AlreadyInitializedError(_) => "AlreadyInitializedError(..)",
            Self::InitializingError(_) => "InitializingError(..)",
        })
    }
}

impl<T> fmt::Display for SetError<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::AlreadyInitializedError(_) => "the cell has a value",
            Self::InitializingError(_) => "the cell's value is being made",
        })
    }
}

impl<T> std::error::Error for SetError<T> {}

impl<T> OnceCell<T> {
    const_unless_loom! {
        /// A cell without a value.
        #[doc(alias = "const_new")]
        pub fn new() -> Self {
            Self { value: OnceLock::new(), semaphore: Semaphore::new(1) }
        }
    }

    /// Returns the value, if there is one.
    pub fn get(&self) -> Option<&T> {
        self.value.get()
    }

    /// Returns the value for changing it, if there is one.
    pub fn get_mut(&mut self) -> Option<&mut T> {
        self.value.get_mut()
    }

    /// Returns true if there is a value.
    pub fn initialized(&self) -> bool {
        self.get().is_some()
    }

    /// Sets the value.
    ///
    /// # Errors
    /// [`SetError`] with the value, if there is one already or a task makes one.
    pub fn set(&self, value: T) -> Result<(), SetError<T>> {
        if self.initialized() {
            return Err(SetError::AlreadyInitializedError(value));
        }
        match self.semaphore.try_acquire() {
            Ok(_permit) => self.value.set(value).map_err(SetError::AlreadyInitializedError),
            Err(_) => Err(SetError::InitializingError(value)),
        }
    }

    /// Returns the value, made by `init` if there is none. `init` may be called although another task's is running, if that one is
    /// dropped or panics.
    ///
    /// # Cancel safety
    /// Dropping the future drops what `init` has begun; the next task in line tries.
    pub async fn get_or_init<F, Fut>(&self, init: F) -> &T
    where
        F: FnOnce() -> Fut,
        Fut: Future<Output = T>,
    {
        match self.get_or_try_init(|| async { Ok::<T, Infallible>(init().await) }).await {
            Ok(value) => value,
            Err(never) => match never {},
        }
    }

    /// Returns the value, made by `init` if there is none.
    ///
    /// # Errors
    /// What `init` returns; the next task in line tries.
    ///
    /// # Cancel safety
    /// As [`get_or_init`](Self::get_or_init).
    pub async fn get_or_try_init<E, F, Fut>(&self, init: F) -> Result<&T, E>
    where
        F: FnOnce() -> Fut,
        Fut: Future<Output = Result<T, E>>,
    {
        crate::raw_task::yielding::consume_budget().await;
        if let Some(value) = self.get() {
            return Ok(value);
        }
        // The semaphore is never closed.
        let _permit = self.semaphore.wait(1, WaitKind::Value).await.ok().map(|()| self.semaphore.permit(1));
        if let Some(value) = self.get() {
            return Ok(value);
        }
        // The one that had the permit before has failed or was dropped.
        let value = init().await?;
        Ok(self.value.get_or_init(|| value))
    }

    /// Returns the value, if there is one.
    pub fn into_inner(self) -> Option<T> {
        self.value.into_inner()
    }

    /// Takes the value out, if there is one.
    pub fn take(&mut self) -> Option<T> {
        self.value.take()
    }
}

impl<T> Default for OnceCell<T> {
    fn default() -> Self {
        Self::new()
    }
}

impl<T> From<T> for OnceCell<T> {
    fn from(value: T) -> Self {
        Self { value: value.into(), semaphore: Semaphore::new(1) }
    }
}

impl<T: Clone> Clone for OnceCell<T> {
    fn clone(&self) -> Self {
        self.get().cloned().map_or_else(Self::new, Self::from)
    }
}

impl<T: PartialEq> PartialEq for OnceCell<T> {
    fn eq(&self, other: &Self) -> bool {
        self.get() == other.get()
    }
}

impl<T: Eq> Eq for OnceCell<T> {}

impl<T: fmt::Debug> fmt::Debug for OnceCell<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("OnceCell").field(&self.get()).finish()
    }
}

#[cfg(all(test, posse_loom))]
mod loom_models {
    use super::*;
    use crate::testing::{counting_waker, poll_with};
    use std::pin::pin;
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::task::Poll;

    /// Two would make the value at the same time; one of them may give up in the middle. It is made once, and who waits meanwhile has
    /// it, or its turn.
    #[test]
    fn loom_one_makes_the_value_and_who_waits_is_woken() {
        for gives_up in [false, true] {
            loom::model(move || {
                let (cell, made) = (Arc::new(OnceCell::new()), Arc::new(AtomicUsize::new(0)));
                let other = {
                    let (cell, made) = (cell.clone(), made.clone());
                    loom::thread::spawn(move || {
                        let mut step = false;
                        let making = async {
                            std::future::poll_fn(|_| match std::mem::replace(&mut step, true) {
                                true => Poll::Ready(()),
                                false => Poll::Pending,
                            })
                            .await;
                            made.fetch_add(1, Ordering::SeqCst);
                            1
                        };
                        let mut getting = Box::pin(cell.get_or_init(|| making));
                        let (wakes, waker) = counting_waker();
                        let first = poll_with(getting.as_mut(), &waker).is_ready();
                        // In the middle of it, or in line, or there is a value.
                        let second = !gives_up && (first || poll_with(getting.as_mut(), &waker).is_ready());
                        drop(getting);
                        drop(wakes);
                        first || second
                    })
                };
                let get = || {
                    let made = made.clone();
                    cell.get_or_init(move || async move {
                        made.fetch_add(1, Ordering::SeqCst);
                        2
                    })
                };
                let (wakes, waker) = counting_waker();
                let mut getting = pin!(get());
                let first = poll_with(getting.as_mut(), &waker).is_ready();
                let _ = other.join().unwrap();
                if !first {
                    assert_eq!(wakes.count(), 1, "it waits for ever");
                    assert!(poll_with(getting.as_mut(), &waker).is_ready());
                }
                assert_eq!(made.load(Ordering::SeqCst), 1);
                assert!(cell.initialized());
            });
        }
    }
}
