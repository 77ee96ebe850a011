//! See `tower_wcgi::fuzzing::target`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| tower_wcgi::fuzzing::target(data));
