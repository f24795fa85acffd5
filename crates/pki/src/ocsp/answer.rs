//! The answer, read (RFC 6960 section 4.2.1). Reading it believes nothing: who signed it, and whether that one may
//! speak for an issuer, is [`Response::signer_for`]'s answer.

use jiff::Timestamp;

use super::request::read_nonce;
use super::{CertId, CertStatus, HashAlgorithm, ResponseStatus, SingleResponse};
use crate::certificate::Certificate;
use crate::crl::{Revocation, RevocationReason};
use crate::der::{DerError, Reader, tag};
use crate::extension::{Extension, KeyUsage};
use crate::key::{PublicKey, SignatureAlgorithm};
use crate::name::DistinguishedName;
use crate::oid::{self, Oid};

/// The most certificates that an answer brings along. Real ones bring one or two.
const MOST_CERTIFICATES: usize = 8;

/// Why bytes hold no answer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum OcspError {
    /// Not the DER of a response.
    #[error("not an OCSP response: {0}")]
    Der(#[from] DerError),
    /// The responder says that it has no answer.
    #[error("the OCSP responder says '{}' instead of an answer", .0.name())]
    Refused(ResponseStatus),
    /// An answer in a form other than the basic one.
    #[error("the OCSP response is of the type {0}, and only the basic one is known")]
    Type(Oid),
    /// A critical extension that is not processed here.
    #[error("the OCSP response carries the critical extension {0}, which is not understood here")]
    CriticalExtension(Oid),
    /// More certificates than anybody needs.
    #[error("the OCSP response brings more than {MOST_CERTIFICATES} certificates along")]
    TooMany,
}

#[derive(Debug, Clone)]
enum ResponderId {
    Name(DistinguishedName),
    Key(Vec<u8>),
}

/// A signed answer.
#[derive(Debug, Clone)]
pub struct Response {
    der: Vec<u8>,
    tbs: Vec<u8>,
    signature: Vec<u8>,
    algorithm: Option<SignatureAlgorithm>,
    responder: ResponderId,
    produced_at: Timestamp,
    responses: Vec<SingleResponse>,
    nonce: Option<Vec<u8>>,
    certificates: Vec<Certificate>,
}

/// Why nobody who may speak for the issuer signed an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SignerError {
    /// Neither the issuer nor a certificate in the answer fits the responder's name or key.
    #[error("its responder is neither the issuer nor among the certificates it brings")]
    Missing,
    /// The responder's certificate was not made by the issuer itself.
    #[error("its responder's certificate was not made by the issuer itself (RFC 6960 section 4.2.2.2)")]
    NotDelegated,
    /// The responder's certificate lacks the usage OCSPSigning.
    #[error("its responder's certificate is not for OCSPSigning (RFC 6960 section 4.2.2.2)")]
    WrongUsage,
    /// The responder's certificate is outside its validity.
    #[error("its responder's certificate is outside its validity")]
    OutsideValidity,
    /// The signature does not verify.
    #[error("its signature does not verify")]
    Signature,
}

impl Response {
    /// Reads an answer in DER.
    ///
    /// # Errors
    /// [`OcspError`], also where the responder says that it has none.
    pub fn from_der(der: &[u8]) -> Result<Self, OcspError> {
        let mut outer = Reader::new(der);
        let mut response = outer.nested(tag::SEQUENCE)?;
        outer.finish()?;
        let status = response.expect(tag::ENUMERATED)?;
        let known = match status.content {
            [code] => ResponseStatus::from_code(*code),
            _ => None,
        };
        let known = known.ok_or(DerError::Value { what: "responseStatus", offset: status.content_offset })?;
        if known != ResponseStatus::Successful {
            return Err(OcspError::Refused(known));
        }
        let explicit = response.expect(tag::context_constructed(0))?;
        response.finish()?;
        let mut explicit = explicit.reader();
        let mut bytes = explicit.nested(tag::SEQUENCE)?;
        explicit.finish()?;
        let kind = bytes.object_identifier()?;
        if kind != oid::OCSP_BASIC {
            return Err(OcspError::Type(kind));
        }
        let basic = bytes.expect(tag::OCTET_STRING)?;
        bytes.finish()?;
        Self::read_basic(der, basic.reader())
    }

    fn read_basic(der: &[u8], mut reader: Reader<'_>) -> Result<Self, OcspError> {
        let mut basic = reader.nested(tag::SEQUENCE)?;
        reader.finish()?;
        let tbs_tlv = basic.expect(tag::SEQUENCE)?;
        let identifier = basic.expect(tag::SEQUENCE)?.whole;
        let signature = basic.octet_bit_string()?.to_vec();
        let mut certificates = Vec::new();
        if let Some(explicit) = basic.optional(tag::context_constructed(0))? {
            let mut explicit = explicit.reader();
            let mut list = explicit.nested(tag::SEQUENCE)?;
            explicit.finish()?;
            while !list.is_empty() {
                if certificates.len() == MOST_CERTIFICATES {
                    return Err(OcspError::TooMany);
                }
                // One that cannot be read cannot be the responder's.
                certificates.extend(Certificate::from_der(list.expect(tag::SEQUENCE)?.whole).ok());
            }
        }
        basic.finish()?;

        let mut tbs = tbs_tlv.reader();
        if let Some(explicit) = tbs.optional(tag::context_constructed(0))? {
            let offset = explicit.content_offset;
            if explicit.reader().small_integer("version")? != 0 {
                return Err(DerError::Value { what: "version", offset }.into());
            }
        }
        let choice = tbs.any()?;
        let mut inner = choice.reader();
        let responder = match choice.tag {
            0xa1 => ResponderId::Name(DistinguishedName::from_der(inner.expect(tag::SEQUENCE)?.whole)?),
            0xa2 => ResponderId::Key(inner.expect(tag::OCTET_STRING)?.content.to_vec()),
            _ => return Err(DerError::Value { what: "ResponderID", offset: choice.content_offset }.into()),
        };
        inner.finish()?;
        let produced_at = generalized_time(&mut tbs)?;
        let mut list = tbs.nested(tag::SEQUENCE)?;
        let mut responses = Vec::new();
        while !list.is_empty() {
            responses.extend(read_single(&mut list)?);
        }
        let mut nonce = None;
        if let Some(explicit) = tbs.optional(tag::context_constructed(1))? {
            let mut reader = explicit.reader();
            for extension in Extension::read_all(&mut reader)? {
                match extension.oid {
                    oid::OCSP_NONCE => nonce = Some(read_nonce(&extension)?),
                    other if extension.critical => return Err(OcspError::CriticalExtension(other)),
                    _ => {}
                }
            }
            reader.finish()?;
        }
        tbs.finish()?;
        Ok(Response {
            der: der.to_vec(),
            tbs: tbs_tlv.whole.to_vec(),
            signature,
            algorithm: SignatureAlgorithm::from_algorithm_identifier(identifier),
            responder,
            produced_at,
            responses,
            nonce,
            certificates,
        })
    }

    /// The whole encoding.
    #[must_use]
    pub fn der(&self) -> &[u8] {
        &self.der
    }

    /// When it was signed.
    #[must_use]
    pub fn produced_at(&self) -> Timestamp {
        self.produced_at
    }

    /// The answers, without those whose certificate is named by an unknown hash.
    #[must_use]
    pub fn responses(&self) -> &[SingleResponse] {
        &self.responses
    }

    /// The nonce of the question.
    #[must_use]
    pub fn nonce(&self) -> Option<&[u8]> {
        self.nonce.as_deref()
    }

    /// The certificates that it brings along.
    #[must_use]
    pub fn certificates(&self) -> &[Certificate] {
        &self.certificates
    }

    /// Who signed it, where that one may speak for the issuer at this moment (RFC 6960 section 4.2.2.2): `None` where
    /// it is the issuer itself, else the certificate that the issuer made for the responder. Whether that certificate
    /// is revoked is not asked here.
    ///
    /// # Errors
    /// [`SignerError`].
    pub fn signer_for(
        &self,
        issuer: &Certificate,
        at: Timestamp,
    ) -> Result<Option<&Certificate>, SignerError> {
        if self.names(issuer)
            && let Ok(key) = issuer.public_key()
            && self.verify_signature(key)
        {
            return Ok(None);
        }
        let mut fault = if self.names(issuer) { SignerError::Signature } else { SignerError::Missing };
        for responder in self.certificates.iter().filter(|certificate| self.names(certificate)) {
            match self.judge_responder(responder, issuer, at) {
                Ok(()) => return Ok(Some(responder)),
                Err(error) => fault = error,
            }
        }
        Err(fault)
    }

    fn judge_responder(
        &self,
        responder: &Certificate,
        issuer: &Certificate,
        at: Timestamp,
    ) -> Result<(), SignerError> {
        let key = responder.public_key().map_err(|_| SignerError::Signature)?;
        let issuer_key = issuer.public_key().map_err(|_| SignerError::NotDelegated)?;
        if !issuer.subject().matches(responder.issuer()) || responder.verify_signature(issuer_key).is_err() {
            return Err(SignerError::NotDelegated);
        }
        let for_ocsp =
            responder.extended_key_usages().is_some_and(|usages| usages.contains(&oid::OCSP_SIGNING));
        let may_sign = responder.key_usage().is_none_or(|usage| usage.has(KeyUsage::DIGITAL_SIGNATURE));
        if !for_ocsp || !may_sign {
            return Err(SignerError::WrongUsage);
        }
        let now = at.as_second();
        if now < responder.not_before().as_second() || now > responder.not_after().as_second() {
            return Err(SignerError::OutsideValidity);
        }
        if key.weakness().is_some() || !self.verify_signature(key) {
            return Err(SignerError::Signature);
        }
        Ok(())
    }

    fn names(&self, certificate: &Certificate) -> bool {
        match &self.responder {
            ResponderId::Name(name) => certificate.subject().matches(name),
            ResponderId::Key(hash) => {
                certificate.public_key().is_ok_and(|key| *hash == HashAlgorithm::Sha1.of(key.key_octets()))
            }
        }
    }

    fn verify_signature(&self, key: &PublicKey) -> bool {
        self.algorithm.is_some_and(|algorithm| key.verify(algorithm, &self.tbs, &self.signature).is_ok())
    }
}

fn read_single(list: &mut Reader<'_>) -> Result<Option<SingleResponse>, OcspError> {
    let mut single = list.nested(tag::SEQUENCE)?;
    let certificate = CertId::read(&mut single)?;
    let status = single.any()?;
    let status = match (status.tag, status.content) {
        (0x80, []) => CertStatus::Good,
        (0xa1, _) => {
            let mut info = status.reader();
            let revoked_at = generalized_time(&mut info)?;
            let mut reason = RevocationReason::Unspecified;
            if let Some(explicit) = info.optional(tag::context_constructed(0))? {
                let code = explicit.reader().expect(tag::ENUMERATED)?.content;
                reason = RevocationReason::from_code(code.first().copied().unwrap_or(0));
            }
            info.finish()?;
            CertStatus::Revoked(Revocation { revoked_at, reason })
        }
        (0x82, []) => CertStatus::Unknown,
        _ => return Err(DerError::Value { what: "CertStatus", offset: status.content_offset }.into()),
    };
    let this_update = generalized_time(&mut single)?;
    let next_update = match single.optional(tag::context_constructed(0))? {
        Some(explicit) => {
            let mut reader = explicit.reader();
            let time = generalized_time(&mut reader)?;
            reader.finish()?;
            Some(time)
        }
        None => None,
    };
    if let Some(explicit) = single.optional(tag::context_constructed(1))? {
        let mut reader = explicit.reader();
        let critical = Extension::read_all(&mut reader)?.into_iter().find(|extension| extension.critical);
        if let Some(extension) = critical {
            return Err(OcspError::CriticalExtension(extension.oid));
        }
    }
    single.finish()?;
    Ok(certificate.map(|certificate| SingleResponse { certificate, status, this_update, next_update }))
}

fn generalized_time(reader: &mut Reader<'_>) -> Result<Timestamp, DerError> {
    let offset = reader.offset();
    match reader.peek() {
        Some(tag::GENERALIZED_TIME) => reader.time(),
        _ => Err(DerError::Value { what: "GeneralizedTime", offset }),
    }
}
