//! Commands that can be pasted and mend the pair where they are run. What lies beside the named files tells which: the
//! server's certificate, its list of client CAs, a CA with its key, an authority of ours. Where nothing is known, the
//! command is a pattern, with the names that people most often use.

use jiff::Timestamp;
use pki::Certificate;
use pki::crl::CertificateRevocationList;
use pki::name::{DistinguishedName, GeneralName, ServerName, Subtree};
use pki::oid::{self, Oid};

use super::{Facts, NeighbourContent, Program, shell};

/// How long what is signed by hand is good: as long as `countersign issue` makes it.
const DAYS: u32 = 90;

/// A CA that can sign here: its certificate, and the files of that and of its key.
struct Issuer<'a> {
    certificate: &'a Certificate,
    file: &'a str,
    key: &'a str,
}

/// Whether the key that a certificate had goes on being used, or may be in other hands or too weak.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum OldKey {
    Kept,
    Replaced,
}

/// A certificate for the client, of a CA that the server takes.
pub(super) fn issue_client(facts: &Facts, leaf: &Certificate, old_key: OldKey) -> String {
    let names = facts.asked().map(super::Asked::names).unwrap_or_default();
    let is_believed =
        |ca: &Certificate| facts.own.anchors.contains(ca) || facts.own.peer_anchors.contains(ca);
    let takes = |ca: &Certificate| match names.is_empty() {
        true => is_believed(ca),
        false => names.iter().any(|name| ca.subject().matches(name)),
    };
    let name = leaf.short_name();
    let pattern = format!("countersign issue client {}", shell(&name));
    if facts.own.authority.iter().any(takes) {
        let (file, key) = (shell(&format!("{name}.pem")), shell(&format!("{name}-key.pem")));
        let issue = pattern + force(facts, &[&format!("{name}.pem"), &format!("{name}-key.pem")]);
        return match facts.program {
            Program::Curl => format!("{issue} && curl --cert {file} --key {key} …"),
            _ => issue,
        };
    }
    // Of two CAs of one name the one that is believed today.
    let issuer = issuer(facts, |ca| takes(ca) && is_believed(ca)).or_else(|| issuer(facts, takes));
    let own = own_files(facts, leaf);
    let by_hand = issuer.zip(own).and_then(|(issuer, (file, key))| {
        sign(&issuer, leaf.subject(), leaf.subject_alt_names(), oid::CLIENT_AUTH, file, key, old_key)
    });
    by_hand.unwrap_or(pattern)
}

/// The client's certificate with a later end.
pub(super) fn renew_client(facts: &Facts, leaf: &Certificate) -> String {
    or_renew(issue_client(facts, leaf, OldKey::Kept), leaf)
}

/// The server's certificate with a later end.
pub(super) fn renew_server(facts: &Facts, leaf: &Certificate) -> String {
    or_renew(issue_server(facts, leaf, OldKey::Kept), leaf)
}

/// What is signed by hand stands; an authority of ours knows what it issued, and renews that.
fn or_renew(issue: String, leaf: &Certificate) -> String {
    if issue.starts_with("countersign ") {
        format!("countersign renew {}", shell(&leaf.short_name()))
    } else {
        issue
    }
}

/// A certificate for the server that names the host, of a CA that the client believes.
pub(super) fn issue_server(facts: &Facts, leaf: &Certificate, old_key: OldKey) -> String {
    let host = &facts.target.host;
    let mut names = leaf.subject_alt_names().to_vec();
    // An address that stands as a DNS name never matches, and some programs refuse a certificate for it.
    names.retain(|name| !matches!(name, GeneralName::Dns(text) if text.parse::<std::net::IpAddr>().is_ok()));
    if !names.iter().any(|name| host.is_named_by(name)) {
        names.push(host_name(host));
    }
    let pattern = format!("countersign issue server {}", shell(&host.to_string()));
    let believes = |ca: &Certificate| facts.own.anchors.contains(ca);
    if facts.own.authority.iter().any(believes) {
        let mut wanted = vec![host.to_string()];
        wanted.extend(names.iter().filter(|name| !host.is_named_by(name)).filter_map(|name| match name {
            GeneralName::Dns(text) => Some(text.clone()),
            GeneralName::Ip(ip) => Some(ip.to_string()),
            _ => None,
        }));
        let words: Vec<String> = wanted.iter().map(|name| shell(name)).collect();
        let files = [format!("{}.pem", wanted[0]), format!("{}-key.pem", wanted[0])];
        return format!("countersign issue server {}", words.join(" "))
            + force(facts, &[&files[0], &files[1]]);
    }
    let issuer = issuer(facts, |ca| believes(ca) && permits(ca, &names));
    let served = served_files(facts, leaf);
    let by_hand = issuer.zip(served).and_then(|(issuer, (file, key))| {
        sign(&issuer, leaf.subject(), &names, oid::SERVER_AUTH, file, key, old_key)
    });
    by_hand.unwrap_or(pattern)
}

/// The certificate of a CA made again with constraints that let this host in; its key, and so all that it issued,
/// stays. `None` where the CA's key is not at hand.
pub(super) fn widen(facts: &Facts, leaf: &Certificate) -> Option<String> {
    let issuer = issuer(facts, |ca| {
        ca.is_self_issued() && ca.subject().matches(leaf.issuer()) && !permits(ca, leaf.subject_alt_names())
    })?;
    let constraints =
        issuer.certificate.name_constraints().filter(|constraints| constraints.excluded.is_empty())?;
    let mut permitted = Vec::new();
    for subtree in &constraints.permitted {
        permitted.push(format!("permitted;{}", subtree_text(subtree)?));
    }
    for name in leaf.subject_alt_names().iter().chain([&host_name(&facts.target.host)]) {
        let new = match name {
            GeneralName::Dns(text) => format!("permitted;DNS:{text}"),
            GeneralName::Ip(ip) if ip.is_ipv4() => format!("permitted;IP:{ip}/255.255.255.255"),
            _ => continue,
        };
        if !permitted.contains(&new) && !permits(issuer.certificate, std::slice::from_ref(name)) {
            permitted.push(new);
        }
    }
    let extensions = [
        "basicConstraints=critical,CA:TRUE".to_owned(),
        "keyUsage=critical,keyCertSign,cRLSign".to_owned(),
        format!("nameConstraints=critical,{}", permitted.join(",")),
    ];
    Some(format!(
        "openssl req -x509 -config /dev/null -key {} -subj {} {} -days 3650 -out {}",
        shell(issuer.key),
        shell(&subject(issuer.certificate.subject())?),
        extensions.map(|extension| format!("-addext {}", shell(&extension))).join(" "),
        shell(issuer.file),
    ))
}

/// The intermediate put behind the server's leaf, in the file that is served where that lies here.
pub(super) fn serve_intermediate(facts: &Facts, leaf: &Certificate, intermediate: &str) -> String {
    match served_files(facts, leaf) {
        Some((file, _)) => format!("cat {intermediate} >> {}", shell(file)),
        None => format!("cat server.pem {intermediate} > fullchain.pem"),
    }
}

/// The intermediate put behind the client's leaf, and the client called with both.
pub(super) fn send_intermediate(facts: &Facts, intermediate: &str) -> String {
    let certificate = facts.own.certificate_file.as_deref().unwrap_or("client.pem");
    let full = format!("{}-full.pem", certificate.rsplit_once('.').map_or(certificate, |(stem, _)| stem));
    let join = format!("cat {} {intermediate} > {}", shell(certificate), shell(&full));
    match (facts.program, facts.own.certificate_file.is_some()) {
        (Program::Curl, true) => format!("{join} && curl --cert {} …", shell(&full)),
        _ => join,
    }
}

/// The first certificate of the client's file alone, and the client called with it.
pub(super) fn send_first_alone(facts: &Facts) -> String {
    let certificate = facts.own.certificate_file.as_deref().unwrap_or("client.pem");
    let leaf = format!("{}-leaf.pem", certificate.rsplit_once('.').map_or(certificate, |(stem, _)| stem));
    let cut = format!("openssl x509 -in {} -out {}", shell(certificate), shell(&leaf));
    match (facts.program, facts.own.certificate_file.is_some()) {
        (Program::Curl, true) => format!("{cut} && curl --cert {} …", shell(&leaf)),
        _ => cut,
    }
}

/// A CA put into the list that the server names to clients. `issuer` is whom the client's certificate is from.
pub(super) fn admit(facts: &Facts, issuer: &DistinguishedName) -> String {
    let ca = facts.neighbour(|c| c.is_ca() && c.subject().matches(issuer));
    let named = facts.asked().map(super::Asked::names).unwrap_or_default();
    // The file that holds exactly what the server names, and so is its list or a copy of it.
    let list = facts.neighbours.iter().find_map(|neighbour| match &neighbour.content {
        NeighbourContent::Certificates(list) if !named.is_empty() && list.len() == named.len() => list
            .iter()
            .all(|c| c.is_ca() && named.iter().any(|name| c.subject().matches(name)))
            .then_some(neighbour.file.as_str()),
        _ => None,
    });
    match (ca, list) {
        (Some((ca, _)), Some(list)) => format!("cat {} >> {}", shell(ca), shell(list)),
        (Some((ca, _)), None) => format!("cat {} >> client-ca.pem", shell(ca)),
        (None, list) => format!("cat issuing-ca.pem >> {}", shell(list.unwrap_or("client-ca.pem"))),
    }
}

/// A fresh revocation list, in the place of the stale one where that lies here.
pub(super) fn renew_list(facts: &Facts, leaf: &Certificate) -> String {
    let file = stale_list(facts, leaf).map_or("ca.crl", |(file, _)| file);
    format!("countersign crl --out {}", shell(file))
}

/// A file beside with a revocation list of this certificate's issuer that is past its end, and when that was.
pub(super) fn stale_list<'a>(facts: &'a Facts, leaf: &Certificate) -> Option<(&'a str, Timestamp)> {
    facts.neighbours.iter().find_map(|neighbour| match &neighbour.content {
        NeighbourContent::RevocationLists(lists) => lists
            .iter()
            .filter(|list| list.issuer().matches(leaf.issuer()))
            .filter_map(CertificateRevocationList::next_update)
            .find(|next| *next < facts.at)
            .map(|next| (neighbour.file.as_str(), next)),
        _ => None,
    })
}

fn host_name(host: &ServerName) -> GeneralName {
    match host {
        ServerName::Ip(ip) => GeneralName::Ip(*ip),
        ServerName::Dns(name) => GeneralName::Dns(name.clone()),
    }
}

/// A CA beside with its key beside, unencrypted.
fn issuer<'a>(facts: &'a Facts, fits: impl Fn(&Certificate) -> bool) -> Option<Issuer<'a>> {
    facts.neighbours.iter().find_map(|neighbour| {
        let NeighbourContent::Certificates(list) = &neighbour.content else { return None };
        let certificate = list.first().filter(|c| c.is_ca() && in_date(facts, c) && fits(c))?;
        let key = key_file(facts, certificate)?;
        Some(Issuer { certificate, file: &neighbour.file, key })
    })
}

fn in_date(facts: &Facts, certificate: &Certificate) -> bool {
    certificate.not_before() <= facts.at && facts.at <= certificate.not_after()
}

/// The file beside that holds the key of this certificate and nothing else.
fn key_file<'a>(facts: &'a Facts, certificate: &Certificate) -> Option<&'a str> {
    let spki = certificate.public_key().ok()?.spki_der();
    facts.neighbours.iter().find_map(|neighbour| match &neighbour.content {
        NeighbourContent::Key(public) if public == spki => Some(neighbour.file.as_str()),
        _ => None,
    })
}

/// The client's certificate and key, each in a file of its own, so that one can be replaced.
fn own_files<'a>(facts: &'a Facts, leaf: &Certificate) -> Option<(&'a str, &'a str)> {
    let (file, key) = (facts.own.certificate_file.as_deref()?, facts.own.key_file.as_deref()?);
    let is_whole = facts.neighbours.iter().any(|neighbour| {
        neighbour.file == file.trim_start_matches("./")
            && matches!(&neighbour.content, NeighbourContent::Certificates(list) if list.first() == Some(leaf))
    });
    let is_its_key = key_file(facts, leaf).is_some_and(|beside| beside == key.trim_start_matches("./"));
    (is_whole && is_its_key && file != key).then_some((file, key))
}

/// The server's certificate and key, where copies of what is served lie here.
fn served_files<'a>(facts: &'a Facts, leaf: &Certificate) -> Option<(&'a str, &'a str)> {
    let file = facts.neighbours.iter().find_map(|neighbour| match &neighbour.content {
        NeighbourContent::Certificates(list) if list.first() == Some(leaf) => Some(neighbour.file.as_str()),
        _ => None,
    })?;
    Some((file, key_file(facts, leaf)?))
}

fn permits(ca: &Certificate, names: &[GeneralName]) -> bool {
    ca.name_constraints().is_none_or(|constraints| names.iter().all(|name| constraints.check(name).is_ok()))
}

/// ` --force`, where one of these files is there already.
fn force(facts: &Facts, files: &[&str]) -> &'static str {
    let is_there = facts.neighbours.iter().any(|neighbour| files.contains(&neighbour.file.as_str()));
    if is_there { " --force" } else { "" }
}

/// One certificate signed with openssl (3.0 and newer), with the identifiers that strict programs want.
fn sign(
    issuer: &Issuer<'_>,
    holder: &DistinguishedName,
    names: &[GeneralName],
    purpose: Oid,
    file: &str,
    key: &str,
    old_key: OldKey,
) -> Option<String> {
    let purpose = if purpose == oid::SERVER_AUTH { "serverAuth" } else { "clientAuth" };
    let mut extensions =
        vec!["keyUsage=critical,digitalSignature".to_owned(), format!("extendedKeyUsage={purpose}")];
    let mut alternative = Vec::new();
    for name in names {
        let is_plain = !name.value().contains([',', '\\', '$', ';']);
        match name {
            GeneralName::Dns(_) | GeneralName::Ip(_) | GeneralName::Email(_) | GeneralName::Uri(_)
                if is_plain =>
            {
                alternative.push(name.to_string());
            }
            // A name that this command cannot write would be lost.
            _ => return None,
        }
    }
    if !alternative.is_empty() {
        extensions.push(format!("subjectAltName={}", alternative.join(",")));
    }
    let extensions: Vec<String> =
        extensions.iter().map(|extension| format!("-addext {}", shell(extension))).collect();
    let key = match old_key {
        OldKey::Kept => format!("-key {}", shell(key)),
        OldKey::Replaced => {
            format!("-newkey ec -pkeyopt ec_paramgen_curve:P-256 -noenc -keyout {}", shell(key))
        }
    };
    Some(format!(
        "openssl req -x509 -config /dev/null -CA {} -CAkey {} {key} -subj {} {} -days {DAYS} -out {}",
        shell(issuer.file),
        shell(issuer.key),
        shell(&subject(holder)?),
        extensions.join(" "),
        shell(file),
    ))
}

/// A subject as openssl's `-subj` takes it. `None` where it has several attributes in one place, or is empty.
fn subject(name: &DistinguishedName) -> Option<String> {
    let attributes = name.attributes();
    if attributes.is_empty() || attributes.iter().any(|attribute| attribute.joined) {
        return None;
    }
    let mut text = String::new();
    for attribute in &attributes {
        let kind = match attribute.oid.dotted().as_str() {
            "2.5.4.3" => "CN".to_owned(),
            "2.5.4.10" => "O".to_owned(),
            "2.5.4.11" => "OU".to_owned(),
            other => other.to_owned(),
        };
        let value = attribute.value.replace('\\', "\\\\").replace('/', "\\/").replace('+', "\\+");
        text.push_str(&format!("/{kind}={value}"));
    }
    Some(text)
}

/// A permitted subtree as openssl's configuration has it. `None` for what it cannot write.
fn subtree_text(subtree: &Subtree) -> Option<String> {
    Some(match subtree {
        Subtree::Dns(text) => format!("DNS:{text}"),
        Subtree::Email(text) => format!("email:{text}"),
        Subtree::Uri(text) => format!("URI:{text}"),
        Subtree::Ip(range) => {
            let std::net::IpAddr::V4(base) = range.base() else { return None };
            let prefix = range.to_string().rsplit_once('/')?.1.parse::<u32>().ok()?;
            let mask = std::net::Ipv4Addr::from(u32::MAX.checked_shl(32 - prefix).unwrap_or(0));
            format!("IP:{base}/{mask}")
        }
        Subtree::Directory(_) | Subtree::Other { .. } => return None,
    })
}
