//! What this side has: the named files read, the key opened, the trust of the machine, and what lies beside. Of a
//! private key only its public half goes on to the engine; the key itself goes into the handshake and nowhere else.

use std::fs;
use std::io;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use explain::doctor::{
    Encoding, Given, NamedFile, Neighbour, Opened, OwnSide, Program, Proxy, Role, Settings, Unread,
    neighbour, read_own_side,
};
use jiff::Timestamp;
use keys::{Passphrase, PrivateKey};
use net::tls::Credentials;
use pki::Certificate;
use pki::key::SigningKey as _;
use zeroize::Zeroize as _;

use super::java;
use crate::context::Context;
use crate::home::Home;
use crate::key::OwnKey;

/// The largest file that is looked at because it lies beside a named one.
const LARGEST_NEIGHBOUR: u64 = 64 << 10;

/// The most files looked at beside the named ones.
const MOST_NEIGHBOURS: usize = 200;

/// The largest file that is read where it was named.
const LARGEST_NAMED: u64 = 64 << 20;

/// Where Debian and Fedora keep the CAs that somebody added to the system's trust.
const ADDED_TRUST: [&str; 2] = ["/usr/local/share/ca-certificates", "/etc/pki/ca-trust/source/anchors"];

/// This side, and what it can show in a handshake.
pub(super) struct Own {
    pub(super) side: OwnSide,
    pub(super) neighbours: Vec<Neighbour>,
    pub(super) credentials: Option<Credentials>,
}

/// Reads what the settings name.
pub(super) fn read(context: &Context, settings: &Settings, passphrase: Option<&Passphrase>) -> Own {
    let at = context.now();
    let certificate =
        settings.certificate.as_ref().map(|(option, path)| named(Role::Certificate, option, path));
    let key = settings.key.as_ref().map(|(option, path)| named(Role::Key, option, path));
    let (mut opened, mut container, mut private) = (Opened::NotTried, None, None);
    if let Some(NamedFile { bytes: Ok(bytes), .. }) = &certificate
        && is_pkcs12(bytes)
    {
        let key;
        (opened, container, key) = open_container(bytes, passphrase);
        private = key.map(OwnKey::File);
    } else if let Some(NamedFile { bytes: Err(Unread::Elsewhere), name, .. }) = &key {
        match OwnKey::open(context, Path::new(name), passphrase) {
            Ok(own) => {
                opened = Opened::Public(own.public_key().spki_der().to_vec());
                private = Some(own);
            }
            Err(failure) => opened = Opened::Unsupported(failure.message().to_owned()),
        }
    } else if let Some(NamedFile { bytes: Ok(bytes), .. }) = key.as_ref().or(certificate.as_ref()) {
        let key;
        (opened, key) = open_key(bytes, passphrase);
        private = key.map(OwnKey::File);
    }
    let store_password = settings.trust_passphrase.as_ref().map(|secret| Passphrase::new(secret.expose()));
    let trust_of = |(option, path): &(String, String)| {
        let mut file = named(Role::Trust, option, path);
        if settings.program == Program::Java {
            file.bytes = file.bytes.and_then(|bytes| java::as_pem(bytes, store_password.as_ref()));
        }
        file
    };
    let mut given = Given {
        program: settings.program,
        certificate,
        encoding: settings.encoding,
        key,
        opened,
        container,
        trust: settings.trust.iter().chain(&settings.extra_trust).map(trust_of).collect(),
        crls: settings.crls.iter().map(|(option, path)| named(Role::RevocationList, option, path)).collect(),
        neighbours: neighbours(settings, at),
    };
    let mut side = read_own_side(&given, at);
    for file in given.key.iter_mut().chain(given.certificate.iter_mut()) {
        if let Ok(bytes) = &mut file.bytes {
            bytes.zeroize();
        }
    }
    side.findings.splice(0..0, settings.findings.iter().cloned());
    side.authority = authority(context);
    side.verification_off = settings.insecure;
    side.restrictions = settings.restrictions();
    side.options = options(settings);
    side.proxy = settings
        .proxy
        .as_ref()
        .map(|(source, url)| Proxy { authority: without_credentials(url), source: source.clone() });
    if settings.trust.is_empty() {
        default_trust(settings.program, &mut side);
    }
    let credentials =
        private.filter(|_| side.can_sign).and_then(|key| key.credentials(side.chain.clone()).ok());
    side.can_sign &= credentials.is_some();
    Own { side, neighbours: given.neighbours, credentials }
}

/// The root of the authority that lives here, where one does: commands are of use that let it issue.
fn authority(context: &Context) -> Vec<Certificate> {
    let Ok(home) = Home::of(context) else { return Vec::new() };
    if !home.exists() {
        return Vec::new();
    }
    crate::input::certificates(&home.anchor()).unwrap_or_default()
}

/// What the client was given, as curl is told it. A passphrase is no part of it.
fn options(settings: &Settings) -> Vec<(String, String)> {
    let mut options = Vec::new();
    let mut option = |name: &str, value: &str| options.push((name.to_owned(), value.to_owned()));
    for (_, path) in &settings.trust {
        option(if Path::new(path).is_dir() { "--capath" } else { "--cacert" }, path);
    }
    if settings.encoding == Encoding::Pkcs12 {
        option("--cert-type", "P12");
    }
    if let Some((_, path)) = &settings.certificate {
        option("--cert", &path.replace(':', "\\:"));
    }
    if let Some((_, path)) = &settings.key {
        option("--key", path);
    }
    for text in &settings.resolve {
        option("--resolve", text);
    }
    for text in &settings.connect_to {
        option("--connect-to", text);
    }
    if let Some(host) = &settings.host_header {
        option("-H", &format!("Host: {host}"));
    }
    options
}

/// A proxy's URL without the user's name and password in it.
fn without_credentials(url: &str) -> String {
    let rest = url.split_once("://").map_or(url, |(_, rest)| rest);
    rest.rsplit_once('@').map_or(rest, |(_, host)| host).trim_end_matches('/').to_owned()
}

/// What the program believes where nothing is said. Which of its own roots Node.js has is not known here; what was
/// added to the system's is no part of them.
fn default_trust(program: Program, side: &mut OwnSide) {
    let store = if program == Program::Java { java::default_store() } else { None };
    match store {
        Some((file, certificates)) => {
            side.default_anchor_file = Some(file.display().to_string());
            side.anchors.extend(certificates);
        }
        None => {
            let system = rustls_native_certs::load_native_certs();
            side.anchors.extend(system.certs.iter().filter_map(|der| Certificate::from_der(der).ok()));
        }
    }
    if !matches!(program.trust_store(), explain::doctor::TrustStore::Own { .. }) {
        return;
    }
    for directory in ADDED_TRUST {
        for path in files_in(Path::new(directory)) {
            let found = crate::input::certificates(&path).unwrap_or_default();
            side.added_anchors.extend(found);
        }
    }
    if side.default_anchor_file.is_some() {
        // What its own file has is not missing in it; what it lacks is told as added to the wrong place.
        side.added_anchors.retain(|added| !side.anchors.contains(added));
        side.anchors.extend(side.added_anchors.iter().cloned());
    }
}

fn named(role: Role, option: &str, path: &str) -> NamedFile {
    NamedFile { role, option: option.to_owned(), name: path.to_owned(), bytes: bytes_of(Path::new(path)) }
}

fn bytes_of(path: &Path) -> Result<Vec<u8>, Unread> {
    if crate::key::reference(path).is_some() {
        return Err(Unread::Elsewhere);
    }
    let failed = |error: io::Error| match error.kind() {
        io::ErrorKind::NotFound => Unread::Missing,
        io::ErrorKind::PermissionDenied => Unread::Denied(facts(path)),
        _ => Unread::Other(crate::input::plain(&error)),
    };
    let metadata = fs::metadata(path).map_err(failed)?;
    if metadata.is_dir() {
        let files = files_in(path);
        let is_hash = |path: &&PathBuf| {
            let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
            name.split_once('.').is_some_and(|(hash, number)| {
                hash.len() == 8 && hash.bytes().all(|b| b.is_ascii_hexdigit()) && number.parse::<u8>().is_ok()
            })
        };
        let hashed = files.iter().filter(is_hash).count();
        let holds = |path: &&PathBuf| {
            fs::read(path).is_ok_and(|bytes| bytes.windows(17).any(|w| w == b"BEGIN CERTIFICATE"))
        };
        let certificates = files.iter().take(MOST_NEIGHBOURS).filter(holds).count();
        return Err(Unread::Directory { certificates, hashed });
    }
    if metadata.len() > LARGEST_NAMED {
        return Err(Unread::Other("it is larger than 64 MiB, which no such file is".to_owned()));
    }
    fs::read(path).map_err(failed)
}

/// Whose a file is, its mode, and who this is.
fn facts(path: &Path) -> String {
    let me = rustix::process::geteuid().as_raw();
    match fs::metadata(path) {
        Ok(metadata) => format!(
            "owner {}, group {}, mode {:04o}; this process runs as user {me}",
            metadata.uid(),
            metadata.gid(),
            metadata.permissions().mode() & 0o7777
        ),
        Err(_) => format!("a directory above it may not be entered by user {me}"),
    }
}

fn is_pkcs12(bytes: &[u8]) -> bool {
    keys::pkcs12::describe_pkcs12(bytes).is_ok()
}

fn open_key(bytes: &[u8], passphrase: Option<&Passphrase>) -> (Opened, Option<PrivateKey>) {
    use keys::encrypted::DecryptKeyError;
    use keys::read::ReadKeyError;
    match keys::read::read_private_key(bytes, passphrase) {
        Ok(key) => (Opened::Public(key.public_key().spki_der().to_vec()), Some(key)),
        Err(ReadKeyError::NeedsPassphrase) => (Opened::NeedsPassphrase, None),
        Err(ReadKeyError::Decrypt(DecryptKeyError::WrongPassphrase)) => (Opened::WrongPassphrase, None),
        Err(ReadKeyError::Key(error)) => (Opened::Unsupported(error.to_string()), None),
        // The engine looks at the bytes itself, and says what they are.
        Err(_) => (Opened::NotTried, None),
    }
}

type Container = (Opened, Option<Vec<Vec<u8>>>, Option<PrivateKey>);

fn open_container(bytes: &[u8], passphrase: Option<&Passphrase>) -> Container {
    use keys::pkcs12::ReadPkcs12Error;
    let empty = Passphrase::new(Vec::new());
    match keys::pkcs12::read_pkcs12(bytes, passphrase.unwrap_or(&empty)) {
        Ok(contents) => {
            let Some(entry) = contents.keys.into_iter().next() else {
                return (Opened::Unsupported("it holds no private key".to_owned()), None, None);
            };
            let public = entry.key.public_key().spki_der().to_vec();
            let mut ders: Vec<Vec<u8>> = contents.certificates.into_iter().map(|c| c.der).collect();
            let is_own = |der: &Vec<u8>| {
                Certificate::from_der(der)
                    .is_ok_and(|c| c.public_key().is_ok_and(|key| key.spki_der() == public))
            };
            if let Some(position) = ders.iter().position(is_own) {
                ders.swap(0, position);
            }
            (Opened::Public(public), Some(ders), Some(entry.key))
        }
        Err(ReadPkcs12Error::WrongPassword) if passphrase.is_none() => (Opened::NeedsPassphrase, None, None),
        Err(ReadPkcs12Error::WrongPassword) => (Opened::WrongPassphrase, None, None),
        Err(error) => (Opened::Unsupported(error.to_string()), None, None),
    }
}

/// What lies beside the named files: a missing intermediate, the right key, the CA.
fn neighbours(settings: &Settings, at: Timestamp) -> Vec<Neighbour> {
    let named: Vec<&str> = [&settings.certificate, &settings.key]
        .into_iter()
        .flatten()
        .chain(&settings.trust)
        .map(|(_, path)| path.as_str())
        .collect();
    let mut directories: Vec<PathBuf> = vec![PathBuf::from(".")];
    for path in &named {
        let parent = Path::new(path).parent().filter(|parent| !parent.as_os_str().is_empty());
        if let Some(parent) = parent.filter(|parent| parent.is_dir())
            && !directories.iter().any(|known| known == parent)
        {
            directories.push(parent.to_owned());
        }
    }
    let mut found = Vec::new();
    for directory in directories {
        for path in files_in(&directory).into_iter().take(MOST_NEIGHBOURS) {
            let shown = path.strip_prefix("./").unwrap_or(&path).display().to_string();
            let is_small = fs::metadata(&path).is_ok_and(|m| m.is_file() && m.len() <= LARGEST_NEIGHBOUR);
            if !is_small {
                continue;
            }
            let Ok(mut bytes) = fs::read(&path) else { continue };
            if bytes.windows(10).any(|w| w == b"-----BEGIN") || bytes.first() == Some(&0x30) {
                found.extend(neighbour(&shown, &bytes, at));
            }
            bytes.zeroize();
        }
    }
    // Copies that CAs keep by serial number come last: people know the others.
    found.sort_by_key(|neighbour| {
        let stem = Path::new(&neighbour.file).file_stem().and_then(|stem| stem.to_str()).unwrap_or_default();
        stem.len() >= 8 && stem.bytes().all(|byte| byte.is_ascii_hexdigit())
    });
    found
}

fn files_in(directory: &Path) -> Vec<PathBuf> {
    let Ok(entries) = fs::read_dir(directory) else { return Vec::new() };
    let mut paths: Vec<PathBuf> = entries.filter_map(Result::ok).map(|entry| entry.path()).collect();
    paths.sort();
    paths
}

/// The encoding that curl's `--cert-type` names.
pub(super) fn encoding(text: Option<&str>) -> Encoding {
    match text.map(str::to_ascii_uppercase).as_deref() {
        Some("P12") => Encoding::Pkcs12,
        Some("DER") => Encoding::Der,
        Some(_) => Encoding::Pem,
        None => Encoding::Any,
    }
}
