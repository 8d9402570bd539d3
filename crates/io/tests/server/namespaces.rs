//! Namespaces: named ones, and those that come into being when a client asks.

use std::collections::BTreeSet;
use std::future::ready;
use std::sync::Arc;
use std::time::Duration;

use switchboard_io::{
    Args, Auth, Broadcast, Delivery, DisconnectReason, EmitError, EncodeError, ParentNamespace, Refusal, Socket,
    SocketIo, TypedEvent, Unanswered,
};
use tokio::sync::Notify;

use crate::client::{Client, Poller, fenced, goodbyes, journal, serve};

#[tokio::test]
async fn a_name_means_the_same_with_and_without_its_slash() {
    let io = SocketIo::new();
    assert_eq!(io.of("").name(), "/");
    assert_eq!(io.of("chat"), io.of("/chat"));
    assert_ne!(io.of("chat"), io.of("/"));
    let mut names: Vec<_> = io.namespaces().iter().map(|namespace| namespace.name().to_owned()).collect();
    names.sort();
    assert_eq!(names, ["/", "/chat"]);
}

#[tokio::test]
async fn each_handler_is_called_for_each_client() {
    let io = SocketIo::new();
    for number in 1..=2 {
        io.on_connect(move |socket: Socket| ready(socket.emit("welcome", &number)));
    }
    let address = serve(&io).await;
    for _ in 0..2 {
        let mut client = Client::join(address).await;
        client.expect(r#"42["welcome",1]"#).await;
        client.expect(r#"42["welcome",2]"#).await;
    }
}

#[tokio::test]
async fn one_connection_carries_many_namespaces_that_do_not_mix() {
    let io = SocketIo::new();
    for name in ["/", "/a", "/b"] {
        io.of(name).on_connect(async |socket: Socket| {
            socket.on("where", async |socket: Socket| socket.emit("here", &socket.namespace()));
        });
    }
    let mut client = Client::join(serve(&io).await).await;
    let a = client.enter("/a").await;
    let b = client.enter("/b").await;
    assert_ne!(a, b);
    client.say(r#"42/b,["where"]"#).await;
    client.say(r#"42["where"]"#).await;
    client.say(r#"42/a,["where"]"#).await;
    for heard in [r#"42/b,["here","/b"]"#, r#"42["here","/"]"#, r#"42/a,["here","/a"]"#] {
        client.expect(heard).await;
    }
    client.say("41/a,").await;
    client.say(r#"42/b,["where"]"#).await;
    client.expect(r#"42/b,["here","/b"]"#).await;
    assert!(io.of("/a").socket(&a).is_none() && io.of("/b").socket(&b).is_some());
}

#[tokio::test]
async fn the_loss_of_a_connection_is_heard_in_all_of_them() {
    let io = SocketIo::new();
    let mut told = goodbyes(&io);
    let mut client = Client::join(serve(&io).await).await;
    client.enter("/a").await;
    drop(client);
    let lost = |name: &str| (name.to_owned(), DisconnectReason::TransportClose);
    assert_eq!([told.next().await, told.next().await], [lost("/"), lost("/a")]);
}

#[tokio::test]
async fn a_name_that_nobody_knows_is_refused() {
    let io = SocketIo::new();
    let mut client = Client::open(serve(&io).await).await;
    client.say("40/nowhere,").await;
    client.expect(r#"44/nowhere,{"message":"Invalid namespace"}"#).await;
    client.say("40/without-comma").await;
    client.expect(r#"44/without-comma,{"message":"Invalid namespace"}"#).await;
    client.enter("/").await;
}

#[tokio::test]
async fn what_a_client_says_for_itself_is_of_one_namespace() {
    let io = SocketIo::new();
    io.on_connect(async |socket: Socket, Auth(auth): Auth<switchboard_io::Value>| socket.emit("auth", &auth));
    io.of("/a").on_connect(async |socket: Socket| socket.emit("auth", &socket.auth::<switchboard_io::Value>().ok()));
    let mut client = Client::open(serve(&io).await).await;
    client.say(r#"40{"token":"x","n":1}"#).await;
    client.welcomed("/").await;
    client.expect(r#"42["auth",{"token":"x","n":1}]"#).await;
    client.enter("/a").await;
    client.expect(r#"42/a,["auth",null]"#).await;
}

#[tokio::test]
async fn a_client_that_joins_none_in_time_is_closed() {
    let io = SocketIo::builder().connect_timeout(Duration::from_millis(50)).build();
    let address = serve(&io).await;
    Client::open(address).await.expect_end().await;
    assert_eq!(Poller::open(address).await.poll().await, "1");
}

#[tokio::test]
async fn a_client_whose_request_was_refused_is_closed_in_time() {
    let io = SocketIo::builder().connect_timeout(Duration::from_secs(2)).build();
    let mut client = Client::open(serve(&io).await).await;
    client.say("40/nowhere,").await;
    client.expect(r#"44/nowhere,{"message":"Invalid namespace"}"#).await;
    client.expect_end().await;
}

#[tokio::test]
async fn sockets_are_found_in_a_namespace_and_in_its_rooms() {
    let io = SocketIo::new();
    io.of("/chat").on_connect(async |socket: Socket, Auth(auth): Auth<Rooms>| socket.join(auth.rooms));
    let _ = io.of("/other");
    let address = serve(&io).await;
    let mut ids = Vec::new();
    let mut clients = Vec::new();
    for rooms in [r#"["foo"]"#, r#"["bar"]"#, r#"["foo","bar"]"#] {
        let mut client = Client::open(address).await;
        client.say(&format!(r#"40/chat,{{"rooms":{rooms}}}"#)).await;
        ids.push(client.welcomed("/chat").await);
        clients.push(client);
    }
    clients[0].enter("/other").await;
    let chat = io.of("/chat");
    let found = async |sockets: Broadcast| {
        let sockets = sockets.fetch_sockets().await.unwrap();
        let mut places: Vec<_> = ids.iter().map(|id| sockets.iter().any(|socket| **socket.id() == **id)).collect();
        places.push(sockets.len() == places.iter().filter(|found| **found).count());
        places
    };
    assert_eq!(found(chat.all()).await, [true, true, true, true]);
    assert_eq!(found(chat.to("foo")).await, [true, false, true, true]);
    assert_eq!(found(chat.to(["foo", "bar"])).await, [true, true, true, true]);
    assert_eq!(found(chat.to("bar").except("foo")).await, [false, true, false, true]);
    assert_eq!(found(chat.to(ids[1].as_str())).await, [false, true, false, true]);
    assert_eq!((chat.count(), chat.count_in("foo"), chat.count_in(&ids[0]), chat.count_in("none")), (3, 2, 1, 0));
    assert_eq!((chat.sockets().len(), io.of("/").sockets().len()), (3, 0));
}

#[derive(serde::Deserialize)]
struct Rooms {
    rooms: Vec<String>,
}

#[tokio::test]
async fn reserved_names_cannot_be_sent_to_all() {
    let io = SocketIo::new();
    assert!(matches!(io.emit("connect", &()), Err(EmitError::Encode(_))));
    assert!(matches!(io.of("/a").to("room").emit("disconnect", &()), Err(EmitError::Encode(_))));
}

// New ones.

#[tokio::test]
async fn new_namespaces_are_told_of() {
    let io = SocketIo::new();
    let (tell, mut told) = journal();
    io.on_new_namespace(move |namespace| drop(tell.send(namespace.name().to_owned())));
    let _ = io.of("/named");
    let _ = io.of("/named");
    let _ = io.of("/");
    io.of_pattern("/asked-{id}").unwrap();
    let mut client = Client::open(serve(&io).await).await;
    client.enter("/asked-1").await;
    assert_eq!(told.so_far(), ["/named", "/asked-1"]);
}

#[tokio::test]
async fn children_of_a_pattern_have_its_handlers_and_middlewares() {
    let io = SocketIo::new();
    let parent = io.of_pattern("/game-{id}").unwrap();
    parent.use_(async |socket: Socket| match socket.namespace() {
        "/game-13" => Err(Refusal::new("unlucky")),
        _ => Ok(()),
    });
    parent.on_connect(async |socket: Socket| socket.emit("welcome", &socket.namespace()));
    let mut client = Client::open(serve(&io).await).await;
    client.enter("/game-1").await;
    client.expect(r#"42/game-1,["welcome","/game-1"]"#).await;
    client.enter("/game-2").await;
    client.expect(r#"42/game-2,["welcome","/game-2"]"#).await;
    client.say("40/game-13,").await;
    client.expect(r#"44/game-13,{"message":"unlucky"}"#).await;
    for unknown in ["/game-", "/game-1/2", "/games-1"] {
        client.say(&format!("40{unknown},")).await;
        client.expect(&format!(r#"44{unknown},{{"message":"Invalid namespace"}}"#)).await;
    }
    parent.emit("all", &()).unwrap();
    let mut heard = [client.text().await, client.text().await];
    heard.sort();
    assert_eq!(heard, [r#"42/game-1,["all"]"#, r#"42/game-2,["all"]"#]);
}

/// A client in two children of a parent, in the room `one` and `both` or `two` and `both`, and in the main namespace.
async fn in_two_children(parent: &ParentNamespace, io: &SocketIo) -> Client {
    for name in ["/", "/game-1", "/game-2"] {
        fenced(io, name);
    }
    parent.on_connect(async |socket: Socket| {
        let own = if socket.namespace() == "/game-1" { "one" } else { "two" };
        socket.join([own, "both"])
    });
    let mut client = Client::join(serve(io).await).await;
    client.enter("/game-1").await;
    client.enter("/game-2").await;
    client
}

#[tokio::test]
async fn a_parent_speaks_to_rooms_of_all_its_children() {
    let io = SocketIo::new();
    let parent = io.of_pattern("/game-{id}").unwrap();
    assert_eq!(parent.emit("disconnect", &()), Err(EmitError::Encode(EncodeError::ReservedEvent)));
    assert_eq!(parent.to("room").emit("nobody", &()).unwrap().reached, 0);
    let mut client = in_two_children(&parent, &io).await;
    let reached = |sent: Result<Delivery, EmitError>| sent.unwrap().reached;
    // Kept from before there are others: it means those that are there when it is used.
    let all = parent.all();
    for (broadcast, heard) in [
        (all.clone(), vec![1, 2]),
        (parent.to("both"), vec![1, 2]),
        (parent.within(["two", "none"]), vec![2]),
        (parent.except("two"), vec![1]),
        (parent.to("both").except("one").volatile(), vec![2]),
        (parent.volatile(), vec![1, 2]),
        (parent.local(), vec![1, 2]),
        (parent.compress(false), vec![1, 2]),
        (parent.timeout(Duration::from_secs(60)), vec![1, 2]),
    ] {
        assert_eq!((reached(broadcast.emit("e", &())), broadcast.count()), (heard.len(), heard.len()), "{broadcast:?}");
        let mut texts = BTreeSet::new();
        for _ in &heard {
            texts.insert(client.text().await);
        }
        assert_eq!(texts, heard.iter().map(|child| format!(r#"42/game-{child},["e"]"#)).collect());
    }
    assert_eq!((reached(parent.send("m")), reached(TypedEvent::<u8>::new("t").emit(&parent, &1))), (2, 2));
    let mut heard = BTreeSet::new();
    for _ in 0..4 {
        heard.insert(client.text().await);
    }
    let all_heard = ["1", "2"]
        .iter()
        .flat_map(|child| [format!(r#"42/game-{child},["message","m"]"#), format!(r#"42/game-{child},["t",1]"#)]);
    assert_eq!(heard, all_heard.collect());
    client.enter("/game-3").await;
    assert_eq!(all.count(), 3);
    client.expect_nothing().await;
}

#[tokio::test]
async fn a_parent_asks_moves_finds_and_disconnects_the_sockets_of_all_its_children() {
    let io = SocketIo::new();
    let parent = io.of_pattern("/game-{id}").unwrap();
    assert_eq!(parent.emit_with_ack::<u8>("ask", &()).unwrap().all().await, Ok(Vec::new()));
    let mut client = in_two_children(&parent, &io).await;
    let answers = parent.emit_with_ack::<u8>("ask", &()).unwrap();
    assert_eq!(answers.owing(), 2);
    for _ in 0..2 {
        let asked = client.text().await;
        let child = asked.strip_prefix("42/game-").and_then(|rest| rest.split_once(',')).expect("an event").0;
        // Either namespace counts for itself: each is asked for the first time.
        assert_eq!(asked, format!(r#"42/game-{child},0["ask"]"#));
        client.say(&format!("43/game-{child},0[{child}]")).await;
    }
    let mut all = answers.all().await.unwrap();
    all.sort();
    assert_eq!(all, [1, 2]);
    // One that does not answer in time is missing, whichever child it is in.
    let late = parent.within("two").timeout(Duration::from_millis(20)).emit_with_ack::<u8>("ask", &()).unwrap();
    let Err(Unanswered { missing, missing_ids, .. }) = late.all().await else { panic!("nobody has answered") };
    let found = parent.to("two").fetch_sockets().await.unwrap();
    assert_eq!((missing, missing_ids), (1, vec![found[0].id().clone()]));
    client.expect(r#"42/game-2,1["ask"]"#).await;

    parent.all().sockets_join("more").await.unwrap();
    parent.to("one").sockets_leave("both").await.unwrap();
    let counts = |room| ["/game-1", "/game-2"].map(|name| io.of(name).count_in(room));
    assert_eq!((counts("more"), counts("both")), ([1, 1], [0, 1]));
    parent.all().disconnect_sockets(false).await.unwrap();
    let mut heard = [client.text().await, client.text().await];
    heard.sort();
    assert_eq!(heard, ["41/game-1,", "41/game-2,"]);
    client.expect_nothing().await;
}

// The server itself is its main namespace.

#[tokio::test]
async fn what_is_done_with_the_server_is_done_with_its_main_namespace() {
    let io = SocketIo::new();
    for name in ["/", "/a"] {
        fenced(&io, name);
        io.of(name).on_connect(async |socket: Socket| socket.join("room"));
    }
    let mut client = Client::join(serve(&io).await).await;
    client.enter("/a").await;
    let one = |broadcast: Broadcast, word: &str| {
        assert_eq!((broadcast.count(), broadcast.emit(word, &()).unwrap().reached), (1, 1), "{word}");
    };
    io.send("hi").unwrap();
    client.expect(r#"42["message","hi"]"#).await;
    for (broadcast, word) in [
        (io.all(), "all"),
        (io.to("room"), "to"),
        (io.within("room"), "within"),
        (io.except("other"), "except"),
        (io.volatile(), "volatile"),
        (io.local(), "local"),
        (io.compress(false), "compress"),
        (io.timeout(Duration::from_secs(60)), "timeout"),
    ] {
        one(broadcast, word);
        client.expect(&format!(r#"42["{word}"]"#)).await;
    }
    io.sockets_join(["x", "y"]).await.unwrap();
    io.sockets_leave("room").await.unwrap();
    let found = io.fetch_sockets().await.unwrap();
    let rooms: Vec<_> = found[0].rooms().iter().skip(1).map(ToString::to_string).collect();
    assert_eq!((found.len(), rooms, io.of("/a").count_in("room")), (1, vec!["x".into(), "y".into()], 1));
    io.on_server_event("ping", async |args| args);
    io.server_side_emit("ping", &()).unwrap();
    assert_eq!(io.server_side_emit_with_ack("ping", &()).await, Ok(Vec::new()));
    assert_eq!(io.of("/").hear_server_event("ping", &Args::default()).await.len(), 1);
    io.disconnect_sockets(false).await.unwrap();
    client.expect("41").await;
    client.expect_nothing_in("/a").await;
}

#[tokio::test]
async fn a_child_sends_to_its_own_rooms_only() {
    let io = SocketIo::new();
    let parent = io.of_pattern("/team-{id}").unwrap();
    parent.on_connect(async |socket: Socket| socket.join("room"));
    for name in ["/team-1", "/team-2"] {
        fenced(&io, name);
    }
    let mut client = Client::open(serve(&io).await).await;
    client.enter("/team-1").await;
    client.enter("/team-2").await;
    io.of("/team-1").to("room").emit("news", &()).unwrap();
    client.expect(r#"42/team-1,["news"]"#).await;
    client.expect_nothing_in("/team-2").await;
}

#[tokio::test]
async fn a_function_says_which_namespaces_are_to_be() {
    let io = SocketIo::new();
    io.of_function(|name, auth| async move { name == "/open" || auth.get::<Key>(0).is_ok_and(|key| key.key == 7) });
    let mut client = Client::open(serve(&io).await).await;
    client.enter("/open").await;
    client.say("40/closed,").await;
    client.expect(r#"44/closed,{"message":"Invalid namespace"}"#).await;
    client.say(r#"40/closed,{"key":7}"#).await;
    client.welcomed("/closed").await;
}

#[derive(serde::Deserialize)]
struct Key {
    key: u8,
}

#[tokio::test]
async fn the_first_parent_that_knows_a_name_has_the_child() {
    let io = SocketIo::new();
    for (number, pattern) in ["/x-1", "/x-{id}", "*"].iter().enumerate() {
        io.of_pattern(pattern).unwrap().on_connect(move |socket: Socket| ready(socket.emit("parent", &number)));
    }
    let mut client = Client::open(serve(&io).await).await;
    for (name, parent) in [("/x-1", 0), ("/x-2", 1), ("/y", 2)] {
        client.enter(name).await;
        client.expect(&format!(r#"42{name},["parent",{parent}]"#)).await;
    }
}

#[tokio::test]
async fn two_who_ask_at_once_get_the_same_child() {
    let io = SocketIo::new();
    let (tell, mut told) = journal();
    let gate = Arc::new(Notify::new());
    let closed = Arc::clone(&gate);
    let parent = io.of_function(move |_, _| {
        let (closed, tell) = (Arc::clone(&closed), tell.clone());
        async move {
            let _ = tell.send(());
            closed.notified().await;
            true
        }
    });
    let address = serve(&io).await;
    let mut clients = [Client::open(address).await, Client::open(address).await];
    for client in &mut clients {
        client.say("40/dynamic,").await;
        told.next().await;
    }
    gate.notify_waiters();
    for client in &mut clients {
        client.welcomed("/dynamic").await;
    }
    assert_eq!((parent.children().len(), io.of("/dynamic").count()), (1, 2));
    parent.emit("both", &()).unwrap();
    for client in &mut clients {
        client.expect(r#"42/dynamic,["both"]"#).await;
    }
}

#[tokio::test]
async fn a_child_may_be_named_before_anyone_asks() {
    let io = SocketIo::new();
    let parent = io.of_pattern("/dynamic-{id}").unwrap();
    parent.on_connect(async |socket: Socket| socket.emit("from the parent", &()));
    let child = io.of("/dynamic-1");
    assert_eq!(parent.children(), [child]);
    let mut client = Client::open(serve(&io).await).await;
    client.enter("/dynamic-1").await;
    client.expect(r#"42/dynamic-1,["from the parent"]"#).await;
}

// Empty ones.

fn names(io: &SocketIo) -> Vec<String> {
    let mut names: Vec<_> = io.namespaces().iter().map(|namespace| namespace.name().to_owned()).collect();
    names.sort();
    names
}

#[tokio::test]
async fn an_empty_child_goes_if_it_is_to_and_may_come_again() {
    let io = SocketIo::builder().cleanup_empty_child_namespaces(true).build();
    let parent = io.of_pattern("/dynamic-{id}").unwrap();
    let mut client = Client::join(serve(&io).await).await;
    for _ in 0..2 {
        client.enter("/dynamic-1").await;
        assert_eq!(names(&io), ["/", "/dynamic-1"]);
        client.say("41/dynamic-1,").await;
        client.say("40/barrier,").await;
        client.expect(r#"44/barrier,{"message":"Invalid namespace"}"#).await;
        assert_eq!((names(&io), parent.children().len()), (vec!["/".to_owned()], 0));
    }
}

#[tokio::test]
async fn empty_ones_stay_if_they_are_not_to_go_or_were_named() {
    let io = SocketIo::new();
    io.of_pattern("/dynamic-{id}").unwrap();
    let named = SocketIo::builder().cleanup_empty_child_namespaces(true).build();
    let _ = named.of("/dynamic-1");
    for io in [io, named] {
        let mut client = Client::join(serve(&io).await).await;
        client.enter("/dynamic-1").await;
        client.say("41/dynamic-1,").await;
        client.say("40/barrier,").await;
        client.expect(r#"44/barrier,{"message":"Invalid namespace"}"#).await;
        assert_eq!(names(&io), ["/", "/dynamic-1"]);
    }
}

#[tokio::test]
async fn a_child_whose_only_client_is_refused_goes_if_it_is_to() {
    for cleanup in [true, false] {
        let io = SocketIo::builder().cleanup_empty_child_namespaces(cleanup).build();
        io.of_pattern("/dynamic-{id}").unwrap().use_(async || Err(Refusal::new("no")));
        let mut client = Client::open(serve(&io).await).await;
        client.say("40/dynamic-1,").await;
        client.expect(r#"44/dynamic-1,{"message":"no"}"#).await;
        assert_eq!(names(&io).contains(&"/dynamic-1".to_owned()), !cleanup);
    }
}

#[tokio::test]
async fn a_child_whose_only_client_leaves_before_it_is_decided_about_is_not_born() {
    let io = SocketIo::builder().cleanup_empty_child_namespaces(true).build();
    let gate = Arc::new(Notify::new());
    let (tell, mut told) = journal();
    let opened = Arc::clone(&gate);
    let parent = io.of_function(move |_, _| {
        let (opened, tell) = (Arc::clone(&opened), tell.clone());
        async move {
            let _ = tell.send("asked");
            opened.notified().await;
            // What is done with the answer is done before this test goes on: there is one thread.
            let _ = tell.send("answered");
            true
        }
    });
    let mut client = Client::open(serve(&io).await).await;
    client.say("40/dynamic-1,").await;
    assert_eq!(told.next().await, "asked");
    drop(client);
    while io.engine().sessions() > 0 {
        tokio::task::yield_now().await;
    }
    gate.notify_one();
    assert_eq!(told.next().await, "answered");
    assert_eq!((names(&io), parent.children().len()), (vec!["/".to_owned()], 0));
}

#[tokio::test]
async fn a_child_in_which_somebody_is_or_will_be_stays_when_another_is_refused_or_goes() {
    let io = SocketIo::builder().cleanup_empty_child_namespaces(true).build();
    let gate = Arc::new(Notify::new());
    let closed = Arc::clone(&gate);
    let (tell, mut told) = journal();
    io.of_pattern("/dynamic-{id}").unwrap().use_(move |Auth(auth): Auth<Option<Key>>| {
        let (closed, tell) = (Arc::clone(&closed), tell.clone());
        async move {
            let _ = tell.send(());
            match auth {
                Some(_) => closed.notified().await,
                None => return Err(Refusal::new("no")),
            }
            Ok(())
        }
    });
    let address = serve(&io).await;
    let mut slow = Client::open(address).await;
    slow.say(r#"40/dynamic-1,{"key":1}"#).await;
    told.next().await;
    let mut refused = Client::open(address).await;
    for _ in 0..2 {
        refused.say("40/dynamic-1,").await;
        refused.expect(r#"44/dynamic-1,{"message":"no"}"#).await;
        assert_eq!(names(&io), ["/", "/dynamic-1"], "one is inside, or on its way");
        gate.notify_one();
        if io.of("/dynamic-1").count() == 0 {
            slow.welcomed("/dynamic-1").await;
        }
    }
    assert!(io.of("/dynamic-1").socket(&slow.id).is_some());
}
