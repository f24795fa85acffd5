//! What is to be done when, so that old and new certificates overlap and nobody is cut off.

use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};

use super::Replacement;
use super::found::Candidate;
use crate::context::{BAD, BOLD, Context, DIM, GOOD, WARN, width};
use crate::table::{self, Cell};

/// The time between the last moment to switch and the end of the old certificate, where there is so much.
const MARGIN: SignedDuration = SignedDuration::from_hours(7 * 24);

/// The dates.
pub(super) struct Plan {
    /// The first moment by which a new certificate must be in use.
    switch_first: Option<Timestamp>,
    /// The last one.
    switch_last: Option<Timestamp>,
    /// When the last old certificate ends.
    retire: Option<Timestamp>,
}

type Item = (Candidate, Replacement);

/// By when a client must show its new certificate: a week before the old one ends, or sooner where it ends soon. One that
/// strict servers refuse already has no time to lose.
fn switch_by(candidate: &Candidate, now: Timestamp) -> Timestamp {
    let end = candidate.certificate.not_after();
    let left = end.duration_since(now);
    if !candidate.is_for_clients || left.is_negative() { now } else { end - MARGIN.min(left / 3) }
}

fn day(at: Timestamp) -> String {
    at.strftime("%Y-%m-%d").to_string()
}

fn why(candidate: &Candidate) -> &'static str {
    match (candidate.public.is_some(), candidate.is_for_clients) {
        (true, true) => "public CA",
        (true, false) => "public CA, for servers only",
        (false, _) => "for servers only",
    }
}

impl Replacement {
    fn word(&self) -> &'static str {
        match self {
            Replacement::None => "to do",
            Replacement::Good { in_use: true, .. } => "in use",
            Replacement::Good { .. } => "replaced",
            Replacement::Invited { .. } => "invited",
            Replacement::Made { .. } => "made now",
            Replacement::Refused(_) => "cannot be",
        }
    }
}

impl Plan {
    pub(super) fn of(all: &[Item], now: Timestamp) -> Self {
        let switches = || all.iter().map(|(candidate, _)| switch_by(candidate, now));
        let ends = all.iter().map(|(candidate, _)| candidate.certificate.not_after());
        Plan { switch_first: switches().min(), switch_last: switches().max(), retire: ends.max() }
    }

    pub(super) fn json(&self, read: usize, all: &[Item], now: Timestamp) -> Value {
        let item = |(candidate, replacement): &Item| {
            let certificate = &candidate.certificate;
            let (until, file, link, reason) = match replacement {
                Replacement::None => (None, None, None, None),
                Replacement::Good { until, .. } => (Some(until.to_string()), None, None, None),
                Replacement::Invited { until, link } => (Some(until.clone()), None, link.clone(), None),
                Replacement::Made { until, file } => (Some(until.to_string()), Some(file), None, None),
                Replacement::Refused(reason) => (None, None, None, Some(reason)),
            };
            json!({
                "name": candidate.label,
                "names": certificate.subject_alt_names().iter().map(ToString::to_string).collect::<Vec<_>>(),
                "issuer": certificate.issuer().to_string(),
                "serial_number": certificate.serial_hex(),
                "not_after": certificate.not_after().to_string(),
                "public_ca": candidate.public,
                "for_clients": candidate.is_for_clients,
                "place": candidate.place,
                "last_seen": candidate.last_seen.map(|at| at.to_string()),
                "key_is_here": candidate.key_is_here,
                "switch_by": switch_by(candidate, now).to_string(),
                "state": replacement.word(),
                "until": until, "file": file, "link": link, "reason": reason,
            })
        };
        json!({
            "read": read,
            "affected": all.iter().map(item).collect::<Vec<_>>(),
            "plan": {
                "trust_both_from": now.to_string(),
                "switch_first_by": self.switch_first.map(|at| at.to_string()),
                "switch_last_by": self.switch_last.map(|at| at.to_string()),
                "old_anchors_end": self.retire.map(|at| at.to_string()),
            },
        })
    }

    pub(super) fn tell(&self, context: &Context, read: usize, all: &[Item], now: Timestamp) {
        let (Some(switch_last), Some(retire)) = (self.switch_last, self.retire) else {
            context.say(format!("Of {read} certificate(s) none is a public CA's or for servers only."));
            return;
        };
        context.say(format!("Of {read} certificate(s) {} must be replaced.", all.len()));
        let row = |(candidate, replacement): &Item| -> [Cell; 6] {
            let style = match replacement {
                Replacement::Good { .. } | Replacement::Made { .. } => GOOD,
                Replacement::Invited { .. } | Replacement::None => WARN,
                Replacement::Refused(_) => BAD,
            };
            let by = switch_by(candidate, now);
            [
                explain::escape::text(&candidate.label).into(),
                why(candidate).to_owned().into(),
                day(candidate.certificate.not_after()).into(),
                if by <= now { Cell::styled("now", BAD) } else { day(by).into() },
                Cell::styled(replacement.word(), style),
                candidate.place.clone().into(),
            ]
        };
        let rows: Vec<[Cell; 6]> = all.iter().map(row).collect();
        context.data(table::text(
            ["NAME", "WHY", "OLD ENDS", "SWITCH BY", "STATE", "WHERE"],
            &rows,
            width().max(140),
        ));
        for (candidate, replacement) in all {
            let label = explain::escape::text(&candidate.label);
            match replacement {
                Replacement::Made { until, file } => {
                    context.data(format!("{label}: {}, good until {}\n", file.display(), day(*until)));
                }
                Replacement::Invited { link: Some(link), .. } => {
                    context.data(format!("{label}: countersign join '{link}'\n"));
                }
                Replacement::Refused(reason) => context.warn(format!("{label}: {reason}")),
                Replacement::None | Replacement::Good { .. } | Replacement::Invited { link: None, .. } => {}
            }
        }
        let first = match self.switch_first {
            Some(first) if first > now => format!("from {} to {}", day(first), day(switch_last)),
            _ => format!("from now to {}", day(switch_last)),
        };
        context.say(format!(
            "\n{BOLD}The plan{BOLD:#}\n\
             \x20 1. now         servers believe both: serve --client-ca OLD-ROOTS.pem --client-ca rootCA.pem\n\
             \x20 2. now         a replacement for each: {DIM}--issue{DIM:#}\n\
             \x20 3. {first}: each client shows its new certificate; names are the same, so rules stay\n\
             \x20 4. then        this command with --admin ADDRESS says who still shows an old one\n\
             \x20 5. {}  the last old certificate ends: serve --client-ca rootCA.pem alone",
            day(retire)
        ));
    }
}
