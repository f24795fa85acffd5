//! The counts over all certificates, from indexes alone.

use ca::statistics::{Day, SOON, Week, day_bounds, week_bounds};
use ca::{LineStanding, Statistics};
use jiff::Timestamp;
use postgres::Error;

use super::read::audit_length;
use super::reader::Reader;
use crate::read::time;

pub(super) fn statistics(reader: &mut Reader, now: Timestamp) -> Result<Statistics, Error> {
    let moment = now.as_second();
    let soon = now.checked_add(SOON).unwrap_or(now).as_second() + 1;
    let weeks = week_bounds(now);
    // By what each lies between: the past, the weeks, what comes behind them. One pass over an index.
    let mut bounds = weeks.clone();
    bounds.push(soon);
    bounds.sort_unstable();
    let rows = reader.query(
        "SELECT width_bucket(not_after, $1::bigint[]), count(*) FROM certificate
         WHERE der IS NOT NULL AND revoked_at IS NULL GROUP BY 1",
        &[&bounds],
    )?;
    let mut counts = vec![0; bounds.len() + 1];
    for row in &rows {
        let bucket = usize::try_from(row.get::<_, i32>(0)).unwrap_or(0);
        counts[bucket] = not_negative(row.get(1));
    }
    // The count in bucket n is of what ends from bound n - 1 on and before bound n.
    let between = |from: i64, to: i64| -> u64 {
        let buckets = bounds.iter().zip(&counts[1..]).filter(|(start, _)| (from..to).contains(*start));
        buckets.map(|(_, count)| count).sum()
    };
    let by_week =
        weeks.windows(2).map(|week| Week { start: time(week[0]), ending: between(week[0], week[1]) });
    Ok(Statistics {
        good: counts[1..].iter().sum(),
        revoked: not_negative(
            reader.query_one("SELECT count(*) FROM certificate WHERE revoked_at IS NOT NULL", &[])?.get(0),
        ),
        expired: counts[0],
        expiring_soon: between(moment, soon),
        by_day: by_day(reader, now)?,
        by_week: by_week.collect(),
        audit_length: audit_length(reader)?,
    })
}

/// Places in the log are in the order of time, but for what replicas issue in the same moment, so a day has all between its
/// first one and that of the next, without the authority's own.
fn by_day(reader: &mut Reader, now: Timestamp) -> Result<Vec<Day>, Error> {
    let bounds = day_bounds(now);
    let rows = reader.query(
        "SELECT place - (SELECT count(*) FROM ca_certificate WHERE log_entry < place)
         FROM (SELECT number, coalesce(first.log_entry, entries) AS place
               FROM head CROSS JOIN unnest($1::bigint[]) WITH ORDINALITY AS b (bound, number)
               LEFT JOIN LATERAL (SELECT log_entry FROM certificate WHERE issued_at >= bound
                                  ORDER BY issued_at, log_entry LIMIT 1) AS first ON true) AS places
         ORDER BY number",
        &[&bounds],
    )?;
    let starts: Vec<i64> = rows.iter().map(|row| row.get(0)).collect();
    let mut days = Vec::new();
    for (bound, entries) in bounds.windows(2).zip(starts.windows(2)) {
        let sql = "SELECT count(*) FROM audit WHERE action = 'revoke' AND at >= $1 AND at < $2";
        let revoked = reader.query_one(sql, &[&bound[0], &bound[1]])?;
        days.push(Day {
            start: time(bound[0]),
            issued: not_negative(entries[1] - entries[0]),
            revoked: not_negative(revoked.get(0)),
        });
    }
    Ok(days)
}

pub(super) fn line_standing(reader: &mut Reader, line: u32, now: Timestamp) -> Result<LineStanding, Error> {
    let line = i32::try_from(line).unwrap_or(i32::MAX);
    let good = reader.query_one(
        "SELECT count(*) FROM certificate
         WHERE line = $1 AND not_after >= $2 AND der IS NOT NULL AND revoked_at IS NULL AND profile <> 'responder'",
        &[&line, &now.as_second()],
    )?;
    // Two parts, each by an index of its own.
    let last_end = reader.query_one(
        "SELECT greatest(
            (SELECT max(not_after) FROM certificate WHERE line = $1 AND der IS NOT NULL AND revoked_at IS NULL
                AND profile <> 'responder'),
            (SELECT max(not_after) FROM certificate WHERE line = $1 AND revoked_at IS NOT NULL
                AND profile <> 'responder'))",
        &[&line],
    )?;
    Ok(LineStanding {
        good: not_negative(good.get(0)),
        last_end: last_end.get::<_, Option<i64>>(0).map(time),
    })
}

fn not_negative(count: i64) -> u64 {
    u64::try_from(count).unwrap_or(0)
}
