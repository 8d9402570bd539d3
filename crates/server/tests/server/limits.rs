//! The flags that limit what one connection, or all of them together, may do.

use switchboard_testkit::{Wire, frame, within};
use switchboard_ws::{Client, Config, DeflateConfig, Limits};

use crate::server::Server;

#[tokio::test]
async fn a_message_beyond_the_limit_is_refused() {
    let server = Server::start(&["--max-message", "1KiB"]).await;
    let whole = [frame::text("x".repeat(1025))];
    let fragments = [frame::text("x".repeat(600)).fin(false), frame::continuation("x".repeat(600))];
    for frames in [&whole[..], &fragments] {
        let mut wire = Wire::open(server.address(), "/echo?greet=0").await;
        let largest = frame::binary("x".repeat(1024));
        wire.say(&largest.clone().masked()).await;
        assert_eq!(wire.frame().await, largest);
        for frame in frames {
            wire.say(&frame.clone().masked()).await;
        }
        let close = wire.frame().await;
        assert_eq!((close.first, &close.payload[..2]), (0x88, &1009_u16.to_be_bytes()[..]));
        assert!(wire.rest().await.is_empty());
    }
    server.counts(&[("connections_closed_total{code=\"1009\"}", 2)]).await;
    let limits = server.metrics().await;
    let hit = |name: &str| limits.get(&format!("switchboard_limits_hit_total{{limit=\"{name}\"}}")).copied();
    assert_eq!((hit("frame_too_big"), hit("message_too_big")), (Some(1), Some(1)));
}

#[tokio::test]
async fn connections_beyond_the_limit_are_told_to_come_back() {
    let server = Server::start(&["--max-connections", "1"]).await;
    let mut first = Wire::open(server.address(), "/echo?greet=0").await;
    for _ in 0..2 {
        let mut second = Wire::ask(server.address(), "/echo", "").await;
        let response = second.response().await;
        assert_eq!((response.status, response.header("retry-after")), (503, Some("5")));
        assert_eq!(response.body, "This server has as many connections as it may.\n");
        assert!(second.rest().await.is_empty());
    }
    // The first one has noticed nothing.
    first.say(&frame::text("still here").masked()).await;
    assert_eq!(first.frame().await, frame::text("still here"));
    first.say(&frame::close(1000, "").masked()).await;
    assert_eq!(first.frame().await, frame::close(1000, ""));
    drop(first);
    // Its place is free again, a moment later.
    let page = within("a free place", async {
        loop {
            let page = Wire::connect(server.address()).await.try_get("/metrics").await;
            if let Some(page) = page.filter(|page| page.status != 503) {
                return page;
            }
        }
    })
    .await;
    assert!(page.body.contains("switchboard_connections_refused_total{reason=\"max_connections\"}"), "{}", page.body);
    // Places of clients that did not ask for anything come back too.
    drop(Wire::connect(server.address()).await);
    within("a free place", async {
        let health = async || Wire::connect(server.address()).await.try_get("/health").await;
        while health().await.is_none_or(|page| page.status != 200) {}
    })
    .await;
}

#[tokio::test]
async fn those_who_hold_most_are_closed_when_memory_is_short() {
    for driver in ["auto", "task"] {
        let server = Server::start(&["--memory-budget", "16MiB", "--driver", driver]).await;
        let mut healthy = Wire::open(server.address(), "/echo?greet=0").await;
        let mut peers = Vec::new();
        for _ in 0..24 {
            let mut peer = Wire::ask(server.address(), "/echo?greet=0", "").await;
            let head = peer.head().await;
            // While much is held nobody is let in.
            if head.starts_with("http/1.1 101 ") {
                let mut message = frame::binary(vec![7; 1 << 20]).masked().bytes();
                message.truncate(900_000);
                peer.send(message).await;
                peers.push(peer);
            } else {
                assert!(head.starts_with("http/1.1 503 ") && head.contains("retry-after: 5"), "{head}");
            }
            healthy.say(&frame::text("still here").masked()).await;
            assert_eq!(healthy.frame().await, frame::text("still here"));
        }
        assert!(peers.len() >= 14, "{}", peers.len());
        let close = peers[0].frame().await;
        assert_eq!((close.first, &close.payload[..2]), (0x88, &1013_u16.to_be_bytes()[..]));
        drop(peers);
        let reading = "switchboard_memory_held_bytes{part=\"reading\"} 0";
        let page = within("the memory to be given back", async {
            loop {
                let page = server.get("/metrics").await.body;
                if page.contains(reading) {
                    return page;
                }
            }
        })
        .await;
        for line in
            ["switchboard_memory_budget_bytes 16777216", "switchboard_limits_hit_total{limit=\"memory_budget\"}"]
        {
            assert!(page.contains(line), "{line}: {page}");
        }
        assert!(!page.contains("switchboard_memory_evicted_total 0"), "{page}");
    }
}

#[tokio::test]
async fn idle_connections_are_pinged() {
    let server = Server::start(&["--ping-interval", "50ms"]).await;
    let mut wire = Wire::open(server.address(), "/rooms/lobby").await;
    for _ in 0..3 {
        let ping = wire.frame().await;
        assert_eq!(ping.first, 0x89);
        wire.say(&frame::pong(ping.payload).masked()).await;
    }
}

#[tokio::test]
async fn idle_connections_are_closed() {
    let server = Server::start(&["--idle-timeout", "100ms", "--ping-interval", "off"]).await;
    let mut wire = Wire::open(server.address(), "/rooms/lobby").await;
    let close = wire.frame().await;
    assert_eq!((close.first, &close.payload[..2]), (0x88, &1001_u16.to_be_bytes()[..]));
    wire.say(&frame::close(1001, "").masked()).await;
    assert!(wire.rest().await.is_empty());
    server.counts(&[("limits_hit_total{limit=\"idle_timeout\"}", 1), ("connections_open", 0)]).await;
}

/// What our own client is told when it offers compression, and that messages come through.
async fn compressed(server: &Server) -> bool {
    let deflate = DeflateConfig { threshold: 0, ..DeflateConfig::default() };
    let limits = Limits { deflate: Some(deflate), ..Limits::default() };
    let client = Client::new(server.url("/echo?greet=0")).config(Config::default().limits(limits));
    let mut socket = client.connect().await.unwrap();
    let text = "again and ".repeat(1000);
    for _ in 0..2 {
        socket.send(&*text).await.unwrap();
        assert_eq!(socket.recv().await.unwrap().unwrap().as_text(), Some(&*text));
    }
    let agreed = socket.info().deflate().is_some();
    assert!(socket.close(1000, "").await.unwrap().is_clean());
    agreed
}

#[tokio::test]
async fn messages_are_compressed_when_the_server_is_told_to() {
    let server = Server::start(&["--compression", "on"]).await;
    assert!(compressed(&server).await);
    server.counts(&[("connections_open", 0), ("messages_sent_total", 2)]).await;
    let counted = server.metrics().await;
    for bytes in ["switchboard_sent_bytes_total", "switchboard_received_bytes_total"] {
        assert!(counted[bytes] < 2000, "{bytes}: {}", counted[bytes]);
    }
    // Who does not offer it does without.
    let head = Wire::ask(server.address(), "/echo", "").await.head().await;
    assert!(head.starts_with("http/1.1 101 ") && !head.contains("sec-websocket-extensions"), "{head}");
}

#[tokio::test]
async fn messages_are_not_compressed_otherwise() {
    for flags in [&[][..], &["--compression", "off"]] {
        let server = Server::start(flags).await;
        assert!(!compressed(&server).await);
    }
}

#[tokio::test]
async fn what_inflates_beyond_the_limit_is_refused() {
    let server = Server::start(&["--compression", "on", "--max-message", "1KiB"]).await;
    let limits =
        Limits { deflate: Some(DeflateConfig { threshold: 0, ..DeflateConfig::default() }), ..Limits::default() };
    let client = Client::new(server.url("/echo?greet=0")).config(Config::default().limits(limits));
    let mut socket = client.connect().await.unwrap();
    socket.send("x".repeat(100_000)).await.unwrap();
    assert_eq!(socket.recv().await.unwrap(), None);
    server.counts(&[("limits_hit_total{limit=\"message_too_big\"}", 1)]).await;
}
