//! `join!` and `try_join!`: wait for all of several futures.

/// Waits for several futures at once, on this task, until all are ready, and returns a tuple of their outputs. Up to 32 futures.
///
/// Each poll begins with the next future, so that one that spends the task's budget does not starve the others; with `biased;` in front
/// it begins with the first.
///
/// # Cancel safety
/// Dropping it drops all the futures, and the outputs of those that were ready.
///
/// # Examples
/// ```
/// # posse::runtime::Runtime::new().unwrap().block_on(async {
/// let (sum, text) = posse::join!(async { 1 + 1 }, async { "two" });
/// assert_eq!((sum, text), (2, "two"));
/// # });
/// ```
#[macro_export]
macro_rules! join {
    (biased; $($future:expr),* $(,)?) => {
        $crate::__join!(@names 0 join; [$($future,)*])
    };
    ($($future:expr),* $(,)?) => {
        $crate::__join!(@names 1 join; [$($future,)*])
    };
    ($($wrong:tt)*) => {
        ::core::compile_error!("`join!` takes futures with commas between them, after `biased;` if that is wanted")
    };
}

/// Waits for several futures of `Result`s at once, on this task: until all are `Ok`, which gives a tuple of their values, or one is an
/// `Err`, which is returned at once and drops the others. Up to 32 futures; `biased;` as for [`join!`](crate::join).
///
/// # Cancel safety
/// Dropping it drops all the futures, and the outputs of those that were ready.
///
/// # Examples
/// ```
/// # posse::runtime::Runtime::new().unwrap().block_on(async {
/// let both = posse::try_join!(async { Ok::<_, String>(1) }, async { Ok("two") });
/// assert_eq!(both, Ok((1, "two")));
/// let failed = posse::try_join!(std::future::pending::<Result<u8, &str>>(), async { Err::<u8, _>("no") });
/// assert_eq!(failed, Err("no"));
/// # });
/// ```
#[macro_export]
macro_rules! try_join {
    (biased; $($future:expr),* $(,)?) => {
        $crate::__join!(@names 0 try_join; [$($future,)*])
    };
    ($($future:expr),* $(,)?) => {
        $crate::__join!(@names 1 try_join; [$($future,)*])
    };
    ($($wrong:tt)*) => {
        ::core::compile_error!("`try_join!` takes futures with commas between them, after `biased;` if that is wanted")
    };
}

/// The steps of [`join!`] and [`try_join!`]: `@name` gives each future two names, `@run` writes the code.
#[doc(hidden)]
#[macro_export]
macro_rules! __join {
    (@names $turn:tt $kind:ident; $futures:tt) => {
        $crate::__join!(@name $turn $kind; []
            [
                (f0 o0 0) (f1 o1 1) (f2 o2 2) (f3 o3 3) (f4 o4 4) (f5 o5 5) (f6 o6 6) (f7 o7 7)
                (f8 o8 8) (f9 o9 9) (f10 o10 10) (f11 o11 11) (f12 o12 12) (f13 o13 13) (f14 o14 14) (f15 o15 15)
                (f16 o16 16) (f17 o17 17) (f18 o18 18) (f19 o19 19) (f20 o20 20) (f21 o21 21) (f22 o22 22) (f23 o23 23)
                (f24 o24 24) (f25 o25 25) (f26 o26 26) (f27 o27 27) (f28 o28 28) (f29 o29 29) (f30 o30 30) (f31 o31 31)
            ]
            $futures
        )
    };
    (@name $turn:tt $kind:ident; [$($named:tt)*] $pool:tt []) => {
        $crate::__join!(@run $turn $kind; $($named)*)
    };
    (@name $turn:tt $kind:ident; [$($named:tt)*] [$name:tt $($pool:tt)*] [$future:expr, $($futures:tt)*]) => {
        $crate::__join!(@name $turn $kind; [$($named)* ($name $future)] [$($pool)*] [$($futures)*])
    };
    (@name $turn:tt $kind:ident; $named:tt [] $futures:tt) => {
        ::core::compile_error!("up to 32 futures can be joined")
    };

    (@run $turn:tt $kind:ident; ) => {
        $crate::__join!(@value $kind ())
    };
    (@run $turn:tt $kind:ident; $((($future:ident $output:ident $index:tt) $make:expr))+) => {{
        $(
            let mut $future = ::core::pin::pin!(::core::option::Option::Some(::core::future::IntoFuture::into_future($make)));
            let mut $output = ::core::option::Option::None;
        )+
        const __FUTURES: usize = [$($index),+].len();
        let mut start = 0usize;
        ::core::future::poll_fn(|cx| {
            let mut waits = false;
            for step in 0..__FUTURES {
                match $crate::__macros::rotated(start + step, __FUTURES) {
                    $($index => {
                        let ::core::option::Option::Some(future) = $future.as_mut().as_pin_mut() else { continue };
                        match ::core::future::Future::poll(future, cx) {
                            ::core::task::Poll::Ready(output) => {
                                $output = ::core::option::Option::Some($crate::__join!(@output $kind output));
                                $future.set(::core::option::Option::None);
                            }
                            ::core::task::Poll::Pending => waits = true,
                        }
                    })+
                    _ => ::core::unreachable!(),
                }
            }
            if waits {
                start = $crate::__macros::rotated(start + $turn, __FUTURES);
                return ::core::task::Poll::Pending;
            }
            ::core::task::Poll::Ready($crate::__join!(@value $kind (
                $($output.take().expect("invariant: it is there once its future was ready"),)+
            )))
        })
        .await
    }};

    (@output join $output:ident) => {
        $output
    };
    (@output try_join $output:ident) => {
        match $output {
            ::core::result::Result::Ok(output) => output,
            ::core::result::Result::Err(error) => {
                return ::core::task::Poll::Ready(::core::result::Result::Err(error));
            }
        }
    };
    (@value join $value:expr) => {
        $value
    };
    (@value try_join $value:expr) => {
        ::core::result::Result::Ok($value)
    };
}
