//! What one connection does wrong is its own affair.

use switchboard_testkit::{Wire, frame};

use crate::server::{Server, hear, say};

#[tokio::test]
async fn a_broken_connection_leaves_the_others_alone() {
    let server = Server::start(&["--log", "debug"]).await;
    let mut ann = server.join("/rooms/lobby").await;
    let mut bob = server.join("/rooms/lobby").await;

    let mut unmasked = Wire::open(server.address(), "/rooms/lobby").await;
    unmasked.say(&frame::text("no mask")).await;
    let close = unmasked.frame().await;
    assert_eq!((close.first, &close.payload[..2]), (0x88, &1002_u16.to_be_bytes()[..]));
    assert!(unmasked.rest().await.is_empty());
    let culprit = unmasked.local_addr();
    // The server waits for this end too, so that its Close frame is not lost.
    drop(unmasked);

    let mut no_http = Wire::connect(server.address()).await;
    no_http.send("\u{16}\u{3}\u{1} this is no HTTP\r\n\r\n").await;
    assert!(no_http.rest().await.starts_with(b"HTTP/1.1 400 "));

    let mut half = Wire::open(server.address(), "/rooms/lobby").await;
    half.send(&frame::text("half a message").masked().bytes()[..9]).await;
    drop(half);

    server.counts(&[("connections_open", 2)]).await;
    say(&mut ann, "are you there").await;
    assert_eq!(hear(&mut bob).await, "are you there");
    say(&mut bob, "yes").await;
    assert_eq!(hear(&mut ann).await, "yes");

    drop((ann, bob));
    let log = server.stop("TERM").await.stderr;
    let told = log.lines().any(|line| line.contains(&culprit.to_string()) && line.contains("mask"));
    assert!(told, "the log does not say who broke which rule");
}
