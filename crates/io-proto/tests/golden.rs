//! The bytes that Node's parsers write and take, both ways, and every rule of its decoder.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use bytes::Bytes;
use serde::Serialize;
use serde_json::json;
use switchboard_io_proto::socket::{
    Args, Arguments, DecodeError, Decoder, EncodeError, EventHead, Frame, Incoming, Kind, Limits, Namespace, Packet,
    Parser, Protocol, Value,
};

fn namespace(name: &str) -> Namespace {
    Namespace::new(name).unwrap()
}

fn text(frame: &Frame) -> &str {
    match frame {
        Frame::Text(text) => std::str::from_utf8(text).unwrap(),
        Frame::Binary(_) => panic!("expected text"),
    }
}

fn binary(frame: &Frame) -> &Bytes {
    match frame {
        Frame::Binary(bytes) => bytes,
        Frame::Text(_) => panic!("expected binary"),
    }
}

fn hex(digits: &str) -> Bytes {
    let digits: Vec<u8> = digits.bytes().filter(u8::is_ascii_hexdigit).collect();
    digits.chunks(2).map(|pair| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap()).collect()
}

/// What a decoder makes of a text (without the Engine.IO type), whichever way it is handed over.
fn decode(text: &str) -> Result<Option<Packet>, DecodeError> {
    let limits = Limits::default();
    let borrowed = Parser::Json.decode(&mut Decoder::new(), &limits, Incoming::Text(text));
    let owned = Incoming::OwnedText(Bytes::copy_from_slice(text.as_bytes()));
    assert_eq!(borrowed, Parser::Json.decode(&mut Decoder::new(), &limits, owned));
    borrowed
}

fn decode_all(first: &str, attachments: &[&'static [u8]]) -> Packet {
    let mut decoder = Decoder::new();
    let limits = Limits::default();
    let mut packet = Parser::Json.decode(&mut decoder, &limits, Incoming::Text(first)).unwrap();
    for attachment in attachments {
        assert_eq!(packet, None);
        assert!(decoder.is_waiting());
        packet = Parser::Json.decode(&mut decoder, &limits, Incoming::Binary(Bytes::from_static(attachment))).unwrap();
    }
    assert!(!decoder.is_waiting());
    packet.unwrap()
}

fn unpack(message: Bytes) -> Result<Packet, DecodeError> {
    let packet = Parser::Msgpack.decode(&mut Decoder::new(), &Limits::default(), Incoming::Binary(message))?;
    Ok(packet.expect("msgpack packets are whole"))
}

fn pack(value: &impl Serialize) -> Bytes {
    Args::new(Parser::Msgpack, &(value,)).unwrap().raw().clone()
}

#[track_caller]
fn event(expected: &str, head: &EventHead<'_>, args: &impl Arguments) -> Vec<Bytes> {
    let frames = Parser::Json.event(head, args).unwrap();
    assert_eq!(text(&frames.first), expected);
    // What was written is read again, and written again, without a change.
    let mut decoder = Decoder::new();
    let limits = Limits::default();
    let mut packet = Parser::Json.decode(&mut decoder, &limits, Incoming::Text(&expected[1..])).unwrap();
    for attachment in &frames.attachments {
        packet = Parser::Json.decode(&mut decoder, &limits, Incoming::Binary(attachment.clone())).unwrap();
    }
    assert_eq!(Parser::Json.encode(&packet.unwrap()).unwrap(), frames);
    frames.attachments
}

#[test]
fn events() {
    let root = Namespace::ROOT;
    let admin = namespace("/admin");
    event(r#"42["hello",1,"2",{"3":[true]}]"#, &EventHead::new(&root, "hello"), &(1, "2", json!({"3": [true]})));
    event(r#"42["hello"]"#, &EventHead::new(&root, "hello"), &());
    event(r#"42/admin,["x"]"#, &EventHead::new(&admin, "x"), &());
    event(r#"42/admin,12["x","y"]"#, &EventHead { id: Some(12), ..EventHead::new(&admin, "x") }, &"y");
    event(r#"420["x"]"#, &EventHead { id: Some(0), ..EventHead::new(&root, "x") }, &());
    let long = EventHead { id: Some(u64::MAX), ..EventHead::new(&root, "x") };
    event(r#"4218446744073709551615["x"]"#, &long, &());
    event(r#"42["a\"\n",null,[1.5,"é"]]"#, &EventHead::new(&root, "a\"\n"), &(None::<u8>, (1.5, "é")));
}

#[test]
fn the_offset_of_connection_state_recovery_is_the_last_argument() {
    let root = Namespace::ROOT;
    let hello = EventHead { offset: Some("Q7wskG9"), ..EventHead::new(&root, "hello") };
    event(r#"42["hello","Q7wskG9"]"#, &hello, &());
    let b2 = EventHead { offset: Some("Q7wskH2.0"), ..EventHead::new(&root, "b2") };
    let data = Bytes::from_static(&[1, 2]);
    let attachments = event(r#"451-["b2",{"_placeholder":true,"num":0},"Q7wskH2.0"]"#, &b2, &data);
    assert_eq!(attachments, [data]);
}

#[test]
fn attachments_are_taken_out_depth_first() {
    let bytes = |byte: u8| Value::Binary(Bytes::copy_from_slice(&[byte]));
    let tree = Value::Object(vec![
        ("a".into(), Value::Array(vec![bytes(0), Value::Object(vec![("b".into(), bytes(1))])])),
        ("c".into(), bytes(2)),
    ]);
    let expected = concat!(
        r#"454-/admin,7["bin",{"a":[{"_placeholder":true,"num":0},{"b":{"_placeholder":true,"num":1}}],"#,
        r#""c":{"_placeholder":true,"num":2}},{"_placeholder":true,"num":3}]"#
    );
    let admin = namespace("admin");
    let head = EventHead { id: Some(7), ..EventHead::new(&admin, "bin") };
    let attachments = event(expected, &head, &(tree, bytes(3)));
    assert_eq!(attachments, [vec![0_u8], vec![1], vec![2], vec![3]]);
}

#[test]
fn acks() {
    let (root, admin) = (Namespace::root(), namespace("/admin"));
    assert_eq!(text(&Parser::Json.ack(root, 5, &()).unwrap().first), "435[]");
    assert_eq!(text(&Parser::Json.ack(root, 5, &(1, "a")).unwrap().first), r#"435[1,"a"]"#);
    assert_eq!(text(&Parser::Json.ack(&admin, 12, &"ok").unwrap().first), r#"43/admin,12["ok"]"#);
    let frames = Parser::Json.ack(root, 3, &Bytes::from_static(b"x")).unwrap();
    assert_eq!(text(&frames.first), r#"461-3[{"_placeholder":true,"num":0}]"#);
    assert_eq!(frames.attachments, ["x"]);
    assert_eq!((frames.len(), frames.bytes()), (2, 37));
    assert_eq!(frames.iter().nth(1), Some(Frame::Binary(Bytes::from_static(b"x"))));
}

#[test]
fn connect_disconnect_and_refusals() {
    let (root, x) = (Namespace::ROOT, namespace("/x"));
    let connect = |namespace: &Namespace, data: &serde_json::Value| {
        text(&Parser::Json.connect(namespace, data).unwrap().first).to_owned()
    };
    assert_eq!(connect(&root, &json!({"sid": "abc"})), r#"40{"sid":"abc"}"#);
    assert_eq!(connect(&x, &json!({"sid": "abc"})), r#"40/x,{"sid":"abc"}"#);
    assert_eq!(text(&Parser::Json.connect(&root, &()).unwrap().first), "40");
    assert_eq!(text(&Parser::Json.connect(&x, &()).unwrap().first), "40/x,");
    assert!(Parser::Json.connect(&root, &"text").is_err());
    assert!(Parser::Json.connect(&root, &(json!({}), 1)).is_err());
    assert_eq!(text(&Parser::Json.disconnect(&root).first), "41");
    assert_eq!(text(&Parser::Json.disconnect(&x).first), "41/x,");
    let refuse = |protocol, namespace, message, data: &dyn Fn() -> Args| {
        text(&Parser::Json.connect_error(protocol, namespace, message, &data()).unwrap().first).to_owned()
    };
    let data = || Args::new(Parser::Json, &json!({"code": 1})).unwrap();
    assert_eq!(
        refuse(Protocol::V5, &x, "Invalid namespace", &Args::default),
        r#"44/x,{"message":"Invalid namespace"}"#
    );
    assert_eq!(refuse(Protocol::V5, &root, "no", &data), r#"44{"message":"no","data":{"code":1}}"#);
    assert_eq!(refuse(Protocol::V4, &root, "msg", &Args::default), r#"44"msg""#);
    assert_eq!(refuse(Protocol::V4, &x, "msg", &data), r#"44/x,{"code":1}"#);
}

#[test]
fn packets_are_read() {
    assert_eq!(decode("0").unwrap().unwrap(), Packet { namespace: Namespace::ROOT, kind: Kind::Connect(None) });
    assert_eq!(decode("0/custom").unwrap().unwrap().namespace.as_str(), "/custom");
    assert_eq!(decode("0/custom,").unwrap().unwrap().namespace.as_str(), "/custom");
    let Kind::Connect(Some(auth)) = decode(r#"0/admin,{"token":"1"}"#).unwrap().unwrap().kind else { panic!() };
    assert_eq!(auth.get::<serde_json::Value>(0).unwrap(), json!({"token": "1"}));
    let old = decode("0/admin?token=1,").unwrap().unwrap().namespace;
    assert_eq!(old.split_query(), (namespace("/admin"), Some("token=1")));
    assert_eq!(decode("1/x,").unwrap().unwrap(), Packet { namespace: namespace("/x"), kind: Kind::Disconnect });
    let Kind::Event { name, args, id } = decode(r#"213[ "ev\u0065nt" , 1 , [ ] ]"#).unwrap().unwrap().kind else {
        panic!()
    };
    assert_eq!((name.as_str(), id, args.len(), &args.raw()[..]), ("event", Some(13), 2, &b"1 , [ ]"[..]));
    let Kind::Event { name, .. } = decode("2[1,2]").unwrap().unwrap().kind else { panic!() };
    assert_eq!(name, "1");
    let Kind::Ack { args, id } = decode("3/x,7[]").unwrap().unwrap().kind else { panic!() };
    assert_eq!((args.len(), id), (0, 7));
    assert!(matches!(decode(r#"4"refused""#).unwrap().unwrap().kind, Kind::ConnectError(_)));
    assert!(matches!(decode(r#"4{"message":"no"}"#).unwrap().unwrap().kind, Kind::ConnectError(_)));
}

#[test]
fn binary_packets_are_put_together() {
    let placeholder = r#"52-["b",{"num":1,"_placeholder":true},[{"_placeholder":true,"num":0}]]"#;
    let Kind::Event { args, .. } = decode_all(placeholder, &[b"zero", b"one"]).kind else { panic!() };
    let (one, zero): (Bytes, Vec<Bytes>) = args.deserialize().unwrap();
    assert_eq!((one, zero), (Bytes::from_static(b"one"), vec![Bytes::from_static(b"zero")]));
    let Kind::Ack { args, id: 4 } = decode_all(r#"61-4[{"_placeholder":true,"num":0}]"#, &[b"x"]).kind else {
        panic!()
    };
    assert_eq!(args.values(), [Value::Binary(Bytes::from_static(b"x"))]);
    // Without attachments it is an object like any other.
    let Kind::Event { args, .. } = decode(r#"2["b",{"_placeholder":true,"num":9}]"#).unwrap().unwrap().kind else {
        panic!()
    };
    assert_eq!(args.get::<serde_json::Value>(0).unwrap(), json!({"_placeholder": true, "num": 9}));
}

#[test]
fn attachments_numbered_in_another_order_are_numbered_anew() {
    let shuffled = r#"52-["b",{"a":{"_placeholder":true,"num":1}},{"_placeholder":true,"num":0}]"#;
    let Kind::Event { args, .. } = decode_all(shuffled, &[b"zero", b"one"]).kind else { panic!() };
    assert_eq!(args.raw(), r#"{"a":{"_placeholder":true,"num":0}},{"_placeholder":true,"num":1}"#);
    assert_eq!(args.attachments(), [&b"one"[..], b"zero"]);
    // Sent on as it came: to write each out would multiply what the peer has sent.
    let twice = r#"52-["b",{"_placeholder":true,"num":1},{"_placeholder":true,"num":1}]"#;
    let Kind::Event { args, .. } = decode_all(twice, &[b"zero", b"one"]).kind else { panic!() };
    assert_eq!(args.raw(), r#"{"_placeholder":true,"num":1},{"_placeholder":true,"num":1}"#);
    assert_eq!(args.attachments(), [&b"zero"[..], b"one"]);
}

#[test]
fn every_rule_of_the_decoder() {
    let cases = [
        ("", DecodeError::Empty),
        ("7", DecodeError::UnknownType),
        ("999", DecodeError::UnknownType),
        ("é", DecodeError::UnknownType),
        ("5", DecodeError::AttachmentCount),
        (r#"5["a"]"#, DecodeError::AttachmentCount),
        (r#"51["a"]"#, DecodeError::AttachmentCount),
        (r#"50-["a"]"#, DecodeError::AttachmentCount),
        (r#"5-1-["a"]"#, DecodeError::AttachmentCount),
        (r#"51.5-["a"]"#, DecodeError::AttachmentCount),
        (r#"511-["a"]"#, DecodeError::TooManyAttachments { limit: 10 }),
        (r#"599999999999999999999999-["a"]"#, DecodeError::TooManyAttachments { limit: 10 }),
        (r#"0/admin,"invalid""#, DecodeError::ConnectData),
        ("0[]", DecodeError::ConnectData),
        ("0null", DecodeError::ConnectData),
        ("1/admin,{}", DecodeError::DisconnectData),
        ("1{}", DecodeError::DisconnectData),
        ("2", DecodeError::EventData),
        ("2[]", DecodeError::EventData),
        ("2/admin,{}", DecodeError::EventData),
        (r#"2/admin,"invalid"#, DecodeError::EventData),
        (r#"2[{"toString":"foo"}]"#, DecodeError::EventName),
        (r#"2[true,"foo"]"#, DecodeError::EventName),
        (r#"2[null,"bar"]"#, DecodeError::EventName),
        (r#"2["connect"]"#, DecodeError::ReservedEvent),
        (r#"2["connect_error"]"#, DecodeError::ReservedEvent),
        (r#"2["disconnect"]"#, DecodeError::ReservedEvent),
        (r#"2["disconnect\u0069ng"]"#, DecodeError::ReservedEvent),
        (r#"2["newListener"]"#, DecodeError::ReservedEvent),
        (r#"2["removeListener"]"#, DecodeError::ReservedEvent),
        ("3", DecodeError::AckData),
        ("31{}", DecodeError::AckData),
        ("3[]", DecodeError::MissingAckId),
        ("318446744073709551616[]", DecodeError::AckId),
        ("4", DecodeError::Json { at: 1 }),
        ("4[]", DecodeError::ConnectErrorData),
        (r#"442["some","data"#, DecodeError::Json { at: 16 }),
        (r#"2["a",}]"#, DecodeError::Json { at: 6 }),
        (r#"2["a",]"#, DecodeError::Json { at: 6 }),
        (r#"2["a"]]"#, DecodeError::Json { at: 6 }),
        (r#"2["a",01]"#, DecodeError::Json { at: 7 }),
        (r#"2["a",{"b"}]"#, DecodeError::Json { at: 10 }),
        (r#"2["a",{1:2}]"#, DecodeError::Json { at: 7 }),
        (r#"2["a",[1}]"#, DecodeError::Json { at: 8 }),
        ("2[\"a\nb\"]", DecodeError::Json { at: 4 }),
        (r#"2["\x"]"#, DecodeError::Json { at: 3 }),
        (r#"2["\u12"]"#, DecodeError::Json { at: 3 }),
        (r#"51-["a",{"_placeholder":true,"num":1}]"#, DecodeError::Placeholder),
        (r#"51-["a",{"_placeholder":true,"num":-1}]"#, DecodeError::Placeholder),
        (r#"51-["a",{"_placeholder":true,"num":"splice"}]"#, DecodeError::Placeholder),
        (r#"51-["a",{"_placeholder":true,"num":[0]}]"#, DecodeError::Placeholder),
        (r#"51-["a",{"_placeholder":true}]"#, DecodeError::Placeholder),
        (r#"51-["a",{"_placeholder":true,"num":0,"num":9}]"#, DecodeError::Placeholder),
        (r#"51-["a",[{"x":1,"_placeholder":true,"num":9}]]"#, DecodeError::Placeholder),
    ];
    for (text, error) in cases {
        assert_eq!(decode(text), Err(error), "{text}");
        assert!(!error.name().is_empty() && !error.to_string().is_empty());
    }
    let bytes = Incoming::OwnedText(Bytes::from_static(b"2[\"\xFF\"]"));
    assert_eq!(Parser::Json.decode(&mut Decoder::new(), &Limits::default(), bytes), Err(DecodeError::Utf8));
}

#[test]
fn attachments_come_when_they_are_due_and_only_then() {
    let limits = Limits::default();
    let mut decoder = Decoder::new();
    let mut give = |message| Parser::Json.decode(&mut decoder, &limits, message);
    let attachment = || Incoming::Binary(Bytes::from_static(b"x"));
    assert_eq!(give(attachment()), Err(DecodeError::UnexpectedAttachment));
    let head = || Incoming::Text(r#"51-["a",{"_placeholder":true,"num":0}]"#);
    assert_eq!(give(head()), Ok(None));
    assert_eq!(give(Incoming::Text(r#"2["a"]"#)), Err(DecodeError::ExpectedAttachment));
    assert_eq!(give(attachment()), Err(DecodeError::UnexpectedAttachment));
    assert_eq!(size_of::<Decoder>(), size_of::<usize>());
}

#[test]
fn attachments_that_nothing_can_name_are_not_kept() {
    for text in ["61-2[]", r#"51-["a"]"#] {
        let packet = decode_all(text, &[b"x"]);
        let (Kind::Event { args, .. } | Kind::Ack { args, .. }) = &packet.kind else { panic!("{packet:?}") };
        assert_eq!((args.len(), args.bytes()), (0, 0));
        let Frame::Text(again) = Parser::Json.encode(&packet).unwrap().first else { panic!("text") };
        assert_eq!(decode_all(std::str::from_utf8(&again[1..]).unwrap(), &[]), packet);
    }
    let args = Args::from_json("[]", vec![Bytes::from_static(b"x")], &Limits::default()).unwrap();
    assert_eq!(args.bytes(), 0);
}

#[test]
fn an_announcement_reserves_nothing() {
    let mut limits = Limits::default();
    limits.attachments = usize::MAX;
    let mut decoder = Decoder::new();
    let text = Incoming::Text(r#"59223372036854775807-["a",1]"#);
    assert_eq!(Parser::Json.decode(&mut decoder, &limits, text), Ok(None));
    assert!(decoder.is_waiting());
}

#[test]
fn a_packet_has_a_longest_length() {
    let mut limits = Limits::default();
    limits.bytes = 42;
    let mut decoder = Decoder::new();
    let mut give = |message| Parser::Json.decode(&mut decoder, &limits, message);
    let head = r#"51-["a",{"_placeholder":true,"num":0}]"#;
    assert_eq!(give(Incoming::Text(head)), Ok(None));
    let too_big = Err(DecodeError::TooBig { limit: 42 });
    assert_eq!(give(Incoming::Binary(vec![0; 43 - head.len()].into())), too_big);
    assert_eq!(give(Incoming::Text(head)), Ok(None));
    assert!(give(Incoming::Binary(vec![0; 42 - head.len()].into())).unwrap().is_some());
    let long = format!("2[\"{}\"]", "a".repeat(38));
    assert_eq!(give(Incoming::Text(&long)), too_big);
    let message = Incoming::Binary(vec![0; 43].into());
    assert_eq!(Parser::Msgpack.decode(&mut Decoder::new(), &limits, message), too_big);
}

#[test]
fn depth_has_a_limit_in_both_parsers() {
    let mut limits = Limits::default();
    limits.depth = 3;
    for (levels, fits) in [(2, true), (3, false)] {
        let text = format!("2[\"a\",{}{}]", "[".repeat(levels), "]".repeat(levels));
        let decoded = Parser::Json.decode(&mut Decoder::new(), &limits, Incoming::Text(&text));
        assert_eq!(decoded.is_ok(), fits, "{decoded:?}");
        // The innermost of n one-element arrays is empty.
        let mut message = hex("83 a474797065 02 a36e7370 a12f a464617461 92 a161").to_vec();
        message.extend(std::iter::repeat_n(0x91, levels - 1).chain([0x90]));
        let decoded = Parser::Msgpack.decode(&mut Decoder::new(), &limits, Incoming::Binary(message.into()));
        assert_eq!(decoded.is_ok(), fits, "{decoded:?}");
    }
}

#[test]
fn bombs_are_refused() {
    let limit = DecodeError::TooDeep { limit: 128 };
    assert_eq!(decode(&format!("2[\"a\",{}", "[".repeat(1_000_000))), Err(limit));
    assert_eq!(decode(&format!("0{}", "{\"a\":".repeat(500_000))), Err(limit));
    let head = hex("83 a474797065 02 a36e7370 a12f a464617461");
    for bomb in [vec![0x91; 1_000_000], [0x81, 0xA1, 0x61].repeat(300_000)] {
        assert_eq!(unpack([&head[..], &bomb].concat().into()), Err(limit));
    }
    // A key that nobody knows is no way round.
    let unknown = hex("83 a474797065 02 a36e7370 a12f a178");
    assert_eq!(unpack([&unknown[..], &[0x91; 100_000]].concat().into()), Err(limit));
    // A count that lies costs nothing.
    let lie = [&head[..], &hex("dd ffffffff")].concat();
    assert!(matches!(unpack(lie.into()), Err(DecodeError::Msgpack { .. })));
    // As deep as allowed can be read.
    let deep = format!("2[\"a\",{}{}]", "[".repeat(127), "]".repeat(127));
    let Kind::Event { args, .. } = decode(&deep).unwrap().unwrap().kind else { panic!() };
    assert_eq!(Value::from(args.get::<serde_json::Value>(0).unwrap()), args.values()[0]);
    let packed = args.convert(Parser::Msgpack).unwrap();
    assert_eq!(packed.convert(Parser::Json).unwrap(), args);
}

#[test]
fn msgpack_as_notepack_writes_it() {
    let root = Namespace::ROOT;
    // The packet inside `io.emit("hello", 1, "2", {3: [true]})` as the Redis adapter publishes it.
    let golden = hex("83 a474797065 02 a464617461 94 a568656c6c6f 01 a132 81 a133 91 c3 a36e7370 a12f");
    let frames = Parser::Msgpack
        .event(&EventHead::new(&root, "hello"), &(1, "2", std::collections::HashMap::from([(3, [true])])))
        .unwrap();
    assert_eq!(binary(&frames.first), &golden);
    let packet = unpack(golden.clone()).unwrap();
    let Kind::Event { name, args, id: None } = &packet.kind else { panic!() };
    assert_eq!((name.as_str(), args.len(), packet.namespace.is_root()), ("hello", 3, true));
    assert_eq!(args.get::<serde_json::Value>(2).unwrap(), json!({"3": [true]}));
    assert_eq!(binary(&Parser::Msgpack.encode(&packet).unwrap().first), &golden);
    // Binary data stays in its place.
    let golden = hex("83 a474797065 02 a464617461 92 a362696e c403010203 a36e7370 a12f");
    let packet = unpack(golden.clone()).unwrap();
    let Kind::Event { args, .. } = &packet.kind else { panic!() };
    assert_eq!(args.get::<Bytes>(0).unwrap(), [1_u8, 2, 3][..]);
    let frames = Parser::Json.encode(&packet).unwrap();
    assert_eq!(text(&frames.first), r#"451-["bin",{"_placeholder":true,"num":0}]"#);
    assert_eq!(frames.attachments, [vec![1_u8, 2, 3]]);
    assert_eq!(binary(&Parser::Msgpack.encode(&packet).unwrap().first), &golden);
    // Another namespace, an ack id, and an offset.
    let admin = namespace("/admin");
    let head = EventHead { id: Some(300), offset: Some("o"), ..EventHead::new(&admin, "x") };
    let golden = hex("84 a474797065 02 a464617461 92 a178 a16f a36e7370 a62f61646d696e a26964 cd012c");
    assert_eq!(binary(&Parser::Msgpack.event(&head, &()).unwrap().first), &golden);
    assert_eq!(
        binary(&Parser::Msgpack.ack(&root, 1, &()).unwrap().first),
        &hex("84 a474797065 03 a464617461 90 a36e7370 a12f a26964 01")
    );
    assert_eq!(binary(&Parser::Msgpack.disconnect(&root).first), &hex("82 a474797065 01 a36e7370 a12f"));
    let connect = Parser::Msgpack.connect(&root, &json!({"sid": "a"})).unwrap();
    assert_eq!(binary(&connect.first), &hex("83 a474797065 00 a464617461 81 a3736964 a161 a36e7370 a12f"));
    let refused = Parser::Msgpack.connect_error(Protocol::V5, &root, "no", &1).unwrap();
    assert_eq!(
        binary(&refused.first),
        &hex("83 a474797065 04 a464617461 82 a76d657373616765 a26e6f a464617461 01 a36e7370 a12f")
    );
}

/// Also by Node: the number is parsed, and written anew.
#[test]
fn an_event_called_by_a_number_is_written_as_one() {
    for (said, written) in [("1", "1"), ("-7", "-7"), ("1.50", "1.5"), ("2e3", "2000"), (r#""1""#, r#""1""#)] {
        let packet = decode(&format!("2[{said},true]")).unwrap().unwrap();
        let frames = Parser::Json.encode(&packet).unwrap();
        assert_eq!(text(&frames.first), format!("42[{written},true]"));
        let frames = Parser::Msgpack.encode(&packet).unwrap();
        let Frame::Binary(bytes) = frames.first else { panic!() };
        let packet = unpack(bytes).unwrap();
        assert_eq!(text(&Parser::Json.encode(&packet).unwrap().first), format!("42[{written},true]"));
    }
    // What is no number is a text, whatever is said of it.
    let head = EventHead { is_number: true, ..EventHead::new(Namespace::root(), "inf") };
    assert_eq!(text(&Parser::Json.event(&head, &()).unwrap().first), r#"42["inf"]"#);
}

#[test]
fn msgpack_takes_what_clients_add() {
    // notepack.io 2.2.0, {type: 0, data: undefined, nsp: "/", options: {compress: true}, id: undefined}
    let client = hex(concat!(
        "85 a474797065 00 a464617461 d40000 a36e7370 a12f a76f7074696f6e73 81 a8636f6d7072657373 c3 ",
        "a26964 d40000"
    ));
    assert_eq!(unpack(client).unwrap().kind, Kind::Connect(None));
    // The same: a date, undefined, a Buffer, an ArrayBuffer, {a: undefined}, 1.5, -70000, 2 ** 40, NaN
    let client = hex(concat!(
        "83 a474797065 02 a464617461 9a a161 d7000000018bcfe5687b d40000 c4020102 c7010003 81 a161 d40000 ",
        "cb3ff8000000000000 d2fffeee90 cf0000010000000000 cb7ff8000000000000 a36e7370 a12f"
    ));
    let Kind::Event { args, .. } = unpack(client).unwrap().kind else { panic!() };
    let bytes = |bytes: &'static [u8]| Value::from(Bytes::from_static(bytes));
    let mut values = args.values();
    assert!(values.pop().unwrap().as_number().unwrap().as_f64().is_nan());
    assert_eq!(
        values,
        [
            Value::from("2023-11-14T22:13:20.123Z"),
            Value::Null,
            bytes(&[1, 2]),
            bytes(&[3]),
            Value::Object(vec![("a".into(), Value::Null)]),
            Value::from(1.5),
            Value::from(-70_000),
            Value::from(1_u64 << 40),
        ]
    );
    // Dates as later versions write them, and ArrayBuffers that are as long as `undefined` and a date are.
    let others = hex(concat!(
        "83 a474797065 02 a36e7370 a12f a464617461 95 a164 c70cff 0754d4c0 000000006553f100 d6ff 6553f100 ",
        "c70100 00 c70800 0000018bcfe5687b"
    ));
    let Kind::Event { args, .. } = unpack(others).unwrap().kind else { panic!() };
    assert_eq!(
        args.values(),
        [
            Value::from("2023-11-14T22:13:20.123Z"),
            Value::from("2023-11-14T22:13:20.000Z"),
            bytes(&[0]),
            bytes(&[0, 0, 1, 0x8B, 0xCF, 0xE5, 0x68, 0x7B]),
        ]
    );
}

#[test]
fn every_rule_of_the_msgpack_decoder() {
    #[derive(Serialize)]
    struct Envelope<T> {
        r#type: u8,
        data: T,
        nsp: &'static str,
        #[serde(skip_serializing_if = "Option::is_none")]
        id: Option<i64>,
    }
    let envelope = |kind, data: serde_json::Value| pack(&Envelope { r#type: kind, data, nsp: "/", id: Some(1) });
    let cases = [
        (Bytes::new(), DecodeError::Empty),
        (pack(&"text"), DecodeError::Msgpack { at: 5 }),
        (pack(&json!({})), DecodeError::UnknownType),
        (pack(&json!({"type": "2"})), DecodeError::UnknownType),
        (pack(&json!({"type": 1})), DecodeError::Namespace),
        (pack(&json!({"type": 1, "nsp": 1})), DecodeError::Namespace),
        (pack(&json!({"type": 1, "nsp": "x"})), DecodeError::Namespace),
        (pack(&json!({"type": 1, "nsp": "/a,b"})), DecodeError::Namespace),
        (envelope(5, json!(["a"])), DecodeError::UnknownType),
        (envelope(255, json!(["a"])), DecodeError::UnknownType),
        (envelope(0, json!([])), DecodeError::ConnectData),
        (envelope(1, json!({})), DecodeError::DisconnectData),
        (envelope(2, json!(null)), DecodeError::EventData),
        (envelope(2, json!([])), DecodeError::EventData),
        (envelope(2, json!({})), DecodeError::EventData),
        (envelope(2, json!([true])), DecodeError::EventName),
        (envelope(2, json!(["disconnect"])), DecodeError::ReservedEvent),
        (envelope(3, json!({})), DecodeError::AckData),
        (pack(&Envelope { r#type: 3, data: json!([]), nsp: "/", id: None }), DecodeError::MissingAckId),
        (pack(&Envelope { r#type: 3, data: json!([]), nsp: "/", id: Some(-1) }), DecodeError::AckId),
        (envelope(4, json!(null)), DecodeError::ConnectErrorData),
        (envelope(4, json!([])), DecodeError::ConnectErrorData),
        // Half a letter in the data; a key that is none; bytes after the end.
        (hex("81 a464617461 92 a161 a1c3"), DecodeError::Utf8),
        (hex("81 a464617461 81 c0 c0"), DecodeError::Msgpack { at: 8 }),
        (hex("80 c0"), DecodeError::Msgpack { at: 1 }),
        (hex("81 a464617461 c1"), DecodeError::Msgpack { at: 7 }),
    ];
    for (message, error) in cases {
        assert_eq!(unpack(message.clone()), Err(error), "{message:02x?}");
    }
    let text = Parser::Msgpack.decode(&mut Decoder::new(), &Limits::default(), Incoming::Text("2[\"a\"]"));
    assert_eq!(text, Err(DecodeError::UnexpectedText));
}

#[test]
fn what_cannot_be_sent_is_refused_and_leaves_nothing_behind() {
    let root = Namespace::ROOT;
    let mut out = b"before".to_vec();
    for parser in [Parser::Json, Parser::Msgpack] {
        let refused = parser.event_into(&EventHead::new(&root, "disconnect"), &1, &mut out, &mut Vec::new());
        assert_eq!(refused, Err(EncodeError::ReservedEvent));
        let unwritable = std::collections::HashMap::from([((1, 2), 3)]);
        let refused = parser.event_into(&EventHead::new(&root, "a"), &unwritable, &mut out, &mut Vec::new());
        assert!(matches!(refused, Err(EncodeError::Serialize(_))));
        let binary = Bytes::from_static(b"x");
        assert!(parser.connect_error(Protocol::V5, &root, "no", &(1, 2)).is_err());
        assert!(Parser::Json.connect_error(Protocol::V5, &root, "no", &binary).is_err());
    }
    assert_eq!(out, b"before");
    let forged = (json!({"_placeholder": true, "num": 99}), Bytes::from_static(b"x"));
    assert_eq!(Parser::Json.event(&EventHead::new(&root, "a"), &forged), Err(EncodeError::Placeholder));
    assert!(Parser::Json.event(&EventHead::new(&root, "a"), &forged.0).is_ok());
    assert!(Parser::Msgpack.event(&EventHead::new(&root, "a"), &forged).is_ok());
    assert_eq!(Namespace::new("a,b"), Err(EncodeError::Namespace));
}
