//! The fetch phase: what a hit carries beside its place in the order.

use std::cell::RefCell;
use std::collections::HashMap;
use std::collections::hash_map::Entry;

use serde_json::{Map, Value};
use tantivy::columnar::StrColumn;

use super::collect::Candidate;
use super::columns::Columns;
use super::execute::Target;
use super::fields;
use super::keys::Level;
use super::plan::Order;
use super::request::{SearchRequest, StoredFields};
use super::response::Hit;
use super::shard_failure;
use super::source::SourceFilter;
use crate::error::{ApiError, Result};
use crate::highlight::Highlighter;
use crate::index::schema::IGNORED;
use crate::index::{IndexView, StoredDocument};

/// The fetch phase: what each hit carries.
pub(super) struct Fetch<'a> {
    request: &'a SearchRequest,
    order: Order,
    filter: SourceFilter,
    /// Column of [`IGNORED`] by shard and segment, opened when first needed.
    ignored: RefCell<HashMap<(usize, u32), Option<StrColumn>>>,
    /// By index, when the request asks for highlights.
    highlighters: HashMap<usize, Highlighter>,
}

impl<'a> Fetch<'a> {
    /// Prepares to read `hits`. `now_ms` is the time `now` stands for.
    pub fn new(
        request: &'a SearchRequest,
        order: Order,
        targets: &[Target],
        hits: &[Candidate],
        now_ms: i64,
    ) -> Result<Self> {
        let mut highlighters = HashMap::new();
        if let Some(highlight) = &request.highlight {
            let query = request.query.as_ref().map(|query| query.clause.as_ref());
            for shard in hits.iter().map(|hit| hit.shard) {
                if let Entry::Vacant(place) = highlighters.entry(shard) {
                    let target = &targets[shard];
                    let prepared = highlight.prepare(query, &target.context(now_ms));
                    place.insert(prepared.map_err(|error| shard_failure(&target.view.name, error))?);
                }
            }
        }
        Ok(Self {
            request,
            order,
            filter: request.source_filter(),
            ignored: RefCell::default(),
            highlighters,
        })
    }

    /// The content of one hit. `levels` is the sort, resolved against its index.
    pub fn hit(&self, candidate: &Candidate, view: &IndexView, levels: &[Level]) -> Result<Hit> {
        let request = self.request;
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
        let highlight = match (self.highlighters.get(&candidate.shard), &parsed) {
            (Some(highlighter), Some(parsed)) => highlighter
                .highlight(&document.id, parsed)
                .map_err(|error| shard_failure(&view.name, error))?,
            _ => None,
        };
        let sort = match self.order {
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
            score: match self.order {
                Order::Constant => Some(1.0),
                _ => scored.then_some(candidate.score),
            },
            ignored: self.ignored(candidate, view)?,
            source,
            fields: found,
            highlight,
            sort,
        })
    }

    /// Fields that left a value of the document out.
    fn ignored(&self, candidate: &Candidate, view: &IndexView) -> Result<Vec<String>> {
        let mut opened = self.ignored.borrow_mut();
        let column = match opened.entry((candidate.shard, candidate.segment)) {
            Entry::Occupied(column) => column.into_mut(),
            Entry::Vacant(place) => {
                let reader = view.searcher.segment_reader(candidate.segment);
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
