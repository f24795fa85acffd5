//! What mends a refusal of which the code is known and little else: for the gateway's log and answers, the errors of
//! `fetch` and the tunnel, and the console. Where a pair can be looked at, the doctor's own rules say it better.

use super::Direction;
use crate::finding::{Fault, Finding, FindingCode as Code, Fix};

/// What to do about a refusal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Advice {
    /// In words.
    pub remedy: &'static str,
    /// Who must do it.
    pub place: Fault,
    /// What to type or to write. `NAME`, `HOST` and `PORT` stand for what is not known here.
    pub command: &'static str,
}

const fn advise(place: Fault, command: &'static str, remedy: &'static str) -> Option<Advice> {
    Some(Advice { remedy, place, command })
}

/// What mends a refusal in this direction; `None` where nobody can say more than the finding itself.
///
/// ```
/// use explain::FindingCode;
/// use explain::doctor::{Direction, advice};
/// let expired = advice(FindingCode::CertificateExpired, Direction::ServerRefusedClient);
/// assert_eq!(expired.map(|advice| advice.command), Some("countersign renew NAME"));
/// ```
#[must_use]
pub fn advice(code: Code, direction: Direction) -> Option<Advice> {
    match direction {
        Direction::ServerRefusedClient => of_client(code),
        Direction::ClientRefusedServer => of_server(code),
        Direction::ClientStopped | Direction::Between | Direction::Neither => None,
    }
    .or_else(|| of_either(code))
}

/// The finding with the remedy and the command of [`advice`], where it has none of its own.
///
/// ```
/// use explain::doctor::{Direction, advised};
/// use explain::{Fault, Finding, FindingCode};
/// let bare = Finding::new(FindingCode::NoClientCertificate, Fault::Client, "no certificate came");
/// assert!(advised(bare, Direction::ServerRefusedClient).fix.is_some());
/// ```
#[must_use]
pub fn advised(mut finding: Finding, direction: Direction) -> Finding {
    let Some(advice) = advice(finding.code, direction) else { return finding };
    if finding.remedy.is_none() {
        finding.remedy = Some(advice.remedy.to_owned());
    }
    if finding.fix.is_none() {
        finding.fix = Some(Box::new(Fix::new(advice.place, advice.command)));
    }
    finding
}

/// A server refused a client's certificate, or that there was none.
fn of_client(code: Code) -> Option<Advice> {
    use Fault::{Client, Clock, Issuer, Server};
    match code {
        Code::NoClientCertificate => advise(
            Client,
            "curl --cert client.pem --key client-key.pem https://HOST:PORT/",
            "give the client its certificate and key",
        ),
        Code::CryptographicFailure => advise(
            Client,
            "countersign doctor files client.pem client-key.pem",
            "give the client the certificate and the key that were made together; if they are, something on the way \
             changes octets",
        ),
        Code::UnknownIssuer | Code::AuthorityKeyMismatch => advise(
            Client,
            "countersign doctor https://HOST:PORT --cert client.pem --key client-key.pem",
            "give the client a certificate of a CA that the server trusts, sent with its intermediates; or let the server \
             trust that CA (--client-ca)",
        ),
        Code::IntermediateMissing => advise(
            Client,
            "cat client.pem intermediate.pem > client-full.pem",
            "let the client send leaf and intermediate",
        ),
        Code::SelfSigned => advise(
            Issuer,
            "countersign issue client NAME",
            "give the client a certificate of the CA that the server trusts",
        ),
        Code::SignatureInvalid => advise(
            Issuer,
            "countersign issue client NAME",
            "issue it again from the CA's current certificate: a CA that was made again under the same name has another key",
        ),
        Code::CertificateRevoked => advise(
            Issuer,
            "countersign issue client NAME",
            "where the client still belongs: issue it a new certificate with a new key",
        ),
        Code::CertificateExpired => {
            advise(Issuer, "countersign renew NAME", "renew the client's certificate")
        }
        Code::CertificateNotYetValid => {
            advise(Clock, "timedatectl set-ntp true", "compare the clocks of both machines and of the CA")
        }
        Code::WrongPurpose | Code::KeyUsageMissing | Code::CaAsLeaf | Code::CertificateVersion1 => advise(
            Issuer,
            "countersign issue client NAME",
            "give the client a certificate that was issued for clients: extKeyUsage clientAuth, keyUsage digitalSignature",
        ),
        Code::WeakKey | Code::WeakSignature | Code::KeyKindUnsupported => advise(
            Issuer,
            "countersign issue client NAME",
            "issue the client a certificate with a P-256 or RSA-2048 key, signed with SHA-256",
        ),
        Code::IssuerNotCa | Code::PathLengthExceeded | Code::NameConstraintsViolated => advise(
            Issuer,
            "countersign issue client NAME",
            "issue it from a CA that may issue it: basicConstraints CA:TRUE, path length and name constraints wide enough",
        ),
        Code::UnknownCriticalExtension | Code::MalformedCertificate | Code::NotConforming => advise(
            Issuer,
            "countersign inspect client.pem",
            "look at what is wrong with the certificate, and issue it again without that",
        ),
        Code::NameMismatch => advise(
            Issuer,
            "countersign issue client NAME",
            "issue the client's certificate with the name that is expected",
        ),
        Code::CrlExpired | Code::CrlMissing | Code::CrlUnusable => advise(
            Server,
            "countersign crl --out lists.pem",
            "publish a fresh revocation list of each CA and give it to the server (--crl); the client is not at fault",
        ),
        Code::OcspInvalid => advise(
            Server,
            "openssl ocsp -issuer ca.pem -cert client.pem -url http://RESPONDER/ -text",
            "ask the responder for a fresh answer; the client is not at fault",
        ),
        Code::OcspUnavailable => advise(
            Server,
            "openssl ocsp -issuer ca.pem -cert client.pem -url http://RESPONDER/ -text",
            "let the server reach the OCSP responder of the client's issuer, or go on without its answer (--ocsp soft); \
             the client is not at fault",
        ),
        Code::PolicyNotAccepted => advise(
            Issuer,
            "countersign inspect client.pem",
            "issue the client's certificate under a policy that the server demands",
        ),
        Code::PathTooComplex => advise(
            Client,
            "countersign doctor files client.pem",
            "send the leaf and its intermediates only, without cross-signed certificates in circles",
        ),
        Code::SecondOpinion | Code::CertificateRefused => advise(
            Client,
            "countersign doctor https://HOST:PORT --cert client.pem --key client-key.pem --cacert ca.pem",
            "let the doctor look at the pair: it judges the certificate by every rule and names the one that is broken",
        ),
        Code::NotAllowedByPolicy => advise(
            Server,
            "countersign serve … --allow-cn NAME",
            "come with a certificate of a name that may come in, or ask whoever runs the service to admit one of these names",
        ),
        Code::TooManyRequests => advise(
            Client,
            "curl --retry 3 --retry-delay 5 https://HOST:PORT/",
            "send fewer requests, or ask for a higher limit for this identity",
        ),
        _ => None,
    }
}

/// A client refused a server's certificate.
fn of_server(code: Code) -> Option<Advice> {
    use Fault::{Client, Clock, Issuer, Server};
    match code {
        Code::UnknownIssuer | Code::AuthorityKeyMismatch => advise(
            Client,
            "countersign doctor https://HOST:PORT --cacert rootCA.pem",
            "give the client the CA of the server's certificate (--cacert), or let the server send its intermediate along",
        ),
        Code::SelfSigned => advise(
            Issuer,
            "countersign issue server HOST",
            "issue the server's certificate from a CA, and give the client that CA",
        ),
        Code::IntermediateMissing => advise(
            Server,
            "cat server.pem intermediate.pem > fullchain.pem",
            "let the server send leaf and intermediate",
        ),
        Code::SignatureInvalid => advise(
            Client,
            "countersign inspect https://HOST:PORT",
            "compare the fingerprint of the CA that the client has with that of the CA in use: one made again under the same \
             name has another key",
        ),
        Code::CertificateRevoked => advise(
            Issuer,
            "countersign issue server HOST",
            "give the server a new certificate with a new key",
        ),
        Code::CertificateExpired => {
            advise(Issuer, "countersign renew HOST", "renew the server's certificate and reload the server")
        }
        Code::CertificateNotYetValid => {
            advise(Clock, "timedatectl set-ntp true", "compare the clocks of both machines and of the CA")
        }
        Code::WrongPurpose
        | Code::KeyUsageMissing
        | Code::CaAsLeaf
        | Code::CertificateVersion1
        | Code::WeakKey
        | Code::WeakSignature
        | Code::IssuerNotCa
        | Code::PathLengthExceeded
        | Code::NameConstraintsViolated
        | Code::UnknownCriticalExtension
        | Code::MalformedCertificate
        | Code::NotConforming
        | Code::PolicyNotAccepted => advise(
            Issuer,
            "countersign issue server HOST",
            "issue the server's certificate again, as a server's, from a CA that may issue it",
        ),
        Code::NameMismatch | Code::AddressNotNamed | Code::NoSubjectAltName | Code::WildcardTooDeep => {
            advise(
                Issuer,
                "countersign issue server HOST",
                "use a name that the certificate has, or issue one with this name",
            )
        }
        Code::CrlExpired | Code::CrlMissing | Code::CrlUnusable => advise(
            Client,
            "countersign crl --out lists.pem",
            "get a fresh revocation list of each CA and give it to the client; the server is not at fault",
        ),
        Code::OcspInvalid => advise(
            Server,
            "ssl_stapling on; ssl_stapling_verify on;",
            "let the server fetch a fresh OCSP response and staple it",
        ),
        Code::OcspUnavailable => advise(
            Client,
            "openssl ocsp -issuer ca.pem -cert server.pem -url http://RESPONDER/ -text",
            "let the client reach the OCSP responder of the server's issuer; the server is not at fault",
        ),
        Code::PathTooComplex => advise(
            Server,
            "countersign inspect https://HOST:PORT",
            "serve the leaf and its intermediates only, without cross-signed certificates in circles",
        ),
        Code::SecondOpinion | Code::CertificateRefused => advise(
            Client,
            "countersign doctor https://HOST:PORT --cacert rootCA.pem",
            "let the doctor look at the server: it judges the certificate by every rule and names the one that is broken",
        ),
        _ => None,
    }
}

/// What is the same whoever tells it.
fn of_either(code: Code) -> Option<Advice> {
    use Fault::{Client, Network, Server};
    match code {
        Code::PlainHttp => {
            advise(Client, "curl https://HOST:PORT/", "speak TLS on this port: the URL begins with https://")
        }
        Code::NotTls => advise(
            Client,
            "curl -v https://HOST:PORT/",
            "speak TLS on this port; a scanner or a health check that does not is no fault",
        ),
        Code::ProtocolVersion => advise(
            Client,
            "openssl s_client -connect HOST:PORT -tls1_2",
            "allow TLS 1.2 or 1.3 on both sides; older ones are no longer accepted (RFC 8996)",
        ),
        Code::NoSharedCipher | Code::NoSharedGroup | Code::NoSharedSignatureAlgorithm => advise(
            Client,
            "countersign doctor https://HOST:PORT",
            "take settings of suites, groups and signature algorithms away; the doctor tells which one is in the way",
        ),
        Code::HandshakeFailure => advise(
            Client,
            "countersign doctor https://HOST:PORT --cert client.pem --key client-key.pem",
            "one alert for many causes: the doctor tells a missing certificate from parameters that do not fit",
        ),
        Code::NoApplicationProtocol => advise(
            Client,
            "curl --http1.1 https://HOST:PORT/",
            "offer an application protocol that the other side speaks (ALPN: h2, http/1.1)",
        ),
        Code::UnrecognizedName => advise(
            Server,
            "countersign inspect https://HOST:PORT",
            "use a name that the server serves, or add a virtual host and a certificate for this one",
        ),
        Code::ClosedWithoutAlert | Code::ConnectionReset | Code::AlertReceived | Code::Canceled => advise(
            Client,
            "countersign doctor https://HOST:PORT --cert client.pem --key client-key.pem --cacert ca.pem",
            "ask the other side's log of this moment; the doctor tries what separates the causes",
        ),
        Code::ConnectionWithoutHello => advise(
            Network,
            "countersign serve … --admin 127.0.0.1:9440  # health checks go there",
            "let the health check speak TLS or HTTP, or leave it be",
        ),
        Code::Timeout => advise(
            Network,
            "countersign doctor https://HOST:PORT -v",
            "is it the right host and port, and does a firewall or a device on the way drop what is sent?",
        ),
        Code::CryptographicFailure => advise(
            Server,
            "countersign doctor files server.pem server-key.pem",
            "use the certificate and the key that were made together; if they are, something on the way changes octets",
        ),
        Code::ProtocolViolation => advise(
            Client,
            "countersign explain https://HOST:PORT",
            "update the TLS library of the side that broke the protocol, or look for a device in between that does",
        ),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_signature_that_does_not_verify_is_mended_at_the_side_that_made_it() {
        let place = |direction| advice(Code::CryptographicFailure, direction).map(|advice| advice.place);
        assert_eq!(place(Direction::ServerRefusedClient), Some(Fault::Client));
        assert_eq!(place(Direction::ClientRefusedServer), Some(Fault::Server));
    }

    /// What a handshake can die of at a gateway or a tunnel beside certificates.
    const BELOW: &[Code] = &[
        Code::NoClientCertificate,
        Code::NotAllowedByPolicy,
        Code::TooManyRequests,
        Code::ProtocolVersion,
        Code::NoSharedCipher,
        Code::NoApplicationProtocol,
        Code::NotTls,
        Code::CryptographicFailure,
        Code::CertificateRefused,
        Code::MalformedCertificate,
        Code::ProtocolViolation,
        Code::ClosedWithoutAlert,
        Code::ConnectionReset,
        Code::Timeout,
    ];

    #[test]
    fn whatever_a_path_is_refused_for_has_a_remedy_and_a_command_in_both_directions() {
        // The vocabulary begins with what a path can be refused for.
        let of_paths = Code::ALL.iter().take_while(|code| **code != Code::NoClientCertificate);
        for code in of_paths {
            for direction in [Direction::ServerRefusedClient, Direction::ClientRefusedServer] {
                assert!(advice(*code, direction).is_some(), "{code} {direction:?}");
            }
        }
    }

    #[test]
    fn whatever_a_gateway_refuses_a_client_for_has_a_remedy_and_a_command() {
        for code in BELOW {
            assert!(advice(*code, Direction::ServerRefusedClient).is_some(), "{code}");
        }
    }

    #[test]
    fn what_a_finding_says_itself_is_kept() {
        let own = Finding::new(Code::CertificateExpired, Fault::Client, "it expired")
            .remedy("renew it in the console")
            .fix(Fault::Client, "countersign renew alice");
        assert_eq!(advised(own.clone(), Direction::ServerRefusedClient), own);
    }
}
