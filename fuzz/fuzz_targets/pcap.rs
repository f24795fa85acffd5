//! A capture file of any bytes, and each connection in it explained.
#![no_main]

use explain::capture::reassembly::Index;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|file: &[u8]| {
    let Ok(index) = Index::read(file) else { return };
    for connection in &index.connections {
        let _ = explain::tls::explain(&connection.transcript(file, &index.notes.secrets));
    }
});
