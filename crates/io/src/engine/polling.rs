//! Polling requests: a GET waits until there is something to tell and fetches it, a POST brings what the client says.

use std::borrow::Cow;
use std::future::poll_fn;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::{Buf as _, Bytes, BytesMut};
use http::header::{CONNECTION, CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE, VARY};
use http::request::Parts;
use http::{HeaderMap, HeaderValue, StatusCode};
use http_body::{Body, Frame};
use switchboard_io_proto::engine::payload::{self, Packets, Payload};
use switchboard_io_proto::engine::{
    BadRequest, CloseReason, Encoding, Event, HandshakeError, Out, Packet, PacketError, Protocol, Query, RequestError,
    Transport, open_packet,
};
use switchboard_ws::{Budget, BudgetHold, BudgetPart, Kind, Parcel, Prepared};
use tokio::time::timeout;

use super::answer::{self, Answer};
use super::clock::now;
use super::compression::Coding;
use super::forms;
use super::limit::Limit;
use super::session::{Call, Core, Session, State};

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

/// What a POST brings. Dropped before the body has come, the client has given it up, and the session ends; so does that
/// of a client whose body does not come in time.
pub(crate) async fn post<B>(session: &Session, query: &Query, parts: &Parts, body: B) -> Answer
where
    B: Body,
{
    if let Err(error) = session.act(|state| state.machine.post_begin()) {
        return refuse(error);
    }
    let mut posting = Posting { session, done: false };
    let is_binary = parts.headers.get(CONTENT_TYPE).is_some_and(|kind| kind == answer::BYTES);
    if is_binary && session.protocol() == Protocol::V4 {
        session.act(|state| state.machine.abort(CloseReason::TransportError));
        posting.done = true;
        return answer::empty(StatusCode::BAD_REQUEST);
    }
    let reading = read(session, body, &parts.headers);
    let (body, mut hold) = match timeout(session.core().config.body_timeout, reading).await {
        Ok(Ok(read)) => read,
        Err(_) => {
            session.hit(Limit::BodyTime);
            let mut answer = answer::empty(StatusCode::REQUEST_TIMEOUT);
            answer.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
            return answer;
        }
        Ok(Err(Unread::TooLong)) => {
            posting.finish();
            session.core().metrics.too_large();
            return answer::empty(StatusCode::PAYLOAD_TOO_LARGE);
        }
        // The client may send it again; its session goes on.
        Ok(Err(Unread::OutOfMemory)) => {
            posting.finish();
            return answer::empty(StatusCode::SERVICE_UNAVAILABLE);
        }
        // The client is gone: nobody reads this.
        Ok(Err(Unread::Failed)) => return answer::empty(StatusCode::BAD_REQUEST),
    };
    hear(session, query, is_binary, &body, &mut hold);
    drop((body, hold));
    poll_fn(|cx| poll_resumed(session, cx)).await;
    posting.finish();
    // As in Node also when that has ended the session, which the next poll tells.
    answer::with_body(StatusCode::OK, answer::HTML, "ok")
}

/// Ends a session whose client gives a POST up.
struct Posting<'a> {
    session: &'a Session,
    done: bool,
}

impl Posting<'_> {
    fn finish(&mut self) {
        self.done = true;
        self.session.act(|state| {
            state.machine.post_end();
            set_posted(state, 0);
        });
    }
}

impl Drop for Posting<'_> {
    fn drop(&mut self) {
        if !self.done {
            self.session.act(|state| {
                state.machine.post_abort();
                set_posted(state, 0);
            });
        }
    }
}

fn set_posted(state: &State, bytes: usize) {
    if let Some(polling) = &state.polling {
        polling.holding.set_posted(bytes);
    }
}

enum Unread {
    TooLong,
    OutOfMemory,
    Failed,
}

/// The whole body, if it is not longer than it may be and there is memory for it.
async fn read<B: Body>(session: &Session, body: B, headers: &HeaderMap) -> Result<(Bytes, BudgetHold), Unread> {
    let limit = session.core().proto.max_payload;
    let budget = session.core().budget();
    let mut hold = budget.hold(BudgetPart::Polling);
    let told = headers.get(CONTENT_LENGTH).and_then(|length| length.to_str().ok()?.parse::<u64>().ok());
    if told.is_some_and(|told| told > limit as u64) {
        return Err(Unread::TooLong);
    }
    let mut body = std::pin::pin!(body);
    let mut whole = BytesMut::new();
    while let Some(frame) = poll_fn(|cx| poll_frame(session, body.as_mut(), cx)).await {
        let frame = frame?;
        let Ok(mut data) = frame.into_data() else { continue };
        if data.remaining() > limit - whole.len() {
            return Err(Unread::TooLong);
        }
        make_room(&mut whole, data.remaining(), limit, &mut hold)?;
        if budget.is_limited() {
            set_posted(&session.lock(), whole.capacity());
            budget.relieve();
        }
        while data.has_remaining() {
            let chunk = data.chunk();
            whole.extend_from_slice(chunk);
            let count = chunk.len();
            data.advance(count);
        }
    }
    Ok((whole.freeze(), hold))
}

/// The next piece of a body, for as long as the session is not over.
fn poll_frame<B: Body>(
    session: &Session,
    body: Pin<&mut B>,
    cx: &mut Context<'_>,
) -> Poll<Option<Result<Frame<B::Data>, Unread>>> {
    let mut state = session.lock();
    if state.machine.ended().is_some() {
        return Poll::Ready(Some(Err(Unread::Failed)));
    }
    if let Some(polling) = &mut state.polling {
        polling.poster = Some(cx.waker().clone());
    }
    drop(state);
    body.poll_frame(cx).map_err(|_| Unread::Failed)
}

/// Room for so many bytes more, counted before it is allocated. It grows by what has come, at most to double.
fn make_room(whole: &mut BytesMut, more: usize, limit: usize, hold: &mut BudgetHold) -> Result<(), Unread> {
    let (needed, before) = (whole.len() + more, whole.capacity());
    if needed <= before {
        return Ok(());
    }
    let capacity = needed.max((2 * before).min(limit));
    hold.try_set(before + capacity).map_err(|_| Unread::OutOfMemory)?;
    let mut larger = BytesMut::with_capacity(capacity);
    larger.extend_from_slice(whole);
    *whole = larger;
    hold.set(capacity);
    Ok(())
}

/// Tells the session what a body holds. `hold` counts what is read from it too.
fn hear(session: &Session, query: &Query, is_binary: bool, body: &[u8], hold: &mut BudgetHold) {
    if is_binary && query.jsonp.is_none() {
        return hear_packets(session, payload::decode_binary_v3(body));
    }
    // As in Node: what is no UTF-8 is U+FFFD, which has three bytes for perhaps one.
    let text = String::from_utf8_lossy(body);
    if let Cow::Owned(text) = &text {
        hold.set(body.len() + text.len());
    }
    match query.jsonp {
        None => hear_packets(session, payload::decode(session.protocol(), &text)),
        Some(_) => {
            if let Some(text) = payload::decode_jsonp_form(&text) {
                hear_packets(session, payload::decode(session.protocol(), &text));
            }
        }
    }
}

fn hear_packets(session: &Session, packets: Packets<'_>) {
    for packet in packets {
        let is_pong = session.protocol() == Protocol::V4 && matches!(packet, Ok(Packet::Pong(_)));
        let mut state = session.lock();
        match state.machine.receive(Transport::Polling, packet, now()) {
            Some(Event::Message(data)) => drop(session.tell(state, Call::of(data))),
            _ if is_pong && state.machine.is_open() && !state.ping_is_ahead => drop(session.tell(state, Call::Alive)),
            _ => session.follow(state),
        }
    }
}

fn poll_resumed(session: &Session, cx: &mut Context<'_>) -> Poll<()> {
    let mut state = session.lock();
    let is_over = state.machine.ended().is_some();
    match &mut state.polling {
        Some(polling) if session.is_paused() && !is_over => {
            polling.poster = Some(cx.waker().clone());
            Poll::Pending
        }
        _ => Poll::Ready(()),
    }
}

/// The answer to a request that cannot be served.
pub(crate) fn refuse(error: RequestError) -> Answer {
    match error {
        RequestError::Overlap => answer::empty(StatusCode::BAD_REQUEST),
        RequestError::Closed => answer::refusal(&HandshakeError::UnknownSid),
        RequestError::Upgraded => answer::refusal(&BadRequest::TransportMismatch.into()),
    }
}
