//! `wss://`: who is trusted, who is not, and that nothing is said before that is settled.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use switchboard_ws::{
    Budget, BudgetPart, Client, ClientCertificates, ClientTls, Config, ConnectError, ConnectStep, Identity, PeerAddr,
    Server, ServerTls, TlsError, accept, connect,
};
use tokio::io::{AsyncReadExt, AsyncWriteExt, duplex};
use tokio::net::{TcpListener, TcpStream};

use crate::peers::{our_client_talks, tungstenite_echoes, tungstenite_talks};
use crate::support::{check_echo, echo, echo_all, echo_server};

/// A certificate authority.
pub(crate) struct Authority {
    issuer: Issuer<'static, KeyPair>,
    pem: String,
}

impl Authority {
    pub(crate) fn new() -> Self {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::new([]).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let pem = params.self_signed(&key).unwrap().pem();
        Self { issuer: Issuer::new(params, key), pem }
    }

    /// A client's settings that trust it alone.
    pub(crate) fn trusted(&self) -> ClientTls {
        ClientTls::pem(&self.pem).unwrap()
    }

    pub(crate) fn identity(&self, names: &[&str]) -> Identity {
        self.issue(&CertificateParams::new(names.iter().map(ToString::to_string).collect::<Vec<_>>()).unwrap())
    }

    fn issue(&self, params: &CertificateParams) -> Identity {
        let (chain, key) = self.pems(params);
        Identity::pem(chain, key).unwrap()
    }

    fn pems(&self, params: &CertificateParams) -> (String, String) {
        let key = KeyPair::generate().unwrap();
        (params.signed_by(&key, &self.issuer).unwrap().pem(), key.serialize_pem())
    }
}

/// An echoing server with TLS, on a free port.
async fn serve(tls: ServerTls) -> SocketAddr {
    let server = Server::bind("127.0.0.1:0", Config::default()).await.unwrap().tls(tls);
    let address = server.local_addr().unwrap();
    tokio::spawn(echo_all(server));
    address
}

fn client(address: SocketAddr, tls: ClientTls) -> Client {
    Client::new(format!("wss://{address}/")).tls(tls)
}

async fn refused(client: &Client) -> rustls::Error {
    match client.connect().await {
        Err(ConnectError::Tls(error)) => {
            error.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>()).unwrap().clone()
        }
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn what_tls_needs_counts_in_the_endpoints_budget() {
    let ca = Authority::new();
    let budget = Budget::new(16 << 20);
    let counted = || budget.usage().unwrap().parts[BudgetPart::Tls as usize];
    let server = Server::bind("127.0.0.1:0", Config::default().budget(budget.clone())).await.unwrap();
    let mut server = server.tls(ServerTls::new(&ca.identity(&["127.0.0.1"])));
    let client = client(server.local_addr().unwrap(), ca.trusted());
    let (connected, socket) = tokio::join!(client.connect(), server.accept());
    assert!(counted() > 1 << 10);
    drop(connected.unwrap());
    socket.sender().ended().await;
    drop(socket);
    drop(server);
    assert_eq!(counted(), 0);
}

#[tokio::test]
async fn a_trusted_server_is_talked_to() {
    let ca = Authority::new();
    let address = serve(ServerTls::new(&ca.identity(&["127.0.0.1", "localhost"]))).await;
    let client = client(address, ca.trusted());
    let mut socket = client.connect().await.unwrap();
    check_echo(&mut socket).await;
    assert_eq!(socket.info().peer(), PeerAddr::Ip(address));
    assert!(socket.close(1000, "").await.unwrap().is_clean());
    our_client_talks(&client).await;
    let by_name = Client::new(format!("wss://localhost:{}/", address.port())).tls(ca.trusted());
    check_echo(&mut by_name.connect().await.unwrap()).await;
}

#[tokio::test]
async fn a_server_that_is_not_to_be_trusted_is_refused() {
    use rustls::CertificateError as Bad;
    let ca = Authority::new();

    let address = serve(ServerTls::new(&ca.identity(&["127.0.0.1"]))).await;
    let stranger = refused(&client(address, Authority::new().trusted())).await;
    assert!(
        matches!(stranger, rustls::Error::InvalidCertificate(Bad::UnknownIssuer | Bad::BadSignature)),
        "{stranger:?}"
    );

    let address = serve(ServerTls::new(&ca.identity(&["example.org"]))).await;
    let wrong_name = refused(&client(address, ca.trusted())).await;
    assert!(
        matches!(wrong_name, rustls::Error::InvalidCertificate(Bad::NotValidForNameContext { .. })),
        "{wrong_name:?}"
    );

    let mut old = CertificateParams::new(["127.0.0.1".to_owned()]).unwrap();
    (old.not_before, old.not_after) = (rcgen::date_time_ymd(2001, 1, 1), rcgen::date_time_ymd(2002, 1, 1));
    let address = serve(ServerTls::new(&ca.issue(&old))).await;
    let expired = refused(&client(address, ca.trusted())).await;
    assert!(matches!(expired, rustls::Error::InvalidCertificate(Bad::ExpiredContext { .. })), "{expired:?}");
    let text = client(address, ca.trusted()).connect().await.unwrap_err().to_string();
    assert!(text.starts_with("TLS failed: ") && text.contains("expired"), "{text}");
}

#[tokio::test]
async fn clients_are_asked_for_certificates() {
    let (ca, clients) = (Authority::new(), Authority::new());
    let builder = || ServerTls::builder(&ca.identity(&["127.0.0.1"]));
    let tls = |asked| builder().client_ca(&clients.pem, asked).unwrap().build();
    let required = serve(tls(ClientCertificates::Required)).await;
    let optional = serve(tls(ClientCertificates::Optional)).await;
    let known = ca.trusted().identity(&clients.identity(&["someone"]));
    let unknown = ca.trusted().identity(&ca.identity(&["someone"]));

    check_echo(&mut client(required, known.clone()).connect().await.unwrap()).await;
    check_echo(&mut client(optional, known).connect().await.unwrap()).await;
    check_echo(&mut client(optional, ca.trusted()).connect().await.unwrap()).await;

    let missing = refused(&client(required, ca.trusted())).await;
    assert_eq!(missing, rustls::Error::AlertReceived(rustls::AlertDescription::CertificateRequired));
    for address in [required, optional] {
        let unknown = refused(&client(address, unknown.clone())).await;
        assert!(matches!(unknown, rustls::Error::AlertReceived(_)), "{unknown:?}");
    }
}

#[tokio::test]
async fn each_name_has_its_certificate() {
    // Each name's certificate is from an authority of its own: only the right one is trusted.
    let [default, exact, wild] = [Authority::new(), Authority::new(), Authority::new()];
    let tls = ServerTls::builder(&default.identity(&["other.test"]))
        .named("One.test.", &exact.identity(&["one.test"]))
        .and_then(|tls| tls.named("*.two.test", &wild.identity(&["*.two.test"])))
        .and_then(|tls| tls.named("a.two.test", &exact.identity(&["a.two.test"])))
        .unwrap()
        .build();
    let address = serve(tls).await;
    for (name, authority) in [
        ("other.test", &default),
        ("one.test", &exact),
        ("ONE.test", &exact),
        ("b.two.test", &wild),
        ("B.Two.test", &wild),
        ("a.two.test", &exact),
    ] {
        let stream = TcpStream::connect(address).await.unwrap();
        let client = Client::new(format!("wss://{name}/")).tls(authority.trusted());
        check_echo(&mut client.connect_over(stream).await.unwrap()).await;
    }
    let stream = TcpStream::connect(address).await.unwrap();
    let unnamed = Client::new("wss://c.b.two.test/").tls(wild.trusted());
    assert!(matches!(unnamed.connect_over(stream).await, Err(ConnectError::Tls(_))), "a wildcard is one label");
}

/// wss never becomes ws: the server sees a TLS greeting, and of the request not a word.
#[tokio::test]
async fn nothing_is_said_in_plain_text_to_a_server_without_tls() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("wss://{}/secret?token=hush", listener.local_addr().unwrap());
    let client = Client::new(url).tls(Authority::new().trusted()).header("authorization", "hush");
    let serve = async {
        let (mut stream, _) = listener.accept().await.unwrap();
        let mut heard = vec![stream.read_u8().await.unwrap()];
        stream.write_all(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n").await.unwrap();
        stream.read_to_end(&mut heard).await.unwrap();
        // Nor does it try again.
        drop(stream);
        heard
    };
    let (error, heard) = tokio::join!(client.connect(), serve);
    assert!(matches!(error, Err(ConnectError::SpeaksNoTls)), "{error:?}");
    // A record of the handshake (RFC 8446 §5.1), with a ClientHello (§4) in it.
    assert_eq!((heard[0], heard[5]), (22, 1));
    for secret in ["GET ", "secret", "hush", "HTTP/1.1"] {
        assert!(!heard.windows(secret.len()).any(|window| window == secret.as_bytes()), "{secret}");
    }
    let ours = echo_server(Config::default()).await;
    let error = self::client(ours, Authority::new().trusted()).connect().await;
    assert!(matches!(error, Err(ConnectError::SpeaksNoTls)), "{error:?}");
}

#[tokio::test]
async fn a_plain_client_is_told_that_the_server_speaks_tls() {
    let address = serve(ServerTls::new(&Authority::new().identity(&["127.0.0.1"]))).await;
    let error = connect(format!("ws://{address}/")).await.unwrap_err();
    assert!(matches!(error, ConnectError::SpeaksTls), "{error:?}");
    assert!(error.to_string().contains("wss://"), "{error}");
}

#[tokio::test(start_paused = true)]
async fn silence_in_the_tls_handshake_has_an_end_on_both_sides() {
    let (ours, mut theirs) = duplex(1 << 16);
    let client = Client::new("wss://example.org/").tls(Authority::new().trusted());
    let error = client.connect_over(ours).await.unwrap_err();
    assert!(matches!(error, ConnectError::TimedOut(ConnectStep::Tls)), "{error:?}");
    theirs.read_to_end(&mut Vec::new()).await.unwrap();

    let (ours, _theirs) = duplex(1 << 16);
    let tls = ServerTls::new(&Authority::new().identity(&["example.org"]));
    let error = tls.accept(ours, Duration::from_secs(10)).await.unwrap_err();
    assert_eq!(error.kind(), std::io::ErrorKind::TimedOut);
}

#[tokio::test]
async fn a_transport_that_ends_in_the_tls_handshake_is_no_fault_of_tls() {
    let (ours, theirs) = duplex(1 << 16);
    drop(theirs);
    let client = Client::new("wss://example.org/").tls(Authority::new().trusted());
    let error = client.connect_over(ours).await.unwrap_err();
    assert!(matches!(error, ConnectError::Io { step: ConnectStep::Tls, .. }), "{error:?}");
}

fn rustls_client(ca: &Authority, versions: &[&'static rustls::SupportedProtocolVersion]) -> rustls::ClientConfig {
    use rustls::pki_types::pem::PemObject;
    let mut roots = rustls::RootCertStore::empty();
    roots.add(rustls::pki_types::CertificateDer::from_pem_slice(ca.pem.as_bytes()).unwrap()).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = rustls::ClientConfig::builder_with_provider(provider).with_protocol_versions(versions).unwrap();
    builder.with_root_certificates(roots).with_no_client_auth()
}

#[tokio::test]
async fn a_configuration_of_one_s_own_is_taken_as_it_is() {
    let ca = Authority::new();
    let address = serve(ServerTls::new(&ca.identity(&["127.0.0.1"]))).await;
    let old = rustls_client(&ca, &[&rustls::version::TLS12]);
    assert!(old.alpn_protocols.is_empty());
    let tls = ClientTls::from_config(Arc::new(old));
    check_echo(&mut client(address, tls).connect().await.unwrap()).await;
}

#[tokio::test]
async fn both_sides_agree_on_http_1_1_or_not_at_all() {
    let ca = Authority::new();
    let two = ServerTls::builder(&ca.identity(&["127.0.0.1"])).alpn(["h2"]).build();
    let (both, only_two) = (["h2", "http/1.1"].map(Into::into).to_vec(), serve(two.clone()).await);
    let error = refused(&client(only_two, ca.trusted())).await;
    assert_eq!(error, rustls::Error::AlertReceived(rustls::AlertDescription::NoApplicationProtocol));

    let mut willing = rustls_client(&ca, rustls::DEFAULT_VERSIONS);
    willing.alpn_protocols = both;
    let willing = ClientTls::from_config(Arc::new(willing));
    let error = client(only_two, willing.clone()).connect().await.unwrap_err();
    assert!(error.to_string().contains("h2"), "{error}");
    let one = serve(ServerTls::new(&ca.identity(&["127.0.0.1"]))).await;
    check_echo(&mut client(one, willing).connect().await.unwrap()).await;
}

#[tokio::test]
async fn tungstenite_speaks_tls_with_us_on_either_side() {
    let ca = Authority::new();
    let tls = ServerTls::new(&ca.identity(&["127.0.0.1"]));
    let address = serve(tls.clone()).await;
    let connector = tokio_rustls::TlsConnector::from(Arc::new(rustls_client(&ca, rustls::DEFAULT_VERSIONS)));
    let stream = TcpStream::connect(address).await.unwrap();
    let stream = connector.connect("127.0.0.1".try_into().unwrap(), stream).await.unwrap();
    tungstenite_talks(stream, &format!("wss://{address}/")).await;

    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let client = client(listener.local_addr().unwrap(), ca.trusted());
    let serve = async {
        let (stream, _) = listener.accept().await.unwrap();
        tungstenite_echoes(tls.accept(stream, Duration::from_secs(10)).await.unwrap()).await;
    };
    tokio::join!(our_client_talks(&client), serve);
}

#[tokio::test]
async fn tls_runs_over_any_transport() {
    let ca = Authority::new();
    let tls = ServerTls::new(&ca.identity(&["example.org"]));
    let (ours, theirs) = duplex(256);
    tokio::spawn(async move {
        let stream = tls.accept(theirs, Duration::from_secs(10)).await.unwrap();
        echo(accept(stream, &Config::default()).await.unwrap()).await;
    });
    let client = Client::new("wss://example.org/").tls(ca.trusted());
    check_echo(&mut client.connect_over(ours).await.unwrap()).await;
}

#[test]
fn what_is_wrong_with_certificates_is_named() {
    let ca = Authority::new();
    let (chain, key) = ca.pems(&CertificateParams::new(["example.org".to_owned()]).unwrap());
    let (_, other) = ca.pems(&CertificateParams::new(["example.org".to_owned()]).unwrap());
    let swapped = Identity::pem(&chain, &other).unwrap_err();
    assert!(matches!(swapped, TlsError::Mismatch { .. }), "{swapped:?}");
    let no_chain = Identity::pem(&key, &key).unwrap_err();
    assert!(matches!(no_chain, TlsError::NoCertificate { .. }), "{no_chain:?}");
    let no_key = Identity::pem(&chain, &chain).unwrap_err();
    assert!(matches!(no_key, TlsError::NoKey { .. }), "{no_key:?}");
    let locked = key.replace("PRIVATE KEY", "ENCRYPTED PRIVATE KEY");
    let locked = Identity::pem(&chain, locked).unwrap_err();
    assert!(matches!(locked, TlsError::EncryptedKey { .. }), "{locked:?}");
    let cut = Identity::pem(&chain[..chain.len() / 2], &key).unwrap_err();
    assert!(matches!(cut, TlsError::Pem { .. }), "{cut:?}");
    let damaged = "-----BEGIN CERTIFICATE-----\naGVsbG8=\n-----END CERTIFICATE-----\n";
    let damaged_chain = Identity::pem(damaged, &key).unwrap_err();
    assert!(matches!(damaged_chain, TlsError::Unusable { .. }), "{damaged_chain:?}");
    let damaged_root = ClientTls::pem(damaged).unwrap_err();
    assert!(damaged_root.to_string().starts_with("the given authorities cannot be used"), "{damaged_root}");
    assert!(matches!(ClientTls::pem("").unwrap_err(), TlsError::NoCertificate { .. }));
    let no_clients = ServerTls::builder(&ca.identity(&["a"])).client_ca("", ClientCertificates::Required).unwrap_err();
    assert!(no_clients.to_string().contains("authorities for clients"), "{no_clients}");
    for name in ["other.test", "*.example.org", "not a name", ""] {
        let wrong = ServerTls::builder(&ca.identity(&["a"])).named(name, &ca.identity(&["example.org"])).unwrap_err();
        assert!(matches!(&wrong, TlsError::WrongName { name: named, .. } if named == name), "{wrong:?}");
    }
    let shown = format!("{:?}", Identity::pem(chain, &key).unwrap());
    assert!(!shown.contains("key:"), "{shown}");
}

#[test]
fn files_are_named_in_errors() {
    let ca = Authority::new();
    let folder = std::env::temp_dir().join(format!("switchboard-connect-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    let (chain, key) = (folder.join("chain.pem"), folder.join("key.pem"));
    let (chain_pem, key_pem) = ca.pems(&CertificateParams::new(["example.org".to_owned()]).unwrap());
    std::fs::write(&chain, &chain_pem).unwrap();
    std::fs::write(&key, &key_pem).unwrap();
    Identity::files(&chain, &key).unwrap();
    let no_key = Identity::files(&chain, &chain).unwrap_err().to_string();
    let no_chain = Identity::files(&key, &key).unwrap_err().to_string();
    std::fs::write(&chain, chain_pem + &key_pem).unwrap();
    Identity::files(&chain, &chain).unwrap();
    let missing = Identity::files(&chain, folder.join("nowhere.pem")).unwrap_err().to_string();
    std::fs::remove_dir_all(&folder).unwrap();
    assert!(no_key.contains("private key") && no_key.contains("chain.pem"), "{no_key}");
    assert!(no_chain.contains("certificate") && no_chain.contains("key.pem"), "{no_chain}");
    assert!(missing.contains("nowhere.pem cannot be read"), "{missing}");
}

/// Without a choice, the authorities of the system or of Mozilla are trusted, and ours is not among them.
#[tokio::test]
async fn without_a_choice_strangers_are_not_trusted() {
    let address = serve(ServerTls::new(&Authority::new().identity(&["127.0.0.1"]))).await;
    let error = Client::new(format!("wss://{address}/")).connect().await.unwrap_err();
    if cfg!(feature = "native-roots") {
        // The system may have none at all.
        assert!(matches!(error, ConnectError::Tls(_) | ConnectError::TlsUnavailable(_)), "{error:?}");
    } else if cfg!(feature = "webpki-roots") {
        assert!(matches!(error, ConnectError::Tls(_)), "{error:?}");
    } else {
        assert!(matches!(&error, ConnectError::TlsUnavailable(why) if why.contains("Client::tls")), "{error:?}");
    }
}

#[cfg(feature = "webpki-roots")]
#[tokio::test]
async fn mozilla_does_not_know_us() {
    let address = serve(ServerTls::new(&Authority::new().identity(&["127.0.0.1"]))).await;
    let error = refused(&client(address, ClientTls::webpki())).await;
    assert!(matches!(error, rustls::Error::InvalidCertificate(rustls::CertificateError::UnknownIssuer)), "{error:?}");
}
