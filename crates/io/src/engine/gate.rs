//! WebSockets that a shard opens by itself, for implementations of [`switchboard_ws::Gate`]: where nothing of the
//! application's has to be awaited and no error has to be told. Everything else is for the HTTP service.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use http::Request;
use switchboard_io_proto::engine::{Query, Verdict};
use switchboard_ws::{Handler, Pass, PeerAddr, is_upgrade};

use super::engine::Engine;
use super::handshake::{Handshake, Secure};
use super::service::judge;
use super::websocket::{EngineSocket, Opening};

impl Engine {
    /// Whether [`open`](Self::open) would open a WebSocket for this request, as far as can be told beforehand: it is
    /// for the engine's path and asks for one, and no [hook](super::Hooks) has to be asked. What
    /// [`Gate::config`](switchboard_ws::Gate::config) returns for it is then [`ws_config`](Self::ws_config).
    #[must_use]
    pub fn opens(&self, request: &Request<()>) -> bool {
        let core = self.core();
        core.config.hooks.are_silent() && core.config.owns(request.uri().path()) && is_upgrade(request.headers())
    }

    /// Opens a WebSocket for a new session or for an upgrade.
    ///
    /// # Errors
    /// The pass: the request is for [`service`](Self::service), which knows how to refuse it if it has to be.
    pub fn open(&self, request: &Request<()>, peer: PeerAddr, pass: Pass) -> Result<Box<dyn Handler>, Pass> {
        match self.try_open(request, peer) {
            Some(Way::New(opening)) => Ok(Box::new(EngineSocket::open(*opening, Some(pass)))),
            Some(Way::Upgrade(session, b64)) => Ok(Box::new(EngineSocket::candidate(session, b64, Some(pass)))),
            None => Err(pass),
        }
    }

    fn try_open(&self, request: &Request<()>, peer: PeerAddr) -> Option<Way> {
        let core = self.core();
        if !self.opens(request) || core.closing.load(Ordering::Acquire) {
            return None;
        }
        let query = Query::parse(request.uri().query().unwrap_or_default());
        match judge(core, request.method(), request.headers(), &query, true).ok()? {
            Verdict::Open(applicant) => {
                let known = applicant.admit(&core.config.session).ok()?;
                // Who finds no place is told so, and counted, by the service.
                let place = core.admit(peer).ok()?;
                let (parts, ()) = request.clone().into_parts();
                let sid = core.config.hooks.make_id(&parts).ok()?;
                let secure = request.extensions().get::<Secure>().is_some_and(|secure| secure.0);
                let handshake = Handshake::new(request.uri(), request.headers(), peer, secure);
                let opening = Opening { core: Arc::clone(core), sid, known, b64: query.b64, handshake, place };
                Some(Way::New(Box::new(opening)))
            }
            Verdict::Upgrade(sid) => Some(Way::Upgrade(core.registry.get(&sid)?, query.b64)),
            Verdict::Poll(_) | Verdict::Post(_) | Verdict::UnknownMethod(_) => None,
        }
    }
}

enum Way {
    New(Box<Opening>),
    Upgrade(super::Session, bool),
}
