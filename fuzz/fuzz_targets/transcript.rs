//! A transcript of any bytes; what is one is explained.
#![no_main]

use explain::capture::Transcript;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    if let Ok(transcript) = Transcript::from_bytes(bytes) {
        let again = Transcript::from_bytes(&transcript.to_bytes()).expect("what was written can be read");
        assert_eq!(again.events.len(), transcript.events.len());
        let _ = explain::tls::explain(&transcript);
    }
});
