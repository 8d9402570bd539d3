//! The sending half: a handle that any number of tasks may clone and use at once.

use std::sync::Arc;
use std::time::Duration;

use switchboard_hub::{Accepted, Refused};
use switchboard_ws_proto::{CloseCode, CloseFrame, Message, Prepared, ReadyState, SendOptions, Utf8Bytes};

use crate::error::{Error, Outcome};
use crate::info::Info;
use crate::link::Link;
use crate::parcel::{Content, Parcel};

/// Sends to one connection. Cloning is cheap, and clones may be used from many tasks at once; what one task sends
/// arrives in its order.
#[derive(Debug, Clone)]
pub struct Sender {
    link: Arc<Link>,
    info: Arc<Info>,
    /// For handles of a [`Socket`](crate::Socket): the last one to go closes the connection.
    _owner: Option<Arc<Owner>>,
}

/// What [`Sender::try_send`] could not take, given back.
pub type TrySendError = Refused<Parcel>;

impl Sender {
    pub(crate) fn new(link: Arc<Link>, info: Arc<Info>) -> Self {
        Self { link, info, _owner: None }
    }

    /// A handle of a socket: the connection closes with the last of its clones.
    pub(crate) fn owning(link: Arc<Link>, info: Arc<Info>) -> Self {
        let owner = Arc::new(Owner(Arc::clone(&link)));
        Self { link, info, _owner: Some(owner) }
    }

    /// Sends a message: waits for room in the outbox, not for the network. Accepts [`Message`], text, bytes and
    /// [`Prepared`] messages.
    ///
    /// # Errors
    /// [`Error::Closed`] or what ended the connection.
    ///
    /// # Cancel safety
    /// Dropped while it waits, nothing was sent. Once ready, the message leaves without further polling.
    pub async fn send(&self, message: impl Into<Parcel>) -> Result<(), Error> {
        self.link.outbox.send(message.into()).await.map(|_| ()).map_err(|_| self.closed())
    }

    /// [`send`](Self::send) with options of the message's own.
    ///
    /// # Errors
    /// As `send`.
    ///
    /// # Cancel safety
    /// As `send`.
    pub async fn send_with(&self, message: impl Into<Message>, options: SendOptions) -> Result<(), Error> {
        self.send(Parcel(Content::Message(message.into(), options))).await
    }

    /// Sends a message if there is room for it now. `Sent`: the peer keeps up; `Buffered`: it lags, and a sender that
    /// can should slow down.
    ///
    /// # Errors
    /// [`Refused`] gives the message back: `Full`, or `Closed`.
    pub fn try_send(&self, message: impl Into<Parcel>) -> Result<Accepted, TrySendError> {
        self.link.outbox.try_push(message.into())
    }

    /// [`try_send`](Self::try_send) for a message encoded once for many connections.
    ///
    /// # Errors
    /// As `try_send`.
    pub fn try_send_prepared(&self, prepared: &Prepared) -> Result<Accepted, TrySendError> {
        self.try_send(prepared.clone())
    }

    /// Waits until the transport has taken everything that was sent before.
    ///
    /// # Errors
    /// What ended the connection before that.
    ///
    /// # Cancel safety
    /// Dropping it changes nothing.
    pub async fn flush(&self) -> Result<(), Error> {
        self.link.outbox.flush().await.map_err(|_| self.closed())
    }

    /// Sends a ping and waits for the pong: the round trip.
    ///
    /// # Errors
    /// What ended the connection before the pong came.
    ///
    /// # Cancel safety
    /// Dropped, the ping may still be sent; nobody waits for its pong.
    pub async fn ping(&self) -> Result<Duration, Error> {
        self.link.request_ping().await.map_err(|_| self.closed())
    }

    /// Closes the connection: sends what is queued, then a Close frame, and waits for the peer's and for the end of the
    /// transport, `close_timeout` at most. The first to close decides the code; the others wait with it. A reason
    /// longer than 123 bytes is cut.
    ///
    /// # Errors
    /// [`Error::Refused`] for a code that may not be sent: then nothing was. How the connection ended is in the
    /// [`Outcome`].
    ///
    /// # Cancel safety
    /// Dropped after the first poll, the connection closes all the same.
    pub async fn close(&self, code: impl Into<CloseCode>, reason: &str) -> Result<Outcome, Error> {
        self.start_close(code.into(), reason)?;
        Ok(self.link.ended().await.clone())
    }

    /// Begins to close, without waiting.
    ///
    /// # Errors
    /// As [`close`](Self::close).
    pub fn start_close(&self, code: CloseCode, reason: &str) -> Result<(), Error> {
        let frame = CloseFrame::new(code, reason).map_err(Error::Refused)?;
        self.link.request_close(frame);
        Ok(())
    }

    /// Cuts the connection off, without a Close frame and without what waits to be written.
    pub fn terminate(&self) {
        self.link.request_end();
    }

    /// Waits for the end of the connection, whoever ends it.
    ///
    /// # Cancel safety
    /// Dropping it changes nothing.
    pub async fn ended(&self) -> Outcome {
        self.link.ended().await.clone()
    }

    /// Reads again after [`Context::pause`](crate::Context::pause).
    pub fn resume(&self) {
        self.link.set_paused(false);
    }

    /// Bytes that were sent and that the transport has not taken yet.
    #[must_use]
    pub fn buffered_amount(&self) -> usize {
        self.link.buffered()
    }

    /// The state in the words of the WebSocket API.
    #[must_use]
    pub fn ready_state(&self) -> ReadyState {
        self.link.ready_state()
    }

    /// How the connection ended: `None` until it has.
    #[must_use]
    pub fn outcome(&self) -> Option<&Outcome> {
        self.link.outcome()
    }

    /// What the opening handshake agreed on.
    #[must_use]
    pub fn info(&self) -> &Info {
        &self.info
    }

    pub(crate) fn link(&self) -> &Arc<Link> {
        &self.link
    }

    fn closed(&self) -> Error {
        self.link.outcome().and_then(Outcome::error).cloned().unwrap_or(Error::Closed)
    }
}

/// Closes the connection when the last handle of a socket is dropped.
#[derive(Debug)]
struct Owner(Arc<Link>);

impl Drop for Owner {
    fn drop(&mut self) {
        let code = if std::thread::panicking() { CloseCode::INTERNAL } else { CloseCode::NORMAL };
        self.0.set_paused(false);
        self.0.request_close(CloseFrame { code, reason: Utf8Bytes::default() });
    }
}
