//! The WebSocket of a session, as shards drive it: opened at once, or as a candidate that takes a polling session over.

use std::sync::Arc;
use std::time::{Duration, Instant};

use switchboard_io_proto::engine::{AttachError, Event, Known, Out, Packet, Protocol, Sid, Transport, open_packet};
use switchboard_ws::{
    Admitted, CloseCode, CloseFrame, Context, Error, Handler, Message, MessageRef, Outcome, Parcel, ProtocolError,
};

use super::forms;
use super::handshake::Handshake;
use super::lane::{self, Item, Load};
use super::limit::Limit;
use super::session::{Call, Core, Session};

/// A candidate looks this often whether it still is one: its session may have ended by polling.
const LOOK: Duration = Duration::from_millis(100);

/// What a session on a WebSocket begins with.
pub(crate) struct Opening {
    pub(crate) core: Arc<Core>,
    pub(crate) sid: Sid,
    pub(crate) known: Known,
    pub(crate) b64: bool,
    pub(crate) handshake: Handshake,
    pub(crate) place: Admitted,
}

/// What admitted the connection, kept for as long as it lives.
pub(crate) type Admission = Box<dyn std::any::Any + Send>;

pub(crate) struct EngineSocket {
    role: Role,
    /// When something of the session's is due; too early at worst.
    deadline: Option<Instant>,
    /// What the session's conversation holds, as the driver knows it.
    kept: usize,
    _admission: Option<Admission>,
}

enum Role {
    New(Box<Opening>),
    /// It has not asked the session yet.
    Applicant {
        session: Session,
        b64: bool,
    },
    /// It may take over, as the session's candidate of this number.
    Candidate {
        session: Session,
        number: u32,
    },
    InUse(Session),
    Done,
}

impl EngineSocket {
    pub(crate) fn open(opening: Opening, admission: Option<Admission>) -> Self {
        Self { role: Role::New(Box::new(opening)), deadline: None, kept: 0, _admission: admission }
    }

    pub(crate) fn candidate(session: Session, b64: bool, admission: Option<Admission>) -> Self {
        session.core().metrics.begin_upgrade();
        Self { role: Role::Applicant { session, b64 }, deadline: None, kept: 0, _admission: admission }
    }

    /// The first words of a session.
    fn begin(&mut self, opening: Opening, cx: &mut Context<'_>) {
        let Opening { core, sid, known, b64, handshake, place } = opening;
        let member = cx.join(&core.hub);
        let session = Session::new(&core, sid, known, b64, handshake, member, None);
        // Whoever finds it among the others may close it: its conversation is to have begun by then, and its first
        // words to be nobody else's.
        let greeting = {
            let mut state = session.lock();
            state.calls.inbox.push_back(Call::Open);
            state.take_frames()
        };
        if core.registry.insert(session.sid(), &session, place).is_err() {
            return close(cx, CloseCode::TRY_AGAIN_LATER);
        }
        core.metrics.open(Transport::WebSocket);
        cx.set_form(forms::form(session.lock().machine.encoding()));
        write_all(&session, greeting, cx);
        held(&session, cx, || session.begin());
        self.role = Role::InUse(session);
        self.rest(cx);
    }

    /// Says that it wants to take over.
    fn apply(&mut self, session: Session, b64: bool, cx: &mut Context<'_>) {
        let attached = session.act(|state| {
            state.machine.attach(b64, cx.now())?;
            state.candidate = state.candidate.wrapping_add(1);
            Ok::<_, AttachError>(state.candidate)
        });
        match attached {
            Ok(number) => self.role = Role::Candidate { session, number },
            Err(error) => {
                tracing::debug!(peer = %session.handshake().peer(), %error, "a WebSocket is no candidate");
                session.hit(Limit::Candidates);
                session.core().metrics.drop_upgrade();
                return close(cx, CloseCode::NO_STATUS);
            }
        }
        self.set_deadline(Some(cx.now() + LOOK), cx);
    }

    fn hear_candidate(&mut self, message: MessageRef<'_>, cx: &mut Context<'_>) {
        let Role::Candidate { session, number } = &self.role else { return };
        let (session, number) = (session.clone(), *number);
        let packet = read(session.protocol(), message);
        let mut state = session.lock();
        if !state.is_candidate(number) {
            drop(state);
            return self.give_up(cx);
        }
        match state.machine.receive(Transport::WebSocket, packet, cx.now()) {
            Some(Event::Upgraded) => {
                take_over(&session, state, cx);
                self.role = Role::InUse(session.clone());
                write_frames(&session, cx);
                // With what comes with the end of a poll that was open.
                held(&session, cx, || session.act(|state| state.calls.inbox.push_back(Call::Upgraded)));
                self.rest(cx);
            }
            Some(Event::CloseCandidate) => {
                session.follow(state);
                self.give_up(cx);
            }
            _ => {
                session.follow(state);
                write_frames(&session, cx);
                self.look(cx);
            }
        }
    }

    /// Whether the candidate still is one.
    fn look(&mut self, cx: &mut Context<'_>) {
        let Role::Candidate { session, number } = &self.role else { return };
        let (session, number) = (session.clone(), *number);
        let dropped = session.act(|state| {
            // The same that the session's clock does, whichever comes first.
            state.machine.handle_timeout(cx.now());
            !state.is_candidate(number)
        });
        if dropped {
            return self.give_up(cx);
        }
        self.set_deadline(Some(cx.now() + LOOK), cx);
    }

    /// It does not take over; the session goes on without it.
    fn give_up(&mut self, cx: &mut Context<'_>) {
        if let Role::Candidate { session, .. } = std::mem::replace(&mut self.role, Role::Done) {
            session.core().metrics.drop_upgrade();
        }
        self.deadline = None;
        close(cx, CloseCode::NO_STATUS);
    }

    fn tick(&mut self, cx: &mut Context<'_>) {
        match &self.role {
            Role::InUse(session) => {
                let now = cx.now();
                held(session, cx, || {
                    session.act(|state| {
                        state.machine.handle_timeout(now);
                        state.look_at_due(now);
                    });
                });
                write_frames(session, cx);
                if !session.is_open() {
                    // The word that it is to close may have found no room on its way here.
                    close(cx, CloseCode::NO_STATUS);
                }
                self.rest(cx);
            }
            Role::Candidate { .. } => self.look(cx),
            Role::New(_) | Role::Applicant { .. } | Role::Done => self.deadline = None,
        }
    }

    /// Looks up when something is due next.
    fn rest(&mut self, cx: &mut Context<'_>) {
        let Role::InUse(session) = &self.role else { return };
        let next = session.lock().next_deadline();
        // Never now: the driver would ask again and again.
        let next = next.map(|next| next.max(cx.now() + Duration::from_millis(1)));
        self.set_deadline(next, cx);
    }

    /// What follows of what the client said. `next`: when something is due next, if that may have changed.
    #[inline]
    fn heard(&mut self, next: Option<Instant>, cx: &mut Context<'_>) {
        if next.is_some_and(|next| self.deadline.is_none_or(|deadline| next < deadline)) {
            self.deadline = next;
            cx.deadline_moved();
        }
        self.tell_kept(cx);
        let Role::InUse(session) = &self.role else { return };
        if session.is_paused() {
            pause(session, cx);
        }
    }

    /// Tells the driver what the session's conversation holds, when that is not what it was.
    #[inline]
    fn tell_kept(&mut self, cx: &mut Context<'_>) {
        let Role::InUse(session) = &self.role else { return };
        let kept = session.kept();
        if kept != self.kept {
            self.kept = kept;
            cx.set_kept(kept);
        }
    }

    fn set_deadline(&mut self, next: Option<Instant>, cx: &mut Context<'_>) {
        if next.is_some_and(|next| self.deadline.is_none_or(|deadline| next < deadline)) {
            cx.deadline_moved();
        }
        self.deadline = next;
    }

    /// The connection is gone.
    fn leave(&mut self, failed: bool) {
        match std::mem::replace(&mut self.role, Role::Done) {
            Role::InUse(session) => session.act(|state| state.machine.detach(failed)),
            Role::Candidate { session, number } => {
                session.core().metrics.drop_upgrade();
                session.act(|state| {
                    if state.is_candidate(number) {
                        state.machine.detach(failed);
                    }
                });
            }
            Role::Applicant { session, .. } => session.core().metrics.drop_upgrade(),
            Role::New(_) | Role::Done => {}
        }
    }
}

impl Handler for EngineSocket {
    fn on_open(&mut self, cx: &mut Context<'_>) {
        match std::mem::replace(&mut self.role, Role::Done) {
            Role::New(opening) => self.begin(*opening, cx),
            Role::Applicant { session, b64 } => self.apply(session, b64, cx),
            Role::Candidate { .. } | Role::InUse(_) | Role::Done => {}
        }
    }

    fn on_message(&mut self, cx: &mut Context<'_>, message: MessageRef<'_>) {
        let Role::InUse(session) = &self.role else { return self.hear_candidate(message, cx) };
        let now = cx.now();
        let next = held(session, cx, || receive(session, message, now));
        self.heard(next, cx);
        let Role::InUse(session) = &self.role else { return };
        if session.protocol() == Protocol::V3 {
            // The client's pings are answered.
            write_frames(session, cx);
        }
    }

    fn on_owned_message(&mut self, cx: &mut Context<'_>, message: Message) {
        let Role::InUse(session) = &self.role else { return self.on_message(cx, message.as_ref()) };
        let Message::Binary(bytes) = &message else { return self.on_message(cx, message.as_ref()) };
        if session.protocol() != Protocol::V4 {
            return self.on_message(cx, message.as_ref());
        }
        let now = cx.now();
        let next = held(session, cx, || {
            let mut state = session.lock();
            match state.machine.receive(Transport::WebSocket, Ok(Packet::binary(bytes)), now) {
                Some(_) => session.tell(state, Call::Owned(message.clone())),
                None => {
                    session.follow(state);
                    None
                }
            }
        });
        self.heard(next, cx);
    }

    /// What the client has missed it cannot do without: the session is over at once, however long it takes to tell the
    /// client.
    fn on_overflow(&mut self, _: &mut Context<'_>) {
        if let Role::InUse(session) = &self.role {
            session.overflow();
        }
    }

    /// Nothing more will be heard: the session need not wait for the end of the closing handshake.
    fn on_peer_close(&mut self, _: &mut Context<'_>, _: &CloseFrame) {
        self.leave(false);
    }

    fn on_failed(&mut self, cx: &mut Context<'_>, error: ProtocolError) {
        tracing::debug!(%error, "a client broke a rule of WebSocket");
        if let (ProtocolError::OutOfMemory, Role::InUse(session)) = (error, &self.role) {
            held(session, cx, || session.act(|state| state.calls.inbox.push_back(Call::Overloaded)));
        }
        self.leave(true);
    }

    fn deadline(&self) -> Option<Instant> {
        self.deadline
    }

    fn on_deadline(&mut self, cx: &mut Context<'_>) {
        self.tick(cx);
    }

    fn on_close(&mut self, outcome: &Outcome) {
        // What Node's WebSocket reports as an error, and not merely as its end.
        let failed = matches!(
            outcome.error(),
            Some(Error::Protocol(_) | Error::Timeout(_) | Error::Overflowed | Error::Panicked)
        );
        self.leave(failed);
    }
}

impl Drop for EngineSocket {
    /// Its driver is gone without a word, with the runtime for instance.
    fn drop(&mut self) {
        self.leave(true);
    }
}

/// A packet of the client's on the WebSocket in use. Returns when the session's deadlines come next, if that may have
/// changed.
#[inline]
fn receive(session: &Session, message: MessageRef<'_>, now: Instant) -> Option<Instant> {
    let packet = read(session.protocol(), message);
    let is_pong = matches!(packet, Ok(Packet::Pong(_)));
    let mut state = session.lock();
    match state.machine.receive(Transport::WebSocket, packet, now) {
        Some(Event::Message(data)) => session.tell(state, Call::of(data)),
        _ if is_pong && state.machine.is_open() && !state.ping_is_ahead => session.tell(state, Call::Alive),
        _ => {
            session.follow(state);
            None
        }
    }
}

fn read(protocol: Protocol, message: MessageRef<'_>) -> Result<Packet<'_>, switchboard_io_proto::engine::PacketError> {
    match message {
        MessageRef::Text(text) => Packet::from_text(protocol, text),
        MessageRef::Binary(bytes) => Packet::from_binary(protocol, bytes),
    }
}

/// Does something while what the session sends leaves by this connection at once.
#[inline]
fn held<R>(session: &Session, cx: &mut Context<'_>, act: impl FnOnce() -> R) -> R {
    let (result, load) = lane::within(session.address(), !cx.has_undelivered(), act);
    send_load(load, cx);
    result
}

#[inline]
fn send_load(load: Load, cx: &mut Context<'_>) {
    for item in &load.items {
        match item {
            Item::Parcel(parcel) => drop(cx.send_parcel(parcel)),
            Item::Text(range) => drop(cx.send(&load.text[range.clone()])),
            Item::Close => close(cx, CloseCode::NO_STATUS),
        }
    }
    lane::restore(load);
}

/// What the machine has to say: the heartbeat, and the answer to a probe.
fn write_frames(session: &Session, cx: &mut Context<'_>) {
    let frames = session.lock().take_frames();
    write_all(session, frames, cx);
}

fn write_all(session: &Session, frames: Vec<Out<Parcel>>, cx: &mut Context<'_>) {
    for out in frames {
        let config = &session.core().proto;
        match out {
            Out::Open => drop(cx.send(&*open_packet(session.sid(), config, Transport::WebSocket))),
            Out::Initial => {
                if let Some(message) = &config.initial_packet {
                    let packet = Packet::Message(message.clone());
                    match packet.frame(session.lock().machine.encoding()) {
                        switchboard_io_proto::engine::Frame::Text(text) => drop(cx.send(&*text)),
                        switchboard_io_proto::engine::Frame::Binary(bytes) => drop(cx.send(&*bytes)),
                    }
                }
            }
            Out::Ping => drop(cx.send("2")),
            Out::Pong { probe: true } => drop(cx.send("3probe")),
            Out::Pong { probe: false } => drop(cx.send("3")),
            Out::Message(parcel) => drop(cx.send_parcel(&parcel)),
            Out::Close => close(cx, CloseCode::NO_STATUS),
            // Only polls end with it.
            Out::Noop => {}
        }
    }
}

/// The session moves here, with what waited for a poll, before anything that comes by the new way.
fn take_over(session: &Session, mut state: std::sync::MutexGuard<'_, super::session::State>, cx: &mut Context<'_>) {
    cx.set_form(forms::form(state.machine.encoding()));
    // The machine's own queue is older than the outbox. In one step with the move: who closes the session from now on
    // finds nothing there that would be lost.
    let frames = state.take_frames();
    let wakers = state.take_wakers();
    let polling = state.polling.take();
    drop(state);
    session.core().metrics.finish_upgrade();
    write_all(session, frames, cx);
    let before = session.member().id();
    cx.relocate(session.member());
    if session.member().id() != before {
        session.core().app.moved(session, before);
    }
    if polling.is_some_and(|polling| polling.outbox.is_overflowed()) {
        session.overflow();
    }
    wakers.into_iter().flatten().for_each(std::task::Waker::wake);
}

/// Stops reading. Whoever resumes meanwhile is heard.
fn pause(session: &Session, cx: &mut Context<'_>) {
    cx.pause();
    let reader = session.lock().reader.get_or_insert_with(|| cx.sender()).clone();
    if !session.is_paused() {
        reader.resume();
    }
}

/// Closes after what was sent. Node's server says no code ([`CloseCode::NO_STATUS`]), whatever the reason: pages see 1005.
fn close(cx: &mut Context<'_>, code: CloseCode) {
    if let Err(error) = cx.close(code, "") {
        // Only codes that may be sent are used here.
        tracing::error!(%error, "a WebSocket could not be closed");
    }
}
