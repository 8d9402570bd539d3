//! A transport on which hyper sees no request whose end is in doubt, and the answers to those it does not see.

use std::convert::Infallible;
use std::io;
use std::mem::MaybeUninit;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use axum::Router;
use axum::response::{IntoResponse as _, Response};
use http::header::{CONNECTION, HeaderValue, TRANSFER_ENCODING, UPGRADE};
use http::{Request, StatusCode};
use hyper::body::Incoming;
use switchboard_io::engine::Unread;
use switchboard_io::http1::{Framing, REFUSED};
use switchboard_ws::Metrics;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tower_service::Service as _;

use crate::hardening;

/// So much is read at a time before it is known where a request ends.
const READ: usize = 8 << 10;
/// So much of what a refused client goes on sending is read and forgotten, so that it can read the answer.
const FORGOTTEN: u64 = 64 << 10;
/// What it is told.
const REFUSAL: (StatusCode, &str) =
    (StatusCode::BAD_REQUEST, "This request can be read in two ways, and is not answered.\n");

/// A transport, read through [`Framing`].
pub(crate) struct Framed<S> {
    io: S,
    framing: Framing,
    /// What hyper may see next.
    ready: Vec<u8>,
    forgotten: u64,
}

impl<S> Framed<S> {
    /// Heads beyond `max_head` bytes are for hyper to refuse.
    pub(crate) fn new(io: S, max_head: usize) -> Self {
        Self { io, framing: Framing::new(max_head), ready: Vec::new(), forgotten: 0 }
    }
}

/// The answer to what hyper has seen. A request behind which nothing may be taken for another one is the last of its
/// connection. A body that is not wanted has so long to come, so that its sender can read the answer.
pub(crate) async fn answer(
    mut router: Router,
    request: Request<Incoming>,
    metrics: Arc<Metrics>,
    patience: Duration,
) -> Result<Response, Infallible> {
    let is_refused = request.method() == REFUSED;
    let is_last = is_refused || is_last(&request);
    let mut response = if is_refused {
        metrics.refuse("ambiguous");
        hardening::harden(REFUSAL.into_response()).await
    } else {
        let (parts, body) = request.into_parts();
        let body = Unread::new(body, &parts.headers, patience).on_cut(move || metrics.refuse("unread_body"));
        router.call(Request::from_parts(parts, body)).await?
    };
    if is_last && response.status() != StatusCode::SWITCHING_PROTOCOLS {
        response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
    }
    Ok(response)
}

/// Where it ends is known to hyper alone (chunks), or to nobody (what was to be a WebSocket).
///
/// "Regardless, the server MUST close the connection after responding to such a request" (RFC 9112 §6.1, of those with
/// both Transfer-Encoding and Content-Length, which are refused here).
fn is_last<B>(request: &Request<B>) -> bool {
    request.headers().contains_key(TRANSFER_ENCODING) || request.headers().contains_key(UPGRADE)
}

impl<S: AsyncRead + Unpin> AsyncRead for Framed<S> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let Self { io, framing, ready, forgotten } = &mut *self;
        while ready.is_empty() {
            if framing.is_done() {
                return Pin::new(io).poll_read(cx, buf);
            }
            if *forgotten > FORGOTTEN {
                // hyper has all it needs, and closes.
                return Poll::Pending;
            }
            let mut space = [const { MaybeUninit::uninit() }; READ];
            let mut read = ReadBuf::uninit(&mut space);
            ready!(Pin::new(&mut *io).poll_read(cx, &mut read))?;
            if read.filled().is_empty() {
                return Poll::Ready(Ok(()));
            }
            if framing.has_refused() {
                *forgotten += read.filled().len() as u64;
            }
            framing.take(read.filled(), ready);
        }
        let count = ready.len().min(buf.remaining());
        buf.put_slice(&ready[..count]);
        ready.drain(..count);
        if ready.is_empty() {
            // A client that waits for its next request holds nothing.
            *ready = Vec::new();
        }
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Framed<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.io).poll_write(cx, buf)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.io).poll_write_vectored(cx, bufs)
    }

    fn is_write_vectored(&self) -> bool {
        self.io.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_shutdown(cx)
    }
}
