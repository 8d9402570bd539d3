//! A connection with its handler and its outbox, still without a transport: what every driver drives. It turns bytes
//! into calls of the handler, and parcels and requests into bytes.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::task::{self, Poll};
use std::time::{Duration, Instant};

use switchboard_budget::{Exhausted, Hold, LEAST, Part};
use switchboard_hub::Delivery;
#[cfg(unix)]
use switchboard_hub::Pushed;
use switchboard_ws_proto::{
    Cause, CloseCode, CloseFrame, Connection, Disconnect, Event, Input, ProtocolError, ReadyState, Received,
};
use tokio::sync::oneshot;

use crate::config::Config;
use crate::context::Context;
use crate::error::{Error, Outcome};
use crate::handler::Handler;
use crate::info::Info;
use crate::link::{Link, Requests};
use crate::metrics::Tally;
use crate::own::{Flags, Own, Stage};
use crate::parcel::{Content, Parcel};
use crate::stint::Stint;
use crate::turn::{Turn, now};

/// Parcels are encoded while less than this waits to be written; the rest stays in the outbox, where the policy can
/// still drop it.
pub(crate) const ENCODE_AHEAD: usize = 64 << 10;

/// What counts for each connection while it does nothing: about what it costs with a small handler, without
/// compression.
pub(crate) const IDLE: usize = 1 << 10;

/// What becomes of a volatile parcel for a peer that lags.
const DROPPED: Delivery = Delivery { reached: 0, lagging: 0, dropped: 1, overflowed: 0 };

#[derive(Debug)]
pub(crate) struct Session<H: Handler> {
    connection: Connection,
    handler: H,
    own: Own,
    /// What few connections ever need. Made when they do.
    rare: Option<Box<Rare>>,
}

#[derive(Debug, Default)]
struct Rare {
    /// Pings that somebody waits for: number, time, waiters.
    pings: Vec<(u64, Instant, Vec<oneshot::Sender<Duration>>)>,
    /// The answer to the peer's Close waits for the application until then; or else the connection is to be driven
    /// then.
    hold_until: Option<Instant>,
    /// What was read and is to be heard when others have had their turn.
    unheard: Option<Unheard>,
    /// Messages that the outbox has dropped and that were counted.
    dropped: u64,
    /// An error that the protocol machine does not know of.
    error: Option<Error>,
}

/// The rest of a read, from here on.
#[derive(Debug)]
struct Unheard {
    bytes: Vec<u8>,
    from: usize,
    _hold: Hold,
}

impl<H: Handler> Session<H> {
    pub(crate) fn new(connection: Connection, handler: H, info: Arc<Info>, config: Config) -> Self {
        config.get_budget().take(Part::Connections, IDLE);
        let own = Own { config, info, link: None, member: None, flags: Flags::default() };
        Self { connection, handler, own, rare: None }
    }

    /// The link, made if need be: for handles that exist before the driver runs.
    pub(crate) fn link(&mut self) -> &Arc<Link> {
        self.own.flags.queued = true;
        self.own.link()
    }

    pub(crate) fn info(&self) -> &Arc<Info> {
        &self.own.info
    }

    pub(crate) fn config(&self) -> &Config {
        &self.own.config
    }

    /// Begins the closing handshake for the server's own reasons, after what is queued.
    pub(crate) fn start_close(&mut self, frame: &CloseFrame, now: Instant) {
        match &self.own.link {
            Some(link) => link.request_close(frame.clone()),
            None => self.close(frame.code, &frame.reason, now),
        }
    }

    /// Whether somebody holds a handle, or may publish to this connection.
    #[cfg(unix)]
    pub(crate) fn is_linked(&self) -> bool {
        self.own.link.is_some()
    }

    /// It has a driver from now on, and counts as open. Dropped before, it was none, and only a handler that was told
    /// of it is told of the end.
    pub(crate) fn enter(&mut self) {
        self.own.config.get_metrics().open();
        let was_early = self.own.flags.stage == Stage::Early;
        self.own.flags.stage = if was_early { Stage::Arrived } else { Stage::Open };
    }

    /// To be called once by the driver, before anything else.
    pub(crate) fn open(&mut self, turn: &mut Turn) {
        match std::mem::replace(&mut self.own.flags.stage, Stage::Open) {
            Stage::Arrived => self.settle(turn),
            _ => self.tell_open(turn),
        }
    }

    /// To be called before the connection has a driver, if at all.
    pub(crate) fn open_early(&mut self, turn: &mut Turn) {
        self.own.flags.stage = Stage::Early;
        self.tell_open(turn);
    }

    /// The handler was told before there was a driver: from now on the connection is reached through that.
    fn settle(&mut self, turn: &mut Turn) {
        let Some(member) = self.own.member.take() else { return };
        let old = member.outbox();
        self.context(turn).relocate(&member);
        self.own.member = Some(member);
        if old.is_some_and(|old| old.is_overflowed()) {
            self.overflowed(turn);
        }
    }

    fn tell_open(&mut self, turn: &mut Turn) {
        self.guarded(turn, H::on_open);
        if !self.own.config.keeps_requests()
            && let Some(info) = Arc::get_mut(&mut self.own.info)
        {
            info.forget_head();
        }
    }

    /// Bytes were read. What they hold may be too much for one turn: see [`has_unheard`](Self::has_unheard).
    pub(crate) fn received(&mut self, bytes: &mut [u8], turn: &mut Turn) {
        turn.tally.bytes_in += bytes.len() as u64;
        let heard = self.hear(bytes, turn);
        if heard < bytes.len() {
            let bytes = bytes[heard..].to_vec();
            let mut hold = self.own.config.get_budget().hold(Part::Reading);
            hold.set(bytes.len());
            self.rare().unheard = Some(Unheard { bytes, from: 0, _hold: hold });
        }
        self.note_reading();
    }

    /// Of what was read some is to be [heard](Self::hear_more) in the next turn, before more is read.
    #[inline]
    pub(crate) fn has_unheard(&self) -> bool {
        self.rare.as_ref().is_some_and(|rare| rare.unheard.is_some())
    }

    /// Hears more of what was read, if there is any.
    pub(crate) fn hear_more(&mut self, turn: &mut Turn) {
        let Some(mut unheard) = self.rare.as_mut().and_then(|rare| rare.unheard.take()) else { return };
        unheard.from += self.hear(&mut unheard.bytes[unheard.from..], turn);
        if unheard.from < unheard.bytes.len() {
            self.rare().unheard = Some(unheard);
        }
        self.note_reading();
    }

    /// How many of the bytes were heard: all, unless it is time for others.
    fn hear(&mut self, bytes: &mut [u8], turn: &mut Turn) -> usize {
        let count = bytes.len();
        let mut input = Input::new(bytes);
        if self.has_panicked() {
            // The peer's Close frame is still awaited; nobody is left to hear the rest.
            while self.connection.receive(&mut input, turn.now).is_some() {}
            return count;
        }
        let (mut stint, mut left) = (Stint::new(), 0);
        self.guarded_session(turn.now, |session| {
            while let Some(event) = session.connection.receive(&mut input, turn.now) {
                session.event(event, turn);
                if !input.is_empty() && stint.is_over() {
                    left = input.rest().len();
                    break;
                }
            }
        });
        count - left
    }

    /// Where to read the next bytes to, in place of a buffer of the driver's: see [`Connection::room`].
    pub(crate) fn room(&mut self) -> Option<&mut [u8]> {
        self.connection.room()
    }

    /// A long message is arriving: see [`Connection::is_reading_long`].
    #[cfg(unix)]
    pub(crate) fn is_reading_long(&self) -> bool {
        self.connection.is_reading_long()
    }

    /// `count` bytes were read into the [room](Self::room).
    pub(crate) fn received_in_room(&mut self, count: usize, turn: &mut Turn) {
        turn.tally.bytes_in += count as u64;
        if let Some(event) = self.connection.receive_in_room(count, turn.now) {
            // After a panic nobody is left to hear it.
            self.guarded_session(turn.now, |session| session.event(event, turn));
        }
        self.note_reading();
    }

    /// A connection that holds much of a message that is not whole, or for the compression of those to come, can be
    /// made to go when memory is short.
    #[inline]
    fn note_reading(&mut self) {
        let unheard =
            self.rare.as_ref().and_then(|rare| rare.unheard.as_ref()).map_or(0, |unheard| unheard.bytes.len());
        let reading = self.connection.buffered_input() + self.connection.deflate_memory() + unheard;
        match &self.own.link {
            Some(link) => link.set_reading(reading),
            None if reading >= LEAST && self.own.config.get_budget().is_limited() => {
                self.own.link().set_reading(reading);
            }
            None => {}
        }
    }

    /// The transport's end of stream.
    pub(crate) fn eof(&mut self) {
        self.connection.receive_eof();
    }

    /// The transport failed.
    pub(crate) fn failed(&mut self, error: std::io::Error) {
        // After both Close frames a failing transport is no news: many peers just drop it. And whoever broke a rule may well
        // not wait to be told: what counts is the rule.
        let is_known = self.connection.ended().is_some_and(|ended| ended.is_clean() || ended.cause.is_failure());
        if !is_known && error.kind() != std::io::ErrorKind::UnexpectedEof {
            // TLS had to let go of what it kept.
            let was_short = matches!(error.get_ref(), Some(inner) if inner.is::<Exhausted>());
            self.fail(if was_short { Error::Protocol(ProtocolError::OutOfMemory) } else { Error::Io(Arc::new(error)) });
        }
        self.connection.receive_eof();
    }

    /// Deadlines that have passed are acted on.
    pub(crate) fn timeout(&mut self, turn: &mut Turn) {
        let now = turn.now;
        if !self.wants_read(turn.out.len()) {
            self.connection.not_reading(now);
        }
        if let Some(rare) = &mut self.rare
            && rare.hold_until.is_some_and(|until| now >= until)
        {
            rare.hold_until = None;
            if let Some(link) = &self.own.link {
                link.release_close();
            }
        }
        self.connection.handle_timeout(now);
        // Deadlines pass on quiet connections, and about once a heartbeat on others.
        self.connection.rest();
        self.note_reading();
        if self.handler_deadline().is_some_and(|deadline| now >= deadline) {
            self.guarded(turn, H::on_deadline);
        }
    }

    pub(crate) fn deadline(&mut self) -> Option<Instant> {
        self.own.flags.deadline_moved = false;
        let hold_until = self.rare.as_ref().and_then(|rare| rare.hold_until);
        [self.connection.poll_timeout(), hold_until, self.handler_deadline()].into_iter().flatten().min()
    }

    fn handler_deadline(&mut self) -> Option<Instant> {
        if self.has_panicked() {
            return None;
        }
        let deadline = catch_unwind(AssertUnwindSafe(|| self.handler.deadline()));
        deadline.unwrap_or_else(|_| {
            let now = now();
            self.panicked(now);
            // Nobody else may have a reason to drive the connection, which has a Close frame to send.
            self.rare().hold_until = Some(now);
            Some(now)
        })
    }

    /// What [`deadline`](Self::deadline) said last still holds, or says too early.
    #[cfg(unix)]
    #[inline]
    pub(crate) fn is_settled(&self) -> bool {
        self.rare.is_none() && !self.own.flags.deadline_moved && self.connection.is_settled()
    }

    /// Encodes what waits: requests, parcels, and what the protocol itself has to say. Registers the task for more.
    #[inline]
    pub(crate) fn pump(&mut self, cx: &mut task::Context<'_>, turn: &mut Turn) {
        match self.own.link.clone() {
            Some(link) => self.pump_link(&link, cx, turn),
            None if turn.out.len() < ENCODE_AHEAD => self.connection.poll_transmit(turn.now, &mut turn.out),
            None => {}
        }
        self.own.flags.more = turn.out.len() >= ENCODE_AHEAD;
    }

    fn pump_link(&mut self, link: &Link, cx: &mut task::Context<'_>, turn: &mut Turn) {
        link.register(cx);
        let requests = link.take_requests();
        if requests.as_ref().is_some_and(|requests| requests.evict) {
            self.evict(link, turn);
        }
        let drained = self.encode_parcels(link, cx, turn);
        self.own.flags.queued = !drained;
        self.own.flags.lagging &= !drained;
        if let Some(requests) = requests {
            self.act_on(link, requests, drained, turn);
        }
        link.set_ready_state(self.connection.ready_state());
        self.speak(link, drained, turn);
    }

    /// What was published to this connection: encoded at once while the peer keeps up, else left to the outbox and its
    /// policy.
    #[cfg(unix)]
    pub(crate) fn publish(&mut self, parcel: &Parcel, turn: &mut Turn) {
        // No policy keeps a connection from being closed.
        if let (Content::Close(frame), Some(link)) = (&parcel.0, &self.own.link) {
            link.request_close(frame.clone());
            link.outbox.close();
            self.own.flags.queued = true;
            return;
        }
        if !self.own.flags.queued && turn.out.len() < ENCODE_AHEAD && !self.connection.is_message_open() {
            return self.encode(parcel, turn);
        }
        if self.context(turn).must_drop(parcel) {
            return self.own.record(DROPPED);
        }
        self.own.flags.queued = true;
        let refused = match self.own.link().outbox.push(parcel.clone()) {
            Pushed::Sent | Pushed::Buffered | Pushed::Closed => return,
            Pushed::Dropped => DROPPED,
            Pushed::Overflowed => Delivery { overflowed: 1, ..Delivery::default() },
        };
        self.own.record(refused);
    }

    /// `count` bytes were written and `turn.out` is what is left of them. `true`: [`pump`](Self::pump) has more to
    /// encode, now that there is room, or may have: the handler was told that the peer has caught up; or there is a
    /// link now to register with. `held_back`: the transport has taken bytes that it has not passed on.
    pub(crate) fn wrote(&mut self, count: usize, held_back: bool, turn: &mut Turn) -> bool {
        let left = turn.out.len();
        turn.tally.bytes_out += count as u64;
        self.connection.wrote(count, left, turn.now);
        let mut more = self.own.flags.more && left < ENCODE_AHEAD;
        match &self.own.link {
            Some(link) => {
                link.set_unsent(left);
                match left {
                    0 if held_back => {}
                    0 => link.outbox.settle(),
                    _ => link.outbox.stall(),
                }
            }
            // A connection whose peer does not read can be made to go when memory is short.
            None if left >= LEAST && self.own.config.get_budget().is_limited() => {
                let link = self.own.link();
                link.set_unsent(left);
                link.outbox.stall();
                more = true;
            }
            None => {}
        }
        if left > 0 {
            self.own.flags.lagged = true;
            return more;
        }
        let drained = std::mem::take(&mut self.own.flags.lagged);
        if drained {
            self.count_dropped(&mut turn.tally);
            self.guarded(turn, H::on_drain);
        }
        drained || more
    }

    /// Whether the application and the backlog allow reading: a peer that does not read is not read from either.
    pub(crate) fn wants_read(&self, backlog: usize) -> bool {
        if backlog == 0 && self.own.link.is_none() && !self.own.flags.lagging {
            return true;
        }
        let paused = self.own.link.as_ref().is_some_and(|link| link.is_paused());
        // Once we have said Close, the peer's answer must be read whatever comes before it.
        let willing = !(paused || self.own.flags.lagging) || !self.connection.may_send();
        willing && backlog < self.own.config.get_outbox().bytes
    }

    /// How much may be read at once while so much output waits: an echo of it still fits.
    #[inline]
    pub(crate) fn reads_at_most(&self, waiting: usize) -> usize {
        // A read of nothing would look like the end of the stream.
        self.own.encodes_at_most().saturating_sub(waiting).max(1)
    }

    pub(crate) fn disconnect(&self) -> Disconnect {
        self.connection.disconnect()
    }

    /// The connection is over: everyone is told. Also done when the session is dropped, with its task for instance.
    pub(crate) fn finish(&mut self) -> Outcome {
        self.connection.receive_eof();
        let ended = self.connection.ended().expect("after the end of the stream the connection has ended");
        let error = self.rare.as_ref().and_then(|rare| rare.error.clone());
        let outcome = Outcome::new(ended, error);
        let stage = std::mem::replace(&mut self.own.flags.stage, Stage::Over);
        if stage == Stage::Over {
            return outcome;
        }
        self.own.config.get_budget().give(Part::Connections, IDLE);
        let mut tally = Tally::default();
        self.count_dropped(&mut tally);
        self.own.config.get_metrics().add(&tally);
        let by_us = !matches!(outcome.ended.cause, Cause::Peer);
        let frame = if by_us { outcome.sent().or_else(|| outcome.received()) } else { outcome.received() };
        let code = frame.map_or(CloseCode::ABNORMAL, |frame| frame.code);
        if matches!(stage, Stage::Arrived | Stage::Open) {
            self.own.config.get_metrics().end(code, outcome.error());
        }
        self.own.member = None;
        if let Some(rare) = &mut self.rare {
            rare.pings.clear();
        }
        if let Some(link) = &self.own.link {
            link.end(outcome.clone());
        }
        // Peers that come and go are no news. What else ends a connection is counted, and as a rule the peer's doing: it is
        // not to fill a log.
        if let Some(error) = outcome.error().filter(|error| !matches!(error, Error::Disconnected | Error::Terminated)) {
            tracing::debug!(peer = %self.own.info.peer(), %error, "a connection failed");
        }
        if stage != Stage::New && !self.has_panicked() {
            let closed = catch_unwind(AssertUnwindSafe(|| self.handler.on_close(&outcome)));
            if closed.is_err() {
                tracing::error!(peer = %self.own.info.peer(), "the handler panicked in on_close");
            }
        }
        outcome
    }

    fn event(&mut self, event: Event<'_>, turn: &mut Turn) {
        let now = turn.now;
        let Self { connection, handler, own, .. } = self;
        let mut cx = Context { connection, own, turn };
        match event {
            Event::Message(message) => {
                cx.turn.tally.messages_in += 1;
                match message {
                    Received::Borrowed(message) => handler.on_message(&mut cx, message),
                    Received::Owned(message) => handler.on_owned_message(&mut cx, message),
                }
            }
            Event::Ping(payload) => {
                handler.on_ping(&mut cx, &payload);
                // While there is room each ping has its pong, before whatever comes next. Without room only the newest
                // will be answered, when there is.
                if cx.turn.out.len() < ENCODE_AHEAD {
                    cx.connection.poll_transmit(now, &mut cx.turn.out);
                }
            }
            Event::Pong { payload, rtt } => {
                if let Some(rare) = &mut self.rare {
                    answer_pings(&mut rare.pings, &payload, now);
                }
                handler.on_pong(&mut cx, &payload, rtt);
            }
            Event::Close(frame) => {
                handler.on_peer_close(&mut cx, &frame);
                self.hold(now);
            }
            Event::Failed(error) => {
                handler.on_failed(&mut cx, error);
                self.hold(now);
            }
            // Pieces are not asked for.
            _ => {}
        }
    }

    /// `true`: the outbox is empty.
    fn encode_parcels(&mut self, link: &Link, cx: &mut task::Context<'_>, turn: &mut Turn) -> bool {
        while turn.out.len() < ENCODE_AHEAD && !self.connection.is_message_open() {
            match link.outbox.poll_pop(cx) {
                Poll::Ready(Some(parcel)) => self.encode(&parcel, turn),
                Poll::Ready(None) => {
                    if link.outbox.is_overflowed() && self.connection.may_send() {
                        self.overflowed(turn);
                    }
                    return true;
                }
                Poll::Pending => return true,
            }
        }
        // No room, or a message that the handler sends in pieces is open: wait, and meanwhile only for the end of the
        // outbox, which sets the overflow off.
        if link.outbox.poll_abandoned(cx).is_ready() && link.outbox.is_overflowed() && self.connection.may_send() {
            self.overflowed(turn);
        }
        link.outbox.is_empty()
    }

    fn encode(&mut self, parcel: &Parcel, turn: &mut Turn) {
        let mut cx = self.context(turn);
        if cx.must_drop(parcel) {
            return self.own.record(DROPPED);
        }
        // After Close nothing can be sent; whoever queued this hears how the connection ended.
        cx.encode(parcel);
    }

    fn act_on(&mut self, link: &Link, requests: Requests, drained: bool, turn: &mut Turn) {
        let Requests { close, pings, terminate, panicked, .. } = requests;
        if panicked {
            self.fail(Error::Panicked);
        }
        if terminate {
            self.fail(Error::Terminated);
            self.connection.terminate();
        }
        if !pings.is_empty()
            && let Ok(number) = self.connection.ping(turn.now, &mut turn.out)
        {
            self.rare().pings.push((number, turn.now, pings));
        }
        match close {
            Some(frame) if drained => {
                self.close(frame.code, &frame.reason, turn.now);
                link.outbox.close();
            }
            // What was queued before goes first.
            Some(frame) => {
                link.outbox.close();
                link.postpone_close(frame);
            }
            None => {}
        }
    }

    /// Pongs, due pings and Close frames. The answer to the peer's Close waits for what the application still has to
    /// read and to send; everything else goes at once.
    fn speak(&mut self, link: &Link, drained: bool, turn: &mut Turn) {
        let closing_peer = self.connection.may_send() && self.connection.ready_state() != ReadyState::Open;
        if closing_peer && (link.is_holding() || !drained) {
            return;
        }
        if turn.out.len() < ENCODE_AHEAD {
            self.connection.poll_transmit(turn.now, &mut turn.out);
        }
        if !self.connection.may_send() && !link.outbox.is_closed() {
            link.outbox.close();
        }
    }

    /// Until when our Close frame waits for the application, if it does: half of the time for the closing handshake is
    /// the application's to say its last words.
    fn hold(&mut self, now: Instant) {
        let Some(link) = self.own.link.as_ref().filter(|link| link.is_holding()) else { return };
        let until = now.checked_add(self.own.config.get_limits().close_timeout / 2);
        match until {
            Some(_) => self.rare().hold_until = until,
            None => link.release_close(),
        }
    }

    /// Memory is short, and few connections hold more of it than this one: what is queued is dropped, and the peer is
    /// told why it has to go. One that was told before, or takes nothing, is cut off.
    fn evict(&mut self, link: &Link, turn: &mut Turn) {
        link.outbox.abandon();
        // What the handler has to say to that need not wait for what was queued.
        self.own.flags.queued = false;
        if let Some(rare) = &mut self.rare {
            rare.unheard = None;
        }
        let is_open = self.connection.ready_state() == ReadyState::Open;
        if turn.out.len() > ENCODE_AHEAD || !(is_open || self.connection.may_send()) {
            self.fail(Error::Protocol(ProtocolError::OutOfMemory));
            self.connection.terminate();
        } else if is_open {
            let error = self.connection.fail_for_memory(turn.now);
            self.guarded_session(turn.now, |session| session.event(Event::Failed(error), turn));
        }
        // Nobody waits for what the application may have to say to that.
        link.release_close();
        link.set_reading(0);
    }

    /// The outbox was full, and its policy is to give the peer up.
    fn overflowed(&mut self, turn: &mut Turn) {
        if self.rare.as_ref().is_some_and(|rare| rare.error.is_some()) {
            return; // It is known already, or something worse is.
        }
        self.fail(Error::Overflowed);
        self.close(CloseCode::TRY_AGAIN_LATER, "the peer does not keep up", turn.now);
        self.guarded(turn, H::on_overflow);
    }

    /// Notes why the connection ends. The first reason stands.
    fn fail(&mut self, error: Error) {
        self.rare().error.get_or_insert(error);
    }

    fn has_panicked(&self) -> bool {
        self.rare.as_ref().is_some_and(|rare| matches!(rare.error, Some(Error::Panicked)))
    }

    fn rare(&mut self) -> &mut Rare {
        self.rare.get_or_insert_default()
    }

    /// Counts what the outbox has thrown away: when the peer has caught up, and at the end.
    fn count_dropped(&mut self, tally: &mut Tally) {
        let dropped = self.own.link.as_ref().map_or(0, |link| link.outbox.dropped());
        if dropped > 0 {
            let counted = std::mem::replace(&mut self.rare().dropped, dropped);
            tally.dropped += dropped - counted;
        }
    }

    fn close(&mut self, code: CloseCode, reason: &str, now: Instant) {
        if let Err(error) = self.connection.close(code, reason, now) {
            // Codes are checked where they come in.
            tracing::error!(%error, "a close code slipped through");
        }
    }

    fn guarded(&mut self, turn: &mut Turn, call: impl FnOnce(&mut H, &mut Context<'_>)) {
        self.guarded_session(turn.now, |session| {
            let Self { connection, handler, own, .. } = session;
            call(handler, &mut Context { connection, own, turn });
        });
    }

    fn context<'a>(&'a mut self, turn: &'a mut Turn) -> Context<'a> {
        Context { connection: &mut self.connection, own: &mut self.own, turn }
    }

    /// Runs code that may call the handler. If that panics, this connection ends and no other notices.
    fn guarded_session(&mut self, now: Instant, run: impl FnOnce(&mut Self)) {
        if self.has_panicked() {
            return;
        }
        // The session is left in a state that can be closed: the handler is not called again, and the machine's own
        // methods do not call user code half-way.
        let result = catch_unwind(AssertUnwindSafe(|| run(self)));
        if result.is_err() {
            self.panicked(now);
        }
    }

    fn panicked(&mut self, now: Instant) {
        tracing::error!(peer = %self.own.info.peer(), "the handler panicked; its connection ends with 1011");
        self.rare().error = Some(Error::Panicked);
        self.close(CloseCode::INTERNAL, "internal error", now);
    }
}

impl<H: Handler> Drop for Session<H> {
    /// The task that drove it was aborted, or the runtime is shutting down.
    fn drop(&mut self) {
        if self.own.flags.stage != Stage::Over {
            self.finish();
        }
    }
}

/// A pong answers the ping with its number and all before it: a peer need only answer the newest (RFC 6455 §5.5.3).
fn answer_pings(pings: &mut Vec<(u64, Instant, Vec<oneshot::Sender<Duration>>)>, payload: &[u8], now: Instant) {
    let Ok(number) = <[u8; 8]>::try_from(payload).map(u64::from_be_bytes) else { return };
    if !pings.iter().any(|(sent, ..)| *sent == number) {
        return;
    }
    for (_, sent, waiters) in pings.extract_if(.., |(sent, ..)| *sent <= number) {
        for waiter in waiters {
            // Whoever gave up waiting needs no answer.
            let _ = waiter.send(now.saturating_duration_since(sent));
        }
    }
}
