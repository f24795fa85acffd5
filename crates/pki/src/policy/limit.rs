//! How much one identity may ask for: requests in a span of time, and at the same time. Pure decisions; whose counts
//! they are, and where these are kept, is the caller's business.

use std::fmt;
use std::str::FromStr;

use jiff::{SignedDuration, Timestamp};

/// So many requests in a span of time, some of them at once.
///
/// The rate is kept by the generic cell rate algorithm (ITU-T I.371, Annex A): one moment is remembered for each
/// identity, and no clock needs to tick.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RateLimit {
    requests: u32,
    span: SignedDuration,
    burst: u32,
}

/// The text is no rate.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "'{0}' is no rate; write requests per span and, where fewer or more may come at once, a burst: 100/s, 20/min burst 5"
)]
pub struct RateLimitError(String);

impl FromStr for RateLimit {
    type Err = RateLimitError;

    /// Reads `100/s`, `20/min`, `1000/h`, each with `burst N` behind it where the burst is not the number itself.
    ///
    /// ```
    /// use pki::policy::limit::RateLimit;
    /// assert_eq!("20/min burst 5".parse::<RateLimit>()?.to_string(), "20/min burst 5");
    /// assert!("fast".parse::<RateLimit>().is_err());
    /// # Ok::<(), pki::policy::limit::RateLimitError>(())
    /// ```
    fn from_str(text: &str) -> Result<Self, RateLimitError> {
        let problem = || RateLimitError(text.to_owned());
        let positive =
            |text: &str| text.trim().parse::<u32>().ok().filter(|number| *number > 0).ok_or_else(problem);
        let (rate, burst) = match text.split_once("burst") {
            Some((rate, burst)) => (rate.trim_end(), Some(positive(burst)?)),
            None => (text, None),
        };
        let (requests, span) = rate.split_once('/').ok_or_else(problem)?;
        let requests = positive(requests)?;
        let span = match span.trim() {
            "s" => 1,
            "min" | "m" => 60,
            "h" => 3600,
            _ => return Err(problem()),
        };
        Ok(RateLimit { requests, span: SignedDuration::from_secs(span), burst: burst.unwrap_or(requests) })
    }
}

impl fmt::Display for RateLimit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let span = match self.span.as_secs() {
            60 => "min",
            3600 => "h",
            _ => "s",
        };
        write!(f, "{}/{span}", self.requests)?;
        if self.burst == self.requests { Ok(()) } else { write!(f, " burst {}", self.burst) }
    }
}

/// What is remembered of one identity's rate.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rate {
    /// When the next request would be due if all came evenly spaced.
    due: Timestamp,
}

impl Rate {
    /// The rate of an identity that has asked for nothing.
    ///
    /// ```
    /// use pki::policy::limit::{Rate, RateLimit};
    /// let (limit, now) = ("1/s".parse::<RateLimit>()?, jiff::Timestamp::UNIX_EPOCH);
    /// let mut rate = Rate::new(now);
    /// assert!(limit.take(&mut rate, now).is_ok());
    /// assert_eq!(limit.take(&mut rate, now), Err(jiff::SignedDuration::from_secs(1)));
    /// # Ok::<(), pki::policy::limit::RateLimitError>(())
    /// ```
    #[must_use]
    pub fn new(now: Timestamp) -> Self {
        Rate { due: now }
    }

    /// Whether forgetting it would change no decision.
    #[must_use]
    pub fn is_forgettable(&self, now: Timestamp) -> bool {
        self.due <= now
    }
}

impl RateLimit {
    /// Takes one request at this moment.
    ///
    /// # Errors
    /// How long to wait, where the rate is used up; nothing was taken.
    pub fn take(&self, rate: &mut Rate, now: Timestamp) -> Result<(), SignedDuration> {
        let step = self.span / i32::try_from(self.requests).unwrap_or(i32::MAX);
        let tolerance = step * i32::try_from(self.burst - 1).unwrap_or(i32::MAX);
        // A clock that was set back must not lock anybody out for the difference.
        let due = rate.due.min(now.saturating_add(tolerance + step).unwrap_or(now)).max(now);
        let earliest = due.saturating_sub(tolerance).unwrap_or(due);
        if now < earliest {
            return Err(earliest.duration_since(now));
        }
        rate.due = due.saturating_add(step).unwrap_or(due);
        Ok(())
    }
}

/// What one identity may ask for. Nothing is limited by default.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct IdentityLimits {
    /// In a span of time.
    pub rate: Option<RateLimit>,
    /// At the same time.
    pub concurrency: Option<u32>,
}

impl IdentityLimits {
    /// Whether anything is limited.
    #[must_use]
    pub fn is_limiting(&self) -> bool {
        self.rate.is_some() || self.concurrency.is_some()
    }
}

/// What is remembered of one identity.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Usage {
    rate: Rate,
    at_work: u32,
}

/// Why a request has to wait.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum OverLimit {
    /// Too many in the span.
    #[error("more than {limit} requests; the next is free in {} s", wait.as_secs_f64().ceil())]
    Rate {
        /// The limit.
        limit: RateLimit,
        /// Until one is free.
        wait: SignedDuration,
    },
    /// Too many at the same time.
    #[error("more than {limit} requests at the same time")]
    Concurrency {
        /// The limit.
        limit: u32,
    },
}

impl Usage {
    /// The usage of an identity that has asked for nothing.
    ///
    /// ```
    /// use pki::policy::limit::{IdentityLimits, Usage};
    /// let (limits, now) = (IdentityLimits { concurrency: Some(1), rate: None }, jiff::Timestamp::UNIX_EPOCH);
    /// let mut usage = Usage::new(now);
    /// assert!(usage.enter(&limits, now).is_ok());
    /// assert!(usage.enter(&limits, now).is_err());
    /// usage.leave();
    /// assert!(usage.enter(&limits, now).is_ok());
    /// ```
    #[must_use]
    pub fn new(now: Timestamp) -> Self {
        Usage { rate: Rate::new(now), at_work: 0 }
    }

    /// Takes one request, which is at work until [`Usage::leave`].
    ///
    /// # Errors
    /// [`OverLimit`]; nothing was taken.
    pub fn enter(&mut self, limits: &IdentityLimits, now: Timestamp) -> Result<(), OverLimit> {
        if let Some(limit) = limits.concurrency.filter(|limit| self.at_work >= *limit) {
            return Err(OverLimit::Concurrency { limit });
        }
        if let Some(limit) = limits.rate {
            limit.take(&mut self.rate, now).map_err(|wait| OverLimit::Rate { limit, wait })?;
        }
        self.at_work = self.at_work.saturating_add(1);
        Ok(())
    }

    /// A request that entered has been answered.
    pub fn leave(&mut self) {
        self.at_work = self.at_work.saturating_sub(1);
    }

    /// Whether a request has entered that has not left.
    #[must_use]
    pub fn is_at_work(&self) -> bool {
        self.at_work > 0
    }

    /// Whether forgetting it would change no decision.
    #[must_use]
    pub fn is_forgettable(&self, now: Timestamp) -> bool {
        self.at_work == 0 && self.rate.is_forgettable(now)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test fails by panicking")]
    use super::*;

    fn at(milliseconds: i64) -> Timestamp {
        Timestamp::from_millisecond(1_780_000_000_000 + milliseconds).unwrap()
    }

    #[test]
    fn a_burst_passes_and_then_the_rate_alone() {
        let limit: RateLimit = "10/s burst 3".parse().unwrap();
        let mut rate = Rate::new(at(0));
        let passed: Vec<bool> = (0..5).map(|_| limit.take(&mut rate, at(0)).is_ok()).collect();
        assert_eq!(passed, [true, true, true, false, false]);
        assert_eq!(limit.take(&mut rate, at(40)), Err(SignedDuration::from_millis(60)));
        assert!(limit.take(&mut rate, at(100)).is_ok());
        assert!(limit.take(&mut rate, at(100)).is_err());
        let in_ten_seconds = (0..10_000).filter(|ms| limit.take(&mut rate, at(1000 + ms)).is_ok()).count();
        assert_eq!(in_ten_seconds, 102, "100 at the rate, and the two of the burst that had been regained");
    }

    #[test]
    fn a_clock_that_is_set_back_locks_nobody_out() {
        let limit: RateLimit = "10/s burst 3".parse().unwrap();
        let mut rate = Rate::new(at(0));
        for _ in 0..3 {
            limit.take(&mut rate, at(0)).unwrap();
        }
        let an_hour_before = at(-3_600_000);
        let wait = limit.take(&mut rate, an_hour_before).unwrap_err();
        assert!(wait <= SignedDuration::from_millis(100), "{wait:?}");
    }

    #[test]
    fn what_is_no_rate_is_refused_and_what_is_reads_back() {
        for text in ["", "10", "10/", "/s", "0/s", "-1/s", "10/d", "10/s burst", "10/s burst 0", "1.5/s"] {
            assert!(text.parse::<RateLimit>().is_err(), "{text}");
        }
        for text in ["100/s", "20/min", "1000/h burst 10", "4294967295/s"] {
            assert_eq!(text.parse::<RateLimit>().unwrap().to_string(), text);
        }
    }

    #[test]
    fn a_refused_request_takes_neither_a_place_nor_from_the_rate() {
        let limits = IdentityLimits { rate: Some("2/s".parse().unwrap()), concurrency: Some(1) };
        let mut usage = Usage::new(at(0));
        usage.enter(&limits, at(0)).unwrap();
        for _ in 0..5 {
            assert_eq!(usage.enter(&limits, at(0)), Err(OverLimit::Concurrency { limit: 1 }));
        }
        usage.leave();
        usage.enter(&limits, at(0)).unwrap();
        usage.leave();
        assert!(matches!(usage.enter(&limits, at(0)), Err(OverLimit::Rate { .. })));
        assert!(!usage.is_forgettable(at(0)));
        assert!(usage.is_forgettable(at(1000)));
    }
}
