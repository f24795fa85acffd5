//! The operations that change something. Each either does all of its work or none: what it cannot do it finds out before
//! its first change, or undoes to a savepoint.

use ca::log::TILE;
use ca::{
    AuthorityRecord, CaCertificate, Commit, Completion, Intent, NewEvent, Record, RevocationRecord,
    StoreError, Write,
};
use jiff::Timestamp;
use pki::crl::RevocationReason;
use postgres::types::ToSql;
use postgres::{Statement, Transaction};

use super::log;
use super::writer::{Fault, Group, Head};

pub(super) fn create_authority(
    group: &mut Group<'_>,
    record: &AuthorityRecord,
    with: &Commit,
) -> Result<(), Fault> {
    let inserted = group.execute(
        "INSERT INTO authority (id, name, root, issuing, created_at) VALUES (1, $1, $2, $3, $4)
         ON CONFLICT (id) DO NOTHING",
        &[&record.name, &record.root, &record.issuing, &record.created_at.as_second()],
    )?;
    if inserted == 0 {
        return Err(Fault::Store(StoreError::AuthorityExists));
    }
    commit(group, with)
}

pub(super) fn record_intent(group: &mut Group<'_>, intent: &Intent) -> Result<(), Fault> {
    let values: &[&(dyn ToSql + Sync)] = &[
        &(group.head.position + 1),
        &intent.serial,
        &intent.profile.name(),
        &intent.label,
        &intent.label.to_ascii_lowercase(),
        &intent.tbs,
        &intent.not_before.as_second(),
        &intent.not_after.as_second(),
        &intent.requested_by,
        &intent.requested_at.as_second(),
        &intent.replaces,
        &intent.location,
        &i32::try_from(intent.line).unwrap_or(i32::MAX),
    ];
    let inserted = group.execute(
        "INSERT INTO certificate (position, serial, profile, label, label_key, names, tbs, not_before, not_after,
                                  requested_by, requested_at, replaces, location, line)
         VALUES ($1, $2, $3, $4, $5, '', $6, $7, $8, $9, $10, $11, $12, $13) ON CONFLICT (serial) DO NOTHING",
        values,
    )?;
    if inserted == 0 {
        return Err(Fault::Store(StoreError::DuplicateSerial));
    }
    group.head.position += 1;
    Ok(())
}

pub(super) fn complete(
    group: &mut Group<'_>,
    completion: &Completion,
    event: &NewEvent,
) -> Result<(), Fault> {
    let entry = group.head.entries;
    let updated = group.execute(
        "UPDATE certificate SET der = $2, issued_at = $3, names = $4, tbs = '', log_entry = $5
         WHERE serial = $1 AND der IS NULL",
        &[
            &completion.serial,
            &completion.der,
            &completion.issued_at.as_second(),
            &completion.names.to_lowercase(),
            &entry,
        ],
    )?;
    if updated == 0 {
        return Err(Fault::Store(StoreError::NoIntent));
    }
    group.head.entries += 1;
    let size = group.head.entries.unsigned_abs();
    if size.is_multiple_of(TILE) {
        log::seal(&mut group.transaction, size)?;
    }
    Ok(append(group, event)?)
}

pub(super) fn abandon(
    group: &mut Group<'_>,
    serial: &[u8],
    reason: &str,
    event: &NewEvent,
) -> Result<(), Fault> {
    let abandoned = group.execute(
        "UPDATE certificate SET failure = $2 WHERE serial = $1 AND der IS NULL AND failure IS NULL",
        &[&serial, &reason],
    )?;
    if abandoned == 0 {
        return Err(Fault::Store(StoreError::NoIntent));
    }
    Ok(append(group, event)?)
}

pub(super) fn revoke(
    group: &mut Group<'_>,
    serials: &[Vec<u8>],
    record: RevocationRecord,
    events: &[NewEvent],
) -> Result<(), Fault> {
    for (serial, event) in serials.iter().zip(events) {
        // One that another replica took back a moment before keeps its date and reason.
        let revoked = group.execute(
            "UPDATE certificate SET revoked_at = $2, revocation_reason = $3
             WHERE serial = $1 AND revoked_at IS NULL",
            &[serial, &record.at.as_second(), &i16::from(record.reason.code())],
        )?;
        if revoked > 0 {
            append(group, event)?;
        }
    }
    Ok(())
}

pub(super) fn release(group: &mut Group<'_>, serial: &[u8], event: &NewEvent) -> Result<(), Fault> {
    let released = group.execute(
        "UPDATE certificate SET revoked_at = NULL, revocation_reason = NULL
         WHERE serial = $1 AND revoked_at IS NOT NULL AND revocation_reason = $2",
        &[&serial, &i16::from(RevocationReason::CertificateHold.code())],
    )?;
    if released == 0 {
        return Err(Fault::Store(StoreError::NotOnHold));
    }
    Ok(append(group, event)?)
}

/// Records a list, and gives its number.
pub(super) fn number_crl(group: &mut Group<'_>, at: Timestamp) -> Result<u64, Fault> {
    let row = group.transaction.query_one(
        "INSERT INTO crl (number, this_update, signed)
         SELECT greatest(coalesce(max(number), 0) + 1, $2), $1, false FROM crl RETURNING number",
        &[&at.as_second(), &at.as_millisecond()],
    )?;
    Ok(u64::try_from(row.get::<_, i64>(0)).unwrap_or(0))
}

/// Records a list of this number as of the beginning of time, unless there is a later one.
pub(super) fn skip_list_numbers(group: &mut Group<'_>, last: u64) -> Result<(), Fault> {
    let last = i64::try_from(last).unwrap_or(i64::MAX);
    group.execute(
        "INSERT INTO crl (number, this_update, signed) SELECT $1, 0, false WHERE $1 > (SELECT coalesce(max(number), 0) FROM crl)",
        &[&last],
    )?;
    Ok(())
}

/// Records that a list was signed.
pub(super) fn finish_crl(group: &mut Group<'_>, number: u64) -> Result<(), Fault> {
    let number = i64::try_from(number).unwrap_or(i64::MAX);
    group.execute("UPDATE crl SET signed = true WHERE number = $1", &[&number])?;
    Ok(())
}

pub(super) fn commit(group: &mut Group<'_>, commit: &Commit) -> Result<(), Fault> {
    let mut head = group.head.clone();
    let make = group.statement(
        "INSERT INTO record (kind, id, owner, version, expires, body) VALUES ($1, $2, $3, 1, $4, $5)
         ON CONFLICT (kind, id) DO NOTHING",
    )?;
    let change = group.statement(
        "UPDATE record SET owner = $3, version = version + 1, expires = $4, body = $5
         WHERE kind = $1 AND id = $2 AND version = $6",
    )?;
    let forget = group.statement("DELETE FROM record WHERE kind = $1 AND id = $2 AND version = $3")?;
    let into_log = group.statement(
        "INSERT INTO ca_certificate (log_entry, serial, der) VALUES ($1, $2, $3) ON CONFLICT (serial) DO NOTHING",
    )?;
    let append = group.statement(APPEND)?;
    let mut savepoint = group.transaction.transaction()?;
    for write in &commit.writes {
        let Record { kind, id, owner, version, expires, body } = write.record();
        let expires = expires.map(Timestamp::as_second);
        let version = i64::try_from(*version).unwrap_or(i64::MAX);
        let changed = match write {
            Write::Put(_) if version == 0 => savepoint.execute(&make, &[kind, id, owner, &expires, body])?,
            Write::Put(_) => savepoint.execute(&change, &[kind, id, owner, &expires, body, &version])?,
            Write::Delete(_) => savepoint.execute(&forget, &[kind, id, &version])?,
        };
        if changed == 0 {
            savepoint.rollback()?;
            let (kind, id) = (kind.clone(), id.clone());
            return Err(Fault::Store(StoreError::Conflict { kind, id }));
        }
    }
    for certificate in &commit.certificates {
        let CaCertificate { serial, der } = certificate;
        if savepoint.execute(&into_log, &[&head.entries, serial, der])? == 0 {
            savepoint.rollback()?;
            return Err(Fault::Store(crate::log::logged_already(certificate)));
        }
        head.entries += 1;
        let size = head.entries.unsigned_abs();
        if size.is_multiple_of(TILE) {
            log::seal(&mut savepoint, size)?;
        }
    }
    for event in &commit.events {
        append_in(&mut savepoint, &append, &mut head, event)?;
    }
    savepoint.commit()?;
    group.head = head;
    Ok(())
}

pub(super) fn prune_records(group: &mut Group<'_>, before: Timestamp, limit: usize) -> Result<u64, Fault> {
    let sql = "DELETE FROM record WHERE (kind, id) IN
                   (SELECT kind, id FROM record WHERE expires < $1 ORDER BY expires LIMIT $2)";
    Ok(group.execute(sql, &[&before.as_second(), &i64::try_from(limit).unwrap_or(i64::MAX)])?)
}

const APPEND: &str = "INSERT INTO audit (sequence, at, actor, origin, action, serial, details, hash)
                      VALUES ($1, $2, $3, $4, $5, $6, $7, $8)";

/// Appends to the audit trail, whose end this transaction holds.
fn append(group: &mut Group<'_>, event: &NewEvent) -> Result<(), postgres::Error> {
    let statement = group.statement(APPEND)?;
    append_in(&mut group.transaction, &statement, &mut group.head, event)
}

fn append_in(
    transaction: &mut Transaction<'_>,
    statement: &Statement,
    head: &mut Head,
    event: &NewEvent,
) -> Result<(), postgres::Error> {
    let sequence = head.sequence + 1;
    let hash = event.hash(u64::try_from(sequence).unwrap_or(0), &head.hash);
    transaction.execute(
        statement,
        &[
            &sequence,
            &event.at.as_second(),
            &event.actor,
            &event.origin,
            &event.action,
            &event.serial,
            &event.details,
            &hash.as_slice(),
        ],
    )?;
    (head.sequence, head.hash) = (sequence, hash);
    Ok(())
}
