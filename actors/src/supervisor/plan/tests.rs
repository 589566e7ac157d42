//! The plan against children that do anything at any time.

use super::super::policy::Backoff;
use super::*;
use proptest::prelude::{Just, any, prop_oneof, proptest};

/// A child as it really is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Cell {
    None,
    Starting,
    Running,
    /// Between two runs.
    Parked,
    Released,
}

struct World {
    plan: Plan,
    now: Instant,
    cells: BTreeMap<Key, Cell>,
    /// Children that were asked to stop.
    asked: BTreeSet<Key>,
    /// Children that were asked to end for good.
    shut_down: BTreeSet<Key>,
    next_key: Key,
    escalated: bool,
    /// Nothing but failures happens, so that the order can be checked.
    only_failures: bool,
    log: Vec<Step>,
}

impl World {
    fn new(strategy: Strategy, limit: usize, backoff: Backoff, only_failures: bool) -> Self {
        let plan = Plan::new(Policy { strategy, limit, period: Duration::from_secs(5), backoff });
        let (cells, asked, shut_down) = (BTreeMap::new(), BTreeSet::new(), BTreeSet::new());
        let now = Instant::now();
        Self { plan, now, cells, asked, shut_down, next_key: 0, escalated: false, only_failures, log: Vec::new() }
    }

    fn add(&mut self, restart: Restart, discard_unless_started: bool) {
        self.next_key += 1;
        self.plan.add(self.next_key, Settings { restart, stop_within: Duration::from_secs(5), discard_unless_started });
        self.cells.insert(self.next_key, Cell::None);
    }

    /// Does what the plan says, and checks that it makes sense.
    fn drive(&mut self) {
        while let Some(step) = self.plan.next_step(self.now) {
            self.log.push(step);
            match step {
                Step::Start(key) => {
                    let previous = self.cells.insert(key, Cell::Starting);
                    assert!(
                        matches!(previous, Some(Cell::None | Cell::Parked)),
                        "{key} is started and is {previous:?}"
                    );
                    self.check_order(key, true);
                }
                Step::Stop(key) => {
                    assert!(self.is_up(key), "{key} is stopped and is not up");
                    assert!(self.asked.insert(key), "{key} is stopped twice");
                    self.check_order(key, false);
                }
                Step::Kill(key) => assert!(self.asked.contains(&key), "{key} is killed and was not asked"),
                Step::Release(key) => assert_eq!(self.cells.insert(key, Cell::Released), Some(Cell::Parked)),
                Step::Shutdown(key) => match self.cells[&key] {
                    Cell::None => self.plan.exited(key),
                    Cell::Parked => drop(self.cells.insert(key, Cell::Released)),
                    Cell::Starting | Cell::Running => {
                        self.asked.insert(key);
                        assert!(self.shut_down.insert(key), "{key} is shut down twice");
                        self.check_order(key, false);
                    }
                    Cell::Released => panic!("{key} is shut down once more"),
                },
                Step::Forget(key) => assert_eq!(self.cells.remove(&key), Some(Cell::None)),
            }
        }
    }

    fn is_up(&self, key: Key) -> bool {
        matches!(self.cells[&key], Cell::Starting | Cell::Running)
    }

    /// Where several children are restarted all after this one are down, and before it starts all before it have started.
    fn check_order(&self, key: Key, starts: bool) {
        if self.only_failures && self.plan.policy.strategy != Strategy::OneForOne {
            assert!(self.cells.range(key + 1..).all(|(&key, _)| !self.is_up(key)), "out of order: {:?}", self.log);
            let mut before = self.cells.range(..key);
            assert!(!starts || before.all(|(_, cell)| *cell == Cell::Running), "too early: {:?}", self.log);
        }
    }

    fn end(&mut self, key: Key, reason: &ExitReason, drained: bool) {
        self.cells.insert(key, Cell::Parked);
        let asked = self.asked.remove(&key);
        if self.shut_down.remove(&key) {
            // It was asked while its end was reported, or before.
            if drained || reason.is_abnormal() {
                assert_eq!(self.plan.ended(key, reason, drained, self.now, 0), Decision::Expected);
            }
            self.cells.insert(key, Cell::None);
            return self.plan.exited(key);
        }
        let decision = self.plan.ended(key, reason, drained, self.now, 0);
        assert!(!asked || decision == Decision::Expected);
        self.escalated |= decision == Decision::Escalate;
    }

    /// The child with this number does what it does next. `well` or not.
    fn turn(&mut self, number: u64, well: bool) {
        let Some(index) = number.checked_rem(self.cells.len() as u64) else { return };
        let (&key, &cell) = self.cells.iter().nth(index as usize).unwrap();
        let failed = ExitReason::failed("x");
        match cell {
            Cell::Starting if well => {
                self.cells.insert(key, Cell::Running);
                self.plan.started(key, self.now);
            }
            Cell::Running if well && !self.asked.contains(&key) => {}
            Cell::Running if well => self.end(key, &ExitReason::Normal, false),
            Cell::Starting | Cell::Running => self.end(key, &failed, false),
            Cell::Released => {
                self.cells.insert(key, Cell::None);
                self.plan.exited(key);
            }
            Cell::None | Cell::Parked => {}
        }
    }

    fn happen(&mut self, (what, number): (u8, u64)) {
        let key = 1 + number.checked_rem(self.next_key).unwrap_or_default();
        match what {
            0..=99 => self.turn(number, true),
            100..=149 => self.turn(number, false),
            150..=179 => self.now += Duration::from_millis(number % 2000),
            _ if self.only_failures => {}
            180..=199 => self.plan.terminate(key, self.now),
            200..=209 => self.plan.delete(key, self.now),
            210..=229 => self.plan.restart(key, self.now),
            230..=239 if self.cells.get(&key) == Some(&Cell::Running) => self.end(key, &ExitReason::Normal, true),
            _ => self.add([Restart::Permanent, Restart::Transient, Restart::Temporary][number as usize % 3], true),
        }
        self.drive();
    }

    /// No child fails any more: everything comes to rest, and every child is where it should be.
    fn comes_to_rest(&mut self) {
        for _ in 0..1000 {
            (0..self.cells.len() as u64).for_each(|number| self.turn(number, true));
            self.now = self.plan.deadline().unwrap_or(self.now).max(self.now);
            self.drive();
        }
        assert!(self.plan.is_settled() && self.plan.deadline().is_none() && self.asked.is_empty());
        assert_eq!(self.plan.children.len(), self.cells.len());
        for (key, cell) in &self.cells {
            let phase = self.plan.phase(*key).unwrap();
            let right = matches!((phase, cell), (Phase::Running, Cell::Running) | (Phase::Terminated, Cell::None));
            assert!(right, "{key} is {cell:?}, the plan says {phase:?}: {:?}", self.log);
        }
    }
}

fn strategies() -> impl proptest::strategy::Strategy<Value = Strategy> {
    prop_oneof![Just(Strategy::OneForOne), Just(Strategy::OneForAll), Just(Strategy::RestForOne)]
}

fn backoffs() -> impl proptest::strategy::Strategy<Value = Backoff> {
    let range = Duration::from_millis(50)..Duration::from_secs(3);
    prop_oneof![Just(Backoff::none()), Just(Backoff::exponential(range))]
}

fn run(strategy: Strategy, backoff: Backoff, limit: usize, only_failures: bool, children: u64, events: Vec<(u8, u64)>) {
    let mut world = World::new(strategy, limit, backoff, only_failures);
    for _ in 0..children {
        world.add(Restart::Permanent, false);
    }
    world.drive();
    for event in events {
        world.happen(event);
        if world.escalated {
            return;
        }
    }
    world.comes_to_rest();
}

proptest! {
    #[test]
    fn whatever_happens_every_child_ends_where_it_should(
        strategy in strategies(), backoff in backoffs(), limit in prop_oneof![Just(usize::MAX), 0usize..8],
        children in 0u64..6, events in proptest::collection::vec((any::<u8>(), any::<u64>()), 0..120),
    ) {
        run(strategy, backoff, limit, false, children, events);
    }

    #[test]
    fn children_go_down_in_reverse_and_up_in_order(
        strategy in strategies(), backoff in backoffs(),
        children in 0u64..6, events in proptest::collection::vec((0u8..180, any::<u64>()), 0..120),
    ) {
        run(strategy, backoff, usize::MAX, true, children, events);
    }
}

/// Three children that are up.
fn three(strategy: Strategy, backoff: Backoff) -> World {
    let mut world = World::new(strategy, 1, backoff, true);
    (0..3).for_each(|_| world.add(Restart::Permanent, false));
    world.drive();
    for number in 0..3 {
        world.turn(number, true);
        world.drive();
    }
    assert_eq!(std::mem::take(&mut world.log), [Step::Start(1), Step::Start(2), Step::Start(3)]);
    world
}

#[test]
fn one_for_all_stops_in_reverse_then_waits_then_starts_in_order() {
    let second = Duration::from_secs(1);
    let mut world = three(Strategy::OneForAll, Backoff::exponential(second..second));
    let decision = world.plan.ended(2, &ExitReason::failed("x"), false, world.now, u64::MAX);
    assert_eq!(decision, Decision::Restart { after: second });
    world.cells.insert(2, Cell::Parked);
    world.drive();
    world.turn(2, true);
    world.drive();
    world.turn(0, true);
    world.drive();
    assert_eq!(std::mem::take(&mut world.log), [Step::Stop(3), Step::Stop(1)]);
    assert_eq!(world.plan.deadline(), Some(world.now + second));
    world.now += second;
    world.drive();
    assert_eq!(std::mem::take(&mut world.log), [Step::Start(1)]);
    world.comes_to_rest();
    assert_eq!(world.log, [Step::Start(2), Step::Start(3)]);
}

#[test]
fn a_child_that_takes_too_long_to_stop_is_killed() {
    let mut world = three(Strategy::RestForOne, Backoff::none());
    world.turn(1, false);
    world.drive();
    world.now += Duration::from_secs(5);
    world.drive();
    assert_eq!(world.log, [Step::Stop(3), Step::Kill(3)]);
}

#[test]
fn a_start_that_fails_counts_as_a_restart_and_one_that_never_started_is_discarded() {
    let mut world = three(Strategy::OneForOne, Backoff::none());
    world.add(Restart::Permanent, true);
    world.drive();
    world.turn(3, false);
    assert_eq!(world.plan.phase(4), Some(Phase::Leaving(AfterExit::Delete)));
    world.turn(0, false);
    world.drive();
    world.turn(0, false);
    assert!(world.escalated);
}

#[test]
fn each_child_has_its_own_backoff_which_begins_anew_after_a_period() {
    let backoff = Backoff::exponential(Duration::from_secs(2)..Duration::from_secs(60));
    let mut world = three(Strategy::OneForOne, backoff);
    world.plan.policy.limit = usize::MAX;
    let mut fail = |number: u64, up: u64| {
        let key = number + 1;
        world.now += Duration::from_secs(up);
        let decision = world.plan.ended(key, &ExitReason::failed("x"), false, world.now, u64::MAX);
        let Decision::Restart { after } = decision else { panic!("{decision:?}") };
        world.cells.insert(key, Cell::Parked);
        world.now += after;
        world.drive();
        world.turn(number, true);
        after.as_secs()
    };
    assert_eq!([fail(0, 0), fail(0, 0), fail(0, 4), fail(1, 0), fail(0, 5), fail(0, 0)], [2, 4, 8, 2, 2, 4]);
}
