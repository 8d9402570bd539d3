//! What one client says over its Engine.IO session: packets for all the namespaces that it is in, or wants to be in.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Instant;

use switchboard_io_proto::engine::{CloseReason, Protocol};
use switchboard_io_proto::socket::{Args, DecodeError, Decoder, Incoming, Kind, Namespace, Packet};
use switchboard_ws::{BudgetHold, BudgetPart, Message, MessageRef};

use crate::depart;
use crate::dispatch;
use crate::engine::{Conversation, Limit, Session, now};
use crate::enter::{self, Entrant};
use crate::hearing::fail;
use crate::in_place::InFlight;
use crate::listeners::Heard;
use crate::peer::{Peer, Stage};
use crate::reason::DisconnectReason;
use crate::router::Router;
use crate::seats::{Asked, Next, Seats, Unasked};

/// A client.
pub(crate) struct Client {
    router: Arc<Router>,
    in_flight: Arc<InFlight>,
    seats: Arc<Seats<Peer>>,
    /// Where the last packet went: most clients are in one namespace.
    nearest: Option<Arc<Peer>>,
    decoder: Decoder,
    /// It must have joined a namespace by then.
    join_by: Option<Instant>,
    /// There while a packet lacks attachments.
    waiting: Option<Box<Waiting>>,
}

/// A packet that waits for attachments.
struct Waiting {
    /// It must be whole by then.
    until: Instant,
    /// Bytes of those that came so far.
    kept: usize,
    hold: BudgetHold,
}

impl Client {
    pub(crate) fn new(router: &Arc<Router>, session: &Session, now: Instant) -> Self {
        let client = Self {
            router: Arc::clone(router),
            in_flight: Arc::new(InFlight::new(router.settings.in_flight)),
            seats: Arc::default(),
            nearest: None,
            decoder: Decoder::new(),
            join_by: Some(now + router.settings.connect_timeout),
            waiting: None,
        };
        session.set_stranger(true);
        if session.protocol() == Protocol::V3 {
            // Clients of Socket.IO 2 are in the main namespace without asking.
            client.connect(session, Namespace::ROOT, Args::default());
        }
        client
    }

    fn take(&mut self, session: &Session, message: Incoming<'_>) {
        let settings = &self.router.settings;
        let decoded = settings.parser.decode(&mut self.decoder, &settings.limits, message);
        if self.join_by.is_some() && self.seats.was_in() {
            self.join_by = None;
        }
        if self.decoder.is_waiting() {
            let waiting = self.waiting.get_or_insert_with(|| {
                let hold = session.core().budget().hold(BudgetPart::Reading);
                Box::new(Waiting { until: now() + settings.attachments_timeout, kept: 0, hold })
            });
            let kept = self.decoder.held();
            session.keep(std::mem::replace(&mut waiting.kept, kept), kept);
            waiting.hold.set(kept);
        } else {
            self.forget_waiting(session);
        }
        match decoded {
            Ok(Some(packet)) => self.packet(session, packet),
            Ok(None) => {}
            Err(error) => self.broke(session, error),
        }
    }

    fn forget_waiting(&mut self, session: &Session) {
        if let Some(waiting) = self.waiting.take() {
            session.keep(waiting.kept, 0);
        }
    }

    fn packet(&mut self, session: &Session, packet: Packet) {
        let Packet { namespace, kind } = packet;
        match kind {
            Kind::Event { name, args, id } => match self.seat(&namespace) {
                Some(peer) if peer.is_connected() => {
                    dispatch::event(peer, Heard::event(name, args, id));
                }
                // It is just being disconnected.
                Some(_) => {}
                None => self.strayed(session, &namespace, "an event for a namespace that it is not in"),
            },
            Kind::Ack { args, id } => match self.seat(&namespace) {
                Some(peer) => dispatch::ack(peer, id, args),
                None => self.strayed(session, &namespace, "an ack for a namespace that it is not in"),
            },
            Kind::Connect(auth) => self.connect(session, namespace, auth.unwrap_or_default()),
            Kind::Disconnect => match self.seats.give_up(&namespace) {
                Some(peer) => depart::depart(&peer, DisconnectReason::ClientNamespaceDisconnect),
                None => self.strayed(session, &namespace, "a farewell to a namespace that it is not in"),
            },
            Kind::ConnectError(_) => self.misbehaved(session, &namespace, "a packet that only servers send"),
        }
    }

    /// The client's socket in this namespace.
    fn seat(&mut self, namespace: &Namespace) -> Option<&Arc<Peer>> {
        // A socket that has left may have been followed by another.
        let is_near = |peer: &Arc<Peer>| peer.is_connected() && peer.space.name == *namespace;
        if !self.nearest.as_ref().is_some_and(is_near) {
            self.nearest = self.seats.get(namespace);
        }
        self.nearest.as_ref()
    }

    /// The client asks for a namespace.
    fn connect(&self, session: &Session, name: Namespace, auth: Args) {
        let is_old = session.protocol() == Protocol::V3;
        let (name, auth) = if is_old { enter::named_by_version_2(&name) } else { (name, auth) };
        let entrant = || Entrant {
            router: Arc::clone(&self.router),
            session: session.clone(),
            seats: Arc::clone(&self.seats),
            in_flight: Arc::clone(&self.in_flight),
            name: name.clone(),
            auth: auth.clone(),
        };
        let next = || -> Next {
            let entrant = entrant();
            Box::new(move || entrant.session.clone().run(move |_| enter::enter(entrant)))
        };
        let is_leaving = |peer: &Peer| peer.stage() == Stage::Disconnected;
        match self.seats.ask(&name, self.router.settings.max_namespaces, is_leaving, next) {
            Ok(Asked::Now) => enter::enter(entrant()),
            // Another thread sees the one off that was here before.
            Ok(Asked::Later) => {}
            // It was let in unasked, and asks all the same.
            Err(Unasked::Twice) if is_old && name.is_root() => {}
            Err(Unasked::Twice) => self.misbehaved(session, &name, "a request for a namespace that it has asked for"),
            Err(Unasked::TooMany) => {
                session.hit(Limit::Namespaces);
                self.misbehaved(session, &name, "a request for one namespace too many");
            }
        }
    }

    /// The client broke a rule of the protocol: its sockets are told, and it is closed.
    fn broke(&self, session: &Session, error: DecodeError) {
        match error {
            DecodeError::TooBig { .. } => session.hit(Limit::PacketBytes),
            DecodeError::TooManyAttachments { .. } => session.hit(Limit::Attachments),
            DecodeError::TooDeep { .. } => session.hit(Limit::Depth),
            _ => {}
        }
        tracing::debug!(peer = %session.handshake().peer(), %error, "a client sent what is no packet, and is closed");
        for peer in &self.seats.all() {
            fail(peer, &Heard::news("error", Args::default()), &error, &Args::default());
        }
        session.close(CloseReason::ForcedClose);
    }

    /// The client sent a packet for a namespace that it is not in. One that was taken out may not know it yet.
    fn strayed(&self, session: &Session, namespace: &Namespace, what: &str) {
        if !self.seats.has_left(namespace) {
            self.misbehaved(session, namespace, what);
        }
    }

    /// The client sent a packet that makes no sense here.
    fn misbehaved(&self, session: &Session, namespace: &Namespace, what: &str) {
        tracing::debug!(peer = %session.handshake().peer(), %namespace, "a client sent {what}, and is closed");
        for peer in &self.seats.end() {
            depart::depart(peer, DisconnectReason::ForcedServerClose);
        }
        session.close(CloseReason::ForcedClose);
    }
}

impl Conversation<Session> for Client {
    fn message(&mut self, session: &Session, message: MessageRef<'_>) {
        match message {
            MessageRef::Text(text) => self.take(session, Incoming::Text(text)),
            MessageRef::Binary(bytes) => self.take(session, Incoming::Binary(bytes.to_vec().into())),
        }
    }

    fn owned_message(&mut self, session: &Session, message: Message) {
        match message {
            Message::Text(text) => self.take(session, Incoming::OwnedText(text.into_bytes())),
            Message::Binary(bytes) => self.take(session, Incoming::Binary(bytes)),
        }
    }

    fn alive(&mut self, _: &Session) {
        // One that was disconnected is kept no longer than from pong to pong.
        self.nearest.take_if(|peer| !peer.is_connected());
        if let Some(recovery) = &self.router.recovery {
            let newest = recovery.newest();
            let confirmed = self.seats.confirm(newest);
            for peer in &self.seats.all() {
                peer.confirmed.fetch_max(confirmed, Ordering::AcqRel);
            }
        }
    }

    fn upgraded(&mut self, session: &Session) {
        for peer in &self.seats.all() {
            dispatch::upgraded(peer, session.transport());
        }
    }

    fn deadline(&self) -> Option<Instant> {
        let whole_by = self.waiting.as_ref().map(|waiting| waiting.until);
        [self.join_by, whole_by].into_iter().flatten().min()
    }

    fn on_deadline(&mut self, session: &Session, now: Instant) {
        let peer = session.handshake().peer();
        if self.waiting.as_ref().is_some_and(|waiting| waiting.until <= now) {
            tracing::debug!(%peer, "the attachments of a packet do not come; its client is closed");
            session.hit(Limit::AttachmentsTime);
        } else if self.join_by.take_if(|deadline| *deadline <= now).is_some() && !self.seats.was_in() {
            tracing::debug!(%peer, "a client has joined no namespace in time, and is closed");
            session.hit(Limit::ConnectTime);
        } else {
            return;
        }
        self.forget_waiting(session);
        session.close(CloseReason::ForcedClose);
    }

    /// Its sockets are told that they are disconnected; the session is closed by whoever calls this.
    fn overloaded(&mut self, session: &Session) {
        tracing::debug!(peer = %session.handshake().peer(), "memory is short, and a client that much is held for has to go");
        for peer in &self.seats.end() {
            depart::dismiss_for(peer, DisconnectReason::ForcedServerClose);
        }
        self.decoder = Decoder::new();
        self.forget_waiting(session);
    }

    fn closed(&mut self, _: &Session, reason: CloseReason) {
        for peer in &self.seats.end() {
            depart::depart(peer, reason.into());
        }
    }
}
