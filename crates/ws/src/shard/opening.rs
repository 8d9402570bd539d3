//! A client in its opening handshake on a shard. It either becomes a connection in the same slot, or leaves the shard
//! as a visitor of the gate's.

use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use http::Request;
use mio::event::Source;
use switchboard_budget::{Hold, Part};
use switchboard_ws_proto::Connection;
use switchboard_ws_proto::handshake::{Parsed, ServerHandshake, encode_response};

use crate::backlog::Backlog;
use crate::config::Config;
use crate::gate::{Gate, Pass, Reason, Verdict, Visitor, judge};
use crate::info::PeerAddr;
use crate::session::Session;

use super::slot::{NewSlot, Unread};
use super::transport::Socket;
use super::wheel::Tick;

pub(super) struct Opening {
    socket: Socket,
    peer: PeerAddr,
    pass: Pass,
    machine: ServerHandshake,
    /// What came of a head that did not come at once.
    read: Vec<u8>,
    /// Of that, and of as much in the machine.
    hold: Hold,
    door: Arc<Door>,
    /// When the wheel will name this client next.
    pub(super) armed: Tick,
    hung_up: bool,
}

/// What all clients of a listener have in common.
pub(crate) struct Door {
    pub(crate) config: Config,
    pub(crate) gate: Arc<dyn Gate>,
    /// Nobody comes in any more, not even those who were accepted and are on their way to another shard.
    shut: AtomicBool,
}

impl Door {
    pub(crate) fn new(config: Config, gate: Arc<dyn Gate>) -> Self {
        Self { config, gate, shut: AtomicBool::new(false) }
    }

    pub(super) fn shut(&self) {
        self.shut.store(true, Ordering::Release);
    }

    pub(super) fn is_shut(&self) -> bool {
        self.shut.load(Ordering::Acquire)
    }
}

/// What comes after a read.
pub(super) enum Step {
    /// More must come.
    Waits(Box<Opening>),
    /// The handshake is done.
    Opened(Box<NewSlot>),
    /// The client was taken elsewhere, or is gone.
    Left,
}

impl Opening {
    pub(super) fn new(socket: Socket, peer: PeerAddr, pass: Pass, door: &Arc<Door>, now: Instant) -> Self {
        let machine = ServerHandshake::new(&door.config.get_handshake().limits, now);
        Self {
            socket,
            peer,
            pass,
            machine,
            read: Vec::new(),
            hold: door.config.get_budget().hold(Part::Connections),
            door: Arc::clone(door),
            armed: Tick::NEVER,
            hung_up: false,
        }
    }

    pub(super) fn socket(&mut self) -> &mut Socket {
        &mut self.socket
    }

    /// The kernel says that nothing more will come. What has come may be a whole request, with more behind it.
    pub(super) fn set_hung_up(&mut self) {
        self.hung_up = true;
    }

    /// Whether it came by this door and has said nothing yet.
    pub(super) fn is_idle_at(&self, door: &Arc<Door>) -> bool {
        Arc::ptr_eq(&self.door, door) && self.read.is_empty()
    }

    pub(super) fn deadline(&self) -> Option<Instant> {
        self.machine.poll_timeout()
    }

    /// The kernel says that there is something to read. `forget` has the poller let go of a socket that leaves.
    pub(super) fn drive(
        mut self: Box<Self>,
        buffer: &mut [u8],
        now: Instant,
        forget: impl FnOnce(&mut dyn Source),
    ) -> Step {
        loop {
            match self.socket.read(buffer) {
                Ok(0) => return self.lost(),
                Ok(count) => match self.machine.receive(&buffer[..count]) {
                    Ok(None) => {
                        self.read.extend_from_slice(&buffer[..count]);
                        self.hold.set(2 * self.read.capacity());
                    }
                    Ok(Some(Parsed { head, consumed })) => {
                        // The news of whatever was not read has been taken with this.
                        let unread = Unread { readable: count == buffer.len() || self.hung_up, hung_up: self.hung_up };
                        return self.judge(head, &buffer[..count], consumed, unread, now, forget);
                    }
                    Err(rejection) => {
                        self.read.extend_from_slice(&buffer[..count]);
                        return self.leave(Reason::NotForUs(rejection), forget);
                    }
                },
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Step::Waits(self),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(_) => return self.lost(),
            }
        }
    }

    /// The deadline may have passed.
    pub(super) fn timeout(self: Box<Self>, now: Instant, forget: impl FnOnce(&mut dyn Source)) -> Step {
        match self.machine.handle_timeout(now) {
            Ok(()) => Step::Waits(self),
            // Browsers connect ahead of time: one that has said nothing is owed no answer.
            Err(_) if self.read.is_empty() => {
                self.door.config.get_metrics().refuse("silent");
                Step::Left
            }
            Err(rejection) => self.leave(Reason::TooSlow(rejection), forget),
        }
    }

    fn judge(
        self,
        head: Request<()>,
        read: &[u8],
        consumed: usize,
        unread: Unread,
        now: Instant,
        forget: impl FnOnce(&mut dyn Source),
    ) -> Step {
        let Self { mut socket, peer, pass, read: mut earlier, door, .. } = self;
        let (response, info, handler, config) = match judge(&*door.gate, &door.config, head, peer, pass) {
            Verdict::Open { response, info, handler, config } => (response, info, handler, config),
            Verdict::Visit(reason, pass) => {
                earlier.extend_from_slice(read);
                forget(socket.source());
                return visit(&door, socket, earlier, peer, pass, reason);
            }
        };
        let mut answer = Vec::with_capacity(256);
        encode_response(&response, &mut answer);
        let limits = Arc::clone(config.get_limits());
        let connection = Connection::server(limits, info.deflate().copied(), now);
        let session = Session::new(connection, handler, Arc::new(info), config);
        let leftover = read[consumed..].to_vec();
        Step::Opened(Box::new(NewSlot { socket, session, answer, said: Backlog::default(), leftover, unread }))
    }

    fn leave(self, reason: Reason, forget: impl FnOnce(&mut dyn Source)) -> Step {
        let Self { mut socket, peer, pass, read, door, .. } = self;
        forget(socket.source());
        visit(&door, socket, read, peer, pass, reason)
    }

    fn lost(self) -> Step {
        self.door.config.get_metrics().refuse("disconnected");
        Step::Left
    }
}

/// Takes a client off the shard.
fn visit(door: &Door, socket: Socket, read: Vec<u8>, peer: PeerAddr, pass: Pass, reason: Reason) -> Step {
    match socket.into_io() {
        Ok(io) => {
            let visitor = Visitor { io, read, peer, pass, reason };
            if catch_unwind(AssertUnwindSafe(|| door.gate.visit(visitor))).is_err() {
                tracing::error!(%peer, "the gate panicked over a visitor, who is dropped");
            }
        }
        Err(error) => tracing::debug!(%peer, %error, "a socket could not be given to the runtime"),
    }
    Step::Left
}
