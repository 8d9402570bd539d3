//! The HTTP service: what a request is, who may make it, and the answer with all its headers.

use std::convert::Infallible;
use std::fmt;
use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::task::{Context, Poll};

use bytes::Bytes;
use http::header::{ORIGIN, SET_COOKIE};
use http::request::Parts;
use http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode};
use http_body::Body;
use http_body_util::Full;
use switchboard_hub::Outbox;
use switchboard_io_proto::engine::{
    self, Applicant, BadRequest, HandshakeError, Known, Query, Sid, Transport, Verdict,
};
use switchboard_ws::{Admitted, NoRoom, PeerAddr, is_upgrade};
use tower_service::Service;

use super::answer::{self, Answer, EngineBody};
use super::compression::Coding;
use super::cors::may_open_websocket;
use super::handshake::Handshake;
use super::hooks::{ConnectionError, Stop};
use super::limit::Limit;
use super::polling::{self, Polling, Told};
use super::posting;
use super::registry::Taken;
use super::session::{Call, Core, Session};
use super::unread::Unread;
use super::websocket::{EngineSocket, Opening};

/// Answers every request as one for the engine, whatever its path: what is not the engine's is for a
/// [layer](super::EngineLayer) or a router to see to. Always ready; clones share everything.
///
/// WebSockets need a server that serves connections `with_upgrades()`, as `axum::serve` does. The peer's address is
/// taken from the request's extensions: see [`PeerAddr::of`](switchboard_ws::PeerAddr::of).
#[derive(Clone)]
pub struct EngineService {
    pub(crate) core: Arc<Core>,
}

impl fmt::Debug for EngineService {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EngineService").field("config", &self.core.config).finish_non_exhaustive()
    }
}

/// The future of an answer.
pub(crate) type Answering = Pin<Box<dyn Future<Output = Result<Response<EngineBody>, Infallible>> + Send>>;

impl<B> Service<Request<B>> for EngineService
where
    B: Body + Send + 'static,
    B::Data: Send,
{
    type Response = Response<EngineBody>;
    type Error = Infallible;
    type Future = Answering;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<B>) -> Answering {
        let core = Arc::clone(&self.core);
        Box::pin(async move { Ok(answer(&core, request).await.map(Full::new)) })
    }
}

/// The answer to a request that is the engine's.
pub(crate) async fn answer<B>(core: &Arc<Core>, request: Request<B>) -> Answer
where
    B: Body + Send + 'static,
    B::Data: Send,
{
    let (parts, body) = request.into_parts();
    let counted = Arc::clone(core);
    let body = Unread::new(body, &parts.headers, core.config.body_timeout)
        .on_cut(move || counted.metrics.hit(Limit::UnreadBody));
    // In a box of its own: it is large, and nothing of it is needed while a poll waits.
    let begun = Box::pin(begin(core, Request::from_parts(parts, body))).await;
    match begun {
        Begun::Done(answer) => answer,
        Begun::Waits(mut waiting) => poll_fn(|cx| waiting.poll_answer(cx)).await,
    }
}

/// What has become of a request.
pub(crate) enum Begun {
    Done(Answer),
    Waits(Box<Waiting>),
}

/// Answers a request that is the engine's, but for a poll for which there is nothing yet. What is not read of the body
/// is for the caller to see to.
pub(crate) async fn begin<B: Body>(core: &Arc<Core>, request: Request<B>) -> Begun {
    let (parts, body) = request.into_parts();
    let parts = Arc::new(parts);
    if let (Some(cors), &Method::OPTIONS) = (&core.config.cors, &parts.method) {
        let mut answer = answer::empty(StatusCode::NO_CONTENT);
        cors.write_preflight(&parts.headers, answer.headers_mut());
        return Begun::Done(answer);
    }
    let origin = parts.headers.get(ORIGIN);
    if let Some(mut answer) = core.config.file(&parts) {
        if let Some(cors) = &core.config.cors {
            cors.write(origin, answer.headers_mut());
        }
        return Begun::Done(answer);
    }
    let query = Query::parse(parts.uri.query().unwrap_or_default());
    let upgrade = is_upgrade(&parts.headers);
    let mut extra = HeaderMap::new();
    let served = match core.config.hooks.run_middlewares(&parts).await {
        Ok(headers) => {
            extra = headers;
            serve(core, &parts, &query, upgrade, body).await
        }
        Err(Stop::Answer(answer)) => return Begun::Done(*answer),
        Err(Stop::Failed(detail)) => Err(Failure { error: BadRequest::Middleware.into(), detail: Some(detail) }),
    };
    let answer = match served {
        Ok(Served::Answer(answer)) => answer,
        Ok(Served::Poll(poll)) => return Begun::Waits(Box::new(Waiting::new(core, parts, &query, poll, extra))),
        Err(failure) => refuse(core, &parts, upgrade, &failure),
    };
    Begun::Done(with_last_headers(core, answer, origin, extra))
}

fn with_last_headers(core: &Core, mut answer: Answer, origin: Option<&HeaderValue>, extra: HeaderMap) -> Answer {
    if let Some(cors) = &core.config.cors {
        cors.write(origin, answer.headers_mut());
    }
    answer.headers_mut().extend(extra);
    answer
}

/// A poll that waits for something to tell. Of its request it keeps what the answer needs: clients wait for most of
/// their time, and headers are large. Dropped, the client has given it up, and the session ends.
pub(crate) struct Waiting {
    poll: Polling,
    jsonp: Option<u32>,
    coding: Option<Coding>,
    is_explorer: bool,
    origin: Option<Box<HeaderValue>>,
    extra: Option<Box<HeaderMap>>,
    /// For the application, which may want to see it again.
    parts: Option<Arc<Parts>>,
}

impl Waiting {
    fn new(core: &Arc<Core>, parts: Arc<Parts>, query: &Query, poll: Polling, extra: HeaderMap) -> Self {
        let headers = &parts.headers;
        let config = &core.config;
        Self {
            poll,
            jsonp: query.jsonp,
            coding: config.http_compression.and_then(|_| Coding::for_poll(headers)),
            is_explorer: answer::is_explorer(headers),
            origin: config.cors.as_ref().and_then(|_| headers.get(ORIGIN)).cloned().map(Box::new),
            extra: (!extra.is_empty()).then(|| Box::new(extra)),
            parts: config.hooks.change_polls().then_some(parts),
        }
    }

    /// The answer, once there is something to tell.
    pub(crate) fn poll_answer(&mut self, cx: &mut Context<'_>) -> Poll<Answer> {
        self.poll.poll_told(false, cx).map(|told| self.write(told))
    }

    fn write(&mut self, told: Told) -> Answer {
        let mut answer = self.poll.write(told, self.jsonp, || self.coding);
        answer::finish(&mut answer, self.is_explorer);
        if let Some(parts) = &self.parts {
            self.poll.core().config.hooks.change_headers(false, answer.headers_mut(), parts);
        }
        let extra = self.extra.take().map_or_else(HeaderMap::new, |extra| *extra);
        with_last_headers(self.poll.core(), answer, self.origin.as_deref(), extra)
    }
}

/// What a request that was let in has come to.
enum Served {
    Answer(Answer),
    /// There is nothing to tell yet.
    Poll(Polling),
}

/// Why a request is refused.
struct Failure {
    error: HandshakeError,
    detail: Option<String>,
}

impl<E: Into<HandshakeError>> From<E> for Failure {
    fn from(error: E) -> Self {
        Self { error: error.into(), detail: None }
    }
}

fn refuse(core: &Core, parts: &Parts, upgrade: bool, failure: &Failure) -> Answer {
    let Failure { error, detail } = failure;
    core.metrics.refuse(error);
    core.config.hooks.tell(&ConnectionError { request: parts, error, detail: detail.as_deref() });
    if upgrade { answer::refused_upgrade(error) } else { answer::refusal(error) }
}

/// There is no place for another session.
fn turn_away(core: &Core, no_room: NoRoom, upgrade: bool) -> Answer {
    core.metrics.hit(match no_room {
        NoRoom::FromAddress => Limit::AddressSessions,
        _ => Limit::Sessions,
    });
    answer::full(no_room, upgrade)
}

async fn serve<B: Body>(
    core: &Arc<Core>,
    parts: &Arc<Parts>,
    query: &Query,
    upgrade: bool,
    body: B,
) -> Result<Served, Failure> {
    let verdict = judge(core, &parts.method, &parts.headers, query, upgrade)?;
    let session = |sid: Sid| core.registry.get(&sid).ok_or(HandshakeError::UnknownSid);
    let mut is_initial = false;
    let mut answer = match verdict {
        Verdict::Open(applicant) => {
            is_initial = true;
            if core.closing.load(Ordering::Acquire) || !core.budget().admit() {
                return Ok(Served::Answer(answer::empty(StatusCode::SERVICE_UNAVAILABLE)));
            }
            // Before the application is asked: those who wait for its word are bounded as well.
            let place = match core.admit(PeerAddr::of(&parts.extensions)) {
                Ok(place) => place,
                Err(no_room) => return Ok(Served::Answer(turn_away(core, no_room, upgrade))),
            };
            core.config.hooks.ask(parts).await?;
            open(core, parts, query, (applicant, place), body).await?
        }
        Verdict::Upgrade(sid) => {
            let handler = EngineSocket::candidate(session(sid)?, query.b64, None);
            switch(core, parts, body, handler)
        }
        Verdict::Poll(sid) => match Polling::begin(&session(sid)?) {
            Ok(mut poll) => match poll_fn(|cx| Poll::Ready(poll.poll_told(false, cx))).await {
                Poll::Ready(told) => poll.write(told, query.jsonp, || Coding::for_poll(&parts.headers)),
                Poll::Pending => return Ok(Served::Poll(poll)),
            },
            Err(error) => polling::refuse(error),
        },
        Verdict::Post(sid) => posting::post(&session(sid)?, query, parts, body).await,
        // As Node does it.
        Verdict::UnknownMethod(_) => answer::empty(StatusCode::INTERNAL_SERVER_ERROR),
    };
    if answer.status() != StatusCode::SWITCHING_PROTOCOLS {
        answer::finish(&mut answer, answer::is_explorer(&parts.headers));
    }
    core.config.hooks.change_headers(is_initial, answer.headers_mut(), parts);
    Ok(Served::Answer(answer))
}

/// Judges a request, and whether its page may open a WebSocket.
pub(crate) fn judge(
    core: &Core,
    method: &Method,
    headers: &HeaderMap,
    query: &Query,
    upgrade: bool,
) -> Result<Verdict, HandshakeError> {
    let origin = headers.get(ORIGIN).map(HeaderValue::as_bytes);
    let request = engine::Request { method: method.as_str(), query: *query, upgrade, origin };
    let verdict = engine::judge(&core.proto, &request, |sid| core.registry.get(sid).map(|session| session.known()))?;
    if upgrade && !may_open_websocket(core.config.cors.as_ref(), headers) {
        return Err(HandshakeError::forbidden(None));
    }
    Ok(verdict)
}

async fn open<B: Body>(
    core: &Arc<Core>,
    parts: &Arc<Parts>,
    query: &Query,
    (applicant, place): (Applicant, Admitted),
    body: B,
) -> Result<Answer, Failure> {
    let known = applicant.admit(&core.config.session)?;
    let sid = core.config.hooks.make_id(parts)?;
    let handshake = Handshake::of(parts);
    if known.transport == Transport::WebSocket {
        let opening = Opening { core: Arc::clone(core), sid, known, b64: query.b64, handshake, place };
        return Ok(switch(core, parts, body, EngineSocket::open(opening, None)));
    }
    let Some(session) = open_polling(core, sid, known, query, (handshake, place))? else {
        return Ok(answer::empty(StatusCode::SERVICE_UNAVAILABLE));
    };
    let mut answer = match Polling::begin(&session) {
        Ok(mut poll) => {
            let told = poll_fn(|cx| poll.poll_told(true, cx)).await;
            poll.write(told, query.jsonp, || Coding::for_poll(&parts.headers))
        }
        Err(error) => polling::refuse(error),
    };
    if let Some(cookie) = core.config.cookie.as_ref().and_then(|cookie| cookie.header(&sid)) {
        answer.headers_mut().append(SET_COOKIE, cookie);
    }
    Ok(answer)
}

/// `None`: the engine closes.
fn open_polling(
    core: &Arc<Core>,
    sid: Sid,
    known: Known,
    query: &Query,
    (handshake, place): (Handshake, Admitted),
) -> Result<Option<Session>, BadRequest> {
    let outbox = Arc::new(Outbox::with_budget(core.config.outbox, core.budget()));
    // Nobody listens until there is a poll: what is for those alone is not kept.
    outbox.stall();
    let member = core.hub.join(Arc::clone(&outbox));
    let b64 = query.encoding().b64;
    let session = Session::new(core, sid, known, b64, handshake, member, Some(outbox));
    // Whoever finds it there may close it, and its conversation is to have begun by then.
    session.lock().calls.inbox.push_back(Call::Open);
    core.registry.insert(session.sid(), &session, place).map_err(|Taken| BadRequest::IdGeneration)?;
    core.metrics.open(Transport::Polling);
    let begun = session.begin();
    // Where nobody says anything nobody else finds memory short.
    core.budget().relieve();
    Ok(begun.then_some(session))
}

/// 101, and the handler that runs when it was sent.
fn switch<B>(core: &Core, parts: &Arc<Parts>, body: B, handler: EngineSocket) -> Answer {
    let mut request = Request::from_parts((**parts).clone(), body);
    match switchboard_ws::upgrade::<_, Bytes>(&mut request, &core.ws) {
        Ok((response, upgrade)) => {
            // A client is let in by the first packet, which the handler sends: nobody can know of it earlier.
            upgrade.spawn_handler_late(handler);
            response
        }
        Err(rejection) => rejection.into_response(),
    }
}
