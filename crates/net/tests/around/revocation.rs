//! Lists from a server whose manners a test chooses.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use net::revocation::{Lists, Sources};
use net::url::Url;
use testkit::{TestCa, days_from_now};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;

/// Answers every request with the octets of the moment; with none it hangs up.
struct Server {
    address: SocketAddr,
    answer: Arc<Mutex<Option<Vec<u8>>>>,
}

impl Server {
    async fn start(answer: Option<Vec<u8>>) -> Server {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let answer = Arc::new(Mutex::new(answer));
        let given = Arc::clone(&answer);
        tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                let mut request = [0; 4096];
                let _ = stream.read(&mut request).await;
                let answer = given.lock().unwrap().clone();
                if let Some(body) = answer {
                    let head = format!(
                        "HTTP/1.1 200 OK\r\ncontent-length: {}\r\nconnection: close\r\n\r\n",
                        body.len()
                    );
                    let _ = stream.write_all(&[head.as_bytes(), &body].concat()).await;
                }
            }
        });
        Server { address, answer }
    }

    fn sources(&self, cache: &std::path::Path) -> Sources {
        let url = Url::parse(&format!("http://{}/issuing.crl", self.address)).unwrap();
        Sources { urls: vec![url], cache: Some(cache.to_owned()), refresh: Duration::from_secs(3600) }
    }
}

async fn start(server: &Server, cache: &std::path::Path) -> Lists {
    Lists::start(server.sources(cache), testkit::now).await
}

#[tokio::test]
async fn a_list_is_fetched_and_outlives_its_server_on_disk() {
    let ca = TestCa::new();
    let alice = ca.issue_client("alice");
    let list = ca.current_crl(&[&alice.certificate]);
    for encoding in [list.der().to_vec(), pki::pem::encode("X509 CRL", list.der()).into_bytes()] {
        let folder = tempfile::tempdir().unwrap();
        let server = Server::start(Some(encoding)).await;
        let lists = start(&server, folder.path()).await;
        assert!(lists.current()[0].revocation(alice.certificate.serial()).is_some());
        assert_eq!((lists.version(), lists.states()[0].fetched_at), (1, Some(testkit::now())));

        *server.answer.lock().unwrap() = None;
        let lists = start(&server, folder.path()).await;
        assert!(lists.current()[0].revocation(alice.certificate.serial()).is_some(), "from the disk");
    }
}

#[tokio::test]
async fn what_cannot_be_had_leaves_nothing_and_says_why() {
    let folder = tempfile::tempdir().unwrap();
    for (answer, why) in [
        (None, "closed"),
        (Some(b"<html>".to_vec()), "no revocation list"),
        (Some(Vec::new()), "no revocation list"),
    ] {
        let server = Server::start(answer).await;
        let lists = start(&server, folder.path()).await;
        assert!(lists.current().is_empty());
        let failure = lists.states()[0].failure.clone().unwrap();
        assert!(failure.contains(why) || why == "closed", "{failure}");
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0, "nothing is kept");
    }
}

#[tokio::test]
async fn an_older_list_never_takes_the_place_of_a_newer_one() {
    let ca = TestCa::new();
    let alice = ca.issue_client("alice");
    let folder = tempfile::tempdir().unwrap();
    let new = ca.crl(&[alice.certificate.serial()], days_from_now(-1), days_from_now(5));
    let server = Server::start(Some(new.der().to_vec())).await;
    drop(start(&server, folder.path()).await);

    let old = ca.crl(&[], days_from_now(-3), days_from_now(9));
    *server.answer.lock().unwrap() = Some(old.der().to_vec());
    let lists = start(&server, folder.path()).await;
    // The one on disk is at hand, so that the server is asked in the background: wait for its answer to be judged.
    let told = loop {
        if let Some(failure) = lists.states()[0].failure.clone() {
            break failure;
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    };
    assert!(told.contains("older than the one at hand"), "{told}");
    assert!(lists.current()[0].revocation(alice.certificate.serial()).is_some());
}

#[tokio::test]
async fn a_forged_list_does_not_push_out_the_one_that_is_believed() {
    let ca = TestCa::new();
    let alice = ca.issue_client("alice");
    let folder = tempfile::tempdir().unwrap();
    let true_list = ca.crl(&[alice.certificate.serial()], days_from_now(-1), days_from_now(5));
    let server = Server::start(Some(true_list.der().to_vec())).await;
    drop(start(&server, folder.path()).await);

    // Of the same names, newer, and signed by somebody else.
    let forged = TestCa::new().crl(&[], days_from_now(0), days_from_now(9));
    *server.answer.lock().unwrap() = Some(forged.der().to_vec());
    let lists = start(&server, folder.path()).await;
    let mut changes = lists.changes();
    if lists.version() == 0 {
        changes.changed().await.unwrap();
    }
    let (crls, anchors) = (lists.current(), ca.anchors());
    let rules = pki::verify::Rules {
        crls: &crls,
        ..pki::verify::Rules::new(&anchors, pki::verify::Purpose::Client, testkit::now())
    };
    let refused = pki::verify::verify(&alice.certificate, &alice.chain, &rules).unwrap_err();
    assert_eq!(refused.first().code, pki::verify::ReasonCode::CertificateRevoked);
}
