//! How fast the simulation runs: simulated node-seconds per second of one processor, on an echo cluster that is nearly idle.
//!
//! Run: cargo bench --bench simulation            (9 rounds)
//!      cargo bench --bench simulation -- --smoke (1 small round)
#![allow(clippy::unwrap_used, missing_docs)]

use posse::prelude::*;
use posse::sim::{Options, Sim, run_seed};

#[posse::protocol]
pub trait Echoing {
    async fn echo(text: String) -> String;
}

#[derive(Default)]
struct Parrot;
impl Actor for Parrot {}
impl Handler<Echo> for Parrot {
    async fn handle(&mut self, Echo { text }: Echo, _: &mut Context<Self>) -> String {
        text
    }
}

const NODES: u64 = 3;

/// Every node asks the next one once a second.
async fn idle_echo_cluster(sim: Sim, seconds: u64) {
    let mut machines = Vec::new();
    for n in 0..NODES {
        machines.push(
            sim.node(&format!("node-{n}"))
                .run(|node| async move {
                    node.register(
                        &format!("parrot-of-{}", node.name()),
                        posse::spawn(Parrot::default).share::<Echoing>(),
                    )
                    .await?;
                    Ok(())
                })
                .await,
        );
    }
    let mut asking = Vec::new();
    for (n, machine) in machines.iter().enumerate() {
        let next = &machines[(n + 1) % machines.len()];
        let (address, name) = (next.address(), format!("parrot-of-{}", next.name()));
        let node = machine.node().unwrap();
        asking.push(machine.spawn(async move {
            node.join(address).await.unwrap();
            let parrot: ActorRef<Echoing> = node.whereis(&name).await.unwrap();
            for second in 0..seconds {
                posse::time::sleep(secs(1)).await;
                assert_eq!(parrot.echo(second.to_string()).await.unwrap(), second.to_string());
            }
        }));
    }
    for asking in asking {
        asking.await.unwrap();
    }
}

fn main() {
    let smoke = std::env::args().any(|arg| arg == "--smoke");
    let (rounds, seconds) = if smoke { (1, 200) } else { (9, 5_000) };
    let mut speeds: Vec<f64> = (0..rounds)
        .map(|seed| {
            #[expect(clippy::disallowed_methods, reason = "real time is what is measured")]
            let start = std::time::Instant::now();
            let report = run_seed(Options::new(seed), &|sim| idle_echo_cluster(sim, seconds));
            assert!(report.failure.is_none(), "{:?}", report.failure);
            report.elapsed.as_secs_f64() * NODES as f64 / start.elapsed().as_secs_f64()
        })
        .collect();
    speeds.sort_by(f64::total_cmp);
    let (least, median, most) = (speeds[0], speeds[speeds.len() / 2], speeds[speeds.len() - 1]);
    println!("simulated node-seconds per second: {median:.0} ({least:.0}..{most:.0}) of {rounds} rounds");
}
