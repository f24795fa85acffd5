//! Issuance from a CSR into a SQLite file, every commit flushed to the disk.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use ca::{Query, Store as _, verify_audit};
use jiff::Timestamp;

use crate::Options;
use crate::authority::{create, read_request, request};
use crate::report::{figure, spread};

const SUITE: &str = "issue";

/// How many callers wait at once. Beyond what two cores run, more of them only make larger groups.
const CALLERS: [usize; 5] = [1, 8, 32, 64, 128];

pub(crate) fn run(options: &Options) -> Result<()> {
    println!("issue: P-256, from a CSR, into SQLite with synchronous=FULL");
    flush_cost(options)?;
    cpu_cost()?;
    for callers in CALLERS {
        throughput(options, callers)?;
    }
    Ok(())
}

/// What one flush of 4 KiB costs here: the floor under every commit.
fn flush_cost(options: &Options) -> Result<()> {
    use std::io::Write as _;
    let mut file = tempfile::tempfile_in(&options.directory)?;
    let mut times = Vec::new();
    for _ in 0..500 {
        file.write_all(&[7; 4096])?;
        let start = Instant::now();
        file.sync_data()?;
        times.push(start.elapsed());
    }
    spread(SUITE, "fdatasync of 4 KiB", times, None);
    Ok(())
}

/// The parts that need no disk, on one core.
fn cpu_cost() -> Result<()> {
    let der = request("client-000000.bench.test")?;
    let times = (0..2000).map(|_| {
        let start = Instant::now();
        read_request(&der, "client").map(|_| start.elapsed())
    });
    spread(SUITE, "CSR read and its signature verified", times.collect::<Result<_>>()?, None);
    Ok(())
}

fn throughput(options: &Options, callers: usize) -> Result<()> {
    let directory = tempfile::tempdir_in(&options.directory)?;
    let authority = create(directory.path())?;
    // A few requests, each used again and again: making keys is not what is measured.
    let requests: Vec<Vec<u8>> =
        (0..64).map(|n| request(&format!("client-{n:06}.bench.test"))).collect::<Result<_>>()?;
    let length = Duration::from_secs(options.seconds);
    let next = AtomicU64::new(0);
    let cpu_before = cpu_time();
    let start = Instant::now();
    let times: Vec<Vec<Duration>> = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..callers)
            .map(|_| {
                scope.spawn(|| -> Result<Vec<Duration>> {
                    let mut times = Vec::new();
                    while start.elapsed() < length {
                        let number = next.fetch_add(1, Ordering::Relaxed);
                        let der = &requests[usize::try_from(number)? % requests.len()];
                        let label = format!("client-{number:06}.bench.test");
                        let begin = Instant::now();
                        let request = read_request(der, &label)?;
                        authority.issue(request, Timestamp::now())?;
                        times.push(begin.elapsed());
                    }
                    Ok(times)
                })
            })
            .collect();
        // A thread that panics is a defect, and ends the run as one.
        threads
            .into_iter()
            .map(|thread| thread.join().unwrap_or_else(|p| std::panic::resume_unwind(p)))
            .collect::<Result<_>>()
    })?;
    let elapsed = start.elapsed().as_secs_f64();
    let cpu = cpu_time() - cpu_before;
    let times: Vec<Duration> = times.into_iter().flatten().collect();
    let issued = times.len();
    #[expect(clippy::cast_precision_loss, reason = "far below 2^52")]
    let count = issued as f64;
    let target = (callers > 1).then_some("5000");
    figure(SUITE, &format!("{callers} callers"), count / elapsed, "certificates/s", target);
    figure(SUITE, &format!("{callers} callers, CPU each"), cpu.as_secs_f64() * 1e6 / count, "us", None);
    spread(SUITE, &format!("{callers} callers, one issue"), times, None);
    check(&authority, issued)
}

/// A rate counts only if everything it counts is really there.
fn check(authority: &crate::authority::BenchAuthority, issued: usize) -> Result<()> {
    let store = authority.store();
    let stored = store.list(&Query::default(), Timestamp::now())?.entries.len();
    ensure!(stored == issued, "{issued} were issued and {stored} are stored");
    ensure!(store.unfinished()?.is_empty(), "some issuances did not finish");
    verify_audit(&store.audit(None)?)?;
    Ok(())
}

/// The CPU time of this process so far, user and system.
fn cpu_time() -> Duration {
    // Fields 14 and 15 of /proc/self/stat (proc(5)), in ticks of 10 ms; the second field may hold spaces.
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    let fields: Vec<&str> = stat.rsplit(')').next().unwrap_or_default().split_whitespace().collect();
    let ticks = |index: usize| fields.get(index).and_then(|f| f.parse::<u64>().ok()).unwrap_or(0);
    Duration::from_millis(10 * (ticks(11) + ticks(12)))
}
