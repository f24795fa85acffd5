//! What the tests of this folder share: a way to judge an identity, and the table of name constraints.
#![allow(dead_code, reason = "each test program uses its own part")]
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

pub(crate) mod constraints;
pub(crate) mod openssl;

use jiff::Timestamp;
use pki::Certificate;
use pki::crl::CertificateRevocationList;
use pki::name::ServerName;
use pki::verify::{Purpose, ReasonCode, Refusal, RevocationMode, Rules, TrustBundle, VerifiedPath, verify};
use testkit::TestIdentity;

/// One judgement in the making: a client at `testkit::now()` unless said otherwise.
pub(crate) struct Check<'a> {
    leaf: &'a Certificate,
    intermediates: Vec<Certificate>,
    anchors: TrustBundle,
    purpose: Purpose,
    host: Option<ServerName>,
    at: Timestamp,
    crls: Vec<CertificateRevocationList>,
    revocation: RevocationMode,
}

/// Judges this identity with the chain it sends, under these anchors.
pub(crate) fn check<'a>(identity: &'a TestIdentity, anchors: &[&TestIdentity]) -> Check<'a> {
    Check {
        leaf: &identity.certificate,
        intermediates: identity.chain.clone(),
        anchors: TrustBundle::new(anchors.iter().map(|anchor| anchor.certificate.clone()).collect()),
        purpose: Purpose::Client,
        host: None,
        at: testkit::now(),
        crls: Vec::new(),
        revocation: RevocationMode::WhereKnown,
    }
}

impl Check<'_> {
    pub(crate) fn purpose(mut self, purpose: Purpose) -> Self {
        self.purpose = purpose;
        self
    }

    pub(crate) fn server(self) -> Self {
        self.purpose(Purpose::Server)
    }

    pub(crate) fn host(mut self, host: &str) -> Self {
        self.host = Some(ServerName::parse(host).unwrap());
        self.server()
    }

    pub(crate) fn at(mut self, at: Timestamp) -> Self {
        self.at = at;
        self
    }

    pub(crate) fn intermediates(mut self, intermediates: &[&TestIdentity]) -> Self {
        self.intermediates = intermediates.iter().map(|identity| identity.certificate.clone()).collect();
        self
    }

    pub(crate) fn crl(mut self, crl: &CertificateRevocationList) -> Self {
        self.crls.push(crl.clone());
        self
    }

    pub(crate) fn crls_required(mut self) -> Self {
        self.revocation = RevocationMode::Required;
        self
    }

    pub(crate) fn verdict(&self) -> Result<VerifiedPath, Refusal> {
        let rules = Rules {
            server_name: self.host.as_ref(),
            crls: &self.crls,
            revocation: self.revocation,
            ..Rules::new(&self.anchors, self.purpose, self.at)
        };
        verify(self.leaf, &self.intermediates, &rules)
    }

    /// The codes of the refusal, the blocking one first; none where it is accepted.
    pub(crate) fn codes(&self) -> Vec<ReasonCode> {
        match self.verdict() {
            Ok(_) => Vec::new(),
            Err(refusal) => refusal.reasons().iter().map(|reason| reason.code).collect(),
        }
    }

    /// The sentence of the reason that blocks.
    pub(crate) fn message(&self) -> String {
        self.verdict().unwrap_err().to_string()
    }
}
