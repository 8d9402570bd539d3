//! Bytes to frames: finds headers wherever reads cut them, checks what a header alone can break, and unmasks payloads in
//! place. It knows frames, not messages: those are the assembler's.

use crate::error::ProtocolError;
use crate::frame::{FrameHeader, MAX_HEADER, Opcode};
use crate::input::Input;
use crate::mask::{self, MaskKey};

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
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Chunk<'b> {
    pub(crate) opcode: Opcode,
    pub(crate) fin: bool,
    pub(crate) rsv1: bool,
    /// The length of the whole frame's payload.
    pub(crate) frame_len: u64,
    /// The frame begins with this chunk, which may be empty while the payload has not arrived: the header is news.
    pub(crate) first: bool,
    /// The frame ends with this chunk.
    pub(crate) last: bool,
    pub(crate) data: &'b mut [u8],
}

#[derive(Debug)]
pub(crate) struct Reader {
    masking: Masking,
    /// A header that the last read cut.
    head: [u8; MAX_HEADER],
    head_len: u8,
    frame: Option<Frame>,
}

/// The frame whose payload is being read.
#[derive(Debug, Clone, Copy)]
struct Frame {
    header: FrameHeader,
    read: u64,
}

impl Reader {
    pub(crate) fn new(masking: Masking) -> Self {
        Self { masking, head: [0; MAX_HEADER], head_len: 0, frame: None }
    }

    /// The next chunk, or `None` when the input is used up.
    #[inline]
    pub(crate) fn next<'b>(&mut self, input: &mut Input<'b>) -> Result<Option<Chunk<'b>>, ProtocolError> {
        let (frame, first) = match self.frame.take() {
            Some(frame) if input.is_empty() => {
                self.frame = Some(frame);
                return Ok(None);
            }
            Some(frame) => (frame, false),
            None => match self.header(input)? {
                Some(header) => (Frame { header, read: 0 }, true),
                None => return Ok(None),
            },
        };
        Ok(Some(self.payload(frame, first, input)))
    }

    fn header(&mut self, input: &mut Input<'_>) -> Result<Option<FrameHeader>, ProtocolError> {
        let decoded = if self.head_len == 0 {
            FrameHeader::decode(input.rest())?
        } else {
            let (kept, room) = self.head.split_at_mut(self.head_len.into());
            let more = room.len().min(input.rest().len());
            room[..more].copy_from_slice(&input.rest()[..more]);
            let kept = kept.len();
            FrameHeader::decode(&self.head[..kept + more])?.map(|(header, len)| (header, len - kept))
        };
        let Some((header, len)) = decoded else {
            self.keep(input);
            return Ok(None);
        };
        input.take(len);
        self.head_len = 0;
        match (self.masking, header.mask) {
            (Masking::Required, None) => Err(ProtocolError::UnmaskedFrame),
            (Masking::Forbidden, Some(_)) => Err(ProtocolError::MaskedFrame),
            _ => Ok(Some(header)),
        }
    }

    /// Keeps the bytes of a cut header. There is room: fourteen bytes always make a header.
    fn keep(&mut self, input: &mut Input<'_>) {
        let from = usize::from(self.head_len);
        let cut = input.take(MAX_HEADER - from);
        self.head[from..from + cut.len()].copy_from_slice(cut);
        self.head_len += u8::try_from(cut.len()).unwrap_or(0);
    }

    fn payload<'b>(&mut self, frame: Frame, first: bool, input: &mut Input<'b>) -> Chunk<'b> {
        let Frame { header, read } = frame;
        let left = header.len - read;
        let data = input.take(usize::try_from(left).unwrap_or(usize::MAX));
        if let Some(key) = header.mask {
            mask::apply(data, key, offset(read));
        }
        let last = data.len() as u64 == left;
        if !last {
            self.frame = Some(Frame { header, read: read + data.len() as u64 });
        }
        let FrameHeader { fin, rsv1, opcode, len: frame_len, .. } = header;
        Chunk { opcode, fin, rsv1, frame_len, first, last, data }
    }
}

/// How much of the key the first `read` bytes used up.
fn offset(read: u64) -> usize {
    usize::from((read % size_of::<MaskKey>() as u64).to_le_bytes()[0])
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// The frames in `bytes`, read in pieces cut at `cuts`: opcode, fin, payload.
    fn frames(bytes: &[u8], cuts: &[usize]) -> Vec<(Opcode, bool, Vec<u8>)> {
        let mut reader = Reader::new(Masking::Optional);
        let mut frames: Vec<(Opcode, bool, Vec<u8>)> = Vec::new();
        let mut bytes = bytes.to_vec();
        let mut rest = &mut bytes[..];
        let mut from = 0;
        for &cut in cuts {
            let (piece, after) = rest.split_at_mut(cut - from);
            (rest, from) = (after, cut);
            let mut input = Input::new(piece);
            while let Some(chunk) = reader.next(&mut input).unwrap() {
                if chunk.first {
                    frames.push((chunk.opcode, chunk.fin, Vec::new()));
                }
                frames.last_mut().unwrap().2.extend_from_slice(chunk.data);
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
            |masking, bytes: &[u8]| Reader::new(masking).next(&mut Input::new(&mut bytes.to_vec())).unwrap_err();
        assert_eq!(error(Masking::Required, b"\x81\x00"), ProtocolError::UnmaskedFrame);
        assert_eq!(error(Masking::Forbidden, b"\x81\x80\0\0\0\0"), ProtocolError::MaskedFrame);
    }

    proptest! {
        #[test]
        fn arbitrary_bytes_never_panic(mut bytes: Vec<u8>) {
            let mut reader = Reader::new(Masking::Optional);
            let mut input = Input::new(&mut bytes);
            while let Ok(Some(_)) = reader.next(&mut input) {}
        }
    }
}
