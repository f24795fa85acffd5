//! What the trust stores need to know of the machine, as a value, so that a test can have a machine of its own.
//!
//! [`Machine::from_environment`] is the only function of this module tree that reads the environment.

use std::env;
use std::ffi::OsString;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use super::program;

/// The operating systems whose stores are known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Platform {
    /// Linux with whatever distribution.
    Linux,
    /// macOS.
    MacOs,
    /// Anything else: nothing is discovered.
    Other,
}

/// Distributions by what matters here: the layout of the system store and the names of packages.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Family {
    /// Debian, Ubuntu and theirs.
    Debian,
    /// Alpine.
    Alpine,
    /// Fedora, RHEL and theirs.
    Fedora,
    /// Arch and its relatives.
    Arch,
    /// openSUSE and SLE.
    Suse,
    /// NixOS, whose files under /etc are not to be written.
    Nixos,
    /// macOS.
    MacOs,
    /// None of these.
    Unknown,
}

/// A machine to work on.
#[derive(Clone, Debug)]
pub(crate) struct Machine {
    /// `/`, or a test's tree.
    pub(crate) root: PathBuf,
    /// The home whose browsers are meant.
    pub(crate) home: PathBuf,
    /// The folders of `PATH`.
    pub(crate) path: Vec<PathBuf>,
    /// `JAVA_HOME`.
    pub(crate) java_home: Option<PathBuf>,
    /// Where temporary files go.
    pub(crate) temporary: PathBuf,
    /// Whether the system's own files may be written.
    pub(crate) effective_user_is_root: bool,
    /// Who called through sudo, if the home is not theirs.
    pub(crate) sudo_user: Option<String>,
    /// The operating system.
    pub(crate) platform: Platform,
}

impl Machine {
    /// This machine, as this process sees it.
    pub(crate) fn from_environment() -> Self {
        let home = env::home_dir().unwrap_or_else(|| PathBuf::from("/"));
        let effective_user_is_root = rustix::process::geteuid().is_root();
        let sudo_user = env::var("SUDO_USER")
            .ok()
            .filter(|user| effective_user_is_root && user != "root" && home.starts_with("/root"));
        Self {
            root: PathBuf::from("/"),
            home,
            path: env::var_os("PATH").map(|path| env::split_paths(&path).collect()).unwrap_or_default(),
            java_home: env::var_os("JAVA_HOME").filter(|home| !home.is_empty()).map(PathBuf::from),
            temporary: env::temp_dir(),
            effective_user_is_root,
            sudo_user,
            platform: if cfg!(target_os = "linux") {
                Platform::Linux
            } else if cfg!(target_os = "macos") {
                Platform::MacOs
            } else {
                Platform::Other
            },
        }
    }

    /// `path`, written as on the machine itself, inside the machine's tree.
    pub(crate) fn at(&self, path: &str) -> PathBuf {
        self.root.join(path.trim_start_matches('/'))
    }

    /// The folders in which programs are looked for: those of `PATH` that are absolute (a program run with root's
    /// rights must not come from the current folder), then the places of administrators' programs, which the `PATH`
    /// of an ordinary user lacks on Debian.
    fn folders(&self) -> Vec<PathBuf> {
        let mut folders: Vec<PathBuf> =
            self.path.iter().filter(|folder| folder.is_absolute()).cloned().collect();
        for folder in ["/usr/local/sbin", "/usr/sbin", "/sbin"].map(|folder| self.at(folder)) {
            if !folders.contains(&folder) {
                folders.push(folder);
            }
        }
        folders
    }

    /// Where the program `name` is.
    pub(crate) fn find(&self, name: &str) -> Option<PathBuf> {
        self.folders().into_iter().map(|folder| folder.join(name)).find(|path| is_executable(path))
    }

    /// The environment that programs get: enough to find their own helpers, in English, and nothing else.
    pub(crate) fn child_environment(&self) -> Vec<(OsString, OsString)> {
        let folders = self.folders();
        vec![
            // Only a folder with a colon in its name cannot be joined, and such a folder is of no use in PATH.
            ("PATH".into(), env::join_paths(&folders).unwrap_or_else(|_| OsString::from("/usr/bin:/bin"))),
            ("HOME".into(), self.home.clone().into()),
            ("LC_ALL".into(), "C".into()),
        ]
    }

    /// The distribution's family, from os-release(5).
    pub(crate) fn family(&self) -> Family {
        if self.platform == Platform::MacOs {
            return Family::MacOs;
        }
        let text = ["/etc/os-release", "/usr/lib/os-release"]
            .iter()
            .find_map(|path| std::fs::read_to_string(self.at(path)).ok())
            .unwrap_or_default();
        let value = |key: &str| {
            text.lines()
                .find_map(|line| line.strip_prefix(key)?.strip_prefix('='))
                .map(|value| value.trim().trim_matches(['"', '\'']).to_ascii_lowercase())
                .unwrap_or_default()
        };
        let ids = format!("{} {}", value("ID"), value("ID_LIKE"));
        ids.split_whitespace()
            .find_map(|id| match id {
                "debian" | "ubuntu" => Some(Family::Debian),
                "alpine" | "postmarketos" => Some(Family::Alpine),
                "fedora" | "rhel" | "centos" | "amzn" | "azurelinux" | "mariner" => Some(Family::Fedora),
                "arch" | "archlinux" | "manjaro" => Some(Family::Arch),
                "nixos" => Some(Family::Nixos),
                id if id.contains("suse") || id == "sles" => Some(Family::Suse),
                _ => None,
            })
            .unwrap_or(Family::Unknown)
    }

    /// What goes before a command that needs root: nothing for root, `doas ` where there is no sudo but doas.
    pub(crate) fn elevation(&self) -> &'static str {
        if self.effective_user_is_root {
            ""
        } else if self.find("sudo").is_none() && self.find("doas").is_some() {
            "doas "
        } else {
            "sudo "
        }
    }

    /// The command that installs the package with `program` in it on this distribution.
    pub(crate) fn package_command(&self, program: &str) -> String {
        let family = self.family();
        let package = match (program, family) {
            ("certutil", Family::Debian) => "libnss3-tools",
            ("certutil", Family::Suse) => "mozilla-nss-tools",
            ("certutil", Family::Arch | Family::MacOs) => "nss",
            ("certutil", Family::Nixos) => "nssTools",
            ("certutil", _) => "nss-tools",
            ("keytool", Family::Debian) => "default-jre-headless",
            ("keytool", Family::Alpine) => "openjdk21-jre-headless",
            ("keytool", Family::Fedora) => "java-latest-openjdk-headless",
            ("keytool", Family::Arch) => "jre-openjdk-headless",
            ("keytool", Family::Suse) => "java-21-openjdk-headless",
            ("keytool", Family::Nixos) => "jdk_headless",
            ("keytool", _) => "openjdk",
            (_, Family::Arch) => "ca-certificates-utils",
            _ => "ca-certificates",
        };
        let elevation = self.elevation();
        match family {
            Family::Debian => format!("{elevation}apt-get install {package}"),
            Family::Alpine => format!("{elevation}apk add {package}"),
            Family::Fedora => format!("{elevation}dnf install {package}"),
            Family::Arch => format!("{elevation}pacman -S {package}"),
            Family::Suse => format!("{elevation}zypper install {package}"),
            Family::Nixos => format!("nix-shell -p {package}"),
            Family::MacOs => format!("brew install {package}"),
            Family::Unknown => format!("install the package with `{program}` (often called {package})"),
        }
    }

    /// A call of `program` on this machine, to be given its arguments.
    pub(crate) fn call(&self, program: &Path) -> program::Call {
        program::Call::new(program, self.child_environment())
    }
}

/// Whether `path` is a file that may be run.
pub(crate) fn is_executable(path: &Path) -> bool {
    std::fs::metadata(path)
        .is_ok_and(|metadata| metadata.is_file() && metadata.permissions().mode() & 0o111 != 0)
}
