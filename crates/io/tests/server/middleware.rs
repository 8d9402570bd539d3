//! Middlewares of namespaces: who may come in.

use std::future::ready;
use std::sync::Arc;

use serde::Serialize;
use switchboard_io::{Auth, Refusal, Socket, SocketIo};
use tokio::sync::Notify;

use crate::client::{Client, Poller, fenced, journal, serve};

#[tokio::test]
async fn middlewares_are_asked_in_order_and_the_handler_is_called_last() {
    let io = SocketIo::new();
    let (tell, mut told) = journal();
    for number in [1, 2] {
        let tell = tell.clone();
        io.use_(move |socket: Socket| {
            let _ = tell.send((number, socket.connected()));
            ready(Ok(()))
        });
    }
    io.on_connect(move |socket: Socket| {
        let _ = tell.send((3, socket.connected()));
        ready(())
    });
    Client::join(serve(&io).await).await;
    assert_eq!([told.next().await, told.next().await, told.next().await], [(1, false), (2, false), (3, true)]);
}

#[tokio::test]
async fn a_refusal_reaches_the_client_with_its_details() {
    #[derive(Serialize)]
    struct Details {
        code: u16,
        hint: Option<&'static str>,
    }

    let io = SocketIo::new();
    let (tell, mut told) = journal();
    io.use_(async |Auth(name): Auth<Option<String>>| match name.as_deref() {
        Some(_) => Ok(()),
        None => Err(Refusal::new("who are you?")),
    });
    io.of("/details").use_(async || {
        Err(Refusal::new("no \"entry\"").with_data(Details { code: 401, hint: None }).expect("it serialises"))
    });
    for name in ["/", "/details"] {
        let tell = tell.clone();
        io.of(name).use_(move || {
            let _ = tell.send("the second middleware");
            ready(Ok(()))
        });
    }
    let mut client = Client::open(serve(&io).await).await;
    client.say("40").await;
    client.expect(r#"44{"message":"who are you?"}"#).await;
    client.say("40/details,").await;
    client.expect(r#"44/details,{"message":"no \"entry\"","data":{"code":401,"hint":null}}"#).await;
    assert!(told.so_far().is_empty());
    assert_eq!(io.of("/").count() + io.of("/details").count(), 0);
}

#[tokio::test]
async fn one_that_was_refused_may_ask_again() {
    let io = SocketIo::new();
    fenced(&io, "/");
    io.use_(async |Auth(auth): Auth<Option<Ticket>>| match auth {
        Some(_) => Ok(()),
        None => Err(Refusal::new("no ticket")),
    });
    let mut client = Client::open(serve(&io).await).await;
    client.say("40").await;
    client.expect(r#"44{"message":"no ticket"}"#).await;
    client.say(r#"40{"ticket":7}"#).await;
    client.welcomed("/").await;
    client.expect_nothing().await;
}

#[derive(serde::Deserialize)]
#[expect(dead_code, reason = "only its shape matters")]
struct Ticket {
    ticket: u8,
}

#[tokio::test]
async fn what_a_middleware_asks_for_and_cannot_have_is_a_refusal() {
    let io = SocketIo::new();
    io.use_(async |Auth(_): Auth<Ticket>| Ok(()));
    let mut client = Client::open(serve(&io).await).await;
    client.say(r#"40{"ticket":"a word"}"#).await;
    let refusal = client.text().await;
    assert!(refusal.starts_with(r#"44{"message":"the client's auth is not what"#), "{refusal}");
}

#[tokio::test]
async fn a_middleware_may_take_its_time() {
    let io = SocketIo::new();
    fenced(&io, "/");
    let gate = Arc::new(Notify::new());
    let closed = Arc::clone(&gate);
    io.use_(move || {
        let closed = Arc::clone(&closed);
        async move {
            closed.notified().await;
            Ok(())
        }
    });
    let _ = io.of("/other");
    let mut client = Client::open(serve(&io).await).await;
    client.say("40").await;
    // Others need not wait for it.
    client.enter("/other").await;
    assert_eq!(io.of("/").count(), 0);
    gate.notify_one();
    client.welcomed("/").await;
    client.expect_nothing().await;
}

#[tokio::test]
async fn one_that_goes_while_it_is_decided_on_never_comes() {
    let io = SocketIo::new();
    let (tell, mut told) = journal();
    let (came, mut coming) = journal();
    let gate = Arc::new(Notify::new());
    let closed = Arc::clone(&gate);
    io.use_(move |socket: Socket| {
        let (closed, came) = (Arc::clone(&closed), came.clone());
        async move {
            let _ = socket.join("room");
            let _ = came.send(());
            closed.notified().await;
            Ok(())
        }
    });
    io.on_connect(move || {
        let _ = tell.send("came");
        ready(())
    });
    let address = serve(&io).await;
    let poller = Poller::open(address).await;
    poller.say("40").await;
    coming.next().await;
    poller.say("1").await;
    gate.notify_one();
    // The next one is decided on after it.
    let next = Poller::open(address).await;
    next.say("40").await;
    coming.next().await;
    gate.notify_one();
    assert!(next.poll().await.starts_with("40{"));
    assert_eq!(told.next().await, "came");
    assert!(told.so_far().is_empty());
    assert_eq!(io.of("/").count_in("room"), 1);
}

#[tokio::test]
async fn one_that_a_middleware_disconnects_is_refused() {
    let io = SocketIo::new();
    io.use_(async |socket: Socket| {
        socket.disconnect();
        Ok(())
    });
    let mut client = Client::open(serve(&io).await).await;
    client.say("40").await;
    client.expect(r#"44{"message":"the server has disconnected this socket"}"#).await;
}

#[tokio::test]
async fn a_namespace_has_middlewares_of_its_own() {
    let io = SocketIo::new();
    io.use_(async || Err(Refusal::new("only others")));
    io.of("/chat").use_(async || Ok(()));
    let mut client = Client::open(serve(&io).await).await;
    client.say("40").await;
    client.expect(r#"44{"message":"only others"}"#).await;
    client.enter("/chat").await;
}

#[tokio::test]
async fn a_middleware_that_panics_lets_nobody_in_and_ends_nothing() {
    let io = SocketIo::new();
    fenced(&io, "/other");
    io.use_(async |socket: Socket| match socket.join("room") {
        Ok(()) => panic!("a bug in a middleware"),
        Err(error) => Err(Refusal::new(error.to_string())),
    });
    let mut client = Client::open(serve(&io).await).await;
    client.say("40").await;
    client.expect(r#"44{"message":"internal error"}"#).await;
    assert_eq!(io.of("/").count_in("room"), 0);
    client.enter("/other").await;
    client.expect_nothing_in("/other").await;
}

#[tokio::test]
async fn rooms_that_a_middleware_joined_are_kept() {
    let io = SocketIo::new();
    io.use_(async |socket: Socket| {
        let _ = socket.join("vip");
        Ok(())
    });
    let mut client = Client::join(serve(&io).await).await;
    io.to("vip").emit("hello", &()).unwrap();
    client.expect(r#"42["hello"]"#).await;
    assert_eq!(io.of("/").socket(&client.id).map(|socket| socket.rooms().len()), Some(2));
}
