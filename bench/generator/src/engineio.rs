//! Engine.IO's own heartbeat: the server pings, the client answers.

pub(crate) const PING: &[u8] = b"2";
pub(crate) const PONG: &[u8] = b"3";
