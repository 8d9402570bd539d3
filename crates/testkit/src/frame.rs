//! A language of frames: `frame::text("hi").masked()`, `frame::continuation("!").fin(false)`. It can write what the
//! protocol forbids, and reads whatever is well-formed.

use std::fmt;

/// The masking key of all frames that [`Frame::masked`] makes.
pub const KEY: [u8; 4] = [0x37, 0xfa, 0x21, 0x3d];

/// A frame, right or wrong, with its payload unmasked.
#[derive(Clone, PartialEq, Eq)]
pub struct Frame {
    /// The first byte: FIN, RSV1–3 and the opcode.
    pub first: u8,
    /// The key, when masked.
    pub mask: Option<[u8; 4]>,
    /// The payload, unmasked.
    pub payload: Vec<u8>,
}

/// A text frame.
#[must_use]
pub fn text(payload: impl AsRef<[u8]>) -> Frame {
    raw(0x81, payload)
}

/// A binary frame.
#[must_use]
pub fn binary(payload: impl AsRef<[u8]>) -> Frame {
    raw(0x82, payload)
}

/// A continuation frame with FIN.
#[must_use]
pub fn continuation(payload: impl AsRef<[u8]>) -> Frame {
    raw(0x80, payload)
}

/// A ping.
#[must_use]
pub fn ping(payload: impl AsRef<[u8]>) -> Frame {
    raw(0x89, payload)
}

/// A pong.
#[must_use]
pub fn pong(payload: impl AsRef<[u8]>) -> Frame {
    raw(0x8a, payload)
}

/// A Close frame.
#[must_use]
pub fn close(code: u16, reason: &str) -> Frame {
    raw(0x88, [&code.to_be_bytes(), reason.as_bytes()].concat())
}

/// A Close frame without a code.
#[must_use]
pub fn empty_close() -> Frame {
    raw(0x88, "")
}

/// A frame with any first byte.
#[must_use]
pub fn raw(first: u8, payload: impl AsRef<[u8]>) -> Frame {
    Frame { first, mask: None, payload: payload.as_ref().to_vec() }
}

impl Frame {
    /// The same frame, masked, as a client sends it.
    #[must_use]
    pub fn masked(mut self) -> Self {
        self.mask = Some(KEY);
        self
    }

    /// The same frame with FIN set or not.
    #[must_use]
    pub fn fin(mut self, fin: bool) -> Self {
        self.first = self.first & 0x7f | u8::from(fin) << 7;
        self
    }

    /// The same frame with RSV1 set.
    #[must_use]
    pub fn rsv1(mut self) -> Self {
        self.first |= 0x40;
        self
    }

    /// The bytes on the wire.
    #[must_use]
    pub fn bytes(&self) -> Vec<u8> {
        let mask_bit = u8::from(self.mask.is_some()) << 7;
        let mut bytes = vec![self.first];
        match self.payload.len() {
            len @ ..126 => bytes.push(mask_bit | u8::try_from(len).expect("below 126")),
            len => match u16::try_from(len) {
                Ok(len) => {
                    bytes.push(mask_bit | 126);
                    bytes.extend(len.to_be_bytes());
                }
                Err(_) => {
                    bytes.push(mask_bit | 127);
                    bytes.extend((len as u64).to_be_bytes());
                }
            },
        }
        bytes.extend(self.mask.iter().flatten());
        let key = self.mask.unwrap_or_default();
        bytes.extend(self.payload.iter().zip(key.iter().cycle()).map(|(byte, key)| byte ^ key));
        bytes
    }

    /// Reads the frames in `bytes`, which must be whole.
    ///
    /// # Panics
    /// When they are not.
    #[must_use]
    pub fn parse_all(mut bytes: &[u8]) -> Vec<Self> {
        let mut frames = Vec::new();
        while !bytes.is_empty() {
            let (frame, rest) = Self::parse(bytes);
            frames.push(frame);
            bytes = rest;
        }
        frames
    }

    fn parse(bytes: &[u8]) -> (Self, &[u8]) {
        let (first, second) = (bytes[0], bytes[1]);
        let (len, rest) = match second & 0x7f {
            126 => (usize::from(u16::from_be_bytes([bytes[2], bytes[3]])), &bytes[4..]),
            127 => {
                let (len, rest) = bytes[2..].split_first_chunk::<8>().expect("a long length has eight bytes");
                (usize::try_from(u64::from_be_bytes(*len)).expect("the frame is in memory"), rest)
            }
            len => (usize::from(len), &bytes[2..]),
        };
        let (mask, rest) = match second & 0x80 {
            0 => (None, rest),
            _ => rest.split_first_chunk::<4>().map(|(key, rest)| (Some(*key), rest)).expect("a key has four bytes"),
        };
        let key = mask.unwrap_or_default();
        let payload = rest[..len].iter().zip(key.iter().cycle()).map(|(byte, key)| byte ^ key).collect();
        (Self { first, mask, payload }, &rest[len..])
    }
}

impl fmt::Debug for Frame {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "[{:02x}", self.first)?;
        if self.mask.is_some() {
            f.write_str(" masked")?;
        }
        let start = &self.payload[..self.payload.len().min(60)];
        write!(f, " {}: {:?}]", self.payload.len(), String::from_utf8_lossy(start))
    }
}
