//! A connection that reads, with the statements that it has prepared: parsing and planning a question again costs as much
//! as answering it, and a round trip more.

use std::collections::HashMap;

use postgres::types::ToSql;
use postgres::{Client, Error, Row, Statement};

/// The most statements that are kept; a list's filters make some tens of texts.
const MOST: usize = 256;

pub(super) struct Reader {
    client: Client,
    statements: HashMap<String, Statement>,
}

type Values<'a> = &'a [&'a (dyn ToSql + Sync)];

impl Reader {
    pub(super) fn new(client: Client) -> Self {
        Reader { client, statements: HashMap::new() }
    }

    pub(super) fn is_closed(&self) -> bool {
        self.client.is_closed()
    }

    /// The connection itself, for what is not asked again and again.
    pub(super) fn client(&mut self) -> &mut Client {
        &mut self.client
    }

    pub(super) fn query(&mut self, sql: &str, values: Values<'_>) -> Result<Vec<Row>, Error> {
        let statement = self.statement(sql)?;
        self.client.query(&statement, values)
    }

    pub(super) fn query_one(&mut self, sql: &str, values: Values<'_>) -> Result<Row, Error> {
        let statement = self.statement(sql)?;
        self.client.query_one(&statement, values)
    }

    pub(super) fn query_opt(&mut self, sql: &str, values: Values<'_>) -> Result<Option<Row>, Error> {
        let statement = self.statement(sql)?;
        self.client.query_opt(&statement, values)
    }

    fn statement(&mut self, sql: &str) -> Result<Statement, Error> {
        if let Some(statement) = self.statements.get(sql) {
            return Ok(statement.clone());
        }
        let statement = self.client.prepare(sql)?;
        if self.statements.len() < MOST {
            self.statements.insert(sql.to_owned(), statement.clone());
        }
        Ok(statement)
    }
}
