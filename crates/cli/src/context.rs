//! What every command is given: where things live, what time it is, and how to speak. The only place that reads
//! the environment and the clock.

use std::io::{IsTerminal, Write};
use std::path::{Path, PathBuf};

use anstyle::{AnsiColor, Style};
use jiff::Timestamp;

use crate::failure::Failure;

/// The surroundings of one run.
pub(crate) struct Context {
    home: Option<PathBuf>,
    quiet: bool,
    store: Option<String>,
}

pub(crate) const BOLD: Style = Style::new().bold();
pub(crate) const DIM: Style = Style::new().dimmed();
pub(crate) const GOOD: Style = AnsiColor::Green.on_default().bold();
pub(crate) const BAD: Style = AnsiColor::Red.on_default().bold();
pub(crate) const WARN: Style = AnsiColor::Yellow.on_default().bold();

impl Context {
    /// Reads the environment once.
    pub(crate) fn from_environment(home: Option<PathBuf>, quiet: bool) -> Self {
        let store = std::env::var("COUNTERSIGN_STORE").ok().filter(|url| !url.is_empty());
        Context { home: home.or_else(default_home), quiet, store }
    }

    /// The same with another memory, where one is given.
    pub(crate) fn with_store(mut self, store: Option<String>) -> Self {
        self.store = store.or(self.store);
        self
    }

    /// A variable of the environment; `None` where it is not set, or empty.
    pub(crate) fn variable(&self, name: &str) -> Option<String> {
        std::env::var(name).ok().filter(|value| !value.is_empty())
    }

    /// Where systemd puts the credentials of a service (`LoadCredential=`, systemd.exec(5)).
    pub(crate) fn credentials_directory(&self) -> Option<PathBuf> {
        std::env::var_os("CREDENTIALS_DIRECTORY").filter(|path| !path.is_empty()).map(PathBuf::from)
    }

    /// Where the authority's memory is, where that is not in its home.
    pub(crate) fn store(&self) -> Option<&str> {
        self.store.as_deref()
    }

    /// The directory of the authority.
    pub(crate) fn home(&self) -> Result<&Path, Failure> {
        self.home.as_deref().ok_or_else(|| {
            Failure::usage("there is no place for the authority: neither COUNTERSIGN_HOME nor HOME is set")
                .hint("export COUNTERSIGN_HOME=$PWD/countersign-home")
        })
    }

    /// The time now.
    pub(crate) fn now(&self) -> Timestamp {
        Timestamp::now()
    }

    /// Writes data to standard output; a reader that went away is no error.
    pub(crate) fn data(&self, text: impl AsRef<str>) {
        let mut out = anstream::stdout();
        let _ = out.write_all(text.as_ref().as_bytes()).and_then(|()| out.flush());
    }

    /// Writes raw bytes to standard output.
    pub(crate) fn bytes(&self, bytes: &[u8]) {
        let mut out = std::io::stdout().lock();
        let _ = out.write_all(bytes).and_then(|()| out.flush());
    }

    /// Writes a JSON value to standard output.
    pub(crate) fn json(&self, value: &serde_json::Value) {
        // A `Value` always has a text.
        self.data(format!("{value:#}\n"));
    }

    /// Whether only data, warnings and errors are told.
    pub(crate) fn is_quiet(&self) -> bool {
        self.quiet
    }

    /// Tells the person something on standard error.
    pub(crate) fn say(&self, text: impl AsRef<str>) {
        if !self.quiet {
            let mut err = anstream::stderr();
            let _ = writeln!(err, "{}", text.as_ref());
        }
    }

    /// Warns on standard error, also when quiet.
    pub(crate) fn warn(&self, text: impl AsRef<str>) {
        let mut err = anstream::stderr();
        let _ = writeln!(err, "{WARN}warning:{WARN:#} {}", text.as_ref());
    }
}

/// Tells why the command failed.
pub(crate) fn report(failure: &Failure) {
    let mut err = anstream::stderr();
    let _ = writeln!(err, "{BAD}error:{BAD:#} {}", failure.message());
    for cause in failure.causes() {
        let _ = writeln!(err, "  because: {cause}");
    }
    for hint in failure.hints() {
        let _ = writeln!(err, "  {GOOD}try:{GOOD:#} {hint}");
    }
}

/// The width of the terminal on standard output; 80 where it is none.
pub(crate) fn width() -> usize {
    let stdout = std::io::stdout();
    if !stdout.is_terminal() {
        return 80;
    }
    rustix::termios::tcgetwinsize(&stdout).map_or(80, |size| usize::from(size.ws_col).clamp(40, 200))
}

/// Whether standard output gets colour: on a terminal, unless `NO_COLOR` is set.
pub(crate) fn colour_on_stdout() -> bool {
    anstream::AutoStream::choice(&std::io::stdout()) != anstream::ColorChoice::Never
}

fn default_home() -> Option<PathBuf> {
    let variable = |name| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    if let Some(home) = variable("COUNTERSIGN_HOME") {
        return Some(home);
    }
    if cfg!(target_os = "macos") {
        return Some(variable("HOME")?.join("Library/Application Support/countersign"));
    }
    if cfg!(windows) {
        return Some(variable("APPDATA")?.join("countersign"));
    }
    // XDG Base Directory Specification: a relative path is to be ignored.
    let data = variable("XDG_DATA_HOME").filter(|path| path.is_absolute());
    Some(data.or_else(|| Some(variable("HOME")?.join(".local/share")))?.join("countersign"))
}
