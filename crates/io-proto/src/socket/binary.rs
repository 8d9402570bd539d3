//! Binary packets of the default parser: a text that announces attachments, and the attachments, one message each.

use bytes::Bytes;

use super::error::DecodeError;
use super::frame::Incoming;
use super::limits::Limits;
use super::packet::{Kind, Packet};
use super::text::{self, Source};

/// What one connection holds between two messages: nothing but a pointer, unless attachments are missing.
#[derive(Debug, Default)]
pub struct Decoder(Option<Box<Open>>);

/// A packet whose attachments are not all there.
#[derive(Debug)]
struct Open {
    packet: Packet,
    missing: usize,
    /// Of the text and the attachments so far.
    bytes: usize,
}

impl Decoder {
    /// A decoder that waits for nothing.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Whether attachments are missing. The caller should close the connection if they are for too long: a peer could
    /// have memory held for nothing.
    #[must_use]
    pub fn is_waiting(&self) -> bool {
        self.0.is_some()
    }

    /// Bytes held for the packet that waits.
    #[must_use]
    pub fn held(&self) -> usize {
        self.0.as_ref().map_or(0, |open| open.bytes)
    }

    pub(super) fn accept(&mut self, limits: &Limits, message: Incoming<'_>) -> Result<Option<Packet>, DecodeError> {
        let text = match message {
            Incoming::Binary(attachment) => return self.attachment(limits, attachment),
            Incoming::Text(text) => Source::Borrowed(text.as_bytes()),
            Incoming::OwnedText(text) => {
                std::str::from_utf8(&text).map_err(|_| DecodeError::Utf8)?;
                Source::Owned(text)
            }
        };
        self.text(limits, text)
    }

    fn text(&mut self, limits: &Limits, text: Source<'_>) -> Result<Option<Packet>, DecodeError> {
        if self.0.take().is_some() {
            return Err(DecodeError::ExpectedAttachment);
        }
        let bytes = text.len();
        if bytes > limits.bytes {
            return Err(DecodeError::TooBig { limit: limits.bytes });
        }
        let (packet, missing) = text::decode(text, limits)?;
        if missing == 0 {
            return Ok(Some(packet));
        }
        self.0 = Some(Box::new(Open { packet, missing, bytes }));
        Ok(None)
    }

    fn attachment(&mut self, limits: &Limits, attachment: Bytes) -> Result<Option<Packet>, DecodeError> {
        let mut open = self.0.take().ok_or(DecodeError::UnexpectedAttachment)?;
        open.bytes = open.bytes.saturating_add(attachment.len());
        if open.bytes > limits.bytes {
            return Err(DecodeError::TooBig { limit: limits.bytes });
        }
        open.missing -= 1;
        if let Kind::Event { args, .. } | Kind::Ack { args, .. } = &mut open.packet.kind {
            args.attach(attachment);
            if open.missing == 0 {
                args.complete();
            }
        }
        if open.missing == 0 {
            return Ok(Some(open.packet));
        }
        self.0 = Some(open);
        Ok(None)
    }
}
