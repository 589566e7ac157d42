//! A limit on how long something may stand still.

use posse_core::runtime::Handle;
use posse_core::time::{Instant, Sleep};
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

/// Counts the time in which nothing moves. What moves costs no timer: one that is set already is only looked at again when it fires.
pub(super) struct Standstill {
    limit: Duration,
    since: Option<Instant>,
    /// Behind a pointer, as every request has one and hardly any needs it.
    sleep: Option<Box<Sleep>>,
}

impl Standstill {
    /// With [`Duration::MAX`] there is no limit.
    pub(super) const fn new(limit: Duration) -> Self {
        Self { limit, since: None, sleep: None }
    }

    /// Something moved.
    pub(super) fn moved(&mut self) {
        self.since = None;
    }

    /// Ready once nothing has moved for the limit. To be called whenever nothing moves; outside of a runtime nothing is counted.
    pub(super) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        if self.limit == Duration::MAX {
            return Poll::Pending;
        }
        let sleep = match &mut self.sleep {
            Some(sleep) => sleep,
            empty => {
                let Ok(handle) = Handle::try_current() else { return Poll::Pending };
                empty.insert(Box::new(Sleep::on(handle, self.limit)))
            }
        };
        let since = match self.since {
            Some(since) => since,
            None => {
                let Ok(handle) = Handle::try_current() else { return Poll::Pending };
                *self.since.insert(handle.now())
            }
        };
        let deadline = since.saturating_add(self.limit);
        loop {
            ready!(Pin::new(&mut **sleep).poll(cx));
            if sleep.deadline() >= deadline {
                return Poll::Ready(());
            }
            sleep.reset(deadline);
        }
    }
}
