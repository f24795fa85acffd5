//! A verdict within a second on this machine, whatever the server does or leaves undone, in at most twelve connections.

use std::time::{Duration, Instant};

use net::doctor::{MOST_CONNECTIONS, Plan, look};
use testkit::faults::{Pair, Scene, Wire};

use crate::{facts, server};

/// The best of these counts: a machine under load is slow now and then, a wait by design is there each time.
const TRIES: usize = 6;

/// How long the quickest of some looks took.
async fn best(plan: &Plan) -> Duration {
    let mut best = Duration::MAX;
    for _ in 0..TRIES {
        let began = Instant::now();
        look(plan, &|_| {}).await;
        best = best.min(began.elapsed());
        if best <= Duration::from_secs(1) {
            break;
        }
    }
    best
}

/// A pair of which only the port is of interest: what listens there is another matter.
fn pair_at(port: u16) -> Plan {
    let pair = Pair { host: "localhost", ..testkit::faults::healthy() };
    facts::plan_of_pair(&pair, port)
}

#[tokio::test]
async fn no_fault_of_the_zoo_is_waited_for_longer_than_a_second() {
    let mut slow = Vec::new();
    for code in explain::FindingCode::ALL {
        let Some(fault) = testkit::faults::build(code.name()) else { continue };
        for version in ["1.2", "1.3"] {
            let (plan, port) = match &fault.scene {
                Scene::Pair(pair) if pair.not_in.is_none_or(|(not, _)| not != version) => {
                    let port = server::of_pair(pair, pair.only_version.unwrap_or(version)).await;
                    (facts::plan_of_pair(pair, port), port)
                }
                Scene::Wire(wire) => {
                    let port = match wire {
                        Wire::DropsLargeHello(most) => {
                            server::behind_a_device(&testkit::faults::healthy(), version, *most).await
                        }
                        Wire::SpokenToInPlain => server::of_pair(&testkit::faults::healthy(), version).await,
                        other => server::of_wire(other).await,
                    };
                    (pair_at(port), port)
                }
                _ => continue,
            };
            let took = best(&plan).await;
            if took > Duration::from_secs(1) {
                slow.push(format!("{code} in TLS {version}: {took:?}"));
            }
            assert!(server::taken(port) <= TRIES * MOST_CONNECTIONS, "{code}");
        }
    }
    assert!(slow.is_empty(), "{slow:?}");
}

#[tokio::test]
async fn a_server_that_falls_silent_at_any_point_is_given_up_within_a_second() {
    let healthy = || Pair { host: "localhost", ..testkit::faults::healthy() };
    for version in ["1.2", "1.3"] {
        // Before the first octet, in the middle of a record, after some flights, and in place of an answer.
        let silences = [
            ("at once", server::silent_after(b"").await),
            ("in a record", server::silent_after(&[22, 3, 3, 0, 122, 2]).await),
            ("after the handshake", server::without_an_answer(&healthy(), version).await),
        ];
        for (when, port) in silences {
            let took = best(&pair_at(port)).await;
            assert!(took <= Duration::from_secs(1), "{when}, TLS {version}: {took:?}");
        }
        let port = server::of_pair(&healthy(), version).await;
        let mut plain = pair_at(port);
        plain.target.is_tls = false;
        assert!(best(&plain).await <= Duration::from_secs(1), "plain HTTP to TLS {version}");
    }
    let mut plain = pair_at(server::silent_after(b"").await);
    plain.target.is_tls = false;
    assert!(best(&plain).await <= Duration::from_secs(1), "plain HTTP to silence");
}

#[tokio::test]
async fn a_silent_server_is_asked_three_times_and_each_is_told_before() {
    let port = server::silent_after(b"").await;
    let told = std::sync::Mutex::new(Vec::new());
    let attempts = look(&pair_at(port), &|variation| told.lock().unwrap().push(variation)).await;
    assert_eq!(server::taken(port), 3, "{attempts:?}");
    assert_eq!(told.into_inner().unwrap().len(), 3);
}
