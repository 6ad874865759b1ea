//! Advanced sync rules: custom queries.

use connectors_sdk::{ErrorKind, RuleViolation, SourceError};
use serde_json::Value;
use tokio_postgres::{Column, Statement};

use super::catalog::{self, Table};
use super::client::Session;
use super::document::Shape;
use super::error::{Failure, Place};
use super::read::table_field;
use crate::shared::sql::rules::{self, CustomQuery};
use crate::shared::sql::selection::listed;

/// A query, and the columns its documents are named by.
#[derive(Debug, Clone)]
pub(super) struct Custom {
    pub query: CustomQuery,
    /// Names of the result's columns.
    id_columns: Vec<String>,
}

/// All that is wrong with the rules; nothing: the queries can be run.
pub(super) async fn check(
    session: &Session,
    place: &Place,
    rules: &Value,
) -> Result<Result<Vec<Custom>, Vec<RuleViolation>>, SourceError> {
    let queries = match rules::parse(rules) {
        Ok(queries) => queries,
        Err(violations) => return Ok(Err(violations)),
    };
    // Columns of a key may be named although the key is of a table that is not among the connector's `tables`.
    let tables = if queries.is_empty() { Vec::new() } else { catalog::every(session, place).await? };
    let (mut custom, mut violations) = (Vec::new(), Vec::new());
    for query in queries {
        match of(session, place, &tables, query).await? {
            Ok(query) => custom.push(query),
            Err(message) => violations.push(RuleViolation { message }),
        }
    }
    Ok(if violations.is_empty() { Ok(custom) } else { Err(violations) })
}

/// The queries to run; an error names everything that is wrong.
pub(super) async fn queries(
    session: &Session,
    place: &Place,
    rules: &Value,
) -> Result<Vec<Custom>, SourceError> {
    check(session, place, rules).await?.map_err(|violations| {
        let messages: Vec<&str> = violations.iter().map(|violation| violation.message.as_str()).collect();
        SourceError::new(ErrorKind::Config, "use the advanced sync rules", messages.join("; "))
            .with_hint("Correct the rules; nothing was synced.")
    })
}

/// One query, or what is wrong with it.
async fn of(
    session: &Session,
    place: &Place,
    tables: &[Table],
    query: CustomQuery,
) -> Result<Result<Custom, String>, SourceError> {
    let at = &query.place;
    if query.database.as_ref().is_some_and(|database| *database != place.database) {
        return Ok(Err(format!(
            "{at}: the connector's database is {}, and it reads no other",
            place.database
        )));
    }
    let known = |name: &&String| tables.iter().find(|table| table.name == **name);
    let missing: Vec<&str> =
        query.tables.iter().filter(|name| known(name).is_none()).map(String::as_str).collect();
    if !missing.is_empty() {
        let missing = listed(missing);
        return Ok(Err(format!("{at}: no table of the schema {} that may be read: {missing}", place.schema)));
    }
    let statement = match session.prepare(&query.query).await {
        Ok(statement) => statement,
        Err(error) => match Failure::of(&error) {
            Failure::Server { code, message } if !code.starts_with("57") => {
                return Ok(Err(format!("{at}: {message}")));
            }
            failure => return Err(place.explain("check the query", &failure, None)),
        },
    };
    if statement.columns().is_empty() {
        return Ok(Err(format!("{at}: the statement has no result; only queries can be run")));
    }
    if !statement.params().is_empty() {
        return Ok(Err(format!("{at}: the query has a placeholder ($1), and there is no value for it")));
    }
    let (id_columns, origin) = if query.id_columns.is_empty() {
        let mut columns: Vec<String> =
            query.tables.iter().filter_map(|name| known(&name)).flat_map(|table| table.key.clone()).collect();
        columns.sort();
        columns.dedup();
        (columns, "the tables' primary keys")
    } else {
        (query.id_columns.clone(), "`id_columns`")
    };
    if id_columns.is_empty() {
        return Ok(Err(format!(
            "{at}: the tables have no primary key; name the columns that identify a row in `id_columns`"
        )));
    }
    let absent: Vec<&str> = id_columns
        .iter()
        .filter(|name| position(statement.columns(), name).is_none())
        .map(String::as_str)
        .collect();
    if !absent.is_empty() {
        let absent = listed(absent);
        return Ok(Err(format!("{at}: {origin} must be in the query's result; these are not: {absent}")));
    }
    // Only a query can stand where a table does: this refuses everything that is none.
    if let Err(error) = session.prepare(&wrapped(&query.query, "*", &[])).await {
        return match Failure::of(&error) {
            Failure::Server { message, .. } => Ok(Err(format!(
                "{at}: only queries (SELECT, VALUES, TABLE, WITH … SELECT) can be run: {message}"
            ))),
            failure => Err(place.explain("check the query", &failure, None)),
        };
    }
    Ok(Ok(Custom { query, id_columns }))
}

/// Where a column stands, by its own name or by the name of its field. Of several the last one counts, as for the field.
fn position(columns: &[Column], name: &str) -> Option<usize> {
    let exact = columns.iter().rposition(|column| column.name() == name);
    exact.or_else(|| columns.iter().rposition(|column| column.name().eq_ignore_ascii_case(name)))
}

/// The query as a table, with new names for its columns: two of its own may be the same.
fn wrapped(query: &str, list: &str, names: &[String]) -> String {
    let names = if names.is_empty() { String::new() } else { format!("({})", names.join(", ")) };
    // The query may end in a comment.
    format!("SELECT {list} FROM ({query}\n) AS query{names}")
}

impl Custom {
    /// The statement to run, and what its rows become.
    pub(super) async fn prepare(
        &self,
        session: &Session,
        place: &Place,
    ) -> Result<(Shape, Statement), tokio_postgres::Error> {
        let query = &self.query;
        let statement = session.prepare(&query.query).await?;
        let columns = statement.columns();
        let key = self.id_columns.iter().filter_map(|name| position(columns, name)).collect();
        let table = table_field(&query.tables, query.database.is_none());
        let shape = Shape::of_query(place, &query.tables, table, columns, key);
        if shape.needs_no_cast() {
            return Ok((shape, statement));
        }
        let names: Vec<String> = (0..columns.len()).map(|index| format!("c{index}")).collect();
        let list = shape.select_list(names.iter().cloned());
        let statement = session.prepare(&wrapped(&query.query, &list, &names)).await?;
        Ok((shape, statement))
    }

    /// The error of running it.
    pub(super) fn failed(&self, place: &Place, failure: &Failure) -> SourceError {
        let at = &self.query.place;
        match failure {
            // Whatever the server has against the query, nothing may be deleted because of it.
            Failure::Server { code, message } if !super::read::is_cut(failure) => SourceError::new(
                if code == "42501" { ErrorKind::PermissionDenied } else { ErrorKind::Incomplete },
                format!("run the query {at} of the advanced sync rules"),
                format!("{message} (SQLSTATE {code})"),
            )
            .with_hint("Correct the query, or what it needs at the server. Nothing was deleted."),
            failure => place.explain("run a query of the advanced sync rules", failure, None),
        }
    }
}
