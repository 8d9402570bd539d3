//! Whether a connection is TLS, decided by the URL before anything is sent: from `wss:` no way leads to plain text.

use switchboard_ws_proto::handshake::ClientRequest;

use super::error::{ConnectError, ConnectStep};
use crate::driver::Io;

#[cfg(feature = "tls")]
use crate::tls::ClientTls;
#[cfg(feature = "tls")]
use rustls::pki_types::ServerName;

pub(super) type Stream = Box<dyn Io>;

/// How the bytes of a connection travel.
#[derive(Debug)]
pub(super) enum Security {
    Plain,
    #[cfg(feature = "tls")]
    Tls(ClientTls, ServerName<'static>),
}

impl Security {
    /// What the URL asks for, by the TLS that was chosen, if one was.
    #[cfg(feature = "tls")]
    pub(super) async fn choose(request: &ClientRequest, chosen: Option<&ClientTls>) -> Result<Self, ConnectError> {
        if !request.is_secure() {
            return Ok(Self::Plain);
        }
        let name = ServerName::try_from(request.host().to_owned())
            .map_err(|_| ConnectError::InvalidUrl("no certificate can be for this host name".to_owned()))?;
        let tls = match chosen {
            Some(tls) => tls.clone(),
            None => default_tls().await?,
        };
        Ok(Self::Tls(tls, name))
    }

    #[cfg(not(feature = "tls"))]
    #[expect(clippy::unused_async, reason = "with TLS, certificates may have to be read")]
    pub(super) async fn choose(request: &ClientRequest) -> Result<Self, ConnectError> {
        if request.is_secure() {
            let text = "wss:// needs the feature `tls` of switchboard-ws, which is off";
            return Err(ConnectError::TlsUnavailable(text.to_owned()));
        }
        Ok(Self::Plain)
    }

    /// Puts TLS on a transport, if that is wanted.
    #[cfg_attr(not(feature = "tls"), expect(clippy::unused_async, reason = "with TLS, there is a handshake"))]
    pub(super) async fn wrap(self, io: Stream) -> Result<Stream, ConnectError> {
        match self {
            Self::Plain => Ok(io),
            #[cfg(feature = "tls")]
            Self::Tls(tls, name) => match tls.connect(io, name).await {
                Ok(stream) => Ok(Box::new(stream)),
                Err(error) => Err(io_error(ConnectStep::Tls, error)),
            },
        }
    }
}

/// An error of a transport that may be TLS: a server that refuses our certificate says so only after its handshake.
pub(super) fn io_error(step: ConnectStep, error: std::io::Error) -> ConnectError {
    #[cfg(feature = "tls")]
    if let Some(tls) = error.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>()) {
        return match tls {
            // The type is the first byte of all, and HTTP has letters there.
            rustls::Error::InvalidMessage(rustls::InvalidMessage::InvalidContentType) => ConnectError::SpeaksNoTls,
            _ => ConnectError::Tls(error),
        };
    }
    ConnectError::Io { step, error }
}

/// Whom clients trust that were not told: the operating system's authorities, read once; else Mozilla's.
#[cfg(feature = "native-roots")]
async fn default_tls() -> Result<ClientTls, ConnectError> {
    use std::sync::OnceLock;
    static NATIVE: OnceLock<ClientTls> = OnceLock::new();

    if let Some(tls) = NATIVE.get() {
        return Ok(tls.clone());
    }
    let read = tokio::task::spawn_blocking(ClientTls::native).await;
    let tls = read.expect("reading certificates does not panic");
    let tls = tls.map_err(|error| ConnectError::TlsUnavailable(error.to_string()))?;
    Ok(NATIVE.get_or_init(|| tls).clone())
}

#[cfg(all(feature = "webpki-roots", not(feature = "native-roots")))]
async fn default_tls() -> Result<ClientTls, ConnectError> {
    use std::sync::LazyLock;
    static WEBPKI: LazyLock<ClientTls> = LazyLock::new(ClientTls::webpki);

    Ok(WEBPKI.clone())
}

#[cfg(all(feature = "tls", not(any(feature = "native-roots", feature = "webpki-roots"))))]
async fn default_tls() -> Result<ClientTls, ConnectError> {
    let text = "wss:// needs authorities to trust: choose them with Client::tls, or turn on the feature `native-roots` \
                or `webpki-roots` of switchboard-ws";
    Err(ConnectError::TlsUnavailable(text.to_owned()))
}
