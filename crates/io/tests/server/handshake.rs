//! The first request: who may come, what pages are told, and what is known of it afterwards.

use std::time::Duration;

use switchboard_io::engine::{AllowOrigin, Cors, Hooks, Refusal, Transports};
use switchboard_io::{Socket, SocketIo};
use switchboard_testkit::Wire;

use crate::client::{Client, WEBSOCKET, get, serve};

const POLLING: &str = "/socket.io/?EIO=4&transport=polling";

fn cors() -> Cors {
    Cors { origin: AllowOrigin::Exactly("https://example.com".into()), credentials: true, ..Cors::default() }
}

#[tokio::test]
async fn a_page_of_another_origin_is_told_what_it_may() {
    let io = SocketIo::builder().cors(cors()).build();
    let address = serve(&io).await;
    let mut wire = Wire::connect(address).await;
    wire.send(format!(
        "OPTIONS {POLLING} HTTP/1.1\r\nHost: localhost\r\nOrigin: https://example.com\r\n\
         Access-Control-Request-Method: POST\r\n\r\n"
    ))
    .await;
    let head = wire.head().await;
    assert!(head.starts_with("http/1.1 204 "), "{head}");
    for header in [
        "access-control-allow-origin: https://example.com\r\n",
        "access-control-allow-credentials: true\r\n",
        "access-control-allow-methods: get,head,put,patch,post,delete\r\n",
    ] {
        assert!(head.contains(header), "{head}");
    }
    let mut wire = Wire::connect(address).await;
    wire.send(format!("GET {POLLING} HTTP/1.1\r\nHost: localhost\r\nOrigin: https://example.com\r\n\r\n")).await;
    let answer = wire.response().await;
    assert_eq!(answer.status, 200);
    assert_eq!(answer.header("access-control-allow-origin"), Some("https://example.com"));
    assert_eq!(answer.header("access-control-allow-credentials"), Some("true"));
}

#[tokio::test]
async fn without_cors_pages_are_told_nothing_and_get_no_websocket() {
    let io = SocketIo::new();
    let address = serve(&io).await;
    let mut wire = Wire::connect(address).await;
    wire.send(format!("GET {POLLING} HTTP/1.1\r\nHost: localhost\r\nOrigin: https://example.com\r\n\r\n")).await;
    assert_eq!(wire.response().await.header("access-control-allow-origin"), None);
    let mut wire = Wire::ask(address, WEBSOCKET, "Origin: https://example.com\r\n").await;
    assert!(wire.head().await.starts_with("http/1.1 400 "));
    let mut wire = Wire::ask(address, WEBSOCKET, "Origin: http://localhost\r\n").await;
    assert!(wire.head().await.starts_with("http/1.1 101 "));
}

#[tokio::test]
async fn the_application_decides_who_may_come() {
    let hooks = Hooks::default().allow_request(async |request| match request.headers.get("x-ticket") {
        Some(_) => Ok(()),
        None => Err(Refusal::new("no ticket")),
    });
    let io = SocketIo::builder().hooks(hooks).build();
    let address = serve(&io).await;
    let refused = get(address, POLLING).await;
    assert_eq!((refused.status, refused.body.as_str()), (403, r#"{"code":4,"message":"no ticket"}"#));
    let mut wire = Wire::ask(address, WEBSOCKET, "").await;
    assert!(wire.head().await.starts_with("http/1.1 400 "));
    let mut wire = Wire::ask(address, WEBSOCKET, "X-Ticket: 1\r\n").await;
    assert!(wire.head().await.starts_with("http/1.1 101 "));
    assert_eq!(io.engine().metrics().refused(4), 2);
}

#[tokio::test]
async fn the_handshake_says_what_was_set() {
    let io = SocketIo::builder()
        .ping_interval(Duration::from_millis(30_000))
        .ping_timeout(Duration::from_millis(5000))
        .max_http_buffer_size(1234)
        .allow_upgrades(false)
        .build();
    let address = serve(&io).await;
    let body = get(address, POLLING).await.body;
    let (_, rest) = body.split_once(r#"","#).expect("a session's id first");
    assert_eq!(rest, r#""upgrades":[],"pingInterval":30000,"pingTimeout":5000,"maxPayload":1234}"#);
    assert!(body.starts_with(r#"0{"sid":""#));
}

#[tokio::test]
async fn what_is_not_served_is_refused_in_nodes_words() {
    let io = SocketIo::builder().transports(Transports { polling: false, websocket: true }).build();
    let address = serve(&io).await;
    for (target, answer) in [
        (POLLING, r#"{"code":0,"message":"Transport unknown"}"#),
        ("/socket.io/?EIO=4&transport=carrier-pigeon", r#"{"code":0,"message":"Transport unknown"}"#),
        ("/socket.io/", r#"{"code":0,"message":"Transport unknown"}"#),
        ("/socket.io/?EIO=4&transport=websocket", r#"{"code":3,"message":"Bad request"}"#),
        ("/socket.io/?EIO=4&transport=websocket&sid=xyz", r#"{"code":1,"message":"Session ID unknown"}"#),
    ] {
        let refused = get(address, target).await;
        assert_eq!((refused.status, refused.body.as_str()), (400, answer), "{target}");
    }
}

#[tokio::test]
async fn the_request_is_known_in_every_namespace() {
    let io = SocketIo::new();
    for name in ["/", "/a"] {
        io.of(name).on_connect(async |socket: Socket| {
            let handshake = socket.handshake();
            let query: Vec<_> = handshake.query().filter(|(name, _)| name != "t").collect();
            let agent = handshake.header("user-agent").map(ToOwned::to_owned);
            socket.emit("request", &(handshake.url(), query, agent, handshake.secure(), handshake.xdomain()))
        });
    }
    let address = serve(&io).await;
    let target = "/socket.io/?EIO=4&transport=websocket&key=a%20b";
    let mut wire = Wire::ask(address, target, "User-Agent: test/1\r\n").await;
    wire.head().await;
    let mut client = Client::over(wire);
    client.text().await;
    for name in ["/", "/a"] {
        client.enter(name).await;
        let place = if name == "/" { "" } else { "/a," };
        client
            .expect(&format!(
                r#"42{place}["request","{target}",[["EIO","4"],["transport","websocket"],["key","a b"]],"test/1",false,false]"#
            ))
            .await;
    }
}
