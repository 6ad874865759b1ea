//! Incremental syncs.

use std::collections::BTreeSet;
use std::time::Duration;

use connectors_sdk::{ErrorKind, SourceContext};
use serde_json::{Value, json};

use super::{Database, Synced, changes, full};

async fn shop(test: &str) -> Database {
    let database = Database::new(test).await;
    database
        .run(
            "CREATE TABLE t (a int, b text, v text, PRIMARY KEY (a, b)); INSERT INTO t SELECT n, 'b_' || n, 'v' FROM generate_series(1, 10) n;
             CREATE TABLE other (id uuid PRIMARY KEY, at timestamptz NOT NULL DEFAULT now());
             CREATE TABLE nokey (v int); INSERT INTO nokey VALUES (1); CREATE VIEW seen AS SELECT * FROM t",
        )
        .await;
    database
}

fn done(synced: Synced) -> (Synced, Value) {
    synced.result.as_ref().unwrap();
    let cursor = synced.cursor.clone().unwrap();
    (synced, cursor)
}

fn sorted(ids: &[String]) -> BTreeSet<&str> {
    ids.iter().map(String::as_str).collect()
}

async fn count(database: &Database, sql: &str) -> i64 {
    database.client.query_one(sql, &[]).await.unwrap().get(0)
}

#[tokio::test]
#[ignore = "needs tests/backends/postgresql"]
async fn changes_are_read_from_the_log() {
    let database = shop("log").await;
    let source = database.connector(&[]);
    let (_, cursor) = done(full(source.as_ref(), None).await);
    assert!(cursor["slot"].as_str().unwrap().starts_with("connectors_connector_it_log_"), "{cursor}");
    let (nothing, before) = done(changes(source.as_ref(), Some(&cursor)).await);
    assert_eq!((nothing.sent, nothing.deleted.len()), (0, 0));

    database
        .run(
            "INSERT INTO t VALUES (11, 'new_one', 'n');
             UPDATE t SET v = 'first' WHERE a = 1; UPDATE t SET v = 'second' WHERE a = 1;
             UPDATE t SET b = 'moved' WHERE a = 2; DELETE FROM t WHERE a = 3;
             DELETE FROM t WHERE a = 4; INSERT INTO t VALUES (4, 'b_4', 'back');
             INSERT INTO other VALUES ('a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11', '2024-01-01 00:00Z'); INSERT INTO nokey VALUES (2)",
        )
        .await;
    database.run("BEGIN; UPDATE t SET v = 'never' WHERE a = 5; ROLLBACK").await;
    let (changed, cursor) = done(changes(source.as_ref(), Some(&before)).await);
    assert_eq!(
        changed.ids(),
        [
            "it_log_public_other_a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11",
            "it_log_public_t_11_new\\_one",
            "it_log_public_t_1_b\\_1",
            "it_log_public_t_2_moved",
            "it_log_public_t_4_b\\_4",
        ]
    );
    assert_eq!(
        sorted(&changed.deleted),
        BTreeSet::from(["it_log_public_t_2_b\\_2", "it_log_public_t_3_b\\_3"])
    );
    assert_eq!(changed.documents["it_log_public_t_1_b\\_1"]["public_t_v"], "second");
    assert_eq!(changed.sent, 5, "a row that changed twice is read once");
    // The job may not have completed: the same cursor gives the same again.
    let (again, _) = done(changes(source.as_ref(), Some(&before)).await);
    assert_eq!((&again.documents, again.deleted.len()), (&changed.documents, 2));
    // The same documents as a full sync makes of these rows.
    let all = full(source.as_ref(), None).await;
    for (id, fields) in &changed.documents {
        assert_eq!(all.documents[id], *fields);
    }
    // A transaction that was open when the last sync ended.
    let open = super::client(&database.admin()).await;
    open.batch_execute("BEGIN; UPDATE t SET v = 'late' WHERE a = 6").await.unwrap();
    let (open_one, cursor) = done(changes(source.as_ref(), Some(&cursor)).await);
    assert_eq!(open_one.sent, 0);
    open.batch_execute("COMMIT").await.unwrap();
    let (late, cursor) = done(changes(source.as_ref(), Some(&cursor)).await);
    assert_eq!(late.documents["it_log_public_t_6_b\\_6"]["public_t_v"], "late");

    // A table that came later is sent whole.
    database.run("CREATE TABLE later (id int PRIMARY KEY); INSERT INTO later VALUES (1), (2)").await;
    let (later, cursor) = done(changes(source.as_ref(), Some(&cursor)).await);
    assert_eq!(later.ids(), ["it_log_public_later_1", "it_log_public_later_2"]);
    database.run("DELETE FROM later WHERE id = 1").await;
    let (later, cursor) = done(changes(source.as_ref(), Some(&cursor)).await);
    assert_eq!(later.deleted, ["it_log_public_later_1"]);

    database.run("TRUNCATE t").await;
    let truncated = changes(source.as_ref(), Some(&cursor)).await;
    assert!(truncated.error().contains("table t was truncated") && truncated.error().contains("full sync"));
    assert!(truncated.cursor.is_none());
    let (_, cursor) = done(full(source.as_ref(), None).await);
    let (quiet, _) = done(changes(source.as_ref(), Some(&cursor)).await);
    assert_eq!(quiet.sent, 0);

    source.forget().await.unwrap();
    source.forget().await.unwrap();
    assert_eq!(
        count(&database, "SELECT count(*) FROM pg_replication_slots WHERE database = 'it_log'").await,
        0
    );
    assert_eq!(count(&database, "SELECT count(*) FROM pg_publication").await, 0);
    database.drop().await;
}

#[tokio::test]
#[ignore = "needs tests/backends/postgresql"]
async fn what_happens_to_a_table_as_a_whole_needs_a_full_sync() {
    let database = shop("ddl").await;
    let source = database.connector(&[]);
    let (_, mut cursor) = done(full(source.as_ref(), None).await);
    for (statements, said) in [
        ("ALTER TABLE t ADD COLUMN more int DEFAULT 7", "the table t has other columns"),
        ("ALTER TABLE t RENAME COLUMN more TO less", "the table t has other columns"),
        ("ALTER TABLE t ALTER COLUMN less TYPE numeric", "other types"),
        ("ALTER TABLE t DROP COLUMN less", "the table t has other columns"),
        ("ALTER TABLE t DROP CONSTRAINT t_pkey, ADD PRIMARY KEY (b, a)", "another key"),
        ("ALTER TABLE t RENAME TO u", "the table t was renamed to u"),
        (
            "CREATE TABLE n (LIKE u INCLUDING ALL); DROP TABLE u CASCADE; ALTER TABLE n RENAME TO u",
            "the table u was dropped",
        ),
        ("DROP TABLE other", "the table other was dropped"),
    ] {
        database.run(statements).await;
        let altered = changes(source.as_ref(), Some(&cursor)).await;
        assert!(altered.cursor.is_none() && altered.documents.is_empty(), "{statements}");
        let error = altered.error();
        assert!(error.contains(said) && error.contains("full sync"), "{statements}: {error}");
        (_, cursor) = done(full(source.as_ref(), None).await);
        let (quiet, _) = done(changes(source.as_ref(), Some(&cursor)).await);
        assert_eq!(quiet.sent, 0, "{statements}");
    }
    database.drop().await;
}

#[tokio::test]
#[ignore = "needs tests/backends/postgresql"]
async fn a_new_table_is_whole() {
    let database = shop("newtable").await;
    let source = database.connector(&[]);
    let (_, cursor) = done(full(source.as_ref(), None).await);
    database.run("CREATE TABLE later (id int PRIMARY KEY); INSERT INTO later VALUES (1), (2)").await;
    // What this writes is from before the table is published, and is not in the log.
    let open = super::client(&database.admin()).await;
    open.batch_execute("BEGIN; INSERT INTO later VALUES (3)").await.unwrap();
    let commit = async {
        tokio::time::sleep(Duration::from_secs(1)).await;
        open.batch_execute("COMMIT").await.unwrap();
    };
    let (first, ()) = tokio::join!(changes(source.as_ref(), Some(&cursor)), commit);
    let whole = ["it_newtable_public_later_1", "it_newtable_public_later_2", "it_newtable_public_later_3"];
    assert_eq!(first.ids(), whole);
    // The job did not complete: the table is published by now, and still new.
    let (second, cursor) = done(changes(source.as_ref(), Some(&cursor)).await);
    assert_eq!(second.ids(), whole);
    let (third, _) = done(changes(source.as_ref(), Some(&cursor)).await);
    assert_eq!(third.sent, 0);
    source.forget().await.unwrap();
    database.drop().await;
}

#[tokio::test]
#[ignore = "needs tests/backends/postgresql"]
async fn a_row_that_many_transactions_changed_takes_no_memory_for_each() {
    let database = shop("often").await;
    let source = database.connector(&[]);
    let (_, cursor) = done(full(source.as_ref(), None).await);
    database.run("SET synchronous_commit = off").await;
    database
        .run("DO $$ BEGIN FOR n IN 1..21000 LOOP UPDATE t SET v = n WHERE a = 1; COMMIT; END LOOP; END $$")
        .await;
    // Brings the log to the disk.
    database.run("SET synchronous_commit = on").await;
    database.run("UPDATE t SET v = 'last' WHERE a = 1").await;
    let (changed, _) = done(changes(source.as_ref(), Some(&cursor)).await);
    assert_eq!(changed.documents["it_often_public_t_1_b\\_1"]["public_t_v"], "last");
    assert_eq!(changed.sent, 2, "its row was read before the log ended");
    source.forget().await.unwrap();
    database.drop().await;
}

#[tokio::test]
#[ignore = "needs tests/backends/postgresql"]
async fn another_account_reads_everything() {
    let database = Database::new("account").await;
    database
        .run(
            "CREATE TABLE t (id int PRIMARY KEY, owner text); INSERT INTO t VALUES (1, 'it_account'), (2, 'elastic');
             ALTER TABLE t ENABLE ROW LEVEL SECURITY; CREATE POLICY own ON t USING (owner = current_user);
             DROP ROLE IF EXISTS it_account; CREATE ROLE it_account LOGIN SUPERUSER PASSWORD 'account'",
        )
        .await;
    let source = database.connector(&[]);
    let (all, cursor) = done(full(source.as_ref(), None).await);
    assert_eq!(all.sent, 2);
    // A policy may show other rows without anything being written.
    assert!(cursor.get("wal").is_none(), "{cursor}");
    let other = database.connector(&[("username", json!("it_account")), ("password", json!("account"))]);
    let (again, _) = done(changes(other.as_ref(), Some(&cursor)).await);
    assert_eq!(again.sent, 2);
    source.forget().await.unwrap();
    database.run("DROP OWNED BY it_account; DROP ROLE it_account").await;
    database.drop().await;
}

#[tokio::test]
#[ignore = "needs tests/backends/postgresql"]
async fn values_stored_apart_and_many_changes_arrive() {
    let database = Database::new("toast").await;
    database
        .run(
            "CREATE TABLE t (id int PRIMARY KEY, big text, v int); ALTER TABLE t ALTER big SET STORAGE EXTERNAL;
             INSERT INTO t SELECT n, repeat('x', 10000), 0 FROM generate_series(1, 50) n;
             CREATE TABLE whole (id text PRIMARY KEY, v text); ALTER TABLE whole REPLICA IDENTITY FULL;
             CREATE TABLE many (id bigint PRIMARY KEY, v int);
             CREATE TABLE parts (id int PRIMARY KEY, v int) PARTITION BY HASH (id);
             CREATE TABLE parts_0 PARTITION OF parts FOR VALUES WITH (MODULUS 2, REMAINDER 0);
             CREATE TABLE parts_1 PARTITION OF parts FOR VALUES WITH (MODULUS 2, REMAINDER 1)",
        )
        .await;
    let source = database.connector(&[]);
    let (_, cursor) = done(full(source.as_ref(), None).await);
    database
        .run(
            "UPDATE t SET v = 1 WHERE id = 7; INSERT INTO whole VALUES ('ü''\"\\', 'a'); UPDATE whole SET v = 'b';
             INSERT INTO many SELECT n, n FROM generate_series(1, 45000) n; DELETE FROM many WHERE id % 9 = 0;
             INSERT INTO parts SELECT n, n FROM generate_series(1, 10) n; DELETE FROM parts WHERE id = 3",
        )
        .await;
    let (synced, _) = done(changes(source.as_ref(), Some(&cursor)).await);
    let apart = &synced.documents["it_toast_public_t_7"];
    assert_eq!((apart["public_t_big"].as_str().unwrap().len(), &apart["public_t_v"]), (10_000, &json!(1)));
    assert_eq!(synced.documents["it_toast_public_whole_ü'\"\\"]["public_whole_v"], "b");
    let of = |prefix: &str| synced.documents.keys().filter(|id| id.starts_with(prefix)).count();
    assert_eq!((of("it_toast_public_many_"), of("it_toast_public_parts_")), (40_000, 9));
    assert!(synced.deleted.contains(&"it_toast_public_parts_3".to_owned()));
    assert!(synced.deleted.contains(&"it_toast_public_many_9".to_owned()));
    source.forget().await.unwrap();
    database.drop().await;
}

#[tokio::test]
#[ignore = "needs tests/backends/postgresql"]
async fn the_first_incremental_sync_sends_everything() {
    let database = shop("first").await;
    let source = database.connector(&[]);
    let (all, cursor) = done(changes(source.as_ref(), None).await);
    assert_eq!(all.documents.len(), 21);
    database.run("DELETE FROM t WHERE a = 1").await;
    let (changed, cursor) = done(changes(source.as_ref(), Some(&cursor)).await);
    assert_eq!((changed.sent, changed.deleted.len()), (0, 1));
    // Other settings: what is indexed is not what would be.
    let narrow = database.connector(&[("tables", json!("t"))]);
    let (all, _) = done(changes(narrow.as_ref(), Some(&cursor)).await);
    assert_eq!(all.documents.len(), 9);
    // Custom queries are read whole.
    let rules = json!([{"tables": ["t"], "query": "SELECT * FROM t WHERE a > 8"}]);
    let (queried, cursor) = done(
        super::collect(async |sink| narrow.changes(Some(&cursor), Some(&rules), sink).await, Duration::ZERO)
            .await,
    );
    assert_eq!(queried.documents.len(), 2);
    assert!(cursor.get("slot").is_none() && cursor.get("wal").is_none());
    assert!(
        narrow.changed(Some(&cursor)).await.unwrap().perhaps()
            && narrow.changed(None).await.unwrap().perhaps()
    );
    source.forget().await.unwrap();
    database.drop().await;
}

#[tokio::test]
#[ignore = "needs tests/backends/postgresql"]
async fn a_position_that_is_lost_is_said_to_be() {
    let database = shop("lost").await;
    let source = database.connector(&[]);
    let (_, cursor) = done(full(source.as_ref(), None).await);
    let slot = cursor["slot"].as_str().unwrap().to_owned();
    let expect = async |cursor: &Value, words: &str| {
        let synced = changes(source.as_ref(), Some(cursor)).await;
        assert_eq!(synced.result.as_ref().unwrap_err().kind(), ErrorKind::Incomplete);
        let error = synced.error();
        assert!(
            error.contains("is lost") && error.contains(words) && error.contains("Run a full sync"),
            "{error}"
        );
    };
    let with = |key: &str, value: &str| {
        let mut cursor = cursor.clone();
        cursor[key] = value.into();
        cursor
    };
    expect(&with("system", "1/1"), "another server").await;
    expect(&with("lsn", "0/1"), "already past").await;
    expect(&with("lsn", "'; DROP TABLE t"), "does not hold one").await;
    expect(&with("slot", "another"), "another connector").await;
    database.run(&format!("DROP PUBLICATION {slot}")).await;
    expect(&cursor, "did not exist").await;
    database.run(&format!("SELECT pg_drop_replication_slot('{slot}')")).await;
    expect(&cursor, "does not exist any more").await;
    let (_, cursor) = done(full(source.as_ref(), None).await);
    database.run("INSERT INTO t VALUES (20, 'x', 'y')").await;
    let (changed, _) = done(changes(source.as_ref(), Some(&cursor)).await);
    assert_eq!(changed.sent, 1);
    source.forget().await.unwrap();
    database.drop().await;
}

#[tokio::test]
#[ignore = "needs tests/backends/postgresql"]
async fn nothing_is_made_at_the_server_unasked() {
    let database = shop("unasked").await;
    for (id, incremental) in [(None, true), (Some("c".to_owned()), false)] {
        let context = SourceContext { connector_id: id, incremental, ..SourceContext::default() };
        let source = database.try_source(&[], context).unwrap();
        let (_, cursor) = done(full(source.as_ref(), None).await);
        assert!(cursor.get("slot").is_none());
        source.forget().await.unwrap();
    }
    assert_eq!(count(&database, "SELECT count(*) FROM pg_publication").await, 0);
    assert_eq!(
        count(&database, "SELECT count(*) FROM pg_replication_slots WHERE database = 'it_unasked'").await,
        0
    );
    let context = SourceContext { connector_id: None, ..SourceContext::default() };
    let source = database.try_source(&[], context).unwrap();
    assert!(changes(source.as_ref(), None).await.error().contains("no id"));
    database.drop().await;
}

#[tokio::test]
#[ignore = "needs tests/backends/postgresql"]
async fn without_the_log_a_column_says_what_changed() {
    let database = shop("mark").await;
    database
        .run(
            "ALTER TABLE t ADD COLUMN changed_at timestamptz; UPDATE t SET changed_at = '2024-01-01Z'::timestamptz + a * interval '1 day';
             DROP ROLE IF EXISTS it_marker; CREATE ROLE it_marker LOGIN PASSWORD 'mark'; GRANT SELECT ON ALL TABLES IN SCHEMA public TO it_marker",
        )
        .await;
    let reader = [("username", json!("it_marker")), ("password", json!("mark"))];
    // Without either: the error says what an administrator can do.
    let source = database.connector(&reader);
    let (_, cursor) = done(full(source.as_ref(), None).await);
    let error = changes(source.as_ref(), Some(&cursor)).await.error();
    assert!(
        error.contains("ALTER ROLE \"it_marker\" REPLICATION") && error.contains("`watermark_column`"),
        "{error}"
    );
    // Allowed to read the log, but not to make the publication.
    database.run("ALTER ROLE it_marker REPLICATION").await;
    let error = changes(source.as_ref(), Some(&cursor)).await.error();
    assert!(
        error.contains("Have an administrator run in the database it_mark: CREATE PUBLICATION \"connectors_"),
        "{error}"
    );
    let statement = error.split("it_mark: ").nth(1).unwrap();
    database.run(statement).await;
    let (all, cursor) = done(changes(source.as_ref(), Some(&cursor)).await);
    assert_eq!(all.documents.len(), 21);
    database.run("UPDATE t SET v = 'w' WHERE a = 2").await;
    let (changed, _) = done(changes(source.as_ref(), Some(&cursor)).await);
    assert_eq!(changed.ids(), ["it_mark_public_t_2_b\\_2"]);
    // A publication of an administrator's own: one that leaves out changes, and one of the whole schema.
    let name = statement.split('"').nth(1).unwrap();
    database
        .run(&format!("DROP PUBLICATION {name}; CREATE PUBLICATION {name} FOR TABLE t WHERE (a > 5)"))
        .await;
    let error = changes(source.as_ref(), None).await.error();
    assert!(error.contains("leaves out changes") && error.contains("row filters"), "{error}");
    let whole = "FOR TABLES IN SCHEMA public WITH (publish_via_partition_root = true)";
    database.run(&format!("DROP PUBLICATION {name}; CREATE PUBLICATION {name} {whole}")).await;
    database.run(&format!("SELECT pg_drop_replication_slot('{name}')")).await;
    let (_, cursor) = done(changes(source.as_ref(), None).await);
    database.run("UPDATE t SET v = 'whole' WHERE a = 2").await;
    let (changed, _) = done(changes(source.as_ref(), Some(&cursor)).await);
    assert_eq!(changed.ids(), ["it_mark_public_t_2_b\\_2"]);
    let error = source.forget().await.unwrap_err().to_string();
    assert!(error.contains("DROP PUBLICATION"), "{error}");
    assert_eq!(
        count(&database, "SELECT count(*) FROM pg_replication_slots WHERE database = 'it_mark'").await,
        0
    );

    database.run("ALTER ROLE it_marker NOREPLICATION").await;
    let values = [reader.to_vec(), vec![("watermark_column", json!("changed_at"))]].concat();
    let source = database.connector(&values);
    // A column of that name elsewhere that has no greatest value.
    database
        .run(
            "CREATE TABLE flags (id int PRIMARY KEY, changed_at boolean); GRANT SELECT ON flags TO it_marker",
        )
        .await;
    let (_, cursor) = done(full(source.as_ref(), None).await);
    assert_eq!(cursor["watermarks"], json!({"t": "2024-01-11 00:00:00+00"}));
    database
        .run("UPDATE t SET v = 'z', changed_at = '2024-02-01Z' WHERE a = 3; DELETE FROM t WHERE a = 4")
        .await;
    let (changed, cursor) = done(changes(source.as_ref(), Some(&cursor)).await);
    // The last value counts again: another row may have got it in the meantime.
    assert_eq!(changed.ids(), ["it_mark_public_t_10_b\\_10", "it_mark_public_t_3_b\\_3"]);
    assert_eq!(cursor["watermarks"]["t"], "2024-02-01 00:00:00+00");
    let missing = database.connector(&[reader.to_vec(), vec![("watermark_column", json!("nope"))]].concat());
    assert!(changes(missing.as_ref(), None).await.error().contains("`watermark_column`"));
    database.run("DROP OWNED BY it_marker; DROP ROLE it_marker").await;
    database.drop().await;
}
