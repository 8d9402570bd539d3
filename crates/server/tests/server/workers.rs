//! `--workers` and `--driver`: whoever serves a connection, clients see one server.

use std::collections::BTreeSet;
use std::net::{SocketAddr, TcpListener};

use socket2::{Domain, Socket, Type};
use switchboard_testkit::{Wire, frame, within};

use crate::server::{Server, closing_code, hear, refusal, say};

/// All of them hear each other, and all of them are told when the server stops.
async fn check_room(flags: &[&str], count: usize) {
    let server = Server::start(flags).await;
    let mut clients = Vec::new();
    for _ in 0..count {
        clients.push(server.join("/rooms/lobby").await);
    }
    server.counts(&[("connections_open", count.try_into().unwrap()), ("connections_with_a_task_total", 0)]).await;
    for (name, client) in clients.iter_mut().enumerate() {
        say(client, name.to_string()).await;
    }
    for (name, client) in clients.iter_mut().enumerate() {
        let mut heard = BTreeSet::new();
        for _ in 1..count {
            heard.insert(hear(client).await.parse().unwrap());
        }
        let others: BTreeSet<usize> = (0..count).filter(|&other| other != name).collect();
        assert_eq!(heard, others, "{flags:?}");
    }
    server.program.signal("TERM").await;
    for client in &mut clients {
        assert_eq!(closing_code(client).await, 1001);
    }
    assert_eq!(server.program.end().await.code, Some(0));
}

/// That the kernel gives all of these to one worker happens once in two thousand million runs.
#[tokio::test]
async fn rooms_span_workers() {
    check_room(&["--workers", "2"], 32).await;
}

#[tokio::test]
async fn one_worker_is_enough() {
    check_room(&["--workers", "1"], 4).await;
}

#[tokio::test]
async fn connections_may_have_tasks() {
    check_room(&["--driver", "task", "--workers", "2"], 32).await;
}

/// Workers share a port; no other server of ours may join them unnoticed.
#[tokio::test]
async fn a_port_that_another_process_shares_is_taken() {
    for theirs in ["1", "2"] {
        let server = Server::start(&["--workers", theirs]).await;
        let address = server.address().to_string();
        for ours in ["1", "2"] {
            let sentence = refusal(&["--listen", &address, "--workers", ours]).await;
            assert!(sentence.contains(&format!("cannot listen on {address}")), "{theirs}, {ours}: {sentence}");
        }
        assert_eq!(server.get("/health").await.status, 200);
    }
    let shared = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
    shared.set_reuse_port(true).unwrap();
    shared.bind(&SocketAddr::from(([127, 0, 0, 1], 0)).into()).unwrap();
    shared.listen(1).unwrap();
    let shared = TcpListener::from(shared);
    let address = shared.local_addr().unwrap().to_string();
    for ours in ["1", "2"] {
        let sentence = refusal(&["--listen", &address, "--workers", ours]).await;
        assert!(sentence.contains(&format!("cannot listen on {address}")), "{ours}: {sentence}");
    }
}

#[tokio::test]
async fn pages_and_websockets_share_a_port_and_a_connection() {
    for driver in ["auto", "task"] {
        let server = Server::start(&["--driver", driver]).await;
        let mut wire = Wire::connect(server.address()).await;
        let page = wire.get("/").await;
        assert!(page.status == 200 && page.body.contains("<html"), "{}", page.head);
        assert_eq!(wire.get("/nowhere").await.status, 404);
        // The connection that has carried pages becomes a WebSocket.
        wire.request("/echo?greet=0", "").await;
        assert!(wire.head().await.starts_with("http/1.1 101 "));
        wire.say(&frame::text("hello").masked()).await;
        assert_eq!(wire.frame().await, frame::text("hello"));
        // HTTP has read from it, so no shard can have it.
        let by_itself = u64::from(driver == "auto");
        server.counts(&[("connections_open", 1), ("connections_with_a_task_total", by_itself)]).await;
        let mut direct = Wire::open(server.address(), "/echo?greet=0").await;
        direct.say(&frame::text("hello").masked()).await;
        assert_eq!(direct.frame().await, frame::text("hello"));
        server.counts(&[("connections_open", 2), ("connections_with_a_task_total", by_itself)]).await;
        for wire in [&mut wire, &mut direct] {
            wire.say(&frame::close(1000, "").masked()).await;
            assert_eq!(wire.frame().await, frame::close(1000, ""));
            assert!(wire.rest().await.is_empty());
        }
    }
}

#[tokio::test]
async fn requests_that_come_in_one_piece_are_answered_in_order() {
    for driver in ["auto", "task"] {
        let server = Server::start(&["--driver", driver]).await;
        let mut wire = Wire::connect(server.address()).await;
        let get = |path: &str| format!("GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n");
        wire.send(get("/health") + &get("/rooms/lobby") + &get("/nowhere")).await;
        assert_eq!(wire.response().await.body, "ok\n");
        assert!(wire.response().await.body.contains("\"lobby\""));
        assert_eq!(wire.response().await.status, 404);

        // And a WebSocket behind a page, with its first frame.
        let upgrade = "GET /echo?greet=0 HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
                       Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n";
        let first = frame::text("early").masked().bytes();
        wire.send([get("/health").as_bytes(), upgrade.as_bytes(), &first].concat()).await;
        assert_eq!(wire.response().await.body, "ok\n");
        assert!(wire.head().await.starts_with("http/1.1 101 "));
        assert_eq!(wire.frame().await, frame::text("early"));
    }
}

#[tokio::test]
async fn a_request_with_a_body_is_read_whole() {
    for driver in ["auto", "task"] {
        let server = Server::start(&["--driver", driver]).await;
        let mut wire = Wire::connect(server.address()).await;
        let body = "x".repeat(100_000);
        let head = format!("POST /health HTTP/1.1\r\nHost: localhost\r\nContent-Length: {}\r\n\r\n", body.len());
        wire.send(head + &body).await;
        let response = wire.response().await;
        assert_eq!((response.status, response.header("allow")), (405, Some("get,head")));
        // Whoever still sends when the answer is there has it, and the connection.
        wire.send(format!("POST /rooms HTTP/1.1\r\nHost: localhost\r\nContent-Length: {}\r\n\r\n", body.len())).await;
        assert_eq!(wire.response().await.status, 404);
        wire.send(&body).await;
        assert_eq!(wire.get("/health").await.body, "ok\n");
    }
}

/// Whichever way a WebSocket was opened and ended, another client can have its place.
#[tokio::test]
async fn places_are_given_back() {
    for driver in ["auto", "task"] {
        let server = Server::start(&["--max-connections", "1", "--workers", "2", "--driver", driver]).await;
        let mut full = 0;
        for end in 0..6 {
            // The former one's place is free a moment after its end.
            let mut wire = within("a free place", async {
                loop {
                    let mut wire = Wire::connect(server.address()).await;
                    // By way of a page or at once.
                    if end % 2 == 0 && wire.try_get("/health").await.is_none_or(|page| page.status == 503) {
                        continue;
                    }
                    let Some(head) = wire.try_upgrade("/echo?greet=0").await else { continue };
                    if head.starts_with("http/1.1 101 ") {
                        return wire;
                    }
                    assert!(head.starts_with("http/1.1 503 "), "{head}");
                }
            })
            .await;
            let mut other = Wire::ask(server.address(), "/echo", "").await;
            let response = other.response().await;
            assert_eq!((response.status, response.header("retry-after")), (503, Some("5")));
            full += 1;
            match end / 2 {
                0 => {
                    wire.say(&frame::close(1000, "").masked()).await;
                    assert_eq!(wire.frame().await, frame::close(1000, ""));
                }
                1 => {
                    // No mask: a broken rule.
                    wire.say(&frame::text("no mask")).await;
                    assert_eq!(wire.frame().await.first, 0x88);
                }
                _ => wire.send(&frame::text("half a message").masked().bytes()[..9]).await,
            }
        }
        assert_eq!(full, 6);
    }
}

/// The same words, whoever says them.
#[tokio::test]
async fn refusals_are_the_same_by_either_driver() {
    let mut told = Vec::new();
    for driver in ["auto", "task"] {
        let server = Server::start(&["--driver", driver]).await;
        let mut answers = Vec::new();
        for (path, headers) in [
            ("/echo", "Origin: https://evil.example\r\n"),
            ("/rooms/lobby", "Origin: https://evil.example\r\n"),
            ("/echo", "Sec-WebSocket-Version: 13\r\n"),
            ("/echo", "Content-Length: 5\r\n"),
            ("/nowhere", ""),
            ("/rooms/", ""),
            ("/rooms/%FF", ""),
        ] {
            let response = Wire::ask(server.address(), path, headers).await.response().await;
            let head: Vec<&str> = response.head.lines().filter(|line| !line.starts_with("date: ")).collect();
            answers.push((path, headers, head.join("\n"), response.body));
        }
        told.push(answers);
    }
    assert_eq!(told[0], told[1]);
}
