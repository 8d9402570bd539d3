//! What a socket listens to: many listeners for one event, once, all events that come or go, middlewares before them.

use std::future::ready;

use bytes::Bytes;
use switchboard_io::{Args, Data, Event, Refusal, Socket, SocketIo, Value};

use crate::client::{Client, fenced, journal, serve};

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
