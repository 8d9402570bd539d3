//! How the server and its connections end.

use switchboard_io::{DisconnectReason, SocketIo};

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

#[tokio::test]
async fn a_disconnect_for_a_namespace_that_it_is_not_in_is_nothing() {
    let io = SocketIo::new();
    crate::client::fenced(&io, "/");
    let mut client = Client::join(serve(&io).await).await;
    client.say("41/nowhere,").await;
    client.expect_nothing().await;
}
