//! permessage-deflate below Socket.IO: who gets it, for which messages, and that everyone hears the same.

use bytes::Bytes;
use flate2::{Compress, Compression, Decompress, FlushCompress, FlushDecompress};
use switchboard_io::{Ack, Data, Socket, SocketIo};
use switchboard_testkit::{Wire, frame};
use switchboard_ws::DeflateConfig;

use crate::client::{Client, Poller, WEBSOCKET, journal, serve};

const OFFER: &str = "Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits\r\n";

fn compressing() -> SocketIo {
    SocketIo::builder().per_message_deflate(DeflateConfig::default()).build()
}

/// A client that has offered compression and joined the main namespace, and whether that was taken.
async fn join(io: &SocketIo, address: std::net::SocketAddr, offer: &str) -> (Client, bool) {
    let mut wire = Wire::ask(address, WEBSOCKET, offer).await;
    let head = wire.head().await;
    let taken = head.contains("sec-websocket-extensions: permessage-deflate");
    let mut client = Client::over(wire);
    client.text().await;
    let others = io.of("/").count();
    client.say("40").await;
    client.text().await;
    assert_eq!(io.of("/").count(), others + 1);
    (client, taken)
}

/// A frame's payload, and whether it came compressed. Each message is inflated by itself: no takeover was agreed on.
async fn frame_of(client: &mut Client) -> (Vec<u8>, bool) {
    let frame = client.frame().await;
    if frame.first & 0x40 == 0 {
        return (frame.payload, false);
    }
    let bytes = [&frame.payload[..], &[0, 0, 0xff, 0xff]].concat();
    let mut whole = Vec::with_capacity(1 << 17);
    Decompress::new(false).decompress_vec(&bytes, &mut whole, FlushDecompress::Sync).expect("a DEFLATE stream");
    (whole, true)
}

/// The payload of a compressed frame.
fn deflate(bytes: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(bytes.len() + 64);
    let mut compress = Compress::new(Compression::default(), false);
    compress.compress_vec(bytes, &mut out, FlushCompress::Sync).expect("compressed");
    assert_eq!(out.split_off(out.len() - 4), [0, 0, 0xff, 0xff]);
    out
}

#[tokio::test]
async fn it_is_used_where_both_sides_want_it() {
    for (io, offer, wanted) in [
        (compressing(), OFFER, true),
        (compressing(), "", false),
        (SocketIo::new(), OFFER, false),
        (SocketIo::new(), "", false),
    ] {
        io.on_connect(async |socket: Socket| socket.emit("long", &"a".repeat(5000)));
        let address = serve(&io).await;
        let (mut client, taken) = join(&io, address, offer).await;
        assert_eq!(taken, wanted);
        let (payload, compressed) = frame_of(&mut client).await;
        assert_eq!(compressed, wanted);
        assert_eq!(payload, format!(r#"42["long","{}"]"#, "a".repeat(5000)).into_bytes());
    }
}

#[tokio::test]
async fn short_messages_go_plain() {
    let deflate = DeflateConfig { threshold: 300, ..DeflateConfig::default() };
    let io = SocketIo::builder().per_message_deflate(deflate).build();
    // 10 characters and what is between the quotes.
    io.on_connect(async |socket: Socket| {
        socket.emit("e", &"a".repeat(299 - 10))?;
        socket.emit("e", &"a".repeat(300 - 10))?;
        // Each piece of a packet is a message by itself.
        socket.emit("e", &Bytes::from(vec![7_u8; 300]))
    });
    let address = serve(&io).await;
    let (mut client, _) = join(&io, address, OFFER).await;
    for (length, wanted) in [(299, false), (300, true)] {
        let (payload, compressed) = frame_of(&mut client).await;
        assert_eq!((payload.len(), compressed), (length, wanted));
    }
    let (text, compressed) = frame_of(&mut client).await;
    assert_eq!((&*text, compressed), (&br#"451-["e",{"_placeholder":true,"num":0}]"#[..], false));
    assert_eq!(frame_of(&mut client).await, (vec![7; 300], true));
}

#[tokio::test]
async fn a_broadcast_reaches_each_client_in_the_form_that_it_takes() {
    let io = compressing();
    let address = serve(&io).await;
    let (mut squeezed, _) = join(&io, address, OFFER).await;
    let (mut other, _) = join(&io, address, OFFER).await;
    let (mut plain, _) = join(&io, address, "").await;
    let poller = Poller::join(address).await;
    let (long, bytes) = ("ab".repeat(2000), Bytes::from(vec![1_u8; 2000]));
    assert_eq!(io.emit("all", &(&long, &bytes)).expect("written").reached, 4);
    assert_eq!(io.of("/").compress(false).emit("all", &long).expect("written").reached, 4);
    let first = format!(r#"451-["all","{long}",{{"_placeholder":true,"num":0}}]"#);
    let second = format!(r#"42["all","{long}"]"#);
    for (client, compresses) in [(&mut squeezed, true), (&mut other, true), (&mut plain, false)] {
        assert_eq!(frame_of(client).await, (first.clone().into_bytes(), compresses));
        assert_eq!(frame_of(client).await, (bytes.to_vec(), compresses));
        assert_eq!(frame_of(client).await, (second.clone().into_bytes(), false));
    }
    let polled = poller.poll().await;
    let pieces: Vec<_> = polled.split('\u{1e}').collect();
    assert!(pieces[0] == first && pieces[1].starts_with("bAQEB") && pieces[2] == second, "{polled}");
}

#[tokio::test]
async fn what_clients_compress_is_heard() {
    let (tell, mut told) = journal();
    let io = compressing();
    io.on_connect(move |socket: Socket| {
        let tell = tell.clone();
        socket.on("say", move |Data((text, bytes)): Data<(String, Bytes)>, ack: Ack| {
            tell.send((text.len(), bytes)).expect("the test listens");
            async move { ack.send(&text) }
        });
        std::future::ready(())
    });
    let address = serve(&io).await;
    let mut wire = Wire::ask(address, WEBSOCKET, OFFER).await;
    wire.head().await;
    wire.frame().await;
    let text = "hello ".repeat(300);
    let event = format!(r#"451-7["say","{text}",{{"_placeholder":true,"num":0}}]"#);
    wire.say(&frame::text(deflate(b"40")).rsv1().masked()).await;
    wire.frame().await;
    wire.say(&frame::text(deflate(event.as_bytes())).rsv1().masked()).await;
    wire.say(&frame::binary(deflate(&[9; 3000])).rsv1().masked()).await;
    assert_eq!(told.next().await, (text.len(), Bytes::from(vec![9_u8; 3000])));
    let mut client = Client::over(wire);
    assert_eq!(frame_of(&mut client).await, (format!(r#"437["{text}"]"#).into_bytes(), true));
}

#[tokio::test]
async fn a_compressed_bomb_ends_the_connection_at_the_limit() {
    let io = SocketIo::builder().per_message_deflate(DeflateConfig::default()).max_http_buffer_size(10_000).build();
    let address = serve(&io).await;
    let (mut client, _) = join(&io, address, OFFER).await;
    // Ten kilobytes of nothing but one character are 30 bytes on the wire.
    let event = format!(r#"42["e","{}"]"#, "a".repeat(10_000));
    client.say_frame(&frame::text(deflate(event.as_bytes())).rsv1().masked()).await;
    client.expect_end_with(1009).await;
}
