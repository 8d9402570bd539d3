//! What a session tells its driver, and what it gives it to write.

use crate::engine::packet::{Data, Packet};

/// What came of a packet or of time. That the session is over is no event, as any call may bring that about: look at
/// [`Session::ended`](crate::engine::Session::ended).
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event<'a> {
    /// A message of the client's.
    Message(Data<'a>),
    /// The candidate was probed; Node's event `upgrading`.
    Upgrading,
    /// The session is on the WebSocket now; Node's event `upgrade`. What was queued leaves there.
    Upgraded,
    /// The WebSocket that was a candidate is none any more: close it and tell the session no more about it. The session
    /// goes on by polling.
    CloseCandidate,
}

/// One thing to be written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Out<M> {
    /// The [open packet](crate::engine::open_packet).
    Open,
    /// [`Config::initial_packet`](crate::engine::Config::initial_packet), as a message.
    Initial,
    /// A ping.
    Ping,
    /// A pong, to a probe or (v3) to a ping.
    Pong {
        /// It answers a probe.
        probe: bool,
    },
    /// Nothing, so that a poll ends.
    Noop,
    /// A message that was queued.
    Message(M),
    /// The last thing. On polling the packet; on a WebSocket a Close frame without a code and no packet before it, as
    /// Node does it.
    Close,
}

impl<M> Out<M> {
    /// The packet, where it is one that needs nothing else to be known. `None`: [`Open`](Self::Open),
    /// [`Initial`](Self::Initial) and [`Message`](Self::Message).
    #[must_use]
    pub fn control(&self) -> Option<Packet<'static>> {
        Some(match self {
            Self::Ping => Packet::Ping("".into()),
            Self::Pong { probe: true } => Packet::Pong("probe".into()),
            Self::Pong { probe: false } => Packet::Pong("".into()),
            Self::Noop => Packet::Noop,
            Self::Close => Packet::Close,
            Self::Open | Self::Initial | Self::Message(_) => return None,
        })
    }
}
