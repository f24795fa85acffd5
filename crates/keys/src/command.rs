//! A signer that is a program: started for each request, given it on standard input, its answer read from standard
//! output. It gets no secret from here, in arguments or otherwise; what it needs it has from its own surroundings.

use std::io::{Read as _, Write as _};
use std::os::unix::process::CommandExt as _;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::sync_channel;
use std::sync::{Condvar, Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process_group};

use crate::external::{Exchange, ExternalError, ExternalKey, LARGEST_ANSWER, Reference, one_line};

/// What a reference to a program starts with.
pub const SCHEME: &str = "command:";
/// Programs that run at once for one key; the other requests wait.
const AT_ONCE: usize = 16;
/// What is kept of standard error.
const KEPT_OF_ERRORS: u64 = 4096;

/// A program that signs.
struct Program {
    path: String,
    arguments: Vec<String>,
    timeout: Duration,
    running: Mutex<usize>,
    ended: Condvar,
}

/// Opens the key of a reference `command:/PATH?key=NAME&arg=…&timeout=SECONDS`.
///
/// # Errors
/// [`ExternalError`].
pub fn open(text: &str) -> Result<ExternalKey, ExternalError> {
    let reference = Reference::parse(text, SCHEME)?;
    reference.check(text, &["key", "arg", "timeout"])?;
    if !reference.target.starts_with('/') {
        return Err(ExternalError::Reference {
            reference: text.to_owned(),
            why: "names no absolute path, so that it would depend on PATH which program runs".to_owned(),
        });
    }
    let arguments = reference
        .parameters
        .iter()
        .filter(|(name, _)| name == "arg")
        .map(|(_, value)| value.clone())
        .collect();
    let program = Program {
        path: reference.target.clone(),
        arguments,
        timeout: reference.timeout(text)?,
        running: Mutex::new(0),
        ended: Condvar::new(),
    };
    ExternalKey::open(Box::new(program), reference.one("key").map(str::to_owned))
}

impl Exchange for Program {
    fn name(&self) -> &str {
        &self.path
    }

    fn exchange(&self, request: &[u8]) -> Result<Vec<u8>, ExternalError> {
        let mut running = self.running.lock().unwrap_or_else(PoisonError::into_inner);
        while *running >= AT_ONCE {
            running = self.ended.wait(running).unwrap_or_else(PoisonError::into_inner);
        }
        *running += 1;
        drop(running);
        let answer = self.run(request);
        *self.running.lock().unwrap_or_else(PoisonError::into_inner) -= 1;
        self.ended.notify_one();
        answer
    }
}

impl Program {
    fn run(&self, request: &[u8]) -> Result<Vec<u8>, ExternalError> {
        let signer = || self.path.clone();
        let mut child = Command::new(&self.path)
            .args(&self.arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            // A group of its own, so that what it started ends with it.
            .process_group(0)
            .spawn()
            .map_err(|error| ExternalError::NotStarted { program: signer(), why: error.to_string() })?;
        let (said, saying) = sync_channel(1);
        let (input, output, errors) = (child.stdin.take(), child.stdout.take(), child.stderr.take());
        let request = request.to_vec();
        thread::spawn(move || {
            // Who does not read its request says why on standard error, or gives no answer.
            let _ = input.map(|mut input| input.write_all(&request));
        });
        let complaints = thread::spawn(move || {
            let mut text = Vec::new();
            let _ = errors.map(|errors| errors.take(KEPT_OF_ERRORS).read_to_end(&mut text));
            text
        });
        thread::spawn(move || {
            let mut answer = Vec::new();
            let _ = output.map(|output| output.take(LARGEST_ANSWER as u64 + 1).read_to_end(&mut answer));
            let _ = said.send(answer);
        });
        let answer = saying.recv_timeout(self.timeout);
        let Ok(answer) = answer else {
            end(&mut child);
            return Err(ExternalError::Slow { signer: signer(), seconds: self.timeout.as_secs() });
        };
        if answer.len() > LARGEST_ANSWER {
            end(&mut child);
            return Err(ExternalError::TooLong(signer()));
        }
        // It closed its output; a program that then goes on has had its time.
        let (over, ending) = sync_channel(1);
        let group = Pid::from_child(&child);
        thread::spawn(move || {
            let _ = over.send(child.wait());
        });
        let Ok(status) = ending.recv_timeout(self.timeout) else {
            let _ = kill_process_group(group, Signal::KILL);
            return Err(ExternalError::Slow { signer: signer(), seconds: self.timeout.as_secs() });
        };
        match status {
            Ok(status) if status.success() => Ok(answer),
            // One that fails may still have said why in the way of the protocol.
            _ if answer.first() == Some(&b'{') => Ok(answer),
            Ok(status) => {
                let text = complaints.join().unwrap_or_default();
                Err(ExternalError::Failed { signer: signer(), why: format!("{status}: {}", one_line(&text)) })
            }
            Err(error) => Err(ExternalError::Failed { signer: signer(), why: error.to_string() }),
        }
    }
}

/// Ends a program and all that it started.
fn end(child: &mut Child) {
    let _ = kill_process_group(Pid::from_child(child), Signal::KILL);
    let _ = child.wait();
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test fails by panicking")]
    use super::*;

    fn error(reference: &str) -> String {
        open(reference).unwrap_err().to_string()
    }

    #[test]
    fn a_program_that_cannot_sign_is_named_with_the_reason() {
        for (reference, expected) in [
            ("command:sign", "no absolute path"),
            ("command:/no/such/program", "cannot be started"),
            ("command:/bin/true?pin=1234", "has the parameter 'pin'; there are key, arg, timeout"),
            ("command:/bin/true?timeout=0", "1 to 60 seconds"),
            ("command:/bin/true", "no JSON"),
            ("command:/bin/sh?arg=-c&arg=echo%20no%20quota%20%3E%262;exit%203", "exit status: 3: no quota"),
            ("command:/bin/sh?arg=-c&arg=echo%20%27{%22error%22:%22denied%22}%27;exit%201", "failed: denied"),
            ("command:/bin/cat?arg=/dev/zero", "more than 64 KiB"),
        ] {
            let found = error(reference);
            assert!(found.contains(expected), "{reference}: {found}");
        }
    }

    #[test]
    fn a_program_that_hangs_is_ended_with_what_it_started_at_its_time() {
        let found =
            error("command:/bin/sh?arg=-c&arg=/bin/cat%20/dev/zero%20%3E/dev/null%20%26%20wait&timeout=1");
        assert!(found.contains("within 1 seconds"), "{found}");
    }
}
