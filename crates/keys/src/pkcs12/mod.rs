//! PKCS#12 (RFC 7292): a key and its certificates in one file under a password, for programs that take nothing else:
//! Windows, browsers, Java, phones.
//!
//! Written: key and certificates in PBES2 (PBKDF2-HMAC-SHA-256, AES-256-CBC) and an HMAC-SHA-256 over both. Read:
//! PBES2 with AES, a MAC of any SHA or none, DER and the indefinite-length BER of Firefox. RC2, RC4 and 3DES are
//! refused, by name and with the commands that convert them.

mod ber;
mod describe;
mod mac;
mod read;
mod structure;
mod write;

pub use describe::{
    BagFacts, EncryptionFacts, Integrity, Pkcs12Facts, Protection, SafeFacts, describe_pkcs12,
};
pub use read::{Pkcs12Certificate, Pkcs12Contents, Pkcs12Key, ReadPkcs12Error, read_pkcs12};
pub use structure::Pkcs12FormatError;
pub use write::{ENCRYPTION_ITERATIONS, MAC_ITERATIONS, WritePkcs12Error, write_pkcs12};
