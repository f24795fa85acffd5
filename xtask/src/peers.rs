//! The programs of others that interop cases talk to: which there are, which Debian package brings each, and
//! how a missing one is installed.
//!
//! Installing happens only as root on Debian or Ubuntu, and only what is missing: a Node.js that somebody put
//! on PATH stays the one that is tested. Everywhere else the missing ones are named, with the command to type.

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, bail};

use crate::packages;
use crate::process::find_program;

/// A program that a case may name in its `# needs:` line.
pub(crate) struct Peer {
    /// The name it is called by.
    pub(crate) program: &'static str,
    /// The Debian package that brings it; several, where it is of no use without the others.
    pub(crate) package: &'static str,
    /// The system service that the package would start, if any; it is kept from starting.
    service: Option<&'static str>,
    /// What it stands for in the cases.
    pub(crate) role: &'static str,
}

const fn peer(program: &'static str, package: &'static str, role: &'static str) -> Peer {
    Peer { program, package, service: None, role }
}

/// Every program that a case may need. Which case needs which stands in the cases; here is what each is for.
#[rustfmt::skip] // One line a program reads as the table it is.
pub(crate) const PEERS: &[Peer] = &[
    peer("/usr/share/java/bcpkix.jar", "libbcpkix-java", "Bouncy Castle, whose classes hold an EST client"),
    peer("acme-tiny",   "acme-tiny",            "acme-tiny, two hundred lines of Python"),
    Peer { program: "apache2", package: "apache2", service: Some("apache2"), role: "Apache, with mod_ssl" },
    peer("cc",          "gcc",                  "a C compiler, for a module of PKCS#11 that a case makes"),
    peer("certbot",     "certbot",              "the ACME client of the EFF"),
    peer("certtool",    "gnutls-bin",           "GnuTLS as a reader of PKCS#12"),
    peer("certutil",    "libnss3-tools",        "NSS: the trust store of Firefox and Chromium"),
    peer("chromium",    "chromium",             "a browser, for pages of ours"),
    peer("curl",        "curl",                 "the client that everyone tries first"),
    peer("dbus-run-session", "dbus",            "a message bus of its own for one program, and no system's"),
    peer("dehydrated",  "dehydrated",           "an ACME client in shell"),
    peer("faketime",    "faketime",             "a clock that jumps"),
    peer("firefox-esr", "firefox-esr",          "a browser with NSS's own database of certificates"),
    peer("gnutls-cli",  "gnutls-bin",           "GnuTLS as a client"),
    peer("gnutls-serv", "gnutls-bin",           "GnuTLS as a server"),
    peer("go",          "golang-go",            "Go, whose sources hold a verifier of transparency logs"),
    Peer { program: "haproxy", package: "haproxy", service: Some("haproxy"), role: "the load balancer in front of many services" },
    peer("java",        "default-jdk-headless", "Java's own TLS, JSSE"),
    peer("javac",       "default-jdk-headless", "starts a Java program from its source"),
    peer("keytool",     "default-jre-headless", "Java's key and trust stores"),
    peer("lego",        "lego",                 "an ACME client in Go"),
    Peer { program: "nginx", package: "nginx", service: Some("nginx"), role: "the server in front of most services" },
    peer("node",        "nodejs",               "Node.js, https server and client"),
    peer("openssl",     "openssl",              "OpenSSL: verify, s_client, s_server, x509, pkcs12"),
    peer("pebble",      "pebble",               "the reference ACME server"),
    peer("pebble-challtestsrv", "pebble", "a resolver whose answers a case sets"),
    Peer { program: "pg_ctlcluster", package: "postgresql", service: Some("postgresql"), role: "PostgreSQL, the memory that replicas share" },
    peer("pk12util",    "libnss3-tools",        "NSS as a reader of PKCS#12"),
    peer("pkcs11-tool", "opensc",               "OpenSC, the tool for tokens of all makers"),
    peer("psql",        "postgresql-client",    "PostgreSQL's own client"),
    peer("python3",     "python3",              "Python's ssl module, with the strict rules of 3.13"),
    peer("setpriv",     "util-linux",           "an unprivileged user, for cases that run as root"),
    peer("softhsm2-util", "softhsm2",           "SoftHSM, a token in software behind PKCS#11"),
    peer("strace",      "strace",               "system calls that fail when a case wants them to"),
    peer("swtpm",       "swtpm",                "a TPM 2.0 in software"),
    peer("systemd-analyze", "systemd",          "what systemd thinks of a unit"),
    peer("systemd-socket-activate", "systemd", "systemd's way of passing sockets, without systemd as init"),
    peer("testssl",     "testssl.sh",           "testssl.sh, which knows the attacks on TLS by name"),
    Peer { program: "tpm2-abrmd", package: "tpm2-abrmd libtss2-tcti-tabrmd0 libtss2-tcti-swtpm0", service: Some("tpm2-abrmd"), role: "the resource manager of TPM 2.0" },
    peer("tpm2_ptool",  "libtpm2-pkcs11-tools libtpm2-pkcs11-1 tpm2-tools", "PKCS#11 of TPM 2.0: tpm2-pkcs11"),
    peer("tshark",      "tshark",               "Wireshark's dissectors"),
    peer("tstclnt",     "libnss3-tools",        "NSS as a TLS client"),
    peer("uacme",       "uacme",                "an ACME client in C"),
    peer("unshare",     "util-linux",           "a file system view of its own, for a system's trust store"),
    peer("update-ca-certificates", "ca-certificates", "Debian's trust store"),
];

/// The peer of that name, if it is in the table.
pub(crate) fn find(program: &str) -> Option<&'static Peer> {
    PEERS.iter().find(|peer| peer.program == program)
}

/// Which of `needed`, programs and packages, are not on this machine.
pub(crate) fn missing<'a>(needed: impl IntoIterator<Item = &'a str>) -> BTreeSet<&'a str> {
    let is_here = |word: &str| {
        if packages::is_one(word) { packages::is_installed(word) } else { find_program(word).is_some() }
    };
    needed.into_iter().filter(|word| !is_here(word)).collect()
}

/// The packages that bring `programs`, each once. A name that is not in the table stands for itself: the case
/// that needs it is reported by tidy, and the reader of a message is told the name at least.
pub(crate) fn debian_packages<'a>(programs: impl IntoIterator<Item = &'a str>) -> BTreeSet<&'a str> {
    let programs = programs.into_iter().filter(|word| !packages::is_one(word));
    programs.flat_map(|program| find(program).map_or(program, |peer| peer.package).split(' ')).collect()
}

/// The command that installs the packages of `programs`, for a person to type.
pub(crate) fn install_command<'a>(programs: impl IntoIterator<Item = &'a str>) -> String {
    let packages: Vec<&str> = debian_packages(programs).into_iter().collect();
    format!("sudo apt-get install {}", packages.join(" "))
}

/// Is installing ours to do: root, on a system whose packages the table names?
pub(crate) fn may_install() -> bool {
    let release = fs::read_to_string("/etc/os-release").unwrap_or_default();
    rustix::process::geteuid().is_root() && is_debian_family(&release) && find_program("apt-get").is_some()
}

fn is_debian_family(os_release: &str) -> bool {
    os_release
        .lines()
        .filter_map(|line| line.strip_prefix("ID=").or_else(|| line.strip_prefix("ID_LIKE=")))
        .flat_map(|value| value.trim_matches('"').split_whitespace())
        .any(|id| id == "debian" || id == "ubuntu")
}

/// Installs the packages of `programs` with apt-get, without letting a service of theirs start.
pub(crate) fn install(programs: &BTreeSet<&str>) -> anyhow::Result<()> {
    let packages = debian_packages(programs.iter().copied());
    let _no_services = NoServices::new(Path::new("/usr/sbin/policy-rc.d"))?;
    apt_get(&["update", "-qq"])?;
    let mut arguments = vec!["install", "-qq", "-y", "--no-install-recommends"];
    arguments.extend(packages);
    apt_get(&arguments)?;
    for peer in services(programs) {
        // Without these it would come up with the next boot, or runs already where a policy of the machine
        // let it. Where there is no init system there is neither tool, and nothing to disable.
        let Some(service) = peer.service else { continue };
        for (tool, arguments) in [("update-rc.d", [service, "disable"]), ("invoke-rc.d", [service, "stop"])] {
            if let Some(tool) = find_program(tool) {
                let _ = Command::new(tool).args(arguments).status();
            }
        }
    }
    Ok(())
}

fn services(programs: &BTreeSet<&str>) -> Vec<&'static Peer> {
    PEERS.iter().filter(|peer| peer.service.is_some() && programs.contains(peer.program)).collect()
}

fn apt_get(arguments: &[&str]) -> anyhow::Result<()> {
    println!("+ apt-get {}", arguments.join(" "));
    let status = Command::new("apt-get")
        // Another apt-get on the machine is waited for instead of failing on its lock.
        .args(["-o", "DPkg::Lock::Timeout=300", "-o", "Acquire::Retries=3", "-o", "Dpkg::Use-Pty=0"])
        .args(arguments)
        .env("DEBIAN_FRONTEND", "noninteractive")
        .status()
        .context("apt-get could not be started")?;
    if !status.success() {
        bail!("apt-get {} failed ({status})", arguments.join(" "));
    }
    Ok(())
}

/// While it lives, packages that are installed start no service: Debian asks `policy-rc.d` before it starts
/// one, and 101 means "forbidden by policy". A policy that is there already (containers have one) is kept.
struct NoServices<'a> {
    ours: Option<&'a Path>,
}

impl<'a> NoServices<'a> {
    fn new(policy: &'a Path) -> anyhow::Result<Self> {
        let created = fs::OpenOptions::new().write(true).create_new(true).mode(0o755).open(policy);
        match created {
            Ok(mut file) => {
                let guard = Self { ours: Some(policy) };
                std::io::Write::write_all(&mut file, b"#!/bin/sh\nexit 101\n").context("policy-rc.d")?;
                Ok(guard)
            }
            Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => Ok(Self { ours: None }),
            Err(error) => Err(error).with_context(|| format!("{} could not be made", policy.display())),
        }
    }
}

impl Drop for NoServices<'_> {
    fn drop(&mut self) {
        if let Some(path) = self.ours {
            let _ = fs::remove_file(path);
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)] // In a test a panic is the report.
mod tests {
    use super::*;

    #[test]
    fn table_is_sorted_and_names_each_program_once() {
        let names: Vec<_> = PEERS.iter().map(|peer| peer.program).collect();
        let mut sorted = names.clone();
        sorted.sort_unstable();
        sorted.dedup();
        assert_eq!(names, sorted);
    }

    #[test]
    fn two_programs_of_one_package_are_installed_once() {
        assert_eq!(
            install_command(["certutil", "pk12util", "curl"]),
            "sudo apt-get install curl libnss3-tools"
        );
        assert_eq!(
            install_command(["tpm2_ptool"]),
            "sudo apt-get install libtpm2-pkcs11-1 libtpm2-pkcs11-tools tpm2-tools"
        );
    }

    #[test]
    fn only_debian_and_its_relatives_are_installed_on() {
        assert!(is_debian_family("NAME=x\nID=debian\n"));
        assert!(is_debian_family("ID=pop\nID_LIKE=\"ubuntu debian\"\n"));
        assert!(!is_debian_family("ID=fedora\nHOME_URL=\"https://debian.example\"\n"));
        assert!(!is_debian_family(""));
    }

    #[test]
    fn policy_is_made_and_removed_but_a_foreign_one_is_kept() {
        let folder = tempfile::tempdir().unwrap();
        let policy = folder.path().join("policy-rc.d");
        {
            let _guard = NoServices::new(&policy).unwrap();
            assert_eq!(Command::new(&policy).status().unwrap().code(), Some(101));
        }
        assert!(!policy.exists());
        fs::write(&policy, "theirs").unwrap();
        drop(NoServices::new(&policy).unwrap());
        assert_eq!(fs::read_to_string(&policy).unwrap(), "theirs");
    }
}
