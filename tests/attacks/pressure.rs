//! Attacks by quantity: peers that send and never read, that stay, or that are too many.

use std::time::Duration;

use switchboard_io::engine::CloseReason;
use switchboard_testkit::{Wire, frame, within};
use switchboard_ws::{BudgetPart, fixed};
use tokio::io::AsyncWriteExt as _;
use tokio::net::{TcpSocket, TcpStream};
use tokio_rustls::client::TlsStream;

use crate::arena::{Arena, Side, eventually, text};
use crate::way::{Line, Way, on_every_way};

const KIB: usize = 1 << 10;
const MIB: usize = 1 << 20;
/// The kernel's buffer of a client that does not read.
const NARROW: u32 = 4 << 10;
const HERE: [u8; 4] = [127, 0, 0, 1];
const ELSEWHERE: [u8; 4] = [127, 0, 0, 2];

on_every_way!(
    attack_9_what_waits_for_a_slow_reader_is_bounded,
    attack_9_what_waits_for_a_slow_reader_of_socket_io_is_bounded,
    attack_9_what_waits_for_a_poll_is_bounded,
    attack_10_pings_of_one_who_does_not_read_cost_one_pong,
    attack_25_a_slow_reader_is_cut_off,
    attack_25_a_slow_reader_of_events_is_cut_off,
    attack_25_a_slow_reader_of_polls_is_cut_off,
    attack_25_a_slow_reader_of_pages_is_cut_off,
    half_open_peers_are_noticed,
);

/// A WebSocket of which nothing more is read than its handshake.
async fn deaf(arena: &Arena, path: &str) -> Wire<Line> {
    let mut wire = arena.connect_from(HERE, NARROW).await;
    wire.request(path, "").await;
    assert!(wire.head().await.starts_with("http/1.1 101 "));
    wire
}

/// A client of Socket.IO in a room, which reads nothing more, and another that talks there.
async fn deaf_in_a_room(arena: &Arena) -> (Wire<Line>, Wire<Line>) {
    let mut deaf = deaf(arena, Side::Io.path()).await;
    deaf.frame().await;
    deaf.say(&text("40")).await;
    deaf.frame().await;
    let mut loud = arena.join().await;
    for (wire, members) in [(&mut deaf, 1), (&mut loud, 2)] {
        wire.say(&text(r#"421["join","a"]"#)).await;
        assert_eq!(wire.frame().await, frame::text(format!("431[{members}]")));
    }
    (deaf, loud)
}

/// CVE-2020-35896, RUSTSEC-2020-0043: what waited for a slow reader had no limit.
async fn attack_9_what_waits_for_a_slow_reader_is_bounded(way: Way) {
    let mut arena = Arena::on(way, &[]).await;
    let message = frame::binary(vec![7; 256 * KIB]).masked().bytes();
    arena.begin();
    let mut deaf = deaf(&arena, "/rooms/a").await;
    let mut loud = arena.open_at("/rooms/a").await;
    // The kernel takes some megabytes first.
    within("an overflow", async {
        while arena.count_ended("outbox_overflow") == 0 {
            loud.send(&message).await;
            arena.is_well().await;
        }
    })
    .await;
    deaf.drain().await;
    // An outbox, what is encoded, and a message on its way.
    arena.ends(3 * MIB).await;
}

/// The same of a client of Socket.IO in a room.
async fn attack_9_what_waits_for_a_slow_reader_of_socket_io_is_bounded(way: Way) {
    let mut arena = Arena::on(way, &[]).await;
    let (mut deaf, mut loud) = deaf_in_a_room(&arena).await;
    let event = text(&format!(r#"42["say","{}"]"#, "x".repeat(200 * KIB))).bytes();
    arena.begin();
    within("an overflow", async {
        while arena.engine().overflowed() == 0 {
            loud.send(&event).await;
            arena.is_well().await;
        }
    })
    .await;
    // What had left for it before, then why no more comes.
    while deaf.frame().await.first != 0x88 {}
    // The same 4 MiB, and what is encoded of them.
    arena.ends(10 * MIB).await;
}

/// The same of a session that polls, and does not: engine.io#420.
async fn attack_9_what_waits_for_a_poll_is_bounded(way: Way) {
    let mut arena = Arena::on(way, &[]).await;
    let quiet = arena.session().await;
    assert_eq!(arena.post(&quiet, b"40").await, 200);
    assert_eq!(arena.post(&quiet, br#"42["join","a"]"#).await, 200);
    let mut loud = arena.join().await;
    loud.say(&text(r#"421["join","a"]"#)).await;
    assert_eq!(loud.frame().await, frame::text("431[2]"));
    let event = text(&format!(r#"42["say","{}"]"#, "x".repeat(200 * KIB))).bytes();
    arena.begin();
    within("an overflow", async {
        while arena.engine().overflowed() == 0 {
            loud.send(&event).await;
            arena.is_well().await;
        }
    })
    .await;
    assert!(arena.get(&quiet).await.body.contains("Session ID unknown"));
    // 4 MiB, each event once as it is sent to those who poll and once as the others had it.
    arena.ends(10 * MIB).await;
}

/// ws's `maxPendingAutoPongs`, tyrus#954, `OkHttp`: pings from one who reads no pong. They cost little, and in the end the
/// connection: it takes nothing of what waits for it.
async fn attack_10_pings_of_one_who_does_not_read_cost_one_pong(way: Way) {
    let mut arena = Arena::in_haste(way, &["--write-timeout"]).await;
    let pings = frame::ping([7; 125]).masked().bytes().repeat(500);
    arena.begin();
    for (number, side) in (1..).zip(Side::BOTH) {
        let mut wire = deaf(&arena, side.path()).await;
        arena.cuts_off(&mut wire, &pings).await;
        arena.ended("write_timeout", number).await;
    }
    arena.is_left_with(0).await;
    arena.ends(512 * KIB).await;
}

/// The same with pings of Engine.IO 3, which are messages.
///
/// Over shards only: the kernel takes long to have enough of such short answers.
#[tokio::test]
async fn attack_10_pings_of_engine_io_are_no_better() {
    let mut arena = Arena::in_haste(Way::Shards, &["--write-timeout", "--socketio-allow-eio3=on"]).await;
    let pings = text("2").bytes().repeat(5000);
    arena.begin();
    let mut wire = deaf(&arena, "/socket.io/?EIO=3&transport=websocket").await;
    arena.cuts_off(&mut wire, &pings).await;
    arena.is_left_with(0).await;
    arena.ends(6 * MIB).await;
}

/// CVE-2026-33219, and every server without a limit per address: one machine takes all connections before it has said who
/// it is.
#[tokio::test]
async fn attack_24_one_address_does_not_take_all_connections() {
    let mut arena = Arena::new(&["--max-connections-per-address=8", "--handshake-timeout=1h"]).await;
    let mut taken = Vec::new();
    for _ in 0..8 {
        taken.push(arena.connect_from(ELSEWHERE, NARROW).await);
    }
    for number in 1..20 {
        let mut wire = arena.connect_from(ELSEWHERE, NARROW).await;
        let told = String::from_utf8(wire.last_words().await).unwrap();
        assert!(told.starts_with("HTTP/1.1 429 ") && told.contains("Retry-After: 5"), "{told}");
        arena.refused("max_connections_per_address", number).await;
    }
    arena.is_well().await;
    // Everyone else has room, and so has this address when it leaves some.
    let mut other = arena.connect_from([127, 0, 0, 3], NARROW).await;
    assert_eq!(other.get("/health").await.status, 200);
    drop(taken.pop());
    within("a free place", async {
        loop {
            let mut wire = arena.connect_from(ELSEWHERE, NARROW).await;
            let told = wire.try_upgrade(Side::Plain.path()).await;
            if told.is_some_and(|head| head.starts_with("http/1.1 101 ")) {
                break;
            }
        }
    })
    .await;
    arena.ends(256 * KIB).await;
}

/// The same in all: those who are there stay, others are told to come back.
#[tokio::test]
async fn attack_24_beyond_all_connections_nobody_is_hurt() {
    let mut arena = Arena::new(&["--max-connections=10", "--handshake-timeout=1h"]).await;
    let mut taken = Vec::new();
    for _ in 0..8 {
        taken.push(arena.connect().await);
    }
    for number in 1..20 {
        let told = String::from_utf8(arena.connect().await.last_words().await).unwrap();
        assert!(told.starts_with("HTTP/1.1 503 ") && told.contains("Retry-After: 5"), "{told}");
        arena.refused("max_connections", number).await;
        arena.is_well().await;
    }
    arena.ends(256 * KIB).await;
}

/// Jetty#740, #4824, CVE-2024-22201: one who does not read his echoes holds them, and the connection, for ever.
async fn attack_25_a_slow_reader_is_cut_off(way: Way) {
    let mut arena = Arena::in_haste(way, &["--write-timeout"]).await;
    let message = frame::binary(vec![7; 64 * KIB]).masked().bytes();
    arena.begin();
    let mut wire = deaf(&arena, Side::Plain.path()).await;
    arena.cuts_off(&mut wire, &message).await;
    arena.ended("write_timeout", 1).await;
    arena.ends(3 * MIB).await;
}

/// The same over Socket.IO, of one in a room. So much may wait for him that it is not the amount that ends it.
async fn attack_25_a_slow_reader_of_events_is_cut_off(way: Way) {
    let mut arena = Arena::in_haste(way, &["--write-timeout", "--socketio-outbox-bytes=64MiB"]).await;
    let (mut deaf, mut loud) = deaf_in_a_room(&arena).await;
    let event = text(&format!(r#"42["say","{}"]"#, "x".repeat(900 * KIB))).bytes();
    arena.begin();
    // More than the kernel takes.
    for _ in 0..12 {
        loud.send(&event).await;
        arena.is_well().await;
    }
    arena.ended("write_timeout", 1).await;
    deaf.drain().await;
    arena.ends(16 * MIB).await;
}

/// The same of one who polls: he asks, and reads no answer.
async fn attack_25_a_slow_reader_of_polls_is_cut_off(way: Way) {
    let mut arena = Arena::in_haste(way, &["--write-timeout"]).await;
    let session = arena.session().await;
    assert_eq!(arena.post(&session, b"40").await, 200);
    assert_eq!(arena.post(&session, br#"42["join","a"]"#).await, 200);
    let mut loud = arena.join().await;
    loud.say(&text(r#"421["join","a"]"#)).await;
    assert_eq!(loud.frame().await, frame::text("431[2]"));
    let event = text(&format!(r#"42["say","{}"]"#, "x".repeat(900 * KIB))).bytes();
    let poll = format!("GET {session} HTTP/1.1\r\nHost: localhost\r\n\r\n");
    arena.begin();
    let mut wire = arena.connect_from(HERE, NARROW).await;
    // The kernel takes some of them.
    within("the limit", async {
        while arena.count("write_timeout") == 0 {
            loud.send(&event).await;
            wire.try_send(&poll).await;
            arena.is_well().await;
        }
    })
    .await;
    wire.drain().await;
    arena.ends(12 * MIB).await;
}

/// The same before the upgrade: requests one after another, and no answer is read.
async fn attack_25_a_slow_reader_of_pages_is_cut_off(way: Way) {
    let mut arena = Arena::in_haste(way, &["--write-timeout"]).await;
    let requests = "GET /style.css HTTP/1.1\r\nHost: localhost\r\n\r\n".repeat(100);
    arena.begin();
    let mut wire = arena.connect_from(HERE, NARROW).await;
    arena.cuts_off(&mut wire, requests.as_bytes()).await;
    arena.refused("write_timeout", 1).await;
    arena.ends(512 * KIB).await;
}

/// A WebSocket by TLS, whose client has room for `NARROW` bytes.
async fn sealed(arena: &Arena) -> Option<TlsStream<TcpStream>> {
    let socket = TcpSocket::new_v4().unwrap();
    socket.set_recv_buffer_size(NARROW).unwrap();
    let stream = within("a connection", socket.connect(arena.address)).await.unwrap();
    let mut stream = arena.dialer.shake_hands(stream).await?;
    let mut wire = Wire::new(&mut stream);
    let head = wire.try_upgrade(Side::Plain.path()).await?;
    assert!(head.starts_with("http/1.1 101 "), "{head}");
    Some(stream)
}

/// What TLS keeps below the WebSocket: half a handshake, half a record, records of one who reads nothing. It counts, and
/// when memory is short those go for whom most of it is kept, and nobody else.
#[tokio::test]
async fn what_tls_keeps_of_halves_and_for_the_deaf_is_a_reason_to_go() {
    let mut arena = Arena::on(Way::Tls, &["--memory-budget=16MiB", "--handshake-timeout=1h"]).await;
    let budget = arena.budget().clone();
    let usage = || budget.usage().unwrap();
    let kept = || usage().parts[BudgetPart::Tls as usize];
    let (handshake, keys) = fixed::TLS;
    let quiet = kept();
    arena.begin();

    // Three records of a ClientHello of 60 KiB.
    let mut hello = [&[22, 3, 1, 0x40, 0][..], &[0; 16 * KIB]].concat().repeat(3);
    hello[5..9].copy_from_slice(&[1, 0, 0xf0, 0]);
    let mut half_a_handshake = Wire::connect(arena.address).await;
    half_a_handshake.send(&hello).await;
    eventually("half a handshake counts", || kept() >= quiet + handshake + hello.len()).await;

    let before = kept();
    let mut half_a_record = sealed(&arena).await.unwrap();
    let record = [&[23, 3, 3, 0x40, 0][..], &[0; 15 * KIB]].concat();
    half_a_record.get_mut().0.write_all(&record).await.unwrap();
    eventually("half a record counts", || kept() >= before + keys + record.len()).await;

    let before = kept();
    let mut deaf = Wire::new(sealed(&arena).await.unwrap());
    let message = frame::binary(vec![7; 64 * KIB]).masked().bytes();
    // How much of what TLS has encrypted stays there is the kernel's affair; with the rest our frames wait.
    let is_deaf = || usage().parts[BudgetPart::Unsent as usize] > 0 && kept() > before + keys;
    tokio::select! {
        () = async { while deaf.try_send(&message).await {} } => panic!("it was cut off while there was memory"),
        () = eventually("what is not taken counts", is_deaf) => {}
    }
    arena.is_well().await;
    assert_eq!((usage().evicted, usage().denied), (0, 0));

    let others = usage().limit / 100 * 91 - usage().used;
    budget.take(BudgetPart::Recovery, others);
    arena.is_well_until("what TLS keeps for them is given back", |_| kept() == quiet).await;
    assert!(usage().evicted >= 3, "{:?}", usage());
    arena.ended("memory_budget", 2).await;
    arena.refused("memory_budget", 1).await;
    half_a_handshake.last_words().await;
    Wire::new(half_a_record).last_words().await;
    deaf.last_words().await;
    budget.give(BudgetPart::Recovery, others);

    arena.is_left_with(0).await;
    assert!(sealed(&arena).await.is_some(), "there is room again");
    // A backlog, what the attackers hold themselves, and what TLS keeps.
    arena.ends(4 * MIB).await;
}

/// Those who vanished without a word: nothing comes, not even the end of the stream, and pings are not answered. The
/// others answer them.
async fn half_open_peers_are_noticed(way: Way) {
    let flags = ["--socketio-ping-interval=500ms", "--socketio-ping-timeout=5s", "--idle-timeout=5s"];
    let mut arena = Arena::patient(way, &flags, Duration::from_secs(5)).await;
    let mut gone = [arena.open(Side::Plain).await, arena.open(Side::Io).await];
    let polling = arena.session().await;
    // Nobody answers the Close frame either.
    let noticed =
        |arena: &Arena| arena.count_ended("close_timeout") > 0 && arena.engine().closed(CloseReason::PingTimeout) >= 2;
    arena.is_well_until("all have been noticed", noticed).await;
    assert!(arena.get(&polling).await.body.contains("Session ID unknown"));
    arena.is_left_with(0).await;
    for wire in &mut gone {
        wire.last_words().await;
    }
    arena.ends(256 * KIB).await;
}
