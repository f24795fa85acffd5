//! Where a tunnel leads: `host:port`, and which of several is tried first. A target that failed a moment ago is tried
//! after those that did not, never left out.

use std::collections::HashMap;
use std::fmt;
use std::str::FromStr;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use pki::name::ServerName;
use tokio::time::Instant;

use crate::url::split_port;

/// How long a target that failed stands behind the others.
const STAND_BACK: Duration = Duration::from_secs(10);

/// A server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Target {
    /// Its name or address.
    pub host: ServerName,
    /// Its port.
    pub port: u16,
}

/// The text names no target.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "'{text}' names no server: {why}; write HOST:PORT, such as db.example.com:5432 or [2001:db8::1]:5432"
)]
pub struct TargetError {
    text: String,
    why: String,
}

impl FromStr for Target {
    type Err = TargetError;

    /// ```
    /// use net::tunnel::Target;
    /// assert_eq!("[::1]:8443".parse::<Target>()?.to_string(), "[::1]:8443");
    /// assert!("db.example.com".parse::<Target>().is_err());
    /// # Ok::<(), net::tunnel::TargetError>(())
    /// ```
    fn from_str(text: &str) -> Result<Self, TargetError> {
        let problem = |why: &str| TargetError { text: text.to_owned(), why: why.to_owned() };
        if text.contains("://") {
            return Err(problem("a tunnel passes bytes and knows no URL schemes"));
        }
        let (host, port) = split_port(text);
        let port = port.filter(|port| !port.is_empty()).ok_or_else(|| problem("it has no port"))?;
        // Two colons without brackets would leave half an address as the host.
        if host.contains(':') && !host.starts_with('[') {
            return Err(problem("an IPv6 address stands in brackets"));
        }
        let port = port
            .parse()
            .ok()
            .filter(|number| *number != 0 && port.bytes().all(|b| b.is_ascii_digit()))
            .ok_or_else(|| problem("the port is no number from 1 to 65535"))?;
        let host = ServerName::parse(host).map_err(|error| problem(&error.to_string()))?;
        Ok(Target { host, port })
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.host {
            ServerName::Ip(std::net::IpAddr::V6(ip)) => write!(f, "[{ip}]:{}", self.port),
            host => write!(f, "{host}:{}", self.port),
        }
    }
}

/// What was learned about targets.
#[derive(Debug, Default)]
pub(super) struct Health(Mutex<HashMap<String, Learned>>);

#[derive(Debug, Default, Clone, Copy)]
struct Learned {
    failed_at: Option<Instant>,
    /// It lets clients in without saying so, so that waiting for its verdict is in vain.
    is_silent: bool,
}

impl Health {
    /// The targets in the order in which they are to be tried now.
    pub(super) fn order<'a>(&self, targets: &'a [Target], now: Instant) -> Vec<&'a Target> {
        let learned = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let stands_back = |target: &&Target| {
            learned
                .get(&target.to_string())
                .and_then(|learned| learned.failed_at)
                .is_some_and(|at| now.duration_since(at) < STAND_BACK)
        };
        let mut ordered: Vec<&Target> = targets.iter().collect();
        // Stable: within each half the order stays the one that was written.
        ordered.sort_by_key(stands_back);
        ordered
    }

    pub(super) fn failed(&self, target: &Target, now: Instant) {
        self.learn(target, |learned| learned.failed_at = Some(now));
    }

    pub(super) fn succeeded(&self, target: &Target) {
        self.learn(target, |learned| learned.failed_at = None);
    }

    /// A target that gave no verdict has answered data on the same connection.
    pub(super) fn is_silent(&self, target: &Target) {
        self.learn(target, |learned| learned.is_silent = true);
    }

    pub(super) fn stays_silent(&self, target: &Target) -> bool {
        let learned = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        learned.get(&target.to_string()).is_some_and(|learned| learned.is_silent)
    }

    fn learn(&self, target: &Target, lesson: impl FnOnce(&mut Learned)) {
        let mut learned = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        lesson(learned.entry(target.to_string()).or_default());
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test fails by panicking")]
    use super::*;

    #[test]
    fn what_is_no_server_is_refused_with_the_reason() {
        let cases = [
            ("db.example.com", "it has no port"),
            ("db.example.com:", "it has no port"),
            ("db.example.com:0", "no number from 1"),
            ("db.example.com:+1", "no number from 1"),
            ("db.example.com:65536", "no number from 1"),
            ("::1:443", "in brackets"),
            ("https://db.example.com:443", "no URL schemes"),
            (":443", "''"),
        ];
        for (text, why) in cases {
            let error = text.parse::<Target>().unwrap_err().to_string();
            assert!(error.contains(why) && error.contains("HOST:PORT"), "{text}: {error}");
        }
        for text in ["db.example.com:5432", "127.0.0.1:1", "[2001:db8::1]:443", "localhost:65535"] {
            assert_eq!(text.parse::<Target>().unwrap().to_string(), text);
        }
    }

    #[test]
    fn a_target_that_failed_is_tried_last_for_a_while_and_never_left_out() {
        let targets: Vec<Target> = ["a:1", "b:1", "c:1"].map(|text| text.parse().unwrap()).into();
        let health = Health::default();
        let start = Instant::now();
        let order = |at| health.order(&targets, at).iter().map(ToString::to_string).collect::<Vec<_>>();
        assert_eq!(order(start), ["a:1", "b:1", "c:1"]);
        health.failed(&targets[0], start);
        assert_eq!(order(start), ["b:1", "c:1", "a:1"]);
        assert_eq!(order(start + STAND_BACK), ["a:1", "b:1", "c:1"]);
        health.failed(&targets[0], start);
        health.succeeded(&targets[0]);
        assert_eq!(order(start), ["a:1", "b:1", "c:1"]);
    }
}
