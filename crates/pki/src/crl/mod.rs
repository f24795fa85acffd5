//! Certificate revocation lists (RFC 5280 section 5): written for an issuer, and read to be believed.

mod scope;

use std::collections::HashMap;
use std::fmt;
use std::str::FromStr;
use std::sync::OnceLock;

use jiff::Timestamp;

use crate::certificate::Certificate;
use crate::der::{DerError, Reader, Writer, tag};
use crate::extension::{Extension, authority_key_identifier};
use crate::key::{PublicKey, SignatureAlgorithm, SignatureInvalid};
use crate::name::DistinguishedName;
use crate::oid::{self, Oid};

pub use scope::{DistributionPoint, IssuingDistributionPoint, PointName, Reasons, Scope};

/// Why a certificate was revoked (RFC 5280 section 5.3.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum RevocationReason {
    /// No reason given; the entry carries no reasonCode.
    #[default]
    Unspecified,
    /// The private key is known to others.
    KeyCompromise,
    /// The issuing CA's key is known to others.
    CaCompromise,
    /// The subject's name or affiliation changed.
    AffiliationChanged,
    /// A newer certificate took its place.
    Superseded,
    /// It is no longer needed.
    CessationOfOperation,
    /// It is suspended.
    CertificateHold,
    /// The subject lost the right to it.
    PrivilegeWithdrawn,
}

impl RevocationReason {
    /// Every reason that can be given.
    pub const ALL: [RevocationReason; 8] = [
        Self::Unspecified,
        Self::KeyCompromise,
        Self::CaCompromise,
        Self::AffiliationChanged,
        Self::Superseded,
        Self::CessationOfOperation,
        Self::CertificateHold,
        Self::PrivilegeWithdrawn,
    ];

    /// The CRLReason code.
    #[must_use]
    pub fn code(self) -> u8 {
        match self {
            Self::Unspecified => 0,
            Self::KeyCompromise => 1,
            Self::CaCompromise => 2,
            Self::AffiliationChanged => 3,
            Self::Superseded => 4,
            Self::CessationOfOperation => 5,
            Self::CertificateHold => 6,
            Self::PrivilegeWithdrawn => 9,
        }
    }

    /// From the CRLReason code; codes without a meaning here count as unspecified.
    #[must_use]
    pub fn from_code(code: u8) -> Self {
        Self::ALL.into_iter().find(|reason| reason.code() == code).unwrap_or_default()
    }

    /// The RFC's word.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Unspecified => "unspecified",
            Self::KeyCompromise => "keyCompromise",
            Self::CaCompromise => "cACompromise",
            Self::AffiliationChanged => "affiliationChanged",
            Self::Superseded => "superseded",
            Self::CessationOfOperation => "cessationOfOperation",
            Self::CertificateHold => "certificateHold",
            Self::PrivilegeWithdrawn => "privilegeWithdrawn",
        }
    }
}

impl fmt::Display for RevocationReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// The text is no reason.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "'{0}' is no revocation reason; use unspecified, keyCompromise, cACompromise, affiliationChanged, superseded, \
     cessationOfOperation, certificateHold or privilegeWithdrawn"
)]
pub struct UnknownRevocationReason(pub String);

impl FromStr for RevocationReason {
    type Err = UnknownRevocationReason;

    /// Reads the RFC's word, in any case and with or without hyphens.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let folded = text.replace(['-', '_'], "").to_ascii_lowercase();
        Self::ALL
            .into_iter()
            .find(|reason| reason.name().to_ascii_lowercase() == folded)
            .ok_or_else(|| UnknownRevocationReason(text.to_owned()))
    }
}

/// One entry of a list to be written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RevokedEntry {
    /// The serial number's magnitude or content octets.
    pub serial: Vec<u8>,
    /// When it was revoked.
    pub revoked_at: Timestamp,
    /// Why.
    pub reason: RevocationReason,
}

/// Writes the to-be-signed bytes of a complete list.
pub(crate) fn write_tbs(
    issuer: &DistinguishedName,
    authority_key: &[u8],
    algorithm: SignatureAlgorithm,
    number: u64,
    [this_update, next_update]: [Timestamp; 2],
    entries: &[RevokedEntry],
    places: &[String],
) -> Vec<u8> {
    let mut revoked = Writer::new();
    for entry in entries {
        revoked.nested(tag::SEQUENCE, |w| {
            w.integer(&entry.serial);
            w.time(entry.revoked_at);
            if entry.reason != RevocationReason::Unspecified {
                w.nested(tag::SEQUENCE, |w| {
                    Extension::write(w, &oid::CRL_REASON, false, |w| {
                        w.primitive(tag::ENUMERATED, &[entry.reason.code()]);
                    });
                });
            }
        });
    }
    let revoked = revoked.into_bytes();
    let mut writer = Writer::new();
    writer.nested(tag::SEQUENCE, |w| {
        w.integer(&[1]);
        w.raw(&algorithm.algorithm_identifier());
        w.raw(issuer.der());
        w.time(this_update);
        w.time(next_update);
        // RFC 5280 section 5.1.2.6: an empty list is absent, not empty.
        if !revoked.is_empty() {
            w.primitive(tag::SEQUENCE, &revoked);
        }
        w.nested(tag::context_constructed(0), |w| {
            w.nested(tag::SEQUENCE, |w| {
                Extension::write(w, &oid::AUTHORITY_KEY_IDENTIFIER, false, |w| {
                    w.nested(tag::SEQUENCE, |w| w.primitive(tag::context(0), authority_key));
                });
                Extension::write(w, &oid::CRL_NUMBER, false, |w| w.integer(&number.to_be_bytes()));
                if !places.is_empty() {
                    Extension::write(w, &oid::ISSUING_DISTRIBUTION_POINT, true, |w| {
                        w.nested(tag::SEQUENCE, |w| {
                            w.nested(tag::context_constructed(0), |w| {
                                w.nested(tag::context_constructed(0), |w| {
                                    for place in places {
                                        w.primitive(tag::context(6), place.as_bytes());
                                    }
                                });
                            });
                        });
                    });
                }
            });
        });
    });
    writer.into_bytes()
}

/// Checks a list that was just signed: its signed bytes are `tbs`, and its signature is this key's. Cheaper than reading
/// a million entries back.
pub(crate) fn verify_der(der: &[u8], tbs: &[u8], key: &PublicKey) -> Result<(), CrlError> {
    let mut outer = Reader::new(der);
    let mut list = outer.nested(tag::SEQUENCE)?;
    outer.finish()?;
    let signed = list.expect(tag::SEQUENCE)?.whole;
    let identifier = list.expect(tag::SEQUENCE)?.whole;
    let signature = list.octet_bit_string()?;
    list.finish()?;
    let wrong = DerError::Value { what: "signature", offset: 0 };
    let algorithm = SignatureAlgorithm::from_algorithm_identifier(identifier).ok_or(wrong)?;
    if signed != tbs {
        return Err(wrong.into());
    }
    key.verify(algorithm, signed, signature).map_err(|_| wrong.into())
}

/// Why bytes are no list that can be believed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CrlError {
    /// Not the DER of a list.
    #[error("not a certificate revocation list: {0}")]
    Der(#[from] DerError),
    /// A critical extension that is not processed here (RFC 5280 section 5.2).
    #[error(
        "the list carries the critical extension {0}, which countersign does not process; \
         publish a complete list without it"
    )]
    CriticalExtension(Oid),
    /// An indirect list, which holds the certificates of several issuers (RFC 5280 section 5.2.5).
    #[error(
        "the list is indirect: it speaks for other issuers than its own, which is not supported; ask each \
             issuer for a list of its own"
    )]
    Indirect,
    /// A delta list, which holds the changes since another one (RFC 5280 section 5.2.4).
    #[error(
        "the list is a delta list, which only says what changed since another one; ask for the complete list"
    )]
    Delta,
    /// Two entries for one certificate.
    #[error("the list has the serial number {0} twice, so it contradicts itself; ask its issuer for another")]
    Duplicate(String),
    /// The structure is right and a rule of RFC 5280 is broken.
    #[error("the list breaks RFC 5280: {0}")]
    Rule(&'static str),
}

/// When and why a certificate was revoked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Revocation {
    /// revocationDate.
    pub revoked_at: Timestamp,
    /// reasonCode.
    pub reason: RevocationReason,
}

/// A list, its entries found by serial number.
#[derive(Clone)]
pub struct CertificateRevocationList {
    der: Vec<u8>,
    tbs: Vec<u8>,
    signature: Vec<u8>,
    algorithm: Option<SignatureAlgorithm>,
    issuer: DistinguishedName,
    this_update: Timestamp,
    next_update: Option<Timestamp>,
    number: Option<Vec<u8>>,
    has_critical_number: bool,
    authority_key: Option<Vec<u8>>,
    distribution_point: Option<IssuingDistributionPoint>,
    entries: HashMap<Vec<u8>, Revocation>,
    /// The key with which the signature was found right: a list is asked about many certificates.
    verified_with: OnceLock<PublicKey>,
}

impl CertificateRevocationList {
    /// Reads a complete list in DER.
    ///
    /// # Errors
    /// [`CrlError`]; delta and indirect lists are refused by name.
    pub fn from_der(der: &[u8]) -> Result<Self, CrlError> {
        let mut outer = Reader::new(der);
        let mut list = outer.nested(tag::SEQUENCE)?;
        outer.finish()?;
        let tbs_tlv = list.expect(tag::SEQUENCE)?;
        let identifier = list.expect(tag::SEQUENCE)?.whole;
        let signature = list.octet_bit_string()?.to_vec();
        list.finish()?;

        let mut tbs = tbs_tlv.reader();
        if tbs.peek() == Some(tag::INTEGER) {
            let version = tbs.small_integer("version")?;
            if version != 1 {
                return Err(CrlError::Rule("the version, where there is one, is 2 (section 5.1.2.1)"));
            }
        }
        let offset = tbs.offset();
        if tbs.expect(tag::SEQUENCE)?.whole != identifier {
            return Err(DerError::Value { what: "signature algorithm", offset }.into());
        }
        let issuer = DistinguishedName::from_der(tbs.expect(tag::SEQUENCE)?.whole)?;
        let this_update = tbs.time()?;
        let next_update = match tbs.peek() {
            Some(tag::UTC_TIME | tag::GENERALIZED_TIME) => Some(tbs.time()?),
            _ => None,
        };
        let mut entries = HashMap::new();
        if let Some(revoked) = tbs.optional(tag::SEQUENCE)? {
            let mut revoked = revoked.reader();
            while !revoked.is_empty() {
                let (serial, revocation) = read_entry(&mut revoked)?;
                if entries.insert(serial.clone(), revocation).is_some() {
                    return Err(CrlError::Duplicate(crate::hex(&serial)));
                }
            }
        }
        let mut number = None;
        let mut has_critical_number = false;
        let mut authority_key = None;
        let mut distribution_point = None;
        if let Some(explicit) = tbs.optional(tag::context_constructed(0))? {
            for extension in Extension::read_all(&mut explicit.reader())? {
                match extension.oid {
                    oid::CRL_NUMBER => {
                        number = Some(Reader::new(&extension.value).integer()?.to_vec());
                        has_critical_number = extension.critical;
                    }
                    oid::AUTHORITY_KEY_IDENTIFIER => {
                        authority_key = authority_key_identifier(&extension.value)?;
                    }
                    oid::ISSUING_DISTRIBUTION_POINT => {
                        let point = IssuingDistributionPoint::from_der(&extension.value)?;
                        if point.indirect {
                            return Err(CrlError::Indirect);
                        }
                        distribution_point = Some(point);
                    }
                    oid::DELTA_CRL_INDICATOR => return Err(CrlError::Delta),
                    other if extension.critical => return Err(CrlError::CriticalExtension(other)),
                    _ => {}
                }
            }
        }
        tbs.finish()?;
        Ok(CertificateRevocationList {
            der: der.to_vec(),
            tbs: tbs_tlv.whole.to_vec(),
            signature,
            algorithm: SignatureAlgorithm::from_algorithm_identifier(identifier),
            issuer,
            this_update,
            next_update,
            number,
            has_critical_number,
            authority_key,
            distribution_point,
            entries,
            verified_with: OnceLock::new(),
        })
    }

    /// The whole encoding.
    #[must_use]
    pub fn der(&self) -> &[u8] {
        &self.der
    }

    /// Who issued it.
    #[must_use]
    pub fn issuer(&self) -> &DistinguishedName {
        &self.issuer
    }

    /// thisUpdate.
    #[must_use]
    pub fn this_update(&self) -> Timestamp {
        self.this_update
    }

    /// nextUpdate: after it, the list says nothing.
    #[must_use]
    pub fn next_update(&self) -> Option<Timestamp> {
        self.next_update
    }

    /// cRLNumber's content octets.
    #[must_use]
    pub fn number(&self) -> Option<&[u8]> {
        self.number.as_deref()
    }

    pub(crate) fn has_critical_number(&self) -> bool {
        self.has_critical_number
    }

    /// The keyIdentifier of authorityKeyIdentifier.
    #[must_use]
    pub fn authority_key_identifier(&self) -> Option<&[u8]> {
        self.authority_key.as_deref()
    }

    /// issuingDistributionPoint: which part of its issuer's certificates it speaks of; all where absent.
    #[must_use]
    pub fn distribution_point(&self) -> Option<&IssuingDistributionPoint> {
        self.distribution_point.as_ref()
    }

    /// The reasons for which it speaks of this certificate of its issuer: all of them for a complete list, none
    /// where the certificate is of another part.
    #[must_use]
    pub fn covers(&self, certificate: &Certificate) -> Reasons {
        match &self.distribution_point {
            None => Reasons::ALL,
            Some(point) => point.covers(certificate, &self.issuer),
        }
    }

    /// How many certificates it revokes.
    #[must_use]
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether it revokes none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// The entry for a serial number, by its content octets.
    #[must_use]
    pub fn revocation(&self, serial: &[u8]) -> Option<Revocation> {
        self.entries.get(serial).copied()
    }

    /// The same list with what its issuer has said since by a channel of its own: certificates taken back, and serial
    /// numbers taken off hold. Its signature and its dates are those of the list that was signed.
    #[must_use]
    pub fn amended(
        &self,
        revoked: impl IntoIterator<Item = (Vec<u8>, Revocation)>,
        released: impl IntoIterator<Item = Vec<u8>>,
    ) -> Self {
        let mut list = self.clone();
        list.entries.extend(revoked);
        for serial in released {
            list.entries.remove(&serial);
        }
        list
    }

    /// The same list as one that was due at this moment, where it was due later or never: what it names stays named, and
    /// after that moment it vouches for nobody. For whoever believes a list for less long than its issuer says.
    #[must_use]
    pub fn due_at(&self, moment: Timestamp) -> Self {
        let mut list = self.clone();
        list.next_update = Some(list.next_update.map_or(moment, |next| next.min(moment)));
        list
    }

    /// Verifies the signature with the issuer's key.
    ///
    /// # Errors
    /// [`SignatureInvalid`].
    pub fn verify_signature(&self, key: &PublicKey) -> Result<(), SignatureInvalid> {
        if self.verified_with.get() == Some(key) {
            return Ok(());
        }
        key.verify(self.algorithm.ok_or(SignatureInvalid)?, &self.tbs, &self.signature)?;
        // Another key may have verified it meanwhile; either one is true.
        let _ = self.verified_with.set(key.clone());
        Ok(())
    }
}

fn read_entry(reader: &mut Reader<'_>) -> Result<(Vec<u8>, Revocation), CrlError> {
    let mut entry = reader.nested(tag::SEQUENCE)?;
    let serial = entry.integer()?.to_vec();
    let revoked_at = entry.time()?;
    let mut reason = RevocationReason::Unspecified;
    if !entry.is_empty() {
        for extension in Extension::read_all(&mut entry)? {
            match extension.oid {
                oid::CRL_REASON => {
                    let code = Reader::new(&extension.value).expect(tag::ENUMERATED)?.content;
                    reason = RevocationReason::from_code(code.first().copied().unwrap_or(0));
                }
                other if extension.critical => return Err(CrlError::CriticalExtension(other)),
                _ => {}
            }
        }
    }
    entry.finish()?;
    Ok((serial, Revocation { revoked_at, reason }))
}

impl fmt::Debug for CertificateRevocationList {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "CertificateRevocationList({}, {} entries)", self.issuer, self.entries.len())
    }
}
