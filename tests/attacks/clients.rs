//! Attacks on our client, by servers and by those on the way. A client of ours that was there before is heard meanwhile.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::time::Instant;

use rcgen::{CertificateParams, KeyPair};
use switchboard_testkit::refusals::{self, Refusal};
use switchboard_testkit::within;
use switchboard_ws::{Client, ClientTls, ConnectError, Identity, OnMessage, Server, ServerTls, Socket};
use switchboard_ws_proto::handshake::accept_key;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

use crate::arena::Arena;

const KIB: usize = 1 << 10;

/// Clients of ours: one that is well with its server, and those that come to a server which attacks.
struct Guests {
    arena: Arena,
    healthy: Socket,
    listener: TcpListener,
    /// Where the attacker listens.
    attacker: SocketAddr,
}

impl Guests {
    async fn new() -> Self {
        let arena = Arena::new(&[]).await;
        let url = format!("ws://{}/echo?greet=0", arena.address);
        Self::with(arena, Client::new(url)).await
    }

    /// The healthy one is this.
    async fn with(mut arena: Arena, healthy: Client) -> Self {
        let healthy = healthy.connect().await.unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let attacker = listener.local_addr().unwrap();
        arena.begin();
        let mut guests = Self { arena, healthy, listener, attacker };
        guests.are_well().await;
        guests
    }

    async fn are_well(&mut self) {
        self.arena.is_well().await;
        self.healthy.send("still here").await.unwrap();
        let heard = within("an echo", self.healthy.recv()).await.unwrap().unwrap();
        assert_eq!(heard.as_text(), Some("still here"));
    }

    /// What a client makes of a server that does this to it.
    async fn refusal(&mut self, client: Client, attack: impl AsyncFnOnce(&mut TcpStream)) -> ConnectError {
        let began = Instant::now();
        let connecting = tokio::spawn(async move { client.connect().await });
        let (mut stream, _) = within("the client", self.listener.accept()).await.unwrap();
        attack(&mut stream).await;
        let error = within("the client", connecting).await.unwrap().expect_err("nobody connects to that");
        refusals::note(Refusal::Error, began);
        self.are_well().await;
        error
    }
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
    let mut guests = Guests::new().await;
    let elsewhere = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let trap = elsewhere.local_addr().unwrap();
    for status in ["301 Moved Permanently", "302 Found", "307 Temporary Redirect", "308 Permanent Redirect"] {
        let client = Client::new(format!("ws://{}/secret", guests.attacker));
        let error = guests.refusal(client, async |stream| {
            assert!(request(stream).await.starts_with("GET /secret "));
            let answer = format!("HTTP/1.1 {status}\r\nLocation: ws://{trap}/\r\nContent-Length: 0\r\n\r\n");
            stream.write_all(answer.as_bytes()).await.unwrap();
        });
        let error = error.await;
        assert!(matches!(error, ConnectError::Refused(_)), "{error}");
    }
    // Whoever had been sent there would wait to be accepted.
    tokio::select! {
        biased;
        _ = elsewhere.accept() => panic!("the client went where it was told"),
        () = tokio::task::yield_now() => {}
    }
    guests.arena.ends(256 * KIB).await;
}

/// CVE-2022-31080: a refusal whose body never ends was read for as long as it came.
#[tokio::test]
async fn attack_18_answers_without_an_end_are_not_read_to_it() {
    let chunk = vec![b'x'; 64 * KIB];
    let mut guests = Guests::new().await;
    for head in [
        "HTTP/1.1 502 Bad Gateway\r\n\r\n",
        "HTTP/1.1 403 Forbidden\r\nContent-Length: 99999999999\r\n\r\n",
        "HTTP/1.1 101 ",
    ] {
        let client = Client::new(format!("ws://{}/", guests.attacker));
        let error = guests.refusal(client, async |stream| {
            request(stream).await;
            stream.write_all(head.as_bytes()).await.unwrap();
            within("the client to have enough", async { while stream.write_all(&chunk).await.is_ok() {} }).await;
        });
        let error = error.await;
        assert!(matches!(error, ConnectError::Refused(_) | ConnectError::Handshake(_)), "{error}");
    }
    guests.arena.ends(256 * KIB).await;
}

/// uWebSockets' client, sockudo: keys that can be guessed let a page write what it likes into the cache of a proxy.
#[tokio::test]
async fn attack_28_masking_keys_are_never_the_same() {
    let mut guests = Guests::new().await;
    let mut keys = BTreeSet::new();
    for _ in 0..4 {
        let url = format!("ws://{}/", guests.attacker);
        let connecting = tokio::spawn(async move { Client::new(url).connect().await });
        let (mut stream, _) = within("the client", guests.listener.accept()).await.unwrap();
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
        guests.are_well().await;
    }
    guests.arena.goes_on(256 * KIB).await;
}

/// sockudo: a mistake in the settings made plain text of `wss:`.
#[tokio::test]
async fn attack_30_wss_never_becomes_plain_text() {
    let mut guests = Guests::new().await;
    let client = Client::new(format!("wss://{}/", guests.attacker)).tls(ClientTls::pem(&certificate().0).unwrap());
    let mut said = Vec::new();
    let error = guests.refusal(client, async |stream| {
        stream.write_all(b"HTTP/1.1 101 Switching Protocols\r\n\r\n").await.unwrap();
        // It hangs up, properly or not.
        let _ = within("the client's words", stream.read_to_end(&mut said)).await;
    });
    let error = error.await;
    assert!(matches!(error, ConnectError::SpeaksNoTls), "{error}");
    assert!(said.starts_with(&[0x16, 3]), "a TLS hello, and nothing else: {said:?}");
    assert!(!String::from_utf8_lossy(&said).contains("GET "));
    guests.arena.ends(512 * KIB).await;
}

/// CVE-2016-10536: certificates were not verified unless one asked for it. And a healthy client of the same server goes on.
#[tokio::test]
async fn cve_2016_10536_a_certificate_that_nobody_vouches_for_is_refused() {
    let arena = Arena::new(&[]).await;
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
    let mut guests = Guests::with(arena, trusting(&pem)).await;
    for client in [trusting(&certificate().0), Client::new(&url)] {
        let began = Instant::now();
        let error = client.connect().await.expect_err("nobody vouches for it");
        refusals::note(Refusal::Error, began);
        assert!(matches!(error, ConnectError::Tls(_) | ConnectError::TlsUnavailable(_)), "{error}");
        guests.are_well().await;
    }
    guests.arena.ends(1024 * KIB).await;
}
