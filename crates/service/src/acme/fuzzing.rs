//! The part of [`crate::fuzzing`] that is about ACME and its validations.

use super::identifier::Identifier;
use super::jose::{AccountKey, Jws, Signer};
use super::validate::dns::message::{self, Data, RecordType};

/// A signed request of any bytes. A key that is read has one canonical form, and nothing verifies but by the algorithm
/// of its key.
///
/// # Panics
/// Where that does not hold.
pub fn jws(bytes: &[u8]) {
    let Ok(jws) = Jws::parse(bytes) else { return };
    // The secret of no account: only a forgery would verify.
    assert!(jws.verify_mac(b"a key that no input was made with").is_err());
    if let Signer::Key(key) = &jws.signer {
        let canonical = serde_json::from_str(key.canonical_jwk()).expect("the canonical form is JSON");
        let again = AccountKey::from_jwk(&canonical).expect("the canonical form is a key");
        assert_eq!(again.thumbprint(), key.thumbprint());
        if let Ok(payload) = jws.verify(key) {
            // External account bindings and key changes are requests within requests.
            let _ = Jws::parse(payload);
        }
    }
}

/// An identifier of any text: its canonical form is read as itself.
///
/// # Panics
/// Where it is not.
pub fn identifier(kind: &str, value: &str) {
    let Ok(found) = Identifier::parse(kind, value) else { return };
    assert_eq!(Identifier::from_json(&found.json()).as_ref(), Some(&found));
    let _ = (found.base(), found.to_name(), found.to_string());
    if let Some(again) = Identifier::of_name(&found.to_name()) {
        assert_eq!(again, found);
    }
}

/// The response of a DNS server to each kind of question, with the right id: names stay within their 255 octets.
///
/// # Panics
/// Where they do not.
pub fn dns_response(bytes: &[u8]) {
    let id = bytes.get(..2).map_or(0, |octets| u16::from_be_bytes([octets[0], octets[1]]));
    for kind in [RecordType::A, RecordType::Aaaa, RecordType::Txt, RecordType::Caa] {
        let Ok(response) = message::response(bytes, id, "www.example.com", kind) else { continue };
        for (owner, data) in response.answers {
            assert!(owner.len() <= 255);
            if let Data::Alias(alias) = data {
                assert!(alias.len() <= 255);
            }
        }
    }
}
