//! Revocation lists, made ahead of time and never stale: one that is asked for is newer than the last revocation, and
//! less than half of its life old.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, PoisonError};

use axum::response::{IntoResponse as _, Response};
use bytes::Bytes;
use ca::publication::partition_path;
use http::header::{self, HeaderValue};
use http::{HeaderMap, StatusCode};
use jiff::Timestamp;
use pki::crl::CertificateRevocationList;

use crate::{Problem, State};

/// One list of several between which the certificates are divided.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Part {
    pub(crate) line: u32,
    pub(crate) partitions: u16,
    pub(crate) number: u16,
}

impl Part {
    /// From the address of [`partition_path`]: a power of two from 2 to 256, and a number below it.
    pub(crate) fn parse(line: u32, partitions: &str, file: &str) -> Option<Self> {
        let number = file.strip_suffix(".crl")?.parse().ok()?;
        let part = Part { line, partitions: partitions.parse().ok()?, number };
        let is_known = (2..=256).contains(&part.partitions)
            && part.partitions.is_power_of_two()
            && part.number < part.partitions;
        // One address for one list: no leading zeros or plus signs.
        (is_known
            && partition_path(line, part.partitions, part.number).ends_with(&format!("/{partitions}/{file}")))
        .then_some(part)
    }
}

/// A list that is ready to be served.
#[derive(Debug, Clone)]
pub(crate) struct Ready {
    der: Bytes,
    etag: HeaderValue,
    this_update: Timestamp,
    next_update: Timestamp,
    /// What [`ca::Store::revocation_version`] said just before it was made; of a root's list [`ca::Lines::version`].
    version: u64,
}

/// The lists of all lines that were made together, by the number of the line.
type Made = Arc<BTreeMap<u32, Vec<Ready>>>;

/// The lists at hand, by how many partitions they are of; those of roots by the line that each came with.
#[derive(Default)]
pub(crate) struct Lists {
    ready: Mutex<HashMap<u16, Made>>,
    roots: Mutex<HashMap<u32, Arc<Ready>>>,
    /// Held by the one who makes lists; the others wait for what it makes.
    making: tokio::sync::Mutex<()>,
}

/// The list that says now whether certificates of this part were revoked.
///
/// # Errors
/// A [`Problem`] where it cannot be made.
pub(crate) async fn list(state: &State, part: Part) -> Result<Ready, Problem> {
    let missing = || Problem::of(404, "not-found", "there is no such list");
    // Before anything is signed for it.
    let lines = state.authority().lines();
    if !lines.published(state.now()).any(|line| line.number() == part.line && line.key().is_some()) {
        return Err(missing());
    }
    let version = state.blocking(|state| Ok(state.store().revocation_version()?)).await?;
    if let Some(ready) = at_hand(state, part, version) {
        return Ok(ready);
    }
    let _making = state.lists().making.lock().await;
    // Another one may have made it while this one waited.
    if let Some(ready) = at_hand(state, part, version) {
        return Ok(ready);
    }
    let made = state.blocking(move |state| make(state, part.partitions)).await?;
    let ready = made.get(&part.line).and_then(|parts| parts.get(usize::from(part.number))).cloned();
    let made = Arc::new(made);
    state.lists().ready.lock().unwrap_or_else(PoisonError::into_inner).insert(part.partitions, made);
    ready.ok_or_else(missing)
}

fn at_hand(state: &State, part: Part, version: u64) -> Option<Ready> {
    let ready = state.lists().ready.lock().unwrap_or_else(PoisonError::into_inner);
    let ready = ready.get(&part.partitions)?.get(&part.line)?.get(usize::from(part.number))?;
    (ready.version >= version && ready.is_young(state.now())).then(|| ready.clone())
}

/// When the newest list at hand was made, and when it is due; none where none was asked for yet.
pub(crate) fn newest(state: &State) -> Option<(Timestamp, Timestamp)> {
    let ready = state.lists().ready.lock().unwrap_or_else(PoisonError::into_inner);
    ready
        .values()
        .flat_map(|made| made.values().flatten())
        .map(|one| (one.this_update, one.next_update))
        .max()
}

fn make(state: &State, partitions: u16) -> Result<BTreeMap<u32, Vec<Ready>>, Problem> {
    let lifetime = state.settings().list_lifetime;
    // Before the list, so that a revocation in between makes it look old rather than new.
    let version = state.store().revocation_version()?;
    let now = state.now();
    let authority = state.authority();
    let base = authority.publication().base.clone();
    let place = |line, number| {
        let path = partition_path(line, partitions, number);
        // The complete list names no place: it is for every certificate (RFC 5280 section 5.2.5).
        if partitions <= 1 {
            Vec::new()
        } else {
            vec![format!("{}{path}", base.as_deref().unwrap_or(state.base()))]
        }
    };
    let made = authority.lists(now, lifetime, partitions, place).map_err(|e| Problem::internal(&e))?;
    let ready = |der: Vec<u8>| Ready::new(der, now, now + lifetime, version);
    Ok(made
        .into_iter()
        .map(|of_line| (of_line.line, of_line.parts.into_iter().map(ready).collect()))
        .collect())
}

/// The own list of the root that came with a line, where its key is at hand.
///
/// # Errors
/// A [`Problem`] where it is not.
pub(crate) async fn of_root(state: &State, line: u32) -> Result<Ready, Problem> {
    let known = state.lists().roots.lock().unwrap_or_else(PoisonError::into_inner).get(&line).cloned();
    let lines = state.authority().lines().version();
    if let Some(ready) = known.filter(|ready| ready.version == lines && ready.is_young(state.now())) {
        return Ok((*ready).clone());
    }
    let missing =
        || Problem::of(404, "not-found", "the root's key is kept elsewhere, and so its list is too");
    let ready = state
        .blocking(move |state| {
            let make = state.settings().root_list.clone().ok_or_else(missing)?;
            let lines = state.authority().lines();
            let line = lines.find(line).filter(|found| found.root_of() == line).ok_or_else(missing)?;
            let der = make(&lines, line, state.now()).ok_or_else(missing)?;
            let list =
                CertificateRevocationList::from_der(&der).map_err(|error| Problem::internal(&error))?;
            let next = list.next_update().unwrap_or_else(|| list.this_update());
            Ok(Ready::new(der, list.this_update(), next, lines.version()))
        })
        .await?;
    let mut roots = state.lists().roots.lock().unwrap_or_else(PoisonError::into_inner);
    roots.insert(line, Arc::new(ready.clone()));
    Ok(ready)
}

impl Ready {
    fn new(der: Vec<u8>, this_update: Timestamp, next_update: Timestamp, version: u64) -> Self {
        let etag = format!("\"{}\"", &pki::hex(&pki::sha256(&der))[..32]);
        // Hexadecimal digits between quotes are always a header's value.
        let etag = HeaderValue::from_str(&etag).unwrap_or_else(|_| HeaderValue::from_static("\"\""));
        Ready { der: Bytes::from(der), etag, this_update, next_update, version }
    }

    fn is_young(&self, now: Timestamp) -> bool {
        let life = self.next_update.duration_since(self.this_update);
        // A clock that was set back makes everything look young, and a list from the future is worth nothing.
        now >= self.this_update && now.duration_since(self.this_update) < life / 2
    }

    /// The answer: the list, or that the one the client has is still it (RFC 9110 section 13.1.2).
    pub(crate) fn answer(&self, asked: &HeaderMap, now: Timestamp) -> Response {
        let has = asked.get_all(header::IF_NONE_MATCH).iter().any(|value| {
            let text = value.to_str().unwrap_or_default();
            text.split(',')
                .any(|tag| matches!(tag.trim().trim_start_matches("W/"), "*") || tag.trim() == self.etag)
        });
        let since = asked.get(header::IF_MODIFIED_SINCE).and_then(|value| value.to_str().ok());
        let not_since = !asked.contains_key(header::IF_NONE_MATCH)
            && since
                .and_then(http_date)
                .is_some_and(|since| self.this_update.as_second() <= since.as_second());
        let mut response = if has || not_since {
            StatusCode::NOT_MODIFIED.into_response()
        } else {
            self.der.clone().into_response()
        };
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/pkix-crl"));
        headers.insert(header::ETAG, self.etag.clone());
        for (name, time) in [(header::LAST_MODIFIED, self.this_update), (header::EXPIRES, self.next_update)] {
            if let Ok(value) = HeaderValue::from_str(&date(time)) {
                headers.insert(name, value);
            }
        }
        // A cache may hold it for a minute: a revocation must not hide behind one for a day.
        let seconds = self.next_update.duration_since(now).as_secs().clamp(0, 60);
        if let Ok(value) = HeaderValue::from_str(&format!("public, max-age={seconds}, must-revalidate")) {
            headers.insert(header::CACHE_CONTROL, value);
        }
        response
    }
}

/// IMF-fixdate (RFC 9110 section 5.6.7).
fn date(time: Timestamp) -> String {
    time.strftime("%a, %d %b %Y %H:%M:%S GMT").to_string()
}

fn http_date(text: &str) -> Option<Timestamp> {
    let civil = jiff::civil::DateTime::strptime("%a, %d %b %Y %H:%M:%S GMT", text).ok()?;
    Some(civil.to_zoned(jiff::tz::TimeZone::UTC).ok()?.timestamp())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_address_means_one_list_and_no_other_text_does() {
        for line in [1, 2] {
            let part = Part { line, partitions: 16, number: 5 };
            assert_eq!(Part::parse(line, "16", "5.crl"), Some(part));
        }
        for (partitions, file) in [
            ("16", "16.crl"),
            ("3", "1.crl"),
            ("1", "0.crl"),
            ("512", "1.crl"),
            ("016", "5.crl"),
            ("16", "+5.crl"),
            ("16", "5"),
        ] {
            assert_eq!(Part::parse(1, partitions, file), None, "{partitions}/{file}");
        }
    }

    #[test]
    fn a_date_is_read_as_it_is_written() {
        let time = Timestamp::from_second(784_111_777).unwrap_or_default();
        assert_eq!(date(time), "Sun, 06 Nov 1994 08:49:37 GMT");
        assert_eq!(http_date(&date(time)), Some(time));
    }
}
