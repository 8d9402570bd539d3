//! `/metrics`, after traffic whose every byte is known.

use std::collections::{BTreeMap, BTreeSet};

use switchboard_io::engine::Limit;
use switchboard_server::limits;
use switchboard_testkit::Wire;
use switchboard_testkit::frame;
use tokio_tungstenite::tungstenite::Message;

use crate::server::{Server, leave, say};

#[tokio::test]
async fn a_server_that_did_nothing_says_so() {
    let server = Server::start(&[]).await;
    let response = server.get("/metrics").await;
    let content_type = "application/openmetrics-text; version=1.0.0; charset=utf-8";
    assert_eq!(response.header("content-type"), Some(content_type));
    assert!(response.body.ends_with("# EOF\n"));
    // The budget is what it is, and whoever asks for it counts; each worker has a task, and so has this request.
    let busy = [
        "switchboard_connections_admitted",
        "switchboard_memory_budget_bytes",
        "switchboard_memory_held_bytes{part=\"connections\"}",
        "switchboard_tasks",
    ];
    let metrics = server.metrics().await;
    assert!(metrics.iter().all(|(name, value)| *value == 0 || busy.contains(&&**name)), "{metrics:?}");
    assert!(busy.iter().all(|name| metrics[*name] > 0), "{metrics:?}");
}

/// What SECURITY.md says that limits are counted in.
#[tokio::test]
async fn every_metric_that_the_table_of_limits_names_is_there() {
    let server = Server::start(&["--socketio-recovery", "1m"]).await;
    let page = server.get("/metrics").await.body;
    let kinds: Vec<_> = page.lines().filter_map(|line| line.strip_prefix("# TYPE ")?.split(' ').next()).collect();
    let table = limits::markdown();
    // The last column of each table.
    let cells = table.lines().filter_map(|line| line.strip_suffix(" |")?.rsplit_once('|').map(|(_, cell)| cell));
    let counted: BTreeSet<_> = cells.flat_map(|cell| cell.split('`').skip(1).step_by(2)).collect();
    let named: Vec<_> = counted.iter().filter(|word| word.starts_with("switchboard_")).collect();
    assert!(named.len() > 10, "{counted:?}");
    for name in named {
        assert!(kinds.contains(name), "{name} is in the table, and not in\n{page}");
    }
    for limit in Limit::ALL {
        assert!(counted.contains(limit.name()), "{limit:?} is in no table");
    }
}

#[tokio::test]
async fn connections_that_are_no_websockets_are_counted_while_they_last() {
    let server = Server::start(&[]).await;
    let silent = [Wire::connect(server.address()).await, Wire::connect(server.address()).await];
    let _open = Wire::open(server.address(), "/echo").await;
    // And the one that asks.
    server.counts(&[("connections_admitted", 4), ("connections_open", 1)]).await;
    drop(silent);
    server.counts(&[("connections_admitted", 2)]).await;
}

#[tokio::test]
async fn every_metric_is_described() {
    let server = Server::start(&["--socketio-recovery", "1m"]).await;
    let page = server.get("/metrics").await.body;
    let described: BTreeMap<_, _> =
        page.lines().filter_map(|line| line.strip_prefix("# HELP ")?.split_once(' ')).collect();
    let kinds: BTreeMap<_, _> = page.lines().filter_map(|line| line.strip_prefix("# TYPE ")?.split_once(' ')).collect();
    // Those too that have counted nothing yet.
    assert!(kinds.keys().eq(described.keys()), "{page}");
    for sample in page.lines().filter(|line| !line.starts_with('#')) {
        let name = sample.split(['{', ' ']).next().unwrap_or_default();
        let (family, kind) = name.strip_suffix("_total").map_or((name, "gauge"), |family| (family, "counter"));
        assert!(family.starts_with("switchboard_"), "{sample}");
        assert_eq!(kinds.get(family), Some(&kind), "{sample}");
        assert!(described[family].len() > 10, "{sample}");
    }
    for part in
        ["connections_with_a_task", "subscriptions_refused", "memory_held_bytes", "tasks", "socketio_recoveries"]
    {
        assert!(kinds.contains_key(&*format!("switchboard_{part}")), "{part} is not there:\n{page}");
    }
}

#[tokio::test]
async fn messages_bytes_and_closes_are_counted() {
    let server = Server::start(&[]).await;
    let mut wire = Wire::open(server.address(), "/echo?greet=0").await;
    server.counts(&[("connections_open", 1), ("connections_total", 1)]).await;
    wire.say(&frame::text("hello").masked()).await; // 2 + 4 + 5 bytes
    assert_eq!(wire.frame().await, frame::text("hello")); // 2 + 5 bytes
    let so_far = [
        ("messages_received_total", 1),
        ("messages_sent_total", 1),
        ("received_bytes_total", 11),
        ("sent_bytes_total", 7),
    ];
    server.counts(&so_far).await;
    wire.say(&frame::close(4005, "").masked()).await; // 2 + 4 + 2 bytes
    assert_eq!(wire.frame().await, frame::close(4005, "")); // 2 + 2 bytes
    assert!(wire.rest().await.is_empty());
    let at_last = [
        ("connections_open", 0),
        ("connections_total", 1),
        ("messages_received_total", 1),
        ("messages_sent_total", 1),
        ("received_bytes_total", 19),
        ("sent_bytes_total", 11),
        ("connections_closed_total{code=\"4xxx\"}", 1),
    ];
    server.counts(&at_last).await;
}

#[tokio::test]
async fn closes_are_counted_by_code() {
    let server = Server::start(&[]).await;
    for _ in 0..2 {
        let mut wire = Wire::open(server.address(), "/echo?greet=0").await;
        wire.say(&frame::close(1000, "").masked()).await;
        wire.rest().await;
    }
    let mut broken = Wire::open(server.address(), "/echo?greet=0").await;
    broken.say(&frame::text([0xff]).masked()).await;
    broken.rest().await;
    drop(broken);
    leave(server.join("/rooms/lobby").await).await;
    drop(server.join("/rooms/lobby").await);
    let expected = [
        ("connections_closed_total{code=\"1000\"}", 2),
        ("connections_closed_total{code=\"1005\"}", 1),
        ("connections_closed_total{code=\"1006\"}", 1),
        ("connections_closed_total{code=\"1007\"}", 1),
        ("limits_hit_total{limit=\"invalid_utf8\"}", 1),
        ("connections_total", 5),
        ("connections_open", 0),
    ];
    server.counts(&expected).await;
}

#[tokio::test]
async fn refusals_are_counted_by_reason() {
    let server = Server::start(&[]).await;
    let request = |lines: &str| format!("GET /echo HTTP/1.1\r\nHost: localhost\r\n{lines}\r\n");
    let upgrade = "Connection: Upgrade\r\nUpgrade: websocket\r\n";
    let key = "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n";
    let requests = [
        (request(&format!("{upgrade}{key}Sec-WebSocket-Version: 8\r\n")), 426),
        (request(&format!("{upgrade}Sec-WebSocket-Key: short\r\nSec-WebSocket-Version: 13\r\n")), 400),
        (request(&format!("{upgrade}{key}Sec-WebSocket-Version: 13\r\nOrigin: https://elsewhere.example\r\n")), 403),
        (request(""), 426),
    ];
    for (request, status) in requests {
        let mut wire = Wire::connect(server.address()).await;
        wire.send(&request).await;
        assert_eq!(wire.response().await.status, status, "{request}");
    }
    let expected = ["version", "key", "origin", "upgrade"]
        .map(|reason| format!("connections_refused_total{{reason=\"{reason}\"}}"));
    server.counts(&expected.each_ref().map(|name| (name.as_str(), 1))).await;
    server.counts(&[("connections_total", 0)]).await;
}

#[tokio::test]
async fn rooms_and_their_members_are_counted() {
    let server = Server::start(&[]).await;
    let ann = server.join("/rooms/a").await;
    let _bob = server.join("/rooms/b").await;
    let _cay = server.join("/rooms/b").await;
    server.counts(&[("rooms", 2), ("room_members", 3), ("connections_open", 3)]).await;
    leave(ann).await;
    server.counts(&[("rooms", 1), ("room_members", 2), ("connections_open", 2)]).await;
}

#[tokio::test]
async fn what_a_full_outbox_drops_is_counted() {
    const SENT: usize = 256;
    let server = Server::start(&[]).await;
    // In the room, and never reading.
    let deaf = Wire::open(server.address(), "/rooms/lobby").await;
    server.counts(&[("room_members", 1)]).await;
    let mut loud = server.join("/rooms/lobby").await;
    // More than the kernel takes for someone who does not read, and the outbox.
    let message = Message::binary(vec![7; 64 << 10]);
    for _ in 0..SENT {
        say(&mut loud, message.clone()).await;
    }
    server.counts(&[("messages_received_total", SENT as u64)]).await;
    drop(deaf);
    server.counts(&[("connections_open", 1), ("limits_hit_total{limit=\"outbox_overflow\"}", 1)]).await;
    assert!(server.metrics().await["switchboard_outbox_dropped_total"] > 0);
}
