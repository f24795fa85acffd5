//! What a command says when it cannot do what it was asked: the sentence, what led to it, the remedy, and the
//! exit code.

use std::error::Error;
use std::fmt;

/// Exit codes, as README.md lists them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Exit {
    /// Done.
    Done,
    /// Refused, or findings.
    Refused,
    /// Usage or configuration.
    Usage,
    /// The other side cannot be reached.
    Unreachable,
    /// A code of curl's, for `fetch` alone.
    Curl(u8),
}

impl Exit {
    pub(crate) fn code(self) -> u8 {
        match self {
            Exit::Done => 0,
            Exit::Refused => 1,
            Exit::Usage => 2,
            Exit::Unreachable => 3,
            Exit::Curl(code) => code,
        }
    }
}

/// Why a command ended without doing its work.
#[derive(Debug)]
pub(crate) struct Failure {
    pub(crate) exit: Exit,
    message: String,
    causes: Vec<String>,
    hints: Vec<String>,
}

impl Failure {
    fn new(exit: Exit, message: impl fmt::Display) -> Self {
        Failure { exit, message: message.to_string(), causes: Vec::new(), hints: Vec::new() }
    }

    /// What was asked is not allowed or not right.
    pub(crate) fn refused(message: impl fmt::Display) -> Self {
        Self::new(Exit::Refused, message)
    }

    /// The command line, a file or the configuration is wrong.
    pub(crate) fn usage(message: impl fmt::Display) -> Self {
        Self::new(Exit::Usage, message)
    }

    /// The other side cannot be reached.
    pub(crate) fn unreachable(message: impl fmt::Display) -> Self {
        Self::new(Exit::Unreachable, message)
    }

    /// `fetch` ended with one of curl's exit codes.
    pub(crate) fn curl(code: u8, message: impl fmt::Display) -> Self {
        Self::new(Exit::Curl(code), message)
    }

    /// Adds what to do about it: a command that can be pasted, or a short sentence.
    pub(crate) fn hint(mut self, hint: impl fmt::Display) -> Self {
        self.hints.push(hint.to_string());
        self
    }

    /// Adds an error and everything under it as causes.
    pub(crate) fn because(mut self, error: &dyn Error) -> Self {
        let mut next = Some(error);
        while let Some(error) = next {
            let text = error.to_string();
            // Transparent wrappers repeat what they wrap.
            if self.causes.last() != Some(&text) && !self.message.ends_with(&text) {
                self.causes.push(text);
            }
            next = error.source();
        }
        self
    }

    /// Adds a fact that the failure rests on.
    pub(crate) fn fact(mut self, fact: impl fmt::Display) -> Self {
        self.causes.push(fact.to_string());
        self
    }

    /// The same failure under one of curl's exit codes.
    pub(crate) fn with_curl_code(mut self, code: u8) -> Self {
        self.exit = Exit::Curl(code);
        self
    }

    pub(crate) fn message(&self) -> &str {
        &self.message
    }

    pub(crate) fn hints(&self) -> &[String] {
        &self.hints
    }

    pub(crate) fn causes(&self) -> &[String] {
        &self.causes
    }
}

/// What every command returns.
pub(crate) type Outcome = Result<Exit, Failure>;

/// Turns library errors into failures where the caller knows what they mean.
pub(crate) trait OrFail<T> {
    /// The error means that what was asked is refused.
    fn or_refuse(self) -> Result<T, Failure>;
    /// The error means that the command line, a file or the set-up is wrong.
    fn or_usage(self) -> Result<T, Failure>;
}

impl<T, E: Error> OrFail<T> for Result<T, E> {
    fn or_refuse(self) -> Result<T, Failure> {
        self.map_err(|error| with_sources(Exit::Refused, &error))
    }

    fn or_usage(self) -> Result<T, Failure> {
        self.map_err(|error| with_sources(Exit::Usage, &error))
    }
}

fn with_sources(exit: Exit, error: &dyn Error) -> Failure {
    let failure = Failure::new(exit, error);
    match error.source() {
        Some(source) => failure.because(source),
        None => failure,
    }
}
