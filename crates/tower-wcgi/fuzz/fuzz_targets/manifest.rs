//! See `tower_wcgi::fuzzing::manifest`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| tower_wcgi::fuzzing::manifest(data));
