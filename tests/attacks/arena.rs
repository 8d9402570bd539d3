//! Where attacks take place: a server in this process, as its flags say, and two connections that were there before. They
//! are heard from before, while and after it is attacked, what the process holds meanwhile has a bound, and how those who
//! attack are refused is told, with the time that it took.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::Duration;

use clap::Parser as _;
use switchboard_io::RecoveryCounters;
use switchboard_server::app::App;
use switchboard_server::cli::Cli;
use switchboard_server::settings::{Address, Settings};
use switchboard_server::tasks::Tasks;
use switchboard_server::workers::Workers;
use switchboard_server::{listen, run};
use switchboard_testkit::refusals::{self, Refusal};
use switchboard_testkit::{Frame, Response, Wire, counting, frame, within};
use switchboard_ws::Budget;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::{Mutex, MutexGuard, watch};

use crate::way::{Dialer, Line, Way};

/// The time limits of an arena that is in haste.
const HASTE: Duration = Duration::from_millis(300);
/// A shard reads its clock once a turn: the time of who comes within one counts from its beginning. So much is left for
/// that.
const TURN_OF_A_SHARD: Duration = Duration::from_millis(64);

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

/// Clients of Socket.IO speak msgpack.
pub(crate) const MSGPACK: &str = "--socketio-parser=msgpack";
pub(crate) const POLLING: &str = "/socket.io/?EIO=4&transport=polling";

pub(crate) struct Arena {
    pub(crate) address: SocketAddr,
    pub(crate) way: Way,
    pub(crate) dialer: Dialer,
    app: App,
    workers: Option<Workers>,
    _stopping: watch::Sender<bool>,
    plain: Wire<Line>,
    /// `None` where clients of Socket.IO speak msgpack only: then it is `packed`.
    io: Option<Wire<Line>>,
    packed: Option<Wire<Line>>,
    said: u32,
    /// Nobody is cut off sooner.
    patience: Duration,
    _turn: MutexGuard<'static, ()>,
}

impl Arena {
    /// Where clients come by shards.
    pub(crate) async fn new(flags: &[&str]) -> Self {
        Self::on(Way::Shards, flags).await
    }

    pub(crate) async fn on(way: Way, flags: &[&str]) -> Self {
        Self::start(way, flags, Duration::ZERO).await
    }

    /// Each flag without a value is a time limit, and gets a short one. Nobody is cut off before that has passed.
    pub(crate) async fn in_haste(way: Way, flags: &[&str]) -> Self {
        let timed = |flag: &&str| if flag.contains('=') { (*flag).to_owned() } else { format!("{flag}={HASTE:?}") };
        let flags: Vec<_> = flags.iter().map(timed).collect();
        Self::start(way, &flags.iter().map(String::as_str).collect::<Vec<_>>(), HASTE).await
    }

    /// Nobody is cut off before the limit has passed that the flags name.
    pub(crate) async fn patient(way: Way, flags: &[&str], patience: Duration) -> Self {
        Self::start(way, flags, patience).await
    }

    async fn start(way: Way, flags: &[&str], patience: Duration) -> Self {
        let turn = turn().await;
        let always = ["switchboard", "--listen=127.0.0.1:0", "--workers=1"].map(str::to_owned);
        let identity = way.identity();
        let flags = always.into_iter().chain(identity.flags()).chain(flags.iter().map(|flag| (*flag).to_owned()));
        let flags: Vec<_> = flags.collect();
        let cli = Cli::try_parse_from(&flags).expect("known flags");
        let settings = Settings::try_from(cli.serve).expect("possible settings");
        let (listeners, _) = listen::bind(&settings.listen, 1).expect("a free port");
        let Ok(Address::Tcp(address)) = listeners[0][0].address() else { panic!("no address") };
        let tasks = Tasks::default();
        let (app, service, stopping) = run::prepare(&settings, &tasks);
        let workers = Workers::start(listeners, &app, &service, &tasks).expect("a thread");
        let dialer = identity.dialer(address);
        let plain = opened(&dialer, Side::Plain, "").await;
        let other = opened(&dialer, Side::Io, "").await;
        let (io, packed) = if flags.contains(&MSGPACK.to_owned()) {
            (None, Some(enter_by_msgpack(other).await))
        } else {
            (Some(enter(other).await), None)
        };
        let (said, workers) = (0, Some(workers));
        let _stopping = stopping;
        let _turn = turn;
        let mut arena =
            Self { address, way, dialer, app, workers, _stopping, plain, io, packed, said, patience, _turn };
        arena.is_well().await;
        arena.begin();
        arena
    }

    /// What is held from here on is the attack's, and whoever is refused.
    pub(crate) fn begin(&mut self) {
        counting::begin();
        refusals::begin();
        self.dialer.begin();
    }

    /// Both connections that were there before are heard.
    pub(crate) async fn is_well(&mut self) {
        self.said += 1;
        let said = self.said;
        echoes(&mut self.plain, &format!("still here {said}")).await;
        if let Some(packed) = &mut self.packed {
            // An event that asks for an ack, and the ack.
            let id = [0xce].into_iter().chain(said.to_be_bytes()).collect::<Vec<_>>();
            let event = [&b"\x84\xa4type\x02\xa3nsp\xa1/\xa4data\x91\xa5still\xa2id"[..], &id].concat();
            packed.say(&frame::binary(event).masked()).await;
            loop {
                match packed.frame().await {
                    ping if ping == frame::text("2") => packed.say(&text("3")).await,
                    ack => break assert!(ack.payload.windows(6).any(|bytes| bytes == b"\xa4type\x03"), "{ack:?}"),
                }
            }
        }
        let Some(io) = &mut self.io else { return };
        io.say(&text(&format!(r#"42{said}["still here"]"#))).await;
        loop {
            match io.frame().await {
                ping if ping == frame::text("2") => io.say(&text("3")).await,
                answer => break assert_eq!(answer, frame::text(format!("43{said}[0]"))),
            }
        }
    }

    /// The attack is over. Somebody was refused, the others are well, and it never took more than so many bytes, with what
    /// each connection costs by its way.
    pub(crate) async fn ends(self, most: usize) {
        assert!(!refusals::noted().is_empty(), "whoever attacks is refused");
        self.goes_on(most).await;
    }

    /// The same where there is nothing to refuse.
    pub(crate) async fn goes_on(mut self, most: usize) {
        self.is_well().await;
        let taken = counting::peak();
        let most = most + self.dialer.dialed() * self.way.each();
        println!("{}", self.told(taken, most));
        assert!(taken <= most, "{taken} bytes at the worst moment, and {most} are allowed");
        for refused in refusals::noted() {
            let waited = matches!(refused.how, Refusal::CutOff | Refusal::Status(408));
            let after = refused.after + TURN_OF_A_SHARD;
            assert!(
                !waited || after >= self.patience,
                "{} before {:?}: {:?}",
                refused.how,
                self.patience,
                refused.after
            );
        }
    }

    /// What the attack cost, how those who attacked were refused, and how long that took. No longest time is asked for:
    /// it is that of the machine too.
    fn told(&self, taken: usize, most: usize) -> String {
        let mut ways = BTreeMap::<_, Vec<_>>::new();
        for refused in refusals::noted() {
            ways.entry(refused.how).or_default().push(refused.after);
        }
        let refused = ways.iter_mut().map(|(how, after)| {
            after.sort_unstable();
            format!("; {how} ×{} after {:.1?} to {:.1?}", after.len(), after[0], after[after.len() - 1])
        });
        let name = std::thread::current().name().unwrap_or_default().to_owned();
        let refused: String = refused.collect();
        let nobody = if refused.is_empty() { "; nobody refused" } else { "" };
        let least = if self.patience.is_zero() { String::new() } else { format!("; limit {:?}", self.patience) };
        format!("{name}: {taken} bytes at most, of {most}{refused}{nobody}{least}; others heard {} times", self.said)
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
    pub(crate) async fn cuts_off<S>(&mut self, wire: &mut Wire<S>, bytes: &[u8])
    where
        S: AsyncRead + AsyncWrite + Unpin,
    {
        for _ in 0..1_000_000 {
            if !wire.try_send(bytes).await {
                return;
            }
            self.is_well().await;
        }
        panic!("the server never had enough");
    }

    /// A connection by which nothing was said.
    pub(crate) async fn connect(&self) -> Wire<Line> {
        self.dialer.connect().await
    }

    /// The same from another address of this machine, of whoever reads little or nothing.
    pub(crate) async fn connect_from(&self, from: [u8; 4], room: u32) -> Wire<Line> {
        self.dialer.connect_from(from, room).await
    }

    /// Connects by itself, for tasks that attack.
    pub(crate) fn dialer(&self) -> Dialer {
        self.dialer.clone()
    }

    /// A connection by which a WebSocket was asked for, with further headers.
    pub(crate) async fn ask(&self, path: &str, headers: &str) -> Wire<Line> {
        let mut wire = self.connect().await;
        wire.request(path, headers).await;
        wire
    }

    /// The same where the answer is yes.
    pub(crate) async fn open_at(&self, path: &str) -> Wire<Line> {
        let mut wire = self.ask(path, "").await;
        let head = wire.head().await;
        assert!(head.starts_with("http/1.1 101 "), "{head}");
        wire
    }

    /// A connection by which a page was had. Where the flags leave little time to ask for one, others come before.
    pub(crate) async fn answered(&self, path: &str) -> Wire<Line> {
        within("a page", async {
            loop {
                let mut wire = self.connect().await;
                if wire.try_get(path).await.is_some_and(|page| page.status == 200) {
                    break wire;
                }
            }
        })
        .await
    }

    /// An open WebSocket. Where the flags leave little time to ask for one, it is asked for until it is there.
    pub(crate) async fn open(&self, side: Side) -> Wire<Line> {
        self.open_offering(side, "").await
    }

    /// The same, asked for with further headers.
    pub(crate) async fn open_offering(&self, side: Side, headers: &str) -> Wire<Line> {
        let mut wire = opened(&self.dialer, side, headers).await;
        if side == Side::Io {
            greeting(&mut wire).await;
        }
        wire
    }

    /// A Socket.IO client in the main namespace.
    pub(crate) async fn join(&self) -> Wire<Line> {
        enter(opened(&self.dialer, Side::Io, "").await).await
    }

    /// The same in msgpack.
    pub(crate) async fn join_by_msgpack(&self) -> Wire<Line> {
        enter_by_msgpack(opened(&self.dialer, Side::Io, "").await).await
    }

    /// All that is answered to some bytes, until the server closes.
    pub(crate) async fn answer(&self, bytes: impl AsRef<[u8]>) -> String {
        let mut wire = self.connect().await;
        wire.try_send(bytes).await;
        String::from_utf8_lossy(&wire.last_words().await).into_owned()
    }

    /// The status of the answer to some bytes. The server need not close.
    pub(crate) async fn status(&self, bytes: impl AsRef<[u8]>) -> u16 {
        let mut wire = self.connect().await;
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
        self.connect().await.get(path).await
    }

    /// The status of a POST.
    pub(crate) async fn post(&self, path: &str, body: &[u8]) -> u16 {
        let mut wire = self.connect().await;
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

/// The next frame says that the server closes, and with which code; 1005 without one.
pub(crate) async fn closed<S: AsyncRead + AsyncWrite + Unpin>(wire: &mut Wire<S>) -> u16 {
    let close = wire.frame().await;
    assert_eq!(close.first, 0x88, "{close:?}");
    close.payload.first_chunk().map_or(1005, |code| u16::from_be_bytes(*code))
}

/// Has a test be the only one that is measured.
pub(crate) async fn turn() -> MutexGuard<'static, ()> {
    TURN.lock().await
}

/// An open WebSocket. A client that the machine kept from asking in time, as the flags may say it, comes again.
async fn opened(dialer: &Dialer, side: Side, headers: &str) -> Wire<Line> {
    within("a WebSocket", async {
        loop {
            let mut wire = dialer.connect().await;
            match wire.try_request(side.path(), headers).await {
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

/// The same in msgpack.
async fn enter_by_msgpack(mut wire: Wire<Line>) -> Wire<Line> {
    greeting(&mut wire).await;
    wire.say(&frame::binary(b"\x82\xa4type\x00\xa3nsp\xa1/").masked()).await;
    assert_eq!(wire.frame().await.first, 0x82, "welcome");
    wire
}

pub(crate) async fn greeting<S: AsyncRead + AsyncWrite + Unpin>(wire: &mut Wire<S>) {
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
