//! A disk without room, stood in for by a limit on the size of files. The limit holds for a whole process, so the
//! test runs itself again under one.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use keys::file::{Replace, WriteFileError, write_private};

#[test]
fn without_room_nothing_is_written_and_nothing_is_left_behind() {
    const HOME: &str = "COUNTERSIGN_TEST_FULL_DISK";
    let Some(home) = std::env::var_os(HOME).map(PathBuf::from) else {
        let home = tempfile::tempdir().unwrap();
        // ulimit counts in blocks; SIGXFSZ is ignored so that the write fails instead of the process.
        // Its output goes through a pipe: the limit would hold for a log file, too.
        let output = Command::new("sh")
            .args(["-c", "trap '' XFSZ; ulimit -f 1; exec \"$0\" --exact \"$1\" --nocapture"])
            .arg(std::env::current_exe().unwrap())
            .arg("without_room_nothing_is_written_and_nothing_is_left_behind")
            .env(HOME, home.path())
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&output.stdout) + String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "under the limit: {}\n{said}", output.status);
        assert!(home.path().join("ran").exists(), "the test did not run under the limit");
        return;
    };
    let path = home.join("key.pem");
    fs::write(&path, "old").unwrap();
    for (name, replace) in [("key.pem", Replace::Yes), ("new.pem", Replace::No)] {
        let error = write_private(&home.join(name), &[7; 100_000], replace).unwrap_err();
        assert!(matches!(error, WriteFileError::NoSpace { .. }), "{error}");
        assert!(error.to_string().contains("nothing was written"), "{error}");
    }
    assert_eq!(fs::read(&path).unwrap(), b"old");
    assert_eq!(fs::read_dir(&home).unwrap().count(), 1);
    fs::write(home.join("ran"), "").unwrap();
}
