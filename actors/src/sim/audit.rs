//! Invariants of a machine, whatever the test does: looked at while it rests, and when it has ended.

use crate::system::System;
use posse_core::runtime::Handle;
use posse_core::sim::Checkpoint;

/// Looks at a machine and says which promises are broken.
pub(super) fn machine(handle: &Handle, moment: Checkpoint) -> Vec<String> {
    let system = System::of(handle);
    let mut wrong = system.audit.overdue_asks();
    wrong.extend(system.audit.overdue_monitors());
    wrong.extend(system.audit.wrong_sums());
    if moment == Checkpoint::Ended {
        ended(&system, &mut wrong);
    }
    wrong
}

/// The laws of accounting, exact once everything was dropped.
fn ended(system: &System, wrong: &mut Vec<String>) {
    let [offered, returned, accepted] = system.audit.counts();
    if offered != returned + accepted {
        wrong.push(format!("{offered} messages were offered, {returned} returned and {accepted} accepted"));
    }
    let (handled, dead) = (system.handled(), system.dead_letters().total());
    if accepted != handled + dead {
        wrong.push(format!("{accepted} messages were accepted, {handled} handled and {dead} became dead letters"));
    }
    for (what, count) in [("actors", system.alive()), ("names", system.names()), ("asks", system.audit.left_asks())] {
        if count > 0 {
            wrong.push(format!("{count} {what} were left when it had ended"));
        }
    }
}
