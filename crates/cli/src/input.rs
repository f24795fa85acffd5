//! Files that people name on the command line, read into what they hold: certificates, lists, requests, keys.

use std::io::Read as _;
use std::path::Path;

use keys::{Passphrase, PrivateKey};
use pki::Certificate;
use pki::crl::CertificateRevocationList;
use pki::pem::{self, Block};

use crate::context::Context;
use crate::failure::{Failure, OrFail as _};
use crate::key::OwnKey;

/// More than any certificate file holds; a CRL of 1,000,000 entries has 40 MB.
const LARGEST_FILE: u64 = 256 << 20;

/// The bytes of a file, or of standard input for `-`.
pub(crate) fn bytes(path: &Path) -> Result<Vec<u8>, Failure> {
    let cannot = |error: std::io::Error| {
        let failure = Failure::usage(format!("cannot read {}: {}", path.display(), plain(&error)));
        match error.kind() {
            std::io::ErrorKind::PermissionDenied => failure.hint(format!("ls -l {}", path.display())),
            _ => failure,
        }
    };
    let mut contents = Vec::new();
    if path == Path::new("-") {
        std::io::stdin().lock().take(LARGEST_FILE).read_to_end(&mut contents).map_err(cannot)?;
        return Ok(contents);
    }
    let file = std::fs::File::open(path).map_err(cannot)?;
    if file.metadata().is_ok_and(|metadata| metadata.len() > LARGEST_FILE) {
        return Err(Failure::usage(format!(
            "{} is larger than 256 MiB, which no such file is",
            path.display()
        )));
    }
    file.take(LARGEST_FILE).read_to_end(&mut contents).map_err(cannot)?;
    Ok(contents)
}

/// The sentence of an input or output error without the operating system's number.
pub(crate) fn plain(error: &std::io::Error) -> String {
    let text = error.to_string();
    text.split(" (os error").next().unwrap_or(&text).to_lowercase()
}

/// The certificates of a file, PEM or DER, in order; other blocks are passed over.
pub(crate) fn certificates(path: &Path) -> Result<Vec<Certificate>, Failure> {
    let contents = bytes(path)?;
    let parse = |der: &[u8], place: &str| {
        Certificate::from_der(der)
            .map_err(|error| Failure::usage(format!("{}{place}: {error}", path.display())))
    };
    if !pem::looks_like_pem(&contents) && contents.first() == Some(&0x30) {
        let certificate = parse(&contents, "")
            .map_err(|failure| failure.hint(format!("countersign inspect {}", path.display())))?;
        return Ok(vec![certificate]);
    }
    let found: Vec<Certificate> = blocks(path, &contents)?
        .iter()
        .filter(|block| matches!(block.label.as_str(), "CERTIFICATE" | "X509 CERTIFICATE"))
        .map(|block| parse(&block.der, &format!(", line {}", block.line)))
        .collect::<Result<_, _>>()?;
    if found.is_empty() {
        let labels: Vec<String> = blocks(path, &contents)?.iter().map(|b| b.label.to_lowercase()).collect();
        return Err(Failure::usage(format!(
            "{} holds no certificate, only: {}",
            path.display(),
            labels.join(", ")
        ))
        .hint("were the certificate and the key given the wrong way round?"));
    }
    Ok(found)
}

/// The revocation lists of a file, PEM or DER.
pub(crate) fn revocation_lists(path: &Path) -> Result<Vec<CertificateRevocationList>, Failure> {
    let contents = bytes(path)?;
    let parse = |der: &[u8]| {
        CertificateRevocationList::from_der(der)
            .map_err(|error| Failure::usage(format!("{}: {error}", path.display())))
    };
    if !pem::looks_like_pem(&contents) && contents.first() == Some(&0x30) {
        return Ok(vec![parse(&contents)?]);
    }
    let lists: Vec<_> = blocks(path, &contents)?
        .iter()
        .filter(|block| block.label == "X509 CRL")
        .map(|block| parse(&block.der))
        .collect::<Result<_, _>>()?;
    if lists.is_empty() {
        return Err(Failure::usage(format!("{} holds no certificate revocation list", path.display())));
    }
    Ok(lists)
}

/// The OCSP response of a DER file, as a responder or `openssl ocsp -respout` gives it.
pub(crate) fn ocsp_response(path: &Path) -> Result<pki::ocsp::Response, Failure> {
    pki::ocsp::Response::from_der(&bytes(path)?)
        .map_err(|error| Failure::usage(format!("{}: {error}", path.display())))
}

/// The PEM blocks of a file, or why it has none.
pub(crate) fn blocks(path: &Path, contents: &[u8]) -> Result<Vec<Block>, Failure> {
    pem::read(contents).map_err(|error| {
        let failure = Failure::usage(format!("{}: {error}", path.display()));
        match pem::repair(contents) {
            Some(_) => failure.hint(format!("countersign inspect --pem {} > repaired.pem", path.display())),
            None => failure,
        }
    })
}

/// A private key file; warnings about its mode are told.
pub(crate) fn private_key(
    context: &Context,
    path: &Path,
    passphrase: Option<&Passphrase>,
) -> Result<PrivateKey, Failure> {
    let (key, warnings) = keys::file::read_key_file(path, passphrase).or_usage()?;
    for warning in warnings {
        context.warn(warning.to_string());
    }
    Ok(key)
}

/// A passphrase from where it is kept ([`crate::passphrase`]); warnings about a file's mode are told.
pub(crate) fn passphrase(context: &Context, source: Option<&Path>) -> Result<Option<Passphrase>, Failure> {
    source.map(|source| crate::passphrase::read(context, source, "Passphrase")).transpose()
}

/// Certificate and key that belong together; the wrong pair is named as such.
pub(crate) fn credentials(
    context: &Context,
    certificate: &Path,
    key: &Path,
    passphrase: Option<&Passphrase>,
) -> Result<(Vec<Certificate>, OwnKey), Failure> {
    use pki::key::SigningKey as _;
    let chain = certificates(certificate)?;
    let own = OwnKey::open(context, key, passphrase)?;
    let matches = |c: &Certificate| c.public_key().is_ok_and(|public| public == own.public_key());
    if matches(&chain[0]) {
        return Ok((chain, own));
    }
    let failure = Failure::usage(format!(
        "the key {} does not belong to the certificate of '{}' in {}",
        key.display(),
        chain[0].short_name(),
        certificate.display()
    ));
    Err(match chain.iter().position(matches) {
        Some(position) => failure.hint(format!(
            "it belongs to certificate {} of that file: put the leaf first, then its issuers",
            position + 1
        )),
        None if crate::key::reference(key).is_some() => failure,
        None => failure.hint(format!("countersign inspect {} {}", certificate.display(), key.display())),
    })
}
