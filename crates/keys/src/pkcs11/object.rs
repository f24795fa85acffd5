//! Keys among a token's objects: the private one that a URI names, and its public half, which may be a public key, a
//! certificate, or attributes of the private key itself.

use cryptoki::mechanism::MechanismType;
use cryptoki::object::{Attribute, AttributeType, KeyType, ObjectClass, ObjectHandle};
use cryptoki::session::Session;
use pki::Certificate;
use pki::der::{Reader, Writer, tag};
use pki::key::{KeyAlgorithm, PublicKey, SignatureAlgorithm};
use pki::oid::{self, Oid};

use super::error::TokenError;
use super::module::{Token, described, listed};
use super::uri::Uri;

/// The name of the curve in the form that older tokens use in place of an identifier.
const EDWARDS25519: &[u8] = b"edwards25519";

/// A private key that was found, with what can be known of it.
pub(super) struct Found {
    pub(super) private: ObjectHandle,
    pub(super) public: PublicKey,
}

/// The handle of the one private key that a URI names.
pub(super) fn private_key(session: &Session, token: &Token, uri: &Uri) -> Result<ObjectHandle, TokenError> {
    if let Some(class) = uri.class.as_deref().filter(|class| *class != "private") {
        return Err(TokenError::NotPrivate(class.to_owned()));
    }
    let mut template = vec![Attribute::Class(ObjectClass::PRIVATE_KEY)];
    template.extend(uri.object.as_ref().map(|label| Attribute::Label(label.as_bytes().to_vec())));
    template.extend(uri.id.clone().map(Attribute::Id));
    let mut keys = session.find_objects(&template).map_err(TokenError::of)?;
    match (keys.len(), keys.pop()) {
        (1, Some(key)) => Ok(key),
        (0, _) | (_, None) => {
            let all = session
                .find_objects(&[Attribute::Class(ObjectClass::PRIVATE_KEY)])
                .map_err(TokenError::of)?;
            Err(TokenError::NoKey {
                token: token.label().to_owned(),
                wanted: described(uri),
                found: listed(&names(session, &all), "none"),
            })
        }
        (_, Some(last)) => {
            keys.push(last);
            Err(TokenError::SeveralKeys {
                token: token.label().to_owned(),
                wanted: described(uri),
                found: listed(&names(session, &keys), "none"),
            })
        }
    }
}

/// `'label' (id=%01)` of each.
fn names(session: &Session, keys: &[ObjectHandle]) -> Vec<String> {
    keys.iter().map(|key| name(session, *key)).collect()
}

fn name(session: &Session, key: ObjectHandle) -> String {
    let attributes =
        session.get_attributes(key, &[AttributeType::Label, AttributeType::Id]).unwrap_or_default();
    let mut text = String::new();
    for attribute in attributes {
        match attribute {
            Attribute::Label(label) => {
                text = format!("'{}'{text}", String::from_utf8_lossy(&label).trim_end())
            }
            Attribute::Id(id) => {
                let octets: String = id.iter().map(|octet| format!("%{octet:02X}")).collect();
                text.push_str(&format!(" (id={octets})"));
            }
            _ => {}
        }
    }
    // A label is what somebody wrote: nothing of it reaches a terminal as a command.
    text.chars().map(|c| if c.is_control() { '?' } else { c }).collect()
}

/// The private key, checked that it can sign, with its public half.
pub(super) fn find(session: &Session, token: &Token, uri: &Uri) -> Result<Found, TokenError> {
    let private = private_key(session, token, uri)?;
    let key = || name(session, private);
    let label = || token.label().to_owned();
    for attribute in attributes(session, private, &[AttributeType::Sign, AttributeType::AlwaysAuthenticate]) {
        match attribute {
            Attribute::Sign(false) => return Err(TokenError::MayNotSign { token: label(), key: key() }),
            Attribute::AlwaysAuthenticate(true) => {
                return Err(TokenError::AlwaysAuthenticate { token: label(), key: key() });
            }
            _ => {}
        }
    }
    let unusable = |why: String| TokenError::KeyKind { token: label(), key: key(), why };
    let spki = public_half(session, private)
        .ok_or_else(|| TokenError::NoPublicKey { token: label(), key: key() })?
        .map_err(unusable)?;
    let public = PublicKey::from_spki_der(&spki).map_err(|error| unusable(error.to_string()))?;
    if let Some(weakness) = public.weakness() {
        return Err(unusable(weakness));
    }
    Ok(Found { private, public })
}

/// Attributes that are there; a token that does not know one has it not.
fn attributes(session: &Session, object: ObjectHandle, wanted: &[AttributeType]) -> Vec<Attribute> {
    wanted.iter().flat_map(|one| session.get_attributes(object, &[*one]).unwrap_or_default()).collect()
}

/// The SubjectPublicKeyInfo, from wherever it can be had.
fn public_half(session: &Session, private: ObjectHandle) -> Option<Result<Vec<u8>, String>> {
    let id = attributes(session, private, &[AttributeType::Id]).into_iter().find_map(|a| match a {
        Attribute::Id(id) if !id.is_empty() => Some(id),
        _ => None,
    });
    let beside = |class: ObjectClass| -> Option<ObjectHandle> {
        let template = [Attribute::Class(class), Attribute::Id(id.clone()?)];
        session.find_objects(&template).ok()?.first().copied()
    };
    // The attribute of PKCS#11 2.40, and the numbers of an RSA key, may stand in the private key itself.
    let of_objects = [beside(ObjectClass::PUBLIC_KEY), Some(private)];
    if let Some(found) = of_objects.into_iter().flatten().find_map(|object| spki_of(session, object)) {
        return Some(found);
    }
    let certificate = beside(ObjectClass::CERTIFICATE)?;
    attributes(session, certificate, &[AttributeType::Value]).into_iter().find_map(
        |attribute| match attribute {
            Attribute::Value(der) => Some(
                Certificate::from_der(&der)
                    .map_err(|error| format!("the certificate beside it is damaged: {error}"))
                    .and_then(|c| c.public_key().map(|k| k.spki_der().to_vec()).map_err(|e| e.to_string())),
            ),
            _ => None,
        },
    )
}

fn spki_of(session: &Session, object: ObjectHandle) -> Option<Result<Vec<u8>, String>> {
    use AttributeType as Type;
    let wanted = [
        Type::PublicKeyInfo,
        Type::KeyType,
        Type::EcParams,
        Type::EcPoint,
        Type::Modulus,
        Type::PublicExponent,
    ];
    let (mut kind, mut parameters, mut point, mut modulus, mut exponent) = (None, None, None, None, None);
    for attribute in attributes(session, object, &wanted) {
        match attribute {
            Attribute::PublicKeyInfo(spki) if !spki.is_empty() => return Some(Ok(spki)),
            Attribute::KeyType(found) => kind = Some(found),
            Attribute::EcParams(der) if !der.is_empty() => parameters = Some(der),
            Attribute::EcPoint(der) if !der.is_empty() => point = Some(der),
            Attribute::Modulus(number) if !number.is_empty() => modulus = Some(number),
            Attribute::PublicExponent(number) if !number.is_empty() => exponent = Some(number),
            _ => {}
        }
    }
    match kind {
        Some(KeyType::RSA) => Some(Ok(rsa_spki(&modulus?, &exponent?))),
        Some(KeyType::EC | KeyType::EC_EDWARDS) => Some(ec_spki(&parameters?, &point?)),
        _ => None,
    }
}

fn rsa_spki(modulus: &[u8], exponent: &[u8]) -> Vec<u8> {
    let mut key = Writer::new();
    key.nested(tag::SEQUENCE, |w| {
        w.integer(modulus);
        w.integer(exponent);
    });
    let mut spki = Writer::new();
    spki.nested(tag::SEQUENCE, |w| {
        w.nested(tag::SEQUENCE, |w| {
            w.object_identifier(&oid::RSA_ENCRYPTION);
            w.null();
        });
        w.octet_bit_string(&key.into_bytes());
    });
    spki.into_bytes()
}

/// From CKA_EC_PARAMS and CKA_EC_POINT. The point should be the DER of an OCTET STRING, and some tokens give it bare.
fn ec_spki(parameters: &[u8], point: &[u8]) -> Result<Vec<u8>, String> {
    let mut reader = Reader::new(point);
    let unwrapped = reader.expect(tag::OCTET_STRING).ok().filter(|_| reader.is_empty());
    let point = unwrapped.map_or(point, |inner| inner.content);
    let curve = curve(parameters).ok_or("its curve is not named by an identifier")?;
    let mut spki = Writer::new();
    spki.nested(tag::SEQUENCE, |w| {
        w.nested(tag::SEQUENCE, |w| {
            if curve == oid::ED25519 {
                w.object_identifier(&oid::ED25519);
            } else {
                w.object_identifier(&oid::EC_PUBLIC_KEY);
                w.object_identifier(&curve);
            }
        });
        w.octet_bit_string(point);
    });
    Ok(spki.into_bytes())
}

fn curve(parameters: &[u8]) -> Option<Oid> {
    let mut reader = Reader::new(parameters);
    if reader.peek() == Some(tag::PRINTABLE_STRING) {
        return (reader.any().ok()?.content == EDWARDS25519).then_some(oid::ED25519);
    }
    reader.object_identifier().ok()
}

/// What a key of this kind signs with in a token that has these mechanisms, the preferred one first.
pub(super) fn algorithms(
    token: &Token,
    key: KeyAlgorithm,
    mechanisms: &[MechanismType],
) -> Result<Vec<SignatureAlgorithm>, TokenError> {
    use SignatureAlgorithm as Algorithm;
    let has = |mechanism| mechanisms.contains(&mechanism);
    let (found, wanted) = match key {
        KeyAlgorithm::P256 | KeyAlgorithm::P384 | KeyAlgorithm::P521 => {
            let found = if has(MechanismType::ECDSA) { vec![Algorithm::for_key(key)] } else { Vec::new() };
            (found, MechanismType::ECDSA)
        }
        KeyAlgorithm::Ed25519 => {
            let found = if has(MechanismType::EDDSA) { vec![Algorithm::Ed25519] } else { Vec::new() };
            (found, MechanismType::EDDSA)
        }
        KeyAlgorithm::Rsa(_) => {
            let mut found = Vec::new();
            if has(MechanismType::RSA_PKCS) {
                found.extend([
                    Algorithm::RsaPkcs1Sha256,
                    Algorithm::RsaPkcs1Sha384,
                    Algorithm::RsaPkcs1Sha512,
                ]);
            }
            let pss = [
                (Algorithm::RsaPssSha256, MechanismType::SHA256_RSA_PKCS_PSS),
                (Algorithm::RsaPssSha384, MechanismType::SHA384_RSA_PKCS_PSS),
                (Algorithm::RsaPssSha512, MechanismType::SHA512_RSA_PKCS_PSS),
            ];
            let bare = has(MechanismType::RSA_PKCS_PSS);
            found.extend(
                pss.into_iter().filter(|(_, whole)| bare || has(*whole)).map(|(algorithm, _)| algorithm),
            );
            (found, MechanismType::RSA_PKCS)
        }
        KeyAlgorithm::MlDsa44 | KeyAlgorithm::MlDsa65 | KeyAlgorithm::MlDsa87 => {
            (Vec::new(), MechanismType::ML_DSA)
        }
    };
    if !found.is_empty() {
        return Ok(found);
    }
    Err(lacks(token, wanted, &format!("a signature with an {key} key"), mechanisms))
}

/// The refusal for a mechanism that a token has not.
pub(super) fn lacks(
    token: &Token,
    wanted: MechanismType,
    needed_for: &str,
    mechanisms: &[MechanismType],
) -> TokenError {
    let related = [
        MechanismType::RSA_PKCS,
        MechanismType::RSA_PKCS_PSS,
        MechanismType::ECDSA,
        MechanismType::EDDSA,
        MechanismType::RSA_PKCS_KEY_PAIR_GEN,
        MechanismType::ECC_KEY_PAIR_GEN,
        MechanismType::ECC_EDWARDS_KEY_PAIR_GEN,
    ];
    let offered: Vec<String> =
        related.iter().filter(|one| mechanisms.contains(one)).map(ToString::to_string).collect();
    TokenError::Mechanism {
        token: token.label().to_owned(),
        mechanism: wanted.to_string(),
        needed_for: needed_for.to_owned(),
        offered: listed(&offered, "none for signatures"),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test fails by panicking")]
    use super::*;
    use crate::PrivateKey;
    use pki::key::SigningKey as _;

    /// CKA_EC_PARAMS of a curve.
    fn named(curve: &Oid) -> Vec<u8> {
        let mut writer = Writer::new();
        writer.object_identifier(curve);
        writer.into_bytes()
    }

    #[test]
    fn points_are_read_wrapped_and_bare_and_curves_by_identifier_and_by_name() {
        let by_name = [&[tag::PRINTABLE_STRING, 12][..], EDWARDS25519].concat();
        for (algorithm, parameters) in [
            (KeyAlgorithm::P256, named(&oid::SECP256R1)),
            (KeyAlgorithm::P384, named(&oid::SECP384R1)),
            (KeyAlgorithm::Ed25519, named(&oid::ED25519)),
            (KeyAlgorithm::Ed25519, by_name),
        ] {
            let key = PrivateKey::generate(algorithm).unwrap();
            let bare = key.public_key().key_octets();
            let mut wrapped = Writer::new();
            wrapped.primitive(tag::OCTET_STRING, bare);
            for point in [bare.to_vec(), wrapped.into_bytes()] {
                assert_eq!(ec_spki(&parameters, &point).unwrap(), key.public_key().spki_der(), "{algorithm}");
            }
        }
        assert!(ec_spki(&[0x30, 0x00], &[4; 65]).is_err());
    }
}
