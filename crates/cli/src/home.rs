//! The authority's home: `ca.db`, `keys/`, and a copy of the anchor for people to take.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use ca::{KeyName, Keyring, Store};
use jiff::{SignedDuration, Timestamp};
use keys::file::{Replace, write_private, write_public};
use keys::{Passphrase, PrivateKey};
use pki::issuer::Issuer;
use pki::key::{KeyAlgorithm, SigningKey};
use store::tls::{ClientKey, TlsMaterial, TlsWish, read_address};

use crate::context::Context;
use crate::failure::{Failure, OrFail as _};
use crate::input;
use crate::key::OwnKey;

/// The files of a home.
#[derive(Debug, Clone)]
pub(crate) struct Home {
    directory: PathBuf,
    /// Where the memory is, where that is not `ca.db` in the directory.
    store: Option<String>,
}

/// An authority that is open: it can look up, and sign with its issuing key.
pub(crate) type Authority = ca::Authority<Arc<dyn Store>>;

impl Home {
    pub(crate) fn of(context: &Context) -> Result<Self, Failure> {
        Ok(Home { directory: context.home()?.to_owned(), store: context.store().map(str::to_owned) })
    }

    /// A home somewhere else.
    pub(crate) fn at(directory: &Path) -> Self {
        Home { directory: directory.to_owned(), store: None }
    }

    pub(crate) fn directory(&self) -> &Path {
        &self.directory
    }

    pub(crate) fn database(&self) -> PathBuf {
        self.directory.join("ca.db")
    }

    pub(crate) fn keys(&self) -> PathBuf {
        self.directory.join("keys")
    }

    /// Where a key is; beside it, with the ending `.uri`, the reference to one that is elsewhere.
    pub(crate) fn key_file(&self, name: KeyName) -> PathBuf {
        self.keys().join(format!("{name}.pem"))
    }

    pub(crate) fn root_key(&self) -> PathBuf {
        self.key_file(KeyName::Root(1))
    }

    /// Whether a key is here, or what says where it is.
    pub(crate) fn has_key(&self, name: KeyName) -> bool {
        let path = self.key_file(name);
        path.exists() || path.with_extension("uri").exists()
    }

    /// Whether the first root's key is here, or what says where it is.
    pub(crate) fn has_root_key(&self) -> bool {
        self.has_key(KeyName::Root(1))
    }

    pub(crate) fn issuing_key(&self) -> PathBuf {
        self.key_file(KeyName::Issuing(1))
    }

    pub(crate) fn anchor(&self) -> PathBuf {
        self.directory.join(crate::material::ANCHOR_FILE)
    }

    /// The certificate of the first admin.
    pub(crate) fn admin(&self) -> PathBuf {
        self.directory.join("admin.pem")
    }

    /// The key of the first admin.
    pub(crate) fn admin_key(&self) -> PathBuf {
        self.directory.join("admin-key.pem")
    }

    /// Whether an authority lives here.
    pub(crate) fn exists(&self) -> bool {
        match self.store.as_deref().map(Place::of) {
            None => self.database().exists(),
            Some(Ok(Place::Sqlite(path))) => path.exists(),
            // Whether the database holds one is found out when it is opened; what is here tells of this home.
            Some(Ok(Place::Postgres(_)) | Err(_)) => self.anchor().exists(),
        }
    }

    /// The file of the memory, where it is one.
    pub(crate) fn memory_file(&self) -> Option<PathBuf> {
        match self.store.as_deref().map(Place::of) {
            None => Some(self.database()),
            Some(Ok(Place::Sqlite(path))) => Some(path),
            Some(_) => None,
        }
    }

    /// Whether other replicas use the same memory, as far as its address tells.
    pub(crate) fn is_shared(&self) -> bool {
        matches!(self.store.as_deref().map(Place::of), Some(Ok(Place::Postgres(_))))
    }

    /// Makes the memory where it is not there yet, or opens it.
    pub(crate) fn create_memory(&self) -> Result<Arc<dyn Store>, Failure> {
        match &self.store {
            None => Ok(Arc::new(store::SqliteStore::create(&self.database()).or_usage()?)),
            Some(url) => Place::of(url)?.create(),
        }
    }

    /// Opens the memory alone, for commands that only look.
    pub(crate) fn open_memory(&self) -> Result<Arc<dyn Store>, Failure> {
        // A folder that may not be entered hides what is in it; that is another thing than nothing.
        if let Some(file) = self.memory_file()
            && let Err(error) = file.try_exists()
        {
            return Err(Failure::usage(format!(
                "cannot look for {}: {}",
                file.display(),
                input::plain(&error)
            ))
            .hint(format!("ls -ld {}    (whose it is)", self.directory.display())));
        }
        if !self.exists() {
            return Err(Failure::usage(format!("there is no authority in {}", self.directory.display()))
                .hint("countersign init"));
        }
        match &self.store {
            None => Ok(Arc::new(store::SqliteStore::open(&self.database()).or_usage()?)),
            Some(url) => Place::of(url)?.open(),
        }
    }

    /// Opens the authority with its issuing key.
    pub(crate) fn open(&self, context: &Context, passphrase: Option<&Path>) -> Result<Authority, Failure> {
        let store = self.open_memory()?;
        let passphrase = passphrase_of(context, passphrase)?;
        let line = ca::line::issuing_line(&store).or_usage()?;
        let key = self.read_key(context, &self.key_file(KeyName::Issuing(line)), passphrase.as_ref())?;
        let publication = ca::Publication::recorded(&store).or_usage()?;
        let keyring = Arc::new(HomeKeys { home: self.clone(), passphrase });
        let authority = ca::Authority::open(store, key, entropy()).or_usage()?;
        let authority = authority.with_keyring(keyring).or_usage()?.publishing(publication);
        let by = crate::commands::issue::requester();
        authority.log_own_certificates(ca::Who::from(&by), context.now()).or_usage()?;
        Ok(authority)
    }

    fn read_key(
        &self,
        context: &Context,
        path: &Path,
        passphrase: Option<&Passphrase>,
    ) -> Result<Box<dyn SigningKey>, Failure> {
        // Where the key is in a token or behind a signer, a file with its reference stands in its place.
        match reference_in(&path.with_extension("uri"))? {
            None => Ok(Box::new(input::private_key(context, path, passphrase)?)),
            Some(reference) => Ok(Box::new(OwnKey::open(context, Path::new(&reference), passphrase)?)),
        }
    }

    /// What says where a key is that is elsewhere.
    pub(crate) fn reference(&self, name: KeyName) -> Result<Option<String>, Failure> {
        reference_in(&self.key_file(name).with_extension("uri"))
    }

    /// Writes down where a key is.
    pub(crate) fn refer(&self, name: KeyName, reference: &str) -> Result<(), Failure> {
        let place = self.key_file(name).with_extension("uri");
        write_private(&place, format!("{reference}\n").as_bytes(), Replace::Yes).or_usage()
    }
}

fn reference_in(place: &Path) -> Result<Option<String>, Failure> {
    if !place.exists() {
        return Ok(None);
    }
    let text = String::from_utf8(input::bytes(place)?).unwrap_or_default();
    Ok(Some(text.trim().to_owned()))
}

/// The keys of a home, for the steps of a rollover and the lines that it makes.
struct HomeKeys {
    home: Home,
    passphrase: Option<Passphrase>,
}

impl HomeKeys {
    fn read(&self, path: &Path) -> Result<Box<dyn SigningKey>, String> {
        let context = Context::from_environment(None, true);
        self.home.read_key(&context, path, self.passphrase.as_ref()).map_err(|failure| told(&failure))
    }

    /// Where the next key is to be, by the one of the line before: nothing where that is in a file.
    fn beside_the_one_before(&self, name: KeyName) -> Result<Option<String>, String> {
        let (number, earlier): (u32, fn(u32) -> KeyName) = match name {
            KeyName::Root(number) => (number, KeyName::Root),
            KeyName::Issuing(number) => (number, KeyName::Issuing),
        };
        // A root stays for several lines where only the issuing CA changes.
        let Some(last) = (1..number).rev().map(earlier).find(|name| self.home.has_key(*name)) else {
            return Ok(None);
        };
        let Some(reference) = self.home.reference(last).map_err(|failure| told(&failure))? else {
            return Ok(None);
        };
        match reference.parse::<keys::pkcs11::Uri>() {
            Ok(uri) => Ok(Some(next_in_token(&uri, number).to_string())),
            Err(_) => Err(format!(
                "the authority's keys are kept elsewhere, and another one cannot be made there from here; name it by \
                 `countersign ca rollover start --{}-key REFERENCE` in the authority's home",
                if matches!(name, KeyName::Root(_)) { "root" } else { "issuing" }
            )),
        }
    }

    /// The key of a reference, made where it is a token's that is not there yet; written down so that it is found again.
    fn at(
        &self,
        name: KeyName,
        wanted: &str,
        algorithm: KeyAlgorithm,
    ) -> Result<Box<dyn SigningKey>, Failure> {
        let context = Context::from_environment(None, true);
        let key = crate::key::new_or_at(&context, Some(wanted), algorithm)?;
        if let OwnKey::Elsewhere(_, reference) = &key
            && self.home.reference(name)?.as_ref() != Some(reference)
        {
            self.home.refer(name, reference)?;
        }
        Ok(Box::new(key))
    }
}

/// A key's place in the token of an earlier one: its label with the number of the line behind it.
fn next_in_token(earlier: &keys::pkcs11::Uri, number: u32) -> keys::pkcs11::Uri {
    let label = earlier.object.as_deref().unwrap_or("countersign");
    let plain = label.rsplit_once(' ').filter(|(_, last)| last.parse::<u32>().is_ok());
    let label = plain.map_or(label, |(plain, _)| plain);
    keys::pkcs11::Uri { object: Some(format!("{label} {number}")), id: None, class: None, ..earlier.clone() }
}

/// A failure as one sentence.
fn told(failure: &Failure) -> String {
    std::iter::once(failure.message())
        .chain(failure.causes().iter().map(String::as_str))
        .collect::<Vec<_>>()
        .join(": ")
}

impl Keyring for HomeKeys {
    fn open(&self, name: KeyName) -> Result<Option<Box<dyn SigningKey>>, String> {
        self.home.has_key(name).then(|| self.read(&self.home.key_file(name))).transpose()
    }

    fn make(&self, name: KeyName, algorithm: KeyAlgorithm) -> Result<Box<dyn SigningKey>, String> {
        // The one that was named for it, or else one where the key is that it takes the place of: an authority whose keys
        // never leave their token gets none in a file unasked.
        let file = self.home.key_file(name);
        let wanted = match self.home.reference(name).map_err(|failure| told(&failure))? {
            Some(named) => Some(named),
            None if file.exists() => None,
            None => self.beside_the_one_before(name)?,
        };
        if let Some(wanted) = wanted {
            return self.at(name, &wanted, algorithm).map_err(|failure| told(&failure));
        }
        if let Some(key) = self.open(name)? {
            return Ok(key);
        }
        let key = PrivateKey::generate(algorithm).map_err(|error| error.to_string())?;
        let pem = crate::commands::init::key_pem(&key, self.passphrase.as_ref())
            .map_err(|failure| told(&failure))?;
        write_private(&file, pem.as_bytes(), Replace::No).map_err(|error| error.to_string())?;
        Ok(Box::new(key))
    }

    fn believe(&self, anchors: &[pki::Certificate]) -> Result<(), String> {
        let pem: String = anchors.iter().map(pki::Certificate::to_pem).collect();
        let path = self.home.anchor();
        if std::fs::read(&path).is_ok_and(|found| found == pem.as_bytes()) {
            return Ok(());
        }
        write_public(&path, pem.as_bytes(), Replace::Yes).map_err(|error| error.to_string())
    }
}

/// Where a memory is.
pub(crate) enum Place {
    Sqlite(PathBuf),
    Postgres(String),
}

impl Place {
    /// Reads `sqlite:FILE` or `postgres://…`.
    pub(crate) fn of(url: &str) -> Result<Self, Failure> {
        if let Some(path) = url.strip_prefix("sqlite:") {
            return Ok(Place::Sqlite(PathBuf::from(path)));
        }
        if url.starts_with("postgres://") || url.starts_with("postgresql://") {
            return Ok(Place::Postgres(url.to_owned()));
        }
        Err(Failure::usage("a memory is named as sqlite:FILE or postgres://USER@HOST/DATABASE"))
    }

    /// Opens what is there.
    pub(crate) fn open(&self) -> Result<Arc<dyn Store>, Failure> {
        Ok(match self {
            Place::Sqlite(path) => Arc::new(store::SqliteStore::open(path).or_usage()?),
            Place::Postgres(url) => {
                let (url, wish) = read_address(url).or_usage()?;
                let material = wish.as_ref().map(tls_material).transpose()?;
                Arc::new(store::PostgresStore::open_with(&url, material).or_usage()?)
            }
        })
    }

    /// Opens it, made where it is not there.
    pub(crate) fn create(&self) -> Result<Arc<dyn Store>, Failure> {
        match self {
            Place::Sqlite(path) => Ok(Arc::new(store::SqliteStore::create(path).or_usage()?)),
            Place::Postgres(_) => self.open(),
        }
    }
}

/// The files that a database's address names.
fn tls_material(wish: &TlsWish) -> Result<TlsMaterial, Failure> {
    let ders = |file: &Path| -> Result<Vec<Vec<u8>>, Failure> {
        Ok(input::certificates(file)?.iter().map(|certificate| certificate.der().to_vec()).collect())
    };
    let client = match &wish.client {
        None => None,
        Some((certificate, key)) if crate::key::reference(key).is_some() => {
            let context = Context::from_environment(None, true);
            let (chain, key) = input::credentials(&context, certificate, key, None)?;
            let key = key.credentials(chain).or_usage()?.rustls_key();
            Some((ders(certificate)?, ClientKey::Elsewhere(key)))
        }
        Some((certificate, key)) => {
            let (read, warnings) = keys::file::read_key_file(key, None).or_usage()?;
            // As libpq does: a key that others can read is used by nobody.
            if let Some(warning) = warnings.first() {
                return Err(Failure::usage(warning));
            }
            Some((ders(certificate)?, ClientKey::Pkcs8(read.to_pkcs8_der().to_vec())))
        }
    };
    Ok(TlsMaterial { roots: ders(&wish.root)?, client })
}

/// Where random octets for serial numbers come from.
pub(crate) fn entropy() -> ca::Entropy {
    Box::new(|bytes| keys::random::fill(bytes).map_err(|error| error.to_string()))
}

/// The passphrase of the authority's keys: `--passphrase-file`, else the file that
/// `COUNTERSIGN_PASSPHRASE_FILE` names.
pub(crate) fn passphrase_of(context: &Context, file: Option<&Path>) -> Result<Option<Passphrase>, Failure> {
    let from_environment = std::env::var_os("COUNTERSIGN_PASSPHRASE_FILE").map(PathBuf::from);
    input::passphrase(context, file.or(from_environment.as_deref()))
}

impl Home {
    /// The roots' own lists: the CAs that are retired. They need the roots' keys; where one is
    /// kept elsewhere, its list cannot be made here.
    pub(crate) fn root_crls(
        &self,
        context: &Context,
        authority: &Authority,
        passphrase: Option<&Path>,
        now: Timestamp,
        lifetime: SignedDuration,
    ) -> Result<Vec<Vec<u8>>, Failure> {
        let lines = authority.lines();
        let mut lists = Vec::new();
        let mut roots = Vec::new();
        for line in lines.published(now) {
            if roots.contains(&line.root_of()) {
                continue;
            }
            roots.push(line.root_of());
            let name = KeyName::Root(line.root_of());
            let key = self.key_file(name);
            if !self.has_key(name) {
                context.warn(format!(
                    "{} is not here, so the root's own list is left out; OpenSSL's -crl_check_all, nginx and Node.js \
                     refuse every client without it",
                    key.display()
                ));
                continue;
            }
            lists.push(self.root_list(context, (&lines, line), passphrase, now, lifetime)?);
        }
        Ok(lists)
    }

    /// The list of a line's root, whose key is here.
    pub(crate) fn root_list(
        &self,
        context: &Context,
        (lines, line): (&ca::Lines, &ca::Line),
        passphrase: Option<&Path>,
        now: Timestamp,
        lifetime: SignedDuration,
    ) -> Result<Vec<u8>, Failure> {
        let passphrase = passphrase_of(context, passphrase)?;
        let key = self.key_file(KeyName::Root(line.root_of()));
        let key = self.read_key(context, &key, passphrase.as_ref())?;
        let root = Issuer::new(line.issuer().anchor().clone(), Vec::new()).or_refuse()?;
        // Seconds since 1970 grow as list numbers must (RFC 5280 section 5.2.3), without a memory of their own.
        let number = u64::try_from(now.as_second()).unwrap_or(0);
        let list =
            root.prepare_crl(number, now, now + lifetime, &lines.withdrawn_by(line.root_of())).or_refuse()?;
        list.sign(&*key).or_refuse()
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test fails by panicking")]
    use super::*;

    #[test]
    fn the_next_key_is_in_the_same_token_with_the_number_of_its_line() {
        let next = |earlier: &str, number| next_in_token(&earlier.parse().unwrap(), number).to_string();
        let query = "?module-path=/m.so&pin-source=file:/pin";
        let first = format!("pkcs11:token=acme;serial=12;object=Acme%20root;id=%01;type=private{query}");
        let second = format!("pkcs11:token=acme;serial=12;object=Acme%20root%202{query}");
        assert_eq!(next(&first, 2), second);
        assert_eq!(next(&second, 3), second.replace("%202", "%203"));
        assert!(next("pkcs11:token=acme;id=%01", 2).contains("object=countersign%202"));
    }

    #[test]
    fn a_memory_in_postgresql_is_shared_and_a_file_is_not() {
        let with = |store: Option<&str>| Home { directory: "x".into(), store: store.map(str::to_owned) };
        assert!(with(Some("postgres://ca@localhost/ca")).is_shared());
        assert!(with(Some("postgresql://ca@localhost/ca")).is_shared());
        assert!(!with(Some("sqlite:ca.db")).is_shared());
        assert!(!with(None).is_shared());
    }
}
