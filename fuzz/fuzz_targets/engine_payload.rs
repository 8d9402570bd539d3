//! See [`switchboard_fuzz::engine_payload`].
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| switchboard_fuzz::engine_payload::run(data));
