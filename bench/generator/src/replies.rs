//! What one connection heard, compared with what it should hear: the first reply in full and the rest by count, or
//! every one in full.

use flate2::{Decompress, FlushDecompress, Status};

use crate::Result;
use crate::frame::{Heard, Reader};
use crate::script::Script;
use crate::settings::Settings;

#[derive(Debug)]
pub(crate) struct Replies {
    /// Replies that came in whole.
    pub(crate) count: u64,
    /// Bytes of their payloads, as they were on the wire.
    pub(crate) wire_bytes: u64,
    how: How,
}

#[derive(Debug)]
enum How {
    /// All replies are the same bytes. `first` is what came of the first, until that was compared.
    Counted { received: u64, first: Option<Vec<u8>> },
    /// Every byte is compared with the same reply.
    Compared { received: u64 },
    /// Frames are told apart, and payloads compared, of the first reply or of all.
    Read { reader: Reader, inflater: Option<Box<Decompress>>, all: bool, socketio: bool },
}

impl Replies {
    pub(crate) fn new(settings: &Settings) -> Self {
        let how = match settings {
            // Only a frame reader sees the pings that come to those who wait, or whose server runs very slowly so that
            // it can be counted; and those of Engine.IO, of which there may be one at once.
            Settings { raw: false, deflate, check, messages, socketio, .. }
                if *deflate
                    || *check
                    || messages.is_some()
                    || socketio.is_some()
                    || matches!(settings.load, crate::Load::Idle) =>
            {
                let inflater = deflate.then(|| Box::new(Decompress::new(false)));
                let socketio = socketio.is_some();
                How::Read { reader: Reader::default(), inflater, all: *check || socketio, socketio }
            }
            Settings { check: true, .. } => How::Compared { received: 0 },
            _ => How::Counted { received: 0, first: Some(Vec::new()) },
        };
        Self { count: 0, wire_bytes: 0, how }
    }

    /// Whether nobody will look at the bytes: only their number counts.
    pub(crate) fn are_only_counted(&self) -> bool {
        matches!(self.how, How::Counted { first: None, .. })
    }

    /// So many bytes came that were not looked at.
    pub(crate) fn skip(&mut self, bytes: usize, script: &Script) -> u64 {
        match (&mut self.how, &script.frame) {
            (How::Counted { received, .. }, Some(reply)) => {
                *received += bytes as u64;
                let before = std::mem::replace(&mut self.count, *received / reply.len() as u64);
                self.count - before
            }
            _ => unreachable!("only counted replies are skipped"),
        }
    }

    /// These bytes came. Returns the replies they complete; the frames that answer pings go to `answers`.
    pub(crate) fn take(&mut self, bytes: &[u8], script: &Script, answers: &mut Vec<Vec<u8>>) -> Result<u64> {
        let before = self.count;
        match (&mut self.how, &script.frame) {
            (How::Counted { received, first }, Some(reply)) => {
                count(*received, first, bytes, reply)?;
                *received += bytes.len() as u64;
                self.count = *received / reply.len() as u64;
            }
            (How::Compared { received }, Some(reply)) => {
                let start = (*received % reply.len() as u64) as usize;
                if bytes.iter().zip(reply.iter().cycle().skip(start)).any(|(got, wanted)| got != wanted) {
                    return Err(format!("reply {} differs", self.count).into());
                }
                *received += bytes.len() as u64;
                self.count = *received / reply.len() as u64;
            }
            (How::Read { reader, inflater, all, socketio }, _) => {
                let (count, wire_bytes) = (&mut self.count, &mut self.wire_bytes);
                reader.feed(bytes, |heard| {
                    if let Some(answer) = heard.answer(*socketio) {
                        answers.push(answer);
                    } else if let Heard::Message { opcode, compressed, payload } = heard {
                        if *all || *count == 0 {
                            let inflater = match (compressed, inflater.as_deref_mut()) {
                                (false, _) => None,
                                (true, Some(inflater)) => Some(inflater),
                                (true, None) => return Err("a compressed reply that nobody asked for".into()),
                            };
                            compare(script, *count, opcode, inflater, payload)?;
                        }
                        *count += 1;
                        *wire_bytes += payload.len() as u64;
                    }
                    Ok(())
                })?;
            }
            _ => unreachable!("compressed replies are read"),
        }
        Ok(self.count - before)
    }
}

/// Compares the first reply, and of the rest the start of the first that begins here.
fn count(received: u64, first: &mut Option<Vec<u8>>, bytes: &[u8], reply: &[u8]) -> Result<()> {
    if let Some(so_far) = first {
        so_far.extend_from_slice(bytes);
        if so_far.len() >= reply.len() {
            if so_far[..reply.len()] != *reply {
                let length = so_far.len().min(40);
                return Err(format!("the first reply differs: {:?}… for {:?}…", &so_far[..length], &reply[..2]).into());
            }
            *first = None;
        }
        return Ok(());
    }
    let length = reply.len() as u64;
    let offset = ((length - received % length) % length) as usize;
    match bytes.get(offset..offset + 2) {
        Some(start) if start != &reply[..2] => Err("a reply out of step".into()),
        _ => Ok(()),
    }
}

/// Compares a message with the one that is due. An inflater says that it came compressed.
fn compare(script: &Script, number: u64, opcode: u8, inflater: Option<&mut Decompress>, payload: &[u8]) -> Result<()> {
    let due = script.reply(number);
    let same = match inflater {
        None => payload == due,
        Some(inflater) => inflate(inflater, payload, due.len())? == due,
    };
    if opcode != script.opcode || !same {
        return Err(format!("reply {number} differs").into());
    }
    Ok(())
}

/// RFC 7692 §7.2.2. The context is kept: a server that takes none over never refers to it.
fn inflate(inflater: &mut Decompress, payload: &[u8], length: usize) -> Result<Vec<u8>> {
    let input = [payload, &[0, 0, 0xff, 0xff]].concat();
    // A byte more than is due, so that a reply too long is seen.
    let mut inflated = Vec::with_capacity(length + 1);
    let before = inflater.total_in();
    let status = inflater.decompress_vec(&input, &mut inflated, FlushDecompress::Sync)?;
    if status == Status::StreamEnd {
        // §7.2.3.4: a final block ends the stream, but not the conversation.
        inflater.reset(false);
    } else if inflater.total_in() - before != input.len() as u64 {
        return Err("a reply that is not DEFLATE, or too long".into());
    }
    Ok(inflated)
}
