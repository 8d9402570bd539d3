//! What a client asks for, and the steps from there to an open connection. Each step has what is left of one total
//! time limit; an error says which of them it was.

use std::convert::identity;
use std::fmt;
use std::future::Future;
use std::path::PathBuf;
use std::time::Duration;

use http::{HeaderName, HeaderValue, Uri};
use switchboard_ws_proto::handshake::{Answer, ClientHandshake, ClientRequest, ExtraHeaders, InvalidRequest, Limits};
use switchboard_ws_proto::{CloseCode, Role};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixStream;
use tokio::time::{Instant, timeout_at};

use super::dial;
use super::error::{ConnectError, ConnectStep};
use super::secure::{Security, Stream, io_error};
use crate::config::Config;
use crate::driver::Io;
use crate::error::Outcome;
use crate::handler::Handler;
use crate::info::{Info, PeerAddr};
use crate::opened::Opened;
use crate::socket::Socket;
#[cfg(feature = "tls")]
use crate::tls::ClientTls;
use crate::turn::now;

/// The time for all steps together.
pub(crate) const TIMEOUT: Duration = Duration::from_secs(20);
/// Answers are read in pieces of this size.
const HEAD_BUFFER: usize = 4 << 10;
/// The first byte of a TLS record that holds an alert (RFC 8446 §5.1). No answer of HTTP begins with it.
const TLS_ALERT: u8 = 21;

/// Connects to a `ws://` or `wss://` URL with the settings of [`Client::new`].
///
/// ```no_run
/// # async fn example() -> Result<(), Box<dyn std::error::Error>> {
/// let mut socket = switchboard_ws::connect("ws://127.0.0.1:3000/echo").await?;
/// socket.send("hello").await?;
/// println!("{:?}", socket.recv().await?);
/// # Ok(())
/// # }
/// ```
///
/// # Errors
/// [`ConnectError`].
///
/// # Cancel safety
/// Dropped, whatever was opened is closed, and nothing is left behind but a look-up of the host that the operating
/// system has begun, which ends by itself.
pub async fn connect(url: impl AsRef<str>) -> Result<Socket, ConnectError> {
    Client::new(url).connect().await
}

/// A client's settings. They can be used for any number of connections, one after the other or at once: the futures do
/// not borrow them.
///
/// ```no_run
/// # async fn example() -> Result<(), Box<dyn std::error::Error>> {
/// use switchboard_ws::{Client, Config, DeflateConfig, Limits};
///
/// let limits = Limits { deflate: Some(DeflateConfig::default()), ..Limits::default() };
/// let socket = Client::new("wss://example.org/chat")
///     .header("authorization", "Bearer mF_9.B5f-4.1JqM")
///     .protocol("v2.chat")
///     .protocol("v1.chat")
///     .config(Config::default().limits(limits))
///     .connect()
///     .await?;
/// println!("the server chose {:?}", socket.info().protocol());
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct Client {
    /// The first thing that was wrong is kept until it can be told.
    request: Result<Request, Invalid>,
    headers: ExtraHeaders,
    config: Config,
    require_compression: bool,
    timeout: Duration,
    unix: Option<PathBuf>,
    #[cfg(feature = "tls")]
    tls: Option<ClientTls>,
}

/// The URL, as it was given and as it is asked for.
#[derive(Debug, Clone)]
struct Request {
    uri: Uri,
    asked: ClientRequest,
}

/// What cannot be asked for.
#[derive(Debug, Clone)]
enum Invalid {
    Url(String),
    Request(String),
}

impl Client {
    /// Will connect to a `ws://` or `wss://` URL; `http://` and `https://` mean the same. An error in it is told by
    /// [`connect`](Self::connect). By default: no headers of its own, no subprotocols, no compression, the default
    /// [`Config`]; for `wss://` the operating system's certificate authorities (feature `native-roots`), or Mozilla's
    /// (feature `webpki-roots` alone); 20 s.
    #[must_use]
    pub fn new(url: impl AsRef<str>) -> Self {
        Self {
            request: Request::parse(url.as_ref()),
            headers: ExtraHeaders::default(),
            config: Config::default(),
            require_compression: false,
            timeout: TIMEOUT,
            unix: None,
            #[cfg(feature = "tls")]
            tls: None,
        }
    }

    /// Sends a header with the request: `Authorization`, `Cookie`, `Origin`, …. One of the same name stays. Headers
    /// that belong to the handshake (Host, Connection, Upgrade, Sec-WebSocket-…) are an error of
    /// [`connect`](Self::connect).
    #[must_use]
    pub fn header<N, V>(mut self, name: N, value: V) -> Self
    where
        HeaderName: TryFrom<N, Error: Into<http::Error>>,
        HeaderValue: TryFrom<V, Error: Into<http::Error>>,
    {
        let appended = HeaderName::try_from(name).map_err(|error| error.into().to_string()).and_then(|name| {
            let value = HeaderValue::try_from(value).map_err(|error| format!("{name}: {}", error.into()))?;
            self.headers.append(name, value).map_err(|error| error.to_string())
        });
        if let Err(why) = appended {
            self.request = self.request.and(Err(Invalid::Request(why)));
        }
        self
    }

    /// Asks for a subprotocol; those asked for first are preferred. What the server chose is
    /// [`Info::protocol`]: nothing, if it knows none of them.
    #[must_use]
    pub fn protocol(mut self, name: &str) -> Self {
        self.request = self.request.and_then(|Request { uri, asked }| {
            Ok(Request { uri, asked: asked.protocol(name).map_err(Invalid::from)? })
        });
        self
    }

    /// Sets limits, deadlines, compression, outbox, inbox, hub, metrics, and the set of connections to be counted in.
    /// Of its options for handshakes, a client uses the limits on the size of the answer's head.
    #[must_use]
    pub fn config(mut self, config: Config) -> Self {
        self.config = config;
        self
    }

    /// Fails the connection with Close 1010 when the server does not agree to permessage-deflate, for which the
    /// configuration's limits must say how. Default: goes on without.
    #[must_use]
    pub fn require_compression(mut self, required: bool) -> Self {
        self.require_compression = required;
        self
    }

    /// Sets whom to trust, and whom to be, on `wss://`.
    #[cfg(feature = "tls")]
    #[must_use]
    pub fn tls(mut self, tls: ClientTls) -> Self {
        self.tls = Some(tls);
        self
    }

    /// Sets the time limit for resolving, connecting, TLS and the opening handshake together, from the first poll on.
    /// Default: 20 s.
    #[must_use]
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self
    }

    /// Connects to a Unix socket in place of the URL's host, which is still the one that is asked for.
    #[must_use]
    pub fn unix(mut self, path: impl Into<PathBuf>) -> Self {
        self.unix = Some(path.into());
        self
    }

    /// Connects. A task of its own drives the connection.
    ///
    /// # Errors
    /// [`ConnectError`].
    ///
    /// # Cancel safety
    /// Dropped, whatever was opened is closed, and nothing is left behind but a look-up of the host that the operating
    /// system has begun, which ends by itself.
    pub fn connect(&self) -> impl Future<Output = Result<Socket, ConnectError>> + Send + use<> {
        let begin = self.clone().begin();
        async move {
            let attempt = begin.await?;
            let (io, peer) = attempt.dial().await?;
            Ok(attempt.open(io, peer).await?.socket())
        }
    }

    /// Connects and runs a handler to the end, in the caller's task.
    ///
    /// # Errors
    /// [`ConnectError`], before the connection is open. How it ended is in the [`Outcome`].
    ///
    /// # Cancel safety
    /// Dropped, the connection is cut without a Close frame.
    pub fn serve<H: Handler>(&self, handler: H) -> impl Future<Output = Result<Outcome, ConnectError>> + Send + use<H> {
        let begin = self.clone().begin();
        async move {
            let attempt = begin.await?;
            let (io, peer) = attempt.dial().await?;
            Ok(attempt.open(io, peer).await?.serve(handler).await)
        }
    }

    /// Connects over a transport that leads to the server already. For `wss://` TLS is still done over it.
    ///
    /// # Errors
    /// As [`connect`](Self::connect).
    ///
    /// # Cancel safety
    /// Dropped, the transport is closed.
    pub fn connect_over<S: Io>(&self, io: S) -> impl Future<Output = Result<Socket, ConnectError>> + Send + use<S> {
        let begin = self.clone().begin();
        async move { Ok(begin.await?.open(Box::new(io), PeerAddr::Unknown).await?.socket()) }
    }

    /// Connects over a transport of one's own and runs a handler to the end, in the caller's task.
    ///
    /// # Errors
    /// As [`serve`](Self::serve).
    ///
    /// # Cancel safety
    /// Dropped, the connection is cut without a Close frame.
    pub fn serve_over<S: Io, H: Handler>(
        &self,
        io: S,
        handler: H,
    ) -> impl Future<Output = Result<Outcome, ConnectError>> + Send + use<S, H> {
        let begin = self.clone().begin();
        async move { Ok(begin.await?.open(Box::new(io), PeerAddr::Unknown).await?.serve(handler).await) }
    }

    /// Decides all that can be decided before anything is sent, and starts the clock.
    async fn begin(self) -> Result<Attempt, ConnectError> {
        let deadline = Instant::now().checked_add(self.timeout);
        let Request { uri, asked } = self.request?;
        let deflate = self.config.get_limits().deflate.clone();
        if self.require_compression && deflate.is_none() {
            let text = "compression is required, and the limits of the configuration offer none";
            return Err(ConnectError::InvalidRequest(text.to_owned()));
        }
        let request = asked.headers(self.headers).deflate(deflate);
        #[cfg(feature = "tls")]
        let security = Security::choose(&request, self.tls.as_ref()).await?;
        #[cfg(not(feature = "tls"))]
        let security = Security::choose(&request).await?;
        let Self { config, require_compression, unix, .. } = self;
        Ok(Attempt { uri, request, security, deadline, unix, config, require_compression })
    }
}

impl fmt::Debug for Client {
    /// Without the headers and the query, which may hold secrets.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let host = self.request.as_ref().map(|request| request.asked.host());
        f.debug_struct("Client").field("host", &host).finish_non_exhaustive()
    }
}

impl Request {
    fn parse(url: &str) -> Result<Self, Invalid> {
        // "Fragment identifiers are meaningless in the context of WebSocket URIs and MUST NOT be used" (RFC 6455 §3).
        if url.contains('#') {
            return Err(Invalid::Url("the address has a fragment (#), which a WebSocket cannot have".to_owned()));
        }
        let uri: Uri = url.parse().map_err(|error| Invalid::Url(format!("the address is not a URL: {error}")))?;
        let asked = ClientRequest::new(&uri)?;
        Ok(Self { uri, asked })
    }
}

impl From<InvalidRequest> for Invalid {
    fn from(invalid: InvalidRequest) -> Self {
        match invalid {
            InvalidRequest::Protocol(_) => Self::Request(invalid.to_string()),
            _ => Self::Url(invalid.to_string()),
        }
    }
}

impl From<Invalid> for ConnectError {
    fn from(invalid: Invalid) -> Self {
        match invalid {
            Invalid::Url(why) => Self::InvalidUrl(why),
            Invalid::Request(why) => Self::InvalidRequest(why),
        }
    }
}

/// One try at connecting.
struct Attempt {
    uri: Uri,
    request: ClientRequest,
    security: Security,
    deadline: Option<Instant>,
    unix: Option<PathBuf>,
    config: Config,
    require_compression: bool,
}

impl Attempt {
    /// A transport to the host, still without TLS.
    async fn dial(&self) -> Result<(Stream, PeerAddr), ConnectError> {
        let failed = |step| move |error| ConnectError::Io { step, error };
        if let Some(path) = &self.unix {
            let stream = within(self.deadline, ConnectStep::Connect, UnixStream::connect(path)).await?;
            return Ok((Box::new(stream.map_err(failed(ConnectStep::Connect))?), PeerAddr::Unix));
        }
        let resolve = dial::resolve(self.request.host(), self.request.port());
        let addresses =
            within(self.deadline, ConnectStep::Resolve, resolve).await?.map_err(failed(ConnectStep::Resolve))?;
        let connected = within(self.deadline, ConnectStep::Connect, dial::tcp(addresses)).await?;
        let (stream, address) = connected.map_err(failed(ConnectStep::Connect))?;
        Ok((Box::new(stream), address.into()))
    }

    /// TLS, if it is to be, and the opening handshake.
    async fn open(self, io: Stream, peer: PeerAddr) -> Result<Opened<Stream>, ConnectError> {
        let Self { uri, request, security, deadline, config, require_compression, .. } = self;
        let mut io = within(deadline, ConnectStep::Tls, security.wrap(io)).await??;
        // The time limit is kept here, for all steps, and not by the machine.
        let limits = Limits { timeout: Duration::MAX, ..config.get_handshake().limits };
        let mut machine = ClientHandshake::new(&request, &limits, now());
        let result = within(deadline, ConnectStep::Handshake, exchange(&mut io, &mut machine)).await.and_then(identity);
        let (answer, leftover) = match (result, machine.into_refused()) {
            (Ok(answered), _) => answered,
            // However it went on: the server has said no, and most of why.
            (Err(_), Some(refused)) => return Err(ConnectError::Refused(refused)),
            (Err(error), None) => return Err(error),
        };
        let established = match answer {
            Answer::Established { established, .. } => established,
            Answer::Refused(refused) => return Err(ConnectError::Refused(refused)),
        };
        let headers = established.response.into_parts().0.headers;
        let info = Info::new(peer, uri, headers).agreed(established.protocol, established.deflate);
        let lacks_compression = require_compression && info.deflate().is_none();
        let opened = Opened { io, role: Role::Client, info, config, leftover };
        if lacks_compression {
            // Should the server not answer the Close frame in time, the socket goes on closing by itself.
            let _ = within(deadline, ConnectStep::Handshake, fail_for_extension(opened.socket())).await;
            return Err(ConnectError::ExtensionRequired);
        }
        Ok(opened)
    }
}

/// Runs a step until the deadline.
async fn within<T>(
    deadline: Option<Instant>,
    step: ConnectStep,
    run: impl Future<Output = T>,
) -> Result<T, ConnectError> {
    match deadline {
        Some(deadline) => timeout_at(deadline, run).await.map_err(|_| ConnectError::TimedOut(step)),
        None => Ok(run.await),
    }
}

/// Sends the request and reads the answer, and the bytes after it.
async fn exchange(io: &mut Stream, machine: &mut ClientHandshake) -> Result<(Answer, Vec<u8>), ConnectError> {
    let write = async {
        io.write_all(machine.request()).await?;
        io.flush().await
    };
    let written = write.await;
    match (read_answer(io, machine).await, written) {
        // A server that refuses without reading may have hung up on our request, and its answer is there all the same.
        // If it is not, what went wrong first is told.
        (Err(ConnectError::Io { .. } | ConnectError::Disconnected), Err(error)) => {
            Err(io_error(ConnectStep::Handshake, error))
        }
        (answer, _) => answer,
    }
}

async fn read_answer(io: &mut Stream, machine: &mut ClientHandshake) -> Result<(Answer, Vec<u8>), ConnectError> {
    let mut buffer = vec![0; HEAD_BUFFER];
    let mut first = true;
    loop {
        let count = io.read(&mut buffer).await.map_err(|error| io_error(ConnectStep::Handshake, error))?;
        match buffer[..count] {
            [] => return Err(ConnectError::Disconnected),
            [TLS_ALERT, ..] if first => return Err(ConnectError::SpeaksTls),
            _ => first = false,
        }
        if let Some(answer) = machine.receive(&buffer[..count]).map_err(ConnectError::Handshake)? {
            let consumed = match &answer {
                Answer::Established { consumed, .. } => *consumed,
                Answer::Refused(_) => count,
            };
            return Ok((answer, buffer[consumed..count].to_vec()));
        }
    }
}

/// Code 1010: the client "has expected the server to negotiate one or more extension", and "the list of extensions that
/// are needed SHOULD appear in the /reason/ part of the Close frame" (RFC 6455 §7.4.1).
async fn fail_for_extension(mut socket: Socket) {
    // How it ends changes nothing.
    let _ = socket.close(CloseCode::EXTENSION_REQUIRED, "permessage-deflate").await;
}
