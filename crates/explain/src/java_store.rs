//! The certificates in Java's own key stores, JKS and JCEKS, as a JSSE client believes them. Private keys in them are
//! passed over and never decrypted; the password only guards against changes, and Java itself reads the certificates
//! without it. The formats are those of the JDK's `sun.security.provider.JavaKeyStore` and `JceKeyStore`.

use std::fmt;

const JKS: u32 = 0xfeed_feed;
const JCEKS: u32 = 0xcece_cece;

/// The most entries that are read: `cacerts` has about 150.
const MOST: u32 = 5000;

/// Why a store was not read to its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum JavaStoreError {
    /// It is no store of Java's.
    NotOne,
    /// Its version is none that is known: 1 and 2 are.
    Version(u32),
    /// It ends in the middle of an entry, or has more of them than any store does.
    Damaged,
    /// It has a secret key, behind which nothing can be found.
    SecretKey,
}

impl fmt::Display for JavaStoreError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            JavaStoreError::NotOne => f.write_str("it does not begin as a key store of Java's does"),
            JavaStoreError::Version(version) => write!(f, "a key store of version {version} is not known"),
            JavaStoreError::Damaged => f.write_str("it is cut off or damaged"),
            JavaStoreError::SecretKey => f.write_str("it has a secret key in front of certificates"),
        }
    }
}

impl std::error::Error for JavaStoreError {}

/// The certificates that Java believes of a JKS or JCEKS store, in DER and not looked at: those that are there to be
/// trusted, and of each private key its own one (the JDK's `sun.security.validator.TrustStoreUtil`).
///
/// # Errors
/// [`JavaStoreError`].
///
/// ```
/// use explain::java_store::{JavaStoreError, trusted_certificates};
/// assert_eq!(trusted_certificates(b"-----BEGIN"), Err(JavaStoreError::NotOne));
/// ```
pub fn trusted_certificates(bytes: &[u8]) -> Result<Vec<Vec<u8>>, JavaStoreError> {
    let mut rest = Rest(bytes);
    match rest.u32() {
        Ok(JKS | JCEKS) => {}
        _ => return Err(JavaStoreError::NotOne),
    }
    let version = rest.u32()?;
    if !(1..=2).contains(&version) {
        return Err(JavaStoreError::Version(version));
    }
    let count = rest.u32()?;
    if count > MOST {
        return Err(JavaStoreError::Damaged);
    }
    let mut found = Vec::new();
    for _ in 0..count {
        let kind = rest.u32()?;
        // The alias and the time of its making.
        rest.text()?;
        rest.take(8)?;
        match kind {
            1 => {
                let key = rest.u32()?;
                rest.take(key)?;
                for number in 0..rest.u32()? {
                    let certificate = rest.certificate(version)?;
                    if number == 0 {
                        found.push(certificate.to_vec());
                    }
                }
            }
            2 => found.push(rest.certificate(version)?.to_vec()),
            3 => return Err(JavaStoreError::SecretKey),
            _ => return Err(JavaStoreError::Damaged),
        }
    }
    Ok(found)
}

struct Rest<'a>(&'a [u8]);

impl<'a> Rest<'a> {
    fn take(&mut self, count: u32) -> Result<&'a [u8], JavaStoreError> {
        let count = usize::try_from(count).map_err(|_| JavaStoreError::Damaged)?;
        let (taken, rest) = self.0.split_at_checked(count).ok_or(JavaStoreError::Damaged)?;
        self.0 = rest;
        Ok(taken)
    }

    fn u32(&mut self) -> Result<u32, JavaStoreError> {
        let octets = self.take(4)?;
        Ok(octets.iter().fold(0, |number, octet| number << 8 | u32::from(*octet)))
    }

    /// A text in Java's form: two octets of length, then its octets.
    fn text(&mut self) -> Result<(), JavaStoreError> {
        let octets = self.take(2)?;
        self.take(u32::from(octets[0]) << 8 | u32::from(octets[1]))?;
        Ok(())
    }

    /// The kind of certificate, from version 2 on, and the certificate.
    fn certificate(&mut self, version: u32) -> Result<&'a [u8], JavaStoreError> {
        if version == 2 {
            self.text()?;
        }
        let length = self.u32()?;
        self.take(length)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(text: &str) -> Vec<u8> {
        [&u16::try_from(text.len()).unwrap_or_default().to_be_bytes(), text.as_bytes()].concat()
    }

    fn certificate(version: u32, der: &[u8]) -> Vec<u8> {
        let kind = if version == 2 { text("X.509") } else { Vec::new() };
        [kind, u32::try_from(der.len()).unwrap_or_default().to_be_bytes().to_vec(), der.to_vec()].concat()
    }

    /// A store with a private key, whose chain is two certificates, and a trusted certificate behind it.
    fn store(magic: u32, version: u32) -> Vec<u8> {
        let mut bytes = [magic, version, 2, 1].map(u32::to_be_bytes).concat();
        bytes.extend([text("alice"), vec![0; 8], 3u32.to_be_bytes().to_vec(), b"key".to_vec()].concat());
        bytes.extend(2u32.to_be_bytes());
        bytes.extend([certificate(version, b"alice"), certificate(version, b"issuer")].concat());
        bytes.extend(2u32.to_be_bytes());
        bytes.extend([text("root"), vec![0; 8], certificate(version, b"root")].concat());
        bytes.extend([7; 20]);
        bytes
    }

    #[test]
    fn what_java_believes_is_found_in_both_formats_and_versions() {
        for (magic, version) in [(JKS, 1), (JKS, 2), (JCEKS, 2)] {
            let believed = Ok(vec![b"alice".to_vec(), b"root".to_vec()]);
            assert_eq!(trusted_certificates(&store(magic, version)), believed, "{version}");
        }
    }

    #[test]
    fn a_store_that_is_cut_off_anywhere_is_damaged_and_lengths_that_lie_allocate_nothing() {
        let whole = store(JKS, 2);
        for end in 4..whole.len() - 20 {
            assert_eq!(trusted_certificates(&whole[..end]), Err(JavaStoreError::Damaged), "{end}");
        }
        let lying = [JKS, 2, 1, 2, 0x0001_6100, 0, 0, 0, u32::MAX].map(u32::to_be_bytes).concat();
        assert_eq!(trusted_certificates(&lying), Err(JavaStoreError::Damaged));
        let many = [JKS, 2, u32::MAX].map(u32::to_be_bytes).concat();
        assert_eq!(trusted_certificates(&many), Err(JavaStoreError::Damaged));
        assert_eq!(
            trusted_certificates(&[JKS, 9].map(u32::to_be_bytes).concat()),
            Err(JavaStoreError::Version(9))
        );
    }
}
