//! `task_local!`: values that belong to a future, wherever it is polled.
//!
//! While the future is polled or dropped its value lies in a thread-local; between polls it lies with the future. Both are swapped,
//! so scopes nest, and what the thread had before comes back also after a panic.

use std::cell::RefCell;
use std::fmt;
use std::future::Future;
use std::mem;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::thread::LocalKey as ThreadLocal;

/// Declares values that belong to a task, or to a part of one: see [`LocalKey`](crate::task::LocalKey).
///
/// # Examples
/// ```
/// posse::task_local! {
///     /// Whom the request is from.
///     static USER: String;
/// }
///
/// async fn greeting() -> String {
///     USER.with(|user| format!("hello {user}"))
/// }
///
/// # posse::runtime::Runtime::new().unwrap().block_on(async {
/// let one = posse::task::spawn(USER.scope("ada".to_owned(), greeting()));
/// let other = posse::task::spawn(USER.scope("bob".to_owned(), greeting()));
/// assert_eq!((one.await.unwrap(), other.await.unwrap()), ("hello ada".to_owned(), "hello bob".to_owned()));
/// assert!(USER.try_with(|_| ()).is_err());
/// # });
/// ```
#[macro_export]
macro_rules! task_local {
    ($($(#[$attribute:meta])* $visibility:vis static $name:ident: $type:ty);+ $(;)?) => {
        $(
            $(#[$attribute])*
            $visibility static $name: $crate::task::LocalKey<$type> = {
                ::std::thread_local! {
                    static VALUE: ::std::cell::RefCell<::std::option::Option<$type>> = const {
                        ::std::cell::RefCell::new(::std::option::Option::None)
                    };
                }
                $crate::task::LocalKey::__new(&VALUE)
            };
        )+
    };
    ($($wrong:tt)*) => {
        ::core::compile_error!(
            "a task-local value is declared as `static NAME: Type;`, and gets its value by `NAME.scope(value, future)`"
        );
    };
}

/// The key of a value that belongs to a future. Made by [`task_local!`](crate::task_local). Tasks that the future spawns do not
/// inherit the value.
pub struct LocalKey<T: 'static> {
    value: &'static ThreadLocal<RefCell<Option<T>>>,
}

/// The code runs outside of any scope of the key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AccessError;

impl fmt::Display for AccessError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the task-local value is not set here: run the future in its `scope`")
    }
}

impl std::error::Error for AccessError {}

impl<T: 'static> LocalKey<T> {
    /// For the macro.
    #[doc(hidden)]
    pub const fn __new(value: &'static ThreadLocal<RefCell<Option<T>>>) -> Self {
        Self { value }
    }

    /// Runs a future with this value. The value is dropped with the future, unless it is taken before.
    ///
    /// # Cancel safety
    /// As the future.
    ///
    /// # Panics
    /// When it is polled inside of [`with`](Self::with) of the same key.
    pub fn scope<F: Future>(&'static self, value: T, future: F) -> TaskLocalFuture<T, F> {
        TaskLocalFuture { key: self, value: Some(value), future: Some(Box::pin(future)) }
    }

    /// Calls `f` with this value.
    ///
    /// # Panics
    /// If `f` does; and inside of [`with`](Self::with) of the same key.
    #[track_caller]
    pub fn sync_scope<R>(&'static self, value: T, f: impl FnOnce() -> R) -> R {
        let mut value = Some(value);
        self.swapped(&mut value, f)
    }

    /// Calls `f` with a reference to the value.
    ///
    /// # Panics
    /// Outside of a scope of this key.
    #[track_caller]
    pub fn with<R>(&'static self, f: impl FnOnce(&T) -> R) -> R {
        match self.try_with(f) {
            Ok(result) => result,
            Err(error) => panic!("{error}"),
        }
    }

    /// Calls `f` with a reference to the value.
    ///
    /// # Errors
    /// [`AccessError`] outside of a scope of this key.
    pub fn try_with<R>(&'static self, f: impl FnOnce(&T) -> R) -> Result<R, AccessError> {
        // While the thread's locals are destroyed there is no scope any more.
        self.value.try_with(|value| value.borrow().as_ref().map(f)).ok().flatten().ok_or(AccessError)
    }

    /// Returns a clone of the value.
    ///
    /// # Panics
    /// Outside of a scope of this key.
    #[track_caller]
    pub fn get(&'static self) -> T
    where
        T: Clone,
    {
        self.with(T::clone)
    }

    /// Runs `f` while the value lies in the thread-local.
    #[track_caller]
    fn swapped<R>(&'static self, value: &mut Option<T>, f: impl FnOnce() -> R) -> R {
        struct SwapBack<'a, T: 'static>(&'static LocalKey<T>, &'a mut Option<T>);

        impl<T: 'static> SwapBack<'_, T> {
            fn swap(&mut self) {
                self.0.value.with(|value| mem::swap(&mut *value.borrow_mut(), self.1));
            }
        }

        impl<T: 'static> Drop for SwapBack<'_, T> {
            fn drop(&mut self) {
                self.swap();
            }
        }

        let borrowed = self.value.with(|value| value.try_borrow_mut().is_err());
        assert!(!borrowed, "a scope cannot be entered inside of `with` of the same key");
        let mut back = SwapBack(self, value);
        back.swap();
        f()
    }
}

impl<T: 'static> fmt::Debug for LocalKey<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("task::LocalKey")
    }
}

/// The future of [`LocalKey::scope`].
pub struct TaskLocalFuture<T: 'static, F> {
    key: &'static LocalKey<T>,
    value: Option<T>,
    /// Present until it is ready.
    future: Option<Pin<Box<F>>>,
}

impl<T: 'static, F> TaskLocalFuture<T, F> {
    /// Takes the value out, while the future is not polled. `None` if it was taken before.
    pub fn take_value(self: Pin<&mut Self>) -> Option<T> {
        self.get_mut().value.take()
    }
}

// The value is only ever moved, never pinned.
impl<T: 'static, F> Unpin for TaskLocalFuture<T, F> {}

impl<T: 'static, F: Future> Future for TaskLocalFuture<T, F> {
    type Output = F::Output;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<F::Output> {
        let this = self.get_mut();
        let (key, slot) = (this.key, &mut this.future);
        key.swapped(&mut this.value, || {
            let Some(future) = slot else { panic!("the future was ready before") };
            let polled = future.as_mut().poll(cx);
            if polled.is_ready() {
                // Its destructor sees the value.
                *slot = None;
            }
            polled
        })
    }
}

impl<T: 'static, F> Drop for TaskLocalFuture<T, F> {
    fn drop(&mut self) {
        let Some(future) = self.future.take() else { return };
        // While the thread's locals are destroyed, or inside of `with`, the future is dropped without its value.
        let is_free = self.key.value.try_with(|value| value.try_borrow_mut().is_ok());
        if is_free == Ok(true) {
            self.key.swapped(&mut self.value, || drop(future));
        }
    }
}

impl<T: 'static, F> fmt::Debug for TaskLocalFuture<T, F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("TaskLocalFuture")
    }
}
