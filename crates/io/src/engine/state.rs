//! What a session keeps under its lock: the protocol machine, what polling needs, and the calls that the conversation
//! is still to get. Nothing of the application's runs under it.

use std::collections::VecDeque;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::Instant;

use switchboard_hub::{Outbox, Parcel as _};
use switchboard_io_proto::engine::{self, CloseReason, Data, Transport};
use switchboard_ws::{Budget, BudgetHold, BudgetPart, BudgetWatch, Message, MessageRef, Parcel, Sender};

use super::app::Conversation;
use super::clock::Moved;
use super::forms;
use super::holding::Holding;

/// Generic over the session, which is made above and has this.
pub(crate) struct State<S> {
    pub(crate) machine: engine::Session<Parcel>,
    pub(crate) polling: Option<Box<Polling>>,
    pub(crate) calls: Calls<S>,
    /// When the conversation wants to be called.
    pub(crate) due: Option<Instant>,
    /// When the clock is to look at the session, at the latest.
    pub(crate) armed: Option<Instant>,
    /// Numbers the WebSockets that were candidates: the last one's is this.
    pub(crate) candidate: u32,
    /// A POST that comes, or that waits for the end of a pause. The session may move to a WebSocket meanwhile.
    pub(crate) poster: Option<Waker>,
    /// Reads the WebSocket again after a pause; there once there was one.
    pub(crate) reader: Option<Sender>,
    /// The last ping left by a poll while messages waited that were sent before it: a poll has no more room than one
    /// payload. Its answer tells nothing of those.
    pub(crate) ping_is_ahead: bool,
    /// The end was noticed, and is told or to be told.
    noticed: bool,
}

/// What polling needs, until an upgrade.
pub(crate) struct Polling {
    /// What waits for the next poll.
    pub(crate) outbox: Arc<Outbox<Parcel>>,
    /// A GET that waits.
    pub(crate) poller: Option<Waker>,
    /// What the budget knows of it.
    pub(crate) holding: Arc<Holding>,
    /// What counts while it polls.
    _hold: BudgetHold,
    /// Its place among those who may have to go.
    _watch: BudgetWatch,
}

impl Polling {
    pub(crate) fn new(
        outbox: Arc<Outbox<Parcel>>,
        holding: Arc<Holding>,
        hold: BudgetHold,
        watch: BudgetWatch,
    ) -> Self {
        Self { outbox, poller: None, holding, _hold: hold, _watch: watch }
    }
}

impl<S> State<S> {
    pub(crate) fn new(machine: engine::Session<Parcel>, polling: Option<Polling>) -> Self {
        Self {
            machine,
            polling: polling.map(Box::new),
            calls: Calls::default(),
            due: None,
            armed: None,
            candidate: 0,
            poster: None,
            reader: None,
            ping_is_ahead: false,
            noticed: false,
        }
    }

    /// The end, told once.
    pub(crate) fn notice_end(&mut self) -> Option<CloseReason> {
        let reason = self.machine.ended()?;
        (!std::mem::replace(&mut self.noticed, true)).then_some(reason)
    }

    /// Whether the WebSocket of this number is a candidate still.
    pub(crate) fn is_candidate(&self, number: u32) -> bool {
        self.machine.has_candidate() && self.candidate == number
    }

    /// Requests that have something to do now.
    pub(crate) fn take_wakers(&mut self) -> [Option<Waker>; 2] {
        let over = self.machine.ended().is_some();
        let due = over || self.machine.transport() != Transport::Polling || self.machine.polling_due();
        let poller = self.polling.as_mut().and_then(|polling| polling.poller.take_if(|_| due));
        [poller, self.poster.take_if(|_| over)]
    }

    /// What the machine has to say on a WebSocket. Does not allocate for nothing.
    pub(crate) fn take_frames(&mut self) -> Vec<engine::Out<Parcel>> {
        let frames: Vec<_> = std::iter::from_fn(|| self.machine.next_frame()).collect();
        // There it is behind all that was sent.
        self.ping_is_ahead &= !frames.iter().any(|out| matches!(out, engine::Out::Ping));
        frames
    }

    /// The answer to a poll, if there is one.
    pub(crate) fn take_answer(&mut self) -> Option<Vec<engine::Out<Parcel>>> {
        let mut outs = Vec::new();
        if !self.machine.answer_poll(|out| outs.push(out)) {
            return None;
        }
        if outs.iter().any(|out| matches!(out, engine::Out::Ping)) {
            let waits = self.polling.as_ref().is_some_and(|polling| !polling.outbox.is_empty());
            self.ping_is_ahead = waits || self.machine.queued().0 > 0;
        }
        Some(outs)
    }

    /// When something is due, of the machine's or the conversation's.
    pub(crate) fn next_deadline(&self) -> Option<Instant> {
        [self.machine.poll_timeout(), self.due].into_iter().flatten().min()
    }

    /// The conversation's deadline may have come.
    pub(crate) fn look_at_due(&mut self, now: Instant) {
        if self.due.take_if(|due| *due <= now).is_some() {
            self.calls.inbox.push_back(Call::Deadline(now));
        }
    }

    /// Takes what waits for a poll, as much as one answer holds. `cx` is woken by what comes later.
    pub(crate) fn fetch(&mut self, max_payload: usize, cx: &mut Context<'_>) {
        let Some(polling) = &self.polling else { return };
        while self.machine.is_open() && self.machine.queued().1 < max_payload {
            let Poll::Ready(Some(parcel)) = polling.outbox.poll_pop(cx) else {
                // A client waits for most of its time.
                return polling.outbox.rest();
            };
            queue(&mut self.machine, parcel);
        }
    }

    /// Drops what waits for polls: to be let go of outside the lock.
    pub(crate) fn clear_outbox(&mut self) -> Vec<Parcel> {
        self.polling.iter().flat_map(|polling| std::iter::from_fn(|| pop(&polling.outbox))).collect()
    }

    /// Takes all that waits for polls; nothing more comes.
    pub(crate) fn fetch_all(&mut self) {
        let Some(polling) = &self.polling else { return };
        polling.outbox.close();
        while let Some(parcel) = pop(&polling.outbox) {
            queue(&mut self.machine, parcel);
        }
    }

    /// When the clock is to look at the session, if it has not been told so yet. A session on a WebSocket has its
    /// heartbeat looked after by the WebSocket; `held`: all of it.
    pub(crate) fn rearm(&mut self, held: bool) -> Option<Moved> {
        if self.machine.ended().is_some() {
            return None;
        }
        let next = match self.machine.transport() {
            Transport::Polling => self.next_deadline(),
            Transport::WebSocket => self.due.filter(|_| !held),
        }?;
        if self.armed.is_some_and(|armed| armed <= next) {
            return None;
        }
        Some(Moved { from: self.armed.replace(next), to: next })
    }
}

/// What waits in an outbox, if anything does now.
pub(crate) fn pop(outbox: &Outbox<Parcel>) -> Option<Parcel> {
    match outbox.poll_pop(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(parcel) => parcel,
        Poll::Pending => None,
    }
}

fn queue(machine: &mut engine::Session<Parcel>, parcel: Parcel) {
    if parcel.frames(forms::polling_form(machine.known().protocol)).is_empty() {
        // It is for others, plain WebSockets for instance: no poll ends for it.
        return;
    }
    // Bytes become base64, by a third longer. Text is counted so as well: its share is not known here.
    let weight = parcel.weight();
    if machine.send(parcel, weight + weight / 3 + 4).is_err() {
        // The machine's queue has no bounds and the session is open: the outbox is what is bounded.
        debug_assert!(!machine.is_open(), "a parcel was lost");
    }
}

/// The conversation, and what it is still to be told. Whoever finds it at rest takes it, calls it until there is
/// nothing left, and puts it back.
pub(crate) struct Calls<S> {
    pub(crate) running: bool,
    pub(crate) conversation: Option<Box<dyn Conversation<S>>>,
    pub(crate) inbox: VecDeque<Call<'static, S>>,
    /// There while something that the client said is in the inbox.
    backlog: Option<Box<Backlog>>,
}

/// What the client said while another thread was busy with what it had said before.
struct Backlog {
    bytes: usize,
    /// Nothing is read for it.
    is_paused: bool,
    hold: BudgetHold,
}

/// So many messages of one client may wait while another thread calls its conversation. With more, nothing is read from
/// it until there are half as many.
pub const BACKLOG_CALLS: usize = 256;
/// So many bytes they may hold, but for the one that is more.
pub const BACKLOG_BYTES: usize = 64 << 10;

/// What became of a backlog.
#[derive(Clone, Copy)]
pub(crate) struct Backed {
    /// What it holds.
    pub(crate) bytes: usize,
    /// It has got too large just now, or small enough again.
    pub(crate) has_turned: bool,
}

impl<S> Calls<S> {
    /// Keeps something that the client said for whoever calls the conversation now.
    pub(crate) fn put_off(&mut self, call: Call<'static, S>, budget: &Budget) -> Backed {
        let backlog = self.backlog.get_or_insert_with(|| {
            Box::new(Backlog { bytes: 0, is_paused: false, hold: budget.hold(BudgetPart::Reading) })
        });
        backlog.bytes += call.weight();
        backlog.hold.set(backlog.bytes);
        self.inbox.push_back(call);
        let is_full = self.inbox.len() >= BACKLOG_CALLS || backlog.bytes >= BACKLOG_BYTES;
        let has_turned = is_full && !std::mem::replace(&mut backlog.is_paused, is_full);
        Backed { bytes: backlog.bytes, has_turned }
    }

    /// The next call, and what became of the backlog by that, if there was one.
    pub(crate) fn pop(&mut self) -> (Option<Call<'static, S>>, Option<Backed>) {
        let call = self.inbox.pop_front();
        let Some(backlog) = &mut self.backlog else { return (call, None) };
        backlog.bytes -= call.as_ref().map_or(0, Call::weight);
        backlog.hold.set(backlog.bytes);
        let is_small = self.inbox.len() <= BACKLOG_CALLS / 2 && backlog.bytes <= BACKLOG_BYTES / 2;
        let has_turned = is_small && std::mem::replace(&mut backlog.is_paused, false);
        let backed = Backed { bytes: backlog.bytes, has_turned };
        if self.inbox.is_empty() {
            self.backlog = None;
        }
        (call, Some(backed))
    }
}

/// Something to be done in the conversation's order.
pub(crate) type Job<S> = Box<dyn FnOnce(&S) + Send>;

pub(crate) enum Call<'a, S> {
    Open,
    Message(MessageRef<'a>),
    Owned(Message),
    Alive,
    Upgraded,
    Deadline(Instant),
    Job(Job<S>),
    Overloaded,
    Closed(CloseReason),
}

impl<S> Default for Calls<S> {
    fn default() -> Self {
        Self { running: false, conversation: None, inbox: VecDeque::new(), backlog: None }
    }
}

impl<'a, S> Call<'a, S> {
    /// What it takes of memory, if it is something that the client said: of nothing else is there much.
    fn weight(&self) -> usize {
        match self {
            Self::Message(message) => size_of::<Self>() + message.as_bytes().len(),
            Self::Owned(message) => size_of::<Self>() + message.as_bytes().len(),
            Self::Alive => size_of::<Self>(),
            Self::Open | Self::Upgraded | Self::Deadline(_) | Self::Job(_) | Self::Overloaded | Self::Closed(_) => 0,
        }
    }

    pub(crate) fn into_owned(self) -> Call<'static, S> {
        match self {
            Self::Message(message) => Call::Owned(message.to_owned()),
            Self::Open => Call::Open,
            Self::Owned(message) => Call::Owned(message),
            Self::Alive => Call::Alive,
            Self::Upgraded => Call::Upgraded,
            Self::Deadline(now) => Call::Deadline(now),
            Self::Job(job) => Call::Job(job),
            Self::Overloaded => Call::Overloaded,
            Self::Closed(reason) => Call::Closed(reason),
        }
    }

    /// A message as the machine gives it.
    pub(crate) fn of(data: Data<'a>) -> Self {
        use std::borrow::Cow;
        match data {
            Data::Text(Cow::Borrowed(text)) => Self::Message(MessageRef::Text(text)),
            Data::Binary(Cow::Borrowed(bytes)) => Self::Message(MessageRef::Binary(bytes)),
            Data::Text(Cow::Owned(text)) => Self::Owned(Message::from(text)),
            Data::Binary(Cow::Owned(bytes)) => Self::Owned(Message::from(bytes)),
        }
    }
}
