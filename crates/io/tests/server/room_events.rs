//! What an application is told of rooms: made, joined, left, gone. In Node the adapter tells it.

use std::sync::{Arc, Mutex};

use switchboard_io::{Refusal, RoomEvent, Socket, SocketIo};

use crate::client::{Client, serve};

/// All that happens to rooms of the main namespace, in words.
fn watched() -> (SocketIo, Arc<Mutex<Vec<String>>>) {
    let io = SocketIo::new();
    let seen = Arc::new(Mutex::new(Vec::new()));
    let watching = Arc::clone(&seen);
    io.of("/").on_room(move |event| {
        let word = match event {
            RoomEvent::Create(room) => format!("create {room}"),
            RoomEvent::Join(room, id) => format!("join {room} {id}"),
            RoomEvent::Leave(room, id) => format!("leave {room} {id}"),
            RoomEvent::Delete(room) => format!("delete {room}"),
            _ => panic!("unknown"),
        };
        watching.lock().expect("no watcher panics").push(word);
    });
    (io, seen)
}

#[tokio::test]
async fn the_first_makes_a_room_and_the_last_ends_it() {
    let (io, seen) = watched();
    let address = serve(&io).await;
    let (one, two) = (Client::join(address).await, Client::join(address).await);
    let [a, b] = [&one.id, &two.id];
    let socket = |id: &str| io.of("/").socket(id).unwrap();
    let own = [format!("create {a}"), format!("join {a} {a}"), format!("create {b}"), format!("join {b} {b}")];
    assert_eq!(std::mem::take(&mut *seen.lock().unwrap()), own);
    socket(a).join(["room", "room"]).unwrap();
    socket(b).join("room").unwrap();
    socket(a).leave("room");
    socket(a).leave("room");
    socket(b).leave("room");
    let expected = [
        "create room".to_owned(),
        format!("join room {a}"),
        format!("join room {b}"),
        format!("leave room {a}"),
        format!("leave room {b}"),
        "delete room".to_owned(),
    ];
    assert_eq!(std::mem::take(&mut *seen.lock().unwrap()), expected);
}

#[tokio::test]
async fn one_that_goes_leaves_all_its_rooms() {
    let (io, seen) = watched();
    io.on_connect(async |socket: Socket| socket.join("room"));
    let client = Client::join(serve(&io).await).await;
    let id = &client.id;
    let socket = io.of("/").socket(id).unwrap();
    seen.lock().unwrap().clear();
    socket.disconnect();
    let expected =
        [format!("leave room {id}"), "delete room".into(), format!("leave {id} {id}"), format!("delete {id}")];
    assert_eq!(*seen.lock().unwrap(), expected);
}

#[tokio::test]
async fn the_room_of_an_id_is_told_of_once_and_like_others() {
    let (io, seen) = watched();
    io.use_(async |socket: Socket| socket.join(socket.id()).map_err(|error| Refusal::new(error.to_string())));
    let address = serve(&io).await;
    let (one, two) = (Client::join(address).await, Client::join(address).await);
    let [a, b] = [&one.id, &two.id];
    let [first, second] = [a, b].map(|id| io.of("/").socket(id).unwrap());
    let take = || std::mem::take(&mut *seen.lock().unwrap());
    let own = [format!("create {a}"), format!("join {a} {a}"), format!("create {b}"), format!("join {b} {b}")];
    assert_eq!(take(), own);
    io.to([a, b]).emit("makes the hub know", &()).unwrap();
    first.join(a).unwrap();
    assert!(take().is_empty());
    second.join(a).unwrap();
    first.leave(a);
    first.leave(a);
    first.join(a).unwrap();
    second.leave(a);
    first.leave(a);
    first.join(a).unwrap();
    second.join(a).unwrap();
    first.disconnect();
    second.leave(a);
    second.leave(b);
    second.disconnect();
    let [join, leave] = ["join", "leave"].map(|word| move |room: &str, id: &str| format!("{word} {room} {id}"));
    let [create, delete] = ["create", "delete"].map(|word| format!("{word} {a}"));
    let expected = [
        join(a, b),
        leave(a, a),
        join(a, a),
        leave(a, b),
        leave(a, a),
        delete.clone(),
        create,
        join(a, a),
        join(a, b),
        leave(a, a),
        leave(a, b),
        delete,
        leave(b, b),
        format!("delete {b}"),
    ];
    assert_eq!(take(), expected);
}
