//! A search over one or several indices: query phase on each, one order over all, then the hits' contents.

use std::sync::Arc;
use std::time::Instant;

use serde_json::Value;
use tantivy::query::Query;

use super::collect::{self, After, Candidate};
use super::fetch::Fetch;
use super::plan::{Part, Plan};
use super::request::{ParsedQuery, RESULT_WINDOW, SearchRequest, TrackTotal};
use super::response::{SearchResponse, Total};
use super::runs::RunCache;
use super::shard_failure;
use crate::aggs::Partials;
use crate::error::{ApiError, Result};
use crate::index::{Index, IndexView};
use crate::query::{self, Clause, QueryContext};

/// One index of a search.
#[derive(Debug, Clone)]
pub struct Target {
    /// Its published state.
    pub view: IndexView,
    /// Filter of the alias it was named by.
    pub filter: Option<Value>,
    /// `index.max_result_window`.
    pub window: usize,
    /// The index, to see whether it was deleted since; `None` where there is only a view.
    pub index: Option<Arc<Index>>,
    runs: Arc<RunCache>,
}

impl Target {
    /// An index as a search, scroll or point in time sees it from now on.
    pub fn new(view: IndexView, filter: Option<Value>) -> Self {
        Self { view, filter, window: RESULT_WINDOW, index: None, runs: Arc::default() }
    }

    /// Whether the index was deleted after the view was taken.
    pub(super) fn is_deleted(&self) -> bool {
        self.index.as_ref().is_some_and(|index| index.is_deleted())
    }

    /// Runs of its segments, found once for all pages.
    pub(super) fn runs(&self) -> &RunCache {
        &self.runs
    }

    /// What queries are compiled against. `now_ms` is the time `now` stands for.
    pub fn context(&self, now_ms: i64) -> QueryContext<'_> {
        QueryContext {
            table: &self.view.table,
            fields: &self.view.fields,
            analyzers: &self.view.analyzers,
            now_ms,
            index: &self.view.name,
        }
    }

    /// `query` for this index, its alias filter included. `None` matches all.
    pub fn compile(&self, query: Option<&ParsedQuery>, now_ms: i64) -> Result<Box<dyn Query>> {
        let context = self.context(now_ms);
        let compile = |clause: &dyn Clause| {
            clause.compile(&context).map_err(|error| shard_failure(&self.view.name, error))
        };
        let compiled = match query {
            Some(query) if !query.matches_all() => compile(query.clause.as_ref())?,
            _ => Box::new(tantivy::query::AllQuery),
        };
        Ok(match &self.filter {
            Some(filter) => collect::filtered(compiled, compile(query::parse(filter)?.as_ref())?),
            None => compiled,
        })
    }
}

/// Milliseconds since the epoch: what `now` means in a request.
pub fn now_ms() -> i64 {
    jiff::Timestamp::now().as_millisecond()
}

/// How a search continues an earlier one.
#[derive(Debug, Clone, Default)]
pub struct Continuation {
    /// The search is a scroll: pages follow each other in one total order.
    pub scroll: bool,
    /// Where the page before ended.
    pub after: Option<After>,
    /// Total and greatest score of the first page, which later pages repeat.
    pub first: Option<(Option<Total>, Option<f32>)>,
}

/// Answers a search. Blocking: run it on a thread made for that.
pub fn execute(targets: &[Target], request: &SearchRequest) -> Result<SearchResponse> {
    page(targets, request, &Continuation::default()).map(|(response, _)| response)
}

/// Answers one page, and says where it ended (`None`: no hits).
pub fn page(
    targets: &[Target],
    request: &SearchRequest,
    continuation: &Continuation,
) -> Result<(SearchResponse, Option<After>)> {
    let started = Instant::now();
    let now = now_ms();
    let plan = Plan::new(request, continuation, now);
    let parts = Parts::collect(targets, |shard, target| plan.run(shard, target))?;
    plan.check_types(&parts.done)?;
    let mut merged = Merged::default();
    let mut levels = Vec::new();
    for part in parts.done {
        levels.push(merged.add(part)?);
    }
    if let Some(levels) = levels.iter().flatten().next() {
        collect::sort(&mut merged.hits, levels);
    }
    let any = !merged.hits.is_empty();
    let hits: Vec<Candidate> = merged.hits.into_iter().skip(request.from).take(request.size).collect();
    let end = hits.last().map(|hit| After { values: hit.values.clone(), tie: Some((hit.shard, hit.seq_no)) });
    let mut response = SearchResponse {
        shards: targets.len(),
        failures: parts.failures,
        total: total(merged.total, request.total()),
        max_score: plan.max_score(merged.max_score, any),
        terminated_early: (request.terminate_after > 0).then_some(merged.terminated),
        aggregations: plan.aggregations(merged.following, merged.global)?,
        ..SearchResponse::default()
    };
    if targets.is_empty() {
        response.max_score = Some(0.0);
    }
    if let Some((total, max_score)) = &continuation.first {
        response.total = *total;
        response.max_score = *max_score;
    }
    let fetch = Fetch::new(request, plan.order(), targets, &hits, now)?;
    for hit in &hits {
        let levels = levels.get(hit.shard).and_then(Option::as_ref).map_or(&[][..], Vec::as_slice);
        response.hits.push(fetch.hit(hit, &targets[hit.shard].view, levels)?);
    }
    response.took = u64::try_from(started.elapsed().as_millis()).unwrap_or(u64::MAX);
    Ok((response, end))
}

/// Matches of a query over all indices.
#[derive(Debug, Clone, Default)]
pub struct Counted {
    /// Their number.
    pub total: u64,
    /// `terminate_after` cut the count short.
    pub terminated: bool,
    /// What failed, index by index.
    pub failures: Vec<ApiError>,
}

/// Answers a `_count`. Blocking.
pub fn count(targets: &[Target], request: &SearchRequest) -> Result<Counted> {
    let request = SearchRequest { size: 0, track_total_hits: Some(TrackTotal::Exact), ..request.clone() };
    let continuation = Continuation::default();
    let plan = Plan::new(&request, &continuation, now_ms());
    let parts = Parts::collect(targets, |shard, target| plan.run(shard, target))?;
    let mut counted = Counted { failures: parts.failures, ..Counted::default() };
    for part in parts.done.into_iter().flatten() {
        counted.total += part.collected.total;
        counted.terminated |= part.collected.terminated;
    }
    Ok(counted)
}

/// What each index contributed, in the order of the indices; `None` where it failed.
struct Parts {
    done: Vec<Option<Part>>,
    failures: Vec<ApiError>,
}

impl Parts {
    /// Runs `run` on each index. What fails in some indices but not in all is reported beside the answer of the others.
    fn collect(targets: &[Target], run: impl Fn(usize, &Target) -> Result<Part>) -> Result<Self> {
        let mut parts = Self { done: Vec::new(), failures: Vec::new() };
        for (shard, target) in targets.iter().enumerate() {
            match run(shard, target) {
                Ok(part) => parts.done.push(Some(part)),
                Err(error) if super::failed_shard(&error).is_some() && !error.status.is_server_error() => {
                    parts.done.push(None);
                    parts.failures.push(error);
                }
                Err(error) => return Err(error),
            }
        }
        if parts.failures.len() == targets.len()
            && let Some(mut error) = parts.failures.first().cloned()
        {
            let all: Vec<Value> = parts.failures.iter().filter_map(super::failed_shard).cloned().collect();
            error.extra.insert("failed_shards".to_owned(), all.into());
            let roots: Vec<Value> = parts
                .failures
                .iter()
                .filter_map(|error| error.extra.get("root_cause")?.get(0))
                .cloned()
                .collect();
            error.extra.insert("root_cause".to_owned(), roots.into());
            return Err(error);
        }
        Ok(parts)
    }
}

fn total(count: u64, track: TrackTotal) -> Option<Total> {
    match track {
        TrackTotal::Off => None,
        TrackTotal::Exact => Some(Total { value: count, lower_bound: false }),
        TrackTotal::UpTo(limit) => Some(Total { value: count.min(limit), lower_bound: count > limit }),
    }
}

#[derive(Default)]
struct Merged {
    total: u64,
    max_score: Option<f32>,
    hits: Vec<Candidate>,
    terminated: bool,
    following: Option<Partials>,
    global: Option<Partials>,
}

impl Merged {
    /// Adds what an index contributed; the answer is how its hits are sorted.
    fn add(&mut self, part: Option<Part>) -> Result<Option<Vec<super::keys::Level>>> {
        let Some(part) = part else { return Ok(None) };
        let collected = part.collected;
        self.total += collected.total;
        self.terminated |= collected.terminated;
        if let Some(score) = collected.max_score {
            self.max_score = Some(self.max_score.map_or(score, |max| max.max(score)));
        }
        self.hits.extend(collected.hits);
        merge(&mut self.following, part.following)?;
        merge(&mut self.global, part.global)?;
        Ok(Some(part.levels))
    }
}

fn merge(merged: &mut Option<Partials>, partials: Option<Partials>) -> Result<()> {
    match (merged, partials) {
        (_, None) => Ok(()),
        (Some(merged), Some(partials)) => merged.merge(partials),
        (empty, partials) => {
            *empty = partials;
            Ok(())
        }
    }
}
