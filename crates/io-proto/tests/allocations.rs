//! What the hot paths allocate, counted per thread.

use bytes::Bytes;
use switchboard_io_proto::socket::{Decoder, EventHead, Incoming, Kind, Limits, Namespace, Parser};
use switchboard_testkit::counting::{Counting, allocated_by};

#[global_allocator]
static ALLOCATOR: Counting = Counting;

fn counted<T>(work: impl FnOnce() -> T) -> (usize, T) {
    let mut done = None;
    let allocations = allocated_by(|| done = Some(work()));
    (allocations.all, done.expect("it was done"))
}

#[test]
fn an_event_is_read_and_its_echo_written_without_an_allocation() {
    const TEXT: &str = r#"27["message-with-ack","0123456789012345678901234567890123456789012345678901234567890123",1]"#;
    let limits = Limits::default();
    let mut decoder = Decoder::new();
    let owned = Incoming::OwnedText(Bytes::from_static(TEXT.as_bytes()));
    let (read, packet) = counted(|| Parser::Json.decode(&mut decoder, &limits, owned).unwrap().unwrap());
    assert_eq!(read, 0);
    // From a borrowed text: the copy of the arguments, and nothing else.
    let (copied, _) = counted(|| Parser::Json.decode(&mut decoder, &limits, Incoming::Text(TEXT)).unwrap());
    assert_eq!(copied, 1);

    let Kind::Event { args, id: Some(id), .. } = packet.kind else { panic!("expected an event") };
    let (parsed, _) = counted(|| args.extract::<(&str, u32)>().unwrap());
    assert_eq!(parsed, 0);
    let (mut out, mut attachments) = (Vec::with_capacity(256), Vec::new());
    let root = Namespace::root();
    let (acked, ()) = counted(|| Parser::Json.ack_into(root, id, &args, &mut out, &mut attachments).unwrap());
    let head = EventHead::new(root, "message-back");
    let (sent, ()) = counted(|| Parser::Json.event_into(&head, &("text", 1), &mut out, &mut attachments).unwrap());
    assert_eq!((acked, sent), (0, 0));
}
