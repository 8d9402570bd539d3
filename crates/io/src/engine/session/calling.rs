//! Telling a session's conversation what happens, one thread at a time: whoever finds it at rest calls it, and tells it
//! also what others bring meanwhile. That has a bound, and so has the time for which a thread does it.

use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::MutexGuard;
use std::sync::atomic::Ordering;
use std::time::Instant;

use switchboard_io_proto::engine::CloseReason;
use tokio::runtime::Handle;

use super::{BY_BACKLOG, Call, Readers, Session, State};
use crate::engine::app::Conversation;
use crate::engine::lane;
use crate::engine::limit::Limit;
use crate::engine::state::Backed;

/// So many calls a thread makes of a conversation before it lets others have their turn. It is not its own client's
/// thread that calls it when another has brought the first call, as the POST has that was under way when the session
/// moved.
const TURN: usize = 128;

impl Session {
    /// Tells the conversation, now or when it has been told what came before.
    ///
    /// Returns when the session's deadlines come next, if the conversation was called here.
    #[inline]
    pub(crate) fn tell(&self, mut state: MutexGuard<'_, State>, call: Call<'_>) -> Option<Instant> {
        if state.calls.running || !state.calls.inbox.is_empty() {
            self.put_off(&mut state, call.into_owned());
            self.follow(state);
            return None;
        }
        state.calls.running = true;
        let conversation = state.calls.conversation.take();
        drop(state);
        self.run_calls(conversation, call)
    }

    /// Another thread calls the conversation, and is to tell it this too. With much of the kind nothing more is read:
    /// it would come faster than it is told, without a bound.
    #[cold]
    fn put_off(&self, state: &mut State, call: Call<'static>) {
        let backed = state.calls.put_off(call, self.core().budget());
        self.note_backlog(state, backed);
        if backed.has_turned {
            self.0.paused.fetch_or(BY_BACKLOG, Ordering::SeqCst);
            self.hit(Limit::Backlog);
        }
    }

    #[cold]
    fn note_backlog(&self, state: &State, backed: Backed) {
        self.0.waiting.store(backed.bytes, Ordering::Relaxed);
        self.tell_holding(state);
    }

    /// The next call, and those who may read again now: to be told when the lock is let go of.
    pub(super) fn next_call(&self, state: &mut State) -> (Option<Call<'static>>, Readers) {
        let (call, backed) = state.calls.pop();
        let readers = backed.map_or_else(Readers::default, |backed| {
            self.note_backlog(state, backed);
            if backed.has_turned { self.unpause(state, BY_BACKLOG) } else { Readers::default() }
        });
        (call, readers)
    }

    /// Calls the conversation until there is nothing to tell it. Whoever gets here has set `running`.
    ///
    /// Returns when its deadlines come next, for whoever looks after them.
    pub(super) fn run_calls<'a>(
        &self,
        mut conversation: Option<Box<dyn Conversation<Self>>>,
        first: Call<'a>,
    ) -> Option<Instant> {
        let mut call: Call<'a> = first;
        let mut told = 0;
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
            told += 1;
            let mut state = self.lock();
            state.due = due;
            if told >= TURN
                && !state.calls.inbox.is_empty()
                && let Ok(runtime) = Handle::try_current()
            {
                state.calls.conversation = conversation;
                drop(state);
                let rest = Rest(self.clone());
                drop(runtime.spawn(async move { drop(rest) }));
                return None;
            }
            let (next, readers) = self.next_call(&mut state);
            let Some(next) = next else {
                state.calls.running = false;
                state.calls.conversation = conversation;
                // A session at rest holds nothing for calls.
                state.calls.inbox = VecDeque::new();
                let next = state.next_deadline();
                let moved = state.rearm(lane::is_held(self.address()));
                drop(state);
                if let Some(moved) = moved {
                    self.core().clock.arm(&self.0, moved);
                }
                readers.resume();
                return next;
            };
            drop(state);
            readers.resume();
            call = next;
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
            Call::Upgraded => conversation.upgraded(self),
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

/// The calls that are left after a turn: made when this is dropped, by its task, or by whoever drops a task that never
/// ran.
struct Rest(Session);

impl Drop for Rest {
    fn drop(&mut self) {
        let mut state = self.0.lock();
        let conversation = state.calls.conversation.take();
        // Only who runs the calls takes them out: there is one.
        let (first, readers) = self.0.next_call(&mut state);
        drop(state);
        readers.resume();
        if let Some(first) = first {
            self.0.run_calls(conversation, first);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use switchboard_io_proto::engine::Transport;
    use switchboard_ws::MessageRef;

    use super::super::tests::open;
    use super::*;
    use crate::engine::App;

    /// Is told more while it is told the first: as if another thread had read it.
    struct Flooded {
        flood: usize,
        heard: Arc<Mutex<Vec<String>>>,
    }

    impl App<Session> for Flooded {
        fn open(&self, _: &Session) -> Box<dyn Conversation<Session>> {
            Box::new(Self { flood: self.flood, heard: Arc::clone(&self.heard) })
        }
    }

    impl Conversation<Session> for Flooded {
        fn message(&mut self, session: &Session, message: MessageRef<'_>) {
            let MessageRef::Text(text) = message else { panic!("a text") };
            self.heard.lock().expect("no panic").push(text.to_owned());
            if text == "first" {
                for number in 0..self.flood {
                    say(session, &number.to_string());
                }
                assert!(session.is_paused() && session.kept() > self.flood);
            }
        }
    }

    fn say(session: &Session, text: &str) {
        session.tell(session.lock(), Call::Message(MessageRef::Text(text)));
    }

    #[tokio::test]
    async fn what_is_read_while_another_thread_is_busy_has_a_bound_and_captures_nobody() {
        const FLOOD: usize = 1000;
        let heard = Arc::default();
        let session = open(Flooded { flood: FLOOD, heard: Arc::clone(&heard) }, Transport::WebSocket);
        say(&session, "first");
        let count = || heard.lock().expect("no panic").len();
        assert_eq!(count(), TURN, "the thread has its turn and no more");
        assert!(session.is_paused());
        for _ in 0..FLOOD / TURN {
            tokio::task::yield_now().await;
        }
        assert_eq!(count(), 1 + FLOOD);
        assert!(!session.is_paused() && session.kept() == 0);
        assert_eq!(session.core().metrics.limit(Limit::Backlog), 1);
        let order = std::iter::once("first".to_owned()).chain((0..FLOOD).map(|number| number.to_string()));
        assert!(heard.lock().expect("no panic").iter().cloned().eq(order));
        say(&session, "more");
        assert_eq!(count(), 2 + FLOOD, "it is at rest, and told at once");
    }

    #[tokio::test]
    async fn the_end_of_a_backlog_does_not_end_a_pause_of_the_application() {
        let heard = Arc::default();
        let session = open(Flooded { flood: 300, heard: Arc::clone(&heard) }, Transport::WebSocket);
        session.pause();
        say(&session, "first");
        while heard.lock().expect("no panic").len() < 301 {
            tokio::task::yield_now().await;
        }
        assert!(session.is_paused());
        session.resume();
        assert!(!session.is_paused());
    }

    /// Wherever its turn ends, and whoever takes the next call then.
    #[tokio::test]
    async fn whoever_tells_the_rest_of_a_backlog_has_the_client_read_again() {
        for flood in 256..=400 {
            let heard = Arc::default();
            let session = open(Flooded { flood, heard: Arc::clone(&heard) }, Transport::WebSocket);
            say(&session, "first");
            while heard.lock().expect("no panic").len() <= flood {
                tokio::task::yield_now().await;
            }
            assert!(!session.is_paused(), "{flood}");
        }
    }
}
