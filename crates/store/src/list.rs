//! Lists of certificates: narrowed, searched, page after page.

use ca::{Entry, Page, Query, Selector, StateFilter};
use jiff::Timestamp;
use rusqlite::types::Value;
use rusqlite::{Connection, OptionalExtension as _};

use crate::read::{ENTRY, after, entry};

/// How many of the newest certificates a short search reads before it asks the index.
pub(crate) const READ_ONE_BY_ONE: u32 = 5000;

/// The most trigrams that one search asks the index for.
const MOST_TRIGRAMS: usize = 6;

/// What a statement is given.
#[derive(Default)]
struct Values(Vec<Value>);

impl Values {
    /// The name of a value in the statement.
    fn bind(&mut self, value: impl Into<Value>) -> String {
        self.0.push(value.into());
        format!("?{}", self.0.len())
    }
}

/// Where a certificate stands: by its intent, by its completion, and by its end.
struct Place {
    id: i64,
    position: i64,
    not_after: i64,
}

impl Place {
    fn of(connection: &Connection, serial: &[u8]) -> rusqlite::Result<Option<Self>> {
        connection
            .prepare_cached(
                "SELECT c.id, n.position, c.not_after
                 FROM certificate AS c CROSS JOIN completed_certificate AS n ON n.id = c.id WHERE c.serial = ?1",
            )?
            .query_row([serial], |row| {
                Ok(Place { id: row.get(0)?, position: row.get(1)?, not_after: row.get(2)? })
            })
            .optional()
    }
}

/// The order of a list.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Order {
    /// That of what ends first.
    End,
    /// That of what ended last.
    LatestEnd,
    /// That of the newest intents.
    Id,
    /// That of what was completed last, as the index of names has it: almost the same.
    Position,
}

impl Order {
    fn is_by_end(self) -> bool {
        matches!(self, Order::End | Order::LatestEnd)
    }
}

pub(crate) fn list(connection: &Connection, query: &Query, now: Timestamp) -> rusqlite::Result<Page> {
    let behind = match &query.after {
        None => None,
        Some(serial) => match Place::of(connection, serial)? {
            Some(place) => Some(place),
            None => return Ok(Page::default()),
        },
    };
    let text = query.search.as_deref().map(str::trim).filter(|text| !text.is_empty());
    let trigrams = text.map(|text| all_of(&trigrams(&text.to_lowercase()))).unwrap_or_default();
    let order = match query.state {
        StateFilter::ExpiringBefore(_) => Order::End,
        StateFilter::Expired => Order::LatestEnd,
        // Of those revoked there are few, and they may be anywhere.
        StateFilter::Revoked => Order::Id,
        _ if trigrams.is_empty() || query.partner.is_some() => Order::Id,
        _ => Order::Position,
    };
    let mut values = Values::default();
    let mut conditions = conditions(query, now, &mut values);
    // The place in the order of ids or of positions that everything wanted comes before, where that is the order.
    let before = match (&behind, order) {
        (None, _) => None,
        (Some(place), Order::End | Order::LatestEnd) => {
            let (not_after, id) = (values.bind(place.not_after), values.bind(place.id));
            let is = if order == Order::End { '>' } else { '<' };
            // The first is what an index can begin at.
            conditions.push(format!("not_after {is}= {not_after}"));
            conditions.push(format!("(not_after, certificate.id) {is} ({not_after}, {id})"));
            None
        }
        (Some(place), Order::Id) => {
            let id = values.bind(place.id);
            conditions.push(format!("certificate.id < {id}"));
            Some(id)
        }
        (Some(place), Order::Position) => Some(values.bind(place.position)),
    };
    let limit = if query.limit == 0 { -1 } else { i64::try_from(query.limit).unwrap_or(-2) + 1 };
    let limit = values.bind(limit);
    let is_by_index = order.is_by_end() || query.state == StateFilter::Revoked;
    if let Some(text) = text.filter(|_| is_by_index && query.partner.is_none() && query.limit != 0) {
        // Where many fit, those that are first in the list are enough, and the index of names would give all.
        if let Some(fits) = in_first(text, &mut values) {
            let by = order_by(order, "certificate.id");
            let sql = format!(
                "SELECT {ENTRY}, certificate.id
                 FROM (SELECT id AS first FROM certificate WHERE {} ORDER BY {by} LIMIT {READ_ONE_BY_ONE})
                 CROSS JOIN certificate ON certificate.id = first
                 CROSS JOIN completed_certificate AS n ON n.id = first
                 WHERE {fits} ORDER BY {by} LIMIT {limit}",
                conditions.join(" AND "),
            );
            let found = run(connection, &sql, &values)?;
            if found.len() > query.limit {
                return Ok(page(found, query.limit));
            }
        }
    }
    let is_short = text.is_some() && trigrams.is_empty();
    // Where the rows come from. In the index's own order, newest first, a search ends at the limit: a million that fit
    // cost no more than a hundred.
    let sources = match (&query.partner, text) {
        (Some(partner), text) => vec![of_partner(partner, text, &mut values)],
        (None, Some(text)) if is_short => short_search(text, before.as_deref(), &mut values),
        (None, Some(text)) => {
            let before = before.as_deref().filter(|_| order == Order::Position);
            search(text, trigrams, before, &mut values)
        }
        (None, None) => vec!["certificate".to_owned()],
    };
    let key = match order {
        Order::Position => "place",
        // It is the same, and what the rows come in the order of.
        Order::Id if is_short && query.partner.is_none() => "place",
        _ => "certificate.id",
    };
    if let Some(before) = before.filter(|_| order == Order::Position) {
        conditions.push(format!("place < {before}"));
    }
    let by = order_by(order, key);
    let mut entries: Vec<(i64, Entry)> = Vec::new();
    for source in &sources {
        // Of a short search, what the first source gives is newer than what the second would.
        let is_enough = query.limit != 0 && entries.len() > query.limit;
        if order == Order::Id && is_short && is_enough {
            break;
        }
        let sql = format!(
            "SELECT {ENTRY}, {key} FROM {source} WHERE {} ORDER BY {by} LIMIT {limit}",
            conditions.join(" AND ")
        );
        entries.extend(run(connection, &sql, &values)?);
    }
    if sources.len() > 1 {
        match order {
            Order::End => entries.sort_by_key(|(id, entry)| (entry.not_after, *id)),
            Order::LatestEnd => {
                entries.sort_by_key(|(id, entry)| std::cmp::Reverse((entry.not_after, *id)));
            }
            Order::Id | Order::Position => entries.sort_by_key(|(place, _)| std::cmp::Reverse(*place)),
        }
        // One that was found in several ways stands side by side with itself.
        entries.dedup_by_key(|(place, _)| *place);
    }
    Ok(page(entries, query.limit))
}

fn order_by(order: Order, key: &str) -> String {
    match order {
        Order::End => "not_after, certificate.id".to_owned(),
        Order::LatestEnd => "not_after DESC, certificate.id DESC".to_owned(),
        Order::Id | Order::Position => format!("{key} DESC"),
    }
}

/// What a statement gives, whose columns are those of an entry and then its place.
fn run(connection: &Connection, sql: &str, values: &Values) -> rusqlite::Result<Vec<(i64, Entry)>> {
    let mut statement = connection.prepare_cached(sql)?;
    for (index, value) in values.0.iter().enumerate().take(statement.parameter_count()) {
        statement.raw_bind_parameter(index + 1, value)?;
    }
    let mut rows = statement.raw_query();
    let mut found = Vec::new();
    while let Some(row) = rows.next()? {
        found.push((row.get(13)?, entry(row)?));
    }
    Ok(found)
}

fn page(found: Vec<(i64, Entry)>, limit: usize) -> Page {
    let mut entries: Vec<Entry> = found.into_iter().map(|(_, entry)| entry).collect();
    let more = limit != 0 && entries.len() > limit;
    if more {
        entries.truncate(limit);
    }
    Page { entries, more }
}

/// What a certificate fulfils that a text finds by its names or its label alone; nothing where it may find others too.
fn in_first(text: &str, values: &mut Values) -> Option<String> {
    let lower = text.to_lowercase();
    if is_short(&lower) {
        let needle = values.bind(text.to_owned());
        return Some(format!("label >= {needle} AND label < {needle} || char(1114111)"));
    }
    if matches!(Selector::parse(text), Selector::Typed(..)) {
        return None;
    }
    let needle = values.bind(lower);
    Some(format!("instr(n.names, {needle}) > 0"))
}

/// What a certificate fulfils that is wanted.
fn conditions(query: &Query, now: Timestamp, values: &mut Values) -> Vec<String> {
    let mut conditions = vec!["der IS NOT NULL".to_owned()];
    conditions.extend(in_state(query.state, now, |moment| values.bind(moment)));
    if let Some(profile) = query.profile {
        let profile = values.bind(profile.name().to_owned());
        conditions.push(format!("profile = {profile}"));
    }
    if let Some(line) = query.line {
        // Not by the index of lines, of which one may have nearly all: the list would be sorted anew.
        let line = values.bind(line);
        conditions.push(format!("+line = {line}"));
    }
    conditions
}

/// What a certificate in this state fulfils, in the words of both databases; `bind` gives a moment its name in the statement.
pub(crate) fn in_state(
    state: StateFilter,
    now: Timestamp,
    mut bind: impl FnMut(i64) -> String,
) -> Option<String> {
    let now = now.as_second();
    match state {
        StateFilter::Any => None,
        StateFilter::Good => {
            let now = bind(now);
            Some(format!("revoked_at IS NULL AND not_after >= {now} AND not_before <= {now}"))
        }
        StateFilter::Expired => Some(format!("revoked_at IS NULL AND not_after < {}", bind(now))),
        StateFilter::Revoked => Some("revoked_at IS NOT NULL".to_owned()),
        StateFilter::ExpiringBefore(end) => {
            let (now, end) = (bind(now), bind(end.as_second()));
            Some(format!("revoked_at IS NULL AND not_after BETWEEN {now} AND {end}"))
        }
    }
}

/// The certificates of a partner's identities that a text finds, by their labels: a partner has few, whatever the whole has.
fn of_partner(partner: &str, text: Option<&str>, values: &mut Values) -> String {
    let (kind, partner) = (values.bind(ca::IDENTITY.to_owned()), values.bind(partner.to_owned()));
    let mut fits = Vec::new();
    if let Some(text) = text {
        let lower = text.to_lowercase();
        if is_short(&lower) {
            let needle = values.bind(text.to_owned());
            fits.push(format!("(label >= {needle} AND label < {needle} || char(1114111))"));
        } else {
            let needle = values.bind(lower);
            fits.push(format!("instr(n.names, {needle}) > 0"));
        }
        if let Selector::Typed(_, prefix) = Selector::parse(text) {
            let (first, end) = (values.bind(prefix.clone()), values.bind(after(&prefix)));
            for column in ["serial", "sha256"] {
                fits.push(format!("(c.{column} >= {first} AND c.{column} < {end})"));
            }
        }
    }
    let fits = if fits.is_empty() { "true".to_owned() } else { fits.join(" OR ") };
    format!(
        "(SELECT c.id AS place FROM certificate AS c INDEXED BY certificate_label
          CROSS JOIN completed_certificate AS n ON n.id = c.id
          WHERE c.label IN (SELECT id FROM record WHERE kind = {kind} AND owner = {partner}) AND ({fits}))
         CROSS JOIN certificate ON certificate.id = place"
    )
}

/// Labels that start with a text too short for trigrams; their place is the id. Where many do, the newest certificates hold
/// enough of them; where few do, the index gives them all.
fn short_search(text: &str, before: Option<&str>, values: &mut Values) -> Vec<String> {
    let needle = values.bind(text.to_owned());
    let newest = before.unwrap_or("(SELECT coalesce(max(id), 0) + 1 FROM certificate)");
    let fits = |label: &str| format!("{label} >= {needle} AND {label} < {needle} || char(1114111)");
    vec![
        format!(
            "(SELECT id AS place FROM certificate
              WHERE id >= {newest} - {READ_ONE_BY_ONE} AND id < {newest} AND {} ORDER BY id DESC)
             CROSS JOIN certificate ON id = place",
            fits("+label"),
        ),
        format!(
            "(SELECT id AS place FROM certificate INDEXED BY certificate_label
              WHERE {} AND id < {newest} - {READ_ONE_BY_ONE} ORDER BY id DESC)
             CROSS JOIN certificate ON id = place",
            fits("label"),
        ),
    ]
}

/// Names that have the text in them, and serial numbers and fingerprints that start with it; their place is the position.
fn search(text: &str, trigrams: String, before: Option<&str>, values: &mut Values) -> Vec<String> {
    let (trigrams, needle) = (values.bind(trigrams), values.bind(text.to_lowercase()));
    let before = |column: &str| before.map(|before| format!("AND {column} < {before}")).unwrap_or_default();
    let mut sources = vec![
        format!(
            "(SELECT rowid AS place FROM name_trigrams WHERE name_trigrams MATCH {trigrams} {}
              ORDER BY rowid DESC)
             CROSS JOIN completed_certificate AS n ON n.position = place AND instr(n.names, {needle}) > 0
             CROSS JOIN certificate USING (id)",
            before("rowid")
        ),
        format!(
            "(SELECT position AS place, id AS found FROM completed_certificate
              WHERE position > (SELECT through FROM name_index) AND instr(names, {needle}) > 0 {}
              ORDER BY position DESC)
             CROSS JOIN certificate ON id = found",
            before("position")
        ),
    ];
    if let Selector::Typed(_, prefix) = Selector::parse(text) {
        let (first, end) = (values.bind(prefix.clone()), values.bind(after(&prefix)));
        for (column, index) in [("serial", ""), ("sha256", "INDEXED BY certificate_sha256")] {
            sources.push(format!(
                "(SELECT c.id AS found, n.position AS place FROM certificate AS c {index}
                  CROSS JOIN completed_certificate AS n ON n.id = c.id
                  WHERE c.{column} >= {first} AND c.{column} < {end})
                 CROSS JOIN certificate ON id = found"
            ));
        }
    }
    sources
}

/// Whether there is no trigram in it.
fn is_short(text: &str) -> bool {
    text.chars().nth(2).is_none()
}

/// What asks the index for all of them.
fn all_of(trigrams: &[String]) -> String {
    let quoted: Vec<String> =
        trigrams.iter().map(|trigram| format!("\"{}\"", trigram.replace('"', "\"\""))).collect();
    quoted.join(" AND ")
}

/// Trigrams that together cover the text; none where it is too short for one. Side by side is enough, since what is found is
/// checked, and each one more costs. Of long texts those with a digit come first: in names that machines have they tell
/// most.
pub(crate) fn trigrams(text: &str) -> Vec<String> {
    if is_short(text) {
        return Vec::new();
    }
    let characters: Vec<char> = text.chars().collect();
    let last = characters.len() - 3;
    let mut found: Vec<String> = (0..last)
        .step_by(3)
        .chain([last])
        .map(|start| characters[start..start + 3].iter().collect::<String>())
        .collect();
    found.sort_by_key(|trigram| !trigram.contains(|c: char| c.is_ascii_digit()));
    found.truncate(MOST_TRIGRAMS);
    found
}
