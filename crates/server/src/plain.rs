//! How events sound on plain WebSockets: a `message` of one text or one piece of binary data as just that, everything
//! else as a JSON array of the event's name and its arguments, binary data in it as base64.

use std::fmt::Write as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::ser::{Serialize, Serializer};
use switchboard_io::{Args, Name, Parser, Value};
use switchboard_ws::Prepared;

/// The event that has a form of its own.
pub(crate) const MESSAGE: &str = "message";

/// What plain WebSockets hear. Clones count together.
#[derive(Debug, Clone)]
pub struct Plain {
    /// So many bytes a message may have. One piece of binary data can be named many times in an event, and is written
    /// out each time.
    longest: usize,
    too_long: Arc<AtomicU64>,
}

impl Plain {
    pub(crate) fn new(longest: usize) -> Self {
        Self { longest, too_long: Arc::default() }
    }

    /// How many events were too long for plain WebSockets.
    #[must_use]
    pub fn too_long(&self) -> u64 {
        self.too_long.load(Relaxed)
    }

    /// The message of a plain WebSocket that an event is. Every event is one, unless that would be too long.
    pub(crate) fn form(&self, event: &Name, args: &Args) -> Option<Prepared> {
        if is_text(args) {
            return form(event, args);
        }
        // Of msgpack the rest may be six times as long in JSON. That has a relation to what came, and this has none.
        let binary = args.values().iter().map(base64_len).fold(0, usize::saturating_add);
        if binary.saturating_add(args.raw().len()) <= self.longest {
            return form(event, args);
        }
        self.too_long.fetch_add(1, Relaxed);
        tracing::debug!(%event, binary, "an event is too long for plain WebSockets");
        None
    }
}

/// It is JSON that names no binary data.
fn is_text(args: &Args) -> bool {
    args.encoding() == Parser::Json && args.attachments().is_empty()
}

/// How long the binary data in a value is as base64.
fn base64_len(value: &Value) -> usize {
    match value {
        Value::Binary(bytes) => bytes.len().div_ceil(3).saturating_mul(4),
        Value::Array(values) => values.iter().map(base64_len).fold(0, usize::saturating_add),
        Value::Object(members) => members.iter().map(|(_, value)| base64_len(value)).fold(0, usize::saturating_add),
        _ => 0,
    }
}

fn form(event: &Name, args: &Args) -> Option<Prepared> {
    if &**event == MESSAGE && args.len() == 1 {
        match &args.values()[..] {
            [Value::String(text)] => return Some(Prepared::text(text)),
            [Value::Binary(bytes)] => return Some(Prepared::binary(bytes)),
            _ => {}
        }
    }
    array(event, args).map(|text| Prepared::text(&text))
}

fn array(event: &Name, args: &Args) -> Option<String> {
    let mut text = String::from("[");
    match event.is_number() {
        true => text.push_str(event),
        false => write!(text, "{}", serde_json::Value::from(&**event)).ok()?,
    }
    if is_text(args) {
        // As it came.
        let elements = std::str::from_utf8(args.raw()).ok()?;
        let comma = if args.is_empty() { "" } else { "," };
        write!(text, "{comma}{elements}").ok()?;
    } else {
        for value in &args.values() {
            write!(text, ",{}", serde_json::to_string(&Readable(value)).ok()?).ok()?;
        }
    }
    text.push(']');
    Some(text)
}

/// A value that JSON can say.
struct Readable<'a>(&'a Value);

impl Serialize for Readable<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self.0 {
            Value::Binary(bytes) => serializer.serialize_str(&STANDARD.encode(bytes)),
            Value::Array(values) => serializer.collect_seq(values.iter().map(Readable)),
            Value::Object(members) => {
                serializer.collect_map(members.iter().map(|(name, value)| (name, Readable(value))))
            }
            simple => simple.serialize(serializer),
        }
    }
}

#[cfg(test)]
mod tests {
    use switchboard_io::Limits;
    use switchboard_ws::Kind;

    use super::*;

    fn heard(event: &str, args: &Args) -> (Kind, Vec<u8>) {
        let message = Plain::new(1000).form(&event.into(), args).unwrap();
        (message.kind(), message.payload().to_vec())
    }

    fn json(array: &str, attachments: &[&'static [u8]]) -> Args {
        let attachments = attachments.iter().map(|bytes| (*bytes).into()).collect();
        Args::from_json(array, attachments, &Limits::default()).unwrap()
    }

    #[test]
    fn a_message_of_one_thing_is_that_thing() {
        assert_eq!(heard("message", &json(r#"["say \"hi\""]"#, &[])), (Kind::Text, b"say \"hi\"".to_vec()));
        let binary = json(r#"[{"_placeholder":true,"num":0}]"#, &[&[1, 2, 3]]);
        assert_eq!(heard("message", &binary), (Kind::Binary, vec![1, 2, 3]));
        let msgpack = binary.convert(Parser::Msgpack).unwrap();
        assert_eq!(heard("message", &msgpack), (Kind::Binary, vec![1, 2, 3]));
    }

    #[test]
    fn everything_else_is_an_array() {
        let text = |event, args: &Args| {
            let (kind, payload) = heard(event, args);
            assert_eq!(kind, Kind::Text);
            String::from_utf8(payload).unwrap()
        };
        assert_eq!(text("message", &json("[]", &[])), r#"["message"]"#);
        assert_eq!(text("message", &json(r#"["a","b"]"#, &[])), r#"["message","a","b"]"#);
        assert_eq!(text("message", &json(r#"[{"a": 1.0}]"#, &[])), r#"["message",{"a": 1.0}]"#, "as it came");
        assert_eq!(text("a \"b\"", &json("[null]", &[])), r#"["a \"b\"",null]"#);
        let binary = json(r#"[{"z":{"_placeholder":true,"num":0},"a":[1]},"x"]"#, &[&[1, 2, 3]]);
        assert_eq!(text("file", &binary), r#"["file",{"z":"AQID","a":[1]},"x"]"#);
        assert_eq!(text("file", &binary.convert(Parser::Msgpack).unwrap()), r#"["file",{"z":"AQID","a":[1]},"x"]"#);
    }

    #[test]
    fn binary_data_is_written_as_often_as_it_is_named_but_not_beyond_all_bounds() {
        let plain = Plain::new(1000);
        let named = |times: usize| {
            let array = serde_json::json!(vec![serde_json::json!({"_placeholder": true, "num": 0}); times]);
            let args = json(&array.to_string(), &[&[0; 60]]);
            plain.form(&"file".into(), &args).map(|message| message.payload().len())
        };
        assert_eq!(named(3), Some(r#"["file"]"#.len() + 3 * (80 + r#","""#.len())));
        assert_eq!((named(10), plain.too_long()), (None, 1));
    }
}
