//! The NSS databases of Firefox and of Chromium and its relatives on Linux, read and changed through `certutil`.
//!
//! Three habits of NSS shape this file. Certificates of one subject are listed together under each of their
//! nicknames, so a nickname does not say which bytes it stands for: an ambiguous removal is tried on a copy first.
//! A database with a primary password takes a certificate without asking and then refuses its trust: that half is
//! taken back. And a certificate without the flag `C` is in the database and yet not believed.
//!
//! Not here: databases in the format before `cert9.db`, which no supported browser reads.

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::fmt;
use std::fs;
use std::io::Read as _;
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _};
use std::path::{Path, PathBuf};

use super::anchor::{Anchor, blocks};
use super::files::Scratch;
use super::machine::{Machine, Platform};
use super::program::Finished;
use super::{Outcome, Status, Step, blocked};

/// Trusted to name servers; not for email, not for code.
const TRUST: &str = "C,,";
/// The files that make up a database.
const FILES: [&str; 3] = ["cert9.db", "key4.db", "pkcs11.txt"];

/// Folders under the home with Firefox's kind of profiles in them, and what the profiles belong to.
const FIREFOX_FOLDERS: [(&str, &str); 10] = [
    (".mozilla/firefox", "Firefox"),
    // Since Firefox 147 for profiles made anew (XDG Base Directory Specification).
    (".config/mozilla/firefox", "Firefox"),
    ("snap/firefox/common/.mozilla/firefox", "Firefox (snap)"),
    ("snap/firefox/common/.config/mozilla/firefox", "Firefox (snap)"),
    (".var/app/org.mozilla.firefox/.mozilla/firefox", "Firefox (flatpak)"),
    (".var/app/org.mozilla.firefox/config/mozilla/firefox", "Firefox (flatpak)"),
    (".librewolf", "LibreWolf"),
    (".var/app/io.gitlab.librewolf-community/.librewolf", "LibreWolf (flatpak)"),
    ("Library/Application Support/Firefox", "Firefox"),
    ("Library/Application Support/librewolf", "LibreWolf"),
];

/// Browsers that read the database shared by Chromium's relatives, by the names of their programs.
const CHROMIUM_PROGRAMS: [&str; 9] = [
    "chromium",
    "chromium-browser",
    "google-chrome",
    "google-chrome-stable",
    "google-chrome-beta",
    "brave-browser",
    "microsoft-edge",
    "vivaldi",
    "opera",
];

/// Whose database it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Owner {
    /// A profile of Firefox or of a browser made from it.
    Firefox {
        /// The browser and how it is packaged.
        browser: &'static str,
        /// The profile's name as the browser shows it.
        profile: String,
    },
    /// The database that Chromium, Chrome and their relatives share.
    Chromium,
    /// A Chromium that a package manager keeps in a home of its own.
    Packaged(String),
}

impl fmt::Display for Owner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Firefox { browser, profile } => write!(f, "{browser}, profile {profile}"),
            Self::Chromium => f.write_str("Chromium, Chrome"),
            Self::Packaged(package) => write!(f, "Chromium ({package})"),
        }
    }
}

/// One database.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct NssStore {
    /// Its folder.
    pub(crate) directory: PathBuf,
    /// Whose it is.
    pub(crate) owner: Owner,
}

impl NssStore {
    fn exists(&self) -> bool {
        self.directory.join(FILES[0]).exists()
    }

    /// The folder as certutil wants it named.
    fn database(&self) -> OsString {
        let mut name = OsString::from("sql:");
        name.push(&self.directory);
        name
    }
}

/// All databases under the home, and Chromium's shared one even before its browser has made it.
pub(crate) fn discover(machine: &Machine) -> Vec<NssStore> {
    if machine.platform == Platform::Other {
        return Vec::new();
    }
    let mut stores = Vec::new();
    for (folder, browser) in FIREFOX_FOLDERS {
        for (directory, profile) in profiles(&machine.home.join(folder)) {
            stores.push(NssStore { directory, owner: Owner::Firefox { browser, profile } });
        }
    }
    // On macOS Chromium asks the keychain.
    if machine.platform == Platform::Linux {
        stores.extend(chromium(machine));
    }
    let mut seen = BTreeSet::new();
    stores.retain(|store| {
        seen.insert(store.directory.canonicalize().unwrap_or_else(|_| store.directory.clone()))
    });
    stores
}

/// The profiles of one folder that have a database, with their names: those that `profiles.ini` lists, wherever
/// they are, and those that merely lie there.
fn profiles(folder: &Path) -> Vec<(PathBuf, String)> {
    let mut found: Vec<(PathBuf, String)> = Vec::new();
    let listed = fs::read_to_string(folder.join("profiles.ini")).unwrap_or_default();
    for section in
        listed.split("\n[").filter(|section| section.trim_start_matches('[').starts_with("Profile"))
    {
        let value = |key: &str| {
            section
                .lines()
                .find_map(|line| line.trim().strip_prefix(key)?.strip_prefix('=').map(str::to_owned))
        };
        if let Some(path) = value("Path") {
            // An absolute path replaces the folder, which is what `IsRelative=0` means.
            let name = value("Name").unwrap_or_else(|| path.clone());
            found.push((folder.join(path), name));
        }
    }
    for parent in [folder.to_owned(), folder.join("Profiles")] {
        let entries = fs::read_dir(parent).into_iter().flatten().flatten().map(|entry| entry.path());
        let mut lying: Vec<PathBuf> =
            entries.filter(|path| !found.iter().any(|(known, _)| known == path)).collect();
        lying.sort();
        for path in lying {
            let name = path.file_name().unwrap_or_default().to_string_lossy();
            // Firefox names the folder RANDOM.NAME.
            let name = name.split_once('.').map_or(&*name, |(_, name)| name).to_owned();
            found.push((path, name));
        }
    }
    found.retain(|(path, _)| path.join(FILES[0]).exists());
    found
}

/// The databases of Chromium and its relatives.
fn chromium(machine: &Machine) -> Vec<NssStore> {
    let mut stores = Vec::new();
    let shared = [".pki/nssdb", ".local/share/pki/nssdb"].map(|folder| machine.home.join(folder));
    for directory in &shared {
        stores.push(NssStore { directory: directory.clone(), owner: Owner::Chromium });
    }
    let snap = machine.home.join("snap/chromium/current/.pki/nssdb");
    stores.push(NssStore { directory: snap, owner: Owner::Packaged("snap".to_owned()) });
    let flatpaks = fs::read_dir(machine.home.join(".var/app")).into_iter().flatten().flatten();
    let mut flatpaks: Vec<PathBuf> = flatpaks.map(|entry| entry.path()).collect();
    flatpaks.sort();
    for application in flatpaks {
        let name = application.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let owner = Owner::Packaged(format!("flatpak {name}"));
        stores.push(NssStore { directory: application.join(".pki/nssdb"), owner });
    }
    stores.retain(NssStore::exists);
    let has_shared = stores.iter().any(|store| store.owner == Owner::Chromium);
    if !has_shared && installed_outside_a_sandbox(machine) {
        let [directory, _] = shared;
        stores.insert(0, NssStore { directory, owner: Owner::Chromium });
    }
    stores
}

/// Whether a browser is installed that would make the shared database at its first start. Snap's programs do not:
/// they live in homes of their own.
fn installed_outside_a_sandbox(machine: &Machine) -> bool {
    CHROMIUM_PROGRAMS
        .iter()
        .filter_map(|program| machine.find(program))
        .any(|path| !path.starts_with(machine.at("/snap")))
}

/// Whether the database holds the anchor and trusts it for servers.
pub(crate) fn status(machine: &Machine, store: &NssStore, anchor: &Anchor) -> Status {
    let Some(tool) = Tool::find(machine) else { return tool_missing(machine) };
    if !store.exists() {
        return Status::Absent;
    }
    let nicknames = match tool.nicknames_of(store, anchor, true) {
        Ok(nicknames) => nicknames,
        Err(reason) => return Status::Unreadable(reason),
    };
    let Some(nickname) = nicknames.first() else { return Status::Absent };
    match tool
        .run(store, &["-L", "-n", &nickname.name])
        .map(|finished| trusted(&finished.stdout, &anchor.sha256))
    {
        Ok(Some(true)) => Status::Present,
        Ok(Some(false)) => Status::Untrusted,
        Ok(None) => Status::Unreadable("certutil did not say whether it is trusted".to_owned()),
        Err(reason) => Status::Unreadable(reason),
    }
}

/// Adds the anchor with trust for servers.
pub(crate) fn install(
    machine: &Machine,
    store: &NssStore,
    anchor: &Anchor,
    step: &mut dyn FnMut(&Step),
) -> Outcome {
    let before = match status(machine, store, anchor) {
        Status::Present => return Outcome::AlreadyThere,
        status @ (Status::Absent | Status::Untrusted) => status,
        other => return blocked(other),
    };
    let Some(tool) = Tool::find(machine) else { return blocked(tool_missing(machine)) };
    if !store.exists()
        && let Err(outcome) = create(&tool, store, step)
    {
        return outcome;
    }
    let scratch = match Secrets::new(machine) {
        Ok(scratch) => scratch,
        Err(reason) => return Outcome::could_not(reason),
    };
    let pem = match scratch.folder.file("anchor.pem", anchor.pem.as_bytes()) {
        Ok(pem) => pem,
        Err(error) => return Outcome::could_not(format!("a temporary file could not be written: {error}")),
    };
    let by_hand = tool.call(store, &["-A", "-t", TRUST, "-n", &anchor.nickname, "-i"]).arg(&anchor.file);
    let call = tool
        .call(store, &["-A", "-t", TRUST, "-n", &anchor.nickname, "-i"])
        .arg(&pem)
        .arg("-f")
        .arg(&scratch.no_password);
    step(&Step::Ran(by_hand.command_line()));
    let complaint = match call.run() {
        Ok(finished) if finished.success => "certutil reported no error".to_owned(),
        Ok(finished) => complaint_of(&finished),
        Err(error) => error.to_string(),
    };
    let after = status(machine, store, anchor);
    if after == Status::Present {
        step_restart(machine, store, step);
        return Outcome::Done;
    }
    if before == Status::Absent && after == Status::Untrusted {
        // What is left of the attempt goes away again, so that "could not" means "as before".
        let _ = remove(machine, &tool, store, anchor, &scratch);
    }
    let reason = explain(machine, store, &complaint);
    if complaint.contains("SEC_ERROR_BAD_PASSWORD") {
        Outcome::could_not_but(reason, by_hand.command_line())
    } else {
        Outcome::could_not(reason)
    }
}

/// Takes the anchor out.
pub(crate) fn uninstall(
    machine: &Machine,
    store: &NssStore,
    anchor: &Anchor,
    step: &mut dyn FnMut(&Step),
) -> Outcome {
    match status(machine, store, anchor) {
        Status::Absent => return Outcome::NotThere,
        Status::Present | Status::Untrusted => {}
        // A database that is not there holds nothing, whether or not there is a program to say so.
        Status::ToolMissing { .. } if !store.exists() => return Outcome::NotThere,
        other => return blocked(other),
    }
    let Some(tool) = Tool::find(machine) else { return blocked(tool_missing(machine)) };
    let scratch = match Secrets::new(machine) {
        Ok(scratch) => scratch,
        Err(reason) => return Outcome::could_not(reason),
    };
    match remove(machine, &tool, store, anchor, &scratch) {
        Ok(command) => {
            step(&Step::Ran(command));
            step_restart(machine, store, step);
            Outcome::Done
        }
        Err(outcome) => outcome,
    }
}

/// Removes the one entry with the anchor's bytes; the command that did it.
fn remove(
    machine: &Machine,
    tool: &Tool<'_>,
    store: &NssStore,
    anchor: &Anchor,
    secrets: &Secrets,
) -> Result<String, Outcome> {
    let candidates = tool.nicknames_of(store, anchor, false).map_err(Outcome::could_not)?;
    let mut chosen = None;
    for candidate in &candidates {
        if candidate.certificates == 1 || trial(tool, store, anchor, &candidate.name, secrets)? {
            chosen = Some(candidate);
            break;
        }
    }
    let Some(chosen) = chosen else {
        return Err(Outcome::could_not_but(
            "several certificates of the same subject share its nickname, and certutil would remove another one",
            "remove it in the browser's certificate settings, under Authorities",
        ));
    };
    let call = tool.call(store, &["-D", "-n", &chosen.name]);
    let command = call.command_line();
    let complaint = match call.arg("-f").arg(&secrets.no_password).run() {
        Ok(finished) if finished.success => "certutil reported no error".to_owned(),
        Ok(finished) => complaint_of(&finished),
        Err(error) => error.to_string(),
    };
    match status(machine, store, anchor) {
        Status::Absent => Ok(command),
        _ => Err(Outcome::could_not(explain(machine, store, &complaint))),
    }
}

/// Whether removing `nickname` removes the anchor and nothing else: tried on a copy of the database.
fn trial(
    tool: &Tool<'_>,
    store: &NssStore,
    anchor: &Anchor,
    nickname: &str,
    secrets: &Secrets,
) -> Result<bool, Outcome> {
    let failed =
        |error: std::io::Error| Outcome::could_not(format!("the database could not be copied: {error}"));
    let copy = Scratch::new(secrets.folder.path()).map_err(failed)?;
    for file in FILES {
        let from = store.directory.join(file);
        if from.exists() {
            fs::copy(&from, copy.path().join(file)).map_err(failed)?;
        }
    }
    let copied = NssStore { directory: copy.path().to_owned(), owner: store.owner.clone() };
    let before = tool.names(&copied).map_err(Outcome::could_not)?.len();
    let deleted = tool.call(&copied, &["-D", "-n", nickname]).arg("-f").arg(&secrets.no_password).run();
    if !deleted.is_ok_and(|finished| finished.success) {
        return Ok(false);
    }
    let after = tool.names(&copied).map_err(Outcome::could_not)?.len();
    let left = tool.nicknames_of(&copied, anchor, true).map_err(Outcome::could_not)?;
    Ok(left.is_empty() && after + 1 == before)
}

/// Makes the shared database, as Chromium would at its first start.
fn create(tool: &Tool<'_>, store: &NssStore, step: &mut dyn FnMut(&Step)) -> Result<(), Outcome> {
    let machine = tool.machine;
    let owner = fs::metadata(&machine.home).map(|metadata| metadata.uid()).unwrap_or(0);
    if machine.effective_user_is_root && owner != 0 {
        // A database of root's in somebody's home would lock its owner's browser out.
        return Err(Outcome::could_not(format!(
            "it does not exist yet, and made by root it would be closed to the owner of {}; run this without sudo",
            machine.home.display()
        )));
    }
    if !store.directory.is_dir() {
        let made = fs::DirBuilder::new().recursive(true).mode(0o700).create(&store.directory);
        made.map_err(|error| {
            Outcome::could_not(format!("{} could not be made: {error}", store.directory.display()))
        })?;
        step(&Step::CreatedDirectory(store.directory.clone()));
    }
    let call = tool.call(store, &["-N", "--empty-password"]);
    step(&Step::Ran(call.command_line()));
    match call.run() {
        Ok(finished) if finished.success => Ok(()),
        Ok(finished) => Err(Outcome::could_not(explain(machine, store, &complaint_of(&finished)))),
        Err(error) => Err(Outcome::could_not(error.to_string())),
    }
}

/// A nickname under which the anchor is listed.
struct Nickname {
    name: String,
    /// How many certificates are listed under it.
    certificates: usize,
}

/// certutil on this machine.
struct Tool<'a> {
    machine: &'a Machine,
    program: PathBuf,
}

impl<'a> Tool<'a> {
    fn find(machine: &'a Machine) -> Option<Self> {
        machine.find("certutil").map(|program| Self { machine, program })
    }

    fn call(&self, store: &NssStore, arguments: &[&str]) -> super::program::Call {
        let (verb, rest) = arguments.split_first().map_or(("", arguments), |(verb, rest)| (*verb, rest));
        self.machine.call(&self.program).arg(verb).arg("-d").arg(store.database()).args(rest)
    }

    /// Runs a call that reads; the reason when it fails.
    fn run(&self, store: &NssStore, arguments: &[&str]) -> Result<Finished, String> {
        match self.call(store, arguments).run() {
            Ok(finished) if finished.success => Ok(finished),
            Ok(finished) => Err(explain(self.machine, store, &complaint_of(&finished))),
            Err(error) => Err(error.to_string()),
        }
    }

    /// The nicknames in the database, one an entry.
    fn names(&self, store: &NssStore) -> Result<Vec<String>, String> {
        Ok(self.run(store, &["-L"])?.stdout.lines().filter_map(nickname_in).map(str::to_owned).collect())
    }

    /// The nicknames under which the anchor's bytes are listed, its own first; with `first` only one of them.
    fn nicknames_of(&self, store: &NssStore, anchor: &Anchor, first: bool) -> Result<Vec<Nickname>, String> {
        let mut names: Vec<String> = Vec::new();
        for name in self.names(store)? {
            if !names.contains(&name) {
                names.push(name);
            }
        }
        names.sort_by_key(|name| *name != anchor.nickname);
        let mut found = Vec::new();
        for name in names {
            // A nickname that certutil prints and does not find again, as one with blanks at its end, is not ours.
            let Ok(finished) = self.run(store, &["-L", "-n", &name, "-a"]) else { continue };
            let listed = blocks(&finished.stdout);
            if listed.iter().any(|block| anchor.is(block)) {
                found.push(Nickname { name, certificates: listed.len() });
                if first {
                    break;
                }
            }
        }
        Ok(found)
    }
}

/// A private folder with a password file that holds no password, so that certutil never asks for one.
struct Secrets {
    folder: Scratch,
    no_password: PathBuf,
}

impl Secrets {
    fn new(machine: &Machine) -> Result<Self, String> {
        let failed = |error| {
            format!("a temporary file could not be written in {}: {error}", machine.temporary.display())
        };
        let folder = Scratch::new(&machine.temporary).map_err(failed)?;
        let no_password = folder.file("no-password", b"\n").map_err(failed)?;
        Ok(Self { folder, no_password })
    }
}

/// The nickname in a line of `certutil -L`: all that is before the trust flags at its end.
pub(super) fn nickname_in(line: &str) -> Option<&str> {
    let (name, flags) = line.trim_end().rsplit_once(' ')?;
    let are_flags = flags.split(',').count() == 3 && flags.chars().all(|c| "pPcCTuwgG,".contains(c));
    let name = name.trim_end();
    (are_flags && !name.is_empty()).then_some(name)
}

/// Whether certutil's description of certificates says that the one with this fingerprint is trusted to name
/// servers; nothing if the description does not have it.
pub(super) fn trusted(description: &str, sha256: &[u8; 32]) -> Option<bool> {
    let wanted: String = sha256.iter().map(|byte| format!("{byte:02X}")).collect();
    let mut lines = description.lines().map(str::trim);
    while let Some(line) = lines.next() {
        if line != "Fingerprint (SHA-256):" {
            continue;
        }
        let mut fingerprint = String::new();
        while fingerprint.len() < wanted.len() {
            fingerprint.extend(lines.next()?.chars().filter(|c| *c != ':'));
        }
        if fingerprint.to_ascii_uppercase() != wanted {
            continue;
        }
        lines.by_ref().find(|line| *line == "SSL Flags:")?;
        return Some(
            lines
                .take_while(|line| !line.is_empty() && !line.ends_with(':'))
                .any(|line| line == "Trusted CA"),
        );
    }
    None
}

/// certutil's line with the error's name in it, since a complaint about a password file comes before it.
fn complaint_of(finished: &Finished) -> String {
    let named = finished.stderr.lines().find(|line| line.contains("_ERROR_"));
    named.map_or_else(|| finished.complaint(), |line| line.trim().trim_start_matches("certutil: ").to_owned())
}

/// What an error of certutil's means for the person in front of it.
fn explain(machine: &Machine, store: &NssStore, complaint: &str) -> String {
    if complaint.contains("SEC_ERROR_BAD_PASSWORD") {
        return "it is protected by a primary password, which only you can give".to_owned();
    }
    if complaint.contains("SEC_ERROR_READ_ONLY") {
        return format!("its files may not be written by this user ({complaint})");
    }
    let doubtful =
        ["SEC_ERROR_BAD_DATABASE", "SEC_ERROR_PKCS11_GENERAL_ERROR", "SEC_ERROR_IO", "SEC_ERROR_BUSY"];
    if !doubtful.iter().any(|name| complaint.contains(name)) {
        return complaint.to_owned();
    }
    // The same error stands for a database that is locked, damaged or closed to this user: look at the file.
    let mut start = [0; 16];
    let file = store.directory.join(FILES[0]);
    match fs::File::open(&file).and_then(|mut file| file.read_exact(&mut start)) {
        Err(error) if error.kind() != std::io::ErrorKind::UnexpectedEof => {
            format!("{} could not be read: {error}", file.display())
        }
        Ok(()) if &start == b"SQLite format 3\0" => match running(machine, store) {
            Some(browser) => {
                format!("{browser} is running and has it locked; close it and try again ({complaint})")
            }
            None => format!("another program has it locked, or it is damaged ({complaint})"),
        },
        _ => format!("{} is damaged: it is not an SQLite database", file.display()),
    }
}

/// The browser that is running on this database, by the lock that each keeps as a symbolic link with its process id
/// at the end: Firefox in the profile (`127.0.1.1:+4711`), Chromium in its settings (`host-4711`).
fn running(machine: &Machine, store: &NssStore) -> Option<&'static str> {
    let (locks, browser) = match &store.owner {
        Owner::Firefox { browser, .. } => (vec![store.directory.join("lock")], *browser),
        Owner::Chromium => {
            let settings = [".config/chromium", ".config/google-chrome"];
            (settings.map(|folder| machine.home.join(folder).join("SingletonLock")).to_vec(), "Chromium")
        }
        Owner::Packaged(_) => return None,
    };
    let alive = |lock: &PathBuf| {
        let target = fs::read_link(lock).ok()?;
        let target = target.to_string_lossy();
        let process = target.rsplit(['+', '-']).next()?.parse::<u32>().ok()?;
        machine.at(&format!("/proc/{process}")).exists().then_some(())
    };
    locks.iter().find_map(alive).map(|()| browser)
}

/// Says that a running browser has to be started again.
fn step_restart(machine: &Machine, store: &NssStore, step: &mut dyn FnMut(&Step)) {
    if let Some(browser) = running(machine, store) {
        step(&Step::Note(format!("{browser} is running: it sees the change after its next start")));
    }
}

/// certutil is not installed.
fn tool_missing(machine: &Machine) -> Status {
    Status::ToolMissing { program: "certutil", remedy: machine.package_command("certutil") }
}
