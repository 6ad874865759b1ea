//! Everything services do with the protocol's indices, on a real server.

use connectors_es_client::protocol_index::{ConnectorIndex, SyncJobIndex};
use connectors_es_client::{EsClient, EsConfig, Method, Refresh, WriteOptions};
use connectors_protocol::PartialDocument;
use connectors_protocol::connector::{ConnectorDocument, ConnectorStatus};
use connectors_protocol::filtering::ValidationResult;
use connectors_protocol::indices::{
    CONCRETE_CONNECTORS_INDEX, CONCRETE_JOBS_INDEX, CONNECTORS_INDEX, JOBS_INDEX,
};
use connectors_protocol::sync_job::{IngestionStats, JobStatus, JobType, SyncJobDocument, TriggerMethod};
use jiff::{SignedDuration, Timestamp};
use serde_json::json;

use crate::protocol_index::{ids, partial};

/// Run with `ES_CLIENT_URL=http://127.0.0.1:9200 tests/it es-client --ignored`.
#[tokio::test]
#[ignore = "needs a server, named by ES_CLIENT_URL"]
async fn works_on_a_real_server() {
    let url = std::env::var("ES_CLIENT_URL").expect("ES_CLIENT_URL names a server");
    let client = EsClient::new(EsConfig::new(&url)).unwrap();
    for index in [CONNECTORS_INDEX, JOBS_INDEX, CONCRETE_CONNECTORS_INDEX, CONCRETE_JOBS_INDEX] {
        assert!(
            !client.index_exists(index).await.unwrap(),
            "{index} is in use on {url}: take another server"
        );
    }
    let outcome = tokio::spawn(session(client.clone())).await;
    client.delete_index(CONCRETE_CONNECTORS_INDEX).await.unwrap();
    client.delete_index(CONCRETE_JOBS_INDEX).await.unwrap();
    outcome.unwrap();
}

/// Everything services do with the two indices, on an empty server.
async fn session(client: EsClient) {
    let (connectors, jobs) = (ConnectorIndex::new(client.clone()), SyncJobIndex::new(client.clone()));
    indices_are_made_once(&client, &connectors, &jobs).await;
    connectors_are_found(&client, &connectors).await;
    drafts_become_active(&connectors).await;
    one_of_many_claims_a_job(&client, &connectors, &jobs).await;
    jobs_are_found(&client, &connectors, &jobs).await;
}

async fn indices_are_made_once(client: &EsClient, connectors: &ConnectorIndex, jobs: &SyncJobIndex) {
    let services: Vec<_> = (0..8)
        .map(|_| {
            let (connectors, jobs) = (connectors.clone(), jobs.clone());
            tokio::spawn(async move {
                connectors.ensure().await?;
                jobs.ensure().await
            })
        })
        .collect();
    for service in services {
        service.await.unwrap().unwrap();
    }
    // The alias alone is missing.
    let remove = json!({"actions": [{"remove": {"index": CONCRETE_JOBS_INDEX, "alias": JOBS_INDEX}}]});
    client.request(Method::POST, "/_aliases", &[], Some(&remove)).await.unwrap();
    jobs.ensure().await.unwrap();
    for (alias, concrete) in
        [(CONNECTORS_INDEX, CONCRETE_CONNECTORS_INDEX), (JOBS_INDEX, CONCRETE_JOBS_INDEX)]
    {
        let index = client.request(Method::GET, &format!("/{alias}"), &[], None).await.unwrap();
        assert_eq!(index[concrete]["aliases"], json!({alias: {}}));
        assert_eq!(index[concrete]["mappings"]["dynamic"], "false");
        assert_eq!(index[concrete]["settings"]["index"]["hidden"], "true");
    }
}

fn connector(service_type: &str, index: &str) -> ConnectorDocument {
    ConnectorDocument {
        status: ConnectorStatus::Configured,
        ..ConnectorDocument::new(Some(service_type), Some(index), Some(index), Timestamp::now())
    }
}

async fn connectors_are_found(client: &EsClient, connectors: &ConnectorIndex) {
    let native = ConnectorDocument { is_native: true, ..connector("dir", "search-native") };
    let deleted = ConnectorDocument { deleted: true, ..connector("dir", "search-deleted") };
    for (id, document) in [
        ("dir", connector("dir", "search-a")),
        ("other", connector("mysql", "search-b")),
        ("native", native),
        ("deleted", deleted),
    ] {
        connectors.create_with_id(id, &document).await.unwrap();
    }
    assert!(connectors.create_with_id("dir", &connector("x", "y")).await.unwrap_err().is_conflict());
    assert_eq!(connectors.get("nobody").await.unwrap(), None);

    let supported = |types: &[&str], ids: &[&str]| {
        let own = |texts: &[&str]| texts.iter().map(|text| (*text).to_owned()).collect::<Vec<_>>();
        let (connectors, types, ids) = (connectors.clone(), own(types), own(ids));
        async move { connectors.supported(&types, &ids).await.unwrap() }
    };
    assert_eq!(ids(&supported(&["dir"], &[]).await), ["dir"]);
    assert_eq!(ids(&supported(&[], &["native", "deleted", "nobody"]).await), ["native"]);
    assert_eq!(ids(&supported(&["dir", "mysql"], &["native"]).await), ["dir", "other", "native"]);
    assert_eq!(ids(&supported(&[], &[]).await), [""; 0]);
    assert_eq!(ids(&connectors.all().await.unwrap()), ["dir", "other", "native"]);
    assert_eq!(ids(&connectors.by_index("search-b").await.unwrap()), ["other"]);
    let mut all = connectors.ids().await.unwrap();
    all.sort();
    assert_eq!(all, ["deleted", "dir", "native", "other"]);

    // One document nobody can read does not hide the others, but is an error where it is asked for.
    let broken = json!({"service_type": "dir", "is_native": false, "status": "odd"});
    let options = WriteOptions { refresh: Refresh::Now, guard: None };
    client.index_document(CONNECTORS_INDEX, Some("broken"), &broken, options).await.unwrap();
    assert_eq!(ids(&supported(&["dir"], &[]).await), ["dir"]);
    assert!(connectors.get("broken").await.unwrap_err().to_string().contains("status"));
    assert!(connectors.delete("broken").await.unwrap());
    assert!(!connectors.delete("broken").await.unwrap());
}

async fn drafts_become_active(connectors: &ConnectorIndex) {
    let edited = json!({"filtering": [{"domain": "DEFAULT", "active": {"rules": []},
        "draft": {"rules": [{"id": "1"}], "validation": {"state": "edited", "errors": []}}}]});
    let stored = connectors.write("dir", &partial(edited)).await.unwrap();
    let draft = stored.document.filtering.edited_draft().unwrap().clone();
    let valid = ValidationResult::valid();
    let active = connectors.draft_validated("dir", &draft, &valid).await.unwrap().unwrap();
    assert_eq!(active.document.filtering.active().unwrap().rules, [json!({"id": "1"})]);
    // Validated already, and then edited again: the old result is about neither.
    assert_eq!(connectors.draft_validated("dir", &draft, &valid).await.unwrap(), None);
    let newer = json!({"filtering": [{"domain": "DEFAULT", "active": {"rules": []},
        "draft": {"rules": [{"id": "2"}], "validation": {"state": "edited", "errors": []}}}]});
    connectors.write("dir", &partial(newer)).await.unwrap();
    assert_eq!(connectors.draft_validated("dir", &draft, &valid).await.unwrap(), None);
}

async fn one_of_many_claims_a_job(client: &EsClient, connectors: &ConnectorIndex, jobs: &SyncJobIndex) {
    let snapshot = connectors.get("dir").await.unwrap().unwrap();
    let job = SyncJobDocument::new(
        "dir",
        &snapshot.document,
        JobType::Full,
        TriggerMethod::OnDemand,
        Timestamp::now(),
    );
    let id = jobs.create(&job.unwrap()).await.unwrap().id;
    let waiting = jobs.claimable(&["dir".to_owned()], &[JobType::Full]).await.unwrap();
    assert_eq!(ids(&waiting), [id.as_str()]);
    let services: Vec<_> = (0..16)
        .map(|_| {
            let (jobs, job) = (jobs.clone(), waiting[0].clone());
            tokio::spawn(
                async move { jobs.claim(&job, "same-host", None, PartialDocument::new()).await.unwrap() },
            )
        })
        .collect();
    let mut claimed = Vec::new();
    for service in services {
        claimed.extend(service.await.unwrap());
    }
    assert_eq!(claimed.len(), 1, "exactly one service gets the job");
    let claimed = claimed.remove(0);
    assert_eq!(jobs.get(&id).await.unwrap().as_ref(), Some(&claimed));
    assert_eq!(claimed.document.worker_hostname.as_deref(), Some("same-host"));
    // What runs is not claimed, with whatever document one looks at.
    let none = PartialDocument::new();
    assert_eq!(jobs.claim(&claimed, "other", None, none.clone()).await.unwrap(), None);
    assert_eq!(jobs.claim(&waiting[0], "other", None, none).await.unwrap(), None);

    let stats = IngestionStats { indexed_document_count: 3, ..IngestionStats::default() };
    let reported = jobs.write(&id, &SyncJobDocument::progress(&stats, Timestamp::now())).await.unwrap();
    assert_eq!(reported.document.indexed_document_count, 3);
    for checkpoint in [json!({"a": 1}), json!({"b": 2})] {
        let update = SyncJobDocument::checkpointed(&checkpoint, Timestamp::now());
        let stored = jobs.write(&id, &update).await.unwrap();
        assert_eq!(stored.document.checkpoint, Some(checkpoint), "replaced, not merged");
    }
    let canceling = jobs.update(&id, |job| job.request_cancel(Timestamp::now()).unwrap()).await.unwrap();
    assert_eq!(canceling.document.status, JobStatus::Canceling);
    assert_eq!(jobs.write_guarded(&reported, &partial(json!({"status": "completed"}))).await.unwrap(), None);
    let update = canceling.document.cancel(Some(&stats), Timestamp::now()).unwrap();
    let ended = jobs.write_guarded(&canceling, &update).await.unwrap().unwrap();
    assert_eq!(ended.document.status, JobStatus::Canceled);
    client.refresh(JOBS_INDEX).await.unwrap();
    assert!(jobs.claimable(&["dir".to_owned()], &JobType::ALL).await.unwrap().is_empty());
    assert!(jobs.delete(&id).await.unwrap());
}

async fn jobs_are_found(client: &EsClient, connectors: &ConnectorIndex, jobs: &SyncJobIndex) {
    let now = Timestamp::now();
    let snapshot = connectors.get("dir").await.unwrap().unwrap().document;
    let make = |connector: &str, job_type: JobType, status: JobStatus, minutes_old: i64| {
        let then = now - SignedDuration::from_mins(minutes_old);
        let job =
            SyncJobDocument::new(connector, &snapshot, job_type, TriggerMethod::Scheduled, then).unwrap();
        SyncJobDocument { status, ..job }
    };
    for (id, job) in [
        ("young", make("dir", JobType::Full, JobStatus::Pending, 1)),
        ("old", make("dir", JobType::Incremental, JobStatus::Suspended, 30)),
        ("acl", make("dir", JobType::AccessControl, JobStatus::Pending, 40)),
        ("done", make("dir", JobType::Full, JobStatus::Completed, 50)),
        ("runs", make("dir", JobType::Full, JobStatus::InProgress, 2)),
        ("dead", make("dir", JobType::Full, JobStatus::Canceling, 60)),
        ("foreign", make("other", JobType::Full, JobStatus::Pending, 70)),
        ("lost", make("vanished", JobType::Full, JobStatus::InProgress, 2)),
    ] {
        jobs.create_with_id(id, &job).await.unwrap();
    }
    let dir = ["dir".to_owned()];
    let content = [JobType::Full, JobType::Incremental];
    assert_eq!(ids(&jobs.claimable(&dir, &content).await.unwrap()), ["old", "young"]);
    assert_eq!(ids(&jobs.claimable(&dir, &[JobType::AccessControl]).await.unwrap()), ["acl"]);
    assert!(jobs.claimable(&[], &content).await.unwrap().is_empty());
    assert!(jobs.claimable(&dir, &[]).await.unwrap().is_empty());
    assert_eq!(ids(&jobs.running(&dir, &content).await.unwrap()), ["dead", "runs"]);
    assert_eq!(ids(&jobs.idle(&dir, now).await.unwrap()), ["dead"]);
    assert_eq!(ids(&jobs.orphaned(connectors).await.unwrap()), ["lost"]);
    let page = jobs.list(Some("dir"), 0, 2).await.unwrap();
    assert_eq!((ids(&page.jobs), page.total), (vec!["young", "runs"], 6));
    let page = jobs.list(Some("dir"), 4, 10).await.unwrap();
    assert_eq!((ids(&page.jobs), page.total), (vec!["done", "dead"], 6));
    assert_eq!(jobs.list(None, 0, 1).await.unwrap().total, 8);

    // More than one page of a search.
    for number in 0..150 {
        jobs.create_with_id(
            &format!("many-{number}"),
            &make("many", JobType::Full, JobStatus::Pending, number),
        )
        .await
        .unwrap();
    }
    client.refresh(JOBS_INDEX).await.unwrap();
    let many = jobs.claimable(&["many".to_owned()], &content).await.unwrap();
    assert_eq!(many.len(), 150);
    assert_eq!((many[0].id.as_str(), many[149].id.as_str()), ("many-149", "many-0"));
}
