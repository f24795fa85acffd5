//! Several certificates together: whether each is issued by the next, and what a peer would miss.

use crate::certificate::CertificateDescription;
use crate::model::{Content, Item, Remark};

/// The remarks on the certificates of one input as a chain. `sent` says that a server sent them, so that the order
/// is the server's fault and not a file's business.
pub(crate) fn remarks(items: &[Item], sent: bool) -> Vec<Remark> {
    let numbered: Vec<(usize, &CertificateDescription)> = items
        .iter()
        .enumerate()
        .filter_map(|(index, item)| item.certificate().map(|certificate| (index + 1, certificate)))
        .collect();
    let certificates: Vec<&CertificateDescription> =
        numbered.iter().map(|(_, certificate)| *certificate).collect();
    let mut remarks = Vec::new();
    let Some((first, rest)) = certificates.split_first() else { return remarks };
    keys(items, &numbered, &mut remarks);
    if rest.is_empty() {
        if sent && !first.is_self_issued() && !first.is_ca() {
            remarks.push(Remark::note(
                "intermediate_missing",
                format!(
                    "only the leaf was sent: a client must know its issuer {} already, or the intermediate is missing",
                    issuer_text(first)
                ),
            ));
        }
        return remarks;
    }
    duplicates(&numbered, &mut remarks);
    if certificates.iter().all(|certificate| certificate.is_ca()) && !sent {
        let roots = certificates.iter().filter(|certificate| certificate.is_self_issued()).count();
        if roots == certificates.len() {
            remarks.push(Remark::note("bundle", format!("a bundle of {roots} roots")));
            return remarks;
        }
    }
    order(&numbered, &mut remarks);
    if first.is_ca() && rest.iter().any(|certificate| !certificate.is_ca()) {
        remarks.push(Remark::error(
            "leaf_not_first",
            "the leaf is not the first certificate; servers and clients take the first one as their own \
             (put it first: cat leaf.pem intermediate.pem)",
        ));
    }
    // The length is at least two here.
    if let Some(last) = certificates.last()
        && last.is_ca()
        && last.is_self_issued()
        && !first.is_ca()
    {
        let message = if sent {
            "the root was sent along, which no client needs: it must know its root already"
        } else {
            "the root is included; a server need not send it, and a client's trust must come from elsewhere"
        };
        remarks.push(Remark::note("root_included", message));
    }
    remarks
}

/// Whose key each private key is.
fn keys(items: &[Item], certificates: &[(usize, &CertificateDescription)], remarks: &mut Vec<Remark>) {
    for (index, item) in items.iter().enumerate() {
        let Content::Key(key) = &item.content else { continue };
        let (true, Some(public)) = (key.is_private, &key.public_key) else { continue };
        let number = index + 1;
        let owner = certificates.iter().find(|(_, certificate)| {
            certificate.public_key.as_ref().is_some_and(|own| own.spki == public.spki)
        });
        remarks.push(match owner {
            Some((owner, _)) => Remark::note("key_matches", format!("[{number}] is the private key of [{owner}]")),
            None => Remark::error(
                "key_mismatch",
                format!("[{number}] is the private key of none of the certificates here: they were not made together"),
            ),
        });
    }
}

fn issuer_text(certificate: &CertificateDescription) -> String {
    certificate.issuer.as_ref().map_or_else(|| "(unreadable)".to_owned(), |issuer| issuer.text.clone())
}

fn duplicates(certificates: &[(usize, &CertificateDescription)], remarks: &mut Vec<Remark>) {
    let mut seen = std::collections::HashMap::new();
    let mut serials = std::collections::HashMap::new();
    for (number, certificate) in certificates {
        if let Some(before) = seen.insert(certificate.sha256, *number) {
            remarks.push(Remark::warning(
                "duplicate",
                format!("[{before}] and [{number}] are the same certificate"),
            ));
            continue;
        }
        let Some(issuer) = &certificate.issuer else { continue };
        if let Some(before) = serials.insert((issuer.der.clone(), certificate.serial.clone()), *number) {
            remarks.push(Remark::error(
                "same_serial_number",
                format!(
                    "[{before}] and [{number}] are different certificates with the same issuer and serial number, \
                     which Firefox refuses"
                ),
            ));
        }
    }
}

/// Whether `issuer` signed `certificate`: by name, and by signature where it can be verified.
fn issued(issuer: &CertificateDescription, certificate: &CertificateDescription) -> Issued {
    let named = match (&issuer.subject, &certificate.issuer) {
        (Some(subject), Some(name)) => subject.matches(name),
        _ => false,
    };
    if !named {
        return Issued::No;
    }
    if let (Ok(above), Ok(below)) = (&issuer.strict, &certificate.strict)
        && let Ok(key) = above.public_key()
        && below.signature_algorithm().is_some()
    {
        return if below.verify_signature(key).is_ok() { Issued::Yes } else { Issued::OtherKey };
    }
    match (issuer.subject_key_identifier(), certificate.authority_key_identifier()) {
        (Some(own), Some(wanted)) if own != wanted => Issued::OtherKey,
        _ => Issued::Yes,
    }
}

#[derive(PartialEq, Eq)]
enum Issued {
    Yes,
    /// The names fit and the signature does not.
    OtherKey,
    No,
}

/// How many certificates are compared with all the others; a bundle longer than this is only told neighbour by
/// neighbour.
const MOST_COMPARED: usize = 32;
/// How many broken links are told one by one.
const MOST_TOLD: usize = 8;

fn order(certificates: &[(usize, &CertificateDescription)], remarks: &mut Vec<Remark>) {
    let mut told = 0;
    for pair in certificates.windows(2) {
        let ((number, below), (next, above)) = (pair[0], pair[1]);
        let link = issued(above, below);
        if link == Issued::Yes {
            continue;
        }
        told += 1;
        if told > MOST_TOLD {
            remarks.push(Remark::warning("order", "and more certificates that the next one did not issue"));
            return;
        }
        if link == Issued::OtherKey {
            remarks.push(Remark::error(
                "signature_invalid",
                format!(
                    "[{next}] has the name of [{number}]'s issuer and another key: the CA was made \
                     again, or the file mixes two generations"
                ),
            ));
            continue;
        }
        if below.is_self_issued() {
            remarks.push(Remark::note(
                "several_chains",
                format!("[{number}] is self-signed, so [{next}] starts another chain"),
            ));
            continue;
        }
        let elsewhere = (certificates.len() <= MOST_COMPARED)
            .then(|| certificates.iter().find(|(_, other)| issued(other, below) == Issued::Yes))
            .flatten();
        remarks.push(match elsewhere {
            Some((place, _)) => Remark::warning(
                "order",
                format!(
                    "[{number}] is issued by [{place}], not by the next one: the order is wrong, which \
                     TLS 1.2 forbids"
                ),
            ),
            None => Remark::warning(
                "intermediate_missing",
                format!(
                    "[{number}] is not issued by the next one: its issuer {} is missing",
                    issuer_text(below)
                ),
            ),
        });
    }
}
