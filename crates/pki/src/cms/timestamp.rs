//! Timestamps (RFC 3161): what a time-stamping authority says about when a signature was there. Its certificate is judged
//! by whoever asks, with [`Timestamp::certificate`].

use jiff::Timestamp as Moment;

use super::check::CheckError;
use super::hash::HashAlgorithm;
use super::signed_data::{CmsError, Intake};
use crate::certificate::Certificate;
use crate::der::{DerError, Reader, Writer, tag};
use crate::oid;

/// More than any TSTInfo has.
const LARGEST_INFO: usize = 64 * 1024;

/// Why a timestamp says nothing about a signature.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TimestampError {
    /// It cannot be read.
    #[error("the timestamp cannot be read: {0}")]
    Cms(#[from] CmsError),
    /// Its content cannot be read.
    #[error("the timestamp's content cannot be read: {0}")]
    Der(#[from] DerError),
    /// It is no timestamp, or has other than one signer.
    #[error("what stands in the place of the timestamp is none: {0}")]
    NotOne(&'static str),
    /// It is of something else.
    #[error("the timestamp is of another signature")]
    OtherSignature,
    /// Its own signature does not hold.
    #[error("the timestamp's own signature does not hold: {0}")]
    Check(#[from] CheckError),
}

/// A timestamp whose own signature holds, and that is of the signature at hand.
#[derive(Debug, Clone)]
pub struct Timestamp {
    /// When the signature was there, by the authority's clock.
    pub time: Moment,
    /// The authority's certificate; whether it is believed is still to be judged.
    pub certificate: Certificate,
    /// Further certificates that came along.
    pub certificates: Vec<Certificate>,
}

impl Timestamp {
    /// Reads a token in DER and checks it against the signature that it should be of.
    ///
    /// # Errors
    /// [`TimestampError`].
    pub fn check(token: &[u8], signature: &[u8]) -> Result<Self, TimestampError> {
        let mut intake = Intake::new();
        let mut content = Vec::new();
        let mut keep = |octets: &[u8]| {
            // One more than allowed is enough to see that it is too much.
            let room = (LARGEST_INFO + 1).saturating_sub(content.len());
            content.extend_from_slice(&octets[..octets.len().min(room)]);
        };
        intake.push_to(token, &mut keep).map_err(CmsError::from)?;
        let signed = intake.finish()?;
        if signed.content_type != oid::TST_INFO {
            return Err(TimestampError::NotOne("its content is no TSTInfo (RFC 3161 section 2.4.2)"));
        }
        let Some(hashes) = &signed.content else { return Err(TimestampError::NotOne("it has no content")) };
        if content.len() > LARGEST_INFO {
            return Err(TimestampError::NotOne("it has more than 64 KiB"));
        }
        let [signer] = signed.signers.as_slice() else {
            return Err(TimestampError::NotOne("it has not one signer (RFC 3161 section 2.4.2)"));
        };
        let certificate = signer
            .certificate(&signed.certificates)
            .ok_or(TimestampError::NotOne("the certificate of its signer is not in it"))?
            .clone();
        signer.check(&signed.content_type, hashes, &certificate)?;
        let (hash, imprint, time) = read_info(&content)?;
        if hash.is_none_or(|hash| hash.digest(signature) != imprint) {
            return Err(TimestampError::OtherSignature);
        }
        Ok(Timestamp { time, certificate, certificates: signed.certificates })
    }
}

/// The hash of the imprint, the imprint, and the time of a TSTInfo.
fn read_info(der: &[u8]) -> Result<(Option<HashAlgorithm>, Vec<u8>, Moment), DerError> {
    let mut outer = Reader::new(der);
    let mut info = outer.nested(tag::SEQUENCE)?;
    outer.finish()?;
    info.small_integer("TSTInfo version")?;
    info.object_identifier()?;
    let mut imprint = info.nested(tag::SEQUENCE)?;
    let hash = HashAlgorithm::from_oid(&imprint.nested(tag::SEQUENCE)?.object_identifier()?);
    let octets = imprint.expect(tag::OCTET_STRING)?.content.to_vec();
    info.integer()?;
    let written = info.expect(tag::GENERALIZED_TIME)?;
    // Fractions of seconds are allowed here (RFC 3161 section 2.4.2), and not needed.
    let whole: Vec<u8> =
        written.content.iter().copied().take_while(u8::is_ascii_digit).chain(*b"Z").collect();
    let mut again = Writer::new();
    again.primitive(tag::GENERALIZED_TIME, &whole);
    let time = Reader::new(&again.into_bytes())
        .time()
        .map_err(|_| DerError::Value { what: "genTime", offset: written.content_offset })?;
    Ok((hash, octets, time))
}

/// A TimeStampReq (RFC 3161 section 2.4.1) for a signature: by SHA-256, with the authority's certificate wanted.
#[must_use]
pub fn request(signature: &[u8], nonce: &[u8]) -> Vec<u8> {
    let mut writer = Writer::new();
    writer.nested(tag::SEQUENCE, |w| {
        w.integer(&[1]);
        w.nested(tag::SEQUENCE, |w| {
            HashAlgorithm::Sha256.write(w);
            w.primitive(tag::OCTET_STRING, &HashAlgorithm::Sha256.digest(signature));
        });
        w.integer(nonce);
        w.boolean(true);
    });
    writer.into_bytes()
}
