//! See [`switchboard_fuzz::session`].
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| switchboard_fuzz::session::run(data));
