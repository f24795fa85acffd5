//! The counts over all certificates. Each is one pass over an index, or over what it counts.

use ca::Statistics;
use ca::statistics::{Day, SOON, Week, day_bounds, week_bounds};
use jiff::Timestamp;
use postgres::Error;
use postgres::types::ToSql;

use super::read::audit_length;
use super::reader::Reader;
use crate::read::time;

pub(super) fn statistics(reader: &mut Reader, now: Timestamp) -> Result<Statistics, Error> {
    let moment = now.as_second();
    let soon = now.checked_add(SOON).unwrap_or(now).as_second() + 1;
    let states = reader.query_one(
        "SELECT count(*) FILTER (WHERE revoked_at IS NULL AND not_after >= $1),
                count(*) FILTER (WHERE revoked_at IS NOT NULL),
                count(*) FILTER (WHERE revoked_at IS NULL AND not_after < $1),
                count(*) FILTER (WHERE revoked_at IS NULL AND not_after >= $1 AND not_after < $2)
         FROM certificate WHERE der IS NOT NULL",
        &[&moment, &soon],
    )?;
    let state = |column: usize| u64::try_from(states.get::<_, i64>(column)).unwrap_or(0);
    let days = day_bounds(now);
    let mut by_day = Vec::new();
    for day in days.windows(2) {
        let issued =
            "SELECT count(*) FROM certificate WHERE der IS NOT NULL AND issued_at >= $1 AND issued_at < $2";
        let revoked = "SELECT count(*) FROM audit WHERE action = 'revoke' AND at >= $1 AND at < $2";
        let (issued, revoked) = (count(reader, issued, day)?, count(reader, revoked, day)?);
        by_day.push(Day { start: time(day[0]), issued, revoked });
    }
    let weeks = week_bounds(now);
    let mut by_week = Vec::new();
    for week in weeks.windows(2) {
        let ending = "SELECT count(*) FROM certificate
                      WHERE der IS NOT NULL AND revoked_at IS NULL AND not_after >= $1 AND not_after < $2";
        by_week.push(Week { start: time(week[0]), ending: count(reader, ending, week)? });
    }
    Ok(Statistics {
        good: state(0),
        revoked: state(1),
        expired: state(2),
        expiring_soon: state(3),
        by_day,
        by_week,
        audit_length: audit_length(reader)?,
    })
}

fn count(reader: &mut Reader, sql: &str, bounds: &[i64]) -> Result<u64, Error> {
    let bounds: Vec<&(dyn ToSql + Sync)> = bounds.iter().map(|bound| bound as &(dyn ToSql + Sync)).collect();
    Ok(u64::try_from(reader.query_one(sql, &bounds)?.get::<_, i64>(0)).unwrap_or(0))
}
