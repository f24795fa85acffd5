//! Signed data of any bytes, in pieces of any size: what is read does not depend on the pieces, and everything can be asked
//! of it.
#![no_main]

use libfuzzer_sys::fuzz_target;
use pki::cms::{Intake, SignedData, Timestamp};

fn read(pieces: impl Iterator<Item = impl AsRef<[u8]>>) -> Option<(SignedData, Vec<u8>)> {
    let mut intake = Intake::new();
    let mut content = Vec::new();
    for piece in pieces {
        intake.push_to(piece.as_ref(), &mut |octets| content.extend_from_slice(octets)).ok()?;
    }
    Some((intake.finish().ok()?, content))
}

fuzz_target!(|input: &[u8]| {
    let Some((size, bytes)) = input.split_first() else { return };
    let whole = read(std::iter::once(bytes));
    let pieces = read(bytes.chunks(usize::from(*size).max(1)));
    assert_eq!(whole.as_ref().map(|(_, content)| content), pieces.as_ref().map(|(_, content)| content));
    let Some((signed, content)) = whole else { return };
    assert!(content.len() <= bytes.len());
    for signer in &signed.signers {
        let _ = signer.signing_time();
        if let (Some(certificate), Some(hash)) = (signer.certificate(&signed.certificates), &signed.content) {
            let _ = signer.check(&signed.content_type, hash, certificate);
        }
        if let Some(token) = &signer.timestamp {
            let _ = Timestamp::check(token, &signer.signature);
        }
    }
});
