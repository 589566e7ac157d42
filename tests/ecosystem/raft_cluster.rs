//! A whole Raft of openraft: three nodes on simulated machines that talk through Posse's sockets, whose leader is cut off. Log and state
//! are in memory; requests and answers are frames of bincode.

use crate::raft::PosseRuntime;
use futures_util::{Stream, StreamExt};
use openraft::entry::RaftEntry;
use openraft::errors::{RPCError, ReplicationClosed, StreamingError, Unreachable};
use openraft::network::RPCOption;
use openraft::raft::{AppendEntriesRequest, AppendEntriesResponse, SnapshotResponse, VoteRequest, VoteResponse};
use openraft::storage::{EntryResponder, IOFlushed, LogState, RaftLogStorage, RaftStateMachine};
use openraft::type_config::alias::{LogIdOf, SnapshotMetaOf, SnapshotOf, StoredMembershipOf, VoteOf};
use openraft::{BasicNode, Config, EntryPayload, OptionalSend, RaftLogReader, RaftMetrics, RaftNetworkFactory};
use openraft::{RaftNetworkV2, RaftSnapshotBuilder, ServerState};
use posse::net::codec::{Framed, LengthDelimitedCodec};
use posse::net::{TcpListener, TcpStream};
use posse::secs;
use posse::sim::{Sim, SimMachine};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fmt::Debug;
use std::io;
use std::ops::RangeBounds;
use std::sync::{Arc, Mutex};

openraft::declare_raft_types!(
    /// What is agreed on are texts; the answer to one is how many there are.
    Types: D = String, R = u64, AsyncRuntime = PosseRuntime
);

type Entry = openraft::type_config::alias::EntryOf<Types>;
type Raft = openraft::Raft<Types, Texts>;

#[derive(Clone, Default)]
struct Log(Arc<Mutex<LogContents>>);

#[derive(Default)]
struct LogContents {
    vote: Option<VoteOf<Types>>,
    entries: BTreeMap<u64, Entry>,
    purged: Option<LogIdOf<Types>>,
}

impl RaftLogReader<Types> for Log {
    async fn try_get_log_entries<R: RangeBounds<u64> + Clone + Debug + OptionalSend>(
        &mut self,
        range: R,
    ) -> io::Result<Vec<Entry>> {
        Ok(self.0.lock().unwrap().entries.range(range).map(|(_, entry)| entry.clone()).collect())
    }

    async fn read_vote(&mut self) -> io::Result<Option<VoteOf<Types>>> {
        Ok(self.0.lock().unwrap().vote)
    }
}

impl RaftLogStorage<Types> for Log {
    type LogReader = Self;

    async fn get_log_state(&mut self) -> io::Result<LogState<Types>> {
        let log = self.0.lock().unwrap();
        let last = log.entries.last_key_value().map(|(_, entry)| entry.log_id());
        Ok(LogState { last_purged_log_id: log.purged, last_log_id: last.or(log.purged) })
    }

    async fn get_log_reader(&mut self) -> Self {
        self.clone()
    }

    async fn save_vote(&mut self, vote: &VoteOf<Types>) -> io::Result<()> {
        self.0.lock().unwrap().vote = Some(*vote);
        Ok(())
    }

    async fn append<I>(&mut self, entries: I, callback: IOFlushed<Types>) -> io::Result<()>
    where
        I: IntoIterator<Item = Entry> + OptionalSend,
        I::IntoIter: OptionalSend,
    {
        self.0.lock().unwrap().entries.extend(entries.into_iter().map(|entry| (entry.index(), entry)));
        callback.io_completed(Ok(()));
        Ok(())
    }

    async fn truncate_after(&mut self, last: Option<LogIdOf<Types>>) -> io::Result<()> {
        drop(self.0.lock().unwrap().entries.split_off(&last.map_or(0, |last| last.index + 1)));
        Ok(())
    }

    async fn purge(&mut self, last: LogIdOf<Types>) -> io::Result<()> {
        let mut log = self.0.lock().unwrap();
        log.entries = log.entries.split_off(&(last.index + 1));
        log.purged = Some(last);
        Ok(())
    }
}

#[derive(Clone, Default)]
struct Texts(Arc<Mutex<TextsContents>>);

#[derive(Clone, Default)]
struct TextsContents {
    texts: Vec<String>,
    meta: SnapshotMetaOf<Types>,
    snapshot: Option<(SnapshotMetaOf<Types>, Vec<String>)>,
}

type Snapshot = SnapshotOf<Types, Vec<String>>;

impl RaftSnapshotBuilder<Types> for Texts {
    type SnapshotData = Vec<String>;

    async fn build_snapshot(&mut self) -> io::Result<Snapshot> {
        let mut state = self.0.lock().unwrap();
        let (meta, snapshot) = (state.meta.clone(), state.texts.clone());
        state.snapshot = Some((meta.clone(), snapshot.clone()));
        Ok(Snapshot { meta, snapshot })
    }
}

impl RaftStateMachine<Types> for Texts {
    type SnapshotData = Vec<String>;
    type SnapshotBuilder = Self;

    async fn applied_state(&mut self) -> io::Result<(Option<LogIdOf<Types>>, StoredMembershipOf<Types>)> {
        let meta = &self.0.lock().unwrap().meta;
        Ok((meta.last_log_id, meta.last_membership.clone()))
    }

    async fn apply<S>(&mut self, mut entries: S) -> io::Result<()>
    where
        S: Stream<Item = io::Result<EntryResponder<Types>>> + Unpin + OptionalSend,
    {
        while let Some(next) = entries.next().await {
            let (entry, responder) = next?;
            let mut state = self.0.lock().unwrap();
            state.meta.last_log_id = Some(entry.log_id);
            match entry.payload {
                EntryPayload::Blank => {}
                EntryPayload::Normal(text) => state.texts.push(text),
                EntryPayload::Membership(members) => {
                    state.meta.last_membership = StoredMembershipOf::<Types>::new(Some(entry.log_id), members);
                }
            }
            if let Some(responder) = responder {
                responder.send(state.texts.len() as u64);
            }
        }
        Ok(())
    }

    async fn get_snapshot_builder(&mut self) -> Self {
        self.clone()
    }

    async fn install_snapshot(&mut self, meta: &SnapshotMetaOf<Types>, texts: Vec<String>) -> io::Result<()> {
        let mut state = self.0.lock().unwrap();
        (state.meta, state.texts) = (meta.clone(), texts.clone());
        state.snapshot = Some((meta.clone(), texts));
        Ok(())
    }

    async fn get_current_snapshot(&mut self) -> io::Result<Option<Snapshot>> {
        Ok(self.0.lock().unwrap().snapshot.clone().map(|(meta, snapshot)| Snapshot { meta, snapshot }))
    }
}

#[derive(Serialize, Deserialize)]
enum Call {
    Append(AppendEntriesRequest<Types>),
    Vote(VoteRequest<Types>),
    Snapshot(VoteOf<Types>, SnapshotMetaOf<Types>, Vec<String>),
}

type Frames = Framed<TcpStream, LengthDelimitedCodec>;

async fn send<T: Serialize>(frames: &mut Frames, message: &T) -> posse::Result {
    let bytes = bincode::serde::encode_to_vec(message, bincode::config::standard())?;
    Ok(frames.send(bytes).await?)
}

/// `None` once the other side has closed.
async fn receive<T: DeserializeOwned>(frames: &mut Frames) -> posse::Result<Option<T>> {
    let Some(frame) = frames.next().await.transpose()? else { return Ok(None) };
    Ok(Some(bincode::serde::decode_from_slice(&frame, bincode::config::standard())?.0))
}

/// Answers one call after the other on a connection, until it ends.
async fn answer(stream: TcpStream, raft: Raft) -> posse::Result {
    let mut frames = Framed::new(stream, LengthDelimitedCodec::new());
    while let Some(call) = receive(&mut frames).await? {
        match call {
            Call::Append(request) => send(&mut frames, &raft.append_entries(request).await?).await?,
            Call::Vote(request) => send(&mut frames, &raft.vote(request).await?).await?,
            Call::Snapshot(vote, meta, snapshot) => {
                let installed = raft.install_full_snapshot(vote, Snapshot { meta, snapshot }).await?;
                send(&mut frames, &installed).await?;
            }
        }
    }
    Ok(())
}

/// The way to another node: a connection that is made when it is needed, and again after it broke.
struct Peer {
    address: String,
    frames: Option<Frames>,
}

impl Peer {
    /// A call that is given up half-way leaves no connection: the next one would get its answer.
    async fn call<T: DeserializeOwned>(&mut self, call: &Call) -> Result<T, Unreachable<Types>> {
        let frames = self.frames.take();
        let (frames, answer) =
            self.try_call(frames, call).await.map_err(|error| Unreachable::from_string(format!("{error:#}")))?;
        self.frames = Some(frames);
        Ok(answer)
    }

    async fn try_call<T: DeserializeOwned>(&self, frames: Option<Frames>, call: &Call) -> posse::Result<(Frames, T)> {
        let mut frames = match frames {
            Some(frames) => frames,
            None => Framed::new(TcpStream::connect(&*self.address).await?, LengthDelimitedCodec::new()),
        };
        send(&mut frames, call).await?;
        let answer = receive(&mut frames).await?.ok_or("it closed instead of an answer")?;
        Ok((frames, answer))
    }
}

impl RaftNetworkV2<Types> for Peer {
    type SnapshotData = Vec<String>;

    async fn append_entries(
        &mut self,
        request: AppendEntriesRequest<Types>,
        _: RPCOption,
    ) -> Result<AppendEntriesResponse<Types>, RPCError<Types>> {
        Ok(self.call(&Call::Append(request)).await?)
    }

    async fn vote(
        &mut self,
        request: VoteRequest<Types>,
        _: RPCOption,
    ) -> Result<VoteResponse<Types>, RPCError<Types>> {
        Ok(self.call(&Call::Vote(request)).await?)
    }

    async fn full_snapshot(
        &mut self,
        vote: VoteOf<Types>,
        snapshot: Snapshot,
        cancel: impl Future<Output = ReplicationClosed> + OptionalSend + 'static,
        _: RPCOption,
    ) -> Result<SnapshotResponse<Types>, StreamingError<Types>> {
        let call = Call::Snapshot(vote, snapshot.meta, snapshot.snapshot);
        posse::select! {
            answer = self.call(&call) => Ok(answer?),
            closed = cancel => Err(closed.into()),
        }
    }
}

struct Network;

impl RaftNetworkFactory<Types> for Network {
    type Network = Peer;

    async fn new_client(&mut self, _: u64, node: &BasicNode) -> Peer {
        Peer { address: node.addr.clone(), frames: None }
    }
}

/// A node as its test sees it.
struct Member {
    id: u64,
    machine: SimMachine,
    raft: Raft,
    texts: Texts,
}

impl Member {
    async fn start(sim: &Sim, id: u64) -> Self {
        let (texts, started) = (Texts::default(), Arc::new(Mutex::new(None)));
        let (state, raft) = (texts.clone(), started.clone());
        let program = move || serve(id, state.clone(), raft.clone());
        let machine = sim.host(&format!("raft-{id}"), program).await;
        sim.wait_for(secs(10), "the node has started", || started.lock().unwrap().is_some()).await;
        let raft = started.lock().unwrap().take().expect("it has started");
        Self { id, machine, raft, texts }
    }

    /// Waits until its metrics are so.
    async fn until(
        &self,
        what: &'static str,
        is_so: impl Fn(&RaftMetrics<Types>) -> bool + Send + 'static,
    ) -> RaftMetrics<Types> {
        let raft = self.raft.clone();
        let wait = async move { raft.wait(Some(secs(60))).metrics(is_so, what).await };
        self.machine.run(wait).await.unwrap()
    }

    /// Waits until it knows a leader other than that one.
    async fn leader_but(&self, old: Option<u64>) -> u64 {
        let knows =
            move |metrics: &RaftMetrics<Types>| metrics.current_leader.is_some_and(|leader| Some(leader) != old);
        self.until("another leader", knows).await.current_leader.expect("it was waited for")
    }

    /// Waits until it leads, and the others have said so.
    async fn leads(&self) {
        self.until("it leads", |m| m.state == ServerState::Leader && m.last_quorum_acked.is_some()).await;
    }

    /// Agrees on a text, and returns how many there are then.
    async fn write(&self, text: &str) -> u64 {
        let (raft, text) = (self.raft.clone(), text.to_owned());
        self.machine.run(async move { raft.client_write(text).await }).await.unwrap().data
    }

    async fn has(&self, sim: &Sim, texts: &[&str]) {
        let is_so = || self.texts.0.lock().unwrap().texts == texts;
        sim.wait_for(secs(60), "the texts have come", is_so).await;
    }
}

/// A node, as a program.
async fn serve(id: u64, texts: Texts, started: Arc<Mutex<Option<Raft>>>) -> posse::Result {
    let config =
        Config { heartbeat_interval: 100, election_timeout_min: 400, election_timeout_max: 800, ..Config::default() };
    let listener = TcpListener::bind(format!("raft-{id}:80")).await?;
    let raft = Raft::new(id, Arc::new(config.validate()?), Network, Log::default(), texts).await?;
    *started.lock().unwrap() = Some(raft.clone());
    loop {
        let (stream, _) = listener.accept().await?;
        // How it ends is seen by the node at its other end.
        posse::task::spawn(answer(stream, raft.clone()));
    }
}

#[posse::test(sim, seeds = 20)]
async fn a_leader_that_is_cut_off_is_replaced_and_follows_when_it_is_back(sim: Sim) {
    let mut members = Vec::new();
    for id in 1..=3 {
        members.push(Member::start(&sim, id).await);
    }
    let nodes: BTreeMap<_, _> = (1..=3).map(|id| (id, BasicNode::new(format!("raft-{id}:80")))).collect();
    let raft = members[0].raft.clone();
    members[0].machine.run(async move { raft.initialize(nodes).await }).await.unwrap();

    let first = members[sim.random_below(3)].leader_but(None).await;
    let (old, others): (Vec<_>, Vec<_>) = members.iter().partition(|member| member.id == first);
    let old = old[0];
    old.leads().await;
    assert_eq!(old.write("one").await, 1);

    let cut = sim.partition([&old.machine], others.iter().map(|member| &member.machine));
    // It still takes itself for the leader, and cannot agree with anybody.
    let raft = old.raft.clone();
    let alone = old.machine.spawn(async move { raft.client_write("never".to_owned()).await });
    let second = others[0].leader_but(Some(first)).await;
    assert_eq!(others[1].leader_but(Some(first)).await, second);
    let new = others.iter().find(|member| member.id == second).expect("one of the two");
    new.leads().await;
    for (text, count) in [("two", 2), ("three", 3), ("four", 4), ("five", 5)] {
        assert_eq!(new.write(text).await, count);
    }
    assert_eq!(old.texts.0.lock().unwrap().texts, ["one"]);

    cut.repair();
    assert_eq!(old.leader_but(Some(first)).await, second);
    old.until("it follows", |metrics| metrics.state == ServerState::Follower).await;
    alone.await.unwrap().unwrap_err();
    assert_eq!(new.write("six").await, 6);
    for member in &members {
        member.has(&sim, &["one", "two", "three", "four", "five", "six"]).await;
    }
}
