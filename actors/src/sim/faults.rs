//! Faults of the network that a test can take back.

use super::{Sim, SimMachine};
use posse_core::sim::{MachineId, WorldHandle};
use posse_core::time::sleep;
use std::time::Duration;

/// A fault that lasts until it is repaired, also if this is dropped.
#[derive(Debug)]
pub struct Fault {
    control: WorldHandle,
    /// Directions that are cut.
    cut: Vec<(MachineId, MachineId)>,
    /// Directions that are held.
    held: Vec<(MachineId, MachineId)>,
}

impl Fault {
    /// Lets the fault last for a while, then repairs it.
    ///
    /// # Cancel safety
    /// Dropping the future leaves the fault as it is, for good.
    pub async fn during(self, time: Duration) {
        sleep(time).await;
        self.repair();
    }

    /// Ends the fault. What was held goes on; what was lost is sent again as kernels do.
    pub fn repair(self) {
        for (from, to) in self.cut {
            self.control.repair(from, to);
        }
        for (from, to) in self.held {
            self.control.release(from, to);
        }
    }
}

impl Sim {
    fn cut_all(&self, cut: Vec<(MachineId, MachineId)>) -> Fault {
        cut.iter().for_each(|&(from, to)| self.control.partition(from, to));
        Fault { control: self.control.clone(), cut, held: Vec::new() }
    }

    /// Cuts every way between two groups of machines, in both directions. It is cut from this call on.
    pub fn partition<'a>(
        &self,
        left: impl IntoIterator<Item = &'a SimMachine>,
        right: impl IntoIterator<Item = &'a SimMachine>,
    ) -> Fault {
        let right: Vec<_> = right.into_iter().map(SimMachine::id).collect();
        let left: Vec<_> = left.into_iter().map(SimMachine::id).collect();
        let pairs = left.iter().flat_map(|&a| right.iter().flat_map(move |&b| [(a, b), (b, a)]));
        self.cut_all(pairs.collect())
    }

    /// Cuts the way from one machine to another; the other direction stays open.
    pub fn partition_oneway(&self, from: &SimMachine, to: &SimMachine) -> Fault {
        self.cut_all(vec![(from.id(), to.id())])
    }

    /// Holds back everything that travels between two machines, in both directions, until it is repaired.
    pub fn hold(&self, a: &SimMachine, b: &SimMachine) -> Fault {
        let held = vec![(a.id(), b.id()), (b.id(), a.id())];
        held.iter().for_each(|&(from, to)| self.control.hold(from, to));
        Fault { control: self.control.clone(), cut: Vec::new(), held }
    }
}
