//! A certificate revocation list (RFC 5280 section 5). A list may have a million entries: they are counted in one
//! pass, and each is described only when it is shown.

use jiff::Timestamp;
use pki::crl::RevocationReason;
use pki::der::{Reader, tag};
use pki::oid;

use crate::extension::{self, ExtensionDescription, ExtensionValue};
use crate::field::{AlgorithmDescription, NameDescription, TimeDescription};
use crate::humane;
use crate::model::Remark;
use crate::tlv::{Cursor, Problems};

/// A list.
#[derive(Debug, Clone)]
pub struct RevocationListDescription {
    /// Who issued it.
    pub issuer: Option<NameDescription>,
    /// When it was issued.
    pub this_update: Option<TimeDescription>,
    /// When the next one is due; after it, the list says nothing.
    pub next_update: Option<TimeDescription>,
    /// What it is signed with.
    pub signature_algorithm: Option<AlgorithmDescription>,
    /// Its extensions.
    pub extensions: Vec<ExtensionDescription>,
    /// How many certificates it revokes.
    pub count: usize,
    /// How many for each reason that occurs.
    pub reasons: Vec<(RevocationReason, usize)>,
    /// SHA-256 of the whole encoding.
    pub sha256: [u8; 32],
    /// The content of revokedCertificates.
    revoked: Vec<u8>,
}

/// One entry of a list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RevokedDescription {
    /// The serial number in hexadecimal.
    pub serial: String,
    /// When it was revoked.
    pub revoked_at: Option<Timestamp>,
    /// Why; `None` where the entry does not say.
    pub reason: Option<RevocationReason>,
}

impl RevocationListDescription {
    /// Reads one DER list.
    #[must_use]
    pub fn read(der: &[u8], problems: &mut Problems) -> Self {
        let mut list = RevocationListDescription {
            issuer: None,
            this_update: None,
            next_update: None,
            signature_algorithm: None,
            extensions: Vec::new(),
            count: 0,
            reasons: Vec::new(),
            sha256: pki::sha256(der),
            revoked: Vec::new(),
        };
        let mut outer = Cursor::new(der);
        let Some(whole) = outer.expect(tag::SEQUENCE, "revocation list", problems) else { return list };
        outer.finish("revocation list", problems);
        let mut parts = whole.cursor();
        if let Some(tbs) = parts.expect(tag::SEQUENCE, "part that is signed", problems) {
            list.read_tbs(tbs.cursor(), problems);
        }
        if let Some(algorithm) = parts.expect(tag::SEQUENCE, "signature algorithm", problems) {
            list.signature_algorithm =
                AlgorithmDescription::from_element(&algorithm, "signature algorithm", problems);
        }
        parts.expect(tag::BIT_STRING, "signature", problems);
        parts.finish("revocation list", problems);
        list
    }

    fn read_tbs(&mut self, mut tbs: Cursor<'_>, problems: &mut Problems) {
        tbs.optional(tag::INTEGER, problems);
        tbs.expect(tag::SEQUENCE, "signature algorithm inside the signed part", problems);
        if let Some(issuer) = tbs.expect(tag::SEQUENCE, "issuer", problems) {
            self.issuer = Some(NameDescription::from_element(&issuer, "issuer", problems));
        }
        self.this_update = TimeDescription::read(&mut tbs, "thisUpdate", problems);
        if let Some(tag::UTC_TIME | tag::GENERALIZED_TIME) = tbs.peek() {
            self.next_update = TimeDescription::read(&mut tbs, "nextUpdate", problems);
        }
        if let Some(revoked) = tbs.optional(tag::SEQUENCE, problems) {
            self.revoked = revoked.content.to_vec();
            self.count_entries(revoked.cursor(), problems);
        }
        if let Some(explicit) = tbs.optional(tag::context_constructed(0), problems) {
            self.extensions = extension::read_all(&mut explicit.cursor(), problems);
        }
        tbs.finish("signed part", problems);
    }

    fn count_entries(&mut self, mut entries: Cursor<'_>, problems: &mut Problems) {
        let mut counts = [0usize; RevocationReason::ALL.len()];
        while let Some(entry) = entries.next(problems) {
            self.count += 1;
            let reason = entry_of(entry.cursor(), problems).2.unwrap_or_default();
            if let Some(index) = RevocationReason::ALL.iter().position(|known| *known == reason) {
                counts[index] += 1;
            }
        }
        self.reasons =
            RevocationReason::ALL.into_iter().zip(counts).filter(|(_, count)| *count > 0).collect();
        self.reasons.sort_by_key(|(_, count)| std::cmp::Reverse(*count));
    }

    /// The entries in order, read as they are asked for.
    pub fn entries(&self) -> impl Iterator<Item = RevokedDescription> + '_ {
        let mut cursor = Cursor::new(&self.revoked);
        let mut heard = Problems::default();
        std::iter::from_fn(move || {
            let entry = cursor.next(&mut heard)?;
            let (serial, revoked_at, reason) = entry_of(entry.cursor(), &mut heard);
            Some(RevokedDescription { serial: pki::certificate::serial_hex(serial), revoked_at, reason })
        })
    }

    /// cRLNumber.
    #[must_use]
    pub fn number(&self) -> Option<&str> {
        match extension::find(&self.extensions, &oid::CRL_NUMBER).map(|extension| &extension.value) {
            Some(ExtensionValue::Number(number)) => Some(number),
            _ => None,
        }
    }

    pub(crate) fn remarks(&self, now: Timestamp) -> Vec<Remark> {
        let mut remarks = Vec::new();
        let next = self.next_update.as_ref().and_then(|time| time.moment);
        match next {
            Some(next) if next < now => remarks.push(Remark::error(
                "crl_expired",
                format!(
                    "out of date since {}: servers that check it now refuse every client, often saying that the \
                     client's certificate has expired",
                    humane::span(now.duration_since(next))
                ),
            )),
            None if self.next_update.is_none() => {
                remarks.push(Remark::warning("next_update_missing", "no nextUpdate, which RFC 5280 requires"));
            }
            _ => {}
        }
        if self.this_update.as_ref().and_then(|time| time.moment).is_some_and(|this| this > now) {
            remarks.push(Remark::error(
                "crl_not_yet_valid",
                "thisUpdate lies in the future, or a clock is wrong",
            ));
        }
        if let Some(digest) = self.signature_algorithm.as_ref().and_then(AlgorithmDescription::weak_digest) {
            remarks.push(Remark::error("weak_signature", format!("signed with {digest}, which is broken")));
        }
        if extension::find(&self.extensions, &oid::AUTHORITY_KEY_IDENTIFIER).is_none() {
            remarks.push(Remark::warning(
                "authority_key_identifier_missing",
                "no authorityKeyIdentifier, which RFC 5280 section 5.2.1 requires",
            ));
        }
        for extension in self.extensions.iter().filter(|extension| extension.critical) {
            remarks.push(Remark::warning(
                "partial_list",
                format!(
                    "the critical extension {} says that this is not a complete list; many programs refuse it",
                    extension.identifier.text()
                ),
            ));
        }
        remarks
    }
}

/// Serial number, date and reason of one entry.
fn entry_of<'a>(
    mut entry: Cursor<'a>,
    problems: &mut Problems,
) -> (&'a [u8], Option<Timestamp>, Option<RevocationReason>) {
    let serial = entry.expect(tag::INTEGER, "revoked serial number", problems).map(|s| s.content);
    let date = entry.next(problems).and_then(|time| Reader::new(time.whole).time().ok());
    let mut reason = None;
    if let Some(extensions) = entry.next(problems) {
        let mut extensions = extensions.cursor();
        while let Some(extension) = extensions.next(problems) {
            let mut parts = extension.cursor();
            let identifier = parts.next(problems);
            if identifier.is_some_and(|identifier| identifier.content == oid::CRL_REASON.content())
                && let Some(value) = std::iter::from_fn(|| parts.next(problems)).last()
                && let Some(code) = value.content.last()
            {
                reason = Some(RevocationReason::from_code(*code));
            }
        }
    }
    (serial.unwrap_or_default(), date, reason)
}
