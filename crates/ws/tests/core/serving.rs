//! `Server::serve`, by shards and by tasks: what clients are told.

use std::net::SocketAddr;
use std::time::Duration;

use switchboard_testkit::frame;
use switchboard_ws::{Admission, AdmissionLimits, Config, OnMessage, PerAddress, Server};

use crate::peer::{Driver, Peer, REQUEST, by_no_deadline, eventually, on_both_drivers};

on_both_drivers!(
    a_connection_is_served,
    who_is_refused_is_told_why,
    a_panic_in_make_is_a_500_and_others_go_on,
    half_a_request_is_too_slow,
    a_client_that_writes_and_ends_in_one_go_is_noticed,
    an_address_may_have_so_many_connections,
);

/// Echoes everywhere but at `/panic`.
async fn serve(driver: Driver) -> (SocketAddr, Config) {
    let config = match driver {
        Driver::Shard => Config::default(),
        Driver::Task => Config::default().task_per_connection(),
    };
    let server = Server::bind("127.0.0.1:0", config.clone()).await.unwrap();
    let address = server.local_addr().unwrap();
    tokio::spawn(server.serve(|request| {
        assert_ne!(request.uri().path(), "/panic", "on purpose");
        OnMessage::new(|cx, message| {
            cx.send(message);
        })
    }));
    (address, config)
}

async fn an_address_may_have_so_many_connections(driver: Driver) {
    let config = match driver {
        Driver::Shard => Config::default(),
        Driver::Task => Config::default().task_per_connection(),
    };
    let admission = Admission::new(AdmissionLimits { connections: 9, per_address: PerAddress::Every(1) });
    let server = Server::bind("127.0.0.1:0", config.clone()).await.unwrap().admission(admission.clone());
    let address = server.local_addr().unwrap();
    tokio::spawn(server.serve(|_| {
        OnMessage::new(|cx, message| {
            cx.send(message);
        })
    }));
    let mut peer = Peer::open(address).await;
    let told = Peer::connect(address).await.hears_all().await;
    assert!(told.starts_with("HTTP/1.1 429 "), "{told}");
    assert_eq!(config.get_metrics().snapshot().refused["max_connections_per_address"], 1);
    peer.says(&[frame::text("still here")]).await;
    peer.expects(frame::text("still here")).await;
    assert_eq!(admission.count(), 1);
    peer.says(&[frame::close(1000, "")]).await;
    peer.expects(frame::close(1000, "")).await;
    assert_eq!(peer.hears().await, None);
    eventually("a free place", || admission.count() == 0).await;
    Peer::open(address).await;
}

#[tokio::test]
async fn sockets_hold_their_places() {
    let admission = Admission::new(AdmissionLimits { connections: 1, ..AdmissionLimits::default() });
    let mut server = Server::bind("127.0.0.1:0", Config::default()).await.unwrap().admission(admission.clone());
    let address = server.local_addr().unwrap();
    let accepting = tokio::spawn(async move { (server.accept().await, server) });
    let _peer = Peer::open(address).await;
    let (socket, mut server) = accepting.await.unwrap();
    let accepting = tokio::spawn(async move { server.accept().await });
    let told = Peer::connect(address).await.hears_all().await;
    assert!(told.starts_with("HTTP/1.1 503 "), "{told}");
    drop(socket);
    eventually("a free place", || admission.count() == 0).await;
    Peer::open(address).await;
    accepting.await.unwrap();
}

async fn a_connection_is_served(driver: Driver) {
    let (address, config) = serve(driver).await;
    let mut peer = Peer::open(address).await;
    peer.says(&[frame::text("hello")]).await;
    peer.expects(frame::text("hello")).await;
    assert_eq!(config.connections().count(), 1);
    peer.says(&[frame::close(1000, "")]).await;
    peer.expects(frame::close(1000, "")).await;
    config.connections().wait_closed().await;
}

async fn who_is_refused_is_told_why(driver: Driver) {
    let (address, config) = serve(driver).await;
    let page = "GET / HTTP/1.1\r\nHost: localhost\r\n\r\n".to_owned();
    let post = "POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 11\r\n\r\nand a body.".to_owned();
    let garbage = "\u{16}\u{3}\u{1} this is no HTTP\r\n\r\n".to_owned();
    let large = format!("GET / HTTP/1.1\r\nHost: localhost\r\nX-Large: {}\r\n\r\n", "x".repeat(17 << 10));
    let foreign = REQUEST.replace("X-Test: yes", "Origin: https://evil.example");
    for (request, status) in [(page, 426), (post, 405), (garbage, 400), (large, 431), (foreign, 403)] {
        let mut peer = Peer::connect(address).await;
        peer.sends(&request).await;
        let response = peer.hears_all().await;
        assert!(response.starts_with(&format!("HTTP/1.1 {status} ")), "{request:.20}: {response}");
    }
    let counted = config.get_metrics().snapshot();
    assert_eq!((counted.refused.values().sum::<u64>(), counted.total), (5, 0), "{counted:?}");
}

async fn a_panic_in_make_is_a_500_and_others_go_on(driver: Driver) {
    let (address, _config) = serve(driver).await;
    let mut open = Peer::open(address).await;
    let mut peer = Peer::connect(address).await;
    peer.sends(REQUEST.replace("/path", "/panic")).await;
    let response = peer.hears_all().await;
    assert!(response.starts_with("HTTP/1.1 500 "), "{response}");
    open.says(&[frame::text("still here")]).await;
    open.expects(frame::text("still here")).await;
    Peer::open(address).await;
}

async fn half_a_request_is_too_slow(driver: Driver) {
    let (address, _config) = serve(driver).await;
    let mut peer = Peer::connect(address).await;
    peer.sends(&REQUEST[..50]).await;
    // It is read when this one has had its answer.
    by_no_deadline("another", Peer::open(address)).await;
    let before = tokio::time::Instant::now();
    let response = peer.hears_all().await;
    assert!(response.starts_with("HTTP/1.1 408 "), "{response}");
    assert!(before.elapsed() > Duration::from_secs(9), "{:?}", before.elapsed());
}

/// One piece of news for both: what comes later must not be waited for.
async fn a_client_that_writes_and_ends_in_one_go_is_noticed(driver: Driver) {
    let (address, config) = serve(driver).await;
    // As much as one read takes, and more.
    for size in [1, 1000, 200_000] {
        let mut peer = Peer::open(address).await;
        let message = frame::binary(vec![7; size]);
        by_no_deadline("the end", async {
            peer.says(std::slice::from_ref(&message)).await;
            tokio::io::AsyncWriteExt::shutdown(&mut peer.io).await.unwrap();
            peer.expects(message.clone()).await;
            assert_eq!(peer.hears().await, None);
            config.connections().wait_closed().await;
        })
        .await;
    }
}
