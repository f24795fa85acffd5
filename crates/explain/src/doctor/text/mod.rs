//! Error texts and log lines of known programs, read for what they can mean. A text alone is rarely enough: each cause
//! comes with the command or question that tells it from the others, and none is called certain unless the text itself
//! says it.

mod causes;
mod signs;

use super::{Direction, Ranked, Report, Weight};
use crate::finding::{Confidence, Finding, FindingCode};

use signs::{SIGNS, Sign};

/// The most of a text that is read; a log's last lines are at its end.
const MOST_OCTETS: usize = 1 << 20;

/// The likely causes of what a text says, ranked. Without any the report has one finding that says so.
///
/// ```
/// use explain::FindingCode;
/// let report = explain::doctor::read_text("curl: (56) tlsv13 alert certificate required, errno 0");
/// assert_eq!(report.findings[0].finding.code, FindingCode::NoClientCertificate);
/// ```
#[must_use]
pub fn read_text(text: &str) -> Report {
    let start = text.len().saturating_sub(MOST_OCTETS);
    let start = (start..=text.len()).find(|index| text.is_char_boundary(*index)).unwrap_or(text.len());
    let lower = text[start..].to_lowercase();
    // Several spaces and line ends are one, since terminals break lines.
    let flat = lower.split_whitespace().collect::<Vec<_>>().join(" ");
    // BoringSSL and Node.js write the same reasons with other marks between the words.
    let spaced = flat.replace('_', " ");
    let mut hits: Vec<(&Sign, usize)> = SIGNS
        .iter()
        .filter_map(|sign| {
            let all = sign.needles.iter().all(|needle| flat.contains(needle) || spaced.contains(needle));
            all.then(|| (sign, sign.needles.iter().map(|needle| needle.len()).sum()))
        })
        .collect();
    // The longest match says most; a stable sort keeps the table's order among equals.
    hits.sort_by_key(|(sign, length)| (sign.is_general, std::cmp::Reverse(*length)));
    let mut found: Vec<Ranked> = Vec::new();
    for (place, (sign, _)) in hits.iter().enumerate() {
        for (rank, cause) in sign.causes.iter().enumerate() {
            if found
                .iter()
                .any(|known| known.finding.code == cause.code && known.finding.fault == cause.fault)
            {
                continue;
            }
            let confidence = match (place, rank, sign.causes.len()) {
                (0, 0, 1) => Confidence::Certain,
                (0, 0, _) => Confidence::Likely,
                _ => Confidence::Possible,
            };
            let finding = Finding::new(cause.code, cause.fault, cause.summary)
                .confidence(confidence)
                .evidence(format!("{}: \"{}\"", sign.program, quoted(text, sign)))
                .remedy(cause.telling)
                .fix(cause.place, cause.command);
            found.push(Ranked::new(Weight::WouldBlock, cause.direction, finding));
        }
    }
    if let Some(first) = found.first_mut() {
        first.weight = Weight::Blocks;
    } else {
        let finding = Finding::new(
            FindingCode::Unexplained,
            crate::Fault::Environment,
            "no known program says this in a way that is known here, so nothing is concluded from it",
        )
        .possible()
        .evidence(format!("{} characters were read", text.chars().count()))
        .remedy("let the doctor look at the pair itself, which tells more than any text")
        .fix(
            crate::Fault::Client,
            "countersign doctor https://HOST:PORT --cert client.pem --key client-key.pem --cacert ca.pem",
        );
        found.push(Ranked::new(Weight::Blocks, Direction::Neither, finding));
    }
    let unchecked = vec!["only the text was read; nothing was connected to".to_owned()];
    Report::new(found, Vec::new(), unchecked)
}

/// The line of the text that holds the sign's longest part, cut to what can be shown.
fn quoted(text: &str, sign: &Sign) -> String {
    let longest = sign.needles.iter().max_by_key(|needle| needle.len()).copied().unwrap_or_default();
    let holds = |line: &&str| {
        let lower = line.to_lowercase();
        lower.contains(longest) || lower.replace('_', " ").contains(longest)
    };
    let line = text.lines().find(holds).unwrap_or(longest);
    let cut: String = line.trim().chars().take(160).collect();
    crate::escape::text(&cut)
}

#[cfg(test)]
mod tests {
    use super::signs::Cause;
    use super::*;

    /// What programs really print (interop cases and public threads), and what it means first.
    const SAID: &[(&str, FindingCode, &str)] = &[
        (
            "curl: (56) OpenSSL SSL_read: error:0A00045C:SSL routines::tlsv13 alert certificate required",
            FindingCode::NoClientCertificate,
            "client",
        ),
        ("<center>No required SSL certificate was sent</center>", FindingCode::NoClientCertificate, "client"),
        (
            "curl: (60) SSL certificate problem: unable to get local issuer certificate",
            FindingCode::UnknownIssuer,
            "client",
        ),
        (
            "Error: unable to verify the first certificate code: 'UNABLE_TO_VERIFY_LEAF_SIGNATURE'",
            FindingCode::IntermediateMissing,
            "server",
        ),
        ("SELF_SIGNED_CERT_IN_CHAIN", FindingCode::UnknownIssuer, "client"),
        (
            "curl: (60) SSL certificate problem: certificate has expired",
            FindingCode::CertificateExpired,
            "server",
        ),
        (
            "error:0A000415:SSL routines::sslv3 alert certificate expired",
            FindingCode::CertificateExpired,
            "client",
        ),
        (
            "curl: (58) could not load PEM client certificate from LocalMachine//My//abc, OpenSSL error, no such file",
            FindingCode::OptionMisread,
            "client",
        ),
        (
            "x509: certificate relies on legacy Common Name field, use SANs instead",
            FindingCode::NoSubjectAltName,
            "server",
        ),
        (
            "javax.net.ssl.SSLHandshakeException: PKIX path building failed",
            FindingCode::UnknownIssuer,
            "client",
        ),
        (
            "schannel: next InitializeSecurityContext failed: CRYPT_E_NO_REVOCATION_CHECK (0x80092012)",
            FindingCode::RevocationUnreachable,
            "client",
        ),
        (
            "MAC verification failed during PKCS12 import (wrong password?)",
            FindingCode::Pkcs12NotPortable,
            "client",
        ),
        ("error:1C800064:Provider routines::bad decrypt", FindingCode::PassphraseMissing, "client"),
        ("curl: (35) error:0A00010B:SSL routines::wrong version number", FindingCode::PlainHttp, "client"),
        (
            "2026/01/01 http: TLS handshake error from 10.0.0.1:5555: EOF",
            FindingCode::ConnectionWithoutHello,
            "network",
        ),
        (
            "upstream connect error or disconnect/reset before headers. reset reason: connection termination",
            FindingCode::PlainHttp,
            "client",
        ),
        (
            "credentials: cannot check peer: missing selected ALPN property",
            FindingCode::ApplicationProtocolNotSelected,
            "server",
        ),
        (
            "error:0A000152:SSL routines::unsafe legacy renegotiation disabled",
            FindingCode::RenegotiationUnsafe,
            "server",
        ),
        ("the gate of the castle is closed", FindingCode::Unexplained, "environment"),
    ];

    #[test]
    fn known_texts_get_their_cause_first_and_others_none() {
        for (text, code, fault) in SAID {
            let report = read_text(text);
            let first = &report.findings[0].finding;
            assert_eq!((first.code, first.fault.name()), (*code, *fault), "{text}");
        }
    }

    #[test]
    fn every_sign_is_found_by_its_own_words() {
        for sign in SIGNS {
            assert!(
                sign.needles.iter().all(|needle| needle.to_lowercase() == *needle && needle.len() > 2),
                "{sign:?}"
            );
            let report = read_text(&sign.needles.join(" "));
            let found =
                |cause: &Cause| report.findings.iter().any(|ranked| ranked.finding.code == cause.code);
            assert!(sign.causes.iter().all(found), "{sign:?}");
        }
    }
}
