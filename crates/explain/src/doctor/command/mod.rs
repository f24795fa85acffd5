//! A command line read as the program that it starts reads it: curl's colon in `--cert`, combined short options, the
//! environment's proxies and trust files. Nothing is started. What a script says is read for the names of files, and
//! that is said.

mod clients;
mod curl;
mod runtimes;

use std::fmt;

pub use runtimes::environment_of_node;

use super::facts::LocalFinding;
use super::local::Encoding;
use super::{Program, shell};
use crate::finding::{Fault, Finding, FindingCode};

/// A passphrase on a command line. It is never shown.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    /// Keeps a passphrase.
    ///
    /// ```
    /// let secret = explain::doctor::Secret::new("open sesame");
    /// assert_eq!(format!("{secret:?}"), "Secret(…)");
    /// ```
    #[must_use]
    pub fn new(text: impl Into<String>) -> Self {
        Secret(text.into())
    }

    /// The passphrase, for whoever opens the key.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(…)")
    }
}

/// A client's settings, from a command line or from our own flags.
#[derive(Debug, Clone, Default)]
pub struct Settings {
    /// The program.
    pub program: Program,
    /// Whether the settings come from that program's own command line.
    pub is_command: bool,
    /// The URL, or `host:port`.
    pub url: Option<String>,
    /// The certificate's file, and the option that named it.
    pub certificate: Option<(String, String)>,
    /// How it is encoded.
    pub encoding: Encoding,
    /// The key's file, and the option.
    pub key: Option<(String, String)>,
    /// The passphrase.
    pub passphrase: Option<Secret>,
    /// Trust files and directories: option or variable, and path. Empty for the program's default.
    pub trust: Vec<(String, String)>,
    /// The password of the trust store, where it has one.
    pub trust_passphrase: Option<Secret>,
    /// Trust that is added to the default: option or variable, and path.
    pub extra_trust: Vec<(String, String)>,
    /// Revocation lists.
    pub crls: Vec<(String, String)>,
    /// Whether verification is off.
    pub insecure: bool,
    /// The Host header.
    pub host_header: Option<String>,
    /// Other headers.
    pub headers: Vec<(String, String)>,
    /// curl's `--resolve`.
    pub resolve: Vec<String>,
    /// curl's `--connect-to`.
    pub connect_to: Vec<String>,
    /// The name sent and expected, where it is not the host that is connected to.
    pub server_name: Option<String>,
    /// The oldest version offered: `1.2` or `1.3`.
    pub least_version: Option<String>,
    /// The newest.
    pub most_version: Option<String>,
    /// TLS 1.2 suites.
    pub ciphers: Option<String>,
    /// Groups.
    pub curves: Option<String>,
    /// Signature algorithms.
    pub sigalgs: Option<String>,
    /// The proxy: where it was set, and its URL.
    pub proxy: Option<(String, String)>,
    /// Hosts that need no proxy.
    pub no_proxy: Option<String>,
    /// How long a silent server is waited for, where the user says so.
    pub most_wait: Option<std::time::Duration>,
    /// What was misread by the program, or is remarkable.
    pub findings: Vec<LocalFinding>,
    /// What of the command was not understood or cannot be seen, in sentences for the report.
    pub unseen: Vec<String>,
}

/// Why a command line was not read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CommandError {
    /// Nothing is there.
    Empty,
    /// The program is none that is read here.
    UnknownProgram(String),
    /// There is no server in it.
    NoServer(&'static str),
}

impl fmt::Display for CommandError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            CommandError::Empty => f.write_str("no command stands behind --"),
            CommandError::UnknownProgram(program) => write!(
                f,
                "the command line of '{program}' is not read here; those of curl, openssl s_client, wget, gnutls-cli, \
                 http (HTTPie), grpcurl, node, python and java are, and `countersign doctor URL --as PROGRAM` needs none"
            ),
            CommandError::NoServer(form) => write!(f, "the command names no server; {form}"),
        }
    }
}

impl std::error::Error for CommandError {}

/// What a command is read with: the environment, and which files are there.
pub struct Surroundings<'a> {
    /// An environment variable.
    pub variable: &'a dyn Fn(&str) -> Option<String>,
    /// Whether a file is there.
    pub exists: &'a dyn Fn(&str) -> bool,
    /// The text of a script, where it is there and can be read.
    pub script: &'a dyn Fn(&str) -> Option<String>,
}

impl fmt::Debug for Surroundings<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Surroundings")
    }
}

/// Reads a command line.
///
/// # Errors
/// [`CommandError`].
///
/// ```
/// use explain::doctor::{Surroundings, read_command};
/// let nothing = Surroundings { variable: &|_| None, exists: &|_| true, script: &|_| None };
/// let words: Vec<String> = ["curl", "-sE", "alice.pem", "https://localhost:8443"].map(String::from).to_vec();
/// let settings = read_command(&words, &nothing)?;
/// assert_eq!(settings.certificate.map(|(_, path)| path).as_deref(), Some("alice.pem"));
/// # Ok::<(), explain::doctor::CommandError>(())
/// ```
pub fn read_command(words: &[String], around: &Surroundings<'_>) -> Result<Settings, CommandError> {
    // `NAME=value` before the program, as a shell takes it.
    let assignments: Vec<(&str, &str)> =
        words.iter().map_while(|word| word.split_once('=').filter(|(name, _)| is_variable(name))).collect();
    let variable = |name: &str| {
        let assigned = assignments.iter().rev().find(|(known, _)| *known == name);
        assigned.map(|(_, value)| (*value).to_owned()).or_else(|| (around.variable)(name))
    };
    let around = Surroundings { variable: &variable, exists: around.exists, script: around.script };
    let rest = &words[assignments.len()..];
    let (program, arguments) = rest.split_first().ok_or(CommandError::Empty)?;
    let base = program.rsplit(['/', '\\']).next().unwrap_or(program);
    let mut settings = match base {
        "curl" | "curl.exe" => curl::curl(arguments, &around, base == "curl.exe"),
        "openssl" => clients::openssl(arguments, &around)?,
        "wget" => clients::wget(arguments, &around),
        "gnutls-cli" => clients::gnutls(arguments),
        "http" | "https" | "httpie" => clients::httpie(arguments, &around, base == "https"),
        "grpcurl" => clients::grpcurl(arguments, &around),
        "node" | "nodejs" | "npm" | "npx" => runtimes::node(arguments, &around),
        "java" => runtimes::java(arguments),
        other if other.starts_with("python") => runtimes::python(arguments, &around),
        other => return Err(CommandError::UnknownProgram(other.to_owned())),
    };
    settings.is_command = true;
    Ok(settings)
}

fn is_variable(name: &str) -> bool {
    !name.is_empty()
        && name
            .chars()
            .all(|c| c.is_ascii_uppercase() || c.is_ascii_lowercase() || c == '_' || c.is_ascii_digit())
        && !name.starts_with('-')
}

impl Settings {
    /// Options of curl that our own flags share. Whether it was one.
    fn curl_long(&mut self, long: &str, words: &mut std::slice::Iter<'_, String>) -> bool {
        let mut value = || words.next().cloned().unwrap_or_default();
        match long {
            "cert-type" => {
                self.encoding = match value().to_ascii_uppercase().as_str() {
                    "P12" => Encoding::Pkcs12,
                    "DER" => Encoding::Der,
                    _ => Encoding::Pem,
                }
            }
            "key" => self.key = Some(("--key".to_owned(), value())),
            "pass" => self.passphrase = Some(Secret(value())),
            "cacert" | "capath" => {
                let path = value();
                // The last --cacert counts.
                self.trust.retain(|(option, _)| option != &format!("--{long}"));
                self.trust.push((format!("--{long}"), path));
            }
            "crlfile" => self.crls.push(("--crlfile".to_owned(), value())),
            "resolve" => self.resolve.push(value()),
            "connect-to" => self.connect_to.push(value()),
            "tls-max" => self.most_version = Some(value()),
            "ciphers" => self.ciphers = Some(value()),
            "curves" => self.curves = Some(value()),
            "sigalgs" | "signature-algorithms" => self.sigalgs = Some(value()),
            _ => return false,
        }
        true
    }

    fn header(&mut self, text: &str) {
        let Some((name, value)) = text.split_once(':') else { return };
        if name.eq_ignore_ascii_case("host") {
            self.host_header = Some(value.trim().to_owned());
        } else {
            self.headers.push((name.trim().to_owned(), value.trim().to_owned()));
        }
    }

    /// curl's `--cert FILE[:PASSWORD]`: the first colon that is not escaped ends the file's name.
    pub fn curl_certificate(&mut self, text: &str, around: &Surroundings<'_>) {
        let option = "--cert".to_owned();
        let lower = text.to_ascii_lowercase();
        if lower.starts_with("pkcs11:") {
            self.certificate = Some((option, text.to_owned()));
            return;
        }
        let store = ["currentuser\\", "localmachine\\", "currentuser/", "localmachine/"];
        if store.iter().any(|prefix| lower.starts_with(prefix)) && self.program == Program::Curl {
            self.findings.push(LocalFinding {
                blocks: true,
                finding: Finding::new(
                    FindingCode::OptionMisread,
                    Fault::Client,
                    "the --cert of this command is the name of a Windows certificate store, which only a curl with \
                     Schannel reads; one with OpenSSL takes it for a file",
                )
                .certain()
                .evidence(format!("--cert {text}"))
                .fix(Fault::Client, "curl -V  # the backend stands in the first line; with OpenSSL: --cert client.pem --key client-key.pem"),
            });
        }
        let mut file = String::new();
        let mut letters = text.chars().peekable();
        let mut password = None;
        while let Some(letter) = letters.next() {
            match letter {
                '\\' if matches!(letters.peek(), Some(':' | '\\')) => file.extend(letters.next()),
                // A drive letter of Windows is no password's colon.
                ':' if file.len() == 1 && matches!(letters.peek(), Some('\\' | '/')) => file.push(letter),
                ':' => {
                    password = Some(letters.collect::<String>());
                    break;
                }
                _ => file.push(letter),
            }
        }
        if password.is_some() && (around.exists)(text) && !(around.exists)(&file) {
            self.findings.push(LocalFinding {
                blocks: true,
                finding: Finding::new(
                    FindingCode::OptionMisread,
                    Fault::Client,
                    format!("curl splits --cert at the colon: it looks for a file '{file}' and takes the rest for its password"),
                )
                .certain()
                .evidence(format!("there is a file {text}, and none called {file}"))
                .fix(Fault::Client, format!("curl --cert {} …", shell(&text.replace(':', "\\:"))))
                .remedy("escape the colon, or rename the file"),
            });
            self.certificate = Some((option, text.to_owned()));
            return;
        }
        if let Some(password) = password {
            self.passphrase = Some(Secret(password));
        }
        self.certificate = Some((option, file));
    }

    /// The proxy that the environment sets for the URL, where no option did.
    pub fn environment_proxy(&mut self, around: &Surroundings<'_>) {
        let is_plain = self.url.as_deref().is_some_and(|url| url.starts_with("http://"));
        if self.proxy.is_none() {
            let names: &[&str] = if is_plain {
                // Not HTTP_PROXY: a CGI program gets it from a request header (CVE-2016-5385).
                &["http_proxy", "all_proxy", "ALL_PROXY"]
            } else {
                &["https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY"]
            };
            self.proxy = names.iter().find_map(|name| {
                let value = (around.variable)(name).filter(|value| !value.is_empty())?;
                Some(((*name).to_owned(), value))
            });
        }
        if self.no_proxy.is_none() {
            self.no_proxy = (around.variable)("no_proxy").or_else(|| (around.variable)("NO_PROXY"));
        }
        let host = self.url.as_deref().map(host_of).unwrap_or_default();
        if self.proxy.as_ref().is_some_and(|(_, url)| url.is_empty())
            || self.no_proxy.as_deref().is_some_and(|list| is_exempt(list, host))
        {
            self.proxy = None;
        }
    }

    /// The settings that offer less than the defaults, as they are written.
    #[must_use]
    pub fn restrictions(&self) -> Vec<String> {
        let dashes = if self.program == Program::OpenSsl { "-" } else { "--" };
        let mut list = Vec::new();
        if let Some(version) = &self.most_version {
            list.push(format!("{dashes}tls-max {version}"));
        }
        if let Some(version) = self.least_version.as_deref().filter(|version| *version != "1.2") {
            list.push(format!("{dashes}tlsv{version}"));
        }
        for (name, value) in
            [("ciphers", &self.ciphers), ("curves", &self.curves), ("sigalgs", &self.sigalgs)]
        {
            if let Some(value) = value {
                list.push(format!("{dashes}{name} {value}"));
            }
        }
        list
    }
}

/// SSL_CERT_FILE and SSL_CERT_DIR, as OpenSSL reads them where no option says otherwise.
fn default_trust(settings: &mut Settings, around: &Surroundings<'_>) {
    if settings.trust.is_empty() {
        for name in ["SSL_CERT_FILE", "SSL_CERT_DIR"] {
            if let Some(path) = (around.variable)(name).filter(|path| !path.is_empty()) {
                settings.trust.push((name.to_owned(), path));
            }
        }
    }
}

/// The host in a URL or `host:port`.
fn host_of(url: &str) -> &str {
    let rest = url.split_once("://").map_or(url, |(_, rest)| rest);
    let authority = rest.split(['/', '?', '#']).next().unwrap_or(rest);
    let authority = authority.rsplit_once('@').map_or(authority, |(_, host)| host);
    match authority.strip_prefix('[') {
        Some(bracketed) => bracketed.split(']').next().unwrap_or(bracketed),
        None => authority.split(':').next().unwrap_or(authority),
    }
}

/// Whether a NO_PROXY list holds the host: its name, or a domain above it.
fn is_exempt(list: &str, host: &str) -> bool {
    list.split([',', ' ']).map(str::trim).filter(|entry| !entry.is_empty()).any(|entry| {
        let bare = entry.trim_start_matches('.');
        entry == "*"
            || host.eq_ignore_ascii_case(bare)
            || host.to_ascii_lowercase().ends_with(&format!(".{}", bare.to_ascii_lowercase()))
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test fails by panicking")]
    use super::*;

    fn read(line: &str, environment: &[(&str, &str)], files: &[&str]) -> Settings {
        let words: Vec<String> = line.split_whitespace().map(str::to_owned).collect();
        let variable = |name: &str| {
            environment.iter().find(|(known, _)| *known == name).map(|(_, value)| (*value).to_owned())
        };
        let exists = |path: &str| files.contains(&path);
        let script = |path: &str| {
            let scripts: &[(&str, &str)] = SCRIPTS;
            scripts.iter().find(|(name, _)| *name == path).map(|(_, text)| (*text).to_owned())
        };
        read_command(&words, &Surroundings { variable: &variable, exists: &exists, script: &script }).unwrap()
    }

    #[test]
    fn curl_is_read_as_curl_reads_itself() {
        let settings = read(
            "curl -sSkE alice.pem:secret --key a.key -H Host:b.test --cacert old.pem --cacert ca.pem -o out --tls-max 1.2 \
             --resolve a.test:443:127.0.0.1 https://a.test/x",
            &[],
            &["alice.pem"],
        );
        assert_eq!(settings.certificate.as_ref().unwrap().1, "alice.pem");
        assert_eq!(settings.passphrase.as_ref().unwrap().expose(), "secret");
        assert!(settings.insecure && settings.host_header.as_deref() == Some("b.test"));
        assert_eq!(settings.trust, [("--cacert".to_owned(), "ca.pem".to_owned())]);
        assert_eq!(settings.url.as_deref(), Some("https://a.test/x"));
        assert_eq!(settings.restrictions(), ["--tls-max 1.2"]);
        assert!(settings.findings.is_empty());
        assert!(!format!("{settings:?}").contains("secret"));
    }

    #[test]
    fn a_colon_in_a_file_name_is_told_and_an_escaped_one_is_not() {
        let split = read("curl --cert alice:2026.pem https://a", &[], &["alice:2026.pem"]);
        assert_eq!(split.findings[0].finding.code, FindingCode::OptionMisread);
        let escaped = read(r"curl --cert alice\:2026.pem https://a", &[], &["alice:2026.pem"]);
        assert_eq!((escaped.findings.len(), escaped.certificate.unwrap().1.as_str()), (0, "alice:2026.pem"));
        let drive = read(r"curl.exe --cert C:\a.pem:pw https://a", &[], &[]);
        assert_eq!(drive.certificate.unwrap().1, r"C:\a.pem");
    }

    #[test]
    fn the_environment_sets_trust_and_proxy_and_no_proxy_takes_it_away() {
        let environment =
            [("CURL_CA_BUNDLE", "env.pem"), ("HTTPS_PROXY", "http://p:3128"), ("NO_PROXY", "b.test,.c.test")];
        let through = read("curl https://a.test", &environment, &[]);
        assert_eq!(through.trust[0], ("CURL_CA_BUNDLE".to_owned(), "env.pem".to_owned()));
        assert_eq!(through.proxy.unwrap().0, "HTTPS_PROXY");
        assert!(read("curl https://b.test", &environment, &[]).proxy.is_none());
        assert!(read("curl https://x.c.test:8443/", &environment, &[]).proxy.is_none());
        assert!(read("curl http://a.test", &environment, &[]).proxy.is_none());
        let own = read("HTTPS_PROXY=http://q curl --cacert ca.pem https://a.test", &environment, &[]);
        assert_eq!(own.proxy.unwrap().1, "http://q");
    }

    #[test]
    fn s_client_wget_and_node_are_read() {
        let s_client = read(
            "openssl s_client -connect 127.0.0.1:8443 -servername a.test -CAfile ca.pem -cert c.pem -key c.key -tls1_2",
            &[],
            &[],
        );
        assert_eq!(s_client.url.as_deref(), Some("127.0.0.1:8443"));
        assert_eq!(s_client.server_name.as_deref(), Some("a.test"));
        assert_eq!(s_client.most_version.as_deref(), Some("1.2"));
        let wget = read("wget --certificate=c.pem --private-key c.key -O - https://a.test", &[], &[]);
        assert_eq!((wget.certificate.unwrap().1.as_str(), wget.key.unwrap().1.as_str()), ("c.pem", "c.key"));
        let node = read("node app.js https://a.test", &[("NODE_EXTRA_CA_CERTS", "ca.pem")], &[]);
        assert_eq!(node.extra_trust[0].1, "ca.pem");
        let gnutls = read("gnutls-cli --x509certfile=c.pem --x509keyfile c.key -p 8443 a.test", &[], &[]);
        assert_eq!(gnutls.url.as_deref(), Some("a.test:8443"));
        assert_eq!(
            (gnutls.certificate.unwrap().1.as_str(), gnutls.key.unwrap().1.as_str()),
            ("c.pem", "c.key")
        );
        let httpie = read("https --cert c.pem --cert-key=c.key --verify ca.pem a.test/x", &[], &[]);
        assert_eq!(httpie.url.as_deref(), Some("https://a.test/x"));
        assert_eq!((httpie.key.unwrap().1.as_str(), httpie.trust[0].1.as_str()), ("c.key", "ca.pem"));
        let grpcurl =
            read("grpcurl -cacert ca.pem -cert c.pem -key c.key -d {} a.test:443 pkg.S/M", &[], &[]);
        assert_eq!((grpcurl.url.as_deref(), grpcurl.key.unwrap().1.as_str()), (Some("a.test:443"), "c.key"));
    }

    /// Clients as people write them.
    const SCRIPTS: &[(&str, &str)] = &[
        (
            "client.js",
            "const https = require('https'), fs = require('fs');\n\
             const options = { host: 'a.test', port: 8443, cert: fs.readFileSync('c.pem'),\n\
               key: fs.readFileSync(\"c.key\"), ca: [fs.readFileSync('ca.pem')], passphrase: 'sesame' };\n\
             https.get(options, response => response.pipe(process.stdout));\n",
        ),
        (
            "client.py",
            "import requests\n\
             r = requests.get('https://a.test:8443/', cert=('c.pem', 'c.key'), verify='ca.pem')\n",
        ),
        (
            "context.py",
            "context = ssl.create_default_context(cafile='ca.pem')\n\
             context.load_cert_chain(certfile='c.pem', keyfile='c.key')\n\
             urllib.request.urlopen('https://a.test:8443/', context=context)\n",
        ),
    ];

    #[test]
    fn a_script_is_read_for_its_files_and_what_it_computes_is_said_to_be_unseen() {
        for command in ["node client.js", "python3 client.py", "python context.py"] {
            let settings = read(command, &[], &[]);
            assert_eq!(
                settings.certificate.as_ref().map(|(_, path)| path.as_str()),
                Some("c.pem"),
                "{command}"
            );
            assert_eq!(settings.key.as_ref().map(|(_, path)| path.as_str()), Some("c.key"), "{command}");
            assert_eq!(settings.trust.first().map(|(_, path)| path.as_str()), Some("ca.pem"), "{command}");
            assert!(settings.url.as_deref().is_some_and(|url| url.contains("a.test:8443")), "{command}");
            assert!(settings.unseen.iter().any(|line| line.contains("computes")), "{command}");
            assert!(!format!("{settings:?}").contains("sesame"));
        }
    }

    #[test]
    fn options_of_runtimes_are_read() {
        let node =
            read("node --tls-max-v1.2 --use-openssl-ca x.js https://a", &[("SSL_CERT_FILE", "s.pem")], &[]);
        assert_eq!((node.most_version.as_deref(), node.trust[0].1.as_str()), (Some("1.2"), "s.pem"));
        let options = read("node x.js https://a", &[("NODE_OPTIONS", "--tls-min-v1.3")], &[]);
        assert_eq!(options.least_version.as_deref(), Some("1.3"));
        let java = read(
            "java -Djavax.net.ssl.keyStore=c.p12 -Djavax.net.ssl.keyStorePassword=sesame \
             -Djdk.tls.client.protocols=TLSv1.2 -jar app.jar https://a.test",
            &[],
            &[],
        );
        assert_eq!((java.program, java.encoding), (Program::Java, Encoding::Pkcs12));
        assert_eq!(java.certificate.as_ref().unwrap().1, "c.p12");
        assert_eq!(java.passphrase.as_ref().unwrap().expose(), "sesame");
        assert_eq!(java.most_version.as_deref(), Some("1.2"));
        let one_line = read_command(
            &["python3", "-c", "import requests; requests.get('https://a', cert=('c.pem', 'c.key'))"]
                .map(str::to_owned),
            &Surroundings { variable: &|_| None, exists: &|_| true, script: &|_| None },
        );
        assert_eq!(one_line.unwrap().key.unwrap().1, "c.key");
    }
}
