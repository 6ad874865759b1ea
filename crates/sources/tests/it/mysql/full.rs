//! Full syncs.

use serde_json::json;

use super::support::{Db, all};

#[tokio::test]
#[ignore = "needs tests/backends/mariadb"]
async fn pages_have_no_edges() {
    for rows in [0, 1, 9, 10, 11, 20, 21] {
        let db = Db::new("edges").await;
        db.fill(rows, 5).await;
        let sent = all(&*db.source(&[("fetch_size", "10")])).await;
        assert_eq!((sent.documents.len() as u64, sent.repeated), (rows, 0));
        assert_eq!(sent.partitions, ["t"]);
    }
}

#[tokio::test]
#[ignore = "needs tests/backends/mariadb"]
async fn a_row_is_a_document_named_by_its_key() {
    let db = Db::new("names").await;
    db.run("CREATE TABLE one (id INT PRIMARY KEY, name TEXT)").await;
    db.run("INSERT INTO one VALUES (7, 'seven'), (-1, NULL)").await;
    // The id follows the table's columns, pages the key's.
    db.run("CREATE TABLE two (a VARCHAR(9), n INT, PRIMARY KEY (n, a))").await;
    db.run("INSERT INTO two VALUES ('x_y', 1), ('x', 2)").await;
    let sent = all(&*db.source(&[])).await;
    assert_eq!(sent.ids(), ["one_-1", "one_7", "two_x\\_y_1", "two_x_2"]);
    assert_eq!(json!(sent.documents["one_7"]), json!({"id": 7, "name": "seven", "Table": "one"}));
    assert_eq!(json!(sent.documents["one_-1"]), json!({"id": -1, "name": null, "Table": "one"}));
    assert_eq!(sent.checkpoints.len(), 1);
}

#[tokio::test]
#[ignore = "needs tests/backends/mariadb"]
async fn keys_of_every_kind_are_paged_without_gaps() {
    let db = Db::new("keys").await;
    db.run("CREATE TABLE ci (k VARCHAR(20) CHARACTER SET utf8mb4 COLLATE utf8mb4_general_ci PRIMARY KEY)")
        .await;
    db.run("CREATE TABLE latin (k VARCHAR(20) CHARACTER SET latin1 PRIMARY KEY)").await;
    db.run("CREATE TABLE bin (k VARBINARY(20) PRIMARY KEY)").await;
    db.run("CREATE TABLE pair (a VARCHAR(9), b BIGINT UNSIGNED, c DATE, PRIMARY KEY (c, a, b))").await;
    db.run("CREATE TABLE enumerated (k ENUM('z','y','x','w') PRIMARY KEY)").await;
    db.run("CREATE TABLE money (k DECIMAL(18,0) PRIMARY KEY)").await;
    db.run("CREATE TABLE fraction (k DECIMAL(30,2) PRIMARY KEY)").await;
    db.run("CREATE TABLE moment (k DATETIME(6) PRIMARY KEY)").await;
    db.run("CREATE TABLE named (k UUID PRIMARY KEY)").await;
    db.run("CREATE TABLE late (u INT NOT NULL, v INT, UNIQUE KEY (u))").await;
    for insert in [
        "INSERT INTO ci SELECT CONCAT(IF(seq % 2, 'ä', 'Z'), seq, IF(seq % 3, '  x', '')) FROM seq_1_to_100",
        "INSERT INTO latin SELECT CONCAT(IF(seq % 2, 'ä', 'Z'), seq) FROM seq_1_to_100",
        "INSERT INTO bin SELECT UNHEX(LPAD(HEX(seq * 1000003), 8, '0')) FROM seq_1_to_100",
        "INSERT INTO pair SELECT CHAR(65 + seq % 3), 18446744073709551615 - seq, DATE_ADD('2026-01-01', INTERVAL seq % 5 DAY) FROM seq_1_to_100",
        "INSERT INTO enumerated VALUES ('z'), ('y'), ('x'), ('w')",
        "INSERT INTO money SELECT seq * 1000000000000007 FROM seq_1_to_100",
        "INSERT INTO fraction SELECT 12345678901234567890 + seq / 100 FROM seq_1_to_100",
        "INSERT INTO moment SELECT DATE_ADD('2026-01-01', INTERVAL seq MICROSECOND) FROM seq_1_to_100",
        "INSERT INTO named SELECT UUID() FROM seq_1_to_100",
        "INSERT INTO late SELECT seq, seq FROM seq_1_to_100",
    ] {
        db.run(insert).await;
    }
    let sent = all(&*db.source(&[("fetch_size", "7")])).await;
    assert_eq!((sent.documents.len(), sent.repeated), (904, 0));
    assert!(sent.documents.contains_key("latin_ä1") && sent.documents.contains_key("enumerated_w"));
    assert!(
        sent.documents.contains_key("money_100000000000000700") && sent.documents.contains_key("late_100")
    );
    assert!(sent.documents.contains_key("moment_2026-01-01 00:00:00.000001"));
}

#[tokio::test]
#[ignore = "needs tests/backends/mariadb"]
async fn tables_without_a_key_and_views_are_read_as_well() {
    let db = Db::new("keyless").await;
    db.run("CREATE TABLE log (a INT, b VARCHAR(9))").await;
    db.run("INSERT INTO log VALUES (1, 'x'), (1, 'x'), (1, NULL), (2, 'y')").await;
    db.run("CREATE VIEW seen AS SELECT b, COUNT(*) AS n FROM log GROUP BY b").await;
    let first = all(&*db.source(&[])).await;
    assert_eq!((first.documents.len(), first.repeated), (6, 1));
    assert_eq!(first.documents.values().filter(|row| row["Table"] == "seen").count(), 3);
    let again = all(&*db.source(&[])).await;
    assert_eq!(first.documents, again.documents);
    let only = all(&*db.source(&[("tables", "seen")])).await;
    assert_eq!(only.documents.len(), 3);
}

#[tokio::test]
#[ignore = "needs tests/backends/mariadb"]
async fn names_may_hold_anything() {
    let db = Db::new("odd`name").await;
    db.run("CREATE TABLE `a``b; DROP` (`k` INT, `we ird``\"' ü` INT, `Table` TEXT, `_id` INT, PRIMARY KEY (`we ird``\"' ü`, k))")
        .await;
    db.run("INSERT INTO `a``b; DROP` SELECT seq, seq % 3, 'mine', 9 FROM seq_1_to_20").await;
    let sent = all(&*db.source(&[("tables", "a`b; DROP"), ("fetch_size", "6")])).await;
    assert_eq!((sent.documents.len(), sent.repeated), (20, 0));
    let row = json!(sent.documents["a`b; DROP_4_1"]);
    assert_eq!(row, json!({"k": 4, "we ird`\"' ü": 1, "Table": "a`b; DROP"}));
}

#[tokio::test]
#[ignore = "needs tests/backends/mariadb"]
async fn large_tables_are_read_in_parts_side_by_side() {
    let db = Db::new("parts").await;
    db.fill(120_000, 20).await;
    db.run("ANALYZE TABLE t").await;
    // Other tests write to the same server, so that several snapshots may not be the same at once.
    for _ in 0..10 {
        let sent = all(&*db.source(&[])).await;
        assert_eq!((sent.documents.len(), sent.repeated), (120_000, 0));
        if sent.partitions.len() > 1 {
            assert!(
                sent.partitions.len() <= 4 && sent.partitions[0].starts_with("t ["),
                "{:?}",
                sent.partitions
            );
            return;
        }
    }
    panic!("never more than one part");
}

#[tokio::test]
#[ignore = "needs tests/backends/mariadb"]
async fn a_later_page_costs_as_the_first() {
    use mysql_async::prelude::Queryable;

    let db = Db::new("plan").await;
    db.run("CREATE TABLE t (a INT, b VARCHAR(20), c INT, PRIMARY KEY (a, b))").await;
    db.run("INSERT INTO t SELECT seq % 100, CONCAT('k', seq), seq FROM seq_1_to_20000").await;
    db.run("ANALYZE TABLE t").await;
    let mut conn = db.conn().await;
    let plan: Vec<mysql_async::Row> = conn
        .exec(
            "EXPLAIN SELECT `a`, `b`, `c` FROM t WHERE ((`a` > ?) OR (`a` = ? AND `b` > ?)) ORDER BY `a`, `b` LIMIT ?",
            (50, 50, "k9", 100),
        )
        .await
        .unwrap();
    let access: String = plan[0].get("type").unwrap();
    let extra: String = plan[0].get("Extra").unwrap();
    assert_eq!((plan.len(), access.as_str()), (1, "range"));
    assert!(!extra.contains("filesort"), "{extra}");
}
