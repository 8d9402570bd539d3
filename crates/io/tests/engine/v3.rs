//! Clients of protocol v3: their payloads, their heartbeat, JSON-P.

use switchboard_io::engine::{CloseReason, EngineConfig, ParcelOptions, Protocol, SessionConfig, parcel};
use switchboard_testkit::{Wire, frame};
use switchboard_ws::Message;

use crate::support::{Client, Heard, Host, post, quick, sid, text};

const V3: &str = "/engine.io/?EIO=3&transport=polling&b64=1";

fn config() -> EngineConfig {
    EngineConfig { session: SessionConfig { allow_eio3: true, ..SessionConfig::default() }, ..EngineConfig::default() }
}

async fn open(host: &mut Host) -> Client {
    let mut gets = Wire::connect(host.address).await;
    let response = gets.get(V3).await;
    let (length, packet) = response.body.split_once(':').expect("a length");
    assert_eq!(length, packet.len().to_string());
    let sid = sid(packet);
    let path = format!("{V3}&sid={sid}");
    Client { address: host.address, path, sid, gets, posts: Wire::connect(host.address).await }
}

#[tokio::test]
async fn payloads_have_lengths_and_the_client_pings() {
    let mut host = Host::new(config()).await;
    let mut client = open(&mut host).await;
    let session = host.session().await;
    assert_eq!(session.protocol(), Protocol::V3);
    assert_eq!(client.post("1:22:4€10:b4AQIDBA==").await.body, "ok");
    assert_eq!(host.heard().await, Heard::Message("€".into()));
    assert_eq!(host.heard().await, Heard::Message(vec![1, 2, 3, 4].into()));
    assert_eq!(client.poll().await.body, "1:32:4€10:b4AQIDBA==");
}

#[tokio::test]
async fn a_client_that_takes_bytes_gets_bytes() {
    let mut host = Host::new(config()).await;
    let mut wire = Wire::connect(host.address).await;
    let path = V3.replace("&b64=1", "");
    let opened = wire.get(&path).await;
    let session = host.session().await;
    session.send(parcel([Message::from(vec![1, 2, 3])], ParcelOptions::default()));
    let path = format!("{path}&sid={}", sid(&opened.body));
    wire.send(format!("GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")).await;
    let head = wire.head().await;
    assert!(head.contains("content-type: application/octet-stream\r\n"), "{head}");
    assert_eq!(wire.rest().await, [1, 4, 255, 4, 1, 2, 3]);
}

#[tokio::test]
async fn a_websocket_of_v3_has_the_type_before_bytes() {
    let mut host = Host::new(config()).await;
    let mut wire = Wire::open(host.address, "/engine.io/?EIO=3&transport=websocket").await;
    assert!(text(&mut wire).await.starts_with("0{"));
    host.session().await;
    wire.say(&frame::binary([4, 7, 8]).masked()).await;
    assert_eq!(host.heard().await, Heard::Message(vec![7, 8].into()));
    let echo = wire.frame().await;
    assert_eq!((echo.first, echo.payload), (0x82, vec![4, 7, 8]));
    wire.say(&frame::text("2").masked()).await;
    assert_eq!(text(&mut wire).await, "3");
}

#[tokio::test]
async fn a_client_that_stops_pinging_is_closed() {
    let config = EngineConfig { session: SessionConfig { allow_eio3: true, ..quick().session }, ..quick() };
    let mut host = Host::new(config).await;
    let mut wire = Wire::open(host.address, "/engine.io/?EIO=3&transport=websocket").await;
    host.session().await;
    assert!(text(&mut wire).await.starts_with("0{"));
    assert_eq!(wire.frame().await, frame::empty_close());
    assert_eq!(host.heard().await, Heard::Closed(CloseReason::PingTimeout));
}

#[tokio::test]
async fn jsonp_answers_scripts_and_takes_forms() {
    let mut host = Host::new(config()).await;
    let path = "/engine.io/?EIO=3&transport=polling&j=7";
    let mut wire = Wire::connect(host.address).await;
    let opened = wire.get(path).await;
    assert_eq!(opened.header("content-type"), Some("text/javascript; charset=utf-8"));
    let unescaped = opened.body.replace('\\', "");
    assert!(opened.body.starts_with("___eio[7](\"") && opened.body.ends_with("\");"), "{opened:?}");
    let path = format!("{path}&sid={}", sid(&unescaped));
    let form = "Content-Type: application/x-www-form-urlencoded\r\n";
    wire.send(post(&path, form, "d=6%3A4hello")).await;
    assert_eq!(wire.response().await.body, "ok");
    host.session().await;
    assert_eq!(host.heard().await, Heard::Message("hello".into()));
    assert_eq!(wire.get(&path).await.body, r#"___eio[7]("6:4hello");"#);
}

/// What ends a string or a line in a script, and what a form changes.
#[tokio::test]
async fn jsonp_brings_awkward_characters_through_both_ways() {
    let mut host = Host::new(config()).await;
    let path = "/engine.io/?EIO=3&transport=polling&j=0";
    let mut wire = Wire::connect(host.address).await;
    let opened = wire.get(path).await.body;
    let path = format!("{path}&sid={}", sid(&opened.replace('\\', "")));
    host.session().await;
    let form = "Content-Type: application/x-www-form-urlencoded\r\n";
    // A line feed is written as `\n`, what was `\n` before as `\\n`; a length counts UTF-16 units of the message
    // itself.
    for (posted, message, script) in [
        (r"4%3A4a%5Cnb", "a\nb", r#"4:4a\nb"#),
        (r"5%3A4a%5C%5Cnb", r"a\nb", r#"5:4a\\nb"#),
        (r"4%3A4a%0Ab", "a\nb", r#"4:4a\nb"#),
        (r"4%3A4a%5Cb", r"a\b", r#"4:4a\\b"#),
        ("4%3A4a+%2B", "a +", "4:4a +"),
        ("3%3A4%E2%80%A8%E2%80%A9", "\u{2028}\u{2029}", r"3:4\u2028\u2029"),
        ("3%3A4%F0%9F%91%8B", "👋", "3:4👋"),
        (r"7%3A4%22%27%3C%2F%26%0D", "\"'</&\r", r#"7:4\"'</&\r"#),
    ] {
        wire.send(post(&path, form, &format!("d={posted}"))).await;
        assert_eq!(wire.response().await.body, "ok", "{posted}");
        assert_eq!(host.heard().await, Heard::Message(message.into()));
        let answer = wire.get(&path).await;
        assert_eq!(answer.body, format!("___eio[0](\"{script}\");"), "{posted}");
    }
    // A form without the field says nothing, as in Node.
    for silent in ["x=1", "", "d=1&d=2"] {
        wire.send(post(&path, form, silent)).await;
        assert_eq!(wire.response().await.body, "ok", "{silent}");
    }
    wire.send(post(&path, form, "d=abc")).await;
    assert_eq!(wire.response().await.body, "ok");
    assert_eq!(host.heard().await, Heard::Closed(CloseReason::ParseError));
}
