//! Opening connections as a client. [`client`] says what is wanted and runs the steps; [`dial`] finds a way to the
//! host, [`secure`] puts TLS on it, and the handshake itself is `switchboard_ws_proto`'s.

mod client;
mod dial;
mod error;
mod secure;

pub(crate) use self::client::TIMEOUT;
pub use self::client::{Client, connect};
pub(crate) use self::dial::HEAD_START;
pub use self::error::{ConnectError, ConnectStep};
