//! How many certificates there are, and how that changes.

use axum::extract::State as FromState;
use axum::response::Response;
use ca::Statistics;
use serde_json::{Value, json};

use super::ok;
use crate::{Problem, State};

pub(super) async fn serve(FromState(state): FromState<State>) -> Result<Response, Problem> {
    let statistics = state.blocking(|state| Ok(state.store().statistics(state.now())?)).await?;
    Ok(ok(&statistics_json(&statistics)))
}

fn statistics_json(statistics: &Statistics) -> Value {
    let date = |start: jiff::Timestamp| start.strftime("%Y-%m-%d").to_string();
    json!({
        "good": statistics.good,
        "revoked": statistics.revoked,
        "expired": statistics.expired,
        "expiring_within_30_days": statistics.expiring_soon,
        "by_day": statistics.by_day.iter()
            .map(|day| json!({ "day": date(day.start), "issued": day.issued, "revoked": day.revoked }))
            .collect::<Vec<_>>(),
        "expiring_by_week": statistics.by_week.iter()
            .map(|week| json!({ "week": date(week.start), "count": week.ending }))
            .collect::<Vec<_>>(),
        "audit_length": statistics.audit_length,
    })
}
