//! Which databases there are, what certutil says about them, and what becomes of its errors.

use std::fs;
use std::os::unix::fs::symlink;

use super::super::nss::{nickname_in, trusted};
use super::super::{Kind, Outcome, Status, Step, discover};
use super::{World, anchor, could_not};

/// A certutil whose database is a folder: one file `cert-NICK` with the PEM, and `trust-NICK` with the flags. Refuses
/// trust where a file `password` lies in the folder, after it has taken the certificate, as the real one does.
const CERTUTIL: &str = r#"
verb=$1; db=${3#sql:}; shift 3
while [ $# -gt 0 ]; do case $1 in -n) nick=$2; shift;; -t) trust=$2; shift;; -i) file=$2; shift;; -a) ascii=1;; esac; shift; done
if [ -e "$db/locked" ]; then echo "certutil: function failed: SEC_ERROR_BAD_DATABASE: security library: bad database." >&2; exit 255; fi
case $verb in
-N) echo "SQLite format 3" > "$db/cert9.db";;
-A) cat "$file" > "$db/cert-$nick"; echo ",," > "$db/trust-$nick"
    if [ -e "$db/password" ]; then echo "Incorrect password/PIN entered." >&2; echo "certutil: could not authenticate to token NSS Certificate DB.: SEC_ERROR_BAD_PASSWORD: The security password entered is incorrect." >&2; exit 255; fi
    echo "$trust" > "$db/trust-$nick";;
-D) rm "$db/cert-$nick" "$db/trust-$nick";;
-L) if [ -z "$nick" ]; then
      printf '\nCertificate Nickname                                         Trust Attributes\n                                                             SSL,S/MIME,JAR/XPI\n\n'
      for f in "$db"/cert-*; do [ -e "$f" ] || continue; n=${f##*/cert-}; printf '%-60s %-5s\n' "$n" "$(cat "$db/trust-$n")"; done
    elif [ -n "$ascii" ]; then cat "$db/cert-$nick"
    else printf '    Fingerprint (SHA-256):\n        01:01:01:01:01:01:01:01:01:01:01:01:01:01:01:01:\n        01:01:01:01:01:01:01:01:01:01:01:01:01:01:01:01\n    Certificate Trust Flags:\n        SSL Flags:\n'
      case $(cat "$db/trust-$nick") in C*) printf '            Valid CA\n            Trusted CA\n';; esac
      printf '        Email Flags:\n        Object Signing Flags:\n'; fi;;
esac
"#;

/// A Firefox profile with a database in it.
fn with_profile() -> World {
    let world = World::new("somebodys-own-linux");
    world.write("home/user/.mozilla/firefox/ab12.default-release/cert9.db", "SQLite format 3\0");
    world.program("certutil", CERTUTIL);
    world
}

#[test]
fn profiles_are_found_where_each_packaging_keeps_them_with_the_names_that_the_browser_shows() {
    let world = World::new("somebodys-own-linux");
    let database = |path: &str| world.write(&format!("{path}/cert9.db"), "SQLite format 3\0");
    let home = "home/user";
    database(&format!("{home}/.mozilla/firefox/ab12.default-release"));
    database(&format!("{home}/.config/mozilla/firefox/cd34.new"));
    database(&format!("{home}/snap/firefox/common/.mozilla/firefox/ef56.default"));
    database(&format!("{home}/.var/app/org.mozilla.firefox/.mozilla/firefox/gh78.default"));
    database("elsewhere/profile");
    fs::create_dir_all(world.at("home/user/.mozilla/firefox/ij90.never-started")).unwrap();
    let outside = world.at("elsewhere/profile");
    world.write(
        "home/user/.mozilla/firefox/profiles.ini",
        &format!(
            "[Install4F96]\nDefault=ab12.default-release\n\n[Profile1]\nName=work\nIsRelative=0\nPath={}\n\n\
             [Profile0]\nName=At home\nIsRelative=1\nPath=ab12.default-release\n",
            outside.display()
        ),
    );
    database(&format!("{home}/.pki/nssdb"));
    database(&format!("{home}/snap/chromium/123/.pki/nssdb"));
    symlink("123", world.at("home/user/snap/chromium/current")).unwrap();
    database(&format!("{home}/.var/app/org.chromium.Chromium/.pki/nssdb"));
    let labels: Vec<String> = discover(&world.machine).iter().map(|store| store.label()).collect();
    assert_eq!(
        labels,
        [
            "Firefox, profile work",
            "Firefox, profile At home",
            "Firefox, profile new",
            "Firefox (snap), profile default",
            "Firefox (flatpak), profile default",
            "Chromium, Chrome",
            "Chromium (snap)",
            "Chromium (flatpak org.chromium.Chromium)",
        ]
    );
}

#[test]
fn database_reached_by_two_names_is_one_store() {
    let world = with_profile();
    symlink(world.at("home/user/.mozilla"), world.at("home/user/.config")).unwrap();
    fs::create_dir_all(world.at("home/user/.mozilla/mozilla")).unwrap();
    symlink(world.at("home/user/.mozilla/firefox"), world.at("home/user/.mozilla/mozilla/firefox")).unwrap();
    assert_eq!(discover(&world.machine).len(), 1);
}

#[test]
fn missing_certutil_is_named_with_the_package_of_the_distribution() {
    let expected = [
        ("debian", "apt-get install libnss3-tools"),
        ("fedora", "dnf install nss-tools"),
        ("alpine", "apk add nss-tools"),
        ("arch", "pacman -S nss"),
        ("opensuse-tumbleweed", "zypper install mozilla-nss-tools"),
    ];
    for (id, remedy) in expected {
        let world = World::new(id);
        world.write("home/user/.pki/nssdb/cert9.db", "SQLite format 3\0");
        let stores = discover(&world.machine);
        let store = stores.iter().find(|store| store.kind() == Kind::Nss).unwrap();
        let status = super::super::status(&world.machine, store, &anchor("dev", 1));
        assert_eq!(status, Status::ToolMissing { program: "certutil", remedy: remedy.to_owned() }, "{id}");
    }
}

#[test]
fn root_is_put_in_with_trust_for_servers_and_taken_out_by_its_bytes() {
    let world = with_profile();
    let (ours, other) = (anchor("dev", 1), anchor("dev", 2));
    let profile = world.at("home/user/.mozilla/firefox/ab12.default-release");
    fs::write(profile.join("cert-somebody elses"), &other.pem).unwrap();
    fs::write(profile.join("trust-somebody elses"), "C,,").unwrap();
    assert_eq!(world.status(&ours), Status::Absent);
    assert_eq!(world.install(&ours).0, Outcome::Done);
    assert_eq!(fs::read_to_string(profile.join("trust-countersign dev 01010101")).unwrap(), "C,,\n");
    assert_eq!(world.install(&ours), (Outcome::AlreadyThere, vec![]));
    // Whatever the nickname: the bytes decide.
    for part in ["cert", "trust"] {
        let (from, to) = (format!("{part}-countersign dev 01010101"), format!("{part}-renamed by hand"));
        fs::rename(profile.join(from), profile.join(to)).unwrap();
    }
    assert_eq!(world.status(&ours), Status::Present);
    assert_eq!(world.uninstall(&ours).0, Outcome::Done);
    assert!(!profile.join("cert-renamed by hand").exists());
    assert!(profile.join("cert-somebody elses").exists());
    assert_eq!(world.uninstall(&ours), (Outcome::NotThere, vec![]));
    assert_eq!(fs::read_dir(world.at("tmp")).unwrap().count(), 0, "no temporary file is left");
}

#[test]
fn certificate_without_trust_is_said_to_be_untrusted_and_install_gives_it_trust() {
    let world = with_profile();
    let ours = anchor("dev", 1);
    let profile = world.at("home/user/.mozilla/firefox/ab12.default-release");
    fs::write(profile.join("cert-countersign dev 01010101"), &ours.pem).unwrap();
    fs::write(profile.join("trust-countersign dev 01010101"), ",,").unwrap();
    assert_eq!(world.status(&ours), Status::Untrusted);
    assert_eq!(world.install(&ours).0, Outcome::Done);
    assert_eq!(world.status(&ours), Status::Present);
}

#[test]
fn primary_password_is_explained_with_the_command_that_asks_for_it_and_nothing_is_left() {
    let world = with_profile();
    let profile = world.at("home/user/.mozilla/firefox/ab12.default-release");
    fs::write(profile.join("password"), "").unwrap();
    let before = world.snapshot();
    let (outcome, _) = world.install(&anchor("dev", 1));
    let (reason, remedy) = could_not(&outcome);
    assert_eq!(reason, "it is protected by a primary password, which only you can give");
    let ending =
        format!("-d sql:{} -t C,, -n 'countersign dev 01010101' -i /home/user/rootCA.pem", profile.display());
    assert!(remedy.ends_with(&ending), "{remedy}");
    assert_eq!(world.snapshot(), before);
}

#[test]
fn locked_damaged_and_unreadable_databases_are_told_apart() {
    let world = with_profile();
    let profile = world.at("home/user/.mozilla/firefox/ab12.default-release");
    fs::write(profile.join("locked"), "").unwrap();
    let reason = || match world.status(&anchor("dev", 1)) {
        Status::Unreadable(reason) => reason,
        other => panic!("{other:?}"),
    };
    assert!(reason().starts_with("another program has it locked, or it is damaged"), "{}", reason());
    // Firefox's lock names the process, which is there on this machine.
    fs::create_dir_all(world.at("proc/4711")).unwrap();
    symlink("127.0.1.1:+4711", profile.join("lock")).unwrap();
    assert!(
        reason().starts_with("Firefox is running and has it locked; close it and try again"),
        "{}",
        reason()
    );
    fs::write(profile.join("cert9.db"), "junk").unwrap();
    assert!(reason().ends_with("cert9.db is damaged: it is not an SQLite database"), "{}", reason());
    assert_eq!(could_not(&world.install(&anchor("dev", 1)).0).0, reason());
}

#[test]
fn running_firefox_is_told_to_be_started_again() {
    let world = with_profile();
    let profile = world.at("home/user/.mozilla/firefox/ab12.default-release");
    fs::create_dir_all(world.at("proc/4711")).unwrap();
    symlink("127.0.1.1:+4711", profile.join("lock")).unwrap();
    let (_, steps) = world.install(&anchor("dev", 1));
    let note = Step::Note("Firefox is running: it sees the change after its next start".to_owned());
    assert_eq!(steps.last(), Some(&note));
}

#[test]
fn shared_database_is_made_only_where_a_chromium_is_installed_outside_a_sandbox() {
    let mut world = World::new("somebodys-own-linux");
    world.machine.path.push(world.at("snap/bin"));
    assert_eq!(discover(&world.machine), []);
    let program = world.program("chromium", "exit 0");
    fs::create_dir_all(world.at("snap/bin")).unwrap();
    fs::rename(&program, world.at("snap/bin/chromium")).unwrap();
    assert_eq!(discover(&world.machine), [], "snap's Chromium has a home of its own");
    fs::rename(world.at("snap/bin/chromium"), &program).unwrap();
    world.program("certutil", CERTUTIL);
    let before = world.snapshot();
    assert_eq!(world.status(&anchor("dev", 1)), Status::Absent);
    assert_eq!(world.uninstall(&anchor("dev", 1)).0, Outcome::NotThere);
    assert_eq!(world.snapshot(), before, "asking makes nothing");
    // The home of a test that runs as root is root's, else the machine's user is not root.
    world.machine.effective_user_is_root = false;
    let (outcome, steps) = world.install(&anchor("dev", 1));
    assert_eq!(outcome, Outcome::Done);
    assert_eq!(steps[0], Step::CreatedDirectory(world.at("home/user/.pki/nssdb")));
    assert_eq!(super::mode(&world.at("home/user/.pki/nssdb")), 0o700);
}

#[test]
fn nicknames_are_read_from_the_list_and_headings_are_not() {
    let line = "countersign dev da790cc2                                     C,,  ";
    assert_eq!(nickname_in(line), Some("countersign dev da790cc2"));
    let long = "NSS Certificate DB:a nickname that is longer than the column of sixty characters CT,c,Pu";
    assert_eq!(
        nickname_in(long),
        Some("NSS Certificate DB:a nickname that is longer than the column of sixty characters")
    );
    for heading in [
        "",
        "Certificate Nickname                                         Trust Attributes",
        "                                                             SSL,S/MIME,JAR/XPI",
    ] {
        assert_eq!(nickname_in(heading), None, "{heading}");
    }
}

#[test]
fn trust_is_read_for_the_fingerprint_that_is_meant() {
    let section = |byte: &str, flags: &str| {
        let fingerprint = [byte; 32].join(":");
        format!(
            "    Fingerprint (SHA-256):\n        {fingerprint}\n    Fingerprint (SHA1):\n        00:11\n\n    \
             Certificate Trust Flags:\n        SSL Flags:\n{flags}        Email Flags:\n            Trusted CA\n\n"
        )
    };
    let both = section("AA", "            Valid CA\n            Trusted CA\n")
        + &section("BB", "            Valid CA\n");
    assert_eq!(trusted(&both, &[0xaa; 32]), Some(true));
    assert_eq!(trusted(&both, &[0xbb; 32]), Some(false), "trust for email is not trust for servers");
    assert_eq!(trusted(&both, &[0xcc; 32]), None);
}
