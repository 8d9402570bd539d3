//! What one client may cost: beyond each limit it is refused or closed, and nobody else hears of it.

use std::time::Duration;

use switchboard_io::{AckError, EmitError, HubLimits, JoinError, Limits, Socket, SocketIo};
use switchboard_ws::Hub;

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
}

#[tokio::test]
async fn attachments_that_come_in_time_do_not() {
    let io = SocketIo::builder().connect_timeout(Duration::from_millis(100)).build();
    fenced(&io, "/");
    let address = serve(&io).await;
    let mut client = Client::join(address).await;
    client.say(r#"452-["b",{"_placeholder":true,"num":0},{"_placeholder":true,"num":1}]"#).await;
    // One that joins no namespace is closed meanwhile: its time is not that of attachments.
    Client::open(address).await.expect_end().await;
    client.say_bytes(&[1]).await;
    client.say_bytes(&[2]).await;
    client.expect_nothing().await;
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
}

#[tokio::test]
async fn one_room_too_many_is_not_joined() {
    let io = SocketIo::builder().hub(Hub::new(HubLimits { topics_per_member: 4, topic_bytes: 20 })).build();
    let client = Client::join(serve(&io).await).await;
    let socket = io.of("/").socket(&client.id).unwrap();
    socket.join(["a", "b", "d"]).unwrap();
    assert_eq!(socket.join("c"), Err(JoinError::TooManyTopics { limit: 4 }));
    socket.leave("a");
    assert!(matches!(socket.join("a very long name of a room"), Err(JoinError::TopicTooLong { limit: 20, .. })));
    socket.join("c").unwrap();
    assert_eq!(io.of("/").count_in("c"), 1);
}

#[tokio::test]
async fn one_client_too_many_is_told_to_come_back() {
    let io = SocketIo::builder().max_clients(1).build();
    let address = serve(&io).await;
    let client = Client::join(address).await;
    assert_eq!(get(address, "/socket.io/?EIO=4&transport=polling").await.status, 503);
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
    client.expect_end().await;
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
}
