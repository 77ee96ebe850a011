//! See `tower_wcgi_fuzz::target`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| tower_wcgi_fuzz::target(data));
