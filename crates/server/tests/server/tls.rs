//! https and wss.

use std::net::SocketAddr;
use std::sync::Arc;

use rcgen::{CertificateParams, KeyPair};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use switchboard_testkit::{Wire, within};
use switchboard_ws::{Client, ClientTls};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use crate::server::{Directory, Server, refusal};

/// A certificate for 127.0.0.1 that vouches for itself, in files.
pub(crate) struct Files {
    _directory: Directory,
    pub(crate) certificate: String,
    pub(crate) key: String,
    pem: String,
}

impl Files {
    pub(crate) fn new() -> Self {
        let pair = KeyPair::generate().unwrap();
        let pem = CertificateParams::new(["127.0.0.1".to_owned()]).unwrap().self_signed(&pair).unwrap().pem();
        let directory = Directory::new();
        let (certificate, key) = (directory.join("cert.pem"), directory.join("key.pem"));
        std::fs::write(&certificate, &pem).unwrap();
        std::fs::write(&key, pair.serialize_pem()).unwrap();
        Self { _directory: directory, certificate, key, pem }
    }

    pub(crate) async fn serve(&self) -> Server {
        Server::start(&["--tls-cert", &self.certificate, "--tls-key", &self.key]).await
    }

    async fn connect(&self, address: SocketAddr) -> Wire<TlsStream<TcpStream>> {
        let mut roots = RootCertStore::empty();
        roots.add(CertificateDer::from_pem_slice(self.pem.as_bytes()).unwrap()).unwrap();
        let config = ClientConfig::builder().with_root_certificates(roots).with_no_client_auth();
        let stream = TcpStream::connect(address).await.unwrap();
        let name = ServerName::IpAddress(address.ip().into());
        let connecting = TlsConnector::from(Arc::new(config)).connect(name, stream);
        Wire::new(within("a TLS handshake", connecting).await.unwrap())
    }
}

#[tokio::test]
async fn pages_and_websockets_are_served_by_tls() {
    let files = Files::new();
    let server = files.serve().await;
    let address = server.address();
    assert_eq!(server.lines[0], format!("Switchboard chat page: https://{address}/"));
    assert!(server.lines[1].contains(&format!("wss://{address}/echo")), "{:?}", server.lines);

    let mut page = files.connect(address).await;
    let response = page.get("/").await;
    assert_eq!((response.status, response.header("content-type")), (200, Some("text/html; charset=utf-8")));

    let client = Client::new(format!("wss://{address}/echo?greet=0")).tls(ClientTls::pem(&files.pem).unwrap());
    let mut socket = client.connect().await.unwrap();
    socket.send("hello").await.unwrap();
    assert_eq!(socket.recv().await.unwrap().unwrap().as_text(), Some("hello"));

    // On the server's side too, the end of the TLS session is said.
    server.program.signal("TERM").await;
    assert_eq!(socket.recv().await.unwrap(), None);
    assert_eq!(socket.outcome().unwrap().code(), switchboard_ws::CloseCode::GOING_AWAY);
    assert!(page.rest().await.is_empty());
    assert_eq!(server.program.end().await.code, Some(0));
}

#[tokio::test]
async fn nothing_is_served_in_the_clear_then() {
    let files = Files::new();
    let server = files.serve().await;
    let mut wire = Wire::ask(server.address(), "/echo", "").await;
    let answer = wire.rest().await;
    assert!(!answer.starts_with(b"HTTP/"), "{}", answer.escape_ascii());
    assert!(Client::new(server.url("/echo")).connect().await.is_err());
    let stranger =
        Client::new(format!("wss://{}/echo", server.address())).tls(ClientTls::pem(Files::new().pem).unwrap());
    assert!(stranger.connect().await.is_err(), "a certificate from someone else");
}

/// A `ClientHello` of `version`, in which all but that is as the server wants it.
fn hello(version: [u8; 2]) -> Vec<u8> {
    let hello = [
        &version[..],
        // The random bytes, no session, TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256, no compression.
        &[7; 32],
        &[0, 0, 2, 0xc0, 0x2b, 1, 0],
        // The curve, its form, and ecdsa_secp256r1_sha256.
        &[0, 22, 0, 10, 0, 4, 0, 2, 0, 23, 0, 11, 0, 2, 1, 0, 0, 13, 0, 4, 0, 2, 4, 3],
    ]
    .concat();
    let length = u8::try_from(hello.len()).unwrap();
    [&[22, 3, 1, 0, length + 4, 1, 0, 0, length][..], &hello].concat()
}

#[tokio::test]
async fn tls_begins_with_1_2() {
    let files = Files::new();
    let server = files.serve().await;
    // SSL 3.0, TLS 1.0 and 1.1 get the alert `protocol_version` (RFC 5246 §7.2.2), and the end.
    for version in [[3, 0], [3, 1], [3, 2]] {
        let mut wire = Wire::connect(server.address()).await;
        wire.send(hello(version)).await;
        let answer = wire.rest().await;
        assert_eq!((answer.first(), answer.get(5..)), (Some(&21), Some(&[2, 70][..])), "{version:?}: {answer:?}");
    }
    let mut stream = TcpStream::connect(server.address()).await.unwrap();
    stream.write_all(&hello([3, 3])).await.unwrap();
    let mut record = [0; 3];
    within("a ServerHello", stream.read_exact(&mut record)).await.unwrap();
    assert_eq!(record, [22, 3, 3]);
}

#[tokio::test]
async fn files_that_are_no_certificates_are_told() {
    let files = Files::new();
    let listen = ["--listen", "127.0.0.1:0"];
    let sentence = refusal(&[&listen[..], &["--tls-cert", &files.key, "--tls-key", &files.key]].concat()).await;
    assert!(sentence.contains("--tls-cert"), "{sentence}");
    let other = Files::new();
    let sentence = refusal(&[&listen[..], &["--tls-cert", &files.certificate, "--tls-key", &other.key]].concat()).await;
    assert!(sentence.contains("--tls-cert"), "{sentence}");
}
