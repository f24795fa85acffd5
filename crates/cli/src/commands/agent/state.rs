//! How each certificate stands: what is in place, when it is due, and what went wrong since.

use std::collections::BTreeMap;
use std::path::PathBuf;

use jiff::{SignedDuration, Timestamp};
use net::provision::acme::RenewalInfo;
use pki::Certificate;
use serde_json::{Value, json};

use crate::commands::agent::config::{Config, Source, Wanted};
use crate::commands::agent::source::Denied;
use crate::commands::agent::{files, schedule};

/// After a question for a suggestion that was not answered, the next one.
const ASK_AGAIN: SignedDuration = SignedDuration::from_hours(6);

/// How one certificate stands.
#[derive(Clone, Default)]
pub(super) struct Standing {
    certificate: Option<Certificate>,
    asks: bool,
    suggestion: Option<RenewalInfo>,
    ask_at: Option<Timestamp>,
    failures: u32,
    next_try: Option<Timestamp>,
    pub(super) last_error: Option<String>,
    pub(super) renewals: u64,
    pub(super) failed_renewals: u64,
    pub(super) failed_reloads: u64,
    wants_reload: bool,
}

impl Standing {
    fn new(wanted: &Wanted) -> Self {
        let asks = match &wanted.source {
            Source::Acme(_) | Source::Join(_) => true,
            Source::Est(est) => est.kept_anchors.is_some(),
        };
        Standing { certificate: files::current(wanted), asks, ..Standing::default() }
    }

    /// Looks what is in place now: somebody else may have replaced it.
    pub(super) fn refresh(&mut self, wanted: &Wanted, now: Timestamp) {
        let found = files::current(wanted);
        if found != self.certificate {
            self.certificate = found;
            self.suggestion = None;
            self.ask_at = Some(now);
        }
    }

    pub(super) fn certificate(&self) -> Option<&Certificate> {
        self.certificate.as_ref()
    }

    pub(super) fn until(&self) -> Option<Timestamp> {
        self.certificate.as_ref().map(Certificate::not_after)
    }

    fn due(&self) -> Option<Timestamp> {
        self.certificate.as_ref().map(|certificate| schedule::due(certificate, self.suggestion.as_ref()))
    }

    /// Whether it is to be renewed: also where there is none.
    pub(super) fn is_due(&self, now: Timestamp) -> bool {
        self.due().is_none_or(|due| due <= now)
    }

    /// Whether the pause after the last failure is over.
    pub(super) fn may_try(&self, now: Timestamp) -> bool {
        self.next_try.is_none_or(|at| at <= now)
    }

    pub(super) fn next_try(&self) -> Option<Timestamp> {
        self.next_try
    }

    /// Why somebody should look, if somebody should.
    pub(super) fn overdue(&self, now: Timestamp) -> Option<String> {
        if self.wants_reload {
            return Some("is in place, and whoever uses it could not be told".to_owned());
        }
        let (Some(certificate), Some(due)) = (&self.certificate, self.due()) else {
            return Some("is not there".to_owned());
        };
        let end = certificate.not_after();
        if now > end {
            return Some(format!("ended on {end}"));
        }
        let late = schedule::overdue(certificate, due);
        (now >= late).then(|| format!("was due on {due} and ends on {end}"))
    }

    pub(super) fn asks_suggestion(&self, now: Timestamp) -> bool {
        self.asks && self.certificate.is_some() && self.ask_at.is_none_or(|at| at <= now)
    }

    pub(super) fn suggested(&mut self, suggestion: Option<RenewalInfo>, now: Timestamp) {
        let again = suggestion.as_ref().and_then(|window| i64::try_from(window.retry_after).ok());
        self.ask_at = Some(now + again.map_or(ASK_AGAIN, SignedDuration::from_secs));
        // A server that is away for a while has not changed its mind.
        if suggestion.is_some() {
            self.suggestion = suggestion;
        }
    }

    pub(super) fn renewed(&mut self, wanted: &Wanted, now: Timestamp) {
        self.refresh(wanted, now);
        self.renewals += 1;
        (self.failures, self.next_try, self.last_error) = (0, None, None);
        self.wants_reload = wanted.reload.is_some();
    }

    pub(super) fn failed(&mut self, now: Timestamp, denied: &Denied) {
        self.failures += 1;
        self.failed_renewals += 1;
        self.last_error = Some(denied.failure.message().to_owned());
        let jitter = keys::random::random_bytes::<2>().map_or(0, u16::from_be_bytes);
        self.next_try = Some(schedule::next_try(self.failures, now, denied.retry_after, jitter));
    }

    /// The file of anchors beside it changed, and whoever uses the certificate uses that too.
    pub(super) fn believes_anew(&mut self, wanted: &Wanted) {
        self.wants_reload |= wanted.reload.is_some();
    }

    pub(super) fn wants_reload(&self) -> bool {
        self.wants_reload
    }

    pub(super) fn reloaded(&mut self) {
        self.wants_reload = false;
    }

    pub(super) fn reload_failed(&mut self) {
        self.failed_reloads += 1;
    }

    /// When something is to be done next.
    fn next(&self) -> Option<Timestamp> {
        let renewal = match (self.due(), self.next_try) {
            (Some(due), Some(at)) => Some(due.max(at)),
            (due, at) => due.or(at),
        };
        let ask = self.ask_at.filter(|_| self.asks);
        [renewal, ask].into_iter().flatten().min()
    }

    /// For people.
    pub(super) fn sentence(&self, now: Timestamp) -> String {
        match (self.overdue(now), self.until(), self.due()) {
            (Some(why), ..) => format!("overdue: it {why}"),
            (None, Some(end), Some(due)) => format!("good until {end}; renewed on {due}"),
            _ => "not there".to_owned(),
        }
    }

    /// For programs.
    pub(super) fn json(&self, path: &str, now: Timestamp) -> Value {
        json!({
            "certificate": path,
            "not_after": self.until().map(|at| at.to_string()),
            "due": self.due().map(|at| at.to_string()),
            "overdue": self.overdue(now),
        })
    }
}

/// How all stand, by their files.
pub(super) struct States(BTreeMap<PathBuf, Standing>);

impl States {
    pub(super) fn new(config: &Config) -> Self {
        let mut states = States(BTreeMap::new());
        states.follow(config);
        states
    }

    /// Goes by another list: what is in both keeps its standing.
    pub(super) fn follow(&mut self, config: &Config) {
        let mut before = std::mem::take(&mut self.0);
        for wanted in &config.certificates {
            let path = wanted.files.certificate();
            let standing = before.remove(&path).unwrap_or_else(|| Standing::new(wanted));
            self.0.insert(path, standing);
        }
    }

    /// How one stands now.
    pub(super) fn of(&self, wanted: &Wanted) -> Standing {
        self.0.get(&wanted.files.certificate()).cloned().unwrap_or_else(|| Standing::new(wanted))
    }

    pub(super) fn keep(&mut self, wanted: &Wanted, standing: Standing) {
        self.0.insert(wanted.files.certificate(), standing);
    }

    /// How long nothing is to be done.
    pub(super) fn next(&self, now: Timestamp) -> SignedDuration {
        let next = self.0.values().filter_map(Standing::next).min();
        next.map_or(SignedDuration::MAX, |at| at.duration_since(now))
    }

    /// All of them with their files.
    pub(super) fn all(&self) -> impl Iterator<Item = (&PathBuf, &Standing)> {
        self.0.iter()
    }
}
