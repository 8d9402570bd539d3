//! Attacks by time: whatever a client drips, it has a limit for the whole of it, and not for each read. The dripping goes on
//! until the server has had enough; between two drops the others are heard, which paces it.

use switchboard_io::engine::Limit;
use switchboard_testkit::{Wire, frame};

use crate::arena::{Arena, POLLING, Side, post, text};

const KIB: usize = 1 << 10;

/// Sends a byte at a time until the server closes, and gives back what it said.
async fn drip(arena: &mut Arena, wire: &mut Wire, byte: u8) -> String {
    arena.cuts_off(wire, &[byte]).await;
    String::from_utf8_lossy(&wire.last_words().await).into_owned()
}

/// CVE-2023-43669, Slowloris: a head that never ends.
#[tokio::test]
async fn attack_5_a_head_that_drips_is_cut_off() {
    let mut arena = Arena::new(&["--handshake-timeout=300ms"]).await;
    for path in [Side::Plain.path(), Side::Io.path(), POLLING] {
        let half = format!("GET {path} HTTP/1.1\r\nHost: localhost\r\nX-Slow: ");
        arena
            .attacked_in_time("handshake_timeout", async |arena| {
                let mut wire = Wire::connect(arena.address).await;
                wire.try_send(&half).await;
                let told = drip(arena, &mut wire, b'x').await;
                assert!(told.is_empty() || told.starts_with("HTTP/1.1 408 "), "{told}");
            })
            .await;
    }
    arena.refused("handshake_timeout", 3).await;
    arena.ends(256 * KIB).await;
}

/// The same with a later request of a connection that behaved at first.
#[tokio::test]
async fn attack_5_a_later_head_that_drips_is_cut_off() {
    let mut arena = Arena::new(&["--request-timeout=300ms"]).await;
    for first in ["/health", POLLING] {
        let mut wire = Wire::connect(arena.address).await;
        assert_eq!(wire.get(first).await.status, 200);
        wire.try_send("GET /health HTTP/1.1\r\nHost: localhost\r\nX-Slow: ").await;
        drip(&mut arena, &mut wire, b'x').await;
    }
    arena.refused("head_timeout", 2).await;
    // And one that sends nothing more, which is no attack.
    for first in ["/health", POLLING] {
        let mut wire = Wire::connect(arena.address).await;
        assert_eq!(wire.get(first).await.status, 200);
        assert!(wire.rest().await.is_empty());
    }
    assert_eq!(arena.count("head_timeout"), 2);
    arena.ends(256 * KIB).await;
}

/// R.U.D.Y.: a body that never ends. The session is over too.
#[tokio::test]
async fn a_body_that_drips_is_cut_off() {
    let mut arena = Arena::new(&["--socketio-body-timeout=300ms"]).await;
    let session = arena.session().await;
    let mut wire = Wire::connect(arena.address).await;
    wire.send(post(&session, 900_000) + "4").await;
    let told = drip(&mut arena, &mut wire, b'x').await;
    assert!(told.is_empty() || told.starts_with("HTTP/1.1 408 "), "{told}");
    assert_eq!(arena.engine().limit(Limit::BodyTime), 1);
    assert!(arena.get(&session).await.body.contains("Session ID unknown"));
    arena.ends(256 * KIB).await;
}

/// Connections that never say anything are owed nothing.
#[tokio::test]
async fn attack_24_the_silent_are_cut_off() {
    let mut arena = Arena::new(&["--handshake-timeout=300ms"]).await;
    let mut silent = Vec::new();
    for _ in 0..200 {
        silent.push(Wire::connect(arena.address).await);
    }
    for wire in &mut silent {
        assert!(wire.last_words().await.is_empty());
    }
    arena.is_well().await;
    arena.refused("silent", 200).await;
    arena.ends(512 * KIB).await;
}

/// A TLS handshake that is never finished, with nothing, with the start of a hello, and dripping.
#[tokio::test]
async fn a_tls_handshake_that_drips_is_cut_off() {
    let (mut arena, _) = Arena::over_tls(&["--handshake-timeout=300ms"]).await;
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
#[tokio::test]
async fn those_who_vanish_at_any_step_leave_nothing() {
    let mut arena = Arena::new(&[]).await;
    for _ in 0..20 {
        let connected = Wire::connect(arena.address).await;
        let mut half = Wire::connect(arena.address).await;
        half.send("GET /echo HTTP/1.1\r\nHost: loc").await;
        let asked = [
            Wire::ask(arena.address, Side::Plain.path(), "").await,
            Wire::ask(arena.address, Side::Io.path(), "").await,
        ];
        let opened = [arena.open(Side::Plain).await, arena.open(Side::Io).await];
        let mut within = arena.open(Side::Plain).await;
        within.send(&frame::text("half of it").masked().bytes()[..7]).await;
        let joined = arena.join().await;
        // A session that polls: gone within a POST, within a poll, within an upgrade and its probe.
        let session = arena.session().await;
        let mut posting = Wire::connect(arena.address).await;
        posting.send(post(&session, 100) + "4").await;
        drop(posting);
        let session = arena.session().await;
        assert_eq!(arena.post(&session, b"40").await, 200);
        assert!(arena.get(&session).await.body.starts_with("40{"));
        let mut polling = Wire::connect(arena.address).await;
        polling.send(format!("GET {session} HTTP/1.1\r\nHost: localhost\r\n\r\n")).await;
        drop(polling);
        let session = arena.session().await.replace("polling", "websocket");
        drop(Wire::ask(arena.address, &session, "").await);
        let mut probing = Wire::open(arena.address, &session).await;
        probing.say(&text("2probe")).await;
        drop((connected, half, asked, opened, within, joined, probing));
        arena.is_well().await;
    }
    arena.is_left_with(0).await;
    // Those whose upgrade was cut off, or whose last poll came together with the end of the stream and was never looked
    // at, may go on polling: their heartbeat ends them.
    arena.has_sessions(40).await;
    arena.ends(2048 * KIB).await;
}
