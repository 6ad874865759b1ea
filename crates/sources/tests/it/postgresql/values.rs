//! Every type of column, from the server to the document.

use serde_json::{Value, json};

use super::Database;

#[tokio::test]
#[ignore = "needs tests/backends/postgresql"]
async fn every_type_arrives() {
    let database = Database::new("types").await;
    let columns: Vec<(&str, &str, Value)> = vec![
        ("boolean", "true", json!(true)),
        ("smallint", "-32768", json!(-32768)),
        ("int", "2147483647", json!(2_147_483_647)),
        ("bigint", "9223372036854775807", json!(i64::MAX)),
        ("oid", "4294967295", json!(4_294_967_295_u32)),
        ("real", "0.1", json!(0.1)),
        ("float8", "1e300", json!(1e300)),
        ("float8", "'NaN'", Value::Null),
        ("numeric", "12.50", json!(12.5)),
        (
            "numeric",
            "123456789012345678901234567890.123456789",
            json!("123456789012345678901234567890.123456789"),
        ),
        ("numeric", "'NaN'", Value::Null),
        ("numeric(5,2)", "-0.05", json!(-0.05)),
        ("money", "12.5", json!("$12.50")),
        ("text", "'naïve 🚲'", json!("naïve 🚲")),
        ("varchar(20)", "'v'", json!("v")),
        ("char(3)", "'a'", json!("a  ")),
        ("\"char\"", "'x'", json!("x")),
        ("name", "'n'", json!("n")),
        ("citext", "'CaSe'", json!("CaSe")),
        ("bytea", "'\\x00ff'", json!("AP8=")),
        ("json", "'{\"b\": 1, \"a\": [1e400]}'", json!({"b": 1, "a": ["1e400"]})),
        (
            "jsonb",
            "'{\"n\": 123456789012345678901234567890}'",
            json!({"n": "123456789012345678901234567890"}),
        ),
        ("xml", "'<a>1</a>'", json!("<a>1</a>")),
        ("uuid", "'A0EEBC99-9C0B-4EF8-BB6D-6BB9BD380A11'", json!("a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11")),
        ("date", "'2024-02-29'", json!("2024-02-29")),
        ("date", "'infinity'", json!("infinity")),
        ("date", "'0044-03-15 BC'", json!("0044-03-15 BC")),
        ("time", "'13:14:15.5'", json!("13:14:15.500000")),
        ("timetz", "'13:14:15+02'", json!("13:14:15+02:00")),
        ("timestamp", "'2024-02-29 13:14:15.123456'", json!("2024-02-29T13:14:15.123456")),
        ("timestamptz", "'2024-02-29 13:14:15+02'", json!("2024-02-29T11:14:15Z")),
        ("timestamptz", "'-infinity'", json!("-infinity")),
        ("timestamptz", "'0044-03-15 12:00Z BC'", json!("0044-03-15 12:00:00+00 BC")),
        ("interval", "'1 year 2 mons 3 days 04:05:06.7'", json!("P1Y2M3DT4H5M6.7S")),
        ("inet", "'192.168.0.1'", json!("192.168.0.1")),
        ("cidr", "'2001:db8::/64'", json!("2001:db8::/64")),
        ("macaddr", "'08:00:2b:01:02:03'", json!("08:00:2b:01:02:03")),
        ("macaddr8", "'08:00:2b:01:02:03:04:05'", json!("08:00:2b:01:02:03:04:05")),
        ("point", "'(1,2.5)'", json!("(1.0, 2.5)")),
        ("lseg", "'[(1,2),(3,4)]'", json!("[(1.0, 2.0), (3.0, 4.0)]")),
        ("box", "'(1,2),(3,4)'", json!("[(3.0, 4.0), (1.0, 2.0)]")),
        ("path", "'[(1,2),(3,4)]'", json!("open [(1.0, 2.0), (3.0, 4.0)]")),
        ("polygon", "'((1,2),(3,4))'", json!("[(1.0, 2.0), (3.0, 4.0)]")),
        ("line", "'{1,2,3}'", json!("{1,2,3}")),
        ("circle", "'<(1,2),3>'", json!("<(1,2),3>")),
        ("bit(5)", "B'10110'", json!("10110")),
        ("varbit", "B'101'", json!("101")),
        ("int[]", "'{1,NULL,3}'", json!([1, null, 3])),
        ("int[]", "'{{1,2},{3,4}}'", json!([[1, 2], [3, 4]])),
        ("int[]", "'[0:1]={5,6}'", json!([5, 6])),
        ("text[]", "'{}'", json!([])),
        ("numeric[]", "'{1.5,12345678901234567890}'", json!([1.5, "12345678901234567890"])),
        ("timestamptz[]", "'{2024-02-29 00:00Z}'", json!(["2024-02-29T00:00:00Z"])),
        ("jsonb[]", "ARRAY['{\"a\":1}'::jsonb]", json!([{"a": 1}])),
        ("money[]", "'{1.5,NULL}'", json!(["$1.50", null])),
        ("mood", "'ok'", json!("ok")),
        ("mood[]", "'{ok,sad}'", json!(["ok", "sad"])),
        ("positive", "7", json!(7)),
        ("positive[]", "'{7}'", json!([7])),
        ("pair", "ROW(1, 'x', '{1,2}')", json!({"a": 1, "b": "x", "c": [1, 2]})),
        ("pair[]", "ARRAY[ROW(1, 'x', NULL)::pair]", json!([{"a": 1, "b": "x", "c": null}])),
        ("int4range", "'[1,5)'", json!("[1,5)")),
        ("int4range[]", "ARRAY['[1,5)'::int4range]", json!(["[1,5)"])),
        ("tstzrange", "'[2024-01-01 00:00Z,)'", json!("[\"2024-01-01 00:00:00+00\",)")),
        ("int4multirange", "'{[1,3),[5,7)}'", json!("{[1,3),[5,7)}")),
        ("hstore", "'a=>1'", json!("\"a\"=>\"1\"")),
        ("tsvector", "'a:1 b:2'", json!("'a':1 'b':2")),
        ("pg_lsn", "'0/16B3748'", json!("0/16B3748")),
        ("regclass", "'pg_class'", json!("pg_class")),
        ("text", "NULL", Value::Null),
        ("int[]", "NULL", Value::Null),
    ];
    database
        .run(
            "CREATE EXTENSION citext; CREATE EXTENSION hstore; CREATE TYPE mood AS ENUM ('sad', 'ok');
             CREATE DOMAIN positive AS int CHECK (VALUE > 0); CREATE TYPE pair AS (a int, b text, c int[])",
        )
        .await;
    let definitions: Vec<String> =
        columns.iter().enumerate().map(|(index, (of, ..))| format!("c{index} {of}")).collect();
    let values: Vec<&str> = columns.iter().map(|(_, value, _)| *value).collect();
    database
        .run(&format!(
            "CREATE TABLE t (id int PRIMARY KEY, {}); INSERT INTO t VALUES (1, {})",
            definitions.join(", "),
            values.join(", ")
        ))
        .await;
    // The account's own settings must not show.
    database.run("ALTER DATABASE it_types SET DateStyle = 'German'; ALTER DATABASE it_types SET extra_float_digits = -15").await;
    let synced = database.all(&[]).await;
    let fields = &synced.documents["it_types_public_t_1"];
    for (index, (of, value, expected)) in columns.iter().enumerate() {
        assert_eq!(&fields[&format!("public_t_c{index}")], expected, "{of} {value}");
    }
    assert_eq!(fields.len(), columns.len() + 4);
    // The same by a custom query.
    let rules = json!([{"tables": ["t"], "query": "SELECT *, 1 AS extra FROM t -- all"}]);
    let queried = super::full(database.source(&[]).as_ref(), Some(&rules)).await;
    queried.result.as_ref().unwrap();
    let mut queried = queried.documents["it_types_public_t_1"].clone();
    assert_eq!(queried.remove("public_t_extra"), Some(json!(1)));
    assert_eq!(queried.insert("table".to_owned(), json!("t")), Some(json!(["t"])));
    assert_eq!(Value::Object(queried), Value::Object(fields.clone()));
    database.drop().await;
}

#[tokio::test]
#[ignore = "needs tests/backends/postgresql"]
async fn huge_values_and_wide_rows_pass() {
    let database = Database::new("huge").await;
    let wide: Vec<String> = (0..1500).map(|index| format!("c{index} int DEFAULT {index}")).collect();
    database
        .run(&format!(
            "CREATE TABLE huge (id int PRIMARY KEY, v text); INSERT INTO huge SELECT n, repeat('ü', 10000000) FROM generate_series(1, 5) n;
             CREATE TABLE wide (id int PRIMARY KEY, {}); INSERT INTO wide (id) SELECT n FROM generate_series(1, 100) n",
            wide.join(", ")
        ))
        .await;
    let synced = database.all(&[]).await;
    assert_eq!(synced.documents.len(), 105);
    let huge = synced.documents["it_huge_public_huge_3"]["public_huge_v"].as_str().unwrap();
    assert_eq!(huge.len(), 20_000_000);
    assert_eq!(synced.documents["it_huge_public_wide_7"].len(), 1504);
    database.drop().await;
}

#[tokio::test]
#[ignore = "needs tests/backends/postgresql"]
async fn an_index_learns_the_types_of_columns() {
    let database = Database::new("mapping").await;
    database
        .run(
            "CREATE TYPE mood AS ENUM ('ok'); CREATE DOMAIN price AS numeric(10,2);
             CREATE TABLE t (id int PRIMARY KEY, code varchar(9), paid price, at timestamptz, mood mood, tags text[], more jsonb, ok bool);
             CREATE VIEW v AS SELECT id, at::date AS day FROM t",
        )
        .await;
    let source = database.source(&[]);
    assert!(source.mapping(None).is_empty());
    source.validate().await.unwrap();
    let kinds = |rules: Option<&Value>| -> Vec<(String, String)> {
        let kind = |value: &Value| value["type"].as_str().unwrap().to_owned();
        let mut kinds: Vec<_> =
            source.mapping(rules).iter().map(|(name, value)| (name.clone(), kind(value))).collect();
        kinds.sort();
        kinds
    };
    let expected = [
        ("database", "text"),
        ("public_t_at", "date"),
        ("public_t_code", "text"),
        ("public_t_id", "long"),
        ("public_t_mood", "text"),
        ("public_t_ok", "boolean"),
        ("public_t_paid", "double"),
        ("public_t_tags", "text"),
        ("public_v_day", "date"),
        ("public_v_id", "long"),
        ("schema", "text"),
        ("table", "text"),
    ];
    assert_eq!(kinds(None), expected.map(|(name, kind)| (name.to_owned(), kind.to_owned())));
    assert_eq!(kinds(Some(&json!([]))), kinds(None));
    assert_eq!(kinds(Some(&json!([{"tables": ["t"], "query": "SELECT code AS at FROM t"}]))), []);
    database.drop().await;
}
