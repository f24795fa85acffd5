//! Revocation lists: one of 100,000 entries, and a million in 256 parts while certificates are issued beside it.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use ca::{NewEvent, RevocationRecord, Store as _};
use jiff::{SignedDuration, Timestamp};
use pki::crl::{CertificateRevocationList, RevocationReason};

use super::SUITE;
use crate::Options;
use crate::authority::{BenchAuthority, create, read_request, request};
use crate::report::{figure, spread};
use crate::store::{fill, timed};

const LISTED: u32 = 100_000;
const PARTS: u16 = 256;
/// Revoked in one transaction.
const TOGETHER: u64 = 1000;

pub(super) fn run(options: &Options) -> Result<()> {
    let directory = tempfile::tempdir_in(&options.directory)?;
    let authority = create(directory.path())?;
    let week = SignedDuration::from_hours(24 * 7);
    fill(&authority, LISTED)?;
    let revoked = revoke_all(&authority, 0)?;
    let now = Timestamp::now();
    let mut length = 0;
    let times = timed(5, |_| {
        let list = CertificateRevocationList::from_der(&authority.crl(now, week)?)?;
        length = list.len();
        Ok(())
    })?;
    // Those that had ended before the first of the lists are on that one alone.
    ensure!(length as u64 * 10 >= revoked * 9, "{length} of {revoked} are listed");
    spread(SUITE, "a list of 100,000, made and signed and read", times, Some("500"));

    let more = options.certificates.saturating_sub(LISTED);
    fill(&authority, more)?;
    let revoked = revoke_all(&authority, revoked)?;
    let is_over = AtomicBool::new(false);
    let (building, issuing) = std::thread::scope(|scope| -> Result<(Duration, Vec<Duration>)> {
        let beside = scope.spawn(|| issue_until(&authority, &is_over));
        let start = Instant::now();
        let lists = authority.lists(now, week, PARTS, |_, _| Vec::new());
        let building = start.elapsed();
        is_over.store(true, Ordering::Relaxed);
        let issuing = beside.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))?;
        ensure!(lists?[0].parts.len() == usize::from(PARTS), "parts are missing");
        Ok((building, issuing))
    })?;
    let name = format!("{revoked} entries in {PARTS} parts");
    figure(SUITE, &name, building.as_secs_f64(), "s", None);
    spread(SUITE, "an issuance meanwhile", issuing, None);
    Ok(())
}

/// Revokes what is in the log from this place on; how many are revoked then.
fn revoke_all(authority: &BenchAuthority, from: u64) -> Result<u64> {
    let store = authority.store();
    let at = Timestamp::now();
    let mut done = from;
    loop {
        let page = store.log_entries(done, TOGETHER)?;
        if page.is_empty() {
            return Ok(done);
        }
        done += page.len() as u64;
        let serials = page
            .iter()
            .map(|der| Ok(pki::Certificate::from_der(der)?.serial().to_vec()))
            .collect::<Result<Vec<Vec<u8>>>>()?;
        let event = |serial: &Vec<u8>| NewEvent {
            at,
            actor: "bench".to_owned(),
            origin: String::new(),
            action: "revoke",
            serial: Some(serial.clone()),
            details: String::new(),
        };
        let events = serials.iter().map(event).collect();
        store.revoke(serials, RevocationRecord { at, reason: RevocationReason::Superseded }, events)?;
    }
}

fn issue_until(authority: &BenchAuthority, is_over: &AtomicBool) -> Result<Vec<Duration>> {
    let request = request("beside")?;
    let mut times = Vec::new();
    while !is_over.load(Ordering::Relaxed) || times.is_empty() {
        let start = Instant::now();
        authority.issue(read_request(&request, "beside")?, Timestamp::now())?;
        times.push(start.elapsed());
    }
    Ok(times)
}
