//! Records in SQLite.

use ca::{Commit, Record, StoreError, Write};
use jiff::Timestamp;
use rusqlite::types::Value;
use rusqlite::{Connection, OptionalExtension as _, Row, params, params_from_iter};

use crate::log;
use crate::read::time;
use crate::write::{WriteError, append_audit};

const RECORD: &str = "kind, id, owner, version, expires, body";

pub(crate) fn record(connection: &Connection, kind: &str, id: &str) -> rusqlite::Result<Option<Record>> {
    let sql = format!("SELECT {RECORD} FROM record WHERE kind = ?1 AND id = ?2");
    connection.prepare_cached(&sql)?.query_row([kind, id], from_row).optional()
}

pub(crate) fn records(
    connection: &Connection,
    kind: &str,
    owner: Option<&str>,
    after: Option<&str>,
    limit: usize,
) -> rusqlite::Result<Vec<Record>> {
    let limit = Value::Integer(i64::try_from(limit).unwrap_or(i64::MAX));
    let mut values = vec![Value::Text(kind.to_owned()), Value::Text(after.unwrap_or("").to_owned()), limit];
    let owned = match owner {
        Some(owner) => {
            values.push(Value::Text(owner.to_owned()));
            "AND owner = ?4"
        }
        None => "",
    };
    let sql = format!("SELECT {RECORD} FROM record WHERE kind = ?1 AND id > ?2 {owned} ORDER BY id LIMIT ?3");
    connection.prepare_cached(&sql)?.query_map(params_from_iter(values), from_row)?.collect()
}

pub(crate) fn kinds(connection: &Connection) -> rusqlite::Result<Vec<String>> {
    connection
        .prepare("SELECT DISTINCT kind FROM record ORDER BY kind")?
        .query_map([], |row| row.get(0))?
        .collect()
}

pub(crate) fn count(connection: &Connection, kind: &str, owner: &str) -> rusqlite::Result<u64> {
    let count: i64 = connection
        .prepare_cached("SELECT count(*) FROM record WHERE kind = ?1 AND owner = ?2")?
        .query_row([kind, owner], |row| row.get(0))?;
    Ok(u64::try_from(count).unwrap_or(0))
}

pub(crate) fn commit(connection: &Connection, commit: &Commit) -> Result<(), WriteError> {
    for write in &commit.writes {
        let changed = match write {
            Write::Put(record) if record.version == 0 => connection
                .prepare_cached(
                    "INSERT OR IGNORE INTO record (kind, id, owner, version, expires, body)
                     VALUES (?1, ?2, ?3, 1, ?4, ?5)",
                )?
                .execute(params![
                    record.kind,
                    record.id,
                    record.owner,
                    record.expires.map(Timestamp::as_second),
                    record.body
                ])?,
            Write::Put(record) => connection
                .prepare_cached(
                    "UPDATE record SET owner = ?3, version = version + 1, expires = ?4, body = ?5
                     WHERE kind = ?1 AND id = ?2 AND version = ?6",
                )?
                .execute(params![
                    record.kind,
                    record.id,
                    record.owner,
                    record.expires.map(Timestamp::as_second),
                    record.body,
                    version(record)
                ])?,
            Write::Delete(record) => connection
                .prepare_cached("DELETE FROM record WHERE kind = ?1 AND id = ?2 AND version = ?3")?
                .execute(params![record.kind, record.id, version(record)])?,
        };
        if changed == 0 {
            let Record { kind, id, .. } = write.record().clone();
            return Err(WriteError::Store(StoreError::Conflict { kind, id }));
        }
    }
    for certificate in &commit.certificates {
        log::append(connection, certificate)?;
    }
    commit.events.iter().try_for_each(|event| append_audit(connection, event))
}

pub(crate) fn prune(connection: &Connection, before: Timestamp, limit: usize) -> Result<u64, WriteError> {
    let gone = connection
        .prepare_cached(
            "DELETE FROM record WHERE (kind, id) IN
                 (SELECT kind, id FROM record WHERE expires < ?1 ORDER BY expires LIMIT ?2)",
        )?
        .execute(rusqlite::params![before.as_second(), i64::try_from(limit).unwrap_or(i64::MAX)])?;
    Ok(gone as u64)
}

fn version(record: &Record) -> i64 {
    i64::try_from(record.version).unwrap_or(i64::MAX)
}

fn from_row(row: &Row<'_>) -> rusqlite::Result<Record> {
    Ok(Record {
        kind: row.get(0)?,
        id: row.get(1)?,
        owner: row.get(2)?,
        version: u64::try_from(row.get::<_, i64>(3)?).unwrap_or(0),
        expires: row.get::<_, Option<i64>>(4)?.map(time),
        body: row.get(5)?,
    })
}
