//! One sync job, from its first question to the source to its last request.

use std::sync::Arc;

use connectors_es_client::EsClient;
use connectors_protocol::filtering::{Filter, RuleMatches};
use connectors_protocol::pipeline::Pipeline;
use connectors_protocol::sync_job::{JobType, Rebuild};
use connectors_sdk::DataSource;
use jiff::Timestamp;
use serde_json::{Map, Value};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::counters::Counters;
use crate::dead_letters::{DeadLetter, DeadLetters};
use crate::error::SyncError;
use crate::execute::Job;
use crate::monitor::ErrorMonitor;
use crate::options::SyncOptions;
use crate::progress::{Ledger, Progress, Totals, publish};
use crate::rebuild::{self, Rebuilt};

/// Everything a job needs. The caller has validated the source's configuration and pinged it.
pub struct SyncInput {
    /// The cluster.
    pub client: EsClient,
    /// The content index; an access control job writes to the access control index that belongs to it.
    pub index: String,
    /// The source.
    pub source: Arc<dyn DataSource>,
    /// What kind of job it is.
    pub job_type: JobType,
    /// For an incremental job: whether the source sends changes (its capability `changes`); otherwise it lists everything.
    pub source_sends_changes: bool,
    /// The job's pipeline settings; an empty name: no pipeline.
    pub pipeline: Pipeline,
    /// The job's sync rules.
    pub filter: Filter,
    /// Whether basic rules are applied: the connector's features have sync rules.
    pub apply_basic_rules: bool,
    /// The cursor the last completed job left.
    pub cursor: Option<Value>,
    /// Types that the user gave fields, as `properties` of a mapping: for an index that the job makes.
    pub mapping: Map<String, Value>,
    /// Make the index anew, and put it in the old one's place when it is complete; only of a full job.
    pub rebuild: Option<Rebuild>,
    /// How to write.
    pub options: SyncOptions,
    /// Write every document, also those that did not change.
    pub force: bool,
    /// Count what would be written and deleted, and change nothing.
    pub dry_run: bool,
    /// What earlier, interrupted runs of this job did.
    pub before: Totals,
}

impl SyncInput {
    /// A full sync of a source into an index, with all defaults.
    pub fn full(client: EsClient, index: impl Into<String>, source: Arc<dyn DataSource>) -> Self {
        Self {
            client,
            index: index.into(),
            source,
            job_type: JobType::Full,
            source_sends_changes: false,
            pipeline: Pipeline::default(),
            filter: Filter::default(),
            apply_basic_rules: true,
            cursor: None,
            mapping: Map::new(),
            rebuild: None,
            options: SyncOptions::default(),
            force: false,
            dry_run: false,
            before: Totals::default(),
        }
    }
}

/// Ends a job from outside.
#[derive(Debug, Clone, Default)]
pub struct StopTokens {
    /// The user cancels the job.
    pub cancel: CancellationToken,
    /// The service stops; the job goes on at its next start.
    pub suspend: CancellationToken,
}

/// How a job ended.
#[derive(Debug)]
pub enum Outcome {
    /// The index holds what the source holds.
    Completed,
    /// It was cancelled.
    Canceled,
    /// It was suspended. Run it again with the totals of the report: what was written is unchanged then.
    Suspended,
    /// It failed.
    Failed(SyncError),
}

/// What a job did.
#[derive(Debug)]
pub struct SyncReport {
    /// How it ended.
    pub outcome: Outcome,
    /// What this run counted.
    pub counters: Counters,
    /// Counts of all runs of the job, for the job document.
    pub totals: Totals,
    /// The first documents that were not written; `counters.dead_letters` has how many there were.
    pub dead_letters: Vec<DeadLetter>,
    /// Documents in the index at the end; none if it could not be counted, or nothing was written.
    pub total_documents: Option<u64>,
    /// The cursor the source left; only of a completed job, and only then to be stored.
    pub cursor: Option<Value>,
    /// What the last sync left in the index was gone when this one began. Unless it completed, the stored cursor is to be
    /// forgotten: what it says was done is undone.
    pub emptied: bool,
    /// Which sync rule decided about how many documents; only of a job that read the source to its end.
    pub rule_matches: Option<RuleMatches>,
    /// The source said that nothing changed since the cursor, so nothing was read.
    pub nothing_changed: bool,
    /// The new index that has taken the old one's place; only of a completed rebuild.
    pub rebuilt: Option<Rebuilt>,
    /// When the run began.
    pub started_at: Timestamp,
    /// When it ended.
    pub finished_at: Timestamp,
}

/// Runs a job, or a rebuild of an index with it.
pub async fn run(input: SyncInput, progress: watch::Sender<Progress>, tokens: StopTokens) -> SyncReport {
    match input.rebuild {
        Some(how) if input.job_type == JobType::Full && !input.dry_run => {
            rebuild::run(input, how, progress, tokens).await
        }
        _ => run_job(input, progress, tokens).await,
    }
}

/// It ends within a second after `cancel` fires; requests in flight are dropped then, and their documents are
/// not counted. After `suspend` it sends nothing more, and waits a few seconds at most for the answers to what is in
/// flight, so that the totals of a resumed job are right.
pub(crate) async fn run_job(
    input: SyncInput,
    progress: watch::Sender<Progress>,
    tokens: StopTokens,
) -> SyncReport {
    let options = input.options.clone();
    let monitor = ErrorMonitor::new(options.errors.clone());
    let (dead_letters, opened) = DeadLetters::open(options.dead_letters, options.dead_letter_file.as_deref());
    let ledger = Arc::new(Ledger::new(monitor, dead_letters, input.before));
    let stop = CancellationToken::new();
    let job = Job::new(input, ledger.clone(), stop.clone());

    let work = async {
        opened?;
        job.execute().await
    };
    let mut completed = None;
    let outcome = tokio::select! {
        biased;
        () = tokens.cancel.cancelled() => Outcome::Canceled,
        () = tokens.suspend.cancelled() => Outcome::Suspended,
        done = work => match done {
            Ok(result) => {
                completed = Some(result);
                Outcome::Completed
            }
            Err(error) => Outcome::Failed(error),
        },
        never = ledger.publish(&progress, options.display_every) => match never {},
    };
    if matches!(outcome, Outcome::Suspended) {
        job.close().await;
    }
    stop.cancel();
    job.wind_down().await;
    publish(&progress, ledger.progress());
    let completed = completed.unwrap_or_default();
    SyncReport {
        outcome,
        counters: ledger.counters(),
        totals: ledger.totals(),
        dead_letters: ledger.dead_letters(),
        total_documents: completed.total_documents,
        cursor: completed.cursor,
        emptied: job.is_emptied(),
        rule_matches: completed.rule_matches,
        nothing_changed: completed.nothing_changed,
        rebuilt: None,
        started_at: ledger.started_at(),
        finished_at: Timestamp::now(),
    }
}
