//! What replicas and gateways see of TLS: handshakes counted, handshakes refused, and who was seen last. It is remembered
//! so that every replica shows the same and a restart forgets nothing; it is for people to look at and is never acted
//! upon, stands in no audit trail, and is bounded, since strangers decide how much of it comes.

use jiff::{SignedDuration, Timestamp};

/// The kind of a tally of handshakes: its names are an identity, a kind of key and a TLS version.
pub const HANDSHAKES: &str = "handshake";
/// The kind of a tally of refused handshakes: its name is a finding's code.
pub const REFUSALS: &str = "refusal";
/// The kind of what was last seen of a client's certificate, by its serial number.
pub const CLIENT: &str = "client";
/// The kind of what a gateway last said of itself, by its name.
pub const GATEWAY: &str = "gateway";

/// Tallies of one kind in one stretch of time. What comes beyond is counted under an empty name.
pub const MOST_TALLIES: usize = 300;
/// Refused handshakes that are remembered one by one.
pub const MOST_REFUSALS: usize = 1000;
/// The octets of all their recordings together. One has about 4 KiB, and 80 at most.
pub const MOST_RECORDED: usize = 16 << 20;
/// What is remembered of each kind of what was last said.
pub const MOST_SAID: &[(&str, usize)] = &[(CLIENT, 20_000), (GATEWAY, 200)];

/// A stretch of time that is counted as one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Span {
    /// An hour.
    Hour,
    /// A day of UTC.
    Day,
}

impl Span {
    /// Both.
    pub const ALL: [Span; 2] = [Span::Hour, Span::Day];

    /// Its length in seconds.
    #[must_use]
    pub const fn seconds(self) -> i64 {
        match self {
            Span::Hour => 3600,
            Span::Day => 86_400,
        }
    }

    /// The first second of the one that holds this moment.
    ///
    /// ```
    /// use ca::observed::Span;
    /// let at: jiff::Timestamp = "2026-06-15T12:34:56Z".parse()?;
    /// assert_eq!(Span::Hour.start(at).to_string(), "2026-06-15T12:00:00Z");
    /// assert_eq!(Span::Day.start(at).to_string(), "2026-06-15T00:00:00Z");
    /// # Ok::<(), jiff::Error>(())
    /// ```
    #[must_use]
    pub fn start(self, at: Timestamp) -> Timestamp {
        let whole = at.as_second().div_euclid(self.seconds()) * self.seconds();
        Timestamp::from_second(whole).unwrap_or(at)
    }

    /// How long one is remembered: two days of hours, three months of days.
    #[must_use]
    pub const fn kept(self) -> SignedDuration {
        match self {
            Span::Hour => SignedDuration::from_hours(48),
            Span::Day => SignedDuration::from_hours(24 * 92),
        }
    }
}

/// How often something happened in a stretch of time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tally {
    /// [`HANDSHAKES`] or [`REFUSALS`].
    pub kind: String,
    /// How long the stretch is.
    pub span: Span,
    /// Its first second.
    pub start: Timestamp,
    /// Who or what; empty for all that had no place of their own, and for clients without a certificate.
    pub name: String,
    /// The kind of the key; empty where there is none.
    pub key: String,
    /// The TLS version; empty where that is not counted.
    pub tls_version: String,
    /// How often.
    pub count: u64,
}

impl Tally {
    /// The same under the name of all that have no place of their own.
    #[must_use]
    pub fn unnamed(mut self) -> Self {
        self.name = String::new();
        self
    }
}

/// One refused handshake.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RefusedHandshake {
    /// Counted from 1 over all replicas; 0 while it is not stored.
    pub number: u64,
    /// When.
    pub at: Timestamp,
    /// What is known of it, in JSON.
    pub body: String,
    /// What was said.
    pub recording: Option<Vec<u8>>,
}

/// What was last said of something.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Said {
    /// [`CLIENT`] or [`GATEWAY`].
    pub kind: String,
    /// Of which.
    pub id: String,
    /// Grows with each change of any of them; 0 while it is not stored.
    pub change: u64,
    /// When it was so. What is older than what is known is not taken.
    pub at: Timestamp,
    /// What was said, in JSON.
    pub body: String,
}

/// What a process has seen since it told the last time.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Observed {
    /// Counts, to be added to those that are known.
    pub tallies: Vec<Tally>,
    /// Refused handshakes, the oldest first.
    pub refusals: Vec<RefusedHandshake>,
    /// What was said of clients and gateways, each at most once.
    pub said: Vec<Said>,
}

impl Observed {
    /// Whether there is nothing to tell.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.tallies.is_empty() && self.refusals.is_empty() && self.said.is_empty()
    }
}
