//! See [`switchboard_fuzz::socket_text`].
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| switchboard_fuzz::socket_text::run(data));
