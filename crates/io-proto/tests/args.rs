//! Arguments to Rust types and back, in both encodings alike, and what is sent on untouched.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::BTreeMap;

use bytes::Bytes;
use proptest::prelude::*;
use serde::{Deserialize, Serialize};
use switchboard_io_proto::socket::{
    Args, Arguments, Decoder, EventHead, Frame, Frames, Incoming, Kind, Limits, Namespace, Packet, Parser, Value,
};

const PARSERS: [Parser; 2] = [Parser::Json, Parser::Msgpack];

fn receive(parser: Parser, frames: &Frames) -> Packet {
    let mut limits = Limits::default();
    limits.attachments = 1000;
    let mut decoder = Decoder::new();
    let mut packet = None;
    for frame in frames.iter() {
        assert_eq!(packet, None);
        let message = match frame {
            Frame::Text(text) => Incoming::OwnedText(text.slice(1..)),
            Frame::Binary(bytes) => Incoming::Binary(bytes),
        };
        packet = parser.decode(&mut decoder, &limits, message).unwrap();
    }
    packet.unwrap()
}

/// What arrives when these arguments are sent.
fn sent(parser: Parser, args: &(impl Arguments + ?Sized)) -> Args {
    let frames = parser.event(&EventHead::new(Namespace::root(), "event"), args).unwrap();
    let Kind::Event { args, .. } = receive(parser, &frames).kind else { panic!("expected an event") };
    args
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
enum Shape {
    Point,
    Circle(f64),
    Line(i8, i16),
    Rect { width: u8, height: Option<u64> },
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Meters(u32);

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Everything {
    flag: bool,
    letter: char,
    text: String,
    data: Bytes,
    shapes: Vec<Shape>,
    by_number: BTreeMap<i32, Meters>,
    by_flag: BTreeMap<bool, ()>,
    nothing: Option<u8>,
    pair: (i64, u64),
    #[serde(flatten)]
    others: BTreeMap<String, Value>,
}

fn everything() -> Everything {
    Everything {
        flag: true,
        letter: 'ß',
        text: "line\nend \"quoted\" \u{1F600}".into(),
        data: Bytes::from_static(&[0, 255]),
        shapes: vec![
            Shape::Point,
            Shape::Circle(0.5),
            Shape::Line(-1, -300),
            Shape::Rect { width: 200, height: Some(u64::MAX) },
        ],
        by_number: BTreeMap::from([(-70_000, Meters(70_000))]),
        by_flag: BTreeMap::from([(false, ())]),
        nothing: None,
        pair: (i64::MIN, 1 << 40),
        others: BTreeMap::from([("more".into(), Value::Array(vec![Bytes::from_static(b"x").into()]))]),
    }
}

#[test]
fn types_come_back_in_both_encodings() {
    for parser in PARSERS {
        let args = sent(parser, &everything());
        assert_eq!(args.extract::<Everything>().unwrap(), everything(), "{parser:?}");
        for other in PARSERS {
            assert_eq!(args.convert(other).unwrap().get::<Everything>(0).unwrap(), everything());
        }
    }
}

#[test]
fn a_tuple_is_several_arguments_and_the_unit_none() {
    for parser in PARSERS {
        assert_eq!(sent(parser, &()).len(), 0);
        assert_eq!(sent(parser, &((),)).values(), [Value::Null]);
        assert_eq!(sent(parser, &vec![1, 2]).values(), [Value::from(vec![1, 2])]);
        assert_eq!(sent(parser, &(1, "a")).values(), [Value::from(1), Value::from("a")]);
        assert_eq!(sent(parser, &[1, 2]).len(), 2);
        assert_eq!(sent(parser, &Shape::Line(1, 2)).len(), 1);
        assert_eq!(sent(parser, &Some((1, 2))).len(), 1);
        assert_eq!(sent(parser, "text").values(), [Value::from("text")]);

        let args = sent(parser, &(7, "a", Some(true)));
        assert_eq!(args.extract::<u8>().unwrap(), 7);
        assert_eq!(args.extract::<(u8, String)>().unwrap(), (7, "a".into()));
        assert_eq!(args.extract::<(u8, &str, bool, Option<u8>)>().unwrap(), (7, "a", true, None));
        args.extract::<()>().unwrap();
        assert_eq!(args.deserialize::<Vec<Value>>().unwrap(), args.values());
        assert_eq!(args.get::<Option<String>>(3).unwrap(), None);
        assert_eq!(args.get::<Option<String>>(usize::MAX).unwrap(), None);
        assert!(args.get::<String>(3).is_err());
        assert!(args.get::<String>(0).is_err());
        assert!(args.get::<bool>(2).unwrap());
        #[derive(Debug, PartialEq, Deserialize)]
        struct Said {
            count: u8,
            word: String,
        }
        assert_eq!(args.deserialize::<Said>().unwrap(), Said { count: 7, word: "a".into() });
        assert!(sent(parser, &vec![1, 2, 3]).extract::<Meters>().is_err());
        assert!(sent(parser, &(vec![1, 2, 3],)).get::<(u8, u8)>(0).is_err());
        assert_eq!(sent(parser, &()).extract::<Option<u8>>().unwrap(), None);
    }
}

#[test]
fn bytes_are_bytes_wherever_a_type_asks_for_them() {
    let bytes = Bytes::from_static(b"abc");
    for parser in PARSERS {
        let args = sent(parser, &(&bytes, vec![bytes.clone()]));
        assert_eq!(args.extract::<Bytes>().unwrap(), bytes);
        assert_eq!(args.extract::<Vec<u8>>().unwrap(), b"abc");
        assert_eq!(args.get::<[u8; 3]>(0).unwrap(), *b"abc");
        assert_eq!(args.extract::<Value>().unwrap().as_bytes(), Some(&bytes));
        assert_eq!(args.values()[1].as_array().unwrap()[0].as_bytes(), Some(&bytes));
        assert!(args.extract::<String>().is_err());
    }
}

#[test]
fn arguments_are_sent_on_as_they_came() {
    // White space and spelling that no writer of ours makes.
    let text = r#"2["say", {"a" : 1.0, "b":"\u0041"} ,  [ ] ]"#;
    let packet = Parser::Json.decode(&mut Decoder::new(), &Limits::default(), Incoming::Text(text)).unwrap();
    let Kind::Event { args, .. } = packet.unwrap().kind else { panic!("expected an event") };
    let echo = Parser::Json.ack(Namespace::root(), 1, &args).unwrap();
    assert_eq!(echo.first, Frame::Text(Bytes::from_static(br#"431[{"a" : 1.0, "b":"\u0041"} ,  [ ]]"#)));
    let head = EventHead { offset: Some("o"), ..EventHead::new(Namespace::root(), "said") };
    let relay = Parser::Json.event(&head, &args).unwrap();
    assert_eq!(relay.first, Frame::Text(Bytes::from_static(br#"42["said",{"a" : 1.0, "b":"\u0041"} ,  [ ],"o"]"#)));
    // A date stays a date between two who speak msgpack.
    let date = Bytes::from_static(&[0x91, 0xD6, 0xFF, 0, 0, 0, 1]);
    let args = Args::from_msgpack(&date, &Limits::default()).unwrap();
    let echo = Parser::Msgpack.ack(Namespace::root(), 1, &args).unwrap();
    let Frame::Binary(echo) = echo.first else { panic!("expected binary") };
    assert!(echo.windows(date.len()).any(|part| part == date));
    assert_eq!(args.extract::<String>().unwrap(), "1970-01-01T00:00:01.000Z");
}

#[test]
fn arrays_from_elsewhere_are_checked() {
    let limits = Limits::default();
    let one = || vec![Bytes::from_static(b"x")];
    let args = Args::from_json(r#" [ {"_placeholder":true,"num":0} , 2 ] "#, one(), &limits).unwrap();
    assert_eq!(args.extract::<(Bytes, u8)>().unwrap(), (Bytes::from_static(b"x"), 2));
    assert_eq!(Args::from_json("[]", Vec::new(), &limits).unwrap(), Args::default());
    assert_eq!(Args::from_json("[ 1 ]", Vec::new(), &limits).unwrap().raw(), "1");
    for text in ["", "{}", "1", "[", "[]]", "[1,]"] {
        assert!(Args::from_json(text, Vec::new(), &limits).is_err(), "{text}");
    }
    assert!(Args::from_json(r#"[{"_placeholder":true,"num":1}]"#, one(), &limits).is_err());
    for bytes in [&[][..], &[0xC0], &[0x91], &[0x90, 0xC0]] {
        assert!(Args::from_msgpack(&Bytes::copy_from_slice(bytes), &limits).is_err(), "{bytes:?}");
    }
}

#[test]
fn strings_that_only_javascript_can_hold() {
    let array = r#"["\ud83d\ude00","\ud83dx","\ude00\ud83d","\ud83d\u0041","\/\b\f\r\t\\"]"#;
    let args = Args::from_json(array, Vec::new(), &Limits::default()).unwrap();
    let texts: Vec<String> = args.deserialize().unwrap();
    assert_eq!(texts, ["\u{1F600}", "\u{FFFD}x", "\u{FFFD}\u{FFFD}", "\u{FFFD}A", "/\u{8}\u{c}\r\t\\"]);
}

#[test]
fn lengths_of_every_width_come_back() {
    for len in [0, 1, 15, 16, 31, 32, 255, 256, 65_535, 65_536, 70_000] {
        let text = "x".repeat(len);
        let data = Bytes::from(vec![7; len]);
        let list = vec![1_u8; len];
        let map: BTreeMap<u32, u32> = (0..u32::try_from(len).unwrap()).map(|n| (n, n)).collect();
        for parser in PARSERS {
            let args = sent(parser, &(&text, &data, &list, &map));
            let back: (String, Bytes, Vec<u8>, BTreeMap<u32, u32>) = args.extract().unwrap();
            assert!(back == (text.clone(), data.clone(), list.clone(), map.clone()), "{parser:?} {len}");
        }
    }
}

#[test]
fn numbers_of_every_width_come_back() {
    let edges = [0_i64, 31, 32, 127, 128, 255, 256, 32_767, 32_768, 65_535, 65_536, 1 << 31, (1 << 32) - 1, 1 << 32];
    let numbers: Vec<i64> = edges.into_iter().flat_map(|n| [n, -n, -n - 1]).chain([i64::MAX, i64::MIN]).collect();
    for parser in PARSERS {
        assert_eq!(sent(parser, &numbers).extract::<Vec<i64>>().unwrap(), numbers);
        assert_eq!(sent(parser, &u64::MAX).extract::<u64>().unwrap(), u64::MAX);
        assert_eq!(sent(parser, &1.5_f32).extract::<f32>().unwrap(), 1.5);
    }
    assert_eq!(sent(Parser::Json, &f64::NAN).values(), [Value::Null]);
}

fn value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<u64>().prop_map(Value::from),
        any::<f64>().prop_filter("finite", |number| number.is_finite()).prop_map(Value::from),
        any::<String>().prop_map(Value::from),
        prop::collection::vec(any::<u8>(), 0..40).prop_map(|bytes| Value::Binary(bytes.into())),
    ];
    leaf.prop_recursive(5, 40, 20, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..20).prop_map(Value::Array),
            prop::collection::vec((any::<String>(), inner), 0..20).prop_map(Value::Object),
        ]
    })
}

proptest! {
    #[test]
    fn values_come_back(values in prop::collection::vec(value(), 0..4)) {
        for parser in PARSERS {
            let made = Args::new(parser, &Value::Array(values.clone())).unwrap();
            prop_assert_eq!(made.values(), [Value::Array(values.clone())]);
            let args = sent(parser, &made);
            prop_assert_eq!(&args, &made);
            prop_assert_eq!(args.extract::<Value>().unwrap(), Value::Array(values.clone()));
            for other in PARSERS {
                let other = args.convert(other).unwrap();
                prop_assert_eq!(other.values(), args.values());
                prop_assert_eq!(&other.convert(parser).unwrap(), &args);
            }
        }
    }

    /// Our JSON and `serde_json` agree about what is JSON, and about what it says.
    #[test]
    fn json_is_json(text in prop_oneof![
        "[\\[\\]{}:,\"0-9eE.+\\-tfn a\\\\u/]{0,12}",
        prop::collection::vec(
            prop::sample::select(vec![
                "[", "]", "{", "}", ":", ",", "\"a\"", "\"\"", "1", "-0.5e3", "true", "false", "null", " ", "\"\\n\"", "\"é\"",
            ]),
            0..12,
        ).prop_map(|tokens| tokens.concat()),
    ]) {
        let array = format!("[{text}]");
        let ours = Args::from_json(&array, Vec::new(), &Limits::default());
        match serde_json::from_str::<Vec<serde_json::Value>>(&array) {
            Ok(theirs) => {
                let ours = ours.unwrap();
                prop_assert_eq!(ours.len(), theirs.len());
                prop_assert_eq!(ours.deserialize::<Vec<serde_json::Value>>().unwrap(), theirs);
            }
            // Half of a surrogate pair and numbers beyond a double are JavaScript's JSON, but not serde_json's.
            Err(_) => prop_assert!(ours.is_err() || text.contains("\\u") || text.contains(['e', 'E']), "{}", array),
        }
    }

    #[test]
    fn no_text_panics(text in prop_oneof![any::<String>(), "[0-6][0-3]?-?(/a,)?[0-9]?\\[[\\[\\]{}\",:a0é\\\\]{0,20}"]) {
        let mut decoder = Decoder::new();
        if let Ok(Some(packet)) = Parser::Json.decode(&mut decoder, &Limits::default(), Incoming::Text(&text)) {
            Parser::Json.encode(&packet).unwrap();
            Parser::Msgpack.encode(&packet).unwrap();
        }
    }

    #[test]
    fn no_bytes_panic(
        data in prop::collection::vec(any::<u8>(), 0..60),
        cut in 0..60_usize,
        at in 0..60_usize,
        byte in any::<u8>(),
    ) {
        let unpack = |message: Vec<u8>| {
            let message = Incoming::Binary(message.into());
            Parser::Msgpack.decode(&mut Decoder::new(), &Limits::default(), message)
        };
        let _ = unpack(data.clone());
        if let Ok(args) = Args::from_msgpack(&data.clone().into(), &Limits::default()) {
            prop_assert_eq!(args.values().len(), args.len());
        }
        // A packet with any bytes as its data, cut anywhere, or with a byte changed.
        let head = b"\x84\xa4type\x02\xa3nsp\xa2/a\xa2id\x07\xa4data";
        let mut message = [&head[..], &[0x92, 0xA1, b'e'], &data].concat();
        let _ = unpack(message[..cut.min(message.len())].to_vec());
        for message in [message.clone(), { let at = at % message.len(); message[at] = byte; message }] {
            if let Ok(Some(packet)) = unpack(message) {
                let again = Parser::Msgpack.encode(&packet).unwrap();
                prop_assert_eq!(receive(Parser::Msgpack, &again), packet);
            }
        }
    }
}
