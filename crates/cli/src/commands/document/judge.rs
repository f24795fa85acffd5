//! What one signature of a document is worth: each thing that is asked of it, and the answer.

use jiff::Timestamp;
use pki::Certificate;
use pki::cms::{ContentHash, DocumentPurpose, SignedData, SignerInfo, Timestamp as Stamp};
use pki::crl::CertificateRevocationList;
use pki::oid;
use pki::verify::{ExaminedPath, Purpose, ReasonCode, RevocationMode, Rules, TrustBundle, examine};

/// What is believed, and how it is judged.
pub(super) struct Ground<'a> {
    pub(super) anchors: &'a TrustBundle,
    pub(super) stamp_anchors: &'a TrustBundle,
    pub(super) untrusted: &'a [Certificate],
    pub(super) crls: &'a [CertificateRevocationList],
    pub(super) ocsp: &'a [pki::ocsp::Response],
    pub(super) revocation: RevocationMode,
    pub(super) purpose: DocumentPurpose,
    pub(super) now: Timestamp,
}

/// When the signature was there.
pub(super) enum When {
    /// A time-stamping authority that is believed says so.
    Stamped(Timestamp, String),
    /// The signer says so.
    Claimed(Timestamp),
    /// Nobody says.
    Unknown,
}

/// The answer for one signer.
pub(super) struct Judgement {
    pub(super) signer: Option<Certificate>,
    pub(super) algorithm: String,
    pub(super) when: When,
    /// What speaks against it; nothing where it holds.
    pub(super) reasons: Vec<String>,
    /// What limits its worth.
    pub(super) notes: Vec<String>,
    /// The path, where there is one.
    pub(super) path: Vec<Certificate>,
    /// Whether a list or answer says that no certificate of the path was revoked.
    pub(super) revocation_known: bool,
}

/// Judges one signature.
pub(super) fn judge(
    signed: &SignedData,
    signer: &SignerInfo,
    content: &ContentHash,
    ground: &Ground<'_>,
) -> Judgement {
    let mut judgement = Judgement {
        signer: None,
        algorithm: match &signer.algorithm {
            Ok(algorithm) => algorithm.to_string(),
            Err(unknown) => unknown.to_string(),
        },
        when: signer.signing_time().map_or(When::Unknown, When::Claimed),
        reasons: Vec::new(),
        notes: Vec::new(),
        path: Vec::new(),
        revocation_known: false,
    };
    let along: Vec<Certificate> = signed.certificates.iter().chain(ground.untrusted).cloned().collect();
    let Some(certificate) = signer.certificate(&along) else {
        judgement
            .reasons
            .push("the signer's certificate did not come along; give it with --untrusted FILE".to_owned());
        return judgement;
    };
    judgement.signer = Some(certificate.clone());
    if let Err(error) = signer.check(&signed.content_type, content, certificate) {
        judgement.reasons.push(error.to_string());
    }
    if let Err(error) = ground.purpose.judge(certificate) {
        judgement.reasons.push(error.to_string());
    }
    stamp(&mut judgement, signer, &along, ground);
    path(&mut judgement, certificate, &along, signed, ground);
    judgement
}

/// The timestamp: one that is damaged or of something else speaks against the signature, one whose maker is not believed
/// only says nothing.
fn stamp(judgement: &mut Judgement, signer: &SignerInfo, along: &[Certificate], ground: &Ground<'_>) {
    let Some(token) = &signer.timestamp else { return };
    let stamp = match Stamp::check(token, &signer.signature) {
        Ok(stamp) => stamp,
        Err(error) => {
            judgement.reasons.push(error.to_string());
            return;
        }
    };
    let name = stamp.certificate.short_name();
    // RFC 3161 section 2.3: for timestamps alone, and critical.
    let is_for_stamps = stamp.certificate.extended_key_usages() == Some(&[oid::TIME_STAMPING])
        && stamp.certificate.extensions().iter().any(|e| e.oid == oid::EXTENDED_KEY_USAGE && e.critical);
    if !is_for_stamps {
        judgement.notes.push(format!(
            "the timestamp of '{name}' is not believed: its certificate is not for timestamps alone (RFC 3161 section 2.3)"
        ));
        return;
    }
    let intermediates: Vec<Certificate> = stamp.certificates.iter().chain(along).cloned().collect();
    let rules = Rules::new(ground.stamp_anchors, Purpose::Usage(oid::TIME_STAMPING), stamp.time);
    let believed = examine(&stamp.certificate, &intermediates, &rules);
    if let Some(reason) = believed.best().reasons.first() {
        judgement.notes.push(format!("the timestamp of '{name}' is not believed: {reason}"));
        return;
    }
    if stamp.time > ground.now {
        judgement.notes.push(format!("the timestamp of '{name}' is from the future: {}", stamp.time));
        return;
    }
    judgement.when = When::Stamped(stamp.time, name);
}

/// The path: its dates at the moment that a timestamp proves, else now; revocation always now.
fn path(
    judgement: &mut Judgement,
    certificate: &Certificate,
    along: &[Certificate],
    signed: &SignedData,
    ground: &Ground<'_>,
) {
    let crls: Vec<CertificateRevocationList> = ground.crls.iter().chain(&signed.crls).cloned().collect();
    let mut rules = Rules::new(ground.anchors, Purpose::Any, ground.now);
    rules.crls = &crls;
    rules.ocsp = ground.ocsp;
    rules.revocation = ground.revocation;
    let now = examine(certificate, along, &rules);
    let mut best: ExaminedPath = now.best().clone();
    if let When::Stamped(at, _) = &judgement.when {
        let dates = [ReasonCode::CertificateExpired, ReasonCode::CertificateNotYetValid];
        let then = examine(certificate, along, &Rules::new(ground.anchors, Purpose::Any, *at));
        if best.reasons.iter().any(|reason| dates.contains(&reason.code)) && then.valid().is_some() {
            best.reasons.retain(|reason| !dates.contains(&reason.code));
            judgement.notes.push(
                "the certificate is over by now; it was good at the moment of the timestamp".to_owned(),
            );
        }
    }
    judgement.reasons.extend(best.reasons.iter().map(ToString::to_string));
    if best.reasons.is_empty() && (!crls.is_empty() || !ground.ocsp.is_empty()) {
        // Asked again with nothing allowed to be unknown.
        rules.revocation = RevocationMode::Required;
        judgement.revocation_known =
            examine(certificate, along, &rules).best().reasons.iter().all(|reason| {
                matches!(reason.code, ReasonCode::CertificateExpired | ReasonCode::CertificateNotYetValid)
            });
    }
    judgement.path = best.certificates;
}
