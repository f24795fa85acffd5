//! Where a path of the server's ends that our validator takes and some program does not: in a store that it does not read,
//! in a leaf, in an intermediate.

use pki::Certificate;

use super::{Direction, Facts, Notes, PartialChain, TrustStore, Weight, name, shell};
use crate::finding::{Fault, Finding, FindingCode};

/// A path that our validator takes, and some program does not.
pub(super) fn judge(facts: &Facts, path: &[Certificate], notes: &mut Notes) {
    let anchor = &path[path.len() - 1];
    if let TrustStore::Own { add } = facts.program.trust_store()
        && facts.own.added_anchors.contains(anchor)
        && facts.own.anchor_files.is_empty()
    {
        let finding = Finding::new(
            FindingCode::TrustStoreIgnored,
            Fault::Client,
            format!(
                "{} refuses the server's certificate although its CA {} is in the system's trust store: it reads a list of \
                 its own, so curl is happy and it is not",
                facts.program.title(),
                name(anchor)
            ),
        )
        .certain()
        .evidence("the CA was added to the system's trust, and that is all")
        .fix(Fault::Client, add.to_owned())
        .remedy("give the CA to that program too (Node.js from 22.15 on: node --use-system-ca)");
        notes.push(Weight::Blocks, Direction::ClientRefusedServer, finding);
        return;
    }
    if anchor.is_self_issued() && path.len() > 1 {
        return;
    }
    let url = facts.target.url();
    if path.len() == 1 {
        if anchor.is_self_issued() {
            // Trusted by name: works everywhere but where a CA is no leaf.
            return;
        }
        let root = facts.neighbour(|c| c.is_ca() && c.subject().matches(anchor.issuer()));
        let file = root.map_or("ca.pem".to_owned(), |(file, _)| shell(file));
        let blocks = facts.program.partial_chain() != PartialChain::Any;
        let finding = Finding::new(
            FindingCode::LeafAsAnchor,
            Fault::Client,
            format!(
                "the client's CA file holds the server's own certificate {}, not its issuer {}: curl, Go, Java and \
                 Python 3.13 take that, Node.js, openssl, rustls and older Pythons do not, and it breaks everywhere \
                 when the server's certificate is renewed",
                name(anchor),
                anchor.issuer()
            ),
        )
        .certain()
        .evidence(format!("in {}: {}, which is no CA", files(facts), name(anchor)))
        .fix(Fault::Client, facts.program.trust_command(&file, &url))
        .remedy("point the client at the certificate of the CA");
        let weight = if blocks { Weight::Blocks } else { Weight::Warns };
        notes.push(weight, Direction::ClientRefusedServer, finding);
        return;
    }
    let blocks = facts.program.partial_chain() == PartialChain::RootOnly;
    let root = facts.neighbour(|c| c.is_self_issued() && c.subject().matches(anchor.issuer()));
    let finding = Finding::new(
        FindingCode::AnchorNotRoot,
        Fault::Client,
        format!(
            "the client's CA file holds the intermediate {} and not its root {}: curl, Go, Java and rustls take that, \
             Node.js, openssl and older Pythons do not",
            name(anchor),
            anchor.issuer()
        ),
    )
    .certain()
    .evidence(format!("in {}: {}, issued by {}", files(facts), name(anchor), anchor.issuer()))
    .fix(Fault::Client, match root {
        Some((file, _)) => format!("cat {} >> {}", shell(file), files(facts)),
        None => format!("cat rootCA.pem >> {}", files(facts)),
    })
    .remedy("put the root into the client's CA file");
    let weight = if blocks { Weight::Blocks } else { Weight::Warns };
    notes.push(weight, Direction::ClientRefusedServer, finding);
}

pub(super) fn files(facts: &Facts) -> String {
    match facts.own.anchor_files.as_slice() {
        [] => "the trust store".to_owned(),
        some => some.join(", "),
    }
}
