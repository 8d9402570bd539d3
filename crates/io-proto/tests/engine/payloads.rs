//! Properties of packets, payloads and sessions, for any bytes.

use std::sync::Arc;
use std::time::{Duration, Instant};

use proptest::prelude::*;
use switchboard_io_proto::engine::payload::{self, Payload};
use switchboard_io_proto::engine::{
    CloseReason, Config, Data, Encoding, Frame, Known, Out, Packet, Protocol, Query, Session, SessionId, Transport,
};

fn any_protocol() -> impl Strategy<Value = Protocol> {
    prop_oneof![Just(Protocol::V3), Just(Protocol::V4)]
}

/// Text without the separator: in v4 a message that holds it is two packets, in Node as here. (JSON escapes it.)
fn any_text() -> impl Strategy<Value = String> {
    any::<String>().prop_map(|text| text.replace('\x1e', "🦀"))
}

fn any_packet() -> impl Strategy<Value = Packet<'static>> {
    prop_oneof![
        any_text().prop_map(|text| Packet::Open(text.into())),
        any_text().prop_map(|text| Packet::Ping(text.into())),
        any_text().prop_map(|text| Packet::Pong(text.into())),
        any_text().prop_map(|text| Packet::Message(Data::Text(text.into()))),
        any::<Vec<u8>>().prop_map(|bytes| Packet::Message(Data::Binary(bytes.into()))),
        prop_oneof![Just(Packet::Close), Just(Packet::Upgrade), Just(Packet::Noop)],
    ]
}

/// Bytes that are close to a payload, so that more than the first byte is looked at.
fn almost_payload() -> impl Strategy<Value = Vec<u8>> {
    let piece = prop_oneof![
        any::<Vec<u8>>(),
        any_text().prop_map(String::into_bytes),
        "[0-9]{1,3}:[0-6b]{0,3}[a-z]{0,3}".prop_map(String::into_bytes),
        Just(vec![0x1e]),
        Just(b"b4AQI=".to_vec()),
        Just(vec![1, 2, 255, 4, 7]),
        Just(vec![0, 1, 255]),
    ];
    prop::collection::vec(piece, 0..8).prop_map(|pieces| pieces.concat())
}

proptest! {
    #[test]
    fn a_payload_comes_back_as_it_was(
        packets in prop::collection::vec(any_packet(), 1..8),
        protocol in any_protocol(),
        b64: bool,
    ) {
        let payload = payload::encode(&packets, Encoding { protocol, b64 });
        let read: Result<Vec<_>, _> = match &payload {
            Payload::Text(text) => payload::decode(protocol, text).collect(),
            Payload::Binary(bytes) => {
                prop_assert!(protocol == Protocol::V3 && !b64);
                payload::decode_binary_v3(bytes).collect()
            }
        };
        prop_assert_eq!(read.unwrap(), packets);
    }

    #[test]
    fn a_frame_comes_back_as_it_was(packet in any_packet(), protocol in any_protocol(), b64: bool) {
        let frame = packet.frame(Encoding { protocol, b64 });
        let read = match &frame {
            Frame::Text(text) => Packet::from_text(protocol, text),
            Frame::Binary(bytes) => Packet::from_binary(protocol, bytes),
        };
        prop_assert_eq!(read.as_ref(), Ok(&packet));
    }

    /// What a form does to line feeds is undone: this is how the client writes it.
    #[test]
    fn a_form_comes_back_as_it_was(text in any_text()) {
        let written = text.replace("\\n", "\\\\n").replace('\n', "\\n");
        let escaped: String = written.bytes().map(|byte| format!("%{byte:02x}")).collect();
        prop_assert_eq!(payload::decode_jsonp_form(&format!("d={escaped}")).unwrap(), text);
    }

    #[test]
    fn any_bytes_are_read_to_their_end(body in almost_payload(), protocol in any_protocol()) {
        let text = String::from_utf8_lossy(&body);
        for packets in [payload::decode(protocol, &text), payload::decode_binary_v3(&body)] {
            let read: Vec<_> = packets.collect();
            prop_assert!(read.len() <= body.len() + 1);
            let bad = read.iter().position(Result::is_err);
            prop_assert!(bad.is_none_or(|at| at == read.len() - 1), "an error is the last");
        }
        prop_assert!(payload::decode_jsonp_form(&text).map_or(0, |form| form.len()) <= text.len());
    }

    #[test]
    fn any_query_is_parsed(query in "[&=%+ -~é]{0,20}(sid=[A-Za-z0-9_%-]{18,22})?&?[&=%ejb64EIO]{0,20}") {
        if let SessionId::Named(sid) = Query::parse(&query).sid {
            prop_assert!(sid.as_str().bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_-".contains(&byte)));
        }
    }

    /// Whatever a client and its driver do, in any order: a session ends at most once, answers only polls that are
    /// open, and gives out what was queued at most once and in order.
    #[test]
    fn any_conversation_keeps_its_order(
        steps in prop::collection::vec((0u8..18, 0u64..30_000), 0..80),
        protocol in any_protocol(),
        on_websocket: bool,
    ) {
        let transport = if on_websocket { Transport::WebSocket } else { Transport::Polling };
        let mut now = Instant::now();
        let config = Arc::new(Config::default());
        let mut session = Session::open(&config, Known { transport, protocol }, false, now);
        let (mut queued, mut last, mut ended) = (0u32, None, None);
        for (step, millis) in steps {
            let was_direct = session.is_direct();
            let mut out = Vec::new();
            let packet = |text| Packet::from_text(Protocol::V4, text);
            let mut polled = false;
            match step {
                0 => polled = session.poll_begin(now).is_ok(),
                1 => session.poll_abort(),
                2 => drop(session.post_begin()),
                3 => session.post_end(),
                4 if millis < 3_000 => session.post_abort(),
                5 => drop(session.attach(false, now)),
                6 if millis < 3_000 => session.detach(millis % 2 == 0),
                7 => drop(session.receive(Transport::WebSocket, packet("2probe"), now)),
                8 => drop(session.receive(Transport::WebSocket, packet("5"), now)),
                9 => drop(session.receive(Transport::Polling, packet("3"), now)),
                10 => drop(session.receive(Transport::WebSocket, packet("4x"), now)),
                11 if millis < 3_000 => drop(session.receive(Transport::Polling, packet("1"), now)),
                12 if millis < 3_000 => session.close(CloseReason::ForcedClose, now),
                13 => {
                    now += Duration::from_millis(millis);
                    drop(session.handle_timeout(now));
                }
                _ if session.send(queued, 10).is_ok() => queued += 1,
                _ => {}
            }
            if step == 0 || millis % 2 == 0 {
                let due = session.polling_due();
                prop_assert_eq!(session.answer_poll(|one| out.push(one)), due);
                prop_assert_eq!(due, !out.is_empty());
            } else {
                out.extend(std::iter::from_fn(|| session.next_frame()));
            }
            prop_assert!(!polled || session.ended().is_none() || !out.is_empty(), "an open poll is answered at the end");
            for one in out {
                if let Out::Message(number) = one {
                    prop_assert_eq!(number, last.map_or(0, |last| last + 1));
                    last = Some(number);
                }
            }
            prop_assert!(ended.is_none() || session.ended() == ended, "the first reason stands");
            ended = session.ended();
            prop_assert!(ended.is_none() || session.poll_timeout().is_none());
            prop_assert!(!was_direct || session.is_direct() || !session.is_open() || session.queued().0 > 0);
        }
    }
}
