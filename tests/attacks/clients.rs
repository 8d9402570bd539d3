//! Attacks on our client, by servers and by those on the way.

use std::collections::BTreeSet;
use std::net::SocketAddr;

use rcgen::{CertificateParams, KeyPair};
use switchboard_testkit::within;
use switchboard_ws::{Client, ClientTls, ConnectError, Identity, OnMessage, Server, ServerTls};
use switchboard_ws_proto::handshake::accept_key;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

use crate::arena::turn;
use switchboard_testkit::counting;

async fn listener() -> (TcpListener, SocketAddr) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    (listener, address)
}

/// The head of a request.
async fn request(stream: &mut TcpStream) -> String {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(within("a request", stream.read_u8()).await.unwrap());
    }
    String::from_utf8(head).unwrap()
}

/// A certificate for 127.0.0.1 that vouches for itself, and its key.
fn certificate() -> (String, String) {
    let pair = KeyPair::generate().unwrap();
    let certificate = CertificateParams::new(["127.0.0.1".to_owned()]).unwrap().self_signed(&pair).unwrap();
    (certificate.pem(), pair.serialize_pem())
}

/// ws, python-websockets 16.1: credentials went wherever a redirect pointed. Ours follows none.
#[tokio::test]
async fn attack_16_no_redirect_is_followed() {
    let _turn = turn().await;
    let (listener, address) = listener().await;
    let (elsewhere, trap) = self::listener().await;
    for status in ["301 Moved Permanently", "302 Found", "307 Temporary Redirect", "308 Permanent Redirect"] {
        let url = format!("ws://{address}/secret");
        let connecting = tokio::spawn(async move { Client::new(url).connect().await });
        let (mut stream, _) = within("the client", listener.accept()).await.unwrap();
        assert!(request(&mut stream).await.starts_with("GET /secret "));
        let answer = format!("HTTP/1.1 {status}\r\nLocation: ws://{trap}/\r\nContent-Length: 0\r\n\r\n");
        stream.write_all(answer.as_bytes()).await.unwrap();
        let refused = within("the client", connecting).await.unwrap().expect_err("it is no 101");
        assert!(matches!(refused, ConnectError::Refused(_)), "{refused}");
    }
    // Whoever had been sent there would wait to be accepted.
    tokio::select! {
        biased;
        _ = elsewhere.accept() => panic!("the client went where it was told"),
        () = tokio::task::yield_now() => {}
    }
}

/// CVE-2022-31080: a refusal whose body never ends was read for as long as it came.
#[tokio::test]
async fn attack_18_answers_without_an_end_are_not_read_to_it() {
    let _turn = turn().await;
    let (listener, address) = listener().await;
    let chunk = vec![b'x'; 64 << 10];
    for head in [
        "HTTP/1.1 502 Bad Gateway\r\n\r\n",
        "HTTP/1.1 403 Forbidden\r\nContent-Length: 99999999999\r\n\r\n",
        "HTTP/1.1 101 ",
    ] {
        counting::begin();
        let url = format!("ws://{address}/");
        let connecting = tokio::spawn(async move { Client::new(url).connect().await });
        let (mut stream, _) = within("the client", listener.accept()).await.unwrap();
        request(&mut stream).await;
        stream.write_all(head.as_bytes()).await.unwrap();
        within("the client to have enough", async { while stream.write_all(&chunk).await.is_ok() {} }).await;
        let error = within("the client", connecting).await.unwrap().expect_err("it is no 101");
        assert!(matches!(error, ConnectError::Refused(_) | ConnectError::Handshake(_)), "{error}");
        assert!(counting::peak() < 256 << 10, "{head}");
    }
}

/// uWebSockets' client, sockudo: keys that can be guessed let a page write what it likes into the cache of a proxy.
#[tokio::test]
async fn attack_28_masking_keys_are_never_the_same() {
    let _turn = turn().await;
    let (listener, address) = listener().await;
    let mut keys = BTreeSet::new();
    for _ in 0..4 {
        let url = format!("ws://{address}/");
        let connecting = tokio::spawn(async move { Client::new(url).connect().await });
        let (mut stream, _) = within("the client", listener.accept()).await.unwrap();
        let request = request(&mut stream).await;
        let key = request.lines().find_map(|line| line.strip_prefix("Sec-WebSocket-Key: ")).unwrap();
        assert!(keys.insert(key.as_bytes().to_vec()), "a key of a handshake came twice");
        let answer = format!(
            "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: {}\r\n\r\n",
            accept_key(key.as_bytes())
        );
        stream.write_all(answer.as_bytes()).await.unwrap();
        let mut socket = within("the client", connecting).await.unwrap().unwrap();
        for _ in 0..64 {
            socket.send("the same").await.unwrap();
            let mut bytes = [0; 14];
            within("a frame", stream.read_exact(&mut bytes)).await.unwrap();
            assert_eq!(bytes[..2], [0x81, 0x88], "masked");
            let plain: Vec<u8> = bytes[6..].iter().zip(bytes[2..6].iter().cycle()).map(|(a, b)| a ^ b).collect();
            assert_eq!(plain, b"the same");
            assert!(keys.insert(bytes[2..6].to_vec()), "a key came twice in 256, of four thousand million");
        }
    }
}

/// sockudo: a mistake in the settings made plain text of `wss:`.
#[tokio::test]
async fn attack_30_wss_never_becomes_plain_text() {
    let _turn = turn().await;
    let (listener, address) = listener().await;
    let url = format!("wss://{address}/");
    let (pem, _) = certificate();
    let client = Client::new(url).tls(ClientTls::pem(&pem).unwrap());
    let connecting = tokio::spawn(async move { client.connect().await });
    let (mut stream, _) = within("the client", listener.accept()).await.unwrap();
    stream.write_all(b"HTTP/1.1 101 Switching Protocols\r\n\r\n").await.unwrap();
    let mut said = Vec::new();
    // It hangs up, properly or not.
    let _ = within("the client's words", stream.read_to_end(&mut said)).await;
    assert!(said.starts_with(&[0x16, 3]), "a TLS hello, and nothing else: {said:?}");
    assert!(!String::from_utf8_lossy(&said).contains("GET "));
    let error = within("the client", connecting).await.unwrap().expect_err("there is no TLS");
    assert!(matches!(error, ConnectError::SpeaksNoTls), "{error}");
}

/// CVE-2016-10536: certificates were not verified unless one asked for it. And a healthy client of the same server goes on.
#[tokio::test]
async fn cve_2016_10536_a_certificate_that_nobody_vouches_for_is_refused() {
    let _turn = turn().await;
    let (pem, key) = certificate();
    let identity = Identity::pem(&pem, key).unwrap();
    let server = Server::bind("127.0.0.1:0", switchboard_ws::Config::default()).await.unwrap();
    let address = server.local_addr().unwrap();
    tokio::spawn(server.tls(ServerTls::new(&identity)).serve(|_| {
        OnMessage::new(|cx, message| {
            cx.send(message);
        })
    }));
    let url = format!("wss://{address}/");
    let trusting = |pem: &str| Client::new(&url).tls(ClientTls::pem(pem).unwrap());
    let mut healthy = trusting(&pem).connect().await.unwrap();
    let error = trusting(&certificate().0).connect().await.expect_err("somebody else vouches for it");
    assert!(matches!(error, ConnectError::Tls(_)), "{error}");
    let error = Client::new(&url).connect().await.expect_err("nobody vouches for it");
    assert!(matches!(error, ConnectError::Tls(_) | ConnectError::TlsUnavailable(_)), "{error}");
    healthy.send("still here").await.unwrap();
    assert_eq!(healthy.recv().await.unwrap().unwrap().as_text(), Some("still here"));
}
