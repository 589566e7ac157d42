//! `select!`: waits for the first of several futures.
//!
//! Written without a procedural macro: a step of the parser takes one branch and the next names out of a pool. Whether an output
//! matches its pattern is asked by a guard that is never true: bindings are moved only where a guard is, so the output stays
//! whole, and the futures are dropped before a handler runs.

/// Waits for several futures at once, on this task, and runs the handler of the first that is ready and matches its pattern. The other
/// futures are dropped before the handler runs.
///
/// A branch is `pattern = future => handler`, with a condition after the future if it is wanted: `pattern = future, if condition =>
/// handler`. A branch is disabled if its condition is false (its future is then not made) or when its output does not match its
/// pattern. If all branches are disabled, the handler of `else => handler` runs. The value is the handler's; up to 32 branches.
///
/// The branches are polled in an order that begins with a random one, so that none that is always ready starves the others; the
/// random number is the runtime's, so that a simulation repeats it. `biased;` in front makes the order the written one; so it is
/// outside of a runtime. A poll that comes when the task's budget is spent looks at no branch, so that none seems to wait that does not.
///
/// # Cancel safety
/// Futures that are not ready are dropped: in a loop, use those whose documentation says that this loses nothing, or make the future
/// outside of the loop and wait for `&mut future`.
///
/// # Panics
/// If all branches are disabled and there is no `else`.
///
/// # Examples
/// ```
/// use posse::sync::mpsc;
///
/// # posse::runtime::Runtime::new().unwrap().block_on(async {
/// let (to_first, mut first) = mpsc::channel(1);
/// let (to_second, mut second) = mpsc::channel::<u8>(1);
/// to_first.send("hello").await.unwrap();
/// drop((to_first, to_second));
///
/// let mut seen = Vec::new();
/// loop {
///     posse::select! {
///         Some(text) = first.recv() => seen.push(text.to_owned()),
///         Some(number) = second.recv(), if seen.len() < 10 => {
///             seen.push(number.to_string());
///         }
///         else => break,
///     }
/// }
/// assert_eq!(seen, ["hello"]);
/// # });
/// ```
#[macro_export]
macro_rules! select {
    (biased; $($branches:tt)+) => {
        $crate::__select!(@parse biased; $($branches)+)
    };
    ($($branches:tt)+) => {
        $crate::__select!(@parse fair; $($branches)+)
    };
    () => {
        ::core::compile_error!("`select!` waits for at least one branch: `pattern = future => handler`")
    };
}

/// The steps of [`select!`]: `@parse` takes branches into a list, with a name each, `@run` writes the code.
#[doc(hidden)]
#[macro_export]
macro_rules! __select {
    // The first step: the pool of names.
    (@parse $order:ident; $($branches:tt)+) => {
        $crate::__select!(@branch $order; []
            [
                (B0 f0 0 _ ()) (B1 f1 1 _ ()) (B2 f2 2 _ ()) (B3 f3 3 _ ()) (B4 f4 4 _ ()) (B5 f5 5 _ ())
                (B6 f6 6 _ ()) (B7 f7 7 _ ()) (B8 f8 8 _ ()) (B9 f9 9 _ ()) (B10 f10 10 _ ()) (B11 f11 11 _ ())
                (B12 f12 12 _ ()) (B13 f13 13 _ ()) (B14 f14 14 _ ()) (B15 f15 15 _ ()) (B16 f16 16 _ ()) (B17 f17 17 _ ())
                (B18 f18 18 _ ()) (B19 f19 19 _ ()) (B20 f20 20 _ ()) (B21 f21 21 _ ()) (B22 f22 22 _ ()) (B23 f23 23 _ ())
                (B24 f24 24 _ ()) (B25 f25 25 _ ()) (B26 f26 26 _ ()) (B27 f27 27 _ ()) (B28 f28 28 _ ()) (B29 f29 29 _ ())
                (B30 f30 30 _ ()) (B31 f31 31 _ ())
            ]
            $($branches)+
        )
    };

    // No branch is left.
    (@branch $order:ident; $done:tt $pool:tt) => {
        $crate::__select!(@run $order; $done $pool ::core::panic!("all branches of `select!` are disabled, and it has no `else`"))
    };
    (@branch $order:ident; $done:tt $pool:tt else => $handler:expr $(,)?) => {
        $crate::__select!(@run $order; $done $pool $handler)
    };

    (@branch $order:ident; $done:tt $pool:tt else => $handler:block $($branches:tt)+) => {
        ::core::compile_error!("`else => handler` is the last branch of `select!`")
    };
    (@branch $order:ident; $done:tt $pool:tt else => $handler:expr, $($branches:tt)+) => {
        ::core::compile_error!("`else => handler` is the last branch of `select!`")
    };

    // One branch: with and without a condition, its handler a block or an expression, the last or not.
    (@branch $order:ident; [$($done:tt)*] [$name:tt $($pool:tt)*]
        $pattern:pat = $future:expr, if $condition:expr => $handler:block, $($branches:tt)*
    ) => {
        $crate::__select!(@branch $order; [$($done)* ($name $pattern, $future, $condition, $handler)] [$($pool)*] $($branches)*)
    };
    (@branch $order:ident; [$($done:tt)*] [$name:tt $($pool:tt)*]
        $pattern:pat = $future:expr, if $condition:expr => $handler:block $($branches:tt)*
    ) => {
        $crate::__select!(@branch $order; [$($done)* ($name $pattern, $future, $condition, $handler)] [$($pool)*] $($branches)*)
    };
    (@branch $order:ident; [$($done:tt)*] [$name:tt $($pool:tt)*]
        $pattern:pat = $future:expr, if $condition:expr => $handler:expr $(, $($branches:tt)*)?
    ) => {
        $crate::__select!(@branch $order; [$($done)* ($name $pattern, $future, $condition, $handler)] [$($pool)*] $($($branches)*)?)
    };
    (@branch $order:ident; [$($done:tt)*] [$name:tt $($pool:tt)*]
        $pattern:pat = $future:expr => $handler:block, $($branches:tt)*
    ) => {
        $crate::__select!(@branch $order; [$($done)* ($name $pattern, $future, true, $handler)] [$($pool)*] $($branches)*)
    };
    (@branch $order:ident; [$($done:tt)*] [$name:tt $($pool:tt)*]
        $pattern:pat = $future:expr => $handler:block $($branches:tt)*
    ) => {
        $crate::__select!(@branch $order; [$($done)* ($name $pattern, $future, true, $handler)] [$($pool)*] $($branches)*)
    };
    (@branch $order:ident; [$($done:tt)*] [$name:tt $($pool:tt)*]
        $pattern:pat = $future:expr => $handler:expr $(, $($branches:tt)*)?
    ) => {
        $crate::__select!(@branch $order; [$($done)* ($name $pattern, $future, true, $handler)] [$($pool)*] $($($branches)*)?)
    };
    (@branch $order:ident; $done:tt [] $($branches:tt)+) => {
        ::core::compile_error!("`select!` takes up to 32 branches")
    };
    (@branch $order:ident; $done:tt $pool:tt $($wrong:tt)+) => {
        ::core::compile_error!("a branch of `select!` is `pattern = future => handler` or `pattern = future, if condition => handler`")
    };

    (@start biased $branches:expr) => {
        0
    };
    (@start fair $branches:expr) => {
        $crate::__macros::random_below($branches)
    };

    (@run $order:ident; [] $pool:tt $otherwise:expr) => {
        $otherwise
    };
    (@run $order:ident;
        [$((($branch:ident $future:ident $index:tt $infer:tt $unit:tt) $pattern:pat, $make:expr, $condition:expr, $handler:expr))*]
        [$(($other:ident $name:ident $number:tt $any:tt $nothing:tt))*]
        $otherwise:expr
    ) => {{
        #[allow(unused_mut)]
        let mut selected: $crate::__macros::Selected<$($infer,)* $($nothing,)*> = {
            // All conditions before the first future, which may borrow what a later condition looks at.
            let conditions = [$($condition),*];
            $(
                // Written so, what the expression borrows of its own lives as long as the future.
                let $future = if conditions[$index] {
                    ::core::option::Option::Some { 0: $make }
                } else {
                    ::core::option::Option::None
                };
                let mut $future = ::core::pin::pin!($future.map(::core::future::IntoFuture::into_future));
            )*
            let selected = ::core::future::poll_fn(|cx| {
                ::core::task::ready!($crate::__macros::poll_budget_left(cx));
                const __BRANCHES: usize = [$($index),*].len();
                let start: usize = $crate::__select!(@start $order __BRANCHES);
                let mut waits = false;
                for step in 0..__BRANCHES {
                    match $crate::__macros::rotated(start + step, __BRANCHES) {
                        $($index => {
                            let ::core::option::Option::Some(future) = $future.as_mut().as_pin_mut() else { continue };
                            #[allow(unused_mut)]
                            let ::core::task::Poll::Ready(mut output) = ::core::future::Future::poll(future, cx) else {
                                waits = true;
                                continue;
                            };
                            let mut matches = false;
                            #[allow(unused_variables, unused_mut, unreachable_patterns)]
                            match output {
                                // Never taken, so nothing is moved out of the output.
                                $pattern if { matches = true; false } => ::core::unreachable!(),
                                output if matches => {
                                    return ::core::task::Poll::Ready($crate::__macros::Selected::$branch(output));
                                }
                                _ => $future.set(::core::option::Option::None),
                            };
                        })*
                        _ => ::core::unreachable!(),
                    }
                }
                if waits {
                    ::core::task::Poll::Pending
                } else {
                    ::core::task::Poll::Ready($crate::__macros::Selected::Disabled)
                }
            })
            .await;
            selected
        };
        match selected {
            $($crate::__macros::Selected::$branch($pattern) => $handler,)*
            $crate::__macros::Selected::Disabled => $otherwise,
            _ => ::core::unreachable!(),
        }
    }};
}
