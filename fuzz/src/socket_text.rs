//! The default parser of Socket.IO. An input is messages with 0xFF between them, which no UTF-8 has: binary ones where
//! the decoder waits for attachments, else text.

use bytes::Bytes;
use serde::de::IgnoredAny;
use switchboard_io_proto::socket::{Args, DecodeError, Decoder, Incoming, Limits, Parser, Value};

use crate::values;

pub fn run(data: &[u8]) {
    let (limits, parser) = (Limits::default(), Parser::Json);
    let (mut decoder, mut owning) = (Decoder::new(), Decoder::new());
    for message in data.split(|byte| *byte == 0xFF) {
        let bytes = Bytes::copy_from_slice(message);
        if decoder.is_waiting() {
            let packet = parser.decode(&mut decoder, &limits, Incoming::Binary(bytes.clone()));
            assert_eq!(packet, parser.decode(&mut owning, &limits, Incoming::Binary(bytes)));
            if let Ok(Some(packet)) = packet {
                values::check(parser, &packet);
            }
        } else if let Ok(text) = std::str::from_utf8(message) {
            let packet = parser.decode(&mut decoder, &limits, Incoming::Text(text));
            assert_eq!(packet, parser.decode(&mut owning, &limits, Incoming::OwnedText(bytes)));
            if let Ok(Some(packet)) = packet {
                values::check(parser, &packet);
            }
            against_serde_json(text);
        } else {
            let refused = parser.decode(&mut owning, &limits, Incoming::OwnedText(bytes));
            assert_eq!(refused, Err(DecodeError::Utf8));
        }
        assert_eq!(decoder.held(), owning.held());
        assert!(decoder.held() <= limits.bytes);
    }
}

/// From the first bracket on: an independent parser agrees on what is JSON, and on what it says.
fn against_serde_json(text: &str) {
    let Some(json) = text.find('[').map(|at| &text[at..]) else { return };
    let ours = Args::from_json(json, Vec::new(), &Limits::default());
    let theirs = serde_json::from_str::<Vec<IgnoredAny>>(json);
    if matches!(ours, Err(DecodeError::TooDeep { .. })) {
        return;
    }
    if let Err(error) = &theirs {
        // It says no more than that of its limit on depth, which differs from ours by one.
        if error.to_string().starts_with("recursion limit exceeded") {
            return;
        }
    }
    assert_eq!(ours.is_ok(), theirs.is_ok(), "{json:?}: {ours:?}, {theirs:?}");
    // It refuses half a surrogate pair and numbers beyond all floats only when it makes something of them.
    if let (Ok(ours), Ok(theirs)) = (ours, serde_json::from_str::<Vec<serde_json::Value>>(json)) {
        let ours = ours.values();
        assert_eq!(ours.len(), theirs.len());
        assert!(ours.iter().zip(&theirs).all(|(ours, theirs)| same(ours, theirs)), "{ours:?}, {theirs:?}");
    }
}

fn same(ours: &Value, theirs: &serde_json::Value) -> bool {
    use serde_json::Value as Json;
    match (ours, theirs) {
        (Value::Null, Json::Null) => true,
        (Value::Bool(ours), Json::Bool(theirs)) => ours == theirs,
        (Value::String(ours), Json::String(theirs)) => ours == theirs,
        (Value::Number(ours), Json::Number(theirs)) => {
            // `-0` is an integer to us.
            ours.as_f64() == theirs.as_f64().unwrap_or(f64::NAN)
                && (theirs.as_u64().is_none() || ours.as_u64() == theirs.as_u64())
                && (theirs.as_i64().is_none() || ours.as_i64() == theirs.as_i64())
        }
        (Value::Array(ours), Json::Array(theirs)) => {
            ours.len() == theirs.len() && ours.iter().zip(theirs).all(|(ours, theirs)| same(ours, theirs))
        }
        (Value::Object(_), Json::Object(members)) => {
            members.iter().all(|(key, theirs)| ours.get(key).is_some_and(|ours| same(ours, theirs)))
        }
        _ => false,
    }
}
