//! Attacks by taking all that there is of something: what one address, one connection or one session can have is counted, and
//! the others go on having theirs.

use switchboard_io::engine::Limit;
use switchboard_testkit::{Wire, frame};

use crate::arena::{Arena, POLLING, Side, closed, greeting, post, status, text};

const KIB: usize = 1 << 10;
/// Where those are who attack. The connections that were there before are from 127.0.0.1.
const ELSEWHERE: [u8; 4] = [127, 0, 0, 9];

async fn from_elsewhere(arena: &Arena) -> Wire {
    Wire::connect_from(arena.address, ELSEWHERE, 64 << 10).await
}

/// A session on polling needs no connection of its own: the limit on connections was none on these, and one of them took
/// every place.
#[tokio::test]
async fn one_connection_gets_no_more_sessions_than_its_address_may_have() {
    let mut arena = Arena::new(&["--max-connections=200", "--max-connections-per-address=8"]).await;
    let mut wire = from_elsewhere(&arena).await;
    let mut opened = 0;
    for _ in 0..400 {
        match wire.get(POLLING).await.status {
            200 => opened += 1,
            status => assert_eq!(status, 429),
        }
    }
    assert_eq!(opened, 8);
    let mut websocket = from_elsewhere(&arena).await;
    websocket.request(Side::Io.path(), "").await;
    assert_eq!(status(&websocket.head().await), 429);
    assert_eq!(arena.engine().limit(Limit::AddressSessions), 393);
    assert_eq!(arena.engine().limit(Limit::Sessions), 0);
    arena.is_well().await;
    // Others are let in, either way.
    arena.session().await;
    arena.open(Side::Io).await;
    arena.ends(256 * KIB).await;
}

/// Namespaces come into being when a client asks for them: those of one address took all that there may be.
#[tokio::test]
async fn an_address_makes_no_more_namespaces_than_its_share() {
    let flags = ["--max-connections-per-address=100", "--socketio-max-child-namespaces=40"];
    let mut arena = Arena::new(&flags).await;
    let mut made = 0;
    let mut hostile = Vec::new();
    for client in 0..4 {
        let mut wire = from_elsewhere(&arena).await;
        wire.try_upgrade(Side::Io.path()).await;
        greeting(&mut wire).await;
        for number in 0..10 {
            wire.say(&text(&format!("40/rooms/{client}-{number},"))).await;
            let answer = wire.frame().await.payload;
            made += u32::from(answer.starts_with(b"40/"));
            assert!(answer.starts_with(b"40/") || answer.ends_with(br#"{"message":"Invalid namespace"}"#));
        }
        hostile.push(wire);
        arena.is_well().await;
    }
    assert_eq!(made, 4, "a tenth of 40");
    assert_eq!(arena.engine().limit(Limit::AddressChildNamespaces), 36);
    let mut other = arena.open(Side::Io).await;
    other.say(&text("40/rooms/of others,")).await;
    assert!(other.frame().await.payload.starts_with(b"40/rooms/of others,{"));
    arena.goes_on(256 * KIB).await;
}

/// Everyone who knows a session's id may try to be its WebSocket. One is, and each of the others is told to go at once.
#[tokio::test]
async fn a_session_has_one_websocket_however_many_try() {
    let mut arena = Arena::new(&[]).await;
    let path = arena.session().await.replace("polling", "websocket");
    let mut first = Wire::open(arena.address, &path).await;
    for _ in 0..100 {
        assert_eq!(closed(&mut Wire::open(arena.address, &path).await).await, 1005);
    }
    assert_eq!(arena.engine().limit(Limit::Candidates), 100);
    arena.is_well().await;
    // The one that was there takes over.
    first.say(&text("2probe")).await;
    assert_eq!(first.frame().await, frame::text("3probe"));
    first.say(&text("5")).await;
    first.say(&text("40")).await;
    assert!(first.frame().await.payload.starts_with(b"40{"));
    assert_eq!(closed(&mut Wire::open(arena.address, &path).await).await, 1005);
    arena.ends(256 * KIB).await;
}

/// What is sent behind a poll that waits is kept, up to a bound, and whoever sends more is counted.
#[tokio::test]
async fn whoever_floods_a_connection_behind_a_poll_is_cut_off_and_counted() {
    let mut arena = Arena::new(&[]).await;
    let session = arena.session().await;
    let mut wire = Wire::connect(arena.address).await;
    wire.send(format!("GET {session} HTTP/1.1\r\nHost: localhost\r\n\r\n")).await;
    arena.cuts_off(&mut wire, &[b'G'; 1000]).await;
    arena.is_well_until("it is counted", |arena| arena.engine().limit(Limit::ReadAhead) == 1).await;
    arena.ends(256 * KIB).await;
}

/// A body that is refused and goes on for longer than anyone reads it.
#[tokio::test]
async fn bodies_beyond_bearing_are_cut_off_and_counted() {
    let mut arena = Arena::new(&[]).await;
    for (path, of_socketio) in [("/nowhere".to_owned(), 0), (arena.session().await, 1)] {
        let mut wire = Wire::connect(arena.address).await;
        wire.send(post(&path, 20 << 20)).await;
        assert_eq!(status(&wire.head().await), if of_socketio == 1 { 413 } else { 404 });
        arena.cuts_off(&mut wire, &[b'x'; 64 << 10]).await;
        arena.refused("unread_body", 1).await;
        let counted = |arena: &Arena| arena.engine().limit(Limit::UnreadBody) == of_socketio;
        arena.is_well_until("it is counted", counted).await;
    }
    assert_eq!(arena.count("unread_body"), 1);
    arena.ends(256 * KIB).await;
}
