//! What stands above the engine: an [`App`] is told of new sessions and gives each a [`Conversation`], which hears what
//! its client says. The engine calls up only through these. Generic over the session, which is made above and knows
//! them: applications write `App<Session>`.

use std::time::Instant;

use switchboard_hub::MemberId;
use switchboard_io_proto::engine::CloseReason;
use switchboard_ws::{Message, MessageRef};

/// Whatever speaks over Engine.IO sessions.
pub trait App<S>: Send + Sync + 'static {
    /// A session was opened; what is sent to it here follows its opening packet. A panic closes the session.
    fn open(&self, session: &S) -> Box<dyn Conversation<S>>;

    /// A session went over to another transport, and its [membership](super::Session::member) has another id than
    /// `before`. Called at once by the thread that drives the new transport, whatever else is called meanwhile.
    fn moved(&self, session: &S, before: MemberId) {
        let _ = (session, before);
    }
}

/// One session's user. Its methods are called one at a time, in the order of what happened, and never under a lock;
/// they should not block. A panic in one closes the session with [`CloseReason::TransportError`] and is logged.
pub trait Conversation<S>: Send + Sync + 'static {
    /// The client has sent a message.
    fn message(&mut self, session: &S, message: MessageRef<'_>);

    /// The client has sent a message that may be kept without a copy.
    fn owned_message(&mut self, session: &S, message: Message) {
        self.message(session, message.as_ref());
    }

    /// The client has answered a ping: it has received all that was sent before that ping. Not called where a ping
    /// overtook messages, as it does on polling when more waits than one answer holds.
    fn alive(&mut self, session: &S) {
        let _ = session;
    }

    /// The session has gone over from polling to a WebSocket; what is sent from now on goes there.
    fn upgraded(&mut self, session: &S) {
        let _ = session;
    }

    /// When [`on_deadline`](Self::on_deadline) is to be called. Asked after every call of another method.
    fn deadline(&self) -> Option<Instant> {
        None
    }

    /// The deadline has come.
    fn on_deadline(&mut self, session: &S, now: Instant) {
        let _ = (session, now);
    }

    /// Memory is short and the session is to go: what is sent here are its last words. It is closed when this returns.
    fn overloaded(&mut self, session: &S) {
        let _ = session;
    }

    /// The session is over. Called once, last; nothing more can be sent.
    fn closed(&mut self, session: &S, reason: CloseReason) {
        let _ = (session, reason);
    }
}
