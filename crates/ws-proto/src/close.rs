//! Close codes and the body of a Close frame (RFC 6455 §5.5.1 and §7.4).

use std::fmt;

use crate::error::{ProtocolError, SendError};
use crate::utf8::Utf8Bytes;

/// The longest reason that fits a Close frame: 125 bytes of control payload less the code.
pub const MAX_REASON: usize = 123;

/// A close code as the field knows it: any `u16`, with the registered ones named (RFC 6455 §7.4.1 and the IANA
/// registry).
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct CloseCode(pub u16);

impl CloseCode {
    /// 1000: the purpose of the connection is fulfilled.
    pub const NORMAL: Self = Self(1000);
    /// 1001: the server goes down, or the browser leaves the page.
    pub const GOING_AWAY: Self = Self(1001);
    /// 1002: the peer broke the protocol.
    pub const PROTOCOL_ERROR: Self = Self(1002);
    /// 1003: the peer sent a type of data that is not accepted here.
    pub const UNSUPPORTED: Self = Self(1003);
    /// 1005: the Close frame had no code. Never on the wire.
    pub const NO_STATUS: Self = Self(1005);
    /// 1006: the connection ended without a Close frame. Never on the wire.
    pub const ABNORMAL: Self = Self(1006);
    /// 1007: the data does not fit its type, for instance text that is not UTF-8.
    pub const INVALID_DATA: Self = Self(1007);
    /// 1008: the peer broke a policy.
    pub const POLICY: Self = Self(1008);
    /// 1009: the message is too big.
    pub const TOO_BIG: Self = Self(1009);
    /// 1010: the client needed an extension that the server did not negotiate.
    pub const EXTENSION_REQUIRED: Self = Self(1010);
    /// 1011: the server met an error of its own.
    pub const INTERNAL: Self = Self(1011);
    /// 1012: the service restarts.
    pub const SERVICE_RESTART: Self = Self(1012);
    /// 1013: try again later.
    pub const TRY_AGAIN_LATER: Self = Self(1013);
    /// 1014: a gateway got a bad answer from upstream.
    pub const BAD_GATEWAY: Self = Self(1014);
    /// 1015: the TLS handshake failed. Never on the wire.
    pub const TLS: Self = Self(1015);

    /// Whether the code may stand in a Close frame: 1000–1014 as registered, without the three that only report
    /// (1004–1006), and 3000–4999. "1005 is a reserved value and MUST NOT be set as a status code in a Close control
    /// frame" (§7.4.1), likewise 1006 and 1015; 1016–2999 are kept for revisions of the protocol (§7.4.2).
    #[must_use]
    pub const fn is_sendable(self) -> bool {
        matches!(self.0, 1000..=1003 | 1007..=1014 | 3000..=4999)
    }
}

impl From<u16> for CloseCode {
    fn from(code: u16) -> Self {
        Self(code)
    }
}

impl From<CloseCode> for u16 {
    fn from(code: CloseCode) -> Self {
        code.0
    }
}

impl fmt::Display for CloseCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl fmt::Debug for CloseCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "CloseCode({})", self.0)
    }
}

/// What a Close frame said. A frame without a code reads as [`CloseCode::NO_STATUS`] with an empty reason.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CloseFrame {
    /// The code, 1005 when the frame was empty.
    pub code: CloseCode,
    /// The reason, at most 123 bytes.
    pub reason: Utf8Bytes,
}

impl CloseFrame {
    /// A frame to send. A reason longer than 123 bytes is cut at a character boundary.
    ///
    /// # Errors
    /// [`SendError::InvalidCloseCode`] when the code may not be sent. 1005 stands for a frame without a code.
    pub fn new(code: CloseCode, reason: &str) -> Result<Self, SendError> {
        if code == CloseCode::NO_STATUS {
            return Ok(Self { code, reason: Utf8Bytes::default() });
        }
        if !code.is_sendable() {
            return Err(SendError::InvalidCloseCode(code.0));
        }
        let cut = reason.floor_char_boundary_at(MAX_REASON);
        Ok(Self { code, reason: Utf8Bytes::from(&reason[..cut]) })
    }

    /// Reads the body of a Close frame.
    ///
    /// # Errors
    /// A body of one byte, a code that may not be sent, or a reason that is not UTF-8.
    pub fn parse(body: &[u8]) -> Result<Self, ProtocolError> {
        let (code, reason) = match body {
            [] => return Ok(Self { code: CloseCode::NO_STATUS, reason: Utf8Bytes::default() }),
            [_] => return Err(ProtocolError::CloseTooShort),
            [high, low, reason @ ..] => (CloseCode(u16::from_be_bytes([*high, *low])), reason),
        };
        if !code.is_sendable() {
            return Err(ProtocolError::InvalidCloseCode(code.0));
        }
        let reason = simdutf8::basic::from_utf8(reason).map_err(|_| ProtocolError::InvalidUtf8)?;
        Ok(Self { code, reason: Utf8Bytes::from(reason) })
    }

    /// Appends the body of the frame: nothing for 1005, else the code and the reason.
    pub(crate) fn write(&self, body: &mut Vec<u8>) {
        if self.code != CloseCode::NO_STATUS {
            body.extend_from_slice(&self.code.0.to_be_bytes());
            body.extend_from_slice(self.reason.as_bytes());
        }
    }
}

/// `str::floor_char_boundary`, which is newer than the oldest compiler we support.
trait FloorCharBoundary {
    fn floor_char_boundary_at(&self, at: usize) -> usize;
}

impl FloorCharBoundary for str {
    fn floor_char_boundary_at(&self, at: usize) -> usize {
        if at >= self.len() {
            return self.len();
        }
        (0..=at).rev().find(|&i| self.is_char_boundary(i)).unwrap_or(0)
    }
}
