//! Payloads, packets and queries of Engine.IO. An input is a byte for what it is, and its bytes.

use switchboard_io_proto::engine::payload::{
    Payload, decode, decode_binary_v3, decode_jsonp_form, encode, jsonp_script,
};
use switchboard_io_proto::engine::{Encoding, Frame, Packet, PacketError, Protocol, Query};

pub fn run(data: &[u8]) {
    let Some((kind, bytes)) = data.split_first() else { return };
    let text = String::from_utf8_lossy(bytes);
    match kind % 6 {
        0 => body(Protocol::V4, decode(Protocol::V4, &text).collect()),
        1 => body(Protocol::V3, decode(Protocol::V3, &text).collect()),
        2 => body(Protocol::V3, decode_binary_v3(bytes).collect()),
        3 => form(&text),
        4 => frame(bytes),
        _ => query(bytes),
    }
}

/// Packets up to the first bad one; those before it survive being written and read.
fn body(protocol: Protocol, packets: Vec<Result<Packet<'_>, PacketError>>) {
    let good: Vec<Packet<'_>> = packets.iter().cloned().map_while(Result::ok).collect();
    assert!(packets.len() - good.len() <= 1, "something after an error");
    for b64 in [false, true] {
        let encoding = Encoding { protocol, b64 };
        let payload = encode(&good, encoding);
        let read: Vec<_> = match &payload {
            Payload::Text(text) => decode(protocol, text).collect(),
            Payload::Binary(bytes) => {
                assert!(protocol == Protocol::V3 && !b64);
                decode_binary_v3(bytes).collect()
            }
        };
        if good.is_empty() {
            assert!(read.iter().all(|packet| *packet == Err(PacketError::Empty)));
        } else {
            assert_eq!(read.into_iter().collect::<Result<Vec<_>, _>>().as_ref(), Ok(&good));
        }
        if let Payload::Text(text) = payload {
            script(&text);
        }
        for packet in &good {
            assert_eq!(&through_frame(packet, encoding), packet);
        }
    }
}

fn through_frame(packet: &Packet<'_>, encoding: Encoding) -> Packet<'static> {
    let read = match packet.frame(encoding) {
        Frame::Text(text) => Packet::from_text(encoding.protocol, &text).map(Packet::into_owned),
        Frame::Binary(bytes) => Packet::from_binary(encoding.protocol, &bytes).map(Packet::into_owned),
    };
    read.expect("what we wrote")
}

/// A script is one line with one string in it, which says the payload.
fn script(payload: &str) {
    let script = jsonp_script(7, payload);
    let literal = script.strip_prefix("___eio[7](").and_then(|rest| rest.strip_suffix(");")).expect("a call");
    assert!(!literal.contains(['\n', '\r', '\u{2028}', '\u{2029}']));
    assert_eq!(serde_json::from_str::<String>(literal).expect("a string"), payload);
}

fn form(text: &str) {
    let Some(payload) = decode_jsonp_form(text) else { return };
    for protocol in [Protocol::V3, Protocol::V4] {
        body(protocol, decode(protocol, &payload).collect());
    }
    // The client's escapes are ambiguous beside backslashes of the payload's own.
    if !payload.contains('\\') {
        let escaped = payload.replace('\n', "\\n");
        let mut form = String::from("x=1&d=");
        for byte in escaped.bytes() {
            form.push_str(&format!("%{byte:02x}"));
        }
        assert_eq!(decode_jsonp_form(&form), Some(payload));
    }
}

fn frame(bytes: &[u8]) {
    for protocol in [Protocol::V3, Protocol::V4] {
        let text = std::str::from_utf8(bytes).ok().and_then(|text| Packet::from_text(protocol, text).ok());
        let binary = Packet::from_binary(protocol, bytes).ok();
        for packet in text.into_iter().chain(binary) {
            for b64 in [false, true] {
                assert_eq!(through_frame(&packet, Encoding { protocol, b64 }), packet);
            }
        }
    }
}

fn query(bytes: &[u8]) {
    if let Ok(text) = std::str::from_utf8(bytes) {
        let query = Query::parse(text);
        assert_eq!(query, Query::parse(text.trim_matches('&')));
        let _ = query.encoding();
    }
}
