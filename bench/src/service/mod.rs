//! The authority as a service: the program as it is released, over TLS on loopback, with durable commits. Clients renew
//! their certificates on connections that stay, ask for OCSP answers, and lists are made while others issue. Beside it, in
//! the same run and on the same disk, `openssl ca` and the API of cfssl, where those are installed.
//!
//! The generator shares the machine with what it measures; its own work is in the figures.

mod lists;
mod load;
mod others;
pub(crate) mod server;

use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};

use crate::Options;
use crate::report::{figure, spread};

use load::{Connection, Material, paced, throughput};
use server::{Cluster, Server};

const SUITE: &str = "service";

/// Clients that renew at once.
const RENEWING: [usize; 3] = [8, 32, 64];

/// Connections that ask for OCSP answers.
const ASKING: usize = 16;

pub(crate) fn run(options: &Options) -> Result<()> {
    let binary = std::env::var_os("COUNTERSIGN").map(PathBuf::from).context(
        "COUNTERSIGN must name the release binary; `cargo xtask bench service` builds it and says so",
    )?;
    let seconds = Duration::from_secs(options.seconds);
    println!("service: renewals over mTLS kept alive, P-256, durable commits, {} s a round", options.seconds);

    let directory = tempfile::tempdir_in(&options.directory)?;
    let server = Server::start(&binary, directory.path(), None)?;
    let best = renewals(&server, "SQLite", "1,500", seconds)?;
    at_half(&server, "SQLite", best.min(1500.0) / 2.0, seconds)?;
    ocsp(&server, seconds)?;
    drop(server);

    match Cluster::start()? {
        None => println!("  PostgreSQL is not installed; its figures are missing"),
        Some(cluster) => {
            let directory = tempfile::tempdir_in(&options.directory)?;
            let server = Server::start(&binary, directory.path(), Some(&cluster.url))?;
            let best = renewals(&server, "PostgreSQL", "800", seconds)?;
            at_half(&server, "PostgreSQL", best.min(800.0) / 2.0, seconds)?;
        }
    }
    others::run(options, seconds)?;
    lists::run(options)
}

/// The most renewals in a second, over so many connections.
fn renewals(server: &Server, memory: &str, target: &str, seconds: Duration) -> Result<f64> {
    let mut best: f64 = 0.0;
    for count in RENEWING {
        let clients = server.clients(count)?;
        let cpu = server.cpu();
        let done = throughput(&clients, seconds, |material| renewing(server, material), Connection::renew)?;
        let rate = done.per_second();
        let name = format!("{memory}: renewals, {count} connections");
        figure(SUITE, &name, rate, "a second", Some(target));
        let used = (server.cpu() - cpu).as_secs_f64() * 1e6 / done.count_with_warming();
        figure(SUITE, &format!("{name}, processor time of the server"), used, "us each", None);
        best = best.max(rate);
    }
    Ok(best)
}

/// How long each renewal takes from the moment at which it was due.
fn at_half(server: &Server, memory: &str, rate: f64, seconds: Duration) -> Result<()> {
    let clients = server.clients(32)?;
    let times = paced(&clients, rate, seconds, |material| renewing(server, material), Connection::renew)?;
    ensure!(!times.is_empty(), "nothing was renewed");
    spread(SUITE, &format!("{memory}: a renewal at {rate:.0} a second"), times, Some("p99 50"));
    Ok(())
}

fn renewing(server: &Server, material: &Material) -> Result<Connection> {
    Connection::over_tls(server.address, &server.roots, material)
}

/// OCSP answers by POST on plain connections that stay, for a certificate whose answer is at hand.
fn ocsp(server: &Server, seconds: Duration) -> Result<()> {
    let request = server.ocsp_request()?;
    let clients = vec![Material::plain(request); ASKING];
    let begin = |material: &Material| Connection::plain(server.status, material);
    let cpu = server.cpu();
    let done = throughput(&clients, seconds, begin, Connection::ask_ocsp)?;
    figure(SUITE, "OCSP answers from the cache", done.per_second(), "a second", Some("20,000"));
    let used = (server.cpu() - cpu).as_secs_f64() * 1e6 / done.count_with_warming();
    figure(SUITE, "OCSP answers, processor time of the server", used, "us each", None);
    Ok(())
}
