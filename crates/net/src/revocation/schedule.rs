//! When a list is asked for again. Pure: the moments are arguments.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};

/// After a failure, at first; it doubles with each further one.
const FIRST_PAUSE: SignedDuration = SignedDuration::from_secs(15);

/// After many failures.
const LONGEST_PAUSE: SignedDuration = SignedDuration::from_mins(30);

/// No list is asked for more often than this while nothing fails.
const SHORTEST: SignedDuration = SignedDuration::from_secs(30);

/// When to ask again after a list was got: at half of what is left of its time, so that there is as much again for
/// failures before it ends; but never later than `refresh`, since lists are published early where something happened.
pub(super) fn after_success(now: Timestamp, next_update: Option<Timestamp>, refresh: Duration) -> Timestamp {
    let longest = SignedDuration::try_from(refresh).unwrap_or(SignedDuration::MAX).max(SHORTEST);
    let half = match next_update {
        Some(end) => end.duration_since(now) / 2,
        None => longest,
    };
    now.saturating_add(half.clamp(SHORTEST, longest)).unwrap_or(now)
}

/// When to ask again after this many failures in a row, the last one now.
pub(super) fn after_failure(now: Timestamp, failures: u32) -> Timestamp {
    let doublings = failures.saturating_sub(1).min(16);
    let pause = FIRST_PAUSE.checked_mul(1 << doublings).unwrap_or(LONGEST_PAUSE).min(LONGEST_PAUSE);
    now.saturating_add(pause).unwrap_or(now)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_is_asked_for_well_before_its_end_and_at_least_each_refresh() {
        let now = testkit::now();
        let hour = Duration::from_secs(3600);
        let in_minutes = |minutes: i64| now + SignedDuration::from_mins(minutes);
        let again = |end| after_success(now, end, hour).duration_since(now).as_secs();
        assert_eq!(again(Some(in_minutes(60))), 1800);
        assert_eq!(again(Some(in_minutes(7 * 24 * 60))), 3600);
        assert_eq!(again(Some(in_minutes(-60))), 30, "one that is over already");
        assert_eq!(again(None), 3600);
    }

    #[test]
    fn failures_are_repeated_at_growing_distances_up_to_half_an_hour() {
        let now = testkit::now();
        let pauses: Vec<i64> =
            [1, 2, 3, 8, 1000].map(|n| after_failure(now, n).duration_since(now).as_secs()).into();
        assert_eq!(pauses, [15, 30, 60, 1800, 1800]);
    }
}
