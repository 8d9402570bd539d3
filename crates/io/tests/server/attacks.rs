//! What was reported against other Socket.IO servers, tried on ours. Those of the layers below are tried there: Engine.IO's
//! in this crate's tests of the engine and in `io-proto`, WebSocket's in `ws`.

use std::collections::BTreeSet;

use switchboard_io::{Ack, Args, Data, Event, Parser, Socket, SocketIo};
use switchboard_testkit::{Wire, frame};

use crate::client::{Client, Poller, WEBSOCKET, fenced, get, journal, serve};

/// A server that touches all that it is sent, and a client whose fate does not concern anyone else.
async fn reading(parser: Parser) -> std::net::SocketAddr {
    let io = SocketIo::builder().parser(parser).build();
    io.on_connect(async |socket: Socket| {
        socket.on_any(async |socket: Socket, Event(name): Event, args: Args, ack: Ack| {
            let values = args.values();
            ack.send(&values)?;
            socket.emit(&name, &values)
        });
        socket.on("typed", async |_: Data<(String, u8)>| ());
    });
    serve(&io).await
}

/// The server is as it was.
async fn is_well(address: std::net::SocketAddr) {
    let mut client = Client::join(address).await;
    client.say(r#"42["still","there"]"#).await;
    client.expect(r#"42["still",["there"]]"#).await;
}

#[tokio::test]
async fn cve_2017_16031_ids_cannot_be_guessed() {
    let io = SocketIo::new();
    let address = serve(&io).await;
    let mut heads = BTreeSet::new();
    for _ in 0..8 {
        let mut client = Client::over(Wire::open(address, WEBSOCKET).await);
        let handshake = client.text().await;
        heads.insert(handshake[9..21].to_owned());
        client.say("40").await;
        heads.insert(client.welcomed("/").await[..12].to_owned());
    }
    assert_eq!(heads.len(), 16, "no two ids begin alike");
}

#[tokio::test]
async fn cve_2020_28481_other_sites_are_allowed_nothing_by_default() {
    let address = serve(&SocketIo::new()).await;
    let mut wire = Wire::connect(address).await;
    let request =
        "GET /socket.io/?EIO=4&transport=polling HTTP/1.1\r\nHost: localhost\r\nOrigin: https://evil.example\r\n\r\n";
    wire.send(request).await;
    assert!(!wire.response().await.head.contains("access-control"));
    let mut wire = Wire::ask(address, WEBSOCKET, "Origin: https://evil.example\r\n").await;
    assert!(wire.head().await.starts_with("http/1.1 400 "));
}

#[tokio::test]
async fn cve_2020_36048_a_body_beyond_a_megabyte_is_not_kept() {
    let address = reading(Parser::Json).await;
    let poller = Poller::join(address).await;
    let answer = poller.post(&"x".repeat(1_000_001)).await;
    assert_eq!(answer, 413);
    is_well(address).await;
}

#[tokio::test]
async fn cve_2020_36049_many_small_packets_are_read_in_one_go() {
    let io = SocketIo::new();
    let (tell, mut told) = journal();
    io.on_connect(move |socket: Socket| {
        let tell = tell.clone();
        socket.on("e", move |Data(number): Data<u32>| {
            let _ = tell.send(number);
            std::future::ready(())
        });
        std::future::ready(())
    });
    let poller = Poller::join(serve(&io).await).await;
    let packets: Vec<_> = (0..20_000).map(|number| format!(r#"42["e",{number}]"#)).collect();
    poller.say(&packets.join("\u{1e}")).await;
    for number in 0..20_000 {
        assert_eq!(told.next().await, number);
    }
}

#[tokio::test]
async fn cve_2022_21676_a_broken_frame_right_behind_the_handshake_ends_that_connection_only() {
    let address = reading(Parser::Json).await;
    for first in [0xc1, 0xa1, 0x91, 0x83] {
        let mut wire = Wire::open(address, WEBSOCKET).await;
        wire.say(&frame::raw(first, "40").masked()).await;
        wire.rest().await;
    }
    is_well(address).await;
}

#[tokio::test]
async fn cve_2022_2421_placeholders_name_only_attachments_that_are_there() {
    let address = reading(Parser::Json).await;
    for number in ["1", "-1", "1e9", "0.5", "\"splice\"", "null", "18446744073709551616"] {
        let mut client = Client::join(address).await;
        client.say(&format!(r#"451-["e",{{"_placeholder":true,"num":{number}}}]"#)).await;
        client.say_bytes(&[1]).await;
        client.expect_end().await;
    }
    is_well(address).await;
}

#[tokio::test]
async fn cve_2022_41940_an_upgrade_that_is_cut_off_leaves_everything_as_it_was() {
    let address = reading(Parser::Json).await;
    let opened = get(address, "/socket.io/?EIO=4&transport=polling").await.body;
    let sid = &opened[9..29];
    drop(Wire::ask(address, &format!("{WEBSOCKET}&sid={sid}"), "").await);
    let mut wire = Wire::open(address, &format!("{WEBSOCKET}&sid={sid}")).await;
    wire.say(&frame::text("2probe").masked()).await;
    drop(wire);
    is_well(address).await;
}

#[tokio::test]
async fn cve_2023_31125_an_unknown_transport_is_refused() {
    let address = reading(Parser::Json).await;
    for transport in ["__proto__", "constructor", "websocket%00", "WebSocket", ""] {
        let target = format!("/socket.io/?EIO=4&transport={transport}");
        assert_eq!(get(address, &target).await.body, r#"{"code":0,"message":"Transport unknown"}"#, "{transport}");
        let mut wire = Wire::ask(address, &target, "").await;
        assert!(wire.head().await.starts_with("http/1.1 400 "));
    }
    is_well(address).await;
}

#[tokio::test]
async fn cve_2023_32695_the_name_of_an_event_is_no_object() {
    let address = reading(Parser::Json).await;
    for event in [r#"42[{"toString":"foo"}]"#, r#"42[["e"]]"#, "42[null]", "42[true]"] {
        let mut client = Client::join(address).await;
        client.say(event).await;
        client.expect_end().await;
    }
    is_well(address).await;
}

#[tokio::test]
async fn cve_2024_38355_an_event_named_error_is_an_event_like_others() {
    let io = SocketIo::new();
    fenced(&io, "/");
    io.on_connect(async |socket: Socket| {
        socket.on_error(async |socket: Socket| socket.emit("a true error", &()));
    });
    let mut client = Client::join(serve(&io).await).await;
    client.say(r#"42["error","x"]"#).await;
    client.say(r#"42["connection"]"#).await;
    client.expect_nothing().await;
}

#[tokio::test]
async fn cve_2026_33151_no_more_than_ten_attachments_are_waited_for() {
    let address = reading(Parser::Json).await;
    for count in ["11", "1000000", "99999999999999999999", "0", "-1", "1.5", "1e1"] {
        let mut client = Client::join(address).await;
        client.say(&format!(r#"45{count}-["e"]"#)).await;
        client.expect_end().await;
    }
    is_well(address).await;
}

#[tokio::test]
async fn ghsa_c6g7_r2mf_pf5g_deep_msgpack_costs_no_stack() {
    let address = reading(Parser::Msgpack).await;
    let mut client = Client::open(address).await;
    client.say_bytes(b"\x82\xa4type\x00\xa3nsp\xa1/").await;
    assert!(matches!(client.hear().await, crate::client::Heard::Binary(_)));
    let mut deep = b"\x83\xa4type\x02\xa3nsp\xa1/\xa4data\x92\xa1e".to_vec();
    deep.extend(vec![0x91; 500_000]);
    deep.push(0xc0);
    client.say_bytes(&deep).await;
    client.expect_end().await;
    // JSON is no deeper.
    let address = reading(Parser::Json).await;
    let mut client = Client::join(address).await;
    client.say(&format!(r#"42["e",{}{}]"#, "[".repeat(400_000), "]".repeat(400_000))).await;
    client.expect_end().await;
    is_well(address).await;
}

#[tokio::test]
async fn ghsa_7xpx_rcqc_8qjh_broken_msgpack_panics_nowhere() {
    let address = reading(Parser::Msgpack).await;
    let whole = b"\x83\xa4type\x02\xa3nsp\xa1/\xa4data\x92\xa1e\x01";
    for length in 0..whole.len() {
        let mut client = Client::open(address).await;
        client.say_bytes(b"\x82\xa4type\x00\xa3nsp\xa1/").await;
        client.hear().await;
        client.say_bytes(&whole[..length]).await;
        client.expect_end().await;
    }
    let mut client = Client::open(address).await;
    client.say_bytes(b"\x82\xa4type\x00\xa3nsp\xa1/").await;
    client.hear().await;
    client.say_bytes(whole).await;
    assert!(matches!(client.hear().await, crate::client::Heard::Binary(_)));
}

#[tokio::test]
async fn ghsa_55mf_67qm_4wpg_a_message_beyond_the_limit_is_not_kept() {
    let address = reading(Parser::Json).await;
    let mut wire = Wire::open(address, WEBSOCKET).await;
    wire.frame().await;
    // The head of a frame of 2 GiB: the server does not wait for the rest.
    wire.send([0x81, 0xff, 0, 0, 0, 0, 0x80, 0, 0, 0, 1, 2, 3, 4]).await;
    assert_eq!(wire.frame().await.first, 0x88);
    is_well(address).await;
}

#[tokio::test]
async fn packets_cut_within_a_character_end_that_connection_only() {
    // socketioxide's PR 794: a slice within a character, or of nothing.
    let address = reading(Parser::Json).await;
    for breach in ["é", "4é", "42é", "42/é", "40/é,{", "45é-[]", "", "4", "b4", "42/,"] {
        let mut client = Client::open(address).await;
        client.say(breach).await;
        client.expect_end().await;
    }
    is_well(address).await;
}
