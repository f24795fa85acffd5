//! What the tests of this folder share: a way to judge an identity, and the table of name constraints.
#![allow(dead_code, reason = "each test program uses its own part")]
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

pub(crate) mod constraints;
pub(crate) mod damage;
pub(crate) mod openssl;

use jiff::Timestamp;
use pki::Certificate;
use pki::crl::CertificateRevocationList;
use pki::name::ServerName;
use pki::ocsp::Response;
use pki::oid::Oid;
use pki::verify::{
    Conformance, Examination, PolicyDemand, Purpose, ReasonCode, Refusal, RevocationMode, Rules, TrustBundle,
    VerifiedPath, examine, verify,
};
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
    ocsp: Vec<Response>,
    revocation: RevocationMode,
    policies: (Vec<Oid>, PolicyDemand<'static>),
    conformance: Conformance,
    most: Option<usize>,
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
        ocsp: Vec::new(),
        revocation: RevocationMode::WhereKnown,
        policies: Default::default(),
        conformance: Conformance::Path,
        most: None,
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

    pub(crate) fn raw_crl(self, der: &[u8]) -> Self {
        self.crl(&CertificateRevocationList::from_der(der).unwrap())
    }

    pub(crate) fn ocsp(mut self, der: &[u8]) -> Self {
        self.ocsp.push(Response::from_der(der).unwrap());
        self
    }

    /// The acceptable policies, and the other demands.
    pub(crate) fn policies(mut self, acceptable: &[Oid], demand: PolicyDemand<'static>) -> Self {
        self.policies = (acceptable.to_vec(), demand);
        self
    }

    pub(crate) fn strict(mut self) -> Self {
        self.conformance = Conformance::Strict;
        self
    }

    pub(crate) fn at_most(mut self, intermediates: usize) -> Self {
        self.most = Some(intermediates);
        self
    }

    pub(crate) fn best_effort(mut self) -> Self {
        self.revocation = RevocationMode::BestEffort;
        self
    }

    pub(crate) fn crls_required(mut self) -> Self {
        self.revocation = RevocationMode::Required;
        self
    }

    fn rules(&self) -> Rules<'_> {
        Rules {
            server_name: self.host.as_ref(),
            crls: &self.crls,
            ocsp: &self.ocsp,
            revocation: self.revocation,
            policies: PolicyDemand { acceptable: &self.policies.0, ..self.policies.1 },
            conformance: self.conformance,
            max_intermediates: self.most,
            ..Rules::new(&self.anchors, self.purpose, self.at)
        }
    }

    /// The verdict of both ways through the engine, which is one.
    pub(crate) fn verdict(&self) -> Result<VerifiedPath, Refusal> {
        let verdict = verify(self.leaf, &self.intermediates, &self.rules());
        assert_eq!(verdict.is_ok(), self.examine().valid().is_some(), "both ways agree");
        verdict
    }

    pub(crate) fn examine(&self) -> Examination {
        examine(self.leaf, &self.intermediates, &self.rules())
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
