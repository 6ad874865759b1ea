//! Full syncs: which tables, which rows, which names.

use std::time::Duration;

use connectors_sdk::{ErrorKind, SinkLimits, SourceContext, channel};
use serde_json::{Value, json};

use super::{Database, full};

#[tokio::test]
#[ignore = "needs tests/backends/postgresql"]
async fn documents_have_the_names_of_elastics_connector() {
    let database = Database::new("names").await;
    database
        .run(
            "CREATE TABLE \"Orders\" (\"Id\" int PRIMARY KEY, \"Name\" text, empty text);
             INSERT INTO \"Orders\" VALUES (1, 'first', NULL);
             CREATE TABLE pair (a int, b text, PRIMARY KEY (b, a)); INSERT INTO pair VALUES (1, 'x_y'), (2, 'z')",
        )
        .await;
    let source = database.source(&[]);
    source.ping().await.unwrap();
    source.validate().await.unwrap();
    let synced = full(source.as_ref(), None).await;
    synced.result.as_ref().unwrap();
    assert_eq!(
        synced.ids(),
        ["it_names_public_Orders_1", "it_names_public_pair_x\\_y_1", "it_names_public_pair_z_2"]
    );
    assert_eq!(
        Value::Object(synced.documents["it_names_public_Orders_1"].clone()),
        json!({"public_orders_id": 1, "public_orders_name": "first", "public_orders_empty": null,
               "database": "it_names", "table": "Orders", "schema": "public"})
    );
    database.drop().await;
}

#[tokio::test]
#[ignore = "needs tests/backends/postgresql"]
async fn every_row_comes_once_at_the_edges_of_pages() {
    let database = Database::new("pages").await;
    for rows in [0, 1, 4999, 5000, 5001, 10_000, 12_345] {
        database
            .run(&format!(
                "DROP TABLE IF EXISTS t; CREATE TABLE t (id int PRIMARY KEY, v text);
                 INSERT INTO t SELECT n * 3, 'v' || n FROM generate_series(1, {rows}) n"
            ))
            .await;
        let synced = database.all(&[]).await;
        assert_eq!((synced.documents.len(), synced.sent), (rows, rows));
    }
    database.drop().await;
}

#[tokio::test]
#[ignore = "needs tests/backends/postgresql"]
async fn keys_of_every_kind_are_paged() {
    let database = Database::new("keys").await;
    database
        .run(
            "CREATE EXTENSION citext; CREATE TYPE mood AS ENUM ('sad', 'ok', 'happy'); CREATE DOMAIN code AS varchar(40);
             CREATE TABLE k_text (k text COLLATE \"C\" PRIMARY KEY); INSERT INTO k_text SELECT md5(n::text) || 'ä' FROM generate_series(1, 7000) n;
             CREATE TABLE k_uuid (k uuid PRIMARY KEY); INSERT INTO k_uuid SELECT md5(n::text)::uuid FROM generate_series(1, 7000) n;
             CREATE TABLE k_time (k timestamptz PRIMARY KEY); INSERT INTO k_time SELECT '2020-01-01Z'::timestamptz + n * interval '1.000001 s' FROM generate_series(1, 7000) n;
             CREATE TABLE k_numeric (k numeric PRIMARY KEY); INSERT INTO k_numeric SELECT n / 7.0 FROM generate_series(1, 7000) n; INSERT INTO k_numeric VALUES ('NaN');
             CREATE TABLE k_citext (k citext PRIMARY KEY); INSERT INTO k_citext SELECT 'K' || n FROM generate_series(1, 7000) n;
             CREATE TABLE k_domain (k code PRIMARY KEY); INSERT INTO k_domain SELECT 'c' || n FROM generate_series(1, 7000) n;
             CREATE TABLE k_many (m mood, i smallint, d date, f float8, b bytea, n inet, PRIMARY KEY (m, i, d, f, b, n));
             INSERT INTO k_many SELECT m::mood, n % 100, '2020-01-01'::date + n / 100, n / 10.0, md5(n::text)::bytea, '10.0.0.1'::inet + n
                 FROM generate_series(1, 2500) n, unnest(ARRAY['sad', 'ok', 'happy']) m;
             CREATE TABLE k_unique (a int NOT NULL, b text NOT NULL, UNIQUE (b, a)); INSERT INTO k_unique SELECT n, n % 10 FROM generate_series(1, 7000) n;
             CREATE COLLATION loose (provider = icu, locale = 'und-u-ks-level2', deterministic = false);
             CREATE TABLE k_loose (k text COLLATE loose PRIMARY KEY); INSERT INTO k_loose SELECT 'K' || n FROM generate_series(1, 7000) n;
             CREATE TABLE k_parts (k int, v text, PRIMARY KEY (k)) PARTITION BY RANGE (k);
             CREATE TABLE k_parts_1 PARTITION OF k_parts FOR VALUES FROM (0) TO (3000);
             CREATE TABLE k_parts_2 PARTITION OF k_parts DEFAULT; INSERT INTO k_parts SELECT n, 'v' FROM generate_series(1, 7000) n;",
        )
        .await;
    let synced = database.all(&[]).await;
    for table in ["text", "uuid", "time", "citext", "domain", "unique", "loose", "parts"] {
        let prefix = format!("it_keys_public_k_{table}_");
        let count = synced.documents.keys().filter(|id| id.starts_with(&prefix)).count();
        assert_eq!(count, 7000, "{table}");
    }
    let count = |prefix: &str| synced.documents.keys().filter(|id| id.starts_with(prefix)).count();
    assert_eq!(count("it_keys_public_k_numeric_"), 7001);
    assert_eq!(count("it_keys_public_k_many_"), 7500);
    assert_eq!(synced.sent, synced.documents.len());
    assert!(synced.documents.contains_key("it_keys_public_k_loose_K1"));
    // A partition is read by itself only if it is named.
    assert_eq!(count("it_keys_public_k_parts_1"), count("it_keys_public_k_parts_1"));
    assert!(!synced.documents.values().any(|fields| fields["table"] == "k_parts_1"));
    let named = database.all(&[("tables", json!("k_parts_1"))]).await;
    assert_eq!(named.documents.len(), 2999);
    database.drop().await;
}

/// Their texts are in another order than they are.
#[tokio::test]
#[ignore = "needs tests/backends/postgresql"]
async fn keys_that_the_server_sends_as_text_are_read_to_the_end() {
    let database = Database::new("astext").await;
    database.run("CREATE EXTENSION citext; CREATE EXTENSION ltree; CREATE DOMAIN folded AS citext; CREATE TYPE pair AS (a int, b text)").await;
    let keys = [
        ("int4range", "int4range(n, n + 1)"),
        ("money", "n::money"),
        ("citext", "n % 3 || CASE n % 2 WHEN 0 THEN 'a' ELSE 'B' END || n"),
        ("folded", "n % 3 || CASE n % 2 WHEN 0 THEN 'a' ELSE 'B' END || n"),
        ("citext[]", "ARRAY[n % 7, n]::text[]"),
        ("ltree", "('n' || n)::ltree"),
        ("pg_lsn", "('0/' || to_hex(n))::pg_lsn"),
        ("xid8", "n::text::xid8"),
        ("int[]", "ARRAY[n]"),
        ("pair", "(n, 'b')::pair"),
    ];
    for (number, (kind, value)) in keys.iter().enumerate() {
        database
            .run(&format!(
                "CREATE TABLE k_{number}_ (k {kind}, b int, PRIMARY KEY (k, b));
                 INSERT INTO k_{number}_ SELECT {value}, 1 FROM generate_series(1, 12000) n"
            ))
            .await;
    }
    let synced = database.all(&[]).await;
    for (number, (kind, _)) in keys.iter().enumerate() {
        let prefix = format!("it_astext_public_k_{number}__");
        let count = synced.documents.keys().filter(|id| id.starts_with(&prefix)).count();
        assert_eq!(count, 12_000, "{kind}");
    }
    assert_eq!(synced.sent, synced.documents.len());
    database.drop().await;
}

#[tokio::test]
#[ignore = "needs tests/backends/postgresql"]
async fn large_tables_are_read_in_parts() {
    let database = Database::new("parts").await;
    database
        .run(
            "CREATE TABLE big (id bigint PRIMARY KEY, v int); INSERT INTO big SELECT n * 7 - 300000, n FROM generate_series(1, 100000) n; ANALYZE big;
             CREATE TABLE other (id int PRIMARY KEY); INSERT INTO other VALUES (1)",
        )
        .await;
    let synced = database.all(&[]).await;
    assert_eq!((synced.documents.len(), synced.sent), (100_001, 100_001));
    assert_eq!(synced.parts, 5);
    database.drop().await;
}

#[tokio::test]
#[ignore = "needs tests/backends/postgresql"]
async fn tables_without_a_key_and_views_are_read_as_well() {
    let database = Database::new("nokey").await;
    database
        .run(
            "CREATE TABLE plain (a int, b text); INSERT INTO plain VALUES (1, 'x'), (2, NULL), (2, NULL), (NULL, '');
             CREATE TABLE base (id int PRIMARY KEY, v text); INSERT INTO base VALUES (1, 'one');
             CREATE VIEW seen AS SELECT * FROM base; CREATE MATERIALIZED VIEW kept AS SELECT v FROM base;
             CREATE TABLE parent (id int PRIMARY KEY); CREATE TABLE child () INHERITS (parent);
             INSERT INTO parent VALUES (1); INSERT INTO child VALUES (1), (2);
             CREATE TABLE none ()",
        )
        .await;
    let first = database.all(&[]).await;
    let count = |table: &str| first.documents.values().filter(|fields| fields["table"] == table).count();
    assert_eq!(count("plain"), 3, "two rows are the same");
    assert_eq!((count("seen"), count("kept"), count("base"), count("none")), (1, 1, 1, 0));
    assert_eq!((count("parent"), count("child")), (2, 2));
    let second = database.all(&[]).await;
    assert_eq!(first.documents, second.documents);
    database.drop().await;
}

#[tokio::test]
#[ignore = "needs tests/backends/postgresql"]
async fn a_view_that_cannot_be_computed_keeps_no_table_from_being_read() {
    let database = Database::new("broken").await;
    database
        .run(
            "CREATE TABLE a (id int PRIMARY KEY, v int); INSERT INTO a VALUES (1, 1), (2, 0);
             CREATE VIEW broken AS SELECT id, 1 / v AS part FROM a;
             CREATE MATERIALIZED VIEW empty AS SELECT id FROM a WITH NO DATA;
             CREATE TABLE z (id int PRIMARY KEY); INSERT INTO z SELECT generate_series(1, 9)",
        )
        .await;
    // The greatest values are asked for before the tables are read.
    for (tables, name, watermark) in
        [("broken,z,a", "broken", "part"), ("empty,z,a", "empty", "id"), ("*", "", "")]
    {
        let source = database.source(&[("tables", json!(tables)), ("watermark_column", json!(watermark))]);
        source.validate().await.unwrap();
        let listed = full(source.as_ref(), None).await;
        assert!(listed.cursor.is_none());
        let count = |table: &str| listed.documents.values().filter(|fields| fields["table"] == table).count();
        assert_eq!((count("a"), count("z")), (2, 9), "{tables}");
        let error = listed.result.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Incomplete, "{error}");
        let text = error.to_string();
        assert!(text.contains(&format!("public.{name}")) && text.contains("Nothing was deleted"), "{text}");
    }
    database.drop().await;
}

#[tokio::test]
#[ignore = "needs tests/backends/postgresql"]
async fn odd_names_are_quoted() {
    let database = Database::new("odd").await;
    database
        .run(
            "CREATE SCHEMA \"My \"\"Schema\"\"; drop\";
             CREATE TABLE \"My \"\"Schema\"\"; drop\".\"Tab'le $1 \"\"x\"\"\" (\"i d\" int PRIMARY KEY, \"select\" text, \"SELECT\" text, \"ü.é\" int);
             INSERT INTO \"My \"\"Schema\"\"; drop\".\"Tab'le $1 \"\"x\"\"\" VALUES (1, 'lower', 'upper', 5)",
        )
        .await;
    let synced = database.all(&[("schema", json!("My \"Schema\"; drop"))]).await;
    let id = "it_odd_My \"Schema\"; drop_Tab'le $1 \"x\"_1";
    let fields = &synced.documents[id];
    // Two columns become the same field: the last one stays.
    assert_eq!(fields["my \"schema\"; drop_tab'le $1 \"x\"_select"], "upper");
    assert_eq!(fields["my \"schema\"; drop_tab'le $1 \"x\"_ü.é"], 5);
    assert_eq!(fields["schema"], "My \"Schema\"; drop");
    database.drop().await;
}

#[tokio::test]
#[ignore = "needs tests/backends/postgresql"]
async fn mistakes_of_the_configuration_are_named() {
    let database = Database::new("mistakes").await;
    database
        .run(
            "CREATE TABLE open (id int PRIMARY KEY, secret text); CREATE TABLE closed (id int PRIMARY KEY); INSERT INTO open VALUES (1, 's');
             CREATE SCHEMA hidden; DROP ROLE IF EXISTS it_reader; CREATE ROLE it_reader LOGIN PASSWORD 'read-me-please';
             GRANT SELECT (id) ON open TO it_reader;
             CREATE SCHEMA shut; CREATE TABLE shut.closed (id int PRIMARY KEY); GRANT USAGE ON SCHEMA shut TO it_reader",
        )
        .await;
    let reader = [("username", json!("it_reader")), ("password", json!("read-me-please"))];
    let with = |more: &[(&'static str, Value)]| [reader.to_vec(), more.to_vec()].concat();
    for (values, kind, words) in [
        (vec![("password", json!("wr0ng-pa55word"))], ErrorKind::Authentication, "`password`"),
        (vec![("database", json!("it_absent"))], ErrorKind::Config, "it_absent"),
        (vec![("schema", json!("absent"))], ErrorKind::Config, "absent"),
        (vec![("tables", json!("open, absent, gone"))], ErrorKind::Config, "absent, gone"),
        (vec![("port", json!(1)), ("retry_count", json!(0))], ErrorKind::Unavailable, "127.0.0.1:1"),
        (
            vec![("host", json!("no-such-host.invalid")), ("retry_count", json!(0))],
            ErrorKind::Unavailable,
            "no-such-host.invalid",
        ),
        (vec![("ssl_enabled", json!(true))], ErrorKind::Config, "`ssl_enabled`"),
        (with(&[("tables", json!("closed"))]), ErrorKind::Config, "closed"),
        // Nothing that may be read is no empty database.
        (with(&[("schema", json!("shut"))]), ErrorKind::Config, "grant it SELECT"),
        (
            with(&[("schema", json!("hidden"))]),
            ErrorKind::PermissionDenied,
            "GRANT USAGE ON SCHEMA \"hidden\" TO \"it_reader\"",
        ),
    ] {
        let source = database.source(&values);
        let error = source.validate().await.unwrap_err();
        assert_eq!(error.kind(), kind, "{error}");
        assert!(error.to_string().contains(words), "{words}: {error}");
        let synced = full(source.as_ref(), None).await;
        for text in [synced.error(), error.to_string(), format!("{error:?}")] {
            for secret in ["wr0ng-pa55word", "read-me-please"] {
                assert!(!text.contains(secret), "{text}");
            }
        }
    }
    for (key, value) in
        [("port", json!(0)), ("port", json!(70_000)), ("host", json!("")), ("tables", json!(""))]
    {
        let error = database.try_source(&[(key, value)], SourceContext::default()).err().unwrap();
        assert_eq!(error.kind(), ErrorKind::Config);
        assert!(error.to_string().contains(&format!("`{key}`")), "{error}");
    }
    // Only what may be read is read, column by column.
    let synced = database.all(&reader).await;
    assert_eq!(synced.ids(), ["it_mistakes_public_open_1"]);
    assert!(!synced.documents["it_mistakes_public_open_1"].contains_key("public_open_secret"));
    // A permission that is taken away after the check.
    database.run("CREATE VIEW broken AS SELECT * FROM closed; ALTER VIEW broken OWNER TO it_reader").await;
    let synced = full(database.source(&with(&[("tables", json!("broken"))])).as_ref(), None).await;
    assert_eq!(synced.result.unwrap_err().kind(), ErrorKind::PermissionDenied);
    database.run("DROP OWNED BY it_reader; DROP ROLE it_reader").await;
    database.drop().await;
}

#[tokio::test]
#[ignore = "needs tests/backends/postgresql"]
async fn a_stopped_sync_leaves_no_query_behind() {
    let database = Database::new("stopped").await;
    database
        .run("CREATE TABLE t (v text); INSERT INTO t SELECT repeat('x', 10000) FROM generate_series(1, 20000) n")
        .await;
    let source = database.source(&[]);
    let (sink, mut inbox) = channel(SinkLimits { messages: 100, bytes: 1 << 20 });
    let stopped = async {
        for _ in 0..3 {
            inbox.receive().await.unwrap();
        }
        drop(inbox);
    };
    let (result, ()) = tokio::join!(source.documents(None, &sink), stopped);
    assert_eq!(result.unwrap_err().kind(), ErrorKind::Canceled);
    let active = "SELECT count(*) FROM pg_stat_activity WHERE datname = 'it_stopped' AND application_name = 'connectors'";
    for _ in 0..50 {
        let count: i64 = database.client.query_one(active, &[]).await.unwrap().get(0);
        if count == 0 {
            return database.drop().await;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    panic!("a query is still at work");
}

#[tokio::test]
#[ignore = "needs tests/backends/postgresql"]
async fn a_cancelled_sync_ends_while_it_waits_for_a_lock() {
    let database = Database::new("cancelled").await;
    database.run("CREATE TABLE t (id int PRIMARY KEY)").await;
    database.run("BEGIN; LOCK TABLE t").await;
    let context = SourceContext::default();
    let cancel = context.cancel.clone();
    let source = database.try_source(&[], context).unwrap();
    let (sink, _inbox) = channel(SinkLimits::default());
    let cancelled = async {
        tokio::time::sleep(Duration::from_millis(500)).await;
        cancel.cancel();
    };
    let (result, ()) = tokio::join!(source.documents(None, &sink), cancelled);
    assert_eq!(result.unwrap_err().kind(), ErrorKind::Canceled);
    database.run("COMMIT").await;
    database.drop().await;
}
