//! How programs differ where the same pair gives different verdicts: what each believes, sends and withholds. Every
//! row was measured with the real program (see interop/): OpenSSL 3.0, curl 7.88, Node.js 20, Go 1.19 and 1.27,
//! Java 25, Python 3.13, rustls 0.23, Chromium 156, Firefox 153.

use std::fmt;
use std::str::FromStr;

/// A client program.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Program {
    /// curl with OpenSSL, as on Linux.
    #[default]
    Curl,
    /// curl with Schannel, as Windows brings it.
    CurlSchannel,
    /// curl with Secure Transport, as macOS brought it.
    CurlSecureTransport,
    /// wget.
    Wget,
    /// openssl s_client.
    OpenSsl,
    /// Node.js.
    Node,
    /// Python's ssl module, from 3.13 on.
    Python,
    /// Java's JSSE.
    Java,
    /// Go's crypto/tls.
    Go,
    /// rustls, as in reqwest.
    Rustls,
    /// Chrome and Chromium.
    Chrome,
    /// Firefox.
    Firefox,
    /// GnuTLS.
    GnuTls,
}

/// How far down a chain an anchor may stand.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PartialChain {
    /// Only a self-signed root ends a path.
    RootOnly,
    /// An intermediate may, the leaf may not.
    Intermediate,
    /// The leaf may as well.
    Any,
}

/// Where a program's default trust comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TrustStore {
    /// The operating system's files, as OpenSSL finds them.
    System,
    /// A list compiled into or shipped with the program.
    Own {
        /// What adds to it.
        add: &'static str,
    },
}

impl Program {
    /// Every program, in the order of `--help`.
    pub const ALL: &[Program] = &[
        Program::Curl,
        Program::CurlSchannel,
        Program::CurlSecureTransport,
        Program::Wget,
        Program::OpenSsl,
        Program::Node,
        Program::Python,
        Program::Java,
        Program::Go,
        Program::Rustls,
        Program::Chrome,
        Program::Firefox,
        Program::GnuTls,
    ];

    /// Its name on the command line.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Program::Curl => "curl",
            Program::CurlSchannel => "curl-schannel",
            Program::CurlSecureTransport => "curl-securetransport",
            Program::Wget => "wget",
            Program::OpenSsl => "openssl",
            Program::Node => "node",
            Program::Python => "python",
            Program::Java => "java",
            Program::Go => "go",
            Program::Rustls => "rustls",
            Program::Chrome => "chrome",
            Program::Firefox => "firefox",
            Program::GnuTls => "gnutls",
        }
    }

    /// Its name in a sentence.
    #[must_use]
    pub fn title(self) -> &'static str {
        match self {
            Program::Curl => "curl",
            Program::CurlSchannel => "curl on Windows",
            Program::CurlSecureTransport => "curl on macOS",
            Program::Wget => "wget",
            Program::OpenSsl => "openssl s_client",
            Program::Node => "Node.js",
            Program::Python => "Python",
            Program::Java => "Java",
            Program::Go => "Go",
            Program::Rustls => "rustls",
            Program::Chrome => "Chrome",
            Program::Firefox => "Firefox",
            Program::GnuTls => "GnuTLS",
        }
    }

    /// Whether it is built on OpenSSL.
    #[must_use]
    pub fn is_openssl(self) -> bool {
        matches!(self, Program::Curl | Program::Wget | Program::OpenSsl | Program::Node | Program::Python)
    }

    /// Whether it keeps its certificate back where the issuer is none of the CAs in the server's list.
    #[must_use]
    pub fn withholds_by_issuer(self) -> bool {
        matches!(
            self,
            Program::Go | Program::Java | Program::Chrome | Program::Firefox | Program::CurlSchannel
        )
    }

    /// Whether it never offers a certificate that is out of date or not for clients.
    #[must_use]
    pub fn withholds_by_purpose(self) -> bool {
        matches!(self, Program::Chrome | Program::Firefox)
    }

    /// What may end a path.
    #[must_use]
    pub fn partial_chain(self) -> PartialChain {
        match self {
            // curl sets X509_V_FLAG_PARTIAL_CHAIN from 7.68 on, Python from 3.13 on.
            Program::Curl | Program::Go | Program::Java | Program::GnuTls | Program::Python => {
                PartialChain::Any
            }
            Program::Rustls => PartialChain::Intermediate,
            _ => PartialChain::RootOnly,
        }
    }

    /// Whether it looks at the dates of a root it trusts.
    #[must_use]
    pub fn checks_dates_of_roots(self) -> bool {
        !matches!(self, Program::Rustls | Program::Java)
    }

    /// Whether it holds a trusted root's own name constraints against the chain.
    #[must_use]
    pub fn enforces_constraints_of_roots(self) -> bool {
        self != Program::Java
    }

    /// Whether it takes a server's commonName for its name where there is no subjectAltName.
    #[must_use]
    pub fn falls_back_to_common_name(self) -> bool {
        matches!(
            self,
            Program::Curl
                | Program::Wget
                | Program::OpenSsl
                | Program::Node
                | Program::Python
                | Program::Java
        )
    }

    /// Whether it takes a CA's certificate as a server's own.
    #[must_use]
    pub fn accepts_ca_as_leaf(self) -> bool {
        !matches!(self, Program::Rustls | Program::Firefox)
    }

    /// The least bits of an RSA key.
    #[must_use]
    pub fn least_rsa_bits(self) -> u32 {
        match self {
            Program::Node
            | Program::Go
            | Program::Java
            | Program::GnuTls
            | Program::Chrome
            | Program::Firefox => 1024,
            _ => 2048,
        }
    }

    /// Whether it insists on authorityKeyIdentifier, and on critical basicConstraints and keyUsage of CAs
    /// (VERIFY_X509_STRICT).
    #[must_use]
    pub fn is_strict(self) -> bool {
        self == Program::Python
    }

    /// Whether it answers a request for a certificate after the handshake.
    #[must_use]
    pub fn offers_post_handshake_authentication(self) -> bool {
        matches!(self, Program::Curl)
    }

    /// Whether it verifies Ed25519 signatures of servers.
    #[must_use]
    pub fn offers_ed25519(self) -> bool {
        !matches!(self, Program::Chrome | Program::Firefox)
    }

    /// Whether it sends a server name that has one label, such as `localhost`.
    #[must_use]
    pub fn sends_one_label_server_name(self) -> bool {
        self != Program::Java
    }

    /// Whether it speaks X.509 version 1 at all.
    #[must_use]
    pub fn reads_version_1(self) -> bool {
        self != Program::Rustls
    }

    /// Whether its ClientHello is larger than one TCP segment (1460 octets) with a post-quantum group.
    #[must_use]
    pub fn sends_large_client_hello(self) -> bool {
        matches!(self, Program::Go | Program::Chrome | Program::Firefox)
    }

    /// Where its default trust comes from.
    #[must_use]
    pub fn trust_store(self) -> TrustStore {
        match self {
            Program::Node => TrustStore::Own { add: "NODE_EXTRA_CA_CERTS=rootCA.pem" },
            Program::Java => {
                TrustStore::Own { add: "keytool -importcert -cacerts -alias my-ca -file rootCA.pem" }
            }
            Program::Firefox => TrustStore::Own { add: "countersign trust install --only nss" },
            _ => TrustStore::System,
        }
    }

    /// How a CA is given to it, for pasting.
    #[must_use]
    pub fn trust_command(self, anchor: &str, url: &str) -> String {
        match self {
            Program::Curl | Program::CurlSchannel | Program::CurlSecureTransport => {
                format!("curl --cacert {anchor} {url}")
            }
            Program::Wget => format!("wget --ca-certificate={anchor} {url}"),
            Program::OpenSsl => format!("openssl s_client -CAfile {anchor} -connect {}", authority(url)),
            Program::Node => format!("export NODE_EXTRA_CA_CERTS={anchor}"),
            Program::Python => format!("export SSL_CERT_FILE={anchor}"),
            Program::Java => format!("keytool -importcert -cacerts -alias my-ca -file {anchor}"),
            Program::Go | Program::Rustls => format!("export SSL_CERT_FILE={anchor}"),
            Program::Chrome | Program::Firefox => format!("countersign trust install --ca {anchor}"),
            Program::GnuTls => format!("gnutls-cli --x509cafile={anchor} {}", authority(url)),
        }
    }

    /// How a client certificate is given to it, for pasting.
    #[must_use]
    pub fn certificate_command(self, certificate: &str, key: &str, url: &str) -> String {
        match self {
            Program::Wget => format!("wget --certificate={certificate} --private-key={key} {url}"),
            Program::OpenSsl => {
                format!("openssl s_client -cert {certificate} -key {key} -connect {}", authority(url))
            }
            Program::Node => format!(
                "https.get('{url}', {{ cert: fs.readFileSync('{certificate}'), key: fs.readFileSync('{key}') }})"
            ),
            Program::Python => format!("context.load_cert_chain('{certificate}', '{key}')"),
            Program::Java => {
                "java -Djavax.net.ssl.keyStore=client.p12 -Djavax.net.ssl.keyStoreType=PKCS12 …".to_owned()
            }
            Program::Go => format!("tls.LoadX509KeyPair(\"{certificate}\", \"{key}\")"),
            Program::GnuTls => {
                format!("gnutls-cli --x509certfile={certificate} --x509keyfile={key} {}", authority(url))
            }
            _ => format!("curl --cert {certificate} --key {key} {url}"),
        }
    }
}

fn authority(url: &str) -> &str {
    let rest = url.split_once("://").map_or(url, |(_, rest)| rest);
    rest.split('/').next().unwrap_or(rest)
}

impl fmt::Display for Program {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// The name is no program that is known here.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UnknownProgram(pub String);

impl fmt::Display for UnknownProgram {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let known: Vec<&str> = Program::ALL.iter().map(|program| program.name()).collect();
        write!(f, "'{}' is no program that is known here; known are {}", self.0, known.join(", "))
    }
}

impl std::error::Error for UnknownProgram {}

impl FromStr for Program {
    type Err = UnknownProgram;

    /// ```
    /// use explain::doctor::Program;
    /// assert_eq!("node".parse(), Ok(Program::Node));
    /// assert_eq!("s_client".parse(), Ok(Program::OpenSsl));
    /// ```
    fn from_str(text: &str) -> Result<Self, UnknownProgram> {
        let lower = text.to_ascii_lowercase();
        let alias = match lower.as_str() {
            "nodejs" | "node.js" | "npm" => Some(Program::Node),
            "python3" | "requests" | "httpx" => Some(Program::Python),
            "s_client" | "openssl-s_client" => Some(Program::OpenSsl),
            "chromium" | "edge" | "chrome-browser" => Some(Program::Chrome),
            "golang" => Some(Program::Go),
            "jsse" | "jdk" => Some(Program::Java),
            "reqwest" => Some(Program::Rustls),
            "gnutls-cli" => Some(Program::GnuTls),
            "curl.exe" | "schannel" => Some(Program::CurlSchannel),
            _ => None,
        };
        let named = Program::ALL.iter().copied().find(|program| program.name() == lower);
        alias.or(named).ok_or_else(|| UnknownProgram(text.to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_program_is_found_by_its_name_and_an_unknown_one_gets_the_list() {
        for program in Program::ALL {
            assert_eq!(program.name().parse(), Ok(*program));
        }
        assert!("lynx".parse::<Program>().is_err_and(|error| error.to_string().contains("firefox")));
    }
}
