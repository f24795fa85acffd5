//! Running a program for a bounded time, with everything it started gone afterwards.
//!
//! Not a shell: the caller builds the [`Command`]; this decides only when it has had its time.

use std::fs::File;
use std::io::{self, BufRead as _};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Stdio};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, WaitId, WaitIdOptions, kill_process_group, waitid};

/// How a bounded run ended.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Ending {
    /// By itself.
    Exited(ExitStatus),
    /// Its time was over, and it was ended.
    TimedOut,
}

/// Time between SIGTERM, which lets exit traps run, and SIGKILL, which does not ask.
const GRACE: Duration = Duration::from_secs(3);

/// A look at the child this often costs nothing that could be measured.
const LOOK: Duration = Duration::from_millis(10);

/// Runs `command` in a process group of its own for at most `limit`, both its outputs in `output`.
///
/// Whatever is left of the group is killed before the leader is reaped: until then its number is taken, so the
/// signal cannot reach a stranger.
pub(crate) fn run_bounded(mut command: Command, output: &Path, limit: Duration) -> io::Result<Ending> {
    let log = File::create(output)?;
    let mut child =
        command.stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log).process_group(0).spawn()?;
    let group = Pid::from_child(&child);
    let in_time = wait_until(group, Instant::now() + limit)?;
    if !in_time {
        let _ = kill_process_group(group, Signal::TERM);
        wait_until(group, Instant::now() + GRACE)?;
    }
    // The group may be empty but for the leader that waits to be reaped; then there is nobody to tell.
    let _ = kill_process_group(group, Signal::KILL);
    let status = child.wait()?;
    Ok(if in_time { Ending::Exited(status) } else { Ending::TimedOut })
}

/// Runs a command to its end with both outputs passed on as they come, but for the lines that `is_shown` holds back, and
/// returned as one text.
pub(crate) fn run_watched(
    mut command: Command,
    is_shown: impl FnMut(&str) -> bool + Send,
) -> io::Result<(ExitStatus, String)> {
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn()?;
    let (output, errors) = (child.stdout.take(), child.stderr.take());
    let text = Mutex::new(String::new());
    std::thread::scope(|scope| {
        scope.spawn(|| pass_on(output, &mut io::stdout(), is_shown, &text));
        scope.spawn(|| pass_on(errors, &mut io::stderr(), |_| true, &text));
    });
    let status = child.wait()?;
    Ok((status, text.into_inner().unwrap_or_else(PoisonError::into_inner)))
}

fn pass_on(
    from: Option<impl io::Read>,
    to: &mut impl io::Write,
    mut is_shown: impl FnMut(&str) -> bool,
    text: &Mutex<String>,
) {
    let Some(from) = from else { return };
    let mut from = io::BufReader::new(from);
    let mut line = Vec::new();
    // What cannot be read any more has ended; what nobody looks at is kept all the same.
    while from.read_until(b'\n', &mut line).is_ok_and(|count| count > 0) {
        let read = String::from_utf8_lossy(&line);
        if is_shown(&read) {
            let _ = to.write_all(&line).and_then(|()| to.flush());
        }
        text.lock().unwrap_or_else(PoisonError::into_inner).push_str(&read);
        line.clear();
    }
}

/// Waits for `process` to end without reaping it. `false` when it still ran at `deadline`.
fn wait_until(process: Pid, deadline: Instant) -> io::Result<bool> {
    let options = WaitIdOptions::EXITED | WaitIdOptions::NOHANG | WaitIdOptions::NOWAIT;
    loop {
        if waitid(WaitId::Pid(process), options)?.is_some() {
            return Ok(true);
        }
        if Instant::now() >= deadline {
            return Ok(false);
        }
        std::thread::sleep(LOOK);
    }
}

/// Where programs are looked for: PATH, then the folders where daemons live, which an ordinary user's PATH on
/// Debian lacks (nginx is in /usr/sbin).
pub(crate) fn search_path() -> Vec<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let mut folders: Vec<PathBuf> = std::env::split_paths(&path).collect();
    for folder in ["/usr/local/sbin", "/usr/sbin", "/sbin"] {
        if !folders.iter().any(|known| known == Path::new(folder)) {
            folders.push(folder.into());
        }
    }
    folders
}

/// The file that `program` would run, if there is one.
pub(crate) fn find_program(program: &str) -> Option<PathBuf> {
    // A library of Java is named by its file, and is no program.
    if program.starts_with('/') {
        return Some(PathBuf::from(program)).filter(|file| file.is_file());
    }
    find_program_in(program, &search_path())
}

fn find_program_in(program: &str, folders: &[PathBuf]) -> Option<PathBuf> {
    folders
        .iter()
        .map(|folder| folder.join(program))
        .find(|file| file.is_file() && rustix::fs::access(file, rustix::fs::Access::EXEC_OK).is_ok())
}

#[cfg(test)]
#[allow(clippy::unwrap_used)] // In a test a panic is the report.
mod tests {
    use super::*;

    fn bash(script: &str, limit: Duration) -> (Ending, String) {
        let folder = tempfile::tempdir().unwrap();
        let output = folder.path().join("output");
        let mut command = Command::new("bash");
        command.args(["-c", script]);
        let ending = run_bounded(command, &output, limit).unwrap();
        (ending, std::fs::read_to_string(output).unwrap())
    }

    fn is_alive(process: &str) -> bool {
        // A process that was killed stays visible as a zombie (state Z) until its new parent reaps it.
        let status = std::fs::read_to_string(format!("/proc/{}/stat", process.trim())).unwrap_or_default();
        !status.is_empty() && !status.contains(") Z ")
    }

    #[test]
    fn exit_code_and_both_outputs_are_kept() {
        let (ending, output) = bash("echo out; echo err >&2; exit 7", Duration::from_secs(20));
        let Ending::Exited(status) = ending else { panic!("{ending:?}") };
        assert_eq!((status.code(), output.as_str()), (Some(7), "out\nerr\n"));
    }

    #[test]
    fn program_that_overstays_is_ended_after_its_trap_ran() {
        let (ending, output) =
            bash("trap 'echo trapped; exit 0' TERM; sleep 60 & wait", Duration::from_millis(300));
        assert_eq!((ending, output.as_str()), (Ending::TimedOut, "trapped\n"));
    }

    #[test]
    fn child_left_behind_in_the_background_is_killed() {
        let (ending, output) = bash("sleep 60 & echo $!", Duration::from_secs(20));
        assert!(matches!(ending, Ending::Exited(status) if status.success()));
        // SIGKILL is certain but not instant.
        let deadline = Instant::now() + Duration::from_secs(10);
        while is_alive(&output) {
            assert!(Instant::now() < deadline, "process {output} outlived its case");
            std::thread::sleep(LOOK);
        }
    }

    #[test]
    fn both_outputs_of_a_watched_run_are_kept_with_what_is_held_back() {
        let mut command = Command::new("bash");
        command.args(["-c", "echo out; echo quiet; echo err >&2; printf 'no end'; exit 3"]);
        let mut shown = Vec::new();
        let (status, text) = run_watched(command, |line| {
            shown.push(line.to_owned());
            !line.contains("quiet")
        })
        .unwrap();
        assert_eq!(status.code(), Some(3));
        let mut lines: Vec<&str> = text.lines().collect();
        lines.sort_unstable();
        // Which pipe is read first is nobody's promise; a line without an end may have another behind it.
        assert_eq!(lines.concat().len(), "outquieterrno end".len(), "{text}");
        assert_eq!(shown, ["out\n", "quiet\n", "no end"]);
    }

    #[test]
    fn file_that_cannot_be_executed_is_not_a_program() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("tool"), "").unwrap();
        assert_eq!(find_program_in("tool", &[folder.path().into()]), None);
        let permissions = std::os::unix::fs::PermissionsExt::from_mode(0o755);
        std::fs::set_permissions(folder.path().join("tool"), permissions).unwrap();
        assert_eq!(find_program_in("tool", &[folder.path().into()]), Some(folder.path().join("tool")));
    }
}
