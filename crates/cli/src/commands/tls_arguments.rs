//! curl's flags for the TLS side of a connection, shared by `fetch` and `inspect`.

use std::path::{Path, PathBuf};

use clap::Args;
use keys::Passphrase;
use pki::Certificate;
use pki::verify::TrustBundle;

use crate::context::Context;
use crate::failure::{Failure, OrFail as _};
use crate::input;
use crate::key::OwnKey;

/// How certificates are given.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum CertificateType {
    /// PEM
    #[value(alias = "PEM")]
    Pem,
    /// DER
    #[value(alias = "DER")]
    Der,
    /// PKCS#12
    #[value(alias = "P12")]
    P12,
}

/// The client's certificate, and what it believes.
#[derive(Debug, Clone, Args)]
pub(crate) struct TlsArguments {
    /// The client's certificate with its chain; may also hold the key
    #[arg(short = 'E', long, value_name = "FILE[:PASSPHRASE]")]
    cert: Option<String>,

    /// The kind of --cert
    #[arg(long, value_name = "KIND", value_enum, ignore_case = true, requires = "cert")]
    cert_type: Option<CertificateType>,

    /// The client's private key: a file, or pkcs11:…, command:… or https+signer:… [default: the one in --cert]
    #[arg(long, value_name = "FILE", requires = "cert")]
    key: Option<PathBuf>,

    /// The passphrase of the key, in the first line of this file, or fd:N, credential:NAME, prompt
    #[arg(long, value_name = "FILE", requires = "cert")]
    passphrase_file: Option<PathBuf>,

    /// The passphrase itself, as curl takes it; every user of the machine sees it
    #[arg(long, value_name = "PHRASE", requires = "cert", conflicts_with = "passphrase_file", hide = true)]
    pass: Option<String>,

    /// The anchors to believe [default: the system's, and that of the local authority]
    #[arg(long, value_name = "FILE")]
    cacert: Vec<PathBuf>,

    /// Offer no post-quantum key exchange, so that the first message fits one packet: for boxes in between that read no
    /// more. What is recorded then can be read once there are quantum computers
    #[arg(long)]
    classical: bool,
}

/// A client's certificate with its chain and key.
pub(crate) struct ClientCredentials {
    pub(crate) chain: Vec<Certificate>,
    pub(crate) key: OwnKey,
}

impl TlsArguments {
    /// What other flags than these name.
    pub(crate) fn of(cert: Option<String>, key: Option<PathBuf>, cacert: Vec<PathBuf>) -> Self {
        let (cert_type, passphrase_file, pass) = (None, None, None);
        TlsArguments { cert, cert_type, key, passphrase_file, pass, cacert, classical: false }
    }

    /// Reads the client's certificate and key, whichever way they are given.
    pub(crate) fn credentials(&self, context: &Context) -> Result<Option<ClientCredentials>, Failure> {
        let Some(cert) = &self.cert else { return Ok(None) };
        let (path, in_argument) = certificate_path(cert);
        let passphrase = match self.pass.as_deref().or(in_argument) {
            Some(phrase) => {
                context.warn(
                    "a passphrase on the command line is seen by every user of this machine; \
                              --passphrase-file FILE keeps it from them",
                );
                Some(Passphrase::new(phrase))
            }
            None => input::passphrase(context, self.passphrase_file.as_deref())?,
        };
        if self.cert_type == Some(CertificateType::P12)
            || path.extension().is_some_and(|e| e == "p12" || e == "pfx")
        {
            return pkcs12(&path, passphrase).map(Some);
        }
        let key = self.key.clone().or_else(|| key_beside(&path)).unwrap_or_else(|| path.clone());
        let (chain, key) = input::credentials(context, &path, &key, passphrase.as_ref())?;
        Ok(Some(ClientCredentials { chain, key }))
    }

    /// Whether the post-quantum key exchange is left out.
    pub(crate) fn is_classical(&self) -> bool {
        self.classical
    }

    /// Whether a client's certificate is given.
    pub(crate) fn has_certificate(&self) -> bool {
        self.cert.is_some()
    }

    /// Whether the anchors to believe are given.
    pub(crate) fn has_anchors(&self) -> bool {
        !self.cacert.is_empty()
    }

    /// The files that all of it is read from.
    pub(crate) fn files(&self) -> Vec<PathBuf> {
        let mut files = self.cacert.clone();
        if let Some(cert) = &self.cert {
            let (path, _) = certificate_path(cert);
            files.extend(self.key.clone().or_else(|| key_beside(&path)));
            files.push(path);
        }
        files.extend(self.passphrase_file.clone());
        files
    }

    /// What the client believes.
    pub(crate) fn anchors(&self, context: &Context) -> Result<TrustBundle, Failure> {
        let mut anchors = Vec::new();
        for file in &self.cacert {
            anchors.extend(input::certificates(file)?);
        }
        if self.cacert.is_empty() {
            let local = context.home().ok().map(|home| home.join(crate::material::ANCHOR_FILE));
            if let Some(local) = local.filter(|path| path.exists()) {
                anchors.extend(input::certificates(&local)?);
            }
            // What the system holds and cannot be read is not believed, and no reason to stop.
            let system = rustls_native_certs::load_native_certs();
            anchors.extend(system.certs.iter().filter_map(|der| Certificate::from_der(der).ok()));
        }
        Ok(TrustBundle::new(anchors))
    }
}

/// curl reads `--cert FILE:PASSPHRASE`; a file whose name has a colon goes before.
fn certificate_path(cert: &str) -> (PathBuf, Option<&str>) {
    let whole = Path::new(cert);
    match cert.rsplit_once(':') {
        Some((file, phrase)) if !whole.exists() && Path::new(file).exists() => (file.into(), Some(phrase)),
        _ => (whole.to_owned(), None),
    }
}

/// `alice-key.pem` or `alice-key.uri` beside `alice.pem`, as `issue` writes them, where the certificate's file has no key in it.
fn key_beside(certificate: &Path) -> Option<PathBuf> {
    let contents = std::fs::read_to_string(certificate).ok()?;
    if contents.contains("PRIVATE KEY-----") {
        return None;
    }
    crate::material::Files::beside(certificate)?.key_if_there()
}

fn pkcs12(path: &Path, password: Option<Passphrase>) -> Result<ClientCredentials, Failure> {
    use pki::key::SigningKey as _;
    let bytes = input::bytes(path)?;
    let password = password.unwrap_or_else(|| Passphrase::new(Vec::new()));
    let contents = keys::pkcs12::read_pkcs12(&bytes, &password).or_usage()?;
    let key = contents.keys.into_iter().next().map(|entry| entry.key).ok_or_else(|| {
        Failure::usage(format!("{} holds no private key, so it cannot authenticate a client", path.display()))
    })?;
    let mut chain: Vec<Certificate> =
        contents.certificates.iter().filter_map(|entry| Certificate::from_der(&entry.der).ok()).collect();
    let leaf = chain
        .iter()
        .position(|c| c.public_key().is_ok_and(|public| public == key.public_key()))
        .ok_or_else(|| Failure::usage(format!("{} holds no certificate for its key", path.display())))?;
    chain.swap(0, leaf);
    Ok(ClientCredentials { chain, key: OwnKey::File(key) })
}
