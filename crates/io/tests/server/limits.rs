//! What one client may cost: beyond each limit it is refused or closed, and nobody else hears of it.

use std::time::Duration;

use switchboard_io::engine::Limit;
use switchboard_io::{AckError, EmitError, HubLimits, JoinError, Limits, Name, Refusal, Socket, SocketIo, Value};
use switchboard_testkit::within;
use switchboard_ws::{Hub, PerAddress};
use tokio::sync::mpsc::UnboundedSender;

use crate::client::{Client, fenced, get, journal, serve};

#[tokio::test]
async fn attachments_that_do_not_come_in_time_end_the_connection() {
    let io = SocketIo::builder()
        .attachments_timeout(Duration::from_millis(50))
        // It has nothing to do with it.
        .connect_timeout(Duration::from_secs(600))
        .build();
    let mut client = Client::join(serve(&io).await).await;
    client.say(r#"451-["b",{"_placeholder":true,"num":0}]"#).await;
    client.expect_end().await;
    assert_eq!(hits(&io), [("attachments_timeout", 1)]);
}

/// How often which limit has bitten.
fn hits(io: &SocketIo) -> Vec<(&'static str, u64)> {
    let metrics = io.engine().metrics();
    let counts = Limit::ALL.map(|limit| (limit.name(), metrics.limit(limit)));
    counts.into_iter().filter(|(_, count)| *count > 0).collect()
}

#[tokio::test]
async fn attachments_that_come_in_time_do_not() {
    let io = SocketIo::builder().connect_timeout(Duration::from_secs(2)).build();
    fenced(&io, "/");
    let address = serve(&io).await;
    let mut client = Client::join(address).await;
    client.say(r#"452-["b",{"_placeholder":true,"num":0},{"_placeholder":true,"num":1}]"#).await;
    // One that joins no namespace is closed meanwhile: its time is not that of attachments.
    Client::open(address).await.expect_end().await;
    client.say_bytes(&[1]).await;
    client.say_bytes(&[2]).await;
    client.expect_nothing().await;
    assert_eq!(hits(&io), [("connect_timeout", 1)]);
}

#[tokio::test]
async fn one_namespace_too_many_ends_the_connection() {
    let io = SocketIo::builder().max_namespaces(2).build();
    for name in ["/a", "/b", "/c"] {
        fenced(&io, name);
    }
    let mut client = Client::open(serve(&io).await).await;
    client.enter("/a").await;
    client.enter("/b").await;
    client.say("41/a,").await;
    client.enter("/c").await;
    client.say("40/a,").await;
    client.expect_end().await;
    assert_eq!(hits(&io), [("too_many_namespaces", 1)]);
}

/// It is kept for as long as something is known of its socket.
#[derive(Debug)]
struct Kept(UnboundedSender<()>);

impl Drop for Kept {
    fn drop(&mut self) {
        let _ = self.0.send(());
    }
}

#[tokio::test]
async fn a_socket_that_was_sent_away_takes_no_place_and_nothing_is_kept_of_it() {
    let io = SocketIo::builder().max_namespaces(2).build();
    for name in ["/", "/a", "/b"] {
        fenced(&io, name);
    }
    let (tell, mut dropped) = journal();
    let mut client = Client::join(serve(&io).await).await;
    for name in ["/a", "/b", "/a"] {
        let id = client.enter(name).await;
        client.expect_nothing_in(name).await;
        let socket = io.of(name).socket(&id).unwrap();
        socket.set_extension(Kept(tell.clone()));
        socket.disconnect();
        drop(socket);
        client.expect(&format!("41{name},")).await;
        // It may not have known that yet.
        client.say(&format!("42{name},7[\"fence\"]")).await;
        client.say(&format!("43{name},7[]")).await;
        client.expect_nothing().await;
        dropped.next().await;
    }
    assert_eq!(hits(&io), []);
    // What it was never in is another matter.
    client.say("42/c,[\"fence\"]").await;
    client.expect_end().await;
}

#[tokio::test]
async fn one_that_a_middleware_sends_away_takes_no_place_either() {
    let io = SocketIo::builder().max_namespaces(2).build();
    fenced(&io, "/");
    io.of("/a").use_(async |socket: Socket| {
        socket.disconnect();
        Ok::<(), Refusal>(())
    });
    let mut client = Client::join(serve(&io).await).await;
    for _ in 0..3 {
        client.say("40/a,").await;
        client.expect(r#"44/a,{"message":"the server has disconnected this socket"}"#).await;
    }
    io.of("/b").on_connect(async || {});
    client.enter("/b").await;
    assert_eq!(hits(&io), []);
}

#[tokio::test]
async fn who_says_too_much_of_itself_is_refused() {
    let io = SocketIo::builder().max_auth(100).build();
    fenced(&io, "/");
    let mut client = Client::open(serve(&io).await).await;
    // With the name, one byte more than that.
    client.say(&format!(r#"40{{"token":"{}"}}"#, "x".repeat(88))).await;
    client.expect(r#"44{"message":"too much is said in auth"}"#).await;
    client.say(&format!(r#"40/{},"#, "x".repeat(100))).await;
    assert!(client.text().await.ends_with(r#",{"message":"too much is said in auth"}"#));
    client.say(&format!(r#"40{{"token":"{}"}}"#, "x".repeat(87))).await;
    client.welcomed("/").await;
    client.expect_nothing().await;
    assert_eq!(hits(&io), [("auth_too_big", 2)]);
}

#[tokio::test]
async fn one_child_namespace_too_many_is_unknown() {
    let io = SocketIo::builder().max_child_namespaces(2).build();
    let parent = io.of_pattern("/x-{id}").unwrap();
    let mut client = Client::open(serve(&io).await).await;
    client.enter("/x-1").await;
    client.enter("/x-2").await;
    client.say("40/x-3,").await;
    client.expect(r#"44/x-3,{"message":"Invalid namespace"}"#).await;
    // The application may have more.
    let _ = io.of("/x-4");
    assert_eq!(parent.children().len(), 3);
    client.enter("/x-4").await;
    assert_eq!(hits(&io), [("too_many_child_namespaces", 1)]);
}

#[tokio::test]
async fn an_address_makes_so_many_child_namespaces_and_no_more() {
    let io = SocketIo::builder()
        .child_namespaces_per_address(PerAddress::Every(2))
        .cleanup_empty_child_namespaces(true)
        .build();
    io.of_pattern("/x-{id}").unwrap();
    io.of_function(async |name, _| name.starts_with("/y-"));
    // It knows its clients' addresses.
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let (address, serving) = (listener.local_addr().unwrap(), io.clone());
    tokio::spawn(async move { serving.serve(listener).await });
    let (mut client, mut other) = (Client::open(address).await, Client::open(address).await);
    client.enter("/x-1").await;
    client.enter("/y-1").await;
    for (name, client) in [("/x-2", &mut client), ("/y-2", &mut other)] {
        client.say(&format!("40{name},")).await;
        client.expect(&format!(r#"44{name},{{"message":"Invalid namespace"}}"#)).await;
    }
    assert_eq!(hits(&io), [("child_namespaces_per_address", 2)]);
    // Those that are there are for everyone, and those of the application count for nobody.
    other.enter("/x-1").await;
    let _ = io.of("/x-3");
    other.enter("/x-3").await;
    // One that is gone makes room.
    client.say("41/y-1,").await;
    within("the namespace to be gone", async {
        while io.namespaces().iter().any(|namespace| namespace.name() == "/y-1") {
            tokio::task::yield_now().await;
        }
    })
    .await;
    client.enter("/x-2").await;
}

/// All of them find the limit not reached yet, if each looks for itself.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn clients_who_come_at_once_make_no_child_namespace_too_many() {
    const LIMIT: usize = 3;
    let io = SocketIo::builder().max_child_namespaces(LIMIT).cleanup_empty_child_namespaces(true).build();
    let parent = io.of_function(async |_, _| {
        // They are decided about by different threads.
        tokio::task::yield_now().await;
        true
    });
    let address = serve(&io).await;
    for round in 0..5 {
        let mut clients = Vec::new();
        for _ in 0..12 {
            clients.push(Client::open(address).await);
        }
        for (number, client) in clients.iter_mut().enumerate() {
            client.say(&format!("40/{round}-{number},")).await;
        }
        let mut welcome = Vec::new();
        for mut client in clients {
            if client.text().await.starts_with("40/") {
                welcome.push(client);
            }
        }
        assert_eq!(welcome.len(), LIMIT, "in round {round}");
        assert_eq!(parent.children().len(), LIMIT);
        for mut client in welcome {
            client.say("1").await;
            client.expect_end().await;
        }
        // When the last one is out there is room again.
        within("the child namespaces to be gone", async {
            while io.namespaces().len() > 1 {
                tokio::task::yield_now().await;
            }
        })
        .await;
    }
    assert_eq!(hits(&io), [("too_many_child_namespaces", 5 * 9)]);
}

#[tokio::test]
async fn one_answer_too_many_is_not_asked_for() {
    let io = SocketIo::builder().max_acks(1).build();
    fenced(&io, "/");
    let (tell, mut told) = journal();
    io.on_connect(move |socket: Socket| {
        let tell = tell.clone();
        async move {
            let first = socket.emit_with_ack::<u8>("first", &());
            tokio::pin!(first);
            let second = tokio::select! {
                biased;
                answer = &mut first => answer,
                answer = socket.emit_with_ack::<u8>("second", &()) => answer,
            };
            let _ = tell.send(second);
            let _ = tell.send(first.await);
            let _ = tell.send(socket.emit_with_ack::<u8>("third", &()).await);
        }
    });
    let mut client = Client::join(serve(&io).await).await;
    client.expect(r#"420["first"]"#).await;
    assert_eq!(told.next().await, Err(AckError::Emit(EmitError::TooManyAcks)));
    client.expect_nothing().await;
    client.say("430[1]").await;
    assert_eq!(told.next().await, Ok(1));
    client.expect(r#"422["third"]"#).await;
    client.say("432[3]").await;
    assert_eq!(told.next().await, Ok(3));
    assert_eq!(hits(&io), [("too_many_acks", 1)]);
}

#[tokio::test]
async fn one_room_too_many_is_not_joined() {
    let io = SocketIo::builder().hub(Hub::new(HubLimits { topics_per_member: 3, topic_bytes: 20 })).build();
    let client = Client::join(serve(&io).await).await;
    let socket = io.of("/").socket(&client.id).unwrap();
    socket.join(["a", "b", "d"]).unwrap();
    assert_eq!(socket.join("c"), Err(JoinError::TooManyTopics { limit: 3 }));
    socket.leave("a");
    assert!(matches!(socket.join("a very long name of a room"), Err(JoinError::TopicTooLong { limit: 20, .. })));
    socket.join("c").unwrap();
    assert_eq!(io.of("/").count_in("c"), 1);
}

#[tokio::test]
async fn rooms_are_joined_all_or_none() {
    let io = SocketIo::builder().hub(Hub::new(HubLimits { topics_per_member: 3, topic_bytes: 20 })).build();
    let client = Client::join(serve(&io).await).await;
    let nsp = io.of("/");
    let socket = nsp.socket(&client.id).unwrap();
    let own = socket.id().clone();
    socket.join("a").unwrap();
    socket.leave(&own);
    let many = ["b", &own, "c", "d"];
    assert_eq!(socket.join(many), Err(JoinError::TooManyTopics { limit: 3 }));
    assert!(socket.join(["b", "a very long name of a room"]).is_err());
    assert_eq!(socket.rooms(), [Name::from("a")]);
    assert_eq!((nsp.count_in("b"), nsp.count_in("d"), nsp.count_in(&own)), (0, 0, 0));
    socket.join(["b", &own, "c", "a", "b"]).unwrap();
    assert_eq!((nsp.count_in("b"), nsp.count_in("c"), nsp.count_in(&own), socket.rooms().len()), (1, 1, 1, 4));
    assert_eq!(io.hub().counters().too_many_topics, 1);
}

#[tokio::test]
async fn who_is_in_as_many_rooms_as_may_be_hears_all_of_further_namespaces() {
    let io = SocketIo::builder().hub(Hub::new(HubLimits { topics_per_member: 1, topic_bytes: 20 })).build();
    let long = format!("/{}", "x".repeat(40));
    let names = ["/a", "/b", &long];
    let _made = names.map(|name| io.of(name));
    let mut client = Client::join(serve(&io).await).await;
    let socket = io.of("/").socket(&client.id).unwrap();
    socket.join("full").unwrap();
    for name in names {
        let id = client.enter(name).await;
        io.of(name).emit("all", &()).unwrap();
        client.expect(&format!(r#"42{name},["all"]"#)).await;
        io.of(name).to([&id, "nobody"]).emit("one", &()).unwrap();
        client.expect(&format!(r#"42{name},["one"]"#)).await;
    }
    assert!(socket.join("more").is_err());
    assert_eq!(io.hub().counters().too_many_topics, 1);
}

#[tokio::test]
async fn one_client_too_many_is_told_to_come_back() {
    let io = SocketIo::builder().max_clients(1).build();
    let address = serve(&io).await;
    let client = Client::join(address).await;
    assert_eq!(get(address, "/socket.io/?EIO=4&transport=polling").await.status, 503);
    assert_eq!(hits(&io), [("sessions", 1)]);
    drop(client);
}

#[tokio::test]
async fn a_message_that_is_too_long_ends_the_connection() {
    let io = SocketIo::builder().max_http_buffer_size(100).build();
    fenced(&io, "/");
    let mut client = Client::join(serve(&io).await).await;
    client.say(&format!(r#"42["e","{}"]"#, "x".repeat(80))).await;
    client.expect_nothing().await;
    client.say(&format!(r#"42["e","{}"]"#, "x".repeat(100))).await;
    client.expect_end_with(1009).await;
}

#[tokio::test]
async fn the_depth_of_data_is_bounded() {
    let mut limits = Limits::default();
    limits.depth = 3;
    let io = SocketIo::builder().limits(limits).build();
    fenced(&io, "/");
    let mut client = Client::join(serve(&io).await).await;
    client.say(r#"42["e",[[]]]"#).await;
    client.expect_nothing().await;
    client.say(r#"42["e",[[[]]]]"#).await;
    client.expect_end().await;
    assert_eq!(hits(&io), [("too_deep", 1)]);
}

#[tokio::test]
async fn the_attachments_of_a_packet_and_its_bytes_are_bounded() {
    let mut limits = Limits::default();
    (limits.attachments, limits.bytes) = (2, 100);
    let io = SocketIo::builder().limits(limits).build();
    let address = serve(&io).await;
    let mut client = Client::join(address).await;
    client.say(r#"453-["e"]"#).await;
    client.expect_end().await;
    let mut client = Client::join(address).await;
    client.say(r#"451-["b",{"_placeholder":true,"num":0}]"#).await;
    client.say_bytes(&[0; 100]).await;
    client.expect_end().await;
    assert_eq!(hits(&io), [("packet_too_big", 1), ("too_many_attachments", 1)]);
}

#[tokio::test]
async fn no_more_attachments_are_sent_than_clients_take() {
    let pieces = |count| Value::Array(vec![Value::Binary(vec![1].into()); count]);
    let too_many = |count, limit| Err(EmitError::TooManyAttachments { count, limit });
    let io = SocketIo::new();
    io.on_connect(async |socket: Socket| {
        socket.on("ask", async |ack: switchboard_io::Ack| {
            let refused = ack.send(&Value::Array(vec![Value::Binary(vec![1].into()); 11]));
            ack.send(&refused.is_err())
        });
    });
    let mut client = Client::join(serve(&io).await).await;
    let socket = io.of("/").socket(&client.id).unwrap();
    assert_eq!(socket.emit("e", &pieces(11)), too_many(11, 10));
    assert_eq!(io.emit("e", &pieces(12)).map(drop), too_many(12, 10));
    client.say(r#"427["ask"]"#).await;
    client.expect("437[true]").await;
    socket.emit("e", &pieces(10)).unwrap();
    assert!(client.text().await.starts_with("4510-"));
    let io = SocketIo::builder().outgoing_attachments(11).build();
    let mut client = Client::join(serve(&io).await).await;
    assert_eq!(io.emit("e", &pieces(12)).map(drop), too_many(12, 11));
    io.emit("e", &pieces(11)).unwrap();
    assert!(client.text().await.starts_with("4511-"));
}

/// Each of them waits for what its own client has still to say.
#[tokio::test]
async fn handlers_that_wait_for_answers_of_many_do_not_keep_those_from_being_read() {
    let io = SocketIo::builder().in_flight(2).build();
    let all = io.clone();
    io.on_connect(move |socket: Socket| {
        let all = all.clone();
        socket.on("ask", move |ack: switchboard_io::Ack| {
            let all = all.clone();
            async move {
                let answers = all.all().timeout(Duration::from_secs(600)).emit_with_ack::<u8>("all", &());
                let answers = answers.map_err(|error| error.to_string())?.all().await;
                ack.send(&answers.map_err(|error| error.to_string())?).map_err(|error| error.to_string())
            }
        });
        std::future::ready(())
    });
    let mut client = Client::join(serve(&io).await).await;
    for number in 0..5 {
        client.say(&format!("429{number}[\"ask\"]")).await;
        client.expect(&format!("42{number}[\"all\"]")).await;
    }
    for number in 0..5 {
        client.say(&format!("43{number}[{number}]")).await;
        client.expect(&format!("439{number}[[{number}]]")).await;
    }
    assert_eq!(hits(&io), []);
}
