//! The authority's counts as Prometheus reads them (text format 0.0.4): a scraper shows a certificate whose role may read.

use std::fmt::Write as _;
use std::sync::atomic::{AtomicU64, Ordering};

use axum::extract::State as FromState;
use axum::response::{IntoResponse as _, Response};
use ca::Statistics;
use http::header::{self, HeaderValue};

use crate::expiry::Counts;
use crate::{Problem, State};

pub(super) async fn serve(FromState(state): FromState<State>) -> Result<Response, Problem> {
    let statistics = state.blocking(|state| Ok(state.store().statistics(state.now())?)).await?;
    let mut response = text(&statistics, state.expiry_counts(), state.radar().followed()).into_response();
    let headers = response.headers_mut();
    headers
        .insert(header::CONTENT_TYPE, HeaderValue::from_static("text/plain; version=0.0.4; charset=utf-8"));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    Ok(response)
}

fn text(statistics: &Statistics, notices: &Counts, feeds: u64) -> String {
    let mut text = String::with_capacity(2048);
    let mut family = |name: &str, kind: &str, help: &str, values: &[(String, u64)]| {
        let _ = write!(text, "# HELP countersign_ca_{name} {help}\n# TYPE countersign_ca_{name} {kind}\n");
        for (labels, value) in values {
            let _ = writeln!(text, "countersign_ca_{name}{labels} {value}");
        }
    };
    let state = |name: &str, count: u64| (format!("{{state=\"{name}\"}}"), count);
    family(
        "certificates",
        "gauge",
        "Certificates by state.",
        &[
            state("good", statistics.good),
            state("revoked", statistics.revoked),
            state("expired", statistics.expired),
        ],
    );
    let mut ending = 0;
    let by_week = statistics.by_week.iter().zip(1..).map(|(week, number)| {
        ending += week.ending;
        (format!("{{within_days=\"{}\"}}", number * 7), ending)
    });
    family(
        "certificates_ending",
        "gauge",
        "Good certificates that end within so many days.",
        &by_week.collect::<Vec<_>>(),
    );
    let count = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
    let outcome = |name: &str, counter: &AtomicU64| (format!("{{outcome=\"{name}\"}}"), count(counter));
    family(
        "expiry_notices_total",
        "counter",
        "Notices of certificates that end, by this process.",
        &[outcome("told", &notices.told), outcome("failed", &notices.failed)],
    );
    family("feeds_followed", "gauge", "Gateways that follow the feed here.", &[(String::new(), feeds)]);
    family(
        "audit_events",
        "counter",
        "Events in the audit trail.",
        &[(String::new(), statistics.audit_length)],
    );
    text
}
