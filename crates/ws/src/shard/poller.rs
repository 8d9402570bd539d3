//! The shard's own poller, watched by the runtime's: when a socket of the shard has news, the poller's descriptor
//! becomes readable, and the shard's task is woken.
//!
//! The crate's one module with `unsafe`: the runtime takes a descriptor on the word that it stays open.
#![expect(unsafe_code, reason = "the runtime cannot see for itself who owns a poller's descriptor")]

use std::io;
use std::os::fd::{AsRawFd, RawFd};
use std::task::{Context, Poll};
use std::time::Duration;

use mio::event::Source;
use mio::{Events, Interest, Token};
use tokio::io::unix::AsyncFd;

/// Sockets by number, and which of them have news.
pub(super) struct Poller(AsyncFd<Inner>);

struct Inner(mio::Poll);

impl AsRawFd for Inner {
    fn as_raw_fd(&self) -> RawFd {
        self.0.as_raw_fd()
    }
}

impl Poller {
    /// A poller, watched by the runtime of the caller.
    ///
    /// # Errors
    /// The kernel has no further poller to give, or the runtime watches nothing.
    pub(super) fn new() -> io::Result<Self> {
        let inner = Inner(mio::Poll::new()?);
        // SAFETY: the descriptor is the one that `mio::Poll` owns; `Inner` gives the same one for as long as it lives,
        // never closes it before, and the `AsyncFd` owns the `Inner` and deregisters before it drops it.
        let watched = unsafe { AsyncFd::register_with_interest(inner, tokio::io::Interest::READABLE) };
        Ok(Self(watched?))
    }

    /// Watches a socket both ways, edge by edge.
    pub(super) fn register(&self, source: &mut dyn Source, key: usize) -> io::Result<()> {
        self.0.get_ref().0.registry().register(source, Token(key), Interest::READABLE | Interest::WRITABLE)
    }

    /// Forgets a socket.
    pub(super) fn deregister(&self, source: &mut dyn Source) {
        // Closing the descriptor takes it out as well: a failure here changes nothing.
        let _ = self.0.get_ref().0.registry().deregister(source);
    }

    /// Fills `events` without waiting. `true`: there may be more. Otherwise the task is woken when there is.
    ///
    /// While the task is `busy`, which is to say that it has woken itself, the runtime lets many turns pass before it
    /// looks for news: the kernel is asked all the same.
    pub(super) fn poll(&mut self, cx: &mut Context<'_>, busy: bool, events: &mut Events) -> bool {
        events.clear();
        let Poll::Ready(Ok(mut guard)) = self.0.poll_read_ready_mut(cx) else {
            if busy && self.0.get_mut().0.poll(events, Some(Duration::ZERO)).is_ok() {
                return events.iter().count() == events.capacity();
            }
            return false;
        };
        let polled = guard.get_inner_mut().0.poll(events, Some(Duration::ZERO));
        if polled.is_ok() && events.iter().count() == events.capacity() {
            return true;
        }
        // All news was taken. What comes after that makes the descriptor readable anew: it is watched edge by edge.
        guard.clear_ready();
        // Only a poll that finds no readiness leaves the waker behind.
        self.0.poll_read_ready_mut(cx).is_ready()
    }
}
