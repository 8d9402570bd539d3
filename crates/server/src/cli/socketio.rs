//! The flags of Socket.IO.

use std::path::PathBuf;
use std::time::Duration;

use clap::builder::BoolishValueParser;
use clap::{Args, ValueEnum};

use super::Switch;
use crate::units::{self, Bytes, MaybeBytes, MaybeDuration};

/// The flags of Socket.IO. Who may connect is said by `--allow-origin`, how many by `--max-connections`.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Socket.IO")]
pub struct SocketIoFlags {
    /// Do not answer Socket.IO.
    #[arg(long, env = "SWITCHBOARD_NO_SOCKETIO", value_parser = BoolishValueParser::new())]
    pub no_socketio: bool,

    /// Where Socket.IO is answered. Clients have to be told if it is another path.
    #[arg(long, value_name = "PATH", env = "SWITCHBOARD_SOCKETIO_PATH", default_value = "/socket.io")]
    pub socketio_path: String,

    /// Whether that path ends with a slash, and is not answered without.
    #[arg(long, value_enum, env = "SWITCHBOARD_SOCKETIO_ADD_TRAILING_SLASH", default_value_t = Switch::On)]
    pub socketio_add_trailing_slash: Switch,

    /// A text that every client is sent right behind its handshake, as a message of Engine.IO: begin it as a packet of
    /// Socket.IO begins, or stock clients close. [default: none]
    #[arg(long, value_name = "TEXT", env = "SWITCHBOARD_SOCKETIO_INITIAL_PACKET")]
    pub socketio_initial_packet: Option<String>,

    /// The folder `dist` of the npm package socket.io-client, for pages to load `/socket.io/socket.io.js` from.
    #[arg(long, value_name = "DIR", env = "SWITCHBOARD_SOCKETIO_CLIENT_DIR")]
    pub socketio_client_dir: Option<PathBuf>,

    /// How Socket.IO clients may connect.
    #[arg(
        long,
        value_name = "TRANSPORTS",
        value_enum,
        env = "SWITCHBOARD_SOCKETIO_TRANSPORTS",
        value_delimiter = ',',
        default_value = "polling,websocket"
    )]
    pub socketio_transports: Vec<TransportName>,

    /// Whether clients that poll may go over to a WebSocket.
    #[arg(long, value_enum, env = "SWITCHBOARD_SOCKETIO_ALLOW_UPGRADES", default_value_t = Switch::On)]
    pub socketio_allow_upgrades: Switch,

    /// Whether clients of Socket.IO 2 and older are let in.
    #[arg(long, value_enum, env = "SWITCHBOARD_SOCKETIO_ALLOW_EIO3", default_value_t = Switch::Off)]
    pub socketio_allow_eio3: Switch,

    /// How often to ping each Socket.IO client.
    #[arg(long, value_name = "DURATION", env = "SWITCHBOARD_SOCKETIO_PING_INTERVAL", default_value = "25s",
        value_parser = units::duration)]
    pub socketio_ping_interval: Duration,

    /// How long it may take to answer.
    #[arg(long, value_name = "DURATION", env = "SWITCHBOARD_SOCKETIO_PING_TIMEOUT", default_value = "20s",
        value_parser = units::duration)]
    pub socketio_ping_timeout: Duration,

    /// How long going over to a WebSocket may take.
    #[arg(long, value_name = "DURATION", env = "SWITCHBOARD_SOCKETIO_UPGRADE_TIMEOUT", default_value = "10s",
        value_parser = units::duration)]
    pub socketio_upgrade_timeout: Duration,

    /// How long a client may take until it has joined a namespace.
    #[arg(long, value_name = "DURATION", env = "SWITCHBOARD_SOCKETIO_CONNECT_TIMEOUT", default_value = "45s",
        value_parser = units::duration)]
    pub socketio_connect_timeout: Duration,

    /// How long the body of a POST may take.
    #[arg(long, value_name = "DURATION", env = "SWITCHBOARD_SOCKETIO_BODY_TIMEOUT", default_value = "30s",
        value_parser = units::duration)]
    pub socketio_body_timeout: Duration,

    /// How long the binary data of an event may take.
    #[arg(long, value_name = "DURATION", env = "SWITCHBOARD_SOCKETIO_ATTACHMENTS_TIMEOUT", default_value = "60s",
        value_parser = units::duration)]
    pub socketio_attachments_timeout: Duration,

    /// How many messages may wait for one Socket.IO client that does not take them; with more it is closed.
    #[arg(long, value_name = "COUNT", env = "SWITCHBOARD_SOCKETIO_OUTBOX_MESSAGES", default_value_t = 16_384,
        value_parser = clap::value_parser!(u32).range(1..))]
    pub socketio_outbox_messages: u32,

    /// How much may wait for one Socket.IO client that does not take it; with more it is closed.
    #[arg(long, value_name = "BYTES", env = "SWITCHBOARD_SOCKETIO_OUTBOX_BYTES", default_value_t = Bytes(4 << 20))]
    pub socketio_outbox_bytes: Bytes,

    /// How many namespaces one client may be in; one that wants more is closed.
    #[arg(long, value_name = "COUNT", env = "SWITCHBOARD_SOCKETIO_MAX_NAMESPACES", default_value_t = 64,
        value_parser = clap::value_parser!(u16).range(1..))]
    pub socketio_max_namespaces: u16,

    /// How much a client may say of itself when it joins a namespace (`auth`); one that says more is refused.
    #[arg(long, value_name = "BYTES", env = "SWITCHBOARD_SOCKETIO_MAX_AUTH", default_value_t = Bytes(16 << 10))]
    pub socketio_max_auth: Bytes,

    /// How many namespaces all clients together may have made; to those that want more there is none. The clients of an
    /// address that --max-connections-per-address holds for may have made a tenth of them.
    #[arg(long, value_name = "COUNT", env = "SWITCHBOARD_SOCKETIO_MAX_CHILD_NAMESPACES", default_value_t = 10_000)]
    pub socketio_max_child_namespaces: u32,

    /// How many rooms one client may be in, in all namespaces together; those of its ids do not count.
    #[arg(long, value_name = "COUNT", env = "SWITCHBOARD_SOCKETIO_MAX_ROOMS", default_value_t = 1024,
        value_parser = clap::value_parser!(u32).range(1..))]
    pub socketio_max_rooms: u32,

    /// How many events of one client may be worked on; with more, nothing is read from it.
    #[arg(long, value_name = "COUNT", env = "SWITCHBOARD_SOCKETIO_IN_FLIGHT", default_value_t = 64,
        value_parser = clap::value_parser!(u32).range(1..))]
    pub socketio_in_flight: u32,

    /// How namespaces begin that come into being when a client asks for them.
    #[arg(long, value_name = "PREFIX", env = "SWITCHBOARD_SOCKETIO_NAMESPACES", default_value = "/rooms/")]
    pub socketio_namespaces: String,

    /// The event by which a client joins rooms.
    #[arg(long, value_name = "NAME", env = "SWITCHBOARD_SOCKETIO_JOIN_EVENT", default_value = "join")]
    pub socketio_join_event: String,

    /// The event by which it leaves them.
    #[arg(long, value_name = "NAME", env = "SWITCHBOARD_SOCKETIO_LEAVE_EVENT", default_value = "leave")]
    pub socketio_leave_event: String,

    /// The largest message or payload taken from a Socket.IO client.
    #[arg(long, value_name = "BYTES", env = "SWITCHBOARD_SOCKETIO_MAX_PAYLOAD", default_value_t = Bytes(1_000_000))]
    pub socketio_max_payload: Bytes,

    /// How many pieces of binary data one event may have, from a client and to one.
    #[arg(long, value_name = "COUNT", env = "SWITCHBOARD_SOCKETIO_MAX_ATTACHMENTS", default_value_t = 10)]
    pub socketio_max_attachments: u16,

    /// How deep arrays and objects of an event may lie inside each other; a client that sends more is closed.
    #[arg(long, value_name = "COUNT", env = "SWITCHBOARD_SOCKETIO_MAX_DEPTH", default_value_t = 128,
        value_parser = clap::value_parser!(u8).range(1..=128))]
    pub socketio_max_depth: u8,

    /// How long a client that lost its connection may stay away and still be given what it missed, or `off`.
    #[arg(long, value_name = "DURATION", env = "SWITCHBOARD_SOCKETIO_RECOVERY", default_value = "off")]
    pub socketio_recovery: MaybeDuration,

    /// How many packets are kept for those who may come back; with more, the oldest go.
    #[arg(long, value_name = "COUNT", env = "SWITCHBOARD_SOCKETIO_RECOVERY_PACKETS", default_value_t = 100_000,
        value_parser = clap::value_parser!(u32).range(1..))]
    pub socketio_recovery_packets: u32,

    /// How many bytes those packets may have together.
    #[arg(long, value_name = "BYTES", env = "SWITCHBOARD_SOCKETIO_RECOVERY_BYTES", default_value_t = Bytes(64 << 20))]
    pub socketio_recovery_bytes: Bytes,

    /// How many clients may be away and come back; with more, the first to leave are forgotten.
    #[arg(long, value_name = "COUNT", env = "SWITCHBOARD_SOCKETIO_RECOVERY_CLIENTS", default_value_t = 100_000,
        value_parser = clap::value_parser!(u32).range(1..))]
    pub socketio_recovery_clients: u32,

    /// Whether to compress messages of Socket.IO over WebSocket (permessage-deflate) for clients that offer it.
    #[arg(long, value_enum, env = "SWITCHBOARD_SOCKETIO_COMPRESSION", default_value_t = Switch::Off)]
    pub socketio_compression: Switch,

    /// From how many bytes such messages are compressed.
    #[arg(long, value_name = "BYTES", env = "SWITCHBOARD_SOCKETIO_COMPRESSION_THRESHOLD", default_value_t = Bytes(128))]
    pub socketio_compression_threshold: Bytes,

    /// From how many bytes answers to polls are compressed, or `off`.
    #[arg(long, value_name = "BYTES", env = "SWITCHBOARD_SOCKETIO_HTTP_COMPRESSION", default_value = "1KiB")]
    pub socketio_http_compression: MaybeBytes,

    /// How packets are written: all clients must use the same.
    #[arg(long, value_enum, env = "SWITCHBOARD_SOCKETIO_PARSER", default_value_t = ParserName::Json)]
    pub socketio_parser: ParserName,

    /// The name of a cookie with the session's id, for load balancers. [default: no cookie]
    #[arg(long, value_name = "NAME", env = "SWITCHBOARD_SOCKETIO_COOKIE")]
    pub socketio_cookie: Option<String>,

    /// The path below which browsers send that cookie back.
    #[arg(long, value_name = "PATH", env = "SWITCHBOARD_SOCKETIO_COOKIE_PATH", default_value = "/")]
    pub socketio_cookie_path: String,

    /// Whether they send it along from pages of other sites; with `none` it is `Secure`, which browsers want then.
    #[arg(long, value_enum, env = "SWITCHBOARD_SOCKETIO_COOKIE_SAME_SITE", default_value_t = SameSiteName::Lax)]
    pub socketio_cookie_same_site: SameSiteName,
}

/// Whether a cookie is sent along from other sites.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum SameSiteName {
    /// Never.
    Strict,
    /// When the user follows a link.
    Lax,
    /// Always.
    None,
}

/// A way to connect.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum TransportName {
    /// HTTP long polling.
    Polling,
    /// WebSocket.
    Websocket,
}

/// A way to write packets.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum ParserName {
    /// What clients do unless told otherwise.
    Json,
    /// socket.io-msgpack-parser.
    Msgpack,
}
