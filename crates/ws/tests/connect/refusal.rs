//! Servers that answer anything but the one right thing.

use std::time::Duration;

use http::StatusCode;
use switchboard_ws::{
    Client, Config, ConnectError, ConnectStep, HandshakeError, HandshakeLimits, Origins, RefusedByServer,
    ServerOptions, connect,
};
use tokio::io::{AsyncReadExt, AsyncWriteExt, duplex};
use tokio::net::TcpListener;
use tokio::time::Instant;

use crate::support::{echo_server, read_head, switching};

/// What a client says when the server answers its request so, and hangs up.
async fn answer(text: &str) -> ConnectError {
    let (ours, mut theirs) = duplex(1 << 16);
    let serve = async {
        read_head(&mut theirs).await;
        theirs.write_all(text.as_bytes()).await.unwrap();
        drop(theirs);
    };
    tokio::join!(Client::new("ws://example.org/").connect_over(ours), serve).0.unwrap_err()
}

async fn refusal(text: &str) -> RefusedByServer {
    match answer(text).await {
        ConnectError::Refused(refused) => refused,
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn a_refusal_tells_status_headers_and_body() {
    let refused = refusal(
        "HTTP/1.1 401 Unauthorized\r\nWWW-Authenticate: Bearer\r\nContent-Length: 24\r\n\r\nthe token is out of date",
    )
    .await;
    assert_eq!(refused.status, StatusCode::UNAUTHORIZED);
    assert_eq!(refused.headers["www-authenticate"], "Bearer");
    assert_eq!(refused.text(), "the token is out of date");

    let refused = refusal("HTTP/1.1 302 Found\r\nLocation: /elsewhere\r\nContent-Length: 0\r\n\r\n").await;
    assert_eq!((refused.status, refused.body.len()), (StatusCode::FOUND, 0));
    assert_eq!(refused.headers["location"], "/elsewhere");

    let page = refusal("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n<html").await;
    assert_eq!((page.status, &*page.text()), (StatusCode::OK, "<html"));

    let cut = refusal("HTTP/1.1 503 Service Unavailable\r\nContent-Length: 500\r\n\r\ncome ba").await;
    assert_eq!((cut.status, &*cut.text()), (StatusCode::SERVICE_UNAVAILABLE, "come ba"));
}

#[tokio::test]
async fn a_refusal_of_our_own_server_comes_with_its_sentence() {
    let options = ServerOptions { origins: Origins::Any, ..ServerOptions::default() };
    let open = echo_server(Config::default().handshake(options)).await;
    let strict = echo_server(Config::default()).await;
    let client = |address| Client::new(format!("ws://{address}/")).header("origin", "http://strange.example");
    client(open).connect().await.unwrap();
    let error = client(strict).connect().await.unwrap_err();
    let ConnectError::Refused(refused) = &error else { panic!("{error:?}") };
    assert_eq!((refused.status, error.name()), (StatusCode::FORBIDDEN, "refused"));
    assert!(!refused.text().trim().is_empty());
    assert!(error.to_string().contains(refused.text().trim()), "{error}");
}

#[tokio::test]
async fn an_answer_that_is_none_is_told_from_a_refusal() {
    let garbage = answer("SSH-2.0-OpenSSH_9.2\r\n\r\n").await;
    assert!(matches!(garbage, ConnectError::Handshake(HandshakeError::StatusLine)), "{garbage:?}");
    let unproven =
        answer("HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n").await;
    let missing = HandshakeError::Missing("Sec-WebSocket-Accept");
    assert!(matches!(&unproven, ConnectError::Handshake(error) if *error == missing), "{unproven:?}");
    let long = answer(&format!("HTTP/1.1 101 {}", "a".repeat(20_000))).await;
    assert!(matches!(long, ConnectError::Handshake(HandshakeError::HeadTooLong { limit: 16_384 })), "{long:?}");
    for hung_up in ["", "HTTP/1.1 101 Switching Protocols\r\nUpgr"] {
        let error = answer(hung_up).await;
        assert!(matches!(error, ConnectError::Disconnected), "{error:?}");
    }
}

#[tokio::test]
async fn the_limits_on_heads_are_the_configuration_s() {
    let limits = HandshakeLimits { max_headers: 3, ..HandshakeLimits::default() };
    let config = Config::default().handshake(ServerOptions { limits, ..ServerOptions::default() });
    let (ours, mut theirs) = duplex(1 << 16);
    let serve = async {
        let request = read_head(&mut theirs).await;
        theirs.write_all(switching(&request, "X-One-Too-Many: 1\r\n").as_bytes()).await.unwrap();
    };
    let client = Client::new("ws://example.org/").config(config);
    let error = tokio::join!(client.connect_over(ours), serve).0.unwrap_err();
    let too_many = HandshakeError::TooManyHeaders { limit: 3 };
    assert!(matches!(&error, ConnectError::Handshake(error) if *error == too_many), "{error:?}");
}

/// A server at its limit may answer and hang up before it has read anything.
#[tokio::test]
async fn a_server_that_refuses_without_reading_is_heard() {
    // There is room for a part of the request only, and then nobody at the other end.
    let (ours, mut theirs) = duplex(64);
    theirs.write_all(b"HTTP/1.1 503 Busy\r\n\r\n").await.unwrap();
    drop(theirs);
    let error = Client::new("ws://example.org/").connect_over(ours).await.unwrap_err();
    let ConnectError::Refused(refused) = error else { panic!("{error:?}") };
    assert_eq!(refused.status, StatusCode::SERVICE_UNAVAILABLE);

    let (ours, theirs) = duplex(64);
    drop(theirs);
    let error = Client::new("ws://example.org/").connect_over(ours).await.unwrap_err();
    let ConnectError::Io { step: ConnectStep::Handshake, error } = error else { panic!("{error:?}") };
    assert_eq!(error.kind(), std::io::ErrorKind::BrokenPipe);
}

#[tokio::test]
async fn a_server_that_hangs_up_at_once_is_told_from_one_that_refuses() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("ws://{}/", listener.local_addr().unwrap());
    let serve = async {
        let (mut stream, _) = listener.accept().await.unwrap();
        read_head(&mut stream).await;
    };
    let error = tokio::join!(connect(url), serve).0.unwrap_err();
    assert!(matches!(error, ConnectError::Disconnected), "{error:?}");
}

/// The error after `timeout` of silence, when the server has said this much.
async fn silence_after(text: &str, timeout: Duration) -> ConnectError {
    let (ours, mut theirs) = duplex(1 << 16);
    theirs.write_all(text.as_bytes()).await.unwrap();
    let start = Instant::now();
    let error = Client::new("ws://example.org/").timeout(timeout).connect_over(ours).await.unwrap_err();
    assert_eq!(start.elapsed().as_secs(), timeout.as_secs());
    // The transport is given up with the error.
    theirs.read_to_end(&mut Vec::new()).await.unwrap();
    error
}

#[tokio::test(start_paused = true)]
async fn silence_has_an_end() {
    let three = Duration::from_secs(3);
    for text in ["", "HTTP/1.1 101 Switching Protocols\r\nUpgrade: webs"] {
        let error = silence_after(text, three).await;
        assert!(matches!(error, ConnectError::TimedOut(ConnectStep::Handshake)), "{error:?}");
    }
    let error = silence_after("HTTP/1.1 403 Forbidden\r\nContent-Length: 100\r\n\r\nno beca", three).await;
    let ConnectError::Refused(refused) = error else { panic!("{error:?}") };
    assert_eq!((refused.status, &*refused.text()), (StatusCode::FORBIDDEN, "no beca"), "it said no, and most of why");
}

#[tokio::test(start_paused = true)]
async fn the_time_limit_is_20_s_and_covers_a_server_that_drips() {
    let (ours, mut theirs) = duplex(1 << 16);
    let start = Instant::now();
    let drip = async {
        for byte in "HTTP/1.1 101 Switching Protocols\r\n".bytes().cycle() {
            if theirs.write_all(&[byte]).await.is_err() {
                break;
            }
            tokio::time::advance(Duration::from_secs(1)).await;
        }
    };
    let error = tokio::join!(Client::new("ws://example.org/").connect_over(ours), drip).0.unwrap_err();
    assert!(matches!(error, ConnectError::TimedOut(ConnectStep::Handshake)), "{error:?}");
    assert!((20..=21).contains(&start.elapsed().as_secs()), "{:?}", start.elapsed());
}
