//! The server's end of a session. See [`Session`] for its contract.

use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::engine::config::Config;
use crate::engine::error::{AttachError, CloseReason, PacketError, RequestError, SendError};
use crate::engine::event::{Event, Out};
use crate::engine::handshake::Known;
use crate::engine::heartbeat::{Half, Heartbeat};
use crate::engine::packet::{Encoding, Packet, Transport};
use crate::engine::queue::Queue;

/// How long a poll stays open while a WebSocket is a candidate: until it ends the client cannot pause polling.
const NOOP_AFTER: Duration = Duration::from_millis(100);

/// A session as the server sees it: heartbeat, upgrade and close over polling requests, a WebSocket, or first the one
/// and then the other. `M` is what the driver queues: a message in a form of its choice.
///
/// A driver owes it:
/// * **packets in**: [`receive`](Self::receive) with each packet, or the error in its place, and with the transport that
///   brought it;
/// * **requests**: [`poll_begin`](Self::poll_begin) or [`poll_abort`](Self::poll_abort) for a GET,
///   [`post_begin`](Self::post_begin) and [`post_end`](Self::post_end) or [`post_abort`](Self::post_abort) for a POST;
/// * **the WebSocket**: [`attach`](Self::attach) makes one a candidate, [`detach`](Self::detach) tells that it is gone. There
///   is one at most;
/// * **packets out**: after anything else, [`answer_poll`](Self::answer_poll) and [`next_frame`](Self::next_frame) until it
///   returns `None`;
/// * **time**: [`handle_timeout`](Self::handle_timeout) at the instant that [`poll_timeout`](Self::poll_timeout) names. It
///   may change after every call;
/// * **the end**: after every call, [`ended`](Self::ended). Then the session is forgotten, its WebSocket, candidate or not,
///   is closed, and a poll that is still open is answered a last time.
///
/// On a WebSocket with nothing queued ([`is_direct`](Self::is_direct)) the driver may write messages past the session,
/// which then only keeps time.
#[derive(Debug)]
pub struct Session<M> {
    config: Arc<Config>,
    heartbeat: Heartbeat,
    /// What polling, an upgrade or closing needs. An open session on a WebSocket has none.
    extra: Option<Box<Extra<M>>>,
    encoding: Encoding,
    transport: Transport,
    phase: Phase,
    greeting: Greeting,
    /// v3: a ping is to be answered.
    owes_pong: bool,
    /// A POST is open.
    posting: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    Open,
    /// What is queued still leaves, then Close.
    Closing(CloseReason),
    Ended(CloseReason),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Greeting {
    Open,
    Initial,
    Done,
}

#[derive(Debug)]
struct Extra<M> {
    queue: Queue<M>,
    /// A GET that is open.
    poll: Option<Poll>,
    candidate: Option<Candidate>,
    /// By when a closing session must have said goodbye.
    close_by: Option<Instant>,
}

#[derive(Debug, Default)]
struct Poll {
    /// It is to end with this, if with nothing better.
    release: Option<Release>,
    /// When it is to be released for the sake of a candidate.
    release_at: Option<Instant>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Release {
    Noop,
    Close,
}

/// A WebSocket that may take over.
#[derive(Debug)]
struct Candidate {
    b64: bool,
    expires: Option<Instant>,
    probed: bool,
    owes_pong: bool,
}

impl<M> Default for Extra<M> {
    fn default() -> Self {
        Self { queue: Queue::default(), poll: None, candidate: None, close_by: None }
    }
}

impl<M> Session<M> {
    /// A new session. The first thing that it has to write is [`Out::Open`]; on polling the request that opened it is
    /// its first poll: [`poll_begin`](Self::poll_begin) and [`answer_poll`](Self::answer_poll) at once.
    #[must_use]
    pub fn open(config: &Arc<Config>, known: Known, b64: bool, now: Instant) -> Self {
        let Known { transport, protocol } = known;
        Self {
            heartbeat: Heartbeat::new(protocol, config, now),
            extra: None,
            encoding: Encoding { protocol, b64 },
            transport,
            phase: Phase::Open,
            greeting: Greeting::Open,
            owes_pong: false,
            posting: false,
            config: Arc::clone(config),
        }
    }

    /// What [`judge`](crate::engine::judge) has to know of the session.
    #[must_use]
    pub fn known(&self) -> Known {
        Known { transport: self.transport, protocol: self.encoding.protocol }
    }

    /// The transport in use. A candidate is not in use yet.
    #[must_use]
    pub fn transport(&self) -> Transport {
        self.transport
    }

    /// How packets are written on the transport in use. An upgrade may change it.
    #[must_use]
    pub fn encoding(&self) -> Encoding {
        self.encoding
    }

    /// Why the session is over. `None` while it is not.
    #[must_use]
    pub fn ended(&self) -> Option<CloseReason> {
        if let Phase::Ended(reason) = self.phase { Some(reason) } else { None }
    }

    /// Messages go both ways: it is neither closing nor over.
    #[must_use]
    pub fn is_open(&self) -> bool {
        self.phase == Phase::Open
    }

    /// The session is on an open WebSocket and nothing waits that would have to leave before a message sent now.
    #[inline]
    #[must_use]
    pub fn is_direct(&self) -> bool {
        self.transport == Transport::WebSocket
            && self.is_open()
            && self.greeting == Greeting::Done
            && self.extra.as_ref().is_none_or(|extra| extra.queue.is_empty())
    }

    /// A WebSocket wants to take over and may still.
    #[must_use]
    pub fn has_candidate(&self) -> bool {
        self.extra.as_ref().is_some_and(|extra| extra.candidate.is_some())
    }

    /// How many messages wait, and their weight in bytes.
    #[must_use]
    pub fn queued(&self) -> (usize, usize) {
        self.extra.as_ref().map_or((0, 0), |extra| extra.queue.len())
    }

    // What came in.

    /// Takes a packet, or what was wrong with it. `from` is what brought it: a POST, or the WebSocket.
    ///
    /// Packets of a session that is closing or over, and of a WebSocket that is no candidate any more, are dropped.
    #[inline]
    pub fn receive<'a>(
        &mut self,
        from: Transport,
        packet: Result<Packet<'a>, PacketError>,
        now: Instant,
    ) -> Option<Event<'a>> {
        if self.ended().is_some() {
            return None;
        }
        if from != self.transport {
            return match from {
                Transport::WebSocket => self.candidate_says(packet, now),
                Transport::Polling => self.late_post_says(packet),
            };
        }
        let Ok(packet) = packet else {
            self.end(CloseReason::ParseError);
            return None;
        };
        match packet {
            // The other end of a poll that is open is told so by a noop: it is the client who ends the session.
            Packet::Close => {
                self.end_with(CloseReason::TransportClose, Release::Noop);
                None
            }
            _ if !self.is_open() => None,
            Packet::Message(data) => {
                self.heartbeat.other(&self.config, now);
                Some(Event::Message(data))
            }
            Packet::Ping(_) => {
                self.beat(Half::Ping, now);
                None
            }
            Packet::Pong(_) => {
                self.beat(Half::Pong, now);
                None
            }
            // Without a meaning from a client in use; Node ignores them too.
            Packet::Open(_) | Packet::Upgrade | Packet::Noop => {
                self.heartbeat.other(&self.config, now);
                None
            }
        }
    }

    fn beat(&mut self, half: Half, now: Instant) {
        if self.heartbeat.beat(half, &self.config, now) {
            self.owes_pong |= matches!(half, Half::Ping);
        } else {
            self.end(CloseReason::TransportError);
        }
    }

    /// "Anything else" than a probe and the upgrade that follows it costs the candidate its candidacy, and nothing
    /// more. A client that does without the probe may, as in Node.
    fn candidate_says(&mut self, packet: Result<Packet<'_>, PacketError>, now: Instant) -> Option<Event<'static>> {
        let candidate = self.extra.as_mut()?.candidate.as_mut()?;
        match packet {
            Ok(Packet::Ping(data)) if data == "probe" => {
                candidate.probed = true;
                candidate.owes_pong = true;
                self.heartbeat.other(&self.config, now);
                self.prepare_upgrade(now);
                Some(Event::Upgrading)
            }
            Ok(Packet::Upgrade) => {
                self.encoding.b64 = candidate.b64;
                self.upgrade(now);
                Some(Event::Upgraded)
            }
            _ => self.drop_candidate(),
        }
    }

    /// Polling comes to a rest: a poll that is open ends soon, and no ping is sent that would have to be answered
    /// meanwhile.
    fn prepare_upgrade(&mut self, now: Instant) {
        self.heartbeat.take_back(now);
        if let Some(poll) = self.extra.as_mut().and_then(|extra| extra.poll.as_mut()) {
            poll.release_at = poll.release_at.or_else(|| now.checked_add(NOOP_AFTER));
        }
    }

    fn upgrade(&mut self, now: Instant) {
        self.transport = Transport::WebSocket;
        self.heartbeat.other(&self.config, now);
        if let Some(extra) = &mut self.extra {
            extra.candidate = None;
            // A client that has paused has none open. For one that has, this poll is not the end of the session (Node
            // answers `1` here, which an old transport of the client might take for that).
            if let Some(poll) = &mut extra.poll {
                *poll = Poll { release: Some(Release::Noop), release_at: None };
            }
        }
        self.shrink();
    }

    fn drop_candidate(&mut self) -> Option<Event<'static>> {
        let extra = self.extra.as_mut()?;
        extra.candidate.take()?;
        if let Some(poll) = &mut extra.poll {
            poll.release_at = None;
        }
        Some(Event::CloseCandidate)
    }

    /// The session has moved to a WebSocket while a POST was open. Its messages were sent before those that the
    /// WebSocket brings; nothing else in it counts any more.
    fn late_post_says<'a>(&self, packet: Result<Packet<'a>, PacketError>) -> Option<Event<'a>> {
        match packet {
            Ok(Packet::Message(data)) if self.posting && self.is_open() => Some(Event::Message(data)),
            _ => None,
        }
    }

    // Requests.

    /// A GET begins to wait.
    ///
    /// # Errors
    /// It is to be answered at once: [`RequestError::Overlap`] when another waits, which ends the session.
    pub fn poll_begin(&mut self, now: Instant) -> Result<(), RequestError> {
        self.check_polling()?;
        if self.extra().poll.is_some() {
            self.end(CloseReason::TransportError);
            return Err(RequestError::Overlap);
        }
        self.extra().poll = Some(Poll::default());
        if self.is_upgrading() {
            self.prepare_upgrade(now);
        }
        Ok(())
    }

    /// The client gave the GET up: its connection ended before the answer was written. That ends the session (transport
    /// error), as what the client has seen is not known any more.
    pub fn poll_abort(&mut self) {
        let aborted = self.extra.as_mut().and_then(|extra| extra.poll.take()).is_some();
        self.aborted(aborted);
    }

    /// A POST begins to arrive. While it does, no other may.
    ///
    /// # Errors
    /// It is to be answered at once: [`RequestError::Overlap`] when another is open, which ends the session.
    pub fn post_begin(&mut self) -> Result<(), RequestError> {
        self.check_polling()?;
        if self.posting {
            self.end(CloseReason::TransportError);
            return Err(RequestError::Overlap);
        }
        self.posting = true;
        Ok(())
    }

    /// The packets of the POST were all received, or the body was refused (too long: 413, and the session goes on).
    pub fn post_end(&mut self) {
        self.posting = false;
    }

    /// The POST's connection ended before its body did. That ends the session (transport error).
    pub fn post_abort(&mut self) {
        let aborted = std::mem::take(&mut self.posting);
        self.aborted(aborted);
    }

    fn aborted(&mut self, aborted: bool) {
        if aborted && self.transport == Transport::Polling {
            self.end(CloseReason::TransportError);
        }
        self.shrink();
    }

    fn check_polling(&self) -> Result<(), RequestError> {
        if self.ended().is_some() {
            return Err(RequestError::Closed);
        }
        if self.transport == Transport::Polling { Ok(()) } else { Err(RequestError::Upgraded) }
    }

    // The WebSocket.

    /// A WebSocket came for the session and becomes its candidate; `b64` is from its query. It has
    /// [`upgrade_timeout`](Config::upgrade_timeout) to take over, while everything goes on by polling.
    ///
    /// # Errors
    /// The WebSocket is to be closed; the session goes on as it was.
    pub fn attach(&mut self, b64: bool, now: Instant) -> Result<(), AttachError> {
        if !self.is_open() {
            return Err(AttachError::Closed);
        }
        if self.transport == Transport::WebSocket {
            return Err(AttachError::Upgraded);
        }
        if !self.config.upgrades() {
            return Err(AttachError::Forbidden);
        }
        let expires = now.checked_add(self.config.upgrade_timeout);
        let extra = self.extra();
        if extra.candidate.is_some() {
            return Err(AttachError::Busy);
        }
        extra.candidate = Some(Candidate { b64, expires, probed: false, owes_pong: false });
        Ok(())
    }

    /// The WebSocket is gone: closed by the client, or failed. A candidate's end changes nothing; the end of the
    /// transport in use is that of the session. Not to be called for one that was refused or that the session wanted
    /// closed.
    pub fn detach(&mut self, failed: bool) {
        if self.transport == Transport::Polling {
            self.drop_candidate();
        } else {
            self.end(if failed { CloseReason::TransportError } else { CloseReason::TransportClose });
        }
    }

    // What goes out.

    /// Queues a message. `weight`: its bytes on the wire, more or less; the queue's limit and the size of the answers
    /// to polls are counted in it.
    ///
    /// # Errors
    /// [`SendError::Full`]: nothing was queued, and the session goes on; [`abort`](Self::abort) it or tell the sender.
    pub fn send(&mut self, message: M, weight: usize) -> Result<(), SendError> {
        if !self.is_open() {
            return Err(SendError::Closed);
        }
        let queue = &mut self.extra.get_or_insert_default().queue;
        if queue.push(message, weight, &self.config) { Ok(()) } else { Err(SendError::Full) }
    }

    /// [`answer_poll`](Self::answer_poll) would answer.
    #[must_use]
    pub fn polling_due(&self) -> bool {
        let Some(Extra { poll: Some(poll), queue, .. }) = self.extra.as_deref() else { return false };
        if poll.release.is_some() {
            return true;
        }
        self.greeting != Greeting::Done
            || self.owes_pong
            || self.heartbeat.has_ping()
            || !queue.is_empty()
            || !self.is_open()
    }

    /// Answers the GET that waits, if there is one and something to tell: gives out, in order, what its payload is to
    /// hold, and ends it. Messages beyond [`max_payload`](Config::max_payload) are left for the next; one alone may be
    /// larger. Close is alone in its payload: clients hear of a Close at once and look at messages a moment later, so
    /// that one who was told why it has to go would not have heard it.
    ///
    /// What is given out is gone. If it cannot be written, the session must [end](Self::abort).
    pub fn answer_poll(&mut self, mut write: impl FnMut(Out<M>)) -> bool {
        if !self.polling_due() {
            return false;
        }
        let Some(poll) = self.extra.as_mut().and_then(|extra| extra.poll.take()) else { return false };
        let mut wrote = false;
        if self.transport == Transport::Polling && self.ended().is_none() {
            let mut room = self.config.max_payload;
            while let Some(out) = self.next_packet(&mut room, !wrote) {
                write(out);
                wrote = true;
            }
            if !wrote && let Some(out) = self.farewell() {
                write(out);
                wrote = true;
            }
        }
        if !wrote {
            write(if poll.release == Some(Release::Close) { Out::Close } else { Out::Noop });
        }
        self.shrink();
        true
    }

    /// What the WebSocket is to write next, candidate or in use. `None`: nothing for now.
    pub fn next_frame(&mut self) -> Option<Out<M>> {
        if self.transport == Transport::Polling {
            let candidate = self.extra.as_mut()?.candidate.as_mut()?;
            return std::mem::take(&mut candidate.owes_pong).then_some(Out::Pong { probe: true });
        }
        if self.ended().is_some() {
            return None;
        }
        let mut room = usize::MAX;
        let out = self.next_packet(&mut room, true).or_else(|| self.farewell());
        self.shrink();
        out
    }

    /// The next thing for the transport in use. A message must fit the `room`, unless it is the first thing of all.
    fn next_packet(&mut self, room: &mut usize, first: bool) -> Option<Out<M>> {
        if let Some(out) = self.greet() {
            return Some(out);
        }
        if std::mem::take(&mut self.owes_pong) {
            return Some(Out::Pong { probe: false });
        }
        if self.heartbeat.take_ping() {
            return Some(Out::Ping);
        }
        self.extra.as_deref_mut()?.queue.pop(room, first).map(Out::Message)
    }

    /// The last thing, when nothing waits any more.
    fn farewell(&mut self) -> Option<Out<M>> {
        let Phase::Closing(reason) = self.phase else { return None };
        self.end(reason);
        Some(Out::Close)
    }

    fn greet(&mut self) -> Option<Out<M>> {
        let (out, greeting) = match self.greeting {
            Greeting::Open if self.config.initial_packet.is_some() => (Out::Open, Greeting::Initial),
            Greeting::Open => (Out::Open, Greeting::Done),
            Greeting::Initial => (Out::Initial, Greeting::Done),
            Greeting::Done => return None,
        };
        self.greeting = greeting;
        Some(out)
    }

    // Time.

    /// When [`handle_timeout`](Self::handle_timeout) is next to be called. `None`: nothing is awaited.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Instant> {
        if self.ended().is_some() {
            return None;
        }
        let heartbeat = if self.heartbeat_runs() { self.heartbeat.deadline() } else { None };
        let Some(extra) = &self.extra else { return heartbeat };
        let release_at = extra.poll.as_ref().and_then(|poll| poll.release_at);
        let expires = extra.candidate.as_ref().and_then(|candidate| candidate.expires);
        [heartbeat, extra.close_by, release_at, expires].into_iter().flatten().min()
    }

    /// Tells the time. Early or late calls do no harm.
    pub fn handle_timeout(&mut self, now: Instant) -> Option<Event<'static>> {
        if self.ended().is_some() {
            return None;
        }
        let passed = |at: Option<Instant>| at.is_some_and(|at| now >= at);
        let mut expired = false;
        if let Some(extra) = &mut self.extra {
            if let (Phase::Closing(reason), true) = (self.phase, passed(extra.close_by)) {
                self.end(reason);
                return None;
            }
            if let Some(poll) = &mut extra.poll
                && passed(poll.release_at)
            {
                *poll = Poll { release: Some(Release::Noop), release_at: None };
            }
            expired = extra.candidate.as_ref().is_some_and(|candidate| passed(candidate.expires));
        }
        let event = if expired { self.drop_candidate() } else { None };
        if self.heartbeat_runs() && !self.heartbeat.handle_timeout(&self.config, now) {
            self.end(CloseReason::PingTimeout);
            return None;
        }
        event
    }

    /// A ping that falls due while polling is at rest for an upgrade waits until the upgrade is done or given up.
    fn heartbeat_runs(&self) -> bool {
        self.is_open() && !(self.is_upgrading() && self.heartbeat.is_resting())
    }

    fn is_upgrading(&self) -> bool {
        let candidate = self.extra.as_ref().and_then(|extra| extra.candidate.as_ref());
        candidate.is_some_and(|candidate| candidate.probed)
    }

    // The end.

    /// Closes the session: what is queued still leaves, then Close, then it is [over](Self::ended) for this reason. On
    /// polling without a GET open this waits for the next one, [`close_timeout`](Config::close_timeout) at most. To
    /// close twice changes nothing.
    pub fn close(&mut self, reason: CloseReason, now: Instant) {
        if !self.is_open() {
            return;
        }
        self.phase = Phase::Closing(reason);
        self.extra().close_by = now.checked_add(self.config.close_timeout);
    }

    /// Ends the session at once; what is queued is dropped. A poll that is open ends with Close.
    pub fn abort(&mut self, reason: CloseReason) {
        self.end(reason);
    }

    fn end(&mut self, reason: CloseReason) {
        self.end_with(reason, Release::Close);
    }

    /// Ends the session; a poll that is open is to be told so by this.
    fn end_with(&mut self, reason: CloseReason, farewell: Release) {
        if self.ended().is_some() {
            return;
        }
        self.phase = Phase::Ended(reason);
        let Some(mut poll) = self.extra.take().and_then(|extra| extra.poll) else { return };
        // One that an upgrade has left behind keeps what it was told.
        if self.transport == Transport::Polling {
            poll = Poll { release: Some(farewell), release_at: None };
        }
        self.extra().poll = Some(poll);
    }

    fn extra(&mut self) -> &mut Extra<M> {
        self.extra.get_or_insert_default()
    }

    /// Gives back what an open session on a WebSocket does not need.
    fn shrink(&mut self) {
        let idle = |extra: &Extra<M>| extra.queue.is_empty() && extra.poll.is_none() && extra.close_by.is_none();
        if self.transport == Transport::WebSocket && self.extra.as_deref().is_some_and(idle) {
            self.extra = None;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::packet::Protocol;

    /// There may be a million of them, and most are on a WebSocket with nothing to say.
    #[test]
    fn an_idle_session_is_small() {
        assert!(size_of::<Session<Arc<str>>>() <= 64, "{}", size_of::<Session<Arc<str>>>());
    }

    #[test]
    fn a_websocket_session_keeps_nothing_but_itself() {
        let config = Arc::new(Config::default());
        let known = Known { transport: Transport::WebSocket, protocol: Protocol::V4 };
        let mut session = Session::open(&config, known, false, Instant::now());
        assert_eq!(session.next_frame(), Some(Out::Open));
        assert!(session.is_direct() && session.extra.is_none());
        session.send("queued", 6).unwrap();
        assert!(!session.is_direct());
        assert_eq!(session.next_frame(), Some(Out::Message("queued")));
        assert!(session.is_direct() && session.extra.is_none());
    }
}
