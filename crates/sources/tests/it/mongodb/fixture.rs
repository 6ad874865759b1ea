//! A collection for the suite, and what the tests need of a server.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use futures_util::StreamExt;
use mongodb::bson::{Document, doc};
use mongodb::{Client, Collection, Database};

use crate::Fixture;

/// Where the server is: tests/backends/secantusdb, unless the environment says otherwise.
pub(super) fn server() -> String {
    std::env::var("CONNECTORS_TEST_MONGODB").unwrap_or_else(|_| "mongodb://127.0.0.1:27217".to_owned())
}

/// A database of its own, dropped in the end.
pub(super) struct Shop {
    pub client: Client,
    pub database: Database,
}

impl Shop {
    pub(super) async fn open() -> Self {
        static COUNT: AtomicUsize = AtomicUsize::new(0);
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        let client = Client::with_uri_str(server()).await.unwrap();
        let database = client.database(&format!("connectors_test_{}_{number}", std::process::id()));
        database.drop().await.unwrap();
        Self { client, database }
    }

    pub(super) fn name(&self) -> &str {
        self.database.name()
    }

    pub(super) fn orders(&self) -> Collection<Document> {
        self.database.collection("orders")
    }

    /// Inserts this many documents.
    pub(super) async fn fill(&self, count: i32) {
        let documents =
            (0..count).map(|index| doc! {"_id": index, "n": index, "name": format!("order {index}")});
        self.orders().insert_many(documents).await.unwrap();
    }

    /// Waits until the server's change streams show everything written so far. SecantusDB shows writes in the order in which
    /// they began: one of another test that takes long hides those that ended meanwhile, and new streams start before them.
    pub(super) async fn settle(&self) {
        let marks = self.database.collection::<Document>("marks");
        let mut events = marks.watch().await.unwrap();
        marks.insert_one(doc! {}).await.unwrap();
        let event = tokio::time::timeout(Duration::from_secs(30), events.next()).await;
        event.expect("the change stream shows the mark").unwrap().unwrap();
    }

    pub(super) async fn close(self) {
        self.database.drop().await.unwrap();
    }
}

/// Drops the database of the suite.
struct Cleaner(String);

impl Drop for Cleaner {
    fn drop(&mut self) {
        let name = self.0.clone();
        apart(move || async move {
            let client = Client::with_uri_str(server()).await.unwrap();
            client.database(&name).drop().await.unwrap();
        });
    }
}

/// Runs something in a thread and runtime of its own: the suite makes fixtures where it must not wait.
fn apart<T: Send + 'static, F: Future<Output = T>>(work: impl FnOnce() -> F + Send + 'static) -> T {
    let run = || tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(work());
    std::thread::spawn(run).join().unwrap()
}

pub(crate) fn start() -> Fixture {
    let database = apart(|| async {
        let shop = Shop::open().await;
        shop.fill(300).await;
        shop.name().to_owned()
    });
    Fixture {
        values: vec![("host", server()), ("database", database.clone()), ("collection", "orders".to_owned())],
        _system: Box::new(Cleaner(database)),
    }
}
