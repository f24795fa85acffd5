//! Each page of the console over a store of a million certificates: what the server needs for it, from the request to
//! the last octet of the page. Pages are asked for by somebody on the authority's own machine, so TLS is not measured.

use std::sync::Arc;
use std::time::Instant;

use anyhow::{Context as _, Result, ensure};
use axum::body::Body;
use ca::invite::NewInvite;
use ca::observed::{HANDSHAKES, MOST_TALLIES, Observed, REFUSALS, Span, Tally};
use ca::{Identity, Invite, Partner, Selector, Store, Who};
use http::{Method, Request};
use http_body_util::BodyExt as _;
use jiff::{SignedDuration, Timestamp};
use pki::Profile;
use pki::crl::RevocationReason;
use pki::name::SubjectNames;
use serde_json::{Value, json};
use service::api::Local;
use service::{Settings, State, Surface, router};
use store::{PostgresStore, SqliteStore};
use tower::ServiceExt as _;

use crate::Options;
use crate::report::spread;
use crate::service::server::Cluster;
use crate::store::{fill, name};

const SUITE: &str = "console";
const REVOKED: u32 = 10_000;
const PARTNERS: u32 = 1_000;
/// Ten identities to a partner, and an invite to each.
const IDENTITIES: u32 = 10_000;
const GATEWAYS: u32 = 200;
const REFUSED: u32 = 1_000;
const ROUNDS: usize = 20;

/// What the issue asks for of every page.
const TARGET: &str = "100 ms";

pub(crate) fn run(options: &Options) -> Result<()> {
    println!(
        "console: {} certificates, {REVOKED} of them revoked; {PARTNERS} partners, {IDENTITIES} identities and invites",
        options.certificates
    );
    let directory = tempfile::tempdir_in(&options.directory)?;
    let store: Arc<dyn Store> = Arc::new(SqliteStore::create(&directory.path().join("ca.db"))?);
    over("SQLite", store, options)?;
    match Cluster::start()? {
        Some(server) => over("PostgreSQL", Arc::new(PostgresStore::open(&server.url)?), options),
        None => {
            println!("  PostgreSQL is not installed; its figures are missing");
            Ok(())
        }
    }
}

fn over(memory: &str, store: Arc<dyn Store>, options: &Options) -> Result<()> {
    let authority = crate::acme::authority(Arc::clone(&store))?;
    fill(&authority, options.certificates)?;
    let handle = people(&*store, authority.entropy())?;
    let state = State::new(authority, Settings::new("https://ca.bench.test"));
    let runtime = tokio::runtime::Runtime::new()?;
    count_handshakes(&*store)?;
    runtime.block_on(observe(&state))?;
    state.share().map_err(said)?;
    let question = format!("which={0}&rules=cn+{0}+for+GET", name(4_711));
    let mut wanted: Vec<(&str, String, Option<&str>)> =
        pages(&*store, &handle)?.into_iter().map(|(what, path)| (what, path, None)).collect();
    wanted.push(("what a name would be allowed", "/console/policy".to_owned(), Some(&question)));
    for (what, path, form) in wanted {
        let mut times = Vec::new();
        for _ in 0..ROUNDS {
            let start = Instant::now();
            let size = runtime.block_on(page(&state, &path, form)).with_context(|| path.clone())?;
            times.push(start.elapsed());
            ensure!(size < 100_000, "{path} has {size} octets");
        }
        spread(SUITE, &format!("{memory}: {what}"), times, Some(TARGET));
    }
    Ok(())
}

/// Revocations, partners with identities, and invites; the handle of one that is open.
fn people(store: &dyn Store, entropy: &ca::Entropy) -> Result<String> {
    let (now, by) = (Timestamp::now(), Who::from("bench"));
    let mut revoked = 0;
    // Numbers whose certificates have not ended: see how the store is filled.
    for number in (0..).filter(|number| number % 400 > 30) {
        let selector = Selector::Label(name(number));
        ca::revoke(store, &selector, RevocationReason::Superseded, by, now)?;
        revoked += 1;
        if revoked == REVOKED {
            break;
        }
    }
    let partner = |number: u32| format!("partner-{number:04}");
    for number in 0..PARTNERS {
        let contact = Some(format!("ops@{}.test", partner(number)));
        Partner { name: partner(number), contact, most_certificates: 20 }.put(store, by, now)?;
    }
    let mut handle = String::new();
    for number in 0..IDENTITIES {
        let partner = Some(partner(number / 10));
        Identity { label: name(number), partner: partner.clone(), ..Identity::default() }
            .put(store, by, now)?;
        let wish = NewInvite {
            label: name(number),
            names: SubjectNames::for_client(&name(number))?,
            profile: Profile::Client,
            lifetime: None,
            uses: 1,
            open_for: SignedDuration::from_hours(24),
            approve: number % 10 == 0,
            partner,
            contact: None,
        };
        handle = Invite::create(store, entropy, wish, by, now)?.0.handle;
    }
    Ok(handle)
}

/// As many counts of handshakes, and of refused ones, as are ever remembered: of every hour and every day.
fn count_handshakes(store: &dyn Store) -> Result<()> {
    let now = Timestamp::now();
    for span in Span::ALL {
        let mut start = span.start(now);
        while now.duration_since(start) < span.kept() {
            let counted = |kind: &str, name: String, key: &str| Tally {
                kind: kind.to_owned(),
                span,
                start,
                name,
                key: key.to_owned(),
                tls_version: if key.is_empty() { String::new() } else { "TLSv1.3".to_owned() },
                count: 7,
            };
            let of_clients = (0..MOST_TALLIES).map(|number| {
                counted(HANDSHAKES, format!("cn={}", name(u32::try_from(number).unwrap_or(0))), "ECDSA P-256")
            });
            let codes = ["certificate_expired", "certificate_revoked", "unknown_issuer", "no_certificate"];
            let refused = codes.iter().map(|code| counted(REFUSALS, (*code).to_owned(), ""));
            let tallies = of_clients.chain(refused).collect();
            store.observe(Observed { tallies, ..Observed::default() }, now)?;
            start -= SignedDuration::from_secs(span.seconds());
        }
    }
    Ok(())
}

fn said(problem: service::Problem) -> anyhow::Error {
    anyhow::anyhow!("{}", problem.detail())
}

/// What gateways tell: as many clients and refused handshakes as are ever remembered.
async fn observe(state: &State) -> Result<()> {
    let local = Local::named("bench");
    let post = async |path: &str, body: Value| -> Result<()> {
        let (status, answer) = local.call(state, Method::POST, path, Some(&body)).await.map_err(said)?;
        ensure!(status == 200, "{path}: {status} {answer}");
        Ok(())
    };
    let (now, ends) = (Timestamp::now(), Timestamp::now() + SignedDuration::from_hours(24));
    for gateway in 0..GATEWAYS {
        let client = |number: u32| {
            json!({ "identity": format!("cn={}", name(number)), "serial": format!("{number:032x}"),
                "not_after": ends.to_string(), "key": "ECDSA P-256", "tls_version": "TLSv1.3", "address": "2001:db8::1",
                "first_seen": now.to_string(), "last_seen": now.to_string(), "requests": 7, "refused": 1 })
        };
        let clients: Vec<Value> = (gateway * 100..gateway * 100 + 100).map(client).collect();
        post(
            "/api/v1/reports",
            json!({ "gateway": format!("edge-{gateway}"), "status": {}, "clients": clients }),
        )
        .await?;
    }
    for number in 0..REFUSED {
        let refused = json!({ "at": now.to_string(), "from": "[2001:db8::1]:65535", "code": "certificate_expired",
            "message": "its certificate ended a while ago", "subject": format!("CN={}", name(number)),
            "serial_number": format!("{number:040x}"), "transcript": null });
        post("/api/v1/refusals", refused).await?;
    }
    Ok(())
}

fn pages(store: &dyn Store, handle: &str) -> Result<Vec<(&'static str, String)>> {
    let found = store.find(&Selector::Label(name(777_777 % 50_000)))?;
    let refused = store.refused_handshakes(0, 1)?.first().context("a refused handshake")?.number;
    let one = found.first().context("a certificate of that name")?;
    let (serial, sha256) = (pki::certificate::serial_hex(&one.serial), pki::hex(&pki::sha256(&one.der)));
    let partner = format!("partner-{:04}", 777_777 % 50_000 / 10 % PARTNERS);
    Ok([
        ("overview", "/console".to_owned()),
        ("certificates", "/console/certificates".to_owned()),
        ("certificates, good", "/console/certificates?state=good".to_owned()),
        ("certificates, revoked", "/console/certificates?state=revoked".to_owned()),
        ("certificates, expired", "/console/certificates?state=expired".to_owned()),
        ("certificates, ending in 30 days", "/console/certificates?expiring=30".to_owned()),
        ("certificates, search for one", format!("/console/certificates?search={}", name(4_711))),
        ("certificates, search for a thousandth", "/console/certificates?search=team-123".to_owned()),
        ("certificates, search for all", "/console/certificates?search=bench.test".to_owned()),
        ("certificates, the page behind one in the middle", format!("/console/certificates?after={serial}")),
        (
            "certificates, search for all, the page behind one in the middle",
            format!("/console/certificates?search=bench.test&after={serial}"),
        ),
        (
            "certificates, ending in 30 days, the page behind one in the middle",
            format!("/console/certificates?expiring=30&after={serial}"),
        ),
        (
            "certificates, ending in 30 days, search for all",
            "/console/certificates?expiring=30&search=bench.test".to_owned(),
        ),
        (
            "certificates, expired, search for all",
            "/console/certificates?state=expired&search=bench.test".to_owned(),
        ),
        (
            "certificates, revoked, search for all",
            "/console/certificates?state=revoked&search=bench.test".to_owned(),
        ),
        (
            "certificates, revoked, search for a thousandth",
            "/console/certificates?state=revoked&search=team-123".to_owned(),
        ),
        ("certificates, by a fingerprint", format!("/console/certificates?search={sha256}")),
        (
            "certificates, by the start of a fingerprint",
            format!("/console/certificates?search={}", &sha256[..12]),
        ),
        ("certificates, of a partner", format!("/console/certificates?partner={partner}")),
        (
            "certificates, of a partner, searched",
            format!("/console/certificates?partner={partner}&search=team"),
        ),
        ("certificates, search for nothing", "/console/certificates?search=nobody-here".to_owned()),
        ("one certificate", format!("/console/certificates/{serial}")),
        ("partners", "/console/partners".to_owned()),
        ("invites", "/console/invites".to_owned()),
        ("one invite", format!("/console/invites/{handle}")),
        ("a form for an invite", "/console/invites/new".to_owned()),
        ("policy", "/console/policy".to_owned()),
        ("clients", "/console/clients".to_owned()),
        ("refusals", "/console/refusals".to_owned()),
        ("one refusal", format!("/console/refusals/{refused}")),
        ("handshakes", "/console/handshakes".to_owned()),
        ("rollover", "/console/rollover".to_owned()),
        ("audit", "/console/audit".to_owned()),
    ]
    .into())
}

/// The size of a page in octets.
async fn page(state: &State, path: &str, form: Option<&str>) -> Result<usize> {
    let mut request = match form {
        None => Request::get(path).body(Body::empty())?,
        Some(form) => Request::post(path)
            .header("content-type", "application/x-www-form-urlencoded")
            .header("sec-fetch-site", "same-origin")
            .body(Body::from(form.to_owned()))?,
    };
    request.extensions_mut().insert(Local::named("bench"));
    let Ok(response) = router(state, Surface::ALL).oneshot(request).await;
    ensure!(response.status().is_success(), "{}", response.status());
    Ok(response.into_body().collect().await?.to_bytes().len())
}
