//! See `tower_wcgi::fuzzing::meta_variables`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| tower_wcgi::fuzzing::meta_variables(data));
