//! Certificates and keys as text, together with where the text comes from: every error names that.

use std::path::Path;

use rustls::RootCertStore;
use rustls::pki_types::pem::{self, PemObject};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};

use super::error::TlsError;

#[derive(Debug)]
pub(super) struct Pem {
    pub(super) origin: String,
    text: Vec<u8>,
}

impl Pem {
    pub(super) fn given(what: &str, text: &[u8]) -> Self {
        Self { origin: what.to_owned(), text: text.to_owned() }
    }

    pub(super) fn read(path: &Path) -> Result<Self, TlsError> {
        match std::fs::read(path) {
            Ok(text) => Ok(Self { origin: path.display().to_string(), text }),
            Err(error) => Err(TlsError::Read { path: path.to_owned(), error }),
        }
    }

    /// All certificates, one at least. Other sections are passed over: many keep chain and key in one file.
    pub(super) fn certificates(&self) -> Result<Vec<CertificateDer<'static>>, TlsError> {
        let certificates = CertificateDer::pem_slice_iter(&self.text).collect::<Result<Vec<_>, _>>();
        match certificates {
            Ok(certificates) if certificates.is_empty() => Err(TlsError::NoCertificate { origin: self.origin.clone() }),
            Ok(certificates) => Ok(certificates),
            Err(error) => Err(self.broken(error)),
        }
    }

    /// The first private key.
    pub(super) fn key(&self) -> Result<PrivateKeyDer<'static>, TlsError> {
        PrivateKeyDer::from_pem_slice(&self.text).map_err(|error| match error {
            pem::Error::NoItemsFound if self.is_encrypted() => TlsError::EncryptedKey { origin: self.origin.clone() },
            pem::Error::NoItemsFound => TlsError::NoKey { origin: self.origin.clone() },
            error => self.broken(error),
        })
    }

    /// The certificates as authorities to trust.
    pub(super) fn roots(&self) -> Result<RootCertStore, TlsError> {
        let mut roots = RootCertStore::empty();
        for certificate in self.certificates()? {
            roots.add(certificate).map_err(|error| TlsError::Unusable { origin: self.origin.clone(), error })?;
        }
        Ok(roots)
    }

    fn is_encrypted(&self) -> bool {
        let marker = b"-----BEGIN ENCRYPTED PRIVATE KEY-----";
        self.text.windows(marker.len()).any(|window| window == marker)
    }

    fn broken(&self, error: pem::Error) -> TlsError {
        TlsError::Pem { origin: self.origin.clone(), error }
    }
}
