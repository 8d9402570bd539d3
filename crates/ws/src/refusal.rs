//! Why no connection was opened, and how a client is told.

use std::fmt;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use http::StatusCode;
use switchboard_ws_proto::handshake::{Rejection, ServerOptions};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::sync::Semaphore;
use tokio::time::timeout;

use crate::admission::NoRoom;
use crate::config::Config;
use crate::driver::Io;

/// How long a refused client is given to read why, and so much of what it goes on sending is read and forgotten.
pub(crate) const LINGER: Duration = Duration::from_secs(2);
pub(crate) const LINGER_BYTES: u64 = 1 << 20;
/// So many clients of an endpoint are told at a time.
pub(crate) const MAX_REFUSALS: usize = 1024;

/// Why no connection was opened.
#[derive(Debug)]
#[non_exhaustive]
pub enum AcceptError {
    /// The client was refused, and told so by this answer.
    Rejected(Rejection),
    /// The client went away before its request was complete, or before it could be answered.
    Disconnected,
    /// The stream failed, TLS included.
    Io(io::Error),
}

impl AcceptError {
    /// The same error, counted as a client refused.
    pub(crate) fn counted(self, config: &Config) -> Self {
        config.get_metrics().refuse(self.name());
        self
    }

    /// A short stable name, for metrics.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            Self::Rejected(rejection) => match (rejection.error(), rejection.status()) {
                (Some(error), _) => error.name(),
                (None, StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN) => "forbidden",
                (None, _) => "application",
            },
            Self::Disconnected => "disconnected",
            Self::Io(_) => "io",
        }
    }
}

impl fmt::Display for AcceptError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Rejected(rejection) => match rejection.error() {
                Some(error) => write!(f, "refused with {}: {error}", rejection.status().as_u16()),
                None => write!(f, "refused with {}", rejection.status().as_u16()),
            },
            Self::Disconnected => f.write_str("the client went away before the connection was open"),
            Self::Io(error) => write!(f, "the stream failed during the handshake: {error}"),
        }
    }
}

impl std::error::Error for AcceptError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Io(error) => Some(error),
            Self::Rejected(_) | Self::Disconnected => None,
        }
    }
}

impl From<io::Error> for AcceptError {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

/// Whether there is memory for one more.
pub(crate) fn admit(config: &Config) -> Result<(), Rejection> {
    if config.get_budget().admit() { Ok(()) } else { Err(NoRoom::Memory.rejection()) }
}

/// Tells the client why, counts it, and closes the stream so that the client can read the answer.
pub(crate) async fn refuse<S: Io>(io: S, error: AcceptError, config: &Config) -> AcceptError {
    let error = error.counted(config);
    if let AcceptError::Rejected(rejection) = &error {
        tell(io, rejection).await;
    }
    error
}

async fn tell<S: Io>(mut io: S, rejection: &Rejection) {
    let mut answer = Vec::new();
    rejection.encode(&mut answer);
    let tell = async {
        io.write_all(&answer).await?;
        io.shutdown().await?;
        // Closing with unread bytes would reset the connection, and the answer could be lost.
        tokio::io::copy(&mut (&mut io).take(LINGER_BYTES), &mut tokio::io::sink()).await
    };
    // The client has been told as well as can be.
    let _ = timeout(LINGER, tell).await;
}

/// So many clients of an endpoint are told at a time why they are refused; further ones are dropped.
struct Refusals(Arc<Semaphore>);

impl Default for Refusals {
    fn default() -> Self {
        Self(Arc::new(Semaphore::new(MAX_REFUSALS)))
    }
}

impl Config {
    /// Has a client told that there is no room for it, in a task of its own, and counts it as refused. When 1,024 of
    /// the endpoint are being told something like that already, it is closed without an answer, and counts as
    /// `too_many_refusals` instead.
    ///
    /// # Panics
    /// Outside of a runtime.
    pub fn turn_away(&self, io: Box<dyn Io>, no_room: NoRoom) {
        if self.in_background(async move { tell(io, &no_room.rejection()).await }) {
            self.get_metrics().refuse(no_room.name());
        }
    }

    /// Runs what tells a client why it is refused, and may count it. `false`: there are too many, and it was dropped
    /// and counted as one of those.
    pub(crate) fn in_background(&self, telling: impl Future<Output = ()> + Send + 'static) -> bool {
        let Refusals(permits) = self.refusals().get();
        let Ok(permit) = Arc::clone(permits).try_acquire_owned() else {
            self.get_metrics().refuse("too_many_refusals");
            return false;
        };
        drop(tokio::spawn(async move {
            telling.await;
            drop(permit);
        }));
        true
    }
}

/// The answer when it is our own fault.
pub(crate) fn internal_error() -> Rejection {
    Rejection::new(StatusCode::INTERNAL_SERVER_ERROR, "The server failed to open this connection.\n")
}

/// Writes within the time that a handshake may take: a client that does not read must not hold us.
pub(crate) async fn write_all<S: Io>(io: &mut S, bytes: &[u8], options: &ServerOptions) -> io::Result<()> {
    let write = async {
        io.write_all(bytes).await?;
        io.flush().await
    };
    timeout(options.limits.timeout, write).await.map_err(|_| io::Error::from(io::ErrorKind::TimedOut))?
}
