//! How many certificates there are of which state, and how many were issued and revoked, and will end, over time.

use jiff::{SignedDuration, Timestamp};

/// The days that are looked back on.
pub const DAYS: i64 = 30;

/// The weeks that are looked ahead to.
pub const WEEKS: i64 = 13;

/// 30 days: what ends within them ends soon.
pub const SOON: SignedDuration = SignedDuration::from_hours(30 * 24);

const DAY: i64 = 86_400;

/// The counts at a moment.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Statistics {
    /// Not revoked, and not past their end.
    pub good: u64,
    /// Revoked.
    pub revoked: u64,
    /// Past their end, and never revoked.
    pub expired: u64,
    /// Good, and past their end in 30 days.
    pub expiring_soon: u64,
    /// The last 30 days, the oldest first; the last is today. Days are UTC's.
    pub by_day: Vec<Day>,
    /// The next 13 weeks from now on.
    pub by_week: Vec<Week>,
    /// The number of the last audit event.
    pub audit_length: u64,
}

/// What happened on a day.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Day {
    /// Its first second.
    pub start: Timestamp,
    /// Certificates issued.
    pub issued: u64,
    /// Certificates revoked.
    pub revoked: u64,
}

/// What will end in a week.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Week {
    /// Its first second.
    pub start: Timestamp,
    /// Good certificates that end in it.
    pub ending: u64,
}

/// The starts of the days in [`Statistics::by_day`], and the end of the last, in seconds since 1970.
#[must_use]
pub fn day_bounds(now: Timestamp) -> Vec<i64> {
    let today = now.as_second().div_euclid(DAY);
    (today - DAYS + 1..=today + 1).map(|day| day * DAY).collect()
}

/// The starts of the weeks in [`Statistics::by_week`], and the end of the last, in seconds since 1970.
#[must_use]
pub fn week_bounds(now: Timestamp) -> Vec<i64> {
    (0..=WEEKS).map(|week| now.as_second() + week * 7 * DAY).collect()
}
