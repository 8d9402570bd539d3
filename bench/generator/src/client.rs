//! One client under load, whatever it speaks: a socket, or a session of requests.

use std::ops::Range;

use crate::Result;
use crate::connect::connect_some;
use crate::poller::Poller;
use crate::script::Script;
use crate::session::Session;
use crate::settings::Settings;
use crate::socket::Socket;

#[derive(Debug)]
pub(crate) enum Client {
    Socket(Socket),
    Session(Session),
}

impl Client {
    /// Opens the clients of these numbers, and watches each under its number.
    pub(crate) fn open(settings: &Settings, numbers: Range<usize>, poller: &Poller) -> Result<Vec<Self>> {
        if settings.polls() {
            return numbers.map(|number| Ok(Self::Session(Session::open(settings, number, poller)?))).collect();
        }
        let streams = connect_some(settings, numbers.clone())?;
        let watch = |(stream, number)| Ok(Self::Socket(Socket::new(stream, number, settings, poller)?));
        streams.into_iter().zip(numbers).map(watch).collect()
    }

    /// Sends so many messages, now or as soon as that can be.
    pub(crate) fn send(&mut self, script: &Script, messages: u64) -> Result<()> {
        match self {
            Self::Socket(socket) => socket.send(script, messages),
            Self::Session(session) => session.send(script, messages),
        }
    }

    /// Reads and writes what can be. Returns how many replies that completed.
    pub(crate) fn turn(&mut self, script: &Script, buffer: &mut [u8]) -> Result<u64> {
        match self {
            Self::Socket(socket) => socket.turn(script, buffer),
            Self::Session(session) => session.turn(script, buffer),
        }
    }

    /// Pings that came and were answered.
    pub(crate) fn pings(&self) -> u64 {
        match self {
            Self::Socket(socket) => socket.pings,
            Self::Session(session) => session.pings,
        }
    }

    /// Replies that came in whole.
    pub(crate) fn replies(&self) -> u64 {
        match self {
            Self::Socket(socket) => socket.replies.count,
            Self::Session(session) => session.replies,
        }
    }

    /// Bytes of the replies' payloads, as they were on the wire.
    pub(crate) fn wire_bytes(&self) -> u64 {
        match self {
            Self::Socket(socket) => socket.replies.wire_bytes,
            Self::Session(_) => 0,
        }
    }
}
