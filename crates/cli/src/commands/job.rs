//! `connectors job`.

use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Result, bail};
use connectors_es_client::protocol_index::{ConnectorIndex, Stored, SyncJobIndex};
use connectors_protocol::indices::JOBS_INDEX;
use connectors_protocol::sync_job::{JobStatus, JobType, Rebuild, SyncJobDocument, TriggerMethod};
use connectors_service::Service;
use jiff::Timestamp;
use serde_json::{Value, json};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use super::{plain, table};
use crate::connectors_args::{JobCommand, JobKind, Output, StartArgs};
use crate::progress::{self, Display};
use crate::signals;
use crate::target::Target;

/// Jobs shown by `job list`.
const LISTED: usize = 100;
/// From one look at a job that is watched to the next.
const LOOK: Duration = Duration::from_millis(500);
/// A job that waits longer than this may wait for a service that nobody started.
const PATIENCE: Duration = Duration::from_secs(30);
/// Exit code when the job that was watched was canceled.
const CANCELED: u8 = 3;
/// Exit code when the watching was ended by a signal (128 + SIGINT), as shells expect it.
const STOPPED: u8 = 130;

/// Starts, follows, lists, shows or cancels jobs. The exit code of a job that is followed is its result.
pub async fn run(target: &Target, service: &Service, command: &JobCommand) -> Result<ExitCode> {
    let connectors = ConnectorIndex::new(target.client.clone());
    let jobs = SyncJobIndex::new(target.client.clone());
    connectors.ensure().await?;
    jobs.ensure().await?;
    match command {
        JobCommand::Start(args) => return start(service, &jobs, args).await,
        JobCommand::Watch(args) => {
            service.job(&args.job_id).await?;
            return watch(service, &args.job_id, args.output).await;
        }
        JobCommand::List { connector_id, output } => list(target, &jobs, connector_id, *output).await?,
        JobCommand::View { job_id, output } => print(&service.job(job_id).await?, *output)?,
        JobCommand::Cancel { job_id, output } => cancel(service, &jobs, job_id, *output).await?,
    }
    Ok(ExitCode::SUCCESS)
}

async fn start(service: &Service, jobs: &SyncJobIndex, args: &StartArgs) -> Result<ExitCode> {
    let connector = service.connector(&args.connector_id).await?;
    let job_type = match args.job_type {
        JobKind::Full => JobType::Full,
        JobKind::Incremental => JobType::Incremental,
        JobKind::AccessControl => JobType::AccessControl,
    };
    if args.rebuild && job_type != JobType::Full {
        bail!("--rebuild goes with full syncs only: leave out -t {}", job_type.name());
    }
    let job = SyncJobDocument::new(
        &connector.id,
        &connector.document,
        job_type,
        TriggerMethod::OnDemand,
        Timestamp::now(),
    )?;
    let rebuild = args.rebuild.then_some(Rebuild { keep_old: args.keep_old });
    let id = jobs.create(&SyncJobDocument { rebuild, ..job }).await?.id;
    if args.watch {
        return watch(service, &id, args.output).await;
    }
    match args.output {
        Output::Json => crate::print_json(&json!({ "id": id }))?,
        Output::Text => crate::print_line(&format!(
            "created job {id}; a running elastic-ingest that serves connector {} takes it up",
            connector.id
        ))?,
    }
    Ok(ExitCode::SUCCESS)
}

/// Shows how far a job is until it ends.
async fn watch(service: &Service, id: &str, output: Output) -> Result<ExitCode> {
    let (sender, receiver) = watch::channel(None);
    let display = Display::lines(id, move |waited| line(receiver.borrow().as_ref(), waited));
    let stop = CancellationToken::new();
    let on_signal = tokio::spawn(signals::cancel_on_signal(stop.clone()));
    let ended = loop {
        let job = service.job(id).await?;
        if job.document.status.is_terminal() {
            break Some(job);
        }
        sender.send_replace(Some(job.document));
        tokio::select! {
            () = tokio::time::sleep(LOOK) => {}
            () = stop.cancelled() => break None,
        }
    };
    on_signal.abort();
    drop(display);
    let Some(job) = ended else {
        tracing::warn!("not watching any more; the job goes on. `connectors job cancel {id}` stops it");
        return Ok(ExitCode::from(STOPPED));
    };
    print(&job, output)?;
    Ok(match job.document.status {
        JobStatus::Completed => ExitCode::SUCCESS,
        JobStatus::Canceled => ExitCode::from(CANCELED),
        _ => ExitCode::FAILURE,
    })
}

/// `in_progress on host-1: 1,234 written (1.0 MiB), 5 deleted, 12 s`
fn line(job: Option<&SyncJobDocument>, waited: Duration) -> String {
    let Some(job) = job else { return "looking it up".to_owned() };
    if job.status.is_claimable() {
        let hint = if waited < PATIENCE {
            String::new()
        } else {
            format!(
                "; does an elastic-ingest run that serves connector {}?",
                job.connector.id.as_deref().unwrap_or("?")
            )
        };
        return format!("{}, waits for a service, {} s{hint}", job.status, waited.as_secs());
    }
    let seconds = job.started_at.map_or(0, |start| (Timestamp::now().as_second() - start.as_second()).max(0));
    format!(
        "{} on {}: {} written ({}), {} deleted, {seconds} s",
        job.status,
        job.worker_hostname.as_deref().unwrap_or("?"),
        progress::number(job.indexed_document_count),
        progress::bytes(job.indexed_document_volume << 20),
        progress::number(job.deleted_document_count),
    )
}

async fn list(target: &Target, jobs: &SyncJobIndex, connector_id: &str, output: Output) -> Result<()> {
    // A search may be a refresh behind what just happened.
    target.client.refresh(JOBS_INDEX).await?;
    let page = jobs.list(Some(connector_id), 0, LISTED).await?;
    if output == Output::Json {
        let list: Vec<Value> = page.jobs.iter().map(shown).collect();
        return crate::print_json(&list);
    }
    let rows: Vec<Vec<String>> = page.jobs.iter().map(row).collect();
    table(&["ID", "TYPE", "STATUS", "CREATED", "INDEXED", "DELETED", "ERROR"], &rows)?;
    if page.total > page.jobs.len() as u64 {
        crate::print_line(&format!("... and {} older ones", page.total - page.jobs.len() as u64))?;
    }
    Ok(())
}

async fn cancel(service: &Service, jobs: &SyncJobIndex, job_id: &str, output: Output) -> Result<()> {
    let job = service.job(job_id).await?;
    let now = Timestamp::now();
    job.document.request_cancel(now)?;
    let job = jobs.update(job_id, |job| job.request_cancel(now).ok().flatten()).await?;
    if output == Output::Json {
        return crate::print_json(&json!({"id": job_id, "status": job.document.status}));
    }
    crate::print_line(&format!("job {job_id} is {}", job.document.status))
}

/// Prints one job.
fn print(job: &Stored<SyncJobDocument>, output: Output) -> Result<()> {
    if output == Output::Json {
        return crate::print_json(&shown(job));
    }
    let Value::Object(fields) = shown(job) else { unreachable!("an object literal") };
    for (name, value) in fields.iter().filter(|(name, value)| !value.is_null() && *name != "metadata") {
        crate::print_line(&format!("{name}: {}", plain(value)))?;
    }
    let metadata = &job.document.metadata;
    let counters = metadata.get("counters").and_then(Value::as_object).into_iter().flatten();
    for (name, value) in counters.filter(|(name, _)| !fields.contains_key(*name)) {
        crate::print_line(&format!("{name}: {value}"))?;
    }
    for letter in metadata.get("dead_letters").and_then(Value::as_array).into_iter().flatten() {
        let text = |name: &str| plain(&letter[name]);
        crate::print_line(&format!("  not written: {}: {}: {}", text("id"), text("type"), text("reason")))?;
    }
    Ok(())
}

/// What is shown of a job: everything but the snapshot of its connector, which may hold secrets.
fn shown(job: &Stored<SyncJobDocument>) -> Value {
    let document = &job.document;
    json!({
        "id": job.id,
        "connector_id": document.connector.id,
        "index_name": document.connector.index_name,
        "job_type": document.job_type,
        "rebuild": document.rebuild,
        "trigger_method": document.trigger_method,
        "status": document.status,
        "error": document.error,
        "created_at": document.created_at,
        "started_at": document.started_at,
        "completed_at": document.completed_at,
        "canceled_at": document.canceled_at,
        "indexed_document_count": document.indexed_document_count,
        "indexed_document_volume": document.indexed_document_volume,
        "deleted_document_count": document.deleted_document_count,
        "total_document_count": document.total_document_count,
        "worker_hostname": document.worker_hostname,
        "metadata": document.metadata,
    })
}

fn row(job: &Stored<SyncJobDocument>) -> Vec<String> {
    let document = &job.document;
    vec![
        job.id.clone(),
        document.job_type.to_string(),
        document.status.to_string(),
        document.created_at.map_or_else(|| "-".to_owned(), |at| format!("{at:.0}")),
        document.indexed_document_count.to_string(),
        document.deleted_document_count.to_string(),
        document.error.clone().unwrap_or_default(),
    ]
}
