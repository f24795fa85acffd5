//! The certificates of the authority's own CAs: roots, issuing CAs, and what roots signed for each other. They are in the
//! log of everything issued ([`crate::log`]), each with an audit event of its own, from the same commit on that brings
//! them into use.

use jiff::Timestamp;
use pki::Certificate;
use pki::certificate::CertificateError;

use crate::audit::{NewEvent, Who};
use crate::authority::{Authority, OpenError};
use crate::line::LinesRecord;
use crate::record::Commit;
use crate::store::{Store, StoreError};

impl Commit {
    /// Adds a certificate of the authority's own, and the event that tells of it.
    pub(crate) fn certifying(self, certificate: &Certificate, by: Who<'_>, now: Timestamp) -> Self {
        let event = NewEvent {
            at: now,
            actor: by.actor.to_owned(),
            origin: by.origin.to_owned(),
            action: "certify",
            serial: Some(certificate.serial().to_vec()),
            details: format!(
                "{} by {}, sha256 {}",
                certificate.subject().short(),
                certificate.issuer().short(),
                pki::hex(&certificate.sha256())
            ),
        };
        self.logging(certificate).noting(event)
    }
}

impl LinesRecord {
    /// All certificates of CAs, those of retired lines among them: each root, the issuing CAs, what roots signed for each
    /// other.
    pub(crate) fn certificates(&self) -> Result<Vec<Certificate>, CertificateError> {
        let mut ders: Vec<&Vec<u8>> = Vec::new();
        let of_lines = self.lines.iter().flat_map(|line| [&line.root, &line.issuing]);
        for der in of_lines.chain(&self.crosses) {
            if !ders.contains(&der) {
                ders.push(der);
            }
        }
        ders.into_iter().map(|der| Certificate::from_der(der)).collect()
    }
}

impl<S: Store> Authority<S> {
    /// Puts those of the authority's own certificates into the log that are not in it: they were made before the log had
    /// them. Where all are in it, nothing is written.
    ///
    /// # Errors
    /// [`OpenError`].
    pub fn log_own_certificates(&self, by: Who<'_>, now: Timestamp) -> Result<(), OpenError> {
        let missing = self.not_logged(&self.lines().record)?;
        if missing.is_empty() {
            return Ok(());
        }
        let commit = missing
            .iter()
            .fold(Commit::default(), |commit, certificate| commit.certifying(certificate, by, now));
        match self.store.commit(commit) {
            // Another process did the same at the same moment.
            Ok(()) | Err(StoreError::Conflict { .. }) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }

    /// Those of these lines' certificates that are not in the log.
    pub(crate) fn not_logged(&self, record: &LinesRecord) -> Result<Vec<Certificate>, OpenError> {
        let known = self.store.ca_certificates()?;
        let is_new = |certificate: &Certificate| !known.iter().any(|known| known.der == certificate.der());
        Ok(record.certificates()?.into_iter().filter(is_new).collect())
    }
}
