//! Issuers: the one place where a certificate or CRL is put together. `prepare` sets every field from the
//! profile and lints the result; `Prepared` is what a signature may be made over, once.

use std::sync::Arc;

use jiff::Timestamp;

use crate::certificate::{Certificate, CertificateError};
use crate::crl::{self, RevokedEntry};
use crate::der::{Writer, tag};
use crate::extension::{ConstraintViolation, Extension, KeyUsage, NameConstraints, Publication};
use crate::key::{PublicKey, PublicKeyError, SignError, SignatureAlgorithm, SigningKey};
use crate::name::{DistinguishedName, GeneralName, NameError, SubjectNames};
use crate::oid;
use crate::profile::Profile;

/// A certificate that is wanted: everything the profile does not decide.
#[derive(Debug, Clone)]
pub struct Order {
    /// Its kind.
    pub profile: Profile,
    /// Its names.
    pub names: SubjectNames,
    /// Its key.
    pub public_key: PublicKey,
    /// Its serial number: 16 to 20 octets, the first one between 0x01 and 0x7f.
    pub serial: Vec<u8>,
    /// The first second of its validity.
    pub not_before: Timestamp,
    /// The last second of its validity.
    pub not_after: Timestamp,
    /// What a CA may certify below it; empty in every other certificate.
    pub constraints: NameConstraints,
    /// Where its revocation and its issuer are published.
    pub publication: Publication,
}

/// Why an order cannot be made into a certificate.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PrepareError {
    /// A name breaks a rule.
    #[error(transparent)]
    Name(#[from] NameError),
    /// A server's certificate without a DNS name or address.
    #[error("a server's certificate needs a DNS name or an IP address: clients look nowhere else (RFC 9525)")]
    NoServerName,
    /// A wildcard outside a server's certificate.
    #[error("'{0}': a wildcard names servers; a client's certificate names one client")]
    ClientWildcard(String),
    /// A name outside the issuer's name constraints.
    #[error("'{name}' is outside what {issuer} may certify: {violation}; {remedy}")]
    Constraint {
        /// The name.
        name: GeneralName,
        /// The CA whose constraints it breaks.
        issuer: String,
        /// Which constraint.
        violation: String,
        /// What to do.
        remedy: &'static str,
    },
    /// The key is too weak.
    #[error("this key cannot be certified: {0}")]
    WeakKey(String),
    /// Validity that ends before it starts, or outside the issuer's.
    #[error("{0}")]
    Validity(String),
    /// A serial number that breaks the rules.
    #[error("the serial number must be 16 to 20 octets and positive (RFC 5280 section 4.1.2.2)")]
    Serial,
    /// The issuer's own certificate does not allow it to sign.
    #[error("{0} is no CA that may sign certificates (basicConstraints, keyUsage)")]
    NotACa(String),
    /// The issuer's own certificate does not allow it to sign revocation lists.
    #[error("{0} may not sign revocation lists: its keyUsage lacks cRLSign")]
    NoCrlSign(String),
    /// A CA where none may stand.
    #[error("{0}")]
    CaBelow(String),
    /// The issuer's key cannot be used.
    #[error("the issuer's key cannot be used: {0}")]
    IssuerKey(#[from] PublicKeyError),
}

/// Why a prepared object did not become a signed one.
#[derive(Debug, thiserror::Error)]
pub enum SignPreparedError {
    /// The key is not the issuer's.
    #[error("the signing key does not belong to the issuer's certificate; restore the right key file")]
    WrongKey,
    /// The key refused.
    #[error(transparent)]
    Sign(#[from] SignError),
    /// What came back is not what was prepared.
    #[error("what was signed differs from what was prepared: {0}")]
    Differs(&'static str),
    /// What came back cannot be read.
    #[error("what was signed cannot be read back: {0}")]
    Unreadable(#[from] CertificateError),
}

/// A CA certificate and the ones above it, without the key.
#[derive(Debug, Clone)]
pub struct Issuer {
    certificate: Certificate,
    chain: Vec<Certificate>,
    key: Arc<PublicKey>,
}

/// To-be-signed bytes that were linted. The only thing that can be signed, and only once: signing takes it.
#[derive(Debug)]
pub struct Prepared {
    tbs: Vec<u8>,
    algorithm: SignatureAlgorithm,
    key: Arc<PublicKey>,
}

impl Issuer {
    /// An issuer from its certificate and the certificates above it, in order; the anchor comes last.
    ///
    /// # Errors
    /// [`PrepareError::NotACa`] or [`PrepareError::IssuerKey`].
    pub fn new(certificate: Certificate, chain: Vec<Certificate>) -> Result<Self, PrepareError> {
        let may_sign = certificate.is_ca()
            && certificate.key_usage().is_none_or(|usage| usage.has(KeyUsage::KEY_CERT_SIGN));
        if !may_sign {
            return Err(PrepareError::NotACa(certificate.subject().short()));
        }
        let key = Arc::new(certificate.public_key()?.clone());
        Ok(Issuer { certificate, chain, key })
    }

    /// Its certificate.
    #[must_use]
    pub fn certificate(&self) -> &Certificate {
        &self.certificate
    }

    /// The certificates above it; the anchor is the last.
    #[must_use]
    pub fn chain(&self) -> &[Certificate] {
        &self.chain
    }

    /// The anchor: the top of the chain.
    #[must_use]
    pub fn anchor(&self) -> &Certificate {
        self.chain.last().unwrap_or(&self.certificate)
    }

    /// What a TLS peer sends behind its leaf: this CA and those above it, without the anchor.
    #[must_use]
    pub fn intermediates(&self) -> Vec<Certificate> {
        let mut all: Vec<Certificate> =
            std::iter::once(&self.certificate).chain(&self.chain).cloned().collect();
        all.pop();
        all
    }

    /// Builds and lints a certificate's to-be-signed bytes.
    ///
    /// # Errors
    /// [`PrepareError`], before anything is signed.
    pub fn prepare(&self, order: &Order) -> Result<Prepared, PrepareError> {
        lint(order)?;
        self.lint_against_issuer(order)?;
        let algorithm = SignatureAlgorithm::for_key(self.key.algorithm());
        let authority = self
            .certificate
            .subject_key_identifier()
            .map_or_else(|| self.key.key_identifier().to_vec(), <[u8]>::to_vec);
        let tbs = write_tbs(order, self.certificate.subject(), &authority, algorithm);
        Ok(Prepared { tbs, algorithm, key: Arc::clone(&self.key) })
    }

    /// Builds and lints the to-be-signed bytes of a certificate for the key of another root, so that whoever believes
    /// this one believes what that one signs (the cross-certificates of RFC 4210 section 4.4).
    ///
    /// # Errors
    /// [`PrepareError`], before anything is signed.
    pub fn prepare_cross(&self, order: &Order) -> Result<Prepared, PrepareError> {
        let own = &self.certificate;
        if order.profile != Profile::Root || !own.is_self_issued() {
            return Err(PrepareError::CaBelow("roots sign roots, and nobody else does".to_owned()));
        }
        lint(order)?;
        self.lint_validity(order)?;
        let algorithm = SignatureAlgorithm::for_key(self.key.algorithm());
        let authority = self
            .certificate
            .subject_key_identifier()
            .map_or_else(|| self.key.key_identifier().to_vec(), <[u8]>::to_vec);
        let tbs = write_tbs(order, own.subject(), &authority, algorithm);
        Ok(Prepared { tbs, algorithm, key: Arc::clone(&self.key) })
    }

    /// Builds the to-be-signed bytes of a complete CRL.
    ///
    /// # Errors
    /// [`PrepareError::Validity`] where the list would expire before it starts, [`PrepareError::NoCrlSign`].
    pub fn prepare_crl(
        &self,
        number: u64,
        this_update: Timestamp,
        next_update: Timestamp,
        entries: &[RevokedEntry],
    ) -> Result<PreparedCrl, PrepareError> {
        self.prepare_crl_part(number, this_update, next_update, entries, &[])
    }

    /// Builds the to-be-signed bytes of one of several lists between which the certificates are divided. Its critical
    /// issuingDistributionPoint (RFC 5280 section 5.2.5) gives the addresses under which certificates name it; without
    /// an address it is the complete list.
    ///
    /// # Errors
    /// As [`Issuer::prepare_crl`].
    pub fn prepare_crl_part(
        &self,
        number: u64,
        this_update: Timestamp,
        next_update: Timestamp,
        entries: &[RevokedEntry],
        places: &[String],
    ) -> Result<PreparedCrl, PrepareError> {
        if next_update <= this_update {
            return Err(PrepareError::Validity("a CRL must be good for some time".to_owned()));
        }
        if self.certificate.key_usage().is_some_and(|usage| !usage.has(KeyUsage::CRL_SIGN)) {
            return Err(PrepareError::NoCrlSign(self.certificate.subject().short()));
        }
        let algorithm = SignatureAlgorithm::for_key(self.key.algorithm());
        let authority = self
            .certificate
            .subject_key_identifier()
            .map_or_else(|| self.key.key_identifier().to_vec(), <[u8]>::to_vec);
        let subject = self.certificate.subject();
        let tbs = crl::write_tbs(
            subject,
            &authority,
            algorithm,
            number,
            [this_update, next_update],
            entries,
            places,
        );
        Ok(PreparedCrl(Prepared { tbs, algorithm, key: Arc::clone(&self.key) }))
    }

    fn lint_validity(&self, order: &Order) -> Result<(), PrepareError> {
        let own = &self.certificate;
        // Certificates count in whole seconds, and what is written loses the rest.
        if order.not_before.as_second() < own.not_before().as_second()
            || order.not_after.as_second() > own.not_after().as_second()
        {
            return Err(PrepareError::Validity(format!(
                "a validity from {} to {} leaves that of its issuer {} ({} to {}); ask for a shorter one",
                order.not_before,
                order.not_after,
                own.subject().short(),
                own.not_before(),
                own.not_after()
            )));
        }
        Ok(())
    }

    fn lint_against_issuer(&self, order: &Order) -> Result<(), PrepareError> {
        let own = &self.certificate;
        self.lint_validity(order)?;
        if matches!(order.profile, Profile::Server | Profile::Client | Profile::Responder) {
            let all = std::iter::once(own).chain(&self.chain);
            for (ca, constraints) in all.filter_map(|ca| Some((ca, ca.name_constraints()?))) {
                check_constraints(order, &ca.subject().short(), constraints)?;
            }
        } else {
            self.lint_ca_below(order)?;
        }
        Ok(())
    }

    fn lint_ca_below(&self, order: &Order) -> Result<(), PrepareError> {
        let own = self.certificate.subject().short();
        if order.profile == Profile::Root {
            return Err(PrepareError::CaBelow(format!(
                "a root is self-signed and not issued by '{own}'; use the profile {}",
                Profile::Issuing
            )));
        }
        // RFC 5280 section 4.2.1.9: self-issued CAs do not count.
        let mut below = 1;
        for ca in std::iter::once(&self.certificate).chain(&self.chain) {
            if let Some(most) = ca.basic_constraints().and_then(|basic| basic.path_length)
                && below > most
            {
                return Err(PrepareError::CaBelow(format!(
                    "'{own}' cannot issue a CA: '{}' has path length {most}, and {below} CA(s) would stand below it",
                    ca.subject().short()
                )));
            }
            below += u32::from(!ca.is_self_issued());
        }
        Ok(())
    }
}

/// Builds the to-be-signed bytes of a self-signed anchor.
///
/// # Errors
/// [`PrepareError`].
pub fn prepare_root(order: &Order) -> Result<Prepared, PrepareError> {
    if order.profile != Profile::Root {
        return Err(PrepareError::NotACa(order.profile.to_string()));
    }
    lint(order)?;
    let algorithm = SignatureAlgorithm::for_key(order.public_key.algorithm());
    let own = order.public_key.key_identifier();
    let tbs = write_tbs(order, &order.names.distinguished_name(), &own, algorithm);
    Ok(Prepared { tbs, algorithm, key: Arc::new(order.public_key.clone()) })
}

impl Prepared {
    /// The to-be-signed bytes, for the record that precedes signing.
    #[must_use]
    pub fn tbs_der(&self) -> &[u8] {
        &self.tbs
    }

    /// Signs, and checks that the result is what was prepared and verifies.
    ///
    /// # Errors
    /// [`SignPreparedError`].
    pub fn sign(self, key: &dyn SigningKey) -> Result<Certificate, SignPreparedError> {
        let certificate = Certificate::from_der(&self.assemble(key)?)?;
        if certificate.tbs_der() != self.tbs {
            return Err(SignPreparedError::Differs("the signed bytes"));
        }
        // A faulty token or memory must not put a bad signature into the world. The certificate remembers it, so
        // that whoever judges its path does not pay again.
        certificate.verify_signature(&self.key).map_err(|_| BAD_SIGNATURE)?;
        Ok(certificate)
    }

    fn assemble(&self, key: &dyn SigningKey) -> Result<Vec<u8>, SignPreparedError> {
        if key.public_key() != &*self.key || key.signature_algorithm() != self.algorithm {
            return Err(SignPreparedError::WrongKey);
        }
        let signature = key.sign(&self.tbs)?;
        let mut writer = Writer::new();
        writer.nested(tag::SEQUENCE, |w| {
            w.raw(&self.tbs);
            w.raw(&self.algorithm.algorithm_identifier());
            w.octet_bit_string(&signature);
        });
        Ok(writer.into_bytes())
    }
}

/// To-be-signed bytes of a CRL.
#[derive(Debug)]
pub struct PreparedCrl(Prepared);

impl PreparedCrl {
    /// Signs the list and gives its DER.
    ///
    /// # Errors
    /// [`SignPreparedError`].
    pub fn sign(self, key: &dyn SigningKey) -> Result<Vec<u8>, SignPreparedError> {
        let der = self.0.assemble(key)?;
        crl::verify_der(&der, &self.0.tbs, &self.0.key).map_err(|_| BAD_SIGNATURE)?;
        Ok(der)
    }
}

const BAD_SIGNATURE: SignPreparedError = SignPreparedError::Differs("the signature does not verify");

fn lint(order: &Order) -> Result<(), PrepareError> {
    order.names.check()?;
    if !(16..=20).contains(&order.serial.len()) || !(0x01..=0x7f).contains(&order.serial[0]) {
        return Err(PrepareError::Serial);
    }
    if let Some(weakness) = order.public_key.weakness() {
        return Err(PrepareError::WeakKey(weakness));
    }
    if order.not_after <= order.not_before {
        return Err(PrepareError::Validity(format!(
            "the validity would end ({}) before it starts ({})",
            order.not_after, order.not_before
        )));
    }
    let names = &order.names.alternative;
    for name in names {
        match name {
            GeneralName::Dns(text) => match crate::name::dns_name(text) {
                Ok(canonical) if canonical == *text => {}
                Ok(_) => {
                    let why = "it is not in its canonical form (lower-case ASCII)";
                    return Err(NameError::Dns { name: text.clone(), why }.into());
                }
                Err(error) => return Err(error.into()),
            },
            GeneralName::Email(text) => drop(crate::name::email_address(text)?),
            GeneralName::Uri(text) => drop(crate::name::uri(text)?),
            GeneralName::Ip(_) => {}
            GeneralName::Directory(_) | GeneralName::Other { .. } => {
                return Err(PrepareError::Name(NameError::Attribute {
                    attribute: "alternative name",
                    value: name.to_string(),
                    why: "is of a kind that no profile here issues; ask for DNS, IP, email or URI names",
                }));
            }
        }
    }
    let is_wildcard = |name: &&GeneralName| matches!(name, GeneralName::Dns(text) if text.starts_with("*."));
    match order.profile {
        Profile::Server if !names.iter().any(|n| matches!(n, GeneralName::Dns(_) | GeneralName::Ip(_))) => {
            Err(PrepareError::NoServerName)
        }
        Profile::Client => match names.iter().find(is_wildcard) {
            Some(name) => Err(PrepareError::ClientWildcard(name.value())),
            None => Ok(()),
        },
        _ => Ok(()),
    }
}

fn check_constraints(order: &Order, issuer: &str, constraints: &NameConstraints) -> Result<(), PrepareError> {
    let subject = order.names.distinguished_name();
    let directory = (!subject.is_empty()).then_some(GeneralName::Directory(subject));
    for name in order.names.alternative.iter().chain(directory.iter()) {
        if let Err(violation) = constraints.check(name) {
            return Err(PrepareError::Constraint {
                name: name.clone(),
                issuer: issuer.to_owned(),
                violation: describe(&violation),
                remedy: "make an authority with `countersign init --permit …` for this name, or with \
                         --no-constraints for an organisation's CA",
            });
        }
    }
    // OpenSSL applies DNS constraints to a commonName that looks like a host when no DNS name stands in
    // subjectAltName (crypto/x509/v3_ncons.c); what it will refuse is not issued.
    let has_dns = order.names.alternative.iter().any(|n| matches!(n, GeneralName::Dns(_)));
    match &order.names.common_name {
        Some(common_name) if !has_dns && common_name.contains('.') => {
            let as_dns = GeneralName::Dns(common_name.clone());
            let plain = crate::name::dns_name(common_name).is_ok();
            match constraints.check(&as_dns) {
                Err(violation) if plain => Err(PrepareError::Constraint {
                    name: as_dns,
                    issuer: issuer.to_owned(),
                    violation: describe(&violation),
                    remedy: "OpenSSL reads a commonName with dots as a host name; give the certificate another \
                             commonName",
                }),
                _ => Ok(()),
            }
        }
        _ => Ok(()),
    }
}

fn describe(violation: &ConstraintViolation) -> String {
    match violation {
        ConstraintViolation::Excluded(subtree) => format!("its name constraints exclude {subtree}"),
        ConstraintViolation::NotPermitted(subtrees) => {
            let list: Vec<String> = subtrees.iter().map(ToString::to_string).collect();
            format!("its name constraints permit only {}", list.join(", "))
        }
    }
}

/// Sets every field of a TBSCertificate. The only encoder of certificates.
fn write_tbs(
    order: &Order,
    issuer: &DistinguishedName,
    authority_key: &[u8],
    algorithm: SignatureAlgorithm,
) -> Vec<u8> {
    let subject = order.names.distinguished_name();
    let profile = order.profile;
    let mut writer = Writer::new();
    writer.nested(tag::SEQUENCE, |w| {
        w.nested(tag::context_constructed(0), |w| w.integer(&[2]));
        w.integer(&order.serial);
        w.raw(&algorithm.algorithm_identifier());
        w.raw(issuer.der());
        w.nested(tag::SEQUENCE, |w| {
            w.time(order.not_before);
            w.time(order.not_after);
        });
        w.raw(subject.der());
        w.raw(order.public_key.spki_der());
        w.nested(tag::context_constructed(3), |w| {
            w.nested(tag::SEQUENCE, |w| {
                if let Some(basic) = profile.basic_constraints() {
                    Extension::write(w, &oid::BASIC_CONSTRAINTS, true, |w| basic.write(w));
                }
                let usage = profile.key_usage(order.public_key.algorithm());
                Extension::write(w, &oid::KEY_USAGE, true, |w| usage.write(w));
                let purposes = profile.extended_key_usages();
                if !purposes.is_empty() {
                    Extension::write(w, &oid::EXTENDED_KEY_USAGE, false, |w| {
                        w.nested(tag::SEQUENCE, |w| purposes.iter().for_each(|p| w.object_identifier(p)));
                    });
                }
                Extension::write(w, &oid::SUBJECT_KEY_IDENTIFIER, false, |w| {
                    w.primitive(tag::OCTET_STRING, &order.public_key.key_identifier());
                });
                Extension::write(w, &oid::AUTHORITY_KEY_IDENTIFIER, false, |w| {
                    w.nested(tag::SEQUENCE, |w| w.primitive(tag::context(0), authority_key));
                });
                let names = &order.names.alternative;
                if !names.is_empty() {
                    // RFC 5280 section 4.2.1.6: critical where the subject is empty.
                    Extension::write(w, &oid::SUBJECT_ALT_NAME, subject.is_empty(), |w| {
                        w.nested(tag::SEQUENCE, |w| names.iter().for_each(|n| n.write(w)));
                    });
                }
                if profile.basic_constraints().is_some() && !order.constraints.is_empty() {
                    Extension::write(w, &oid::NAME_CONSTRAINTS, true, |w| order.constraints.write(w));
                }
                if profile == Profile::Responder {
                    // RFC 6960 section 4.2.2.2.1: whom would one ask about the one who answers?
                    Extension::write(w, &oid::OCSP_NO_CHECK, false, Writer::null);
                } else {
                    order.publication.write(w);
                }
            });
        });
    });
    writer.into_bytes()
}
