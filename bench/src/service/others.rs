//! What others do in a second, on the same disk: `openssl ca`, which has a database and starts anew for each certificate,
//! and cfssl's API, which keeps none.

use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};

use super::SUITE;
use super::load::{Connection, Material, throughput};
use crate::Options;
use crate::report::figure;

pub(super) fn run(options: &Options, seconds: Duration) -> Result<()> {
    let directory = tempfile::tempdir_in(&options.directory)?;
    let folder = directory.path();
    prepare(folder)?;
    openssl_ca(folder, seconds)?;
    if Command::new("cfssl").arg("version").output().is_err() {
        println!("  cfssl is not installed; its figure is missing (apt-get install golang-cfssl)");
        return Ok(());
    }
    cfssl(folder, seconds)
}

fn openssl(folder: &Path, arguments: &[&str]) -> Result<()> {
    let done = Command::new("openssl").args(arguments).current_dir(folder).output().context("openssl")?;
    ensure!(done.status.success(), "openssl {}: {}", arguments[0], String::from_utf8_lossy(&done.stderr));
    Ok(())
}

/// A CA with a P-256 key, a request, and the configuration that `openssl ca` wants.
fn prepare(folder: &Path) -> Result<()> {
    let curve = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-noenc"];
    let ca =
        ["req", "-x509", "-subj", "/CN=Bench", "-days", "3650", "-keyout", "ca-key.pem", "-out", "ca.pem"];
    openssl(folder, &[&ca[..], &curve].concat())?;
    let client = ["req", "-new", "-subj", "/CN=client", "-keyout", "key.pem", "-out", "request.pem"];
    openssl(folder, &[&client[..], &curve].concat())?;
    let configuration = "[ca]\ndefault_ca = bench\n[bench]\ndatabase = index.txt\nserial = serial\n\
                         new_certs_dir = .\ncertificate = ca.pem\nprivate_key = ca-key.pem\ndefault_md = sha256\n\
                         default_days = 90\npolicy = any\nunique_subject = no\nx509_extensions = client\nrand_serial = yes\n\
                         [any]\ncommonName = supplied\n[client]\nbasicConstraints = critical,CA:FALSE\n\
                         extendedKeyUsage = clientAuth\nsubjectKeyIdentifier = hash\nauthorityKeyIdentifier = keyid\n";
    std::fs::write(folder.join("ca.cnf"), configuration)?;
    std::fs::write(folder.join("index.txt"), "")?;
    Ok(())
}

fn openssl_ca(folder: &Path, seconds: Duration) -> Result<()> {
    let start = Instant::now();
    let mut count = 0_u32;
    while start.elapsed() < seconds {
        openssl(
            folder,
            &["ca", "-batch", "-notext", "-config", "ca.cnf", "-in", "request.pem", "-out", "out.pem"],
        )?;
        count += 1;
    }
    let rate = f64::from(count) / start.elapsed().as_secs_f64();
    figure(SUITE, "openssl ca, one after the other", rate, "a second", None);
    Ok(())
}

/// A child that ends with its bench.
struct Serving(Child);

impl Drop for Serving {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn cfssl(folder: &Path, seconds: Duration) -> Result<()> {
    let address: SocketAddr = TcpListener::bind("127.0.0.1:0")?.local_addr()?;
    let serving = Command::new("cfssl")
        .args(["serve", "-address", "127.0.0.1", "-port", &address.port().to_string()])
        .args(["-ca", "ca.pem", "-ca-key", "ca-key.pem"])
        .current_dir(folder)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()?;
    let _serving = Serving(serving);
    let until = Instant::now() + Duration::from_secs(10);
    while TcpStream::connect(address).is_err() {
        ensure!(Instant::now() < until, "cfssl did not start");
        std::thread::sleep(Duration::from_millis(20));
    }
    let request = std::fs::read_to_string(folder.join("request.pem"))?;
    let body = format!(r#"{{"certificate_request":"{}"}}"#, request.replace('\n', "\\n"));
    let clients = vec![Material::plain(body.into_bytes()); 32];
    let begin = |material: &Material| Connection::plain(address, material);
    let done = throughput(&clients, seconds, begin, Connection::sign_by_cfssl)?;
    figure(
        SUITE,
        "cfssl's API without TLS or a database, 32 connections",
        done.per_second(),
        "a second",
        None,
    );
    Ok(())
}
