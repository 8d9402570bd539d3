//! All kinds of hostile peers at once beside healthy ones: every healthy one is answered, every hostile one is refused or
//! cut off, and memory has a bound. How fast the healthy ones are answered meanwhile is measured by `bench/flood`.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

use switchboard_io::engine::Limit;
use switchboard_testkit::{Wire, frame, within};
use tokio::task::JoinSet;

use crate::arena::{Arena, POLLING, Side, eventually, post, text};

const HEALTHY: usize = 20;
const OF_EACH_KIND: usize = 25;
const ROOM: u32 = 4 << 10;

/// What hostile peers do, until the server has had enough.
#[derive(Debug, Clone, Copy)]
enum Kind {
    /// Says nothing.
    Silent,
    /// Stops within its request.
    HalfAHead,
    /// Stops within a later one.
    HalfALaterHead,
    /// Stops within a body.
    HalfABody,
    /// Asks for one page after another and reads none.
    DeafToPages,
    /// Pings and reads no pong.
    DeafToPongs,
    /// Talks and reads no echo.
    DeafToEchoes,
    /// Opens a WebSocket, and is gone.
    Gone,
    /// Opens a session of Socket.IO and never says which namespace it is for; then it is gone.
    Undecided,
    /// Says what cannot be.
    Mad,
}

const KINDS: [Kind; 10] = [
    Kind::Silent,
    Kind::HalfAHead,
    Kind::HalfALaterHead,
    Kind::HalfABody,
    Kind::DeafToPages,
    Kind::DeafToPongs,
    Kind::DeafToEchoes,
    Kind::Gone,
    Kind::Undecided,
    Kind::Mad,
];

impl Kind {
    async fn attack(self, address: SocketAddr) {
        let mut wire = Wire::connect_from(address, [127, 0, 0, 1], ROOM).await;
        match self {
            Self::Silent => {}
            Self::HalfAHead => wire.send("GET /echo HTTP/1.1\r\nHost: local").await,
            Self::HalfALaterHead => {
                assert_eq!(wire.get("/health").await.status, 200);
                wire.send("GET /echo HTTP/1.1\r\nHost: local").await;
            }
            Self::HalfABody => {
                let opened = wire.get(POLLING).await.body;
                wire.send(post(&format!("{POLLING}&sid={}", &opened[9..29]), 1000) + "4").await;
            }
            Self::DeafToPages => {
                let requests = "GET /style.css HTTP/1.1\r\nHost: localhost\r\n\r\n".repeat(50);
                return while wire.try_send(&requests).await {};
            }
            Self::DeafToPongs | Self::DeafToEchoes => {
                wire.request(Side::Plain.path(), "").await;
                wire.head().await;
                let kind = if matches!(self, Self::DeafToPongs) { 0x89 } else { 0x82 };
                let frames = frame::raw(kind, [7; 125]).masked().bytes().repeat(100);
                return while wire.try_send(&frames).await {};
            }
            Self::Gone => {
                wire.request(Side::Plain.path(), "").await;
                wire.head().await;
                return;
            }
            Self::Undecided => {
                wire.request(Side::Io.path(), "").await;
                wire.head().await;
                wire.frame().await;
                return;
            }
            Self::Mad => {
                wire.request(Side::Io.path(), "").await;
                wire.head().await;
                wire.say(&text("\u{0}")).await;
            }
        }
        wire.last_words().await;
    }
}

#[tokio::test]
async fn hostile_peers_of_all_kinds_beside_healthy_ones() {
    let flags = ["--handshake-timeout=1s", "--request-timeout=1s", "--write-timeout=1s", "--socketio-body-timeout=1s"];
    let mut arena = Arena::new(&flags).await;
    let attacking = Arc::new(AtomicUsize::new(OF_EACH_KIND * KINDS.len()));
    let mut healthy = JoinSet::new();
    for number in 0..HEALTHY {
        let (mut wire, attacking) = (arena.open(Side::Plain).await, Arc::clone(&attacking));
        healthy.spawn(async move {
            let mut rounds = 0;
            while attacking.load(Relaxed) > 0 {
                let said = frame::text(format!("{number} {rounds}"));
                wire.say(&said.clone().masked()).await;
                assert_eq!(wire.frame().await, said);
                rounds += 1;
            }
            (wire, rounds)
        });
    }
    let mut hostile = JoinSet::new();
    for _ in 0..OF_EACH_KIND {
        for kind in KINDS {
            let (address, attacking) = (arena.address, Arc::clone(&attacking));
            hostile.spawn(async move {
                kind.attack(address).await;
                attacking.fetch_sub(1, Relaxed);
            });
        }
    }
    while let Some(attacked) = within("a hostile peer's end", hostile.join_next()).await {
        attacked.unwrap();
        arena.is_well().await;
    }
    let mut open = Vec::new();
    while let Some(heard) = within("a healthy peer", healthy.join_next()).await {
        let (wire, rounds) = heard.unwrap();
        assert!(rounds > 0);
        open.push(wire);
    }
    assert_eq!(open.len(), HEALTHY);
    arena.is_left_with(HEALTHY).await;
    let each = u64::try_from(OF_EACH_KIND).unwrap();
    for reason in ["silent", "handshake_timeout", "head_timeout", "write_timeout"] {
        arena.refused(reason, each).await;
    }
    arena.ended("write_timeout", 2 * each).await;
    eventually("the bodies to be given up", || arena.engine().limit(Limit::BodyTime) == each).await;
    // Most cost a few KiB; those who talk and do not read, what may wait for one: 1 MiB, in a buffer that doubles.
    let most = OF_EACH_KIND * KINDS.len() * (64 << 10) + OF_EACH_KIND * (2 << 20);
    arena.ends(most).await;
}
