//! The ways by which clients come to a server: to shards, to a task for each, or by TLS. They share little code below the
//! protocol, so attacks are tried on each.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

use rcgen::{CertificateParams, KeyPair};
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use switchboard_testkit::{Wire, within};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

/// By which way clients come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Way {
    /// Shards accept, read heads and serve.
    Shards,
    /// HTTP reads heads, and WebSockets have a task each.
    Tasks,
    /// The same within TLS.
    Tls,
}

/// Makes a test on each way of functions that take one.
macro_rules! on_every_way {
    ($($attack:ident),+ $(,)?) => {
        $(mod $attack {
            use crate::way::Way;

            #[tokio::test]
            async fn over_shards() {
                super::$attack(Way::Shards).await;
            }

            #[tokio::test]
            async fn over_tasks() {
                super::$attack(Way::Tasks).await;
            }

            #[tokio::test]
            async fn over_tls() {
                super::$attack(Way::Tls).await;
            }
        })+
    };
}
pub(crate) use on_every_way;

impl Way {
    /// What each connection may cost more than on shards: HTTP's buffers; and TLS at both ends, in its handshake and after.
    pub(crate) fn each(self) -> usize {
        match self {
            Self::Shards => 0,
            Self::Tasks => 8 << 10,
            Self::Tls => 32 << 10,
        }
    }

    /// Who the server is.
    pub(crate) fn identity(self) -> Identity {
        match self {
            Self::Shards => Identity { flags: Vec::new(), files: None },
            Self::Tasks => Identity { flags: vec!["--driver=task".to_owned()], files: None },
            Self::Tls => Identity::made(),
        }
    }
}

/// A connection, with TLS or without.
pub(crate) type Line = Box<dyn Duplex>;

pub(crate) trait Duplex: AsyncRead + AsyncWrite + Unpin + Send {}
impl<T: AsyncRead + AsyncWrite + Unpin + Send> Duplex for T {}

/// Who a server is, in files until it has read them.
pub(crate) struct Identity {
    flags: Vec<String>,
    files: Option<Files>,
}

struct Files {
    folder: std::path::PathBuf,
    certificate: CertificateDer<'static>,
}

impl Identity {
    fn made() -> Self {
        let pair = KeyPair::generate().unwrap();
        let certificate = CertificateParams::new(["127.0.0.1".to_owned()]).unwrap().self_signed(&pair).unwrap();
        let folder = std::env::temp_dir().join(format!("switchboard-attacks-{}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        let (cert, key) = (folder.join("cert.pem"), folder.join("key.pem"));
        std::fs::write(&cert, certificate.pem()).unwrap();
        std::fs::write(&key, pair.serialize_pem()).unwrap();
        let flags = vec![format!("--tls-cert={}", cert.display()), format!("--tls-key={}", key.display())];
        Self { flags, files: Some(Files { folder, certificate: certificate.der().clone() }) }
    }

    pub(crate) fn flags(&self) -> Vec<String> {
        self.flags.clone()
    }

    /// The server has read the files. Clients trust it.
    pub(crate) fn dialer(self, address: SocketAddr) -> Dialer {
        let tls = self.files.map(|files| {
            std::fs::remove_dir_all(files.folder).unwrap();
            let mut roots = RootCertStore::empty();
            roots.add(files.certificate).unwrap();
            Arc::new(ClientConfig::builder().with_root_certificates(roots).with_no_client_auth())
        });
        Dialer { address, tls, dialed: Arc::default() }
    }
}

/// Connects to a server.
#[derive(Clone)]
pub(crate) struct Dialer {
    address: SocketAddr,
    tls: Option<Arc<ClientConfig>>,
    dialed: Arc<AtomicUsize>,
}

impl Dialer {
    /// Nobody has connected yet.
    pub(crate) fn begin(&self) {
        self.dialed.store(0, Relaxed);
    }

    /// How often somebody connected.
    pub(crate) fn dialed(&self) -> usize {
        self.dialed.load(Relaxed)
    }

    pub(crate) async fn connect(&self) -> Wire<Line> {
        self.dial(None).await
    }

    pub(crate) async fn connect_from(&self, from: [u8; 4], room: u32) -> Wire<Line> {
        self.dial(Some((from, room))).await
    }

    /// A client that the machine kept from its TLS handshake for longer than the flags allow comes again.
    async fn dial(&self, from: Option<([u8; 4], u32)>) -> Wire<Line> {
        within("a connection", async {
            loop {
                let wire = match from {
                    Some((from, room)) => Wire::connect_from(self.address, from, room).await,
                    None => Wire::connect(self.address).await,
                };
                self.dialed.fetch_add(1, Relaxed);
                let (stream, began) = wire.into_stream();
                if let Some(line) = self.sealed(stream).await {
                    break Wire::since(began, line);
                }
            }
        })
        .await
    }

    async fn sealed(&self, stream: TcpStream) -> Option<Line> {
        if self.tls.is_none() {
            return Some(Box::new(stream));
        }
        Some(Box::new(self.shake_hands(stream).await?))
    }

    /// With TLS. `None`: the server hung up.
    pub(crate) async fn shake_hands(&self, stream: TcpStream) -> Option<TlsStream<TcpStream>> {
        let tls = self.tls.as_ref().expect("the server has TLS");
        let name = ServerName::IpAddress(self.address.ip().into());
        let connecting = TlsConnector::from(Arc::clone(tls)).connect(name, stream);
        within("a TLS handshake", connecting).await.ok()
    }
}
