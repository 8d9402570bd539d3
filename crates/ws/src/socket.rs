//! The stream style: a socket that is read and written with `await`, and its two halves. It is a handler like any
//! other, which puts what it hears into an inbox.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use futures_core::Stream;
use futures_sink::Sink;
use switchboard_hub::{Accepted, Flush, Push};
use switchboard_ws_proto::{
    CloseCode, CloseFrame, Message, MessageRef, Prepared, ProtocolError, ReadyState, SendOptions,
};

use crate::backlog::Backlog;
use crate::context;
use crate::driver::{self, Io};
use crate::error::{Error, Outcome};
use crate::handler::Handler;
use crate::inbox::{Inbox, Room};
use crate::info::Info;
use crate::parcel::Parcel;
use crate::sender::{Sender, TrySendError};
use crate::session::Session;

/// An open connection, read and written with `await`. A task of its own drives it: pings are answered, heartbeats sent,
/// deadlines kept and the closing handshake done whether or not the application reads or writes.
///
/// Dropped without [`close`](Self::close), it sends what is queued and closes with 1000, or with 1011 while its task
/// panics.
#[derive(Debug)]
pub struct Socket {
    sender: Sender,
    receiver: Receiver,
    /// What the `Sink` is sending and flushing.
    push: Option<Push<Parcel>>,
    flush: Option<Flush<Parcel>>,
    closing: Option<Closing>,
}

/// Waits for the end of the connection.
struct Closing(Pin<Box<dyn Future<Output = ()> + Send + Sync>>);

impl std::fmt::Debug for Closing {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Closing")
    }
}

impl Socket {
    /// Spawns the driver of a connection.
    pub(crate) fn spawn<S: Io, H: Handler>(io: S, start: Start<H>, leftover: Vec<u8>) -> Self {
        let Start { session, inbox } = start;
        let mut session = session;
        let sender = Sender::owning(Arc::clone(session.link()), Arc::clone(session.info()));
        let receiver = Receiver { inbox, sender: sender.clone(), failed: false };
        tokio::spawn(driver::drive(io, session, Backlog::default(), leftover));
        Self { sender, receiver, push: None, flush: None, closing: None }
    }

    /// The next message. `None`: the connection was closed with a proper handshake, whatever the code.
    ///
    /// # Errors
    /// Whoever broke a rule, once; then `None`.
    ///
    /// # Cancel safety
    /// Dropped, it loses nothing: the message stays for the next call.
    pub async fn recv(&mut self) -> Result<Option<Message>, Error> {
        self.receiver.recv().await
    }

    /// Sends a message. See [`Sender::send`].
    ///
    /// # Errors
    /// What ended the connection.
    ///
    /// # Cancel safety
    /// Dropped while it waits for room, nothing was sent.
    pub async fn send(&mut self, message: impl Into<Parcel>) -> Result<(), Error> {
        self.sender.send(message).await
    }

    /// Sends a message with options of its own.
    ///
    /// # Errors
    /// What ended the connection.
    ///
    /// # Cancel safety
    /// Dropped while it waits for room, nothing was sent.
    pub async fn send_with(&mut self, message: impl Into<Message>, options: SendOptions) -> Result<(), Error> {
        self.sender.send_with(message, options).await
    }

    /// Queues a message, waiting for room. What is fed without an `await` in between that gives way to other tasks
    /// leaves in one write; so does what is sent. Kept beside [`send`](Self::send) for the vocabulary of `Sink`.
    ///
    /// # Errors
    /// What ended the connection.
    ///
    /// # Cancel safety
    /// Dropped while it waits for room, nothing was sent.
    pub async fn feed(&mut self, message: impl Into<Parcel>) -> Result<(), Error> {
        self.sender.send(message).await
    }

    /// Waits until the transport has taken everything.
    ///
    /// # Errors
    /// What ended the connection.
    ///
    /// # Cancel safety
    /// Dropping it changes nothing.
    pub async fn flush(&mut self) -> Result<(), Error> {
        self.sender.flush().await
    }

    /// Sends a message if there is room now. See [`Sender::try_send`].
    ///
    /// # Errors
    /// The message, when the outbox is full or closed.
    pub fn try_send(&mut self, message: impl Into<Parcel>) -> Result<Accepted, TrySendError> {
        self.sender.try_send(message)
    }

    /// Sends a message encoded before, if there is room now.
    ///
    /// # Errors
    /// The message, when the outbox is full or closed.
    pub fn try_send_prepared(&mut self, prepared: &Prepared) -> Result<Accepted, TrySendError> {
        self.sender.try_send_prepared(prepared)
    }

    /// The round trip of a ping. See [`Sender::ping`].
    ///
    /// # Errors
    /// What ended the connection.
    ///
    /// # Cancel safety
    /// Dropped, nobody waits for the pong.
    pub async fn ping(&self) -> Result<Duration, Error> {
        self.sender.ping().await
    }

    /// Closes the connection and waits for the end. Messages that come meanwhile and find no room in the inbox are
    /// dropped. See [`Sender::close`].
    ///
    /// # Errors
    /// [`Error::Refused`] for a code that may not be sent.
    ///
    /// # Cancel safety
    /// Dropped after the first poll, the connection closes all the same.
    pub async fn close(&mut self, code: impl Into<CloseCode>, reason: &str) -> Result<Outcome, Error> {
        self.sender.close(code, reason).await
    }

    /// Cuts the connection off, without a Close frame and without what waits to be written.
    pub fn terminate(&mut self) {
        self.sender.terminate();
    }

    /// Splits the socket: a receiver for one task, a sender for any number.
    #[must_use]
    pub fn split(self) -> (Sender, Receiver) {
        (self.sender, self.receiver)
    }

    /// A further handle for sending.
    #[must_use]
    pub fn sender(&self) -> Sender {
        self.sender.clone()
    }

    /// Bytes that were sent and that the transport has not taken yet.
    #[must_use]
    pub fn buffered_amount(&self) -> usize {
        self.sender.buffered_amount()
    }

    /// The state in the words of the WebSocket API.
    #[must_use]
    pub fn ready_state(&self) -> ReadyState {
        self.sender.ready_state()
    }

    /// How the connection ended: `None` until it has.
    #[must_use]
    pub fn outcome(&self) -> Option<&Outcome> {
        self.sender.outcome()
    }

    /// What the opening handshake agreed on: the peer, the request, subprotocol and compression.
    #[must_use]
    pub fn info(&self) -> &Info {
        self.sender.info()
    }
}

/// The receiving half.
#[derive(Debug)]
pub struct Receiver {
    inbox: Arc<Inbox>,
    sender: Sender,
    /// The error that ended the connection was told.
    failed: bool,
}

impl Receiver {
    /// The next message. See [`Socket::recv`].
    ///
    /// # Errors
    /// Whoever broke a rule, once; then `None`.
    ///
    /// # Cancel safety
    /// Dropped, it loses nothing.
    pub async fn recv(&mut self) -> Result<Option<Message>, Error> {
        std::future::poll_fn(|cx| self.poll_recv(cx)).await
    }

    /// How the connection ended: `None` until it has.
    #[must_use]
    pub fn outcome(&self) -> Option<&Outcome> {
        self.sender.outcome()
    }

    /// What the opening handshake agreed on.
    #[must_use]
    pub fn info(&self) -> &Info {
        self.sender.info()
    }

    /// The other half, again.
    #[must_use]
    pub fn sender(&self) -> Sender {
        self.sender.clone()
    }

    fn poll_recv(&mut self, cx: &mut Context<'_>) -> Poll<Result<Option<Message>, Error>> {
        let link = self.sender.link();
        let Poll::Ready(popped) = self.inbox.poll_pop(cx) else {
            // All that came before the peer's Close has been seen, and answered if it was to be.
            link.release_close();
            link.set_kept(0);
            return Poll::Pending;
        };
        if let Some((message, room)) = popped {
            if room == Room::More {
                link.set_kept(self.inbox.bytes());
                link.set_paused(false);
            }
            return Poll::Ready(Ok(Some(message)));
        }
        let error = link.outcome().and_then(Outcome::error).filter(|_| !self.failed).cloned();
        self.failed = true;
        Poll::Ready(error.map_or(Ok(None), Err))
    }
}

impl Drop for Receiver {
    fn drop(&mut self) {
        self.inbox.unwant();
        let link = self.sender.link();
        link.set_kept(0);
        link.release_close();
        link.set_paused(false);
    }
}

impl Stream for Receiver {
    type Item = Result<Message, Error>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.poll_recv(cx).map(Result::transpose)
    }
}

impl Stream for Socket {
    type Item = Result<Message, Error>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.receiver.poll_recv(cx).map(Result::transpose)
    }
}

impl Socket {
    /// Moves what the `Sink` took last into the outbox.
    fn poll_push(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Error>> {
        let Some(push) = &mut self.push else { return Poll::Ready(Ok(())) };
        let pushed = ready!(Pin::new(push).poll(cx));
        self.push = None;
        Poll::Ready(pushed.map(|_| ()).map_err(|_| self.closed()))
    }

    fn closed(&self) -> Error {
        self.outcome().and_then(Outcome::error).cloned().unwrap_or(Error::Closed)
    }
}

impl<M: Into<Parcel>> Sink<M> for Socket {
    type Error = Error;

    fn poll_ready(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<(), Error>> {
        self.poll_push(cx)
    }

    fn start_send(mut self: Pin<&mut Self>, message: M) -> Result<(), Error> {
        self.push = Some(self.sender.link().outbox.send(message.into()));
        Ok(())
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<(), Error>> {
        ready!(self.poll_push(cx))?;
        let socket = &mut *self;
        let flush = socket.flush.get_or_insert_with(|| socket.sender.link().outbox.flush());
        let flushed = ready!(Pin::new(flush).poll(cx));
        self.flush = None;
        Poll::Ready(flushed.map_err(|_| self.closed()))
    }

    fn poll_close(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<(), Error>> {
        ready!(self.poll_push(cx))?;
        let Self { sender, closing, .. } = &mut *self;
        if closing.is_none() {
            sender.start_close(CloseCode::NORMAL, "")?;
        }
        let closing = closing.get_or_insert_with(|| {
            let link = Arc::clone(sender.link());
            Closing(Box::pin(async move {
                link.ended().await;
            }))
        });
        closing.0.as_mut().poll(cx).map(Ok)
    }
}

/// A connection that is ready to be driven in the stream style. Its handler is a [`Bridge`], or has one inside.
pub(crate) struct Start<H: Handler> {
    session: Session<H>,
    inbox: Arc<Inbox>,
}

impl<H: Handler> Start<H> {
    pub(crate) fn new(make: impl FnOnce(Bridge) -> Session<H>, config: &crate::Config) -> Self {
        let inbox = Arc::new(Inbox::new(config.get_inbox(), config.get_budget()));
        Self { session: make(Bridge { inbox: Arc::clone(&inbox) }), inbox }
    }
}

/// The handler behind a socket.
#[derive(Debug)]
pub(crate) struct Bridge {
    inbox: Arc<Inbox>,
}

impl Bridge {
    /// What the application has read, or has still to read, it may answer before our Close frame goes out.
    fn hold_close(&self, cx: &mut context::Context<'_>) {
        // In this order: the receiver may ask for more in between, and then releases what is held.
        cx.hold_close();
        if !self.inbox.owes_an_answer() {
            cx.release_close();
        }
    }
}

impl Handler for Bridge {
    fn on_message(&mut self, cx: &mut context::Context<'_>, message: MessageRef<'_>) {
        self.on_owned_message(cx, message.to_owned());
    }

    fn on_owned_message(&mut self, cx: &mut context::Context<'_>, message: Message) {
        if !self.inbox.push(message, cx.may_send()) {
            cx.pause_for_inbox();
        }
        if cx.counts() {
            cx.set_kept(self.inbox.bytes());
        }
    }

    fn on_peer_close(&mut self, cx: &mut context::Context<'_>, _: &CloseFrame) {
        self.hold_close(cx);
    }

    fn on_failed(&mut self, cx: &mut context::Context<'_>, error: ProtocolError) {
        if error == ProtocolError::OutOfMemory {
            // An application that is slow to read has had its part in that.
            self.inbox.clear();
            cx.set_kept(0);
        }
        self.hold_close(cx);
    }

    fn on_close(&mut self, _: &Outcome) {
        self.inbox.end();
    }
}
