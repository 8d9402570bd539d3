//! Which of the two parsers a connection speaks.

/// How packets are written. Both sides of a connection must use the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Parser {
    /// `socket.io-parser`, the default: JSON text, binary data in messages of its own.
    #[default]
    Json,
    /// `socket.io-msgpack-parser`: one binary message for each packet.
    Msgpack,
}
