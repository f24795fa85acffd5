//! `agent.toml`: as it is written, and as it is meant.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use pki::key::KeyAlgorithm;
use pki::name::SubjectNames;
use serde::Deserialize;

use crate::failure::{Failure, OrFail as _};
use crate::input;
use crate::material::Files;

/// The file as it is written.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawConfig {
    metrics: Option<SocketAddr>,
    #[serde(default)]
    certificate: Vec<RawWanted>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawWanted {
    files: PathBuf,
    key_type: Option<String>,
    key_at: Option<String>,
    reload: Option<RawReload>,
    join: Option<RawJoin>,
    acme: Option<RawAcme>,
    est: Option<RawEst>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawReload {
    command: Option<Vec<String>>,
    signal: Option<String>,
    pid_file: Option<PathBuf>,
    unit: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawJoin {
    ca: Option<String>,
    anchors: Option<PathBuf>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawAcme {
    directory: String,
    anchors: Option<PathBuf>,
    #[serde(default)]
    keep_anchors: bool,
    names: Vec<String>,
    profile: Option<String>,
    #[serde(default)]
    contact: Vec<String>,
    account_key: Option<PathBuf>,
    eab_kid: Option<String>,
    eab_key_file: Option<PathBuf>,
    http_listen: Option<SocketAddr>,
    webroot: Option<PathBuf>,
    dns_command: Option<Vec<String>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawEst {
    url: String,
    anchors: Option<PathBuf>,
    #[serde(default)]
    keep_anchors: bool,
    names: Vec<String>,
    user: Option<String>,
    password_file: Option<PathBuf>,
}

/// What is wanted.
pub(super) struct Config {
    pub(super) metrics: Option<SocketAddr>,
    pub(super) certificates: Vec<Wanted>,
}

/// A certificate that is to be kept fresh.
pub(super) struct Wanted {
    /// NAME.pem and NAME-key.pem.
    pub(super) files: Files,
    pub(super) key: KeyAlgorithm,
    /// The reference to a key that stays where it is.
    pub(super) key_at: Option<String>,
    pub(super) reload: Option<Reload>,
    pub(super) source: Source,
}

/// Who is told when it was renewed.
pub(super) enum Reload {
    /// A program with its arguments; no shell.
    Command(Vec<String>),
    /// A signal to the process whose number is in a file.
    Signal(rustix::process::Signal, PathBuf),
    /// A unit of systemd.
    Unit(String),
}

/// Where it comes from.
pub(super) enum Source {
    Join(Join),
    Acme(Acme),
    Est(Est),
}

/// An authority of countersign that the certificate renews itself at.
pub(super) struct Join {
    pub(super) ca: String,
    pub(super) anchors: PathBuf,
}

/// An ACME server.
pub(super) struct Acme {
    pub(super) directory: String,
    pub(super) anchors: Option<PathBuf>,
    /// The same file, where it is kept up to date.
    pub(super) kept_anchors: Option<PathBuf>,
    pub(super) names: Vec<String>,
    pub(super) profile: Option<String>,
    pub(super) contact: Vec<String>,
    pub(super) account_key: PathBuf,
    /// The name of an external account key, and the file with its MAC key.
    pub(super) external: Option<(String, PathBuf)>,
    pub(super) challenge: Option<Challenge>,
}

/// How control of names is shown.
pub(super) enum Challenge {
    /// A web server of our own while it is needed.
    HttpListen(SocketAddr),
    /// A file below a web server's folder.
    Webroot(PathBuf),
    /// A program that is given `present` or `cleanup`, the record's name, and its value.
    DnsCommand(Vec<String>),
}

/// An EST server.
pub(super) struct Est {
    pub(super) url: String,
    pub(super) anchors: Option<PathBuf>,
    /// The same file, where it is kept up to date.
    pub(super) kept_anchors: Option<PathBuf>,
    pub(super) names: Vec<String>,
    pub(super) user: String,
    pub(super) password_file: Option<PathBuf>,
}

impl Config {
    /// Reads a file. Paths in it that are not absolute are beside it.
    pub(super) fn read(path: &Path) -> Result<Self, Failure> {
        let text = String::from_utf8(input::bytes(path)?)
            .map_err(|_| Failure::usage(format!("{} is not UTF-8", path.display())))?;
        let folder = path.parent().unwrap_or(Path::new(""));
        Self::parse(&text, folder).map_err(|failure| failure.fact(format!("in {}", path.display())))
    }

    fn parse(text: &str, folder: &Path) -> Result<Self, Failure> {
        let raw: RawConfig =
            toml::from_str(text).map_err(|error| Failure::usage(error.to_string().trim_end()))?;
        if raw.certificate.is_empty() {
            return Err(Failure::usage("there is no [[certificate]], so nothing would be kept fresh"));
        }
        let mut seen = BTreeSet::new();
        let mut certificates = Vec::new();
        for (index, raw) in raw.certificate.into_iter().enumerate() {
            let shown = raw.files.display().to_string();
            let wanted = wanted(raw, folder)
                .map_err(|failure| failure.fact(format!("certificate {} ({shown})", index + 1)))?;
            if !seen.insert(wanted.files.certificate()) {
                return Err(Failure::usage(format!(
                    "{shown} is wanted twice; each renewal would undo the other"
                )));
            }
            certificates.push(wanted);
        }
        Ok(Config { metrics: raw.metrics, certificates })
    }
}

fn wanted(raw: RawWanted, folder: &Path) -> Result<Wanted, Failure> {
    let at = |path: PathBuf| folder.join(path);
    let files = Files::beside(&at(raw.files.clone())).ok_or_else(|| {
        Failure::usage(format!("files = \"{}\": name a file NAME.pem", raw.files.display()))
    })?;
    let key = raw.key_type.as_deref().unwrap_or("p256").parse::<KeyAlgorithm>().or_usage()?;
    if let Some(reference) = &raw.key_at
        && crate::key::reference(Path::new(reference)).is_none()
    {
        return Err(Failure::usage(format!(
            "key_at = \"{reference}\": it is no reference to a key in a token or behind a signer (pkcs11:…, command:… or \
             https+signer:…)"
        )));
    }
    let source = match (raw.join, raw.acme, raw.est) {
        (Some(join), None, None) => Source::Join(joined(join, &files, folder)?),
        (None, Some(acme), None) => Source::Acme(by_acme(acme, &files, folder)?),
        (None, None, Some(est)) => Source::Est(by_est(est, folder)?),
        _ => return Err(Failure::usage("exactly one of join, acme and est says where it comes from")),
    };
    let reload = raw.reload.map(|raw| reload(raw, folder)).transpose()?;
    Ok(Wanted { files, key, key_at: raw.key_at, reload, source })
}

fn reload(raw: RawReload, folder: &Path) -> Result<Reload, Failure> {
    match (raw.command, raw.signal, raw.pid_file, raw.unit) {
        (Some(command), None, None, None) if !command.is_empty() => Ok(Reload::Command(command)),
        (None, Some(signal), Some(pid_file), None) => {
            Ok(Reload::Signal(signal_of(&signal)?, folder.join(pid_file)))
        }
        (None, None, None, Some(unit)) if !unit.is_empty() && !unit.starts_with('-') => {
            Ok(Reload::Unit(unit))
        }
        _ => Err(Failure::usage(
            "reload is one of { command = [\"program\", \"argument\"] }, \
                                 { signal = \"HUP\", pid_file = \"/run/x.pid\" } and { unit = \"x.service\" }",
        )),
    }
}

fn signal_of(name: &str) -> Result<rustix::process::Signal, Failure> {
    use rustix::process::Signal;
    match name.strip_prefix("SIG").unwrap_or(name) {
        "HUP" => Ok(Signal::HUP),
        "USR1" => Ok(Signal::USR1),
        "USR2" => Ok(Signal::USR2),
        "WINCH" => Ok(Signal::WINCH),
        _ => Err(Failure::usage(format!(
            "signal = \"{name}\": use HUP, USR1, USR2 or WINCH, which mean 'reload'"
        ))),
    }
}

/// What `join` wrote beside the certificate says where it came from.
fn joined(raw: RawJoin, files: &Files, folder: &Path) -> Result<Join, Failure> {
    let ca = match raw.ca {
        Some(ca) => ca,
        None => {
            let note = files.directory.join(format!("{}-ca.json", files.stem));
            let value: serde_json::Value = serde_json::from_slice(&input::bytes(&note)?)
                .map_err(|error| Failure::usage(format!("{}: {error}", note.display())))?;
            let ca = value["ca"].as_str().map(str::to_owned);
            ca.ok_or_else(|| {
                Failure::usage(format!("{} does not say where the authority is", note.display()))
            })?
        }
    };
    https(&ca)?;
    let anchors = raw.anchors.map_or_else(|| files.anchor(), |path| folder.join(path));
    Ok(Join { ca: ca.trim_end_matches('/').to_owned(), anchors })
}

fn by_acme(raw: RawAcme, files: &Files, folder: &Path) -> Result<Acme, Failure> {
    https(&raw.directory)?;
    if raw.names.is_empty() {
        return Err(Failure::usage("acme.names is empty: name who or what the certificate is for"));
    }
    let at = |path: PathBuf| folder.join(path);
    let external = match (raw.eab_kid, raw.eab_key_file) {
        (Some(kid), Some(file)) => Some((kid, at(file))),
        (None, None) => None,
        _ => return Err(Failure::usage("acme.eab_kid and acme.eab_key_file go together")),
    };
    let challenge = match (raw.http_listen, raw.webroot, raw.dns_command) {
        (Some(address), None, None) => Some(Challenge::HttpListen(address)),
        (None, Some(root), None) => Some(Challenge::Webroot(at(root))),
        (None, None, Some(command)) if !command.is_empty() => Some(Challenge::DnsCommand(command)),
        (None, None, None) => None,
        _ => {
            return Err(Failure::usage(
                "at most one of acme.http_listen, acme.webroot and acme.dns_command is used",
            ));
        }
    };
    let own_key = || files.directory.join(format!("{}-acme-account-key.pem", files.stem));
    let anchors = raw.anchors.map(at);
    Ok(Acme {
        directory: raw.directory,
        kept_anchors: kept("acme", raw.keep_anchors, anchors.as_ref())?,
        anchors,
        names: raw.names,
        profile: raw.profile,
        contact: raw.contact,
        account_key: raw.account_key.map_or_else(own_key, |path| match crate::key::reference(&path) {
            Some(_) => path,
            None => at(path),
        }),
        external,
        challenge,
    })
}

fn by_est(raw: RawEst, folder: &Path) -> Result<Est, Failure> {
    https(&raw.url)?;
    let Some(first) = raw.names.first() else {
        return Err(Failure::usage("est.names is empty: name who or what the certificate is for"));
    };
    SubjectNames::for_client(first).or_usage()?;
    let at = |path: PathBuf| folder.join(path);
    let anchors = raw.anchors.map(at);
    Ok(Est {
        url: raw.url.trim_end_matches('/').to_owned(),
        kept_anchors: kept("est", raw.keep_anchors, anchors.as_ref())?,
        anchors,
        names: raw.names,
        user: raw.user.unwrap_or_else(|| "countersign".to_owned()),
        password_file: raw.password_file.map(at),
    })
}

/// The file that is kept up to date. What the system believes is not the agent's to change.
fn kept(what: &str, keeps: bool, anchors: Option<&PathBuf>) -> Result<Option<PathBuf>, Failure> {
    match (keeps, anchors) {
        (false, _) => Ok(None),
        (true, Some(file)) => Ok(Some(file.clone())),
        (true, None) => Err(Failure::usage(format!(
            "{what}.keep_anchors keeps a file up to date, and {what}.anchors names none"
        ))),
    }
}

/// Certificates are not asked for where anybody could answer.
fn https(url: &str) -> Result<(), Failure> {
    if url.starts_with("https://") {
        return Ok(());
    }
    Err(Failure::usage(format!("'{url}' is no https:// URL")))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<Config, String> {
        Config::parse(text, Path::new("/etc/mtls")).map_err(|failure| failure.message().to_owned())
    }

    const ACME: &str = "[[certificate]]\nfiles = \"web.pem\"\n[certificate.acme]\n\
                        directory = \"https://ca.test/acme/directory\"\nnames = [\"web.test\"]\n";

    #[test]
    fn paths_are_beside_the_file_and_the_rest_has_its_usual_value() {
        let config = parse(ACME).expect("it is right");
        let [wanted] = &config.certificates[..] else { panic!("one") };
        assert_eq!(wanted.files.certificate(), Path::new("/etc/mtls/web.pem"));
        assert_eq!(wanted.key, KeyAlgorithm::P256);
        let Source::Acme(acme) = &wanted.source else { panic!("ACME") };
        assert_eq!(acme.account_key, Path::new("/etc/mtls/web-acme-account-key.pem"));
        assert!(acme.challenge.is_none() && acme.external.is_none());
    }

    #[test]
    fn what_is_wrong_is_named() {
        for (text, expected) in [
            ("", "no [[certificate]]"),
            ("[[certificate]]\nfiles = \"a.pem\"\n", "exactly one of join, acme and est"),
            ("[[certificate]]\nfiles = \"a.crt\"\njoin = { ca = \"https://a.test\" }\n", "NAME.pem"),
            ("[[certificate]]\nfile = \"a.pem\"\n", "unknown field"),
            ("[[certificate]]\nfiles = \"a.pem\"\njoin = { ca = \"http://a.test\" }\n", "no https:// URL"),
            (
                "[[certificate]]\nfiles = \"a.pem\"\nkey_type = \"rsa1024\"\njoin = { ca = \"https://a.test\" }\n",
                "rsa1024",
            ),
            (
                "[[certificate]]\nfiles = \"a.pem\"\nkey_at = \"a-key.pem\"\njoin = { ca = \"https://a.test\" }\n",
                "no reference to a key",
            ),
            (
                "[[certificate]]\nfiles = \"a.pem\"\njoin = { ca = \"https://a.test\" }\nreload = { signal = \"HUP\" }\n",
                "reload is one of",
            ),
            (
                "[[certificate]]\nfiles = \"a.pem\"\njoin = { ca = \"https://a.test\" }\n\
                 reload = { signal = \"KILL\", pid_file = \"x\" }\n",
                "HUP, USR1",
            ),
            (&format!("{ACME}{ACME}"), "wanted twice"),
            (&format!("{ACME}keep_anchors = true\n"), "acme.anchors names none"),
            (&format!("{ACME}eab_kid = \"x\"\n"), "go together"),
            (&format!("{ACME}webroot = \"x\"\nhttp_listen = \"0.0.0.0:80\"\n"), "at most one"),
        ] {
            let error = parse(text).err().unwrap_or_default();
            assert!(error.contains(expected), "{text}\n{error}");
        }
    }
}
