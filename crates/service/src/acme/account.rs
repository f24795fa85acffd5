//! Accounts (RFC 8555 section 7.1.2) and the external bindings (section 7.3.4) that say whose they are.

use jiff::Timestamp;
use pki::Profile;
use pki::name::email_address;
use serde_json::{Value, json};

use crate::acme::identifier::printable;
use crate::acme::refusal::{Kind, Refusal};

/// The most contacts of one account, and the most octets of each.
const MOST_CONTACTS: usize = 8;

/// RFC 8555 section 7.1.6.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum AccountStatus {
    /// It may act.
    Valid,
    /// Its owner has ended it.
    Deactivated,
    /// The operator has ended it.
    Revoked,
}

impl AccountStatus {
    /// The RFC's word.
    pub(crate) fn word(self) -> &'static str {
        match self {
            AccountStatus::Valid => "valid",
            AccountStatus::Deactivated => "deactivated",
            AccountStatus::Revoked => "revoked",
        }
    }

    fn from_word(word: &str) -> Option<Self> {
        [AccountStatus::Valid, AccountStatus::Deactivated, AccountStatus::Revoked]
            .into_iter()
            .find(|status| status.word() == word)
    }
}

/// An account.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Account {
    /// The last segment of its URL.
    pub(crate) id: String,
    pub(crate) status: AccountStatus,
    /// Its key as canonical JWK.
    pub(crate) jwk: String,
    /// `mailto:` URLs.
    pub(crate) contact: Vec<String>,
    pub(crate) terms_agreed: bool,
    /// The external binding that it was made with.
    pub(crate) binding: Option<String>,
    pub(crate) created: Timestamp,
}

impl Account {
    /// Ends it by its owner's wish. That cannot be taken back (RFC 8555 section 7.3.6).
    pub(crate) fn deactivate(&mut self) {
        if self.status == AccountStatus::Valid {
            self.status = AccountStatus::Deactivated;
        }
    }

    /// Nothing, if it may act.
    ///
    /// # Errors
    /// `unauthorized` with the status.
    pub(crate) fn check(&self) -> Result<(), Refusal> {
        match self.status {
            AccountStatus::Valid => Ok(()),
            other => Err(Refusal::unauthorized(format!("this account is {}; make a new one", other.word()))),
        }
    }

    /// The text of its record.
    pub(crate) fn body(&self) -> String {
        json!({
            "status": self.status.word(),
            "jwk": self.jwk,
            "contact": self.contact,
            "terms_agreed": self.terms_agreed,
            "binding": self.binding,
            "created": self.created.as_second(),
        })
        .to_string()
    }

    /// Reads [`Account::body`].
    pub(crate) fn from_body(id: &str, body: &str) -> Option<Self> {
        let value: Value = serde_json::from_str(body).ok()?;
        Some(Account {
            id: id.to_owned(),
            status: AccountStatus::from_word(value["status"].as_str()?)?,
            jwk: value["jwk"].as_str()?.to_owned(),
            contact: texts(&value["contact"])?,
            terms_agreed: value["terms_agreed"].as_bool()?,
            binding: value["binding"].as_str().map(str::to_owned),
            created: time(&value["created"])?,
        })
    }
}

/// Checks the contacts of a request: mailboxes by `mailto:`, one in each, without headers (RFC 8555 section 7.3).
///
/// # Errors
/// `unsupportedContact` or `invalidContact`.
pub(crate) fn check_contacts(contacts: &[String]) -> Result<(), Refusal> {
    if contacts.len() > MOST_CONTACTS {
        let count = contacts.len();
        return Err(Refusal::new(
            Kind::InvalidContact,
            format!("{count} contacts; the most is {MOST_CONTACTS}"),
        ));
    }
    for contact in contacts {
        let shown = printable(contact);
        let Some(address) = contact.strip_prefix("mailto:") else {
            let detail = format!("'{shown}': only mailto: contacts are kept");
            return Err(Refusal::new(Kind::UnsupportedContact, detail));
        };
        if address.contains(['?', ',', '%']) || address.len() > 254 || email_address(address).is_err() {
            let detail = format!("'{shown}' is not one mailbox (RFC 6068), without header fields");
            return Err(Refusal::new(Kind::InvalidContact, detail));
        }
    }
    Ok(())
}

/// A right to make an account, given out by the operator: a MAC key under a name, for an identity or for anyone.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Binding {
    /// The key identifier that a client names.
    pub(crate) id: String,
    /// The MAC key; erased when the last use is spent.
    pub(crate) mac_key: Vec<u8>,
    /// Whose accounts they are: the name that client certificates are filed under.
    pub(crate) identity: Option<String>,
    /// The names that client certificates may carry.
    pub(crate) names: Vec<String>,
    /// What its accounts may order.
    pub(crate) profiles: Vec<Profile>,
    /// How many accounts may still be made with it.
    pub(crate) uses: u32,
    pub(crate) created: Timestamp,
    pub(crate) expires: Option<Timestamp>,
    pub(crate) revoked: Option<Timestamp>,
}

impl Binding {
    /// Takes one use of it. The MAC key goes with the last one: what is spent cannot be stolen.
    ///
    /// # Errors
    /// `unauthorized`, where it is spent, expired or revoked.
    pub(crate) fn spend(&mut self, now: Timestamp) -> Result<(), Refusal> {
        let no =
            |why: &str| Err(Refusal::unauthorized(format!("the external account key '{}' {why}", self.id)));
        if self.revoked.is_some() {
            return no("was revoked");
        }
        if self.expires.is_some_and(|end| now >= end) {
            return no("has expired; ask for a new one");
        }
        if self.uses == 0 {
            return no("has been used already; each makes one account unless it was given out for more");
        }
        self.uses -= 1;
        if self.uses == 0 {
            self.mac_key.clear();
        }
        Ok(())
    }

    /// Whether accounts made with it may order now.
    ///
    /// # Errors
    /// `unauthorized` where it was revoked, with all accounts that were made with it.
    pub(crate) fn check(&self) -> Result<(), Refusal> {
        match self.revoked {
            Some(at) => {
                Err(Refusal::unauthorized(format!("the binding of this account was revoked on {at}")))
            }
            None => Ok(()),
        }
    }

    /// The text of its record.
    pub(crate) fn body(&self) -> String {
        json!({
            "mac_key": pki::hex(&self.mac_key),
            "identity": self.identity,
            "names": self.names,
            "profiles": self.profiles.iter().map(|profile| profile.name()).collect::<Vec<_>>(),
            "uses": self.uses,
            "created": self.created.as_second(),
            "expires": self.expires.map(Timestamp::as_second),
            "revoked": self.revoked.map(Timestamp::as_second),
        })
        .to_string()
    }

    /// Reads [`Binding::body`].
    pub(crate) fn from_body(id: &str, body: &str) -> Option<Self> {
        let value: Value = serde_json::from_str(body).ok()?;
        let profiles = texts(&value["profiles"])?;
        Some(Binding {
            id: id.to_owned(),
            mac_key: pki::unhex(value["mac_key"].as_str()?)?,
            identity: value["identity"].as_str().map(str::to_owned),
            names: texts(&value["names"])?,
            profiles: profiles.iter().map(|name| name.parse().ok()).collect::<Option<_>>()?,
            uses: u32::try_from(value["uses"].as_u64()?).ok()?,
            created: time(&value["created"])?,
            expires: time(&value["expires"]),
            revoked: time(&value["revoked"]),
        })
    }
}

impl std::fmt::Debug for Binding {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Binding({}, for {:?})", self.id, self.identity)
    }
}

pub(crate) fn texts(value: &Value) -> Option<Vec<String>> {
    value.as_array()?.iter().map(|text| text.as_str().map(str::to_owned)).collect()
}

pub(crate) fn time(value: &Value) -> Option<Timestamp> {
    Timestamp::from_second(value.as_i64()?).ok()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test fails by panicking")]
    use super::*;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    fn binding() -> Binding {
        Binding {
            id: "k".to_owned(),
            mac_key: vec![1, 2, 3],
            identity: Some("alice".to_owned()),
            names: vec!["alice".to_owned()],
            profiles: vec![Profile::Client],
            uses: 1,
            created: at(0),
            expires: Some(at(100)),
            revoked: None,
        }
    }

    #[test]
    fn binding_is_spent_once_and_its_key_is_erased() {
        let mut one = binding();
        assert_eq!(one.spend(at(5)), Ok(()));
        assert!(one.mac_key.is_empty());
        assert!(one.spend(at(6)).unwrap_err().detail.contains("used already"));
        assert!(binding().spend(at(100)).unwrap_err().detail.contains("expired"));
        let mut revoked = Binding { revoked: Some(at(1)), ..binding() };
        assert!(revoked.spend(at(2)).is_err());
        assert!(revoked.check().is_err());
    }

    #[test]
    fn records_are_read_back() {
        assert_eq!(Binding::from_body("k", &binding().body()), Some(binding()));
        let account = Account {
            id: "a".to_owned(),
            status: AccountStatus::Valid,
            jwk: "{}".to_owned(),
            contact: vec!["mailto:a@b.test".to_owned()],
            terms_agreed: true,
            binding: None,
            created: at(7),
        };
        assert_eq!(Account::from_body("a", &account.body()), Some(account));
    }

    #[test]
    fn contacts_that_are_no_single_mailbox_are_refused() {
        let check = |contact: &str| check_contacts(&[contact.to_owned()]).map_err(|refusal| refusal.kind);
        assert_eq!(check("mailto:a@b.test"), Ok(()));
        assert_eq!(check("tel:+1"), Err(Kind::UnsupportedContact));
        for bad in
            ["mailto:", "mailto:a@b.test,c@d.test", "mailto:a@b.test?bcc=x@y.test", "mailto:a@b.test\r\nX: y"]
        {
            assert_eq!(check(bad), Err(Kind::InvalidContact), "{bad}");
        }
        assert!(check_contacts(&vec!["mailto:a@b.test".to_owned(); 9]).is_err());
    }
}
