//! What a socket says and hears, and how it ends.

use std::future::ready;
use std::net::SocketAddr;
use std::time::Duration;

use bytes::Bytes;
use switchboard_io::{Ack, AckError, Args, Data, DisconnectReason, EmitError, Event, Refusal, Socket, SocketIo, Value};
use switchboard_testkit::Wire;
use switchboard_ws::{DeflateConfig, OutboxLimits};

use crate::client::{Client, Poller, WEBSOCKET, fenced, journal, serve};

/// Everything comes back as it was said: events as events, and answered where an answer is wanted.
fn echo(io: &SocketIo, namespace: &str) {
    io.of(namespace).on_connect(async |socket: Socket| {
        socket.on_any(
            async |socket: Socket, Event(name): Event, args: Args, ack: Ack| {
                if ack.is_wanted() { ack.send(&args) } else { socket.emit(&name, &args) }
            },
        );
    });
}

async fn echoing() -> SocketAddr {
    let io = SocketIo::new();
    echo(&io, "/");
    serve(&io).await
}

// Events.

#[tokio::test]
async fn events_go_both_ways_with_arguments_of_every_kind() {
    let mut client = Client::join(echoing().await).await;
    for event in [
        r#"42["say"]"#,
        r#"42["say",null]"#,
        r#"42["say",1,-2.5,1e300,true,"two",[],{}]"#,
        r#"42["say",{"a":{"b":[{"c":null}]}},[["x"]]]"#,
        r#"42["message","as by send"]"#,
        r#"42["",""]"#,
        r#"42["__proto__",{"constructor":1,"toString":2}]"#,
    ] {
        client.say(event).await;
        client.expect(event).await;
    }
}

#[tokio::test]
async fn the_name_of_an_event_may_be_a_number() {
    let mut client = Client::join(echoing().await).await;
    client.say("42[7,true]").await;
    client.expect(r#"42["7",true]"#).await;
}

#[tokio::test]
async fn text_of_all_scripts_arrives_unharmed() {
    let mut client = Client::join(echoing().await).await;
    for text in ["てすと", "Я Б Г Д Ж Й", "Ä ä Ü ü ß", "🦀", "\u{2028}"] {
        let event = format!(r#"42["{text}","{text}"]"#);
        client.say(&event).await;
        client.expect(&event).await;
    }
}

#[tokio::test]
async fn send_is_an_event_named_message() {
    let io = SocketIo::new();
    io.on_connect(async |socket: Socket| {
        socket.send("hello")?;
        socket.send(&("two", 2))?;
        socket.send(&Option::<String>::None)
    });
    let mut client = Client::join(serve(&io).await).await;
    client.expect(r#"42["message","hello"]"#).await;
    client.expect(r#"42["message","two",2]"#).await;
    client.expect(r#"42["message",null]"#).await;
}

#[tokio::test]
async fn bytes_travel_beside_the_text() {
    let io = SocketIo::new();
    io.on_connect(async |socket: Socket| {
        socket.emit("one", &Bytes::from_static(&[1, 2]))?;
        let inside =
            Value::Object(vec![("n".into(), Value::from("x")), ("b".into(), Value::Binary(Bytes::from_static(&[3])))]);
        socket.emit("more", &(1, vec!["2"], inside, Bytes::from_static(&[4])))
    });
    let mut client = Client::join(serve(&io).await).await;
    client.expect(r#"451-["one",{"_placeholder":true,"num":0}]"#).await;
    client.expect_bytes(&[1, 2]).await;
    let more = r#"452-["more",1,["2"],{"n":"x","b":{"_placeholder":true,"num":0}},{"_placeholder":true,"num":1}]"#;
    client.expect(more).await;
    client.expect_bytes(&[3]).await;
    client.expect_bytes(&[4]).await;
}

#[tokio::test]
async fn bytes_are_heard_where_their_placeholders_stand() {
    let mut client = Client::join(echoing().await).await;
    let event = r#"452-["mixed",{"_placeholder":true,"num":0},5,{"b":{"_placeholder":true,"num":1}},[null]]"#;
    client.say(event).await;
    client.say_bytes(&[9]).await;
    client.say_bytes(&[8, 7]).await;
    client.expect(event).await;
    client.expect_bytes(&[9]).await;
    client.expect_bytes(&[8, 7]).await;
}

#[tokio::test]
async fn an_empty_attachment_is_one() {
    let io = SocketIo::new();
    io.on_connect(async |socket: Socket| {
        socket.on("b", async |socket: Socket, Data(bytes): Data<Bytes>| socket.emit("length", &bytes.len()));
    });
    let mut client = Client::join(serve(&io).await).await;
    client.say(r#"451-["b",{"_placeholder":true,"num":0}]"#).await;
    client.say_bytes(&[]).await;
    client.expect(r#"42["length",0]"#).await;
}

#[tokio::test]
async fn a_large_event_goes_both_ways() {
    let io = SocketIo::builder()
        .max_http_buffer_size(5_000_000)
        .outbox(OutboxLimits { bytes: 5_000_000, ..OutboxLimits::default() })
        .build();
    echo(&io, "/");
    let mut client = Client::join(serve(&io).await).await;
    let event = format!(r#"42["big","{}"]"#, "é".repeat(1_000_000));
    client.say(&event).await;
    client.expect(&event).await;
    let bytes = vec![7; 2_000_000];
    client.say(r#"451-["big",{"_placeholder":true,"num":0}]"#).await;
    client.say_bytes(&bytes).await;
    client.expect(r#"451-["big",{"_placeholder":true,"num":0}]"#).await;
    client.expect_bytes(&bytes).await;
}

#[tokio::test]
async fn all_events_come_in_order_in_a_namespace_too() {
    let io = SocketIo::new();
    echo(&io, "/chat");
    let mut client = Client::open(serve(&io).await).await;
    client.enter("/chat").await;
    for number in 0..100 {
        client.say(&format!(r#"42/chat,["n",{number}]"#)).await;
    }
    for number in 0..100 {
        client.expect(&format!(r#"42/chat,["n",{number}]"#)).await;
    }
}

#[tokio::test]
async fn reserved_names_cannot_be_sent() {
    let io = SocketIo::new();
    let (tell, mut told) = journal();
    io.on_connect(move |socket: Socket| {
        for name in ["connect", "connect_error", "disconnect", "disconnecting", "newListener", "removeListener"] {
            let _ = tell.send((name, socket.emit(name, &()), socket.broadcast().emit(name, &()).map(drop)));
        }
        let _ = tell.send(("fine", socket.emit("connected", &()), Ok(())));
        ready(())
    });
    let mut client = Client::join(serve(&io).await).await;
    client.expect(r#"42["connected"]"#).await;
    for (name, one, many) in told.so_far() {
        let is_refused = |sent| matches!(sent, Err(EmitError::Encode(_)));
        assert_eq!((is_refused(one), is_refused(many)), (name != "fine", name != "fine"), "{name}");
    }
}

// Acks.

#[tokio::test]
async fn the_client_is_answered_with_any_number_of_arguments() {
    let io = SocketIo::new();
    io.on_connect(async |socket: Socket| {
        socket.on("none", async |ack: Ack| ack.send(&()));
        socket.on("one", async |ack: Ack| ack.send("ok"));
        socket.on("two", async |Data((a, b)): Data<(u8, String)>, ack: Ack| ack.send(&(b, a)));
        socket.on("bytes", async |Data(bytes): Data<Bytes>, ack: Ack| ack.send(&bytes));
    });
    let mut client = Client::join(serve(&io).await).await;
    client.say(r#"420["none"]"#).await;
    client.expect("430[]").await;
    client.say(r#"421["one"]"#).await;
    client.expect(r#"431["ok"]"#).await;
    client.say(r#"4218["two",1,"x"]"#).await;
    client.expect(r#"4318["x",1]"#).await;
    client.say(r#"451-3["bytes",{"_placeholder":true,"num":0}]"#).await;
    client.say_bytes(&[5]).await;
    client.expect(r#"461-3[{"_placeholder":true,"num":0}]"#).await;
    client.expect_bytes(&[5]).await;
}

#[tokio::test]
async fn an_event_is_answered_once() {
    let io = SocketIo::new();
    fenced(&io, "/");
    io.on_connect(async |socket: Socket| {
        socket.on("ask", async |ack: Ack| {
            ack.send("first")?;
            ack.send("second")
        });
        socket.on("ask", async |ack: Ack| ack.send("another handler"));
        socket.on("tell", async |ack: Ack| ack.send("nobody asked"));
    });
    let mut client = Client::join(serve(&io).await).await;
    client.say(r#"425["ask"]"#).await;
    client.expect(r#"435["first"]"#).await;
    client.say(r#"42["tell"]"#).await;
    client.expect_nothing().await;
}

#[tokio::test]
async fn the_server_waits_for_an_answer() {
    let io = SocketIo::new();
    let (tell, mut told) = journal();
    io.on_connect(move |socket: Socket| {
        let tell = tell.clone();
        async move {
            let _ = tell.send(socket.emit_with_ack::<(u8, String)>("ask", "how").await);
            let bytes = socket.emit_with_ack::<Bytes>("bytes", &Bytes::from_static(&[1])).await;
            let _ = tell.send(bytes.map(|bytes| (bytes[0], "bytes".to_owned())));
        }
    });
    let mut client = Client::join(serve(&io).await).await;
    client.expect(r#"420["ask","how"]"#).await;
    client.say(r#"430[4,"fine"]"#).await;
    assert_eq!(told.next().await, Ok((4, "fine".to_owned())));
    client.expect(r#"451-1["bytes",{"_placeholder":true,"num":0}]"#).await;
    client.expect_bytes(&[1]).await;
    client.say(r#"461-1[{"_placeholder":true,"num":0}]"#).await;
    client.say_bytes(&[6]).await;
    assert_eq!(told.next().await, Ok((6, "bytes".to_owned())));
}

#[tokio::test]
async fn answers_that_nobody_asked_for_are_not_heard() {
    let io = SocketIo::new();
    fenced(&io, "/");
    let mut client = Client::join(serve(&io).await).await;
    client.say("4399[1]").await;
    client.say("43[1]").await;
    client.expect_end().await;
}

#[tokio::test]
async fn an_answer_of_another_kind_is_an_error_of_its_own() {
    let io = SocketIo::new();
    let (tell, mut told) = journal();
    io.on_connect(move |socket: Socket| {
        let tell = tell.clone();
        async move {
            let _ = tell.send(socket.emit_with_ack::<u8>("ask", &()).await);
        }
    });
    let mut client = Client::join(serve(&io).await).await;
    client.expect(r#"420["ask"]"#).await;
    client.say(r#"430["words"]"#).await;
    assert!(matches!(told.next().await, Err(AckError::Args(_))));
}

// What may be lost.

#[tokio::test]
async fn a_volatile_event_is_lost_on_a_client_that_does_not_listen_and_others_are_not() {
    let io = SocketIo::new();
    io.on_connect(async |socket: Socket| {
        socket.on("go", async |socket: Socket| {
            socket.volatile().emit("lost", &())?;
            socket.broadcast().volatile().emit("lost", &())?;
            socket.volatile().emit("lost too", &Bytes::from_static(&[1]))?;
            socket.emit("kept", &())
        });
    });
    let poller = Poller::join(serve(&io).await).await;
    poller.say(r#"42["go"]"#).await;
    assert_eq!(poller.poll().await, r#"42["kept"]"#);
}

#[tokio::test]
async fn a_volatile_event_reaches_a_client_that_listens() {
    let io = SocketIo::new();
    io.on_connect(async |socket: Socket| {
        socket.on("go", async |socket: Socket| socket.volatile().emit("now", &1));
    });
    let address = serve(&io).await;
    let mut client = Client::join(address).await;
    client.say(r#"42["go"]"#).await;
    client.expect(r#"42["now",1]"#).await;
}

// Compression.

#[tokio::test]
async fn what_is_long_is_compressed_unless_it_is_not_to_be() {
    let io = SocketIo::builder().per_message_deflate(DeflateConfig::default()).build();
    io.on_connect(async |socket: Socket| {
        let long = "a".repeat(5000);
        socket.emit("squeezed", &long)?;
        socket.compress(false).emit("plain", &long)?;
        socket.compress(true).emit("squeezed", &long)
    });
    let address = serve(&io).await;
    let offer = "Sec-WebSocket-Extensions: permessage-deflate\r\n";
    let mut wire = Wire::ask(address, WEBSOCKET, offer).await;
    assert!(wire.head().await.contains("sec-websocket-extensions: permessage-deflate"));
    let mut client = Client::over(wire);
    client.frame().await;
    client.say("40").await;
    client.frame().await;
    let mut compressed = Vec::new();
    for _ in 0..3 {
        compressed.push(client.frame().await.first & 0x40 != 0);
    }
    assert_eq!(compressed, [true, false, true]);
}

// What it is.

#[tokio::test]
async fn its_id_is_not_the_secret_of_its_session() {
    let io = SocketIo::new();
    let mut wire = Client::over(Wire::open(serve(&io).await, WEBSOCKET).await);
    let handshake = wire.text().await;
    wire.say("40").await;
    let id = wire.welcomed("/").await;
    assert_eq!(id.len(), 20);
    assert!(!handshake.contains(&id), "{handshake}");
    let socket = io.of("/").socket(&id).expect("it is there");
    assert_eq!((socket.namespace(), socket.connected(), socket.recovered()), ("/", true, false));
    assert_eq!(format!("{:?} {:?}", socket.transport(), socket.protocol()), "WebSocket V4");
}

#[tokio::test]
async fn data_and_extensions_stay_with_it() {
    struct Secret(u8);

    let io = SocketIo::new();
    io.on_connect(async |socket: Socket| {
        socket.set_data(("ann", 3))?;
        socket.set_extension(Secret(7));
        socket.on("who", async |socket: Socket| {
            let (name, age): (String, u8) = socket.data().unwrap_or_default();
            let secret = socket.extension::<Secret>().map_or(0, |secret| secret.0);
            socket.emit("you", &(name, age, secret, socket.extension::<String>().is_none()))
        });
        socket.emit("ready", &())
    });
    let mut client = Client::join(serve(&io).await).await;
    client.expect(r#"42["ready"]"#).await;
    client.say(r#"42["who"]"#).await;
    client.expect(r#"42["you","ann",3,7,true]"#).await;
}

// Its end.

/// Everyone who leaves the main namespace, with the rooms that they were in and are in.
fn departures(io: &SocketIo) -> crate::client::Journal<(&'static str, String, usize)> {
    let (tell, told) = journal();
    io.on_connect(move |socket: Socket| {
        for (what, is_first) in [("leaves", true), ("left", false)] {
            let tell = tell.clone();
            let hear = move |socket: Socket, reason: DisconnectReason| {
                let _ = tell.send((what, reason.to_string(), socket.rooms().len()));
                ready(())
            };
            if is_first {
                socket.on_disconnecting(hear)
            } else {
                socket.on_disconnect(hear)
            };
        }
        let _ = socket.join("room");
        socket.on("leave me", async |socket: Socket| socket.disconnect());
        socket.on("close me", async |socket: Socket| socket.disconnect_all());
        ready(())
    });
    told
}

#[tokio::test]
async fn it_hears_why_it_leaves_first_in_its_rooms_and_then_out_of_them() {
    let io = SocketIo::new();
    let mut told = departures(&io);
    let address = serve(&io).await;
    let expect = async |told: &mut crate::client::Journal<_>, reason: &str| {
        assert_eq!(told.next().await, ("leaves", reason.to_owned(), 2));
        assert_eq!(told.next().await, ("left", reason.to_owned(), 0));
    };
    let mut client = Client::join(address).await;
    client.say("41").await;
    expect(&mut told, "client namespace disconnect").await;

    let mut client = Client::join(address).await;
    client.say(r#"42["leave me"]"#).await;
    client.expect("41").await;
    expect(&mut told, "server namespace disconnect").await;

    let mut client = Client::join(address).await;
    client.say(r#"42["close me"]"#).await;
    client.expect("41").await;
    client.expect_end().await;
    expect(&mut told, "server namespace disconnect").await;

    let client = Client::join(address).await;
    drop(client);
    expect(&mut told, "transport close").await;

    let mut client = Client::join(address).await;
    client.say("4rubbish").await;
    client.expect_end().await;
    expect(&mut told, "forced close").await;

    let mut client = Client::join(address).await;
    client.say("x").await;
    expect(&mut told, "parse error").await;
}

#[tokio::test]
async fn a_client_that_does_not_answer_pings_is_gone() {
    let io = SocketIo::builder().ping_interval(Duration::from_millis(50)).ping_timeout(Duration::from_secs(2)).build();
    let mut told = departures(&io);
    let mut client = Client::join(serve(&io).await).await;
    assert_eq!(client.frame().await.payload, b"2");
    assert_eq!(told.next().await.1, "ping timeout");
}

#[tokio::test]
async fn closing_its_connection_ends_its_sockets_in_all_namespaces() {
    let io = SocketIo::new();
    let (tell, mut told) = journal();
    for name in ["/", "/a", "/b"] {
        let tell = tell.clone();
        io.of(name).on_connect(move |socket: Socket| {
            let tell = tell.clone();
            socket.on_disconnect(move |socket: Socket, reason: DisconnectReason| {
                let _ = tell.send(format!("{} {reason}", socket.namespace()));
                ready(())
            });
            socket.on("close", async |socket: Socket| socket.disconnect_all());
            ready(())
        });
    }
    let mut client = Client::join(serve(&io).await).await;
    client.enter("/a").await;
    client.enter("/b").await;
    client.say(r#"42/a,["close"]"#).await;
    for goodbye in ["41", "41/a,", "41/b,"] {
        client.expect(goodbye).await;
    }
    client.expect_end().await;
    for name in ["/", "/a", "/b"] {
        assert_eq!(told.next().await, format!("{name} server namespace disconnect"));
    }
}

#[tokio::test]
async fn what_comes_after_it_left_is_not_heard() {
    let io = SocketIo::new();
    fenced(&io, "/other");
    let (tell, mut told) = journal();
    io.on_connect(move |socket: Socket| {
        let tell = tell.clone();
        socket.on("bye", async |socket: Socket| socket.disconnect());
        socket.on("say", move |Data(word): Data<String>| {
            let _ = tell.send(word);
            ready(())
        });
        ready(())
    });
    let mut client = Client::join(serve(&io).await).await;
    client.enter("/other").await;
    client.say(r#"42["say","before"]"#).await;
    client.say(r#"42["bye"]"#).await;
    client.say(r#"42["say","after"]"#).await;
    client.expect("41").await;
    client.expect_nothing_in("/other").await;
    assert_eq!(told.so_far(), ["before"]);
}

#[tokio::test]
async fn after_its_end_nothing_is_sent_and_no_room_joined() {
    let io = SocketIo::new();
    let (tell, mut told) = journal();
    io.on_connect(move |socket: Socket| {
        let tell = tell.clone();
        socket.on_disconnect(move |socket: Socket| {
            let _ = socket.join("late");
            let _ = tell.send(socket);
            ready(())
        });
        ready(())
    });
    let mut client = Client::join(serve(&io).await).await;
    client.say("41").await;
    let socket = told.next().await;
    assert_eq!(socket.emit("x", &()), Err(EmitError::Disconnected));
    assert_eq!(socket.emit_with_ack::<()>("x", &()).await, Err(AckError::Emit(EmitError::Disconnected)));
    assert_eq!((socket.connected(), socket.rooms().len(), io.of("/").count_in("late")), (false, 0, 0));
    assert_eq!(io.of("/").count(), 0);
}

#[tokio::test]
async fn who_waits_for_an_answer_is_told_when_the_socket_ends() {
    let io = SocketIo::new();
    let (tell, mut told) = journal();
    io.on_connect(move |socket: Socket| {
        let tell = tell.clone();
        async move {
            let _ = tell.send(socket.emit_with_ack::<()>("ask", &()).await);
        }
    });
    let mut client = Client::join(serve(&io).await).await;
    client.expect(r#"420["ask"]"#).await;
    client.say("41").await;
    assert_eq!(told.next().await, Err(AckError::Disconnected));
}

#[tokio::test]
async fn one_who_left_may_join_again() {
    let io = SocketIo::new();
    fenced(&io, "/");
    let mut client = Client::join(serve(&io).await).await;
    let first = client.id.clone();
    client.say("41").await;
    assert_ne!(client.enter("/").await, first);
    client.expect_nothing().await;
    assert_eq!(io.of("/").count(), 1);
}

#[tokio::test]
async fn a_refused_one_is_in_no_room() {
    let io = SocketIo::new();
    io.use_(async |socket: Socket| {
        let _ = socket.join("room");
        Err(Refusal::new("no"))
    });
    let mut client = Client::open(serve(&io).await).await;
    client.say("40").await;
    client.expect(r#"44{"message":"no"}"#).await;
    assert_eq!(io.of("/").count_in("room"), 0);
}
