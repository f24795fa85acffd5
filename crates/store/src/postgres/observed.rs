//! What was observed of TLS, in PostgreSQL.

use std::collections::HashMap;

use ca::observed::{
    HANDSHAKES, MOST_RECORDED, MOST_REFUSALS, MOST_SAID, MOST_TALLIES, Observed, REFUSALS, RefusedHandshake,
    Said, Span, Tally,
};
use jiff::Timestamp;
use postgres::{Error, Row};

use super::reader::Reader;
use super::writer::{Fault, Group};
use crate::observed::MOST_COUNTED;
use crate::read::time;

/// Takes it in, and forgets what is beyond the bounds.
pub(super) fn observe(group: &mut Group<'_>, observed: &Observed, now: Timestamp) -> Result<(), Fault> {
    count(group, &observed.tallies, now)?;
    refuse(group, &observed.refusals)?;
    say(group, &observed.said)?;
    Ok(())
}

const ADD: &str = "UPDATE tally SET count = least(count + $7, 4611686018427387903)
    WHERE kind = $1 AND span = $2 AND start = $3 AND name = $4 AND key = $5 AND tls_version = $6";
const MAKE: &str = "INSERT INTO tally (kind, span, start, name, key, tls_version, count) VALUES ($1, $2, $3, $4, $5, $6, $7)";

fn count(group: &mut Group<'_>, tallies: &[Tally], now: Timestamp) -> Result<(), Error> {
    let rows = group.statement("SELECT count(*) FROM tally WHERE kind = $1 AND span = $2 AND start = $3")?;
    let mut known: HashMap<(&str, i64, i64), usize> = HashMap::new();
    for tally in tallies {
        let (span, start) = (tally.span.seconds(), tally.start.as_second());
        let number = i64::try_from(tally.count).unwrap_or(MOST_COUNTED).min(MOST_COUNTED);
        let mut run = |sql, name: &str| {
            group.execute(sql, &[&tally.kind, &span, &start, &name, &tally.key, &tally.tls_version, &number])
        };
        if run(ADD, &tally.name)? > 0 {
            continue;
        }
        let stretch = (tally.kind.as_str(), span, start);
        let there = match known.get(&stretch) {
            Some(there) => *there,
            None => {
                let row = group.transaction.query_one(&rows, &[&tally.kind, &span, &start])?;
                usize::try_from(row.get::<_, i64>(0)).unwrap_or(usize::MAX)
            }
        };
        let mut run = |sql, name: &str| {
            group.execute(sql, &[&tally.kind, &span, &start, &name, &tally.key, &tally.tls_version, &number])
        };
        let is_full = there >= MOST_TALLIES;
        if is_full && run(ADD, "")? > 0 {
            continue;
        }
        run(MAKE, if is_full { "" } else { &tally.name })?;
        known.insert(stretch, there.saturating_add(1));
    }
    if !tallies.is_empty() {
        for span in Span::ALL {
            let before = now.as_second() - span.kept().as_secs();
            for kind in [HANDSHAKES, REFUSALS] {
                group.execute(
                    "DELETE FROM tally WHERE kind = $1 AND span = $2 AND start < $3",
                    &[&kind, &span.seconds(), &before],
                )?;
            }
        }
    }
    Ok(())
}

fn refuse(group: &mut Group<'_>, refusals: &[RefusedHandshake]) -> Result<(), Error> {
    if refusals.is_empty() {
        return Ok(());
    }
    for one in refusals {
        let octets = one.recording.as_ref().map_or(0, Vec::len);
        let octets = i64::try_from(octets).unwrap_or(i64::MAX);
        group.execute(
            "INSERT INTO refused_handshake (number, at, octets, body, recording)
             SELECT coalesce(max(number), 0) + 1, $1, $2, $3, $4 FROM refused_handshake",
            &[&one.at.as_second(), &octets, &one.body, &one.recording],
        )?;
    }
    group.execute(
        "DELETE FROM refused_handshake WHERE number IN (
             SELECT number FROM (
                 SELECT number, row_number() OVER (ORDER BY number DESC) AS place,
                        sum(octets) OVER (ORDER BY number DESC) AS recorded FROM refused_handshake
             ) AS newest WHERE place > $1 OR recorded > $2::bigint)",
        &[&limit(MOST_REFUSALS), &limit(MOST_RECORDED)],
    )?;
    Ok(())
}

fn say(group: &mut Group<'_>, said: &[Said]) -> Result<(), Error> {
    if said.is_empty() {
        return Ok(());
    }
    let kinds: Vec<&str> = said.iter().map(|one| one.kind.as_str()).collect();
    let ids: Vec<&str> = said.iter().map(|one| one.id.as_str()).collect();
    let moments: Vec<i64> = said.iter().map(|one| one.at.as_second()).collect();
    let bodies: Vec<&str> = said.iter().map(|one| one.body.as_str()).collect();
    // In one round trip, since all replicas wait for the head meanwhile.
    group.execute(
        "INSERT INTO said (kind, id, change, at, body)
         SELECT new.kind, new.id, (SELECT coalesce(max(change), 0) + 1 FROM said), new.at, new.body
         FROM unnest($1::text[], $2::text[], $3::bigint[], $4::text[]) AS new (kind, id, at, body)
         ON CONFLICT (kind, id) DO UPDATE SET change = excluded.change, at = excluded.at, body = excluded.body
         WHERE excluded.at >= said.at",
        &[&kinds, &ids, &moments, &bodies],
    )?;
    for (kind, most) in MOST_SAID {
        group.execute(
            "DELETE FROM said WHERE kind = $1 AND change <=
                 (SELECT change FROM said WHERE kind = $1 ORDER BY change DESC LIMIT 1 OFFSET $2)",
            &[kind, &limit(*most)],
        )?;
    }
    Ok(())
}

pub(super) fn tallies(
    reader: &mut Reader,
    kind: &str,
    span: Span,
    from: Timestamp,
) -> Result<Vec<Tally>, Error> {
    let rows = reader.query(
        "SELECT start, name, key, tls_version, count FROM tally
         WHERE kind = $1 AND span = $2 AND start >= $3 ORDER BY start, name, key, tls_version",
        &[&kind, &span.seconds(), &from.as_second()],
    )?;
    let read = |row: &Row| Tally {
        kind: kind.to_owned(),
        span,
        start: time(row.get(0)),
        name: row.get(1),
        key: row.get(2),
        tls_version: row.get(3),
        count: number(row.get(4)),
    };
    Ok(rows.iter().map(read).collect())
}

pub(super) fn refused_handshakes(
    reader: &mut Reader,
    after: u64,
    most: usize,
) -> Result<Vec<RefusedHandshake>, Error> {
    let after = i64::try_from(after).unwrap_or(i64::MAX);
    let rows = reader.query(
        "SELECT number, at, body, NULL::bytea FROM refused_handshake WHERE number > $1 ORDER BY number DESC LIMIT $2",
        &[&after, &limit(most)],
    )?;
    Ok(rows.iter().map(refused).collect())
}

pub(super) fn refused_handshake(reader: &mut Reader, number: u64) -> Result<Option<RefusedHandshake>, Error> {
    let row = reader.query_opt(
        "SELECT number, at, body, recording FROM refused_handshake WHERE number = $1",
        &[&i64::try_from(number).unwrap_or(i64::MAX)],
    )?;
    Ok(row.as_ref().map(refused))
}

pub(super) fn said(reader: &mut Reader, kind: &str, after: u64) -> Result<Vec<Said>, Error> {
    let rows = reader.query(
        "SELECT id, change, at, body FROM said WHERE kind = $1 AND change > $2 ORDER BY change, id",
        &[&kind, &i64::try_from(after).unwrap_or(i64::MAX)],
    )?;
    let read = |row: &Row| Said {
        kind: kind.to_owned(),
        id: row.get(0),
        change: number(row.get(1)),
        at: time(row.get(2)),
        body: row.get(3),
    };
    Ok(rows.iter().map(read).collect())
}

fn refused(row: &Row) -> RefusedHandshake {
    RefusedHandshake {
        number: number(row.get(0)),
        at: time(row.get(1)),
        body: row.get(2),
        recording: row.get(3),
    }
}

fn limit(most: usize) -> i64 {
    i64::try_from(most).unwrap_or(i64::MAX)
}

fn number(value: i64) -> u64 {
    u64::try_from(value).unwrap_or(0)
}
