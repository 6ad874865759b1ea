//! The protocol's indices: conflicts, lost answers and what is searched, against scripted servers.

use std::sync::{Arc, Mutex};

use connectors_es_client::protocol_index::{ConnectorIndex, Stored, SyncJobIndex};
use connectors_protocol::PartialDocument;
use connectors_protocol::connector::ConnectorDocument;
use connectors_protocol::filtering::ValidationResult;
use connectors_protocol::sync_job::{JobStatus, JobType};
use jiff::Timestamp;
use serde_json::{Value, json};

use crate::client;
use crate::fake::{Fake, Reply};

pub(crate) fn partial(value: Value) -> PartialDocument {
    let Value::Object(fields) = value else { panic!("not an object: {value}") };
    fields
}

/// The ids of what was found, in order.
pub(crate) fn ids<T>(found: &[Stored<T>]) -> Vec<&str> {
    found.iter().map(|stored| stored.id.as_str()).collect()
}

fn conflict() -> Reply {
    Reply::json(409, json!({"error": {"type": "version_conflict_engine_exception", "reason": "newer"}}))
}

fn missing(kind: &str) -> Reply {
    Reply::json(404, json!({"error": {"type": kind, "reason": "missing"}}))
}

fn found(seq_no: u64, source: &Value) -> Reply {
    Reply::json(
        200,
        json!({"_id": "c1", "_seq_no": seq_no, "_primary_term": 1, "found": true, "_source": source}),
    )
}

fn written(seq_no: u64) -> Reply {
    Reply::json(200, json!({"_id": "c1", "result": "updated", "_seq_no": seq_no, "_primary_term": 1}))
}

/// A server with one document that `step` lives on.
async fn one_document(
    source: Value,
    step: impl Fn(usize, &crate::fake::Seen) -> Option<Reply> + Send + Sync + 'static,
) -> Fake {
    let stored = Arc::new(Mutex::new((5, source)));
    Fake::start(move |number, seen| {
        let reply = step(number, seen);
        let mut stored = stored.lock().unwrap();
        if seen.method == "GET" {
            return reply.unwrap_or_else(|| found(stored.0, &stored.1));
        }
        let current = format!("if_seq_no={}&", stored.0);
        if !seen.target.contains(&current) {
            return conflict();
        }
        // What a step answers says whether the write happened.
        if !matches!(reply, Some(Reply::Answer { .. })) {
            *stored = (stored.0 + 1, serde_json::from_slice(&seen.body).unwrap());
        }
        reply.unwrap_or_else(|| written(stored.0))
    })
    .await
}

#[tokio::test]
async fn a_write_changes_its_fields_and_keeps_all_others() {
    let source = json!({"status": "configured", "sync_cursor": {"old": 1}, "tomorrow": {"x": null},
        "configuration": {"a": {"value": 1}}});
    let fake = one_document(source, |_, _| None).await;
    let connectors = ConnectorIndex::new(client(&fake));
    let update = partial(json!({"sync_cursor": {"new": 2}, "configuration": {"a": {"label": "A"}}}));
    let stored = connectors.write("c1", &update).await.unwrap();
    assert_eq!(stored.document.sync_cursor, Some(json!({"new": 2})));
    assert_eq!(
        serde_json::from_slice::<Value>(&fake.seen()[1].body).unwrap(),
        json!({"status": "configured", "sync_cursor": {"new": 2}, "tomorrow": {"x": null},
            "configuration": {"a": {"value": 1, "label": "A"}}})
    );
    assert!(fake.seen()[1].target.starts_with("/.elastic-connectors/_doc/c1?if_seq_no=5&if_primary_term=1"));
    // The answer is good for the next write.
    let again = connectors.write_guarded(&stored, &partial(json!({"error": "x"}))).await.unwrap();
    assert_eq!(again.unwrap().document.error.as_deref(), Some("x"));
}

#[tokio::test]
async fn a_write_whose_answer_was_lost_succeeded() {
    // The document is written, the connection is cut before the answer, and the repeated request conflicts with that.
    let fake =
        one_document(json!({"status": "configured"}), |number, _| (number == 1).then_some(Reply::Close))
            .await;
    let connectors = ConnectorIndex::new(client(&fake));
    let stored = connectors.get("c1").await.unwrap().unwrap();
    let written = connectors.write_guarded(&stored, &partial(json!({"error": "mine"}))).await.unwrap();
    assert_eq!(written.unwrap().document.error.as_deref(), Some("mine"));
    assert_eq!(fake.count(), 4, "read, write, write again, read");
}

#[tokio::test]
async fn a_guarded_write_gives_way_to_another() {
    let fake = one_document(json!({"status": "configured"}), |_, _| None).await;
    let connectors = ConnectorIndex::new(client(&fake));
    let stored = connectors.get("c1").await.unwrap().unwrap();
    connectors.write("c1", &partial(json!({"error": "theirs"}))).await.unwrap();
    assert_eq!(connectors.write_guarded(&stored, &partial(json!({"error": "mine"}))).await.unwrap(), None);
}

#[tokio::test]
async fn a_write_from_a_known_state_reads_only_if_others_wrote() {
    let fake = one_document(json!({"status": "configured"}), |_, _| None).await;
    let connectors = ConnectorIndex::new(client(&fake));
    let stored = connectors.get("c1").await.unwrap().unwrap();
    connectors.write_from(&stored, &partial(json!({"error": "first"}))).await.unwrap();
    assert_eq!(fake.count(), 2, "read, write");
    // The state is an old one now: what was written since stays.
    let later = connectors.write_from(&stored, &partial(json!({"name": "later"}))).await.unwrap();
    assert_eq!(
        (later.document.error.as_deref(), later.document.name.as_deref()),
        (Some("first"), Some("later"))
    );
}

#[tokio::test]
async fn an_update_decides_anew_after_each_conflict_and_gives_up_after_three() {
    let fake = one_document(json!({"status": "configured"}), |number, seen| {
        (seen.method == "PUT" && number < 4).then(conflict)
    })
    .await;
    let connectors = ConnectorIndex::new(client(&fake));
    let mut decided = 0;
    let stored = connectors
        .update("c1", |_| {
            decided += 1;
            Some(partial(json!({"error": format!("try {decided}")})))
        })
        .await
        .unwrap();
    assert_eq!((decided, stored.document.error.as_deref()), (2, Some("try 2")));

    let busy =
        one_document(json!({"status": "configured"}), |_, seen| (seen.method == "PUT").then(conflict)).await;
    let error =
        ConnectorIndex::new(client(&busy)).write("c1", &partial(json!({"error": "mine"}))).await.unwrap_err();
    assert!(error.to_string().contains("/.elastic-connectors/_doc/c1"), "{error}");
    assert!(error.to_string().contains("others wrote the document"), "{error}");
    assert_eq!(busy.seen().iter().filter(|seen| seen.method == "PUT").count(), 3);

    let nothing = connectors.update("c1", |_| None).await.unwrap();
    assert_eq!(nothing.document.error.as_deref(), Some("try 2"));
}

#[tokio::test]
async fn writing_a_document_that_is_gone_says_so() {
    let fake = Fake::start(|_, _| Reply::json(404, json!({"_id": "c1", "found": false}))).await;
    let error = ConnectorIndex::new(client(&fake)).write("c1", &partial(json!({}))).await.unwrap_err();
    assert!(error.to_string().contains("does not exist"), "{error}");
}

#[tokio::test]
async fn other_failures_of_a_write_are_errors() {
    let fake = one_document(json!({"status": "configured"}), |_, seen| {
        (seen.method == "PUT")
            .then(|| Reply::json(403, json!({"error": {"type": "security_exception", "reason": "no"}})))
    })
    .await;
    let error = ConnectorIndex::new(client(&fake)).write("c1", &partial(json!({}))).await.unwrap_err();
    assert!(error.is_denied(), "{error}");
}

#[tokio::test]
async fn creating_again_after_a_lost_answer_is_creating_once() {
    let stored = Mutex::new(None);
    let fake = Fake::start(move |_, seen| {
        let mut stored = stored.lock().unwrap();
        match (seen.method.as_str(), &*stored) {
            ("PUT", None) => {
                *stored = Some(serde_json::from_slice::<Value>(&seen.body).unwrap());
                Reply::Close
            }
            ("PUT", Some(_)) => conflict(),
            (_, Some(source)) => found(0, source),
            (_, None) => Reply::json(404, json!({"found": false})),
        }
    })
    .await;
    let connectors = ConnectorIndex::new(client(&fake));
    let document = ConnectorDocument::new(Some("dir"), Some("search-x"), None, Timestamp::now());
    connectors.create_with_id("c1", &document).await.unwrap();
    let other = ConnectorDocument::new(Some("dir"), Some("search-y"), None, Timestamp::now());
    assert!(connectors.create_with_id("c1", &other).await.unwrap_err().is_conflict());
}

#[tokio::test]
async fn an_index_that_appears_while_it_is_created_is_fine() {
    let create = |reply: fn() -> Reply, appears: bool| {
        Fake::start(move |number, seen| match (seen.method.as_str(), seen.path()) {
            ("HEAD", "/.elastic-connectors") if appears && number > 2 => Reply::json(200, ""),
            ("PUT", "/.elastic-connectors-v1") => reply(),
            ("POST", "/_aliases") => Reply::json(200, json!({"acknowledged": true})),
            _ => Reply::json(404, ""),
        })
    };
    // Another service creates it with its alias: the alias is added again, which changes nothing.
    let exists =
        || Reply::json(400, json!({"error": {"type": "resource_already_exists_exception", "reason": ""}}));
    let fake = create(exists, false).await;
    ConnectorIndex::new(client(&fake)).ensure().await.unwrap();
    let last = fake.seen().pop().unwrap();
    assert_eq!(
        (last.path(), last.text()),
        (
            "/_aliases",
            r#"{"actions":[{"add":{"index":".elastic-connectors-v1","alias":".elastic-connectors"}}]}"#
        )
    );
    // Somebody writes through the alias name: there is an index of that name, and ours cannot have the alias.
    let clash =
        || Reply::json(400, json!({"error": {"type": "invalid_alias_name_exception", "reason": "an index"}}));
    let fake = create(clash, true).await;
    ConnectorIndex::new(client(&fake)).ensure().await.unwrap();
    let fake = create(clash, false).await;
    let error = ConnectorIndex::new(client(&fake)).ensure().await.unwrap_err();
    assert_eq!(error.error_type(), Some("invalid_alias_name_exception"));
}

#[tokio::test]
async fn a_search_without_document_states_is_refused() {
    let fake = Fake::start(|_, seen| match seen.path() {
        "/.elastic-connectors/_search" => {
            Reply::json(200, json!({"hits": {"hits": [{"_id": "c1", "_source": {}}]}}))
        }
        _ => missing("index_not_found_exception"),
    })
    .await;
    let error = ConnectorIndex::new(client(&fake)).all().await.unwrap_err();
    assert!(error.to_string().contains("c1"), "{error}");
}

/// A server whose searches find `count` pending jobs in all, page by page.
async fn searchable(count: usize) -> Fake {
    Fake::start(move |_, seen| {
        let body: Value = serde_json::from_slice(&seen.body).unwrap_or_default();
        let (from, size) = (body["from"].as_u64().unwrap_or(0), body["size"].as_u64().unwrap_or(0));
        let page = from..(from + size).min(u64::try_from(count).unwrap());
        let hits: Vec<_> = page
            .map(|number| {
                json!({"_id": format!("j{number}"), "_seq_no": number, "_primary_term": 1, "sort": [number],
                    "_source": {"status": if number == 1 { "odd" } else { "pending" }}})
            })
            .collect();
        let total = json!({"value": count, "relation": "eq"});
        Reply::json(200, json!({"took": 1, "pit_id": "p", "id": "p", "hits": {"total": total, "hits": hits}}))
    })
    .await
}

fn searched(fake: &Fake, path: &str) -> Value {
    let seen = fake.seen().into_iter().find(|seen| seen.path() == path);
    serde_json::from_slice(&seen.unwrap_or_else(|| panic!("nothing searched {path}")).body).unwrap()
}

#[tokio::test]
async fn searches_page_until_the_end_and_skip_what_cannot_be_read() {
    let fake = searchable(2500).await;
    let jobs = SyncJobIndex::new(client(&fake));
    let found = jobs.claimable(&["c".to_owned()], &[JobType::Full]).await.unwrap();
    assert_eq!(found.len(), 2499);
    assert_eq!((ids(&found)[0], ids(&found)[1]), ("j0", "j2"));
    let from: Vec<_> = fake
        .seen()
        .iter()
        .map(|seen| serde_json::from_slice::<Value>(&seen.body).unwrap()["from"].as_u64().unwrap())
        .collect();
    assert_eq!(from, [0, 1000, 2000]);
    let page = jobs.list(None, 2, 10).await.unwrap();
    assert_eq!((page.jobs.len(), page.total), (10, 2500));
}

#[tokio::test]
async fn jobs_are_searched_by_connector_type_and_status() {
    let fake = searchable(0).await;
    let jobs = SyncJobIndex::new(client(&fake));
    jobs.claimable(&["a".to_owned(), "b".to_owned()], &[JobType::Full, JobType::Incremental]).await.unwrap();
    assert_eq!(
        searched(&fake, "/.elastic-connectors-sync-jobs/_search"),
        json!({
            "query": {"bool": {"filter": [
                {"terms": {"status": ["pending", "suspended"]}},
                {"terms": {"connector.id": ["a", "b"]}},
                {"terms": {"job_type": ["full", "incremental"]}},
            ]}},
            "sort": [{"created_at": {"order": "asc", "unmapped_type": "date"}}],
            "from": 0, "size": 1000, "seq_no_primary_term": true, "track_total_hits": true,
        })
    );
    let fake = searchable(0).await;
    let jobs = SyncJobIndex::new(client(&fake));
    assert!(jobs.idle(&["a".to_owned()], Timestamp::now()).await.unwrap().is_empty());
    assert_eq!(
        searched(&fake, "/.elastic-connectors-sync-jobs/_search")["query"]["bool"]["filter"][0],
        json!({"terms": {"status": ["in_progress", "canceling"]}})
    );
    let fake = searchable(0).await;
    let jobs = SyncJobIndex::new(client(&fake));
    jobs.list(Some("a"), 0, 5).await.unwrap();
    let body = searched(&fake, "/.elastic-connectors-sync-jobs/_search");
    assert_eq!(body["query"], json!({"term": {"connector.id": "a"}}));
    assert_eq!(body["sort"][0]["created_at"]["order"], "desc");
}

#[tokio::test]
async fn orphans_are_jobs_of_connectors_that_are_not_there() {
    let fake = searchable(3).await;
    let client = client(&fake);
    let orphans = SyncJobIndex::new(client.clone()).orphaned(&ConnectorIndex::new(client)).await.unwrap();
    assert_eq!(orphans.len(), 2);
    assert_eq!(
        searched(&fake, "/.elastic-connectors-sync-jobs/_search")["query"]["bool"]["must_not"],
        json!([{"terms": {"connector.id": ["j0", "j1", "j2"]}}])
    );
}

#[tokio::test]
async fn connectors_are_searched_by_type_or_id_and_never_deleted_ones() {
    let fake = searchable(0).await;
    let connectors = ConnectorIndex::new(client(&fake));
    assert!(connectors.supported(&[], &[]).await.unwrap().is_empty());
    assert_eq!(fake.count(), 0, "nothing to serve, nothing to ask");
    connectors.supported(&["dir".to_owned()], &["c1".to_owned()]).await.unwrap();
    assert_eq!(
        searched(&fake, "/.elastic-connectors/_search")["query"],
        json!({"bool": {
            "filter": [{"bool": {
                "should": [
                    {"bool": {"filter": [{"terms": {"service_type": ["dir"]}}, {"term": {"is_native": false}}]}},
                    {"ids": {"values": ["c1"]}},
                ],
                "minimum_should_match": 1,
            }}],
            "must_not": [{"term": {"deleted": true}}],
        }})
    );
    let fake = searchable(0).await;
    ConnectorIndex::new(client(&fake)).by_index("search-x").await.unwrap();
    let query = &searched(&fake, "/.elastic-connectors/_search")["query"];
    assert_eq!(query["bool"]["filter"], json!([{"term": {"index_name": "search-x"}}]));
}

#[tokio::test]
async fn one_of_many_claims_wins_even_when_answers_are_lost() {
    // Every other write is made, and its answer lost.
    let fake = one_document(json!({"status": "pending"}), |number, seen| {
        (seen.method == "PUT" && number % 2 == 1).then_some(Reply::Close)
    })
    .await;
    let jobs = SyncJobIndex::new(client(&fake));
    let waiting = jobs.get("c1").await.unwrap().unwrap();
    let services: Vec<_> = (0..16)
        .map(|_| {
            let (jobs, job) = (jobs.clone(), waiting.clone());
            let cursor = json!({"c": 1});
            let more = partial(json!({"metadata": {"worker": 1}}));
            tokio::spawn(async move { jobs.claim(&job, "same-host", Some(&cursor), more).await.unwrap() })
        })
        .collect();
    let mut claimed = Vec::new();
    for service in services {
        claimed.extend(service.await.unwrap());
    }
    assert_eq!(claimed.len(), 1, "exactly one service gets the job");
    let job = &claimed[0].document;
    assert_eq!(
        (job.status, job.connector.sync_cursor.as_ref()),
        (JobStatus::InProgress, Some(&json!({"c": 1})))
    );
    assert_eq!(job.metadata["worker"], 1);
    let again = jobs.claim(&claimed[0], "other", None, PartialDocument::new()).await.unwrap();
    assert_eq!(again, None, "a job that runs is not claimed");
}

#[tokio::test]
async fn a_draft_is_put_in_force_only_as_it_was_validated() {
    let draft = |id: &str| json!({"rules": [{"id": id}], "validation": {"state": "edited", "errors": []}});
    let source = json!({"filtering": [{"domain": "DEFAULT", "active": {"rules": []}, "draft": draft("1")}]});
    let fake = one_document(source, |_, _| None).await;
    let connectors = ConnectorIndex::new(client(&fake));
    let valid = ValidationResult::valid();
    let other = serde_json::from_value(draft("2")).unwrap();
    assert_eq!(connectors.draft_validated("c1", &other, &valid).await.unwrap(), None);
    let same = serde_json::from_value(draft("1")).unwrap();
    let stored = connectors.draft_validated("c1", &same, &valid).await.unwrap().unwrap();
    assert_eq!(stored.document.filtering.active().unwrap().rules, [json!({"id": "1"})]);
}
