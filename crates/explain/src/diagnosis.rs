//! What one alert allows to be concluded (RFC 8446 section 6, and what the libraries really send). An alert says
//! more about the sender's library than about the fault, so this is the last resort: whoever knows the
//! certificates, the clock and the CertificateRequest judges those first and uses the alert to confirm.

use crate::alert;
use crate::finding::{Fault, Finding, FindingCode, Sender};

/// What an alert most likely means.
///
/// `sender` is the side that sent it; `sent_client_certificate` says whether the client had sent a certificate
/// that was not empty; `after_finished` says whether the alert came after the client had finished its handshake,
/// which is where a TLS 1.3 server's verdict on the client's certificate arrives.
///
/// ```
/// use explain::finding::{FindingCode, Sender, from_alert};
/// let finding = from_alert(116, Sender::Server, false, true);
/// assert_eq!(finding.code, FindingCode::NoClientCertificate);
/// ```
#[must_use]
pub fn from_alert(
    description: u8,
    sender: Sender,
    sent_client_certificate: bool,
    after_finished: bool,
) -> Finding {
    let view = View { sender, sent: sent_client_certificate, after_finished };
    let mut finding = match description {
        0 | 90 => view.closure(description),
        40 | 41 | 116 => view.handshake_or_certificate(description),
        42..=46 | 48 | 49 | 51 | 113 | 114 | 111 => view.certificate(description),
        _ => view.protocol(description),
    };
    let who = view.sender_name();
    let when = if after_finished { ", after the client's Finished" } else { ", during the handshake" };
    let mut evidence = vec![format!("the {who} sent the alert {}{when}", alert::cite(description))];
    if sender == Sender::Server {
        let sent = if sent_client_certificate {
            "the client sent a certificate"
        } else {
            "the client sent no certificate"
        };
        evidence.push(sent.to_owned());
    }
    finding.evidence = evidence;
    finding
}

struct View {
    sender: Sender,
    sent: bool,
    after_finished: bool,
}

impl View {
    fn sender_name(&self) -> &'static str {
        match self.sender {
            Sender::Client => "client",
            Sender::Server => "server",
        }
    }

    /// The side whose certificate or message the alert is about.
    fn other_name(&self) -> &'static str {
        match self.sender {
            Sender::Client => "server",
            Sender::Server => "client",
        }
    }

    fn other_fault(&self) -> Fault {
        match self.sender {
            Sender::Client => Fault::Server,
            Sender::Server => Fault::Client,
        }
    }

    fn own_fault(&self) -> Fault {
        match self.sender {
            Sender::Client => Fault::Client,
            Sender::Server => Fault::Server,
        }
    }

    fn closure(&self, description: u8) -> Finding {
        let who = self.sender_name();
        if description == 90 {
            return Finding::new(
                FindingCode::Canceled,
                self.own_fault(),
                format!("the {who} gave the handshake up on purpose, as when a user dismisses a prompt"),
            );
        }
        Finding::new(
            FindingCode::ClosedWithoutAlert,
            self.own_fault(),
            format!("the {who} closed the connection in good order, without saying that anything was wrong"),
        )
        .remedy(format!("read the {who}'s log; the reason, if there is one, is only there"))
    }

    fn handshake_or_certificate(&self, description: u8) -> Finding {
        let give = "give the client its certificate and key (curl: --cert client.pem --key client-key.pem)";
        match (description, self.sender, self.sent) {
            (116, Sender::Server, false) | (41, Sender::Server, false) => Finding::new(
                FindingCode::NoClientCertificate,
                Fault::Client,
                "the server requires a client certificate and the client sent none",
            )
            .remedy(give),
            (116, Sender::Server, true) => Finding::new(
                FindingCode::CertificateRefused,
                Fault::Client,
                "the server says that a client certificate is required although one was sent: it did not accept \
                 this one, or the alert is about another connection or a server behind a proxy",
            )
            .remedy("check that the certificate is issued by a CA the server names in its CertificateRequest"),
            (116 | 41, Sender::Client, _) => Finding::new(
                FindingCode::ProtocolViolation,
                Fault::Client,
                format!("the client sent {}, which only a server has a use for", alert::cite(description)),
            ),
            (_, Sender::Server, false) if self.after_finished => Finding::new(
                FindingCode::NoClientCertificate,
                Fault::Client,
                "the server refused the handshake once the client had sent no certificate; a TLS 1.2 server has no \
                 alert of its own for a missing client certificate",
            )
            .remedy(give),
            (_, Sender::Server, true) if self.after_finished => Finding::new(
                FindingCode::CertificateRefused,
                Fault::Client,
                "the server refused the handshake after it had seen the client's certificate",
            )
            .remedy("read the server's log for the reason, and check the certificate's issuer, dates and purpose"),
            (_, Sender::Server, false) => Finding::new(
                FindingCode::HandshakeFailure,
                Fault::Client,
                "the server found no cipher suite, group or signature algorithm in common with the client; or, in \
                 TLS 1.2, it requires the client certificate that the client did not send",
            )
            .remedy(
                "offer the defaults (drop --ciphers, --curves and similar settings); if the server asked for a \
                 certificate, give the client its certificate and key",
            ),
            _ => Finding::new(
                FindingCode::NoSharedCipher,
                self.other_fault(),
                format!(
                    "the {} found no acceptable cipher suite, group or signature algorithm in what the {} offered",
                    self.sender_name(),
                    self.other_name()
                ),
            )
            .remedy("use the default parameters on both sides, and a P-256 or RSA key for the certificates"),
        }
    }

    /// Alerts about the other side's certificate.
    fn certificate(&self, description: u8) -> Finding {
        let (who, other) = (self.sender_name(), self.other_name());
        let fault = self.other_fault();
        let mut finding = match description {
            42 => Finding::new(
                FindingCode::CertificateRefused,
                fault,
                format!(
                    "the {who} refused the {other}'s certificate. OpenSSL says bad_certificate for one that is not \
                     valid yet, has a weak key or names another host; {go}",
                    // Go's crypto/tls: a client answers every failed verification so; a server only since 1.21 not.
                    go = match self.sender {
                        Sender::Client => "clients written in Go say it for every reason, an unknown CA too, and GnuTLS for most",
                        Sender::Server => "older Go servers say it for every reason",
                    }
                ),
            )
            .remedy(format!("check the {other}'s certificate: issuer, dates, names, purpose, key size")),
            43 => Finding::new(
                FindingCode::WrongPurpose,
                fault,
                format!(
                    "the {who} refused the {other}'s certificate for what it may be used for: the extended key \
                     usage {usage} or the key usage digitalSignature is missing",
                    usage = if self.sender == Sender::Server { "clientAuth" } else { "serverAuth" }
                ),
            )
            .remedy(format!(
                "issue the {other}'s certificate with extKeyUsage {} and keyUsage digitalSignature",
                if self.sender == Sender::Server { "clientAuth" } else { "serverAuth" }
            )),
            44 => Finding::new(
                FindingCode::CertificateRevoked,
                fault,
                format!("the {who} knows the {other}'s certificate, or a CA above it, as revoked"),
            )
            .remedy(format!("issue the {other} a new certificate with a new key")),
            45 => Finding::new(
                FindingCode::CertificateExpired,
                fault,
                format!(
                    "the {who} found the {other}'s certificate, or one above it, out of date. OpenSSL sends the same \
                     alert when the revocation list it checks has expired, and others when a certificate is not valid yet"
                ),
            )
            .remedy(format!(
                "renew the {other}'s certificate if it has expired; if it is in date, renew the {who}'s revocation \
                 list or its copy of the root, and check both clocks"
            )),
            46 => Finding::new(
                FindingCode::CertificateRefused,
                fault,
                format!(
                    "the {who} refused the {other}'s certificate for a reason that has no alert of its own, such as \
                     name constraints or a CA certificate used as a leaf; Java programs and Chromium say it for \
                     every reason"
                ),
            )
            .remedy(format!("read the {who}'s log; check the {other}'s certificate with `countersign verify`")),
            48 => self.unknown_ca(),
            49 => Finding::new(
                FindingCode::NotAllowedByPolicy,
                fault,
                format!(
                    "the {who} read the {other}'s certificate and does not let it in; GnuTLS servers say access_denied \
                     for every fault of a certificate"
                ),
            )
            .remedy(format!("compare the names in the {other}'s certificate with what the {who} allows")),
            51 => Finding::new(
                FindingCode::SignatureInvalid,
                fault,
                format!(
                    "the {who} could not verify a signature of the {other}. Most often the CA was made again with a \
                     new key under the same name, and the {other}'s certificate is from the old one"
                ),
            )
            .remedy(format!("issue the {other}'s certificate again from the current CA, or trust both CAs for a while")),
            113 | 114 | 111 => Finding::new(
                FindingCode::CertificateRefused,
                fault,
                format!("the {who} could not use the {other}'s certificate or the OCSP response stapled to it"),
            )
            .remedy(format!("renew the OCSP response that the {other} staples, or turn stapling off")),
            _ => self.protocol(description),
        };
        if self.sender == Sender::Server && !self.sent && (42..=49).contains(&description) {
            finding.code = FindingCode::AlertReceived;
            finding.fault = Fault::Server;
            finding.summary = format!(
                "the server refused a certificate ({}) although the client sent none: older Go servers say \
                 bad_certificate for a missing one, and otherwise a program in between presents a certificate of its own",
                alert::cite(description)
            );
            if description == 42 {
                finding.code = FindingCode::NoClientCertificate;
                finding.fault = Fault::Client;
            }
            finding.remedy = Some(
                "give the client its certificate and key, and see whether the answer changes".to_owned(),
            );
        }
        finding
    }

    fn unknown_ca(&self) -> Finding {
        match self.sender {
            Sender::Server => Finding::new(
                FindingCode::UnknownIssuer,
                Fault::Client,
                "the server does not know the issuer of the client's certificate; this is not about the server's own \
                 certificate",
            )
            .remedy(
                "use a client certificate from a CA that the server trusts, and send the intermediate along with it; \
                 or add its CA to the server's client-CA file",
            ),
            Sender::Client => Finding::new(
                FindingCode::UnknownIssuer,
                Fault::Client,
                "the client does not know the issuer of the server's certificate; this is not about a client certificate",
            )
            .remedy(
                "give the client the CA's certificate (curl: --cacert rootCA.pem); if other clients succeed, the server \
                 may leave out its intermediate",
            ),
        }
    }

    fn protocol(&self, description: u8) -> Finding {
        let (who, other) = (self.sender_name(), self.other_name());
        match description {
            10 | 47 | 50 | 109 | 110 => Finding::new(
                FindingCode::ProtocolViolation,
                self.other_fault(),
                format!(
                    "the {who} could not accept a handshake message of the {other}: malformed, out of order, too large \
                     (a very long certificate chain is one cause), or not TLS at all"
                ),
            )
            .remedy("send the leaf and its intermediates only, and check that both ports speak TLS"),
            20..=22 | 30 => Finding::new(
                FindingCode::CryptographicFailure,
                Fault::Network,
                format!("a record from the {other} arrived damaged or could not be decrypted by the {who}"),
            )
            .remedy("look for a program between the two that changes the stream"),
            60 | 71 => Finding::new(
                FindingCode::NoSharedCipher,
                self.other_fault(),
                format!("what the {other} offered is weaker than the {who} allows"),
            )
            .remedy(format!("bring the {other}'s TLS library up to date and use its defaults")),
            70 | 86 => Finding::new(
                FindingCode::ProtocolVersion,
                self.other_fault(),
                format!("the {who} supports none of the TLS versions that the {other} offered"),
            )
            .remedy("allow TLS 1.2 and 1.3 on both sides; TLS 1.0 and 1.1 are no longer accepted"),
            80 | 117 => Finding::new(
                FindingCode::PeerInternalError,
                self.own_fault(),
                format!("the {who} failed for a reason of its own, which only its log tells"),
            )
            .remedy(format!("read the {who}'s log")),
            100 => Finding::new(
                FindingCode::AlertReceived,
                self.other_fault(),
                format!("the {who} does not renegotiate a connection, as a server does to ask for a certificate late"),
            )
            .remedy("ask for the client certificate in the first handshake of the virtual host"),
            112 => Finding::new(
                FindingCode::UnrecognizedName,
                Fault::Client,
                "the server has no certificate for the name the client asked for in SNI",
            )
            .remedy("connect by a name the server serves, or add a certificate for this one"),
            115 => Finding::new(
                FindingCode::SessionRefused,
                self.other_fault(),
                format!("the {who} does not know the session or pre-shared key that the {other} offered"),
            )
            .remedy("connect again without a saved session"),
            120 => Finding::new(
                FindingCode::NoApplicationProtocol,
                self.other_fault(),
                format!("the {who} speaks none of the application protocols (ALPN) that the {other} offered"),
            )
            .remedy("offer h2 and http/1.1 on both sides"),
            121 => Finding::new(
                FindingCode::EncryptedClientHelloRequired,
                self.other_fault(),
                "the client offered Encrypted Client Hello and the server did not accept it",
            )
            .remedy("fetch the server's ECH configuration again from DNS"),
            _ => Finding::new(
                FindingCode::AlertReceived,
                self.own_fault(),
                format!("the {who} ended the connection with the alert {}", alert::cite(description)),
            )
            .remedy(format!("read the {who}'s log")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_alert_from_either_side_gets_a_finding_with_the_alerts_name() {
        for description in 0..=u8::MAX {
            for sender in [Sender::Client, Sender::Server] {
                for (sent, after) in [(false, false), (false, true), (true, false), (true, true)] {
                    let finding = from_alert(description, sender, sent, after);
                    assert!(finding.evidence[0].contains(&alert::cite(description)), "{finding:?}");
                    assert!(finding.summary.len() > 30 && !finding.summary.ends_with('.'), "{finding:?}");
                }
            }
        }
    }

    #[test]
    fn unknown_ca_says_about_whose_certificate_it_is() {
        let server = from_alert(48, Sender::Server, true, true);
        assert!(server.summary.contains("issuer of the client's certificate"));
        let client = from_alert(48, Sender::Client, false, false);
        assert!(client.summary.contains("issuer of the server's certificate"));
    }

    #[test]
    fn a_missing_client_certificate_is_found_behind_each_alert_that_means_it() {
        assert_eq!(from_alert(116, Sender::Server, false, true).code, FindingCode::NoClientCertificate);
        assert_eq!(from_alert(40, Sender::Server, false, true).code, FindingCode::NoClientCertificate);
        assert_eq!(from_alert(42, Sender::Server, false, false).code, FindingCode::NoClientCertificate);
        assert_eq!(from_alert(40, Sender::Server, false, false).code, FindingCode::HandshakeFailure);
    }

    #[test]
    fn bad_certificate_from_a_client_names_the_library_that_says_it_for_everything() {
        assert!(
            from_alert(42, Sender::Client, false, false)
                .summary
                .contains("Go say it for every reason, an unknown CA")
        );
        assert!(from_alert(42, Sender::Server, true, true).summary.contains("older Go servers"));
    }

    #[test]
    fn expiry_from_a_server_also_names_the_expired_revocation_list() {
        let finding = from_alert(45, Sender::Server, true, true);
        assert!(finding.summary.contains("revocation list"));
    }
}
