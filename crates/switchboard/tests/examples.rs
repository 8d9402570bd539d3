//! Every example is run and talked to, as its first lines say. `cargo test` builds them beside this test; those that
//! need a feature are there when the feature is on. (`autobahn_client` is run by the Autobahn suite.)
#![expect(clippy::unwrap_used, reason = "the helpers of tests are tests")]

use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::Command;

use switchboard::ws::{Message, Socket, connect};
#[cfg(any(feature = "axum", feature = "hyper"))]
use switchboard_testkit::Wire;
use switchboard_testkit::{Program, within};

fn example(name: &str, arguments: &[&str]) -> Program {
    let mut path: PathBuf = std::env::current_exe().unwrap();
    // target/debug/deps/examples-0123 is this test; target/debug/examples/NAME is the example.
    path.pop();
    path.pop();
    path.extend(["examples", name]);
    let mut command = Command::new(path);
    command.args(arguments);
    Program::start(command)
}

/// Starts an example that is a server, on a free port.
async fn serve(name: &str) -> (Program, SocketAddr) {
    let mut program = example(name, &["127.0.0.1:0"]);
    let line = program.line().await;
    let address = line.strip_prefix("listening on ").and_then(|url| url.split_once("://")).unwrap().1;
    (program, address.trim_end_matches('/').parse().unwrap())
}

async fn open(address: SocketAddr, path: &str) -> Socket {
    connect(format!("ws://{address}{path}")).await.unwrap()
}

async fn hear(socket: &mut Socket) -> Message {
    within("a message", socket.recv()).await.unwrap().expect("the connection goes on")
}

async fn leave(mut socket: Socket) {
    assert!(socket.close(1000, "").await.unwrap().is_clean());
}

async fn check_echo(address: SocketAddr, path: &str) {
    let mut socket = open(address, path).await;
    for message in [Message::text("grüße"), Message::binary(vec![0, 255])] {
        socket.send(message.clone()).await.unwrap();
        assert_eq!(hear(&mut socket).await, message);
    }
    leave(socket).await;
}

#[tokio::test]
async fn echo() {
    let (_program, address) = serve("echo").await;
    check_echo(address, "/").await;
}

#[tokio::test]
async fn blocking_echo() {
    let (_program, address) = serve("blocking_echo").await;
    check_echo(address, "/").await;
}

#[tokio::test]
async fn chat_room() {
    let (mut program, address) = serve("chat_room").await;
    let mut ann = open(address, "/lobby").await;
    assert_eq!(hear(&mut ann).await, Message::text("You and 0 others are in /lobby."));
    let mut bob = open(address, "/lobby").await;
    assert_eq!(hear(&mut bob).await, Message::text("You and 1 others are in /lobby."));
    let mut cay = open(address, "/attic").await;
    assert_eq!(hear(&mut cay).await, Message::text("You and 0 others are in /attic."));
    ann.send("hello").await.unwrap();
    assert_eq!(hear(&mut bob).await, Message::text("hello"));
    bob.send(vec![1_u8, 2]).await.unwrap();
    assert_eq!(hear(&mut ann).await, Message::binary(vec![1, 2]), "nobody hears what they said themselves");
    leave(ann).await;
    assert_eq!(program.line().await, "someone left /lobby: closed with 1000 \"\"");
}

#[tokio::test]
async fn broadcast() {
    let (mut program, address) = serve("broadcast").await;
    let mut clients = [open(address, "/").await, open(address, "/").await];
    for client in &mut clients {
        client.send("hello?").await.unwrap();
        assert_eq!(hear(client).await, Message::text("This is a broadcast: it only talks."));
    }
    for line in ["first line", "second line"] {
        program.write_line(line).await;
        assert_eq!(program.line().await, "reached 2");
        for client in &mut clients {
            assert_eq!(hear(client).await, Message::text(line));
        }
    }
}

#[tokio::test]
async fn client() {
    let (_server, address) = serve("echo").await;
    let ended = example("client", &[&format!("ws://{address}/"), "hello", "wörld"]).end().await;
    assert_eq!(ended.code, Some(0), "{}", ended.stderr);
    let lines: Vec<&str> = ended.stdout.lines().collect();
    assert!(lines[0].starts_with("round trip: "), "{lines:?}");
    assert_eq!(lines[1..], ["text: hello", "text: wörld", "closed: 1000 (clean: true)"]);
}

#[cfg(feature = "tls")]
#[tokio::test]
async fn conformance_client() {
    for server in ["echo", "blocking_echo"] {
        let (_server, address) = serve(server).await;
        for compression in ["off", "takeover"] {
            let url = format!("ws://{address}/");
            let ended = example("conformance_client", &[&url, "--compression", compression]).end().await;
            assert_eq!((ended.code, &*ended.stdout), (Some(0), "conforms\n"), "{server}: {}", ended.stderr);
        }
    }
}

#[cfg(feature = "axum")]
#[tokio::test]
async fn one_port_axum() {
    let (_program, address) = serve("one_port_axum").await;
    let page = Wire::connect(address).await.get("/").await;
    assert_eq!((page.status, page.header("content-type")), (200, Some("text/html; charset=utf-8")));
    assert!(page.body.starts_with("<!doctype html>"), "{}", page.body);
    let client = switchboard::ws::Client::new(format!("ws://{address}/ws/you")).protocol("v0").protocol("v1");
    let mut socket = client.connect().await.unwrap();
    assert_eq!(socket.info().protocol(), Some("v1"));
    assert_eq!(hear(&mut socket).await, Message::text("Hello, you."));
    socket.send("hello").await.unwrap();
    assert_eq!(hear(&mut socket).await, Message::text("hello"));
    leave(socket).await;
    assert_eq!(Wire::connect(address).await.get("/ws/you").await.status, 426, "a page where a WebSocket is");
}

#[cfg(feature = "hyper")]
#[tokio::test]
async fn one_port_hyper() {
    let (_program, address) = serve("one_port_hyper").await;
    let mut wire = Wire::connect(address).await;
    for (path, status, body) in
        [("/", 200, "This page and /ws are on one port.\n"), ("/nowhere", 404, "There is nothing here.\n")]
    {
        let page = wire.get(path).await;
        assert_eq!((page.status, &*page.body), (status, body), "{path}");
    }
    assert_eq!(wire.get("/ws").await.status, 426, "a page where a WebSocket is");
    check_echo(address, "/ws").await;
}
