//! The servers that are compared: how each is configured and started, and what it has used.

use std::fs;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};

/// HTTP is terminated, or octets are passed on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Mode {
    Http,
    Tcp,
}

impl Mode {
    pub(super) fn name(self) -> &'static str {
        match self {
            Mode::Http => "HTTP",
            Mode::Tcp => "TCP",
        }
    }
}

/// A program that is compared.
pub(super) struct Kind {
    pub(super) name: String,
    program: PathBuf,
}

impl Kind {
    pub(super) fn all(binary: &Path) -> Vec<Kind> {
        let of = |name: &str, program: &Path| Kind { name: name.to_owned(), program: program.to_owned() };
        vec![
            of("countersign", binary),
            of("nginx", Path::new("/usr/sbin/nginx")),
            of("haproxy", Path::new("/usr/sbin/haproxy")),
        ]
    }

    pub(super) fn is_installed(&self) -> bool {
        self.program.exists()
    }
}

/// A running server, ended when it is dropped.
pub(super) struct Peer {
    child: Child,
    pub(super) address: SocketAddr,
    _folder: tempfile::TempDir,
}

impl Peer {
    pub(super) fn start(
        kind: &Kind,
        mode: Mode,
        upstream: SocketAddr,
        material: &Path,
    ) -> anyhow::Result<Peer> {
        let address = TcpListener::bind("127.0.0.1:0")?.local_addr()?;
        let folder = tempfile::tempdir()?;
        let mut command = on_one_processor(&kind.program);
        let text = folder.path().join("config");
        match kind.name.as_str() {
            "nginx" => {
                fs::write(&text, nginx(mode, address, upstream, material, folder.path()))?;
                command.arg("-p").arg(folder.path()).arg("-c").arg(&text);
            }
            "haproxy" => {
                fs::write(&text, haproxy(mode, address, upstream, material))?;
                command.arg("-db").arg("-f").arg(&text);
            }
            _ => {
                let scheme = if mode == Mode::Http { "http" } else { "tcp" };
                command
                    .args(["serve", "--log", "off", "--allow-all", "--listen", &address.to_string()])
                    .args(["--to", &format!("{scheme}://{upstream}")])
                    .arg("--cert")
                    .arg(material.join("localhost.pem"))
                    .arg("--key")
                    .arg(material.join("localhost-key.pem"))
                    .arg("--client-ca")
                    .arg(material.join("rootCA.pem"));
            }
        }
        Self::running(command, &kind.name, address, folder)
    }

    /// The gateway with a configuration, which is told its address.
    pub(super) fn configured(
        binary: &Path,
        configuration: impl FnOnce(SocketAddr) -> String,
    ) -> anyhow::Result<Peer> {
        let address = TcpListener::bind("127.0.0.1:0")?.local_addr()?;
        let folder = tempfile::tempdir()?;
        let text = folder.path().join("gateway.toml");
        fs::write(&text, configuration(address))?;
        let mut command = on_one_processor(binary);
        command.arg("serve").arg("--config").arg(&text);
        Self::running(command, "countersign", address, folder)
    }

    fn running(
        mut command: Command,
        name: &str,
        address: SocketAddr,
        folder: tempfile::TempDir,
    ) -> anyhow::Result<Peer> {
        let child = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn();
        let mut peer = Peer { child: child.with_context(|| name.to_owned())?, address, _folder: folder };
        let started = Instant::now();
        while TcpStream::connect(address).is_err() {
            if started.elapsed() > Duration::from_secs(10) || peer.child.try_wait()?.is_some() {
                bail!("{name} did not start (nginx needs its stream module: Debian's libnginx-mod-stream)");
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        Ok(peer)
    }

    /// The process and its workers.
    fn processes(&self) -> Vec<u32> {
        let mut all = vec![self.child.id()];
        let children = fs::read_to_string(format!("/proc/{0}/task/{0}/children", self.child.id()));
        all.extend(children.unwrap_or_default().split_whitespace().filter_map(|id| id.parse::<u32>().ok()));
        all
    }

    /// The processor time used so far. The kernel counts it in hundredths of a second.
    pub(super) fn cpu(&self) -> Duration {
        let ticks: u64 = self
            .processes()
            .iter()
            .filter_map(|id| {
                let stat = fs::read_to_string(format!("/proc/{id}/stat")).ok()?;
                let fields: Vec<&str> = stat.rsplit_once(')')?.1.split_whitespace().collect();
                Some(fields.get(11)?.parse::<u64>().ok()? + fields.get(12)?.parse::<u64>().ok()?)
            })
            .sum();
        Duration::from_millis(ticks * 10)
    }

    /// The memory that is its own, in octets.
    pub(super) fn memory(&self) -> u64 {
        self.processes()
            .iter()
            .filter_map(|id| {
                let status = fs::read_to_string(format!("/proc/{id}/status")).ok()?;
                let line = status.lines().find_map(|line| line.strip_prefix("RssAnon:"))?;
                line.trim().strip_suffix(" kB")?.trim().parse::<u64>().ok()
            })
            .sum::<u64>()
            * 1024
    }
}

/// One processor for the server, where taskset is there; the rest is the generator's.
fn on_one_processor(program: impl AsRef<std::ffi::OsStr>) -> Command {
    if !Path::new("/usr/bin/taskset").exists() {
        return Command::new(program);
    }
    let mut command = Command::new("/usr/bin/taskset");
    command.args(["-c", "0"]).arg(program);
    command
}

impl Drop for Peer {
    fn drop(&mut self) {
        // nginx ends its workers on SIGTERM alone.
        let _ = Command::new("kill").arg(self.child.id().to_string()).status();
        let started = Instant::now();
        while started.elapsed() < Duration::from_secs(3) {
            if matches!(self.child.try_wait(), Ok(Some(_))) {
                return;
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn nginx(mode: Mode, address: SocketAddr, upstream: SocketAddr, material: &Path, folder: &Path) -> String {
    let (at, work) = (material.display(), folder.display());
    let tls = format!(
        "ssl_certificate {at}/localhost.pem; ssl_certificate_key {at}/localhost-key.pem; \
         ssl_client_certificate {at}/rootCA.pem; ssl_verify_client on; ssl_verify_depth 3; \
         ssl_protocols TLSv1.2 TLSv1.3;"
    );
    let common = format!(
        "worker_processes 1; daemon off; user root; pid {work}/pid; error_log {work}/error.log error; \
         worker_rlimit_nofile 20000; events {{ worker_connections 19000; }}\n"
    );
    match mode {
        Mode::Http => format!(
            "{common}http {{ access_log off; client_body_temp_path {work}/b; proxy_temp_path {work}/p; \
             fastcgi_temp_path {work}/f; uwsgi_temp_path {work}/u; scgi_temp_path {work}/s; \
             keepalive_requests 1000000000; keepalive_timeout 300s; client_max_body_size 0; tcp_nodelay on; \
             upstream up {{ server {upstream}; keepalive 512; keepalive_requests 1000000000; }} \
             server {{ listen {address} ssl http2 backlog=4096; {tls} \
             location / {{ proxy_pass http://up; proxy_http_version 1.1; proxy_set_header Connection \"\"; \
             proxy_max_temp_file_size 0; proxy_request_buffering off; proxy_buffer_size 16k; \
             proxy_buffers 8 32k; }} }} }}\n"
        ),
        Mode::Tcp => format!(
            "load_module /usr/lib/nginx/modules/ngx_stream_module.so;\n{common}stream {{ \
             server {{ listen {address} ssl backlog=4096; {tls} proxy_pass {upstream}; \
             proxy_buffer_size 16k; tcp_nodelay on; }} }}\n"
        ),
    }
}

fn haproxy(mode: Mode, address: SocketAddr, upstream: SocketAddr, material: &Path) -> String {
    let (word, alpn, reuse) = match mode {
        Mode::Http => ("http", "alpn h2,http/1.1", "http-reuse always"),
        Mode::Tcp => ("tcp", "", ""),
    };
    let at = material.display();
    format!(
        "global\n  nbthread 1\n  maxconn 9600\n  ssl-default-bind-options ssl-min-ver TLSv1.2\n\
         defaults\n  mode {word}\n  timeout connect 5s\n  timeout client 300s\n  timeout server 300s\n  maxconn 9600\n\
         frontend f\n  bind {address} ssl crt {at}/bundle.pem ca-file {at}/rootCA.pem verify required {alpn}\n  \
         default_backend b\nbackend b\n  {reuse}\n  server s {upstream}\n"
    )
}
