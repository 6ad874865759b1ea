//! Incremental jobs.

use std::sync::Arc;

use connectors_protocol::sync_job::JobType;
use connectors_sdk::Message;
use connectors_sync::{Outcome, SyncInput};
use serde_json::json;

use crate::fake::Fake;
use crate::source::{Listed, document};
use crate::{client, input, sync};

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
    assert_eq!(report.cursor, Some(json!({"at": 2})));
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
