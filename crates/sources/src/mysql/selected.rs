//! Which tables a connector reads, and what it does not read of them.

use std::collections::BTreeMap;

use connectors_sdk::{ErrorKind, SourceError};
use mysql_async::Error;
use mysql_async::prelude::Queryable;

use super::catalog::{self, Table};
use super::client::{Client, Session, quote};
use super::document::is_reserved;
use crate::shared::sql::selection::{Selection, listed};

/// Makes the database the session's own and says how the server spells it.
async fn enter(client: &Client, session: &mut Session, database: &str) -> Result<String, SourceError> {
    let operation = || format!("open the database {database}");
    session.enter(database).await.map_err(|error| client.error(operation(), &error))?;
    let name: Option<Option<String>> = session
        .conn
        .query_first("SELECT DATABASE()")
        .await
        .map_err(|error| client.error(operation(), &error))?;
    Ok(name.flatten().unwrap_or_else(|| database.to_owned()))
}

/// The tables a connector reads, described.
pub(super) async fn tables(
    client: &Client,
    session: &mut Session,
    database: &str,
    selection: &Selection,
) -> Result<Vec<Table>, SourceError> {
    let database = enter(client, session, database).await?;
    let failed = |error: Error| client.error("list the tables", &error);
    let (readable, others): (Vec<_>, Vec<_>) = catalog::tables(session, &database)
        .await
        .map_err(failed)?
        .into_iter()
        .partition(|table| !table.selected().is_empty());
    let (mut denied, mut broken) = (Vec::new(), Vec::new());
    for table in others.iter().filter(|table| selection.wants(&table.name)) {
        match why_unreadable(session, table).await.map_err(failed)? {
            Some(problem) => broken.push(format!("{} ({problem})", table.name)),
            None => denied.push(table.name.as_str()),
        }
    }
    if !broken.is_empty() {
        return Err(unreadable(&broken));
    }
    if *selection == Selection::All && !denied.is_empty() {
        tracing::warn!("the account may not read {}: left out", listed(denied));
    }
    let mut existing: BTreeMap<String, Table> =
        readable.into_iter().map(|table| (table.name.clone(), table)).collect();
    let names: Vec<String> = existing.keys().cloned().collect();
    let chosen = selection.of(&names)?;
    Ok(chosen.iter().filter_map(|name| existing.remove(name)).collect())
}

/// What is wrong with a table no column of which can be read. None: the account may not read it. A view that is broken and a
/// table whose engine cannot open it have no columns in the catalogue, nor has what the account may not read.
async fn why_unreadable(session: &mut Session, table: &Table) -> Result<Option<String>, Error> {
    if !table.columns.is_empty() {
        return Ok(None);
    }
    let statement = format!("SELECT * FROM {}.{} LIMIT 0", quote(&table.database), quote(&table.name));
    match session.conn.query_drop(statement).await {
        Ok(()) => Ok(Some("the catalogue names no columns".to_owned())),
        // ER_TABLEACCESS_DENIED_ERROR, ER_COLUMNACCESS_DENIED_ERROR, ER_DBACCESS_DENIED_ERROR
        Err(Error::Server(error)) if matches!(error.code, 1142 | 1143 | 1044) => Ok(None),
        Err(Error::Server(error)) => Ok(Some(format!("{} (error {})", error.message, error.code))),
        Err(error) => Err(error),
    }
}

fn unreadable(tables: &[String]) -> SourceError {
    let context = format!("these cannot be read: {}", listed(tables.iter().map(String::as_str)));
    SourceError::new(ErrorKind::Incomplete, "list the tables", context)
        .with_hint("Nothing was deleted. Repair or drop them, or name the other tables in `tables`.")
}

/// What is read of a table is not all that it has.
pub(super) fn warn_of_gaps(tables: &[Table]) {
    let partly: Vec<&str> = tables
        .iter()
        .filter(|table| table.hides || table.columns.iter().any(|column| column.visible && !column.readable))
        .map(|table| table.name.as_str())
        .collect();
    if !partly.is_empty() {
        tracing::warn!("the account may not read all columns of {}: the others are synced", listed(partly));
    }
    for table in tables {
        for column in table.columns.iter().filter(|column| is_reserved(&column.name)) {
            tracing::warn!(
                "the column {} of {} is left out: documents have a field of that name themselves",
                column.name,
                table.name
            );
        }
    }
    let keyless: Vec<&str> =
        tables.iter().filter(|table| table.key.is_empty()).map(|table| table.name.as_str()).collect();
    if !keyless.is_empty() {
        tracing::info!(
            "no key in {}: their rows are named by a hash of all values, and rows that are alike become one document",
            listed(keyless)
        );
    }
}
