//! Waiting until what was queued has left the process, as a future that can be dropped at any time.

use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use crate::error::Closed;
use crate::outbox::{Outbox, Waits};
use crate::parcel::Parcel;

/// Waits until every parcel that was accepted before [`Outbox::flush`] was called has been handed to the kernel (or
/// was dropped by [`Overflow::DropOldest`](crate::Overflow::DropOldest)). Parcels accepted later do not prolong it.
///
/// Errors: [`Closed`] when the outbox is abandoned or overflows first. An outbox that was merely closed still drains,
/// and a flush still waits for it.
///
/// Cancel-safe: dropping it changes nothing but that nobody waits.
#[must_use = "a flush does nothing until it is polled"]
pub struct Flush<P: Parcel> {
    outbox: Arc<Outbox<P>>,
    waits: Waits,
}

impl<P: Parcel> Outbox<P> {
    /// Waits until everything accepted so far is with the kernel. See [`Flush`] for errors and cancel-safety.
    pub fn flush(self: &Arc<Self>) -> Flush<P> {
        Flush { outbox: Arc::clone(self), waits: Waits { target: self.accepted(), place: None } }
    }
}

impl<P: Parcel> Future for Flush<P> {
    type Output = Result<(), Closed>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.get_mut();
        this.outbox.poll_flush(cx.waker(), &mut this.waits)
    }
}

impl<P: Parcel> Drop for Flush<P> {
    fn drop(&mut self) {
        if let Some(place) = self.waits.place {
            self.outbox.leave_flush(self.waits.target, place);
        }
    }
}

impl<P: Parcel> fmt::Debug for Flush<P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Flush").field("target", &self.waits.target).finish_non_exhaustive()
    }
}
