//! Messages to frames: header, mask, compression. The one place where bytes for the peer are made, for every driver
//! and either role.

use std::cell::RefCell;

use bytes::Bytes;

use crate::compression::Compression;
use crate::error::SendError;
use crate::frame::{FrameHeader, Opcode};
use crate::mask::{self, MaskKey, MaskSource};
use crate::message::{Kind, Message, MessageRef};
use crate::output::Output;
use crate::prepared::Prepared;

/// A buffer for compressed bytes is kept per thread up to this size.
const SCRATCH_KEPT: usize = 64 << 10;

thread_local! {
    static SCRATCH: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
}

/// How a message is sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SendOptions {
    /// Compress it, where that was negotiated and the message is long enough. Default: yes.
    pub compress: bool,
}

impl Default for SendOptions {
    fn default() -> Self {
        Self { compress: true }
    }
}

#[derive(Debug, Default)]
pub(crate) struct Writer {
    /// A message sent in pieces, unfinished.
    open: Option<OpenMessage>,
}

/// What messages are sent by.
pub(crate) struct Means<'a> {
    /// A client masks what it sends, a server does not.
    pub(crate) masks: Option<MaskSource>,
    /// When permessage-deflate was negotiated.
    pub(crate) compression: Option<&'a mut Compression>,
}

#[derive(Debug, Clone, Copy)]
struct OpenMessage {
    kind: Kind,
    compressed: bool,
}

impl Writer {
    /// A message sent in pieces is unfinished.
    pub(crate) fn is_open(&self) -> bool {
        self.open.is_some()
    }

    /// A whole message, its payload copied.
    #[inline]
    pub(crate) fn message(
        &self,
        means: Means<'_>,
        message: MessageRef<'_>,
        compress: bool,
        out: &mut Output,
    ) -> Result<(), SendError> {
        if self.open.is_some() {
            return Err(SendError::MessageOpen);
        }
        let (masks, opcode, payload) = (means.masks, Opcode::from(message.kind()), message.as_bytes());
        let compression = means.compression_of(payload.len(), compress);
        if compression.is_none_or(|compression| !compressed(masks, compression, opcode, payload, out)) {
            frame(masks, true, false, opcode, payload, out);
        }
        Ok(())
    }

    /// A whole message whose payload may be queued as it is, without a copy.
    pub(crate) fn shared(
        &self,
        means: Means<'_>,
        message: &Message,
        compress: bool,
        out: &mut Output,
    ) -> Result<(), SendError> {
        let Means { masks, mut compression } = means;
        let means = Means { masks, compression: compression.as_deref_mut() };
        if masks.is_some() || means.compression_of(message.len(), compress).is_some() {
            return self.message(Means { masks, compression }, message.as_ref(), compress, out);
        }
        if self.open.is_some() {
            return Err(SendError::MessageOpen);
        }
        header(masks, true, false, Opcode::from(message.kind()), message.len(), out);
        out.push_shared(message.as_bytes(), || message.clone().into_bytes());
        Ok(())
    }

    /// A message encoded before. Under context takeover a compressed form made elsewhere is unknown to our compressor,
    /// whose context must then be given up, or later references would point at the wrong bytes.
    pub(crate) fn prepared(
        &self,
        means: Means<'_>,
        prepared: &Prepared,
        compress: bool,
        out: &mut Output,
    ) -> Result<(), SendError> {
        if self.open.is_some() {
            return Err(SendError::MessageOpen);
        }
        let payload_len = prepared.plain().len();
        let compression = means.compression.filter(|compression| compress && payload_len >= compression.threshold);
        let deflated = compression.and_then(|compression| {
            let deflated = prepared.deflated(compression.window)?;
            compression.deflater.reset();
            Some(deflated)
        });
        match (means.masks, deflated) {
            (None, unmasked) => {
                let unmasked = unmasked.unwrap_or_else(|| prepared.plain());
                out.push_shared(unmasked, || unmasked.clone());
            }
            (Some(_), Some(unmasked)) => {
                let payload = payload_of(unmasked);
                frame(means.masks, true, true, Opcode::from(prepared.kind()), &payload, out);
            }
            (Some(_), None) => frame(means.masks, true, false, Opcode::from(prepared.kind()), &prepared.payload(), out),
        }
        Ok(())
    }

    /// A piece of a message: the first opens it, the last closes it.
    pub(crate) fn piece(
        &mut self,
        means: Means<'_>,
        kind: Kind,
        data: &[u8],
        last: bool,
        compress: bool,
        out: &mut Output,
    ) -> Result<(), SendError> {
        let (opcode, compressed) = match self.open {
            Some(open) if open.kind != kind => return Err(SendError::MessageOpen),
            Some(open) => (Opcode::Continuation, open.compressed),
            None => (Opcode::from(kind), compress && means.compression.is_some()),
        };
        self.open = (!last).then_some(OpenMessage { kind, compressed });
        // Only the first frame of a compressed message carries RSV1 (RFC 7692 §6.1).
        let rsv1 = compressed && opcode != Opcode::Continuation;
        if compressed {
            SCRATCH.with_borrow_mut(|scratch| {
                scratch.clear();
                if let Some(compression) = means.compression {
                    compression.deflater.compress_piece(data, last, scratch);
                }
                frame(means.masks, last, rsv1, opcode, scratch, out);
                scratch.shrink_to(SCRATCH_KEPT);
            });
        } else {
            frame(means.masks, last, rsv1, opcode, data, out);
        }
        Ok(())
    }
}

impl<'a> Means<'a> {
    /// What compresses a message of this length, if it is to be compressed.
    #[inline]
    fn compression_of(self, len: usize, compress: bool) -> Option<&'a mut Compression> {
        self.compression.filter(|compression| compress && len >= compression.threshold)
    }
}

/// Sends the message compressed, if that is worth it.
#[inline(never)]
fn compressed(
    masks: Option<MaskSource>,
    compression: &mut Compression,
    opcode: Opcode,
    payload: &[u8],
    out: &mut Output,
) -> bool {
    SCRATCH.with_borrow_mut(|scratch| {
        scratch.clear();
        compression.deflater.compress(payload, scratch);
        // Under context takeover the compressor now counts on the peer to know this message: it is sent compressed
        // even when that made it larger.
        let worth = scratch.len() < payload.len() || compression.deflater.takes_context_over();
        if worth {
            frame(masks, true, true, opcode, scratch, out);
        }
        scratch.shrink_to(SCRATCH_KEPT);
        worth
    })
}

/// Appends a control frame; its payload is at most 125 bytes.
pub(crate) fn control(masks: Option<MaskSource>, opcode: Opcode, payload: &[u8], out: &mut Output) {
    frame(masks, true, false, opcode, payload, out);
}

/// Appends a frame, masked when there are masks.
#[inline]
fn frame(masks: Option<MaskSource>, fin: bool, rsv1: bool, opcode: Opcode, payload: &[u8], out: &mut Output) {
    match header(masks, fin, rsv1, opcode, payload.len(), out) {
        None => out.extend(payload),
        Some(key) => mask::apply(out.extend_mut(payload), key, 0),
    }
}

#[inline]
fn header(
    masks: Option<MaskSource>,
    fin: bool,
    rsv1: bool,
    opcode: Opcode,
    len: usize,
    out: &mut Output,
) -> Option<MaskKey> {
    let mask = masks.map(|next_key| next_key());
    let header = FrameHeader { fin, rsv1, opcode, mask, len: len as u64 };
    out.extend_header(&header);
    mask
}

/// The payload of a finished, unmasked frame.
fn payload_of(frame: &Bytes) -> Bytes {
    match FrameHeader::decode(frame) {
        Ok(Some((_, header_len))) => frame.slice(header_len..),
        _ => Bytes::new(),
    }
}
