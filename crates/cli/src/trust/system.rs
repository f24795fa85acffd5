//! The system's store: one file in the folder for local anchors, and the distribution's program that makes the
//! bundles from it.
//!
//! Whether a root is trusted is read from the bundle that programs use, not from the folder: a file that no update
//! has taken up yet trusts nothing. macOS has a keychain instead, asked and changed through `security`.
//!
//! Not here: `--certsdir`-like relocations of a distribution's own; the layouts are those that are shipped.

use std::ffi::OsStr;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::anchor::{Anchor, blocks};
use super::files;
use super::machine::{Family, Machine, Platform};
use super::program::{Call, quote};
use super::{Outcome, Status, Step, blocked};

/// Long, because ending such a program half-way is worse than waiting: with `--fresh` it first takes all links
/// away, then rehashes all, then runs hooks such as Java's.
const UPDATE_LIMIT: Duration = Duration::from_secs(180);

/// Where a distribution keeps its local anchors and its bundles.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Layout {
    /// Debian, Ubuntu and others with Debian's `update-ca-certificates`.
    Debian,
    /// Alpine, whose program of the same name takes no options.
    Alpine,
    /// Fedora, RHEL: p11-kit's `update-ca-trust`.
    Fedora,
    /// Arch: p11-kit as well, in other folders.
    Arch,
    /// openSUSE, SLE.
    Suse,
    /// NixOS: declared in its configuration, never written.
    Nixos,
    /// The System keychain.
    MacOs,
    /// A bundle is there, and how it is made is not known.
    Unknown,
}

/// The facts of a layout.
struct Facts {
    name: &'static str,
    /// The folder for anchors that the administrator adds.
    anchors: &'static str,
    extension: &'static str,
    /// The bundle that programs read, the first that exists.
    bundles: &'static [&'static str],
    /// The program that makes the bundles, with its arguments after an addition and after a removal; the second
    /// line is for where the first program is not there.
    update: &'static [(&'static str, &'static [&'static str], &'static [&'static str])],
}

impl Layout {
    fn facts(self) -> Facts {
        match self {
            Self::Debian => Facts {
                name: "Debian's layout",
                anchors: "/usr/local/share/ca-certificates",
                extension: "crt",
                bundles: &["/etc/ssl/certs/ca-certificates.crt"],
                // Without --fresh the hash links of a removed anchor stay behind, dangling.
                update: &[("update-ca-certificates", &[], &["--fresh"])],
            },
            Self::Alpine => Facts {
                name: "Alpine's layout",
                anchors: "/usr/local/share/ca-certificates",
                extension: "crt",
                bundles: &["/etc/ssl/certs/ca-certificates.crt"],
                update: &[("update-ca-certificates", &[], &[])],
            },
            Self::Fedora => Facts {
                name: "Fedora's layout",
                anchors: "/etc/pki/ca-trust/source/anchors",
                extension: "pem",
                bundles: &[
                    "/etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem",
                    "/etc/pki/tls/certs/ca-bundle.crt",
                ],
                update: &[("update-ca-trust", &["extract"], &["extract"])],
            },
            Self::Arch => Facts {
                name: "Arch's layout",
                anchors: "/etc/ca-certificates/trust-source/anchors",
                extension: "crt",
                bundles: &[
                    "/etc/ca-certificates/extracted/tls-ca-bundle.pem",
                    "/etc/ssl/certs/ca-certificates.crt",
                ],
                update: &[("update-ca-trust", &[], &[]), ("trust", &["extract-compat"], &["extract-compat"])],
            },
            Self::Suse => Facts {
                name: "openSUSE's layout",
                anchors: "/etc/pki/trust/anchors",
                extension: "pem",
                bundles: &["/var/lib/ca-certificates/ca-bundle.pem", "/etc/ssl/ca-bundle.pem"],
                update: &[("update-ca-certificates", &[], &[])],
            },
            Self::Nixos => Facts {
                name: "NixOS",
                anchors: "",
                extension: "",
                bundles: &["/etc/ssl/certs/ca-certificates.crt", "/etc/ssl/certs/ca-bundle.crt"],
                update: &[],
            },
            Self::MacOs => Facts {
                name: "System keychain",
                anchors: "",
                extension: "",
                bundles: &["/Library/Keychains/System.keychain"],
                update: &[("security", &[], &[])],
            },
            Self::Unknown => Facts {
                name: "unknown layout",
                anchors: "",
                extension: "",
                bundles: &[
                    "/etc/ssl/certs/ca-certificates.crt",
                    "/etc/pki/tls/certs/ca-bundle.crt",
                    "/etc/ssl/certs/ca-bundle.crt",
                    "/etc/ssl/ca-bundle.pem",
                    "/etc/ssl/cert.pem",
                ],
                update: &[],
            },
        }
    }
}

/// The system's store of one machine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct SystemStore {
    /// How it is laid out.
    pub(crate) layout: Layout,
    /// The folder for local anchors; empty where there is none.
    pub(crate) anchors: PathBuf,
    /// The bundle that programs read.
    pub(crate) bundle: PathBuf,
}

impl SystemStore {
    fn new(machine: &Machine, layout: Layout) -> Self {
        let facts = layout.facts();
        let mut bundles = facts.bundles.iter().map(|path| machine.at(path));
        let first = bundles.next().unwrap_or_default();
        let bundle = if first.exists() { first } else { bundles.find(|path| path.exists()).unwrap_or(first) };
        let anchors = if facts.anchors.is_empty() { PathBuf::new() } else { machine.at(facts.anchors) };
        Self { layout, anchors, bundle }
    }

    /// What people call it.
    pub(crate) fn label(&self) -> String {
        format!("system store ({})", self.layout.facts().name)
    }

    /// The file that programs read.
    pub(crate) fn location(&self) -> &Path {
        &self.bundle
    }

    /// The program that makes the bundles, with its arguments.
    fn update(&self, machine: &Machine, removal: bool) -> Option<Call> {
        self.layout.facts().update.iter().find_map(|(program, added, removed)| {
            let path = machine.find(program)?;
            Some(machine.call(&path).args(if removal { *removed } else { *added }).limit(UPDATE_LIMIT))
        })
    }

    /// The same as a command for a person.
    fn update_words(&self, machine: &Machine, removal: bool) -> String {
        let facts = self.layout.facts();
        let chosen = facts.update.iter().find(|(program, ..)| machine.find(program).is_some());
        let Some((program, added, removed)) = chosen.or(facts.update.first()) else { return String::new() };
        let arguments = if removal { *removed } else { *added };
        std::iter::once(program).chain(arguments).copied().collect::<Vec<_>>().join(" ")
    }

    /// The missing program's status.
    fn tool_missing(&self, machine: &Machine) -> Status {
        let program = self.layout.facts().update.first().map_or("", |(program, ..)| program);
        Status::ToolMissing { program, remedy: machine.package_command(program) }
    }

    /// Where the anchor's file goes.
    fn destination(&self, anchor: &Anchor) -> PathBuf {
        self.anchors.join(format!("{}.{}", anchor.file_stem(), self.layout.facts().extension))
    }

    /// The files of the anchors' folder that hold this anchor: those with it alone, and those with others as well.
    fn files_with(&self, anchor: &Anchor) -> io::Result<(Vec<PathBuf>, Vec<PathBuf>)> {
        let (mut alone, mut shared) = (Vec::new(), Vec::new());
        let entries = match fs::read_dir(&self.anchors) {
            Ok(entries) => entries,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok((alone, shared)),
            Err(error) => return Err(error),
        };
        for entry in entries {
            let path = entry?.path();
            // A folder, or a link to nowhere, holds no anchor of ours.
            let Ok(contents) = fs::read(&path) else { continue };
            let certificates = blocks(&String::from_utf8_lossy(&contents));
            if contents == anchor.der
                || (certificates.len() == 1 && certificates.iter().all(|one| anchor.is(one)))
            {
                alone.push(path);
            } else if certificates.iter().any(|one| anchor.is(one)) {
                shared.push(path);
            }
        }
        alone.sort();
        shared.sort();
        Ok((alone, shared))
    }
}

/// The system's store, if there is one. Folders that exist decide before the distribution's name does: relatives
/// of a distribution keep its folders and change the name.
pub(crate) fn discover(machine: &Machine) -> Option<SystemStore> {
    let family = machine.family();
    let layout = match machine.platform {
        Platform::Other => return None,
        Platform::MacOs => Layout::MacOs,
        Platform::Linux if family == Family::Nixos => Layout::Nixos,
        Platform::Linux => {
            let present = |layout: Layout| machine.at(layout.facts().anchors).is_dir();
            let debian_or_alpine = if family == Family::Alpine || machine.at("/etc/alpine-release").exists() {
                Layout::Alpine
            } else {
                Layout::Debian
            };
            if let Some(layout) =
                [Layout::Fedora, Layout::Arch, Layout::Suse].into_iter().find(|layout| present(*layout))
            {
                layout
            } else {
                match family {
                    Family::Fedora => Layout::Fedora,
                    Family::Arch => Layout::Arch,
                    Family::Suse => Layout::Suse,
                    Family::Debian | Family::Alpine => debian_or_alpine,
                    _ if present(Layout::Debian) => debian_or_alpine,
                    _ => Layout::Unknown,
                }
            }
        }
    };
    let store = SystemStore::new(machine, layout);
    (layout != Layout::Unknown || store.bundle.exists()).then_some(store)
}

/// Whether the bundle holds the anchor.
pub(crate) fn status(machine: &Machine, store: &SystemStore, anchor: &Anchor) -> Status {
    if store.layout == Layout::MacOs {
        return keychain_status(machine, store, anchor);
    }
    match fs::read(&store.bundle) {
        Ok(bundle) if anchor.is_in(&String::from_utf8_lossy(&bundle)) => Status::Present,
        Ok(_) => Status::Absent,
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            if store.update(machine, false).is_none() && !store.layout.facts().update.is_empty() {
                store.tool_missing(machine)
            } else {
                Status::Absent
            }
        }
        Err(error) => Status::Unreadable(format!("{} could not be read: {error}", store.bundle.display())),
    }
}

/// Places the anchor's file and has the bundles made.
pub(crate) fn install(
    machine: &Machine,
    store: &SystemStore,
    anchor: &Anchor,
    step: &mut dyn FnMut(&Step),
) -> Outcome {
    match status(machine, store, anchor) {
        Status::Present => return Outcome::AlreadyThere,
        Status::Absent => {}
        other => return blocked(other),
    }
    if let Some(outcome) = not_ours_to_write(store, anchor, true) {
        return outcome;
    }
    if store.layout == Layout::MacOs {
        return keychain_install(machine, store, anchor, step);
    }
    let Some(update) = store.update(machine, false) else { return blocked(store.tool_missing(machine)) };
    let destination = store.destination(anchor);
    let sudo = machine.elevation();
    let command = format!(
        "{sudo}install -D -m 0644 {} {} && {sudo}{}",
        quote(&anchor.file),
        quote(&destination),
        store.update_words(machine, false)
    );
    if !machine.effective_user_is_root {
        return Outcome::could_not_but(
            format!("only root may write to {}", store.anchors.display()),
            command,
        );
    }
    let placed = match fs::read(&destination) {
        Ok(contents) if contents == anchor.pem.as_bytes() => false,
        Ok(contents) if anchor.is_in(&String::from_utf8_lossy(&contents)) => false,
        Ok(_) => {
            return Outcome::could_not(format!(
                "{} exists and holds another certificate; move it away",
                destination.display()
            ));
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            if let Err(error) = create_anchors_folder(store, step)
                .and_then(|()| files::place(&destination, anchor.pem.as_bytes()))
            {
                return Outcome::could_not(format!(
                    "{} could not be written: {error}",
                    destination.display()
                ));
            }
            step(&Step::Wrote(destination.clone()));
            true
        }
        Err(error) => {
            return Outcome::could_not(format!("{} could not be read: {error}", destination.display()));
        }
    };
    let complaint = run_update(&update, step);
    if status(machine, store, anchor) == Status::Present {
        if let Some(complaint) = complaint {
            step(&Step::Note(format!("the anchor is in, although the update complained: {complaint}")));
        }
        return Outcome::Done;
    }
    // What the system does not trust must not lie in its folder, to be taken up by the next update unasked.
    if placed && fs::remove_file(&destination).is_ok() {
        step(&Step::Removed(destination));
    }
    let complaint = complaint.unwrap_or_else(|| "the update reported no error".to_owned());
    Outcome::could_not_but(
        format!("{} does not hold it after the update: {complaint}", store.bundle.display()),
        command,
    )
}

/// Takes away the files with the anchor and has the bundles made again.
pub(crate) fn uninstall(
    machine: &Machine,
    store: &SystemStore,
    anchor: &Anchor,
    step: &mut dyn FnMut(&Step),
) -> Outcome {
    let present = match status(machine, store, anchor) {
        Status::Present => true,
        Status::Absent | Status::ToolMissing { .. } => false,
        other => return blocked(other),
    };
    if store.layout == Layout::MacOs {
        return if present { keychain_uninstall(machine, store, anchor, step) } else { Outcome::NotThere };
    }
    let (alone, shared) = match store.files_with(anchor) {
        Ok(files) => files,
        Err(error) => {
            return Outcome::could_not(format!("{} could not be read: {error}", store.anchors.display()));
        }
    };
    if !present && alone.is_empty() {
        return Outcome::NotThere;
    }
    if let Some(outcome) = not_ours_to_write(store, anchor, false) {
        return outcome;
    }
    if let Some(file) = shared.first() {
        return Outcome::could_not(format!(
            "{} holds this root together with others; take its block out of the file by hand, then run {}",
            file.display(),
            store.update_words(machine, true)
        ));
    }
    if alone.is_empty() {
        return Outcome::could_not(format!(
            "it is in {}, and no file of {} holds it: a package or another program put it there",
            store.bundle.display(),
            store.anchors.display()
        ));
    }
    let Some(update) = store.update(machine, true) else { return blocked(store.tool_missing(machine)) };
    let sudo = machine.elevation();
    let words = alone.iter().map(quote).collect::<Vec<_>>().join(" ");
    let command = format!("{sudo}rm {words} && {sudo}{}", store.update_words(machine, true));
    if !machine.effective_user_is_root {
        return Outcome::could_not_but(
            format!("only root may write to {}", store.anchors.display()),
            command,
        );
    }
    for file in &alone {
        if let Err(error) = fs::remove_file(file) {
            return Outcome::could_not_but(
                format!("{} could not be removed: {error}", file.display()),
                command,
            );
        }
        step(&Step::Removed(file.clone()));
    }
    let complaint = run_update(&update, step);
    if status(machine, store, anchor) != Status::Present {
        if let Some(complaint) = complaint {
            step(&Step::Note(format!("the anchor is out, although the update complained: {complaint}")));
        }
        return Outcome::Done;
    }
    let complaint = complaint.unwrap_or_else(|| "the update reported no error".to_owned());
    Outcome::could_not_but(
        format!("{} still holds it after the update: {complaint}", store.bundle.display()),
        format!("{sudo}{}", store.update_words(machine, true)),
    )
}

/// The outcome on systems whose store is not changed by writing files.
fn not_ours_to_write(store: &SystemStore, anchor: &Anchor, adding: bool) -> Option<Outcome> {
    let file = quote(&anchor.file);
    match store.layout {
        Layout::Nixos => Some(Outcome::could_not_but(
            "NixOS makes its bundle from the configuration alone",
            if adding {
                format!(
                    "security.pki.certificateFiles = [ {file} ];  # in configuration.nix, then nixos-rebuild switch"
                )
            } else {
                "take the file out of security.pki.certificateFiles, then nixos-rebuild switch".to_owned()
            },
        )),
        Layout::Unknown => Some(Outcome::could_not_but(
            format!("how this system makes {} is not known to countersign", store.bundle.display()),
            if adding {
                format!("give the root to each program instead, as with curl --cacert {file}")
            } else {
                "take it out in the way it was put in".to_owned()
            },
        )),
        _ => None,
    }
}

/// Makes the folder for anchors where the layout has it and its package did not make it.
fn create_anchors_folder(store: &SystemStore, step: &mut dyn FnMut(&Step)) -> io::Result<()> {
    if !store.anchors.is_dir() {
        fs::create_dir_all(&store.anchors)?;
        step(&Step::CreatedDirectory(store.anchors.clone()));
    }
    Ok(())
}

/// Runs the update; what it complained of, if it did. Its exit code alone decides nothing: Alpine's program ends
/// as its hooks do, the bundle is what counts.
fn run_update(update: &Call, step: &mut dyn FnMut(&Step)) -> Option<String> {
    step(&Step::Ran(update.command_line()));
    match update.run() {
        Ok(finished) if finished.success => None,
        Ok(finished) => Some(finished.complaint()),
        Err(error) => Some(error.to_string()),
    }
}

/// macOS: whether the keychain holds the certificate.
fn keychain_status(machine: &Machine, store: &SystemStore, anchor: &Anchor) -> Status {
    let Some(security) = machine.find("security") else { return store.tool_missing(machine) };
    match machine.call(&security).args(["find-certificate", "-a", "-p"]).arg(&store.bundle).run() {
        Ok(finished) if finished.success && anchor.is_in(&finished.stdout) => Status::Present,
        Ok(finished) if finished.success => Status::Absent,
        Ok(finished) => Status::Unreadable(finished.complaint()),
        Err(error) => Status::Unreadable(error.to_string()),
    }
}

/// macOS: adds the certificate to the keychain with the trust settings of a root.
fn keychain_install(
    machine: &Machine,
    store: &SystemStore,
    anchor: &Anchor,
    step: &mut dyn FnMut(&Step),
) -> Outcome {
    let arguments: [&OsStr; 7] = [
        "add-trusted-cert".as_ref(),
        "-d".as_ref(),
        "-r".as_ref(),
        "trustRoot".as_ref(),
        "-k".as_ref(),
        store.bundle.as_os_str(),
        anchor.file.as_os_str(),
    ];
    keychain_change(machine, store, anchor, &[&arguments], Status::Present, step)
}

/// macOS: takes away the trust settings, then the certificate.
fn keychain_uninstall(
    machine: &Machine,
    store: &SystemStore,
    anchor: &Anchor,
    step: &mut dyn FnMut(&Step),
) -> Outcome {
    let fingerprint: String = anchor.sha256.iter().map(|byte| format!("{byte:02X}")).collect();
    let settings: [&OsStr; 3] = ["remove-trusted-cert".as_ref(), "-d".as_ref(), anchor.file.as_os_str()];
    let certificate: [&OsStr; 4] =
        ["delete-certificate".as_ref(), "-Z".as_ref(), fingerprint.as_ref(), store.bundle.as_os_str()];
    keychain_change(machine, store, anchor, &[&settings, &certificate], Status::Absent, step)
}

/// macOS: runs `security` with each set of arguments and looks whether the keychain is then as wanted.
fn keychain_change(
    machine: &Machine,
    store: &SystemStore,
    anchor: &Anchor,
    calls: &[&[&OsStr]],
    wanted: Status,
    step: &mut dyn FnMut(&Step),
) -> Outcome {
    let Some(security) = machine.find("security") else { return blocked(store.tool_missing(machine)) };
    let sudo = machine.elevation();
    let calls: Vec<Call> = calls.iter().map(|arguments| machine.call(&security).args(*arguments)).collect();
    let commands =
        calls.iter().map(|call| format!("{sudo}{}", call.command_line())).collect::<Vec<_>>().join(" && ");
    if !machine.effective_user_is_root {
        return Outcome::could_not_but("only root may change the System keychain", commands);
    }
    let mut complaint = None;
    for call in &calls {
        complaint = run_update(call, step).or(complaint);
    }
    if keychain_status(machine, store, anchor) == wanted {
        Outcome::Done
    } else {
        let complaint = complaint.unwrap_or_else(|| "`security` reported no error".to_owned());
        Outcome::could_not_but(format!("the System keychain is not as wanted: {complaint}"), commands)
    }
}
