//! A shard with any number of connections and no sockets, turned by hand: for the bench, which sees by it how cost
//! grows beyond the descriptors that a process may have. Everything but the sockets is what serves real connections.

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::task::{Context, Waker};

use http::{HeaderMap, Uri};
use switchboard_ws_proto::Connection;

use super::{Driver, Entry};
use crate::backlog::Backlog;
use crate::config::Config;
use crate::handler::Handler;
use crate::info::Info;
use crate::session::Session;
use crate::shard::mailbox::Mailbox;
use crate::shard::simulated::Simulated;
use crate::shard::{NewSlot, Socket, Unread};
use crate::turn::now;

/// A shard whose peers answer pings and say nothing else.
pub struct Simulation(Driver);

impl Simulation {
    /// Opens so many connections, each with a handler from `handler`, on a shard of the caller's runtime.
    ///
    /// # Errors
    /// The kernel has no further poller to give.
    pub fn new(config: &Config, connections: usize, handler: impl Fn() -> Box<dyn Handler>) -> io::Result<Self> {
        let mut driver = Driver::new(Arc::new(Mailbox::new()), config)?;
        driver.turn.now = now();
        for _ in 0..connections {
            let connection = Connection::server(Arc::clone(config.get_limits()), None, now());
            let peer = SocketAddr::from((Ipv4Addr::LOCALHOST, 1)).into();
            let info = Arc::new(Info::new(peer, Uri::default(), HeaderMap::default()));
            let session = Session::new(connection, handler(), info, config.clone());
            let socket = Socket::Simulated(Simulated::default());
            driver.adopt(Box::new(NewSlot {
                socket,
                session,
                answer: Vec::new(),
                said: Backlog::default(),
                leftover: Vec::new(),
                unread: Unread::default(),
            }));
        }
        Ok(Self(driver))
    }

    /// The shard's turn: everything that is due by now, by the clock of the runtime.
    pub fn turn(&mut self) {
        let _ = self.0.poll(&mut Context::from_waker(Waker::noop()));
    }

    /// All peers answer, to be read in the next [turn](Self::turn).
    pub fn answer(&mut self) {
        for (key, entry) in &mut self.0.entries {
            if let Entry::Open(slot) = entry {
                slot.set_readable(false);
                self.0.ready.push(key);
            }
        }
    }
}

impl std::fmt::Debug for Simulation {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Simulation").field("connections", &self.0.entries.len()).finish_non_exhaustive()
    }
}
