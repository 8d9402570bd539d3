//! Serving without a framework: shards accept clients and open WebSockets on the spot, and whoever polls is handed to an
//! HTTP server with what was read of it.

use std::convert::Infallible;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response, StatusCode};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use switchboard_ws::{Io, PeerAddr};
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt as _, ReadBuf};
use tokio::net::TcpListener;
use tower_service::Service as _;

use crate::engine::{Engine, EngineBody};
use crate::server::SocketIo;

/// How long a request's head may take, and how long a connection may wait for its next request.
const HEAD_TIMEOUT: Duration = Duration::from_secs(15);
/// The most a request's head may have, in bytes: Node's bound.
const MAX_HEAD: usize = 16 << 10;

impl SocketIo {
    /// Serves the clients of this listener until the future is dropped; those that are connected stay. Other paths than
    /// [`Builder::path`](crate::Builder::path) are answered with 404.
    ///
    /// ```no_run
    /// # async fn example() -> std::io::Result<()> {
    /// let io = switchboard_io::SocketIo::new();
    /// let listener = tokio::net::TcpListener::bind("127.0.0.1:3000").await?;
    /// io.serve(listener).await
    /// # }
    /// ```
    ///
    /// # Errors
    /// The kernel will not have the listener watched. Clients that fail later are logged, and bother nobody.
    ///
    /// # Cancel safety
    /// Dropped, the listener is closed.
    pub async fn serve(&self, listener: TcpListener) -> io::Result<()> {
        self.engine().serve(listener).await
    }
}

impl Engine {
    /// Serves the clients of this listener, as [`SocketIo::serve`] does. To accept on several cores, give each a runtime
    /// and a listener of its own (`SO_REUSEPORT`).
    ///
    /// # Errors
    /// The kernel will not have the listener watched.
    ///
    /// # Cancel safety
    /// Dropped, the listener is closed.
    #[cfg(unix)]
    pub async fn serve(&self, listener: TcpListener) -> io::Result<()> {
        let gate = std::sync::Arc::new(gated::Front(self.clone()));
        self.core().ws.serve_gate(switchboard_ws::GatedListener::Tcp(listener), gate).await
    }

    /// Serves the clients of this listener, as [`SocketIo::serve`] does.
    ///
    /// # Errors
    /// None; the signature is that of systems on which shards accept.
    ///
    /// # Cancel safety
    /// Dropped, the listener is closed.
    #[cfg(not(unix))]
    pub async fn serve(&self, listener: TcpListener) -> io::Result<()> {
        /// Out of descriptors for instance: retrying at once would only burn the processor.
        const PAUSE: Duration = Duration::from_millis(100);
        loop {
            match listener.accept().await {
                Ok((stream, peer)) => {
                    // Without it messages are late, and nothing else.
                    let _ = stream.set_nodelay(true);
                    visit(self.clone(), Client { read: Bytes::new(), io: Box::new(stream) }, peer.into());
                }
                Err(error) => {
                    tracing::warn!(%error, "cannot accept connections; trying again");
                    tokio::time::sleep(PAUSE).await;
                }
            }
        }
    }
}

/// Serves a client by HTTP, in a task of its own.
fn visit(engine: Engine, client: Client, peer: PeerAddr) {
    tokio::spawn(async move {
        if let Err(error) = connection(engine, client, peer).await {
            tracing::debug!(%peer, %error, "a connection failed before or between requests");
        }
    });
}

async fn connection(engine: Engine, mut client: Client, peer: PeerAddr) -> io::Result<()> {
    // Writing nothing waits until the runtime knows that the socket takes something. One that a shard has handed over is
    // new to the runtime, and hyper, where it refuses an upgrade and closes, drops an answer that does not leave at once.
    let written = client.write(&[]).await?;
    debug_assert_eq!(written, 0, "there was nothing to write");
    let answer = service_fn(move |mut request: Request<Incoming>| {
        let engine = engine.clone();
        async move {
            if !engine.config().owns(request.uri().path()) {
                return Ok::<_, Infallible>(not_found());
            }
            request.extensions_mut().insert(peer);
            engine.service().call(request).await
        }
    });
    hyper::server::conn::http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_TIMEOUT)
        .max_buf_size(MAX_HEAD)
        .serve_connection(TokioIo::new(client), answer)
        .with_upgrades()
        .await
        .map_err(io::Error::other)
}

fn not_found() -> Response<EngineBody> {
    let mut answer = Response::new(EngineBody::default());
    *answer.status_mut() = StatusCode::NOT_FOUND;
    answer
}

/// A client's transport, of which something was read already.
struct Client {
    read: Bytes,
    io: Box<dyn Io>,
}

impl AsyncRead for Client {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        if !self.read.is_empty() {
            let count = self.read.len().min(buf.remaining());
            buf.put_slice(&self.read.split_to(count));
            return Poll::Ready(Ok(()));
        }
        Pin::new(&mut self.io).poll_read(cx, buf)
    }
}

impl AsyncWrite for Client {
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

#[cfg(unix)]
mod gated {
    use http::Request;
    use switchboard_ws::{Gate, Handler, Pass, PeerAddr, Visitor};

    use super::{Client, visit};
    use crate::engine::Engine;

    /// Knows what becomes of those whom shards accept.
    pub(super) struct Front(pub(super) Engine);

    impl Gate for Front {
        /// How many may come is the kernel's to say, by descriptors; how many sessions, [`Engine::open`]'s.
        fn admit(&self, _: PeerAddr) -> Option<Pass> {
            Some(Box::new(()))
        }

        fn open(&self, request: &Request<()>, peer: PeerAddr, pass: Pass) -> Result<Box<dyn Handler>, Pass> {
            self.0.open(request, peer, pass)
        }

        fn visit(&self, visitor: Visitor) {
            let Visitor { io, read, peer, .. } = visitor;
            visit(self.0.clone(), Client { read: read.into(), io }, peer);
        }
    }
}
