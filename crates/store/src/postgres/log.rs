//! The log in PostgreSQL: each certificate has its place in it, those of the authority's own CAs among them, and the hashes above full tiles are kept.

use ca::CaCertificate;
use ca::log::{Hash, TILE, leaf_hash, tile_root};
use postgres::{Error, GenericClient};

/// How many levels of tiles a log of 2^64 entries has.
const LEVELS: u8 = 8;

pub(super) fn size(client: &mut impl GenericClient) -> Result<u64, Error> {
    let row = client.query_one("SELECT entries FROM head WHERE id = 1", &[])?;
    Ok(u64::try_from(row.get::<_, i64>(0)).unwrap_or(0))
}

pub(super) fn hashes(
    client: &mut impl GenericClient,
    level: u8,
    start: u64,
    count: u64,
) -> Result<Vec<Hash>, Error> {
    if level == 0 {
        return Ok(entries(client, start, count)?.iter().map(|entry| leaf_hash(entry)).collect());
    }
    let rows = client.query(
        "SELECT hash FROM log_node WHERE level = $1 AND number >= $2 AND number < $3 ORDER BY number",
        &[&i16::from(level), &number(start), &number(start.saturating_add(count))],
    )?;
    // 32 octets are all that is ever written there.
    Ok(rows.iter().map(|row| row.get::<_, Vec<u8>>(0).try_into().unwrap_or([0; 32])).collect())
}

pub(super) fn entries(
    client: &mut impl GenericClient,
    start: u64,
    count: u64,
) -> Result<Vec<Vec<u8>>, Error> {
    let rows = client.query(
        "SELECT log_entry, der FROM certificate WHERE log_entry >= $1 AND log_entry < $2
         UNION ALL SELECT log_entry, der FROM ca_certificate WHERE log_entry >= $1 AND log_entry < $2 ORDER BY 1",
        &[&number(start), &number(start.saturating_add(count))],
    )?;
    Ok(rows.iter().map(|row| row.get(1)).collect())
}

pub(super) fn ca_certificates(client: &mut impl GenericClient) -> Result<Vec<CaCertificate>, Error> {
    let rows = client.query("SELECT serial, der FROM ca_certificate ORDER BY log_entry", &[])?;
    Ok(rows.iter().map(|row| CaCertificate { serial: row.get(0), der: row.get(1) }).collect())
}

pub(super) fn index(client: &mut impl GenericClient, serial: &[u8]) -> Result<Option<u64>, Error> {
    let row = client.query_opt(
        "SELECT log_entry FROM certificate WHERE serial = $1 AND log_entry IS NOT NULL
         UNION ALL SELECT log_entry FROM ca_certificate WHERE serial = $1",
        &[&serial],
    )?;
    Ok(row.and_then(|row| u64::try_from(row.get::<_, i64>(0)).ok()))
}

/// Writes the hashes above the tiles that are full and have none yet, in a log of this size.
pub(super) fn seal(client: &mut impl GenericClient, size: u64) -> Result<(), Error> {
    let mut full = size / TILE;
    for level in 1..=LEVELS {
        if full == 0 {
            break;
        }
        let row = client.query_one(
            "SELECT coalesce(max(number) + 1, 0) FROM log_node WHERE level = $1",
            &[&i16::from(level)],
        )?;
        for tile in u64::try_from(row.get::<_, i64>(0)).unwrap_or(0)..full {
            let hash = tile_root(&hashes(client, level - 1, tile * TILE, TILE)?);
            client.execute(
                "INSERT INTO log_node (level, number, hash) VALUES ($1, $2, $3)",
                &[&i16::from(level), &number(tile), &hash.as_slice()],
            )?;
        }
        full /= TILE;
    }
    Ok(())
}

fn number(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}
