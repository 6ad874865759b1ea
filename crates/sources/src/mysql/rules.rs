//! Advanced sync rules: which custom queries are run, in which database, and what their rows are named by.

use std::collections::BTreeSet;
use std::iter::Peekable;
use std::str::Chars;

use connectors_sdk::{ErrorKind, RuleViolation, SourceError};
use mysql_async::prelude::Queryable;
use mysql_async::{Column, Error};
use serde_json::Value as Json;

use super::catalog;
use super::client::{Client, Session};
use super::document::Shape;
use super::error;
use super::value::Kind;
use crate::shared::sql::id::joined_tables;
use crate::shared::sql::rules::{self, CustomQuery};
use crate::shared::sql::selection::listed;

/// A query that can be run.
#[derive(Debug, Clone)]
pub(super) struct Query {
    pub rule: CustomQuery,
    /// The database its unqualified names are looked up in.
    pub database: String,
    /// The columns the id is made of, in this order.
    id_columns: Vec<String>,
    /// First part of the ids.
    prefix: String,
}

impl Query {
    /// What the rows become; an error if the result lacks a column of the id.
    pub(super) fn shape(&self, result: &[Column]) -> Result<Shape, SourceError> {
        let names: Vec<String> = result.iter().map(|column| column.name_str().into_owned()).collect();
        let id = self.positions(&names).map_err(|problem| {
            SourceError::new(ErrorKind::Config, format!("run the query {}", self.rule.place), problem)
                .with_hint("Correct the advanced sync rules.")
        })?;
        let columns = names.into_iter().zip(result.iter().map(Kind::of)).collect();
        let tables = self.rule.tables.iter().map(|table| Json::from(table.as_str())).collect();
        Ok(Shape::new(columns, id, self.prefix.clone(), tables))
    }

    /// Where the columns of the id are. Names of columns are the same in any case, as for the server.
    fn positions(&self, names: &[String]) -> Result<Vec<usize>, String> {
        let position = |wanted: &String| names.iter().position(|name| name.eq_ignore_ascii_case(wanted));
        let found: Option<Vec<usize>> = self.id_columns.iter().map(position).collect();
        found.ok_or_else(|| {
            let missing = self.id_columns.iter().filter(|wanted| position(wanted).is_none());
            format!(
                "the result has no column {}, which the id is made of; it has {}",
                listed(missing.map(String::as_str)),
                listed(names.iter().map(String::as_str))
            )
        })
    }
}

/// The queries of the rules, checked against the server, or everything that is wrong with them.
pub(super) async fn resolve(
    client: &Client,
    session: &mut Session,
    rules: &Json,
) -> Result<Result<Vec<Query>, Vec<RuleViolation>>, SourceError> {
    let rules = match rules::parse(rules) {
        Ok(rules) => rules,
        Err(violations) => return Ok(Err(violations)),
    };
    let (mut queries, mut wrong) = (Vec::new(), Vec::new());
    for rule in rules {
        let place = rule.place.clone();
        match query(client, session, rule).await {
            Ok(Ok(query)) => queries.push(query),
            Ok(Err(problem)) => wrong.push(RuleViolation { message: format!("{place}: {problem}") }),
            Err(error) => return Err(client.error("check the advanced sync rules", &error)),
        }
    }
    Ok(if wrong.is_empty() { Ok(queries) } else { Err(wrong) })
}

/// The violations as an error of a sync.
pub(super) fn refused(violations: &[RuleViolation]) -> SourceError {
    let messages: Vec<&str> = violations.iter().map(|violation| violation.message.as_str()).collect();
    SourceError::new(ErrorKind::Config, "use the advanced sync rules", messages.join("; "))
        .with_hint("Correct the advanced sync rules.")
}

/// The query, or what is wrong with it.
async fn query(
    client: &Client,
    session: &mut Session,
    rule: CustomQuery,
) -> Result<Result<Query, String>, Error> {
    let configured = &client.place.database;
    let database = rule.database.clone().unwrap_or_else(|| configured.clone());
    if let Err(error) = session.enter(&database).await {
        return said(error, &format!("the database {database} cannot be used"));
    }
    let (mut missing, mut keys) = (BTreeSet::new(), BTreeSet::new());
    for name in &rule.tables {
        match catalog::table(session, &database, name).await? {
            Some(table) => keys.extend(table.key_names()),
            None => _ = missing.insert(name.as_str()),
        }
    }
    if !missing.is_empty() {
        return Ok(Err(format!(
            "the tables {} do not exist in {database} or may not be read",
            listed(missing)
        )));
    }
    let id_columns =
        if rule.id_columns.is_empty() { keys.into_iter().collect() } else { rule.id_columns.clone() };
    if id_columns.is_empty() {
        return Ok(Err("the tables have no key: name the columns of the id in `id_columns`".to_owned()));
    }
    if let Err(problem) = check_reads(&rule.query) {
        return Ok(Err(problem));
    }
    let statement = match session.conn.prep(rule.query.as_str()).await {
        Ok(statement) => statement,
        Err(error) => return said(error, "the server refuses the query"),
    };
    let names: Vec<String> =
        statement.columns().iter().map(|column| column.name_str().into_owned()).collect();
    let parameters = statement.num_params();
    session.conn.close(statement).await?;
    if parameters > 0 {
        return Ok(Err("the query has placeholders (? or :name), for which there are no values".to_owned()));
    }
    let prefix = joined_tables(&rule.tables);
    // Tables of two databases may have one name.
    let prefix = if &database == configured { prefix } else { format!("{database}_{prefix}") };
    let query = Query { rule, database, id_columns, prefix };
    Ok(query.positions(&names).map(|_| query))
}

/// The server's own words, as what is wrong; a lost connection is an error.
fn said<T>(error: Error, context: &str) -> Result<Result<T, String>, Error> {
    match error {
        Error::Server(error) if !error::is_lost(&Error::Server(error.clone())) => {
            Ok(Err(format!("{context}: {} (error {})", error.message, error.code)))
        }
        other => Err(other),
    }
}

/// Refuses what is no reading statement by its first word. What writes all the same, the read-only session refuses; files and
/// variables it does not.
fn check_reads(query: &str) -> Result<(), String> {
    let words = words(query)?;
    let first = words.first().map(String::as_str);
    if !matches!(first, Some("SELECT" | "WITH" | "TABLE" | "VALUES")) {
        return Err("the query must be a SELECT".to_owned());
    }
    if words.iter().any(|word| word == "INTO") {
        return Err("the query must not write (INTO)".to_owned());
    }
    Ok(())
}

/// The words of a statement in upper case, without what stands in quotes and comments. What is between `/*!` and `*/` is part of
/// the statement for servers of some versions only, so that nobody knows what it says.
fn words(query: &str) -> Result<Vec<String>, String> {
    let mut words = vec![String::new()];
    let mut characters = query.chars().peekable();
    while let Some(character) = characters.next() {
        match character {
            '\'' | '"' | '`' => {
                while let Some(next) = characters.next() {
                    if next == '\\' && character != '`' {
                        characters.next();
                    } else if next == character {
                        break;
                    }
                }
                words.push(String::new());
            }
            '#' => while characters.next().is_some_and(|next| next != '\n') {},
            // Without a space it is two signs: 1--1.
            '-' if is_comment(&mut characters) => while characters.next().is_some_and(|next| next != '\n') {},
            '/' if characters.peek() == Some(&'*') => {
                characters.next();
                let mariadb = characters.next_if_eq(&'M').is_some();
                if characters.peek() == Some(&'!') {
                    return Err(
                        "the query must not hold comments that some servers execute (/*! … */)".to_owned()
                    );
                }
                let mut last = if mariadb { 'M' } else { ' ' };
                for next in characters.by_ref() {
                    if last == '*' && next == '/' {
                        break;
                    }
                    last = next;
                }
                words.push(String::new());
            }
            _ if character.is_alphanumeric() || character == '_' => {
                if let Some(word) = words.last_mut() {
                    word.extend(character.to_uppercase());
                }
            }
            _ => words.push(String::new()),
        }
    }
    words.retain(|word| !word.is_empty());
    Ok(words)
}

/// Whether a comment begins with the `-` that was read.
fn is_comment(characters: &mut Peekable<Chars<'_>>) -> bool {
    let mut ahead = characters.clone();
    ahead.next() == Some('-')
        && ahead.next().is_none_or(|next| next.is_ascii_whitespace() || next.is_ascii_control())
}

#[cfg(test)]
mod tests {
    use mysql_async::consts::ColumnType;
    use serde_json::json;

    use super::*;

    #[test]
    fn only_reading_statements_are_run() {
        for good in [
            "SELECT 1",
            "  (select `into` from t where a = 'x INTO y\\' INTO')",
            "/* INTO */ WITH x AS (SELECT 1) SELECT * FROM x -- INTO\n # INTO",
            "SELECT \"INTO\"",
            "SELECT /*+ NO_INDEX_MERGE(t) */ 1--1, '/*! INTO */' FROM t --",
        ] {
            assert_eq!(check_reads(good), Ok(()), "{good}");
        }
        for bad in ["DELETE FROM t", "", "'SELECT'", "UPDATE t SET a = 1", "CALL p()", "SHOW TABLES"] {
            assert!(check_reads(bad).unwrap_err().contains("must be a SELECT"), "{bad}");
        }
        for bad in [
            "SELECT 1 INTO OUTFILE '/tmp/x'",
            "select a\ninto @x from t",
            "SELECT 1--1 INTO DUMPFILE '/tmp/x'",
            "SELECT 1--\u{a0}1 INTO OUTFILE '/tmp/x'",
            "SELECT 1 /*/ INTO */ INTO OUTFILE '/tmp/x'",
        ] {
            assert!(check_reads(bad).unwrap_err().contains("INTO"), "{bad}");
        }
    }

    #[test]
    fn comments_that_are_executed_are_refused() {
        for bad in [
            "SELECT 1 /*! INTO OUTFILE '/tmp/x' */",
            "SELECT 1 /*M!100100 INTO DUMPFILE '/tmp/x' */",
            "SELECT 1 /*!99999 ' */ INTO OUTFILE '/tmp/x' -- '",
            "/*!50000 SELECT */ 1",
        ] {
            assert!(check_reads(bad).unwrap_err().contains("comments that some servers execute"), "{bad}");
        }
    }

    #[test]
    fn the_id_is_made_of_columns_of_the_result() {
        let query = Query {
            rule: CustomQuery {
                database: None,
                tables: vec!["b".to_owned(), "a".to_owned()],
                query: "SELECT 1".to_owned(),
                id_columns: vec![],
                place: "[0]".to_owned(),
            },
            database: "shop".to_owned(),
            id_columns: vec!["Id".to_owned(), "n".to_owned()],
            prefix: "a_b".to_owned(),
        };
        let column = |name: &str| Column::new(ColumnType::MYSQL_TYPE_LONG).with_name(name.as_bytes());
        let shape = query.shape(&[column("n"), column("id")]).unwrap();
        let mut document = shape.document(
            vec![mysql_async::Value::Int(1), mysql_async::Value::Int(2)],
            &mut connectors_sdk::FieldsPage::default(),
        );
        document.expand().unwrap();
        assert_eq!(document.id, "a_b_2_1");
        assert_eq!(Json::Object(document.fields), json!({"n": 1, "id": 2, "Table": ["b", "a"]}));
        let error = query.shape(&[column("n"), column("x")]).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Config);
        assert!(error.to_string().contains("[0]: the result has no column Id"), "{error}");
    }
}
