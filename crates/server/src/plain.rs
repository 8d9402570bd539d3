//! How events sound on plain WebSockets: a `message` of one text or one piece of binary data as just that, everything
//! else as a JSON array of the event's name and its arguments, binary data in it as base64.

use std::fmt::Write as _;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::ser::{Serialize, Serializer};
use switchboard_io::{Args, Parser, Value};
use switchboard_ws::Prepared;

/// The event that has a form of its own.
const MESSAGE: &str = "message";

/// The message of a plain WebSocket that an event is. Every event is one.
pub(crate) fn form(event: &str, args: &Args) -> Option<Prepared> {
    if event == MESSAGE && args.len() == 1 {
        match &args.values()[..] {
            [Value::String(text)] => return Some(Prepared::text(text)),
            [Value::Binary(bytes)] => return Some(Prepared::binary(bytes)),
            _ => {}
        }
    }
    array(event, args).map(|text| Prepared::text(&text))
}

fn array(event: &str, args: &Args) -> Option<String> {
    let mut text = format!("[{}", serde_json::Value::from(event));
    if args.encoding() == Parser::Json && args.attachments().is_empty() {
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
        let message = form(event, args).unwrap();
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
}
