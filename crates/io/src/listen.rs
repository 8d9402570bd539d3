//! Serving without a framework: shards accept clients and open WebSockets on the spot, whoever polls is served by
//! [`http1`](crate::http1), and whoever wants anything else is handed to hyper with what was read of it.

use std::any::Any;
use std::error::Error;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use http::{Request, Response, StatusCode};
use hyper::body::Incoming;
use switchboard_ws::{BudgetPart, HttpIo, Io, NoRoom, PeerAddr};
use tokio::net::TcpListener;
use tower_service::Service as _;

use crate::engine::{Engine, EngineBody, Limit, Secure, Unread};
use crate::http1::{Connection, End, Foreign, Terms};
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
    /// Serves the clients of this listener, as [`SocketIo::serve`] does. To accept on several cores, give each a
    /// runtime and a listener of its own (`SO_REUSEPORT`).
    ///
    /// # Errors
    /// The kernel will not have the listener watched.
    ///
    /// # Cancel safety
    /// Dropped, the listener is closed.
    #[cfg(unix)]
    pub async fn serve(&self, listener: TcpListener) -> io::Result<()> {
        let gate = Arc::new(gated::Front { engine: self.clone(), terms: terms(self) });
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
        let terms = terms(self);
        loop {
            match listener.accept().await {
                Ok((stream, peer)) => {
                    // Without it messages are late, and nothing else.
                    let _ = stream.set_nodelay(true);
                    match admit(self, peer.into()) {
                        Ok(pass) => visit(Arc::clone(&terms), Box::new(stream), Vec::new(), peer.into(), pass),
                        Err(no_room) => self.core().ws.turn_away(Box::new(stream), no_room),
                    }
                }
                Err(error) => {
                    tracing::warn!(%error, "cannot accept connections; trying again");
                    tokio::time::sleep(PAUSE).await;
                }
            }
        }
    }
}

/// Lets a client in, if there is room for its connection. How many sessions there may be is for [`Engine::open`].
fn admit(engine: &Engine, peer: PeerAddr) -> Result<Box<dyn Any + Send>, NoRoom> {
    match &engine.config().admission {
        Some(admission) => Ok(Box::new(admission.admit(peer)?)),
        None => Ok(Box::new(())),
    }
}

/// What those who get no WebSocket are served with.
fn terms(engine: &Engine) -> Arc<Terms> {
    Arc::new(Terms {
        engine: engine.clone(),
        secure: Secure(false),
        head_timeout: HEAD_TIMEOUT,
        max_head: MAX_HEAD,
        headers: |_| {},
        stopping: None,
    })
}

/// Serves a client by HTTP, in a task of its own.
fn visit(terms: Arc<Terms>, io: Box<dyn Io>, read: Vec<u8>, peer: PeerAddr, pass: Box<dyn Any + Send>) {
    let core = terms.engine.core();
    let io = HttpIo::new(io, read, Some(pass), core.ws.get_limits().write_timeout);
    let mut polls = Connection::new(io, core.budget().hold(BudgetPart::Connections), peer, terms);
    tokio::spawn(async move {
        let ended = polls.serve().await;
        // Not before: it would be kept while a poll waits.
        let (peer, terms) = (polls.peer(), Arc::clone(polls.terms()));
        let served: Result<(), Box<dyn Error + Send + Sync>> = match ended {
            Ok(End::Closed | End::TooSlow) => Ok(()),
            // It is large, and clients that poll never need it.
            Ok(End::Foreign) => Box::pin(by_hyper(polls.into_io(), peer, Arc::clone(&terms))).await.map_err(Into::into),
            Err(error) => Err(error.into()),
        };
        if let Err(error) = served {
            if HttpIo::has_timed_out(&*error) {
                terms.engine.metrics().hit(Limit::WriteTime);
            }
            tracing::debug!(%peer, %error, "a connection failed before or between requests");
        }
    });
}

async fn by_hyper(io: HttpIo, peer: PeerAddr, terms: Arc<Terms>) -> hyper::Result<()> {
    let Terms { engine, secure, head_timeout, max_head, headers, stopping } = &*terms;
    let core = engine.core();
    let foreign = Foreign {
        peer,
        secure: *secure,
        head_timeout: *head_timeout,
        max_head: *max_head,
        headers: *headers,
        stopping: stopping.clone(),
        metrics: Arc::clone(core.ws.get_metrics()),
        hold: core.budget().hold(BudgetPart::Connections),
    };
    let answer = |request: Request<Unread<Incoming>>| async {
        if engine.config().owns(request.uri().path()) { engine.service().call(request).await } else { Ok(not_found()) }
    };
    foreign.serve(io, answer).await
}

fn not_found() -> Response<EngineBody> {
    let mut answer = Response::new(EngineBody::default());
    *answer.status_mut() = StatusCode::NOT_FOUND;
    answer
}

#[cfg(unix)]
mod gated {
    use std::sync::Arc;

    use http::Request;
    use switchboard_ws::{Gate, Handler, NoRoom, Pass, PeerAddr, Reason, Visitor};

    use super::{Terms, admit, visit};
    use crate::engine::Engine;

    /// Knows what becomes of those whom shards accept.
    pub(super) struct Front {
        pub(super) engine: Engine,
        pub(super) terms: Arc<Terms>,
    }

    impl Gate for Front {
        fn admit(&self, peer: PeerAddr) -> Result<Pass, NoRoom> {
            admit(&self.engine, peer)
        }

        fn open(&self, request: &Request<()>, peer: PeerAddr, pass: Pass) -> Result<Box<dyn Handler>, Pass> {
            self.engine.open(request, peer, pass)
        }

        fn visit(&self, visitor: Visitor) {
            if let Reason::TooSlow(_) = visitor.reason {
                let config = self.engine.core().ws.clone();
                tokio::spawn(async move { visitor.refuse(&config).await });
                return;
            }
            let Visitor { io, read, peer, pass, .. } = visitor;
            visit(Arc::clone(&self.terms), io, read, peer, pass);
        }
    }
}
