//! What the routes share.

use std::sync::Arc;

use prometheus_client::registry::Registry;
use switchboard_ws::{Config, Hub};

use crate::socketio::Sockets;

/// What the routes share.
#[derive(Debug, Clone)]
pub struct App {
    /// How WebSockets behave.
    pub websocket: Config,
    /// Socket.IO, if it is served.
    pub sockets: Option<Sockets>,
    /// What is counted.
    pub metrics: Arc<Registry>,
}

impl App {
    /// The hub of the rooms.
    ///
    /// # Panics
    /// When the configuration was made without one, which [`Settings`](crate::settings::Settings) never does.
    #[must_use]
    pub fn hub(&self) -> &Hub {
        self.websocket.get_hub().expect("the settings have a hub")
    }
}
