//! Events for many: namespaces, rooms, exceptions, and the answers of many.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::time::Duration;

use bytes::Bytes;
use futures_util::StreamExt as _;
use switchboard_io::{
    Ack, Args, Broadcast, Data, DisconnectReason, EmitError, Event, Name, RecoverySettings, Socket, SocketIo,
    Unanswered, Value,
};
use switchboard_ws::OutboxLimits;

use crate::client::{Client, fenced, journal, serve};

/// A server whose clients join and leave rooms, and have others told.
async fn rooms() -> (SocketIo, SocketAddr) {
    let io = SocketIo::new();
    fenced(&io, "/");
    io.on_connect(async |socket: Socket| {
        socket.on("join", async |socket: Socket, Data(rooms): Data<Vec<String>>, ack: Ack| {
            let joined = socket.join(rooms);
            ack.send(&joined.is_ok())
        });
        socket.on("leave", async |socket: Socket, Data(room): Data<String>, ack: Ack| {
            socket.leave(room);
            ack.send(&true)
        });
        socket.on("tell", async |socket: Socket, Data((rooms, except)): Data<(Vec<String>, Vec<String>)>| {
            socket.to(rooms).except(except).emit("told", &()).map(drop)
        });
        socket.on("tell bytes", async |socket: Socket, Data(bytes): Data<Bytes>| {
            socket.broadcast().emit("bytes", &bytes).map(drop)
        });
    });
    let address = serve(&io).await;
    (io, address)
}

/// A client in rooms.
async fn member(address: SocketAddr, rooms: &str) -> Client {
    let mut client = Client::join(address).await;
    client.say(&format!(r#"421["join",{rooms}]"#)).await;
    client.expect("431[true]").await;
    client
}

#[tokio::test]
async fn everyone_in_a_namespace_is_told_and_nobody_else() {
    let (io, address) = rooms().await;
    fenced(&io, "/other");
    let (mut one, mut two) = (Client::join(address).await, Client::join(address).await);
    let mut other = Client::open(address).await;
    other.enter("/other").await;
    assert_eq!(io.emit("news", &(1, "x")).unwrap().reached, 2);
    io.emit("bytes", &Bytes::from_static(&[1])).unwrap();
    io.of("/").send("as a message").unwrap();
    for client in [&mut one, &mut two] {
        client.expect(r#"42["news",1,"x"]"#).await;
        client.expect(r#"451-["bytes",{"_placeholder":true,"num":0}]"#).await;
        client.expect_bytes(&[1]).await;
        client.expect(r#"42["message","as a message"]"#).await;
    }
    other.expect_nothing_in("/other").await;
}

#[tokio::test]
async fn the_others_are_told_and_not_oneself() {
    let (_, address) = rooms().await;
    let (mut one, mut two) = (Client::join(address).await, Client::join(address).await);
    one.say(r#"451-["tell bytes",{"_placeholder":true,"num":0}]"#).await;
    one.say_bytes(&[2]).await;
    two.expect(r#"451-["bytes",{"_placeholder":true,"num":0}]"#).await;
    two.expect_bytes(&[2]).await;
    one.expect_nothing().await;
}

#[tokio::test]
async fn a_room_is_told_and_who_is_in_two_of_them_once() {
    let (io, address) = rooms().await;
    let mut both = member(address, r#"["a","b"]"#).await;
    let mut one = member(address, r#"["b"]"#).await;
    let mut none = Client::join(address).await;
    assert_eq!(io.to(["a", "b"]).emit("told", &()).unwrap().reached, 2);
    assert_eq!(io.to("a").to("b").to(both.id.as_str()).emit("told", &()).unwrap().reached, 2);
    for client in [&mut both, &mut one] {
        client.expect(r#"42["told"]"#).await;
        client.expect(r#"42["told"]"#).await;
        client.expect_nothing().await;
    }
    none.expect_nothing().await;
    assert_eq!(io.to("nobody is here").emit("told", &()).unwrap().reached, 0);
}

#[tokio::test]
async fn a_member_tells_its_room_but_not_itself() {
    let (_, address) = rooms().await;
    let mut speaker = member(address, r#"["a"]"#).await;
    let mut member_of_a = member(address, r#"["a"]"#).await;
    let mut other = member(address, r#"["b"]"#).await;
    speaker.say(r#"42["tell",["a"],[]]"#).await;
    member_of_a.expect(r#"42["told"]"#).await;
    speaker.expect_nothing().await;
    other.expect_nothing().await;
    // Who is not in a room may speak to it all the same.
    other.say(r#"42["tell",["a"],[]]"#).await;
    speaker.expect(r#"42["told"]"#).await;
    member_of_a.expect(r#"42["told"]"#).await;
}

#[tokio::test]
async fn rooms_and_single_sockets_can_be_left_out() {
    let (io, address) = rooms().await;
    let mut one = Client::join(address).await;
    let mut two = member(address, r#"["quiet"]"#).await;
    let mut speaker = Client::join(address).await;
    speaker.say(r#"42["tell",[],["quiet"]]"#).await;
    one.expect(r#"42["told"]"#).await;
    speaker.say(&format!(r#"42["tell",[],["{}"]]"#, one.id)).await;
    two.expect(r#"42["told"]"#).await;
    io.except([speaker.id.as_str(), "quiet"]).emit("told", &()).unwrap();
    one.expect(r#"42["told"]"#).await;
    for client in [&mut one, &mut two, &mut speaker] {
        client.expect_nothing().await;
    }
}

#[tokio::test]
async fn a_socket_is_a_room_by_its_id() {
    let (io, address) = rooms().await;
    let (mut one, mut two) = (Client::join(address).await, Client::join(address).await);
    assert_eq!(io.to(one.id.as_str()).emit("told", &()).unwrap().reached, 1);
    one.expect(r#"42["told"]"#).await;
    two.say(&format!(r#"42["tell",["{}"],[]]"#, one.id)).await;
    one.expect(r#"42["told"]"#).await;
    // Another may join the room that bears its id, and hears what is said to it.
    let id = one.id.clone();
    two.say(&format!(r#"421["join",["{id}"]]"#)).await;
    two.expect("431[true]").await;
    assert_eq!(io.to(id.as_str()).emit("told", &()).unwrap().reached, 2);
    one.expect(r#"42["told"]"#).await;
    two.expect(r#"42["told"]"#).await;
}

#[tokio::test]
async fn rooms_are_kept_track_of() {
    let (io, address) = rooms().await;
    let mut client = member(address, r#"["a","b","c"]"#).await;
    let socket = io.of("/").socket(&client.id).unwrap();
    let in_rooms = || socket.rooms().iter().map(ToString::to_string).collect::<BTreeSet<_>>();
    let expected = |rooms: &[&str]| rooms.iter().map(ToString::to_string).collect::<BTreeSet<_>>();
    assert_eq!(in_rooms(), expected(&[&client.id, "a", "b", "c"]));
    assert_eq!(&*socket.rooms()[0], client.id);
    client.say(r#"422["leave","b"]"#).await;
    client.expect("432[true]").await;
    client.say(r#"423["leave","unknown"]"#).await;
    client.expect("433[true]").await;
    assert_eq!(in_rooms(), expected(&[&client.id, "a", "c"]));
    assert_eq!((io.of("/").count_in("a"), io.of("/").count_in("b")), (1, 0));
    socket.disconnect();
    assert_eq!((in_rooms(), io.of("/").count_in("a")), (BTreeSet::new(), 0));
    client.expect("41").await;
}

#[tokio::test]
async fn one_who_has_left_a_room_is_not_told() {
    let (io, address) = rooms().await;
    let mut client = member(address, r#"["a"]"#).await;
    client.say(r#"422["leave","a"]"#).await;
    client.expect("432[true]").await;
    assert_eq!(io.to("a").emit("told", &()).unwrap().reached, 0);
    client.expect_nothing().await;
}

#[tokio::test]
async fn choosing_more_changes_nothing_for_whom_was_chosen_before() {
    let (io, address) = rooms().await;
    let mut a = member(address, r#"["a"]"#).await;
    let mut b = member(address, r#"["b"]"#).await;
    let chosen = io.to("a").local().compress(false);
    let _ = chosen.clone().to("b");
    let _ = chosen.clone().except("a");
    chosen.clone().volatile().to("b").emit("both", &()).unwrap();
    chosen.emit("a", &()).unwrap();
    a.expect(r#"42["both"]"#).await;
    a.expect(r#"42["a"]"#).await;
    b.expect(r#"42["both"]"#).await;
    b.expect_nothing().await;
}

// Those who do not keep up.

#[tokio::test]
async fn a_volatile_broadcast_passes_over_who_lags_and_nobody_else() {
    let io = SocketIo::builder()
        .outbox(OutboxLimits { messages: usize::MAX, bytes: usize::MAX, ..OutboxLimits::default() })
        .build();
    fenced(&io, "/");
    let address = serve(&io).await;
    let lagging = Client::join(address).await;
    let mut keeping_up = Client::join(address).await;
    let long = "x".repeat(100_000);
    // The system takes what it can for a client that does not read; then the server has to keep it. The others are
    // heard from each time, so that the server keeps up with this test.
    while io.hub().counters().dropped == 0 {
        io.to(lagging.id.as_str()).emit("long", &long).unwrap();
        io.all().volatile().emit("volatile", &()).unwrap();
        keeping_up.expect(r#"42["volatile"]"#).await;
    }
    keeping_up.expect_nothing().await;
    assert_eq!(io.hub().counters().overflowed, 0);
}

#[tokio::test]
async fn one_whose_queue_is_full_is_closed_and_the_others_are_told() {
    let io = SocketIo::builder().outbox(OutboxLimits { bytes: 200_000, ..OutboxLimits::default() }).build();
    let (tell, mut gone) = journal();
    io.on_connect(move |socket: Socket| {
        let tell = tell.clone();
        socket.on_disconnect(move |reason: DisconnectReason| {
            let _ = tell.send(reason);
            std::future::ready(())
        });
        let _ = socket.join("room");
        std::future::ready(())
    });
    let address = serve(&io).await;
    let lagging = Client::join(address).await;
    let mut keeping_up = Client::join(address).await;
    let long = "x".repeat(100_000);
    while io.hub().counters().overflowed == 0 {
        let _ = io.to(lagging.id.as_str()).emit("long", &long);
        io.to(keeping_up.id.as_str()).emit("news", &()).unwrap();
        keeping_up.expect(r#"42["news"]"#).await;
    }
    // At once: it may be long until the client has read that it is closed.
    assert_eq!(gone.next().await, DisconnectReason::TransportError);
    assert_eq!((io.of("/").count(), io.of("/").count_in("room")), (1, 1));
    assert_eq!((io.hub().counters().overflowed, io.engine().metrics().overflowed()), (1, 1));
    drop(lagging);
}

// Answers of many.

#[tokio::test]
async fn the_answers_of_all_are_collected() {
    let (io, address) = rooms().await;
    let mut clients = [Client::join(address).await, Client::join(address).await, Client::join(address).await];
    let answers = io.emit_with_ack::<u8>("how many", &()).unwrap();
    assert_eq!(answers.owing(), 3);
    for (client, number) in clients.iter_mut().zip(1..) {
        let asked = client.text().await;
        let id = asked.strip_prefix("42").and_then(|rest| rest.split_once('[')).expect("an event").0;
        client.say(&format!("43{id}[{number}]")).await;
        // Only its first answer counts.
        client.say(&format!("43{id}[100]")).await;
    }
    let mut all = answers.all().await.unwrap();
    all.sort();
    assert_eq!(all, [1, 2, 3]);
}

#[tokio::test]
async fn answers_can_be_read_as_they_come() {
    let (io, address) = rooms().await;
    let mut clients = [Client::join(address).await, Client::join(address).await];
    let mut answers = io.all().emit_with_ack::<Value>("ask", &()).unwrap();
    for (client, kind) in clients.iter_mut().zip(["text", "bytes"]) {
        assert!(client.text().await.ends_with(r#"["ask"]"#));
        if kind == "text" {
            client.say(r#"430["yes"]"#).await;
        } else {
            client.say(r#"461-0[{"_placeholder":true,"num":0}]"#).await;
            client.say_bytes(&[1]).await;
        }
        let (from, answer) = answers.next().await.expect("an answer");
        assert_eq!(from.as_deref(), Some(client.id.as_str()));
        assert_eq!(matches!(answer, Ok(Value::Binary(_))), kind == "bytes");
    }
    assert!(answers.next().await.is_none());
}

#[tokio::test]
async fn answers_that_do_not_come_in_time_are_missing_and_others_are_there() {
    let (io, address) = rooms().await;
    let mut clients = [Client::join(address).await, Client::join(address).await, Client::join(address).await];
    let answers = io.all().timeout(Duration::from_secs(5)).emit_with_ack::<u8>("ask", &()).unwrap();
    clients[0].expect(r#"420["ask"]"#).await;
    clients[0].say("430[1]").await;
    clients[1].expect(r#"420["ask"]"#).await;
    clients[1].say(r#"430["a word"]"#).await;
    let Err(unanswered) = answers.all().await else { panic!("one has not answered") };
    assert_eq!(
        unanswered.to_string(),
        "of 3 sockets 1 did not answer in time, and 1 answered something else than was asked for"
    );
    let Unanswered { answers, missing, missing_ids, wrong, .. } = unanswered;
    assert_eq!((answers, missing, missing_ids), (vec![1], 1, vec![Name::from(clients[2].id.as_str())]));
    assert_eq!(wrong[0].0.as_deref(), Some(clients[1].id.as_str()));
}

#[tokio::test]
async fn nobody_owes_an_answer_where_nobody_is() {
    let (io, _) = rooms().await;
    assert_eq!(io.to("empty").emit_with_ack::<u8>("ask", &()).unwrap().all().await, Ok(Vec::new()));
    assert!(matches!(io.emit_with_ack::<u8>("connect", &()), Err(EmitError::Encode(_))));
}

#[tokio::test]
async fn a_room_answers_without_who_asked() {
    let io = SocketIo::new();
    io.on_connect(async |socket: Socket| {
        socket.on("ask", async |socket: Socket| {
            let all = socket.broadcast().emit_with_ack::<String>("name", &())?.all().await;
            socket.emit("names", &all.unwrap_or_default())
        });
    });
    let address = serve(&io).await;
    let (mut one, mut two) = (Client::join(address).await, Client::join(address).await);
    one.say(r#"42["ask"]"#).await;
    two.expect(r#"420["name"]"#).await;
    two.say(r#"430["two"]"#).await;
    one.expect(r#"42["names",["two"]]"#).await;
}

#[tokio::test]
async fn an_event_that_is_called_by_a_number_is_sent_on_as_one() {
    for recovery in [None, Some(RecoverySettings::default())] {
        let builder = SocketIo::builder();
        let io = match recovery {
            Some(settings) => builder.connection_state_recovery(settings).build(),
            None => builder.build(),
        };
        io.on_connect(async |socket: Socket| {
            socket.on_any(async |socket: Socket, Event(name): Event, args: Args| {
                socket.relay(&name, &args)?;
                socket.broadcast().relay(&name, &args)
            });
            socket.on("1", async |socket: Socket| socket.emit("heard", &"by its digits"));
        });
        let address = serve(&io).await;
        let (mut one, mut two) = (Client::join(address).await, Client::join(address).await);
        let offset = |text: &str| {
            if recovery.is_some() { text.split(",\"x\"").next().unwrap().to_owned() } else { text.to_owned() }
        };
        for (said, heard) in [
            ("-1", "-1"),
            ("1.5e3", "1500"),
            ("0.25", "0.25"),
            ("18446744073709551615", "18446744073709551615"),
            ("1e300", "1e+300"),
            (r#""7""#, r#""7""#),
            ("1", "1"),
        ] {
            one.say(&format!(r#"42[{said},"x"]"#)).await;
            let expected = offset(&format!(r#"42[{heard},"x"]"#));
            assert_eq!([offset(&one.text().await), offset(&two.text().await)], [expected.clone(), expected]);
        }
        assert!(one.text().await.starts_with(r#"42["heard","by its digits""#));
    }
}

// The room that bears a socket's id.

#[tokio::test]
async fn a_socket_is_in_the_room_of_its_id_until_it_leaves() {
    let io = SocketIo::new();
    fenced(&io, "/");
    let address = serve(&io).await;
    let (mut one, mut two) = (Client::join(address).await, Client::join(address).await);
    let nsp = io.of("/");
    let [a, b] = [&one.id, &two.id].map(|id| nsp.socket(id).unwrap());
    let own = a.id().clone();
    let reached = |broadcast: Broadcast| broadcast.emit("e", &()).unwrap().reached;
    assert_eq!((a.rooms(), nsp.count_in(&own), reached(io.to(&own))), (vec![own.clone()], 1, 1));
    one.expect(r#"42["e"]"#).await;
    // Others may be in it as well, and all hear what is said there, once.
    b.join(&own).unwrap();
    assert_eq!((nsp.count_in(&own), nsp.to(&own).count(), reached(io.to(&own))), (2, 2, 2));
    assert_eq!(reached(io.to([&own, b.id()])), 2);
    for client in [&mut one, &mut two] {
        client.expect(r#"42["e"]"#).await;
        client.expect(r#"42["e"]"#).await;
    }
    a.leave(&own);
    assert_eq!((a.rooms(), nsp.count_in(&own)), (Vec::<Name>::new(), 1));
    assert_eq!((reached(io.to(&own)), reached(io.to([&own, "nobody"])), reached(io.except(&own))), (1, 1, 1));
    b.leave(&own);
    assert_eq!((reached(io.to(&own)), nsp.count_in(&own), nsp.to(&own).count()), (0, 0, 0));
    two.expect(r#"42["e"]"#).await;
    two.expect(r#"42["e"]"#).await;
    one.expect(r#"42["e"]"#).await;
    // By itself it is spoken to all the same, and with everyone.
    a.emit("self", &()).unwrap();
    io.emit("all", &()).unwrap();
    one.expect(r#"42["self"]"#).await;
    one.expect(r#"42["all"]"#).await;
    a.join(&own).unwrap();
    assert_eq!((a.rooms(), nsp.count_in(&own), reached(io.to(&own))), (vec![own.clone()], 1, 1));
    one.expect(r#"42["e"]"#).await;
    nsp.to(&own).sockets_leave(&own).await.unwrap();
    assert_eq!(reached(io.to(&own)), 0);
    one.expect_nothing().await;
    a.disconnect();
    assert_eq!((a.rooms(), nsp.count_in(&own)), (Vec::new(), 0));
}
