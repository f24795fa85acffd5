//! A password as old and new key derivations take it: as its octets, or as UTF-16 (RFC 7292 appendix B.1). Programs
//! disagree about what an empty password is and about letters beyond ASCII, so a password may have several spellings, of
//! which the seal of a file says which one was meant.

use zeroize::Zeroizing;

/// How a password becomes the UTF-16 of the PKCS#12 derivation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Spelling {
    /// Text in UTF-8, as UTF-16 with two zero octets at the end: what RFC 7292 asks.
    Text,
    /// No octets at all: what some programs write where no password was given.
    Absent,
    /// Each octet a letter: OpenSSL before 1.1 took passwords that way.
    Octets,
}

/// A password in one spelling.
#[derive(Clone, Copy)]
pub(crate) struct Password<'a> {
    octets: &'a [u8],
    spelling: Spelling,
}

impl<'a> Password<'a> {
    /// As text; octets that are no UTF-8 are letters each.
    pub(crate) fn new(octets: &'a [u8]) -> Self {
        let spelling = if std::str::from_utf8(octets).is_ok() { Spelling::Text } else { Spelling::Octets };
        Password { octets, spelling }
    }

    /// Every spelling that somebody may have meant by it, the RFC's first.
    pub(crate) fn spellings(octets: &'a [u8]) -> impl Iterator<Item = Self> {
        let first = Password::new(octets);
        let other = match (octets.is_empty(), octets.is_ascii()) {
            (true, _) => Some(Spelling::Absent),
            (false, true) => None,
            (false, false) if first.spelling == Spelling::Text => Some(Spelling::Octets),
            (false, false) => None,
        };
        [Some(first), other.map(|spelling| Password { octets, spelling })].into_iter().flatten()
    }

    /// For PBKDF2 and scrypt: the octets, which are UTF-8 by what everybody has come to do.
    pub(crate) fn octets(&self) -> &'a [u8] {
        self.octets
    }

    /// For the derivation of PKCS#12: big-endian UTF-16 with two zero octets at the end (RFC 7292 appendix B.1).
    pub(crate) fn utf16(&self) -> Zeroizing<Vec<u8>> {
        let mut bytes = Zeroizing::new(Vec::with_capacity(self.octets.len() * 2 + 2));
        let text = std::str::from_utf8(self.octets).unwrap_or_default();
        match self.spelling {
            Spelling::Absent => return bytes,
            Spelling::Text => {
                text.encode_utf16().for_each(|unit| bytes.extend_from_slice(&unit.to_be_bytes()))
            }
            Spelling::Octets => self.octets.iter().for_each(|octet| bytes.extend_from_slice(&[0, *octet])),
        }
        bytes.extend_from_slice(&[0, 0]);
        bytes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_password_has_the_spellings_that_programs_give_it() {
        let spelt = |octets: &[u8]| -> Vec<Vec<u8>> {
            Password::spellings(octets).map(|password| password.utf16().to_vec()).collect()
        };
        assert_eq!(spelt(b""), [vec![0, 0], vec![]]);
        assert_eq!(spelt(b"ab"), [vec![0, b'a', 0, b'b', 0, 0]]);
        assert_eq!(spelt("é".as_bytes()), [vec![0, 0xe9, 0, 0], vec![0, 0xc3, 0, 0xa9, 0, 0]]);
        assert_eq!(spelt("🔑".as_bytes())[0], [0xd8, 0x3d, 0xdd, 0x11, 0, 0]);
        assert_eq!(spelt(&[0xe9]), [vec![0, 0xe9, 0, 0]]);
    }
}
