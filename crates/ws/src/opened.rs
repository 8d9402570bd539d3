//! A transport whose opening handshake is done, from whichever side and by whichever means.

use std::sync::Arc;

use switchboard_ws_proto::{Connection, Role};

use crate::config::Config;
use crate::driver::{self, Io, now};
use crate::error::Outcome;
use crate::handler::Handler;
use crate::info::Info;
use crate::session::Session;
use crate::socket::{Socket, Start};

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

    /// The handler style: the caller's task drives the connection to its end.
    pub(crate) async fn serve<H: Handler>(self, handler: H) -> Outcome {
        let Self { io, role, info, config, leftover } = self;
        driver::drive(io, session(role, info, &config, handler), leftover).await
    }
}

fn session<H: Handler>(role: Role, info: Info, config: &Config, handler: H) -> Session<H> {
    let limits = Arc::clone(config.get_limits());
    let connection = match role {
        Role::Server => Connection::server(limits, info.deflate, now()),
        Role::Client => Connection::client(limits, info.deflate, now()),
    };
    Session::new(connection, handler, Arc::new(info), config.clone())
}
