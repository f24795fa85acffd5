//! Which certificates a list speaks of: cRLDistributionPoints in the certificate (RFC 5280 section 4.2.1.13),
//! issuingDistributionPoint in the list (section 5.2.5), and whether the two meet (section 6.3.3 b).

use crate::certificate::Certificate;
use crate::der::{DerError, Reader, Tlv, Writer, tag};
use crate::extension::Extension;
use crate::name::{DistinguishedName, GeneralName};
use crate::oid;

/// The name of a distribution point.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PointName {
    /// fullName: where the list is, in one or several ways.
    Full(Vec<GeneralName>),
    /// nameRelativeToCRLIssuer: the DER of one RelativeDistinguishedName, to be put behind the issuer's name.
    Relative(Vec<u8>),
}

/// The reasons that a list covers (ReasonFlags): bit 1 is keyCompromise.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Reasons(u16);

impl Reasons {
    /// Every reason there is: bits 1 to 8.
    pub const ALL: Reasons = Reasons(0x1fe);
    /// None.
    pub const NONE: Reasons = Reasons(0);

    /// The reasons in either.
    #[must_use]
    pub fn or(self, other: Reasons) -> Reasons {
        Reasons(self.0 | other.0)
    }

    /// The reasons in both.
    #[must_use]
    pub fn and(self, other: Reasons) -> Reasons {
        Reasons(self.0 & other.0)
    }

    fn read(tlv: Tlv<'_>) -> Result<Reasons, DerError> {
        let mut bits = 0;
        let (_, octets) = tlv
            .content
            .split_first()
            .ok_or(DerError::Value { what: "ReasonFlags", offset: tlv.content_offset })?;
        for index in 1..9usize {
            if octets.get(index / 8).is_some_and(|octet| octet & (0x80 >> (index % 8)) != 0) {
                bits |= 1 << index;
            }
        }
        Ok(Reasons(bits))
    }
}

/// One DistributionPoint of a certificate.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DistributionPoint {
    /// distributionPoint.
    pub name: Option<PointName>,
    /// reasons; all where absent.
    pub reasons: Reasons,
    /// cRLIssuer: who signs the list where that is not the certificate's issuer.
    pub crl_issuer: Vec<GeneralName>,
}

impl DistributionPoint {
    /// Reads cRLDistributionPoints from a certificate; none where the extension is absent.
    ///
    /// # Errors
    /// [`DerError`] where the extension is malformed.
    pub fn of(certificate: &Certificate) -> Result<Vec<DistributionPoint>, DerError> {
        let extension = certificate.extensions().iter().find(|e| e.oid == oid::CRL_DISTRIBUTION_POINTS);
        let Some(extension) = extension else { return Ok(Vec::new()) };
        let mut reader = Reader::new(&extension.value);
        let mut sequence = reader.nested(tag::SEQUENCE)?;
        reader.finish()?;
        let mut points = Vec::new();
        while !sequence.is_empty() {
            let mut point = sequence.nested(tag::SEQUENCE)?;
            let name = point.optional(tag::context_constructed(0))?.map(read_name).transpose()?;
            let reasons = point.optional(tag::context(1))?.map(Reasons::read).transpose()?;
            let crl_issuer =
                point.optional(tag::context_constructed(2))?.map(read_names).transpose()?.unwrap_or_default();
            point.finish()?;
            points.push(DistributionPoint { name, reasons: reasons.unwrap_or(Reasons::ALL), crl_issuer });
        }
        Ok(points)
    }
}

/// The kinds of certificates that a list speaks of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Scope {
    /// All of its issuer's.
    #[default]
    Everything,
    /// onlyContainsUserCerts: those that are no CA's.
    UserCertificates,
    /// onlyContainsCACerts: those that are a CA's.
    CaCertificates,
    /// onlyContainsAttributeCerts: none that TLS knows.
    AttributeCertificates,
}

/// issuingDistributionPoint of a list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IssuingDistributionPoint {
    /// distributionPoint: certificates that point here are in this part.
    pub name: Option<PointName>,
    /// Which kinds of certificates.
    pub scope: Scope,
    /// onlySomeReasons; all where absent.
    pub reasons: Reasons,
    /// indirectCRL: it holds the certificates of other issuers too.
    pub indirect: bool,
}

impl IssuingDistributionPoint {
    /// A part of an issuer's certificates: those whose cRLDistributionPoints have this URI, octet by octet.
    ///
    /// ```
    /// use pki::crl::{IssuingDistributionPoint, Scope};
    /// let part = IssuingDistributionPoint::at("http://ca.acme.test/crl/3.crl", Scope::UserCertificates);
    /// assert!(part.name.is_some());
    /// ```
    #[must_use]
    pub fn at(uri: &str, scope: Scope) -> Self {
        let name = Some(PointName::Full(vec![GeneralName::Uri(uri.to_owned())]));
        IssuingDistributionPoint { name, scope, reasons: Reasons::ALL, indirect: false }
    }

    /// Writes the whole extension, which is always critical (RFC 5280 section 5.2.5). Only what [`Self::at`] makes is
    /// written: some reasons or the certificates of others are never published here.
    pub fn write(&self, writer: &mut Writer) {
        Extension::write(writer, &oid::ISSUING_DISTRIBUTION_POINT, true, |w| {
            w.nested(tag::SEQUENCE, |w| {
                if let Some(name) = &self.name {
                    w.nested(tag::context_constructed(0), |w| match name {
                        PointName::Full(names) => {
                            w.nested(tag::context_constructed(0), |w| names.iter().for_each(|n| n.write(w)));
                        }
                        // The SET's content under the context's tag.
                        PointName::Relative(set) => {
                            let content = Reader::new(set).any().map(|tlv| tlv.content).unwrap_or_default();
                            w.primitive(tag::context_constructed(1), content);
                        }
                    });
                }
                let number = match self.scope {
                    Scope::Everything => return,
                    Scope::UserCertificates => 1,
                    Scope::CaCertificates => 2,
                    Scope::AttributeCertificates => 5,
                };
                w.primitive(tag::context(number), &[0xff]);
            });
        });
    }

    pub(super) fn from_der(der: &[u8]) -> Result<Self, DerError> {
        let mut reader = Reader::new(der);
        let mut sequence = reader.nested(tag::SEQUENCE)?;
        reader.finish()?;
        let name = sequence.optional(tag::context_constructed(0))?.map(read_name).transpose()?;
        let user = read_flag(&mut sequence, 1)?;
        let ca = read_flag(&mut sequence, 2)?;
        let reasons = sequence.optional(tag::context(3))?.map(Reasons::read).transpose()?;
        let indirect = read_flag(&mut sequence, 4)?;
        let attribute = read_flag(&mut sequence, 5)?;
        sequence.finish()?;
        let scope = match (user, ca, attribute) {
            (false, false, false) => Scope::Everything,
            (true, false, false) => Scope::UserCertificates,
            (false, true, false) => Scope::CaCertificates,
            (false, false, true) => Scope::AttributeCertificates,
            // Section 5.2.5: at most one of them.
            _ => return Err(DerError::Value { what: "IssuingDistributionPoint (two scopes)", offset: 0 }),
        };
        Ok(IssuingDistributionPoint { name, scope, reasons: reasons.unwrap_or(Reasons::ALL), indirect })
    }

    /// The reasons for which this part speaks of the certificate, by the points that the certificate names; none
    /// where it is of another part (RFC 5280 section 6.3.3 b and d).
    pub(super) fn covers(&self, certificate: &Certificate, issuer: &DistinguishedName) -> Reasons {
        let of_scope = match self.scope {
            Scope::Everything => true,
            Scope::UserCertificates => !certificate.is_ca(),
            Scope::CaCertificates => certificate.is_ca(),
            Scope::AttributeCertificates => false,
        };
        if !of_scope {
            return Reasons::NONE;
        }
        let Some(own) = &self.name else { return self.reasons };
        let own = own.expand(issuer);
        let Ok(points) = DistributionPoint::of(certificate) else { return Reasons::NONE };
        let met = |point: &DistributionPoint| match &point.name {
            Some(name) => meet(&own, &name.expand(issuer)),
            None => meet(&own, &point.crl_issuer),
        };
        let mut reasons = points
            .iter()
            .filter(|point| met(point))
            .fold(Reasons::NONE, |sum, point| sum.or(point.reasons.and(self.reasons)));
        // A certificate without points has one implicitly: its issuer's name.
        if points.is_empty() && meet(&own, &[GeneralName::Directory(issuer.clone())]) {
            reasons = self.reasons;
        }
        reasons
    }
}

impl PointName {
    fn expand(&self, issuer: &DistinguishedName) -> Vec<GeneralName> {
        match self {
            PointName::Full(names) => names.clone(),
            PointName::Relative(set) => {
                let mut writer = Writer::new();
                let sets = Reader::new(issuer.der()).any().map(|tlv| tlv.content).unwrap_or_default();
                writer.nested(tag::SEQUENCE, |w| {
                    w.raw(sets);
                    w.raw(set);
                });
                DistinguishedName::from_der(&writer.into_bytes())
                    .map(|name| vec![GeneralName::Directory(name)])
                    .unwrap_or_default()
            }
        }
    }
}

/// Whether a name is in both lists: URIs octet by octet, directory names as names are compared.
fn meet(one: &[GeneralName], other: &[GeneralName]) -> bool {
    one.iter().any(|a| {
        other.iter().any(|b| match (a, b) {
            (GeneralName::Directory(a), GeneralName::Directory(b)) => a.matches(b),
            _ => a == b,
        })
    })
}

fn read_flag(sequence: &mut Reader<'_>, number: u8) -> Result<bool, DerError> {
    match sequence.optional(tag::context(number))? {
        None => Ok(false),
        Some(tlv) if tlv.content == [0xff] => Ok(true),
        Some(tlv) if tlv.content == [0x00] => Ok(false),
        Some(tlv) => Err(DerError::Value { what: "BOOLEAN", offset: tlv.content_offset }),
    }
}

fn read_name(tlv: Tlv<'_>) -> Result<PointName, DerError> {
    let mut reader = tlv.reader();
    let choice = reader.any()?;
    reader.finish()?;
    match choice.tag {
        0xa0 => Ok(PointName::Full(read_names(choice)?)),
        0xa1 => {
            let mut writer = Writer::new();
            writer.primitive(tag::SET, choice.content);
            Ok(PointName::Relative(writer.into_bytes()))
        }
        _ => Err(DerError::Value { what: "DistributionPointName", offset: choice.content_offset }),
    }
}

fn read_names(tlv: Tlv<'_>) -> Result<Vec<GeneralName>, DerError> {
    let mut reader = tlv.reader();
    let mut names = Vec::new();
    while !reader.is_empty() {
        names.push(GeneralName::read(&mut reader)?);
    }
    Ok(names)
}
