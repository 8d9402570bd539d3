//! However the bytes are cut into reads, the events and the answers are the same.

use proptest::prelude::*;
use switchboard_testkit::frame::{self, Frame};
use switchboard_testkit::{Heard, Side};
use switchboard_ws_proto::Config;

/// What a server hears and says when `bytes` arrive in reads that end at `cuts`.
fn conversation(bytes: &[u8], cuts: &[usize]) -> (Vec<Heard>, Vec<Frame>) {
    let mut server = Side::server(Config { max_message: 3000, max_fragments: 8, ..Config::default() });
    let mut heard = Vec::new();
    let mut from = 0;
    for &cut in cuts.iter().chain([&bytes.len()]) {
        heard.extend(server.reads(&bytes[from..cut]));
        from = cut;
    }
    (heard, server.says())
}

fn frames() -> impl Strategy<Value = Vec<Frame>> {
    let payload = prop_oneof![
        4 => "[a-zé€]{0,20}".prop_map(String::into_bytes),
        1 => proptest::collection::vec(any::<u8>(), 0..130),
        1 => proptest::collection::vec(Just(b'x'), 100..2000),
    ];
    let first = prop_oneof![
        8 => prop::sample::select(vec![0x81, 0x82, 0x01, 0x00, 0x80, 0x89, 0x8a]),
        1 => Just(0x88),
        1 => any::<u8>(),
    ];
    let frame = (first, payload, prop::bool::weighted(0.98)).prop_map(|(first, payload, masked)| {
        let frame = frame::raw(first, payload);
        if masked { frame.masked() } else { frame }
    });
    proptest::collection::vec(frame, 0..12)
}

proptest! {
    #[test]
    fn any_cuts_give_the_same_conversation(
        frames in frames(),
        cuts in proptest::collection::vec(any::<prop::sample::Index>(), 0..20),
    ) {
        let bytes: Vec<u8> = frames.iter().flat_map(Frame::bytes).collect();
        let mut cuts: Vec<usize> = cuts.iter().map(|cut| cut.index(bytes.len() + 1)).collect();
        cuts.sort_unstable();
        let each: Vec<usize> = (0..bytes.len()).collect();
        let whole = conversation(&bytes, &[]);
        prop_assert_eq!(&conversation(&bytes, &cuts), &whole);
        prop_assert_eq!(&conversation(&bytes, &each), &whole);
    }

    #[test]
    fn arbitrary_bytes_never_panic(bytes: Vec<u8>, cut: prop::sample::Index) {
        conversation(&bytes, &[cut.index(bytes.len() + 1)]);
    }
}

#[test]
fn every_boundary_of_one_busy_stream() {
    let frames = [
        frame::text("grüße").masked(),
        frame::binary([1; 200]).fin(false).masked(),
        frame::ping("p").masked(),
        frame::continuation([2; 200]).masked(),
        frame::pong("q").masked(),
        frame::text("").masked(),
        frame::close(1000, "bye").masked(),
        frame::text("never heard").masked(),
    ];
    let bytes: Vec<u8> = frames.iter().flat_map(Frame::bytes).collect();
    let whole = conversation(&bytes, &[]);
    assert_eq!(whole.0.len(), 6);
    for first in 0..=bytes.len() {
        for second in first..=bytes.len().min(first + 20) {
            assert_eq!(conversation(&bytes, &[first, second]), whole, "cut at {first} and {second}");
        }
    }
}
