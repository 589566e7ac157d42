//! The mailbox primitive: a task with an inbox, where sending a message schedules the task.
//!
//! An actor is built from a *cell*: one allocation that is at once a task, the inbox's queue and the data that all
//! references share. A message is one envelope: the sender sizes it for the message, the future of its handler and the
//! reply, so neither an asynchronous handler nor an ask allocates again. The queue's transition from empty to non-empty is the signal that
//! schedules the task; there is no channel in between.
//!
//! # Ordering
//! Messages of one sender to one cell are handled in the order they were accepted, tells and asks alike.
//!
//! # Examples
//! ```
//! use posse_core::mailbox::{self, Capacity, Inbox, Receive, Receiver};
//! use posse::runtime::{Handle, Runtime};
//!
//! enum Counter {}
//! struct Add(u64);
//!
//! impl Receiver for Counter {
//!     type State = u64;
//!     type Context = Inbox<Counter>;
//!     type Shared = ();
//!     fn interrupted(_: &Inbox<Counter>) -> bool { false }
//!     fn inbox(context: &mut Inbox<Counter>) -> &mut Inbox<Counter> { context }
//! }
//! impl Receive<Add> for Counter {
//!     type Reply = u64;
//!     async fn receive(total: &mut u64, _: &mut Inbox<Counter>, Add(n): Add) -> u64 {
//!         *total += n;
//!         *total
//!     }
//! }
//!
//! Runtime::new()?.block_on(async {
//!     let cell = mailbox::spawn::<Counter, _>(&Handle::current(), Capacity::Unbounded, (), |_, mut inbox| async move {
//!         let mut total = 0;
//!         Inbox::<Counter>::serve(&mut total, &mut inbox).await;
//!     });
//!     cell.try_tell(Add(2)).unwrap();
//!     assert_eq!(cell.try_ask(Add(3)).unwrap().await, Ok(5));
//!     cell.close();
//! });
//! # Ok::<(), std::io::Error>(())
//! ```

mod ask;
mod audit;
mod cell;
mod envelope;
mod inbox;
#[cfg(all(test, not(posse_loom)))]
mod inbox_tests;
#[cfg(all(test, posse_loom))]
mod loom_models;
mod permits;
mod pool;
mod queue;
#[cfg(all(test, not(posse_loom)))]
mod tests;
pub(crate) mod turn;

pub use ask::{ReplyError, ReplyReceiver};
pub use cell::{CellRef, TrySendError, UnboundedPermit, spawn, spawn_on};
pub use envelope::Envelope;
pub use inbox::{Inbox, Serve, ServeEnd};
pub use permits::{Capacity, Reservation};

use std::future::Future;

/// Names what the messages of a cell are handled with. Usually an empty type: it is never a value.
pub trait Receiver: Sized + 'static {
    /// What handlers change.
    type State: Send + 'static;
    /// What handlers get beside it. It holds the cell's [`Inbox`].
    type Context: Send + 'static;
    /// What all references to the cell can see.
    type Shared: Send + Sync + 'static;

    /// Returns true when serving must end before the next message. Asked between any two messages.
    fn interrupted(context: &Self::Context) -> bool;

    /// Returns the inbox inside the context.
    fn inbox(context: &mut Self::Context) -> &mut Inbox<Self>;

    /// Returns the span that a message of this type is handled in. Called only while a subscriber listens at level TRACE.
    #[doc(hidden)]
    fn span(context: &Self::Context, message: &'static str) -> tracing::Span {
        let _ = (context, message);
        tracing::Span::none()
    }
}

/// Handles one type of message.
pub trait Receive<M: Send + 'static>: Receiver {
    /// What an ask with this message returns.
    type Reply: Send + 'static;

    /// Handles one message. The future lives in the message's own envelope.
    fn receive<'a>(
        state: &'a mut Self::State,
        context: &'a mut Self::Context,
        message: M,
    ) -> impl Future<Output = Self::Reply> + Send + 'a;
}
