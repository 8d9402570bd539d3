//! Rooms of Socket.IO clients, and of plain WebSockets with them.

use serde_json::json;
use tokio_tungstenite::tungstenite::Message;

use crate::server::{Server, hear, leave, next, say};
use crate::socketio::Io;

#[tokio::test]
async fn an_event_goes_to_the_others_in_the_rooms_of_its_sender() {
    let server = Server::start(&[]).await;
    let mut ann = Io::connect(&server).await;
    assert_eq!(ann.ask(&json!(["say", "alone"])).await, json!(0), "in no room nobody hears");
    assert_eq!(ann.ask(&json!(["join", "a"])).await, json!(1));
    assert_eq!(ann.ask(&json!(["join", "b"])).await, json!(1));
    let mut bob = Io::connect(&server).await;
    assert_eq!(bob.ask(&json!(["join", ["a", "b"]])).await, json!([2, 2]));
    let mut cay = Io::join(&server, "b").await;
    let mut dan = Io::join(&server, "elsewhere").await;
    // Bob is in two of Ann's rooms, and hears it once.
    assert_eq!(ann.ask(&json!(["say", {"text": "hi", "n": 1.50}, null])).await, json!(2));
    ann.emit(&json!(["again"])).await;
    for client in [&mut bob, &mut cay] {
        assert_eq!(client.hear().await, json!(["say", {"text": "hi", "n": 1.50}, null]));
        assert_eq!(client.hear().await, json!(["again"]));
    }
    assert_eq!(cay.ask(&json!(["leave", "b"])).await, json!(2));
    assert_eq!(ann.ask(&json!(["say", "bye"])).await, json!(1));
    // Had anything come to those who are not there, it would come first.
    assert_eq!(cay.ask(&json!(["join", "elsewhere"])).await, json!(2));
    assert_eq!(cay.ask(&json!(["only", "here"])).await, json!(1));
    assert_eq!(dan.hear().await, json!(["only", "here"]));
}

#[tokio::test]
async fn what_names_no_room_is_refused_in_words() {
    let server = Server::start(&[]).await;
    let mut ann = Io::connect(&server).await;
    for wrong in [json!(["join"]), json!(["join", 1]), json!(["leave", [""]]), json!(["join", "x".repeat(257)])] {
        let answer = ann.ask(&wrong).await;
        assert!(answer["error"].as_str().unwrap().starts_with("give the name of a room"), "{answer}");
    }
    assert_eq!(ann.ask(&json!(["join", "x".repeat(256)])).await, json!(1));
}

#[tokio::test]
async fn namespaces_below_rooms_have_rooms_of_their_own() {
    let server = Server::start(&[]).await;
    let mut main = Io::join(&server, "a").await;
    let mut ann = Io::connect_to(&server, "/rooms/x,").await;
    let mut bob = Io::connect_to(&server, "/rooms/x,").await;
    assert_eq!(ann.ask(&json!(["join", "a"])).await, json!(1));
    assert_eq!(bob.ask(&json!(["join", "a"])).await, json!(2));
    assert_eq!(bob.ask(&json!(["say", "hi"])).await, json!(1));
    assert_eq!(ann.hear().await, json!(["say", "hi"]));
    let mut other = Io::join(&server, "a").await;
    other.emit(&json!(["first"])).await;
    assert_eq!(main.hear().await, json!(["first"]), "nothing came from the other namespace");

    let mut lost = server.connect("/socket.io/?EIO=4&transport=websocket").await;
    hear(&mut lost).await;
    say(&mut lost, "40/elsewhere,").await;
    assert_eq!(hear(&mut lost).await, "44/elsewhere,{\"message\":\"Invalid namespace\"}");
}

#[tokio::test]
async fn a_plain_websocket_and_a_socket_hear_each_other() {
    for driver in ["auto", "task"] {
        let server = Server::start(&["--driver", driver]).await;
        let mut plain = server.join("/rooms/lobby").await;
        let mut other = server.join("/rooms/lobby").await;
        let mut io = Io::connect(&server).await;
        assert_eq!(io.ask(&json!(["join", "lobby"])).await, json!(3), "all are counted");
        let count = server.get("/rooms/lobby").await.body;
        assert_eq!(serde_json::from_str::<serde_json::Value>(&count).unwrap()["members"], 3);

        say(&mut plain, "say \"hi\"").await;
        assert_eq!(io.hear().await, json!(["message", "say \"hi\""]));
        assert_eq!(hear(&mut other).await, "say \"hi\"");
        say(&mut plain, vec![1, 2, 3]).await;
        let text = "451-[\"message\",{\"_placeholder\":true,\"num\":0}]".to_owned();
        assert_eq!(io.hear_binary().await, (text.clone(), vec![1, 2, 3]));
        assert_eq!(next(&mut other).await, Message::binary(vec![1, 2, 3]));

        assert_eq!(io.ask(&json!(["message", "hello"])).await, json!(2));
        io.emit(&json!(["message", "two", "things"])).await;
        io.emit(&json!(["drawn", {"x": 1}])).await;
        say(&mut io.client, text).await;
        say(&mut io.client, vec![4, 5]).await;
        say(&mut io.client, "451-[\"file\",\"a\",{\"_placeholder\":true,\"num\":0}]").await;
        say(&mut io.client, vec![4, 5, 6]).await;
        for client in [&mut plain, &mut other] {
            assert_eq!(hear(client).await, "hello");
            assert_eq!(hear(client).await, "[\"message\",\"two\",\"things\"]");
            assert_eq!(hear(client).await, "[\"drawn\",{\"x\":1}]");
            assert_eq!(next(client).await, Message::binary(vec![4, 5]));
            assert_eq!(hear(client).await, "[\"file\",\"a\",\"BAUG\"]");
        }
        leave(plain).await;
        drop(io);
        server.eventually("/rooms/lobby", |response| response.body.contains("\"members\":1")).await;
    }
}

#[tokio::test]
async fn who_hears_itself_hears_what_it_said_once() {
    let server = Server::start(&[]).await;
    let mut plain = server.join("/rooms/lobby?self=1").await;
    let mut io = Io::join(&server, "lobby").await;
    for text in ["one", "two"] {
        say(&mut plain, text).await;
        assert_eq!(hear(&mut plain).await, text);
        assert_eq!(io.hear().await, json!(["message", text]));
    }
}

#[tokio::test]
async fn with_msgpack_plain_websockets_hear_the_same() {
    let server = Server::start(&["--socketio-parser", "msgpack"]).await;
    let mut plain = server.join("/rooms/lobby").await;
    let mut client = server.connect("/socket.io/?EIO=4&transport=websocket").await;
    hear(&mut client).await;
    // {type: 0, data: null, nsp: "/"}, then {type: 2, data: ["join", "lobby"], id: 1, nsp: "/"}.
    say(&mut client, b"\x83\xa4type\x00\xa4data\xc0\xa3nsp\xa1/".to_vec()).await;
    next(&mut client).await;
    say(&mut client, b"\x84\xa4type\x02\xa4data\x92\xa4join\xa5lobby\xa2id\x01\xa3nsp\xa1/".to_vec()).await;
    next(&mut client).await;
    say(&mut client, b"\x83\xa4type\x02\xa4data\x92\xa7message\xa2hi\xa3nsp\xa1/".to_vec()).await;
    assert_eq!(hear(&mut plain).await, "hi");
    say(&mut client, b"\x83\xa4type\x02\xa4data\x93\xa1a\x01\xc4\x01\x04\xa3nsp\xa1/".to_vec()).await;
    assert_eq!(hear(&mut plain).await, "[\"a\",1,\"BA==\"]");
    say(&mut plain, "back").await;
    let Message::Binary(heard) = next(&mut client).await else { panic!("no packet") };
    assert!(heard.windows(5).any(|piece| piece == b"\xa4back"), "{heard:?}");
}

#[tokio::test]
async fn what_was_missed_from_plain_websockets_is_recovered() {
    let server = Server::start(&["--socketio-recovery", "2m"]).await;
    let mut plain = server.join("/rooms/lobby").await;
    let mut client = server.connect("/socket.io/?EIO=4&transport=websocket").await;
    hear(&mut client).await;
    say(&mut client, "40").await;
    let welcome: serde_json::Value = serde_json::from_str(&hear(&mut client).await[2..]).unwrap();
    say(&mut client, "421[\"join\",\"lobby\"]").await;
    assert_eq!(hear(&mut client).await, "431[2]");
    say(&mut plain, "one").await;
    let first: serde_json::Value = serde_json::from_str(&hear(&mut client).await[2..]).unwrap();
    assert_eq!(first[1], "one");
    drop(client);
    server.eventually("/rooms/lobby", |response| response.body.contains("\"members\":1")).await;
    say(&mut plain, "two").await;
    // What the server has read is answered in order.
    say(&mut plain, Message::Ping("read".into())).await;
    assert_eq!(next(&mut plain).await, Message::Pong("read".into()));
    let mut client = server.connect("/socket.io/?EIO=4&transport=websocket").await;
    hear(&mut client).await;
    say(&mut client, format!("40{}", json!({"pid": welcome["pid"], "offset": first[2]}))).await;
    let second: serde_json::Value = serde_json::from_str(&hear(&mut client).await[2..]).unwrap();
    assert_eq!(second[1], "two");
    let again: serde_json::Value = serde_json::from_str(&hear(&mut client).await[2..]).unwrap();
    assert_eq!(again["sid"], welcome["sid"]);
    server.counts(&[("socketio_recoveries_total{outcome=\"recovered\"}", 1)]).await;
}

#[tokio::test]
async fn names_are_flags() {
    let flags = ["--socketio-namespaces", "/x-", "--socketio-join-event", "enter", "--socketio-leave-event", "exit"];
    let server = Server::start(&flags).await;
    let mut ann = Io::connect_to(&server, "/x-1,").await;
    let mut bob = Io::connect_to(&server, "/x-1,").await;
    assert_eq!(ann.ask(&json!(["enter", "a"])).await, json!(1));
    assert_eq!(bob.ask(&json!(["enter", "a"])).await, json!(2));
    // An event like any other.
    assert_eq!(bob.ask(&json!(["join", "b"])).await, json!(1));
    assert_eq!(ann.hear().await, json!(["join", "b"]));
    assert_eq!(bob.ask(&json!(["exit", "a"])).await, json!(1));
}

#[tokio::test]
async fn what_limits_of_socketio_do_is_counted() {
    let flags = ["--socketio-max-namespaces", "1", "--socketio-max-child-namespaces", "1"];
    let server = Server::start(&flags).await;
    let _ann = Io::connect_to(&server, "/rooms/a,").await;
    let mut bob = server.connect("/socket.io/?EIO=4&transport=websocket").await;
    next(&mut bob).await;
    say(&mut bob, Message::text("40/rooms/b,")).await;
    assert_eq!(next(&mut bob).await.to_text().unwrap(), r#"44/rooms/b,{"message":"Invalid namespace"}"#);
    say(&mut bob, Message::text("40")).await;
    assert!(next(&mut bob).await.to_text().unwrap().starts_with("40{"));
    say(&mut bob, Message::text("40/rooms/a,")).await;
    let hits = |limit: &str| format!("socketio_limits_hit_total{{limit=\"{limit}\"}}");
    let expected = [
        (hits("too_many_child_namespaces"), 1),
        (hits("too_many_namespaces"), 1),
        (hits("attachments_timeout"), 0),
        ("socketio_sessions_closed_total{reason=\"forced_close\"}".to_owned(), 1),
    ];
    server.counts(&expected.each_ref().map(|(name, count)| (name.as_str(), *count))).await;
}

#[tokio::test]
async fn a_plain_websocket_reaches_a_socket_by_its_id() {
    let server = Server::start(&[]).await;
    let mut ann = Io::connect(&server).await;
    let room = format!("/rooms/{}", ann.id);
    let members = async |members: u64| {
        server.eventually(&room, |response| response.body.contains(&format!("\"members\":{members}"))).await;
    };
    members(1).await;
    let mut plain = server.join(&room).await;
    let mut other = server.join(&room).await;
    members(3).await;
    say(&mut plain, "psst").await;
    assert_eq!(ann.hear().await, json!(["message", "psst"]));
    assert_eq!(ann.ask(&json!(["leave", ann.id])).await, json!(2));
    say(&mut plain, "lost").await;
    for text in ["psst", "lost"] {
        assert_eq!(hear(&mut other).await, text);
    }
    assert_eq!(ann.ask(&json!(["join", ann.id])).await, json!(3));
    say(&mut plain, "back").await;
    assert_eq!(ann.hear().await, json!(["message", "back"]));
}

#[tokio::test]
async fn an_event_that_is_called_by_a_number_is_relayed_as_one() {
    let server = Server::start(&[]).await;
    let mut ann = Io::join(&server, "lobby").await;
    let mut bob = Io::join(&server, "lobby").await;
    ann.emit(&json!([1, "x"])).await;
    assert_eq!(bob.hear().await, json!([1, "x"]));
}

#[tokio::test]
async fn rooms_are_joined_all_or_none() {
    let server = Server::start(&[]).await;
    let mut ann = Io::connect(&server).await;
    let many: Vec<String> = (0..1024).map(|number| number.to_string()).collect();
    assert_eq!(ann.ask(&json!(["join", "one more"])).await, json!(1));
    let answer = ann.ask(&json!(["join", many])).await;
    assert_eq!(answer["error"], "a client may be in 1024 rooms at most");
    assert_eq!(ann.ask(&json!(["leave", "one more"])).await, json!(0));
    assert_eq!(ann.ask(&json!(["join", many])).await, json!(vec![1; 1024]));
}
