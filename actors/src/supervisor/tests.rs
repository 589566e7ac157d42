//! Tests of what a supervisor says about its children.

use super::*;
use crate::{Context, ExitReason, Handler, Message, secs};
use posse_core::runtime::Builder;
use std::sync::LazyLock;
use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::{Dispatch, Event, Level, Metadata, Subscriber};

/// Events as lines, with their fields.
#[derive(Clone, Default)]
struct Lines(Arc<Mutex<Vec<(Level, String)>>>);

struct Line(String);

impl Visit for Line {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.0 += &format!(" {field}={value:?}");
    }
}

impl Subscriber for Lines {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        matches!(metadata.target(), "posse::supervisor" | "posse::actor") && *metadata.level() <= Level::WARN
    }

    fn event(&self, event: &Event<'_>) {
        let mut line = Line(String::new());
        event.record(&mut line);
        self.0.lock().push((*event.metadata().level(), line.0));
    }

    fn new_span(&self, _: &Attributes<'_>) -> Id {
        Id::from_u64(1)
    }

    fn record(&self, _: &Id, _: &Record<'_>) {}
    fn record_follows_from(&self, _: &Id, _: &Id) {}
    fn enter(&self, _: &Id) {}
    fn exit(&self, _: &Id) {}
}

/// Runs `f` while its events are noted.
fn listening<R>(lines: &Lines, f: impl FnOnce() -> R) -> R {
    // As long as there is one subscriber alone, `tracing` asks only the thread that comes to an event first whether anybody hears it, and
    // keeps the answer for all threads: a test beside this one would silence it.
    static SECOND: LazyLock<Dispatch> = LazyLock::new(|| Dispatch::new(Lines::default()));
    LazyLock::force(&SECOND);
    tracing::subscriber::with_default(lines.clone(), f)
}

struct Fragile;
impl Actor for Fragile {}

struct Break;
impl Message for Break {
    type Reply = ();
}

impl Handler<Break> for Fragile {
    async fn handle(&mut self, _: Break, ctx: &mut Context<Self>) {
        ctx.fail("broken on purpose");
    }
}

#[test]
fn a_restart_is_a_warning_and_giving_up_an_error() {
    let lines = Lines::default();
    let runtime = Builder::new_current_thread().build().unwrap();
    listening(&lines, || {
        runtime.block_on(async {
            let supervisor = Supervisor::one_for_one().restart_limit(1, secs(60)).spawn();
            let child = supervisor.start_child(Spec::new(|| Fragile).name("f")).await.unwrap();
            child.ask(Break).await.unwrap();
            child.ask(Break).await.unwrap();
            assert!(matches!(supervisor.closed().await, ExitReason::GaveUp(_)));
        });
    });
    let mut lines = lines.0.lock();
    lines.retain(|(_, line)| line.contains("supervisor.id="));
    let levels: Vec<_> = lines.iter().map(|(level, _)| *level).collect();
    assert_eq!(levels, [Level::WARN, Level::ERROR]);
    for (_, line) in &*lines {
        for field in
            ["child.name=f", "actor.type=posse::supervisor::tests::Fragile", "reason=it failed: broken on purpose"]
        {
            assert!(line.contains(field), "{field} is not in {line}");
        }
    }
    assert!(lines[0].1.contains("after=0.0") && lines[1].1.contains("limit=1"));
}

/// What its failure meant was said when it failed; that its supervisor ends meanwhile is no failure.
#[test]
fn a_child_that_waits_for_its_restart_ends_in_peace() {
    let lines = Lines::default();
    let runtime = Builder::new_current_thread().build().unwrap();
    listening(&lines, || {
        runtime.block_on(async {
            let supervisor = Supervisor::one_for_one().backoff(Backoff::exponential(secs(3600)..secs(7200))).spawn();
            let child = supervisor.start_child(Spec::new(|| Fragile).name("f")).await.unwrap();
            child.ask(Break).await.unwrap();
            while supervisor.which_children().await[0].state != ChildState::Waiting {
                posse_core::task::yield_now().await;
            }
            supervisor.shutdown().await;
            assert_eq!(child.closed().await, ExitReason::failed("broken on purpose"));
        });
    });
    let levels: Vec<_> = lines.0.lock().iter().map(|(level, _)| *level).collect();
    assert_eq!(levels, [Level::WARN], "{:?}", lines.0.lock());
}

/// A failure that its supervisor had not seen when it was told to end the child is said by the child.
#[test]
fn a_failure_that_the_supervisor_has_not_seen_is_said() {
    let lines = Lines::default();
    let runtime = Builder::new_current_thread().build().unwrap();
    listening(&lines, || {
        runtime.block_on(async {
            let supervisor = Supervisor::one_for_one().spawn();
            let child = supervisor.start_child(Spec::new(|| Fragile).name("f")).await.unwrap();
            // Both are told before either runs.
            child.try_tell(Break).unwrap();
            supervisor.shutdown().await;
            assert_eq!(child.closed().await, ExitReason::failed("broken on purpose"));
        });
    });
    let said = lines.0.lock().iter().filter(|(_, line)| line.contains("broken on purpose")).count();
    assert_eq!(said, 1, "{:?}", lines.0.lock());
}

/// The child for which it gives up has failed, as its monitors hear.
#[test]
fn a_child_that_is_one_restart_too_many_ends_for_its_own_reason() {
    let runtime = Builder::new_current_thread().build().unwrap();
    runtime.block_on(async {
        let supervisor = Supervisor::one_for_one().restart_limit(0, secs(60)).spawn();
        let child = supervisor.start_child(|| Fragile).await.unwrap();
        child.ask(Break).await.unwrap();
        assert!(matches!(supervisor.closed().await, ExitReason::GaveUp(_)));
        assert_eq!(child.closed().await, ExitReason::failed("broken on purpose"));
    });
}

#[test]
fn a_tree_whose_future_is_dropped_ends() {
    let runtime = Builder::new_current_thread().build().unwrap();
    runtime.block_on(async {
        let (running, ran) = posse_core::sync::oneshot::channel();
        let running = Mutex::new(Some(running));
        let child = move || {
            if let Some(running) = running.lock().take() {
                let _ = running.send(());
            }
            Fragile
        };
        let mut tree = Box::pin(Supervisor::one_for_one().child(Spec::new(child).name("f")).run_until_shutdown());
        assert!(poll_fn(|cx| Poll::Ready(tree.as_mut().poll(cx).is_pending())).await);
        ran.await.unwrap();
        let child: LocalRef<Fragile> = crate::System::current().whereis("f").unwrap();
        drop(tree);
        assert_eq!(child.closed().await, ExitReason::Shutdown);
    });
}
