//! Java's `cacerts`, read and changed through the `keytool` of the same runtime.
//!
//! keytool overwrites its key store in place, and a Java program that reads half a key store trusts nobody: changes
//! are made on a copy beside it, looked at, and renamed over it.
//!
//! Where the distribution makes `cacerts` from the system's store at each update (Fedora, Arch, openSUSE), keytool's
//! changes would be lost at the next one: there the system's store is the place.

use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use super::anchor::{Anchor, blocks};
use super::files::{Draft, Scratch};
use super::machine::{Machine, Platform, is_executable};
use super::program::{Call, quote};
use super::{Outcome, Status, Step, blocked};

/// The password of every `cacerts` that is shipped. It is public and protects nothing; it goes through the
/// environment all the same, since no password of ours is ever on a command line.
const STORE_PASSWORD: &str = "changeit";
const STORE_PASSWORD_VARIABLE: &str = "COUNTERSIGN_STOREPASS";

/// Folders with one Java runtime a subfolder.
const RUNTIME_FOLDERS: [&str; 4] =
    ["/usr/lib/jvm", "/usr/lib64/jvm", "/usr/java", "/Library/Java/JavaVirtualMachines"];
/// The same, under the home.
const HOME_RUNTIME_FOLDERS: [&str; 2] = [".sdkman/candidates/java", ".jdks"];
/// Where distributions extract a `cacerts` from the system's store.
const EXTRACTED: [&str; 3] =
    ["/etc/pki/ca-trust/extracted", "/etc/ca-certificates/extracted", "/var/lib/ca-certificates"];

/// One key store.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct JavaStore {
    /// The file itself, links resolved.
    pub(crate) cacerts: PathBuf,
    /// The keytool that belongs to it, if there is any.
    pub(crate) keytool: Option<PathBuf>,
    /// Whether the distribution makes it from the system's store.
    pub(crate) extracted: bool,
}

/// Each distinct `cacerts` of the runtimes that `JAVA_HOME`, the `PATH` and the usual folders lead to.
pub(crate) fn discover(machine: &Machine) -> Vec<JavaStore> {
    if machine.platform == Platform::Other {
        return Vec::new();
    }
    let mut homes: Vec<PathBuf> = machine.java_home.iter().cloned().collect();
    for program in ["keytool", "java"] {
        // /usr/bin/java is a link, through alternatives, to HOME/bin/java.
        let program = machine.find(program).and_then(|path| path.canonicalize().ok());
        homes.extend(program.as_deref().and_then(Path::parent).and_then(Path::parent).map(Path::to_owned));
    }
    let folders = RUNTIME_FOLDERS.map(|folder| machine.at(folder));
    let own_folders = HOME_RUNTIME_FOLDERS.map(|folder| machine.home.join(folder));
    for folder in folders.iter().chain(&own_folders) {
        let mut runtimes: Vec<PathBuf> =
            fs::read_dir(folder).into_iter().flatten().flatten().map(|entry| entry.path()).collect();
        runtimes.sort();
        homes.extend(runtimes.iter().cloned());
        homes.extend(runtimes.into_iter().map(|runtime| runtime.join("Contents/Home")));
    }
    let extracted = EXTRACTED.map(|folder| machine.at(folder));
    let mut stores: Vec<JavaStore> = Vec::new();
    for home in homes {
        for inside in ["lib/security/cacerts", "jre/lib/security/cacerts"] {
            let Ok(cacerts) = home.join(inside).canonicalize() else { continue };
            let keytool = ["bin/keytool", "jre/bin/keytool"]
                .iter()
                .map(|keytool| home.join(keytool))
                .find(|keytool| is_executable(keytool));
            if let Some(known) = stores.iter_mut().find(|store| store.cacerts == cacerts) {
                known.keytool = known.keytool.take().or(keytool);
            } else {
                let extracted = extracted
                    .iter()
                    .any(|folder| folder.canonicalize().is_ok_and(|folder| cacerts.starts_with(folder)));
                stores.push(JavaStore { cacerts, keytool, extracted });
            }
        }
    }
    for store in &mut stores {
        // Any keytool reads any cacerts; the runtime's own is only the first choice.
        store.keytool = store.keytool.take().or_else(|| machine.find("keytool"));
    }
    stores
}

/// Whether the key store holds the anchor.
pub(crate) fn status(machine: &Machine, store: &JavaStore, anchor: &Anchor) -> Status {
    let Some(keytool) = &store.keytool else { return tool_missing(machine) };
    match list(machine, keytool, &store.cacerts) {
        Ok(listed) if anchor.is_in(&listed) => Status::Present,
        Ok(_) => Status::Absent,
        Err(reason) => Status::Unreadable(reason),
    }
}

/// Adds the anchor.
pub(crate) fn install(
    machine: &Machine,
    store: &JavaStore,
    anchor: &Anchor,
    step: &mut dyn FnMut(&Step),
) -> Outcome {
    let Some(keytool) = &store.keytool else { return blocked(tool_missing(machine)) };
    let listed = match list(machine, keytool, &store.cacerts) {
        Ok(listed) if anchor.is_in(&listed) => return Outcome::AlreadyThere,
        Ok(listed) => listed,
        Err(reason) => return Outcome::could_not(reason),
    };
    if store.extracted {
        return Outcome::could_not_but(
            "the distribution makes this file from the system store and would undo the change",
            format!(
                "{}countersign trust install --only system --ca {}",
                machine.elevation(),
                quote(&anchor.file)
            ),
        );
    }
    let by_hand = format!(
        "{}{}",
        machine.elevation(),
        call(machine, keytool, "-importcert", &store.cacerts)
            .args(["-storepass", STORE_PASSWORD, "-noprompt", "-alias", &anchor.nickname, "-file"])
            .arg(&anchor.file)
            .command_line()
    );
    let scratch = Scratch::new(&machine.temporary)
        .and_then(|folder| folder.file("anchor.pem", anchor.pem.as_bytes()).map(|pem| (folder, pem)));
    // The folder is kept until keytool has read the file in it.
    let (_folder, pem) = match scratch {
        Ok(scratch) => scratch,
        Err(error) => return Outcome::could_not(format!("a temporary file could not be written: {error}")),
    };
    let alias = anchor.nickname.clone();
    let cacerts = &store.cacerts;
    Change { machine, keytool, cacerts, anchor, by_hand, listed, wanted: true }.make(step, |draft| {
        vec![
            with_password(call(machine, keytool, "-importcert", draft))
                .args(["-noprompt", "-alias", &alias, "-file"])
                .arg(&pem),
        ]
    })
}

/// Takes the anchor out, under whatever alias it is: Debian's hook names what it takes over from the system's store
/// in its own way, and forgets to take it out again.
pub(crate) fn uninstall(
    machine: &Machine,
    store: &JavaStore,
    anchor: &Anchor,
    step: &mut dyn FnMut(&Step),
) -> Outcome {
    let Some(keytool) = &store.keytool else { return blocked(tool_missing(machine)) };
    let listed = match list(machine, keytool, &store.cacerts) {
        Ok(listed) => listed,
        Err(reason) => return Outcome::could_not(reason),
    };
    let aliases = aliases_in(&listed, anchor);
    if aliases.is_empty() {
        return Outcome::NotThere;
    }
    if store.extracted {
        return Outcome::could_not_but(
            "the distribution makes this file from the system store and would undo the change",
            format!(
                "{}countersign trust uninstall --only system --ca {}",
                machine.elevation(),
                quote(&anchor.file)
            ),
        );
    }
    let deletion = |path: &Path, alias: &str| call(machine, keytool, "-delete", path).args(["-alias", alias]);
    let by_hand = aliases
        .iter()
        .map(|alias| {
            let call = deletion(&store.cacerts, alias).args(["-storepass", STORE_PASSWORD]);
            format!("{}{}", machine.elevation(), call.command_line())
        })
        .collect::<Vec<_>>()
        .join(" && ");
    let cacerts = &store.cacerts;
    Change { machine, keytool, cacerts, anchor, by_hand, listed, wanted: false }
        .make(step, |draft| aliases.iter().map(|alias| with_password(deletion(draft, alias))).collect())
}

/// A change of a key store: which, by hand how, and how it is to look afterwards.
struct Change<'a> {
    machine: &'a Machine,
    keytool: &'a Path,
    cacerts: &'a Path,
    anchor: &'a Anchor,
    /// What a person could type instead.
    by_hand: String,
    /// keytool's list before the change.
    listed: String,
    /// Whether the anchor is to be there afterwards.
    wanted: bool,
}

impl Change<'_> {
    /// Makes a copy of the key store, lets `calls` change it, and puts it in place if the anchor is then there or
    /// not, as wanted, and every other entry still is.
    fn make(self, step: &mut dyn FnMut(&Step), calls: impl FnOnce(&Path) -> Vec<Call>) -> Outcome {
        let draft = match Draft::of(self.cacerts) {
            Ok(draft) => draft,
            Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {
                let folder = self.cacerts.parent().unwrap_or(self.cacerts);
                let reason = format!("this user may not write to {}", folder.display());
                return Outcome::could_not_but(reason, self.by_hand);
            }
            Err(error) => {
                return Outcome::could_not_but(
                    format!("it could not be copied to be changed: {error}"),
                    self.by_hand,
                );
            }
        };
        for call in calls(draft.path()) {
            match call.run() {
                Ok(finished) if finished.success => {}
                Ok(finished) => return Outcome::could_not_but(finished.complaint(), self.by_hand),
                Err(error) => return Outcome::could_not_but(error.to_string(), self.by_hand),
            }
        }
        let after = match list(self.machine, self.keytool, draft.path()) {
            Ok(after) => after,
            Err(reason) => {
                return Outcome::could_not(format!("keytool's result was not taken over: {reason}"));
            }
        };
        if self.anchor.is_in(&after) != self.wanted || self.others(&after) != self.others(&self.listed) {
            return Outcome::could_not(
                "keytool's result was not taken over: its entries are not the expected ones",
            );
        }
        match draft.commit() {
            Ok(()) => {
                step(&Step::Wrote(self.cacerts.to_owned()));
                Outcome::Done
            }
            Err(error) => Outcome::could_not_but(format!("it could not be replaced: {error}"), self.by_hand),
        }
    }

    /// The certificates of a list other than the anchor.
    fn others(&self, listed: &str) -> BTreeSet<Vec<u8>> {
        blocks(listed).into_iter().filter(|block| !self.anchor.is(block)).map(|block| block.der).collect()
    }
}

/// Options for the virtual machine of a program that ends in a second: no file of measurements in the temporary
/// folder, and no threads and compilers that pay off later (they were half of its time).
const SHORT_LIVED: [&str; 3] = ["-J-XX:-UsePerfData", "-J-XX:TieredStopAtLevel=1", "-J-XX:+UseSerialGC"];

/// A call of keytool on the key store `path`, as a person would type it but for the password.
fn call(machine: &Machine, keytool: &Path, verb: &str, path: &Path) -> Call {
    machine.call(keytool).arg(verb).arg("-keystore").arg(path)
}

/// The call as it is run here: with the password, through the environment.
fn with_password(call: Call) -> Call {
    call.args(["-storepass:env", STORE_PASSWORD_VARIABLE])
        .env(STORE_PASSWORD_VARIABLE, STORE_PASSWORD)
        .args(SHORT_LIVED)
}

/// keytool's list of all entries with their certificates.
fn list(machine: &Machine, keytool: &Path, path: &Path) -> Result<String, String> {
    if let Err(error) = fs::File::open(path) {
        return Err(format!("{} could not be read: {error}", path.display()));
    }
    match with_password(call(machine, keytool, "-list", path)).arg("-rfc").run() {
        Ok(finished) if finished.success => Ok(finished.stdout),
        Ok(finished) => {
            let complaint = finished.complaint();
            // The words of JKS and of PKCS#12 for the same thing.
            if complaint.contains("password was incorrect") {
                return Err(format!("its password is not the usual `{STORE_PASSWORD}`, or it is damaged"));
            }
            Err(complaint)
        }
        Err(error) => Err(error.to_string()),
    }
}

/// The aliases of the anchor in keytool's list: the one above each block with its bytes.
pub(super) fn aliases_in(listed: &str, anchor: &Anchor) -> Vec<String> {
    let alias_above = |start: usize| {
        listed[..start].lines().rev().find_map(|line| line.strip_prefix("Alias name: ")).map(str::to_owned)
    };
    blocks(listed)
        .iter()
        .filter(|block| anchor.is(block))
        .filter_map(|block| alias_above(block.start))
        .collect()
}

/// keytool is not installed.
fn tool_missing(machine: &Machine) -> Status {
    Status::ToolMissing { program: "keytool", remedy: machine.package_command("keytool") }
}
