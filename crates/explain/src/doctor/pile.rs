//! A pile of files: what each is, which key belongs to which certificate, which chain is complete, what is missing, and
//! what is wrong for which purpose.

use jiff::Timestamp;
use pki::Certificate;
use pki::crl::CertificateRevocationList;
use pki::pem;
use pki::verify::{Purpose, ReasonCode, Rules, TrustBundle, verify};

use super::local::{certificates, private_key};
use super::profile::strict;
use super::{Direction, Notes, Report, Weight, name, shell};
use crate::finding::{Fault, Finding, FindingCode};
use crate::humane;
use crate::inspect::inspect;
use crate::model::Content;

/// One file of a pile.
#[derive(Debug, Clone, Default)]
pub struct PileFile {
    /// Its name.
    pub name: String,
    /// Its bytes; of a private key only the public half is looked at.
    pub bytes: Vec<u8>,
    /// Its permission bits, where there are such.
    pub mode: Option<u32>,
    /// The certificates of a PKCS#12 that was opened, in DER.
    pub opened: Vec<Vec<u8>>,
    /// The public halves (SubjectPublicKeyInfo) of private keys that had to be decrypted.
    pub opened_keys: Vec<Vec<u8>>,
}

struct Known {
    file: String,
    chain: Vec<Certificate>,
    keys: Vec<Vec<u8>>,
}

/// Examines the files together.
///
/// ```
/// use explain::doctor::{PileFile, examine_files};
/// let ca = testkit::TestCa::new();
/// let alice = ca.issue_client("alice");
/// let file = |name: &str, text: String| PileFile { name: name.into(), bytes: text.into(), ..PileFile::default() };
/// let report = examine_files(
///     &[
///         file("alice.pem", alice.certificate.to_pem() + &ca.issuing().certificate.to_pem()),
///         file("alice-key.pem", alice.key.pkcs8_pem()),
///         file("root.pem", ca.root().certificate.to_pem()),
///     ],
///     testkit::now(),
/// );
/// assert!(report.findings.is_empty(), "{:?}", report.findings);
/// assert!(report.checked.iter().any(|line| line.contains("alice-key.pem holds the key of CN=alice")));
/// ```
#[must_use]
pub fn examine_files(files: &[PileFile], at: Timestamp) -> Report {
    let mut notes = Notes::default();
    let mut known = Vec::new();
    let mut lists = Vec::new();
    for file in files {
        known.push(one_file(file, at, &mut notes, &mut lists));
    }
    let all: Vec<Certificate> = known.iter().flat_map(|k| k.chain.iter().cloned()).collect();
    let trust = TrustBundle::new(all.iter().filter(|c| c.is_ca() && c.is_self_issued()).cloned().collect());
    keys(&known, &mut notes);
    serial_numbers(&all, &mut notes);
    let mut seen: Vec<&Certificate> = Vec::new();
    for entry in &known {
        for leaf in entry.chain.iter().filter(|c| !c.is_ca()) {
            if !seen.contains(&leaf) {
                seen.push(leaf);
                judge_leaf(leaf, entry, &all, &trust, &lists, at, &mut notes);
            }
        }
        order(entry, &mut notes);
    }
    for authority in all.iter().filter(|c| c.is_ca()) {
        if at > authority.not_after() {
            let finding = expired(authority, at, "the CA");
            notes.push(Weight::WouldBlock, Direction::Neither, finding);
        }
    }
    Report::new(notes.found, notes.checked, notes.unchecked)
}

fn one_file(
    file: &PileFile,
    at: Timestamp,
    notes: &mut Notes,
    lists: &mut Vec<(String, CertificateRevocationList)>,
) -> Known {
    let inspection = inspect(&file.bytes, &file.name, at);
    let mut chain = certificates(&inspection);
    chain.extend(file.opened.iter().filter_map(|der| Certificate::from_der(der).ok()));
    let mut keys = file.opened_keys.clone();
    let key = private_key(&inspection);
    keys.extend(key.and_then(|key| key.public_key.as_ref()).map(|public| public.spki.clone()));
    let mut what: Vec<String> = chain.iter().map(describe).collect();
    for item in &inspection.items {
        match &item.content {
            Content::Key(key) if key.is_private => {
                let sealed = if key.encryption.is_some() { "encrypted " } else { "" };
                what.push(format!("a {sealed}private key, {}", key.format));
            }
            Content::RevocationList(_) => {
                if let Ok(list) = CertificateRevocationList::from_der(&item.der) {
                    what.push(format!("a revocation list of {} with {} entries", list.issuer(), list.len()));
                    lists.push((file.name.clone(), list));
                }
            }
            Content::Pkcs12(container) => {
                what.push("a PKCS#12".to_owned());
                legacy(file, container, notes);
                if file.opened.is_empty() {
                    notes.unchecked(format!("what is in {}: it is encrypted, and was not opened", file.name));
                }
            }
            Content::Certificate(certificate) if certificate.strict.is_err() => {
                let why = certificate.strict.as_ref().err().map_or(String::new(), ToString::to_string);
                let finding = Finding::new(
                    FindingCode::MalformedCertificate,
                    Fault::Issuer,
                    format!("a certificate in {} breaks the rules: {why}", file.name),
                )
                .certain()
                .fix(Fault::Client, format!("countersign inspect --full {}", shell(&file.name)));
                notes.push(Weight::WouldBlock, Direction::Neither, finding);
            }
            Content::Request(_) => what.push("a certificate signing request".to_owned()),
            Content::Key(_) => what.push("a public key".to_owned()),
            _ => {}
        }
    }
    if let (true, Err(error)) = (pem::looks_like_pem(&file.bytes), pem::read(&file.bytes)) {
        let finding = Finding::new(
            FindingCode::PemDamaged,
            Fault::Client,
            format!("the PEM in {} is damaged, and programs do not read it", file.name),
        )
        .certain()
        .evidence(crate::escape::text(&error.to_string()));
        let finding = if key.is_none() {
            finding
                .fix(Fault::Client, format!("countersign inspect --pem {} > repaired.pem", shell(&file.name)))
        } else {
            finding.remedy("copy it again from where it was made")
        };
        notes.push(Weight::WouldBlock, Direction::ClientStopped, finding);
    } else if what.is_empty() {
        let why =
            inspection.problems.first().map_or("nothing known is in it".to_owned(), |p| p.message.clone());
        let finding =
            Finding::new(FindingCode::ConfigurationUnusable, Fault::Client, format!("{}: {why}", file.name))
                .certain()
                .fix(Fault::Client, format!("countersign inspect {}", shell(&file.name)));
        notes.push(Weight::WouldBlock, Direction::ClientStopped, finding);
    }
    if let (Some(mode), Some(_)) = (file.mode, key)
        && mode & 0o077 != 0
    {
        let finding = Finding::new(
            FindingCode::KeyFileTooOpen,
            Fault::Client,
            format!(
                "others may read the private key in {} (mode {mode:04o}); PostgreSQL and SSH refuse it then",
                file.name
            ),
        )
        .certain()
        .fix(Fault::Client, format!("chmod 600 {}", shell(&file.name)));
        notes.push(Weight::Warns, Direction::Neither, finding);
    }
    if !what.is_empty() {
        notes.checked(format!("{}: {}", file.name, what.join("; ")));
    }
    Known { file: file.name.clone(), chain, keys }
}

fn describe(certificate: &Certificate) -> String {
    let kind = match (certificate.is_ca(), certificate.is_self_issued()) {
        (true, true) => "root CA",
        (true, false) => "intermediate CA",
        (false, _) => "certificate",
    };
    format!(
        "{kind} {} issued by {} until {}",
        name(certificate),
        certificate.issuer(),
        humane::minute(certificate.not_after())
    )
}

fn legacy(file: &PileFile, container: &crate::pkcs12::Pkcs12Description, notes: &mut Notes) {
    let all = container.parts.iter().flat_map(|part| {
        part.encryption
            .iter()
            .chain(part.bags.iter().filter_map(|bag| bag.encryption.as_ref()))
            .map(|e| e.text())
    });
    let old: Vec<String> = all
        .filter(|text| text.to_lowercase().contains("rc2") || text.to_lowercase().contains("rc4"))
        .collect();
    let Some(first) = old.first() else { return };
    let finding = Finding::new(
        FindingCode::Pkcs12LegacyEncryption,
        Fault::Client,
        format!("{} is encrypted with {first}, which OpenSSL 3 no longer reads", file.name),
    )
    .certain()
    .fix(
        Fault::Client,
        format!(
            "openssl pkcs12 -legacy -in {} -nodes -out all.pem && openssl pkcs12 -export -in all.pem -out new.p12 && rm all.pem",
            shell(&file.name)
        ),
    );
    notes.push(Weight::WouldBlock, Direction::ClientStopped, finding);
}

/// Which key belongs to which certificate.
fn keys(known: &[Known], notes: &mut Notes) {
    let leaves: Vec<(&str, &Certificate)> =
        known.iter().flat_map(|entry| entry.chain.iter().map(|c| (entry.file.as_str(), c))).collect();
    for entry in known {
        for key in &entry.keys {
            let owner =
                leaves.iter().find(|(_, c)| c.public_key().is_ok_and(|public| public.spki_der() == key));
            match owner {
                Some((file, owner)) => {
                    notes.checked(format!("{} holds the key of {}, in {file}", entry.file, name(owner)));
                }
                None => {
                    let finding = Finding::new(
                        FindingCode::KeyMismatch,
                        Fault::Client,
                        format!("the private key in {} belongs to none of the certificates here", entry.file),
                    )
                    .certain()
                    .evidence(format!("its public half (SHA-256): {}", pki::hex(&pki::sha256(key)[..8])))
                    .remedy("use the certificate that was made with it; after a renewal both files must be replaced");
                    notes.push(Weight::WouldBlock, Direction::ClientStopped, finding);
                }
            }
        }
    }
    for (file, leaf) in leaves.iter().filter(|(_, c)| !c.is_ca()) {
        let has_key = known
            .iter()
            .flat_map(|entry| &entry.keys)
            .any(|key| leaf.public_key().is_ok_and(|public| public.spki_der() == key));
        if !has_key {
            notes.unchecked(format!(
                "whether {} in {file} has its key: it is in none of the files",
                name(leaf)
            ));
        }
    }
}

fn serial_numbers(all: &[Certificate], notes: &mut Notes) {
    for (index, one) in all.iter().enumerate() {
        let twin = all[index + 1..].iter().find(|other| {
            *other != one && other.serial() == one.serial() && other.issuer().matches(one.issuer())
        });
        if let Some(other) = twin {
            let finding = Finding::new(
                FindingCode::SameSerialNumber,
                Fault::Issuer,
                format!("{} and {} have the same issuer and serial number {}", name(one), name(other), one.serial_hex()),
            )
            .certain()
            .remedy("issue one of them again, with a random serial number; Firefox refuses the second one it sees");
            notes.push(Weight::Warns, Direction::Neither, finding);
        }
    }
}

/// Whether the certificates of a file stand in the order in which a peer sends them.
fn order(entry: &Known, notes: &mut Notes) {
    let chain = &entry.chain;
    if chain.len() < 2 || chain.iter().all(Certificate::is_ca) {
        return;
    }
    let Some(leaf) = chain.iter().position(|c| !c.is_ca()) else { return };
    let in_order = leaf == 0 && chain.windows(2).all(|pair| pair[0].issuer().matches(pair[1].subject()));
    let leaves = chain.iter().filter(|c| !c.is_ca()).count();
    if in_order || leaves > 1 {
        return;
    }
    let finding = Finding::new(
        FindingCode::ChainOrder,
        Fault::Client,
        format!("the certificates in {} are not in the order leaf, issuer, issuer of that", entry.file),
    )
    .certain()
    .evidence(format!("in it: {}", chain.iter().map(name).collect::<Vec<_>>().join(" / ")))
    .fix(Fault::Client, "cat leaf.pem intermediate.pem > fullchain.pem")
    .remedy("put the leaf first: servers and clients take the first one as their own");
    let weight = if leaf == 0 { Weight::Warns } else { Weight::WouldBlock };
    notes.push(weight, Direction::ClientStopped, finding);
}

fn judge_leaf(
    leaf: &Certificate,
    entry: &Known,
    all: &[Certificate],
    trust: &TrustBundle,
    lists: &[(String, CertificateRevocationList)],
    at: Timestamp,
    notes: &mut Notes,
) {
    let crls: Vec<CertificateRevocationList> = lists.iter().map(|(_, list)| list.clone()).collect();
    let judge = |purpose| verify(leaf, all, &Rules { crls: &crls, ..Rules::new(trust, purpose, at) });
    let (server, client, any) = (judge(Purpose::Server), judge(Purpose::Client), judge(Purpose::Any));
    let fit = |result: &Result<_, pki::verify::Refusal>| match result {
        Ok(_) => "yes".to_owned(),
        Err(refusal) => format!("no, {}", refusal.first()),
    };
    match &any {
        Ok(path) => {
            let names: Vec<String> = path.certificates().iter().map(name).collect();
            notes.checked(format!("the chain of {} is complete: {}", name(leaf), names.join(" / ")));
            notes.checked(format!(
                "{} for TLS servers: {}; for TLS clients: {}",
                name(leaf),
                fit(&server),
                fit(&client)
            ));
        }
        Err(refusal) => {
            for reason in refusal.reasons() {
                let finding = of_reason(leaf, entry, reason.code, &reason.message, refusal.path(), at);
                let weight = match reason.code {
                    ReasonCode::UnknownIssuer => Weight::Warns,
                    _ => Weight::WouldBlock,
                };
                notes.push(weight, Direction::Neither, finding);
            }
        }
    }
    let left = leaf.not_after().duration_since(at);
    if !left.is_negative() && left < jiff::SignedDuration::from_hours(14 * 24) {
        let whole = leaf.not_after().duration_since(leaf.not_before());
        if whole > jiff::SignedDuration::from_hours(30 * 24) {
            let finding = Finding::new(
                FindingCode::ExpiresSoon,
                Fault::Client,
                format!("{} in {} ends in {}", name(leaf), entry.file, humane::span(left)),
            )
            .certain()
            .fix(Fault::Client, format!("countersign renew {}", shell(&leaf.short_name())));
            notes.push(Weight::Warns, Direction::Neither, finding);
        }
    }
    let kind = match leaf.extended_key_usages() {
        Some(usages) if usages.contains(&pki::oid::CLIENT_AUTH) => "client",
        _ => "server",
    };
    let reissue = format!("countersign issue {kind} {}", shell(&leaf.short_name()));
    if let Some(finding) = strict(leaf, std::slice::from_ref(leaf), trust.anchors(), kind, &reissue) {
        notes.push(Weight::Warns, Direction::Neither, finding);
    }
}

fn of_reason(
    leaf: &Certificate,
    entry: &Known,
    code: ReasonCode,
    message: &str,
    path: &[Certificate],
    at: Timestamp,
) -> Finding {
    let top = &path[path.len() - 1];
    match code {
        ReasonCode::UnknownIssuer if leaf.is_self_issued() => Finding::new(
            FindingCode::SelfSigned,
            Fault::Issuer,
            format!("{} in {} is self-signed: a peer must be told to believe it", name(leaf), entry.file),
        )
        .certain()
        .evidence(message.to_owned())
        .remedy("issue it from a CA"),
        ReasonCode::UnknownIssuer => Finding::new(
            FindingCode::IntermediateMissing,
            Fault::Client,
            format!("the chain of {} is not complete: {} is in none of the files", name(leaf), top.issuer()),
        )
        .certain()
        .evidence(message.to_owned())
        .remedy("add the missing certificate; if it is the root, only the other side needs it"),
        ReasonCode::CertificateExpired if path.first().is_some_and(|first| at > first.not_after()) => {
            expired(leaf, at, "the certificate")
        }
        other => {
            Finding::new(other.into(), Fault::Issuer, format!("{} in {}: {message}", name(leaf), entry.file))
                .certain()
                .fix(Fault::Issuer, format!("countersign inspect {}", shell(&entry.file)))
        }
    }
}

fn expired(certificate: &Certificate, at: Timestamp, what: &str) -> Finding {
    Finding::new(
        FindingCode::CertificateExpired,
        Fault::Issuer,
        format!(
            "{what} {} expired {} ago",
            name(certificate),
            humane::span(at.duration_since(certificate.not_after()))
        ),
    )
    .certain()
    .evidence(format!("valid until {}; now it is {at}", certificate.not_after()))
    .fix(Fault::Issuer, format!("countersign renew {}", shell(&certificate.short_name())))
}
