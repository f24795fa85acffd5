//! The operations that only look.

use ca::{AuditEvent, AuthorityRecord, Entry, Intent, Page, Query, RevocationRecord, Selector, StateFilter};
use jiff::Timestamp;
use pki::Profile;
use pki::crl::RevocationReason;
use rusqlite::types::Value;
use rusqlite::{Connection, OptionalExtension as _, Row, params, params_from_iter};

/// The columns of an [`Entry`], as [`entry`] reads them.
const ENTRY: &str = "serial, label, profile, der, not_before, not_after, issued_at, requested_by, replaces, location, \
                     revoked_at, revocation_reason";

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

pub(crate) fn unfinished(connection: &Connection) -> rusqlite::Result<Vec<Intent>> {
    connection
        .prepare_cached(
            "SELECT serial, profile, label, tbs, not_before, not_after, requested_by, requested_at, replaces, location
             FROM certificate WHERE der IS NULL ORDER BY id",
        )?
        .query_map([], |row| {
            Ok(Intent {
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
            })
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
        Selector::LabelOrSerial(label, prefix) => {
            let found = by_label(label)?;
            if !found.is_empty() {
                return Ok(found);
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
    if let Some(text) = query.search.as_deref().map(str::trim).filter(|text| !text.is_empty()) {
        if text.chars().count() >= 3 {
            // A phrase of trigrams is a substring; its quotes are doubled.
            let phrase = bind(format!("\"{}\"", text.replace('"', "\"\"")).into());
            let mut matching =
                format!("SELECT rowid FROM certificate_names WHERE certificate_names MATCH {phrase}");
            if let Selector::LabelOrSerial(_, prefix) = Selector::parse(text) {
                let (first, end) = (bind(Value::Blob(prefix.clone())), bind(Value::Blob(after(&prefix))));
                matching.push_str(&format!(
                    " UNION SELECT id FROM certificate WHERE serial >= {first} AND serial < {end}"
                ));
            }
            conditions.push(format!("id IN ({matching})"));
        } else {
            // Too short for trigrams: names that start so.
            let prefix = bind(text.to_owned().into());
            conditions.push(format!("label >= {prefix} AND label < {prefix} || char(1114111)"));
        }
    }
    let limit = if query.limit == 0 { -1 } else { i64::try_from(query.limit).unwrap_or(-2) + 1 };
    let limit = bind(limit.into());
    let order = match query.state {
        StateFilter::ExpiringBefore(_) => "not_after, id",
        _ => "id DESC",
    };
    let sql = format!(
        "SELECT {ENTRY} FROM certificate WHERE {} ORDER BY {order} LIMIT {limit}",
        conditions.join(" AND ")
    );
    let mut entries: Vec<Entry> = connection
        .prepare_cached(&sql)?
        .query_map(params_from_iter(values), entry)?
        .collect::<rusqlite::Result<_>>()?;
    let more = query.limit != 0 && entries.len() > query.limit;
    if more {
        entries.truncate(query.limit);
    }
    Ok(Page { entries, more })
}

pub(crate) fn revocation_version(connection: &Connection) -> rusqlite::Result<u64> {
    let version: i64 = connection.query_row(
        "SELECT coalesce(max(sequence), 0) FROM audit WHERE action = 'revoke'",
        [],
        |row| row.get(0),
    )?;
    Ok(u64::try_from(version).unwrap_or(0))
}

pub(crate) fn audit(connection: &Connection, serial: Option<&[u8]>) -> rusqlite::Result<Vec<AuditEvent>> {
    let (condition, values) = match serial {
        Some(serial) => ("WHERE serial = ?1", vec![Value::Blob(serial.to_vec())]),
        None => ("", Vec::new()),
    };
    let sql = format!(
        "SELECT sequence, at, actor, action, serial, details, hash FROM audit {condition} ORDER BY sequence"
    );
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

/// The first octets behind all that start with `prefix`.
fn after(prefix: &[u8]) -> Vec<u8> {
    let mut next = prefix.to_vec();
    while let Some(last) = next.pop() {
        if last < 0xff {
            next.push(last + 1);
            return next;
        }
    }
    vec![0xff; 32]
}
