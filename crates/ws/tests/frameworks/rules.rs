//! What holds under every framework, at an address that echoes.

use std::net::SocketAddr;

use switchboard_testkit::frame;

use crate::wire::{UPGRADE, Wire, connect, header, hear, leave, say};

pub(crate) async fn check(addr: SocketAddr, path: &str) {
    talks_to_tungstenite(addr, path).await;
    hears_frames_behind_the_request(addr, path).await;
    refuses(addr, path).await;
}

async fn talks_to_tungstenite(addr: SocketAddr, path: &str) {
    let mut client = connect(addr, path).await;
    for text in ["one", "", "three ÿ"] {
        say(&mut client, text).await;
        assert_eq!(hear(&mut client).await, text);
    }
    leave(&mut client).await;
}

/// Attack 20 (sockudo#17, #77): frames that came with the request were dropped with its buffer.
async fn hears_frames_behind_the_request(addr: SocketAddr, path: &str) {
    let frames = [frame::text("at once").masked(), frame::ping("p").masked(), frame::close(1000, "bye").masked()];
    let request = format!("GET {path} HTTP/1.1\r\n{UPGRADE}\r\n");
    let bytes = frames.iter().fold(request.into_bytes(), |bytes, frame| [bytes, frame.bytes()].concat());
    let mut wire = Wire::send(addr, bytes).await;
    let head = wire.head().await;
    assert!(head.starts_with("http/1.1 101 "), "{head}");
    assert_eq!(header(&head, "sec-websocket-accept"), Some("s3pplmbitxaq9kygzzhzrbk+xoo="));
    assert_eq!(header(&head, "upgrade"), Some("websocket"));
    let mut heard = frame::Frame::parse_all(&wire.rest().await);
    // The echo has its own task: the pong may come first.
    heard.sort_by_key(|frame| frame.first);
    assert_eq!(heard, [frame::text("at once"), frame::close(1000, ""), frame::pong("p")]);
}

async fn refuses(addr: SocketAddr, path: &str) {
    let get = format!("GET {path} HTTP/1.1\r\n");
    let without = |line: &str| {
        assert!(UPGRADE.contains(line), "{line}");
        format!("{get}{}\r\n", UPGRADE.replace(line, ""))
    };
    let with = |line: &str| format!("{get}{UPGRADE}{line}\r\n");
    for (request, status, sentence) in [
        (without("Connection: Upgrade\r\n"), 400, "The header Connection does not say Upgrade"),
        (without("Host: localhost\r\n"), 400, "The header Host is missing"),
        (without("Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"), 400, "The header Sec-WebSocket-Key is missing"),
        (without("Sec-WebSocket-Version: 13\r\n"), 426, "The header Sec-WebSocket-Version must be 13"),
        (with("Sec-WebSocket-Version: 13\r\n"), 400, "The header Sec-WebSocket-Version is there more than once"),
        (with("Sec-WebSocket-Protocol: a, a\r\n"), 400, "The header Sec-WebSocket-Protocol names a subprotocol twice"),
        (with("Origin: https://evil.example\r\n"), 403, "Pages of this Origin may not open a WebSocket here"),
        (with("Content-Length: 5\r\n") + "hello", 400, "An opening handshake must not have a body"),
        (with("").replace("GET", "POST"), 405, "A WebSocket is opened with GET"),
        (with("").replace("HTTP/1.1", "HTTP/1.0"), 505, "The opening handshake must be HTTP/1.1"),
    ] {
        let (answered, head, body) = Wire::send(addr, &request).await.response().await;
        assert_eq!(answered, status, "{request}{head}");
        assert!(body.starts_with(sentence), "{request}{body}");
        assert_eq!(header(&head, "content-type"), Some("text/plain; charset=utf-8"));
        match status {
            405 => assert_eq!(header(&head, "allow"), Some("get")),
            426 => assert_eq!(header(&head, "sec-websocket-version"), Some("13")),
            _ => {}
        }
    }
}

/// At an address that speaks nothing else.
pub(crate) async fn refuses_ordinary_requests(addr: SocketAddr, path: &str) {
    let request = format!("GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n");
    let (status, head, body) = Wire::send(addr, request).await.response().await;
    assert_eq!(status, 426);
    assert_eq!(header(&head, "upgrade"), Some("websocket"));
    assert_eq!(header(&head, "connection"), Some("upgrade"));
    assert_eq!(header(&head, "sec-websocket-version"), Some("13"));
    assert!(body.starts_with("This address speaks WebSocket"), "{body}");
}
