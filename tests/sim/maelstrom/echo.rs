//! Echo: each reply is for its request.

use super::cluster::{Cluster, Site};
use super::nemesis::{ALL, Nemesis};
use posse::prelude::*;
use posse::sim::Sim;

#[posse::protocol]
pub trait Echoing {
    async fn echo(text: String) -> String;
}

struct Echoer;
impl Actor for Echoer {}
impl Handler<Echo> for Echoer {
    async fn handle(&mut self, Echo { text }: Echo, ctx: &mut Context<Self>) -> String {
        // So that several requests are on their way, and some handlers are cut short.
        posse::time::sleep(ms(ctx.runtime().random_u64() % 20)).await;
        text
    }
}

#[posse::test(sim, seeds = 15)]
async fn every_reply_is_for_its_request(sim: Sim) {
    let program = |site: Site| async move { site.register("echo", posse::spawn(|| Echoer).share::<Echoing>()).await };
    let cluster = Cluster::start(&sim, 3, program).await;
    let links = cluster.links::<Echoing>("echo").await;

    let nemesis = Nemesis { harms: ALL, rounds: 3, longest: secs(3) };
    let ways = links.clone();
    let client = move |client: super::cluster::Client| {
        let links = ways.clone();
        async move {
            let mut n = 0;
            while client.goes_on(ms(100)).await {
                n += 1;
                let Some(echoer) = links.to(client.any_server()) else { continue };
                let text = format!("{} of {}", n, client.process);
                if let Ok(reply) = echoer.echo(text.clone()).within(secs(1)).await {
                    assert_eq!(reply, text, "a reply to another request");
                }
            }
        }
    };
    cluster.drive(4, nemesis, client).await;

    let all_reply = move || {
        let links = links.clone();
        async move {
            for index in 0..links.len() {
                let echoer = links.to(index).ok_or(format!("server {index} is not found"))?;
                let reply = echoer.echo("anybody?".into()).await;
                reply.map_err(|error| format!("server {index} does not reply: {error}"))?;
            }
            Ok(())
        }
    };
    cluster.eventually(secs(20), all_reply).await;
}
