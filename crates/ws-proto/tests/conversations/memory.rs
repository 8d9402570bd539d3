//! Messages that the endpoint's budget has no room for, and those that it has.

use switchboard_testkit::frame;
use switchboard_testkit::{Heard, Side};
use switchboard_ws_proto::{
    Budget, Config, DeflateConfig, DeflateParams, Message, Prepared, ProtocolError, SendOptions, WindowBits,
};

const KIB: usize = 1 << 10;

fn used(budget: &Budget) -> usize {
    budget.usage().expect("it has a limit").used
}

fn closes(side: &mut Side) {
    let said = side.says();
    let [close] = &said[..] else { panic!("{said:?}") };
    assert_eq!((close.first, &close.payload[..2]), (0x88, &1013_u16.to_be_bytes()[..]));
}

#[test]
fn a_message_counts_while_it_is_put_together_and_while_somebody_has_it() {
    let budget = Budget::new(1000 * KIB);
    let mut server = Side::server(Config { budget: budget.clone(), ..Config::default() });
    let frames = [frame::binary(vec![7; 100 * KIB]).fin(false), frame::continuation(vec![8; 100 * KIB])];
    assert_eq!(server.reads(&frames[0].clone().masked().bytes()), []);
    assert_eq!(used(&budget), server.connection.buffered_input());
    let heard = server.reads(&frames[1].clone().masked().bytes());
    assert_eq!(server.connection.buffered_input(), 0);
    assert!(used(&budget) >= 200 * KIB, "{}", used(&budget));
    drop(heard);
    assert_eq!(used(&budget), 0);
}

#[test]
fn what_there_is_no_room_for_fails_the_connection_and_gives_back_what_it_had() {
    let budget = Budget::new(300 * KIB);
    let mut server = Side::server(Config { budget: budget.clone(), ..Config::default() });
    let message = frame::binary(vec![7; 400 * KIB]).masked().bytes();
    let heard: Vec<_> = message.chunks(20 * KIB).flat_map(|chunk| server.reads(chunk)).collect();
    assert_eq!(heard, [Heard::Failed(ProtocolError::OutOfMemory)]);
    assert_eq!(used(&budget), 0);
    assert_eq!(budget.usage().expect("it has a limit").denied, 1);
    closes(&mut server);
}

#[test]
fn a_bomb_stops_where_memory_does() {
    let budget = Budget::new(1000 * KIB);
    let deflate = Some(DeflateConfig { threshold: 0, ..DeflateConfig::default() });
    let config = |budget| Config { budget, deflate: deflate.clone(), ..Config::default() };
    let mut server = Side::server_with(config(budget.clone()), Some(DeflateParams::default()));
    let mut client = Side::client_with(config(Budget::default()), Some(DeflateParams::default()));
    let bomb = Message::binary(vec![0; 8 << 20]);
    client.connection.send(&bomb, SendOptions::default(), client.now, &mut client.output).expect("it is open");
    let heard: Vec<_> = client.says().iter().flat_map(|frame| server.reads(&frame.bytes())).collect();
    assert_eq!(heard, [Heard::Failed(ProtocolError::OutOfMemory)]);
    closes(&mut server);
    assert_eq!((used(&budget), server.connection.deflate_memory()), (0, 0));
}

#[test]
fn a_connection_can_be_given_up_for_want_of_memory() {
    let budget = Budget::new(1000 * KIB);
    let mut server = Side::server(Config { budget: budget.clone(), ..Config::default() });
    assert_eq!(server.reads(&frame::binary(vec![7; 100 * KIB]).fin(false).masked().bytes()), []);
    assert_eq!(server.connection.fail_for_memory(server.now), ProtocolError::OutOfMemory);
    assert_eq!(used(&budget), 0);
    closes(&mut server);
}

/// Whichever comes first: that it is made, or that a queue holds the message.
#[test]
fn each_form_of_a_prepared_message_counts_once() {
    let counted = || {
        let budget = Budget::new(1 << 20);
        (budget.clone(), Prepared::text(&"again ".repeat(1000)), move || used(&budget))
    };
    let (budget, early, used) = counted();
    let deflated = early.deflated(WindowBits::MAX).expect("it is shorter").len();
    assert_eq!(used(), 0, "no queue holds it");
    assert!(early.count(&budget));
    assert_eq!(used(), early.plain().len() + deflated);
    let (budget, late, used) = counted();
    assert!(late.count(&budget));
    assert_eq!(used(), late.plain().len());
    for _ in 0..2 {
        assert!(late.deflated(WindowBits::MAX).is_some());
        assert!(late.count(&budget));
        assert_eq!(used(), late.plain().len() + deflated);
    }
    drop(late);
    assert_eq!(used(), 0);
}
