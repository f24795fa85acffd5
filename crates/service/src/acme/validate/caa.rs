//! CAA (RFC 8659, with the parameters of RFC 8657): whether the owner of a domain lets this authority issue. Looked at
//! where the operator says by which name the authority is known there; a private authority has none, and the records of
//! public domains name public authorities.

use super::dns::DnsError;
use super::dns::message::{Data, RecordType};
use super::{Task, Validator, dns_refusal};
use crate::acme::identifier::{Identifier, printable};
use crate::acme::refusal::{Kind, Refusal};

/// Checks the records of the name, or of the closest name above it that has some.
pub(super) async fn check(validator: &Validator, task: &Task) -> Result<(), Refusal> {
    let Identifier::Dns(name) = &task.identifier else { return Ok(()) };
    if validator.caa_identities.is_empty() {
        return Ok(());
    }
    let mut domain = name.as_str();
    loop {
        let found = match validator.resolver.lookup(domain, RecordType::Caa).await {
            Ok(found) => found,
            Err(DnsError::NoSuchName { .. }) => Vec::new(),
            Err(error) => return Err(dns_refusal(error)),
        };
        let records: Vec<_> = found
            .into_iter()
            .filter_map(|data| match data {
                Data::Authorization { critical, tag, value } => {
                    Some((critical, tag, String::from_utf8_lossy(&value).into_owned()))
                }
                _ => None,
            })
            .collect();
        if !records.is_empty() {
            return judge(&records, domain, task, &validator.caa_identities);
        }
        match domain.split_once('.') {
            Some((_, parent)) => domain = parent,
            None => return Ok(()),
        }
    }
}

fn judge(
    records: &[(bool, String, String)],
    domain: &str,
    task: &Task,
    own: &[String],
) -> Result<(), Refusal> {
    let refuse = |why: String| Err(Refusal::new(Kind::Caa, format!("the CAA records of {domain} {why}")));
    for (critical, tag, _) in records {
        if *critical && !matches!(tag.as_str(), "issue" | "issuewild" | "iodef") {
            return refuse(format!("hold '{}', which is critical and not understood", printable(tag)));
        }
    }
    let of = |wanted: &str| -> Vec<&str> {
        records.iter().filter(|(_, tag, _)| tag == wanted).map(|(.., value)| value.as_str()).collect()
    };
    let wild = of("issuewild");
    let values = if task.wildcard && !wild.is_empty() { wild } else { of("issue") };
    if values.is_empty() || values.iter().any(|value| permits(value, task, own)) {
        return Ok(());
    }
    let shown: Vec<String> = values.iter().map(|value| format!("'{}'", printable(value))).collect();
    refuse(format!("do not let this authority ({}) issue: {}", own.join(", "), shown.join(", ")))
}

/// Whether one value names this authority, with parameters that this validation meets.
fn permits(value: &str, task: &Task, own: &[String]) -> bool {
    let mut parts = value.split(';').map(str::trim);
    let issuer = parts.next().unwrap_or_default();
    if !own.iter().any(|name| name.eq_ignore_ascii_case(issuer)) {
        return false;
    }
    parts.filter(|part| !part.is_empty()).all(|part| match part.split_once('=') {
        Some((name, uri)) if name.trim() == "accounturi" => uri.trim() == task.account_url,
        Some((name, methods)) if name.trim() == "validationmethods" => {
            methods.split(',').any(|method| method.trim() == task.kind.name())
        }
        Some(_) => true,
        None => false,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::acme::challenge::ChallengeKind;

    fn verdict(records: &[(bool, &str, &str)], wildcard: bool) -> bool {
        let records: Vec<_> = records
            .iter()
            .map(|(critical, tag, value)| (*critical, (*tag).to_owned(), (*value).to_owned()))
            .collect();
        let task = Task {
            kind: ChallengeKind::Dns01,
            identifier: Identifier::Dns("a.test".to_owned()),
            wildcard,
            token: String::new(),
            thumbprint: String::new(),
            account_url: "https://ca.test/acme/account/1".to_owned(),
        };
        judge(&records, "a.test", &task, &["ca.test".to_owned()]).is_ok()
    }

    #[test]
    fn records_let_issue_who_is_named() {
        assert!(verdict(&[(false, "issue", "ca.test")], false));
        assert!(verdict(&[(false, "issue", "other.test"), (false, "issue", "CA.test")], false));
        assert!(!verdict(&[(false, "issue", "other.test")], false));
        assert!(!verdict(&[(false, "issue", ";")], false));
        assert!(verdict(&[(false, "iodef", "mailto:a@b.test")], false));
        assert!(!verdict(&[(true, "future", "x"), (false, "issue", "ca.test")], false));
        assert!(!verdict(&[(false, "issue", "ca.test"), (false, "issuewild", ";")], true));
        assert!(verdict(&[(false, "issue", "ca.test"), (false, "issuewild", ";")], false));
    }

    #[test]
    fn parameters_bind_account_and_method() {
        let issue = |value| verdict(&[(false, "issue", value)], false);
        assert!(issue("ca.test; accounturi=https://ca.test/acme/account/1"));
        assert!(!issue("ca.test; accounturi=https://ca.test/acme/account/2"));
        assert!(issue("ca.test; validationmethods=http-01,dns-01"));
        assert!(!issue("ca.test; validationmethods=http-01"));
        assert!(!issue("ca.test; nonsense"));
    }
}
