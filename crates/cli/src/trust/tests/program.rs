//! Programs run with nothing inherited and an end to their time.

use std::time::{Duration, Instant};

use super::super::program::quote;
use super::World;

#[test]
fn programs_see_path_home_and_locale_and_nothing_else() {
    let world = World::new("debian");
    let program = world.program("show", "env; read line && echo \"stdin: $line\"");
    let finished = world.machine.call(&program).env("EXTRA", "given").run().unwrap();
    let mut names: Vec<&str> =
        finished.stdout.lines().filter_map(|line| Some(line.split_once('=')?.0)).collect();
    // The shell adds these two by itself.
    names.retain(|name| !["PWD", "_", "SHLVL", "OLDPWD"].contains(name));
    names.sort_unstable();
    assert_eq!(names, ["EXTRA", "HOME", "LC_ALL", "PATH"]);
    assert!(finished.stdout.contains("LC_ALL=C\n"));
    assert!(!finished.stdout.contains("stdin:"), "standard input is empty");
}

#[test]
fn program_that_does_not_end_is_ended_with_all_that_it_started() {
    let world = World::new("debian");
    let program = world.program("hang", "sleep 600 & echo $! > \"$ROOT/helper\"; wait");
    let started = Instant::now();
    let error = world.machine.call(&program).limit(Duration::from_secs(1)).run().unwrap_err();
    assert!(error.to_string().ends_with("had not finished after 1 seconds and was ended"), "{error}");
    assert!(started.elapsed() < Duration::from_secs(20));
    let helper = std::fs::read_to_string(world.at("helper")).unwrap();
    let state = || std::fs::read_to_string(format!("/proc/{}/stat", helper.trim())).unwrap_or_default();
    // Killed, it may wait a moment for its new parent to take note.
    let deadline = Instant::now() + Duration::from_secs(10);
    while !(state().is_empty() || state().contains(") Z ")) {
        assert!(Instant::now() < deadline, "the helper still runs: {}", state());
        std::thread::sleep(Duration::from_millis(10));
    }
}

#[test]
fn program_that_leaves_its_output_open_does_not_hold_us() {
    let world = World::new("debian");
    let program = world.program("daemon", "sleep 5 & echo started; exit 3");
    let started = Instant::now();
    let finished = world.machine.call(&program).run().unwrap();
    assert!(!finished.success);
    assert!(started.elapsed() < Duration::from_secs(4), "{:?}", started.elapsed());
}

#[test]
fn complaint_is_the_first_line_that_is_not_chatter() {
    let world = World::new("debian");
    let complaint = |script: &str| {
        let program = world.program("complain", script);
        world.machine.call(&program).run().unwrap().complaint()
    };
    assert_eq!(
        complaint("echo 'rehash: warning: skipping x' >&2; echo 'disk full' >&2; exit 1"),
        "disk full"
    );
    assert_eq!(
        complaint("echo 'keytool error: java.io.IOException: no such key store'; exit 1"),
        "no such key store"
    );
    assert_eq!(complaint("exit 7"), "exit status: 7");
}

#[test]
fn relative_folders_of_path_are_not_searched() {
    let mut world = World::new("debian");
    world.machine.path = vec![".".into(), "".into(), "src".into()];
    assert_eq!(world.machine.find("Cargo.toml"), None);
    assert_eq!(world.machine.find("main.rs"), None);
}

#[test]
fn administrators_programs_are_found_without_being_in_path() {
    let world = World::new("debian");
    let program = world.program("update-ca-certificates", "exit 0");
    let sbin = world.at("usr/sbin/update-ca-certificates");
    std::fs::rename(program, &sbin).unwrap();
    assert_eq!(world.machine.find("update-ca-certificates"), Some(sbin));
}

#[test]
fn words_are_quoted_as_a_shell_takes_them() {
    assert_eq!(quote("/usr/bin/certutil"), "/usr/bin/certutil");
    assert_eq!(quote("two words"), "'two words'");
    assert_eq!(quote("it's"), r"'it'\''s'");
    assert_eq!(quote("$HOME"), "'$HOME'");
    assert_eq!(quote(""), "''");
}
