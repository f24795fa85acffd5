//! What a file holds that has to do with keys, whatever its form: private keys, certificates, requests, public keys.

use std::path::{Path, PathBuf};

use keys::file::read_secret;
use keys::pkcs12::{Pkcs12FormatError, ReadPkcs12Error, read_pkcs12};
use keys::read::{ReadKeyError, read_private_key};
use keys::{Passphrase, PrivateKey};
use pki::csr::CertificateRequest;
use pki::key::{PublicKey, SigningKey as _};
use pki::{Certificate, pem};

use crate::context::Context;
use crate::failure::{Failure, OrFail as _};
use crate::key::OwnKey;

/// A private key, with the name that its container gives it.
pub(super) struct NamedKey {
    pub(super) key: PrivateKey,
    pub(super) name: Option<String>,
}

/// A certificate, with the name that its container gives it.
pub(super) struct NamedCertificate {
    pub(super) certificate: Certificate,
    pub(super) name: Option<String>,
}

/// Everything that was found in one file.
#[derive(Default)]
pub(super) struct Material {
    pub(super) keys: Vec<NamedKey>,
    pub(super) certificates: Vec<NamedCertificate>,
    /// The public halves of requests and of public keys, each with what it is.
    pub(super) publics: Vec<(&'static str, PublicKey)>,
}

/// Reads a file, `-` for standard input. A passphrase that is not needed is not used.
pub(super) fn read(
    context: &Context,
    path: &Path,
    passphrase: Option<&Passphrase>,
) -> Result<Material, Failure> {
    if crate::key::reference(path).is_some() {
        let key = OwnKey::open(context, path, passphrase)?;
        let publics = vec![("private key that stays where it is", key.public_key().clone())];
        return Ok(Material { publics, ..Material::default() });
    }
    let from = if path == Path::new("-") { PathBuf::from("/dev/stdin") } else { path.to_owned() };
    let (bytes, warnings) = read_secret(&from).or_usage()?;
    let material = of_bytes(&bytes, passphrase)
        .map_err(|failure| Failure::usage(format!("{}: {}", path.display(), failure.message())))?;
    // Certificates may be read by everybody; a warning is for who keeps a secret there.
    if !material.keys.is_empty() {
        warnings.iter().for_each(|warning| context.warn(warning.to_string()));
    }
    Ok(material)
}

fn of_bytes(bytes: &[u8], passphrase: Option<&Passphrase>) -> Result<Material, Failure> {
    let empty = Passphrase::new(Vec::new());
    match read_pkcs12(bytes, passphrase.unwrap_or(&empty)) {
        Ok(contents) => return of_pkcs12(contents),
        Err(ReadPkcs12Error::WrongPassword) if passphrase.is_none() => {
            return Err(Failure::usage(
                "a PKCS#12 file under a password; give it with --passphrase-file FILE",
            ));
        }
        // Not PKCS#12 at all: something else, which is looked at below.
        Err(ReadPkcs12Error::Format(
            Pkcs12FormatError::Other(_) | Pkcs12FormatError::Text | Pkcs12FormatError::Der(_),
        )) => {}
        Err(error) => return Err(Failure::usage(error)),
    }
    let mut material = Material::default();
    let is_der = bytes.first() == Some(&0x30) && !pem::looks_like_pem(bytes);
    let blocks = if is_der { Vec::new() } else { pem::read(bytes).unwrap_or_default() };
    if is_der {
        material.take(bytes);
    }
    for block in &blocks {
        if !block.label.contains("PRIVATE KEY") {
            material.take(&block.der);
        }
    }
    match read_private_key(bytes, passphrase) {
        Ok(key) => material.keys.push(NamedKey { key, name: None }),
        // What holds certificates alone has no key, and that may be what is wanted.
        Err(ReadKeyError::NoKey { .. }) if !material.is_empty() => {}
        Err(error) => return Err(Failure::usage(error)),
    }
    Ok(material)
}

fn of_pkcs12(contents: keys::pkcs12::Pkcs12Contents) -> Result<Material, Failure> {
    let mut material = Material::default();
    for entry in contents.keys {
        material.keys.push(NamedKey { key: entry.key, name: entry.friendly_name });
    }
    for entry in contents.certificates {
        let certificate = Certificate::from_der(&entry.der)
            .map_err(|error| Failure::usage(format!("a certificate in the PKCS#12 file: {error}")))?;
        material.certificates.push(NamedCertificate { certificate, name: entry.friendly_name });
    }
    Ok(material)
}

impl Material {
    fn is_empty(&self) -> bool {
        self.keys.is_empty() && self.certificates.is_empty() && self.publics.is_empty()
    }

    /// Takes a structure for whatever of the three it is; anything else is passed over.
    fn take(&mut self, der: &[u8]) {
        if let Ok(certificate) = Certificate::from_der(der) {
            self.certificates.push(NamedCertificate { certificate, name: None });
        } else if let Ok(request) = CertificateRequest::from_der(der) {
            self.publics.push(("certificate request", request.public_key().clone()));
        } else if let Ok(key) = PublicKey::from_spki_der(der) {
            self.publics.push(("public key", key));
        }
    }

    /// The one private key, or the one of this name.
    pub(super) fn one_key(
        mut self,
        path: &Path,
        name: Option<&str>,
    ) -> Result<(NamedKey, Vec<NamedCertificate>), Failure> {
        let place = path.display();
        if let Some(name) = name {
            let at = self.keys.iter().position(|entry| entry.name.as_deref() == Some(name));
            let at = at.ok_or_else(|| {
                Failure::usage(format!(
                    "{place} holds no key called '{name}'; it holds {}",
                    names(&self.keys)
                ))
            })?;
            return Ok((self.keys.swap_remove(at), self.certificates));
        }
        match self.keys.len() {
            0 if crate::key::reference(path).is_some() => {
                Err(Failure::usage(format!("the key {place} stays where it is, so it has no other form")))
            }
            0 => Err(Failure::usage(format!("{place} holds no private key"))),
            1 => Ok((self.keys.remove(0), self.certificates)),
            several => {
                Err(Failure::usage(format!("{place} holds {several} private keys: {}", names(&self.keys)))
                    .hint("--alias NAME takes one of them"))
            }
        }
    }
}

fn names(keys: &[NamedKey]) -> String {
    let each = keys.iter().map(|entry| match &entry.name {
        Some(name) => format!("'{}' ({})", explain::escape::text(name), entry.key.public_key().algorithm()),
        None => format!("one without a name ({})", entry.key.public_key().algorithm()),
    });
    each.collect::<Vec<_>>().join(", ")
}

/// The certificates of a key, its own first and then each one's issuer; what leads nowhere is left out.
pub(super) fn chain_of(key: &PrivateKey, certificates: &[NamedCertificate]) -> Vec<Certificate> {
    let is_own = |c: &&Certificate| c.public_key().is_ok_and(|public| public == key.public_key());
    let all: Vec<&Certificate> = certificates.iter().map(|entry| &entry.certificate).collect();
    let Some(leaf) = all.iter().copied().find(is_own) else { return Vec::new() };
    let mut chain = vec![leaf.clone()];
    loop {
        let last = &chain[chain.len() - 1];
        let next = all.iter().find(|candidate| {
            candidate.subject() == last.issuer() && !chain.iter().any(|known| known.der() == candidate.der())
        });
        match next {
            Some(next) => chain.push((*next).clone()),
            None => return chain,
        }
    }
}
