//! Polls and posts: payloads, overlaps, limits.

use std::time::Duration;

use switchboard_io::engine::{CloseReason, EngineConfig, Limit, ParcelOptions, SessionConfig, parcel};
use switchboard_testkit::{Response, Wire, within};
use switchboard_ws::{Message, Pushed};

use crate::support::{Heard, Host, post};

#[tokio::test]
async fn messages_go_both_ways_and_many_in_one_payload() {
    let mut host = Host::new(EngineConfig::default()).await;
    let (mut client, session) = host.polling().await;
    let response = client.post("4one\u{1e}bAQIDBA==\u{1e}4€").await;
    assert_eq!((response.status, &*response.body), (200, "ok"));
    assert_eq!(response.header("content-type"), Some("text/html"));
    assert_eq!(host.heard().await, Heard::Message("one".into()));
    assert_eq!(host.heard().await, Heard::Message(vec![1, 2, 3, 4].into()));
    assert_eq!(host.heard().await, Heard::Message("€".into()));
    assert_eq!(client.poll().await.body, "4one\u{1e}bAQIDBA==\u{1e}4€");
    client.ask().await;
    session.send(parcel([Message::from("4a"), Message::from(vec![7])], ParcelOptions::default()));
    assert_eq!(client.gets.response().await.body, "4a\u{1e}bBw==", "what belongs together stays together");
}

#[tokio::test]
async fn what_is_published_to_a_topic_reaches_its_members() {
    let mut host = Host::new(EngineConfig::default()).await;
    let (mut polling, one) = host.polling().await;
    let (mut websocket, two) = host.websocket().await;
    for session in [&one, &two] {
        session.member().subscribe("room").expect("a topic");
    }
    polling.ask().await;
    let delivery = host.engine.hub().publish("room", parcel([Message::from("4all")], ParcelOptions::default()));
    assert_eq!(delivery.reached, 2);
    assert_eq!(polling.gets.response().await.body, "4all");
    assert_eq!(crate::support::text(&mut websocket).await, "4all");
}

#[tokio::test]
async fn a_second_poll_ends_the_session() {
    let mut host = Host::new(EngineConfig::default()).await;
    let (mut client, session) = host.polling().await;
    client.ask().await;
    // The echo of this says that the poll has been seen.
    client.post("4seen").await;
    assert_eq!(client.gets.response().await.body, "4seen");
    assert_eq!(host.heard().await, Heard::Message("seen".into()));
    client.ask().await;
    client.post("4quiet").await;
    wait_for_poll(&session).await;
    let mut other = Wire::connect(host.address).await;
    let second = other.get(&client.path).await;
    let first = client.gets.response().await;
    assert_eq!((second.status, &*second.body), (400, ""));
    assert_eq!(first.body, "1");
    assert_eq!(host.heard().await, Heard::Message("quiet".into()));
    assert_eq!(host.heard().await, Heard::Closed(CloseReason::TransportError));
    assert_eq!(client.poll().await.body, r#"{"code":1,"message":"Session ID unknown"}"#);
}

/// A volatile parcel is taken only while a poll waits.
async fn wait_for_poll(session: &switchboard_io::engine::Session) {
    let volatile = ParcelOptions { volatile: true, ..ParcelOptions::default() };
    within("a poll", async {
        while session.send(parcel(Vec::new(), volatile)) == Pushed::Dropped {
            tokio::task::yield_now().await;
        }
    })
    .await;
}

#[tokio::test]
async fn a_second_post_ends_the_session() {
    let mut host = Host::new(EngineConfig::default()).await;
    let (mut client, _) = host.polling().await;
    let whole = post(&client.path, "", "4long");
    client.posts.send(&whole[..whole.len() - 1]).await;
    let mut other = Wire::connect(host.address).await;
    // The first may not have been seen yet: the second is then answered, and the third is not.
    let status = loop {
        other.send(post(&client.path, "", "4quiet")).await;
        let response = other.response().await;
        if response.status != 200 {
            break (response.status, response.body);
        }
    };
    assert_eq!(status, (400, String::new()));
    while let Heard::Message(_) = host.heard().await {}
    assert_eq!(host.engine.metrics().closed(CloseReason::TransportError), 1);
}

#[tokio::test]
async fn a_body_that_is_too_long_is_refused_and_the_session_goes_on() {
    let session = SessionConfig { max_payload: 10, ..SessionConfig::default() };
    let mut host = Host::new(EngineConfig { session, ..EngineConfig::default() }).await;
    let (mut client, _) = host.polling().await;
    let response = client.post("4123456789x").await;
    assert_eq!((response.status, &*response.body), (413, ""));
    assert_eq!(host.engine.metrics().payloads_too_large(), 1);
    let chunked = "Transfer-Encoding: chunked\r\n\r\nb\r\n4123456789x\r\n0\r\n\r\n";
    client.posts.send(format!("POST {} HTTP/1.1\r\nHost: localhost\r\n{chunked}", client.path)).await;
    assert_eq!(client.posts.response().await.status, 413);
    assert_eq!(client.post("4123456789").await.status, 200);
    assert_eq!(host.heard().await, Heard::Message("123456789".into()));
}

/// A connection closed over bytes that nobody read is reset, and takes the answer with it.
#[tokio::test]
async fn whoever_still_sends_what_was_refused_gets_the_answer_and_keeps_the_connection() {
    let mut host = Host::new(EngineConfig::default()).await;
    let (mut client, _) = host.polling().await;
    let refused = [(client.path.as_str(), 413), ("/engine.io/?EIO=4&transport=polling&sid=unknown", 400)];
    for (path, status) in refused {
        let length = 1_000_001;
        let head = format!("POST {path} HTTP/1.1\r\nHost: localhost\r\nContent-Length: {length}\r\n\r\n");
        client.posts.send(head).await;
        assert_eq!(client.posts.response().await.status, status);
        client.posts.send(vec![b'4'; length]).await;
    }
    assert_eq!(client.post("4quiet").await.status, 200);
}

/// The time is for the whole body: this one never stops to come.
#[tokio::test]
async fn a_body_that_takes_too_long_is_refused_and_ends_the_session() {
    let config = EngineConfig { body_timeout: Duration::from_millis(50), ..EngineConfig::default() };
    let mut host = Host::new(config).await;
    let (mut client, _) = host.polling().await;
    // One that comes in time is not concerned.
    assert_eq!(client.post("4quiet").await.status, 200);
    assert_eq!(host.heard().await, Heard::Message("quiet".into()));
    let head = "Content-Length: 500000\r\nContent-Type: text/plain;charset=UTF-8";
    client.posts.send(format!("POST {} HTTP/1.1\r\nHost: localhost\r\n{head}\r\n\r\n4", client.path)).await;
    let mut sent = 0;
    within("the limit", async {
        while host.engine.metrics().limit(Limit::BodyTime) == 0 {
            // Slowly enough not to be done first, whatever the machine does meanwhile.
            sent = 100_000.min(sent + 1);
            if sent < 100_000 {
                client.posts.send("x").await;
            }
            tokio::task::yield_now().await;
        }
    })
    .await;
    let answer = client.posts.response().await;
    assert_eq!((answer.status, &*answer.body, answer.header("connection")), (408, "", Some("close")));
    assert_eq!(host.heard().await, Heard::Closed(CloseReason::TransportError));
    assert_eq!(client.poll().await.body, r#"{"code":1,"message":"Session ID unknown"}"#);
}

#[tokio::test]
async fn answers_stay_below_the_largest_payload() {
    let session = SessionConfig { max_payload: 100, ..SessionConfig::default() };
    let mut host = Host::new(EngineConfig { session, ..EngineConfig::default() }).await;
    let (mut client, session) = host.polling().await;
    for number in 0..50 {
        session.send_text(&format!("4message {number}"));
    }
    session.send_text(&format!("4{}", "x".repeat(200)));
    session.send_text("4end");
    let mut received = Vec::new();
    while received.last().is_none_or(|last| last != "4end") {
        let body = client.poll().await.body;
        assert!(body.len() <= 100 || !body.contains('\u{1e}'), "{body}");
        received.extend(body.split('\u{1e}').map(str::to_owned));
    }
    let expected: Vec<_> = (0..50).map(|number| format!("4message {number}")).collect();
    assert_eq!(received[..50], expected);
    assert_eq!(received.len(), 52);
}

#[tokio::test]
async fn what_is_no_packet_ends_the_session_after_what_came_before() {
    let mut host = Host::new(EngineConfig::default()).await;
    let (mut client, _) = host.polling().await;
    is_ok(&client.post("4good\u{1e}abc\u{1e}4never").await);
    assert_eq!(host.heard().await, Heard::Message("good".into()));
    assert_eq!(host.heard().await, Heard::Closed(CloseReason::ParseError));
    assert_eq!(client.poll().await.status, 400);
}

fn is_ok(response: &Response) {
    assert_eq!((response.status, &*response.body), (200, "ok"));
}

/// The answers of Node 20 with `engine.io` 6.6.
#[tokio::test]
async fn a_post_that_ends_its_session_is_answered_like_others() {
    let mut host = Host::new(EngineConfig::default()).await;
    for (body, reason) in [
        ("abc", CloseReason::ParseError),
        ("", CloseReason::ParseError),
        ("7", CloseReason::ParseError),
        ("4x\u{1e}\u{1e}4y", CloseReason::ParseError),
        ("2", CloseReason::TransportError),
        ("1", CloseReason::TransportClose),
    ] {
        let (mut client, _) = host.polling().await;
        is_ok(&client.post(body).await);
        if body.starts_with("4x") {
            assert_eq!(host.heard().await, Heard::Message("x".into()));
        }
        assert_eq!(host.heard().await, Heard::Closed(reason), "{body}");
        assert_eq!(client.poll().await.body, r#"{"code":1,"message":"Session ID unknown"}"#, "{body}");
    }
}

#[tokio::test]
async fn what_is_no_utf_8_and_no_base64_is_read_as_node_reads_it() {
    let mut host = Host::new(EngineConfig::default()).await;
    let (mut client, _) = host.polling().await;
    let length = "Content-Length: 5\r\n\r\n";
    let head = format!("POST {} HTTP/1.1\r\nHost: localhost\r\n{length}", client.path);
    client.posts.send([head.as_bytes(), b"4a\xff\xfeb"].concat()).await;
    is_ok(&client.posts.response().await);
    assert_eq!(host.heard().await, Heard::Message("a\u{fffd}\u{fffd}b".into()));
    is_ok(&client.post("bYQ==!!\u{1e}b!Y!Q\u{1e}4end").await);
    assert_eq!(host.heard().await, Heard::Message(b"a".to_vec().into()));
    assert_eq!(host.heard().await, Heard::Message(b"a".to_vec().into()));
    assert_eq!(host.heard().await, Heard::Message("end".into()));
}

#[tokio::test]
async fn bytes_are_no_payload_of_v4() {
    let mut host = Host::new(EngineConfig::default()).await;
    let (mut client, _) = host.polling().await;
    client.posts.send(post(&client.path, "Content-Type: application/octet-stream\r\n", "4x")).await;
    let response = client.posts.response().await;
    assert_eq!((response.status, &*response.body), (400, ""));
    assert_eq!(host.heard().await, Heard::Closed(CloseReason::TransportError));
}

#[tokio::test]
async fn a_paused_client_waits_for_the_answer_to_its_post() {
    let mut host = Host::new(EngineConfig::default()).await;
    let (mut client, session) = host.polling().await;
    session.pause();
    client.posts.send(post(&client.path, "", "4one")).await;
    assert_eq!(host.heard().await, Heard::Message("one".into()));
    session.resume();
    assert_eq!(client.posts.response().await.body, "ok");
    session.pause();
    client.posts.send(post(&client.path, "", "4two")).await;
    assert_eq!(host.heard().await, Heard::Message("two".into()));
    // That this is one too many shows that the one before is still open.
    let mut other = Wire::connect(host.address).await;
    other.send(post(&client.path, "", "4three")).await;
    assert_eq!(other.response().await.status, 400);
    assert_eq!(host.heard().await, Heard::Closed(CloseReason::TransportError));
}

#[tokio::test]
async fn a_client_that_fetches_nothing_loses_its_session() {
    let outbox = switchboard_ws::OutboxLimits { messages: 10, ..switchboard_ws::OutboxLimits::default() };
    let mut host = Host::new(EngineConfig { outbox, ..EngineConfig::default() }).await;
    let (_client, session) = host.polling().await;
    for _ in 0..10 {
        assert_eq!(session.send_text("4x"), Pushed::Buffered);
    }
    assert_eq!(session.send_text("4x"), Pushed::Overflowed);
    assert_eq!(host.heard().await, Heard::Closed(CloseReason::TransportError));
    assert_eq!(session.send_text("4x"), Pushed::Closed);
    assert_eq!(host.engine.metrics().overflowed(), 1);
}

#[tokio::test]
async fn a_body_may_come_in_pieces_and_in_chunks() {
    let mut host = Host::new(EngineConfig::default()).await;
    let (mut client, _) = host.polling().await;
    let whole = post(&client.path, "", "4in pieces");
    let (start, rest) = whole.split_at(whole.len() - 6);
    client.posts.send(start).await;
    // That the server has served another request shows that it has seen the piece alone.
    assert_eq!(Wire::connect(host.address).await.get("/engine.io/").await.status, 400);
    client.posts.send(rest).await;
    assert_eq!(client.posts.response().await.body, "ok");
    assert_eq!(host.heard().await, Heard::Message("in pieces".into()));
    let chunks = "Transfer-Encoding: chunked\r\n\r\n3\r\n4in\r\n7\r\n chunks\r\n0\r\n\r\n";
    client.posts.send(format!("POST {} HTTP/1.1\r\nHost: localhost\r\n{chunks}", client.path)).await;
    assert_eq!(client.posts.response().await.body, "ok");
    assert_eq!(host.heard().await, Heard::Message("in chunks".into()));
}

#[tokio::test]
async fn a_client_may_connect_anew_for_each_request() {
    let mut host = Host::new(EngineConfig::default()).await;
    let (client, _) = host.polling().await;
    let close = "Connection: close\r\n";
    for _ in 0..3 {
        let mut wire = Wire::connect(host.address).await;
        wire.send(post(&client.path, close, "4test")).await;
        assert_eq!(wire.response().await.body, "ok");
        let mut wire = Wire::connect(host.address).await;
        wire.send(format!("GET {} HTTP/1.1\r\nHost: localhost\r\n{close}\r\n", client.path)).await;
        assert_eq!(wire.response().await.body, "4test");
        assert_eq!(host.heard().await, Heard::Message("test".into()));
    }
}
