//! What travels in outboxes: a message of one connection, or one encoded once for many.

use bytes::Bytes;
use switchboard_hub as hub;
use switchboard_ws_proto::{Message, MessageRef, Prepared, SendOptions, Utf8Bytes};

/// Who hears what among WebSocket connections. See [`switchboard_hub`].
pub type Hub = hub::Hub<Parcel>;

/// A message on its way to one connection. Cloning is cheap.
#[derive(Debug, Clone)]
pub struct Parcel(pub(crate) Content);

#[derive(Debug, Clone)]
pub(crate) enum Content {
    Message(Message, SendOptions),
    Prepared(Prepared),
}

impl hub::Parcel for Parcel {
    fn weight(&self) -> usize {
        match &self.0 {
            Content::Message(message, _) => message.len(),
            Content::Prepared(prepared) => prepared.plain().len(),
        }
    }
}

impl From<Prepared> for Parcel {
    fn from(prepared: Prepared) -> Self {
        Self(Content::Prepared(prepared))
    }
}

/// Everything that is a message is a parcel. (A blanket `impl` would leave no room for `Prepared`.)
macro_rules! from_messages {
    ($($message:ty),*) => {$(
        impl From<$message> for Parcel {
            fn from(message: $message) -> Self {
                Self(Content::Message(message.into(), SendOptions::default()))
            }
        }
    )*};
}

from_messages!(Message, MessageRef<'_>, &str, String, Utf8Bytes, &[u8], Vec<u8>, Bytes);
