//! See [`switchboard_fuzz::handshake_server`].
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| switchboard_fuzz::handshake_server::run(data));
