//! The server's opening handshake on a stream of our own: read the request, judge it, answer.

use std::io;
use std::time::Duration;

use http::{Request, Response};
use switchboard_budget::Part;
use switchboard_ws_proto::Role;
use switchboard_ws_proto::handshake::{self, Accepted, Parsed, Rejection, ServerHandshake, encode_response};
use tokio::io::AsyncReadExt;
use tokio::time::timeout_at;

use crate::config::Config;
use crate::driver::Io;
use crate::error::Outcome;
use crate::handler::Handler;
use crate::info::{Info, PeerAddr};
use crate::opened::{Begun, Opened};
use crate::refusal::{AcceptError, admit, refuse, write_all};
use crate::socket::Socket;
use crate::turn::now;

/// Requests are read in pieces of this size.
const HEAD_BUFFER: usize = 4 << 10;

/// Opens a connection as the server, by the configuration's handshake options: reads the request, checks it and
/// answers. A request that is refused is answered with the status and a sentence that says why.
///
/// # Errors
/// [`AcceptError`]; the stream is closed then.
///
/// # Cancel safety
/// Dropped, the stream is closed; the client sees its handshake fail.
pub async fn accept<S: Io>(stream: S, config: &Config) -> Result<Socket, AcceptError> {
    Pending::read(stream, PeerAddr::Unknown, config).await?.accept().await
}

/// Opens a connection as [`accept`] does and runs a handler on it to the end, in the caller's task.
///
/// # Errors
/// [`AcceptError`], before the connection is open. How it ended is in the [`Outcome`].
///
/// # Cancel safety
/// Dropped, the connection is cut without a Close frame.
pub async fn serve<S: Io, H: Handler>(stream: S, config: &Config, handler: H) -> Result<Outcome, AcceptError> {
    Pending::read(stream, PeerAddr::Unknown, config).await?.serve(handler).await
}

/// A client that has sent its request and waits for the answer: look at it, then accept or reject.
#[derive(Debug)]
pub struct Pending<S> {
    io: S,
    request: Request<()>,
    leftover: Vec<u8>,
    peer: PeerAddr,
    config: Config,
}

impl<S: Io> Pending<S> {
    /// Reads the request, within the limits of the configuration: 16 KiB, 100 headers and 10 s unless set otherwise.
    ///
    /// # Errors
    /// [`AcceptError`]: the client broke a rule of HTTP (and was told so), was too slow, or went away.
    ///
    /// # Cancel safety
    /// Dropped, the stream is closed.
    pub async fn read(mut io: S, peer: PeerAddr, config: &Config) -> Result<Self, AcceptError> {
        let limits = &config.get_handshake().limits;
        let mut machine = ServerHandshake::new(limits, now());
        let mut hold = config.get_budget().hold(Part::Connections);
        hold.set(HEAD_BUFFER + limits.max_head_bytes);
        let read = read_request(&mut io, &mut machine);
        let result = match machine_deadline(limits.timeout) {
            Some(deadline) => match timeout_at(deadline, read).await {
                Ok(result) => result,
                Err(_) => Err(match machine.handle_timeout(now()) {
                    Err(rejection) => AcceptError::Rejected(rejection),
                    Ok(()) => AcceptError::Io(io::ErrorKind::TimedOut.into()),
                }),
            },
            None => read.await,
        };
        match result {
            Ok((request, leftover)) => Ok(Self { io, request, leftover, peer, config: config.clone() }),
            Err(error) => Err(refuse(io, error, config).await),
        }
    }

    /// The request.
    #[must_use]
    pub fn request(&self) -> &Request<()> {
        &self.request
    }

    /// Where the client is.
    #[must_use]
    pub fn peer(&self) -> PeerAddr {
        self.peer
    }

    /// Opens the connection in the stream style.
    ///
    /// # Errors
    /// [`AcceptError`] when the request is no proper one; the client was told.
    ///
    /// # Cancel safety
    /// Dropped, the stream is closed.
    pub async fn accept(self) -> Result<Socket, AcceptError> {
        self.accept_holding(()).await
    }

    /// The same; `held` is dropped with the connection, or with what was to become one.
    pub(crate) async fn accept_holding(self, held: impl Send + 'static) -> Result<Socket, AcceptError> {
        let Waiting { mut io, answer, info, config, leftover } = self.judge().await?;
        tell(&mut io, &answer, &config).await?;
        Ok(Opened { io, role: Role::Server, info, config, leftover }.socket_holding(held))
    }

    /// Opens the connection and runs a handler on it to the end.
    ///
    /// # Errors
    /// As [`accept`](Self::accept).
    ///
    /// # Cancel safety
    /// Dropped, the connection is cut without a Close frame.
    pub async fn serve<H: Handler>(self, handler: H) -> Result<Outcome, AcceptError> {
        let Waiting { mut io, answer, info, config, leftover } = self.judge().await?;
        let mut begun = Begun::new(info, &config, handler);
        begun.open();
        tell(&mut io, &answer, &config).await?;
        Ok(begun.serve(io, leftover).await)
    }

    /// Opens the connection and lets a handler run on it without the caller: plain sockets are driven many to a task,
    /// others by tasks of their own.
    ///
    /// # Errors
    /// As [`accept`](Self::accept). A plain socket is answered by its driver, which also keeps the time: that it could
    /// not be is told to the handler.
    ///
    /// # Cancel safety
    /// Dropped, the stream is closed.
    pub async fn spawn<H: Handler>(self, handler: H) -> Result<(), AcceptError> {
        let Waiting { io, answer, info, config, leftover } = self.judge().await?;
        let begun = Begun::new(info, &config, Box::new(handler) as Box<dyn Handler>);
        #[cfg(unix)]
        let Some((begun, io, answer, leftover)) = begun.into_shard(io, answer, leftover) else { return Ok(()) };
        let (mut begun, mut io) = (begun, io);
        begun.open();
        tell(&mut io, &answer, &config).await?;
        tokio::spawn(begun.serve(io, leftover));
        Ok(())
    }

    /// Refuses the client with a status, headers and a body of the application's choice.
    ///
    /// # Cancel safety
    /// Dropped, the client may miss the answer.
    pub async fn reject(self, rejection: Rejection) {
        refuse(self.io, AcceptError::Rejected(rejection), &self.config).await;
    }

    /// Judges the request, and answers it if it is to be refused.
    async fn judge(self) -> Result<Waiting<S>, AcceptError> {
        let Self { io, request, leftover, peer, config } = self;
        let (response, info) = match judge(request, peer, &config) {
            Ok(judged) => judged,
            Err(rejection) => return Err(refuse(io, AcceptError::Rejected(rejection), &config).await),
        };
        let mut answer = Vec::with_capacity(256);
        encode_response(&response, &mut answer);
        Ok(Waiting { io, answer, info, config, leftover })
    }
}

/// A client that is let in and has not been told yet.
struct Waiting<S> {
    io: S,
    answer: Vec<u8>,
    info: Info,
    config: Config,
    leftover: Vec<u8>,
}

async fn tell<S: Io>(io: &mut S, answer: &[u8], config: &Config) -> Result<(), AcceptError> {
    let told = write_all(io, answer, config.get_handshake()).await;
    told.map_err(|error| AcceptError::Io(error).counted(config))
}

/// Judges a whole request, whoever read it: the 101 to send, and what the connection will know of its handshake.
pub(crate) fn judge(request: Request<()>, peer: PeerAddr, config: &Config) -> Result<(Response<()>, Info), Rejection> {
    admit(config)?;
    let Accepted { response, protocol, deflate } = handshake::accept(&request, config.get_handshake())?;
    let (parts, ()) = request.into_parts();
    Ok((response, Info::new(peer, parts.uri, parts.headers).agreed(protocol, deflate)))
}

/// The request, and the bytes after it.
async fn read_request<S: Io>(io: &mut S, machine: &mut ServerHandshake) -> Result<(Request<()>, Vec<u8>), AcceptError> {
    let mut buffer = vec![0; HEAD_BUFFER];
    loop {
        let count = io.read(&mut buffer).await?;
        if count == 0 {
            return Err(AcceptError::Disconnected);
        }
        if let Some(Parsed { head, consumed }) = machine.receive(&buffer[..count]).map_err(AcceptError::Rejected)? {
            return Ok((head, buffer[consumed..count].to_vec()));
        }
    }
}

fn machine_deadline(timeout: Duration) -> Option<tokio::time::Instant> {
    tokio::time::Instant::now().checked_add(timeout)
}
