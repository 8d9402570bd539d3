//! What was reported against other Socket.IO servers, tried on ours. Those of the layers below are tried there:
//! Engine.IO's in this crate's tests of the engine and in `io-proto`, WebSocket's in `ws`. What is said packet by
//! packet to a whole server is in `tests/attacks/packets.rs`, where memory is measured too.

use std::collections::BTreeSet;

use switchboard_io::{Ack, Args, Data, Event, Socket, SocketIo};
use switchboard_testkit::{Wire, frame};

use crate::client::{Client, Poller, WEBSOCKET, fenced, get, journal, serve};

/// A server that touches all that it is sent, and a client whose fate does not concern anyone else.
async fn reading() -> std::net::SocketAddr {
    let io = SocketIo::new();
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
    let address = reading().await;
    for first in [0xc1, 0xa1, 0x91, 0x83] {
        let mut wire = Wire::open(address, WEBSOCKET).await;
        wire.say(&frame::raw(first, "40").masked()).await;
        wire.rest().await;
    }
    is_well(address).await;
}

#[tokio::test]
async fn cve_2022_41940_an_upgrade_that_is_cut_off_leaves_everything_as_it_was() {
    let address = reading().await;
    let opened = get(address, "/socket.io/?EIO=4&transport=polling").await.body;
    let sid = &opened[9..29];
    drop(Wire::ask(address, &format!("{WEBSOCKET}&sid={sid}"), "").await);
    let mut wire = Wire::open(address, &format!("{WEBSOCKET}&sid={sid}")).await;
    wire.say(&frame::text("2probe").masked()).await;
    drop(wire);
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
