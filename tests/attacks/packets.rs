//! Attacks by packets of Engine.IO and Socket.IO, as they were reported of other servers of theirs.

use std::collections::BTreeSet;

use switchboard_testkit::frame;

use crate::arena::{Arena, MSGPACK, POLLING, Side, closed, is_over, text};
use crate::way::{Way, on_every_way};

const KIB: usize = 1 << 10;
const MIB: usize = 1 << 20;

on_every_way!(
    cve_2020_36048_a_body_beyond_a_megabyte_is_not_kept,
    cve_2020_36049_cve_2026_32689_packets_of_a_body_are_read_one_by_one,
    ghsa_55mf_67qm_4wpg_a_message_beyond_the_limit_is_not_kept,
    overlapping_requests_end_the_session,
);

/// Each of these ends the connection that says it, and no other.
async fn ends_the_connection(arena: &mut Arena, packets: &[&str]) {
    for packet in packets {
        let mut client = arena.join().await;
        client.say(&text(packet)).await;
        let code = closed(&mut client).await;
        assert!([1005, 1002, 1008, 1009].contains(&code), "{packet:.60}: {code}");
        arena.is_well().await;
    }
}

#[tokio::test]
async fn cve_2017_16031_ids_cannot_be_guessed() {
    let arena = Arena::new(&[]).await;
    let mut heads = BTreeSet::new();
    for _ in 0..32 {
        let session = arena.session().await;
        assert!(heads.insert(session[session.len() - 20..][..12].to_owned()), "no two ids begin alike");
    }
    arena.goes_on(512 * KIB).await;
}

async fn cve_2020_36048_a_body_beyond_a_megabyte_is_not_kept(way: Way) {
    let mut arena = Arena::on(way, &[]).await;
    let body = vec![b'x'; 100 * KIB];
    arena.begin();
    let session = arena.session().await;
    assert_eq!(arena.post(&session, &[]).await, 200, "an empty one says nothing");
    is_over(&arena, &session).await;
    let mut wire = arena.connect().await;
    wire.send(crate::arena::post(&arena.session().await, 1_000_001)).await;
    assert!(wire.head().await.starts_with("http/1.1 413 "), "told before any of it came");
    // One that does not say how long it is.
    let mut wire = arena.connect().await;
    let session = arena.session().await;
    wire.send(format!("POST {session} HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n")).await;
    while wire.try_send(format!("{:x}\r\n", body.len())).await
        && wire.try_send(&body).await
        && wire.try_send("\r\n").await
    {}
    let told = String::from_utf8_lossy(&wire.last_words().await).into_owned();
    assert!(told.is_empty() || told.starts_with("HTTP/1.1 413 "), "{told}");
    assert_eq!(arena.engine().payloads_too_large(), 2);
    arena.ends(3 * MIB).await;
}

/// Decoding took quadratic time in the number of packets. (That of Phoenix, CVE-2026-32689: a body of nothing but
/// separators became millions of list cells, before anyone had said who they are.)
async fn cve_2020_36049_cve_2026_32689_packets_of_a_body_are_read_one_by_one(way: Way) {
    let mut arena = Arena::on(way, &[]).await;
    let separators = vec![0x1e; 1_000_000];
    let messages = ["40", &"\u{1e}4x".repeat(300_000)].concat();
    let noops = ["6"; 499_999].join("\u{1e}");
    arena.begin();
    // What breaks the rules of Engine.IO, or those of Socket.IO, ends the session; the POST was read all the same.
    for body in [&separators[..], messages.as_bytes()] {
        let session = arena.session().await;
        assert_eq!(arena.post(&session, body).await, 200, "{:?}", &body[..10]);
        is_over(&arena, &session).await;
        arena.is_well().await;
    }
    // Packets that say nothing may be sent, as many as a body takes.
    let session = arena.session().await;
    assert_eq!(arena.post(&session, noops.as_bytes()).await, 200);
    assert_eq!(arena.post(&session, b"40").await, 200, "the session goes on");
    arena.ends(3 * MIB).await;
}

#[tokio::test]
async fn cve_2022_2421_placeholders_name_only_attachments_that_are_there() {
    let mut arena = Arena::new(&[]).await;
    for number in ["1", "-1", "1e9", "0.5", "\"splice\"", "null", "18446744073709551616"] {
        let mut client = arena.join().await;
        client.say(&text(&format!(r#"451-["e",{{"_placeholder":true,"num":{number}}}]"#))).await;
        client.say(&frame::binary([1]).masked()).await;
        closed(&mut client).await;
        arena.is_well().await;
    }
    arena.ends(256 * KIB).await;
}

#[tokio::test]
async fn cve_2023_31125_an_unknown_transport_is_refused() {
    let mut arena = Arena::new(&[]).await;
    for transport in ["__proto__", "constructor", "websocket%00", "WebSocket", "", "polling&transport=__proto__"] {
        let target = format!("/socket.io/?EIO=4&transport={transport}");
        let answer = arena.get(&target).await;
        let head = arena.ask(&target, "").await.head().await;
        assert!(head.starts_with("http/1.1 400 ") || transport.contains('&'), "{transport}: {head}");
        let told = (answer.status, answer.body.as_str());
        let unknown = (400, r#"{"code":0,"message":"Transport unknown"}"#);
        assert!(told == unknown || transport.contains('&'), "{transport}: {told:?}");
        arena.is_well().await;
    }
    arena.ends(256 * KIB).await;
}

#[tokio::test]
async fn cve_2023_32695_the_name_of_an_event_is_no_object() {
    let mut arena = Arena::new(&[]).await;
    let names = [r#"42[{"toString":"foo"}]"#, r#"42[["e"]]"#, "42[null]", "42[true]", "42[]", "42{}", "42"];
    ends_the_connection(&mut arena, &names).await;
    arena.ends(256 * KIB).await;
}

#[tokio::test]
async fn cve_2024_38355_an_event_named_error_is_an_event_like_others() {
    let mut arena = Arena::new(&[]).await;
    let mut client = arena.join().await;
    client.say(&text(r#"421["error","x"]"#)).await;
    assert_eq!(client.frame().await, frame::text("431[0]"));
    // Whether those that the library uses itself are events or a breach: nobody else hears of it.
    for name in
        ["connect", "connect_error", "disconnect", "disconnecting", "newListener", "removeListener", "__proto__"]
    {
        let mut client = arena.join().await;
        client.say(&text(&format!(r#"421["{name}"]"#))).await;
        let answer = client.frame().await;
        assert!(answer == frame::text("431[0]") || answer.first == 0x88, "{name}: {answer:?}");
        arena.is_well().await;
    }
    arena.goes_on(256 * KIB).await;
}

/// GHSA-677m-j7p3-52f9; GHSA-55mf-67qm-4wpg (with messages that have no bound).
#[tokio::test]
async fn cve_2026_33151_no_more_than_ten_attachments_are_waited_for() {
    let mut arena = Arena::new(&[]).await;
    let counts = ["11", "1000000", "99999999999999999999", "0", "-1", "1.5", "1e1"];
    let packets = counts.map(|count| format!(r#"45{count}-["e"]"#));
    ends_the_connection(&mut arena, &packets.each_ref().map(String::as_str)).await;
    // Ten that may be, and nine come.
    let (begins, attachment) = (text(r#"4510-["e"]"#), frame::binary(vec![7; 900_000]).masked().bytes());
    arena.begin();
    let mut client = arena.join().await;
    client.say(&begins).await;
    for _ in 0..9 {
        client.send(&attachment).await;
        arena.is_well().await;
    }
    arena.goes_on(11 * MIB).await;
}

async fn ghsa_55mf_67qm_4wpg_a_message_beyond_the_limit_is_not_kept(way: Way) {
    let mut arena = Arena::on(way, &[]).await;
    let mut parts = frame::text(vec![b'4'; 600_000]).fin(false).masked().bytes();
    parts.extend(frame::continuation(vec![b'4'; 600_000]).masked().bytes());
    arena.begin();
    let mut wire = arena.open(Side::Io).await;
    wire.try_send(&parts).await;
    assert_eq!(closed(&mut wire).await, 1009);
    arena.ends(3 * MIB).await;
}

/// GHSA-c6g7-r2mf-pf5g: data within data cost stack for each level.
#[tokio::test]
async fn ghsa_c6g7_r2mf_pf5g_deep_data_costs_no_stack() {
    let mut arena = Arena::new(&[]).await;
    let depth = 400_000;
    let arrays = format!(r#"42["e",{}{}]"#, "[".repeat(depth), "]".repeat(depth));
    let objects = format!(r#"42["e",{}1{}]"#, r#"{"":"#.repeat(150_000), "}".repeat(150_000));
    arena.begin();
    ends_the_connection(&mut arena, &[&arrays, &objects]).await;
    arena.ends(4 * MIB).await;
}

/// GHSA-7xpx-rcqc-8qjh: broken msgpack, and the same depth in it.
#[tokio::test]
async fn ghsa_7xpx_rcqc_8qjh_broken_msgpack_panics_nowhere() {
    let mut arena = Arena::new(&[MSGPACK]).await;
    let mut deep = b"\x83\xa4type\x02\xa3nsp\xa1/\xa4data\x92\xa1e".to_vec();
    deep.extend(vec![0x91; 500_000]);
    deep.push(0xc0);
    let whole = b"\x83\xa4type\x02\xa3nsp\xa1/\xa4data\x92\xa1e\x01";
    let long = [&whole[..whole.len() - 1], b"\xdd\xff\xff\xff\xff"].concat();
    arena.begin();
    let broken = (0..whole.len()).map(|length| &whole[..length]).chain([&deep[..], &long]);
    for packet in broken {
        let mut client = arena.join_by_msgpack().await;
        client.send(frame::binary(packet).masked().bytes()).await;
        closed(&mut client).await;
        arena.is_well().await;
    }
    arena.ends(3 * MIB).await;
}

/// socketioxide's PR 794: a slice within a character, or of nothing.
#[tokio::test]
async fn packets_cut_within_a_character_end_that_connection_only() {
    let mut arena = Arena::new(&[]).await;
    ends_the_connection(&mut arena, &["é", "4é", "42é", "42/é", "40/é,{", "45é-[]", "", "4", "b4", "42/,"]).await;
    for body in ["é", "4é", "b4é", "\u{1e}", "b", "2:4", ""] {
        let session = arena.session().await;
        assert!([200, 400].contains(&arena.post(&session, body.as_bytes()).await), "{body}");
        is_over(&arena, &session).await;
    }
    arena.ends(512 * KIB).await;
}

/// Polls and POSTs that overlap: each cost a waiting request, and whose the answer is was not said.
async fn overlapping_requests_end_the_session(way: Way) {
    let mut arena = Arena::on(way, &[]).await;
    let session = arena.session().await;
    assert_eq!(arena.post(&session, b"40").await, 200);
    assert!(arena.get(&session).await.body.starts_with("40{"));
    let mut first = arena.connect().await;
    let poll = format!("GET {session} HTTP/1.1\r\nHost: localhost\r\n\r\n");
    first.send(&poll).await;
    // One of them comes second, whichever, and both are answered.
    let second = arena.get(&session).await;
    let mut told = [first.response().await.status, second.status];
    told.sort_unstable();
    assert_eq!(told, [200, 400]);
    arena.is_well().await;
    assert!(arena.get(&format!("{POLLING}&sid={}", &session[session.len() - 20..])).await.status == 400);
    arena.ends(256 * KIB).await;
}
