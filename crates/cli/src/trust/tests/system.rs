//! The layouts, with update programs that do what the distributions' own do to the bundle.

use std::fs;

use super::super::{Mark, Outcome, Report, Status, Step, Store, Verdict, render};
use super::{World, anchor, could_not, mode};

/// A layout's id, folder of anchors, extension, bundle, program, and its arguments after removal.
type Row = (&'static str, &'static str, &'static str, &'static str, &'static str, &'static str);

const LAYOUTS: [Row; 5] = [
    (
        "debian",
        "usr/local/share/ca-certificates",
        "crt",
        "etc/ssl/certs/ca-certificates.crt",
        "update-ca-certificates",
        " --fresh",
    ),
    (
        "alpine",
        "usr/local/share/ca-certificates",
        "crt",
        "etc/ssl/certs/ca-certificates.crt",
        "update-ca-certificates",
        "",
    ),
    (
        "fedora",
        "etc/pki/ca-trust/source/anchors",
        "pem",
        "etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem",
        "update-ca-trust",
        " extract",
    ),
    (
        "arch",
        "etc/ca-certificates/trust-source/anchors",
        "crt",
        "etc/ca-certificates/extracted/tls-ca-bundle.pem",
        "update-ca-trust",
        "",
    ),
    (
        "opensuse-leap",
        "etc/pki/trust/anchors",
        "pem",
        "var/lib/ca-certificates/ca-bundle.pem",
        "update-ca-certificates",
        "",
    ),
];

/// A machine of that layout whose bundle holds one root of the distribution's, and a program that makes the bundle
/// from it and the folder of anchors, and notes how it was called.
fn machine((id, anchors, extension, bundle, program, _): Row) -> World {
    let world = World::new(id);
    fs::create_dir_all(world.at(anchors)).unwrap();
    let distribution = anchor("distribution", 200).pem;
    world.write("distribution.pem", &distribution);
    world.write(bundle, &distribution);
    let script = format!(
        "echo \"$@\" >> \"$ROOT/calls\"\ncd \"$ROOT\"\ncat distribution.pem > new\n\
         for file in {anchors}/*.{extension}; do [ -f \"$file\" ] && cat \"$file\" >> new; done\nmv new {bundle}"
    );
    world.program(program, &script);
    world
}

#[test]
fn each_layout_gets_the_file_where_its_update_looks_and_loses_it_again() {
    for row in LAYOUTS {
        let (id, anchors, extension, bundle, program, after_removal) = row;
        let world = machine(row);
        let ours = anchor("dev", 1);
        let before = fs::read(world.at(bundle)).unwrap();
        assert_eq!(world.status(&ours), Status::Absent, "{id}");

        let (outcome, steps) = world.install(&ours);
        assert_eq!(outcome, Outcome::Done, "{id}");
        let file = world.at(&format!("{anchors}/countersign-dev-01010101.{extension}"));
        assert_eq!(steps[0], Step::Wrote(file.clone()), "{id}");
        assert_eq!(mode(&file), 0o644, "{id}");
        assert_eq!(fs::read_to_string(&file).unwrap(), ours.pem, "{id}");
        assert_eq!(world.status(&ours), Status::Present, "{id}");
        assert_eq!(world.install(&ours), (Outcome::AlreadyThere, vec![]), "{id}");

        let (outcome, steps) = world.uninstall(&ours);
        assert_eq!(outcome, Outcome::Done, "{id}");
        assert_eq!(steps[0], Step::Removed(file.clone()), "{id}");
        assert!(!file.exists(), "{id}");
        assert_eq!(fs::read(world.at(bundle)).unwrap(), before, "{id}");
        assert_eq!(world.uninstall(&ours), (Outcome::NotThere, vec![]), "{id}");
        // Nothing of ours is left in the folder under another name either.
        assert_eq!(fs::read_dir(world.at(anchors)).unwrap().count(), 0, "{id}");
        let calls = fs::read_to_string(world.at("calls")).unwrap();
        assert_eq!(calls.lines().last(), Some(after_removal.trim()), "{id}: {program}");
    }
}

#[test]
fn status_touches_nothing() {
    for row in LAYOUTS {
        let world = machine(row);
        let before = world.snapshot();
        assert_eq!(world.status(&anchor("dev", 1)), Status::Absent);
        assert_eq!(world.snapshot(), before, "{}", row.0);
    }
}

#[test]
fn without_root_the_command_that_does_it_is_given_and_nothing_is_written() {
    let mut world = machine(LAYOUTS[0]);
    world.machine.effective_user_is_root = false;
    world.program("sudo", "exit 1");
    let before = world.snapshot();
    let (outcome, steps) = world.install(&anchor("dev", 1));
    let (reason, remedy) = could_not(&outcome);
    let folder = world.at("usr/local/share/ca-certificates");
    assert_eq!(reason, format!("only root may write to {}", folder.display()));
    assert_eq!(
        remedy,
        format!(
            "sudo install -D -m 0644 /home/user/rootCA.pem {}/countersign-dev-01010101.crt && \
             sudo update-ca-certificates",
            folder.display()
        )
    );
    assert_eq!((steps, world.snapshot()), (vec![], before));
}

#[test]
fn the_command_given_without_root_does_what_root_would_have_done() {
    let mut world = machine(LAYOUTS[0]);
    let mut ours = anchor("dev", 1);
    ours.file = world.write("home/user/root CA.pem", &ours.pem);
    // A sudo that lets everyone, so that the very command can be run.
    world.program("sudo", "exec \"$@\"");
    world.machine.effective_user_is_root = false;
    let shell = |command: &str| {
        let finished = world.machine.call("/bin/sh".as_ref()).args(["-c", command]).run().unwrap();
        assert!(finished.success, "{command}: {}", finished.complaint());
    };
    shell(could_not(&world.install(&ours).0).1);
    assert_eq!(world.status(&ours), Status::Present);
    shell(could_not(&world.uninstall(&ours).0).1);
    assert_eq!(world.status(&ours), Status::Absent);
    assert_eq!(world.uninstall(&ours).0, Outcome::NotThere);
}

#[test]
fn doas_is_named_where_there_is_no_sudo() {
    let mut world = machine(LAYOUTS[1]);
    world.machine.effective_user_is_root = false;
    world.program("doas", "exit 1");
    let (outcome, _) = world.install(&anchor("dev", 1));
    assert!(could_not(&outcome).1.starts_with("doas install "), "{outcome:?}");
}

#[test]
fn update_that_fails_leaves_no_file_behind() {
    let world = machine(LAYOUTS[0]);
    world.program("update-ca-certificates", "echo 'no space left on device' >&2; exit 1");
    let (outcome, steps) = world.install(&anchor("dev", 1));
    let (reason, _) = could_not(&outcome);
    assert!(reason.ends_with("does not hold it after the update: no space left on device"), "{reason}");
    let folder = world.at("usr/local/share/ca-certificates");
    assert_eq!(fs::read_dir(&folder).unwrap().count(), 0);
    assert_eq!(steps.last(), Some(&Step::Removed(folder.join("countersign-dev-01010101.crt"))));
}

#[test]
fn exit_code_of_an_update_that_worked_is_a_note_and_no_failure() {
    let world = machine(LAYOUTS[1]);
    let path = world.program("update-real", "");
    fs::rename(world.at("usr/bin/update-ca-certificates"), path).unwrap();
    world.program(
        "update-ca-certificates",
        "\"$ROOT/usr/bin/update-real\"\necho 'run-parts: not found' >&2\nexit 1",
    );
    let (outcome, steps) = world.install(&anchor("dev", 1));
    assert_eq!(outcome, Outcome::Done);
    let note = "the anchor is in, although the update complained: run-parts: not found";
    assert_eq!(steps.last(), Some(&Step::Note(note.to_owned())));
}

#[test]
fn missing_update_program_is_named_with_its_package() {
    let world = World::new("debian");
    let expected = "apt-get install ca-certificates".to_owned();
    let missing = Status::ToolMissing { program: "update-ca-certificates", remedy: expected.clone() };
    assert_eq!(world.status(&anchor("dev", 1)), missing);
    assert_eq!(could_not(&world.install(&anchor("dev", 1)).0).1, expected);
    assert!(!world.at("usr/local").exists(), "no folder is made for nothing");
}

#[test]
fn file_of_another_name_with_the_same_bytes_is_recognised_and_others_stay() {
    let world = machine(LAYOUTS[2]);
    let (ours, sibling) = (anchor("dev", 1), anchor("dev", 2));
    let corporate =
        world.write("etc/pki/ca-trust/source/anchors/corporate.pem", &format!("# ours\n{}", ours.pem));
    assert_eq!(world.install(&sibling).0, Outcome::Done);
    assert_eq!(world.status(&ours), Status::Present);
    assert_eq!(world.install(&ours).0, Outcome::AlreadyThere);
    assert_eq!(world.uninstall(&ours).0, Outcome::Done);
    assert!(!corporate.exists());
    assert_eq!(world.status(&sibling), Status::Present, "another root of the same name stays");
}

#[test]
fn file_with_other_roots_in_it_is_left_to_a_person() {
    let world = machine(LAYOUTS[0]);
    let (ours, other) = (anchor("dev", 1), anchor("other", 2));
    let both = format!("{}{}", ours.pem, other.pem);
    let file = world.write("usr/local/share/ca-certificates/both.crt", &both);
    assert_eq!(world.install(&anchor("third", 3)).0, Outcome::Done);
    let (outcome, steps) = world.uninstall(&ours);
    assert!(could_not(&outcome).0.contains("together with others"), "{outcome:?}");
    assert_eq!((steps, fs::read_to_string(file).unwrap()), (vec![], both));
}

#[test]
fn root_that_a_package_brought_is_not_fought_over() {
    let world = machine(LAYOUTS[0]);
    let (outcome, steps) = world.uninstall(&anchor("distribution", 200));
    assert!(could_not(&outcome).0.contains("a package or another program put it there"), "{outcome:?}");
    assert_eq!(steps, []);
}

#[test]
fn unrelated_file_under_our_name_is_not_overwritten() {
    let world = machine(LAYOUTS[0]);
    let file = world.write("usr/local/share/ca-certificates/countersign-dev-01010101.crt", "precious\n");
    let (outcome, _) = world.install(&anchor("dev", 1));
    assert!(could_not(&outcome).0.contains("holds another certificate"), "{outcome:?}");
    assert_eq!(fs::read_to_string(file).unwrap(), "precious\n");
}

#[test]
fn folders_decide_before_the_distributions_name() {
    let world = World::new("somebodys-own-linux");
    assert_eq!(super::super::discover(&world.machine), [], "nothing is there");
    fs::create_dir_all(world.at("etc/ca-certificates/trust-source/anchors")).unwrap();
    assert_eq!(world.store().label(), "system store (Arch's layout)");
    fs::create_dir_all(world.at("etc/pki/ca-trust/source/anchors")).unwrap();
    assert_eq!(world.store().label(), "system store (Fedora's layout)");
}

#[test]
fn nixos_and_unknown_systems_are_told_and_not_written() {
    for id in ["nixos", "somebodys-own-linux"] {
        let world = World::new(id);
        world.write("etc/ssl/certs/ca-certificates.crt", &anchor("distribution", 200).pem);
        let before = world.snapshot();
        assert_eq!(world.status(&anchor("dev", 1)), Status::Absent);
        let (outcome, _) = world.install(&anchor("dev", 1));
        let (_, remedy) = could_not(&outcome);
        assert!(remedy.contains("/home/user/rootCA.pem"), "{id}: {remedy}");
        assert_eq!(world.snapshot(), before, "{id}");
    }
}

#[test]
fn macos_keychain_is_changed_by_security_and_judged_by_its_contents() {
    let mut world = World::new("unused");
    world.machine.platform = super::super::machine::Platform::MacOs;
    let keychain = world.write("Library/Keychains/System.keychain", "");
    world.program(
        "security",
        "case $1 in\nfind-certificate) cat \"$4\";;\nadd-trusted-cert) cat \"$7\" >> \"$6\";;\n\
         remove-trusted-cert) ;;\ndelete-certificate) : > \"$4\";;\nesac",
    );
    let mut ours = anchor("dev", 1);
    ours.file = world.write("home/user/rootCA.pem", &ours.pem);
    assert_eq!(world.status(&ours), Status::Absent);
    let (outcome, steps) = world.install(&ours);
    assert_eq!(outcome, Outcome::Done);
    let Step::Ran(command) = &steps[0] else { panic!("{steps:?}") };
    assert!(command.ends_with(&format!(
        "security add-trusted-cert -d -r trustRoot -k {} {}",
        keychain.display(),
        ours.file.display()
    )));
    assert_eq!(world.uninstall(&ours).0, Outcome::Done);
    world.machine.effective_user_is_root = false;
    let (outcome, _) = world.install(&ours);
    assert!(could_not(&outcome).1.contains("security add-trusted-cert -d -r trustRoot"), "{outcome:?}");
}

#[test]
fn failure_is_told_with_its_reason_and_the_command_below_the_store() {
    let mut world = machine(LAYOUTS[0]);
    world.machine.effective_user_is_root = false;
    let store = world.store();
    assert!(matches!(store, Store::System(_)));
    let (outcome, steps) = world.install(&anchor("dev", 1));
    let report = Report { store, verdict: Verdict::Installed(outcome), steps };
    assert!(!report.succeeded());
    let lines = render(&[report], &world.machine.home, false);
    assert_eq!(
        lines.iter().map(|line| line.mark).collect::<Vec<_>>(),
        [Mark::Bad, Mark::Detail, Mark::Detail]
    );
    assert!(
        lines[0].to_string().starts_with("✗ not installed    system store (Debian's layout)  /"),
        "{}",
        lines[0]
    );
    assert!(lines[1].to_string().starts_with("    only root may write to "), "{}", lines[1]);
    assert!(lines[2].text.contains("install -D -m 0644"), "{}", lines[2]);
}
