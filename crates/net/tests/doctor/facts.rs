//! A fault of the zoo brought to life, as the facts that the doctor judges.

use std::time::Duration;

use explain::doctor::{
    Attempt, Encoding, End, Facts, Given, NamedFile, Neighbour, NeighbourContent, Opened, OwnSide, Program,
    Proxy, Report, Role, Surroundings, Target, Unread, Variation, diagnose, read_command, read_own_side,
    read_text,
};
use explain::finding::{Sender, from_alert};
use net::doctor::{Offer, Plan, ProxyRoute, Waits, look};
use net::tls::{Credentials, TlsVersion, TlsVersions};
use pki::name::ServerName;
use testkit::faults::{Content, Fault, Files, NoConnection, Pair, Passphrase, Scene, Wire};

use crate::server;

/// The doctor's report on a fault, with the server speaking this version. `None` where the fault cannot happen in it.
pub(crate) async fn report(fault: &Fault, version: &str) -> Option<Report> {
    Some(match &fault.scene {
        Scene::Pair(pair) => {
            if pair.not_in.is_some_and(|(not, _)| not == version) {
                return None;
            }
            let port = server::of_pair(pair, pair.only_version.unwrap_or(version)).await;
            diagnose(&of_pair(pair, port).await)
        }
        Scene::Wire(wire) => diagnose(&of_wire(wire, version).await),
        Scene::Files(files) => {
            let own = of_files(files);
            diagnose(&Facts { own, ..nothing(files.program) })
        }
        Scene::Command(words, there) => {
            let words: Vec<String> = words.iter().map(|word| (*word).to_owned()).collect();
            let exists = |path: &str| there.contains(&path);
            let settings = read_command(
                &words,
                &Surroundings { variable: &|_| None, exists: &exists, script: &|_| None },
            )
            .unwrap();
            let own = OwnSide { findings: settings.findings, ..OwnSide::default() };
            diagnose(&Facts { own, ..nothing("curl") })
        }
        Scene::Text(text) => read_text(text),
        Scene::Alert(alert) => {
            let finding = from_alert(*alert, Sender::Server, false, false);
            let ranked = explain::doctor::Ranked::new(
                explain::doctor::Weight::Blocks,
                explain::doctor::Direction::ServerRefusedClient,
                finding,
            );
            Report::new(vec![ranked], Vec::new(), Vec::new())
        }
        Scene::NoConnection(why) => {
            let end = match why {
                NoConnection::Refused => End::ConnectionRefused,
                NoConnection::NotResolved => End::NotResolved("no such host".to_owned()),
                NoConnection::Timeout => End::ConnectTimeout,
                NoConnection::Unreachable => End::Unreachable("no route to host".to_owned()),
            };
            diagnose(&Facts { attempts: vec![Attempt::new(Variation::AsAsked, end)], ..nothing("curl") })
        }
    })
}

fn nothing(program: &str) -> Facts {
    Facts {
        at: testkit::now(),
        program: program.parse().unwrap(),
        target: Target::new(ServerName::parse("localhost").unwrap(), 443),
        own: OwnSide::default(),
        attempts: Vec::new(),
        neighbours: Vec::new(),
    }
}

/// So long no loaded machine is silent.
const PATIENT: Waits = Waits::of(Duration::from_secs(20));

/// How a pair whose server listens on this port is looked at.
pub(crate) fn plan_of_pair(pair: &Pair, port: u16) -> Plan {
    let program: Program = pair.program.parse().unwrap();
    let mut target = Target::new(ServerName::parse(pair.host).unwrap(), port);
    target.host_header = pair.host_header.map(str::to_owned);
    let chain = chain_of(pair);
    let credentials =
        pair.client.as_ref().map(|client| Credentials::new(chain.clone(), client.key.pkcs8_der()).unwrap());
    let mut plan = Plan::new(target);
    plan.route.connect_to.push(format!("::127.0.0.1:{port}").parse().unwrap());
    plan.credentials = credentials;
    plan.withhold_by_issuer = program.withholds_by_issuer();
    plan.sends_server_name = pair.host.contains('.') || program.sends_one_label_server_name();
    plan.offer = match pair.restriction {
        Some(("--tls-max", "1.2")) => Offer::of(TlsVersions::Only(TlsVersion::Tls12)),
        Some(("--ciphers", list)) => Offer::default().ciphers(list).unwrap(),
        Some(("--curves", list)) => Offer::default().curves(list).unwrap(),
        Some(("--sigalgs", list)) => Offer::default().sigalgs(list).unwrap(),
        Some(other) => panic!("{other:?}"),
        None => Offer::default(),
    };
    plan
}

fn chain_of(pair: &Pair) -> Vec<pki::Certificate> {
    pair.client.as_ref().map_or(Vec::new(), |client| {
        std::iter::once(&client.certificate).chain(&client.chain).cloned().collect()
    })
}

/// What the doctor sees of a pair whose server listens on this port.
pub(crate) async fn of_pair(pair: &Pair, port: u16) -> Facts {
    let plan = Plan { waits: Some(PATIENT), ..plan_of_pair(pair, port) };
    let (program, target, chain) = (pair.program.parse().unwrap(), plan.target.clone(), chain_of(pair));
    let attempts = look(&plan, &|_| {}).await;
    let taken = server::taken(port);
    assert!((1..=net::doctor::MOST_CONNECTIONS).contains(&taken), "{taken} connections: {attempts:?}");
    let neighbours = pair
        .neighbours
        .iter()
        .enumerate()
        .map(|(number, list)| Neighbour {
            file: format!("beside-{number}.pem"),
            content: NeighbourContent::Certificates(list.clone()),
        })
        .collect();
    let own = OwnSide {
        certificate_file: pair.client.as_ref().map(|_| "client.pem".to_owned()),
        key_file: pair.client.as_ref().map(|_| "client-key.pem".to_owned()),
        can_sign: !chain.is_empty(),
        chain,
        anchors: pair.client_trust.clone(),
        anchor_files: if pair.trust_is_named { vec!["ca.pem".to_owned()] } else { Vec::new() },
        added_anchors: pair.added_trust.clone(),
        crls: pair.client_crls.clone(),
        verification_off: pair.insecure,
        restrictions: pair.restriction.iter().map(|(option, value)| format!("{option} {value}")).collect(),
        ..OwnSide::default()
    };
    Facts { at: pair.client_clock, program, target, own, attempts, neighbours }
}

async fn of_wire(wire: &Wire, version: &str) -> Facts {
    let mut pair = testkit::faults::healthy();
    pair.client = None;
    pair.asks = None;
    let mut facts = nothing("curl");
    match wire {
        Wire::DropsLargeHello(most) => {
            let port = server::behind_a_device(&pair, version, *most).await;
            return of_pair(&pair, port).await;
        }
        Wire::SpokenToInPlain => {
            facts.target.port = server::of_pair(&pair, version).await;
            facts.target.is_tls = false;
        }
        other => facts.target.port = server::of_wire(other).await,
    }
    let mut plan = Plan::new(facts.target.clone());
    plan.waits = if matches!(wire, Wire::Silence) { None } else { Some(PATIENT) };
    if let Wire::RefusingProxy = wire {
        let host = ServerName::parse("127.0.0.1").unwrap();
        plan.proxy = Some(ProxyRoute { host, port: facts.target.port, authorization: None });
        facts.own.proxy =
            Some(Proxy { authority: "127.0.0.1:3128".to_owned(), source: "HTTPS_PROXY".to_owned() });
    }
    facts.attempts = look(&plan, &|_| {}).await;
    assert!(server::taken(facts.target.port) <= net::doctor::MOST_CONNECTIONS);
    facts
}

fn of_files(files: &Files) -> OwnSide {
    let named = |role, option: &str, name: &str, content: &Content| NamedFile {
        role,
        option: option.to_owned(),
        name: name.to_owned(),
        bytes: match content {
            Content::Bytes(bytes) => Ok(bytes.clone()),
            Content::Missing => Err(Unread::Missing),
            Content::Denied => Err(Unread::Denied("owner 0, group 0, mode 0600".to_owned())),
            Content::PlainDirectory => Err(Unread::Directory { certificates: 2, hashed: 0 }),
        },
    };
    let certificate = files.certificate.as_ref().map(|c| named(Role::Certificate, "--cert", "client.pem", c));
    let key = files.key.as_ref().map(|c| named(Role::Key, "--key", "client-key.pem", c));
    let given = Given {
        program: files.program.parse().unwrap(),
        certificate,
        encoding: Encoding::Pem,
        key,
        opened: match files.passphrase {
            Passphrase::NotNeeded => Opened::NotTried,
            Passphrase::Missing => Opened::NeedsPassphrase,
            Passphrase::Wrong => Opened::WrongPassphrase,
        },
        trust: files.trust.iter().map(|c| named(Role::Trust, "--cacert", "ca.pem", c)).collect(),
        ..Given::default()
    };
    read_own_side(&given, testkit::now())
}
