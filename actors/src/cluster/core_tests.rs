//! What a node makes of what it is told about itself, and of connections that say nothing.

use super::*;
use posse_core::runtime::Builder;
use posse_core::task::yield_now;

fn in_runtime(limits: Limits, test: impl AsyncFnOnce(Arc<Core>)) {
    Builder::new_current_thread().build().unwrap().block_on(async {
        let hello = Hello::new("c", "me", 5, "", &limits).unwrap();
        test(Core::new(Handle::current(), hello, limits)).await;
    });
}

fn peer(core: &Arc<Core>, name: &str) -> Arc<Peer> {
    let introduction = Introduction { node: NodeId::new(name, 1), name: name.into(), address: String::new() };
    let peer = Peer::new(core, introduction, &[]);
    core.nodes.lock().add(&peer);
    peer
}

#[test]
fn node_that_nobody_knows_takes_the_incarnation_after_the_last_one_seen() {
    in_runtime(Limits::default(), async |core| {
        assert!(core.is_stale(5, 9));
        assert_eq!(core.id().incarnation, 10);
        // What an attempt is told that began before is of no use any more.
        assert!(core.is_stale(5, 99));
        assert_eq!(core.id().incarnation, 10);
        assert!(core.is_stale(10, INCARNATION_MAX - 1));
        assert_eq!(core.id().incarnation, INCARNATION_MAX);
        assert!(!core.is_stale(INCARNATION_MAX, INCARNATION_MAX));
    });
}

#[test]
fn node_that_others_know_does_not_outdo_whoever_took_its_name() {
    in_runtime(Limits::default(), async |core| {
        let other = peer(&core, "other");
        assert!(core.meet(&other, "a:1", 5));
        assert!(!core.is_stale(5, 9));
        assert_eq!(core.id().incarnation, 5);
        assert!(!other.is_down());
    });
}

#[test]
fn only_who_met_a_node_can_declare_it_down() {
    in_runtime(Limits::default(), async |core| {
        let (other, liar) = (peer(&core, "other"), peer(&core, "liar"));
        assert!(core.meet(&other, "a:1", 5));
        assert!(!core.is_quarantined(5, &liar, false));
        assert_eq!(core.id().incarnation, 5);
        assert!(core.is_quarantined(5, &other, false));
        let second = core.id().incarnation;
        assert!(second > 5 && other.is_down());
        assert!(core.peers().is_empty());
        // The other attempts that were on their way know nothing of the one that it is now.
        assert!(core.is_quarantined(5, &other, false));
        assert_eq!(core.id().incarnation, second);
        // Not again and again, for the sake of one that was never met.
        let next = peer(&core, "next");
        assert!(core.meet(&next, "a:1", second));
        assert!(!core.is_quarantined(second, &liar, true));
        assert_eq!(core.id().incarnation, second);
    });
}

#[test]
fn later_incarnation_replaces_the_former_when_it_is_met() {
    in_runtime(Limits::default(), async |core| {
        let former = peer(&core, "other");
        assert!(core.meet(&former, "a:1", 5));
        let node = NodeId { incarnation: 2, ..former.id() };
        let introduction = Introduction { node, name: "other".into(), address: String::new() };
        let later = Peer::new(&core, introduction, &[]);
        assert!(!former.is_down());
        assert!(core.meet(&later, "a:1", 5));
        assert!(former.is_down() && !later.is_down());
        let early = peer(&core, "other");
        assert!(!core.meet(&early, "a:1", 5));
        assert!(core.peer(former.id()).is_down());
        assert!(Arc::ptr_eq(&core.peer(node), &later));
    });
}

#[test]
fn of_connections_that_say_nothing_the_oldest_goes() {
    let mut limits = Limits::default();
    limits.half_open_max = 2;
    in_runtime(limits, async |core| {
        let pending: Vec<_> = (0..4).map(|_| core.handle.spawn(std::future::pending::<()>())).collect();
        let mut left = Vec::new();
        for task in &pending {
            core.half_open(task.abort_handle());
            for _ in 0..10 {
                yield_now().await;
            }
            left.push(pending.iter().filter(|task| !task.is_finished()).count());
        }
        assert_eq!(left, [4, 4, 3, 2]);
        assert_eq!(pending.iter().map(|task| task.is_finished()).collect::<Vec<_>>(), [true, true, false, false]);
        core.close();
    });
}

#[test]
fn node_that_was_down_for_longest_makes_place() {
    let mut limits = Limits::default();
    limits.peers_max = 2;
    in_runtime(limits, async |core| {
        let (first, second) = (peer(&core, "first"), peer(&core, "second"));
        assert!(core.meet(&first, "", 5) && core.meet(&second, "", 5));
        let hello = Hello::new("c", "third", 1, "", &Limits::default()).unwrap();
        assert!(matches!(core.admit(&hello, true), Admission::Refused(Goodbye::Overloaded, ..)));
        second.down(DownReason::Left);
        let Admission::Welcome(third) = core.admit(&hello, true) else { panic!("there is a place") };
        // Nobody is forgotten for one that only said its name.
        assert_eq!(core.peers().len(), 2);
        assert!(core.peer(second.id()).is_down());
        assert!(core.meet(&third, "", 5));
        let names: Vec<_> = core.peers().iter().map(|peer| peer.name().to_owned()).collect();
        assert!(names.contains(&"first".to_owned()) && names.contains(&"third".to_owned()), "{names:?}");
    });
}
