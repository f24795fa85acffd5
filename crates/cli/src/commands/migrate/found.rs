//! Which certificates are affected: read from files, folders and a running server's radar, one for each set of names.

use std::collections::{BTreeMap, HashSet};
use std::path::Path;

use jiff::Timestamp;
use pki::name::{GeneralName, SubjectNames};
use pki::{Certificate, public_ca};
use serde_json::Value;

use super::keys_beside;
use crate::failure::Failure;
use crate::input;

/// No file of one certificate and its chain is larger.
const LARGEST: u64 = 1 << 20;
/// How deep folders are looked through: /etc/letsencrypt/live is one.
const DEEPEST: usize = 8;
/// What a folder is looked through for.
const ENDINGS: [&str; 5] = ["pem", "crt", "cer", "der", "cert"];

/// A certificate that is affected.
pub(super) struct Candidate {
    pub(super) certificate: Certificate,
    /// The name it is filed under here.
    pub(super) label: String,
    pub(super) names: SubjectNames,
    /// Whether clients may show it as it is.
    pub(super) is_for_clients: bool,
    /// What says that a public CA made it.
    pub(super) public: Option<String>,
    /// Where it was found: a file, or a client's address.
    pub(super) place: String,
    /// When a running server saw it last.
    pub(super) last_seen: Option<Timestamp>,
    pub(super) key_is_here: bool,
}

/// What was found.
#[derive(Default)]
pub(super) struct Found {
    seen: HashSet<[u8; 32]>,
    affected: Vec<Candidate>,
    /// The serial numbers of what a running server was shown last by each client.
    shown: HashSet<String>,
}

impl Found {
    /// How many certificates were read.
    pub(super) fn read(&self) -> usize {
        self.seen.len()
    }

    /// The serial numbers of what a running server was shown.
    pub(super) fn shown(&self) -> HashSet<String> {
        self.shown.clone()
    }

    /// Takes what is in a file or a folder. A file that was named must hold a certificate; of a folder others are passed over.
    pub(super) fn look(&mut self, place: &Path) -> Result<(), Failure> {
        if place.is_dir() {
            self.walk(place, 0);
            return Ok(());
        }
        let chain = input::certificates(place)?;
        self.take_file(place, chain);
        Ok(())
    }

    fn walk(&mut self, folder: &Path, depth: usize) {
        let Ok(entries) = std::fs::read_dir(folder) else { return };
        let mut paths: Vec<_> = entries.filter_map(|entry| Some(entry.ok()?.path())).collect();
        paths.sort();
        for path in paths {
            // Files may be links, as certbot's are; folders that are links could lead in a circle.
            let is_link = path.symlink_metadata().is_ok_and(|metadata| metadata.is_symlink());
            if path.is_dir() {
                if !is_link && depth < DEEPEST {
                    self.walk(&path, depth + 1);
                }
                continue;
            }
            let ending = path.extension().and_then(|ending| ending.to_str()).unwrap_or_default();
            let is_small =
                path.metadata().is_ok_and(|metadata| metadata.is_file() && metadata.len() <= LARGEST);
            if is_small
                && ENDINGS.contains(&ending.to_ascii_lowercase().as_str())
                && let Ok(chain) = input::certificates(&path)
            {
                self.take_file(&path, chain);
            }
        }
    }

    fn take_file(&mut self, path: &Path, chain: Vec<Certificate>) {
        let key_is_here = keys_beside(path).iter().any(|key| key.is_file()) || holds_key(path);
        let Some(leaf) = chain.into_iter().next() else { return };
        self.take(leaf, path.display().to_string(), None, key_is_here);
    }

    /// Takes what a running server saw.
    pub(super) fn ask(&mut self, admin: &str) -> Result<(), Failure> {
        let radar = crate::commands::clients::radar(admin)?;
        for list in ["clients", "refused_for_usage"] {
            for one in radar[list].as_array().into_iter().flatten() {
                self.shown.extend(one["serial"].as_str().map(str::to_owned));
                let Some(certificate) = one["certificate"].as_str().and_then(from_pem) else { continue };
                let text = |member: &Value| explain::escape::text(member.as_str().unwrap_or_default());
                let last_seen = one["last_seen"].as_str().and_then(|at| at.parse().ok());
                self.take(certificate, text(&one["address"]), last_seen, false);
            }
        }
        Ok(())
    }

    fn take(
        &mut self,
        certificate: Certificate,
        place: String,
        last_seen: Option<Timestamp>,
        key_is_here: bool,
    ) {
        let hash = certificate.sha256();
        if certificate.is_ca() {
            return;
        }
        if !self.seen.insert(hash) {
            // Found in a file and seen at a server: both are worth knowing.
            let known = self.affected.iter_mut().find(|known| known.certificate.sha256() == hash);
            if let Some(known) = known {
                known.last_seen = known.last_seen.max(last_seen);
                known.key_is_here |= key_is_here;
            }
            return;
        }
        let is_for_clients = public_ca::is_for_clients(&certificate);
        let public = public_ca::evidence(&certificate).map(|evidence| evidence.to_string());
        if is_for_clients && public.is_none() {
            return;
        }
        let names = SubjectNames::of(&certificate);
        let label = names.common_name.clone();
        let Some(label) = label.or_else(|| names.alternative.first().map(GeneralName::value)) else { return };
        self.affected.push(Candidate {
            certificate,
            label,
            names,
            is_for_clients,
            public,
            place,
            last_seen,
            key_is_here,
        });
    }

    /// One for each set of names, the one whose certificate ends first before the others. Of several the one that lasts
    /// longest counts; one that ended counts where nothing came after it and a server still sees it.
    pub(super) fn candidates(self, now: Timestamp) -> Vec<Candidate> {
        let mut by_names: BTreeMap<Vec<String>, Candidate> = BTreeMap::new();
        for candidate in self.affected {
            if candidate.certificate.not_after() < now && candidate.last_seen.is_none() {
                continue;
            }
            let mut names: Vec<String> =
                candidate.names.alternative.iter().map(ToString::to_string).collect();
            names.sort();
            names.insert(0, candidate.label.to_ascii_lowercase());
            let key = candidate.key_is_here;
            let later = match by_names.remove(&names) {
                Some(known) if known.certificate.not_after() >= candidate.certificate.not_after() => {
                    Candidate { key_is_here: known.key_is_here || key, ..known }
                }
                Some(known) => Candidate { key_is_here: known.key_is_here || key, ..candidate },
                None => candidate,
            };
            by_names.insert(names, later);
        }
        let mut candidates: Vec<Candidate> = by_names.into_values().collect();
        candidates.sort_by_key(|candidate| (candidate.certificate.not_after(), candidate.label.clone()));
        candidates
    }
}

fn holds_key(path: &Path) -> bool {
    let blocks = std::fs::read(path).ok().and_then(|contents| pki::pem::read(&contents).ok());
    blocks.unwrap_or_default().iter().any(|block| block.label.ends_with("PRIVATE KEY"))
}

fn from_pem(text: &str) -> Option<Certificate> {
    let blocks = pki::pem::read(text.as_bytes()).ok()?;
    Certificate::from_der(&blocks.first()?.der).ok()
}
