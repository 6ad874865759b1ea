//! `connectors connector schedule`.

use anyhow::Result;
use connectors_es_client::protocol_index::ConnectorIndex;
use connectors_protocol::PartialDocument;
use connectors_protocol::connector::{ConnectorDocument, ScheduleEntry, Scheduling};
use connectors_protocol::cron::{CronError, Schedule};
use connectors_protocol::sync_job::JobType;
use connectors_service::Service;
use jiff::Timestamp;
use serde_json::{Map, Value, json};

use crate::commands::{plain, table};
use crate::connectors_args::{Interval, Output, ScheduleArgs};

/// How many of the next times are told.
const NEXT: usize = 3;

/// Writes the schedules that are given, and shows all of them with their next times.
pub async fn run(service: &Service, index: &ConnectorIndex, args: &ScheduleArgs) -> Result<()> {
    let mut connector = service.connector(&args.connector_id).await?;
    let asked = [
        (JobType::Full, &args.full),
        (JobType::Incremental, &args.incremental),
        (JobType::AccessControl, &args.access_control),
    ];
    if asked.iter().any(|(_, interval)| interval.is_some()) {
        connector = index
            .update(&connector.id, |document| {
                let mut scheduling = document.scheduling.clone();
                for (job_type, interval) in asked {
                    change(&mut scheduling, job_type, interval.as_ref());
                }
                let mut update = PartialDocument::new();
                update.insert("scheduling".to_owned(), json!(scheduling));
                Some(update)
            })
            .await?;
    }
    let document = &connector.document;
    for (job_type, able) in [
        (JobType::Incremental, document.features.incremental_sync()),
        (JobType::AccessControl, document.features.document_level_security()),
    ] {
        if document.scheduling.of(job_type).enabled && !able {
            tracing::warn!(
                "{job_type} syncs are scheduled, but the connector's features do not have them: no service will run them"
            );
        }
    }
    if args.output == Output::Json {
        let all: Map<String, Value> = JobType::ALL
            .into_iter()
            .map(|job_type| (job_type.name().to_owned(), shown(document, job_type, NEXT)))
            .collect();
        return crate::print_json(&all);
    }
    print(document, NEXT)
}

fn change(scheduling: &mut Scheduling, job_type: JobType, interval: Option<&Interval>) {
    let entry = match job_type {
        JobType::Full => &mut scheduling.full,
        JobType::Incremental => &mut scheduling.incremental,
        JobType::AccessControl => &mut scheduling.access_control,
    };
    match interval {
        None => {}
        Some(Interval::Off) => entry.enabled = false,
        Some(Interval::Cron(expression)) => {
            entry.enabled = true;
            entry.interval = Some(expression.clone());
        }
    }
}

/// Prints the three schedules, each with this many of its next times.
pub(super) fn print(document: &ConnectorDocument, times: usize) -> Result<()> {
    let rows: Vec<Vec<String>> = JobType::ALL
        .into_iter()
        .map(|job_type| {
            let shown = shown(document, job_type, times);
            let next: Vec<String> = shown["next"].as_array().into_iter().flatten().map(plain).collect();
            let next = match (&shown["error"], next.is_empty()) {
                (Value::String(error), _) => error.clone(),
                (_, true) if shown["enabled"] == true => "never again".to_owned(),
                _ => next.join(", "),
            };
            let state = if shown["enabled"] == true { plain(&shown["interval"]) } else { "off".to_owned() };
            vec![job_type.to_string(), state, next]
        })
        .collect();
    table(&["SYNC", "SCHEDULE", "NEXT (UTC)"], &rows)
}

/// One schedule with its next times, or with what is wrong with its expression.
pub(super) fn shown(document: &ConnectorDocument, job_type: JobType, times: usize) -> Value {
    let entry = document.scheduling.of(job_type);
    let (next, error) = match next_times(entry, times) {
        Ok(next) => (next, None),
        Err(error) => (Vec::new(), Some(error.to_string())),
    };
    json!({"enabled": entry.enabled, "interval": entry.interval, "next": next, "error": error})
}

fn next_times(entry: &ScheduleEntry, times: usize) -> Result<Vec<Timestamp>, CronError> {
    if !entry.enabled {
        return Ok(Vec::new());
    }
    let schedule = Schedule::parse(entry.interval.as_deref().unwrap_or_default())?;
    let first = schedule.next_after(Timestamp::now());
    Ok(std::iter::successors(first, |time| schedule.next_after(*time)).take(times).collect())
}
