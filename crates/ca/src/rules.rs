//! The rules that the authority publishes to its gateways: who may pass at those that ask for them.

use jiff::Timestamp;
use pki::policy::{Statement, Unreadable};

use crate::audit::{NewEvent, Who};
use crate::record::{Commit, Record, Write};
use crate::store::{Store, StoreError};

const KIND: &str = "setting";
const ID: &str = "gateway-rules";

/// Why rules were not published.
#[derive(Debug, thiserror::Error)]
pub enum PublishError {
    /// They are none.
    #[error(transparent)]
    Unreadable(#[from] Unreadable),
    /// The memory failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// The rules as they were written; nothing where none were published.
///
/// # Errors
/// [`StoreError`].
pub fn published(store: &dyn Store) -> Result<Option<String>, StoreError> {
    Ok(store.record(KIND, ID)?.map(|record| record.body))
}

/// Publishes rules in place of those before. Gateways hear of it by the audit event.
///
/// # Errors
/// [`PublishError`].
pub fn publish(
    store: &dyn Store,
    rules: &str,
    by: Who<'_>,
    now: Timestamp,
) -> Result<Vec<Statement>, PublishError> {
    let statements = pki::policy::read(rules)?;
    let event = NewEvent {
        at: now,
        actor: by.actor.to_owned(),
        origin: by.origin.to_owned(),
        action: "policy",
        serial: None,
        details: format!("{} rule(s), sha256 {}", statements.len(), pki::hex(&pki::sha256(rules.as_bytes()))),
    };
    let found = store.record(KIND, ID)?.unwrap_or_else(|| Record::new(KIND, ID, String::new()));
    let record = Record { body: rules.to_owned(), ..found };
    store.commit(Commit::of(Write::Put(record)).noting(event))?;
    Ok(statements)
}
