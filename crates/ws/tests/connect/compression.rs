//! permessage-deflate between our client and our server, in every agreement that the two can come to.

use switchboard_ws::{Client, Config, DeflateConfig, Limits, Message, WindowBits};

use crate::support::echo_server;

fn config(deflate: DeflateConfig) -> Config {
    Config::default().limits(Limits { deflate: Some(deflate), ..Limits::default() })
}

/// Messages that a window can make something of, some longer than the smallest windows, and one that does not compress.
fn messages() -> Vec<Message> {
    let noise = (0..3_000_u32).map(|i| i.wrapping_mul(2_654_435_761).to_be_bytes()[0]).collect::<Vec<_>>();
    let words =
        |i: usize| format!("{{\"event\":\"price\",\"number\":{i},\"of\":\"the very same thing\"}}").repeat(i % 7 + 1);
    let mut messages: Vec<_> = (0..30).map(|i| Message::text(words(i))).collect();
    messages.insert(10, Message::binary(noise.clone()));
    messages.insert(20, Message::binary([&noise[..], &noise[..]].concat()));
    messages.push(Message::text(""));
    messages
}

#[tokio::test]
async fn every_agreement_carries_every_message() {
    let bits = [8, 9, 12, 15].map(|bits| WindowBits::new(bits).unwrap());
    let willing = DeflateConfig { own_context_takeover: true, peer_context_takeover: true, ..DeflateConfig::default() };
    let server = echo_server(config(willing.clone())).await;
    let messages = messages();
    for (own_takeover, peer_takeover) in [(false, false), (false, true), (true, false), (true, true)] {
        for (own, peer) in bits.into_iter().flat_map(|own| bits.map(|peer| (own, peer))) {
            let wanted = DeflateConfig {
                own_context_takeover: own_takeover,
                peer_context_takeover: peer_takeover,
                own_max_window_bits: own,
                peer_max_window_bits: peer,
                ..willing.clone()
            };
            let client = Client::new(format!("ws://{server}/")).config(config(wanted.clone()));
            let mut socket = client.require_compression(true).connect().await.unwrap();
            let agreed = *socket.info().deflate().unwrap();
            assert_eq!(agreed.client_no_context_takeover, !own_takeover, "{wanted:?}");
            assert_eq!(agreed.server_no_context_takeover, !peer_takeover, "{wanted:?}");
            assert!(agreed.client_max_window_bits <= own, "{wanted:?}: {agreed:?}");
            assert!(agreed.server_max_window_bits <= peer, "{wanted:?}: {agreed:?}");
            for message in &messages {
                socket.send(message.clone()).await.unwrap();
                let echoed = socket.recv().await.unwrap().unwrap();
                assert_eq!((echoed.kind(), echoed.as_bytes()), (message.kind(), message.as_bytes()), "{agreed:?}");
            }
            assert!(socket.close(1000, "").await.unwrap().is_clean());
        }
    }
}

/// And the other way round: the server wants little, the client everything.
#[tokio::test]
async fn a_sparing_server_has_its_way() {
    let small = WindowBits::new(9).unwrap();
    let sparing = DeflateConfig { own_max_window_bits: small, peer_max_window_bits: small, ..DeflateConfig::default() };
    let server = echo_server(config(sparing)).await;
    let willing = DeflateConfig { own_context_takeover: true, peer_context_takeover: true, ..DeflateConfig::default() };
    let counted = config(willing);
    let client = Client::new(format!("ws://{server}/")).config(counted.clone());
    let mut socket = client.connect().await.unwrap();
    let agreed = *socket.info().deflate().unwrap();
    assert!(agreed.client_no_context_takeover && agreed.server_no_context_takeover, "{agreed:?}");
    assert_eq!((agreed.client_max_window_bits, agreed.server_max_window_bits), (small, small));
    for message in messages() {
        socket.send(message.clone()).await.unwrap();
        assert_eq!(socket.recv().await.unwrap().unwrap().as_bytes(), message.as_bytes());
    }
    socket.close(1000, "").await.unwrap();
    let snapshot = counted.get_metrics().snapshot();
    let payload: usize = messages().iter().map(Message::len).sum();
    assert!(snapshot.bytes_out < payload as u64, "{snapshot:?}: it was compressed");
}
