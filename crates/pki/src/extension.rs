//! The certificate extensions that verification and issuance act on, typed. The rest is carried as it came.

use crate::der::{DerError, Reader, Writer, tag};
use crate::name::{GeneralName, Presented, Subtree};
use crate::oid::{self, Oid};

/// One extension as it stands in a certificate, request or CRL.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Extension {
    /// extnID.
    pub oid: Oid,
    /// critical.
    pub critical: bool,
    /// The content of extnValue.
    pub value: Vec<u8>,
}

impl Extension {
    /// Reads `Extensions` (RFC 5280 section 4.1.2.9): a sequence of at least one, none twice.
    ///
    /// # Errors
    /// [`DerError`].
    pub fn read_all(reader: &mut Reader<'_>) -> Result<Vec<Extension>, DerError> {
        let offset = reader.offset();
        let mut sequence = reader.nested(tag::SEQUENCE)?;
        let mut extensions: Vec<Extension> = Vec::new();
        while !sequence.is_empty() {
            let mut extension = sequence.nested(tag::SEQUENCE)?;
            let oid = extension.object_identifier()?;
            let critical = match extension.peek() {
                Some(tag::BOOLEAN) => extension.boolean()?,
                _ => false,
            };
            let value = extension.expect(tag::OCTET_STRING)?.content.to_vec();
            extension.finish()?;
            extensions.push(Extension { oid, critical, value });
        }
        // Sorted, since comparing each with each costs seconds for a hostile certificate of 16 MB.
        let mut oids: Vec<Oid> = extensions.iter().map(|extension| extension.oid).collect();
        oids.sort_unstable();
        if oids.windows(2).any(|pair| pair[0] == pair[1]) {
            return Err(DerError::Value { what: "Extensions (one stands twice)", offset });
        }
        if extensions.is_empty() {
            return Err(DerError::Value { what: "Extensions", offset });
        }
        Ok(extensions)
    }

    /// Writes one extension whose value the closure writes.
    pub fn write(writer: &mut Writer, oid: &Oid, critical: bool, value: impl FnOnce(&mut Writer)) {
        writer.nested(tag::SEQUENCE, |w| {
            w.object_identifier(oid);
            if critical {
                w.boolean(true);
            }
            w.nested(tag::OCTET_STRING, value);
        });
    }
}

/// basicConstraints (RFC 5280 section 4.2.1.9).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct BasicConstraints {
    /// cA.
    pub ca: bool,
    /// pathLenConstraint.
    pub path_length: Option<u32>,
}

impl BasicConstraints {
    pub(crate) fn from_der(der: &[u8]) -> Result<Self, DerError> {
        let mut reader = Reader::new(der);
        let mut sequence = reader.nested(tag::SEQUENCE)?;
        reader.finish()?;
        let ca = if sequence.peek() == Some(tag::BOOLEAN) { sequence.boolean()? } else { false };
        let path_length =
            if sequence.is_empty() { None } else { Some(sequence.small_integer("pathLenConstraint")?) };
        sequence.finish()?;
        Ok(BasicConstraints { ca, path_length })
    }

    pub(crate) fn write(self, writer: &mut Writer) {
        writer.nested(tag::SEQUENCE, |w| {
            if self.ca {
                w.boolean(true);
            }
            if let Some(length) = self.path_length {
                w.integer(&length.to_be_bytes());
            }
        });
    }
}

/// Where those who verify a certificate learn whether it was revoked, and find its issuer.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Publication {
    /// cRLDistributionPoints (RFC 5280 section 4.2.1.13): URIs of one list, each as good as the other.
    pub lists: Vec<String>,
    /// authorityInfoAccess, id-ad-ocsp (RFC 5280 section 4.2.2.1).
    pub responders: Vec<String>,
    /// authorityInfoAccess, id-ad-caIssuers: the issuer's certificate in DER.
    pub issuers: Vec<String>,
    /// noRevAvail (RFC 9608): nothing will ever be published about this certificate, for it ends soon.
    pub no_revocation: bool,
}

impl Publication {
    /// Writes the extensions that say it. noRevAvail excludes the others (RFC 9608 section 3).
    pub(crate) fn write(&self, writer: &mut Writer) {
        let uri = |w: &mut Writer, uri: &String| w.primitive(tag::context(6), uri.as_bytes());
        if self.no_revocation {
            Extension::write(writer, &oid::NO_REV_AVAIL, false, Writer::null);
        } else if !self.lists.is_empty() {
            Extension::write(writer, &oid::CRL_DISTRIBUTION_POINTS, false, |w| {
                w.nested(tag::SEQUENCE, |w| {
                    w.nested(tag::SEQUENCE, |w| {
                        w.nested(tag::context_constructed(0), |w| {
                            w.nested(tag::context_constructed(0), |w| {
                                self.lists.iter().for_each(|list| uri(w, list));
                            });
                        });
                    });
                });
            });
        }
        let responders = self.responders.iter().filter(|_| !self.no_revocation).map(|r| (oid::OCSP, r));
        let places: Vec<_> = responders.chain(self.issuers.iter().map(|i| (oid::CA_ISSUERS, i))).collect();
        if !places.is_empty() {
            Extension::write(writer, &oid::AUTHORITY_INFO_ACCESS, false, |w| {
                w.nested(tag::SEQUENCE, |w| {
                    for (method, place) in places {
                        w.nested(tag::SEQUENCE, |w| {
                            w.object_identifier(&method);
                            uri(w, place);
                        });
                    }
                });
            });
        }
    }
}

/// keyUsage (RFC 5280 section 4.2.1.3): bit 0, digitalSignature, is the lowest here.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct KeyUsage(pub u16);

impl KeyUsage {
    /// digitalSignature: what a TLS peer does.
    pub const DIGITAL_SIGNATURE: KeyUsage = KeyUsage(1);
    /// keyEncipherment: the RSA key exchange of TLS 1.2.
    pub const KEY_ENCIPHERMENT: KeyUsage = KeyUsage(1 << 2);
    /// keyAgreement: static Diffie-Hellman.
    pub const KEY_AGREEMENT: KeyUsage = KeyUsage(1 << 4);
    /// keyCertSign.
    pub const KEY_CERT_SIGN: KeyUsage = KeyUsage(1 << 5);
    /// cRLSign.
    pub const CRL_SIGN: KeyUsage = KeyUsage(1 << 6);
    /// keyEncipherment, dataEncipherment, keyAgreement, encipherOnly and decipherOnly: what a key that only signs
    /// cannot do.
    pub(crate) const NOT_SIGNING: u16 = 1 << 2 | 1 << 3 | 1 << 4 | 1 << 7 | 1 << 8;

    /// Whether all of `other` is set.
    #[must_use]
    pub fn has(self, other: KeyUsage) -> bool {
        self.0 & other.0 == other.0
    }

    /// Both sets together.
    #[must_use]
    pub const fn with(self, other: KeyUsage) -> KeyUsage {
        KeyUsage(self.0 | other.0)
    }

    pub(crate) fn from_der(der: &[u8]) -> Result<Self, DerError> {
        let mut reader = Reader::new(der);
        let (_, octets) = reader.bit_string()?;
        reader.finish()?;
        let mut bits = 0;
        for index in 0..9usize {
            if octets.get(index / 8).is_some_and(|octet| octet & (0x80 >> (index % 8)) != 0) {
                bits |= 1 << index;
            }
        }
        Ok(KeyUsage(bits))
    }

    pub(crate) fn write(self, writer: &mut Writer) {
        let bits: Vec<bool> = (0..9).map(|index| self.0 & (1 << index) != 0).collect();
        writer.named_bits(&bits);
    }
}

/// nameConstraints (RFC 5280 section 4.2.1.10).
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct NameConstraints {
    /// permittedSubtrees.
    pub permitted: Vec<Subtree>,
    /// excludedSubtrees.
    pub excluded: Vec<Subtree>,
}

/// Why a name is outside the constraints.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ConstraintViolation {
    /// Names of this kind are constrained, and none of these subtrees holds it.
    NotPermitted(Vec<Subtree>),
    /// This subtree excludes it.
    Excluded(Subtree),
}

impl NameConstraints {
    /// Whether there is nothing in it.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.permitted.is_empty() && self.excluded.is_empty()
    }

    /// Whether the name is outside, and by which subtree.
    ///
    /// # Errors
    /// [`ConstraintViolation`].
    pub fn check(&self, name: &GeneralName) -> Result<(), ConstraintViolation> {
        if let Some(excluded) = self.excluded.iter().find(|s| s.concerns(name) && s.touches(name)) {
            return Err(ConstraintViolation::Excluded(excluded.clone()));
        }
        let concerned: Vec<&Subtree> = self.permitted.iter().filter(|s| s.concerns(name)).collect();
        if concerned.is_empty() || concerned.iter().any(|subtree| subtree.contains(name)) {
            return Ok(());
        }
        Err(ConstraintViolation::NotPermitted(concerned.into_iter().cloned().collect()))
    }

    /// The same, made ready for many names.
    pub(crate) fn ready(&self) -> ReadyConstraints<'_> {
        let is_sound = |subtrees: &[Subtree]| subtrees.iter().map(Subtree::is_sound).collect();
        ReadyConstraints {
            constraints: self,
            permitted_is_sound: is_sound(&self.permitted),
            excluded_is_sound: is_sound(&self.excluded),
        }
    }

    pub(crate) fn from_der(der: &[u8]) -> Result<Self, DerError> {
        let mut reader = Reader::new(der);
        let mut sequence = reader.nested(tag::SEQUENCE)?;
        reader.finish()?;
        let mut constraints = NameConstraints::default();
        for (number, list) in [(0, &mut constraints.permitted), (1, &mut constraints.excluded)] {
            if let Some(subtrees) = sequence.optional(tag::context_constructed(number))? {
                let mut subtrees = subtrees.reader();
                // GeneralSubtrees has one at least, so the list is read before its end is looked for.
                loop {
                    list.push(Subtree::read(&mut subtrees)?);
                    if subtrees.is_empty() {
                        break;
                    }
                }
            }
        }
        sequence.finish()?;
        if constraints.is_empty() {
            return Err(DerError::Value { what: "NameConstraints (empty)", offset: 0 });
        }
        Ok(constraints)
    }

    pub(crate) fn write(&self, writer: &mut Writer) {
        writer.nested(tag::SEQUENCE, |w| {
            for (number, list) in [(0, &self.permitted), (1, &self.excluded)] {
                if !list.is_empty() {
                    w.nested(tag::context_constructed(number), |w| {
                        for subtree in list {
                            subtree.write(w);
                        }
                    });
                }
            }
        });
    }
}

/// Constraints whose subtrees have been looked at once, to be compared with many names without an allocation.
pub(crate) struct ReadyConstraints<'a> {
    constraints: &'a NameConstraints,
    permitted_is_sound: Vec<bool>,
    excluded_is_sound: Vec<bool>,
}

impl ReadyConstraints<'_> {
    /// Whether [`NameConstraints::check`] accepts the name.
    pub(crate) fn allow(&self, name: &GeneralName) -> bool {
        let presented = Presented::new(name);
        let is_excluded =
            self.constraints.excluded.iter().zip(&self.excluded_is_sound).any(|(subtree, is_sound)| {
                subtree.concerns(name)
                    && (!is_sound || presented.as_ref().is_none_or(|presented| subtree.reaches(presented)))
            });
        if is_excluded {
            return false;
        }
        let mut is_constrained = false;
        for (subtree, is_sound) in self.constraints.permitted.iter().zip(&self.permitted_is_sound) {
            if !subtree.concerns(name) {
                continue;
            }
            if *is_sound && presented.as_ref().is_some_and(|presented| subtree.holds(presented)) {
                return true;
            }
            is_constrained = true;
        }
        !is_constrained
    }
}

pub(crate) fn general_names(der: &[u8]) -> Result<Vec<GeneralName>, DerError> {
    let mut reader = Reader::new(der);
    let mut sequence = reader.nested(tag::SEQUENCE)?;
    reader.finish()?;
    let mut names = Vec::new();
    while !sequence.is_empty() {
        names.push(GeneralName::read(&mut sequence)?);
    }
    if names.is_empty() { Err(DerError::Value { what: "GeneralNames", offset: 0 }) } else { Ok(names) }
}

pub(crate) fn extended_key_usages(der: &[u8]) -> Result<Vec<Oid>, DerError> {
    let mut reader = Reader::new(der);
    let mut sequence = reader.nested(tag::SEQUENCE)?;
    reader.finish()?;
    let mut purposes = Vec::new();
    while !sequence.is_empty() {
        purposes.push(sequence.object_identifier()?);
    }
    if purposes.is_empty() {
        Err(DerError::Value { what: "ExtKeyUsageSyntax", offset: 0 })
    } else {
        Ok(purposes)
    }
}

pub(crate) fn authority_key_identifier(der: &[u8]) -> Result<Option<Vec<u8>>, DerError> {
    let mut reader = Reader::new(der);
    let mut sequence = reader.nested(tag::SEQUENCE)?;
    reader.finish()?;
    let identifier = sequence.optional(tag::context(0))?.map(|tlv| tlv.content.to_vec());
    while !sequence.is_empty() {
        sequence.any()?;
    }
    Ok(identifier)
}

pub(crate) fn subject_key_identifier(der: &[u8]) -> Result<Vec<u8>, DerError> {
    let mut reader = Reader::new(der);
    let identifier = reader.expect(tag::OCTET_STRING)?.content.to_vec();
    reader.finish()?;
    Ok(identifier)
}

/// The extensions that path validation here processes; any other one marked critical makes a certificate
/// unusable (RFC 5280 section 4.2).
pub(crate) const PROCESSED: [Oid; 12] = [
    oid::BASIC_CONSTRAINTS,
    oid::KEY_USAGE,
    oid::EXTENDED_KEY_USAGE,
    oid::SUBJECT_ALT_NAME,
    oid::NAME_CONSTRAINTS,
    oid::SUBJECT_KEY_IDENTIFIER,
    oid::AUTHORITY_KEY_IDENTIFIER,
    oid::CRL_DISTRIBUTION_POINTS,
    oid::CERTIFICATE_POLICIES,
    oid::POLICY_MAPPINGS,
    oid::POLICY_CONSTRAINTS,
    oid::INHIBIT_ANY_POLICY,
];
