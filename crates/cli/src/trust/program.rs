//! Running the programs that own the trust stores: nothing inherited, nothing asked, and never for ever.
//!
//! A program gets the environment it is given and no other, an empty standard input, a process group of its own (so
//! that its helpers end with it, and so that a password prompt on the terminal stops it instead of waiting for a
//! person), and a limit in time.

use std::ffi::{OsStr, OsString};
use std::io::{self, Read};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

/// How long a program may take that reads or writes one database.
const LIMIT: Duration = Duration::from_secs(30);
/// How long after a program's end its output may stay open, held by something it left behind.
const AFTERMATH: Duration = Duration::from_millis(500);

/// A program with its arguments.
#[derive(Debug)]
pub(crate) struct Call {
    program: PathBuf,
    arguments: Vec<OsString>,
    environment: Vec<(OsString, OsString)>,
    limit: Duration,
}

/// What a program left when it ended.
#[derive(Debug)]
pub(crate) struct Finished {
    /// Whether it said that all went well.
    pub(crate) success: bool,
    /// Its standard output.
    pub(crate) stdout: String,
    /// Its standard error.
    pub(crate) stderr: String,
    /// How it ended, in words.
    ending: String,
}

/// Why a program did not come to its end.
#[derive(Debug, thiserror::Error)]
pub(crate) enum RunError {
    /// It could not be started.
    #[error("{program} could not be started: {source}")]
    Start {
        /// The program.
        program: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// It was ended because it took too long.
    #[error("{program} had not finished after {} seconds and was ended", .limit.as_secs())]
    TooLong {
        /// The program.
        program: PathBuf,
        /// The limit.
        limit: Duration,
    },
}

impl Call {
    /// A call without arguments yet.
    pub(crate) fn new(program: &Path, environment: Vec<(OsString, OsString)>) -> Self {
        Self { program: program.to_owned(), arguments: Vec::new(), environment, limit: LIMIT }
    }

    /// One more argument.
    pub(crate) fn arg(mut self, argument: impl AsRef<OsStr>) -> Self {
        self.arguments.push(argument.as_ref().to_owned());
        self
    }

    /// More arguments.
    pub(crate) fn args<I: IntoIterator<Item: AsRef<OsStr>>>(mut self, arguments: I) -> Self {
        self.arguments.extend(arguments.into_iter().map(|argument| argument.as_ref().to_owned()));
        self
    }

    /// One more variable in its environment.
    pub(crate) fn env(mut self, name: &str, value: &str) -> Self {
        self.environment.push((name.into(), value.into()));
        self
    }

    /// Another limit than the usual.
    pub(crate) fn limit(mut self, limit: Duration) -> Self {
        self.limit = limit;
        self
    }

    /// The call as one would type it.
    pub(crate) fn command_line(&self) -> String {
        let words =
            std::iter::once(self.program.as_os_str()).chain(self.arguments.iter().map(OsString::as_os_str));
        words.map(quote).collect::<Vec<_>>().join(" ")
    }

    /// Runs it to its end or to its limit.
    pub(crate) fn run(&self) -> Result<Finished, RunError> {
        let start = |source| RunError::Start { program: self.program.clone(), source };
        let mut child = Command::new(&self.program)
            .args(&self.arguments)
            .env_clear()
            .envs(self.environment.iter().map(|(name, value)| (name, value)))
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .process_group(0)
            .spawn()
            .map_err(start)?;
        let stdout = collect(child.stdout.take());
        let stderr = collect(child.stderr.take());
        let deadline = Instant::now() + self.limit;
        let mut pause = Duration::from_millis(1);
        let status = loop {
            if let Some(status) = child.try_wait().map_err(start)? {
                break status;
            }
            if Instant::now() >= deadline {
                // The whole group: update-ca-certificates is a script, and its helpers must not go on without it.
                let group = rustix::process::Pid::from_child(&child);
                let _ = rustix::process::kill_process_group(group, rustix::process::Signal::KILL);
                let _ = child.wait();
                return Err(RunError::TooLong { program: self.program.clone(), limit: self.limit });
            }
            thread::sleep(pause);
            pause = (pause * 2).min(Duration::from_millis(20));
        };
        Ok(Finished {
            success: status.success(),
            stdout: stdout.recv_timeout(AFTERMATH).unwrap_or_default(),
            stderr: stderr.recv_timeout(AFTERMATH).unwrap_or_default(),
            ending: status.to_string(),
        })
    }
}

impl Finished {
    /// The line that says best what went wrong: the first of standard error that is not chatter, else of standard
    /// output (keytool complains there), else how the program ended.
    pub(crate) fn complaint(&self) -> String {
        [&self.stderr, &self.stdout]
            .into_iter()
            .flat_map(|text| text.lines())
            .map(str::trim)
            .find(|line| !line.is_empty() && !is_chatter(line))
            .map_or_else(|| self.ending.clone(), |line| strip_exception(line).to_owned())
    }
}

/// Lines that programs print although nothing is wrong.
fn is_chatter(line: &str) -> bool {
    const OPENINGS: [&str; 8] = [
        "warning",
        "w: ",
        "rehash:",
        "picked up ",
        "openjdk 64-bit server vm warning",
        "clearing symlinks",
        "updating certificates",
        "password file contains no data",
    ];
    let line = line.to_ascii_lowercase();
    OPENINGS.iter().any(|opening| line.starts_with(opening))
}

/// `keytool error: java.io.IOException: what happened` without what only a Java programmer reads.
fn strip_exception(line: &str) -> &str {
    let Some(rest) = line.strip_prefix("keytool error: ") else { return line };
    match rest.split_once(": ") {
        Some((class, message)) if class.contains('.') && !class.contains(' ') => message,
        _ => rest,
    }
}

/// Reads a pipe to its end on a thread of its own, since a full pipe would stop the program.
fn collect<R: Read + Send + 'static>(pipe: Option<R>) -> mpsc::Receiver<String> {
    let (sender, receiver) = mpsc::channel();
    thread::spawn(move || {
        let mut bytes = Vec::new();
        if let Some(mut pipe) = pipe {
            // What was read before an error is still the best there is.
            let _ = pipe.read_to_end(&mut bytes);
        }
        let _ = sender.send(String::from_utf8_lossy(&bytes).into_owned());
    });
    receiver
}

/// `word` as a POSIX shell takes it for one word.
pub(crate) fn quote(word: impl AsRef<OsStr>) -> String {
    let word = word.as_ref().to_string_lossy();
    let plain = |c: char| c.is_ascii_alphanumeric() || "_-./=:,+@%".contains(c);
    if !word.is_empty() && word.chars().all(plain) {
        word.into_owned()
    } else {
        format!("'{}'", word.replace('\'', r"'\''"))
    }
}
