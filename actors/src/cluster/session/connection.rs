//! One connection from READY to its end: a reader that understands frames, a writer that sends what has gathered.

use super::frame_reader::FrameReader;
use super::peer::{Peer, Requester};
use super::reasons::CloseFrame;
use super::receiver::Receiver;
use crate::cluster::events::DisconnectReason;
use crate::cluster::state::NodeState;
use bytes::BytesMut;
use posse_core::event;
use posse_core::select;
use posse_core::task::{JoinHandle, yield_now};
use posse_core::time::{Instant, sleep_until, timeout};
use posse_net::TcpStream;
use posse_net::io::AsyncWriteExt;
use posse_net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use posse_wire::{CloseReason, Established, Event, ProtocolError};
use std::future::{Future, poll_fn};
use std::mem;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::task::Poll;
use std::time::Duration;

/// Frames that are understood before they are acted upon and the session's lock is taken again. As many as an actor handles in one poll: it
/// takes its turn after them, so what it was sent leaves its mailbox while it is still in the cache.
const BATCH_MAX: usize = 64;

/// How long it is not read while too much waits to be written. Not for ever, as the other side may do the same. Guessed.
const CROWDED_TIME: Duration = Duration::from_millis(250);

/// Bytes that are thrown away at once. Guessed.
const DRAIN_BYTES: usize = 64 * 1024;

/// How long the other side may take to read the last frame and close. Guessed.
pub(crate) const LINGER_TIME: Duration = Duration::from_secs(1);

/// A connection after its handshake.
pub(crate) struct Connection {
    pub(crate) stream: TcpStream,
    /// What arrived after READY.
    pub(crate) input: BytesMut,
    /// What the handshake agreed on, for `Session::attach`.
    pub(crate) connected: Established,
}

/// The task that writes. It ends with the connection; with an error if the transport took no more.
struct Writer(JoinHandle<std::io::Result<()>>);

impl Writer {
    /// Ends it, if it has not ended by itself, and waits for that: then what it could not write is with the session. Returns
    /// why it could not.
    async fn end(mut self) -> Option<std::io::Error> {
        self.0.abort();
        (&mut self.0).await.ok()?.err()
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// Runs a connection to its end.
pub(crate) async fn run(node: &Arc<NodeState>, peer: &Arc<Peer>, connection: Connection) -> DisconnectReason {
    let Connection { stream, input, connected } = connection;
    event!(INFO, "posse::node", "connected", node.id = %peer.id(), node.name = %peer.name());
    let epoch = peer.with_session(|session| session.attach(connected, node.now()));
    peer.wake_senders();

    let (read, write) = stream.into_split();
    let writer = Writer(node.handle.spawn(write_loop(node.clone(), peer.clone(), epoch, write)));
    peer.write_ready.notify_one();

    let (frames, receiver) =
        (FrameReader::new(&node.long_frames, input, &peer.was_slow), Receiver::new(node.clone(), peer.clone(), epoch));
    let batch_max = BATCH_MAX.min(node.config.batch_max());
    let mut reader = Reader { node, peer, frames, receiver, batch: Vec::new(), batch_max, crowding_bytes: 0 };
    let (code, text) = match reader.read_loop(&read).await {
        Ok(end) => {
            // The reader sees no more of a broken transport than that nothing follows.
            return match (writer.end().await, end) {
                (Some(error), DisconnectReason::Closed) => failed(&error),
                (_, end) => end,
            };
        }
        Err(close_frame) => close_frame,
    };
    if code != CloseReason::Shutdown {
        event!(
            WARN, "posse::node", "this node ends the connection",
            node.id = %peer.id(), node.name = %peer.name(), reason = %code, detail = %text,
        );
    }
    peer.with_session(|session| session.close(code, &text));
    peer.write_ready.notify_one();
    // The other side may be past hearing it.
    let _ = timeout(LINGER_TIME, drain_until_eof(read.as_ref())).await;
    let _ = writer.end().await;
    DisconnectReason::LocallyClosed { code, detail: text.into() }
}

/// Why a connection is gone of which the system says that it does not work any more.
fn failed(error: &std::io::Error) -> DisconnectReason {
    DisconnectReason::Failed(error.to_string().into())
}

/// Reads until the other side has read our last frame and closed: closing before that could destroy them on their way.
pub(crate) async fn drain_until_eof(read: &TcpStream) {
    let mut rest = BytesMut::with_capacity(DRAIN_BYTES);
    while read.read_buf(&mut rest).await.is_ok_and(|read| read > 0) {
        rest.clear();
    }
}

/// Bytes that are being written. What the connection did not take by its end goes back to the session.
struct InFlight<'a> {
    peer: &'a Peer,
    /// Of the connection: what a later one is told of this one it ignores.
    epoch: u64,
    /// What the session gave to be written.
    bytes: BytesMut,
    /// How many of them the socket has taken.
    written: usize,
}

impl InFlight<'_> {
    async fn write(&mut self, write: &mut OwnedWriteHalf) -> std::io::Result<()> {
        while self.written < self.bytes.len() {
            match write.write(&self.bytes[self.written..]).await? {
                0 => return Err(std::io::ErrorKind::WriteZero.into()),
                written => self.written += written,
            }
        }
        Ok(())
    }
}

impl Drop for InFlight<'_> {
    fn drop(&mut self) {
        let bytes = std::mem::take(&mut self.bytes);
        self.peer.with_session(|session| {
            if self.written < bytes.len() {
                session.return_unwritten(self.epoch, &bytes, self.written);
            } else {
                session.recycle(bytes);
            }
        });
    }
}

async fn write_loop(
    node: Arc<NodeState>,
    peer: Arc<Peer>,
    epoch: u64,
    mut write: OwnedWriteHalf,
) -> std::io::Result<()> {
    loop {
        loop {
            peer.flush_replies(&node);
            let Some(bytes) = peer.with_session(|session| session.poll_transmit(node.now())) else { break };
            let mut in_flight = InFlight { peer: &peer, epoch, bytes, written: 0 };
            let written = loop {
                select! {
                    biased;
                    written = in_flight.write(&mut write) => break written,
                    // Replies that become ready meanwhile are counted, however long this takes.
                    () = peer.write_ready.notified() => peer.flush_replies(&node),
                }
            };
            if let Err(error) = written {
                // The reader sees the end of the connection as well, and acts.
                let _ = write.as_ref().shutdown_sync(std::net::Shutdown::Both);
                return Err(error);
            }
            drop(in_flight);
            peer.let_asks_begin();
        }
        if peer.with_session(|session| session.is_closing()) {
            // Dropping this half says that nothing follows.
            return Ok(());
        }
        peer.write_ready.notified().await;
        // Other tasks that are about to send something do so first, and it goes in one write.
        yield_now().await;
    }
}

/// The reading end of a connection.
struct Reader<'a> {
    /// This node.
    node: &'a Arc<NodeState>,
    /// The other one.
    peer: &'a Arc<Peer>,
    /// Cuts frames out of what arrives.
    frames: FrameReader<'a>,
    /// Delivers what is in them.
    receiver: Receiver,
    /// Empty between two batches; its memory is kept.
    batch: Vec<Event<Requester>>,
    /// Frames of a batch. Does not change.
    batch_max: usize,
    /// Of frames besides messages and replies, when they were last looked at and were many; else 0.
    crowding_bytes: usize,
}

impl Reader<'_> {
    /// Reads until the connection ends. `Err` if we end it, with what to say.
    async fn read_loop(&mut self, read: &OwnedReadHalf) -> Result<DisconnectReason, CloseFrame> {
        let closing = self.peer.shutdown.cancelled();
        let mut closing = pin!(closing);
        let mut timer = sleep_until(Instant::now());
        loop {
            match self.process_input()? {
                Input::End(end) => return Ok(end),
                Input::More => {
                    yield_now().await;
                    self.receiver.let_actors_catch_up().await;
                    self.let_writer_go_first().await;
                    continue;
                }
                Input::Done => {
                    self.receiver.let_actors_catch_up().await;
                    self.let_writer_go_first().await;
                }
            }

            self.frames.begin_frame();
            let is_excused = self.frames.is_waiting();

            self.reset_timer(&mut timer);
            let (node, peer) = (self.node, self.peer);
            let asks_wait = self.receiver.asks_wait();
            let woken = {
                let mut begin = pin!(self.peer.asks_may_begin.notified());
                let mut reading = pin!(self.frames.read(read, || self.node.now()));
                let receiver = &mut self.receiver;
                poll_fn(|cx| {
                    if closing.as_mut().poll(cx).is_ready() {
                        return Poll::Ready(ReadEvent::Closing);
                    }
                    if let Poll::Ready(result) = reading.as_mut().poll(cx) {
                        return Poll::Ready(ReadEvent::Read(result));
                    }
                    // That asks wait is to be told, and to be looked at, before this sleeps.
                    if receiver.poll_backlog(cx) || (receiver.asks_wait() && !asks_wait) {
                        return Poll::Ready(ReadEvent::Delivered);
                    }
                    if asks_wait && begin.as_mut().poll(cx).is_ready() {
                        return Poll::Ready(ReadEvent::Delivered);
                    }
                    Pin::new(&mut timer).poll(cx).map(|()| ReadEvent::Time)
                })
                .await
            };
            match woken {
                // Others have said so already; no actor here is left to take leave for.
                ReadEvent::Closing if peer.is_down() => {
                    return Ok(DisconnectReason::LocallyClosed { code: CloseReason::Shutdown, detail: "".into() });
                }
                ReadEvent::Closing => return Err((CloseReason::Shutdown, String::new())),
                ReadEvent::Read(Ok(Some(0))) => return Ok(DisconnectReason::Closed),
                ReadEvent::Read(Err(error)) => return Ok(failed(&error)),
                ReadEvent::Read(Ok(Some(_))) | ReadEvent::Delivered => {}
                // From here on it is read again, so silence counts.
                ReadEvent::Read(Ok(None)) => peer.with_session(|session| session.reset_idle_timeout(node.now())),
                ReadEvent::Time => {
                    self.frames.check(node.now())?;
                    let checked = peer.with_session(|session| {
                        if is_excused {
                            session.reset_idle_timeout(node.now());
                        }
                        session.handle_timeout(node.now())
                    });
                    checked.map_err(close_frame)?;
                    peer.write_ready.notify_one();
                }
            }
        }
    }

    /// While much waits to be written besides messages and replies, and what was read last has added to it, the writer goes first:
    /// what is read next may have to be answered as well. What needs no answer is read on, so two sides that have much to
    /// write do not wait for each other.
    async fn let_writer_go_first(&mut self) {
        let waiting = self.peer.with_session(|session| session.crowding_bytes());
        if waiting > mem::replace(&mut self.crowding_bytes, waiting) {
            let is_crowded = || self.peer.with_session(|session| session.is_crowded());
            // Before the session is looked at: the writer looks at it after it has changed that.
            self.peer.asks_wait.store(true, Ordering::Release);
            let written = timeout(CROWDED_TIME, async {
                loop {
                    let progress = self.peer.asks_may_begin.notified();
                    if !is_crowded() {
                        return;
                    }
                    progress.await;
                }
            });
            self.peer.shutdown.run_until_cancelled(written).await;
            self.crowding_bytes = self.peer.with_session(|session| session.crowding_bytes());
        }
    }

    /// Sets the timer to when the session has something to say or to check.
    fn reset_timer(&self, timer: &mut posse_core::time::Sleep) {
        let now = self.node.now();
        let asks_wait = self.receiver.asks_wait();
        self.peer.asks_wait.store(asks_wait, Ordering::Release);
        // Without a link nothing is due: then there is no hurry.
        let idle = now.saturating_add(self.node.config.max_idle_timeout);
        let begun = self.peer.pending_reply_count();
        let due = self.peer.with_session(|session| {
            let may_begin_soon = asks_wait && session.may_begin_later(begun);
            if may_begin_soon { Some(now) } else { session.poll_timeout() }
        });
        let due = due.unwrap_or(idle).saturating_sub(now).min(self.frames.due(now).unwrap_or(Duration::MAX));
        let deadline = Instant::now() + due.max(Duration::from_millis(1));
        if timer.is_elapsed() || deadline < timer.deadline() {
            timer.reset(deadline);
        }
    }

    /// Acts upon the frames that have arrived in full, as many as are handled at once.
    fn process_input(&mut self) -> Result<Input, CloseFrame> {
        let (node, peer) = (self.node, self.peer);
        let batch = &mut self.batch;
        let now = node.now();
        let (begun, asks_wait) = (peer.pending_reply_count(), self.receiver.asks_wait());
        let batch_max = if posse_core::buggify(0.1) { 1 } else { self.batch_max };
        let (understood, allowance, has_output) = peer.with_session(|session| {
            let understood = loop {
                match session.read_event(&mut self.frames.buffer, now) {
                    Ok(Some(event)) => batch.push(event),
                    Ok(None) => break Ok(()),
                    Err(violation) => break Err(violation),
                }
                if batch.len() == batch_max {
                    break Ok(());
                }
            };
            (understood, session.ask_allowance(now, begun, asks_wait), session.has_output())
        });
        // An answer that the session gives by itself, as to a ping, waits for nothing else.
        if has_output {
            peer.write_ready.notify_one();
        }
        self.receiver.allow(allowance);
        let is_full = batch.len() == batch_max;
        let end = self.receiver.handle_events(batch.drain(..));
        self.receiver.report_settled();
        understood.map_err(close_frame)?;
        Ok(match end {
            Some(end) => Input::End(end),
            None if is_full => Input::More,
            None => Input::Done,
        })
    }
}

/// What a look at the input has come to.
enum Input {
    /// There may be more frames.
    More,
    Done,
    End(DisconnectReason),
}

enum ReadEvent {
    Closing,
    Read(std::io::Result<Option<usize>>),
    Delivered,
    Time,
}

fn close_frame(violation: ProtocolError) -> CloseFrame {
    let code = match violation {
        ProtocolError::ControlOverflow => CloseReason::Overloaded,
        ProtocolError::IdleTimeout(_) => CloseReason::IdleTimeout,
        _ => CloseReason::Protocol,
    };
    (code, violation.to_string())
}
