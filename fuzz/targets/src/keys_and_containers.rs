//! Files of keys and containers (PKCS#8, PKCS#12, CMS), and everything that `inspect` shows of any file.

use keys::Passphrase;
use keys::pkcs12::{Integrity, Protection, describe_pkcs12, read_pkcs12};
use keys::read::read_private_key;
use pki::cms::{Intake, SignedData, Timestamp};

/// The password of the corpora.
const PASSWORD: &str = "changeit";

/// Iterations of a key derivation that a run can afford, many times a second. What asks for more is bounded elsewhere
/// (`keys::pbes2::ITERATION_LIMIT`), and would only be slow here.
const AFFORDABLE: u32 = 20_000;

/// A private key of any bytes, PEM or DER, encrypted or not; what is read is written and read back the same.
pub(crate) fn private_key(bytes: &[u8]) {
    let blocks = pki::pem::read(bytes).unwrap_or_default();
    let ders = blocks.iter().map(|block| block.der.as_slice()).chain([bytes]);
    for der in ders {
        let description = keys::encrypted::describe(der).unwrap_or_default();
        let iterations = description.split(' ').filter_map(|word| word.parse::<u32>().ok()).max();
        if iterations.is_some_and(|iterations| iterations > AFFORDABLE) {
            return;
        }
    }
    let Ok(key) = read_private_key(bytes, Some(&Passphrase::new(PASSWORD))) else { return };
    let again = read_private_key(key.to_pkcs8_pem().as_bytes(), None).expect("what was written can be read");
    use pki::key::SigningKey as _;
    assert_eq!(again.public_key(), key.public_key());
}

/// A PKCS#12 file of any bytes: described, and read where that does not take long.
pub(crate) fn pkcs12(bytes: &[u8]) {
    let Ok(facts) = describe_pkcs12(bytes) else {
        assert!(read_pkcs12(bytes, &Passphrase::new(PASSWORD)).is_err());
        return;
    };
    let mut iterations = Vec::new();
    if let Integrity::Mac { iterations: of_mac, .. } = facts.integrity {
        iterations.push(of_mac);
    }
    for safe in &facts.safes {
        if let Protection::Password(encryption) = &safe.protection {
            iterations.push(encryption.iterations);
        }
        for bag in safe.bags.iter().flatten() {
            iterations.extend(bag.encryption.as_ref().map(|encryption| encryption.iterations));
        }
    }
    if iterations.into_iter().flatten().all(|count| count <= AFFORDABLE) {
        let _ = read_pkcs12(bytes, &Passphrase::new(PASSWORD));
    }
}

/// Any file, recognised and shown in every way: nothing in a text moves, colours or hides.
pub(crate) fn inspect(bytes: &[u8]) {
    let inspection = explain::inspect(bytes, "a file", crate::now());
    let texts = [
        explain::render::summary_text(&inspection, 80, false),
        explain::render::full_text(&inspection, 60, false),
        explain::render::pem(&inspection),
        explain::render::json(&inspection).to_string(),
    ];
    for text in texts {
        assert!(text.chars().all(|character| character == '\n' || !character.is_control()), "{text:?}");
    }
}

/// Signed data of any bytes, in pieces of any size (the first octet): what is read does not depend on the pieces, and
/// everything can be asked of it.
pub(crate) fn cms(input: &[u8]) {
    fn read(pieces: impl Iterator<Item = impl AsRef<[u8]>>) -> Option<(SignedData, Vec<u8>)> {
        let mut intake = Intake::new();
        let mut content = Vec::new();
        for piece in pieces {
            intake.push_to(piece.as_ref(), &mut |octets| content.extend_from_slice(octets)).ok()?;
        }
        Some((intake.finish().ok()?, content))
    }
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
}
