//! A message encoded once into finished frames, for any number of connections: plain, and deflated on first need.

use std::sync::{Arc, OnceLock};

use bytes::{BufMut, Bytes, BytesMut};
use switchboard_budget::{Budget, Charge};

use crate::deflate::{self, DeflateConfig, WindowBits};
use crate::frame::{FrameHeader, MAX_HEADER, Opcode};
use crate::message::{Kind, Message, MessageRef};

/// A finished message. Cloning is cheap. Servers send its bytes as they are; a client must mask each frame with a key
/// of its own (RFC 6455 §5.3) and so encodes the payload anew.
#[derive(Debug, Clone)]
pub struct Prepared(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    kind: Kind,
    /// The frame: header and payload.
    plain: Bytes,
    header_len: usize,
    level: u8,
    /// One per window from 8 to 15 bits, each made when a connection first needs it. `None`: compressing made it no
    /// smaller.
    deflated: [OnceLock<Option<Bytes>>; 8],
    /// Of all its forms, once some queue holds it.
    charge: Charge,
}

impl Prepared {
    /// Encodes a message: one copy of the payload. Deflated forms will be made with the default level of
    /// [`DeflateConfig`].
    #[must_use]
    pub fn new<'m>(message: impl Into<MessageRef<'m>>) -> Self {
        Self::with_level(message, DeflateConfig::DEFAULT_LEVEL)
    }

    /// Like [`new`](Self::new), with a DEFLATE level of 0 to 9 for the deflated forms.
    #[must_use]
    pub fn with_level<'m>(message: impl Into<MessageRef<'m>>, level: u8) -> Self {
        let message = message.into();
        let kind = message.kind();
        let (plain, header_len) = frame(kind, false, message.as_bytes());
        Self(Arc::new(Inner {
            kind,
            plain,
            header_len,
            level,
            deflated: Default::default(),
            charge: Charge::default(),
        }))
    }

    /// A text message.
    #[must_use]
    pub fn text(text: &str) -> Self {
        Self::new(text)
    }

    /// A binary message.
    #[must_use]
    pub fn binary(bytes: &[u8]) -> Self {
        Self::new(bytes)
    }

    /// Text or binary.
    #[must_use]
    pub fn kind(&self) -> Kind {
        self.0.kind
    }

    /// The payload.
    #[must_use]
    pub fn payload(&self) -> Bytes {
        self.0.plain.slice(self.0.header_len..)
    }

    /// The finished, uncompressed, unmasked frame.
    #[must_use]
    pub fn plain(&self) -> &Bytes {
        &self.0.plain
    }

    /// The finished frame, compressed without reference to other messages and within a window of `bits`; `None` when
    /// that is no smaller. Compressed on the first call for these bits, which may take a while for a large message.
    #[must_use]
    pub fn deflated(&self, bits: WindowBits) -> Option<&Bytes> {
        let variant = &self.0.deflated[usize::from(bits.get() - WindowBits::MIN.get())];
        if let Some(made) = variant.get() {
            return made.as_ref();
        }
        let made = variant.get_or_init(|| self.0.deflate(bits));
        // Not before others see it: who counts the whole at this moment has it counted too.
        self.0.charge.grow(|| self.0.memory());
        made.as_ref()
    }

    /// Counts it in a budget, once for as long as it lives, however many queues hold it. `false`: it counts in another
    /// one.
    pub fn count(&self, budget: &Budget) -> bool {
        self.0.charge.count(budget, || self.0.memory())
    }
}

impl Inner {
    /// Bytes of all the forms that there are.
    fn memory(&self) -> usize {
        let deflated = self.deflated.iter().filter_map(|made| made.get()?.as_ref());
        self.plain.len() + deflated.map(Bytes::len).sum::<usize>()
    }

    fn deflate(&self, bits: WindowBits) -> Option<Bytes> {
        let payload = &self.plain[self.header_len..];
        let mut compressed = Vec::new();
        deflate::compress_alone(payload, self.level, bits, &mut compressed);
        (compressed.len() < payload.len()).then(|| frame(self.kind, true, &compressed).0)
    }
}

impl From<&Message> for Prepared {
    fn from(message: &Message) -> Self {
        Self::new(message)
    }
}

impl From<MessageRef<'_>> for Prepared {
    fn from(message: MessageRef<'_>) -> Self {
        Self::new(message)
    }
}

impl From<&str> for Prepared {
    fn from(text: &str) -> Self {
        Self::new(text)
    }
}

/// An unmasked, unfragmented frame and the length of its header.
fn frame(kind: Kind, rsv1: bool, payload: &[u8]) -> (Bytes, usize) {
    let header = FrameHeader { fin: true, rsv1, opcode: Opcode::from(kind), mask: None, len: payload.len() as u64 };
    let mut head = [0; MAX_HEADER];
    let head = header.encode(&mut head);
    let mut bytes = BytesMut::with_capacity(head.len() + payload.len());
    bytes.put_slice(head);
    bytes.put_slice(payload);
    (bytes.freeze(), head.len())
}
