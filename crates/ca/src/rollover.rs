//! Changing the CA: through a new root, or a new issuing CA under the same root, without anybody being cut off.
//!
//! A rollover is begun by [`Authority::start_rollover`], which makes the next line ([`crate::line`]): from then on both
//! roots are believed, and each has signed the other's key (RFC 4210 section 4.4), so that whoever believes either
//! believes the certificates of both lines. [`Authority::switch`] has the new line issue, and what the old one issued
//! renewed early. [`Authority::retire`] ends it: the old root is believed no longer, and
//! what the new one signed for it is withdrawn. [`Authority::abort`] goes back. Each
//! step is one commit of one record, so what is interrupted has happened or not, and is asked for again.
//!
//! Who is seen with certificates of the old line is remembered here too ([`Seen`]): by all processes, for all.

use jiff::{SignedDuration, Timestamp};
use pki::Certificate;
use pki::Profile;
use pki::crl::{RevocationReason, RevokedEntry};
use pki::extension::NameConstraints;
use pki::issuer::{Issuer, Order, PrepareError, SignPreparedError, prepare_root};
use pki::key::{KeyAlgorithm, PublicKey, SigningKey};
use pki::name::SubjectNames;
use serde_json::{Value, json};

use crate::audit::{NewEvent, Who};
use crate::authority::{Authority, OpenError};
use crate::create::names_of_ca;
use crate::issue::{BACKDATING, new_serial};
use crate::line::{KeyName, LineRecord, Lines, LinesRecord, Withdrawal, time};
use crate::record::{Commit, Record, Write};
use crate::selector::Selector;
use crate::store::{Entry, Store, StoreError};

/// How far a rollover has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// The new line is there and issues nothing yet: whoever verifies is told to believe its root.
    Distribute,
    /// The new line issues, and what the old one issued is renewed.
    Reissue,
}

impl Step {
    /// The word for what comes next.
    #[must_use]
    pub fn next(self) -> &'static str {
        match self {
            Step::Distribute => "next",
            Step::Reissue => "retire",
        }
    }

    /// The word for it in records and answers.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Step::Distribute => "distribute",
            Step::Reissue => "reissue",
        }
    }
}

/// A rollover that is under way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rollover {
    /// The line that is left.
    pub from: u32,
    /// The line that takes its place.
    pub to: u32,
    /// How far it has come.
    pub step: Step,
    /// When it was begun.
    pub started: Timestamp,
    /// When the new line began to issue.
    pub switched: Option<Timestamp>,
    /// Until when what the old line issued should be renewed.
    pub renew_by: Option<Timestamp>,
}

impl Rollover {
    pub(crate) fn parse(value: &Value) -> Option<Self> {
        let line = |member: &str| value[member].as_u64().and_then(|number| u32::try_from(number).ok());
        Some(Rollover {
            from: line("from")?,
            to: line("to")?,
            step: [Step::Distribute, Step::Reissue].into_iter().find(|step| value["step"] == step.name())?,
            started: time(&value["started"])?,
            switched: time(&value["switched"]),
            renew_by: time(&value["renew_by"]),
        })
    }

    pub(crate) fn json(&self) -> Value {
        json!({
            "from": self.from, "to": self.to, "step": self.step.name(), "started": self.started.to_string(),
            "switched": self.switched.map(|at| at.to_string()),
            "renew_by": self.renew_by.map(|at| at.to_string()),
        })
    }

    /// When a certificate of this line should be renewed because of the rollover; `None` where it has no part in it.
    #[must_use]
    pub fn renewal_window(&self, line: u32) -> Option<(Timestamp, Timestamp)> {
        (self.step == Step::Reissue && line == self.from).then_some((self.switched?, self.renew_by?))
    }
}

/// What the next line is to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NewLine {
    /// Whether it has a root of its own; else it is another issuing CA under the root that is there.
    pub new_root: bool,
    /// The kind of its keys; the kind that the issuing CA has now where nothing is said.
    pub algorithm: Option<KeyAlgorithm>,
    /// How long its root lives; as long as the root now was made for where nothing is said.
    pub lifetime: Option<SignedDuration>,
}

/// Why a step was not taken. Nothing has changed then.
#[derive(Debug, thiserror::Error)]
pub enum RolloverError {
    /// One is under way.
    #[error("a rollover is under way, at the step '{}'; `countersign ca rollover status` says what remains", .0.name())]
    Underway(Step),
    /// None is under way.
    #[error("no rollover is under way; `countersign ca rollover start` begins one")]
    None,
    /// It is at another step.
    #[error(
        "the rollover is at the step '{}', and this belongs to '{}'; `countersign ca rollover {}` is the next one",
        .is.name(),
        .wanted.name(),
        .is.next()
    )]
    OtherStep {
        /// The step it is at.
        is: Step,
        /// The step this belongs to.
        wanted: Step,
    },
    /// This process cannot make keys.
    #[error(
        "this process has the authority's key alone and cannot make another one; run it in the authority's home"
    )]
    NoKeyring,
    /// The root's key is kept elsewhere.
    #[error(
        "{0} is not here, and the root must sign: put it into the home's keys/ for this step, and take it away after"
    )]
    RootKey(KeyName),
    /// A key under the new name is of another kind.
    #[error(
        "there is a {name} already, and it is {found} where {wanted} was asked for; ask for {found}, or remove it"
    )]
    OtherKind {
        /// Its name.
        name: KeyName,
        /// What it is.
        found: String,
        /// What was asked for.
        wanted: String,
    },
    /// A key under the new name is one that the authority has had.
    #[error(
        "{name} is the key of '{of}' already; a new line has keys of its own, so that losing one is not losing both"
    )]
    InUse {
        /// Its name.
        name: KeyName,
        /// Whose it is.
        of: String,
    },
    /// A key cannot be made or opened.
    #[error("{name} cannot be had: {why}")]
    Key {
        /// Its name.
        name: KeyName,
        /// Why.
        why: String,
    },
    /// Its certificates cannot be made as asked.
    #[error(transparent)]
    Prepare(#[from] PrepareError),
    /// A key did not sign.
    #[error(transparent)]
    Sign(#[from] SignPreparedError),
    /// No random octets.
    #[error("no random numbers: {0}")]
    Entropy(String),
    /// The lifetime leaves what a certificate can say.
    #[error("a root cannot live that long: {0}")]
    Lifetime(jiff::Error),
    /// The memory failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// What was made cannot be opened.
    #[error(transparent)]
    Open(#[from] OpenError),
}

/// What a CA's certificate is made of, beside its issuer.
struct Making<'a> {
    entropy: &'a crate::Entropy,
    constraints: NameConstraints,
    not_before: Timestamp,
    not_after: Timestamp,
}

impl Making<'_> {
    /// The list of a root that withdraws this certificate beside what is withdrawn already.
    fn withdrawal(
        &self,
        lines: &Lines,
        (root_of, root, key): (u32, &Certificate, &dyn SigningKey),
        (line, certificate): (u32, &Certificate),
        now: Timestamp,
    ) -> Result<Withdrawal, RolloverError> {
        let serial = certificate.serial().to_vec();
        let mut entries = lines.withdrawn_by(root_of);
        let reason = RevocationReason::Superseded;
        entries.push(RevokedEntry { serial: serial.clone(), revoked_at: now, reason });
        // As the root's other lists are numbered.
        let number = u64::try_from(now.as_second()).unwrap_or(0);
        let issuer = Issuer::new(root.clone(), Vec::new())?;
        let list = issuer.prepare_crl(number, now, root.not_after(), &entries)?.sign(key)?;
        Ok(Withdrawal { by_root: root_of, line, serial, list })
    }

    fn order(&self, profile: Profile, names: SubjectNames, key: &PublicKey) -> Result<Order, RolloverError> {
        Ok(Order {
            profile,
            names,
            public_key: key.clone(),
            serial: new_serial(self.entropy).map_err(RolloverError::Entropy)?,
            not_before: self.not_before,
            not_after: self.not_after,
            constraints: self.constraints.clone(),
            publication: pki::extension::Publication::default(),
        })
    }
}

impl<S: Store> Authority<S> {
    /// Makes the next line: its keys, its issuing CA, and where it has a root of its own that root and what both roots
    /// sign for each other.
    ///
    /// # Errors
    /// [`RolloverError`]. Keys that were made stay, and are taken the next time.
    pub fn start_rollover(&self, wish: &NewLine, by: Who<'_>, now: Timestamp) -> Result<(), RolloverError> {
        self.refresh()?;
        let lines = self.lines();
        if let Some(rollover) = lines.rollover() {
            return Err(RolloverError::Underway(rollover.step));
        }
        let old = lines.issuing();
        let (old_root, old_ca) = (old.issuer().anchor().clone(), old.issuer().certificate());
        let number = lines.all().iter().map(|line| line.number()).max().unwrap_or(0) + 1;
        let kind = match wish.algorithm {
            Some(kind) => kind,
            None => old_ca.public_key().map_err(PrepareError::from)?.algorithm(),
        };
        let old_root_key = self.root_key(old.root_of(), &old_root)?;
        let key = self.new_key(KeyName::Issuing(number), kind)?;
        let named = |what: &str| names_of_ca(&self.name, &format!("{what} {number}"));
        let constraints = old_root.name_constraints().cloned().unwrap_or_default();
        let not_before = (now - BACKDATING).max(old_root.not_before());
        let mut making =
            Making { entropy: &self.entropy, constraints, not_before, not_after: old_root.not_after() };
        let mut crosses = Vec::new();
        let mut withdrawals = Vec::new();
        let (root_of, root, root_key) = if wish.new_root {
            let life = old_root.not_after().duration_since(old_root.not_before()) - BACKDATING;
            let life = wish.lifetime.unwrap_or(life);
            making.not_after = now.checked_add(life).map_err(RolloverError::Lifetime)?;
            let root_key = self.new_key(KeyName::Root(number), kind)?;
            let order = making.order(Profile::Root, named("Root CA"), root_key.public_key())?;
            let root = prepare_root(&order)?.sign(&*root_key)?;
            let end = making.not_after.min(old_root.not_after());
            // What the new root signs for the old one is for the certificates that the old line has issued and issues
            // until the switch: whoever steals the old key is worth nothing after them.
            let last = self.store.line_standing(old.number(), now)?.last_end;
            let usual = now + SignedDuration::from_hours(24 * Profile::Client.default_days());
            let ends = [end, end.min(last.map_or(usual, |last| last.max(usual)))];
            let old_with = (old.root_of(), &old_root, &*old_root_key);
            let new_with = (number, &root, &*root_key);
            let both = [(old_with, (number, &root), ends[0]), (new_with, (old.number(), &old_root), ends[1])];
            for (by, (line, other), not_after) in both {
                let both = Making { not_after, constraints: making.constraints.clone(), ..making };
                let cross = cross(&both, (by.1, by.2), other)?;
                withdrawals.push(both.withdrawal(&lines, by, (line, &cross), now)?);
                crosses.push(cross);
            }
            (number, root, root_key)
        } else {
            (old.root_of(), old_root, old_root_key)
        };
        let order = making.order(Profile::Issuing, named("Issuing CA"), key.public_key())?;
        let issuing = Issuer::new(root.clone(), Vec::new())?.prepare(&order)?.sign(&*root_key)?;
        if !wish.new_root {
            for (line, ca) in [(old.number(), old_ca), (number, &issuing)] {
                let by = (root_of, &root, &*root_key);
                withdrawals.push(making.withdrawal(&lines, by, (line, ca), now)?);
            }
        }

        let mut record = lines.record.clone();
        record.lines.push(LineRecord {
            number,
            root_of,
            root: root.der().to_vec(),
            issuing: issuing.der().to_vec(),
            retired: None,
            ends: None,
        });
        record.withdrawals.extend(withdrawals);
        record.crosses.extend(crosses.iter().map(|cross| cross.der().to_vec()));
        let (from, step) = (old.number(), Step::Distribute);
        record.rollover =
            Some(Rollover { from, to: number, step, started: now, switched: None, renew_by: None });
        let what = if wish.new_root { "root" } else { "issuing CA" };
        let details = format!(
            "start: line {number} with a new {what}, root sha256 {}, issuing sha256 {}",
            pki::hex(&root.sha256()),
            pki::hex(&issuing.sha256())
        );
        self.step(&record, details, by, now)
    }

    /// Has the new line issue. What the old one issued should be renewed within this time.
    ///
    /// # Errors
    /// [`RolloverError`].
    pub fn switch(&self, within: SignedDuration, by: Who<'_>, now: Timestamp) -> Result<(), RolloverError> {
        let (mut record, rollover) = self.underway(Some(Step::Distribute))?;
        record.issuing = rollover.to;
        record.rollover = Some(self.reissuing(rollover, within, now)?);
        self.step(&record, format!("switch: line {} issues", rollover.to), by, now)
    }

    /// Retires the old line. Where nothing else is under its root, that root is believed no longer. Whether somebody is
    /// cut off by it the caller has asked before ([`still_seen`]).
    ///
    /// # Errors
    /// [`RolloverError`].
    pub fn retire(&self, by: Who<'_>, now: Timestamp) -> Result<(), RolloverError> {
        let (mut record, rollover) = self.underway(Some(Step::Reissue))?;
        let ends = self.store.line_standing(rollover.from, now)?.last_end;
        end(&mut record, rollover.from, ends, now);
        self.step(&record, format!("retire: line {}", rollover.from), by, now)
    }

    /// Goes back. Before the new line issued anything it is taken away; after that the old one issues again, and what
    /// the new one issued is renewed within this time until it is retired in its turn.
    ///
    /// # Errors
    /// [`RolloverError`].
    pub fn abort(&self, within: SignedDuration, by: Who<'_>, now: Timestamp) -> Result<(), RolloverError> {
        let (mut record, rollover) = self.underway(None)?;
        let details = match rollover.step {
            Step::Distribute => {
                end(&mut record, rollover.to, None, now);
                format!("abort: line {} is taken away before it issued anything", rollover.to)
            }
            Step::Reissue => {
                let back = Rollover { from: rollover.to, to: rollover.from, ..rollover };
                record.issuing = back.to;
                record.rollover = Some(self.reissuing(back, within, now)?);
                format!("abort: line {} issues again, and line {} is left", back.to, back.from)
            }
        };
        self.step(&record, details, by, now)
    }

    fn reissuing(
        &self,
        rollover: Rollover,
        within: SignedDuration,
        now: Timestamp,
    ) -> Result<Rollover, RolloverError> {
        // Whoever takes the step must be able to issue after it.
        let name = KeyName::Issuing(rollover.to);
        if self.lines().key_of(rollover.to).is_none() {
            return Err(RolloverError::Key { name, why: "it is not here".to_owned() });
        }
        let renew_by = now.checked_add(within).map_err(RolloverError::Lifetime)?;
        let step = Step::Reissue;
        Ok(Rollover { step, switched: Some(now), renew_by: Some(renew_by), ..rollover })
    }

    /// The record as it is now, and the rollover in it.
    fn underway(&self, wanted: Option<Step>) -> Result<(LinesRecord, Rollover), RolloverError> {
        self.refresh()?;
        let lines = self.lines();
        let rollover = *lines.rollover().ok_or(RolloverError::None)?;
        match wanted {
            Some(wanted) if wanted != rollover.step => {
                Err(RolloverError::OtherStep { is: rollover.step, wanted })
            }
            _ => Ok((lines.record.clone(), rollover)),
        }
    }

    /// Commits a step, and goes by it.
    fn step(
        &self,
        record: &LinesRecord,
        details: String,
        by: Who<'_>,
        now: Timestamp,
    ) -> Result<(), RolloverError> {
        let event = |action| NewEvent {
            at: now,
            actor: by.actor.to_owned(),
            origin: by.origin.to_owned(),
            action,
            serial: None,
            details: details.clone(),
        };
        // Read back as every process will read it, before it is anybody's business.
        let next = record.clone().assemble(|_, _| None)?;
        let mut commit = Commit::of(Write::Put(record.to_record())).noting(event("rollover"));
        if next.anchors().anchors() != self.anchors().anchors() {
            commit = commit.noting(event("trust"));
        }
        for certificate in self.not_logged(record)? {
            commit = commit.certifying(&certificate, by, now);
        }
        self.store.commit(commit)?;
        self.refresh()?;
        Ok(())
    }

    fn root_key(&self, number: u32, root: &Certificate) -> Result<Box<dyn SigningKey>, RolloverError> {
        let name = KeyName::Root(number);
        let keyring = self.keyring().ok_or(RolloverError::NoKeyring)?;
        let key = keyring.open(name).map_err(|why| RolloverError::Key { name, why })?;
        let key = key.ok_or(RolloverError::RootKey(name))?;
        if root.public_key().ok() != Some(key.public_key()) {
            let why = format!("it is not the key of '{}'", root.subject().short());
            return Err(RolloverError::Key { name, why });
        }
        Ok(key)
    }

    fn new_key(&self, name: KeyName, kind: KeyAlgorithm) -> Result<Box<dyn SigningKey>, RolloverError> {
        let keyring = self.keyring().ok_or(RolloverError::NoKeyring)?;
        let key = keyring.make(name, kind).map_err(|why| RolloverError::Key { name, why })?;
        let found = key.public_key().algorithm();
        if found != kind {
            let (found, wanted) = (found.to_string(), kind.to_string());
            return Err(RolloverError::OtherKind { name, found, wanted });
        }
        let lines = self.lines();
        let known = lines.all().iter().flat_map(|line| [line.issuer().anchor(), line.issuer().certificate()]);
        for ca in known {
            if ca.public_key().ok() == Some(key.public_key()) {
                return Err(RolloverError::InUse { name, of: ca.subject().short() });
            }
        }
        Ok(key)
    }
}

/// Takes a line out of use, and ends the rollover.
fn end(record: &mut LinesRecord, number: u32, ends: Option<Timestamp>, now: Timestamp) {
    for line in record.lines.iter_mut().filter(|line| line.number == number) {
        (line.retired, line.ends) = (Some(now), ends);
    }
    record.rollover = None;
}

/// The certificate that one root makes for another one's key.
fn cross(
    making: &Making<'_>,
    (by, key): (&Certificate, &dyn SigningKey),
    root: &Certificate,
) -> Result<Certificate, RolloverError> {
    let of = root.public_key().map_err(PrepareError::from)?;
    let made = Issuer::new(by.clone(), Vec::new())?;
    let order = making.order(Profile::Root, SubjectNames::of(root), of)?;
    let certificate = made.prepare_cross(&order)?.sign(key)?;
    // A path goes through it only where its subject is, octet by octet, what the root's certificates name as issuer.
    if certificate.subject() != root.subject() {
        return Err(SignPreparedError::Differs("the name of the other root").into());
    }
    Ok(certificate)
}

/// A certificate that was seen in use, as all processes remember it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Seen {
    /// Its serial number.
    pub serial: Vec<u8>,
    /// When it was seen last.
    pub at: Timestamp,
    /// By which gateway; nothing for the authority itself.
    pub by: Option<String>,
}

const SEEN: &str = "rollover-seen";

/// How long it is remembered that a certificate was seen.
const REMEMBERED: SignedDuration = SignedDuration::from_hours(90 * 24);

/// The most sightings written or read at a time.
const PAGE: usize = 500;

/// Remembers which certificates of the line that is left were seen. Of one that is known to have been seen later nothing
/// changes.
///
/// # Errors
/// [`StoreError`].
pub fn remember(store: &dyn Store, rollover: &Rollover, seen: &[Seen]) -> Result<(), StoreError> {
    let owner = rollover.from.to_string();
    for some in seen.chunks(PAGE) {
        let mut commit = Commit::default();
        for one in some {
            let known = store.record(SEEN, &pki::hex(&one.serial))?;
            if known.as_ref().and_then(parse).is_some_and(|known| known.at >= one.at) {
                continue;
            }
            let is_of_line = || -> Result<bool, StoreError> {
                let found = store.find(&Selector::Serial(one.serial.clone()))?;
                Ok(found.iter().any(|entry| entry.line == rollover.from))
            };
            if known.is_none() && !is_of_line()? {
                continue;
            }
            let record = known
                .unwrap_or_else(|| Record::new(SEEN, &pki::hex(&one.serial), String::new()).owned_by(&owner));
            let body = json!({ "at": one.at.to_string(), "by": one.by }).to_string();
            let expires = one.at.checked_add(REMEMBERED).ok();
            commit = commit.and(Write::Put(Record { body, expires, ..record }));
        }
        if !commit.writes.is_empty() {
            match store.commit(commit) {
                // Another replica saw the same at the same moment; what it did not see comes with the next look.
                Ok(()) | Err(StoreError::Conflict { .. }) => {}
                Err(error) => return Err(error),
            }
        }
    }
    Ok(())
}

fn parse(record: &Record) -> Option<Seen> {
    let value: Value = serde_json::from_str(&record.body).ok()?;
    Some(Seen {
        serial: pki::unhex(&record.id)?,
        at: time(&value["at"])?,
        by: value["by"].as_str().map(str::to_owned),
    })
}

/// Those who would be cut off if a line were retired now: whose certificates of it are good, were seen since a moment,
/// and were seen after they got one of another line, or got none yet. The one seen last comes first.
///
/// # Errors
/// [`StoreError`].
pub fn still_seen(
    store: &dyn Store,
    line: u32,
    since: Timestamp,
    now: Timestamp,
) -> Result<Vec<(Entry, Seen)>, StoreError> {
    let owner = line.to_string();
    let mut found = Vec::new();
    let mut after: Option<String> = None;
    loop {
        let page = store.records(SEEN, Some(&owner), after.as_deref(), PAGE)?;
        let Some(last) = page.last() else { break };
        after = Some(last.id.clone());
        for seen in page.iter().filter_map(parse).filter(|seen| seen.at >= since) {
            let entry = store.find(&Selector::Serial(seen.serial.clone()))?.pop();
            let Some(entry) = entry.filter(|entry| entry.line == line && entry.is_good(now)) else {
                continue;
            };
            // Whole seconds are kept, and the request that renews is itself one with the old certificate.
            let is_in_its_place = |other: &Entry| {
                other.line != line
                    && other.profile == entry.profile
                    && other.is_good(now)
                    && other.issued_at.as_second() >= seen.at.as_second()
            };
            let same_name = store.find(&Selector::Label(entry.label.clone()))?;
            if !same_name.iter().any(is_in_its_place) {
                found.push((entry, seen));
            }
        }
    }
    found.sort_by_key(|(_, seen)| std::cmp::Reverse(seen.at));
    Ok(found)
}
