//! The command line: every flag with its environment variable, its default, and what it is for.

pub mod socketio;

use std::path::PathBuf;
use std::time::Duration;

use clap::builder::BoolishValueParser;
use clap::{Args, Parser, Subcommand, ValueEnum};

use self::socketio::SocketIoFlags;
use crate::units::{self, Bytes, MaybeBytes, MaybeCount, MaybeDuration};

/// A realtime server: browsers, phones and services connect by WebSocket and hear each other.
#[derive(Debug, Parser)]
#[command(name = "switchboard", version, args_conflicts_with_subcommands = true)]
pub struct Cli {
    /// What to do; without one, `serve`.
    #[command(subcommand)]
    pub command: Option<Command>,

    /// The options of `serve`, for when no command is named.
    #[command(flatten)]
    pub serve: Serve,
}

/// What the binary can do.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Run the server (the default).
    Serve(Box<Serve>),
}

/// The options of `serve`.
#[derive(Debug, Clone, Args)]
pub struct Serve {
    /// Where to listen: HOST:PORT or unix:PATH. May be given more than once. [default: 127.0.0.1:3000, or the next free
    /// port]
    #[arg(long, value_name = "ADDRESS", env = "SWITCHBOARD_LISTEN", value_delimiter = ',')]
    pub listen: Vec<String>,

    /// The certificate chain, in PEM: serve https and wss in place of http and ws.
    #[arg(long, value_name = "FILE", env = "SWITCHBOARD_TLS_CERT", requires = "tls_key")]
    pub tls_cert: Option<PathBuf>,

    /// The private key that belongs to the certificate, in PEM.
    #[arg(long, value_name = "FILE", env = "SWITCHBOARD_TLS_KEY", requires = "tls_cert")]
    pub tls_key: Option<PathBuf>,

    /// A site whose pages may connect: `https://example.com`, `https://*.example.com`, or `*` for every site. May be
    /// given more than once; a list shuts out this server's own pages unless it names them. [default: this server's
    /// own pages]
    #[arg(long, value_name = "ORIGIN", env = "SWITCHBOARD_ALLOW_ORIGIN", value_delimiter = ',')]
    pub allow_origin: Vec<String>,

    /// Listen on an address that others can reach although every site's pages may connect.
    #[arg(long, env = "SWITCHBOARD_ALLOW_ANY_ORIGIN_IN_PUBLIC", value_parser = BoolishValueParser::new())]
    pub allow_any_origin_in_public: bool,

    /// The largest message taken, after inflating.
    #[arg(long, value_name = "BYTES", env = "SWITCHBOARD_MAX_MESSAGE", default_value_t = Bytes(16 << 20))]
    pub max_message: Bytes,

    /// The most connections at once; further ones are answered with 503.
    #[arg(long, value_name = "COUNT", env = "SWITCHBOARD_MAX_CONNECTIONS", default_value_t = 100_000,
        value_parser = clap::value_parser!(u32).range(1..))]
    pub max_connections: u32,

    /// The most memory that is held for all clients together, or `off`: messages that are not whole, queues, and what
    /// is kept for those who may come back. When 90 % is held, further clients are answered with 503 and those for whom
    /// most is held are closed. At least 16MiB. [default: half of the machine's memory, or of what its control group
    /// may use]
    #[arg(long, value_name = "BYTES", env = "SWITCHBOARD_MEMORY_BUDGET")]
    pub memory_budget: Option<MaybeBytes>,

    /// How many messages may wait for one WebSocket that does not take them; with more it is closed (1013).
    #[arg(long, value_name = "COUNT", env = "SWITCHBOARD_OUTBOX_MESSAGES", default_value_t = 1024,
        value_parser = clap::value_parser!(u32).range(1..))]
    pub outbox_messages: u32,

    /// How much may wait for one WebSocket that does not take it; with more it is closed (1013). One message may,
    /// however long it is.
    #[arg(long, value_name = "BYTES", env = "SWITCHBOARD_OUTBOX_BYTES", default_value_t = Bytes(1 << 20))]
    pub outbox_bytes: Bytes,

    /// How often to look whether most of the memory that was held for clients is free again, and then to give it back
    /// to the system, or `off`. Only on Linux with glibc, and where there is a --memory-budget.
    #[arg(long, value_name = "DURATION", env = "SWITCHBOARD_GIVE_BACK_MEMORY", default_value = "10s")]
    pub give_back_memory: MaybeDuration,

    /// The most connections of one address, and the most sessions of Socket.IO, or `off`; of IPv6 the first 64 bits are
    /// the address. `auto`: a tenth of --max-connections, and any number from private addresses and this machine, where
    /// proxies are. Behind a proxy with a public address say `off` or a number that is enough for it. Further ones are
    /// answered with 429. For whom it holds, they may have made a tenth of --socketio-max-child-namespaces.
    #[arg(long, value_name = "COUNT", env = "SWITCHBOARD_MAX_CONNECTIONS_PER_ADDRESS", default_value = "auto")]
    pub max_connections_per_address: MaybeCount,

    /// How long a client may take for the TLS handshake, and for its first request's head.
    #[arg(long, value_name = "DURATION", env = "SWITCHBOARD_HANDSHAKE_TIMEOUT", default_value = "10s",
        value_parser = units::duration)]
    pub handshake_timeout: Duration,

    /// How long a client of HTTP may take until the whole head of its next request has come.
    #[arg(long, value_name = "DURATION", env = "SWITCHBOARD_REQUEST_TIMEOUT", default_value = "15s",
        value_parser = units::duration)]
    pub request_timeout: Duration,

    /// How long a client may take nothing of what waits for it. A whole answer of HTTP may take four times as long.
    #[arg(long, value_name = "DURATION", env = "SWITCHBOARD_WRITE_TIMEOUT", default_value = "30s",
        value_parser = units::duration)]
    pub write_timeout: Duration,

    /// How many threads serve connections. [default: one per processor]
    #[arg(long, value_name = "COUNT", env = "SWITCHBOARD_WORKERS", value_parser = clap::value_parser!(u16).range(1..))]
    pub workers: Option<u16>,

    /// What drives plain connections: `auto` has each thread drive very many at once, `task` gives each connection a
    /// task of its own, by way of HTTP, as TLS has it anyway. Clients see no difference: `task` is there to compare.
    #[arg(long, value_enum, env = "SWITCHBOARD_DRIVER", default_value_t = Driver::Auto)]
    pub driver: Driver,

    /// How often to ping each connection, or `off`. One that stays silent for 20 s after a ping is closed.
    #[arg(long, value_name = "DURATION", env = "SWITCHBOARD_PING_INTERVAL", default_value = "30s")]
    pub ping_interval: MaybeDuration,

    /// Close a connection on which no message went either way for this long, or `off`.
    #[arg(long, value_name = "DURATION", env = "SWITCHBOARD_IDLE_TIMEOUT", default_value = "off")]
    pub idle_timeout: MaybeDuration,

    /// Whether to compress messages (permessage-deflate) for clients that offer it.
    #[arg(long, value_enum, env = "SWITCHBOARD_COMPRESSION", default_value_t = Switch::Off)]
    pub compression: Switch,

    /// How long open connections may take to say goodbye when the server is stopped.
    #[arg(long, value_name = "DURATION", env = "SWITCHBOARD_SHUTDOWN_TIMEOUT", default_value = "10s")]
    pub shutdown_timeout: humantime::Duration,

    /// What to log: error, warn, info, debug or trace, for all or by module as in `info,switchboard_ws=debug`.
    #[arg(long, value_name = "FILTER", env = "SWITCHBOARD_LOG", default_value = "info")]
    pub log: String,

    /// Do not serve the chat page at /.
    #[arg(long, env = "SWITCHBOARD_NO_DEMO", value_parser = BoolishValueParser::new())]
    pub no_demo: bool,

    /// Serve the chat page also when an address can be reached from other machines, where everyone could then write
    /// under any name. Otherwise it is served on this machine only.
    #[arg(long, env = "SWITCHBOARD_DEMO_IN_PUBLIC", value_parser = BoolishValueParser::new(), conflicts_with = "no_demo")]
    pub demo_in_public: bool,

    /// Socket.IO's own.
    #[command(flatten)]
    pub socketio: SocketIoFlags,
}

/// What drives plain connections.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Driver {
    /// Shards, which also accept them.
    Auto,
    /// A task for each.
    Task,
}

/// On or off.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Switch {
    /// No.
    Off,
    /// Yes.
    On,
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_definition_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn serve_is_what_happens_without_a_command() {
        let bare = Cli::parse_from(["switchboard", "--max-message", "1MiB"]);
        assert!(bare.command.is_none());
        assert_eq!(bare.serve.max_message, Bytes(1 << 20));
        let named = Cli::parse_from(["switchboard", "serve", "--max-message", "1MiB"]);
        let Some(Command::Serve(options)) = named.command else { panic!("serve was named") };
        assert_eq!(options.max_message, bare.serve.max_message);
        assert_eq!(options.compression, Switch::Off, "compression is off by default");
    }

    #[test]
    fn a_certificate_needs_its_key() {
        assert!(Cli::try_parse_from(["switchboard", "--tls-cert", "cert.pem"]).is_err());
        assert!(Cli::try_parse_from(["switchboard", "--tls-key", "key.pem"]).is_err());
    }

    #[test]
    fn bad_values_are_told_at_once() {
        for arguments in [["--ping-interval", "30"], ["--max-message", "0"], ["--max-connections", "0"]] {
            assert!(Cli::try_parse_from(["switchboard"].into_iter().chain(arguments)).is_err(), "{arguments:?}");
        }
    }
}
