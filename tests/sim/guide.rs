//! The services of `docs/guide/simulation.md`: one with a bug that needs a lost reply, and the one without.

use posse::prelude::*;
use posse::sim::{Options, Sim, run_seed};
use std::collections::BTreeMap;

#[posse::protocol]
pub trait Till {
    async fn deposit(id: u64, cents: u64) -> u64;
    async fn balance() -> u64;
}

#[derive(Default)]
struct Drawer {
    balance: u64,
    /// What was answered, by request; `None` if nothing is remembered, which is the bug.
    done: Option<BTreeMap<u64, u64>>,
}

impl Actor for Drawer {}

impl Handler<Deposit> for Drawer {
    async fn handle(&mut self, Deposit { id, cents }: Deposit, _: &mut Context<Self>) -> u64 {
        let balance = &mut self.balance;
        let mut count = || {
            *balance += cents;
            *balance
        };
        match &mut self.done {
            Some(done) => *done.entry(id).or_insert_with(count),
            None => count(),
        }
    }
}

impl Handler<Balance> for Drawer {
    async fn handle(&mut self, _: Balance, _: &mut Context<Self>) -> u64 {
        self.balance
    }
}

/// Deposits for sure: asks until there is an answer.
async fn deposit(till: &ActorRef<Till>, id: u64, cents: u64) -> u64 {
    loop {
        if let Ok(balance) = till.deposit(id, cents).within(ms(500)).await {
            return balance;
        }
    }
}

async fn every_deposit_counts(sim: Sim, remembers: bool, faults: bool) {
    let server = sim.node("server").run(move |node| async move {
        let recipe = move || Drawer { balance: 0, done: remembers.then(BTreeMap::new) };
        node.register("till", posse::spawn(recipe).share::<Till>()).await?;
        Ok(())
    });
    let (server, client) = (server.await, sim.node("client").await);

    let address = server.address();
    let node = client.node().unwrap();
    let working = client.spawn(async move {
        node.join(address).await.unwrap();
        let till: ActorRef<Till> = node.whereis("till").await.unwrap();
        for id in 0..20 {
            deposit(&till, id, 100).await;
            posse::time::sleep(ms(50)).await;
        }
        till.balance().await.unwrap()
    });
    for _ in 0..if faults { 3 } else { 0 } {
        posse::time::sleep(ms(sim.random_below(400) as u64)).await;
        sim.partition([&server], [&client]).during(ms(700)).await;
    }
    assert_eq!(working.await.unwrap(), 2_000);
}

#[test]
fn the_till_that_forgets_passes_without_faults_and_is_caught_with_them() {
    let fails = |faults| {
        move |seed: &u64| {
            run_seed(Options::new(*seed), &|sim| every_deposit_counts(sim, false, faults)).failure.is_some()
        }
    };
    assert_eq!((0..50).find(fails(false)), None);
    assert!((0..50).any(|seed| fails(true)(&seed)));
}

#[posse::test(sim, seeds = 50)]
async fn the_till_that_remembers_holds(sim: Sim) {
    every_deposit_counts(sim, true, true).await;
}
