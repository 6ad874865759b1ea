//! Servers that do not do what is hoped for: without change streams, with shards that are behind, with cursors that end early.

use std::sync::atomic::{AtomicU32, Ordering};

use connectors_sdk::{
    Changed, DataSource, ErrorKind, Message, SinkLimits, SourceContext, SourceError, channel,
};
use mongodb::bson::{Document, Timestamp, doc};
use serde_json::{Value, json};

use super::server::{Server, batch, refusal};
use super::source;

fn connect(server: &Server) -> Box<dyn DataSource> {
    source(
        &json!({"host": server.host, "database": "shop", "collection": "orders"}),
        SourceContext::default(),
    )
}

fn is_watch(command: &Document) -> bool {
    command.get_array("pipeline").is_ok_and(|stages| {
        stages
            .first()
            .and_then(|stage| stage.as_document())
            .is_some_and(|stage| stage.contains_key("$changeStream"))
    })
}

fn collection(kind: &str) -> Document {
    batch("firstBatch", 0, vec![doc! {"name": "orders", "type": kind}])
}

/// Numbers of documents, deletions and cursors, and the end.
async fn send(
    work: impl AsyncFnOnce(&connectors_sdk::Sink) -> Result<(), SourceError>,
) -> (usize, usize, Option<Value>, Result<(), SourceError>) {
    let (sink, mut inbox) = channel(SinkLimits::default());
    let sending = async {
        let result = work(&sink).await;
        drop(sink);
        result
    };
    let receiving = async {
        let (mut documents, mut deletions, mut cursor) = (0, 0, None);
        while let Some(envelope) = inbox.receive().await {
            for message in envelope.open() {
                match message {
                    Message::Document(_) => documents += 1,
                    Message::Delete(_) => deletions += 1,
                    Message::Checkpoint(value) => cursor = Some(value),
                    other => panic!("{other:?}"),
                }
            }
        }
        (documents, deletions, cursor)
    };
    let (result, (documents, deletions, cursor)) = tokio::join!(sending, receiving);
    (documents, deletions, cursor, result)
}

async fn list(source: &dyn DataSource) -> (usize, Option<Value>, Result<(), SourceError>) {
    let (documents, _, cursor, result) = send(async |sink| source.documents(None, sink).await).await;
    (documents, cursor, result)
}

#[tokio::test]
async fn without_change_streams_every_sync_reads_all() {
    for refused in [
        refusal(40_573, "The $changeStream stage is only supported on replica sets"),
        refusal(13, "not authorized on shop to execute command"),
        refusal(40_324, "Unrecognized pipeline stage name: '$changeStream'"),
    ] {
        let server = Server::start(move |name, command| match name {
            "listCollections" => Some(collection("collection")),
            "aggregate" if is_watch(command) => Some(refused.clone()),
            "find" => Some(batch("firstBatch", 0, vec![doc! {"_id": 1}, doc! {"_id": 2}])),
            other => panic!("{other}"),
        })
        .await;
        let source = connect(&server);
        let (documents, cursor, result) = list(source.as_ref()).await;
        result.unwrap();
        assert_eq!((documents, cursor), (2, None));
        // A cursor of better times.
        let cursor = json!({"configuration": fingerprint(&server), "resume_token": r#"{"_data":"82"}"#});
        assert!(source.changed(Some(&cursor)).await.unwrap().perhaps());
        let (documents, deletions, after, result) =
            send(async |sink| source.changes(Some(&cursor), None, sink).await).await;
        result.unwrap();
        assert_eq!((documents, deletions, after), (2, 0, None));
    }
}

fn fingerprint(server: &Server) -> String {
    super::settings(&json!({"host": server.host})).unwrap().fingerprint
}

#[tokio::test]
async fn a_view_is_not_watched() {
    let server = Server::start(|name, _| match name {
        "listCollections" => Some(collection("view")),
        "find" => Some(batch("firstBatch", 0, vec![doc! {"_id": 1}])),
        other => panic!("{other}"),
    })
    .await;
    let source = connect(&server);
    let (documents, cursor, result) = list(source.as_ref()).await;
    result.unwrap();
    assert_eq!(documents, 1);
    assert_eq!(cursor.as_ref().unwrap()["resume_token"], Value::Null);
    assert!(source.changed(cursor.as_ref()).await.unwrap().perhaps());
}

#[tokio::test]
async fn a_cursor_that_ends_early_is_an_error() {
    for (answer, kind, said) in [
        (Some(refusal(43, "cursor id 7 not found")), ErrorKind::Incomplete, "closed the cursor"),
        (Some(refusal(11_600, "interrupted at shutdown")), ErrorKind::Incomplete, "nothing was deleted"),
        (Some(refusal(50, "operation exceeded time limit")), ErrorKind::Incomplete, "max_time_ms"),
        (None, ErrorKind::Incomplete, "nothing was deleted"),
        (Some(doc! {"ok": 1}), ErrorKind::InvalidData, ""),
    ] {
        let told = format!("{answer:?}");
        let server = Server::start(move |name, command| match name {
            "listCollections" => Some(collection("collection")),
            "aggregate" if is_watch(command) => Some(refusal(40_573, "no")),
            "find" => Some(batch("firstBatch", 7, vec![doc! {"_id": 1}, doc! {"_id": 2}])),
            "getMore" => answer.clone(),
            other => panic!("{other}"),
        })
        .await;
        let (documents, cursor, result) = list(connect(&server).as_ref()).await;
        let error = result.unwrap_err();
        assert_eq!(error.kind(), kind, "{told}: {error}");
        assert!(error.to_string().contains(said), "{told}: {error}");
        assert_eq!((documents, cursor), (2, None), "{told}: what was read is sent, and no cursor");
    }
}

#[tokio::test]
async fn results_without_a_shard_are_not_complete() {
    let server = Server::start(|name, _| match name {
        "listCollections" => Some(collection("collection")),
        "find" => {
            let mut answer = batch("firstBatch", 0, vec![doc! {"_id": 1}]);
            answer.get_document_mut("cursor").unwrap().insert("partialResultsReturned", true);
            Some(answer)
        }
        other => panic!("{other}"),
    })
    .await;
    let source = connect(&server);
    let rules = json!({"find": {"allow_partial_results": true}});
    let (documents, _, cursor, result) = send(async |sink| source.documents(Some(&rules), sink).await).await;
    assert_eq!((documents, cursor), (1, None));
    assert_eq!(result.unwrap_err().kind(), ErrorKind::Incomplete);
    assert!(server.received("find")[0].get_bool("allowPartialResults").unwrap());
}

/// A token as MongoDB makes it.
fn token(seconds: u32) -> Document {
    doc! {"_data": format!("82{seconds:08X}000000012B0229296E04")}
}

fn with_token(mut answer: Document, seconds: u32) -> Document {
    answer.get_document_mut("cursor").unwrap().insert("postBatchResumeToken", token(seconds));
    answer.insert("operationTime", Timestamp { time: 100, increment: 1 });
    answer
}

/// A cluster whose change stream reaches the time of the request only after a few empty answers.
async fn slow_cluster(from: u32, reaches: u32, events: Vec<Document>) -> Server {
    let answers = AtomicU32::new(0);
    Server::start(move |name, command| match name {
        "listCollections" => Some(collection("collection")),
        "aggregate" if is_watch(command) => Some(with_token(batch("firstBatch", 9, vec![]), from)),
        "getMore" => {
            let time = (from + answers.fetch_add(1, Ordering::Relaxed)).min(reaches);
            let events = if time == 99 { events.clone() } else { vec![] };
            Some(with_token(batch("nextBatch", 9, events), time))
        }
        "find" => Some(batch("firstBatch", 0, vec![doc! {"_id": 5, "n": 1}])),
        other => panic!("{other}"),
    })
    .await
}

fn event(kind: &str, id: i32) -> Document {
    doc! {"_id": token(99), "operationType": kind, "documentKey": {"_id": id}, "clusterTime": Timestamp { time: 99, increment: 1 }}
}

fn kept_token(cursor: &Value) -> Document {
    serde_json::from_str(cursor["resume_token"].as_str().unwrap()).unwrap()
}

fn cursor_of(server: &Server) -> Value {
    json!({"configuration": fingerprint(server), "resume_token": serde_json::to_string(&token(90)).unwrap()})
}

#[tokio::test]
async fn an_empty_answer_of_a_slow_cluster_does_not_say_that_nothing_changed() {
    let server = slow_cluster(97, 100, vec![event("update", 5)]).await;
    let source = connect(&server);
    let cursor = cursor_of(&server);
    assert!(source.changed(Some(&cursor)).await.unwrap().perhaps(), "the change came with the third answer");
    let watch = &server.received("aggregate")[0];
    let stage = watch.get_array("pipeline").unwrap()[0].as_document().unwrap();
    assert_eq!(stage.get_document("$changeStream").unwrap().get_document("resumeAfter").unwrap(), &token(90));

    let server = slow_cluster(97, 100, vec![]).await;
    let changed = connect(&server).changed(Some(&cursor_of(&server))).await.unwrap();
    let Changed::Nothing(Some(newer)) = changed else { panic!("{changed:?}") };
    assert_eq!(kept_token(&newer), token(100), "what the next sync asks for is not forgotten that soon");
    assert_eq!(server.received("getMore").len(), 4, "until the time of the request is reached");

    // Looking through a long history takes more answers than a cluster that does not get on is waited for.
    let server = slow_cluster(10, 100, vec![]).await;
    assert!(!connect(&server).changed(Some(&cursor_of(&server))).await.unwrap().perhaps());
    assert_eq!(server.received("getMore").len(), 91);

    let server = slow_cluster(97, 99, vec![]).await;
    let changed = connect(&server).changed(Some(&cursor_of(&server))).await.unwrap().perhaps();
    assert!(changed, "when in doubt, something changed");
}

#[tokio::test]
async fn changes_of_a_slow_cluster_are_waited_for() {
    let server = slow_cluster(97, 100, vec![event("update", 5), event("delete", 6)]).await;
    let source = connect(&server);
    let cursor = cursor_of(&server);
    let (documents, deletions, cursor, result) =
        send(async |sink| source.changes(Some(&cursor), None, sink).await).await;
    result.unwrap();
    assert_eq!((documents, deletions), (1, 1));
    assert_eq!(kept_token(&cursor.unwrap()), token(100));
    let find = &server.received("find")[0];
    assert_eq!(find.get_document("filter").unwrap(), &doc! {"_id": {"$in": [5, 6]}});
    assert_eq!(find.get_document("readConcern").unwrap().get_str("level").unwrap(), "majority");
}

#[tokio::test]
async fn a_stream_whose_history_is_gone_asks_for_a_full_sync() {
    for late in [false, true] {
        let server = Server::start(move |name, command| {
            let lost = refusal(
                286,
                "Resume of change stream was not possible, as the resume point may no longer be in the oplog",
            );
            match name {
                "aggregate" if is_watch(command) && late => {
                    Some(with_token(batch("firstBatch", 9, vec![]), 97))
                }
                "aggregate" | "getMore" => Some(lost),
                other => panic!("{other}"),
            }
        })
        .await;
        let source = connect(&server);
        let cursor = cursor_of(&server);
        assert!(source.changed(Some(&cursor)).await.unwrap().perhaps());
        let (_, _, after, result) = send(async |sink| source.changes(Some(&cursor), None, sink).await).await;
        let error = result.unwrap_err();
        assert_eq!((error.kind(), after), (ErrorKind::Incomplete, None));
        assert!(error.to_string().contains("Run a full content sync"), "{error}");
    }
}

#[tokio::test]
async fn a_server_that_wants_a_login_says_so() {
    let server = Server::start(|_, _| Some(refusal(13, "command find requires authentication"))).await;
    let source = connect(&server);
    for error in [source.validate().await.unwrap_err(), list(source.as_ref()).await.2.unwrap_err()] {
        assert_eq!(error.kind(), ErrorKind::Authentication, "{error}");
        assert!(error.to_string().contains("set `user` and `password`"), "{error}");
    }
}

#[tokio::test]
async fn a_collection_that_may_be_read_but_not_listed_is_read() {
    let server = Server::start(|name, command| match name {
        "listCollections" => Some(refusal(115, "listing is switched off")),
        "aggregate" if is_watch(command) => Some(refusal(40_573, "no")),
        "find" => Some(batch("firstBatch", 0, vec![doc! {"_id": 1}])),
        other => panic!("{other}"),
    })
    .await;
    let source = connect(&server);
    source.validate().await.unwrap();
    assert_eq!(list(source.as_ref()).await.0, 1);
}
