//! What the hot paths allocate, counted per thread.
#![expect(unsafe_code, reason = "an allocator that counts")]

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;

use bytes::Bytes;
use switchboard_io_proto::socket::{Decoder, EventHead, Incoming, Kind, Limits, Namespace, Parser};

thread_local! {
    static COUNT: Cell<usize> = const { Cell::new(0) };
}

struct Counting;

#[global_allocator]
static ALLOCATOR: Counting = Counting;

// SAFETY: everything is passed on to the system's allocator, whose promises are kept.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        // A thread that ends has no counter any more.
        let _ = COUNT.try_with(|count| count.set(count.get() + 1));
        // SAFETY: the caller's promises are those that `System` asks for.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        // SAFETY: as above.
        unsafe { System.dealloc(pointer, layout) }
    }
}

fn counted<T>(work: impl FnOnce() -> T) -> (usize, T) {
    let before = COUNT.with(Cell::get);
    let done = work();
    (COUNT.with(Cell::get) - before, done)
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
