//! Rebuilding an index: a full sync into a new one, which then takes the old one's place.
//!
//! The name stays: it becomes (or is already) an alias, which moves to the new index in one request, so that each search of it
//! is answered by the old index or by the new one. Until then the new index is hidden from patterns, and has no alias: by
//! this and its name it is known if a worker dies, and removed by the next rebuild.

use std::time::Duration;

use connectors_es_client::EsClient;
use connectors_protocol::sync_job::Rebuild;
use jiff::Timestamp;
use serde_json::json;
use tokio::sync::watch;

use crate::counters::Counters;
use crate::fingerprint::{self, Left};
use crate::job::{Outcome, StopTokens, SyncInput, SyncReport, run_job};
use crate::progress::Progress;
use crate::replacement::{Replacement, new_name, remove_unused};

/// A request that was in flight when a rebuild ended may make its index again: it is looked for once more after this.
const LATE: Duration = Duration::from_millis(500);
/// How long searches that began before the swap may go on in the old index.
const LAST_SEARCHES: Duration = Duration::from_secs(1);

/// What a rebuild left behind.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rebuilt {
    /// The new index, behind the name.
    pub index: String,
    /// The index that the name stood for before; none if there was none.
    pub replaced: Option<String>,
    /// Whether that is still there, under its own name.
    pub kept: bool,
}

/// Runs a full job into a new index, and puts that in the place of `input.index`. However it ends, the name stands for what it
/// stood for before, or for a complete index.
pub(crate) async fn run(
    input: SyncInput,
    how: Rebuild,
    progress: watch::Sender<Progress>,
    tokens: StopTokens,
) -> SyncReport {
    let started_at = Timestamp::now();
    let client = input.client.clone();
    let name = new_name(&input.index, started_at);
    let begun = unless_stopped(&tokens, Replacement::begin(&input, how, &name)).await;
    let replacement = match begun {
        Ok(Ok(replacement)) => replacement,
        Ok(Err(error)) => {
            discard(&client, &name).await;
            return not_begun(&input, Outcome::Failed(error.into()), started_at);
        }
        Err(stopped) => {
            discard(&client, &name).await;
            return not_begun(&input, stopped, started_at);
        }
    };
    tracing::info!("Rebuilding {}: writing to {name}", input.index);
    let settings = fingerprint::of(&input);
    let filling = SyncInput { index: name.clone(), rebuild: None, force: true, cursor: None, ..input };
    let mut report = run_job(filling, progress, tokens.clone()).await;
    let mut may_be_in_place = false;
    if matches!(report.outcome, Outcome::Completed) {
        let complete = replacement.check(&report.counters, report.total_documents);
        report.outcome = match (complete, stopped(&tokens)) {
            (_, Some(stopped)) => stopped,
            (Err(error), None) => Outcome::Failed(error.into()),
            // Not to be stopped in its middle: it takes no time that anybody waits for.
            (Ok(()), None) => match replacement.swap().await {
                Ok(()) => Outcome::Completed,
                Err(error) => {
                    may_be_in_place = error.is_unanswered();
                    Outcome::Failed(error.into())
                }
            },
        };
    }
    if matches!(report.outcome, Outcome::Completed) {
        report.rebuilt = Some(tidy_up(&client, &replacement).await);
        // The next sync compares with the name, not with the index that has it now.
        let (cursor, left) = fingerprint::split(report.cursor);
        let settings = left.settings.map(|_| settings);
        report.cursor = fingerprint::join(cursor, &Left { settings, ..left });
    } else {
        if may_be_in_place {
            // The server may still carry the swap out, and the old index may be gone by then.
            tracing::warn!(
                "{name} is left as it is: if it does not get the name, the next rebuild removes it"
            );
        } else {
            discard(&client, &name).await;
        }
        report.cursor = None;
        report.total_documents = None;
    }
    report.finished_at = Timestamp::now();
    report
}

fn stopped(tokens: &StopTokens) -> Option<Outcome> {
    if tokens.cancel.is_cancelled() {
        Some(Outcome::Canceled)
    } else {
        tokens.suspend.is_cancelled().then_some(Outcome::Suspended)
    }
}

async fn unless_stopped<T>(tokens: &StopTokens, work: impl Future<Output = T>) -> Result<T, Outcome> {
    tokio::select! {
        biased;
        () = tokens.cancel.cancelled() => Err(Outcome::Canceled),
        () = tokens.suspend.cancelled() => Err(Outcome::Suspended),
        done = work => Ok(done),
    }
}

fn not_begun(input: &SyncInput, outcome: Outcome, started_at: Timestamp) -> SyncReport {
    SyncReport {
        outcome,
        counters: Counters::default(),
        totals: input.before,
        dead_letters: Vec::new(),
        total_documents: None,
        cursor: None,
        emptied: false,
        rule_matches: None,
        nothing_changed: false,
        rebuilt: None,
        started_at,
        finished_at: Timestamp::now(),
    }
}

/// What is left to do when the new index is in place. Nothing of it can undo that, so a failure is only told.
async fn tidy_up(client: &EsClient, replacement: &Replacement) -> Rebuilt {
    let index = replacement.index.clone();
    let hidden = json!({"index.hidden": replacement.hidden});
    if let Err(error) = client.put_settings(&index, &hidden).await {
        tracing::warn!(
            "{index} is in place, but patterns do not find it: set its index.hidden to null; {error}"
        );
    }
    let Some(old) = &replacement.old else { return Rebuilt { index, replaced: None, kept: false } };
    let replaced = Some(old.index.clone());
    if !old.by_alias {
        // It went with the swap: the name could not be free otherwise.
        return Rebuilt { index, replaced, kept: false };
    }
    if replacement.keep_old {
        return Rebuilt { index, replaced, kept: true };
    }
    tokio::time::sleep(LAST_SEARCHES).await;
    let kept = match client.delete_index(&old.index).await {
        Ok(_) => false,
        Err(error) => {
            tracing::warn!(
                "the old index {} is not in use any more, but could not be deleted: {error}",
                old.index
            );
            true
        }
    };
    Rebuilt { index, replaced, kept }
}

/// Removes the new index of a rebuild that did not come to its end.
async fn discard(client: &EsClient, name: &str) {
    for wait in [Duration::ZERO, LATE] {
        tokio::time::sleep(wait).await;
        if let Err(error) = remove_unused(client, name).await {
            tracing::warn!(
                "the unfinished index {name} is still there; the next rebuild removes it: {error}"
            );
            return;
        }
    }
}
