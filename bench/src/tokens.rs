//! Signatures a second by keys in a SoftHSM token, through all that countersign does with one: threads, sessions, and the
//! check of each signature.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail, ensure};
use keys::Passphrase;
use keys::pkcs11::{TokenKey, Uri, generate};
use pki::key::{KeyAlgorithm, SigningKey as _};

use crate::Options;
use crate::report::figure;

const PIN: &str = "471147";
/// What says that the surroundings are made.
const MADE: &str = "BENCH_TOKEN";

pub(crate) fn run(options: &Options) -> Result<()> {
    if std::env::var_os(MADE).is_none() {
        return within_a_token(options);
    }
    println!("tokens: SoftHSM, signatures that were verified");
    let module = module().context("SoftHSM's module is not there (apt-get install softhsm2)")?;
    let base = Uri { token: Some("bench".to_owned()), module_path: Some(module), ..Uri::default() };
    for algorithm in [KeyAlgorithm::P256, KeyAlgorithm::P384, KeyAlgorithm::Rsa(2048)] {
        let uri = Uri { object: Some(algorithm.to_string()), ..base.clone() };
        let uri = generate(&uri, Some(Passphrase::new(PIN)), algorithm)?;
        let key = TokenKey::open(&uri, Some(Passphrase::new(PIN)))?;
        for callers in [1, 4, 16] {
            let rate = signatures(&key, callers, Duration::from_secs(options.seconds));
            let target = (algorithm == KeyAlgorithm::P256 && callers == 16).then_some("1000");
            figure(
                "tokens",
                &format!("{algorithm}, {callers} callers at once"),
                rate,
                "signatures/s",
                target,
            );
        }
    }
    Ok(())
}

/// Runs this program again, where SoftHSM finds a token of its own.
fn within_a_token(options: &Options) -> Result<()> {
    let folder = tempfile::tempdir_in(&options.directory)?;
    let tokens = folder.path().join("tokens");
    std::fs::create_dir(&tokens)?;
    let configuration = folder.path().join("softhsm2.conf");
    std::fs::write(
        &configuration,
        format!(
            "directories.tokendir = {}\nobjectstore.backend = file\nlog.level = ERROR\n",
            tokens.display()
        ),
    )?;
    let made = Command::new("softhsm2-util")
        .args(["--init-token", "--free", "--label", "bench", "--pin", PIN, "--so-pin", "990099"])
        .env("SOFTHSM2_CONF", &configuration)
        .output()
        .context("softhsm2-util cannot be run (apt-get install softhsm2)")?;
    ensure!(made.status.success(), "softhsm2-util: {}", String::from_utf8_lossy(&made.stderr));
    let done = Command::new(std::env::current_exe()?)
        .args(["tokens", "--seconds", &options.seconds.to_string()])
        .env("SOFTHSM2_CONF", &configuration)
        .env(MADE, "1")
        .status()?;
    if !done.success() {
        bail!("the measurement failed");
    }
    Ok(())
}

fn module() -> Option<PathBuf> {
    ["/usr/lib/softhsm/libsofthsm2.so", "/usr/lib64/pkcs11/libsofthsm2.so", "/usr/lib/pkcs11/libsofthsm2.so"]
        .iter()
        .map(|path| Path::new(path).to_owned())
        .find(|path| path.exists())
}

fn signatures(key: &TokenKey, callers: usize, time: Duration) -> f64 {
    let made = AtomicU64::new(0);
    let begun = Instant::now();
    thread::scope(|scope| {
        for _ in 0..callers {
            scope.spawn(|| {
                while begun.elapsed() < time {
                    match key.sign(b"a message of ordinary length, as a handshake has it") {
                        Ok(_) => made.fetch_add(1, Ordering::Relaxed),
                        Err(error) => panic!("{error}"),
                    };
                }
            });
        }
    });
    made.load(Ordering::Relaxed) as f64 / begun.elapsed().as_secs_f64()
}
