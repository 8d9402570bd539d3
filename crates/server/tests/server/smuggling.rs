//! Requests that a proxy before us may read in another way than we do: what is a body to it must not be a request to us
//! (request smuggling), so whatever can be read in two ways is answered with 400 and the connection ends. Attack 19 of
//! the list in SECURITY.md, over raw sockets, by either way in: shards, and HTTP alone.

use switchboard_testkit::Wire;

use crate::server::Server;

/// What an attacker hopes to see answered.
const SMUGGLED: &str = "GET /metrics HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";
const POLL: &str = "/socket.io/?EIO=4&transport=polling";

/// By either way in.
async fn servers() -> [Server; 2] {
    [Server::start(&[]).await, Server::start(&["--driver", "task"]).await]
}

/// The statuses of all answers until the server closes, and whether the smuggled request is among what was answered.
async fn answers(server: &Server, bytes: impl AsRef<[u8]>) -> (Vec<u16>, bool) {
    let mut wire = Wire::connect(server.address()).await;
    wire.send(bytes).await;
    let told = String::from_utf8(wire.rest().await).unwrap();
    let statuses = told.split("HTTP/1.1 ").skip(1).map(|answer| answer[..3].parse().unwrap()).collect();
    (statuses, told.contains("switchboard_connections"))
}

/// Each of these header lines, on a request that is fine without them, is refused, and so is all that follows it.
async fn all_refused(lines: &[&str]) {
    let ways = servers().await;
    for server in &ways {
        for lines in lines {
            for request in ["GET /health", &format!("GET {POLL}"), &format!("POST {POLL}")] {
                let request = format!("{request} HTTP/1.1\r\nHost: localhost\r\n{lines}\r\n\r\n0\r\n\r\n{SMUGGLED}");
                assert_eq!(answers(server, &request).await, (vec![400], false), "{request:?}");
            }
        }
        let refused = u64::try_from(3 * lines.len()).unwrap();
        server.counts(&[("connections_refused_total{reason=\"ambiguous\"}", refused)]).await;
    }
}

/// What all others here would prove nothing without.
#[tokio::test]
async fn proper_requests_on_one_connection_are_answered_in_order() {
    for server in servers().await {
        let health = "GET /health HTTP/1.1\r\nHost: localhost\r\n\r\n";
        assert_eq!(answers(&server, format!("{health}{health}\r\n{SMUGGLED}")).await, (vec![200, 200, 200], true));
    }
}

#[tokio::test]
async fn a_length_and_chunks_together_are_refused() {
    all_refused(&[
        "Content-Length: 5\r\nTransfer-Encoding: chunked",
        "Transfer-Encoding: chunked\r\nContent-Length: 5",
        "transfer-encoding: CHUNKED\r\ncontent-length: 0",
    ])
    .await;
}

#[tokio::test]
async fn lengths_that_are_not_one_number_are_refused() {
    all_refused(&[
        "Content-Length: 5\r\nContent-Length: 5",
        "Content-Length: 5\r\nContent-Length: 0",
        "Content-Length: 0, 5",
        "Content-Length: +5",
        "Content-Length: 0x5",
        "Content-Length: 5 5",
        "Content-Length: 18446744073709551621",
    ])
    .await;
}

#[tokio::test]
async fn encodings_other_than_chunked_are_refused() {
    all_refused(&[
        "Transfer-Encoding: identity",
        "Transfer-Encoding: xchunked",
        "Transfer-Encoding: chunked, identity",
        "Transfer-Encoding: gzip, chunked",
        "Transfer-Encoding: chunked\r\nTransfer-Encoding: identity",
        "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked",
        "Transfer-Encoding: \"chunked\"",
        "Transfer-Encoding: ;chunked",
        "Transfer-Encoding:",
    ])
    .await;
}

#[tokio::test]
async fn folded_lines_are_refused() {
    all_refused(&["X: a\r\n Content-Length: 5", "Transfer-Encoding:\r\n chunked", "X: a\r\n\tb"]).await;
}

#[tokio::test]
async fn line_ends_that_are_not_cr_lf_are_refused() {
    all_refused(&["X: a\nContent-Length: 5", "X: a\rContent-Length: 5", "X: a\n\nGET / HTTP/1.1", "X: a\r\r", "X: \0"])
        .await;
}

#[tokio::test]
async fn hosts_that_are_not_one_are_refused() {
    all_refused(&["Host: localhost", "Host: other.example"]).await;
    for server in servers().await {
        let without = format!("GET /health HTTP/1.1\r\n\r\n{SMUGGLED}");
        assert_eq!(answers(&server, without).await, (vec![400], false));
    }
}

/// Spaces that hyper refuses by itself.
#[tokio::test]
async fn names_with_spaces_are_refused() {
    for server in servers().await {
        for line in ["Content-Length : 5", "Transfer-Encoding : chunked", " Host: a", "Content Length: 5"] {
            let request = format!("GET /health HTTP/1.1\r\n{line}\r\nHost: localhost\r\n\r\n{SMUGGLED}");
            assert_eq!(answers(&server, &request).await, (vec![400], false), "{line}");
        }
    }
}

/// Attack 18 (GHSA-c4j6-fc7j-m34r): nothing is fetched for anyone, and nobody's words say for whom a request is.
#[tokio::test]
async fn targets_that_name_a_host_are_refused() {
    let upgrade = "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: \
                   dGhlIHNhbXBsZSBub25jZQ==\r\n";
    for server in servers().await {
        for target in ["http://localhost/health", "http://169.254.169.254/latest", "//", "localhost:80", "health"] {
            for headers in ["", upgrade] {
                let request = format!("GET {target} HTTP/1.1\r\nHost: localhost\r\n{headers}\r\n{SMUGGLED}");
                let (statuses, smuggled) = answers(&server, &request).await;
                // Two slashes are a path, though none of ours: the request is plain, and so is the next one.
                let expected = if target == "//" && headers.is_empty() { vec![404, 200] } else { vec![statuses[0]] };
                assert_eq!((&statuses, smuggled), (&expected, expected.len() == 2), "{request:?}");
                assert!(matches!(statuses[0], 400 | 404), "{request:?}: {statuses:?}");
            }
        }
        let connect = format!("CONNECT localhost:80 HTTP/1.1\r\nHost: localhost\r\n\r\n{SMUGGLED}");
        assert_eq!(answers(&server, connect).await, (vec![400], false));
    }
}

/// The session's id, from a handshake by polling.
async fn open(server: &Server) -> String {
    let opened = server.get(POLL).await.body;
    opened.split('"').nth(3).unwrap().to_owned()
}

/// Node takes chunks, so they are taken; but only hyper knows where they end, so nothing is taken behind them.
#[tokio::test]
async fn a_body_in_chunks_is_the_last_of_its_connection() {
    for server in servers().await {
        let sid = open(&server).await;
        let head = format!("POST {POLL}&sid={sid} HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n");
        let fine = format!("{head}1;a=b\r\n4\r\n1\r\n0\r\n0\r\n\r\n{SMUGGLED}");
        assert_eq!(answers(&server, fine).await, (vec![200], false));
        let long = "x".repeat(100_000);
        for chunks in [
            format!("2;{long}\r\n40\r\n0\r\n\r\n"),
            format!("2\r\n40\r\n0\r\nX: {long}\r\n\r\n"),
            "0x2\r\n40\r\n0\r\n\r\n".to_owned(),
            "-2\r\n40\r\n0\r\n\r\n".to_owned(),
            "+2\r\n40\r\n0\r\n\r\n".to_owned(),
            "10000000000000002\r\n40\r\n0\r\n\r\n".to_owned(),
            "2\r\n400\r\n\r\n".to_owned(),
            "2\n40\n0\n\n".to_owned(),
        ] {
            let sid = open(&server).await;
            let head =
                format!("POST {POLL}&sid={sid} HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n");
            let (statuses, smuggled) = answers(&server, format!("{head}{chunks}{SMUGGLED}")).await;
            assert!(statuses.len() <= 1 && !smuggled, "{statuses:?}: {:?}", &chunks[..20.min(chunks.len())]);
        }
    }
}

/// What follows a request for a WebSocket is either frames or nothing.
#[tokio::test]
async fn nothing_is_answered_behind_a_refused_upgrade() {
    let upgrade = |path: &str, lines: &str| {
        format!("GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n{lines}\r\n")
    };
    let key = "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n";
    let proper = format!("{key}Sec-WebSocket-Version: 13\r\n");
    let stranger = format!("{proper}Origin: https://elsewhere.example\r\n");
    let body = format!("{proper}Content-Length: {}\r\n", SMUGGLED.len());
    for server in servers().await {
        for (path, lines) in [
            ("/echo", key),
            ("/echo", &stranger),
            ("/echo", &body),
            ("/rooms/lobby", &stranger),
            ("/rooms/", &proper),
            ("/nowhere", &proper),
            ("/health", &proper),
            ("/socket.io/?EIO=4&transport=websocket", &stranger),
            ("/socket.io/?EIO=4&transport=websocket&sid=unknown", &proper),
            ("/socket.io/?EIO=4&transport=polling", &proper),
        ] {
            let (statuses, smuggled) = answers(&server, format!("{}{SMUGGLED}", upgrade(path, lines))).await;
            assert!(statuses.len() == 1 && !smuggled, "{path} {lines:?}: {statuses:?}");
            assert!(statuses[0] != 101, "{path} {lines:?}: {statuses:?}");
        }
        // Behind one that was granted, it is a broken frame.
        let granted = format!("{}{SMUGGLED}", upgrade("/echo?greet=0", &proper));
        assert_eq!(answers_as_bytes(&server, &granted).await, (101, false));
    }
}

/// The first status, and whether the smuggled request was answered, where frames may follow.
async fn answers_as_bytes(server: &Server, bytes: &str) -> (u16, bool) {
    let mut wire = Wire::connect(server.address()).await;
    wire.send(bytes).await;
    let head = wire.head().await;
    let close = wire.frame().await;
    assert_eq!((close.first, &close.payload[..2]), (0x88, &1002_u16.to_be_bytes()[..]));
    let rest = wire.rest().await.escape_ascii().to_string();
    (head[9..12].parse().unwrap(), rest.contains("switchboard_connections"))
}

/// Whoever has polled before is looked at no less.
#[tokio::test]
async fn behind_polls_the_guard_stands_as_well() {
    for server in servers().await {
        let sid = open(&server).await;
        let post = format!("POST {POLL}&sid={sid} HTTP/1.1\r\nHost: localhost\r\nContent-Length: ");
        let ambiguous = format!("{post}2\r\nTransfer-Encoding: chunked\r\n\r\n40");
        assert_eq!(answers(&server, format!("{post}2\r\n\r\n40{ambiguous}{SMUGGLED}")).await, (vec![200, 400], false));
        server.counts(&[("connections_refused_total{reason=\"ambiguous\"}", 1)]).await;
        let health = "GET /health HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";
        let body = format!("{post}{}\r\n\r\n{SMUGGLED}{health}", SMUGGLED.len());
        assert_eq!(answers(&server, body).await, (vec![200, 200], false), "a body is no request");
    }
}

/// A body belongs to the request that announces it, wanted or not.
#[tokio::test]
async fn the_body_of_a_get_is_no_request() {
    for server in servers().await {
        for path in [POLL, "/health", "/nowhere", "/echo", "/socket.io/socket.io.js"] {
            let length = SMUGGLED.len();
            let request =
                format!("GET {path} HTTP/1.1\r\nHost: localhost\r\nContent-Length: {length}\r\n\r\n{SMUGGLED}");
            let honest = "GET /health HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";
            let (statuses, smuggled) = answers(&server, format!("{request}{honest}")).await;
            assert!(!smuggled && matches!(statuses[..], [_] | [_, 200]), "{path}: {statuses:?}");
        }
    }
}

/// Beyond the limit on heads, hyper refuses, and does not look for another request in what follows.
#[tokio::test]
async fn nothing_is_answered_behind_a_head_that_is_too_long() {
    for server in servers().await {
        for length in [16_300, 16_384, 16_500] {
            let request = format!("GET /health HTTP/1.1\r\nHost: a\r\nX: {}\r\n\r\n{SMUGGLED}", "x".repeat(length));
            let mut wire = Wire::connect(server.address()).await;
            wire.send(request).await;
            let told = wire.response().await;
            // A few bytes below the limit it is a request like any other, and what follows is one too.
            assert!(told.status == 431 || (length == 16_300 && told.status == 200), "{length}: {}", told.status);
            if told.status == 431 {
                assert_eq!(told.header("connection"), Some("close"));
            }
        }
    }
}

/// What a refused client sends on is read, so that the answer reaches it, and has no effect.
#[tokio::test]
async fn the_answer_is_read_by_clients_that_send_on() {
    for server in servers().await {
        let more = "x".repeat(32 << 10);
        let request = format!("GET /health HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n{more}");
        let mut wire = Wire::connect(server.address()).await;
        wire.send(request).await;
        let response = wire.response().await;
        assert_eq!((response.status, response.header("connection")), (400, Some("close")));
        assert_eq!(
            response.body,
            "This request can be read in two ways: it needs one Host, lines that end with CR LF, and one length.\n"
        );
        crate::pages::check_headers("400", &response);
    }
}
