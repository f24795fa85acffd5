//! Whether there is anybody who speaks TLS: names, ports, proxies, and plain HTTP in the one or the other direction.

use super::{Direction, End, Facts, Notes, Variation, Weight, shell};
use crate::finding::{Fault, Finding, FindingCode};

pub(super) fn judge(facts: &Facts, notes: &mut Notes) {
    let Some(main) = facts.main() else { return };
    let target = facts.target.authority();
    let finding = match &main.end {
        End::NotResolved(text) => Finding::new(
            FindingCode::NameNotResolved,
            Fault::Network,
            format!("the name {} has no address", facts.target.host),
        )
        .certain()
        .evidence(text.clone())
        .fix(Fault::Client, format!("getent hosts {}", facts.target.host))
        .alternative(Fault::Client, format!("curl --resolve {target}:ADDRESS {}", facts.target.url()))
        .remedy("check the spelling of the name, and the DNS"),
        End::ConnectionRefused => Finding::new(
            FindingCode::ConnectionRefused,
            Fault::Server,
            format!("nothing listens on {target}"),
        )
        .certain()
        .evidence("the port answered the connection with a reset, as a closed one does")
        .fix(Fault::Server, format!("ss -ltnp 'sport = :{}'", facts.target.port))
        .remedy("check the port, and whether the server runs and on which address"),
        End::ConnectTimeout => {
            Finding::new(FindingCode::Timeout, Fault::Network, format!("no answer from {target}"))
                .evidence("neither a connection nor a refusal came in time: packets are dropped on the way")
                .fix(Fault::Network, format!("nc -vz {} {}", facts.target.host, facts.target.port))
                .remedy("check the address, and the firewalls on both sides")
        }
        End::Unreachable(text) => {
            Finding::new(FindingCode::Unreachable, Fault::Network, format!("{target} cannot be reached"))
                .certain()
                .evidence(text.clone())
                .remedy("check the address and the route to it")
        }
        End::ProxyRefused(status) => proxy_refused(facts, status),
        End::ProxyUnreachable(text) => {
            let proxy = facts.own.proxy.as_ref();
            let (authority, source) =
                proxy.map_or(("the proxy", "the environment"), |p| (&p.authority, &p.source));
            Finding::new(
                FindingCode::ProxyRefused,
                Fault::Environment,
                format!("the proxy {authority} cannot be reached; {source} sends this connection there"),
            )
            .certain()
            .evidence(text.clone())
            .fix(Fault::Client, format!("export NO_PROXY={}", facts.target.host))
        }
        End::NotTls(first) if facts.target.is_tls => return not_tls(facts, first, notes),
        _ => {
            if let Some(tls) = facts.with(Variation::WithTls).filter(|_| !facts.target.is_tls) {
                return plain_to_tls(facts, tls.is_finished() || !tls.served.is_empty(), notes);
            }
            if facts.own.proxy.is_some() {
                notes.checked(format!("the proxy let the connection to {target} through"));
            }
            if let Some(address) = &main.address {
                notes.checked(format!("{target} takes connections at {address}"));
            }
            return;
        }
    };
    let direction =
        if matches!(main.end, End::ProxyRefused(_)) { Direction::Between } else { Direction::Neither };
    notes.push(Weight::Blocks, direction, finding);
}

fn proxy_refused(facts: &Facts, status: &str) -> Finding {
    let proxy = facts.own.proxy.as_ref();
    let (authority, source) =
        proxy.map_or(("", "the environment"), |p| (p.authority.as_str(), p.source.as_str()));
    Finding::new(
        FindingCode::ProxyRefused,
        Fault::Environment,
        format!(
            "the proxy {authority} refused to connect to {}: {}; the server was never asked",
            facts.target.authority(),
            crate::escape::text(status)
        ),
    )
    .certain()
    .evidence(format!("{source} sends this connection to the proxy {authority}"))
    .evidence(format!("the proxy's answer to CONNECT: {}", crate::escape::text(status)))
    .fix(Fault::Client, format!("export NO_PROXY={}", facts.target.host))
    .alternative(Fault::Proxy, format!("allow CONNECT {}", facts.target.authority()))
}

/// A server that answers a ClientHello with something else.
fn not_tls(facts: &Facts, first: &[u8], notes: &mut Notes) {
    let target = facts.target.authority();
    let shown = crate::escape::bytes(first);
    let plain = facts.with(Variation::PlainHttp).and_then(|attempt| attempt.answer.as_ref());
    let is_http = first.starts_with(b"HTTP/") || plain.is_some();
    let url = facts.target.url().replacen("https://", "http://", 1);
    let finding = if is_http {
        let finding = Finding::new(
            FindingCode::PlainHttp,
            Fault::Client,
            format!("{target} speaks plain HTTP, and the client spoke TLS to it"),
        )
        .certain()
        .evidence(format!("its answer to the ClientHello begins with \"{shown}\""))
        .fix(Fault::Client, format!("curl {}", shell(&url)))
        .alternative(Fault::Server, "listen with TLS on this port (nginx: listen 443 ssl;)");
        match plain {
            Some(answer) => finding.evidence(format!("it answers plain HTTP with status {}", answer.status)),
            None => finding,
        }
    } else {
        let protocol = other_protocol(first);
        Finding::new(
            FindingCode::NotTls,
            Fault::Client,
            format!(
                "{target} does not speak TLS: it {}",
                protocol.map_or("answers with other bytes", |p| p.0)
            ),
        )
        .certain()
        .evidence(format!("its first bytes are \"{shown}\""))
        .remedy("check the port; some protocols switch to TLS only after a word of their own")
        .fix(
            Fault::Client,
            match protocol {
                Some((_, starttls)) if !starttls.is_empty() => {
                    format!("openssl s_client -starttls {starttls} -connect {target}")
                }
                _ => format!("nc {} {}", facts.target.host, facts.target.port),
            },
        )
    };
    notes.push(Weight::Blocks, Direction::Neither, finding);
}

/// What speaks first with these bytes, and the word of openssl for its switch to TLS.
fn other_protocol(first: &[u8]) -> Option<(&'static str, &'static str)> {
    match first {
        [b'S', b'S', b'H', ..] => Some(("is an SSH server", "")),
        [b'2', b'2', b'0', ..] => {
            Some(("greets as a mail or FTP server, which switches to TLS on request", "smtp"))
        }
        [b'*', b' ', b'O', b'K', ..] => Some(("is an IMAP server", "imap")),
        [b'+', b'O', b'K', ..] => Some(("is a POP3 server", "pop3")),
        [_, 0, 0, 0, 10, ..] => Some(("is a MySQL server", "mysql")),
        [b'E', 0, ..] | [b'N'] | [b'S'] => Some(("is a PostgreSQL server", "postgres")),
        _ => None,
    }
}

/// A URL with http:// whose port speaks TLS.
fn plain_to_tls(facts: &Facts, speaks_tls: bool, notes: &mut Notes) {
    if !speaks_tls {
        return;
    }
    let target = facts.target.authority();
    let https = facts.target.url().replacen("http://", "https://", 1);
    let mut finding = Finding::new(
        FindingCode::PlainHttp,
        Fault::Client,
        format!("the client sent plain HTTP to {target}, which speaks TLS"),
    )
    .certain()
    .evidence("the URL begins with http://, and a TLS handshake with the same port succeeds")
    .fix(Fault::Client, format!("curl {}", shell(&https)))
    .remedy("write https:// in place of http://; a proxy in front: proxy_pass https://…");
    if let Some(answer) = facts.main().and_then(|main| main.answer.as_ref()) {
        finding = finding.evidence(format!("the answer to plain HTTP was status {}", answer.status));
    }
    notes.push(Weight::Blocks, Direction::ServerRefusedClient, finding);
}
