//! What the machine allocates, counted per thread: nothing for small messages, and nothing large for a second large
//! one.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::sync::Arc;
use std::time::Instant;

use switchboard_testkit::counting::{Counting, LARGE, allocated_by};
use switchboard_testkit::frame;
use switchboard_ws_proto::{Config, Connection, Event, Input, Message, Output, SendOptions};

#[global_allocator]
static ALLOCATOR: Counting = Counting;

struct Server {
    connection: Connection,
    output: Output,
    now: Instant,
    /// What the driver reads into when there is no room.
    buffer: Vec<u8>,
}

impl Server {
    fn new() -> Self {
        let now = Instant::now();
        let connection = Connection::server(Arc::new(Config::default()), None, now);
        Self { connection, output: Output::new(), now, buffer: vec![0; LARGE] }
    }

    /// Reads all of `stream`, which ends with the only message that is not small.
    fn receive_large(&mut self, mut stream: &[u8]) -> Message {
        loop {
            let event = if let Some(room) = self.connection.room() {
                let count = room.len().min(stream.len());
                room[..count].copy_from_slice(&stream[..count]);
                stream = &stream[count..];
                self.connection.receive_in_room(count, self.now)
            } else {
                let count = self.buffer.len().min(stream.len());
                self.buffer[..count].copy_from_slice(&stream[..count]);
                stream = &stream[count..];
                self.connection.receive(&mut Input::new(&mut self.buffer[..count]), self.now)
            };
            if let Some(Event::Message(message)) = event {
                return message.into_owned();
            }
        }
    }

    /// Sends `message` back and writes all of it.
    fn echo_large(&mut self, message: Message) {
        self.connection.send_shared(&message, SendOptions::default(), self.now, &mut self.output).unwrap();
        drop(message);
        self.output.advance(self.output.len());
    }
}

fn large() -> Vec<u8> {
    frame::binary(vec![7; 1 << 20]).masked().bytes()
}

#[test]
fn a_second_large_message_has_the_buffer_of_the_first() {
    let (stream, mut server) = (large(), Server::new());
    let message = server.receive_large(&stream);
    server.echo_large(message);
    for _ in 0..3 {
        let more = allocated_by(|| {
            let message = server.receive_large(&stream);
            assert_eq!(message.len(), 1 << 20);
            server.echo_large(message);
        });
        assert_eq!(more.large, 0);
        assert!(more.all <= 8, "{more:?}");
    }
}

#[test]
fn a_message_that_is_kept_keeps_its_buffer() {
    // A thread of its own has nothing in its pool.
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let (stream, mut server) = (large(), Server::new());
            let kept = server.receive_large(&stream);
            let other = allocated_by(|| drop(server.receive_large(&stream)));
            assert!(other.large > 0);
            assert!(kept.as_bytes().iter().all(|byte| *byte == 7));
        });
    });
}

#[test]
fn the_buffer_stays_with_the_thread_that_dropped_the_message() {
    let (stream, mut server) = (large(), Server::new());
    let message = server.receive_large(&stream);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            drop(message);
            let here = allocated_by(|| drop(server.receive_large(&stream)));
            assert_eq!(here.large, 0);
        });
    });
}

#[test]
fn an_unfinished_message_gives_its_buffer_back_too() {
    let (stream, mut server) = (large(), Server::new());
    server.echo_large(Server::new().receive_large(&stream));
    // Half a message, then the connection breaks.
    let half = allocated_by(|| {
        let bytes = &mut stream[..LARGE].to_vec();
        assert!(server.connection.receive(&mut Input::new(bytes), server.now).is_none());
        assert!(server.connection.room().is_some());
        server.connection.receive_eof();
    });
    assert!(half.large <= 1, "the copy that this test makes: {half:?}");
    assert_eq!(allocated_by(|| drop(Server::new().receive_large(&stream))).large, 1, "a new server's read buffer");
}

/// Answers each message of `stream` with the same.
fn echo_small(connection: &mut Connection, output: &mut Output, stream: &[u8], buffer: &mut [u8], now: Instant) {
    let buffer = &mut buffer[..stream.len()];
    buffer.copy_from_slice(stream);
    let mut input = Input::new(buffer);
    while let Some(event) = connection.receive(&mut input, now) {
        let Event::Message(message) = event else { panic!("{event:?}") };
        connection.send(message.as_ref(), SendOptions::default(), now, output).unwrap();
    }
    connection.poll_transmit(now, output);
    let count = output.len();
    assert!(count > 0);
    output.advance(count);
    connection.wrote(count, 0, now);
}

#[test]
fn small_messages_allocate_nothing() {
    let frames = || {
        let sizes = [0, 1, 125, 126, 5000];
        sizes.into_iter().flat_map(|size| [frame::text("é".repeat(size / 2)), frame::binary(vec![7; size])])
    };
    let masked: Vec<u8> = frames().flat_map(|frame| frame.masked().bytes()).collect();
    let plain: Vec<u8> = frames().flat_map(|frame| frame.bytes()).collect();
    let (config, now) = (Arc::new(Config::default()), Instant::now());
    let server = Connection::server(Arc::clone(&config), None, now);
    let client = Connection::client(config, None, now);
    for (mut connection, stream) in [(server, masked), (client, plain)] {
        let (mut output, mut buffer) = (Output::new(), vec![0; LARGE]);
        echo_small(&mut connection, &mut output, &stream, &mut buffer, now);
        let warm = allocated_by(|| {
            for _ in 0..10 {
                echo_small(&mut connection, &mut output, &stream, &mut buffer, now);
            }
        });
        assert_eq!(warm.all, 0, "{:?}", connection.role());
    }
}

#[test]
fn a_server_at_rest_owns_nothing() {
    let (config, now) = (Arc::new(Config::default()), Instant::now());
    let mut connection = None;
    let made = allocated_by(|| connection = Some(Connection::server(config, None, now)));
    assert_eq!(made.all, 0, "{connection:?}");
}
