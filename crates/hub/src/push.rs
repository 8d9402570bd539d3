//! A send that waits for room, as a future that can be dropped at any time.

use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use crate::error::Closed;
use crate::line::Ticket;
use crate::outbox::Outbox;
use crate::outcome::Accepted;
use crate::parcel::Parcel;

/// Waits until there is room in the outbox, then queues the parcel. Made by [`Outbox::send`].
///
/// Those who wait are served in the order in which they were first polled.
///
/// Errors: [`Closed`] gives the parcel back when the outbox is closed first.
///
/// Cancel-safe: while this is pending the parcel is not queued; dropping it drops the parcel unsent and lets the next
/// in line go on. [`into_parcel`](Push::into_parcel) cancels and gives the parcel back. Panics when polled again after
/// it was ready.
#[must_use = "a push does nothing until it is polled"]
pub struct Push<P: Parcel> {
    outbox: Arc<Outbox<P>>,
    weight: usize,
    /// `None` once queued or given back.
    parcel: Option<P>,
    /// `Some` while in line.
    ticket: Option<Ticket>,
}

impl<P: Parcel> Outbox<P> {
    /// Queues a parcel as soon as there is room. See [`Push`] for order, errors and cancel-safety.
    ///
    /// The future holds the outbox by `Arc`; a sender that wants to spare the count tries
    /// [`try_push`](Self::try_push) first.
    pub fn send(self: &Arc<Self>, parcel: P) -> Push<P> {
        Push { outbox: Arc::clone(self), weight: parcel.weight(), parcel: Some(parcel), ticket: None }
    }
}

impl<P: Parcel> Push<P> {
    /// Cancels, and gives back the parcel unless it was already queued.
    #[must_use]
    pub fn into_parcel(mut self) -> Option<P> {
        self.parcel.take()
    }
}

// The parcel is only ever moved, never polled: nothing here is pinned.
impl<P: Parcel> Unpin for Push<P> {}

impl<P: Parcel> Future for Push<P> {
    type Output = Result<Accepted, Closed<P>>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.get_mut();
        this.outbox.poll_push(cx.waker(), this.weight, &mut this.parcel, &mut this.ticket)
    }
}

impl<P: Parcel> Drop for Push<P> {
    fn drop(&mut self) {
        if let Some(ticket) = self.ticket {
            self.outbox.leave_line(ticket);
        }
    }
}

impl<P: Parcel> fmt::Debug for Push<P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Push").field("weight", &self.weight).field("ticket", &self.ticket).finish_non_exhaustive()
    }
}
