//! "What would alice be allowed?": rules as they stand in a gateway's configuration, asked of a certificate that was
//! issued, by the same policy engine; and what its identity may do with the authority itself. Nothing is changed.

use axum::body::Bytes;
use axum::extract::State as FromState;
use axum::response::Response;
use ca::{Identity, Permission, Selector};
use jiff::Timestamp;
use pki::Certificate;
use pki::crl::CertificateRevocationList;
use pki::identity::VerifiedPeer;
use pki::policy::{self, Effect, Policy, Rule, Statement};
use pki::verify::{Purpose, Rules, verify};
use serde::Deserialize;
use serde_json::{Value, json};

use super::{ok, read};
use crate::{Problem, State};

/// The methods that are asked for where nothing is said.
const METHODS: [&str; 5] = ["GET", "HEAD", "POST", "PUT", "DELETE"];
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Question {
    which: String,
    /// One a line: `cn alice`, `deny ou Interns`, `allow cn alice for GET HEAD`.
    #[serde(default)]
    rules: String,
}

pub(super) async fn evaluate(FromState(state): FromState<State>, body: Bytes) -> Result<Response, Problem> {
    let question: Question = read(&body)?;
    let statements = policy::read(&question.rules).map_err(|error| Problem::of(400, "bad-request", error))?;
    let now = state.now();
    let document = state.blocking(move |state| answer(state, &question.which, statements, now)).await?;
    Ok(ok(&document))
}

fn answer(state: &State, which: &str, statements: Vec<Statement>, now: Timestamp) -> Result<Value, Problem> {
    let mut found = state.store().find(&Selector::parse(which))?;
    if found.is_empty() {
        return Err(Problem::of(404, "not-found", format!("no certificate of '{which}' was found")));
    }
    // Of several the good ones go first, and of those the newest.
    found.sort_by_key(|entry| (!entry.is_good(now), std::cmp::Reverse(entry.issued_at)));
    let entry = found.swap_remove(0);
    let sentences: Vec<String> = statements.iter().map(sentence).collect();
    let verified = verified(state, &entry.der, now)?;
    let role = Identity::find(state.store(), &entry.label)?.role;
    let permissions: Vec<&str> = PERMISSIONS
        .iter()
        .filter(|(one, _)| role.is_some_and(|role| role.allows(*one)))
        .map(|(_, words)| *words)
        .collect();
    let policy = Policy::of(statements);
    let methods: Vec<Value> = match &verified {
        Err(_) => Vec::new(),
        Ok(peer) => METHODS
            .iter()
            .map(|method| match policy.evaluate_for(peer, Some(method)) {
                Ok(permit) => json!({ "method": method, "allowed": true, "rule": permit.rule() }),
                Err(denial) => {
                    json!({ "method": method, "allowed": false, "rule": denial.forbidden_by(), "why": denial.to_string() })
                }
            })
            .collect(),
    };
    Ok(json!({
        "name": entry.label,
        "serial_number": pki::hex(&entry.serial),
        "valid": verified.is_ok(),
        "why_not": verified.as_ref().err(),
        "identities": verified.as_ref().map(|peer| {
            peer.identities().iter().map(ToString::to_string).collect::<Vec<_>>()
        }).unwrap_or_default(),
        "rules": sentences,
        "methods": methods,
        "role": role.map(ca::Role::name),
        "permissions": permissions,
    }))
}

/// What a role's permissions are called.
pub(crate) const PERMISSIONS: [(Permission, &str); 6] = [
    (Permission::Read, "see certificates, invites, partners and refusals"),
    (Permission::Audit, "read the audit trail"),
    (Permission::Enrol, "invite people and have requests signed"),
    (Permission::Operate, "revoke, approve, and change partners"),
    (Permission::Administer, "decide who has which role"),
    (Permission::Follow, "follow the feed and report, as gateways do"),
];

/// The certificate as a gateway would see it now: verified to the anchors, and not on the list.
fn verified(state: &State, der: &[u8], now: Timestamp) -> Result<Result<VerifiedPeer, String>, Problem> {
    let certificate = Certificate::from_der(der).map_err(|error| Problem::internal(&error))?;
    let authority = state.authority();
    let made =
        authority.crls(now, state.settings().list_lifetime).map_err(|error| Problem::internal(&error))?;
    let lists =
        made.iter().map(|der| CertificateRevocationList::from_der(der)).collect::<Result<Vec<_>, _>>();
    let lists = lists.map_err(|error| Problem::internal(&error))?;
    let trust = authority.anchors();
    let rules = Rules { crls: &lists, ..Rules::new(&trust, Purpose::Client, now) };
    let chains: Vec<Certificate> =
        authority.lines().all().iter().flat_map(|line| line.issuer().intermediates()).collect();
    Ok(verify(&certificate, &chains, &rules)
        .map(VerifiedPeer::new)
        .map_err(|refusal| refusal.first().to_string()))
}

/// A statement in words.
fn sentence(statement: &Statement) -> String {
    let whom = match &statement.rule {
        Rule::All => "Everyone whose certificate verifies".to_owned(),
        Rule::CommonName(name) => format!("Whoever has the common name {name}"),
        Rule::OrganizationalUnit(unit) => format!("Everyone of the organizational unit {unit}"),
        Rule::Dns(name) => match name.strip_prefix("*.") {
            Some(parent) => format!("Whoever has a DNS name one label under {parent}"),
            None => format!("Whoever has the DNS name {name}"),
        },
        Rule::Uri(pattern) if pattern.contains('*') => format!("Whoever has a URI like {pattern}"),
        Rule::Uri(uri) => format!("Whoever has the URI {uri}"),
        Rule::Email(mailbox) => match mailbox.strip_prefix('@') {
            Some(host) => format!("Everyone with a mailbox at {host}"),
            None => format!("Whoever has the mailbox {mailbox}"),
        },
        Rule::Ip(range) => format!("Whoever's certificate names an address in {range}"),
        Rule::UserPrincipalName(name) => format!("Whoever has the user principal name {name}"),
        Rule::RegisteredId(id) => format!("Whoever has the registered identifier {id}"),
        Rule::Directory(name) => format!("Whoever has the directory name {name}"),
        Rule::SpkiPin(pin) => format!("Whoever holds the key with the pin {}", pki::hex(pin)),
    };
    let may = match statement.effect {
        Effect::Allow => "may pass",
        Effect::Deny => "may not pass, whatever else is said",
    };
    match statement.methods.as_slice() {
        [] => format!("{whom} {may}."),
        methods => format!("{whom} {may}, with {} alone.", methods.join(", ")),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test fails by panicking")]
    use super::*;

    #[test]
    fn rules_read_as_sentences_and_what_is_none_is_named_with_its_line() {
        let text = "# who\ncn alice\n\ndeny ou Interns for DELETE, PUT\nallow dns *.acme.test for GET\nall\ncn for you";
        let read = policy::read(text).map(|all| all.iter().map(sentence).collect::<Vec<_>>());
        let expected = [
            "Whoever has the common name alice may pass.",
            "Everyone of the organizational unit Interns may not pass, whatever else is said, with DELETE, PUT alone.",
            "Whoever has a DNS name one label under acme.test may pass, with GET alone.",
            "Everyone whose certificate verifies may pass.",
            "Whoever has the common name for you may pass.",
        ];
        assert_eq!(read, Ok(expected.map(str::to_owned).to_vec()));
        for (wrong, place) in [("cn", "line 1"), ("all\nname alice", "line 2"), ("ip nowhere", "line 1")] {
            let error = policy::read(wrong).unwrap_err().to_string();
            assert!(error.starts_with(place), "{wrong}: {error}");
        }
        assert!(policy::read(&"all\n".repeat(policy::MOST_RULES + 1)).is_err());
    }
}
