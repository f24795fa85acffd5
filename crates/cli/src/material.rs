//! The files a certificate is handed over as: `NAME.pem`, `NAME-key.pem`, `rootCA.pem`, and `NAME.p12` on demand. Where the
//! key is in a token or behind a signer, `NAME-key.uri` says where, in the place of `NAME-key.pem`.

use std::path::{Path, PathBuf};

use keys::file::{Replace, WriteFileError, write_private, write_public};
use keys::pkcs12::Target;
use keys::{Passphrase, PrivateKey};
use pki::Certificate;
use rustix::fs::Access;
use zeroize::Zeroizing;

use crate::failure::{Failure, OrFail as _};
use crate::input;
use crate::key::OwnKey;

/// The name of the anchor's file.
pub(crate) const ANCHOR_FILE: &str = "rootCA.pem";

/// Where the files of one name go.
#[derive(Debug, Clone)]
pub(crate) struct Files {
    pub(crate) directory: PathBuf,
    pub(crate) stem: String,
}

impl Files {
    /// The files of `name` in `directory`. Characters that file systems or shells stumble over become `_`.
    pub(crate) fn of(directory: &Path, name: &str) -> Self {
        let mut stem = name.replace("*.", "_wildcard.").replace("://", "_");
        stem =
            stem.chars().map(|c| if c.is_alphanumeric() || "._-@+".contains(c) { c } else { '_' }).collect();
        let stem = stem.trim_matches(['.', '_']).chars().take(120).collect::<String>();
        // `--out DIR/-x` and hidden files surprise people.
        let stem = if stem.is_empty() || stem.starts_with('-') { format!("certificate{stem}") } else { stem };
        Files { directory: directory.to_owned(), stem }
    }

    /// The files that stand beside this certificate file, if it is named as ours are.
    pub(crate) fn beside(certificate: &Path) -> Option<Self> {
        let stem = certificate.file_name()?.to_str()?.strip_suffix(".pem")?.to_owned();
        let directory = certificate.parent().filter(|parent| !parent.as_os_str().is_empty());
        Some(Files { directory: directory.unwrap_or(Path::new(".")).to_owned(), stem })
    }

    pub(crate) fn certificate(&self) -> PathBuf {
        self.directory.join(format!("{}.pem", self.stem))
    }

    pub(crate) fn key(&self) -> PathBuf {
        self.directory.join(format!("{}-key.pem", self.stem))
    }

    /// The file that stands in the place of the key's own, where the key is elsewhere.
    pub(crate) fn key_reference(&self) -> PathBuf {
        self.directory.join(format!("{}-key.uri", self.stem))
    }

    /// The reference to a key that is elsewhere, if it is.
    pub(crate) fn key_elsewhere(&self) -> Option<String> {
        let text = std::fs::read_to_string(self.key_reference()).ok()?;
        Some(text.trim().to_owned())
    }

    /// What the key is opened by: its file, or its reference.
    pub(crate) fn key_place(&self) -> PathBuf {
        self.key_elsewhere().map_or_else(|| self.key(), PathBuf::from)
    }

    /// As [`Files::key_place`], where there is a key.
    pub(crate) fn key_if_there(&self) -> Option<PathBuf> {
        self.key_elsewhere().map(PathBuf::from).or_else(|| Some(self.key()).filter(|key| key.exists()))
    }

    pub(crate) fn pkcs12(&self) -> PathBuf {
        self.directory.join(format!("{}.p12", self.stem))
    }

    pub(crate) fn pkcs12_password(&self) -> PathBuf {
        self.directory.join(format!("{}-p12-password.txt", self.stem))
    }

    pub(crate) fn anchor(&self) -> PathBuf {
        self.directory.join(ANCHOR_FILE)
    }

    /// Refuses before anything is made, where writing would replace what is there or cannot work.
    pub(crate) fn check(&self, replace: Replace, with_pkcs12: bool) -> Result<(), Failure> {
        if !self.directory.is_dir() {
            return Err(Failure::usage(format!("{} is no directory", self.directory.display()))
                .hint(format!("mkdir -p {}", self.directory.display())));
        }
        // Else what is issued would have no place, and nobody its key.
        rustix::fs::access(&self.directory, Access::WRITE_OK | Access::EXEC_OK).map_err(|error| {
            let why = input::plain(&error.into());
            Failure::usage(format!("nothing can be written in {}: {why}", self.directory.display()))
                .hint("--out DIR writes elsewhere")
        })?;
        if replace == Replace::Yes {
            return Ok(());
        }
        let mut files = vec![self.certificate(), self.key(), self.key_reference()];
        if with_pkcs12 {
            files.extend([self.pkcs12(), self.pkcs12_password()]);
        }
        match files.iter().find(|file| file.symlink_metadata().is_ok()) {
            Some(file) => {
                Err(Failure::refused(format!("{} is there already, and nothing was made", file.display()))
                    .hint("--out DIR writes elsewhere; --force replaces it"))
            }
            None => Ok(()),
        }
    }

    /// Writes key, certificate with chain, and anchor; the key first, so that no certificate is without one.
    pub(crate) fn write(
        &self,
        key: &OwnKey,
        chain: &[Certificate],
        believed: &Believed,
        replace: Replace,
    ) -> Result<(), Failure> {
        match key {
            OwnKey::File(key) => {
                write_private(&self.key(), key.to_pkcs8_pem().as_bytes(), replace).or_usage()?;
                remove(&self.key_reference())?;
            }
            OwnKey::Elsewhere(_, reference) => {
                self.write_reference(reference, replace)?;
                remove(&self.key())?;
            }
        }
        let pem: String = chain.iter().map(Certificate::to_pem).collect();
        write_public(&self.certificate(), pem.as_bytes(), replace).or_usage()?;
        write_anchors(&self.anchor(), believed).map(drop)
    }

    /// Writes where the key is. A reference holds no secret.
    pub(crate) fn write_reference(&self, reference: &str, replace: Replace) -> Result<(), Failure> {
        write_public(&self.key_reference(), format!("{reference}\n").as_bytes(), replace).or_usage()
    }

    /// Writes `NAME.p12` and the file with its password.
    pub(crate) fn write_pkcs12(
        &self,
        key: &PrivateKey,
        chain: &[Certificate],
        friendly_name: &str,
        password: Option<Passphrase>,
        target: Target,
        replace: Replace,
    ) -> Result<bool, Failure> {
        let made_here = if password.is_none() { Some(new_password()?) } else { None };
        let password =
            password.unwrap_or_else(|| Passphrase::new(made_here.as_ref().map_or("", |made| made.as_str())));
        let ders: Vec<&[u8]> = chain.iter().map(Certificate::der).collect();
        let pkcs12 = keys::pkcs12::write_pkcs12(key, &ders, friendly_name, &password, target).or_usage()?;
        write_private(&self.pkcs12(), &pkcs12, replace).or_usage()?;
        if let Some(made_here) = &made_here {
            let line = Zeroizing::new(format!("{}\n", made_here.as_str()));
            write_private(&self.pkcs12_password(), line.as_bytes(), replace).or_usage()?;
        }
        Ok(made_here.is_some())
    }
}

/// Removes what another form of the key took the place of; of two, nobody would know which counts.
pub(crate) fn remove(path: &Path) -> Result<(), Failure> {
    match std::fs::remove_file(path) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            Err(Failure::usage(format!("cannot remove {}: {}", path.display(), crate::input::plain(&error))))
        }
        _ => Ok(()),
    }
}

/// Whom an authority wants to be believed by: two roots while it changes the one for the other.
#[derive(Debug, Clone, Default)]
pub(crate) struct Believed {
    /// Its roots.
    pub(crate) anchors: Vec<Certificate>,
    /// Those that were once.
    pub(crate) former: Vec<Certificate>,
}

impl Believed {
    /// By an authority that is open here.
    pub(crate) fn of(authority: &crate::home::Authority) -> Self {
        let lines = authority.lines();
        Believed { anchors: lines.anchors().anchors().to_vec(), former: lines.former_anchors() }
    }

    /// One root, and nothing known of another.
    pub(crate) fn only(anchor: &Certificate) -> Self {
        Believed { anchors: vec![anchor.clone()], former: Vec::new() }
    }

    /// As an authority answers at `/trust`.
    pub(crate) fn read(document: &[u8]) -> Option<Self> {
        let document: serde_json::Value = serde_json::from_slice(document).ok()?;
        let certificates = |member: &str| -> Option<Vec<Certificate>> {
            let read = |pem: &serde_json::Value| {
                let blocks = pki::pem::read(pem.as_str()?.as_bytes()).ok()?;
                Certificate::from_der(&blocks.first()?.der).ok()
            };
            document[member].as_array()?.iter().map(read).collect()
        };
        let believed = Believed { anchors: certificates("anchors")?, former: certificates("former")? };
        // Nobody to believe is a mistake rather than a wish.
        (!believed.anchors.is_empty()).then_some(believed)
    }

    /// What a file of anchors should hold that holds these: the authority's roots, and those of others that were in it.
    /// `None` where nothing of this authority is in it.
    pub(crate) fn in_place_of(&self, found: &[Certificate]) -> Option<Vec<Certificate>> {
        if !found.iter().any(|one| self.anchors.contains(one) || self.former.contains(one)) {
            return None;
        }
        let mut kept: Vec<Certificate> =
            found.iter().filter(|one| !self.former.contains(one)).cloned().collect();
        for anchor in &self.anchors {
            if !kept.contains(anchor) {
                kept.push(anchor.clone());
            }
        }
        Some(kept)
    }
}

fn pem_of(certificates: &[Certificate]) -> String {
    certificates.iter().map(Certificate::to_pem).collect()
}

/// Writes the roots, or brings the file up to date that holds one of them. A file with the roots of others alone is never
/// replaced silently. Says whether anything changed.
pub(crate) fn write_anchors(path: &Path, believed: &Believed) -> Result<bool, Failure> {
    let found = match std::fs::read(path) {
        Ok(contents) => pki::pem::read(&contents).unwrap_or_default(),
        Err(_) => {
            let first = believed.anchors.first().ok_or_else(|| Failure::usage("there is no anchor"))?;
            write_anchor(path, first)?;
            pki::pem::read(first.to_pem().as_bytes()).or_usage()?
        }
    };
    let found: Vec<Certificate> =
        found.iter().filter_map(|block| Certificate::from_der(&block.der).ok()).collect();
    let wanted = believed.in_place_of(&found).ok_or_else(|| foreign(path))?;
    if wanted == found {
        return Ok(false);
    }
    write_public(path, pem_of(&wanted).as_bytes(), Replace::Yes).or_usage()?;
    Ok(true)
}

/// Writes the anchor, unless the same one is there. Another one there is never replaced silently.
pub(crate) fn write_anchor(path: &Path, anchor: &Certificate) -> Result<(), Failure> {
    if has_anchor(path, anchor)? {
        return Ok(());
    }
    match write_public(path, anchor.to_pem().as_bytes(), Replace::No) {
        // Another process issued into the same folder meanwhile.
        Err(WriteFileError::Exists { .. }) => has_anchor(path, anchor).map(drop),
        written => written.or_usage(),
    }
}

/// Refuses before anything is made, where [`write_anchors`] would refuse in the end.
pub(crate) fn check_anchors(directory: &Path, believed: &Believed) -> Result<(), Failure> {
    let path = directory.join(ANCHOR_FILE);
    let Ok(contents) = std::fs::read(&path) else { return Ok(()) };
    let found = pki::pem::read(&contents).unwrap_or_default();
    let found: Vec<Certificate> =
        found.iter().filter_map(|block| Certificate::from_der(&block.der).ok()).collect();
    believed.in_place_of(&found).map(drop).ok_or_else(|| foreign(&path))
}

/// A file of anchors that has nothing to do with this authority.
fn foreign(path: &Path) -> Failure {
    Failure::refused(format!("{} holds the anchor of another authority, and is left alone", path.display()))
        .hint("--out DIR writes elsewhere")
}

/// Whether this anchor is there already.
fn has_anchor(path: &Path, anchor: &Certificate) -> Result<bool, Failure> {
    let Ok(contents) = std::fs::read(path) else { return Ok(false) };
    if pki::pem::read(&contents).is_ok_and(|blocks| blocks.iter().any(|b| b.der == anchor.der())) {
        return Ok(true);
    }
    Err(foreign(path))
}

/// 20 characters of 31 that cannot be mistaken for each other: 99 bits.
pub(crate) fn new_password() -> Result<Zeroizing<String>, Failure> {
    const ALPHABET: &[u8; 31] = b"abcdefghjkmnpqrstuvwxyz23456789";
    let mut password = Zeroizing::new(String::with_capacity(20));
    while password.len() < 20 {
        let [byte] = keys::random::random_bytes::<1>().or_usage()?;
        // 248 is the largest multiple of 31 that fits a byte: no letter is likelier than another.
        if byte < 248 {
            password.push(char::from(ALPHABET[usize::from(byte) % ALPHABET.len()]));
        }
    }
    Ok(password)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test fails by panicking")]
    use super::*;

    #[test]
    fn file_names_are_made_of_harmless_characters() {
        let stem = |name: &str| Files::of(Path::new("d"), name).certificate().display().to_string();
        assert_eq!(stem("alice"), "d/alice.pem");
        assert_eq!(stem("*.example.com"), "d/wildcard.example.com.pem");
        assert_eq!(stem("spiffe://acme/web"), "d/spiffe_acme_web.pem");
        assert_eq!(stem("../../etc/passwd"), "d/etc_passwd.pem");
        assert_eq!(stem("::1"), "d/1.pem");
        assert_eq!(stem("-rf"), "d/certificate-rf.pem");
        assert_eq!(stem("Alice Example"), "d/Alice_Example.pem");
    }

    #[test]
    fn a_file_of_anchors_follows_the_authority_and_keeps_those_of_others() {
        let [old, new, theirs] = [(); 3].map(|()| testkit::TestCa::new().root().certificate.clone());
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("rootCA.pem");
        let now = |anchors: &[&Certificate], former: &[&Certificate]| Believed {
            anchors: anchors.iter().map(|one| (*one).clone()).collect(),
            former: former.iter().map(|one| (*one).clone()).collect(),
        };
        let holds = |expected: &[&Certificate]| {
            let pem: String = expected.iter().map(|one| one.to_pem()).collect();
            assert_eq!(std::fs::read_to_string(&file).unwrap(), pem);
        };
        assert!(!write_anchors(&file, &now(&[&old], &[])).unwrap());
        holds(&[&old]);
        assert!(write_anchors(&file, &now(&[&old, &new], &[])).unwrap());
        holds(&[&old, &new]);
        assert!(!write_anchors(&file, &now(&[&old, &new], &[])).unwrap());
        std::fs::write(&file, format!("{}{}", theirs.to_pem(), old.to_pem())).unwrap();
        // Whoever slept through the whole change knows the old one alone.
        assert!(write_anchors(&file, &now(&[&new], &[&old])).unwrap());
        holds(&[&theirs, &new]);
        std::fs::write(&file, theirs.to_pem()).unwrap();
        assert!(write_anchors(&file, &now(&[&new], &[&old])).is_err());
        holds(&[&theirs]);
    }

    #[test]
    fn whoever_writes_the_same_anchor_at_the_same_moment_succeeds_and_another_anchor_is_left_alone() {
        let [ours, theirs] = [(); 2].map(|()| testkit::TestCa::new().root().certificate.clone());
        let folder = tempfile::tempdir().unwrap();
        for round in 0..50 {
            let file = folder.path().join(round.to_string());
            let together = std::sync::Barrier::new(8);
            std::thread::scope(|scope| {
                for _ in 0..8 {
                    scope.spawn(|| {
                        together.wait();
                        write_anchor(&file, &ours).unwrap();
                    });
                }
            });
            assert!(write_anchor(&file, &theirs).is_err());
        }
    }
}
