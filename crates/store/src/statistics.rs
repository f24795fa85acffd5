//! The counts over all certificates, from indexes alone: a million of them are counted in some ten milliseconds.

use ca::statistics::{Day, SOON, Week, day_bounds, week_bounds};
use ca::{LineStanding, Statistics};
use jiff::Timestamp;
use rusqlite::{Connection, OptionalExtension as _};

use crate::read::{audit_length, time};

pub(crate) fn statistics(connection: &Connection, now: Timestamp) -> rusqlite::Result<Statistics> {
    let issued: i64 = one(connection, "SELECT coalesce(max(position), 0) FROM completed_certificate", [])?;
    let moment = now.as_second();
    let revoked = one(connection, "SELECT count(*) FROM certificate WHERE revoked_at IS NOT NULL", [])?;
    let expired = ending(connection, i64::MIN, moment)?;
    let revoked_and_expired = revoked_ending(connection, i64::MIN, moment)?;
    let unrevoked_expired = expired - revoked_and_expired;
    let soon = now.checked_add(SOON).unwrap_or(now).as_second() + 1;
    let not_negative = |count: i64| u64::try_from(count).unwrap_or(0);
    let good_ending = |from, to| -> rusqlite::Result<u64> {
        Ok(not_negative(ending(connection, from, to)? - revoked_ending(connection, from, to)?))
    };
    let weeks = week_bounds(now);
    let mut by_week = Vec::new();
    for (from, to) in weeks.iter().zip(weeks.iter().skip(1)) {
        by_week.push(Week { start: time(*from), ending: good_ending(*from, *to)? });
    }
    Ok(Statistics {
        good: not_negative(issued - revoked - unrevoked_expired),
        revoked: not_negative(revoked),
        expired: not_negative(unrevoked_expired),
        expiring_soon: good_ending(moment, soon)?,
        by_day: by_day(connection, now, issued)?,
        by_week,
        audit_length: audit_length(connection)?,
    })
}

pub(crate) fn line_standing(
    connection: &Connection,
    line: u32,
    now: Timestamp,
) -> rusqlite::Result<LineStanding> {
    let (line, moment) = (i64::from(line), now.as_second());
    let count = |of: &str| {
        let sql = format!("SELECT count(*) FROM certificate WHERE line = ?1 AND not_after >= ?2 {of}");
        one(connection, &sql, [line, moment])
    };
    // All that are in the index, without those that are not good, of which there are few.
    let good = count("")?
        - count("AND revoked_at IS NOT NULL")?
        - count("AND profile = 'responder' AND revoked_at IS NULL AND der IS NOT NULL")?
        - one(
            connection,
            "SELECT count(*) FROM certificate WHERE der IS NULL AND +line = ?1 AND +not_after >= ?2",
            [line, moment],
        )?;
    let last_end = connection
        .prepare_cached(
            "SELECT not_after FROM certificate INDEXED BY certificate_line
             WHERE line = ?1 AND der IS NOT NULL AND profile <> 'responder' ORDER BY not_after DESC LIMIT 1",
        )?
        .query_row([line], |row| row.get(0))
        .optional()?;
    Ok(LineStanding { good: u64::try_from(good).unwrap_or(0), last_end: last_end.map(time) })
}

/// How many certificates end from `from` on and before `to`.
fn ending(connection: &Connection, from: i64, to: i64) -> rusqlite::Result<i64> {
    let all = "SELECT count(*) FROM certificate WHERE not_after >= ?1 AND not_after < ?2";
    // Those that were about to be signed are in the index too, and are few.
    let unfinished =
        "SELECT count(*) FROM certificate WHERE der IS NULL AND +not_after >= ?1 AND +not_after < ?2";
    Ok(one(connection, all, [from, to])? - one(connection, unfinished, [from, to])?)
}

fn revoked_ending(connection: &Connection, from: i64, to: i64) -> rusqlite::Result<i64> {
    let sql = "SELECT count(*) FROM certificate WHERE revoked_at IS NOT NULL AND not_after >= ?1 AND not_after < ?2";
    one(connection, sql, [from, to])
}

/// Positions and audit events are in the order of time, so that a day's first is found by halving.
fn by_day(connection: &Connection, now: Timestamp, issued: i64) -> rusqlite::Result<Vec<Day>> {
    let issued_at = "SELECT issued_at FROM certificate WHERE id = \
                     (SELECT id FROM completed_certificate WHERE position = ?1)";
    let noted_at = "SELECT at FROM audit WHERE sequence = ?1";
    let events = i64::try_from(audit_length(connection)?).unwrap_or(i64::MAX);
    let bounds = day_bounds(now);
    let mut starts = Vec::new();
    for bound in &bounds {
        starts.push((
            first_since(connection, issued_at, issued, *bound)?,
            first_since(connection, noted_at, events, *bound)?,
        ));
    }
    let mut days = Vec::new();
    for (bound, (from, to)) in bounds.iter().zip(starts.iter().zip(starts.iter().skip(1))) {
        let sql = "SELECT count(*) FROM audit WHERE action = 'revoke' AND sequence >= ?1 AND sequence < ?2";
        let revoked = one(connection, sql, [from.1, to.1])?;
        let count = |number: i64| u64::try_from(number).unwrap_or(0);
        days.push(Day { start: time(*bound), issued: count(to.0 - from.0), revoked: count(revoked) });
    }
    Ok(days)
}

/// The first number from 1 to `last` whose time is `moment` or later; one more than `last` where there is none.
fn first_since(connection: &Connection, sql: &str, last: i64, moment: i64) -> rusqlite::Result<i64> {
    let (mut from, mut to) = (1, last + 1);
    while from < to {
        let middle = from + (to - from) / 2;
        if one(connection, sql, [middle])? < moment {
            from = middle + 1;
        } else {
            to = middle;
        }
    }
    Ok(from)
}

fn one<const N: usize>(connection: &Connection, sql: &str, values: [i64; N]) -> rusqlite::Result<i64> {
    connection.prepare_cached(sql)?.query_row(rusqlite::params_from_iter(values), |row| row.get(0))
}
