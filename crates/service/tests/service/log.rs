//! The log over HTTP: whoever has nothing but its address and the CA's certificate can rebuild it and prove what is in it.

use std::collections::HashMap;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ca::Role;
use ca::log::{
    Checkpoint, Frontier, Hash, Proof, TilePath, entries_of, inclusion_proof, leaf_hash, origin, root,
    verify_consistency, verify_inclusion,
};
use pki::{Certificate, Profile};

use crate::world::{World, issue};

fn checkpoint(world: &World, note: &str) -> Checkpoint {
    let issuer = world.state.authority().issuer();
    let key = issuer.certificate().public_key().unwrap();
    Checkpoint::verify(note, &origin(issuer.anchor()), key).unwrap()
}

#[tokio::test]
async fn the_tree_that_strangers_rebuild_from_tiles_is_the_one_that_was_signed() {
    let world = World::new().await;
    let stranger = world.stranger();
    let auditor = world.caller("an-auditor", Some(Role::Auditor));
    let before = world.state.store().log_size().unwrap();
    let mut ders = Vec::new();
    for number in before..300 {
        let issued = issue(world.state.authority(), Profile::Client, &format!("client-{number}"), None).0;
        ders.push(issued.certificate.der().to_vec());
    }
    let answer = stranger.get("/log/checkpoint").await;
    assert_eq!(answer.status, 200);
    assert_eq!(answer.headers["content-type"], "text/plain; charset=utf-8");
    let now = checkpoint(&world, &answer.text());
    assert_eq!(now.size, 300);
    assert_eq!(stranger.get("/log/checkpoint").await.text(), answer.text(), "one size is signed once");

    // A full tile, a partial one, and the one above them.
    let mut tiles: HashMap<(u8, u64), Vec<Hash>> = HashMap::new();
    for (level, number, path) in
        [(0, 0, "/log/tile/0/000"), (0, 1, "/log/tile/0/001.p/44"), (1, 0, "/log/tile/1/000.p/1")]
    {
        let answer = stranger.get(path).await;
        assert_eq!(
            (answer.status, &answer.headers["content-type"]),
            (200, &"application/octet-stream".parse().unwrap())
        );
        assert!(answer.headers["cache-control"].to_str().unwrap().contains("immutable"));
        tiles.insert((level, number), answer.body.chunks(32).map(|hash| hash.try_into().unwrap()).collect());
    }
    let read = |level: u8, start: u64, count: u64| -> Result<Vec<Hash>, ()> {
        let at = |n: u64| tiles[&(level, n / 256)][usize::try_from(n % 256).unwrap()];
        Ok((start..start + count).map(at).collect())
    };
    assert_eq!(root(300, read).unwrap(), now.root);
    let index = 299;
    let proof = inclusion_proof(index, 300, read).unwrap();
    assert!(verify_inclusion(&leaf_hash(ders.last().unwrap()), index, 300, &proof, &now.root));
    for missing in [
        "/log/tile/0/001",
        "/log/tile/0/001.p/45",
        "/log/tile/0/002.p/1",
        "/log/tile/2/000.p/1",
        "/log/tile/9/000",
        "/log/tile/00/000",
        "/log/tile/0/0",
        "/log/tile/0/x001/000",
        "/log/tile/0/x018/x446/x744/x073/x709/x551/615",
    ] {
        assert_eq!(stranger.get(missing).await.status, 404, "{missing}");
    }

    // The entries hold names, and are for auditors.
    for refused in
        [&stranger, &world.caller("somebody", None), &world.caller("a-gateway", Some(Role::Gateway))]
    {
        let status = refused.get("/log/tile/entries/000").await.status;
        assert!(matches!(status, 401 | 403), "{status}");
    }
    let mut frontier = Frontier::default();
    for path in [TilePath { number: 0, width: 256 }, TilePath { number: 1, width: 44 }] {
        let answer = auditor.get(&format!("/log/tile/entries/{path}")).await;
        assert_eq!(answer.status, 200);
        for entry in entries_of(&answer.body).unwrap() {
            frontier.push(leaf_hash(&entry));
        }
    }
    assert_eq!((frontier.size(), frontier.root()), (300, now.root));
}

#[tokio::test]
async fn the_api_proves_what_is_in_the_log_and_that_it_only_grew() {
    let world = World::new().await;
    let auditor = world.caller("an-auditor", Some(Role::Auditor));
    let alice = issue(world.state.authority(), Profile::Client, "alice", None).0.certificate;
    let old = checkpoint(&world, auditor.get("/api/v1/log").await.json()["checkpoint"].as_str().unwrap());
    for number in 0..9 {
        issue(world.state.authority(), Profile::Client, &format!("client-{number}"), None);
    }
    let answer = auditor.get("/api/v1/log/proof/alice").await.json();
    let proof = Proof::parse(answer["proof"].as_str().unwrap()).unwrap();
    let issuer = world.state.authority().issuer();
    let key = issuer.certificate().public_key().unwrap();
    let new = proof.verify(alice.der(), &origin(issuer.anchor()), key).unwrap();
    assert_eq!(new.size, old.size + 9);
    let other = issuer.anchor().der();
    assert!(proof.verify(other, &origin(issuer.anchor()), key).is_err());

    let path = format!("/api/v1/log/consistency?from={}&to={}", old.size, new.size);
    let document = auditor.get(&path).await.json();
    let path: Vec<Hash> = document["path"]
        .as_array()
        .unwrap()
        .iter()
        .map(|hash| STANDARD.decode(hash.as_str().unwrap()).unwrap().try_into().unwrap())
        .collect();
    assert!(verify_consistency((old.size, &old.root), (new.size, &new.root), &path));
    let refused = auditor.get(&format!("/api/v1/log/consistency?from=1&to={}", new.size + 1)).await;
    assert_eq!(refused.status, 400);
    assert_eq!(auditor.get("/api/v1/log/proof/nobody").await.status, 404);
    // The CAs are in it too: by their names, by their serial numbers, and in the order in which they were made.
    for (index, own) in [issuer.anchor(), issuer.certificate()].into_iter().enumerate() {
        for which in [own.subject().short().replace(' ', "%20"), pki::hex(own.serial())] {
            let answer = auditor.get(&format!("/api/v1/log/proof/{which}")).await.json();
            assert_eq!((&answer["name"], &answer["index"]), (&own.subject().short().into(), &index.into()));
            let proof = Proof::parse(answer["proof"].as_str().unwrap()).unwrap();
            proof.verify(own.der(), &origin(issuer.anchor()), key).unwrap();
        }
    }
    let page = auditor.get(&format!("/api/v1/log/entries?start={}&limit=3", old.size - 1)).await.json();
    let first = STANDARD.decode(page["entries"][0].as_str().unwrap()).unwrap();
    assert_eq!(Certificate::from_der(&first).unwrap(), alice);
    assert_eq!(page["entries"].as_array().unwrap().len(), 3);
}
