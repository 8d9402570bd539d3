//! Attacks by requests: the opening handshake of WebSockets, and HTTP around it.

use switchboard_testkit::frame;

use crate::arena::{Arena, POLLING, Side, post, status, text};
use crate::way::{Way, on_every_way};

const KIB: usize = 1 << 10;
const UPGRADE: &str = "Host: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Key: \
                       dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n";

on_every_way!(
    attack_5_a_long_head_in_small_pieces_is_refused_at_its_limit,
    attack_6_lists_in_headers_are_read_in_one_go,
    attack_7_too_many_headers_are_refused,
    attack_11_parameters_out_of_their_range_are_not_agreed_on,
    attack_14_control_bytes_are_refused_and_never_sent_back,
    attack_15_pages_of_other_sites_get_nothing,
    attack_18_a_target_that_names_a_host_is_refused,
    attack_19_ambiguous_requests_are_refused,
    attack_20_frames_behind_the_request_are_heard,
    bodies_that_nobody_asked_for_are_not_read,
);

/// A request for a WebSocket with further header lines.
fn request(side: Side, headers: &str) -> String {
    format!("GET {} HTTP/1.1\r\n{UPGRADE}{headers}\r\n", side.path())
}

/// CVE-2023-43669, RUSTSEC-2023-0065: a long head was parsed anew with every read. Ours has a length, and is parsed once.
async fn attack_5_a_long_head_in_small_pieces_is_refused_at_its_limit(way: Way) {
    let mut arena = Arena::on(way, &[]).await;
    for side in Side::BOTH {
        let mut wire = arena.connect().await;
        let head = request(side, &format!("X-Long: {}\r\n", "x".repeat(20 << 10)));
        for piece in head.as_bytes().chunks(16) {
            if !wire.try_send(piece).await {
                break;
            }
        }
        let answer = String::from_utf8(wire.last_words().await).unwrap();
        assert_eq!(status(&answer), 431, "{side:?}");
        arena.is_well().await;
    }
    arena.ends(256 * KIB).await;
}

/// CVE-2021-32640, CVE-2020-7662, CVE-2020-7663: lists in headers whose parsing took exponential or quadratic time.
async fn attack_6_lists_in_headers_are_read_in_one_go(way: Way) {
    let mut arena = Arena::on(way, &["--compression=on", "--socketio-compression=on"]).await;
    let many = |piece: &str| piece.repeat((14 << 10) / piece.len());
    let headers = [
        format!("Sec-WebSocket-Protocol: a{}b\r\n", many(" ")),
        format!("Sec-WebSocket-Protocol: a{}\r\n", many(", ")),
        format!("Sec-WebSocket-Extensions: a; b=\"{}\r\n", many("\\\"")),
        format!("Sec-WebSocket-Extensions: permessage-deflate{}\r\n", many("; constructor")),
        format!("Sec-WebSocket-Extensions: permessage-deflate{}\r\n", many("; __proto__=1")),
        format!("Sec-WebSocket-Extensions: {}\r\n", many("permessage-deflate; x, ")),
        format!("Connection: {}\r\n", many("a ,")),
        format!("Upgrade: {}\r\n", many("\t,")),
    ];
    for side in Side::BOTH {
        for header in &headers {
            let mut wire = arena.connect().await;
            wire.send(request(side, header)).await;
            let status = status(&wire.head().await);
            assert!([101, 400, 426].contains(&status), "{side:?} {status} {header:.60}");
            arena.is_well().await;
        }
    }
    arena.ends(512 * KIB).await;
}

/// CVE-2024-37890: with too many headers `Upgrade` was cut off, and missed with a crash.
async fn attack_7_too_many_headers_are_refused(way: Way) {
    let mut arena = Arena::on(way, &[]).await;
    let many: String = (0..101).map(|number| format!("X-{number}: 1\r\n")).collect();
    for side in Side::BOTH {
        assert_eq!(arena.status(request(side, &many)).await, 431, "{side:?}");
        // And each that is needed may be missing.
        for line in UPGRADE.split_inclusive("\r\n") {
            let status = arena.status(request(side, "").replace(line, "")).await;
            assert!([400, 426].contains(&status), "{side:?} {line} {status}");
        }
        arena.is_well().await;
    }
    assert_eq!(arena.status(format!("GET {POLLING} HTTP/1.1\r\nHost: a\r\n{many}\r\n")).await, 431);
    arena.ends(512 * KIB).await;
}

/// CVE-2026-2229: parameters of an extension that nobody had checked.
async fn attack_11_parameters_out_of_their_range_are_not_agreed_on(way: Way) {
    let mut arena = Arena::on(way, &["--compression=on", "--socketio-compression=on"]).await;
    for side in Side::BOTH {
        for parameter in [
            "server_max_window_bits=7",
            "server_max_window_bits=16",
            "server_max_window_bits=1e1",
            "server_max_window_bits=18446744073709551624",
            "server_max_window_bits",
            "client_max_window_bits=0",
            "server_max_window_bits=9; server_max_window_bits=9",
            "server_no_context_takeover=1",
            "unknown",
        ] {
            let offer = format!("Sec-WebSocket-Extensions: permessage-deflate; {parameter}\r\n");
            let head = arena.ask(side.path(), &offer).await.head().await;
            assert!(head.starts_with("http/1.1 101 ") && !head.contains("permessage-deflate"), "{parameter}: {head}");
        }
        arena.is_well().await;
    }
    arena.goes_on(512 * KIB).await;
}

/// CVE-2026-1527, PYSEC-2020-25, Beast's audit of 2024, sockudo#78: line ends and control bytes that reach a head or a
/// page.
async fn attack_14_control_bytes_are_refused_and_never_sent_back(way: Way) {
    let mut arena = Arena::on(way, &[]).await;
    for side in Side::BOTH {
        let good = request(side, "X-Test: a\r\n");
        for (old, new) in [
            ("GET /", "GET /\0"),
            ("GET /", "GET /\x7f"),
            ("X-Test: a", "X-Test: a\x01"),
            ("X-Test: a", "X-Test: a\0"),
            ("X-Test: a\r\n", "X-Test: a\n b\r\n"),
            ("X-Test: a", "X-Test : a"),
            ("X-Test: a", "Sec-WebSocket-Protocol: a\x0bEvil"),
            ("localhost", "local\x01host"),
        ] {
            let answer = arena.answer(good.replace(old, new)).await;
            assert_eq!(status(&answer), 400, "{side:?} {new:?} {answer}");
            let sent_back = answer.bytes().any(|byte| byte < b' ' && !b"\r\n\t".contains(&byte));
            assert!(!sent_back && !answer.contains("Evil"), "{answer:?}");
        }
        arena.is_well().await;
    }
    // The answer to a JSON-P poll is a script: nothing of the query is written into it but a number.
    let script = arena.get(&format!("{POLLING}&j=7")).await;
    assert!(script.body.starts_with("___eio[7](") && script.head.contains("javascript"), "{script:?}");
    let none = arena.get(&format!("{POLLING}&j=0);alert(1")).await;
    assert!(!none.body.contains("alert") && none.body.starts_with(['_', '0']), "{none:?}");
    arena.ends(256 * KIB).await;
}

/// GO-2025-3874, GO-2026-4310, -5181, -5210, -5433, -5449, -5656 and CVE-2020-28481: pages of any site could act in the
/// name of their visitors.
async fn attack_15_pages_of_other_sites_get_nothing(way: Way) {
    let arena = Arena::on(way, &[]).await;
    for (side, refusal) in [(Side::Plain, 403), (Side::Io, 400)] {
        for origin in ["https://evil.example", "http://localhost.evil.example", "http://localhost:1", "null"] {
            let status = arena.status(request(side, &format!("Origin: {origin}\r\n"))).await;
            assert_eq!(status, refusal, "{side:?} {origin}");
        }
        assert_eq!(status(&arena.ask(side.path(), "Origin: http://localhost\r\n").await.head().await), 101);
    }
    let page = "Origin: https://evil.example\r\n";
    let polled = arena.answer(format!("GET {POLLING} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n{page}\r\n")).await;
    assert!(!polled.to_lowercase().contains("access-control-allow"), "{polled}");
    arena.refused("origin", 4).await;
    arena.ends(256 * KIB).await;
}

/// GHSA-c4j6-fc7j-m34r: an upgrade whose target names another host made the server call there. (CVE-2022-31080, answers
/// without an end, is in `clients.rs`.)
async fn attack_18_a_target_that_names_a_host_is_refused(way: Way) {
    let arena = Arena::on(way, &[]).await;
    for side in Side::BOTH {
        for host in ["http://169.254.169.254", "https://internal:8443", "ws://localhost"] {
            let status = arena.status(request(side, "").replace("GET /", &format!("GET {host}/"))).await;
            assert_eq!(status, 400, "{side:?} {host}");
        }
    }
    let status = arena.status("CONNECT internal:80 HTTP/1.1\r\nHost: internal:80\r\n\r\n").await;
    assert!((400..500).contains(&status), "{status}");
    arena.ends(256 * KIB).await;
}

/// sockudo#82, #83: what a proxy and the server read differently smuggles requests past the proxy.
async fn attack_19_ambiguous_requests_are_refused(way: Way) {
    let mut arena = Arena::on(way, &[]).await;
    for side in Side::BOTH {
        for twice in
            UPGRADE.split_inclusive("\r\n").filter(|line| !line.starts_with("Upgrade") && !line.starts_with("Conn"))
        {
            assert_eq!(arena.status(request(side, twice)).await, 400, "{side:?} {twice}");
        }
        for body in ["Content-Length: 5\r\n", "Content-Length: +0\r\n", "Transfer-Encoding: chunked\r\n"] {
            assert_eq!(arena.status(request(side, body) + "0\r\n\r\n").await, 400, "{side:?} {body}");
        }
        arena.is_well().await;
    }
    for ambiguous in [
        "Content-Length: 5\r\nContent-Length: 6",
        "Content-Length: +5",
        "Content-Length: 5, 6",
        "Transfer-Encoding: xchunked",
    ] {
        let head = post(&arena.session().await, 5).replace("Content-Length: 5", ambiguous);
        assert_eq!(arena.status(head + "4more").await, 400, "{ambiguous}");
    }
    arena.ends(512 * KIB).await;
}

/// sockudo#17, #77: what came together with the request was lost, or taken for somebody else's.
async fn attack_20_frames_behind_the_request_are_heard(way: Way) {
    let arena = Arena::on(way, &[]).await;
    for (side, said) in [(Side::Plain, "first words"), (Side::Io, "40")] {
        let mut wire = arena.connect().await;
        wire.send([request(side, "").into_bytes(), text(said).bytes(), frame::ping("p").masked().bytes()].concat())
            .await;
        assert_eq!(status(&wire.head().await), 101);
        if side == Side::Plain {
            assert_eq!(wire.frame().await, frame::text(said));
        } else {
            assert!(wire.frame().await.payload.starts_with(b"0{"));
            assert!(wire.frame().await.payload.starts_with(b"40{"));
        }
        assert_eq!(wire.frame().await, frame::pong("p"));
    }
    arena.goes_on(256 * KIB).await;
}

/// A body on a request that wants none is not read, however long it says it is.
async fn bodies_that_nobody_asked_for_are_not_read(way: Way) {
    let arena = Arena::on(way, &[]).await;
    for path in ["/echo", "/metrics", "/rooms/a", "/nowhere"] {
        let mut wire = arena.connect().await;
        wire.send(post(path, 1 << 40)).await;
        assert!([404, 405].contains(&status(&wire.head().await)), "{path}");
        // The server has closed, or does so while this is sent.
        while wire.try_send([0; 4096]).await {}
    }
    arena.ends(512 * KIB).await;
}
