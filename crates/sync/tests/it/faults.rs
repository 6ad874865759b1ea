//! What a sync does when Elasticsearch or the source misbehaves.

use std::collections::HashMap;
use std::time::Duration;

use connectors_sdk::{Content, ErrorKind, LazyDownload, SourceError};
use connectors_sync::{Outcome, SyncError, TooManyErrors};
use serde_json::json;

use crate::fake::Fake;
use crate::source::{End, Listed, document, documents, with_error, with_text};
use crate::{completed, input, sync};

const T1: &str = "2026-01-01T00:00:00Z";

#[tokio::test]
async fn a_listing_that_fails_deletes_nothing() {
    for end in [End::Fails, End::Panics] {
        let fake = Fake::start().await;
        fake.put("docs", "old", json!({"id": "old"}));
        let report = sync(input(&fake, Listed::documents(documents(3, T1)).ending(end))).await;
        let Outcome::Failed(error) = report.outcome else { panic!("{end:?}") };
        match end {
            End::Fails => assert_eq!(error.name(), "IncompleteListingError"),
            _ => assert_eq!(error.name(), "SourcePanicError"),
        }
        assert_eq!(fake.ids("docs"), ["000000", "000001", "000002", "old"], "what was sent is written");
        assert_eq!((report.counters.indexed, report.cursor), (3, None));
    }
}

#[tokio::test]
async fn an_index_that_may_not_be_made_ends_the_job() {
    let fake = Fake::start().await;
    fake.lock().create_fault = Some(403);
    let report = sync(input(&fake, Listed::documents(documents(5_000, T1)))).await;
    let Outcome::Failed(error) = &report.outcome else { panic!("{report:?}") };
    assert!(error.to_string().contains("403"), "{error}");
    assert!(fake.operations().is_empty(), "nothing is written without an index");
    assert_eq!(report.counters.indexed, 0);
}

#[tokio::test]
async fn a_refused_document_is_a_dead_letter_and_the_others_are_written() {
    let fake = Fake::start().await;
    fake.put("docs", "000003", json!({"id": "000003", "old": true}));
    fake.lock().item_fault =
        Some(Box::new(|id| (id == "000003").then_some((400, "document_parsing_exception"))));
    let report = completed(&fake, Listed::documents(documents(20, T1))).await;
    assert_eq!((report.counters.indexed, report.counters.dead_letters), (19, 1));
    let letter = &report.dead_letters[0];
    assert_eq!((letter.id.as_str(), letter.operation, letter.status), ("000003", "index", Some(400)));
    assert_eq!((letter.kind.as_str(), letter.reason.as_str()), ("document_parsing_exception", "no 000003"));
    assert_eq!(fake.document("docs", "000003")["old"], true);
    assert_eq!(report.counters.index.errors, 1);

    // It is tried again in the next sync.
    fake.lock().item_fault = None;
    let report = completed(&fake, Listed::documents(documents(20, T1))).await;
    assert_eq!((report.counters.indexed, report.counters.docs_unchanged), (1, 19));
}

#[tokio::test]
async fn too_many_refusals_end_the_job() {
    let fake = Fake::start().await;
    fake.put("docs", "old", json!({"id": "old"}));
    fake.lock().item_fault = Some(Box::new(|_| Some((400, "document_parsing_exception"))));
    let report = sync(input(&fake, Listed::documents(documents(5_000, T1)))).await;
    let Outcome::Failed(error) = &report.outcome else { panic!("{report:?}") };
    assert!(matches!(error, SyncError::TooManyErrors(TooManyErrors::Consecutive(11, _))), "{error}");
    assert!(error.to_string().contains("document_parsing_exception: no 0"), "{error}");
    assert_eq!(error.name(), "TooManyErrors");
    assert_eq!(fake.ids("docs"), ["old"]);

    let mut tolerant = input(&fake, Listed::documents(documents(50, T1)));
    tolerant.options.errors.enabled = false;
    tolerant.options.dead_letters = 3;
    let report = sync(tolerant).await;
    assert!(matches!(report.outcome, Outcome::Completed), "{report:?}");
    assert_eq!((report.counters.dead_letters, report.dead_letters.len()), (50, 3));
    // The deletion was refused as well.
    assert_eq!((report.counters.delete.errors, fake.ids("docs")), (1, vec!["old".to_owned()]));
}

#[tokio::test]
async fn a_busy_server_is_asked_again_for_what_it_refused() {
    let fake = Fake::start().await;
    let mut seen = HashMap::new();
    fake.lock().item_fault = Some(Box::new(move |id| {
        let times = seen.entry(id.to_owned()).or_insert(0);
        *times += 1;
        (id.ends_with('7') && *times <= 2).then_some((429, "es_rejected_execution_exception"))
    }));
    let report = completed(&fake, Listed::documents(documents(100, T1))).await;
    assert_eq!((report.counters.indexed, report.counters.dead_letters), (100, 0));
    let index = &report.counters.index;
    assert_eq!((index.operations, index.responses, index.errors), (100, 100, 0), "each is counted once");
    let sizes: Vec<usize> = fake.lock().bulks.iter().map(|bulk| bulk.operations.len()).collect();
    assert_eq!(sizes, [100, 10, 10]);

    // One that stays busy is given up.
    fake.lock().item_fault =
        Some(Box::new(|id| (id == "000042").then_some((429, "es_rejected_execution_exception"))));
    let mut patient = input(&fake, Listed::documents(documents(100, "2026-01-02T00:00:00Z")));
    patient.options.max_retries = 2;
    let report = sync(patient).await;
    assert!(matches!(report.outcome, Outcome::Completed), "{report:?}");
    assert_eq!((report.counters.dead_letters, report.dead_letters[0].status), (1, Some(429)));
}

#[tokio::test]
async fn a_request_that_is_too_large_is_halved() {
    let fake = Fake::start().await;
    fake.lock().request_fault = Some(Box::new(|operations| (operations > 8).then_some(413)));
    let report = completed(&fake, Listed::documents(documents(50, T1))).await;
    assert_eq!(report.counters.indexed, 50);
    assert!(fake.lock().bulks.iter().any(|bulk| bulk.operations.len() <= 8));

    let fake = Fake::start().await;
    fake.put("docs", "old", json!({"id": "old"}));
    fake.lock().request_fault = Some(Box::new(|_| Some(413)));
    let report = completed(&fake, Listed::documents([document("huge", T1)])).await;
    assert_eq!((report.dead_letters[0].id.as_str(), report.dead_letters[0].status), ("huge", Some(413)));
    // A refused deletion is told too, but the source sent one document.
    assert_eq!((report.counters.dead_letters, report.dead_letters.len()), (1, 2));
}

#[tokio::test]
async fn a_request_that_is_refused_ends_the_job() {
    let fake = Fake::start().await;
    fake.lock().request_fault = Some(Box::new(|_| Some(403)));
    let report = sync(input(&fake, Listed::documents(documents(50, T1)).ending(End::Hangs))).await;
    let Outcome::Failed(error) = report.outcome else { panic!("it went on") };
    assert_eq!(error.name(), "ElasticsearchError");
    assert!(error.to_string().contains("403"), "{error}");
    assert_eq!(report.counters.indexed, 0);
}

#[tokio::test]
async fn the_job_goes_on_after_an_outage() {
    let mut fake = Fake::start().await;
    fake.lock().delay = Duration::from_millis(20);
    let mut long = input(&fake, Listed::documents(documents(2_000, T1)));
    long.options.chunk_size = 50;
    long.options.max_concurrency = 2;
    let job = tokio::spawn(sync(long));
    while fake.ids("docs").len() < 300 {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    fake.stop().await;
    tokio::time::sleep(Duration::from_millis(700)).await;
    let before = fake.ids("docs").len();
    assert!(before < 2_000, "the outage came too late");
    fake.resume().await;
    let report = job.await.unwrap();
    assert!(matches!(report.outcome, Outcome::Completed), "{report:?}");
    assert_eq!((fake.ids("docs").len(), report.counters.indexed), (2_000, 2_000));
}

#[tokio::test]
async fn an_outage_without_end_ends_the_job() {
    let fake = Fake::start().await;
    fake.lock().request_fault = Some(Box::new(|_| Some(503)));
    let mut impatient = input(&fake, Listed::documents(documents(5, T1)));
    impatient.options.max_outage = Duration::from_millis(100);
    let report = sync(impatient).await;
    let Outcome::Failed(SyncError::Elasticsearch(error)) = report.outcome else { panic!("it went on") };
    assert_eq!(error.status_code(), Some(503));
}

#[tokio::test]
async fn a_document_a_pipeline_drops_is_accounted_for() {
    let fake = Fake::start().await;
    fake.lock().item_fault = Some(Box::new(|id| (id == "000001").then_some((200, ""))));
    let report = completed(&fake, Listed::documents(documents(3, T1))).await;
    assert_eq!((report.counters.indexed, report.counters.docs_dropped), (2, 1));
}

#[tokio::test]
async fn a_panicking_download_ends_the_job() {
    for download in [
        LazyDownload::blocking(1, || panic!("broken")),
        LazyDownload::from_future(1, || async { panic!("broken") }),
    ] {
        let fake = Fake::start().await;
        let report = sync(input(&fake, Listed::documents([document("a", T1).with_download(download)]))).await;
        let Outcome::Failed(error) = report.outcome else { panic!("it went on") };
        assert_eq!(error.name(), "SourcePanicError");
    }
}

#[tokio::test]
async fn failing_downloads_over_the_network_are_dead_letters() {
    let fake = Fake::start().await;
    let failing = document("a", T1).with_download(LazyDownload::from_future(1, || async {
        Err(SourceError::new(ErrorKind::Unavailable, "fetch", "timeout"))
    }));
    let report =
        completed(&fake, Listed::documents([failing, with_error("b", ErrorKind::InvalidData)])).await;
    assert_eq!(report.counters.dead_letters, 2);
}

#[tokio::test]
async fn documents_larger_than_all_memory_pass_one_by_one() {
    let fake = Fake::start().await;
    let large = |index: usize| with_text(&format!("l{index}"), "x".repeat(200_000));
    let fetched = |index: usize| {
        document(&format!("f{index}"), T1).with_download(LazyDownload::from_future(200_000, || async {
            Ok(Some(Content::Text("y".repeat(200_000))))
        }))
    };
    let all = (0..20).flat_map(|index| [large(index), fetched(index)]);
    let mut tight = input(&fake, Listed::documents(all));
    tight.options.chunk_max_bytes = 50_000;
    tight.options.max_concurrency = 1;
    let report = tokio::time::timeout(Duration::from_secs(20), sync(tight)).await.expect("a deadlock");
    assert!(matches!(report.outcome, Outcome::Completed), "{report:?}");
    assert_eq!(report.counters.indexed, 40);
}
