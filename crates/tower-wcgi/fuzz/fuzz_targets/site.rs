//! See `tower_wcgi_fuzz::site`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| tower_wcgi_fuzz::site(data));
