//! Clients that shards accept by themselves: from the listener to the open connection no task is spawned and no HTTP
//! library is asked. A [`Gate`] decides who comes in, and takes those that are not here for a WebSocket elsewhere.

use std::any::Any;
use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Duration;

use http::{Request, StatusCode};
use switchboard_ws_proto::handshake::{self, Accepted, Rejection};
use tokio::net::{TcpListener, UnixListener};

use crate::admission::NoRoom;
use crate::config::Config;
use crate::driver::Io;
use crate::handler::Handler;
use crate::info::{Info, PeerAddr};
use crate::refusal::{AcceptError, admit, internal_error, refuse};

/// What admitted a client, a permit for instance. Dropped when the client is gone, or as soon as the gate wants.
pub type Pass = Box<dyn Any + Send>;

/// Decides what becomes of the clients of a [`GatedListener`]. Its methods are called on a shard and should not block.
/// A panic in one of them costs the client that it was called for, and nobody else.
pub trait Gate: Send + Sync + 'static {
    /// A client has connected.
    ///
    /// # Errors
    /// [`NoRoom`], as an [`Admission`](crate::Admission) says it: the client is [turned away](Config::turn_away).
    fn admit(&self, peer: PeerAddr) -> Result<Pass, NoRoom>;

    /// A client has sent a proper request for a WebSocket: the handler of its connection, or, when nothing of that kind
    /// is to be had at this path, the pass back. A panic refuses the client with 500.
    ///
    /// # Errors
    /// The pass: the client becomes a [`Visitor`].
    fn open(&self, request: &Request<()>, peer: PeerAddr, pass: Pass) -> Result<Box<dyn Handler>, Pass>;

    /// The settings of the connection that a request for a WebSocket asks for, by which it is also judged (origins,
    /// subprotocols, compression), in place of those of the listener. `None`, as by default: those of the listener.
    /// Asked before [`open`](Self::open). A panic refuses the client with 500.
    ///
    /// Whatever it was made from, such a connection belongs to the listener's endpoint: it is counted and closed with
    /// the others ([`Config::connections`], [`Config::get_metrics`]), and in its [budget](Config::budget). A
    /// configuration that was not cloned from the listener's is copied to make it so, for each connection: better clone
    /// the listener's, change the clone and keep it.
    fn config(&self, request: &Request<()>) -> Option<Config> {
        let _ = request;
        None
    }

    /// A client that gets no WebSocket here, with all that it has sent so far.
    fn visit(&self, visitor: Visitor);
}

/// A client that gets no WebSocket, at least not from a shard.
pub struct Visitor {
    /// Its transport.
    pub io: Box<dyn Io>,
    /// What was read of it so far.
    pub read: Vec<u8>,
    /// Where it is.
    pub peer: PeerAddr,
    /// What admitted it.
    pub pass: Pass,
    /// Why it is not let in.
    pub reason: Reason,
}

/// Why a client is not let in.
#[derive(Debug)]
#[non_exhaustive]
pub enum Reason {
    /// It speaks no HTTP, asks for no WebSocket, or not at a path where [`Gate::open`] has one: an HTTP server may know
    /// what it wants. The answer is for those who have none.
    NotForUs(Rejection),
    /// It asks for a WebSocket and breaks a rule.
    Refused(Rejection),
    /// It did not say what it wants in time.
    TooSlow(Rejection),
}

impl Visitor {
    /// Answers with the reason and closes, after a moment for the client to read it. Counted as a client refused.
    pub async fn refuse(self, config: &Config) -> AcceptError {
        let (Reason::NotForUs(rejection) | Reason::Refused(rejection) | Reason::TooSlow(rejection)) = self.reason;
        refuse(self.io, AcceptError::Rejected(rejection), config).await
    }
}

impl fmt::Debug for Visitor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Visitor").field("peer", &self.peer).field("reason", &self.reason).finish_non_exhaustive()
    }
}

/// A listener whose clients are accepted by shards.
#[derive(Debug)]
pub enum GatedListener {
    /// TCP.
    Tcp(TcpListener),
    /// A Unix socket.
    Unix(UnixListener),
}

/// What becomes of a request that a shard has read.
pub(crate) enum Verdict {
    Open { response: Box<http::Response<()>>, info: Info, handler: Box<dyn Handler>, config: Config },
    Visit(Reason, Pass),
}

/// Judges a request.
pub(crate) fn judge(gate: &dyn Gate, config: &Config, request: Request<()>, peer: PeerAddr, pass: Pass) -> Verdict {
    // Whoever chooses subprotocols may panic as well as the gate.
    catch_unwind(AssertUnwindSafe(|| judge_unguarded(gate, config, request, peer, pass))).unwrap_or_else(|_| {
        tracing::error!(%peer, "opening a connection panicked; its client is refused with 500");
        Verdict::Visit(Reason::Refused(internal_error()), Box::new(()))
    })
}

fn judge_unguarded(gate: &dyn Gate, config: &Config, request: Request<()>, peer: PeerAddr, pass: Pass) -> Verdict {
    let is_upgrade = handshake::is_upgrade(request.headers());
    if is_upgrade && let Err(rejection) = admit(config) {
        return Verdict::Visit(Reason::Refused(rejection), pass);
    }
    let own = is_upgrade.then(|| gate.config(&request)).flatten();
    let config = own.map_or_else(|| config.clone(), |own| own.of_endpoint(config));
    let Accepted { response, protocol, deflate } = match handshake::accept(&request, config.get_handshake()) {
        Ok(accepted) => accepted,
        Err(rejection) if is_upgrade => {
            return Verdict::Visit(Reason::Refused(rejection), pass);
        }
        Err(rejection) => return Verdict::Visit(Reason::NotForUs(rejection), pass),
    };
    match gate.open(&request, peer, pass) {
        Ok(handler) => {
            let (parts, ()) = request.into_parts();
            let info = Info::new(peer, parts.uri, parts.headers).agreed(protocol, deflate);
            Verdict::Open { response: Box::new(response), info, handler, config }
        }
        Err(pass) => {
            let rejection = Rejection::new(StatusCode::NOT_FOUND, "There is no WebSocket at this path.\n");
            Verdict::Visit(Reason::NotForUs(rejection), pass)
        }
    }
}

/// How long a listener is left alone that failed, out of descriptors for instance: retrying at once would only burn the
/// processor.
pub(crate) const PAUSE: Duration = Duration::from_millis(100);
