//! What the Socket.IO targets compare: values by what they mean, and packets by what they hold.

use std::collections::HashMap;

use bytes::Bytes;
use serde::Deserialize;
use switchboard_io_proto::socket::{
    Args, DecodeError, Decoder, EncodeError, Frame, Frames, Incoming, Kind, Limits, Packet, Parser, Value,
};

use crate::script::Script;

/// The limits that what came from us is decoded under: what a msgpack packet holds may be more attachments in JSON.
#[must_use]
pub fn wide() -> Limits {
    let mut limits = Limits::default();
    limits.attachments = usize::MAX;
    limits.bytes = usize::MAX;
    limits
}

/// The arguments of a packet.
#[must_use]
pub fn args(packet: &Packet) -> Option<&Args> {
    match &packet.kind {
        Kind::Connect(args) => args.as_ref(),
        Kind::Disconnect => None,
        Kind::Event { args, .. } | Kind::Ack { args, .. } | Kind::ConnectError(args) => Some(args),
    }
}

/// Decodes what was encoded, which must be one packet, and whole.
pub fn decode(parser: Parser, frames: &Frames) -> Result<Packet, DecodeError> {
    let (mut decoder, mut packet) = (Decoder::new(), None);
    for frame in frames.iter() {
        assert!(packet.is_none(), "a packet before its last message");
        packet = match frame {
            Frame::Text(text) => {
                assert_eq!(text.first(), Some(&b'4'), "a message of Engine.IO");
                parser.decode(&mut decoder, &wide(), Incoming::OwnedText(text.slice(1..)))?
            }
            Frame::Binary(bytes) => parser.decode(&mut decoder, &wide(), Incoming::Binary(bytes))?,
        };
    }
    assert!(!decoder.is_waiting(), "fewer attachments than announced");
    Ok(packet.expect("a whole packet"))
}

/// What must hold of every packet that decoded.
pub fn check(parser: Parser, packet: &Packet) {
    let frames = parser.encode(packet).expect("what was decoded can be encoded");
    assert_eq!(&decode(parser, &frames).expect("what was encoded can be decoded"), packet);
    check_other(parser, packet);
    if let Some(args) = args(packet) {
        extract(args);
        convert(args);
    }
}

/// The packet in the other encoding means the same.
fn check_other(parser: Parser, packet: &Packet) {
    let other = if parser == Parser::Json { Parser::Msgpack } else { Parser::Json };
    let frames = match other.encode(packet) {
        Ok(frames) => frames,
        Err(EncodeError::Placeholder) => return,
        // JSON has no binary variant of the other packets.
        Err(EncodeError::Serialize(_)) if matches!(packet.kind, Kind::Connect(_) | Kind::ConnectError(_)) => return,
        Err(error) => panic!("{packet:?} cannot be written as {other:?}: {error}"),
    };
    let decoded = decode(other, &frames).expect("what was encoded can be decoded");
    assert_eq!(decoded.namespace, packet.namespace);
    match (&decoded.kind, &packet.kind) {
        (Kind::Event { name, id, .. }, Kind::Event { name: was, id: was_id, .. }) => {
            assert_eq!((name, id), (was, was_id));
        }
        (Kind::Ack { id, .. }, Kind::Ack { id: was, .. }) => assert_eq!(id, was),
        (now, was) => assert_eq!(std::mem::discriminant(now), std::mem::discriminant(was)),
    }
    match (args(&decoded), args(packet)) {
        (Some(now), Some(was)) => assert_same(&now.values(), &was.values()),
        (now, was) => assert_eq!(now.is_some(), was.is_some()),
    }
}

/// Into the other encoding and back.
fn convert(args: &Args) {
    let values = args.values();
    assert_eq!(values.len(), args.len());
    for parser in [Parser::Json, Parser::Msgpack] {
        match args.convert(parser) {
            Ok(converted) => {
                assert_eq!((converted.encoding(), converted.len()), (parser, args.len()));
                assert_same(&converted.values(), &values);
            }
            Err(error) => assert_eq!(error, EncodeError::Placeholder),
        }
    }
}

/// Equal in what JSON can say: it has no word for what is no finite number, and writes null.
pub fn assert_same(now: &[Value], was: &[Value]) {
    assert_eq!(now.len(), was.len());
    for (now, was) in now.iter().zip(was) {
        assert!(same(now, was), "{now:?} was {was:?}");
    }
}

/// One of them.
pub fn same(now: &Value, was: &Value) -> bool {
    match (now, was) {
        (Value::Array(now), Value::Array(was)) => {
            now.len() == was.len() && now.iter().zip(was).all(|(now, was)| same(now, was))
        }
        (Value::Object(now), Value::Object(was)) => {
            let member = |(now, was): (&(String, Value), &(String, Value))| now.0 == was.0 && same(&now.1, &was.1);
            now.len() == was.len() && now.iter().zip(was).all(member)
        }
        (Value::Null, Value::Number(number)) => !number.as_f64().is_finite(),
        (Value::Number(now), Value::Number(was)) if was.as_f64().is_nan() => now.as_f64().is_nan(),
        (now, was) => now == was,
    }
}

/// A value that a script tells.
#[must_use]
pub fn value(script: &mut Script<'_>, depth: u8) -> Value {
    let kind = script.byte();
    match kind % 10 {
        0 => Value::Null,
        1 => Value::Bool(kind & 0x80 != 0),
        2 => Value::from(u64::from(script.number()) << (kind >> 3)),
        3 => Value::from(-i64::from(script.number())),
        4 => Value::from(f64::from(script.number()) / 7.0),
        5 | 6 => Value::from(String::from_utf8_lossy(script.bytes()).into_owned()),
        7 if depth > 0 => Value::Array((0..kind >> 6).map(|_| value(script, depth - 1)).collect()),
        8 if depth > 0 => {
            let member = |_| (String::from_utf8_lossy(script.take(2)).into_owned(), value(script, depth - 1));
            Value::Object((0..kind >> 6).map(member).collect())
        }
        _ => Value::Binary(Bytes::copy_from_slice(script.bytes())),
    }
}

#[derive(Debug, Deserialize)]
#[expect(dead_code, reason = "only read by serde")]
struct Fields {
    name: String,
    #[serde(default)]
    count: Option<u8>,
    inner: Vec<Option<Self>>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "lowercase")]
#[expect(dead_code, reason = "only read by serde")]
enum Choice {
    Unit,
    One(i16),
    Pair(String, f32),
    Named { a: bool },
}

#[derive(Debug, Deserialize)]
#[serde(untagged)]
#[expect(dead_code, reason = "only read by serde")]
enum Loose {
    Number(f64),
    Text(String),
    List(Vec<Value>),
    Map(HashMap<String, Value>),
}

/// Whatever type a handler asks for, it gets a value or an error.
fn extract(args: &Args) {
    macro_rules! each {
        ($($kind:ty),* $(,)?) => {$(
            let _ = args.extract::<$kind>();
            let _ = args.deserialize::<$kind>();
            let _ = args.get::<$kind>(0);
            let _ = args.get::<$kind>(args.len().saturating_sub(1));
            let _ = args.get::<$kind>(usize::MAX);
        )*};
    }
    each!(
        (),
        bool,
        u8,
        i64,
        f32,
        char,
        String,
        &str,
        Bytes,
        Option<u32>,
        Value,
        serde_json::Value,
        Vec<Value>,
        Vec<u8>,
        (String, Option<Value>),
        (Value, Value, Value),
        [Option<bool>; 2],
        HashMap<String, Value>,
        HashMap<u16, String>,
        Fields,
        Choice,
        Loose,
        serde::de::IgnoredAny,
    );
}
