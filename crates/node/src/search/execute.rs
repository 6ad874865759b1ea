//! A search over one or several indices: query phase on each, one order over all, then the hits' contents.

use std::cell::RefCell;
use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::sync::Arc;
use std::time::Instant;

use serde_json::{Map, Value};
use tantivy::columnar::StrColumn;
use tantivy::query::Query;

use super::collect::{self, After, Candidate, Collected, Collection, Observer};
use super::columns::Columns;
use super::fields;
use super::keys::{Level, SortValue};
use super::request::{ParsedQuery, RESULT_WINDOW, SearchRequest, StoredFields, TrackTotal};
use super::response::{Hit, SearchResponse, Total};
use super::runs::RunCache;
use super::shard_failure;
use super::sort::{SortKey, SortSpec};
use super::source::SourceFilter;
use crate::aggs::{Aggregations, Partials, ShardCollector};
use crate::error::{ApiError, Result};
use crate::highlight::Highlighter;
use crate::index::schema::IGNORED;
use crate::index::{IndexView, StoredDocument};
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
    runs: Arc<RunCache>,
}

impl Target {
    /// An index as a search, scroll or point in time sees it from now on.
    pub fn new(view: IndexView, filter: Option<Value>) -> Self {
        Self { view, filter, window: RESULT_WINDOW, runs: Arc::default() }
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
    for target in targets {
        request.check_window(&target.view.name, target.window, continuation.scroll)?;
    }
    let plan = Plan::new(targets, request, continuation)?;
    let keep = request.from + request.size;
    let mut merged = Merged::default();
    let first_page = continuation.first.is_none();
    for (shard, target) in targets.iter().enumerate() {
        let mut observer = match &plan.following {
            Some(following) if first_page => Some(ShardCollector::new(following, target, now)?),
            _ => None,
        };
        let collected = plan.collect(
            shard,
            target,
            keep,
            now,
            observer.as_mut().map(|observer| observer as &mut dyn Observer),
        )?;
        merged.add(collected);
        if let Some(observer) = observer {
            merge(&mut merged.following, observer.finish()?)?;
        }
        if let (true, Some(global)) = (first_page, &plan.global) {
            merge(&mut merged.global, plan.collect_all(global, shard, target, now)?)?;
        }
    }
    if let Some(levels) = plan.levels.first() {
        collect::sort(&mut merged.hits, levels);
    }
    let aggregations = plan.aggregations(merged.following.take(), merged.global.take(), now)?;
    let any = !merged.hits.is_empty();
    let hits: Vec<Candidate> = merged.hits.into_iter().skip(request.from).take(request.size).collect();
    let end = hits.last().map(|hit| After { values: hit.values.clone(), tie: Some((hit.shard, hit.seq_no)) });
    let mut response = SearchResponse {
        shards: targets.len(),
        total: total(merged.total, request.total()),
        max_score: plan.max_score(merged.max_score, keep, any),
        terminated_early: (request.terminate_after > 0).then_some(merged.terminated),
        aggregations,
        ..SearchResponse::default()
    };
    if targets.is_empty() {
        response.max_score = Some(0.0);
    }
    if let Some((total, max_score)) = &continuation.first {
        response.total = *total;
        response.max_score = *max_score;
    }
    let fetch = Fetch::new(request, &plan, targets, now)?;
    response.hits = hits.iter().map(|hit| fetch.hit(hit, &targets[hit.shard])).collect::<Result<_>>()?;
    response.took = u64::try_from(started.elapsed().as_millis()).unwrap_or(u64::MAX);
    Ok((response, end))
}

/// Matches of a query over all indices.
#[derive(Debug, Clone, Copy, Default)]
pub struct Counted {
    /// Their number.
    pub total: u64,
    /// `terminate_after` cut the count short.
    pub terminated: bool,
}

/// Answers a `_count`. Blocking.
pub fn count(targets: &[Target], request: &SearchRequest) -> Result<Counted> {
    let now = now_ms();
    let request = SearchRequest { size: 0, track_total_hits: Some(TrackTotal::Exact), ..request.clone() };
    let continuation = Continuation::default();
    let plan = Plan::new(targets, &request, &continuation)?;
    let mut counted = Counted::default();
    for (shard, target) in targets.iter().enumerate() {
        let collected = plan.collect(shard, target, 0, now, None)?;
        counted.total += collected.total;
        counted.terminated |= collected.terminated;
    }
    Ok(counted)
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

fn merge(merged: &mut Option<Partials>, partials: Partials) -> Result<()> {
    if let Some(merged) = merged {
        return merged.merge(partials);
    }
    *merged = Some(partials);
    Ok(())
}

impl Merged {
    fn add(&mut self, collected: Collected) {
        self.total += collected.total;
        self.terminated |= collected.terminated;
        if let Some(score) = collected.max_score {
            self.max_score = Some(self.max_score.map_or(score, |max| max.max(score)));
        }
        self.hits.extend(collected.hits);
    }
}

/// Order of the answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Order {
    /// By the sort of the request.
    Sorted,
    /// By score.
    Score,
    /// All scores are 1: hits come in the order of writing.
    Constant,
}

struct Plan<'a> {
    request: &'a SearchRequest,
    continuation: &'a Continuation,
    order: Order,
    levels: Vec<Vec<Level>>,
    after: Option<After>,
    track: TrackTotal,
    /// Aggregations over what the query matches.
    following: Option<Aggregations>,
    /// Aggregations over everything.
    global: Option<Aggregations>,
}

impl<'a> Plan<'a> {
    fn new(targets: &[Target], request: &'a SearchRequest, continuation: &'a Continuation) -> Result<Self> {
        let order = if !request.sort.is_empty() {
            Order::Sorted
        } else if request.min_score.is_none() && request.query.as_ref().is_none_or(ParsedQuery::matches_all) {
            Order::Constant
        } else {
            Order::Score
        };
        let specs = specs(request, continuation, order);
        let levels: Vec<Vec<Level>> = targets
            .iter()
            .enumerate()
            .map(|(shard, target)| {
                specs.iter().map(|spec| Level::resolve(spec, &target.view, shard)).collect()
            })
            .collect::<Result<_>>()?;
        check_types(&specs, &levels)?;
        let after = match (&continuation.after, &request.search_after) {
            (Some(after), _) => Some(after.clone()),
            (None, Some(values)) => match targets.first().zip(levels.first()) {
                Some((target, levels)) => Some(After {
                    values: search_after(values, request, &specs, levels)
                        .map_err(|error| shard_failure(&target.view.name, error))?,
                    tie: None,
                }),
                None => None,
            },
            (None, None) => None,
        };
        let track = if continuation.first.is_some() { TrackTotal::Off } else { request.total() };
        let part = |global| Some(request.aggregations.part(global)).filter(|part| !part.is_empty());
        let (following, global) = (part(false), part(true));
        Ok(Self { request, continuation, order, levels, after, track, following, global })
    }

    /// Runs global aggregations.
    fn collect_all(
        &self,
        global: &Aggregations,
        shard: usize,
        target: &Target,
        now_ms: i64,
    ) -> Result<Partials> {
        let mut observer = ShardCollector::new(global, target, now_ms)?;
        let query = target.compile(None, now_ms)?;
        let everything = Collection {
            query: query.as_ref(),
            post_filter: None,
            levels: &[],
            keep: 0,
            after: None,
            track: TrackTotal::Off,
            scores: false,
            min_score: None,
            slice: self.request.slice,
            terminate_after: 0,
            shard,
        };
        everything.run(&target.view, &target.runs, Some(&mut observer))?;
        observer.finish()
    }

    /// The `aggregations` of the answer, in the order of the request.
    fn aggregations(
        &self,
        following: Option<Partials>,
        global: Option<Partials>,
        now_ms: i64,
    ) -> Result<Option<Value>> {
        let mut answer = Map::new();
        for (aggregations, partials) in [(&self.following, following), (&self.global, global)] {
            if let (Some(aggregations), Some(partials)) = (aggregations, partials) {
                answer.extend(aggregations.render(partials, self.request.typed_keys, now_ms)?);
            }
        }
        Ok(Some(answer).filter(|answer| !answer.is_empty()).map(Value::Object))
    }

    fn collect(
        &self,
        shard: usize,
        target: &Target,
        keep: usize,
        now_ms: i64,
        observer: Option<&mut dyn Observer>,
    ) -> Result<Collected> {
        let request = self.request;
        let query = target.compile(request.query.as_ref(), now_ms)?;
        let post_filter = match &request.post_filter {
            Some(filter) => Some(
                filter
                    .clause
                    .compile(&target.context(now_ms))
                    .map_err(|error| shard_failure(&target.view.name, error))?,
            ),
            None => None,
        };
        Collection {
            query: query.as_ref(),
            post_filter: post_filter.as_deref(),
            levels: if keep == 0 { &[] } else { &self.levels[shard] },
            keep,
            after: self.after.as_ref(),
            track: self.track,
            scores: request.track_scores && keep > 0 && self.continuation.first.is_none(),
            min_score: request.min_score,
            slice: request.slice,
            terminate_after: request.terminate_after,
            shard,
        }
        .run(&target.view, &target.runs, observer)
    }

    fn max_score(&self, seen: Option<f32>, keep: usize, any: bool) -> Option<f32> {
        match self.order {
            _ if keep == 0 => None,
            Order::Constant => any.then_some(1.0),
            Order::Score => seen,
            Order::Sorted => seen.filter(|_| self.request.track_scores),
        }
    }
}

fn specs(request: &SearchRequest, continuation: &Continuation, order: Order) -> Vec<SortSpec> {
    let shard_doc = SortSpec { key: SortKey::ShardDoc, descending: false };
    match order {
        Order::Constant => vec![shard_doc],
        Order::Score => vec![SortSpec { key: SortKey::Score, descending: true }],
        Order::Sorted => {
            let mut specs = request.sort.clone();
            if continuation.scroll {
                // Positions repeat between indices; a scroll needs one order over all.
                for spec in specs.iter_mut().filter(|spec| spec.key == SortKey::Doc) {
                    spec.key = SortKey::ShardDoc;
                }
            }
            if request.pit.is_some() && specs.iter().all(|spec| spec.key != SortKey::ShardDoc) {
                specs.push(shard_doc);
            }
            specs
        }
    }
}

fn check_types(specs: &[SortSpec], levels: &[Vec<Level>]) -> Result<()> {
    let Some(first) = levels.first() else { return Ok(()) };
    for (n, spec) in specs.iter().enumerate() {
        let odd = levels
            .iter()
            .map(|levels| levels[n].type_name())
            .find(|name| (*name == "STRING") != (first[n].type_name() == "STRING"));
        if let (Some(odd), SortKey::Field(field)) = (odd, &spec.key) {
            return Err(ApiError::illegal_argument(format!(
                "Can't sort on field [{}]; the field has incompatible sort types: [{}] and [{odd}] across shards!",
                field.field,
                first[n].type_name()
            )));
        }
    }
    Ok(())
}

fn search_after(
    values: &[Value],
    request: &SearchRequest,
    specs: &[SortSpec],
    levels: &[Level],
) -> Result<Vec<SortValue>> {
    if request.sort.is_empty() {
        return Err(ApiError::illegal_argument("Sort must contain at least one field."));
    }
    // The tie-breaker a point in time adds may be left out.
    let mut parsed = Vec::new();
    if values.len() != specs.len() && values.len() != request.sort.len() {
        return Err(ApiError::illegal_argument(format!(
            "search_after has {} value(s) but sort has {}.",
            values.len(),
            specs.len()
        )));
    }
    for ((value, spec), level) in values.iter().zip(specs).zip(levels) {
        let name = match &spec.key {
            SortKey::Score => "_score",
            SortKey::Doc => "_doc",
            SortKey::ShardDoc => "_shard_doc",
            SortKey::SeqNo => "_seq_no",
            SortKey::Field(field) => &field.field,
        };
        parsed.push(level.parse_after(name, value)?);
    }
    if parsed.len() < specs.len() {
        // As Elasticsearch: hits equal in the given values were all seen.
        parsed.push(SortValue::Integer(i64::MAX));
    }
    Ok(parsed)
}

/// The fetch phase: what each hit carries.
struct Fetch<'a> {
    request: &'a SearchRequest,
    plan: &'a Plan<'a>,
    filter: SourceFilter,
    /// Column of [`IGNORED`] by shard and segment, opened when first needed.
    ignored: RefCell<HashMap<(usize, u32), Option<StrColumn>>>,
    /// One for each target when the request asks for highlights.
    highlighters: Vec<Highlighter>,
}

impl<'a> Fetch<'a> {
    fn new(request: &'a SearchRequest, plan: &'a Plan<'a>, targets: &[Target], now_ms: i64) -> Result<Self> {
        let mut highlighters = Vec::new();
        if let Some(highlight) = &request.highlight {
            let query = request.query.as_ref().map(|query| query.clause.as_ref());
            for target in targets {
                let prepared = highlight.prepare(query, &target.context(now_ms));
                highlighters.push(prepared.map_err(|error| shard_failure(&target.view.name, error))?);
            }
        }
        Ok(Self { request, plan, filter: request.source_filter(), ignored: RefCell::default(), highlighters })
    }

    fn hit(&self, candidate: &Candidate, target: &Target) -> Result<Hit> {
        let request = self.request;
        let view = &target.view;
        let document = view.documents.read(candidate.seq_no)?;
        let parsed = self.parsed(&document)?;
        let source = match (&self.filter, &parsed) {
            (SourceFilter::All, _) => Some(document.source.clone()),
            (SourceFilter::Parts { .. }, Some(parsed)) => match self.filter.apply(parsed) {
                Some(source) => Some(serde_json::to_vec(&source).map_err(ApiError::internal)?.into()),
                None => None,
            },
            _ => None,
        };
        let mut found = Map::new();
        if !request.docvalue_fields.is_empty() {
            let reader = view.searcher.segment_reader(candidate.segment);
            found = fields::from_columns(&request.docvalue_fields, view, reader, candidate.doc)?;
        }
        if let (false, Some(parsed)) = (request.fields.is_empty(), &parsed) {
            found.extend(fields::from_source(&request.fields, view, parsed)?);
        }
        let highlight = match (self.highlighters.get(candidate.shard), &parsed) {
            (Some(highlighter), Some(parsed)) => highlighter
                .highlight(&document.id, parsed)
                .map_err(|error| shard_failure(&view.name, error))?,
            _ => None,
        };
        let levels = &self.plan.levels[candidate.shard];
        let sort = match self.plan.order {
            Order::Sorted => Some(
                levels
                    .iter()
                    .zip(&candidate.values)
                    .map(|(level, value)| level.show(value))
                    .collect::<Result<Vec<Value>>>()?,
            ),
            Order::Score | Order::Constant => None,
        };
        let scored = request.track_scores || levels.iter().any(Level::needs_score);
        Ok(Hit {
            index: view.name.clone(),
            routing: document.routing,
            id: (request.stored_fields != StoredFields::Nothing).then_some(document.id),
            version: request.version.then_some(document.version),
            seq_no: request.seq_no_primary_term.then_some(candidate.seq_no),
            score: match self.plan.order {
                Order::Constant => Some(1.0),
                _ => scored.then_some(candidate.score),
            },
            ignored: self.ignored(candidate, target)?,
            source,
            fields: found,
            highlight,
            sort,
        })
    }

    /// Fields that left a value of the document out.
    fn ignored(&self, candidate: &Candidate, target: &Target) -> Result<Vec<String>> {
        let mut opened = self.ignored.borrow_mut();
        let column = match opened.entry((candidate.shard, candidate.segment)) {
            Entry::Occupied(column) => column.into_mut(),
            Entry::Vacant(place) => {
                let reader = target.view.searcher.segment_reader(candidate.segment);
                place.insert(Columns::open(reader, IGNORED)?.strings)
            }
        };
        let mut names = Vec::new();
        if let Some(column) = column {
            for ord in column.term_ords(candidate.doc) {
                let mut name = String::new();
                column.ord_to_str(ord, &mut name).map_err(ApiError::internal)?;
                names.push(name);
            }
        }
        Ok(names)
    }

    /// The source as a value, only if something looks into it.
    fn parsed(&self, document: &StoredDocument) -> Result<Option<Value>> {
        let wanted = matches!(self.filter, SourceFilter::Parts { .. })
            || !self.request.fields.is_empty()
            || !self.highlighters.is_empty();
        if wanted {
            serde_json::from_slice(&document.source).map(Some).map_err(ApiError::internal)
        } else {
            Ok(None)
        }
    }
}
