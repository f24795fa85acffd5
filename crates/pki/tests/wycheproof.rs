//! Project Wycheproof's vectors (github.com/C2SP/wycheproof, Apache-2.0) through the primitives as they are called here:
//! the key from its SubjectPublicKeyInfo, the signature as certificates carry it.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use pki::key::{PublicKey, SignatureAlgorithm};
use wycheproof::TestResult;

/// What one file of vectors came to.
#[derive(Default)]
struct Score {
    valid: usize,
    invalid: usize,
    complaints: Vec<String>,
}

impl Score {
    /// One vector. `Acceptable` ones are weak by design, and either verdict is right.
    fn hold(
        &mut self,
        title: String,
        expected: TestResult,
        key: Option<&PublicKey>,
        verifies: impl FnOnce(&PublicKey) -> bool,
    ) {
        let accepted = key.is_some_and(verifies);
        match expected {
            TestResult::Valid if accepted => self.valid += 1,
            TestResult::Invalid if !accepted => self.invalid += 1,
            TestResult::Acceptable => {}
            _ => self.complaints.push(title),
        }
    }

    fn close(self, file: &str, least: usize) {
        assert!(
            self.complaints.is_empty(),
            "{file}: {} differ: {:?}",
            self.complaints.len(),
            self.complaints
        );
        assert!(self.valid + self.invalid >= least, "{file}: {} and {}", self.valid, self.invalid);
    }
}

#[test]
fn ecdsa_signatures_are_judged_as_wycheproof_says() {
    use SignatureAlgorithm::{EcdsaSha256, EcdsaSha384, EcdsaSha512};
    use wycheproof::ecdsa::{TestName, TestSet};
    for (name, algorithm) in [
        (TestName::EcdsaSecp256r1Sha256, EcdsaSha256),
        (TestName::EcdsaSecp256r1Sha512, EcdsaSha512),
        (TestName::EcdsaSecp384r1Sha256, EcdsaSha256),
        (TestName::EcdsaSecp384r1Sha384, EcdsaSha384),
        (TestName::EcdsaSecp384r1Sha512, EcdsaSha512),
        (TestName::EcdsaSecp521r1Sha512, EcdsaSha512),
    ] {
        let mut score = Score::default();
        for group in TestSet::load(name).unwrap().test_groups {
            let key = PublicKey::from_spki_der(&group.der).ok();
            for test in &group.tests {
                let title = format!("{} {}", test.tc_id, test.comment);
                score.hold(title, test.result, key.as_ref(), |key| {
                    key.verify(algorithm, &test.msg, &test.sig).is_ok()
                });
            }
        }
        score.close(&format!("{name:?}"), 300);
    }
}

#[test]
fn ed25519_signatures_are_judged_as_wycheproof_says() {
    use wycheproof::eddsa::{TestName, TestSet};
    let mut score = Score::default();
    for group in TestSet::load(TestName::Ed25519).unwrap().test_groups {
        let key = PublicKey::from_spki_der(&group.der).ok();
        for test in &group.tests {
            let title = format!("{} {}", test.tc_id, test.comment);
            score.hold(title, test.result, key.as_ref(), |key| {
                key.verify(SignatureAlgorithm::Ed25519, &test.msg, &test.sig).is_ok()
            });
        }
    }
    score.close("ed25519", 100);
}

#[test]
fn rsa_signatures_are_judged_as_wycheproof_says() {
    use SignatureAlgorithm::{RsaPkcs1Sha256, RsaPkcs1Sha384, RsaPkcs1Sha512};
    use wycheproof::rsa_pkcs1_verify::{TestName, TestSet};
    for (name, algorithm) in [
        (TestName::Rsa2048Sha256, RsaPkcs1Sha256),
        (TestName::Rsa2048Sha384, RsaPkcs1Sha384),
        (TestName::Rsa2048Sha512, RsaPkcs1Sha512),
        (TestName::Rsa3072Sha256, RsaPkcs1Sha256),
        (TestName::Rsa4096Sha512, RsaPkcs1Sha512),
        (TestName::Rsa8192Sha256, RsaPkcs1Sha256),
    ] {
        let mut score = Score::default();
        for group in TestSet::load(name).unwrap().test_groups {
            let key = PublicKey::from_spki_der(&group.der).ok();
            for test in &group.tests {
                let title = format!("{} {}", test.tc_id, test.comment);
                score.hold(title, test.result, key.as_ref(), |key| {
                    key.verify(algorithm, &test.msg, &test.sig).is_ok()
                });
            }
        }
        score.close(&format!("{name:?}"), 200);
    }
}

#[test]
fn rsa_pss_signatures_are_judged_as_wycheproof_says() {
    use SignatureAlgorithm::{RsaPssSha256, RsaPssSha384, RsaPssSha512};
    use wycheproof::rsa_pss_verify::{TestName, TestSet};
    for (name, algorithm) in [
        (TestName::RsaPss2048Sha256Mgf1SaltLen32, RsaPssSha256),
        (TestName::RsaPss2048Sha384Mgf1SaltLen48, RsaPssSha384),
        (TestName::RsaPss3072Sha256Mgf1SaltLen32, RsaPssSha256),
        (TestName::RsaPss4096Sha512Mgf1SaltLen64, RsaPssSha512),
    ] {
        let mut score = Score::default();
        for group in TestSet::load(name).unwrap().test_groups {
            let key = PublicKey::from_spki_der(&group.der).ok();
            for test in &group.tests {
                let title = format!("{} {}", test.tc_id, test.comment);
                score.hold(title, test.result, key.as_ref(), |key| {
                    key.verify(algorithm, &test.msg, &test.sig).is_ok()
                });
            }
        }
        score.close(&format!("{name:?}"), 50);
    }
}

#[test]
fn ml_dsa_signatures_are_judged_as_wycheproof_says() {
    use SignatureAlgorithm::{MlDsa44, MlDsa65, MlDsa87};
    use wycheproof::mldsa_verify::{TestName, TestSet};
    for (name, algorithm) in [
        (TestName::MlDsa44Verify, MlDsa44),
        (TestName::MlDsa65Verify, MlDsa65),
        (TestName::MlDsa87Verify, MlDsa87),
    ] {
        let mut score = Score::default();
        for group in TestSet::load(name).unwrap().test_groups {
            let key = PublicKey::from_spki_der(&group.der).ok();
            // X.509 has no context string (RFC 9881 section 3).
            for test in group.tests.iter().filter(|t| t.ctx.as_ref().is_none_or(|ctx| ctx.is_empty())) {
                let title = format!("{} {}", test.tc_id, test.comment);
                score.hold(title, test.result, key.as_ref(), |key| {
                    key.verify(algorithm, &test.msg, &test.sig).is_ok()
                });
            }
        }
        score.close(&format!("{name:?}"), 30);
    }
}
