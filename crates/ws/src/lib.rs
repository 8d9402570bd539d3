//! WebSocket on tokio: server and client, as a stream or as a handler, over any transport and inside hyper, axum and
//! tower. The protocol itself is [`switchboard_ws_proto`]; who hears what is [`switchboard_hub`].
//!
//! * Stream style: [`Socket`], read and written with `await`, split into a [`Receiver`] and [`Sender`]s.
//! * Handler style: [`Handler`], called with borrowed messages while the read buffer is at hand.
//!
//! Servers [`accept`] a stream or listen by [`Server`]; clients [`connect`], or say more by [`Client`]; both may be
//! TLS.
//!
//! Everything that the protocol asks for (pongs, heartbeats, deadlines, the closing handshake) is done without the
//! application's help. Handlers on plain sockets are driven very many to a task, by *shards*; TLS, other transports and
//! the stream style have a task for each connection. That changes what a connection costs, and nothing that it does.

mod accept;
mod admission;
mod attachment;
#[cfg(feature = "axum")]
mod axum;
mod backlog;
mod config;
mod connect;
mod connections;
mod context;
mod driver;
mod error;
mod forms;
#[cfg(unix)]
mod gate;
mod handler;
mod http_io;
mod inbox;
mod info;
mod link;
mod metrics;
mod on_message_async;
mod opened;
mod own;
mod parcel;
mod refusal;
mod scratch;
mod sender;
mod server;
mod session;
#[cfg(unix)]
mod shard;
#[cfg(unix)]
mod shards;
mod socket;
mod stint;
#[cfg(feature = "tls")]
mod tls;
#[cfg(feature = "tower")]
mod tower;
mod turn;
#[cfg(feature = "hyper")]
mod upgrade;

/// Limits that no setting changes, for documents that list them.
#[doc(hidden)]
pub mod fixed {
    use std::time::Duration;

    pub use switchboard_ws_proto::fixed::{FINAL_BLOCKS, IDLE_CODECS, INFLATED_AT_ONCE, INFLATER, POOLED};
    /// Bytes of the payload of a control frame.
    pub const CONTROL: usize = switchboard_ws_proto::frame::MAX_CONTROL;
    /// Bytes of the body of a refusal that a client reads.
    pub const REFUSAL_BODY: usize = switchboard_ws_proto::handshake::BODY_CAP;
    /// Publications that wait for one shard, and their bytes.
    pub fn port() -> (usize, usize) {
        let limits = switchboard_hub::PortLimits::default();
        (limits.publications, limits.bytes)
    }
    /// The time in which a refused client may read why, and the bytes of it that are read meanwhile.
    pub const REFUSED: (Duration, u64) = (crate::refusal::LINGER, crate::refusal::LINGER_BYTES);
    /// Handshakes at once.
    pub const HANDSHAKES: usize = crate::server::MAX_HANDSHAKES;
    /// Clients at once that are being told why they are refused.
    pub const REFUSALS: usize = crate::refusal::MAX_REFUSALS;
    /// Messages at once of a handler that awaits.
    pub const IN_FLIGHT: usize = crate::on_message_async::IN_FLIGHT;
    /// For all that a client does until it is connected.
    pub const CONNECT: Duration = crate::connect::TIMEOUT;
    /// How long a client waits before it tries the next address too.
    pub const HEAD_START: Duration = crate::connect::HEAD_START;
    /// Bytes that are encoded ahead of writing.
    pub const ENCODED_AHEAD: usize = crate::session::ENCODE_AHEAD;
    /// Bytes of replies beyond the bound of the outbox.
    pub const REPLIES: usize = crate::own::REPLIES;
    /// Bytes of a connection that does nothing, as the budget counts it.
    pub const IDLE: usize = crate::session::IDLE;
    /// Bytes of a server's TLS, as the budget counts them: in its handshake, and from then on.
    #[cfg(feature = "tls")]
    pub const TLS: (usize, usize) = crate::tls::COUNTED;
    /// Bytes that TLS keeps between turns: of a handshake message, and of what was encrypted in all.
    #[cfg(feature = "tls")]
    pub const TLS_KEPT: (usize, usize) = crate::tls::KEPT;
    /// Bytes that are read at once.
    pub const READ: usize = crate::scratch::READ_BUFFER;
    /// Bytes of output that a thread keeps.
    pub const OUTPUT: usize = crate::scratch::OUTPUT_KEPT;
    /// Reads in a row.
    pub const READS: usize = crate::driver::READS_PER_TURN;
    /// How long what one read holds is heard before others have their turn, and after how many messages that is looked at.
    pub const STINT: (Duration, u32) = (crate::stint::LONGEST, crate::stint::LOOK_EVERY);
}

pub use accept::{Pending, accept, serve};
pub use admission::{Admission, AdmissionLimits, Admitted, NoRoom, PerAddress};
#[cfg(feature = "axum")]
pub use axum::{UpgradeRejection, WebSocketUpgrade};
pub use config::Config;
pub use connect::{Client, ConnectError, ConnectStep, connect};
pub use connections::Connections;
pub use context::Context;
pub use driver::Io;
pub use error::{Error, Outcome};
pub use forms::{Form, Forms};
#[cfg(unix)]
pub use gate::{Gate, GatedListener, Pass, Reason, Visitor};
pub use handler::{Handler, OnMessage};
pub use http_io::{HttpIo, Upgraded};
pub use inbox::InboxLimits;
pub use info::{Info, PeerAddr};
pub use metrics::{Metrics, Snapshot};
pub use on_message_async::OnMessageAsync;
pub use parcel::{Hub, Parcel};
pub use refusal::AcceptError;
pub use sender::{Sender, TrySendError};
pub use server::Server;
#[cfg(all(unix, feature = "simulation"))]
#[doc(hidden)]
pub use shard::Simulation;
pub use socket::{Receiver, Socket};
pub use stint::Stint;
pub use switchboard_budget::{
    Budget, Charge as BudgetCharge, Exhausted as BudgetExhausted, Hold as BudgetHold, Holder as BudgetHolder,
    Part as BudgetPart, Reserve as BudgetReserve, Usage as BudgetUsage, Watch as BudgetWatch,
};
pub use switchboard_hub::{
    Accepted, Audience, Delivery, HubError, HubLimits, Limits as OutboxLimits, Overflow, Pushed, Refused,
};
pub use switchboard_ws_proto::handshake::{
    ExtraHeaders, HandshakeError, Limits as HandshakeLimits, Origins, Protocols, Refused as RefusedByServer, Rejection,
    ServerOptions, is_upgrade,
};
pub use switchboard_ws_proto::{
    Cause, CloseCode, CloseFrame, Config as Limits, DeflateConfig, DeflateParams, Kind, Message, MessageRef, Prepared,
    ProtocolError, ReadyState, SendError, SendOptions, Timeout, Utf8Bytes, WindowBits,
};
#[cfg(feature = "tls")]
pub use tls::{ClientCertificates, ClientTls, Identity, ServerTls, ServerTlsBuilder, TlsError, TlsStream};
#[cfg(feature = "tower")]
pub use tower::{UpgradeOr, UpgradeService};
#[cfg(feature = "hyper")]
pub use upgrade::{Upgrade, upgrade};
