//! An actor that the scenarios talk to.

use posse::prelude::*;
use posse::sim::{MachineBuilder, Sim, SimMachine};

/// What it speaks.
#[posse::protocol]
pub trait Testing {
    async fn echo(text: String) -> String;
    async fn note(n: u64);
    async fn notes() -> Vec<u64>;
    async fn slow(ms: u64) -> u64;
    async fn crash() -> u64;
    async fn pass(to: ActorRef<Testing>, text: String) -> Option<String>;
}

#[derive(Default)]
pub struct Tester {
    notes: Vec<u64>,
}

impl Actor for Tester {}

impl Handler<Echo> for Tester {
    async fn handle(&mut self, Echo { text }: Echo, _: &mut Context<Self>) -> String {
        text
    }
}

impl Handler<Note> for Tester {
    async fn handle(&mut self, Note { n }: Note, _: &mut Context<Self>) {
        self.notes.push(n);
    }
}

impl Handler<Notes> for Tester {
    async fn handle(&mut self, _: Notes, _: &mut Context<Self>) -> Vec<u64> {
        self.notes.clone()
    }
}

impl Handler<Slow> for Tester {
    async fn handle(&mut self, Slow { ms: time }: Slow, _: &mut Context<Self>) -> u64 {
        posse::time::sleep(ms(time)).await;
        time
    }
}

impl Handler<Crash> for Tester {
    async fn handle(&mut self, _: Crash, _: &mut Context<Self>) -> u64 {
        panic!("crash on purpose")
    }
}

impl Handler<Pass> for Tester {
    async fn handle(&mut self, Pass { to, text }: Pass, _: &mut Context<Self>) -> Option<String> {
        to.echo(text).await.ok()
    }
}

/// A machine whose node publishes a tester.
pub fn server(sim: &Sim, name: &str) -> MachineBuilder {
    sim.node(name).run(|node: Node| async move {
        node.publish("tester", posse::spawn(Tester::default).share::<Testing>()).await?;
        Ok(())
    })
}

/// Joins one machine's node to another's, and finds its tester.
pub async fn find(from: &SimMachine, server: &SimMachine) -> ActorRef<Testing> {
    let address = server.address();
    from.with(move |node| async move {
        node.join(address).await.unwrap();
        node.find::<Testing>("tester").await.unwrap()
    })
    .await
}
