//! Where attacks take place: a server in this process, as its flags say, and two connections that were there before. They
//! are heard from before, while and after it is attacked, and what the process holds meanwhile has a bound.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

use clap::Parser as _;
use rcgen::{CertificateParams, KeyPair};
use rustls::pki_types::ServerName;
use rustls::{ClientConfig, RootCertStore};
use switchboard_io::RecoveryCounters;
use switchboard_server::app::App;
use switchboard_server::cli::Cli;
use switchboard_server::settings::{Address, Settings};
use switchboard_server::tasks::Tasks;
use switchboard_server::workers::Workers;
use switchboard_server::{listen, run};
use switchboard_testkit::{Frame, Response, Wire, frame, within};
use switchboard_ws::Budget;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::sync::{Mutex, MutexGuard, watch};
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use switchboard_testkit::counting;

/// Attacks take turns: they are measured.
static TURN: Mutex<()> = Mutex::const_new(());

/// What is attacked over a WebSocket.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Side {
    /// A plain WebSocket, which echoes.
    Plain,
    /// Socket.IO, of which nothing but Engine.IO's handshake was heard: nobody has said who they are.
    Io,
}

impl Side {
    pub(crate) const BOTH: [Self; 2] = [Self::Plain, Self::Io];

    pub(crate) fn path(self) -> &'static str {
        match self {
            Self::Plain => "/echo?greet=0",
            Self::Io => "/socket.io/?EIO=4&transport=websocket",
        }
    }

    /// The longest message, as the server is by default.
    pub(crate) fn longest(self) -> u64 {
        match self {
            Self::Plain => 16 << 20,
            Self::Io => 1_000_000,
        }
    }
}

pub(crate) const POLLING: &str = "/socket.io/?EIO=4&transport=polling";

pub(crate) struct Arena {
    pub(crate) address: SocketAddr,
    app: App,
    workers: Option<Workers>,
    _stopping: watch::Sender<bool>,
    plain: Wire<Line>,
    /// `None` where clients of Socket.IO speak msgpack.
    io: Option<Wire<Line>>,
    said: u32,
    _turn: MutexGuard<'static, ()>,
}

impl Arena {
    pub(crate) async fn new(flags: &[&str]) -> Self {
        Self::start(flags, true, dial).await
    }

    /// Its clients of Socket.IO speak msgpack, and are only those who attack.
    pub(crate) async fn with_msgpack() -> Self {
        Self::start(&["--socketio-parser=msgpack"], false, dial).await
    }

    /// By TLS, and what its clients need for that.
    pub(crate) async fn over_tls(flags: &[&str]) -> (Self, Tls) {
        let pair = KeyPair::generate().unwrap();
        let certificate = CertificateParams::new(["127.0.0.1".to_owned()]).unwrap().self_signed(&pair).unwrap();
        // Attacks take turns, but not in what they prepare.
        static NUMBER: AtomicUsize = AtomicUsize::new(0);
        let number = NUMBER.fetch_add(1, Relaxed);
        let folder = std::env::temp_dir().join(format!("switchboard-attacks-{}-{number}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        let (cert, key) = (folder.join("cert.pem"), folder.join("key.pem"));
        std::fs::write(&cert, certificate.pem()).unwrap();
        std::fs::write(&key, pair.serialize_pem()).unwrap();
        let files = [format!("--tls-cert={}", cert.display()), format!("--tls-key={}", key.display())];
        let flags: Vec<_> = files.iter().map(String::as_str).chain(flags.iter().copied()).collect();
        let mut roots = RootCertStore::empty();
        roots.add(certificate.der().clone()).unwrap();
        let tls = Tls(Arc::new(ClientConfig::builder().with_root_certificates(roots).with_no_client_auth()));
        let dial = async |address| {
            let line: Line = Box::new(tls.shake_hands(connect(address).await).await?);
            Some(line)
        };
        let arena = Self::start(&flags, true, dial).await;
        std::fs::remove_dir_all(&folder).unwrap();
        (arena, tls)
    }

    async fn start(flags: &[&str], json: bool, dial: impl AsyncFn(SocketAddr) -> Option<Line>) -> Self {
        let turn = turn().await;
        let always = ["switchboard", "--listen=127.0.0.1:0", "--workers=1"];
        let cli = Cli::try_parse_from(always.iter().chain(flags)).expect("known flags");
        let settings = Settings::try_from(cli.serve).expect("possible settings");
        let (listeners, _) = listen::bind(&settings.listen, 1).expect("a free port");
        let Ok(Address::Tcp(address)) = listeners[0][0].address() else { panic!("no address") };
        let tasks = Tasks::default();
        let (app, service, stopping) = run::prepare(&settings, &tasks);
        let workers = Workers::start(listeners, &app, &service, &tasks).expect("a thread");
        let plain = opened(&dial, address, Side::Plain).await;
        let io = if json { Some(enter(opened(&dial, address, Side::Io).await).await) } else { None };
        let (said, workers) = (0, Some(workers));
        let mut arena = Self { address, app, workers, _stopping: stopping, plain, io, said, _turn: turn };
        arena.is_well().await;
        arena.begin();
        arena
    }

    /// What is held from here on is the attack's.
    pub(crate) fn begin(&mut self) {
        counting::begin();
    }

    /// Both connections that were there before are heard.
    pub(crate) async fn is_well(&mut self) {
        self.said += 1;
        let said = self.said;
        echoes(&mut self.plain, &format!("still here {said}")).await;
        let Some(io) = &mut self.io else { return };
        io.say(&text(&format!(r#"42{said}["still here"]"#))).await;
        loop {
            match io.frame().await {
                ping if ping == frame::text("2") => io.say(&text("3")).await,
                answer => break assert_eq!(answer, frame::text(format!("43{said}[0]"))),
            }
        }
    }

    /// The attack is over. The others are well, and it never took more than so many bytes.
    pub(crate) async fn ends(mut self, most: usize) {
        self.is_well().await;
        let taken = counting::peak();
        println!("{taken} bytes at the worst moment, of {most}");
        assert!(taken <= most, "{taken} bytes at the worst moment, and {most} are allowed");
    }

    /// Connects and says this within the time that the flags leave for it: how often someone was refused for this reason
    /// tells that the server took it for that.
    pub(crate) async fn attacked_in_time(&mut self, reason: &str, attack: impl AsyncFn(&mut Self)) {
        let before = self.count(reason);
        let counted = async {
            while self.count(reason) == before {
                attack(self).await;
            }
        };
        within(reason, counted).await;
    }

    /// Goes on sending this until the server cuts the connection off. The others are heard meanwhile, which paces it.
    pub(crate) async fn cuts_off(&mut self, wire: &mut Wire, bytes: &[u8]) {
        for _ in 0..1_000_000 {
            if !wire.try_send(bytes).await {
                return;
            }
            self.is_well().await;
        }
        panic!("the server never had enough");
    }

    /// An open WebSocket.
    pub(crate) async fn open(&self, side: Side) -> Wire {
        self.open_offering(side, "").await
    }

    /// An open WebSocket on the plain side, where the flags leave little time to ask for it.
    pub(crate) async fn open_in_time(&self) -> Wire {
        opened(async |address| Some(connect(address).await), self.address, Side::Plain).await
    }

    /// An open WebSocket that was asked for with further headers.
    pub(crate) async fn open_offering(&self, side: Side, headers: &str) -> Wire {
        let mut wire = Wire::ask(self.address, side.path(), headers).await;
        let head = wire.head().await;
        assert!(head.starts_with("http/1.1 101 "), "{head}");
        if side == Side::Io {
            greeting(&mut wire).await;
        }
        wire
    }

    /// A Socket.IO client in the main namespace.
    pub(crate) async fn join(&self) -> Wire<Line> {
        enter(opened(&dial, self.address, Side::Io).await).await
    }

    /// The same in msgpack.
    pub(crate) async fn join_by_msgpack(&self) -> Wire {
        let mut wire = self.open(Side::Io).await;
        wire.say(&frame::binary(b"\x82\xa4type\x00\xa3nsp\xa1/").masked()).await;
        assert_eq!(wire.frame().await.first, 0x82, "welcome");
        wire
    }

    /// All that is answered to some bytes, until the server closes.
    pub(crate) async fn answer(&self, bytes: impl AsRef<[u8]>) -> String {
        let mut wire = Wire::connect(self.address).await;
        wire.try_send(bytes).await;
        String::from_utf8_lossy(&wire.last_words().await).into_owned()
    }

    /// The status of the answer to some bytes. The server need not close.
    pub(crate) async fn status(&self, bytes: impl AsRef<[u8]>) -> u16 {
        let mut wire = Wire::connect(self.address).await;
        wire.try_send(bytes).await;
        status(&wire.head().await)
    }

    /// The path of a new polling session.
    pub(crate) async fn session(&self) -> String {
        let opened = self.get(POLLING).await;
        assert_eq!(opened.status, 200, "{}", opened.body);
        format!("{POLLING}&sid={}", &opened.body[9..29])
    }

    pub(crate) async fn get(&self, path: &str) -> Response {
        Wire::connect(self.address).await.get(path).await
    }

    /// The status of a POST.
    pub(crate) async fn post(&self, path: &str, body: &[u8]) -> u16 {
        let mut wire = Wire::connect(self.address).await;
        wire.send(post(path, body.len())).await;
        wire.try_send(body).await;
        status(&wire.head().await)
    }

    /// Waits until so many were refused for this reason. A client knows of it a little earlier.
    pub(crate) async fn refused(&self, reason: &str, least: u64) {
        eventually(reason, || self.count(reason) >= least).await;
    }

    /// How many were refused for this reason so far.
    pub(crate) fn count(&self, reason: &str) -> u64 {
        self.app.websocket.get_metrics().snapshot().refused.get(reason).copied().unwrap_or(0)
    }

    /// Waits until so many connections were ended by this limit.
    pub(crate) async fn ended(&self, limit: &str, least: u64) {
        eventually(limit, || self.count_ended(limit) >= least).await;
    }

    /// How many connections were ended by this limit so far.
    pub(crate) fn count_ended(&self, limit: &str) -> u64 {
        self.app.websocket.get_metrics().snapshot().limits.get(limit).copied().unwrap_or(0)
    }

    /// What all that is held for clients counts in.
    pub(crate) fn budget(&self) -> &Budget {
        self.app.websocket.get_budget()
    }

    /// Socket.IO's counters.
    pub(crate) fn engine(&self) -> &switchboard_io::engine::Metrics {
        self.app.sockets.as_ref().expect("it is served").server.engine().metrics()
    }

    /// How many sessions of Socket.IO there are.
    pub(crate) fn sessions(&self) -> usize {
        self.app.sockets.as_ref().expect("it is served").server.engine().sessions()
    }

    /// What was recovered of Socket.IO's clients, and what could not be.
    pub(crate) fn recovery(&self) -> RecoveryCounters {
        self.app.sockets.as_ref().expect("it is served").server.recovery().expect("it is on")
    }

    /// How many events were too long to be told to plain WebSockets.
    pub(crate) fn too_long_for_plain(&self) -> u64 {
        self.app.sockets.as_ref().unwrap().plain.too_long()
    }

    /// Waits until there are no more sessions of Socket.IO than the one that was there before and so many more.
    pub(crate) async fn has_sessions(&mut self, more: usize) {
        let engine = self.app.sockets.as_ref().expect("it is served").server.engine().clone();
        self.is_well_until("the other sessions are over", |_| engine.sessions() <= 1 + more).await;
    }

    /// Waits until no WebSocket is open but the two that were there before and so many more.
    pub(crate) async fn is_left_with(&mut self, more: usize) {
        self.is_well_until("the others are gone", |arena| arena.app.websocket.connections().count() == 2 + more).await;
    }

    /// Waits for something that is not announced; both connections that were there before are heard meanwhile.
    pub(crate) async fn is_well_until(&mut self, what: &str, holds: impl Fn(&Self) -> bool) {
        within(what, async {
            while !holds(self) {
                self.is_well().await;
            }
        })
        .await;
    }
}

impl Drop for Arena {
    fn drop(&mut self) {
        // The next one begins when all of this is gone.
        self.workers.take().into_iter().for_each(Workers::end);
    }
}

/// Says something on a plain WebSocket and hears it again. Pings that come first are answered.
pub(crate) async fn echoes<S: AsyncRead + AsyncWrite + Unpin>(wire: &mut Wire<S>, said: &str) {
    wire.say(&text(said)).await;
    loop {
        match wire.frame().await {
            ping if ping.first == 0x89 => wire.say(&frame::pong(ping.payload).masked()).await,
            answer => break assert_eq!(answer, frame::text(said)),
        }
    }
}

/// Waits for something that is not announced.
pub(crate) async fn eventually(what: &str, holds: impl Fn() -> bool) {
    within(what, async {
        while !holds() {
            tokio::task::yield_now().await;
        }
    })
    .await;
}

/// The head of a POST whose body has so many bytes.
pub(crate) fn post(path: &str, length: usize) -> String {
    format!("POST {path} HTTP/1.1\r\nHost: localhost\r\nContent-Length: {length}\r\n\r\n")
}

/// A text as clients send it.
pub(crate) fn text(text: &str) -> Frame {
    frame::text(text).masked()
}

/// The head of a masked frame of so many bytes. None of them is sent.
pub(crate) fn announcement(first: u8, length: u64) -> Vec<u8> {
    [&[first, 0xff][..], &length.to_be_bytes(), &frame::KEY].concat()
}

/// The status in an answer's head.
pub(crate) fn status(answer: &str) -> u16 {
    answer.split(' ').nth(1).and_then(|status| status.parse().ok()).unwrap_or_else(|| panic!("no status: {answer:?}"))
}

/// The next frame says that the server closes, and with which code.
pub(crate) async fn closed<S: AsyncRead + AsyncWrite + Unpin>(wire: &mut Wire<S>) -> u16 {
    let close = wire.frame().await;
    assert_eq!(close.first, 0x88, "{close:?}");
    u16::from_be_bytes([close.payload[0], close.payload[1]])
}

/// Has a test be the only one that is measured.
pub(crate) async fn turn() -> MutexGuard<'static, ()> {
    TURN.lock().await
}

/// The client's side of TLS.
pub(crate) struct Tls(Arc<ClientConfig>);

impl Tls {
    /// `None`: the server hung up.
    pub(crate) async fn shake_hands(&self, stream: TcpStream) -> Option<TlsStream<TcpStream>> {
        let name = ServerName::IpAddress(stream.peer_addr().ok()?.ip().into());
        let connecting = TlsConnector::from(Arc::clone(&self.0)).connect(name, stream);
        within("a TLS handshake", connecting).await.ok()
    }
}

/// A connection, with TLS or without.
pub(crate) type Line = Box<dyn Duplex>;

pub(crate) trait Duplex: AsyncRead + AsyncWrite + Unpin + Send {}
impl<T: AsyncRead + AsyncWrite + Unpin + Send> Duplex for T {}

async fn dial(address: SocketAddr) -> Option<Line> {
    Some(Box::new(connect(address).await))
}

async fn connect(address: SocketAddr) -> TcpStream {
    within("a connection", TcpStream::connect(address)).await.expect("someone listens")
}

/// An open WebSocket. A client that the machine kept from asking in time, as the flags may say it, comes again.
async fn opened<S: AsyncRead + AsyncWrite + Unpin>(
    dial: impl AsyncFn(SocketAddr) -> Option<S>,
    address: SocketAddr,
    side: Side,
) -> Wire<S> {
    within("a WebSocket", async {
        loop {
            let Some(stream) = dial(address).await else { continue };
            let mut wire = Wire::new(stream);
            match wire.try_upgrade(side.path()).await {
                Some(head) if head.starts_with("http/1.1 408 ") => {}
                Some(head) => {
                    assert!(head.starts_with("http/1.1 101 "), "{head}");
                    break wire;
                }
                None => {}
            }
        }
    })
    .await
}

/// Joins the main namespace.
async fn enter(mut wire: Wire<Line>) -> Wire<Line> {
    greeting(&mut wire).await;
    wire.say(&text("40")).await;
    let welcome = wire.frame().await;
    assert!(welcome.payload.starts_with(b"40{"), "{welcome:?}");
    wire
}

async fn greeting<S: AsyncRead + AsyncWrite + Unpin>(wire: &mut Wire<S>) {
    let greeting = wire.frame().await;
    assert!(greeting.payload.starts_with(b"0{\"sid\":"), "{greeting:?}");
}

/// A session is unknown, once what it still had to say was fetched: a welcome perhaps, and that it is closed.
pub(crate) async fn is_over(arena: &Arena, session: &str) {
    for _ in 0..3 {
        if arena.get(session).await.body.contains("Session ID unknown") {
            return;
        }
    }
    panic!("the session goes on");
}
