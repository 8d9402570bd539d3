//! Polls: a GET waits until there is something to tell the client, and fetches it.

use std::task::{Context, Poll};

use bytes::Bytes;
use http::header::{CONTENT_ENCODING, VARY};
use http::{HeaderValue, StatusCode};
use switchboard_io_proto::engine::payload::{self, Payload};
use switchboard_io_proto::engine::{
    BadRequest, Encoding, HandshakeError, Out, Packet, PacketError, Protocol, RequestError, Transport, open_packet,
};
use switchboard_ws::{Budget, BudgetHold, BudgetPart, Kind, Parcel, Prepared};

use super::answer::{self, Answer};
use super::clock::now;
use super::compression::Coding;
use super::forms;
use super::session::{Core, Session};

/// A poll that has begun. Dropped before it is answered, the client has given it up, and the session ends.
pub(crate) struct Polling {
    session: Session,
    answered: bool,
}

/// What a poll is answered with.
pub(crate) struct Told {
    outs: Vec<Out<Parcel>>,
    encoding: Encoding,
}

impl Polling {
    pub(crate) fn core(&self) -> &Core {
        self.session.core()
    }

    /// A poll begins.
    ///
    /// # Errors
    /// It must not: [`refuse`] has the answer.
    pub(crate) fn begin(session: &Session) -> Result<Self, RequestError> {
        let began = session.act(|state| {
            let now = now();
            if state.machine.transport() == Transport::Polling {
                // The clock may be a moment late: a client that comes after its time is to find its session over.
                state.machine.handle_timeout(now);
            }
            let began = state.machine.poll_begin(now);
            if let (Ok(()), Some(polling)) = (&began, &state.polling) {
                // Somebody listens: what is for those alone is taken.
                polling.outbox.settle();
            }
            began
        });
        began?;
        Ok(Self { session: session.clone(), answered: false })
    }

    /// What there is to tell; the task is woken when there is something. `first`: it is the poll that opened the
    /// session. As in Node its answer is the handshake and no more: clients read it so.
    pub(crate) fn poll_told(&mut self, first: bool, cx: &mut Context<'_>) -> Poll<Told> {
        let told = poll_answer(&self.session, first, cx);
        self.answered |= told.is_ready();
        told
    }

    /// The answer, as the request wants it: as a script for this callback, and in this coding if it is long.
    pub(crate) fn write(&self, told: Told, jsonp: Option<u32>, coding: impl FnOnce() -> Option<Coding>) -> Answer {
        write(&self.session, told, jsonp, coding)
    }
}

impl Drop for Polling {
    fn drop(&mut self) {
        if !self.answered {
            self.session.act(|state| state.machine.poll_abort());
        }
    }
}

fn poll_answer(session: &Session, first: bool, cx: &mut Context<'_>) -> Poll<Told> {
    let mut state = session.lock();
    session.check_outbox(&mut state);
    if !first {
        state.fetch(session.core().proto.max_payload, cx);
    }
    let Some(outs) = state.take_answer() else {
        if let Some(polling) = &mut state.polling {
            polling.poller = Some(cx.waker().clone());
        }
        // Its deadline may be nearer now.
        session.follow(state);
        return Poll::Pending;
    };
    if let Some(polling) = &mut state.polling {
        polling.poller = None;
        polling.outbox.stall();
    }
    let encoding = state.machine.encoding();
    session.follow(state);
    Poll::Ready(Told { outs, encoding })
}

fn write(
    session: &Session,
    Told { outs, encoding }: Told,
    jsonp: Option<u32>,
    coding: impl FnOnce() -> Option<Coding>,
) -> Answer {
    // As in Node: one packet that may be compressed is enough.
    let may_compress = outs.iter().any(|out| !matches!(out, Out::Message(parcel) if !parcel.is_compressed()));
    let pieces: Vec<Piece> = outs.into_iter().map(|out| Piece::new(session, out)).collect();
    let packets: Vec<Packet<'_>> = pieces.iter().flat_map(|piece| piece.packets(encoding.protocol)).collect();
    let (kind, body) = match (payload::encode(&packets, encoding), jsonp) {
        (Payload::Text(text), Some(j)) => (answer::SCRIPT, Bytes::from(payload::jsonp_script(j, &text))),
        (Payload::Text(text), None) => (answer::TEXT, Bytes::from(text)),
        (Payload::Binary(bytes), _) => (answer::BYTES, Bytes::from(bytes)),
    };
    let budget = session.core().budget();
    let compression = session.core().config.http_compression.filter(|_| may_compress);
    let compressed = compression.and_then(|compression| compression.compress(&body, coding));
    let Some((coding, compressed)) = compressed else {
        return answer::with_body(StatusCode::OK, kind, counted(body, budget));
    };
    let mut answer = answer::with_body(StatusCode::OK, kind, counted(compressed, budget));
    answer.headers_mut().insert(CONTENT_ENCODING, HeaderValue::from_static(coding.as_str()));
    answer.headers_mut().append(VARY, HeaderValue::from_static("Accept-Encoding"));
    answer
}

/// The body of an answer, counted until it is written: a client may take its time to read it.
fn counted(body: Bytes, budget: &Budget) -> Bytes {
    if !budget.is_limited() {
        return body;
    }
    let mut hold = budget.hold(BudgetPart::Polling);
    hold.set(body.len());
    Bytes::from_owner(Counted { body, _hold: hold })
}

struct Counted {
    body: Bytes,
    _hold: BudgetHold,
}

impl AsRef<[u8]> for Counted {
    fn as_ref(&self) -> &[u8] {
        &self.body
    }
}

/// Something to be written, that packets borrow from.
enum Piece {
    Packet(Packet<'static>),
    Frames(Vec<(Kind, Bytes)>),
}

impl Piece {
    fn new(session: &Session, out: Out<Parcel>) -> Self {
        let config = &session.core().proto;
        if let Some(packet) = out.control() {
            return Self::Packet(packet);
        }
        match out {
            Out::Open => {
                let packet = open_packet(session.sid(), config, Transport::Polling);
                Self::Packet(Packet::Open(packet[1..].to_owned().into()))
            }
            Out::Message(parcel) => {
                let frames = parcel.frames(forms::polling_form(session.protocol()));
                let frame = |frame: &Prepared| (frame.kind(), frame.payload());
                Self::Frames(frames.iter().map(frame).collect())
            }
            _ => config
                .initial_packet
                .clone()
                .map_or(Self::Packet(Packet::Noop), |message| Self::Packet(Packet::Message(message))),
        }
    }

    fn packets(&self, protocol: Protocol) -> Vec<Packet<'_>> {
        match self {
            Self::Packet(packet) => vec![packet.clone()],
            Self::Frames(frames) => frames.iter().filter_map(|(kind, bytes)| packet(*kind, bytes, protocol)).collect(),
        }
    }
}

fn packet(kind: Kind, bytes: &[u8], protocol: Protocol) -> Option<Packet<'_>> {
    let packet = match kind {
        Kind::Text => {
            let text = std::str::from_utf8(bytes).map_err(|_| PacketError::InvalidUtf8);
            text.and_then(|text| Packet::from_text(protocol, text))
        }
        Kind::Binary => Packet::from_binary(protocol, bytes),
    };
    packet.inspect_err(|error| tracing::warn!(%error, "a parcel that is no packet was not sent")).ok()
}

/// The answer to a request that cannot be served.
pub(crate) fn refuse(error: RequestError) -> Answer {
    match error {
        RequestError::Overlap => answer::empty(StatusCode::BAD_REQUEST),
        RequestError::Closed => answer::refusal(&HandshakeError::UnknownSid),
        RequestError::Upgraded => answer::refusal(&BadRequest::TransportMismatch.into()),
    }
}
