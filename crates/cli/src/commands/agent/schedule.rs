//! When a certificate is due: a pure question of its dates, of what its authority suggests, and of what failed before.

use jiff::{SignedDuration, Timestamp};
use net::provision::acme::RenewalInfo;
use pki::Certificate;

/// The first pause after a failure, and the longest: an authority that is away for days is asked a few times a day, and
/// is not overrun when it comes back.
const FIRST_PAUSE: SignedDuration = SignedDuration::from_secs(60);
const LONGEST_PAUSE: SignedDuration = SignedDuration::from_hours(6);

/// A share of a span between 0 and 1, in 65,536ths, that differs from certificate to certificate and not from hour to
/// hour: certificates that were made together are not renewed together.
fn share(certificate: &Certificate, purpose: &[u8]) -> i64 {
    let hash = pki::sha256(&[certificate.serial(), certificate.der(), purpose].concat());
    i64::from(u16::from_be_bytes([hash[0], hash[1]]))
}

fn part(span: SignedDuration, share: i64) -> SignedDuration {
    // In 128 bits: a span of centuries in seconds times 65,535 does not fit 64.
    let seconds = i128::from(span.as_secs()) * i128::from(share) / 65_536;
    SignedDuration::from_secs(i64::try_from(seconds).unwrap_or(0))
}

/// When to renew it: at two thirds of its life, less up to a thirtieth by its share; or at a moment of its own within
/// the window that its authority suggests.
pub(super) fn due(certificate: &Certificate, suggestion: Option<&RenewalInfo>) -> Timestamp {
    let (start, end) = (certificate.not_before(), certificate.not_after());
    let life = end.duration_since(start);
    let due = match suggestion {
        Some(window) => {
            window.start + part(window.end.duration_since(window.start), share(certificate, b"window"))
        }
        None => start + life / 3 * 2 - part(life / 30, share(certificate, b"life")),
    };
    // A window behind the end would let it expire.
    due.min(end)
}

/// From when on it is overdue: half of what was left when it was due has gone without a renewal.
pub(super) fn overdue(certificate: &Certificate, due: Timestamp) -> Timestamp {
    let end = certificate.not_after();
    (due + end.duration_since(due) / 2).min(end)
}

/// When to try again after this many failures in a row: the pauses double, each with its share of jitter; where the
/// server says when, not before that.
pub(super) fn next_try(failures: u32, now: Timestamp, asked: Option<u64>, jitter: u16) -> Timestamp {
    let doubled = FIRST_PAUSE.as_secs().saturating_mul(1 << failures.saturating_sub(1).min(20));
    let pause = SignedDuration::from_secs(doubled).min(LONGEST_PAUSE);
    let pause = pause - part(pause / 4, jitter.into());
    let asked =
        SignedDuration::from_secs(asked.map_or(0, |seconds| i64::try_from(seconds).unwrap_or(i64::MAX)));
    now + pause.max(asked.min(LONGEST_PAUSE))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(days: i64) -> Timestamp {
        Timestamp::UNIX_EPOCH + SignedDuration::from_hours(24 * (20_000 + days))
    }

    fn certificate(name: &str) -> Certificate {
        let ca = testkit::TestCa::new();
        ca.issue(testkit::TestOrder::client(name).valid(testkit::now(), testkit::days_from_now(90)))
            .certificate
    }

    #[test]
    fn it_is_due_shortly_before_two_thirds_and_each_at_its_own_moment() {
        let (earliest, latest) = (testkit::days_from_now(57), testkit::days_from_now(60));
        let dues: Vec<_> = ["a", "b", "c"].map(|name| due(&certificate(name), None)).to_vec();
        assert!(dues.iter().all(|due| earliest <= *due && *due <= latest), "{dues:?}");
        assert!(dues[0] != dues[1] || dues[1] != dues[2]);
    }

    #[test]
    fn suggestion_is_followed_within_its_window_and_never_beyond_the_end() {
        let certificate = certificate("a");
        let window = |from, to| RenewalInfo {
            start: testkit::days_from_now(from),
            end: testkit::days_from_now(to),
            retry_after: 60,
        };
        let early = due(&certificate, Some(&window(1, 2)));
        assert!(testkit::days_from_now(1) <= early && early <= testkit::days_from_now(2));
        assert!(due(&certificate, Some(&window(-2, -1))) < testkit::now(), "revoked: at once");
        assert_eq!(due(&certificate, Some(&window(200, 300))), certificate.not_after());
        assert!(
            overdue(&certificate, early) > early && overdue(&certificate, early) < certificate.not_after()
        );
    }

    #[test]
    fn pauses_double_up_to_six_hours_and_heed_what_the_server_asks() {
        let pause = |failures, asked, jitter| {
            next_try(failures, at(0), asked, jitter).duration_since(at(0)).as_secs()
        };
        assert_eq!(pause(1, None, 0), 60);
        assert_eq!(pause(2, None, 0), 120);
        assert_eq!(pause(30, None, 0), 6 * 3600);
        assert!((45..60).contains(&pause(1, None, u16::MAX)));
        assert_eq!(pause(1, Some(600), 0), 600);
        assert_eq!(pause(1, Some(u64::MAX), 0), 6 * 3600, "nobody makes it wait for ever");
    }
}
