//! The log in SQLite: its entries are the certificates in the order of their completion, those of the authority's own CAs
//! among them; the hashes above full tiles are kept, so that no question reads more than a few hundred rows.

use ca::log::{Hash, TILE, leaf_hash, tile_root};
use ca::{CaCertificate, StoreError};
use rusqlite::{Connection, OptionalExtension as _, params};

use crate::write::WriteError;

/// How many levels of tiles a log of 2^64 entries has.
const LEVELS: u8 = 8;

/// The place in the log of a row `n` of `completed_certificate`: positions are counted from 1, and leave out the places
/// of the authority's own certificates. Of those there are two, and a few more for each change of the CA.
const PLACE: &str = "n.position - 1 + (SELECT count(*) FROM ca_certificate WHERE behind < n.position)";

/// How many entries there are.
pub(crate) fn size(connection: &Connection) -> rusqlite::Result<u64> {
    let size: i64 = connection
        .prepare_cached(
            "SELECT (SELECT coalesce(max(position), 0) FROM completed_certificate)
                  + (SELECT count(*) FROM ca_certificate)",
        )?
        .query_row([], |row| row.get(0))?;
    Ok(u64::try_from(size).unwrap_or(0))
}

pub(crate) fn hashes(
    connection: &Connection,
    level: u8,
    start: u64,
    count: u64,
) -> rusqlite::Result<Vec<Hash>> {
    if level == 0 {
        return Ok(entries(connection, start, count)?.iter().map(|entry| leaf_hash(entry)).collect());
    }
    connection
        .prepare_cached(
            "SELECT hash FROM log_node WHERE level = ?1 AND number >= ?2 AND number < ?3 ORDER BY number",
        )?
        .query_map(params![level, number(start), number(start.saturating_add(count))], |row| row.get(0))?
        .collect()
}

pub(crate) fn entries(connection: &Connection, start: u64, count: u64) -> rusqlite::Result<Vec<Vec<u8>>> {
    // Of those issued, a few more than asked for: each of the authority's own moves what is behind it on by one.
    let sql = format!(
        "SELECT place, der FROM (
             SELECT {PLACE} AS place, n.id FROM completed_certificate AS n
             WHERE n.position > ?1 - (SELECT count(*) FROM ca_certificate) AND n.position <= ?2
         ) AS n CROSS JOIN certificate AS c ON c.id = n.id WHERE place >= ?1 AND place < ?2
         UNION ALL SELECT entry, der FROM ca_certificate WHERE entry >= ?1 AND entry < ?2 ORDER BY 1"
    );
    connection
        .prepare_cached(&sql)?
        .query_map([number(start), number(start.saturating_add(count))], |row| row.get(1))?
        .collect()
}

pub(crate) fn index(connection: &Connection, serial: &[u8]) -> rusqlite::Result<Option<u64>> {
    let sql = format!(
        "SELECT {PLACE} FROM certificate AS c CROSS JOIN completed_certificate AS n ON n.id = c.id WHERE c.serial = ?1
         UNION ALL SELECT entry FROM ca_certificate WHERE serial = ?1"
    );
    let place: Option<i64> =
        connection.prepare_cached(&sql)?.query_row([serial], |row| row.get(0)).optional()?;
    Ok(place.and_then(|place| u64::try_from(place).ok()))
}

pub(crate) fn ca_certificates(connection: &Connection) -> rusqlite::Result<Vec<CaCertificate>> {
    connection
        .prepare_cached("SELECT serial, der FROM ca_certificate ORDER BY entry")?
        .query_map([], |row| Ok(CaCertificate { serial: row.get(0)?, der: row.get(1)? }))?
        .collect()
}

/// Puts a certificate of the authority's own at the end.
pub(crate) fn append(connection: &Connection, certificate: &CaCertificate) -> Result<(), WriteError> {
    let inserted = connection
        .prepare_cached(
            "INSERT OR IGNORE INTO ca_certificate (entry, behind, serial, der)
             VALUES (?1, ?1 - (SELECT count(*) FROM ca_certificate), ?2, ?3)",
        )?
        .execute(params![number(size(connection)?), certificate.serial, certificate.der])?;
    if inserted == 0 {
        return Err(WriteError::Store(logged_already(certificate)));
    }
    Ok(grew(connection)?)
}

/// The error of whoever puts a certificate into the log that is in it.
pub(crate) fn logged_already(certificate: &CaCertificate) -> StoreError {
    StoreError::Conflict { kind: "certificate".to_owned(), id: pki::hex(&certificate.serial) }
}

/// Is told that an entry was put at the end.
pub(crate) fn grew(connection: &Connection) -> rusqlite::Result<()> {
    if size(connection)?.is_multiple_of(TILE) { seal(connection) } else { Ok(()) }
}

/// Writes the hashes above the tiles that are full and have none yet: with each tile that fills, and once in a database
/// from before there was a log.
pub(crate) fn seal(connection: &Connection) -> rusqlite::Result<()> {
    let mut full = size(connection)? / TILE;
    for level in 1..=LEVELS {
        let sealed: i64 = connection
            .prepare_cached("SELECT coalesce(max(number) + 1, 0) FROM log_node WHERE level = ?1")?
            .query_row([level], |row| row.get(0))?;
        for tile in u64::try_from(sealed).unwrap_or(0)..full {
            let hash = tile_root(&hashes(connection, level - 1, tile * TILE, TILE)?);
            connection
                .prepare_cached("INSERT INTO log_node (level, number, hash) VALUES (?1, ?2, ?3)")?
                .execute(params![level, number(tile), hash.as_slice()])?;
        }
        full /= TILE;
        if full == 0 {
            break;
        }
    }
    Ok(())
}

fn number(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}
