//! The hub's door into one shard: whatever is published to members of that shard goes through one queue, as one entry,
//! however many of them there are. As with outboxes, wakers are woken and parcels dropped after the lock is released.

use std::fmt;
use std::sync::PoisonError;
use std::sync::atomic::{self, Ordering};
use std::task::{Context, Poll, Waker};

use switchboard_budget::{Budget, Hold, Part};

use crate::error::Closed;
use crate::limits::PortLimits;
use crate::outcome::Pushed;
use crate::parcel::{Parcel, Weighed};
use crate::publication::Publication;
use crate::sync::{self, Mutex, MutexGuard};

/// Room in the queue that an idle port keeps; what a burst needed beyond it is given back.
const IDLE_PUBLICATIONS: usize = 1024;

/// A queue of [`Publication`]s for one *shard*: a task that serves many connections, each in a slot with a number.
/// Shared by [`Arc`](std::sync::Arc); members of any number of hubs may be reached through it, by
/// [`Hub::join_slot`](crate::Hub::join_slot).
///
/// **Publishers** never wait. A publish puts one entry into the port of each shard that has receivers, which costs the
/// same for one receiver and for a hundred thousand, and wakes the shard if it sleeps. When the queue is full (see
/// [`PortLimits`]) the new publication is thrown away, for this port alone, and counts as
/// [dropped](crate::Delivery::dropped) for each of its receivers here; [`refused`](Self::refused) counts it too. So it
/// is when the budget is [full](Budget::is_full), unless nothing is queued.
///
/// **The shard** takes all that has come by [`poll_take`](Self::poll_take), and writes to its slots. Publications come
/// in the order in which they were made: what one thread publishes, to one topic or to several, stays in order. When
/// the shard ends, it [closes](Self::close) the port.
pub struct Port<P: Parcel> {
    /// Unlike that of any other port of the process.
    number: u64,
    limits: PortLimits,
    budget: Budget,
    /// How many publications are queued, as the last one to change that has said under the lock.
    len: sync::AtomicU64,
    state: Mutex<State<P>>,
}

struct State<P: Parcel> {
    queue: Vec<Publication<P>>,
    bytes: usize,
    /// What is counted for the queue.
    hold: Hold,
    /// Set while the shard waits for the next publication; taken to wake it, so that it is woken once.
    shard: Option<Waker>,
    closed: bool,
    refused: u64,
}

/// What became of a publication, and what is left to do about it outside of locks.
#[must_use = "the shard may have to be woken"]
pub(crate) struct Put<P: Parcel> {
    pushed: Pushed,
    shard: Option<Waker>,
    _refused: Option<Publication<P>>,
}

impl<P: Parcel> Put<P> {
    /// Does what is left to do.
    pub(crate) fn finish(self) -> Pushed {
        if let Some(shard) = self.shard {
            shard.wake();
        }
        self.pushed
    }
}

impl<P: Parcel> Port<P> {
    /// An empty, open port.
    #[must_use]
    pub fn new(limits: PortLimits) -> Self {
        Self::with_budget(limits, &Budget::default())
    }

    /// An empty, open port whose publications count in a budget.
    #[must_use]
    pub fn with_budget(limits: PortLimits, budget: &Budget) -> Self {
        // Not one of `sync`: the models need no choice of who gets which number.
        static PORTS: atomic::AtomicU64 = atomic::AtomicU64::new(0);
        let state = State {
            queue: Vec::new(),
            bytes: 0,
            hold: budget.hold(Part::Queued),
            shard: None,
            closed: false,
            refused: 0,
        };
        Self {
            number: PORTS.fetch_add(1, Ordering::Relaxed),
            limits,
            budget: budget.clone(),
            len: sync::AtomicU64::new(0),
            state: Mutex::new(state),
        }
    }

    /// Takes all publications that are queued, and appends them to `into`. An empty `into` is exchanged for the queue:
    /// no publication is moved, and the room of both is used again.
    ///
    /// After `Pending` the shard is woken once, by the next publication or by the end of the port, and then not again
    /// until it has polled to `Pending` again. There is one waker: the last one given.
    ///
    /// # Errors
    /// [`Closed`] once the port is closed; nothing comes any more.
    pub fn poll_take(&self, cx: &mut Context<'_>, into: &mut Vec<Publication<P>>) -> Poll<Result<(), Closed>> {
        // The waker that is not needed any more outlives the lock: the last waker of a task may drop the task, and with
        // it members.
        let (polled, _unused) = {
            let mut state = self.lock();
            let taken = state.take(cx.waker(), into);
            self.len.store(0, Ordering::Release);
            taken
        };
        polled
    }

    /// Ends the port: what is queued is thrown away, and publishers skip it from now on, as if its members had left.
    /// They are still counted by the hub until they are dropped.
    pub fn close(&self) {
        let mut state = self.lock();
        state.closed = true;
        state.bytes = 0;
        state.hold.set(0);
        self.len.store(0, Ordering::Release);
        let debris = (std::mem::take(&mut state.queue), state.shard.take());
        drop(state);
        if let (_, Some(shard)) = debris {
            shard.wake();
        }
    }

    /// Publications queued now.
    #[must_use]
    pub fn len(&self) -> usize {
        self.lock().queue.len()
    }

    /// Whether nothing is queued now. Takes no lock; what a caller knows to have been published is counted.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len.load(Ordering::Acquire) == 0
    }

    /// Bytes queued now: each publication's parcel by its weight, once, and lists of receivers that were made for one
    /// publication.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.lock().bytes
    }

    /// Publications thrown away so far because the queue was full.
    #[must_use]
    pub fn refused(&self) -> u64 {
        self.lock().refused
    }

    /// Whether [`close`](Self::close) was called.
    #[must_use]
    pub fn is_closed(&self) -> bool {
        self.lock().closed
    }

    /// The bounds that were given to [`new`](Self::new).
    #[must_use]
    pub fn limits(&self) -> PortLimits {
        self.limits
    }

    pub(crate) fn number(&self) -> u64 {
        self.number
    }

    /// What its publications count in.
    pub(crate) fn budget(&self) -> &Budget {
        &self.budget
    }

    /// Queues a publication. `Sent`, `Dropped` or `Closed`.
    pub(crate) fn push(&self, publication: Publication<P>) -> Pushed {
        self.push_with_list(publication, 0)
    }

    /// [`push`](Self::push) of one whose list of receivers, of so many bytes, was made for it alone.
    pub(crate) fn push_with_list(&self, publication: Publication<P>, list: usize) -> Pushed {
        let mut weighed = self.weigh(publication.parcel());
        weighed.weight = weighed.weight.saturating_add(list);
        weighed.held = weighed.held.saturating_add(list);
        let pushed = self.put(publication, weighed).finish();
        self.budget.relieve();
        pushed
    }

    /// What a publication of this parcel takes of the queue.
    pub(crate) fn weigh(&self, parcel: &P) -> Weighed {
        Weighed::new(parcel, size_of::<Publication<P>>(), &self.budget)
    }

    /// [`push`](Self::push) by somebody who holds a lock: what follows of it comes with [`Put::finish`], and then the
    /// [budget](Self::budget) is to be relieved.
    pub(crate) fn put(&self, publication: Publication<P>, Weighed { weight, held }: Weighed) -> Put<P> {
        let mut state = self.lock();
        if state.closed {
            return Put { pushed: Pushed::Closed, shard: None, _refused: Some(publication) };
        }
        let bytes = state.bytes.saturating_add(weight);
        let is_full =
            state.queue.len() >= self.limits.publications || bytes > self.limits.bytes || self.budget.is_full();
        if !state.queue.is_empty() && is_full {
            state.refused += 1;
            return Put { pushed: Pushed::Dropped, shard: None, _refused: Some(publication) };
        }
        state.bytes = bytes;
        let held = state.hold.bytes() + held;
        state.hold.set(held);
        state.queue.push(publication);
        self.len.store(state.queue.len() as u64, Ordering::Release);
        Put { pushed: Pushed::Sent, shard: state.shard.take(), _refused: None }
    }

    fn lock(&self) -> MutexGuard<'_, State<P>> {
        // No code that may panic runs under the lock, so a poisoned one holds nothing half done.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<P: Parcel> State<P> {
    /// Also returns a waker to drop.
    fn take(&mut self, waker: &Waker, into: &mut Vec<Publication<P>>) -> (Poll<Result<(), Closed>>, Option<Waker>) {
        if self.closed {
            return (Poll::Ready(Err(Closed(()))), None);
        }
        if self.queue.is_empty() {
            self.queue.shrink_to(IDLE_PUBLICATIONS);
            return (Poll::Pending, self.shard.replace(waker.clone()));
        }
        self.bytes = 0;
        self.hold.set(0);
        if into.is_empty() {
            std::mem::swap(&mut self.queue, into);
        } else {
            into.append(&mut self.queue);
        }
        // The shard is awake: what comes before it sleeps again need not wake it.
        (Poll::Ready(Ok(())), self.shard.take())
    }
}

impl<P: Parcel> Default for Port<P> {
    fn default() -> Self {
        Self::new(PortLimits::default())
    }
}

impl<P: Parcel> fmt::Debug for Port<P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = self.lock();
        f.debug_struct("Port")
            .field("len", &state.queue.len())
            .field("bytes", &state.bytes)
            .field("closed", &state.closed)
            .field("refused", &state.refused)
            .field("limits", &self.limits)
            .finish_non_exhaustive()
    }
}
