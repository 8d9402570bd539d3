//! The limits and deadlines of sessions. Every limit is finite by default, and each says what it costs to raise.

use std::time::Duration;

use crate::engine::packet::{Data, Transport};

/// Settings of an Engine.IO endpoint, shared by all of its sessions. The defaults are those of Node's server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Config {
    /// How long after the last pong the next ping is sent. Default: 25 s. Told to the client. Shorter notices a
    /// vanished client sooner and wakes every idle phone as often. v3: how often the client is to send its pings.
    pub ping_interval: Duration,
    /// How long the client may take to answer a ping. Default: 20 s. Told to the client, who by `ping_interval` +
    /// `ping_timeout` of silence knows that the server is gone. Shorter than a slow network's delay: live clients are
    /// cut.
    pub ping_timeout: Duration,
    /// How long a WebSocket may be a candidate before it says that it takes over. Default: 10 s. Longer lets strangers
    /// who know a session id hold sockets that nobody uses, and puts off the next ping by as long.
    pub upgrade_timeout: Duration,
    /// How long a closed session waits for a poll that fetches the rest and the goodbye. Default: 30 s. The memory of a
    /// session that is over is held for so long.
    pub close_timeout: Duration,
    /// The largest body of a POST, and the largest WebSocket message, in bytes (Node: `maxHttpBufferSize`). Default:
    /// 1,000,000. Told to the client, and the driver's to enforce; the answer to a poll is kept below it as well,
    /// unless one message alone is larger. The worst case of memory per session is proportional to it.
    pub max_payload: usize,
    /// The transports that are served. Default: both.
    pub transports: Transports,
    /// Clients may move from polling to a WebSocket. Default: yes. No: clients of Node's server are told of no
    /// upgrades, and those who try all the same are refused here.
    pub allow_upgrades: bool,
    /// Serve clients of protocol v3 (Socket.IO 2) as well. Default: no. It has weaker rules: whoever leaves `EIO` out
    /// of the query is such a client.
    pub allow_eio3: bool,
    /// A message that follows the handshake at once, to save the client a round trip. Default: none.
    pub initial_packet: Option<Data<'static>>,
    /// How many messages may wait for the next poll, or for an upgrade's end. Default: 1,024. Node has no such limit: a
    /// client that never polls makes it hold everything until the ping times out.
    pub max_queued: usize,
    /// How many bytes may wait so, by the weights that [`Session::send`](crate::engine::Session::send) is told.
    /// Default: 4 MiB. A single message is taken whatever its size when nothing else waits.
    pub max_queued_bytes: usize,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            ping_interval: Duration::from_secs(25),
            ping_timeout: Duration::from_secs(20),
            upgrade_timeout: Duration::from_secs(10),
            close_timeout: Duration::from_secs(30),
            max_payload: 1_000_000,
            transports: Transports::default(),
            allow_upgrades: true,
            allow_eio3: false,
            initial_packet: None,
            max_queued: 1024,
            max_queued_bytes: 4 << 20,
        }
    }
}

impl Config {
    /// Whether a polling session may move to a WebSocket.
    #[must_use]
    pub fn upgrades(&self) -> bool {
        self.allow_upgrades && self.transports.websocket
    }
}

/// A set of transports.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Transports {
    /// HTTP long polling. Without it a load balancer needs no sticky sessions.
    pub polling: bool,
    /// WebSocket, opened at once or by an upgrade.
    pub websocket: bool,
}

impl Default for Transports {
    fn default() -> Self {
        Self { polling: true, websocket: true }
    }
}

impl Transports {
    /// Whether the transport is in the set.
    #[must_use]
    pub fn contains(self, transport: Transport) -> bool {
        match transport {
            Transport::Polling => self.polling,
            Transport::WebSocket => self.websocket,
        }
    }
}
