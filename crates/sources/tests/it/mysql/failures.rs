//! What goes wrong: credentials, privileges, connections, servers, tables.

use std::time::{Duration, Instant};

use connectors_sdk::{DataSource, ErrorKind, SinkLimits, SourceContext, channel};
use mysql_async::prelude::Queryable;
use serde_json::json;
use tokio_util::sync::CancellationToken;

use super::support::{Ask, Db, Server, all, listen, proxy};

async fn validation(source: Box<dyn DataSource>) -> (ErrorKind, String) {
    let error = source.validate().await.unwrap_err();
    let text = format!("{error} {error:?}");
    assert!(!text.contains("secret-word"), "{text}");
    (error.kind(), text)
}

#[tokio::test]
#[ignore = "needs tests/backends/mariadb"]
async fn wrong_settings_are_found_before_a_sync() {
    let db = Db::new("settings").await;
    db.fill(1, 1).await;
    let (kind, text) = validation(db.source(&[("password", "secret-word")])).await;
    assert_eq!(kind, ErrorKind::Authentication);
    assert!(text.contains("`password`") && text.contains("1045"), "{text}");
    let (kind, text) = validation(db.source(&[("database", "no_such_database")])).await;
    assert_eq!(kind, ErrorKind::Config);
    assert!(text.contains("no_such_database") && text.contains("`database`"), "{text}");
    let (kind, text) = validation(db.source(&[("tables", "t,zebra")])).await;
    assert_eq!(kind, ErrorKind::Config);
    assert!(text.contains("zebra does not exist") && text.contains("may be read: t."), "{text}");
    let (kind, text) = validation(db.source(&[("host", "no-such-host.invalid")])).await;
    assert_eq!(kind, ErrorKind::Unavailable);
    assert!(text.contains("no-such-host.invalid:"), "{text}");
    let (kind, text) = validation(db.source(&[("ssl_enabled", "true")])).await;
    assert_eq!(kind, ErrorKind::Config);
    assert!(text.contains("ssl_enabled"), "{text}");
    db.source(&[]).validate().await.unwrap();
    db.source(&[]).ping().await.unwrap();
}

#[tokio::test]
#[ignore = "needs tests/backends/mariadb"]
async fn only_what_may_be_read_is_read() {
    let db = Db::new("privileges").await;
    db.fill(3, 1).await;
    db.run("CREATE TABLE hidden (k INT PRIMARY KEY)").await;
    db.run("CREATE TABLE partly (k INT PRIMARY KEY, secret INT)").await;
    db.run("INSERT INTO partly VALUES (1, 2)").await;
    let (user, password) =
        db.account(&["INSERT ON `{db}`.hidden", "SELECT ON `{db}`.t", "SELECT (k) ON `{db}`.partly"]).await;
    let account = [("user", user.as_str()), ("password", password.as_str())];
    let sent = all(&*db.source(&account)).await;
    assert_eq!(sent.ids(), ["partly_1", "t_1", "t_2", "t_3"]);
    assert_eq!(json!(sent.documents["partly_1"]), json!({"k": 1, "Table": "partly"}));
    let (kind, text) = validation(db.source(&[account[0], account[1], ("tables", "hidden")])).await;
    assert_eq!(kind, ErrorKind::Config);
    assert!(text.contains("hidden does not exist or may not be read"), "{text}");
    let (user, password) = db.account(&[]).await;
    let (kind, text) = validation(db.source(&[("user", &user), ("password", &password)])).await;
    assert_eq!(kind, ErrorKind::PermissionDenied);
    assert!(text.contains("GRANT SELECT"), "{text}");
}

#[tokio::test]
#[ignore = "needs tests/backends/mariadb"]
async fn an_account_that_may_read_nothing_empties_no_index() {
    let db = Db::new("nothing").await;
    db.fill(3, 1).await;
    let (user, password) = db.account(&["INSERT ON `{db}`.*", "SHOW VIEW ON `{db}`.*"]).await;
    let source = db.source(&[("user", &user), ("password", &password)]);
    let (_, result) = listen(&*source, Ask::All(None), usize::MAX, async {}).await;
    let error = result.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Config, "{error}");
    assert!(error.to_string().contains("SELECT"), "{error}");
}

#[tokio::test]
#[ignore = "needs tests/backends/mariadb"]
async fn a_broken_view_is_an_error_and_not_empty() {
    let db = Db::new("broken").await;
    db.fill(3, 1).await;
    db.run("CREATE TABLE gone (k INT) ENGINE=MyISAM").await;
    db.run("CREATE VIEW seen AS SELECT k FROM gone").await;
    assert_eq!(all(&*db.source(&[])).await.documents.len(), 3);
    db.run("DROP TABLE gone").await;
    for tables in ["*", "t,seen"] {
        let (sent, result) =
            listen(&*db.source(&[("tables", tables)]), Ask::All(None), usize::MAX, async {}).await;
        let error = result.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Incomplete, "{error}");
        let text = error.to_string();
        assert!(text.contains("seen (") && text.contains("1356"), "{text}");
        assert!(sent.documents.is_empty());
    }
    assert_eq!(all(&*db.source(&[("tables", "t")])).await.documents.len(), 3);
    // What may be known of and not be read is no such table.
    db.run("DROP VIEW seen").await;
    db.run("CREATE TABLE hidden (k INT PRIMARY KEY)").await;
    let (user, password) = db.account(&["SHOW VIEW, DROP ON `{db}`.*", "SELECT ON `{db}`.t"]).await;
    let sent = all(&*db.source(&[("user", &user), ("password", &password)])).await;
    assert_eq!(sent.partitions, ["t"]);
}

#[tokio::test]
#[ignore = "needs tests/backends/mariadb"]
async fn a_stopped_sync_ends_at_once() {
    let db = Db::new("stop").await;
    db.fill(50_000, 1000).await;
    let source = db.source(&[]);
    let (sink, mut inbox) = channel(SinkLimits { messages: 300, bytes: 1 << 20 });
    let started = Instant::now();
    let stop = async {
        for _ in 0..5 {
            inbox.receive().await.unwrap();
        }
        drop(inbox);
    };
    let (result, ()) = tokio::join!(source.documents(None, &sink), stop);
    assert_eq!(result.unwrap_err().kind(), ErrorKind::Canceled);
    assert!(started.elapsed() < Duration::from_secs(2));

    // Nothing is received: only the token can say that it is over. A lock is waited for the same way.
    let cancel = CancellationToken::new();
    let source = db.source_in(&[], SourceContext { cancel: cancel.clone(), ..SourceContext::default() });
    let (sink, _inbox) = channel(SinkLimits { messages: 1, bytes: 1 });
    let stop = async {
        tokio::time::sleep(Duration::from_millis(300)).await;
        cancel.cancel();
    };
    let (result, ()) = tokio::join!(source.documents(None, &sink), stop);
    assert_eq!(result.unwrap_err().kind(), ErrorKind::Canceled);
}

#[tokio::test]
#[ignore = "needs tests/backends/mariadb"]
async fn a_cut_connection_is_made_anew_and_nothing_is_lost() {
    let db = Db::new("cut").await;
    db.fill(5000, 500).await;
    for (cuts, retries, complete) in [(2, "3", true), (1, "0", false)] {
        let (port, left) = proxy(db.port, cuts, 700_000).await;
        let source =
            db.source(&[("port", &port.to_string()), ("fetch_size", "1000"), ("retry_count", retries)]);
        let (sent, result) = listen(&*source, Ask::All(None), usize::MAX, async {}).await;
        assert_eq!(left.load(std::sync::atomic::Ordering::Relaxed), 0);
        if complete {
            result.unwrap();
            assert_eq!(sent.documents.len(), 5000);
            assert!(sent.open.is_empty());
        } else {
            let error = result.unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Unavailable, "{error}");
            assert!(sent.documents.len() < 5000 && sent.open == ["t"] && sent.checkpoints.is_empty());
        }
    }
}

#[tokio::test]
#[ignore = "needs tests/backends/mariadb"]
async fn a_table_without_a_key_is_read_again_after_a_cut() {
    let db = Db::new("cut_stream").await;
    db.run("CREATE TABLE t (v VARCHAR(600))").await;
    db.run("INSERT INTO t SELECT RPAD(seq, 500, 'x') FROM seq_1_to_3000").await;
    let (port, _) = proxy(db.port, 1, 700_000).await;
    let sent = all(&*db.source(&[("port", &port.to_string())])).await;
    assert_eq!(sent.documents.len(), 3000);
    assert!(sent.repeated > 500, "{}", sent.repeated);
}

#[tokio::test]
#[ignore = "needs tests/backends/mariadb"]
async fn a_restarted_server_is_read_to_the_end() {
    let server = Server::start(3391);
    let db = Db::on(&server.url(), "restart").await;
    db.fill(20_000, 500).await;
    let source = db.source(&[("fetch_size", "1000")]);
    let restart = async { tokio::task::block_in_place(|| server.restart()) };
    let (sent, result) = on_threads(async { listen(&*source, Ask::All(None), 3000, restart).await });
    result.unwrap();
    assert_eq!(sent.documents.len(), 20_000);
    assert!(sent.open.is_empty());
}

/// `block_in_place` needs a runtime of several threads.
fn on_threads<T: Send>(work: impl Future<Output = T> + Send) -> T {
    std::thread::scope(|scope| {
        let runtime = scope.spawn(|| {
            tokio::runtime::Builder::new_multi_thread()
                .worker_threads(2)
                .enable_all()
                .build()
                .unwrap()
                .block_on(work)
        });
        runtime.join().unwrap()
    })
}

#[tokio::test]
#[ignore = "needs tests/backends/mariadb"]
async fn a_dropped_table_is_an_error_and_no_end() {
    let db = Db::new("dropped").await;
    db.fill(20_000, 500).await;
    let source = db.source(&[("fetch_size", "1000")]);
    let (sent, result) = listen(&*source, Ask::All(None), 3000, async { db.run("DROP TABLE t").await }).await;
    let error = result.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Incomplete, "{error}");
    assert!(error.to_string().contains('t') && error.to_string().contains("dropped"), "{error}");
    assert!(sent.documents.len() < 20_000 && sent.open == ["t"]);
}

#[tokio::test]
#[ignore = "needs tests/backends/mariadb"]
async fn an_altered_table_is_read_on() {
    let db = Db::new("altered").await;
    db.fill(20_000, 500).await;
    let source = db.source(&[("fetch_size", "1000")]);
    let alter = async {
        db.run("ALTER TABLE t ADD COLUMN more INT DEFAULT 5 FIRST").await;
        db.run("ALTER TABLE t DROP COLUMN v").await;
    };
    let (sent, result) = listen(&*source, Ask::All(None), 3000, alter).await;
    result.unwrap();
    assert_eq!(sent.documents.len(), 20_000);
    assert_eq!(json!(sent.documents["t_20000"]), json!({"more": 5, "k": 20_000, "Table": "t"}));
    assert!(sent.documents["t_1"].contains_key("v"));
}

#[tokio::test]
#[ignore = "needs tests/backends/mariadb"]
async fn a_key_that_is_sorted_in_another_way_is_read_from_its_begin() {
    let db = Db::new("rekeyed").await;
    db.run("CREATE TABLE t (k VARCHAR(20) COLLATE utf8mb4_general_ci PRIMARY KEY, v VARCHAR(500))").await;
    db.run("INSERT INTO t SELECT CONCAT(IF(seq % 2, 'a', 'B'), seq), RPAD('', 500, 'x') FROM seq_1_to_20000")
        .await;
    let source = db.source(&[("fetch_size", "1000")]);
    // Now B comes before a.
    let alter = async { db.run("ALTER TABLE t MODIFY k VARCHAR(20) COLLATE utf8mb4_bin").await };
    let (sent, result) = listen(&*source, Ask::All(None), 3000, alter).await;
    result.unwrap();
    assert_eq!(sent.documents.len(), 20_000);
}

#[tokio::test]
#[ignore = "needs tests/backends/mariadb"]
async fn what_is_written_meanwhile_is_not_seen() {
    let db = Db::new("snapshot").await;
    db.fill(20_000, 500).await;
    let source = db.source(&[("fetch_size", "1000")]);
    let write = async {
        db.run("DELETE FROM t WHERE k > 15000").await;
        db.run("UPDATE t SET v = 'changed' WHERE k > 10000").await;
    };
    let (sent, result) = listen(&*source, Ask::All(None), 3000, write).await;
    result.unwrap();
    assert_eq!(sent.documents.len(), 20_000);
    assert_ne!(sent.documents["t_15000"]["v"], "changed");
}

#[tokio::test]
#[ignore = "needs tests/backends/mariadb"]
async fn a_lock_is_waited_for_a_minute_and_more() {
    let db = Db::new("locked").await;
    db.fill(20_000, 500).await;
    let source = db.source(&[("fetch_size", "1000")]);
    let mut holder = db.conn().await;
    let lock = async {
        holder.query_drop("LOCK TABLES t WRITE").await.unwrap();
        tokio::spawn(async move {
            tokio::time::sleep(Duration::from_secs(61)).await;
            holder.query_drop("UNLOCK TABLES").await.unwrap();
        });
    };
    let started = Instant::now();
    let (sent, result) = listen(&*source, Ask::All(None), 3000, lock).await;
    result.unwrap();
    assert!(started.elapsed() >= Duration::from_mins(1));
    assert_eq!(sent.documents.len(), 20_000);
}

#[tokio::test]
#[ignore = "needs tests/backends/mariadb"]
async fn a_table_may_be_altered_while_another_is_read() {
    let db = Db::new("unblocked").await;
    db.fill(20_000, 500).await;
    db.run("CREATE TABLE a (k INT PRIMARY KEY)").await;
    db.run("INSERT INTO a VALUES (1)").await;
    let source = db.source(&[("fetch_size", "1000"), ("tables", "a,t")]);
    let alter = async {
        let altered = tokio::time::timeout(Duration::from_secs(11), db.run("ALTER TABLE t ADD COLUMN x INT"));
        altered.await.expect("the sync keeps the table from being altered");
    };
    let (sent, result) = listen(&*source, Ask::All(None), 3000, alter).await;
    result.unwrap();
    assert_eq!(sent.documents.len(), 20_001);
}

#[tokio::test]
#[ignore = "needs tests/backends/mariadb"]
async fn a_stopped_sync_leaves_no_statement_behind() {
    let db = Db::new("left").await;
    db.run("CREATE TABLE t (v VARCHAR(1000))").await;
    db.run("INSERT INTO t SELECT RPAD(seq, 1000, 'x') FROM seq_1_to_30000").await;
    // So large that it is never read to its end.
    db.run("CREATE VIEW endless AS SELECT a.v FROM t a JOIN t b").await;
    let source = db.source(&[("tables", "endless")]);
    let (sink, mut inbox) = channel(SinkLimits { messages: 300, bytes: 1 << 20 });
    let stop = async {
        inbox.receive().await.unwrap();
        inbox.receive().await.unwrap();
        drop(inbox);
    };
    let (result, ()) = tokio::join!(source.documents(None, &sink), stop);
    assert_eq!(result.unwrap_err().kind(), ErrorKind::Canceled);
    let mut conn = db.conn().await;
    for _ in 0..50 {
        tokio::time::sleep(Duration::from_millis(100)).await;
        let running: Option<u64> = conn
            .query_first(format!(
                "SELECT COUNT(*) FROM information_schema.PROCESSLIST WHERE INFO LIKE 'SELECT%`{}`.`endless`%' AND ID <> CONNECTION_ID()",
                db.name
            ))
            .await
            .unwrap();
        if running == Some(0) {
            return;
        }
    }
    panic!("the statement goes on");
}
