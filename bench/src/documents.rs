//! A document of 10 GiB signed and verified, beside `openssl cms` with the same keys. The document is a file of holes, so
//! that both read it from memory, and hashing is what counts.

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};

use crate::Options;
use crate::report::figure;

const SUITE: &str = "documents";
const SIZE: u64 = 10 << 30;

pub(crate) fn run(options: &Options) -> Result<()> {
    println!("documents: 10 GiB, SHA-256 and ECDSA P-256");
    let folder = tempfile::tempdir_in(&options.directory)?;
    let at = |name: &str| folder.path().join(name);
    File::create(at("document"))?.set_len(SIZE)?;
    // Whoever reads it first pays for the pages; neither of the two shall be that.
    io::copy(&mut File::open(at("document"))?, &mut io::sink())?;
    let ours = std::env::current_exe()?.with_file_name("countersign");
    ensure!(ours.exists(), "{} is not built", ours.display());
    let home = at("home");
    let countersign = |words: &str| -> Vec<String> {
        let home = home.display().to_string();
        let fixed = [ours.display().to_string(), "--home".to_owned(), home, "--quiet".to_owned()];
        fixed.into_iter().chain(words.split(' ').map(str::to_owned)).collect()
    };
    let openssl = |words: &str| -> Vec<String> {
        std::iter::once("openssl").chain(words.split(' ')).map(str::to_owned).collect()
    };
    measured(folder.path(), &countersign("init"))?;
    measured(folder.path(), &countersign("issue client alice"))?;
    let tasks = [
        (
            "sign",
            countersign("document sign document --cert alice.pem --out ours.p7s"),
            openssl(
                "cms -sign -binary -in document -signer alice.pem -inkey alice-key.pem -outform DER -out theirs.p7s",
            ),
        ),
        (
            "verify",
            countersign("document verify document --signature ours.p7s --cacert rootCA.pem"),
            openssl(
                "cms -verify -binary -inform DER -in ours.p7s -content document -CAfile rootCA.pem -purpose any -out /dev/null",
            ),
        ),
    ];
    for (task, ours, theirs) in tasks {
        let (time, memory) = measured(folder.path(), &ours)?;
        let (other, others_memory) = measured(folder.path(), &theirs)?;
        let rate = |time: Duration| SIZE as f64 / 1e6 / time.as_secs_f64();
        figure(SUITE, &format!("{task}, countersign"), rate(time), "MB/s", None);
        figure(SUITE, &format!("{task}, openssl cms"), rate(other), "MB/s", None);
        figure(
            SUITE,
            &format!("{task}, of openssl's speed"),
            100.0 * rate(time) / rate(other),
            "%",
            Some("70"),
        );
        figure(SUITE, &format!("{task}, countersign's memory"), memory, "MiB", None);
        figure(SUITE, &format!("{task}, openssl's memory"), others_memory, "MiB", None);
    }
    Ok(())
}

/// How long a command takes, and the most memory it was seen to hold, in MiB.
fn measured(folder: &Path, words: &[String]) -> Result<(Duration, f64)> {
    let begun = Instant::now();
    let mut child = Command::new(&words[0])
        .args(&words[1..])
        .current_dir(folder)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .with_context(|| words[0].clone())?;
    let status_file = PathBuf::from(format!("/proc/{}/status", child.id()));
    let mut most = 0.0_f64;
    loop {
        let status = std::fs::read_to_string(&status_file).unwrap_or_default();
        let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
        let kib = line.and_then(|line| line.split_whitespace().next()?.parse::<f64>().ok());
        most = most.max(kib.unwrap_or(0.0) / 1024.0);
        if let Some(status) = child.try_wait()? {
            ensure!(status.success(), "{} failed", words.join(" "));
            return Ok((begun.elapsed(), most));
        }
        thread::sleep(Duration::from_millis(5));
    }
}
