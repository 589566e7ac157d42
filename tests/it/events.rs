//! Nothing fails silently: what is said of failures and losses, and where a handler's own lines come from.

use crate::common::{Add, Break, Fail, Hang, Log, Worker, manual, settle};
use crate::heard::{Heard, listen, matches_the_guide, with_text};
use posse::prelude::*;
use posse::runtime::{Builder, UnhandledPanic};
use std::io::Write;
use std::sync::{Arc, LazyLock, Mutex};
use tracing::level_filters::LevelFilter;
use tracing::{Dispatch, Level};

/// What a subscriber wrote.
#[derive(Clone, Default)]
struct Lines(Arc<Mutex<Vec<u8>>>);

impl Write for Lines {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

/// Runs `test` in a runtime of this thread alone, and returns the lines with `target` that were written up to its end.
pub fn heard(level: Level, target: &str, test: impl Future<Output = ()>) -> Vec<String> {
    // As long as there is one subscriber alone, `tracing` asks only the thread that comes to an event first whether anybody
    // hears it, and keeps the answer for all threads: a test beside this one would silence it.
    static SECOND: LazyLock<Dispatch> =
        LazyLock::new(|| Dispatch::new(tracing_subscriber::fmt().with_max_level(LevelFilter::OFF).finish()));
    LazyLock::force(&SECOND);
    let lines = Lines::default();
    let writer = lines.clone();
    let subscriber = tracing_subscriber::fmt()
        .with_max_level(level)
        .with_ansi(false)
        .without_time()
        .with_writer(move || writer.clone())
        .finish();
    tracing::subscriber::with_default(subscriber, || manual().block_on(test));
    let text = String::from_utf8(std::mem::take(&mut *lines.0.lock().unwrap())).unwrap();
    text.lines().filter(|line| line.contains(target)).map(|line| line.trim().to_owned()).collect()
}

fn worker() -> LocalRef<Worker> {
    posse::spawn(|| Worker::new("a", &Log::default()))
}

#[test]
fn an_actor_that_fails_and_is_not_restarted_is_an_error() {
    let mut lines = heard(Level::WARN, "posse::actor", async {
        let (panicking, failing, named) = (worker(), worker(), worker());
        posse::System::current().register("till", &named).unwrap();
        panicking.tell(Break).await.unwrap();
        failing.tell(Fail).await.unwrap();
        named.tell(Fail).await.unwrap();
        worker().stop();
        while posse::System::current().alive() > 0 {
            settle().await;
        }
    });
    lines.sort();
    let kind = "actor.type=it::common::Worker";
    let expected = [
        format!("ERROR posse::actor: an actor failed actor.id=#1 {kind} actor.name=- reason=broken on purpose"),
        format!("ERROR posse::actor: an actor failed actor.id=#2 {kind} actor.name=- reason=failed on purpose"),
        format!("ERROR posse::actor: an actor failed actor.id=#3 {kind} actor.name=till reason=failed on purpose"),
    ];
    assert_eq!(lines, expected);
}

#[test]
fn a_detached_task_that_panics_is_an_error_and_one_that_is_awaited_is_not() {
    let lines = heard(Level::WARN, "posse::task", async {
        let awaited = posse::task::spawn(async { panic!("awaited") });
        assert!(awaited.await.unwrap_err().is_panic());
        drop(posse::task::spawn(async { panic!("detached") }));
        let late = posse::task::spawn(async { panic!("detached late") });
        settle().await;
        assert!(late.is_finished());
        drop(late);
    });
    assert_eq!(lines.len(), 2, "{lines:?}");
    assert!(lines[0].starts_with("ERROR posse::task: a detached task panicked task.id="), "{lines:?}");
    assert!(lines[0].ends_with("reason=detached") && lines[1].ends_with("reason=detached late"), "{lines:?}");
}

#[test]
fn what_a_stop_drops_is_a_warning_with_the_number() {
    let lines = heard(Level::WARN, "posse::deadletter", async {
        let stopped = worker();
        let asked = posse::task::spawn(stopped.ask(Add(1)));
        settle().await;
        stopped.stop();
        for _ in 0..3 {
            stopped.try_tell(Add(1)).unwrap();
        }
        let lost = posse::task::spawn(stopped.ask(Add(1)));
        stopped.closed().await;
        assert_eq!((asked.await.unwrap(), lost.await.unwrap()), (Ok(1), Err(AskError::Stopped)));

        // Whoever asked is told, so nothing needs to be said.
        let stopped = worker();
        stopped.stop();
        let lost = posse::task::spawn(stopped.ask(Add(1)));
        stopped.closed().await;
        assert_eq!(lost.await.unwrap(), Err(AskError::Stopped));
    });
    let expected = "WARN posse::deadletter: a stop dropped messages actor.id=#1 actor.type=it::common::Worker \
                    actor.name=- message.type=it::common::Add count=3 unsaid=0";
    assert_eq!(lines, [expected]);
}

#[test]
fn what_many_stops_drop_is_said_in_the_end() {
    let lines = heard(Level::WARN, "posse::deadletter", async {
        for _ in 0..100 {
            let stopped = worker();
            stopped.stop();
            stopped.try_tell(Add(1)).unwrap();
        }
        while posse::System::current().alive() > 0 {
            settle().await;
        }
    });
    assert_eq!(lines.len(), 17, "{lines:?}");
    assert_eq!(lines[16], "WARN posse::deadletter: stops dropped messages unsaid=84");
}

/// Logs before and after it has waited.
struct Talker;
impl Actor for Talker {}

#[derive(Message)]
struct Talk;

impl Handler<Talk> for Talker {
    async fn handle(&mut self, _: Talk, _: &mut Context<Self>) {
        tracing::info!("before");
        posse::task::yield_now().await;
        tracing::info!("after");
    }
}

#[test]
fn what_a_handler_logs_says_where_if_anybody_wants_to_know() {
    let talk = || async {
        let (talker, hanging) = (posse::spawn(|| Talker), worker());
        hanging.tell(Hang).await.unwrap();
        talker.ask(Talk).await.unwrap();
        tracing::info!("outside");
    };
    let span = "handle{actor.id=#1 actor.type=it::events::Talker actor.name=- message.type=it::events::Talk}: ";
    let traced = heard(Level::TRACE, "it::events: ", talk());
    let expected = ["before", "after"].map(|text| format!("INFO {span}it::events: {text}"));
    assert_eq!(traced[..2], expected);
    assert_eq!(traced[2..], ["INFO it::events: outside"]);
    assert_eq!(heard(Level::DEBUG, "it::events: ", talk())[0], "INFO it::events: before");
}

/// What a runtime of this thread alone says.
fn heard_of(builder: Builder, test: impl Future<Output = ()>) -> Vec<Heard> {
    listen(|| {
        let runtime = builder.build().unwrap();
        // It may end for a panic.
        let _ended = runtime.handle().try_block_on(test);
    })
    .1
}

/// A descriptor that is another one each time it is asked for.
#[cfg(unix)]
struct Swapped(std::cell::Cell<usize>, [std::os::unix::net::UnixStream; 2]);

#[cfg(unix)]
impl std::os::fd::AsRawFd for Swapped {
    fn as_raw_fd(&self) -> std::os::fd::RawFd {
        self.1[self.0.get()].as_raw_fd()
    }
}

/// The two that are missing take a fault of the system, in which the process can hardly be: its event queue, or the
/// descriptor that interrupts it, is closed. A worker's thread runs foreign code in guards alone, so none has panicked yet.
#[test]
#[cfg(unix)]
fn events_of_a_runtime_are_as_the_guide_has_them() {
    let builder = Builder::new_current_thread().name("doomed").unhandled_panic(UnhandledPanic::ShutdownRuntime);
    let mut all = heard_of(builder, async {
        drop(posse::task::spawn(async { panic!("on purpose") }));
        std::future::pending().await
    });
    let ends: Vec<_> = with_text(&all, "a task panicked and the runtime shuts down for it").collect();
    assert!(ends.len() == 1 && ends[0].fields["runtime.name"] == "doomed", "{all:?}");

    // No thread has room for such a stack.
    let builder = Builder::new_current_thread().thread_stack_size(1 << 60);
    all.extend(heard_of(builder, async { drop(posse::task::spawn_blocking(|| ()).await) }));

    all.extend(heard_of(Builder::new_current_thread(), async {
        #[expect(clippy::disallowed_methods, reason = "descriptors that are not ours")]
        let (a, b) = std::os::unix::net::UnixStream::pair().unwrap();
        a.set_nonblocking(true).unwrap();
        let fd = posse::io::unix::AsyncFd::new(Swapped(0.into(), [a, b])).unwrap();
        fd.get_ref().0.set(1);
    }));
    matches_the_guide(
        &all,
        "posse::runtime",
        &[
            "a worker thread panicked",
            "the reactor could not ask the operating system for events",
            "could not interrupt the event queue",
            // `tests/sim/events.rs`
            "a blocking closure could not be unwound with its machine",
        ],
    );
}

/// Tells the program that it is to have no room for a thread.
#[cfg(unix)]
const WITHOUT_THREADS: &str = "POSSE_TEST_WITHOUT_THREADS";

/// A child process is left to itself while no thread can be started. That connections cannot be accepted is in `real_hostile.rs`.
#[test]
#[cfg(unix)]
fn events_of_processes_are_as_the_guide_has_them() {
    if std::env::var_os(WITHOUT_THREADS).is_none() {
        let mut again = std::process::Command::new(std::env::current_exe().unwrap());
        again.args(["--exact", "events::events_of_processes_are_as_the_guide_has_them", "--test-threads=1"]);
        let status = again.env(WITHOUT_THREADS, "1").env("RUST_MIN_STACK", (1_u64 << 60).to_string()).status().unwrap();
        return assert!(status.success());
    }
    let mut input = None;
    let all = heard_of(Builder::new_current_thread(), async {
        let mut command = posse::process::Command::new("cat");
        let mut child = command.stdin(posse::process::Stdio::piped()).spawn().unwrap();
        input = child.stdin.take();
    });
    drop(input);
    assert_eq!(all.iter().filter(|event| event.fields.contains_key("pid")).count(), 1, "{all:?}");
    matches_the_guide(&all, "posse::net", &["connections cannot be accepted for now"]);
}
