//! Buffers that a thread lends to whichever connection is being driven: an idle connection owns none.

use std::cell::Cell;

use switchboard_ws_proto::Output;

/// So much is read at once.
pub(crate) const READ_BUFFER: usize = 128 << 10;
/// An output buffer that a burst has swollen beyond this is given back.
pub(crate) const OUTPUT_KEPT: usize = 256 << 10;

/// So much of TLS is looked at once. A whole handshake message, which rustls takes up to 64 KiB, and a record more.
#[cfg(feature = "tls")]
pub(crate) const RECORDS: usize = READ_BUFFER + (32 << 10);

thread_local! {
    static READ: Cell<Option<Box<[u8]>>> = const { Cell::new(None) };
    static OUTPUT: Cell<Option<Output>> = const { Cell::new(None) };
}

#[cfg(feature = "tls")]
thread_local! {
    static RECORD: Cell<Vec<u8>> = const { Cell::new(Vec::new()) };
    static PLAIN: Cell<Vec<u8>> = const { Cell::new(Vec::new()) };
    static SEALED: Cell<Vec<u8>> = const { Cell::new(Vec::new()) };
}

/// Runs `f` with the thread's read buffer. When user code that runs inside comes back here, it gets a fresh one.
pub(crate) fn with_read_buffer<T>(f: impl FnOnce(&mut [u8]) -> T) -> T {
    let mut buffer = READ.take().unwrap_or_else(|| vec![0; READ_BUFFER].into_boxed_slice());
    let result = f(&mut buffer);
    READ.set(Some(buffer));
    result
}

/// The thread's output, empty.
pub(crate) fn take_output() -> Output {
    OUTPUT.take().unwrap_or_default()
}

/// Gives an empty output back to the thread.
pub(crate) fn put_output(output: Output) {
    debug_assert!(output.is_empty(), "bytes of one connection must not reach another");
    if output.is_empty() && output.capacity() <= OUTPUT_KEPT {
        OUTPUT.set(Some(output));
    }
}

/// Runs `f` with the thread's buffer for TLS records that come.
#[cfg(feature = "tls")]
pub(crate) fn with_record_buffer<T>(f: impl FnOnce(&mut [u8]) -> T) -> T {
    let mut buffer = RECORD.take();
    buffer.resize(RECORDS, 0);
    let result = f(&mut buffer);
    RECORD.set(buffer);
    result
}

/// Runs `f` with the thread's buffer for what is to be encrypted, whatever is in it.
#[cfg(feature = "tls")]
pub(crate) fn with_plain_buffer<T>(f: impl FnOnce(&mut Vec<u8>) -> T) -> T {
    let mut buffer = PLAIN.take();
    let result = f(&mut buffer);
    PLAIN.set(buffer);
    result
}

/// Runs `f` with the thread's buffer for TLS records that leave, whatever is in it.
#[cfg(feature = "tls")]
pub(crate) fn with_sealed_buffer<T>(f: impl FnOnce(&mut Vec<u8>) -> T) -> T {
    let mut buffer = SEALED.take();
    let result = f(&mut buffer);
    SEALED.set(buffer);
    result
}
