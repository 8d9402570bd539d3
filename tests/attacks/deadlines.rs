//! Attacks by time: whatever a client drips, it has a limit for the whole of it, and not for each read. The dripping goes on
//! until the server has had enough; between two drops the others are heard, which paces it.

use switchboard_io::engine::Limit;
use switchboard_testkit::{Wire, frame};
use tokio::io::{AsyncRead, AsyncWrite};

use crate::arena::{Arena, POLLING, Side, post, text};
use crate::way::{Way, on_every_way};

const KIB: usize = 1 << 10;

on_every_way!(
    attack_5_a_head_that_drips_is_cut_off,
    attack_5_a_later_head_that_drips_is_cut_off,
    a_body_that_drips_is_cut_off,
    attack_24_the_silent_are_cut_off,
    cve_2022_41940_those_who_vanish_at_any_step_leave_nothing,
);

/// Sends a byte at a time until the server closes, and gives back what it said.
async fn drip<S>(arena: &mut Arena, wire: &mut Wire<S>, byte: u8) -> String
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    arena.cuts_off(wire, &[byte]).await;
    String::from_utf8_lossy(&wire.last_words().await).into_owned()
}

/// CVE-2023-43669, Slowloris: a head that never ends.
async fn attack_5_a_head_that_drips_is_cut_off(way: Way) {
    // Shards read the first head themselves; for tasks it is a head like others.
    let (limit, counted) = match way {
        Way::Shards => ("--handshake-timeout", "handshake_timeout"),
        Way::Tasks | Way::Tls => ("--request-timeout", "head_timeout"),
    };
    let mut arena = Arena::in_haste(way, &[limit]).await;
    for path in [Side::Plain.path(), Side::Io.path(), POLLING] {
        let half = format!("GET {path} HTTP/1.1\r\nHost: localhost\r\nX-Slow: ");
        arena
            .attacked_in_time(counted, async |arena| {
                let mut wire = arena.connect().await;
                wire.try_send(&half).await;
                let told = drip(arena, &mut wire, b'x').await;
                assert!(told.is_empty() || told.starts_with("HTTP/1.1 408 "), "{told}");
            })
            .await;
    }
    arena.refused(counted, 3).await;
    arena.ends(256 * KIB).await;
}

/// The same with a later request of a connection that behaved at first.
async fn attack_5_a_later_head_that_drips_is_cut_off(way: Way) {
    let mut arena = Arena::in_haste(way, &["--request-timeout"]).await;
    for first in ["/health", POLLING] {
        let mut wire = arena.answered(first).await;
        wire.try_send("GET /health HTTP/1.1\r\nHost: localhost\r\nX-Slow: ").await;
        drip(&mut arena, &mut wire, b'x').await;
    }
    // And one that sends nothing more, which is no attack.
    arena.answered("/health").await.last_words().await;
    arena.refused("head_timeout", 2).await;
    assert_eq!(arena.count("head_timeout"), 2);
    arena.ends(256 * KIB).await;
}

/// R.U.D.Y.: a body that never ends. The session is over too.
async fn a_body_that_drips_is_cut_off(way: Way) {
    let mut arena = Arena::in_haste(way, &["--socketio-body-timeout"]).await;
    let session = arena.session().await;
    let mut wire = arena.connect().await;
    wire.send(post(&session, 900_000) + "4").await;
    let told = drip(&mut arena, &mut wire, b'x').await;
    assert!(told.is_empty() || told.starts_with("HTTP/1.1 408 "), "{told}");
    assert_eq!(arena.engine().limit(Limit::BodyTime), 1);
    assert!(arena.get(&session).await.body.contains("Session ID unknown"));
    arena.ends(256 * KIB).await;
}

/// Connections that never say anything are owed nothing.
async fn attack_24_the_silent_are_cut_off(way: Way) {
    let (limit, counted) = match way {
        Way::Shards => ("--handshake-timeout", "silent"),
        Way::Tasks | Way::Tls => ("--request-timeout", "head_timeout"),
    };
    let mut arena = Arena::in_haste(way, &[limit]).await;
    let mut silent = Vec::new();
    for _ in 0..200 {
        silent.push(arena.connect().await);
    }
    for wire in &mut silent {
        assert!(wire.last_words().await.is_empty());
    }
    arena.is_well().await;
    arena.refused(counted, 200).await;
    arena.ends(512 * KIB).await;
}

/// A TLS handshake that is never finished, with nothing, with the start of a hello, and dripping.
#[tokio::test]
async fn a_tls_handshake_that_drips_is_cut_off() {
    let mut arena = Arena::in_haste(Way::Tls, &["--handshake-timeout"]).await;
    for hello in [&b""[..], b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03"] {
        let mut wire = Wire::connect(arena.address).await;
        wire.try_send(hello).await;
        assert!(wire.last_words().await.is_empty());
    }
    let mut wire = Wire::connect(arena.address).await;
    wire.try_send(b"\x16\x03\x01\x3f\x00\x01\x00\x3e\xfc\x03\x03").await;
    drip(&mut arena, &mut wire, 0).await;
    arena.refused("tls", 3).await;
    arena.ends(512 * KIB).await;
}

/// CVE-2022-41940, socketioxide#731: clients that vanish at every step of the way leave nothing behind.
async fn cve_2022_41940_those_who_vanish_at_any_step_leave_nothing(way: Way) {
    // Heartbeats end what nobody comes back to. Those who are there answer them.
    let heartbeats = ["--socketio-ping-interval=500ms", "--socketio-ping-timeout=5s"];
    let mut arena = Arena::on(way, &heartbeats).await;
    for _ in 0..20 {
        let connected = arena.connect().await;
        let mut half = arena.connect().await;
        half.send("GET /echo HTTP/1.1\r\nHost: loc").await;
        let asked = [arena.ask(Side::Plain.path(), "").await, arena.ask(Side::Io.path(), "").await];
        let opened = [arena.open(Side::Plain).await, arena.open(Side::Io).await];
        let mut within = arena.open(Side::Plain).await;
        within.send(&frame::text("half of it").masked().bytes()[..7]).await;
        let joined = arena.join().await;
        // A session that polls: gone within a POST, within a poll, within an upgrade and its probe.
        let session = arena.session().await;
        let mut posting = arena.connect().await;
        posting.send(post(&session, 100) + "4").await;
        drop(posting);
        let session = arena.session().await;
        assert_eq!(arena.post(&session, b"40").await, 200);
        assert!(arena.get(&session).await.body.starts_with("40{"));
        let mut polling = arena.connect().await;
        polling.send(format!("GET {session} HTTP/1.1\r\nHost: localhost\r\n\r\n")).await;
        drop(polling);
        let session = arena.session().await.replace("polling", "websocket");
        drop(arena.ask(&session, "").await);
        let mut probing = arena.open_at(&session).await;
        probing.say(&text("2probe")).await;
        drop((connected, half, asked, opened, within, joined, probing));
        arena.is_well().await;
    }
    arena.is_left_with(0).await;
    // Those whose upgrade was cut off, or whose last poll came together with the end of the stream and was never looked
    // at, might have gone on polling.
    arena.has_sessions(0).await;
    arena.goes_on(2048 * KIB).await;
}
