//! The handler style: methods called by the driver while it holds the read buffer. Messages are borrowed, nothing is
//! allocated, and whatever is sent while one read is processed leaves in one write.

use std::ops::{Deref, DerefMut};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::task::{self, Poll, Waker};
use std::time::{Duration, Instant};

use switchboard_budget::LEAST;
use switchboard_hub::{Delivery, HubError, Member, Outbox, Pushed};
use switchboard_ws_proto::{
    CloseCode, CloseFrame, Connection, Kind, Message, MessageRef, Prepared, ProtocolError, SendError, SendOptions,
};

use crate::config::Config;
use crate::error::Outcome;
use crate::forms::Form;
use crate::info::Info;
use crate::link::Link;
use crate::parcel::{Content, Hub, Parcel};
use crate::sender::Sender;
use crate::turn::{Place, Turn};

/// So much is encoded beyond the bound of the outbox: room for the replies to one read.
pub(crate) const REPLIES: usize = 64 << 10;

/// What an application does with one connection. Methods run one at a time, in the order of what happened. They should
/// not block: other connections wait meanwhile. A panic ends this connection alone, with 1011.
pub trait Handler: Send + 'static {
    /// The connection is open. Called once, before anything else.
    ///
    /// A server's handler is called before the client can know: its 101 leaves after this returns, and before all that is
    /// sent here. So a client that has seen its connection open is subscribed to whatever this
    /// [subscribes](Context::subscribe) to: what anyone publishes from then on reaches it. Behind hyper and axum this runs
    /// before the response is returned, and should the client never get that, [`on_close`](Self::on_close) follows.
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
    /// With [`ProtocolError::OutOfMemory`] it broke none: memory is short, and much of it is held for this peer. If it was
    /// made to go for that, what was queued is lost, and messages can be sent by the context alone, while they need not be
    /// queued.
    fn on_failed(&mut self, cx: &mut Context<'_>, error: ProtocolError) {
        let _ = (cx, error);
    }

    /// What was queued because the peer lagged has all been written.
    fn on_drain(&mut self, cx: &mut Context<'_>) {
        let _ = cx;
    }

    /// The outbox was full, and its policy is to give the peer up ([`Overflow::Close`](crate::Overflow::Close)): what was
    /// queued is lost, and the connection closes with 1013. The peer may take its time with that; [`on_close`](Self::on_close)
    /// follows when it is over.
    fn on_overflow(&mut self, cx: &mut Context<'_>) {
        let _ = cx;
    }

    /// When [`on_deadline`](Self::on_deadline) is to be called. Default: never.
    ///
    /// Asked when it may be of interest, often or seldom, so it should cost nothing. The driver remembers the answer: when
    /// the deadline has come *nearer* since (or there is one for the first time), the handler says so by
    /// [`Context::deadline_moved`]. One that has moved away, or is no more, need not be told: the driver then wakes in
    /// vain, asks and goes to sleep again.
    fn deadline(&self) -> Option<Instant> {
        None
    }

    /// The [`deadline`](Self::deadline) has passed: up to 64 ms ago, by a shard that keeps it, never in the future. It is
    /// still to be another one, or none, when this returns: the driver would call this again and again.
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

/// A connection as its handler sees it during a call.
#[derive(Debug)]
pub struct Context<'a> {
    pub(crate) connection: &'a mut Connection,
    pub(crate) own: &'a mut Own,
    pub(crate) turn: &'a mut Turn,
}

/// What belongs to a connection beside its protocol machine and its handler.
#[derive(Debug)]
pub(crate) struct Own {
    pub(crate) config: Config,
    pub(crate) info: Arc<Info>,
    pub(crate) link: Option<Arc<Link>>,
    pub(crate) member: Option<Box<Member<Parcel>>>,
    pub(crate) flags: Flags,
}

/// How a connection stands, besides what the protocol knows.
#[derive(Debug, Default)]
pub(crate) struct Flags {
    /// The outbox may hold parcels that must leave before what the handler sends.
    pub(crate) queued: bool,
    /// The handler's own replies are queued: until they are not, the peer that brings them about is not read from.
    pub(crate) lagging: bool,
    /// The peer lagged, and `on_drain` is owed.
    pub(crate) lagged: bool,
    /// The output had no room for more: there may be something left to encode when it has.
    pub(crate) more: bool,
    /// How far it has come.
    pub(crate) stage: Stage,
    /// The handler's deadline has come nearer than what it said last.
    pub(crate) deadline_moved: bool,
    /// What kind of connection it is.
    pub(crate) form: Form,
}

/// How far a connection has come.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Stage {
    /// It has no driver yet, and nobody was told of it.
    #[default]
    New,
    /// The handler was told that it is open, and it has no driver yet.
    Early,
    /// After that: it has a driver, which has not gone on from there yet.
    Arrived,
    /// It has a driver, and counts as open.
    Open,
    /// Everyone was told that it is over.
    Over,
}

impl Own {
    pub(crate) fn link(&mut self) -> &Arc<Link> {
        self.link.get_or_insert_with(|| Link::new(self.config.get_outbox(), self.config.get_budget()))
    }

    fn join(&mut self, hub: &Hub, place: Option<&Place>) -> Member<Parcel> {
        match place {
            Some(Place { port, slot }) => hub.join_slot(port, *slot),
            None => hub.join(Arc::clone(&self.link().outbox)),
        }
    }

    /// How much output may wait before a handler's replies are queued: beyond the bound there is room for the replies to
    /// one read, which was begun when there was room, and brought no more than fits here.
    pub(crate) fn encodes_at_most(&self) -> usize {
        self.config.get_outbox().bytes.saturating_add(REPLIES)
    }

    fn member(&mut self, place: Option<&Place>) -> Option<&Member<Parcel>> {
        if self.member.is_none() {
            let hub = self.config.get_hub()?.clone();
            let member = if self.flags.stage == Stage::Early {
                // Of its own, so that what is in it can follow the member to the driver.
                hub.join(Arc::new(Outbox::with_budget(self.config.get_outbox(), self.config.get_budget())))
            } else {
                self.join(&hub, place)
            };
            self.member = Some(Box::new(member));
        }
        self.member.as_deref()
    }

    /// Counts what became of a publication after the port took it: by the hub that the connection subscribed in, or else
    /// that of the endpoint.
    pub(crate) fn record(&self, later: Delivery) {
        if let Some(hub) = self.member.as_deref().map(Member::hub).or_else(|| self.config.get_hub()) {
            hub.record(later);
        }
    }
}

impl Context<'_> {
    /// Sends a message. It is encoded on the spot and leaves with everything else that this read brings about; only
    /// while the peer lags is it queued, within the bounds of the outbox and by its policy.
    pub fn send<'m>(&mut self, message: impl Into<MessageRef<'m>>) -> Pushed {
        self.send_with(message, SendOptions::default())
    }

    /// [`send`](Self::send) with options of the message's own.
    pub fn send_with<'m>(&mut self, message: impl Into<MessageRef<'m>>, options: SendOptions) -> Pushed {
        let message = message.into();
        if self.must_queue() {
            return self.queue(Parcel(Content::Message(message.to_owned(), options)));
        }
        let sent = self.connection.send(message, options, self.turn.now, &mut self.turn.out);
        self.sent(sent)
    }

    /// Sends a message that owns its payload: by a server, and uncompressed, a long one leaves without being copied. Made
    /// for what [`Handler::on_owned_message`] brings.
    pub fn send_owned(&mut self, message: impl Into<Message>) -> Pushed {
        let (message, options) = (message.into(), SendOptions::default());
        if self.must_queue() {
            return self.queue(Parcel(Content::Message(message, options)));
        }
        let sent = self.connection.send_shared(&message, options, self.turn.now, &mut self.turn.out);
        self.sent(sent)
    }

    /// Sends a message that was encoded before.
    pub fn send_prepared(&mut self, prepared: &Prepared) -> Pushed {
        if self.must_queue() {
            return self.queue(prepared.clone().into());
        }
        let sent = self.connection.send_prepared(prepared, self.turn.now, &mut self.turn.out);
        self.sent(sent)
    }

    /// Sends whatever goes through hubs and outboxes, as [`send`](Self::send) sends a message. A volatile parcel is dropped
    /// while the peer lags.
    pub fn send_parcel(&mut self, parcel: &Parcel) -> Pushed {
        if let Content::Close(frame) = &parcel.0 {
            self.close_by(frame.clone());
            return Pushed::Sent;
        }
        if self.must_drop(parcel) {
            return Pushed::Dropped;
        }
        if self.must_queue() {
            return self.queue(parcel.clone());
        }
        self.encode(parcel)
    }

    /// Whether something that others, or this handler, have published or sent to this connection may still be on its way:
    /// what is [sent](Self::send) here now might overtake it. On a shard that is so while anything waits for any of the
    /// shard's connections; what is then [sent by the member](Member::send) comes after it. Takes no lock unless the
    /// connection has an outbox.
    #[must_use]
    pub fn has_undelivered(&self) -> bool {
        let is_due = |place: &Place| self.turn.delivering || !place.port.is_empty();
        self.own.flags.queued
            || self.turn.place.as_ref().is_some_and(is_due)
            || self.own.link.as_ref().is_some_and(|link| !link.outbox.is_empty())
            || (self.own.flags.stage == Stage::Early
                && self.own.member.as_ref().is_some_and(|member| member.has_undelivered()))
    }

    /// Sends a piece of a message: the first begins it, `last` ends it. In between nothing else can be sent here, and
    /// what others send waits. Pieces are not queued: they are written however much waits.
    ///
    /// # Errors
    /// [`SendError`] when the connection closes, or a message of the other kind is open.
    pub fn send_piece(&mut self, kind: Kind, data: &[u8], last: bool) -> Result<(), SendError> {
        let options = SendOptions::default();
        self.connection.send_piece(kind, data, last, options, self.turn.now, &mut self.turn.out)?;
        self.turn.tally.messages_out += u64::from(last);
        Ok(())
    }

    /// Joins a topic of the endpoint's hub; `false` if it already was a subscriber.
    ///
    /// # Errors
    /// [`HubError`] when the name is too long or the connection has too many topics.
    ///
    /// # Panics
    /// When the endpoint's configuration has no hub.
    pub fn subscribe(&mut self, topic: &str) -> Result<bool, HubError> {
        self.member("subscribing needs Config::hub").subscribe(topic)
    }

    /// Leaves a topic; `false` if it was not a subscriber.
    pub fn unsubscribe(&mut self, topic: &str) -> bool {
        self.own.member.as_ref().is_some_and(|member| member.unsubscribe(topic))
    }

    /// Publishes to everyone in a topic but this connection.
    ///
    /// # Panics
    /// When the endpoint's configuration has no hub.
    pub fn publish(&mut self, topic: &str, parcel: impl Into<Prepared>) -> Delivery {
        self.publish_parcel(topic, parcel.into().into())
    }

    /// Publishes to everyone in a topic, this connection included if it subscribed.
    ///
    /// # Panics
    /// When the endpoint's configuration has no hub.
    pub fn publish_to_all(&mut self, topic: &str, parcel: impl Into<Prepared>) -> Delivery {
        self.publish_parcel_to_all(topic, parcel.into().into())
    }

    /// [`publish`](Self::publish) for a parcel of any kind, one with several [`Forms`](crate::Forms) for instance.
    ///
    /// # Panics
    /// When the endpoint's configuration has no hub.
    pub fn publish_parcel(&mut self, topic: &str, parcel: Parcel) -> Delivery {
        self.member("publishing needs Config::hub").publish(topic, parcel)
    }

    /// [`publish_to_all`](Self::publish_to_all) for a parcel of any kind.
    ///
    /// # Panics
    /// When the endpoint's configuration has no hub.
    pub fn publish_parcel_to_all(&mut self, topic: &str, parcel: Parcel) -> Delivery {
        if self.turn.place.is_none() && self.own.flags.stage != Stage::Early {
            // This connection may be among them, and what it sends next must come after.
            self.own.flags.queued = true;
            return self.hub().publish(topic, parcel);
        }
        // Its own copy would come by way of the shard, or of the driver to come, after what it sends next.
        let is_among = self.own.member.as_ref().is_some_and(|member| member.is_subscribed(topic));
        if !is_among {
            return self.hub().publish(topic, parcel);
        }
        let own = self.send_parcel(&parcel);
        let mut delivery = self.publish_parcel(topic, parcel);
        match own {
            Pushed::Sent => delivery.reached += 1,
            Pushed::Buffered => {
                delivery.reached += 1;
                delivery.lagging += 1;
            }
            // The hub has counted what became of the others.
            Pushed::Dropped => {
                delivery.dropped += 1;
                self.own.record(Delivery { dropped: 1, ..Delivery::default() });
            }
            Pushed::Overflowed => {
                delivery.overflowed += 1;
                self.own.record(Delivery { overflowed: 1, ..Delivery::default() });
            }
            Pushed::Closed => {}
        }
        delivery
    }

    /// Makes this connection a member of any hub, in which it is subscribed to nothing yet. The membership is the
    /// caller's: it ends when that is dropped, which should be in [`Handler::on_close`] or with the handler. It has nothing
    /// to do with the one that [`subscribe`](Self::subscribe) uses. A connection should have one in each hub at most.
    #[must_use = "a member that is dropped has left"]
    pub fn join(&mut self, hub: &Hub) -> Member<Parcel> {
        self.own.join(hub, self.turn.place.as_ref())
    }

    /// Has a member that was reached elsewhere be reached by this connection from now on, and sends what still waits in the
    /// outbox that it had, if it had one, before all that comes by the new way: what one thread publishes to it stays in
    /// order, whenever it is published. See [`Member::relocate`] and [`Member::inherit`]: that outbox should have been this
    /// member's alone.
    ///
    /// The outbox may have overflowed, and lost what was in it: [`Outbox::is_overflowed`] says so.
    pub fn relocate(&mut self, member: &Member<Parcel>) {
        let old = member.outbox();
        match (&self.turn.place, &old) {
            (Some(Place { port, slot }), _) => member.relocate_slot(port, *slot),
            // A connection that has no queue yet takes the one that the member has, as it is.
            (None, Some(old)) if self.own.link.is_none() => {
                self.own.link = Some(Link::with(Arc::clone(old), self.own.config.get_budget()));
                self.own.flags.queued = true;
                if self.turn.out.is_empty() {
                    old.settle();
                }
                return;
            }
            (None, _) => member.relocate(Arc::clone(&self.own.link().outbox)),
        }
        let Some(old) = old else { return };
        member.inherit(&old);
        while let Poll::Ready(Some(parcel)) = old.poll_pop(&mut task::Context::from_waker(Waker::noop())) {
            self.send_parcel(&parcel);
        }
    }

    /// Says what kind of connection this is, from now on: which of its [`Forms`](crate::Forms) a parcel has here.
    pub fn set_form(&mut self, form: Form) {
        self.own.flags.form = form;
    }

    /// The time, by the driver's clock: read once for the whole turn.
    #[must_use]
    pub fn now(&self) -> Instant {
        self.turn.now
    }

    /// [`Handler::deadline`] is earlier than when the driver last asked, or there is one for the first time.
    pub fn deadline_moved(&mut self) {
        self.own.flags.deadline_moved = true;
    }

    /// The endpoint's hub.
    ///
    /// # Panics
    /// When the endpoint's configuration has none.
    #[must_use]
    pub fn hub(&self) -> &Hub {
        self.own.config.get_hub().expect("this needs Config::hub")
    }

    /// Begins the closing handshake, after what was sent so far. The first code stands.
    ///
    /// # Errors
    /// [`SendError::InvalidCloseCode`] for a code that may not be sent.
    pub fn close(&mut self, code: CloseCode, reason: &str) -> Result<(), SendError> {
        self.close_by(CloseFrame::new(code, reason)?);
        Ok(())
    }

    /// Sends a ping; the round trip comes by [`Handler::on_pong`].
    ///
    /// # Errors
    /// [`SendError::Closed`] when the connection is closing.
    pub fn ping(&mut self) -> Result<(), SendError> {
        self.connection.ping(self.turn.now, &mut self.turn.out).map(|_| ())
    }

    /// Sends a ping with a payload of one's own, 125 bytes at most.
    ///
    /// # Errors
    /// [`SendError`] when it is longer, or the connection is closing.
    pub fn ping_with(&mut self, payload: &[u8]) -> Result<(), SendError> {
        self.connection.ping_with(payload, &mut self.turn.out)
    }

    /// Cuts the connection off, without a Close frame and without what waits to be written.
    pub fn terminate(&mut self) {
        self.own.link().request_end();
    }

    /// A handle that can send from anywhere, also after the call.
    pub fn sender(&mut self) -> Sender {
        // What is sent by it comes before what the handler sends next.
        self.own.flags.queued = true;
        Sender::new(Arc::clone(self.own.link()), Arc::clone(&self.own.info))
    }

    /// Stops reading until [`Sender::resume`]. The rest of the current read is still handled.
    pub fn pause(&mut self) {
        self.own.link().set_paused(true);
    }

    /// Says how many bytes the handler itself holds for its peer: those for whom most is held have to go first when memory is
    /// short (see [`Config::budget`]). It counts them in the budget by itself.
    pub fn set_kept(&mut self, bytes: usize) {
        match &self.own.link {
            Some(link) => link.set_kept(bytes),
            None if bytes >= LEAST && self.own.config.get_budget().is_limited() => self.own.link().set_kept(bytes),
            None => {}
        }
    }

    /// Whether there is a budget that what is held counts in.
    pub(crate) fn counts(&self) -> bool {
        self.own.config.get_budget().is_limited()
    }

    /// What the opening handshake agreed on.
    #[must_use]
    pub fn info(&self) -> &Arc<Info> {
        &self.own.info
    }

    /// The last round trip that was measured.
    #[must_use]
    pub fn latency(&self) -> Option<Duration> {
        self.connection.latency()
    }

    /// Stops reading until the application has taken messages out of the inbox.
    pub(crate) fn pause_for_inbox(&mut self) {
        self.own.config.get_metrics().inbox_full();
        self.pause();
    }

    /// Do not answer the peer's Close frame until the handles allow it.
    pub(crate) fn hold_close(&mut self) {
        self.own.link().hold_close();
    }

    /// Answer it after all.
    pub(crate) fn release_close(&mut self) {
        self.own.link().release_close();
    }

    /// Neither Close nor failure came before.
    pub(crate) fn may_send(&self) -> bool {
        self.connection.may_send()
    }

    fn member(&mut self, wanted: &'static str) -> &Member<Parcel> {
        self.own.member(self.turn.place.as_ref()).expect(wanted)
    }

    /// Encodes a parcel that need not wait.
    pub(crate) fn encode(&mut self, parcel: &Parcel) -> Pushed {
        let (now, out) = (self.turn.now, &mut self.turn.out);
        match &parcel.0 {
            Content::Message(message, options) => {
                let sent = self.connection.send_shared(message, *options, now, out);
                self.sent(sent)
            }
            Content::Prepared(prepared) => {
                let sent = self.connection.send_prepared(prepared, now, out);
                self.sent(sent)
            }
            Content::Forms(forms) => {
                // Here the driver has its turn, and not the handler: a panic would end all connections of a shard.
                let asked = || (forms.is_compressed(), forms.frames(self.own.flags.form));
                let Ok((compress, frames)) = catch_unwind(AssertUnwindSafe(asked)) else {
                    tracing::error!("a message's forms panicked; it is not sent");
                    self.turn.tally.dropped += 1;
                    return Pushed::Dropped;
                };
                let options = SendOptions { compress };
                let mut pushed = Pushed::Sent;
                for prepared in frames {
                    let sent = self.connection.send_prepared_with(prepared, options, now, &mut self.turn.out);
                    pushed = self.sent(sent);
                }
                pushed
            }
            Content::Close(frame) => {
                self.close_now(frame);
                Pushed::Sent
            }
        }
    }

    /// Whether a parcel is for those alone who keep up, and this peer does not; then it is counted. That something is in the
    /// outbox says little: that is how everything comes that is sent from elsewhere.
    pub(crate) fn must_drop(&mut self, parcel: &Parcel) -> bool {
        let must = self.own.flags.lagged && parcel.is_volatile();
        self.turn.tally.dropped += u64::from(must);
        must
    }

    /// Closes after what was sent, here and by others.
    pub(crate) fn close_by(&mut self, frame: CloseFrame) {
        match &self.own.link {
            Some(link) => link.request_close(frame),
            None => self.close_now(&frame),
        }
    }

    fn close_now(&mut self, frame: &CloseFrame) {
        if let Err(error) = self.connection.close(frame.code, &frame.reason, self.turn.now) {
            // Codes are checked where they come in.
            tracing::error!(%error, "a close code slipped through");
        }
    }

    fn must_queue(&self) -> bool {
        if self.own.flags.queued || self.connection.is_message_open() {
            return true;
        }
        self.own.encodes_at_most() <= self.turn.out.len()
    }

    fn queue(&mut self, parcel: Parcel) -> Pushed {
        self.own.flags.queued = true;
        self.own.flags.lagging = !self.connection.is_message_open();
        self.own.link().outbox.push(parcel)
    }

    fn sent(&mut self, sent: Result<(), SendError>) -> Pushed {
        match sent {
            Ok(()) => {
                self.turn.tally.messages_out += 1;
                Pushed::Sent
            }
            Err(_) => Pushed::Closed,
        }
    }
}
