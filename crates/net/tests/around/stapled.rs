//! The OCSP response that a server brings along is part of the judgement of it, in both versions of TLS.

use std::time::Duration;

use explain::FindingCode;
use net::dial::handshake::handshake;
use net::dial::probe::probe;
use net::dial::{Route, TlsOptions, connect};
use pki::crl::{Revocation, RevocationReason};
use pki::name::ServerName;
use pki::ocsp::{CertId, CertStatus, HashAlgorithm, SingleResponse, prepare};
use pki::verify::RevocationMode;
use testkit::{TestCa, TestIdentity, days_from_now, now};

use crate::common::expectation;
use crate::peer::{Asks, Manners, ONLY_12, ONLY_13, Peer};

fn response(ca: &TestCa, server: &TestIdentity, status: CertStatus) -> Vec<u8> {
    let issuer = ca.issuing();
    let single = SingleResponse {
        certificate: CertId::new(&issuer.certificate, server.certificate.serial(), HashAlgorithm::Sha1)
            .unwrap(),
        status,
        this_update: days_from_now(-1),
        next_update: Some(days_from_now(1)),
    };
    prepare(&issuer.certificate, now(), &[single], None, &[]).unwrap().sign(&issuer.key).unwrap()
}

fn revoked() -> CertStatus {
    CertStatus::Revoked(Revocation { revoked_at: days_from_now(-2), reason: RevocationReason::KeyCompromise })
}

/// The code for which a client refuses a server that staples this, where it does.
async fn refused(
    ca: &TestCa,
    server: &TestIdentity,
    manners: Manners,
    mode: RevocationMode,
) -> Option<FindingCode> {
    let peer = Peer::start(server, manners).await;
    let host = ServerName::parse("localhost").unwrap();
    let mut expected = expectation(ca);
    expected.revocation = mode;
    // The CA that issues has its proof in a list; what it issued has none but the stapled one.
    expected.crls = vec![ca.root_crl(&[], days_from_now(-1), days_from_now(1))];
    let (limit, patience) = (Duration::from_secs(10), Duration::from_millis(100));
    let options = TlsOptions::new(expected);
    let seen =
        probe(&host, peer.address.port(), &Route::default(), options.clone(), limit, patience).await.unwrap();
    let noted = seen.served.unwrap().verdict.finding().map(|finding| finding.code);
    // A look notes the verdict; a connection that is meant is refused by the same.
    let stream = connect(&host, peer.address.port(), &Route::default(), None).await.unwrap();
    let enforced = handshake(stream, &host, options).await.err().map(|failure| {
        assert!(failure.server_refused_by_us, "{:?}", failure.finding);
        failure.finding.code
    });
    assert_eq!(noted, enforced);
    enforced
}

#[tokio::test]
async fn a_stapled_response_that_says_revoked_refuses_the_server_and_a_good_one_is_the_proof_that_is_required()
 {
    let ca = TestCa::new();
    let server = ca.issue_server(&["localhost"]);
    let (good, bad) = (response(&ca, &server, CertStatus::Good), response(&ca, &server, revoked()));
    for versions in [ONLY_12, ONLY_13] {
        let with = |staples: &[u8]| Manners {
            asks: Asks::Nothing,
            versions,
            staples: staples.to_vec(),
            ..Manners::default()
        };
        use FindingCode::{CertificateRevoked, CrlMissing};
        use RevocationMode::{Required, WhereKnown};
        for (staples, mode, expected) in [
            (&bad[..], WhereKnown, Some(CertificateRevoked)),
            (&good, WhereKnown, None),
            (&[], WhereKnown, None),
            (b"noise", WhereKnown, None),
            (&good, Required, None),
            (&[], Required, Some(CrlMissing)),
        ] {
            let found = refused(&ca, &server, with(staples), mode).await;
            assert_eq!(found, expected, "{mode:?}, {} octets, {versions:?}", staples.len());
        }
    }
}
