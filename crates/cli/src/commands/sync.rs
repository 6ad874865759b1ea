//! `connectors sync`.

use std::process::ExitCode;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use connectors_protocol::sync_job::{JobStatus, SyncJobDocument};
use connectors_sdk::Registry;
use connectors_service::{JobEnd, JobOptions, Service};
use connectors_sync::{Outcome, Progress, SyncReport};
use serde_json::{Value, json};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use super::connector;
use super::source::unknown_source;
use crate::connectors_args::{Output, SyncArgs};
use crate::progress::{self, Display, Samples};

/// From one look at a job that another service runs to the next.
const FOLLOW: Duration = Duration::from_millis(500);

/// Runs one full sync. The exit code is 0 only if it completed.
pub async fn run(service: &Service, registry: &Registry, args: &SyncArgs) -> Result<ExitCode> {
    let Some(descriptor) = registry.get(&args.service_type) else {
        bail!("{}", unknown_source(registry, &args.service_type));
    };
    let settings = connector::settings(descriptor, &args.settings)?;
    service.ready().await?;
    let stop = CancellationToken::new();
    let on_signal = tokio::spawn(crate::signals::cancel_on_signal(stop.clone()));
    let began = Instant::now();
    let summary = if args.dry_run {
        dry_run(service, args, &settings, stop).await
    } else {
        sync(service, args, &settings, stop).await
    };
    on_signal.abort();
    let summary = summary?;
    print(&summary, args, began.elapsed())?;
    Ok(if summary.status == JobStatus::Completed { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// What is printed in the end.
struct Summary {
    status: JobStatus,
    error: Option<String>,
    connector_id: Option<String>,
    job_id: Option<String>,
    /// This run's; none if another service ran the job, or it failed before it began.
    report: Option<Box<SyncReport>>,
    /// Counts of the job over all its runs.
    job: Option<Box<SyncJobDocument>>,
}

impl Summary {
    /// The indices of a completed rebuild.
    fn rebuilt(&self) -> Option<&Value> {
        self.job.as_ref()?.metadata.get("rebuilt")
    }
}

async fn dry_run(
    service: &Service,
    args: &SyncArgs,
    settings: &[(String, Value)],
    stop: CancellationToken,
) -> Result<Summary> {
    let (progress, watcher) = watch::channel(Progress::default());
    let samples =
        args.progress_file.as_deref().map(|path| Samples::start(path, watcher.clone())).transpose()?;
    let display = Display::start(&args.index, watcher);
    let report =
        service.dry_run(&args.service_type, &args.index, settings, args.force, progress, stop).await?;
    drop((display, samples));
    let (status, error) = match &report.outcome {
        Outcome::Completed => (JobStatus::Completed, None),
        Outcome::Canceled => (JobStatus::Canceled, None),
        Outcome::Suspended => (JobStatus::Suspended, None),
        Outcome::Failed(error) => (JobStatus::Error, Some(error.to_string())),
    };
    Ok(Summary { status, error, connector_id: None, job_id: None, report: Some(Box::new(report)), job: None })
}

async fn sync(
    service: &Service,
    args: &SyncArgs,
    settings: &[(String, Value)],
    stop: CancellationToken,
) -> Result<Summary> {
    let connector = service
        .connector_for_index(&args.service_type, &args.index, settings, &args.map, args.rebuild)
        .await?;
    let mut job = service.job_to_run(&connector, args.wanted_rebuild()).await?;
    let job_id = job.id.clone();
    let (progress, watcher) = watch::channel(Progress::default());
    let samples =
        args.progress_file.as_deref().map(|path| Samples::start(path, watcher.clone())).transpose()?;
    let display = Display::start(&args.index, watcher);
    let options = JobOptions { force: args.force };
    // A service that runs already may have been quicker, or another sync of this connector may have to end first.
    let (document, report) = loop {
        match service.run_job(job, options, progress.clone(), stop.clone()).await? {
            JobEnd::Ran(document, report) => break (document, report),
            JobEnd::Vanished => bail!("the job {job_id} was deleted while it ran"),
            JobEnd::NotClaimed => {}
        }
        tokio::select! {
            () = tokio::time::sleep(FOLLOW) => {}
            () = stop.cancelled() => bail!("stopped while waiting for the job {job_id}"),
        }
        job = service.job(&job_id).await?;
        if job.document.status.is_terminal() {
            break (Box::new(job.document), None);
        }
        progress.send_modify(|progress| {
            progress.indexed = job.document.indexed_document_count;
            progress.deleted = job.document.deleted_document_count;
        });
    };
    drop((display, samples));
    Ok(Summary {
        status: document.status,
        error: document.error.clone(),
        connector_id: Some(connector.id),
        job_id: Some(job_id),
        report,
        job: Some(document),
    })
}

fn print(summary: &Summary, args: &SyncArgs, elapsed: Duration) -> Result<()> {
    let counters = summary.report.as_ref().map(|report| report.counters.clone()).unwrap_or_default();
    let (mut indexed, mut deleted) = (counters.indexed, counters.deleted);
    if let (None, Some(job)) = (&summary.report, &summary.job) {
        (indexed, deleted) = (job.indexed_document_count, job.deleted_document_count);
    }
    if args.output == Output::Json {
        let letters = summary.report.as_ref().map_or(Value::Null, |report| json!(report.dead_letters));
        return crate::print_json(&json!({
            "status": summary.status,
            "error": summary.error,
            "dry_run": args.dry_run,
            "index": args.index,
            "connector_id": summary.connector_id,
            "job_id": summary.job_id,
            "extracted_document_count": counters.docs_extracted,
            "indexed_document_count": indexed,
            "indexed_bytes": counters.indexed_bytes,
            "unchanged_document_count": counters.docs_unchanged,
            "filtered_document_count": counters.docs_filtered,
            "deleted_document_count": deleted,
            "dead_letter_count": counters.dead_letters,
            "dead_letters": letters,
            "total_document_count": summary.report.as_ref().and_then(|report| report.total_documents),
            "rebuilt": summary.rebuilt(),
            "seconds": elapsed.as_secs_f64(),
        }));
    }
    let number = progress::number;
    let (written, gone) =
        if args.dry_run { ("would be written", "would be deleted") } else { ("written", "deleted") };
    crate::print_line(&format!(
        "{}: {} documents read, {} {written} ({}), {} unchanged, {} {gone}, {} errors, {:.1} s ({} docs/s)",
        summary.status,
        number(counters.docs_extracted),
        number(indexed),
        progress::bytes(counters.indexed_bytes),
        number(counters.docs_unchanged),
        number(deleted),
        number(counters.dead_letters),
        elapsed.as_secs_f64(),
        number(progress::rate(counters.docs_extracted, elapsed)),
    ))?;
    for letter in summary.report.iter().flat_map(|report| &report.dead_letters) {
        crate::print_line(&format!("  not written: {}: {}: {}", letter.id, letter.kind, letter.reason))?;
    }
    if let Some(rebuilt) = summary.rebuilt() {
        crate::print_line(&format!("{}{}", args.index, renamed(rebuilt)))?;
    }
    match summary.status {
        JobStatus::Completed if args.dry_run => {
            crate::print_line("Nothing was changed. Run it again without --dry-run to do it.")
        }
        JobStatus::Completed => {
            crate::print_line(&format!("\nNext: connectors search {} \"your words\"", args.index))
        }
        JobStatus::Suspended if args.rebuild => crate::print_line(&format!(
            "Interrupted. {} is as it was; run the same command again to rebuild it.",
            args.index
        )),
        JobStatus::Suspended => crate::print_line("Interrupted. Run the same command again to go on."),
        _ => {
            let error = summary.error.clone().context("the job ended without saying why")?;
            crate::print_line(&format!("\n{error}"))
        }
    }
}

/// ` is now an alias of the new index search-x-rebuild-…; the old one is deleted`
fn renamed(rebuilt: &Value) -> String {
    let new = rebuilt["index"].as_str().unwrap_or_default();
    let old = match (rebuilt["replaced"].as_str(), rebuilt["kept"] == true) {
        (Some(old), true) => format!("; the old one, {old}, is kept"),
        (Some(_), false) => "; the old one is deleted".to_owned(),
        (None, _) => String::new(),
    };
    format!(" is now an alias of the new index {new}{old}")
}
