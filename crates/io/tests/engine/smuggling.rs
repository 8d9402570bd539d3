//! Requests that can be read in two ways, at a listener of ours: hyper, which serves what is no plain poll, sees none of
//! them. How each kind of them is refused is told in full by the tests of the framing, and of the binary.
#![cfg(unix)]

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;

use switchboard_io::engine::{Engine, EngineConfig, Hooks, Secure};
use switchboard_testkit::Wire;
use switchboard_ws::Config;
use tokio::net::TcpListener;

use crate::support::{POLLING, engine};

/// What an attacker hopes to see answered.
const SMUGGLED: &str = "GET /engine.io/?EIO=4&transport=polling HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n";

async fn listen(config: EngineConfig) -> (Engine, SocketAddr) {
    let (engine, mut heard) = engine(config);
    tokio::spawn(async move { while heard.recv().await.is_some() {} });
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.expect("a free port");
    let address = listener.local_addr().expect("an address");
    let serving = engine.clone();
    tokio::spawn(async move { serving.serve(listener).await });
    (engine, address)
}

/// All that is answered until the server closes.
async fn told(address: SocketAddr, bytes: &str) -> String {
    let mut wire = Wire::connect(address).await;
    wire.send(bytes).await;
    String::from_utf8(wire.rest().await).expect("text")
}

fn statuses(told: &str) -> Vec<&str> {
    told.split("HTTP/1.1 ").skip(1).map(|answer| &answer[..3]).collect()
}

/// What all others here would prove nothing without.
#[tokio::test]
async fn proper_requests_are_answered_in_order() {
    let (engine, address) = listen(EngineConfig::default()).await;
    let other = "GET /other HTTP/1.1\r\nHost: a\r\n\r\n";
    assert_eq!(statuses(&told(address, &format!("{other}{other}{SMUGGLED}")).await), ["404", "404", "200"]);
    assert_eq!(engine.sessions(), 1);
}

#[tokio::test]
async fn what_can_be_read_in_two_ways_is_refused() {
    let websockets = Config::default();
    let metrics = Arc::clone(websockets.get_metrics());
    let (engine, address) = listen(EngineConfig { websockets, ..EngineConfig::default() }).await;
    let mut refused = 0;
    for lines in [
        "Content-Length: 5\r\nTransfer-Encoding: chunked",
        "Transfer-Encoding: chunked\r\nContent-Length: 5",
        "Content-Length: 5\r\nContent-Length: 5",
        "Content-Length: 0, 5",
        "Content-Length: +5",
        "Transfer-Encoding: gzip, chunked",
        "Transfer-Encoding: chunked\r\nTransfer-Encoding: identity",
        "X: a\r\n Content-Length: 5",
        "X: a\nContent-Length: 5",
        "X: a\rContent-Length: 5",
        "Host: b",
    ] {
        for first in ["GET /other", &format!("GET {POLLING}"), &format!("POST {POLLING}")] {
            let request = format!("{first} HTTP/1.1\r\nHost: a\r\n{lines}\r\n\r\n0\r\n\r\n{SMUGGLED}");
            let told = told(address, &request).await;
            assert_eq!(statuses(&told), ["400"], "{request:?}");
            assert!(told.to_ascii_lowercase().contains("\r\nconnection: close\r\n"), "{told}");
            assert!(told.ends_with("This request can be read in two ways: it needs one Host, lines that end with CR LF, and one length.\n"), "{told}");
            refused += 1;
            assert_eq!(metrics.snapshot().refused.get("ambiguous"), Some(&refused));
        }
    }
    assert_eq!(engine.sessions(), 0);
}

/// What comes before is still answered.
#[tokio::test]
async fn behind_other_requests_the_guard_stands_as_well() {
    let (engine, address) = listen(EngineConfig::default()).await;
    let both = "Content-Length: 4\r\nTransfer-Encoding: chunked";
    for first in [POLLING, "/other"] {
        let first = format!("GET {first} HTTP/1.1\r\nHost: a\r\n\r\n");
        let told =
            told(address, &format!("{first}POST /x HTTP/1.1\r\nHost: a\r\n{both}\r\n\r\n0\r\n\r\n{SMUGGLED}")).await;
        assert_eq!(statuses(&told)[1..], ["400"], "{told}");
    }
    assert_eq!(engine.sessions(), 1);
}

/// Only hyper knows where chunks end, and nobody what follows a request for a WebSocket.
#[tokio::test]
async fn what_ends_in_doubt_is_the_last_of_its_connection() {
    let (engine, address) = listen(EngineConfig::default()).await;
    let key = "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n";
    let upgrade = format!("Connection: Upgrade\r\nUpgrade: websocket\r\n{key}");
    for request in [
        "POST /other HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nx\r\n0\r\n\r\n".to_owned(),
        format!("GET /other HTTP/1.1\r\nHost: a\r\n{upgrade}\r\n"),
        format!("GET {POLLING} HTTP/1.1\r\nHost: a\r\n{upgrade}\r\n"),
    ] {
        let told = told(address, &format!("{request}{SMUGGLED}")).await;
        assert!(matches!(statuses(&told)[..], ["400" | "404"]), "{request:?}: {told}");
    }
    assert_eq!(engine.sessions(), 0);
}

/// Of a request for which there is nothing here too.
#[tokio::test]
async fn the_body_of_a_request_for_another_path_is_read_on() {
    let (_, address) = listen(EngineConfig::default()).await;
    let mut wire = Wire::connect(address).await;
    let length = 1 << 20;
    wire.send(format!("POST /other HTTP/1.1\r\nHost: a\r\nContent-Length: {length}\r\n\r\n")).await;
    assert_eq!(wire.response().await.status, 404);
    wire.send("x".repeat(length)).await;
    assert_eq!(wire.get("/again").await.status, 404, "over the same connection");
}

#[tokio::test]
async fn whether_there_is_tls_is_known_to_those_whom_hyper_serves() {
    let hooks = Hooks::default().headers(|headers, request| {
        let secure = request.extensions.get::<Secure>().map(|Secure(secure)| secure.to_string());
        headers.insert("x-secure", secure.unwrap_or_default().parse().expect("a value"));
    });
    let (_, address) = listen(EngineConfig { hooks, ..EngineConfig::default() }).await;
    let told = told(address, &format!("HEAD / HTTP/1.1\r\nHost: a\r\n\r\n{SMUGGLED}")).await;
    assert_eq!(statuses(&told), ["404", "200"]);
    assert!(told.to_ascii_lowercase().contains("\r\nx-secure: false\r\n"), "{told}");
}
