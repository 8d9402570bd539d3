//! The bounded queue between those who send to one connection and the driver that writes to it. Every waker is woken
//! and every parcel dropped after the lock is released, since either may run code that comes back here.

use std::collections::{BTreeMap, VecDeque};
use std::fmt;
use std::sync::{Arc, PoisonError};
use std::task::{Context, Poll, Waker};

use switchboard_budget::{Budget, Hold, Part};

use crate::error::{Closed, Refused};
use crate::limits::{Limits, Overflow};
use crate::line::{Line, Ticket};
use crate::outcome::{Accepted, Pushed};
use crate::parcel::{Offered, Parcel, Weighed};
use crate::sync::{Mutex, MutexGuard};

/// The queue's slots that an idle connection keeps; what a burst needed beyond them is given back.
const IDLE_SLOTS: usize = 8;

/// The bounded queue of one connection: any number of senders, one driver. Shared by [`Arc`](std::sync::Arc).
///
/// **Senders** choose what a full queue means to them. [`push`](Self::push) never waits and lets the policy decide;
/// [`try_push`](Self::try_push) answers at once and loses nothing; [`send`](Self::send) waits for room. Parcels leave
/// in the order in which they were accepted.
///
/// **The driver** is one task. It takes parcels by [`poll_pop`](Self::poll_pop), and says how writing goes:
/// [`stall`](Self::stall) when the kernel refuses bytes, [`settle`](Self::settle) when it has taken all of them. While
/// stalled it stops popping and waits by [`poll_abandoned`](Self::poll_abandoned) beside its socket. When it ends, for
/// whatever reason, it must [`abandon`](Self::abandon) the outbox, so that nobody waits for a peer that is gone.
///
/// **A budget** that is [full](Budget::is_full) makes every outbox full that holds anything.
pub struct Outbox<P: Parcel> {
    limits: Limits,
    budget: Budget,
    state: Mutex<State<P>>,
}

struct State<P> {
    queue: VecDeque<Queued<P>>,
    bytes: usize,
    /// What is counted for the queue. Set by [`Outbox::with`].
    hold: Hold,
    /// What is to be.
    held: usize,
    /// The budget has nothing left, as of when the lock was taken.
    short: bool,
    phase: Phase,
    /// The driver said that the kernel refuses bytes.
    stalled: bool,
    driver: Option<Waker>,
    /// The driver found nothing to pop: the next parcel is to wake it, the ones after that are not.
    driver_waits: bool,
    line: Line,
    /// Parcels accepted so far. Those that left are `accepted - queue.len()`.
    accepted: u64,
    /// How many had left when the driver last settled.
    settled: u64,
    /// Keyed by what they wait for `settled` to reach, then by arrival.
    flushers: BTreeMap<(u64, u64), Waker>,
    flush_places: u64,
    dropped: u64,
    /// Where a closed outbox sends what is still pushed into it.
    onward: Option<Onward<P>>,
}

/// Takes a parcel that has come to an outbox which takes none any more.
pub(crate) type Onward<P> = Arc<dyn Fn(P) -> Pushed + Send + Sync>;

/// What became of a parcel, and what is left to do about it outside of locks.
#[must_use = "somebody may have to be woken"]
pub(crate) struct Put<P> {
    pushed: Pushed,
    after: After<P>,
    /// What was not taken.
    left: Option<P>,
    onward: Option<Onward<P>>,
}

impl<P> Put<P> {
    /// Does what is left to do.
    pub(crate) fn finish(mut self) -> Pushed {
        self.after.wake();
        match (self.onward, self.left) {
            (Some(onward), Some(parcel)) => onward(parcel),
            _ => self.pushed,
        }
    }
}

struct Queued<P> {
    parcel: P,
    /// Remembered, so that what is added and what is taken off always match.
    weighed: Weighed,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Phase {
    Open,
    /// Takes nothing more; what is queued still leaves.
    Closed,
    /// Takes nothing more; the queue was thrown away.
    Abandoned,
    /// Abandoned by the policy [`Overflow::Close`].
    Overflowed,
}

/// What a flush waits for, and its place among those who wait for the same.
pub(crate) struct Waits {
    pub(crate) target: u64,
    pub(crate) place: Option<u64>,
}

/// What is left to do once the lock is released.
struct After<P> {
    driver: Option<Waker>,
    wakers: Vec<Waker>,
    /// Wakers that are not to be woken: dropping one may drop a task, and with it a sender of this very outbox.
    unused: Option<Waker>,
    debris: VecDeque<Queued<P>>,
}

/// What senders see.
impl<P: Parcel> Outbox<P> {
    /// An empty, open outbox.
    #[must_use]
    pub fn new(limits: Limits) -> Self {
        Self::with_budget(limits, &Budget::default())
    }

    /// An empty, open outbox whose parcels count in a budget.
    #[must_use]
    pub fn with_budget(limits: Limits, budget: &Budget) -> Self {
        Self { limits, budget: budget.clone(), state: Mutex::new(State::new(budget.hold(Part::Queued))) }
    }

    /// Queues a parcel for a sender that cannot wait; if it does not fit, the [policy](Limits::overflow) decides. A
    /// [volatile](Parcel::is_volatile) parcel is dropped then, and also while the peer lags.
    pub fn push(&self, parcel: P) -> Pushed {
        let pushed = self.put(self.offer(parcel)).finish();
        self.budget.relieve();
        pushed
    }

    /// Queues a parcel if there is room now. Others who already wait in [`send`](Self::send) come first.
    ///
    /// # Errors
    /// [`Refused`] gives the parcel back.
    pub fn try_push(&self, parcel: P) -> Result<Accepted, Refused<P>> {
        let weighed = self.weigh(&parcel);
        self.with(|state, after| {
            if state.phase != Phase::Open {
                return Err(Refused::Closed(parcel));
            }
            if !state.line.is_empty() || !state.has_room(&self.limits, weighed.weight) {
                return Err(Refused::Full(parcel));
            }
            Ok(state.accept(Queued { parcel, weighed }, after))
        })
    }

    /// Takes no more parcels. What is queued stays and still leaves; those who wait for room are told [`Closed`].
    pub fn close(&self) {
        self.with(|state, after| {
            if state.phase == Phase::Open {
                state.shut(Phase::Closed, after);
            }
        });
    }

    /// Takes no more parcels and throws away what is queued; everyone who waits is told [`Closed`].
    pub fn abandon(&self) {
        self.with(|state, after| {
            if !state.is_abandoned() {
                state.end(Phase::Abandoned, after);
            }
        });
    }

    /// Parcels queued now. Those that the driver popped are not counted, even if they are not written yet.
    #[must_use]
    pub fn len(&self) -> usize {
        self.lock().queue.len()
    }

    /// Whether nothing is queued now.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Bytes queued now, by weight. Those that the driver popped are not counted.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.lock().bytes
    }

    /// Parcels that the overflow policy has thrown away so far, the queue of an overflow included.
    #[must_use]
    pub fn dropped(&self) -> u64 {
        self.lock().dropped
    }

    /// Whether the outbox takes no more parcels: closed, abandoned or overflowed.
    #[must_use]
    pub fn is_closed(&self) -> bool {
        self.lock().phase != Phase::Open
    }

    /// Whether the policy [`Overflow::Close`] ended this outbox. The driver then closes the connection (1013).
    #[must_use]
    pub fn is_overflowed(&self) -> bool {
        self.lock().phase == Phase::Overflowed
    }

    /// Whether the peer lags: the driver could not write and has not settled since.
    #[must_use]
    pub fn is_stalled(&self) -> bool {
        self.lock().stalled
    }

    /// The bounds that were given to [`new`](Self::new).
    #[must_use]
    pub fn limits(&self) -> Limits {
        self.limits
    }
}

/// What the driver sees. There is one waker for it: the last one given to any of these.
impl<P: Parcel> Outbox<P> {
    /// Takes the oldest parcel. `Ready(None)`: the outbox is closed and empty; see
    /// [`is_overflowed`](Self::is_overflowed) for how it ended.
    ///
    /// After `Pending` the driver is woken once, by the next parcel or by the end of the outbox, and then not again
    /// until it has polled to `Pending` again.
    pub fn poll_pop(&self, cx: &mut Context<'_>) -> Poll<Option<P>> {
        self.with(|state, after| {
            if let Some(Queued { parcel, weighed }) = state.queue.pop_front() {
                state.subtract(weighed);
                state.grant(&self.limits, after);
                return Poll::Ready(Some(parcel));
            }
            if state.phase != Phase::Open {
                return Poll::Ready(None);
            }
            state.queue.shrink_to(IDLE_SLOTS);
            state.driver_waits = true;
            state.register(cx.waker(), after);
            Poll::Pending
        })
    }

    /// Gives back the room of a queue in which nothing waits, which [`poll_pop`](Self::poll_pop) keeps for the next few
    /// parcels: for drivers of which there are very many, most of them at rest.
    pub fn rest(&self) {
        let mut state = self.lock();
        if state.queue.is_empty() {
            state.queue = VecDeque::new();
        }
    }

    /// Waits until the queue is thrown away by [`abandon`](Self::abandon) or by an overflow, and for nothing else: what
    /// a driver that cannot write right now still wants to hear.
    pub fn poll_abandoned(&self, cx: &mut Context<'_>) -> Poll<()> {
        self.with(|state, after| {
            if state.is_abandoned() {
                return Poll::Ready(());
            }
            state.register(cx.waker(), after);
            Poll::Pending
        })
    }

    /// The kernel refuses bytes. Until [`settle`](Self::settle), senders hear that their parcels are buffered.
    pub fn stall(&self) {
        self.lock().stalled = true;
    }

    /// Everything that was popped so far is with the kernel. Ends a stall, and completes the flushes that waited for
    /// it. To be called whenever the driver has nothing left to write.
    pub fn settle(&self) {
        self.with(|state, after| {
            state.stalled = false;
            // What was thrown away was not written; a flush that waits for it must not hear that it was.
            if !state.is_abandoned() {
                state.settled = state.accepted - state.queue.len() as u64;
                state.wake_flushers(after);
            }
        });
    }
}

/// What members and the futures see.
impl<P: Parcel> Outbox<P> {
    /// Makes a parcel ready for [`put`](Self::put).
    pub(crate) fn offer(&self, parcel: P) -> Offered<P> {
        Offered::new(parcel, size_of::<Queued<P>>(), &self.budget)
    }

    /// [`push`](Self::push) by somebody who holds a lock: what follows of it comes with [`Put::finish`], and then the
    /// [budget](Self::budget) is to be relieved.
    pub(crate) fn put(&self, offered: Offered<P>) -> Put<P> {
        let Offered { parcel, weighed, volatile } = offered;
        let (mut after, mut left) = (After::default(), Some(parcel));
        let mut state = self.lock();
        state.short = self.budget.is_full();
        let onward = match state.phase {
            Phase::Closed => state.onward.clone(),
            _ => None,
        };
        let pushed = state.push(&self.limits, weighed, volatile, &mut left, &mut after);
        let held = state.held;
        state.hold.set(held);
        drop(state);
        Put { pushed, after, left, onward }
    }

    /// What its parcels count in.
    pub(crate) fn budget(&self) -> &Budget {
        &self.budget
    }

    /// Takes nothing more, as if [closed](Self::close), but that what is pushed from now on goes `onward`. No effect on
    /// an outbox that is closed.
    pub(crate) fn pass_on(&self, onward: Onward<P>) {
        // One that is not taken outlives the lock: it may hold the last handle to something.
        let mut onward = Some(onward);
        self.with(|state, after| {
            if state.phase == Phase::Open {
                state.shut(Phase::Closed, after);
                state.onward = onward.take();
            }
        });
    }

    /// Parcels accepted so far.
    pub(crate) fn accepted(&self) -> u64 {
        self.lock().accepted
    }

    pub(crate) fn poll_push(
        &self,
        waker: &Waker,
        weight: usize,
        slot: &mut Option<P>,
        ticket: &mut Option<Ticket>,
    ) -> Poll<Result<Accepted, Closed<P>>> {
        let parcel = slot.take().expect("a push was polled after it was ready");
        let weighed = Weighed::with_weight(&parcel, weight, size_of::<Queued<P>>(), &self.budget);
        self.with(|state, after| {
            if state.phase != Phase::Open {
                *ticket = None;
                return Poll::Ready(Err(Closed(parcel)));
            }
            let may_enter = match *ticket {
                Some(ticket) => state.line.redeem(ticket),
                None => state.line.is_empty() && state.has_room(&self.limits, weight),
            };
            if may_enter {
                *ticket = None;
                return Poll::Ready(Ok(state.accept(Queued { parcel, weighed }, after)));
            }
            match *ticket {
                Some(ticket) => after.unused = state.line.rewake(ticket, waker),
                None => *ticket = Some(state.line.join(weight, waker.clone())),
            }
            *slot = Some(parcel);
            Poll::Pending
        })
    }

    pub(crate) fn leave_line(&self, ticket: Ticket) {
        self.with(|state, after| {
            after.unused = state.line.leave(ticket);
            // The one who left may have held room, or stood with a heavy parcel before lighter ones.
            if state.phase == Phase::Open {
                state.grant(&self.limits, after);
            }
        });
    }

    pub(crate) fn poll_flush(&self, waker: &Waker, waits: &mut Waits) -> Poll<Result<(), Closed>> {
        self.with(|state, after| {
            if state.settled >= waits.target {
                waits.place = None;
                return Poll::Ready(Ok(()));
            }
            if state.is_abandoned() {
                waits.place = None;
                return Poll::Ready(Err(Closed(())));
            }
            let place = *waits.place.get_or_insert_with(|| {
                state.flush_places += 1;
                state.flush_places
            });
            after.unused = state.flushers.insert((waits.target, place), waker.clone());
            Poll::Pending
        })
    }

    pub(crate) fn leave_flush(&self, target: u64, place: u64) {
        self.with(|state, after| after.unused = state.flushers.remove(&(target, place)));
    }

    /// Does something under the lock, then what it left to do after.
    fn with<R>(&self, act: impl FnOnce(&mut State<P>, &mut After<P>) -> R) -> R {
        let mut after = After::default();
        let result = {
            let mut state = self.lock();
            state.short = self.budget.is_full();
            let result = act(&mut state, &mut after);
            let held = state.held;
            state.hold.set(held);
            result
        };
        after.wake();
        self.budget.relieve();
        result
    }

    fn weigh(&self, parcel: &P) -> Weighed {
        Weighed::new(parcel, size_of::<Queued<P>>(), &self.budget)
    }

    fn lock(&self) -> MutexGuard<'_, State<P>> {
        // No code that may panic runs under the lock, so a poisoned one holds nothing half done.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<P> State<P> {
    fn new(hold: Hold) -> Self {
        Self {
            queue: VecDeque::new(),
            bytes: 0,
            hold,
            held: 0,
            short: false,
            phase: Phase::Open,
            stalled: false,
            driver: None,
            driver_waits: false,
            line: Line::default(),
            accepted: 0,
            settled: 0,
            flushers: BTreeMap::new(),
            flush_places: 0,
            dropped: 0,
            onward: None,
        }
    }

    fn is_abandoned(&self) -> bool {
        matches!(self.phase, Phase::Abandoned | Phase::Overflowed)
    }

    /// Whether one more parcel fits beside those queued and those that room is set aside for. Where nothing is queued
    /// it does, whatever the budget says: who waits for room is woken by what leaves, and nothing would.
    fn has_room(&self, limits: &Limits, weight: usize) -> bool {
        let parcels = self.queue.len() + self.line.granted();
        let bytes = self.bytes.checked_add(self.line.granted_bytes()).and_then(|bytes| bytes.checked_add(weight));
        parcels == 0 || (!self.short && parcels < limits.messages && bytes.is_some_and(|bytes| bytes <= limits.bytes))
    }

    /// Takes the parcel out of `offered`, or leaves it there: by the policy, if it does not fit.
    fn push(
        &mut self,
        limits: &Limits,
        weighed: Weighed,
        volatile: bool,
        offered: &mut Option<P>,
        after: &mut After<P>,
    ) -> Pushed {
        if self.phase != Phase::Open {
            return Pushed::Closed;
        }
        let is_full = |state: &Self| !state.queue.is_empty() && !state.has_room(limits, weighed.weight);
        if volatile && (self.stalled || is_full(self)) {
            self.dropped += 1;
            return Pushed::Dropped;
        }
        let mut evicted = false;
        // An empty queue accepts even while room is set aside for others: that the peer reads and a sender is slow
        // to use its turn must not cost a parcel or the connection.
        while is_full(self) {
            match limits.overflow {
                Overflow::DropOldest => self.evict(after),
                Overflow::DropNewest => {
                    self.dropped += 1;
                    return Pushed::Dropped;
                }
                Overflow::Close => {
                    self.dropped += self.queue.len() as u64 + 1;
                    self.end(Phase::Overflowed, after);
                    return Pushed::Overflowed;
                }
            }
            evicted = true;
        }
        let accepted = offered.take().map(|parcel| self.accept(Queued { parcel, weighed }, after));
        if evicted {
            // The newcomer may be lighter than those who left for it.
            self.grant(limits, after);
        }
        if evicted || accepted == Some(Accepted::Buffered) { Pushed::Buffered } else { Pushed::Sent }
    }

    fn accept(&mut self, queued: Queued<P>, after: &mut After<P>) -> Accepted {
        self.bytes += queued.weighed.weight;
        self.held += queued.weighed.held;
        self.queue.push_back(queued);
        self.accepted += 1;
        if std::mem::take(&mut self.driver_waits) {
            after.driver = self.driver.take();
        }
        if self.stalled { Accepted::Buffered } else { Accepted::Sent }
    }

    fn evict(&mut self, after: &mut After<P>) {
        if let Some(oldest) = self.queue.pop_front() {
            self.subtract(oldest.weighed);
            self.dropped += 1;
            after.debris.push_back(oldest);
        }
    }

    /// A parcel has left the queue.
    fn subtract(&mut self, Weighed { weight, held }: Weighed) {
        self.bytes -= weight;
        self.held -= held;
    }

    /// Lets those go on who wait for room, as far as there is room. Called after anything that may have made some.
    fn grant(&mut self, limits: &Limits, after: &mut After<P>) {
        while self.line.first().is_some_and(|weight| self.has_room(limits, weight)) {
            after.wakers.extend(self.line.grant_first());
        }
    }

    fn wake_flushers(&mut self, after: &mut After<P>) {
        while let Some(first) = self.flushers.first_entry() {
            if first.key().0 > self.settled {
                break;
            }
            after.wakers.push(first.remove());
        }
    }

    fn register(&mut self, waker: &Waker, after: &mut After<P>) {
        if !self.driver.as_ref().is_some_and(|known| known.will_wake(waker)) {
            after.unused = self.driver.replace(waker.clone());
        }
    }

    /// Takes nothing more from now on.
    fn shut(&mut self, phase: Phase, after: &mut After<P>) {
        self.phase = phase;
        self.driver_waits = false;
        after.driver = self.driver.take();
        after.wakers.extend(self.line.dissolve());
    }

    /// Takes nothing more and throws away what is queued.
    fn end(&mut self, phase: Phase, after: &mut After<P>) {
        self.shut(phase, after);
        self.bytes = 0;
        self.held = 0;
        after.debris = std::mem::take(&mut self.queue);
        after.wakers.extend(std::mem::take(&mut self.flushers).into_values());
    }
}

// By hand: a derive would ask for `P: Default`.
impl<P> Default for After<P> {
    fn default() -> Self {
        Self { driver: None, wakers: Vec::new(), unused: None, debris: VecDeque::new() }
    }
}

impl<P> After<P> {
    fn wake(&mut self) {
        for waker in self.driver.take().into_iter().chain(self.wakers.drain(..)) {
            waker.wake();
        }
    }
}

impl<P: Parcel> fmt::Debug for Outbox<P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = self.lock();
        f.debug_struct("Outbox")
            .field("len", &state.queue.len())
            .field("bytes", &state.bytes)
            .field("closed", &(state.phase != Phase::Open))
            .field("stalled", &state.stalled)
            .field("dropped", &state.dropped)
            .field("limits", &self.limits)
            .finish_non_exhaustive()
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    impl Parcel for u8 {
        fn weight(&self) -> usize {
            1
        }
    }

    /// Looks at the outbox as it is dropped, as what it belongs to might.
    struct Looks(Arc<Outbox<u8>>);

    impl Drop for Looks {
        fn drop(&mut self) {
            assert!(self.0.state.try_lock().is_ok(), "dropped under the lock");
        }
    }

    #[test]
    fn a_way_onward_that_is_not_taken_is_dropped_outside_the_lock() {
        let outbox = Arc::new(Outbox::<u8>::new(Limits::default()));
        outbox.close();
        let looks = Looks(Arc::clone(&outbox));
        outbox.pass_on(Arc::new(move |_| {
            let _ = &looks;
            Pushed::Sent
        }));
        assert_eq!(outbox.push(7), Pushed::Closed);
    }

    #[test]
    fn room_is_given_back_while_nothing_waits_in_it() {
        let outbox = Outbox::<u8>::new(Limits::default());
        let cx = &mut Context::from_waker(Waker::noop());
        outbox.push(7);
        outbox.rest();
        assert_eq!(outbox.poll_pop(cx), Poll::Ready(Some(7)), "what waits stays");
        assert!(outbox.poll_pop(cx).is_pending() && outbox.lock().queue.capacity() > 0);
        outbox.rest();
        assert_eq!(outbox.lock().queue.capacity(), 0);
    }
}
