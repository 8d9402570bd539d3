//! Messages that were read and that the application has not asked for yet. Bounded: when it is full, the socket is not
//! read, and TCP makes the peer wait.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

use switchboard_budget::{Budget, Hold, Part};
use switchboard_ws_proto::Message;

/// How much may wait for the application. At the bound reading stops; the rest of the read that reached it (at most
/// 128 KiB on the wire, which with compression can be several whole messages) is still taken in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct InboxLimits {
    /// Messages. Default: 256.
    pub messages: usize,
    /// Bytes of payload. Default: 1 MiB. One message may be longer than this.
    pub bytes: usize,
}

impl Default for InboxLimits {
    fn default() -> Self {
        Self { messages: 256, bytes: 1 << 20 }
    }
}

#[derive(Debug)]
pub(crate) struct Inbox {
    limits: InboxLimits,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    queue: VecDeque<Message>,
    bytes: usize,
    /// Of those bytes. A long message counts for itself as well.
    hold: Hold,
    reader: Option<Waker>,
    /// The application has ever asked for a message.
    read: bool,
    /// It took one and has not asked for the next: it may be about to answer.
    busy: bool,
    /// The connection is over: nothing more will come.
    ended: bool,
    /// The receiver is gone: nothing more is kept.
    unwanted: bool,
}

/// What taking a message out changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Room {
    /// Nothing that the driver waits for.
    Same,
    /// Half of the inbox is free again, or nothing is left: the driver wants to know. Half, so that a slow application
    /// does not wake it for each message.
    More,
}

impl Inbox {
    pub(crate) fn new(limits: InboxLimits, budget: &Budget) -> Self {
        let state = State {
            queue: VecDeque::new(),
            bytes: 0,
            hold: budget.hold(Part::Reading),
            reader: None,
            read: false,
            busy: false,
            ended: false,
            unwanted: false,
        };
        Self { limits, state: Mutex::new(state) }
    }

    /// Puts a message in. `false`: the inbox is at its bound, and reading should stop. When reading cannot stop,
    /// because we wait for the peer's Close frame, what finds no room is dropped.
    pub(crate) fn push(&self, message: Message, can_stop: bool) -> bool {
        let (reader, room) = {
            let mut state = self.lock();
            if state.unwanted || (!can_stop && state.is_full(self.limits)) {
                return true;
            }
            state.bytes += message.len();
            state.queue.push_back(message);
            state.count();
            (state.reader.take(), !state.is_full(self.limits))
        };
        if let Some(reader) = reader {
            reader.wake();
        }
        room
    }

    /// Bytes that wait.
    pub(crate) fn bytes(&self) -> usize {
        self.lock().bytes
    }

    /// Drops what waits.
    pub(crate) fn clear(&self) {
        let queue = {
            let mut state = self.lock();
            state.bytes = 0;
            state.count();
            std::mem::take(&mut state.queue)
        };
        drop(queue);
    }

    /// The next message; `None` after the last one of an ended connection.
    pub(crate) fn poll_pop(&self, cx: &mut Context<'_>) -> Poll<Option<(Message, Room)>> {
        // Wakers are cloned and dropped outside the lock: they may run code of a runtime.
        let waker = cx.waker().clone();
        let mut state = self.lock();
        state.read = true;
        let half = InboxLimits { messages: self.limits.messages.div_ceil(2), bytes: self.limits.bytes.div_ceil(2) };
        let was_full = state.is_full(half);
        if let Some(message) = state.queue.pop_front() {
            state.bytes -= message.len();
            state.count();
            state.busy = true;
            let more = state.queue.is_empty() || (was_full && !state.is_full(half));
            return Poll::Ready(Some((message, if more { Room::More } else { Room::Same })));
        }
        state.busy = false;
        if state.ended {
            return Poll::Ready(None);
        }
        // An idle connection keeps no queue.
        state.queue = VecDeque::new();
        let displaced = state.reader.replace(waker);
        drop(state);
        drop(displaced);
        Poll::Pending
    }

    /// Nothing more will come.
    pub(crate) fn end(&self) {
        let reader = {
            let mut state = self.lock();
            state.ended = true;
            state.reader.take()
        };
        if let Some(reader) = reader {
            reader.wake();
        }
    }

    /// The receiver is gone.
    pub(crate) fn unwant(&self) {
        self.lock().unwanted = true;
        self.clear();
    }

    /// Whether an application that reads has not seen everything, or has not asked for more since: what it sends next
    /// may answer what it read.
    pub(crate) fn owes_an_answer(&self) -> bool {
        let state = self.lock();
        state.read && !state.unwanted && (state.busy || !state.queue.is_empty())
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn count(&mut self) {
        self.hold.set(self.bytes);
    }

    fn is_full(&self, limits: InboxLimits) -> bool {
        self.queue.len() >= limits.messages || self.bytes >= limits.bytes
    }
}
