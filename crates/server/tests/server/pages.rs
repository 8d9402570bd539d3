//! The chat page and the other pages of the server.

use switchboard_testkit::{Response, Wire};

use crate::server::Server;

/// What keeps a page from doing what it should not.
pub(crate) fn check_headers(path: &str, response: &Response) {
    assert_eq!(response.header("x-content-type-options"), Some("nosniff"), "{path}");
    assert_eq!(response.header("referrer-policy"), Some("no-referrer"), "{path}");
    let policy = response.header("content-security-policy").unwrap_or_else(|| panic!("{path} has no policy"));
    let rules = ["default-src 'none'", "script-src 'self'", "connect-src 'self'", "frame-ancestors 'none'"];
    for rule in rules {
        assert!(policy.contains(rule), "{path}: {policy}");
    }
    assert!(!policy.contains("unsafe"), "{path}: {policy}");
}

/// What the page says of the server's settings.
const DEFAULTS: &str = "data-path=\"/socket.io\" data-join=\"join\" data-parser=\"default\" \
                          data-transports=\"polling,websocket\" data-recovery=\"off\"";

/// The page as it comes from a server that is set like this.
fn page(attributes: &str) -> String {
    include_str!("../../web/index.html").replacen("<html ", &format!("<html {attributes} "), 1)
}

#[tokio::test]
async fn the_chat_page_is_served() {
    let server = Server::start(&[]).await;
    assert!(server.lines[0].starts_with("Switchboard chat page: http://127.0.0.1:"), "{:?}", server.lines);
    let files = [
        ("/", "text/html; charset=utf-8", &*page(DEFAULTS)),
        ("/style.css", "text/css; charset=utf-8", include_str!("../../web/style.css")),
        ("/chat.js", "text/javascript; charset=utf-8", include_str!("../../web/chat.js")),
        ("/favicon.svg", "image/svg+xml", include_str!("../../web/favicon.svg")),
    ];
    for (path, content_type, content) in files {
        let response = server.get(path).await;
        assert_eq!((response.status, response.header("content-type")), (200, Some(content_type)), "{path}");
        assert_eq!(response.header("cache-control"), Some("no-cache"), "{path}");
        assert!(response.body == content, "{path} is another file");
        check_headers(path, &response);
    }
    // Whatever the page asks for is there.
    let page = server.get("/").await.body;
    let asked = page
        .split(['"', '\''])
        .filter(|text| text.ends_with(".js") || text.ends_with(".css") || text.ends_with(".svg"));
    for file in asked {
        let path = format!("/{}", file.trim_start_matches(['/', '.']));
        assert_eq!(server.get(&path).await.status, 200, "{file}");
    }
}

#[tokio::test]
async fn the_page_knows_whether_there_is_socketio() {
    let without = Server::start(&["--no-socketio"]).await;
    let told = without.get("/").await;
    assert!(told.body.contains("<html data-socketio=\"off\" lang=\"en\">"), "the scripts read it there");
    assert_eq!(told.header("content-type"), Some("text/html; charset=utf-8"));
    assert!(without.get("/room.js").await.body.contains("dataset.socketio !== \"off\""), "as they do");
    let flags =
        ["--socketio-path=/rt", "--socketio-join-event=<\"&", "--socketio-parser=msgpack", "--socketio-recovery=2m"];
    let with = Server::start(&[&flags[..], &["--socketio-transports=websocket"]].concat()).await;
    let set = "data-path=\"/rt\" data-join=\"&lt;&quot;&amp;\" data-parser=\"msgpack\" data-transports=\"websocket\" \
               data-recovery=\"on\"";
    assert!(with.get("/").await.body == page(set));
}

#[tokio::test]
async fn without_the_demo_there_is_no_page() {
    let server = Server::start(&["--no-demo"]).await;
    assert!(server.lines[0].starts_with("Switchboard server: http://127.0.0.1:"), "{:?}", server.lines);
    for path in ["/", "/style.css", "/chat.js", "/favicon.svg"] {
        assert_eq!(server.get(path).await.status, 404, "{path}");
    }
    assert_eq!(server.get("/health").await.status, 200);
}

#[tokio::test]
async fn every_answer_has_the_headers() {
    let server = Server::start(&[]).await;
    for (path, status) in [
        ("/nowhere", 404),
        ("/rooms/", 404),
        ("/health", 200),
        ("/metrics", 200),
        ("/rooms/lobby", 200),
        ("/rooms/%FF", 400),
        ("/echo", 426),
        ("/socket.io/?EIO=4&transport=polling", 200),
        ("/socket.io/?EIO=4&transport=polling&sid=unknown", 400),
        ("/socket.io/socket.io.js", 404),
    ] {
        let response = server.get(path).await;
        assert_eq!(response.status, status, "{path}");
        check_headers(path, &response);
    }
    for (request, status) in [
        ("POST /health HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n", 405),
        ("OPTIONS /socket.io/?EIO=4&transport=polling HTTP/1.1\r\nHost: a\r\n\r\n", 400),
        ("GET /health HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n", 400),
    ] {
        let mut wire = Wire::connect(server.address()).await;
        wire.send(request).await;
        let response = wire.response().await;
        assert_eq!(response.status, status, "{request}");
        check_headers(request, &response);
    }
    // Of a WebSocket that is refused; one that is opened is no page.
    for (headers, status) in [("Origin: https://elsewhere.example\r\n", 403), ("Content-Length: 5\r\n", 400)] {
        let response = Wire::ask(server.address(), "/echo", headers).await.response().await;
        assert_eq!(response.status, status, "{headers}");
        check_headers(headers, &response);
    }
    let head = Wire::ask(server.address(), "/echo", "").await.head().await;
    assert!(head.starts_with("http/1.1 101 ") && !head.contains("content-security-policy"), "{head}");
}

/// Those who are told that there is no room are told by others than the routes.
#[tokio::test]
async fn the_full_servers_answer_has_the_headers() {
    for driver in ["auto", "task"] {
        let server = Server::start(&["--max-connections", "1", "--driver", driver]).await;
        let _first = server.join("/rooms/lobby").await;
        let response = server.get("/health").await;
        assert_eq!((response.status, response.header("retry-after")), (503, Some("5")));
        assert_eq!(response.header("x-content-type-options"), Some("nosniff"));
        assert_eq!(response.header("referrer-policy"), Some("no-referrer"));
        // It asks for nothing at all.
        let policy = Some("default-src 'none'; frame-ancestors 'none'");
        assert_eq!(response.header("content-security-policy"), policy);
    }
}

#[tokio::test]
async fn the_page_is_for_this_machine_unless_told() {
    let hidden = Server::run(&["--listen", "0.0.0.0:0"], &[]).await;
    assert!(hidden.lines[0].contains("--demo-in-public"), "{:?}", hidden.lines);
    let shown = Server::run(&["--listen", "0.0.0.0:0", "--demo-in-public"], &[]).await;
    assert!(shown.lines[0].starts_with("Switchboard chat page: "), "{:?}", shown.lines);
    for (server, status) in [(hidden, 404), (shown, 200)] {
        assert_eq!(server.get("/").await.status, status);
        assert_eq!(server.get("/health").await.status, 200);
    }
}

#[tokio::test]
async fn health_is_told() {
    let server = Server::start(&[]).await;
    let response = server.get("/health").await;
    assert_eq!((response.status, &*response.body), (200, "ok\n"));
    let nowhere = server.get("/nowhere").await;
    assert!(nowhere.body.starts_with("There is nothing here."), "{}", nowhere.body);
}
