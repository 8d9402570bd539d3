//! Every example is run and talked to, as its first lines say. `cargo test` builds them beside this test; those that
//! need a feature are there when the feature is on. (`autobahn_client` is run by the Autobahn suite, the servers that are
//! measured by the bench, and `suite_server` and `conformance_io` by the checks with other people's clients.)
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
    (program, address.split('/').next().unwrap().parse().unwrap())
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

/// A client of Socket.IO in the main namespace.
#[cfg(feature = "io")]
async fn join(address: SocketAddr) -> Socket {
    let mut socket = open(address, "/socket.io/?EIO=4&transport=websocket").await;
    assert!(words(&mut socket).await.starts_with("0{"));
    socket.send("40").await.unwrap();
    assert!(words(&mut socket).await.starts_with("40{"));
    socket
}

#[cfg(feature = "io")]
async fn words(socket: &mut Socket) -> String {
    hear(socket).await.as_text().expect("a text").to_owned()
}

#[cfg(feature = "io")]
#[tokio::test]
async fn socketio() {
    let (mut program, address) = serve("socketio").await;
    let (mut ann, mut bob) = (join(address).await, join(address).await);
    for (client, answer) in [(&mut ann, "431[1]"), (&mut bob, "431[2]")] {
        client.send(r#"421["enter","lobby"]"#).await.unwrap();
        assert_eq!(words(client).await, answer);
    }
    ann.send(r#"42["say","hello"]"#).await.unwrap();
    assert_eq!(words(&mut bob).await, r#"42["said","hello"]"#);
    ann.send("41").await.unwrap();
    assert!(program.line().await.ends_with(" has left lobby: client namespace disconnect"));
}

#[cfg(all(feature = "axum", feature = "io"))]
#[tokio::test]
async fn socketio_axum() {
    let (_program, address) = serve("socketio_axum").await;
    let (mut ann, mut bob) = (join(address).await, join(address).await);
    ann.send(r#"421["shout","hello"]"#).await.unwrap();
    assert_eq!(words(&mut ann).await, "431[1]");
    assert_eq!(words(&mut bob).await, r#"42["shouted","hello"]"#);
    assert_eq!(Wire::connect(address).await.get("/").await.body, "Clients here: 2\n");
}

/// What the client's suite asks for, in the words of its tests.
#[cfg(feature = "io")]
#[tokio::test]
async fn client_suite_server() {
    let mut program = example("client_suite_server", &["--port", "0"]);
    let line = program.line().await;
    let port: u16 = line.strip_prefix("listening ").unwrap().parse().unwrap();
    let address = SocketAddr::from(([127, 0, 0, 1], port));
    let mut client = join(address).await;
    for (said, heard) in [
        // Behind it comes the place in the log of recovery.
        (r#"42["hi"]"#, r#"42["hi","#),
        (r#"421["echo",[1,{"a":null}]]"#, r#"431[[1,{"a":null}]]"#),
        (r#"42["false"]"#, r#"42["false",false,"#),
        (r#"42["ack"]"#, r#"420["ack"]"#),
        (r#"430[5,{"test":true}]"#, r#"42["got it","#),
    ] {
        client.send(said).await.unwrap();
        let told = words(&mut client).await;
        assert!(told.starts_with(heard), "{said}: {told}");
    }
    client.send(r#"42["doge"]"#).await.unwrap();
    assert!(words(&mut client).await.starts_with(r#"451-["doge",{"_placeholder":true,"num":0}"#));
    assert_eq!(hear(&mut client).await, Message::binary(b"asdfasdf".to_vec()));
    client.send(r#"451-["buffa",{"_placeholder":true,"num":0}]"#).await.unwrap();
    client.send(vec![1_u8]).await.unwrap();
    assert!(words(&mut client).await.starts_with(r#"42["buffack""#));
    client.send(r#"422["getHandshake"]"#).await.unwrap();
    let handshake = words(&mut client).await;
    assert!(handshake.contains(r#""address":"127.0.0.1""#) && handshake.contains(r#""xdomain":false"#), "{handshake}");
    for (namespace, answer) in [
        ("/foo", r#"40/foo,{"sid":"#),
        ("/no", r#"44/no,{"message":"Auth failed (custom namespace)"}"#),
        ("/invalid", r#"44/invalid,{"message":"Invalid namespace"}"#),
    ] {
        client.send(format!("40{namespace},")).await.unwrap();
        let told = words(&mut client).await;
        assert!(told.starts_with(answer), "{namespace}: {told}");
    }
    let mut refused = open(address, "/socket.io/?EIO=4&transport=websocket&fail=true").await;
    assert!(words(&mut refused).await.starts_with("0{"));
    refused.send("40").await.unwrap();
    assert_eq!(words(&mut refused).await, r#"44{"message":"Auth failed (main namespace)"}"#);
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
