//! PKCS#12 (RFC 7292): a key and its certificates in one file under a password, for programs that take nothing else:
//! Windows, browsers, Java, phones.
//!
//! Written, for a [`Target`]: key and certificates in PBES2 (PBKDF2-HMAC-SHA-256, AES-256-CBC) and an HMAC-SHA-256 over
//! both, or Triple DES and HMAC-SHA-1 for importers that read nothing newer. Read: both, RC2, scrypt, a MAC of any SHA or
//! none, any number of keys up to 64, empty and absent passwords, Java's trust stores, DER and the indefinite-length BER of
//! Firefox. RC4 and single DES are refused, by name and with the commands that convert them. What a hostile file can cost
//! is bounded before anything is computed: octets, elements, keys, and iterations all together.

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
pub use write::{
    ENCRYPTION_ITERATIONS, MAC_ITERATIONS, OLD_ITERATIONS, Target, UnknownTarget, WritePkcs12Error,
    write_pkcs12, write_trust_store,
};
