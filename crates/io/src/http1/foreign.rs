//! A connection on which something else than polls is asked for: hyper serves it, behind a guard against requests that
//! can be read in two ways.

use std::convert::Infallible;
use std::error::Error;
use std::fmt;
use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use http::header::{CONNECTION, CONTENT_TYPE, TRANSFER_ENCODING, UPGRADE};
use http::{HeaderMap, HeaderValue, Request, Response, StatusCode};
use http_body::Body;
use hyper::body::Incoming;
use hyper::server::conn::http1::Builder;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use switchboard_ws::{BudgetHold, HttpIo, Metrics, PeerAddr};
use tokio::sync::watch;

use super::framed::{Framed, Serving};
use super::framing::REFUSED;
use super::stop::stop;
use crate::engine::{Secure, Unread};

/// What counts for a connection while hyper serves it: its buffers, and its task.
const HELD: usize = 24 << 10;
/// What the sender of a request that can be read in two ways is told.
const REFUSAL: &str =
    "This request can be read in two ways: it needs one Host, lines that end with CR LF, and one length.\n";

/// How a connection is served by hyper, which reads no request that can be read in two ways.
pub struct Foreign {
    /// Where the client is. Each request has it as an extension.
    pub peer: PeerAddr,
    /// Whether it came over TLS. Each request has it as an extension.
    pub secure: Secure,
    /// How long a head may take, and how long the client may take between two requests. A body that nobody wants has as
    /// long to come, so that its sender can read the answer.
    pub head_timeout: Duration,
    /// The most bytes of a head. A longer one is answered with 431.
    pub max_head: usize,
    /// Adds what a refusal is to carry.
    pub headers: fn(&mut HeaderMap),
    /// Becomes true when no further requests are to be taken: a request that has begun is answered. `None`: never.
    pub stopping: Option<watch::Receiver<bool>>,
    /// Where requests that can be read in two ways are counted, as refused: `ambiguous`.
    pub metrics: Arc<Metrics>,
    /// What counts the connection.
    pub hold: BudgetHold,
}

impl Foreign {
    /// Answers requests until the connection ends or becomes something else.
    ///
    /// A request that can be read in two ways is answered with 400, and the connection closed; so it is behind one whose
    /// end hyper alone knows (chunks), or nobody (what was to be a WebSocket). `answer` never sees the former. Of bodies
    /// that it drops the rest is read and forgotten ([`Unread`]). A 101 that it gives ends the time limits of the
    /// transport.
    ///
    /// # Errors
    /// hyper's. [`HttpIo::has_timed_out`]: the client did not take its answer. One that asks for nothing more, and is
    /// closed for that, is none.
    ///
    /// # Cancel safety
    /// Dropped, the connection is cut, unless it has become something else.
    pub async fn serve<F, Fut, B>(self, mut io: HttpIo, answer: F) -> hyper::Result<()>
    where
        F: Fn(Request<Unread<Incoming>>) -> Fut,
        Fut: Future<Output = Result<Response<B>, Infallible>>,
        B: Body + From<&'static str> + 'static,
        B::Error: Into<Box<dyn Error + Send + Sync>>,
    {
        let Self { peer, secure, head_timeout, max_head, headers, stopping, metrics, mut hold } = self;
        hold.set(HELD);
        let upgraded = io.upgraded();
        let answer = service_fn(|request: Request<Incoming>| {
            let is_refused = request.method() == REFUSED;
            let is_last = is_refused || is_last(&request);
            // Made here: it is no part of what waits for the answer.
            let answering = (!is_refused).then(|| {
                let (mut parts, body) = request.into_parts();
                parts.extensions.insert(peer);
                parts.extensions.insert(secure);
                let metrics = Arc::clone(&metrics);
                let body =
                    Unread::new(body, &parts.headers, head_timeout).on_cut(move || metrics.refuse("unread_body"));
                answer(Request::from_parts(parts, body))
            });
            let (metrics, upgraded) = (&metrics, &upgraded);
            async move {
                let mut answer = if let Some(answering) = answering {
                    answering.await?
                } else {
                    metrics.refuse("ambiguous");
                    refusal(headers)
                };
                if answer.status() == StatusCode::SWITCHING_PROTOCOLS {
                    upgraded.lift_limits();
                } else if is_last {
                    answer.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
                }
                Ok::<_, Infallible>(answer)
            }
        });
        let serving = Arc::new(Serving::new(stopping));
        let io = Framed::new(io, max_head, &serving);
        let mut connection = pin!(
            Builder::new()
                .timer(TokioTimer::new())
                .header_read_timeout(head_timeout)
                .max_buf_size(max_head)
                .serve_connection(TokioIo::new(io), answer)
                .with_upgrades()
        );
        let served = tokio::select! {
            served = connection.as_mut() => served,
            () = stop(&serving.stopping) => {
                connection.as_mut().graceful_shutdown();
                connection.await
            }
        };
        served.or_else(|error| {
            let is_idle = error.is_timeout() && !HttpIo::has_timed_out(&error) && serving.is_between();
            if is_idle { Ok(()) } else { Err(error) }
        })
    }
}

/// Where it ends is known to hyper alone (chunks), or to nobody (what was to be a WebSocket).
///
/// "Regardless, the server MUST close the connection after responding to such a request" (RFC 9112 §6.1, of those with
/// both Transfer-Encoding and Content-Length, which are refused here).
fn is_last<B>(request: &Request<B>) -> bool {
    request.headers().contains_key(TRANSFER_ENCODING) || request.headers().contains_key(UPGRADE)
}

fn refusal<B: From<&'static str>>(change: fn(&mut HeaderMap)) -> Response<B> {
    let mut refusal = Response::new(B::from(REFUSAL));
    *refusal.status_mut() = StatusCode::BAD_REQUEST;
    refusal.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
    change(refusal.headers_mut());
    refusal
}

impl fmt::Debug for Foreign {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Foreign").field("peer", &self.peer).field("secure", &self.secure).finish_non_exhaustive()
    }
}
