//! Certificates that `pki::issuer` refuses to make: every field can be wrong. The encoder is this file's own, so
//! that a mistake in the real one does not hide behind itself.

use jiff::Timestamp;
use pki::Certificate;
use pki::der::{Writer, tag};
use pki::key::{PublicKey, SigningKey};
use pki::name::DistinguishedName;
use pki::oid::{self, Oid};

use crate::{KeyKind, TestIdentity, TestKey, days_from_now};

/// An extension, right or wrong.
#[derive(Debug, Clone)]
pub struct RawExtension {
    /// extnID.
    pub oid: Oid,
    /// critical.
    pub critical: bool,
    /// The content of extnValue.
    pub value: Vec<u8>,
}

/// A certificate in the making. It starts right, and each method makes one thing different.
///
/// ```
/// use testkit::RawCertificate;
/// let root = RawCertificate::ca("Root").self_signed();
/// let no_ca = RawCertificate::ca("Not a CA").basic_constraints(false, None).issued_by(&root);
/// let leaf = RawCertificate::client("alice").issued_by(&no_ca);
/// assert_eq!(leaf.chain, [no_ca.certificate]);
/// ```
#[derive(Debug, Clone)]
pub struct RawCertificate {
    version: Option<u8>,
    serial: Vec<u8>,
    inner_algorithm: Option<Vec<u8>>,
    outer_algorithm: Option<Vec<u8>>,
    issuer: Option<DistinguishedName>,
    subject: DistinguishedName,
    not_before: Timestamp,
    not_after: Timestamp,
    key: TestKey,
    spki: Option<Vec<u8>>,
    extensions: Vec<RawExtension>,
    authority_key: Option<Vec<u8>>,
    has_authority_key: bool,
    damaged: bool,
}

impl RawCertificate {
    /// A CA of this commonName, without path length.
    #[must_use]
    pub fn ca(name: &str) -> Self {
        Self::blank(name).basic_constraints(true, None).replace(oid::KEY_USAGE, true, key_usage_der(&[5, 6]))
    }

    /// A client of this commonName.
    #[must_use]
    pub fn client(name: &str) -> Self {
        Self::blank(name)
            .replace(oid::KEY_USAGE, true, key_usage_der(&[0]))
            .extended_key_usages(&[oid::CLIENT_AUTH])
    }

    /// A server of this DNS name, which is its commonName too.
    #[must_use]
    pub fn server(name: &str) -> Self {
        Self::blank(name)
            .replace(oid::KEY_USAGE, true, key_usage_der(&[0]))
            .extended_key_usages(&[oid::SERVER_AUTH])
            .alternative(&[(2, name.as_bytes())])
    }

    fn blank(name: &str) -> Self {
        RawCertificate {
            version: Some(2),
            serial: [&[0x21], name.as_bytes()].concat().into_iter().take(20).collect(),
            inner_algorithm: None,
            outer_algorithm: None,
            issuer: None,
            subject: DistinguishedName::build(&[(oid::COMMON_NAME, name)]),
            not_before: days_from_now(-1),
            not_after: days_from_now(30),
            key: TestKey::generate(KeyKind::P256),
            spki: None,
            extensions: Vec::new(),
            authority_key: None,
            has_authority_key: true,
            damaged: false,
        }
    }

    /// The version field: `None` leaves it out (version 1), `Some(1)` is version 2, `Some(2)` version 3.
    #[must_use]
    pub fn version(mut self, version: Option<u8>) -> Self {
        self.version = version;
        self
    }

    /// A certificate of version 1: no version field, no extensions.
    #[must_use]
    pub fn version_1(mut self) -> Self {
        self.extensions.clear();
        self.has_authority_key = false;
        self.version(None)
    }

    /// The content octets of the serial number, whatever their sign and length.
    #[must_use]
    pub fn serial(mut self, content: &[u8]) -> Self {
        self.serial = content.to_vec();
        self
    }

    /// The validity.
    #[must_use]
    pub fn valid(mut self, not_before: Timestamp, not_after: Timestamp) -> Self {
        (self.not_before, self.not_after) = (not_before, not_after);
        self
    }

    /// Another subject.
    #[must_use]
    pub fn subject(mut self, attributes: &[(Oid, &str)]) -> Self {
        self.subject = DistinguishedName::build(attributes);
        self
    }

    /// Another issuer's name than that of the certificate which signs it.
    #[must_use]
    pub fn issuer_name(mut self, attributes: &[(Oid, &str)]) -> Self {
        self.issuer = Some(DistinguishedName::build(attributes));
        self
    }

    /// Its key.
    #[must_use]
    pub fn key(mut self, key: &TestKey) -> Self {
        self.key = key.clone();
        self
    }

    /// A SubjectPublicKeyInfo that belongs to no key here: too weak, of an unknown curve, or broken.
    #[must_use]
    pub fn public_key_der(mut self, spki: Vec<u8>) -> Self {
        self.spki = Some(spki);
        self
    }

    /// The AlgorithmIdentifiers inside and outside, where they are not those of the signing key.
    #[must_use]
    pub fn algorithms(mut self, inner: &[u8], outer: &[u8]) -> Self {
        self.inner_algorithm = Some(inner.to_vec());
        self.outer_algorithm = Some(outer.to_vec());
        self
    }

    /// Another key identifier in authorityKeyIdentifier than the issuer's.
    #[must_use]
    pub fn authority_key(mut self, identifier: &[u8]) -> Self {
        self.authority_key = Some(identifier.to_vec());
        self
    }

    /// No authorityKeyIdentifier.
    #[must_use]
    pub fn without_authority_key(mut self) -> Self {
        self.has_authority_key = false;
        self
    }

    /// A signature with its last bit turned over.
    #[must_use]
    pub fn damaged_signature(mut self) -> Self {
        self.damaged = true;
        self
    }

    /// One more extension, also where it is there already.
    #[must_use]
    pub fn extension(mut self, oid: Oid, critical: bool, value: Vec<u8>) -> Self {
        self.extensions.push(RawExtension { oid, critical, value });
        self
    }

    /// This extension instead of the one that is there.
    #[must_use]
    pub fn replace(self, oid: Oid, critical: bool, value: Vec<u8>) -> Self {
        self.without(oid).extension(oid, critical, value)
    }

    /// Without this extension.
    #[must_use]
    pub fn without(mut self, oid: Oid) -> Self {
        self.extensions.retain(|extension| extension.oid != oid);
        self
    }

    /// An extension nobody understands: 1.3.6.1.4.1.55555.1.
    ///
    /// # Panics
    /// Never: the identifier is well-formed.
    #[must_use]
    pub fn unknown_extension(self, critical: bool) -> Self {
        let oid = Oid::from_dotted("1.3.6.1.4.1.55555.1").unwrap();
        self.extension(oid, critical, vec![tag::NULL, 0])
    }

    /// basicConstraints; `CA:FALSE` is an empty sequence, as DER leaves defaults out.
    #[must_use]
    pub fn basic_constraints(self, ca: bool, path_length: Option<u8>) -> Self {
        let value = sequence(|w| {
            if ca {
                w.boolean(true);
            }
            if let Some(length) = path_length {
                w.integer(&[length]);
            }
        });
        self.replace(oid::BASIC_CONSTRAINTS, true, value)
    }

    /// keyUsage by bit numbers (0 is digitalSignature, 5 keyCertSign, 6 cRLSign).
    #[must_use]
    pub fn key_usage(self, bits: &[usize]) -> Self {
        self.replace(oid::KEY_USAGE, true, key_usage_der(bits))
    }

    /// extKeyUsage.
    #[must_use]
    pub fn extended_key_usages(self, purposes: &[Oid]) -> Self {
        let value = sequence(|w| purposes.iter().for_each(|purpose| w.object_identifier(purpose)));
        self.replace(oid::EXTENDED_KEY_USAGE, false, value)
    }

    /// subjectAltName of primitive names: context tag number and content octets.
    #[must_use]
    pub fn alternative(self, names: &[(u8, &[u8])]) -> Self {
        let value = sequence(|w| {
            for (number, content) in names {
                w.primitive(tag::context(*number), content);
            }
        });
        self.replace(oid::SUBJECT_ALT_NAME, false, value)
    }

    /// A critical nameConstraints from DER.
    #[must_use]
    pub fn name_constraints(self, value: Vec<u8>) -> Self {
        self.replace(oid::NAME_CONSTRAINTS, true, value)
    }

    /// The DER, signed by this identity. It may be unreadable, if that is what was asked for.
    #[must_use]
    pub fn der_issued_by(&self, issuer: &TestIdentity) -> Vec<u8> {
        let authority = issuer.certificate.subject_key_identifier().map(<[u8]>::to_vec);
        self.der(issuer.certificate.subject(), authority, &issuer.key)
    }

    /// The DER, signed with its own key.
    #[must_use]
    pub fn der_self_signed(&self) -> Vec<u8> {
        self.der(&self.subject, Some(self.key.public_key().key_identifier().to_vec()), &self.key)
    }

    /// The certificate, signed by this identity.
    ///
    /// # Panics
    /// Where it cannot be read: take [`RawCertificate::der_issued_by`] for those.
    #[must_use]
    pub fn issued_by(&self, issuer: &TestIdentity) -> TestIdentity {
        TestIdentity {
            certificate: Certificate::from_der(&self.der_issued_by(issuer)).unwrap(),
            chain: issuer.chain_below(),
            key: self.key.clone(),
        }
    }

    /// The certificate, signed with its own key.
    ///
    /// # Panics
    /// Where it cannot be read: take [`RawCertificate::der_self_signed`] for those.
    #[must_use]
    pub fn self_signed(&self) -> TestIdentity {
        let certificate = Certificate::from_der(&self.der_self_signed()).unwrap();
        TestIdentity { certificate, chain: Vec::new(), key: self.key.clone() }
    }

    fn der(&self, issuer: &DistinguishedName, authority: Option<Vec<u8>>, key: &TestKey) -> Vec<u8> {
        let own_algorithm = key.signature_algorithm().algorithm_identifier();
        let spki = self.spki.clone().unwrap_or_else(|| self.key.public_key().spki_der().to_vec());
        let mut extensions = self.extensions.clone();
        if self.version == Some(2) {
            if let Ok(public_key) = PublicKey::from_spki_der(&spki)
                && !extensions.iter().any(|e| e.oid == oid::SUBJECT_KEY_IDENTIFIER)
            {
                let mut value = Writer::new();
                value.primitive(tag::OCTET_STRING, &public_key.key_identifier());
                extensions.push(RawExtension {
                    oid: oid::SUBJECT_KEY_IDENTIFIER,
                    critical: false,
                    value: value.into_bytes(),
                });
            }
            if let Some(identifier) =
                self.authority_key.clone().or(authority).filter(|_| self.has_authority_key)
            {
                extensions.push(RawExtension {
                    oid: oid::AUTHORITY_KEY_IDENTIFIER,
                    critical: false,
                    value: sequence(|w| w.primitive(tag::context(0), &identifier)),
                });
            }
        }
        let tbs = sequence(|w| {
            if let Some(version) = self.version {
                w.nested(tag::context_constructed(0), |w| w.integer(&[version]));
            }
            w.primitive(tag::INTEGER, &self.serial);
            w.raw(self.inner_algorithm.as_ref().unwrap_or(&own_algorithm));
            w.raw(self.issuer.as_ref().unwrap_or(issuer).der());
            w.nested(tag::SEQUENCE, |w| {
                w.time(self.not_before);
                w.time(self.not_after);
            });
            w.raw(self.subject.der());
            w.raw(&spki);
            if !extensions.is_empty() {
                w.nested(tag::context_constructed(3), |w| {
                    w.nested(tag::SEQUENCE, |w| extensions.iter().for_each(|e| write_extension(w, e)));
                });
            }
        });
        let mut signature = key.sign(&tbs).unwrap();
        if self.damaged {
            *signature.last_mut().unwrap() ^= 1;
        }
        sequence(|w| {
            w.raw(&tbs);
            w.raw(self.outer_algorithm.as_ref().unwrap_or(&own_algorithm));
            w.octet_bit_string(&signature);
        })
    }
}

pub(crate) fn write_extension(writer: &mut Writer, extension: &RawExtension) {
    writer.nested(tag::SEQUENCE, |w| {
        w.object_identifier(&extension.oid);
        if extension.critical {
            w.boolean(true);
        }
        w.primitive(tag::OCTET_STRING, &extension.value);
    });
}

fn sequence(content: impl FnOnce(&mut Writer)) -> Vec<u8> {
    let mut writer = Writer::new();
    writer.nested(tag::SEQUENCE, content);
    writer.into_bytes()
}

/// The DER of a KeyUsage with these bits.
#[must_use]
pub fn key_usage_der(bits: &[usize]) -> Vec<u8> {
    let set: Vec<bool> = (0..9).map(|bit| bits.contains(&bit)).collect();
    let mut writer = Writer::new();
    writer.named_bits(&set);
    writer.into_bytes()
}

/// The AlgorithmIdentifier of sha1WithRSAEncryption.
#[must_use]
pub fn sha1_with_rsa() -> Vec<u8> {
    sequence(|w| {
        w.object_identifier(&oid::SHA1_WITH_RSA);
        w.null();
    })
}

/// The SubjectPublicKeyInfo of an RSA key of 1024 bits. Its modulus is no product of two primes: nothing ever signs
/// with it, and a reader cannot tell.
#[must_use]
pub fn rsa_1024_spki() -> Vec<u8> {
    let key = sequence(|w| {
        w.integer(&[0xb7; 128]);
        w.integer(&[1, 0, 1]);
    });
    sequence(|w| {
        w.nested(tag::SEQUENCE, |w| {
            w.object_identifier(&oid::RSA_ENCRYPTION);
            w.null();
        });
        w.octet_bit_string(&key);
    })
}

/// A SubjectPublicKeyInfo on secp256k1, which no TLS peer accepts.
#[must_use]
pub fn unknown_curve_spki() -> Vec<u8> {
    sequence(|w| {
        w.nested(tag::SEQUENCE, |w| {
            w.object_identifier(&oid::EC_PUBLIC_KEY);
            w.object_identifier(&oid::SECP256K1);
        });
        w.octet_bit_string(&[4; 65]);
    })
}
