//! Which key stores there are, and that keytool never works on the one in use.

use std::fs;
use std::os::unix::fs::{PermissionsExt as _, symlink};

use super::super::java::aliases_in;
use super::super::{Outcome, Status, Step, Store, discover};
use super::{World, anchor, could_not, mode};

/// A keytool whose key store is the text that it lists.
const KEYTOOL: &str = r#"
[ "$COUNTERSIGN_STOREPASS" = changeit ] || { echo "keytool error: java.lang.Exception: no password"; exit 1; }
echo "$@" >> "$ROOT/calls"
verb=$1
while [ $# -gt 0 ]; do case $1 in -keystore) store=$2; shift;; -alias) alias=$2; shift;; -file) file=$2; shift;; esac; shift; done
case $verb in
-list) if grep -q OTHERPASSWORD "$store"; then echo "keytool error: java.io.IOException: Keystore was tampered with, or password was incorrect"; exit 1; fi
       cat "$store";;
-importcert) { echo "Alias name: $alias"; cat "$file"; } >> "$store"; [ ! -e "$ROOT/clumsy" ] || cp "$file" "$store";;
-delete) awk -v alias="Alias name: $alias" '/^Alias name: /{skip=($0==alias)} !skip' "$store" > "$store.new"; cat "$store.new" > "$store"; rm "$store.new";;
esac
"#;

/// A machine with one runtime, whose key store holds one root.
fn with_runtime() -> World {
    let world = World::new("somebodys-own-linux");
    let keytool = world.program("keytool", KEYTOOL);
    fs::create_dir_all(world.at("usr/lib/jvm/java-21/bin")).unwrap();
    fs::rename(keytool, world.at("usr/lib/jvm/java-21/bin/keytool")).unwrap();
    let cacerts = format!("Alias name: debian:public.pem\n{}", anchor("public", 200).pem);
    world.write("usr/lib/jvm/java-21/lib/security/cacerts", &cacerts);
    world
}

#[test]
fn runtimes_that_share_a_key_store_are_one_store() {
    let mut world = with_runtime();
    symlink("java-21", world.at("usr/lib/jvm/default-java")).unwrap();
    symlink("../lib/jvm/java-21/bin/keytool", world.at("usr/bin/keytool")).unwrap();
    world.machine.java_home = Some(world.at("usr/lib/jvm/default-java"));
    let other = world.write("home/user/.sdkman/candidates/java/8/jre/lib/security/cacerts", "");
    let stores = discover(&world.machine);
    let files: Vec<_> = stores.iter().map(Store::location).collect();
    assert_eq!(
        files,
        [
            world.at("usr/lib/jvm/java-21/lib/security/cacerts").canonicalize().unwrap(),
            other.canonicalize().unwrap()
        ]
    );
}

#[test]
fn root_is_put_in_and_taken_out_and_other_entries_stay() {
    let world = with_runtime();
    let store = world.store();
    let ours = anchor("dev", 1);
    let cacerts = store.location().to_owned();
    fs::set_permissions(&cacerts, fs::Permissions::from_mode(0o640)).unwrap();
    let before = fs::read(&cacerts).unwrap();
    let snapshot = world.snapshot();
    assert_eq!(world.status(&ours), Status::Absent);
    fs::remove_file(world.at("calls")).unwrap();
    assert_eq!(world.snapshot(), snapshot, "status touches nothing");

    assert_eq!(world.install(&ours), (Outcome::Done, vec![Step::Wrote(cacerts.clone())]));
    assert_eq!(mode(&cacerts), 0o640, "the file keeps its mode");
    assert_eq!(world.install(&ours).0, Outcome::AlreadyThere);
    assert_eq!(world.uninstall(&ours).0, Outcome::Done);
    assert_eq!(fs::read(&cacerts).unwrap(), before);
    assert_eq!(world.uninstall(&ours).0, Outcome::NotThere);

    let calls = fs::read_to_string(world.at("calls")).unwrap();
    let in_use = format!("-keystore {} ", cacerts.display());
    for call in calls.lines().filter(|call| !call.starts_with("-list")) {
        assert!(!call.contains(&in_use), "the key store in use was given to keytool to write: {call}");
    }
    assert!(!calls.contains("changeit"), "the password is on no command line");
    assert_eq!(fs::read_dir(cacerts.parent().unwrap()).unwrap().count(), 1, "no copy is left");
}

#[test]
fn result_in_which_another_entry_is_missing_is_not_taken_over() {
    let world = with_runtime();
    world.write("clumsy", "");
    let store = world.store();
    let before = fs::read(store.location()).unwrap();
    let outcome = super::super::install(&world.machine, &store, &anchor("dev", 1), &mut |_| {});
    assert!(could_not(&outcome).0.starts_with("keytool's result was not taken over"), "{outcome:?}");
    assert_eq!(fs::read(store.location()).unwrap(), before);
}

#[test]
fn key_store_with_a_password_of_its_own_is_explained() {
    let world = with_runtime();
    let store = world.store();
    fs::write(store.location(), "OTHERPASSWORD").unwrap();
    let expected = "its password is not the usual `changeit`, or it is damaged";
    assert_eq!(
        super::super::status(&world.machine, &store, &anchor("dev", 1)),
        Status::Unreadable(expected.to_owned())
    );
}

#[test]
fn key_store_made_from_the_system_store_is_left_to_it() {
    let world = with_runtime();
    let extracted = world.at("etc/pki/ca-trust/extracted/java/cacerts");
    fs::create_dir_all(extracted.parent().unwrap()).unwrap();
    let linked = world.at("usr/lib/jvm/java-21/lib/security/cacerts");
    fs::rename(&linked, &extracted).unwrap();
    symlink(&extracted, &linked).unwrap();
    let store = discover(&world.machine).into_iter().find(|store| matches!(store, Store::Java(_))).unwrap();
    let outcome = super::super::install(&world.machine, &store, &anchor("dev", 1), &mut |_| {});
    let (reason, remedy) = could_not(&outcome);
    assert!(reason.contains("from the system store"), "{reason}");
    assert_eq!(remedy, "countersign trust install --only system --ca /home/user/rootCA.pem");
}

#[test]
fn runtime_without_keytool_is_told_what_to_install() {
    let world = with_runtime();
    fs::remove_file(world.at("usr/lib/jvm/java-21/bin/keytool")).unwrap();
    world.write("etc/os-release", "ID=ubuntu\nID_LIKE=debian\n");
    let store = discover(&world.machine).into_iter().find(|store| matches!(store, Store::Java(_))).unwrap();
    let missing =
        Status::ToolMissing { program: "keytool", remedy: "apt-get install default-jre-headless".to_owned() };
    assert_eq!(super::super::status(&world.machine, &store, &anchor("dev", 1)), missing);
}

#[test]
fn alias_is_the_one_above_the_block_with_the_bytes() {
    let (ours, other) = (anchor("dev", 1), anchor("dev", 2));
    let listed = format!(
        "Your keystore contains 2 entries\n\nAlias name: first\nEntry type: trustedCertEntry\n\n{}\n\n\
         Alias name: debian:countersign-dev.pem\nCreation date: today\n\n{}\n",
        other.pem, ours.pem
    );
    assert_eq!(aliases_in(&listed, &ours), ["debian:countersign-dev.pem"]);
    assert_eq!(aliases_in(&listed, &other), ["first"]);
    assert_eq!(aliases_in(&listed, &anchor("dev", 3)), Vec::<String>::new());
}
