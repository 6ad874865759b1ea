//! Advanced sync rules of relational databases: custom queries, in two forms.
//!
//! The form of the developer's guide: databases, in them tables, with a query each:
//! `{"database": {"table": "SELECT …"}}`. The form of Elastic's connectors: a list of
//! `{"tables": [..], "query": "SELECT …", "id_columns": [..]}`.

use connectors_sdk::RuleViolation;
use serde_json::{Map, Value};

/// One query of the rules.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct CustomQuery {
    /// The database the guide's form names; none: the connector's.
    pub database: Option<String>,
    /// The tables its documents belong to; at least one.
    pub tables: Vec<String>,
    /// The statement, without a semicolon at its end.
    pub query: String,
    /// The columns that make the id; empty: the tables' primary keys.
    pub id_columns: Vec<String>,
    /// Where it stands in the snippet (`[1]`, `shop.orders`), for errors.
    pub place: String,
}

/// Understands the rules, or says everything that is wrong with them.
pub(crate) fn parse(rules: &Value) -> Result<Vec<CustomQuery>, Vec<RuleViolation>> {
    let mut wrong = Violations::default();
    let queries = match rules {
        Value::Array(entries) => {
            let parsed =
                entries.iter().enumerate().filter_map(|(index, entry)| listed(index, entry, &mut wrong));
            parsed.collect()
        }
        Value::Object(databases) => by_database(databases, &mut wrong),
        _ => {
            wrong.add(
                "",
                "must be a list of queries, or an object of databases with their tables and queries",
            );
            Vec::new()
        }
    };
    if wrong.0.is_empty() { Ok(queries) } else { Err(wrong.0) }
}

#[derive(Default)]
struct Violations(Vec<RuleViolation>);

impl Violations {
    fn add(&mut self, place: &str, problem: &str) {
        let place = if place.is_empty() { "the advanced sync rules" } else { place };
        self.0.push(RuleViolation { message: format!("{place} {problem}") });
    }
}

fn listed(index: usize, entry: &Value, wrong: &mut Violations) -> Option<CustomQuery> {
    let place = format!("[{index}]");
    let Value::Object(fields) = entry else {
        wrong.add(&place, "must be an object with `tables` and `query`");
        return None;
    };
    for key in fields.keys().filter(|key| !["tables", "query", "id_columns"].contains(&key.as_str())) {
        wrong.add(
            &format!("{place}.{key}"),
            "is not known; a query has `tables`, `query` and, if wanted, `id_columns`",
        );
    }
    let tables = names(fields, "tables", &place, true, wrong);
    let id_columns = names(fields, "id_columns", &place, false, wrong);
    let query = statement(fields.get("query"), &format!("{place}.query"), wrong);
    Some(CustomQuery { database: None, tables: tables?, query: query?, id_columns: id_columns?, place })
}

/// A list of at least one name; an absent one that is not required is empty.
fn names(
    fields: &Map<String, Value>,
    key: &str,
    place: &str,
    required: bool,
    wrong: &mut Violations,
) -> Option<Vec<String>> {
    let Some(value) = fields.get(key) else {
        if required {
            wrong.add(place, &format!("has no `{key}`"));
            return None;
        }
        return Some(Vec::new());
    };
    let names = value.as_array().filter(|items| !items.is_empty()).and_then(|items| {
        let text = |item: &Value| item.as_str().filter(|name| !name.is_empty()).map(str::to_owned);
        items.iter().map(text).collect::<Option<Vec<_>>>()
    });
    if names.is_none() {
        wrong.add(&format!("{place}.{key}"), "must be a list of at least one name");
    }
    names
}

fn statement(value: Option<&Value>, place: &str, wrong: &mut Violations) -> Option<String> {
    let text = value.and_then(Value::as_str).map(|text| text.trim().trim_end_matches(';').trim_end());
    match text {
        Some(text) if !text.is_empty() => Some(text.to_owned()),
        _ => {
            wrong.add(place, "must be the text of a query");
            None
        }
    }
}

fn by_database(databases: &Map<String, Value>, wrong: &mut Violations) -> Vec<CustomQuery> {
    let mut queries = Vec::new();
    for (database, tables) in databases {
        let Value::Object(tables) = tables else {
            wrong.add(database, "must be an object of tables with a query each");
            continue;
        };
        for (table, query) in tables {
            let place = format!("{database}.{table}");
            if let Some(query) = statement(Some(query), &place, wrong) {
                queries.push(CustomQuery {
                    database: Some(database.clone()),
                    tables: vec![table.clone()],
                    query,
                    id_columns: Vec::new(),
                    place,
                });
            }
        }
    }
    queries
}

/// Rules that ask for something. An empty list asks for nothing: all tables are read, as without rules.
pub(crate) fn given(rules: Option<&Value>) -> Option<&Value> {
    rules.filter(|rules| match rules {
        Value::Null => false,
        Value::Array(queries) => !queries.is_empty(),
        Value::Object(databases) => !databases.is_empty(),
        _ => true,
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn messages(rules: &Value) -> Vec<String> {
        parse(rules).unwrap_err().into_iter().map(|violation| violation.message).collect()
    }

    #[test]
    fn the_guides_form() {
        let queries = parse(&json!({
            "shop": {"orders": "SELECT * FROM orders;", "customers": " SELECT 1 ; "},
            "crm": {"people": "SELECT * FROM people"},
        }))
        .unwrap();
        assert_eq!(queries.len(), 3);
        assert_eq!(
            queries[1],
            CustomQuery {
                database: Some("shop".to_owned()),
                tables: vec!["customers".to_owned()],
                query: "SELECT 1".to_owned(),
                id_columns: vec![],
                place: "shop.customers".to_owned(),
            }
        );
        assert_eq!(queries[2].place, "crm.people");
        assert!(parse(&json!({})).unwrap().is_empty());
    }

    #[test]
    fn the_list_form() {
        let queries = parse(&json!([
            {"tables": ["a", "b"], "query": "SELECT * FROM a JOIN b USING (id)", "id_columns": ["id"]},
            {"tables": ["c"], "query": "SELECT * FROM c"},
        ]))
        .unwrap();
        assert_eq!(queries[0].tables, ["a", "b"]);
        assert_eq!(
            (queries[0].database.as_deref(), queries[0].id_columns.as_slice()),
            (None, &["id".to_owned()][..])
        );
        assert!(queries[1].id_columns.is_empty());
    }

    #[test]
    fn everything_wrong_is_said_with_its_place() {
        assert_eq!(
            messages(&json!("SELECT 1")),
            [
                "the advanced sync rules must be a list of queries, or an object of databases with their tables and queries"
            ]
        );
        let wrong = messages(&json!([
            1, {"query": "SELECT 1"}, {"tables": [], "query": " ; "}, {"tables": ["a"], "query": "x", "more": 1},
            {"tables": [1], "query": "x", "id_columns": "id"},
        ]));
        for expected in [
            "[0] must be an object",
            "[1] has no `tables`",
            "[2].tables must be a list",
            "[2].query must be the text of a query",
            "[3].more is not known",
            "[4].tables must be a list",
            "[4].id_columns must be a list",
        ] {
            assert!(wrong.iter().any(|message| message.starts_with(expected)), "{expected}: {wrong:?}");
        }
        assert_eq!(
            messages(&json!({"shop": "SELECT 1", "crm": {"people": 3}})),
            ["shop must be an object of tables with a query each", "crm.people must be the text of a query"]
        );
    }
}
