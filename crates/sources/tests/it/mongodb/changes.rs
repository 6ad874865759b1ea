//! Skipping unchanged collections, and incremental syncs.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use connectors_sdk::{DataSource, ErrorKind, SourceContext};
use mongodb::bson::{Bson, doc};
use serde_json::{Value, json};

use super::fixture::{Shop, server};
use super::{Received, receive, source, source_with};

// Each of the three waits first until the server shows all that was written.

async fn list(shop: &Shop, source: &dyn DataSource, rules: Option<Value>) -> Received {
    shop.settle().await;
    super::list(source, rules).await
}

async fn changed(shop: &Shop, source: &dyn DataSource, cursor: &Value) -> bool {
    shop.settle().await;
    source.changed(Some(cursor)).await.unwrap().perhaps()
}

async fn changes(shop: &Shop, source: &dyn DataSource, cursor: &Value, rules: Option<Value>) -> Received {
    shop.settle().await;
    let (received, result) =
        receive(async |sink| source.changes(Some(cursor), rules.as_ref(), sink).await).await;
    result.unwrap();
    received
}

#[tokio::test]
#[ignore = "needs tests/backends/secantusdb"]
async fn an_unchanged_collection_is_skipped() {
    let shop = Shop::open().await;
    shop.fill(10).await;
    let first = source(&shop);
    assert!(first.changed(None).await.unwrap().perhaps());
    let cursor = list(&shop, first.as_ref(), None).await.cursor.unwrap();
    // Another process, later: nothing but the cursor is left.
    let later = source(&shop);
    shop.settle().await;
    let began = Instant::now();
    assert!(!later.changed(Some(&cursor)).await.unwrap().perhaps());
    assert!(began.elapsed() < Duration::from_secs(5), "{:?}", began.elapsed());
    // Other collections do not matter.
    shop.database.collection("other").insert_one(doc! {"x": 1}).await.unwrap();
    assert!(!changed(&shop, later.as_ref(), &cursor).await);
    shop.orders().update_one(doc! {"_id": 3}, doc! {"$set": {"n": -1}}).await.unwrap();
    assert!(changed(&shop, later.as_ref(), &cursor).await);
    assert!(changed(&shop, later.as_ref(), &cursor).await, "a second look finds the same");

    for step in ["insert", "delete", "drop"] {
        let cursor = list(&shop, later.as_ref(), None).await.cursor.unwrap();
        assert!(!changed(&shop, later.as_ref(), &cursor).await, "before {step}");
        match step {
            "insert" => drop(shop.orders().insert_one(doc! {"_id": 100}).await.unwrap()),
            "delete" => drop(shop.orders().delete_one(doc! {"_id": 100}).await.unwrap()),
            _ => shop.orders().drop().await.unwrap(),
        }
        assert!(changed(&shop, later.as_ref(), &cursor).await, "after {step}");
    }
    shop.close().await;
}

#[tokio::test]
#[ignore = "needs tests/backends/secantusdb"]
async fn what_happens_during_a_listing_is_a_change() {
    let shop = Shop::open().await;
    shop.fill(3000).await;
    let source = source(&shop);
    let orders = shop.orders();
    let (received, result) = receive(async |sink| {
        let insert = async {
            tokio::time::sleep(Duration::from_millis(5)).await;
            orders.insert_one(doc! {"_id": "late"}).await.unwrap();
        };
        tokio::join!(source.documents(None, sink), insert).0
    })
    .await;
    result.unwrap();
    let cursor = received.cursor.unwrap();
    // Whether the listing had it or not: if not, the next sync must.
    let known = received.documents.contains_key("late");
    assert!(known || changed(&shop, source.as_ref(), &cursor).await);
    assert!(known || changes(&shop, source.as_ref(), &cursor, None).await.documents.contains_key("late"));
    shop.close().await;
}

#[tokio::test]
#[ignore = "needs tests/backends/secantusdb"]
async fn cursors_of_other_times_and_configurations_are_not_trusted() {
    let shop = Shop::open().await;
    shop.fill(10).await;
    let source = source(&shop);
    let cursor = list(&shop, source.as_ref(), None).await.cursor.unwrap();
    let mut lost = cursor.clone();
    lost["resume_token"] = json!(r#"{"_data":"8200000001000000012B0229296E04"}"#);
    let mut broken = cursor.clone();
    broken["resume_token"] = json!("{");
    let mut other = cursor.clone();
    other["configuration"] = json!("other");
    for cursor in [&lost, &broken, &other, &json!({})] {
        assert!(changed(&shop, source.as_ref(), cursor).await, "{cursor}");
        let (received, result) = receive(async |sink| source.changes(Some(cursor), None, sink).await).await;
        let error = result.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Incomplete, "{error}");
        assert!(error.to_string().contains("Run a full content sync"), "{error}");
        assert!(received.cursor.is_none() && received.documents.is_empty());
    }
    let values = json!({"host": server(), "database": shop.name(), "collection": "orders", "datetime_conversion": "DATETIME_MS"});
    assert!(source_with(values, SourceContext::default()).changed(Some(&cursor)).await.unwrap().perhaps());
    shop.close().await;
}

#[tokio::test]
#[ignore = "needs tests/backends/secantusdb"]
async fn what_does_not_follow_the_collection_is_always_read() {
    let shop = Shop::open().await;
    shop.fill(10).await;
    let source = source(&shop);
    let before = list(&shop, source.as_ref(), None).await.cursor.unwrap();
    assert!(!changed(&shop, source.as_ref(), &before).await);
    let lookup = json!({"aggregate": {"pipeline": [
        {"$lookup": {"from": "customers", "localField": "n", "foreignField": "_id", "as": "customer"}},
    ]}});
    let received = list(&shop, source.as_ref(), Some(lookup)).await;
    assert_eq!(received.documents.len(), 10);
    assert!(changed(&shop, source.as_ref(), received.cursor.as_ref().unwrap()).await);

    let view = doc! {"create": "cheap", "viewOn": "orders", "pipeline": [{"$match": {"n": {"$lt": 5}}}]};
    shop.database.run_command(view).await.unwrap();
    let values = json!({"host": server(), "database": shop.name(), "collection": "cheap"});
    let view = source_with(values, SourceContext::default());
    view.validate().await.unwrap();
    let received = list(&shop, view.as_ref(), None).await;
    assert_eq!(received.documents.len(), 5);
    assert!(changed(&shop, view.as_ref(), received.cursor.as_ref().unwrap()).await);
    let received = changes(&shop, view.as_ref(), &received.cursor.unwrap(), None).await;
    assert_eq!(received.documents.len(), 5, "an incremental sync of a view sends all of it");
    shop.close().await;
}

#[tokio::test]
#[ignore = "needs tests/backends/secantusdb"]
async fn incremental_syncs_send_what_changed() {
    let shop = Shop::open().await;
    shop.fill(20).await;
    let source = source(&shop);
    // Without a cursor there is all to send.
    shop.settle().await;
    let (received, result) = receive(async |sink| source.changes(None, None, sink).await).await;
    result.unwrap();
    assert_eq!(received.documents.len(), 20);
    let cursor = received.cursor.unwrap();

    let orders = shop.orders();
    orders.insert_one(doc! {"_id": "new", "id": 5}).await.unwrap();
    orders.update_one(doc! {"_id": 1}, doc! {"$set": {"n": "updated"}}).await.unwrap();
    orders.replace_one(doc! {"_id": 2}, doc! {"x": "replaced"}).await.unwrap();
    orders.delete_one(doc! {"_id": 3}).await.unwrap();
    orders.insert_one(doc! {"_id": "gone"}).await.unwrap();
    orders.delete_one(doc! {"_id": "gone"}).await.unwrap();
    orders.delete_one(doc! {"_id": 4}).await.unwrap();
    orders.insert_one(doc! {"_id": 4, "n": "again"}).await.unwrap();
    let received = changes(&shop, source.as_ref(), &cursor, None).await;
    assert_eq!(
        Value::from_iter(received.documents),
        json!({"new": {"id": 5}, "1": {"n": "updated", "name": "order 1"}, "2": {"x": "replaced"}, "4": {"n": "again"}})
    );
    assert_eq!(
        received.deleted.into_iter().collect::<BTreeSet<_>>(),
        BTreeSet::from(["3".to_owned(), "gone".to_owned()])
    );

    let next = received.cursor.unwrap();
    assert!(!changed(&shop, source.as_ref(), &next).await);
    let received = changes(&shop, source.as_ref(), &next, None).await;
    assert!(received.documents.is_empty() && received.deleted.is_empty() && received.cursor.is_some());
    // The old cursor gives the same again: a job that failed after it lost nothing.
    assert_eq!(changes(&shop, source.as_ref(), &cursor, None).await.documents.len(), 4);
    shop.close().await;
}

#[tokio::test]
#[ignore = "needs tests/backends/secantusdb"]
async fn many_changes_are_read_in_parts() {
    let shop = Shop::open().await;
    shop.fill(1).await;
    let source = source(&shop);
    let cursor = list(&shop, source.as_ref(), None).await.cursor.unwrap();
    shop.orders().insert_many((1..1700).map(|index| doc! {"_id": index})).await.unwrap();
    shop.orders().delete_many(doc! {"_id": {"$gte": 1600}}).await.unwrap();
    let received = changes(&shop, source.as_ref(), &cursor, None).await;
    assert_eq!(received.documents.len(), 1599);
    assert_eq!(received.deleted.iter().collect::<BTreeSet<_>>().len(), 100);
    assert!(!changed(&shop, source.as_ref(), received.cursor.as_ref().unwrap()).await);
    shop.close().await;
}

#[tokio::test]
#[ignore = "needs tests/backends/secantusdb"]
async fn a_busy_collection_does_not_hold_an_incremental_sync() {
    let shop = Shop::open().await;
    shop.fill(10).await;
    let source = source(&shop);
    let cursor = list(&shop, source.as_ref(), None).await.cursor.unwrap();
    let orders = shop.orders();
    let writer = tokio::spawn(async move {
        for index in 0.. {
            orders.update_one(doc! {"_id": index % 10}, doc! {"$set": {"n": index}}).await.unwrap();
        }
    });
    tokio::time::sleep(Duration::from_millis(100)).await;
    let ended =
        tokio::time::timeout(Duration::from_secs(30), changes(&shop, source.as_ref(), &cursor, None)).await;
    writer.abort();
    assert!(ended.expect("it goes on").cursor.is_some());
    shop.close().await;
}

#[tokio::test]
#[ignore = "needs tests/backends/secantusdb"]
async fn rules_hold_for_changes_too() {
    let shop = Shop::open().await;
    shop.fill(20).await;
    let source = source(&shop);
    let rules = json!({"find": {"filter": {"n": {"$lt": 10}}, "projection": ["n"]}});
    let received = list(&shop, source.as_ref(), Some(rules.clone())).await;
    assert_eq!(received.documents.len(), 10);
    let cursor = received.cursor.unwrap();
    let orders = shop.orders();
    for (id, n) in [(1, 9), (2, 50), (15, 3), (16, 60)] {
        orders.update_one(doc! {"_id": id}, doc! {"$set": {"n": n}}).await.unwrap();
    }
    let received = changes(&shop, source.as_ref(), &cursor, Some(rules)).await;
    assert_eq!(Value::from_iter(received.documents), json!({"1": {"n": 9}, "15": {"n": 3}}));
    assert_eq!(received.deleted, ["16", "2"]);
    for refused in [json!({"find": {"limit": 3}}), json!({"aggregate": {"pipeline": [{"$match": {}}]}})] {
        let (_, result) =
            receive(async |sink| source.changes(Some(&cursor), Some(&refused), sink).await).await;
        let error = result.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Config);
        assert!(error.to_string().contains("full content sync"), "{error}");
    }
    shop.close().await;
}

#[tokio::test]
#[ignore = "needs tests/backends/secantusdb"]
async fn a_dropped_or_renamed_collection_asks_for_a_full_sync() {
    for rename in [false, true] {
        let shop = Shop::open().await;
        shop.fill(5).await;
        let source = source(&shop);
        let cursor = list(&shop, source.as_ref(), None).await.cursor.unwrap();
        if rename {
            let admin = shop.client.database("admin");
            let (from, to) = (format!("{}.orders", shop.name()), format!("{}.moved", shop.name()));
            admin.run_command(doc! {"renameCollection": from, "to": to}).await.unwrap();
        } else {
            shop.orders().drop().await.unwrap();
        }
        shop.orders().insert_one(doc! {"_id": Bson::from("anew")}).await.unwrap();
        shop.settle().await;
        let (received, result) = receive(async |sink| source.changes(Some(&cursor), None, sink).await).await;
        let error = result.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Incomplete, "{error}");
        assert!(error.to_string().contains("Run a full content sync"), "{error}");
        assert!(received.cursor.is_none());
        // Which then works, and the next incremental sync goes on from there.
        assert!(changed(&shop, source.as_ref(), &cursor).await);
        let received = list(&shop, source.as_ref(), None).await;
        assert_eq!(received.documents.keys().collect::<Vec<_>>(), ["anew"]);
        assert!(changes(&shop, source.as_ref(), &received.cursor.unwrap(), None).await.documents.is_empty());
        shop.close().await;
    }
}
