//! The trait [`Actor`]: state, and what happens in its life.

pub(crate) mod children;
pub(crate) mod context;
pub(crate) mod lifecycle;
pub(crate) mod message;
pub(crate) mod spec;

use crate::actor::context::Context;
use crate::error::Result;
use crate::id::ExitReason;
use std::future::Future;

/// State that one task owns and that messages change, one at a time.
///
/// The life of an actor: its recipe makes it, [`started`](Self::started) runs, then [`run`](Self::run), then
/// [`stopped`](Self::stopped). By default `run` serves the mailbox (message style); an actor that overrides it is its own
/// loop (process style). A panic, or an error of `started` or `run`, fails the actor; no other is harmed.
///
/// # Examples
/// ```
/// use posse::prelude::*;
///
/// struct Counter(u64);
/// impl Actor for Counter {}
///
/// #[derive(Message)]
/// #[message(reply = u64)]
/// struct Add(u64);
///
/// impl Handler<Add> for Counter {
///     async fn handle(&mut self, Add(n): Add, _: &mut Context<Self>) -> u64 {
///         self.0 += n;
///         self.0
///     }
/// }
///
/// posse::run(async {
///     let counter = posse::spawn(|| Counter(0));
///     assert_eq!(counter.ask(Add(5)).await?, 5);
///     Ok(())
/// })?;
/// # posse::Result::Ok(())
/// ```
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not an actor",
    label = "this is no actor",
    note = "write `impl Actor for {Self} {{}}`"
)]
pub trait Actor: Sized + Send + 'static {
    /// Runs before the first message. The actor already knows its own reference.
    fn started(&mut self, ctx: &mut Context<Self>) -> impl Future<Output = Result> + Send {
        let _ = ctx;
        async { Ok(()) }
    }

    /// The actor's work; it ends when this does. By default it serves the mailbox until it is told to end.
    fn run(&mut self, ctx: &mut Context<Self>) -> impl Future<Output = Result> + Send {
        async { ctx.serve(self).await }
    }

    /// Runs at the end, whatever the reason, unless the actor was killed.
    ///
    /// `why` is what monitors hear in [`Down`](crate::Down) once the actor has ended for good, unless this callback itself fails
    /// or is killed: [`ExitReason::Normal`] if it came to its end by itself or was asked to stop or drain, [`ExitReason::Shutdown`] if
    /// its supervisor ends it, as at SIGTERM. Of one that was started again the last time counts.
    fn stopped(&mut self, why: &ExitReason, ctx: &mut Context<Self>) -> impl Future<Output = ()> + Send {
        let _ = (why, ctx);
        async {}
    }
}
