//! The msgpack parser of Socket.IO: an input is one message.

use bytes::Bytes;
use switchboard_io_proto::socket::{Args, Decoder, Incoming, Limits, Parser};

use crate::values;

pub fn run(data: &[u8]) {
    let message = Bytes::copy_from_slice(data);
    if let Ok(args) = Args::from_msgpack(&message, &Limits::default()) {
        assert_eq!(args.values().len(), args.len());
    }
    let mut decoder = Decoder::new();
    let decoded = Parser::Msgpack.decode(&mut decoder, &Limits::default(), Incoming::Binary(message));
    assert!(!decoder.is_waiting());
    if let Ok(packet) = decoded {
        values::check(Parser::Msgpack, &packet.expect("each message is a packet"));
    }
}
