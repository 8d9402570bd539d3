//! What is wrong with certificates and keys, before any connection.

use std::fmt;
use std::io;
use std::path::PathBuf;

use rustls::pki_types::pem;

/// Why certificates or keys cannot be used. `origin` is the path of a file, or a description of what was given in its
/// place.
#[derive(Debug)]
#[non_exhaustive]
pub enum TlsError {
    /// A file could not be read.
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        error: io::Error,
    },
    /// Something is not PEM (RFC 7468).
    Pem {
        /// Where it is.
        origin: String,
        /// Why.
        error: pem::Error,
    },
    /// There is no certificate where there should be one.
    NoCertificate {
        /// Where it was looked for.
        origin: String,
    },
    /// There is no private key where there should be one.
    NoKey {
        /// Where it was looked for.
        origin: String,
    },
    /// The private key is encrypted, and there is nobody to ask for the password.
    EncryptedKey {
        /// Where it is.
        origin: String,
    },
    /// The private key is not that of the first certificate in the chain.
    Mismatch {
        /// Where the chain is.
        chain: String,
        /// Where the key is.
        key: String,
    },
    /// A certificate or a key is of a kind that is not supported, or damaged.
    Unusable {
        /// Where it is.
        origin: String,
        /// Why.
        error: rustls::Error,
    },
    /// A certificate is not valid for the name that it was to be shown for.
    WrongName {
        /// The name.
        name: String,
        /// Where the certificate is.
        origin: String,
    },
    /// The operating system has no certificate authorities to trust, or they cannot be read.
    NoNativeRoots {
        /// What the search for them said, if anything.
        reason: String,
    },
}

impl fmt::Display for TlsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Read { path, error } => write!(f, "{} cannot be read: {error}", path.display()),
            Self::Pem { origin, error } => write!(f, "{origin} is not valid PEM: {error}"),
            Self::NoCertificate { origin } => write!(f, "there is no certificate in {origin}"),
            Self::NoKey { origin } => write!(f, "there is no private key in {origin}"),
            Self::EncryptedKey { origin } => write!(f, "the private key in {origin} is encrypted; decrypt it first"),
            Self::Mismatch { chain, key } => {
                write!(f, "the private key in {key} is not that of the first certificate in {chain}")
            }
            Self::Unusable { origin, error } => write!(f, "{origin} cannot be used: {error}"),
            Self::WrongName { name, origin } => write!(f, "the certificate in {origin} is not valid for {name}"),
            Self::NoNativeRoots { reason } if reason.is_empty() => {
                f.write_str("the operating system has no certificate authorities to trust")
            }
            Self::NoNativeRoots { reason } => {
                write!(f, "the operating system's certificate authorities cannot be read: {reason}")
            }
        }
    }
}

impl std::error::Error for TlsError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Read { error, .. } => Some(error),
            Self::Pem { error, .. } => Some(error),
            Self::Unusable { error, .. } => Some(error),
            _ => None,
        }
    }
}
