//! A PostgreSQL cluster of the distribution's, for as long as a test process lives: in a folder of its own, reached by a
//! unix socket alone. PostgreSQL refuses to run as root, so as root it runs as `postgres` or `nobody`.

use std::path::{Path, PathBuf};
use std::process::{ChildStdin, Command, Stdio};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};

/// A running cluster.
pub(crate) struct Cluster {
    binaries: PathBuf,
    folder: PathBuf,
    /// Where it listens beside its socket; 0 for nowhere.
    port: u16,
    /// Ends the server when this process ends, however it does: what reads it stops the server at its end.
    _alive: ChildStdin,
}

/// The newest of the distribution's.
fn binaries() -> Option<PathBuf> {
    let versions = std::fs::read_dir("/usr/lib/postgresql").ok()?;
    let mut found: Vec<(u32, PathBuf)> = versions
        .filter_map(|entry| {
            let entry = entry.ok()?;
            let version = entry.file_name().to_str()?.parse().ok()?;
            let folder = entry.path().join("bin");
            folder.join("initdb").exists().then_some((version, folder))
        })
        .collect();
    found.sort();
    Some(found.pop()?.1)
}

/// A command that runs as somebody who is not root.
fn unprivileged(program: &Path) -> Command {
    if !rustix::process::getuid().is_root() {
        return Command::new(program);
    }
    let has = |name: &str| {
        Command::new("id")
            .arg(name)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .status()
            .is_ok_and(|s| s.success())
    };
    let user = if has("postgres") { "postgres" } else { "nobody" };
    let mut command = Command::new("setpriv");
    command.args(["--reuid", user, "--regid", "nogroup", "--clear-groups"]).arg(program);
    command
}

/// A port that nobody listened on a moment ago.
fn free_port() -> u16 {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    listener.local_addr().unwrap().port()
}

impl Cluster {
    /// The cluster of this process; `None` where PostgreSQL is not installed.
    pub(crate) fn shared() -> Option<&'static Cluster> {
        static CLUSTER: OnceLock<Option<Cluster>> = OnceLock::new();
        CLUSTER.get_or_init(Cluster::start).as_ref()
    }

    /// Makes and starts one, reached by its socket alone.
    pub(crate) fn start() -> Option<Self> {
        let cluster = Self::make(0)?;
        cluster.control("start");
        Some(cluster)
    }

    /// One that listens on this machine's own address too, without TLS.
    pub(crate) fn start_on_tcp() -> Option<Self> {
        let cluster = Self::make(free_port())?;
        cluster.control("start");
        Some(cluster)
    }

    /// One that is reached over TLS by those alone who have a certificate under `root` with the name of their user.
    pub(crate) fn start_with_tls(server: &testkit::TestIdentity, root: String) -> Option<Self> {
        let cluster = Self::make(free_port())?;
        let chain: String = server.chain_below().iter().map(pki::Certificate::to_pem).collect();
        let own = server.certificate.to_pem() + &chain;
        for (name, text) in
            [("server.pem", own), ("server-key.pem", server.key.pkcs8_pem()), ("root.pem", root)]
        {
            cluster.put(name, &text);
        }
        let configuration = "ssl = on\nssl_cert_file = 'server.pem'\nssl_key_file = 'server-key.pem'\n\
                             ssl_ca_file = 'root.pem'\n";
        cluster.put("postgresql.auto.conf", configuration);
        let rules = "local all all trust\nhostssl all all 127.0.0.1/32 cert\nhostssl all all ::1/128 cert\n";
        cluster.put("pg_hba.conf", rules);
        cluster.control("start");
        Some(cluster)
    }

    /// Writes a file into the data as its server, and for it alone.
    fn put(&self, name: &str, text: &str) {
        let mut command = unprivileged(Path::new("sh"));
        command.current_dir("/").args(["-c", "umask 077; rm -f \"$1\"; cat >\"$1\"", "sh"]);
        let mut child = command.arg(self.data().join(name)).stdin(Stdio::piped()).spawn().unwrap();
        std::io::Write::write_all(&mut child.stdin.take().unwrap(), text.as_bytes()).unwrap();
        assert!(child.wait().unwrap().success(), "{name}");
    }

    /// Makes one that is not started.
    #[allow(
        clippy::zombie_processes,
        reason = "the guard is there to outlive this process, and ends by itself"
    )]
    fn make(port: u16) -> Option<Self> {
        let binaries = binaries()?;
        let folder = tempfile::Builder::new().prefix("csgn-pg").tempdir().unwrap().keep();
        // Whoever runs it must reach it.
        let open = std::os::unix::fs::PermissionsExt::from_mode(0o777);
        std::fs::set_permissions(&folder, open).unwrap();
        let script = "cat >/dev/null; test -f \"$1/data/postmaster.pid\" && \
                      kill -INT \"$(head -n1 \"$1/data/postmaster.pid\")\"; \
                      while test -f \"$1/data/postmaster.pid\"; do sleep 0.05; done; rm -rf \"$1\"";
        let mut guard = Command::new("sh")
            .args(["-c", script, "sh"])
            .arg(&folder)
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let _alive = guard.stdin.take().unwrap();
        let cluster = Cluster { binaries, folder, port, _alive };
        let made = unprivileged(&cluster.binaries.join("initdb"))
            .current_dir("/")
            .args([
                "--auth=trust",
                "--username=countersign",
                "--encoding=UTF8",
                "--locale=C.UTF-8",
                "--no-sync",
                "-D",
            ])
            .arg(cluster.data())
            .stdout(Stdio::null())
            .output()
            .unwrap();
        assert!(made.status.success(), "initdb: {}", String::from_utf8_lossy(&made.stderr));
        Some(cluster)
    }

    fn data(&self) -> PathBuf {
        self.folder.join("data")
    }

    /// `pg_ctl` with this word, waited for.
    pub(crate) fn control(&self, word: &str) {
        let addresses =
            if self.port == 0 { String::new() } else { format!("localhost' -c port='{}", self.port) };
        let folder = self.folder.display();
        let options = format!("-c listen_addresses='{addresses}' -c unix_socket_directories='{folder}'");
        let mut command = unprivileged(&self.binaries.join("pg_ctl"));
        command.current_dir("/").arg(word).arg("-D").arg(self.data()).args(["-w", "-s", "-m", "immediate"]);
        if word != "stop" {
            command.args(["-o", &options, "-l"]).arg(self.folder.join("log"));
        }
        let done = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).status().unwrap();
        assert!(done.success() || word == "stop", "pg_ctl {word} failed");
    }

    /// The address by name of the database that is there from the beginning.
    pub(crate) fn tls_database(&self) -> String {
        format!("postgres://countersign@localhost:{}/postgres", self.port)
    }

    /// Whether every connection by an address is over TLS, as the server sees it.
    pub(crate) fn every_connection_is_encrypted(&self) -> bool {
        let by_socket =
            format!("host={} port={} user=countersign dbname=postgres", self.folder.display(), self.port);
        let mut client = postgres::Client::connect(&by_socket, postgres::NoTls).unwrap();
        let sql =
            "SELECT count(*), count(*) FILTER (WHERE ssl) FROM pg_stat_ssl JOIN pg_stat_activity USING (pid)
                   WHERE client_addr IS NOT NULL";
        let row = client.query_one(sql, &[]).unwrap();
        let (all, encrypted): (i64, i64) = (row.get(0), row.get(1));
        all > 0 && all == encrypted
    }

    /// The address of a new, empty database.
    pub(crate) fn database(&self) -> String {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let name = format!("test{}", NEXT.fetch_add(1, Ordering::Relaxed));
        let folder = self.folder.display();
        let mut client = postgres::Client::connect(
            &format!("host={folder} user=countersign dbname=postgres"),
            postgres::NoTls,
        )
        .unwrap();
        client.batch_execute(&format!("CREATE DATABASE {name}")).unwrap();
        format!("host={folder} user=countersign dbname={name}")
    }
}
