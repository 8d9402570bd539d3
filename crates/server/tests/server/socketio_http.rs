//! Socket.IO as part of the whole server: its path, its client, origins, counters, flags and the end.

use serde_json::{Value, json};
use switchboard_testkit::{Response, Wire};

use crate::server::{Client, Directory, Server, closing_code, hear, refusal, say};
use crate::socketio::Io;

async fn ask(server: &Server, request: &str) -> Response {
    let mut wire = Wire::connect(server.address()).await;
    wire.send(request).await;
    wire.response().await
}

/// The status of an answer, which may have no body.
async fn status(server: &Server, request: &str) -> u16 {
    let mut wire = Wire::connect(server.address()).await;
    wire.send(request).await;
    wire.head().await.split(' ').nth(1).unwrap().parse().unwrap()
}

fn get(path: &str, headers: &str) -> String {
    format!("GET {path} HTTP/1.1\r\nHost: localhost\r\n{headers}\r\n")
}

const POLL: &str = "/socket.io/?EIO=4&transport=polling";
const WEBSOCKET: &str = "/socket.io/?EIO=4&transport=websocket";

/// The handshake of a polling session.
async fn open(server: &Server) -> Value {
    let opened = server.get(POLL).await;
    assert_eq!(opened.status, 200, "{}", opened.body);
    serde_json::from_str(opened.body.strip_prefix('0').unwrap()).unwrap()
}

#[tokio::test]
async fn polling_and_its_upgrade_go_on_beside_the_rest() {
    for driver in ["auto", "task"] {
        let server = Server::start(&["--driver", driver]).await;
        assert!(server.lines.iter().any(|line| line.ends_with("/socket.io") && line.starts_with("  Socket.IO:")));
        let handshake = open(&server).await;
        assert_eq!(handshake["upgrades"], json!(["websocket"]));
        assert_eq!((&handshake["pingInterval"], &handshake["pingTimeout"]), (&json!(25000), &json!(20000)));
        assert_eq!(handshake["maxPayload"], json!(1_000_000));
        let sid = handshake["sid"].as_str().unwrap();
        let post = format!(
            "POST {POLL}&sid={sid} HTTP/1.1\r\nHost: localhost\r\nContent-Type: text/plain\r\nContent-Length: 2\r\n\r\n40"
        );
        assert_eq!(ask(&server, &post).await.body, "ok");
        assert!(server.get(&format!("{POLL}&sid={sid}")).await.body.starts_with("40{\"sid\":"));
        let mut client: Client = server.connect(&format!("{WEBSOCKET}&sid={sid}")).await;
        say(&mut client, "2probe").await;
        assert_eq!(hear(&mut client).await, "3probe");
        say(&mut client, "5").await;
        say(&mut client, "421[\"join\",\"a\"]").await;
        assert_eq!(hear(&mut client).await, "431[1]");
        server
            .counts(&[
                ("socketio_sessions_open", 1),
                ("socketio_sockets", 1),
                ("socketio_sessions_total{transport=\"polling\"}", 1),
                ("socketio_upgrades_total{outcome=\"done\"}", 1),
                ("connections_open", 1),
            ])
            .await;
    }
}

#[tokio::test]
async fn refusals_are_nodes_and_counted() {
    let server = Server::start(&[]).await;
    let unknown = server.get("/socket.io/?EIO=4&transport=pigeon").await;
    assert_eq!((unknown.status, &*unknown.body), (400, "{\"code\":0,\"message\":\"Transport unknown\"}"));
    assert_eq!(unknown.header("x-content-type-options"), Some("nosniff"), "as every answer of this server");
    let old = server.get("/socket.io/?EIO=3&transport=polling").await;
    assert_eq!((old.status, &*old.body), (400, "{\"code\":5,\"message\":\"Unsupported protocol version\"}"));
    server
        .counts(&[
            ("socketio_requests_refused_total{reason=\"unknown_transport\"}", 1),
            ("socketio_requests_refused_total{reason=\"unsupported_version\"}", 1),
        ])
        .await;
}

#[tokio::test]
async fn origins_are_those_of_the_whole_server() {
    let upgrade = "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: \
                   dGhlIHNhbXBsZSBub25jZQ==\r\n";
    let friend = "Origin: https://a.example.com\r\n";
    let stranger = "Origin: https://elsewhere.example\r\n";
    let allowed = |response: &Response| response.header("access-control-allow-origin").map(str::to_owned);

    let server = Server::start(&[]).await;
    assert_eq!(allowed(&ask(&server, &get(POLL, friend)).await), None);
    for origin in [friend, stranger] {
        assert_eq!(status(&server, &get(WEBSOCKET, &format!("{upgrade}{origin}"))).await, 400, "{origin}");
    }
    let own = format!("{upgrade}Origin: http://localhost\r\n");
    assert_eq!(status(&server, &get(WEBSOCKET, &own)).await, 101);

    let server = Server::start(&["--allow-origin", "https://*.example.com"]).await;
    let polled = ask(&server, &get(POLL, friend)).await;
    assert_eq!(allowed(&polled).as_deref(), Some("https://a.example.com"));
    assert_eq!(polled.header("access-control-allow-credentials"), Some("true"));
    assert_eq!(allowed(&ask(&server, &get(POLL, stranger)).await), None);
    assert_eq!(status(&server, &get(WEBSOCKET, &format!("{upgrade}{friend}"))).await, 101);
    assert_eq!(status(&server, &get(WEBSOCKET, &format!("{upgrade}{stranger}"))).await, 400);

    let server = Server::start(&["--allow-origin", "*"]).await;
    assert_eq!(allowed(&ask(&server, &get(POLL, stranger)).await).as_deref(), Some("*"));
    assert_eq!(status(&server, &get(WEBSOCKET, &format!("{upgrade}{stranger}"))).await, 101);
}

#[tokio::test]
async fn the_client_is_served_from_its_folder() {
    let server = Server::start(&[]).await;
    let missing = server.get("/socket.io/socket.io.js").await;
    assert_eq!(missing.status, 404);
    assert!(missing.body.contains("npm install socket.io-client"), "{}", missing.body);
    assert!(missing.body.contains("--socketio-client-dir"), "{}", missing.body);

    let folder = Directory::new();
    let nothing = refusal(&["--socketio-client-dir", &folder.join("")]).await;
    assert!(nothing.contains("--socketio-client-dir: ") && nothing.contains("socket.io.js"), "{nothing}");
    std::fs::write(folder.join("socket.io.js"), "the client").unwrap();
    std::fs::write(folder.join("socket.io.min.js.map"), "{}").unwrap();
    std::fs::write(folder.join("secret.js"), "no").unwrap();
    let server = Server::start(&["--socketio-client-dir", &folder.join("")]).await;
    let file = server.get("/socket.io/socket.io.js?x=1").await;
    assert_eq!((file.status, &*file.body), (200, "the client"));
    assert_eq!(file.header("content-type"), Some("application/javascript; charset=utf-8"));
    assert_eq!(file.header("cache-control"), Some("public, max-age=0"));
    crate::pages::check_headers("the client", &file);
    let tag = file.header("etag").unwrap();
    let known = get("/socket.io/socket.io.js", &format!("If-None-Match: {tag}\r\n"));
    assert_eq!(status(&server, &known).await, 304);
    assert_eq!(server.get("/socket.io/socket.io.min.js.map").await.body, "{}");
    assert_eq!(server.get("/socket.io/socket.io.esm.min.js").await.status, 404);
    assert_eq!(server.get("/socket.io/secret.js").await.status, 400, "that is a bad handshake to the engine");
}

#[tokio::test]
async fn flags_reach_the_handshake() {
    let flags = [
        "--socketio-path=/realtime/",
        "--socketio-ping-interval=7s",
        "--socketio-ping-timeout=3s",
        "--socketio-max-payload=1KiB",
        "--socketio-transports=polling",
        "--socketio-allow-eio3=on",
        "--socketio-cookie=sticky",
    ];
    let server = Server::start(&flags).await;
    assert_eq!(server.get(POLL).await.status, 404, "another path");
    let opened = server.get("/realtime/?EIO=4&transport=polling").await;
    let handshake: Value = serde_json::from_str(&opened.body[1..]).unwrap();
    assert_eq!((&handshake["pingInterval"], &handshake["pingTimeout"]), (&json!(7000), &json!(3000)));
    assert_eq!((&handshake["maxPayload"], &handshake["upgrades"]), (&json!(1024), &json!([])));
    let sid = handshake["sid"].as_str().unwrap();
    // In small letters, as the test's own client reads headers.
    let cookie = format!("sticky={}; path=/; httponly; samesite=lax", sid.to_lowercase());
    assert_eq!(opened.header("set-cookie"), Some(&*cookie));
    assert_eq!(server.get("/realtime/?EIO=3&transport=polling").await.status, 200);

    let server = Server::start(&["--no-socketio"]).await;
    assert_eq!(server.get(POLL).await.status, 404);
    assert!(!server.metrics().await.keys().any(|name| name.contains("socketio")));
    let mut plain = [server.join("/rooms/a").await, server.join("/rooms/a").await];
    say(&mut plain[0], "still").await;
    assert_eq!(hear(&mut plain[1]).await, "still");
}

#[tokio::test]
async fn more_flags_reach_it() {
    let flags = [
        "--socketio-add-trailing-slash=off",
        "--socketio-initial-packet=welcome",
        "--socketio-cookie=io",
        "--socketio-cookie-path=/app",
        "--socketio-cookie-same-site=none",
        "--socketio-max-depth=3",
        "--socketio-max-namespaces=2",
        "--socketio-max-rooms=3",
    ];
    let server = Server::start(&flags).await;
    let opened = server.get("/socket.io?EIO=4&transport=polling").await;
    assert!(opened.body.ends_with("\u{1e}4welcome"), "{}", opened.body);
    let cookie = opened.header("set-cookie").unwrap().to_lowercase();
    assert!(
        cookie.contains("; path=/app;") && cookie.contains("samesite=none") && cookie.contains("secure"),
        "{cookie}"
    );

    let server = Server::start(&flags[5..]).await;
    let mut ann = Io::connect(&server).await;
    for room in ["a", "b", "c"] {
        assert_eq!(ann.ask(&json!(["join", room])).await, json!(1), "{room}");
    }
    let refused = ann.ask(&json!(["join", "d"])).await;
    assert!(refused["error"].is_string(), "{refused}");
    ann.emit(&json!(["deep", [[[]]]])).await;
    server.counts(&[("socketio_limits_hit_total{limit=\"too_deep\"}", 1)]).await;
}

#[tokio::test]
async fn bad_flags_are_told_at_once() {
    let paths = ["realtime", "/", "/ü", "/a\tb", "/../health", "//a"].map(|path| ("--socketio-path", path));
    for (flag, value) in paths.into_iter().chain([("--socketio-cookie", "a b")]) {
        let told = refusal(&[flag, value]).await;
        assert!(told.starts_with(&format!("switchboard: {flag}: ")), "{told}");
    }
    let told = refusal(&["--socketio-cookie", "io", "--socketio-cookie-path", "/;x"]).await;
    assert!(told.starts_with("switchboard: --socketio-cookie-path: "), "{told}");
    for (path, route) in [
        ("/rooms", "/rooms/{name}"),
        ("/echo/", "/echo"),
        ("/health", "/health"),
        ("/metrics", "/metrics"),
        ("/", "/echo"),
    ] {
        let told = refusal(&["--socketio-path", path]).await;
        assert!(told.contains(&format!("`{path}`")) && told.contains(&format!("`{route}`")), "{told}");
    }
}

#[tokio::test]
async fn sessions_are_closed_when_the_server_stops() {
    let server = Server::start(&[]).await;
    let mut io = Io::join(&server, "a").await;
    let mut plain = server.join("/rooms/a").await;
    // A client between two polls cannot come back, and is not waited for.
    open(&server).await;
    server.counts(&[("socketio_sessions_open", 2)]).await;
    server.program.signal("TERM").await;
    // Its session's own close, or that of all WebSockets, whichever its shard sees first.
    assert!(matches!(closing_code(&mut io.client).await, 1005 | 1001));
    assert_eq!(closing_code(&mut plain).await, 1001);
    let ended = server.program.end().await;
    assert_eq!(ended.code, Some(0));
    assert!(!ended.stderr.contains("out of patience"), "{}", ended.stderr);
}
