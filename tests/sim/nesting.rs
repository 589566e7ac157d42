//! Messages whose encoding sends messages: what one says about third nodes is not lost in the other.

use crate::probe::{Echo, Note, Probe, Probing, find, probe_of, seen, server};
use posse::prelude::*;
use posse::sim::Sim;
use serde::ser::{Error, SerializeTuple};
use serde::{Deserialize, Serialize, Serializer};

/// Tells a note to `noted` while it is being encoded.
#[derive(Deserialize)]
pub struct Parcel {
    third: ActorRef<Probing>,
    noted: ActorRef<Probing>,
    own: ActorRef<Probing>,
}

impl Serialize for Parcel {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut tuple = serializer.serialize_tuple(3)?;
        tuple.serialize_element(&self.third)?;
        self.noted.try_tell(Note { n: 1 }).map_err(S::Error::custom)?;
        tuple.serialize_element(&self.noted)?;
        tuple.serialize_element(&self.own)?;
        tuple.end()
    }
}

#[posse::protocol]
pub trait Opening {
    /// What the third and the sender's own actor echo.
    async fn open(parcel: Parcel) -> Vec<Result<String, AskError>>;
}

struct Opener;
impl Actor for Opener {}

impl Handler<Open> for Opener {
    async fn handle(&mut self, Open { parcel }: Open, _: &mut Context<Self>) -> Vec<Result<String, AskError>> {
        let third = parcel.third.ask(Echo { text: "third".into() }).await;
        let own = parcel.own.ask(Echo { text: "own".into() }).await;
        vec![third, own]
    }
}

#[posse::test(sim, seeds = 10)]
async fn message_told_while_another_is_encoded_takes_nothing_from_it(sim: Sim) {
    let (a, b, c) = (server(&sim, "a").await, sim.node("b").await, server(&sim, "c").await);
    a.with(|node| async move {
        node.register("opener", posse::spawn(|| Opener).share::<Opening>()).await.unwrap();
    })
    .await;
    let (noted, third) = (find(&b, &a).await, find(&b, &c).await);
    let echoes = b.with(move |node| async move {
        let own = posse::spawn(Probe::default).share::<Probing>();
        let opener: ActorRef<Opening> = node.whereis("opener").await.unwrap();
        opener.open(Parcel { third, noted, own }).within(secs(20)).await
    });
    assert_eq!(echoes.await.unwrap(), [Ok("third".to_owned()), Ok("own".to_owned())]);
    let noted = probe_of(&b, &a).await;
    assert_eq!(seen(&b, &noted).await, ["1"]);
}
