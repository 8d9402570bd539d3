//! What travels in outboxes: a message of one connection, one encoded once for many, or the end of the connection.

use std::borrow::Cow;
use std::slice;
use std::sync::Arc;

use bytes::Bytes;
use switchboard_budget::Budget;
use switchboard_hub as hub;
use switchboard_ws_proto::{CloseCode, CloseFrame, Message, MessageRef, Prepared, SendError, SendOptions, Utf8Bytes};

use crate::forms::{Form, Forms};

/// Who hears what among WebSocket connections. See [`switchboard_hub`].
pub type Hub = hub::Hub<Parcel>;

/// A message on its way to one connection. Cloning is cheap.
///
/// One that is made of [`Forms`] may be *volatile*: a peer that lags does not get it. It is thrown away where other
/// parcels would be queued because the transport refuses bytes, and counted as [dropped](hub::Delivery::dropped).
#[derive(Debug, Clone)]
pub struct Parcel(pub(crate) Content);

#[derive(Debug, Clone)]
pub(crate) enum Content {
    Message(Message, SendOptions),
    Prepared(Prepared),
    Forms(Arc<dyn Forms>),
    Close(CloseFrame),
}

impl Parcel {
    /// Not a message, but the end: whoever gets it begins the closing handshake, after what was sent to it before. What
    /// is sent to it afterwards is not. The first code stands. A reason longer than 123 bytes is cut.
    ///
    /// In an outbox it is queued as messages are, and so subject to the outbox's [policy](hub::Overflow).
    ///
    /// # Errors
    /// [`SendError::InvalidCloseCode`] for a code that may not be sent.
    pub fn close(code: impl Into<CloseCode>, reason: &str) -> Result<Self, SendError> {
        CloseFrame::new(code.into(), reason).map(|frame| Self(Content::Close(frame)))
    }

    /// The messages that this is on a connection of some kind: for whoever takes parcels out of an outbox by himself.
    /// One, whatever the kind, unless it is made of [`Forms`]; none if it is a [close](Self::as_close).
    #[must_use]
    pub fn frames(&self, form: Form) -> Cow<'_, [Prepared]> {
        match &self.0 {
            Content::Message(message, _) => vec![Prepared::from(message)].into(),
            Content::Prepared(prepared) => slice::from_ref(prepared).into(),
            Content::Forms(forms) => forms.frames(form).into(),
            Content::Close(_) => Cow::default(),
        }
    }

    /// How the connection is to be closed, if this says so.
    #[must_use]
    pub fn as_close(&self) -> Option<&CloseFrame> {
        match &self.0 {
            Content::Close(frame) => Some(frame),
            _ => None,
        }
    }

    /// Whether it may be compressed, where that was negotiated.
    #[must_use]
    pub fn is_compressed(&self) -> bool {
        match &self.0 {
            Content::Message(_, options) => options.compress,
            Content::Forms(forms) => forms.is_compressed(),
            Content::Prepared(_) | Content::Close(_) => true,
        }
    }

    /// Whether it is to be thrown away for a peer that lags.
    #[must_use]
    pub fn is_volatile(&self) -> bool {
        matches!(&self.0, Content::Forms(forms) if forms.is_volatile())
    }
}

impl hub::Parcel for Parcel {
    fn weight(&self) -> usize {
        match &self.0 {
            Content::Message(message, _) => message.len(),
            Content::Prepared(prepared) => prepared.plain().len(),
            Content::Forms(forms) => forms.weight(),
            Content::Close(frame) => frame.reason.len(),
        }
    }

    fn is_volatile(&self) -> bool {
        self.is_volatile()
    }

    fn count(&self, budget: &Budget) -> bool {
        match &self.0 {
            Content::Prepared(prepared) => prepared.count(budget),
            Content::Forms(forms) => forms.count(budget),
            Content::Message(..) | Content::Close(_) => false,
        }
    }
}

impl From<Prepared> for Parcel {
    fn from(prepared: Prepared) -> Self {
        Self(Content::Prepared(prepared))
    }
}

impl From<Arc<dyn Forms>> for Parcel {
    fn from(forms: Arc<dyn Forms>) -> Self {
        Self(Content::Forms(forms))
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
