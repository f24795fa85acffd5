//! Invites: a right, for so many uses and so long, to obtain a certificate of given names. The names are the invite's;
//! whoever redeems it brings a key.
//!
//! The code has two parts: a handle, which names the invite and is no secret, and 128 random bits, of which the memory
//! keeps a hash.

use std::fmt;

use jiff::{SignedDuration, Timestamp};
use pki::Profile;
use pki::key::PublicKey;
use pki::name::SubjectNames;
use serde_json::{Value, json};

use crate::Entropy;
use crate::audit::Who;
use crate::identity::{Identity, event};
use crate::names::{names_from_json, names_to_json};
use crate::record::{Commit, Record, Write};
use crate::store::{Store, StoreError};

pub(crate) const KIND: &str = "invite";

/// What the records of invites that a person is to decide on are listed under.
const WAITING: &str = "waiting";

/// 32 letters and digits that are not mistaken for each other; each is five bits.
const ALPHABET: &[u8; 32] = b"abcdefghjkmnpqrstuvwxyz023456789";

const HANDLE_LENGTH: usize = 8;
/// 26 letters hold 130 bits, of which 128 are random.
const SECRET_LENGTH: usize = 26;

/// The code of an invite: what a person is given. Its `Debug` hides the secret.
#[derive(Clone, PartialEq, Eq)]
pub struct Code {
    handle: String,
    secret: String,
}

impl Code {
    /// Draws a code.
    ///
    /// # Errors
    /// Why there are no random octets.
    pub fn draw(entropy: &Entropy) -> Result<Self, String> {
        let mut octets = [0; 5 + 16];
        entropy(&mut octets)?;
        Ok(Code { handle: letters(&octets[..5]), secret: letters(&octets[5..]) })
    }

    /// Reads a code, in any case; `None` where it cannot be one.
    ///
    /// ```
    /// assert!(ca::invite::Code::parse("abcdefgh-abcdefghjkmnpqrstuvwxyz023").is_some());
    /// assert!(ca::invite::Code::parse("abcdefgh").is_none());
    /// ```
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let text = text.trim().to_ascii_lowercase();
        let (handle, secret) = text.split_once('-')?;
        let is_ours =
            |text: &str, length| text.len() == length && text.bytes().all(|b| ALPHABET.contains(&b));
        (is_ours(handle, HANDLE_LENGTH) && is_ours(secret, SECRET_LENGTH))
            .then(|| Code { handle: handle.to_owned(), secret: secret.to_owned() })
    }

    /// What names the invite, and is no secret.
    #[must_use]
    pub fn handle(&self) -> &str {
        &self.handle
    }

    /// The whole code, for the one who is invited.
    #[must_use]
    pub fn reveal(&self) -> String {
        format!("{}-{}", self.handle, self.secret)
    }

    /// What the memory keeps of it. 128 random bits need no slow hash: there is no dictionary to try.
    fn hash(&self) -> [u8; 32] {
        pki::sha256(format!("countersign invite {} {}", self.handle, self.secret).as_bytes())
    }
}

impl fmt::Debug for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Code({}-…)", self.handle)
    }
}

fn letters(octets: &[u8]) -> String {
    let mut text = String::new();
    let (mut bits, mut count) = (0u32, 0);
    for octet in octets {
        bits = bits << 8 | u32::from(*octet);
        count += 8;
        while count >= 5 {
            count -= 5;
            text.push(char::from(ALPHABET[(bits >> count) as usize & 31]));
        }
        bits &= (1 << count) - 1;
    }
    if count > 0 {
        text.push(char::from(ALPHABET[(bits << (5 - count)) as usize & 31]));
    }
    text
}

/// An invite.
#[derive(Debug, Clone)]
pub struct Invite {
    /// What names it.
    pub handle: String,
    pub(crate) secret_hash: [u8; 32],
    /// The name its certificates are filed under.
    pub label: String,
    /// The names its certificates have.
    pub names: SubjectNames,
    /// Their kind.
    pub profile: Profile,
    /// How long they live; the profile's default where nothing is said.
    pub lifetime: Option<SignedDuration>,
    /// How many may be had.
    pub uses: u32,
    /// What was made of it.
    pub used: Vec<Use>,
    /// When it ends.
    pub expires: Timestamp,
    /// Whether a person confirms each use.
    pub approve: bool,
    /// The partner whose identity it is for.
    pub partner: Option<String>,
    /// Who made it.
    pub created_by: String,
    /// When.
    pub created_at: Timestamp,
    /// When it was taken back.
    pub withdrawn: Option<Timestamp>,
    /// How many wrong codes were tried on it since the last right one.
    pub failures: u32,
    /// Until when no code is looked at.
    pub blocked_until: Option<Timestamp>,
}

/// One use of an invite.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Use {
    /// SHA-256 of the SubjectPublicKeyInfo that asked: who asks again with the same key gets the same answer.
    pub key: [u8; 32],
    /// When it was first asked.
    pub at: Timestamp,
    /// From where.
    pub from: String,
    /// How far it has come.
    pub stage: Stage,
    /// The kind of key, and the names that stand in the request, for the person who decides.
    pub asked: Asked,
}

/// What a request shows of itself. Its names are shown and not certified: those are the invite's.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Asked {
    /// The kind of key.
    pub key: String,
    /// The names, as far as there is room.
    pub names: Vec<String>,
}

/// Names of a request that are kept, and the characters of each.
const KEPT_NAMES: (usize, usize) = (20, 100);

impl Asked {
    /// What is kept of a request for this key and these names.
    #[must_use]
    pub fn of(key: &PublicKey, names: &SubjectNames) -> Self {
        let (most, longest) = KEPT_NAMES;
        let common_name = names.common_name.iter().map(|name| format!("CN={name}"));
        let organization = names.organization.iter().map(|name| format!("O={name}"));
        let units = names.organizational_units.iter().map(|name| format!("OU={name}"));
        let subject = common_name.chain(organization).chain(units);
        let names = subject.chain(names.alternative.iter().map(ToString::to_string));
        Asked {
            key: key.algorithm().to_string(),
            names: names.take(most).map(|name| name.chars().take(longest).collect()).collect(),
        }
    }
}

/// How far a use has come.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Stage {
    /// A person is to confirm it.
    Asked,
    /// It may be issued.
    Granted,
    /// A person refused it.
    Denied,
    /// It was issued under this serial number.
    Issued(Vec<u8>),
}

/// What a new invite is to be.
#[derive(Debug, Clone)]
pub struct NewInvite {
    /// The name its certificates are filed under.
    pub label: String,
    /// The names its certificates have.
    pub names: SubjectNames,
    /// Their kind.
    pub profile: Profile,
    /// How long they live.
    pub lifetime: Option<SignedDuration>,
    /// How many may be had.
    pub uses: u32,
    /// How long it can be redeemed.
    pub open_for: SignedDuration,
    /// Whether a person confirms each use.
    pub approve: bool,
    /// The partner whose identity it is for.
    pub partner: Option<String>,
    /// Whom to tell when the certificates end.
    pub contact: Option<String>,
}

/// Why there is no new invite.
#[derive(Debug, thiserror::Error)]
pub enum InviteError {
    /// The names cannot be certified.
    #[error(transparent)]
    Name(#[from] pki::name::NameError),
    /// The wish breaks a rule.
    #[error("{0}")]
    Rule(String),
    /// The partner is not known.
    #[error("there is no partner '{0}'; make it with `countersign partner add {0}`")]
    NoPartner(String),
    /// The identity is another partner's.
    #[error("'{label}' belongs to {owner}, not to {wanted}")]
    OtherPartner {
        /// The identity.
        label: String,
        /// Whose it is.
        owner: String,
        /// Whose it was said to be.
        wanted: String,
    },
    /// No random octets.
    #[error("no random numbers: {0}")]
    Entropy(String),
    /// The memory failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl Invite {
    /// Makes an invite, and gives it with its code, which is kept nowhere.
    ///
    /// # Errors
    /// [`InviteError`].
    pub fn create(
        store: &dyn Store,
        entropy: &Entropy,
        wish: NewInvite,
        by: Who<'_>,
        now: Timestamp,
    ) -> Result<(Self, Code), InviteError> {
        wish.names.check()?;
        if wish.label.trim().is_empty() {
            return Err(InviteError::Rule("an invite is for somebody: give a name".to_owned()));
        }
        if !(1..=1000).contains(&wish.uses) {
            return Err(InviteError::Rule(format!("{} uses: from 1 to 1000 are possible", wish.uses)));
        }
        if !matches!(wish.profile, Profile::Client | Profile::Server) {
            return Err(InviteError::Rule(format!("an invite gives no {} certificate", wish.profile)));
        }
        let most = SignedDuration::from_hours(24 * wish.profile.most_days());
        if wish.lifetime.is_some_and(|lifetime| lifetime > most) {
            return Err(InviteError::Rule(format!(
                "a {} certificate lives at most {} days",
                wish.profile,
                wish.profile.most_days()
            )));
        }
        let expires = now
            .checked_add(wish.open_for)
            .map_err(|error| InviteError::Rule(format!("an invite cannot be open that long: {error}")))?;
        let mut identity = Identity::find(store, &wish.label)?;
        if let Some(partner) = &wish.partner {
            if crate::identity::Partner::find(store, partner)?.is_none() {
                return Err(InviteError::NoPartner(partner.clone()));
            }
            if let Some(owner) = identity.partner.as_ref().filter(|owner| *owner != partner) {
                let (owner, wanted) = (owner.clone(), partner.clone());
                return Err(InviteError::OtherPartner { label: wish.label, owner, wanted });
            }
            identity.partner = Some(partner.clone());
        }
        if wish.contact.is_some() {
            identity.contact.clone_from(&wish.contact);
        }
        let code = Code::draw(entropy).map_err(InviteError::Entropy)?;
        let invite = Invite {
            handle: code.handle.clone(),
            secret_hash: code.hash(),
            label: wish.label,
            names: wish.names,
            profile: wish.profile,
            lifetime: wish.lifetime,
            uses: wish.uses,
            used: Vec::new(),
            expires,
            approve: wish.approve,
            partner: identity.partner.clone(),
            created_by: by.actor.to_owned(),
            created_at: now,
            withdrawn: None,
            failures: 0,
            blocked_until: None,
        };
        let details =
            format!("{} for {} ({}), {} use(s)", invite.handle, invite.label, invite.profile, invite.uses);
        let commit = Commit::of(Write::Put(invite.record(0)))
            .and(identity.write(store)?)
            .noting(event(by, now, "invite", details));
        store.commit(commit)?;
        Ok((invite, code))
    }

    /// The invite of a handle, with the version it was read at.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn find(store: &dyn Store, handle: &str) -> Result<Option<(Self, u64)>, StoreError> {
        Ok(store.record(KIND, handle)?.and_then(|record| Some((Self::read(&record)?, record.version))))
    }

    /// Invites behind `after`, by handle.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn list(store: &dyn Store, after: Option<&str>, limit: usize) -> Result<Vec<Self>, StoreError> {
        Ok(store.records(KIND, None, after, limit)?.iter().filter_map(Self::read).collect())
    }

    /// Those that a person is to decide on, by handle, from behind `after`.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn waiting(store: &dyn Store, after: Option<&str>, limit: usize) -> Result<Vec<Self>, StoreError> {
        Ok(store.records(KIND, Some(WAITING), after, limit)?.iter().filter_map(Self::read).collect())
    }

    /// Whether a person is to decide on a request.
    fn waits(&self) -> bool {
        self.withdrawn.is_none() && self.used.iter().any(|used| used.stage == Stage::Asked)
    }

    /// Whether this is its code. Takes as long for a wrong one as for the right one.
    #[must_use]
    pub fn is_code(&self, code: &Code) -> bool {
        pki::same_secret(&self.secret_hash, &code.hash())
    }

    /// How many certificates can still be had.
    #[must_use]
    pub fn left(&self) -> u32 {
        let taken = self.used.iter().filter(|used| used.stage != Stage::Denied).count();
        self.uses.saturating_sub(u32::try_from(taken).unwrap_or(u32::MAX))
    }

    /// The word for its state.
    #[must_use]
    pub fn state(&self, now: Timestamp) -> &'static str {
        if self.withdrawn.is_some() {
            "withdrawn"
        } else if self.waits() {
            "waits for approval"
        } else if self.left() == 0 {
            "used up"
        } else if now > self.expires {
            "expired"
        } else {
            "open"
        }
    }

    /// Its record, to be written where this version is there.
    pub(crate) fn record(&self, version: u64) -> Record {
        let used: Vec<Value> = self.used.iter().map(Use::to_json).collect();
        let body = json!({
            "secret_hash": pki::hex(&self.secret_hash),
            "label": self.label,
            "names": names_to_json(&self.names),
            "profile": self.profile.name(),
            "lifetime_seconds": self.lifetime.map(|lifetime| lifetime.as_secs()),
            "uses": self.uses,
            "used": used,
            "expires": self.expires.as_second(),
            "approve": self.approve,
            "created_by": self.created_by,
            "created_at": self.created_at.as_second(),
            "withdrawn": self.withdrawn.map(Timestamp::as_second),
            "failures": self.failures,
            "blocked_until": self.blocked_until.map(Timestamp::as_second),
            "partner": self.partner,
        });
        let mut record = Record::new(KIND, &self.handle, body.to_string());
        if self.waits() {
            record = record.owned_by(WAITING);
        }
        record.version = version;
        record
    }

    fn read(record: &Record) -> Option<Self> {
        let value: Value = serde_json::from_str(&record.body).ok()?;
        let time =
            |member: &str| value[member].as_i64().and_then(|seconds| Timestamp::from_second(seconds).ok());
        let number = |member: &str| value[member].as_u64().and_then(|number| u32::try_from(number).ok());
        Some(Invite {
            handle: record.id.clone(),
            secret_hash: octets(&value["secret_hash"])?.try_into().ok()?,
            label: value["label"].as_str()?.to_owned(),
            names: names_from_json(&value["names"]).ok()?,
            profile: value["profile"].as_str()?.parse().ok()?,
            lifetime: value["lifetime_seconds"].as_i64().map(SignedDuration::from_secs),
            uses: number("uses")?,
            used: value["used"].as_array()?.iter().map(Use::from_json).collect::<Option<_>>()?,
            expires: time("expires")?,
            approve: value["approve"].as_bool()?,
            partner: value["partner"].as_str().map(str::to_owned),
            created_by: value["created_by"].as_str()?.to_owned(),
            created_at: time("created_at")?,
            withdrawn: time("withdrawn"),
            failures: number("failures")?,
            blocked_until: time("blocked_until"),
        })
    }
}

impl Use {
    fn to_json(&self) -> Value {
        let (stage, serial) = match &self.stage {
            Stage::Asked => ("asked", None),
            Stage::Granted => ("granted", None),
            Stage::Denied => ("denied", None),
            Stage::Issued(serial) => ("issued", Some(pki::hex(serial))),
        };
        json!({
            "key": pki::hex(&self.key),
            "at": self.at.as_second(),
            "from": self.from,
            "stage": stage,
            "serial": serial,
            "kind_of_key": self.asked.key,
            "names": self.asked.names,
        })
    }

    fn from_json(value: &Value) -> Option<Self> {
        let stage = match value["stage"].as_str()? {
            "asked" => Stage::Asked,
            "granted" => Stage::Granted,
            "denied" => Stage::Denied,
            "issued" => Stage::Issued(octets(&value["serial"])?),
            _ => return None,
        };
        let at = Timestamp::from_second(value["at"].as_i64()?).ok()?;
        let from = value["from"].as_str()?.to_owned();
        let names = value["names"].as_array().into_iter().flatten();
        let asked = Asked {
            key: value["kind_of_key"].as_str().unwrap_or_default().to_owned(),
            names: names.filter_map(|name| Some(name.as_str()?.to_owned())).collect(),
        };
        Some(Use { key: octets(&value["key"])?.try_into().ok()?, at, from, stage, asked })
    }
}

fn octets(value: &Value) -> Option<Vec<u8>> {
    pki::unhex(value.as_str()?)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)] // In a test a panic is the report.
mod tests {
    use super::*;

    fn counting() -> Entropy {
        Box::new(|octets| {
            (0..).zip(octets).for_each(|(n, octet)| *octet = n);
            Ok(())
        })
    }

    #[test]
    fn a_code_is_read_as_it_was_drawn_in_any_case_and_its_debug_hides_it() {
        let code = Code::draw(&counting()).unwrap();
        assert_eq!(code.reveal().len(), HANDLE_LENGTH + 1 + SECRET_LENGTH);
        assert_eq!(Code::parse(&code.reveal().to_uppercase()), Some(code.clone()));
        assert!(!format!("{code:?}").contains(&code.secret));
        let text = code.reveal();
        for bad in
            ["", "-", &text[1..], &format!("{text}a"), &text.replace('-', "_"), &text.replace('-', "1")]
        {
            assert_eq!(Code::parse(bad), None, "{bad}");
        }
    }

    #[test]
    fn every_letter_of_a_code_counts() {
        let code = Code::draw(&counting()).unwrap();
        let hash = code.hash();
        let text = code.reveal();
        for place in (0..text.len()).filter(|place| *place != HANDLE_LENGTH) {
            let letter = if text.as_bytes()[place] == b'a' { "b" } else { "a" };
            let other = format!("{}{letter}{}", &text[..place], &text[place + 1..]);
            assert_ne!(Code::parse(&other).unwrap().hash(), hash, "letter {place}");
        }
    }
}
