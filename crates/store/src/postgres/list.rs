//! Lists of certificates: narrowed, searched, page after page.

use ca::{Entry, Page, Query, Selector, StateFilter};
use jiff::Timestamp;
use postgres::types::ToSql;
use postgres::{Error, Row};

use super::read::{ENTRY, entry};
use super::reader::Reader;
use crate::list::{READ_ONE_BY_ONE, in_state, trigrams};
use crate::read::after;

/// What a statement is given.
#[derive(Default)]
struct Values(Vec<Box<dyn ToSql + Sync>>);

impl Values {
    /// The name of a value in the statement.
    fn bind(&mut self, value: impl ToSql + Sync + 'static) -> String {
        self.0.push(Box::new(value));
        format!("${}", self.0.len())
    }

    fn as_parameters(&self) -> Vec<&(dyn ToSql + Sync)> {
        self.0.iter().map(|value| &**value).collect()
    }
}

/// A list that is being made.
struct List {
    values: Values,
    conditions: Vec<String>,
    /// Where what is wanted begins, in the order of positions.
    start: String,
    order: &'static str,
    limit: usize,
}

impl List {
    fn sql(&self, more_conditions: &[String]) -> String {
        let limit = match self.limit {
            0 => String::new(),
            limit => format!("LIMIT {}", limit.saturating_add(1)),
        };
        let conditions = [&self.conditions, more_conditions].concat().join(" AND ");
        format!("SELECT {ENTRY} FROM certificate WHERE {conditions} ORDER BY {} {limit}", self.order)
    }

    /// The same with a condition that only those fulfil which are read first, where an index has the list.
    fn sql_of_first(&self, condition: &str) -> String {
        let (conditions, order, limit) =
            (self.conditions.join(" AND "), self.order, self.limit.saturating_add(1));
        format!(
            "SELECT {ENTRY} FROM (SELECT * FROM certificate WHERE {conditions} ORDER BY {order} LIMIT {READ_ONE_BY_ONE})
             AS first WHERE {condition} ORDER BY {order} LIMIT {limit}"
        )
    }

    /// How it is had with a text in it.
    fn search(mut self, reader: &mut Reader, query: &Query, text: &str) -> Result<Vec<Row>, Error> {
        let lower = text.to_lowercase();
        let trigrams = trigrams(&lower);
        if trigrams.is_empty() {
            let (first, end) =
                (self.values.bind(lower.clone()), self.values.bind(format!("{lower}\u{10ffff}")));
            let condition = format!("label_key >= {first} AND label_key < {end}");
            return reader.query(&self.sql(&[condition]), &self.values.as_parameters());
        }
        let needle = self.values.bind(lower);
        let in_names = format!("strpos(names, {needle}) > 0");
        let mut ways = Vec::new();
        if let Selector::Typed(_, prefix) = Selector::parse(text) {
            let (first, end) = (self.values.bind(prefix.clone()), self.values.bind(after(&prefix)));
            for octets in ["serial", "sha256(der)"] {
                ways.push(format!("({octets} >= {first} AND {octets} < {end})"));
            }
        }
        if query.partner.is_some() {
            // Those of a partner are few, and are found by their labels.
            ways.push(in_names);
            return reader.query(&self.sql(&[any_of(&ways)]), &self.values.as_parameters());
        }
        if ways.is_empty() && query.limit != 0 {
            // Where many fit, those at the beginning of the list are enough, and the index would give all.
            let sql = if has_index(query.state) {
                self.sql_of_first(&in_names)
            } else {
                self.sql(&[in_names.clone(), format!("position > {} - {READ_ONE_BY_ONE}", self.start)])
            };
            let found = reader.query(&sql, &self.values.as_parameters())?;
            if found.len() > query.limit {
                return Ok(found);
            }
        }
        let trigrams = self.values.bind(trigrams);
        ways.push(format!("(countersign_trigrams(names) @> {trigrams} AND {in_names})"));
        // Planned for this text each time: for one it is the index that helps, for another one the order of the list.
        reader.client().query(&self.sql(&[any_of(&ways)]), &self.values.as_parameters())
    }
}

/// Whether an index has what is in this state in the order of the list.
fn has_index(state: StateFilter) -> bool {
    matches!(state, StateFilter::ExpiringBefore(_) | StateFilter::Expired | StateFilter::Revoked)
}

fn any_of(ways: &[String]) -> String {
    format!("({})", ways.join(" OR "))
}

pub(super) fn list(reader: &mut Reader, query: &Query, now: Timestamp) -> Result<Page, Error> {
    let mut list = List {
        values: Values::default(),
        conditions: vec!["der IS NOT NULL".to_owned()],
        start: "(SELECT position FROM head)".to_owned(),
        order: match query.state {
            StateFilter::ExpiringBefore(_) => "not_after, position",
            StateFilter::Expired => "not_after DESC, position DESC",
            _ => "position DESC",
        },
        limit: query.limit,
    };
    if let Some(serial) = &query.after {
        let sql = "SELECT position, not_after FROM certificate WHERE serial = $1 AND der IS NOT NULL";
        let Some(row) = reader.query_opt(sql, &[serial])? else { return Ok(Page::default()) };
        let (position, not_after): (i64, i64) = (row.get(0), row.get(1));
        let position = list.values.bind(position);
        list.start.clone_from(&position);
        list.conditions.push(match query.state {
            StateFilter::ExpiringBefore(_) => {
                format!("(not_after, position) > ({}, {position})", list.values.bind(not_after))
            }
            StateFilter::Expired => {
                format!("(not_after, position) < ({}, {position})", list.values.bind(not_after))
            }
            _ => format!("position < {position}"),
        });
    }
    narrow(&mut list, query, now);
    let text = query.search.as_deref().map(str::trim).filter(|text| !text.is_empty());
    let rows = match text {
        Some(text) => list.search(reader, query, text)?,
        None => reader.query(&list.sql(&[]), &list.values.as_parameters())?,
    };
    let mut entries: Vec<Entry> = rows.iter().map(entry).collect();
    let more = query.limit != 0 && entries.len() > query.limit;
    if more {
        entries.truncate(query.limit);
    }
    Ok(Page { entries, more })
}

/// What a certificate fulfils that is wanted, but for the text.
fn narrow(list: &mut List, query: &Query, now: Timestamp) {
    let List { values, conditions, .. } = list;
    conditions.extend(in_state(query.state, now, |moment| values.bind(moment)));
    if let Some(profile) = query.profile {
        let profile = values.bind(profile.name().to_owned());
        conditions.push(format!("profile = {profile}"));
    }
    if let Some(line) = query.line {
        let line = values.bind(i32::try_from(line).unwrap_or(i32::MAX));
        conditions.push(format!("line = {line}"));
    }
    if let Some(partner) = &query.partner {
        let (kind, partner) = (values.bind(ca::IDENTITY), values.bind(partner.clone()));
        // As a list that is there before the plan, so that the index of labels is gone through and not all certificates.
        conditions.push(format!(
            "label_key = ANY (ARRAY(SELECT id FROM record WHERE kind = {kind} AND owner = {partner}))"
        ));
    }
}
