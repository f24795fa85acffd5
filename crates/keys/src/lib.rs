//! Private keys: the one place where they are made, read, encrypted and written.
//!
//! Everything else in countersign sees a key as [`pki::key::SigningKey`], something that signs. What a key file
//! may look like is in [`mod@read`] and [`encrypted`], PKCS#12 is in [`pkcs12`], and [`mod@file`] alone touches the disk.
//! Keys that never come here are in tokens ([`pkcs11`]) and behind programs and services ([`external`], [`command`]).
//! No cryptographic primitive is implemented here: they are AWS-LC's, and for what that does not offer (scrypt, and the
//! ciphers of old files) those of the RustCrypto project.

pub mod command;
pub mod encrypted;
pub mod external;
pub mod file;
pub mod jwk;
mod ml_dsa;
mod old_cipher;
mod passphrase;
mod password;
mod pbes2;
pub mod pkcs11;
pub mod pkcs12;
mod pkcs12_derivation;
mod pkcs12_encryption;
pub mod private_key;
pub mod random;
pub mod read;
mod shape;

pub use passphrase::Passphrase;
pub use private_key::PrivateKey;
