//! What all sessions of an engine share.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use switchboard_io_proto::engine;
use switchboard_ws::{
    Admission, AdmissionLimits, Admitted, Budget, Config as WsConfig, Hub, Limits, NoRoom, Origins, PeerAddr,
    Protocols, ServerOptions,
};

use super::app::App;
use super::clock::Clock;
use super::config::EngineConfig;
use super::metrics::Metrics;
use super::registry::Registry;

/// Generic over the session and what of it keeps time, which are made above and know this.
pub(crate) struct Core<S, T> {
    pub(crate) config: EngineConfig,
    /// The same settings as machines share them.
    pub(crate) proto: Arc<engine::Config>,
    pub(crate) app: Arc<dyn App<S>>,
    pub(crate) hub: Hub,
    pub(crate) ws: WsConfig,
    pub(crate) registry: Registry<S>,
    /// Of sessions.
    places: Admission,
    pub(crate) metrics: Metrics,
    pub(crate) clock: Clock<T>,
    pub(crate) closing: AtomicBool,
}

impl<S, T> Core<S, T> {
    /// What sessions hold counts in it.
    pub(crate) fn budget(&self) -> &Budget {
        self.ws.get_budget()
    }

    /// A place for a session of this client, if there is one.
    pub(crate) fn admit(&self, peer: PeerAddr) -> Result<Admitted, NoRoom> {
        self.places.admit(peer)
    }

    pub(crate) fn new(config: EngineConfig, app: Arc<dyn App<S>>, hub: Hub) -> Self {
        // The outbox bounds what waits, and is emptied into the machine only as far as one answer needs.
        let proto = engine::Config { max_queued: usize::MAX, max_queued_bytes: usize::MAX, ..config.session.clone() };
        let ws = ws_config(config.websockets.clone(), &config, &hub);
        let connections = config.max_sessions.unwrap_or(usize::MAX);
        let places = Admission::new(AdmissionLimits { connections, per_address: config.sessions_per_address });
        Self {
            proto: Arc::new(proto),
            app,
            hub,
            ws,
            registry: Registry::default(),
            places,
            metrics: Metrics::default(),
            clock: Clock::default(),
            closing: AtomicBool::new(false),
            config,
        }
    }
}

/// The settings of the engine's WebSockets.
pub(crate) fn ws_config(base: WsConfig, config: &EngineConfig, hub: &Hub) -> WsConfig {
    let limits = Limits {
        max_message: config.session.max_payload,
        max_frame: config.session.max_payload,
        // The heartbeat is Engine.IO's.
        ping_interval: None,
        idle_timeout: None,
        // Pages see the reason of a Close; from Node's server it is always empty.
        explain: false,
        deflate: config.per_message_deflate.clone(),
        ..(**base.get_limits()).clone()
    };
    let options = base.get_handshake().clone();
    // As Node: the stock client's option `protocols` is for proxies, and a browser that gets none of them fails the
    // connection (RFC 6455 §4.1).
    let protocols = match options.protocols {
        Protocols::None => Protocols::Choose(Arc::new(|offer| offer.protocols.first().map(|name| (*name).to_owned()))),
        chosen => chosen,
    };
    // Who may come is decided by what is said of CORS.
    let options = ServerOptions { origins: Origins::Any, protocols, ..options };
    base.limits(limits).handshake(options).outbox(config.outbox).hub(hub.clone()).keep_request(false)
}
