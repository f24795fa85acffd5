//! Issuing, in numbered steps. A crash after any of them leaves a record that can be read back: no certificate
//! exists that the authority does not know of.

use jiff::{SignedDuration, Timestamp};
use pki::extension::NameConstraints;
use pki::issuer::{Order, PrepareError, Prepared, SignPreparedError};
use pki::key::PublicKey;
use pki::name::{GeneralName, SubjectNames};
use pki::verify::{Purpose, Rules};
use pki::{Certificate, Profile};

use crate::Entropy;
use crate::audit::NewEvent;
use crate::authority::Authority;
use crate::line::Line;
use crate::store::{Completion, Intent, Store, StoreError};

/// How far validity starts in the past: a peer whose clock is behind must not find the certificate not yet valid.
pub(crate) const BACKDATING: SignedDuration = SignedDuration::from_mins(5);

/// What is asked for.
#[derive(Debug, Clone)]
pub struct IssueRequest {
    /// The kind of certificate.
    pub profile: Profile,
    /// The name it is filed under.
    pub label: String,
    /// Its names.
    pub names: SubjectNames,
    /// Its key, whose possession the caller has verified.
    pub public_key: PublicKey,
    /// How long it is to live; the profile's default where nothing is said.
    pub lifetime: Option<SignedDuration>,
    /// Who asks, for the audit trail.
    pub requested_by: String,
    /// From where: an address and a way in; empty for the machine itself.
    pub origin: String,
    /// The serial number of the certificate it takes the place of.
    pub replaces: Option<Vec<u8>>,
    /// Where its files are to be written, if this machine writes them.
    pub location: Option<String>,
}

/// What was issued.
#[derive(Debug, Clone)]
pub struct Issued {
    /// The certificate.
    pub certificate: Certificate,
    /// The certificates above it that a TLS peer sends: all but the anchor.
    pub chain: Vec<Certificate>,
    /// The anchor.
    pub anchor: Certificate,
    /// All that are believed now, which are two while the authority changes its root.
    pub anchors: Vec<Certificate>,
}

/// A step of issuing that is done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// The profile allows it.
    PolicyPassed,
    /// A serial number was drawn.
    SerialReserved,
    /// The to-be-signed bytes were built and linted.
    Prepared,
    /// What is about to be signed is on record.
    IntentRecorded,
    /// It is signed.
    Signed,
    /// What was signed is what was prepared, and its path to the anchor is valid.
    Checked,
    /// Certificate and audit event are on record.
    Stored,
}

impl Step {
    /// All steps in order.
    pub const ALL: [Step; 7] = [
        Step::PolicyPassed,
        Step::SerialReserved,
        Step::Prepared,
        Step::IntentRecorded,
        Step::Signed,
        Step::Checked,
        Step::Stored,
    ];
}

/// Why nothing was issued.
#[derive(Debug, thiserror::Error)]
pub enum IssueError {
    /// The profile does not allow it.
    #[error("{0}")]
    Policy(String),
    /// The clock stands before the authority's own start.
    #[error(
        "the clock says {now}, and the authority '{issuer}' exists only from {start} on; \
         set the clock right, or everything issued would be refused"
    )]
    ClockBeforeStart {
        /// The moment of asking.
        now: Timestamp,
        /// The start of the issuing CA's validity.
        start: Timestamp,
        /// The issuing CA.
        issuer: String,
    },
    /// The authority is at its end.
    #[error("the authority '{issuer}' ended on {end}; make a new one with `countersign init`")]
    AuthorityExpired {
        /// The issuing CA.
        issuer: String,
        /// Its end.
        end: Timestamp,
    },
    /// The certificate cannot be made as asked.
    #[error(transparent)]
    Prepare(#[from] PrepareError),
    /// No random octets.
    #[error("no random numbers: {0}")]
    Entropy(String),
    /// The key did not sign, or not what it was given.
    #[error(transparent)]
    Sign(#[from] SignPreparedError),
    /// What was signed does not verify. It is on record and is not handed out.
    #[error("what was signed does not verify, and is not handed out: {0}")]
    Path(#[from] pki::verify::Refusal),
    /// The memory failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl<S: Store> Authority<S> {
    /// Issues a certificate.
    ///
    /// # Errors
    /// [`IssueError`]. Nothing was handed out; from the fourth step on, what was attempted is on record.
    pub fn issue(&self, request: IssueRequest, now: Timestamp) -> Result<Issued, IssueError> {
        self.issue_in(&self.line(), request, now)
    }

    /// As [`Authority::issue`], by a line that need not be the one that issues: each line has OCSP responders of its own.
    ///
    /// # Errors
    /// As [`Authority::issue`].
    pub fn issue_in(&self, line: &Line, request: IssueRequest, now: Timestamp) -> Result<Issued, IssueError> {
        // 1. Policy: what the profile allows.
        let (not_before, not_after) = validity(line, request.profile, request.lifetime, now)?;
        self.tell(Step::PolicyPassed);

        // 2. A serial number. That it is unique is a constraint of the store, met in step 4.
        let serial = new_serial(&self.entropy).map_err(IssueError::Entropy)?;
        self.tell(Step::SerialReserved);

        // 3. The to-be-signed bytes, linted.
        let prepared = line.issuer().prepare(&Order {
            profile: request.profile,
            names: request.names,
            public_key: request.public_key,
            serial: serial.clone(),
            not_before,
            not_after,
            constraints: NameConstraints::default(),
            publication: self.publication.of(line.number(), &serial, not_after.duration_since(not_before)),
        })?;
        self.tell(Step::Prepared);

        // 4. What is about to be signed, on record.
        self.store.record_intent(Intent {
            serial: serial.clone(),
            profile: request.profile,
            label: request.label.clone(),
            tbs: prepared.tbs_der().to_vec(),
            not_before,
            not_after,
            requested_by: request.requested_by.clone(),
            requested_at: now,
            replaces: request.replaces,
            location: request.location,
            line: line.number(),
        })?;
        self.tell(Step::IntentRecorded);

        let event = NewEvent {
            at: now,
            actor: request.requested_by,
            origin: request.origin,
            action: "issue",
            serial: Some(serial.clone()),
            details: format!("{} for {}", request.profile, request.label),
        };
        match self.sign_and_store(line, prepared, request.profile, &request.label, event.clone(), now) {
            Ok(certificate) => {
                let (chain, anchor) = (line.chain(), line.issuer().anchor().clone());
                Ok(Issued { certificate, chain, anchor, anchors: self.anchors().anchors().to_vec() })
            }
            Err(error) => {
                let details = format!("{}: {error}", event.details);
                let failed = NewEvent { action: "fail", details, ..event };
                // A memory that fails here too leaves the intent without a reason, as a crash would; and one that had
                // recorded the certificate before its answer was lost says so by refusing this.
                let _ = self.store.abandon(serial, error.to_string(), failed);
                Err(error)
            }
        }
    }

    /// Steps 5 to 7, behind which an intent stands.
    fn sign_and_store(
        &self,
        line: &Line,
        prepared: Prepared,
        profile: Profile,
        label: &str,
        event: NewEvent,
        now: Timestamp,
    ) -> Result<Certificate, IssueError> {
        // 5. The signature. `prepared` is moved: it is signed once.
        let key = line.key().ok_or(SignPreparedError::WrongKey)?;
        let certificate = prepared.sign(key)?;
        self.tell(Step::Signed);

        // 6. `sign` compared the bytes; here the path, as a peer would verify it.
        check(line, &certificate, profile, now)?;
        self.tell(Step::Checked);

        // 7. Certificate, log and audit event, in one transaction.
        self.store.complete(
            Completion {
                serial: certificate.serial().to_vec(),
                der: certificate.der().to_vec(),
                names: searchable(&certificate, label),
                issued_at: now,
            },
            event,
        )?;
        self.tell(Step::Stored);
        Ok(certificate)
    }

    fn tell(&self, step: Step) {
        if let Some(observer) = &self.observer {
            observer(step);
        }
    }
}

fn validity(
    line: &Line,
    profile: Profile,
    lifetime: Option<SignedDuration>,
    now: Timestamp,
) -> Result<(Timestamp, Timestamp), IssueError> {
    let own = line.issuer().certificate();
    let issuer = own.subject().short();
    if !matches!(profile, Profile::Server | Profile::Client | Profile::Responder) {
        return Err(IssueError::Policy(format!("an issuing CA makes no {profile} certificate")));
    }
    if now < own.not_before() {
        return Err(IssueError::ClockBeforeStart { now, start: own.not_before(), issuer });
    }
    if now >= own.not_after() {
        return Err(IssueError::AuthorityExpired { issuer, end: own.not_after() });
    }
    if lifetime.is_some_and(|wish| wish < SignedDuration::from_secs(1)) {
        return Err(IssueError::Policy("a certificate lives at least a second; ask for more".to_owned()));
    }
    let most = SignedDuration::from_hours(24 * profile.most_days());
    if let Some(wish) = lifetime.filter(|wish| *wish > most) {
        return Err(IssueError::Policy(format!(
            "a {profile} certificate lives at most {} days, and {} were asked for; ask for less and renew it",
            profile.most_days(),
            wish.as_hours() / 24
        )));
    }
    let default = SignedDuration::from_hours(24 * profile.default_days());
    let not_after = now
        .checked_add(lifetime.unwrap_or(default))
        .map_err(|error| IssueError::Policy(error.to_string()))?;
    let not_before = (now - BACKDATING).max(own.not_before());
    // Both ends belong to the validity, and the backdating counts (RFC 5280 section 4.1.2.5).
    let not_after = not_after.min(not_before + most - SignedDuration::from_secs(1));
    // A wish that leaves the issuer's validity is refused when it is prepared; a default is cut to it.
    let not_after = if lifetime.is_none() { not_after.min(own.not_after()) } else { not_after };
    Ok((not_before, not_after))
}

fn check(line: &Line, certificate: &Certificate, profile: Profile, now: Timestamp) -> Result<(), IssueError> {
    let purpose = match profile {
        Profile::Server => Purpose::Server,
        Profile::Responder => Purpose::Usage(pki::oid::OCSP_SIGNING),
        _ => Purpose::Client,
    };
    pki::verify::verify_own(certificate, &[], &Rules::new(line.issuing(), purpose, now))?;
    Ok(())
}

/// 16 random octets behind one of 0x01 to 0x7f: positive, never padded, 134 bits of chance.
pub(crate) fn new_serial(entropy: &Entropy) -> Result<Vec<u8>, String> {
    let mut serial = vec![0; 17];
    entropy(&mut serial)?;
    // 0 would be padding, and the top bit a minus sign.
    serial[0] = (serial[0] & 0x7f).max(0x01);
    Ok(serial)
}

/// Every name a certificate can be searched by, a line each, each once. Its serial number has an index of its own.
#[must_use]
pub fn searchable(certificate: &Certificate, label: &str) -> String {
    let mut lines = vec![label.to_owned()];
    let alternative = certificate.subject_alt_names().iter().map(GeneralName::value);
    let subject = certificate.subject().attributes().into_iter().map(|attribute| attribute.value);
    for name in alternative.chain(subject) {
        if !lines.contains(&name) {
            lines.push(name);
        }
    }
    lines.join("\n")
}
