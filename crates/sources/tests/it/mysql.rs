//! The source `mysql` on a real server: `tests/backends/mariadb/start`, or whatever `CONNECTORS_TEST_MYSQL` names.

mod changes;
mod failures;
mod full;
mod rules;
mod support;
mod tls;
mod values;

use self::support::Db;
use crate::Fixture;

/// A table of 300 rows, for the conformance suite.
pub(crate) fn fixture() -> Fixture {
    // Some callers are in a runtime and some are not.
    let made = std::thread::spawn(|| {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let db = Db::new("conformance").await;
            db.run("CREATE TABLE item (number INT PRIMARY KEY, name VARCHAR(20))").await;
            db.run("INSERT INTO item SELECT seq, CONCAT('name ', seq) FROM seq_1_to_300").await;
            let values = db.values();
            // The suite reads it until its end.
            std::mem::forget(db);
            values
        })
    });
    Fixture { values: made.join().unwrap(), _system: Box::new(()) }
}
