//! Running handlers: polled at once where the event came, in order; a task only for those that wait. A panic costs one
//! socket its connection to the namespace, and nobody else anything.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicIsize, Ordering};
use std::task::{Context, Poll, Waker};

use futures_util::FutureExt as _;

use crate::engine::{Limit, Session};
use crate::error::Failure;
use crate::listeners::Pending;

/// How many handlers of one client are under way: with too many, it is not read from. Those that wait for an ack of
/// this client are not counted: they would wait for ever for what is not read.
#[derive(Debug)]
pub(crate) struct InFlight {
    /// Less than none when acks are awaited outside of handlers.
    count: AtomicIsize,
    limit: isize,
}

impl InFlight {
    pub(crate) fn new(limit: usize) -> Self {
        Self { count: AtomicIsize::new(0), limit: isize::try_from(limit.max(1)).unwrap_or(isize::MAX) }
    }

    fn add(&self, session: &Session) {
        let count = self.count.fetch_add(1, Ordering::SeqCst) + 1;
        if count < self.limit {
            return;
        }
        if count == self.limit {
            session.hit(Limit::Handlers);
        }
        session.pause();
        // Others may have ended since, and found nothing to resume.
        if self.count.load(Ordering::SeqCst) < self.limit {
            session.resume();
        }
    }

    fn remove(&self, session: &Session) {
        if self.count.fetch_sub(1, Ordering::SeqCst) == self.limit {
            session.resume();
        }
    }
}

/// How a handler ended that did not do what it was to do.
pub(crate) enum Trouble {
    Failed(Failure),
    Panicked,
}

/// Starts a handler. It runs to its first await before this returns; what is left of it gets a task.
///
/// `in_trouble` makes what is called when it fails or panics, now or later. Most handlers are done when this returns
/// and have no trouble, and nothing is made for them.
pub(crate) fn start<T: FnOnce(Trouble) + Send + 'static>(
    session: &Session,
    in_flight: Option<&Arc<InFlight>>,
    begin: impl FnOnce() -> Option<Pending>,
    in_trouble: impl FnOnce() -> T,
) {
    let started = catch_unwind(AssertUnwindSafe(|| {
        let mut pending = begin()?;
        // Nobody need be woken yet: the task that it may be given polls it again first.
        match pending.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
            Poll::Ready(done) => Some(Started::Done(done)),
            Poll::Pending => Some(Started::Waits(pending)),
        }
    }));
    match started {
        Ok(None | Some(Started::Done(Ok(())))) => {}
        Ok(Some(Started::Done(Err(failure)))) => in_trouble()(Trouble::Failed(failure)),
        Ok(Some(Started::Waits(pending))) => {
            let under_way = in_flight.map(|in_flight| UnderWay::begin(in_flight, session));
            let in_trouble = in_trouble();
            let session = session.clone();
            tokio::spawn(async move {
                match AssertUnwindSafe(pending).catch_unwind().await {
                    Ok(Ok(())) => {}
                    Ok(Err(failure)) => in_trouble(Trouble::Failed(failure)),
                    Err(_) => panicked(&session, in_trouble),
                }
                drop(under_way);
            });
        }
        Err(_) => panicked(session, in_trouble()),
    }
}

fn panicked(session: &Session, in_trouble: impl FnOnce(Trouble)) {
    session.core().metrics.panicked();
    in_trouble(Trouble::Panicked);
}

/// A handler after its first poll.
enum Started {
    Done(Result<(), Failure>),
    Waits(Pending),
}

/// One handler that waits for something.
struct UnderWay {
    in_flight: Arc<InFlight>,
    session: Session,
}

impl UnderWay {
    fn begin(in_flight: &Arc<InFlight>, session: &Session) -> Self {
        in_flight.add(session);
        Self { in_flight: Arc::clone(in_flight), session: session.clone() }
    }
}

impl Drop for UnderWay {
    fn drop(&mut self) {
        self.in_flight.remove(&self.session);
    }
}

/// Somebody waits for an ack of a client, perhaps one of its handlers: it is read from, so that the ack can come.
pub(crate) struct AwaitsAck {
    in_flight: Arc<InFlight>,
    session: Session,
}

impl AwaitsAck {
    pub(crate) fn begin(in_flight: &Arc<InFlight>, session: &Session) -> Self {
        in_flight.remove(session);
        Self { in_flight: Arc::clone(in_flight), session: session.clone() }
    }
}

impl Drop for AwaitsAck {
    fn drop(&mut self) {
        self.in_flight.add(&self.session);
    }
}
