//! The question (RFC 6960 section 4.1).

use super::CertId;
use crate::der::{DerError, Reader, Writer, tag};
use crate::extension::Extension;
use crate::oid;

/// The most certificates asked for at once. Real clients ask for one.
const MOST_CERTIFICATES: usize = 32;

/// The longest nonce: RFC 9654 section 2.1.
const LONGEST_NONCE: usize = 128;

/// Why bytes are no question that can be answered; `malformedRequest` is the answer to each.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum RequestError {
    /// Not the DER of a request.
    #[error("not an OCSP request: {0}")]
    Der(#[from] DerError),
    /// It asks for nothing, or for too much.
    #[error("an OCSP request asks for 1 to {MOST_CERTIFICATES} certificates, not {0}")]
    Count(usize),
    /// A nonce of an impossible length (RFC 9654 section 2.1).
    #[error("the nonce has {0} octets; 1 to {LONGEST_NONCE} are allowed")]
    Nonce(usize),
    /// The issuer is named by a hash that is not known here.
    #[error("the issuer is named by a hash other than SHA-1 and SHA-256")]
    Hash,
}

/// A question about one certificate or several. Whether it is signed does not matter here.
///
/// ```
/// use pki::ocsp::{CertId, HashAlgorithm, Request};
/// # let ca = testkit::TestCa::new();
/// # let (issuer, serial) = (&ca.issuing().certificate, [1, 2, 3]);
/// let asked = CertId::new(issuer, &serial, HashAlgorithm::Sha1)?;
/// let request = Request { certificates: vec![asked.clone()], nonce: None };
/// assert_eq!(Request::from_der(&request.to_der())?.certificates, [asked]);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Request {
    /// The certificates asked for.
    pub certificates: Vec<CertId>,
    /// The nonce, to be repeated in the answer.
    pub nonce: Option<Vec<u8>>,
}

impl Request {
    /// Reads a question in DER.
    ///
    /// # Errors
    /// [`RequestError`].
    pub fn from_der(der: &[u8]) -> Result<Self, RequestError> {
        let mut outer = Reader::new(der);
        let mut request = outer.nested(tag::SEQUENCE)?;
        outer.finish()?;
        let mut tbs = request.nested(tag::SEQUENCE)?;
        request.optional(tag::context_constructed(0))?;
        request.finish()?;
        if let Some(explicit) = tbs.optional(tag::context_constructed(0))? {
            let offset = explicit.content_offset;
            if explicit.reader().small_integer("version")? != 0 {
                return Err(DerError::Value { what: "version", offset }.into());
            }
        }
        tbs.optional(tag::context_constructed(1))?;
        let mut list = tbs.nested(tag::SEQUENCE)?;
        let mut certificates = Vec::new();
        while !list.is_empty() {
            if certificates.len() == MOST_CERTIFICATES {
                return Err(RequestError::Count(MOST_CERTIFICATES + 1));
            }
            let mut single = list.nested(tag::SEQUENCE)?;
            certificates.push(CertId::read(&mut single)?.ok_or(RequestError::Hash)?);
            single.optional(tag::context_constructed(0))?;
            single.finish()?;
        }
        if certificates.is_empty() {
            return Err(RequestError::Count(0));
        }
        let mut nonce = None;
        if let Some(explicit) = tbs.optional(tag::context_constructed(2))? {
            let mut reader = explicit.reader();
            for extension in Extension::read_all(&mut reader)? {
                if extension.oid == oid::OCSP_NONCE {
                    nonce = Some(read_nonce(&extension)?);
                }
            }
            reader.finish()?;
        }
        tbs.finish()?;
        if let Some(length) = nonce.as_ref().map(Vec::len)
            && !(1..=LONGEST_NONCE).contains(&length)
        {
            return Err(RequestError::Nonce(length));
        }
        Ok(Request { certificates, nonce })
    }

    /// The question in DER, unsigned.
    #[must_use]
    pub fn to_der(&self) -> Vec<u8> {
        let mut writer = Writer::new();
        writer.nested(tag::SEQUENCE, |w| {
            w.nested(tag::SEQUENCE, |w| {
                w.nested(tag::SEQUENCE, |w| {
                    for certificate in &self.certificates {
                        w.nested(tag::SEQUENCE, |w| certificate.write(w));
                    }
                });
                if let Some(nonce) = &self.nonce {
                    w.nested(tag::context_constructed(2), |w| {
                        w.nested(tag::SEQUENCE, |w| write_nonce(w, nonce));
                    });
                }
            });
        });
        writer.into_bytes()
    }
}

pub(super) fn read_nonce(extension: &Extension) -> Result<Vec<u8>, DerError> {
    let mut reader = Reader::new(&extension.value);
    let nonce = reader.expect(tag::OCTET_STRING)?.content.to_vec();
    reader.finish()?;
    Ok(nonce)
}

pub(super) fn write_nonce(writer: &mut Writer, nonce: &[u8]) {
    Extension::write(writer, &oid::OCSP_NONCE, false, |w| w.primitive(tag::OCTET_STRING, nonce));
}
