//! The settings that the server runs with: the command line, understood and found possible.

use std::fmt;
use std::net::{IpAddr, SocketAddr, ToSocketAddrs};
use std::path::PathBuf;
use std::time::Duration;

use switchboard_ws::{Config, DeflateConfig, Hub, HubLimits, Identity, Limits, Origins, ServerOptions, ServerTls};
use tracing_subscriber::EnvFilter;

use crate::cli::{Driver, Serve, Switch};
use crate::socketio::{Sockets, Surroundings};
use crate::{relay, rooms};

/// What [`run`](crate::run::run) needs to know.
#[derive(Debug)]
pub struct Settings {
    /// Where to listen.
    pub listen: Listen,
    /// Certificates, for https:// and wss://.
    pub tls: Option<ServerTls>,
    /// How WebSockets behave, with the hub of the rooms.
    pub websocket: Config,
    /// Socket.IO, if it is served.
    pub socketio: Option<Sockets>,
    /// The most connections at once.
    pub max_connections: usize,
    /// How many threads serve connections.
    pub workers: usize,
    /// Whether shards accept and drive plain connections.
    pub sharded: bool,
    /// How long a shutdown may take.
    pub shutdown_timeout: Duration,
    /// What to log.
    pub log: EnvFilter,
    /// Whether to serve the chat page.
    pub demo: Demo,
}

/// Whether to serve the chat page.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Demo {
    /// At `/`.
    Served,
    /// Not wanted.
    Off,
    /// Not in public, and an address is.
    Hidden,
}

/// Where to listen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Listen {
    /// 127.0.0.1:3000, or the next port that is free.
    Anywhere,
    /// Here and nowhere else.
    At(Vec<Address>),
}

/// An address to listen on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Address {
    /// TCP; a name that has several addresses is listened to on the first.
    Tcp(SocketAddr),
    /// A Unix socket.
    Unix(PathBuf),
}

/// What is wrong, in a sentence that names the flag.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SettingsError(pub String);

impl fmt::Display for SettingsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for SettingsError {}

impl TryFrom<Serve> for Settings {
    type Error = SettingsError;

    fn try_from(options: Serve) -> Result<Self, SettingsError> {
        let listen = listen(&options.listen)?;
        let origins = origins(&options.allow_origin)?;
        let public = public(&listen);
        if let (Origins::Any, false, Some(address)) = (&origins, options.allow_any_origin_in_public, public) {
            return Err(open_to_all(address));
        }
        let tls = match (&options.tls_cert, &options.tls_key) {
            (Some(cert), Some(key)) => {
                let identity = Identity::files(cert, key).map_err(|error| wrong("--tls-cert", error))?;
                Some(ServerTls::new(&identity))
            }
            _ => None,
        };
        let max_connections = usize::try_from(options.max_connections).unwrap_or(usize::MAX);
        let hub = Hub::new(hub_limits());
        let websocket = websocket(&options, origins, &hub);
        let around = Surroundings { websocket: &websocket, hub: &hub, max_connections, tls: tls.is_some() };
        let socketio = Sockets::new(&options.socketio, &around)?;
        Ok(Self {
            listen,
            tls,
            websocket,
            socketio,
            max_connections,
            workers: match options.workers {
                Some(workers) => workers.into(),
                None => std::thread::available_parallelism().map_or(1, usize::from),
            },
            sharded: options.driver == Driver::Auto,
            shutdown_timeout: options.shutdown_timeout.into(),
            log: EnvFilter::try_new(&options.log).map_err(|error| wrong("--log", error))?,
            demo: match (options.no_demo, public) {
                (true, _) => Demo::Off,
                (false, Some(_)) if !options.demo_in_public => Demo::Hidden,
                (false, _) => Demo::Served,
            },
        })
    }
}

/// Topics have the name of a namespace, a comma, and the name of a room.
fn hub_limits() -> HubLimits {
    HubLimits { topic_bytes: relay::LONGEST_NAMESPACE + 1 + rooms::LONGEST_NAME, ..HubLimits::default() }
}

fn websocket(options: &Serve, origins: Origins, hub: &Hub) -> Config {
    // Takeover costs memory for each connection; without it a thread's connections share one compressor.
    let deflate = (options.compression == Switch::On).then(DeflateConfig::default);
    let limits = Limits {
        max_message: options.max_message.0,
        max_frame: options.max_message.0,
        ping_interval: options.ping_interval.0,
        idle_timeout: options.idle_timeout.0,
        deflate,
        ..Limits::default()
    };
    let handshake = ServerOptions { origins, ..ServerOptions::default() };
    let config = Config::default().limits(limits).handshake(handshake).hub(hub.clone()).keep_request(false);
    match options.driver {
        Driver::Auto => config,
        Driver::Task => config.task_per_connection(),
    }
}

fn listen(given: &[String]) -> Result<Listen, SettingsError> {
    if given.is_empty() {
        return Ok(Listen::Anywhere);
    }
    given.iter().map(|text| address(text)).collect::<Result<_, _>>().map(Listen::At)
}

fn address(text: &str) -> Result<Address, SettingsError> {
    match text.strip_prefix("unix:") {
        Some("") => Err(wrong("--listen", "unix: needs a path")),
        Some(path) => Ok(Address::Unix(path.into())),
        None => {
            let mut found = text.to_socket_addrs().map_err(|error| {
                wrong(
                    "--listen",
                    format!("`{text}` is no address such as 127.0.0.1:3000 or unix:/run/sb.sock ({error})"),
                )
            })?;
            found.next().map(Address::Tcp).ok_or_else(|| wrong("--listen", format!("`{text}` has no address")))
        }
    }
}

fn origins(given: &[String]) -> Result<Origins, SettingsError> {
    if given.is_empty() {
        return Ok(Origins::SameOrigin);
    }
    if given.iter().any(|origin| origin == "*") {
        return Ok(Origins::Any);
    }
    Origins::list(given.iter().map(String::as_str)).map_err(|error| wrong("--allow-origin", error))
}

/// An address that other machines can reach, if there is one.
fn public(listen: &Listen) -> Option<SocketAddr> {
    let Listen::At(addresses) = listen else { return None };
    addresses.iter().find_map(|address| match address {
        Address::Tcp(tcp) if !is_loopback(tcp.ip()) => Some(*tcp),
        _ => None,
    })
}

/// A page of any site could act in the name of whoever visits it: not on an address that others can reach, unless that
/// is said out loud.
fn open_to_all(address: SocketAddr) -> SettingsError {
    SettingsError(format!(
        "--allow-origin * lets the pages of every site connect, and {address} can be reached from other machines. Name \
         the sites, listen on 127.0.0.1, or add --allow-any-origin-in-public"
    ))
}

fn is_loopback(ip: IpAddr) -> bool {
    ip.to_canonical().is_loopback()
}

/// A flag, and what is wrong with it.
pub(crate) fn wrong(flag: &str, error: impl fmt::Display) -> SettingsError {
    SettingsError(format!("{flag}: {error}"))
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;
    use crate::cli::Cli;

    fn settings(arguments: &[&str]) -> Result<Settings, SettingsError> {
        let cli = Cli::try_parse_from(["switchboard"].iter().chain(arguments)).expect("known flags");
        Settings::try_from(cli.serve)
    }

    #[test]
    fn addresses() {
        assert_eq!(settings(&[]).unwrap().listen, Listen::Anywhere);
        let given = settings(&["--listen", "127.0.0.1:0", "--listen", "[::1]:80", "--listen", "unix:/tmp/x"]).unwrap();
        let tcp = |text: &str| Address::Tcp(text.parse().unwrap());
        assert_eq!(given.listen, Listen::At(vec![tcp("127.0.0.1:0"), tcp("[::1]:80"), Address::Unix("/tmp/x".into())]));
        for bad in ["3000", "127.0.0.1", "unix:", "127.0.0.1:99999"] {
            let error = settings(&["--listen", bad]).unwrap_err();
            assert!(error.0.starts_with("--listen: "), "{error}");
        }
    }

    #[test]
    fn open_origins_stay_at_home_unless_told() {
        let open = |address, more: &[&str]| settings(&[&["--allow-origin", "*", "--listen", address], more].concat());
        open("127.0.0.1:0", &[]).unwrap();
        open("[::1]:0", &[]).unwrap();
        open("unix:/tmp/x", &[]).unwrap();
        assert!(open("0.0.0.0:0", &[]).unwrap_err().0.contains("--allow-any-origin-in-public"));
        open("[::]:0", &[]).unwrap_err();
        open("0.0.0.0:0", &["--allow-any-origin-in-public"]).unwrap();
        settings(&["--allow-origin", "https://example.com", "--listen", "0.0.0.0:0"]).unwrap();
        settings(&["--listen", "0.0.0.0:0"]).unwrap();
    }

    #[test]
    fn the_chat_page_stays_at_home_unless_told() {
        let demo = |arguments: &[&str]| settings(arguments).unwrap().demo;
        assert_eq!(demo(&[]), Demo::Served);
        assert_eq!(demo(&["--listen", "127.0.0.1:0", "--listen", "unix:/tmp/x", "--listen", "[::1]:0"]), Demo::Served);
        for public in ["0.0.0.0:0", "[::]:0", "192.0.2.1:0", "[::ffff:192.0.2.1]:0"] {
            assert_eq!(demo(&["--listen", "127.0.0.1:0", "--listen", public]), Demo::Hidden, "{public}");
            assert_eq!(demo(&["--listen", public, "--demo-in-public"]), Demo::Served, "{public}");
        }
        assert_eq!(demo(&["--no-demo"]), Demo::Off);
    }

    #[test]
    fn mistakes_name_their_flag() {
        for (arguments, flag) in
            [(["--allow-origin", "example.com/page"], "--allow-origin: "), (["--log", "=loud="], "--log: ")]
        {
            let error = settings(&arguments).unwrap_err();
            assert!(error.0.starts_with(flag), "{error}");
        }
        let missing = settings(&["--tls-cert", "/nowhere/c.pem", "--tls-key", "/nowhere/k.pem"]).unwrap_err();
        assert!(missing.0.contains("/nowhere/"), "{missing}");
    }

    #[test]
    fn shards_drive_unless_told_otherwise() {
        assert!(settings(&[]).unwrap().sharded);
        assert!(settings(&["--driver", "auto"]).unwrap().sharded);
        assert!(!settings(&["--driver", "task"]).unwrap().sharded);
    }

    #[test]
    fn limits_reach_the_protocol() {
        let given = settings(&["--max-message", "1KiB", "--ping-interval", "off", "--idle-timeout", "1m"]).unwrap();
        let limits = given.websocket.get_limits();
        assert_eq!((limits.max_message, limits.ping_interval), (1024, None));
        assert_eq!(limits.idle_timeout, Some(Duration::from_secs(60)));
        assert_eq!(limits.deflate, None);
        let compressed = settings(&["--compression", "on"]).unwrap();
        assert!(compressed.websocket.get_limits().deflate.is_some());
        assert!(compressed.websocket.get_handshake().deflate.is_some());
    }
}
