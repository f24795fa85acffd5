//! Back-off for those who guess: the longer somebody fails, the longer nobody listens. Kept in the memory, so that all
//! replicas share it.

use std::net::IpAddr;

use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};

use crate::record::{Commit, Record, Write};
use crate::store::{Store, StoreError};

const KIND: &str = "throttle";

/// Failures of one address that cost nothing: people mistype.
const FREE: u32 = 5;

/// Nobody is shut out for longer than this.
const LONGEST: SignedDuration = SignedDuration::from_mins(15);

/// How long an address's failures are remembered.
const MEMORY: SignedDuration = SignedDuration::from_hours(1);

/// How long the `failures`th failure shuts somebody out when the first `free` cost nothing: a second, and twice as long
/// each time.
pub(crate) fn pause(failures: u32, free: u32) -> SignedDuration {
    match failures.checked_sub(free + 1) {
        None => SignedDuration::ZERO,
        Some(beyond) => SignedDuration::from_secs(1 << beyond.min(20)).min(LONGEST),
    }
}

/// Until when an address is not listened to, where it is not.
///
/// # Errors
/// [`StoreError`].
pub fn blocked_until(
    store: &dyn Store,
    address: IpAddr,
    now: Timestamp,
) -> Result<Option<Timestamp>, StoreError> {
    let Some(record) = store.record(KIND, &name(address))? else { return Ok(None) };
    let (_, until) = read(&record);
    Ok(until.filter(|until| *until > now))
}

/// Notes that an address failed.
///
/// # Errors
/// [`StoreError`].
pub fn note_failure(store: &dyn Store, address: IpAddr, now: Timestamp) -> Result<(), StoreError> {
    let id = name(address);
    loop {
        let found = store.record(KIND, &id)?;
        let remembered = found.as_ref().filter(|record| record.expires.is_some_and(|expires| expires > now));
        let failures = remembered.map_or(0, |record| read(record).0) + 1;
        let until = now + pause(failures, FREE);
        let body = json!({ "failures": failures, "until": until.as_second() }).to_string();
        let record = found.unwrap_or_else(|| Record::new(KIND, &id, String::new()));
        let record = Record { body, expires: Some(now + MEMORY), ..record };
        match store.commit(Commit::of(Write::Put(record))) {
            // Several failed at the same time: each of them counts.
            Err(StoreError::Conflict { .. }) => {}
            other => return other,
        }
    }
}

/// An IPv4 address, or the /64 that one subscriber has of IPv6.
fn name(address: IpAddr) -> String {
    match address.to_canonical() {
        IpAddr::V4(address) => address.to_string(),
        IpAddr::V6(address) => {
            let [a, b, c, d, ..] = address.segments();
            format!("{a:x}:{b:x}:{c:x}:{d:x}::/64")
        }
    }
}

fn read(record: &Record) -> (u32, Option<Timestamp>) {
    let value: Value = serde_json::from_str(&record.body).unwrap_or_default();
    let failures = value["failures"].as_u64().and_then(|n| u32::try_from(n).ok()).unwrap_or(0);
    (failures, value["until"].as_i64().and_then(|seconds| Timestamp::from_second(seconds).ok()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_pause_doubles_and_has_an_end() {
        let pauses: Vec<i64> = (1..=8).map(|failures| pause(failures, 5).as_secs()).collect();
        assert_eq!(pauses, [0, 0, 0, 0, 0, 1, 2, 4]);
        assert_eq!(pause(u32::MAX, 5), LONGEST);
    }

    #[test]
    fn one_subscriber_is_one_name() {
        let name = |text: &str| text.parse().map(name).unwrap_or_default();
        assert_eq!(name("192.0.2.7"), name("::ffff:192.0.2.7"));
        assert_eq!(name("2001:db8:1:2::1"), name("2001:db8:1:2:ffff::9"));
        assert_ne!(name("2001:db8:1:2::1"), name("2001:db8:1:3::1"));
    }
}
