//! Telling whoever uses a certificate that there is a new one.

use std::time::Duration;

use rustix::process::{Pid, kill_process};
use tokio::process::Command;
use tokio::time::timeout;

use crate::commands::agent::config::{Reload, Wanted};
use crate::failure::Failure;
use crate::input::{self, plain};

/// How long a hook may take.
const PATIENCE: Duration = Duration::from_secs(120);

/// Runs the hook, if there is one.
pub(super) async fn run(wanted: &Wanted) -> Result<(), Failure> {
    match &wanted.reload {
        None => Ok(()),
        Some(Reload::Command(command)) => program(command, wanted).await,
        Some(Reload::Unit(unit)) => {
            // A unit that does not run needs nothing: it reads the files when it starts.
            let command = ["systemctl", "try-reload-or-restart", "--", unit].map(str::to_owned);
            program(&command, wanted).await
        }
        Some(Reload::Signal(signal, pid_file)) => {
            let text = String::from_utf8_lossy(&input::bytes(pid_file)?).trim().to_owned();
            // 0 and negative numbers would mean groups of processes, 1 the machine's init.
            let pid = text.parse::<i32>().ok().filter(|pid| *pid > 1).and_then(Pid::from_raw);
            let pid = pid.ok_or_else(|| {
                Failure::usage(format!(
                    "{} holds '{text}', which is no number of a process",
                    pid_file.display()
                ))
            })?;
            kill_process(pid, *signal).map_err(|error| {
                Failure::refused(format!(
                    "process {text} of {} could not be told: {error}",
                    pid_file.display()
                ))
            })
        }
    }
}

async fn program(command: &[String], wanted: &Wanted) -> Result<(), Failure> {
    let Some((program, arguments)) = command.split_first() else { return Ok(()) };
    let child = Command::new(program)
        .args(arguments)
        .env("COUNTERSIGN_CERTIFICATE", wanted.files.certificate())
        .env("COUNTERSIGN_KEY", wanted.files.key_place())
        .stdin(std::process::Stdio::null())
        .kill_on_drop(true)
        .status();
    let status = timeout(PATIENCE, child)
        .await
        .map_err(|_| {
            Failure::refused(format!("the hook {program} took longer than {} s", PATIENCE.as_secs()))
        })?
        .map_err(|error| Failure::usage(format!("cannot run the hook {program}: {}", plain(&error))))?;
    if status.success() {
        Ok(())
    } else {
        Err(Failure::refused(format!("the hook {program} failed: {status}")))
    }
}
