//! The subscriber that puts events of a machine's code into that machine's event log, so that a failure can print it. The one that the
//! test has set, if it has, hears them as well.

use super::net::Net;
use crate::util::scoped::Scoped;
use std::cell::Cell;
use std::fmt::{self, Write};
use tracing::dispatcher::{get_default, with_default};
use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::{Dispatch, Event, Level, Metadata, Subscriber};

thread_local! {
    /// The machine whose code runs.
    static MACHINE: Cell<Option<usize>> = const { Cell::new(None) };
}

/// Runs `f` as code of a machine.
pub(crate) fn at<R>(machine: usize, f: impl FnOnce() -> R) -> R {
    let _machine = Scoped::set(&MACHINE, Some(machine));
    f()
}

/// Where events of the code that runs now go, for another thread that runs code of the same machine.
pub(crate) struct LogContext {
    machine: Option<usize>,
    log: Dispatch,
}

impl LogContext {
    pub(crate) fn current() -> Self {
        Self { machine: MACHINE.get(), log: get_default(Dispatch::clone) }
    }

    pub(crate) fn enter<R>(self, f: impl FnOnce() -> R) -> R {
        let _machine = Scoped::set(&MACHINE, self.machine);
        with_default(&self.log, f)
    }
}

/// Runs `f` and notes what is logged meanwhile, from level INFO on.
pub(crate) fn capture<R>(net: &Net, f: impl FnOnce() -> R) -> R {
    let outer = get_default(Dispatch::clone);
    tracing::subscriber::with_default(EventLog { net: net.clone(), outer }, f)
}

struct EventLog {
    net: Net,
    /// The subscriber of the test. It hears events and no spans, which would need an id of both.
    outer: Dispatch,
}

fn is_noted(metadata: &Metadata<'_>) -> bool {
    *metadata.level() <= Level::INFO
}

impl Subscriber for EventLog {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.is_event() && (is_noted(metadata) || self.outer.enabled(metadata))
    }

    fn new_span(&self, _: &Attributes<'_>) -> Id {
        Id::from_u64(1)
    }

    fn record(&self, _: &Id, _: &Record<'_>) {}

    fn record_follows_from(&self, _: &Id, _: &Id) {}

    fn event(&self, event: &Event<'_>) {
        if self.outer.enabled(event.metadata()) {
            self.outer.event(event);
        }
        let Some(machine) = MACHINE.get().filter(|_| is_noted(event.metadata())) else { return };
        let mut line = Line(String::new());
        event.record(&mut line);
        self.net.note(machine, || line.0);
    }

    fn enter(&self, _: &Id) {}

    fn exit(&self, _: &Id) {}
}

struct Line(String);

impl Visit for Line {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        // Writing to a string cannot fail.
        let _ = match field.name() {
            "message" => {
                let rest = std::mem::take(&mut self.0);
                write!(self.0, "{value:?}{rest}")
            }
            name => write!(self.0, " {name}={value:?}"),
        };
    }
}
