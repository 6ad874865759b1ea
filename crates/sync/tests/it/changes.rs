//! Incremental jobs.

use std::collections::BTreeMap;
use std::sync::Arc;

use connectors_protocol::filtering::Filter;
use connectors_protocol::sync_job::JobType;
use connectors_sdk::{Changed, Message};
use connectors_sync::{Outcome, SyncInput};
use serde_json::{Value, json};

use crate::fake::Fake;
use crate::source::{Listed, document};
use crate::{client, completed, input, sync};

const T1: &str = "2026-01-01T00:00:00Z";

fn delete(id: &str) -> Message {
    Message::Delete(id.to_owned())
}

#[tokio::test]
async fn a_source_that_sends_changes_is_followed_in_order() {
    let fake = Fake::start().await;
    fake.put("docs", "stays", json!({"id": "stays", "a": 1}));
    fake.put("docs", "goes", json!({"id": "goes"}));
    fake.put("docs", "comes back", json!({"id": "comes back", "old": true}));
    let mut messages = vec![
        Message::Update(document("stays", T1)),
        delete("goes"),
        delete("comes back"),
        Message::Document(document("comes back", T1)),
        Message::Document(document("short-lived", T1)),
        delete("short-lived"),
        delete("never was"),
    ];
    messages.push(Message::Checkpoint(json!({"at": 2})));
    let source = Arc::new(Listed::new(messages));
    let job = SyncInput {
        job_type: JobType::Incremental,
        source_sends_changes: true,
        cursor: Some(json!({"at": 1})),
        ..SyncInput::full(client(&fake), "docs", source.clone())
    };
    let report = sync(job).await;
    assert!(matches!(report.outcome, Outcome::Completed), "{report:?}");
    assert_eq!(fake.ids("docs"), ["comes back", "stays"]);
    assert_eq!(fake.document("docs", "comes back").get("old"), None);
    let stays = fake.document("docs", "stays");
    assert_eq!((&stays["a"], &stays["name"]), (&json!(1), &json!("stays")));
    assert_eq!(report.cursor, Some(json!({"at": 2, "_documents": 2})));
    let counters = &report.counters;
    assert_eq!((counters.indexed, counters.deleted, counters.doc_deletes_queued), (3, 3, 4));
    assert_eq!(source.asked.lock().unwrap()[1], json!({"changes": [{"at": 1}, null]}));
}

#[tokio::test]
async fn many_deletions_are_cut_into_requests() {
    let fake = Fake::start().await;
    for index in 0..25 {
        fake.put("docs", &index.to_string(), json!({}));
    }
    let mut job = input(&fake, Listed::new((0..25).map(|index| delete(&index.to_string())).collect()));
    job.job_type = JobType::Incremental;
    job.source_sends_changes = true;
    job.options.chunk_size = 10;
    let mut dry = input(&fake, Listed::new((0..25).map(|index| delete(&index.to_string())).collect()));
    (dry.job_type, dry.source_sends_changes, dry.dry_run) = (JobType::Incremental, true, true);
    assert_eq!(sync(dry).await.counters.deleted, 25);
    assert_eq!(fake.ids("docs").len(), 25);
    assert_eq!(sync(job).await.counters.deleted, 25);
    assert_eq!(fake.ids("docs"), Vec::<String>::new());
    assert!(fake.lock().bulks.iter().all(|bulk| bulk.operations.len() <= 10));
}

#[tokio::test]
async fn without_changes_of_its_own_the_source_lists_everything() {
    let fake = Fake::start().await;
    fake.put("docs", "gone", json!({"id": "gone"}));
    let mut job = input(&fake, Listed::documents([document("a", T1)]));
    job.job_type = JobType::Incremental;
    let report = sync(job).await;
    assert!(matches!(report.outcome, Outcome::Completed), "{report:?}");
    assert_eq!(fake.ids("docs"), ["a"]);
}

#[tokio::test]
async fn a_listing_must_not_send_changes() {
    for message in [delete("a"), Message::Update(document("a", T1))] {
        let fake = Fake::start().await;
        fake.put("docs", "a", json!({"id": "a"}));
        let report = sync(input(&fake, Listed::new(vec![message]))).await;
        let Outcome::Failed(error) = report.outcome else { panic!("it was taken") };
        assert_eq!(error.name(), "UnexpectedError");
        assert_eq!(fake.ids("docs"), ["a"]);
    }
}

/// An incremental job whose source sends these changes and the cursor 2; the last one left 1, and the index as it is.
async fn incremental(fake: &Fake, messages: Vec<Message>) -> SyncInput {
    let cursor = json!({"at": 1, "_settings": settings().await, "_documents": fake.ids("docs").len()});
    let checkpoint = Message::Checkpoint(json!({"at": 2}));
    SyncInput {
        job_type: JobType::Incremental,
        source_sends_changes: true,
        cursor: Some(cursor),
        ..input(fake, Listed::new(messages.into_iter().chain([checkpoint]).collect()))
    }
}

/// What a full sync with the settings of these tests remembers them by.
async fn settings() -> Value {
    let report = completed(&Fake::start().await, Listed::new(vec![])).await;
    report.cursor.unwrap()["_settings"].clone()
}

/// The same, but the source says that nothing changed.
async fn unchanged(fake: &Fake, since: Option<Value>) -> SyncInput {
    let mut source = Listed::new(vec![]);
    source.changed = Changed::Nothing(since);
    SyncInput { source: Arc::new(source), ..incremental(fake, vec![]).await }
}

#[tokio::test]
async fn an_emptied_index_ends_an_incremental_sync_and_its_cursor_is_forgotten() {
    for exists in [false, true] {
        let fake = Fake::start().await;
        fake.put("docs", "a", json!({"id": "a"}));
        let changes = vec![Message::Document(document("b", T1))];
        let jobs = [incremental(&fake, changes).await, unchanged(&fake, None).await];
        if exists {
            fake.lock().indices.get_mut("docs").unwrap().clear();
        } else {
            fake.lock().indices.clear();
        }
        for job in jobs {
            let report = sync(job).await;
            assert!(report.emptied);
            let Outcome::Failed(error) = report.outcome else { panic!("{report:?}") };
            assert!(error.to_string().contains("sends every document"), "{error}");
            assert_eq!((fake.ids("docs").len(), report.cursor), (0, None));
        }
    }
    // One that the last sync left empty is in order.
    let fake = Fake::start().await;
    fake.lock().indices.insert("docs".to_owned(), BTreeMap::new());
    assert!(sync(unchanged(&fake, None).await).await.nothing_changed);
    let report = sync(incremental(&fake, vec![Message::Document(document("b", T1))]).await).await;
    assert!(!report.emptied);
    let expected = json!({"at": 2, "_settings": settings().await, "_documents": 1});
    assert_eq!(report.cursor, Some(expected));
}

#[tokio::test]
async fn after_everything_was_sent_the_next_full_sync_looks_for_what_is_gone() {
    let fake = Fake::start().await;
    fake.put("docs", "gone", json!({"id": "gone"}));
    // The last full sync left no cursor of the source, only ours.
    let cursor = json!({"_settings": settings().await, "_documents": 1});
    let first = incremental(&fake, vec![Message::Document(document("b", T1))]).await;
    let report = sync(SyncInput { cursor: Some(cursor), ..first }).await;
    assert_eq!(report.cursor, Some(json!({"at": 2, "_documents": 2})));
}

#[tokio::test]
async fn a_newer_cursor_is_kept_although_nothing_changed() {
    let fake = Fake::start().await;
    fake.put("docs", "a", json!({"id": "a"}));
    for (since, kept) in [(Some(json!({"at": 5})), 5), (None, 1)] {
        let report = sync(unchanged(&fake, since).await).await;
        assert!(report.nothing_changed);
        let expected = json!({"at": kept, "_settings": settings().await, "_documents": 1});
        assert_eq!(report.cursor, Some(expected));
    }
}

#[tokio::test]
async fn the_next_full_sync_looks_at_an_index_that_others_changed_and_at_what_other_rules_left() {
    let fake = Fake::start().await;
    fake.put("docs", "a", json!({"id": "a"}));
    let jobs = [unchanged(&fake, None).await, incremental(&fake, vec![delete("a")]).await];
    fake.put("docs", "b", json!({"id": "b"}));
    for (job, at) in jobs.into_iter().zip([1, 2]) {
        let report = sync(job).await;
        assert!(matches!(report.outcome, Outcome::Completed), "{report:?}");
        // Without the settings it does not ask whether anything changed.
        assert_eq!(report.cursor, Some(json!({"at": at, "_documents": 1})));
    }
    let rule =
        json!({"id": "r", "order": 1, "policy": "exclude", "field": "id", "rule": "equals", "value": "c"});
    let filter = Filter { rules: vec![rule], ..Filter::default() };
    let changes = vec![Message::Document(document("c", T1))];
    let report = sync(SyncInput { filter, ..incremental(&fake, changes).await }).await;
    assert_eq!((report.counters.docs_filtered, report.cursor), (1, Some(json!({"at": 2, "_documents": 1}))));
}

#[tokio::test]
async fn changes_that_elasticsearch_could_not_take_are_sent_again() {
    for (status, again) in [(503, true), (403, true), (500, false), (400, false)] {
        let fake = Fake::start().await;
        for id in ["a", "b", "other"] {
            fake.put("docs", id, json!({"id": id}));
        }
        for refused in ["a", "b", "nothing"] {
            fake.lock().item_fault =
                Some(Box::new(move |id| (id == refused).then_some((status, "some_exception"))));
            let changes = vec![Message::Document(document("a", T1)), delete("b")];
            let mut job = incremental(&fake, changes).await;
            job.options.max_retries = 1;
            let report = sync(job).await;
            assert!(matches!(report.outcome, Outcome::Completed), "{report:?}");
            let all_done = refused == "nothing";
            let cursor = report.cursor.unwrap();
            let at = if all_done || !again { 2 } else { 1 };
            assert_eq!(cursor["at"], at, "{refused} refused by {status}");
            assert_eq!(cursor["_documents"], fake.ids("docs").len());
            // What is not sent again by the next incremental sync is left to the next full one, which reads all.
            assert_eq!(cursor.get("_settings").is_some(), all_done || again, "{refused} refused by {status}");
        }
        assert_eq!(fake.ids("docs"), ["a", "other"]);
    }
}
