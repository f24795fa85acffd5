//! The files on this side, before any connection: what each is, whether the program reads it, whether they belong
//! together. Bytes come in; who reads files is the caller.

use jiff::Timestamp;
use pki::Certificate;
use pki::crl::CertificateRevocationList;
use pki::pem::{self, PemError};

use super::facts::{LocalFinding, Neighbour, NeighbourContent, OwnSide};
use super::{Program, name, shell};
use crate::finding::{Fault, Finding, FindingCode};
use crate::inspect::inspect;
use crate::key::KeyDescription;
use crate::model::{Content, Inspection};

/// What a file was named as.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// The client's certificate with its chain.
    Certificate,
    /// Its private key.
    Key,
    /// What is believed.
    Trust,
    /// A revocation list.
    RevocationList,
}

/// Why a file was not read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Unread {
    /// It is not there.
    Missing,
    /// This user may not read it; whose it is and its mode.
    Denied(String),
    /// It is a directory: how many certificates stand in it, and how many names that OpenSSL finds.
    Directory {
        /// Files that hold certificates.
        certificates: usize,
        /// Names of the form `1a2b3c4d.0`.
        hashed: usize,
    },
    /// It is no file: a key in a token or behind a signer, which others open.
    Elsewhere,
    /// Something else.
    Other(String),
}

/// A file that the user named.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NamedFile {
    /// What as.
    pub role: Role,
    /// The option or variable it was named with, such as `--cacert`.
    pub option: String,
    /// Its name as it was written.
    pub name: String,
    /// Its bytes. Those of a key stay here and are never part of a finding.
    pub bytes: Result<Vec<u8>, Unread>,
}

/// What became of the private key when it was opened with the passphrase at hand, by whoever can.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Opened {
    /// Nobody tried.
    #[default]
    NotTried,
    /// It is open: the SubjectPublicKeyInfo of its public half.
    Public(Vec<u8>),
    /// It is encrypted, and there is no passphrase.
    NeedsPassphrase,
    /// The passphrase is the wrong one.
    WrongPassphrase,
    /// It cannot be used here; why.
    Unsupported(String),
}

/// How the certificate is said to be encoded.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Encoding {
    /// PEM, as programs assume.
    #[default]
    Pem,
    /// DER.
    Der,
    /// PKCS#12.
    Pkcs12,
    /// Whatever the file turns out to be.
    Any,
}

/// The client's files and settings as they were given.
#[derive(Debug, Clone, Default)]
pub struct Given {
    /// The program that is to read them.
    pub program: Program,
    /// The certificate.
    pub certificate: Option<NamedFile>,
    /// How it is said to be encoded.
    pub encoding: Encoding,
    /// The key.
    pub key: Option<NamedFile>,
    /// What became of the key.
    pub opened: Opened,
    /// The certificates of a PKCS#12 that was opened, in DER, the key's own first.
    pub container: Option<Vec<Vec<u8>>>,
    /// What is believed.
    pub trust: Vec<NamedFile>,
    /// Revocation lists.
    pub crls: Vec<NamedFile>,
    /// What lies beside them.
    pub neighbours: Vec<Neighbour>,
}

/// Judges the files. What can be used is in the result, what is wrong is in its findings.
///
/// ```
/// use explain::doctor::{Given, read_own_side};
/// let own = read_own_side(&Given::default(), "2026-06-15T12:00:00Z".parse()?);
/// assert!(own.findings.is_empty() && own.chain.is_empty());
/// # Ok::<(), jiff::Error>(())
/// ```
#[must_use]
pub fn read_own_side(given: &Given, at: Timestamp) -> OwnSide {
    let mut reader = Reader { given, at, own: OwnSide::default() };
    reader.own.certificate_file = given.certificate.as_ref().map(|file| file.name.clone());
    reader.own.key_file = given.key.as_ref().map(|file| file.name.clone());
    let swapped = reader.swapped();
    if !swapped {
        reader.certificate();
        reader.key();
    }
    for file in &given.trust {
        reader.trust(file);
    }
    for file in &given.crls {
        if let Some(bytes) = reader.bytes(file) {
            let inspection = inspect(bytes, &file.name, at);
            reader.own.crls.extend(revocation_lists(&inspection));
        }
    }
    reader.own
}

struct Reader<'a> {
    given: &'a Given,
    at: Timestamp,
    own: OwnSide,
}

impl<'a> Reader<'a> {
    fn blocks(&mut self, finding: Finding) {
        self.own.findings.push(LocalFinding { blocks: true, finding: finding.certain() });
    }

    fn warns(&mut self, finding: Finding) {
        self.own.findings.push(LocalFinding { blocks: false, finding: finding.certain() });
    }

    /// What curl is called with once a file is made. Other programs are told what to use in a way of their own.
    fn then(&self, options: &str) -> String {
        match self.given.program {
            Program::Curl => format!(" && curl {options} …"),
            _ => String::new(),
        }
    }

    /// The bytes of a file, or the finding that there are none.
    fn bytes(&mut self, file: &'a NamedFile) -> Option<&'a [u8]> {
        let problem = match &file.bytes {
            Ok(bytes) => return Some(bytes),
            Err(problem) => problem,
        };
        let (option, path) = (&file.option, &file.name);
        let finding = match problem {
            // What is known of it is in `opened`.
            Unread::Elsewhere => return None,
            Unread::Missing => {
                let stem = path.rsplit('/').next().unwrap_or(path).to_owned();
                let near = self.given.neighbours.iter().find(|n| n.file.ends_with(&stem)).map(|n| n.file.clone());
                let finding = Finding::new(
                    FindingCode::FileMissing,
                    Fault::Client,
                    format!("{option} names {path}, and there is no such file"),
                )
                .evidence(format!("{path}: no such file or directory"))
                .remedy("correct the path; relative paths count from where the program is started");
                let directory = path.rsplit_once('/').map_or(".", |(directory, _)| directory);
                match near {
                    Some(near) => finding.fix(Fault::Client, format!("{option} {}", shell(&near))),
                    None => finding.fix(Fault::Client, format!("ls -l {}", shell(directory))),
                }
            }
            Unread::Denied(facts) => Finding::new(
                FindingCode::FileUnreadable,
                Fault::Client,
                format!("{option} names {path}, which this user may not read; curl takes that for a wrong pass phrase"),
            )
            .evidence(facts.clone())
            .fix(Fault::Client, format!("sudo chown \"$(id -un)\" {0} && chmod 600 {0}", shell(path)))
            .remedy("let the user of the process read it, and nobody else"),
            Unread::Directory { certificates, hashed } if file.role == Role::Trust => {
                if *hashed > 0 || *certificates == 0 {
                    return None;
                }
                Finding::new(
                    FindingCode::TrustDirectoryNotHashed,
                    Fault::Client,
                    format!(
                        "the trust directory {path} is empty to OpenSSL: it looks for names made of hashes, such as \
                         1a2b3c4d.0, and there are none"
                    ),
                )
                .evidence(format!("{certificates} file(s) with certificates, 0 with hashed names"))
                .fix(Fault::Client, format!("openssl rehash {}", shell(path)))
                .alternative(Fault::Client, format!("cat {}/*.pem > bundle.pem  # and --cacert bundle.pem", shell(path)))
            }
            Unread::Directory { .. } => Finding::new(
                FindingCode::ConfigurationUnusable,
                Fault::Client,
                format!("{option} names {path}, which is a directory"),
            )
            .fix(Fault::Client, format!("ls -l {}", shell(path))),
            Unread::Other(text) => Finding::new(
                FindingCode::ConfigurationUnusable,
                Fault::Client,
                format!("{option} names {path}, which cannot be read: {text}"),
            ),
        };
        if file.role == Role::Trust
            && self.given.program == Program::Node
            && file.option == "NODE_EXTRA_CA_CERTS"
        {
            // Node.js says one line of warning and goes on without it.
            let finding = finding.evidence("Node.js only warns at its start and goes on without these CAs");
            self.blocks(finding);
        } else {
            self.blocks(finding);
        }
        None
    }

    /// Certificate and key given in each other's place.
    fn swapped(&mut self) -> bool {
        let (Some(certificate), Some(key)) = (&self.given.certificate, &self.given.key) else { return false };
        let (Ok(first), Ok(second)) = (&certificate.bytes, &key.bytes) else { return false };
        let (first, second) =
            (inspect(first, &certificate.name, self.at), inspect(second, &key.name, self.at));
        let is_swapped = certificates(&first).is_empty()
            && private_key(&first).is_some()
            && private_key(&second).is_none()
            && !certificates(&second).is_empty();
        if !is_swapped {
            return false;
        }
        let command = format!("curl --cert {} --key {} …", shell(&key.name), shell(&certificate.name));
        self.blocks(
            Finding::new(
                FindingCode::FilesSwapped,
                Fault::Client,
                format!(
                    "{} was given as the certificate and {} as the key: they are the other way round",
                    certificate.name, key.name
                ),
            )
            .evidence(format!("{} holds a private key and no certificate", certificate.name))
            .evidence(format!("{} holds a certificate and no private key", key.name))
            .fix(Fault::Client, command),
        );
        true
    }

    fn certificate(&mut self) {
        let Some(file) = &self.given.certificate else { return };
        if let Some(container) = &self.given.container {
            self.own.chain = container.iter().filter_map(|der| Certificate::from_der(der).ok()).collect();
            self.own.chain = in_order(std::mem::take(&mut self.own.chain));
        }
        let Some(bytes) = self.bytes(file) else { return };
        let inspection = inspect(bytes, &file.name, self.at);
        if let Some(Content::Pkcs12(container)) =
            inspection.items.iter().map(|item| &item.content).find(|c| matches!(c, Content::Pkcs12(_)))
        {
            let encryptions = container.parts.iter().flat_map(|part| {
                part.encryption.iter().chain(part.bags.iter().filter_map(|bag| bag.encryption.as_ref()))
            });
            let mut all: Vec<String> = encryptions.map(|e| e.text()).collect();
            all.dedup();
            self.pkcs12(file, &all);
            return;
        }
        if self.damaged(file, bytes) {
            return;
        }
        let chain = certificates(&inspection);
        let Some(first) = chain.first() else {
            self.no_certificate(file, &inspection);
            return;
        };
        let is_pem = pem::looks_like_pem(bytes);
        let converted = shell(&format!("{}.pem", file.name.trim_end_matches(".der")));
        if !is_pem && self.given.encoding == Encoding::Pem {
            self.blocks(
                Finding::new(
                    FindingCode::EncodingMismatch,
                    Fault::Client,
                    format!(
                        "{} is DER (binary), and {} reads PEM there: it finds no start line",
                        file.name,
                        self.given.program.title()
                    ),
                )
                .evidence(format!(
                    "it begins with the bytes {}, a DER sequence",
                    pki::hex(&bytes[..bytes.len().min(4)])
                ))
                .fix(
                    Fault::Client,
                    format!(
                        "openssl x509 -inform DER -in {} -out {converted}{}",
                        shell(&file.name),
                        self.then(&format!("--cert {converted}"))
                    ),
                )
                .alternative(Fault::Client, format!("curl --cert-type DER --cert {} …", shell(&file.name))),
            );
        }
        if self.given.program.is_openssl()
            && chain.iter().any(|c| c.signature_algorithm().is_none())
            && first.public_key().is_ok()
        {
            let weak = chain.iter().find(|c| c.signature_algorithm().is_none() && !c.is_self_issued());
            if let Some(weak) = weak {
                self.blocks(
                    Finding::new(
                        FindingCode::WeakSignature,
                        Fault::Issuer,
                        format!(
                            "{} does not even load {}: it is signed with {}, which is broken (\"ca md too weak\")",
                            self.given.program.title(),
                            name(weak),
                            weak.signature_algorithm_oid().map_or_else(|| "an unknown algorithm".to_owned(), |oid| oid.to_string())
                        ),
                    )
                    .evidence(format!("in {}", file.name))
                    .fix(Fault::Issuer, format!("countersign issue client {}", shell(&first.short_name())))
                    .remedy("issue it again with SHA-256"),
                );
            }
        }
        self.own.chain = chain;
    }

    fn pkcs12(&mut self, file: &NamedFile, encryptions: &[String]) {
        let legacy: Vec<&String> = encryptions
            .iter()
            .filter(|text| {
                let lower = text.to_lowercase();
                lower.contains("rc2") || lower.contains("rc4")
            })
            .collect();
        if let Some(first) = legacy.first() {
            // In its own place, so that whatever names it goes on; the old one stays beside.
            let (whole, old) = (shell(&file.name), shell(&format!("{}.old", file.name)));
            self.blocks(
                Finding::new(
                    FindingCode::Pkcs12LegacyEncryption,
                    Fault::Client,
                    format!(
                        "{} is encrypted with {first}, as old tools do; OpenSSL 3, and with it curl, Node.js and Python, no \
                         longer reads that. The password is not at fault",
                        file.name
                    ),
                )
                .evidence(format!("in the container: {}", encryptions.join("; ")))
                .fix(
                    Fault::Client,
                    format!(
                        "mv {whole} {old} && openssl pkcs12 -legacy -in {old} -nodes -out all.pem && \
                         openssl pkcs12 -export -in all.pem -out {whole} && rm all.pem",
                    ),
                )
                .remedy("encrypt it again with current algorithms"),
            );
            return;
        }
        if self.given.encoding == Encoding::Pem {
            self.blocks(
                Finding::new(
                    FindingCode::EncodingMismatch,
                    Fault::Client,
                    format!(
                        "{} is a PKCS#12, and {} reads PEM there unless it is told",
                        file.name,
                        self.given.program.title()
                    ),
                )
                .evidence("it is a DER structure of RFC 7292, with certificate and key in it")
                .fix(Fault::Client, format!("curl --cert-type P12 --cert {} …", shell(&file.name))),
            );
        }
        match &self.given.opened {
            Opened::NeedsPassphrase => self.passphrase_missing(&file.name),
            Opened::WrongPassphrase => self.passphrase_wrong(&file.name),
            Opened::Unsupported(why) => {
                let finding = Finding::new(
                    FindingCode::ConfigurationUnusable,
                    Fault::Client,
                    format!("{} cannot be opened here: {why}", file.name),
                );
                self.warns(finding);
            }
            Opened::Public(_) | Opened::NotTried => self.own.can_sign = !self.own.chain.is_empty(),
        }
    }

    /// Damage that OpenSSL does not read past.
    fn damaged(&mut self, file: &NamedFile, bytes: &[u8]) -> bool {
        let is_pem_like = pem::looks_like_pem(bytes) || bytes.windows(8).any(|w| w == b"--BEGIN ");
        if !is_pem_like {
            return false;
        }
        let Err(error) = pem::read(bytes) else { return false };
        if matches!(error, PemError::ByteOrderMark) {
            // OpenSSL 3 reads past it, others do not.
            self.warns(
                Finding::new(
                    FindingCode::PemDamaged,
                    Fault::Client,
                    format!("{} starts with a byte order mark", file.name),
                )
                .evidence(error.to_string())
                .fix(Fault::Client, format!("sed -i '1s/^\\xef\\xbb\\xbf//' {}", shell(&file.name))),
            );
            return false;
        }
        let holds_key = bytes.windows(12).any(|w| w == b"PRIVATE KEY-");
        let repairable = pem::repair(bytes).is_some() && !holds_key;
        let finding = Finding::new(
            FindingCode::PemDamaged,
            Fault::Client,
            format!("the PEM in {} was damaged on its way, and programs do not read it", file.name),
        )
        .evidence(crate::escape::text(&error.to_string()))
        .evidence(match file.role {
            Role::Trust => "Node.js ignores such a file without a word and then distrusts the server; curl says only (77)",
            _ => "programs speak of a missing start line",
        })
        .remedy("one marker a line, real line ends, no byte order mark");
        let finding = if repairable {
            // The damaged file stays under another name. `inspect` says by its exit code that there was damage.
            let (whole, damaged) = (shell(&file.name), shell(&format!("{}.damaged", file.name)));
            finding.fix(
                Fault::Client,
                format!("mv {whole} {damaged} && countersign inspect --pem {damaged} > {whole}"),
            )
        } else if matches!(error, PemError::LiteralNewlines { .. }) {
            finding.fix(
                Fault::Client,
                format!("(umask 077; printf '%b' \"$(cat {})\" > repaired.pem)", shell(&file.name)),
            )
        } else {
            finding.fix(Fault::Client, format!("copy {} again from where it was made", shell(&file.name)))
        };
        self.blocks(finding);
        true
    }

    fn no_certificate(&mut self, file: &NamedFile, inspection: &Inspection) {
        let found: Vec<&str> = inspection.items.iter().map(|item| item.content.kind()).collect();
        let what = if found.is_empty() {
            inspection
                .problems
                .first()
                .map_or_else(|| "nothing known".to_owned(), |problem| problem.message.clone())
        } else {
            found.join(", ").replace('_', " ")
        };
        self.blocks(
            Finding::new(
                FindingCode::ConfigurationUnusable,
                Fault::Client,
                format!("{} was given with {} and holds no certificate: {what}", file.name, file.option),
            )
            .evidence(format!("found in it: {what}"))
            .fix(Fault::Client, format!("countersign inspect {}", shell(&file.name))),
        );
    }

    fn passphrase_missing(&mut self, path: &str) {
        self.blocks(
            Finding::new(
                FindingCode::PassphraseMissing,
                Fault::Client,
                format!("the private key in {path} is encrypted, and no passphrase was given"),
            )
            .evidence("curl and nginx wait for a prompt nobody sees, Node.js says \"bad decrypt\", Python \"PEM lib\"")
            .fix(Fault::Client, "countersign doctor … --passphrase-file prompt")
            .alternative(Fault::Client, format!("(umask 077; openssl pkey -in {} -out client-key-open.pem)", shell(path)))
            .remedy("give the passphrase (curl --pass), or store the key unencrypted with mode 0600"),
        );
    }

    fn passphrase_wrong(&mut self, path: &str) {
        self.blocks(
            Finding::new(
                FindingCode::PassphraseWrong,
                Fault::Client,
                format!("the passphrase that was given does not open {path}"),
            )
            .evidence("what was decrypted with it is no private key")
            .fix(
                Fault::Client,
                format!("openssl pkey -in {} -noout  # asks for the passphrase", shell(path)),
            ),
        );
    }

    fn key(&mut self) {
        let Some(certificate) = &self.given.certificate else { return };
        if self.given.container.is_some() {
            self.own.can_sign = !self.own.chain.is_empty() && matches!(self.given.opened, Opened::Public(_));
            return;
        }
        let is_container = self.own.findings.iter().any(|local| {
            matches!(local.finding.code, FindingCode::Pkcs12LegacyEncryption | FindingCode::EncodingMismatch)
                && self.own.chain.is_empty()
        });
        if is_container || (self.own.chain.is_empty() && certificate.bytes.is_err()) {
            return;
        }
        // A key may stand in the certificate's own file.
        let file = self.given.key.as_ref().unwrap_or(certificate);
        if file.bytes == Err(Unread::Elsewhere) {
            match &self.given.opened {
                Opened::Public(public) => self.match_key(file, public),
                Opened::Unsupported(why) => {
                    let text = format!("the key that {} names cannot be used: {why}", file.option);
                    let finding = Finding::new(FindingCode::ConfigurationUnusable, Fault::Client, text)
                        .evidence(format!("{} {}", file.option, crate::escape::text(&file.name)))
                        .fix(Fault::Client, format!("countersign key public {}", shell(&file.name)));
                    self.blocks(finding);
                }
                Opened::NotTried | Opened::NeedsPassphrase | Opened::WrongPassphrase => {}
            }
            return;
        }
        let Some(bytes) = self.bytes(file) else { return };
        if self.given.key.is_some() && self.damaged(file, bytes) {
            return;
        }
        let inspection = inspect(bytes, &file.name, self.at);
        let Some(key) = private_key(&inspection) else {
            if self.own.chain.is_empty() {
                return;
            }
            self.key_missing(file);
            return;
        };
        let public = match &self.given.opened {
            Opened::Public(spki) => Some(spki.clone()),
            Opened::NeedsPassphrase => {
                self.passphrase_missing(&file.name);
                return;
            }
            Opened::WrongPassphrase => {
                self.passphrase_wrong(&file.name);
                return;
            }
            Opened::Unsupported(why) => {
                let finding = Finding::new(
                    FindingCode::KeyKindUnsupported,
                    Fault::Client,
                    format!("the private key in {} is of no use for TLS: {why}", file.name),
                )
                .evidence(key_text(key))
                .fix(Fault::Client, "openssl ecparam -name prime256v1 -genkey -noout -out client-key.pem");
                self.blocks(finding);
                return;
            }
            Opened::NotTried if key.encryption.is_some() => {
                self.passphrase_missing(&file.name);
                return;
            }
            Opened::NotTried => key.public_key.as_ref().map(|public| public.spki.clone()),
        };
        if self.given.program == Program::Java && key.format != "PKCS#8" {
            let finding = Finding::new(
                FindingCode::KeyFormatUnsupported,
                Fault::Client,
                format!(
                    "{} is a {} key, and Java reads PKCS#8 (or a PKCS#12 with key and certificate)",
                    file.name, key.format
                ),
            )
            .evidence(key_text(key))
            .fix(
                Fault::Client,
                format!(
                    "(umask 077; openssl pkcs8 -topk8 -nocrypt -in {} -out client-key.p8)",
                    shell(&file.name)
                ),
            );
            self.blocks(finding);
        }
        let Some(public) = public else { return };
        self.match_key(file, &public);
    }

    fn key_missing(&mut self, file: &NamedFile) {
        let leaf =
            self.own.chain.first().and_then(|leaf| leaf.public_key().ok()).map(|key| key.spki_der().to_vec());
        let near = leaf.and_then(|spki| key_beside(&self.given.neighbours, &spki));
        let certificate = self.given.certificate.as_ref().map_or("client.pem", |f| f.name.as_str());
        let key = near.unwrap_or_else(|| "client-key.pem".to_owned());
        let text = match &self.given.key {
            Some(_) => format!("{} was given as the key and holds none", file.name),
            None => format!("{} was given without its private key, so the client cannot send it", file.name),
        };
        self.blocks(
            Finding::new(FindingCode::PrivateKeyMissing, Fault::Client, text)
                .evidence(format!("{} holds no private key", file.name))
                .evidence("curl stops before it connects; Node.js and Java send an empty Certificate instead and report the server's refusal")
                .fix(Fault::Client, format!("curl --cert {} --key {} …", shell(certificate), shell(&key)))
                .remedy("add the key; in a Java keystore the entry must be a PrivateKeyEntry, from a PKCS#12"),
        );
    }

    fn match_key(&mut self, file: &NamedFile, public: &[u8]) {
        let owns = |c: &Certificate| c.public_key().is_ok_and(|key| key.spki_der() == public);
        let Some(leaf) = self.own.chain.first() else { return };
        if owns(leaf) {
            self.own.can_sign = true;
            return;
        }
        let digits = |spki: &[u8]| pki::hex(&pki::sha256(spki)[..8]);
        let leaf_spki = leaf.public_key().map(|key| key.spki_der().to_vec()).unwrap_or_default();
        let certificate = self.given.certificate.as_ref().map_or("client.pem", |f| f.name.as_str());
        if let Some(position) = self.own.chain.iter().position(owns) {
            let leaf_name = name(&self.own.chain[position]);
            self.blocks(
                Finding::new(
                    FindingCode::ChainOrder,
                    Fault::Client,
                    format!(
                        "{certificate} starts with {}, which is not the leaf: {leaf_name}, whose key this is, is number {} in it. \
                         Programs call that a mismatch of key values",
                        name(leaf),
                        position + 1
                    ),
                )
                .evidence(format!("the key in {} belongs to certificate {} of the file", file.name, position + 1))
                .fix(Fault::Client, "cat client.pem intermediate.pem > client-full.pem")
                .remedy("put the leaf first"),
            );
            self.own.chain.swap(0, position);
            self.own.chain = in_order(std::mem::take(&mut self.own.chain));
            return;
        }
        let right_key = key_beside(&self.given.neighbours, &leaf_spki);
        let finding = Finding::new(
            FindingCode::KeyMismatch,
            Fault::Client,
            format!("the private key in {} does not belong to the certificate {} in {certificate}: they were not made together", file.name, name(leaf)),
        )
        .evidence(format!("the certificate's key (SHA-256): {}", digits(&leaf_spki)))
        .evidence(format!("the private key's public half: {}", digits(public)))
        .remedy("use the certificate and the key that were made together; after a renewal both files must be replaced");
        self.blocks(match right_key {
            Some(key) => finding
                .evidence(format!("{key} holds the key of this certificate"))
                .fix(Fault::Client, format!("curl --cert {} --key {} …", shell(certificate), shell(&key))),
            None => finding
                .fix(Fault::Client, format!("countersign doctor files {} *", shell(certificate)))
                .alternative(
                    Fault::Issuer,
                    format!("countersign issue client {}", shell(&leaf.short_name())),
                ),
        });
    }

    fn trust(&mut self, file: &'a NamedFile) {
        if let Err(Unread::Directory { .. }) = &file.bytes {
            self.bytes(file);
            return;
        }
        let Some(bytes) = self.bytes(file) else { return };
        self.own.anchor_files.push(file.name.clone());
        let inspection = inspect(bytes, &file.name, self.at);
        let is_damaged = self.damaged(file, bytes);
        let found = certificates(&inspection);
        if found.is_empty() && !is_damaged {
            self.no_certificate(file, &inspection);
            return;
        }
        if !pem::looks_like_pem(bytes) && !is_damaged {
            self.blocks(
                Finding::new(
                    FindingCode::EncodingMismatch,
                    Fault::Client,
                    format!("the CA file {} is DER (binary), and programs read PEM there; Node.js ignores it without a word", file.name),
                )
                .evidence(format!("given with {}", file.option))
                .fix(Fault::Client, {
                    let converted = shell(&format!("{}.pem", file.name.trim_end_matches(".der")));
                    let then = self.then(&format!("--cacert {converted}"));
                    format!("openssl x509 -inform DER -in {} -out {converted}{then}", shell(&file.name))
                }),
            );
        }
        self.own.anchors.extend(found);
    }
}

fn key_text(key: &KeyDescription) -> String {
    let public = key.public_key.as_ref().map(|public| public.text());
    format!("{} key{}", key.format, public.map_or(String::new(), |text| format!(", {text}")))
}

/// The certificates of an inspected file that path validation can read, in their order.
pub(super) fn certificates(inspection: &Inspection) -> Vec<Certificate> {
    inspection
        .items
        .iter()
        .filter_map(|item| {
            item.certificate().and_then(|description| description.strict.as_ref().ok()).cloned()
        })
        .collect()
}

/// The revocation lists of an inspected file.
fn revocation_lists(inspection: &Inspection) -> Vec<CertificateRevocationList> {
    let lists = inspection.items.iter().filter(|item| matches!(item.content, Content::RevocationList(_)));
    lists.filter_map(|item| CertificateRevocationList::from_der(&item.der).ok()).collect()
}

/// The first private key of an inspected file.
pub(super) fn private_key(inspection: &Inspection) -> Option<&KeyDescription> {
    inspection.items.iter().find_map(|item| match &item.content {
        Content::Key(key) if key.is_private => Some(&**key),
        _ => None,
    })
}

fn key_beside(neighbours: &[Neighbour], spki: &[u8]) -> Option<String> {
    neighbours.iter().find_map(|neighbour| match &neighbour.content {
        NeighbourContent::Key(public) if public == spki => Some(neighbour.file.clone()),
        _ => None,
    })
}

/// The leaf, then each issuer of the one before, then what is left.
fn in_order(mut rest: Vec<Certificate>) -> Vec<Certificate> {
    if rest.is_empty() {
        return rest;
    }
    let mut chain = vec![rest.remove(0)];
    while let Some(position) = rest.iter().position(|c| c.subject().matches(chain[chain.len() - 1].issuer()))
    {
        chain.push(rest.remove(position));
    }
    chain.extend(rest);
    chain
}

/// What a file beside the named ones holds, where that can help.
#[must_use]
pub fn neighbour(file: &str, bytes: &[u8], at: Timestamp) -> Option<Neighbour> {
    let inspection = inspect(bytes, file, at);
    let found = certificates(&inspection);
    if !found.is_empty() {
        return Some(Neighbour { file: file.to_owned(), content: NeighbourContent::Certificates(found) });
    }
    let lists: Vec<CertificateRevocationList> = revocation_lists(&inspection);
    if !lists.is_empty() {
        return Some(Neighbour { file: file.to_owned(), content: NeighbourContent::RevocationLists(lists) });
    }
    let key = private_key(&inspection)?.public_key.as_ref()?;
    Some(Neighbour { file: file.to_owned(), content: NeighbourContent::Key(key.spki.clone()) })
}
