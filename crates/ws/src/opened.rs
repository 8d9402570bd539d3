//! A transport whose opening handshake is done, from whichever side and by whichever means.

use std::sync::Arc;

use switchboard_ws_proto::{Connection, Role};

use crate::config::Config;
use crate::driver::{self, Io};
use crate::error::Outcome;
use crate::handler::Handler;
use crate::info::Info;
use crate::session::Session;
#[cfg(unix)]
use crate::shard::{NewSlot, Socket as PlainSocket, Unread};
#[cfg(unix)]
use crate::shards::Shards;
use crate::socket::{Socket, Start};
use crate::turn::now;

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
        let Self { io, role, info, config, leftover } = self;
        let start = Start::new(|bridge| session(role, info, &config, bridge), &config);
        Socket::spawn(io, start, leftover)
    }

    /// The handler style, driven by whoever does it best: a shard, when the transport is a plain socket, else a task.
    pub(crate) fn spawn<H: Handler>(self, handler: H) {
        #[cfg(unix)]
        let Some(this) = self.into_shard(Box::new(handler)) else { return };
        #[cfg(unix)]
        let (this, handler) = this;
        #[cfg(not(unix))]
        let this = self;
        tokio::spawn(this.serve(handler));
    }

    /// The handler style: the caller's task drives the connection to its end.
    pub(crate) fn serve<H: Handler>(self, handler: H) -> impl Future<Output = Outcome> + Send {
        let Self { io, role, info, config, leftover } = self;
        driver::drive(io, session(role, info, &config, handler), leftover)
    }
}

#[cfg(unix)]
impl<S: Io> Opened<S> {
    /// Hands the connection to a shard, or gives it back with its handler.
    fn into_shard(self, handler: Box<dyn Handler>) -> Option<(Self, Box<dyn Handler>)> {
        if !self.config.uses_shards() {
            return Some((self, handler));
        }
        let Self { io, role, info, config, leftover } = self;
        let socket = match PlainSocket::take(io) {
            Ok(Ok(socket)) => socket,
            Ok(Err(error)) => {
                tracing::debug!(peer = %info.peer(), %error, "a socket could not be taken back from the runtime");
                return None;
            }
            Err(io) => {
                config.get_metrics().unsharded();
                return Some((Self { io, role, info, config, leftover }, handler));
            }
        };
        let session = session(role, info, &config, handler);
        let new = Box::new(NewSlot { socket, session, answer: Vec::new(), leftover, unread: Unread::default() });
        if Shards::of(&config).adopt(&config, new).is_err() {
            // Dropping it tells everyone; there is no runtime left that could do better.
            tracing::error!("a connection was dropped: no shard takes it");
        }
        None
    }
}

fn session<H: Handler>(role: Role, info: Info, config: &Config, handler: H) -> Session<H> {
    let limits = Arc::clone(config.get_limits());
    let connection = match role {
        Role::Server => Connection::server(limits, info.deflate().copied(), now()),
        Role::Client => Connection::client(limits, info.deflate().copied(), now()),
    };
    Session::new(connection, handler, Arc::new(info), config.clone())
}
