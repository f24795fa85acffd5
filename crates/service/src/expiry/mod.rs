//! Telling whoever owns a certificate that it is about to end: once for each time before the end that the operator named,
//! however many replicas there are. How it is told (a webhook, a program) is a function's business.
//!
//! For each of those times there is one record: how far, in the order of ends, owners have been told. Whoever goes on from
//! there holds the record for a moment, and writes it forward with the audit event of each notice. A process that ends
//! between telling and writing tells once more; each notice has an id by which that can be seen.

mod progress;
pub mod webhook;

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use ca::{Entry, Identity, Query, Selector, StateFilter, Store, StoreError};
use jiff::{SignedDuration, Timestamp};
use pki::certificate::serial_hex;
use pki::{Certificate, Profile};
use serde_json::{Value, json};

use crate::{Problem, State};
use progress::Progress;

/// Between two looks. Times before an end are days.
const EVERY: Duration = Duration::from_secs(30);

/// So many failures give one notice up: the next ones must not wait behind it for ever.
const MOST_TRIES: u32 = 10;

/// Notices of one pass.
const PAGE: usize = 100;

/// A notice under way.
pub type Telling = Pin<Box<dyn Future<Output = Result<(), String>> + Send>>;

/// What tells: it is given the notice, and says why it could not tell.
pub type Tell = Arc<dyn Fn(Value) -> Telling + Send + Sync>;

/// When owners are told, and how.
#[derive(Clone)]
pub struct Settings {
    /// The times before the end.
    pub before: Vec<SignedDuration>,
    /// What tells.
    pub tell: Tell,
}

/// What this process has told.
#[derive(Debug, Default)]
pub(crate) struct Counts {
    pub(crate) told: AtomicU64,
    pub(crate) failed: AtomicU64,
}

/// Tells for as long as the process lives.
pub async fn follow(state: State, settings: Settings) {
    let mut is_said = false;
    loop {
        match sweep(&state, &settings, state.now()).await {
            Ok(_) => is_said = false,
            Err(problem) if !is_said => {
                tracing::warn!(detail = problem.detail(), "owners are not told of certificates that end");
                is_said = true;
            }
            Err(_) => {}
        }
        tokio::time::sleep(EVERY).await;
    }
}

/// Tells of every certificate that ends within one of the times and that was not told of, and gives how many notices
/// arrived.
///
/// # Errors
/// A [`Problem`] where the memory cannot be read or written.
pub async fn sweep(state: &State, settings: &Settings, now: Timestamp) -> Result<u64, Problem> {
    let mut told = 0;
    for before in &settings.before {
        while let Some(count) = page(state, settings, *before, now).await? {
            told += count;
        }
    }
    Ok(told)
}

/// One page of one time before the end; nothing where there is nothing to tell, or somebody else is at it.
async fn page(
    state: &State,
    settings: &Settings,
    before: SignedDuration,
    now: Timestamp,
) -> Result<Option<u64>, Problem> {
    let holder = pki::hex(&state.random::<8>()?);
    let claimed = state.blocking(move |state| Ok(claim(state.store(), &holder, before, now)?)).await?;
    let Some((mut progress, entries)) = claimed else { return Ok(None) };
    let mut count = 0;
    for entry in entries {
        let times = settings.before.clone();
        let looked = entry.clone();
        let notice = state.blocking(move |state| Ok(notice(state, &looked, before, &times, now)?)).await?;
        let Some(notice) = notice else {
            progress.pass(&entry);
            continue;
        };
        let event = match (settings.tell)(notice).await {
            Ok(()) => {
                state.expiry_counts().told.fetch_add(1, Ordering::Relaxed);
                count += 1;
                progress.pass(&entry);
                Some("told".to_owned())
            }
            Err(why) => {
                state.expiry_counts().failed.fetch_add(1, Ordering::Relaxed);
                tracing::warn!(name = entry.label, why, "an owner could not be told that a certificate ends");
                let is_given_up = progress.fail(now) >= MOST_TRIES;
                if is_given_up {
                    progress.pass(&entry);
                }
                is_given_up.then(|| format!("given up after {MOST_TRIES} tries: {why}"))
            }
        };
        let is_paused = event.is_none();
        let (label, serial) = (entry.label.clone(), entry.serial.clone());
        let written = progress.clone();
        let is_ours = state
            .blocking(move |state| {
                let event = event.map(|outcome| progress::event(&label, serial, before, &outcome, now));
                Ok(written.write(state.store(), event, now)?)
            })
            .await?;
        // Somebody else holds it since, and goes on where it stands.
        let true = is_ours else { return Ok(None) };
        progress.version += 1;
        if is_paused {
            return Ok(None);
        }
    }
    let released = progress.released();
    state.blocking(move |state| Ok(released.write(state.store(), None, now)?)).await?;
    Ok(Some(count))
}

/// Takes the record of a time before the end, with the certificates that come next; nothing where none do, or where
/// somebody holds it.
fn claim(
    store: &dyn Store,
    holder: &str,
    before: SignedDuration,
    now: Timestamp,
) -> Result<Option<(Progress, Vec<Entry>)>, StoreError> {
    let mut progress = Progress::find(store, before, now)?;
    if progress.is_held(holder, now) {
        return Ok(None);
    }
    let Ok(until) = now.checked_add(before) else { return Ok(None) };
    let limit = PAGE + progress.passed();
    let query = Query { state: StateFilter::ExpiringBefore(until), limit, ..Query::default() };
    // Good and ending between where the record stands and then, the first end first.
    let mut entries = store.list(&query, progress.at)?.entries;
    entries.retain(|entry| !progress.has_passed(entry));
    if entries.is_empty() {
        return Ok(None);
    }
    progress.hold(holder, now);
    if !progress.write(store, None, now)? {
        return Ok(None);
    }
    progress.version += 1;
    Ok(Some((progress, entries)))
}

/// What is told of a certificate; nothing where nobody needs to know.
fn notice(
    state: &State,
    entry: &Entry,
    before: SignedDuration,
    times: &[SignedDuration],
    now: Timestamp,
) -> Result<Option<Value>, StoreError> {
    let left = entry.not_after.duration_since(now);
    // A shorter time has come as well, and tells what matters more; and one that never had so long has always been there.
    let is_late = times.iter().any(|other| *other < before && left <= *other);
    let is_short = entry.not_after.duration_since(entry.issued_at) <= before;
    // The service renews what it shows itself.
    let is_own = entry.profile == Profile::Responder || entry.requested_by.starts_with("ca serve, ");
    if is_late || is_short || is_own || left.is_negative() {
        return Ok(None);
    }
    let of_name = state.store().find(&Selector::Label(entry.label.clone()))?;
    let replaces = |other: &Entry| {
        other.profile == entry.profile && other.not_after > entry.not_after && other.is_good(now)
    };
    if of_name.iter().any(replaces) {
        return Ok(None);
    }
    let identity = Identity::find(state.store(), &entry.label)?;
    let contact = Identity::contact_of(state.store(), &entry.label)?;
    let certificate = Certificate::from_der(&entry.der).ok();
    let names = certificate.as_ref().map(Certificate::subject_alt_names).unwrap_or_default();
    let serial = serial_hex(&entry.serial);
    let ends = entry.not_after.strftime("%Y-%m-%d %H:%M UTC");
    let days = left.as_hours() / 24;
    let how_long = if days > 1 { format!("{days} days") } else { format!("{} hours", left.as_hours()) };
    Ok(Some(json!({
        "event": "certificate-ends",
        "id": format!("{serial}/{}", before.as_secs()),
        "text": format!("The {} certificate of '{}' ends on {ends}, in {how_long}, and nothing replaces it.", entry.profile, entry.label),
        "authority": state.authority().name(),
        "name": entry.label,
        "profile": entry.profile.name(),
        "serial_number": serial,
        "subject_alt_name": names.iter().map(ToString::to_string).collect::<Vec<_>>(),
        "not_after": entry.not_after.to_string(),
        "seconds_left": left.as_secs(),
        "threshold_seconds": before.as_secs(),
        "contact": contact,
        "partner": identity.partner,
    })))
}
