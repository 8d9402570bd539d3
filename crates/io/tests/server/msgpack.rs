//! A whole conversation in msgpack, byte by byte as the stock clients with `socket.io-msgpack-parser` have it.

use bytes::Bytes;
use switchboard_io::{Ack, Args, DisconnectReason, Parser, Refusal, Socket, SocketIo};

use crate::client::{Client, Heard, Poller, journal, serve};

/// The head of something short: its kind and its length in one byte.
fn head(kind: u8, length: usize) -> u8 {
    kind | u8::try_from(length).expect("short")
}

fn text(text: &str) -> Vec<u8> {
    [&[head(0xa0, text.len())], text.as_bytes()].concat()
}

fn bytes(bytes: &[u8]) -> Vec<u8> {
    [&[0xc4, head(0, bytes.len())], bytes].concat()
}

fn list(items: &[Vec<u8>]) -> Vec<u8> {
    [vec![head(0x90, items.len())], items.concat()].concat()
}

fn map(fields: &[(&str, Vec<u8>)]) -> Vec<u8> {
    let written = fields.iter().flat_map(|(name, value)| [text(name), value.clone()].concat());
    std::iter::once(head(0x80, fields.len())).chain(written).collect()
}

/// A packet with its fields in the order in which the stock parser writes them.
fn packet(kind: u8, more: &[(&str, Vec<u8>)]) -> Vec<u8> {
    map(&[&[("type", vec![kind])][..], more].concat())
}

async fn join(client: &mut Client, namespace: &str) {
    client.say_bytes(&packet(0, &[("nsp", text(namespace))])).await;
    let Heard::Binary(welcome) = client.hear().await else { panic!("no welcome") };
    let start = [&[0x83][..], &text("type"), &[0], &text("data"), &[0x81], &text("sid"), &[0xb4]].concat();
    assert!(welcome.starts_with(&start) && welcome.ends_with(&[text("nsp"), text(namespace)].concat()), "{welcome:x?}");
}

fn server() -> SocketIo {
    let io = SocketIo::builder().parser(Parser::Msgpack).build();
    for namespace in ["/", "/other"] {
        io.of(namespace).on_connect(async |socket: Socket| {
            socket.on("echo", async |socket: Socket, args: Args| socket.emit("echo", &args));
            socket.on("ack", async |args: Args, ack: Ack| ack.send(&args));
        });
    }
    io.of("/guarded")
        .use_(async |_: Socket| Err::<(), _>(Refusal::new("not you").with_data((7, true)).expect("it serialises")));
    io
}

#[tokio::test]
async fn events_and_acks_carry_bytes_in_their_place() {
    let mut client = Client::open(serve(&server()).await).await;
    join(&mut client, "/").await;
    let nested = map(&[("a", list(&[bytes(&[1, 2]), vec![0xc0], bytes(&[])]))]);
    let event = packet(2, &[("data", list(&[text("echo"), bytes(&[0, 0xff]), nested.clone()])), ("nsp", text("/"))]);
    client.say_bytes(&event).await;
    client.expect_bytes(&event).await;
    let asked = list(&[text("ack"), bytes(&[5]), nested.clone()]);
    client.say_bytes(&packet(2, &[("data", asked), ("nsp", text("/")), ("id", vec![9])])).await;
    let answer = list(&[bytes(&[5]), nested]);
    client.expect_bytes(&packet(3, &[("data", answer), ("nsp", text("/")), ("id", vec![9])])).await;
}

#[tokio::test]
async fn the_server_is_answered_with_bytes() {
    let io = server();
    let (tell, mut told) = journal();
    io.on_connect(move |socket: Socket| {
        let tell = tell.clone();
        async move {
            let answer: (Bytes, Option<u8>) = socket.emit_with_ack("question", &Bytes::from_static(b"?")).await?;
            tell.send(answer).expect("the test listens");
            Ok::<(), switchboard_io::AckError>(())
        }
    });
    let mut client = Client::open(serve(&io).await).await;
    join(&mut client, "/").await;
    let question = list(&[text("question"), bytes(b"?")]);
    client.expect_bytes(&packet(2, &[("data", question), ("nsp", text("/")), ("id", vec![0])])).await;
    client
        .say_bytes(&packet(3, &[("data", list(&[bytes(b"!"), vec![0xc0]])), ("nsp", text("/")), ("id", vec![0])]))
        .await;
    assert_eq!(told.next().await, (Bytes::from_static(b"!"), None));
}

#[tokio::test]
async fn namespaces_are_joined_refused_and_left() {
    let (tell, mut told) = journal();
    let io = server();
    io.of("/other").on_connect(move |socket: Socket| {
        let tell = tell.clone();
        socket.on_disconnect(move |reason: DisconnectReason| {
            tell.send(reason).expect("the test listens");
            std::future::ready(())
        });
        std::future::ready(())
    });
    let mut client = Client::open(serve(&io).await).await;
    join(&mut client, "/other").await;
    for (namespace, details) in [
        ("/nowhere", map(&[("message", text("Invalid namespace"))])),
        ("/guarded", map(&[("message", text("not you")), ("data", list(&[vec![7], vec![0xc3]]))])),
    ] {
        client.say_bytes(&packet(0, &[("nsp", text(namespace))])).await;
        client.expect_bytes(&packet(4, &[("data", details), ("nsp", text(namespace))])).await;
    }
    let event = packet(2, &[("data", list(&[text("echo"), vec![1]])), ("nsp", text("/other"))]);
    client.say_bytes(&event).await;
    client.expect_bytes(&event).await;
    client.say_bytes(&packet(1, &[("nsp", text("/other"))])).await;
    assert_eq!(told.next().await, DisconnectReason::ClientNamespaceDisconnect);
}

#[tokio::test]
async fn a_broadcast_is_bytes_on_websockets_and_base64_on_polls() {
    let io = server();
    let address = serve(&io).await;
    let mut client = Client::open(address).await;
    join(&mut client, "/").await;
    let poller = Poller::open(address).await;
    // {type: 0, nsp: "/"} in base64.
    poller.say("bgqR0eXBlAKNuc3ChLw==").await;
    assert!(poller.poll().await.starts_with('b'));
    assert_eq!(io.emit("e", &Bytes::from_static(b"\x01\x02")).expect("it can be written").reached, 2);
    let event = packet(2, &[("data", list(&[text("e"), bytes(&[1, 2])])), ("nsp", text("/"))]);
    client.expect_bytes(&event).await;
    assert_eq!(poller.poll().await, "bg6R0eXBlAqRkYXRhkqFlxAIBAqNuc3ChLw==");
}
