//! The passphrase of a key or a PKCS#12 file: memory that is wiped, and no way to print it by accident. Asking a
//! person for one is the command line's work.

use std::fmt;

use zeroize::Zeroizing;

/// A passphrase, wiped from memory when dropped.
#[derive(Clone)]
pub struct Passphrase(Zeroizing<Vec<u8>>);

impl Passphrase {
    /// From its bytes, all of them.
    ///
    /// ```
    /// let passphrase = keys::Passphrase::new("correct horse");
    /// assert_eq!(format!("{passphrase:?}"), "Passphrase(hidden)");
    /// ```
    #[must_use]
    pub fn new(bytes: impl Into<Vec<u8>>) -> Self {
        Passphrase(Zeroizing::new(bytes.into()))
    }

    /// From the first line of a file, without its line end: what `openssl -passin file:` takes too.
    ///
    /// ```
    /// assert!(!keys::Passphrase::from_first_line(b"secret\r\nanother\n").is_empty());
    /// assert!(keys::Passphrase::from_first_line(b"\n").is_empty());
    /// ```
    #[must_use]
    pub fn from_first_line(bytes: &[u8]) -> Self {
        let line = bytes.split(|byte| *byte == b'\n').next().unwrap_or_default();
        Passphrase::new(line.strip_suffix(b"\r").unwrap_or(line))
    }

    /// Whether it has no bytes.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether every byte is ASCII: PKCS#12 readers disagree about all others.
    #[must_use]
    pub fn is_ascii(&self) -> bool {
        self.0.is_ascii()
    }

    /// Lends the bytes for one use, such as a header that is sent. What is made of them is a secret as well.
    pub fn with_bytes<T>(&self, read: impl FnOnce(&[u8]) -> T) -> T {
        read(&self.0)
    }

    /// Whether two of them are the same, as where one was asked for twice.
    #[must_use]
    pub fn is_same_as(&self, other: &Self) -> bool {
        aws_lc_rs::constant_time::verify_slices_are_equal(&self.0, &other.0).is_ok()
    }

    pub(crate) fn bytes(&self) -> &[u8] {
        &self.0
    }
}

impl fmt::Debug for Passphrase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Passphrase(hidden)")
    }
}
