//! See `tower_wcgi::fuzzing::response_head`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| tower_wcgi::fuzzing::response_head(data));
