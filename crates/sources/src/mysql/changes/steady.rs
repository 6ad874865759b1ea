//! Whether what is read can change only by writes that are in the binary log.

use std::collections::{BTreeMap, BTreeSet};

use mysql_async::Error;
use mysql_async::prelude::Queryable;

use super::super::catalog::Table;
use super::super::client::{Session, quote};

/// Engines that keep their rows on this server. Others (FEDERATED, CONNECT, SPIDER, NDB) change without it.
const LOCAL_ENGINES: [&str; 7] = ["innodb", "myisam", "aria", "rocksdb", "tokudb", "archive", "csv"];

/// What in a view's definition gives other rows though no table was written. Definitions are kept in one form: names in
/// backticks, functions in lower case.
const VOLATILE: [&str; 25] = [
    "now(",
    "sysdate(",
    "curdate(",
    "curtime(",
    "current_",
    "localtime",
    "utc_",
    "unix_timestamp(",
    "rand(",
    "uuid",
    "random_bytes(",
    "connection_id(",
    "user(",
    "database(",
    "schema(",
    "version(",
    "last_insert_id(",
    "found_rows(",
    "get_lock(",
    "is_free_lock(",
    "load_file(",
    "information_schema",
    "performance_schema",
    "@",
    "`(",
];

/// Whether an unchanged binary log means that these tables and views did not change.
pub(in super::super) async fn are_steady(session: &mut Session, tables: &[Table]) -> Result<bool, Error> {
    let local =
        |table: &Table| table.view || LOCAL_ENGINES.contains(&table.engine.to_ascii_lowercase().as_str());
    if !tables.iter().all(local) {
        return Ok(false);
    }
    let views: Vec<(String, String)> = tables
        .iter()
        .filter(|table| table.view)
        .map(|table| (table.database.clone(), table.name.clone()))
        .collect();
    if views.is_empty() {
        return Ok(true);
    }
    let rows: Vec<(String, String, Option<String>)> = session
        .conn
        .query("SELECT TABLE_SCHEMA, TABLE_NAME, VIEW_DEFINITION FROM information_schema.VIEWS WHERE TABLE_SCHEMA <> 'sys'")
        .await?;
    let definitions =
        rows.into_iter().map(|(schema, name, text)| ((schema, name), text.unwrap_or_default())).collect();
    Ok(views_are_steady(views, &definitions))
}

/// A view is steady if its definition may be read, has nothing volatile, and the views in it are steady.
fn views_are_steady(
    mut views: Vec<(String, String)>,
    definitions: &BTreeMap<(String, String), String>,
) -> bool {
    let mut seen = BTreeSet::new();
    while let Some(view) = views.pop() {
        let Some(definition) = definitions.get(&view).filter(|text| !text.is_empty()) else { return false };
        let lower = definition.to_lowercase();
        if VOLATILE.iter().any(|word| lower.contains(word)) {
            return false;
        }
        if seen.insert(view) {
            let inner = definitions
                .keys()
                .filter(|(schema, name)| definition.contains(&format!("{}.{}", quote(schema), quote(name))));
            views.extend(inner.cloned());
        }
    }
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn views_that_depend_on_more_than_tables_are_not_steady() {
        let view = |name: &str| ("d".to_owned(), name.to_owned());
        let definitions = BTreeMap::from([
            (view("plain"), "select `d`.`t`.`a` AS `a` from `d`.`t`".to_owned()),
            (view("outer"), "select * from (`d`.`plain` join `d`.`outer`)".to_owned()),
            (view("timed"), "select * from `d`.`t` where `d`.`t`.`at` > now()".to_owned()),
            (view("function"), "select `d`.`f`(1) AS `x`".to_owned()),
            (view("nested"), "select * from `d`.`timed`".to_owned()),
            (view("hidden"), String::new()),
        ]);
        for (name, expected) in [
            ("plain", true),
            ("outer", true),
            ("timed", false),
            ("function", false),
            ("nested", false),
            ("hidden", false),
            ("missing", false),
        ] {
            assert_eq!(views_are_steady(vec![view(name)], &definitions), expected, "{name}");
        }
    }
}
