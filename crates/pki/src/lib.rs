//! What a name, a key, a certificate, an issuer, a trust bundle and a policy *are*.
//!
//! Nothing here does input or output, reads a clock, rolls dice or logs: time is a parameter, randomness arrives
//! as bytes, private keys are a trait. What these bytes look like to a person is `explain`'s work.

pub mod certificate;
pub mod certificate_policy;
pub mod cms;
pub mod crl;
pub mod csr;
pub mod der;
pub mod extension;
pub mod identity;
pub mod issuer;
pub mod key;
pub mod name;
pub mod ocsp;
pub mod oid;
pub mod pem;
pub mod policy;
pub mod profile;
pub mod public_ca;
pub mod verify;

pub use certificate::Certificate;
pub use profile::Profile;

/// SHA-256 of `bytes`.
#[must_use]
pub fn sha256(bytes: &[u8]) -> [u8; 32] {
    let mut hash = [0; 32];
    hash.copy_from_slice(aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, bytes).as_ref());
    hash
}

/// Whether two secrets are the same, in a time that does not depend on where they differ.
///
/// ```
/// assert!(pki::same_secret(b"abc", b"abc") && !pki::same_secret(b"abc", b"abd"));
/// ```
#[must_use]
pub fn same_secret(one: &[u8], other: &[u8]) -> bool {
    aws_lc_rs::constant_time::verify_slices_are_equal(one, other).is_ok()
}

/// Lower-case hexadecimal digits, two a byte.
///
/// ```
/// assert_eq!(pki::hex(&[0x0a, 0xff]), "0aff");
/// ```
#[must_use]
pub fn hex(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    bytes
        .iter()
        .flat_map(|byte| [DIGITS[usize::from(byte >> 4)], DIGITS[usize::from(byte & 0x0f)]])
        .map(char::from)
        .collect()
}

/// The bytes of hexadecimal digits of either case, two a byte; `None` for anything else.
///
/// ```
/// assert_eq!(pki::unhex("0aFF"), Some(vec![0x0a, 0xff]));
/// assert_eq!((pki::unhex("0af"), pki::unhex("+f"), pki::unhex("0a:ff")), (None, None, None));
/// ```
#[must_use]
pub fn unhex(text: &str) -> Option<Vec<u8>> {
    let (pairs, rest) = text.as_bytes().as_chunks::<2>();
    if !rest.is_empty() {
        return None;
    }
    // Digits may be those of a secret: a vector that grows would leave copies behind.
    let mut bytes = Vec::with_capacity(pairs.len());
    for pair in pairs {
        // Both are digits, so that `from_str_radix` sees no sign.
        if !pair.iter().all(u8::is_ascii_hexdigit) {
            return None;
        }
        bytes.push(u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok()?);
    }
    Some(bytes)
}

/// The text that a percent-encoding stands for (RFC 3986 section 2.1); `None` where a `%` has no two digits behind it, or the
/// octets are no UTF-8. `+` stands for itself.
///
/// ```
/// assert_eq!(pki::percent_decode("a%20b%C3%A9+%25").as_deref(), Some("a bé+%"));
/// for broken in ["%", "%4", "%zz", "%+f", "%ff"] {
///     assert_eq!(pki::percent_decode(broken), None);
/// }
/// ```
#[must_use]
pub fn percent_decode(text: &str) -> Option<String> {
    let mut pieces = text.split('%');
    let mut octets = pieces.next()?.as_bytes().to_vec();
    for piece in pieces {
        octets.extend(unhex(piece.get(..2)?)?);
        octets.extend_from_slice(piece.get(2..)?.as_bytes());
    }
    String::from_utf8(octets).ok()
}
