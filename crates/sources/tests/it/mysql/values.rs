//! Every type of column, from the server to a document.

use serde_json::{Value, json};

use super::support::{Db, all};

async fn row(definition: &str, value: &str) -> Value {
    let db = Db::new("value").await;
    db.run(&format!("CREATE TABLE t (k INT PRIMARY KEY, v {definition})")).await;
    // Dates that are none have to be let in.
    db.run(&format!("SET STATEMENT sql_mode = 'ALLOW_INVALID_DATES', time_zone = '+00:00' FOR INSERT INTO t VALUES (1, {value})")).await;
    let sent = all(&*db.source(&[])).await;
    sent.documents["t_1"]["v"].clone()
}

#[tokio::test]
#[ignore = "needs tests/backends/mariadb"]
async fn every_type_has_its_json() {
    for (definition, value, expected) in [
        ("TINYINT", "-128", json!(-128)),
        ("TINYINT UNSIGNED", "255", json!(255)),
        ("BOOL", "TRUE", json!(1)),
        ("SMALLINT", "-32768", json!(-32768)),
        ("MEDIUMINT UNSIGNED", "16777215", json!(16_777_215)),
        ("INT", "-2147483648", json!(i32::MIN)),
        ("BIGINT", "-9223372036854775808", json!(i64::MIN)),
        ("BIGINT UNSIGNED", "18446744073709551615", json!(u64::MAX)),
        ("INT(5) ZEROFILL", "42", json!(42)),
        ("BIT(1)", "1", json!(1)),
        ("BIT(64)", "18446744073709551615", json!(u64::MAX)),
        ("FLOAT", "1.1", json!(1.1)),
        ("DOUBLE", "0.1", json!(0.1)),
        ("DECIMAL(10,2)", "-12.50", json!(-12.5)),
        ("DECIMAL(30,5)", "1234567890123456789.12345", json!("1234567890123456789.12345")),
        ("CHAR(5)", "'ab '", json!("ab")),
        ("VARCHAR(20)", "'日本 🎉'", json!("日本 🎉")),
        ("VARCHAR(20) CHARACTER SET latin1", "'Käse'", json!("Käse")),
        ("VARCHAR(20) CHARACTER SET utf16", "'Käse'", json!("Käse")),
        ("TEXT", "''", json!("")),
        ("LONGTEXT", "REPEAT('é', 3000000)", json!("é".repeat(3_000_000))),
        ("ENUM('small','big')", "'big'", json!("big")),
        ("SET('a','b','c')", "'a,c'", json!(["a", "c"])),
        ("SET('a','b','c')", "''", json!([])),
        ("BINARY(3)", "'a'", json!("a\u{0}\u{0}")),
        ("VARBINARY(9)", "X'ff00'", json!("/wA=")),
        ("BLOB", "'text'", json!("text")),
        ("LONGBLOB", "REPEAT(X'ff', 3)", json!("////")),
        ("JSON", "'{\"a\": [1, null, \"x\"]}'", json!({"a": [1, null, "x"]})),
        ("DATE", "'2026-02-28'", json!("2026-02-28")),
        ("DATE", "'0000-00-00'", json!(null)),
        ("DATE", "'2026-00-00'", json!(null)),
        ("DATE", "'2026-02-31'", json!(null)),
        ("DATETIME", "'2026-01-02 03:04:05'", json!("2026-01-02T03:04:05")),
        ("DATETIME(6)", "'9999-12-31 23:59:59.999999'", json!("9999-12-31T23:59:59.999999")),
        ("DATETIME", "'0000-00-00 00:00:00'", json!(null)),
        ("TIMESTAMP NULL", "'2026-01-02 03:04:05'", json!("2026-01-02T03:04:05Z")),
        ("TIME", "'-838:59:59'", json!("-838:59:59")),
        ("TIME(3)", "'26:01:02.5'", json!("26:01:02.500000")),
        ("YEAR", "2026", json!(2026)),
        ("INT", "NULL", json!(null)),
        (
            "POINT",
            "ST_GeomFromText('POINT(13.4 52.5)')",
            json!({"type": "Point", "coordinates": [13.4, 52.5]}),
        ),
        (
            "GEOMETRY",
            "ST_GeomFromText('POLYGON((0 0,1 0,1 1,0 0))')",
            json!({"type": "Polygon", "coordinates": [[[0.0, 0.0], [1.0, 0.0], [1.0, 1.0], [0.0, 0.0]]]}),
        ),
        (
            "GEOMETRYCOLLECTION",
            "ST_GeomFromText('GEOMETRYCOLLECTION(MULTIPOINT(1 2,3 4),MULTILINESTRING((1 2,3 4)))')",
            json!({"type": "GeometryCollection", "geometries": [
                {"type": "MultiPoint", "coordinates": [[1.0, 2.0], [3.0, 4.0]]},
                {"type": "MultiLineString", "coordinates": [[[1.0, 2.0], [3.0, 4.0]]]},
            ]}),
        ),
        ("UUID", "'123e4567-e89b-12d3-a456-426655440000'", json!("123e4567-e89b-12d3-a456-426655440000")),
        ("INET6", "'::1'", json!("::1")),
        ("INET4", "'192.0.2.1'", json!("192.0.2.1")),
    ] {
        let got = row(definition, value).await;
        assert!(got == expected, "{definition} {value:.60}: {:.200}", got.to_string());
    }
}

#[tokio::test]
#[ignore = "needs tests/backends/mariadb"]
async fn generated_and_hidden_columns() {
    let db = Db::new("hidden").await;
    db.run("CREATE TABLE t (k INT PRIMARY KEY, v INT AS (k * 2) VIRTUAL, s INT AS (k * 3) STORED, h INT INVISIBLE DEFAULT 5)")
        .await;
    db.run("INSERT INTO t (k) VALUES (1)").await;
    let sent = all(&*db.source(&[])).await;
    assert_eq!(json!(sent.documents["t_1"]), json!({"k": 1, "v": 2, "s": 3, "Table": "t"}));
}

#[tokio::test]
#[ignore = "needs tests/backends/mariadb"]
async fn rows_of_megabytes_among_small_ones() {
    let db = Db::new("wide").await;
    db.run("CREATE TABLE t (k INT PRIMARY KEY, v LONGTEXT)").await;
    db.run("INSERT INTO t SELECT seq, IF(seq % 20 = 0, REPEAT('w', 4000000), 'small') FROM seq_1_to_100")
        .await;
    let sent = all(&*db.source(&[])).await;
    assert_eq!((sent.documents.len(), sent.repeated), (100, 0));
    assert_eq!(sent.documents["t_40"]["v"].as_str().unwrap().len(), 4_000_000);
}

#[tokio::test]
#[ignore = "needs tests/backends/mariadb"]
async fn an_index_learns_the_types_of_columns() {
    let db = Db::new("mapping").await;
    db.run("CREATE TABLE a (id INT PRIMARY KEY, code VARCHAR(9), state INT, at DATETIME, more JSON)").await;
    db.run("CREATE TABLE b (k INT PRIMARY KEY, state VARCHAR(9), price DECIMAL(10,2))").await;
    let source = db.source(&[]);
    assert!(source.mapping(None).is_empty());
    source.validate().await.unwrap();
    let mapping = source.mapping(None);
    let kinds: Vec<(&str, &Value)> =
        mapping.iter().map(|(name, value)| (name.as_str(), &value["type"])).collect();
    let kinds: Vec<_> = kinds.into_iter().map(|(name, kind)| (name, kind.as_str().unwrap())).collect();
    let expected = [
        ("Table", "text"),
        ("at", "date"),
        ("code", "text"),
        ("k", "long"),
        ("price", "double"),
        ("state", "text"),
    ];
    assert_eq!(kinds, expected);
    assert_eq!(source.mapping(Some(&json!({"d": {"a": "SELECT code AS at FROM a"}}))).len(), 0);
}
