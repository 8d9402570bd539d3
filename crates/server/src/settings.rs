//! The settings that the server runs with: the command line, understood and found possible.

use std::net::{IpAddr, SocketAddr, ToSocketAddrs};
use std::path::PathBuf;
use std::time::Duration;

use switchboard_ws::{
    AdmissionLimits, Budget, Config, DeflateConfig, HandshakeLimits, Hub, HubLimits, Identity, Limits, Origins,
    OutboxLimits, Overflow, PerAddress, ServerOptions, ServerTls,
};
use tracing_subscriber::EnvFilter;

use crate::cli::{Driver, Serve, Switch};
use crate::error::{SettingsError, wrong};
use crate::patience::Patience;
use crate::socketio::{Sockets, Surroundings};
use crate::units::{Bytes, MaybeBytes, MaybeCount};
use crate::{memory, names, socketio};

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
    /// The most connections at once, in all and from one address; and as many sessions of Socket.IO.
    pub admission: AdmissionLimits,
    /// How long clients may take until they are WebSockets.
    pub patience: Patience,
    /// How many threads serve connections.
    pub workers: usize,
    /// How often to look whether there is memory to give back.
    pub give_back_memory: Option<Duration>,
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
        let hub = Hub::new(hub_limits(socketio::count(options.socketio.socketio_max_rooms)));
        let websocket = websocket(&options, origins, &hub).budget(budget(options.memory_budget)?);
        let admission = AdmissionLimits {
            connections: max_connections,
            per_address: per_address(options.max_connections_per_address, max_connections),
        };
        let max_message = options.max_message.0;
        let around = Surroundings { websocket: &websocket, hub: &hub, admission, max_message, tls: tls.is_some() };
        let socketio = Sockets::new(&options.socketio, &around)?;
        Ok(Self {
            listen,
            tls,
            websocket,
            socketio,
            admission,
            patience: Patience {
                handshake: options.handshake_timeout,
                request: options.request_timeout,
                write: options.write_timeout,
            },
            workers: match options.workers {
                Some(workers) => workers.into(),
                None => std::thread::available_parallelism().map_or(1, usize::from),
            },
            give_back_memory: options.give_back_memory.0,
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

/// The smallest budget: below it what is counted would be too far from what is held.
pub(crate) const LEAST_BUDGET: usize = 16 << 20;
/// The budget where nobody says how much memory there is.
const BLIND_BUDGET: usize = 1 << 30;

/// Half of what there is. The other half is for what is not counted, none of which a client can make grow without a
/// limit: what threads keep, TLS, the allocator's gaps, and the kernel's buffers, which a control group counts as ours.
fn budget(given: Option<MaybeBytes>) -> Result<Budget, SettingsError> {
    match given {
        Some(MaybeBytes(None)) => Ok(Budget::default()),
        Some(MaybeBytes(Some(bytes))) if bytes < LEAST_BUDGET => {
            Err(wrong("--memory-budget", format!("{} is too little; 16MiB is the least", Bytes(bytes))))
        }
        Some(MaybeBytes(Some(bytes))) => Ok(Budget::new(bytes)),
        None => Ok(Budget::new(memory::available().map_or(BLIND_BUDGET, |bytes| (bytes / 2).max(LEAST_BUDGET)))),
    }
}

/// Topics have the name of a namespace, a comma, and the name of a room.
fn hub_limits(topics_per_member: usize) -> HubLimits {
    HubLimits { topics_per_member, topic_bytes: names::LONGEST_NAMESPACE + 1 + names::LONGEST_ROOM }
}

/// Without being told, an address of the internet may have a tenth of all connections, so that no single one can take
/// them all; those of a proxy on this machine or in its network may have any number.
fn per_address(told: MaybeCount, max_connections: usize) -> PerAddress {
    match told {
        MaybeCount::Auto => PerAddress::Public((max_connections / 10).max(1)),
        MaybeCount::Off => PerAddress::Unlimited,
        MaybeCount::Count(count) => PerAddress::Every(count),
    }
}

fn websocket(options: &Serve, origins: Origins, hub: &Hub) -> Config {
    // Takeover costs memory for each connection; without it a thread's connections share one compressor.
    let deflate = (options.compression == Switch::On).then(DeflateConfig::default);
    let limits = Limits {
        max_message: options.max_message.0,
        max_frame: options.max_message.0,
        ping_interval: options.ping_interval.0,
        idle_timeout: options.idle_timeout.0,
        write_timeout: Some(options.write_timeout),
        deflate,
        ..Limits::default()
    };
    let head = HandshakeLimits { timeout: options.handshake_timeout, ..HandshakeLimits::default() };
    let handshake = ServerOptions { origins, limits: head, ..ServerOptions::default() };
    let outbox = OutboxLimits {
        messages: socketio::count(options.outbox_messages),
        bytes: options.outbox_bytes.0,
        overflow: Overflow::Close,
    };
    let config =
        Config::default().limits(limits).handshake(handshake).outbox(outbox).hub(hub.clone()).keep_request(false);
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
    fn memory_is_bounded_unless_told_otherwise() {
        let limit = |arguments: &[&str]| {
            settings(arguments).map(|settings| settings.websocket.get_budget().usage().map(|usage| usage.limit))
        };
        assert!(limit(&[]).unwrap().unwrap() >= LEAST_BUDGET);
        assert_eq!(limit(&["--memory-budget", "64MiB"]), Ok(Some(64 << 20)));
        assert_eq!(limit(&["--memory-budget", "off"]), Ok(None));
        assert!(limit(&["--memory-budget", "15MiB"]).unwrap_err().0.starts_with("--memory-budget: "));
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
    fn an_address_has_its_share_of_the_connections() {
        let of = |arguments: &[&str]| settings(arguments).unwrap().admission;
        assert_eq!(of(&[]).per_address, PerAddress::Public(10_000));
        assert_eq!(of(&["--max-connections", "5"]).per_address, PerAddress::Public(1));
        assert_eq!(of(&["--max-connections-per-address", "off"]).per_address, PerAddress::Unlimited);
        assert_eq!(of(&["--max-connections-per-address", "7"]).per_address, PerAddress::Every(7));
    }

    #[test]
    fn deadlines_reach_whom_they_concern() {
        let flags = ["--handshake-timeout=1s", "--request-timeout=2s", "--write-timeout=3s"];
        let given = settings(&flags).unwrap();
        let Patience { handshake, request, write } = given.patience;
        assert_eq!([handshake, request, write].map(|time| time.as_secs()), [1, 2, 3]);
        assert_eq!(given.websocket.get_handshake().limits.timeout, handshake);
        assert_eq!(given.websocket.get_limits().write_timeout, Some(write));
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
