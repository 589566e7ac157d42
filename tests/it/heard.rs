//! A subscriber that keeps what it hears, with level and fields, for a look at what the guide lists.

use crate::event_table::rows;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::{Arc, LazyLock, Mutex};
use tracing::field::{Field, Visit};
use tracing::level_filters::LevelFilter;
use tracing::span::{Attributes, Id, Record};
use tracing::{Dispatch, Event, Metadata, Subscriber};

/// An event.
#[derive(Clone, Debug)]
pub struct Heard {
    pub target: String,
    pub level: String,
    pub text: String,
    pub fields: BTreeMap<String, String>,
}

#[derive(Clone, Default)]
struct Ear(Arc<Mutex<Vec<Heard>>>);

impl Subscriber for Ear {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.is_event() && metadata.target().starts_with("posse::")
    }

    fn new_span(&self, _: &Attributes<'_>) -> Id {
        Id::from_u64(1)
    }

    fn record(&self, _: &Id, _: &Record<'_>) {}

    fn record_follows_from(&self, _: &Id, _: &Id) {}

    fn event(&self, event: &Event<'_>) {
        let mut fields = Fields(BTreeMap::new());
        event.record(&mut fields);
        let text = fields.0.remove("message").unwrap_or_default();
        let (target, level) = (event.metadata().target().to_owned(), event.metadata().level().to_string());
        self.0.lock().unwrap().push(Heard { target, level, text, fields: fields.0 });
    }

    fn enter(&self, _: &Id) {}

    fn exit(&self, _: &Id) {}
}

struct Fields(BTreeMap<String, String>);

impl Visit for Fields {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.0.insert(field.name().to_owned(), format!("{value:?}"));
    }
}

/// Runs something on this thread, and returns the events of Posse's meanwhile.
pub fn listen<R>(run: impl FnOnce() -> R) -> (R, Vec<Heard>) {
    // As long as there is one subscriber alone, `tracing` asks only the thread that comes to an event first whether anybody
    // hears it, and keeps the answer for all threads: a test beside this one would silence it.
    static SECOND: LazyLock<Dispatch> =
        LazyLock::new(|| Dispatch::new(tracing_subscriber::fmt().with_max_level(LevelFilter::OFF).finish()));
    LazyLock::force(&SECOND);
    let ear = Ear::default();
    let done = tracing::subscriber::with_default(ear.clone(), run);
    let heard = std::mem::take(&mut *ear.0.lock().unwrap());
    (done, heard)
}

/// Every event is in the guide with its level and exactly its fields, and of those of a target that are in the guide every
/// one was heard, but for those that cannot be produced here.
pub fn matches_the_guide(heard: &[Heard], target: &str, elsewhere: &[&str]) {
    let rows: Vec<_> = rows().into_iter().filter(|row| row.target == target).collect();
    for event in heard.iter().filter(|event| event.target == target) {
        let fields: BTreeSet<_> = event.fields.keys().cloned().collect();
        let is_listed =
            rows.iter().any(|row| row.level == event.level && row.text == event.text && row.fields == fields);
        assert!(is_listed, "the guide does not list {event:?}");
    }
    for row in &rows {
        let was_heard = heard.iter().any(|event| event.target == target && event.text == row.text);
        let is_elsewhere = elsewhere.contains(&row.text.as_str());
        assert!(was_heard != is_elsewhere, "{target}: {:?}: heard: {was_heard}", row.text);
    }
}

/// The events with a text.
pub fn with_text<'a>(heard: &'a [Heard], text: &'a str) -> impl Iterator<Item = &'a Heard> {
    heard.iter().filter(move |event| event.text == text)
}
