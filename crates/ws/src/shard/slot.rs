//! One connection of a shard: a socket, its session, and what little it needs between turns.

use std::io::{self, IoSlice};
use std::sync::Arc;
use std::task::{Context, Waker};

use switchboard_hub::SlotId;
use switchboard_ws_proto::{Connection, Disconnect, Output};

use crate::backlog::Backlog;
use crate::driver::SLICES;
use crate::handler::Handler;
use crate::parcel::Parcel;
use crate::session::Session;
use crate::turn::Turn;

use super::mailbox::{Rouse, SlotWaker};
use super::transport::Socket;
use super::wheel::Tick;

/// So many reads has a turn at most, when a long message keeps coming. Most come with two.
const READS: usize = 8;

/// A connection on its way into a shard.
pub(crate) struct NewSlot {
    pub(crate) socket: Socket,
    pub(crate) session: Session<Box<dyn Handler>>,
    /// The answer to the handshake, where it was not given yet.
    pub(crate) answer: Vec<u8>,
    /// What the handler has sent before there was a transport.
    pub(crate) said: Backlog,
    /// Bytes that came together with the handshake.
    pub(crate) leftover: Vec<u8>,
    /// What is known of bytes that were not read.
    pub(crate) unread: Unread,
}

/// What the kernel has told of a socket, and will not tell again.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Unread {
    /// There may be something to read.
    pub(super) readable: bool,
    /// The peer, or the network, has ended the stream: what is unread may have no further news to announce it.
    pub(super) hung_up: bool,
}

/// What a connection begins with.
pub(super) struct First {
    answer: Vec<u8>,
    leftover: Vec<u8>,
}

pub(super) struct Slot {
    pub(super) socket: Socket,
    pub(super) session: Session<Box<dyn Handler>>,
    /// Output that the kernel refused. The shard's own output is used while there is none.
    backlog: Backlog,
    waker: Option<Arc<SlotWaker>>,
    /// When the wheel will name this connection next.
    pub(super) armed: Tick,
    generation: u32,
    unread: Unread,
    /// A long message is being read, or was the last to be: the next may be as long.
    sends_long: bool,
    shut_down: bool,
}

/// Where a slot is in its shard.
#[derive(Clone, Copy)]
pub(super) struct At<'a> {
    pub(super) mailbox: &'a Arc<dyn Rouse>,
    pub(super) key: usize,
}

/// A key of the shard's, as the wheel and the hub name it. There are fewer descriptors than this could count.
pub(super) fn index(key: usize) -> u32 {
    u32::try_from(key).expect("no process has four thousand million sockets")
}

/// What a turn came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Next {
    /// It waits for the kernel, or for somebody.
    Waits,
    /// It filled the read buffer: there may be more to read.
    MayRead,
    /// It is over.
    Over,
}

impl Slot {
    pub(super) fn new(new: NewSlot, generation: u32) -> (Self, First) {
        let NewSlot { socket, mut session, answer, said, leftover, unread } = new;
        session.enter();
        session.config().connections().enter_unseated();
        let slot = Self {
            socket,
            session,
            backlog: said,
            waker: None,
            armed: Tick::NEVER,
            generation,
            unread,
            sends_long: false,
            shut_down: false,
        };
        (slot, First { answer, leftover })
    }

    /// The kernel says that there is something to read, or that nothing more will come.
    pub(super) fn set_readable(&mut self, hung_up: bool) {
        self.unread.readable = true;
        self.unread.hung_up |= hung_up;
    }

    /// The first turn.
    pub(super) fn open(&mut self, first: First, at: At<'_>, turn: &mut Turn) -> Next {
        let First { answer, mut leftover } = first;
        self.backlog.lend(&mut turn.out);
        // It leaves with what the handler says, before that and after the call: the client is to know of nothing that
        // the handler does not.
        turn.out.extend(&answer);
        self.session.open(turn);
        self.session.received(&mut leftover, turn);
        let before = turn.tally.bytes_out;
        let result = self.write_all(at, turn);
        // Counted is what comes after the handshake.
        turn.tally.bytes_out -= (turn.tally.bytes_out - before).min(answer.len() as u64);
        self.conclude(result, turn)
    }

    /// One turn: one read, or those of one long message, then all that they brought about in as few writes as can be.
    /// `due`: a deadline has passed, and is acted on before.
    pub(super) fn drive(&mut self, due: bool, buffer: &mut [u8], at: At<'_>, turn: &mut Turn) -> Next {
        if let Some(waker) = &self.waker {
            waker.driven();
        }
        self.backlog.lend(&mut turn.out);
        if due {
            self.session.timeout(turn);
        }
        let result = self.read(buffer, turn).and_then(|()| self.write_all(at, turn));
        self.conclude(result, turn)
    }

    /// Messages that were published to this connection, written together.
    pub(super) fn publish<'p>(
        &mut self,
        parcels: impl Iterator<Item = &'p Parcel>,
        at: At<'_>,
        turn: &mut Turn,
    ) -> Next {
        self.backlog.lend(&mut turn.out);
        for parcel in parcels {
            self.session.publish(parcel, turn);
        }
        let result = self.write_all(at, turn);
        self.conclude(result, turn)
    }

    /// Who has this place now, unlike whoever had it before.
    pub(super) fn id(&self, key: usize) -> SlotId {
        SlotId { key: index(key), generation: self.generation }
    }

    /// Reads once. Of a long message the rest is read at once, if it is there: the buffer that it lies in is warm, and
    /// is free for the next connection when this turn is over.
    fn read(&mut self, buffer: &mut [u8], turn: &mut Turn) -> io::Result<()> {
        for _ in 0..READS {
            if !self.session.wants_read(turn.out.len()) || self.session.disconnect() == Disconnect::Now {
                break;
            }
            if self.session.has_unheard() {
                self.session.hear_more(turn);
                break;
            }
            if !self.unread.readable {
                break;
            }
            self.read_once(buffer, turn)?;
            if !self.sends_long || self.session.room().is_none() {
                break;
            }
        }
        Ok(())
    }

    fn read_once(&mut self, buffer: &mut [u8], turn: &mut Turn) -> io::Result<()> {
        let was_long = self.sends_long && self.session.is_reading_long();
        let room = was_long.then(|| self.session.room()).flatten();
        let (read, wanted, in_room) = match room {
            Some(room) => (self.socket.read(room), room.len(), true),
            None => {
                // What is read to the shared buffer of a long message must be copied.
                let wanted = if self.sends_long { Connection::LONG_HEAD } else { buffer.len() };
                let wanted = wanted.min(self.session.reads_at_most(turn.out.len()));
                (self.socket.read(&mut buffer[..wanted]), wanted, false)
            }
        };
        match read {
            Ok(0) => {
                self.unread.readable = false;
                self.session.eof();
            }
            Ok(count) => {
                // A short read means that the kernel has no more; it will tell of what comes later. Only the end of the
                // stream may have been told already, together with these bytes.
                self.unread.readable = count == wanted || self.unread.hung_up;
                match in_room {
                    true => self.session.received_in_room(count, turn),
                    false => self.session.received(&mut buffer[..count], turn),
                }
                self.sends_long = was_long || self.session.is_reading_long();
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => self.unread.readable = false,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
        Ok(())
    }

    /// Encodes and writes until nothing is left or the kernel has enough.
    #[inline]
    fn write_all(&mut self, at: At<'_>, turn: &mut Turn) -> io::Result<()> {
        loop {
            // Asked each time: the handler may have made a handle in `on_drain`, or a backlog its link.
            let more = if self.session.is_linked() {
                let waker = self.waker.get_or_insert_with(|| SlotWaker::new(at.mailbox, at.key)).waker();
                self.write_once(&mut Context::from_waker(&waker), turn)
            } else {
                self.write_once(&mut Context::from_waker(Waker::noop()), turn)
            };
            if !more? {
                return Ok(());
            }
        }
    }

    /// `true`: there is more to encode, or may be.
    #[inline]
    fn write_once(&mut self, cx: &mut Context<'_>, turn: &mut Turn) -> io::Result<bool> {
        self.session.pump(cx, turn);
        let waited = turn.out.len();
        if waited == 0 {
            return Ok(false);
        }
        while !turn.out.is_empty() {
            match self.write(&turn.out) {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(count) => turn.out.advance(count),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(self.session.wrote(waited - turn.out.len(), false, turn))
    }

    fn write(&mut self, out: &Output) -> io::Result<usize> {
        if let Some(bytes) = out.as_one_slice() {
            return self.socket.write(bytes);
        }
        let mut slices = [IoSlice::new(&[]); SLICES];
        let filled = out.slices(&mut slices);
        self.socket.write_vectored(&slices[..filled])
    }

    /// What comes next. Keeps what the kernel refused, so that the shard's output is empty for the next connection.
    fn conclude(&mut self, result: io::Result<()>, turn: &mut Turn) -> Next {
        self.backlog.keep(&mut turn.out, self.session.config().get_budget());
        if let Err(error) = result {
            self.session.failed(error);
            return Next::Over;
        }
        match self.session.disconnect() {
            Disconnect::Now => return Next::Over,
            disconnect @ (Disconnect::AfterFlush | Disconnect::Linger) if self.backlog.is_empty() => {
                if !std::mem::replace(&mut self.shut_down, true) {
                    self.socket.shut_down();
                }
                if disconnect == Disconnect::AfterFlush {
                    return Next::Over;
                }
            }
            _ => {}
        }
        let may_read = self.unread.readable || self.session.has_unheard();
        if may_read && self.session.wants_read(self.backlog.len()) { Next::MayRead } else { Next::Waits }
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        self.session.config().connections().leave();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What an idle connection costs, but for its handler and the [`Info`](crate::Info) of its handshake.
    #[test]
    fn an_idle_slot_is_small() {
        assert!(size_of::<Slot>() <= 248, "{} bytes", size_of::<Slot>());
    }
}
