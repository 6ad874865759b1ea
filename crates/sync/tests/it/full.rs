//! Full syncs of a source that behaves.

use std::sync::Arc;

use connectors_protocol::filtering::Filter;
use connectors_protocol::pipeline::Pipeline;
use connectors_protocol::sync_job::JobType;
use connectors_sdk::{Changed, Content, Document, ErrorKind, Message};
use connectors_sync::{Outcome, Phase, Progress, StopTokens, SyncError, SyncInput, run};
use serde_json::{Map, Value, json};
use tokio::sync::watch;

use crate::fake::Fake;
use crate::source::{Listed, document, documents, fields, with_error, with_fetched, with_text};
use crate::{client, completed, input, sync};

const T1: &str = "2026-01-01T00:00:00Z";
const T2: &str = "2026-01-02T00:00:00Z";

#[tokio::test]
async fn a_new_index_is_mapped_by_its_template_then_by_the_source() {
    let created = async |template: Option<Value>| {
        let fake = Fake::start().await;
        fake.lock().template = template;
        let mut source = Listed::documents(documents(3, T1));
        source.mapping = Map::from_iter([("size".to_owned(), json!({"type": "long"}))]);
        completed(&fake, source).await;
        assert_eq!(fake.ids("docs").len(), 3);
        fake.lock().created[0].1["mappings"]["properties"]["size"].clone()
    };
    assert_eq!(created(Some(json!({"mappings": {}}))).await, json!({"type": "long"}));
    let decided = json!({"mappings": {"properties": {"size": {"type": "double"}}}});
    assert_eq!(created(Some(decided)).await, Value::Null);
    assert_eq!(created(None).await, Value::Null, "a template that cannot be seen may decide it");
}

#[tokio::test]
async fn the_index_becomes_what_the_source_is() {
    let fake = Fake::start().await;
    let report = completed(&fake, Listed::documents(documents(1_200, T1))).await;
    assert_eq!(fake.ids("docs").len(), 1_200);
    assert_eq!((report.counters.indexed, report.counters.doc_creates_queued), (1_200, 1_200));
    assert_eq!((report.total_documents, report.totals.indexed), (Some(1_200), 1_200));
    assert!(report.totals.indexed_bytes > 1_200 * 50 && report.started_at <= report.finished_at);
    assert_eq!(
        fake.document("docs", "000007"),
        json!({
            "name": "000007", "id": "000007", "_timestamp": T1, "_extract_binary_content": true,
            "_reduce_whitespace": true, "_run_ml_inference": true,
        })
    );
    assert_eq!(fake.lock().created[0].1["mappings"]["properties"]["id"]["type"], "keyword");
    for bulk in &fake.lock().bulks {
        assert!(bulk.operations.len() <= 500 && bulk.index == "docs", "{bulk:?}");
        assert!(bulk.query.contains("pipeline=search-default-ingestion"), "{}", bulk.query);
    }

    // Unchanged: nothing is written.
    let written = fake.operations().len();
    let report = completed(&fake, Listed::documents(documents(1_200, "2026-01-01T00:00:00.000+00:00"))).await;
    assert_eq!((report.counters.docs_unchanged, report.counters.indexed), (1_200, 0));
    assert_eq!(fake.operations().len(), written);

    // 10 changed, 10 added, 10 gone.
    let mut changed = documents(1_210, T1).split_off(10);
    for document in &mut changed[..10] {
        document.timestamp = Some(T2.to_owned());
    }
    let report = completed(&fake, Listed::documents(changed)).await;
    let counters = &report.counters;
    assert_eq!((counters.indexed, counters.docs_unchanged, counters.deleted), (20, 1_180, 10));
    assert_eq!(
        (counters.doc_creates_queued, counters.doc_updates_queued, counters.doc_deletes_queued),
        (10, 10, 10)
    );
    assert_eq!(counters.index.id_duplicates, 10);
    assert_eq!(report.total_documents, Some(1_200));
    let ids = fake.ids("docs");
    assert_eq!((ids[0].as_str(), ids[1_199].as_str()), ("000010", "001209"));
    assert_eq!(fake.document("docs", "000010")["_timestamp"], T2);
}

#[tokio::test]
async fn force_writes_what_did_not_change() {
    let fake = Fake::start().await;
    completed(&fake, Listed::documents(documents(5, T1))).await;
    let mut forced = input(&fake, Listed::documents(documents(5, T1)));
    forced.force = true;
    let report = sync(forced).await;
    assert_eq!((report.counters.indexed, report.counters.docs_unchanged), (5, 0));
}

#[tokio::test]
async fn a_dry_run_counts_and_changes_nothing() {
    let fake = Fake::start().await;
    let dry = |source| SyncInput { dry_run: true, ..input(&fake, source) };
    let report = sync(dry(Listed::documents(documents(7, T1)))).await;
    assert!(matches!(report.outcome, Outcome::Completed), "{report:?}");
    assert_eq!((report.counters.indexed, report.counters.deleted, report.total_documents), (7, 0, None));
    assert!(fake.lock().indices.is_empty(), "not even the index is made");

    completed(&fake, Listed::documents(documents(7, T1))).await;
    let before = fake.operations().len();
    let report =
        sync(dry(Listed::documents([document("000001", T1), document("000002", T2), document("new", T1)])))
            .await;
    let counters = &report.counters;
    assert_eq!((counters.indexed, counters.docs_unchanged, counters.deleted), (2, 1, 5));
    assert_eq!(fake.operations().len(), before);
    assert_eq!(fake.ids("docs").len(), 7);
}

#[tokio::test]
async fn a_source_without_changes_is_not_read() {
    let fake = Fake::start().await;
    let unchanged = |cursor: &Option<Value>| {
        let mut source = Listed::documents(documents(2, T1));
        source.changed = Changed::Nothing(None);
        SyncInput { cursor: cursor.clone(), ..input(&fake, source) }
    };
    let checkpoint = Message::Checkpoint(json!({"at": 7}));
    let messages = documents(2, T1).into_iter().map(Message::Document).chain([checkpoint]).collect();
    let cursor = sync(unchanged(&None)).await.cursor;
    assert!(!sync(SyncInput { force: true, ..unchanged(&cursor) }).await.nothing_changed, "all is wanted");
    let report = completed(&fake, Listed::new(messages)).await;
    let cursor = report.cursor;
    assert_eq!(cursor.as_ref().unwrap()["at"], 7);

    let source = Arc::new({
        let mut source = Listed::documents([]);
        source.changed = Changed::Nothing(None);
        source
    });
    let asked =
        SyncInput { cursor: cursor.clone(), ..SyncInput::full(client(&fake), "docs", source.clone()) };
    let report = sync(asked).await;
    assert!(matches!(report.outcome, Outcome::Completed) && report.nothing_changed);
    assert_eq!((&report.cursor, report.counters.docs_extracted), (&cursor, 0));
    assert_eq!(report.rule_matches, None, "nothing was decided");
    assert_eq!(
        *source.asked.lock().unwrap(),
        [json!({"changed": {"at": 7}})],
        "its own cursor, and nothing else"
    );

    // Rules that the source knows nothing of are followed all the same.
    let rule = json!({"id": "r", "order": 1, "policy": "exclude", "field": "id", "rule": "equals", "value": "000001"});
    let filter = Filter { rules: vec![rule], ..Filter::default() };
    let report = sync(SyncInput { filter, ..unchanged(&cursor) }).await;
    assert_eq!((report.nothing_changed, report.counters.deleted), (false, 1));

    // So is an index that somebody emptied, or removed.
    fake.lock().indices.get_mut("docs").unwrap().clear();
    let report = sync(unchanged(&cursor)).await;
    assert_eq!((report.counters.indexed, report.emptied), (2, true));
    fake.lock().indices.clear();
    assert_eq!(sync(unchanged(&cursor)).await.counters.indexed, 2);
    // And one that a job that failed, or somebody else, left in between.
    fake.lock().indices.get_mut("docs").unwrap().remove("000001");
    assert_eq!(sync(unchanged(&cursor)).await.counters.indexed, 1);
    assert!(sync(unchanged(&cursor)).await.nothing_changed);
}

#[tokio::test]
async fn rules_leave_documents_out_and_delete_them() {
    let fake = Fake::start().await;
    completed(&fake, Listed::documents(documents(4, T1))).await;
    let rule = json!({"id": "r", "order": 1, "policy": "exclude", "field": "id", "rule": "equals", "value": "000002"});
    let filter = Filter {
        rules: vec![rule.clone()],
        advanced_snippet: fields(json!({"value": {"only": "these"}})),
        ..Filter::default()
    };
    let source = Arc::new(Listed::documents(documents(4, T1)));
    let filtered =
        SyncInput { filter: filter.clone(), ..SyncInput::full(client(&fake), "docs", source.clone()) };
    let report = sync(filtered).await;
    assert!(matches!(report.outcome, Outcome::Completed), "{report:?}");
    let counters = &report.counters;
    assert_eq!((counters.docs_filtered, counters.docs_unchanged, counters.deleted), (1, 3, 1));
    let matches = report.rule_matches.as_ref().unwrap();
    assert_eq!(matches.counts().collect::<Vec<_>>(), [("r", 1), ("DEFAULT", 3)]);
    assert_eq!(fake.ids("docs"), ["000000", "000001", "000003"]);
    assert_eq!(source.asked.lock().unwrap()[0], json!({"documents": {"only": "these"}}));

    let unruly =
        SyncInput { filter, apply_basic_rules: false, ..input(&fake, Listed::documents(documents(4, T1))) };
    let report = sync(unruly).await;
    assert_eq!(report.counters.docs_filtered, 0);
    assert_eq!(report.rule_matches.unwrap().counts().collect::<Vec<_>>(), [("DEFAULT", 4)]);
    let mut wrong = input(&fake, Listed::documents(documents(4, T1)));
    wrong.filter.rules = vec![json!({"id": "r", "order": 1})];
    let Outcome::Failed(error) = sync(wrong).await.outcome else { panic!("a wrong rule was applied") };
    assert_eq!(error.name(), "InvalidSyncRulesError");
}

#[tokio::test]
async fn content_is_fetched_only_for_what_is_written() {
    let fake = Fake::start().await;
    let contents = || {
        Listed::documents([
            with_text("text", "hello"),
            with_fetched("file", Content::Binary(b"\x01\x02".to_vec().into())),
            with_fetched("fields", Content::Fields(fields(json!({"a": 1, "_original_filename": "x"})))),
            document("bare", T1),
        ])
    };
    let report = completed(&fake, contents()).await;
    assert_eq!((report.counters.binary_docs_downloaded, report.counters.indexed), (3, 4));
    assert_eq!(fake.document("docs", "text")["body"], "hello");
    assert_eq!(fake.document("docs", "file")["_attachment"], "AQI=");
    assert_eq!(fake.document("docs", "fields")["a"], 1);
    assert_eq!(fake.document("docs", "fields").get("_original_filename"), None);
    let report = completed(&fake, contents()).await;
    assert_eq!((report.counters.binary_docs_downloaded, report.counters.docs_unchanged), (0, 4));
}

#[tokio::test]
async fn contents_that_fail_are_told_apart() {
    let fake = Fake::start().await;
    fake.put("docs", "denied", json!({"id": "denied", "_timestamp": "2025-01-01T00:00:00Z", "old": true}));
    let source = Listed::documents([
        with_error("gone", ErrorKind::NotFound),
        with_error("denied", ErrorKind::PermissionDenied),
        with_text("good", "x"),
    ]);
    let report = completed(&fake, source).await;
    let counters = &report.counters;
    assert_eq!((counters.docs_vanished, counters.dead_letters, counters.indexed), (1, 1, 1));
    assert_eq!(fake.ids("docs"), ["denied", "good"]);
    assert_eq!(fake.document("docs", "denied")["old"], true, "what is indexed of it stays");
    let letter = &report.dead_letters[0];
    assert_eq!(
        (letter.id.as_str(), letter.operation, letter.kind.as_str()),
        ("denied", "download", "PermissionDeniedError")
    );
}

#[tokio::test]
async fn text_above_the_limit_is_a_dead_letter_and_a_file_is_not() {
    let fake = Fake::start().await;
    let large = "x".repeat(2_000);
    let mut limited = input(
        &fake,
        Listed::documents([
            with_text("text", large.clone()),
            with_fetched("file", Content::Binary(large.clone().into_bytes().into())),
            with_text("small", "x"),
        ]),
    );
    limited.options.max_text_bytes = Some(1_000);
    let directory = tempfile::tempdir().unwrap();
    limited.options.dead_letter_file = Some(directory.path().join("dead.jsonl"));
    let report = sync(limited).await;
    assert!(matches!(report.outcome, Outcome::Completed), "{report:?}");
    assert_eq!((report.counters.docs_dropped_too_large, report.counters.dead_letters), (1, 1));
    assert_eq!(fake.ids("docs"), ["file", "small"]);
    let line = std::fs::read_to_string(directory.path().join("dead.jsonl")).unwrap();
    let letter: Value = serde_json::from_str(&line).unwrap();
    assert_eq!((&letter["id"], &letter["operation"]), (&"text".into(), &"size".into()));

    let mut broken = input(&fake, Listed::documents([]));
    broken.options.dead_letter_file = Some(directory.path().to_owned());
    let Outcome::Failed(SyncError::File { path, .. }) = sync(broken).await.outcome else {
        panic!("a folder is no file")
    };
    assert_eq!(path, directory.path().to_str().unwrap());
}

#[tokio::test]
async fn requests_stay_within_the_limits() {
    let fake = Fake::start().await;
    fake.lock().delay = std::time::Duration::from_millis(10);
    let texts = (0..120).map(|index| with_text(&format!("t{index:03}"), "y".repeat(2_000)));
    let giant = with_text("giant", "z".repeat(50_000));
    let fetched =
        (0..40).map(|index| with_fetched(&format!("f{index:03}"), Content::Text("w".repeat(3_000))));
    let mut limited = input(&fake, Listed::documents(texts.chain([giant]).chain(fetched)));
    limited.options.chunk_size = 7;
    limited.options.chunk_max_bytes = 10_000;
    limited.options.max_concurrency = 2;
    limited.options.concurrent_downloads = 3;
    let report = sync(limited).await;
    assert!(matches!(report.outcome, Outcome::Completed), "{report:?}");
    assert_eq!(fake.ids("docs").len(), 161);
    let inner = fake.lock();
    assert!(inner.most_in_flight <= 2, "{}", inner.most_in_flight);
    for bulk in &inner.bulks {
        assert!(bulk.operations.len() <= 7, "{bulk:?}");
        assert!(bulk.bytes <= 10_000 || bulk.operations.len() == 1, "{bulk:?}");
    }
}

#[tokio::test]
async fn long_and_empty_ids_are_dealt_with() {
    let fake = Fake::start().await;
    let long = "l".repeat(600);
    let source = || Listed::documents([document(&long, T1), document("", T1), document("a/b \"c\"", T1)]);
    let report = completed(&fake, source()).await;
    assert_eq!((report.counters.indexed, report.counters.dead_letters), (2, 1));
    assert_eq!(report.dead_letters[0].kind, "invalid_id");
    let ids = fake.ids("docs");
    assert_eq!((ids[0].as_str(), ids[1].len()), ("a/b \"c\"", 32));
    assert_eq!(fake.document("docs", &ids[1])["id"], ids[1].as_str());
    assert_eq!(completed(&fake, source()).await.counters.docs_unchanged, 2);
}

#[tokio::test]
async fn documents_without_a_timestamp_are_written_when_their_content_changed() {
    let fake = Fake::start().await;
    let source = |n: u64| {
        let bare = |id: &str, value: u64| Document::new(id, fields(json!({"n": value, "text": "t"})));
        Listed::documents([bare("a", 1), bare("b", n)])
    };
    // Written by somebody who left no hash.
    fake.put("docs", "a", json!({"id": "a", "_timestamp": "2025-01-01T00:00:00Z", "n": 1, "text": "t"}));
    let report = completed(&fake, source(2)).await;
    assert_eq!(report.counters.indexed, 2);
    let before = fake.document("docs", "b");
    assert!(before["_timestamp"].is_string() && before["_content_hash"].is_string());
    let report = completed(&fake, source(2)).await;
    assert_eq!((report.counters.indexed, report.counters.docs_unchanged), (0, 2));
    let report = completed(&fake, source(3)).await;
    assert_eq!((report.counters.indexed, report.counters.docs_unchanged), (1, 1));
    let after = fake.document("docs", "b");
    assert_eq!(after["n"], 3);
    assert_ne!(after["_content_hash"], before["_content_hash"]);
    assert_eq!(sync(SyncInput { force: true, ..input(&fake, source(3)) }).await.counters.indexed, 2);
}

#[tokio::test]
async fn a_source_that_owns_the_field_id_keeps_it() {
    let fake = Fake::start().await;
    let source = |ids: &[u64]| {
        let row = |id: &u64| Document::new(format!("t_{id}"), fields(json!({"id": id})));
        let mut source = Listed::documents(ids.iter().map(row));
        source.owns_id_field = true;
        source
    };
    completed(&fake, source(&[1, 2, 3])).await;
    assert_eq!((fake.ids("docs").len(), &fake.document("docs", "t_2")["id"]), (3, &json!(2)));
    let report = completed(&fake, source(&[1, 3])).await;
    assert_eq!((report.counters.docs_unchanged, report.counters.deleted), (2, 1));
    assert_eq!(fake.ids("docs"), ["t_1", "t_3"]);
}

#[tokio::test]
async fn an_inventory_larger_than_its_memory_works_the_same() {
    let fake = Fake::start().await;
    completed(&fake, Listed::documents(documents(3_000, T1))).await;
    let spilled = |source| {
        let mut input = input(&fake, source);
        input.options.inventory_bytes = 32 * 100;
        input
    };
    let report = sync(spilled(Listed::documents(documents(2_900, T1)))).await;
    assert!(matches!(report.outcome, Outcome::Completed), "{report:?}");
    assert_eq!((report.counters.docs_unchanged, report.counters.deleted), (2_900, 100));
    assert_eq!(fake.ids("docs").len(), 2_900);
    let mut broken = spilled(Listed::documents([]));
    broken.options.spill_directory = "/does/not/exist".into();
    let Outcome::Failed(error) = sync(broken).await.outcome else { panic!("there is no such folder") };
    assert!(error.to_string().contains("/does/not/exist"), "{error}");
    assert_eq!(fake.ids("docs").len(), 2_900);
}

#[tokio::test]
async fn a_document_is_deleted_by_the_id_it_has_in_the_index() {
    let fake = Fake::start().await;
    fake.put("docs", "_id-1", json!({"id": "other", "_timestamp": T1}));
    fake.put("docs", "kept", json!({"id": "a", "_timestamp": T1}));
    let report = completed(&fake, Listed::documents([document("a", T1)])).await;
    assert_eq!((report.counters.docs_unchanged, report.counters.deleted), (1, 1));
    assert_eq!(fake.ids("docs"), ["kept"]);
}

#[tokio::test]
async fn partitions_must_end() {
    let fake = Fake::start().await;
    fake.put("docs", "old", json!({"id": "old"}));
    let partition = |name: &str| name.to_owned();
    let open = vec![
        Message::PartitionStarted(partition("a")),
        Message::PartitionStarted(partition("b")),
        Message::Document(document("new", T1)),
        Message::PartitionDone(partition("a")),
    ];
    let report = sync(input(&fake, Listed::new(open))).await;
    let Outcome::Failed(error) = report.outcome else { panic!("b did not end") };
    assert_eq!((error.name(), error.to_string().contains("all of b;")), ("IncompleteListingError", true));
    assert_eq!(fake.ids("docs"), ["new", "old"], "written, and nothing deleted");
    let whole = vec![Message::PartitionStarted(partition("a")), Message::PartitionDone(partition("a"))];
    completed(&fake, Listed::new(whole)).await;
    assert_eq!(fake.ids("docs"), Vec::<String>::new());
}

#[tokio::test]
async fn access_control_jobs_have_their_own_index_and_form() {
    let fake = Fake::start().await;
    fake.put(".search-acl-filter-docs", "jane", json!({"id": "jane", "_timestamp": T1, "kept": 1}));
    fake.put(".search-acl-filter-docs", "gone", json!({"id": "gone"}));
    let mut identities = input(&fake, Listed::documents([document("jane", T2), document("joe", T1)]));
    identities.job_type = JobType::AccessControl;
    identities.pipeline = Pipeline { name: String::new(), ..Pipeline::default() };
    let report = sync(identities).await;
    assert!(matches!(report.outcome, Outcome::Completed), "{report:?}");
    assert_eq!(fake.ids(".search-acl-filter-docs"), ["jane", "joe"]);
    let jane = fake.document(".search-acl-filter-docs", "jane");
    assert_eq!(jane, json!({"id": "jane", "_timestamp": T2, "kept": 1, "name": "jane"}));
    assert_eq!(report.counters.update.operations, 1);
    assert!(!fake.lock().bulks[0].query.contains("pipeline"));
}

#[tokio::test]
async fn progress_is_told() {
    let fake = Fake::start().await;
    fake.lock().delay = std::time::Duration::from_millis(150);
    let mut watched = input(&fake, Listed::documents(documents(1_000, T1)));
    watched.before.indexed = 5;
    watched.options.log_operations = true;
    let (sender, mut receiver) = watch::channel(Progress::default());
    let job = tokio::spawn(run(watched, sender, StopTokens::default()));
    let mut phases = Vec::new();
    let mut last = Progress::default();
    while receiver.changed().await.is_ok() {
        last = receiver.borrow_and_update().clone();
        if phases.last() != Some(&last.phase) {
            phases.push(last.phase);
        }
    }
    let report = job.await.unwrap();
    assert!(phases.contains(&Phase::Syncing), "{phases:?}");
    assert_eq!((last.extracted, last.indexed, last.phase), (1_000, 1_000, Phase::Finishing));
    assert_eq!((last.totals.indexed, report.totals), (1_005, last.totals));
    assert_eq!(last.bytes, report.counters.indexed_bytes);
    assert_eq!(last.started_at, Some(report.started_at));
}

#[tokio::test]
async fn a_pipeline_may_change_the_field_id() {
    let fake = Fake::start().await;
    completed(&fake, Listed::documents(documents(3, T1))).await;
    for id in fake.ids("docs") {
        let mut document = fake.document("docs", &id);
        document["id"] = json!(format!("short-{id}"));
        fake.put("docs", &id, document);
    }
    let report = completed(&fake, Listed::documents(documents(2, T1))).await;
    assert_eq!((report.counters.docs_unchanged, report.counters.deleted), (2, 1));
    assert_eq!(fake.ids("docs"), ["000000", "000001"]);
}

#[tokio::test]
async fn what_could_not_be_written_is_tried_again_although_nothing_changed() {
    let fake = Fake::start().await;
    let source = || {
        let mut source = Listed::documents(documents(3, T1));
        source.changed = Changed::Nothing(None);
        source
    };
    fake.lock().item_fault =
        Some(Box::new(|id| (id == "000001").then_some((400, "mapper_parsing_exception"))));
    let report = sync(input(&fake, source())).await;
    assert_eq!((report.counters.indexed, report.counters.dead_letters), (2, 1));
    fake.lock().item_fault = None;
    let report = sync(SyncInput { cursor: report.cursor, ..input(&fake, source()) }).await;
    assert_eq!((report.nothing_changed, report.counters.indexed), (false, 1));
    let report = sync(SyncInput { cursor: report.cursor, ..input(&fake, source()) }).await;
    assert!(report.nothing_changed);
}
