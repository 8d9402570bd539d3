//! WebSocket frames (RFC 6455 §5.2) as a client writes them and as it reads a server's.

use crate::Result;
use crate::engineio;

pub(crate) const TEXT: u8 = 1;
pub(crate) const BINARY: u8 = 2;
const CLOSE: u8 = 8;
const PING: u8 = 9;
const PONG: u8 = 10;

const FIN: u8 = 0x80;
/// "Per-Message Compressed" (RFC 7692 §6).
const RSV1: u8 = 0x40;
const MASKED: u8 = 0x80;

/// One key for all frames: servers must not care.
pub(crate) const KEY: [u8; 4] = [0x37, 0xfa, 0x21, 0x3d];

/// A whole message in one frame.
pub(crate) fn encode(opcode: u8, compressed: bool, key: Option<[u8; 4]>, payload: &[u8]) -> Vec<u8> {
    let mut frame = vec![FIN | opcode | if compressed { RSV1 } else { 0 }];
    let mask = if key.is_some() { MASKED } else { 0 };
    match payload.len() {
        length @ 0..126 => frame.push(mask | length as u8),
        length @ 126..65536 => {
            frame.push(mask | 126);
            frame.extend((length as u16).to_be_bytes());
        }
        length => {
            frame.push(mask | 127);
            frame.extend((length as u64).to_be_bytes());
        }
    }
    match key {
        None => frame.extend(payload),
        Some(key) => {
            frame.extend(key);
            frame.extend(payload.iter().zip(key.iter().cycle()).map(|(byte, key)| byte ^ key));
        }
    }
    frame
}

/// What a server said in whole.
#[derive(Debug)]
pub(crate) enum Heard<'a> {
    Message { opcode: u8, compressed: bool, payload: &'a [u8] },
    Ping(&'a [u8]),
}

impl Heard<'_> {
    /// The frame that answers a ping: one of WebSocket's, or of Engine.IO's where that is spoken.
    pub(crate) fn answer(&self, socketio: bool) -> Option<Vec<u8>> {
        match self {
            Self::Ping(payload) => Some(encode(PONG, false, Some(KEY), payload)),
            Self::Message { opcode: TEXT, payload: engineio::PING, .. } if socketio => {
                Some(encode(TEXT, false, Some(KEY), engineio::PONG))
            }
            Self::Message { .. } => None,
        }
    }
}

/// Puts a server's messages together, from pieces of any size.
#[derive(Debug, Default)]
pub(crate) struct Reader {
    /// What came of the current frame.
    frame: Vec<u8>,
    /// What came of the current message before the current frame: its opcode, RSV1, and payload.
    message: Option<(u8, bool, Vec<u8>)>,
}

impl Reader {
    /// Calls `hear` for all that these bytes complete.
    pub(crate) fn feed(&mut self, bytes: &[u8], mut hear: impl FnMut(Heard<'_>) -> Result<()>) -> Result<()> {
        // Only what is cut is copied.
        let mut begun = std::mem::take(&mut self.frame);
        let mut rest = bytes;
        if !begun.is_empty() {
            begun.extend_from_slice(bytes);
            rest = &begun;
        }
        while let Some((header, length)) = header(rest)? {
            if rest.len() < header + length {
                break;
            }
            let (frame, after) = rest.split_at(header + length);
            Self::complete(&mut self.message, frame[0], &frame[header..], &mut hear)?;
            rest = after;
        }
        self.frame.extend_from_slice(rest);
        Ok(())
    }

    /// Whether nothing has come of a next frame.
    pub(crate) fn is_between_frames(&self) -> bool {
        self.frame.is_empty()
    }

    fn complete(
        message: &mut Option<(u8, bool, Vec<u8>)>,
        first: u8,
        payload: &[u8],
        hear: &mut impl FnMut(Heard<'_>) -> Result<()>,
    ) -> Result<()> {
        let (fin, compressed, opcode) = (first & FIN != 0, first & RSV1 != 0, first & 15);
        match (opcode, message.as_mut()) {
            (CLOSE, _) => return Err("the server closed the connection".into()),
            (PING, _) => return hear(Heard::Ping(payload)),
            (PONG, _) => return Ok(()),
            (TEXT | BINARY, None) if fin => return hear(Heard::Message { opcode, compressed, payload }),
            (TEXT | BINARY, None) => *message = Some((opcode, compressed, payload.to_vec())),
            (0, Some((_, _, so_far))) => so_far.extend_from_slice(payload),
            _ => return Err(format!("a frame out of turn: {first:#04x}").into()),
        }
        if fin && let Some((opcode, compressed, payload)) = message.take() {
            hear(Heard::Message { opcode, compressed, payload: &payload })?;
        }
        Ok(())
    }
}

/// The lengths of a frame's header and payload, once the header is there.
fn header(bytes: &[u8]) -> Result<Option<(usize, usize)>> {
    let [_, second, rest @ ..] = bytes else { return Ok(None) };
    Ok(match *second {
        MASKED.. => return Err("a masked frame from a server".into()),
        127 => rest.first_chunk().map(|length| (10, u64::from_be_bytes(*length) as usize)),
        126 => rest.first_chunk().map(|length| (4, u16::from_be_bytes(*length).into())),
        length => Some((2, length.into())),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn heard(reader: &mut Reader, bytes: &[u8]) -> Vec<(u8, Vec<u8>)> {
        let mut all = Vec::new();
        reader
            .feed(bytes, |heard| {
                all.push(match heard {
                    Heard::Message { opcode, payload, .. } => (opcode, payload.to_vec()),
                    Heard::Ping(payload) => (PING, payload.to_vec()),
                });
                Ok(())
            })
            .expect("a stream without faults");
        all
    }

    #[test]
    fn messages_come_whole_however_they_are_cut() {
        for length in [0, 125, 126, 65535, 65536] {
            let payload = crate::payload::json(length, 1);
            let frame = encode(BINARY, false, None, &payload);
            let mut reader = Reader::default();
            let mut all = Vec::new();
            for piece in frame.chunks(7) {
                all.extend(heard(&mut reader, piece));
            }
            assert_eq!(all, [(BINARY, payload)]);
        }
    }

    #[test]
    fn fragments_are_joined_around_a_ping() {
        let bytes = [&[TEXT, 1, b'a'][..], &[FIN | PING, 1, b'?'], &[FIN, 1, b'b']].concat();
        assert_eq!(heard(&mut Reader::default(), &bytes), [(PING, b"?".to_vec()), (TEXT, b"ab".to_vec())]);
    }

    #[test]
    fn pings_are_answered_where_they_are_pings() {
        let engine_ping = Heard::Message { opcode: TEXT, compressed: false, payload: b"2" };
        assert_eq!(engine_ping.answer(true), Some(encode(TEXT, false, Some(KEY), b"3")));
        assert_eq!(engine_ping.answer(false), None);
        assert_eq!(Heard::Message { opcode: TEXT, compressed: false, payload: b"22" }.answer(true), None);
        assert_eq!(Heard::Ping(b"?").answer(true), Some(encode(PONG, false, Some(KEY), b"?")));
    }

    #[test]
    fn a_masked_frame_and_a_close_are_faults() {
        for bytes in [encode(TEXT, false, Some(KEY), b"a"), encode(CLOSE, false, None, &[])] {
            assert!(Reader::default().feed(&bytes, |_| Ok(())).is_err());
        }
    }
}
