//! What growth costs: requests beside ten thousand idle connections, and requests under a policy of a hundred thousand
//! identities. Both are the gateway's own; the peers have no such policy to compare with.

use std::fmt::Write as _;
use std::net::SocketAddr;
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context as _, ensure};

use super::load::{self, Client};
use super::peer::Peer;

/// Connections that made one request and then none.
const IDLE: usize = 10_000;
/// Requests a second beside them.
const RATE: u32 = 200;
/// Rules of the large policy.
const IDENTITIES: usize = 100_000;
/// Rounds with the small and the large policy in turn; the medians are told.
const ROUNDS: usize = 5;

pub(super) fn run(
    binary: &Path,
    client: &Client,
    upstream: SocketAddr,
    material: &Path,
    seconds: Duration,
) -> anyhow::Result<()> {
    beside_idle_connections(binary, client, upstream, material, seconds.max(Duration::from_secs(5)))?;
    many_identities(binary, client, upstream, material, seconds)
}

/// A configuration with this file of rules.
fn configuration(address: SocketAddr, upstream: SocketAddr, material: &Path, rules: &str) -> String {
    let at = material.display();
    format!(
        "log = \"off\"\n[limits]\nheader_timeout = \"10m\"\n[[listeners]]\naddress = \"{address}\"\n\
         certificates = [{{ cert = \"{at}/localhost.pem\", key = \"{at}/localhost-key.pem\" }}]\n\
         client_ca = [\"{at}/rootCA.pem\"]\nallow_file = \"{at}/{rules}\"\n\
         [[listeners.routes]]\nto = \"http://{upstream}\"\n"
    )
}

fn beside_idle_connections(
    binary: &Path,
    client: &Client,
    upstream: SocketAddr,
    material: &Path,
    seconds: Duration,
) -> anyhow::Result<()> {
    std::fs::write(material.join("few.rules"), "cn alice\n")?;
    let peer = Peer::configured(binary, |address| configuration(address, upstream, material, "few.rules"))?;
    let before = peer.memory();
    let idle = load::hold(&peer, client, IDLE)?;
    let memory = peer.memory().saturating_sub(before) as f64 / 1024.0 / idle.len() as f64;
    let used = peer.cpu();
    let mut latencies = load::paced(&peer, client, RATE, seconds)?;
    let used = peer.cpu().saturating_sub(used);
    latencies.sort();
    let at = |share: f64| {
        let index = ((latencies.len() - 1) as f64 * share).round() as usize;
        latencies[index].as_secs_f64() * 1e3
    };
    ensure!(latencies.len() > 100, "only {} requests were made", latencies.len());
    let share = used.as_secs_f64() / seconds.as_secs_f64() * 100.0;
    println!("beside {} idle connections ({memory:.1} KiB each), {RATE} requests a second:", idle.len());
    println!(
        "  p50 {:.2} ms, p99 {:.2} ms, longest {:.2} ms, {share:.1} % of a processor",
        at(0.5),
        at(0.99),
        at(1.0)
    );
    Ok(())
}

fn many_identities(
    binary: &Path,
    client: &Client,
    upstream: SocketAddr,
    material: &Path,
    seconds: Duration,
) -> anyhow::Result<()> {
    let mut rules = String::new();
    for number in 0..IDENTITIES {
        let kind = ["dns client", "uri spiffe://acme.test/client", "cn client"][number % 3];
        let end = if number % 3 == 0 { ".partners.test" } else { "" };
        writeln!(rules, "{kind}-{number}{end}")?;
    }
    rules.push_str("cn alice\n");
    std::fs::write(material.join("many.rules"), rules)?;
    let mut figures = [Vec::new(), Vec::new()];
    let mut memory = [0; 2];
    let mut start = Duration::ZERO;
    for _ in 0..ROUNDS {
        for (index, name) in ["few.rules", "many.rules"].into_iter().enumerate() {
            let begun = Instant::now();
            let peer = Peer::configured(binary, |address| configuration(address, upstream, material, name))
                .with_context(|| name.to_owned())?;
            start = begun.elapsed();
            memory[index] = peer.memory();
            let requests = load::requests(&peer, client, seconds)?.value;
            let connections = load::handshakes(&peer, client, seconds, false)?.value;
            figures[index].push((requests, connections));
        }
    }
    let median = |of: &[(f64, f64)], which: fn(&(f64, f64)) -> f64| {
        let mut values: Vec<f64> = of.iter().map(which).collect();
        values.sort_by(f64::total_cmp);
        values[values.len() / 2]
    };
    for (index, name) in ["1 identity", "100,001 identities"].into_iter().enumerate() {
        println!(
            "a policy of {name:<18} {:>6.1} µs CPU a request, {:>6.1} a new connection, {:>5.1} MiB",
            median(&figures[index], |(requests, _)| *requests),
            median(&figures[index], |(_, connections)| *connections),
            memory[index] as f64 / 1024.0 / 1024.0
        );
    }
    println!("  and {:.2} s from start to the first connection with the large one", start.as_secs_f64());
    Ok(())
}
