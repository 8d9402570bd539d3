//! Clients of Socket.IO 1 and 2, which speak Engine.IO 3.

use std::net::SocketAddr;

use bytes::Bytes;
use switchboard_io::{Ack, Args, Auth, Refusal, Socket, SocketIo, Value};
use switchboard_testkit::Wire;

use crate::client::{Client, Heard, get, serve};

/// A client of version 2, and the id of its session.
async fn join(address: SocketAddr) -> (Client, String) {
    let mut client = Client::over(Wire::open(address, "/socket.io/?EIO=3&transport=websocket").await);
    let opened = client.text().await;
    let sid = opened.split("\"sid\":\"").nth(1).and_then(|rest| rest.split('"').next()).expect("a session");
    (client, sid.to_owned())
}

fn old() -> SocketIo {
    SocketIo::builder().allow_eio3(true).build()
}

#[tokio::test]
async fn they_are_let_in_only_if_set() {
    let address = serve(&SocketIo::new()).await;
    let refused = get(address, "/socket.io/?EIO=3&transport=polling").await;
    assert_eq!(
        (refused.status, refused.body.as_str()),
        (400, r#"{"code":5,"message":"Unsupported protocol version"}"#)
    );
}

#[tokio::test]
async fn they_are_in_the_main_namespace_unasked_by_the_id_of_their_session() {
    let io = old();
    io.on_connect(async |socket: Socket| {
        socket.on(
            "echo",
            async |socket: Socket, args: Args, ack: Ack| {
                if ack.is_wanted() { ack.send(&args) } else { socket.emit("echo", &args) }
            },
        );
    });
    let (mut client, sid) = join(serve(&io).await).await;
    client.expect("40").await;
    assert!(io.of("/").socket(&sid).is_some());
    client.say(r#"42["echo",1]"#).await;
    client.expect(r#"42["echo",1]"#).await;
    client.say(r#"427["echo",1]"#).await;
    client.expect("437[1]").await;
    // They ask for it all the same, and are the ones who ping.
    client.say("40").await;
    client.say("2").await;
    client.expect("3").await;
}

#[tokio::test]
async fn bytes_have_the_type_of_their_packet_before_them() {
    let io = old();
    io.on_connect(async |socket: Socket| {
        socket.on("echo", async |socket: Socket, args: Args| socket.emit("echo", &args));
        socket.emit("bytes", &Bytes::from_static(&[1]))
    });
    let (mut client, _) = join(serve(&io).await).await;
    client.expect("40").await;
    let bytes = r#"451-["bytes",{"_placeholder":true,"num":0}]"#;
    client.expect(bytes).await;
    client.expect_bytes(&[4, 1]).await;
    client.say(&bytes.replace("bytes", "echo")).await;
    client.say_bytes(&[4, 9]).await;
    client.expect(&bytes.replace("bytes", "echo")).await;
    client.expect_bytes(&[4, 9]).await;
}

#[tokio::test]
async fn a_query_of_a_namespace_is_what_they_say_for_themselves() {
    let io = old();
    io.of("/the-namespace")
        .on_connect(async |socket: Socket, Auth(auth): Auth<Value>| socket.emit("auth", &(auth, socket.id().as_str())));
    let (mut client, sid) = join(serve(&io).await).await;
    client.expect("40").await;
    client.say("40/the-namespace?test=1%202&x=y,").await;
    client.expect("40/the-namespace,").await;
    let id = format!("/the-namespace#{sid}");
    client.expect(&format!(r#"42/the-namespace,["auth",{{"test":"1 2","x":"y"}},"{id}"]"#)).await;
}

#[tokio::test]
async fn refusals_are_words_or_details_without_an_object_around_them_but_for_unknown_namespaces() {
    let io = old();
    io.of("/words").use_(async || Err(Refusal::new("no")));
    io.of("/details").use_(async || Err(Refusal::new("no").with_data([1, 2]).expect("it serialises")));
    let (mut client, _) = join(serve(&io).await).await;
    client.expect("40").await;
    for (ask, refusal) in [
        ("40/words,", r#"44/words,"no""#),
        ("40/details,", "44/details,[1,2]"),
        ("40/nowhere,", r#"44/nowhere,{"message":"Invalid namespace"}"#),
    ] {
        client.say(ask).await;
        client.expect(refusal).await;
    }
}

#[tokio::test]
async fn old_and_new_clients_are_in_the_same_rooms() {
    let io = old();
    io.on_connect(async |socket: Socket| socket.join("room"));
    let address = serve(&io).await;
    let (mut old_client, _) = join(address).await;
    old_client.expect("40").await;
    let mut new_client = Client::join(address).await;
    io.to("room").emit("news", &Bytes::from_static(&[5])).unwrap();
    for (client, bytes) in [(&mut old_client, &[4, 5][..]), (&mut new_client, &[5][..])] {
        client.expect(r#"451-["news",{"_placeholder":true,"num":0}]"#).await;
        assert_eq!(client.hear().await, Heard::Binary(bytes.to_vec()));
    }
}
