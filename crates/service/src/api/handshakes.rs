//! Handshakes over time: what gateways tell, and the counts by TLS version, kind of key and identity.

use std::collections::BTreeMap;

use axum::body::Bytes;
use axum::extract::{Query as FromQuery, State as FromState};
use axum::response::Response;
use ca::observed::{HANDSHAKES, Span, Tally};
use jiff::{SignedDuration, Timestamp};
use serde::Deserialize;
use serde_json::{Value, json};

use super::health::short;
use super::{ok, read};
use crate::{Problem, State};

/// Identities that are listed: those with the most handshakes.
const MOST_IDENTITIES: usize = 100;
/// The counts of one report, which has at most 64 KiB anyway.
const MOST_COUNTS: usize = 5000;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Wanted {
    by: Option<String>,
}

pub(super) async fn show(
    FromState(state): FromState<State>,
    wanted: Result<FromQuery<Wanted>, axum::extract::rejection::QueryRejection>,
) -> Result<Response, Problem> {
    let bad = |detail: String| Problem::of(400, "bad-request", detail);
    let FromQuery(wanted) = wanted.map_err(|error| bad(error.body_text()))?;
    let (name, span, most) = match wanted.by.as_deref() {
        None | Some("hour") => ("hour", Span::Hour, 24),
        Some("day") => ("day", Span::Day, 30),
        Some(other) => return Err(bad(format!("by={other} is none of hour, day"))),
    };
    let now = state.now();
    let starts: Vec<Timestamp> = (0..most)
        .rev()
        .map(|back| span.start(now) - SignedDuration::from_secs(back * span.seconds()))
        .collect();
    let from = starts.first().copied().unwrap_or(now);
    let tallies = state
        .blocking(move |state| {
            state.share_handshakes()?;
            Ok(state.store().tallies(HANDSHAKES, span, from)?)
        })
        .await?;
    Ok(ok(&summed(name, &starts, &tallies)))
}

/// Handshakes of some kind, by version and by kind of key.
#[derive(Default)]
struct Sums<'a> {
    count: u64,
    by_version: BTreeMap<&'a str, u64>,
    by_key: BTreeMap<&'a str, u64>,
}

/// What stands where a client has no key.
const NO_CERTIFICATE: &str = "no certificate";

impl<'a> Sums<'a> {
    fn add(&mut self, tally: &'a Tally) {
        let key = if tally.key.is_empty() { NO_CERTIFICATE } else { &tally.key };
        let sums = [
            &mut self.count,
            self.by_version.entry(&tally.tls_version).or_default(),
            self.by_key.entry(key).or_default(),
        ];
        for sum in sums {
            *sum = sum.saturating_add(tally.count);
        }
    }

    fn json(&self) -> Value {
        json!({ "count": self.count, "by_tls_version": self.by_version, "by_key": self.by_key })
    }
}

fn summed(by: &str, starts: &[Timestamp], tallies: &[Tally]) -> Value {
    let mut all = Sums::default();
    let mut over_time: BTreeMap<Timestamp, Sums<'_>> =
        starts.iter().map(|start| (*start, Sums::default())).collect();
    let mut identities: BTreeMap<&str, Sums<'_>> = BTreeMap::new();
    let (mut unnamed, mut without) = (0_u64, 0_u64);
    for tally in tallies {
        all.add(tally);
        over_time.entry(tally.start).or_default().add(tally);
        match (tally.name.as_str(), tally.key.as_str()) {
            ("", "") => without = without.saturating_add(tally.count),
            ("", _) => unnamed = unnamed.saturating_add(tally.count),
            (name, _) => identities.entry(name).or_default().add(tally),
        }
    }
    let mut identities: Vec<(&str, Sums<'_>)> = identities.into_iter().collect();
    identities.sort_by_key(|(name, sums)| (std::cmp::Reverse(sums.count), *name));
    // Of those that are not listed it is known how many they did together.
    let rest = identities.iter().skip(MOST_IDENTITIES).map(|(_, sums)| sums.count);
    unnamed = rest.fold(unnamed, u64::saturating_add);
    let with = |mut value: Value, member: &str, text: &str| {
        value[member] = json!(text);
        value
    };
    let listed = identities.iter().take(MOST_IDENTITIES);
    json!({
        "by": by,
        "total": all.count,
        "by_tls_version": all.by_version,
        "by_key": all.by_key,
        "by_identity": listed.map(|(name, sums)| with(sums.json(), "identity", name)).collect::<Vec<_>>(),
        "unnamed": unnamed,
        "without_certificate": without,
        "over_time": over_time.iter()
            .map(|(start, sums)| with(sums.json(), "start", &start.to_string())).collect::<Vec<_>>(),
    })
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Report {
    gateway: String,
    hours: Vec<Hour>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Hour {
    hour: String,
    handshakes: Vec<Count>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Count {
    identity: Option<String>,
    key: Option<String>,
    tls_version: String,
    count: u64,
}

/// A gateway's counts since it told the last time. They are shown and never acted upon: a gateway can say what it likes.
pub(super) async fn report(FromState(state): FromState<State>, body: Bytes) -> Result<Response, Problem> {
    let bad = |detail: String| Problem::of(400, "bad-request", detail);
    let Report { gateway, hours }: Report = read(&body)?;
    if gateway.trim().is_empty() {
        return Err(bad("a gateway has a name".to_owned()));
    }
    if hours.iter().map(|hour| hour.handshakes.len()).sum::<usize>() > MOST_COUNTS {
        return Err(bad(format!("a report has at most {MOST_COUNTS} counts")));
    }
    let now = state.now();
    let mut taken = 0_u64;
    for Hour { hour, handshakes } in hours {
        let hour: Timestamp = hour.parse().map_err(|error| bad(format!("'{hour}': {error}")))?;
        // A clock that goes ahead counts as of now; what is too old has no place any more.
        let hour = hour.min(now);
        if now.duration_since(hour) >= Span::Hour.kept() {
            continue;
        }
        for Count { identity, key, tls_version, count } in handshakes {
            let identity = identity.as_deref().map(short);
            state.sharing().count(hour, identity.as_deref(), key.as_deref(), &tls_version, count);
            taken = taken.saturating_add(count);
        }
    }
    Ok(ok(&json!({ "handshakes": taken })))
}
