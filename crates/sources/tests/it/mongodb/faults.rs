//! What goes wrong: names, logins, connections, and jobs that are stopped.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use connectors_sdk::{DataSource, ErrorKind, SinkLimits, SourceContext, channel};
use mongodb::bson::doc;
use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use super::fixture::{Shop, server};
use super::{list, listing_error, receive, source, source_with};

#[tokio::test]
#[ignore = "needs tests/backends/secantusdb"]
async fn names_that_lead_nowhere_are_told_with_those_that_exist() {
    let shop = Shop::open().await;
    shop.fill(1).await;
    for (database, collection, named) in
        [("connectors_test_none", "orders", shop.name()), (shop.name(), "order", "Collections there: orders")]
    {
        let values = json!({"host": server(), "database": database, "collection": collection});
        let source = source_with(values, SourceContext::default());
        source.ping().await.unwrap();
        for error in [source.validate().await.unwrap_err(), listing_error(source.as_ref(), None).await] {
            assert_eq!(error.kind(), ErrorKind::Config, "{error}");
            assert!(error.to_string().contains(named), "{error}");
        }
    }
    shop.close().await;
}

#[tokio::test]
#[ignore = "needs tests/backends/secantusdb"]
async fn a_wrong_password_is_told_and_not_printed() {
    let shop = Shop::open().await;
    shop.fill(3).await;
    let create =
        doc! {"createUser": "alice", "pwd": "right/hunter2", "roles": [{"role": "read", "db": shop.name()}]};
    shop.database.run_command(create).await.unwrap();
    let host = server().replacen("mongodb://", "mongodb://alice:hunter2wrong@", 1);
    let host = format!("{host}/?authSource={}", shop.name());
    let login = |password: &str| {
        let values =
            json!({"host": host, "password": password, "database": shop.name(), "collection": "orders"});
        source_with(values, SourceContext::default())
    };
    for password in ["", "hunter2%", "hunter2 @:/"] {
        // Each has a connection of its own: after a refused login the driver waits seconds before it tries again.
        let source = login(password);
        let (_, changes) = receive(async |sink| source.changes(None, None, sink).await).await;
        for error in [
            login(password).ping().await.unwrap_err(),
            login(password).validate().await.unwrap_err(),
            listing_error(login(password).as_ref(), None).await,
            changes.unwrap_err(),
        ] {
            assert_eq!(error.kind(), ErrorKind::Authentication, "{error}");
            assert!(error.to_string().contains("authSource"), "{error}");
            assert!(!format!("{error} {error:?}").contains("hunter2"), "{error:?}");
        }
    }
    let source = login("right/hunter2");
    source.validate().await.unwrap();
    assert_eq!(list(source.as_ref(), None).await.documents.len(), 3);
    shop.database.run_command(doc! {"dropUser": "alice"}).await.unwrap();
    shop.close().await;
}

/// A proxy that lets this many bytes of the server's answers through, and then cuts every connection.
struct Proxy {
    host: String,
    left: Arc<AtomicUsize>,
}

impl Proxy {
    async fn start(limit: usize) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let host = format!("mongodb://{}/?serverSelectionTimeoutMS=1000", listener.local_addr().unwrap());
        let left = Arc::new(AtomicUsize::new(limit));
        let upstream = server().trim_start_matches("mongodb://").trim_end_matches('/').to_owned();
        let budget = left.clone();
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                let (upstream, budget) = (upstream.clone(), budget.clone());
                tokio::spawn(async move {
                    let server = TcpStream::connect(upstream).await.unwrap();
                    let (mut from_server, mut to_server) = server.into_split();
                    let (mut from_client, mut to_client) = client.into_split();
                    let answers = async {
                        let mut buffer = vec![0; 16 << 10];
                        loop {
                            let count = from_server.read(&mut buffer).await.unwrap_or(0);
                            let allowed = budget
                                .fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| {
                                    Some(left.saturating_sub(count))
                                })
                                .unwrap()
                                .min(count);
                            if to_client.write_all(&buffer[..allowed]).await.is_err()
                                || allowed < count
                                || count == 0
                            {
                                return;
                            }
                        }
                    };
                    tokio::select! {
                        () = answers => {}
                        _ = tokio::io::copy(&mut from_client, &mut to_server) => {}
                    }
                });
            }
        });
        Self { host, left }
    }

    fn source(&self, shop: &Shop) -> Box<dyn DataSource> {
        let values = json!({"host": self.host, "database": shop.name(), "collection": "orders", "direct_connection": true});
        source_with(values, SourceContext::default())
    }
}

#[tokio::test]
#[ignore = "needs tests/backends/secantusdb"]
async fn a_cut_connection_is_an_error_and_not_an_end() {
    let shop = Shop::open().await;
    let documents = (0..500).map(|index| doc! {"_id": index, "text": "x".repeat(10_000)});
    shop.orders().insert_many(documents).await.unwrap();
    let rules = json!({"find": {"batch_size": 50}});
    for limit in [1_000_000, 2_500_000, 4_900_000] {
        let proxy = Proxy::start(limit).await;
        let source = proxy.source(&shop);
        let (received, result) = receive(async |sink| source.documents(Some(&rules), sink).await).await;
        let error = result.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Incomplete, "{error}");
        assert!(error.to_string().contains("nothing was deleted"), "{error}");
        assert!((1..500).contains(&received.documents.len()), "{} documents", received.documents.len());
        assert!(received.cursor.is_none(), "no cursor stands for what was not read");
    }
    // With enough bytes the same way leads to the end.
    let proxy = Proxy::start(usize::MAX).await;
    let source = proxy.source(&shop);
    let (received, result) = receive(async |sink| source.documents(Some(&rules), sink).await).await;
    result.unwrap();
    assert_eq!(received.documents.len(), 500);

    // Changes that cannot be read leave no cursor, and are not taken for none.
    let cursor = received.cursor.unwrap();
    shop.orders().update_many(doc! {}, doc! {"$set": {"n": 1}}).await.unwrap();
    proxy.left.store(1_500_000, Ordering::SeqCst);
    let (_, result) = receive(async |sink| source.changes(Some(&cursor), None, sink).await).await;
    let error = result.unwrap_err();
    assert!([ErrorKind::Incomplete, ErrorKind::Unavailable].contains(&error.kind()), "{error}");
    proxy.left.store(0, Ordering::SeqCst);
    assert!(source.changed(Some(&cursor)).await.is_err());
    shop.close().await;
}

#[tokio::test]
#[ignore = "needs tests/backends/secantusdb"]
async fn a_stopped_job_ends_soon() {
    let shop = Shop::open().await;
    shop.fill(20_000).await;
    for by_token in [true, false] {
        let context = SourceContext::default();
        let values = json!({"host": server(), "database": shop.name(), "collection": "orders"});
        let source = source_with(values, context.clone());
        let (sink, mut inbox) = channel(SinkLimits { messages: 100, bytes: 1 << 20 });
        let listing = tokio::time::timeout(Duration::from_secs(20), source.documents(None, &sink));
        let stop = async {
            inbox.receive().await.unwrap();
            if by_token {
                context.cancel.cancel();
                // The queue stays full.
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
            drop(inbox);
        };
        let (result, ()) = tokio::join!(listing, stop);
        assert_eq!(result.unwrap().unwrap_err().kind(), ErrorKind::Canceled, "by token: {by_token}");
    }
    shop.close().await;
}

#[tokio::test]
#[ignore = "needs tests/backends/secantusdb"]
async fn a_stopped_job_with_nothing_to_send_is_not_complete() {
    let shop = Shop::open().await;
    shop.database.create_collection("orders").await.unwrap();
    let source = source(&shop);
    let (sink, inbox) = channel(SinkLimits::default());
    drop(inbox);
    for rules in [None, Some(json!({"aggregate": {"pipeline": [{"$sample": {"size": 1}}]}}))] {
        let result = source.documents(rules.as_ref(), &sink).await;
        assert_eq!(result.unwrap_err().kind(), ErrorKind::Canceled);
    }
    shop.close().await;
}
