//! What the HTTP answer says of the handshake: statuses that are verdicts on a certificate, on a name, or of a proxy.

use jiff::SignedDuration;

use super::{Answer, Attempt, Direction, Facts, Notes, Variation, Weight, name, shell};
use crate::finding::{Fault, Finding, FindingCode};
use crate::humane;

/// How far two clocks may be apart. Certificates are issued with minutes to spare at most.
const CLOCK_TOLERANCE: SignedDuration = SignedDuration::from_secs(120);

pub(super) fn judge(facts: &Facts, notes: &mut Notes) {
    let Some(main) = facts.main() else { return };
    clock(facts, notes);
    let Some(answer) = &main.answer else { return };
    if !facts.target.is_tls {
        if !notes.is_blocked() {
            notes.checked(format!("plain HTTP is answered with status {}", answer.status));
            notes.unchecked("TLS: the URL begins with http://");
        }
        return;
    }
    if notes.is_blocked() && !matches!(answer.status, 400 | 495 | 496) {
        return;
    }
    match finding_of(facts, main, answer) {
        Some((direction, finding)) if !already_told(notes, &finding) => {
            notes.push(Weight::Blocks, direction, finding);
        }
        Some(_) => {}
        None => notes.checked(format!("the server answered an empty GET with status {}", answer.status)),
    }
}

/// The rules on certificates have told the same, or the cause of it.
fn already_told(notes: &Notes, finding: &Finding) -> bool {
    notes.has(finding.code) || (notes.is_blocked() && finding.code == FindingCode::CertificateRefused)
}

fn finding_of(facts: &Facts, main: &Attempt, answer: &Answer) -> Option<(Direction, Finding)> {
    let body = answer.body.to_lowercase();
    let status = answer.status;
    let server = answer.server.as_deref().unwrap_or("the server");
    let told = format!("the answer: status {status} from {server}");
    let refused = Direction::ServerRefusedClient;
    let asked = main.request.is_some();
    match status {
        400 | 496 if body.contains("no required ssl certificate") || status == 496 => {
            if asked && !main.sent_certificate {
                return None;
            }
            Some((Direction::Between, not_forwarded(facts, main, &told)))
        }
        400 | 495 if !asked && (body.contains("ssl certificate error") || status == 495) => {
            Some((Direction::Between, not_forwarded(facts, main, &told)))
        }
        403 => Some((refused, forbidden(facts, main, answer, &told))),
        421 => Some((
            refused,
            Finding::new(
                FindingCode::MisdirectedRequest,
                Fault::Client,
                format!(
                    "the server refused the request as misdirected: the connection was made for {}, and the request is for {}",
                    facts.target.host,
                    facts.target.host_header.as_deref().unwrap_or("another virtual host")
                ),
            )
            .certain()
            .evidence(told)
            .evidence("the server name in the handshake and the Host header must name the same virtual host, since each has its own rules")
            .fix(Fault::Client, match &facts.target.host_header {
                Some(header) => format!("curl --connect-to {header}:{}:{}:{0} https://{header}:{0}{}", facts.target.port, facts.target.host, facts.target.path)
                    .replace("{0}", &facts.target.port.to_string()),
                None => format!("curl --http1.1 {}", shell(&facts.target.url())),
            })
            .remedy("open a connection of its own for each name; browsers merge them over HTTP/2 when one certificate has both names"),
        )),
        502 | 503 | 504 | 525 | 526 => Some((
            Direction::Between,
            Finding::new(
                FindingCode::UpstreamFailed,
                Fault::Proxy,
                format!(
                    "{} answered, and could not reach the service behind it (status {status}); the connection up to \
                     here is in order",
                    facts.target.authority()
                ),
            )
            .confidence(if matches!(status, 525 | 526) { crate::Confidence::Certain } else { crate::Confidence::Likely })
            .evidence(told)
            .evidence(
                "a proxy is a TLS client of its upstream: without a certificate of its own, a CA, and the right name \
                 (nginx checks the name of proxy_pass and sends no server name unless told) it gets no answer",
            )
            .fix(Fault::Proxy, "proxy_ssl_name api.example.test; proxy_ssl_server_name on; proxy_ssl_trusted_certificate ca.pem; proxy_ssl_certificate proxy.pem; proxy_ssl_certificate_key proxy-key.pem;")
            .alternative(Fault::Proxy, "grep -i 'upstream' /var/log/nginx/error.log | tail")
            .remedy("run `countersign doctor` on the proxy against its upstream"),
        )),
        429 => Some((
            refused,
            Finding::new(
                FindingCode::TooManyRequests,
                Fault::Client,
                "the server answers that this client sends too many requests; the handshake is in order",
            )
            .certain()
            .evidence(told)
            .remedy("send fewer requests, or raise the limit for this identity on the server"),
        )),
        497 => Some((
            refused,
            Finding::new(FindingCode::PlainHttp, Fault::Client, "the server got plain HTTP on its TLS port".to_owned())
                .certain()
                .evidence(told)
                .fix(Fault::Client, format!("curl {}", shell(&facts.target.url()))),
        )),
        _ => None,
    }
}

/// The server in front has the certificate, or never asked for it; the one behind it refused.
fn not_forwarded(facts: &Facts, main: &Attempt, told: &str) -> Finding {
    let asked = if main.request.is_some() {
        "the server in front asked for a certificate, and the client sent one"
    } else {
        "the server in front never asked for a certificate: its handshake has no CertificateRequest"
    };
    Finding::new(
        FindingCode::CertificateNotForwarded,
        Fault::Proxy,
        format!(
            "the refusal comes from a server behind {}: it requires a client certificate and never sees yours, since \
             the proxy in front ends TLS and has none of its own",
            facts.target.authority()
        ),
    )
    .certain()
    .evidence(told.to_owned())
    .evidence(asked)
    .fix(Fault::Proxy, "proxy_ssl_certificate proxy.pem; proxy_ssl_certificate_key proxy-key.pem;")
    .alternative(Fault::Proxy, "pass TLS through in layer 4: stream { server { listen 443; proxy_pass upstream; } }")
    .remedy("give the proxy a client certificate for its upstream, or let it pass TLS through")
}

fn forbidden(facts: &Facts, main: &Attempt, answer: &Answer, told: &str) -> Finding {
    let body = answer.body.to_lowercase();
    let is_apache = answer.server.as_deref().is_some_and(|server| server.to_lowercase().contains("apache"));
    let post_handshake = body.contains("post-handshake authentication");
    if main.request.is_none() && (post_handshake || (is_apache && !facts.own.chain.is_empty())) {
        let finding = Finding::new(
            FindingCode::PostHandshakeAuthentication,
            Fault::Server,
            "the server wants a certificate for this location only, and asks for it after the handshake: with TLS 1.3 \
             only curl answers that, Node.js, Go, Java, Python and browsers get 403",
        )
        .evidence(told.to_owned())
        .evidence("the handshake has no CertificateRequest")
        .fix(Fault::Server, "SSLVerifyClient require  # in the <VirtualHost>, on a name or port of its own, not in a <Location>")
        .alternative(Fault::Server, "SSLProtocol -all +TLSv1.2")
        .remedy("ask for the certificate in the first handshake, at the virtual host");
        return if post_handshake {
            finding.certain().evidence("the body: \"Cannot perform Post-Handshake Authentication\"")
        } else {
            finding
        };
    }
    if main.request.is_none() {
        return Finding::new(
            FindingCode::ClientCertificateNotRequested,
            Fault::Server,
            "the application answers 403, and the TLS server in front of it never asked for a client certificate: no \
             client can show one",
        )
        .confidence(if facts.own.chain.is_empty() { crate::Confidence::Possible } else { crate::Confidence::Likely })
        .evidence(told.to_owned())
        .evidence("the handshake has no CertificateRequest")
        .fix(Fault::Server, "ssl_client_certificate client-ca.pem; ssl_verify_client optional;")
        .remedy("make the TLS layer ask; the client's certificate is not at fault");
    }
    let Some(leaf) = facts.own_leaf().filter(|_| main.sent_certificate) else {
        return Finding::new(
            FindingCode::NoClientCertificate,
            Fault::Client,
            "the server asked for a client certificate, let the client in without one, and answers 403",
        )
        .evidence(told.to_owned())
        .fix(
            Fault::Client,
            facts.program.certificate_command("client.pem", "client-key.pem", &facts.target.url()),
        );
    };
    // Our own gateway names its refusal: there the policy is meant, and who is not in it has to change.
    let by_gateway = body.contains("not_allowed_by_policy");
    let fault = if by_gateway { Fault::Client } else { Fault::Server };
    let identities: Vec<String> =
        pki::identity::Identity::all_of(leaf).iter().take(6).map(ToString::to_string).collect();
    Finding::new(
        FindingCode::NotAllowedByPolicy,
        fault,
        format!(
            "the handshake is complete and the client's certificate {} is accepted; {} does not allow that identity",
            name(leaf),
            if by_gateway { "the gateway's policy" } else { "the application" }
        ),
    )
    .confidence(if by_gateway { crate::Confidence::Certain } else { crate::Confidence::Likely })
    .evidence(told.to_owned())
    .evidence(format!("presented: {}", identities.join(", ")))
    .evidence(format!("the subject as OpenSSL writes it (RFC 2253): {}", leaf.subject()))
    .fix(Fault::Server, format!("countersign serve … --allow-cn {}", shell(&leaf.short_name())))
    .remedy("add the identity to the server's list, in the order and spelling the server compares; do not issue the certificate again")
}

/// This machine's clock against the Date header of any answer.
fn clock(facts: &Facts, notes: &mut Notes) {
    let date = facts
        .attempts
        .iter()
        .filter(|attempt| attempt.variation != Variation::PlainHttp || !facts.target.is_tls)
        .find_map(|attempt| attempt.answer.as_ref().and_then(|answer| answer.date));
    let Some(date) = date else {
        if facts.main().is_some_and(Attempt::is_finished) {
            notes.unchecked("this machine's clock: the answer has no Date header to compare it with");
        }
        return;
    };
    let apart = facts.at.duration_since(date);
    if apart.abs() <= CLOCK_TOLERANCE {
        notes.checked("this machine's clock agrees with the server's Date header");
        return;
    }
    let direction = if apart.is_positive() { "ahead of" } else { "behind" };
    // Where a certificate is good by the server's clock and bad by this one, the clock is what blocks.
    let in_date = |c: &pki::Certificate| c.not_before() <= date && date <= c.not_after();
    let here = |c: &pki::Certificate| c.not_before() <= facts.at && facts.at <= c.not_after();
    let served = facts.served();
    let decides = served.iter().chain(&facts.own.chain).any(|c| in_date(c) != here(c));
    let finding = Finding::new(
        FindingCode::ClockWrong,
        Fault::Clock,
        format!("this machine's clock is {} {direction} the server's", humane::span(apart)),
    )
    .confidence(if decides { crate::Confidence::Certain } else { crate::Confidence::Likely })
    .evidence(format!("here: {}; the server's Date header: {date}", facts.at))
    .evidence(if decides {
        "by one clock a certificate here is in date, by the other it is not"
    } else {
        "the certificates here are in date by both clocks"
    })
    .fix(Fault::Clock, "timedatectl set-ntp true")
    .remedy("correct the clock that is wrong");
    if decides {
        // Before the certificate that it makes look wrong.
        notes.found.insert(0, super::Ranked::new(Weight::Blocks, Direction::Neither, finding));
    } else {
        notes.push(Weight::Warns, Direction::Neither, finding);
    }
}
