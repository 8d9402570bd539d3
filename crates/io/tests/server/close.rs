//! How the server and its connections end.

use std::future::ready;
use std::sync::{Arc, Mutex};

use switchboard_io::{DisconnectReason, Socket, SocketIo};

use crate::client::{Client, Poller, get, goodbyes, serve};

#[tokio::test]
async fn a_server_that_closes_says_goodbye_and_lets_nobody_in() {
    let io = SocketIo::new();
    let mut told = goodbyes(&io);
    let address = serve(&io).await;
    let mut client = Client::join(address).await;
    client.enter("/a").await;
    let poller = Poller::join(address).await;
    let closing = io.clone();
    let closed = tokio::spawn(async move { closing.close().await });
    for _ in 0..3 {
        assert_eq!(told.next().await.1, DisconnectReason::ServerShuttingDown);
    }
    client.expect_end().await;
    assert_eq!(poller.poll().await, "1");
    closed.await.unwrap();
    assert_eq!(io.engine().sessions(), 0);
    assert_eq!(get(address, "/socket.io/?EIO=4&transport=polling").await.status, 503);
    assert_eq!((io.of("/").count(), io.of("/a").count()), (0, 0));
    // Once more changes nothing.
    io.close().await;
}

#[tokio::test]
async fn a_server_that_nobody_came_to_closes_at_once() {
    let io = SocketIo::new();
    io.close().await;
}

// Clients that break rules, over polling as Node's tests do it.

#[tokio::test]
async fn who_asks_for_a_namespace_twice_is_closed() {
    let io = SocketIo::new();
    let poller = Poller::join(serve(&io).await).await;
    poller.say("40").await;
    assert_eq!(poller.poll().await, "1");
    assert_eq!(io.of("/").count(), 0);
}

#[tokio::test]
async fn who_says_something_before_joining_is_closed() {
    let io = SocketIo::new();
    let address = serve(&io).await;
    for breach in [r#"42["event"]"#, "430[]", r#"42/nowhere,["event"]"#, r#"44{"message":"x"}"#, r#"44"x""#] {
        let poller = Poller::open(address).await;
        poller.say(breach).await;
        assert_eq!(poller.poll().await, "1", "{breach}");
    }
}

#[tokio::test]
async fn who_sends_what_is_no_packet_is_closed() {
    let io = SocketIo::new();
    let address = serve(&io).await;
    for breach in [
        "4abc",
        "4",
        "42",
        "42{}",
        "42[]",
        r#"42["connect"]"#,
        "47[]",
        "45",
        "451-",
        "40[]",
        r#"44["x"]"#,
        r#"44{"message":"x"}"#,
        "bAQID",
    ] {
        let poller = Poller::join(address).await;
        poller.say(breach).await;
        assert_eq!(poller.poll().await, "1", "{breach}");
    }
    assert_eq!(io.of("/").count(), 0);
}

/// As Node 4.8 does it: nothing but CONNECT speaks to a namespace that the client is not in, or not any more.
#[tokio::test]
async fn who_speaks_to_a_namespace_that_it_is_not_in_is_closed() {
    let io = SocketIo::new();
    let _ = io.of("/a");
    let address = serve(&io).await;
    for breach in ["41/a,", "41/nowhere,", r#"42/a,["event"]"#, r#"43/a,1["x"]"#] {
        for has_joined in [false, true] {
            let poller = if has_joined { Poller::join(address).await } else { Poller::open(address).await };
            poller.say(breach).await;
            assert_eq!(poller.poll().await, "1", "{breach}");
        }
    }
    for breach in ["41", r#"42["event"]"#] {
        let poller = Poller::join(address).await;
        poller.say("41").await;
        poller.say(breach).await;
        assert_eq!(poller.poll().await, "1", "{breach} after the farewell");
    }
    assert_eq!(io.engine().sessions(), 0);
}

#[tokio::test]
async fn a_farewell_that_crosses_the_server_s_is_no_breach() {
    let io = SocketIo::new();
    crate::client::fenced(&io, "/");
    io.of("/a").on_connect(async |socket: Socket| socket.disconnect());
    let mut client = Client::join(serve(&io).await).await;
    client.say("40/a,").await;
    client.text().await;
    client.expect("41/a,").await;
    client.say("41/a,").await;
    client.expect_nothing().await;
}

#[tokio::test]
async fn a_client_hears_that_it_is_disconnected_before_what_is_said_about_that() {
    let io = SocketIo::new();
    let server = io.clone();
    io.on_connect(move |socket: Socket| {
        let server = server.clone();
        socket.on_disconnecting(move |socket: Socket| {
            assert!(socket.emit("to it", &()).is_err(), "it is not connected any more");
            server.emit("leaving", &()).expect("it serialises");
            ready(())
        });
        ready(())
    });
    let mut client = Client::join(serve(&io).await).await;
    io.of("/").socket(&client.id).expect("it is in").disconnect();
    client.expect("41").await;
    // It was in its rooms still when that was sent; as clients hear it, they are in no such namespace.
    client.expect(r#"42["leaving"]"#).await;
    client.enter("/").await;
    io.emit("news", &()).expect("it serialises");
    client.expect(r#"42["news"]"#).await;
}

/// Its rooms are the session's: the one that still leaves must not take its follower out of them.
#[tokio::test]
async fn one_who_comes_again_is_let_in_when_the_one_before_has_left() {
    let io = SocketIo::new();
    crate::client::fenced(&io, "/a");
    let (tell, mut told) = crate::client::journal();
    let (release, gate) = std::sync::mpsc::channel::<()>();
    let gate = Arc::new(Mutex::new(gate));
    io.on_connect(move |socket: Socket| {
        socket.join("room").expect("there is room for it");
        let (tell, gate) = (tell.clone(), Arc::clone(&gate));
        socket.on_disconnecting(move |socket: Socket| {
            let _ = tell.send((socket.id().to_string(), socket.rooms().len()));
            // Until the test lets it go on, or is over.
            let _ = gate.lock().expect("no panic").recv();
            ready(())
        });
        ready(())
    });
    let mut client = Client::join(serve(&io).await).await;
    let id = client.id.clone();
    client.enter("/a").await;
    let old = io.of("/").socket(&id).expect("it is in");
    let (leaving, runtime) = (old.clone(), tokio::runtime::Handle::current());
    let thread = std::thread::spawn(move || {
        let _runtime = runtime.enter();
        leaving.disconnect();
    });
    assert_eq!(told.next().await, (id, 2));
    client.expect("41").await;
    client.say("41").await;
    client.say("40").await;
    client.expect_nothing_in("/a").await;
    release.send(()).expect("it waits");
    client.welcomed("/").await;
    thread.join().expect("no panic");
    // Nor does who keeps a handle to the one before.
    old.leave("room");
    old.join("late").expect("nothing is joined");
    assert_eq!((old.rooms().len(), io.of("/").count_in("late"), io.of("/").count()), (0, 0, 1));
    io.to("room").emit("news", &()).expect("it serialises");
    client.expect(r#"42["news"]"#).await;
}
