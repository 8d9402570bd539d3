//! A session as everyone above knows it: a handle that is cheap to clone, and by which it is spoken to from any thread.

use std::collections::VecDeque;
use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Instant;

use switchboard_hub::{HubError, Member, Outbox};
use switchboard_io_proto::engine::{self, CloseReason, Known, Out, Protocol, Sid, Transport};
use switchboard_ws::{BudgetPart, Parcel, Pushed};

use super::app::Conversation;
use super::clock::{Timed, now};
use super::forms;
use super::handshake::Handshake;
use super::holding::Holding;
use super::lane;
use super::limit::Limit;
use super::state::Polling;
use super::{core, state};

/// What all sessions of an engine share.
pub(crate) type Core = core::Core<Session, Inner>;
/// What a session keeps under its lock.
pub(crate) type State = state::State<Session>;
/// What a conversation is told.
pub(crate) type Call<'a> = state::Call<'a, Session>;

/// One client's session. Clones are the same session; they may be used from any thread, also within a call of its
/// [`Conversation`].
#[derive(Clone)]
pub struct Session(Arc<Inner>);

pub(crate) struct Inner {
    sid: Sid,
    protocol: Protocol,
    over: AtomicBool,
    paused: AtomicBool,
    core: Arc<Core>,
    handshake: Handshake,
    member: Member<Parcel>,
    /// Bytes that the conversation holds for its client.
    kept: AtomicUsize,
    state: Mutex<State>,
}

/// What counts for each session while it does nothing, besides its connection.
const IDLE: usize = 1 << 10;

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

    /// The session's membership in the hub. What is published to topics that it joins reaches the client, in its form of
    /// the parcel (see [`parcel`](crate::engine::parcel)). Its id changes with an upgrade.
    #[must_use]
    pub fn member(&self) -> &Member<Parcel> {
        &self.0.member
    }

    /// Messages go both ways.
    #[must_use]
    pub fn is_open(&self) -> bool {
        !self.0.over.load(Ordering::Acquire)
    }

    /// Sends a parcel, in order with what the same thread sends and publishes. Never waits: what does not fit is for the
    /// [policy](switchboard_ws::Overflow) of [`EngineConfig::outbox`](crate::engine::EngineConfig::outbox).
    pub fn send(&self, parcel: impl Into<Parcel>) -> Pushed {
        if !self.is_open() {
            return Pushed::Closed;
        }
        match lane::offer(self.address(), parcel.into(), || self.0.member.has_undelivered()) {
            None => Pushed::Sent,
            Some(parcel) => self.send_by_member(parcel),
        }
    }

    /// Sends one finished text packet, whose first character is the `4` of a message. The cheapest way for what goes to one
    /// client alone: on the thread that has just read from its WebSocket, nothing is allocated for it.
    pub fn send_text(&self, text: &str) -> Pushed {
        if !self.is_open() {
            return Pushed::Closed;
        }
        if lane::offer_text(self.address(), text, || self.0.member.has_undelivered()) {
            return Pushed::Sent;
        }
        self.send_by_member(text.into())
    }

    /// Closes the session, after what was sent so far. It is [over](Self::is_open) for everyone here at once; the goodbye
    /// still has to leave, which on polling waits for the next poll, 30 seconds at most. To close twice changes nothing.
    pub fn close(&self, reason: CloseReason) {
        self.act(|state| self.close_in(state, reason));
    }

    /// Stops reading what the client sends, until [`resume`](Self::resume). What was read already is still told. On polling
    /// POSTs are not answered meanwhile, so that the client waits with the next. The heartbeat goes on: a client whose
    /// answers are not read for longer than it may be silent is taken for gone.
    pub fn pause(&self) {
        self.0.paused.store(true, Ordering::SeqCst);
    }

    /// Reads again.
    pub fn resume(&self) {
        if !self.0.paused.swap(false, Ordering::SeqCst) {
            return;
        }
        let mut state = self.lock();
        let reader = state.reader.clone();
        let poster = state.polling.as_mut().and_then(|polling| polling.poster.take());
        drop(state);
        if let Some(reader) = reader {
            reader.resume();
        }
        if let Some(poster) = poster {
            poster.wake();
        }
    }

    /// Does something in the order of the conversation's calls: at once if none is running, else by the thread that runs
    /// them, after those that wait. Dropped when the session is over. What it changes of the conversation's
    /// [deadline](Conversation::deadline) is heard of.
    pub fn run(&self, job: impl FnOnce(&Self) + Send + 'static) {
        self.act(|state| state.calls.inbox.push_back(Call::Job(Box::new(job))));
    }

    /// Joins a topic, and sends a parcel that comes before all that is published there from now on. Whoever publishes
    /// because the client has got the parcel reaches it. [`settle`](Self::settle) is to follow, when no locks are held.
    ///
    /// # Errors
    /// The topic was not joined. The parcel was sent.
    pub(crate) fn enter(&self, topic: &str, first: Parcel) -> (Pushed, Result<bool, HubError>) {
        if !self.is_open() {
            return (Pushed::Closed, Ok(false));
        }
        let member = &self.0.member;
        // What is in the lane leaves before anything that is published after this, and after the topic is joined.
        let Some(first) = lane::offer(self.address(), first, || member.has_undelivered()) else {
            return (Pushed::Sent, member.subscribe(topic));
        };
        match member.subscribe_with(topic, first.clone()) {
            Ok((joined, pushed)) => (pushed, Ok(joined)),
            Err(error) => (member.send(first), Err(error)),
        }
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

    fn send_by_member(&self, parcel: Parcel) -> Pushed {
        self.settle(self.0.member.send(parcel))
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
        core.budget().take(BudgetPart::Connections, IDLE);
        Self(Arc::new_cyclic(|session| Inner {
            sid,
            protocol: known.protocol,
            over: AtomicBool::new(false),
            paused: AtomicBool::new(false),
            core: Arc::clone(core),
            handshake,
            member,
            kept: AtomicUsize::new(0),
            state: Mutex::new(State::new(machine, outbox.map(|outbox| polling(core, session, outbox)))),
        }))
    }

    /// How many bytes the conversation holds for its client: those for whom most is held have to go first when memory is
    /// short.
    pub(crate) fn set_kept(&self, bytes: usize) {
        if self.0.kept.swap(bytes, Ordering::Relaxed) == bytes {
            return;
        }
        if let Some(polling) = &self.lock().polling {
            polling.holding.set_kept(bytes);
        }
    }

    pub(crate) fn kept(&self) -> usize {
        self.0.kept.load(Ordering::Relaxed)
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
        self.0.paused.load(Ordering::SeqCst)
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

    /// What follows of what was done under the lock: requests are answered, the end is told, the conversation is called.
    pub(crate) fn follow(&self, mut state: MutexGuard<'_, State>) {
        let ended = state.notice_end();
        let mut abandoned = None;
        if let Some(reason) = ended {
            state.calls.inbox.push_back(Call::Closed(reason));
            abandoned = state.polling.as_ref().map(|polling| Arc::clone(&polling.outbox));
        }
        let on_websocket = state.machine.transport() == Transport::WebSocket;
        let wakers = state.take_wakers();
        let deadline = state.rearm(lane::is_held(self.address()));
        let first = if state.calls.running { None } else { state.calls.inbox.pop_front() };
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
        wakers.into_iter().flatten().for_each(std::task::Waker::wake);
        if let Some(deadline) = deadline {
            self.core().clock.arm(&self.0, deadline);
        }
        if let (Some(first), Some(conversation)) = (first, conversation) {
            self.run_calls(conversation, first);
        }
    }

    /// Tells the conversation, now or when it has been told what came before.
    ///
    /// Returns when the session's deadlines come next, if the conversation was called here.
    #[inline]
    pub(crate) fn tell(&self, mut state: MutexGuard<'_, State>, call: Call<'_>) -> Option<Instant> {
        if state.calls.running || !state.calls.inbox.is_empty() {
            state.calls.inbox.push_back(call.into_owned());
            self.follow(state);
            return None;
        }
        state.calls.running = true;
        let conversation = state.calls.conversation.take();
        drop(state);
        self.run_calls(conversation, call)
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
            // Everything else has left by other ways, so that this is the end.
            while let Some(out) = state.machine.next_frame() {
                debug_assert_eq!(out.control().is_some(), !matches!(out, Out::Message(_)), "nothing is lost");
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

    /// Calls the conversation until there is nothing to tell it. Whoever gets here has set `running`.
    ///
    /// Returns when its deadlines come next, for whoever looks after them.
    fn run_calls<'a>(&self, mut conversation: Option<Box<dyn Conversation<Self>>>, first: Call<'a>) -> Option<Instant> {
        let mut call: Call<'a> = first;
        loop {
            let is_last = matches!(call, Call::Closed(_));
            let called = catch_unwind(AssertUnwindSafe(|| self.call(&mut conversation, call)));
            let due = called.unwrap_or_else(|_| {
                tracing::error!(peer = %self.handshake().peer(), "a session's conversation panicked; the session ends");
                self.core().metrics.panicked();
                self.act(|state| state.machine.abort(CloseReason::TransportError));
                None
            });
            if is_last {
                // It may hold handles of the session: that circle ends here. And a panic in its drop is its own.
                let _ = catch_unwind(AssertUnwindSafe(|| drop(conversation.take())));
                for topic in self.0.member.topics() {
                    self.0.member.unsubscribe(&topic);
                }
            }
            let mut state = self.lock();
            state.due = due;
            match state.calls.inbox.pop_front() {
                Some(next) => call = next,
                None => {
                    state.calls.running = false;
                    state.calls.conversation = conversation;
                    // A session at rest holds nothing for calls.
                    state.calls.inbox = VecDeque::new();
                    let next = state.next_deadline();
                    let deadline = state.rearm(lane::is_held(self.address()));
                    drop(state);
                    if let Some(deadline) = deadline {
                        self.core().clock.arm(&self.0, deadline);
                    }
                    return next;
                }
            }
        }
    }

    fn call(&self, conversation: &mut Option<Box<dyn Conversation<Self>>>, call: Call<'_>) -> Option<Instant> {
        if matches!(call, Call::Open) {
            *conversation = Some(self.core().app.open(self));
        }
        // None: it did not open, or it was told the end.
        let conversation = conversation.as_mut()?;
        match call {
            Call::Open => {}
            Call::Message(message) => conversation.message(self, message),
            Call::Owned(message) => conversation.owned_message(self, message),
            Call::Alive => conversation.alive(self),
            Call::Moved => conversation.moved(self),
            Call::Deadline(now) => conversation.on_deadline(self, now),
            Call::Job(job) => job(self),
            Call::Overloaded => {
                conversation.overloaded(self);
                self.close(CloseReason::ForcedClose);
            }
            Call::Closed(reason) => {
                conversation.closed(self, reason);
                return None;
            }
        }
        conversation.deadline()
    }
}

/// What polling needs, for a session that is just being made.
fn polling(core: &Arc<Core>, session: &Weak<Inner>, outbox: Arc<Outbox<Parcel>>) -> Polling {
    let (clock, session) = (Arc::clone(core), Weak::clone(session));
    let holding = Arc::new(Holding::new(&outbox, move || clock.clock.ring(Weak::clone(&session))));
    let known: Weak<Holding> = Arc::downgrade(&holding);
    let watch = core.budget().watch(known);
    Polling::new(outbox, holding, watch)
}

/// Few hold more memory than this session on polling, and it is short: what waits is dropped, and the client is told with its
/// next poll that it has to go. One that was told before, or is just sending much, is not waited for. Returns what is to be
/// dropped outside the lock.
fn evict(state: &mut State) -> Vec<Parcel> {
    let debris = state.clear_outbox();
    let is_posting = state.polling.as_ref().is_some_and(|polling| polling.holding.is_posting());
    if state.machine.is_open() && !is_posting {
        state.calls.inbox.push_back(Call::Overloaded);
    } else {
        state.machine.abort(CloseReason::TransportError);
    }
    debris
}

impl Drop for Inner {
    fn drop(&mut self) {
        self.core.budget().give(BudgetPart::Connections, IDLE);
    }
}

impl Timed for Inner {
    fn time_passed(self: Arc<Self>, now: Instant) {
        Session(self).time_passed(now);
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
mod tests {
    use super::*;

    /// What each session costs, but for its request's head, its conversation, and what polling needs.
    #[test]
    fn a_session_is_small() {
        assert!(size_of::<Inner>() <= 512, "{} bytes", size_of::<Inner>());
    }
}
