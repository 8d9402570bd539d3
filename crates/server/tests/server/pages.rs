//! The chat page and the other pages of the server.

use switchboard_testkit::Response;

use crate::server::Server;

/// What keeps a page from doing what it should not.
fn check_headers(path: &str, response: &Response) {
    assert_eq!(response.header("x-content-type-options"), Some("nosniff"), "{path}");
    assert_eq!(response.header("referrer-policy"), Some("no-referrer"), "{path}");
    let policy = response.header("content-security-policy").unwrap_or_else(|| panic!("{path} has no policy"));
    let rules = ["default-src 'none'", "script-src 'self'", "connect-src 'self'", "frame-ancestors 'none'"];
    for rule in rules {
        assert!(policy.contains(rule), "{path}: {policy}");
    }
    assert!(!policy.contains("unsafe"), "{path}: {policy}");
}

#[tokio::test]
async fn the_chat_page_is_served() {
    let server = Server::start(&[]).await;
    assert!(server.lines[0].starts_with("Switchboard chat page: http://127.0.0.1:"), "{:?}", server.lines);
    let files = [
        ("/", "text/html; charset=utf-8", include_str!("../../web/index.html")),
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
        ("/echo", 426),
    ] {
        let response = server.get(path).await;
        assert_eq!(response.status, status, "{path}");
        check_headers(path, &response);
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
