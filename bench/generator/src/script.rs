//! What every connection sends, over and over, and what must come back.

use flate2::{Compress, Compression, FlushCompress};

use crate::frame::{self, KEY};
use crate::payload::{json, prose};
use crate::settings::Settings;
use crate::socketio;

const SEED: u32 = 12345;
/// Compressed messages differ, up to this many bytes of them: more than a window of 32 KiB, so that a context that is
/// taken over holds no whole earlier message.
const DISTINCT: usize = 128 << 10;

#[derive(Debug)]
pub(crate) struct Script {
    /// Frames end to end, sent round and round.
    frames: Vec<u8>,
    /// The length of each frame in turn; one entry when all are alike.
    lengths: Vec<usize>,
    pub(crate) opcode: u8,
    /// The payload of each message in turn, one entry when all are alike: for those who send no frames.
    requests: Vec<Vec<u8>>,
    /// The payload of each reply, likewise.
    replies: Vec<Vec<u8>>,
    /// The frame of every reply, when the server has no choice about it.
    pub(crate) frame: Option<Vec<u8>>,
}

/// Where a connection is in the script.
#[derive(Debug, Default)]
pub(crate) struct Place {
    /// Bytes queued and not sent.
    pub(crate) unsent: usize,
    position: usize,
    next: usize,
}

impl Script {
    pub(crate) fn new(settings: &Settings) -> Self {
        let opcode = if settings.binary { frame::BINARY } else { frame::TEXT };
        match settings {
            Settings { socketio: Some(_), .. } => Self::socketio(settings),
            Settings { deflate: true, .. } => Self::deflated(settings, opcode),
            _ => Self::plain(settings, opcode),
        }
    }

    fn plain(settings: &Settings, opcode: u8) -> Self {
        let payload = json(settings.size, SEED);
        let request = frame::encode(opcode, false, Some(KEY), &payload);
        let reply = match settings.raw {
            true => request.clone(),
            false => frame::encode(opcode, false, None, &payload),
        };
        Self {
            lengths: vec![request.len()],
            frames: repeated(&request),
            opcode,
            requests: vec![payload.clone()],
            replies: vec![payload],
            frame: Some(reply),
        }
    }

    fn socketio(settings: &Settings) -> Self {
        let argument = prose(settings.size, SEED);
        let (requests, replies): (Vec<_>, Vec<_>) = match settings.is_heard_by_all() {
            true => std::iter::once(socketio::broadcast(&argument)).unzip(),
            false => socketio::acknowledged(&argument).unzip(),
        };
        let frames: Vec<_> = requests.iter().map(|it| frame::encode(frame::TEXT, false, Some(KEY), it)).collect();
        Self {
            lengths: frames.iter().map(Vec::len).collect(),
            frames: repeated(&frames.concat()),
            opcode: frame::TEXT,
            requests,
            replies,
            frame: None,
        }
    }

    fn deflated(settings: &Settings, opcode: u8) -> Self {
        let count = (DISTINCT / settings.size).clamp(4, 256) as u32;
        let payloads: Vec<_> = (0..count).map(|number| json(settings.size, SEED + 7919 * number)).collect();
        let frames: Vec<_> =
            payloads.iter().map(|payload| frame::encode(opcode, true, Some(KEY), &deflate(payload))).collect();
        let lengths = frames.iter().map(Vec::len).collect();
        Self { frames: frames.concat(), lengths, opcode, requests: payloads.clone(), replies: payloads, frame: None }
    }

    /// What the message of this number says.
    pub(crate) fn request(&self, number: u64) -> &[u8] {
        &self.requests[number as usize % self.requests.len()]
    }

    /// What the reply of this number must say.
    pub(crate) fn reply(&self, number: u64) -> &[u8] {
        &self.replies[number as usize % self.replies.len()]
    }

    /// So many more messages are to be sent.
    pub(crate) fn queue(&self, place: &mut Place, messages: u64) {
        if let [length] = self.lengths[..] {
            place.unsent += length * messages as usize;
            return;
        }
        for _ in 0..messages {
            place.unsent += self.lengths[place.next];
            place.next = (place.next + 1) % self.lengths.len();
        }
    }

    /// What is to be sent next, in one piece.
    pub(crate) fn unsent(&self, place: &Place) -> &[u8] {
        let length = (self.frames.len() - place.position).min(place.unsent);
        &self.frames[place.position..place.position + length]
    }

    /// So many bytes were sent.
    pub(crate) fn sent(&self, place: &mut Place, bytes: usize) {
        place.unsent -= bytes;
        place.position = (place.position + bytes) % self.frames.len();
        if let (0, [length]) = (place.unsent, &self.lengths[..]) {
            // Back to the start: the next batch goes out in one piece.
            place.position %= length;
        }
    }
}

/// Enough of them that a batch goes out in one write.
fn repeated(frames: &[u8]) -> Vec<u8> {
    frames.repeat(((64 << 10) / frames.len() + 1).clamp(2, 64))
}

/// RFC 7692 §7.2.1, without context takeover.
fn deflate(payload: &[u8]) -> Vec<u8> {
    let mut deflated = Vec::with_capacity(payload.len() + 256);
    Compress::new(Compression::default(), false)
        .compress_vec(payload, &mut deflated, FlushCompress::Sync)
        .expect("room for it all");
    assert!(deflated.ends_with(&[0, 0, 0xff, 0xff]), "a flush ends with an empty block");
    deflated.truncate(deflated.len() - 4);
    deflated
}
