#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| ak_stages_fuzz::forgeries(input));
