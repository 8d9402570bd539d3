//! `/rooms/{name}`.

use switchboard_testkit::{Response, Wire};
use tokio_tungstenite::tungstenite::Message;

use crate::server::{Server, hear, leave, next, say};

fn members(response: &Response) -> (String, u64) {
    assert_eq!((response.status, response.header("content-type")), (200, Some("application/json")));
    let told: serde_json::Value = serde_json::from_str(&response.body).unwrap();
    (told["room"].as_str().unwrap().to_owned(), told["members"].as_u64().unwrap())
}

#[tokio::test]
async fn what_a_member_says_goes_to_the_others() {
    let server = Server::start(&[]).await;
    let mut ann = server.join("/rooms/lobby").await;
    let mut bob = server.join("/rooms/lobby").await;
    let mut cay = server.join("/rooms/lobby").await;
    let mut elsewhere = server.join("/rooms/attic").await;
    for message in [Message::text("héllo"), Message::binary(vec![255, 0])] {
        say(&mut ann, message.clone()).await;
        assert_eq!(next(&mut bob).await, message);
        assert_eq!(next(&mut cay).await, message);
    }
    // Had anything come to the wrong ones, it would come first.
    say(&mut bob, "from bob").await;
    assert_eq!(hear(&mut ann).await, "from bob");
    let mut other = server.join("/rooms/attic").await;
    say(&mut other, "in the attic").await;
    assert_eq!(hear(&mut elsewhere).await, "in the attic");
}

#[tokio::test]
async fn the_sender_hears_itself_when_it_asks_to() {
    let server = Server::start(&[]).await;
    let mut ann = server.join("/rooms/lobby?self=1").await;
    let mut bob = server.join("/rooms/lobby?self=0").await;
    for message in [Message::text("hello"), Message::binary(vec![1])] {
        say(&mut ann, message.clone()).await;
        assert_eq!(next(&mut ann).await, message);
        assert_eq!(next(&mut bob).await, message);
    }
    say(&mut bob, "not to me").await;
    assert_eq!(hear(&mut ann).await, "not to me");
    say(&mut ann, "to both").await;
    assert_eq!(hear(&mut bob).await, "to both");
}

/// Whatever is said once a newcomer's connection is open reaches it, by both ways in.
#[tokio::test]
async fn who_has_come_in_misses_nothing() {
    for driver in ["auto", "task"] {
        let server = Server::start(&["--driver", driver, "--workers", "2"]).await;
        let mut ann = server.join("/rooms/lobby").await;
        let mut bob = server.join("/rooms/lobby").await;
        for _ in 0..200 {
            let mut newcomer = server.connect("/rooms/lobby").await;
            say(&mut ann, "welcome").await;
            assert_eq!(hear(&mut bob).await, "welcome");
            assert_eq!(hear(&mut newcomer).await, "welcome", "{driver}");
            leave(newcomer).await;
        }
    }
}

#[tokio::test]
async fn members_are_counted() {
    let server = Server::start(&[]).await;
    let count = async || members(&server.get("/rooms/lobby").await).1;
    assert_eq!(members(&server.get("/rooms/lobby").await), ("lobby".into(), 0));
    let ann = server.join("/rooms/lobby").await;
    assert_eq!(count().await, 1);
    let bob = server.join("/rooms/lobby").await;
    assert_eq!(count().await, 2);
    leave(ann).await;
    server.eventually("/rooms/lobby", |response| members(response).1 == 1).await;
    // Gone without a word.
    drop(bob);
    server.eventually("/rooms/lobby", |response| members(response).1 == 0).await;
}

#[tokio::test]
async fn names_are_any_text() {
    let server = Server::start(&[]).await;
    let mut ann = server.join("/rooms/caf%C3%A9%20%2F%20bar").await;
    let mut bob = server.join("/rooms/caf%c3%a9%20%2f%20%62ar").await;
    say(&mut ann, "same room").await;
    assert_eq!(hear(&mut bob).await, "same room");
    assert_eq!(members(&server.get("/rooms/caf%C3%A9%20%2F%20bar").await), ("café / bar".into(), 2));
    assert_eq!(server.get("/rooms/%FF").await.status, 400, "not UTF-8");
}

#[tokio::test]
async fn names_that_are_too_long_are_refused() {
    let server = Server::start(&[]).await;
    let longest = format!("/rooms/{}", "x".repeat(256));
    let _ann = server.join(&longest).await;
    assert_eq!(members(&server.get(&longest).await).1, 1);

    // Bytes count, not letters.
    let longer = format!("/rooms/{}x", "%C3%A9".repeat(128));
    let sentence = "The name of a room has 256 bytes at most; this one has 257.\n";
    let plain = server.get(&longer).await;
    assert_eq!((plain.status, &*plain.body), (400, sentence));
    let upgrade = Wire::ask(server.address(), &longer, "").await.response().await;
    assert_eq!((upgrade.status, &*upgrade.body), (400, sentence));
}
