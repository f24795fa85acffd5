//! The log in SQLite: its entries are the certificates in the order of their completion, and the hashes above full tiles
//! are kept, so that no question reads more than a few hundred rows.

use ca::log::{Hash, TILE, leaf_hash, tile_root};
use rusqlite::{Connection, OptionalExtension as _, params};

/// How many levels of tiles a log of 2^64 entries has.
const LEVELS: u8 = 8;

pub(crate) fn size(connection: &Connection) -> rusqlite::Result<u64> {
    let size: i64 = connection
        .prepare_cached("SELECT coalesce(max(position), 0) FROM certificate_names")?
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
    // Positions are counted from 1.
    connection
        .prepare_cached(
            "SELECT der FROM certificate_names AS n CROSS JOIN certificate AS c ON c.id = n.id
             WHERE n.position > ?1 AND n.position <= ?2 ORDER BY n.position",
        )?
        .query_map([number(start), number(start.saturating_add(count))], |row| row.get(0))?
        .collect()
}

pub(crate) fn index(connection: &Connection, serial: &[u8]) -> rusqlite::Result<Option<u64>> {
    let position: Option<i64> = connection
        .prepare_cached(
            "SELECT n.position FROM certificate AS c CROSS JOIN certificate_names AS n ON n.id = c.id
             WHERE c.serial = ?1",
        )?
        .query_row([serial], |row| row.get(0))
        .optional()?;
    Ok(position.and_then(|position| u64::try_from(position - 1).ok()))
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
