//! Opening a session, and each way to be refused.

use switchboard_io::engine::{
    CloseReason, Cookie, EngineConfig, Hooks, IdError, Limit, Refusal, SessionConfig, Stop, Transport,
};
use switchboard_testkit::{Wire, frame, within};
use switchboard_ws::{Config, Protocols, ServerOptions};

use crate::support::{Client, Heard, Host, POLLING, WEBSOCKET, gets_the_first_subprotocol, sid, text};

#[tokio::test]
async fn polling_opens_with_five_keys() {
    let mut host = Host::new(EngineConfig::default()).await;
    let response = Wire::connect(host.address).await.get(POLLING).await;
    let sid = sid(&response.body);
    assert_eq!(
        response.body,
        format!(
            r#"0{{"sid":"{sid}","upgrades":["websocket"],"pingInterval":25000,"pingTimeout":20000,"maxPayload":1000000}}"#
        )
    );
    assert_eq!(response.header("content-type"), Some("text/plain; charset=utf-8"));
    assert_eq!(response.header("cache-control"), Some("no-store"));
    assert_eq!(response.header("x-xss-protection"), None);
    let session = host.session().await;
    assert_eq!((session.sid().as_str(), session.transport()), (&*sid, Transport::Polling));
    assert_eq!(session.handshake().url(), POLLING);
    assert_eq!(session.handshake().header("host"), Some("localhost"));
    assert_eq!((host.engine.sessions(), host.engine.metrics().opened(Transport::Polling)), (1, 1));
}

#[tokio::test]
async fn a_websocket_opens_with_no_upgrades() {
    let mut host = Host::new(EngineConfig::default()).await;
    let mut wire = Wire::open(host.address, WEBSOCKET).await;
    let opened = text(&mut wire).await;
    assert!(opened.contains(r#""upgrades":[],"#), "{opened}");
    let session = host.session().await;
    assert_eq!((session.sid().as_str(), session.transport()), (&*sid(&opened), Transport::WebSocket));
}

#[tokio::test]
async fn an_initial_packet_follows() {
    let initial_packet = Some(switchboard_io::engine::Data::text("welcome"));
    let session = SessionConfig { initial_packet, ..SessionConfig::default() };
    let mut host = Host::new(EngineConfig { session, ..EngineConfig::default() }).await;
    let response = Wire::connect(host.address).await.get(POLLING).await;
    assert!(response.body.ends_with("}\u{1e}4welcome"), "{response:?}");
    host.session().await;
    let mut wire = Wire::open(host.address, WEBSOCKET).await;
    text(&mut wire).await;
    assert_eq!(text(&mut wire).await, "4welcome");
}

#[tokio::test]
async fn each_refusal_is_nodes() {
    let host = Host::new(EngineConfig::default()).await;
    let mut wire = Wire::connect(host.address).await;
    let unknown = "sid=abcdefghijABCDEFG-_9";
    for (path, code, message) in [
        ("/engine.io/?EIO=4".to_owned(), 0, "Transport unknown"),
        ("/engine.io/?EIO=4&transport=constructor".to_owned(), 0, "Transport unknown"),
        ("/engine.io/?EIO=4&transport=__proto__".to_owned(), 0, "Transport unknown"),
        (format!("{POLLING}&{unknown}"), 1, "Session ID unknown"),
        (WEBSOCKET.to_owned(), 3, "Bad request"),
        ("/engine.io/?EIO=3&transport=polling".to_owned(), 5, "Unsupported protocol version"),
        ("/engine.io/?transport=polling".to_owned(), 5, "Unsupported protocol version"),
    ] {
        let response = wire.get(&path).await;
        assert_eq!(response.status, 400, "{path}");
        assert_eq!(response.body, format!(r#"{{"code":{code},"message":"{message}"}}"#), "{path}");
        assert_eq!(response.header("content-type"), Some("application/json"));
    }
    wire.send(format!("POST {POLLING} HTTP/1.1\r\nHost: localhost\r\nContent-Length: 0\r\n\r\n")).await;
    assert_eq!(wire.response().await.body, r#"{"code":2,"message":"Bad handshake method"}"#);
    let metrics = host.engine.metrics();
    assert_eq!([0, 1, 2, 3, 4, 5].map(|code| metrics.refused(code)), [3, 1, 1, 1, 0, 2]);
    assert_eq!(host.engine.sessions(), 0);
}

#[tokio::test]
async fn a_session_keeps_to_its_transport_and_version() {
    let session = SessionConfig { allow_eio3: true, ..SessionConfig::default() };
    let mut host = Host::new(EngineConfig { session, ..EngineConfig::default() }).await;
    let (mut client, _) = host.polling().await;
    let bad = r#"{"code":3,"message":"Bad request"}"#;
    assert_eq!(client.gets.get(&client.path.replace("EIO=4", "EIO=3")).await.body, bad);
    assert_eq!(client.gets.get(&client.path.replace("polling", "websocket")).await.body, bad);
    client.gets.send(format!("PUT {} HTTP/1.1\r\nHost: localhost\r\n\r\n", client.path)).await;
    let response = client.gets.response().await;
    assert_eq!((response.status, &*response.body), (500, ""));
    assert_eq!(client.post("4still there").await.body, "ok");
}

#[tokio::test]
async fn a_refused_upgrade_is_told_in_plain_text() {
    let hooks = Hooks::default().allow_request(|_| async { Err(Refusal::new("not you")) });
    let host = Host::new(EngineConfig { hooks, ..EngineConfig::default() }).await;
    for (path, message) in [
        ("/engine.io/?EIO=4&transport=nothing".to_owned(), "Transport unknown"),
        (format!("{WEBSOCKET}&sid=abcdefghijABCDEFG-_9"), "Session ID unknown"),
        (WEBSOCKET.to_owned(), "not you"),
    ] {
        let response = Wire::ask(host.address, &path, "").await.response().await;
        assert_eq!((response.status, &*response.body), (400, message));
        assert_eq!(response.header("connection"), Some("close"));
    }
    let response = Wire::connect(host.address).await.get(POLLING).await;
    assert_eq!((response.status, &*response.body), (403, r#"{"code":4,"message":"not you"}"#));
    assert_eq!(host.engine.metrics().refused(4), 2);
}

#[tokio::test]
async fn middlewares_add_headers_or_stop_a_request() {
    let (tell, mut told) = tokio::sync::mpsc::unbounded_channel();
    let hooks = Hooks::default()
        .middleware(|parts| async move {
            match parts.uri.query().unwrap_or_default() {
                query if query.ends_with("fail") => Err(Stop::Failed("no database".into())),
                query if query.ends_with("teapot") => {
                    let answer = ::http::Response::builder().status(418).header("content-length", 0);
                    Err(Stop::Answer(Box::new(answer.body("".into()).expect("a response"))))
                }
                _ => Ok([("x-by".parse().expect("a name"), "middleware".parse().expect("a value"))]
                    .into_iter()
                    .collect()),
            }
        })
        .connection_error(move |error| {
            let context = error.error.context().unwrap_or_default();
            tell.send((error.error.code(), context, error.detail.unwrap_or_default().to_owned())).expect("heard");
        });
    let host = Host::new(EngineConfig { hooks, ..EngineConfig::default() }).await;
    let mut wire = Wire::connect(host.address).await;
    assert_eq!(wire.get(POLLING).await.header("x-by"), Some("middleware"));
    let response = wire.get(&format!("{POLLING}&fail")).await;
    assert_eq!((response.status, &*response.body), (400, r#"{"code":3,"message":"Bad request"}"#));
    assert_eq!(told.recv().await, Some((3, "MIDDLEWARE_FAILURE", "no database".to_owned())));
    assert_eq!(wire.get(&format!("{POLLING}&teapot")).await.status, 418);
    let head = Wire::ask(host.address, WEBSOCKET, "").await.head().await;
    assert!(head.starts_with("http/1.1 101 ") && head.contains("x-by: middleware"), "{head}");
    let response = Wire::ask(host.address, &format!("{WEBSOCKET}&fail"), "").await.response().await;
    assert_eq!((response.status, &*response.body), (400, "Bad request"));
    assert_eq!(told.recv().await, Some((3, "MIDDLEWARE_FAILURE", "no database".to_owned())));
    let response = Wire::ask(host.address, &format!("{WEBSOCKET}&teapot"), "").await.response().await;
    assert_eq!(response.status, 418);
}

#[tokio::test]
async fn middlewares_are_asked_in_order_until_one_stops() {
    let (tell, mut told) = tokio::sync::mpsc::unbounded_channel();
    let hooks = (1..=4).fold(Hooks::default(), |hooks, number| {
        let tell = tell.clone();
        hooks.middleware(move |_| {
            tell.send(number).expect("heard");
            let stop = (number == 3).then(|| Stop::Failed("enough".into()));
            std::future::ready(stop.map_or(Ok(::http::HeaderMap::new()), Err))
        })
    });
    let host = Host::new(EngineConfig { hooks, ..EngineConfig::default() }).await;
    assert_eq!(Wire::connect(host.address).await.get(POLLING).await.status, 400);
    assert_eq!([told.try_recv(), told.try_recv(), told.try_recv()], [Ok(1), Ok(2), Ok(3)]);
    assert!(told.try_recv().is_err());
}

#[tokio::test]
async fn headers_are_for_both_transports_and_the_first_ones_once() {
    let value = |text: &str| text.parse::<::http::HeaderValue>().expect("a value");
    let hooks = Hooks::default()
        .initial_headers(move |headers, _| {
            headers.append("set-cookie", value("mine=1"));
        })
        .headers(move |headers, parts| drop(headers.insert("x-method", value(parts.method.as_str()))));
    let config = EngineConfig { hooks, cookie: Some(Cookie::default()), ..EngineConfig::default() };
    let host = Host::new(config).await;
    let mut wire = Wire::connect(host.address).await;
    wire.send(format!("GET {POLLING} HTTP/1.1\r\nHost: localhost\r\n\r\n")).await;
    let head = wire.head().await;
    // Beside the engine's own, not in its place.
    assert!(head.contains("set-cookie: io=") && head.contains("set-cookie: mine=1\r\n"), "{head}");
    let mut client = Client::open(host.address, POLLING).await;
    let posted = client.post("4x").await;
    assert_eq!((posted.header("x-method"), posted.header("set-cookie")), (Some("post"), None));
    let upgrade = format!("{WEBSOCKET}&sid={}", client.sid);
    let head = Wire::ask(host.address, &upgrade, "").await.head().await;
    assert!(head.contains("x-method: get\r\n") && !head.contains("set-cookie"), "{head}");
    // As in Node, a WebSocket that opens a session gets the application's cookie and not the engine's.
    let head = Wire::ask(host.address, WEBSOCKET, "").await.head().await;
    assert!(head.contains("set-cookie: mine=1\r\n") && !head.contains("set-cookie: io="), "{head}");
}

#[tokio::test]
async fn an_id_that_cannot_be_made_refuses_the_session() {
    let (tell, mut told) = tokio::sync::mpsc::unbounded_channel();
    let hooks = Hooks::default()
        .generate_id(|_| Err(IdError))
        .connection_error(move |error| tell.send(error.error.context().map(str::to_owned)).expect("heard"));
    let host = Host::new(EngineConfig { hooks, ..EngineConfig::default() }).await;
    let response = Wire::connect(host.address).await.get(POLLING).await;
    assert_eq!((response.status, &*response.body), (400, r#"{"code":3,"message":"Bad request"}"#));
    let response = Wire::ask(host.address, WEBSOCKET, "").await.response().await;
    assert_eq!((response.status, &*response.body), (400, "Bad request"));
    for _ in 0..2 {
        assert_eq!(told.recv().await, Some(Some("ID_GENERATION_ERROR".to_owned())));
    }
    assert_eq!(host.engine.sessions(), 0);
}

/// Bytes that come with an upgrade request, as some proxies and scanners send them: they are read as frames, and are
/// none.
#[tokio::test]
async fn junk_behind_an_upgrade_request_ends_that_websocket_alone() {
    let mut host = Host::new(EngineConfig::default()).await;
    let request = |path: &str| {
        format!(
            "GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
             Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\ntest"
        )
    };
    let mut wire = Wire::connect(host.address).await;
    wire.send(request(WEBSOCKET)).await;
    host.session().await;
    assert_eq!(host.heard().await, Heard::Closed(CloseReason::TransportError));
    let (mut client, _) = host.polling().await;
    let mut wire = Wire::connect(host.address).await;
    wire.send(request(&format!("{WEBSOCKET}&sid={}", client.sid))).await;
    assert!(wire.head().await.starts_with("http/1.1 101 "));
    assert_eq!(wire.frame().await, frame::close(1002, ""));
    assert_eq!(client.post("4fine").await.body, "ok");
    assert_eq!(host.heard().await, Heard::Message("fine".into()));
    // The next candidate is let in.
    let mut wire = client.websocket().await;
    wire.say(&frame::text("2probe").masked()).await;
    assert_eq!(text(&mut wire).await, "3probe");
}

#[tokio::test]
async fn ids_and_headers_are_the_applications_where_it_wants() {
    let id = switchboard_io::engine::Sid::parse("my-very-own-id-00001").expect("an id");
    let hooks = Hooks::default()
        .generate_id(move |_| Ok(id))
        .initial_headers(|headers, _| drop(headers.insert("x-first", "1".parse().expect("a value"))))
        .headers(|headers, _| drop(headers.insert("x-each", "1".parse().expect("a value"))));
    let mut host = Host::new(EngineConfig { hooks, ..EngineConfig::default() }).await;
    let response = Wire::connect(host.address).await.get(POLLING).await;
    assert_eq!(sid(&response.body), id.as_str());
    assert_eq!((response.header("x-first"), response.header("x-each")), (Some("1"), Some("1")));
    let session = host.session().await;
    session.send_text("4hello");
    let response = Wire::connect(host.address).await.get(&format!("{POLLING}&sid={}", id.as_str())).await;
    assert_eq!((response.header("x-first"), response.header("x-each")), (None, Some("1")));
    let twice = Wire::connect(host.address).await.get(POLLING).await;
    assert_eq!(twice.body, r#"{"code":3,"message":"Bad request"}"#, "an id that is taken");
}

#[tokio::test]
async fn there_are_no_more_sessions_than_there_may_be() {
    let mut host = Host::new(EngineConfig { max_sessions: Some(1), ..EngineConfig::default() }).await;
    let (mut client, _) = host.polling().await;
    assert_eq!(Wire::connect(host.address).await.get(POLLING).await.status, 503);
    assert_eq!(client.post("1").await.body, "ok");
    Client::open(host.address, POLLING).await;
}

#[tokio::test]
async fn who_waits_for_the_applications_word_has_its_place_already() {
    let (tell, mut asked) = tokio::sync::mpsc::unbounded_channel();
    let (may_go_on, waits) = tokio::sync::watch::channel(false);
    let hooks = Hooks::default().allow_request(move |parts| {
        let (tell, mut waits) = (tell.clone(), waits.clone());
        async move {
            if parts.uri.query().is_some_and(|query| query.contains("slow")) {
                let _ = tell.send(());
                let _ = waits.wait_for(|may| *may).await;
            }
            Ok(())
        }
    });
    let mut host = Host::new(EngineConfig { max_sessions: Some(1), hooks, ..EngineConfig::default() }).await;
    let mut slow = Wire::connect(host.address).await;
    slow.send(format!("GET {POLLING}&slow HTTP/1.1\r\nHost: localhost\r\n\r\n")).await;
    within("the hook to be asked", asked.recv()).await.expect("it tells");
    let quick = Wire::connect(host.address).await.get(POLLING).await;
    assert_eq!((quick.status, quick.header("retry-after")), (503, Some("5")));
    assert_eq!(quick.body, r#"{"code":4,"message":"This server has as many sessions as it may"}"#);
    assert_eq!(host.engine.metrics().limit(Limit::Sessions), 1);
    may_go_on.send(true).expect("it waits");
    assert_eq!(slow.response().await.status, 200);
    host.session().await;
}

#[tokio::test]
async fn the_first_subprotocol_that_is_offered_is_answered() {
    gets_the_first_subprotocol(&mut Host::new(EngineConfig::default()).await).await;
    // Unless the application has a mind of its own.
    let options = ServerOptions { protocols: Protocols::Preference(vec!["v1".into()]), ..ServerOptions::default() };
    let websockets = Config::default().handshake(options);
    let host = Host::new(EngineConfig { websockets, ..EngineConfig::default() }).await;
    let offer = "Sec-WebSocket-Protocol: v2, v1\r\n";
    let head = Wire::ask(host.address, WEBSOCKET, offer).await.head().await;
    assert!(head.contains("sec-websocket-protocol: v1\r\n"), "{head}");
}

/// As in Node, where a query is an object.
#[tokio::test]
async fn of_a_field_that_comes_twice_the_last_counts() {
    let host = Host::new(EngineConfig::default()).await;
    let mut wire = Wire::connect(host.address).await;
    assert_eq!(wire.get("/engine.io/?EIO=3&EIO=4&transport=polling").await.status, 200);
    let refused = wire.get("/engine.io/?EIO=4&transport=polling&transport=websocket").await;
    assert_eq!((refused.status, &*refused.body), (400, r#"{"code":3,"message":"Bad request"}"#));
}
