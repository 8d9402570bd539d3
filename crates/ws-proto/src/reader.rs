//! Bytes to frames: finds headers wherever reads cut them, checks what a header alone can break, and unmasks payloads
//! in place. It knows frames, not messages: those are the assembler's.

use crate::error::ProtocolError;
use crate::frame::{FrameHeader, MAX_HEADER, Opcode};
use crate::input::Input;
use crate::mask::{MaskKey, Unmasked};
use crate::message::Kind;

/// Which frames the peer may send (RFC 6455 §5.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Masking {
    /// "a client MUST mask all frames that it sends to the server".
    Required,
    /// "A server MUST NOT mask any frames that it sends to the client."
    Forbidden,
    /// The explicit opt-out of a server: `Config::accept_unmasked`.
    Optional,
}

/// A part of a frame's payload, unmasked: as much of it as one read brought.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Chunk<'b> {
    pub(crate) opcode: Opcode,
    pub(crate) fin: bool,
    /// The header, with the first chunk of a frame; that may be empty, while the payload has not arrived: the header is
    /// news.
    pub(crate) header: Option<FrameHeader>,
    /// What of the frame's payload is still to come after this chunk.
    pub(crate) left: u64,
    pub(crate) data: Unmasked<'b>,
}

impl Chunk<'_> {
    /// The message ends with this chunk.
    pub(crate) fn ends_message(&self) -> bool {
        self.fin && self.left == 0
    }
}

#[derive(Debug)]
pub(crate) struct Reader {
    state: State,
}

#[derive(Debug, Clone, Copy)]
enum State {
    /// A header that the last read cut; nothing of it, between two frames.
    Header {
        len: u8,
        bytes: [u8; MAX_HEADER - 1],
    },
    Payload(Frame),
}

/// The frame whose payload is being read.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Frame {
    pub(crate) opcode: Opcode,
    fin: bool,
    /// The key, turned to the byte that comes next.
    key: Option<MaskKey>,
    /// What of the payload has not been read.
    pub(crate) left: u64,
}

const BETWEEN_FRAMES: State = State::Header { len: 0, bytes: [0; MAX_HEADER - 1] };

impl Reader {
    pub(crate) fn new() -> Self {
        Self { state: BETWEEN_FRAMES }
    }

    /// The next chunk, or `None` when the input is used up.
    #[inline]
    pub(crate) fn next<'b>(
        &mut self,
        input: &mut Input<'b>,
        masking: Masking,
    ) -> Result<Option<Chunk<'b>>, ProtocolError> {
        let (frame, header) = match self.state {
            State::Payload(_) if input.is_empty() => return Ok(None),
            State::Payload(frame) => (frame, None),
            State::Header { .. } => match self.header(input, masking)? {
                Some(header) => (Frame::new(&header), Some(header)),
                None => return Ok(None),
            },
        };
        let data = input.take(usize::try_from(frame.left).unwrap_or(usize::MAX));
        Ok(Some(self.payload(frame, header, data)))
    }

    /// A message in a single, uncompressed frame that lies in the input as a whole; to be asked for when no message is
    /// open. `None` for all else, which [`next`](Self::next) is for.
    #[inline]
    pub(crate) fn plain<'b>(&self, input: &mut Input<'b>, masked: bool, limit: usize) -> Option<(Kind, Unmasked<'b>)> {
        let State::Header { len: 0, .. } = self.state else { return None };
        let (kind, key, payload) = FrameHeader::decode_plain(input.rest(), masked)?;
        if payload.len() > limit {
            return None;
        }
        let frame = input.take(payload.end);
        let payload = &mut frame[payload];
        let data = match kind {
            Kind::Text => Unmasked::new(payload, key),
            Kind::Binary => Unmasked::binary(payload, key),
        };
        Some((kind, data))
    }

    /// The frame whose payload is being read.
    pub(crate) fn frame(&self) -> Option<&Frame> {
        match &self.state {
            State::Header { .. } => None,
            State::Payload(frame) => Some(frame),
        }
    }

    /// The next bytes of the frame whose payload is being read, which were read to where they are to stay.
    pub(crate) fn resume<'b>(&mut self, data: &'b mut [u8]) -> Option<Chunk<'b>> {
        let frame = *self.frame()?;
        Some(self.payload(frame, None, data))
    }

    fn header(&mut self, input: &mut Input<'_>, masking: Masking) -> Result<Option<FrameHeader>, ProtocolError> {
        let decoded = match self.state {
            State::Header { len: len @ 1.., bytes } => {
                let kept = usize::from(len);
                let mut whole = [0; MAX_HEADER];
                whole[..kept].copy_from_slice(&bytes[..kept]);
                let more = input.rest().len().min(MAX_HEADER - kept);
                whole[kept..kept + more].copy_from_slice(&input.rest()[..more]);
                FrameHeader::decode(&whole[..kept + more])?.map(|(header, len)| (header, len - kept))
            }
            _ => FrameHeader::decode(input.rest())?,
        };
        let Some((header, len)) = decoded else {
            self.keep(input);
            return Ok(None);
        };
        input.take(len);
        self.state = BETWEEN_FRAMES;
        match (masking, header.mask) {
            (Masking::Required, None) => Err(ProtocolError::UnmaskedFrame),
            (Masking::Forbidden, Some(_)) => Err(ProtocolError::MaskedFrame),
            _ => Ok(Some(header)),
        }
    }

    /// Keeps the bytes of a cut header. There is room: fourteen bytes always make a header.
    fn keep(&mut self, input: &mut Input<'_>) {
        if let State::Header { len, bytes } = &mut self.state {
            let from = usize::from(*len);
            let cut = input.take(bytes.len() - from);
            bytes[from..from + cut.len()].copy_from_slice(cut);
            *len += u8::try_from(cut.len()).unwrap_or(0);
        }
    }

    /// `data`: the next bytes of the frame's payload, and nothing else.
    fn payload<'b>(&mut self, mut frame: Frame, header: Option<FrameHeader>, data: &'b mut [u8]) -> Chunk<'b> {
        let data = match frame.opcode {
            Opcode::Binary => Unmasked::binary(data, frame.key),
            // What a continuation belongs to is not known here.
            _ => Unmasked::new(data, frame.key),
        };
        let len = data.as_bytes().len();
        if let Some(key) = &mut frame.key {
            key.rotate_left(len % 4);
        }
        frame.left -= len as u64;
        self.state = if frame.left > 0 { State::Payload(frame) } else { BETWEEN_FRAMES };
        Chunk { opcode: frame.opcode, fin: frame.fin, header, left: frame.left, data }
    }
}

impl Frame {
    fn new(header: &FrameHeader) -> Self {
        Self { opcode: header.opcode, fin: header.fin, key: header.mask, left: header.len }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// The frames in `bytes`, read in pieces cut at `cuts`: opcode, fin, payload.
    fn frames(bytes: &[u8], cuts: &[usize]) -> Vec<(Opcode, bool, Vec<u8>)> {
        let mut reader = Reader::new();
        let mut frames: Vec<(Opcode, bool, Vec<u8>)> = Vec::new();
        let mut bytes = bytes.to_vec();
        let mut rest = &mut bytes[..];
        let mut from = 0;
        for &cut in cuts {
            let (piece, after) = rest.split_at_mut(cut - from);
            (rest, from) = (after, cut);
            let mut input = Input::new(piece);
            while let Some(chunk) = reader.next(&mut input, Masking::Optional).unwrap() {
                if chunk.header.is_some() {
                    frames.push((chunk.opcode, chunk.fin, Vec::new()));
                }
                frames.last_mut().unwrap().2.extend_from_slice(chunk.data.as_bytes());
            }
            assert!(input.is_empty());
        }
        frames
    }

    #[test]
    fn every_boundary_gives_the_same_frames() {
        let mut stream = b"\x01\x03Hel\x80\x82\x37\xfa\x21\x3d\x5b\x95\x89\x00\x82\x7e\x00\x7e".to_vec();
        stream.extend([9; 126]);
        let whole = frames(&stream, &[stream.len()]);
        assert_eq!(whole.len(), 4);
        assert_eq!(whole[1], (Opcode::Continuation, true, b"lo".to_vec()));
        for cut in 0..stream.len() {
            assert_eq!(frames(&stream, &[cut, stream.len()]), whole, "cut at {cut}");
        }
        let each: Vec<usize> = (1..=stream.len()).collect();
        assert_eq!(frames(&stream, &each), whole, "byte by byte");
    }

    #[test]
    fn masking_goes_one_way() {
        let error =
            |masking, bytes: &[u8]| Reader::new().next(&mut Input::new(&mut bytes.to_vec()), masking).unwrap_err();
        assert_eq!(error(Masking::Required, b"\x81\x00"), ProtocolError::UnmaskedFrame);
        assert_eq!(error(Masking::Forbidden, b"\x81\x80\0\0\0\0"), ProtocolError::MaskedFrame);
    }

    proptest! {
        #[test]
        fn arbitrary_bytes_never_panic(mut bytes: Vec<u8>) {
            let mut reader = Reader::new();
            let mut input = Input::new(&mut bytes);
            while let Ok(Some(_)) = reader.next(&mut input, Masking::Optional) {}
        }
    }
}
