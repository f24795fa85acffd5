//! What texts can mean: each cause once, with what tells it from the others.

use super::signs::{Cause, cause};
use crate::doctor::Direction::{
    Between, ClientRefusedServer as ByClient, ClientStopped as Stopped, Neither,
    ServerRefusedClient as ByServer,
};
use crate::finding::Fault::{Client, Clock, Environment, Issuer, Network, Proxy, Server};
use crate::finding::FindingCode as Code;

pub(super) const EXAMINE: &str =
    "countersign doctor https://HOST:PORT --cert client.pem --key client-key.pem --cacert ca.pem";
pub(super) const SERVED: &str = "countersign inspect https://HOST:PORT";

pub(super) const NONE_SENT: Cause = cause(
    Code::NoClientCertificate,
    Client,
    ByServer,
    "the server requires a client certificate and the client sent none",
    "is a certificate configured in the client, with its key, and does its issuer stand in the server's list?",
    "curl --cert client.pem --key client-key.pem https://HOST:PORT/",
    Client,
);
pub(super) const WITHHELD: Cause = cause(
    Code::IssuerNotRequested,
    Server,
    ByServer,
    "the client has a certificate and kept it back, since the server's list of CAs does not name its issuer (Go, Java, browsers)",
    "does it work with curl and the same files?",
    SERVED,
    Client,
);
pub(super) const SERVER_CA_UNKNOWN: Cause = cause(
    Code::UnknownIssuer,
    Client,
    ByClient,
    "the client does not know the CA of the server's certificate",
    "does it work with the CA's certificate given to the client?",
    "curl --cacert rootCA.pem https://HOST:PORT/",
    Client,
);
pub(super) const NO_INTERMEDIATE: Cause = cause(
    Code::IntermediateMissing,
    Server,
    ByClient,
    "the server does not send the intermediate that issued its certificate; browsers find it elsewhere, other programs do not",
    "does the server send more than one certificate?",
    "openssl s_client -connect HOST:PORT -showcerts </dev/null",
    Client,
);
pub(super) const CLIENT_CA_UNKNOWN: Cause = cause(
    Code::UnknownIssuer,
    Client,
    ByServer,
    "the server does not know the CA of the client's certificate; this is about the server's client-CA file, not about the client's --cacert",
    "does the server's list of acceptable CAs name the issuer of the client's certificate?",
    SERVED,
    Client,
);
pub(super) const CLIENT_NO_INTERMEDIATE: Cause = cause(
    Code::IntermediateMissing,
    Client,
    ByServer,
    "the client sends its leaf without the intermediate that issued it",
    "how many certificates are in the client's file?",
    "cat client.pem intermediate.pem > client-full.pem",
    Client,
);
pub(super) const SELF_SIGNED: Cause = cause(
    Code::SelfSigned,
    Server,
    ByClient,
    "the server's certificate is self-signed",
    "are subject and issuer of the server's certificate the same?",
    SERVED,
    Client,
);
pub(super) const INSPECTED: Cause = cause(
    Code::InterceptingProxy,
    Client,
    ByClient,
    "a program on the way inspects traffic and makes certificates of its own",
    "does the issuer's name belong to a security product?",
    SERVED,
    Client,
);
pub(super) const STORE_IGNORED: Cause = cause(
    Code::TrustStoreIgnored,
    Client,
    ByClient,
    "the CA is in the system's trust store, and this program reads a list of its own",
    "does curl succeed without any option?",
    "NODE_EXTRA_CA_CERTS=rootCA.pem node app.js",
    Client,
);
pub(super) const SERVER_EXPIRED: Cause = cause(
    Code::CertificateExpired,
    Server,
    ByClient,
    "the server's certificate has expired",
    "which certificate of the chain has expired? If none that is served: the client's own copy of the root",
    SERVED,
    Client,
);
pub(super) const ROOT_EXPIRED: Cause = cause(
    Code::AnchorExpired,
    Client,
    ByClient,
    "the client's own copy of the root has expired, and everything the server sends may be in date",
    "is the root in the client's trust store in date?",
    "openssl x509 -in ca.pem -noout -enddate",
    Client,
);
pub(super) const CLIENT_EXPIRED: Cause = cause(
    Code::CertificateExpired,
    Client,
    ByServer,
    "the client's certificate has expired",
    "until when is the client's certificate valid?",
    "openssl x509 -in client.pem -noout -enddate",
    Client,
);
pub(super) const LIST_EXPIRED: Cause = cause(
    Code::CrlExpired,
    Server,
    ByServer,
    "the server's revocation list has expired; OpenSSL servers then tell every client that its certificate expired",
    "do all clients fail since the same moment?",
    "openssl crl -in ca.crl -noout -nextupdate",
    Server,
);
pub(super) const LIST_MISSING: Cause = cause(
    Code::CrlMissing,
    Server,
    ByServer,
    "the server checks revocation and has no list for one CA of the chain",
    "does the CRL file hold one list for every CA, the root included?",
    "countersign inspect crls.pem",
    Server,
);
pub(super) const CLOCK: Cause = cause(
    Code::ClockWrong,
    Clock,
    Neither,
    "a clock is wrong",
    "is the time right on both machines?",
    "timedatectl",
    Clock,
);
pub(super) const NOT_YET: Cause = cause(
    Code::CertificateNotYetValid,
    Clock,
    Neither,
    "a certificate is not valid yet: the CA's clock is ahead, or the clock of the side that judges is behind",
    "is the time right on both machines, and what is notBefore?",
    "openssl x509 -in client.pem -noout -startdate",
    Clock,
);
pub(super) const WRONG_NAME: Cause = cause(
    Code::NameMismatch,
    Server,
    ByClient,
    "the server's certificate does not have the name that the client asked for",
    "which names does the certificate have, and by which is it reached?",
    SERVED,
    Client,
);
pub(super) const NO_ADDRESS: Cause = cause(
    Code::AddressNotNamed,
    Server,
    ByClient,
    "the client connects to an address, and the certificate has none as an IP entry",
    "is the address an IP entry, not a DNS one?",
    "countersign issue server 192.0.2.1",
    Issuer,
);
pub(super) const NO_ALT_NAME: Cause = cause(
    Code::NoSubjectAltName,
    Server,
    ByClient,
    "the server's certificate has a commonName and no subjectAltName",
    "has it a subjectAltName?",
    "countersign issue server HOST",
    Issuer,
);
pub(super) const CLIENT_PURPOSE: Cause = cause(
    Code::WrongPurpose,
    Client,
    ByServer,
    "the client's certificate is not for clients: it lacks the extended key usage clientAuth",
    "is TLS Web Client Authentication among its usages? Public CAs no longer issue it",
    "countersign issue client NAME",
    Issuer,
);
pub(super) const SERVER_PURPOSE: Cause = cause(
    Code::WrongPurpose,
    Server,
    ByClient,
    "the server's certificate is not for servers",
    "is TLS Web Server Authentication among its usages?",
    "countersign issue server HOST",
    Issuer,
);
pub(super) const NO_SIGNING: Cause = cause(
    Code::KeyUsageMissing,
    Client,
    ByServer,
    "the key usage of the certificate lacks digitalSignature; OpenSSL has the same words for it as for a wrong purpose",
    "does keyUsage have digitalSignature?",
    "openssl x509 -in client.pem -noout -ext keyUsage,extendedKeyUsage",
    Client,
);
pub(super) const REKEYED: Cause = cause(
    Code::SignatureInvalid,
    Client,
    ByServer,
    "the CA was made again with a new key under the same name, and the certificate is from the old one",
    "does the certificate verify with the other side's CA file?",
    "openssl verify -CAfile ca.pem client.pem",
    Client,
);
pub(super) const WEAK: Cause = cause(
    Code::WeakKey,
    Server,
    ByClient,
    "a key is shorter than the security level allows",
    "how many bits has the key?",
    "openssl x509 -in server.pem -noout -text | grep 'Public-Key'",
    Server,
);
pub(super) const SHA1: Cause = cause(
    Code::WeakSignature,
    Issuer,
    Stopped,
    "a certificate in the file is signed with SHA-1 or MD5, and the library does not load it",
    "what is its signature algorithm?",
    "openssl x509 -in client.pem -noout -text | grep 'Signature Algorithm'",
    Client,
);
pub(super) const REVOKED: Cause = cause(
    Code::CertificateRevoked,
    Client,
    ByServer,
    "the client's certificate is on the revocation list of its CA",
    "is its serial number on the list?",
    "openssl crl -in ca.crl -noout -text | grep -A1 SERIAL",
    Server,
);
pub(super) const REFUSED: Cause = cause(
    Code::CertificateRefused,
    Client,
    ByServer,
    "the server refused the client's certificate, and its words do not say why",
    "what does the server's log say, at level info?",
    EXAMINE,
    Client,
);
pub(super) const HTTP_ON_TLS: Cause = cause(
    Code::PlainHttp,
    Client,
    ByServer,
    "plain HTTP is sent to a port that speaks TLS",
    "does the URL begin with https://?",
    "curl https://HOST:PORT/",
    Client,
);
pub(super) const TLS_ON_HTTP: Cause = cause(
    Code::PlainHttp,
    Client,
    Neither,
    "TLS is spoken to a port that speaks plain HTTP; it is not about versions",
    "does http:// answer on this port?",
    "curl http://HOST:PORT/",
    Client,
);
pub(super) const NO_CIPHER: Cause = cause(
    Code::NoSharedCipher,
    Client,
    ByServer,
    "client and server have no cipher suite, group or signature algorithm in common",
    "does it work without --ciphers, --curves and the like?",
    EXAMINE,
    Client,
);
pub(super) const KEY_KIND: Cause = cause(
    Code::KeyKindUnsupported,
    Server,
    ByServer,
    "the server's key is of a kind that the client does not take (secp256k1; Ed25519 for browsers)",
    "which kind is the server's key?",
    SERVED,
    Client,
);
pub(super) const VERSION: Cause = cause(
    Code::ProtocolVersion,
    Server,
    ByServer,
    "no TLS version in common: one side speaks only old ones, or was told to",
    "which versions does each side allow?",
    "openssl s_client -connect HOST:PORT -tls1_2 </dev/null",
    Client,
);
pub(super) const CLOSED: Cause = cause(
    Code::ClosedWithoutAlert,
    Server,
    ByServer,
    "the other side closed without saying why; Node.js does so when it refuses a certificate",
    "is the server a Node.js program? Is the certificate from a CA it knows?",
    EXAMINE,
    Client,
);
pub(super) const RESET: Cause = cause(
    Code::ConnectionReset,
    Server,
    ByServer,
    "the connection was reset: often a refusal whose alert was lost while the client was still sending",
    "does an empty GET give a reason?",
    "curl -v https://HOST:PORT/",
    Client,
);
pub(super) const HEALTH_CHECK: Cause = cause(
    Code::ConnectionWithoutHello,
    Network,
    Neither,
    "somebody opens and closes connections without a ClientHello: a health check, and no cause of anything",
    "does it come every few seconds from one address?",
    "use a TLS or HTTP health check, or ignore it",
    Network,
);
pub(super) const LARGE_HELLO: Cause = cause(
    Code::LargeClientHelloDropped,
    Network,
    Between,
    "a device on the way drops a ClientHello that needs more than one packet (post-quantum groups)",
    "does it work with a small ClientHello?",
    "curl --curves X25519 https://HOST:PORT/",
    Client,
);
pub(super) const PROXY_NO: Cause = cause(
    Code::ProxyRefused,
    Environment,
    Between,
    "a proxy, not the server, refused: HTTPS_PROXY or -x sends the connection there",
    "is a proxy set in the environment?",
    "env | grep -i proxy",
    Client,
);
pub(super) const NO_KEY: Cause = cause(
    Code::PrivateKeyMissing,
    Client,
    Stopped,
    "the client's certificate is there and its private key is not",
    "is --key given, or the key in the same file?",
    "curl --cert client.pem --key client-key.pem https://HOST:PORT/",
    Client,
);
pub(super) const MISMATCH: Cause = cause(
    Code::KeyMismatch,
    Client,
    Stopped,
    "the private key does not belong to the certificate",
    "are the two public halves the same?",
    "countersign doctor files client.pem client-key.pem",
    Client,
);
pub(super) const ORDER: Cause = cause(
    Code::ChainOrder,
    Server,
    Stopped,
    "the file starts with the intermediate instead of the leaf, so the first certificate is not the key's",
    "is the first certificate in the file the leaf?",
    "cat server.pem intermediate.pem > fullchain.pem",
    Server,
);
pub(super) const NO_PASSPHRASE: Cause = cause(
    Code::PassphraseMissing,
    Client,
    Stopped,
    "the private key is encrypted and no passphrase, or the wrong one, was given",
    "does the file say ENCRYPTED?",
    "openssl pkey -in client-key.pem -noout",
    Client,
);
pub(super) const WRONG_PASSPHRASE: Cause = cause(
    Code::PassphraseWrong,
    Client,
    Stopped,
    "the passphrase is the wrong one",
    "does openssl open the file with it?",
    "openssl pkcs12 -in client.p12 -noout",
    Client,
);
pub(super) const LEGACY_P12: Cause = cause(
    Code::Pkcs12LegacyEncryption,
    Client,
    Stopped,
    "the PKCS#12 is encrypted with RC2 or other old algorithms, which OpenSSL 3 does not load; the password may be right",
    "does openssl open it with -legacy?",
    "openssl pkcs12 -legacy -in client.p12 -nokeys -noout",
    Client,
);
pub(super) const APPLE_P12: Cause = cause(
    Code::Pkcs12NotPortable,
    Client,
    Stopped,
    "Apple's systems do not import a PKCS#12 with AES-256 and a SHA-256 MAC, or one without a password; the password may be right",
    "was it made by OpenSSL 3, or without a password?",
    "openssl pkcs12 -export -legacy -in client.pem -inkey client-key.pem -out client.p12",
    Client,
);
pub(super) const NOT_PEM: Cause = cause(
    Code::EncodingMismatch,
    Client,
    Stopped,
    "a DER or PKCS#12 file is given where PEM is expected",
    "does the file have a -----BEGIN line?",
    "countersign inspect client.pem",
    Client,
);
pub(super) const DAMAGED: Cause = cause(
    Code::PemDamaged,
    Client,
    Stopped,
    "the PEM was damaged on its way: \\n as text, markers glued together, a byte order mark",
    "are the markers alone on their lines?",
    "countersign inspect --pem client.pem > repaired.pem",
    Client,
);
pub(super) const NO_FILE: Cause = cause(
    Code::FileMissing,
    Client,
    Stopped,
    "the file is not there",
    "is the path right, seen from where the program starts?",
    "ls -l client.pem",
    Client,
);
pub(super) const NO_RIGHT: Cause = cause(
    Code::FileUnreadable,
    Client,
    Stopped,
    "the user of the process may not read the file",
    "whose file is it?",
    "ls -l client-key.pem",
    Client,
);
pub(super) const STORE_NAME: Cause = cause(
    Code::OptionMisread,
    Client,
    Stopped,
    "--cert means another thing to this curl: a store's name for Schannel, a keychain's name for Secure Transport, a file for OpenSSL; and a colon ends a file's name",
    "which backend has this curl?",
    "curl -V",
    Client,
);
pub(super) const SWAPPED: Cause = cause(
    Code::FilesSwapped,
    Client,
    Stopped,
    "certificate and key were given in each other's place",
    "what is in each file?",
    "countersign inspect client.pem client-key.pem",
    Client,
);
pub(super) const PKCS8: Cause = cause(
    Code::KeyFormatUnsupported,
    Client,
    Stopped,
    "the key is PKCS#1 or SEC1, and this program reads only PKCS#8",
    "does the file say BEGIN RSA or EC PRIVATE KEY?",
    "openssl pkcs8 -topk8 -nocrypt -in client-key.pem -out client-key.p8",
    Client,
);
pub(super) const TOO_OPEN: Cause = cause(
    Code::KeyFileTooOpen,
    Client,
    Stopped,
    "others may read the private key's file, and this program refuses it then",
    "what is its mode?",
    "chmod 600 client-key.pem",
    Client,
);
pub(super) const TOKEN: Cause = cause(
    Code::KeyStoreCannotSign,
    Client,
    Stopped,
    "the private key is in a token or store that cannot make the signature: no RSA-PSS, which TLS 1.3 requires, or a key only in memory",
    "does it work with TLS 1.2?",
    "curl --tls-max 1.2 …",
    Client,
);
pub(super) const ALPN: Cause = cause(
    Code::NoApplicationProtocol,
    Client,
    ByServer,
    "no application protocol (ALPN) in common",
    "does the server speak only h2?",
    "curl --http2 https://HOST:PORT/",
    Client,
);
pub(super) const ALPN_MISSING: Cause = cause(
    Code::ApplicationProtocolNotSelected,
    Server,
    ByClient,
    "the server, or a load balancer in front, selects no ALPN, which grpc-go requires from 1.67 on",
    "does the server select h2 (openssl s_client -connect HOST:PORT -alpn h2 </dev/null | grep ALPN)?",
    "http2 on;  # or the like at the load balancer, so that it selects h2 by ALPN",
    Server,
);
pub(super) const NO_CRL_POINT: Cause = cause(
    Code::RevocationUnreachable,
    Client,
    ByClient,
    "Windows cannot reach where the CA publishes revocation, and takes that for a refusal",
    "does the certificate name a CRL that can be fetched?",
    "curl --ssl-revoke-best-effort https://HOST:PORT/",
    Client,
);
pub(super) const OLD_SERVER: Cause = cause(
    Code::RenegotiationUnsafe,
    Server,
    ByClient,
    "the server does not know secure renegotiation (RFC 5746), which OpenSSL 3 requires",
    "does openssl s_client -legacy_server_connect -connect HOST:PORT come through, and is its TLS library of before 2010?",
    "openssl version  # 0.9.8m and newer know RFC 5746: update it",
    Server,
);
pub(super) const ALT_LOCATION: Cause = cause(
    Code::PostHandshakeAuthentication,
    Server,
    ByServer,
    "Apache asks for the certificate in one location only, and TLS 1.3 clients other than curl cannot be asked again",
    "does SSLVerifyClient stand in a Location or Directory?",
    "SSLVerifyClient require  # in the <VirtualHost>",
    Server,
);
pub(super) const MISDIRECTED: Cause = cause(
    Code::MisdirectedRequest,
    Client,
    ByServer,
    "the request came on a connection that was made for another host",
    "are the server name of the handshake and the Host header the same?",
    "curl --http1.1 https://HOST:PORT/",
    Client,
);
pub(super) const UPSTREAM: Cause = cause(
    Code::UpstreamFailed,
    Proxy,
    Between,
    "the proxy in front could not do TLS with the server behind it",
    "what does the proxy's error log say?",
    "grep upstream /var/log/nginx/error.log | tail",
    Proxy,
);
pub(super) const DEPTH: Cause = cause(
    Code::VerifyDepthExceeded,
    Server,
    ByServer,
    "the client's chain is longer than the server's verify depth",
    "how many CAs stand above the client's certificate?",
    "ssl_verify_depth 3;",
    Server,
);
pub(super) const LIST_LONG: Cause = cause(
    Code::IssuerListTooLong,
    Server,
    ByClient,
    "the server's list of acceptable CAs is too long for the client",
    "is the server's client-CA file the system's whole bundle?",
    "ssl_client_certificate client-ca.pem;  # the CA that issues clients, not the system's bundle",
    Server,
);
pub(super) const STRICT: Cause = cause(
    Code::StrictProfile,
    Issuer,
    ByClient,
    "Python 3.13 checks strictly: it wants authorityKeyIdentifier, and critical basicConstraints and keyUsage in CAs",
    "does it work with Python 3.12?",
    "countersign issue server HOST",
    Issuer,
);
pub(super) const CA_LEAF: Cause = cause(
    Code::CaAsLeaf,
    Server,
    ByClient,
    "a CA's certificate is used as the server's own, as `openssl req -x509` makes them",
    "does it say CA:TRUE?",
    "countersign issue server HOST",
    Issuer,
);
pub(super) const V1: Cause = cause(
    Code::CertificateVersion1,
    Client,
    ByServer,
    "the certificate is of X.509 version 1",
    "has it extensions?",
    "countersign issue client NAME",
    Issuer,
);
pub(super) const CONSTRAINED: Cause = cause(
    Code::NameConstraintsViolated,
    Issuer,
    ByClient,
    "a CA of the chain may not issue for that name",
    "what do its name constraints permit?",
    "openssl x509 -in ca.pem -noout -ext nameConstraints",
    Issuer,
);
pub(super) const NOT_A_CA: Cause = cause(
    Code::IssuerNotCa,
    Issuer,
    ByClient,
    "a certificate that is no CA's signed another one",
    "does the issuer say CA:TRUE?",
    SERVED,
    Client,
);
pub(super) const PATH_LONG: Cause = cause(
    Code::PathLengthExceeded,
    Issuer,
    ByClient,
    "more CAs stand below a CA than its path length allows",
    "what is its pathlen?",
    SERVED,
    Client,
);
pub(super) const SERIALS: Cause = cause(
    Code::SameSerialNumber,
    Issuer,
    ByClient,
    "two certificates of one issuer have the same serial number",
    "was the CA's certificate made again by the same script?",
    "countersign issue server HOST",
    Issuer,
);
pub(super) const REMEMBERED: Cause = cause(
    Code::BrowserChoiceRemembered,
    Client,
    Stopped,
    "the browser remembers an old choice of certificate, or of none, for this host, or has none that fits",
    "does a private window ask?",
    "restart the browser, or clear its choice for the host",
    Client,
);
pub(super) const PREFLIGHT: Cause = cause(
    Code::PreflightWithoutCertificate,
    Server,
    ByServer,
    "a browser's CORS preflight (OPTIONS) carries no client certificate, by the Fetch standard",
    "is it the OPTIONS request that fails?",
    "ssl_verify_client optional;  # and require it for all but OPTIONS",
    Server,
);
pub(super) const STALE_BUNDLE: Cause = cause(
    Code::TrustBundleStale,
    Client,
    ByClient,
    "the bundle of CAs on one side is older than the CA of the other: a webhook's caBundle, or a rotation half done",
    "was the CA renewed lately?",
    "kubectl get validatingwebhookconfiguration -o yaml | grep caBundle",
    Client,
);
pub(super) const HEADERS: Cause = cause(
    Code::IdentityHeaderForgeable,
    Proxy,
    Neither,
    "the service believes identity headers from anybody who reaches it",
    "does the proxy strip them from what clients send?",
    "proxy_set_header X-SSL-Client-S-DN $ssl_client_s_dn;  # for each such header, always",
    Proxy,
);
pub(super) const RESUMED: Cause = cause(
    Code::ResumptionNotRechecked,
    Server,
    Neither,
    "a resumed session is let in without the certificate being judged again by today's CAs",
    "is the library of before the mend (Go 1.24.13, 1.25.7)?",
    "go version",
    Server,
);
pub(super) const NOT_LOOKED: Cause = cause(
    Code::RevocationNotChecked,
    Server,
    Neither,
    "the server accepts revoked certificates although it is configured to check",
    "is nginx of before the mend of CVE-2026-28755?",
    "nginx -v",
    Server,
);
pub(super) const ANYBODY: Cause = cause(
    Code::VerificationDisabled,
    Environment,
    Neither,
    "verification is switched off by a variable; in Bun that holds for the server's check of clients as well",
    "is NODE_TLS_REJECT_UNAUTHORIZED=0 set?",
    "unset NODE_TLS_REJECT_UNAUTHORIZED",
    Environment,
);
pub(super) const HASHES: Cause = cause(
    Code::TrustDirectoryNotHashed,
    Client,
    ByClient,
    "the CA directory has no hashed names, so it is empty to OpenSSL",
    "are there names such as 1a2b3c4d.0 in it?",
    "openssl rehash DIR",
    Client,
);
pub(super) const AKI: Cause = cause(
    Code::AuthorityKeyMismatch,
    Issuer,
    ByServer,
    "the certificate's authorityKeyIdentifier is not its issuer's subjectKeyIdentifier, so OpenSSL does not find the issuer",
    "are the two identifiers the same?",
    "openssl x509 -in client.pem -noout -ext authorityKeyIdentifier",
    Issuer,
);
pub(super) const NO_DNS: Cause = cause(
    Code::NameNotResolved,
    Network,
    Neither,
    "the name has no address",
    "is it spelled right?",
    "getent hosts HOST",
    Client,
);
pub(super) const NO_PORT: Cause = cause(
    Code::ConnectionRefused,
    Server,
    Neither,
    "nothing listens on the port",
    "does the server run?",
    "ss -ltnp",
    Server,
);
pub(super) const LATE: Cause = cause(
    Code::Timeout,
    Network,
    Neither,
    "no answer in time",
    "does a firewall drop the packets?",
    "nc -vz HOST PORT",
    Client,
);
pub(super) const NO_VHOST: Cause = cause(
    Code::UnrecognizedName,
    Client,
    ByServer,
    "the server serves nothing under that name",
    "is the name one of the server's?",
    SERVED,
    Client,
);
pub(super) const TOO_BIG: Cause = cause(
    Code::ChainTooLarge,
    Client,
    ByServer,
    "the client's chain is larger than the server takes",
    "is the file a bundle?",
    "cat client.pem intermediate.pem > client-full.pem",
    Client,
);
pub(super) const SESSION: Cause = cause(
    Code::SessionRefused,
    Client,
    ByServer,
    "a session made with another virtual host is offered to this one",
    "does the first connection work and the second fail?",
    "curl --no-sessionid https://HOST:PORT/",
    Client,
);
pub(super) const POLICY: Cause = cause(
    Code::NotAllowedByPolicy,
    Server,
    ByServer,
    "the certificate is good, and its identity is not on the server's list",
    "which names has the certificate?",
    "openssl x509 -in client.pem -noout -subject -nameopt RFC2253",
    Client,
);
