//! What a socket listens to: many listeners for one event, once, all events that come or go, middlewares before them.

use std::future::ready;
use std::panic::{AssertUnwindSafe, catch_unwind};

use bytes::Bytes;
use switchboard_io::engine::Transport;
use switchboard_io::{Ack, Args, Data, DisconnectReason, Event, Refusal, Socket, SocketIo, TypedEvent, Value};

use crate::client::{Client, Poller, fenced, journal, serve};

#[tokio::test]
async fn all_listeners_of_an_event_are_called_in_order() {
    let io = SocketIo::new();
    io.on_connect(async |socket: Socket| {
        for number in 1..=3 {
            socket.on("go", move |socket: Socket| ready(socket.emit("heard", &number)));
        }
        socket.emit("listeners", &socket.listener_count("go"))
    });
    let mut client = Client::join(serve(&io).await).await;
    client.expect(r#"42["listeners",3]"#).await;
    client.say(r#"42["go"]"#).await;
    for number in 1..=3 {
        client.expect(&format!(r#"42["heard",{number}]"#)).await;
    }
}

#[tokio::test]
async fn a_listener_for_once_is_called_once() {
    let io = SocketIo::new();
    fenced(&io, "/");
    io.on_connect(async |socket: Socket| {
        socket.once("go", async |socket: Socket| socket.emit("heard", &()));
    });
    let mut client = Client::join(serve(&io).await).await;
    client.say(r#"42["go"]"#).await;
    client.say(r#"42["go"]"#).await;
    client.expect(r#"42["heard"]"#).await;
    client.expect_nothing().await;
}

#[tokio::test]
async fn listeners_are_removed_by_event_or_one_by_one() {
    let io = SocketIo::new();
    fenced(&io, "/");
    let (tell, mut told) = journal();
    io.on_connect(move |socket: Socket| {
        let one = socket.on("a", async |socket: Socket| socket.emit("one", &()));
        socket.on("a", async |socket: Socket| socket.emit("two", &()));
        socket.on("b", async |socket: Socket| socket.emit("three", &()));
        let _ = tell.send((socket.remove_listener(one), socket.remove_listener(one)));
        socket.off("b");
        ready(())
    });
    let mut client = Client::join(serve(&io).await).await;
    client.say(r#"42["b"]"#).await;
    client.say(r#"42["a"]"#).await;
    client.expect(r#"42["two"]"#).await;
    client.expect_nothing().await;
    assert_eq!(told.next().await, (true, false));
}

#[tokio::test]
async fn listeners_for_any_event_hear_it_first_with_its_name() {
    let io = SocketIo::new();
    io.on_connect(async |socket: Socket| {
        socket.on("say", async |socket: Socket| socket.emit("own", &()));
        socket.on_any(async |socket: Socket, Event(name): Event, args: Args| socket.emit("any", &(&*name, args.len())));
        socket.prepend_any(async |socket: Socket| socket.emit("first", &()));
        socket.on("quiet", async |socket: Socket| socket.off_any());
    });
    let mut client = Client::join(serve(&io).await).await;
    client.say(r#"42["say",1,2]"#).await;
    for heard in [r#"42["first"]"#, r#"42["any","say",2]"#, r#"42["own"]"#] {
        client.expect(heard).await;
    }
    client.say(r#"42["quiet"]"#).await;
    client.expect(r#"42["first"]"#).await;
    client.expect(r#"42["any","quiet",0]"#).await;
    client.say(r#"42["say"]"#).await;
    client.expect(r#"42["own"]"#).await;
}

#[tokio::test]
async fn onlookers_see_what_is_sent_broadcasts_and_bytes_included() {
    let io = SocketIo::new();
    let (tell, mut told) = journal();
    io.on_connect(move |socket: Socket| {
        for (who, is_first) in [("second", false), ("first", true)] {
            let tell = tell.clone();
            let see =
                move |name: &str, args: &Args| drop(tell.send(format!("{who} {name} {:?}", args.get::<Value>(0))));
            if is_first {
                socket.prepend_any_outgoing(see)
            } else {
                socket.on_any_outgoing(see)
            };
        }
        socket.on("stop", async |socket: Socket| {
            socket.off_any_outgoing();
            socket.emit("unseen", &())
        });
        ready(())
    });
    let mut client = Client::join(serve(&io).await).await;
    let socket = io.of("/").socket(&client.id).expect("it is there");
    socket.emit("alone", &1).unwrap();
    io.emit("all", &2).unwrap();
    io.to(client.id.as_str()).emit("bytes", &Bytes::from_static(&[3])).unwrap();
    io.except(client.id.as_str()).emit("others", &4).unwrap();
    for heard in [r#"42["alone",1]"#, r#"42["all",2]"#, r#"451-["bytes",{"_placeholder":true,"num":0}]"#] {
        client.expect(heard).await;
    }
    client.expect_bytes(&[3]).await;
    let seen = told.so_far();
    let names: Vec<_> = seen.iter().map(|seen| seen.split(' ').take(2).collect::<Vec<_>>().join(" ")).collect();
    assert_eq!(names, ["first alone", "second alone", "first all", "second all", "first bytes", "second bytes"]);
    assert!(seen[4].contains("Binary"), "{seen:?}");
    client.say(r#"42["stop"]"#).await;
    client.expect(r#"42["unseen"]"#).await;
    assert!(told.so_far().is_empty());
}

#[tokio::test]
async fn the_end_of_a_socket_is_heard_by_the_names_that_it_has_in_node() {
    let io = SocketIo::new();
    let (tell, mut told) = journal();
    io.on_connect(move |socket: Socket| {
        for (event, word) in [("disconnect", "out"), ("disconnecting", "leaving")] {
            let tell = tell.clone();
            socket.on(event, move |socket: Socket, Data(why): Data<String>, reason: DisconnectReason| {
                assert_eq!(why, reason.as_str());
                ready(tell.send(format!("{word} {why} {}", socket.rooms().len())))
            });
        }
        socket.once("disconnect", async |socket: Socket| socket.emit("it was removed", &()));
        assert_eq!((socket.listener_count("disconnect"), socket.listener_count("disconnecting")), (2, 1));
        socket.off("disconnect");
        let tell = tell.clone();
        TypedEvent::<String>::new("disconnect").once(&socket, move |_, why| {
            let _ = tell.send(why);
            ready(())
        });
        ready(())
    });
    let mut client = Client::join(serve(&io).await).await;
    client.say("41").await;
    let why = "client namespace disconnect";
    assert_eq!([told.next().await, told.next().await], [format!("leaving {why} 1"), why.to_owned()]);
}

#[tokio::test]
async fn a_handler_that_nobody_could_ever_call_is_refused_when_it_is_added() {
    let io = SocketIo::new();
    let client = Client::join(serve(&io).await).await;
    let socket = io.of("/").socket(&client.id).expect("it is in");
    for name in ["connect", "connect_error", "newListener", "removeListener"] {
        let (on, once) = (|| socket.on(name, async || ()), || socket.once(name, async || ()));
        for panicked in [catch_unwind(AssertUnwindSafe(on)), catch_unwind(AssertUnwindSafe(once))] {
            let panicked = panicked.expect_err(name);
            let words = panicked.downcast_ref::<String>().expect("a sentence");
            assert!(words.contains(name) && words.contains("reserved"), "{words}");
        }
        assert_eq!(socket.listener_count(name), 0);
    }
    assert!(socket.connected());
}

#[tokio::test]
async fn who_listens_to_events_called_error_is_told_of_failures_too() {
    let io = SocketIo::new();
    io.on_connect(async |socket: Socket| {
        socket.on("fail", async || Err::<(), _>("no"));
        socket.on("error", async |socket: Socket, Data(why): Data<String>| socket.emit("why", &why));
        socket.on_error(async |socket: Socket, Data(why): Data<String>| socket.emit("failed", &why));
    });
    let mut client = Client::join(serve(&io).await).await;
    client.say(r#"42["fail"]"#).await;
    client.expect(r#"42["why","no"]"#).await;
    client.expect(r#"42["failed","no"]"#).await;
    client.say(r#"42["error","mine"]"#).await;
    client.expect(r#"42["why","mine"]"#).await;
    // What it cannot read is a failure as well, told once.
    client.say(r#"42["error",1]"#).await;
    for word in ["why", "failed"] {
        let heard = client.text().await;
        assert!(heard.starts_with(&format!(r#"42["{word}","the client's arguments"#)), "{heard}");
    }
    client.say(r#"42["fail"]"#).await;
    client.expect(r#"42["why","no"]"#).await;
}

#[tokio::test]
async fn what_is_listened_to_can_be_counted_named_and_removed_at_once() {
    let io = SocketIo::new();
    fenced(&io, "/");
    let client = &mut Client::join(serve(&io).await).await;
    let socket = io.of("/").socket(&client.id).expect("it is in");
    let counts = |socket: &Socket| (socket.any_listener_count(), socket.any_outgoing_listener_count());
    assert_eq!((counts(&socket), socket.event_names()), ((0, 0), vec!["fence".into()]));
    for _ in 0..2 {
        socket.on("say", async |socket: Socket| socket.emit("said", &()));
        socket.on_any_outgoing(|_, _| ());
    }
    socket.on_any(async |socket: Socket| socket.emit("any", &()));
    socket.on_disconnecting(async || ());
    socket.on("disconnect", async || ());
    socket.on_error(async || ());
    socket.on_upgrade(async || ());
    let names: Vec<_> = socket.event_names().iter().map(ToString::to_string).collect();
    assert_eq!(names, ["fence", "say", "disconnecting", "disconnect", "error"]);
    assert_eq!((counts(&socket), socket.listener_count("say")), ((1, 2), 2));
    socket.remove_all_listeners();
    assert_eq!((counts(&socket), socket.event_names()), ((1, 2), Vec::new()));
    // Those for every event are still there.
    client.say(r#"42["say"]"#).await;
    client.expect(r#"42["any"]"#).await;
    socket.off_any();
    socket.off_any_outgoing();
    assert_eq!(counts(&socket), (0, 0));
    socket.on("fence", async |ack: Ack| ack.send(&()));
    client.say(r#"42["say"]"#).await;
    client.expect_nothing().await;
}

#[tokio::test]
async fn the_upgrade_is_told_when_it_is_done_and_only_where_there_is_one() {
    let io = SocketIo::new();
    fenced(&io, "/");
    for name in ["/", "/a"] {
        io.of(name).on_connect(async |socket: Socket| {
            socket.on_upgrade(async |socket: Socket, Data(to): Data<String>| {
                socket.emit("upgraded", &(to, socket.transport() == Transport::WebSocket))
            });
        });
    }
    let address = serve(&io).await;
    let poller = Poller::join(address).await;
    poller.say("40/a,").await;
    assert!(poller.poll().await.starts_with("40/a,{"));
    let mut client = poller.upgrade().await;
    client.expect(r#"42["upgraded","websocket",true]"#).await;
    client.expect(r#"42/a,["upgraded","websocket",true]"#).await;
    client.expect_nothing().await;
    Client::join(address).await.expect_nothing().await;
}

// Middlewares of a socket.

#[tokio::test]
async fn middlewares_are_asked_about_each_event_in_order() {
    let io = SocketIo::new();
    io.on_connect(async |socket: Socket| {
        for number in 1..=2 {
            socket.use_(move |socket: Socket, Event(name): Event| {
                let _ = socket.emit("asked", &(number, &*name));
                ready(Ok(()))
            });
        }
        socket.on("join", async |socket: Socket, Data(room): Data<String>| socket.emit("joined", &room));
    });
    let mut client = Client::join(serve(&io).await).await;
    client.say(r#"42["join","woot"]"#).await;
    client.expect(r#"42["asked",1,"join"]"#).await;
    client.expect(r#"42["asked",2,"join"]"#).await;
    client.expect(r#"42["joined","woot"]"#).await;
}

#[tokio::test]
async fn an_event_that_is_refused_is_told_as_an_error_and_to_nobody_else() {
    let io = SocketIo::new();
    fenced(&io, "/");
    io.on_connect(async |socket: Socket| {
        socket.use_(
            async |Event(name): Event| if &*name == "secret" { Err(Refusal::new("not for you")) } else { Ok(()) },
        );
        socket.use_(async |socket: Socket, Event(name): Event| {
            if &*name == "secret" {
                let _ = socket.emit("asked in vain", &());
            }
            Ok(())
        });
        socket.on("secret", async |socket: Socket| socket.emit("heard", &()));
        socket.on_error(async |socket: Socket, Data(why): Data<String>| socket.emit("why", &why));
    });
    let mut client = Client::join(serve(&io).await).await;
    client.say(r#"42["secret"]"#).await;
    client.expect(r#"42["why","not for you"]"#).await;
    client.expect_nothing().await;
}
