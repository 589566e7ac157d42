//! `pin!`: pins values where they are.

/// Pins values to this place, under the names they have: `pin!(future)` for a variable, `pin! { let future = expression; }` for a new
/// one. Several may be given.
///
/// # Examples
/// ```
/// use posse::time::{Duration, sleep};
///
/// # posse::runtime::Runtime::new().unwrap().block_on(async {
/// let work = async { 7 };
/// posse::pin!(work);
/// posse::pin! {
///     let pause = sleep(Duration::from_secs(60));
/// }
/// let done = posse::select! {
///     done = &mut work => done,
///     () = &mut pause => 0,
/// };
/// assert_eq!(done, 7);
/// # });
/// ```
#[macro_export]
macro_rules! pin {
    ($($value:ident),+ $(,)?) => {
        $(
            #[allow(unused_mut)]
            let mut $value = ::core::pin::pin!($value);
        )+
    };
    ($(let $name:ident = $value:expr;)+) => {
        $(
            #[allow(unused_mut)]
            let mut $name = ::core::pin::pin!($value);
        )+
    };
}
