//! https and wss.

use std::net::SocketAddr;
use std::sync::Arc;

use rcgen::{CertificateParams, KeyPair};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use switchboard_testkit::{Wire, within};
use switchboard_ws::{Client, ClientTls};
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
