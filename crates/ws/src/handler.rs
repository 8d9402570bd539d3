//! The handler style: methods called by the driver while it holds the read buffer. Messages are borrowed, nothing is
//! allocated, and whatever is sent while one read is processed leaves in one write.

use std::ops::{Deref, DerefMut};
use std::time::{Duration, Instant};

use switchboard_ws_proto::{CloseFrame, Message, MessageRef, ProtocolError};

use crate::context::Context;
use crate::error::Outcome;

/// What an application does with one connection. Methods run one at a time, in the order of what happened. They should
/// not block: other connections wait meanwhile. A panic ends this connection alone, with 1011.
pub trait Handler: Send + 'static {
    /// The connection is open. Called once, before anything else.
    ///
    /// A server's handler is called before the client can know: its 101 leaves after this returns, and before all that
    /// is sent here. So a client that has seen its connection open is subscribed to whatever this
    /// [subscribes](Context::subscribe) to: what anyone publishes from then on reaches it. Behind hyper and axum this
    /// runs before the response is returned, and should the client never get that, [`on_close`](Self::on_close)
    /// follows.
    fn on_open(&mut self, cx: &mut Context<'_>) {
        let _ = cx;
    }

    /// A message came. It lies in the read buffer: copy what must outlive the call.
    fn on_message(&mut self, cx: &mut Context<'_>, message: MessageRef<'_>);

    /// A message came that the driver had to put together, and that may be kept without a copy. By default it is handed
    /// to [`on_message`](Self::on_message).
    fn on_owned_message(&mut self, cx: &mut Context<'_>, message: Message) {
        self.on_message(cx, message.as_ref());
    }

    /// A ping came. The pong is sent without the handler's help.
    fn on_ping(&mut self, cx: &mut Context<'_>, payload: &[u8]) {
        let _ = (cx, payload);
    }

    /// A pong came, with the round trip if it answers our newest ping.
    fn on_pong(&mut self, cx: &mut Context<'_>, payload: &[u8], rtt: Option<Duration>) {
        let _ = (cx, payload, rtt);
    }

    /// The peer said Close. Messages can still be sent during the call; then the Close frame is answered.
    fn on_peer_close(&mut self, cx: &mut Context<'_>, frame: &CloseFrame) {
        let _ = (cx, frame);
    }

    /// The peer broke a rule: nothing more is heard from it. Messages can still be sent during the call; then a Close
    /// frame says what the rule was.
    ///
    /// With [`ProtocolError::OutOfMemory`] it broke none: memory is short, and much of it is held for this peer. If it
    /// was made to go for that, what was queued is lost, and messages can be sent by the context alone, while they need
    /// not be queued.
    fn on_failed(&mut self, cx: &mut Context<'_>, error: ProtocolError) {
        let _ = (cx, error);
    }

    /// What was queued because the peer lagged has all been written.
    fn on_drain(&mut self, cx: &mut Context<'_>) {
        let _ = cx;
    }

    /// The outbox was full, and its policy is to give the peer up ([`Overflow::Close`](crate::Overflow::Close)): what
    /// was queued is lost, and the connection closes with 1013. The peer may take its time with that;
    /// [`on_close`](Self::on_close) follows when it is over.
    fn on_overflow(&mut self, cx: &mut Context<'_>) {
        let _ = cx;
    }

    /// When [`on_deadline`](Self::on_deadline) is to be called. Default: never.
    ///
    /// Asked when it may be of interest, often or seldom, so it should cost nothing. The driver remembers the answer:
    /// when the deadline has come *nearer* since (or there is one for the first time), the handler says so by
    /// [`Context::deadline_moved`]. One that has moved away, or is no more, need not be told: the driver then wakes in
    /// vain, asks and goes to sleep again.
    fn deadline(&self) -> Option<Instant> {
        None
    }

    /// The [`deadline`](Self::deadline) has passed: up to 64 ms ago, by a shard that keeps it, never in the future. It
    /// is still to be another one, or none, when this returns: the driver would call this again and again.
    fn on_deadline(&mut self, cx: &mut Context<'_>) {
        let _ = cx;
    }

    /// The connection is over. Called once, after everything else; not after a panic of this handler.
    fn on_close(&mut self, outcome: &Outcome) {
        let _ = outcome;
    }
}

/// All methods, for a type that dereferences to a handler.
macro_rules! forward_to_target {
    () => {
        fn on_open(&mut self, cx: &mut Context<'_>) {
            (**self).on_open(cx);
        }

        fn on_message(&mut self, cx: &mut Context<'_>, message: MessageRef<'_>) {
            (**self).on_message(cx, message);
        }

        fn on_owned_message(&mut self, cx: &mut Context<'_>, message: Message) {
            (**self).on_owned_message(cx, message);
        }

        fn on_ping(&mut self, cx: &mut Context<'_>, payload: &[u8]) {
            (**self).on_ping(cx, payload);
        }

        fn on_pong(&mut self, cx: &mut Context<'_>, payload: &[u8], rtt: Option<Duration>) {
            (**self).on_pong(cx, payload, rtt);
        }

        fn on_peer_close(&mut self, cx: &mut Context<'_>, frame: &CloseFrame) {
            (**self).on_peer_close(cx, frame);
        }

        fn on_failed(&mut self, cx: &mut Context<'_>, error: ProtocolError) {
            (**self).on_failed(cx, error);
        }

        fn on_drain(&mut self, cx: &mut Context<'_>) {
            (**self).on_drain(cx);
        }

        fn on_overflow(&mut self, cx: &mut Context<'_>) {
            (**self).on_overflow(cx);
        }

        fn deadline(&self) -> Option<Instant> {
            (**self).deadline()
        }

        fn on_deadline(&mut self, cx: &mut Context<'_>) {
            (**self).on_deadline(cx);
        }

        fn on_close(&mut self, outcome: &Outcome) {
            (**self).on_close(outcome);
        }
    };
}

impl<H: Handler + ?Sized> Handler for Box<H> {
    forward_to_target!();
}

/// A handler, and what has to be held for as long as its connection lasts.
pub(crate) struct Held<H, T> {
    handler: H,
    _held: T,
}

impl<H, T> Held<H, T> {
    pub(crate) fn new(handler: H, held: T) -> Self {
        Self { handler, _held: held }
    }
}

impl<H, T> Deref for Held<H, T> {
    type Target = H;

    fn deref(&self) -> &H {
        &self.handler
    }
}

impl<H, T> DerefMut for Held<H, T> {
    fn deref_mut(&mut self) -> &mut H {
        &mut self.handler
    }
}

impl<H: Handler, T: Send + 'static> Handler for Held<H, T> {
    forward_to_target!();
}

/// A handler that is one closure, called for each message.
///
/// ```
/// use switchboard_ws::OnMessage;
///
/// let echo = OnMessage::new(|cx, message| {
///     cx.send(message);
/// });
/// ```
#[derive(Debug, Clone)]
pub struct OnMessage<F>(F);

impl<F> OnMessage<F>
where
    F: FnMut(&mut Context<'_>, MessageRef<'_>) + Send + 'static,
{
    /// The handler that calls `f`.
    pub fn new(f: F) -> Self {
        Self(f)
    }
}

impl<F> Handler for OnMessage<F>
where
    F: FnMut(&mut Context<'_>, MessageRef<'_>) + Send + 'static,
{
    fn on_message(&mut self, cx: &mut Context<'_>, message: MessageRef<'_>) {
        (self.0)(cx, message);
    }
}
