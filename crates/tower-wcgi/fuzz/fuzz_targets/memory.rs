//! See `tower_wcgi_fuzz::memory`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| tower_wcgi_fuzz::memory(data));
