//! An engine: everything above put together, for those who mount it.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use switchboard_io_proto::engine::{CloseReason, Sid};
use switchboard_ws::{Config as WsConfig, Hub};

use super::app::App;
use super::config::EngineConfig;
use super::core::ws_config;
use super::layer::EngineLayer;
use super::metrics::Metrics;
use super::service::EngineService;
use super::session::{Core, Session};

/// An Engine.IO server without a listener. Clones are the same engine.
///
/// Dropping all handles of it closes nothing: sessions end as their clients do. See [`close`](Self::close).
#[derive(Clone)]
pub struct Engine {
    core: Arc<Core>,
}

impl Engine {
    /// An engine whose sessions are members of this hub.
    #[must_use]
    pub fn new(config: EngineConfig, app: Arc<dyn App<Session>>, hub: Hub) -> Self {
        Self { core: Arc::new(Core::new(config, app, hub)) }
    }

    /// Its HTTP service, for requests that are known to be the engine's.
    #[must_use]
    pub fn service(&self) -> EngineService {
        EngineService { core: Arc::clone(&self.core) }
    }

    /// A layer that answers requests for the engine's path and leaves the others to the service inside.
    #[must_use]
    pub fn layer(&self) -> EngineLayer {
        EngineLayer { service: self.service() }
    }

    /// Its settings.
    #[must_use]
    pub fn config(&self) -> &EngineConfig {
        &self.core.config
    }

    /// The hub that its sessions are members of.
    #[must_use]
    pub fn hub(&self) -> &Hub {
        &self.core.hub
    }

    /// Its counters.
    #[must_use]
    pub fn metrics(&self) -> &Metrics {
        &self.core.metrics
    }

    /// How many sessions are open now.
    #[must_use]
    pub fn sessions(&self) -> usize {
        self.core.registry.len()
    }

    /// The session of this id.
    #[must_use]
    pub fn session(&self, sid: &Sid) -> Option<Session> {
        self.core.registry.get(sid)
    }

    /// A listener's settings, changed to what the WebSockets of this engine need: for a
    /// [`Gate`](switchboard_ws::Gate) whose `config` returns it. To be made once and kept.
    #[must_use]
    pub fn ws_config(&self, listener: &WsConfig) -> WsConfig {
        ws_config(listener.clone(), &self.core.config, &self.core.hub)
    }

    /// Opens no more sessions (503), closes all there are with [`CloseReason::ServerShuttingDown`], and waits until
    /// they are gone: those on WebSockets are at once, those on polling with their next poll, or after 30 seconds.
    ///
    /// # Cancel safety
    /// Dropped after the first poll, they close all the same.
    pub async fn close(&self) {
        self.core.closing.store(true, Ordering::Release);
        for session in self.core.registry.all() {
            session.close(CloseReason::ServerShuttingDown);
        }
        self.core.registry.emptied().await;
    }

    pub(crate) fn core(&self) -> &Arc<Core> {
        &self.core
    }
}

impl fmt::Debug for Engine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Engine").field("sessions", &self.sessions()).finish_non_exhaustive()
    }
}
