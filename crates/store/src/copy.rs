//! Moving an authority's memory into another, empty one: everything that happened happens again there, in the same
//! order, so that the audit trail ends with the same hash. That it does is the proof that nothing was lost or changed.

use ca::observed::{HANDSHAKES, MOST_SAID, Observed, REFUSALS, Span};
use ca::{
    AuditEvent, CaCertificate, Commit, Completion, Entry, Intent, NewEvent, RevocationRecord, Selector,
    Store, StoreError, Unfinished, Write,
};
use jiff::Timestamp;
use pki::Certificate;
use pki::crl::RevocationReason;

/// Events and records read at a time.
const PAGE: usize = 500;

/// What was copied.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Copied {
    /// Audit events, each with what it tells of.
    pub events: u64,
    /// Certificates.
    pub certificates: u64,
    /// Records.
    pub records: u64,
    /// The hash of the last audit event, the same in both.
    pub hash: [u8; 32],
}

/// Why a memory was not copied.
#[derive(Debug, thiserror::Error)]
pub enum CopyError {
    /// Something is there already.
    #[error("the memory to copy into holds an authority already; name an empty one")]
    NotEmpty,
    /// There is nothing to copy.
    #[error("the memory to copy from holds no authority")]
    Empty,
    /// What an event tells of is not there.
    #[error(
        "the audit event {0} tells of a certificate that is not there; restore the memory from a backup first"
    )]
    Missing(u64),
    /// The trail came out another one.
    #[error("after copying, the audit trail ends with another hash at event {0}; the copy is not to be used")]
    Differs(u64),
    /// The log came out another one.
    #[error("after copying, the log of what was issued has another root; the copy is not to be used")]
    OtherLog,
    /// One of the memories failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Copies all of `from` into `to`, which must be empty. Nobody may write to `from` meanwhile.
///
/// # Errors
/// [`CopyError`]; what was copied until then is of no use.
pub fn copy(from: &dyn Store, to: &dyn Store) -> Result<Copied, CopyError> {
    if to.authority()?.is_some() || to.audit_length()? > 0 {
        return Err(CopyError::NotEmpty);
    }
    let authority = from.authority()?.ok_or(CopyError::Empty)?;
    let mut copied = Copied { events: 0, certificates: 0, records: 0, hash: [0; 32] };
    loop {
        let page = from.audit_after(copied.events, PAGE)?;
        let Some(last) = page.last() else { break };
        copied.hash = last.hash;
        for event in page {
            copied.certificates += u64::from(event.action == "issue");
            if event.action == "create" && copied.events == 0 {
                to.create_authority(authority.clone(), Commit::default().noting(again(&event)))?;
            } else {
                happen(from, to, &event)?;
            }
            copied.events = event.sequence;
        }
    }
    for unfinished in from.unfinished()?.into_iter().filter(|unfinished| unfinished.reason.is_none()) {
        to.record_intent(unfinished.intent)?;
    }
    for kind in from.record_kinds()? {
        let mut after: Option<String> = None;
        loop {
            let page = from.records(&kind, None, after.as_deref(), PAGE)?;
            let Some(last) = page.last() else { break };
            after = Some(last.id.clone());
            for mut record in page {
                record.version = 0;
                to.commit(Commit::of(Write::Put(record)))?;
                copied.records += 1;
            }
        }
    }
    copy_observed(from, to)?;
    // List numbers go on from where they were: one that was used must not come again (RFC 5280 section 5.2.3).
    let last = from.list_number()?;
    to.skip_list_numbers(last)?;
    let there = to.audit_after(copied.events.saturating_sub(1), 2)?;
    match there.as_slice() {
        [last] if last.hash == copied.hash => {}
        _ => return Err(CopyError::Differs(copied.events)),
    }
    let root = |store: &dyn Store| -> Result<_, StoreError> {
        let size = store.log_size()?;
        Ok((size, ca::log::root(size, |level, start, count| store.log_hashes(level, start, count))?))
    };
    if root(from)? == root(to)? { Ok(copied) } else { Err(CopyError::OtherLog) }
}

/// What was seen of TLS, as it is now; nothing of it is too old for that.
fn copy_observed(from: &dyn Store, to: &dyn Store) -> Result<(), StoreError> {
    let keep = |observed| to.observe(observed, Timestamp::UNIX_EPOCH);
    for (kind, span) in [HANDSHAKES, REFUSALS].into_iter().flat_map(|kind| Span::ALL.map(|span| (kind, span)))
    {
        let tallies = from.tallies(kind, span, Timestamp::UNIX_EPOCH)?;
        keep(Observed { tallies, ..Observed::default() })?;
    }
    let mut refusals = from.refused_handshakes(0, usize::MAX)?;
    refusals.reverse();
    for one in refusals {
        // One at a time: with their recordings they are 16 MiB.
        let refusals = from.refused_handshake(one.number)?.into_iter().collect();
        keep(Observed { refusals, ..Observed::default() })?;
    }
    for (kind, _) in MOST_SAID {
        for said in from.said(kind, 0)?.chunks(PAGE) {
            keep(Observed { said: said.to_vec(), ..Observed::default() })?;
        }
    }
    Ok(())
}

/// What an event tells of, once more.
fn happen(from: &dyn Store, to: &dyn Store, event: &AuditEvent) -> Result<(), CopyError> {
    let missing = || CopyError::Missing(event.sequence);
    let entry = |serial: &Vec<u8>| -> Result<Entry, CopyError> {
        from.find(&Selector::Serial(serial.clone()))?.pop().ok_or_else(missing)
    };
    match (event.action.as_str(), &event.serial) {
        ("issue", Some(serial)) => {
            let entry = entry(serial)?;
            let certificate = Certificate::from_der(&entry.der).map_err(|_| missing())?;
            to.record_intent(Intent {
                serial: entry.serial.clone(),
                profile: entry.profile,
                label: entry.label.clone(),
                tbs: certificate.tbs_der().to_vec(),
                not_before: entry.not_before,
                not_after: entry.not_after,
                requested_by: entry.requested_by,
                requested_at: entry.issued_at,
                replaces: entry.replaces,
                location: entry.location,
                line: entry.line,
            })?;
            to.complete(
                Completion {
                    serial: entry.serial,
                    der: entry.der,
                    names: ca::searchable(&certificate, &entry.label),
                    issued_at: entry.issued_at,
                },
                again(event),
            )?;
        }
        ("revoke", Some(serial)) => {
            let now = entry(serial)?.revoked;
            let known = to.find(&Selector::Serial(serial.clone()))?.pop().ok_or_else(missing)?;
            if known.revoked.is_some() {
                return Err(missing());
            }
            // What is no longer so was a hold, for nothing else ends.
            let hold = RevocationRecord { at: event.at, reason: RevocationReason::CertificateHold };
            let record = now.filter(|record| record.at == event.at).unwrap_or(hold);
            to.revoke(vec![serial.clone()], record, vec![again(event)])?;
        }
        ("fail", Some(serial)) => {
            let known = from.unfinished()?.into_iter().find(|known| known.intent.serial == *serial);
            let Unfinished { intent, reason } = known.ok_or_else(missing)?;
            to.record_intent(intent)?;
            to.abandon(serial.clone(), reason.unwrap_or_default(), again(event))?;
        }
        ("release", Some(serial)) => to.release(serial.clone(), again(event))?,
        ("certify", Some(serial)) => {
            let index = from.log_index(serial)?.ok_or_else(missing)?;
            let der = from.log_entries(index, 1)?.pop().ok_or_else(missing)?;
            let certificates = vec![CaCertificate { serial: serial.clone(), der }];
            to.commit(Commit { certificates, ..Commit::default() }.noting(again(event)))?;
        }
        _ => to.commit(Commit::default().noting(again(event)))?,
    }
    Ok(())
}

fn again(event: &AuditEvent) -> NewEvent {
    NewEvent {
        at: event.at,
        actor: event.actor.clone(),
        origin: event.origin.clone(),
        // A handful of words; a copy is made once in the life of a process.
        action: event.action.clone().leak(),
        serial: event.serial.clone(),
        details: event.details.clone(),
    }
}
