//! Cancelling and suspending.

use std::time::{Duration, Instant};

use connectors_sync::{Outcome, Progress, StopTokens, SyncInput, SyncReport, Totals, run};
use tokio::sync::watch;

use crate::fake::Fake;
use crate::source::{End, Listed, documents};
use crate::{completed, input};

const T1: &str = "2026-01-01T00:00:00Z";

/// Runs the job until some documents are written, and stops it.
async fn stopped(fake: &Fake, input: SyncInput, stop: impl FnOnce(&StopTokens)) -> SyncReport {
    let tokens = StopTokens::default();
    let (progress, mut watched) = watch::channel(Progress::default());
    let job = tokio::spawn(run(input, progress, tokens.clone()));
    watched.wait_for(|progress| progress.indexed >= 100).await.unwrap();
    let since = Instant::now();
    stop(&tokens);
    let report = job.await.unwrap();
    assert!(since.elapsed() < Duration::from_secs(1), "{:?}", since.elapsed());
    let sent = fake.lock().bulks.len();
    tokio::time::sleep(Duration::from_millis(200)).await;
    assert_eq!(fake.lock().bulks.len(), sent, "it went on after its end");
    report
}

#[tokio::test]
async fn a_cancelled_job_ends_at_once_and_deletes_nothing() {
    for end in [End::Complete, End::Hangs] {
        let fake = Fake::start().await;
        fake.put("docs", "old", serde_json::json!({"id": "old"}));
        fake.lock().delay = Duration::from_millis(30);
        let mut long = input(&fake, Listed::documents(documents(5_000, T1)).ending(end));
        long.options.chunk_size = 50;
        let report = stopped(&fake, long, |tokens| tokens.cancel.cancel()).await;
        assert!(matches!(report.outcome, Outcome::Canceled), "{report:?}");
        assert!(report.counters.indexed >= 100 && report.counters.indexed < 5_000);
        assert!(fake.ids("docs").contains(&"old".to_owned()));
        assert!(
            fake.ids("docs").len() as u64 > report.counters.indexed,
            "only what was acknowledged is counted"
        );
    }
}

#[tokio::test]
async fn a_suspended_job_goes_on_where_it_was() {
    let fake = Fake::start().await;
    fake.lock().delay = Duration::from_millis(30);
    let mut first = input(&fake, Listed::documents(documents(3_000, T1)));
    first.options.chunk_size = 50;
    let report = stopped(&fake, first, |tokens| tokens.suspend.cancel()).await;
    assert!(matches!(report.outcome, Outcome::Suspended), "{report:?}");
    let before = report.totals;
    assert_eq!(before.indexed, report.counters.indexed);

    fake.lock().delay = Duration::ZERO;
    let there = fake.ids("docs").len() as u64;
    let second = SyncInput { before, ..input(&fake, Listed::documents(documents(3_000, T1))) };
    let (progress, _) = watch::channel(Progress::default());
    let report = run(second, progress, StopTokens::default()).await;
    assert!(matches!(report.outcome, Outcome::Completed), "{report:?}");
    assert_eq!(report.counters.docs_unchanged, there, "what was written is not written again");
    assert_eq!(report.counters.indexed, 3_000 - there);
    assert_eq!(report.totals.indexed, before.indexed + 3_000 - there);
}

#[tokio::test]
async fn a_job_stopped_before_it_starts_does_nothing() {
    let fake = Fake::start().await;
    let tokens = StopTokens::default();
    tokens.cancel.cancel();
    let (progress, _) = watch::channel(Progress::default());
    let report = run(input(&fake, Listed::documents(documents(5, T1))), progress, tokens).await;
    assert!(matches!(report.outcome, Outcome::Canceled));
    assert_eq!((fake.lock().indices.len(), report.totals), (0, Totals::default()));
}

#[tokio::test]
async fn a_slow_source_is_written_while_it_pauses() {
    let fake = Fake::start().await;
    let job = input(&fake, Listed::documents(documents(120, T1)).ending(End::Hangs));
    // Far fewer than a request holds: they are sent because the source is silent.
    stopped(&fake, job, |tokens| tokens.cancel.cancel()).await;
    assert_eq!(fake.ids("docs").len(), 120);
    completed(&fake, Listed::documents(documents(120, T1))).await;
}
