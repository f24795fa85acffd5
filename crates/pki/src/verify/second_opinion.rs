//! rustls-webpki's judgement of a path that this engine found valid. Where it supports what the path uses, its
//! "no" is also ours.

use std::time::Duration;

use rustls_pki_types::{CertificateDer, UnixTime};
use webpki::{EndEntityCert, KeyUsage, anchor_from_trusted_cert};

use super::reason::{Reason, ReasonCode};
use super::{Purpose, Rules};
use crate::certificate::Certificate;
use crate::key::KeyAlgorithm;
use crate::name::Subtree;
use crate::oid;

/// Asks, unless the path uses what rustls-webpki does not support.
pub(super) fn ask(path: &[Certificate], rules: &Rules<'_>) -> Result<(), Reason> {
    let usage = match rules.purpose {
        Purpose::Server => KeyUsage::server_auth(),
        Purpose::Client => KeyUsage::client_auth(),
        Purpose::Any => return Ok(()),
    };
    let [leaf, intermediates @ .., anchor] = path else { return Ok(()) };
    if !path.iter().all(is_supported) {
        return Ok(());
    }
    let disagree = |error: webpki::Error| {
        let message = format!(
            "rustls-webpki refuses this path ({error}), which countersign's own validation accepts; \
             please report this"
        );
        Reason::new(ReasonCode::SecondOpinion, 0, leaf, message)
    };
    let anchor = CertificateDer::from(anchor.der());
    let anchors = [anchor_from_trusted_cert(&anchor).map_err(disagree)?];
    let leaf_der = CertificateDer::from(leaf.der());
    let intermediates: Vec<CertificateDer<'_>> =
        intermediates.iter().map(|c| CertificateDer::from(c.der())).collect();
    let seconds = u64::try_from(rules.at.as_second()).unwrap_or(0);
    let now = UnixTime::since_unix_epoch(Duration::from_secs(seconds));
    EndEntityCert::try_from(&leaf_der)
        .and_then(|end_entity| {
            end_entity
                .verify_for_usage(
                    webpki::ALL_VERIFICATION_ALGS,
                    &anchors,
                    &intermediates,
                    now,
                    usage,
                    None,
                    None,
                )
                .map(|_| ())
        })
        .map_err(disagree)
}

/// What rustls-webpki 0.103 cannot judge: constraints on mailboxes, URIs and directory names, the any-purpose
/// extended key usage, keys it has no algorithm for, and policies marked critical.
fn is_supported(certificate: &Certificate) -> bool {
    let constraints_fit = certificate.name_constraints().is_none_or(|constraints| {
        constraints
            .permitted
            .iter()
            .chain(&constraints.excluded)
            .all(|subtree| matches!(subtree, Subtree::Dns(_) | Subtree::Ip(_)))
    });
    let purposes_fit =
        certificate.extended_key_usages().is_none_or(|p| !p.contains(&oid::ANY_EXTENDED_KEY_USAGE));
    let key_fits = certificate.public_key().is_ok_and(|key| {
        !matches!(key.algorithm(), KeyAlgorithm::MlDsa44 | KeyAlgorithm::MlDsa65 | KeyAlgorithm::MlDsa87)
    });
    let policies_fit =
        !certificate.extensions().iter().any(|e| e.critical && e.oid == oid::CERTIFICATE_POLICIES);
    constraints_fit && purposes_fit && key_fits && policies_fit
}
