//! A Socket.IO server: the stock clients cannot tell it from Node's.
//!
//! [`SocketIo`] is the server, [`Namespace`] a channel of it, [`Socket`] a client in one. Handlers are asynchronous
//! closures that ask for what they need by type; see [`FromCall`]. [`Broadcast`] chooses whom an event goes to.
//! [`TypedEvent`] names an event together with its types.
//!
//! Below all that, [`engine`] is Engine.IO: sessions over HTTP long polling and WebSocket. [`http1`] serves the former
//! where connections are accepted here.
#![forbid(unsafe_code)]

mod ack;
mod answers;
mod broadcast;
mod client;
mod depart;
mod dispatch;
pub mod engine;
mod enter;
mod error;
mod extract;
mod guarded;
mod handler;
mod hearing;
pub mod http1;
mod in_place;
mod listen;
mod listeners;
mod main_namespace;
mod namespace;
mod on;
mod pattern;
mod peer;
mod plain;
mod plain_form;
mod polls;
mod publish;
mod reason;
mod recovery;
mod remote;
mod roll;
mod room;
mod router;
mod seats;
mod server;
mod server_events;
mod settings;
mod socket;
mod space;
mod typed;
mod waiter;
mod watch;

pub use ack::Ack;
pub use answers::{Answers, Unanswered};
pub use broadcast::{Broadcast, Rooms};
pub use error::{AckError, ClusterError, EmitError, Error, Failure, JoinError, Refusal, ServerAckError};
pub use extract::{Auth, Call, CallError, Data, Event, FromCall, State};
pub use handler::{Handler, Middleware, Outcome};
pub use listeners::ListenerId;
pub use namespace::{Namespace, ParentNamespace};
pub use pattern::PatternError;
pub use reason::DisconnectReason;
pub use recovery::{RecoveryCounters, RecoverySettings};
pub use remote::RemoteSocket;
pub use room::topic;
pub use server::{Builder, SocketIo};
#[doc(hidden)]
pub use settings::Settings;
pub use socket::{Emitter, Socket};
pub use switchboard_hub::{Delivery, HubLimits};
pub use switchboard_io_proto::socket::{
    Args, ArgsError, Arguments, DecodeError, EncodeError, Limits, Name, Namespace as NamespaceName, Number, Parser,
    Spread, Value, is_reserved,
};
pub use typed::{Emit, Reply, TypedEvent};
pub use watch::RoomEvent;
