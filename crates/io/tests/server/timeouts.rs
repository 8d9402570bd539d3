//! How long an answer of one socket is waited for.

use std::time::Duration;

use switchboard_io::{Ack, AckError, Socket, SocketIo};
use switchboard_testkit::within;

use crate::client::{Client, fenced, journal, serve};

const SHORT: Duration = Duration::from_millis(30);
const LONG: Duration = Duration::from_secs(600);

#[tokio::test]
async fn an_answer_that_does_not_come_is_an_error() {
    let io = SocketIo::builder().ack_timeout(SHORT).build();
    fenced(&io, "/");
    let (tell, mut told) = journal();
    io.on_connect(move |socket: Socket| {
        let tell = tell.clone();
        async move {
            let _ = tell.send(socket.timeout(SHORT).emit_with_ack::<()>("ask", &()).await);
            let _ = tell.send(socket.emit_with_ack::<()>("ask", &()).await);
        }
    });
    let mut client = Client::join(serve(&io).await).await;
    client.expect(r#"420["ask"]"#).await;
    assert_eq!(told.next().await, Err(AckError::Timeout));
    client.expect(r#"421["ask"]"#).await;
    assert_eq!(told.next().await, Err(AckError::Timeout));
    // One that is late is not heard, and breaks nothing.
    client.say("430[]").await;
    client.expect_nothing().await;
}

#[tokio::test]
async fn an_answer_in_time_is_given() {
    let io = SocketIo::new();
    let (tell, mut told) = journal();
    io.on_connect(move |socket: Socket| {
        let tell = tell.clone();
        async move {
            let _ = tell.send(socket.timeout(LONG).emit_with_ack::<(u8, bool)>("ask", "x").await);
        }
    });
    let mut client = Client::join(serve(&io).await).await;
    client.expect(r#"420["ask","x"]"#).await;
    client.say("430[1,true]").await;
    assert_eq!(told.next().await, Ok((1, true)));
}

#[tokio::test]
async fn a_timeout_changes_nothing_for_events_that_want_no_answer() {
    let io = SocketIo::new();
    io.on_connect(async |socket: Socket| socket.timeout(SHORT).emit("told", &()));
    let mut client = Client::join(serve(&io).await).await;
    client.expect(r#"42["told"]"#).await;
}

#[tokio::test]
async fn answers_are_told_apart_in_any_order() {
    let io = SocketIo::new();
    io.on_connect(async |socket: Socket| {
        socket.on("both", async |socket: Socket, ack: Ack| {
            let (one, two) = (socket.emit_with_ack::<u8>("one", &()), socket.emit_with_ack::<u8>("two", &()));
            let (one, two) = tokio::join!(one, two);
            ack.send(&(one.ok(), two.ok()))
        });
    });
    let mut client = Client::join(serve(&io).await).await;
    client.say(r#"429["both"]"#).await;
    client.expect(r#"420["one"]"#).await;
    client.expect(r#"421["two"]"#).await;
    client.say("431[2]").await;
    client.say("430[1]").await;
    client.expect("439[1,2]").await;
}

#[tokio::test]
async fn who_has_answered_is_timed_no_longer() {
    let io = SocketIo::new();
    let mut client = Client::join(serve(&io).await).await;
    let socket = io.of("/").socket(&client.id).unwrap();
    let tasks = tokio::runtime::Handle::current().metrics();
    let before = tasks.num_alive_tasks();
    let (tell, mut told) = journal();
    for id in 0..20 {
        let tell = tell.clone();
        let then = move |answer: Result<u8, AckError>| drop(tell.send(answer));
        socket.timeout(Duration::from_secs(3600)).emit_then("ask", &(), then).unwrap();
        client.expect(&format!("42{id}[\"ask\"]")).await;
        client.say(&format!("43{id}[{id}]")).await;
        assert_eq!(told.next().await, Ok(id));
    }
    within("the tasks to end", async {
        while tasks.num_alive_tasks() > before {
            tokio::task::yield_now().await;
        }
    })
    .await;
    // One that does not answer is.
    let then = move |answer: Result<u8, AckError>| drop(tell.send(answer));
    socket.timeout(Duration::from_millis(1)).emit_then("ask", &(), then).unwrap();
    assert_eq!(told.next().await, Err(AckError::Timeout));
}
