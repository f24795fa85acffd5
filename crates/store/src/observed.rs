//! What was observed of TLS, in SQLite.

use std::collections::HashMap;

use ca::observed::{
    MOST_RECORDED, MOST_REFUSALS, MOST_SAID, MOST_TALLIES, Observed, RefusedHandshake, Said, Span, Tally,
};
use jiff::Timestamp;
use rusqlite::{Connection, OptionalExtension as _, Row, params};

use crate::read::time;
use crate::write::WriteError;

/// The highest count, 2^62 - 1: one more of them is still a number of the database, where an error would be that of all
/// who write at the same moment.
pub(crate) const MOST_COUNTED: i64 = (1 << 62) - 1;

/// Takes it in, and forgets what is beyond the bounds.
pub(crate) fn observe(
    connection: &Connection,
    observed: &Observed,
    now: Timestamp,
) -> Result<(), WriteError> {
    count(connection, &observed.tallies, now)?;
    refuse(connection, &observed.refusals)?;
    say(connection, &observed.said)?;
    Ok(())
}

/// A stretch of time of one kind.
type Stretch = (String, i64, i64);

fn count(connection: &Connection, tallies: &[Tally], now: Timestamp) -> rusqlite::Result<()> {
    let mut add = connection.prepare_cached(
        "UPDATE tally SET count = min(count + ?7, 4611686018427387903)
         WHERE kind = ?1 AND span = ?2 AND start = ?3 AND name = ?4 AND key = ?5 AND tls_version = ?6",
    )?;
    let mut make = connection.prepare_cached(
        "INSERT INTO tally (kind, span, start, name, key, tls_version, count) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
    )?;
    let mut rows = connection
        .prepare_cached("SELECT count(*) FROM tally WHERE kind = ?1 AND span = ?2 AND start = ?3")?;
    let mut known: HashMap<Stretch, usize> = HashMap::new();
    for tally in tallies {
        let values = |name: &'_ str| {
            let number = i64::try_from(tally.count).unwrap_or(MOST_COUNTED).min(MOST_COUNTED);
            let Tally { kind, key, tls_version, .. } = tally;
            let (span, start) = (tally.span.seconds(), tally.start.as_second());
            (kind.clone(), span, start, name.to_owned(), key.clone(), tls_version.clone(), number)
        };
        if add.execute(values(&tally.name))? > 0 {
            continue;
        }
        let stretch = (tally.kind.clone(), tally.span.seconds(), tally.start.as_second());
        let there = match known.get(&stretch) {
            Some(there) => *there,
            None => rows
                .query_row(params![stretch.0, stretch.1, stretch.2], |row| row.get::<_, i64>(0))?
                .try_into()
                .unwrap_or(usize::MAX),
        };
        let is_full = there >= MOST_TALLIES;
        if is_full && add.execute(values(""))? > 0 {
            continue;
        }
        make.execute(values(if is_full { "" } else { &tally.name }))?;
        known.insert(stretch, there.saturating_add(1));
    }
    let mut forget =
        connection.prepare_cached("DELETE FROM tally WHERE span = ?1 AND start < ?2 AND kind = ?3")?;
    if !tallies.is_empty() {
        for span in Span::ALL {
            for kind in [ca::observed::HANDSHAKES, ca::observed::REFUSALS] {
                forget.execute(params![span.seconds(), now.as_second() - span.kept().as_secs(), kind])?;
            }
        }
    }
    Ok(())
}

fn refuse(connection: &Connection, refusals: &[RefusedHandshake]) -> rusqlite::Result<()> {
    if refusals.is_empty() {
        return Ok(());
    }
    let mut keep = connection.prepare_cached(
        "INSERT INTO refused_handshake (number, at, octets, body, recording)
         SELECT coalesce(max(number), 0) + 1, ?1, ?2, ?3, ?4 FROM refused_handshake",
    )?;
    for one in refusals {
        let octets = one.recording.as_ref().map_or(0, Vec::len);
        let octets = i64::try_from(octets).unwrap_or(i64::MAX);
        keep.execute(params![one.at.as_second(), octets, one.body, one.recording])?;
    }
    connection
        .prepare_cached(
            "DELETE FROM refused_handshake WHERE number IN (
                 SELECT number FROM (
                     SELECT number, row_number() OVER (ORDER BY number DESC) AS place,
                            sum(octets) OVER (ORDER BY number DESC) AS recorded FROM refused_handshake
                 ) AS newest WHERE place > ?1 OR recorded > ?2)",
        )?
        .execute([limit(MOST_REFUSALS), limit(MOST_RECORDED)])?;
    Ok(())
}

fn say(connection: &Connection, said: &[Said]) -> rusqlite::Result<()> {
    if said.is_empty() {
        return Ok(());
    }
    let change: i64 = connection
        .prepare_cached("SELECT coalesce(max(change), 0) + 1 FROM said")?
        .query_row([], |row| row.get(0))?;
    let mut keep = connection.prepare_cached(
        "INSERT INTO said (kind, id, change, at, body) VALUES (?1, ?2, ?3, ?4, ?5)
         ON CONFLICT (kind, id) DO UPDATE SET change = excluded.change, at = excluded.at, body = excluded.body
         WHERE excluded.at >= said.at",
    )?;
    for one in said {
        keep.execute(params![one.kind, one.id, change, one.at.as_second(), one.body])?;
    }
    let mut forget = connection.prepare_cached(
        "DELETE FROM said WHERE kind = ?1 AND change <=
             (SELECT change FROM said WHERE kind = ?1 ORDER BY change DESC LIMIT 1 OFFSET ?2)",
    )?;
    for (kind, most) in MOST_SAID {
        forget.execute(params![kind, limit(*most)])?;
    }
    Ok(())
}

pub(crate) fn tallies(
    connection: &Connection,
    kind: &str,
    span: Span,
    from: Timestamp,
) -> rusqlite::Result<Vec<Tally>> {
    connection
        .prepare_cached(
            "SELECT start, name, key, tls_version, count FROM tally
             WHERE kind = ?1 AND span = ?2 AND start >= ?3 ORDER BY start, name, key, tls_version",
        )?
        .query_map(params![kind, span.seconds(), from.as_second()], |row| {
            Ok(Tally {
                kind: kind.to_owned(),
                span,
                start: time(row.get(0)?),
                name: row.get(1)?,
                key: row.get(2)?,
                tls_version: row.get(3)?,
                count: number(row.get(4)?),
            })
        })?
        .collect()
}

pub(crate) fn refused_handshakes(
    connection: &Connection,
    after: u64,
    most: usize,
) -> rusqlite::Result<Vec<RefusedHandshake>> {
    let after = i64::try_from(after).unwrap_or(i64::MAX);
    connection
        .prepare_cached(
            "SELECT number, at, body, NULL FROM refused_handshake WHERE number > ?1 ORDER BY number DESC LIMIT ?2",
        )?
        .query_map([after, limit(most)], refused)?
        .collect()
}

pub(crate) fn refused_handshake(
    connection: &Connection,
    number: u64,
) -> rusqlite::Result<Option<RefusedHandshake>> {
    connection
        .prepare_cached("SELECT number, at, body, recording FROM refused_handshake WHERE number = ?1")?
        .query_row([i64::try_from(number).unwrap_or(i64::MAX)], refused)
        .optional()
}

pub(crate) fn said(connection: &Connection, kind: &str, after: u64) -> rusqlite::Result<Vec<Said>> {
    connection
        .prepare_cached(
            "SELECT id, change, at, body FROM said WHERE kind = ?1 AND change > ?2 ORDER BY change, id",
        )?
        .query_map(params![kind, i64::try_from(after).unwrap_or(i64::MAX)], |row| {
            Ok(Said {
                kind: kind.to_owned(),
                id: row.get(0)?,
                change: number(row.get(1)?),
                at: time(row.get(2)?),
                body: row.get(3)?,
            })
        })?
        .collect()
}

fn refused(row: &Row<'_>) -> rusqlite::Result<RefusedHandshake> {
    Ok(RefusedHandshake {
        number: number(row.get(0)?),
        at: time(row.get(1)?),
        body: row.get(2)?,
        recording: row.get(3)?,
    })
}

fn limit(most: usize) -> i64 {
    i64::try_from(most).unwrap_or(i64::MAX)
}

fn number(value: i64) -> u64 {
    u64::try_from(value).unwrap_or(0)
}
