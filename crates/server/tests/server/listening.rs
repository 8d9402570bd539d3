//! Where the server listens, by flags and by environment.

use std::net::TcpListener;
use std::os::unix::net::UnixListener;

use switchboard_testkit::{Wire, within};
use switchboard_ws::Client;
use tokio::net::UnixStream;

use crate::server::{Directory, Server, refusal};

/// A WebSocket through a Unix socket.
async fn check_unix(path: &str) {
    let mut socket = Client::new("ws://localhost/echo?greet=0").unix(path).connect().await.unwrap();
    socket.send("hello").await.unwrap();
    assert_eq!(socket.recv().await.unwrap().unwrap().as_text(), Some("hello"));
    assert!(socket.close(1000, "").await.unwrap().is_clean());
}

#[tokio::test]
async fn it_listens_on_a_unix_socket() {
    let directory = Directory::new();
    let path = directory.join("sb.sock");
    let listen = format!("unix:{path}");
    let server = Server::run_until("Switchboard at unix:", &["--listen", &listen], &[]).await;
    assert_eq!(server.lines, [format!("Switchboard at {listen}")]);
    check_unix(&path).await;
    let stream = within("a connection", UnixStream::connect(&path)).await.unwrap();
    assert_eq!(Wire::new(stream).get("/health").await.status, 200);

    // Someone answers there: it is not taken away.
    let sentence = refusal(&["--listen", &listen]).await;
    assert!(sentence.contains(&format!("cannot listen on {listen}")), "{sentence}");
    check_unix(&path).await;

    assert_eq!(server.stop("TERM").await.code, Some(0));
    assert!(!std::fs::exists(&path).unwrap(), "the file is still there");
}

#[tokio::test]
async fn a_dead_socket_is_replaced() {
    let directory = Directory::new();
    let path = directory.join("sb.sock");
    drop(UnixListener::bind(&path).unwrap());
    assert!(std::fs::exists(&path).unwrap(), "this is what a killed server leaves");
    let server = Server::run_until("Switchboard at unix:", &["--listen", &format!("unix:{path}")], &[]).await;
    check_unix(&path).await;
    assert_eq!(server.stop("INT").await.code, Some(0));
    assert!(!std::fs::exists(&path).unwrap(), "the file is still there");
}

#[tokio::test]
async fn a_file_that_is_no_socket_is_left_alone() {
    let directory = Directory::new();
    let path = directory.join("notes.txt");
    std::fs::write(&path, "precious").unwrap();
    let sentence = refusal(&["--listen", &format!("unix:{path}")]).await;
    assert!(sentence.contains("cannot listen on unix:"), "{sentence}");
    assert_eq!(std::fs::read(&path).unwrap(), b"precious");
}

#[tokio::test]
async fn it_listens_in_several_places() {
    let directory = Directory::new();
    let path = directory.join("sb.sock");
    let unix = format!("unix:{path}");
    let server = Server::start(&["--listen", "127.0.0.1:0", "--listen", &unix]).await;
    let addresses = server.addresses();
    assert_eq!(addresses.len(), 2, "{:?}", server.lines);
    assert!(server.lines.contains(&format!("Switchboard at {unix}")), "{:?}", server.lines);
    for address in addresses {
        assert_eq!(Wire::connect(address).await.get("/health").await.status, 200);
        Wire::open(address, "/echo").await;
        let expected = format!("  WebSocket:   ws://{address}/rooms/lobby and ws://{address}/echo");
        assert!(server.lines.contains(&expected), "{:?}", server.lines);
    }
    check_unix(&path).await;
    server.counts(&[("connections_total", 3)]).await;
}

#[tokio::test]
async fn a_taken_address_is_told() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let sentence = refusal(&["--listen", &address]).await;
    assert!(sentence.contains(&format!("cannot listen on {address}")), "{sentence}");
}

#[tokio::test]
async fn the_next_free_port_is_used_and_said() {
    // Taken by this test, or by someone else on this machine, who may go at any time.
    let ours = TcpListener::bind("127.0.0.1:3000");
    let server = Server::run(&[], &[]).await;
    let port = server.address().port();
    let note = format!("Port 3000 is taken; using {port}, the next one free.");
    assert_eq!(server.lines[0] == note, port != 3000, "{:?}", server.lines);
    assert!(ours.is_err() || port != 3000);
    assert_eq!(server.get("/health").await.status, 200);
}

#[tokio::test]
async fn serve_may_be_said() {
    let server = Server::run(&["serve", "--listen", "127.0.0.1:0", "--no-demo"], &[]).await;
    assert_eq!(server.get("/").await.status, 404);
}

#[tokio::test]
async fn the_environment_says_what_flags_do_not() {
    let environment = [
        ("SWITCHBOARD_LISTEN", "127.0.0.1:0,127.0.0.1:0"),
        ("SWITCHBOARD_ALLOW_ORIGIN", "https://a.example,https://b.example"),
        ("SWITCHBOARD_MAX_MESSAGE", "4"),
        ("SWITCHBOARD_MAX_CONNECTIONS", "7"),
        ("SWITCHBOARD_PING_INTERVAL", "50ms"),
        ("SWITCHBOARD_IDLE_TIMEOUT", "1h"),
        ("SWITCHBOARD_COMPRESSION", "on"),
        ("SWITCHBOARD_SHUTDOWN_TIMEOUT", "5s"),
        ("SWITCHBOARD_WORKERS", "1"),
        ("SWITCHBOARD_DRIVER", "task"),
        ("SWITCHBOARD_LOG", "error"),
        ("SWITCHBOARD_NO_DEMO", "1"),
    ];
    let server = Server::run(&["--max-message", "64"], &environment).await;
    assert_eq!(server.addresses().len(), 2);
    assert_eq!(server.get("/").await.status, 404);
    let headers = "Origin: https://b.example\r\nSec-WebSocket-Extensions: permessage-deflate\r\n";
    let mut wire = Wire::ask(server.address(), "/rooms/lobby", headers).await;
    let head = wire.head().await;
    assert!(
        head.starts_with("http/1.1 101 ") && head.contains("sec-websocket-extensions: permessage-deflate"),
        "{head}"
    );
    assert_eq!(wire.frame().await.first, 0x89, "a ping");
    // A flag is stronger than the environment.
    let mut client = server.connect("/echo").await;
    assert!(crate::server::hear(&mut client).await.starts_with("This is"));
    crate::server::say(&mut client, "longer than four").await;
    loop {
        match crate::server::next(&mut client).await {
            tokio_tungstenite::tungstenite::Message::Ping(_) => {}
            echo => break assert_eq!(echo.into_text().unwrap(), "longer than four"),
        }
    }
    drop((wire, client));
    assert_eq!(server.stop("TERM").await.stderr, "", "that it stops is no error");
}
