//! What clients say by polling: a POST brings as many packets as its body holds, and is answered when they were heard.

use std::borrow::Cow;
use std::future::poll_fn;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::{Buf as _, Bytes, BytesMut};
use http::header::{CONNECTION, CONTENT_LENGTH, CONTENT_TYPE};
use http::request::Parts;
use http::{HeaderMap, HeaderValue, StatusCode};
use http_body::{Body, Frame};
use switchboard_io_proto::engine::payload::{self, Packets};
use switchboard_io_proto::engine::{CloseReason, Event, Packet, PacketError, Protocol, Query, Transport};
use switchboard_ws::{BudgetHold, BudgetPart, Stint};
use tokio::time::timeout;

use super::answer::{self, Answer};
use super::clock::now;
use super::limit::Limit;
use super::polling::refuse;
use super::session::{Call, Session, State};

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
        Ok(Err(ReadError::TooLong)) => {
            posting.finish();
            session.core().metrics.too_large();
            return answer::empty(StatusCode::PAYLOAD_TOO_LARGE);
        }
        // The client may send it again; its session goes on.
        Ok(Err(ReadError::OutOfMemory)) => {
            posting.finish();
            return answer::empty(StatusCode::SERVICE_UNAVAILABLE);
        }
        // The client is gone: nobody reads this.
        Ok(Err(ReadError::Failed)) => return answer::empty(StatusCode::BAD_REQUEST),
    };
    hear(session, query, is_binary, &body, &mut hold).await;
    drop((body, hold));
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

/// Why a body was not read to its end.
enum ReadError {
    TooLong,
    OutOfMemory,
    Failed,
}

/// The whole body, if it is not longer than it may be and there is memory for it.
async fn read<B: Body>(session: &Session, body: B, headers: &HeaderMap) -> Result<(Bytes, BudgetHold), ReadError> {
    let limit = session.core().proto.max_payload;
    let budget = session.core().budget();
    let mut hold = budget.hold(BudgetPart::Polling);
    let told = headers.get(CONTENT_LENGTH).and_then(|length| length.to_str().ok()?.parse::<u64>().ok());
    if told.is_some_and(|told| told > limit as u64) {
        return Err(ReadError::TooLong);
    }
    let mut body = std::pin::pin!(body);
    let mut whole = BytesMut::new();
    while let Some(frame) = poll_fn(|cx| poll_frame(session, body.as_mut(), cx)).await {
        let frame = frame?;
        let Ok(mut data) = frame.into_data() else { continue };
        if data.remaining() > limit - whole.len() {
            return Err(ReadError::TooLong);
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
) -> Poll<Option<Result<Frame<B::Data>, ReadError>>> {
    let mut state = session.lock();
    if state.machine.ended().is_some() {
        return Poll::Ready(Some(Err(ReadError::Failed)));
    }
    state.poster = Some(cx.waker().clone());
    drop(state);
    body.poll_frame(cx).map_err(|_| ReadError::Failed)
}

/// Room for so many bytes more, counted before it is allocated. It grows by what has come, at most to double.
fn make_room(whole: &mut BytesMut, more: usize, limit: usize, hold: &mut BudgetHold) -> Result<(), ReadError> {
    let (needed, before) = (whole.len() + more, whole.capacity());
    if needed <= before {
        return Ok(());
    }
    let capacity = needed.max((2 * before).min(limit));
    hold.try_set(before + capacity).map_err(|_| ReadError::OutOfMemory)?;
    let mut larger = BytesMut::with_capacity(capacity);
    larger.extend_from_slice(whole);
    *whole = larger;
    hold.set(capacity);
    Ok(())
}

/// Tells the session what a body holds. `hold` counts what is read from it too.
///
/// Cancelled, the packets that are left are not heard.
async fn hear(session: &Session, query: &Query, is_binary: bool, body: &[u8], hold: &mut BudgetHold) {
    if is_binary && query.jsonp.is_none() {
        return hear_packets(session, payload::decode_binary_v3(body)).await;
    }
    // As in Node: what is no UTF-8 is U+FFFD, which has three bytes for perhaps one.
    let mut text = String::from_utf8_lossy(body);
    if let Cow::Owned(text) = &text {
        hold.set(body.len() + text.len());
    }
    if query.jsonp.is_some() {
        let Some(form) = payload::decode_jsonp_form(&text) else { return };
        text = form.into();
    }
    hear_packets(session, payload::decode(session.protocol(), &text)).await;
}

/// A session that is paused hears the next packet when it goes on, as by a WebSocket.
async fn hear_packets(session: &Session, packets: Packets<'_>) {
    let mut stint = Stint::new();
    for packet in packets {
        hear_packet(session, packet);
        if session.is_paused() {
            poll_fn(|cx| poll_resumed(session, cx)).await;
        } else if stint.is_over() {
            tokio::task::yield_now().await;
            stint = Stint::new();
        }
    }
}

fn hear_packet(session: &Session, packet: Result<Packet<'_>, PacketError>) {
    let is_pong = session.protocol() == Protocol::V4 && matches!(packet, Ok(Packet::Pong(_)));
    let mut state = session.lock();
    match state.machine.receive(Transport::Polling, packet, now()) {
        Some(Event::Message(data)) => drop(session.tell(state, Call::of(data))),
        _ if is_pong && state.machine.is_open() && !state.ping_is_ahead => drop(session.tell(state, Call::Alive)),
        _ => session.follow(state),
    }
}

fn poll_resumed(session: &Session, cx: &mut Context<'_>) -> Poll<()> {
    let mut state = session.lock();
    if !session.is_paused() || state.machine.ended().is_some() {
        return Poll::Ready(());
    }
    state.poster = Some(cx.waker().clone());
    Poll::Pending
}

#[cfg(test)]
mod tests {
    use std::pin::pin;
    use std::sync::{Arc, Mutex};
    use std::task::Waker;

    use switchboard_ws::MessageRef;

    use super::super::session::tests::open;
    use super::*;
    use crate::engine::{App, Conversation};

    /// Pauses when the client says so, and takes long for what is "slow".
    #[derive(Clone, Default)]
    struct Listener {
        heard: Arc<Mutex<Vec<String>>>,
    }

    impl Listener {
        fn count(&self) -> usize {
            self.heard.lock().expect("no panic").len()
        }
    }

    impl App<Session> for Listener {
        fn open(&self, _: &Session) -> Box<dyn Conversation<Session>> {
            Box::new(self.clone())
        }
    }

    impl Conversation<Session> for Listener {
        fn message(&mut self, session: &Session, message: MessageRef<'_>) {
            let MessageRef::Text(text) = message else { panic!("a text") };
            self.heard.lock().expect("no panic").push(text.to_owned());
            match text {
                "pause" => session.pause(),
                "slow" => std::thread::sleep(std::time::Duration::from_millis(1)),
                _ => {}
            }
        }
    }

    fn poll_once(hearing: Pin<&mut impl Future<Output = ()>>) -> Poll<()> {
        hearing.poll(&mut Context::from_waker(Waker::noop()))
    }

    #[tokio::test]
    async fn a_post_of_many_packets_does_not_keep_the_thread_to_itself() {
        let listener = Listener::default();
        let session = open(listener.clone(), Transport::Polling);
        let body = vec!["4slow"; 40].join("\x1e");
        let mut hearing = pin!(hear_packets(&session, payload::decode(Protocol::V4, &body)));
        for heard in [16, 32] {
            assert!(poll_once(hearing.as_mut()).is_pending());
            assert_eq!(listener.count(), heard);
        }
        assert!(poll_once(hearing).is_ready());
        assert_eq!(listener.count(), 40);
    }

    #[tokio::test]
    async fn the_rest_of_a_post_waits_for_the_end_of_a_pause() {
        let listener = Listener::default();
        let session = open(listener.clone(), Transport::Polling);
        let body = "4a\x1e4pause\x1e4b\x1e4pause\x1e4c";
        let mut hearing = pin!(hear_packets(&session, payload::decode(Protocol::V4, body)));
        for heard in [2, 4] {
            assert!(poll_once(hearing.as_mut()).is_pending());
            assert!(poll_once(hearing.as_mut()).is_pending(), "as long as it takes");
            assert_eq!(listener.count(), heard);
            session.resume();
        }
        assert!(poll_once(hearing).is_ready());
        assert_eq!(*listener.heard.lock().expect("no panic"), ["a", "pause", "b", "pause", "c"]);
    }

    /// So much of a POST as was not heard yet when the session moved is no way around a pause.
    #[tokio::test]
    async fn a_pause_outlives_the_move_to_a_websocket() {
        let listener = Listener::default();
        let session = open(listener.clone(), Transport::Polling);
        session.act(|state| state.machine.post_begin()).expect("it is the first");
        let mut hearing = pin!(hear_packets(&session, payload::decode(Protocol::V4, "4pause\x1e4b")));
        assert!(poll_once(hearing.as_mut()).is_pending());
        session.act(|state| {
            state.machine.attach(false, now()).expect("it is polling");
            for packet in [Packet::Ping("probe".into()), Packet::Upgrade] {
                state.machine.receive(Transport::WebSocket, Ok(packet), now());
            }
            state.polling = None;
        });
        assert_eq!(session.transport(), Transport::WebSocket);
        assert!(poll_once(hearing.as_mut()).is_pending());
        session.resume();
        assert!(poll_once(hearing).is_ready());
        assert_eq!(listener.count(), 2);
    }
}
