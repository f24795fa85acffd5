//! rustls-webpki's judgement of a path that this engine found valid. Where it supports what the path uses, its
//! "no" is also ours.

use std::time::Duration;

use rustls_pki_types::{
    AlgorithmIdentifier, CertificateDer, InvalidSignature, SignatureVerificationAlgorithm, UnixTime,
};
use webpki::{EndEntityCert, KeyUsage, anchor_from_trusted_cert};

use super::reason::{Reason, ReasonCode};
use super::{Purpose, Rules};
use crate::certificate::Certificate;
use crate::name::{GeneralName, Subtree};
use crate::oid;

/// The most CAs between leaf and anchor that rustls-webpki 0.103 follows.
const MOST_INTERMEDIATES: usize = 6;

/// Asks, unless the path uses what rustls-webpki does not support.
pub(super) fn ask(path: &[Certificate], rules: &Rules<'_>) -> Result<(), Reason> {
    let usage = match rules.purpose {
        Purpose::Server => KeyUsage::server_auth(),
        Purpose::Client => KeyUsage::client_auth(),
        Purpose::Any | Purpose::Usage(_) => return Ok(()),
    };
    let [leaf, intermediates @ .., anchor] = path else { return Ok(()) };
    // It counts self-issued CAs in path lengths and holds their names against constraints, which RFC 5280 sections
    // 4.2.1.9 and 4.2.1.10 exempt.
    if intermediates.len() > MOST_INTERMEDIATES || intermediates.iter().any(Certificate::is_self_issued) {
        return Ok(());
    }
    // A constraint on a kind of name that it cannot judge matters only where such a name stands below.
    let has_foreign_names = path.iter().any(|certificate| {
        let named = |name: &GeneralName| !matches!(name, GeneralName::Dns(_) | GeneralName::Ip(_));
        certificate.subject_alt_names().iter().any(named)
            || !certificate.subject().values(&oid::EMAIL_ADDRESS).is_empty()
    });
    if !path.iter().all(|certificate| is_supported(certificate, has_foreign_names)) {
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
    let witnessed: Vec<Witnessed<'_>> =
        webpki::ALL_VERIFICATION_ALGS.iter().map(|inner| Witnessed { inner: *inner, path }).collect();
    let algorithms: Vec<&dyn SignatureVerificationAlgorithm> =
        witnessed.iter().map(|algorithm| algorithm as &dyn SignatureVerificationAlgorithm).collect();
    EndEntityCert::try_from(&leaf_der)
        .and_then(|end_entity| {
            end_entity
                .verify_for_usage(&algorithms, &anchors, &intermediates, now, usage, None, None)
                .map(|_| ())
        })
        .map_err(disagree)
}

/// A signature algorithm that does not verify again what this engine has verified on the way here: the same octets
/// with the same key, by the same library. Everything else it verifies itself. The second opinion is one on paths;
/// asking the same primitive twice would only double the cost of a handshake.
struct Witnessed<'a> {
    inner: &'static dyn SignatureVerificationAlgorithm,
    path: &'a [Certificate],
}

impl std::fmt::Debug for Witnessed<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Witnessed({:?})", self.inner)
    }
}

impl SignatureVerificationAlgorithm for Witnessed<'_> {
    fn verify_signature(
        &self,
        public_key: &[u8],
        message: &[u8],
        signature: &[u8],
    ) -> Result<(), InvalidSignature> {
        let is_known = self.path.iter().any(|certificate| {
            certificate.tbs_der() == message
                && certificate.signature() == signature
                && certificate.verified_with().is_some_and(|key| key.key_octets() == public_key)
        });
        if is_known { Ok(()) } else { self.inner.verify_signature(public_key, message, signature) }
    }

    fn public_key_alg_id(&self) -> AlgorithmIdentifier {
        self.inner.public_key_alg_id()
    }

    fn signature_alg_id(&self) -> AlgorithmIdentifier {
        self.inner.signature_alg_id()
    }
}

/// What rustls-webpki 0.103 cannot judge: constraints on mailboxes, URIs and directory names, the any-purpose
/// extended key usage, extensions marked critical that it does not know, and `*.localhost`.
fn is_supported(certificate: &Certificate, has_foreign_names: bool) -> bool {
    let constraints_fit = certificate.name_constraints().is_none_or(|constraints| {
        constraints.permitted.iter().chain(&constraints.excluded).all(|subtree| match subtree {
            Subtree::Dns(_) | Subtree::Ip(_) => true,
            Subtree::Email(_) | Subtree::Uri(_) => !has_foreign_names,
            Subtree::Directory(_) | Subtree::Other { .. } => false,
        })
    });
    let purposes_fit =
        certificate.extended_key_usages().is_none_or(|p| !p.contains(&oid::ANY_EXTENDED_KEY_USAGE));
    const ONLY_OURS: [oid::Oid; 6] = [
        oid::CERTIFICATE_POLICIES,
        oid::POLICY_MAPPINGS,
        oid::POLICY_CONSTRAINTS,
        oid::INHIBIT_ANY_POLICY,
        oid::AUTHORITY_KEY_IDENTIFIER,
        oid::SUBJECT_KEY_IDENTIFIER,
    ];
    let extensions_fit = !certificate.extensions().iter().any(|e| e.critical && ONLY_OURS.contains(&e.oid));
    // Under DNS constraints it calls *.localhost malformed: a wildcard with one label behind it.
    let wildcards_fit = !certificate.subject_alt_names().iter().any(
        |name| matches!(name, GeneralName::Dns(text) if text.strip_prefix("*.").is_some_and(|rest| !rest.contains('.'))),
    );
    constraints_fit && purposes_fit && extensions_fit && wildcards_fit
}
