//! Events of the runtime, the actors and the nodes: `tracing` events with stable targets and fields.
//!
//! `docs/guide/events.md` lists them. In a program without a subscriber, warnings and errors go to standard error instead, a
//! line each: what ends an actor or drops a message must not pass in silence because a program has no subscriber.

use crate::raw_task::panic::catch;
use std::fmt;
use tracing::level_filters::{LevelFilter, STATIC_MAX_LEVEL};

/// Says something: level, target, text, then `, field = %shown` and `; field = number`. The guide lists the targets and fields.
#[doc(hidden)]
#[macro_export]
macro_rules! event {
    (
        $level:ident, $target:literal, $text:literal
        $(, $($field:ident).+ = %$shown:expr)* $(; $($($count:ident).+ = $number:expr),+)? $(,)?
    ) => {
        $crate::events::say(|| {
            ::tracing::event!(
                target: $target,
                ::tracing::Level::$level,
                $($($field).+ = %$shown,)*
                $($($($count).+ = $number,)+)?
                $text
            );
            if ::tracing::Level::$level <= ::tracing::Level::WARN && $crate::events::nobody_listens() {
                $crate::events::last_resort(
                    stringify!($level),
                    $target,
                    format_args!(
                        concat!($text $(, " ", stringify!($($field).+), "={}")* $($(, " ", stringify!($($count).+), "={}")+)?)
                        $(, $shown)* $($(, $number)+)?
                    ),
                );
            }
        })
    };
}

/// A subscriber is foreign code: its panic ends here, where no caller is left to be told.
#[doc(hidden)]
#[inline]
pub fn say(event: impl FnOnce()) {
    drop(catch(event));
}

/// True while no subscriber was set that hears anything.
#[doc(hidden)]
pub fn nobody_listens() -> bool {
    LevelFilter::current() == LevelFilter::OFF
}

/// True while a subscriber listens at level TRACE.
#[inline]
pub(crate) fn is_traced() -> bool {
    LevelFilter::TRACE <= STATIC_MAX_LEVEL && LevelFilter::TRACE <= LevelFilter::current()
}

/// Writes a line to standard error.
#[doc(hidden)]
pub fn last_resort(level: &str, target: &str, text: fmt::Arguments<'_>) {
    // One write, so that lines of several threads do not mix; by the macro, so that a test captures it. It panics if standard
    // error is broken, which ends in `say`.
    let line = format!("{level} {target}: {text}\n");
    eprint!("{line}");
}
