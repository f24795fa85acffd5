//! What is measured: `countersign ca serve` in a process of its own, on SQLite or on a PostgreSQL of its own, and the
//! certificates of its clients.

use std::io::{BufRead as _, BufReader};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, Result, bail, ensure};
use rustls::RootCertStore;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};

use super::load::Material;
use crate::authority::request;

/// A running service, ended when it is dropped.
pub(super) struct Server {
    child: Child,
    binary: PathBuf,
    directory: PathBuf,
    store: Option<String>,
    pub(super) address: SocketAddr,
    pub(super) status: SocketAddr,
    pub(super) roots: Arc<RootCertStore>,
}

impl Server {
    /// Makes an authority in this directory, with its memory there or in the database at `store`, and serves it.
    pub(super) fn start(binary: &Path, directory: &Path, store: Option<&str>) -> Result<Self> {
        let made = command(binary, directory, store)
            .args(["--quiet", "init", "--name", "Bench", "--no-constraints"])
            .output()?;
        ensure!(made.status.success(), "init: {}", String::from_utf8_lossy(&made.stderr));
        let mut child = command(binary, directory, store)
            .args(["ca", "serve", "--listen", "127.0.0.1:0", "--status-listen", "127.0.0.1:0"])
            .stdin(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()?;
        let lines = BufReader::new(child.stderr.take().context("the service says nothing")?).lines();
        let mut found: Vec<SocketAddr> = Vec::new();
        let mut said = Vec::new();
        let mut lines = lines.map_while(Result::ok);
        for line in lines.by_ref() {
            let plain = line.replace("https://localhost:", "127.0.0.1:").replace("http://", "");
            found.extend(plain.split([' ', ',']).find_map(|word| word.parse::<SocketAddr>().ok()));
            said.push(line);
            if said.iter().any(|line| line.contains("Ctrl-C")) {
                break;
            }
        }
        // What else it says has to go somewhere.
        std::thread::spawn(move || lines.for_each(drop));
        let [address, status] = found[..] else { bail!("the service did not start: {}", said.join("\n")) };
        let mut roots = RootCertStore::empty();
        for root in CertificateDer::pem_file_iter(directory.join("home/rootCA.pem"))? {
            roots.add(root?)?;
        }
        Ok(Server {
            child,
            binary: binary.to_owned(),
            directory: directory.to_owned(),
            store: store.map(str::to_owned),
            address,
            status,
            roots: Arc::new(roots),
        })
    }

    /// So many clients, each with a certificate and a request for the next.
    pub(super) fn clients(&self, count: usize) -> Result<Vec<Material>> {
        (0..count).map(|number| self.client(&format!("client-{number}"))).collect()
    }

    fn client(&self, name: &str) -> Result<Material> {
        let (certificate, key) = self.issued(name)?;
        let chain = CertificateDer::pem_file_iter(certificate)?.collect::<Result<_, _>>()?;
        Ok(Material::new(chain, PrivateKeyDer::from_pem_file(key)?, request(name)?))
    }

    /// The files of a client, which are made once.
    fn issued(&self, name: &str) -> Result<(PathBuf, PathBuf)> {
        let file = |suffix: &str| self.directory.join(format!("{name}{suffix}.pem"));
        if !file("").exists() {
            let mut issuing = command(&self.binary, &self.directory, self.store.as_deref());
            let issued =
                issuing.args(["--quiet", "issue", "client", name, "--out"]).arg(&self.directory).output()?;
            ensure!(issued.status.success(), "issue: {}", String::from_utf8_lossy(&issued.stderr));
        }
        Ok((file(""), file("-key")))
    }

    /// A request for the status of a client's certificate, as openssl makes it.
    pub(super) fn ocsp_request(&self) -> Result<Vec<u8>> {
        let (certificate, _) = self.issued("client-0")?;
        let issuing = self.directory.join("issuing.pem");
        let chain = std::fs::read_to_string(&certificate)?;
        let second = chain.match_indices("-----BEGIN").nth(1).context("a certificate without its issuer")?.0;
        std::fs::write(&issuing, &chain[second..])?;
        let out = self.directory.join("request.der");
        let made = Command::new("openssl")
            .args(["ocsp", "-sha256", "-no_nonce", "-issuer"])
            .arg(&issuing)
            .arg("-cert")
            .arg(&certificate)
            .arg("-reqout")
            .arg(&out)
            .output()
            .context("openssl, which makes the request")?;
        ensure!(made.status.success(), "openssl ocsp: {}", String::from_utf8_lossy(&made.stderr));
        Ok(std::fs::read(out)?)
    }

    /// The processor time that it has used.
    pub(super) fn cpu(&self) -> Duration {
        cpu_of(self.child.id())
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // It has ended already where this fails.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn command(binary: &Path, directory: &Path, store: Option<&str>) -> Command {
    let mut command = Command::new(binary);
    command.env("COUNTERSIGN_HOME", directory.join("home")).current_dir(directory).stdout(Stdio::null());
    command.env_remove("COUNTERSIGN_STORE");
    if let Some(store) = store {
        command.env("COUNTERSIGN_STORE", store);
    }
    command
}

/// User and system time in ticks of a hundredth of a second (proc(5)).
fn cpu_of(process: u32) -> Duration {
    let text = std::fs::read_to_string(format!("/proc/{process}/stat")).unwrap_or_default();
    let behind = text.rsplit_once(") ").map(|(_, rest)| rest).unwrap_or_default();
    let ticks: u64 = behind.split(' ').skip(11).take(2).filter_map(|field| field.parse::<u64>().ok()).sum();
    Duration::from_millis(ticks * 10)
}

/// A PostgreSQL cluster of the distribution's, on a unix socket, with its usual durability.
pub(crate) struct Cluster {
    binaries: PathBuf,
    folder: PathBuf,
    pub(crate) url: String,
}

impl Cluster {
    /// `None` where PostgreSQL is not installed.
    pub(crate) fn start() -> Result<Option<Self>> {
        let versions = std::fs::read_dir("/usr/lib/postgresql").into_iter().flatten().filter_map(Result::ok);
        let mut folders: Vec<PathBuf> = versions
            .map(|version| version.path().join("bin"))
            .filter(|bin| bin.join("initdb").exists())
            .collect();
        folders.sort();
        let Some(binaries) = folders.pop() else { return Ok(None) };
        // Whoever runs it must reach it, which the folder of the sources may not allow.
        let folder = tempfile::Builder::new().prefix("csgn-pg").tempdir_in("/var/tmp")?.keep();
        std::fs::set_permissions(&folder, std::os::unix::fs::PermissionsExt::from_mode(0o777))?;
        let url =
            format!("postgres://countersign@{}/postgres", folder.display().to_string().replace('/', "%2F"));
        let cluster = Cluster { binaries, folder, url };
        let made = unprivileged(&cluster.binaries.join("initdb"))
            .args(["--auth=trust", "--username=countersign", "--encoding=UTF8", "-D"])
            .arg(cluster.folder.join("data"))
            .output()?;
        ensure!(made.status.success(), "initdb: {}", String::from_utf8_lossy(&made.stderr));
        ensure!(cluster.control("start")?, "PostgreSQL did not start");
        Ok(Some(cluster))
    }

    fn control(&self, word: &str) -> Result<bool> {
        let folder = self.folder.display();
        let mut command = unprivileged(&self.binaries.join("pg_ctl"));
        command.args([word, "-w", "-s", "-m", "immediate", "-D"]).arg(self.folder.join("data"));
        if word == "start" {
            let options = format!("-c listen_addresses='' -c unix_socket_directories='{folder}'");
            command.args(["-o", &options, "-l"]).arg(self.folder.join("log"));
        }
        Ok(command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).status()?.success())
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        // Nothing of it is needed any more, whichever way it ends.
        let _ = self.control("stop");
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}

/// A command as somebody who is not root, whom PostgreSQL refuses to run as.
fn unprivileged(program: &Path) -> Command {
    let is_root = Command::new("id").arg("-u").output().is_ok_and(|id| id.stdout.starts_with(b"0\n"));
    let mut command = Command::new(if is_root { Path::new("setpriv") } else { program });
    if is_root {
        command.args(["--reuid", "nobody", "--regid", "nogroup", "--clear-groups"]).arg(program);
    }
    command.current_dir("/");
    command
}
