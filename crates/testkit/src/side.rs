//! One end of a connection in virtual time. A test says what arrives and what passes of time, and sees events and
//! frames.

use std::sync::Arc;
use std::time::{Duration, Instant};

use switchboard_ws_proto::{
    CloseFrame, Config, Connection, DeflateParams, Event, Input, Message, Output, ProtocolError, Timeout,
};

use crate::frame::{self, Frame};

/// An event with nothing borrowed, to be compared.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Heard {
    /// A whole message.
    Message(Message),
    /// A piece: its bytes, and whether it is the last.
    Piece(Vec<u8>, bool),
    /// A ping's payload.
    Ping(Vec<u8>),
    /// A pong's payload.
    Pong(Vec<u8>),
    /// The peer's Close frame: code and reason.
    Close(u16, String),
    /// The rule that the peer broke.
    Failed(ProtocolError),
}

impl Heard {
    /// A text message.
    #[must_use]
    pub fn text(text: &str) -> Self {
        Self::Message(Message::text(text))
    }

    /// A binary message.
    #[must_use]
    pub fn binary(bytes: &[u8]) -> Self {
        Self::Message(Message::binary(bytes.to_vec()))
    }
}

impl From<Event<'_>> for Heard {
    fn from(event: Event<'_>) -> Self {
        match event {
            Event::Message(message) => Self::Message(message.into_owned()),
            Event::Piece(piece) => Self::Piece(piece.data.to_vec(), piece.last),
            Event::Ping(payload) => Self::Ping(payload.to_vec()),
            Event::Pong { payload, .. } => Self::Pong(payload.to_vec()),
            Event::Close(CloseFrame { code, reason }) => Self::Close(code.0, reason.to_string()),
            Event::Failed(error) => Self::Failed(error),
            other => unreachable!("an event that this test kit does not know: {other:?}"),
        }
    }
}

/// One end, with its output and its clock.
#[derive(Debug)]
pub struct Side {
    /// The machine itself, for the rarer calls.
    pub connection: Connection,
    /// What it wrote and nobody read yet.
    pub output: Output,
    /// The virtual time.
    pub now: Instant,
}

impl Side {
    /// A server without compression.
    #[must_use]
    pub fn server(config: Config) -> Self {
        Self::server_with(config, None)
    }

    /// A server.
    #[must_use]
    pub fn server_with(config: Config, deflate: Option<DeflateParams>) -> Self {
        let now = Instant::now();
        Self { connection: Connection::server(Arc::new(config), deflate, now), output: Output::new(), now }
    }

    /// A client without compression, which masks everything with [`frame::KEY`].
    #[must_use]
    pub fn client(config: Config) -> Self {
        Self::client_with(config, None)
    }

    /// A client, which masks everything with [`frame::KEY`].
    #[must_use]
    pub fn client_with(config: Config, deflate: Option<DeflateParams>) -> Self {
        let now = Instant::now();
        let connection = Connection::client_with_masks(Arc::new(config), deflate, now, || frame::KEY);
        Self { connection, output: Output::new(), now }
    }

    /// These frames arrive in one read.
    pub fn hears(&mut self, frames: &[Frame]) -> Vec<Heard> {
        let bytes: Vec<u8> = frames.iter().flat_map(Frame::bytes).collect();
        self.reads(&bytes)
    }

    /// These bytes arrive in one read.
    pub fn reads(&mut self, bytes: &[u8]) -> Vec<Heard> {
        let mut buffer = bytes.to_vec();
        let mut input = Input::new(&mut buffer);
        let mut heard = Vec::new();
        while let Some(event) = self.connection.receive(&mut input, self.now) {
            heard.push(event.into());
        }
        assert!(input.is_empty(), "the machine left input unread");
        heard
    }

    /// Everything that it has to say by now, as frames.
    pub fn says(&mut self) -> Vec<Frame> {
        Frame::parse_all(&self.writes())
    }

    /// Everything that it has to say by now, as bytes; they count as written at once.
    pub fn writes(&mut self) -> Vec<u8> {
        self.connection.poll_transmit(self.now, &mut self.output);
        let bytes = self.output.to_vec();
        self.output.clear();
        self.connection.wrote(bytes.len(), 0, self.now);
        bytes
    }

    /// Time passes, and deadlines that fall into it are acted on, each at its time.
    pub fn waits(&mut self, duration: Duration) -> Option<Timeout> {
        let end = self.now + duration;
        while let Some(deadline) = self.connection.poll_timeout().filter(|deadline| *deadline <= end) {
            self.now = self.now.max(deadline);
            if let Some(timeout) = self.connection.handle_timeout(self.now) {
                return Some(timeout);
            }
            if self.connection.poll_timeout() == Some(deadline) {
                break;
            }
        }
        self.now = end;
        None
    }
}
