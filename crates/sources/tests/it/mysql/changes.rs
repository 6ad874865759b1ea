//! Incremental syncs, and whether anything changed.

use connectors_sdk::{DataSource, ErrorKind};
use serde_json::{Value, json};

use super::support::{Ask, Db, Sent, Server, all, changes, listen};

/// The changes since the cursor, which is moved.
async fn since(source: &dyn DataSource, cursor: &mut Value) -> Sent {
    let (sent, result) = changes(source, cursor).await;
    result.unwrap();
    *cursor = sent.cursor().unwrap().clone();
    sent
}

#[tokio::test]
#[ignore = "needs tests/backends/mariadb"]
async fn what_was_written_is_sent_and_nothing_else() {
    let db = Db::new("changes").await;
    db.run("CREATE TABLE t (k INT PRIMARY KEY, v TEXT)").await;
    db.run("INSERT INTO t VALUES (1, 'a'), (2, 'b'), (3, 'c'), (4, 'd')").await;
    let other = Db::new("changes_other").await;
    other.run("CREATE TABLE t (k INT PRIMARY KEY, v TEXT)").await;
    let source = db.source(&[]);
    let mut cursor = all(&*source).await.cursor().unwrap().clone();

    let nothing = since(&*source, &mut cursor).await;
    assert!(nothing.documents.is_empty() && nothing.deletes.is_empty());

    db.run("INSERT INTO t VALUES (5, 'new')").await;
    db.run("UPDATE t SET v = 'changed' WHERE k = 2").await;
    db.run("DELETE FROM t WHERE k = 3").await;
    db.run("UPDATE t SET k = 40 WHERE k = 4").await;
    db.run("INSERT INTO t VALUES (6, 'short'), (7, 'lived')").await;
    db.run("DELETE FROM t WHERE k >= 6 AND k < 10").await;
    other.run("INSERT INTO t VALUES (1, 'x')").await;
    let mut sent = since(&*source, &mut cursor).await;
    assert_eq!(sent.ids(), ["t_2", "t_40", "t_5"]);
    assert_eq!(sent.documents["t_2"]["v"], "changed");
    sent.deletes.sort();
    assert_eq!(sent.deletes, ["t_3", "t_4", "t_6", "t_7"]);

    let nothing = since(&*source, &mut cursor).await;
    assert!(nothing.documents.is_empty() && nothing.deletes.is_empty());
}

#[tokio::test]
#[ignore = "needs tests/backends/mariadb"]
async fn keys_of_every_kind_are_followed() {
    let db = Db::new("changed_keys").await;
    for (table, key, values) in [
        ("tiny", "k TINYINT UNSIGNED", "255"),
        ("medium", "k MEDIUMINT UNSIGNED", "16777215"),
        ("whole", "k INT UNSIGNED", "4294967295"),
        ("large", "k BIGINT UNSIGNED", "18446744073709551615"),
        ("negative", "k BIGINT", "-5"),
        ("text", "k VARCHAR(300)", "'a_b 日本'"),
        ("latin", "k VARCHAR(20) CHARACTER SET latin1", "'Käse'"),
        ("latin_cs", "k CHAR(20) CHARACTER SET latin1 COLLATE latin1_general_cs", "'Käse'"),
        ("utf16", "k VARCHAR(20) CHARACTER SET utf16", "'日本'"),
        ("fixed", "k BINARY(4)", "X'ff00'"),
        ("bytes", "k VARBINARY(9)", "X'ff00'"),
        ("money", "k DECIMAL(18,0)", "-100000000000000007"),
        ("day", "k DATE", "'2026-02-03'"),
        ("moment", "k DATETIME(6)", "'2026-02-03 04:05:06.000007'"),
        ("instant", "k TIMESTAMP(3)", "'2026-02-03 04:05:06.007'"),
        ("age", "k YEAR", "2026"),
        ("pair", "a INT, k VARCHAR(9)", "7, 'x_y'"),
    ] {
        let columns = if table == "pair" { "k, a" } else { "k" };
        db.run(&format!("CREATE TABLE {table} ({key}, v INT, PRIMARY KEY ({columns}))")).await;
        db.run(&format!("SET STATEMENT time_zone = '+00:00' FOR INSERT INTO {table} VALUES ({values}, 1)"))
            .await;
    }
    let source = db.source(&[]);
    let full = all(&*source).await;
    assert_eq!(full.documents.len(), 17);
    let mut cursor = full.cursor().unwrap().clone();
    let tables: Vec<String> = full.partitions.clone();
    for table in &tables {
        db.run(&format!("UPDATE {table} SET v = 2")).await;
    }
    let sent = since(&*source, &mut cursor).await;
    assert_eq!(sent.ids(), full.ids());
    assert!(sent.documents.values().all(|row| row["v"] == 2));
    assert!(sent.deletes.is_empty(), "{:?}", sent.deletes);
    for table in &tables {
        db.run(&format!("DELETE FROM {table}")).await;
    }
    let mut sent = since(&*source, &mut cursor).await;
    sent.deletes.sort();
    assert_eq!(sent.deletes, full.ids());
    assert!(sent.documents.is_empty());
}

#[tokio::test]
#[ignore = "needs tests/backends/mariadb"]
async fn values_come_the_same_way_as_in_a_full_sync() {
    let db = Db::new("changed_values").await;
    db.run("CREATE TABLE t (k INT PRIMARY KEY, j JSON, g POINT, u UUID, i INET6, e ENUM('a','b'), s SET('x','y'), b BIT(9), f FLOAT, z DECIMAL(30,4), d DATETIME(3), y BLOB, x TIME, w LONGTEXT)").await;
    let source = db.source(&[]);
    let mut cursor = all(&*source).await.cursor().unwrap().clone();
    db.run("INSERT INTO t VALUES (1, '[1]', POINT(1,2), UUID(), '::2', 'b', 'x,y', 300, 1.5, 12345678901234567890.5, NOW(3), X'ff', '10:11:12', REPEAT('w', 5000000))").await;
    let sent = since(&*source, &mut cursor).await;
    assert_eq!(sent.documents, all(&*source).await.documents);
    for image in ["MINIMAL", "NOBLOB"] {
        db.run(&format!("SET STATEMENT binlog_row_image = '{image}' FOR UPDATE t SET f = f + 1")).await;
        let sent = since(&*source, &mut cursor).await;
        assert_eq!(sent.documents, all(&*source).await.documents, "{image}");
        db.run(&format!("SET STATEMENT binlog_row_image = '{image}' FOR UPDATE t SET k = k + 1")).await;
        let sent = since(&*source, &mut cursor).await;
        assert_eq!((sent.documents.len(), sent.deletes.len()), (1, 1), "{image}");
    }
}

#[tokio::test]
#[ignore = "needs tests/backends/mariadb"]
async fn tables_the_log_does_not_show_are_left_to_full_syncs() {
    let db = Db::new("not_followed").await;
    db.run("CREATE TABLE t (k INT PRIMARY KEY)").await;
    db.run("CREATE TABLE keyless (v INT)").await;
    db.run("CREATE TABLE named (k UUID PRIMARY KEY)").await;
    db.run("CREATE TABLE packed (k INT PRIMARY KEY, v TEXT COMPRESSED)").await;
    db.run("CREATE VIEW seen AS SELECT k FROM t").await;
    let source = db.source(&[]);
    let mut cursor = all(&*source).await.cursor().unwrap().clone();
    for insert in ["t VALUES (1)", "keyless VALUES (1)", "named VALUES (UUID())", "packed VALUES (1, 'x')"] {
        db.run(&format!("INSERT INTO {insert}")).await;
    }
    assert_eq!(since(&*source, &mut cursor).await.ids(), ["t_1"]);
    assert!(source.changed(Some(&cursor)).await.unwrap().perhaps(), "the index does not have all there is");
}

#[tokio::test]
#[ignore = "needs tests/backends/mariadb"]
async fn tables_with_columns_that_may_not_be_known_are_left_to_full_syncs() {
    let db = Db::new("hidden_columns").await;
    db.run("CREATE TABLE part (secret INT, k INT PRIMARY KEY, v INT)").await;
    db.run("CREATE TABLE t (k INT PRIMARY KEY, v INT)").await;
    db.run("INSERT INTO part VALUES (2, 1, 0), (1, 2, 0)").await;
    let (user, password) = db
        .account(&[
            "SELECT (k, v) ON `{db}`.part",
            "SELECT ON `{db}`.t",
            "BINLOG MONITOR, REPLICATION SLAVE ON *.*",
        ])
        .await;
    let source = db.source(&[("user", &user), ("password", &password)]);
    let full = all(&*source).await;
    assert_eq!(json!(full.documents["part_1"]), json!({"k": 1, "v": 0, "Table": "part"}));
    let mut cursor = full.cursor().unwrap().clone();
    // The log tells columns by their place: taken for the key, `secret` would name another row.
    db.run("UPDATE part SET v = 9 WHERE k = 1").await;
    db.run("INSERT INTO t VALUES (1, 1)").await;
    assert_eq!(since(&*source, &mut cursor).await.ids(), ["t_1"]);
    assert!(source.changed(Some(&cursor)).await.unwrap().perhaps());
}

#[tokio::test]
#[ignore = "needs tests/backends/mariadb"]
async fn what_foreign_keys_delete_is_left_to_full_syncs() {
    for grant in ["SELECT", "SELECT, SHOW VIEW"] {
        let db = Db::new("cascades").await;
        db.run("CREATE TABLE parent (k INT PRIMARY KEY)").await;
        db.run("CREATE TABLE child (k INT PRIMARY KEY, p INT, FOREIGN KEY (p) REFERENCES parent (k) ON DELETE CASCADE)")
        .await;
        db.run("INSERT INTO parent VALUES (1), (2)").await;
        db.run("INSERT INTO child VALUES (10, 1), (20, 2)").await;
        let (user, password) = db
            .account(&[format!("{grant} ON `{{db}}`.*").as_str(), "BINLOG MONITOR, REPLICATION SLAVE ON *.*"])
            .await;
        let source = db.source(&[("user", &user), ("password", &password)]);
        let mut cursor = all(&*source).await.cursor().unwrap().clone();
        assert_eq!(cursor["steady"], true);
        db.run("DELETE FROM parent WHERE k = 1").await;
        db.run("INSERT INTO child VALUES (21, 2)").await;
        let sent = since(&*source, &mut cursor).await;
        assert_eq!((sent.deletes.clone(), sent.ids()), (vec!["parent_1".to_owned()], vec!["child_21"]));
        assert_eq!(cursor["steady"], false, "child_10 is still in the index");
        assert!(source.changed(Some(&cursor)).await.unwrap().perhaps());
    }
}

#[tokio::test]
#[ignore = "needs tests/backends/mariadb"]
async fn tables_that_are_gone_need_a_full_sync() {
    for (statement, gone) in [
        ("DROP TABLE t", "t was"),
        ("RENAME TABLE t TO other", "t was"),
        ("DROP TABLE keyless", "keyless was"),
        ("DROP VIEW seen", "seen was"),
    ] {
        let db = Db::new("gone").await;
        db.fill(3, 1).await;
        db.run("CREATE TABLE keyless (v INT)").await;
        db.run("CREATE TABLE stays (k INT PRIMARY KEY)").await;
        db.run("CREATE VIEW seen AS SELECT k FROM stays").await;
        let source = db.source(&[]);
        let cursor = all(&*source).await.cursor().unwrap().clone();
        db.run(statement).await;
        let (sent, result) = changes(&*source, &cursor).await;
        let error = result.expect_err(statement);
        assert_eq!(error.kind(), ErrorKind::Incomplete, "{error}");
        assert!(error.to_string().contains(gone) && error.to_string().contains("full sync"), "{error}");
        assert!(sent.checkpoints.is_empty());
    }
}

#[tokio::test]
#[ignore = "needs tests/backends/mariadb"]
async fn a_log_that_went_backwards_needs_a_full_sync() {
    let db = Db::new("backwards").await;
    db.fill(3, 1).await;
    let source = db.source(&[]);
    let cursor = all(&*source).await.cursor().unwrap().clone();
    let (mut offset, mut file) = (cursor.clone(), cursor.clone());
    offset["binlog"]["position"] = json!(cursor["binlog"]["position"].as_u64().unwrap() + (1 << 30));
    file["binlog"]["file"] = json!("log.999999");
    for cursor in [offset, file] {
        let (_, result) = changes(&*source, &cursor).await;
        let error = result.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Incomplete, "{error}");
        assert!(error.to_string().contains("begun anew"), "{error}");
    }
}

#[tokio::test]
#[ignore = "needs tests/backends/mariadb"]
async fn many_changes_come_in_batches_with_positions_in_between() {
    let db = Db::new("many_changes").await;
    db.fill(0, 1).await;
    let source = db.source(&[]);
    let mut cursor = all(&*source).await.cursor().unwrap().clone();
    for part in 0..3 {
        let from = part * 2000 + 1;
        db.run(&format!("INSERT INTO t SELECT seq, RPAD(seq, 300, 'x') FROM seq_{from}_to_{}", from + 1999))
            .await;
    }
    db.run("DELETE FROM t WHERE k <= 100").await;
    db.run("FLUSH BINARY LOGS").await;
    db.run("UPDATE t SET v = 'last' WHERE k = 200").await;
    let sent = since(&*source, &mut cursor).await;
    assert_eq!(sent.documents.len(), 5900);
    assert_eq!(sent.documents["t_200"]["v"], "last");
    let gone: std::collections::BTreeSet<_> = sent.deletes.iter().collect();
    assert_eq!(gone.len(), 100);
    assert!(sent.checkpoints.len() >= 3, "{}", sent.checkpoints.len());
    // A sync that ends in between goes on from there.
    let mut middle = sent.checkpoints[1].clone();
    let rest = since(&*source, &mut middle).await;
    assert!(rest.documents.contains_key("t_200") && rest.documents.len() < 5900);
}

#[tokio::test]
#[ignore = "needs tests/backends/mariadb"]
async fn what_the_log_cannot_tell_needs_a_full_sync() {
    for (statement, expected) in [
        ("TRUNCATE TABLE t", "the table t was emptied"),
        ("ALTER TABLE t ADD COLUMN x INT FIRST", "the table t was altered"),
        ("CREATE OR REPLACE TABLE t (k INT PRIMARY KEY)", "the table t was replaced"),
        ("RENAME TABLE t TO old", "renamed"),
        ("SET STATEMENT binlog_format = 'STATEMENT' FOR UPDATE t SET v = 'y'", "binlog_format"),
    ] {
        let db = Db::new("lost").await;
        db.fill(3, 1).await;
        db.run("CREATE TABLE u (k INT PRIMARY KEY)").await;
        let source = db.source(&[("tables", "t,u")]);
        let cursor = all(&*source).await.cursor().unwrap().clone();
        db.run("UPDATE t SET v = 'z' WHERE k = 1").await;
        db.run(statement).await;
        if statement.starts_with("RENAME") {
            db.run("CREATE TABLE t (k INT PRIMARY KEY)").await;
        }
        let (sent, result) = changes(&*source, &cursor).await;
        let error = result.expect_err(statement);
        assert_eq!(error.kind(), ErrorKind::Incomplete, "{error}");
        let text = error.to_string();
        assert!(text.contains(expected) && text.contains("full sync"), "{statement}: {text}");
        assert!(sent.checkpoints.is_empty());
        // Which is possible, and incremental ones go on from there.
        let mut cursor = all(&*source).await.cursor().unwrap().clone();
        assert!(since(&*source, &mut cursor).await.documents.is_empty());
    }
}

#[tokio::test]
#[ignore = "needs tests/backends/mariadb"]
async fn without_a_cursor_everything_is_sent() {
    let db = Db::new("no_cursor").await;
    db.fill(30, 1).await;
    let source = db.source(&[]);
    let (sent, result) = listen(&*source, Ask::Changes(None), usize::MAX, async {}).await;
    result.unwrap();
    assert_eq!(sent.documents.len(), 30);
    let mut cursor = sent.cursor().unwrap().clone();
    // What was deleted before is not known to have been: only a full sync may say that nothing changed.
    assert!(source.changed(Some(&cursor)).await.unwrap().perhaps());
    db.run("DELETE FROM t WHERE k = 1").await;
    assert_eq!(since(&*source, &mut cursor).await.deletes, ["t_1"]);
    // Another selection of tables is another index.
    let (sent, result) = changes(&*db.source(&[("tables", "t")]), &cursor).await;
    result.unwrap();
    assert_eq!(sent.documents.len(), 29);
}

#[tokio::test]
#[ignore = "needs tests/backends/mariadb"]
async fn the_privileges_that_are_missing_are_named() {
    let db = Db::new("log_privileges").await;
    db.fill(3, 1).await;
    let (user, password) = db.account(&["SELECT ON `{db}`.*"]).await;
    let source = db.source(&[("user", &user), ("password", &password)]);
    assert_eq!(all(&*source).await.checkpoints, Vec::<Value>::new());
    let (_, result) = listen(&*source, Ask::Changes(None), usize::MAX, async {}).await;
    let text = result.unwrap_err().to_string();
    assert!(text.contains("REPLICATION CLIENT") && text.contains("watermark_column"), "{text}");

    let (user, password) = db.account(&["SELECT ON `{db}`.*", "BINLOG MONITOR ON *.*"]).await;
    let source = db.source(&[("user", &user), ("password", &password)]);
    let cursor = all(&*source).await.cursor().unwrap().clone();
    db.run("UPDATE t SET v = 'z'").await;
    let (_, result) = changes(&*source, &cursor).await;
    let text = result.unwrap_err().to_string();
    assert!(text.contains("REPLICATION SLAVE") && !text.contains("secret-word"), "{text}");

    let (user, password) =
        db.account(&["SELECT ON `{db}`.*", "BINLOG MONITOR, REPLICATION SLAVE ON *.*"]).await;
    let source = db.source(&[("user", &user), ("password", &password)]);
    let cursor = all(&*source).await.cursor().unwrap().clone();
    db.run("UPDATE t SET v = 'y'").await;
    assert_eq!(changes(&*source, &cursor).await.0.documents.len(), 3);
}

#[tokio::test]
#[ignore = "needs tests/backends/mariadb"]
async fn a_watermark_does_without_the_log() {
    let db = Db::new("watermark").await;
    db.run("CREATE TABLE t (k INT PRIMARY KEY, v INT, at DATETIME(6))").await;
    db.run("CREATE TABLE version (k INT PRIMARY KEY, at BIGINT UNSIGNED)").await;
    db.run("CREATE TABLE without (k INT PRIMARY KEY)").await;
    db.run("INSERT INTO t SELECT seq, seq, DATE_ADD('2026-01-01', INTERVAL seq SECOND) FROM seq_1_to_10")
        .await;
    let (user, password) = db.account(&["SELECT ON `{db}`.*"]).await;
    let source = db.source(&[("user", &user), ("password", &password), ("watermark_column", "at")]);
    let full = all(&*source).await;
    assert_eq!(full.documents.len(), 10);
    let mut cursor = full.cursor().unwrap().clone();
    assert!(source.changed(Some(&cursor)).await.unwrap().perhaps());
    db.run("UPDATE t SET v = 0, at = '2026-02-01' WHERE k = 3").await;
    db.run("INSERT INTO version VALUES (1, 18446744073709551615)").await;
    db.run("INSERT INTO without VALUES (1)").await;
    let sent = since(&*source, &mut cursor).await;
    // The last row of before has the last watermark and comes again.
    assert_eq!(sent.ids(), ["t_10", "t_3", "version_1"]);
    assert_eq!(cursor["watermarks"], json!({"t": "2026-02-01", "version": u64::MAX}));
    let sent = since(&*source, &mut cursor).await;
    assert_eq!(sent.ids(), ["t_3", "version_1"]);
}

#[tokio::test]
#[ignore = "needs tests/backends/mariadb"]
async fn whether_anything_changed_is_known_by_the_logs_position() {
    // Nobody else writes to a server of its own.
    let server = Server::start(3392);
    let db = Db::on(&server.url(), "unchanged").await;
    db.fill(10, 1).await;
    db.run("CREATE VIEW plain AS SELECT k FROM t").await;
    let source = db.source(&[]);
    assert!(source.changed(None).await.unwrap().perhaps());
    let mut cursor = all(&*source).await.cursor().unwrap().clone();
    assert!(!source.changed(Some(&cursor)).await.unwrap().perhaps());
    // Other settings read something else.
    assert!(db.source(&[("tables", "t")]).changed(Some(&cursor)).await.unwrap().perhaps());
    // Even a write elsewhere may be seen through a view.
    db.run("CREATE TABLE u (k INT)").await;
    assert!(source.changed(Some(&cursor)).await.unwrap().perhaps());

    cursor = all(&*source).await.cursor().unwrap().clone();
    assert!(!source.changed(Some(&cursor)).await.unwrap().perhaps());
    db.run("DROP TABLE u").await;
    db.run("DROP VIEW plain").await;
    cursor = all(&*source).await.cursor().unwrap().clone();
    db.run("UPDATE t SET v = 'z' WHERE k = 1").await;
    assert!(source.changed(Some(&cursor)).await.unwrap().perhaps());
    assert_eq!(since(&*source, &mut cursor).await.ids(), ["t_1"]);
    assert!(!source.changed(Some(&cursor)).await.unwrap().perhaps());

    db.run("CREATE VIEW timed AS SELECT k, NOW() AS at FROM t").await;
    let cursor = all(&*source).await.cursor().unwrap().clone();
    assert!(source.changed(Some(&cursor)).await.unwrap().perhaps(), "a view may change with the time");

    // A log that is gone, and then another server.
    let source = db.source(&[("tables", "t")]);
    let cursor = all(&*source).await.cursor().unwrap().clone();
    db.run("FLUSH BINARY LOGS").await;
    db.run("UPDATE t SET v = 'y'").await;
    db.run("FLUSH BINARY LOGS").await;
    let mut conn = db.conn().await;
    let last: Option<String> = mysql_async::prelude::Queryable::query_first(&mut conn, "SHOW MASTER STATUS")
        .await
        .unwrap()
        .map(|row: mysql_async::Row| row.get(0).unwrap());
    db.run(&format!("PURGE BINARY LOGS TO '{}'", last.unwrap())).await;
    let (sent, result) = changes(&*source, &cursor).await;
    let error = result.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Incomplete, "{error}");
    assert!(error.to_string().contains("full sync") && sent.checkpoints.is_empty(), "{error}");
    let mut elsewhere = cursor.clone();
    elsewhere["binlog"]["server"] = json!("another");
    assert!(source.changed(Some(&elsewhere)).await.unwrap().perhaps());
    let (_, result) = changes(&*source, &elsewhere).await;
    assert!(result.unwrap_err().to_string().contains("another one"));

    // A server that crashed begins a new file and goes on.
    let mut cursor = all(&*source).await.cursor().unwrap().clone();
    db.run("UPDATE t SET v = 'before' WHERE k = 1").await;
    server.restart();
    db.run("UPDATE t SET v = 'after' WHERE k = 2").await;
    assert_eq!(since(&*source, &mut cursor).await.ids(), ["t_1", "t_2"]);
}
