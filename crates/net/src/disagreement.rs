//! Where our validation and rustls-webpki's differ on a path, one of them is wrong, and the connection is refused either
//! way. It is told as what it is, a bug of ours, with all that is needed to look into it; and seldom, since whoever sent the
//! chain can send it again.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use pki::verify::{ReasonCode, Refusal};

/// Between two lines about disagreements. The first one of a kind is worth a report, the thousandth is a log full.
const PAUSE: Duration = Duration::from_secs(60);

/// Where it is to be reported; the certificates are public, and are the report.
const REPORT: &str = concat!(env!("CARGO_PKG_REPOSITORY"), "/issues");

static LAST: Mutex<Option<Instant>> = Mutex::new(None);

/// Writes a line to the log where a refusal rests on a disagreement.
pub(crate) fn note(refusal: &Refusal) {
    if let Some(line) = line(refusal)
        && is_due(&mut LAST.lock().unwrap_or_else(PoisonError::into_inner), Instant::now())
    {
        tracing::error!("{line}");
    }
}

fn line(refusal: &Refusal) -> Option<String> {
    let reason = refusal.reasons().iter().find(|reason| reason.code == ReasonCode::SecondOpinion)?;
    let chain: String = refusal.path().iter().map(|certificate| certificate.to_pem()).collect();
    Some(format!(
        "this is a bug of countersign or of rustls-webpki, and the connection was refused for it: {reason}. Please \
         report it at {REPORT} with these certificates (they hold no secret):\n{chain}"
    ))
}

fn is_due(last: &mut Option<Instant>, now: Instant) -> bool {
    let is_due = last.is_none_or(|last| now.duration_since(last) >= PAUSE);
    if is_due {
        *last = Some(now);
    }
    is_due
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test fails by panicking")]
    use super::*;
    use pki::verify::{Purpose, Rules, TrustBundle, verify};
    use testkit::RawCertificate;

    #[test]
    fn a_disagreement_is_told_as_our_bug_with_the_chain_and_where_to_report_it() {
        let root = RawCertificate::ca("Root").self_signed();
        // The one known: certificates of version 1, which RFC 5280 section 6 does not forbid.
        let old = RawCertificate::client("alice").version_1().issued_by(&root);
        let anchors = TrustBundle::new(vec![root.certificate.clone()]);
        let rules = Rules::new(&anchors, Purpose::Client, testkit::now());
        let line = line(&verify(&old.certificate, &[], &rules).unwrap_err()).unwrap();
        assert!(line.contains("bug of countersign") && line.contains("UnsupportedCertVersion"), "{line}");
        assert!(line.contains("https://") && line.contains("/issues"), "{line}");
        assert_eq!(pki::pem::read(line.as_bytes()).unwrap().len(), 2, "{line}");
    }

    #[test]
    fn an_ordinary_refusal_is_nobodys_bug() {
        let ca = testkit::TestCa::new();
        let alice = ca.issue_client("alice");
        let nothing = TrustBundle::default();
        let refusal =
            verify(&alice.certificate, &alice.chain, &Rules::new(&nothing, Purpose::Client, testkit::now()));
        assert_eq!(line(&refusal.unwrap_err()), None);
    }

    #[test]
    fn a_chain_that_comes_again_and_again_is_told_once_a_minute() {
        let (start, mut last) = (Instant::now(), None);
        let told = |last: &mut Option<Instant>, seconds| is_due(last, start + Duration::from_secs(seconds));
        assert_eq!(
            [0, 1, 59, 60, 61, 120].map(|at| told(&mut last, at)),
            [true, false, false, true, false, true]
        );
    }
}
