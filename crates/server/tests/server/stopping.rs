//! SIGTERM and SIGINT.

use std::io::ErrorKind;

use switchboard_testkit::{Wire, frame, within};
use tokio::net::TcpStream;

use crate::server::{Server, closing_code};

#[tokio::test]
async fn everyone_is_told_and_the_process_ends_well() {
    for signal in ["TERM", "INT"] {
        let server = Server::start(&[]).await;
        let mut clients = [server.join("/rooms/lobby").await, server.join("/rooms/lobby").await];
        let mut page = Wire::connect(server.address()).await;
        assert_eq!(page.get("/health").await.status, 200);
        let mut poller = Wire::connect(server.address()).await;
        assert_eq!(poller.get("/socket.io/?EIO=4&transport=polling").await.status, 200);
        server.program.signal(signal).await;
        for client in &mut clients {
            assert_eq!(closing_code(client).await, 1001);
        }
        assert!(page.rest().await.is_empty(), "a connection between two requests is closed");
        assert!(poller.rest().await.is_empty(), "one between two polls too");
        let ended = server.program.end().await;
        assert_eq!(ended.code, Some(0));
        assert!(ended.stderr.contains(&format!("SIG{signal}")), "{}", ended.stderr);
    }
}

#[tokio::test]
async fn a_signal_right_after_the_start_is_not_too_early() {
    for signal in ["TERM", "INT"] {
        let server = Server::start(&[]).await;
        assert_eq!(server.stop(signal).await.code, Some(0));
    }
}

#[tokio::test]
async fn nobody_new_is_taken_while_it_stops() {
    let server = Server::start(&[]).await;
    let mut last = Wire::open(server.address(), "/rooms/lobby").await;
    server.counts(&[("connections_open", 1)]).await;
    server.program.signal("TERM").await;
    assert_eq!(last.frame().await, frame::close(1001, "the server is stopping"));
    // It waits for this client's answer, and listens no more.
    let refused = within("a refusal", TcpStream::connect(server.address())).await.unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::ConnectionRefused);
    last.say(&frame::close(1001, "").masked()).await;
    assert!(last.rest().await.is_empty());
    let ended = server.program.end().await;
    assert_eq!(ended.code, Some(0));
    assert!(!ended.stderr.contains("out of patience"), "{}", ended.stderr);
}

#[tokio::test]
async fn who_never_answers_is_cut_off() {
    let server = Server::start(&["--shutdown-timeout", "1s"]).await;
    let mut mute = Wire::open(server.address(), "/rooms/lobby").await;
    let mut half = Wire::connect(server.address()).await;
    half.send("GET /health HTTP/1.1\r\nHost: local").await;
    server.counts(&[("connections_open", 1)]).await;
    server.program.signal("TERM").await;
    assert_eq!(mute.frame().await, frame::close(1001, "the server is stopping"));
    // Both ends of the connections are still held here.
    let ended = server.program.end().await;
    assert_eq!(ended.code, Some(0));
    assert!(ended.stderr.contains("out of patience"), "{}", ended.stderr);
    assert!(mute.rest().await.is_empty());
}
