//! What is done with many sockets at once: found, moved between rooms, disconnected.

use std::future::ready;
use std::net::SocketAddr;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex, mpsc};
use std::time::Duration;

use serde::ser::Error as _;
use serde::{Serialize, Serializer};
use switchboard_io::{AckError, EncodeError, Namespace, ServerAckError, Socket, SocketIo, TypedEvent};

use crate::client::{Client, Poller, fenced, journal, serve};

/// Three clients, of which the first two are in a room.
async fn three() -> (Namespace, SocketAddr, [Client; 3]) {
    let io = SocketIo::new();
    fenced(&io, "/");
    let address = serve(&io).await;
    let clients = [Client::join(address).await, Client::join(address).await, Client::join(address).await];
    let namespace = io.of("/");
    for client in &clients[..2] {
        let socket = namespace.socket(&client.id).expect("it is there");
        socket.join("room").expect("a room more is allowed");
    }
    (namespace, address, clients)
}

#[tokio::test]
async fn sockets_that_were_fetched_tell_who_they_are_and_can_be_sent_to() {
    let (namespace, _, mut clients) = three().await;
    namespace.socket(&clients[0].id).unwrap().set_data("ann").unwrap();
    let found = namespace.within("room").fetch_sockets().await.unwrap();
    assert_eq!((found.len(), namespace.fetch_sockets().await.unwrap().len()), (2, 3));
    let first = found.iter().find(|socket| **socket.id() == *clients[0].id).unwrap();
    assert_eq!(first.data::<String>().unwrap(), "ann");
    assert_eq!(first.handshake().header("host"), Some("localhost"));
    assert_eq!(first.rooms().iter().map(|room| &**room).collect::<Vec<_>>(), [clients[0].id.as_str(), "room"]);
    assert!(first.local().is_some_and(Socket::connected));
    first.emit("hello", &()).unwrap();
    clients[0].expect(r#"42["hello"]"#).await;
    first.join(["a", "b"]).unwrap();
    first.leave("room");
    assert_eq!((namespace.count_in("a"), namespace.count_in("room")), (1, 1));
    first.disconnect(false);
    clients[0].expect("41").await;
    clients[0].enter("/").await;
    assert_eq!(namespace.count(), 3);
}

#[tokio::test]
async fn a_socket_that_was_fetched_answers_in_time_or_is_given_up() {
    const ASK: TypedEvent<u8, String> = TypedEvent::new("ask");
    let (namespace, _, mut clients) = three().await;
    let client = &mut clients[0];
    let found = namespace.to(client.id.as_str()).fetch_sockets().await.unwrap();
    let [socket] = &found[..] else { panic!("one bears this id: {found:?}") };
    let answer = async {
        for id in 0..3 {
            assert!(client.text().await.starts_with(&format!("42{id}[\"ask\"")));
            client.say(&format!("43{id}[\"{id}\"]")).await;
        }
    };
    let ask = async {
        let ask = socket.timeout(Duration::from_secs(60));
        assert_eq!(ask.emit_with_ack::<String>("ask", &()).await.as_deref(), Ok("0"));
        assert_eq!(socket.emit_with_ack::<String>("ask", &()).await.as_deref(), Ok("1"));
        assert_eq!(ASK.ask(socket, &7).await.as_deref(), Ok("2"));
    };
    tokio::join!(answer, ask);
    let late = socket.timeout(Duration::from_millis(20)).emit_with_ack::<String>("ask", &()).await;
    assert_eq!(late, Err(AckError::Timeout));
    client.expect(r#"423["ask"]"#).await;
    socket.send("by itself").unwrap();
    socket.volatile().compress(false).emit("a", &()).unwrap();
    socket.compress(true).emit("b", &()).unwrap();
    for heard in [r#"42["message","by itself"]"#, r#"42["a"]"#, r#"42["b"]"#] {
        client.expect(heard).await;
    }
}

#[tokio::test]
async fn all_or_those_in_a_room_join_rooms() {
    let (namespace, ..) = three().await;
    namespace.sockets_join("all").await.unwrap();
    namespace.to("room").sockets_join(["some", "too"]).await.unwrap();
    assert_eq!(["all", "some", "too"].map(|room| namespace.count_in(room)), [3, 2, 2]);
}

#[tokio::test]
async fn all_or_those_in_a_room_leave_rooms() {
    let (namespace, ..) = three().await;
    namespace.sockets_join(["a", "b", "c"]).await.unwrap();
    namespace.sockets_leave(["a", "unknown"]).await.unwrap();
    namespace.to("room").sockets_leave(["b", "c"]).await.unwrap();
    assert_eq!(["a", "b", "c", "room"].map(|room| namespace.count_in(room)), [0, 1, 1, 2]);
}

#[tokio::test]
async fn all_or_those_in_a_room_are_disconnected() {
    let (namespace, _, mut clients) = three().await;
    namespace.to("room").disconnect_sockets(false).await.unwrap();
    clients[0].expect("41").await;
    clients[1].expect("41").await;
    clients[2].expect_nothing().await;
    assert_eq!(namespace.count(), 1);
    clients[0].enter("/").await;
    namespace.disconnect_sockets(true).await.unwrap();
    for client in [0, 2] {
        let client = &mut clients[client];
        client.expect("41").await;
        client.expect_end().await;
    }
    assert_eq!(namespace.count(), 0);
}

#[tokio::test]
async fn exceptions_hold_for_them_too() {
    let (namespace, _, clients) = three().await;
    namespace.except("room").sockets_join("others").await.unwrap();
    namespace.except(clients[2].id.as_str()).sockets_join("not the last").await.unwrap();
    assert_eq!((namespace.count_in("others"), namespace.count_in("not the last")), (1, 2));
}

#[tokio::test]
async fn the_others_of_a_socket_can_be_meant() {
    let (namespace, _, clients) = three().await;
    let socket = namespace.socket(&clients[0].id).unwrap();
    assert_eq!((socket.broadcast().count(), socket.to("room").count(), namespace.all().count()), (2, 1, 3));
    assert_eq!((socket.within("room").count(), socket.local().count(), socket.except("room").count()), (1, 2, 1));
    assert_eq!(socket.to("room").fetch_sockets().await.unwrap()[0].id().as_str(), clients[1].id);
}

#[tokio::test]
async fn a_server_alone_has_nobody_to_ask_in_a_cluster() {
    let io = SocketIo::new();
    let namespace = io.of("/");
    namespace.on_server_event("ping", async |args| args);
    namespace.server_side_emit("ping", "x").unwrap();
    assert!(namespace.server_side_emit_with_ack("ping", "x").await.unwrap().is_empty());
    let args = switchboard_io::Args::new(switchboard_io::Parser::Json, "x").unwrap();
    assert_eq!(namespace.hear_server_event("ping", &args).await.len(), 1);
    assert_eq!(namespace.hear_server_event("other", &args).await.len(), 0);
}

/// Cannot be written.
struct Unwritable;

impl Serialize for Unwritable {
    fn serialize<S: Serializer>(&self, _: S) -> Result<S::Ok, S::Error> {
        Err(S::Error::custom("not this"))
    }
}

#[tokio::test]
async fn what_cannot_be_written_is_sent_to_no_server_with_or_without_an_answer() {
    let namespace = SocketIo::new().of("/");
    let error = namespace.server_side_emit("ping", &Unwritable).expect_err("it cannot be written");
    let asked = namespace.server_side_emit_with_ack("ping", &Unwritable).await;
    assert_eq!(asked, Err(ServerAckError::Encode(error)));
    for name in ["connect", "connection", "new_namespace"] {
        assert_eq!(namespace.server_side_emit(name, &()), Err(EncodeError::ReservedEvent), "{name}");
        let asked = namespace.server_side_emit_with_ack(name, &()).await;
        assert_eq!(asked, Err(ServerAckError::Encode(EncodeError::ReservedEvent)), "{name}");
        let listen = || drop(namespace.on_server_event(name, async |args| args).clone());
        catch_unwind(AssertUnwindSafe(listen)).expect_err(name);
    }
}

/// The hub knows it by another name as soon as it has moved, and the namespace at once as well, whatever it is busy
/// with.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_socket_that_goes_over_to_a_websocket_is_found_while_a_handler_of_it_runs() {
    let io = SocketIo::new();
    let ((tell, mut told), (release, released)) = (journal(), mpsc::channel::<()>());
    let released = Arc::new(Mutex::new(released));
    io.on_connect(move |socket: Socket| {
        let (tell, released) = (tell.clone(), Arc::clone(&released));
        socket.on("busy", move || {
            let _ = tell.send(());
            // Until the test has seen what it wants to see. The runtime is told, so that others do what this thread
            // cannot.
            let _ = tokio::task::block_in_place(|| released.lock().expect("nobody panics").recv());
            ready(())
        });
        ready(())
    });
    let poller = Poller::join(serve(&io).await).await;
    let busy = {
        let poller = poller.clone();
        tokio::spawn(async move { poller.say(r#"42["busy"]"#).await })
    };
    told.next().await;
    let mut client = poller.upgrade().await;
    io.emit("news", &()).expect("it serialises");
    client.expect(r#"42["news"]"#).await;
    assert_eq!((io.all().count(), io.of("/").sockets().len()), (1, 1));
    let socket = io.of("/").sockets().pop().expect("it is in");
    assert_eq!(socket.broadcast().count(), 0, "it is not one of the others");
    drop(release);
    busy.await.expect("the handler returns");
}
