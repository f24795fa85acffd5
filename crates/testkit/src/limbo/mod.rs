//! x509-limbo (github.com/C2SP/x509-limbo): its cases and its results, and countersign's verdict on a case. The corpus
//! is read as its schema has it; fields that older editions lack or leave null are as if empty.

pub mod peers;

use pki::Certificate;
use pki::crl::CertificateRevocationList;
use pki::extension::KeyUsage;
use pki::identity::Identity;
use pki::key::SignatureAlgorithm;
use pki::name::ServerName;
use pki::oid::{self, Oid};
use pki::verify::{Conformance, Purpose, RevocationMode, Rules, TrustBundle, verify};
use serde::{Deserialize, Serialize};

/// The small corpus was made at this moment; cases without a time of their own mean the time of their making.
pub const MADE_AT: &str = "2026-11-22T09:05:57Z";

/// A corpus.
#[derive(Debug, Deserialize)]
pub struct Corpus {
    /// Its cases.
    pub testcases: Vec<Case>,
}

/// One case, without what only people read.
#[derive(Debug, Deserialize)]
pub struct Case {
    /// Its name.
    pub id: String,
    /// `SERVER` or `CLIENT`.
    pub validation_kind: String,
    /// The anchors in PEM.
    pub trusted_certs: Vec<String>,
    /// Further certificates in PEM.
    pub untrusted_intermediates: Vec<String>,
    /// The leaf in PEM.
    pub peer_certificate: String,
    /// The moment of judgement (RFC 3339).
    pub validation_time: Option<String>,
    /// The signature algorithms allowed; all where empty.
    #[serde(default)]
    pub signature_algorithms: Option<Vec<String>>,
    /// The key usages that the leaf needs.
    #[serde(default)]
    pub key_usage: Option<Vec<String>>,
    /// The extended key usages that the path needs.
    #[serde(default)]
    pub extended_key_usage: Option<Vec<String>>,
    /// `SUCCESS` or `FAILURE`.
    #[serde(default)]
    pub expected_result: String,
    /// The name that the leaf must have.
    #[serde(default)]
    pub expected_peer_name: Option<PeerName>,
    /// The names that the leaf must have.
    #[serde(default)]
    pub expected_peer_names: Option<Vec<PeerName>>,
    /// The most CAs between leaf and anchor.
    #[serde(default)]
    pub max_chain_depth: Option<usize>,
    /// Revocation lists in PEM.
    #[serde(default)]
    pub crls: Option<Vec<String>>,
}

/// A name and its kind: `DNS`, `IP` or `RFC822`.
#[derive(Debug, Clone, Deserialize)]
pub struct PeerName {
    /// Its kind.
    pub kind: String,
    /// The name.
    pub value: String,
}

/// What a harness prints.
#[derive(Debug, Serialize)]
pub struct Results {
    /// Always 1.
    pub version: u8,
    /// Who judged.
    pub harness: String,
    /// One for each case.
    pub results: Vec<CaseResult>,
}

/// The verdict on one case.
#[derive(Debug, Serialize)]
pub struct CaseResult {
    /// The case's name.
    pub id: String,
    /// `SUCCESS`, `FAILURE` or `SKIPPED`.
    pub actual_result: &'static str,
    /// Why.
    pub context: Option<String>,
}

/// A judge of cases.
pub enum Verdict {
    /// The peer is believed.
    Accepted,
    /// It is not, and why.
    Refused(String),
    /// The judge cannot be asked this, and why.
    Skipped(String),
}

impl Verdict {
    /// The verdict in limbo's words.
    #[must_use]
    pub fn word(&self) -> &'static str {
        match self {
            Verdict::Accepted => "SUCCESS",
            Verdict::Refused(_) => "FAILURE",
            Verdict::Skipped(_) => "SKIPPED",
        }
    }

    fn context(self) -> Option<String> {
        match self {
            Verdict::Accepted => None,
            Verdict::Refused(why) | Verdict::Skipped(why) => Some(why),
        }
    }
}

/// The results of one judge on a corpus.
pub fn run(harness: &str, corpus: &Corpus, mut judge: impl FnMut(&Case) -> Verdict) -> Results {
    let results = corpus.testcases.iter().map(|case| {
        let verdict = judge(case);
        CaseResult { id: case.id.clone(), actual_result: verdict.word(), context: verdict.context() }
    });
    Results { version: 1, harness: harness.to_owned(), results: results.collect() }
}

/// countersign's own verdict.
#[must_use]
pub fn judge(case: &Case, conformance: Conformance) -> Verdict {
    match try_judge(case, conformance) {
        Ok(()) => Verdict::Accepted,
        Err(why) => Verdict::Refused(why),
    }
}

fn try_judge(case: &Case, conformance: Conformance) -> Result<(), String> {
    let leaf = certificate(&case.peer_certificate)?;
    // A certificate in a bundle or chain that cannot be read is not there, as for every other client.
    let readable = |texts: &[String]| -> Vec<Certificate> {
        texts.iter().filter_map(|pem| certificate(pem).ok()).collect()
    };
    let lists = case.crls.as_deref().unwrap_or_default();
    let crls: Vec<_> =
        lists.iter().filter_map(|pem| CertificateRevocationList::from_der(&der(pem).ok()?).ok()).collect();
    let server_name = match &case.expected_peer_name {
        Some(name) if name.kind != "RFC822" => {
            Some(ServerName::parse(&name.value).map_err(|error| error.to_string())?)
        }
        _ => None,
    };
    let anchors = TrustBundle::new(readable(&case.trusted_certs));
    let at = case.validation_time.as_deref().unwrap_or(MADE_AT).parse().map_err(|_| "no time".to_owned())?;
    let rules = Rules {
        server_name: server_name.as_ref(),
        crls: &crls,
        // Whoever hands over a list that cannot be used wants to know.
        revocation: if lists.is_empty() { RevocationMode::WhereKnown } else { RevocationMode::Required },
        max_intermediates: case.max_chain_depth,
        conformance,
        ..Rules::new(&anchors, Purpose::Any, at)
    };
    let intermediates = readable(&case.untrusted_intermediates);
    for purpose in purposes(case)? {
        let path = verify(&leaf, &intermediates, &Rules { purpose, ..rules.clone() })
            .map_err(|refusal| format!("{}: {refusal}", refusal.first().code))?;
        check_algorithms(case, path.certificates())?;
    }
    check_key_usage(case, &leaf)?;
    check_mailboxes(case, &leaf)
}

fn purposes(case: &Case) -> Result<Vec<Purpose>, String> {
    let tls = if case.validation_kind == "CLIENT" { Purpose::Client } else { Purpose::Server };
    let wanted = case.extended_key_usage.as_deref().unwrap_or_default();
    if wanted.is_empty() {
        return Ok(vec![tls]);
    }
    let known = |text: &String| {
        let usage = match text.as_str() {
            "anyExtendedKeyUsage" => return Ok(Purpose::Any),
            "serverAuth" => oid::SERVER_AUTH,
            "clientAuth" => oid::CLIENT_AUTH,
            "codeSigning" => oid::CODE_SIGNING,
            "emailProtection" => oid::EMAIL_PROTECTION,
            "timeStamping" => oid::TIME_STAMPING,
            "OCSPSigning" => oid::OCSP_SIGNING,
            dotted => Oid::from_dotted(dotted).ok_or_else(|| format!("no usage: {dotted}"))?,
        };
        Ok(if tls.extended_key_usage() == Some(usage) { tls } else { Purpose::Usage(usage) })
    };
    wanted.iter().map(known).collect()
}

fn check_algorithms(case: &Case, path: &[Certificate]) -> Result<(), String> {
    let allowed = case.signature_algorithms.as_deref().unwrap_or_default();
    if allowed.is_empty() {
        return Ok(());
    }
    for certificate in &path[..path.len() - 1] {
        let name = match certificate.signature_algorithm() {
            Some(SignatureAlgorithm::EcdsaSha256) => "ECDSA_WITH_SHA256",
            Some(SignatureAlgorithm::EcdsaSha384) => "ECDSA_WITH_SHA384",
            Some(SignatureAlgorithm::EcdsaSha512) => "ECDSA_WITH_SHA512",
            Some(SignatureAlgorithm::Ed25519) => "ED25519",
            Some(SignatureAlgorithm::RsaPkcs1Sha256) => "RSA_WITH_SHA256",
            Some(SignatureAlgorithm::RsaPkcs1Sha384) => "RSA_WITH_SHA384",
            Some(SignatureAlgorithm::RsaPkcs1Sha512) => "RSA_WITH_SHA512",
            Some(_) => "RSASSA_PSS",
            None => "?",
        };
        if !allowed.iter().any(|algorithm| algorithm == name) {
            return Err(format!("signed with {name}, which the case does not allow"));
        }
    }
    Ok(())
}

fn check_key_usage(case: &Case, leaf: &Certificate) -> Result<(), String> {
    const NAMES: [&str; 9] = [
        "digitalSignature",
        "contentCommitment",
        "keyEncipherment",
        "dataEncipherment",
        "keyAgreement",
        "keyCertSign",
        "cRLSign",
        "encipherOnly",
        "decipherOnly",
    ];
    for wanted in case.key_usage.as_deref().unwrap_or_default() {
        let bit =
            NAMES.iter().position(|name| name == wanted).ok_or_else(|| format!("no usage: {wanted}"))?;
        if leaf.key_usage().is_some_and(|usage| !usage.has(KeyUsage(1 << bit))) {
            return Err(format!("the key usage lacks {wanted}"));
        }
    }
    Ok(())
}

fn check_mailboxes(case: &Case, leaf: &Certificate) -> Result<(), String> {
    let identities = Identity::all_of(leaf);
    let names = case.expected_peer_names.iter().flatten().chain(&case.expected_peer_name);
    for name in names.filter(|name| name.kind == "RFC822") {
        if !identities.contains(&Identity::Email(name.value.clone())) {
            return Err(format!("the identities lack {}", name.value));
        }
    }
    for name in case.expected_peer_names.iter().flatten().filter(|name| name.kind != "RFC822") {
        let expected = ServerName::parse(&name.value).map_err(|error| error.to_string())?;
        if !leaf.subject_alt_names().iter().any(|presented| expected.is_named_by(presented)) {
            return Err(format!("it does not name {}", name.value));
        }
    }
    Ok(())
}

fn der(pem: &str) -> Result<Vec<u8>, String> {
    let mut blocks = pki::pem::read(pem.as_bytes()).map_err(|error| error.to_string())?;
    if blocks.len() == 1 { Ok(blocks.remove(0).der) } else { Err("not one block of PEM".to_owned()) }
}

fn certificate(pem: &str) -> Result<Certificate, String> {
    Certificate::from_der(&der(pem)?).map_err(|error| error.to_string())
}
