//! The `mongodb` source on a server: tests/backends/secantusdb, or any replica set named by CONNECTORS_TEST_MONGODB.

mod changes;
mod faults;
pub(crate) mod fixture;
mod tls;

use std::collections::BTreeMap;

use connectors_sdk::{DataSource, ErrorKind, Message, Sink, SinkLimits, SourceContext, SourceError, channel};
use connectors_sources::registry;
use mongodb::bson::oid::ObjectId;
use mongodb::bson::spec::BinarySubtype;
use mongodb::bson::{Binary, Bson, DateTime, Document, Regex, Timestamp, doc};
use serde_json::{Value, json};

use self::fixture::{Shop, server};

fn source_with(values: Value, context: SourceContext) -> Box<dyn DataSource> {
    let source = registry().get("mongodb").unwrap().clone();
    let mut stored = source.default_configuration();
    for (key, value) in values.as_object().unwrap() {
        stored.0[key]["value"] = value.clone();
    }
    source.create(&source.configuration(&stored).unwrap(), context).unwrap()
}

fn source(shop: &Shop) -> Box<dyn DataSource> {
    let values = json!({"host": server(), "database": shop.name(), "collection": "orders"});
    source_with(values, SourceContext::default())
}

/// What a source sent.
#[derive(Default)]
struct Received {
    documents: BTreeMap<String, Value>,
    deleted: Vec<String>,
    cursor: Option<Value>,
    /// All messages, documents that came twice too.
    count: usize,
}

async fn receive(
    send: impl AsyncFnOnce(&Sink) -> Result<(), SourceError>,
) -> (Received, Result<(), SourceError>) {
    let (sink, mut inbox) = channel(SinkLimits { messages: 300, bytes: 40 << 20 });
    let sending = async {
        let result = send(&sink).await;
        drop(sink);
        result
    };
    let receiving = async {
        let mut received = Received::default();
        while let Some(envelope) = inbox.receive().await {
            for message in envelope.open() {
                received.count += 1;
                match message {
                    Message::Document(mut document) => {
                        document.expand().unwrap();
                        assert!(document.download.is_none() && document.timestamp.is_none());
                        received.documents.insert(document.id, Value::Object(document.fields));
                    }
                    Message::Delete(id) => received.deleted.push(id),
                    Message::Checkpoint(cursor) => received.cursor = Some(cursor),
                    other => panic!("{other:?}"),
                }
            }
        }
        received
    };
    let (result, received) = tokio::join!(sending, receiving);
    (received, result)
}

async fn list(source: &dyn DataSource, rules: Option<Value>) -> Received {
    let (received, result) = receive(async |sink| source.documents(rules.as_ref(), sink).await).await;
    result.unwrap();
    received
}

async fn listing_error(source: &dyn DataSource, rules: Option<Value>) -> SourceError {
    receive(async |sink| source.documents(rules.as_ref(), sink).await).await.1.unwrap_err()
}

#[tokio::test]
#[ignore = "needs tests/backends/secantusdb"]
async fn any_number_of_documents_is_listed_once() {
    let shop = Shop::open().await;
    shop.database.create_collection("orders").await.unwrap();
    let source = source(&shop);
    source.validate().await.unwrap();
    source.ping().await.unwrap();
    assert!(source.owns_id_field());
    // Around the sizes of what goes to the engine at once and of the server's answers.
    let mut have = 0;
    for count in [0, 1, 127, 128, 129, 256, 1999, 2000, 2001, 4500] {
        let more = (have..count).map(|index| doc! {"_id": index, "id": format!("own {index}")});
        if count > have {
            shop.orders().insert_many(more).await.unwrap();
        }
        have = count;
        let received = list(source.as_ref(), None).await;
        assert_eq!(received.documents.len(), usize::try_from(count).unwrap());
        assert_eq!(received.count, received.documents.len() + 1, "nothing comes twice, and a cursor");
        assert!(received.cursor.is_some());
    }
    let received = list(source.as_ref(), Some(json!({"find": {"batch_size": 7, "limit": 100}}))).await;
    assert_eq!(received.documents.len(), 100);
    assert_eq!(received.documents["5"], json!({"id": "own 5"}));
    shop.close().await;
}

#[tokio::test]
#[ignore = "needs tests/backends/secantusdb"]
async fn every_type_arrives() {
    let shop = Shop::open().await;
    let oid = ObjectId::parse_str("64b5f3a2c9e77b0001234567").unwrap();
    let document = doc! {
        "_id": oid, "double": 1.5, "nan": f64::NAN, "text": "grün \u{1f680}", "list": [1, [2_i64, {"a": Bson::Null}]],
        "binary": Binary { subtype: BinarySubtype::Generic, bytes: vec![0, 255] },
        "uuid": mongodb::bson::Uuid::from_bytes([7; 16]), "truth": false, "none": Bson::Null,
        "date": DateTime::from_millis(1_700_000_000_250),
        "regex": Regex { pattern: "^a".try_into().unwrap(), options: "i".try_into().unwrap() },
        "code": Bson::JavaScriptCode("f()".to_owned()), "int": 5, "long": i64::MIN,
        "timestamp": Timestamp { time: 7, increment: 3 },
        "decimal": Bson::Decimal128("12.50".parse().unwrap()), "exact": Bson::Decimal128("12345678901234567890.5".parse().unwrap()),
        "min": Bson::MinKey, "max": Bson::MaxKey, "ref": {"$ref": "users", "$id": oid}, "a.b": 1,
    };
    shop.orders().insert_one(document).await.unwrap();
    let received = list(source(&shop).as_ref(), None).await;
    assert_eq!(
        received.documents["64b5f3a2c9e77b0001234567"],
        json!({
            "double": 1.5, "nan": null, "text": "grün \u{1f680}", "list": [1, [2, {"a": null}]], "binary": "AP8=",
            "uuid": "07070707-0707-0707-0707-070707070707", "truth": false, "none": null,
            "date": "2023-11-14T22:13:20.250000", "regex": "/^a/i", "code": "f()", "int": 5, "long": i64::MIN,
            "timestamp": {"t": 7, "i": 3}, "decimal": 12.5, "exact": "12345678901234567890.5", "min": "MinKey", "max": "MaxKey",
            "ref": {"$ref": "users", "$id": "64b5f3a2c9e77b0001234567"}, "a.b": 1,
        })
    );
    shop.close().await;
}

#[tokio::test]
#[ignore = "needs tests/backends/secantusdb"]
async fn huge_documents_and_odd_ids_arrive() {
    let shop = Shop::open().await;
    let huge = "ü".repeat((16 << 20) / 2 - 200);
    for id in 0..3 {
        shop.orders().insert_one(doc! {"_id": id, "text": &huge}).await.unwrap();
    }
    let odd: Vec<Document> = vec![
        doc! {"_id": "größe/ä b\u{1f680}"},
        doc! {"_id": {"a": 1, "b": "x"}},
        doc! {"_id": ""},
        doc! {"_id": 2.5},
        doc! {"_id": true},
        doc! {"_id": DateTime::from_millis(0)},
        doc! {"_id": mongodb::bson::Uuid::from_bytes([7; 16])},
        doc! {"_id": "x".repeat(900)},
    ];
    shop.orders().insert_many(odd).await.unwrap();
    let received = list(source(&shop).as_ref(), None).await;
    for id in ["0", "1", "2"] {
        assert!(received.documents[id]["text"] == huge, "the text of {id} is another one");
    }
    let mut odd: Vec<&str> = received.documents.keys().map(String::as_str).skip(3).collect();
    odd.retain(|id| id.len() < 900);
    assert_eq!(received.documents.len(), 11);
    for id in [
        "größe/ä b\u{1f680}",
        r#"{"a":1,"b":"x"}"#,
        "\"\"",
        "2.5",
        "true",
        "1970-01-01T00:00:00",
        "07070707-0707-0707-0707-070707070707",
    ] {
        assert!(received.documents.contains_key(id), "{id} is not in {odd:?}");
    }
    shop.close().await;
}

#[tokio::test]
#[ignore = "needs tests/backends/secantusdb"]
async fn advanced_rules_choose_documents() {
    let shop = Shop::open().await;
    shop.fill(50).await;
    let oid = ObjectId::new();
    shop.orders().insert_one(doc! {"_id": oid, "at": DateTime::from_millis(1000), "n": 99}).await.unwrap();
    let source = source(&shop);
    let ids = async |rules: Value| {
        assert_eq!(source.validate_advanced_rules(&rules).await.unwrap(), []);
        list(source.as_ref(), Some(rules)).await.documents
    };
    assert_eq!(ids(json!({"find": {"filter": {"n": {"$lt": 10}}}})).await.len(), 10);
    assert_eq!(
        ids(json!({"find": {"filter": {"n": {"$lt": 10}}, "skip": 2, "limit": 3, "batch_size": 2}}))
            .await
            .len(),
        3
    );
    let by_id = ids(json!({"find": {"filter": {"_id": {"$oid": oid.to_hex()}}}})).await;
    assert_eq!(by_id.keys().collect::<Vec<_>>(), [&oid.to_hex()]);
    assert_eq!(
        ids(json!({"find": {"filter": {"at": {"$gte": {"$date": "1970-01-01T00:00:01Z"}}}}})).await.len(),
        1
    );
    let projected = ids(json!({"find": {"filter": {"_id": 7}, "projection": ["name"]}})).await;
    assert_eq!(projected["7"], json!({"name": "order 7"}));
    let projected = ids(json!({"find": {"filter": {"_id": 7}, "projection": {"name": 0}}})).await;
    assert_eq!(projected["7"], json!({"n": 7}));

    let groups =
        ids(json!({"aggregate": {"allowDiskUse": true, "maxTimeMS": 10000, "batchSize": 2, "pipeline": [
            {"$match": {"n": {"$lt": 50}}}, {"$group": {"_id": {"$mod": ["$n", 5]}, "count": {"$sum": 1}}},
        ]}}))
        .await;
    assert_eq!(groups.len(), 5);
    assert!(groups.values().all(|group| *group == json!({"count": 10})), "{groups:?}");

    let error =
        listing_error(source.as_ref(), Some(json!({"find": {"projection": {"_id": 0, "n": 1}}}))).await;
    assert_eq!(error.kind(), ErrorKind::Config);
    assert!(error.to_string().contains("`_id`"), "{error}");
    let error =
        listing_error(source.as_ref(), Some(json!({"find": {"filter": {"n": {"$nonsense": 1}}}}))).await;
    assert_eq!(error.kind(), ErrorKind::Config, "{error}");
    let error =
        listing_error(source.as_ref(), Some(json!({"aggregate": {"pipeline": [{"$nonsense": {}}]}}))).await;
    assert_eq!(error.kind(), ErrorKind::Config, "{error}");
    let error = listing_error(source.as_ref(), Some(json!({"find": {"limit": "5"}}))).await;
    assert!(error.to_string().contains("`find.limit` must be an integer"), "{error}");
    shop.close().await;
}
