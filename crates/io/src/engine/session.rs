//! A session as everyone above knows it: a handle that is cheap to clone, and by which it is spoken to from any thread.

use std::fmt;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::task::Waker;
use std::time::Instant;

use switchboard_hub::{Member, Outbox};
use switchboard_io_proto::engine::{self, CloseReason, Known, Out, Protocol, Sid, Transport};
use switchboard_ws::{BudgetHolder as _, BudgetPart, Parcel, Pushed, Sender};

use super::clock::{Timed, now};
use super::forms;
use super::handshake::Handshake;
use super::holding::Holding;
use super::lane;
use super::limit::Limit;
use super::state::Polling;
use super::{core, state};

mod calling;

/// What all sessions of an engine share.
pub(crate) type Core = core::Core<Session, Inner>;
/// What a session keeps under its lock.
pub(crate) type State = state::State<Session>;
/// What a conversation is told.
pub(crate) type Call<'a> = state::Call<'a, Session>;

/// One client's session. Clones are the same session; they may be used from any thread, also within a call of its
/// [`Conversation`](crate::engine::Conversation).
#[derive(Clone)]
pub struct Session(Arc<Inner>);

pub(crate) struct Inner {
    sid: Sid,
    /// Tells it from others, for the clock.
    number: u64,
    protocol: Protocol,
    over: AtomicBool,
    /// For whom it is not read from: a bit for each.
    paused: AtomicU8,
    core: Arc<Core>,
    handshake: Handshake,
    member: Member<Parcel>,
    /// Bytes that the conversation holds for its client.
    kept: AtomicUsize,
    /// Bytes of what the client said that the conversation has still to be told.
    waiting: AtomicUsize,
    state: Mutex<State>,
}

/// The application wants nothing read.
const BY_APP: u8 = 1;
/// The conversation has not been told yet what was read.
const BY_BACKLOG: u8 = 2;

/// What counts for each session while it does nothing, besides its connection and the head of its request: itself, its
/// conversation, its membership, its places in tables.
const IDLE: usize = 1 << 10;
/// What counts for one besides that while it polls: its outbox, and its places with the clock and the budget.
const IDLE_POLLING: usize = 3 << 8;

impl Session {
    /// The id, by which its client makes its requests. It is a secret: whoever knows it can speak for the client.
    #[must_use]
    pub fn sid(&self) -> &Sid {
        &self.0.sid
    }

    /// The request that opened it.
    #[must_use]
    pub fn handshake(&self) -> &Handshake {
        &self.0.handshake
    }

    /// The version of the protocol that the client speaks.
    #[must_use]
    pub fn protocol(&self) -> Protocol {
        self.0.protocol
    }

    /// What carries the session now.
    #[must_use]
    pub fn transport(&self) -> Transport {
        self.lock().machine.transport()
    }

    /// The session's membership in the hub. What is published to topics that it joins reaches the client, in its form
    /// of the parcel (see [`parcel`](crate::engine::parcel)). Its id changes with an upgrade.
    #[must_use]
    pub fn member(&self) -> &Member<Parcel> {
        &self.0.member
    }

    /// Messages go both ways.
    #[must_use]
    pub fn is_open(&self) -> bool {
        !self.0.over.load(Ordering::Acquire)
    }

    /// Sends a parcel, in order with what the same thread sends and publishes. Never waits: what does not fit is for
    /// the [policy](switchboard_ws::Overflow) of [`EngineConfig::outbox`](crate::engine::EngineConfig::outbox).
    pub fn send(&self, parcel: impl Into<Parcel>) -> Pushed {
        self.settle(self.send_unsettled(parcel))
    }

    /// [`send`](Self::send) by somebody who holds a lock. [`settle`](Self::settle) is to follow, when no locks are
    /// held.
    pub(crate) fn send_unsettled(&self, parcel: impl Into<Parcel>) -> Pushed {
        if !self.is_open() {
            return Pushed::Closed;
        }
        match lane::offer(self.address(), parcel.into(), || self.0.member.has_undelivered()) {
            None => Pushed::Sent,
            Some(parcel) => self.0.member.send(parcel),
        }
    }

    /// Sends one finished text packet, whose first character is the `4` of a message. The cheapest way for what goes to
    /// one client alone: on the thread that has just read from its WebSocket, nothing is allocated for it.
    pub fn send_text(&self, text: &str) -> Pushed {
        if !self.is_open() {
            return Pushed::Closed;
        }
        if lane::offer_text(self.address(), text, || self.0.member.has_undelivered()) {
            return Pushed::Sent;
        }
        self.settle(self.0.member.send(text.into()))
    }

    /// Closes the session, after what was sent so far. It is [over](Self::is_open) for everyone here at once; the
    /// goodbye still has to leave, which on polling waits for the next poll, 30 seconds at most. To close twice changes
    /// nothing.
    pub fn close(&self, reason: CloseReason) {
        self.act(|state| self.close_in(state, reason));
    }

    /// Stops reading what the client sends, until [`resume`](Self::resume). What a WebSocket has read already is still
    /// told; of a POST the rest waits, and so does its answer, and the client with the next. The heartbeat goes on: a
    /// client whose answers are not read for longer than it may be silent is taken for gone.
    pub fn pause(&self) {
        self.0.paused.fetch_or(BY_APP, Ordering::SeqCst);
    }

    /// Reads again.
    pub fn resume(&self) {
        let readers = self.unpause(&mut self.lock(), BY_APP);
        readers.resume();
    }

    /// Ends a pause for this reason. Who reads is to be told when the lock is let go of.
    fn unpause(&self, state: &mut State, reason: u8) -> Readers {
        if self.0.paused.fetch_and(!reason, Ordering::SeqCst) != reason {
            // It was not paused, or is for another reason.
            return Readers::default();
        }
        Readers { reader: state.reader.clone(), poster: state.poster.take() }
    }

    /// Does something in the order of the conversation's calls: at once if none is running, else by the thread that
    /// runs them, after those that wait. Dropped when the session is over. What it changes of the conversation's
    /// [deadline](crate::engine::Conversation::deadline) is heard of.
    pub fn run(&self, job: impl FnOnce(&Self) + Send + 'static) {
        self.act(|state| state.calls.inbox.push_back(Call::Job(Box::new(job))));
    }

    /// Joins a topic, and sends a parcel that comes before all that is published there from now on. Whoever publishes
    /// because the client has got the parcel reaches it. [`settle`](Self::settle) is to follow, when no locks are held.
    ///
    /// No limit counts the topic.
    pub(crate) fn enter(&self, topic: &str, first: Parcel) -> Pushed {
        if !self.is_open() {
            return Pushed::Closed;
        }
        let member = &self.0.member;
        // What is in the lane leaves before anything that is published after this, and after the topic is joined.
        let Some(first) = lane::offer(self.address(), first, || member.has_undelivered()) else {
            member.subscribe_exempt(topic);
            return Pushed::Sent;
        };
        member.subscribe_exempt_with(topic, first).1
    }

    /// What follows of what became of a parcel: a session that has lost one is over.
    pub(crate) fn settle(&self, pushed: Pushed) -> Pushed {
        if pushed == Pushed::Overflowed {
            self.overflow();
        }
        pushed
    }

    /// What the client did not fetch is lost.
    pub(crate) fn overflow(&self) {
        self.act(|state| self.overflow_in(state));
    }

    fn overflow_in(&self, state: &mut State) {
        if state.machine.ended().is_none() {
            self.core().metrics.overflow();
            state.machine.abort(CloseReason::TransportError);
        }
    }
}

#[cfg(test)]
impl Session {
    /// One that no client has, and that is not among the others.
    pub(crate) fn detached(core: &Arc<Core>, transport: Transport) -> Self {
        let outbox = Arc::new(Outbox::new(core.config.outbox));
        let member = core.hub.join(Arc::clone(&outbox));
        let (parts, ()) = http::Request::new(()).into_parts();
        let known = Known { transport, protocol: Protocol::V4 };
        let outbox = (transport == Transport::Polling).then_some(outbox);
        let sid = Sid::generate().expect("the system has random numbers");
        Self::new(core, sid, known, false, Handshake::of(&Arc::new(parts)), member, outbox)
    }
}

/// What the transports see.
impl Session {
    pub(crate) fn new(
        core: &Arc<Core>,
        sid: Sid,
        known: Known,
        b64: bool,
        handshake: Handshake,
        member: Member<Parcel>,
        outbox: Option<Arc<Outbox<Parcel>>>,
    ) -> Self {
        let machine = engine::Session::open(&core.proto, known, b64, now());
        let idle = IDLE + handshake.bytes();
        core.budget().take(BudgetPart::Connections, idle);
        let number = core.clock.number();
        Self(Arc::new_cyclic(|session| Inner {
            sid,
            number,
            protocol: known.protocol,
            over: AtomicBool::new(false),
            paused: AtomicU8::new(0),
            core: Arc::clone(core),
            handshake,
            member,
            kept: AtomicUsize::new(0),
            waiting: AtomicUsize::new(0),
            state: Mutex::new(State::new(
                machine,
                outbox.map(|outbox| polling(core, Weak::clone(session), number, outbox, idle)),
            )),
        }))
    }

    /// It is among those that exist: its conversation begins. `false`: it has ended again, since the engine closes, and
    /// may not have seen it.
    pub(crate) fn begin(&self) -> bool {
        let is_closing = self.core().closing.load(Ordering::Acquire);
        self.act(|state| {
            if is_closing {
                state.machine.abort(CloseReason::ServerShuttingDown);
            }
        });
        !is_closing
    }

    /// Something that is held for the client has changed from so many bytes to so many: those for whom most is held
    /// have to go first when memory is short.
    pub(crate) fn keep(&self, before: usize, now: usize) {
        if before == now {
            return;
        }
        // Wraps for what has become less.
        self.0.kept.fetch_add(now.wrapping_sub(before), Ordering::Relaxed);
        self.tell_holding(&self.lock());
    }

    /// Whether nobody knows yet who the client is. While it polls, and memory is short for many of the kind, it goes
    /// first, and is not told why: to tell all of them would take as long as they hold what they do. Default: it is
    /// known.
    pub fn set_stranger(&self, stranger: bool) {
        if let Some(polling) = &self.lock().polling {
            polling.holding.set_stranger(stranger);
        }
    }

    /// What is held of what the client said.
    pub(crate) fn kept(&self) -> usize {
        self.0.kept.load(Ordering::Relaxed) + self.0.waiting.load(Ordering::Relaxed)
    }

    fn tell_holding(&self, state: &State) {
        if let Some(polling) = &state.polling {
            polling.holding.set_kept(self.kept());
        }
    }

    pub(crate) fn core(&self) -> &Arc<Core> {
        &self.0.core
    }

    /// A limit has bitten.
    pub(crate) fn hit(&self, limit: Limit) {
        self.core().metrics.hit(limit);
    }

    /// Names the session among those that exist.
    pub(crate) fn address(&self) -> usize {
        Arc::as_ptr(&self.0).addr()
    }

    pub(crate) fn known(&self) -> Known {
        self.lock().machine.known()
    }

    pub(crate) fn is_paused(&self) -> bool {
        self.0.paused.load(Ordering::SeqCst) != 0
    }

    pub(crate) fn lock(&self) -> MutexGuard<'_, State> {
        // No code that may panic runs under the lock, so a poisoned one holds nothing half done.
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Does something under the lock, then what follows of it.
    pub(crate) fn act<R>(&self, act: impl FnOnce(&mut State) -> R) -> R {
        let mut state = self.lock();
        let result = act(&mut state);
        self.follow(state);
        result
    }

    /// What follows of what was done under the lock: requests are answered, the end is told, the conversation is
    /// called.
    pub(crate) fn follow(&self, mut state: MutexGuard<'_, State>) {
        let ended = state.notice_end();
        let (mut abandoned, mut disarmed) = (None, None);
        if let Some(reason) = ended {
            disarmed = state.armed.take();
            state.calls.inbox.push_back(Call::Closed(reason));
            abandoned = state.polling.as_ref().map(|polling| Arc::clone(&polling.outbox));
        }
        let on_websocket = state.machine.transport() == Transport::WebSocket;
        let wakers = state.take_wakers();
        let moved = state.rearm(lane::is_held(self.address()));
        let (first, readers) =
            if state.calls.running { (None, Readers::default()) } else { self.next_call(&mut state) };
        let conversation = first.is_some().then(|| {
            state.calls.running = true;
            state.calls.conversation.take()
        });
        drop(state);
        if let Some(reason) = ended {
            self.end(reason, on_websocket);
        }
        if let Some(outbox) = abandoned {
            outbox.abandon();
        }
        wakers.into_iter().flatten().for_each(Waker::wake);
        if let Some(moved) = moved {
            self.core().clock.arm(&self.0, moved);
        }
        if let Some(at) = disarmed {
            self.core().clock.disarm(self.0.number, at);
        }
        readers.resume();
        if let (Some(first), Some(conversation)) = (first, conversation) {
            self.run_calls(conversation, first);
        }
    }

    /// The clock: a deadline may have come, or memory is short.
    pub(crate) fn time_passed(&self, now: Instant) {
        let debris = self.act(|state| {
            let mut debris = Vec::new();
            state.armed = state.armed.filter(|armed| *armed > now);
            if state.machine.transport() == Transport::Polling {
                if state.polling.as_ref().is_some_and(|polling| polling.holding.take_evicted()) {
                    debris = evict(state);
                }
                self.check_outbox(state);
                // A candidate that is none any more sees that for itself.
                state.machine.handle_timeout(now);
            }
            state.look_at_due(now);
            debris
        });
        drop(debris);
    }

    /// An outbox that overflowed has lost what its client cannot do without.
    pub(crate) fn check_outbox(&self, state: &mut State) {
        let overflowed = state.polling.as_ref().is_some_and(|polling| polling.outbox.is_overflowed());
        if overflowed {
            self.overflow_in(state);
        }
    }

    /// Closes the session; on a WebSocket it is then over.
    pub(crate) fn close_in(&self, state: &mut State, reason: CloseReason) {
        if !state.machine.is_open() {
            return;
        }
        self.0.over.store(true, Ordering::Release);
        if state.machine.transport() == Transport::Polling {
            state.fetch_all();
        }
        state.machine.close(reason, now());
        if state.machine.transport() == Transport::WebSocket {
            // What was queued for polls has left the machine in the step by which the session came here, and all else
            // leaves by other ways: so that this is the end.
            for out in state.take_frames() {
                debug_assert!(!matches!(out, Out::Message(_)), "a message is lost");
            }
        }
    }

    fn end(&self, reason: CloseReason, on_websocket: bool) {
        self.0.over.store(true, Ordering::Release);
        self.core().metrics.close(reason);
        self.core().registry.remove(self.sid());
        if on_websocket && !lane::offer_close(self.address(), || self.0.member.has_undelivered()) {
            // Of one that is gone already nobody hears it.
            self.0.member.send(forms::close());
        }
    }
}

/// What polling needs, for a session that is just being made.
fn polling(core: &Arc<Core>, session: Weak<Inner>, number: u64, outbox: Arc<Outbox<Parcel>>, idle: usize) -> Polling {
    let mut hold = core.budget().hold(BudgetPart::Connections);
    hold.set(IDLE_POLLING);
    let ringing = Arc::clone(core);
    let ring = move || ringing.clock.ring(number, Weak::clone(&session));
    let holding = Arc::new(Holding::new(&outbox, idle + IDLE_POLLING, ring));
    let known: Weak<Holding> = Arc::downgrade(&holding);
    let watch = core.budget().watch(known);
    Polling::new(outbox, holding, hold, watch)
}

/// Few hold more memory than this session on polling, and it is short: what waits is dropped, and the client is told
/// with its next poll that it has to go. One that was told before, or is just sending much, is not waited for, and no
/// stranger that does not wait itself. Returns what is to be dropped outside the lock.
fn evict(state: &mut State) -> Vec<Parcel> {
    let debris = state.clear_outbox();
    let is_heard = state.polling.as_ref().is_some_and(|polling| {
        let is_there = polling.poller.is_some() || !polling.holding.is_stranger();
        is_there && !polling.holding.is_posting()
    });
    if state.machine.is_open() && is_heard {
        state.calls.inbox.push_back(Call::Overloaded);
    } else {
        state.machine.abort(CloseReason::TransportError);
    }
    debris
}

impl Drop for Inner {
    fn drop(&mut self) {
        self.core.budget().give(BudgetPart::Connections, IDLE + self.handshake.bytes());
    }
}

impl Timed for Inner {
    fn number(&self) -> u64 {
        self.number
    }

    fn time_passed(self: Arc<Self>, now: Instant) {
        Session(self).time_passed(now);
    }
}

/// Who reads what the client sends, and is to do so again.
#[derive(Default)]
struct Readers {
    reader: Option<Sender>,
    /// A POST that waits.
    poster: Option<Waker>,
}

impl Readers {
    /// Not to be called under the session's lock.
    fn resume(self) {
        if let Some(reader) = self.reader {
            reader.resume();
        }
        if let Some(poster) = self.poster {
            poster.wake();
        }
    }
}

impl PartialEq for Session {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
}

impl Eq for Session {}

impl fmt::Debug for Session {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Session").field("sid", self.sid()).field("open", &self.is_open()).finish_non_exhaustive()
    }
}

#[cfg(test)]
pub(in crate::engine) mod tests {
    use switchboard_io_proto::engine::Packet;
    use switchboard_ws::{Hub, MessageRef};

    use super::*;
    use crate::engine::{App, Conversation, EngineConfig};

    pub(in crate::engine) fn open(app: impl App<Session>, transport: Transport) -> Session {
        let core = Arc::new(Core::new(EngineConfig::default(), Arc::new(app), Hub::default()));
        let session = Session::detached(&core, transport);
        session.act(|state| state.calls.inbox.push_back(Call::Open));
        session
    }

    struct Silent;

    impl App<Session> for Silent {
        fn open(&self, _: &Session) -> Box<dyn Conversation<Session>> {
            Box::new(Self)
        }
    }

    impl Conversation<Session> for Silent {
        fn message(&mut self, _: &Session, _: MessageRef<'_>) {}
    }

    /// As when an engine closes that has just got to know it.
    #[tokio::test]
    async fn one_that_has_not_said_anything_yet_can_be_closed() {
        let session = open(Silent, Transport::WebSocket);
        session.close(CloseReason::ServerShuttingDown);
        assert_eq!(session.lock().machine.ended(), Some(CloseReason::ServerShuttingDown));
    }

    /// What the clock knows of it would keep its place in memory, for as long as a ping is not due.
    #[tokio::test]
    async fn the_clock_forgets_one_that_is_over() {
        let session = open(Silent, Transport::Polling);
        let known = Arc::weak_count(&session.0);
        session.act(|state| state.machine.abort(CloseReason::TransportError));
        assert_eq!(Arc::weak_count(&session.0), known - 1);
    }

    /// What an answer to a poll had no room for is taken by the WebSocket in the step by which the session moves.
    #[tokio::test]
    async fn what_waited_for_a_poll_is_not_lost_to_who_closes_as_the_session_moves() {
        let session = open(Silent, Transport::Polling);
        let now = now();
        let mut state = session.lock();
        state.machine.send("4waited".into(), 7).expect("it is open");
        state.machine.attach(false, now).expect("it is polling");
        for packet in [Packet::Ping("probe".into()), Packet::Upgrade] {
            state.machine.receive(Transport::WebSocket, Ok(packet), now);
        }
        let frames = state.take_frames();
        drop(state);
        session.close(CloseReason::ForcedClose);
        let waited = frames.iter().filter(|out| matches!(out, Out::Message(_))).count();
        assert_eq!((waited, session.lock().machine.ended()), (1, Some(CloseReason::ForcedClose)));
    }

    /// What each session costs, but for its request's head, its conversation, and what polling needs.
    #[test]
    fn a_session_is_small() {
        assert!(size_of::<Inner>() <= 512, "{} bytes", size_of::<Inner>());
    }
}
