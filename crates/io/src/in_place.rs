//! Running handlers: polled at once where the event came, in order; a task only for those that wait. A panic costs one
//! socket its connection to the namespace, and nobody else anything.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Waker};

use futures_util::FutureExt as _;

use crate::engine::Session;
use crate::listeners::Pending;

/// How many handlers of one client are under way: with too many, it is not read from.
#[derive(Debug)]
pub(crate) struct InFlight {
    count: AtomicUsize,
    limit: usize,
}

impl InFlight {
    pub(crate) fn new(limit: usize) -> Self {
        Self { count: AtomicUsize::new(0), limit: limit.max(1) }
    }
}

/// Starts a handler. It runs to its first await before this returns; what is left of it gets a task.
/// `panicked` is called when it panics, now or later.
pub(crate) fn start(
    session: &Session,
    in_flight: Option<&Arc<InFlight>>,
    begin: impl FnOnce() -> Option<Pending>,
    panicked: impl FnOnce() + Send + 'static,
) {
    let started = catch_unwind(AssertUnwindSafe(|| {
        let mut pending = begin()?;
        // Nobody need be woken yet: the task that it may be given polls it again first.
        let polled = pending.as_mut().poll(&mut Context::from_waker(Waker::noop()));
        polled.is_pending().then_some(pending)
    }));
    match started {
        Ok(None) => {}
        Ok(Some(pending)) => {
            let under_way = in_flight.map(|in_flight| UnderWay::begin(in_flight, session));
            tokio::spawn(async move {
                if AssertUnwindSafe(pending).catch_unwind().await.is_err() {
                    panicked();
                }
                drop(under_way);
            });
        }
        Err(_) => panicked(),
    }
}

/// One handler that waits for something.
struct UnderWay {
    in_flight: Arc<InFlight>,
    session: Session,
}

impl UnderWay {
    fn begin(in_flight: &Arc<InFlight>, session: &Session) -> Self {
        let under_way = Self { in_flight: Arc::clone(in_flight), session: session.clone() };
        if in_flight.count.fetch_add(1, Ordering::AcqRel) + 1 == in_flight.limit {
            session.pause();
        }
        under_way
    }
}

impl Drop for UnderWay {
    fn drop(&mut self) {
        if self.in_flight.count.fetch_sub(1, Ordering::AcqRel) == self.in_flight.limit {
            self.session.resume();
        }
    }
}
