//! Times and spans as people say them: `90 days`, `89 days left`, `expired 3 hours ago`.

use jiff::{SignedDuration, Timestamp};

const MINUTE: i64 = 60;
const HOUR: i64 = 60 * MINUTE;
const DAY: i64 = 24 * HOUR;

/// A span in its largest fitting unit; the sign is not told. Counted down, so that `1 day` is never less than a
/// day.
///
/// ```
/// use jiff::SignedDuration;
/// assert_eq!(explain::humane::span(SignedDuration::from_hours(24 * 90)), "90 days");
/// assert_eq!(explain::humane::span(SignedDuration::from_hours(24 * 3650)), "10 years");
/// assert_eq!(explain::humane::span(SignedDuration::from_secs(61)), "1 minute");
/// ```
#[must_use]
pub fn span(duration: SignedDuration) -> String {
    let seconds = duration.as_secs().saturating_abs();
    let (count, unit) = match seconds {
        0..MINUTE => (seconds, "second"),
        MINUTE..HOUR => (seconds / MINUTE, "minute"),
        HOUR..172_800 => (seconds / HOUR, "hour"),
        172_800..63_072_000 => (seconds / DAY, "day"),
        _ => return years(seconds / DAY),
    };
    if count == 1 { format!("1 {unit}") } else { format!("{count} {unit}s") }
}

/// Years to one decimal, without `.0`. Ten years of 365 days are ten years to whoever made the certificate.
fn years(days: i64) -> String {
    let tenths = (days * 100 + 1826) / 3652;
    if tenths % 10 == 0 {
        format!("{} years", tenths / 10)
    } else {
        format!("{}.{} years", tenths / 10, tenths % 10)
    }
}

/// The length of a validity: both ends belong to it (RFC 5280 section 4.1.2.5).
///
/// ```
/// let from = "2026-06-01T00:00:00Z".parse()?;
/// let to = "2026-08-29T23:59:59Z".parse()?;
/// assert_eq!(explain::humane::validity(from, to), "90 days");
/// # Ok::<(), jiff::Error>(())
/// ```
#[must_use]
pub fn validity(not_before: Timestamp, not_after: Timestamp) -> String {
    span(not_after.duration_since(not_before) + SignedDuration::from_secs(1))
}

/// Where `now` stands in a validity.
///
/// ```
/// let at = |text: &str| text.parse::<jiff::Timestamp>();
/// let (from, to) = (at("2026-06-01T00:00:00Z")?, at("2026-06-30T00:00:00Z")?);
/// assert_eq!(explain::humane::standing(from, to, at("2026-06-20T00:00:00Z")?), "10 days left");
/// assert_eq!(explain::humane::standing(from, to, at("2026-06-30T03:00:01Z")?), "expired 3 hours ago");
/// assert_eq!(explain::humane::standing(from, to, at("2026-05-31T23:00:00Z")?), "starts in 1 hour");
/// # Ok::<(), jiff::Error>(())
/// ```
#[must_use]
pub fn standing(not_before: Timestamp, not_after: Timestamp, now: Timestamp) -> String {
    if now < not_before {
        format!("starts in {}", span(not_before.duration_since(now)))
    } else if now > not_after {
        format!("expired {} ago", span(now.duration_since(not_after)))
    } else {
        format!("{} left", span(not_after.duration_since(now)))
    }
}

/// How far a moment is from `now`: `3 hours ago`, `in 5 days`, `now`.
#[must_use]
pub fn distance(moment: Timestamp, now: Timestamp) -> String {
    let duration = moment.duration_since(now);
    match duration.as_secs() {
        0 => "now".to_owned(),
        1.. => format!("in {}", span(duration)),
        _ => format!("{} ago", span(duration)),
    }
}

/// A moment to the minute in UTC, `2026-06-15 12:00`.
#[must_use]
pub fn minute(moment: Timestamp) -> String {
    moment.strftime("%Y-%m-%d %H:%M").to_string()
}

/// A count with its noun: `1 certificate`, `3 certificates`. The plural is formed with s.
///
/// ```
/// assert_eq!(explain::humane::count(1_200_000, "entry", "entries"), "1,200,000 entries");
/// ```
#[must_use]
pub fn count(number: usize, singular: &str, plural: &str) -> String {
    let digits = number.to_string();
    let mut grouped = String::with_capacity(digits.len() + digits.len() / 3);
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            grouped.push(',');
        }
        grouped.push(digit);
    }
    format!("{grouped} {}", if number == 1 { singular } else { plural })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn units_change_where_a_person_would_change_them() {
        let cases = [
            (0, "0 seconds"),
            (59, "59 seconds"),
            (60, "1 minute"),
            (7199, "1 hour"),
            (47 * HOUR, "47 hours"),
            (48 * HOUR, "2 days"),
            (729 * DAY, "729 days"),
            (730 * DAY, "2 years"),
            (825 * DAY, "2.3 years"),
            (3650 * DAY, "10 years"),
            (7300 * DAY, "20 years"),
        ];
        for (seconds, text) in cases {
            assert_eq!(span(SignedDuration::from_secs(seconds)), text);
            assert_eq!(span(SignedDuration::from_secs(-seconds)), text);
        }
    }

    #[test]
    fn the_ends_of_time_do_not_overflow() {
        assert!(validity(Timestamp::MIN, Timestamp::MAX).ends_with("years"));
        assert!(standing(Timestamp::MAX, Timestamp::MIN, Timestamp::MIN).starts_with("starts"));
        assert!(distance(Timestamp::MIN, Timestamp::MAX).ends_with("ago"));
    }
}
