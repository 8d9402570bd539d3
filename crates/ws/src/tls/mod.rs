//! TLS by rustls, with ring for its cryptography: what a server shows and asks for, and whom a client trusts. TLS 1.2
//! and 1.3. No process-wide default provider is needed, and none is set.

mod client;
mod error;
mod identity;
mod pem;
mod remains;
mod server;
mod stream;

use std::sync::Arc;

use rustls::crypto::CryptoProvider;

pub use self::client::ClientTls;
pub use self::error::TlsError;
pub use self::identity::Identity;
pub use self::server::{ClientCertificates, ServerTls, ServerTlsBuilder};
pub use self::stream::TlsStream;
pub(crate) use self::stream::{COUNTED, KEPT};

/// WebSocket by RFC 6455 begins with HTTP/1.1.
const HTTP_1_1: &[u8] = b"http/1.1";

fn provider() -> Arc<CryptoProvider> {
    Arc::new(rustls::crypto::ring::default_provider())
}
