//! What counts once the feed has been silent for too long.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]
#![allow(clippy::field_reassign_with_default, reason = "what else is known is private to the feed")]

use jiff::SignedDuration;
use pki::identity::VerifiedPeer;
use pki::verify::{Purpose, Rules, verify};
use testkit::{TestCa, TestIdentity};

use super::*;
use crate::config::FeedSource;

const LONGEST: SignedDuration = SignedDuration::from_mins(10);
const FRESH: SignedDuration = SignedDuration::from_mins(9);
const OLD: SignedDuration = SignedDuration::from_mins(11);

struct World {
    ca: TestCa,
    folder: tempfile::TempDir,
    runtime: tokio::runtime::Runtime,
    /// Good.
    alice: TestIdentity,
    /// Named by the feed, and by no other list.
    bob: TestIdentity,
}

impl World {
    fn new() -> Self {
        let ca = TestCa::new();
        let folder = tempfile::tempdir().unwrap();
        let server = ca.issue_server(&["localhost"]);
        let chain: String =
            std::iter::once(&server.certificate).chain(&server.chain).map(pki::Certificate::to_pem).collect();
        std::fs::write(folder.path().join("cert.pem"), chain).unwrap();
        keys::file::write_private(
            &folder.path().join("key.pem"),
            server.key.pkcs8_pem().as_bytes(),
            keys::file::Replace::No,
        )
        .unwrap();
        let (alice, bob) = (ca.issue_client("alice"), ca.issue_client("bob"));
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        World { ca, folder, runtime, alice, bob }
    }

    /// What a gateway goes by whose feed was silent for so long.
    fn snapshot(
        &self,
        silent: SignedDuration,
        fallback: Fallback,
        lists: &[CertificateRevocationList],
    ) -> Snapshot {
        let at = testkit::now();
        let file = self.folder.path().join("countersign.toml");
        let text = "[[listeners]]\naddress = \"127.0.0.1:0\"\nallow = [\"cn alice\"]\n\
                    certificates = [{ cert = \"cert.pem\", key = \"key.pem\" }]\nclient_ca = [\"cert.pem\"]\n\
                    [[listeners.routes]]\nidentity = true\n";
        std::fs::write(&file, text).unwrap();
        let mut config = Config::read(&file).unwrap();
        config.listeners[0].client_ca.clear();
        config.feed = Some(FeedSource {
            url: "https://ca.test".to_owned(),
            cert: PathBuf::new(),
            key: PathBuf::new(),
            ca: PathBuf::new(),
            rules: true,
            fallback: Some((LONGEST, fallback)),
        });
        let mut known = Known::default();
        known.anchors = self.ca.anchors().anchors().to_vec();
        known.lists = vec![self.ca.current_crl(&[&self.bob.certificate])];
        known.rules = Some(Policy::of(pki::policy::read("cn bob").unwrap()));
        known.heard = at.checked_sub(silent).ok();
        let loader = Loader {
            local: None,
            feed: Some(Feed::knowing(known)),
            feed_fallback: Some((LONGEST, fallback)),
            lists: Mutex::default(),
            online: Mutex::default(),
            handlers: Mutex::default(),
            runtime: self.runtime.handle().clone(),
        };
        let context = Context::from_environment(None, true);
        loader.listener(&context, &config, &config.listeners[0], lists, at).unwrap()
    }

    /// Whether it lets this client in; if not, why.
    fn judge(&self, snapshot: &Snapshot, client: &TestIdentity) -> Result<VerifiedPeer, String> {
        let rules = Rules {
            crls: &snapshot.crls,
            revocation: snapshot.revocation,
            ..Rules::new(&snapshot.trust, Purpose::Client, testkit::now())
        };
        let path = verify(&client.certificate, &client.chain, &rules);
        path.map(VerifiedPeer::new).map_err(|refusal| refusal.first().to_string())
    }
}

#[test]
fn feed_that_was_heard_lately_vouches_alone_and_its_rules_count_beside_ours() {
    let world = World::new();
    for fallback in [Fallback::Lists, Fallback::Ocsp, Fallback::Refuse] {
        let snapshot = world.snapshot(FRESH, fallback, &[]);
        let alice = world.judge(&snapshot, &world.alice).unwrap();
        assert!(snapshot.policy.evaluate(&alice).is_ok(), "by the listener's own rule");
        let refused = world.judge(&snapshot, &world.bob).unwrap_err();
        assert!(refused.contains("revoked"), "{refused}");
        assert!(snapshot.online.is_none(), "nobody is asked about: {fallback:?}");
        let texts: Vec<&str> = snapshot.policy.texts().collect();
        assert_eq!(texts, ["allow-cn alice", "allow-cn bob"]);
    }
}

#[test]
fn old_feed_leaves_it_to_the_lists_and_whom_it_named_stays_refused() {
    let world = World::new();
    let alone = world.snapshot(OLD, Fallback::Lists, &[]);
    let refused = world.judge(&alone, &world.alice).unwrap_err();
    assert!(refused.contains("due for renewal"), "{refused}");
    let with_list = world.snapshot(OLD, Fallback::Lists, &[world.ca.current_crl(&[])]);
    assert!(world.judge(&with_list, &world.alice).is_ok());
    let refused = world.judge(&with_list, &world.bob).unwrap_err();
    assert!(refused.contains("revoked"), "{refused}");
}

#[test]
fn old_feed_has_each_client_asked_about_or_lets_nobody_in() {
    let world = World::new();
    let asking = world.snapshot(OLD, Fallback::Ocsp, &[]);
    assert_eq!(asking.online.as_ref().map(|online| online.mode()), Some(OnlineMode::Hard));
    assert!(world.judge(&asking, &world.alice).is_ok(), "the lists leave it to the responder");
    assert!(world.judge(&asking, &world.bob).is_err());
    // Not even by a list that is at hand.
    let shut = world.snapshot(OLD, Fallback::Refuse, &[world.ca.current_crl(&[])]);
    for client in [&world.alice, &world.bob] {
        assert!(world.judge(&shut, client).is_err());
    }
}
