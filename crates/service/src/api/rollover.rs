//! Changing the CA, step by step: how far it has come, what remains, and the next step. A step that would cut somebody
//! off is refused, with who that is, unless it is forced.

use std::collections::BTreeMap;

use axum::Extension;
use axum::extract::{Query as FromQuery, State as FromState};
use axum::response::Response;
use bytes::Bytes;
use ca::rollover::{self, NewLine, Rollover, RolloverError, Seen, Step};
use ca::{Entry, Line, Query, Selector, StateFilter};
use jiff::{SignedDuration, Timestamp};
use pki::certificate::serial_hex;
use pki::key::KeyAlgorithm;
use serde::Deserialize;
use serde_json::{Value, json};

use super::{Caller, ok, read};
use crate::radar::LATE_AFTER;
use crate::state::{OfGateway, Replica};
use crate::{Problem, State};

/// Whoever was seen within this time counts as still there, where nothing is said.
const SEEN_WITHIN: SignedDuration = SignedDuration::from_hours(24);

/// Within this time what the old line issued should be renewed, where nothing is said.
const RENEW_WITHIN: SignedDuration = SignedDuration::from_hours(24);

/// The most certificates and clients that are listed.
const MOST_LISTED: usize = 100;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Wanted {
    within_seconds: Option<i64>,
}

/// `GET /api/v1/rollover`.
pub(super) async fn show(
    FromState(state): FromState<State>,
    wanted: Result<FromQuery<Wanted>, axum::extract::rejection::QueryRejection>,
) -> Result<Response, Problem> {
    let FromQuery(wanted) = wanted.map_err(|error| bad(error.body_text()))?;
    let within = wanted.within_seconds.map_or(SEEN_WITHIN, SignedDuration::from_secs);
    Ok(ok(&state.blocking(move |state| status(state, within)).await?))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Wish {
    step: String,
    #[serde(default)]
    intermediate: bool,
    key: Option<String>,
    days: Option<u32>,
    renew_within_seconds: Option<i64>,
    seen_within_seconds: Option<i64>,
    #[serde(default)]
    force: bool,
}

/// `POST /api/v1/rollover`: takes a step, and says how far it has come then.
pub(super) async fn take(
    FromState(state): FromState<State>,
    Extension(caller): Extension<Caller>,
    body: Bytes,
) -> Result<Response, Problem> {
    let wish: Wish = read(&body)?;
    let within = wish.seen_within_seconds.map_or(SEEN_WITHIN, SignedDuration::from_secs);
    state
        .blocking(move |state| {
            step(state, &caller, &wish, within)?;
            state.look()
        })
        .await?;
    state.until_shown().await;
    let document = state
        .blocking(move |state| {
            // The step is taken; that this process can go on with it is known by what it says next in any case.
            let _ = Replica::pulse(state, state.now());
            status(state, within)
        })
        .await?;
    Ok(ok(&document))
}

fn step(state: &State, caller: &Caller, wish: &Wish, within: SignedDuration) -> Result<(), Problem> {
    let (authority, now, by) = (state.authority(), state.now(), caller.who());
    let renew_within = wish.renew_within_seconds.map_or(RENEW_WITHIN, SignedDuration::from_secs);
    if renew_within < SignedDuration::from_secs(1) {
        return Err(bad("what is to be renewed gets at least a second for it".to_owned()));
    }
    let facts = Facts::gather(state, within)?;
    // What is not said to be the next step is refused before anybody asks who would be cut off by it.
    let at = |wanted: Step| facts.rollover.is_some_and(|rollover| rollover.step == wanted);
    let refuse = |reasons: Vec<String>| -> Result<(), Problem> {
        if wish.force || reasons.is_empty() {
            return Ok(());
        }
        let detail = format!("{}; --force takes the step all the same", reasons.join("; "));
        Err(Problem::of(409, "still-needed", detail).with("remains", reasons))
    };
    let taken = match wish.step.as_str() {
        "start" => {
            let algorithm = wish.key.as_deref().map(|kind| {
                kind.parse::<KeyAlgorithm>().map_err(|error| bad(format!("the key '{kind}': {error}")))
            });
            let days = wish.days.map(|days| SignedDuration::from_hours(24 * i64::from(days)));
            let line =
                NewLine { new_root: !wish.intermediate, algorithm: algorithm.transpose()?, lifetime: days };
            authority.start_rollover(&line, by, now)
        }
        "next" => {
            if at(Step::Distribute) {
                refuse(facts.before_switch())?;
            }
            authority.switch(renew_within, by, now)
        }
        "retire" => {
            if at(Step::Reissue) {
                refuse(facts.before_retiring(now))?;
            }
            authority.retire(by, now)
        }
        "abort" => authority.abort(renew_within, by, now),
        other => return Err(bad(format!("'{other}' is none of start, next, retire and abort"))),
    };
    taken.map_err(problem)
}

fn bad(detail: String) -> Problem {
    Problem::of(400, "bad-request", detail)
}

fn problem(error: RolloverError) -> Problem {
    match error {
        RolloverError::Store(error) => error.into(),
        RolloverError::Underway(_) | RolloverError::None | RolloverError::OtherStep { .. } => {
            Problem::of(409, "other-step", error)
        }
        RolloverError::NoKeyring
        | RolloverError::RootKey(_)
        | RolloverError::InUse { .. }
        | RolloverError::OtherKind { .. }
        | RolloverError::Key { .. } => Problem::of(409, "no-key", error),
        RolloverError::Lifetime(_) | RolloverError::Prepare(_) => Problem::of(400, "bad-request", error),
        RolloverError::Sign(_) | RolloverError::Entropy(_) | RolloverError::Open(_) => {
            Problem::internal(&error)
        }
    }
}

/// What a step is judged by.
struct Facts {
    rollover: Option<Rollover>,
    /// Those who would be cut off.
    seen: Vec<(Entry, Seen)>,
    /// Replicas that were heard lately and could not issue after the switch.
    without_key: Vec<String>,
    /// Gateways that were heard lately, by whichever replica, and which certificates of the line that is left they show.
    gateways: Vec<(OfGateway, Vec<Entry>)>,
}

impl Facts {
    fn gather(state: &State, within: SignedDuration) -> Result<Self, Problem> {
        state.remember_seen()?;
        let now = state.now();
        let lines = state.authority().lines();
        let Some(rollover) = lines.rollover().copied() else {
            let (seen, without_key, gateways) = (Vec::new(), Vec::new(), Vec::new());
            return Ok(Facts { rollover: None, seen, without_key, gateways });
        };
        let since = now.checked_sub(within).map_err(|error| bad(error.to_string()))?;
        let seen = match rollover.step {
            Step::Distribute => Vec::new(),
            Step::Reissue => rollover::still_seen(state.store(), rollover.from, since, now)?,
        };
        let is_late = |heard: Timestamp| now.duration_since(heard) > LATE_AFTER;
        let replicas = Replica::heard(state.store(), now)?;
        let lacks = |one: &&Replica| !is_late(one.heard) && !one.keys.contains(&rollover.to);
        let without_key = replicas.iter().filter(lacks).map(|one| one.name.clone()).collect();
        let mut heard: BTreeMap<String, OfGateway> = BTreeMap::new();
        let of_replicas = replicas.into_iter().flat_map(|replica| replica.gateways);
        for one in of_replicas.chain(OfGateway::heard_here(state)).filter(|one| !is_late(one.heard)) {
            match heard.get(&one.name) {
                Some(known) if known.heard > one.heard => {}
                _ => drop(heard.insert(one.name.clone(), one)),
            }
        }
        let mut gateways = Vec::new();
        for gateway in heard.into_values() {
            let mut old = Vec::new();
            for serial in &gateway.shows {
                let found = state.store().find(&Selector::Serial(serial.clone()))?;
                old.extend(
                    found.into_iter().filter(|entry| entry.line == rollover.from && entry.is_good(now)),
                );
            }
            gateways.push((gateway, old));
        }
        Ok(Facts { rollover: Some(rollover), seen, without_key, gateways })
    }

    /// What speaks against having the new line issue.
    fn before_switch(&self) -> Vec<String> {
        let Some(rollover) = self.rollover else { return Vec::new() };
        let mut reasons = Vec::new();
        if !self.without_key.is_empty() {
            reasons.push(format!(
                "{} cannot sign for line {}: copy keys/issuing-key-{} there",
                self.without_key.join(", "),
                rollover.to,
                rollover.to
            ));
        }
        reasons.extend(self.unbelieving("would refuse the new clients that send no cross-certificate"));
        reasons
    }

    /// What speaks against retiring the old line.
    fn before_retiring(&self, now: Timestamp) -> Vec<String> {
        let mut reasons: Vec<String> = self
            .seen
            .iter()
            .take(10)
            .map(|(entry, seen)| {
                let ago = now.duration_since(seen.at).as_secs().max(0);
                let place = seen.by.as_deref().unwrap_or("the authority itself");
                let serial: String = serial_hex(&entry.serial).chars().take(8).collect();
                format!(
                    "'{}' ({serial}…) was seen {ago} s ago by {place} with a certificate of the old line, and has got no \
                     new one since",
                    entry.label,
                )
            })
            .collect();
        if self.seen.len() > 10 {
            reasons.push(format!("and {} more", self.seen.len() - 10));
        }
        for (gateway, old) in &self.gateways {
            reasons.extend(old.iter().take(5).map(|entry| {
                let serial: String = serial_hex(&entry.serial).chars().take(8).collect();
                format!(
                    "{} shows the certificate '{}' ({serial}…) of the old line, which its clients would refuse then: renew it",
                    gateway.name, entry.label
                )
            }));
        }
        reasons.extend(self.unbelieving("would refuse all of the new line's clients"));
        reasons
    }

    /// Gateways that say whom they believe, and not the new root.
    fn unbelieving(&self, what: &str) -> Option<String> {
        let names: Vec<&str> = self
            .gateways
            .iter()
            .filter(|(gateway, _)| gateway.believes == Some(false))
            .map(|(gateway, _)| &*gateway.name)
            .collect();
        (!names.is_empty())
            .then(|| format!("{} does not believe the new root yet and {what}", names.join(", ")))
    }
}

/// How far the rollover has come, and what remains. Blocks.
pub(crate) fn status(state: &State, within: SignedDuration) -> Result<Value, Problem> {
    state.authority().refresh().map_err(|error| Problem::internal(&error))?;
    let now = state.now();
    let lines = state.authority().lines();
    let facts = Facts::gather(state, within)?;
    let (mut all, mut good) = (Vec::new(), BTreeMap::new());
    for line in lines.all() {
        // Counting takes longest, and of a line that is over nothing is good.
        let count = if line.is_over(now) { 0 } else { state.store().line_standing(line.number(), now)?.good };
        let is_issuing = line.number() == lines.issuing().number();
        all.push(line_json(line, is_issuing, count, now));
        good.insert(line.number(), count);
    }
    let Some(rollover) = facts.rollover else {
        let remains: Vec<String> = lines
            .all()
            .iter()
            .filter(|line| line.retired().is_some() && !line.is_over(now))
            .map(|line| {
                let ends = line.ends().map(|end| end.to_string()).unwrap_or_default();
                format!(
                    "the lists of line {} are signed until its last certificate ends, at {ends}: keep its key",
                    line.number()
                )
            })
            .collect();
        return Ok(
            json!({ "step": "none", "rollover": null, "lines": all, "remains": remains, "blocked": false }),
        );
    };
    let old =
        Query { state: StateFilter::Good, line: Some(rollover.from), limit: MOST_LISTED, ..Query::default() };
    let old = state.store().list(&old, now)?;
    let good = good.get(&rollover.from).copied().unwrap_or_default();
    let (blocks, mut remains) = match rollover.step {
        Step::Distribute => (facts.before_switch(), Vec::new()),
        Step::Reissue => {
            let mut remains = Vec::new();
            if good > 0 {
                remains.push(format!(
                    "certificates of line {} that are good and neither renewed nor ended: {good}",
                    rollover.from
                ));
            }
            (facts.before_retiring(now), remains)
        }
    };
    remains.splice(0..0, blocks.iter().cloned());
    let is_new_root = lines.find(rollover.to).map(|line| line.issuer().anchor())
        != lines.find(rollover.from).map(|line| line.issuer().anchor());
    let seen: Vec<Value> = facts
        .seen
        .iter()
        .take(MOST_LISTED)
        .map(|(entry, seen)| {
            json!({ "name": entry.label, "serial_number": serial_hex(&entry.serial),
                    "seen_at": seen.at.to_string(), "seen_by": seen.by })
        })
        .collect();
    let certificates: Vec<Value> = old
        .entries
        .iter()
        .map(|entry| {
            json!({ "name": entry.label, "serial_number": serial_hex(&entry.serial),
                    "profile": entry.profile.name(), "not_after": entry.not_after.to_string() })
        })
        .collect();
    let gateways: Vec<Value> = facts
        .gateways
        .iter()
        .map(|(gateway, old)| {
            json!({ "name": gateway.name, "believes_new_root": gateway.believes,
                    "shows_of_old_line": old.iter().map(|entry| &entry.label).collect::<Vec<_>>() })
        })
        .collect();
    Ok(json!({
        "step": rollover.step.name(),
        "next": rollover.step.next(),
        "rollover": {
            "from": rollover.from, "to": rollover.to, "new_root": is_new_root,
            "started": rollover.started.to_string(),
            "switched": rollover.switched.map(|at| at.to_string()),
            "renew_by": rollover.renew_by.map(|at| at.to_string()),
        },
        "lines": all,
        "good_of_old_line": good,
        "certificates": certificates,
        "more_certificates": old.more,
        "still_seen": seen,
        "still_seen_total": facts.seen.len(),
        "replicas_without_key": facts.without_key,
        "gateways": gateways,
        "remains": remains,
        "blocked": !blocks.is_empty(),
    }))
}

fn line_json(line: &Line, is_issuing: bool, good: u64, now: Timestamp) -> Value {
    let (root, issuing) = (line.issuer().anchor(), line.issuer().certificate());
    json!({
        "number": line.number(),
        "issues": is_issuing,
        "root": root.subject().short(), "root_sha256": pki::hex(&root.sha256()),
        "root_not_after": root.not_after().to_string(),
        "issuing": issuing.subject().short(), "issuing_sha256": pki::hex(&issuing.sha256()),
        "has_key": line.key().is_some(),
        "good": good,
        "retired": line.retired().map(|at| at.to_string()),
        "ends": line.ends().map(|at| at.to_string()),
        "over": line.is_over(now),
    })
}
