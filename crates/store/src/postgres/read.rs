//! The operations that only look.

use ca::{AuditEvent, AuthorityRecord, Entry, Intent, Record, RevocationRecord, Selector, Unfinished};
use pki::Profile;
use pki::crl::{RevocationReason, RevokedEntry};
use postgres::{Error, Row};

use super::reader::Reader;
use crate::read::{FINGERPRINT, after, time};

pub(super) const ENTRY: &str = "serial, label, profile, der, not_before, not_after, issued_at, requested_by, replaces, location, \
                     revoked_at, revocation_reason, line";

pub(super) fn authority(reader: &mut Reader) -> Result<Option<AuthorityRecord>, Error> {
    let row = reader.query_opt("SELECT name, root, issuing, created_at FROM authority", &[])?;
    Ok(row.map(|row| AuthorityRecord {
        name: row.get(0),
        root: row.get(1),
        issuing: row.get(2),
        created_at: time(row.get(3)),
    }))
}

pub(super) fn unfinished(reader: &mut Reader) -> Result<Vec<Unfinished>, Error> {
    let rows = reader.query(
        "SELECT serial, profile, label, tbs, not_before, not_after, requested_by, requested_at, replaces, location,
                failure, line
         FROM certificate WHERE der IS NULL ORDER BY position",
        &[],
    )?;
    let intent = |row: &Row| Intent {
        serial: row.get(0),
        profile: profile(row.get(1)),
        label: row.get(2),
        tbs: row.get(3),
        not_before: time(row.get(4)),
        not_after: time(row.get(5)),
        requested_by: row.get(6),
        requested_at: time(row.get(7)),
        replaces: row.get(8),
        location: row.get(9),
        line: number_of(row.get(11)),
    };
    Ok(rows.iter().map(|row| Unfinished { intent: intent(row), reason: row.get(10) }).collect())
}

pub(super) fn find(reader: &mut Reader, selector: &Selector) -> Result<Vec<Entry>, Error> {
    let entries = |rows: Vec<Row>| rows.iter().map(entry).collect();
    match selector {
        Selector::Label(label) => by_label(reader, label).map(entries),
        Selector::Serial(serial) => {
            let sql = format!("SELECT {ENTRY} FROM certificate WHERE serial = $1 AND der IS NOT NULL");
            reader.query(&sql, &[serial]).map(entries)
        }
        Selector::Typed(label, prefix) => {
            let found = by_label(reader, label)?;
            if !found.is_empty() {
                return Ok(entries(found));
            }
            if prefix.len() == FINGERPRINT {
                let sql =
                    format!("SELECT {ENTRY} FROM certificate WHERE sha256(der) = $1 AND der IS NOT NULL");
                return reader.query(&sql, &[prefix]).map(entries);
            }
            let sql = format!(
                "SELECT {ENTRY} FROM certificate WHERE serial >= $1 AND serial < $2 AND der IS NOT NULL
                 ORDER BY position DESC LIMIT 100"
            );
            reader.query(&sql, &[prefix, &after(prefix)]).map(entries)
        }
    }
}

fn by_label(reader: &mut Reader, label: &str) -> Result<Vec<Row>, Error> {
    let sql = format!(
        "SELECT {ENTRY} FROM certificate WHERE label_key = $1 AND der IS NOT NULL ORDER BY position DESC"
    );
    reader.query(&sql, &[&label.to_ascii_lowercase()])
}

/// What belongs on a list: every revoked certificate that no earlier list was made after the end of.
pub(super) fn revoked(reader: &mut Reader) -> Result<Vec<(u32, RevokedEntry)>, Error> {
    let rows = reader.query(
        "SELECT serial, revoked_at, revocation_reason, line FROM certificate
         WHERE revoked_at IS NOT NULL
           AND greatest(not_after, revoked_at) >= (SELECT coalesce(max(this_update), 0) FROM crl WHERE signed)",
        &[],
    )?;
    let entry = |row: &Row| {
        let reason = reason(row.get(2));
        (number_of(row.get(3)), RevokedEntry { serial: row.get(0), revoked_at: time(row.get(1)), reason })
    };
    Ok(rows.iter().map(entry).collect())
}

/// A line's number, which only this program writes.
fn number_of(line: i32) -> u32 {
    u32::try_from(line).unwrap_or(1)
}

pub(super) fn revocation_version(reader: &mut Reader) -> Result<u64, Error> {
    number(reader, "SELECT coalesce(max(sequence), 0) FROM audit WHERE action IN ('revoke', 'release')")
}

pub(super) fn list_number(reader: &mut Reader) -> Result<u64, Error> {
    number(reader, "SELECT coalesce(max(number), 0) FROM crl")
}

pub(super) fn record_kinds(reader: &mut Reader) -> Result<Vec<String>, Error> {
    let rows = reader.query("SELECT DISTINCT kind FROM record ORDER BY kind", &[])?;
    Ok(rows.iter().map(|row| row.get(0)).collect())
}

pub(super) fn audit_length(reader: &mut Reader) -> Result<u64, Error> {
    number(reader, "SELECT coalesce(max(sequence), 0) FROM audit")
}

fn number(reader: &mut Reader, sql: &str) -> Result<u64, Error> {
    Ok(u64::try_from(reader.query_one(sql, &[])?.get::<_, i64>(0)).unwrap_or(0))
}

const EVENT: &str = "sequence, at, actor, origin, action, serial, details, hash";

pub(super) fn audit(reader: &mut Reader, serial: Option<&[u8]>) -> Result<Vec<AuditEvent>, Error> {
    let rows = match serial {
        Some(serial) => reader
            .query(&format!("SELECT {EVENT} FROM audit WHERE serial = $1 ORDER BY sequence"), &[&serial]),
        None => reader.query(&format!("SELECT {EVENT} FROM audit ORDER BY sequence"), &[]),
    }?;
    Ok(rows.iter().map(event).collect())
}

pub(super) fn audit_after(
    reader: &mut Reader,
    sequence: u64,
    limit: usize,
) -> Result<Vec<AuditEvent>, Error> {
    let sequence = i64::try_from(sequence).unwrap_or(i64::MAX);
    let limit = i64::try_from(limit).unwrap_or(i64::MAX);
    let sql = format!("SELECT {EVENT} FROM audit WHERE sequence > $1 ORDER BY sequence LIMIT $2");
    Ok(reader.query(&sql, &[&sequence, &limit])?.iter().map(event).collect())
}

const RECORD: &str = "kind, id, owner, version, expires, body";

pub(super) fn record(reader: &mut Reader, kind: &str, id: &str) -> Result<Option<Record>, Error> {
    let sql = format!("SELECT {RECORD} FROM record WHERE kind = $1 AND id = $2");
    Ok(reader.query_opt(&sql, &[&kind, &id])?.as_ref().map(from_row))
}

pub(super) fn records(
    reader: &mut Reader,
    kind: &str,
    owner: Option<&str>,
    after: Option<&str>,
    limit: usize,
) -> Result<Vec<Record>, Error> {
    let after = after.unwrap_or("");
    let limit = i64::try_from(limit).unwrap_or(i64::MAX);
    let rows = match owner {
        Some(owner) => {
            let sql = format!(
                "SELECT {RECORD} FROM record WHERE kind = $1 AND owner = $2 AND id > $3 ORDER BY id LIMIT $4"
            );
            reader.query(&sql, &[&kind, &owner, &after, &limit])?
        }
        None => {
            let sql = format!("SELECT {RECORD} FROM record WHERE kind = $1 AND id > $2 ORDER BY id LIMIT $3");
            reader.query(&sql, &[&kind, &after, &limit])?
        }
    };
    Ok(rows.iter().map(from_row).collect())
}

pub(super) fn count_records(reader: &mut Reader, kind: &str, owner: &str) -> Result<u64, Error> {
    let row =
        reader.query_one("SELECT count(*) FROM record WHERE kind = $1 AND owner = $2", &[&kind, &owner])?;
    Ok(u64::try_from(row.get::<_, i64>(0)).unwrap_or(0))
}

fn from_row(row: &Row) -> Record {
    Record {
        kind: row.get(0),
        id: row.get(1),
        owner: row.get(2),
        version: u64::try_from(row.get::<_, i64>(3)).unwrap_or(0),
        expires: row.get::<_, Option<i64>>(4).map(time),
        body: row.get(5),
    }
}

fn event(row: &Row) -> AuditEvent {
    let hash: Vec<u8> = row.get(7);
    AuditEvent {
        sequence: u64::try_from(row.get::<_, i64>(0)).unwrap_or(0),
        at: time(row.get(1)),
        actor: row.get(2),
        origin: row.get(3),
        action: row.get(4),
        serial: row.get(5),
        details: row.get(6),
        // A hash of another length is none, and breaks the chain where it stands.
        hash: hash.try_into().unwrap_or([0; 32]),
    }
}

pub(super) fn entry(row: &Row) -> Entry {
    let revoked_at: Option<i64> = row.get(10);
    Entry {
        serial: row.get(0),
        label: row.get(1),
        profile: profile(row.get(2)),
        der: row.get(3),
        not_before: time(row.get(4)),
        not_after: time(row.get(5)),
        issued_at: time(row.get(6)),
        requested_by: row.get(7),
        replaces: row.get(8),
        location: row.get(9),
        revoked: revoked_at.map(|at| RevocationRecord { at: time(at), reason: reason(row.get(11)) }),
        line: number_of(row.get(12)),
    }
}

fn reason(code: Option<i16>) -> RevocationReason {
    RevocationReason::from_code(code.and_then(|code| u8::try_from(code).ok()).unwrap_or(0))
}

/// Only names that [`Profile::name`] gave are written.
fn profile(name: &str) -> Profile {
    name.parse().unwrap_or(Profile::Client)
}
