//! What happens while a sync is at work: cut connections, restarts, locks, and changes of tables.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::Ordering;
use std::time::Duration;

use connectors_sdk::{ErrorKind, Message, SinkLimits, channel};
use serde_json::json;
use tempfile::TempDir;
use tokio_postgres::Config;

use super::proxy::Proxy;
use super::{Database, Synced, collect, full, server};

const ROWS: usize = 30_000;

async fn with_rows(test: &str) -> Database {
    let database = Database::new(test).await;
    fill(&database).await;
    database
}

async fn fill(database: &Database) {
    database
        .run(&format!(
            "CREATE TABLE t (id text PRIMARY KEY, v text); INSERT INTO t SELECT 'k' || n, repeat('v', 500) FROM generate_series(1, {ROWS}) n"
        ))
        .await;
}

/// A full sync that is so slow that something can be done in the middle of it.
async fn slowly(database: &Database, values: &[(&str, serde_json::Value)]) -> Synced {
    let source = database.source(values);
    collect(async |sink| source.documents(None, sink).await, Duration::from_millis(10)).await
}

/// Waits for the session that holds the snapshot of a sync, however busy the machine is.
async fn has_begun(database: &Database) {
    let holders = "SELECT count(*) FROM pg_stat_activity \
         WHERE datname = current_database() AND state = 'idle in transaction' AND query LIKE '%pg_export_snapshot%'";
    let begun = async {
        while database.client.query_one(holders, &[]).await.unwrap().get::<_, i64>(0) == 0 {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(30), begun).await.expect("a sync with a snapshot");
}

/// Checks leave their connection to the sync; it may be gone by then.
#[tokio::test]
#[ignore = "needs tests/backends/postgresql"]
async fn a_connection_is_used_again_as_long_as_it_is_there() {
    let database = with_rows("spare").await;
    let of_source = async |state: &str| -> Vec<i32> {
        let query = "SELECT pid FROM pg_stat_activity \
             WHERE datname = current_database() AND application_name = 'connectors' AND state = $1";
        database.client.query(query, &[&state]).await.unwrap().iter().map(|row| row.get(0)).collect()
    };
    let source = database.source(&[]);
    source.validate().await.unwrap();
    let spare = of_source("idle").await;
    assert_eq!(spare.len(), 1);
    source.ping().await.unwrap();
    source.validate_advanced_rules(&json!([])).await.unwrap();
    assert_eq!(of_source("idle").await, spare);
    let sync = collect(async |sink| source.documents(None, sink).await, Duration::from_millis(10));
    let holds_the_snapshot = async {
        has_begun(&database).await;
        assert!(of_source("idle in transaction").await.contains(&spare[0]));
    };
    let (synced, ()) = tokio::join!(sync, holds_the_snapshot);
    synced.result.unwrap();
    assert_eq!(synced.documents.len(), ROWS);

    let source = database.source(&[]);
    source.ping().await.unwrap();
    let end = "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity \
         WHERE datname = current_database() AND application_name = 'connectors'";
    database.run(end).await;
    source.ping().await.unwrap();
    database.run(end).await;
    let synced = full(source.as_ref(), None).await;
    synced.result.unwrap();
    assert_eq!(synced.documents.len(), ROWS);
    database.drop().await;
}

#[tokio::test]
#[ignore = "needs tests/backends/postgresql"]
async fn a_cut_connection_is_made_anew_and_nothing_is_lost() {
    let database = with_rows("cut").await;
    let proxy = Proxy::new(server().get_ports()[0], 3_000_000, 3).await;
    let values = [("port", json!(proxy.port))];
    let synced = full(database.source(&values).as_ref(), None).await;
    synced.result.as_ref().unwrap();
    assert_eq!((synced.documents.len(), synced.sent), (ROWS, ROWS));
    assert_eq!(proxy.cuts.load(Ordering::Relaxed), 0, "it was cut three times");
    // A table without a key is read from its beginning again.
    database.run("CREATE TABLE u AS SELECT * FROM t; DROP TABLE t").await;
    let proxy = Proxy::new(server().get_ports()[0], 3_000_000, 1).await;
    let synced = full(database.source(&[("port", json!(proxy.port))]).as_ref(), None).await;
    synced.result.as_ref().unwrap();
    assert_eq!(synced.documents.len(), ROWS);
    assert!(synced.sent > ROWS);
    database.drop().await;
}

#[tokio::test]
#[ignore = "needs tests/backends/postgresql"]
async fn a_connection_that_is_cut_again_and_again_is_an_error() {
    let database = with_rows("cutoff").await;
    let proxy = Proxy::new(server().get_ports()[0], 1_000_000, 3).await;
    let values = [("port", json!(proxy.port)), ("retry_count", json!(0))];
    let synced = full(database.source(&values).as_ref(), None).await;
    assert_eq!(synced.result.as_ref().unwrap_err().kind(), ErrorKind::Unavailable);
    assert!(!synced.documents.is_empty() && synced.documents.len() < ROWS);
    assert!(!synced.open_parts.is_empty(), "the part that was cut is not said to be complete");
    database.drop().await;
}

/// A server of the test's own, to stop and start.
pub(super) struct Instance {
    folder: TempDir,
    port: u16,
}

impl Instance {
    pub(super) fn new(port: u16) -> Self {
        let folder = TempDir::new().unwrap();
        // The server runs as another user.
        let mut mode = std::fs::metadata(folder.path()).unwrap().permissions();
        std::os::unix::fs::PermissionsExt::set_mode(&mut mode, 0o755);
        std::fs::set_permissions(folder.path(), mode).unwrap();
        let instance = Self { folder, port };
        instance.start();
        instance
    }

    fn script(name: &str) -> PathBuf {
        Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/backends/postgresql").join(name)
    }

    pub(super) fn data(&self) -> PathBuf {
        self.folder.path().join("data")
    }

    fn start(&self) {
        let port = self.port.to_string();
        let mut start = Command::new(Self::script("start"));
        let started = start.args(["--port", &port, "--data"]).arg(self.data()).output().unwrap();
        assert!(started.status.success(), "{started:?}");
    }

    fn stop(&self) {
        let stopped = Command::new(Self::script("stop")).arg("--data").arg(self.data()).output().unwrap();
        assert!(stopped.status.success(), "{stopped:?}");
    }

    pub(super) fn config(&self) -> Config {
        format!("postgresql://elastic:elastic@127.0.0.1:{}/postgres", self.port).parse().unwrap()
    }
}

impl Drop for Instance {
    fn drop(&mut self) {
        self.stop();
    }
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs tests/backends/postgresql"]
async fn a_restart_of_the_server_is_waited_for_and_only_it_changes_nothing() {
    let instance = Instance::new(5543);
    let database = Database::on(&instance.config(), "restart").await;
    fill(&database).await;
    let restart = async {
        tokio::time::sleep(Duration::from_millis(600)).await;
        tokio::task::block_in_place(|| {
            instance.stop();
            instance.start();
        });
    };
    let (synced, ()) = tokio::join!(slowly(&database, &[]), restart);
    synced.result.as_ref().unwrap();
    assert_eq!(synced.documents.len(), ROWS);
    // The restart closed the test's own connection.
    let database = Database::on(&instance.config(), "quiet").await;
    fill(&database).await;
    let source = database.source(&[]);
    // The server tidies up for a while after it was busy.
    for _ in 0..20 {
        database.run("CHECKPOINT").await;
        let cursor = full(source.as_ref(), None).await.cursor.unwrap();
        if !source.changed(Some(&cursor)).await.unwrap().perhaps() {
            assert!(!source.changed(Some(&cursor)).await.unwrap().perhaps());
            // Other settings, and whatever is written, make a sync worth while.
            assert!(
                database.source(&[("tables", json!("t"))]).changed(Some(&cursor)).await.unwrap().perhaps()
            );
            database.run("UPDATE t SET v = 'new' WHERE id = 'k1'").await;
            assert!(source.changed(Some(&cursor)).await.unwrap().perhaps());
            database.run("CREATE UNLOGGED TABLE u (id int PRIMARY KEY)").await;
            let unlogged = full(source.as_ref(), None).await.cursor.unwrap();
            assert!(source.changed(Some(&unlogged)).await.unwrap().perhaps());
            return;
        }
        tokio::time::sleep(Duration::from_millis(500)).await;
    }
    panic!("a server at rest is never known to be unchanged");
}

#[tokio::test]
#[ignore = "needs tests/backends/postgresql"]
async fn tables_may_be_altered_while_they_are_read() {
    let database = with_rows("altered").await;
    database.run("CREATE TABLE z (id int PRIMARY KEY); INSERT INTO z VALUES (1)").await;
    let alter = async {
        has_begun(&database).await;
        tokio::time::sleep(Duration::from_millis(200)).await;
        // Nothing of the sync stands in the way for longer than a page.
        let begun = std::time::Instant::now();
        database.run("ALTER TABLE t ADD COLUMN more int DEFAULT 7").await;
        database.run("ALTER TABLE t ADD COLUMN random float8 DEFAULT random()").await;
        database.run("ALTER TABLE t DROP COLUMN v").await;
        begun.elapsed()
    };
    let (synced, took) = tokio::join!(slowly(&database, &[]), alter);
    synced.result.as_ref().unwrap();
    assert!(took < Duration::from_secs(4), "{took:?}");
    assert_eq!(synced.documents.len(), ROWS + 1);
    database.drop().await;
}

#[tokio::test]
#[ignore = "needs tests/backends/postgresql"]
async fn a_table_that_is_emptied_is_not_taken_for_one_that_ended() {
    let database = with_rows("emptied").await;
    let refill = async {
        has_begun(&database).await;
        tokio::time::sleep(Duration::from_millis(200)).await;
        database.run("BEGIN; TRUNCATE t; INSERT INTO t SELECT 'new' || n, 'v' FROM generate_series(1, 6000) n; COMMIT").await;
    };
    let (synced, ()) = tokio::join!(slowly(&database, &[]), refill);
    synced.result.as_ref().unwrap();
    let new = synced.documents.keys().filter(|id| id.contains("_new")).count();
    assert_eq!(new, 6000, "the rows there are now were read");
    database.drop().await;
}

#[tokio::test]
#[ignore = "needs tests/backends/postgresql"]
async fn a_table_that_another_took_the_name_of_is_read_again() {
    let database = with_rows("swapped").await;
    let swap = async {
        has_begun(&database).await;
        tokio::time::sleep(Duration::from_millis(200)).await;
        database
            .run(
                "CREATE TABLE t_new (id text PRIMARY KEY, more int); INSERT INTO t_new SELECT 'new' || n, 7 FROM generate_series(1, 6000) n;
                 BEGIN; ALTER TABLE t RENAME TO t_old; ALTER TABLE t_new RENAME TO t; COMMIT",
            )
            .await;
    };
    let values = [("tables", json!("t"))];
    let (synced, ()) = tokio::join!(slowly(&database, &values), swap);
    synced.result.as_ref().unwrap();
    let new = synced.documents.values().filter(|fields| fields.get("public_t_more") == Some(&json!(7)));
    assert_eq!(new.count(), 6000);
    database.drop().await;
}

#[tokio::test]
#[ignore = "needs tests/backends/postgresql"]
async fn a_table_is_not_taken_for_empty_when_the_snapshot_is_lost_meanwhile() {
    let database = with_rows("alone").await;
    database
        .run("CREATE TABLE u (id text PRIMARY KEY, v text); INSERT INTO u SELECT n, repeat('v', 500) FROM generate_series(1, 100000) n")
        .await;
    let happen = async {
        has_begun(&database).await;
        tokio::time::sleep(Duration::from_millis(200)).await;
        database
            .run("BEGIN; TRUNCATE t; INSERT INTO t SELECT 'new' || n, 'v' FROM generate_series(1, 6000) n")
            .await;
        // A page of `t` waits with the snapshot now; the next one of `u` finds it gone.
        tokio::time::sleep(Duration::from_millis(300)).await;
        let end = "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity \
             WHERE datname = 'it_alone' AND state = 'idle in transaction' AND query LIKE '%pg_export_snapshot%'";
        let ended: i64 = database.client.query_one(end, &[]).await.unwrap().get(0);
        assert_eq!(ended, 1);
        tokio::time::sleep(Duration::from_millis(700)).await;
        database.run("COMMIT").await;
    };
    let (synced, ()) = tokio::join!(slowly(&database, &[]), happen);
    synced.result.as_ref().unwrap();
    let count = |part: &str| synced.documents.keys().filter(|id| id.contains(part)).count();
    assert_eq!((count("_t_new"), count("_u_")), (6000, 100_000));
    database.drop().await;
}

/// A statement that waited for a lock sees what was written meanwhile, whatever the account's isolation level.
#[tokio::test]
#[ignore = "needs tests/backends/postgresql"]
async fn the_accounts_isolation_level_does_not_matter() {
    let database = Database::new("isolation").await;
    database
        .run(
            "CREATE TABLE plain (v int); INSERT INTO plain VALUES (1), (2);
             DROP ROLE IF EXISTS it_strict; CREATE ROLE it_strict LOGIN PASSWORD 'strict'; GRANT SELECT ON plain TO it_strict;
             ALTER ROLE it_strict SET default_transaction_isolation = 'serializable'",
        )
        .await;
    database.run("BEGIN; TRUNCATE plain; INSERT INTO plain SELECT * FROM generate_series(1, 5)").await;
    let commit = async {
        tokio::time::sleep(Duration::from_secs(4)).await;
        database.run("COMMIT").await;
    };
    let source = database.source(&[("username", json!("it_strict")), ("password", json!("strict"))]);
    let (synced, ()) = tokio::join!(full(source.as_ref(), None), commit);
    synced.result.as_ref().unwrap();
    assert_eq!(synced.documents.len(), 5);
    database.run("DROP OWNED BY it_strict; DROP ROLE it_strict").await;
    database.drop().await;
}

#[tokio::test]
#[ignore = "needs tests/backends/postgresql"]
async fn a_dropped_table_is_an_incomplete_listing() {
    let database = with_rows("dropped").await;
    database.run("CREATE TABLE z (id int PRIMARY KEY); INSERT INTO z VALUES (1)").await;
    let drop_it = async {
        tokio::time::sleep(Duration::from_millis(300)).await;
        database.run("DROP TABLE t").await;
    };
    let (synced, ()) = tokio::join!(slowly(&database, &[]), drop_it);
    let error = synced.result.as_ref().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Incomplete, "{error}");
    assert!(
        error.to_string().contains("public.t") && error.to_string().contains("Nothing was deleted"),
        "{error}"
    );
    assert!(synced.documents.contains_key("it_dropped_public_z_1"), "the other tables were read");
    database.drop().await;
}

#[tokio::test]
#[ignore = "needs tests/backends/postgresql"]
async fn a_lock_is_waited_for_a_minute_and_more() {
    let database = with_rows("locked").await;
    database.run("BEGIN; LOCK TABLE t IN ACCESS EXCLUSIVE MODE").await;
    let unlock = async {
        tokio::time::sleep(Duration::from_secs(61)).await;
        database.run("UPDATE t SET v = 'x' WHERE id = 'k1'; COMMIT").await;
    };
    let source = database.source(&[]);
    let (synced, ()) = tokio::join!(full(source.as_ref(), None), unlock);
    synced.result.as_ref().unwrap();
    assert_eq!(synced.documents.len(), ROWS);
    database.drop().await;
}

#[tokio::test]
#[ignore = "needs tests/backends/postgresql"]
async fn all_tables_are_of_one_moment() {
    let database = with_rows("moment").await;
    database.run("CREATE TABLE a (id int PRIMARY KEY, v int); INSERT INTO a SELECT n, 1 FROM generate_series(1, 12000) n").await;
    let source = database.source(&[]);
    let (sink, mut inbox) = channel(SinkLimits { messages: 50, bytes: 1 << 20 });
    let receive = async {
        let mut updated = false;
        let mut sum = 0;
        while let Some(envelope) = inbox.receive().await {
            for message in envelope.open() {
                if let Message::Document(mut document) = message {
                    document.expand().unwrap();
                    sum += document.fields.get("public_a_v").and_then(serde_json::Value::as_i64).unwrap_or(0);
                    if !updated {
                        updated = true;
                        database.run("UPDATE a SET v = 1000").await;
                    }
                }
            }
        }
        sum
    };
    let send = async {
        let result = source.documents(None, &sink).await;
        drop(sink);
        result
    };
    let (result, sum) = tokio::join!(send, receive);
    result.unwrap();
    assert_eq!(sum, 12_000);
    database.drop().await;
}
