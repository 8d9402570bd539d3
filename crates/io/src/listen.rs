//! Serving without a framework: shards accept clients and open WebSockets on the spot, and whoever polls is handed to an
//! HTTP server with what was read of it.

use std::convert::Infallible;
use std::io;
use std::sync::Arc;
use std::time::Duration;

#[cfg(not(unix))]
use bytes::Bytes;
use http::{Request, Response, StatusCode};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use switchboard_ws::{PeerAddr, ReadAhead};
use tokio::net::TcpListener;
use tower_service::Service as _;

use crate::engine::{Engine, EngineBody, Limit};
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
        let gate = Arc::new(gated::Front(self.clone()));
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
                    visit(self.clone(), ReadAhead::new(Box::new(stream), Bytes::new()), peer.into());
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
fn visit(engine: Engine, client: ReadAhead, peer: PeerAddr) {
    tokio::spawn(async move {
        let (core, client) =
            (Arc::clone(engine.core()), client.write_timeout(engine.core().ws.get_limits().write_timeout));
        if let Err(error) = connection(engine, client, peer).await {
            if ReadAhead::timed_out(&*error) {
                core.metrics.hit(Limit::WriteTime);
            }
            tracing::debug!(%peer, %error, "a connection failed before or between requests");
        }
    });
}

async fn connection(
    engine: Engine,
    mut client: ReadAhead,
    peer: PeerAddr,
) -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
    client.ready().await?;
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
        .await?;
    Ok(())
}

fn not_found() -> Response<EngineBody> {
    let mut answer = Response::new(EngineBody::default());
    *answer.status_mut() = StatusCode::NOT_FOUND;
    answer
}

#[cfg(unix)]
mod gated {
    use http::Request;
    use switchboard_ws::{Gate, Handler, Pass, PeerAddr, Visitor};

    use super::visit;
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
            let peer = visitor.peer;
            visit(self.0.clone(), visitor.into_io(), peer);
        }
    }
}
