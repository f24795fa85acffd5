//! The operations that only look.

use ca::{
    AuditEvent, AuthorityRecord, Entry, Intent, LineStanding, Page, Query, RevocationRecord, Selector,
    StateFilter, Unfinished,
};
use jiff::Timestamp;
use pki::Profile;
use pki::crl::{RevocationReason, RevokedEntry};
use rusqlite::types::Value;
use rusqlite::{Connection, OptionalExtension as _, Row, params, params_from_iter};

/// The columns of an [`Entry`], as [`entry`] reads them.
const ENTRY: &str = "serial, label, profile, der, not_before, not_after, issued_at, requested_by, replaces, location, \
                     revoked_at, revocation_reason, line";

/// How many of the newest certificates a short search reads before it asks the index.
const READ_ONE_BY_ONE: u32 = 5000;

/// The most trigrams that one search asks the index for.
const MOST_TRIGRAMS: usize = 6;

pub(crate) fn authority(connection: &Connection) -> rusqlite::Result<Option<AuthorityRecord>> {
    connection
        .query_row("SELECT name, root, issuing, created_at FROM authority", [], |row| {
            Ok(AuthorityRecord {
                name: row.get(0)?,
                root: row.get(1)?,
                issuing: row.get(2)?,
                created_at: time(row.get(3)?),
            })
        })
        .optional()
}

pub(crate) fn unfinished(connection: &Connection) -> rusqlite::Result<Vec<Unfinished>> {
    connection
        .prepare_cached(
            "SELECT serial, profile, label, tbs, not_before, not_after, requested_by, requested_at, replaces, location,
                    failure, line
             FROM certificate WHERE der IS NULL ORDER BY id",
        )?
        .query_map([], |row| {
            let intent = Intent {
                serial: row.get(0)?,
                profile: profile(&row.get::<_, String>(1)?),
                label: row.get(2)?,
                tbs: row.get(3)?,
                not_before: time(row.get(4)?),
                not_after: time(row.get(5)?),
                requested_by: row.get(6)?,
                requested_at: time(row.get(7)?),
                replaces: row.get(8)?,
                location: row.get(9)?,
                line: row.get(11)?,
            };
            Ok(Unfinished { intent, reason: row.get(10)? })
        })?
        .collect()
}

pub(crate) fn find(connection: &Connection, selector: &Selector) -> rusqlite::Result<Vec<Entry>> {
    let by_label = |label: &str| -> rusqlite::Result<Vec<Entry>> {
        let sql =
            format!("SELECT {ENTRY} FROM certificate WHERE label = ?1 AND der IS NOT NULL ORDER BY id DESC");
        connection.prepare_cached(&sql)?.query_map([label], entry)?.collect()
    };
    match selector {
        Selector::Label(label) => by_label(label),
        Selector::Serial(serial) => {
            let sql = format!("SELECT {ENTRY} FROM certificate WHERE serial = ?1 AND der IS NOT NULL");
            connection.prepare_cached(&sql)?.query_map([serial], entry)?.collect()
        }
        Selector::Typed(label, prefix) => {
            let found = by_label(label)?;
            if !found.is_empty() {
                return Ok(found);
            }
            if prefix.len() == FINGERPRINT {
                let sql = format!("SELECT {ENTRY} FROM certificate WHERE sha256 = ?1 AND der IS NOT NULL");
                return connection.prepare_cached(&sql)?.query_map([prefix], entry)?.collect();
            }
            let sql = format!(
                "SELECT {ENTRY} FROM certificate WHERE serial >= ?1 AND serial < ?2 AND der IS NOT NULL
                 ORDER BY id DESC LIMIT 100"
            );
            connection.prepare_cached(&sql)?.query_map(params![prefix, after(prefix)], entry)?.collect()
        }
    }
}

pub(crate) fn list(connection: &Connection, query: &Query, now: Timestamp) -> rusqlite::Result<Page> {
    let mut conditions = vec!["der IS NOT NULL".to_owned()];
    let mut values: Vec<Value> = Vec::new();
    let mut bind = |value: Value| {
        values.push(value);
        format!("?{}", values.len())
    };
    match query.state {
        StateFilter::Any => {}
        StateFilter::Good => {
            let now = bind(now.as_second().into());
            conditions.push(format!("revoked_at IS NULL AND not_after >= {now} AND not_before <= {now}"));
        }
        StateFilter::Expired => {
            let now = bind(now.as_second().into());
            conditions.push(format!("revoked_at IS NULL AND not_after < {now}"));
        }
        StateFilter::Revoked => conditions.push("revoked_at IS NOT NULL".to_owned()),
        StateFilter::ExpiringBefore(end) => {
            let (now, end) = (bind(now.as_second().into()), bind(end.as_second().into()));
            conditions.push(format!("revoked_at IS NULL AND not_after BETWEEN {now} AND {end}"));
        }
    }
    if let Some(profile) = query.profile {
        let profile = bind(profile.name().to_owned().into());
        conditions.push(format!("profile = {profile}"));
    }
    if let Some(line) = query.line {
        let line = bind(line.into());
        conditions.push(format!("line = {line}"));
    }
    let of_partner = query.partner.as_ref().map(|partner| {
        let (kind, partner) = (bind(ca::IDENTITY.to_owned().into()), bind(partner.clone().into()));
        format!("label IN (SELECT id FROM record WHERE kind = {kind} AND owner = {partner})")
    });
    conditions.extend(of_partner.clone());
    let search = query.search.as_deref().map(str::trim).filter(|text| !text.is_empty());
    // Where the rows come from. In the index's own order, newest first, a search ends at the limit: a million that fit
    // cost no more than a hundred.
    let mut sources = vec!["certificate".to_owned()];
    if let Some(of_partner) = of_partner {
        // By the labels, of which a partner has few, whatever the whole has.
        sources = vec![format!(
            "(SELECT id AS place FROM certificate INDEXED BY certificate_label WHERE {of_partner}) AS p
             CROSS JOIN certificate ON certificate.id = p.place"
        )];
    }
    let mut first_is_newer = false;
    if let Some(text) = search {
        let lower = text.to_lowercase();
        let trigrams = trigrams(&lower);
        sources = if trigrams.is_empty() {
            let needle = bind(text.to_owned().into());
            first_is_newer = true;
            let newest = |compare| {
                format!("id {compare} (SELECT coalesce(max(id), 0) - {READ_ONE_BY_ONE} FROM certificate)")
            };
            // Too short for trigrams: labels that start so. Where many do, the newest certificates hold enough of them;
            // where few do, the index gives them all.
            let fits = |label: &str| format!("{label} >= {needle} AND {label} < {needle} || char(1114111)");
            vec![
                format!(
                    "(SELECT id AS place FROM certificate WHERE {newest} AND {} ORDER BY id DESC)
                     CROSS JOIN certificate ON id = place",
                    fits("+label"),
                    newest = newest(">=")
                ),
                format!(
                    "(SELECT id AS place FROM certificate INDEXED BY certificate_label WHERE {} AND {}
                      ORDER BY id DESC) CROSS JOIN certificate ON id = place",
                    fits("label"),
                    newest("<")
                ),
            ]
        } else {
            let (trigrams, needle) = (bind(trigrams.into()), bind(lower.into()));
            let mut found = vec![
                format!(
                    "(SELECT rowid AS place FROM name_trigrams WHERE name_trigrams MATCH {trigrams}
                      ORDER BY rowid DESC)
                     CROSS JOIN completed_certificate AS n ON n.position = place AND instr(n.names, {needle}) > 0
                     CROSS JOIN certificate USING (id)"
                ),
                format!(
                    "(SELECT position AS place, id AS found FROM completed_certificate
                      WHERE position > (SELECT through FROM name_index) AND instr(names, {needle}) > 0
                      ORDER BY position DESC)
                     CROSS JOIN certificate ON id = found"
                ),
            ];
            if let Selector::Typed(_, prefix) = Selector::parse(text) {
                let (first, end) = (bind(Value::Blob(prefix.clone())), bind(Value::Blob(after(&prefix))));
                for (column, index) in [("serial", ""), ("sha256", "INDEXED BY certificate_sha256")] {
                    found.push(format!(
                        "(SELECT id AS place FROM certificate {index} WHERE {column} >= {first} AND {column} < {end})
                         CROSS JOIN certificate ON id = place"
                    ));
                }
            }
            found
        };
    }
    let limit = if query.limit == 0 { -1 } else { i64::try_from(query.limit).unwrap_or(-2) + 1 };
    let limit = bind(limit.into());
    let order = match query.state {
        StateFilter::ExpiringBefore(_) => "not_after, id",
        _ => "id DESC",
    };
    let is_by_end = matches!(query.state, StateFilter::ExpiringBefore(_));
    let mut entries: Vec<(i64, Entry)> = Vec::new();
    let enough = if query.limit == 0 || is_by_end { usize::MAX } else { query.limit };
    for source in &sources {
        // What the first source gives is newer than what the second would.
        if first_is_newer && entries.len() > enough {
            break;
        }
        let order = if sources.len() > 1 && !is_by_end { "place DESC" } else { order };
        let sql = format!(
            "SELECT {ENTRY}, certificate.id FROM {source} WHERE {} ORDER BY {order} LIMIT {limit}",
            conditions.join(" AND ")
        );
        let mut statement = connection.prepare_cached(&sql)?;
        for (index, value) in values.iter().enumerate().take(statement.parameter_count()) {
            statement.raw_bind_parameter(index + 1, value)?;
        }
        let mut rows = statement.raw_query();
        while let Some(row) = rows.next()? {
            entries.push((row.get(13)?, entry(row)?));
        }
    }
    if sources.len() > 1 {
        match is_by_end {
            true => entries.sort_by_key(|(id, entry)| (entry.not_after, *id)),
            false => entries.sort_by_key(|(id, _)| std::cmp::Reverse(*id)),
        }
        // One that was found in several ways stands side by side with itself.
        entries.dedup_by_key(|(id, _)| *id);
    }
    let mut entries: Vec<Entry> = entries.into_iter().map(|(_, entry)| entry).collect();
    let more = query.limit != 0 && entries.len() > query.limit;
    if more {
        entries.truncate(query.limit);
    }
    Ok(Page { entries, more })
}

/// Trigrams that together cover the text, as a query for the index; empty where the text is too short for one. Side by
/// side is enough, since what is found is checked, and each one more costs. Of long texts those with a digit come
/// first: in names that machines have they tell most.
fn trigrams(text: &str) -> String {
    let characters: Vec<char> = text.chars().collect();
    let Some(last) = characters.len().checked_sub(3) else { return String::new() };
    let mut found: Vec<String> = (0..last)
        .step_by(3)
        .chain([last])
        .map(|start| characters[start..start + 3].iter().collect::<String>())
        .collect();
    found.sort_by_key(|trigram| !trigram.contains(|c: char| c.is_ascii_digit()));
    found.truncate(MOST_TRIGRAMS);
    let quoted: Vec<String> =
        found.iter().map(|trigram| format!("\"{}\"", trigram.replace('"', "\"\""))).collect();
    quoted.join(" AND ")
}

pub(crate) fn revocation_version(connection: &Connection) -> rusqlite::Result<u64> {
    let version: i64 = connection.query_row(
        "SELECT max((SELECT coalesce(max(sequence), 0) FROM audit WHERE action = 'revoke'),
                    (SELECT coalesce(max(sequence), 0) FROM audit WHERE action = 'release'))",
        [],
        |row| row.get(0),
    )?;
    Ok(u64::try_from(version).unwrap_or(0))
}

/// What belongs on a list: every revoked certificate that no earlier list was made after the end of.
pub(crate) fn revoked(connection: &Connection) -> rusqlite::Result<Vec<(u32, RevokedEntry)>> {
    connection
        .prepare_cached(
            "SELECT serial, revoked_at, revocation_reason, line FROM certificate
             WHERE revoked_at IS NOT NULL
               AND max(not_after, revoked_at) >= (SELECT coalesce(max(this_update), 0) FROM crl WHERE signed = 1)",
        )?
        .query_map([], |row| {
            let entry = RevokedEntry {
                serial: row.get(0)?,
                revoked_at: time(row.get(1)?),
                reason: RevocationReason::from_code(row.get(2)?),
            };
            Ok((row.get(3)?, entry))
        })?
        .collect()
}

pub(crate) fn line_standing(
    connection: &Connection,
    line: u32,
    now: Timestamp,
) -> rusqlite::Result<LineStanding> {
    // Both go by the index of ends, and read no more of it than what has not ended, or up to the first of the line.
    let good: i64 = connection
        .prepare_cached(
            "SELECT count(*) FROM certificate
             WHERE not_after >= ?2 AND not_before <= ?2 AND line = ?1 AND der IS NOT NULL AND revoked_at IS NULL
               AND profile <> 'responder'",
        )?
        .query_row(params![line, now.as_second()], |row| row.get(0))?;
    let last_end: Option<i64> = connection
        .prepare_cached(
            "SELECT not_after FROM certificate WHERE line = ?1 AND der IS NOT NULL AND profile <> 'responder'
             ORDER BY not_after DESC LIMIT 1",
        )?
        .query_row([line], |row| row.get(0))
        .optional()?;
    Ok(LineStanding { good: u64::try_from(good).unwrap_or(0), last_end: last_end.map(time) })
}

pub(crate) fn list_number(connection: &Connection) -> rusqlite::Result<u64> {
    let number: i64 =
        connection.query_row("SELECT coalesce(max(number), 0) FROM crl", [], |row| row.get(0))?;
    Ok(u64::try_from(number).unwrap_or(0))
}

pub(crate) fn audit_length(connection: &Connection) -> rusqlite::Result<u64> {
    let length: i64 = connection
        .prepare_cached("SELECT coalesce(max(sequence), 0) FROM audit")?
        .query_row([], |row| row.get(0))?;
    Ok(u64::try_from(length).unwrap_or(0))
}

pub(crate) fn audit(connection: &Connection, serial: Option<&[u8]>) -> rusqlite::Result<Vec<AuditEvent>> {
    match serial {
        Some(serial) => {
            events(connection, "WHERE serial = ?1 ORDER BY sequence", vec![Value::Blob(serial.to_vec())])
        }
        None => events(connection, "ORDER BY sequence", Vec::new()),
    }
}

pub(crate) fn audit_after(
    connection: &Connection,
    sequence: u64,
    limit: usize,
) -> rusqlite::Result<Vec<AuditEvent>> {
    let integer = |value: u64| Value::Integer(i64::try_from(value).unwrap_or(i64::MAX));
    let values = vec![integer(sequence), integer(limit as u64)];
    events(connection, "WHERE sequence > ?1 ORDER BY sequence LIMIT ?2", values)
}

fn events(connection: &Connection, which: &str, values: Vec<Value>) -> rusqlite::Result<Vec<AuditEvent>> {
    let sql = format!("SELECT sequence, at, actor, action, serial, details, hash, origin FROM audit {which}");
    connection
        .prepare_cached(&sql)?
        .query_map(params_from_iter(values), |row| {
            Ok(AuditEvent {
                sequence: u64::try_from(row.get::<_, i64>(0)?).unwrap_or(0),
                at: time(row.get(1)?),
                actor: row.get(2)?,
                action: row.get(3)?,
                serial: row.get(4)?,
                details: row.get(5)?,
                hash: row.get(6)?,
                origin: row.get(7)?,
            })
        })?
        .collect()
}

fn entry(row: &Row<'_>) -> rusqlite::Result<Entry> {
    let revoked_at: Option<i64> = row.get(10)?;
    let reason: Option<u8> = row.get(11)?;
    Ok(Entry {
        serial: row.get(0)?,
        label: row.get(1)?,
        profile: profile(&row.get::<_, String>(2)?),
        der: row.get(3)?,
        not_before: time(row.get(4)?),
        not_after: time(row.get(5)?),
        issued_at: time(row.get(6)?),
        requested_by: row.get(7)?,
        replaces: row.get(8)?,
        location: row.get(9)?,
        revoked: revoked_at.map(|at| RevocationRecord {
            at: time(at),
            reason: RevocationReason::from_code(reason.unwrap_or(0)),
        }),
        line: row.get(12)?,
    })
}

/// Only names that [`Profile::name`] gave are written.
fn profile(name: &str) -> Profile {
    name.parse().unwrap_or(Profile::Client)
}

/// Only seconds that a [`Timestamp`] had are written.
pub(crate) fn time(seconds: i64) -> Timestamp {
    Timestamp::from_second(seconds).unwrap_or(Timestamp::UNIX_EPOCH)
}

/// The octets of a SHA-256 fingerprint; no serial number has as many (RFC 5280 section 4.1.2.2).
pub(crate) const FINGERPRINT: usize = 32;

/// The first octets behind all that start with `prefix`.
pub(crate) fn after(prefix: &[u8]) -> Vec<u8> {
    let mut next = prefix.to_vec();
    while let Some(last) = next.pop() {
        if last < 0xff {
            next.push(last + 1);
            return next;
        }
    }
    vec![0xff; 32]
}
