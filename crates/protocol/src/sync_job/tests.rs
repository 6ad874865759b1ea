use serde_json::json;

use super::*;

const NOW: &str = "2023-11-14T22:13:20+00:00";

fn now() -> Timestamp {
    Timestamp::from_second(1_700_000_000).unwrap()
}

fn job(value: Value) -> SyncJobDocument {
    serde_json::from_value(value).unwrap()
}

fn with_status(status: JobStatus) -> SyncJobDocument {
    job(json!({"status": status}))
}

fn connector() -> ConnectorDocument {
    serde_json::from_value(json!({
        "index_name": "search-x", "language": "en", "service_type": "dir",
        "configuration": {"directory": {"value": "/"}},
        "pipeline": {"name": "p"},
        "sync_cursor": {"c": 1},
        "filtering": [{"domain": "DEFAULT",
            "active": {"rules": [{"id": "1"}], "advanced_snippet": {"value": {}}, "validation": {"state": "valid", "errors": []}},
            "draft": {"rules": []}}],
    }))
    .unwrap()
}

#[test]
fn a_new_job_is_a_snapshot_of_its_connector() {
    let made =
        SyncJobDocument::new("c1", &connector(), JobType::Full, TriggerMethod::Scheduled, now()).unwrap();
    assert_eq!(
        serde_json::to_value(&made).unwrap(),
        json!({
            "cancelation_requested_at": null, "canceled_at": null, "completed_at": null,
            "connector": {
                "id": "c1", "index_name": "search-x", "language": "en", "service_type": "dir",
                "pipeline": {"name": "p", "extract_binary_content": true, "reduce_whitespace": true, "run_ml_inference": true},
                "configuration": {"directory": {"value": "/"}},
                "filtering": {"rules": [{"id": "1"}], "advanced_snippet": {"value": {}}, "validation": {"state": "valid", "errors": []}},
                "sync_cursor": null,
            },
            "created_at": NOW, "deleted_document_count": 0, "error": null, "indexed_document_count": 0,
            "indexed_document_volume": 0, "job_type": "full", "last_seen": NOW, "metadata": {}, "started_at": null,
            "status": "pending", "total_document_count": null, "trigger_method": "scheduled", "worker_hostname": null,
        })
    );
}

#[test]
fn an_access_control_job_writes_to_the_access_control_index() {
    let made =
        SyncJobDocument::new("c1", &connector(), JobType::AccessControl, TriggerMethod::OnDemand, now())
            .unwrap();
    assert_eq!(made.connector.index_name.as_deref(), Some(".search-acl-filter-search-x"));
}

#[test]
fn a_connector_without_an_index_has_no_jobs() {
    for name in [None, Some(String::new())] {
        let without = ConnectorDocument { index_name: name, ..connector() };
        let error =
            SyncJobDocument::new("c1", &without, JobType::Full, TriggerMethod::OnDemand, now()).unwrap_err();
        assert_eq!(error, NoIndex("c1".into()));
        assert!(error.to_string().contains("c1"));
    }
}

#[test]
fn documents_of_other_writers_are_read_and_keep_unknown_fields() {
    let minimal = job(
        json!({"status": "pending", "job_type": null, "trigger_method": null, "connector": null, "metadata": null,
        "indexed_document_count": null, "started_at": null}),
    );
    assert_eq!(minimal.job_type, JobType::Full);
    assert_eq!(minimal.trigger_method, TriggerMethod::OnDemand);
    assert_eq!(minimal.connector, JobConnector::default());

    let mut stored = serde_json::to_value(
        SyncJobDocument::new("c1", &connector(), JobType::Incremental, TriggerMethod::OnDemand, now())
            .unwrap(),
    )
    .unwrap();
    stored["tomorrow"] = json!([1]);
    stored["connector"]["newer"] = json!({"a": null});
    stored["checkpoint"] = json!({"partition": 3});
    stored["metadata"] = json!({"a": 1});
    stored["worker_hostname"] = json!("h");
    let read = job(stored.clone());
    assert_eq!(serde_json::to_value(&read).unwrap(), stored);
    assert!(serde_json::from_value::<SyncJobDocument>(json!({})).is_err(), "a job has a status");
}

#[test]
fn the_former_list_of_filters_is_read_as_its_first() {
    let stored = json!({"status": "pending", "connector": {"filtering": [{"domain": "DEFAULT", "rules": [{"id": "7"}]}]}});
    assert_eq!(job(stored).connector.filtering.rules, [json!({"id": "7"})]);
    let nested = json!({"status": "pending", "connector": {"filtering": [{"domain": "DEFAULT", "active": {"rules": [{"id": "8"}]}, "draft": {}}]}});
    assert_eq!(job(nested).connector.filtering.rules, [json!({"id": "8"})]);
    let none = json!({"status": "pending", "connector": {"filtering": []}});
    assert_eq!(job(none).connector.filtering, Filter::default());
}

#[test]
fn names_are_the_wire_names() {
    for status in JobStatus::ALL {
        assert_eq!(serde_json::to_value(status).unwrap(), status.name());
        assert_eq!(status.to_string(), status.name());
    }
    for job_type in JobType::ALL {
        assert_eq!(serde_json::to_value(job_type).unwrap(), job_type.name());
        assert_eq!(JobType::from_name(job_type.name()), Some(job_type));
        assert_eq!(job_type.to_string(), job_type.name());
    }
    assert_eq!(JobType::from_name("odd"), None);
    for method in [TriggerMethod::OnDemand, TriggerMethod::Scheduled] {
        assert_eq!(serde_json::to_value(method).unwrap(), method.name());
    }
}

#[test]
fn debug_shows_no_secret() {
    let secret = job(
        json!({"status": "pending", "connector": {"configuration": {"password": {"value": "hunter2"}}, "sync_cursor": "hunter2"},
        "checkpoint": "hunter2", "x": "hunter2"}),
    );
    let shown = format!("{secret:?} {:?}", secret.connector);
    assert!(shown.contains("password"), "{shown}");
    assert!(!shown.contains("hunter2"), "{shown}");
}

#[test]
fn every_change_of_status_is_decided() {
    use JobStatus::{Canceled, Canceling, Completed, Error, InProgress, Pending, Suspended};
    let allowed = [
        (Pending, vec![InProgress, Canceled, Error]),
        (Suspended, vec![InProgress, Canceled, Error]),
        (InProgress, vec![Canceling, Canceled, Suspended, Completed, Error]),
        (Canceling, vec![Canceled, Error]),
        (Canceled, vec![]),
        (Completed, vec![]),
        (Error, vec![]),
    ];
    for (from, nexts) in allowed {
        for next in JobStatus::ALL {
            assert_eq!(from.can_become(next), nexts.contains(&next), "{from} -> {next}");
        }
    }
    assert!(Pending.is_claimable() && Suspended.is_claimable() && !InProgress.is_claimable());
}

#[test]
fn claiming_takes_a_waiting_job_and_nothing_else() {
    let update = with_status(JobStatus::Pending).claim("host", "t1", None, now()).unwrap();
    assert_eq!(
        Value::Object(update),
        json!({"status": "in_progress", "started_at": NOW, "last_seen": NOW, "worker_hostname": "host", "claim_token": "t1", "error": null})
    );
    let suspended = job(json!({"status": "suspended", "started_at": "2020-01-01T00:00:00Z"}));
    let update = suspended.claim("host", "t1", Some(&json!({"a": 1})), now()).unwrap();
    assert_eq!(update["started_at"], "2020-01-01T00:00:00+00:00");
    assert_eq!(update["connector"], json!({"sync_cursor": {"a": 1}}));
    let refused = with_status(JobStatus::InProgress).claim("host", "t1", None, now()).unwrap_err();
    assert_eq!(refused.to_string(), "a sync job that is in_progress cannot become in_progress");
}

fn stats() -> IngestionStats {
    IngestionStats {
        indexed_document_count: 3,
        indexed_bytes: 1_572_864,
        deleted_document_count: 1,
        total_document_count: Some(9),
        metadata: json!({"k": 1}).as_object().unwrap().clone(),
    }
}

#[test]
fn endings_write_their_dates_and_counters() {
    let running = with_status(JobStatus::InProgress);
    let counters = json!({"indexed_document_count": 3, "indexed_document_volume": 2, "deleted_document_count": 1, "total_document_count": 9, "metadata": {"k": 1}});
    let with_counters = |mut update: Value| {
        for (key, value) in counters.as_object().unwrap() {
            update[key] = value.clone();
        }
        update
    };
    assert_eq!(
        Value::Object(running.complete(&stats(), now()).unwrap()),
        with_counters(json!({"last_seen": NOW, "status": "completed", "error": null, "completed_at": NOW}))
    );
    assert_eq!(
        Value::Object(running.cancel(Some(&stats()), now()).unwrap()),
        with_counters(
            json!({"last_seen": NOW, "status": "canceled", "error": null, "completed_at": NOW, "canceled_at": NOW})
        )
    );
    assert_eq!(
        Value::Object(running.suspend(&stats(), now()).unwrap()),
        with_counters(
            json!({"last_seen": NOW, "status": "suspended", "error": null, "worker_hostname": null})
        )
    );
    assert_eq!(
        Value::Object(running.fail("boom", None, now()).unwrap()),
        json!({"last_seen": NOW, "status": "error", "error": "boom", "completed_at": NOW})
    );
    assert!(with_status(JobStatus::Completed).fail("late", None, now()).is_err());
    assert!(with_status(JobStatus::Canceling).complete(&stats(), now()).is_err());
    assert!(with_status(JobStatus::Canceling).suspend(&stats(), now()).is_err());
    assert!(with_status(JobStatus::Canceling).cancel(None, now()).is_ok());
}

#[test]
fn progress_and_checkpoints_are_signs_of_life() {
    let update = SyncJobDocument::progress(
        &IngestionStats { indexed_document_count: 1, ..IngestionStats::default() },
        now(),
    );
    assert_eq!(
        Value::Object(update),
        json!({"last_seen": NOW, "indexed_document_count": 1, "indexed_document_volume": 0, "deleted_document_count": 0})
    );
    assert_eq!(
        Value::Object(SyncJobDocument::checkpointed(&json!({"p": 1}), now())),
        json!({"checkpoint": {"p": 1}, "last_seen": NOW})
    );
}

#[test]
fn a_request_to_cancel_waits_for_the_service_only_if_one_runs_the_job() {
    let running = with_status(JobStatus::InProgress).request_cancel(now()).unwrap().unwrap();
    assert_eq!(Value::Object(running), json!({"status": "canceling", "cancelation_requested_at": NOW}));
    for waiting in [JobStatus::Pending, JobStatus::Suspended] {
        let update = with_status(waiting).request_cancel(now()).unwrap().unwrap();
        assert_eq!(update["status"], "canceled");
        assert_eq!(update["canceled_at"], NOW);
        assert_eq!(update["cancelation_requested_at"], NOW);
    }
    assert_eq!(with_status(JobStatus::Canceling).request_cancel(now()), Ok(None));
    for ended in [JobStatus::Completed, JobStatus::Error, JobStatus::Canceled] {
        assert!(with_status(ended).request_cancel(now()).is_err(), "{ended}");
    }
}

#[test]
fn a_running_job_is_idle_after_five_silent_minutes() {
    let seen = |status: JobStatus, ago: i64| {
        let mut job = with_status(status);
        job.last_seen = Some(Timestamp::from_second(1_700_000_000 - ago).unwrap());
        job.is_idle(now())
    };
    assert!(!seen(JobStatus::InProgress, 300));
    assert!(seen(JobStatus::InProgress, 301));
    assert!(seen(JobStatus::Canceling, 301));
    assert!(!seen(JobStatus::Pending, 9999));
    assert!(with_status(JobStatus::InProgress).is_idle(now()), "never seen at all");
}

#[test]
fn only_a_running_job_can_be_reported_as_failed() {
    for status in JobStatus::ALL {
        let reported = with_status(status).report_error("boom", now());
        if status.is_running() {
            assert_eq!(reported.unwrap()["error"], "boom", "{status}");
        } else {
            assert_eq!(reported, Err(IllegalJobTransition { from: status, to: JobStatus::Error }));
        }
    }
    assert_eq!(JobStatus::from_name("IN_PROGRESS"), Some(JobStatus::InProgress));
    assert_eq!(TriggerMethod::from_name("scheduled"), Some(TriggerMethod::Scheduled));
    assert_eq!(TriggerMethod::from_name("often"), None);
}
