//! See [`switchboard_fuzz::socket_msgpack`].
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| switchboard_fuzz::socket_msgpack::run(data));
