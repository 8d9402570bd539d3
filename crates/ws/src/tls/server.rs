//! A server's TLS: which certificate it shows for which name, and whether it asks its clients for theirs.

use std::collections::HashMap;
use std::fmt;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use rustls::ServerConfig;
use rustls::server::danger::ClientCertVerifier;
use rustls::server::{ClientHello, NoClientAuth, ResolvesServerCert, WebPkiClientVerifier};
use rustls::sign::CertifiedKey;
use switchboard_budget::Budget;

use super::error::TlsError;
use super::identity::Identity;
use super::pem::Pem;
use super::stream::TlsStream;
use super::{HTTP_1_1, provider};
use crate::driver::Io;

/// A server's TLS. Cloning is cheap.
#[derive(Clone)]
pub struct ServerTls {
    config: Arc<ServerConfig>,
    budget: Budget,
}

impl ServerTls {
    /// Shows this certificate to everyone and asks for none.
    #[must_use]
    pub fn new(identity: &Identity) -> Self {
        Self::builder(identity).build()
    }

    /// Begins with the certificate for clients that name no server, or an unknown one.
    #[must_use]
    pub fn builder(identity: &Identity) -> ServerTlsBuilder {
        let shown = ByName { default: Arc::clone(identity.certified()), named: HashMap::new() };
        ServerTlsBuilder { shown, clients: Arc::new(NoClientAuth), alpn: vec![HTTP_1_1.to_vec()] }
    }

    /// Uses a configuration made with rustls itself, as it is. Early data, if that lets clients send any, fails the
    /// connection.
    #[must_use]
    pub fn from_config(config: Arc<ServerConfig>) -> Self {
        Self { config, budget: Budget::default() }
    }

    /// Counts what is kept for clients here, from the first byte of their handshakes, and lets go of it when that is short
    /// of memory: those who have much kept of records that they do not finish, or do not take, are cut off. Default: no
    /// limit. [`Server::tls`](crate::Server::tls) sets its endpoint's.
    #[must_use]
    pub fn budget(mut self, budget: Budget) -> Self {
        self.budget = budget;
        self
    }

    /// Performs a client's TLS handshake, which may take `timeout` in all.
    ///
    /// # Errors
    /// The transport's, [`io::ErrorKind::TimedOut`], [`io::ErrorKind::InvalidData`] with a [`rustls::Error`] inside, or
    /// [`io::ErrorKind::OutOfMemory`] by the [budget](Self::budget).
    ///
    /// # Cancel safety
    /// Dropped, the transport is closed.
    pub async fn accept<S: Io>(&self, io: S, timeout: Duration) -> io::Result<TlsStream<S>> {
        let accepting = TlsStream::accept(Arc::clone(&self.config), self.budget.clone(), io);
        match tokio::time::timeout(timeout, accepting).await {
            Ok(accepted) => accepted,
            Err(_) => Err(io::Error::new(io::ErrorKind::TimedOut, "the TLS handshake took too long")),
        }
    }
}

impl fmt::Debug for ServerTls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ServerTls").finish_non_exhaustive()
    }
}

/// Whether clients must have a certificate.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ClientCertificates {
    /// Clients without one are refused.
    Required,
    /// Clients may have one; a bad one is refused all the same.
    Optional,
}

/// Makes a [`ServerTls`].
#[derive(Debug, Clone)]
pub struct ServerTlsBuilder {
    shown: ByName,
    clients: Arc<dyn ClientCertVerifier>,
    alpn: Vec<Vec<u8>>,
}

impl ServerTlsBuilder {
    /// Shows another certificate to clients that ask for this server name (SNI, RFC 6066 §3), in any case of letters.
    /// `*.example.org` stands for all names with one label more; an exact name goes before it.
    ///
    /// # Errors
    /// [`TlsError::WrongName`] when the certificate is not valid for the name.
    pub fn named(mut self, name: &str, identity: &Identity) -> Result<Self, TlsError> {
        identity.check_name(name)?;
        // A name on the wire is "without a trailing dot" (RFC 6066 §3).
        let name = name.strip_suffix('.').unwrap_or(name).to_ascii_lowercase();
        self.shown.named.insert(name, Arc::clone(identity.certified()));
        Ok(self)
    }

    /// Asks clients for certificates, and trusts those that these authorities (PEM) have signed. Default: asks for
    /// none.
    ///
    /// # Errors
    /// [`TlsError`] when there is no certificate in it, or a damaged one.
    pub fn client_ca(mut self, ca: impl AsRef<[u8]>, clients: ClientCertificates) -> Result<Self, TlsError> {
        let ca = Pem::given("the given authorities for clients", ca.as_ref());
        let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(ca.roots()?), provider());
        let verifier = match clients {
            ClientCertificates::Required => verifier,
            ClientCertificates::Optional => verifier.allow_unauthenticated(),
        };
        self.clients = verifier.build().expect("there are authorities, and no revocation lists");
        Ok(self)
    }

    /// Sets the protocols offered by ALPN (RFC 7301), the preferred first. Default: `http/1.1`. Whoever adds `h2` must
    /// speak it, as hyper does and [`Server`](crate::Server) does not.
    #[must_use]
    pub fn alpn(mut self, protocols: impl IntoIterator<Item = impl Into<Vec<u8>>>) -> Self {
        self.alpn = protocols.into_iter().map(Into::into).collect();
        self
    }

    /// The finished settings.
    #[must_use]
    pub fn build(self) -> ServerTls {
        let mut config = ServerConfig::builder_with_provider(provider())
            .with_safe_default_protocol_versions()
            .expect("ring has cipher suites for TLS 1.2 and 1.3")
            .with_client_cert_verifier(self.clients)
            .with_cert_resolver(Arc::new(self.shown));
        config.alpn_protocols = self.alpn;
        ServerTls::from_config(Arc::new(config))
    }
}

/// The certificates by the names that clients ask for.
#[derive(Debug, Clone)]
struct ByName {
    default: Arc<CertifiedKey>,
    /// In lower case.
    named: HashMap<String, Arc<CertifiedKey>>,
}

impl ByName {
    fn find(&self, name: &str) -> Option<&Arc<CertifiedKey>> {
        let name = name.to_ascii_lowercase();
        self.named.get(&name).or_else(|| self.named.get(&format!("*.{}", name.split_once('.')?.1)))
    }
}

impl ResolvesServerCert for ByName {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        let found = hello.server_name().and_then(|name| self.find(name));
        Some(Arc::clone(found.unwrap_or(&self.default)))
    }
}
