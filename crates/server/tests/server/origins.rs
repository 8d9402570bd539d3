//! Which pages may connect.

use switchboard_testkit::Wire;

use crate::server::{Server, refusal};

/// What a page of this origin is answered with.
async fn status(server: &Server, path: &str, origin: &str) -> u16 {
    let mut wire = Wire::ask(server.address(), path, &format!("Origin: {origin}\r\n")).await;
    let head = wire.head().await;
    head.split(' ').nth(1).unwrap().parse().unwrap()
}

#[tokio::test]
async fn only_its_own_pages_may_connect_unless_told() {
    let server = Server::start(&[]).await;
    // The request's Host is localhost.
    assert_eq!(status(&server, "/echo", "http://localhost").await, 101);
    for path in ["/echo", "/rooms/lobby"] {
        for foreign in ["https://elsewhere.example", "http://localhost:81", "null"] {
            assert_eq!(status(&server, path, foreign).await, 403, "{path} {foreign}");
        }
    }
    let mut wire = Wire::ask(server.address(), "/echo", "Origin: https://elsewhere.example\r\n").await;
    let response = wire.response().await;
    assert!(response.body.contains("Origin"), "{}", response.body);
    server.counts(&[("connections_refused_total{reason=\"origin\"}", 7)]).await;
}

#[tokio::test]
async fn sites_are_named() {
    let sites = ["--allow-origin", "https://example.com", "--allow-origin", "https://*.example.org"];
    let server = Server::start(&sites).await;
    for (origin, answer) in [
        ("https://example.com", 101),
        ("https://a.example.org", 101),
        ("https://a.b.example.org", 101),
        ("https://example.org", 403),
        ("http://example.com", 403),
        ("https://example.com:8443", 403),
        ("https://example.com.elsewhere.example", 403),
        ("https://wwwexample.org", 403),
        ("http://localhost", 403),
    ] {
        assert_eq!(status(&server, "/echo", origin).await, answer, "{origin}");
    }
    // No page: other programs say what they like.
    Wire::open(server.address(), "/echo").await;
}

#[tokio::test]
async fn every_site_may_be_let_in() {
    let server = Server::start(&["--allow-origin", "*"]).await;
    for origin in ["https://elsewhere.example", "null", "http://localhost"] {
        assert_eq!(status(&server, "/rooms/lobby", origin).await, 101, "{origin}");
    }
}

#[tokio::test]
async fn every_site_on_a_public_address_must_be_said_twice() {
    for address in ["0.0.0.0:0", "[::]:0"] {
        let sentence = refusal(&["--allow-origin", "*", "--listen", address]).await;
        assert!(sentence.contains("can be reached from other machines"), "{sentence}");
        assert!(sentence.contains("--allow-any-origin-in-public"), "{sentence}");
        assert_eq!(sentence.lines().count(), 1, "{sentence}");
    }
}
