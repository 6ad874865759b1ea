//! Advanced sync rules, in both forms.

use connectors_sdk::ErrorKind;
use serde_json::json;

use super::support::{Db, with_rules};

async fn shop() -> Db {
    let db = Db::new("rules").await;
    db.run("CREATE TABLE customer (id INT PRIMARY KEY, name TEXT)").await;
    db.run("CREATE TABLE purchase (nr INT PRIMARY KEY, customer INT, price DECIMAL(9,2))").await;
    db.run("CREATE TABLE keyless (a INT)").await;
    db.run("INSERT INTO customer VALUES (1, 'Ann'), (2, 'Bob')").await;
    db.run("INSERT INTO purchase VALUES (10, 1, 1.5), (11, 1, 2.5), (12, 2, 3)").await;
    db
}

#[tokio::test]
#[ignore = "needs tests/backends/mariadb"]
async fn the_list_form() {
    let db = shop().await;
    let source = db.source(&[]);
    let rules = json!([
        {"tables": ["purchase", "customer"], "query": "SELECT * FROM customer JOIN purchase ON customer = id WHERE price < 3;"},
        {"tables": ["customer"], "query": "WITH x AS (SELECT name, COUNT(*) AS n FROM customer GROUP BY name) SELECT * FROM x", "id_columns": ["NAME"]},
    ]);
    assert_eq!(source.validate_advanced_rules(&rules).await.unwrap(), []);
    let (sent, result) = with_rules(&*source, &rules).await;
    result.unwrap();
    assert_eq!(
        sent.ids(),
        ["customer_Ann", "customer_Bob", "customer_purchase_1_10", "customer_purchase_1_11"]
    );
    assert_eq!(
        json!(sent.documents["customer_purchase_1_10"]),
        json!({"id": 1, "name": "Ann", "nr": 10, "customer": 1, "price": 1.5, "Table": ["purchase", "customer"]})
    );
    // Whether a query's rows changed cannot be told by the log's position.
    assert!(source.changed(sent.cursor()).await.unwrap().perhaps());
}

#[tokio::test]
#[ignore = "needs tests/backends/mariadb"]
async fn the_guides_form() {
    let (db, other) = (shop().await, Db::new("rules_other").await);
    other.run("CREATE TABLE customer (id INT PRIMARY KEY)").await;
    other.run("INSERT INTO customer VALUES (5)").await;
    let source = db.source(&[]);
    let rules = json!({
        &db.name: {"customer": "SELECT id FROM customer WHERE id = 1;"},
        &other.name: {"customer": "SELECT * FROM customer"},
    });
    assert_eq!(source.validate_advanced_rules(&rules).await.unwrap(), []);
    let (sent, result) = with_rules(&*source, &rules).await;
    result.unwrap();
    assert_eq!(sent.ids(), ["customer_1".to_owned(), format!("{}_customer_5", other.name)]);
    assert_eq!(json!(sent.documents["customer_1"]), json!({"id": 1, "Table": ["customer"]}));
}

#[tokio::test]
#[ignore = "needs tests/backends/mariadb"]
async fn what_is_wrong_is_said_before_and_while_they_are_used() {
    let db = shop().await;
    let source = db.source(&[]);
    for (rules, expected) in [
        (json!(5), "must be a list"),
        (json!([{"tables": ["customer"]}]), "[0].query must be the text of a query"),
        (
            json!([{"tables": ["zebra", "aardvark", "customer"], "query": "SELECT 1"}]),
            "aardvark, zebra do not exist",
        ),
        (
            json!({"no_such_database": {"customer": "SELECT 1"}}),
            "the database no_such_database cannot be used",
        ),
        (json!([{"tables": ["customer"], "query": "DELETE FROM customer"}]), "must be a SELECT"),
        (
            json!([{"tables": ["customer"], "query": "SELECT id FROM customer INTO OUTFILE '/tmp/x'"}]),
            "must not write",
        ),
        (
            json!([{"tables": ["customer"], "query": "SELECT id FROM customer /*! INTO OUTFILE '/tmp/x' */"}]),
            "comments",
        ),
        (
            json!([{"tables": ["customer"], "query": "SELECT id--1 FROM customer INTO OUTFILE '/tmp/x'"}]),
            "must not write",
        ),
        (json!([{"tables": ["customer"], "query": "SELECT FROM customer"}]), "error 1064"),
        (json!([{"tables": ["customer"], "query": "SELECT nothing FROM customer"}]), "nothing"),
        (json!([{"tables": ["customer"], "query": "SELECT id FROM customer WHERE id = ?"}]), "placeholders"),
        (json!([{"tables": ["customer"], "query": "SELECT name FROM customer"}]), "no column id"),
        (
            json!([{"tables": ["customer"], "query": "SELECT * FROM customer", "id_columns": ["x"]}]),
            "no column x",
        ),
        (json!([{"tables": ["keyless"], "query": "SELECT * FROM keyless"}]), "no key"),
    ] {
        let wrong = source.validate_advanced_rules(&rules).await.unwrap();
        assert_eq!(wrong.len(), 1, "{rules}: {wrong:?}");
        assert!(wrong[0].message.contains(expected), "{rules}: {wrong:?}");
        let (sent, result) = with_rules(&*source, &rules).await;
        let error = result.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Config, "{error}");
        assert!(error.to_string().contains(expected) && sent.documents.is_empty(), "{error}");
    }
}

#[tokio::test]
#[ignore = "needs tests/backends/mariadb"]
async fn long_texts_are_sorted_to_their_end() {
    let db = Db::new("sorted").await;
    db.run("CREATE TABLE long_text (id INT PRIMARY KEY, v TEXT)").await;
    db.run("INSERT INTO long_text SELECT seq, CONCAT(REPEAT('x', 3000), CHAR(91 - seq)) FROM seq_1_to_26")
        .await;
    let rules = json!([{"tables": ["long_text"], "query": "SELECT id FROM long_text ORDER BY v LIMIT 1"}]);
    let (sent, result) = with_rules(&*db.source(&[]), &rules).await;
    result.unwrap();
    assert_eq!(sent.ids(), ["long_text_26"]);
}

#[tokio::test]
#[ignore = "needs tests/backends/mariadb"]
async fn a_query_cannot_write_by_a_function() {
    let db = shop().await;
    db.run("CREATE FUNCTION spoil() RETURNS INT DETERMINISTIC MODIFIES SQL DATA BEGIN DELETE FROM customer; RETURN 1; END")
        .await;
    let rules = json!([{"tables": ["customer"], "query": "SELECT id, spoil() FROM customer"}]);
    let (_, result) = with_rules(&*db.source(&[]), &rules).await;
    assert!(result.unwrap_err().to_string().contains("READ ONLY"));
    let (sent, result) = with_rules(&*db.source(&[]), &json!([])).await;
    result.unwrap();
    assert_eq!(sent.documents.len(), 5);
}
