//! What the driver of a connection and the handles to it share: the outbox, requests that are not messages, and how the
//! connection stands. Made only when somebody wants a handle or subscribes.

use std::sync::atomic::{AtomicBool, AtomicU8, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use futures_util::task::AtomicWaker;
use switchboard_budget::{Budget, Holder, Watch};
use switchboard_hub::{Limits, Outbox};
use switchboard_ws_proto::{CloseCode, CloseFrame, ReadyState};
use tokio::sync::{SetOnce, oneshot};

use crate::error::Outcome;
use crate::parcel::Parcel;

#[derive(Debug)]
pub(crate) struct Link {
    pub(crate) outbox: Arc<Outbox<Parcel>>,
    /// Wakes the driver for everything but parcels, which the outbox wakes it for.
    driver: AtomicWaker,
    requests: Mutex<Requests>,
    /// `requests` may hold something: spares the driver the lock.
    requested: AtomicBool,
    /// The application does not want to read now.
    paused: AtomicBool,
    /// The application has not yet seen all that came before the peer's Close frame: do not answer it yet.
    holding: AtomicBool,
    /// Bytes that the driver has encoded and not yet written.
    unsent: AtomicUsize,
    /// Bytes that it holds of a message that is not whole, and for the compression of others.
    reading: AtomicUsize,
    /// Bytes that the handler holds for its peer.
    kept: AtomicUsize,
    state: AtomicU8,
    outcome: SetOnce<Outcome>,
    _watch: Watch,
}

/// What handles want of the driver, besides sending messages.
#[derive(Debug, Default)]
pub(crate) struct Requests {
    pub(crate) close: Option<CloseFrame>,
    pub(crate) pings: Vec<oneshot::Sender<Duration>>,
    pub(crate) terminate: bool,
    /// Memory is short, and this connection is to go.
    pub(crate) evict: bool,
    /// A future of the handler's has panicked, in a task of its own.
    pub(crate) panicked: bool,
    /// The connection is over: nobody will look at further requests.
    over: bool,
}

impl Link {
    pub(crate) fn new(limits: Limits, budget: &Budget) -> Arc<Self> {
        Self::with(Arc::new(Outbox::with_budget(limits, budget)), budget)
    }

    /// A link whose outbox is there already.
    pub(crate) fn with(outbox: Arc<Outbox<Parcel>>, budget: &Budget) -> Arc<Self> {
        Arc::new_cyclic(|link: &Weak<Self>| Self {
            outbox,
            driver: AtomicWaker::new(),
            requests: Mutex::default(),
            requested: AtomicBool::new(false),
            paused: AtomicBool::new(false),
            holding: AtomicBool::new(false),
            unsent: AtomicUsize::new(0),
            reading: AtomicUsize::new(0),
            kept: AtomicUsize::new(0),
            state: AtomicU8::new(0),
            outcome: SetOnce::new(),
            _watch: budget.watch(Weak::<Self>::clone(link)),
        })
    }

    // The handles' side.

    /// Asks for the closing handshake, after what is in the outbox. The first to ask decides the code.
    pub(crate) fn request_close(&self, frame: CloseFrame) {
        self.requests().close.get_or_insert(frame);
        self.request();
    }

    /// Asks for the closing handshake because a part of the handler has panicked that the driver does not run.
    pub(crate) fn request_close_after_panic(&self) {
        self.requests().panicked = true;
        self.request_close(CloseFrame { code: CloseCode::INTERNAL, reason: "internal error".into() });
    }

    /// Asks for a ping. The receiver fails when the connection ends first.
    pub(crate) fn request_ping(&self) -> oneshot::Receiver<Duration> {
        let (answer, answered) = oneshot::channel();
        let mut requests = self.requests();
        if !requests.over {
            requests.pings.push(answer);
            drop(requests);
            self.request();
        }
        answered
    }

    /// Asks to cut the connection off.
    pub(crate) fn request_end(&self) {
        self.requests().terminate = true;
        self.request();
    }

    pub(crate) fn set_paused(&self, paused: bool) {
        if self.paused.swap(paused, Ordering::AcqRel) != paused {
            self.driver.wake();
        }
    }

    pub(crate) fn release_close(&self) {
        if self.holding.swap(false, Ordering::AcqRel) {
            self.driver.wake();
        }
    }

    pub(crate) fn buffered(&self) -> usize {
        self.outbox.bytes() + self.unsent.load(Ordering::Relaxed)
    }

    pub(crate) fn ready_state(&self) -> ReadyState {
        match self.state.load(Ordering::Acquire) {
            0 => ReadyState::Open,
            1 => ReadyState::Closing,
            _ => ReadyState::Closed,
        }
    }

    pub(crate) fn outcome(&self) -> Option<&Outcome> {
        self.outcome.get()
    }

    /// Waits for the end. Cancel-safe.
    pub(crate) async fn ended(&self) -> &Outcome {
        self.outcome.wait().await
    }

    // The driver's side.

    pub(crate) fn register(&self, cx: &std::task::Context<'_>) {
        self.driver.register(cx.waker());
    }

    pub(crate) fn take_requests(&self) -> Option<Requests> {
        if !self.requested.swap(false, Ordering::AcqRel) {
            return None;
        }
        Some(std::mem::take(&mut *self.requests()))
    }

    /// Puts a request to close back. It is looked at again when the driver is next woken, by room to write at the
    /// latest: to wake it here would have it run without a pause until then.
    pub(crate) fn postpone_close(&self, frame: CloseFrame) {
        self.requests().close.get_or_insert(frame);
        self.requested.store(true, Ordering::Release);
    }

    pub(crate) fn is_paused(&self) -> bool {
        self.paused.load(Ordering::Acquire)
    }

    pub(crate) fn hold_close(&self) {
        self.holding.store(true, Ordering::Release);
    }

    pub(crate) fn is_holding(&self) -> bool {
        self.holding.load(Ordering::Acquire)
    }

    pub(crate) fn set_unsent(&self, unsent: usize) {
        self.unsent.store(unsent, Ordering::Relaxed);
    }

    pub(crate) fn set_reading(&self, reading: usize) {
        self.reading.store(reading, Ordering::Relaxed);
    }

    pub(crate) fn set_kept(&self, kept: usize) {
        self.kept.store(kept, Ordering::Relaxed);
    }

    pub(crate) fn set_ready_state(&self, state: ReadyState) {
        let state = match state {
            ReadyState::Open => 0,
            ReadyState::Closing => 1,
            ReadyState::Closed => 2,
        };
        self.state.store(state, Ordering::Release);
    }

    /// The connection is over: everyone who waits is told.
    pub(crate) fn end(&self, outcome: Outcome) {
        self.set_ready_state(ReadyState::Closed);
        // The driver ends once; a second outcome would be dropped.
        let _ = self.outcome.set(outcome);
        self.outbox.abandon();
        self.set_unsent(0);
        self.set_reading(0);
        self.set_kept(0);
        let ended = Requests { over: true, ..Requests::default() };
        // Dropped outside the lock: that wakes whoever waits for a pong.
        let unanswered = std::mem::replace(&mut *self.requests(), ended);
        drop(unanswered);
    }

    fn request(&self) {
        self.requested.store(true, Ordering::Release);
        self.driver.wake();
    }

    fn requests(&self) -> MutexGuard<'_, Requests> {
        self.requests.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Holder for Link {
    fn held(&self) -> usize {
        self.buffered() + self.reading.load(Ordering::Relaxed) + self.kept.load(Ordering::Relaxed)
    }

    fn evict(&self) {
        self.requests().evict = true;
        self.request();
    }
}
