//! What the command line says about a run.

use std::time::Duration;

use clap::{Parser, ValueEnum};

use crate::socketio;

#[derive(Debug, Clone, Copy, ValueEnum)]
pub(crate) enum Load {
    /// Each message comes back; another follows it.
    Echo,
    /// The first connection's messages come to everyone.
    Bcast,
    /// Connections that do nothing.
    Idle,
    /// Connections that are opened and cut.
    Conn,
}

#[derive(Debug, Clone, Copy, PartialEq, ValueEnum)]
pub(crate) enum Transport {
    Websocket,
    Polling,
}

#[derive(Debug, Parser)]
#[command(about = "Load for a WebSocket or Socket.IO server on this machine")]
pub(crate) struct Settings {
    #[arg(value_enum)]
    pub(crate) load: Load,
    #[arg(long)]
    pub(crate) port: u16,
    /// The server's process, whose CPU time and memory are reported.
    #[arg(long, default_value_t = 0)]
    pub(crate) pid: u32,
    #[arg(short, long, default_value_t = 100)]
    pub(crate) connections: usize,
    /// Messages on their way per connection (echo).
    #[arg(short, long, default_value_t = 1)]
    pub(crate) depth: u64,
    /// Messages published at once, whenever all of the last have arrived (bcast).
    #[arg(short = 'w', long, default_value_t = 1)]
    pub(crate) burst: u64,
    /// Payload bytes.
    #[arg(short, long, default_value_t = 125)]
    pub(crate) size: usize,
    #[arg(long)]
    pub(crate) binary: bool,
    /// Spread the connections over so many paths, `/t0` and on, each a topic (bcast; idle: and send nothing).
    #[arg(long)]
    pub(crate) topics: Option<usize>,
    /// Each message comes to every connection (idle).
    #[arg(long)]
    pub(crate) everyone: bool,
    /// It is an error if a connection was not pinged (idle).
    #[arg(long)]
    pub(crate) pinged: bool,
    /// Messages per second at fixed times, whether replies came or not. Latency counts from the intended time.
    #[arg(long)]
    pub(crate) rate: Option<f64>,
    /// Sleep while nothing is due (echo): for a CPU that others use too.
    #[arg(long, requires = "rate")]
    pub(crate) rests: bool,
    /// Where to connect to, in place of `/`.
    #[arg(long, conflicts_with_all = ["socketio", "topics"])]
    pub(crate) path: Option<String>,
    /// Offer permessage-deflate, and send compressed.
    #[arg(long)]
    pub(crate) deflate: bool,
    /// Speak Socket.IO: events that are acknowledged (echo, idle), or that the server emits to all. Every reply is
    /// compared in full.
    #[arg(long, value_enum, conflicts_with_all = ["binary", "topics", "deflate", "raw", "tls"])]
    pub(crate) socketio: Option<Transport>,
    /// Speak TLS 1.3 to the server, and take whatever certificate it shows (not: conn).
    #[arg(long)]
    pub(crate) tls: bool,
    /// No WebSocket: raw bytes that come back.
    #[arg(long, conflicts_with = "tls")]
    pub(crate) raw: bool,
    /// Compare every reply in full, not only the first of each connection.
    #[arg(long)]
    pub(crate) check: bool,
    /// Send exactly so many messages (conn: make so many connections), however long that takes.
    #[arg(long)]
    pub(crate) messages: Option<u64>,
    #[arg(long, default_value_t = 1.5)]
    pub(crate) seconds: f64,
    /// Seconds before the measurement (idle: of rest before each but the last).
    #[arg(long, default_value_t = 0.4)]
    pub(crate) warm: f64,
}

impl Settings {
    pub(crate) fn warm(&self) -> Duration {
        Duration::from_secs_f64(self.warm)
    }

    pub(crate) fn measured(&self) -> Duration {
        Duration::from_secs_f64(self.seconds)
    }

    pub(crate) fn path(&self, connection: usize) -> String {
        if let Some(path) = &self.path {
            return path.clone();
        }
        match (self.socketio, self.topics) {
            (Some(Transport::Websocket), _) => socketio::path("websocket"),
            (Some(Transport::Polling), _) => socketio::path("polling"),
            (None, Some(topics)) => format!("/t{}", connection % topics),
            (None, None) => "/".to_owned(),
        }
    }

    /// Whether messages go by requests of HTTP.
    pub(crate) fn polls(&self) -> bool {
        self.socketio == Some(Transport::Polling)
    }

    /// Whether each message comes to every connection.
    pub(crate) fn is_heard_by_all(&self) -> bool {
        self.everyone || matches!(self.load, Load::Bcast)
    }
}
