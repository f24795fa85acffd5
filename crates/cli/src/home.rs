//! The authority's home: `ca.db`, `keys/`, and a copy of the anchor for people to take.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use ca::Store;
use jiff::{SignedDuration, Timestamp};
use keys::Passphrase;
use pki::issuer::Issuer;
use pki::key::SigningKey;

use crate::context::Context;
use crate::failure::{Failure, OrFail as _};
use crate::input;

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

    pub(crate) fn root_key(&self) -> PathBuf {
        self.keys().join("root-key.pem")
    }

    pub(crate) fn issuing_key(&self) -> PathBuf {
        self.keys().join("issuing-key.pem")
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

    /// Makes the memory where it is not there yet, or opens it.
    pub(crate) fn create_memory(&self) -> Result<Arc<dyn Store>, Failure> {
        match &self.store {
            None => Ok(Arc::new(store::SqliteStore::create(&self.database()).or_usage()?)),
            Some(url) => Place::of(url)?.create(),
        }
    }

    /// Opens the memory alone, for commands that only look.
    pub(crate) fn open_memory(&self) -> Result<Arc<dyn Store>, Failure> {
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
        let key = self.read_key(context, &self.issuing_key(), passphrase.as_ref())?;
        let publication = ca::Publication::recorded(&store).or_usage()?;
        Ok(ca::Authority::open(store, key, entropy()).or_usage()?.publishing(publication))
    }

    fn read_key(
        &self,
        context: &Context,
        path: &Path,
        passphrase: Option<&Passphrase>,
    ) -> Result<Box<dyn SigningKey>, Failure> {
        let key = input::private_key(context, path, passphrase)?;
        Ok(Box::new(key))
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
            Place::Postgres(url) => Arc::new(store::PostgresStore::open(url).or_usage()?),
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
    /// The root's own list: the intermediates it took back, which are none as long as the authority has one. It
    /// needs the root's key; where that is kept elsewhere, the list cannot be made here.
    pub(crate) fn root_crl(
        &self,
        context: &Context,
        authority: &Authority,
        passphrase: Option<&Path>,
        now: Timestamp,
        lifetime: SignedDuration,
    ) -> Result<Option<Vec<u8>>, Failure> {
        if !self.root_key().exists() {
            context.warn(format!(
                "{} is not here, so the root's own list is left out; OpenSSL's -crl_check_all, nginx and Node.js \
                 refuse every client without it",
                self.root_key().display()
            ));
            return Ok(None);
        }
        self.root_list(context, authority.issuer().anchor(), passphrase, now, lifetime).map(Some)
    }

    /// The list of this root, whose key is here.
    pub(crate) fn root_list(
        &self,
        context: &Context,
        root: &pki::Certificate,
        passphrase: Option<&Path>,
        now: Timestamp,
        lifetime: SignedDuration,
    ) -> Result<Vec<u8>, Failure> {
        let passphrase = passphrase_of(context, passphrase)?;
        let key = self.read_key(context, &self.root_key(), passphrase.as_ref())?;
        let root = Issuer::new(root.clone(), Vec::new()).or_refuse()?;
        // Seconds since 1970 grow as list numbers must (RFC 5280 section 5.2.3), without a memory of their own.
        let number = u64::try_from(now.as_second()).unwrap_or(0);
        let list = root.prepare_crl(number, now, now + lifetime, &[]).or_refuse()?;
        list.sign(&*key).or_refuse()
    }
}
