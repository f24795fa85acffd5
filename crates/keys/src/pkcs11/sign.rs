//! One signature by a token: which mechanism, what goes in, and what comes out, brought into the form that X.509 has.

use aws_lc_rs::digest::{self, SHA256, SHA384, SHA512, digest};
use cryptoki::mechanism::eddsa::{EddsaParams, EddsaSignatureScheme};
use cryptoki::mechanism::rsa::{PkcsMgfType, PkcsPssParams};
use cryptoki::mechanism::{Mechanism, MechanismType};
use cryptoki::object::ObjectHandle;
use cryptoki::session::Session;
use pki::der::{Writer, tag};
use pki::key::SignatureAlgorithm;
use pki::oid::{self, Oid};

/// Makes the signature. Of a long message its hash alone goes to the token, where a mechanism allows that.
pub(super) fn sign(
    session: &Session,
    key: ObjectHandle,
    algorithm: SignatureAlgorithm,
    message: &[u8],
    mechanisms: &[MechanismType],
) -> Result<Vec<u8>, cryptoki::error::Error> {
    use SignatureAlgorithm as Algorithm;
    let hash = |of: &'static digest::Algorithm| digest(of, message);
    match algorithm {
        Algorithm::EcdsaSha256 | Algorithm::EcdsaSha384 | Algorithm::EcdsaSha512 => {
            let hashed = hash(hash_of(algorithm));
            let signature = session.sign(&Mechanism::Ecdsa, key, hashed.as_ref())?;
            Ok(ecdsa_der(&signature))
        }
        Algorithm::Ed25519 => {
            session.sign(&Mechanism::Eddsa(EddsaParams::new(EddsaSignatureScheme::Ed25519)), key, message)
        }
        Algorithm::RsaPkcs1Sha256 | Algorithm::RsaPkcs1Sha384 | Algorithm::RsaPkcs1Sha512 => {
            let info = digest_info(hash_identifier(algorithm), hash(hash_of(algorithm)).as_ref());
            session.sign(&Mechanism::RsaPkcs, key, &info)
        }
        Algorithm::RsaPssSha256 | Algorithm::RsaPssSha384 | Algorithm::RsaPssSha512 => {
            let (parameters, whole) = pss(algorithm);
            if mechanisms.contains(&MechanismType::RSA_PKCS_PSS) {
                return session.sign(
                    &Mechanism::RsaPkcsPss(parameters),
                    key,
                    hash(hash_of(algorithm)).as_ref(),
                );
            }
            session.sign(&whole, key, message)
        }
        Algorithm::MlDsa44 | Algorithm::MlDsa65 | Algorithm::MlDsa87 => {
            Err(cryptoki::error::Error::NotSupported)
        }
    }
}

fn hash_of(algorithm: SignatureAlgorithm) -> &'static digest::Algorithm {
    use SignatureAlgorithm as Algorithm;
    match algorithm {
        Algorithm::EcdsaSha384 | Algorithm::RsaPkcs1Sha384 | Algorithm::RsaPssSha384 => &SHA384,
        Algorithm::EcdsaSha512 | Algorithm::RsaPkcs1Sha512 | Algorithm::RsaPssSha512 => &SHA512,
        _ => &SHA256,
    }
}

fn hash_identifier(algorithm: SignatureAlgorithm) -> Oid {
    match hash_of(algorithm).output_len() {
        48 => oid::SHA384,
        64 => oid::SHA512,
        _ => oid::SHA256,
    }
}

/// The parameters, and the mechanism that hashes by itself.
fn pss(algorithm: SignatureAlgorithm) -> (PkcsPssParams, Mechanism<'static>) {
    // The salt is as long as the hash (RFC 4055 section 3.1, RFC 8446 section 4.2.3).
    match algorithm {
        SignatureAlgorithm::RsaPssSha384 => {
            let parameters = PkcsPssParams {
                hash_alg: MechanismType::SHA384,
                mgf: PkcsMgfType::MGF1_SHA384,
                s_len: 48.into(),
            };
            (parameters, Mechanism::Sha384RsaPkcsPss(parameters))
        }
        SignatureAlgorithm::RsaPssSha512 => {
            let parameters = PkcsPssParams {
                hash_alg: MechanismType::SHA512,
                mgf: PkcsMgfType::MGF1_SHA512,
                s_len: 64.into(),
            };
            (parameters, Mechanism::Sha512RsaPkcsPss(parameters))
        }
        _ => {
            let parameters = PkcsPssParams {
                hash_alg: MechanismType::SHA256,
                mgf: PkcsMgfType::MGF1_SHA256,
                s_len: 32.into(),
            };
            (parameters, Mechanism::Sha256RsaPkcsPss(parameters))
        }
    }
}

/// DigestInfo (RFC 8017 section 9.2), which CKM_RSA_PKCS pads and signs.
fn digest_info(hash: Oid, value: &[u8]) -> Vec<u8> {
    let mut writer = Writer::new();
    writer.nested(tag::SEQUENCE, |w| {
        w.nested(tag::SEQUENCE, |w| {
            w.object_identifier(&hash);
            w.null();
        });
        w.primitive(tag::OCTET_STRING, value);
    });
    writer.into_bytes()
}

/// ECDSA-Sig-Value (RFC 3279 section 2.2.3) of r and s, which tokens give one after the other in equal length.
fn ecdsa_der(signature: &[u8]) -> Vec<u8> {
    let (r, s) = signature.split_at(signature.len() / 2);
    let mut writer = Writer::new();
    writer.nested(tag::SEQUENCE, |w| {
        w.integer(r);
        w.integer(s);
    });
    writer.into_bytes()
}
