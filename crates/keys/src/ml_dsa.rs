//! What an ML-DSA private key is inside its PKCS#8 (RFC 9881 section 6): a seed of 32 octets, the expanded key, or
//! both. All three are read. The seed alone is written, as the RFC asks; where only the expanded key came, nobody can
//! get the seed back, and the expanded key is written again.

use aws_lc_rs::encoding::AsRawBytes;
use aws_lc_rs::signature::{
    ML_DSA_44_SIGNING, ML_DSA_65_SIGNING, ML_DSA_87_SIGNING, PqdsaKeyPair, PqdsaSigningAlgorithm,
};
use pki::der::{Reader, Writer, tag};
use pki::key::KeyAlgorithm;
use pki::oid::{self, Oid};
use zeroize::Zeroizing;

use crate::private_key::PrivateKeyError;

/// Octets of the seed (FIPS 204 algorithm 1), for all parameter sets.
const SEED_LENGTH: usize = 32;

/// A parameter set of FIPS 204.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum MlDsa {
    L44,
    L65,
    L87,
}

impl MlDsa {
    const ALL: [MlDsa; 3] = [MlDsa::L44, MlDsa::L65, MlDsa::L87];

    pub(crate) fn of(algorithm: KeyAlgorithm) -> Option<Self> {
        Self::ALL.into_iter().find(|set| set.algorithm() == algorithm)
    }

    pub(crate) fn named(identifier: &Oid) -> Option<Self> {
        Self::ALL.into_iter().find(|set| set.identifier() == *identifier)
    }

    fn algorithm(self) -> KeyAlgorithm {
        match self {
            MlDsa::L44 => KeyAlgorithm::MlDsa44,
            MlDsa::L65 => KeyAlgorithm::MlDsa65,
            MlDsa::L87 => KeyAlgorithm::MlDsa87,
        }
    }

    fn identifier(self) -> Oid {
        match self {
            MlDsa::L44 => oid::ML_DSA_44,
            MlDsa::L65 => oid::ML_DSA_65,
            MlDsa::L87 => oid::ML_DSA_87,
        }
    }

    pub(crate) fn signing(self) -> &'static PqdsaSigningAlgorithm {
        match self {
            MlDsa::L44 => &ML_DSA_44_SIGNING,
            MlDsa::L65 => &ML_DSA_65_SIGNING,
            MlDsa::L87 => &ML_DSA_87_SIGNING,
        }
    }

    /// Octets of the expanded private key (FIPS 204 table 2).
    fn expanded_length(self) -> usize {
        match self {
            MlDsa::L44 => 2560,
            MlDsa::L65 => 4032,
            MlDsa::L87 => 4896,
        }
    }
}

/// Reads the privateKey field of a PKCS#8 structure.
pub(crate) fn read(set: MlDsa, der: &[u8]) -> Result<PqdsaKeyPair, PrivateKeyError> {
    let mut reader = Reader::new(der);
    let choice = reader.any()?;
    reader.finish()?;
    match choice.tag {
        found if found == tag::context(0) => from_seed(set, choice.content),
        tag::OCTET_STRING => from_expanded(set, choice.content),
        tag::SEQUENCE => {
            let mut both = choice.reader();
            let seed = both.expect(tag::OCTET_STRING)?.content;
            let expanded = both.expect(tag::OCTET_STRING)?.content;
            both.finish()?;
            let pair = from_seed(set, seed)?;
            // Parsed first, so that an expanded key of the wrong length is called that.
            from_expanded(set, expanded)?;
            let computed = pair.private_key().as_raw_bytes()?;
            let same = aws_lc_rs::constant_time::verify_slices_are_equal(computed.as_ref(), expanded);
            same.map_err(|_| PrivateKeyError::SeedMismatch(set.algorithm()))?;
            Ok(pair)
        }
        _ => Err(malformed(set, "something else than a key")),
    }
}

fn from_seed(set: MlDsa, seed: &[u8]) -> Result<PqdsaKeyPair, PrivateKeyError> {
    if seed.len() != SEED_LENGTH {
        return Err(malformed(set, format!("a seed of {} octets", seed.len())));
    }
    PqdsaKeyPair::from_seed(set.signing(), seed)
        .map_err(|reason| PrivateKeyError::Rejected { kind: "ML-DSA", reason: reason.to_string() })
}

fn from_expanded(set: MlDsa, expanded: &[u8]) -> Result<PqdsaKeyPair, PrivateKeyError> {
    if expanded.len() != set.expanded_length() {
        return Err(malformed(set, format!("an expanded key of {} octets", expanded.len())));
    }
    PqdsaKeyPair::from_raw_private_key(set.signing(), expanded)
        .map_err(|reason| PrivateKeyError::Rejected { kind: "ML-DSA", reason: reason.to_string() })
}

fn malformed(set: MlDsa, found: impl Into<String>) -> PrivateKeyError {
    PrivateKeyError::MlDsaForm(set.algorithm(), found.into(), set.expanded_length())
}

/// The key as PKCS#8 version 1: with its seed, and without one with the expanded key.
pub(crate) fn to_pkcs8(pair: &PqdsaKeyPair) -> Result<Zeroizing<Vec<u8>>, PrivateKeyError> {
    if let Ok(document) = pair.to_pkcs8v1() {
        return Ok(Zeroizing::new(document.as_ref().to_vec()));
    }
    let set = MlDsa::ALL.into_iter().find(|set| set.signing() == pair.algorithm());
    let set = set.ok_or(PrivateKeyError::Provider)?;
    let expanded = pair.private_key().as_raw_bytes()?;
    let mut inner = Writer::new();
    inner.primitive(tag::OCTET_STRING, expanded.as_ref());
    let inner = Zeroizing::new(inner.into_bytes());
    let mut writer = Writer::new();
    writer.nested(tag::SEQUENCE, |w| {
        w.integer(&[0]);
        w.nested(tag::SEQUENCE, |w| w.object_identifier(&set.identifier()));
        w.primitive(tag::OCTET_STRING, &inner);
    });
    Ok(Zeroizing::new(writer.into_bytes()))
}
