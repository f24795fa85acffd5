//! `countersign key convert`, `encrypt` and `decrypt`.

use std::path::{Path, PathBuf};

use clap::{Args, ValueEnum};
use keys::pkcs12::{Target, write_pkcs12, write_trust_store};
use keys::{Passphrase, PrivateKey, encrypted, jwk};
use pki::key::{KeyAlgorithm, SigningKey as _};
use pki::{Certificate, pem};
use zeroize::Zeroizing;

use super::material::{self, Material, NamedCertificate, NamedKey};
use super::output;
use crate::context::Context;
use crate::failure::{Exit, Failure, OrFail as _, Outcome};
use crate::{input, passphrase};

/// A form of private keys.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Form {
    /// PKCS#8: what everything reads
    Pkcs8,
    /// PKCS#1, RSA alone: what old programs read
    Pkcs1,
    /// SEC 1, elliptic curves alone: what old programs read
    Sec1,
    /// PKCS#12: key and certificates under a password; of certificates alone, a trust store
    Pkcs12,
    /// JSON Web Key
    Jwk,
}

/// The key derivation of an encrypted key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Kdf {
    /// PBKDF2-HMAC-SHA-256 with 600,000 iterations: OpenSSL, Node.js, Java and Go read it
    Pbkdf2,
    /// scrypt with 16 MiB: a guess costs memory too; OpenSSL and Node.js read it
    Scrypt,
}

/// Where a key comes from.
#[derive(Debug, Args)]
struct Source {
    /// The file: PEM, DER, PKCS#12 or JWK; - for standard input
    #[arg(value_name = "FILE")]
    file: PathBuf,

    /// The passphrase of the file: in the first line of a file, or fd:N, credential:NAME, prompt
    #[arg(long, value_name = "SOURCE")]
    passphrase_file: Option<PathBuf>,

    /// The key of this name, where the file holds several
    #[arg(long, value_name = "NAME")]
    alias: Option<String>,
}

impl Source {
    fn material(&self, context: &Context) -> Result<Material, Failure> {
        let given = self.passphrase_file.as_deref();
        let passphrase = given.map(|source| passphrase::read(context, source, "Passphrase of the file"));
        material::read(context, &self.file, passphrase.transpose()?.as_ref())
    }

    fn key(&self, context: &Context) -> Result<(NamedKey, Vec<NamedCertificate>), Failure> {
        self.material(context)?.one_key(&self.file, self.alias.as_deref())
    }
}

/// Where a key goes.
#[derive(Debug, Args)]
struct Destination {
    /// The file, which gets mode 0600; - for a pipe
    #[arg(long, value_name = "FILE")]
    out: PathBuf,

    /// Replace the file if it is there
    #[arg(long)]
    force: bool,
}

impl Destination {
    fn write(&self, context: &Context, bytes: &[u8]) -> Result<(), Failure> {
        output::secret(context, &self.out, bytes, self.force)
    }
}

/// Write a key in another form: PKCS#8, PKCS#1, SEC 1, PKCS#12 or JWK, as PEM or DER
#[derive(Debug, Args)]
pub(crate) struct Convert {
    #[command(flatten)]
    source: Source,

    /// The form to write
    #[arg(long, value_name = "FORM", value_enum, default_value_t = Form::Pkcs8)]
    to: Form,

    /// DER instead of PEM
    #[arg(long)]
    der: bool,

    /// The key's certificate and its issuers, for PKCS#12 [default: those in FILE]
    #[arg(long, value_name = "FILE")]
    cert: Option<PathBuf>,

    /// What shall read the PKCS#12: modern, apple, windows, java, android or legacy
    #[arg(long, value_name = "TARGET", default_value_t)]
    target: Target,

    /// The name that people see in the PKCS#12 [default: the one it had, else the certificate's]
    #[arg(long, value_name = "NAME")]
    name: Option<String>,

    /// Encrypt under this passphrase: in the first line of a file, or fd:N, credential:NAME, prompt
    #[arg(long, value_name = "SOURCE")]
    new_passphrase_file: Option<PathBuf>,

    /// Write the certificates of FILE here as well, the key's own first
    #[arg(long, value_name = "FILE")]
    certs: Option<PathBuf>,

    #[command(flatten)]
    destination: Destination,
}

impl Convert {
    pub(crate) fn run(self, context: &Context) -> Outcome {
        let material = self.source.material(context)?;
        if material.keys.is_empty() && self.to == Form::Pkcs12 && !material.certificates.is_empty() {
            return self.trust_store(context, &material.certificates);
        }
        let (entry, mut certificates) = material.one_key(&self.source.file, self.source.alias.as_deref())?;
        if let Some(path) = &self.cert {
            let given = input::certificates(path)?;
            certificates =
                given.into_iter().map(|certificate| NamedCertificate { certificate, name: None }).collect();
        }
        let chain = material::chain_of(&entry.key, &certificates);
        let bytes = match self.to {
            Form::Pkcs12 => self.pkcs12(context, &entry, &chain)?,
            form => self.key(context, &entry.key, form)?,
        };
        if let Some(path) = &self.certs {
            if chain.is_empty() {
                return Err(Failure::usage(format!(
                    "{} holds no certificate of the key, and nothing was written",
                    self.source.file.display()
                )));
            }
            let text: String = chain.iter().map(Certificate::to_pem).collect();
            output::public(context, Some(path), text.as_bytes(), self.destination.force)?;
        }
        self.destination.write(context, &bytes)?;
        Ok(Exit::Done)
    }

    fn key(&self, context: &Context, key: &PrivateKey, form: Form) -> Result<Zeroizing<Vec<u8>>, Failure> {
        let kind = key.public_key().algorithm();
        if let Some(source) = &self.new_passphrase_file {
            if form != Form::Pkcs8 {
                return Err(Failure::usage("of these forms only PKCS#8 and PKCS#12 can be encrypted")
                    .hint("countersign key convert … --to pkcs8 --new-passphrase-file SOURCE"));
            }
            let passphrase = passphrase::read_new(context, source, "New passphrase")?;
            return encrypt(key, &passphrase, Kdf::Pbkdf2, self.der);
        }
        let (der, label) = match form {
            Form::Pkcs8 => (Zeroizing::new(key.to_pkcs8_der().to_vec()), "PRIVATE KEY"),
            Form::Pkcs1 => {
                (key.to_pkcs1_der().ok_or_else(|| no_form("PKCS#1", "RSA", kind))?, "RSA PRIVATE KEY")
            }
            Form::Sec1 => {
                (key.to_sec1_der().ok_or_else(|| no_form("SEC 1", "elliptic-curve", kind))?, "EC PRIVATE KEY")
            }
            Form::Jwk | Form::Pkcs12 => {
                let text = jwk::private(key).ok_or_else(|| {
                    Failure::refused(format!(
                        "the {kind} key came without its seed, which is what a JWK holds"
                    ))
                    .hint("countersign key convert … --to pkcs8")
                })?;
                return Ok(Zeroizing::new(text.as_bytes().to_vec()));
            }
        };
        Ok(encoded(der, label, self.der))
    }

    fn pkcs12(
        &self,
        context: &Context,
        entry: &NamedKey,
        chain: &[Certificate],
    ) -> Result<Zeroizing<Vec<u8>>, Failure> {
        let leaf = chain.first().ok_or_else(|| {
            Failure::usage("a PKCS#12 file needs the key's certificate, and none that fits the key was given")
                .hint("--cert FILE, the key's certificate first")
        })?;
        let own = leaf.short_name();
        let name = self.name.as_deref().or(entry.name.as_deref()).unwrap_or(&own);
        let passphrase = self.password(context)?;
        let ders: Vec<&[u8]> = chain.iter().map(Certificate::der).collect();
        let file = write_pkcs12(&entry.key, &ders, name, &passphrase, self.target).or_usage()?;
        advise(context, entry.key.public_key().algorithm(), &passphrase, self.target);
        Ok(Zeroizing::new(file))
    }

    fn trust_store(&self, context: &Context, certificates: &[NamedCertificate]) -> Outcome {
        let passphrase = self.password(context)?;
        // Two of the same name would be one in Java.
        let mut names: Vec<String> = Vec::new();
        for entry in certificates {
            let own = entry.certificate.short_name();
            let wanted = self.name.as_deref().or(entry.name.as_deref()).unwrap_or(&own);
            let taken = |name: &str| names.iter().any(|known| known.eq_ignore_ascii_case(name));
            let name = std::iter::once(wanted.to_owned())
                .chain((2..).map(|number| format!("{wanted} {number}")))
                .find(|name| !taken(name));
            names.push(name.unwrap_or_default());
        }
        let all: Vec<(&[u8], &str)> = certificates
            .iter()
            .zip(&names)
            .map(|(entry, name)| (entry.certificate.der(), name.as_str()))
            .collect();
        let file = write_trust_store(&all, &passphrase, self.target).or_usage()?;
        advise(context, KeyAlgorithm::P256, &passphrase, self.target);
        self.destination.write(context, &file)?;
        Ok(Exit::Done)
    }

    fn password(&self, context: &Context) -> Result<Passphrase, Failure> {
        let source = self.new_passphrase_file.as_deref().ok_or_else(|| {
            Failure::usage("a PKCS#12 file has a password, and none was given")
                .hint("--new-passphrase-file FILE, fd:3, credential:NAME or prompt")
        })?;
        passphrase::read_new(context, source, "New password")
    }
}

/// What a reader will not do with a file, told before it is tried.
fn advise(context: &Context, kind: KeyAlgorithm, password: &Passphrase, target: Target) {
    if !password.is_ascii() {
        context.warn("Java's keytool opens no PKCS#12 whose password is not ASCII");
    }
    if target.is_old() {
        context.warn(format!(
            "{target} reads Triple DES and SHA-1 alone, and so the file is as safe as its password is long; send it by a \
             way that nobody else reads"
        ));
    }
    match (kind, target) {
        (kind, Target::Modern) if kind.is_post_quantum() => {
            context.warn("OpenSSL reads ML-DSA keys from 3.5 on; browsers and Java import none");
        }
        (kind, _) if kind.is_post_quantum() => context.warn(format!("{target} imports no {kind} key yet")),
        (KeyAlgorithm::Ed25519, Target::Apple | Target::Windows | Target::Android | Target::Legacy) => {
            context.warn(format!("{target} imports no Ed25519 key; a P-256 key works everywhere"));
        }
        _ => {}
    }
}

fn no_form(form: &str, family: &str, kind: KeyAlgorithm) -> Failure {
    Failure::refused(format!("{form} is for {family} keys, and this one is {kind}"))
        .hint("countersign key convert … --to pkcs8")
}

fn encoded(der: Zeroizing<Vec<u8>>, label: &str, as_der: bool) -> Zeroizing<Vec<u8>> {
    if as_der { der } else { Zeroizing::new(pem::encode(label, &der).into_bytes()) }
}

fn encrypt(
    key: &PrivateKey,
    passphrase: &Passphrase,
    kdf: Kdf,
    as_der: bool,
) -> Result<Zeroizing<Vec<u8>>, Failure> {
    let der = match kdf {
        Kdf::Pbkdf2 => encrypted::encrypt(key, passphrase),
        Kdf::Scrypt => encrypted::encrypt_with_scrypt(key, passphrase),
    };
    Ok(encoded(Zeroizing::new(der.or_usage()?), "ENCRYPTED PRIVATE KEY", as_der))
}

/// Encrypt a key (PKCS#8, AES-256)
#[derive(Debug, Args)]
pub(crate) struct Encrypt {
    #[command(flatten)]
    source: Source,

    /// The passphrase: in the first line of a file, or fd:N, credential:NAME, prompt
    #[arg(long, value_name = "SOURCE")]
    new_passphrase_file: PathBuf,

    /// How the passphrase becomes a key
    #[arg(long, value_enum, default_value_t = Kdf::Pbkdf2)]
    kdf: Kdf,

    /// DER instead of PEM
    #[arg(long)]
    der: bool,

    #[command(flatten)]
    destination: Destination,
}

impl Encrypt {
    pub(crate) fn run(self, context: &Context) -> Outcome {
        let (entry, _) = self.source.key(context)?;
        let passphrase = passphrase::read_new(context, &self.new_passphrase_file, "New passphrase")?;
        self.destination.write(context, &encrypt(&entry.key, &passphrase, self.kdf, self.der)?)?;
        tell_where_the_clear_one_is(context, &self.source.file, &self.destination.out);
        Ok(Exit::Done)
    }
}

fn tell_where_the_clear_one_is(context: &Context, from: &Path, to: &Path) {
    if from != to && from != Path::new("-") {
        context.say(format!("{} is as it was; delete it when the new file has been tried", from.display()));
    }
}

/// Write an encrypted key in the clear
#[derive(Debug, Args)]
pub(crate) struct Decrypt {
    #[command(flatten)]
    source: Source,

    /// DER instead of PEM
    #[arg(long)]
    der: bool,

    #[command(flatten)]
    destination: Destination,
}

impl Decrypt {
    pub(crate) fn run(self, context: &Context) -> Outcome {
        let (entry, _) = self.source.key(context)?;
        let der = Zeroizing::new(entry.key.to_pkcs8_der().to_vec());
        self.destination.write(context, &encoded(der, "PRIVATE KEY", self.der))?;
        Ok(Exit::Done)
    }
}
