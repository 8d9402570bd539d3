//! A certificate chain with its private key: who one is, as a server or as a client.

use std::fmt;
use std::path::Path;
use std::sync::Arc;

use rustls::pki_types::ServerName;
use rustls::server::ParsedCertificate;
use rustls::sign::CertifiedKey;
use rustls::{Error, InconsistentKeys};

use super::error::TlsError;
use super::pem::Pem;
use super::provider;

/// A certificate chain, the own certificate first, and the private key to it (PKCS #8, PKCS #1 or SEC1). That they
/// belong together has been checked. Cloning is cheap.
#[derive(Clone)]
pub struct Identity {
    key: Arc<CertifiedKey>,
    origin: String,
}

impl Identity {
    /// Parses PEM (RFC 7468).
    ///
    /// # Errors
    /// [`TlsError`] says what is missing, damaged, or does not match.
    pub fn pem(chain: impl AsRef<[u8]>, key: impl AsRef<[u8]>) -> Result<Self, TlsError> {
        let chain = Pem::given("the given certificate chain", chain.as_ref());
        Self::new(&chain, &Pem::given("the given key", key.as_ref()))
    }

    /// Reads two PEM files, which may be the same one. Blocks for as long as that takes.
    ///
    /// # Errors
    /// [`TlsError`] names the file and says what is missing, damaged, or does not match.
    pub fn files(chain: impl AsRef<Path>, key: impl AsRef<Path>) -> Result<Self, TlsError> {
        Self::new(&Pem::read(chain.as_ref())?, &Pem::read(key.as_ref())?)
    }

    fn new(chain: &Pem, key: &Pem) -> Result<Self, TlsError> {
        let (certificates, secret) = (chain.certificates()?, key.key()?);
        // Looked at first, so that an error of the pair below is the key's.
        if let Err(error) = ParsedCertificate::try_from(&certificates[0]) {
            return Err(TlsError::Unusable { origin: chain.origin.clone(), error });
        }
        match CertifiedKey::from_der(certificates, secret, &provider()) {
            Ok(certified) => Ok(Self { key: Arc::new(certified), origin: chain.origin.clone() }),
            Err(Error::InconsistentKeys(InconsistentKeys::KeyMismatch)) => {
                Err(TlsError::Mismatch { chain: chain.origin.clone(), key: key.origin.clone() })
            }
            Err(error) => Err(TlsError::Unusable { origin: key.origin.clone(), error }),
        }
    }

    pub(super) fn certified(&self) -> &Arc<CertifiedKey> {
        &self.key
    }

    /// Checks that the certificate is valid for a name, or for all of `*.example.org`.
    pub(super) fn check_name(&self, name: &str) -> Result<(), TlsError> {
        let example = name.strip_prefix("*.").map(|parent| format!("any.{parent}"));
        let example = example.as_deref().unwrap_or(name);
        let valid = ServerName::try_from(example).is_ok_and(|example| {
            let certificate = self.key.end_entity_cert().and_then(ParsedCertificate::try_from);
            certificate.and_then(|own| rustls::client::verify_server_name(&own, &example)).is_ok()
        });
        if valid { Ok(()) } else { Err(TlsError::WrongName { name: name.to_owned(), origin: self.origin.clone() }) }
    }
}

impl fmt::Debug for Identity {
    /// Where it comes from; never the key.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Identity").field("origin", &self.origin).finish_non_exhaustive()
    }
}
