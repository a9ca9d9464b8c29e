//! Scenario files as people write them, and single settings on the command line.

#![no_main]

use cbdc_scenario_file::Document;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    if let Ok(mut document) = Document::parse("fuzz.toml", text) {
        let (key, value) = text.split_once('=').unwrap_or((text, "1"));
        let _ = document.set(key.trim(), value.trim());
    }
});
