//! The operations that only look.

use ca::{AuditEvent, AuthorityRecord, Entry, Intent, RevocationRecord, Selector, Unfinished};
use jiff::Timestamp;
use pki::Profile;
use pki::crl::{RevocationReason, RevokedEntry};
use rusqlite::types::Value;
use rusqlite::{Connection, OptionalExtension as _, Row, params, params_from_iter};

/// The columns of an [`Entry`], as [`entry`] reads them.
pub(crate) const ENTRY: &str = "serial, label, profile, der, not_before, not_after, issued_at, requested_by, replaces, location, \
                     revoked_at, revocation_reason, line";

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

pub(crate) fn entry(row: &Row<'_>) -> rusqlite::Result<Entry> {
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
