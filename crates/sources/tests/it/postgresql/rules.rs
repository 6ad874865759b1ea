//! Advanced sync rules.

use serde_json::{Value, json};

use super::{Database, full};

async fn shop(test: &str) -> Database {
    let database = Database::new(test).await;
    database
        .run(
            "CREATE TABLE customers (id int PRIMARY KEY, name text); INSERT INTO customers VALUES (1, 'Ann'), (2, 'Bob');
             CREATE TABLE orders (nr int PRIMARY KEY, id int, total money); INSERT INTO orders VALUES (10, 1, 5), (11, 1, 7), (12, 2, 1);
             CREATE TABLE loose (v int)",
        )
        .await;
    database
}

#[tokio::test]
#[ignore = "needs tests/backends/postgresql"]
async fn both_forms_of_rules_run() {
    let database = shop("rules").await;
    let source = database.source(&[]);
    let rules = json!({"it_rules": {"orders": "SELECT * FROM orders WHERE nr > 10;", "customers": "SELECT name, id FROM public.customers WHERE id = 1"}});
    assert_eq!(source.validate_advanced_rules(&rules).await.unwrap(), []);
    let synced = full(source.as_ref(), Some(&rules)).await;
    synced.result.as_ref().unwrap();
    assert_eq!(
        synced.ids(),
        ["it_rules_public_customers_1", "it_rules_public_orders_11", "it_rules_public_orders_12"]
    );
    let order = &synced.documents["it_rules_public_orders_11"];
    assert_eq!((&order["table"], &order["public_orders_total"]), (&json!("orders"), &json!("$7.00")));

    let rules = json!([{
        "tables": ["orders", "customers"],
        "query": "WITH o AS (SELECT * FROM orders) SELECT c.*, o.nr, o.id FROM customers c JOIN o ON o.id = c.id ORDER BY o.nr",
    }]);
    assert_eq!(source.validate_advanced_rules(&rules).await.unwrap(), []);
    let synced = full(source.as_ref(), Some(&rules)).await;
    synced.result.as_ref().unwrap();
    // Keys in the order of their names: id, nr.
    assert_eq!(synced.ids()[0], "it_rules_public_customers_orders_1_10");
    assert_eq!(synced.documents.len(), 3);
    let joined = &synced.documents["it_rules_public_customers_orders_2_12"];
    assert_eq!(joined["table"], json!(["orders", "customers"]));
    assert_eq!(joined["public_customers_orders_name"], "Bob");

    let rules =
        json!([{"tables": ["loose"], "query": "VALUES (1, 'a'), (2, 'b')", "id_columns": ["column1"]}]);
    let synced = full(source.as_ref(), Some(&rules)).await;
    assert_eq!(synced.ids(), ["it_rules_public_loose_1", "it_rules_public_loose_2"]);
    // No query is no rule.
    for none in [json!([]), json!({})] {
        assert_eq!(full(source.as_ref(), Some(&none)).await.documents.len(), 5);
    }
    database.drop().await;
}

#[tokio::test]
#[ignore = "needs tests/backends/postgresql"]
async fn what_is_wrong_with_rules_is_said() {
    let database = shop("misrules").await;
    let source = database.source(&[]);
    let one = |query: &str| json!([{"tables": ["orders"], "query": query}]);
    for (rules, words) in [
        (json!("x"), "must be a list"),
        (json!({"other": {"orders": "SELECT 1"}}), "the connector's database is it_misrules"),
        (json!({"it_misrules": {"absent": "SELECT 1"}}), "absent"),
        (json!([{"tables": ["a", "b"], "query": "SELECT 1"}]), "a, b"),
        (one("SELEC nr FROM orders"), "syntax error at or near \"SELEC\" (at character 1)"),
        (one("SELECT nope FROM orders"), "column \"nope\" does not exist"),
        (one("SELECT id FROM orders"), "these are not: nr"),
        (
            json!([{"tables": ["orders"], "query": "SELECT nr FROM orders", "id_columns": ["total"]}]),
            "these are not: total",
        ),
        (json!([{"tables": ["loose"], "query": "SELECT * FROM loose"}]), "no primary key"),
        (one("DELETE FROM orders"), "no result"),
        (one("DELETE FROM orders RETURNING *"), "only queries"),
        (one("SELECT nr FROM orders WHERE nr = $1"), "placeholder"),
        (one("SHOW server_version"), "these are not: nr"),
        (one("SELECT 1; SELECT 2"), "multiple commands"),
    ] {
        let violations = source.validate_advanced_rules(&rules).await.unwrap();
        let text =
            violations.iter().map(|violation| violation.message.as_str()).collect::<Vec<_>>().join("; ");
        assert!(text.contains(words), "{rules}: {text}");
        let synced = full(source.as_ref(), Some(&rules)).await;
        assert!(synced.error().contains(words) && synced.documents.is_empty(), "{}", synced.error());
    }
    // What can only be seen when it runs.
    let synced = full(source.as_ref(), Some(&one("SELECT nr, 1 / (nr - 12) AS x FROM orders"))).await;
    assert!(synced.error().contains("division by zero") && synced.error().contains("Nothing was deleted"));
    let writing = "CREATE FUNCTION spoil() RETURNS int LANGUAGE sql AS 'DELETE FROM public.orders; SELECT 1'";
    database.run(writing).await;
    let synced = full(source.as_ref(), Some(&one("SELECT nr, spoil() AS x FROM orders"))).await;
    assert!(synced.error().contains("read-only transaction"), "{}", synced.error());
    let left: Value =
        database.client.query_one("SELECT count(*) FROM orders", &[]).await.unwrap().get::<_, i64>(0).into();
    assert_eq!(left, 3);
    database.drop().await;
}
