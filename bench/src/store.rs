//! A store of a million certificates: what finding, showing, revoking and listing cost in it.

use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use ca::{
    Authority, Completion, Intent, NewEvent, Query, RevocationRecord, Selector, StateFilter, Store, revoke,
    verify_audit,
};
use jiff::{SignedDuration, Timestamp};
use pki::crl::{CertificateRevocationList, RevocationReason};
use pki::{Certificate, Profile};
use store::SqliteStore;

use crate::Options;
use crate::authority::{BenchAuthority, create, read_request, request};
use crate::report::{figure, spread};

const SUITE: &str = "store";
const REVOKED: u32 = 10_000;
/// How many callers fill the store at once, so that their rows share transactions.
const FILLERS: u32 = 128;

pub(crate) fn run(options: &Options) -> Result<()> {
    println!("store: {} certificates, {REVOKED} of them revoked", options.certificates);
    let directory = tempfile::tempdir_in(&options.directory)?;
    let authority = create(directory.path())?;
    let start = Instant::now();
    fill(&authority, options.certificates)?;
    figure(SUITE, "filling", start.elapsed().as_secs_f64(), "s", None);
    let size = std::fs::metadata(directory.path().join("ca.db"))?.len();
    #[expect(clippy::cast_precision_loss, reason = "far below 2^52")]
    figure(
        SUITE,
        "size on disk for each certificate",
        size as f64 / f64::from(options.certificates),
        "octets",
        None,
    );
    measure(&authority, directory.path(), options.certificates)
}

pub(crate) fn name(number: u32) -> String {
    let kind = ["web", "api", "batch", "laptop", "sensor"][(number % 5) as usize];
    format!("{kind}-{number:07}.team-{:03}.bench.test", number % 997)
}

/// One real certificate, its serial number and names patched for each row: signing a million is another benchmark.
pub(crate) fn fill<S: Store>(authority: &Authority<S>, count: u32) -> Result<()> {
    let model = name(0);
    let now = Timestamp::now();
    let issued = authority.issue(read_request(&request(&model)?, "model")?, now)?.certificate;
    let store = authority.store();
    std::thread::scope(|scope| -> Result<()> {
        let threads: Vec<_> = (0..FILLERS)
            .map(|thread| {
                let issued = &issued;
                scope.spawn(move || -> Result<()> {
                    for number in (thread..count).step_by(FILLERS as usize) {
                        insert(store, issued, number, now)?;
                    }
                    Ok(())
                })
            })
            .collect();
        for thread in threads {
            thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))?;
        }
        Ok(())
    })
}

fn insert(store: &dyn Store, model: &Certificate, number: u32, now: Timestamp) -> Result<()> {
    let label = name(number);
    let mut serial = keys::random::random_bytes::<17>()?;
    serial[0] = (serial[0] & 0x7f).max(1);
    let serial = serial.to_vec();
    // The serial number is the first INTEGER of its length, and the name stands in the subject and in subjectAltName.
    let mut der = model.der().to_vec();
    let at = der.windows(17).position(|w| w == model.serial()).context("the model's serial number")?;
    der[at..at + 17].copy_from_slice(&serial);
    // Half of them end within 90 days, the others have a year to go or have ended.
    let end = now + SignedDuration::from_hours(24 * (i64::from(number % 400) - 20));
    store.record_intent(Intent {
        serial: serial.clone(),
        profile: if number % 5 < 3 { Profile::Server } else { Profile::Client },
        label: label.clone(),
        tbs: model.tbs_der().to_vec(),
        not_before: now - SignedDuration::from_hours(24 * 30),
        not_after: end,
        requested_by: "bench".to_owned(),
        requested_at: now,
        replaces: None,
        location: None,
        line: 1,
    })?;
    // As the label is the only name of each.
    let names = label.clone();
    let event = NewEvent {
        at: now,
        actor: "bench".to_owned(),
        origin: String::new(),
        action: "issue",
        serial: Some(serial.clone()),
        details: format!("client for {label}"),
    };
    Ok(store.complete(Completion { serial, der, names, issued_at: now }, event)?)
}

pub(crate) fn timed<T>(times: usize, mut what: impl FnMut(usize) -> Result<T>) -> Result<Vec<Duration>> {
    (0..times)
        .map(|round| {
            let start = Instant::now();
            what(round)?;
            Ok(start.elapsed())
        })
        .collect()
}

fn measure(authority: &BenchAuthority, directory: &Path, count: u32) -> Result<()> {
    let store = authority.store();
    let now = Timestamp::now();
    let far = |round: usize| -> Result<u32> {
        // Spread over the whole store, so that no page is warm by luck.
        Ok(u32::try_from((round as u64 * 7_368_787) % u64::from(count))?)
    };

    let first = timed(1, |_| search(store, "team-123", StateFilter::Any, now))?;
    spread(SUITE, "list --search, first of a process", first, Some("50 ms"));
    for (what, text) in [
        ("one name", None),
        ("a thousandth of all (team-123)", Some("team-123")),
        ("a fifth of all (sensor)", Some("sensor")),
        ("every name (bench.test)", Some("bench.test")),
        ("nothing (nobody-here)", Some("nobody-here")),
        ("two characters (la)", Some("la")),
        ("two characters that begin nothing (zz)", Some("zz")),
    ] {
        let times = timed(20, |round| {
            let text = text.map_or_else(|| far(round).map(name), |text| Ok(text.to_owned()))?;
            search(store, &text, StateFilter::Any, now)
        })?;
        spread(SUITE, &format!("list --search {what}"), times, Some("50 ms"));
    }

    revoke_many(authority, count, now)?;

    for (what, state) in [
        ("list", StateFilter::Any),
        ("list, good only", StateFilter::Good),
        ("list --revoked", StateFilter::Revoked),
        ("list --expiring 30d", StateFilter::ExpiringBefore(now + SignedDuration::from_hours(24 * 30))),
    ] {
        let times = timed(20, |_| Ok(store.list(&Query { state, limit: 100, ..Query::default() }, now)?))?;
        spread(SUITE, what, times, Some("50 ms"));
    }
    let times = timed(10, |_| search(store, "team-123", StateFilter::Revoked, now))?;
    spread(SUITE, "list --revoked --search team-123", times, Some("50 ms"));

    let times = timed(200, |round| {
        let found = store.find(&Selector::parse(&name(far(round)?)))?;
        ensure!(found.len() == 1, "{} certificates of one name", found.len());
        Ok(found)
    })?;
    spread(SUITE, "show NAME", times, Some("50 ms"));
    let serials: Vec<String> = (0..200)
        .map(|round| {
            let found = store.find(&Selector::parse(&name(far(round)?)))?;
            Ok(pki::certificate::serial_hex(&found[0].serial))
        })
        .collect::<Result<_>>()?;
    let times = timed(200, |round| Ok(store.find(&Selector::parse(&serials[round]))?))?;
    spread(SUITE, "show SERIAL", times, Some("50 ms"));

    // Those of far() are past their revocation by now, or near it: take other ones.
    let mut victim = 0;
    let times = timed(100, |_| {
        loop {
            victim += 1;
            let number = far(victim)? ^ 1;
            if number >= count || number % 400 < 25 || is_revoked_in_bulk(number, count) {
                continue;
            }
            let selector = Selector::parse(&name(number));
            let reason = RevocationReason::Superseded;
            if revoke(store, &selector, reason, "bench", now).is_ok() {
                return Ok(());
            }
        }
    })?;
    spread(SUITE, "revoke NAME", times, Some("50 ms"));
    let times = timed(10, |_| Ok(store.revocation_version()?))?;
    spread(SUITE, "revocation_version", times, None);

    let mut entries = 0;
    let times = timed(10, |_| {
        let der = authority.crl(now, SignedDuration::from_hours(24 * 7))?;
        let start = Instant::now();
        entries = CertificateRevocationList::from_der(&der)?.len();
        // Reading it back is not what a publisher pays for, and is little.
        ensure!(start.elapsed() < Duration::from_secs(5), "reading the list back took too long");
        Ok(())
    })?;
    ensure!(entries > REVOKED as usize / 2, "the list has only {entries} entries");
    #[expect(clippy::cast_precision_loss, reason = "far below 2^52")]
    figure(SUITE, "crl, entries", entries as f64, "", None);
    spread(SUITE, "crl, with reading it back", times, Some("300 ms"));

    let start = Instant::now();
    verify_audit(&store.audit(None)?)?;
    figure(SUITE, "audit trail read and verified", start.elapsed().as_secs_f64() * 1000.0, "ms", None);
    let start = Instant::now();
    drop(SqliteStore::open(&directory.join("ca.db"))?);
    figure(SUITE, "opening the store and closing it", start.elapsed().as_secs_f64() * 1000.0, "ms", None);
    Ok(())
}

fn search(store: &SqliteStore, text: &str, state: StateFilter, now: Timestamp) -> Result<()> {
    let query = Query { search: Some(text.to_owned()), state, limit: 100, ..Query::default() };
    std::hint::black_box(store.list(&query, now)?);
    Ok(())
}

fn is_revoked_in_bulk(number: u32, count: u32) -> bool {
    // Off the multiples, so that all of them are still to end and stay on every list.
    number % (count / REVOKED) == count / REVOKED / 2
}

/// Takes ten thousand back, spread over the whole store, in groups as a person would not and a script would.
fn revoke_many(authority: &BenchAuthority, count: u32, now: Timestamp) -> Result<()> {
    let store = authority.store();
    let numbers: Vec<u32> = (0..count).filter(|n| is_revoked_in_bulk(*n, count)).collect();
    let start = Instant::now();
    for group in numbers.chunks(500) {
        let mut serials = Vec::new();
        let mut events = Vec::new();
        for number in group {
            let Some(entry) = store.find(&Selector::Label(name(*number)))?.into_iter().next() else {
                continue;
            };
            events.push(NewEvent {
                at: now,
                actor: "bench".to_owned(),
                origin: String::new(),
                action: "revoke",
                serial: Some(entry.serial.clone()),
                details: entry.label.clone(),
            });
            serials.push(entry.serial);
        }
        store.revoke(
            serials,
            RevocationRecord { at: now, reason: RevocationReason::KeyCompromise },
            events,
        )?;
    }
    figure(SUITE, "finding and revoking 10,000", start.elapsed().as_secs_f64() * 1000.0, "ms", None);
    Ok(())
}
