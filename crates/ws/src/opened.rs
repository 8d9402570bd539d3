//! A transport whose opening handshake is done, from whichever side and by whichever means; and a server's connection
//! whose handler is told that it is open before the client is.

use std::sync::Arc;

use switchboard_ws_proto::{Connection, Role};

use crate::backlog::Backlog;
use crate::config::Config;
use crate::driver::{self, Io};
use crate::error::Outcome;
use crate::handler::{Handler, Held};
use crate::info::Info;
use crate::session::Session;
#[cfg(unix)]
use crate::shard::{NewSlot, Socket as PlainSocket, Unread};
#[cfg(unix)]
use crate::shards::Shards;
use crate::socket::{Socket, Start};
use crate::turn::{Turn, now};

#[derive(Debug)]
pub(crate) struct Opened<S> {
    pub(crate) io: S,
    pub(crate) role: Role,
    pub(crate) info: Info,
    pub(crate) config: Config,
    /// Bytes that came together with the handshake.
    pub(crate) leftover: Vec<u8>,
}

impl<S: Io> Opened<S> {
    /// The stream style: a task drives the connection.
    pub(crate) fn socket(self) -> Socket {
        self.socket_holding(())
    }

    /// The same; `held` is dropped with the connection.
    pub(crate) fn socket_holding(self, held: impl Send + 'static) -> Socket {
        let Self { io, role, info, config, leftover } = self;
        let start = Start::new(|bridge| session(role, info, &config, Held::new(bridge, held)), &config);
        Socket::spawn(io, start, leftover)
    }

    /// The handler style: the caller's task drives the connection to its end.
    pub(crate) fn serve<H: Handler>(self, handler: H) -> impl Future<Output = Outcome> + Send {
        let Self { io, role, info, config, leftover } = self;
        driver::drive(io, session(role, info, &config, handler), Backlog::default(), leftover)
    }
}

/// A server's connection before it has a driver. Dropped, it is over: its handler is told, if it was told of the
/// beginning.
#[derive(Debug)]
pub(crate) struct Begun<H: Handler> {
    session: Session<H>,
    /// What the handler has sent already.
    said: Backlog,
}

impl<H: Handler> Begun<H> {
    pub(crate) fn new(info: Info, config: &Config, handler: H) -> Self {
        Self { session: session(Role::Server, info, config, handler), said: Backlog::default() }
    }

    /// Tells the handler that the connection is open, while the client still waits for the 101: whoever publishes
    /// because the client says that it is open finds it subscribed. Without this the driver tells it.
    pub(crate) fn open(&mut self) {
        let mut turn = Turn::begin(&mut self.said);
        self.session.open_early(&mut turn);
        turn.end(&mut self.said, self.session.config());
    }

    /// The caller's task drives the connection to its end.
    pub(crate) fn serve<S: Io>(self, io: S, leftover: Vec<u8>) -> impl Future<Output = Outcome> + Send {
        driver::drive(io, self.session, self.said, leftover)
    }
}

#[cfg(unix)]
impl Begun<Box<dyn Handler>> {
    /// Has a shard drive the connection, or gives everything back: when the transport is no plain socket. `answer`:
    /// what the client is to be told of the handshake, before all else.
    pub(crate) fn into_shard<S: Io>(self, io: S, answer: Vec<u8>, leftover: Vec<u8>) -> Option<NoShard<S>> {
        let Self { session, said } = self;
        let config = session.config().clone();
        if !config.uses_shards() {
            return Some((Self { session, said }, io, answer, leftover));
        }
        let socket = match PlainSocket::take(io) {
            Ok(Ok(socket)) => socket,
            Ok(Err(error)) => {
                let peer = session.info().peer();
                tracing::debug!(%peer, %error, "a socket could not be taken back from the runtime");
                return None;
            }
            Err(io) => {
                config.get_metrics().unsharded();
                return Some((Self { session, said }, io, answer, leftover));
            }
        };
        let new = Box::new(NewSlot { socket, session, answer, said, leftover, unread: Unread::default() });
        if Shards::of(&config).adopt(&config, new).is_err() {
            // Dropping it tells everyone; there is no runtime left that could do better.
            tracing::error!("a connection was dropped: no shard takes it");
        }
        None
    }
}

/// What no shard can drive.
#[cfg(unix)]
pub(crate) type NoShard<S> = (Begun<Box<dyn Handler>>, S, Vec<u8>, Vec<u8>);

fn session<H: Handler>(role: Role, info: Info, config: &Config, handler: H) -> Session<H> {
    let limits = Arc::clone(config.get_limits());
    let connection = match role {
        Role::Server => Connection::server(limits, info.deflate().copied(), now()),
        Role::Client => Connection::client(limits, info.deflate().copied(), now()),
    };
    Session::new(connection, handler, Arc::new(info), config.clone())
}
