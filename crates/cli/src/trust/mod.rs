//! The engine behind `countersign trust`: which trust stores this machine has, whether they hold a root, and how it
//! is put in and taken out.
//!
//! A store is judged by the bytes of the certificates in it, never by a nickname or a file name, so that a root of
//! the same name is not taken for ours and what somebody else put there under another name is still recognised.
//! [`status`] runs only programs that read.
//!
//! Not here: printing, arguments, exit codes, and the environment. All that is known of the machine is in
//! [`Machine`], which the command fills in one place. Windows is not here either: on it nothing is discovered.

mod anchor;
mod files;
pub(crate) mod java;
pub(crate) mod machine;
mod nss;
mod program;
mod report;
mod system;
#[cfg(test)]
mod tests;

use std::fmt;
use std::path::{Path, PathBuf};
use std::str::FromStr;

pub(crate) use anchor::Anchor;
pub(crate) use java::JavaStore;
pub(crate) use machine::Machine;
pub(crate) use nss::NssStore;
pub(crate) use report::{Mark, Report, Verdict, json, render};
pub(crate) use system::SystemStore;

/// The three kinds of store, as `--only` names them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// What curl, OpenSSL, Python, Go and most programs of the machine read.
    System,
    /// The databases of Firefox and Chromium.
    Nss,
    /// The `cacerts` of a Java runtime.
    Java,
}

impl Kind {
    /// In the order in which they are treated: a system store may feed Java's, so it goes first.
    pub(crate) const ALL: [Self; 3] = [Self::System, Self::Nss, Self::Java];

    /// The word on the command line and in JSON.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::System => "system",
            Self::Nss => "nss",
            Self::Java => "java",
        }
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// An `--only` that names no kind of store.
#[derive(Debug, thiserror::Error)]
#[error("`{0}` is not a kind of trust store: use system, nss (Firefox and Chromium) or java")]
pub(crate) struct UnknownKind(String);

impl FromStr for Kind {
    type Err = UnknownKind;

    fn from_str(text: &str) -> Result<Self, UnknownKind> {
        Self::ALL.into_iter().find(|kind| kind.as_str() == text).ok_or_else(|| UnknownKind(text.to_owned()))
    }
}

/// One place where programs of this machine look up the roots that they believe.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Store {
    /// The store of the operating system.
    System(SystemStore),
    /// One NSS database.
    Nss(NssStore),
    /// One Java key store.
    Java(JavaStore),
}

impl Store {
    /// Which of the three kinds it is.
    pub(crate) fn kind(&self) -> Kind {
        match self {
            Self::System(_) => Kind::System,
            Self::Nss(_) => Kind::Nss,
            Self::Java(_) => Kind::Java,
        }
    }

    /// What people call it.
    pub(crate) fn label(&self) -> String {
        match self {
            Self::System(store) => store.label(),
            Self::Nss(store) => store.owner.to_string(),
            Self::Java(_) => "Java".to_owned(),
        }
    }

    /// The file or folder that decides what the store holds.
    pub(crate) fn location(&self) -> &Path {
        match self {
            Self::System(store) => store.location(),
            Self::Nss(store) => &store.directory,
            Self::Java(store) => &store.cacerts,
        }
    }
}

/// Whether a store holds the anchor.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Status {
    /// The very certificate is there and is trusted for servers.
    Present,
    /// It is not there.
    Absent,
    /// It is there, and the store does not trust it for servers.
    Untrusted,
    /// The store could not be read.
    Unreadable(String),
    /// The store can be read by this program alone, and it is not installed.
    ToolMissing {
        /// The program, as one would type it.
        program: &'static str,
        /// The command that installs it on this distribution.
        remedy: String,
    },
}

/// What [`install`] or [`uninstall`] came to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// Done, and seen to be so afterwards.
    Done,
    /// Nothing to install: the store trusts the anchor already.
    AlreadyThere,
    /// Nothing to uninstall.
    NotThere,
    /// The store is as it was before.
    CouldNot {
        /// What stood in the way.
        reason: String,
        /// What would do it: a command that can be pasted, or for a browser the place in its settings.
        remedy: Option<String>,
    },
}

/// One thing that was done on the way, told as it happens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Step {
    /// A folder was made.
    CreatedDirectory(PathBuf),
    /// A file was written.
    Wrote(PathBuf),
    /// A file was removed.
    Removed(PathBuf),
    /// A program was run, as it would be typed.
    Ran(String),
    /// Something to know that changes nothing in the outcome.
    Note(String),
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::CreatedDirectory(path) => write!(f, "made the folder {}", path.display()),
            Self::Wrote(path) => write!(f, "wrote {}", path.display()),
            Self::Removed(path) => write!(f, "removed {}", path.display()),
            Self::Ran(command) => write!(f, "ran {command}"),
            Self::Note(note) => f.write_str(note),
        }
    }
}

/// All stores of the machine, the system's first.
pub(crate) fn discover(machine: &Machine) -> Vec<Store> {
    let system = system::discover(machine).into_iter().map(Store::System);
    let nss = nss::discover(machine).into_iter().map(Store::Nss);
    let java = java::discover(machine).into_iter().map(Store::Java);
    system.chain(nss).chain(java).collect()
}

/// Whether `store` holds `anchor`. Changes nothing.
pub(crate) fn status(machine: &Machine, store: &Store, anchor: &Anchor) -> Status {
    match store {
        Store::System(store) => system::status(machine, store, anchor),
        Store::Nss(store) => nss::status(machine, store, anchor),
        Store::Java(store) => java::status(machine, store, anchor),
    }
}

/// Makes `store` trust `anchor`; `step` hears of each change as it is made.
pub(crate) fn install(
    machine: &Machine,
    store: &Store,
    anchor: &Anchor,
    step: &mut dyn FnMut(&Step),
) -> Outcome {
    match store {
        Store::System(store) => system::install(machine, store, anchor, step),
        Store::Nss(store) => nss::install(machine, store, anchor, step),
        Store::Java(store) => java::install(machine, store, anchor, step),
    }
}

/// Takes `anchor`, and nothing else, out of `store`; `step` hears of each change as it is made.
pub(crate) fn uninstall(
    machine: &Machine,
    store: &Store,
    anchor: &Anchor,
    step: &mut dyn FnMut(&Step),
) -> Outcome {
    match store {
        Store::System(store) => system::uninstall(machine, store, anchor, step),
        Store::Nss(store) => nss::uninstall(machine, store, anchor, step),
        Store::Java(store) => java::uninstall(machine, store, anchor, step),
    }
}

/// What a person should know about what was found and what was not, beyond the stores themselves.
pub(crate) fn remarks(machine: &Machine, stores: &[Store]) -> Vec<String> {
    let mut remarks = Vec::new();
    if stores.is_empty() {
        remarks.push("no trust store of the kinds asked for was found on this machine".to_owned());
    }
    if let Some(user) = &machine.sudo_user {
        remarks.push(format!(
            "browser databases were looked for in {}; for those of {user}, run the same command without sudo",
            machine.home.display()
        ));
    }
    remarks
}

impl Outcome {
    /// A failure with nothing to type against it.
    fn could_not(reason: impl Into<String>) -> Self {
        Self::CouldNot { reason: reason.into(), remedy: None }
    }

    /// A failure and what would do it instead.
    fn could_not_but(reason: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self::CouldNot { reason: reason.into(), remedy: Some(remedy.into()) }
    }
}

/// The outcome that a status other than present or absent leads to.
fn blocked(status: Status) -> Outcome {
    match status {
        Status::ToolMissing { program, remedy } => {
            Outcome::could_not_but(format!("the program `{program}` is not installed"), remedy)
        }
        Status::Unreadable(reason) => Outcome::could_not(reason),
        // Callers ask only about a status that stops them; naming it is right for any other as well.
        other => Outcome::could_not(format!("the store is in an unexpected state: {other:?}")),
    }
}
