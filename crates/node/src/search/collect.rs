//! The query phase on one index: matching documents counted, and the best of them kept.

use std::cmp::Ordering;
use std::collections::BinaryHeap;

use tantivy::fastfield::AliveBitSet;
use tantivy::query::{AllQuery, BooleanQuery, ConstScoreQuery, EnableScoring, Occur, Query, Scorer, Weight};
use tantivy::{SegmentReader, TERMINATED};

use super::keys::{Level, SegmentKeys, SortValue};
use super::request::{Slice, TrackTotal};
use super::runs::RunCache;
use crate::error::Result;
use crate::index::IndexView;

/// One hit of the query phase.
#[derive(Debug, Clone)]
pub struct Candidate {
    /// Ordinal of the index in the search.
    pub shard: usize,
    /// Segment of the index.
    pub segment: u32,
    /// Document in the segment.
    pub doc: u32,
    /// Score; 0 when nothing needs it.
    pub score: f32,
    /// Sequence number: finds the source, and breaks ties.
    pub seq_no: u64,
    /// One value for each level of the sort.
    pub values: Vec<SortValue>,
}

/// Where the page before ended.
#[derive(Debug, Clone)]
pub struct After {
    /// The sort values of its last hit.
    pub values: Vec<SortValue>,
    /// Index and sequence number of the last hit (scrolls): only documents with equal values after it follow. `None`
    /// (`search_after`): no document with equal values follows.
    pub tie: Option<(usize, u64)>,
}

/// What to collect.
pub struct Collection<'a> {
    /// Query of this index, its alias filter included.
    pub query: &'a dyn Query,
    /// Narrows hits after aggregations have seen them.
    pub post_filter: Option<&'a dyn Query>,
    /// The sort, resolved; never empty.
    pub levels: &'a [Level],
    /// Hits to keep.
    pub keep: usize,
    /// Where to start.
    pub after: Option<&'a After>,
    /// How far to count.
    pub track: TrackTotal,
    /// Whether scores are wanted even if nothing is ordered by them.
    pub scores: bool,
    /// Documents with a smaller score do not match.
    pub min_score: Option<f32>,
    /// One share of the documents.
    pub slice: Option<Slice>,
    /// Documents to look at; 0 is no limit.
    pub terminate_after: usize,
    /// Ordinal of the index.
    pub shard: usize,
}

/// What one index contributes.
#[derive(Debug, Default)]
pub struct Collected {
    /// Matches counted, at least as far as asked.
    pub total: u64,
    /// The best hits in order, at most `keep`.
    pub hits: Vec<Candidate>,
    /// Greatest score seen; `None` when no document was scored.
    pub max_score: Option<f32>,
    /// `terminate_after` cut the collection short.
    pub terminated: bool,
}

/// Called with each match of the query before `post_filter`: what aggregations see.
pub trait Observer {
    /// The next documents are of this segment.
    fn segment(&mut self, reader: &SegmentReader) -> Result<()>;
    /// A document of the segment matches.
    fn collect(&mut self, doc: u32) -> Result<()>;
}

/// `query` and `filter` together; the filter does not score.
pub fn filtered(query: Box<dyn Query>, filter: Box<dyn Query>) -> Box<dyn Query> {
    let filter: Box<dyn Query> = Box::new(ConstScoreQuery::new(filter, 0.0));
    Box::new(BooleanQuery::new(vec![(Occur::Must, query), (Occur::Must, filter)]))
}

impl Collection<'_> {
    /// Runs the query phase over every segment of `view`.
    pub fn run(
        &self,
        view: &IndexView,
        runs: &RunCache,
        mut observer: Option<&mut dyn Observer>,
    ) -> Result<Collected> {
        let needs_score =
            self.scores || self.min_score.is_some() || self.levels.iter().any(Level::needs_score);
        let scoring = if needs_score {
            EnableScoring::enabled_from_searcher(&view.searcher)
        } else {
            EnableScoring::disabled_from_searcher(&view.searcher)
        };
        let weight = self.query.weight(scoring)?;
        let post_filter = match self.post_filter {
            Some(query) => Some(query.weight(EnableScoring::disabled_from_searcher(&view.searcher))?),
            None => None,
        };
        let mut run = Run {
            collection: self,
            runs,
            needs_score,
            collected: Collected::default(),
            seen: 0,
            counted: false,
        };
        if observer.is_none() && self.is_prunable() {
            run.best_scores(view, weight.as_ref())?;
            return Ok(run.collected);
        }
        run.count_apart(view, weight.as_ref(), observer.is_some())?;
        for (ordinal, reader) in view.searcher.segment_readers().iter().enumerate() {
            if run.finished(observer.is_some()) {
                break;
            }
            if let Some(observer) = observer.as_mut() {
                observer.segment(reader)?;
            }
            let place = Place { reader, segment: u32::try_from(ordinal).unwrap_or(u32::MAX) };
            let observer = observer.as_mut().map(|observer| &mut **observer as &mut dyn Observer);
            run.segment(&place, weight.as_ref(), post_filter.as_deref(), observer)?;
        }
        Ok(run.collected)
    }

    fn in_doc_order(&self) -> bool {
        self.levels.first().is_some_and(Level::is_doc_order)
    }

    /// Nothing but the best scores is wanted: documents that cannot be among them need no score.
    fn is_prunable(&self) -> bool {
        self.keep > 0
            && matches!(self.levels, [level] if level.is_best_first())
            && self.after.is_none()
            && self.post_filter.is_none()
            && self.min_score.is_none()
            && self.slice.is_none()
            && self.terminate_after == 0
    }

    fn enough(&self, total: u64) -> bool {
        match self.track {
            TrackTotal::Off => true,
            TrackTotal::UpTo(limit) => total > limit,
            TrackTotal::Exact => false,
        }
    }
}

struct Place<'a> {
    reader: &'a SegmentReader,
    segment: u32,
}

struct Run<'a> {
    collection: &'a Collection<'a>,
    runs: &'a RunCache,
    needs_score: bool,
    collected: Collected,
    /// Documents looked at, for `terminate_after`.
    seen: usize,
    /// The total is already known.
    counted: bool,
}

/// A document worth keeping, compared by its keys within the segment: the worst is on top of the heap.
#[derive(PartialEq, Eq)]
struct Kept {
    keys: Vec<u64>,
    seq_no: u64,
    doc: u32,
    score: u32,
}

impl Ord for Kept {
    fn cmp(&self, other: &Self) -> Ordering {
        self.keys.cmp(&other.keys).then(self.seq_no.cmp(&other.seq_no))
    }
}

impl PartialOrd for Kept {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Run<'_> {
    /// Counts without looking at each document, where the collection itself would have to go on only to count.
    fn count_apart(&mut self, view: &IndexView, weight: &dyn Weight, observed: bool) -> Result<()> {
        let collection = self.collection;
        let plain = collection.post_filter.is_none()
            && collection.min_score.is_none()
            && collection.slice.is_none()
            && collection.terminate_after == 0;
        if collection.track == TrackTotal::Off {
            self.counted = true;
        } else if plain && !observed && (collection.keep == 0 || collection.in_doc_order()) {
            for reader in view.searcher.segment_readers() {
                if collection.enough(self.collected.total) {
                    break;
                }
                let everything = collection.query.is::<AllQuery>();
                let count = if everything { reader.num_docs() } else { weight.count(reader)? };
                self.collected.total += u64::from(count);
            }
            self.counted = true;
        }
        Ok(())
    }

    /// Counts as far as asked, then collects the best by block-max pruning.
    fn best_scores(&mut self, view: &IndexView, weight: &dyn Weight) -> Result<()> {
        let collection = self.collection;
        let counter = collection.query.weight(EnableScoring::disabled_from_searcher(&view.searcher))?;
        for (ordinal, reader) in view.searcher.segment_readers().iter().enumerate() {
            match collection.track {
                TrackTotal::Off => {}
                TrackTotal::Exact => self.collected.total += u64::from(counter.count(reader)?),
                TrackTotal::UpTo(limit) => self.count_up_to(limit, counter.as_ref(), reader)?,
            }
            let place = Place { reader, segment: u32::try_from(ordinal).unwrap_or(u32::MAX) };
            let keys = SegmentKeys::open(collection.levels, reader)?;
            let alive = reader.alive_bitset();
            let mut heap = BinaryHeap::with_capacity(collection.keep.min(1024));
            let mut scratch = Vec::with_capacity(1);
            // Equal scores are decided by sequence numbers, so that they must not be pruned.
            let full = self.collected.hits.get(collection.keep - 1);
            let mut threshold = full.map_or(f32::MIN, |worst| worst.score.next_down());
            weight.for_each_pruning(threshold, reader, &mut |doc, score| {
                if alive.is_none_or(|alive| alive.is_alive(doc)) {
                    keys.encode(doc, score, &mut scratch);
                    keep(&mut heap, collection.keep, &mut scratch, || keys.seq_no(doc), doc, score);
                    if let Some(worst) = heap.peek().filter(|_| heap.len() == collection.keep) {
                        threshold = threshold.max(f32::from_bits(worst.score).next_down());
                    }
                }
                threshold
            })?;
            self.take(heap, &keys, &place)?;
        }
        self.collected.max_score = self.collected.hits.first().map(|hit| hit.score);
        Ok(())
    }

    /// Counts the matches of a segment until there are more than `limit` in all.
    fn count_up_to(&mut self, limit: u64, counter: &dyn Weight, reader: &SegmentReader) -> Result<()> {
        if self.collected.total > limit {
            return Ok(());
        }
        let alive = reader.alive_bitset();
        let mut scorer = counter.scorer(reader, 1.0)?;
        let mut doc = scorer.doc();
        while doc != TERMINATED && self.collected.total <= limit {
            self.collected.total += u64::from(alive.is_none_or(|alive| alive.is_alive(doc)));
            doc = scorer.advance();
        }
        Ok(())
    }

    /// Whether no further document can change the answer.
    fn finished(&self, observed: bool) -> bool {
        let collection = self.collection;
        let counted = self.counted || collection.enough(self.collected.total);
        self.collected.terminated || (collection.keep == 0 && counted && !observed)
    }

    fn segment(
        &mut self,
        place: &Place<'_>,
        weight: &dyn Weight,
        post_filter: Option<&dyn Weight>,
        observer: Option<&mut dyn Observer>,
    ) -> Result<()> {
        let collection = self.collection;
        let keys = SegmentKeys::open(collection.levels, place.reader)?;
        let after = match collection.after {
            Some(after) => Some((keys.encode_values(&after.values)?, after.tie)),
            None => None,
        };
        let post_filter = match post_filter {
            Some(weight) => Some(weight.scorer(place.reader, 1.0)?),
            None => None,
        };
        let mut visit = Visit {
            alive: place.reader.alive_bitset(),
            heap: BinaryHeap::with_capacity(collection.keep.min(1024)),
            scratch: Vec::with_capacity(collection.levels.len()),
            keys,
            after,
            post_filter,
            observer,
        };
        let mut scorer = weight.scorer(place.reader, 1.0)?;
        let whole =
            visit.observer.is_some() || !self.counted || collection.scores || !collection.in_doc_order();
        if whole {
            let mut doc = scorer.doc();
            while doc != TERMINATED && self.visit(&mut visit, doc, scorer.as_mut())? {
                doc = scorer.advance();
            }
        } else {
            self.walk_runs(place, &mut visit, scorer.as_mut())?;
        }
        self.take(visit.heap, &visit.keys, place)
    }

    /// In document order nothing need be looked at but, in each run, the page after the last one.
    fn walk_runs(
        &mut self,
        place: &Place<'_>,
        visit: &mut Visit<'_, '_>,
        scorer: &mut dyn Scorer,
    ) -> Result<()> {
        let keep = self.collection.keep;
        let least = match &visit.after {
            None => 0,
            Some((after, _)) => match visit.keys.seq_no_after(after) {
                Some(least) => least,
                None => return Ok(()),
            },
        };
        let runs = self.runs.runs(place.reader)?;
        for (n, start) in runs.iter().enumerate() {
            let end = runs.get(n + 1).copied().unwrap_or(place.reader.max_doc());
            let first = visit.keys.first_at_least(*start, end, least);
            if first >= end {
                continue;
            }
            let mut doc = scorer.doc();
            if doc < first {
                doc = scorer.seek(first);
            }
            while doc < end {
                let full = visit.heap.len() >= keep;
                if full && visit.heap.peek().is_some_and(|worst| worst.seq_no < visit.keys.seq_no(doc)) {
                    break;
                }
                if !self.visit(visit, doc, scorer)? {
                    return Ok(());
                }
                doc = scorer.advance();
            }
        }
        Ok(())
    }

    /// Takes one match in; false when the collection is to end.
    fn visit(&mut self, visit: &mut Visit<'_, '_>, doc: u32, scorer: &mut dyn Scorer) -> Result<bool> {
        let collection = self.collection;
        if visit.alive.is_some_and(|alive| alive.is_deleted(doc)) {
            return Ok(true);
        }
        if let Some(slice) = collection.slice
            && visit.keys.seq_no(doc) % slice.max != slice.id
        {
            return Ok(true);
        }
        let score = if self.needs_score { scorer.score() } else { 0.0 };
        if collection.min_score.is_some_and(|least| score < least) {
            return Ok(true);
        }
        if let Some(observer) = &mut visit.observer {
            observer.collect(doc)?;
        }
        self.seen += 1;
        if matches(visit.post_filter.as_deref_mut(), doc) {
            if !self.counted {
                self.collected.total += 1;
            }
            if self.needs_score && self.collected.max_score.is_none_or(|max| score > max) {
                self.collected.max_score = Some(score);
            }
            if collection.keep > 0 {
                visit.keep(collection, doc, score);
            }
        }
        if collection.terminate_after > 0 && self.seen >= collection.terminate_after {
            self.collected.terminated = true;
            return Ok(false);
        }
        let only_counting = collection.keep == 0 && visit.observer.is_none();
        Ok(!(only_counting && (self.counted || collection.enough(self.collected.total))))
    }

    /// Moves the best of a segment into the best of the index.
    fn take(&mut self, heap: BinaryHeap<Kept>, keys: &SegmentKeys, place: &Place<'_>) -> Result<()> {
        for kept in heap.into_sorted_vec() {
            self.collected.hits.push(Candidate {
                shard: self.collection.shard,
                segment: place.segment,
                doc: kept.doc,
                score: f32::from_bits(kept.score),
                seq_no: kept.seq_no,
                values: keys.decode(&kept.keys)?,
            });
        }
        sort(&mut self.collected.hits, self.collection.levels);
        self.collected.hits.truncate(self.collection.keep);
        Ok(())
    }
}

/// [`After`] in the keys of a segment.
type AfterKeys = (Vec<u64>, Option<(usize, u64)>);

/// What a segment's documents are seen through.
struct Visit<'s, 'o> {
    alive: Option<&'s AliveBitSet>,
    keys: SegmentKeys,
    after: Option<AfterKeys>,
    post_filter: Option<Box<dyn Scorer>>,
    observer: Option<&'o mut dyn Observer>,
    heap: BinaryHeap<Kept>,
    scratch: Vec<u64>,
}

impl Visit<'_, '_> {
    fn keep(&mut self, collection: &Collection<'_>, doc: u32, score: f32) {
        let seq_no = || self.keys.seq_no(doc);
        self.keys.encode(doc, score, &mut self.scratch);
        if follows(&self.scratch, self.after.as_ref(), collection.shard, seq_no) {
            keep(&mut self.heap, collection.keep, &mut self.scratch, seq_no, doc, score);
        }
    }
}

fn matches(filter: Option<&mut (dyn Scorer + 'static)>, doc: u32) -> bool {
    let Some(filter) = filter else { return true };
    let at = filter.doc();
    if at < doc { filter.seek(doc) == doc } else { at == doc }
}

/// Whether a document with these keys comes after the page before.
fn follows(keys: &[u64], after: Option<&AfterKeys>, shard: usize, seq_no: impl FnOnce() -> u64) -> bool {
    let Some((after, tie)) = after else { return true };
    match keys.cmp(after.as_slice()) {
        Ordering::Less => false,
        Ordering::Greater => true,
        Ordering::Equal => match tie {
            None => false,
            Some((last_shard, last_seq_no)) => match shard.cmp(last_shard) {
                Ordering::Less => false,
                Ordering::Greater => true,
                Ordering::Equal => seq_no() > *last_seq_no,
            },
        },
    }
}

fn keep(
    heap: &mut BinaryHeap<Kept>,
    limit: usize,
    keys: &mut Vec<u64>,
    seq_no: impl FnOnce() -> u64,
    doc: u32,
    score: f32,
) {
    let score = score.to_bits();
    if heap.len() < limit {
        heap.push(Kept { keys: keys.clone(), seq_no: seq_no(), doc, score });
        return;
    }
    let Some(mut worst) = heap.peek_mut() else { return };
    let better = match keys.as_slice().cmp(worst.keys.as_slice()) {
        Ordering::Greater => None,
        Ordering::Less => Some(seq_no()),
        Ordering::Equal => Some(seq_no()).filter(|seq_no| *seq_no < worst.seq_no),
    };
    if let Some(seq_no) = better {
        std::mem::swap(&mut worst.keys, keys);
        worst.seq_no = seq_no;
        worst.doc = doc;
        worst.score = score;
    }
}

/// Sorts hits of one or several indices into the order of the answer.
pub fn sort(hits: &mut [Candidate], levels: &[Level]) {
    hits.sort_by(|left, right| {
        levels
            .iter()
            .zip(left.values.iter().zip(&right.values))
            .map(|(level, (left, right))| level.compare(left, right))
            .find(|order| order.is_ne())
            .unwrap_or_else(|| (left.shard, left.seq_no).cmp(&(right.shard, right.seq_no)))
    });
}
