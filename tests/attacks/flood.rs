//! All kinds of hostile peers at once beside healthy ones: every healthy one is answered all the while, every hostile one
//! is refused or cut off, and memory has a bound. How fast the healthy ones are answered meanwhile is measured by `bench/flood`.

use switchboard_io::engine::Limit;
use switchboard_testkit::{Wire, frame, within};
use tokio::task::JoinSet;

use crate::arena::{Arena, POLLING, Side, echoes, post, text};
use crate::way::{Dialer, Line, Way};

const HEALTHY: usize = 20;
const OF_EACH_KIND: usize = 10;
const ROOM: u32 = 4 << 10;

mod hostile_peers_of_all_kinds_beside_healthy_ones {
    use crate::way::Way;

    #[tokio::test]
    async fn over_shards() {
        super::beside_healthy_ones(Way::Shards).await;
    }

    #[tokio::test]
    async fn over_tasks() {
        super::beside_healthy_ones(Way::Tasks).await;
    }

    #[tokio::test]
    async fn over_tls() {
        super::beside_healthy_ones(Way::Tls).await;
    }
}

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
    /// Attacks until the server has had enough. One whom the machine keeps from it for so long that another limit comes
    /// first is turned away before.
    async fn attack(self, dialer: Dialer) {
        let mut wire = dialer.connect_from([127, 0, 0, 1], ROOM).await;
        match self {
            Self::Silent => {}
            Self::HalfAHead => drop(wire.try_send("GET /echo HTTP/1.1\r\nHost: local").await),
            Self::HalfALaterHead => {
                if page(&mut wire, "/health").await.is_some() {
                    wire.try_send("GET /echo HTTP/1.1\r\nHost: local").await;
                }
            }
            Self::HalfABody => {
                if let Some(opened) = page(&mut wire, POLLING).await {
                    wire.try_send(post(&format!("{POLLING}&sid={}", &opened[9..29]), 1000) + "4").await;
                }
            }
            Self::DeafToPages => {
                let requests = "GET /style.css HTTP/1.1\r\nHost: localhost\r\n\r\n".repeat(50);
                return while wire.try_send(&requests).await {};
            }
            Self::DeafToPongs | Self::DeafToEchoes => {
                if opens(&mut wire, Side::Plain).await {
                    let kind = if matches!(self, Self::DeafToPongs) { 0x89 } else { 0x82 };
                    let frames = frame::raw(kind, [7; 125]).masked().bytes().repeat(100);
                    while wire.try_send(&frames).await {}
                }
                return;
            }
            Self::Gone => {
                opens(&mut wire, Side::Plain).await;
                return;
            }
            Self::Undecided => {
                if opens(&mut wire, Side::Io).await {
                    wire.frame().await;
                }
                return;
            }
            Self::Mad => {
                if opens(&mut wire, Side::Io).await {
                    wire.try_send(text("\u{0}").bytes()).await;
                }
            }
        }
        wire.last_words().await;
    }
}

/// A page, unless it was asked for too late.
async fn page(wire: &mut Wire<Line>, path: &str) -> Option<String> {
    let page = wire.try_get(path).await?;
    assert!([200, 408].contains(&page.status), "{}", page.head);
    (page.status == 200).then_some(page.body)
}

/// Whether a WebSocket is opened: it is, unless it was asked for too late.
async fn opens(wire: &mut Wire<Line>, side: Side) -> bool {
    let Some(head) = wire.try_upgrade(side.path()).await else { return false };
    assert!(head.starts_with("http/1.1 101 ") || head.starts_with("http/1.1 408 "), "{head}");
    head.starts_with("http/1.1 101 ")
}

async fn beside_healthy_ones(way: Way) {
    let flags = ["--handshake-timeout=1s", "--request-timeout=1s", "--write-timeout=1s", "--socketio-body-timeout=1s"];
    let mut arena = Arena::on(way, &flags).await;
    let mut healthy = Vec::new();
    for _ in 0..HEALTHY {
        healthy.push(arena.open(Side::Plain).await);
    }
    let mut hostile = JoinSet::new();
    for _ in 0..OF_EACH_KIND {
        for kind in KINDS {
            hostile.spawn(kind.attack(arena.dialer()));
        }
    }
    // All the while each healthy one makes its round trips: one at least for every hostile one that ends.
    let mut round = 0;
    while !hostile.is_empty() {
        for (number, wire) in healthy.iter_mut().enumerate() {
            echoes(wire, &format!("{number} {round}")).await;
        }
        arena.is_well().await;
        if let Some(attacked) = hostile.try_join_next() {
            attacked.unwrap();
        }
        round += 1;
        assert!(round < 1_000_000, "the server never has enough");
    }
    assert!(round >= OF_EACH_KIND * KINDS.len());
    println!("each of {HEALTHY} healthy ones made {round} round trips beside them");
    // Those who were turned away before come again, now that there is time.
    let each = u64::try_from(OF_EACH_KIND).unwrap();
    let refused = |reason| move |arena: &Arena| arena.count(reason);
    // To tasks, all three of them are heads that do not come.
    let (silent, half) =
        if way == Way::Shards { ("silent", "handshake_timeout") } else { ("head_timeout", "head_timeout") };
    let sum = if way == Way::Shards { each } else { 3 * each };
    come_again(&mut arena, Kind::Silent, each, refused(silent)).await;
    come_again(&mut arena, Kind::HalfAHead, sum.min(2 * each), refused(half)).await;
    come_again(&mut arena, Kind::HalfALaterHead, sum, refused("head_timeout")).await;
    come_again(&mut arena, Kind::DeafToPages, each, refused("write_timeout")).await;
    come_again(&mut arena, Kind::DeafToEchoes, 2 * each, |arena| arena.count_ended("write_timeout")).await;
    let bodies = |arena: &Arena| arena.engine().limit(Limit::BodyTime);
    let again = come_again(&mut arena, Kind::HalfABody, each, bodies).await;
    assert!(bodies(&arena) <= each + again, "no other body is given up");
    arena.is_left_with(HEALTHY).await;
    for wire in &mut healthy {
        echoes(wire, "still here").await;
    }
    // Most cost a few KiB; those who talk and do not read, what may wait for one: 1 MiB, in a buffer that doubles.
    let most = OF_EACH_KIND * KINDS.len() * (64 << 10) + OF_EACH_KIND * (2 << 20);
    arena.ends(most).await;
}

/// Attacks one by one until so many have met what the counter counts: one may be turned away before, and all may be known
/// to the clients a little earlier than to the counter. How often that was.
async fn come_again(arena: &mut Arena, kind: Kind, least: u64, counter: impl Fn(&Arena) -> u64) -> u64 {
    let mut times = 0;
    within("attacks that come to their end", async {
        while counter(arena) < least {
            kind.attack(arena.dialer()).await;
            arena.is_well().await;
            times += 1;
        }
    })
    .await;
    times
}
