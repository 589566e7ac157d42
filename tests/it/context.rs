//! What an actor can reach from its callbacks: its own end, its children, its timers.

use crate::common::{Add, Log, Worker, manual, settle};
use posse::prelude::*;
use posse::runtime::Handle;

/// Does as it is told, and writes down what happens.
struct Puppet {
    log: Log,
    /// Set by the first incarnation alone.
    timer: bool,
}

impl Puppet {
    fn spawn(log: &Log) -> LocalRef<Self> {
        posse::spawn(Spec::once(Self { log: log.clone(), timer: false }))
    }
}

impl Actor for Puppet {
    async fn started(&mut self, ctx: &mut Context<Self>) -> posse::Result {
        if self.timer {
            ctx.send_after(secs(1), Say("from the former one"));
            ctx.send_every(secs(1), || Say("from the former one"));
        }
        Ok(())
    }

    async fn stopped(&mut self, why: &ExitReason, _: &mut Context<Self>) {
        self.log.add(why.to_string());
    }
}

#[derive(Message)]
struct Say(&'static str);

impl Handler<Say> for Puppet {
    async fn handle(&mut self, Say(text): Say, _: &mut Context<Self>) {
        self.log.add(text);
    }
}

#[derive(Message)]
struct Drain;

impl Handler<Drain> for Puppet {
    async fn handle(&mut self, _: Drain, ctx: &mut Context<Self>) {
        ctx.drain();
    }
}

#[derive(Message)]
struct Fail(&'static str);

impl Handler<Fail> for Puppet {
    async fn handle(&mut self, Fail(text): Fail, ctx: &mut Context<Self>) {
        ctx.fail(text);
    }
}

/// Starts two children, of which the first ends, and counts them in between.
#[derive(Message)]
#[message(reply = Vec<usize>)]
struct Count;

impl Handler<Count> for Puppet {
    async fn handle(&mut self, _: Count, ctx: &mut Context<Self>) -> Vec<usize> {
        let mut counts = vec![ctx.children()];
        let first = ctx.spawn(|| Worker::new("first", &Log::default()));
        let second = ctx.spawn(Spec::once(Worker::new("second", &self.log)));
        counts.push(ctx.children());
        first.stop();
        first.closed().await;
        counts.push(ctx.children());
        assert!(second.is_alive());
        counts
    }
}

#[derive(Message)]
struct Later;

impl Handler<Later> for Puppet {
    async fn handle(&mut self, _: Later, ctx: &mut Context<Self>) {
        ctx.send_after(secs(2), Say("after 2"));
        ctx.send_after(secs(1), Say("never")).abort();
        ctx.send_every(secs(3), || Say("every 3"));
    }
}

#[posse::test]
async fn an_actor_that_drains_itself_handles_what_is_queued_and_no_more() {
    let log = Log::default();
    let puppet = Puppet::spawn(&log);
    puppet.try_tell(Drain).unwrap();
    puppet.try_tell(Say("queued")).unwrap();
    settle().await;
    assert!(matches!(
        puppet.try_tell(Say("late")),
        Err(TellError { reason: SendReason::Stopped, message: Say("late") })
    ));
    assert_eq!(puppet.closed().await, ExitReason::Normal);
    assert_eq!(log.take(), ["queued", "it came to its end"]);
}

#[posse::test]
async fn children_are_counted_while_they_live_and_end_with_their_parent() {
    let log = Log::default();
    let puppet = Puppet::spawn(&log);
    assert_eq!(puppet.ask(Count).await, Ok(vec![0, 2, 1]));
    puppet.stop();
    puppet.closed().await;
    let expected = ["second started", "it came to its end", "second stopped: it was shut down"];
    assert_eq!(log.take(), expected);
}

#[test]
fn timers_tell_when_it_is_time_and_not_before() {
    manual().block_on(async {
        let log = Log::default();
        let puppet = Puppet::spawn(&log);
        puppet.ask(Later).await.unwrap();
        let mut seen = Vec::new();
        for _ in 0..6 {
            settle().await;
            assert_eq!(log.take(), Vec::<String>::new(), "it was too early");
            Handle::current().advance(secs(1));
            settle().await;
            seen.push(log.take().join(" "));
        }
        assert_eq!(seen, ["", "after 2", "every 3", "", "", "every 3"]);
    });
}

#[test]
fn timers_end_with_the_incarnation_that_set_them() {
    manual().block_on(async {
        let (log, mut first) = (Log::default(), true);
        let recipe = {
            let log = log.clone();
            move || Puppet { log: log.clone(), timer: std::mem::take(&mut first) }
        };
        let supervisor = Supervisor::one_for_one().spawn();
        let puppet = supervisor.start_child(Spec::new(recipe).name("puppet")).await.unwrap();
        settle().await;
        puppet.tell(Fail("on purpose")).await.unwrap();
        settle().await;
        assert_eq!(log.take(), ["it failed: on purpose"]);
        Handle::current().advance(secs(5));
        settle().await;
        assert_eq!(log.take(), Vec::<String>::new());
        assert!(puppet.is_alive());
    });
}

/// Ends in its own way, and with an error.
struct Loop(Log);

impl Actor for Loop {
    async fn run(&mut self, ctx: &mut Context<Self>) -> posse::Result {
        self.0.add("begins");
        ctx.stopping().await;
        self.0.add("is to stop");
        posse::task::yield_now().await;
        self.0.add("tidies up");
        "x".parse::<u8>().map_err(|error| posse::Error::msg(format!("no number: {error}")))?;
        Ok(())
    }
}

#[posse::test]
async fn an_actor_in_process_style_ends_in_its_own_way_when_it_waits_for_that() {
    let log = Log::default();
    let actor = posse::spawn(Spec::once(Loop(log.clone())));
    settle().await;
    assert_eq!(log.take(), ["begins"]);
    actor.stop();
    let reason = actor.closed().await;
    assert_eq!(log.take(), ["is to stop", "tidies up"]);
    assert_eq!(reason, ExitReason::Failed("no number: invalid digit found in string".into()));
}

#[posse::test]
async fn an_actor_that_is_drained_is_to_stop_as_well() {
    let log = Log::default();
    let actor = posse::spawn(Spec::once(Loop(log.clone())));
    settle().await;
    actor.drain();
    assert!(actor.closed().await.is_abnormal());
    assert_eq!(log.take(), ["begins", "is to stop", "tidies up"]);
}

#[posse::test]
async fn an_actor_whose_start_fails_handles_nothing() {
    struct Broken(Log);
    impl Actor for Broken {
        async fn started(&mut self, _: &mut Context<Self>) -> posse::Result {
            Err(std::io::Error::other("no disk"))?
        }

        async fn run(&mut self, _: &mut Context<Self>) -> posse::Result {
            self.0.add("runs");
            Ok(())
        }
    }
    let log = Log::default();
    let broken = posse::spawn(Spec::once(Broken(log.clone())));
    assert_eq!(broken.closed().await, ExitReason::Failed("no disk".into()));
    assert_eq!(log.take(), Vec::<String>::new());
    assert!(matches!(posse::spawn(Spec::once(Worker::new("a", &log))).try_tell(Add(1)), Ok(())));
}
