//! See `tower_wcgi_fuzz::meta_variables`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| tower_wcgi_fuzz::meta_variables(data));
