//! A connection as its handler sees it during a call: sending, topics, closing. What is sent leaves with everything
//! else that the read has brought about.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::task::{self, Poll, Waker};
use std::time::{Duration, Instant};

use switchboard_budget::LEAST;
use switchboard_hub::{Delivery, HubError, Member, Pushed};
use switchboard_ws_proto::{
    CloseCode, CloseFrame, Connection, Kind, Message, MessageRef, Prepared, SendError, SendOptions,
};

use crate::forms::Form;
use crate::info::Info;
use crate::link::Link;
use crate::own::{Own, Stage};
use crate::parcel::{Content, Hub, Parcel};
use crate::sender::Sender;
use crate::turn::{Place, Turn};

/// A connection as its handler sees it during a call.
#[derive(Debug)]
pub struct Context<'a> {
    pub(crate) connection: &'a mut Connection,
    pub(crate) own: &'a mut Own,
    pub(crate) turn: &'a mut Turn,
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

    /// Sends a message that owns its payload: by a server, and uncompressed, a long one leaves without being copied.
    /// Made for what [`Handler::on_owned_message`](crate::Handler::on_owned_message) brings.
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

    /// Sends whatever goes through hubs and outboxes, as [`send`](Self::send) sends a message. A volatile parcel is
    /// dropped while the peer lags.
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

    /// Whether something that others, or this handler, have published or sent to this connection may still be on its
    /// way: what is [sent](Self::send) here now might overtake it. On a shard that is so while anything waits for any
    /// of the shard's connections; what is then [sent by the member](Member::send) comes after it. Takes no lock unless
    /// the connection has an outbox.
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
    /// caller's: it ends when that is dropped, which should be in [`Handler::on_close`](crate::Handler::on_close) or
    /// with the handler. It has nothing to do with the one that [`subscribe`](Self::subscribe) uses. A connection
    /// should have one in each hub at most.
    #[must_use = "a member that is dropped has left"]
    pub fn join(&mut self, hub: &Hub) -> Member<Parcel> {
        self.own.join(hub, self.turn.place.as_ref())
    }

    /// Has a member that was reached elsewhere be reached by this connection from now on, and sends what still waits in
    /// the outbox that it had, if it had one, before all that comes by the new way: what one thread publishes to it
    /// stays in order, whenever it is published. See [`Member::relocate`] and [`Member::inherit`]: that outbox should
    /// have been this member's alone.
    ///
    /// The outbox may have overflowed, and lost what was in it:
    /// [`Outbox::is_overflowed`](switchboard_hub::Outbox::is_overflowed) says so.
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

    /// [`Handler::deadline`](crate::Handler::deadline) is earlier than when the driver last asked, or there is one for
    /// the first time.
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

    /// Sends a ping; the round trip comes by [`Handler::on_pong`](crate::Handler::on_pong).
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

    /// Says how many bytes the handler itself holds for its peer: those for whom most is held have to go first when
    /// memory is short (see [`Config::budget`](crate::Config::budget)). It counts them in the budget by itself.
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

    /// Stops reading until the application has taken messages out of the inbox, or is done with some. Counted.
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

    /// Whether a parcel is for those alone who keep up, and this peer does not; then it is counted. That something is
    /// in the outbox says little: that is how everything comes that is sent from elsewhere.
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
