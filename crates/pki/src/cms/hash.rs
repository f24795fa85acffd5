//! The hashes of signed data, over content that passes by.

use std::fmt;

use aws_lc_rs::digest::{self, Context, Digest, SHA256, SHA384, SHA512};

use crate::der::{Reader, Writer, tag};
use crate::key::{KeyAlgorithm, SignatureAlgorithm};
use crate::oid::{self, Oid};

/// A hash that is believed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HashAlgorithm {
    /// SHA-256.
    Sha256,
    /// SHA-384.
    Sha384,
    /// SHA-512.
    Sha512,
}

impl HashAlgorithm {
    /// The one by this identifier.
    #[must_use]
    pub fn from_oid(oid: &Oid) -> Option<Self> {
        match *oid {
            oid::SHA256 => Some(HashAlgorithm::Sha256),
            oid::SHA384 => Some(HashAlgorithm::Sha384),
            oid::SHA512 => Some(HashAlgorithm::Sha512),
            _ => None,
        }
    }

    /// The one that goes with a signature of this kind: SHA-512 with Ed25519 (RFC 8419 section 2.3) and with ML-DSA
    /// (RFC 9882 section 3.3), else the signature's own.
    #[must_use]
    pub fn for_signature(algorithm: SignatureAlgorithm) -> Self {
        use SignatureAlgorithm as Algorithm;
        match algorithm {
            Algorithm::EcdsaSha256 | Algorithm::RsaPkcs1Sha256 | Algorithm::RsaPssSha256 => {
                HashAlgorithm::Sha256
            }
            Algorithm::EcdsaSha384 | Algorithm::RsaPkcs1Sha384 | Algorithm::RsaPssSha384 => {
                HashAlgorithm::Sha384
            }
            Algorithm::EcdsaSha512
            | Algorithm::RsaPkcs1Sha512
            | Algorithm::RsaPssSha512
            | Algorithm::Ed25519
            | Algorithm::MlDsa44
            | Algorithm::MlDsa65
            | Algorithm::MlDsa87 => HashAlgorithm::Sha512,
        }
    }

    /// Whether a digest by it is as strong as a signature with this key needs: RFC 8419 section 2.3 and RFC 9882 section
    /// 3.3 say so for theirs, the others take any.
    #[must_use]
    pub fn suits(self, key: KeyAlgorithm) -> bool {
        match key {
            KeyAlgorithm::Ed25519 | KeyAlgorithm::MlDsa87 => self == HashAlgorithm::Sha512,
            KeyAlgorithm::MlDsa65 => self != HashAlgorithm::Sha256,
            _ => true,
        }
    }

    /// Its identifier.
    #[must_use]
    pub fn oid(self) -> Oid {
        match self {
            HashAlgorithm::Sha256 => oid::SHA256,
            HashAlgorithm::Sha384 => oid::SHA384,
            HashAlgorithm::Sha512 => oid::SHA512,
        }
    }

    /// The hash of octets at hand.
    #[must_use]
    pub fn digest(self, octets: &[u8]) -> Vec<u8> {
        digest::digest(self.implementation(), octets).as_ref().to_vec()
    }

    pub(super) fn implementation(self) -> &'static digest::Algorithm {
        match self {
            HashAlgorithm::Sha256 => &SHA256,
            HashAlgorithm::Sha384 => &SHA384,
            HashAlgorithm::Sha512 => &SHA512,
        }
    }

    /// Its AlgorithmIdentifier, without parameters (RFC 5754 section 2).
    pub(super) fn write(self, writer: &mut Writer) {
        writer.nested(tag::SEQUENCE, |w| w.object_identifier(&self.oid()));
    }

    /// Those of a SET or SEQUENCE OF AlgorithmIdentifier that are known here.
    pub(super) fn known_in(mut reader: Reader<'_>) -> Vec<Self> {
        let mut found = Vec::new();
        while let Ok(mut identifier) = reader.nested(tag::SEQUENCE) {
            let known = identifier.object_identifier().ok().and_then(|oid| HashAlgorithm::from_oid(&oid));
            found.extend(known.filter(|hash| !found.contains(hash)));
        }
        found
    }
}

impl fmt::Display for HashAlgorithm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            HashAlgorithm::Sha256 => "SHA-256",
            HashAlgorithm::Sha384 => "SHA-384",
            HashAlgorithm::Sha512 => "SHA-512",
        })
    }
}

/// Hashes content that passes by.
#[derive(Clone)]
pub struct Hasher(Vec<(HashAlgorithm, Context)>);

impl Hasher {
    /// By all of these.
    ///
    /// ```
    /// use pki::cms::{HashAlgorithm, Hasher};
    /// let mut hasher = Hasher::new(&[HashAlgorithm::Sha256]);
    /// hasher.update(b"a");
    /// hasher.update(b"bc");
    /// let hash = hasher.finish();
    /// assert_eq!(hash.by(HashAlgorithm::Sha256).unwrap(), HashAlgorithm::Sha256.digest(b"abc"));
    /// ```
    #[must_use]
    pub fn new(algorithms: &[HashAlgorithm]) -> Self {
        Hasher(algorithms.iter().map(|one| (*one, Context::new(one.implementation()))).collect())
    }

    /// Takes the next octets.
    pub fn update(&mut self, octets: &[u8]) {
        for (_, context) in &mut self.0 {
            context.update(octets);
        }
    }

    /// The hashes of all that was taken.
    #[must_use]
    pub fn finish(self) -> ContentHash {
        ContentHash(self.0.into_iter().map(|(algorithm, context)| (algorithm, context.finish())).collect())
    }
}

/// The hashes of a content.
#[derive(Debug, Clone, Default)]
pub struct ContentHash(Vec<(HashAlgorithm, Digest)>);

impl ContentHash {
    /// The hash by this algorithm, where it was computed.
    #[must_use]
    pub fn by(&self, algorithm: HashAlgorithm) -> Option<&[u8]> {
        self.digest(algorithm).map(AsRef::as_ref)
    }

    pub(super) fn digest(&self, algorithm: HashAlgorithm) -> Option<&Digest> {
        self.0.iter().find(|(known, _)| *known == algorithm).map(|(_, digest)| digest)
    }
}
