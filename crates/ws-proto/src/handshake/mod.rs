//! The opening handshake (RFC 6455 §4), both roles, without a socket: bytes in, an agreement or a refusal out.
//!
//! Leaves first: `error`, `limits`, `headers`, `key`; then `http` (heads as bytes), `extension` and `origin` (one
//! header each); then the two roles, which share everything below them and nothing else.

mod client;
mod error;
mod extension;
mod headers;
mod http;
mod key;
mod limits;
mod origin;
mod refused;
mod rejection;
mod server;

pub use self::client::{Answer, ClientHandshake, ClientRequest, Established, InvalidRequest};
pub use self::error::HandshakeError;
pub use self::extension::{check_response, negotiate, offer};
pub use self::headers::{ExtraHeaders, ReservedHeader};
pub use self::http::{Head, HeadParser, Parsed, encode_request, encode_response};
pub use self::key::accept_key;
pub use self::limits::Limits;
pub use self::origin::{InvalidOrigin, OriginPattern, Origins};
pub use self::refused::{BODY_CAP, Refused};
pub use self::rejection::Rejection;
pub use self::server::{
    Accepted, ChooseProtocol, Offer, Protocols, ServerHandshake, ServerOptions, accept, is_upgrade,
};
