//! A client's TLS: whom it trusts, and who it is. Verification cannot be switched off here; whoever must, brings a
//! rustls configuration of their own.

use std::fmt;
use std::io;
use std::sync::Arc;

use rustls::client::Resumption;
use rustls::pki_types::ServerName;
use rustls::sign::SingleCertAndKey;
use rustls::{ClientConfig, RootCertStore};
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use super::error::TlsError;
use super::identity::Identity;
use super::pem::Pem;
use super::{HTTP_1_1, provider};
use crate::driver::Io;

/// A client's TLS. Cloning is cheap, and clones resume each other's sessions.
#[derive(Clone)]
pub struct ClientTls(Arc<ClientConfig>);

impl ClientTls {
    /// Trusts the certificate authorities of the operating system, as they are now. Blocks while it reads them.
    ///
    /// # Errors
    /// [`TlsError::NoNativeRoots`] when there are none. Single ones that are damaged are passed over.
    #[cfg(feature = "native-roots")]
    pub fn native() -> Result<Self, TlsError> {
        let found = rustls_native_certs::load_native_certs();
        let mut roots = RootCertStore::empty();
        let (added, ignored) = roots.add_parsable_certificates(found.certs);
        tracing::debug!(added, ignored, errors = found.errors.len(), "read the system's certificate authorities");
        if added == 0 {
            let errors: Vec<_> = found.errors.iter().map(ToString::to_string).collect();
            return Err(TlsError::NoNativeRoots { reason: errors.join("; ") });
        }
        Ok(Self::trusting(roots))
    }

    /// Trusts the certificate authorities that Mozilla trusts, as they were when this was compiled.
    #[cfg(feature = "webpki-roots")]
    #[must_use]
    pub fn webpki() -> Self {
        Self::trusting(RootCertStore { roots: webpki_roots::TLS_SERVER_ROOTS.to_vec() })
    }

    /// Trusts these certificate authorities (PEM) and no others.
    ///
    /// # Errors
    /// [`TlsError`] when there is no certificate in it, or a damaged one.
    pub fn pem(ca: impl AsRef<[u8]>) -> Result<Self, TlsError> {
        Pem::given("the given authorities", ca.as_ref()).roots().map(Self::trusting)
    }

    /// Uses a configuration made with rustls itself, as it is. Connections on which it agrees on another protocol than
    /// `http/1.1` by ALPN fail.
    #[must_use]
    pub fn from_config(config: Arc<ClientConfig>) -> Self {
        Self(config)
    }

    /// Shows a certificate to servers that ask for one.
    #[must_use]
    pub fn identity(mut self, identity: &Identity) -> Self {
        let config = Arc::make_mut(&mut self.0);
        config.client_auth_cert_resolver = Arc::new(SingleCertAndKey::from(Arc::clone(identity.certified())));
        // Sessions of someone else are not to be resumed.
        config.resumption = Resumption::default();
        self
    }

    fn trusting(roots: RootCertStore) -> Self {
        let mut config = ClientConfig::builder_with_provider(provider())
            .with_safe_default_protocol_versions()
            .expect("ring has cipher suites for TLS 1.2 and 1.3")
            .with_root_certificates(roots)
            .with_no_client_auth();
        config.alpn_protocols = vec![HTTP_1_1.to_vec()];
        Self(Arc::new(config))
    }

    /// Performs the TLS handshake with the server of this name, or address.
    pub(crate) async fn connect<S: Io>(self, io: S, name: ServerName<'static>) -> io::Result<TlsStream<S>> {
        let stream = TlsConnector::from(self.0).connect(name, io).await?;
        match stream.get_ref().1.alpn_protocol() {
            None | Some(HTTP_1_1) => Ok(stream),
            Some(other) => {
                let text = format!("the server speaks {} here, not HTTP/1.1", other.escape_ascii());
                Err(io::Error::new(io::ErrorKind::InvalidData, text))
            }
        }
    }
}

impl fmt::Debug for ClientTls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ClientTls").finish_non_exhaustive()
    }
}
