//! What a search does on each of its indices.

use serde_json::{Map, Value};

use super::collect::{After, Collected, Collection, Observer};
use super::execute::{Continuation, Target};
use super::keys::{Level, SortValue};
use super::request::{ParsedQuery, SearchRequest, TrackTotal};
use super::shard_failure;
use super::sort::{SortKey, SortSpec};
use crate::aggs::{Aggregations, Partials, ShardCollector};
use crate::error::{ApiError, Result};

/// Order of the answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Order {
    /// By the sort of the request.
    Sorted,
    /// By score.
    Score,
    /// All scores are 1: hits come in the order of writing.
    Constant,
}

/// What one index contributes.
#[derive(Debug)]
pub(super) struct Part {
    pub collected: Collected,
    /// The sort, resolved against the index.
    pub levels: Vec<Level>,
    /// Aggregations over what the query matches.
    pub following: Option<Partials>,
    /// Aggregations over everything.
    pub global: Option<Partials>,
}

/// A search, ready to be run on any index.
pub(super) struct Plan<'a> {
    request: &'a SearchRequest,
    continuation: &'a Continuation,
    now_ms: i64,
    order: Order,
    specs: Vec<SortSpec>,
    track: TrackTotal,
    following: Option<Aggregations>,
    global: Option<Aggregations>,
}

impl<'a> Plan<'a> {
    pub fn new(request: &'a SearchRequest, continuation: &'a Continuation, now_ms: i64) -> Self {
        let order = if !request.sort.is_empty() {
            Order::Sorted
        } else if request.min_score.is_none() && request.query.as_ref().is_none_or(ParsedQuery::matches_all) {
            Order::Constant
        } else {
            Order::Score
        };
        let later = continuation.first.is_some();
        // Later pages of a scroll repeat the total of the first, and have no aggregations.
        let part = |global| Some(request.aggregations.part(global)).filter(|part| !part.is_empty() && !later);
        Self {
            request,
            continuation,
            now_ms,
            order,
            specs: specs(request, continuation, order),
            track: if later { TrackTotal::Off } else { request.total() },
            following: part(false),
            global: part(true),
        }
    }

    pub fn order(&self) -> Order {
        self.order
    }

    /// Hits of each index that can be in the page.
    fn keep(&self) -> usize {
        self.request.from.saturating_add(self.request.size)
    }

    /// Runs the search on one index.
    pub fn run(&self, shard: usize, target: &Target) -> Result<Part> {
        let request = self.request;
        let fail = |error| shard_failure(&target.view.name, error);
        request.check_window(&target.view.name, target.window, self.continuation.scroll)?;
        let keep = self.keep();
        let levels = self
            .specs
            .iter()
            .filter(|_| keep > 0)
            .map(|spec| Level::resolve(spec, &target.view, shard))
            .collect::<Result<Vec<_>>>()?;
        let after = match (&self.continuation.after, &request.search_after) {
            (Some(after), _) => Some(after.clone()),
            (None, Some(values)) => {
                Some(After { values: self.search_after(values, &levels).map_err(fail)?, tie: None })
            }
            (None, None) => None,
        };
        let query = target.compile(request.query.as_ref(), self.now_ms)?;
        let post_filter = match &request.post_filter {
            Some(filter) => Some(filter.clause.compile(&target.context(self.now_ms)).map_err(fail)?),
            None => None,
        };
        let mut observer = match &self.following {
            Some(following) => Some(ShardCollector::new(following, target, self.now_ms)?),
            None => None,
        };
        let collected = Collection {
            query: query.as_ref(),
            post_filter: post_filter.as_deref(),
            levels: &levels,
            keep,
            after: after.as_ref(),
            track: self.track,
            scores: request.track_scores && keep > 0 && self.continuation.first.is_none(),
            min_score: request.min_score,
            slice: request.slice,
            terminate_after: request.terminate_after,
            shard,
        }
        .run(
            &target.view,
            target.runs(),
            observer.as_mut().map(|observer| observer as &mut dyn Observer),
        )?;
        Ok(Part {
            collected,
            levels,
            following: observer.map(ShardCollector::finish).transpose()?,
            global: match &self.global {
                Some(global) => Some(self.collect_all(global, shard, target)?),
                None => None,
            },
        })
    }

    /// Runs global aggregations.
    fn collect_all(&self, global: &Aggregations, shard: usize, target: &Target) -> Result<Partials> {
        let mut observer = ShardCollector::new(global, target, self.now_ms)?;
        let query = target.compile(None, self.now_ms)?;
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
        everything.run(&target.view, target.runs(), Some(&mut observer))?;
        observer.finish()
    }

    /// The `aggregations` of the answer, in the order of the request.
    pub fn aggregations(
        &self,
        following: Option<Partials>,
        global: Option<Partials>,
    ) -> Result<Option<Value>> {
        let mut answer = Map::new();
        for (aggregations, partials) in [(&self.following, following), (&self.global, global)] {
            if let (Some(aggregations), Some(partials)) = (aggregations, partials) {
                answer.extend(aggregations.render(partials, self.request.typed_keys, self.now_ms)?);
            }
        }
        Ok(Some(answer).filter(|answer| !answer.is_empty()).map(Value::Object))
    }

    /// `max_score`: `seen` is the greatest score of a match, `any` whether there was a hit.
    pub fn max_score(&self, seen: Option<f32>, any: bool) -> Option<f32> {
        match self.order {
            _ if self.keep() == 0 => None,
            Order::Constant => any.then_some(1.0),
            Order::Score => seen,
            Order::Sorted => seen.filter(|_| self.request.track_scores),
        }
    }

    /// Refuses to order strings and numbers of different indices into one list.
    pub fn check_types(&self, parts: &[Option<Part>]) -> Result<()> {
        let mut all = parts.iter().flatten().map(|part| &part.levels).filter(|levels| !levels.is_empty());
        let Some(first) = all.next() else { return Ok(()) };
        for levels in all {
            for (spec, (one, other)) in self.specs.iter().zip(first.iter().zip(levels)) {
                if let SortKey::Field(field) = &spec.key
                    && one.is_text() != other.is_text()
                {
                    return Err(ApiError::illegal_argument(format!(
                        "Can't sort on field [{}]; the field has incompatible sort types: [{}] and [{}] across shards!",
                        field.field,
                        one.type_name(),
                        other.type_name()
                    )));
                }
            }
        }
        Ok(())
    }

    fn search_after(&self, values: &[Value], levels: &[Level]) -> Result<Vec<SortValue>> {
        if self.request.sort.is_empty() {
            return Err(ApiError::illegal_argument("Sort must contain at least one field."));
        }
        // The tie-breaker a point in time adds may be left out.
        if values.len() != self.specs.len() && values.len() != self.request.sort.len() {
            return Err(ApiError::illegal_argument(format!(
                "search_after has {} value(s) but sort has {}.",
                values.len(),
                self.specs.len()
            )));
        }
        let mut parsed = Vec::new();
        for (position, ((value, spec), level)) in values.iter().zip(&self.specs).zip(levels).enumerate() {
            let name = match &spec.key {
                SortKey::Score => "_score",
                SortKey::Doc => "_doc",
                SortKey::ShardDoc => "_shard_doc",
                SortKey::SeqNo => "_seq_no",
                SortKey::Field(field) => &field.field,
            };
            parsed.push(level.parse_after(position, name, value)?);
        }
        if parsed.len() < levels.len() {
            // As Elasticsearch: hits equal in the given values were all seen.
            parsed.push(SortValue::Integer(i64::MAX));
        }
        Ok(parsed)
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
