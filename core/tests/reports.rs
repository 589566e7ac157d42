//! What is caught of foreign code is reported. The one test of its process: an event that another thread says for the first time, while
//! no subscriber is set there, may stay off for all.

use posse_core::runtime::{Builder, Handle};
use posse_core::task;
use std::fmt::Debug;
use std::panic::panic_any;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Wake, Waker};
use tracing::field::{Field, Visit};
use tracing::{Event, Level, Metadata, Subscriber, span};

/// A waker of another executor, and a bad one.
struct BadWaker;

impl Wake for BadWaker {
    fn wake(self: Arc<Self>) {
        panic!("a waker that panics");
    }
}

/// A value whose drop panics.
#[derive(Debug)]
struct Bomb;

impl Drop for Bomb {
    fn drop(&mut self) {
        panic_any("a bomb");
    }
}

/// Polls once with a waker that panics.
fn poll_badly<F: Future<Output: Debug>>(future: Pin<&mut F>) {
    let polled = future.poll(&mut Context::from_waker(&Waker::from(Arc::new(BadWaker))));
    assert!(polled.is_pending(), "{polled:?}");
}

/// Keeps what is reported as an error, and panics at that, as any foreign code may.
#[derive(Clone, Default)]
struct BadSubscriber(Arc<Mutex<Vec<String>>>);

impl Subscriber for BadSubscriber {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        *metadata.level() == Level::ERROR && metadata.target() == "posse::task"
    }

    fn new_span(&self, _: &span::Attributes<'_>) -> span::Id {
        span::Id::from_u64(1)
    }

    fn record(&self, _: &span::Id, _: &span::Record<'_>) {}

    fn record_follows_from(&self, _: &span::Id, _: &span::Id) {}

    fn event(&self, event: &Event<'_>) {
        struct Text(String);
        impl Visit for Text {
            fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
                self.0 += &format!("{}={value:?} ", field.name());
            }
        }
        let mut text = Text(String::new());
        event.record(&mut text);
        self.0.lock().expect("no panic under the lock").push(text.0);
        panic_any("a subscriber that panics");
    }

    fn enter(&self, _: &span::Id) {}

    fn exit(&self, _: &span::Id) {}
}

/// Panics of all kinds that are caught.
fn panic_in_many_ways() {
    let runtime = Builder::new_current_thread().build().expect("a runtime");
    runtime.block_on(async {
        let mut joined = task::spawn(async {});
        poll_badly(Pin::new(&mut joined));
        drop(task::spawn(async { Bomb }));
        drop(task::spawn(async { panic!("detached {}", 1) }));
        let unread = task::spawn(async { panic!("unread {}", 2) });
        while Handle::current().alive_tasks() > 0 {
            task::yield_now().await;
        }
        drop(unread);
        assert!(task::spawn(async { panic!("awaited {}", 3) }).await.is_err());
    });
}

#[test]
fn what_is_caught_is_reported() {
    let seen = BadSubscriber::default();
    tracing::subscriber::with_default(seen.clone(), panic_in_many_ways);
    let seen = seen.0.lock().expect("no panic under the lock").join("\n");
    for text in ["a waker that panics", "a bomb", "detached 1", "unread 2"] {
        assert_eq!(seen.matches(text).count(), 1, "{text} in:\n{seen}");
    }
    assert!(!seen.contains("awaited"), "{seen}");
}
